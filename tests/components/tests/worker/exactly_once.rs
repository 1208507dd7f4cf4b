//! Source tasks that write in transactions, on the embedded broker: what readers of committed records see.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tidegate_broker::RunningBroker;
use tidegate_herder::cluster::{ConnectorKey, Instance};
use tidegate_herder::{
    Config, ConnectorKind, HostEvent, Plugins, Refusal, Reporter, RunId, Target, TaskHost, TaskSpec, ValidateRequest,
};
use tidegate_kafka::{ClientSettings, CompactedTopic, Consumer, Polled, StartOffset, TopicPartition};
use tokio::sync::mpsc;

use crate::life::{DEADLINE, Life, broker, kept};

fn boundary_source() -> &'static [u8] {
    static GUEST: OnceLock<Vec<u8>> = OnceLock::new();
    GUEST.get_or_init(|| tidegate_components::build_guest("boundary-source", kept()))
}

fn file_source() -> &'static [u8] {
    tidegate_bundled::components().iter().find(|component| component.name == "file").unwrap().bytes
}

/// A worker, a broker, and one connector.
struct Stage {
    _directory: tempfile::TempDir,
    broker: RunningBroker,
    life: Life,
    epoch: u64,
}

impl Stage {
    fn new(component: &[u8]) -> Stage {
        let directory = tempfile::tempdir().unwrap();
        let broker = broker(&directory.path().join("broker"));
        let life = Life::exactly_once(directory.path(), component, &broker.address().to_string());
        Stage { _directory: directory, broker, life, epoch: 0 }
    }

    fn bootstrap(&self) -> String {
        self.broker.address().to_string()
    }

    fn path(&self) -> &Path {
        self._directory.path()
    }

    /// What there is to say against a configuration, or what it is pinned to.
    fn validate(&self, config: &Config) -> Result<Plugins, String> {
        let request =
            ValidateRequest { connector: ConnectorKey::plain("c"), config: config.clone(), pinned: Plugins::new() };
        match self.life.engine.handle().block_on(self.life.worker.validate(request)) {
            Ok(validated) => Ok(validated.plugins),
            Err(Refusal::Invalid { message, .. } | Refusal::Unavailable { message }) => Err(message),
        }
    }

    /// Runs task 0 until `is_over` or until it fails, and stops it; answers why it failed.
    fn play(&mut self, config: &Config, is_over: impl Fn(&Stage) -> bool) -> Option<String> {
        self.epoch += 1;
        let run = RunId { subject: ConnectorKey::plain("c").subject(Instance::Task(0)), uid: 1, epoch: self.epoch };
        let spec = TaskSpec {
            run: run.clone(),
            kind: ConnectorKind::Source,
            config: config.clone(),
            task_config: config.clone(),
            tasks: 1,
            generation: self.epoch,
            plugins: self.validate(config).unwrap(),
            target: Target::Running,
        };
        let (mailbox, mut words) = mpsc::channel(1);
        let started = self.life.worker.start_task(spec, Reporter::new(run.clone(), mailbox));
        self.life.engine.handle().block_on(started).unwrap();
        let begun = Instant::now();
        let failure = loop {
            if let Ok(HostEvent::Failed(_, failure)) = words.try_recv() {
                break Some(failure.trace);
            }
            if is_over(self) {
                break None;
            }
            assert!(begun.elapsed() < DEADLINE, "it does not come to an end: {:?}", self.seen("t"));
            std::thread::sleep(Duration::from_millis(20));
        };
        self.life.engine.handle().block_on(self.life.worker.stop(run, Duration::from_secs(10)));
        failure
    }

    /// The values that readers of committed records see.
    fn seen(&self, topic: &str) -> Vec<String> {
        let mut reader = Consumer::open(&ClientSettings::for_reader(&self.bootstrap(), "seen", 1 << 20)).unwrap();
        let at = TopicPartition::new(topic, 0);
        let Ok(ends) = reader.end_offsets(std::slice::from_ref(&at), DEADLINE) else { return Vec::new() };
        reader.assign(&[(at, StartOffset::Beginning)]).unwrap();
        let (mut values, mut read_to) = (Vec::new(), 0);
        while read_to < ends[0].offset {
            match reader.poll(100, Duration::from_millis(100)).unwrap() {
                Polled::Records(batch) => {
                    for message in batch.iter() {
                        values.push(String::from_utf8_lossy(message.value().unwrap_or_default()).into_owned());
                        read_to = message.offset() + 1;
                    }
                }
                Polled::EndOfPartition { offset, .. } => read_to = offset,
                _ => {}
            }
        }
        values
    }

    /// The committed offsets of a topic of offsets.
    fn offsets(&self, topic: &str) -> BTreeMap<String, String> {
        let reader = ClientSettings::for_reader(&self.bootstrap(), "seen", 1 << 20);
        let writer = ClientSettings::for_producer(&self.bootstrap(), 1 << 20);
        let table = CompactedTopic::open(&reader, &writer, topic, DEADLINE).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        table.iter().map(|(key, value)| (text(key), text(value))).collect()
    }
}

