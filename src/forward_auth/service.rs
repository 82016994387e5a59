//! The service: a request of the gateway in, an answer out.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH};
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use tower_service::Service;

use super::{ForwardAuth, Settings};
use crate::authenticate::{Decision, Step};

impl<B> Service<Request<B>> for ForwardAuth {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = ForwardAuthFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    /// Answers without looking at the body, which is dropped unread.
    fn call(&mut self, request: Request<B>) -> ForwardAuthFuture {
        let (mut head, _body) = request.into_parts();
        let (method, gate) = (self.settings.profile.method(&head), &self.settings.gate);
        match gate.authenticator.begin(method.as_ref(), None, &mut head.headers) {
            Step::Decided(decision) => {
                ForwardAuthFuture(State::Answered(Some(self.settings.answer(decision, head))))
            }
            Step::Ask(question) => {
                let settings = Arc::clone(&self.settings);
                ForwardAuthFuture(State::Asking(Box::pin(async move {
                    let decision = settings.gate.authenticator.ask(*question).await;
                    settings.answer(decision, head)
                })))
            }
        }
    }
}

impl Settings {
    fn answer(&self, decision: Decision, mut request: Parts) -> Response<Full<Bytes>> {
        match self.gate.finish(decision, &mut request) {
            Ok(admission) => {
                let mut response = Response::new(Full::default());
                // The room of the request's headers, not one of them: `hyper`
                // takes it back for the next request's.
                let mut headers = request.headers;
                headers.clear();
                headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                for (name, value) in admission {
                    headers.insert(name, value);
                }
                *response.headers_mut() = headers;
                response
            }
            Err(denial) => {
                let response = self.gate.render(&denial, &request.method);
                let mut response = response.map(Full::from);
                response.extensions_mut().insert(denial);
                response
            }
        }
    }
}

/// The future of an answer of [`ForwardAuth`].
///
/// It may be dropped at any point. An answer that needed no store is given once:
/// polled after that, the future is never ready, and does not panic.
pub struct ForwardAuthFuture(State);

enum State {
    Answered(Option<Response<Full<Bytes>>>),
    /// The store is asked.
    Asking(Pin<Box<dyn Future<Output = Response<Full<Bytes>>> + Send>>),
}

impl Future for ForwardAuthFuture {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            // Polled after its end there is nothing left to answer.
            State::Answered(answer) => {
                answer.take().map_or(Poll::Pending, |it| Poll::Ready(Ok(it)))
            }
            State::Asking(answer) => answer.as_mut().poll(cx).map(Ok),
        }
    }
}

impl fmt::Debug for ForwardAuthFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.0 {
            State::Answered(_) => "answered",
            State::Asking(_) => "asking the store",
        };
        f.debug_tuple("ForwardAuthFuture").field(&state).finish()
    }
}
