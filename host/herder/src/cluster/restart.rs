//! When an instance that failed is started again without anybody asking: `tasks.restart.*`.
//!
//! The wait doubles from attempt to attempt and is spread over its upper half by a hash of the run's name, so that tasks
//! that failed together do not come back together, and the same story always goes the same way.

use serde::{Deserialize, Serialize};

use super::id::{Incarnation, Millis, RunId};

/// How the instances of a connector are restarted on their own. Part of the connector's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartPolicy {
    /// The most attempts in a row; none: no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts_max: Option<u32>,
    /// The wait before the first.
    pub delay_ms: u64,
    /// The longest wait.
    pub delay_max_ms: u64,
    /// A run of at least this length was a success: the next failure is the first again.
    pub reset_after_ms: u64,
}

impl RestartPolicy {
    /// How long to wait before an attempt, counted from 1; none when there are no more.
    pub(crate) fn wait_ms(&self, attempt: u32, me: &Incarnation, run: &RunId) -> Option<u64> {
        if self.attempts_max.is_some_and(|max| attempt > max) {
            return None;
        }
        let doubled = self.delay_ms.saturating_mul(1 << attempt.saturating_sub(1).min(40));
        let wait = doubled.min(self.delay_max_ms.max(self.delay_ms));
        let half = wait / 2;
        Some(wait - half + hash(&format!("{me} {run}")) % (half + 1))
    }
}

/// FNV-1a: spreads names, and is the same everywhere.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// What a worker remembers of an instance's restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Restarts {
    /// Attempts since somebody restarted or reconfigured it, or since a run that lasted.
    pub(crate) attempts: u32,
    pub(crate) next: Next,
}

/// The next attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Next {
    /// None is planned.
    #[default]
    Unplanned,
    At(Millis),
    /// The leader was asked for it.
    Asked,
}

impl Restarts {
    /// A run has failed after `lasted_ms`: plans the next attempt, if there is one.
    pub(crate) fn failed(
        &mut self,
        now: Millis,
        policy: &RestartPolicy,
        lasted_ms: Option<u64>,
        me: &Incarnation,
        run: &RunId,
    ) {
        if lasted_ms.is_some_and(|lasted| lasted >= policy.reset_after_ms) {
            self.attempts = 0;
        }
        self.next = match policy.wait_ms(self.attempts + 1, me, run) {
            Some(wait_ms) => {
                self.attempts += 1;
                Next::At(now.plus(wait_ms))
            }
            None => Next::Unplanned,
        };
    }

    pub(crate) fn is_planned(&self) -> bool {
        self.next != Next::Unplanned
    }

    pub(crate) fn due_at(&self) -> Option<Millis> {
        match self.next {
            Next::At(at) => Some(at),
            Next::Unplanned | Next::Asked => None,
        }
    }
}

/// What status shows of restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartStatus {
    /// Attempts so far; while one is planned it is counted.
    pub attempts: u32,
    /// The most there will be; none: no end.
    pub attempts_max: Option<u32>,
    /// When the next one is due, on the clock of the cores; none where none is planned.
    pub at: Option<Millis>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{ConnectorKey, Instance};

    fn run(task: u32) -> RunId {
        RunId { subject: ConnectorKey::plain("c").subject(Instance::Task(task)), uid: 1, epoch: 1 }
    }

    const POLICY: RestartPolicy =
        RestartPolicy { attempts_max: Some(20), delay_ms: 1_000, delay_max_ms: 60_000, reset_after_ms: 10_000 };

    #[test]
    fn waits_double_up_to_the_longest_and_lie_in_their_upper_half() {
        let me = Incarnation("w#1".to_owned());
        for attempt in 1..=20 {
            let full = (1_000u64 << (attempt - 1)).min(60_000);
            let wait = POLICY.wait_ms(attempt, &me, &run(0)).unwrap();
            assert!((full / 2..=full).contains(&wait), "attempt {attempt}: {wait}");
        }
        assert_eq!(POLICY.wait_ms(21, &me, &run(0)), None);
        let endless = RestartPolicy { attempts_max: None, ..POLICY };
        assert!(endless.wait_ms(u32::MAX, &me, &run(0)).is_some_and(|wait| wait <= 60_000));
    }

    #[test]
    fn tasks_that_failed_together_do_not_come_back_together() {
        let me = Incarnation("w#1".to_owned());
        let waits: std::collections::BTreeSet<u64> =
            (0..20).filter_map(|task| POLICY.wait_ms(7, &me, &run(task))).collect();
        assert!(waits.len() >= 15, "{waits:?}");
    }

    #[test]
    fn a_run_that_lasted_makes_the_next_failure_the_first_again() {
        let me = Incarnation("w#1".to_owned());
        let mut restarts = Restarts::default();
        let mut fail = |lasted| {
            restarts.failed(Millis(0), &POLICY, lasted, &me, &run(0));
            restarts.attempts
        };
        assert_eq!([fail(None), fail(Some(9_999)), fail(Some(10_000)), fail(Some(0))], [1, 2, 1, 2]);
    }
}
