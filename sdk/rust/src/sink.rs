//! The sink kind.

use crate::{Config, Definition, Problem, Result, SinkBatch};

/// A sink connector: records from topics into another system.
///
/// The functions without `self` are the connector's side; they run in an instance of their own. A value of the type is one
/// task. The host makes one call at a time.
pub trait SinkTask: Sized + 'static {
    /// Name, keys and documentation. Must always be the same.
    fn definition() -> Definition;

    /// Everything wrong with a configuration that the keys do not already say. Must not block; nothing is granted yet.
    fn validate(config: &Config) -> Vec<Problem> {
        let _ = config;
        Vec::new()
    }

    /// The configurations of at most `tasks_max` tasks. Unless overridden: `tasks_max` tasks alike.
    fn task_configs(config: &Config, tasks_max: u32) -> Result<Vec<Config>> {
        Ok(vec![config.clone(); tasks_max as usize])
    }

    /// Accepts (`Ok`) or refuses consumer offsets that an operator wants to set; true if they were looked at. A sink whose
    /// [`open`](SinkTask::open) names offsets changes those it keeps: they count more than the group's.
    fn alter_offsets(config: &Config, offsets: &[NewOffset]) -> Result<bool> {
        let _ = (config, offsets);
        Ok(false)
    }

    /// Opens the target. Called again after [`Error::ConnectionLost`](crate::Error::ConnectionLost), with the task before
    /// it dropped.
    fn start(config: &Config) -> Result<Self>;

    /// Takes partitions over. Answers the next offset of those whose position the target itself keeps, which is how a sink
    /// delivers exactly once.
    fn open(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Position>> {
        let _ = partitions;
        Ok(Vec::new())
    }

    /// Delivers records, in order within a partition. `Ok` means accepted, not durable: only
    /// [`pre_commit`](SinkTask::pre_commit) moves offsets. An empty batch comes at least once a second.
    fn put(&mut self, batch: &SinkBatch<'_>, outcome: &mut Outcome) -> Result<()>;

    /// Makes accepted records durable and says how far they are. None: everything accepted so far is durable.
    fn pre_commit(&mut self) -> Result<Option<Vec<Position>>> {
        Ok(None)
    }

    /// Gives partitions away. Called after `pre_commit`.
    fn close(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        let _ = partitions;
        Ok(())
    }

    /// Releases everything. Called once at the end if the instance is still healthy.
    fn stop(&mut self) -> Result<()> {
        Ok(())
    }
}

/// One partition of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPartition {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
}

/// A place in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The offset of the next record.
    pub next_offset: u64,
}

/// What an operator wants the group's offset of a partition to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOffset {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The offset of the next record. None: forgotten, so that reading begins where `auto.offset.reset` says.
    pub next_offset: Option<u64>,
}

/// What became of a batch that was put: everything accepted, unless something else is said here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    pub(crate) rejected: Vec<(u32, String)>,
    pub(crate) retry: Option<(u32, u32)>,
}

impl Outcome {
    /// This record can never be delivered: a dead letter, or the end of the task, as the operator chose.
    pub fn reject(&mut self, index: usize, message: impl Into<String>) {
        self.rejected.push((index as u32, message.into()));
    }

    /// This record and all after it were not taken; they come again, not before `after_ms` milliseconds.
    pub fn retry_from(&mut self, index: usize, after_ms: u32) {
        self.retry = Some((index as u32, after_ms));
    }

    /// The records that were rejected, with the reasons.
    pub fn rejected(&self) -> &[(u32, String)] {
        &self.rejected
    }

    /// Where to go on, if not everything was taken: index and milliseconds to wait.
    pub fn retry(&self) -> Option<(u32, u32)> {
        self.retry
    }
}
