//! A client of the gateway.

use std::net::SocketAddr;
use std::time::Duration;

use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Longer than any gateway waits for the endpoint.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer of the gateway.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// A connection to the gateway, opened again where the gateway closes it.
pub(crate) struct Connection {
    gateway: SocketAddr,
    sender: SendRequest<String>,
}

impl Connection {
    pub(crate) async fn open(gateway: SocketAddr) -> Self {
        let stream = TcpStream::connect(gateway).await.unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { gateway, sender }
    }

    pub(crate) async fn send(&mut self, request: Request<String>) -> Answer {
        let answer = async {
            if self.sender.ready().await.is_err() {
                *self = Self::open(self.gateway).await;
            }
            let (head, body) = self.sender.send_request(request).await.unwrap().into_parts();
            let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let body = String::from_utf8_lossy(&body).into_owned();
            Answer { status: head.status, headers: head.headers, body }
        };
        tokio::time::timeout(PATIENCE, answer).await.expect("an answer in time")
    }
}

/// A request to the gateway with these headers.
pub(crate) fn request(method: &str, headers: &[(&str, &str)]) -> Request<String> {
    let mut request =
        Request::builder().method(method).uri("/items?a=b&c").header("host", "api.test");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(String::new()).unwrap()
}
