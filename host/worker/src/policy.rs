//! What happens to records that cannot be processed and to calls that are to be made again.

use std::time::Duration;

use tidegate_config::connector::ErrorPolicy;
use tidegate_herder::Failure;
use tidegate_record::view::{FailureKind, Stage, View};

use crate::metrics::TaskMetrics;

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

/// Counts the failed records of a view. They are skipped where that is tolerated; otherwise the first is the task's
/// failure.
pub(crate) fn judge(view: &View<'_>, policy: &ErrorPolicy, metrics: &TaskMetrics, task: &str) -> Result<(), Failure> {
    let mut failures: Vec<_> = view.failures().collect();
    if failures.is_empty() {
        return Ok(());
    }
    failures.sort_by_key(|(record, _)| *record);
    metrics.failed(failures.len());
    for (record, failure) in &failures {
        let position = position(view, *record);
        if policy.log || !policy.tolerate_all {
            tracing::error!(
                task,
                stage = stage(failure.stage),
                record = position,
                "Error encountered in task {task}: {}",
                failure.message
            );
        }
    }
    if policy.tolerate_all {
        metrics.skipped(failures.len());
        return Ok(());
    }
    let (record, failure) = failures.swap_remove(0);
    Err(Failure::fatal(format!(
        "org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler\n\
         Caused by: {}: {}\nstage: {}\nrecord: {}\n\
         hint: set errors.tolerance to \"all\" to skip such records",
        exception(failure.kind),
        failure.message,
        stage(failure.stage),
        position(view, record),
    )))
}

/// Where a record is, in words.
fn position(view: &View<'_>, record: usize) -> String {
    let (topic, partition) = view.original(record);
    match view.offset(record) {
        -1 => format!("number {record} of its batch, for topic \"{topic}\""),
        offset => format!("topic \"{topic}\", partition {partition}, offset {offset}"),
    }
}

fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::KeyConverter => "KEY_CONVERTER",
        Stage::ValueConverter => "VALUE_CONVERTER",
        Stage::HeaderConverter => "HEADER_CONVERTER",
        Stage::Transformation => "TRANSFORMATION",
    }
}

/// Connect's exception for a kind of failure.
fn exception(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Data => "org.apache.kafka.connect.errors.DataException",
        FailureKind::Config => "org.apache.kafka.common.config.ConfigException",
        FailureKind::IllegalArgument => "java.lang.IllegalArgumentException",
        FailureKind::NullPointer => "java.lang.NullPointerException",
        FailureKind::Other => "org.apache.kafka.connect.errors.ConnectException",
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
    fn waits_are_spread_over_their_upper_half() {
        let wait = |chance| Backoff::default().next(Duration::ZERO, Duration::from_secs(60), chance).as_millis();
        assert_eq!([wait(0.0), wait(1.0)], [150, 300]);
    }
}
