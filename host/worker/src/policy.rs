//! When calls are made again.

use std::time::{Duration, Instant};

use tidegate_config::connector::ErrorPolicy;

/// First wait before a call is made again; it doubles from there.
const RETRY_FIRST: Duration = Duration::from_millis(300);

/// How often a call was tried, and how long to wait before the next time.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// The wait before the next attempt: doubling, never above `max`, never below what the guest asked for, and spread by
    /// `chance` (0 to 1) over its upper half so that many tasks do not come back together.
    pub(crate) fn next(&mut self, asked: Duration, max: Duration, chance: f64) -> Duration {
        let doubled = RETRY_FIRST.saturating_mul(1 << self.attempts.min(20));
        self.attempts = self.attempts.saturating_add(1);
        let wait = doubled.min(max.max(RETRY_FIRST));
        wait.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0).max(asked)
    }
}

/// Calls that are made again until it takes too long (`errors.retry.timeout`).
#[derive(Debug)]
pub(crate) struct Retry {
    backoff: Backoff,
    delay_max: Duration,
    /// None: for ever.
    deadline: Option<Instant>,
}

impl Retry {
    /// Begins now.
    pub(crate) fn new(policy: &ErrorPolicy) -> Retry {
        let timeout = policy.retry_timeout_ms.map(Duration::from_millis);
        Retry {
            backoff: Backoff::default(),
            delay_max: Duration::from_millis(policy.retry_delay_max_ms),
            deadline: timeout.map(|timeout| Instant::now() + timeout),
        }
    }

    /// How long to wait before the next attempt; none: there is no time for another.
    pub(crate) fn next(&mut self, asked: Duration) -> Option<Duration> {
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return None;
        }
        let wait = self.backoff.next(asked, self.delay_max, fastrand::f64());
        Some(left.map_or(wait, |left| wait.min(left)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_maximum_and_never_undercut_what_was_asked_for() {
        let mut backoff = Backoff::default();
        let max = Duration::from_secs(2);
        let mut wait = |asked| backoff.next(Duration::from_millis(asked), max, 1.0).as_millis();
        assert_eq!([wait(0), wait(0), wait(0), wait(0), wait(5_000)], [300, 600, 1_200, 2_000, 5_000]);
    }

    #[test]
    fn without_a_timeout_nothing_is_tried_again_and_with_one_no_wait_is_longer_than_what_is_left() {
        let policy = |timeout| ErrorPolicy {
            retry_timeout_ms: timeout,
            retry_delay_max_ms: 60_000,
            tolerate_all: false,
            log: false,
            log_messages: false,
            dead_letters: None,
        };
        assert_eq!(Retry::new(&policy(Some(0))).next(Duration::ZERO), None);
        let hour = Duration::from_secs(3_600);
        assert!(Retry::new(&policy(Some(10_000))).next(hour).is_some_and(|wait| wait <= Duration::from_secs(10)));
        assert_eq!(Retry::new(&policy(None)).next(hour), Some(hour));
    }

    #[test]
    fn waits_are_spread_over_their_upper_half() {
        let wait = |chance| Backoff::default().next(Duration::ZERO, Duration::from_secs(60), chance).as_millis();
        assert_eq!([wait(0.0), wait(1.0)], [150, 300]);
    }
}
