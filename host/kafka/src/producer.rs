//! A producer that takes batches and tells, batch by batch and in order, what was acknowledged.
//!
//! Records are copied into librdkafka's queue by `rd_kafka_produce_batch` (a third of the cost of single sends) and,
//! where they carry headers or a timestamp, one by one. Delivery reports are drained by the caller's own calls: there is
//! no poll thread, which would burn 0.7 % of a core per idle producer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::code::Code;
use crate::consumer::GroupMetadata;
use crate::error::KafkaError;
use crate::ledger::{BatchOutcome, BatchTicket, Ledger};
use crate::native::client::{Client, Kind, Queue};
use crate::native::deadline;
use crate::native::partitions::PartitionList;
use crate::native::produce::{self, ANY_PARTITION, Plain, Rich, Scratch, Topic};
use crate::native::transaction;
use crate::offset::PartitionOffset;
use crate::settings::ClientSettings;

/// A record to be written, borrowed for the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutRecord<'a> {
    pub topic: &'a str,
    /// None: by Java's partitioner, from the key.
    pub partition: Option<i32>,
    pub key: Option<&'a [u8]>,
    /// None is a tombstone.
    pub value: Option<&'a [u8]>,
    pub headers: &'a [OutHeader<'a>],
    /// Milliseconds since 1970; none means now. librdkafka cannot write 0 and takes it for none.
    pub timestamp: Option<i64>,
}

/// A record's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutHeader<'a> {
    pub name: &'a str,
    pub value: Option<&'a [u8]>,
}

/// What [`Producer::produce`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "records that were not accepted must be handed over by `resume`"]
pub struct Enqueued {
    /// Names the batch, in full, until its outcome is known.
    pub ticket: BatchTicket,
    /// How many records from the first on were accepted; the others found the queue full.
    pub accepted: usize,
}

/// A producer of one thread.
///
/// Records of one partition are written in the order they were given, also across an outage. Dropping it gives up what
/// is undelivered.
#[derive(Debug)]
pub struct Producer {
    // Handles before the client they belong to.
    topics: HashMap<String, Topic>,
    queue: Queue,
    scratch: Scratch,
    ledger: Ledger,
    client: Arc<Client>,
}

/// Topic handles kept; a routing transform may name any number of topics.
const TOPICS_MAX: usize = 1_000;

/// How many records are handed over at once; measured: nothing gained beyond.
const RECORDS_PER_CALL_MAX: usize = 1_000;

/// How long one wait for a delivery report takes at most, so that deadlines are met.
const WAIT_STEP: Duration = Duration::from_millis(50);

/// How long an abort may hold the thread before delivery reports are served.
const ABORT_STEP: Duration = Duration::from_millis(10);

impl Producer {
    /// Opens a producer with settings of [`ClientSettings::for_producer`] or
    /// [`ClientSettings::for_transactional_producer`]. Connects in the background.
    pub fn open(settings: &ClientSettings) -> Result<Self, KafkaError> {
        let client = Client::open(Kind::Producer, settings)?;
        let queue = client.main_queue();
        Ok(Self { topics: HashMap::new(), queue, scratch: Scratch::default(), ledger: Ledger::default(), client })
    }

