//! What stands on the wire after a denial, read from a real connection.

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tower::{Layer, service_fn};
use tower_api_token::TokenAuthLayer;

use crate::layer::support::World;

/// Serves `layer` around a handler that answers `reached`, on a port of its
/// own, until the returned task is aborted.
async fn serve(layer: TokenAuthLayer) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let service = layer.layer(service_fn(async |_: Request<hyper::body::Incoming>| {
        Ok::<_, std::convert::Infallible>(Response::new(Full::from("reached")))
    }));
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                drop(server.serve_connection(TokioIo::new(stream), service).await);
            });
        }
    });
    (port, server)
}

/// Everything that the server sends for one HTTP/1.1 request, head and body.
async fn exchange(port: u16, method: &str, lines: &str) -> (String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!("{method} / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n{lines}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a whole head");
    (head.to_ascii_lowercase(), body.to_owned())
}

fn content_length(head: &str) -> Vec<usize> {
    let lines = head.lines().filter_map(|line| line.strip_prefix("content-length: "));
    lines.map(|length| length.parse().unwrap()).collect()
}

/// The two ways in which a denial is rendered: by the layer, and by the host.
fn layers(world: &World) -> [TokenAuthLayer; 2] {
    let own = world.layer().on_denied(|denial, _| {
        let mut response = Response::new(Bytes::from_static(b"the host's own words"));
        *response.status_mut() = denial.status();
        response
    });
    [world.layer(), own]
}

#[tokio::test]
async fn a_denied_head_has_the_head_of_the_get_and_no_body_over_http_1() {
    let world = World::new();
    for layer in layers(&world) {
        let (port, server) = serve(layer).await;
        for credential in ["".to_owned(), format!("Authorization: Bearer {}x\r\n", world.primary)] {
            let (get, body) = exchange(port, "GET", &credential).await;
            let (head, nothing) = exchange(port, "HEAD", &credential).await;
            assert!(get.starts_with("http/1.1 401"), "{get}");
            assert_eq!(content_length(&get), [body.len()]);
            assert!(!body.is_empty() && nothing.is_empty());
            let without_date = |head: &str| {
                let mut lines: Vec<_> = head.lines().map(str::to_owned).collect();
                lines.retain(|line| !line.starts_with("date:"));
                lines.sort_unstable();
                lines
            };
            assert_eq!(without_date(&head), without_date(&get));
        }
        server.abort();
    }
}

#[tokio::test]
async fn a_denied_head_has_the_head_of_the_get_and_no_body_over_http_2() {
    let world = World::new();
    for layer in layers(&world) {
        let (port, server) = serve(layer).await;
        let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
        let mut lengths = Vec::new();
        for method in ["GET", "HEAD"] {
            let request =
                Request::builder().method(method).uri(format!("http://127.0.0.1:{port}/"));
            let request = request.body(Full::<Bytes>::default()).unwrap();
            let response = client.request(request).await.unwrap();
            assert_eq!((response.version(), response.status().as_u16()), (Version::HTTP_2, 401));
            let announced = response.headers()["content-length"].to_str().unwrap().to_owned();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let expected = if method == "HEAD" { 0 } else { announced.parse().unwrap() };
            assert_eq!(body.len(), expected, "{method}");
            lengths.push(announced);
        }
        assert_eq!(lengths[0], lengths[1]);
        server.abort();
    }
}

#[tokio::test]
async fn a_body_that_is_not_wanted_is_not_waited_for() {
    let world = World::new();
    let (port, server) = serve(world.layer()).await;
    let (head, body) =
        exchange(port, "POST", "Expect: 100-continue\r\nContent-Length: 1000000\r\n").await;
    assert!(head.starts_with("http/1.1 401"), "{head}");
    assert_eq!(content_length(&head), [body.len()]);
    server.abort();
}

#[tokio::test]
async fn each_challenge_is_a_line_of_its_own_on_the_wire() {
    use tower_api_token::credentials::CredentialSource;

    let world = World::new();
    let sources = [CredentialSource::Bearer, CredentialSource::Basic];
    let (port, server) = serve(world.layer().sources(sources)).await;
    let (head, _) = exchange(port, "GET", "").await;
    let challenges = head.lines().filter(|line| line.starts_with("www-authenticate: "));
    assert_eq!(challenges.count(), 2, "{head}");
    server.abort();
}
