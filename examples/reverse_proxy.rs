//! A small gateway: the layer in front of any API, given by its address.
//!
//! ```sh
//! UPSTREAM=127.0.0.1:3000 TOKENS=tokens.sqlite \
//!   cargo run --example reverse_proxy --features sqlite -- --listen 127.0.0.1:8080
//! ```
//!
//! Accounts are in the SQLite file `TOKENS`, which the example `quickstart` or
//! another process may change while this one runs. Bodies are streamed in both
//! directions, connections to the API are kept, and a connection that both
//! sides agree to upgrade (a WebSocket, say) is handed through.
//!
//! The API is told the user in `X-Auth-User`, percent-encoded, and never the
//! token. It should be reachable by this gateway alone.

use std::convert::Infallible;
use std::error::Error;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http::header::{CONNECTION, HOST, UPGRADE};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::net::TcpListener;
use tower::{Layer, service_fn};
use tower_api_token::manage::Confirmation;
use tower_api_token::store::SqliteStore;
use tower_api_token::{Identity, Tokens};

const USER: HeaderName = HeaderName::from_static("x-auth-user");
const SLOT: HeaderName = HeaderName::from_static("x-auth-slot");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What a client may not say: who it is, where it comes from, and which method
/// it means instead. Some APIs read underscores and dots in names as hyphens.
const NOT_THE_CLIENTS: [&str; 6] = [
    "x-auth-user",
    "x-auth-slot",
    "x-forwarded-for",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
];

/// Headers of one connection (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [&str; 7] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// The API's answer as it is, or this gateway's own.
type Body = Either<Incoming, Full<Bytes>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(address()?).await?;
    let gateway = Gateway {
        client: Client::builder(TokioExecutor::new()).build_http(),
        upstream: variable("UPSTREAM")?.parse()?,
    };
    let store = SqliteStore::open(variable("TOKENS")?)?;
    store.migrate().await?;
    let tokens = Tokens::builder(store).confirmation(Confirmation::ByCaller).build().await?;
    let layer = tokens.layer().strip_credentials(true);
    tokens.start();
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, client) = listener.accept().await?;
        let gateway = gateway.clone();
        let forward = service_fn(move |request| gateway.clone().forward(request, client));
        let service = TowerToHyperService::new(layer.layer(forward));
        tokio::spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            let connection = server.serve_connection_with_upgrades(TokioIo::new(stream), service);
            // A connection that breaks ends its own task and nothing else.
            drop(connection.await);
        });
    }
}

fn address() -> Result<String, Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Ok("127.0.0.1:0".to_owned()),
        ["--listen", address] => Ok(address.to_owned()),
        _ => Err("usage: reverse_proxy [--listen ADDRESS]".into()),
    }
}

fn variable(name: &str) -> Result<String, Box<dyn Error>> {
    std::env::var(name).map_err(|_| format!("the variable {name} is not set").into())
}

#[derive(Clone)]
struct Gateway {
    client: Client<HttpConnector, Incoming>,
    upstream: Authority,
}

impl Gateway {
    /// Hands a request on that the layer has let pass.
    async fn forward(
        self,
        mut request: Request<Incoming>,
        client: SocketAddr,
    ) -> Result<Response<Body>, Infallible> {
        let client_side = upgrade(request.headers()).map(|protocol| {
            let on_upgrade = hyper::upgrade::on(&mut request);
            (protocol, on_upgrade)
        });
        let prepared = self.prepare(&mut request, client.ip());
        let Ok(()) = prepared else { return Ok(own(StatusCode::BAD_REQUEST)) };
        if let Some((protocol, _)) = &client_side {
            switch(request.headers_mut(), protocol.clone());
        }
        match self.client.request(request).await {
            Ok(response) => Ok(hand_back(response, client_side)),
            Err(_) => Ok(own(StatusCode::BAD_GATEWAY)),
        }
    }

    /// Makes the client's request this gateway's own.
    fn prepare(&self, request: &mut Request<Incoming>, client: IpAddr) -> http::Result<()> {
        let host = request.uri().authority().map(|authority| authority.as_str().try_into());
        let mut uri = std::mem::take(request.uri_mut()).into_parts();
        (uri.scheme, uri.authority) = (Some(Scheme::HTTP), Some(self.upstream.clone()));
        *request.uri_mut() = http::Uri::from_parts(uri)?;
        *request.version_mut() = Version::HTTP_11;

        let user = request.extensions().get::<Identity>().map(identity_headers).transpose()?;
        let headers = request.headers_mut();
        remove_hop_by_hop(headers);
        remove_forged(headers);
        if let Some(host) = host.transpose()? {
            headers.insert(HOST, host);
        }
        headers.insert(FORWARDED_FOR, HeaderValue::try_from(client.to_string())?);
        headers.extend(user.into_iter().flatten());
        Ok(())
    }
}

fn identity_headers(identity: &Identity) -> http::Result<[(HeaderName, HeaderValue); 2]> {
    let user = utf8_percent_encode(identity.user().as_str(), NON_ALPHANUMERIC).to_string();
    let slot = HeaderValue::from_static(identity.slot().as_str());
    Ok([(USER, HeaderValue::try_from(user)?), (SLOT, slot)])
}

/// Also those that the sender lists in `Connection`. This comes before the
/// identity is set, so that no client can have it removed.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let lists = headers.get_all(CONNECTION).iter().filter_map(|list| list.to_str().ok());
    let listed = lists.flat_map(|list| list.split(',')).map(|name| name.trim().to_owned());
    for name in listed.collect::<Vec<_>>() {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

fn remove_forged(headers: &mut HeaderMap) {
    let folded = |name: &HeaderName| name.as_str().replace(['_', '.'], "-");
    let forged = |name: &&HeaderName| NOT_THE_CLIENTS.contains(&folded(name).as_str());
    for name in headers.keys().filter(forged).cloned().collect::<Vec<_>>() {
        headers.remove(name);
    }
}

/// The protocol that a message asks, or agrees, to change to.
fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let connection = headers.get(CONNECTION)?.to_str().ok()?;
    let mut options = connection.split(',').map(str::trim);
    let wanted = options.any(|option| option.eq_ignore_ascii_case("upgrade"));
    headers.get(UPGRADE).filter(|_| wanted).cloned()
}

fn switch(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// The API's answer for the client.
fn hand_back(
    mut response: Response<Incoming>,
    client_side: Option<(HeaderValue, OnUpgrade)>,
) -> Response<Body> {
    let protocol = upgrade(response.headers());
    let upstream_side = hyper::upgrade::on(&mut response);
    remove_hop_by_hop(response.headers_mut());
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let (Some((_, client_side)), Some(protocol)) = (client_side, protocol) else {
            return own(StatusCode::BAD_GATEWAY);
        };
        switch(response.headers_mut(), protocol);
        tokio::spawn(join(client_side, upstream_side));
    }
    response.map(Either::Left)
}

/// Carries bytes between both sides until one of them ends.
async fn join(client: OnUpgrade, upstream: OnUpgrade) {
    if let (Ok(client), Ok(upstream)) = tokio::join!(client, upstream) {
        let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
        // Either side may break off at any time; there is nobody to tell.
        drop(tokio::io::copy_bidirectional(&mut client, &mut upstream).await);
    }
}

fn own(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Either::Right(Full::default()));
    *response.status_mut() = status;
    response
}
