//! The only form of a token that a store ever sees.

use crate::ConfigError;
use std::fmt;
use std::num::NonZeroU16;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// SHA-256 of a token's bytes as sent, keyed if a [`Pepper`] is configured.
///
/// Equality takes the same time whatever the digests hold. `Debug` shows
/// nothing: under no pepper a digest lets anyone test guesses of a weak
/// imported token.
#[derive(Clone, Copy)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// Takes a digest back from where a store has kept it.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes that a store keeps and looks up.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    #[inline]
    fn words(&self) -> [u64; 4] {
        let (words, _) = self.0.as_chunks::<8>();
        [words[0], words[1], words[2], words[3]].map(u64::from_ne_bytes)
    }
}

/// Four 64-bit words OR-ed into one comparison: as constant in time as the
/// byte-wise one of `subtle`, at a sixteenth of its cost.
impl ConstantTimeEq for TokenDigest {
    #[inline]
    fn ct_eq(&self, other: &Self) -> Choice {
        let (a, b) = (self.words(), other.words());
        let difference = (a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]);
        difference.ct_eq(&0)
    }
}

impl PartialEq for TokenDigest {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl Eq for TokenDigest {}

impl std::hash::Hash for TokenDigest {
    #[inline]
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(..)")
    }
}

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

/// A digest together with the version of the key it was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct StoredDigest {
    /// The digest that a store looks up.
    pub digest: TokenDigest,
    /// The key under which it was made.
    pub pepper: PepperVersion,
}

impl StoredDigest {
    /// A digest made under the key of that version.
    #[must_use]
    pub const fn new(digest: TokenDigest, pepper: PepperVersion) -> Self {
        Self { digest, pepper }
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
        TokenDigest(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut pepper = f.debug_struct("Pepper");
        pepper.field("version", &self.version).finish_non_exhaustive()
    }
}

/// The digest of a plain SHA-256 under `pepper`, or that SHA-256 itself.
#[inline]
pub(super) fn stored(sha256: &[u8; 32], pepper: Option<&Pepper>) -> StoredDigest {
    match pepper {
        None => StoredDigest::new(TokenDigest(*sha256), PepperVersion::NONE),
        Some(pepper) => StoredDigest::new(pepper.apply(sha256), pepper.version),
    }
}

/// SHA-256 (FIPS 180-4).
#[inline]
pub(super) fn sha256(message: &[u8]) -> [u8; 32] {
    match message.len() {
        0..=55 => sha256_of_one_block(message),
        _ => Sha256::digest(message).into(),
    }
}

/// SHA-256 of at most 55 bytes: with its padding that is one block, so the
/// buffer of the general hasher (a fifth of the time) is not needed.
#[inline]
fn sha256_of_one_block(message: &[u8]) -> [u8; 32] {
    // FIPS 180-4 section 5.3.3.
    let mut state: [u32; 8] = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];
    // FIPS 180-4 section 5.1.1: a one bit, zeros, the length in bits.
    let mut blocks = [[0; 64]];
    let block = &mut blocks[0];
    let length = message.len();
    // Two copies of a known length, which may overlap, cost less than one of an
    // unknown length.
    match (message.first_chunk::<32>(), message.last_chunk::<32>()) {
        (Some(start), Some(end)) => {
            block[..32].copy_from_slice(start);
            block[length - 32..length].copy_from_slice(end);
        }
        _ => block[..length].copy_from_slice(message),
    }
    block[length] = 0x80;
    block[56..].copy_from_slice(&(message.len() as u64 * 8).to_be_bytes());
    sha2::block_api::compress256(&mut state, &blocks);
    let mut digest = [0; 32];
    for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_block_equals_the_plain_digest_at_every_length() {
        let message: Vec<u8> = (0..=255).collect();
        for length in 0..=200 {
            let plain: [u8; 32] = Sha256::digest(&message[..length]).into();
            assert_eq!(sha256(&message[..length]), plain, "length {length}");
        }
    }

    #[test]
    fn a_pepper_is_hmac_sha_256_of_the_sha_256() {
        let pepper = Pepper::dangerous_short_key(7, &[0x0b; 20]).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&[0x0b; 20]).unwrap();
        mac.update(&Sha256::digest(b"token"));
        let expected: [u8; 32] = mac.finalize().into_bytes().into();
        let stored = stored(&sha256(b"token"), Some(&pepper));
        assert_eq!(stored.digest.as_bytes(), &expected);
        assert_eq!(stored.pepper.as_u16(), 7);
    }

    #[test]
    fn digests_that_differ_in_any_one_bit_are_unequal() {
        let digest = TokenDigest([0x5a; 32]);
        assert_eq!(digest, TokenDigest([0x5a; 32]));
        for bit in 0..256 {
            let mut other = [0x5a; 32];
            other[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(digest, TokenDigest(other), "bit {bit}");
        }
    }

    #[test]
    fn a_pepper_names_the_rule_it_breaks() {
        assert_eq!(Pepper::new(0, &[1; 32]).unwrap_err(), ConfigError::PepperVersionZero);
        assert_eq!(Pepper::new(1, &[1; 31]).unwrap_err(), ConfigError::PepperKeyTooShort);
        assert!(Pepper::new(1, &[1; 32]).is_ok_and(|pepper| !pepper.is_short()));
        let short = |length| Pepper::dangerous_short_key(1, &vec![1; length]);
        assert_eq!(short(15).unwrap_err(), ConfigError::PepperKeyTooShort);
        assert!(short(16).is_ok_and(|pepper| pepper.is_short()));
    }
}
