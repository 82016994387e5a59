//! The endpoint that nginx asks, with a switch.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::Either;
use http::header::CACHE_CONTROL;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::Service;
use tower_api_token::forward_auth::{ForwardAuth, ForwardAuthFuture, Profile};

use super::super::support::core::stay_on;
use super::super::support::population::{memory_store, user};

/// How long a connection may be idle.
const IDLE: Duration = Duration::from_secs(120);

/// What the endpoint answers.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    /// 200 and nothing else, to everybody.
    Static,
    /// The same with the headers of a pass: one user's, whoever asks.
    WithHeaders,
    /// What is decided.
    Decided,
}

/// The endpoint with a switch. Whatever it answers, the server, its connections
/// and its way to this are the same.
#[derive(Clone)]
pub(crate) struct Endpoint {
    answer: Arc<AtomicUsize>,
    verify: ForwardAuth,
    headers: [(HeaderName, HeaderValue); 3],
}

impl Endpoint {
    /// One that knows so many users.
    pub(crate) fn new(users: u64) -> Self {
        let name = HeaderName::from_static;
        let headers = [
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (name("x-auth-user"), HeaderValue::try_from(user(0)).expect("letters")),
            (name("x-auth-slot"), HeaderValue::from_static("primary")),
        ];
        let verify = ForwardAuth::new(memory_store(users, false), Profile::OriginalMethod);
        Self { answer: Arc::default(), verify, headers }
    }

    pub(crate) fn switch(&self, answer: Answer) {
        self.answer.store(answer as usize, Ordering::Relaxed);
    }

    /// Serves from one thread, which stays on that processor.
    pub(crate) fn start(&self, processor: usize) -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        listener.set_nonblocking(true).expect("a TCP listener");
        let service = self.clone();
        thread::spawn(move || {
            stay_on(processor);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(service.serve(listener));
        });
        address
    }

    /// As `tower-api-token serve` does.
    async fn serve(self, listener: std::net::TcpListener) {
        let listener = TcpListener::from_std(listener).expect("a TCP listener");
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).expect("a TCP stream");
            let service = TowerToHyperService::new(self.clone());
            let mut server = auto::Builder::new(TokioExecutor::new());
            server.http1().timer(TokioTimer::new()).header_read_timeout(IDLE);
            tokio::spawn(async move {
                let served = server.serve_connection(TokioIo::new(stream), service).await;
                served.expect("nginx keeps to the rules");
            });
        }
    }
}

impl Service<Request<Incoming>> for Endpoint {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Either<Ready<Result<Self::Response, Infallible>>, ForwardAuthFuture>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<Incoming>>::poll_ready(&mut self.verify, cx)
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let answer = self.answer.load(Ordering::Relaxed);
        if answer == Answer::Decided as usize {
            return Either::Right(self.verify.call(request));
        }
        let mut response = Response::new(Full::default());
        if answer == Answer::WithHeaders as usize {
            response.headers_mut().extend(self.headers.clone());
        }
        Either::Left(ready(Ok(response)))
    }
}
