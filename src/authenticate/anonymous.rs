//! What becomes of a request without a credential.

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, ORIGIN};
use http::{HeaderMap, Method};

use super::refusal::faulty;
use super::{Authenticator, Decision, Pass};
use crate::denial::{Denial, DenialKind, Reason, RequestFault};
use crate::method::is_http_token;

impl Authenticator {
    /// A request that asks for another method than its own is no preflight: no
    /// browser makes one, and behind us it could be any method's request. And
    /// who tried to present a token is nobody's anonymous client.
    #[cold]
    pub(super) fn without_credential(
        &self,
        method: Option<&Method>,
        headers: &HeaderMap,
        no_override: Result<bool, RequestFault>,
        misplaced: Option<RequestFault>,
    ) -> Decision {
        let allowed = misplaced.map_or(no_override, Err);
        let authorization = self.sources.authorization() && headers.contains_key(AUTHORIZATION);
        // No browser sends one with a preflight, of whatever scheme it is.
        let preflight = !authorization && is_preflight(method, headers);
        if self.allow_preflight && preflight && allowed == Ok(true) {
            Ok(Pass::ANONYMOUS)
        } else if self.optional {
            allowed.map(|_| Pass::ANONYMOUS).map_err(faulty)
        } else {
            let reason = match misplaced {
                Some(_) => Reason::NoScheme,
                None if authorization => Reason::OtherScheme,
                None if preflight && !self.allow_preflight => Reason::Preflight,
                None => Reason::NoCredential,
            };
            Err(Box::new(Denial::because(DenialKind::MissingCredential, reason)))
        }
    }
}

/// A CORS preflight (Fetch standard, section "CORS-preflight fetch"): each
/// header once.
fn is_preflight(method: Option<&Method>, headers: &HeaderMap) -> bool {
    let only = |name| {
        let mut lines = headers.get_all(name).iter();
        lines.next().filter(|_| lines.next().is_none())
    };
    let asked = only(ACCESS_CONTROL_REQUEST_METHOD);
    method == Some(&Method::OPTIONS)
        && only(ORIGIN).is_some_and(|origin| !origin.is_empty())
        && asked.is_some_and(|method| is_http_token(method.as_bytes()))
}
