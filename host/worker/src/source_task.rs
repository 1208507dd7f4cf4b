//! A source task: records from a guest through the chain and converters into Kafka.
//!
//! Three things overlap: the guest polls the next batch on the engine's threads, the task transforms and encodes the one
//! before, and the producer's thread writes those before that. Offsets are committed up to the longest prefix of each
//! source partition that Kafka has acknowledged.

use std::collections::BTreeMap;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tidegate_engine::{CallError, InstanceSpec, Payload, SourceInstance, SourceOffset};
use tidegate_herder::{Failure, Instance, Reporter, Target, TaskSpec};
use tidegate_record::batch::{BatchReader, batch_from_json};
use tidegate_record::offset::{BatchId, Committable, OffsetTracker};
use tidegate_record::view::{View, Workspace, Written as Part};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::chain::Chain;
use crate::connector::failure;
use crate::control::{self, Command, TaskHandle};
use crate::conversion::Conversion;
use crate::dead_letters::{Letter, Place};
use crate::errors::Errors;
use crate::instances::{Owner, TaskSchemas, guest_config, hooks};
use crate::metrics::{TaskId, TaskKind, TaskMetrics};
use crate::offsets::{ConnectorOffsets, OffsetError};
use crate::outbox::{Encoded, EncodedRecord, Outbox, Report, Written};
use crate::payload;
use crate::plan::ConnectorPlan;
use crate::policy::Backoff;
use crate::shared::Shared;
use crate::topic_creation::Topics;

/// Records in a batch where nobody says otherwise.
const BATCH_RECORDS: u32 = 2_000;
/// About how many bytes of keys and values a poll should bring.
const BATCH_BYTES: u32 = 512 << 10;
/// How long a guest may wait for something to come.
const POLL_WAIT_MS: u32 = 100;
/// Pause after a poll that brought nothing.
const IDLE_PAUSE: Duration = Duration::from_millis(20);
/// With so many batches that are not acknowledged no poll begins; one may be under way.
const OPEN_BATCHES_MAX: usize = 32;

/// Pause after offsets could not be stored.
const FLUSH_PAUSE: Duration = Duration::from_secs(1);

/// Where the guest is.
enum Guest {
    /// Here; polled again at this time.
    Idle(Box<SourceInstance>, Instant),
    /// On the engine's threads.
    Polling(Polling),
    /// Here, and it has nothing more.
    Ended(Box<SourceInstance>),
    /// To be replaced, not before this time, once everything is acknowledged and committed. None: it is gone already.
    Retiring(Option<Box<SourceInstance>>, Instant),
    /// A successor is being made on the engine's threads.
    Starting(Starting),
    /// Between two states; nobody sees this.
    Away,
}

type Polled = (Box<SourceInstance>, Result<Payload, CallError>);
type Started = Result<Box<SourceInstance>, CallError>;

/// A poll under way. Dropping it drops the call.
struct Polling(JoinHandle<Polled>);

/// A start under way. Dropping it drops the call.
struct Starting(JoinHandle<Started>);

