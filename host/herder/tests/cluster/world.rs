//! A small cluster in memory: the log, the cores, and for each worker a host that carries out calls when it is told to.
//!
//! It checks on every step what must never happen, and panics when it does.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tidegate_herder::cluster::leader::{self, Leader};
use tidegate_herder::cluster::worker::{self, Call, CallError, Status, Worker};
use tidegate_herder::cluster::{
    Body, Config, ConnectorKey, Incarnation, Instance, Key, Millis, Outcome, Request, RequestId, RestartPolicy, RunId,
    State, Subject, Target, Value, Write,
};

pub(crate) const GRACE_MS: u64 = 5_000;

pub(crate) struct World {
    pub(crate) now: Millis,
    pub(crate) leader: Leader,
    pub(crate) nodes: BTreeMap<String, Node>,
    /// Every decision ever stored.
    pub(crate) log: Vec<Vec<Write>>,
    /// Its fold.
    stored: State,
    /// What happened, for stories.
    pub(crate) told: Vec<String>,
    pub(crate) next_request: u64,
    boots: u64,
    /// Every run ever started: none may start twice.
    started: BTreeSet<RunId>,
    /// Every request ever decided, with its offset.
    pub(crate) decided: Vec<(u64, Request)>,
    /// Words about runs that are over, for workers that may still hear them.
    pub(crate) late: Vec<(String, worker::Event)>,
}

/// A worker and its host.
pub(crate) struct Node {
    pub(crate) me: Incarnation,
    pub(crate) worker: Worker,
    /// Decisions it has not read yet.
    pub(crate) inbox: VecDeque<Vec<Write>>,
    /// Reports the leader has not read yet.
    pub(crate) reports: VecDeque<Body>,
    /// Calls that have not returned.
    pub(crate) calls: Vec<(RunId, Call)>,
    /// What lives in its host, with the configuration it was started with.
    pub(crate) alive: BTreeMap<RunId, Config>,
    pub(crate) statuses: BTreeMap<Subject, Status>,
}

impl World {
    pub(crate) fn new() -> World {
        let mut world = World {
            now: Millis(1_000),
            leader: Leader::default(),
            nodes: BTreeMap::new(),
            log: Vec::new(),
            stored: State::default(),
            told: Vec::new(),
            next_request: 0,
            boots: 0,
            started: BTreeSet::new(),
            decided: Vec::new(),
            late: Vec::new(),
        };
        world.lead();
        world
    }

    /// A leader that knows only the log takes over.
    pub(crate) fn lead(&mut self) {
        let (mut leader, mut commands) = (Leader::default(), Vec::new());
        for write in self.log.iter().flatten() {
            leader.step(self.now, leader::Event::Record(write.clone()), &mut commands);
        }
        assert_eq!(commands, [], "a follower decides nothing");
        let me = Incarnation(format!("leader#{}", self.log.len()));
        let event = leader::Event::Lead { cluster: "test".to_owned(), me, members: self.members() };
        leader.step(self.now, event, &mut commands);
        self.leader = leader;
        self.store(commands);
    }

    pub(crate) fn members(&self) -> BTreeSet<Incarnation> {
        self.nodes.values().map(|node| node.me.clone()).collect()
    }

    pub(crate) fn join(&mut self, name: &str) {
        self.boots += 1;
        let me = Incarnation(format!("{name}#{}", self.boots));
        let node = Node {
            me: me.clone(),
            worker: Worker::new(me.clone(), GRACE_MS),
            inbox: self.log.iter().cloned().collect(),
            reports: VecDeque::from([Body::Hello { name: name.to_owned() }]),
            calls: Vec::new(),
            alive: BTreeMap::new(),
            statuses: BTreeMap::new(),
        };
        let replaced = self.nodes.insert(name.to_owned(), node).is_some();
        assert!(!replaced, "{name} is there already");
    }

    /// A worker dies, and the group notices.
    pub(crate) fn lose(&mut self, name: &str) {
        if self.nodes.remove(name).is_some() {
            self.step_leader(leader::Event::Members(self.members()));
        }
    }

