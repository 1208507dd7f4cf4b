//! The worker: makes what runs here equal what `state` says shall run here.
//!
//! It folds `state` and, after every event, compares what is wanted of each instance with the run it has. At most one
//! call about a run is under way at a time; what to do next is decided when it returns. A stop is bounded: a run that
//! has not ended when its grace is over is abandoned, and whatever it says later is about a run nobody knows.
//!
//! What it must not do: decide who runs what, wait for a plugin, or look at a clock.

use std::collections::{BTreeMap, BTreeSet};

use super::id::{
    Config, ConnectorKey, ConnectorKind, Incarnation, Instance, Millis, Plugins, RunId, RunState, Subject, Target,
};
use super::records::{Body, Key, RECORD_BYTES_MAX, Reason, TasksRecord, Value, Write};
use super::restart::{Next, RestartStatus, Restarts};
use super::state::State;

/// How long to wait before a connector is asked again for task configurations after a failure that may pass.
pub const TASK_CONFIGS_BACKOFF_MIN_MS: u64 = 250;

/// The longest such wait.
pub const TASK_CONFIGS_BACKOFF_MAX_MS: u64 = 60_000;

/// The most bytes of a trace that are kept; its end is what tells most.
pub const TRACE_BYTES_MAX: usize = 16 * 1024;

/// What the worker is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// One whole decision, as stored.
    Decided(Vec<Write>),
    /// [`Call::Start`], [`Call::Pause`] or [`Call::Resume`] has returned.
    Returned(RunId, Result<(), CallError>),
    /// [`Call::TaskConfigs`] has returned.
    TaskConfigs(RunId, Result<Vec<Config>, CallError>),
    /// [`Call::Stop`] has returned: nothing is left of the run.
    Stopped(RunId),
    /// A run has ended with an error on its own.
    Failed(RunId, CallError),
    /// A connector instance wants to be asked for task configurations.
    Reconfigure(RunId),
    /// This worker shall stop everything and go.
    Leave,
    /// Time has passed; see [`Worker::deadline`].
    Tick,
}

/// Why a call did not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallError {
    /// What status shows.
    pub trace: String,
    /// Whether asking again can help; heeded for [`Call::TaskConfigs`] only.
    pub retriable: bool,
    /// Whether nothing but another configuration can help: such a run is never started again on its own.
    pub invalid: bool,
}

/// What the worker wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Do this about a run, and say what came of it.
    Call(RunId, Call),
    /// Drop whatever is left of a run, its calls under way included. Nothing comes back.
    Abandon(RunId),
    /// Tell the leader.
    Report(Body),
    /// Publish what an instance is doing.
    PutStatus(Subject, Status),
    /// Forget what was published of an instance that is no more.
    ClearStatus(Subject),
    /// After [`Event::Leave`]: nothing runs here any more.
    Left,
}

/// Something asked of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Start it.
    Start(Box<Start>),
    /// Stop moving records.
    Pause,
    /// Move records again.
    Resume,
    /// Split the work of this connector into at most `tasks_max` tasks.
    TaskConfigs {
        /// The most tasks.
        tasks_max: u32,
    },
    /// End it within `grace_ms`.
    Stop {
        /// The time it has.
        grace_ms: u64,
    },
}

/// What a run needs to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Source or sink.
    pub kind: ConnectorKind,
    /// The connector's configuration.
    pub config: Config,
    /// The bytes each role runs.
    pub plugins: Plugins,
    /// For a task: its own configuration and how many tasks there are.
    pub task: Option<(Config, u32)>,
    /// For a task: which set of task configurations it is of; 0 for the connector.
    pub generation: u64,
    /// `Running` or `Paused`.
    pub target: Target,
}

/// What an instance is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The connector's incarnation.
    pub uid: u64,
    /// The state.
    pub state: RunState,
    /// Why it failed.
    pub trace: Option<String>,
    /// What became of restarts nobody asked for; none where there were none.
    pub restart: Option<RestartStatus>,
}

/// The worker's core.
#[derive(Clone, Debug)]
pub struct Worker {
    me: Incarnation,
    grace_ms: u64,
    state: State,
    slots: BTreeMap<Subject, Slot>,
    leaving: bool,
    left: bool,
}

