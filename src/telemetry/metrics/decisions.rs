//! Decisions, by outcome and slot: the only counts that requests raise.
//!
//! A counter of the facade is one word that all threads write, and two of them on
//! one token would wait for one another. So each thread raises words of its own,
//! and whoever reports hands on what is new.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::counter;

use super::DECISIONS;
use crate::account::Slot;
use crate::denial::{Denial, DenialKind, RequestFault};

/// The slots of requests that passed, the last being none.
const SLOTS: [&str; 3] = [Slot::Primary.as_str(), Slot::Backup.as_str(), "none"];

/// One of each kind of denial, in the order of their counts.
const DENIALS: [DenialKind; 8] = [
    DenialKind::MissingCredential,
    DenialKind::InvalidRequest(RequestFault::MalformedCredential),
    DenialKind::InvalidToken,
    DenialKind::MethodNotGranted,
    DenialKind::PrivilegeMissing,
    DenialKind::StoreUnavailable,
    DenialKind::StoreCorrupt,
    DenialKind::AccessSuspended,
];

const COUNTS: usize = SLOTS.len() + DENIALS.len();

/// One thread's counts, which it alone writes, in cache lines of their own.
#[derive(Default)]
#[repr(align(128))]
struct Counts([AtomicU64; COUNTS]);

/// The counts of this thread, which are kept when it has ended.
struct Own(Arc<Counts>);

thread_local! {
    static OWN: Own = Own::enter();
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry::new());

struct Registry {
    threads: Vec<Arc<Counts>>,
    /// What threads have counted that have ended.
    ended: [u64; COUNTS],
    told: [u64; COUNTS],
}

/// A request passed, with a token of that slot or without any.
#[inline]
pub(crate) fn passed(slot: Option<Slot>) {
    raise(match slot {
        Some(Slot::Primary) => 0,
        Some(Slot::Backup) => 1,
        None => 2,
    });
}

/// A request was denied.
pub(in crate::telemetry) fn denied(kind: DenialKind) {
    let place = match kind {
        DenialKind::MissingCredential => 0,
        DenialKind::InvalidRequest(_) => 1,
        DenialKind::InvalidToken => 2,
        DenialKind::MethodNotGranted => 3,
        DenialKind::PrivilegeMissing => 4,
        DenialKind::StoreUnavailable => 5,
        DenialKind::StoreCorrupt => 6,
        DenialKind::AccessSuspended => 7,
    };
    raise(SLOTS.len() + place);
}

/// Hands on by how much each count has risen, also those that have not: a
/// counter that is there from the start shows its first rise.
pub(super) fn report() {
    let risen = registry().risen();
    let (passed, denied) = risen.split_at(SLOTS.len());
    for (slot, rise) in SLOTS.into_iter().zip(passed) {
        counter!(DECISIONS, "outcome" => "pass", "slot" => slot).increment(*rise);
    }
    for (kind, rise) in DENIALS.into_iter().zip(denied) {
        let outcome = Denial::new(kind).code();
        counter!(DECISIONS, "outcome" => outcome, "slot" => "none").increment(*rise);
    }
}

#[inline]
fn raise(place: usize) {
    // A thread that is being torn down decides on no request.
    let _ = OWN.try_with(|own| {
        let count = &own.0.0[place];
        count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    });
}

fn registry() -> MutexGuard<'static, Registry> {
    // No code that holds this lock can panic half-way through a change.
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Registry {
    const fn new() -> Self {
        Self { threads: Vec::new(), ended: [0; COUNTS], told: [0; COUNTS] }
    }

    /// By how much each count has risen since this was asked last, by whomever.
    fn risen(&mut self) -> [u64; COUNTS] {
        std::array::from_fn(|place| {
            let counted = self.threads.iter().map(|thread| thread.0[place].load(Ordering::Relaxed));
            let total = self.ended[place] + counted.sum::<u64>();
            total - std::mem::replace(&mut self.told[place], total)
        })
    }
}

impl Own {
    fn enter() -> Self {
        let counts = Arc::<Counts>::default();
        registry().threads.push(Arc::clone(&counts));
        Self(counts)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let mut registry = registry();
        registry.threads.retain(|thread| !Arc::ptr_eq(thread, &self.0));
        for (ended, count) in registry.ended.iter_mut().zip(&self.0.0) {
            *ended += count.load(Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_or_told_twice_whatever_thread_ends_when() {
        // No other test of this program raises this count.
        const PLACE: usize = COUNTS - 1;
        let risen = || registry().risen()[PLACE];
        let mut told = 0;
        std::thread::scope(|scope| {
            let threads = (0..8).map(|_| scope.spawn(|| (0..10_000).for_each(|_| raise(PLACE))));
            let threads: Vec<_> = threads.collect();
            while threads.iter().any(|thread| !thread.is_finished()) {
                told += risen();
            }
        });
        told += risen();
        assert_eq!((told, risen()), (80_000, 0));
    }
}
