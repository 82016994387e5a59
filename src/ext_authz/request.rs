//! The client's request, as Envoy describes it.

use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};

use super::message::{CheckRequest, HeaderLine, HttpRequest};
use crate::forward_auth::profile::is_clear;

/// A described request.
pub(super) struct Described {
    /// Whether its method and address are beyond doubt.
    pub(super) is_clear: bool,
    /// Where they are not they stand here as `GET /`.
    pub(super) head: Parts,
}

impl From<CheckRequest> for Described {
    fn from(check: CheckRequest) -> Self {
        let request = check.attributes.and_then(|attributes| attributes.request);
        let http = request.and_then(|request| request.http).unwrap_or_default();
        let mut head = Request::new(()).into_parts().0;
        let method = Method::from_bytes(&http.method).ok();
        let method = method.filter(|method| is_clear(method.as_str()));
        let uri = Uri::try_from(http.path.as_slice()).ok();
        let is_clear = match (method, uri) {
            (Some(method), Some(uri)) => {
                (head.method, head.uri) = (method, uri);
                true
            }
            _ => false,
        };
        head.headers = headers(http);
        Self { is_clear, head }
    }
}

/// Stands for a value that `http` cannot hold. No credential and no method has
/// this byte, so the line is judged as malformed and never as if it were not there.
const UNREADABLE: &[u8] = b"\xff";

/// The headers; `headers` if there are any there, else `header_map`. Pseudo
/// headers are left out.
fn headers(http: HttpRequest) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let joined = http.headers.into_iter().map(|line| (line.key, line.value));
    let lines = http.header_map.into_iter().flat_map(|map| map.headers).map(raw);
    let lines: Vec<_> = if joined.len() > 0 { joined.collect() } else { lines.collect() };
    for (name, value) in lines {
        let Ok(name) = HeaderName::try_from(name) else { continue };
        let value = HeaderValue::try_from(value).or_else(|_| HeaderValue::from_bytes(UNREADABLE));
        headers.extend(value.ok().map(|value| (name, value)));
    }
    if let (false, Ok(host)) = (headers.contains_key(HOST), HeaderValue::try_from(http.host)) {
        headers.insert(HOST, host);
    }
    headers
}

fn raw(line: HeaderLine) -> (Vec<u8>, Vec<u8>) {
    let HeaderLine { key, value, raw_value } = line;
    (key, if raw_value.is_empty() { value } else { raw_value })
}