fn config(pairs: &[(&str, &str)]) -> Config {
    let mut config: Config = [("name", "c"), ("topic", "t")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    config.extend(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    config
}

fn boundaries(groups: &str) -> Config {
    config(&[("connector.class", "BoundarySource"), ("transaction.boundary", "connector"), ("groups", groups)])
}

#[test]
fn a_connectors_own_transactions_are_seen_whole_or_not_at_all() {
    let mut stage = Stage::new(boundary_source());
    let script = boundaries("3c 2a 4c 3");
    let aborted = "tidegate_task_records_aborted_total{connector=\"c\",task=\"0\"} 2\n";
    let is_over = |stage: &Stage| stage.seen("t").len() == 7 && stage.life.metrics.render().contains(aborted);
    assert_eq!(stage.play(&script, is_over), None);
    let first = ["g0r0", "g0r1", "g0r2", "g2r0", "g2r1", "g2r2", "g2r3"];
    assert_eq!(stage.seen("t"), first, "the second group was aborted, the fourth never ended");
    let key = r#"["c",{"script":0}]"#;
    assert_eq!(stage.offsets("offsets")[key], r#"{"next":9}"#);

    // What was aborted does not come again; what never ended does, as its offsets were not committed either.
    let script = boundaries("3c 2a 4c 3c 2a");
    let failure = stage.play(&script, |stage| stage.offsets("offsets")[key] == r#"{"next":14}"#);
    assert_eq!(failure, None);
    assert_eq!(stage.seen("t"), [&first[..], &["g3r0", "g3r1", "g3r2"]].concat());
}

#[test]
fn offsets_of_the_connectors_own_topic_count_and_the_workers_shows_them() {
    let mut stage = Stage::new(boundary_source());
    let mut script = boundaries("2c 2c");
    script.insert("offset.storage.topic".to_owned(), "own".to_owned());
    let key = r#"["c",{"script":0}]"#;
    assert_eq!(stage.play(&script, |stage| stage.seen("t").len() == 4), None);
    assert_eq!(stage.offsets("own")[key], r#"{"next":4}"#);
    assert_eq!(stage.offsets("offsets")[key], r#"{"next":4}"#);
    script.insert("groups".to_owned(), "2c 2c 1c".to_owned());
    assert_eq!(stage.play(&script, |stage| stage.seen("t").len() == 5), None);
}

#[test]
fn a_source_that_is_filtered_whole_makes_progress() {
    let mut stage = Stage::new(file_source());
    let transforms = tidegate_bundled::components().iter().find(|component| component.name == "transforms").unwrap();
    stage.life.engine.handle().block_on(stage.life.catalog.add_bundled(transforms.bytes)).unwrap();
    let input = stage.path().join("in.txt");
    std::fs::write(&input, "one\ntwo\n").unwrap();
    let (input, class) = (input.to_str().unwrap(), "org.apache.kafka.connect.transforms.Filter");
    let lines = config(&[
        ("connector.class", "FileStreamSource"),
        ("file", input),
        ("transforms", "drop"),
        ("transforms.drop.type", class),
    ]);
    let key = format!("[\"c\",{{\"filename\":{input:?}}}]");
    let is_over =
        |stage: &Stage| stage.offsets("offsets").get(&key).is_some_and(|offset| offset == r#"{"position":8}"#);
    assert_eq!(stage.play(&lines, is_over), None);
    assert_eq!(stage.seen("t"), [""; 0]);
}

#[test]
fn a_record_that_kafka_refuses_fails_the_task_and_nothing_of_its_transaction_is_seen() {
    let mut stage = Stage::new(file_source());
    let input = stage.path().join("in.txt");
    std::fs::write(&input, format!("one\n{}\ntwo\n", "x".repeat(2 << 20))).unwrap();
    let input = input.to_str().unwrap().to_owned();
    let lines = config(&[
        ("connector.class", "FileStreamSource"),
        ("file", &input),
        ("errors.tolerance", "all"),
        ("transaction.boundary", "interval"),
        ("transaction.boundary.interval.ms", "2000"),
    ]);
    let failure = stage.play(&lines, |_| false).unwrap();
    assert!(failure.contains("MSG_SIZE_TOO_LARGE"), "{failure}");
    assert!(failure.contains("nothing of it is visible"), "{failure}");
    assert_eq!(stage.seen("t"), [""; 0]);
    assert_eq!(stage.offsets("offsets"), BTreeMap::new());
}

#[test]
fn what_stands_against_exactly_once_is_said_at_validation() {
    let stage = Stage::new(file_source());
    let says = |pairs: &[(&str, &str)], expected: &str| {
        let input = config(&[&[("connector.class", "FileStreamSource"), ("file", "/in.txt")], pairs].concat());
        match stage.validate(&input) {
            Ok(_) => assert_eq!(expected, ""),
            Err(message) => assert!(!expected.is_empty() && message.contains(expected), "{message}"),
        }
    };
    says(&[("exactly.once.support", "required"), ("acks", "-1"), ("transactional.id", "p")], "");
    says(&[("acks", "1")], "acks is 1: exactly-once support needs the acknowledgement of all replicas");
    says(&[("producer.override.acks", "0")], "acks is 0");
    says(&[("producer.override.transactional.id", "p")], "several tasks cannot share one id");
    says(
        &[("transaction.boundary", "connector")],
        "The connector does not support connector-defined transaction boundaries with the given configuration.",
    );
    let directory = tempfile::tempdir().unwrap();
    let plain = Life::begin(directory.path(), file_source(), &stage.bootstrap(), &[]);
    for pair in [("exactly.once.support", "required"), ("transactional.id", "p")] {
        let request = ValidateRequest {
            connector: ConnectorKey::plain("c"),
            config: config(&[("connector.class", "FileStreamSource"), ("file", "/in.txt"), pair]),
            pinned: Plugins::new(),
        };
        let refused = plain.engine.handle().block_on(plain.worker.validate(request)).unwrap_err();
        let shown = format!("{refused:?}");
        assert!(shown.contains("This worker does not have exactly-once source support enabled."), "{shown}");
    }
}
