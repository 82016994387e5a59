//! The operations as JSON.

pub(super) mod admin;
mod body;
mod number;
pub(super) mod own;
mod show;
mod words;

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;

/// The OpenAPI document of these operations.
pub(super) async fn description() -> Response {
    let headers = [(CONTENT_TYPE, "application/json")];
    (headers, include_str!("api/openapi.json")).into_response()
}
