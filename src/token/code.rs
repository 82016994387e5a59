//! The code that activates a pending token.

use std::{fmt, io};

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::form::{RandomSource, push_random};
use crate::user::UserId;

const PREFIX: &str = "tac_";
const RANDOM_LENGTH: usize = 32;

/// The secret in a confirmation link: `tac_` and 32 random characters (190
/// bits).
///
/// It activates one pending token of one user for a few minutes, and is never
/// itself a token. Its memory is wiped when it is dropped.
#[derive(Clone)]
pub struct ConfirmationCode(Zeroizing<String>);

impl ConfirmationCode {
    /// Generates a code.
    pub(crate) fn generate(source: &dyn RandomSource) -> io::Result<Self> {
        let length = PREFIX.len() + RANDOM_LENGTH;
        let mut text = Zeroizing::new(String::with_capacity(length));
        text.push_str(PREFIX);
        push_random(&mut text, RANDOM_LENGTH, source)?;
        Ok(Self(text))
    }

    /// Reads a code back from a link or a form; `None` if the text cannot be
    /// one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let random = text.strip_prefix(PREFIX)?;
        let well_formed = random.len() == RANDOM_LENGTH
            && random.bytes().all(|byte| byte.is_ascii_alphanumeric());
        well_formed.then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// The code's text, for the link that carries it and nowhere else.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.0
    }

    /// SHA-256 of `confirm\0` user `\0` code. The purpose and the user are part
    /// of what is hashed, so that no token is ever a code, and no user's code
    /// another's.
    #[must_use]
    pub fn digest(&self, user: &UserId) -> CodeDigest {
        let mut hasher = Sha256::new();
        hasher.update(b"confirm\0");
        hasher.update(user.as_str());
        hasher.update(b"\0");
        hasher.update(self.0.as_bytes());
        CodeDigest(hasher.finalize().into())
    }
}

impl fmt::Debug for ConfirmationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConfirmationCode(..)")
    }
}

/// The digest of a [`ConfirmationCode`], bound to its user.
///
/// Equality takes the same time whatever the digests hold.
#[derive(Clone, Copy)]
pub struct CodeDigest([u8; 32]);

impl CodeDigest {
    /// Takes a digest back from where a store has kept it.
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

impl ConstantTimeEq for CodeDigest {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl PartialEq for CodeDigest {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl Eq for CodeDigest {}

impl fmt::Debug for CodeDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeDigest(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::super::form::SystemRandom;
    use super::*;

    #[test]
    fn a_code_reads_back_and_nothing_else_does() {
        let code = ConfirmationCode::generate(&SystemRandom).unwrap();
        let text = code.expose_secret();
        assert!(ConfirmationCode::parse(text).is_some());
        for bad in
            ["", "tac_", "tat_0", &text[1..], &format!("{text}0"), &text.replace("tac", "tat")]
        {
            assert!(ConfirmationCode::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_digest_is_bound_to_user_and_purpose() {
        let code = ConfirmationCode::generate(&SystemRandom).unwrap();
        let alice = UserId::new("alice").unwrap();
        let bob = UserId::new("bob").unwrap();
        assert_ne!(code.digest(&alice), code.digest(&bob));
        let plain: [u8; 32] = Sha256::digest(code.expose_secret()).into();
        assert_ne!(code.digest(&alice), CodeDigest(plain));
    }
}