    /// Opens a batch and hands over as many of its records as find room within `wait`; delivery reports are served
    /// meanwhile. The rest is handed over by [`Self::resume`].
    ///
    /// Never fails as a whole: a record that cannot be accepted (too large, no such partition, a fenced or broken
    /// producer) is a failure of its own in the batch's outcome.
    pub fn produce(&mut self, records: &[OutRecord<'_>], wait: Duration) -> Enqueued {
        let ticket = self.ledger.open(records.len());
        let accepted = self.hand_over(ticket, 0, records, wait);
        Enqueued { ticket, accepted }
    }

    /// Hands over more of an open batch: `rest` is what was not accepted yet. Answers how many of them were now.
    pub fn resume(&mut self, ticket: BatchTicket, rest: &[OutRecord<'_>], wait: Duration) -> Result<usize, KafkaError> {
        match self.ledger.handed_over(ticket) {
            Some((done, total)) if done + rest.len() == total => Ok(self.hand_over(ticket, done, rest, wait)),
            _ => Err(KafkaError::OutOfOrder { what: "a batch was resumed with other records than it still lacked" }),
        }
    }

    /// Serves delivery reports, waiting up to `timeout` for a batch to complete, and adds the batches that are complete
    /// to `outcomes`: in the order they were produced, each once.
    pub fn poll_acks(&mut self, timeout: Duration, outcomes: &mut Vec<BatchOutcome>) {
        let deadline = deadline(timeout);
        let before = outcomes.len();
        self.serve(Duration::ZERO);
        loop {
            self.ledger.completed(outcomes);
            let left = deadline.saturating_duration_since(Instant::now());
            if outcomes.len() > before || left.is_zero() || self.ledger.open_batches() == 0 {
                return;
            }
            self.serve(left.min(WAIT_STEP));
        }
    }

    /// Makes waiting records go out without lingering.
    pub fn hurry(&self) {
        produce::hurry(&self.client);
    }

    /// Batches whose outcome is not known yet.
    pub fn open_batches(&self) -> usize {
        self.ledger.open_batches()
    }

    /// Records handed over and not yet reported.
    pub fn records_in_flight(&self) -> usize {
        self.ledger.in_flight()
    }

    /// Gives up everything undelivered, accepted or not. All open batches are complete within the next calls of
    /// [`Self::poll_acks`]; what was in flight may have been written all the same.
    pub fn abandon(&mut self) -> Result<(), KafkaError> {
        self.ledger.abandon_rest();
        produce::purge(&self.client)
    }

    /// `Err` once the producer is beyond repair or fenced.
    pub fn check(&self) -> Result<(), KafkaError> {
        self.client.check("producing")
    }

    /// Replaces a producer that is beyond repair by one that was just opened. What the old one had not delivered is given up.
    pub fn reopen_if_broken(&mut self, settings: &ClientSettings) -> Result<(), KafkaError> {
        if self.check().is_err() {
            *self = Producer::open(settings)?;
        }
        Ok(())
    }

    /// The last complaint about connections, for a status that says why nothing moves.
    pub fn last_transport_error(&self) -> Option<String> {
        self.client.last_error().map(|(_, detail)| detail)
    }

    /// Takes over the transactional id, fencing every producer that had it. Once, before the first transaction.
    pub fn init_transactions(&mut self, timeout: Duration) -> Result<(), KafkaError> {
        transaction::init(&self.client, timeout).map_err(|error| self.client.explain(error))
    }

    /// Begins a transaction. Success does not prove that this producer is not fenced; the commit does.
    pub fn begin_transaction(&mut self) -> Result<(), KafkaError> {
        self.ledger.forget_failure();
        transaction::begin(&self.client)
    }

    /// Adds consumed offsets to the transaction, on behalf of the member that `group` proves.
    ///
    /// Refuses metadata of a consumer that is not a member: brokers accept it, and it would fence nothing.
    pub fn send_offsets(
        &mut self,
        offsets: &[PartitionOffset],
        group: &GroupMetadata,
        timeout: Duration,
    ) -> Result<(), KafkaError> {
        if !group.is_member() {
            return Err(KafkaError::NotAMember {
                what: "adding offsets to a transaction".to_owned(),
                code: Code::UNKNOWN_MEMBER_ID,
                detail: "the consumer has not joined its group".to_owned(),
            });
        }
        transaction::send_offsets(&self.client, &PartitionList::of_offsets(offsets)?, group.native(), timeout)
    }

    /// Waits until every record is reported, then commits. Batch outcomes are given out by [`Self::poll_acks`] as
    /// ever; a record that was not delivered makes this fail with [`KafkaError::Abortable`].
    ///
    /// A [`KafkaError::Retriable`] leaves the outcome open: drop the producer and take over again.
    pub fn commit_transaction(&mut self, timeout: Duration) -> Result<(), KafkaError> {
        let deadline = deadline(timeout);
        const WHAT: &str = "committing a transaction";
        self.drain(WHAT, deadline)?;
        // librdkafka counts what it could not deliver, and not what it refused to take (a record that is too large).
        if let Some(code) = self.ledger.failure() {
            let detail = format!("a record was not delivered: {}", code.text());
            return Err(KafkaError::Abortable { what: WHAT.to_owned(), code, detail });
        }
        transaction::commit(&self.client, deadline.saturating_duration_since(Instant::now()))
    }

    /// Gives up the transaction and everything undelivered. What is in flight is waited for: giving it up too would
    /// leave a gap in the sequence numbers and fail the next transaction.
    pub fn abort_transaction(&mut self, timeout: Duration) -> Result<(), KafkaError> {
        let deadline = deadline(timeout);
        self.ledger.abandon_rest();
        loop {
            // librdkafka waits for delivery reports that only this thread serves; an abort that timed out is resumed.
            let left = deadline.saturating_duration_since(Instant::now());
            match transaction::abort(&self.client, left.min(ABORT_STEP)) {
                Err(KafkaError::Retriable { code: Code::TIMED_OUT, .. }) if !left.is_zero() => {
                    self.serve(left.min(ABORT_STEP));
                }
                answer => return answer,
            }
        }
    }

    /// librdkafka's own commit would wait for delivery reports that only this thread serves.
    fn drain(&mut self, what: &str, deadline: Instant) -> Result<(), KafkaError> {
        self.hurry();
        while produce::outstanding(&self.client) > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(KafkaError::timed_out(what, "records were not acknowledged in the time given"));
            }
            self.serve(left.min(WAIT_STEP));
        }
        Ok(())
    }

