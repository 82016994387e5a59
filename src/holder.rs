//! A service for whoever holds a token: it ends the token, or says what it is. And one
//! for a secret scanner that has found tokens where they are not secret.
//!
//! ```
//! use axum::Router;
//! use axum::extract::ConnectInfo;
//! use std::net::SocketAddr;
//! use tower_api_token::TokenManager;
//! use tower_api_token::holder::HolderService;
//!
//! fn mount(manager: TokenManager, router: Router) -> Router {
//!     let holder = HolderService::new(manager).address_of(|request| {
//!         let ConnectInfo(peer) = request.extensions.get::<ConnectInfo<SocketAddr>>()?;
//!         Some(peer.ip())
//!     });
//!     // POST /tokens/revoke, GET /tokens/token
//!     router.nest_service("/tokens", holder)
//! }
//! ```
//!
//! # `POST /revoke`
//!
//! Ends the token in the form field `token`, in the form of RFC 7009; without a client's
//! credentials, since who holds a token may end it. `token_type_hint` is ignored. A
//! pending token is cancelled. Its user is told.
//!
//! | request | answer |
//! |---|---|
//! | the field `token`, once, in an `application/x-www-form-urlencoded` body | 200 without a body, whatever the token is |
//! | no such field, or two, another content type, a body over 4 KiB | 400 `{"error":"invalid_request"}` (RFC 6749 section 5.2) |
//!
//! A token that never was and one that has ended cost the store the same look-ups, and
//! no answer is given before a [least time](HolderService::least_time), so that nobody
//! finds out by the time which it is. One with a wrong check sum costs none.
//!
//! # `GET /token`
//!
//! Tells whoever sends `Authorization: Bearer <token>` what the token is: a
//! [`HeldToken`](crate::manage::HeldToken) as JSON, while access is suspended, too. It changes nothing.
//! What is no live token is answered 401 with a challenge, and a malformed credential
//! 400, as the [layer](crate::middleware) answers them.
//!
//! ```text
//! {"user":"alice","token":7,"slot":"primary","methods":["GET"],"suspended":false,
//!  "made_at":"2026-01-02T03:04:05.678Z","expires_at":null,"last_used_at":null}
//! ```
//!
//! # `POST /leaks`
//!
//! Takes the reports of GitHub's secret scanning, where
//! [`leak_reports`](HolderService::leak_reports) says so: see [`LeakReports`].
//!
//! # All of them
//!
//! | situation | answer |
//! |---|---|
//! | another path | 404 |
//! | another method | 405 with `Allow` |
//! | too many requests of one address (see [`rate_limit`](HolderService::rate_limit)) | 429 with `Retry-After` |
//! | store down, slow, or without the change | 503 with `Retry-After` |
//! | stored record unreadable | 500 |
//!
//! Every answer is `Cache-Control: no-store`. None repeats a token, and none is in the
//! log. How long a body may take to come in is the server's to bound.

mod answer;
mod form;
mod keys;
mod leaks;
mod limits;

use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};
use tower_service::Service;

pub use self::keys::{PublicKey, PublicKeys};
pub use self::leaks::LeakReports;
use self::limits::{limiter, network};
use crate::ConfigError;
use crate::credentials::Sources;
use crate::denial::{Denial, DenialKind, Realm, Renderer, RequestFault, keep_the_head};
use crate::limit::Limiter;
use crate::manage::{Problem, TokenManager};
use crate::token::is_b64token;
use crate::user::Actor;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Where a request comes from.
type AddressOf = dyn Fn(&Parts) -> Option<IpAddr> + Send + Sync;

/// Serves whoever holds a token, and secret scanners. See [the module](self).
///
/// Clones are cheap and share everything.
#[derive(Clone)]
#[must_use = "a service answers nobody until it is mounted"]
pub struct HolderService {
    settings: Arc<Settings>,
}

/// What every clone of one service shares.
#[derive(Clone)]
struct Settings {
    manager: TokenManager,
    address_of: Arc<AddressOf>,
    limiter: Arc<Limiter<Option<IpAddr>>>,
    least_time: Duration,
    leaks: Option<LeakReports>,
    sources: Sources,
    renderer: Renderer,
    /// Who ends tokens by name of their holders.
    actor: Actor,
}

