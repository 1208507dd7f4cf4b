//! Bounds how many log lines a client may write.
//!
//! librdkafka writes a line per failed connection attempt and broker; an outage of an hour with two hundred clients
//! must not fill a disk. Pure: the time comes in.

use std::time::{Duration, Instant};

const LINES_PER_WINDOW_MAX: u32 = 20;
const WINDOW: Duration = Duration::from_secs(10);

/// Admits a bounded number of lines per window and counts the others.
#[derive(Debug, Default)]
pub(crate) struct RateLimit {
    window_start: Option<Instant>,
    in_window: u32,
    suppressed: u64,
}

impl RateLimit {
    /// `Some(n)` when a line may be written now; `n` lines were suppressed since the last one that was.
    pub(crate) fn admit(&mut self, now: Instant) -> Option<u64> {
        let expired = self.window_start.is_none_or(|start| now.duration_since(start) >= WINDOW);
        if expired {
            self.window_start = Some(now);
            self.in_window = 0;
        }
        if self.in_window == LINES_PER_WINDOW_MAX {
            self.suppressed += 1;
            return None;
        }
        self.in_window += 1;
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_the_next_window_says_how_much() {
        let start = Instant::now();
        let mut limit = RateLimit::default();
        let admitted = (0..1_000).filter(|_| limit.admit(start).is_some()).count();
        assert_eq!(admitted, 20);
        assert_eq!(limit.admit(start + WINDOW), Some(980));
        assert_eq!(limit.admit(start + WINDOW), Some(0));
    }
}
