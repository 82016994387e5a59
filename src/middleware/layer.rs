//! The layer: the middleware's configuration.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response};
use tower_layer::Layer;

use super::preallocated::Preallocated;
use super::respond::{Responder, Statuses};
use super::service::Settings;
use super::{SameBody, TokenAuth};
use crate::ConfigError;
use crate::authenticate::Authenticator;
use crate::authenticate::Identity;
use crate::credentials::CredentialSource;
use crate::denial::{Denial, Realm};
use crate::store::TokenStore;
use crate::time::Clock;
use crate::token::TokenScheme;
use crate::usage::UsageRecorder;
use crate::user::ClientLabel;

/// Lets only requests with a live API token through, whose user may perform
/// their method.
///
/// ```
/// use tower_api_token::store::MemoryStore;
/// use tower_api_token::TokenAuthLayer;
///
/// let layer = TokenAuthLayer::new(MemoryStore::new()).strip_credentials(true);
/// ```
///
/// With its defaults it takes Bearer credentials alone, renders HTTP, and marks
/// responses to a backup token. When a request passes is in the documentation
/// of [`middleware`](crate::middleware).
#[derive(Clone, Debug)]
#[must_use = "a layer protects nothing until it is mounted"]
pub struct TokenAuthLayer {
    /// Shared with every service of this layer: some routers lay it around
    /// their handlers anew for each request.
    settings: Arc<Settings>,
}

impl From<Authenticator> for TokenAuthLayer {
    fn from(authenticator: Authenticator) -> Self {
        let responder = Responder::default();
        let (counts_as, preallocated) = (None, Preallocated::new());
        let settings = Settings {
            authenticator,
            responder,
            strip_credentials: false,
            counts_as,
            preallocated,
        };
        Self { settings: Arc::new(settings) }
    }
}

impl TokenAuthLayer {
    /// Decides by what `store` knows; every other setting has its default.
    ///
    /// Under the default [`scheme`](Self::scheme) a string that has not the form of a
    /// generated token is refused before `store` is asked. If it holds tokens that
    /// another system made, set
    /// [`TokenScheme::accept_foreign_tokens(true)`](TokenScheme::accept_foreign_tokens).
    pub fn new(store: impl TokenStore) -> Self {
        Authenticator::new(store).into()
    }

    fn with(self, change: impl FnOnce(Settings) -> Settings) -> Self {
        Self { settings: Arc::new(change(Arc::unwrap_or_clone(self.settings))) }
    }

    fn decide_with(self, change: impl FnOnce(Authenticator) -> Authenticator) -> Self {
        self.with(|settings| Settings { authenticator: change(settings.authenticator), ..settings })
    }

    fn respond_with(self, change: impl FnOnce(&mut Responder)) -> Self {
        self.with(|mut settings| {
            change(&mut settings.responder);
            settings
        })
    }

    /// How tokens are recognised and hashed: the same as the manager's.
    /// Default: [`TokenScheme::default`].
    ///
    /// ```
    /// # use tower_api_token::{store::MemoryStore, TokenAuthLayer};
    /// use tower_api_token::token::{TokenPrefix, TokenScheme};
    ///
    /// let scheme = TokenScheme::new(TokenPrefix::new("acme")?);
    /// let layer = TokenAuthLayer::new(MemoryStore::new()).scheme(scheme);
    /// # Ok::<(), tower_api_token::ConfigError>(())
    /// ```
    pub fn scheme(self, scheme: TokenScheme) -> Self {
        self.decide_with(|authenticator| authenticator.scheme(scheme))
    }

    /// Where a request may carry its token. Default: Bearer alone.
    ///
    /// ```
    /// # use tower_api_token::{store::MemoryStore, TokenAuthLayer};
    /// use http::HeaderName;
    /// use tower_api_token::credentials::CredentialSource;
    ///
    /// let header = CredentialSource::Header(HeaderName::from_static("x-api-key"));
    /// let layer =
    ///     TokenAuthLayer::new(MemoryStore::new()).sources([CredentialSource::Bearer, header]);
    /// ```
    pub fn sources(self, sources: impl IntoIterator<Item = CredentialSource>) -> Self {
        self.decide_with(|authenticator| authenticator.sources(sources))
    }

