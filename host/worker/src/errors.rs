//! What happens to records that cannot be processed: the task fails, or they are skipped, counted, logged and kept as dead
//! letters. One policy for every stage.

use std::sync::Arc;

use tidegate_config::connector::ErrorPolicy;
use tidegate_config::converter::Part;
use tidegate_herder::Failure;
use tidegate_record::view::{FailureKind, Stage, View};

use crate::chain::Culprits;
use crate::dead_letters::{DeadLetters, Letter};
use crate::metrics::TaskMetrics;
use crate::plan::ConnectorPlan;
use crate::shared::Shared;

/// A record that cannot be processed, and why.
#[derive(Debug)]
pub(crate) struct Failed<'a> {
    pub(crate) reason: Reason<'a>,
    /// As it came.
    pub(crate) record: Letter<'a>,
}

/// Why a record cannot be processed, in Connect's terms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reason<'a> {
    /// Connect's name of the stage: `VALUE_CONVERTER`.
    pub(crate) stage: &'static str,
    /// The class at work there, as the configuration names it.
    pub(crate) class: &'a str,
    /// Connect's exception.
    pub(crate) exception: &'static str,
    pub(crate) message: &'a str,
}

/// The error policy of one task.
#[derive(Debug)]
pub(crate) struct Errors {
    policy: ErrorPolicy,
    task: String,
    classes: Classes,
    metrics: Arc<TaskMetrics>,
    letters: Option<DeadLetters>,
}

/// Which classes a task consists of, besides its transforms.
#[derive(Debug, Default)]
struct Classes {
    connector: String,
    key: String,
    value: String,
    header: String,
}

impl Errors {
    /// The policy that a configuration comes to. Where it names a dead letter queue, that topic is made if need be.
    pub(crate) async fn of(
        shared: &Shared,
        plan: &ConnectorPlan,
        (connector, task): (&str, u32),
        metrics: Arc<TaskMetrics>,
    ) -> Result<Errors, Failure> {
        let letters = match &plan.config.errors.dead_letters {
            None => None,
            Some(queue) => {
                Some(DeadLetters::open(shared, &plan.config.original, queue, (connector, task), metrics.clone()).await?)
            }
        };
        let converter = |part| plan.config.converter(part, &shared.config).class.clone();
        let classes = Classes {
            connector: plan.config.class.clone(),
            key: converter(Part::Key),
            value: converter(Part::Value),
            header: converter(Part::Header),
        };
        Ok(Errors {
            policy: plan.config.errors.clone(),
            task: format!("{connector}-{task}"),
            classes,
            metrics,
            letters,
        })
    }

    /// Whether failed records are kept, so that their bytes must be at hand when they fail.
    pub(crate) fn keeps_letters(&self) -> bool {
        self.letters.is_some()
    }

    /// Decides about the records of a view that failed in a converter or transform. `original` is a record as it came, of
    /// which one letter is kept however many of those that were made of it failed.
    pub(crate) async fn judge<'a>(
        &mut self,
        view: &'a View<'_>,
        culprits: &'a Culprits,
        original: impl Fn(usize) -> Letter<'a>,
    ) -> Result<(), Failure> {
        let mut failures: Vec<_> = view.failures().collect();
        if failures.is_empty() {
            return Ok(());
        }
        let count = failures.len();
        failures.sort_by_key(|(record, _)| (view.origin(*record), *record));
        failures.dedup_by_key(|(record, _)| view.origin(*record));
        let classes = std::mem::take(&mut self.classes);
        let failed: Vec<Failed<'_>> = failures
            .into_iter()
            .map(|(record, failure)| Failed {
                reason: Reason {
                    stage: stage(failure.stage),
                    class: match failure.stage {
                        Stage::KeyConverter => &classes.key,
                        Stage::ValueConverter => &classes.value,
                        Stage::HeaderConverter => &classes.header,
                        Stage::Transformation => culprits.class(record).unwrap_or_default(),
                    },
                    exception: exception(failure.kind),
                    message: &failure.message,
                },
                record: original(view.origin(record)),
            })
            .collect();
        let decided = self.decide(&failed, count).await;
        drop(failed);
        self.classes = classes;
        decided
    }

    /// Decides about records that the sink will never take: each with the sink's words. `count` is how many the sink
    /// refused, several of which may come from one record.
    pub(crate) async fn refused<'a>(
        &mut self,
        refused: impl Iterator<Item = (&'a str, Letter<'a>)>,
        count: usize,
    ) -> Result<(), Failure> {
        let class = std::mem::take(&mut self.classes.connector);
        let failed: Vec<Failed<'_>> = refused
            .map(|(message, record)| Failed {
                reason: Reason { stage: "TASK_PUT", class: &class, exception: exception(FailureKind::Other), message },
                record,
            })
            .collect();
        let decided = self.decide(&failed, count).await;
        drop(failed);
        self.classes.connector = class;
        decided
    }

    /// `count` records failed, of those that came only these.
    async fn decide(&mut self, failed: &[Failed<'_>], count: usize) -> Result<(), Failure> {
        let Some(first) = failed.first() else { return Ok(()) };
        self.metrics.failed(count);
        if self.policy.log || !self.policy.tolerate_all {
            failed.iter().for_each(|failed| self.log(failed));
        }
        if !self.policy.tolerate_all {
            let Reason { stage, class, exception, message } = first.reason;
            return Err(Failure::fatal(format!(
                "org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler\n\
                 Caused by: {exception}: {message}\nstage: {stage}, class: {class}\nrecord: {}\n\
                 hint: set errors.tolerance to \"all\" to skip such records",
                first.record.place
            )));
        }
        self.metrics.skipped(count);
        match &mut self.letters {
            Some(letters) => letters.send(failed).await,
            None => Ok(()),
        }
    }

    /// Connect's line.
    fn log(&self, failed: &Failed<'_>) {
        let Reason { stage, class, exception, message } = failed.reason;
        let place = match self.policy.log_messages {
            true => format!(", where the record is {}", failed.record.place),
            false => String::new(),
        };
        self.metrics.logged();
        tracing::error!(
            "Error encountered in task {}. Executing stage '{stage}' with class '{class}'{place}.: {exception}: {message}",
            self.task
        );
    }

    /// Waits until every dead letter is safe: offsets may move past their records only then.
    pub(crate) async fn settle(&mut self) -> Result<(), Failure> {
        match &mut self.letters {
            Some(letters) => letters.settle().await,
            None => Ok(()),
        }
    }
}

pub(crate) fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::KeyConverter => "KEY_CONVERTER",
        Stage::ValueConverter => "VALUE_CONVERTER",
        Stage::HeaderConverter => "HEADER_CONVERTER",
        Stage::Transformation => "TRANSFORMATION",
    }
}

/// Connect's exception for a kind of failure.
pub(crate) fn exception(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Data => "org.apache.kafka.connect.errors.DataException",
        FailureKind::Config => "org.apache.kafka.common.config.ConfigException",
        FailureKind::IllegalArgument => "java.lang.IllegalArgumentException",
        FailureKind::NullPointer => "java.lang.NullPointerException",
        FailureKind::Other => "org.apache.kafka.connect.errors.ConnectException",
    }
}
