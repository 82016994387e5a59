//! Keeping a thread on one processor.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The processors that this program may run on.
pub(crate) fn processors() -> Vec<usize> {
    let allowed = sched_getaffinity(None).expect("Linux tells");
    (0..CpuSet::MAX_CPU).filter(|processor| allowed.is_set(*processor)).collect()
}

/// Keeps the current thread on that processor.
pub(crate) fn stay_on(processor: usize) {
    let mut only = CpuSet::new();
    only.set(processor);
    sched_setaffinity(None, &only).expect("a processor that may be used");
}
