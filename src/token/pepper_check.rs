//! What a store keeps of a pepper, to tell it from another one.

use std::fmt;

use subtle::ConstantTimeEq;

use super::{Pepper, PepperVersion};
use crate::time::Timestamp;

/// Before the version in what is hashed. With it the message is longer than the
/// SHA-256 that a digest is made of, so that no check value is ever a digest.
const LABEL: &[u8] = b"tower-api-token pepper check value\0";

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
    fn a_check_value_depends_on_the_key_and_the_version() {
        let check = |version, key| Pepper::new(version, &[key; 32]).unwrap().check_value();
        assert_eq!(check(1, 1), check(1, 1));
        assert_ne!(check(1, 1), check(1, 2));
        assert_ne!(check(1, 1), check(2, 1));
    }
}
