//! Plugins are loaded while the worker is already up: REST answers at once, connectors wait for what they need.
//!
//! The first start compiles the plugins in the box, which takes seconds; later ones find the code in the cache.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidegate_herder::{
    Config, ConnectorSpec, Failure, Handle, OffsetsChange, OffsetsChanged, OffsetsError, OffsetsSpec, PartitionOffset,
    PluginManifest, Refusal, Reporter, RunId, TaskHost, TaskSpec, ValidateRequest, Validated,
};
use tidegate_worker::{Catalog, Component, Worker};
use tokio::sync::watch;

/// How far loading has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Loading {
    UnderWay,
    Done,
    /// This machine cannot compile or keep plugins; nothing can run.
    Failed(String),
}

/// Sees [`Loading`] change.
pub(crate) type Loaded = watch::Receiver<Loading>;

/// Loads what is in the box, what was uploaded in earlier lives, and what lies in the directories of `plugin.path`. Runs on
/// the guests' threads.
pub(crate) async fn load(catalog: Arc<Catalog>, searched: Vec<PathBuf>, progress: watch::Sender<Loading>) {
    let outcome = load_all(&catalog, &searched).await;
    progress.send_replace(match outcome {
        Ok(()) => Loading::Done,
        Err(reason) => {
            tracing::error!("plugins cannot be loaded: {reason}");
            Loading::Failed(reason)
        }
    });
}

async fn load_all(catalog: &Catalog, searched: &[PathBuf]) -> Result<(), String> {
    for bundled in tidegate_bundled::components() {
        let component = catalog
            .add_bundled(bundled.bytes)
            .await
            .map_err(|error| format!("plugin \"{}\": {error}", bundled.name))?;
        tracing::debug!(plugin = component.description.name, digest = %component.digest(), "plugin in the box loaded");
    }
    catalog.load_uploaded().await.map_err(|error| error.to_string())?;
    for directory in searched {
        catalog.take_from(directory).await;
    }
    Ok(())
}

/// Waits until loading is over. The error says why nothing can run.
pub(crate) async fn wait(loaded: &Loaded) -> Result<(), String> {
    match &*loaded.clone().wait_for(|loading| *loading != Loading::UnderWay).await.map_err(|_| STOPPED.to_owned())? {
        Loading::Failed(reason) => Err(reason.clone()),
        Loading::UnderWay | Loading::Done => Ok(()),
    }
}

const STOPPED: &str = "loading of plugins was stopped";

/// Makes the plugins of this worker known to the control plane. Those it knows are left alone.
pub(crate) async fn publish(loaded: Loaded, catalog: Arc<Catalog>, herder: Handle) {
    if wait(&loaded).await.is_err() {
        return;
    }
    let known = match herder.plugins().await {
        Ok(known) => known,
        Err(error) => return tracing::warn!("the plugins of this worker are not published: {error}"),
    };
    for component in catalog.components() {
        let manifest = manifest(&component);
        if known.iter().any(|plugin| plugin.digest == manifest.digest) {
            continue;
        }
        if let Err(error) = herder.publish_plugin(manifest).await {
            tracing::warn!(plugin = component.description.name, "a plugin is not published: {error}");
        }
    }
}

/// What the control plane keeps about a component.
pub(crate) fn manifest(component: &Component) -> PluginManifest {
    PluginManifest {
        digest: tidegate_herder::Digest(component.digest().to_string()),
        name: component.description.name.clone(),
        version: component.description.version.clone(),
        size_bytes: component.size_bytes,
        bundled: component.origin.is_in_the_box(),
        description: description(component),
    }
}

/// What a component says about itself; the catalog has parsed it before.
pub(crate) fn description(component: &Component) -> serde_json::Value {
    serde_json::from_str(component.plugin.description()).unwrap_or_default()
}

/// The data plane as the control plane sees it: calls that need plugins wait until those are loaded.
#[derive(Debug)]
pub(crate) struct OnceLoaded {
    worker: Worker,
    loaded: Loaded,
}

impl OnceLoaded {
    pub(crate) fn new(worker: Worker, loaded: Loaded) -> OnceLoaded {
        OnceLoaded { worker, loaded }
    }

    async fn plugins(&self) -> Result<(), Failure> {
        wait(&self.loaded).await.map_err(Failure::fatal)
    }
}

impl TaskHost for OnceLoaded {
    async fn validate(&self, request: ValidateRequest) -> Result<Validated, Refusal> {
        wait(&self.loaded).await.map_err(|message| Refusal::Unavailable { message })?;
        self.worker.validate(request).await
    }

    async fn start_connector(&self, spec: ConnectorSpec, reporter: Reporter) -> Result<(), Failure> {
        self.plugins().await?;
        self.worker.start_connector(spec, reporter).await
    }

    async fn start_task(&self, spec: TaskSpec, reporter: Reporter) -> Result<(), Failure> {
        self.plugins().await?;
        self.worker.start_task(spec, reporter).await
    }

    fn task_configs(&self, run: RunId, tasks_max: u32) -> impl Future<Output = Result<Vec<Config>, Failure>> + Send {
        self.worker.task_configs(run, tasks_max)
    }

    fn pause(&self, run: RunId) -> impl Future<Output = Result<(), Failure>> + Send {
        self.worker.pause(run)
    }

    fn resume(&self, run: RunId) -> impl Future<Output = Result<(), Failure>> + Send {
        self.worker.resume(run)
    }

    fn stop(&self, run: RunId, grace: Duration) -> impl Future<Output = ()> + Send {
        self.worker.stop(run, grace)
    }

    async fn offsets(&self, of: OffsetsSpec) -> Result<Vec<PartitionOffset>, OffsetsError> {
        wait(&self.loaded).await.map_err(|message| OffsetsError::Failed { message })?;
        self.worker.offsets(of).await
    }

    async fn change_offsets(&self, of: OffsetsSpec, change: OffsetsChange) -> Result<OffsetsChanged, OffsetsError> {
        wait(&self.loaded).await.map_err(|message| OffsetsError::Failed { message })?;
        self.worker.change_offsets(of, change).await
    }

    fn abandon(&self, run: &RunId) {
        self.worker.abandon(run);
    }
}
