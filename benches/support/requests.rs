//! Requests as a real client sends them, and a way to send them through a
//! service that measures little else than the service.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum::body::Body;
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderValue, Method, Request, Response, StatusCode};
use tower::Service;

thread_local! {
    /// The request that the inner service was called with last.
    static RETURNED: Cell<Option<Request<Body>>> = const { Cell::new(None) };
}

/// The bare service. It lays its request aside to be sent again, since making
/// one costs more than authenticating it.
pub(crate) fn keep(request: Request<Body>) -> Ready<Result<Response<Body>, Infallible>> {
    RETURNED.set(Some(request));
    ready(Ok(Response::new(Body::empty())))
}

/// Eight headers, as a program behind a proxy sends them.
pub(crate) fn request(method: Method) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri("/orders/1234")
        .header("host", "api.example.com")
        .header("user-agent", "reqwest/0.12.9")
        .header("accept", "application/json")
        .header("accept-encoding", "gzip, br")
        .header("authorization", "Bearer none")
        .header("content-type", "application/json")
        .header("x-request-id", "5f2b8c1e-9d7a-4650-b1c2-d3e4f5a69788")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .body(Body::empty())
        .expect("a well-formed request")
}

/// An endless row of requests, each with the next of some credentials.
pub(crate) struct Requests {
    template: http::request::Parts,
    /// Sent in turn, and then from the first again.
    pub(crate) credentials: Vec<HeaderValue>,
    next: usize,
}

impl Requests {
    /// Requests with the credentials `Bearer` and each of these tokens in turn.
    pub(crate) fn new(method: Method, tokens: impl IntoIterator<Item = String>) -> Self {
        let credential = |token| HeaderValue::try_from(format!("Bearer {token}"));
        let credentials: Result<Vec<_>, _> = tokens.into_iter().map(credential).collect();
        let (template, _) = request(method).into_parts();
        Self { template, credentials: credentials.expect("visible tokens"), next: 0 }
    }

    /// The next request: the one that came back, with another credential and
    /// without extensions, or a new one.
    #[inline]
    fn next(&mut self) -> Request<Body> {
        let made = || Request::from_parts(self.template.clone(), Body::empty());
        let mut request = RETURNED.take().unwrap_or_else(made);
        self.next = if self.next + 1 < self.credentials.len() { self.next + 1 } else { 0 };
        if let Some(credential) = request.headers_mut().get_mut(AUTHORIZATION) {
            credential.clone_from(&self.credentials[self.next]);
        }
        *request.extensions_mut() = Extensions::new();
        request
    }
}

/// Sends one request through a service that answers at once.
#[inline]
pub(crate) fn exchange<S, B>(service: &mut S, requests: &mut Requests) -> StatusCode
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
{
    let request = requests.next();
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Ok(())) = service.poll_ready(&mut cx) else { panic!("not ready") };
    match pin!(service.call(request)).poll(&mut cx) {
        Poll::Ready(Ok(response)) => response.status(),
        Poll::Ready(Err(error)) => match error {},
        Poll::Pending => panic!("the service waits"),
    }
}
