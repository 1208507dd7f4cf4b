//! A sink task: records from Kafka through converters and chain into a guest.
//!
//! The task is one thread that owns the consumer. It reads and transforms the next batch while the guest, on the engine's
//! threads, delivers the one before; librdkafka fetches ahead meanwhile. One batch is under way at a time in a lane, of
//! which there is one unless asked for more (`lanes.rs`), so order is kept, and everything that concerns offsets first waits
//! for it ("settles"). Where that leads elsewhere than forward, as after a lost connection, the consumer is rewound, and
//! whoever has a batch in hand drops it ([`Flow::Rewound`]): it is read again.
//!
//! Where the target keeps the positions (`delivery.guarantee=exactly_once`), reading starts where `open` says, whenever a
//! guest takes partitions over. A dead letter is safe before the guest is given anything that comes after its record: the
//! position it stores would pass the record for good.

mod convert;
mod delivery;
mod group;
mod lanes;
mod positions;
mod recovery;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_config::Encoding;
use tidegate_config::connector::{Direction, Topics};
use tidegate_engine::{CallError, InstanceSpec, Outcome, Payload, SinkInstance, SinkRequest};
use tidegate_herder::{Failure, Instance, Reporter, TaskSpec};
use tidegate_kafka::{Consumer, KafkaError, MessageBatch, PartitionOffset, Polled, Subscription};
use tidegate_record::batch::{self, BatchWriter};
use tidegate_record::view::Workspace;
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::TryRecvError;

use crate::chain::Chain;
use crate::connector::failure;
use crate::control::{self, Command, Control, Killed, TaskHandle};
use crate::conversion::Conversion;
use crate::errors::Errors;
use crate::instances::{Owner, TaskSchemas, guest_config, hooks};
use crate::metrics::{TaskId, TaskKind, TaskMetrics};
use crate::payload;
use crate::plan::ConnectorPlan;
use crate::policy::Backoff;
use crate::shared::Shared;
use crate::sink_task::convert::{fill, kafka_partitions, kafka_positions, positions_after};
use crate::sink_task::delivery::{Delivered, Put, Records, UnderWay, letter};
use crate::sink_task::lanes::Lane;
use crate::sink_task::positions::Positions;

/// Records in a batch where nobody says otherwise, if they are small; a batch of large ones is full at 512 KiB.
const BATCH_RECORDS: usize = 4_000;
/// How long a poll waits for records: also how soon a command is noticed.
const POLL_WAIT: Duration = Duration::from_millis(50);
/// A sink that gets nothing is called this often, so that it can flush by time.
const TICK: Duration = Duration::from_secs(1);
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

/// What to do about a batch that the guest wants to have again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// Deliver it until it is taken.
    Endless,
    /// Drop it, to be read again: somebody waits who must not wait for the target.
    Once,
}

/// Where things stand after a wait.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    /// As before.
    On,
    /// The consumer reads from other offsets now: a batch that was read before is void.
    Rewound,
}

struct SinkTask {
    shared: Arc<Shared>,
    name: String,
    plan: ConnectorPlan,
    guest_config: tidegate_engine::Config,
    instance: InstanceSpec,
    /// At least one.
    lanes: Vec<Lane>,
    conversion: Conversion,
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
    /// How long a batch may wait to be filled.
    linger: Duration,
    /// Whether the target keeps the positions.
    exactly_once: bool,
    is_paused: bool,
    positions: Positions,
    /// What the guest does not want to be read.
    paused_by_guest: BTreeSet<(String, i32)>,
    flush_interval: Duration,
    commit_at: Instant,
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
            .map_err(|problems| Failure::invalid(crate::host::all_problems(&problems)))?;
        let task_settings = spec.task_config.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();

