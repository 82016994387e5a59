//! Numbers that look random, and are the same again for the same seed.

use std::time::Duration;

/// xorshift64*.
pub(crate) struct Random(u64);

impl Random {
    /// `seed` must not be 0.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Between 0 and 1.
    pub(crate) fn part(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f64 / 16_777_216.0
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.part() * bound as f64) as usize
    }

    pub(crate) fn between(&mut self, shortest: Duration, longest: Duration) -> Duration {
        shortest + (longest - shortest).mul_f64(self.part())
    }
}
