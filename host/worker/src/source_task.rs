//! A source task: records from a guest through the chain and converters into Kafka.
//!
//! Three things overlap: the guest polls the next batch on the engine's threads, the task transforms and encodes the one
//! before (`source_task/batch.rs`), and the producer's thread writes those before that. How they are written is a matter of
//! its own (`source_task/delivery.rs`): at least once (`plain.rs`), offsets following what Kafka has acknowledged; or exactly
//! once (`exactly_once.rs`), records and offsets in one transaction, whose boundaries are decided by a pure core
//! (`boundaries.rs`) and carried out by the thread that has the producer (`courier.rs`).

mod batch;
mod boundaries;
mod courier;
mod delivery;
mod exactly_once;
mod plain;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tidegate_config::connector::Direction;
use tidegate_engine::{CallError, InstanceSpec, Payload, SourceInstance};
use tidegate_herder::{Failure, Instance, Reporter, Target, TaskSpec};
use tidegate_record::view::Workspace;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use self::boundaries::Pause;
use self::delivery::Delivery;
use self::exactly_once::{ExactlyOnce, Heard as Turn};
use self::plain::{FlushTimes, Plain};
use crate::chain::Chain;
use crate::connector::failure;
use crate::control::{self, Command, TaskHandle};
use crate::conversion::Conversion;
use crate::errors::Errors;
use crate::fencing::Incarnation;
use crate::instances::{Owner, TaskSchemas, guest_config, hooks};
use crate::metrics::{TaskId, TaskKind, TaskMetrics};
use crate::offsets::ConnectorOffsets;
use crate::own_offsets;
use crate::payload;
use crate::plan::ConnectorPlan;
use crate::policy::Backoff;
use crate::shared::Shared;
use crate::topic_creation::Topics;

pub(crate) use self::courier::take_over;

