//! Exactly-once delivery: records and the offsets behind them become visible together, in one transaction of a producer
//! that nobody else can be at the same time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidegate_config::connector::TransactionBoundary;
use tidegate_engine::SourceOffset;
use tidegate_herder::Failure;
use tidegate_kafka::{ClientSettings, KafkaError};
use tidegate_record::batch::{BatchReader, flags};
use tidegate_record::offset::Committable;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::boundaries::{Boundaries, End, Mark, Pause, Rule};
use super::courier::{Broken, Courier, OffsetsPlace, Step, Word, Work, take_over};
use super::plain::{FlushTimes, news};
use crate::fencing::timeout_hint;
use crate::metrics::TaskMetrics;
use crate::offsets::ConnectorOffsets;
use crate::outbox::Encoded;

/// With so many batches that wait for the producer no poll begins; one may be under way.
const OPEN_WORK_MAX: usize = 4;
/// Pieces of work there may be at most: with those, the poll under way, and the ends of transactions beside them.
const WORK_MAX: usize = OPEN_WORK_MAX + 4;
/// How long taking over the transactional id may take: a predecessor's open transaction is aborted first.
const TAKE_OVER: Duration = Duration::from_secs(60);

/// The transaction that is being filled, and those that are under way.
pub(super) struct ExactlyOnce {
    name: String,
    metrics: Arc<TaskMetrics>,
    boundaries: Boundaries,
    courier: Courier,
    words: mpsc::UnboundedReceiver<Word>,
    /// Which guest's records are being taken, counted.
    life: u32,
    open_work: usize,
    opened: Instant,
    /// The newest offset of each source partition since the last cut.
    reached: Reached,
    offsets_topic: String,
    mirror: Mirror,
    news: Vec<SourceOffset>,
}

/// What comes next of itself.
pub(super) enum Event {
    Said(Option<Word>),
    Due,
    MirrorDue,
    Mirrored(Result<(), String>),
}

/// What the task does about an event.
pub(super) enum Heard {
    GoOn,
    /// The guest's successor starts from what is committed.
    GoBack(KafkaError),
}

impl ExactlyOnce {
    /// Takes over the transactional id: from then on what is committed is this task's to continue. Blocks.
    pub(super) fn open(
        name: &str,
        client: &ClientSettings,
        offsets: &ConnectorOffsets,
        offsets_topic: String,
        boundary: TransactionBoundary,
        flush: FlushTimes,
        metrics: Arc<TaskMetrics>,
    ) -> Result<ExactlyOnce, Failure> {
        let id = client.get("transactional.id").unwrap_or_default();
        let producer = take_over(client, TAKE_OVER).map_err(|error| {
            let text = format!("the transactional id \"{id}\" cannot be taken over: {error}");
            if error.is_retriable() { Failure::retriable(text) } else { Failure::fatal(text) }
        })?;
        let place = OffsetsPlace { topic: offsets_topic.clone(), offsets: offsets.clone() };
        let (courier, words) = Courier::start(name, producer, client, place, WORK_MAX)
            .map_err(|error| Failure::retriable(format!("the producer's thread cannot be started: {error}")))?;
        Ok(ExactlyOnce {
            name: name.to_owned(),
            metrics,
            boundaries: Boundaries::new(Rule::of(boundary, flush.interval)),
            courier,
            words,
            life: 0,
            open_work: 0,
            opened: Instant::now(),
            reached: Reached::default(),
            offsets_topic,
            mirror: Mirror::new(offsets.clone(), flush),
            news: Vec::new(),
        })
    }

    pub(super) fn has_room(&self) -> bool {
        self.open_work < OPEN_WORK_MAX
    }

    /// Past as soon as nothing is under way; none while something is.
    pub(super) fn quiet_from(&self) -> Option<Instant> {
        (self.open_work == 0).then_some(self.opened)
    }

    /// Whether replacing the guest would tear a transaction that it has not finished.
    pub(super) fn is_inside_guests(&self) -> bool {
        self.boundaries.is_inside_connectors()
    }

