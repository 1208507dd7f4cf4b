//! The worker as the control plane sees it: starts, pauses and stops connectors and tasks.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidegate_config::Problem;
use tidegate_config::worker::WorkerConfig;
use tidegate_engine::Engine;
use tidegate_herder::{
    Config, ConnectorKey, ConnectorKind, ConnectorSpec, Failure, Instance, OffsetsChange, OffsetsChanged, OffsetsError,
    OffsetsSpec, PartitionOffset, Refusal, Reporter, RunId, TaskHost, TaskSpec, ValidateRequest, Validated,
};
use tokio::task::JoinHandle;

use crate::catalog::Catalog;
use crate::connector::Connector;
use crate::control::TaskHandle;
use crate::fencing::Fencing;
use crate::instances::Instances;
use crate::metrics::Metrics;
use crate::offsets::OffsetStore;
use crate::own_offsets::OwnStores;
use crate::shared::Shared;
use crate::{operator_offsets, sink_task, source_task, validate};

/// Runs connectors and tasks of one process.
#[derive(Debug)]
pub struct Worker {
    shared: Arc<Shared>,
    runs: Mutex<HashMap<RunId, Run>>,
}

/// What a worker is made of.
#[derive(Debug)]
pub struct WorkerParts {
    pub config: WorkerConfig,
    /// Where relative paths in configurations start; absolute.
    pub directory: String,
    pub engine: Engine,
    pub catalog: Arc<Catalog>,
    pub offsets: OffsetStore,
    pub metrics: Arc<Metrics>,
}

enum Run {
    /// Its start is under way.
    Starting,
    Connector(Connector),
    Task(TaskHandle),
}

/// A change of offsets that is under way. Dropping it drops what of it was not done.
struct Call(JoinHandle<Result<OffsetsChanged, OffsetsError>>);

impl Drop for Call {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A start that is under way. A failed one, and one whose future is dropped, leaves nothing behind.
struct Starting<'w> {
    worker: &'w Worker,
    run: RunId,
}

impl Starting<'_> {
    /// Puts what was started in its place. If the run was abandoned meanwhile it ends here: nobody would end it later.
    fn finish(self, started: Run) -> Result<(), Failure> {
        match self.worker.runs().get_mut(&self.run) {
            Some(place) => *place = started,
            None => {
                started.end();
                return Err(Failure::fatal("abandoned while it was started"));
            }
        }
        Ok(())
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        let mut runs = self.worker.runs();
        if let Some(Run::Starting) = runs.get(&self.run) {
            runs.remove(&self.run);
        }
        // An abandoned start may have made numbers and a budget since.
        self.worker.forget_unless_run(&runs, &self.run.subject.connector);
    }
}

impl Run {
    /// Ends it at once and without its help.
    fn end(self) {
        if let Run::Task(task) = self {
            task.kill();
        }
    }
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Run::Starting => "starting",
            Run::Connector(_) => "connector",
            Run::Task(_) => "task",
        })
    }
}

impl Worker {
    pub fn new(parts: WorkerParts) -> Worker {
        let WorkerParts { config, directory, engine, catalog, offsets, metrics } = parts;
        let instances = Instances::new(config.sandbox.clone(), directory);
        let (fencing, own_offsets) = (Fencing::default(), OwnStores::default());
        let shared = Shared { config, engine, catalog, instances, offsets, metrics, fencing, own_offsets };
        Worker { shared: Arc::new(shared), runs: Mutex::default() }
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<RunId, Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a run is being started, so that it can be abandoned from now on.
    fn starting(&self, run: &RunId) -> Starting<'_> {
        self.runs().insert(run.clone(), Run::Starting);
        Starting { worker: self, run: run.clone() }
    }

    fn remove(&self, run: &RunId) -> Option<Run> {
        let mut runs = self.runs();
        let removed = runs.remove(run)?;
        if let Instance::Task(task) = run.subject.instance {
            self.shared.metrics.ended(&run.subject.connector.name, task);
        }
        self.forget_unless_run(&runs, &run.subject.connector);
        Some(removed)
    }

