//! What all connectors and tasks of a worker have in common.

use std::sync::Arc;
use std::time::Duration;

use tidegate_config::Settings;
use tidegate_config::client::{self, Translation};
use tidegate_config::connector::{ConnectorConfig, Direction};
use tidegate_config::validate::Invalid;
use tidegate_config::worker::{Client, Distributed, ExactlyOnceSource, Storage, WorkerConfig};
use tidegate_engine::Engine;
use tidegate_kafka::ClientSettings;

use crate::catalog::Catalog;
use crate::fencing::Fencing;
use crate::instances::Instances;
use crate::metrics::Metrics;
use crate::offsets::OffsetStore;
use crate::own_offsets::OwnStores;

/// The worker's own parts.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: WorkerConfig,
    pub(crate) engine: Engine,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) instances: Instances,
    pub(crate) offsets: OffsetStore,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) fencing: Fencing,
    pub(crate) own_offsets: OwnStores,
}

/// Bytes that a source task's producer holds before it pushes back.
const PRODUCER_BUDGET_BYTES: usize = 16 << 20;
/// Bytes that a sink task's consumer fetches ahead: a few responses of the size that Java fetches. More would only be
/// older, and out of the processor's cache, when its turn comes.
const CONSUMER_BUDGET_BYTES: usize = 4 << 20;

impl Shared {
    /// Java settings of a connector's client: the worker's, overlaid with the connector's overrides.
    pub(crate) fn client_settings(&self, client: Client, connector: &Settings) -> Settings {
        let mut settings = self.config.client_settings(client);
        let prefix = match client {
            Client::Producer => "producer.override.",
            Client::Consumer => "consumer.override.",
            Client::Internal | Client::Admin => "admin.override.",
        };
        settings.extend(connector.below(prefix));
        settings
    }

    /// The group, where source connectors write exactly once.
    pub(crate) fn exactly_once_group(&self) -> Option<&Distributed> {
        match &self.config.storage {
            Storage::Distributed(group) if group.exactly_once_source == ExactlyOnceSource::Enabled => Some(group),
            _ => None,
        }
    }

    /// Java settings of a source's producer. Fewer acknowledgements than all end idempotence where nobody asked for it, as
    /// in Java.
    pub(crate) fn producer_settings(&self, connector: &ConnectorConfig) -> Settings {
        let mut settings = self.client_settings(Client::Producer, &connector.original);
        if let Direction::Source(source) = &connector.direction
            && let Some(acks) = &source.acks
            && !connector.original.contains("producer.override.acks")
        {
            settings.insert("acks", acks);
        }
        if settings.get("acks").is_some_and(|acks| !matches!(acks.trim(), "all" | "-1"))
            && !settings.contains("enable.idempotence")
        {
            settings.insert("enable.idempotence", "false");
        }
        settings
    }

    /// Settings of the producer that has a transactional id.
    pub(crate) fn transactional_producer(
        &self,
        connector: &ConnectorConfig,
        client_id: &str,
        id: &str,
    ) -> Result<ClientSettings, Invalid> {
        let mut translated = client::translate(&self.producer_settings(connector))?.properties;
        // These are what exactly once consists of; the last the library bounds by the transaction's own time-out.
        for key in ["transactional.id", "enable.idempotence", "acks", "delivery.timeout.ms"] {
            translated.remove(key);
        }
        let mut settings = ClientSettings::for_transactional_producer(&self.bootstrap(), id, PRODUCER_BUDGET_BYTES);
        settings.set("client.id", client_id);
        settings.extend(translated.iter());
        Ok(settings)
    }

    /// The group of a sink connector's consumers.
    pub(crate) fn sink_group(&self, connector: &Settings, name: &str) -> String {
        let settings = self.client_settings(Client::Consumer, connector);
        settings.get("group.id").map_or_else(|| format!("connect-{name}"), |group| group.trim().to_owned())
    }

    /// A producer of these Java settings.
    pub(crate) fn producer(&self, settings: &Settings, client_id: &str) -> Result<ClientSettings, Invalid> {
        let translated = client::translate(settings)?;
        let mut settings = ClientSettings::for_producer(&self.bootstrap(), PRODUCER_BUDGET_BYTES);
        settings.extend(translated.properties.iter());
        if translated.properties.get("client.id").is_none() {
            settings.set("client.id", client_id);
        }
        Ok(settings)
    }

    /// Settings of a sink task's consumer, and what of them the task itself must heed.
    pub(crate) fn consumer(
        &self,
        connector: &Settings,
        group: &str,
        client_id: &str,
    ) -> Result<(ClientSettings, Translation), Invalid> {
        let translated = client::translate(&self.client_settings(Client::Consumer, connector))?;
        let group = translated.properties.get("group.id").unwrap_or(group);
        let mut settings = ClientSettings::for_consumer(&self.bootstrap(), group, CONSUMER_BUDGET_BYTES);
        settings.extend(translated.properties.iter());
        if translated.properties.get("client.id").is_none() {
            settings.set("client.id", client_id);
        }
        Ok((settings, translated))
    }

    /// Settings of an admin client of a connector's.
    pub(crate) fn admin(&self, connector: &Settings, client_id: &str) -> Result<ClientSettings, Invalid> {
        let translated = client::translate(&self.client_settings(Client::Admin, connector))?;
        let mut settings = ClientSettings::for_control(&self.bootstrap());
        settings.extend(translated.properties.iter());
        if translated.properties.get("client.id").is_none() {
            settings.set("client.id", client_id);
        }
        Ok(settings)
    }

    /// How often a connector's offsets are committed.
    pub(crate) fn flush_interval(&self, connector: &tidegate_config::connector::ConnectorConfig) -> Duration {
        Duration::from_millis(connector.offset_flush_interval_ms.unwrap_or(self.config.offset_flush_interval_ms))
    }

    /// How long a commit of offsets may take.
    pub(crate) fn flush_timeout(&self) -> Duration {
        Duration::from_millis(self.config.offset_flush_timeout_ms)
    }

    pub(crate) fn bootstrap(&self) -> String {
        self.config.bootstrap_servers.join(",")
    }
}
