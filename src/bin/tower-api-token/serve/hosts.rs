//! The names by which the portal is called.
//!
//! A page in a browser reaches whatever its own host's name leads to. Were any
//! name answered to, the page of a stranger whose name was made to lead here
//! could read and do what a user may.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};

use crate::settings::{HostName, ListenAddress, SettingsError};

/// How often a refusal is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

const REFUSAL: &str = "The portal does not answer to this name. \
     Whoever runs it names it in the setting `portal.hosts`.\n";

/// The names by which the portal is called. Clones are one.
#[derive(Clone, Debug)]
pub(super) struct Hosts {
    names: Arc<[HostName]>,
    /// Only this machine reaches it.
    private: bool,
    logged: Arc<Mutex<Option<Instant>>>,
}

impl Hosts {
    /// Those that are configured, and that of the address itself.
    pub(super) fn of(
        mut names: Vec<HostName>,
        address: &ListenAddress,
    ) -> Result<Self, SettingsError> {
        if let ListenAddress::Tcp(address) = address
            && !address.ip().is_unspecified()
        {
            names.push(HostName::Address(address.ip().to_canonical()));
        }
        let private = address.is_private();
        if names.is_empty() && !private {
            let problem = format!(
                "on {address} the portal answers to no name: say the one by which browsers reach \
                 it, such as [\"tokens.example.com\"], or `notify.link-base`"
            );
            return Err(SettingsError::bad("portal.hosts", problem));
        }
        Ok(Self { names: names.into(), private, logged: Arc::default() })
    }

    /// What to answer to a request by another name.
    pub(super) fn refusal<B>(&self, request: &Request<B>) -> Option<Response<&'static str>> {
        let status = match asked(request.uri(), request.headers()) {
            None => StatusCode::BAD_REQUEST,
            Some(hosts) if hosts.iter().all(|host| self.is_own(host)) => return None,
            Some(_) => StatusCode::MISDIRECTED_REQUEST,
        };
        self.log();
        // Over HTTP/2 a body in the answer to HEAD would break the stream.
        let body = if request.method() == Method::HEAD { "" } else { REFUSAL };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.insert(CONTENT_TYPE, text);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Some(response)
    }

    fn is_own(&self, host: &HostName) -> bool {
        self.names.contains(host) || (self.private && host.is_loopback())
    }

    /// Logs the refusal unless one was logged a moment ago. The name is whatever
    /// a client likes.
    fn log(&self) {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.is_none_or(|logged| logged.elapsed() >= LOG_INTERVAL) {
            *logged = Some(Instant::now());
            tracing::warn!(
                "the portal was asked for by a name (the header Host) that is neither in \
                 `portal.hosts` nor in `notify.link-base`, and refused"
            );
        }
    }
}

/// The hosts that a request names, in its head and in `Host`; `None` where it
/// names none, or one that cannot be understood.
fn asked(uri: &Uri, headers: &HeaderMap) -> Option<Vec<HostName>> {
    let mut hosts = Vec::new();
    if let Some(authority) = uri.authority() {
        hosts.push(HostName::of_authority(authority.as_str())?);
    }
    let mut lines = headers.get_all(HOST).iter();
    match (lines.next(), lines.next()) {
        (None, _) => {}
        (Some(host), None) => hosts.push(HostName::of_authority(host.to_str().ok()?)?),
        (Some(_), Some(_)) => return None,
    }
    (!hosts.is_empty()).then_some(hosts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(names: &[&str], listen: &str) -> Hosts {
        let names = names.iter().map(|name| HostName::parse(name).unwrap()).collect();
        Hosts::of(names, &ListenAddress::parse(listen).unwrap()).unwrap()
    }

    fn status(hosts: &Hosts, uri: &str, host: &[&str]) -> u16 {
        let mut request = Request::builder().uri(uri);
        for host in host {
            request = request.header("host", *host);
        }
        let refusal = hosts.refusal(&request.body(()).unwrap());
        refusal.map_or(200, |refusal| refusal.status().as_u16())
    }

    #[test]
    fn loopback_names_are_answered_to_where_only_this_machine_reaches_the_portal() {
        for listen in ["127.0.0.1:80", "[::1]:80", "unix:portal.sock"] {
            let hosts = hosts(&[], listen);
            for own in
                ["localhost", "LocalHost:8080", "localhost.", "127.0.0.1:1", "[::1]", "[0:0::1]:1"]
            {
                assert_eq!(status(&hosts, "/", &[own]), 200, "{listen} {own}");
            }
            for other in ["evil.example", "localhost.evil.example", "10.0.0.1", "[fe80::1]:80"] {
                assert_eq!(status(&hosts, "/", &[other]), 421, "{listen} {other}");
            }
        }
        let public = hosts(&[], "192.0.2.1:80");
        assert_eq!(status(&public, "/", &["192.0.2.1:80"]), 200);
        assert_eq!(status(&public, "/", &["localhost"]), 421);
    }

    #[test]
    fn names_are_compared_without_case_port_and_final_dot_wherever_they_stand() {
        let hosts = hosts(&["Tokens.Example.com", "2001:db8::1"], "0.0.0.0:80");
        for own in
            ["tokens.example.com", "TOKENS.example.com:443", "tokens.example.com.", "[2001:DB8::1]"]
        {
            assert_eq!(status(&hosts, "/", &[own]), 200, "{own}");
        }
        let own = "tokens.example.com";
        assert_eq!(status(&hosts, "http://tokens.example.com/", &[]), 200, "as over HTTP/2");
        assert_eq!(status(&hosts, "http://evil.example/", &[own]), 421);
        assert_eq!(status(&hosts, "http://tokens.example.com/", &["evil.example"]), 421);
        assert_eq!(status(&hosts, "/", &["evil.tokens.example.com"]), 421);
        for bad in [&[][..], &[""], &["a b"], &["user@tokens.example.com"], &[own, own], &["a:x"]] {
            assert_eq!(status(&hosts, "/", bad), 400, "{bad:?}");
        }
    }

    #[test]
    fn a_portal_that_others_reach_needs_a_name() {
        let address = ListenAddress::parse("0.0.0.0:80").unwrap();
        let problem = Hosts::of(Vec::new(), &address).unwrap_err().to_string();
        assert!(problem.contains("portal.hosts") && problem.contains("tokens.example.com"));
    }
}
