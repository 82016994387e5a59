//! The service behind a real server: HTTP/1.0, bodies, kept connections.

use std::net::SocketAddr;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower_api_token::forward_auth::{ForwardAuth, Profile};

use crate::forward_auth::world::*;

/// Serves `verify` on a port of its own for the rest of the test.
pub(crate) async fn serve(verify: ForwardAuth) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(verify.clone());
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

/// Sends bytes and reads until the server closes the connection.
pub(crate) async fn talk(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(10), read).await.expect("an end in time").unwrap();
    String::from_utf8(answer).unwrap()
}

async fn talk_to_verify(request: String) -> String {
    let address = serve(verify(store(), Profile::OriginalMethod)).await;
    talk(address, request.as_bytes()).await
}

fn lines(method: &str) -> String {
    format!("Authorization: Bearer {ALICE}\r\nX-Original-Method: {method}\r\n")
}

#[tokio::test]
async fn http_1_0_without_a_host_is_answered() {
    let granted = talk_to_verify(format!("GET /verify HTTP/1.0\r\n{}\r\n", lines("GET"))).await;
    assert!(granted.starts_with("HTTP/1.0 200 OK\r\n"), "{granted}");
    assert!(granted.contains("\r\ncontent-length: 0\r\n"), "{granted}");
    assert!(granted.contains("\r\nx-auth-user: alice\r\n"), "{granted}");
    let denied = talk_to_verify(format!("GET /verify HTTP/1.0\r\n{}\r\n", lines("PUT"))).await;
    assert!(denied.starts_with("HTTP/1.0 403 Forbidden\r\n"), "{denied}");
}

#[tokio::test]
async fn a_body_is_ignored_in_every_framing() {
    let (get, close) = (lines("GET"), "Host: a\r\nConnection: close\r\n");
    for framed in [
        "Content-Length: 0\r\n\r\n",
        "Content-Length: 5\r\n\r\nhello",
        "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "Content-Length: 99999999999\r\n\r\nstart",
    ] {
        let answer = talk_to_verify(format!("POST / HTTP/1.1\r\n{close}{get}{framed}")).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{framed:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{framed:?}: {answer}");
    }
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let (get, put) = (lines("GET"), lines("PUT"));
    let request = |lines: &str, last| format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}{last}\r\n");
    let pipeline = request(&get, "") + &request(&put, "") + &request(&get, "Connection: close\r\n");
    let answers = talk_to_verify(pipeline).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "{answers}");
    assert!(answers.contains("HTTP/1.1 403 Forbidden"), "{answers}");
}