impl HolderService {
    /// Serves the tokens of that manager; every other setting has its default.
    pub fn new(manager: TokenManager) -> Self {
        let sources = Sources::default();
        let settings = Settings {
            manager,
            address_of: Arc::new(|_| None),
            limiter: Arc::new(limiter(30, Duration::from_secs(1))),
            least_time: Duration::from_millis(20),
            leaks: None,
            renderer: Renderer::new(&Realm::default(), &sources),
            sources,
            actor: program("revocation"),
        };
        Self { settings: Arc::new(settings) }
    }

    fn change(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Arc::unwrap_or_clone(self.settings);
        change(&mut settings);
        Self { settings: Arc::new(settings) }
    }

    /// Which address a request comes from: the peer's, or the one that a trusted proxy
    /// names. Default: nobody says. All requests without an address share one limit.
    ///
    /// ```
    /// # use tower_api_token::{TokenManager, holder::HolderService};
    /// # fn on(manager: TokenManager) -> HolderService {
    /// // Behind a proxy that sets this header over whatever its client sent.
    /// HolderService::new(manager).address_of(|request| {
    ///     request.headers.get("x-real-ip")?.to_str().ok()?.parse().ok()
    /// })
    /// # }
    /// ```
    pub fn address_of(
        self,
        address_of: impl Fn(&Parts) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        self.change(|settings| settings.address_of = Arc::new(address_of))
    }

    /// How many requests one address may make: at once, and after that one in each
    /// interval. Default: 30, and then one a second.
    ///
    /// An IPv6 address counts with its whole network of 64 bits. Of at most 4096
    /// addresses something is remembered: those that have asked most. A report with a
    /// right signature counts for nothing. An interval of zero is no limit, and one of
    /// more than a day counts as a day.
    ///
    /// ```
    /// # use tower_api_token::{TokenManager, holder::HolderService};
    /// use std::num::NonZeroU32;
    /// use std::time::Duration;
    ///
    /// # fn on(manager: TokenManager) -> HolderService {
    /// const TEN: NonZeroU32 = NonZeroU32::new(10).unwrap();
    /// HolderService::new(manager).rate_limit(TEN, Duration::from_secs(60))
    /// # }
    /// ```
    pub fn rate_limit(self, at_once: NonZeroU32, interval: Duration) -> Self {
        let limiter = Arc::new(limiter(at_once.get(), interval));
        self.change(|settings| settings.limiter = limiter)
    }

    /// How long it takes at least to find out about a token, and to end it. A store needs
    /// some microseconds more for one that has ended than for one that never was: within
    /// this time they do not show. Default: 20 ms. Outside of a tokio runtime none is
    /// kept.
    ///
    /// # Panics
    ///
    /// Not here: a request panics in a tokio runtime whose timer is not enabled, unless
    /// this time is zero.
    pub fn least_time(self, time: Duration) -> Self {
        self.change(|settings| settings.least_time = time)
    }

    /// Takes reports of leaked tokens. Default: none, and `/leaks` is answered 404.
    pub fn leak_reports(self, reports: LeakReports) -> Self {
        self.change(|settings| settings.leaks = Some(reports))
    }

    /// The realm that challenges name (RFC 9110 section 11.5). Default: `api`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the rule that the text breaks.
    pub fn realm(self, realm: &str) -> Result<Self, ConfigError> {
        let realm = Realm::new(realm)?;
        Ok(self.change(|settings| settings.renderer = Renderer::new(&realm, &settings.sources)))
    }
}

fn program(name: &'static str) -> Actor {
    Actor::program(name).expect("the name breaks no rule")
}

impl<B> Service<Request<B>> for HolderService
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = HolderFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> HolderFuture {
        let settings = Arc::clone(&self.settings);
        HolderFuture(Box::pin(async move {
            let is_head = request.method() == Method::HEAD;
            let mut response = settings.answer(request).await;
            if is_head {
                keep_the_head(&mut response);
            }
            response
        }))
    }
}