    /// Every process dies; those that were there come back and know only the log.
    pub(crate) fn reboot(&mut self) {
        let names: Vec<String> = std::mem::take(&mut self.nodes).into_keys().collect();
        self.lead();
        names.iter().for_each(|name| self.join(name));
    }

    /// Decides a request of the API and returns its outcome.
    pub(crate) fn ask(&mut self, body: Body) -> Outcome {
        let id = RequestId(format!("r{}", self.next_request));
        self.request(Request { id: id.clone(), from: Incarnation("api".to_owned()), body });
        self.leader.state().outcomes.get(&id).expect("every request of the API has an outcome").clone()
    }

    pub(crate) fn request(&mut self, request: Request) {
        // What is stored is what is read back.
        let request = Request::decode(&request.encode()).unwrap();
        let offset = self.next_request;
        self.next_request += 1;
        self.decided.push((offset, request.clone()));
        self.step_leader(leader::Event::Requests(vec![(offset, request)]));
        assert_eq!(self.leader.state().applied, Some(offset));
    }

    /// The leader reads a request again that it has decided: nothing may come of it.
    pub(crate) fn read_again(&mut self, index: usize) {
        if let Some(decided) = self.decided.get(index).cloned() {
            let before = self.log.len();
            self.step_leader(leader::Event::Requests(vec![decided]));
            assert_eq!(self.log.len(), before, "a request is decided once");
        }
    }

    /// Somebody who got no answer asks again: only how far requests are decided may change.
    pub(crate) fn ask_again(&mut self, index: usize) {
        let Some((_, request)) = self.decided.get(index).cloned() else { return };
        if self.leader.state().outcomes.contains_key(&request.id) {
            let before = self.leader.state().clone();
            self.request(request);
            let after = State { applied: before.applied, ..self.leader.state().clone() };
            assert_eq!(after, before, "a repetition changes nothing");
        }
    }

    /// A worker hears a late word about a run that is over: it must not care.
    pub(crate) fn hear_late(&mut self, index: usize) {
        if index >= self.late.len() {
            return;
        }
        let (name, event) = self.late.remove(index);
        if self.nodes.contains_key(&name) {
            let before = self.told.len();
            let reports = self.node(&name).reports.len();
            self.step_worker(&name, event.clone());
            assert_eq!((self.told.len(), self.node(&name).reports.len()), (before, reports), "{event:?} was believed");
        }
    }

    pub(crate) fn step_leader(&mut self, event: leader::Event) {
        let mut commands = Vec::new();
        self.leader.step(self.now, event, &mut commands);
        self.store(commands);
    }

    fn store(&mut self, commands: Vec<leader::Command>) {
        for leader::Command::Commit(writes) in commands {
            let writes: Vec<Write> = writes.iter().map(reread).collect();
            let keys: BTreeSet<&Key> = writes.iter().map(|write| &write.key).collect();
            assert_eq!(keys.len(), writes.len(), "one record for each key");
            self.check_epochs(&writes);
            writes.iter().for_each(|write| self.stored.apply(write.clone()));
            self.check_tasks(&writes);
            self.nodes.values_mut().for_each(|node| node.inbox.push_back(writes.clone()));
            self.log.push(writes);
        }
        assert_eq!(self.stored, *self.leader.state(), "the log says what the leader thinks");
    }

    /// An epoch rises by one or stays, and a change of owner raises it.
    fn check_epochs(&self, writes: &[Write]) {
        for write in writes {
            let (Key::Assign(subject), Some(Value::Assign(after))) = (&write.key, &write.value) else { continue };
            let Some(before) = self.stored.assign(subject) else {
                assert_eq!(after.epoch, 1, "{subject} begins at 1");
                continue;
            };
            let raised = after.epoch - before.epoch;
            assert!(raised <= 1, "{subject} went from epoch {} to {}", before.epoch, after.epoch);
            let same_run =
                before.owner == after.owner && before.uid == after.uid && before.generation == after.generation;
            assert!(same_run || raised == 1, "{subject} changed under one epoch: {before:?} to {after:?}");
        }
    }