    /// Lets requests without any credential through as anonymous: handlers find
    /// no identity then. Bad credentials are still refused, and so is an
    /// `Authorization` header that is empty or has no scheme; one of a scheme
    /// that is not enabled is another system's business, and counts as none.
    /// Default: off.
    ///
    /// ```
    /// # use tower_api_token::{store::MemoryStore, TokenAuthLayer};
    /// let layer = TokenAuthLayer::new(MemoryStore::new()).optional(true);
    /// ```
    pub fn optional(self, optional: bool) -> Self {
        self.decide_with(|authenticator| authenticator.optional(optional))
    }

    /// Lets a true CORS preflight (OPTIONS with `Origin` and
    /// `Access-Control-Request-Method`, without a credential or a method
    /// override, and without `Authorization` of any scheme where that is a
    /// source) through as anonymous. Needed only where no CORS layer outside of
    /// this one answers it. Default: off.
    ///
    /// ```
    /// # use tower_api_token::{store::MemoryStore, TokenAuthLayer};
    /// let layer = TokenAuthLayer::new(MemoryStore::new()).allow_preflight(true);
    /// ```
    pub fn allow_preflight(self, allow: bool) -> Self {
        self.decide_with(|authenticator| authenticator.allow_preflight(allow))
    }

    /// The clock that the lifetimes of slots are checked by. Default: the
    /// system's.
    ///
    /// ```
    /// # use tower_api_token::{store::MemoryStore, TokenAuthLayer};
    /// use tower_api_token::test_util::ManualClock;
    ///
    /// let layer = TokenAuthLayer::new(MemoryStore::new()).clock(ManualClock::default());
    /// ```
    pub fn clock(self, clock: impl Clock) -> Self {
        self.decide_with(|authenticator| authenticator.clock(clock))
    }

    /// Where uses of tokens are noted. Default: nowhere, so that no view shows
    /// them, every delete guard takes its token for unused, and the use of a
    /// retired token raises no event.
    ///
    /// ```
    /// use std::sync::Arc;
    /// # use tower_api_token::{store::MemoryStore, TokenAuthLayer};
    /// use tower_api_token::usage::UsageRecorder;
    ///
    /// let store = Arc::new(MemoryStore::new());
    /// let usage = UsageRecorder::new(Arc::clone(&store));
    /// let layer = TokenAuthLayer::new(store).usage(usage.clone());
    /// ```
    pub fn usage(self, usage: UsageRecorder) -> Self {
        self.decide_with(|authenticator| authenticator.usage(usage))
    }

    /// What names the client behind a request, where its use is noted. Default:
    /// the first product of `User-Agent`.
    ///
    /// ```
    /// # use tower_api_token::{store::MemoryStore, TokenAuthLayer};
    /// use tower_api_token::user::ClientLabel;
    ///
    /// let layer = TokenAuthLayer::new(MemoryStore::new()).client_of(|request| {
    ///     let name = request.headers.get("x-client")?.to_str().ok()?;
    ///     ClientLabel::new(name).ok()
    /// });
    /// ```
    pub fn client_of(
        self,
        client_of: impl Fn(&Parts) -> Option<ClientLabel> + Send + Sync + 'static,
    ) -> Self {
        self.decide_with(|authenticator| authenticator.client_of(client_of))
    }