/// What this worker knows of one instance.
#[derive(Clone, Debug, Default)]
struct Slot {
    run: Option<Run>,
    /// The run that failed last, and why.
    failed: Option<(RunId, String)>,
    restarts: Restarts,
    /// The epoch of the last assignment for which giving up was reported.
    released: Option<u64>,
    published: Option<Status>,
}

#[derive(Clone, Debug)]
struct Run {
    id: RunId,
    at: At,
    /// When it had started.
    since: Option<Millis>,
    /// The call under way.
    call: Option<Underway>,
    /// When it is abandoned, once it shall stop.
    stop_by: Option<Millis>,
    /// When this connector instance is to be asked for task configurations next.
    ask_at: Option<Millis>,
    /// Attempts at that which failed in a row.
    ask_failures: u32,
}

/// What a run has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Starting,
    Running,
    Paused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Underway {
    /// A start, pause or resume that leads here.
    To(At),
    TaskConfigs {
        rev: u64,
    },
    Stop,
}

/// What `state` wants of one instance on this worker.
struct Want {
    id: RunId,
    target: Target,
    reason: Reason,
}

impl Worker {
    /// A worker that has read nothing yet. `grace_ms` is what a run gets to stop.
    pub fn new(me: Incarnation, grace_ms: u64) -> Worker {
        Worker { me, grace_ms, state: State::default(), slots: BTreeMap::new(), leaving: false, left: false }
    }

    /// What this worker has read.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Whether anything of a connector runs here.
    pub fn runs(&self, connector: &ConnectorKey) -> bool {
        let first = connector.subject(Instance::Connector);
        let mut slots = self.slots.range(first..).take_while(|(subject, _)| subject.connector == *connector);
        slots.any(|(_, slot)| slot.run.is_some())
    }

    /// When the next [`Event::Tick`] is due.
    pub fn deadline(&self) -> Option<Millis> {
        let restarts = self.slots.values().filter_map(|slot| slot.restarts.due_at());
        let runs = self.slots.values().filter_map(|slot| slot.run.as_ref());
        let calls = runs.flat_map(|run| {
            let ask_at = run.ask_at.filter(|_| run.call.is_none() && run.stop_by.is_none() && run.at == At::Running);
            [run.stop_by, ask_at]
        });
        calls.flatten().chain(restarts).min()
    }

    /// Takes one event and adds what it leads to to `out`.
    pub fn step(&mut self, now: Millis, event: Event, out: &mut Vec<Command>) {
        match event {
            Event::Decided(writes) => {
                let mut touched = BTreeSet::new();
                for write in writes {
                    match &write.key {
                        Key::Connector(connector) | Key::Tasks(connector) => {
                            touched.insert(connector.clone());
                        }
                        Key::Assign(subject) => {
                            touched.insert(subject.connector.clone());
                        }
                        _ => {}
                    }
                    self.state.apply(write);
                }
                for connector in touched {
                    for subject in self.subjects(&connector) {
                        self.reconcile(now, subject, out);
                    }
                }
            }
            Event::Returned(id, result) => self.with_run(now, &id, out, |run, out| match (run.call.take(), result) {
                (Some(Underway::To(at)), Ok(())) => {
                    run.at = at;
                    run.since.get_or_insert(now);
                    if at == At::Running && run.id.subject.instance == Instance::Connector {
                        run.ask_at = Some(now);
                    }
                    After::Go
                }
                (_, Ok(())) => After::Go,
                (_, Err(error)) => run.fail(error, out),
            }),
            Event::TaskConfigs(id, result) => {
                let result = result.and_then(|tasks| self.checked(&id.subject.connector, tasks));
                self.with_run(now, &id, out, |run, out| run.task_configs(now, result, out));
            }
            Event::Stopped(id) => self.with_run(now, &id, out, |_, _| After::Gone),
            Event::Failed(id, error) => self.with_run(now, &id, out, |run, out| run.fail(error, out)),
            Event::Reconfigure(id) => self.with_run(now, &id, out, |run, _| {
                run.ask_at = Some(now);
                After::Go
            }),
            Event::Leave => {
                self.leaving = true;
                for subject in self.slots.keys().cloned().collect::<Vec<_>>() {
                    self.reconcile(now, subject, out);
                }
            }
            Event::Tick => {
                for subject in self.slots.keys().cloned().collect::<Vec<_>>() {
                    self.tick(now, subject, out);
                }
            }
        }
        if self.leaving && !self.left && self.slots.values().all(|slot| slot.run.is_none()) {
            self.left = true;
            out.push(Command::Left);
        }
    }