    /// A task set belongs to the connector as it is, and a stopped connector has none.
    fn check_tasks(&self, writes: &[Write]) {
        for write in writes {
            let (Key::Tasks(key), Some(Value::Tasks(tasks))) = (&write.key, &write.value) else { continue };
            let connector = &self.stored.connectors[key];
            assert_eq!((tasks.uid, tasks.rev), (connector.uid, connector.rev), "the task set of {key}");
            assert_eq!(tasks.config, connector.config);
            assert!(connector.target != Target::Stopped || tasks.tasks.is_empty(), "{key} is stopped");
        }
    }

    /// A worker reads the next decision.
    pub(crate) fn read(&mut self, name: &str) {
        if let Some(writes) = self.node(name).inbox.pop_front() {
            self.step_worker(name, worker::Event::Decided(writes));
        }
    }

    /// The leader reads a worker's next report.
    pub(crate) fn hear(&mut self, name: &str) {
        let node = self.node(name);
        let from = node.me.clone();
        if let Some(body) = node.reports.pop_front() {
            let id = RequestId(format!("r{}", self.next_request));
            self.request(Request { id, from, body });
        }
    }

    /// A call returns: well, or with the given error.
    pub(crate) fn finish(&mut self, name: &str, index: usize, error: Option<CallError>) {
        let node = self.node(name);
        let (run, call) = node.calls.remove(index);
        let event = match (call, error) {
            (Call::Stop { .. }, _) => {
                node.alive.remove(&run);
                worker::Event::Stopped(run)
            }
            (Call::TaskConfigs { tasks_max }, None) => {
                let config = &node.alive[&run];
                let count = config["tasks"].parse::<u32>().unwrap().min(tasks_max);
                let revision = config.get("x").cloned().unwrap_or_default();
                let task = |index: u32| Config::from([("task".to_owned(), format!("{index}{revision}"))]);
                worker::Event::TaskConfigs(run, Ok((0..count).map(task).collect()))
            }
            (Call::TaskConfigs { .. }, Some(error)) => worker::Event::TaskConfigs(run, Err(error)),
            (_, None) => worker::Event::Returned(run, Ok(())),
            (_, Some(error)) => worker::Event::Returned(run, Err(error)),
        };
        self.step_worker(name, event);
    }

    /// A run ends with an error on its own.
    pub(crate) fn fail(&mut self, name: &str, run: RunId, error: CallError) {
        let node = self.node(name);
        node.alive.remove(&run);
        node.calls.retain(|(id, _)| *id != run);
        self.step_worker(name, worker::Event::Failed(run, error));
    }

    pub(crate) fn step_worker(&mut self, name: &str, event: worker::Event) {
        let mut commands = Vec::new();
        let now = self.now;
        self.node(name).worker.step(now, event, &mut commands);
        for command in commands {
            self.carry_out(name, command);
        }
    }

    fn carry_out(&mut self, name: &str, command: worker::Command) {
        match command {
            worker::Command::Call(run, call) => {
                self.told.push(format!("  {name}: {} {run}", describe(&call)));
                if let Call::Start(start) = &call {
                    self.check_start(name, &run);
                    let config = start.config.clone();
                    self.node(name).alive.insert(run.clone(), config);
                }
                let node = self.node(name);
                assert!(node.alive.contains_key(&run), "{call:?} for {run}, which is not alive");
                assert!(!node.calls.iter().any(|(id, _)| *id == run), "{call:?} overlaps another call about {run}");
                node.calls.push((run, call));
            }
            worker::Command::Abandon(run) => {
                self.told.push(format!("  {name}: abandon {run}"));
                for event in [
                    worker::Event::Stopped(run.clone()),
                    worker::Event::Returned(run.clone(), Ok(())),
                    worker::Event::Failed(run.clone(), boom("too late")),
                    worker::Event::TaskConfigs(run.clone(), Ok(Vec::new())),
                    worker::Event::Reconfigure(run.clone()),
                ] {
                    self.late.push((name.to_owned(), event));
                }
                let node = self.node(name);
                node.alive.remove(&run);
                node.calls.retain(|(id, _)| *id != run);
            }
            worker::Command::Report(body) => self.node(name).reports.push_back(body),
            worker::Command::PutStatus(subject, status) => {
                self.node(name).statuses.insert(subject, status);
            }
            worker::Command::ClearStatus(subject) => {
                self.node(name).statuses.remove(&subject);
            }
            worker::Command::Left => self.told.push(format!("  {name}: left")),
        }
    }

