//! One message over one connection, to an address that was looked at.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::uri::Scheme;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::address;
use super::signature::Signed;

/// How long one address may take to accept a connection, so that the next gets its turn
/// within the time for one message.
const CONNECTING: Duration = Duration::from_secs(5);

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
    let mut addresses = resolved(host, port).await?;
    addresses.retain(|address| is_allowed(address.ip(), is_secure, private_addresses));
    let stream = connect(&addresses).await?;
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

async fn resolved(host: &str, port: u16) -> Result<Vec<SocketAddr>, PostError> {
    match address::literal(host) {
        Some(ip) => Ok(vec![SocketAddr::new(ip, port)]),
        None => Ok(lookup_host((host, port)).await.map_err(PostError::Connection)?.collect()),
    }
}

/// Whether a message may go there. Without encryption only to this machine itself,
/// whatever its name resolves to.
fn is_allowed(address: IpAddr, is_secure: bool, private_addresses: bool) -> bool {
    if is_secure { private_addresses || address::is_public(address) } else { address.is_loopback() }
}

/// Connects to the first address that answers. What was looked at is what is connected
/// to: a name that resolves otherwise later changes nothing.
async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, PostError> {
    let mut failure = PostError::NoAddress;
    for address in addresses {
        match timeout(CONNECTING, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failure = PostError::Connection(error),
            Err(elapsed) => failure = PostError::Connection(elapsed.into()),
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
        // A host may end the connection with its answer. How it ended is of no concern
        // if the answer has come.
        _ = connection => {}
    }
    answered.await
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    #[test]
    fn a_message_that_is_not_encrypted_stays_on_this_machine() {
        let public = IpAddr::from([93, 184, 215, 14]);
        let (private, own) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([127, 0, 0, 1]));
        for (address, is_secure, allow_private, expected) in [
            (own, false, false, true),
            (public, false, false, false),
            (public, false, true, false),
            (private, false, true, false),
            (public, true, false, true),
            (private, true, false, false),
            (private, true, true, true),
        ] {
            let is_allowed = is_allowed(address, is_secure, allow_private);
            assert_eq!(is_allowed, expected, "{address} {is_secure} {allow_private}");
        }
    }

    /// A listener that takes no more connections, and refuses none.
    #[tokio::test(start_paused = true)]
    async fn an_address_that_does_not_answer_leaves_the_next_its_turn() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let silent = socket.listen(1).unwrap();
        let silent = silent.local_addr().map(|address| (address, silent)).unwrap();
        let mut waiting = Vec::new();
        while let Ok(stream) = timeout(CONNECTING, TcpStream::connect(silent.0)).await {
            waiting.push(stream.unwrap());
            assert!(waiting.len() < 100);
        }
        let other = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let other = (other.local_addr().unwrap(), other);
        let begun = tokio::time::Instant::now();
        let stream = connect(&[silent.0, other.0]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), other.0);
        assert!(begun.elapsed() < 2 * CONNECTING);
        let Err(PostError::Connection(error)) = connect(&[silent.0]).await else { panic!() };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
