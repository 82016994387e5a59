//! The body of an operation: one JSON object, and nothing else.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::de::DeserializeOwned;

use crate::manage::Problem;

/// A body of that form. Its type refuses unknown and repeated members; the
/// parser refuses what is nested deeper than 128.
pub(in crate::portal) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::NOT_JSON);
        }
        let read = Bytes::from_request(request, state).await;
        let body = read.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::TOO_LARGE,
            _ => Problem::bad_request("The body could not be read. Nothing has changed."),
        })?;
        // A list would be taken for the members in their order.
        let what = "The body is not the JSON object that this operation takes";
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(Problem::bad_request(format!("{what}.")));
        }
        // The parser's message could repeat what was sent, a secret in the wrong
        // place among it: only the place is told.
        serde_json::from_slice(&body).map(Self).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            match member(&error) {
                Some(problem) => Problem::bad_request(format!("{what}: {problem}.")),
                None => Problem::bad_request(format!("{what}, at line {line}, column {column}.")),
            }
        })
    }
}

/// Which member is missing or repeated: a name of ours, and nothing that was
/// sent.
fn member(error: &serde_json::Error) -> Option<String> {
    let said = error.to_string();
    let named = |start: &str| said.strip_prefix(start)?.split('`').next().map(str::to_owned);
    let missing = named("missing field `").map(|name| format!("the member {name} is missing"));
    missing.or_else(|| {
        named("duplicate field `").map(|name| format!("the member {name} is there twice"))
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut kinds = headers.get_all(CONTENT_TYPE).iter().map(HeaderValue::as_bytes);
    let (Some(kind), None) = (kinds.next(), kinds.next()) else { return false };
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(b"application/json")
}