    /// A start is allowed by what the worker has read, happens once, and next to no other run of the same instance.
    fn check_start(&mut self, name: &str, run: &RunId) {
        let state = self.nodes[name].worker.state();
        let connector = state.connectors.get(&run.subject.connector);
        assert_eq!(connector.map(|connector| connector.uid), Some(run.uid), "{run} belongs to no connector");
        assert!(self.started.insert(run.clone()), "{run} started twice");
        for (other, node) in &self.nodes {
            let twin = node.alive.keys().find(|alive| alive.subject == run.subject);
            assert_eq!(twin, None, "{name} starts {run} while {other} runs it");
        }
    }

    pub(crate) fn node(&mut self, name: &str) -> &mut Node {
        self.nodes.get_mut(name).expect("the worker is there")
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.nodes.keys().cloned().collect()
    }

    /// Everything that can happen at once happens, except calls about `hung` instances.
    pub(crate) fn settle(&mut self, hung: &BTreeSet<String>) {
        loop {
            let mut quiet = true;
            for name in self.names() {
                while !self.node(&name).inbox.is_empty() {
                    self.read(&name);
                    quiet = false;
                }
                while let Some(index) =
                    self.node(&name).calls.iter().position(|(run, _)| !hung.contains(&run.subject.to_string()))
                {
                    self.finish(&name, index, None);
                    quiet = false;
                }
                while !self.node(&name).reports.is_empty() {
                    self.hear(&name);
                    quiet = false;
                }
            }
            if quiet {
                return;
            }
        }
    }

    /// Time passes, with everything that falls due on the way.
    pub(crate) fn wait(&mut self, duration_ms: u64, hung: &BTreeSet<String>) {
        let end = self.now.plus(duration_ms);
        loop {
            self.settle(hung);
            let deadlines = self.nodes.values().filter_map(|node| node.worker.deadline());
            match deadlines.chain(self.leader.deadline()).min().filter(|at| *at <= end) {
                Some(at) => self.now = at.max(self.now),
                None => break,
            }
            self.tick();
        }
        self.now = end;
    }

    pub(crate) fn tick(&mut self) {
        self.step_leader(leader::Event::Tick);
        self.names().iter().for_each(|name| self.step_worker(name, worker::Event::Tick));
    }

    /// The worker that owns an instance and has published something about it, and what.
    pub(crate) fn status(&self, subject: &Subject) -> Option<(&str, &Status)> {
        let owner = self.leader.state().assign(subject)?.owner.as_ref()?;
        let (name, node) = self.nodes.iter().find(|(_, node)| node.me == *owner)?;
        Some((name, node.statuses.get(subject)?))
    }

