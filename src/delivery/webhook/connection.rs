//! One message over one connection, to an address that was looked at.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::uri::Scheme;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::address;
use super::signature::Signed;

/// Why a message could not be sent. Says nothing of the address's path.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostError {
    #[error(
        "the host has no address that messages may be sent to: those of a private network must be allowed"
    )]
    NoAddress,
    #[error("the host could not be reached")]
    Connection(#[source] io::Error),
    #[error("the host could not be trusted")]
    Encryption(#[source] io::Error),
    #[error("the host has not answered")]
    Http(#[from] hyper::Error),
    #[error("the message could not be made")]
    Message(#[from] http::Error),
}

/// Trusts the certificate authorities of Mozilla's programme.
pub(super) fn usual_tls() -> ClientConfig {
    tls(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() })
}

pub(super) fn tls(authorities: RootCertStore) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has the default versions")
        .with_root_certificates(authorities)
        .with_no_client_auth()
}

/// Sends the message, and answers with the status of the answer; its body is not read.
pub(super) async fn post(
    uri: &Uri,
    private_addresses: bool,
    tls: &Arc<ClientConfig>,
    message: Signed,
) -> Result<StatusCode, PostError> {
    let host = uri.host().unwrap_or_default();
    let is_secure = uri.scheme() == Some(&Scheme::HTTPS);
    let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
    let stream = connect(host, port, |address| {
        let is_local = !is_secure && address.ip().is_loopback();
        private_addresses || is_local || address::is_public(address.ip())
    })
    .await?;
    let request = request(uri, message)?;
    if !is_secure {
        return exchange(TokioIo::new(stream), request).await;
    }
    let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let invalid = |error| PostError::Encryption(io::Error::other(error));
    let name = ServerName::try_from(name).map_err(invalid)?;
    let connector = TlsConnector::from(Arc::clone(tls));
    let stream = connector.connect(name, stream).await.map_err(PostError::Encryption)?;
    exchange(TokioIo::new(stream), request).await
}

/// Connects to the first address of the host that may be and answers. What was looked at
/// is what is connected to: a name that resolves otherwise later changes nothing.
async fn connect(
    host: &str,
    port: u16,
    is_allowed: impl Fn(&SocketAddr) -> bool,
) -> Result<TcpStream, PostError> {
    let addresses: Vec<_> = match address::literal(host) {
        Some(ip) => vec![SocketAddr::new(ip, port)],
        None => lookup_host((host, port)).await.map_err(PostError::Connection)?.collect(),
    };
    let mut failure = PostError::NoAddress;
    for address in addresses.into_iter().filter(|address| is_allowed(address)) {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = PostError::Connection(error),
        }
    }
    Err(failure)
}

fn request(uri: &Uri, message: Signed) -> Result<Request<Full<Bytes>>, http::Error> {
    let Signed { id, timestamp, signature, body } = message;
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let host = uri.authority().map_or("", |authority| authority.as_str());
    Request::builder()
        .method(Method::POST)
        .uri(target)
        .header(HOST, host)
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, concat!("tower-api-token/", env!("CARGO_PKG_VERSION")))
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", signature)
        .body(Full::from(body))
}

async fn exchange(
    stream: impl Read + Write + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<StatusCode, PostError> {
    let (mut sender, connection) = http1::handshake(stream).await?;
    let mut answered = pin!(async {
        let response = sender.send_request(request).await?;
        Ok(response.status())
    });
    tokio::select! {
        status = &mut answered => return status,
        // A host may end the connection with its answer.
        ended = connection => ended?,
    }
    answered.await
}