    /// The host's own check beside the method's: both must hold, and `false` is
    /// answered 403. It is asked after everything else, of requests with an
    /// identity only. Several add up: each of them must hold. Default: none.
    ///
    /// A check of the path lists what is allowed: what such a list forgets is
    /// refused, while what a list of forbidden paths forgets is open.
    ///
    /// ```
    /// # use tower_api_token::{store::MemoryStore, TokenAuthLayer};
    /// let layer = TokenAuthLayer::new(MemoryStore::new())
    ///     .also_require(|identity, request| match request.uri.path() {
    ///         "/items" | "/orders" => true,
    ///         path if path.starts_with("/items/") => true,
    ///         _ => identity.user().as_str() == "root",
    ///     });
    /// ```
    ///
    /// Simpler still is a second layer on the routes that only some may use:
    ///
    /// ```
    /// # use tower_api_token::{store::MemoryStore, TokenAuthLayer};
    /// let layer = TokenAuthLayer::new(MemoryStore::new());
    /// let administrators =
    ///     layer.clone().also_require(|identity, _| identity.user().as_str() == "root");
    /// ```
    ///
    /// The path is the one that the client sent, as far as this layer can know it:
    /// what a middleware outside of it has rewritten (a `NormalizePath`, a prefix
    /// taken off, an address of a gateway's) is seen rewritten, as the routes inside
    /// see it. Put such a middleware inside, or write the check for what it leaves.
    ///
    /// axum takes the prefix of a
    /// nested router off, and keeps the whole in an extension that is looked
    /// for here with the feature `axum`, which every host with nested routers
    /// needs. The same holds for [`client_of`](Self::client_of) and
    /// [`on_denied`](Self::on_denied).
    pub fn also_require(
        self,
        holds: impl Fn(&Identity, &Parts) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.decide_with(|authenticator| authenticator.also_require(holds))
    }

    /// Judges requests by the method that the host names, in place of their own;
    /// `None` is their own. For what is sent as POST and only reads, as searches,
    /// GraphQL queries and most gRPC calls are. Several add up: the first that
    /// names a method counts. Default: each request by its own.
    ///
    /// A method override must be granted all the same, and a preflight is one by
    /// its own method. TRACE and CONNECT, which nobody is granted, count as nothing
    /// else. With the feature `axum` the path is the one that the client
    /// sent, also in a nested router. List what only reads: what such a list
    /// forgets needs POST. It is asked before the credential is looked at, and
    /// its method is named in the answer 403.
    ///
    /// ```
    /// # use tower_api_token::{store::MemoryStore, TokenAuthLayer};
    /// use http::Method;
    ///
    /// let layer = TokenAuthLayer::new(MemoryStore::new()).counts_as(|request| {
    ///     match (&request.method, request.uri.path()) {
    ///         (&Method::POST, "/items/search" | "/shop.v1.Shop/GetItem") => Some(Method::GET),
    ///         _ => None,
    ///     }
    /// });
    /// ```
    pub fn counts_as(
        self,
        method: impl Fn(&Parts) -> Option<Method> + Send + Sync + 'static,
    ) -> Self {
        self.with(|mut settings| {
            settings.counts_as = Some(match settings.counts_as.take() {
                None => Arc::new(method),
                Some(earlier) => {
                    Arc::new(move |request| earlier(request).or_else(|| method(request)))
                }
            });
            settings
        })
    }

    /// The realm that challenges name (RFC 9110 section 11.5). Default: `api`.
    ///
    /// ```
    /// # use tower_api_token::{store::MemoryStore, TokenAuthLayer};
    /// let layer = TokenAuthLayer::new(MemoryStore::new()).realm("billing")?;
    /// # Ok::<(), tower_api_token::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the rule that the text breaks.
    pub fn realm(self, realm: &str) -> Result<Self, ConfigError> {
        let realm = Realm::new(realm)?;
        Ok(self.respond_with(|responder| responder.realm = realm))
    }

    /// Answers gRPC calls (POST, `application/grpc` or `application/grpc+…`)
    /// in their own way: status 200 with a `grpc-status`. Switch it on only
    /// where a gRPC service is behind the layer, since a proxy that looks at
    /// the HTTP status takes such an answer for an approval. Default: off.
    ///
    /// ```
    /// # use tower_api_token::{store::MemoryStore, TokenAuthLayer};
    /// let layer = TokenAuthLayer::new(MemoryStore::new()).grpc(true);
    /// ```
    pub fn grpc(self, grpc: bool) -> Self {
        self.respond_with(|responder| responder.grpc = grpc)
    }

