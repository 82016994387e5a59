//! A denial as a gRPC response: a "Trailers-Only" answer of the gRPC over
//! HTTP/2 protocol, in which the status stands among the headers.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::{Denial, DenialKind};

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// What `grpc-message` escapes besides control characters and non-ASCII.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');

/// Whether a request is a gRPC call: a POST whose content type is
/// `application/grpc` or `application/grpc+` with a format.
pub(crate) fn is_grpc(method: &Method, headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let rest = content_type.and_then(|value| value.strip_prefix(b"application/grpc"));
    method == Method::POST && rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+')))
}

/// The denial with HTTP status 200, as gRPC demands, and the status that says
/// what it is.
pub(crate) fn render_grpc(denial: &Denial) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let message = utf8_percent_encode(denial.detail(), ESCAPED).to_string();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, GRPC);
    headers.insert(STATUS, HeaderValue::from(status(denial.kind())));
    if let Ok(message) = HeaderValue::try_from(message) {
        headers.insert(MESSAGE, message);
    }
    response
}

/// The canonical gRPC status code: never that of a success.
pub(crate) const fn status(kind: DenialKind) -> u16 {
    const INVALID_ARGUMENT: u16 = 3;
    const PERMISSION_DENIED: u16 = 7;
    const INTERNAL: u16 = 13;
    const UNAVAILABLE: u16 = 14;
    const UNAUTHENTICATED: u16 = 16;
    match kind {
        DenialKind::InvalidRequest(_) => INVALID_ARGUMENT,
        DenialKind::MissingCredential | DenialKind::InvalidToken => UNAUTHENTICATED,
        DenialKind::AccessSuspended
        | DenialKind::MethodNotGranted
        | DenialKind::PrivilegeMissing => PERMISSION_DENIED,
        DenialKind::StoreUnavailable => UNAVAILABLE,
        DenialKind::StoreCorrupt => INTERNAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(content_type: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))])
    }

    #[test]
    fn only_a_post_of_a_grpc_content_type_is_a_grpc_call() {
        for yes in ["application/grpc", "application/grpc+proto"] {
            assert!(is_grpc(&Method::POST, &headers(yes)));
            assert!(!is_grpc(&Method::GET, &headers(yes)));
        }
        for no in ["application/grpc-web", "application/grpcx", "application/json", ""] {
            assert!(!is_grpc(&Method::POST, &headers(no)));
        }
        assert!(!is_grpc(&Method::POST, &HeaderMap::new()));
    }

    #[test]
    fn a_denial_has_status_200_no_body_and_its_grpc_status() {
        let response = render_grpc(&Denial::new(DenialKind::StoreUnavailable));
        assert_eq!(response.status(), 200);
        assert!(response.body().is_empty());
        assert_eq!(response.headers()[STATUS], "14");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/grpc");
    }
}