    /// A task set that may be written, or why not.
    fn checked(&self, key: &ConnectorKey, tasks: Vec<Config>) -> Result<Vec<Config>, CallError> {
        let Some(connector) = self.state.connectors.get(key) else { return Ok(tasks) };
        let (name, count, tasks_max) = (&key.name, tasks.len(), connector.tasks_max);
        if count > tasks_max as usize {
            let trace = format!(
                "The connector {name} has generated {count} tasks, which is greater than {tasks_max}, the maximum \
                 number of tasks it is configured to create"
            );
            return Err(CallError { trace, retriable: false, invalid: true });
        }
        let record = TasksRecord {
            uid: connector.uid,
            rev: connector.rev,
            generation: u64::MAX,
            config: connector.config.clone(),
            plugins: connector.plugins.clone(),
            tasks,
        };
        let value = Value::Tasks(Box::new(record));
        let bytes = value.encode().len();
        match value {
            Value::Tasks(record) if bytes <= RECORD_BYTES_MAX => Ok(record.tasks),
            _ => {
                let trace = format!(
                    "the {count} task configurations of connector {name:?} need a record of {bytes} bytes, more than \
                     {RECORD_BYTES_MAX}"
                );
                Err(CallError { trace, retriable: false, invalid: true })
            }
        }
    }

    /// All instances of a connector that are assigned to anybody or known here.
    fn subjects(&self, connector: &ConnectorKey) -> BTreeSet<Subject> {
        let assigned = self.state.assigns.get(connector).into_iter().flat_map(BTreeMap::keys);
        let first = connector.subject(Instance::Connector);
        let known = self.slots.range(first..).map(|(subject, _)| subject).take_while(|s| s.connector == *connector);
        assigned.map(|instance| connector.subject(*instance)).chain(known.cloned()).collect()
    }

    /// Applies `change` to the run `id` if it is the one that runs, and then does what is to be done next.
    fn with_run(
        &mut self,
        now: Millis,
        id: &RunId,
        out: &mut Vec<Command>,
        change: impl FnOnce(&mut Run, &mut Vec<Command>) -> After,
    ) {
        let Some(slot) = self.slots.get_mut(&id.subject) else { return };
        let Some(run) = slot.run.as_mut().filter(|run| run.id == *id) else { return };
        match change(run, out) {
            After::Go => {}
            After::Gone => slot.run = None,
            After::Failed(error) => {
                let lasted_ms = slot.run.take().and_then(|run| run.since).map(|since| now.since(since));
                slot.failed = Some((id.clone(), bounded(error.trace)));
                let policy = self.state.connectors.get(&id.subject.connector).and_then(|record| record.restart);
                match policy.filter(|_| !error.invalid) {
                    Some(policy) => slot.restarts.failed(now, &policy, lasted_ms, &self.me, id),
                    None => slot.restarts.next = Next::Unplanned,
                }
                out.push(Command::Report(Body::Exit { subject: id.subject.clone(), uid: id.uid, epoch: id.epoch }));
            }
        }
        self.reconcile(now, id.subject.clone(), out);
    }

    fn tick(&mut self, now: Millis, subject: Subject, out: &mut Vec<Command>) {
        let Some(slot) = self.slots.get_mut(&subject) else { return };
        if let Some(run) = slot.run.take_if(|run| run.stop_by.is_some_and(|by| now >= by)) {
            out.push(Command::Abandon(run.id));
        }
        if let Some((failed, _)) = &slot.failed
            && slot.restarts.due_at().is_some_and(|at| now >= at)
        {
            slot.restarts.next = Next::Asked;
            out.push(Command::Report(Body::Retry { subject: subject.clone(), uid: failed.uid, epoch: failed.epoch }));
        }
        self.reconcile(now, subject, out);
    }

