//! A sink task: records from Kafka through converters and chain into a guest.
//!
//! The task is one thread that owns the consumer. It reads and transforms the next batch while the guest, on the engine's
//! threads, delivers the one before; librdkafka fetches ahead meanwhile. One batch is under way at a time, so order is
//! kept, and everything that concerns offsets first waits for it ("settles").

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_config::Encoding;
use tidegate_config::connector::{Direction, Topics};
use tidegate_engine::{CallError, InstanceSpec, Outcome, Payload, Position, SinkInstance, SinkRequest};
use tidegate_herder::{Failure, Instance, Reporter, TaskSpec};
use tidegate_kafka::{
    Consumer, KafkaError, MessageBatch, PartitionOffset, Polled, Rebalance, RebalanceKind, StartOffset, Subscription,
    Timestamp, TopicPartition,
};
use tidegate_record::batch::{self, BatchWriter};
use tidegate_record::view::{Message, Rows, View, Workspace};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::chain::Chain;
use crate::connector::failure;
use crate::control::{self, Command, Control, Killed, TaskHandle};
use crate::dead_letters::{Letter, Place};
use crate::errors::Errors;
use crate::instances::{Owner, TaskSchemas, guest_config, hooks};
use crate::metrics::{TaskId, TaskKind, TaskMetrics};
use crate::payload;
use crate::plan::ConnectorPlan;
use crate::policy::Backoff;
use crate::shared::Shared;

/// Records in a batch where nobody says otherwise.
const BATCH_RECORDS: usize = 1_000;
/// How long a poll waits for records: also how soon a command is noticed.
const POLL_WAIT: Duration = Duration::from_millis(50);
/// A sink that gets nothing is called this often, so that it can flush by time.
const TICK: Duration = Duration::from_secs(1);
/// Without polling for this long a waiting task shows the group that it is alive.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// How long commits and the farewell to the group may take.
const KAFKA_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the task's loop ended before its time.
enum End {
    Failed(Failure),
    Killed,
    Stopped,
}

impl From<Failure> for End {
    fn from(failure: Failure) -> End {
        End::Failed(failure)
    }
}

impl From<Killed> for End {
    fn from(_: Killed) -> End {
        End::Killed
    }
}

impl From<KafkaError> for End {
    fn from(error: KafkaError) -> End {
        End::Failed(Failure::retriable(error.to_string()))
    }
}

type Step<T> = Result<T, End>;

/// A batch that the guest is delivering.
struct UnderWay {
    put: JoinHandle<Delivered>,
    /// Where the consumer stands once it is accepted.
    positions: Vec<PartitionOffset>,
    /// None: the batch is a tick, without records.
    records: Option<Records>,
}

/// What a batch under way was made of.
struct Records {
    messages: MessageBatch,
    /// Which of the messages are in the batch, in its order.
    rows: Rows,
    /// How many of the rows the guest has taken already.
    taken: usize,
}

impl Records {
    fn left(&self) -> usize {
        self.rows.len() - self.taken
    }
}

/// What comes back from the engine's threads: the guest, the batch in case it must be delivered again, and the answer.
struct Delivered {
    guest: SinkInstance,
    batch: Payload,
    answer: Result<Outcome, CallError>,
}

struct SinkTask {
    shared: Arc<Shared>,
    name: String,
    plan: ConnectorPlan,
    guest_config: tidegate_engine::Config,
    instance: InstanceSpec,
    /// None while it delivers.
    guest: Option<SinkInstance>,
    under_way: Option<UnderWay>,
    chain: Chain,
    errors: Errors,
    schemas: Arc<TaskSchemas>,
    workspace: Option<Workspace>,
    writer: BatchWriter,
    consumer: Consumer,
    control: Control,
    runtime: Handle,
    metrics: Arc<TaskMetrics>,
    batch_records: usize,
    is_paused: bool,
    /// Next offsets of what the guest has accepted, by partition.
    accepted: BTreeMap<(String, i32), i64>,
    committed: BTreeMap<(String, i32), i64>,
    flush_interval: Duration,
    commit_at: Instant,
    called_at: Instant,
    polled_at: Instant,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
}