    /// With the last run of a connector go its numbers and its place in the budget.
    fn forget_unless_run(&self, runs: &HashMap<RunId, Run>, connector: &ConnectorKey) {
        if !runs.keys().any(|other| other.subject.connector == *connector) {
            self.shared.metrics.forget(&connector.name);
            self.shared.fencing.forget(connector);
            self.shared.instances.forget(&connector.tenant, &connector.name);
        }
    }

    /// The handle of a running task; none for a connector instance or a run that has ended.
    fn task(&self, run: &RunId) -> Option<TaskHandle> {
        match self.runs().get(run) {
            Some(Run::Task(task)) => Some(task.clone()),
            _ => None,
        }
    }
}

impl TaskHost for Worker {
    fn validate(&self, request: ValidateRequest) -> impl Future<Output = Result<Validated, Refusal>> + Send {
        let shared = self.shared.clone();
        // Guests are called on their own threads; a hanging one must not occupy the control plane's.
        let engine = shared.engine.clone();
        let validation = engine.spawn(async move { validate::validate(&shared, request).await });
        async move {
            validation.await.unwrap_or_else(|_| {
                Err(Refusal::Unavailable { message: "validation crashed, see the worker's log".to_owned() })
            })
        }
    }

    async fn start_connector(&self, spec: ConnectorSpec, reporter: Reporter) -> Result<(), Failure> {
        let starting = self.starting(&spec.run);
        let connector = Connector::start(&self.shared, spec, reporter).await?;
        starting.finish(Run::Connector(connector))
    }

    async fn start_task(&self, spec: TaskSpec, reporter: Reporter) -> Result<(), Failure> {
        let starting = self.starting(&spec.run);
        let task = match spec.kind {
            ConnectorKind::Source => source_task::start(self.shared.clone(), spec, reporter).await?,
            ConnectorKind::Sink => sink_task::start(self.shared.clone(), spec, reporter).await?,
        };
        starting.finish(Run::Task(task))
    }

    async fn task_configs(&self, run: RunId, tasks_max: u32) -> Result<Vec<Config>, Failure> {
        let asked = match self.runs().get(&run) {
            Some(Run::Connector(connector)) => connector.task_configs(tasks_max),
            _ => return Err(Failure::fatal("the connector instance is not running")),
        };
        asked.await
    }

    async fn pause(&self, run: RunId) -> Result<(), Failure> {
        match self.task(&run) {
            Some(task) => task.pause().await,
            None => Ok(()),
        }
    }

    async fn resume(&self, run: RunId) -> Result<(), Failure> {
        match self.task(&run) {
            Some(task) => task.resume().await,
            None => Ok(()),
        }
    }

    async fn stop(&self, run: RunId, grace: Duration) {
        if let Some(task) = self.task(&run) {
            task.stop(grace).await;
        }
        self.remove(&run);
    }

    async fn offsets(&self, of: OffsetsSpec) -> Result<Vec<PartitionOffset>, OffsetsError> {
        operator_offsets::read(self.shared.clone(), of).await
    }

    async fn change_offsets(&self, of: OffsetsSpec, change: OffsetsChange) -> Result<OffsetsChanged, OffsetsError> {
        let (shared, connector) = (self.shared.clone(), of.connector.clone());
        // The guest is called on its own threads, as when a configuration is checked.
        let mut call = Call(self.shared.engine.spawn(operator_offsets::change(shared, of, change)));
        let changed = (&mut call.0).await;
        self.forget_unless_run(&self.runs(), &connector);
        let crashed = |_| OffsetsError::Failed { message: "the change crashed, see the worker's log".to_owned() };
        changed.map_err(crashed)?
    }

    fn abandon(&self, run: &RunId) {
        if let Some(run) = self.remove(run) {
            run.end();
        }
    }
}

/// The text of a configuration that was right when it was written and is not any more.
pub(crate) fn all_problems(problems: &[Problem]) -> String {
    let texts: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
    format!("the configuration no longer works\n{}", texts.join("\n"))
}
