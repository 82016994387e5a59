//! Points in time, and the clock they are read from.
//!
//! Two clocks matter. Confirmation codes and pending tokens expire by the
//! *store's* clock, which every node shares, so a node whose own clock is wrong
//! neither extends nor kills a link. A slot's optional lifetime is checked on
//! the request path by the *node's* clock.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in time: whole milliseconds since 1970-01-01T00:00:00Z, without leap
/// seconds.
///
/// Arithmetic saturates, so no input can make it panic or wrap.
///
/// ```
/// use std::time::Duration;
/// use tower_api_token::time::Timestamp;
///
/// let start = Timestamp::from_unix_millis(1_000);
/// assert_eq!(start + Duration::from_secs(2), Timestamp::from_unix_millis(3_000));
/// assert_eq!(start.since(Timestamp::from_unix_millis(5_000)), Duration::ZERO);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The point `millis` milliseconds after the Unix epoch.
    #[must_use]
    pub const fn from_unix_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The current time by the operating system's wall clock.
    #[must_use]
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn unix_millis(self) -> u64 {
        self.0
    }

    /// How long before `self` the point `earlier` was; zero if it was not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        let millis = u64::try_from(later.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }
}

/// A time before 1970 becomes 1970: no token can have been made earlier.
impl std::ops::Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, earlier: Duration) -> Self {
        let millis = u64::try_from(earlier.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(millis))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        Self::default() + time.duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        let since_epoch = Duration::from_millis(time.0);
        // A platform that cannot represent the year 500 million: clamp.
        UNIX_EPOCH.checked_add(since_epoch).unwrap_or(UNIX_EPOCH)
    }
}

/// UTC in the form of RFC 3339 section 5.6, to the millisecond:
/// `2026-01-02T03:04:05.678Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, millis) = (self.0 / 86_400_000, self.0 % 86_400_000);
        let (year, month, day) = civil_date(days);
        let (seconds, millis) = (millis / 1_000, millis % 1_000);
        let (minutes, second) = (seconds / 60, seconds % 60);
        let (hour, minute) = (minutes / 60, minutes % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

/// Year, month and day of the proleptic Gregorian calendar, from days since the
/// Unix epoch. Years are counted from March, so that the leap day comes last.
const fn civil_date(days: u64) -> (u64, u64, u64) {
    const DAYS_TO_EPOCH_FROM_MARCH_OF_YEAR_0: u64 = 719_468;
    const DAYS_PER_400_YEARS: u64 = 146_097;
    let days = days + DAYS_TO_EPOCH_FROM_MARCH_OF_YEAR_0;
    let (era, day) = (days / DAYS_PER_400_YEARS, days % DAYS_PER_400_YEARS);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month_from_march = (5 * day + 2) / 153;
    let day = day - (153 * month_from_march + 2) / 5 + 1;
    let year = era * 400 + year;
    if month_from_march < 10 {
        (year, month_from_march + 3, day)
    } else {
        (year + 1, month_from_march - 9, day)
    }
}

/// A point in time for people, to the minute: `2026-01-02 03:04 UTC`.
pub(crate) struct Minute(pub(crate) Timestamp);

impl fmt::Display for Minute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let (date, time) = text.split_once('T').unwrap_or((&text, ""));
        write!(f, "{date} {} UTC", time.get(..5).unwrap_or(time))
    }
}

/// A length of time for people, in whole ones of its greatest unit: `3 hours`.
pub(crate) struct Length(pub(crate) Duration);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (number, unit) = match seconds {
            ..60 => return f.write_str("less than a minute"),
            60..3_600 => (seconds / 60, "minute"),
            3_600..172_800 => (seconds / 3_600, "hour"),
            _ => (seconds / 86_400, "day"),
        };
        write!(f, "{number} {unit}{}", if number == 1 { "" } else { "s" })
    }
}

/// Where the current time comes from.
///
/// The embedded stores and the request path read it; tests put a `ManualClock`
/// (module `test_util`, feature `test-util`) in its place.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The current time.
    fn now(&self) -> Timestamp;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}

/// The operating system's wall clock.
#[derive(Debug)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_is_rfc_3339() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (1_709_251_200_000, "2024-03-01T00:00:00.000Z"),
            (4_102_444_799_000, "2099-12-31T23:59:59.000Z"),
        ];
        for (millis, text) in cases {
            assert_eq!(Timestamp(millis).to_string(), text);
        }
        assert_eq!(Minute(Timestamp(1_709_251_199_999)).to_string(), "2024-02-29 23:59 UTC");
    }

    #[test]
    fn arithmetic_saturates() {
        let end = Timestamp(u64::MAX);
        assert_eq!(end + Duration::MAX, end);
        let _ = SystemTime::from(end);
        let _ = end.to_string();
    }
}
