//! Webhooks, against a server of this machine.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower_api_token::ConfigError;
use tower_api_token::delivery::{Webhook, WebhookSecret};
use tower_api_token::store::MemoryStore;

use crate::delivery::{change, eventually, started};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const FORMER: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

#[derive(Default)]
struct Seen {
    messages: Mutex<Vec<(HeaderMap, Bytes)>>,
    /// What is answered, the last for all that follow.
    statuses: Mutex<Vec<StatusCode>>,
}

async fn take(State(seen): State<Arc<Seen>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    seen.messages.lock().unwrap().push((headers, body));
    let mut statuses = seen.statuses.lock().unwrap();
    if statuses.len() > 1 { statuses.remove(0) } else { statuses[0] }
}

async fn server(statuses: &[StatusCode]) -> (SocketAddr, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    *seen.statuses.lock().unwrap() = statuses.to_vec();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route("/hook", post(take)).with_state(Arc::clone(&seen));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, seen)
}

fn secret(text: &str) -> WebhookSecret {
    WebhookSecret::new(text).unwrap()
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers[name].to_str().unwrap()
}

/// By the published library of the standard.
fn verify_by_reference(secret: &str, headers: &HeaderMap, body: &[u8]) -> bool {
    const VERIFY: &str = "
import sys
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
secret, id, timestamp, signature = sys.argv[1:5]
headers = {'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature}
try:
    Webhook(secret).verify(sys.stdin.buffer.read().decode(), headers)
except WebhookVerificationError:
    sys.exit(3)
";
    let python = concat!(env!("CARGO_MANIFEST_DIR"), "/target/venv/bin/python");
    let mut verify = Command::new(python);
    verify.args(["-c", VERIFY, secret]);
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        verify.arg(header(headers, name));
    }
    let mut verify = verify.stdin(Stdio::piped()).spawn().expect("tests/run.sh has made it");
    std::io::Write::write_all(&mut verify.stdin.take().unwrap(), body).unwrap();
    match verify.wait().unwrap().code() {
        Some(0) => true,
        Some(3) => false,
        code => panic!("the reference library failed: {code:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_signed_so_that_the_reference_library_takes_it() {
    let (address, seen) = server(&[StatusCode::NO_CONTENT]).await;
    let store = Arc::new(MemoryStore::new());
    let webhook = Webhook::new(&format!("http://{address}/hook"), secret(SECRET)).unwrap();
    let tokens = started(&store, webhook.also_signed_with(secret(FORMER))).await;
    change(&tokens.manager(), "alice", 1).await;
    eventually("a message", || !seen.messages.lock().unwrap().is_empty()).await;
    tokens.close().await.unwrap();
    let (headers, body) = seen.messages.lock().unwrap().pop().unwrap();
    let message: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(message["type"], "access_granted");
    assert_eq!(message["data"]["user"], "alice");
    assert_eq!(message["data"]["at"], message["timestamp"]);
    assert_eq!(message["data"]["position"], 1);
    assert_eq!(header(&headers, "content-type"), "application/json");
    for known in [SECRET, FORMER] {
        assert!(verify_by_reference(known, &headers, &body));
    }
    let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    assert!(!verify_by_reference(other, &headers, &body));
    assert!(!verify_by_reference(SECRET, &headers, &[&body[..], b" "].concat()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_but_success_is_tried_again_under_the_same_id() {
    let statuses = [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::FOUND, StatusCode::OK];
    let (address, seen) = server(&statuses).await;
    let store = Arc::new(MemoryStore::new());
    let webhook = Webhook::new(&format!("http://{address}/hook"), secret(SECRET)).unwrap();
    let tokens = started(&store, webhook).await;
    change(&tokens.manager(), "alice", 1).await;
    eventually("three attempts", || seen.messages.lock().unwrap().len() == 3).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    tokens.close().await.unwrap();
    let messages = seen.messages.lock().unwrap();
    assert_eq!(messages.len(), 3);
    let ids: Vec<_> = messages.iter().map(|(headers, _)| header(headers, "webhook-id")).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

/// Answers each message and ends the connection at once, in order or by a reset; counts
/// the messages.
async fn hasty_server(reset: bool) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut message = Vec::new();
            while !is_whole(&message) {
                stream.read_buf(&mut message).await.unwrap();
            }
            counted.fetch_add(1, Ordering::SeqCst);
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            if reset {
                stream.set_zero_linger().unwrap();
            }
        }
    });
    (address, count)
}

/// Whether it is a head and as much of a body as that says.
fn is_whole(message: &[u8]) -> bool {
    let text = String::from_utf8_lossy(message).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    body.len() >= length.parse::<usize>().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_counts_although_the_connection_ends_with_it() {
    const CHANGES: usize = 50;

    for reset in [false, true] {
        let (address, count) = hasty_server(reset).await;
        let store = Arc::new(MemoryStore::new());
        let webhook = Webhook::new(&format!("http://{address}/hook"), secret(SECRET)).unwrap();
        let tokens = started(&store, webhook).await;
        change(&tokens.manager(), "alice", CHANGES).await;
        eventually("every message", || count.load(Ordering::SeqCst) >= CHANGES).await;
        tokens.close().await.unwrap();
        assert_eq!(count.load(Ordering::SeqCst), CHANGES, "by a reset: {reset}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_name_leads_to_an_address_of_a_private_network() {
    let (address, seen) = server(&[StatusCode::OK]).await;
    let store = Arc::new(MemoryStore::new());
    // The address of this machine by https, which plain http alone may have.
    let url = format!("https://localhost:{}/hook", address.port());
    let webhook = Webhook::new(&url, secret(SECRET)).unwrap();
    let tokens = started(&store, webhook).await;
    change(&tokens.manager(), "alice", 1).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    tokens.close().await.unwrap();
    assert!(seen.messages.lock().unwrap().is_empty());
}

#[test]
fn an_address_is_secure_or_of_this_machine() {
    for good in [
        "https://example.com/hook?x=1",
        "https://10.0.0.1/",
        "http://localhost:8080/",
        "http://127.0.0.1/",
        "http://[::1]:1/",
    ] {
        assert!(Webhook::new(good, secret(SECRET)).is_ok(), "{good}");
    }
    for bad in [
        "",
        "example.com",
        "/hook",
        "http://example.com/",
        "http://10.0.0.1/",
        "http://localhost.example.com/",
        "https://user:password@example.com/",
        "https://user@example.com/",
        "ftp://example.com/",
        "https:///hook",
    ] {
        let error = Webhook::new(bad, secret(SECRET)).unwrap_err();
        assert!(matches!(error, ConfigError::WebhookAddress), "{bad}: {error}");
    }
}
