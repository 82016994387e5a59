//! Bodies of requests, which must come in time, and of responses, until whose
//! end a request is being answered.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

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
