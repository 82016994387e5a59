//! The [`Identity`] of a request as an argument of axum handlers, and a
//! [`Problem`] as their answer.
//!
//! ```
//! use axum::{Router, routing::get};
//! use tower_api_token::{Identity, TokenAuthLayer, store::MemoryStore};
//!
//! async fn whoami(identity: Identity) -> String {
//!     format!("{} by the {} token", identity.user(), identity.slot())
//! }
//!
//! let layer = TokenAuthLayer::new(MemoryStore::new());
//! let router: Router = Router::new().route("/whoami", get(whoami)).layer(layer);
//! ```
//!
//! Under a layer in [`optional`](TokenAuthLayer::optional) mode a handler takes
//! `Option<Identity>`. One that takes `Identity` there answers an anonymous
//! request as the layer itself would, with 401. A handler without the layer
//! around it answers 500 and says so.

use axum_core::body::Body;
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;

use crate::identity::Identity;
use crate::manage::Problem;
use crate::middleware::Anonymous;
#[cfg(doc)]
use crate::middleware::TokenAuthLayer;

/// Why a handler was not given an [`Identity`].
#[derive(Debug)]
pub struct IdentityRejection(Rejection);

#[derive(Debug)]
enum Rejection {
    Anonymous(http::Response<Bytes>),
    NoLayer,
}

impl IdentityRejection {
    const NO_LAYER: Self = Self(Rejection::NoLayer);

    /// The status of the response: 401 for an anonymous request, 500 where the
    /// layer is missing.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match &self.0 {
            Rejection::Anonymous(response) => response.status(),
            Rejection::NoLayer => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for IdentityRejection {
    fn into_response(self) -> Response {
        let status = self.status();
        match self.0 {
            Rejection::Anonymous(response) => response.map(Body::from),
            Rejection::NoLayer => {
                let text = "this route is not behind tower_api_token::TokenAuthLayer";
                (status, text).into_response()
            }
        }
    }
}

/// As [`to_response`](Problem::to_response); the problem itself is in the
/// response's extensions.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.to_response().map(Body::from);
        response.extensions_mut().insert(self);
        response
    }
}

impl<S: Sync> FromRequestParts<S> for Identity {
    type Rejection = IdentityRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, IdentityRejection> {
        if let Some(identity) = parts.extensions.get::<Self>() {
            return Ok(identity.clone());
        }
        let anonymous = parts.extensions.get::<Anonymous>().ok_or(IdentityRejection::NO_LAYER)?;
        Err(IdentityRejection(Rejection::Anonymous(anonymous.deny(parts))))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Identity {
    type Rejection = IdentityRejection;

    async fn from_request_parts(
        parts: &mut Parts,
        _: &S,
    ) -> Result<Option<Self>, IdentityRejection> {
        let identity = parts.extensions.get::<Self>().cloned();
        let met_layer = identity.is_some() || parts.extensions.get::<Anonymous>().is_some();
        if met_layer { Ok(identity) } else { Err(IdentityRejection::NO_LAYER) }
    }
}
