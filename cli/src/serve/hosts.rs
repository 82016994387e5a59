//! The names by which the portal is called.
//!
//! A page in a browser reaches whatever its own host's name leads to. Were any
//! name answered to, the page of a stranger whose name was made to lead here
//! could read and do what a user may.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};

use super::seldom::Seldom;
use crate::settings::{HostName, ListenAddress, SettingsError};

/// How often a refusal is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Missing,
    Repeated,
    Unreadable,
    Other,
}

impl Fault {
    const fn status(self) -> StatusCode {
        match self {
            Self::Missing | Self::Repeated | Self::Unreadable => StatusCode::BAD_REQUEST,
            Self::Other => StatusCode::MISDIRECTED_REQUEST,
        }
    }

    const fn answer(self) -> &'static str {
        match self {
            Self::Missing => "The request has no header Host.\n",
            Self::Repeated => "The request has more than one header Host.\n",
            Self::Unreadable => "The name in the header Host cannot be understood.\n",
            Self::Other => {
                "The portal does not answer to this name. \
                 Whoever runs it names it in the setting `portal.hosts`.\n"
            }
        }
    }

    /// What the log says, without the name: that is whatever a client likes.
    const fn text(self) -> &'static str {
        match self {
            Self::Missing => "it has no header Host",
            Self::Repeated => "it has more than one header Host",
            Self::Unreadable => "the name in its header Host cannot be understood",
            Self::Other => {
                "its name (the header Host) is neither in `portal.hosts` nor in `notify.link-base`"
            }
        }
    }
}

/// The names by which the portal is called. Clones are one.
#[derive(Clone, Debug)]
pub(super) struct Hosts {
    names: Arc<[HostName]>,
    /// Only this machine reaches it.
    private: bool,
    log: Seldom,
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
        Ok(Self { names: names.into(), private, log: Seldom::every(LOG_INTERVAL) })
    }

    /// What to answer to a request by another name.
    pub(super) fn refusal<B>(&self, request: &Request<B>) -> Option<Response<&'static str>> {
        let fault = self.fault(request)?;
        if self.log.is_time() {
            tracing::warn!("a request to the portal was refused: {}", fault.text());
        }
        // Over HTTP/2 a body in the answer to HEAD would break the stream.
        let body = if request.method() == Method::HEAD { "" } else { fault.answer() };
        let mut response = Response::new(body);
        *response.status_mut() = fault.status();
        let headers = response.headers_mut();
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.insert(CONTENT_TYPE, text);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Some(response)
    }

    fn fault<B>(&self, request: &Request<B>) -> Option<Fault> {
        match asked(request.uri(), request.headers()) {
            Ok(hosts) => hosts.iter().any(|host| !self.is_own(host)).then_some(Fault::Other),
            Err(fault) => Some(fault),
        }
    }

    fn is_own(&self, host: &HostName) -> bool {
        self.names.contains(host) || (self.private && host.is_loopback())
    }
}

/// The hosts that a request names, in its head and in `Host`: one at least.
fn asked(uri: &Uri, headers: &HeaderMap) -> Result<Vec<HostName>, Fault> {
    let mut hosts = Vec::new();
    if let Some(authority) = uri.authority() {
        hosts.push(HostName::of_authority(authority.as_str()).ok_or(Fault::Unreadable)?);
    }
    let mut lines = headers.get_all(HOST).iter();
    match (lines.next(), lines.next()) {
        (None, _) if hosts.is_empty() => return Err(Fault::Missing),
        (None, _) => {}
        (Some(host), None) => hosts.push(named(host).ok_or(Fault::Unreadable)?),
        (Some(_), Some(_)) => return Err(Fault::Repeated),
    }
    Ok(hosts)
}

fn named(host: &HeaderValue) -> Option<HostName> {
    HostName::of_authority(host.to_str().ok()?)
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
    fn what_is_wrong_with_the_header_is_told() {
        let hosts = hosts(&["a.example"], "0.0.0.0:80");
        let fault = |host: &[&str]| {
            let head = host.iter().fold(Request::builder(), |head, host| head.header(HOST, *host));
            hosts.fault(&head.body(()).unwrap())
        };
        assert_eq!(fault(&[]), Some(Fault::Missing));
        assert_eq!(fault(&["a.example"; 2]), Some(Fault::Repeated));
        assert_eq!(fault(&["a b"]), Some(Fault::Unreadable));
        assert_eq!(fault(&["b.example"]), Some(Fault::Other));
        assert_eq!(fault(&["a.example"]), None);
    }

    #[test]
    fn a_portal_that_others_reach_needs_a_name() {
        let address = ListenAddress::parse("0.0.0.0:80").unwrap();
        let problem = Hosts::of(Vec::new(), &address).unwrap_err().to_string();
        assert!(problem.contains("portal.hosts") && problem.contains("tokens.example.com"));
    }
}