    fn serve(&mut self, timeout: Duration) {
        let ledger = &mut self.ledger;
        produce::serve(&self.queue, timeout, |tag, code| ledger.reported(tag, code));
    }

    /// Hands over `records`, the first of which is record `offset` of the batch.
    fn hand_over(&mut self, ticket: BatchTicket, offset: usize, records: &[OutRecord<'_>], wait: Duration) -> usize {
        let deadline = deadline(wait);
        let mut done = 0;
        while done < records.len() {
            let run = run_length(&records[done..]);
            let accepted = self.hand_over_run(ticket, offset + done, &records[done..done + run]);
            self.ledger.hand_over(ticket, accepted);
            done += accepted;
            if accepted < run {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                self.serve(left.min(WAIT_STEP));
            }
        }
        done
    }

    /// Hands over one run (see [`run_length`]); answers how many records from its first on were dealt with.
    fn hand_over_run(&mut self, ticket: BatchTicket, offset: usize, run: &[OutRecord<'_>]) -> usize {
        let Self { topics, ledger, scratch, client, .. } = self;
        let first = &run[0];
        let Some(topic) = topic_handle(topics, client, first.topic) else {
            for index in 0..run.len() {
                ledger.failed(ticket, offset + index, Code::INVALID_TOPIC);
            }
            return run.len();
        };
        let partition = first.partition.unwrap_or(ANY_PARTITION);
        if is_plain(first) {
            let records = run.iter().enumerate().map(|(index, record)| plain(record, ticket, offset + index));
            return produce::produce_batch(topic, partition, records, scratch, |index, code| {
                ledger.failed(ticket, offset + index, code);
            });
        }
        let rich = Rich {
            plain: plain(first, ticket, offset),
            headers: first.headers.iter().map(|header| (header.name, header.value)),
            timestamp: first.timestamp,
        };
        let outcome = match first.timestamp {
            // As Java's producer; the log would be left with a record no consumer can place in time.
            Some(..0) => Err(Code::INVALID_TIMESTAMP),
            _ => produce::produce_one(topic, partition, rich),
        };
        match outcome {
            Ok(()) => 1,
            Err(Code::QUEUE_FULL) => 0,
            Err(code) => {
                ledger.failed(ticket, offset, code);
                1
            }
        }
    }
}

fn plain<'a>(record: &OutRecord<'a>, ticket: BatchTicket, index: usize) -> Plain<'a> {
    Plain { key: record.key, value: record.value, tag: Ledger::tag(ticket, index) }
}

/// True for what `rd_kafka_produce_batch` can carry.
fn is_plain(record: &OutRecord<'_>) -> bool {
    record.headers.is_empty() && record.timestamp.is_none()
}

/// How many records from the first on can go in one call: plain ones of one topic and partition (or of the
/// partitioner's choice), or a single one.
fn run_length(records: &[OutRecord<'_>]) -> usize {
    let first = &records[0];
    if !is_plain(first) {
        return 1;
    }
    records
        .iter()
        .take(RECORDS_PER_CALL_MAX)
        .take_while(|record| record.topic == first.topic && record.partition == first.partition && is_plain(record))
        .count()
}

fn topic_handle<'t>(topics: &'t mut HashMap<String, Topic>, client: &Arc<Client>, name: &str) -> Option<&'t Topic> {
    if !topics.contains_key(name) {
        if topics.len() >= TOPICS_MAX {
            topics.clear();
        }
        topics.insert(name.to_owned(), Topic::new(client, name)?);
    }
    topics.get(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_producer_beyond_repair_is_replaced_and_a_good_one_is_kept() {
        let settings = ClientSettings::for_producer("127.0.0.1:9", 1 << 20);
        let mut producer = Producer::open(&settings).unwrap();
        let first = producer.client.clone();
        producer.reopen_if_broken(&settings).unwrap();
        assert!(Arc::ptr_eq(&first, &producer.client));

        producer.client.break_for_good();
        assert!(matches!(producer.check(), Err(KafkaError::Fatal { .. })));
        producer.reopen_if_broken(&settings).unwrap();
        producer.check().unwrap();
    }
}
