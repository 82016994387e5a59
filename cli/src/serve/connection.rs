//! One connection: its handshake, its requests, and its end.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::time::timeout;

use super::body::{RequestBody, ResponseBody};
use super::connections::Connection;
use super::io::{Stream, Watched};
use super::listener::Answers;
use super::progress::{LINGER, Overdue, Phase, Progress};
use super::stop::Stop;
use super::tls::Acceptor;

/// How many headers a request may have, and how many bytes its head: more than
/// nginx, HAProxy and Envoy let through. All connections may have half of one.
const MOST_HEADERS: usize = 1_000;
const MOST_HEAD_BYTES: u32 = 128 * 1_024;

/// Serves one connection. One that breaks ends its own task and nothing else.
pub(super) async fn serve<B>(
    connection: Connection,
    stream: Box<dyn Stream>,
    tls: Option<Acceptor>,
    service: impl Answers<B>,
    stop: Stop,
) where
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + Unpin + 'static,
{
    let progress = connection.progress();
    let Some(stream) = secured(stream, tls, progress, &stop).await else { return };
    let mut server = auto::Builder::new(TokioExecutor::new());
    // Its own limit would be one for idle connections, too.
    server.http1().header_read_timeout(None).max_headers(MOST_HEADERS);
    server.http1().max_buf_size(MOST_HEAD_BYTES as usize);
    server.http2().max_header_list_size(MOST_HEAD_BYTES);
    let io = TokioIo::new(Watched::new(stream, Arc::clone(progress)));
    let service = Counted { service, progress: Arc::clone(progress) };
    let mut served = pin!(server.serve_connection(io, service));
    let broken = |error| tracing::debug!(error, "a connection broke");
    // The connection first: what it reads may bring its deadline nearer.
    tokio::select! {
        biased;
        ended = served.as_mut() => return ended.unwrap_or_else(broken),
        overdue = progress.overdue() => match overdue {
            Overdue::In(Phase::Idle) => {}
            overdue => return tracing::debug!(?overdue, "a connection was closed"),
        },
        () = stop.wait() => {}
    }
    // Before the first head a connection is told to end by cutting it off.
    tokio::select! {
        biased;
        ended = served.as_mut() => return ended.unwrap_or_else(broken),
        () = progress.begun() => {}
    }
    served.as_mut().graceful_shutdown();
    tokio::select! {
        ended = served => ended.unwrap_or_else(broken),
        () = progress.wound_down() => {}
    }
}

/// The stream after its handshake, if it needs one.
async fn secured(
    stream: Box<dyn Stream>,
    tls: Option<Acceptor>,
    progress: &Progress,
    stop: &Stop,
) -> Option<Box<dyn Stream>> {
    let Some(tls) = tls else { return Some(stream) };
    let mut secured = pin!(tls.accept(stream));
    tokio::select! {
        secured = secured.as_mut() => return secured,
        _ = progress.overdue() => return None,
        () = stop.wait() => {}
    }
    // A request behind it is under way.
    timeout(LINGER, secured).await.ok().flatten()
}

/// A service that notes what it is answering.
struct Counted<S> {
    service: S,
    progress: Arc<Progress>,
}

type Answer<B> =
    Pin<Box<dyn Future<Output = Result<Response<ResponseBody<B>>, Infallible>> + Send>>;

impl<B, S> Service<Request<Incoming>> for Counted<S>
where
    B: 'static,
    S: Service<
            Request<RequestBody>,
            Response = Response<B>,
            Error = Infallible,
            Future: Send + 'static,
        >,
{
    type Response = Response<ResponseBody<B>>;
    type Error = Infallible;
    type Future = Answer<B>;

    fn call(&self, request: Request<Incoming>) -> Answer<B> {
        let length = request.body().size_hint().exact();
        let responding = self.progress.responding(request.version(), length);
        let limit = self.progress.limits().head;
        let body = |body| RequestBody::new(body, limit, responding.request());
        let answer = self.service.call(request.map(body));
        Box::pin(async move {
            let response = answer.await?;
            responding.answered();
            Ok(response.map(|body| ResponseBody::new(body, responding)))
        })
    }
}
