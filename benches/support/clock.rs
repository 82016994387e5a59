//! The time that a thread has spent on a processor.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The processor time of the current thread so far.
pub(crate) fn thread_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
}
