//! Bodies of requests, which must come in time, and of responses, until whose
//! end a request is being answered.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tower_api_token::forward_auth::ForwardAuth;
use tower_service::Service;

use super::progress::{Answering, Responding};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request's body, which fails if the rest of it does not come in time.
pub(super) struct RequestBody {
    body: Incoming,
    end: Instant,
    alarm: Option<Pin<Box<Sleep>>>,
    request: Answering,
}

impl RequestBody {
    pub(super) fn new(body: Incoming, limit: Duration, request: Answering) -> Self {
        Self { body, end: Instant::now() + limit, alarm: None, request }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.request.has_body();
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.request.has_body();
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        this.request.wants_body();
        let alarm = this.alarm.get_or_insert_with(|| Box::pin(sleep_until(this.end)));
        ready!(alarm.as_mut().poll(cx));
        this.request.has_body();
        Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::TimedOut).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A response's body, until whose end the request is being answered.
pub(super) struct ResponseBody<B> {
    body: B,
    _responding: Responding,
}

impl<B> ResponseBody<B> {
    pub(super) const fn new(body: B, responding: Responding) -> Self {
        Self { body, _responding: responding }
    }
}

impl<B: Body + Unpin> Body for ResponseBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// How much of a body is taken, and for how long, before the stream is closed.
const MOST_BYTES: usize = 64 * 1_024;
const LONGEST: Duration = Duration::from_secs(1);

/// Takes the body and throws it away: some clients over HTTP/2 do not look at
/// the answer of a stream that is closed before they have sent theirs. Over
/// HTTP/1 the connection sees to it.
pub(super) async fn discard(version: Version, body: RequestBody) {
    if version == Version::HTTP_2 {
        drop(timeout(LONGEST, Limited::new(body, MOST_BYTES).collect()).await);
    }
}

/// The endpoint, which looks at no body.
#[derive(Clone)]
pub(super) struct Bodiless(pub(super) ForwardAuth);

type Answer = Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send>>;

impl Service<Request<RequestBody>> for Bodiless {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Answer {
        let (head, body) = request.into_parts();
        let version = head.version;
        let answer = self.0.call(Request::from_parts(head, Bytes::new()));
        Box::pin(async move {
            let answer = answer.await;
            discard(version, body).await;
            answer
        })
    }
}