impl Drop for Polling {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What comes back from the engine's threads.
enum Heard {
    Polled(Polled),
    Started(Started),
}

/// Offsets on their way into the store.
struct Flush {
    storing: JoinHandle<Result<(), OffsetError>>,
    taken: Vec<Committable>,
}

struct SourceTask {
    shared: Arc<Shared>,
    name: String,
    plan: ConnectorPlan,
    guest_config: tidegate_engine::Config,
    instance: InstanceSpec,
    guest: Guest,
    chain: Chain,
    errors: Errors,
    conversion: Conversion,
    schemas: Arc<TaskSchemas>,
    workspace: Option<Workspace>,
    topics: Topics,
    outbox: Outbox<BatchId>,
    reports: mpsc::UnboundedReceiver<Report<BatchId>>,
    open_batches: usize,
    tracker: OffsetTracker,
    offsets: ConnectorOffsets,
    flush: Option<Flush>,
    flush_at: Instant,
    flush_interval: Duration,
    /// Storing failed a moment ago.
    flush_not_before: Instant,
    /// Offsets that became durable and that the guest was not told about yet.
    news: Vec<SourceOffset>,
    metrics: Arc<TaskMetrics>,
    backoff: Backoff,
    is_paused: bool,
}

/// Why the loop ended.
enum End {
    Stopped(Duration, oneshot::Sender<()>),
    Failed(Failure),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> End {
        End::Failed(failure)
    }
}

/// Makes guest and producer and lets the task run. Ready when the guest has started.
pub(crate) async fn start(shared: Arc<Shared>, spec: TaskSpec, reporter: Reporter) -> Result<TaskHandle, Failure> {
    let (handle, mut control) = control::channel();
    let mut task = SourceTask::make(shared, &spec).await?;
    let engine = task.shared.engine.clone();
    engine.spawn(async move {
        // The loop borrows the commands; being killed is watched beside it.
        let mut commands = std::mem::replace(&mut control.commands, mpsc::channel(1).1);
        let ended = Box::pin(control.unless_killed(task.run(&mut commands))).await;
        match ended {
            Ok(End::Stopped(grace, done)) => {
                let parting = Box::pin(control.unless_killed(task.part()));
                if tokio::time::timeout(grace, parting).await.is_err() {
                    tracing::warn!(task = task.name, "the task did not stop within the grace");
                }
                drop(task);
                let _ = done.send(());
            }
            Ok(End::Failed(failure)) => {
                task.save().await;
                drop(task);
                reporter.failed(failure).await;
            }
            Err(_killed) => {}
        }
    });
    Ok(handle)
}

impl SourceTask {
    async fn make(shared: Arc<Shared>, spec: &TaskSpec) -> Result<SourceTask, Failure> {
        let key = &spec.run.subject.connector;
        let Instance::Task(task) = spec.run.subject.instance else {
            return Err(Failure::fatal("a connector instance was started as a task"));
        };
        let name = format!("{key}-{task}");
        let settings = spec.config.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let plan = ConnectorPlan::recall(&shared, &settings, &spec.plugins)
            .await
            .map_err(|problems| Failure::invalid(crate::host::all_problems(&problems)))?;
        let task_settings = spec.task_config.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();

        let metrics = shared.metrics.task(TaskId { connector: key.name.clone(), task }, TaskKind::Source);
        let schemas = TaskSchemas::new();
        let offsets = ConnectorOffsets { connector: key.name.clone(), store: shared.offsets.clone() };
        let hooks = hooks(&name, Some(metrics.clone()), schemas.clone(), Some(offsets.clone()));
        let owner = Owner { tenant: &key.tenant, connector: &key.name, name: name.clone() };
        let chain =
            Chain::make(&shared.instances, &owner, &plan, hooks.clone(), schemas.clone(), metrics.clone()).await?;
        let errors = Errors::of(&shared, &plan, (&key.name, task), metrics.clone()).await?;
        let conversion =
            Conversion::make(&shared.instances, &owner, &plan.converters, plan.config.sandbox, &hooks, schemas.clone())
                .await?;
        let bound = &plan.connector;
        let instance = shared
            .instances
            .spec(&owner, &bound.component, &bound.definition, &task_settings, plan.config.sandbox, hooks)
            .map_err(Failure::invalid)?;
        let guest_config = guest_config(&task_settings);
        let guest = new_guest(&plan, &instance, &guest_config).await.map_err(|error| failure(&error))?;

        let client = shared
            .producer(&plan.config.original, &format!("connector-producer-{name}"))
            .map_err(|invalid| Failure::invalid(crate::host::all_problems(&invalid.problems)))?;
        let (outbox, reports) =
            Outbox::open(&name, &client, OPEN_BATCHES_MAX + 1).map_err(|error| Failure::fatal(error.to_string()))?;
        let flush_interval = shared.flush_interval(&plan.config);
        let topics = Topics::of(&shared, &plan, &name)?;
        Ok(SourceTask {
            guest: Guest::Idle(guest, Instant::now()),
            workspace: Some(Workspace::default()),
            open_batches: 0,
            tracker: OffsetTracker::new(),
            flush: None,
            flush_at: Instant::now() + flush_interval,
            flush_not_before: Instant::now(),
            news: Vec::new(),
            backoff: Backoff::default(),
            is_paused: spec.target == Target::Paused,
            shared,
            name,
            plan,
            guest_config,
            instance,
            chain,
            errors,
            conversion,
            schemas,
            topics,
            outbox,
            reports,
            offsets,
            flush_interval,
            metrics,
        })
    }

