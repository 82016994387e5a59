//! The way of one request through the middleware.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::ResponseBody;
use super::respond::After;
use super::service::Settings;
use crate::authenticate::{Found, Question};
use crate::store::StoreError;

pin_project! {
    /// The future of a response of [`TokenAuth`](crate::middleware::TokenAuth).
    ///
    /// It may be dropped at any point: a request passes only by its decision.
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
    #[project_replace = StateReplacement]
    enum State<F, S, B> {
        /// The store is asked. Only this is boxed, so that no bound is put on
        /// the request's body.
        Asking {
            answer: Pin<Box<dyn Future<Output = Answer> + Send>>,
            settings: Arc<Settings>,
            service: S,
            head: Parts,
            body: B,
        },
        Running {
            #[pin]
            future: F,
            after: Option<After>,
        },
        Denied { response: Response<Bytes> },
        Done,
    }
}

struct Answer {
    question: Question,
    found: Result<Found, StoreError>,
}

impl<S: Service<Request<B>>, B> ResponseFuture<S, B> {
    pub(super) const fn running(future: S::Future, after: After) -> Self {
        Self { state: State::Running { future, after: Some(after) } }
    }

    pub(super) const fn denied(response: Response<Bytes>) -> Self {
        Self { state: State::Denied { response } }
    }

    /// `service` is ready, and is called or dropped when the store has
    /// answered.
    pub(super) fn asking(
        settings: Arc<Settings>,
        question: Question,
        service: S,
        head: Parts,
        body: B,
    ) -> Self {
        let store = Arc::clone(settings.authenticator.store());
        let answer = Box::pin(async move {
            let found = question.ask(&*store).await;
            Answer { question, found }
        });
        Self { state: State::Asking { answer, settings, service, head, body } }
    }
}

impl<F, S, B> State<F, S, B>
where
    S: Service<Request<B>, Future = F>,
{
    /// What follows when the store has answered.
    fn after_answer(answer: Answer, asking: StateReplacement<F, S, B>) -> Self {
        let StateReplacement::Asking { settings, mut service, mut head, body, .. } = asking else {
            return Self::Done;
        };
        let Answer { question, found } = answer;
        let authenticator = &settings.authenticator;
        let decision = authenticator.conclude(&question, found, head.method.as_str());
        match authenticator.settle(decision, &head) {
            Ok(pass) => {
                let after = settings.admit(pass, &mut head);
                let future = service.call(Request::from_parts(head, body));
                Self::Running { future, after: Some(after) }
            }
            Err(denial) => {
                drop(service);
                Self::Denied { response: settings.deny(denial, &head) }
            }
        }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProjection::Asking { answer, .. } => {
                    let answer = ready!(answer.as_mut().poll(cx));
                    let asking = state.as_mut().project_replace(State::Done);
                    state.set(State::after_answer(answer, asking));
                }
                StateProjection::Running { future, after } => {
                    let response = ready!(future.poll(cx))?;
                    let after = after.take().unwrap_or_default();
                    return Poll::Ready(Ok(after.apply(response)));
                }
                StateProjection::Denied { .. } => {
                    if let StateReplacement::Denied { response } =
                        state.as_mut().project_replace(State::Done)
                    {
                        return Poll::Ready(Ok(response.map(ResponseBody::own)));
                    }
                }
                // Polled after its end: there is nothing left to answer.
                StateProjection::Done => return Poll::Pending,
            }
        }
    }
}

impl<S: Service<Request<B>>, B> fmt::Debug for ResponseFuture<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Asking { .. } => "asking the store",
            State::Running { .. } => "running",
            State::Denied { .. } => "denied",
            State::Done => "done",
        };
        f.debug_tuple("ResponseFuture").field(&state).finish()
    }
}
