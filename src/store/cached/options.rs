//! How large, how fresh and how careful a cache is.

use crate::ConfigError;
use std::sync::Arc;
use std::time::Duration;

use super::clock::{MonotonicClock, Ticker};

const MOST_ENTRIES: usize = 1 << 30;
const SHORTEST_BOUND: Duration = Duration::from_millis(20);
const LONGEST_BOUND: Duration = Duration::from_secs(60);

/// How large, how fresh and how careful a [`CachedStore`](super::CachedStore)
/// is.
///
/// ```
/// use std::time::Duration;
/// use tower_api_token::store::CacheOptions;
///
/// let options = CacheOptions::new()
///     .accounts(1_000_000)
///     .staleness_bound(Duration::from_secs(1));
/// ```
#[derive(Clone, Debug)]
pub struct CacheOptions {
    pub(super) accounts: usize,
    pub(super) negative_entries: usize,
    pub(super) bound: Duration,
    pub(super) margin: Option<Duration>,
    pub(super) bypass_loads: usize,
    pub(super) bypass_wait: Duration,
    pub(super) clock: Ticker,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            accounts: 100_000,
            negative_entries: 10_000,
            bound: Duration::from_secs(5),
            margin: None,
            bypass_loads: 64,
            bypass_wait: Duration::from_millis(250),
            clock: Ticker::System,
        }
    }
}

impl CacheOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// For how many digests the account is remembered: 1 to 2³⁰, by default
    /// 100 000. Each takes about 300 bytes beside its account.
    #[must_use]
    pub const fn accounts(mut self, entries: usize) -> Self {
        self.accounts = entries;
        self
    }

    /// For how many digests it is remembered that no account names them: 1 to
    /// 2³⁰, by default 10 000. Each takes about 100 bytes. They never take the
    /// room of an account.
    #[must_use]
    pub const fn negative_entries(mut self, entries: usize) -> Self {
        self.negative_entries = entries;
        self
    }

    /// The staleness bound D: after a change has returned, on whichever node, no
    /// new request is decided by the old state later than this. 20 ms to one
    /// minute, by default five seconds. While the feed is live it takes
    /// milliseconds; this is for when it is not.
    #[must_use]
    pub const fn staleness_bound(mut self, bound: Duration) -> Self {
        self.bound = bound;
        self
    }

    /// How much sooner than the bound an answer is given up, for what passes
    /// between looking at the clock and deciding: at most half the bound, by
    /// default a tenth of it.
    #[must_use]
    pub const fn margin(mut self, margin: Duration) -> Self {
        self.margin = Some(margin);
        self
    }

    /// How many look-ups may be under way at once while the cache is not
    /// trusted: at least 1, by default 64.
    #[must_use]
    pub const fn bypass_loads(mut self, loads: usize) -> Self {
        self.bypass_loads = loads;
        self
    }

    /// For how long a look-up waits for its turn among those, before it is
    /// [`Unavailable`](super::super::StoreErrorKind::Unavailable): by default
    /// 250 ms.
    #[must_use]
    pub const fn bypass_wait(mut self, wait: Duration) -> Self {
        self.bypass_wait = wait;
        self
    }

    /// The clock that trust runs out by: by default the operating system's that
    /// goes on while the machine is suspended.
    ///
    /// On Linux and Android that is `CLOCK_BOOTTIME`, which counts the time for
    /// which a virtual machine or a laptop was suspended. Elsewhere it is
    /// [`Instant`](std::time::Instant): that counts suspended time on Windows, but
    /// not on macOS and some others. A host that may be suspended *there* can serve
    /// an answer that was revoked meanwhile for as long after it wakes as its lease
    /// had left, at most the staleness bound of its own waking time, unless it
    /// gives a better clock here.
    #[must_use]
    pub fn clock(mut self, clock: impl MonotonicClock) -> Self {
        self.clock = Ticker::Other(Arc::new(clock));
        self
    }

    /// For how long an answer and a lease hold.
    pub(super) fn term(&self) -> Duration {
        self.bound.saturating_sub(self.margin.unwrap_or(self.bound / 10))
    }

    /// Whether a cache can be started with them.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the bound that one of them is beyond.
    pub fn check(&self) -> Result<(), ConfigError> {
        let sizes = [self.accounts, self.negative_entries];
        if sizes.contains(&0) {
            return Err(ConfigError::CacheNoRoom);
        }
        if sizes.iter().any(|entries| *entries > MOST_ENTRIES) {
            return Err(ConfigError::CacheTooMuchRoom);
        }
        if self.bypass_loads == 0 {
            return Err(ConfigError::CacheNoBypassLoads);
        }
        self.check_bound()
    }

    fn check_bound(&self) -> Result<(), ConfigError> {
        if self.bound < SHORTEST_BOUND {
            return Err(ConfigError::CacheShortBound);
        }
        if self.bound > LONGEST_BOUND {
            return Err(ConfigError::CacheLongBound);
        }
        match self.margin {
            Some(margin) if margin > self.bound / 2 => Err(ConfigError::CacheGreatMargin),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bad_value_is_told_apart() {
        let new = CacheOptions::new;
        let half = Duration::from_millis(2_501);
        let cases = [
            (new(), Ok(())),
            (new().accounts(0), Err(ConfigError::CacheNoRoom)),
            (new().negative_entries(0), Err(ConfigError::CacheNoRoom)),
            (new().accounts(usize::MAX), Err(ConfigError::CacheTooMuchRoom)),
            (new().bypass_loads(0), Err(ConfigError::CacheNoBypassLoads)),
            (new().staleness_bound(Duration::ZERO), Err(ConfigError::CacheShortBound)),
            (new().staleness_bound(Duration::MAX), Err(ConfigError::CacheLongBound)),
            (new().margin(half), Err(ConfigError::CacheGreatMargin)),
        ];
        for (options, expected) in cases {
            assert_eq!(options.check(), expected, "{options:?}");
        }
    }

    #[test]
    fn a_term_is_the_bound_less_the_margin() {
        let options = CacheOptions::new();
        assert_eq!(options.term(), Duration::from_millis(4_500));
        assert_eq!(options.margin(Duration::from_secs(1)).term(), Duration::from_secs(4));
    }
}
