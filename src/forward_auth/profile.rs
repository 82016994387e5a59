//! Where a gateway names the method that its client asked for.

use http::Method;
use http::request::Parts;

use crate::credentials::overrides::reads_as;
use crate::method::is_http_token;

const ORIGINAL: &str = "x-original-method";
const FORWARDED: &str = "x-forwarded-method";

/// Where a gateway names the client's method: one source, and no other is ever
/// looked for in its place.
///
/// The method is in doubt, and the request is denied, if the source is missing,
/// empty, repeated, a list or not a method, if it holds a lower-case letter
/// (methods are case-sensitive, and some gateways pass `get` on), or if a
/// header of another profile says something else: every gateway sets one of
/// them and lets its client fill in the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Profile {
    /// `X-Original-Method`: nginx, HAProxy, Apache httpd, ingress-nginx. Their
    /// configuration has to set it.
    ///
    /// A plain `auth_request` knows no status but 2xx, 401 and 403, and makes
    /// an error 500 of any other. So what is 400 elsewhere is 401 here.
    OriginalMethod,
    /// `X-Forwarded-Method`: Caddy, Traefik, APISIX set it by themselves.
    ForwardedMethod,
    /// The method of the gateway's own request: Envoy with HTTP, and Traefik
    /// with `preserveRequestMethod`.
    OwnRequestLine,
}

impl Profile {
    /// Whether a gateway of this kind hands 400 on to its client.
    pub(super) const fn knows_400(self) -> bool {
        !matches!(self, Self::OriginalMethod)
    }

    /// The client's method, or `None` where it is in doubt.
    pub(super) fn method(self, request: &Parts) -> Option<Method> {
        let (source, mut told) = match self {
            Self::OriginalMethod => (ORIGINAL, None),
            Self::ForwardedMethod => (FORWARDED, None),
            Self::OwnRequestLine => ("", Some(request.method.as_str())),
        };
        let mut lines = usize::from(told.is_some());
        for (name, value) in &request.headers {
            let name = name.as_str();
            if reads_as(name, ORIGINAL) || reads_as(name, FORWARDED) {
                if value != told.get_or_insert(value.to_str().ok()?) {
                    return None;
                }
                lines += usize::from(name == source);
            }
        }
        let told = told.filter(|method| lines == 1 && is_clear(method))?;
        Method::from_bytes(told.as_bytes()).ok()
    }
}

/// Whether the text is a method without lower-case letters.
pub(crate) fn is_clear(method: &str) -> bool {
    is_http_token(method.as_bytes()) && !method.bytes().any(|byte| byte.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().method(method);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn method(name: &str) -> Method {
        name.parse().unwrap()
    }

    #[test]
    fn each_profile_reads_its_own_source() {
        let original = request("GET", &[("x-original-method", "DELETE")]);
        let forwarded = request("GET", &[("x-forwarded-method", "PURGE")]);
        let own = request("PUT", &[]);
        assert_eq!(Profile::OriginalMethod.method(&original), Some(method("DELETE")));
        assert_eq!(Profile::ForwardedMethod.method(&forwarded), Some(method("PURGE")));
        assert_eq!(Profile::OwnRequestLine.method(&own), Some(method("PUT")));
        assert_eq!(Profile::OriginalMethod.method(&forwarded), None);
        assert_eq!(Profile::ForwardedMethod.method(&original), None);
        assert_eq!(Profile::OwnRequestLine.method(&original), None);
    }

    #[test]
    fn a_header_that_says_the_same_contradicts_nothing() {
        let both = [("x-original-method", "PUT"), ("x-forwarded-method", "PUT")];
        let both = request("PUT", &both);
        for profile in [Profile::OriginalMethod, Profile::ForwardedMethod, Profile::OwnRequestLine]
        {
            assert_eq!(profile.method(&both), Some(method("PUT")));
        }
    }

    #[test]
    fn other_spellings_of_the_headers_are_heard_but_never_trusted() {
        for name in ["x_original_method", "x.forwarded.method", "x-original_method"] {
            let alone = request("GET", &[(name, "GET")]);
            assert_eq!(Profile::OriginalMethod.method(&alone), None, "{name}");
            let contradicted = request("GET", &[("x-original-method", "GET"), (name, "PUT")]);
            assert_eq!(Profile::OriginalMethod.method(&contradicted), None, "{name}");
        }
    }
}
