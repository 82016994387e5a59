//! What the services for gateways share: the decision of
//! [`authenticate`](crate::authenticate), what may be told of it, and the headers
//! that name who passes.

use std::borrow::Cow;
use std::iter::{self, Chain, Once};
use std::option;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::ConfigError;
use crate::account::Slot;
use crate::authenticate::{Authenticator, Decision, Identity, notices};
use crate::denial::{Denial, DenialKind, Realm, Reason, Renderer, keep_the_head};
use crate::telemetry;
use crate::user::UserId;

/// Whom the gateway may let through, as headers: the user and the slot of the
/// token, or that it is a preflight, which has no user.
pub(crate) struct Admission {
    pub(crate) user: Option<(HeaderName, HeaderValue)>,
    pub(crate) slot: (HeaderName, HeaderValue),
    /// What the client is told of its token.
    pub(crate) notices: Vec<(HeaderName, HeaderValue)>,
}

impl IntoIterator for Admission {
    type Item = (HeaderName, HeaderValue);
    type IntoIter = Chain<option::IntoIter<Self::Item>, Once<Self::Item>>;

    fn into_iter(self) -> Self::IntoIter {
        self.user.into_iter().chain(iter::once(self.slot))
    }
}

/// Decides for a gateway.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    pub(crate) authenticator: Authenticator,
    renderer: Renderer,
    pub(crate) identity_headers: IdentityHeaders,
    /// Whether the gateway hands 400 on to its client.
    pub(crate) knows_400: bool,
}

impl Gate {
    pub(crate) fn new(authenticator: Authenticator) -> Self {
        // Then a pass without a user is a preflight's, and no other.
        let authenticator = authenticator.optional(false);
        let renderer = Renderer::new(&Realm::default(), authenticator.enabled_sources());
        let identity_headers = IdentityHeaders::default();
        Self { authenticator, renderer, identity_headers, knows_400: true }
    }

    pub(crate) fn set_realm(&mut self, realm: &Realm) {
        self.renderer = Renderer::new(realm, self.authenticator.enabled_sources());
    }

    /// Does what needs the whole request, and names who may pass.
    ///
    /// # Errors
    ///
    /// [`Denial`], also for an anonymous request that is no preflight: a gateway
    /// that is told no user may keep the one that the client claims to be. It
    /// repeats nothing of the request.
    pub(crate) fn finish(
        &self,
        decision: Decision,
        request: &mut Parts,
    ) -> Result<Admission, Denial> {
        let decision = decision.and_then(|pass| self.authenticator.finish(pass, request));
        let admitted = decision.map_err(|denial| self.told(&denial)).and_then(|pass| {
            let admission = self.admission(pass.identity.as_ref())?;
            Ok((admission, pass.slot()))
        });
        let admitted = admitted.inspect(|(_, slot)| telemetry::passed(*slot));
        admitted.map(|(admission, _)| admission).inspect_err(telemetry::denied)
    }

    fn admission(&self, identity: Option<&Identity>) -> Result<Admission, Denial> {
        match identity {
            Some(identity) => self.identity_headers.of(identity),
            None if self.authenticator.allow_preflight => Ok(self.identity_headers.of_preflight()),
            None => Err(Denial::because(DenialKind::MissingCredential, Reason::NoCredential)),
        }
    }

    /// The denial as the gateway can be told of it.
    fn told(&self, denial: &Denial) -> Denial {
        match denial.kind() {
            DenialKind::InvalidRequest(fault) if !self.knows_400 => {
                let reason = Some(fault.text());
                Denial { kind: DenialKind::InvalidToken, method: None, reason }
            }
            // An answer to a gateway repeats nothing of the request.
            _ => Denial { method: None, ..denial.clone() },
        }
    }

    /// The denial as HTTP says it, to a request with that method.
    pub(crate) fn render(&self, denial: &Denial, method: &Method) -> Response<Bytes> {
        let mut response = self.renderer.render(denial);
        if method == Method::HEAD {
            keep_the_head(&mut response);
        }
        response
    }
}

/// What is escaped in a user's name: all but letters, digits and `-._~@+:/=`.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'@')
    .remove(b'+')
    .remove(b':')
    .remove(b'/')
    .remove(b'=');

/// Names that mean something else to a gateway or to HTTP.
const RESERVED: [&str; 19] = [
    "authorization",
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "host",
    "keep-alive",
    "location",
    "method",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "www-authenticate",
    "x-forwarded-method",
    "x-original-method",
];

