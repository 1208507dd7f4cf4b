//! Reads a dead letter queue from its beginning to where it ended when reading began.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tidegate_config::Settings;
use tidegate_kafka::{Admin, ClientSettings, Consumer, KafkaError, Polled, StartOffset, TopicPartition};

use super::letter::Letter;
use crate::failure::Failure;

/// How long a broker may take to answer at all.
const REACHABLE_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(30);
/// What the consumer fetches ahead.
const FETCH_BUDGET_BYTES: usize = 8 << 20;
/// Records handed on together.
const BATCH_RECORDS: usize = 500;

/// A dead letter queue, and how to get there.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) topic: String,
    pub(super) bootstrap: String,
    /// librdkafka's, for every client.
    pub(super) properties: Settings,
}

/// Where the partitions of a queue ended at one moment.
pub(super) type Ends = BTreeMap<i32, i64>;

/// Whether to read on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    On,
    Enough,
}

impl Queue {
    pub(super) fn admin(&self) -> Result<Admin, Failure> {
        let admin = Admin::open(&self.with(ClientSettings::for_control(&self.bootstrap)))
            .map_err(|error| self.failure("no Kafka client can be made", &error))?;
        admin.check_reachable(REACHABLE_TIMEOUT).map_err(|error| match error {
            KafkaError::Unreachable { detail, .. } => {
                Failure::new(format!("broker at {} not reachable", self.bootstrap))
                    .detail(detail)
                    .hint("name it with --bootstrap, or with --settings where it wants more than an address")
            }
            other => self.failure("the broker does not answer as it should", &other),
        })?;
        Ok(admin)
    }

    /// A producer as tasks have it.
    pub(super) fn producer_settings(&self, budget_bytes: usize) -> ClientSettings {
        self.with(ClientSettings::for_producer(&self.bootstrap, budget_bytes))
    }

    pub(super) fn with(&self, mut settings: ClientSettings) -> ClientSettings {
        settings.extend(self.properties.iter());
        settings
    }

    pub(super) fn failure(&self, what: impl Into<String>, error: &KafkaError) -> Failure {
        Failure::new(what).detail(error)
    }

    /// Where each partition ends now. The error of a queue that is not there says so.
    pub(super) fn ends(&self, admin: &Admin) -> Result<Ends, Failure> {
        let unread = |error: KafkaError| self.failure(format!("the topic \"{}\" cannot be read", self.topic), &error);
        let Some(topic) = admin.describe_topic(&self.topic, TIMEOUT).map_err(unread)? else {
            return Err(Failure::new(format!("there is no topic \"{}\"", self.topic))
                .detail(format_args!("at {}", self.bootstrap))
                .hint("a dead letter queue is made when a connector that has one starts"));
        };
        let partitions: Vec<_> =
            (0..topic.partitions).map(|partition| TopicPartition::new(&self.topic, partition as i32)).collect();
        let ends = admin.end_offsets(&partitions, tidegate_kafka::Isolation::ReadCommitted, TIMEOUT).map_err(unread)?;
        Ok(ends.into_iter().map(|end| (end.partition, end.offset)).collect())
    }

    /// Hands on all letters before `ends`, in the order of each partition, a batch at a time.
    pub(super) fn read(
        &self,
        ends: &Ends,
        mut each: impl FnMut(Vec<Letter>) -> Result<Reading, Failure>,
    ) -> Result<(), Failure> {
        let unread = |error: KafkaError| self.failure(format!("the topic \"{}\" cannot be read", self.topic), &error);
        let mut settings = ClientSettings::for_reader(&self.bootstrap, "tidegate-dlq", FETCH_BUDGET_BYTES);
        settings.set("auto.offset.reset", "earliest");
        let mut consumer = Consumer::open(&self.with(settings)).map_err(unread)?;
        let mut open: BTreeSet<i32> =
            ends.iter().filter(|(_, end)| **end > 0).map(|(partition, _)| *partition).collect();
        let starts: Vec<_> = open
            .iter()
            .map(|&partition| (TopicPartition::new(&self.topic, partition), StartOffset::Beginning))
            .collect();
        consumer.assign(&starts).map_err(unread)?;
        let mut heard = Instant::now();
        while !open.is_empty() {
            match consumer.poll(BATCH_RECORDS, Duration::from_millis(100)).map_err(unread)? {
                Polled::Records(batch) if batch.is_empty() => {}
                Polled::Records(batch) => {
                    heard = Instant::now();
                    let mut letters = Vec::with_capacity(batch.len());
                    for message in batch.iter() {
                        let end = ends.get(&message.partition()).copied().unwrap_or_default();
                        if message.offset() < end {
                            letters.push(Letter::of(&message));
                        }
                        if message.offset() + 1 >= end {
                            open.remove(&message.partition());
                        }
                    }
                    if !letters.is_empty() && each(letters)? == Reading::Enough {
                        return Ok(());
                    }
                }
                // The last offsets may be those of markers, which nobody is handed.
                Polled::EndOfPartition { at, .. } => drop(open.remove(&at.partition)),
                Polled::Trouble(error) if error.is_retriable() => {}
                Polled::Trouble(error) => return Err(unread(error)),
                Polled::Rebalance(_) => {}
            }
            if heard.elapsed() > TIMEOUT {
                return Err(Failure::new(format!("the topic \"{}\" cannot be read", self.topic))
                    .detail(format_args!("nothing came for {} s", TIMEOUT.as_secs())));
            }
        }
        Ok(())
    }
}
