//! Offsets as an operator reads and changes them: a source's in the store, a sink's in its consumer group.
//!
//! A change is put to the plugin before anything is written, in an instance of its own that has what the configuration
//! grants: the plugin may refuse it, or make the same change in its own system.

mod sink;
mod source;

use std::sync::Arc;

use tidegate_config::Settings;
use tidegate_engine::CallError;
use tidegate_herder::{
    ConnectorKind, Failure, OffsetsChange, OffsetsChanged, OffsetsError, OffsetsSpec, PartitionOffset,
};

use crate::connector::Guest;
use crate::plan::ConnectorPlan;
use crate::shared::Shared;

pub(crate) async fn read(shared: Arc<Shared>, of: OffsetsSpec) -> Result<Vec<PartitionOffset>, OffsetsError> {
    match of.kind {
        ConnectorKind::Source => source::read(&shared, &of).await,
        ConnectorKind::Sink => sink::read(&shared, &of).await,
    }
}

pub(crate) async fn change(
    shared: Arc<Shared>,
    of: OffsetsSpec,
    change: OffsetsChange,
) -> Result<OffsetsChanged, OffsetsError> {
    match of.kind {
        ConnectorKind::Source => source::change(&shared, &of, change).await,
        ConnectorKind::Sink => sink::change(&shared, &of, change).await,
    }
}

/// What the connector's configuration comes to, with the bytes it is pinned to.
async fn plan(shared: &Shared, of: &OffsetsSpec) -> Result<ConnectorPlan, OffsetsError> {
    let settings: Settings = of.config.clone().into_iter().collect();
    ConnectorPlan::recall(shared, &settings, &of.plugins)
        .await
        .map_err(|problems| failed(crate::host::all_problems(&problems)))
}

/// The connector's plugin, with the configuration to call it with.
async fn plugin(
    shared: &Arc<Shared>,
    of: &OffsetsSpec,
    plan: &ConnectorPlan,
) -> Result<(Guest, tidegate_engine::Config), OffsetsError> {
    let guest =
        Guest::make(shared, &of.connector, of.kind, plan).await.map_err(|Failure { trace, .. }| failed(trace))?;
    Ok((guest, crate::instances::guest_config(&plan.connector.settings)))
}

/// What the plugin said of the change.
fn answer(said: Result<bool, CallError>) -> Result<OffsetsChanged, OffsetsError> {
    match said {
        Ok(true) => Ok(OffsetsChanged::WithPlugin),
        Ok(false) => Ok(OffsetsChanged::WithoutPlugin),
        // In the plugin's own words, as Connect gives a connector's.
        Err(error) => Err(failed(error.to_string())),
    }
}

/// Runs what waits for the store or for Kafka on a thread that may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, OffsetsError> + Send + 'static,
) -> Result<T, OffsetsError> {
    let crashed = |_| failed("the request crashed, see the worker's log");
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(crashed(error)))
}

fn failed(message: impl Into<String>) -> OffsetsError {
    OffsetsError::Failed { message: message.into() }
}

fn invalid(message: impl Into<String>) -> OffsetsError {
    OffsetsError::Invalid { message: message.into() }
}
