//! The API behind the proxy.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

type Chunks = mpsc::Receiver<Bytes>;
type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;

/// Echoes bodies chunk by chunk, and upgraded connections byte by byte.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<(String, HeaderMap)>>>,
    connections: Arc<AtomicUsize>,
    serving: AbortHandle,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, connections) = (Arc::default(), Arc::default());
        let (recording, counting) = (Arc::clone(&seen), Arc::clone(&connections));
        let serving = tokio::spawn(serve(listener, recording, counting)).abort_handle();
        Self { address, seen, connections, serving }
    }

    /// What has reached the API since the last call: request line and headers.
    pub(crate) fn seen(&self) -> Vec<(String, HeaderMap)> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// The API is gone.
    pub(crate) async fn stop(&self) {
        self.serving.abort();
        while tokio::net::TcpStream::connect(self.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }
}

async fn serve(
    listener: TcpListener,
    seen: Arc<Mutex<Vec<(String, HeaderMap)>>>,
    connections: Arc<AtomicUsize>,
) {
    let mut tasks = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.fetch_add(1, Ordering::Relaxed);
        let seen = Arc::clone(&seen);
        let service = service_fn(move |request: Request<Incoming>| {
            let line = format!("{} {}", request.method(), request.uri());
            seen.lock().unwrap().push((line, request.headers().clone()));
            async { Ok::<_, Infallible>(answer(request)) }
        });
        let http = hyper::server::conn::http1::Builder::new();
        let connection = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
        tasks.spawn(async move { drop(connection.await) });
    }
}

fn answer(mut request: Request<Incoming>) -> Response<Body> {
    if request.uri().path() == "/upgrade" {
        tokio::spawn(echo_bytes(hyper::upgrade::on(&mut request)));
        let response = Response::builder().status(101).header("connection", "upgrade");
        return response.header("upgrade", "echo").body(Body::default()).unwrap();
    }
    let (sender, chunks) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut body = request.into_body();
        while let Some(Ok(frame)) = body.frame().await {
            if let Ok(chunk) = frame.into_data() {
                drop(sender.send(chunk).await);
            }
        }
    });
    Response::new(streamed(chunks))
}

fn streamed(mut chunks: Chunks) -> Body {
    let frames = futures_util::stream::poll_fn(move |cx| {
        chunks.poll_recv(cx).map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    });
    StreamBody::new(frames).boxed_unsync()
}

async fn echo_bytes(upgrading: hyper::upgrade::OnUpgrade) {
    let mut stream = TokioIo::new(upgrading.await.unwrap());
    let mut buffer = [0; 64];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        stream.write_all(&buffer[..read]).await.unwrap();
    }
}
