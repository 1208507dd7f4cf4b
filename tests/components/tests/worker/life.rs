//! One life of a program: the plugins in its box, and the worker that runs them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tidegate_broker::{Broker, BrokerConfig, RunningBroker};
use tidegate_config::worker::{Mode, WorkerConfig};
use tidegate_engine::{CompilerCommand, Digest, Engine, EngineConfig};
use tidegate_herder::Plugins;
use tidegate_kafka::{Admin, ClientSettings, CompactedTopic, Consumer, NewTopic, Polled, StartOffset, TopicPartition};
use tidegate_worker::{Catalog, Metrics, OffsetStore, Worker, WorkerParts};

/// The folder for what tests leave behind and find again: compiled code and guests.
pub(crate) fn kept() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// How long anything may take to become true.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// An embedded broker whose groups do not wait for more members.
pub(crate) fn broker(data_dir: &Path) -> RunningBroker {
    let config = BrokerConfig {
        group_initial_rebalance_delay_ms: 0,
        ..BrokerConfig::new("127.0.0.1:0".parse().unwrap(), data_dir.to_owned())
    };
    Broker::start(config).unwrap()
}

pub(crate) struct Life {
    pub(crate) engine: Engine,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) worker: Worker,
    pub(crate) metrics: Arc<Metrics>,
}

impl Life {
    /// A worker whose sources write exactly once, with its offsets in a topic as in a cluster.
    pub(crate) fn exactly_once(directory: &Path, in_the_box: &[u8], bootstrap: &str) -> Life {
        const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";
        let settings = [
            ("bootstrap.servers", bootstrap),
            ("group.id", "g"),
            ("exactly.once.source.support", "enabled"),
            ("key.converter", STRING),
            ("value.converter", STRING),
            ("config.storage.topic", "configs"),
            ("offset.storage.topic", "offsets"),
            ("offset.storage.replication.factor", "1"),
            ("status.storage.topic", "status"),
        ];
        let topic = NewTopic {
            name: "offsets".to_owned(),
            partitions: Some(2),
            replication_factor: Some(1),
            configs: vec![("cleanup.policy".to_owned(), "compact".to_owned())],
        };
        let admin = Admin::open(&ClientSettings::for_control(bootstrap)).unwrap();
        admin.create_topic(&topic, DEADLINE).unwrap();
        let reader = ClientSettings::for_reader(bootstrap, "g", 1 << 20);
        let writer = ClientSettings::for_producer(bootstrap, 1 << 20);
        let table = CompactedTopic::open(&reader, &writer, &topic.name, DEADLINE).unwrap();
        let (config, _) = WorkerConfig::check(Mode::Distributed, &settings.into_iter().collect(), "/").unwrap();
        Life::of(directory, in_the_box, config, OffsetStore::in_topic(table).unwrap())
    }

    /// `directory` outlives the program; `more` are settings of the worker besides what it must have.
    pub(crate) fn begin(directory: &Path, in_the_box: &[u8], bootstrap: &str, more: &[(&str, &str)]) -> Life {
        let offsets = directory.join("offsets");
        let mut settings = vec![
            ("bootstrap.servers", bootstrap),
            ("key.converter", "org.apache.kafka.connect.storage.StringConverter"),
            ("value.converter", "org.apache.kafka.connect.storage.StringConverter"),
            ("offset.storage.file.filename", offsets.to_str().unwrap()),
        ];
        settings.extend(more);
        let (config, _) = WorkerConfig::check(Mode::Standalone, &settings.into_iter().collect(), "/").unwrap();
        Life::of(directory, in_the_box, config, OffsetStore::in_file(&offsets).unwrap())
    }

    fn of(directory: &Path, in_the_box: &[u8], config: WorkerConfig, offsets: OffsetStore) -> Life {
        let compiler = CompilerCommand { program: env!("CARGO_BIN_EXE_compile-child").into(), args: Vec::new() };
        let engine = Engine::start(EngineConfig::new(compiler, kept().join("cwasm"))).unwrap();
        let catalog = Arc::new(Catalog::open(engine.clone(), directory.join("plugins")).unwrap());
        engine.handle().block_on(catalog.add_bundled(in_the_box)).unwrap();
        let metrics = Arc::new(Metrics::default());
        let worker = Worker::new(WorkerParts {
            config,
            directory: "/".to_owned(),
            engine: engine.clone(),
            catalog: catalog.clone(),
            offsets,
            metrics: metrics.clone(),
        });
        Life { engine, catalog, worker, metrics }
    }
}

/// The pins of a connector that consists of nothing but this component.
pub(crate) fn pin(bytes: &[u8]) -> Plugins {
    Plugins::from([("connector".to_owned(), tidegate_herder::Digest(Digest::of(bytes).to_string()))])
}

/// What a topic has: values, and headers a line each.
pub(crate) fn read(bootstrap: &str, topic: &str) -> Vec<(String, String)> {
    let mut reader = Consumer::open(&ClientSettings::for_reader(bootstrap, "letters", 1 << 20)).unwrap();
    let at = TopicPartition::new(topic, 0);
    let end = reader.end_offsets(std::slice::from_ref(&at), DEADLINE).unwrap()[0].offset;
    reader.assign(&[(at, StartOffset::Beginning)]).unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut records = Vec::new();
    while (records.len() as i64) < end {
        let Polled::Records(batch) = reader.poll(100, Duration::from_millis(100)).unwrap() else { continue };
        for message in batch.iter() {
            let headers =
                message.headers().map(|(name, value)| format!("{}={}\n", text(name), text(value.unwrap_or_default())));
            records.push((text(message.value().unwrap_or_default()), headers.collect()));
        }
    }
    records
}