/// Beginnings of such names.
const RESERVED_PREFIXES: [&str; 4] = ["api-token-", "proxy-", "x-accel-", "x-envoy-"];

/// The names of the two headers that tell a gateway, and through it the
/// upstream, who passes.
///
/// One holds the user's name, percent-encoded (RFC 3986 section 2.1) but for
/// ASCII letters, digits and `-._~@+:/=`: never empty, never a list, and
/// decoded exactly by any percent-decoder. The other holds the slot of the
/// token, `primary` or `backup`.
///
/// For a CORS preflight that
/// [may pass](crate::authenticate::Authenticator::allow_preflight) the first is
/// missing and the second holds `preflight`.
///
/// ```
/// use tower_api_token::forward_auth::IdentityHeaders;
///
/// assert_eq!(IdentityHeaders::default().user(), "x-auth-user");
/// assert_eq!(IdentityHeaders::default().slot(), "x-auth-slot");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityHeaders {
    user: HeaderName,
    slot: HeaderName,
}

/// `X-Auth-User` and `X-Auth-Slot`.
impl Default for IdentityHeaders {
    fn default() -> Self {
        let [user, slot] = ["x-auth-user", "x-auth-slot"].map(HeaderName::from_static);
        Self { user, slot }
    }
}

impl IdentityHeaders {
    /// Headers of these names.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the rule that they break.
    pub fn new(user: HeaderName, slot: HeaderName) -> Result<Self, ConfigError> {
        if user == slot {
            Err(ConfigError::SameIdentityHeaders)
        } else if is_reserved(&user) || is_reserved(&slot) {
            Err(ConfigError::IdentityHeaderReserved)
        } else {
            Ok(Self { user, slot })
        }
    }

    /// The header with the user's name.
    #[must_use]
    pub const fn user(&self) -> &HeaderName {
        &self.user
    }

    /// The header with the slot of the token.
    #[must_use]
    pub const fn slot(&self) -> &HeaderName {
        &self.slot
    }

    /// Both headers for one user.
    fn of(&self, identity: &Identity) -> Result<Admission, Denial> {
        let user = HeaderValue::from_str(&encoded(identity.user()));
        let user = user.map_err(|_| Denial::new(DenialKind::StoreCorrupt))?;
        let slot = HeaderValue::from_static(identity.slot().as_str());
        let is_backup = identity.slot() == Slot::Backup;
        Ok(Admission {
            user: Some((self.user.clone(), user)),
            slot: (self.slot.clone(), slot),
            notices: notices(is_backup, identity.announced_end()).collect(),
        })
    }

    /// What stands for a preflight, which has no user.
    fn of_preflight(&self) -> Admission {
        let slot = (self.slot.clone(), HeaderValue::from_static("preflight"));
        Admission { user: None, slot, notices: Vec::new() }
    }
}

fn encoded(user: &UserId) -> Cow<'_, str> {
    utf8_percent_encode(user.as_str(), ESCAPED).into()
}

fn is_reserved(name: &HeaderName) -> bool {
    let name = name.as_str();
    RESERVED.contains(&name) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_break_the_rule_that_is_named() {
        let new = |user, slot| {
            IdentityHeaders::new(HeaderName::from_static(user), HeaderName::from_static(slot))
        };
        assert_eq!(new("x-a", "x-a").unwrap_err(), ConfigError::SameIdentityHeaders);
        for bad in
            ["content-length", "x-accel-redirect", "x-envoy-x", "x-original-method", "method"]
        {
            assert_eq!(new(bad, "x-a").unwrap_err(), ConfigError::IdentityHeaderReserved);
            assert_eq!(new("x-a", bad).unwrap_err(), ConfigError::IdentityHeaderReserved);
        }
        assert!(new("x-a", "x-b").is_ok());
    }

    #[test]
    fn every_name_survives_its_encoding_as_one_plain_word() {
        for name in ["alice@example.com", "a,b", "100%", "al\u{ed}ce", "a b;c=\"d\"", "{env.X}"] {
            let user = UserId::new(name).unwrap();
            let encoded = encoded(&user);
            assert!(encoded.bytes().all(|byte| byte.is_ascii_graphic()), "{encoded}");
            assert!(!encoded.contains([',', ';', '"', '{']), "{encoded}");
            let decoded = percent_encoding::percent_decode_str(&encoded).decode_utf8().unwrap();
            assert_eq!(decoded, name);
        }
        assert_eq!(encoded(&UserId::new("alice@example.com").unwrap()), "alice@example.com");
    }
}
