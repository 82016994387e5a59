//! The decision as a service that a gateway asks for every request ("forward
//! auth", "auth request", "external authorisation").
//!
//! ```
//! use axum::Router;
//! use tower_api_token::forward_auth::{ForwardAuth, Profile};
//! use tower_api_token::store::MemoryStore;
//!
//! let verify = ForwardAuth::new(MemoryStore::new(), Profile::OriginalMethod);
//! let router: Router = Router::new().route_service("/auth/verify", verify);
//! ```
//!
//! # What it answers
//!
//! | situation | answer |
//! |---|---|
//! | live token, method granted | 200, no body, the [`IdentityHeaders`] |
//! | no, unknown or ended token | 401 with a challenge |
//! | malformed or repeated credential | 400; under [`Profile::OriginalMethod`] and [`Profile::MethodHeader`] 401 |
//! | live token, method not granted or in doubt | 403 |
//! | store down or slow | 503 with `Retry-After` |
//! | stored record unreadable | 500 |
//!
//! Every answer is `Cache-Control: no-store`. The answer depends on the
//! credential and the method alone: not on the request's own method (but for
//! [`Profile::OwnRequestLine`]), its path, query, body or content type. No
//! denial carries an identity or repeats anything that the request said.
//!
//! # What the gateway must do
//!
//! * Name the client's method in the one way that the [`Profile`] reads, over
//!   whatever the client sent under that name. A setting that gives the
//!   gateway's own request another method must stay off under
//!   [`Profile::OwnRequestLine`].
//! * Remove the identity headers from what the client sent, also where they are
//!   written with underscores or dots, and set them to what this service said.
//! * Put `Api-Token-Slot` and `Api-Token-Expires`, which tell the client of its
//!   token, on the answer of the API, in place of the API's own.
//! * Remove the method override headers, which change the method after it was
//!   decided on.
//! * Take a failed or late answer for a denial.
//!
//! And the service must be reachable by the gateway alone, on a listener that
//! serves nothing else: whoever reaches it learns which tokens are live. An
//! upstream must refuse a request without an identity, never take it for
//! anonymous: some gateways let a client remove the identity with `Connection`.
//! The configurations in `examples/gateways` do all of this.
//!
//! Whoever lets the gateway keep answers for a time, against `no-store`, delays
//! every revocation by that time, and must keep them apart by token *and*
//! method.

pub(crate) mod gateway;
pub(crate) mod profile;

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

use self::gateway::Gate;
pub use self::gateway::IdentityHeaders;
pub use self::profile::Profile;
use crate::ConfigError;
use crate::authenticate::{Authenticator, Decision, Step};
use crate::store::TokenStore;
use crate::telemetry::Deciding;

/// Answers a gateway whether a request may pass: 200 with the user, or a
/// denial. See [the module](self).
///
/// Clones are cheap and share everything.
#[derive(Clone, Debug)]
#[must_use = "a service answers nobody until it is mounted"]
pub struct ForwardAuth {
    settings: Arc<Settings>,
}

/// What every clone of one service shares.
#[derive(Clone, Debug)]
struct Settings {
    gate: Gate,
    profile: Profile,
}

impl ForwardAuth {
    /// Decides by what `store` knows, for gateways that name the method as
    /// `profile` says; every other setting has its default.
    pub fn new(store: impl TokenStore, profile: Profile) -> Self {
        Self::with_authenticator(Authenticator::new(store), profile)
    }