/// Makes the guest, joins the group and starts the thread. Ready when the guest has started.
pub(crate) async fn start(shared: Arc<Shared>, spec: TaskSpec, reporter: Reporter) -> Result<TaskHandle, Failure> {
    let (handle, control) = control::channel();
    let task = SinkTask::make(shared, &spec, control).await?;
    let runtime = task.runtime.clone();
    std::thread::Builder::new()
        .name(format!("sink {}", task.name))
        .spawn(move || {
            if let Err(failure) = task.run() {
                runtime.block_on(reporter.failed(failure));
            }
        })
        .map_err(|error| Failure::retriable(format!("the task's thread cannot be started: {error}")))?;
    Ok(handle)
}

impl SinkTask {
    async fn make(shared: Arc<Shared>, spec: &TaskSpec, control: Control) -> Result<SinkTask, Failure> {
        let key = &spec.run.subject.connector;
        let Instance::Task(task) = spec.run.subject.instance else {
            return Err(Failure::fatal("a connector instance was started as a task"));
        };
        let name = format!("{key}-{task}");
        let settings = spec.config.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let plan = ConnectorPlan::recall(&shared, &settings, &spec.plugins)
            .await
            .map_err(|problems| Failure::fatal(crate::host::first_problem(&problems)))?;
        let task_settings = spec.task_config.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();

        let metrics = shared.metrics.task(TaskId { connector: key.name.clone(), task }, TaskKind::Sink);
        let schemas = TaskSchemas::new();
        let hooks = hooks(&name, Some(metrics.clone()), schemas.clone(), None);
        let owner = Owner { tenant: &key.tenant, connector: &key.name, name: name.clone() };
        let chain = Chain::make(&shared, &owner, &plan, hooks.clone(), schemas.clone(), metrics.clone()).await?;
        let errors = Errors::of(&shared, &plan, (&key.name, task), metrics.clone()).await?;
        let bound = &plan.connector;
        let instance = shared
            .instances
            .spec(&owner, &bound.component, &bound.definition, &task_settings, plan.config.sandbox, hooks)
            .map_err(Failure::fatal)?;
        let mut guest = SinkInstance::new(&bound.component.plugin, &instance).await.map_err(|error| failure(&error))?;
        let guest_config = guest_config(&task_settings);
        guest.start(&guest_config).await.map_err(|error| failure(&error))?;

        let (client, translated) = shared
            .consumer(&plan.config.original, &format!("connect-{}", key.name), &format!("connector-consumer-{name}"))
            .map_err(|invalid| Failure::fatal(crate::host::first_problem(&invalid.problems)))?;
        let mut consumer = Consumer::open(&client).map_err(|error| Failure::fatal(error.to_string()))?;
        subscribe(&mut consumer, &plan).map_err(|error| Failure::fatal(error.to_string()))?;

        let now = Instant::now();
        let encoding = encoding(bound.definition.encoding);
        let flush_interval = shared.flush_interval(&plan.config);
        let asked = plan.config.batch_size.or(translated.max_poll_records).map(|records| records as usize);
        Ok(SinkTask {
            runtime: shared.engine.handle().clone(),
            batch_records: asked.unwrap_or(BATCH_RECORDS).clamp(1, batch_records_max()),
            workspace: Some(Workspace::default()),
            writer: BatchWriter::new(encoding, encoding),
            guest: Some(guest),
            under_way: None,
            is_paused: spec.target == tidegate_herder::Target::Paused,
            accepted: BTreeMap::new(),
            committed: BTreeMap::new(),
            commit_at: now + flush_interval,
            called_at: now,
            polled_at: now,
            stop: None,
            shared,
            name,
            plan,
            guest_config,
            instance,
            chain,
            errors,
            schemas,
            consumer,
            control,
            metrics,
            flush_interval,
        })
    }