    async fn run(&mut self, commands: &mut mpsc::Receiver<Command>) -> End {
        loop {
            self.poll_if_due();
            self.replace_if_due();
            let due = self.due();
            let step = tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(Command::Stop(grace, done)) => return End::Stopped(grace, done),
                    Some(Command::Pause(done)) => { self.is_paused = true; let _ = done.send(()); Ok(()) }
                    Some(Command::Resume(done)) => { self.is_paused = false; let _ = done.send(()); Ok(()) }
                    // Every handle is gone: nobody wants the task any more.
                    None => return End::Stopped(Duration::ZERO, oneshot::channel().0),
                },
                report = self.reports.recv() => self.hear(report),
                stored = flushed(&mut self.flush) => self.flushed(stored),
                heard = heard(&mut self.guest) => match heard {
                    Ok(Heard::Polled((guest, answer))) => self.polled(guest, answer).await,
                    Ok(Heard::Started(started)) => self.started(started),
                    Err(crash) => Err(crash),
                },
                () = sleep_until(due.unwrap_or(self.flush_at)), if due.is_some() => Ok(()),
                () = sleep_until(self.flush_at), if self.flush.is_none() => { self.begin_flush(); Ok(()) }
            };
            if let Err(failure) = step {
                return End::Failed(failure);
            }
        }
    }

    /// When the guest is to be polled or replaced, if it waits for a time.
    fn due(&self) -> Option<Instant> {
        match &self.guest {
            Guest::Idle(_, at) if self.may_poll() => Some(*at),
            Guest::Retiring(_, at) if self.is_quiet() => Some((*at).max(self.flush_not_before)),
            _ => None,
        }
    }

    /// Whether nothing that was polled is under way, into Kafka or into the store of offsets.
    fn is_quiet(&self) -> bool {
        self.open_batches == 0 && self.flush.is_none()
    }

    fn may_poll(&self) -> bool {
        !self.is_paused && self.open_batches < OPEN_BATCHES_MAX
    }

    fn poll_if_due(&mut self) {
        if !self.may_poll() {
            return;
        }
        match std::mem::replace(&mut self.guest, Guest::Away) {
            Guest::Idle(mut guest, at) if at <= Instant::now() => {
                let records = self.plan.config.batch_size.unwrap_or(BATCH_RECORDS);
                let news = std::mem::take(&mut self.news);
                let name = self.name.clone();
                let polling = self.shared.engine.spawn(async move {
                    if !news.is_empty()
                        && let Err(error) = guest.commit(&news).await
                    {
                        tracing::warn!(task = name, "the source did not take note of committed offsets: {error}");
                    }
                    let answer = guest.poll(records, BATCH_BYTES, POLL_WAIT_MS).await;
                    (guest, answer)
                });
                self.guest = Guest::Polling(Polling(polling));
            }
            other => self.guest = other,
        }
    }

    async fn polled(&mut self, guest: Box<SourceInstance>, answer: Result<Payload, CallError>) -> Result<(), Failure> {
        let now = Instant::now();
        match answer {
            Ok(payload) => {
                self.backoff = Backoff::default();
                let is_tired = guest.wants_recycling().is_some();
                // The next poll begins before this batch is worked on, so that both go on at once.
                self.guest = if is_tired { Guest::Retiring(Some(guest), now) } else { Guest::Idle(guest, now) };
                self.poll_if_due();
                let records = self.process(payload).await?;
                let pause = self.pause_between_polls();
                if records == 0
                    && let Guest::Idle(_, at) = &mut self.guest
                {
                    *at = now + pause;
                }
                Ok(())
            }
            Err(CallError::EndOfInput) => {
                self.guest = Guest::Ended(guest);
                self.begin_flush();
                Ok(())
            }
            Err(CallError::Retriable { message, after }) => {
                tracing::warn!(task = self.name, "the source is polled again: {message}");
                self.metrics.retried();
                self.guest = Guest::Idle(guest, now + self.wait(after));
                Ok(())
            }
            Err(CallError::ConnectionLost(message)) => {
                tracing::warn!(task = self.name, "connection lost: {message}");
                self.guest = Guest::Retiring(Some(guest), now + self.wait(Duration::ZERO));
                self.begin_flush();
                Ok(())
            }
            Err(error) => Err(failure(&error)),
        }
    }

    fn wait(&mut self, asked: Duration) -> Duration {
        let max = Duration::from_millis(self.plan.config.errors.retry_delay_max_ms);
        self.backoff.next(asked, max, fastrand::f64())
    }

    fn pause_between_polls(&self) -> Duration {
        self.plan.config.poll_interval_ms.map_or(IDLE_PAUSE, Duration::from_millis)
    }

    /// Transforms and encodes a batch and gives it to the producer. Answers how many records it had.
    async fn process(&mut self, payload: Payload) -> Result<usize, Failure> {
        let malformed = |error| Failure::fatal(format!("the source returned a malformed batch: {error}"));
        let arena = match payload {
            Payload::Arena(arena) => arena,
            Payload::Json(text) => batch_from_json(&text, &self.schemas.lock()).map_err(malformed)?,
        };
        let batch = BatchReader::parse(&arena).map_err(malformed)?;
        batch.check_schemas(&self.schemas.lock()).map_err(malformed)?;
        if batch.is_empty() {
            return Ok(0);
        }
        let offset_of = |record| Some((batch.source_partition(record)?, batch.source_offset(record)?));
        let id = self.tracker.submit((0..batch.len()).map(offset_of));
        self.metrics.read(batch.len(), arena.len());

        let mut view = self.conversion.view(self.workspace.take().unwrap_or_default());
        view.push_batch(&batch, &self.schemas.lock());
        self.chain.run(&mut view).await.map_err(|error| failure(&error))?;
        self.conversion.write(&mut view).await.map_err(|error| failure(&error))?;
        let mut encoded = Encoded::new(id, arena.len());
        encoded.records.reserve(view.len());
        self.encode(&mut view, &mut encoded);
        let letters = self.originals(&batch, &view);
        self.errors.judge(&view, self.chain.culprits(), |record| original(&letters, &batch, &view, record)).await?;
        self.errors.settle().await?;
        let mut dropped = 0;
        for record in (0..view.len()).filter(|&record| !view.is_live(record)) {
            dropped += usize::from(view.is_dropped(record));
            let _ = self.tracker.made(id, record, 0);
        }
        self.metrics.filtered(dropped);
        self.workspace = Some(view.into_workspace());
        let records = batch.len();
        if !encoded.records.is_empty() {
            self.topics.ensure(&encoded.topics).await?;
            self.open_batches += 1;
            self.outbox.send(encoded).map_err(|_| Failure::retriable("the producer has ended"))?;
        }
        Ok(records)
    }

    fn encode(&self, view: &mut View<'_>, out: &mut Encoded<BatchId>) {
        let schemas = self.schemas.lock();
        let converters = self.conversion.converters;
        for &row in view.rows().records() {
            let record = row as usize;
            let key = view.write_key(record, converters.key, &schemas, &mut out.bytes);
            let value = view.write_value(record, converters.value, &schemas, &mut out.bytes);
            let first = out.headers.len();
            if view.header_count(record) > 0 {
                let Some(headers) = view.write_headers(record, converters.header, &schemas) else { continue };
                headers.iter().for_each(|(name, value)| out.push_header(name, value.as_deref()));
            }
            let (Some(key), Some(value)) = (part(key), part(value)) else { continue };
            let topic = out.topic(view.topic(record));
            out.records.push(EncodedRecord {
                index: row,
                topic,
                partition: (view.partition(record) >= 0).then(|| view.partition(record)),
                timestamp: (view.timestamp(record) >= 0).then(|| view.timestamp(record)),
                key,
                value,
                headers: first..out.headers.len(),
            });
        }
    }

    /// The failed records of a view as they would have been written without the chain, for the dead letter queue. What the
    /// converters cannot write either is written as JSON, in the form of `wit/BATCH.md`.
    fn originals(&self, batch: &BatchReader<'_>, view: &View<'_>) -> BTreeMap<usize, Original> {
        if !self.errors.keeps_letters() || view.failures().next().is_none() {
            return BTreeMap::new();
        }
        let schemas = self.schemas.lock();
        let converters = self.conversion.converters;
        let mut plain = self.conversion.view(Workspace::default());
        plain.push_batch(batch, &schemas);
        let mut originals = BTreeMap::new();
        for (record, _) in view.failures() {
            let mut bytes = Vec::new();
            let key = part(plain.write_key(record, converters.key, &schemas, &mut bytes));
            let value = part(plain.write_value(record, converters.value, &schemas, &mut bytes));
            let headers = plain
                .write_headers(record, converters.header, &schemas)
                .map(|headers| headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Vec<_>>());
            let owned = |range: Option<Range<usize>>| range.map(|range| bytes[range].to_vec());
            let original = match (key, value, headers) {
                (Some(key), Some(value), Some(headers)) => Original { key: owned(key), value: owned(value), headers },
                _ => Original { key: None, value: payload::record_json(batch, record), headers: Vec::new() },
            };
            originals.insert(record, original);
        }
        originals
    }

    /// What the producer's thread says.
    fn hear(&mut self, report: Option<Report<BatchId>>) -> Result<(), Failure> {
        match report {
            Some(Report::Written(written)) => self.written(written),
            Some(Report::Broken(error)) => Err(Failure::retriable(format!("the producer is broken: {error}"))),
            None => Err(Failure::retriable("the producer has ended")),
        }
    }

    fn written(&mut self, Written { id, records, failures }: Written<BatchId>) -> Result<(), Failure> {
        self.open_batches -= 1;
        self.metrics.written(records - failures.len());
        let Some((_, first)) = failures.first() else {
            self.tracker.acknowledge_batch(id);
            return Ok(());
        };
        self.metrics.failed(failures.len());
        if !self.plan.config.errors.tolerate_all {
            return Err(Failure::fatal(format!(
                "a record was not written: {}\nhint: nothing after it counts as delivered; the task goes on from there \
                 when it is restarted",
                first.to_error("producing")
            )));
        }
        for (record, failure) in &failures {
            tracing::error!(task = self.name, record, "a record was not written: {}", failure.to_error("producing"));
        }
        self.metrics.skipped(failures.len());
        self.tracker.acknowledge_batch(id);
        Ok(())
    }

    /// Begins to store what is committable, unless that is under way or there is nothing.
    fn begin_flush(&mut self) {
        self.flush_at = Instant::now() + self.flush_interval;
        if self.flush.is_some() {
            return;
        }
        let taken = self.tracker.take();
        if taken.is_empty() {
            return;
        }
        let writes: Vec<_> = taken
            .iter()
            .map(|offset| (self.offsets.key(&offset.partition), Some(offset.offset.clone().into_bytes())))
            .collect();
        let (store, timeout) = (self.offsets.store.clone(), self.shared.flush_timeout());
        let storing = tokio::task::spawn_blocking(move || store.store(&writes, timeout));
        self.flush = Some(Flush { storing, taken });
    }

    fn flushed(&mut self, (taken, stored): (Vec<Committable>, Result<(), String>)) -> Result<(), Failure> {
        match stored {
            Ok(()) => self
                .news
                .extend(taken.into_iter().map(|at| SourceOffset { partition: at.partition, offset: Some(at.offset) })),
            Err(error) => {
                tracing::warn!(task = self.name, "offsets were not committed: {error}");
                self.tracker.restore(taken);
                self.flush_not_before = Instant::now() + FLUSH_PAUSE;
                self.flush_at = self.flush_at.min(self.flush_not_before);
            }
        }
        Ok(())
    }

    /// A guest that is to be replaced is, once nothing of its is under way: its successor starts from what is committed.
    fn replace_if_due(&mut self) {
        if !matches!(self.guest, Guest::Retiring(..)) || !self.is_quiet() || Instant::now() < self.flush_not_before {
            return;
        }
        self.begin_flush();
        match std::mem::replace(&mut self.guest, Guest::Away) {
            Guest::Retiring(old, at) if at <= Instant::now() && self.is_quiet() => {
                self.tracker.clear();
                self.news.clear();
                let successor = new_guest(&self.plan, &self.instance, &self.guest_config);
                self.guest = Guest::Starting(Starting(self.shared.engine.spawn(async move {
                    if let Some(mut old) = old {
                        // How it takes its leave changes nothing.
                        let _ = old.stop().await;
                    }
                    successor.await
                })));
            }
            other => self.guest = other,
        }
    }

    fn started(&mut self, started: Started) -> Result<(), Failure> {
        match started {
            Ok(guest) => {
                self.metrics.recycled();
                self.guest = Guest::Idle(guest, Instant::now());
                Ok(())
            }
            Err(error @ (CallError::ConnectionLost(_) | CallError::Retriable { .. } | CallError::Unavailable(_))) => {
                let asked = if let CallError::Retriable { after, .. } = &error { *after } else { Duration::ZERO };
                tracing::warn!(task = self.name, "the source is connected to again: {error}");
                self.metrics.retried();
                self.guest = Guest::Retiring(None, Instant::now() + self.wait(asked));
                Ok(())
            }
            Err(error) => Err(failure(&error)),
        }
    }

    /// The end on request: what is under way is written, its offsets committed, the guest stopped.
    async fn part(&mut self) {
        let mut guest = match std::mem::replace(&mut self.guest, Guest::Away) {
            Guest::Idle(guest, _) | Guest::Ended(guest) => Some(guest),
            Guest::Retiring(guest, _) => guest,
            polling @ Guest::Polling(_) => {
                self.guest = polling;
                match heard(&mut self.guest).await {
                    Ok(Heard::Polled((guest, answer))) => {
                        if let Ok(payload) = answer
                            && let Err(failure) = self.process(payload).await
                        {
                            tracing::warn!(task = self.name, "the last batch was not written: {}", failure.trace);
                        }
                        Some(guest)
                    }
                    _ => None,
                }
            }
            Guest::Starting(_) | Guest::Away => None,
        };
        while self.open_batches > 0 {
            let report = self.reports.recv().await;
            if let Err(failure) = self.hear(report) {
                tracing::warn!(task = self.name, "the task stopped, but not cleanly: {}", failure.trace);
                break;
            }
        }
        self.save().await;
        if let Some(guest) = &mut guest {
            if !self.news.is_empty() {
                let _ = guest.commit(&self.news).await;
            }
            if let Err(error) = guest.stop().await {
                tracing::warn!(task = self.name, "the source did not stop cleanly: {error}");
            }
        }
    }

    /// Commits what can be committed.
    async fn save(&mut self) {
        loop {
            if self.flush.is_some() {
                let stored = flushed(&mut self.flush).await;
                let failed = stored.1.is_err();
                let _ = self.flushed(stored);
                if failed {
                    return;
                }
            }
            self.begin_flush();
            if self.flush.is_none() {
                return;
            }
        }
    }
}