/// Records in a batch where nobody says otherwise.
const BATCH_RECORDS: u32 = 2_000;
/// About how many bytes of keys and values a poll should bring.
const BATCH_BYTES: u32 = 512 << 10;
/// How long a guest may wait for something to come.
const POLL_WAIT_MS: u32 = 100;
/// Pause after a poll that brought nothing.
const IDLE_PAUSE: Duration = Duration::from_millis(20);

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
    delivery: Delivery,
    /// What the guest is bringing at the moment was undone before it came.
    is_stale: bool,
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
        let Direction::Source(source) = &plan.config.direction else {
            return Err(Failure::fatal("a sink was started as a source task"));
        };
        let offsets = own_offsets::of_connector(&shared, &key.name, &plan.config, source).await?;
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
        // First the right to write, then the offsets: nobody else moves them from here on.
        let delivery = make_delivery(&shared, spec, &plan, &name, task, offsets, metrics.clone()).await?;
        let guest = new_guest(&plan, &instance, &guest_config).await.map_err(|error| failure(&error))?;
        let topics = Topics::of(&shared, &plan, &name)?;
        Ok(SourceTask {
            guest: Guest::Idle(guest, Instant::now()),
            workspace: Some(Workspace::default()),
            delivery,
            is_stale: false,
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
                    Some(Command::Pause(done)) => { self.pause(); let _ = done.send(()); Ok(()) }
                    Some(Command::Resume(done)) => { self.is_paused = false; let _ = done.send(()); Ok(()) }
                    // Every handle is gone: nobody wants the task any more.
                    None => return End::Stopped(Duration::ZERO, oneshot::channel().0),
                },
                event = self.delivery.next() => self.delivery.handle(event).map(|turn| self.turn(turn)),
                heard = heard(&mut self.guest) => match heard {
                    Ok(Heard::Polled((guest, answer))) => self.polled(guest, answer).await,
                    Ok(Heard::Started(started)) => self.started(started),
                    Err(crash) => Err(crash),
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => Ok(()),
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
            Guest::Retiring(_, at) => self.delivery.quiet_from().map(|quiet| quiet.max(*at)),
            _ => None,
        }
    }

    fn may_poll(&self) -> bool {
        !self.is_paused && self.delivery.has_room()
    }

    fn poll_if_due(&mut self) {
        if !self.may_poll() {
            return;
        }
        match std::mem::replace(&mut self.guest, Guest::Away) {
            Guest::Idle(mut guest, at) if at <= Instant::now() => {
                let records = self.plan.config.batch_size.unwrap_or(BATCH_RECORDS);
                let news = self.delivery.take_news();
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
            // It has nothing more to bring, and still wants to know what has become of the rest.
            Guest::Ended(mut guest) if self.delivery.has_news() => {
                let news = self.delivery.take_news();
                let name = self.name.clone();
                let telling = self.shared.engine.spawn(async move {
                    if let Err(error) = guest.commit(&news).await {
                        tracing::warn!(task = name, "the source did not take note of committed offsets: {error}");
                    }
                    (guest, Err(CallError::EndOfInput))
                });
                self.guest = Guest::Polling(Polling(telling));
            }
            other => self.guest = other,
        }
    }

    async fn polled(&mut self, guest: Box<SourceInstance>, answer: Result<Payload, CallError>) -> Result<(), Failure> {
        let now = Instant::now();
        if std::mem::take(&mut self.is_stale) {
            self.guest = Guest::Retiring(Some(guest), now + self.wait(Duration::ZERO));
            return Ok(());
        }
        match answer {
            Ok(payload) => {
                self.backoff = Backoff::default();
                let is_tired = guest.wants_recycling().is_some() && !self.delivery.is_inside_guests();
                // The next poll begins before this batch is worked on, so that both go on at once; not at once where
                // nothing came.
                let at = if payload::is_empty(&payload) { now + self.pause_between_polls() } else { now };
                self.guest = if is_tired { Guest::Retiring(Some(guest), now) } else { Guest::Idle(guest, at) };
                self.poll_if_due();
                self.process(payload).await?;
                if self.is_paused {
                    self.pause();
                }
                Ok(())
            }
            Err(CallError::EndOfInput) => {
                self.guest = Guest::Ended(guest);
                self.delivery.close(Pause::Ended);
                Ok(())
            }
            Err(CallError::Retriable { message, after }) => {
                tracing::warn!(task = self.name, "the source is polled again: {message}");
                self.metrics.retried();
                self.guest = Guest::Idle(guest, now + self.wait(after));
                if self.is_paused {
                    self.pause();
                }
                Ok(())
            }
            Err(CallError::ConnectionLost(message)) => {
                tracing::warn!(task = self.name, "connection lost: {message}");
                self.guest = Guest::Retiring(Some(guest), now + self.wait(Duration::ZERO));
                self.delivery.close(Pause::Interrupted);
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

    /// No more polls. A transaction of the connector's own must not stay open meanwhile: its records come again afterwards.
    fn pause(&mut self) {
        self.is_paused = true;
        if matches!(self.guest, Guest::Polling(_)) {
            return;
        }
        if self.delivery.close(Pause::Interrupted) {
            self.retire(Instant::now());
        }
    }

    /// What follows from what was heard of the delivery.
    fn turn(&mut self, turn: Turn) {
        let Turn::GoBack(error) = turn else { return };
        if self.is_stale || matches!(self.guest, Guest::Retiring(..)) {
            // One of several that failed together.
            return;
        }
        tracing::warn!(task = self.name, "the source goes back to what is committed: {error}");
        self.metrics.retried();
        let at = Instant::now() + self.wait(Duration::ZERO);
        self.retire(at);
    }

    /// The guest, wherever it is, is replaced by one that starts from what is committed.
    fn retire(&mut self, at: Instant) {
        self.guest = match std::mem::replace(&mut self.guest, Guest::Away) {
            Guest::Idle(guest, _) | Guest::Ended(guest) => Guest::Retiring(Some(guest), at),
            Guest::Retiring(guest, _) => Guest::Retiring(guest, at),
            polling @ Guest::Polling(_) => {
                self.is_stale = true;
                polling
            }
            other @ (Guest::Starting(_) | Guest::Away) => other,
        };
    }

    /// A guest that is to be replaced is, once nothing of its is under way: its successor starts from what is committed.
    fn replace_if_due(&mut self) {
        let now = Instant::now();
        let is_quiet = |delivery: &Delivery| delivery.quiet_from().is_some_and(|from| from <= now);
        if !matches!(self.guest, Guest::Retiring(..)) || !is_quiet(&self.delivery) {
            return;
        }
        self.delivery.close(Pause::Interrupted);
        match std::mem::replace(&mut self.guest, Guest::Away) {
            Guest::Retiring(old, at) if at <= now && is_quiet(&self.delivery) => {
                self.delivery.forget();
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
                        if !self.is_stale
                            && let Ok(payload) = answer
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
        self.delivery.close(Pause::Interrupted);
        self.delivery.settle().await;
        self.save().await;
        if let Some(guest) = &mut guest {
            let news = self.delivery.take_news();
            if !news.is_empty() {
                let _ = guest.commit(&news).await;
            }
            if let Err(error) = guest.stop().await {
                tracing::warn!(task = self.name, "the source did not stop cleanly: {error}");
            }
        }
    }

    /// Commits what can be committed.
    async fn save(&mut self) {
        self.delivery.save().await;
    }
}

/// The way into Kafka that worker and connector ask for.
async fn make_delivery(
    shared: &Arc<Shared>,
    spec: &TaskSpec,
    plan: &ConnectorPlan,
    name: &str,
    task: u32,
    offsets: ConnectorOffsets,
    metrics: Arc<TaskMetrics>,
) -> Result<Delivery, Failure> {
    let invalid =
        |invalid: tidegate_config::validate::Invalid| Failure::fatal(crate::host::all_problems(&invalid.problems));
    let (config, client_id) = (&plan.config, format!("connector-producer-{name}"));
    let Direction::Source(source) = &config.direction else {
        return Err(Failure::fatal("a sink was started as a source task"));
    };
    let flush = FlushTimes { interval: shared.flush_interval(config), timeout: shared.flush_timeout() };
    let Some(group) = shared.exactly_once_group() else {
        let client = shared.producer(&shared.producer_settings(config), &client_id).map_err(invalid)?;
        let tolerate_all = config.errors.tolerate_all;
        let plain = Plain::open(name, &client, offsets, flush, tolerate_all, metrics)?;
        return Ok(Delivery::AtLeastOnce(Box::new(plain)));
    };
    let connector = &spec.run.subject.connector.name;
    let incarnation = Incarnation { group: &group.group_id, connector, prefix: source.transactional_id.as_deref() };
    let client = |id: &str| shared.transactional_producer(config, &client_id, id);
    let tasks = spec.tasks.max(config.tasks_max);
    shared.fencing.begin(&spec.run, spec.generation, &incarnation, tasks, |id| client(id).map_err(invalid)).await?;
    let (client, boundary, name) =
        (client(&incarnation.transactional_id(task)).map_err(invalid)?, source.transaction_boundary, name.to_owned());
    let topic = offsets.own.as_ref().map_or(&group.offset_topic.name, |own| &own.topic).clone();
    let opening = tokio::task::spawn_blocking(move || {
        let exactly = ExactlyOnce::open(&name, &client, &offsets, topic, boundary, flush, metrics)?;
        // The guest's first question finds them read.
        offsets.catch_up().map_err(|error| Failure::retriable(error.to_string()))?;
        Ok(Delivery::ExactlyOnce(Box::new(exactly)))
    });
    opening.await.unwrap_or_else(|crash| Err(Failure::fatal(format!("opening the producer crashed: {crash}"))))
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
