//! Runs plugins natively, without a component and without Kafka: polls a source, puts to a sink, applies a transform,
//! converts.
//!
//! Records are JSON in the form of `wit/BATCH.md` ("As JSON"), and go through the same arenas as in a component. A schema is
//! a number, or the JSON of a schema where one is given.
//!
//! ```
//! use tidegate_sdk::{testing::TransformHarness, *};
//! # struct Stamp;
//! # impl Transform for Stamp {
//! #     fn definition() -> Definition { Definition::transform("Stamp") }
//! #     fn configure(_: &Config) -> Result<Stamp> { Ok(Stamp) }
//! #     fn plan(&self) -> Plan { Plan { read: vec![], write: vec![Column::field(Place::Value, "by")] } }
//! #     fn apply(&self, _: &Columns<'_>, edits: &mut Edits) -> Result<()> { edits.set(0, &"me".into()); Ok(()) }
//! # }
//! let mut stamp = TransformHarness::configure::<Stamp>(&[])?;
//! let records = stamp.apply_json(r#"[{"topic":"t","value":{"id":1}}]"#)?;
//! assert_eq!(records, r#"[{"topic":"t","value":{"id":1,"by":"me"}}]"#);
//! # Ok::<(), Error>(())
//! ```

mod columns;
mod converter;
mod edits;
pub(crate) mod fake;
mod json;
mod readme;
#[cfg(test)]
mod vectors;

pub use converter::ConverterHarness;
pub use fake::{FakeHost, SinkRequest};
pub(crate) use json::json_of;
pub use readme::fill_readme;

use crate::batch::{SinkBatch, SourceBatch};
use crate::plugin::{Pairs, TransformKind};
use crate::plugin::{PredicateKind, RunningPredicate, RunningSink, RunningSource, RunningTransform, Sink, Source};
use crate::{
    Definition, Encoding, Error, FailureKind, Outcome, Place, Plan, PollLimits, Position, Predicate, Result, Schema,
    SinkTask, SourceOffset, SourceTask, TopicPartition, Transform, Value,
};
use serde_json::Value as Json;