    /// The task's whole life. An error is reported as its failure.
    fn run(mut self) -> Result<(), Failure> {
        let end = loop {
            if let Err(end) = self.turn() {
                break end;
            }
        };
        let done = self.stop.take();
        let outcome = match end {
            End::Stopped => {
                if let Err(End::Failed(failure)) = self.part() {
                    tracing::warn!(task = self.name, "the task stopped, but not cleanly: {}", failure.trace);
                }
                Ok(())
            }
            End::Killed => Ok(()),
            End::Failed(failure) => Err(failure),
        };
        let _ = self.consumer.close(KAFKA_TIMEOUT);
        if let Some(done) = done {
            let _ = done.send(());
        }
        outcome
    }

    /// One time round: commands, then records or whatever else the consumer brings, then what is due by time.
    fn turn(&mut self) -> Step<()> {
        self.obey()?;
        self.polled_at = Instant::now();
        match self.consumer.poll(self.batch_records, POLL_WAIT)? {
            Polled::Records(batch) if batch.is_empty() => self.settle()?,
            Polled::Records(batch) => self.deliver(batch)?,
            Polled::Rebalance(rebalance) => self.rebalance(rebalance)?,
            Polled::EndOfPartition { .. } => {}
            Polled::Trouble(error) => tracing::warn!(task = self.name, "{error}"),
        }
        for result in self.consumer.take_commit_results() {
            if let Err(error) = result {
                tracing::warn!(task = self.name, "offsets were not committed: {error}");
                self.committed.clear();
            }
        }
        let now = Instant::now();
        if now >= self.commit_at {
            self.commit(false)?;
        }
        if !self.is_paused && !self.accepted.is_empty() && now.duration_since(self.called_at) >= TICK {
            self.settle()?;
            let tick = self.empty_batch()?;
            self.put(tick, Vec::new(), None)?;
        }
        Ok(())
    }

    fn obey(&mut self) -> Step<()> {
        if self.control.is_killed() {
            return Err(End::Killed);
        }
        while let Ok(command) = self.control.commands.try_recv() {
            match command {
                Command::Pause(reply) => {
                    self.commit(false)?;
                    self.is_paused = true;
                    self.consumer.pause(&self.consumer.assignment()?)?;
                    let _ = reply.send(());
                }
                Command::Resume(reply) => {
                    self.is_paused = false;
                    self.consumer.resume(&self.consumer.assignment()?)?;
                    let _ = reply.send(());
                }
                Command::Stop(_, reply) => {
                    self.stop = Some(reply);
                    return Err(End::Stopped);
                }
            }
        }
        Ok(())
    }

    /// Decodes and transforms a batch while the one before is delivered, then hands it over.
    fn deliver(&mut self, batch: MessageBatch) -> Step<()> {
        let positions = positions_after(&batch);
        let workspace = self.workspace.take().unwrap_or_default();
        let mut view = View::new(workspace, self.plan.converters.json);
        let bytes = fill(&mut view, &batch, &self.plan.converters.converters, &self.schemas);
        self.metrics.read(batch.len(), bytes);
        let applied = self.runtime.block_on(self.control.unless_killed(self.chain.run(&mut view)))?;
        applied.map_err(|error| failure(&error))?;

        let rows = view.rows();
        let (key, value) = self.encodings();
        self.writer.clear();
        let rows = view.write_batch(&rows, key, value, &self.schemas.lock(), &mut self.writer);
        let dropped = (0..view.len()).filter(|&record| view.is_dropped(record)).count();
        self.metrics.filtered(dropped);
        self.errors.judge(&view, &self.chain, |record| letter(batch.get(record)))?;
        self.workspace = Some(view.into_workspace());

        self.settle()?;
        if rows.is_empty() {
            self.accept(positions);
            return Ok(());
        }
        let payload = self.finish_batch()?;
        self.put(payload, positions, Some(Records { messages: batch, rows, taken: 0 }))
    }

    fn encodings(&self) -> (batch::Encoding, batch::Encoding) {
        let encoding = encoding(self.plan.connector.definition.encoding);
        (encoding, encoding)
    }

    fn empty_batch(&mut self) -> Step<Payload> {
        self.writer.clear();
        self.finish_batch()
    }

