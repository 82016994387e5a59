//! The keys that digests are made with, and what a store keeps to tell one from
//! another.

use std::fmt;
use std::num::NonZeroU16;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::TokenDigest;
use crate::ConfigError;
use crate::time::Timestamp;

/// Before the version in what is hashed. With it the message is longer than the
/// SHA-256 that a digest is made of, so that no check value is ever a digest.
const LABEL: &[u8] = b"tower-api-token pepper check value\0";

/// Which key a digest was made with; [`PepperVersion::NONE`] for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PepperVersion(u16);

impl PepperVersion {
    /// The version of a plain SHA-256 digest.
    pub const NONE: Self = Self(0);

    /// Takes a version back from where a store has kept it.
    #[must_use]
    pub const fn from_u16(number: u16) -> Self {
        Self(number)
    }

    /// The version as a number; 0 for none.
    #[must_use]
    pub const fn as_u16(self) -> u16 {
        self.0
    }
}

impl fmt::Display for PepperVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A secret key that is mixed into every digest (HMAC, RFC 2104), so that a
/// stolen database alone lets nobody test guesses.
///
/// ```
/// use tower_api_token::ConfigError;
/// use tower_api_token::token::Pepper;
///
/// let pepper = Pepper::new(1, b"thirty-two bytes from a secret store")?;
/// assert_eq!(format!("{pepper:?}"), "Pepper { version: PepperVersion(1), .. }");
/// assert_eq!(Pepper::new(1, b"").unwrap_err(), ConfigError::PepperKeyTooShort);
/// # Ok::<(), ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Pepper {
    version: PepperVersion,
    /// The state after the key, so that a request hashes two blocks only. Its
    /// own implementation wipes it on drop.
    keyed: Hmac<Sha256>,
    /// Whether the key is shorter than a new one may be.
    short: bool,
}

impl Pepper {
    /// The least length of a new key in bytes: the length of what SHA-256 makes.
    pub const SHORTEST_KEY: usize = 32;

    /// The least length that was asked for before.
    const SHORTEST_FORMER_KEY: usize = 16;

    /// The key of version `version`, 1 to 65 535, at least 32 bytes long.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the rule that the version or the key breaks.
    pub fn new(version: u16, key: &[u8]) -> Result<Self, ConfigError> {
        let pepper = Self::dangerous_short_key(version, key)?;
        if pepper.short { Err(ConfigError::PepperKeyTooShort) } else { Ok(pepper) }
    }

    /// The same for a key of 16 bytes or more, as earlier versions of this crate
    /// took them. A manager starts with one that is shorter than 32 only while tokens
    /// are in use under its version.
    ///
    /// Dangerous: a text that a person has made up may be guessed if it is so short,
    /// and with it every weak token of a stolen database.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the rule that the version or the key breaks.
    pub fn dangerous_short_key(version: u16, key: &[u8]) -> Result<Self, ConfigError> {
        let version = NonZeroU16::new(version).ok_or(ConfigError::PepperVersionZero)?;
        if key.len() < Self::SHORTEST_FORMER_KEY {
            return Err(ConfigError::PepperKeyTooShort);
        }
        let keyed = Hmac::new_from_slice(key).map_err(|_| ConfigError::PepperKeyTooShort)?;
        let short = key.len() < Self::SHORTEST_KEY;
        Ok(Self { version: PepperVersion(version.get()), keyed, short })
    }

    pub(crate) const fn is_short(&self) -> bool {
        self.short
    }

    /// The version that is stored beside every digest made with this key.
    #[must_use]
    pub const fn version(&self) -> PepperVersion {
        self.version
    }

    /// The code of these bytes, one after the other, under the key.
    pub(super) fn authenticate(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.keyed.clone();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }

    #[cold]
    pub(super) fn apply(&self, sha256: &[u8; 32]) -> TokenDigest {
        let mut mac = self.keyed.clone();
        mac.update(sha256);
        TokenDigest::from_bytes(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut pepper = f.debug_struct("Pepper");
        pepper.field("version", &self.version).finish_non_exhaustive()
    }
}

/// The check value of a [`Pepper`]: HMAC-SHA-256 of a fixed text and the version
/// under its key. It tells two keys apart and gives neither away.
///
/// `Debug` shows nothing.
#[derive(Clone, Copy)]
pub struct PepperCheck([u8; 32]);

impl PepperCheck {
    /// Takes a check value back from where a store has kept it.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes that a store keeps.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for PepperCheck {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for PepperCheck {}

impl fmt::Debug for PepperCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PepperCheck(..)")
    }
}

impl Pepper {
    /// What a store keeps to tell this key from another of the same version.
    #[must_use]
    pub fn check_value(&self) -> PepperCheck {
        let version = self.version().as_u16().to_be_bytes();
        PepperCheck(self.authenticate(&[LABEL, &version]))
    }
}

/// The check values that a store keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PepperChecks {
    /// The check value of each pepper version that has one.
    pub values: Vec<(PepperVersion, PepperCheck)>,
    /// When the store began to keep check values, if it held accounts before.
    /// A token that was active before was made under the right key; of a later
    /// one that is not sure before its version has a check value.
    pub kept_since: Option<Timestamp>,
}

impl PepperChecks {
    /// These check values, kept since the store began.
    #[must_use]
    pub const fn new(values: Vec<(PepperVersion, PepperCheck)>) -> Self {
        Self { values, kept_since: None }
    }

    /// The check value of that version, if it has one.
    #[must_use]
    pub fn of(&self, version: PepperVersion) -> Option<&PepperCheck> {
        self.values.iter().find(|(of, _)| *of == version).map(|(_, check)| check)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pepper_names_the_rule_it_breaks() {
        assert_eq!(Pepper::new(0, &[1; 32]).unwrap_err(), ConfigError::PepperVersionZero);
        assert_eq!(Pepper::new(1, &[1; 31]).unwrap_err(), ConfigError::PepperKeyTooShort);
        assert!(Pepper::new(1, &[1; 32]).is_ok_and(|pepper| !pepper.is_short()));
        let short = |length| Pepper::dangerous_short_key(1, &vec![1; length]);
        assert_eq!(short(15).unwrap_err(), ConfigError::PepperKeyTooShort);
        assert!(short(16).is_ok_and(|pepper| pepper.is_short()));
    }

    #[test]
    fn a_check_value_depends_on_the_key_and_the_version() {
        let check = |version, key| Pepper::new(version, &[key; 32]).unwrap().check_value();
        assert_eq!(check(1, 1), check(1, 1));
        assert_ne!(check(1, 1), check(1, 2));
        assert_ne!(check(1, 1), check(2, 1));
    }
}
