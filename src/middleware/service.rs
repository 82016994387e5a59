//! The service that asks before it calls the inner one.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::{fmt, mem};

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response};
use tower_service::Service;

use super::future::ResponseFuture;
use super::preallocated::Preallocated;
use super::respond::{After, Responder};
use super::{ResponseBody, TokenAuthLayer};
use crate::authenticate::Identity;
use crate::authenticate::{Authenticator, Decision, Step, as_sent};
use crate::denial::{Denial, DenialKind, Reason};
use crate::telemetry::{Deciding, passed};

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
    pub(super) preallocated: Preallocated,
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
        let settings = &self.settings;
        let deciding = Deciding::on(request.headers());
        let sent = request.method().clone();
        let counts_as = settings.counts_as(&mut request);
        let headers = request.headers_mut();
        match settings.authenticator.begin(Some(&sent), counts_as.as_ref(), headers) {
            Step::Decided(decision) => match settings.admit(decision, &mut request) {
                Ok(after) => {
                    // The inner service's records are not the decision's.
                    drop(deciding);
                    ResponseFuture::running(self.inner.call(request), after)
                }
                Err(denial) => {
                    // The service that was polled ready may hold a permit.
                    drop(self.take_ready());
                    ResponseFuture::denied(self.settings.deny(*denial, &mut request))
                }
            },
            Step::Ask(question) => {
                let trace = deciding.leave().while_asking(request.headers());
                let settings = Arc::clone(settings);
                ResponseFuture::asking(settings, *question, trace, self.take_ready(), request)
            }
        }
    }
}

impl<S: Clone> TokenAuth<S> {
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
    #[inline]
    fn counts_as<B>(&self, request: &mut Request<B>) -> Option<Method> {
        let counts_as = self.counts_as.as_ref()?;
        if [Method::TRACE, Method::CONNECT].contains(request.method()) {
            return None;
        }
        self.authenticator.enabled_sources().mark(request.headers_mut());
        with_head(request, |head| as_sent(head, |head| counts_as(head)))
    }

    /// Prepares a request that may pass, and says what to do to its response.
    #[inline(always)]
    pub(super) fn admit<B>(
        self: &Arc<Self>,
        decision: Decision,
        request: &mut Request<B>,
    ) -> Result<After, Box<Denial>> {
        let mut pass = decision?;
        if self.authenticator.is_unfinished(&pass) {
            pass = with_head(request, |head| self.authenticator.finish(pass, head))?;
        }
        passed(pass.slot());
        let sources = self.authenticator.enabled_sources();
        let after = self.responder.after(&pass, sources);
        if self.strip_credentials {
            for name in sources.names() {
                request.headers_mut().remove(name);
            }
        }
        let extensions = request.extensions_mut();
        self.preallocated.reserve(extensions);
        match pass.identity {
            Some(identity) => {
                extensions.insert(identity);
            }
            None => {
                // An outer service's word about who this is does not hold here.
                extensions.remove::<Identity>();
                extensions.insert(Anonymous(Arc::clone(self)));
            }
        }
        Ok(after)
    }

    pub(super) fn deny<B>(&self, denial: Denial, request: &mut Request<B>) -> Response<Bytes> {
        let sources = self.authenticator.enabled_sources();
        with_head(request, |head| self.responder.deny(denial, head, sources))
    }
}

/// Lends the head of a request to what has to see it whole.
fn with_head<B, T>(request: &mut Request<B>, look: impl FnOnce(&mut Parts) -> T) -> T {
    let (mut head, ()) = Request::new(()).into_parts();
    swap_head(request, &mut head);
    let seen = look(&mut head);
    swap_head(request, &mut head);
    seen
}

fn swap_head<B>(request: &mut Request<B>, head: &mut Parts) {
    mem::swap(request.method_mut(), &mut head.method);
    mem::swap(request.uri_mut(), &mut head.uri);
    mem::swap(request.version_mut(), &mut head.version);
    mem::swap(request.headers_mut(), &mut head.headers);
    mem::swap(request.extensions_mut(), &mut head.extensions);
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
        let Self(settings) = self;
        let sources = settings.authenticator.enabled_sources();
        settings.responder.deny(denial, &mut request.clone(), sources)
    }
}
