//! The leader: turns requests into decisions.
//!
//! It folds `state` while it follows, and once it leads it answers each batch of requests with one [`Command::Commit`]:
//! the records of all their decisions, to be stored as a whole or not at all. It counts a commit as done. When storing
//! it fails, the leader is to be thrown away and built again from the log, which alone knows what happened.
//!
//! What it must not do: start or stop anything, look at a clock, or wait for anybody.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::assign::assign;
use super::id::{ConnectorKey, Incarnation, Instance, Millis, RequestId, Subject, Target};
use super::records::{
    AppliedRecord, AssignRecord, Body, ClusterRecord, ConnectorRecord, Key, LeaderRecord, Outcome, PutConnector,
    RECORD_BYTES_MAX, Reason, Request, RestartScope, Revision, TagRecord, TasksRecord, Value, WorkerRecord, Write,
};
use super::state::State;

/// How long the answer to a request is kept for those who ask again.
pub const OUTCOME_KEPT_MS: u64 = 60 * 60 * 1000;

/// The most answers kept, whatever their age.
pub const OUTCOMES_MAX: usize = 10_000;

/// How long the set of workers must have been quiet before work is moved to even out the load.
pub const BALANCE_DELAY_MS: u64 = 3_000;

/// How long to wait between two rounds of moves.
pub const BALANCE_INTERVAL_MS: u64 = 5_000;

/// What the leader is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A record of `state`, read while following.
    Record(Write),
    /// All of `state` has been read and this worker leads from now on.
    Lead {
        /// The cluster's name, written into a new log.
        cluster: String,
        /// This worker.
        me: Incarnation,
        /// The workers that are there; others known to `state` are gone.
        members: BTreeSet<Incarnation>,
    },
    /// The next requests, in order, each with its offset.
    Requests(Vec<(u64, Request)>),
    /// The set of workers has changed.
    Members(BTreeSet<Incarnation>),
    /// Time has passed; see [`Leader::deadline`].
    Tick,
}

/// What the leader wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Store these records as a whole. At most one record for each key.
    Commit(Vec<Write>),
}

/// The leader's core.
#[derive(Clone, Debug, Default)]
pub struct Leader {
    state: State,
    leading: bool,
    /// Kept answers, oldest first, with the time this leader learnt of them.
    outcomes: VecDeque<(Millis, RequestId)>,
    balance_at: Option<Millis>,
}

impl Leader {
    /// What this leader knows, its own commits included.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// When the next [`Event::Tick`] is due.
    pub fn deadline(&self) -> Option<Millis> {
        let expiry = self.outcomes.front().map(|(since, _)| since.plus(OUTCOME_KEPT_MS));
        expiry.into_iter().chain(self.balance_at).min()
    }

    /// Takes one event and adds what it leads to to `out`.
    pub fn step(&mut self, now: Millis, event: Event, out: &mut Vec<Command>) {
        let mut decision = Decision::new(&mut self.state);
        match event {
            Event::Record(write) => decision.state.apply(write),
            Event::Lead { cluster, me, members } => {
                self.leading = true;
                self.outcomes = decision.state.outcomes.keys().map(|id| (now, id.clone())).collect();
                decision.begin_reign(cluster, me);
                decision.keep_members(&members);
                // What its predecessor had in mind is not known: look once.
                decision.load_changed = true;
                decision.place(0);
            }
            _ if !self.leading => {}
            Event::Members(members) => {
                decision.keep_members(&members);
                decision.place(0);
            }
            Event::Requests(requests) => {
                for (offset, request) in requests {
                    if decision.state.applied.is_some_and(|applied| offset <= applied) {
                        continue;
                    }
                    if let Some(id) = decision.request(offset, request) {
                        self.outcomes.push_back((now, id));
                    }
                }
                while self.outcomes.len() > OUTCOMES_MAX {
                    decision.forget(self.outcomes.pop_front());
                }
                decision.place(0);
            }
            Event::Tick => {
                while self.outcomes.front().is_some_and(|(since, _)| now.since(*since) >= OUTCOME_KEPT_MS) {
                    decision.forget(self.outcomes.pop_front());
                }
                if self.balance_at.is_some_and(|at| now >= at) {
                    let moved = decision.place(decision.moves_max());
                    self.balance_at = moved.then(|| now.plus(BALANCE_INTERVAL_MS));
                }
            }
        }
        if self.leading && decision.load_changed && decision.state.workers.len() > 1 && self.balance_at.is_none() {
            self.balance_at = Some(now.plus(BALANCE_DELAY_MS));
        }
        let writes = decision.writes;
        if !writes.is_empty() {
            out.push(Command::Commit(writes.into_iter().map(|(key, value)| Write { key, value }).collect()));
        }
    }
}

