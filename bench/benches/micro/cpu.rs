//! Processor time of the calling thread.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How much of it the thread has used so far.
pub(crate) fn now() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