/// A polled record as it would have been written without the chain.
struct Original {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

fn original<'l>(
    originals: &'l BTreeMap<usize, Original>,
    batch: &'l BatchReader<'_>,
    view: &'l View<'_>,
    record: usize,
) -> Letter<'l> {
    let source = batch.source_partition(record).zip(batch.source_offset(record));
    let place = Place::Polled { topic: view.original(record).0, source };
    let timestamp = batch.timestamp(record);
    match originals.get(&record) {
        None => Letter { place, timestamp, key: None, value: None, headers: Vec::new() },
        Some(original) => Letter {
            place,
            timestamp,
            key: original.key.as_deref(),
            value: original.value.as_deref(),
            headers: original.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect(),
        },
    }
}

/// Makes and starts a guest. Borrows nothing, so that it can run elsewhere.
fn new_guest(
    plan: &ConnectorPlan,
    instance: &InstanceSpec,
    config: &tidegate_engine::Config,
) -> impl Future<Output = Started> + Send + use<> {
    let (component, instance, config) = (plan.connector.component.clone(), instance.clone(), config.clone());
    async move {
        let mut guest = SourceInstance::new(&component.plugin, &instance).await?;
        guest.start(&config).await?;
        Ok(Box::new(guest))
    }
}

/// What becomes of a poll or a start under way; never ready when there is none.
async fn heard(guest: &mut Guest) -> Result<Heard, Failure> {
    let heard = match guest {
        Guest::Polling(polling) => Pin::new(&mut polling.0).await.map(Heard::Polled),
        Guest::Starting(starting) => Pin::new(&mut starting.0).await.map(Heard::Started),
        _ => return std::future::pending().await,
    };
    *guest = Guest::Away;
    heard.map_err(|error| Failure::fatal(format!("a call of the source crashed: {error}")))
}

/// What became of a flush under way; never ready when there is none.
async fn flushed(flush: &mut Option<Flush>) -> (Vec<Committable>, Result<(), String>) {
    let Some(under_way) = flush else { return std::future::pending().await };
    let stored = Pin::new(&mut under_way.storing).await;
    let taken = flush.take().map(|flush| flush.taken).unwrap_or_default();
    match stored {
        Ok(Ok(())) => (taken, Ok(())),
        Ok(Err(error)) => (taken, Err(error.to_string())),
        Err(crash) => (taken, Err(format!("storing offsets crashed: {crash}"))),
    }
}

/// None: the record has failed.
fn part(written: Part) -> Option<Option<std::ops::Range<usize>>> {
    match written {
        Part::Null => Some(None),
        Part::Bytes(range) => Some(Some(range)),
        Part::Failed => None,
    }
}