/// What a request asks for.
#[derive(Clone, Copy)]
enum Operation<'a> {
    Revoke,
    Tell,
    Report(&'a LeakReports),
}

impl Settings {
    async fn answer<B>(&self, request: Request<B>) -> Response<Bytes>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let (mut head, body) = request.into_parts();
        self.sources.mark(&mut head.headers);
        let Some((operation, allowed)) = self.operation(head.uri.path()) else {
            return answer::empty(StatusCode::NOT_FOUND);
        };
        if !allowed.split(", ").any(|method| head.method == method) {
            return answer::not_allowed(allowed);
        }
        let client = (self.address_of)(&head).map(network);
        if let Err(wait) = self.limiter.take(&client) {
            let title = "Too many requests";
            return Problem::too_many("too_many_requests", title, wait).to_response();
        }
        match operation {
            Operation::Revoke => self.revoke(&head, body).await,
            Operation::Tell => match self.tell(&mut head).await {
                Ok(response) => response,
                Err(denial) => self.renderer.render(&denial),
            },
            Operation::Report(reports) => match reports.signed(&head, body).await {
                Ok(signed) => {
                    self.limiter.give_back(&client);
                    reports.take(&self.manager, &signed).await
                }
                Err(status) => answer::empty(status),
            },
        }
    }

    /// What is asked for at that path, and by which methods.
    fn operation(&self, path: &str) -> Option<(Operation<'_>, &'static str)> {
        match (path, &self.leaks) {
            ("/revoke", _) => Some((Operation::Revoke, "POST")),
            ("/token", _) => Some((Operation::Tell, "GET, HEAD")),
            ("/leaks", Some(reports)) => Some((Operation::Report(reports), "POST")),
            _ => None,
        }
    }

    /// What the work gives, not before the least time is over. That begins when the
    /// request is there as a whole: who sends it slowly learns no more.
    async fn in_time<T>(&self, work: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let done = work.await;
        if !self.least_time.is_zero() && Handle::try_current().is_ok() {
            sleep_until(begun + self.least_time).await;
        }
        done
    }

    async fn revoke<B>(&self, head: &Parts, body: B) -> Response<Bytes>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let Some(token) = form::token(&head.headers, body).await else {
            return answer::invalid_request();
        };
        match self.in_time(self.manager.end_token(&self.actor, &token)).await {
            Ok(_) => answer::empty(StatusCode::OK),
            Err(error) => Problem::from(error).to_response(),
        }
    }

    async fn tell(&self, head: &mut Parts) -> Result<Response<Bytes>, Denial> {
        let presented = self.sources.read(&mut head.headers);
        let credential = presented.credential(&self.sources).map_err(Denial::fault)?;
        let Some(secret) = credential else {
            let fault = presented.misplaced(&self.sources);
            let missing = Denial::new(DenialKind::MissingCredential);
            return Err(fault.map_or(missing, Denial::fault));
        };
        let token = std::str::from_utf8(secret.token());
        let token = token.ok().filter(|token| is_b64token(token.as_bytes()));
        let token = token.ok_or(Denial::fault(RequestFault::MalformedCredential))?;
        match self.in_time(self.manager.held_token(token)).await {
            Ok(Some(held)) => Ok(answer::json(&held)),
            Ok(None) => Err(Denial::new(DenialKind::InvalidToken)),
            Err(error) => Ok(Problem::from(error).to_response()),
        }
    }
}

impl fmt::Debug for HolderService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.settings;
        f.debug_struct("HolderService")
            .field("leak_reports", &settings.leaks)
            .finish_non_exhaustive()
    }
}

/// The future of an answer of [`HolderService`]. A change that it has begun is made even
/// if it is dropped.
pub struct HolderFuture(Pin<Box<dyn Future<Output = Response<Bytes>> + Send>>);

impl Future for HolderFuture {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(|response| Ok(response.map(Full::from)))
    }
}

impl fmt::Debug for HolderFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HolderFuture").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_can_be_shared_between_threads() {
        fn shared<T: Clone + Send + Sync + 'static>() {}
        shared::<HolderService>();
        shared::<LeakReports>();
    }
}
