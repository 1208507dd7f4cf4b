//! The connector side of a plugin: splits the work into tasks and now and then looks whether it must be split again.

use std::sync::Arc;
use std::time::Duration;

use tidegate_config::connector::Direction;
use tidegate_engine::{CallError, SinkInstance, SourceInstance};
use tidegate_herder::{Config, ConnectorKey, ConnectorKind, ConnectorSpec, Failure, Reporter};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::instances::{Owner, TaskSchemas, guest_config, hooks};
use crate::offsets::ConnectorOffsets;
use crate::own_offsets;
use crate::plan::ConnectorPlan;
use crate::shared::Shared;

/// How often a source is asked whether its work must be split again.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);

/// A running connector instance.
pub(crate) struct Connector {
    guest: Arc<Mutex<Guest>>,
    config: tidegate_engine::Config,
    refresh: Option<JoinHandle<()>>,
}

/// A plugin's connector side.
pub(crate) enum Guest {
    Source(SourceInstance),
    Sink(SinkInstance),
}

impl Guest {
    /// An instance with everything that the configuration grants.
    pub(crate) async fn make(
        shared: &Arc<Shared>,
        key: &ConnectorKey,
        kind: ConnectorKind,
        plan: &ConnectorPlan,
    ) -> Result<Guest, Failure> {
        let offsets = match &plan.config.direction {
            Direction::Source(source) => {
                let offsets = own_offsets::of_connector(shared, &key.name, &plan.config, source).await?;
                // It only looks: what earlier tasks have left open is for the tasks to end, which start later.
                Some(ConnectorOffsets { is_transactional: false, ..offsets })
            }
            Direction::Sink(_) => None,
        };
        let bound = &plan.connector;
        let name = key.to_string();
        let hooks = hooks(&name, None, TaskSchemas::new(), offsets);
        let owner = Owner { tenant: &key.tenant, connector: &key.name, name };
        let instance = shared
            .instances
            .spec(&owner, &bound.component, &bound.definition, &bound.settings, plan.config.sandbox, hooks)
            .map_err(Failure::invalid)?;
        let plugin = &bound.component.plugin;
        let guest = match kind {
            ConnectorKind::Source => SourceInstance::new(plugin, &instance).await.map(Guest::Source),
            ConnectorKind::Sink => SinkInstance::new(plugin, &instance).await.map(Guest::Sink),
        };
        guest.map_err(|error| failure(&error))
    }
}

impl Connector {
    /// Makes the instance. A source that is not paused is asked for changes from now on.
    pub(crate) async fn start(
        shared: &Arc<Shared>,
        spec: ConnectorSpec,
        reporter: Reporter,
    ) -> Result<Connector, Failure> {
        let key = &spec.run.subject.connector;
        let settings = spec.config.into_iter().collect();
        let plan = ConnectorPlan::recall(shared, &settings, &spec.plugins)
            .await
            .map_err(|problems| Failure::invalid(crate::host::all_problems(&problems)))?;
        let guest = Guest::make(shared, key, spec.kind, &plan).await?;
        let guest = Arc::new(Mutex::new(guest));
        let config = guest_config(&plan.connector.settings);
        let refresh = (spec.kind == ConnectorKind::Source)
            .then(|| shared.engine.spawn(refresh(guest.clone(), config.clone(), reporter)));
        Ok(Connector { guest, config, refresh })
    }

    /// A handle on the instance that outlives a look-up of this connector.
    pub(crate) fn task_configs(
        &self,
        tasks_max: u32,
    ) -> impl Future<Output = Result<Vec<Config>, Failure>> + Send + use<> {
        let (guest, config) = (self.guest.clone(), self.config.clone());
        async move {
            let configs = match &mut *guest.lock().await {
                Guest::Source(source) => source.task_configs(&config, tasks_max).await,
                Guest::Sink(sink) => sink.task_configs(&config, tasks_max).await,
            };
            let configs = configs.map_err(|error| failure(&error))?;
            if configs.len() > tasks_max as usize {
                return Err(Failure::invalid(format!(
                    "the connector made {} task configurations, tasks.max is {tasks_max}",
                    configs.len()
                )));
            }
            Ok(configs.into_iter().map(|config| config.into_iter().collect()).collect())
        }
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        if let Some(refresh) = &self.refresh {
            refresh.abort();
        }
    }
}

async fn refresh(guest: Arc<Mutex<Guest>>, config: tidegate_engine::Config, reporter: Reporter) {
    loop {
        tokio::time::sleep(REFRESH_INTERVAL).await;
        let Guest::Source(source) = &mut *guest.lock().await else { return };
        match source.refresh(&config).await {
            Ok(true) => reporter.reconfigure().await,
            Ok(false) => {}
            Err(error) if error.ends_instance() => return reporter.failed(failure(&error)).await,
            Err(error) => tracing::warn!(connector = %reporter.run().subject, "the source was not refreshed: {error}"),
        }
    }
}

/// A failed call as the control plane sees it.
pub(crate) fn failure(error: &CallError) -> Failure {
    let text = match error.trace() {
        Some(trace) => format!("{error}\n{trace}"),
        None => error.to_string(),
    };
    match error {
        CallError::Retriable { .. } | CallError::ConnectionLost(_) | CallError::Unavailable(_) => {
            Failure::retriable(text)
        }
        CallError::InvalidConfig { .. } => Failure::invalid(text),
        _ => Failure::fatal(text),
    }
}