fn pairs(config: &[(&str, &str)]) -> Pairs {
    config.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// A record as the harness holds it: with whole schemas instead of numbers.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the fields are those of `Record`")]
pub struct TestRecord {
    pub topic: String,
    pub partition: Option<i32>,
    pub offset: Option<i64>,
    pub timestamp: Option<i64>,
    pub key_schema: Option<Schema>,
    pub key: Value,
    pub value_schema: Option<Schema>,
    pub value: Value,
    pub headers: Vec<(String, Option<Schema>, Value)>,
    pub source_partition: Option<String>,
    pub source_offset: Option<String>,
}

/// A source task that runs natively. Stored offsets are those of [`FakeHost`].
pub struct SourceHarness {
    running: Box<dyn RunningSource>,
    /// The newest offset of each source partition that was polled and not yet committed.
    uncommitted: Vec<SourceOffset>,
}

impl SourceHarness {
    /// Starts a task.
    pub fn start<T: SourceTask>(config: &[(&str, &str)]) -> Result<SourceHarness> {
        let kind = Source::of::<T>();
        let running = (kind.start)(&kind.config(pairs(config)))?;
        Ok(SourceHarness { running, uncommitted: Vec::new() })
    }

    /// Polls for up to 1,000 records without waiting. Answers a JSON array.
    pub fn poll_json(&mut self) -> Result<String> {
        self.poll_json_of(PollLimits { records_max: 1_000, bytes_max: 1 << 20, wait_ms: 0 })
    }

    /// Polls within limits. Answers a JSON array.
    pub fn poll_json_of(&mut self, limits: PollLimits) -> Result<String> {
        Ok(json::write_records(&self.poll(limits)?))
    }

    /// Polls within limits.
    pub fn poll(&mut self, limits: PollLimits) -> Result<Vec<TestRecord>> {
        let arena = self.running.poll(limits)?;
        let records = json::read_batch(&SinkBatch::read(&arena)?)?;
        for record in &records {
            if let (Some(partition), Some(offset)) = (&record.source_partition, &record.source_offset) {
                self.uncommitted.retain(|known| known.partition != *partition);
                self.uncommitted.push(SourceOffset { partition: partition.clone(), offset: Some(offset.clone()) });
            }
        }
        Ok(records)
    }

    /// Makes the offsets of everything polled durable, so that a task started afterwards goes on from there.
    pub fn commit(&mut self) -> Result<()> {
        let offsets = std::mem::take(&mut self.uncommitted);
        for SourceOffset { partition, offset } in &offsets {
            FakeHost::set_offset(partition, offset.as_deref());
        }
        self.running.commit(&offsets)
    }

    /// Stops the task.
    pub fn stop(mut self) -> Result<()> {
        self.running.stop()
    }
}

/// A sink task that runs natively.
pub struct SinkHarness {
    running: Box<dyn RunningSink>,
    encoding: Encoding,
}

impl SinkHarness {
    /// Starts a task.
    pub fn start<T: SinkTask>(config: &[(&str, &str)]) -> Result<SinkHarness> {
        let kind = Sink::of::<T>();
        let running = (kind.start)(&kind.config(pairs(config)))?;
        Ok(SinkHarness { running, encoding: T::definition().encoding_of_values() })
    }

    /// Hands partitions over.
    pub fn open(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Position>> {
        self.running.open(partitions)
    }

    /// Delivers the records of a JSON array.
    pub fn put_json(&mut self, records: &str) -> Result<Outcome> {
        self.put(&json::parse_records(records).map_err(Error::Fatal)?)
    }

    /// Delivers records.
    pub fn put(&mut self, records: &[TestRecord]) -> Result<Outcome> {
        let mut batch = SourceBatch::for_sink(self.encoding);
        json::write_batch(&mut batch, records)?;
        self.running.put(&batch.finish()?)
    }

    /// Makes accepted records durable.
    pub fn pre_commit(&mut self) -> Result<Option<Vec<Position>>> {
        self.running.pre_commit()
    }

    /// Takes partitions away.
    pub fn close(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.running.close(partitions)
    }

    /// Stops the task.
    pub fn stop(mut self) -> Result<()> {
        self.running.stop()
    }
}

/// What became of a record that went through a transform.
#[derive(Debug, Clone, PartialEq)]
pub enum Transformed {
    /// It goes on like this.
    Record(Box<TestRecord>),
    /// Several were made of it.
    Records(Vec<TestRecord>),
    /// The transform dropped it.
    Dropped,
    /// It cannot be transformed.
    Failed(FailureKind, String),
}

/// A transform that runs natively: the harness makes its columns and applies its edits to whole values.
///
/// A null key or value keeps its schema unless the edits set the whole of it, and fails only if the transform says so.
pub struct TransformHarness {
    running: Box<dyn RunningTransform>,
    plan: Plan,
}

impl TransformHarness {
    /// Configures a transform, as the host does before the first record.
    pub fn configure<T: Transform>(config: &[(&str, &str)]) -> Result<TransformHarness> {
        TransformHarness::of(&TransformKind::of::<T>(), config)
    }

    /// As [`configure`](TransformHarness::configure), of a definition in a plugin's table.
    pub fn of(kind: &TransformKind, config: &[(&str, &str)]) -> Result<TransformHarness> {
        let config = kind.config(pairs(config));
        if let Some(problem) = (kind.validate)(&config).into_iter().next() {
            return Err(Error::InvalidConfig(problem));
        }
        let running = (kind.configure)(&config)?;
        let plan = running.plan();
        Ok(TransformHarness { running, plan })
    }

    /// Transforms the records of a JSON array; answers those that remain. A failed record is an error.
    pub fn apply_json(&mut self, records: &str) -> Result<String> {
        let records = json::parse_records(records).map_err(Error::Fatal)?;
        let mut remaining = Vec::new();
        for transformed in self.apply(&records)? {
            match transformed {
                Transformed::Record(record) => remaining.push(*record),
                Transformed::Records(records) => remaining.extend(records),
                Transformed::Dropped => {}
                Transformed::Failed(_, message) => return Err(Error::Fatal(message)),
            }
        }
        Ok(json::write_records(&remaining))
    }

    /// What the transform reads and writes, for a harness that makes columns and applies edits itself.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// As the contract's `apply`: the edits to columns, both as arenas.
    pub fn edits(&mut self, columns: &[u8]) -> Result<Vec<u8>> {
        self.running.apply(columns)
    }

    /// As the contract's `reshape`.
    pub fn reshape(&mut self, place: Place, schema: &str) -> Result<Option<String>> {
        self.running.reshape(place, schema)
    }

    /// Transforms records; one answer for each.
    pub fn apply(&mut self, records: &[TestRecord]) -> Result<Vec<Transformed>> {
        let answer = self.running.apply(&columns::write(&self.plan.read, records))?;
        let edits = edits::EditsReader::read(&answer, records.len(), self.plan.write.len())?;
        edits.apply(&self.plan, records, &mut |place, schema| self.running.reshape(place, schema))
    }
}

/// A predicate that runs natively.
pub struct PredicateHarness {
    running: Box<dyn RunningPredicate>,
    plan: Plan,
}

impl PredicateHarness {
    /// Configures a predicate.
    pub fn configure<T: Predicate>(config: &[(&str, &str)]) -> Result<PredicateHarness> {
        PredicateHarness::of(&PredicateKind::of::<T>(), config)
    }

    /// As [`configure`](PredicateHarness::configure), of a definition in a plugin's table.
    pub fn of(kind: &PredicateKind, config: &[(&str, &str)]) -> Result<PredicateHarness> {
        let config = kind.config(pairs(config));
        if let Some(problem) = (kind.validate)(&config).into_iter().next() {
            return Err(Error::InvalidConfig(problem));
        }
        let running = (kind.configure)(&config)?;
        let plan = running.reads();
        Ok(PredicateHarness { running, plan })
    }

    /// Tests the records of a JSON array; one answer for each.
    pub fn test_json(&mut self, records: &str) -> Result<Vec<bool>> {
        self.test(&json::parse_records(records).map_err(Error::Fatal)?)
    }

    /// Tests records; one answer for each.
    pub fn test(&mut self, records: &[TestRecord]) -> Result<Vec<bool>> {
        let bytes = self.running.test(&columns::write(&self.plan.read, records))?;
        let bitmap = crate::edits::read_bitmap(&bytes, records.len())?;
        Ok((0..records.len()).map(|record| bitmap.get(record)).collect())
    }
}

/// What the definition says about itself in `describe`.
pub fn describe(definition: &Definition) -> Json {
    definition.to_json()
}

/// A batch's arena as the JSON of `wit/BATCH.md`.
pub fn batch_to_json(arena: &[u8]) -> Result<String> {
    Ok(json::write_records(&json::read_batch(&SinkBatch::read(arena)?)?))
}

/// Whether a place is a key or a value, which have schemas of their own.
fn has_schema(place: Place) -> bool {
    matches!(place, Place::Key | Place::Value)
}
