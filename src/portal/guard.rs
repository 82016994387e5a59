//! What stands around every handler: who is signed in, where the request comes
//! from, and what every answer carries.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, ORIGIN,
    REFERRER_POLICY, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::layout::{Layout, Page};
use super::pages::Refused;
use super::session::PortalUser;
use super::{BODY_LIMIT, Shared};
use crate::manage::Problem;

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Around the pages.
pub(super) async fn pages(
    State(portal): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let user = request.extensions().get::<PortalUser>().cloned();
    let path = request.uri().path().to_owned();
    let reading = request.method().is_safe();
    let Some(user) = user else {
        let response = match portal.sign_in.as_deref().filter(|_| reading) {
            Some(sign_in) => to_sign_in(sign_in, &path),
            None => page_of(&Problem::NOT_SIGNED_IN, &portal, None),
        };
        return secured(response);
    };
    let response = pass(request, next).await;
    let refused = response.extensions().get::<Problem>().cloned();
    secured(match refused {
        Some(refused) => with_headers_of(&response, page_of(&refused, &portal, Some(&user))),
        None => response,
    })
}

/// Around the JSON operations.
pub(super) async fn api(request: Request, next: Next) -> Response {
    if request.extensions().get::<PortalUser>().is_none() {
        return secured(problem(&Problem::NOT_SIGNED_IN));
    }
    let response = pass(request, next).await;
    let refused = response.extensions().get::<Problem>().cloned();
    secured(match refused {
        Some(refused) => with_headers_of(&response, problem(&refused)),
        None => response,
    })
}

async fn pass(request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        next.run(request).await
    } else if !is_same_origin(&request) {
        Problem::CROSS_ORIGIN.into_response()
    } else if announces_too_much(request.headers()) {
        Problem::TOO_LARGE.into_response()
    } else {
        next.run(request).await
    }
}

/// Whether a body need not even be begun to be read.
fn announces_too_much(headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    length.and_then(|length| length.parse().ok()).is_some_and(|length: u64| length > BODY_LIMIT)
}

/// Whether a browser says that its request comes from this origin, or nothing
/// says that it comes from another.
///
/// `Origin: null` is what a browser without `Sec-Fetch-Site` sends from our own
/// pages, because of their referrer policy, and from a frame without an origin:
/// the form's token decides.
fn is_same_origin(request: &Request) -> bool {
    let headers = request.headers();
    let all = |name| headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let mut sites = all(HeaderName::from_static("sec-fetch-site")).peekable();
    if sites.peek().is_some() {
        return sites.all(|site| site == b"same-origin");
    }
    let own = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let own = own.or_else(|| headers.get(HOST).map(HeaderValue::as_bytes));
    let is_form = is_form(headers);
    all(ORIGIN).all(|origin| {
        let https = origin.strip_prefix(b"https://");
        let host = https.or_else(|| origin.strip_prefix(b"http://"));
        (origin == b"null" && is_form)
            || host.zip(own).is_some_and(|(host, own)| host.eq_ignore_ascii_case(own))
    })
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.starts_with(b"application/x-www-form-urlencoded"))
}

/// To the host's own sign-in, which is told the page and never its query.
fn to_sign_in(sign_in: &str, path: &str) -> Response {
    let path = utf8_percent_encode(path, NON_ALPHANUMERIC);
    Redirect::to(&format!("{sign_in}?return_to={path}")).into_response()
}

fn page_of(problem: &Problem, portal: &Shared, user: Option<&PortalUser>) -> Response {
    let problem = problem.for_people();
    let layout = Layout::new(portal, user, problem.title);
    let mut response = Page(Refused { layout, problem: &problem }).into_response();
    *response.status_mut() = problem.status;
    if let Some(wait) = problem.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
    }
    challenge(&mut response);
    response
}

fn problem(problem: &Problem) -> Response {
    let mut response = problem.for_programs().to_response().map(Body::from);
    challenge(&mut response);
    response
}

/// RFC 9110 section 15.5.2 wants a challenge; a session has no scheme of its own
/// that a browser would act on.
fn challenge(response: &mut Response) {
    if response.status() == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Session realm=\"api tokens\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
}

/// Keeps what the router has said of the refused request, such as `Allow`.
fn with_headers_of(refused: &Response, mut response: Response) -> Response {
    if let Some(allow) = refused.headers().get(http::header::ALLOW) {
        response.headers_mut().insert(http::header::ALLOW, allow.clone());
    }
    response
}

fn secured(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
    set(CONTENT_SECURITY_POLICY, POLICY);
    set(X_FRAME_OPTIONS, "DENY");
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(REFERRER_POLICY, "no-referrer");
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(CACHE_CONTROL, "no-store");
    response
}
