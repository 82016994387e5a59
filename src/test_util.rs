//! What tests of a host put in the place of what cannot be foreseen (feature
//! `test-util`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[cfg(feature = "cache")]
use crate::store::MonotonicClock;
use crate::time::{Clock, Timestamp};

/// A clock that stands still until it is told otherwise, for tests.
///
/// ```
/// use std::time::Duration;
/// use tower_api_token::test_util::ManualClock;
/// use tower_api_token::time::{Clock, Timestamp};
///
/// let clock = ManualClock::new(Timestamp::from_unix_millis(0));
/// clock.advance(Duration::from_secs(1));
/// assert_eq!(clock.now().unix_millis(), 1_000);
/// ```
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that shows `start`.
    #[must_use]
    pub const fn new(start: Timestamp) -> Self {
        Self(AtomicU64::new(start.unix_millis()))
    }

    /// Moves the clock to `now`, forwards or backwards.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.unix_millis(), Ordering::SeqCst);
    }

    /// Moves the clock forwards by `step`.
    pub fn advance(&self, step: Duration) {
        self.set(self.now() + step);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Good for as long as it is only moved forwards.
#[cfg(feature = "cache")]
impl MonotonicClock for ManualClock {
    fn elapsed(&self) -> Duration {
        self.now().since(Timestamp::default())
    }
}
