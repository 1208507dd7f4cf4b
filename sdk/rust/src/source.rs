//! The source kind.

use crate::{Config, Definition, Problem, Result, SourceBatch};

/// A source connector: records from another system into topics.
///
/// The functions without `self` are the connector's side; they run in an instance of their own. A value of the type is one
/// task. The host makes one call at a time.
pub trait SourceTask: Sized + 'static {
    /// Name, keys and documentation. Must always be the same.
    fn definition() -> Definition;

    /// Everything wrong with a configuration that the keys do not already say. Must not block; nothing is granted yet.
    fn validate(config: &Config) -> Vec<Problem> {
        let _ = config;
        Vec::new()
    }

    /// Whether this configuration delivers exactly once, i.e. every record says where it came from.
    fn exactly_once_support(config: &Config) -> bool {
        let _ = config;
        false
    }

    /// Splits the work into at most `tasks_max` configurations, one for each task's [`start`](SourceTask::start).
    /// Unless overridden: one task with everything.
    fn task_configs(config: &Config, tasks_max: u32) -> Result<Vec<Config>> {
        let _ = tasks_max;
        Ok(vec![config.clone()])
    }

    /// Whether the work must be split again. Asked about once a minute.
    fn refresh(config: &Config) -> Result<bool> {
        let _ = config;
        Ok(false)
    }

    /// Accepts (`Ok`) or refuses offsets that an operator wants to set; true if they were looked at.
    fn alter_offsets(config: &Config, offsets: &[SourceOffset]) -> Result<bool> {
        let _ = (config, offsets);
        Ok(false)
    }

    /// Opens what the task reads. Stored offsets are read with [`host::load_offset`](crate::host::load_offset).
    /// Called again after [`Error::ConnectionLost`](crate::Error::ConnectionLost), with the task before it dropped.
    fn start(config: &Config) -> Result<Self>;

    /// Adds the next records to `batch` until there are no more or it [is full](SourceBatch::is_full).
    ///
    /// With nothing to read it may block up to `batch.limits().wait_ms`. An error throws the batch away: return what was
    /// read, and the error from the next poll.
    fn poll(&mut self, batch: &mut SourceBatch) -> Result<()>;

    /// Tells which offsets have become durable in Kafka, the newest one of each source partition.
    fn commit(&mut self, offsets: &[SourceOffset]) -> Result<()> {
        let _ = offsets;
        Ok(())
    }

    /// Releases everything. Called once at the end if the instance is still healthy.
    fn stop(&mut self) -> Result<()> {
        Ok(())
    }
}

/// How far a source has come in one of its partitions; both are compact JSON objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceOffset {
    /// Identified by its exact text.
    pub partition: String,
    /// None: the operator asks to forget this partition (only in `alter_offsets`).
    pub offset: Option<String>,
}
