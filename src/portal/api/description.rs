//! The OpenAPI document, generated from the operations and their types.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use utoipa::openapi::response::Response as Described;
use utoipa::openapi::{Ref, RefOr};
use utoipa::{IntoResponses, OpenApi, ToResponse, ToSchema};

use super::{admin, log, own};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "tower-api-token portal",
        version = "1",
        description = "The operations of the profile and administration pages. Requests carry the \
                       host's own session; an API token is never one. A change is a POST of the \
                       same origin with a JSON object of at most 16 KiB, without unknown or \
                       repeated members. A number is an integer whatever it is written like.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    servers((url = ".")),
    paths(
        description,
        own::tokens,
        own::history,
        own::generate,
        own::resend,
        own::confirm,
        own::cancel,
        own::delete_backup,
        own::roll_back,
        own::revoke_all,
        own::reveal,
        admin::users,
        admin::user,
        log::audit,
        admin::grant,
        admin::suspend,
        admin::resume,
        admin::revoke_all,
        admin::erase,
    ),
    components(responses(Problem)),
)]
struct Description;

/// Not done; nothing has changed.
#[derive(ToSchema, ToResponse)]
#[response(content_type = "application/problem+json")]
#[expect(dead_code, reason = "the form of what `manage::Problem` writes")]
pub(super) struct Problem {
    /// `urn:problem-type:tower-api-token:` and the problem's name.
    r#type: String,
    title: String,
    status: u16,
    detail: String,
}

/// The problems of every operation that only reads.
pub(super) struct OfLooking;

/// The problems of every operation that changes something.
pub(super) struct OfChanging;

impl IntoResponses for OfLooking {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        problems(&[400, 401, 403, 500, 503])
    }
}

impl IntoResponses for OfChanging {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        problems(&[400, 401, 403, 409, 413, 415, 500, 501, 503])
    }
}

fn problems(statuses: &[u16]) -> BTreeMap<String, RefOr<Described>> {
    let problem = || RefOr::Ref(Ref::from_response_name("Problem"));
    statuses.iter().map(|status| (status.to_string(), problem())).collect()
}

static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    Description::openapi().to_json().expect("a map of text and numbers is always JSON")
});

/// This document
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "Description",
    responses((status = 200, description = "OpenAPI 3.1", body = Object), OfLooking),
)]
pub(super) async fn description() -> Response {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response()
}