        let metrics = shared.metrics.task(TaskId { connector: key.name.clone(), task }, TaskKind::Sink);
        let schemas = TaskSchemas::new();
        let hooks = hooks(&name, Some(metrics.clone()), schemas.clone(), None);
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
        let (exactly_once, lane_count) = match &plan.config.direction {
            Direction::Sink(sink) => (sink.exactly_once, sink.lanes.max(1)),
            Direction::Source(_) => (false, 1),
        };
        let guest_config = guest_config(&task_settings);
        let mut lanes = Vec::new();
        for _ in 0..lane_count {
            let guest = SinkInstance::new(&bound.component.plugin, &instance).await;
            let mut guest = guest.map_err(|error| failure(&error))?;
            guest.start(&guest_config).await.map_err(|error| failure(&error))?;
            lanes.push(Lane::new(guest, Instant::now()));
        }

        let (client, translated) = shared
            .consumer(&plan.config.original, &format!("connect-{}", key.name), &format!("connector-consumer-{name}"))
            .map_err(|invalid| Failure::invalid(crate::host::all_problems(&invalid.problems)))?;
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
            lanes,
            linger: Duration::from_millis(plan.config.linger_ms.unwrap_or(0)),
            exactly_once,
            is_paused: spec.target == tidegate_herder::Target::Paused,
            positions: Positions::default(),
            paused_by_guest: BTreeSet::new(),
            commit_at: now + flush_interval,
            polled_at: now,
            stop: None,
            shared,
            name,
            plan,
            guest_config,
            instance,
            conversion,
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
        if !matches!(end, End::Killed)
            && let Err(End::Failed(failure)) = self.farewell()
        {
            tracing::warn!(task = self.name, "the task stopped, but not cleanly: {}", failure.trace);
        }
        let outcome = match end {
            End::Stopped | End::Killed => Ok(()),
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
        self.recover()?;
        if self.is_direct() {
            match self.consumer.poll(self.batch_records, POLL_WAIT)? {
                Polled::Records(batch) if batch.is_empty() => drop(self.settle(Patience::Endless)?),
                Polled::Records(batch) => {
                    self.note_read(&batch);
                    self.deliver(0, batch)?;
                }
                other => self.hear(other)?,
            }
        } else {
            self.gather()?;
        }
        for result in self.consumer.take_commit_results() {
            if let Err(error) = result {
                tracing::warn!(task = self.name, "offsets were not committed: {error}");
                self.positions.nothing_committed();
            }
        }
        let now = Instant::now();
        if now >= self.commit_at {
            self.settle(Patience::Endless)?;
            self.commit(false)?;
            self.recover()?;
        }
        if !self.is_paused {
            self.tick(now)?;
        }
        Ok(())
    }

    /// What the consumer brings besides records.
    fn hear(&mut self, polled: Polled) -> Step<()> {
        match polled {
            Polled::Rebalance(rebalance) => self.rebalance(rebalance)?,
            Polled::Trouble(error) => tracing::warn!(task = self.name, "{error}"),
            Polled::Records(_) | Polled::EndOfPartition { .. } => {}
        }
        Ok(())
    }

    /// Calls the guests that have had nothing to do for a while.
    fn tick(&mut self, now: Instant) -> Step<()> {
        for lane in 0..self.lanes.len() {
            let Lane { guest, called_at, .. } = &self.lanes[lane];
            if guest.is_some() && self.lanes[lane].has_any() && now.duration_since(*called_at) >= TICK {
                let tick = self.empty_batch()?;
                self.put(lane, tick, Vec::new(), None)?;
            }
        }
        Ok(())
    }

    fn obey(&mut self) -> Step<()> {
        if self.control.is_killed() {
            return Err(End::Killed);
        }
        loop {
            let command = match self.control.commands.try_recv() {
                Ok(command) => command,
                Err(TryRecvError::Empty) => return Ok(()),
                // Every handle is gone: nobody wants the task any more.
                Err(TryRecvError::Disconnected) => return Err(End::Stopped),
            };
            match command {
                Command::Pause(reply) => {
                    self.settle(Patience::Endless)?;
                    self.commit(false)?;
                    self.is_paused = true;
                    self.consumer.pause(&self.consumer.assignment()?)?;
                    let _ = reply.send(());
                }
                Command::Resume(reply) => {
                    self.is_paused = false;
                    self.read_on()?;
                    let _ = reply.send(());
                }
                Command::Stop(_, reply) => {
                    self.stop = Some(reply);
                    return Err(End::Stopped);
                }
            }
        }
    }

