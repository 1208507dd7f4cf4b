//! The seam to the data plane: everything the control plane wants done, and nothing it decides.
//!
//! The runtime calls a [`TaskHost`] and never waits for it: each returned future runs in a task of its own and its
//! result comes back through the herder's mailbox. A plugin that hangs therefore holds up its own run and nobody else.

use std::future::Future;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::cluster::{Config, ConnectorKey, ConnectorKind, Plugins, RestartPolicy, RunId, Target};
use crate::offsets::{OffsetsChange, OffsetsChanged, OffsetsError, OffsetsSpec, PartitionOffset};

/// Why something asked of the host did not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What status shows as the trace: what, detail, hint, and the guest's last words.
    pub trace: String,
    /// Whether asking again later can help. Only [`TaskHost::task_configs`] is repeated; any other failure makes the
    /// instance FAILED.
    pub retriable: bool,
    /// Whether nothing but another configuration can help: such an instance is never restarted on its own, whatever
    /// the connector's [`RestartPolicy`] says.
    pub invalid: bool,
}

impl Failure {
    /// A failure that stays until somebody restarts the instance.
    pub fn fatal(trace: impl Into<String>) -> Failure {
        Failure { trace: trace.into(), retriable: false, invalid: false }
    }

    /// A failure that stays until somebody changes the configuration.
    pub fn invalid(trace: impl Into<String>) -> Failure {
        Failure { trace: trace.into(), retriable: false, invalid: true }
    }

    /// A failure that may be gone at the next attempt.
    pub fn retriable(trace: impl Into<String>) -> Failure {
        Failure { trace: trace.into(), retriable: true, invalid: false }
    }
}

/// One key of a configuration and what is wrong with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key; empty when the problem is about the configuration as a whole.
    pub key: String,
    /// What is wrong, as Kafka Connect words it.
    pub message: String,
}

/// A configuration to be checked before it is written.
#[derive(Clone, Debug)]
pub struct ValidateRequest {
    /// The connector it is for.
    pub connector: ConnectorKey,
    /// The configuration, `name` included.
    pub config: Config,
    /// What the connector is pinned to now; empty for a new one. A role whose plugin name and version did not change
    /// keeps its digest.
    pub pinned: Plugins,
}

/// What a good configuration resolves to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validated {
    /// Source or sink.
    pub kind: ConnectorKind,
    /// Version of the connector's plugin, for status.
    pub version: Option<String>,
    /// The most tasks the configuration allows (`tasks.max`).
    pub tasks_max: u32,
    /// How its instances are restarted on their own (`tasks.restart.*`); none: not at all.
    pub restart: Option<RestartPolicy>,
    /// The digest for each role, pinned from now on.
    pub plugins: Plugins,
}

/// Why a configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The author must change it. `message` is the whole text for people; `problems` has one entry for each key.
    Invalid {
        /// The text of the answer.
        message: String,
        /// All problems at once.
        problems: Vec<Problem>,
    },
    /// It could not be checked now (a plugin that does not answer, a store out of reach).
    Unavailable {
        /// The text of the answer.
        message: String,
    },
}

/// A connector instance to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectorSpec {
    /// Names this run in every later call.
    pub run: RunId,
    /// Source or sink.
    pub kind: ConnectorKind,
    /// The connector's configuration.
    pub config: Config,
    /// The bytes it must run.
    pub plugins: Plugins,
    /// `Running`, or `Paused` to come up without acting. Never `Stopped`.
    pub target: Target,
}

/// A task to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskSpec {
    /// Names this run in every later call.
    pub run: RunId,
    /// Source or sink.
    pub kind: ConnectorKind,
    /// The connector's configuration from which `task_config` was made: converters, transforms, error policy.
    pub config: Config,
    /// What the connector handed to this task.
    pub task_config: Config,
    /// How many tasks the connector has.
    pub tasks: u32,
    /// Which set of task configurations of the connector it is of: grows with each set.
    pub generation: u64,
    /// The bytes it must run.
    pub plugins: Plugins,
    /// `Running`, or `Paused` to come up without moving records. Never `Stopped`.
    pub target: Target,
}

/// What a host says about a run on its own initiative. Cheap to clone; outlives the run harmlessly.
#[derive(Clone, Debug)]
pub struct Reporter {
    run: RunId,
    mailbox: mpsc::Sender<HostEvent>,
}

/// A host's own word about one of its runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostEvent {
    /// The run has ended with an error; nothing of it is left.
    Failed(RunId, Failure),
    /// The connector wants to be asked for its task configurations again.
    Reconfigure(RunId),
}

impl Reporter {
    /// A reporter for `run` that speaks into `mailbox`. The runtime makes them; tests of hosts may.
    pub fn new(run: RunId, mailbox: mpsc::Sender<HostEvent>) -> Reporter {
        Reporter { run, mailbox }
    }

    /// The run this reporter speaks for.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// The run has ended with an error after it was started. Waits while the herder's mailbox is full.
    pub async fn failed(&self, failure: Failure) {
        self.send(HostEvent::Failed(self.run.clone(), failure)).await;
    }

    /// The connector instance wants new task configurations (its `refresh` found a change).
    pub async fn reconfigure(&self) {
        self.send(HostEvent::Reconfigure(self.run.clone())).await;
    }

    async fn send(&self, event: HostEvent) {
        if self.mailbox.send(event).await.is_err() {
            tracing::debug!(run = %self.run, "the herder has stopped, a report is dropped");
        }
    }
}

/// Runs connectors and tasks.
///
/// Calls about one run never overlap, except [`abandon`](TaskHost::abandon), which may come at any time and after
/// which the futures of earlier calls about that run are dropped. Runs of the same subject never overlap either, save
/// an abandoned one with its successor. No method may block: long work belongs into the returned future.
pub trait TaskHost: Send + Sync + 'static {
    /// Checks a configuration and resolves its plugins. Bounded by the runtime's time-out, after which the future is
    /// dropped.
    fn validate(&self, request: ValidateRequest) -> impl Future<Output = Result<Validated, Refusal>> + Send;

    /// Starts a connector instance. Ready when it has started.
    fn start_connector(
        &self,
        spec: ConnectorSpec,
        reporter: Reporter,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Starts a task. Ready when it has started; what goes wrong later goes to `reporter`.
    fn start_task(&self, spec: TaskSpec, reporter: Reporter) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Asks a running connector instance to split its work into at most `tasks_max` tasks.
    fn task_configs(&self, run: RunId, tasks_max: u32) -> impl Future<Output = Result<Vec<Config>, Failure>> + Send;

    /// Stops moving records; resources stay.
    fn pause(&self, run: RunId) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Moves records again after a pause.
    fn resume(&self, run: RunId) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Stops a run and commits what can be committed within `grace`. When the future is not ready by then the run is
    /// abandoned.
    fn stop(&self, run: RunId, grace: Duration) -> impl Future<Output = ()> + Send;

    /// The committed offsets of a connector, whatever it is doing. Bounded by the runtime's time-out, as the next.
    fn offsets(&self, of: OffsetsSpec) -> impl Future<Output = Result<Vec<PartitionOffset>, OffsetsError>> + Send;

    /// Changes the committed offsets of a connector of which nothing runs, after its plugin was asked. Nothing of it starts
    /// before the future is ready or dropped.
    fn change_offsets(
        &self,
        of: OffsetsSpec,
        change: OffsetsChange,
    ) -> impl Future<Output = Result<OffsetsChanged, OffsetsError>> + Send;

    /// Drops whatever is left of a run, at once and without its help. Also called for a run that failed and for one
    /// the host no longer knows.
    fn abandon(&self, run: &RunId);
}
