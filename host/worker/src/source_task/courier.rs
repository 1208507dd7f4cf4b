//! The thread that owns a task's transactional producer: carries out transactions one after the other, and says which are
//! durable.
//!
//! What fails is undone as a whole. The transaction is aborted with the producer that began it, not by a successor: only so
//! does the broker say whether somebody else has taken over meanwhile. Then everything the task has sent since is thrown
//! away, up to the work that knows of the failure (its [`Work::life`]).
//!
//! A transaction that an outage kept open too long is ended by the broker, in the same way as if somebody had taken over. The
//! two are told apart by the committed offsets: if they are still those that this task committed last, nobody else has
//! brought anything, and the id is taken over again.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use tidegate_kafka::{BatchOutcome, ClientSettings, DeliveryError, DeliveryFailure, KafkaError, OutRecord, Producer};
use tidegate_record::offset::Committable;
use tokio::sync::mpsc;

use super::boundaries::End;
use crate::offsets::ConnectorOffsets;
use crate::outbox::{Encoded, Ended};

/// How long one wait for room or for acknowledgements takes, so that failures and the end are noticed.
const STEP: Duration = Duration::from_millis(5);
/// How long one attempt to end a transaction takes; it is resumed until its outcome is known.
const END_STEP: Duration = Duration::from_secs(1);
/// How long the end of the task waits for its open transaction to be aborted, so that readers need not wait for Kafka's
/// time-out.
const FAREWELL: Duration = Duration::from_secs(3);

/// How long one attempt to read committed offsets, or to take over, may last.
const LOAD_STEP: Duration = Duration::from_secs(10);
/// Kafka's default for `transaction.timeout.ms`, and librdkafka's.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);

/// What the thread is to do, in order.
#[derive(Debug)]
pub(super) struct Work {
    /// Which guest's records these are, counted: older ones are thrown away after a failure.
    pub(super) life: u32,
    pub(super) batch: Encoded<()>,
    pub(super) steps: Vec<Step>,
}

#[derive(Debug)]
pub(super) enum Step {
    /// Write these records of the batch.
    Produce(Range<usize>),
    /// End the transaction. The offsets are those of all its records, and of those that were dropped on the way.
    End(End, Vec<Committable>),
}

/// What the thread says.
#[derive(Debug)]
pub(super) enum Word {
    /// A piece of work is over, and there is room for another.
    Over,
    /// Records and offsets are durable. None of the records are where the connector aborted them.
    Committed { life: u32, records: usize, offsets: Vec<Committable> },
    /// So many records will never be visible, as the connector wished.
    Aborted { records: usize },
    /// Everything that was not committed is undone. The source must go back to what is.
    Undone { error: KafkaError },
    /// Nothing more will be written.
    Broken(Broken),
}

/// Why nothing more will be written.
#[derive(Debug)]
pub(super) enum Broken {
    /// Kafka will never take a record as it stands.
    Refused(DeliveryFailure),
    /// Another producer has the transactional id, or had it.
    Fenced(KafkaError),
    Kafka(KafkaError),
}

/// The inside of the task: gives work away. Dropping it ends the thread, which aborts what is open.
#[derive(Debug)]
pub(super) struct Courier {
    work: SyncSender<Work>,
}

/// Where offsets are written, and read again.
#[derive(Debug)]
pub(super) struct OffsetsPlace {
    pub(super) topic: String,
    pub(super) offsets: ConnectorOffsets,
}

/// Takes over a transactional id: whoever had it is fenced, and its open transaction aborted. Blocks up to `timeout`.
pub(crate) fn take_over(settings: &ClientSettings, timeout: Duration) -> Result<Producer, KafkaError> {
    let mut producer = Producer::open(settings)?;
    producer.init_transactions(timeout)?;
    Ok(producer)
}

