//! For how long the cache is trusted.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};

use super::sync::{AtomicU64, Ordering};
use crate::store::HeartbeatId;

/// The moment, in nanoseconds of the cache's clock, until which the cache is
/// trusted. Every request reads it, and only an echo or a loss writes it, so it
/// has a cache line to itself.
#[repr(align(128))]
pub(super) struct Lease(AtomicU64);

impl Lease {
    /// A lease that has never begun.
    pub(super) const fn none() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Whoever reads this sees all that was forgotten before it was granted.
    #[inline]
    pub(super) fn until(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn grant(&self, until: u64) {
        self.0.store(until, Ordering::Release);
    }

    pub(super) fn end(&self) {
        self.grant(0);
    }
}

/// How many heartbeats are waited for; an echo of one before them would be too
/// late to be worth anything.
const AWAITED: usize = 16;

/// The heartbeats whose echo is awaited, in the order in which they were sent,
/// with the moment at which each was.
pub(super) struct Heartbeats {
    sent: VecDeque<(HeartbeatId, u64)>,
    number: u64,
    random: RandomState,
}

impl Heartbeats {
    pub(super) fn new() -> Self {
        Self { sent: VecDeque::new(), number: 0, random: RandomState::new() }
    }

    /// The heartbeat to send at the moment `now`.
    pub(super) fn next(&mut self, now: u64) -> HeartbeatId {
        self.number += 1;
        // Unlike that of any other node, which hears it too.
        let id = HeartbeatId::from_u64(self.random.hash_one(self.number));
        if self.sent.len() == AWAITED {
            self.sent.pop_front();
        }
        self.sent.push_back((id, now));
        id
    }

    /// The moment at which the heartbeat that has come back was sent; `None` if
    /// it was another node's, or sent before a loss.
    pub(super) fn echoed(&mut self, id: HeartbeatId) -> Option<u64> {
        let place = self.sent.iter().position(|(sent, _)| *sent == id)?;
        self.sent.drain(..=place).next_back().map(|(_, at)| at)
    }

    /// Echoes of what was sent up to now prove nothing any more.
    pub(super) fn disown(&mut self) {
        self.sent.clear();
    }
}
