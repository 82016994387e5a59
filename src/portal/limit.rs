//! How often one user may do what sends mail, tries a code or shows a token.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::user::UserId;

/// The limits of a portal, each with room for a burst, and then one at a time.
/// Only requests of the user's own session count, so nobody uses up another's.
pub(super) struct Limits {
    pub(super) generate: Limiter,
    pub(super) resend: Limiter,
    /// Tokens shown again: each time is a row of the history, and a change that
    /// every node hears of.
    pub(super) reveal: Limiter,
    /// Wrong codes sent by the form, which another site cannot send.
    pub(super) verify: Limiter,
    /// Links opened, which another site can make a browser do: where they are
    /// used up the page shows less, and its button still works.
    pub(super) look: Limiter,
}

impl Default for Limits {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self {
            generate: Limiter::new(10, minute),
            resend: Limiter::new(5, minute),
            reveal: Limiter::new(10, minute),
            verify: Limiter::new(10, minute),
            look: Limiter::new(60, Duration::from_secs(5)),
        }
    }
}

/// Allows each user a burst, and after it one per interval: the generic cell
/// rate algorithm, which keeps one point in time for each user.
pub(super) struct Limiter {
    interval: Duration,
    burst: Duration,
    /// When each user's next one would arrive if they kept to the interval: the
    /// algorithm's theoretical arrival time.
    arrivals: Mutex<HashMap<UserId, Instant>>,
}

/// Users of whom a limiter keeps something. Those whose next
/// one may arrive first are forgotten first.
const CAPACITY: usize = 4_096;

impl Limiter {
    pub(super) fn new(burst: u32, interval: Duration) -> Self {
        Self { interval, burst: interval * burst, arrivals: Mutex::default() }
    }

    /// Takes one, or says how long to wait for it.
    pub(super) fn take(&self, user: &UserId) -> Result<(), Duration> {
        self.take_at(user, Instant::now())
    }

    /// Gives back one that was taken.
    pub(super) fn give_back(&self, user: &UserId) {
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = arrivals.get_mut(user) {
            *at = at.checked_sub(self.interval).unwrap_or(*at);
        }
    }

    fn take_at(&self, user: &UserId, now: Instant) -> Result<(), Duration> {
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        let next = self.next(arrivals.get(user).copied(), now)?;
        if arrivals.len() >= CAPACITY && !arrivals.contains_key(user) {
            evict(&mut arrivals, now);
        }
        arrivals.insert(user.clone(), next);
        Ok(())
    }

    /// The user's arrival time after one more.
    fn next(&self, arrival: Option<Instant>, now: Instant) -> Result<Instant, Duration> {
        let next = arrival.map_or(now, |arrival| arrival.max(now)) + self.interval;
        let ahead = next.saturating_duration_since(now);
        ahead.checked_sub(self.burst).filter(|wait| !wait.is_zero()).map_or(Ok(next), Err)
    }
}

fn evict(arrivals: &mut HashMap<UserId, Instant>, now: Instant) {
    arrivals.retain(|_, at| *at > now);
    if arrivals.len() >= CAPACITY {
        let first = arrivals.iter().min_by_key(|(_, at)| **at).map(|(user, _)| user.clone());
        first.and_then(|user| arrivals.remove(&user));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(number: usize) -> UserId {
        UserId::new(number.to_string()).unwrap()
    }

    #[test]
    fn a_burst_is_allowed_and_then_one_per_interval() {
        let limiter = Limiter::new(3, Duration::from_secs(60));
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(limiter.take_at(&user(1), start), Ok(()));
        }
        assert_eq!(limiter.take_at(&user(1), start), Err(Duration::from_secs(60)));
        assert_eq!(limiter.take_at(&user(2), start), Ok(()), "another user's own");
        let later = start + Duration::from_secs(59);
        assert_eq!(limiter.take_at(&user(1), later), Err(Duration::from_secs(1)));
        assert_eq!(limiter.take_at(&user(1), later + Duration::from_secs(1)), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_whoever_owes_most_is_remembered() {
        let limiter = Limiter::new(3, Duration::from_secs(60));
        let start = Instant::now();
        for _ in 0..3 {
            limiter.take_at(&user(0), start).unwrap();
        }
        for number in 1..2 * CAPACITY {
            limiter.take_at(&user(number), start).unwrap();
        }
        assert_eq!(limiter.arrivals.lock().unwrap().len(), CAPACITY);
        assert!(limiter.take_at(&user(0), start).is_err());
    }
}
