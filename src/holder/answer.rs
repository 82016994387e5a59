//! The answers that are no problem documents.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

pub(super) fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    response
}

pub(super) fn not_allowed(allowed: &'static str) -> Response<Bytes> {
    let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// RFC 6749 section 5.2.
pub(super) fn invalid_request() -> Response<Bytes> {
    let body = Bytes::from_static(b"{\"error\":\"invalid_request\"}");
    with_json(StatusCode::BAD_REQUEST, body)
}

pub(super) fn json(value: &impl Serialize) -> Response<Bytes> {
    let body = serde_json::to_vec(value).expect("texts, numbers and lists have a JSON form");
    with_json(StatusCode::OK, Bytes::from(body))
}

fn with_json(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut response = empty(status);
    *response.body_mut() = body;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
