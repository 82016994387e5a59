//! The service that asks before it calls the inner one.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::{fmt, mem};

use bytes::Bytes;
use http::request::Parts;
use http::{Extensions, HeaderMap, Method, Request, Response};
use tower_service::Service;

use super::future::ResponseFuture;
use super::respond::{After, Responder};
use super::room::Room;
use super::{ResponseBody, TokenAuthLayer};
use crate::authenticate::{Authenticator, Pass, Step, as_sent};
use crate::credentials::Carrier;
use crate::denial::{Denial, DenialKind, Reason};
use crate::events::passed;
use crate::identity::Identity;
use crate::method::Needed;

/// A service whose requests must carry an API token; made by
/// [`TokenAuthLayer`].
#[derive(Clone, Debug)]
pub struct TokenAuth<S> {
    inner: S,
    settings: Arc<Settings>,
}

/// What every clone of one service shares.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) authenticator: Authenticator,
    pub(super) responder: Responder,
    pub(super) strip_credentials: bool,
    pub(super) counts_as: Option<Arc<CountsAs>>,
    pub(super) room: Room,
}

/// Names the method that a request is judged by, if it is not its own.
pub(super) type CountsAs = dyn Fn(&Parts) -> Option<Method> + Send + Sync;

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("authenticator", &self.authenticator)
            .field("responder", &self.responder)
            .field("strip_credentials", &self.strip_credentials)
            .finish_non_exhaustive()
    }
}

impl<S> TokenAuth<S> {
    pub(super) const fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }

    /// `inner` behind `layer`.
    #[must_use]
    pub fn with_layer(layer: &TokenAuthLayer, inner: S) -> Self {
        tower_layer::Layer::layer(layer, inner)
    }
}

impl<S, B, R> Service<Request<B>> for TokenAuth<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut request: Request<B>) -> ResponseFuture<S, B> {
        let method = match standard(request.method()) {
            Some(method) if self.settings.counts_as.is_none() => method,
            _ => return self.call_by_name(request),
        };
        let authenticator = &self.settings.authenticator;
        let mut identity = None;
        match authenticator.begin(method, request.headers_mut(), &mut identity) {
            Step::Settled(carrier) => {
                let after = self.settings.admit(carrier, &mut identity, &mut request);
                // Nothing is left of it, and looking whether there is costs more.
                mem::forget(identity);
                ResponseFuture::running(self.inner.call(request), after)
            }
            step => self.call_slowly(step, identity, request),
        }
    }
}

impl<S: Clone> TokenAuth<S> {
    /// The way of a method that is no standard one, or where the host may name
    /// another. Its name has to outlive the borrow of the request's headers.
    #[cold]
    fn call_by_name<B>(&mut self, request: Request<B>) -> ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        let (mut head, body) = request.into_parts();
        let (sent, counts_as) = (head.method.clone(), self.settings.counts_as(&mut head));
        let method = counts_as.as_ref().unwrap_or(&sent);
        let method = &Needed::in_place_of(sent.as_str(), method.as_str());
        let (authenticator, mut identity) = (&self.settings.authenticator, None);
        let step = authenticator.begin(method, &mut head.headers, &mut identity);
        self.call_slowly(step, identity, Request::from_parts(head, body))
    }

    /// Goes on where the whole request, or the store, is needed.
    #[cold]
    fn call_slowly<B>(
        &mut self,
        step: Step,
        mut identity: Option<Identity>,
        request: Request<B>,
    ) -> ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        let (mut head, body) = request.into_parts();
        let decision = match step {
            Step::Settled(carrier) => Ok(Pass::settled(carrier)),
            Step::Done(decision) => decision,
            Step::Ask(question) => {
                let (service, settings) = (self.take_ready(), Arc::clone(&self.settings));
                return ResponseFuture::asking(settings, question, service, head, body);
            }
        };
        match self.settings.authenticator.settle(decision, identity.as_ref(), &mut head) {
            Ok(pass) => {
                let mut request = Request::from_parts(head, body);
                let after = self.settings.admit(pass.carrier, &mut identity, &mut request);
                ResponseFuture::running(self.inner.call(request), after)
            }
            Err(denial) => {
                // The service that was polled ready may hold a permit.
                drop(self.take_ready());
                ResponseFuture::denied(self.settings.deny(*denial, &mut head))
            }
        }
    }

    /// The inner service that was polled ready, with its clone put in its
    /// place.
    fn take_ready(&mut self) -> S {
        let clone = self.inner.clone();
        mem::replace(&mut self.inner, clone)
    }
}

