//! Where a gateway names the method that its client asked for.

use http::Method;
use http::request::Parts;

use crate::credentials::overrides::reads_as;
use crate::method::is_http_token;

const ORIGINAL: &str = "x-original-method";
const FORWARDED: &str = "x-forwarded-method";
const METHOD: &str = "method";

/// The headers in which a gateway can name the method.
const HEADERS: [&str; 3] = [ORIGINAL, FORWARDED, METHOD];

/// Where a gateway names the client's method: one source, and no other is ever
/// looked for in its place.
///
/// The method is in doubt, and the request is denied, if the source is missing,
/// empty, a list or not a method, if it holds a lower-case letter (methods are
/// case-sensitive, and some gateways pass `get` on), or if a header of any
/// profile is repeated or says something else: every gateway sets one of them
/// and may let its client fill in the others.
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
    /// `Method`: the Gateway API's `ExternalAuth` filter as NGINX Gateway Fabric
    /// has it, which asks by a GET. What is 400 elsewhere is 401 here, too.
    MethodHeader,
    /// The method of the gateway's own request: Envoy with HTTP, and Traefik
    /// with `preserveRequestMethod`.
    ///
    /// A gateway that is set to ask by another method than its client's has
    /// every request decided by that one, and nothing shows it: set none.
    OwnRequestLine,
}

impl Profile {
    /// Whether a gateway of this kind hands 400 on to its client.
    pub(super) const fn knows_400(self) -> bool {
        !matches!(self, Self::OriginalMethod | Self::MethodHeader)
    }

    /// The header that names the method, or `None` for the request line.
    const fn header(self) -> Option<&'static str> {
        match self {
            Self::OriginalMethod => Some(ORIGINAL),
            Self::ForwardedMethod => Some(FORWARDED),
            Self::MethodHeader => Some(METHOD),
            Self::OwnRequestLine => None,
        }
    }

    /// The client's method, or `None` where it is in doubt.
    pub(super) fn method(self, request: &Parts) -> Option<Method> {
        let told = match self.header() {
            Some(name) => request.headers.get(name)?.to_str().ok()?,
            None => request.method.as_str(),
        };
        let mut seen = [false; HEADERS.len()];
        for (name, value) in &request.headers {
            let place = HEADERS.iter().position(|known| reads_as(name.as_str(), known));
            if let Some(place) = place
                && (std::mem::replace(&mut seen[place], true) || value != told)
            {
                return None;
            }
        }
        if is_clear(told) { Method::from_bytes(told.as_bytes()).ok() } else { None }
    }
}

/// Whether the text is a method without lower-case letters.
pub(crate) fn is_clear(method: &str) -> bool {
    is_http_token(method.as_bytes()) && !method.bytes().any(|byte| byte.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Profile; 4] = [
        Profile::OriginalMethod,
        Profile::ForwardedMethod,
        Profile::MethodHeader,
        Profile::OwnRequestLine,
    ];

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
    fn each_profile_reads_its_own_source_and_no_other() {
        for profile in ALL {
            for header in HEADERS {
                let told = profile.method(&request("GET", &[(header, "DELETE")]));
                let own = profile.header() == Some(header);
                assert_eq!(told, own.then(|| method("DELETE")), "{profile:?} {header}");
            }
        }
        assert_eq!(Profile::OwnRequestLine.method(&request("PUT", &[])), Some(method("PUT")));
    }

    #[test]
    fn a_header_that_says_the_same_contradicts_nothing() {
        let all = request("PUT", &HEADERS.map(|header| (header, "PUT")));
        for profile in ALL {
            assert_eq!(profile.method(&all), Some(method("PUT")));
        }
    }

    #[test]
    fn a_header_that_stands_there_twice_is_doubt_in_every_profile() {
        for profile in ALL {
            for repeated in HEADERS {
                let mut headers = HEADERS.map(|header| (header, "GET")).to_vec();
                headers.push((repeated, "GET"));
                assert_eq!(profile.method(&request("GET", &headers)), None, "{profile:?}");
            }
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
