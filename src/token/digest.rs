//! The only form of a token that a store ever sees.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::{Pepper, PepperVersion};

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

/// The digest of a plain SHA-256 under `pepper`, or that SHA-256 itself.
#[inline]
pub(super) fn stored(sha256: &[u8; 32], pepper: Option<&Pepper>) -> StoredDigest {
    match pepper {
        None => StoredDigest::new(TokenDigest(*sha256), PepperVersion::NONE),
        Some(pepper) => StoredDigest::new(pepper.apply(sha256), pepper.version()),
    }
}

/// SHA-256 (FIPS 180-4).
#[inline]
pub(crate) fn sha256(message: &[u8]) -> [u8; 32] {
    match message.len() {
        0..=55 => sha256_of_one_block(message),
        _ => Sha256::digest(message).into(),
    }
}

/// SHA-256 of at most 55 bytes: with its padding that is one block, so the
/// buffer of the general hasher (a fifth of the time) is not needed.
#[inline(always)]
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
    use hmac::{Hmac, KeyInit, Mac};

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
}
