//! The decision as Envoy's external authorisation service over gRPC
//! (`envoy.service.auth.v3.Authorization`).
//!
//! ```no_run
//! use tower_api_token::ext_authz::ExtAuthz;
//! use tower_api_token::store::MemoryStore;
//!
//! # async fn example() -> Result<(), tonic::transport::Error> {
//! tonic::transport::Server::builder()
//!     .add_service(ExtAuthz::new(MemoryStore::new()))
//!     .serve(([127, 0, 0, 1], 9001).into())
//!     .await
//! # }
//! ```
//!
//! It decides and answers as [`forward_auth`](crate::forward_auth) does, with
//! the HTTP status and the challenge in `denied_response`, so that the client
//! sees them. The method is the one in the attributes of the request; headers
//! that name a method play no part. A check without a request in it is denied.
//!
//! Envoy takes an answer without a status for an approval. Here an answer is
//! made of a verdict only, and there is no verdict by default.
//!
//! What the gateway must do stands in
//! [`forward_auth`](crate::forward_auth#what-the-gateway-must-do), too; a
//! complete configuration is `examples/gateways/envoy-grpc`. Above all
//! `failure_mode_allow` must stay off.

mod message;
mod service;
mod verdict;

use std::sync::Arc;

use bytes::Bytes;
use http::Response;

use crate::ConfigError;
use crate::authenticate::Authenticator;
use crate::denial::Realm;
use crate::forward_auth::IdentityHeaders;
use crate::forward_auth::gateway::Gate;
use crate::store::TokenStore;

/// Answers Envoy whether a request may pass. See [the module](self).
///
/// Clones are cheap and share everything.
#[derive(Clone, Debug)]
#[must_use = "a service answers nobody until it is mounted"]
pub struct ExtAuthz {
    settings: Arc<Settings>,
}

/// What every clone of one service shares.
#[derive(Clone, Debug)]
struct Settings {
    gate: Gate,
    strip_credentials: bool,
}

impl ExtAuthz {
    /// Decides by what `store` knows; every other setting has its default.
    pub fn new(store: impl TokenStore) -> Self {
        Self::with_authenticator(Authenticator::new(store))
    }

    /// Decides as `authenticator` does, but for requests without a credential:
    /// they are always answered 401, but for CORS preflights where
    /// [that is allowed](Authenticator::allow_preflight). The host's own
    /// [check](Authenticator::also_require) is given the client's request as
    /// Envoy describes it, without its body.
    ///
    /// ```
    /// use tower_api_token::authenticate::Authenticator;
    /// use tower_api_token::ext_authz::ExtAuthz;
    /// use tower_api_token::store::MemoryStore;
    ///
    /// let authenticator = Authenticator::new(MemoryStore::new()).also_require(
    ///     |identity, request| identity.user().as_str() == "root" || request.uri.path() == "/items",
    /// );
    /// let service = ExtAuthz::with_authenticator(authenticator);
    /// ```
    pub fn with_authenticator(authenticator: Authenticator) -> Self {
        let gate = Gate::new(authenticator);
        Self { settings: Arc::new(Settings { gate, strip_credentials: true }) }
    }

    fn change(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Arc::unwrap_or_clone(self.settings);
        change(&mut settings);
        Self { settings: Arc::new(settings) }
    }

    /// The headers that name the user to the upstream. Default: `X-Auth-User`
    /// and `X-Auth-Slot`.
    ///
    /// ```
    /// # use tower_api_token::{store::MemoryStore, ext_authz::ExtAuthz};
    /// use tower_api_token::forward_auth::IdentityHeaders;
    ///
    /// let service =
    ///     ExtAuthz::new(MemoryStore::new()).identity_headers(IdentityHeaders::default());
    /// ```
    pub fn identity_headers(self, headers: IdentityHeaders) -> Self {
        self.change(|settings| settings.gate.identity_headers = headers)
    }

    /// The realm that challenges name (RFC 9110 section 11.5). Default: `api`.
    ///
    /// ```
    /// # use tower_api_token::{store::MemoryStore, ext_authz::ExtAuthz};
    /// let service = ExtAuthz::new(MemoryStore::new()).realm("billing")?;
    /// # Ok::<(), tower_api_token::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the rule that the text breaks.
    pub fn realm(self, realm: &str) -> Result<Self, ConfigError> {
        let realm = Realm::new(realm)?;
        Ok(self.change(|settings| settings.gate.set_realm(&realm)))
    }

    /// Has Envoy remove the credential's header before the upstream. Default:
    /// on, since the upstream is told the user.
    ///
    /// ```
    /// # use tower_api_token::{store::MemoryStore, ext_authz::ExtAuthz};
    /// let service = ExtAuthz::new(MemoryStore::new()).strip_credentials(false);
    /// ```
    pub fn strip_credentials(self, strip: bool) -> Self {
        self.change(|settings| settings.strip_credentials = strip)
    }

    /// An answer to a check that has Envoy deny the request, whatever is in it,
    /// and show the client this response: for whatever stands before the
    /// service and refuses it a check. An error of gRPC would do neither, and
    /// lets the request pass under `failure_mode_allow`.
    ///
    /// A status that is not 300 to 599 could be taken for an approval, and is
    /// replaced by 503.
    ///
    /// ```
    /// # use tower_api_token::ext_authz::ExtAuthz;
    /// use bytes::Bytes;
    /// use http::{Response, StatusCode};
    ///
    /// let mut response = Response::new(Bytes::from_static(b"later"));
    /// *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    /// let answer = ExtAuthz::denied(response);
    /// assert_eq!(answer.status(), 200, "as gRPC demands");
    /// ```
    #[must_use]
    pub fn denied(response: Response<Bytes>) -> Response<tonic::body::Body> {
        verdict::denied_by(response)
    }
}
