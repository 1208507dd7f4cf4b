//! A compacted topic as a table: the last value of each key.
//!
//! Keys and values are opaque bytes. The table holds what has been read, so a write shows after the next
//! [`CompactedTopic::read_to_end`], in the order the partition has it, whoever wrote it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::consumer::{Consumer, Polled};
use crate::error::KafkaError;
use crate::ledger::{BatchOutcome, BatchTicket};
use crate::native::deadline;
use crate::native::message::MessageBatch;
use crate::offset::{StartOffset, TopicPartition};
use crate::producer::{Enqueued, OutRecord, Producer};
use crate::settings::ClientSettings;

/// A key's new value; none removes the key.
pub type TableWrite<'a> = (&'a [u8], Option<&'a [u8]>);

/// How many records one poll takes.
const RECORDS_PER_POLL: usize = 1_000;

/// How long one poll takes at most, so that deadlines are met.
const POLL_STEP: Duration = Duration::from_millis(100);

/// A table over a compacted topic, read from the beginning when opened and kept up by reading on.
#[derive(Debug)]
pub struct CompactedTopic {
    topic: String,
    reader: Consumer,
    writer: Producer,
    writer_settings: ClientSettings,
    entries: HashMap<Box<[u8]>, Box<[u8]>>,
    /// By partition: everything before this offset has been read.
    read_up_to: Vec<i64>,
}

impl CompactedTopic {
    /// Opens the table of a topic that exists and reads it to its end, within `timeout`.
    ///
    /// `reader` are settings of [`ClientSettings::for_reader`], `writer` of [`ClientSettings::for_producer`].
    pub fn open(
        reader: &ClientSettings,
        writer: &ClientSettings,
        topic: &str,
        timeout: Duration,
    ) -> Result<Self, KafkaError> {
        let deadline = deadline(timeout);
        // The ends of partitions are told by the library, and only if asked to.
        let mut reader = Consumer::open(&reader.enforced(&[("enable.partition.eof", "true")]))?;
        let partitions = loop {
            // A topic that was just created may have no leader yet.
            match reader.partition_count(topic, deadline.saturating_duration_since(Instant::now())) {
                Err(error) if error.is_retriable() && Instant::now() < deadline => {
                    reader.poll(1, POLL_STEP)?;
                }
                answer => break answer?,
            }
        };
        let starts: Vec<_> =
            (0..partitions).map(|partition| (TopicPartition::new(topic, partition), StartOffset::Beginning)).collect();
        reader.assign(&starts)?;
        let mut table = Self {
            topic: topic.to_owned(),
            reader,
            writer: Producer::open(writer)?,
            writer_settings: writer.clone(),
            entries: HashMap::new(),
            read_up_to: vec![0; starts.len()],
        };
        table.read_to_end(deadline.saturating_duration_since(Instant::now()), |_, _| {})?;
        Ok(table)
    }