    /// Takes a batch and the records of it that are to be written.
    pub(super) fn take(&mut self, batch: &BatchReader<'_>, encoded: Encoded<()>) -> Result<(), Failure> {
        if encoded.topics.iter().any(|topic| **topic == *self.offsets_topic) {
            return Err(Failure::fatal(format!(
                "the source writes to \"{}\", the topic of its own offsets; with exactly-once support it may not",
                self.offsets_topic
            )));
        }
        let marks = (0..batch.len()).filter_map(|record| {
            let flags = batch.flags(record);
            (flags & flags::BOUNDARY != 0).then_some(Mark { record, is_abort: flags & flags::ABORT != 0 })
        });
        let mut steps = Vec::new();
        let (mut record, mut row) = (0, 0);
        for cut in self.boundaries.polled(Instant::now(), batch.len(), marks) {
            self.reached.pass(batch, record..cut.end);
            let rows = encoded.records.partition_point(|encoded| (encoded.index as usize) < cut.end);
            if rows > row {
                steps.push(Step::Produce(row..rows));
            }
            if let Some(end) = cut.how {
                steps.push(Step::End(end, self.reached.take()));
            }
            (record, row) = (cut.end, rows);
        }
        self.send(encoded, steps)
    }

    fn send(&mut self, batch: Encoded<()>, steps: Vec<Step>) -> Result<(), Failure> {
        if steps.is_empty() {
            return Ok(());
        }
        self.open_work += 1;
        let work = Work { life: self.life, batch, steps };
        // Why it has ended is among its words.
        let _ = self.courier.send(work);
        Ok(())
    }

    /// Ends the open transaction before the guest pauses, stops or is replaced. True: what was in it comes again.
    pub(super) fn close(&mut self, why: Pause) -> bool {
        let Some(end) = self.boundaries.close(why) else { return false };
        let offsets = self.reached.take();
        let _ = self.send(Encoded::new((), 0), vec![Step::End(end, offsets)]);
        end == End::Undo
    }

    /// What happens next; may be dropped before it does.
    pub(super) async fn next(&mut self) -> Event {
        let due = self.boundaries.due();
        let (mirror_at, may_mirror) = (self.mirror.at, self.mirror.is_wanted());
        tokio::select! {
            biased;
            word = self.words.recv() => Event::Said(word),
            stored = self.mirror.stored() => Event::Mirrored(stored),
            () = sleep_until(due.unwrap_or(mirror_at)), if due.is_some() => Event::Due,
            () = sleep_until(mirror_at), if may_mirror => Event::MirrorDue,
        }
    }

    pub(super) fn handle(&mut self, event: Event) -> Result<Heard, Failure> {
        match event {
            Event::Said(word) => return self.hear(word),
            Event::Due => drop(self.close(Pause::Interrupted)),
            Event::MirrorDue => self.mirror.begin(),
            Event::Mirrored(stored) => {
                if let Err(error) = stored {
                    tracing::warn!(
                        task = self.name,
                        "the worker's offsets topic does not show the newest offsets: {error}"
                    );
                }
            }
        }
        Ok(Heard::GoOn)
    }

    fn hear(&mut self, word: Option<Word>) -> Result<Heard, Failure> {
        match word {
            Some(Word::Over) => self.open_work -= 1,
            Some(Word::Committed { life, records, offsets }) => {
                self.metrics.written(records);
                self.metrics.committed(records);
                self.mirror.note(&offsets);
                if life == self.life {
                    self.news.extend(offsets.into_iter().map(news));
                }
            }
            Some(Word::Aborted { records }) => self.metrics.aborted(records),
            Some(Word::Undone { error }) => {
                self.life += 1;
                self.boundaries.forget();
                self.forget();
                return Ok(Heard::GoBack(error));
            }
            Some(Word::Broken(broken)) => return Err(self.broken(broken)),
            None => return Err(Failure::retriable("the producer has ended")),
        }
        Ok(Heard::GoOn)
    }

    fn broken(&self, broken: Broken) -> Failure {
        match broken {
            Broken::Refused(failure) => {
                self.metrics.failed(1);
                Failure::fatal(format!(
                    "a record was not written: {}\nthe transaction was aborted: nothing of it is visible, and its offsets \
                     are not committed\nhint: with exactly-once support a record that Kafka refuses is never skipped",
                    failure.to_error("producing")
                ))
            }
            Broken::Fenced(error) => Failure::fatal(format!("{error}\n{}", timeout_hint(&self.name))),
            Broken::Kafka(error) => Failure::retriable(format!("the transactional producer is broken: {error}")),
        }
    }

