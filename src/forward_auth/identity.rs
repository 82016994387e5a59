//! How a gateway is told who passes.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::gate::Admission;
use crate::ConfigError;
use crate::authenticate::Identity;
use crate::denial::{Denial, DenialKind};
use crate::user::UserId;

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
const RESERVED: [&str; 18] = [
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
const RESERVED_PREFIXES: [&str; 3] = ["proxy-", "x-accel-", "x-envoy-"];

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
    pub(super) fn of(&self, identity: &Identity) -> Result<Admission, Denial> {
        let user = HeaderValue::from_str(&encoded(identity.user()));
        let user = user.map_err(|_| Denial::new(DenialKind::StoreCorrupt))?;
        let slot = HeaderValue::from_static(identity.slot().as_str());
        let user = Some((self.user.clone(), user));
        Ok(Admission { user, slot: (self.slot.clone(), slot) })
    }

    /// What stands for a preflight, which has no user.
    pub(super) fn of_preflight(&self) -> Admission {
        let slot = (self.slot.clone(), HeaderValue::from_static("preflight"));
        Admission { user: None, slot }
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
        for bad in ["content-length", "x-accel-redirect", "x-envoy-x", "x-original-method"] {
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