    /// Lets the consumer read what neither the operator nor the guest holds back.
    fn read_on(&mut self) -> Step<()> {
        let mut partitions = self.consumer.assignment()?;
        partitions.retain(|at| !self.paused_by_guest.contains(&(at.topic.clone(), at.partition)));
        if !self.is_paused {
            self.consumer.resume(&partitions)?;
        }
        Ok(())
    }

    fn note_read(&mut self, batch: &MessageBatch) {
        for run in batch.runs() {
            self.positions.read(run.topic, run.partition, batch.get(run.range.start).offset());
        }
    }

    /// Decodes and transforms a batch while the one before is delivered, then hands it over. Rewound: it was not.
    fn deliver(&mut self, lane: usize, batch: MessageBatch) -> Step<Flow> {
        let positions = positions_after(&batch);
        let workspace = self.workspace.take().unwrap_or_default();
        let mut view = self.conversion.view(workspace);
        let bytes = fill(&mut view, &batch, &self.conversion.converters, &self.schemas);
        if self.prepare(&view)? == Flow::Rewound {
            self.workspace = Some(view.into_workspace());
            return Ok(Flow::Rewound);
        }
        let worked_on = async {
            self.conversion.read(&mut view).await?;
            self.chain.run(&mut view).await
        };
        let applied = self.runtime.block_on(self.control.unless_killed(worked_on))?;
        applied.map_err(|error| failure(&error))?;

        let rows = view.rows();
        if rows.len() > batch_records_max() && batch.len() > 1 {
            self.workspace = Some(view.into_workspace());
            return self.read_again_in_parts(batch.len());
        }
        let (key, value) = self.encodings();
        self.writer.clear();
        let rows = view.write_batch(&rows, key, value, &self.schemas.lock(), &mut self.writer);
        let dropped = (0..view.len()).filter(|&record| view.is_dropped(record)).count();
        let payload = match self.finish_batch() {
            Err(_) if batch.len() > 1 => {
                self.workspace = Some(view.into_workspace());
                return self.read_again_in_parts(batch.len());
            }
            finished => finished?,
        };
        if self.settle_lane(lane, Patience::Endless)? == Flow::Rewound || self.renew(lane)? == Flow::Rewound {
            self.workspace = Some(view.into_workspace());
            return Ok(Flow::Rewound);
        }
        // Only now, when the batch is sure to go on: it would be judged again after a rewind.
        let judged = self.errors.judge(&view, self.chain.culprits(), |record| letter(batch.get(record)));
        self.runtime.block_on(self.control.unless_killed(judged))??;
        if self.exactly_once {
            self.runtime.block_on(self.control.unless_killed(self.errors.settle()))??;
        }
        self.metrics.read(batch.len(), bytes);
        self.metrics.filtered(dropped);
        self.metrics.made(view.surplus());
        let rows = view.origins(rows);
        self.workspace = Some(view.into_workspace());
        if rows.is_empty() {
            self.positions.accept(&positions);
            return Ok(Flow::On);
        }
        self.put(lane, payload, positions, Some(Records { messages: batch, rows, taken: 0, lettered: None }))?;
        Ok(Flow::On)
    }