    /// The batch that was written, in the form the definition asks for.
    fn finish_batch(&mut self) -> Step<Payload> {
        let arena = self.writer.take().map_err(|error| {
            Failure::fatal(format!("a batch cannot be handed over: {error}\nhint: make batch.size smaller"))
        })?;
        let as_json = self.plan.connector.definition.encoding == Encoding::Json;
        Ok(payload::for_guest(arena, as_json).map_err(Failure::fatal)?)
    }

    /// Lets the guest deliver a batch on the engine's threads.
    fn put(&mut self, batch: Payload, positions: Vec<PartitionOffset>, records: Option<Records>) -> Step<()> {
        let mut guest = self.recycled()?;
        let put = self.shared.engine.spawn(async move {
            let answer = guest.put(&batch).await;
            Delivered { guest, batch, answer }
        });
        self.called_at = Instant::now();
        self.under_way = Some(UnderWay { put, positions, records });
        Ok(())
    }

    /// Waits until the batch that is under way is accepted, delivering it again as often as the guest asks.
    fn settle(&mut self) -> Step<()> {
        let mut backoff = Backoff::default();
        while let Some(UnderWay { mut put, positions, mut records }) = self.under_way.take() {
            let waited = self.runtime.block_on(self.control.unless_killed(&mut put));
            let Delivered { mut guest, batch, answer } = match waited {
                Ok(done) => done.map_err(|error| Failure::fatal(format!("delivering a batch crashed: {error}")))?,
                Err(killed) => {
                    put.abort();
                    return Err(killed.into());
                }
            };
            self.obey_guest(&mut guest)?;
            self.guest = Some(guest);
            let (batch, after, message) = match answer {
                Ok(outcome) => {
                    let refused = self.refuse(&outcome, records.as_ref())?;
                    match outcome.retry_from {
                        None => {
                            self.metrics.written(records.map_or(0, |records| records.left().saturating_sub(refused)));
                            self.accept(positions);
                            return Ok(());
                        }
                        Some(from) => {
                            let rest = payload::suffix(&batch, from as usize).map_err(Failure::fatal)?;
                            let taken = (from as usize).min(records.as_ref().map_or(0, Records::left));
                            if let Some(records) = &mut records {
                                records.taken += taken;
                            }
                            self.metrics.written(taken.saturating_sub(refused));
                            (
                                rest,
                                Duration::from_millis(outcome.retry_after_ms.into()),
                                "not everything was taken".to_owned(),
                            )
                        }
                    }
                }
                Err(CallError::Retriable { message, after }) => (batch, after, message),
                Err(CallError::ConnectionLost(message)) => {
                    tracing::warn!(task = self.name, "connection lost: {message}");
                    self.rest(&mut backoff, Duration::ZERO)?;
                    return self.reconnect();
                }
                Err(error) => return Err(failure(&error).into()),
            };
            tracing::warn!(task = self.name, "a batch is delivered again: {message}");
            self.metrics.retried();
            if self.rest(&mut backoff, after)? {
                // The group moved partitions meanwhile: the batch is read again from what is still ours.
                return self.rewind();
            }
            self.put(batch, positions, records)?;
        }
        Ok(())
    }

    /// Decides about the records that the guest will never take; answers how many they are.
    fn refuse(&mut self, outcome: &Outcome, records: Option<&Records>) -> Step<usize> {
        let Some(records) = records else { return Ok(0) };
        let refused = outcome.rejected.iter().filter_map(|rejection| {
            let row = *records.rows.records().get(records.taken + rejection.index as usize)?;
            Some((rejection.message.as_str(), letter(records.messages.get(row as usize))))
        });
        self.errors.refused(refused)?;
        Ok(outcome.rejected.len())
    }

    fn accept(&mut self, positions: Vec<PartitionOffset>) {
        for position in positions {
            self.accepted.insert((position.topic, position.partition), position.offset);
        }
    }

