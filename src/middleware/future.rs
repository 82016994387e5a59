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
use crate::method::Needed;
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
        /// The store is asked. Boxed, so that the other states stay small.
        Asking { waiting: Box<Waiting<S, B>> },
        Running {
            #[pin]
            future: F,
            after: After,
        },
        /// `None` after the end.
        Denied { response: Option<Box<Response<Bytes>>> },
    }
}

/// A request whose decision waits for the store. Only the question to the store
/// has its type erased, so that no bound is put on the request's body.
struct Waiting<S, B> {
    answer: Pin<Box<dyn Future<Output = Answer> + Send>>,
    settings: Arc<Settings>,
    service: S,
    head: Parts,
    body: B,
}

struct Answer {
    question: Box<Question>,
    found: Result<Found, StoreError>,
}

impl<S: Service<Request<B>>, B> ResponseFuture<S, B> {
    #[inline]
    pub(super) const fn running(future: S::Future, after: After) -> Self {
        Self { state: State::Running { future, after } }
    }

    pub(super) fn denied(response: Response<Bytes>) -> Self {
        Self { state: State::Denied { response: Some(Box::new(response)) } }
    }

    /// `service` is ready, and is called or dropped when the store has
    /// answered.
    pub(super) fn asking(
        settings: Arc<Settings>,
        question: Box<Question>,
        service: S,
        head: Parts,
        body: B,
    ) -> Self {
        let asking = Arc::clone(&settings);
        let answer = Box::pin(async move {
            let found = asking.authenticator.ask(&question).await;
            Answer { question, found }
        });
        let waiting = Box::new(Waiting { answer, settings, service, head, body });
        Self { state: State::Asking { waiting } }
    }
}

impl<S: Service<Request<B>>, B> Waiting<S, B> {
    /// What follows when the store has answered.
    fn conclude(self, Answer { question, found }: Answer) -> State<S::Future, S, B> {
        let Self { settings, mut service, head, body, .. } = self;
        let authenticator = &settings.authenticator;
        let (method, mut identity) = (&Needed::named(head.method.as_str()), None);
        let decision = authenticator.conclude(&question, found, method, &mut identity);
        match authenticator.settle(decision, identity.as_ref(), &head) {
            Ok(pass) => {
                let mut request = Request::from_parts(head, body);
                let after = settings.admit(pass, identity, &mut request);
                State::Running { future: service.call(request), after }
            }
            Err(denial) => {
                drop(service);
                State::Denied { response: Some(Box::new(settings.deny(*denial, &head))) }
            }
        }
    }
}

impl<F, S, B> State<F, S, B>
where
    S: Service<Request<B>, Future = F>,
{
    /// Waits for the store.
    #[cold]
    fn wait(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let StateProjection::Asking { waiting } = self.as_mut().project() {
            let answer = ready!(waiting.answer.as_mut().poll(cx));
            let over = Self::Denied { response: None };
            if let StateReplacement::Asking { waiting } = self.as_mut().project_replace(over) {
                self.set(waiting.conclude(answer));
            }
        }
        Poll::Ready(())
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProjection::Running { future, after } => {
                    return future.poll(cx).map_ok(|response| after.apply(response));
                }
                StateProjection::Asking { .. } => ready!(state.as_mut().wait(cx)),
                StateProjection::Denied { response } => {
                    let response = response.take().map(|own| Ok(own.map(ResponseBody::own)));
                    return response.map_or(Poll::Pending, Poll::Ready);
                }
            }
        }
    }
}

impl<S: Service<Request<B>>, B> fmt::Debug for ResponseFuture<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Asking { .. } => "asking the store",
            State::Running { .. } => "running",
            State::Denied { response: Some(_) } => "denied",
            State::Denied { response: None } => "done",
        };
        f.debug_tuple("ResponseFuture").field(&state).finish()
    }
}