impl Courier {
    /// Starts the thread. The caller sees to it that no more than `open_max` pieces of work are without an answer.
    pub(super) fn start(
        task: &str,
        producer: Producer,
        settings: &ClientSettings,
        place: OffsetsPlace,
        open_max: usize,
    ) -> std::io::Result<(Courier, mpsc::UnboundedReceiver<Word>)> {
        let (work, waiting) = sync_channel(open_max);
        // Unbounded but small: a piece of work has few words, and the task bounds those.
        let (words, heard) = mpsc::unbounded_channel();
        let thread = Thread {
            task: task.to_owned(),
            producer,
            settings: settings.clone(),
            place: Arc::new(place),
            waiting,
            words,
            open: None,
            begun: Instant::now(),
            committed: BTreeMap::new(),
            doubtful: BTreeMap::new(),
            undone_life: None,
            refused: None,
            outcomes: Vec::new(),
        };
        std::thread::Builder::new().name(format!("transactions {task}")).spawn(move || thread.run())?;
        Ok((Courier { work }, heard))
    }

    /// Gives work away. Never blocks, as there is room for every piece that may be open.
    pub(super) fn send(&self, work: Work) -> Result<(), Ended> {
        self.work.send(work).map_err(|_| Ended)
    }
}

struct Thread {
    task: String,
    producer: Producer,
    settings: ClientSettings,
    place: Arc<OffsetsPlace>,
    waiting: Receiver<Work>,
    words: mpsc::UnboundedSender<Word>,
    /// How many records the open transaction has; none: there is no open one.
    open: Option<usize>,
    /// When the open transaction was begun, or the last one.
    begun: Instant,
    /// By source partition, the offset that was committed last.
    committed: BTreeMap<String, String>,
    /// The offsets of a commit that failed: it may have been carried out all the same.
    doubtful: BTreeMap<String, String>,
    /// Work of this life and of those before is thrown away.
    undone_life: Option<u32>,
    /// The first record that was not acknowledged since the transaction began.
    refused: Option<DeliveryFailure>,
    outcomes: Vec<BatchOutcome>,
}

/// Why the thread cannot go on as it was.
enum Stop {
    /// The task is gone.
    Alone,
    Trouble(KafkaError),
}

impl From<KafkaError> for Stop {
    fn from(error: KafkaError) -> Stop {
        Stop::Trouble(error)
    }
}

impl Thread {
    fn run(mut self) {
        while let Some(work) = self.next() {
            let Work { life, batch, steps } = work;
            if self.undone_life.is_none_or(|undone| life > undone) {
                match self.carry_out(life, &batch, steps) {
                    Ok(()) => {}
                    Err(Stop::Alone) => break,
                    Err(Stop::Trouble(error)) => match self.undo(error) {
                        None => break,
                        Some(word) => {
                            let is_broken = matches!(word, Word::Broken(_));
                            self.undone_life = Some(life);
                            self.say(word);
                            if is_broken {
                                return;
                            }
                        }
                    },
                }
            }
            if !self.say(Word::Over) {
                break;
            }
        }
        if self.open.is_some()
            && let Err(error) = self.producer.abort_transaction(FAREWELL)
        {
            tracing::debug!(task = self.task, "an open transaction was left to time out: {error}");
        }
    }

