//! The worker as the control plane sees it: starts, pauses and stops connectors and tasks.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidegate_config::Problem;
use tidegate_config::worker::WorkerConfig;
use tidegate_engine::Engine;
use tidegate_herder::{
    Config, ConnectorKind, ConnectorSpec, Failure, Refusal, Reporter, RunId, TaskHost, TaskSpec, ValidateRequest,
    Validated,
};

use crate::catalog::Catalog;
use crate::connector::Connector;
use crate::control::TaskHandle;
use crate::instances::Instances;
use crate::metrics::Metrics;
use crate::offsets::OffsetStore;
use crate::shared::Shared;
use crate::{sink_task, source_task, validate};

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
    Connector(Connector),
    Task(TaskHandle),
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Run::Connector(_) => "connector",
            Run::Task(_) => "task",
        })
    }
}

impl Worker {
    pub fn new(parts: WorkerParts) -> Worker {
        let WorkerParts { config, directory, engine, catalog, offsets, metrics } = parts;
        let instances = Instances::new(config.sandbox.clone(), directory);
        let shared = Shared { config, engine, catalog, instances, offsets, metrics };
        Worker { shared: Arc::new(shared), runs: Mutex::default() }
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<RunId, Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a run out. With the last run of a connector go its numbers and its place in the budget.
    fn remove(&self, run: &RunId) -> Option<Run> {
        let mut runs = self.runs();
        let removed = runs.remove(run);
        let connector = &run.subject.connector;
        if removed.is_some() && !runs.keys().any(|other| other.subject.connector == *connector) {
            self.shared.metrics.forget(&connector.name);
            self.shared.instances.forget(&connector.tenant, &connector.name);
        }
        removed
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
        let run = spec.run.clone();
        let connector = Connector::start(&self.shared, spec, reporter).await?;
        self.runs().insert(run, Run::Connector(connector));
        Ok(())
    }

    async fn start_task(&self, spec: TaskSpec, reporter: Reporter) -> Result<(), Failure> {
        let run = spec.run.clone();
        let task = match spec.kind {
            ConnectorKind::Source => source_task::start(self.shared.clone(), spec, reporter).await?,
            ConnectorKind::Sink => sink_task::start(self.shared.clone(), spec, reporter).await?,
        };
        self.runs().insert(run, Run::Task(task));
        Ok(())
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

    fn abandon(&self, run: &RunId) {
        if let Some(Run::Task(task)) = self.remove(run) {
            task.kill();
        }
    }
}

/// The text of a configuration that was right when it was written and is not any more.
pub(crate) fn first_problem(problems: &[Problem]) -> String {
    let texts: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
    format!("the configuration no longer works\n{}", texts.join("\n"))
}