    pub(super) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// What the guest is to be told.
    pub(super) fn take_news(&mut self) -> Vec<SourceOffset> {
        std::mem::take(&mut self.news)
    }

    /// A successor of the guest starts from what is committed.
    pub(super) fn forget(&mut self) {
        self.reached.0.clear();
        self.news.clear();
    }

    /// Waits until everything that was handed over is durable or given up.
    pub(super) async fn settle(&mut self) {
        while self.open_work > 0 {
            let word = self.words.recv().await;
            let trouble = match self.hear(word) {
                Ok(Heard::GoOn) => continue,
                Ok(Heard::GoBack(error)) => error.to_string(),
                Err(failure) => {
                    self.open_work = 0;
                    failure.trace
                }
            };
            tracing::warn!(task = self.name, "the task stopped, but not cleanly: {trouble}");
        }
    }

    /// Shows what is committed in the worker's offsets topic too.
    pub(super) async fn save(&mut self) {
        loop {
            if self.mirror.storing.is_some()
                && let Err(error) = self.mirror.stored().await
            {
                tracing::warn!(
                    task = self.name,
                    "the worker's offsets topic does not show the newest offsets: {error}"
                );
                return;
            }
            if !self.mirror.is_wanted() {
                return;
            }
            self.mirror.begin();
        }
    }
}

/// The newest offset of each source partition.
#[derive(Debug, Default)]
struct Reached(BTreeMap<String, String>);

impl Reached {
    /// Takes note of the last offset of each partition in a stretch of a batch.
    fn pass(&mut self, batch: &BatchReader<'_>, stretch: std::ops::Range<usize>) {
        let place = |record| Some((batch.source_partition(record)?, batch.source_offset(record)?));
        let mut places = stretch.filter_map(place).peekable();
        while let Some((partition, offset)) = places.next() {
            // Neighbours mostly share their partition, and only the last of them counts.
            if places.peek().is_some_and(|(next, _)| *next == partition) {
                continue;
            }
            match self.0.get_mut(partition) {
                Some(known) => offset.clone_into(known),
                None => drop(self.0.insert(partition.to_owned(), offset.to_owned())),
            }
        }
    }

    fn take(&mut self) -> Vec<Committable> {
        let partitions = std::mem::take(&mut self.0);
        partitions.into_iter().map(|(partition, offset)| Committable { partition, offset }).collect()
    }
}

/// What a connector with an offsets topic of its own has committed, on its way into the worker's: there it is only shown,
/// as by Kafka Connect. Never written back in time.
struct Mirror {
    offsets: ConnectorOffsets,
    flush: FlushTimes,
    /// Not stored yet.
    newest: BTreeMap<String, String>,
    storing: Option<JoinHandle<Result<(), String>>>,
    at: Instant,
}

impl Mirror {
    fn new(offsets: ConnectorOffsets, flush: FlushTimes) -> Mirror {
        Mirror { offsets, flush, newest: BTreeMap::new(), storing: None, at: Instant::now() + flush.interval }
    }

    fn note(&mut self, offsets: &[Committable]) {
        if self.offsets.own.is_some() {
            self.newest.extend(offsets.iter().map(|at| (at.partition.clone(), at.offset.clone())));
        }
    }

    /// Whether something is to be stored, and nothing is being stored.
    fn is_wanted(&self) -> bool {
        !self.newest.is_empty() && self.storing.is_none()
    }

    fn begin(&mut self) {
        self.at = Instant::now() + self.flush.interval;
        let newest = std::mem::take(&mut self.newest);
        let wanted: Vec<_> = newest.into_iter().map(|(partition, offset)| Committable { partition, offset }).collect();
        let (offsets, timeout) = (self.offsets.clone(), self.flush.timeout);
        self.storing = Some(tokio::task::spawn_blocking(move || {
            offsets.show(&wanted, timeout).map_err(|error| error.to_string())
        }));
    }

    /// What became of it; never ready when nothing is being stored.
    async fn stored(&mut self) -> Result<(), String> {
        let Some(storing) = &mut self.storing else { return std::future::pending().await };
        let stored = std::pin::Pin::new(storing).await;
        self.storing = None;
        stored.unwrap_or_else(|crash| Err(format!("storing offsets crashed: {crash}")))
    }
}