    /// What is true when nothing is under way: everything runs that shall, and nothing else.
    pub(crate) fn check_settled(&self) {
        let state = self.leader.state();
        for name in self.nodes.keys() {
            let mut read = self.nodes[name].worker.state().clone();
            assert!(self.nodes[name].inbox.is_empty());
            read.outcomes.clone_from(&state.outcomes);
            assert_eq!(read, *state, "{name} has read the same");
        }
        let mut wanted = BTreeSet::new();
        for (key, connector) in &state.connectors {
            let tasks = (0..state.task_count(key)).map(Instance::Task);
            for instance in std::iter::once(Instance::Connector).chain(tasks) {
                let subject = key.subject(instance);
                let assign = state.assign(&subject).expect("what is wanted has an assignment");
                assert_eq!(assign.prev, None, "{subject} is free");
                if self.nodes.is_empty() {
                    continue;
                }
                let (_, status) = self.status(&subject).expect("what is wanted has a status");
                assert_eq!(status.uid, connector.uid);
                let expected = match connector.target {
                    _ if assign.failed => "FAILED",
                    Target::Running => "RUNNING",
                    Target::Paused => "PAUSED",
                    Target::Stopped => "STOPPED",
                };
                assert_eq!(status.state.as_str(), expected, "{subject}: {assign:?}");
                if !assign.failed && connector.target != Target::Stopped {
                    wanted.insert(RunId { subject, uid: assign.uid, epoch: assign.epoch });
                }
            }
            if connector.target == Target::Stopped {
                assert_eq!(state.task_count(key), 0, "{key} has no tasks");
            }
        }
        let alive: Vec<&RunId> = self.nodes.values().flat_map(|node| node.alive.keys()).collect();
        assert_eq!(alive.iter().copied().cloned().collect::<BTreeSet<_>>(), wanted);
        assert_eq!(alive.len(), wanted.len());
        for key in state.assigns.keys().chain(state.tasks.keys()) {
            assert!(state.connectors.contains_key(key), "nothing is left of the deleted connector {key}");
        }
    }
}

/// The fold of a log.
pub(crate) fn fold<'a>(log: impl Iterator<Item = &'a Write>) -> State {
    let mut state = State::default();
    log.for_each(|write| state.apply(write.clone()));
    state
}

/// A record as it comes back from storage.
fn reread(write: &Write) -> Write {
    let key = Key::parse(&write.key.to_string()).unwrap();
    let value = write.value.as_ref().map(|value| Value::decode(&key, &value.encode()).unwrap());
    assert_eq!((&key, &value), (&write.key, &write.value));
    Write { key, value }
}

fn describe(call: &Call) -> String {
    match call {
        Call::Start(start) if start.target == Target::Paused => "start paused".to_owned(),
        Call::Start(_) => "start".to_owned(),
        Call::Pause => "pause".to_owned(),
        Call::Resume => "resume".to_owned(),
        Call::TaskConfigs { .. } => "ask".to_owned(),
        Call::Stop { grace_ms } => format!("stop within {grace_ms}ms"),
    }
}

/// A failure that a restart may mend.
pub(crate) fn boom(trace: &str) -> CallError {
    CallError { trace: trace.to_owned(), retriable: false, invalid: false }
}

/// Restarts after one second, then two, then four and no longer; a run of a minute is a success.
pub(crate) fn restarts(attempts_max: u32) -> RestartPolicy {
    RestartPolicy { attempts_max: Some(attempts_max), delay_ms: 1_000, delay_max_ms: 4_000, reset_after_ms: 60_000 }
}

/// The same request, for a connector whose instances are restarted on their own.
pub(crate) fn with_restarts(body: Body, policy: Option<RestartPolicy>) -> Body {
    match body {
        Body::PutConnector(put) => {
            Body::PutConnector(Box::new(tidegate_herder::cluster::PutConnector { restart: policy, ..*put }))
        }
        other => other,
    }
}

/// A request that creates or reconfigures `name`, checked against what the leader knows.
pub(crate) fn put(state: &State, name: &str, tasks: u32, x: &str, create: Option<Target>) -> Body {
    let connector = ConnectorKey::plain(name);
    let known = state.connectors.get(&connector);
    let config = Config::from([("tasks".to_owned(), tasks.to_string()), ("x".to_owned(), x.to_owned())]);
    Body::PutConnector(Box::new(tidegate_herder::cluster::PutConnector {
        connector,
        create: create.is_some(),
        checked_against: known
            .filter(|_| create.is_none())
            .map(|record| tidegate_herder::cluster::Revision { uid: record.uid, rev: record.rev }),
        kind: tidegate_herder::ConnectorKind::Source,
        version: None,
        config,
        plugins: BTreeMap::new(),
        tasks_max: 100,
        restart: None,
        target: create.unwrap_or_default(),
    }))
}
