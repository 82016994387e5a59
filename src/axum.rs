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
use http::StatusCode;
use http::request::Parts;

use crate::authenticate::Identity;
use crate::manage::Problem;
use crate::middleware::Anonymous;
#[cfg(doc)]
use crate::middleware::TokenAuthLayer;

/// As [`to_response`](Problem::to_response); the problem itself is in the
/// response's extensions.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.to_response().map(Body::from);
        response.extensions_mut().insert(self);
        response
    }
}

/// The rejection is the answer itself: 401 for an anonymous request, 500 where
/// the layer is missing.
impl<S: Sync> FromRequestParts<S> for Identity {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        if let Some(identity) = parts.extensions.get::<Self>() {
            return Ok(identity.clone());
        }
        let anonymous = parts.extensions.get::<Anonymous>().ok_or_else(no_layer)?;
        Err(anonymous.deny(parts).map(Body::from))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Identity {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Response> {
        let identity = parts.extensions.get::<Self>().cloned();
        let met_layer = identity.is_some() || parts.extensions.get::<Anonymous>().is_some();
        if met_layer { Ok(identity) } else { Err(no_layer()) }
    }
}

fn no_layer() -> Response {
    let text = "this route is not behind tower_api_token::TokenAuthLayer";
    (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
}
