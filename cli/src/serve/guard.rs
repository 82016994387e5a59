//! Who may ask an endpoint at all: whoever reaches its listener, where that is
//! bounded or said to be enough, and who knows the secret that it shares with the
//! gateway, where there is one. Client certificates are judged before, in `tls.rs`.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::ServeError;
use super::reload::{Current, Reloads};
use super::seldom::Seldom;
use crate::failure::Failure;
use crate::settings::{Access, ListenerConfig};

/// The header with the secret.
const SECRET: HeaderName = HeaderName::from_static("x-gateway-secret");

/// How often refused requests are logged.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// What a client is told when its gateway is not let in: that the service is
/// unavailable, since the fault is the operator's.
const PROBLEM: &str = "{\"type\":\"urn:problem-type:tower-api-token:gateway-not-recognised\",\
     \"title\":\"Service Unavailable\",\"status\":503,\
     \"detail\":\"the gateway did not identify itself to this service\"}";

/// Lets a gateway in. Clones are one.
#[derive(Clone)]
pub(super) struct Guard {
    /// The listener.
    name: &'static str,
    /// Two while one replaces the other.
    secrets: Option<Current<Vec<Zeroizing<String>>>>,
    log: Seldom,
}

/// Why a gateway is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Missing,
    Repeated,
    Wrong,
}

impl Fault {
    const fn text(self) -> &'static str {
        match self {
            Self::Missing => "X-Gateway-Secret is missing",
            Self::Repeated => "X-Gateway-Secret is sent more than once",
            Self::Wrong => "X-Gateway-Secret is not the content of secret-file",
        }
    }
}

impl Guard {
    /// The guard of a listener.
    pub(super) fn of(config: &ListenerConfig, reloads: &mut Reloads) -> Result<Self, Failure> {
        let (name, address) = (config.name, &config.address);
        match config.access {
            Access::Bounded => {}
            Access::Network => tracing::warn!("{}", open(config)),
            Access::Unbounded => {
                return Err(ServeError::Public { name, address: address.clone() }.into());
            }
        }
        let secrets = match config.secrets.clone() {
            Some(files) => {
                let (setting, paths) = (files.setting, files.paths());
                Some(reloads.read(setting, paths, move || Ok(files.read()?))?)
            }
            None => None,
        };
        Ok(Self { name, secrets, log: Seldom::every(LOG_INTERVAL) })
    }

    /// Takes the secret out of the headers, and says what to answer to a request
    /// that may not ask. Nothing of it depends on the request's token, nor on
    /// what is wrong with the secret.
    pub(super) fn refusal<B>(&self, request: &mut Request<B>) -> Option<Response<Bytes>> {
        let fault = self.fault(request.headers_mut())?;
        if self.log.is_time() {
            let (listener, fault) = (self.name, fault.text());
            tracing::error!(listener, fault, "the gateway is not recognised: requests get 503");
        }
        Some(unavailable(request.method()))
    }

    fn fault(&self, headers: &mut HeaderMap) -> Option<Fault> {
        let secrets = self.secrets.as_ref()?.get();
        let mut sent = headers.get_all(SECRET).iter();
        let fault = match (sent.next(), sent.next()) {
            (None, _) => Some(Fault::Missing),
            (Some(_), Some(_)) => Some(Fault::Repeated),
            (Some(sent), None) => {
                // Each is compared, whichever is the right one.
                let right = secrets.iter().fold(Choice::from(0), |right, secret| {
                    right | sent.as_bytes().ct_eq(secret.as_bytes())
                });
                (!bool::from(right)).then_some(Fault::Wrong)
            }
        };
        headers.remove(SECRET);
        fault
    }
}

/// What is told of a listener whose settings say `access = "network"`.
pub(crate) fn open(config: &ListenerConfig) -> String {
    let ListenerConfig { name, address, .. } = config;
    let may = match *name {
        "portal" => "is whom `user-header` says there",
        _ => "may ask there",
    };
    format!(
        "{name}: `access = \"network\"`: whoever reaches {address} {may}. A NetworkPolicy, a mesh or \
         a network of its own has to decide who does"
    )
}

/// The answer to a request whose gateway is not let in.
fn unavailable(method: &Method) -> Response<Bytes> {
    // Over HTTP/2 a body in the answer to HEAD would break the stream.
    let body = if method == Method::HEAD { "" } else { PROBLEM };
    let mut response = Response::new(Bytes::from_static(body.as_bytes()));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(PROBLEM.len()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> Guard {
        let secrets = ["0123456789abcdef", "fedcba9876543210"];
        let secrets = secrets.map(|secret| Zeroizing::new(secret.to_owned())).to_vec();
        let secrets = Some(Current::new(secrets));
        Guard { name: "forward-auth", secrets, log: Seldom::every(LOG_INTERVAL) }
    }

    fn headers(secrets: &[&str]) -> HeaderMap {
        secrets.iter().map(|secret| (SECRET, secret.parse().unwrap())).collect()
    }

    #[test]
    fn only_a_secret_sent_once_is_let_in_and_it_goes_no_further() {
        for secret in ["0123456789abcdef", "fedcba9876543210"] {
            let mut right = headers(&[secret]);
            assert_eq!(guard().fault(&mut right), None);
            assert!(right.is_empty());
        }
        assert_eq!(guard().fault(&mut headers(&[])), Some(Fault::Missing));
        for wrong in ["", "0123456789abcdeF", "0123456789abcdef0"] {
            assert_eq!(guard().fault(&mut headers(&[wrong])), Some(Fault::Wrong), "{wrong}");
        }
        for repeated in [["0123456789abcdef"; 2], ["0123456789abcdef", "fedcba9876543210"]] {
            assert_eq!(guard().fault(&mut headers(&repeated)), Some(Fault::Repeated));
        }
    }

    #[test]
    fn the_answer_to_a_gateway_that_is_not_let_in_is_an_outage_and_the_head_of_it_has_no_body() {
        for (method, length) in [(Method::GET, PROBLEM.len()), (Method::HEAD, 0)] {
            let answer = unavailable(&method);
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(answer.body().len(), length);
            assert_eq!(answer.headers()[CONTENT_LENGTH], *PROBLEM.len().to_string());
        }
        let problem: serde_json::Value = serde_json::from_str(PROBLEM).unwrap();
        assert_eq!(problem["status"], 503);
    }
}
