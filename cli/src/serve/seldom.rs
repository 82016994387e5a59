//! What is logged at most once in an interval, however often it happens.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Says when something may be logged again. Clones are one.
#[derive(Clone, Debug)]
pub(super) struct Seldom {
    interval: Duration,
    last: Arc<Mutex<Option<Instant>>>,
}

impl Seldom {
    pub(super) fn every(interval: Duration) -> Self {
        Self { interval, last: Arc::default() }
    }

    /// Whether it is time, which it then is not again until the interval is over.
    pub(super) fn is_time(&self) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = last.is_none_or(|last| last.elapsed() >= self.interval);
        if is_time {
            *last = Some(Instant::now());
        }
        is_time
    }
}
