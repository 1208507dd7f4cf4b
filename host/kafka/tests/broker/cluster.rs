//! What every test needs: brokers, names of its own, and the few lines that write and read.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tidegate_broker::{Broker, BrokerConfig, RunningBroker};
use tidegate_kafka::{
    Admin, BatchOutcome, ClientSettings, Consumer, NewTopic, OutRecord, Polled, Producer, StartOffset, TopicPartition,
};

/// Longer than anything here takes on a loaded machine; only a failure waits this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What a test's clients may hold.
pub(crate) const BUDGET_BYTES: usize = 8 << 20;

/// A broker and a name nobody else uses on it.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) bootstrap: String,
    name: String,
}

/// Runs `test` on each broker there is.
pub(crate) fn on_each_broker(name: &str, test: impl Fn(&Cluster)) {
    let embedded = Embedded::start();
    test(&Cluster { bootstrap: embedded.bootstrap(), name: name.to_owned() });
    drop(embedded);
    #[allow(clippy::disallowed_methods, reason = "where a real Kafka is, only the one who runs the tests knows")]
    match std::env::var("TIDEGATE_TEST_KAFKA") {
        Ok(bootstrap) => test(&Cluster { bootstrap, name: format!("{name}-{}", unique_number()) }),
        Err(_) => eprintln!("skipped on Apache Kafka: TIDEGATE_TEST_KAFKA names no broker"),
    }
}

/// Differs from those of other tests and other runs against the same broker.
fn unique_number() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

/// An embedded broker of one test's own, which can be stopped and started again on its port.
pub(crate) struct Embedded {
    running: Option<RunningBroker>,
    address: SocketAddr,
    data_dir: TempDir,
}

impl Embedded {
    pub(crate) fn start() -> Self {
        let data_dir = tempfile::tempdir().unwrap();
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let running = Broker::start(BrokerConfig::new(any_port, data_dir.path())).unwrap();
        Self { address: running.address(), running: Some(running), data_dir }
    }

    pub(crate) fn bootstrap(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn cluster(&self) -> Cluster {
        Cluster { bootstrap: self.bootstrap(), name: "t".to_owned() }
    }

    pub(crate) fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(running.stop());
        }
    }

    pub(crate) fn start_again(&mut self) {
        self.stop();
        self.running = Some(Broker::start(BrokerConfig::new(self.address, self.data_dir.path())).unwrap());
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Cluster {
    /// A name of this test's own.
    pub(crate) fn name(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.name)
    }

    pub(crate) fn admin(&self) -> Admin {
        Admin::open(&ClientSettings::for_control(&self.bootstrap)).unwrap()
    }

    /// Creates a topic and answers its name.
    pub(crate) fn topic(&self, suffix: &str, partitions: i32, configs: &[(&str, &str)]) -> String {
        let topic = NewTopic {
            name: self.name(suffix),
            partitions: Some(partitions),
            replication_factor: Some(1),
            configs: configs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect(),
        };
        self.admin().create_topic(&topic, PATIENCE).unwrap();
        topic.name
    }

    pub(crate) fn producer(&self) -> Producer {
        Producer::open(&ClientSettings::for_producer(&self.bootstrap, BUDGET_BYTES)).unwrap()
    }

    pub(crate) fn consumer_settings(&self, group: &str) -> ClientSettings {
        let mut settings = ClientSettings::for_consumer(&self.bootstrap, &self.name(group), BUDGET_BYTES);
        settings.set("session.timeout.ms", "6000").set("heartbeat.interval.ms", "500");
        settings
    }

    pub(crate) fn reader_settings(&self) -> ClientSettings {
        ClientSettings::for_reader(&self.bootstrap, &self.name("reader"), BUDGET_BYTES)
    }

    /// Everything in `topic` that is committed, by `show`, in the order of each partition.
    pub(crate) fn read_all<T>(&self, topic: &str, show: impl Fn(&tidegate_kafka::Message<'_>) -> T) -> Vec<T> {
        let mut reader = Consumer::open(&self.reader_settings()).unwrap();
        let partitions = reader.partition_count(topic, PATIENCE).unwrap();
        let starts: Vec<_> = (0..partitions).map(|p| (TopicPartition::new(topic, p), StartOffset::Beginning)).collect();
        reader.assign(&starts).unwrap();
        let mut read: Vec<(i32, T)> = Vec::new();
        let mut ended = 0;
        let deadline = Instant::now() + PATIENCE;
        while ended < partitions {
            assert!(Instant::now() < deadline, "the end of {topic} was not reached");
            match reader.poll(500, Duration::from_secs(1)).unwrap() {
                Polled::Records(batch) => read.extend(batch.iter().map(|m| (m.partition(), show(&m)))),
                Polled::EndOfPartition { .. } => ended += 1,
                other => panic!("unexpected {other:?}"),
            }
        }
        read.sort_by_key(|(partition, _)| *partition);
        read.into_iter().map(|(_, shown)| shown).collect()
    }
}

/// Produces all of `records` and waits for their outcome.
pub(crate) fn deliver(producer: &mut Producer, records: &[OutRecord<'_>]) -> BatchOutcome {
    let enqueued = producer.produce(records, PATIENCE);
    assert_eq!(enqueued.accepted, records.len(), "the queue had no room in time");
    next_outcome(producer)
}

pub(crate) fn next_outcome(producer: &mut Producer) -> BatchOutcome {
    let mut outcomes = Vec::new();
    producer.poll_acks(PATIENCE, &mut outcomes);
    assert!(!outcomes.is_empty(), "no batch completed: {:?}", producer.last_transport_error());
    outcomes.remove(0)
}

/// Writes one record without a key for each value.
pub(crate) fn write_values(producer: &mut Producer, topic: &str, values: &[String]) {
    let records: Vec<_> =
        values.iter().map(|value| OutRecord { topic, value: Some(value.as_bytes()), ..OutRecord::default() }).collect();
    let outcome = deliver(producer, &records);
    assert!(outcome.is_ok(), "{:?}", outcome.failures);
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
