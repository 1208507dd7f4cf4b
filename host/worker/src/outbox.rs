//! The thread that owns a task's producer, be it for a source's records or for dead letters: takes encoded batches, hands
//! them to librdkafka, and says what became of each.

use std::ops::Range;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

use tidegate_kafka::{
    BatchOutcome, BatchTicket, ClientSettings, DeliveryFailure, KafkaError, OutHeader, OutRecord, Producer,
};
use tokio::sync::mpsc;

/// How long one wait for room or for acknowledgements takes, so that new batches and the end are noticed.
const STEP: Duration = Duration::from_millis(5);

/// Records ready to be written: one buffer, and where in it each record's parts are. `I` is the sender's name for a batch.
#[derive(Debug)]
pub(crate) struct Encoded<I> {
    pub(crate) id: I,
    pub(crate) bytes: Vec<u8>,
    pub(crate) topics: Vec<Box<str>>,
    pub(crate) records: Vec<EncodedRecord>,
    pub(crate) headers: Vec<EncodedHeader>,
}

#[derive(Debug)]
pub(crate) struct EncodedRecord {
    /// The record's index in the sender's batch.
    pub(crate) index: u32,
    /// In `topics`.
    pub(crate) topic: u32,
    pub(crate) partition: Option<i32>,
    pub(crate) timestamp: Option<i64>,
    pub(crate) key: Option<Range<usize>>,
    pub(crate) value: Option<Range<usize>>,
    /// In `headers`.
    pub(crate) headers: Range<usize>,
}

impl<I> Encoded<I> {
    /// A batch without records, with room for about so many bytes.
    pub(crate) fn new(id: I, bytes: usize) -> Encoded<I> {
        Encoded { id, bytes: Vec::with_capacity(bytes), topics: Vec::new(), records: Vec::new(), headers: Vec::new() }
    }

    /// Keeps bytes that a record or header points to.
    pub(crate) fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    pub(crate) fn push_header(&mut self, name: &str, value: Option<&[u8]>) {
        let name = self.keep(name.as_bytes());
        let value = value.map(|value| self.keep(value));
        self.headers.push(EncodedHeader { name, value });
    }

    /// The same records under another name.
    pub(crate) fn named<J>(self, id: J) -> Encoded<J> {
        let Encoded { id: _, bytes, topics, records, headers } = self;
        Encoded { id, bytes, topics, records, headers }
    }

    /// All headers as the producer takes them.
    pub(crate) fn out_headers(&self) -> Vec<OutHeader<'_>> {
        let header = |header: &EncodedHeader| OutHeader {
            name: std::str::from_utf8(&self.bytes[header.name.clone()]).unwrap_or_default(),
            value: header.value.clone().map(|range| &self.bytes[range]),
        };
        self.headers.iter().map(header).collect()
    }

    /// A record as the producer takes it; `headers` are those of [`Encoded::out_headers`].
    pub(crate) fn out<'a>(&'a self, record: &EncodedRecord, headers: &'a [OutHeader<'a>]) -> OutRecord<'a> {
        let part = |range: &Option<Range<usize>>| range.clone().map(|range| &self.bytes[range]);
        OutRecord {
            topic: &self.topics[record.topic as usize],
            partition: record.partition,
            key: part(&record.key),
            value: part(&record.value),
            headers: &headers[record.headers.clone()],
            timestamp: record.timestamp,
        }
    }

    /// The number of a topic; mostly that of the record before.
    pub(crate) fn topic(&mut self, topic: &str) -> u32 {
        let at = self.topics.iter().rposition(|known| &**known == topic).unwrap_or_else(|| {
            self.topics.push(topic.into());
            self.topics.len() - 1
        });
        at as u32
    }
}

#[derive(Debug)]
pub(crate) struct EncodedHeader {
    pub(crate) name: Range<usize>,
    pub(crate) value: Option<Range<usize>>,
}

/// What became of a batch.
#[derive(Debug)]
pub(crate) struct Written<I> {
    pub(crate) id: I,
    pub(crate) records: usize,
    /// Records that were not acknowledged, by their index in the sender's batch.
    pub(crate) failures: Vec<(u32, DeliveryFailure)>,
}

/// What the thread says.
#[derive(Debug)]
pub(crate) enum Report<I> {
    Written(Written<I>),
    /// The producer is of no more use.
    Broken(KafkaError),
}

/// The inside of the task: gives batches away. Dropping it ends the thread, which gives up what is undelivered.
#[derive(Debug)]
pub(crate) struct Outbox<I> {
    batches: SyncSender<Encoded<I>>,
}