    /// The next piece of work; none when there will be none. Acknowledgements are served meanwhile.
    fn next(&mut self) -> Option<Work> {
        loop {
            let wait = if self.producer.records_in_flight() > 0 { STEP } else { Duration::from_secs(1) };
            match self.waiting.recv_timeout(wait) {
                Ok(work) => return Some(work),
                Err(RecvTimeoutError::Timeout) => self.serve(),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    fn carry_out(&mut self, life: u32, batch: &Encoded<()>, steps: Vec<Step>) -> Result<(), Stop> {
        for step in steps {
            match step {
                Step::Produce(range) => {
                    let headers = batch.out_headers();
                    let records: Vec<_> =
                        batch.records[range].iter().map(|record| batch.out(record, &headers)).collect();
                    self.produce(&records)?;
                    self.trace("produced");
                }
                Step::End(End::Undo, _) => {
                    if self.open.take().is_some() {
                        self.abort()?;
                    }
                }
                Step::End(End::Abort, offsets) => {
                    if let Some(records) = self.open.take() {
                        self.abort()?;
                        self.say(Word::Aborted { records });
                    }
                    self.commit(life, offsets)?;
                }
                Step::End(End::Commit, offsets) => self.commit(life, offsets)?,
            }
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), Stop> {
        if self.open.is_none() {
            self.producer.begin_transaction()?;
            self.open = Some(0);
            self.begun = Instant::now();
            self.refused = None;
            self.trace("begun");
        }
        Ok(())
    }

    /// Hands records to librdkafka, waiting for room as often as it takes.
    fn produce(&mut self, records: &[OutRecord<'_>]) -> Result<(), Stop> {
        self.begin()?;
        let enqueued = self.producer.produce(records, STEP);
        let mut accepted = enqueued.accepted;
        while accepted < records.len() {
            accepted += self.producer.resume(enqueued.ticket, &records[accepted..], STEP)?;
            self.check()?;
        }
        self.open = self.open.map(|before| before + records.len());
        self.check()
    }

    /// Writes the offsets beside the records and commits both. Nothing to write is nothing to commit.
    fn commit(&mut self, life: u32, offsets: Vec<Committable>) -> Result<(), Stop> {
        let records = self.open.unwrap_or(0);
        if !offsets.is_empty() {
            let place = self.place.clone();
            let keys: Vec<_> = offsets.iter().map(|at| place.offsets.key(&at.partition)).collect();
            let writes: Vec<_> = keys
                .iter()
                .zip(&offsets)
                .map(|(key, at)| OutRecord {
                    topic: &place.topic,
                    key: Some(key),
                    value: Some(at.offset.as_bytes()),
                    ..OutRecord::default()
                })
                .collect();
            self.produce(&writes)?;
            self.trace("offsets");
        }
        if self.open.is_none() {
            return Ok(());
        }
        if let Err(stop) = self.end() {
            self.doubtful = offsets.into_iter().map(|at| (at.partition, at.offset)).collect();
            return Err(stop);
        }
        self.open = None;
        self.trace("committed");
        self.serve();
        for Committable { partition, offset } in &offsets {
            match self.committed.get_mut(partition) {
                Some(known) => offset.clone_into(known),
                None => drop(self.committed.insert(partition.clone(), offset.clone())),
            }
        }
        match self.say(Word::Committed { life, records, offsets }) {
            true => Ok(()),
            false => Err(Stop::Alone),
        }
    }

    /// Commits what was written, however long it takes.
    fn end(&mut self) -> Result<(), Stop> {
        loop {
            match self.producer.commit_transaction(END_STEP) {
                // It is under way, or could not even be asked for: both is resumed by asking again.
                Err(error) if error.is_retriable() => {
                    self.serve();
                    if self.refused.is_some() {
                        return Err(error.into());
                    }
                    self.check_company()?;
                }
                answer => return Ok(answer?),
            }
        }
    }

    /// Aborts, however long it takes.
    fn abort(&mut self) -> Result<(), Stop> {
        loop {
            match self.producer.abort_transaction(END_STEP) {
                Ok(()) => {
                    self.serve();
                    self.trace("aborted");
                    return Ok(());
                }
                Err(error) if error.is_retriable() => self.check_company()?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Undoes everything since the last commit. None: the task is gone.
    fn undo(&mut self, error: KafkaError) -> Option<Word> {
        self.serve();
        let was_open = self.open.take().is_some();
        let aborted = match &error {
            KafkaError::Fenced { .. } | KafkaError::Fatal { .. } => Err(Stop::Trouble(error.clone())),
            _ if was_open => self.abort(),
            _ => Ok(()),
        };
        let refused = self.refused.take().filter(|failure| {
            matches!(failure.error, DeliveryError::TooLarge | DeliveryError::Rejected | DeliveryError::Denied)
        });
        let broken = match (aborted, refused) {
            (Err(Stop::Alone), _) => return None,
            (Err(Stop::Trouble(error @ KafkaError::Fenced { .. })), _) => {
                let outlived = self.begun.elapsed() >= self.transaction_timeout();
                match outlived && self.is_untouched()? {
                    true => return self.reclaim(error),
                    false => Broken::Fenced(error),
                }
            }
            (_, Some(failure)) => Broken::Refused(failure),
            (Err(Stop::Trouble(error @ KafkaError::Fatal { .. })), None) => match self.is_untouched()? {
                true => return self.reclaim(error),
                false => Broken::Fenced(error),
            },
            (Err(Stop::Trouble(error)), None) => Broken::Kafka(error),
            (Ok(()), None) => match error {
                // What time heals, or a new attempt.
                KafkaError::Abortable { .. } | KafkaError::Retriable { .. } | KafkaError::Unreachable { .. } => {
                    return Some(Word::Undone { error });
                }
                error => Broken::Kafka(error),
            },
        };
        Some(Word::Broken(broken))
    }

    fn transaction_timeout(&self) -> Duration {
        let set = self.settings.get("transaction.timeout.ms").and_then(|ms| ms.parse().ok());
        set.map_or(TRANSACTION_TIMEOUT, Duration::from_millis)
    }

    /// Whether the committed offsets are those that this task committed last, so that nobody else has brought anything
    /// since. None: the task is gone.
    fn is_untouched(&self) -> Option<bool> {
        let keys: Vec<_> = self.committed.keys().map(|partition| self.place.offsets.key(partition)).collect();
        loop {
            match self.place.offsets.load_keys(&keys, LOAD_STEP) {
                Ok(stored) => {
                    let mut pairs = stored.iter().zip(&self.committed);
                    return Some(pairs.all(|(stored, (partition, ours))| {
                        let doubtful = self.doubtful.get(partition).map(String::as_bytes);
                        stored.as_deref().is_some_and(|stored| stored == ours.as_bytes() || Some(stored) == doubtful)
                    }));
                }
                Err(error) => tracing::warn!(task = self.task, "committed offsets cannot be read yet: {error}"),
            }
            self.check_company().ok()?;
        }
    }

    /// Takes the id over once more, after `error` has made this producer useless. None: the task is gone.
    fn reclaim(&mut self, error: KafkaError) -> Option<Word> {
        loop {
            match take_over(&self.settings, LOAD_STEP) {
                Ok(producer) => {
                    self.producer = producer;
                    self.outcomes.clear();
                    // Which offsets are committed now is the guest's to ask.
                    self.committed.clear();
                    return Some(Word::Undone { error });
                }
                Err(error) if error.is_retriable() => self.check_company().ok()?,
                Err(error) => return Some(Word::Broken(Broken::Kafka(error))),
            }
        }
    }

    /// Takes note of acknowledgements.
    fn serve(&mut self) {
        self.producer.poll_acks(Duration::ZERO, &mut self.outcomes);
        for outcome in self.outcomes.drain(..) {
            if self.refused.is_none() {
                self.refused = outcome.failures.into_iter().next();
            }
        }
    }

    /// Fails when a record was not acknowledged, the producer is broken, or nobody listens any more.
    fn check(&mut self) -> Result<(), Stop> {
        self.serve();
        self.producer.check()?;
        match &self.refused {
            Some(failure) => Err(failure.to_error("producing").into()),
            None => self.check_company(),
        }
    }

    fn check_company(&self) -> Result<(), Stop> {
        if self.words.is_closed() { Err(Stop::Alone) } else { Ok(()) }
    }

    fn say(&self, word: Word) -> bool {
        self.words.send(word).is_ok()
    }

    /// For those who want to know, or to end the process, between two steps.
    fn trace(&self, step: &str) {
        tracing::trace!(target: "tidegate_worker::transactions", task = self.task, step);
    }
}
