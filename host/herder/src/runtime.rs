//! One task that owns the cores, feeds them and carries out what they want.
//!
//! Its mailbox is bounded, its reads answer from what is stored, and it never waits for a plugin: calls of the
//! [`TaskHost`] run in tasks of their own. What it waits for is the journal, one append for each batch of requests.
//!
//! When the journal refuses a batch, the requests in it are answered as unavailable and the leader is built again from
//! what is stored; reports of the worker stay queued and are decided once the journal takes them. What runs, runs on.

mod offsets;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id, JoinError, JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::cluster::{
    Body, Config, ConnectorKey, Incarnation, Instance, Key, Millis, Outcome, PutConnector, RECORD_BYTES_MAX, Request,
    RequestId, RestartStatus, Revision, RunId, RunState, State, Target, Tenant, Value, Write, leader, worker,
};
use crate::handle::{
    ConnectorInfo, ConnectorStatus, Error, Handle, InstanceStatus, Message, Reply, Restarts, Verb, refusal,
};
use crate::host::{
    ConnectorSpec, Failure, HostEvent, Refusal, Reporter, TaskHost, TaskSpec, ValidateRequest, Validated,
};
use crate::journal::{BATCH_BYTES_MAX, Journal, JournalError};
use crate::runtime::offsets::OffsetCalls;

/// How many verbs may wait in the mailbox before callers wait to get in.
const MAILBOX_MAX: usize = 256;

/// How many verbs, and how many reports, are decided and stored together. A request and what it leads to are two records
/// of bounded size, which escaping at most doubles: twice this many stay below what the journal takes as one batch.
const BATCH_REQUESTS_MAX: usize = 16;

const _: () = assert!(2 * BATCH_REQUESTS_MAX * 2 * 2 * RECORD_BYTES_MAX < BATCH_BYTES_MAX);

/// How many configurations are checked at the same time.
const VALIDATIONS_MAX: usize = 64;

/// How often a configuration is checked again because others changed the connector meanwhile.
const VALIDATION_ATTEMPTS_MAX: u32 = 3;

/// How long to wait before the journal is tried again.
const JOURNAL_RETRY_MS: u64 = 1_000;

/// What the control plane is told about itself.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The cluster's name (Kafka Connect's `group.id`). A journal of another cluster is refused.
    pub cluster_id: String,
    /// This worker's name in status, `host:port`.
    pub worker_id: String,
    /// How long a run may take to stop (`task.shutdown.graceful.timeout.ms`).
    pub stop_grace: Duration,
    /// How long a configuration may take to be checked.
    pub validate_timeout: Duration,
    /// How long offsets may take to be read, or changed once the connector has stopped.
    pub offsets_timeout: Duration,
}

impl Settings {
    /// Kafka Connect's time-outs for a worker called `worker_id` in the cluster `cluster_id`.
    pub fn new(cluster_id: &str, worker_id: &str) -> Settings {
        Settings {
            cluster_id: cluster_id.to_owned(),
            worker_id: worker_id.to_owned(),
            stop_grace: Duration::from_secs(5),
            validate_timeout: Duration::from_secs(90),
            offsets_timeout: Duration::from_secs(90),
        }
    }
}

/// Why the control plane does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal cannot be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal is another cluster's.
    #[error(
        "the journal belongs to cluster {found:?}, this worker to {expected:?}; name another data directory or group"
    )]
    OtherCluster {
        /// What the journal says.
        found: String,
        /// What the settings say.
        expected: String,
    },
}

