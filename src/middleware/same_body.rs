//! The layer for inner services whose bodies can be made of a denial's bytes.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{ResponseFuture, TokenAuth, TokenAuthLayer};

pin_project! {
    /// Keeps the body type of the inner service: around a [`TokenAuthLayer`] (see
    /// [`TokenAuthLayer::same_body`]), the [`TokenAuth`] that this makes, and its
    /// [`ResponseFuture`].
    #[derive(Clone, Debug)]
    #[must_use = "a layer protects nothing until it is mounted, and a future does nothing until it is polled"]
    pub struct SameBody<T> {
        #[pin]
        inner: T,
    }
}

impl SameBody<TokenAuthLayer> {
    pub(super) const fn new(layer: TokenAuthLayer) -> Self {
        Self { inner: layer }
    }
}

impl<S> Layer<S> for SameBody<TokenAuthLayer> {
    type Service = SameBody<TokenAuth<S>>;

    fn layer(&self, inner: S) -> SameBody<TokenAuth<S>> {
        SameBody { inner: self.inner.layer(inner) }
    }
}

impl<S, B, R> Service<Request<B>> for SameBody<TokenAuth<S>>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    R: From<Bytes>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = SameBody<ResponseFuture<S, B>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> SameBody<ResponseFuture<S, B>> {
        SameBody { inner: self.inner.call(request) }
    }
}

/// It may be dropped at any point: a request passes only by its decision.
impl<S, B, R> Future for SameBody<ResponseFuture<S, B>>
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
