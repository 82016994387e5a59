//! The clock that the cache's trust runs out by.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A clock that only goes forwards, and goes on while the machine is suspended.
///
/// [`CachedStore`](super::CachedStore) measures by it how old an answer is.
/// Hosts need not implement it; tests put a `ManualClock` (module
/// `test_util`, feature `test-util`) in its place.
pub trait MonotonicClock: fmt::Debug + Send + Sync + 'static {
    /// The time since a fixed moment; never less than an earlier reading, on
    /// whichever thread that was taken.
    fn elapsed(&self) -> Duration;
}

impl<C: MonotonicClock + ?Sized> MonotonicClock for Arc<C> {
    fn elapsed(&self) -> Duration {
        (**self).elapsed()
    }
}

/// The operating system's clock of this kind; see
/// [`CacheOptions::clock`](super::CacheOptions::clock).
#[cfg(any(target_os = "linux", target_os = "android"))]
#[inline]
fn system_nanos() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn system_nanos() -> u64 {
    use std::sync::LazyLock;
    use std::time::Instant;

    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    nanos(START.elapsed())
}

/// The clock in use, read in nanoseconds: a request pays no call through a
/// table for the usual one.
#[derive(Clone, Debug)]
pub(super) enum Ticker {
    System,
    Other(Arc<dyn MonotonicClock>),
}

impl Ticker {
    #[inline]
    pub(super) fn nanos(&self) -> u64 {
        match self {
            Self::System => system_nanos(),
            Self::Other(clock) => nanos(clock.elapsed()),
        }
    }
}

/// A span in nanoseconds; 584 years at most.
pub(super) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::ManualClock;
    use crate::time::Timestamp;

    #[test]
    fn the_system_clock_goes_forwards_in_real_time() {
        let (clock, start) = (Ticker::System, std::time::Instant::now());
        let first = clock.nanos();
        std::thread::sleep(Duration::from_millis(20));
        let passed = Duration::from_nanos(clock.nanos() - first);
        let real = start.elapsed();
        assert!(passed >= Duration::from_millis(20) && passed <= real, "{passed:?} of {real:?}");
    }

    #[test]
    fn every_ticker_reads_its_clock() {
        let manual = Arc::new(ManualClock::new(Timestamp::from_unix_millis(7)));
        assert_eq!(Ticker::Other(manual).nanos(), 7_000_000);
        assert!(Ticker::System.nanos() > 0);
        assert_eq!(nanos(Duration::MAX), u64::MAX);
    }
}
