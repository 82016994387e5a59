//! What a decision is made with.

use std::fmt;
use std::sync::Arc;

use http::header::USER_AGENT;
use http::request::Parts;

use crate::authenticate::Identity;
use crate::credentials::{CredentialSource, Sources};
use crate::store::TokenStore;
use crate::time::{Clock, SystemClock};
use crate::token::TokenScheme;
use crate::usage::UsageRecorder;
use crate::user::ClientLabel;

/// A host's own check beside the method's.
type Check = dyn Fn(&Identity, &Parts) -> bool + Send + Sync;

/// What names the client behind a request.
type ClientOf = dyn Fn(&Parts) -> Option<ClientLabel> + Send + Sync;

/// Decides on requests: [`authenticate`](Self::authenticate) with its settings.
///
/// [`TokenAuthLayer`](crate::middleware::TokenAuthLayer) is this with an HTTP
/// rendering around it, and has the same settings; use this one where no layer
/// fits. Clones are cheap.
#[derive(Clone)]
pub struct Authenticator {
    store: Arc<dyn TokenStore>,
    pub(super) scheme: TokenScheme,
    pub(super) sources: Sources,
    pub(super) optional: bool,
    pub(crate) allow_preflight: bool,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) usage: Option<UsageRecorder>,
    pub(super) client_of: Arc<ClientOf>,
    pub(super) also_require: Option<Arc<Check>>,
}

impl Authenticator {
    /// Decides by what `store` knows; every other setting has its default.
    #[must_use]
    pub fn new(store: impl TokenStore) -> Self {
        Self::on(Arc::new(store))
    }

    /// The same, with what [`Tokens`](crate::Tokens) shares.
    pub(crate) fn sharing(
        store: Arc<dyn TokenStore>,
        scheme: TokenScheme,
        clock: Arc<dyn Clock>,
        usage: UsageRecorder,
    ) -> Self {
        Self { scheme, clock, usage: Some(usage), ..Self::on(store) }
    }

    fn on(store: Arc<dyn TokenStore>) -> Self {
        Self {
            store,
            scheme: TokenScheme::default(),
            sources: Sources::default(),
            optional: false,
            allow_preflight: false,
            clock: Arc::new(SystemClock),
            usage: None,
            client_of: Arc::new(product_of_user_agent),
            also_require: None,
        }
    }

    /// How tokens are recognised and hashed. Default:
    /// [`TokenScheme::default`].
    #[must_use]
    pub fn scheme(mut self, scheme: TokenScheme) -> Self {
        self.scheme = scheme;
        self
    }

    /// Where a request may carry its token, in place of what was said before.
    /// Default: Bearer alone.
    #[must_use]
    pub fn sources(mut self, sources: impl IntoIterator<Item = CredentialSource>) -> Self {
        self.sources = sources.into_iter().collect();
        self
    }

    /// Lets requests without any credential through as anonymous. Bad
    /// credentials are still refused, and so is an `Authorization` header that
    /// is empty or has no scheme; one of a scheme that is not enabled is another
    /// system's business, and counts as none. Default: off.
    #[must_use]
    pub const fn optional(mut self, optional: bool) -> Self {
        self.optional = optional;
        self
    }

    /// Lets a true CORS preflight (OPTIONS with `Origin` and
    /// `Access-Control-Request-Method`, without a credential or a method
    /// override, and without `Authorization` of any scheme where that is a
    /// source) through as anonymous. Default: off.
    ///
    /// A gateway that passes its clients' identity headers on, `X-Auth-User` by
    /// default, must take them off before: to a preflight nothing else does.
    #[must_use]
    pub const fn allow_preflight(mut self, allow: bool) -> Self {
        self.allow_preflight = allow;
        self
    }

    /// The clock that the lifetimes of slots are checked by. Default: the
    /// system's.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Where uses of tokens are noted. Default: nowhere, so that no view shows
    /// them, every delete guard takes its token for unused, and the use of a
    /// retired token raises no event.
    #[must_use]
    pub fn usage(mut self, usage: UsageRecorder) -> Self {
        self.usage = Some(usage);
        self
    }

    /// What names the client behind a request, where its use is noted. Default:
    /// the first product of `User-Agent`.
    #[must_use]
    pub fn client_of(
        mut self,
        client_of: impl Fn(&Parts) -> Option<ClientLabel> + Send + Sync + 'static,
    ) -> Self {
        self.client_of = Arc::new(client_of);
        self
    }

    /// The host's own check beside the method's: both must hold, and `false` is
    /// answered 403. It is asked after everything else, of requests with an
    /// identity only. Several add up: each of them must hold. Default: none.
    ///
    /// With the feature `axum` the path is the one that the client sent, also
    /// in a nested router; what was rewritten before is seen rewritten. A check of
    /// it lists what is allowed, as
    /// [the layer's](crate::TokenAuthLayer::also_require) does.
    #[must_use]
    pub fn also_require(
        mut self,
        holds: impl Fn(&Identity, &Parts) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.also_require = Some(match self.also_require.take() {
            None => Arc::new(holds),
            Some(earlier) => Arc::new(move |identity, request| {
                earlier(identity, request) && holds(identity, request)
            }),
        });
        self
    }

    pub(super) fn store(&self) -> &dyn TokenStore {
        &*self.store
    }

    pub(crate) const fn enabled_sources(&self) -> &Sources {
        &self.sources
    }
}

fn product_of_user_agent(request: &Parts) -> Option<ClientLabel> {
    ClientLabel::of_user_agent(request.headers.get(USER_AGENT)?.as_bytes())
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator")
            .field("scheme", &self.scheme)
            .field("sources", &self.sources)
            .field("optional", &self.optional)
            .field("allow_preflight", &self.allow_preflight)
            .finish_non_exhaustive()
    }
}