impl Settings {
    /// The method that the host names in place of the request's own. It sees
    /// credentials marked as sensitive, as every function of the host's does.
    fn counts_as(&self, request: &mut Parts) -> Option<Method> {
        let counts_as = self.counts_as.as_ref()?;
        if [Method::TRACE, Method::CONNECT].contains(&request.method) {
            return None;
        }
        self.authenticator.enabled_sources().mark(&mut request.headers);
        as_sent(request, |request| counts_as(request))
    }

    /// Prepares a request that may pass, and says what to do to its response.
    /// Takes the identity out.
    #[inline(always)]
    pub(super) fn admit<B>(
        self: &Arc<Self>,
        carrier: Carrier,
        identity: &mut Option<Identity>,
        request: &mut Request<B>,
    ) -> After {
        passed(identity.as_ref().map(Identity::slot));
        let sources = self.authenticator.enabled_sources();
        let after = self.responder.after(carrier, identity.as_ref(), sources);
        if self.strip_credentials {
            self.strip(request.headers_mut());
        }
        match identity.take() {
            Some(identity) => {
                let extensions = request.extensions_mut();
                self.room.make(extensions);
                if let Some(outer) = extensions.insert(identity) {
                    let_go(outer);
                }
            }
            None => self.mark_anonymous(request.extensions_mut()),
        }
        after
    }

    #[cold]
    fn mark_anonymous(self: &Arc<Self>, extensions: &mut Extensions) {
        // An outer service's word about who this is does not hold here.
        extensions.remove::<Identity>();
        extensions.insert(Anonymous(Arc::clone(self)));
    }

    #[cold]
    fn strip(&self, headers: &mut HeaderMap) {
        for name in self.authenticator.enabled_sources().names() {
            headers.remove(name);
        }
    }

    pub(super) fn deny(&self, denial: Denial, request: &mut Parts) -> Response<Bytes> {
        self.responder.deny(denial, request, self.authenticator.enabled_sources())
    }
}

/// What an outer service said about who this is.
#[cold]
fn let_go(outer: Identity) {
    drop(outer);
}

/// A request's method if it is a standard one, without comparing texts.
#[inline]
fn standard(method: &Method) -> Option<&'static Needed<'static>> {
    match *method {
        Method::GET => Some(&Needed::GET),
        Method::HEAD => Some(&Needed::HEAD),
        Method::POST => Some(&Needed::POST),
        Method::PUT => Some(&Needed::PUT),
        Method::DELETE => Some(&Needed::DELETE),
        Method::PATCH => Some(&Needed::PATCH),
        Method::OPTIONS => Some(&Needed::OPTIONS),
        Method::TRACE => Some(&Needed::TRACE),
        Method::CONNECT => Some(&Needed::CONNECT),
        _ => None,
    }
}

/// In the extensions of a request that passed without an identity, so that a
/// handler can tell it from one that never met the layer.
///
/// ```
/// use bytes::Bytes;
/// use http::Response;
/// use http::request::Parts;
/// use tower_api_token::Identity;
/// use tower_api_token::middleware::Anonymous;
///
/// /// Serves identified requests alone, in one place of an otherwise open API.
/// fn whoami(request: &Parts) -> Response<Bytes> {
///     if let Some(identity) = request.extensions.get::<Identity>() {
///         return Response::new(identity.user().to_string().into());
///     }
///     let anonymous = request.extensions.get::<Anonymous>().expect("behind the layer");
///     anonymous.deny(request)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Anonymous(Arc<Settings>);

impl Anonymous {
    /// The answer to this request where only one with an identity is served:
    /// 401, rendered as the layer would.
    #[must_use]
    pub fn deny(&self, request: &Parts) -> Response<Bytes> {
        let denial = Denial::because(DenialKind::MissingCredential, Reason::Anonymous);
        self.0.deny(denial, &mut request.clone())
    }
}