    /// What `state` wants of `subject` here: nothing when it is another's, not yet free, or not to exist.
    fn want(&self, subject: &Subject) -> Option<Want> {
        let assign = self.state.assign(subject)?;
        let connector = self.state.connectors.get(&subject.connector)?;
        let mine = assign.owner.as_ref() == Some(&self.me) && assign.prev.is_none() && !self.leaving;
        let current = assign.uid == connector.uid
            && self.state.wants(subject)
            && match subject.instance {
                Instance::Connector => true,
                Instance::Task(_) => self.task_set(subject).is_some_and(|tasks| tasks.generation == assign.generation),
            };
        (mine && current).then(|| Want {
            id: RunId { subject: subject.clone(), uid: assign.uid, epoch: assign.epoch },
            target: connector.target,
            reason: assign.reason,
        })
    }

    fn task_set(&self, subject: &Subject) -> Option<&TasksRecord> {
        self.state.tasks.get(&subject.connector)
    }

    fn start(&self, want: &Want) -> Option<Start> {
        let subject = &want.id.subject;
        let connector = self.state.connectors.get(&subject.connector)?;
        let (config, plugins, task, generation) = match subject.instance {
            Instance::Connector => (&connector.config, &connector.plugins, None, 0),
            Instance::Task(index) => {
                let set = self.task_set(subject)?;
                let task = set.tasks.get(index as usize)?.clone();
                (&set.config, &set.plugins, Some((task, self.state.task_count(&subject.connector))), set.generation)
            }
        };
        Some(Start {
            kind: connector.kind,
            config: config.clone(),
            plugins: plugins.clone(),
            task,
            generation,
            target: want.target,
        })
    }

    /// Takes the next step from what runs to what is wanted.
    fn reconcile(&mut self, now: Millis, subject: Subject, out: &mut Vec<Command>) {
        let want = self.want(&subject);
        let mut slot = self.slots.remove(&subject).unwrap_or_default();
        match (&mut slot.run, &want) {
            (Some(run), Some(want)) if run.id == want.id && want.target != Target::Stopped && run.stop_by.is_none() => {
                let rev = self.state.connectors.get(&subject.connector).map_or(0, |record| record.rev);
                let tasks_max = self.state.connectors.get(&subject.connector).map_or(0, |record| record.tasks_max);
                run.advance(now, want.target, rev, tasks_max, out);
            }
            (Some(run), _) => run.end(now, self.grace_ms, out),
            (None, Some(want)) if want.target != Target::Stopped => {
                let failed = slot.failed.as_ref().is_some_and(|(id, _)| *id == want.id);
                if let Some(start) = self.start(want).filter(|_| !failed) {
                    let at = if want.target == Target::Paused { At::Paused } else { At::Running };
                    slot.failed = None;
                    let attempts = if want.reason == Reason::Retried { slot.restarts.attempts } else { 0 };
                    slot.restarts = Restarts { attempts, next: Next::Unplanned };
                    slot.run = Some(Run {
                        id: want.id.clone(),
                        at: At::Starting,
                        since: None,
                        call: Some(Underway::To(at)),
                        stop_by: None,
                        ask_at: None,
                        ask_failures: 0,
                    });
                    out.push(Command::Call(want.id.clone(), Call::Start(Box::new(start))));
                }
            }
            (None, _) => {
                slot.failed = None;
                slot.restarts = Restarts::default();
                self.report_release(&subject, &mut slot, out);
            }
        }
        self.publish(&subject, want.as_ref(), &mut slot, out);
        if want.is_some() || slot.run.is_some() || self.state.assign(&subject).is_some() {
            self.slots.insert(subject, slot);
        }
    }

    /// Lets the next owner go on, once for each assignment that waits for this worker.
    fn report_release(&self, subject: &Subject, slot: &mut Slot, out: &mut Vec<Command>) {
        let Some(assign) = self.state.assign(subject) else { return };
        if assign.prev.as_ref() == Some(&self.me) && slot.released != Some(assign.epoch) {
            slot.released = Some(assign.epoch);
            out.push(Command::Report(Body::Released {
                subject: subject.clone(),
                uid: assign.uid,
                epoch: assign.epoch,
            }));
        }
    }

