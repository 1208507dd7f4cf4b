//! Offsets topics of the connectors' own (`offsets.storage.topic`): made where they do not exist, opened once for all tasks of
//! a worker that use them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tidegate_config::Settings;
use tidegate_config::client;
use tidegate_config::connector::{ConnectorConfig, SourceConfig};
use tidegate_config::worker::Storage;
use tidegate_herder::Failure;
use tidegate_kafka::{Admin, ClientSettings, CompactedTopic, KafkaError, NewTopic};

use crate::offsets::{ConnectorOffsets, OffsetStore, OwnOffsets, WeakStore};
use crate::shared::Shared;

/// How long one request about the topic may take.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(30);
/// How long reading the topic from its beginning may take.
const READ_TIMEOUT: Duration = Duration::from_secs(120);
/// What the clients of the topic may hold in memory.
const CLIENT_BUDGET_BYTES: usize = 4 << 20;

/// The stores that are open, by where Kafka is and the topic's name.
#[derive(Debug, Default)]
pub(crate) struct OwnStores(Mutex<HashMap<(String, String), WeakStore>>);

/// Where a connector's offsets are: in the worker's store, and in its own topic if it names one. A connector that writes to
/// another Kafka than the worker's in transactions needs its offsets there, under the name they have here.
pub(crate) async fn of_connector(
    shared: &Arc<Shared>,
    name: &str,
    config: &ConnectorConfig,
    source: &SourceConfig,
) -> Result<ConnectorOffsets, Failure> {
    let workers = match &shared.config.storage {
        Storage::Distributed(group) => Some(&group.offset_topic),
        Storage::Standalone { .. } => None,
    };
    let settings = reaching(shared, config)?;
    let is_elsewhere = settings.get("bootstrap.servers").is_some_and(|servers| servers != shared.bootstrap());
    let topic = match (&source.offsets_topic, workers) {
        (Some(topic), Some(workers)) if *topic == workers.name && !is_elsewhere => None,
        (Some(topic), _) => Some(topic.clone()),
        (None, Some(workers)) if is_elsewhere && shared.exactly_once_group().is_some() => Some(workers.name.clone()),
        (None, _) => None,
    };
    let (store, is_transactional) = (shared.offsets.clone(), shared.exactly_once_group().is_some());
    let mut offsets = ConnectorOffsets { connector: name.to_owned(), store, own: None, is_transactional };
    if let Some(topic) = topic {
        let (shared, wanted) = (shared.clone(), topic.clone());
        let opening = tokio::task::spawn_blocking(move || open(&shared, &settings, &wanted));
        let store = opening
            .await
            .unwrap_or_else(|crash| Err(Failure::fatal(format!("opening the offsets topic crashed: {crash}"))))?;
        offsets.own = Some(OwnOffsets { topic, store });
    }
    Ok(offsets)
}

/// How the connector's producer reaches its Kafka, in librdkafka's words; nothing of how it produces.
fn reaching(shared: &Shared, config: &ConnectorConfig) -> Result<Settings, Failure> {
    let settings = shared.producer_settings(config);
    let is_about_reaching = |key: &str| key == "bootstrap.servers" || client::is_shared_setting(key);
    let mut settings: Settings = settings.iter().filter(|(key, _)| is_about_reaching(key)).collect();
    settings.remove("client.id");
    let translated =
        client::translate(&settings).map_err(|invalid| Failure::fatal(crate::host::all_problems(&invalid.problems)))?;
    Ok(translated.properties)
}

fn open(shared: &Shared, reaching: &Settings, topic: &str) -> Result<OffsetStore, Failure> {
    let bootstrap = reaching.get("bootstrap.servers").map_or_else(|| shared.bootstrap(), str::to_owned);
    let mut stores = shared.own_offsets.0.lock().unwrap_or_else(PoisonError::into_inner);
    stores.retain(|_, store| store.upgrade().is_some());
    let place = (bootstrap.clone(), topic.to_owned());
    if let Some(store) = stores.get(&place).and_then(WeakStore::upgrade) {
        return Ok(store);
    }
    let with = |mut settings: ClientSettings| {
        settings.extend(reaching.iter());
        settings
    };
    let failed = |error: KafkaError| {
        let text = format!("the offsets topic \"{topic}\" of the connector cannot be used: {error}");
        if error.is_retriable() { Failure::retriable(text) } else { Failure::fatal(text) }
    };
    let admin = Admin::open(&with(ClientSettings::for_control(&bootstrap))).map_err(failed)?;
    ensure(shared, &admin, topic).map_err(failed)?;
    let group = match &shared.config.storage {
        Storage::Distributed(group) => group.group_id.as_str(),
        Storage::Standalone { .. } => "tidegate-standalone",
    };
    let reader = with(ClientSettings::for_reader(&bootstrap, group, CLIENT_BUDGET_BYTES));
    let writer = with(ClientSettings::for_producer(&bootstrap, CLIENT_BUDGET_BYTES));
    let table = CompactedTopic::open(&reader, &writer, topic, READ_TIMEOUT).map_err(failed)?;
    let store = OffsetStore::in_topic(table).map_err(|error| Failure::retriable(error.to_string()))?;
    stores.insert(place, store.downgrade());
    Ok(store)
}

/// Makes the topic as the worker's is made.
fn ensure(shared: &Shared, admin: &Admin, topic: &str) -> Result<(), KafkaError> {
    if admin.describe_topic(topic, ADMIN_TIMEOUT)?.is_some() {
        return Ok(());
    }
    let mut new = NewTopic {
        name: topic.to_owned(),
        partitions: None,
        replication_factor: None,
        configs: vec![("cleanup.policy".to_owned(), "compact".to_owned())],
    };
    if let Storage::Distributed(group) = &shared.config.storage {
        let like = &group.offset_topic;
        new.partitions = (like.partitions >= 0).then_some(like.partitions);
        new.replication_factor = (like.replication_factor >= 0).then_some(like.replication_factor.into());
        new.configs.extend(like.settings.clone());
    }
    admin.create_topic(&new, ADMIN_TIMEOUT).map(drop)
}
