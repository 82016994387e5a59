use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::reverse_proxy::world::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_granted_request_passes_with_its_user_and_without_its_token() {
    let world = World::new().await;
    let forged = [
        ("x-auth-user", "root"),
        ("x_auth_user", "root"),
        ("x.auth-slot", "root"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-http-method", "GET"),
        ("connection", "x-auth-user, x-hop"),
        ("x-hop", "1"),
    ];
    let mut request = world.request("GET", "/items?a=b").header("x-kept", "1");
    for (name, value) in forged {
        request = request.header(name, value);
    }
    assert_eq!(status(request).await, 200);
    let mut seen = world.upstream.seen();
    let (line, headers) = seen.remove(0);
    assert_eq!(line, "GET /items?a=b");
    assert_eq!(headers["x-auth-user"], "al%C3%ADce%40example%2Ecom");
    assert_eq!(headers["x-auth-slot"], "primary");
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(headers["x-kept"], "1");
    assert_eq!(headers["host"], world.address);
    for name in ["authorization", "x_auth_user", "x.auth-slot", "x-http-method", "x-hop"] {
        assert!(!headers.contains_key(name), "{name} in {headers:?}");
    }
    assert_eq!(headers.get_all("x-auth-user").iter().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_layer_denies_does_not_reach_the_api() {
    let world = World::new().await;
    assert_eq!(status(world.request("DELETE", "/")).await, 403);
    let anonymous = http::Request::get(format!("http://{}/", world.address));
    assert_eq!(status(anonymous).await, 401);
    let overridden = world.request("GET", "/").header("x-http-method-override", "DELETE");
    assert_eq!(status(overridden).await, 403);
    assert!(world.upstream.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_by_another_process_takes_effect() {
    let world = World::new().await;
    assert_eq!(status(world.request("GET", "/")).await, 200);
    world.manager.revoke_access(&root(), &alice()).await.unwrap();
    assert_eq!(status(world.request("GET", "/")).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_the_api_are_kept() {
    let world = World::new().await;
    let client = client();
    for _ in 0..100 {
        let request = world.request("GET", "/").body(http_body_util::Full::default()).unwrap();
        let response = timeout(PATIENCE, client.request(request)).await.unwrap().unwrap();
        assert_eq!(response.status(), 200);
        response.into_body().collect().await.unwrap();
    }
    assert_eq!(world.upstream.seen().len(), 100);
    assert!(world.upstream.connections() <= 2, "{}", world.upstream.connections());
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_streamed_in_both_directions() {
    let world = World::new().await;
    let (sender, mut chunks) = mpsc::channel::<Bytes>(1);
    let frames = futures_util::stream::poll_fn(move |cx| {
        let frame = |chunk: Bytes| Ok::<_, std::convert::Infallible>(Frame::data(chunk));
        chunks.poll_recv(cx).map(|chunk| chunk.map(frame))
    });
    let request = world.request("PUT", "/echo").body(StreamBody::new(frames)).unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = tokio::spawn(async move { client.request(request).await });
    sender.send("one".into()).await.unwrap();
    let mut body = timeout(PATIENCE, response).await.unwrap().unwrap().unwrap().into_body();
    // Each chunk comes back before the next one is sent.
    for sent in ["one", "two", "three"] {
        if sent != "one" {
            sender.send(sent.into()).await.unwrap();
        }
        let frame = timeout(PATIENCE, body.frame()).await.unwrap().unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), sent);
    }
    drop(sender);
    assert!(timeout(PATIENCE, body.frame()).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgraded_connection_is_handed_through() {
    let world = World::new().await;
    let mut stream = TcpStream::connect(&world.address).await.unwrap();
    let request = |token: &str| {
        let (host, upgrade) = (&world.address, "Connection: Upgrade\r\nUpgrade: echo\r\n");
        let credential = format!("Authorization: Bearer {token}\r\n");
        format!("GET /upgrade HTTP/1.1\r\nHost: {host}\r\n{upgrade}{credential}\r\n")
    };
    stream.write_all(request(&world.token).as_bytes()).await.unwrap();
    let head = read_until(&mut stream, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.to_ascii_lowercase().contains("\r\nupgrade: echo\r\n"), "{head}");
    for message in ["ping", "pong"] {
        stream.write_all(message.as_bytes()).await.unwrap();
        assert_eq!(read_until(&mut stream, message).await, message);
    }

    let mut denied = TcpStream::connect(&world.address).await.unwrap();
    denied.write_all(request("junk").as_bytes()).await.unwrap();
    let head = read_until(&mut denied, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 401 "), "{head}");
}

/// Reads until the text has come.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.contains(end) {
        let mut buffer = [0; 1024];
        let read = timeout(PATIENCE, stream.read(&mut buffer)).await.unwrap().unwrap();
        assert!(read > 0, "the connection has ended: {text}");
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_is_down_is_the_gateways_502() {
    let world = World::new().await;
    world.upstream.stop().await;
    assert_eq!(status(world.request("GET", "/")).await, 502);
    assert_eq!(status(world.request("DELETE", "/")).await, 403);
}