    /// Whether responses to a request with the backup token say so in
    /// `Api-Token-Slot: backup`, so that its owner sees who still uses it.
    /// Default: on.
    ///
    /// ```
    /// # use tower_api_token::{store::MemoryStore, TokenAuthLayer};
    /// let layer = TokenAuthLayer::new(MemoryStore::new()).backup_notice(false);
    /// ```
    pub fn backup_notice(self, notice: bool) -> Self {
        self.respond_with(|responder| responder.backup_notice = notice)
    }

    /// Removes the headers of the enabled sources before the inner service,
    /// whatever is in them: a token under a mistyped scheme is one, too.
    /// Default: off; they are only marked as sensitive.
    ///
    /// ```
    /// # use tower_api_token::{store::MemoryStore, TokenAuthLayer};
    /// let layer = TokenAuthLayer::new(MemoryStore::new()).strip_credentials(true);
    /// ```
    pub fn strip_credentials(self, strip: bool) -> Self {
        self.with(|settings| Settings { strip_credentials: strip, ..settings })
    }

    /// Renders denials in the host's own way, in place of what was said before. A response whose status is not
    /// 300 to 599 could be taken for an approval, and is replaced by the
    /// default rendering. Default: as [`denial`](crate::denial) says.
    ///
    /// ```
    /// # use tower_api_token::{store::MemoryStore, TokenAuthLayer};
    /// use bytes::Bytes;
    /// use http::Response;
    ///
    /// let layer = TokenAuthLayer::new(MemoryStore::new()).on_denied(|denial, _request| {
    ///     let mut response = Response::new(Bytes::from_static(b"no"));
    ///     *response.status_mut() = denial.status();
    ///     response
    /// });
    /// ```
    pub fn on_denied(
        self,
        render: impl Fn(&Denial, &Parts) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Self {
        self.rendered(render, Statuses::NoApproval)
    }

    /// Like [`on_denied`](Self::on_denied) with any status.
    ///
    /// # Warning
    ///
    /// Whatever stands between this service and its clients takes a 2xx for an
    /// approval: a gateway that asks for permission lets the request through.
    ///
    /// ```
    /// # use tower_api_token::{store::MemoryStore, TokenAuthLayer};
    /// use bytes::Bytes;
    /// use http::Response;
    ///
    /// let layer = TokenAuthLayer::new(MemoryStore::new())
    ///     .dangerous_on_denied(|_, _| Response::new(Bytes::from_static(b"{\"ok\":false}")));
    /// ```
    pub fn dangerous_on_denied(
        self,
        render: impl Fn(&Denial, &Parts) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Self {
        self.rendered(render, Statuses::Any)
    }

    /// Keeps the inner service's body type, if that can be made of bytes, in
    /// place of [`ResponseBody`](super::ResponseBody). To be called last.
    ///
    /// An axum router boxes every body that is not its own once more, and
    /// `axum::serve` takes no other. Around a whole router, as below, a layer
    /// costs half of what it costs on its routes: `Router::layer` boxes each of
    /// them once more, and finds the map of extensions full.
    ///
    /// ```
    /// # use tower_api_token::{store::MemoryStore, TokenAuthLayer};
    /// use axum::extract::Request;
    /// use axum::routing::get;
    /// use axum::{Router, ServiceExt};
    /// use tower_layer::Layer;
    ///
    /// # async fn example() -> std::io::Result<()> {
    /// let routes = Router::new().route("/items", get(|| async { "apple, pear" }));
    /// let service = TokenAuthLayer::new(MemoryStore::new()).same_body().layer(routes);
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    /// axum::serve(listener, ServiceExt::<Request>::into_make_service(service)).await
    /// # }
    /// ```
    pub const fn same_body(self) -> SameBody<Self> {
        SameBody::new(self)
    }

    fn rendered(
        self,
        render: impl Fn(&Denial, &Parts) -> Response<Bytes> + Send + Sync + 'static,
        statuses: Statuses,
    ) -> Self {
        self.respond_with(|responder| responder.on_denied = Some((Arc::new(render), statuses)))
    }
}

impl<S> Layer<S> for TokenAuthLayer {
    type Service = TokenAuth<S>;

    fn layer(&self, inner: S) -> TokenAuth<S> {
        TokenAuth::new(inner, Arc::clone(&self.settings))
    }
}
