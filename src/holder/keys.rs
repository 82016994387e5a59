//! The public keys that reports are signed with.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use serde::Deserialize;

use crate::ConfigError;

/// What stands before the point in each key for ECDSA P-256: the algorithm and the
/// lengths (RFC 5480 section 2, in DER).
const BEFORE_POINT: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// What an uncompressed point begins with, and how long it is (SEC 1 section 2.3.3).
const UNCOMPRESSED: u8 = 4;
const POINT_LENGTH: usize = 65;

/// A public key for ECDSA P-256.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    point: [u8; POINT_LENGTH],
}

impl PublicKey {
    /// Reads a key in PEM, as GitHub's API gives it (`BEGIN PUBLIC KEY`, RFC 7468
    /// section 13).
    ///
    /// # Errors
    ///
    /// [`ConfigError::PublicKey`] if it is no key for ECDSA P-256.
    pub fn from_pem(pem: &str) -> Result<Self, ConfigError> {
        let text = pem.trim().strip_prefix("-----BEGIN PUBLIC KEY-----");
        let text = text.and_then(|text| text.strip_suffix("-----END PUBLIC KEY-----"));
        let text: String = text.unwrap_or_default().split_ascii_whitespace().collect();
        let key = STANDARD.decode(text).map_err(|_| ConfigError::PublicKey)?;
        let point = key.strip_prefix(&BEFORE_POINT).and_then(|point| point.try_into().ok());
        let point: [u8; POINT_LENGTH] = point.ok_or(ConfigError::PublicKey)?;
        (point[0] == UNCOMPRESSED).then_some(Self { point }).ok_or(ConfigError::PublicKey)
    }

    /// Whether the signature (ECDSA over SHA-256, in DER) is this key's of the message.
    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, self.point);
        key.verify(message, signature).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey").finish_non_exhaustive()
    }
}

/// Public keys by their identifiers, as GitHub's API gives them at
/// `https://api.github.com/meta/public_keys/secret_scanning`.
#[derive(Clone, Debug)]
pub struct PublicKeys(Arc<HashMap<String, PublicKey>>);

#[derive(Deserialize)]
struct Document {
    public_keys: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    key_identifier: String,
    key: String,
}

impl PublicKeys {
    /// Reads the answer of the API, kept in a file. A key in it counts whether it is
    /// marked as current or not: take out what shall not.
    ///
    /// ```
    /// use tower_api_token::holder::PublicKeys;
    ///
    /// let keys = PublicKeys::from_json(
    ///     r#"{ "public_keys": [{
    ///         "key_identifier": "90a421169f0a406205f1563a953312f0be898d3c7b6c06b681aa86a874555f4a",
    ///         "key": "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE9MJJHnMfn2+H4xL4YaPDA4RpJqUq\nkCmRCBnYERxZanmcpzQSXs1X/AljlKkbJ8qpVIW4clayyef9gWhFbNHWAA==\n-----END PUBLIC KEY-----\n",
    ///         "is_current": true
    ///     }] }"#,
    /// )?;
    /// # Ok::<(), tower_api_token::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::PublicKeys`] if it is another document or has no key, and
    /// [`ConfigError::PublicKey`] if one of them is no key for ECDSA P-256.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        let document: Document = serde_json::from_str(text).map_err(|_| ConfigError::PublicKeys)?;
        let mut keys = HashMap::new();
        for Entry { key_identifier, key } in document.public_keys {
            keys.insert(key_identifier, PublicKey::from_pem(&key)?);
        }
        if keys.is_empty() { Err(ConfigError::PublicKeys) } else { Ok(Self(Arc::new(keys))) }
    }

    /// The key of that identifier.
    #[must_use]
    pub fn get(&self, identifier: &str) -> Option<&PublicKey> {
        self.0.get(identifier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = "-----BEGIN PUBLIC KEY-----\n\
         MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYAGMWO8XgCamYKMJS6jc/qgvSlAd\n\
         AjPuDPRcXU22YxgBrz+zoN19MzuRyW87qEt9/AmtoNP5GrobzUvQSyJFVw==\n\
         -----END PUBLIC KEY-----\n";

    #[test]
    fn only_a_p256_key_in_pem_is_read() {
        assert!(PublicKey::from_pem(PEM).is_ok());
        assert!(PublicKey::from_pem(&PEM.replace('\n', "\r\n")).is_ok());
        // An Ed25519 key, a cut one, another label, another point form.
        let ed25519 = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
        let other = format!("-----BEGIN PUBLIC KEY-----\n{ed25519}\n-----END PUBLIC KEY-----");
        for bad in [
            "",
            "-----BEGIN PUBLIC KEY-----",
            &other,
            &PEM.replace("QSyJFVw==", "QSyJF"),
            &PEM.replace("PUBLIC", "PRIVATE"),
            &PEM.replace("DQgAEYAGM", "DQgACYAGM"),
        ] {
            assert_eq!(PublicKey::from_pem(bad), Err(ConfigError::PublicKey), "{bad}");
        }
    }

    #[test]
    fn a_list_needs_keys() {
        for bad in ["", "[]", "{}", r#"{"public_keys":[]}"#, r#"{"public_keys":[{"key":"a"}]}"#] {
            assert_eq!(PublicKeys::from_json(bad).unwrap_err(), ConfigError::PublicKeys, "{bad}");
        }
        let bad = r#"{"public_keys":[{"key_identifier":"a","key":"b"}]}"#;
        assert_eq!(PublicKeys::from_json(bad).unwrap_err(), ConfigError::PublicKey);
    }
}