/// A batch could not be given away because the thread has ended; its report says why.
#[derive(Debug)]
pub(crate) struct Ended;

impl<I: Copy + Send + 'static> Outbox<I> {
    /// Opens the producer and starts its thread. The caller sees to it that no more than `open_max` batches are without
    /// an answer.
    pub(crate) fn open(
        task: &str,
        settings: &ClientSettings,
        open_max: usize,
    ) -> Result<(Outbox<I>, mpsc::UnboundedReceiver<Report<I>>), KafkaError> {
        let producer = Producer::open(settings)?;
        let (batches, waiting) = sync_channel(open_max);
        // Unbounded but small: at most one report per batch that is open, and the task bounds those.
        let (reports, received) = mpsc::unbounded_channel();
        let courier = Courier { producer, waiting, reports, open: Vec::new(), outcomes: Vec::new() };
        std::thread::Builder::new().name(format!("producer {task}")).spawn(move || courier.run()).map_err(|error| {
            KafkaError::InvalidSettings { detail: format!("the producer's thread cannot be started: {error}") }
        })?;
        Ok((Outbox { batches }, received))
    }

    /// Gives a batch away. Never blocks, as there is room for every batch that may be open.
    pub(crate) fn send(&self, batch: Encoded<I>) -> Result<(), Ended> {
        self.batches.send(batch).map_err(|_| Ended)
    }
}

struct Courier<I> {
    producer: Producer,
    waiting: Receiver<Encoded<I>>,
    reports: mpsc::UnboundedSender<Report<I>>,
    /// What was handed over and has no outcome yet, oldest first.
    open: Vec<(BatchTicket, I, Vec<u32>)>,
    outcomes: Vec<BatchOutcome>,
}

impl<I: Copy> Courier<I> {
    fn run(mut self) {
        while let Some(next) = self.next() {
            if let Some(batch) = next {
                self.hand_over(&batch);
            }
            self.producer.poll_acks(Duration::ZERO, &mut self.outcomes);
            if !self.report() {
                break;
            }
        }
        if let Err(error) = self.producer.abandon() {
            tracing::debug!("giving up undelivered records: {error}");
        }
    }

    /// The next batch; `Some(None)` when there is none now; `None` when there will be none.
    fn next(&mut self) -> Option<Option<Encoded<I>>> {
        if self.open.is_empty() {
            return match self.waiting.recv_timeout(Duration::from_secs(1)) {
                Ok(batch) => Some(Some(batch)),
                Err(RecvTimeoutError::Timeout) => Some(None),
                Err(RecvTimeoutError::Disconnected) => None,
            };
        }
        match self.waiting.try_recv() {
            Ok(batch) => Some(Some(batch)),
            Err(TryRecvError::Disconnected) => None,
            Err(TryRecvError::Empty) => {
                self.producer.poll_acks(STEP, &mut self.outcomes);
                Some(None)
            }
        }
    }

    /// Hands a whole batch to librdkafka, waiting for room as often as it takes.
    fn hand_over(&mut self, batch: &Encoded<I>) {
        let headers = batch.out_headers();
        let records: Vec<_> = batch.records.iter().map(|record| batch.out(record, &headers)).collect();
        let enqueued = self.producer.produce(&records, STEP);
        let indices = batch.records.iter().map(|record| record.index).collect();
        self.open.push((enqueued.ticket, batch.id, indices));
        let mut accepted = enqueued.accepted;
        while accepted < records.len() {
            match self.producer.resume(enqueued.ticket, &records[accepted..], STEP) {
                Ok(more) => accepted += more,
                Err(error) => {
                    let _ = self.reports.send(Report::Broken(error));
                    return;
                }
            }
            // With Kafka away nothing is reported, and so nothing else says that nobody listens any more.
            if self.reports.is_closed() {
                return;
            }
            self.producer.poll_acks(Duration::ZERO, &mut self.outcomes);
            if !self.report() {
                return;
            }
        }
    }

    /// Passes outcomes on. False when nobody listens any more or the producer is broken.
    fn report(&mut self) -> bool {
        for outcome in self.outcomes.drain(..) {
            let Some(at) = self.open.iter().position(|(ticket, ..)| *ticket == outcome.ticket) else { continue };
            let (_, id, indices) = self.open.remove(at);
            let failures = outcome.failures.into_iter().map(|failure| (indices[failure.index], failure)).collect();
            let written = Written { id, records: outcome.records, failures };
            if self.reports.send(Report::Written(written)).is_err() {
                return false;
            }
        }
        match self.producer.check() {
            Ok(()) => true,
            Err(error) => {
                let _ = self.reports.send(Report::Broken(error));
                false
            }
        }
    }
}
