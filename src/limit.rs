//! How often somebody may do something.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Allows each key a burst, and after it one per interval: the generic cell rate
/// algorithm, which keeps one point in time for each key.
pub(crate) struct Limiter<K> {
    interval: Duration,
    burst: Duration,
    /// When each key's next one would arrive if it kept to the interval: the
    /// algorithm's theoretical arrival time.
    arrivals: Mutex<HashMap<K, Instant>>,
}

/// Keys of which a limiter keeps something. Those whose next one may arrive first are
/// forgotten first.
const CAPACITY: usize = 4_096;

impl<K: Clone + Eq + Hash> Limiter<K> {
    pub(crate) fn new(burst: u32, interval: Duration) -> Self {
        Self { interval, burst: interval * burst, arrivals: Mutex::default() }
    }

    /// Takes one, or says how long to wait for it.
    pub(crate) fn take(&self, key: &K) -> Result<(), Duration> {
        self.take_at(key, Instant::now())
    }

    /// Gives back one that was taken.
    pub(crate) fn give_back(&self, key: &K) {
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = arrivals.get_mut(key) {
            *at = at.checked_sub(self.interval).unwrap_or(*at);
        }
    }

    fn take_at(&self, key: &K, now: Instant) -> Result<(), Duration> {
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        let next = self.next(arrivals.get(key).copied(), now)?;
        if arrivals.len() >= CAPACITY && !arrivals.contains_key(key) {
            evict(&mut arrivals, now);
        }
        arrivals.insert(key.clone(), next);
        Ok(())
    }

    /// The key's arrival time after one more.
    fn next(&self, arrival: Option<Instant>, now: Instant) -> Result<Instant, Duration> {
        let next = arrival.map_or(now, |arrival| arrival.max(now)) + self.interval;
        let ahead = next.saturating_duration_since(now);
        ahead.checked_sub(self.burst).filter(|wait| !wait.is_zero()).map_or(Ok(next), Err)
    }
}

fn evict<K: Clone + Eq + Hash>(arrivals: &mut HashMap<K, Instant>, now: Instant) {
    arrivals.retain(|_, at| *at > now);
    if arrivals.len() >= CAPACITY {
        let first = arrivals.iter().min_by_key(|(_, at)| **at).map(|(key, _)| key.clone());
        first.and_then(|key| arrivals.remove(&key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_one_per_interval() {
        let limiter = Limiter::new(3, Duration::from_secs(60));
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(limiter.take_at(&1, start), Ok(()));
        }
        assert_eq!(limiter.take_at(&1, start), Err(Duration::from_secs(60)));
        assert_eq!(limiter.take_at(&2, start), Ok(()), "another key's own");
        let later = start + Duration::from_secs(59);
        assert_eq!(limiter.take_at(&1, later), Err(Duration::from_secs(1)));
        assert_eq!(limiter.take_at(&1, later + Duration::from_secs(1)), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_whoever_owes_most_is_remembered() {
        let limiter = Limiter::new(3, Duration::from_secs(60));
        let start = Instant::now();
        for _ in 0..3 {
            limiter.take_at(&0, start).unwrap();
        }
        for number in 1..2 * CAPACITY {
            limiter.take_at(&number, start).unwrap();
        }
        assert_eq!(limiter.arrivals.lock().unwrap().len(), CAPACITY);
        assert!(limiter.take_at(&0, start).is_err());
    }
}
