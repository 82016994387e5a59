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
    /// Polled after its end it does not panic: that of a denial is then never
    /// ready, and any other polls the inner service's future again.
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        way: Way<S::Future, S, B>,
    }
}

pin_project! {
    #[project = WayProjection]
    enum Way<F, S, B> {
        /// The inner service was called at once.
        Straight { #[pin] future: F, after: After },
        /// Boxed, so that the other way stays short.
        Detour { stage: Pin<Box<Stage<F, S, B>>> },
    }
}

pin_project! {
    #[project = StageProjection]
    #[project_replace = StageReplacement]
    enum Stage<F, S, B> {
        /// The store is asked.
        Asking { waiting: Waiting<S, B> },
        Running { #[pin] future: F, after: After },
        /// `None` after the end.
        Denied { response: Option<Response<Bytes>> },
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
    pub(super) fn running(future: S::Future, after: After) -> Self {
        Self { way: Way::Straight { future, after } }
    }

    pub(super) fn denied(response: Response<Bytes>) -> Self {
        Self::detour(Stage::Denied { response: Some(response) })
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
        let waiting = Waiting { answer, settings, service, head, body };
        Self::detour(Stage::Asking { waiting })
    }

    fn detour(stage: Stage<S::Future, S, B>) -> Self {
        Self { way: Way::Detour { stage: Box::pin(stage) } }
    }
}

impl<S: Service<Request<B>>, B> Waiting<S, B> {
    /// The next stage.
    fn conclude(self, Answer { question, found }: Answer) -> Stage<S::Future, S, B> {
        let Self { settings, mut service, mut head, body, .. } = self;
        let authenticator = &settings.authenticator;
        let (method, mut identity) = (&Needed::named(head.method.as_str()), None);
        let decision = authenticator.conclude(&question, found, method, &mut identity);
        match authenticator.settle(decision, identity.as_ref(), &mut head) {
            Ok(pass) => {
                let mut request = Request::from_parts(head, body);
                let after = settings.admit(pass.carrier, &mut identity, &mut request);
                Stage::Running { future: service.call(request), after }
            }
            Err(denial) => {
                drop(service);
                Stage::Denied { response: Some(settings.deny(*denial, &mut head)) }
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
        match self.project().way.project() {
            WayProjection::Straight { future, after } => {
                future.poll(cx).map_ok(|response| after.apply(response).map(inner))
            }
            WayProjection::Detour { stage } => stage.as_mut().poll_for(cx, inner, own),
        }
    }
}

impl<F, S, B, R> Stage<F, S, B>
where
    F: Future<Output = Result<Response<R>, S::Error>>,
    S: Service<Request<B>, Response = Response<R>, Future = F>,
{
    #[cold]
    fn poll_for<T>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        inner: fn(R) -> T,
        own: fn(Bytes) -> T,
    ) -> Poll<Result<Response<T>, S::Error>> {
        loop {
            match self.as_mut().project() {
                StageProjection::Running { future, after } => {
                    return future.poll(cx).map_ok(|response| after.apply(response).map(inner));
                }
                StageProjection::Asking { waiting } => {
                    let answer = ready!(waiting.answer.as_mut().poll(cx));
                    self.as_mut().go_on(answer);
                }
                StageProjection::Denied { response } => {
                    let response = response.take().map(|denial| Ok(denial.map(own)));
                    return response.map_or(Poll::Pending, Poll::Ready);
                }
            }
        }
    }

    /// Takes the store's answer.
    fn go_on(mut self: Pin<&mut Self>, answer: Answer) {
        let over = Self::Denied { response: None };
        if let StageReplacement::Asking { waiting } = self.as_mut().project_replace(over) {
            self.set(waiting.conclude(answer));
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
        let stage = match &self.way {
            Way::Straight { .. } => "running",
            Way::Detour { stage } => match **stage {
                Stage::Asking { .. } => "asking the store",
                Stage::Running { .. } => "running",
                Stage::Denied { response: Some(_) } => "denied",
                Stage::Denied { response: None } => "done",
            },
        };
        f.debug_tuple("ResponseFuture").field(&stage).finish()
    }
}