    /// Waits before a call is made again, staying a member of the group and open to commands. True if the assignment
    /// changed.
    fn rest(&mut self, backoff: &mut Backoff, asked: Duration) -> Step<bool> {
        let max = Duration::from_millis(self.plan.config.errors.retry_delay_max_ms);
        let until = Instant::now() + backoff.next(asked, max, fastrand::f64());
        let mut is_moved = false;
        while Instant::now() < until {
            self.obey()?;
            std::thread::sleep(POLL_WAIT.min(until.saturating_duration_since(Instant::now())));
            if self.polled_at.elapsed() >= KEEPALIVE {
                self.polled_at = Instant::now();
                self.consumer.pause(&self.consumer.assignment()?)?;
                while let Polled::Rebalance(rebalance) = self.consumer.poll(1, Duration::ZERO)? {
                    self.rebalance(rebalance)?;
                    is_moved = true;
                }
                if !self.is_paused {
                    self.consumer.resume(&self.consumer.assignment()?)?;
                }
            }
        }
        Ok(is_moved)
    }

    /// Reads on from what the guest has accepted, or from what is committed where it has accepted nothing.
    fn rewind(&mut self) -> Step<()> {
        let assignment = self.consumer.assignment()?;
        let mut offsets = Vec::new();
        let mut unknown = Vec::new();
        for at in assignment {
            match self.accepted.get(&(at.topic.clone(), at.partition)) {
                Some(&offset) => offsets.push(at.at(offset)),
                None => unknown.push(at),
            }
        }
        if !unknown.is_empty() {
            offsets.extend(self.consumer.committed(&unknown, KAFKA_TIMEOUT)?);
        }
        Ok(self.consumer.seek(&offsets, KAFKA_TIMEOUT)?)
    }

    /// A new guest, from the last commit on.
    fn reconnect(&mut self) -> Step<()> {
        self.guest = None;
        let guest = self.new_guest()?;
        self.guest = Some(guest);
        self.accepted = self.committed.clone();
        let assignment = self.consumer.assignment()?;
        self.open(&assignment)?;
        self.rewind()
    }

    fn new_guest(&mut self) -> Step<SinkInstance> {
        let plugin = &self.plan.connector.component.plugin;
        let made = self.runtime.block_on(self.control.unless_killed(async {
            let mut guest = SinkInstance::new(plugin, &self.instance).await?;
            guest.start(&self.guest_config).await?;
            Ok::<_, CallError>(guest)
        }))?;
        Ok(made.map_err(|error| failure(&error))?)
    }

    /// The guest, or a fresh one when it has grown: what it holds is committed first.
    fn recycled(&mut self) -> Step<SinkInstance> {
        let wants = self.guest.as_ref().and_then(SinkInstance::wants_recycling);
        if let Some(reason) = wants {
            tracing::info!(task = self.name, ?reason, "the plugin instance is replaced");
            self.commit(true)?;
            let assignment = self.consumer.assignment()?;
            if let Some(mut old) = self.guest.take() {
                // What it holds is committed; how it takes its leave changes nothing.
                let partitions = guest_partitions(&assignment);
                let parting = async {
                    let _ = old.close(&partitions).await;
                    let _ = old.stop().await;
                };
                self.runtime.block_on(self.control.unless_killed(parting))?;
            }
            self.metrics.recycled();
            self.guest = Some(self.new_guest()?);
            self.open(&assignment)?;
        }
        self.guest.take().ok_or_else(|| Failure::fatal("the plugin instance is gone").into())
    }

    /// What the guest asked of its consumer during its last call.
    fn obey_guest(&mut self, guest: &mut SinkInstance) -> Step<()> {
        for request in guest.take_requests() {
            match request {
                SinkRequest::Pause(partitions) => self.consumer.pause(&kafka_partitions(&partitions))?,
                SinkRequest::Resume(partitions) => self.consumer.resume(&kafka_partitions(&partitions))?,
                SinkRequest::Seek(positions) => self.consumer.seek(&kafka_positions(&positions), KAFKA_TIMEOUT)?,
                SinkRequest::Commit => self.commit_at = Instant::now(),
            }
        }
        Ok(())
    }

    /// Tells the guest about partitions; where it names positions, reading goes on from there.
    fn open(&mut self, partitions: &[TopicPartition]) -> Step<BTreeMap<(String, i32), i64>> {
        let Some(mut guest) = self.guest.take() else { return Ok(BTreeMap::new()) };
        let opened = self.runtime.block_on(self.control.unless_killed(guest.open(&guest_partitions(partitions))))?;
        self.obey_guest(&mut guest)?;
        self.guest = Some(guest);
        let positions = opened.map_err(|error| failure(&error))?;
        Ok(kafka_positions(&positions).into_iter().map(|at| ((at.topic, at.partition), at.offset)).collect())
    }