    /// Transforms made more records of a batch than the guest can be given at once: from now on batches are smaller.
    fn read_again_in_parts(&mut self, records: usize) -> Step<Flow> {
        self.batch_records = (records / 2).max(1);
        tracing::info!(
            task = self.name,
            records = self.batch_records,
            "batches are read in parts, as transforms make more of them"
        );
        self.rewind()?;
        Ok(Flow::Rewound)
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
    fn put(
        &mut self,
        lane: usize,
        batch: Payload,
        positions: Vec<PartitionOffset>,
        records: Option<Records>,
    ) -> Step<()> {
        let lane = &mut self.lanes[lane];
        let guest = lane.guest.take().ok_or_else(|| Failure::fatal("the plugin instance is gone"))?;
        let put = Put::begin(&self.shared.engine, guest, batch);
        lane.called_at = Instant::now();
        lane.under_way = Some(UnderWay { put, positions, records });
        Ok(())
    }

    /// Waits for what is under way in every lane. Rewound: something was not taken as a whole, and is read again.
    fn settle(&mut self, patience: Patience) -> Step<Flow> {
        let mut flow = Flow::On;
        for lane in 0..self.lanes.len() {
            if self.settle_lane(lane, patience)? == Flow::Rewound {
                flow = Flow::Rewound;
            }
        }
        if patience == Patience::Once {
            for lane in &mut self.lanes {
                if lane.drop_waiting() {
                    flow = Flow::Rewound;
                }
            }
        }
        Ok(flow)
    }

    /// Drops everything that was read and not accepted, and reads it again.
    fn rewind(&mut self) -> Step<()> {
        // What another lane is about to accept must not be read again.
        self.settle(Patience::Once)?;
        self.seek(&self.positions.rewind())
    }

    /// Waits for the batch that is under way in a lane. Rewound: it was not taken as a whole, and is read again.
    fn settle_lane(&mut self, lane: usize, patience: Patience) -> Step<Flow> {
        let mut backoff = Backoff::default();
        while let Some(UnderWay { mut put, positions, mut records }) = self.lanes[lane].under_way.take() {
            let done = self.runtime.block_on(self.control.unless_killed(&mut put))?;
            let Delivered { mut guest, batch, answer } =
                done.map_err(|error| Failure::fatal(format!("delivering a batch crashed: {error}")))?;
            let requests = guest.take_requests();
            self.lanes[lane].guest = Some(guest);
            let mut at_once = false;
            let (batch, after, message) = match answer {
                Ok(outcome) => {
                    let refused = self.refuse(&outcome, records.as_mut())?;
                    let Some(from) = outcome.retry_from else {
                        self.metrics.written(records.map_or(0, |records| records.left().saturating_sub(refused)));
                        self.positions.accept(&positions);
                        if let Payload::Arena(arena) = batch {
                            self.writer.reuse(arena);
                        }
                        return self.heed(requests);
                    };
                    let rest = payload::suffix(&batch, from as usize).map_err(Failure::fatal)?;
                    let taken = (from as usize).min(records.as_ref().map_or(0, Records::left));
                    if let Some(records) = &mut records {
                        records.taken += taken;
                    }
                    self.metrics.written(taken.saturating_sub(refused));
                    // It stopped at a record that it refused, and has no reason to wait.
                    at_once = refused > 0 && outcome.retry_after_ms == 0;
                    (rest, Duration::from_millis(outcome.retry_after_ms.into()), "not everything was taken".to_owned())
                }
                Err(CallError::Retriable { message, after }) => (batch, after, message),
                Err(error @ CallError::ConnectionLost(_)) => {
                    self.lose(lane, error);
                    if patience == Patience::Endless {
                        self.recover()?;
                    }
                    return Ok(Flow::Rewound);
                }
                Err(error) => return Err(failure(&error).into()),
            };
            if !at_once {
                tracing::warn!(task = self.name, "a batch is delivered again: {message}");
                self.metrics.retried();
            }
            let mut flow = self.heed(requests)?;
            match patience {
                Patience::Once => flow = Flow::Rewound,
                Patience::Endless if at_once => {}
                Patience::Endless => {
                    if self.back_off(&mut backoff, after)? == Flow::Rewound {
                        flow = Flow::Rewound;
                    }
                }
            }
            if self.lanes[lane].lost.is_some() {
                // A command or a rebalance during the wait found it gone.
                self.recover()?;
                return Ok(Flow::Rewound);
            }
            if flow == Flow::Rewound {
                // What the guest did not take is read again.
                if patience == Patience::Endless {
                    self.rewind()?;
                }
                return Ok(Flow::Rewound);
            }
            self.put(lane, batch, positions, records)?;
        }
        Ok(Flow::On)
    }

    /// Decides about the records that the guest will never take; answers how many they are.
    fn refuse(&mut self, outcome: &Outcome, records: Option<&mut Records>) -> Step<usize> {
        let Some(records) = records else { return Ok(0) };
        if outcome.rejected.is_empty() {
            return Ok(0);
        }
        // However many were made of a record, there is one letter of it.
        let mut rejections: Vec<_> = outcome.rejected.iter().collect();
        rejections.sort_by_key(|rejection| rejection.index);
        let mut letters = Vec::with_capacity(rejections.len());
        for rejection in &rejections {
            let Some(row) = records.row(rejection.index) else { continue };
            if records.lettered.replace(row) != Some(row) {
                letters.push((rejection.message.as_str(), row));
            }
        }
        let records = &*records;
        let refused = letters.into_iter().map(|(message, row)| (message, letter(records.messages.get(row as usize))));
        let count = rejections.len();
        let exactly_once = self.exactly_once;
        let judged = async {
            self.errors.refused(refused, count).await?;
            if exactly_once { self.errors.settle().await } else { Ok(()) }
        };
        self.runtime.block_on(self.control.unless_killed(judged))??;
        Ok(outcome.rejected.len())
    }

    /// Does what the guest asked of its consumer during its last call.
    fn heed(&mut self, requests: Vec<SinkRequest>) -> Step<Flow> {
        let mut flow = Flow::On;
        for request in requests {
            match request {
                SinkRequest::Pause(partitions) => {
                    let partitions = kafka_partitions(&partitions);
                    self.paused_by_guest.extend(partitions.iter().map(|at| (at.topic.clone(), at.partition)));
                    self.consumer.pause(&partitions)?;
                }
                SinkRequest::Resume(partitions) => {
                    for at in kafka_partitions(&partitions) {
                        self.paused_by_guest.remove(&(at.topic, at.partition));
                    }
                    self.read_on()?;
                }
                SinkRequest::Seek(positions) => {
                    self.positions.seek(&kafka_positions(&positions));
                    self.rewind()?;
                    flow = Flow::Rewound;
                }
                SinkRequest::Commit => self.commit_at = Instant::now(),
            }
        }
        Ok(flow)
    }

    /// Makes durable what the guest has accepted, and commits how far that is. The guest may be lost over it.
    fn commit(&mut self, wait: bool) -> Step<()> {
        self.commit_at = Instant::now() + self.flush_interval;
        if self.positions.is_committed() {
            return Ok(());
        }
        self.runtime.block_on(self.control.unless_killed(self.errors.settle()))??;
        let mut requests = Vec::new();
        for index in 0..self.lanes.len() {
            let Some(mut guest) = self.lanes[index].guest.take() else { continue };
            let answer = self.runtime.block_on(self.control.unless_killed(guest.pre_commit()))?;
            requests.extend(guest.take_requests());
            let lane = &mut self.lanes[index];
            lane.guest = Some(guest);
            match answer {
                Ok(None) => self.positions.all_durable(|topic, partition| lane.has(topic, partition)),
                Ok(Some(positions)) => self.positions.durable(&kafka_positions(&positions)),
                Err(CallError::Retriable { message, .. }) => {
                    tracing::warn!(task = self.name, "offsets are not committed now: {message}");
                }
                Err(error @ CallError::ConnectionLost(_)) => self.lose(index, error),
                Err(error) => return Err(failure(&error).into()),
            }
        }
        let moved = self.positions.to_commit();
        let sent = match wait {
            true => self.consumer.commit_sync(&moved, KAFKA_TIMEOUT),
            false => self.consumer.commit_async(&moved),
        };
        match sent {
            Ok(()) => self.positions.committed(&moved),
            Err(error) => tracing::warn!(task = self.name, "offsets were not committed: {error}"),
        }
        self.heed(requests)?;
        Ok(())
    }

    /// The end: what is under way is delivered and committed, partitions are given back, the guest stops.
    fn farewell(&mut self) -> Step<()> {
        self.settle(Patience::Once)?;
        self.commit(true)?;
        let assignment = self.consumer.assignment()?;
        self.close_partitions(&assignment)?;
        for lane in 0..self.lanes.len() {
            let Some(mut guest) = self.lanes[lane].guest.take() else { continue };
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
