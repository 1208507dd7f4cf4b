//! The two clocks of the broker. Deciding code takes the time as an argument; only edges read it here.

use std::time::{Instant, SystemTime};

/// Milliseconds since 1970: what records and markers are stamped with.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub(crate) fn wall_ms() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as i64
}

/// A clock that only goes forward: what sessions and rebalances are timed with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Monotonic(Instant);

impl Monotonic {
    pub(crate) fn start() -> Monotonic {
        Monotonic(Instant::now())
    }

    pub(crate) fn ms(self) -> u64 {
        self.0.elapsed().as_millis() as u64
    }
}