    /// Reads everything that was committed to the topic when this was called, and perhaps more. What lies behind a
    /// transaction that is still open is not read: see [`Self::log_ends`]. `changed` hears of each record in order: its key,
    /// and its value or none where the key is removed.
    pub fn read_to_end(
        &mut self,
        timeout: Duration,
        mut changed: impl FnMut(&[u8], Option<&[u8]>),
    ) -> Result<(), KafkaError> {
        let deadline = deadline(timeout);
        let partitions = self.partitions();
        let ends = loop {
            match self.reader.end_offsets(&partitions, deadline.saturating_duration_since(Instant::now())) {
                Err(error) if error.is_retriable() && Instant::now() < deadline => {
                    self.tail(POLL_STEP, &mut changed)?
                }
                answer => break answer?,
            }
        };
        while ends.iter().any(|end| self.read_up_to[end.partition as usize] < end.offset) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(KafkaError::timed_out(
                    format!("reading topic \"{}\"", self.topic),
                    "its end was not reached in the time given",
                ));
            }
            self.tail(left.min(POLL_STEP), &mut changed)?;
        }
        Ok(())
    }

    /// By partition, where the log ends now, open transactions included.
    pub fn log_ends(&mut self, timeout: Duration) -> Result<Vec<i64>, KafkaError> {
        let mut ends = vec![0; self.read_up_to.len()];
        for end in self.reader.log_end_offsets(&self.partitions(), timeout)? {
            ends[end.partition as usize] = end.offset;
        }
        Ok(ends)
    }

    /// Whether everything before `ends` was read, so that no transaction that was open there hides anything any more.
    pub fn has_read(&self, ends: &[i64]) -> bool {
        self.read_up_to.iter().zip(ends).all(|(read, end)| read >= end)
    }

    fn partitions(&self) -> Vec<TopicPartition> {
        (0..self.read_up_to.len()).map(|partition| TopicPartition::new(&self.topic, partition as i32)).collect()
    }

    /// Reads what is new, waiting up to `timeout` for something. `changed` is called as by [`Self::read_to_end`].
    pub fn tail(&mut self, timeout: Duration, mut changed: impl FnMut(&[u8], Option<&[u8]>)) -> Result<(), KafkaError> {
        match self.reader.poll(RECORDS_PER_POLL, timeout)? {
            Polled::Records(batch) => self.apply(&batch, &mut changed),
            Polled::EndOfPartition { at, offset } => self.advance(at.partition, offset),
            Polled::Trouble(error) if error.is_retriable() => {}
            Polled::Trouble(error) => return Err(error),
            Polled::Rebalance(_) => unreachable!("a reader assigns its partitions itself"),
        }
        Ok(())
    }

    fn apply(&mut self, batch: &MessageBatch, changed: &mut impl FnMut(&[u8], Option<&[u8]>)) {
        for message in batch.iter() {
            self.advance(message.partition(), message.offset() + 1);
            // Compacted topics refuse records without a key; one that became compacted later may still hold some.
            let Some(key) = message.key() else { continue };
            match message.value() {
                Some(value) => _ = self.entries.insert(key.into(), value.into()),
                None => _ = self.entries.remove(key),
            }
            changed(key, message.value());
        }
    }

    fn advance(&mut self, partition: i32, offset: i64) {
        let known = usize::try_from(partition).ok().and_then(|partition| self.read_up_to.get_mut(partition));
        if let Some(read_up_to) = known {
            *read_up_to = offset.max(*read_up_to);
        }
    }

    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.entries.get(key).map(|value| &**value)
    }

    /// All keys with their values, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|(key, value)| (&**key, &**value))
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Writes all of `writes`, in order per key, and waits up to `timeout` until they are acknowledged. On an error any
    /// of them may have been written; writing the same again is harmless, also after [`KafkaError::Fatal`].
    pub fn put_batch(&mut self, writes: &[TableWrite<'_>], timeout: Duration) -> Result<(), KafkaError> {
        self.writer.reopen_if_broken(&self.writer_settings)?;
        let what = format!("writing to topic \"{}\"", self.topic);
        let deadline = deadline(timeout);
        let records: Vec<_> = writes
            .iter()
            .map(|&(key, value)| OutRecord { topic: &self.topic, key: Some(key), value, ..OutRecord::default() })
            .collect();
        let Enqueued { ticket, accepted } = self.writer.produce(&records, timeout);
        self.writer.hurry();
        let outcome = if accepted == records.len() { self.outcome_of(ticket, deadline) } else { None };
        if outcome.is_none() {
            // Nothing of this call may be written after it has failed: a later, newer write would be overwritten.
            self.writer.abandon()?;
        }
        match outcome.as_ref().map(|outcome| outcome.failures.first()) {
            Some(None) => Ok(()),
            Some(Some(failure)) => Err(failure.to_error(what)),
            None => {
                let detail = self
                    .writer
                    .last_transport_error()
                    .unwrap_or_else(|| "not acknowledged in the time given".to_owned());
                Err(KafkaError::timed_out(what, detail))
            }
        }
    }

    /// Waits for the outcome of one batch; those of earlier, abandoned ones come before it and are of no interest.
    fn outcome_of(&mut self, ticket: BatchTicket, deadline: Instant) -> Option<BatchOutcome> {
        let mut outcomes = Vec::with_capacity(1);
        loop {
            self.writer.poll_acks(deadline.saturating_duration_since(Instant::now()), &mut outcomes);
            let found = outcomes.drain(..).find(|outcome| outcome.ticket == ticket);
            if found.is_some() || Instant::now() >= deadline {
                return found;
            }
        }
    }
}