/// Starts the control plane over `journal`: everything that was RUNNING starts again. The task ends after
/// [`Handle::shutdown`], or when all handles are dropped.
pub async fn start<H: TaskHost>(
    settings: Settings,
    journal: Journal,
    host: H,
) -> Result<(Handle, JoinHandle<()>), StartError> {
    let stored = journal.state()?;
    let mut state = State::default();
    stored.iter().cloned().for_each(|write| state.apply(write));
    if let Some(cluster) = state.cluster.filter(|cluster| cluster.id != settings.cluster_id) {
        return Err(StartError::OtherCluster { found: cluster.id, expected: settings.cluster_id });
    }
    let reigns = state.leader.map_or(0, |leader| leader.epoch);
    let me = Incarnation(format!("{}#{}", settings.worker_id, reigns + 1));
    let grace_ms = u64::try_from(settings.stop_grace.as_millis()).unwrap_or(u64::MAX);

    let (sender, mailbox) = mpsc::channel(MAILBOX_MAX);
    let (host_sender, host_events) = mpsc::channel(MAILBOX_MAX);
    let mut runtime = Runtime {
        worker: worker::Worker::new(me.clone(), grace_ms),
        settings,
        me,
        host: Arc::new(host),
        journal: Some(journal),
        leader: None,
        lead_at: None,
        statuses: BTreeMap::new(),
        started: Instant::now(),
        mailbox,
        host_sender,
        host_events,
        calls: JoinSet::new(),
        calls_by_id: HashMap::new(),
        aborts: BTreeMap::new(),
        validations: JoinSet::new(),
        validations_by_id: HashMap::new(),
        offset_calls: OffsetCalls::default(),
        reports: VecDeque::new(),
        queue: VecDeque::new(),
        requests_made: 0,
        leaving: Vec::new(),
        left: false,
    };
    runtime.tell_worker(worker::Event::Decided(stored));
    runtime.lead().await?;
    let hello = Body::Hello { name: runtime.settings.worker_id.clone() };
    runtime.reports.push_front(hello);
    runtime.decide_all().await;
    let handle = Handle { tenant: Tenant::default(), mailbox: sender };
    Ok((handle, tokio::spawn(runtime.run())))
}

struct Runtime<H> {
    settings: Settings,
    me: Incarnation,
    host: Arc<H>,
    /// Absent only while a batch is being appended.
    journal: Option<Journal>,
    /// Absent after the journal refused a batch, until it is read again.
    leader: Option<leader::Leader>,
    /// When to try to lead again.
    lead_at: Option<Millis>,
    worker: worker::Worker,
    statuses: BTreeMap<crate::cluster::Subject, worker::Status>,
    started: Instant,
    mailbox: mpsc::Receiver<Message>,
    host_sender: mpsc::Sender<HostEvent>,
    host_events: mpsc::Receiver<HostEvent>,
    calls: JoinSet<worker::Event>,
    calls_by_id: HashMap<Id, RunId>,
    aborts: BTreeMap<RunId, AbortHandle>,
    validations: JoinSet<Result<Validated, Refusal>>,
    validations_by_id: HashMap<Id, Put>,
    offset_calls: OffsetCalls,
    /// What the worker wants decided.
    reports: VecDeque<Body>,
    /// What the API wants decided.
    queue: VecDeque<(Body, Waiter)>,
    requests_made: u64,
    leaving: Vec<Reply<()>>,
    left: bool,
}

/// A configuration on its way from being checked to being decided.
struct Put {
    connector: ConnectorKey,
    config: Config,
    create: Option<Target>,
    checked_against: Option<Revision>,
    attempts: u32,
    reply: Reply<(bool, ConnectorInfo)>,
}

/// Who waits for an outcome, and how it is worded.
enum Waiter {
    Put(Put),
    Unit { connector: ConnectorKey, verb: Verb, reply: Reply<()> },
    Restart { connector: ConnectorKey, before: Option<ConnectorStatus>, reply: Reply<ConnectorStatus> },
    Publish { reply: Reply<()> },
}