/// A decision in the making: what it changes is in `state` at once and in `writes` for the log.
struct Decision<'a> {
    state: &'a mut State,
    writes: BTreeMap<Key, Option<Value>>,
    /// Whose epoch this decision has raised: once is enough, since nobody sees what lies between.
    raised: BTreeSet<Subject>,
    /// Something may lack an owner, or the load may be uneven.
    load_changed: bool,
}

impl<'a> Decision<'a> {
    fn new(state: &'a mut State) -> Decision<'a> {
        Decision { state, writes: BTreeMap::new(), raised: BTreeSet::new(), load_changed: false }
    }

    fn write(&mut self, key: Key, value: Option<Value>) {
        self.state.apply(Write { key: key.clone(), value: value.clone() });
        self.writes.insert(key, value);
    }

    fn put(&mut self, key: Key, value: Value) {
        self.write(key, Some(value));
    }

    fn forget(&mut self, outcome: Option<(Millis, RequestId)>) {
        if let Some((_, id)) = outcome {
            self.write(Key::Request(id), None);
        }
    }

    fn begin_reign(&mut self, cluster: String, me: Incarnation) {
        if self.state.cluster.is_none() {
            self.put(Key::Cluster, Value::Cluster(ClusterRecord { id: cluster }));
        }
        let epoch = self.state.leader.as_ref().map_or(0, |leader| leader.epoch) + 1;
        self.put(Key::Leader, Value::Leader(LeaderRecord { epoch, leader: me }));
    }

    /// Decides one request. Returns its id when its outcome is kept.
    fn request(&mut self, offset: u64, request: Request) -> Option<RequestId> {
        self.put(Key::Applied, Value::Applied(AppliedRecord { offset }));
        if !request.body.is_api() {
            self.report(request.from, request.body);
            return None;
        }
        if self.state.outcomes.contains_key(&request.id) {
            return None;
        }
        let outcome = match request.body {
            Body::PutConnector(put) => self.put_connector(offset, *put),
            Body::DeleteConnector { connector } => self.delete_connector(&connector),
            Body::SetTarget { connector, target } => self.set_target(&connector, target),
            Body::Restart { connector, scope } => self.restart(&connector, scope),
            Body::PublishPlugin { manifest } => {
                let tag = manifest.tag();
                let digest = manifest.digest.clone();
                let value = Value::Plugin(manifest);
                match too_large(&value) {
                    Some(outcome) => outcome,
                    None => {
                        self.put(Key::Plugin(digest.clone()), value);
                        self.put(Key::Tag(tag), Value::Tag(TagRecord { digest }));
                        Outcome::Done
                    }
                }
            }
            Body::Hello { .. }
            | Body::Released { .. }
            | Body::TaskConfigs { .. }
            | Body::Exit { .. }
            | Body::Retry { .. } => {
                unreachable!("reports of workers have no outcome")
            }
        };
        self.put(Key::Request(request.id.clone()), Value::Outcome(outcome));
        Some(request.id)
    }

    fn report(&mut self, from: Incarnation, body: Body) {
        if let Body::Hello { name } = body {
            self.put(Key::Worker(from), Value::Worker(WorkerRecord { name }));
            self.load_changed = true;
            return;
        }
        // A worker that was declared gone owns nothing: what it still says is about the past.
        if !self.state.workers.contains_key(&from) {
            return;
        }
        match body {
            Body::Released { subject, uid, epoch } => self.released(&from, subject, uid, epoch),
            Body::TaskConfigs { connector, uid, rev, tasks } => self.task_configs(&connector, uid, rev, tasks),
            Body::Exit { subject, uid, epoch } => {
                let Some(record) = self.state.assign(&subject) else { return };
                let stopped = |connector: &ConnectorRecord| connector.target == Target::Stopped;
                // What was stopped before the word of its failure came has ended as it should.
                if record.owner.as_ref() == Some(&from)
                    && record.uid == uid
                    && record.epoch == epoch
                    && !record.failed
                    && !self.state.connectors.get(&subject.connector).is_some_and(stopped)
                {
                    let record = AssignRecord { failed: true, ..record.clone() };
                    self.put(Key::Assign(subject), Value::Assign(record));
                }
            }
            Body::Retry { subject, uid, epoch } => {
                let Some(record) = self.state.assign(&subject) else { return };
                let failed = record.failed && record.uid == uid && record.epoch == epoch;
                if failed && record.owner.as_ref() == Some(&from) {
                    let generation = record.generation;
                    self.renew(subject, uid, generation, Reason::Retried);
                }
            }
            _ => {}
        }
    }

    fn put_connector(&mut self, offset: u64, put: PutConnector) -> Outcome {
        let known = self.state.connectors.get(&put.connector);
        let current = known.map(|record| Revision { uid: record.uid, rev: record.rev });
        if put.create && current.is_some() {
            return Outcome::AlreadyExists;
        }
        if put.checked_against != current {
            return Outcome::Stale;
        }
        let record = ConnectorRecord {
            uid: current.map_or(offset, |current| current.uid),
            rev: current.map_or(0, |current| current.rev) + 1,
            kind: put.kind,
            version: put.version,
            config: put.config,
            plugins: put.plugins,
            tasks_max: put.tasks_max,
            restart: put.restart,
            target: known.map_or(put.target, |record| record.target),
        };
        let uid = record.uid;
        let value = Value::Connector(Box::new(record));
        if let Some(outcome) = too_large(&value) {
            return outcome;
        }
        self.put(Key::Connector(put.connector.clone()), value);
        self.renew(put.connector.subject(Instance::Connector), uid, 0, Reason::Configured);
        if current.is_some() { Outcome::Done } else { Outcome::Created }
    }

    fn delete_connector(&mut self, connector: &ConnectorKey) -> Outcome {
        if !self.state.connectors.contains_key(connector) {
            return Outcome::UnknownConnector;
        }
        self.write(Key::Connector(connector.clone()), None);
        if self.state.tasks.contains_key(connector) {
            self.write(Key::Tasks(connector.clone()), None);
        }
        let instances: Vec<_> =
            self.state.assigns.get(connector).into_iter().flat_map(BTreeMap::keys).copied().collect();
        for instance in instances {
            self.release(connector.subject(instance));
        }
        Outcome::Done
    }

    fn set_target(&mut self, connector: &ConnectorKey, target: Target) -> Outcome {
        let Some(known) = self.state.connectors.get(connector) else { return Outcome::UnknownConnector };
        if known.target == target {
            return Outcome::Done;
        }
        let was_stopped = known.target == Target::Stopped;
        let record = ConnectorRecord { target, ..known.clone() };
        let (uid, rev) = (record.uid, record.rev);
        self.put(Key::Connector(connector.clone()), Value::Connector(Box::new(record)));
        if was_stopped {
            // Its run under the old epoch is over; the next one is another.
            self.renew(connector.subject(Instance::Connector), uid, 0, Reason::Resumed);
        }
        if target == Target::Stopped {
            self.forgive(connector.subject(Instance::Connector));
            self.write_tasks(connector, rev, Vec::new());
        }
        Outcome::Done
    }

    fn restart(&mut self, connector: &ConnectorKey, scope: RestartScope) -> Outcome {
        let Some(uid) = self.state.connectors.get(connector).map(|record| record.uid) else {
            return Outcome::UnknownConnector;
        };
        let count = self.state.task_count(connector);
        let failed = |instance| self.state.assign(&connector.subject(instance)).is_some_and(|record| record.failed);
        let instances: Vec<Instance> = match scope {
            RestartScope::Task { index } if index >= count => return Outcome::UnknownTask { index },
            RestartScope::Task { index } => vec![Instance::Task(index)],
            RestartScope::Connector { include_tasks, only_failed } => {
                let tasks = (0..count).map(Instance::Task).filter(|_| include_tasks);
                std::iter::once(Instance::Connector)
                    .chain(tasks)
                    .filter(|instance| !only_failed || failed(*instance))
                    .collect()
            }
        };
        for instance in &instances {
            let generation = self.generation(connector, *instance);
            self.renew(connector.subject(*instance), uid, generation, Reason::Restarted);
        }
        Outcome::Restarting { instances }
    }

    fn task_configs(&mut self, connector: &ConnectorKey, uid: u64, rev: u64, tasks: Vec<super::id::Config>) {
        let Some(known) = self.state.connectors.get(connector) else { return };
        let current = known.uid == uid && known.rev == rev && known.target != Target::Stopped;
        let same = self.state.tasks.get(connector).is_some_and(|record| record.rev == rev && record.tasks == tasks);
        if current && !same {
            self.write_tasks(connector, rev, tasks);
        }
    }

    /// Replaces the task set of an existing connector, unless both are empty.
    fn write_tasks(&mut self, connector: &ConnectorKey, rev: u64, tasks: Vec<super::id::Config>) {
        let Some(known) = self.state.connectors.get(connector) else { return };
        let before = self.state.tasks.get(connector);
        if before.is_none() && tasks.is_empty() {
            return;
        }
        let generation = before.map_or(0, |record| record.generation) + 1;
        let (before_count, count) = (self.state.task_count(connector), tasks.len());
        let record = TasksRecord {
            uid: known.uid,
            rev,
            generation,
            config: known.config.clone(),
            plugins: known.plugins.clone(),
            tasks,
        };
        let uid = record.uid;
        self.put(Key::Tasks(connector.clone()), Value::Tasks(Box::new(record)));
        let count = u32::try_from(count).expect("a record of bounded size holds fewer tasks than u32 counts");
        for index in 0..count {
            self.renew(connector.subject(Instance::Task(index)), uid, generation, Reason::Configured);
        }
        for index in count..before_count {
            self.release(connector.subject(Instance::Task(index)));
        }
    }

    fn generation(&self, connector: &ConnectorKey, instance: Instance) -> u64 {
        match instance {
            Instance::Connector => 0,
            Instance::Task(_) => self.state.tasks.get(connector).map_or(0, |record| record.generation),
        }
    }

    /// Raises the epoch of an instance that is wanted: a new run, by the same owner when it has one.
    fn renew(&mut self, subject: Subject, uid: u64, generation: u64, reason: Reason) {
        let known = self.state.assign(&subject).cloned();
        let (epoch, owner, prev) = known.map_or((0, None, None), |record| (record.epoch, record.owner, record.prev));
        let epoch = epoch + u64::from(self.raised.insert(subject.clone()));
        self.load_changed |= owner.is_none();
        let record = AssignRecord { uid, generation, epoch, owner, prev, reason, failed: false };
        self.put(Key::Assign(subject), Value::Assign(record));
    }

    /// An instance that is to be stopped is no failure any more.
    fn forgive(&mut self, subject: Subject) {
        let Some(record) = self.state.assign(&subject).filter(|record| record.failed) else { return };
        let record = AssignRecord { failed: false, ..record.clone() };
        self.put(Key::Assign(subject), Value::Assign(record));
    }

    /// Takes an instance that is not wanted any more from its owner. The record stays until the owner has let go, and
    /// as long as the connector lives, so that epochs of a later task of this index go on from here.
    fn release(&mut self, subject: Subject) {
        let Some(mut record) = self.state.assign(&subject).cloned() else { return };
        let owner = record.owner.take();
        record.prev = record.prev.or(owner);
        record.epoch += u64::from(self.raised.insert(subject.clone()));
        record.reason = Reason::Removed;
        record.failed = false;
        self.load_changed = true;
        self.put_or_drop(subject, record);
    }

    fn released(&mut self, from: &Incarnation, subject: Subject, uid: u64, epoch: u64) {
        let Some(record) = self.state.assign(&subject) else { return };
        if record.prev.as_ref() == Some(from) && record.uid == uid && record.epoch == epoch {
            let record = AssignRecord { prev: None, ..record.clone() };
            self.put_or_drop(subject, record);
        }
    }

    /// Writes an assignment, or removes it when its connector is deleted and nobody holds the instance.
    fn put_or_drop(&mut self, subject: Subject, record: AssignRecord) {
        let held = record.owner.is_some() || record.prev.is_some();
        let value = (held || self.state.connectors.contains_key(&subject.connector)).then_some(Value::Assign(record));
        self.write(Key::Assign(subject), value);
    }

    /// Forgets the workers that are not in `members` and frees what they held.
    fn keep_members(&mut self, members: &BTreeSet<Incarnation>) {
        let gone: BTreeSet<_> =
            self.state.workers.keys().filter(|worker| !members.contains(*worker)).cloned().collect();
        for worker in &gone {
            self.write(Key::Worker(worker.clone()), None);
        }
        let held: Vec<(Subject, AssignRecord)> = self
            .state
            .assigns
            .iter()
            .flat_map(|(connector, instances)| {
                instances.iter().map(|(instance, record)| (connector.subject(*instance), record.clone()))
            })
            .filter(|(_, record)| {
                [&record.owner, &record.prev].into_iter().flatten().any(|worker| gone.contains(worker))
            })
            .collect();
        for (subject, mut record) in held {
            record.prev = record.prev.filter(|worker| !gone.contains(worker));
            if record.owner.as_ref().is_some_and(|worker| gone.contains(worker)) {
                record.owner = None;
                record.failed = false;
                record.epoch += u64::from(self.raised.insert(subject.clone()));
                record.reason = Reason::Placed;
            }
            self.load_changed = true;
            self.put_or_drop(subject, record);
        }
    }

    /// How many instances one round may move.
    fn moves_max(&self) -> usize {
        let held: usize = self.state.assigns.values().map(BTreeMap::len).sum();
        (held / 10).max(1)
    }

    /// Gives an owner to all that lack one, and moves at most `moves_max` instances. Answers whether any moved.
    fn place(&mut self, moves_max: usize) -> bool {
        if !self.load_changed && moves_max == 0 {
            return false;
        }
        let mut owners = BTreeMap::new();
        for connector in self.state.connectors.keys() {
            let tasks = (0..self.state.task_count(connector)).map(Instance::Task);
            for subject in std::iter::once(Instance::Connector).chain(tasks).map(|instance| connector.subject(instance))
            {
                let owner = self.state.assign(&subject).and_then(|record| record.owner.clone());
                owners.insert(subject, owner);
            }
        }
        let workers = self.state.workers.keys().cloned().collect();
        let mut any_moved = false;
        for (subject, placement) in assign(&workers, &owners, moves_max) {
            let Some(mut record) = self.state.assign(&subject).cloned() else { continue };
            // An owner that had to wait for its predecessor has run nothing: the predecessor stays the one to wait for.
            record.prev = record.prev.or(record.owner).filter(|prev| *prev != placement.owner);
            record.owner = Some(placement.owner);
            record.failed = false;
            if self.raised.insert(subject.clone()) {
                record.epoch += 1;
                record.reason = if placement.moved { Reason::Balanced } else { Reason::Placed };
            }
            any_moved |= placement.moved;
            self.put(Key::Assign(subject), Value::Assign(record));
        }
        any_moved
    }
}

fn too_large(value: &Value) -> Option<Outcome> {
    let bytes = value.encode().len();
    (bytes > RECORD_BYTES_MAX).then_some(Outcome::TooLarge { bytes })
}