    /// Decides as `authenticator` does, for gateways that name the method as
    /// `profile` says.
    ///
    /// A gateway has to be told who passes, so a request without a credential
    /// is answered 401 even by one that is [`optional`](Authenticator::optional).
    /// The one exception is a CORS preflight where
    /// [that is allowed](Authenticator::allow_preflight): it passes without a
    /// user if the gateway hands its `Origin` and
    /// `Access-Control-Request-Method` on. The host's
    /// own [check](Authenticator::also_require) and
    /// [`client_of`](Authenticator::client_of) are given the gateway's request:
    /// its path is the service's own, and the client's stands in a header if
    /// the gateway is set to name it there (`X-Original-URI`,
    /// `X-Forwarded-Uri`, or `Path`). A check of it lists what is allowed, and refuses a
    /// request without that header.
    ///
    /// ```
    /// use tower_api_token::authenticate::Authenticator;
    /// use tower_api_token::credentials::CredentialSource;
    /// use tower_api_token::forward_auth::{ForwardAuth, Profile};
    /// use tower_api_token::store::MemoryStore;
    ///
    /// let sources = [CredentialSource::Bearer, CredentialSource::Basic];
    /// let authenticator = Authenticator::new(MemoryStore::new()).sources(sources);
    /// let verify = ForwardAuth::with_authenticator(authenticator, Profile::ForwardedMethod);
    /// ```
    pub fn with_authenticator(authenticator: Authenticator, profile: Profile) -> Self {
        let mut gate = Gate::new(authenticator);
        gate.knows_400 = profile.knows_400();
        Self { settings: Arc::new(Settings { gate, profile }) }
    }

    fn change(self, change: impl FnOnce(&mut Gate)) -> Self {
        let mut settings = Arc::unwrap_or_clone(self.settings);
        change(&mut settings.gate);
        Self { settings: Arc::new(settings) }
    }

    /// The headers that name the user to the gateway. Default: `X-Auth-User`
    /// and `X-Auth-Slot`.
    ///
    /// ```
    /// # use tower_api_token::{store::MemoryStore, forward_auth::{ForwardAuth, Profile}};
    /// use http::HeaderName;
    /// use tower_api_token::forward_auth::IdentityHeaders;
    ///
    /// let user = HeaderName::from_static("x-caller");
    /// let headers = IdentityHeaders::new(user, HeaderName::from_static("x-caller-slot"))?;
    /// let verify =
    ///     ForwardAuth::new(MemoryStore::new(), Profile::OriginalMethod).identity_headers(headers);
    /// # Ok::<(), tower_api_token::ConfigError>(())
    /// ```
    pub fn identity_headers(self, headers: IdentityHeaders) -> Self {
        self.change(|gate| gate.identity_headers = headers)
    }

    /// The realm that challenges name (RFC 9110 section 11.5). Default: `api`.
    ///
    /// ```
    /// # use tower_api_token::{store::MemoryStore, forward_auth::{ForwardAuth, Profile}};
    /// let verify = ForwardAuth::new(MemoryStore::new(), Profile::OriginalMethod).realm("billing")?;
    /// # Ok::<(), tower_api_token::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the rule that the text breaks.
    pub fn realm(self, realm: &str) -> Result<Self, ConfigError> {
        let realm = crate::denial::Realm::new(realm)?;
        Ok(self.change(|gate| gate.set_realm(&realm)))
    }
}

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
        let deciding = Deciding::on(&head.headers);
        match gate.authenticator.begin(method.as_ref(), None, &mut head.headers) {
            Step::Decided(decision) => {
                ForwardAuthFuture(State::Answered(Some(self.settings.answer(decision, head))))
            }
            Step::Ask(question) => {
                let trace = deciding.leave().while_asking(&head.headers);
                let settings = Arc::clone(&self.settings);
                ForwardAuthFuture(State::Asking(Box::pin(trace.around(async move {
                    let decision = settings.gate.authenticator.ask(*question).await;
                    settings.answer(decision, head)
                }))))
            }
        }
    }
}

impl Settings {
    fn answer(&self, decision: Decision, mut request: Parts) -> Response<Full<Bytes>> {
        match self.gate.finish(decision, &mut request) {
            Ok(mut admission) => {
                let mut response = Response::new(Full::default());
                // The memory of the request's headers, not one of them: `hyper`
                // takes it back for the next request's.
                let mut headers = request.headers;
                headers.clear();
                headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                headers.extend(std::mem::take(&mut admission.notices));
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