    fn rebalance(&mut self, rebalance: Rebalance) -> Step<()> {
        let partitions = rebalance.partitions().to_vec();
        tracing::info!(task = self.name, kind = ?rebalance.kind(), ?partitions, "partitions move");
        match rebalance.kind() {
            RebalanceKind::Assigned => {
                self.settle()?;
                let known = self.open(&partitions)?;
                self.consumer.accept_from(rebalance, |topic, partition| {
                    known.get(&(topic.to_owned(), partition)).map(|&offset| StartOffset::At(offset))
                })?;
                if self.is_paused {
                    self.consumer.pause(&partitions)?;
                }
            }
            RebalanceKind::Revoked => {
                self.commit(true)?;
                self.close_partitions(&partitions)?;
                self.consumer.accept(rebalance)?;
            }
            RebalanceKind::Lost => {
                // Whoever has the partitions now has read from the last commit; what is in hand is theirs.
                self.settle()?;
                self.close_partitions(&partitions)?;
                self.consumer.accept(rebalance)?;
            }
        }
        Ok(())
    }

    fn close_partitions(&mut self, partitions: &[TopicPartition]) -> Step<()> {
        for at in partitions {
            let key = (at.topic.clone(), at.partition);
            self.accepted.remove(&key);
            self.committed.remove(&key);
        }
        if let Some(mut guest) = self.guest.take() {
            let closed =
                self.runtime.block_on(self.control.unless_killed(guest.close(&guest_partitions(partitions))))?;
            self.guest = Some(guest);
            closed.map_err(|error| failure(&error))?;
        }
        Ok(())
    }

    /// Makes the guest's work durable and commits how far it is.
    fn commit(&mut self, wait: bool) -> Step<()> {
        self.settle()?;
        self.commit_at = Instant::now() + self.flush_interval;
        if self.accepted == self.committed {
            return Ok(());
        }
        self.runtime.block_on(self.control.unless_killed(self.errors.settle()))??;
        let Some(mut guest) = self.guest.take() else { return Ok(()) };
        let answer = self.runtime.block_on(self.control.unless_killed(guest.pre_commit()))?;
        self.obey_guest(&mut guest)?;
        self.guest = Some(guest);
        let durable = match answer {
            Ok(None) => self.accepted.clone(),
            Ok(Some(positions)) => self.within_accepted(&positions),
            Err(CallError::Retriable { message, .. }) => {
                tracing::warn!(task = self.name, "offsets are not committed now: {message}");
                return Ok(());
            }
            Err(error) => return Err(failure(&error).into()),
        };
        let moved: Vec<_> = durable
            .iter()
            .filter(|(at, offset)| self.committed.get(*at) != Some(*offset))
            .map(|((topic, partition), offset)| PartitionOffset::new(topic.clone(), *partition, *offset))
            .collect();
        if moved.is_empty() {
            return Ok(());
        }
        if wait {
            if let Err(error) = self.consumer.commit_sync(&moved, KAFKA_TIMEOUT) {
                tracing::warn!(task = self.name, "offsets were not committed: {error}");
                return Ok(());
            }
        } else {
            self.consumer.commit_async(&moved)?;
        }
        self.committed.extend(durable);
        Ok(())
    }

    /// A sink may hold offsets back, but not commit what it was never given.
    fn within_accepted(&self, positions: &[Position]) -> BTreeMap<(String, i32), i64> {
        kafka_positions(positions)
            .into_iter()
            .filter_map(|at| {
                let key = (at.topic, at.partition);
                let accepted = *self.accepted.get(&key)?;
                (at.offset <= accepted).then_some((key, at.offset))
            })
            .collect()
    }