impl<H: TaskHost> Runtime<H> {
    async fn run(mut self) {
        let mut open = true;
        while !self.left {
            let deadline = self.deadline();
            let sleep =
                tokio::time::sleep_until(deadline.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600)));
            tokio::select! {
                message = self.mailbox.recv(), if open => match message {
                    Some(message) => self.take(message),
                    None => {
                        open = false;
                        self.tell_worker(worker::Event::Leave);
                    }
                },
                Some(event) = self.host_events.recv() => self.take_host_event(event),
                Some(result) = self.calls.join_next_with_id() => self.take_call(result),
                Some(result) = self.validations.join_next_with_id() => self.take_validation(result),
                () = self.offset_calls.ended() => {}
                () = sleep, if deadline.is_some() => self.tick().await,
            }
            // What has come in meanwhile is decided and stored together with it.
            while self.queue.len() < BATCH_REQUESTS_MAX {
                let Ok(message) = self.mailbox.try_recv() else { break };
                self.take(message);
            }
            self.decide_all().await;
            self.begin_offset_calls();
        }
        for reply in self.leaving.drain(..) {
            answer(reply, Ok(()));
        }
    }

    fn now(&self) -> Millis {
        Millis(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn deadline(&self) -> Option<Instant> {
        let leader = self.leader.as_ref().and_then(leader::Leader::deadline);
        let earliest = leader.into_iter().chain(self.worker.deadline()).chain(self.lead_at).min()?;
        // One more, since a clock of whole milliseconds is behind the one that wakes.
        Some(self.started + Duration::from_millis(earliest.0.saturating_add(1)))
    }

    async fn tick(&mut self) {
        self.tell_worker(worker::Event::Tick);
        let now = self.now();
        if self.lead_at.is_some_and(|at| now >= at)
            && let Err(error) = self.lead().await
        {
            tracing::error!(%error, "the journal still refuses decisions");
            self.lead_at = Some(self.now().plus(JOURNAL_RETRY_MS));
        }
        let mut commands = Vec::new();
        if let Some(leader) = &mut self.leader {
            leader.step(now, leader::Event::Tick, &mut commands);
        }
        if let Err(error) = self.commit(&[], commands).await {
            self.stop_leading(&error);
        }
    }

    /// Reads what is stored and begins a reign.
    async fn lead(&mut self) -> Result<(), JournalError> {
        let stored = self.journal.as_ref().expect("no append is under way").state()?;
        let (now, mut leader, mut commands) = (self.now(), leader::Leader::default(), Vec::new());
        for write in stored {
            leader.step(now, leader::Event::Record(write), &mut commands);
        }
        let cluster = self.settings.cluster_id.clone();
        let members = BTreeSet::from([self.me.clone()]);
        leader.step(now, leader::Event::Lead { cluster, me: self.me.clone(), members }, &mut commands);
        self.commit(&[], commands).await?;
        self.leader = Some(leader);
        self.lead_at = None;
        Ok(())
    }

    fn stop_leading(&mut self, error: &JournalError) {
        tracing::error!(%error, "a decision could not be stored");
        self.leader = None;
        self.lead_at = Some(self.now().plus(JOURNAL_RETRY_MS));
    }

    /// Decides what is queued, and what that leads to, until nothing is left.
    async fn decide_all(&mut self) {
        while !self.queue.is_empty() || (self.leader.is_some() && !self.reports.is_empty()) {
            self.decide().await;
        }
    }

    /// Decides one batch and answers its requests.
    async fn decide(&mut self) {
        let reports: Vec<Body> = self.reports.drain(..self.reports.len().min(BATCH_REQUESTS_MAX)).collect();
        let asked = self.queue.drain(..self.queue.len().min(BATCH_REQUESTS_MAX));
        let (bodies, waiters): (Vec<Body>, Vec<Waiter>) = asked.unzip();
        let requests: Vec<Request> = reports.iter().cloned().chain(bodies).map(|body| self.request(body)).collect();

        let now = self.now();
        let result = match &mut self.leader {
            None => Err(None),
            Some(leader) => {
                let first = self.journal.as_ref().expect("no append is under way").next_request();
                let numbered = (first..).zip(requests.iter().cloned()).collect();
                let mut commands = Vec::new();
                leader.step(now, leader::Event::Requests(numbered), &mut commands);
                self.commit(&requests, commands).await.map_err(Some)
            }
        };
        let asked = requests.into_iter().skip(reports.len()).map(|request| request.id);
        match result {
            Ok(outcomes) => {
                for (id, waiter) in asked.zip(waiters) {
                    let outcome = outcomes.get(&id).expect("each request of the API has an outcome").clone();
                    self.settle(waiter, outcome);
                }
            }
            Err(error) => {
                reports.into_iter().rev().for_each(|report| self.reports.push_front(report));
                let message = match &error {
                    Some(error) => format!("the decision could not be stored: {error}"),
                    None => "decisions cannot be stored at the moment".to_owned(),
                };
                if let Some(error) = &error {
                    self.stop_leading(error);
                }
                waiters.into_iter().for_each(|waiter| waiter.fail(Error::Unavailable { message: message.clone() }));
            }
        }
    }

    fn request(&mut self, body: Body) -> Request {
        self.requests_made += 1;
        Request { id: RequestId(format!("{}-{}", self.me, self.requests_made)), from: self.me.clone(), body }
    }

    /// Stores what the leader decided and lets the worker act on it. Returns the outcomes in it.
    async fn commit(
        &mut self,
        requests: &[Request],
        commands: Vec<leader::Command>,
    ) -> Result<BTreeMap<RequestId, Outcome>, JournalError> {
        let mut outcomes = BTreeMap::new();
        for leader::Command::Commit(writes) in commands {
            let mut journal = self.journal.take().expect("no append is under way");
            let requests = requests.to_vec();
            let appended = tokio::task::spawn_blocking(move || {
                let result = journal.append(&requests, &writes);
                (journal, result, writes)
            });
            let (journal, result, writes) = match appended.await {
                Ok(appended) => appended,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            };
            self.journal = Some(journal);
            result?;
            for Write { key, value } in &writes {
                if let (Key::Request(id), Some(Value::Outcome(outcome))) = (key, value) {
                    outcomes.insert(id.clone(), outcome.clone());
                }
            }
            self.tell_worker(worker::Event::Decided(writes));
        }
        Ok(outcomes)
    }

    /// Tells the worker's core and carries out what it wants.
    fn tell_worker(&mut self, event: worker::Event) {
        let mut commands = Vec::new();
        self.worker.step(self.now(), event, &mut commands);
        for command in commands {
            match command {
                worker::Command::Call(run, call) => self.call(run, call),
                worker::Command::Abandon(run) => {
                    if let Some(abort) = self.aborts.remove(&run) {
                        abort.abort();
                    }
                    self.host.abandon(&run);
                }
                worker::Command::Report(body) => self.reports.push_back(body),
                worker::Command::PutStatus(subject, status) => {
                    tracing::info!(instance = %subject, state = %status.state, "state changed");
                    self.statuses.insert(subject, status);
                }
                worker::Command::ClearStatus(subject) => {
                    self.statuses.remove(&subject);
                }
                worker::Command::Left => self.left = true,
            }
        }
    }

    fn call(&mut self, run: RunId, call: worker::Call) {
        let (host, id) = (self.host.clone(), run.clone());
        let returned = |id, result: Result<(), Failure>| worker::Event::Returned(id, result.map_err(call_error));
        let abort = match call {
            worker::Call::Start(start) => {
                let reporter = Reporter::new(id.clone(), self.host_sender.clone());
                self.calls.spawn(async move {
                    let result = start_run(&*host, id.clone(), *start, reporter).await;
                    returned(id, result)
                })
            }
            worker::Call::Pause => self.calls.spawn(async move { returned(id.clone(), host.pause(id).await) }),
            worker::Call::Resume => self.calls.spawn(async move { returned(id.clone(), host.resume(id).await) }),
            worker::Call::TaskConfigs { tasks_max } => self.calls.spawn(async move {
                let result = host.task_configs(id.clone(), tasks_max).await;
                worker::Event::TaskConfigs(id, result.map_err(call_error))
            }),
            worker::Call::Stop { grace_ms } => self.calls.spawn(async move {
                host.stop(id.clone(), Duration::from_millis(grace_ms)).await;
                worker::Event::Stopped(id)
            }),
        };
        self.calls_by_id.insert(abort.id(), run.clone());
        self.aborts.insert(run, abort);
    }

    fn take_call(&mut self, result: Result<(Id, worker::Event), JoinError>) {
        let id = result.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some(run) = self.calls_by_id.remove(&id) else { return };
        if self.aborts.get(&run).is_some_and(|abort| abort.id() == id) {
            self.aborts.remove(&run);
        } else if result.is_ok() {
            // Abandoned, and yet it came to its end: it was at work at that very moment. What it started must go, too.
            self.host.abandon(&run);
        }
        match result {
            Ok((_, event)) => self.tell_worker(event),
            Err(error) if error.is_cancelled() => {}
            Err(error) => {
                let failure = Failure::fatal(format!("a call of the host panicked: {error}"));
                self.tell_worker(worker::Event::Failed(run, call_error(failure)));
            }
        }
    }

    fn take_host_event(&mut self, event: HostEvent) {
        self.tell_worker(match event {
            HostEvent::Failed(run, failure) => worker::Event::Failed(run, call_error(failure)),
            HostEvent::Reconfigure(run) => worker::Event::Reconfigure(run),
        });
    }

    fn take(&mut self, message: Message) {
        let state = self.worker.state();
        match message {
            Message::Put { connector, config, create, reply } => {
                self.validate(Put { connector, config, create, checked_against: None, attempts: 0, reply });
            }
            Message::Delete { connector, reply } if self.offset_calls.is_changing(&connector) => {
                answer(reply, Err(offsets::under_way(&connector)));
            }
            Message::Delete { connector, reply } => {
                let waiter = Waiter::Unit { connector: connector.clone(), verb: Verb::Other, reply };
                self.queue.push_back((Body::DeleteConnector { connector }, waiter));
            }
            Message::SetTarget { connector, target, reply }
                if target != Target::Stopped && self.offset_calls.is_changing(&connector) =>
            {
                answer(reply, Err(offsets::under_way(&connector)));
            }
            Message::SetTarget { connector, target, reply } => {
                let waiter = Waiter::Unit { connector: connector.clone(), verb: Verb::Target, reply };
                self.queue.push_back((Body::SetTarget { connector, target }, waiter));
            }
            Message::Restart { connector, scope, reply } => {
                let before = self.status(&connector);
                let waiter = Waiter::Restart { connector: connector.clone(), before, reply };
                self.queue.push_back((Body::Restart { connector, scope }, waiter));
            }
            Message::Publish { manifest, reply } => {
                self.enqueue(Body::PublishPlugin { manifest }, Waiter::Publish { reply });
            }
            Message::List { tenant, reply } => {
                let of_tenant = state.connectors.keys().filter(|connector| connector.tenant == tenant);
                answer(reply, Ok(of_tenant.map(|connector| connector.name.clone()).collect()));
            }
            Message::Info { connector, reply } => {
                answer(reply, self.info(&connector).ok_or_else(|| Error::unknown_connector(&connector)));
            }
            Message::Status { connector, reply } => {
                let message = format!("No status found for connector {}", connector.name);
                answer(reply, self.status(&connector).ok_or(Error::NotFound { message }));
            }
            Message::TaskConfigs { connector, reply } => {
                let known = state.connectors.contains_key(&connector);
                let configs = || state.tasks.get(&connector).map(|set| set.tasks.clone()).unwrap_or_default();
                answer(reply, known.then(configs).ok_or_else(|| Error::unknown_connector(&connector)));
            }
            Message::Offsets { connector, reply } => self.read_offsets(connector, reply),
            Message::ChangeOffsets { connector, change, reply } => self.change_offsets(connector, change, reply),
            Message::Plugins { reply } => answer(reply, Ok(state.plugins.values().cloned().collect())),
            Message::Tags { reply } => answer(reply, Ok(state.tags.clone())),
            Message::Ping { reply } => answer(reply, Ok(())),
            Message::Stop { reply } => {
                self.leaving.push(reply);
                self.tell_worker(worker::Event::Leave);
            }
        }
    }

    /// Has a configuration checked against what the connector is now.
    fn validate(&mut self, put: Put) {
        if self.validations.len() >= VALIDATIONS_MAX {
            let message = format!("{VALIDATIONS_MAX} configurations are being checked already; try again later");
            return answer(put.reply, Err(Error::Unavailable { message }));
        }
        let current = self.worker.state().connectors.get(&put.connector);
        let put = Put {
            checked_against: current.map(|record| Revision { uid: record.uid, rev: record.rev }),
            attempts: put.attempts + 1,
            ..put
        };
        let request = ValidateRequest {
            connector: put.connector.clone(),
            config: put.config.clone(),
            pinned: current.map(|record| record.plugins.clone()).unwrap_or_default(),
        };
        let (host, timeout) = (self.host.clone(), self.settings.validate_timeout);
        let abort = self.validations.spawn(async move {
            let timed_out = |_| {
                let message = format!("the configuration was not checked within {} ms", timeout.as_millis());
                Err(Refusal::Unavailable { message })
            };
            tokio::time::timeout(timeout, host.validate(request)).await.unwrap_or_else(timed_out)
        });
        self.validations_by_id.insert(abort.id(), put);
    }

    fn take_validation(&mut self, result: Result<(Id, Result<Validated, Refusal>), JoinError>) {
        let id = result.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some(put) = self.validations_by_id.remove(&id) else { return };
        let validated = match result {
            Ok((_, Ok(validated))) => validated,
            Ok((_, Err(refusal))) => return answer(put.reply, Err(refusal.into())),
            Err(error) => {
                let message = format!("checking the configuration panicked: {error}");
                return answer(put.reply, Err(Error::Unavailable { message }));
            }
        };
        let body = PutConnector {
            connector: put.connector.clone(),
            create: put.create.is_some(),
            checked_against: put.checked_against,
            kind: validated.kind,
            version: validated.version,
            config: put.config.clone(),
            plugins: validated.plugins,
            tasks_max: validated.tasks_max,
            restart: validated.restart,
            target: put.create.unwrap_or_default(),
        };
        self.enqueue(Body::PutConnector(Box::new(body)), Waiter::Put(put));
    }

    /// Queues a request whose size others choose, unless it is too large for the log.
    fn enqueue(&mut self, body: Body, waiter: Waiter) {
        let request = self.request(body);
        let bytes = request.encode().len();
        match bytes > RECORD_BYTES_MAX {
            true => self.settle(waiter, Outcome::TooLarge { bytes }),
            false => self.queue.push_back((request.body, waiter)),
        }
    }

    /// Answers a request with its outcome.
    fn settle(&mut self, waiter: Waiter, outcome: Outcome) {
        match waiter {
            Waiter::Put(put) if outcome == Outcome::Stale && put.attempts < VALIDATION_ATTEMPTS_MAX => {
                self.validate(put)
            }
            Waiter::Put(put) => {
                let result = match refusal(&outcome, &put.connector, Verb::Other) {
                    Some(error) => Err(error),
                    // Another request of the same batch may have deleted it again.
                    None => self.info(&put.connector).ok_or_else(|| Error::unknown_connector(&put.connector)),
                };
                answer(put.reply, result.map(|info| (outcome == Outcome::Created, info)));
            }
            Waiter::Unit { connector, verb, reply } => {
                answer(reply, refusal(&outcome, &connector, verb).map_or(Ok(()), Err));
            }
            Waiter::Publish { reply } => {
                let no_connector = ConnectorKey::plain("");
                answer(reply, refusal(&outcome, &no_connector, Verb::Other).map_or(Ok(()), Err));
            }
            Waiter::Restart { connector, before, reply } => {
                let result = match (refusal(&outcome, &connector, Verb::Restart), outcome) {
                    (Some(error), _) => Err(error),
                    (None, Outcome::Restarting { instances }) => before
                        .or_else(|| self.status(&connector))
                        .map(|before| restarting(before, &instances))
                        .ok_or_else(|| Error::unknown_connector(&connector)),
                    (None, other) => unreachable!("a restart is answered with {other:?}"),
                };
                answer(reply, result);
            }
        }
    }

    fn info(&self, key: &ConnectorKey) -> Option<ConnectorInfo> {
        let state = self.worker.state();
        let connector = state.connectors.get(key)?;
        Some(ConnectorInfo {
            name: key.name.clone(),
            config: connector.config.clone(),
            kind: connector.kind,
            version: connector.version.clone(),
            plugins: connector.plugins.clone(),
            target: connector.target,
            tasks: state.task_count(key),
        })
    }

    fn restarts(&self, status: RestartStatus) -> Restarts {
        let RestartStatus { attempts, attempts_max, at } = status;
        Restarts { attempts, attempts_max, next_in_ms: at.map(|at| at.since(self.now())) }
    }

    fn status(&self, key: &ConnectorKey) -> Option<ConnectorStatus> {
        let state = self.worker.state();
        let connector = state.connectors.get(key)?;
        let instance = |instance| {
            let subject = key.subject(instance);
            let owner = state.assign(&subject).and_then(|assign| assign.owner.as_ref());
            let published = self.statuses.get(&subject).filter(|status| status.uid == connector.uid);
            InstanceStatus {
                state: published.map_or(RunState::Unassigned, |status| status.state),
                worker_id: owner
                    .and_then(|owner| state.workers.get(owner))
                    .map_or_else(String::new, |w| w.name.clone()),
                trace: published.and_then(|status| status.trace.clone()),
                version: connector.version.clone(),
                restarts: published.and_then(|status| status.restart).map(|restart| self.restarts(restart)),
            }
        };
        Some(ConnectorStatus {
            name: key.name.clone(),
            kind: connector.kind,
            connector: instance(Instance::Connector),
            tasks: (0..state.task_count(key)).map(|index| instance(Instance::Task(index))).collect(),
        })
    }
}

impl Waiter {
    fn fail(self, error: Error) {
        match self {
            Waiter::Put(put) => answer(put.reply, Err(error)),
            Waiter::Unit { reply, .. } | Waiter::Publish { reply } => answer(reply, Err(error)),
            Waiter::Restart { reply, .. } => answer(reply, Err(error)),
        }
    }
}

async fn start_run<H: TaskHost>(host: &H, run: RunId, start: worker::Start, reporter: Reporter) -> Result<(), Failure> {
    let worker::Start { kind, config, plugins, task, generation, target } = start;
    match task {
        None => host.start_connector(ConnectorSpec { run, kind, config, plugins, target }, reporter).await,
        Some((task_config, tasks)) => {
            let spec = TaskSpec { run, kind, config, task_config, tasks, generation, plugins, target };
            host.start_task(spec, reporter).await
        }
    }
}

fn call_error(failure: Failure) -> worker::CallError {
    let Failure { trace, retriable, invalid } = failure;
    worker::CallError { trace, retriable, invalid }
}

/// `status` with `instances` shown as restarting.
fn restarting(mut status: ConnectorStatus, instances: &[Instance]) -> ConnectorStatus {
    for instance in instances {
        let shown = match instance {
            Instance::Connector => Some(&mut status.connector),
            Instance::Task(index) => status.tasks.get_mut(*index as usize),
        };
        if let Some(shown) = shown {
            shown.state = RunState::Restarting;
        }
    }
    status
}

/// Answers; somebody who no longer waits is no error.
fn answer<T>(reply: Reply<T>, result: Result<T, Error>) {
    drop(reply.send(result));
}
