//! The way of one request through the middleware.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::ResponseBody;
use super::respond::After;
use super::service::Settings;
use crate::authenticate::{Decision, Question};
use crate::telemetry::Trace;

pin_project! {
    /// The future of a response of [`TokenAuth`](crate::middleware::TokenAuth).
    ///
    /// It may be dropped at any point: a request passes only by its decision.
    /// Polled after its end it does not panic: that of a denial is then never
    /// ready, and any other polls the inner service's future again.
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S::Future, S, B>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, S, B> {
        /// The store is asked. Boxed, as is a denial, so that the future of a
        /// request that passes at once stays short.
        Asking { waiting: Option<Box<Waiting<S, B>>> },
        /// The inner service was called.
        Running { #[pin] future: F, after: After },
        /// `None` after the end.
        Denied { response: Option<Box<Response<Bytes>>> },
    }
}

/// A request whose decision waits for the store. Only the question to the store
/// has its type erased, so that no bound is put on the request's body.
struct Waiting<S, B> {
    decision: Pin<Box<dyn Future<Output = Decision> + Send>>,
    trace: Trace,
    settings: Arc<Settings>,
    service: S,
    request: Request<B>,
}

impl<S: Service<Request<B>>, B> ResponseFuture<S, B> {
    #[inline(always)]
    pub(super) const fn running(future: S::Future, after: After) -> Self {
        Self { state: State::Running { future, after } }
    }

    pub(super) fn denied(response: Response<Bytes>) -> Self {
        Self { state: State::denied(response) }
    }

    /// `service` is ready, and is called or dropped when the store has
    /// answered.
    pub(super) fn asking(
        settings: Arc<Settings>,
        question: Question,
        trace: Trace,
        service: S,
        request: Request<B>,
    ) -> Self {
        let asking = Arc::clone(&settings);
        let asked = async move { asking.authenticator.ask(question).await };
        let decision = Box::pin(trace.around(asked));
        let waiting = Waiting { decision, trace, settings, service, request };
        Self { state: State::Asking { waiting: Some(Box::new(waiting)) } }
    }
}

impl<F, S, B> State<F, S, B> {
    fn denied(response: Response<Bytes>) -> Self {
        Self::Denied { response: Some(Box::new(response)) }
    }
}

impl<S: Service<Request<B>>, B> Waiting<S, B> {
    /// The next state, by the store's answer.
    fn conclude(self, decision: Decision) -> State<S::Future, S, B> {
        let Self { trace, settings, mut service, mut request, .. } = self;
        let deciding = trace.enter();
        match settings.admit(decision, &mut request) {
            Ok(after) => {
                // The inner service's records are not the decision's.
                drop(deciding);
                drop(trace);
                State::Running { future: service.call(request), after }
            }
            Err(denial) => {
                // It may hold a permit.
                drop(service);
                State::denied(settings.deny(*denial, &mut request))
            }
        }
    }
}

impl<S, B, R> ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    /// Polls for a response whose body is made of the inner service's, or of a
    /// denial's.
    #[inline(always)]
    pub(super) fn poll_for<T>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        inner: fn(R) -> T,
        own: fn(Bytes) -> T,
    ) -> Poll<Result<Response<T>, S::Error>> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProjection::Running { future, after } => {
                    let mut response = ready!(future.poll(cx))?;
                    after.apply(&mut response);
                    return Poll::Ready(Ok(response.map(inner)));
                }
                StateProjection::Asking { waiting: slot } => {
                    let Some(mut waiting) = slot.take() else { return Poll::Pending };
                    match waiting.decision.as_mut().poll(cx) {
                        Poll::Ready(decision) => state.set(waiting.conclude(decision)),
                        Poll::Pending => {
                            *slot = Some(waiting);
                            return Poll::Pending;
                        }
                    }
                }
                StateProjection::Denied { response } => {
                    let response = response.take().map(|denial| Ok(denial.map(own)));
                    return response.map_or(Poll::Pending, Poll::Ready);
                }
            }
        }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_for(cx, ResponseBody::inner, ResponseBody::own)
    }
}

impl<S: Service<Request<B>>, B> fmt::Debug for ResponseFuture<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Asking { .. } => "asking the store",
            State::Running { .. } => "running",
            State::Denied { response: Some(_) } => "denied",
            State::Denied { response: None } => "done",
        };
        f.debug_tuple("ResponseFuture").field(&state).finish()
    }
}