    /// The end on request: deliver, commit, say goodbye.
    fn part(&mut self) -> Step<()> {
        self.commit(true)?;
        let assignment = self.consumer.assignment()?;
        self.close_partitions(&assignment)?;
        if let Some(mut guest) = self.guest.take() {
            let stopped = self.runtime.block_on(self.control.unless_killed(guest.stop()))?;
            stopped.map_err(|error| failure(&error))?;
        }
        Ok(())
    }
}

fn subscribe(consumer: &mut Consumer, plan: &ConnectorPlan) -> Result<(), KafkaError> {
    let Direction::Sink(sink) = &plan.config.direction else {
        return Ok(());
    };
    match &sink.topics {
        Topics::Named(topics) => consumer.subscribe(Subscription::Topics(topics)),
        Topics::Matching(pattern) => consumer.subscribe(Subscription::Pattern(pattern)),
    }
}

fn encoding(encoding: Encoding) -> batch::Encoding {
    match encoding {
        Encoding::Raw => batch::Encoding::Raw,
        Encoding::Text => batch::Encoding::Text,
        // JSON is made from nodes.
        Encoding::Tlv | Encoding::Json => batch::Encoding::Tlv,
    }
}

/// What an arena can hold at most.
fn batch_records_max() -> usize {
    65_536
}

/// Puts messages into a view; answers the bytes of their keys and values.
fn fill<'b>(
    view: &mut View<'b>,
    batch: &'b MessageBatch,
    converters: &tidegate_record::view::Converters,
    schemas: &TaskSchemas,
) -> usize {
    let mut schemas = schemas.lock();
    let mut bytes = 0;
    for run in batch.runs() {
        for index in run.range {
            let message = batch.get(index);
            // No allocation where there are no headers. Names are UTF-8 by Kafka's rules; what is not is no name that
            // anybody could ask for.
            let headers: Vec<_> =
                message.headers().filter_map(|(name, value)| Some((std::str::from_utf8(name).ok()?, value))).collect();
            let (key, value) = (message.key(), message.value());
            bytes += key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
            let timestamp = message.timestamp();
            view.push(
                Message {
                    topic: run.topic,
                    partition: run.partition,
                    offset: message.offset(),
                    timestamp: timestamp.millis().unwrap_or(-1),
                    append_time: matches!(timestamp, Timestamp::LogAppendTime(_)),
                    key,
                    value,
                    headers: &headers,
                },
                converters,
                &mut schemas,
            );
        }
    }
    bytes
}

/// A message as it came, should it not be possible to process it.
fn letter(message: tidegate_kafka::Message<'_>) -> Letter<'_> {
    Letter {
        place: Place::Consumed { topic: message.topic(), partition: message.partition(), offset: message.offset() },
        timestamp: message.timestamp().millis(),
        key: message.key(),
        value: message.value(),
        headers: message.headers().filter_map(|(name, value)| Some((std::str::from_utf8(name).ok()?, value))).collect(),
    }
}

/// Where each partition stands after a batch.
fn positions_after(batch: &MessageBatch) -> Vec<PartitionOffset> {
    batch
        .runs()
        .filter_map(|run| {
            let last = run.range.end.checked_sub(1)?;
            Some(PartitionOffset::new(run.topic, run.partition, batch.get(last).offset() + 1))
        })
        .collect()
}

fn guest_partitions(partitions: &[TopicPartition]) -> Vec<tidegate_engine::TopicPartition> {
    partitions
        .iter()
        .filter_map(|at| {
            let partition = u32::try_from(at.partition).ok()?;
            Some(tidegate_engine::TopicPartition { topic: at.topic.clone(), partition })
        })
        .collect()
}

fn kafka_partitions(partitions: &[tidegate_engine::TopicPartition]) -> Vec<TopicPartition> {
    partitions
        .iter()
        .filter_map(|at| Some(TopicPartition::new(at.topic.clone(), i32::try_from(at.partition).ok()?)))
        .collect()
}

fn kafka_positions(positions: &[Position]) -> Vec<PartitionOffset> {
    positions
        .iter()
        .filter_map(|at| {
            let (partition, offset) = (i32::try_from(at.partition).ok()?, i64::try_from(at.next_offset).ok()?);
            Some(PartitionOffset::new(at.topic.clone(), partition, offset))
        })
        .collect()
}