    fn publish(&self, subject: &Subject, want: Option<&Want>, slot: &mut Slot, out: &mut Vec<Command>) {
        let status = match (want, &slot.run) {
            (Some(want), run) => {
                let trace = slot.failed.as_ref().map(|(_, trace)| trace.clone());
                let restarting = matches!(want.reason, Reason::Restarted | Reason::Retried)
                    && run.as_ref().is_none_or(|run| run.at == At::Starting || run.id != want.id);
                let state = match run {
                    None if slot.restarts.is_planned() => RunState::Restarting,
                    None if trace.is_some() => RunState::Failed,
                    None if want.target == Target::Stopped => RunState::Stopped,
                    _ if restarting => RunState::Restarting,
                    Some(run) if run.id == want.id && run.at == At::Running => RunState::Running,
                    Some(run) if run.id == want.id && run.at == At::Paused => RunState::Paused,
                    _ => RunState::Unassigned,
                };
                let connector = self.state.connectors.get(&subject.connector);
                let attempts = slot.restarts.attempts;
                let restart = (attempts > 0).then(|| RestartStatus {
                    attempts,
                    attempts_max: connector.and_then(|record| record.restart).and_then(|policy| policy.attempts_max),
                    at: slot.restarts.due_at(),
                });
                Some(Status { uid: want.id.uid, state, trace, restart })
            }
            // It stays what it was until its run has ended; then it is another's to speak of, or nobody's.
            (None, Some(_)) => return,
            (None, None) => None,
        };
        if status == slot.published {
            return;
        }
        match &status {
            Some(status) => out.push(Command::PutStatus(subject.clone(), status.clone())),
            None if !self.state.wants(subject) => out.push(Command::ClearStatus(subject.clone())),
            None => {}
        }
        slot.published = status;
    }
}

/// What becomes of a run after an event.
enum After {
    Go,
    Gone,
    Failed(CallError),
}

impl Run {
    /// Brings a wanted run towards `target`, unless a call is under way.
    fn advance(&mut self, now: Millis, target: Target, rev: u64, tasks_max: u32, out: &mut Vec<Command>) {
        if self.call.is_some() {
            return;
        }
        let (underway, call) = match (self.at, target) {
            (At::Running, Target::Paused) => (Underway::To(At::Paused), Call::Pause),
            (At::Paused, Target::Running) => (Underway::To(At::Running), Call::Resume),
            (At::Running, Target::Running) if self.ask_at.is_some_and(|at| now >= at) => {
                self.ask_at = None;
                (Underway::TaskConfigs { rev }, Call::TaskConfigs { tasks_max })
            }
            _ => return,
        };
        self.call = Some(underway);
        out.push(Command::Call(self.id.clone(), call));
    }

    /// Brings an unwanted run to its end: at once when no call is under way, else when that has returned.
    fn end(&mut self, now: Millis, grace_ms: u64, out: &mut Vec<Command>) {
        let stop_by = *self.stop_by.get_or_insert(now.plus(grace_ms));
        if self.call.is_none() {
            self.call = Some(Underway::Stop);
            out.push(Command::Call(self.id.clone(), Call::Stop { grace_ms: stop_by.since(now) }));
        }
    }

    /// Drops the run. One that was to stop anyway has merely stopped.
    fn fail(&mut self, error: CallError, out: &mut Vec<Command>) -> After {
        out.push(Command::Abandon(self.id.clone()));
        if self.stop_by.is_some() { After::Gone } else { After::Failed(error) }
    }

    fn task_configs(&mut self, now: Millis, result: Result<Vec<Config>, CallError>, out: &mut Vec<Command>) -> After {
        let Some(Underway::TaskConfigs { rev }) = self.call.take() else { return After::Go };
        let RunId { subject, uid, .. } = &self.id;
        match result {
            Ok(tasks) => {
                self.ask_failures = 0;
                let report = Body::TaskConfigs { connector: subject.connector.clone(), uid: *uid, rev, tasks };
                out.push(Command::Report(report));
                After::Go
            }
            Err(error) if error.retriable => {
                let backoff_ms = TASK_CONFIGS_BACKOFF_MIN_MS << self.ask_failures.min(16);
                self.ask_failures += 1;
                self.ask_at.get_or_insert(now.plus(backoff_ms.min(TASK_CONFIGS_BACKOFF_MAX_MS)));
                After::Go
            }
            Err(error) => self.fail(error, out),
        }
    }
}

/// The end of a trace that is too long, from a character boundary on.
fn bounded(trace: String) -> String {
    match trace.len().checked_sub(TRACE_BYTES_MAX) {
        None | Some(0) => trace,
        Some(excess) => trace[trace.ceil_char_boundary(excess)..].to_owned(),
    }
}
