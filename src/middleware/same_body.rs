//! The layer for inner services whose bodies can be made of a denial's bytes.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{ResponseFuture, TokenAuth, TokenAuthLayer};

/// A [`TokenAuthLayer`] that keeps the body type of the inner service; made by
/// [`TokenAuthLayer::same_body`].
#[derive(Clone, Debug)]
#[must_use = "a layer protects nothing until it is mounted"]
pub struct SameBodyLayer(pub(super) TokenAuthLayer);

impl<S> Layer<S> for SameBodyLayer {
    type Service = SameBody<S>;

    fn layer(&self, inner: S) -> SameBody<S> {
        SameBody(self.0.layer(inner))
    }
}

/// A [`TokenAuth`] that answers with the body type of the inner service; made
/// by [`SameBodyLayer`].
#[derive(Clone, Debug)]
pub struct SameBody<S>(TokenAuth<S>);

impl<S, B, R> Service<Request<B>> for SameBody<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    R: From<Bytes>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = SameBodyFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> SameBodyFuture<S, B> {
        SameBodyFuture { inner: self.0.call(request) }
    }
}

pin_project! {
    /// The future of a response of [`SameBody`].
    ///
    /// It may be dropped at any point: a request passes only by its decision.
    pub struct SameBodyFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        inner: ResponseFuture<S, B>,
    }
}

impl<S, B, R> Future for SameBodyFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: From<Bytes>,
{
    type Output = Result<Response<R>, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().inner.poll_for(cx, |body| body, R::from)
    }
}

impl<S: Service<Request<B>>, B> fmt::Debug for SameBodyFuture<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SameBodyFuture").field(&self.inner).finish()
    }
}
