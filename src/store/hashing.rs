//! The hash of a digest in the maps that requests read.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Hashes a digest by one multiply-fold of 64 of its bits with a random key.
///
/// The digests are uniform already, but a client chooses what is looked up and
/// a host may import digests of its own: without the key either could make them
/// collide.
#[derive(Clone)]
pub(crate) struct DigestHashing {
    key: u64,
}

impl Default for DigestHashing {
    fn default() -> Self {
        Self { key: RandomState::new().hash_one(0) | 1 }
    }
}

impl BuildHasher for DigestHashing {
    type Hasher = DigestHasher;

    fn build_hasher(&self) -> DigestHasher {
        DigestHasher { key: self.key, hash: 0 }
    }
}

pub(crate) struct DigestHasher {
    key: u64,
    hash: u64,
}

impl Hasher for DigestHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        for word in bytes.as_chunks::<8>().0.iter().take(1) {
            let product = u128::from(u64::from_ne_bytes(*word) ^ self.key) * 0x9e37_79b9_7f4a_7c15;
            self.hash ^= (product >> 64) as u64 ^ product as u64;
        }
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.hash
    }
}
