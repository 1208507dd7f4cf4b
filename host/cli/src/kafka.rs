//! The worker's own way to its Kafka, before anything runs: the broker is asked whether it is there and which cluster it is
//! of, and the store of source offsets is opened, its topic made if need be.
//!
//! Everything here blocks; call it from a thread that may wait.

use std::path::Path;
use std::time::Duration;

use tidegate_config::Settings;
use tidegate_config::client;
use tidegate_config::worker::{Client, Distributed, Storage, StorageTopic, WorkerConfig};
use tidegate_kafka::{Admin, ClientSettings, CompactedTopic, KafkaError, NewTopic};
use tidegate_worker::OffsetStore;

use crate::failure::Failure;
use crate::output;

/// How long a broker may take to answer at all.
const REACHABLE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one request about topics may take.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(30);
/// How long reading the offsets topic from its beginning may take.
const READ_TIMEOUT: Duration = Duration::from_secs(120);
/// What the clients of the offsets topic may hold in memory.
const CLIENT_BUDGET_BYTES: usize = 4 << 20;

/// What a worker has of its Kafka before anything runs.
pub(crate) struct Reached {
    /// As Kafka names itself.
    pub(crate) cluster_id: String,
    pub(crate) offsets: OffsetStore,
}

/// Checks that the broker is there and opens the store that the configuration names.
pub(crate) fn reach(config: &WorkerConfig, directory: &Path) -> Result<Reached, Failure> {
    let kafka = Kafka::of(config)?;
    let admin = Admin::open(&kafka.control()).map_err(|error| kafka.failure("no Kafka client can be made", &error))?;
    admin.check_reachable(REACHABLE_TIMEOUT).map_err(|error| kafka.unreachable(&error))?;
    let cluster_id =
        admin.cluster_id(ADMIN_TIMEOUT).map_err(|error| kafka.failure("the cluster is unknown", &error))?;
    let offsets = match &config.storage {
        Storage::Standalone { offset_file } => OffsetStore::in_file(&directory.join(offset_file))
            .map_err(|error| Failure::new("the source offsets cannot be read").detail(error))?,
        Storage::Distributed(group) => {
            ensure_topic(&kafka, &admin, config, &group.offset_topic)?;
            OffsetStore::in_topic(kafka.open_table(group)?)
                .map_err(|error| Failure::new("the source offsets cannot be kept").detail(error))?
        }
    };
    Ok(Reached { cluster_id, offsets })
}

/// How the worker's own clients reach Kafka.
struct Kafka {
    bootstrap: String,
    /// What the operator set for them, in librdkafka's words.
    properties: Settings,
}

impl Kafka {
    fn of(config: &WorkerConfig) -> Result<Kafka, Failure> {
        let translated = client::translate(&config.client_settings(Client::Internal)).map_err(|invalid| {
            let failure = Failure::usage("the worker's Kafka settings are wrong");
            invalid.problems.iter().fold(failure, |failure, problem| failure.detail(problem))
        })?;
        for warning in &translated.warnings {
            output::warn(warning);
        }
        Ok(Kafka { bootstrap: config.bootstrap_servers.join(","), properties: translated.properties })
    }

    fn control(&self) -> ClientSettings {
        self.with_operators(ClientSettings::for_control(&self.bootstrap))
    }

    fn with_operators(&self, mut settings: ClientSettings) -> ClientSettings {
        settings.extend(self.properties.iter());
        settings
    }

    fn open_table(&self, group: &Distributed) -> Result<CompactedTopic, Failure> {
        let topic = &group.offset_topic.name;
        let reader =
            self.with_operators(ClientSettings::for_reader(&self.bootstrap, &group.group_id, CLIENT_BUDGET_BYTES));
        let writer = self.with_operators(ClientSettings::for_producer(&self.bootstrap, CLIENT_BUDGET_BYTES));
        CompactedTopic::open(&reader, &writer, topic, READ_TIMEOUT)
            .map_err(|error| self.failure(format!("the offsets topic \"{topic}\" cannot be read"), &error))
    }

    fn unreachable(&self, error: &KafkaError) -> Failure {
        match error {
            KafkaError::Unreachable { detail, .. } => {
                Failure::new(format!("broker at {} not reachable", self.bootstrap)).detail(detail).hint(
                    "check bootstrap.servers and that the broker runs; `tidegate broker` starts one for development",
                )
            }
            other => self.failure(format!("broker at {} does not answer as it should", self.bootstrap), other),
        }
    }

    fn failure(&self, what: impl Into<String>, error: &KafkaError) -> Failure {
        Failure::new(what).detail(error)
    }
}

/// Makes the topic as Connect makes it, or checks that one which is there keeps what is written.
fn ensure_topic(kafka: &Kafka, admin: &Admin, config: &WorkerConfig, topic: &StorageTopic) -> Result<(), Failure> {
    let name = &topic.name;
    let failed = |error: KafkaError| kafka.failure(format!("the offsets topic \"{name}\" cannot be set up"), &error);
    if admin.describe_topic(name, ADMIN_TIMEOUT).map_err(failed)?.is_some() {
        return check_compacted(admin, name);
    }
    if config.original.get("internal.topics.automatic.creation.enable").is_some_and(|value| value.trim() == "false") {
        return Err(Failure::new(format!("the offsets topic \"{name}\" does not exist"))
            .hint("create it with cleanup.policy=compact, or set internal.topics.automatic.creation.enable=true"));
    }
    let mut configs = vec![("cleanup.policy".to_owned(), "compact".to_owned())];
    configs.extend(topic.settings.clone().into_iter().filter(|(key, _)| key != "cleanup.policy"));
    let new = NewTopic {
        name: name.clone(),
        partitions: (topic.partitions >= 0).then_some(topic.partitions),
        replication_factor: (topic.replication_factor >= 0).then_some(topic.replication_factor.into()),
        configs,
    };
    admin.create_topic(&new, ADMIN_TIMEOUT).map_err(|error| {
        failed(error)
            .hint("offset.storage.replication.factor must not be more than there are brokers; 1 suits one broker")
    })?;
    Ok(())
}

/// A topic that deletes old records would forget offsets; Connect refuses it too.
fn check_compacted(admin: &Admin, topic: &str) -> Result<(), Failure> {
    let entries = match admin.describe_topic_configs(topic, ADMIN_TIMEOUT) {
        Ok(entries) => entries,
        Err(error) => {
            tracing::warn!(topic, "whether the offsets topic is compacted cannot be checked: {error}");
            return Ok(());
        }
    };
    let policy = entries.into_iter().find(|entry| entry.name == "cleanup.policy").and_then(|entry| entry.value);
    match policy.as_deref() {
        None | Some("compact") => Ok(()),
        Some(other) => Err(Failure::new(format!("the offsets topic \"{topic}\" has cleanup.policy \"{other}\""))
            .detail("it would lose offsets")
            .hint("set cleanup.policy=compact on the topic, or name another in offset.storage.topic")),
    }
}
