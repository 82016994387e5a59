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

impl Described {
    pub(super) fn method(&self) -> Option<&str> {
        self.is_clear.then(|| self.head.method.as_str())
    }
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

/// The headers; `headers` if there are any there, else `header_map`. Pseudo
/// headers and what is no header at all are left out.
fn headers(http: HttpRequest) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let joined = http.headers.into_iter().map(|line| (line.key, line.value));
    let lines = http.header_map.into_iter().flat_map(|map| map.headers).map(raw);
    let lines: Vec<_> = if joined.len() > 0 { joined.collect() } else { lines.collect() };
    for (name, value) in lines {
        let (name, value) = (HeaderName::try_from(name), HeaderValue::try_from(value));
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
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
