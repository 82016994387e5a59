//! The signature of Standard Webhooks 1.0: HMAC-SHA256 over id, time and body.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::ConfigError;
use crate::time::Timestamp;

/// What a webhook's messages are signed with, shared with their receiver.
///
/// Its text is `whsec_` and the base64 of 24 to 64 random bytes. `Debug` does not show
/// it.
#[derive(Clone)]
pub struct WebhookSecret(Zeroizing<Vec<u8>>);

impl WebhookSecret {
    const PREFIX: &'static str = "whsec_";

    /// Reads the secret's text.
    ///
    /// # Errors
    ///
    /// [`ConfigError::WebhookSecret`] if it is none.
    pub fn new(text: &str) -> Result<Self, ConfigError> {
        let encoded = text.strip_prefix(Self::PREFIX).ok_or(ConfigError::WebhookSecret)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| ConfigError::WebhookSecret)?;
        let bytes = Zeroizing::new(bytes);
        if (24..=64).contains(&bytes.len()) {
            Ok(Self(bytes))
        } else {
            Err(ConfigError::WebhookSecret)
        }
    }

    fn sign(&self, id: &str, seconds: &str, body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key may have any length");
        for part in [id, ".", seconds, ".", body] {
            mac.update(part.as_bytes());
        }
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(..)")
    }
}

/// A message with its signatures.
pub(super) struct Signed {
    pub(super) id: String,
    /// Seconds since 1970.
    pub(super) timestamp: String,
    /// One for each secret, with spaces between.
    pub(super) signature: String,
    pub(super) body: String,
}

impl Signed {
    pub(super) fn new(id: String, at: Timestamp, body: String, secrets: &[WebhookSecret]) -> Self {
        let timestamp = (at.unix_millis() / 1_000).to_string();
        let signatures = secrets.iter().map(|secret| secret.sign(&id, &timestamp, &body));
        let signature = signatures.collect::<Vec<_>>().join(" ");
        Self { id, timestamp, signature, body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    #[test]
    fn a_signature_is_that_of_the_standard() {
        let secret = WebhookSecret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = r#"{"test": 2432232314}"#;
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_of_the_documented_form() {
        for bad in ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAA", "whsec_?"] {
            assert!(WebhookSecret::new(bad).is_err(), "{bad}");
        }
        let secret = WebhookSecret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert!(!format!("{secret:?}").contains("MfKQ"));
    }
}
