//! Every record that a task reads ends somewhere, and a counter says where: read = written + filtered + skipped + given
//! back (and what transforms make of one record counts as read). Records too large, filtered, broken, refused; a Kafka that does not answer.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tidegate_broker::{Fault, RunningBroker};
use tidegate_herder::cluster::{ConnectorKey, Instance};
use tidegate_herder::{
    Config, ConnectorKind, ConnectorSpec, Failure, HostEvent, Plugins, Reporter, RunId, Target, TaskHost, TaskSpec,
    ValidateRequest,
};
use tidegate_kafka::{ClientSettings, OutRecord, Producer};
use tokio::sync::mpsc;

use crate::life::{DEADLINE, Life, broker, kept, read};

const PRODUCE: i16 = 0;

fn bundled(name: &str) -> &'static [u8] {
    tidegate_bundled::components().iter().find(|component| component.name == name).unwrap().bytes
}

fn faulty_sink() -> &'static [u8] {
    static GUEST: OnceLock<Vec<u8>> = OnceLock::new();
    GUEST.get_or_init(|| tidegate_components::build_guest("faulty-sink", kept()))
}

/// A broker, a worker, and one connector with one task.
struct Stage {
    directory: tempfile::TempDir,
    broker: RunningBroker,
    life: Life,
    config: Config,
    kind: ConnectorKind,
    plugins: Plugins,
    epoch: u64,
    words: Option<mpsc::Receiver<HostEvent>>,
}

impl Stage {
    fn set(kind: ConnectorKind, plugin: &[u8], settings: &[(&str, &str)]) -> Stage {
        let directory = tempfile::tempdir().unwrap();
        let broker = broker(&directory.path().join("broker"));
        let bootstrap = broker.address().to_string();
        let life = Life::begin(directory.path(), plugin, &bootstrap, &[("offset.flush.interval.ms", "20")]);
        life.engine.handle().block_on(life.catalog.add_bundled(bundled("transforms"))).unwrap();
        let place = directory.path().to_str().unwrap();
        let mut config: Config =
            settings.iter().map(|(key, value)| ((*key).to_owned(), value.replace("[DIR]", place))).collect();
        config.insert("name".to_owned(), "c".to_owned());
        let request =
            ValidateRequest { connector: ConnectorKey::plain("c"), config: config.clone(), pinned: Plugins::new() };
        let plugins = life.engine.handle().block_on(life.worker.validate(request)).unwrap().plugins;
        let stage = Stage { directory, broker, life, config, kind, plugins, epoch: 0, words: None };
        stage.start_connector();
        stage
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn run(&self) -> RunId {
        RunId { subject: ConnectorKey::plain("c").subject(Instance::Task(0)), uid: 0, epoch: self.epoch }
    }

    /// The connector outlives its tasks, and with it their numbers.
    fn start_connector(&self) {
        let run = RunId { subject: ConnectorKey::plain("c").subject(Instance::Connector), uid: 0, epoch: 1 };
        let spec = ConnectorSpec {
            run: run.clone(),
            kind: self.kind,
            config: self.config.clone(),
            plugins: self.plugins.clone(),
            target: Target::Running,
        };
        let started = self.life.worker.start_connector(spec, Reporter::new(run, mpsc::channel(1).0));
        self.life.engine.handle().block_on(started).unwrap_or_else(|failure| panic!("{}", failure.trace));
    }

    fn start(&mut self) {
        self.epoch += 1;
        let spec = TaskSpec {
            generation: 1,
            run: self.run(),
            kind: self.kind,
            config: self.config.clone(),
            task_config: self.config.clone(),
            tasks: 1,
            plugins: self.plugins.clone(),
            target: Target::Running,
        };
        let (mailbox, words) = mpsc::channel(8);
        let started = self.life.worker.start_task(spec, Reporter::new(self.run(), mailbox));
        self.life.engine.handle().block_on(started).unwrap_or_else(|failure| panic!("{}", failure.trace));
        self.words = Some(words);
    }

    fn stop(&mut self) {
        self.life.engine.handle().block_on(self.life.worker.stop(self.run(), Duration::from_secs(5)));
    }

    /// What the task failed with; the herder abandons a run that has failed.
    fn failure(&mut self) -> Option<Failure> {
        match self.words.as_mut()?.try_recv().ok()? {
            HostEvent::Failed(run, failure) => {
                self.life.worker.abandon(&run);
                Some(failure)
            }
            HostEvent::Reconfigure(_) => None,
        }
    }

    /// The numbers as `/metrics` has them, by the end of their names.
    fn numbers(&self) -> BTreeMap<&'static str, u64> {
        let text = self.life.metrics.render();
        let names = [
            "record_poll_total",
            "record_write_total",
            "record_read_total",
            "record_send_total",
            "records_filtered_total",
            "total_records_skipped",
            "total_record_failures",
            "records_given_back_total",
            "deadletterqueue_produce_requests",
        ];
        let value = |name: &str| {
            let line = text.lines().find(|line| line.contains(&format!("{name}{{connector=\"c\"")))?;
            line.rsplit(' ').next()?.parse().ok()
        };
        names.into_iter().filter_map(|name| Some((name, value(name)?))).collect()
    }

    fn number(&self, name: &str) -> u64 {
        self.numbers().get(name).copied().unwrap_or_default()
    }

    #[track_caller]
    fn until(&mut self, what: &str, holds: impl Fn(&Stage) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            let failure = self.failure();
            assert!(failure.is_none(), "the task failed: {}", failure.unwrap().trace);
            assert!(begun.elapsed() < DEADLINE, "{what}: {:?}", self.numbers());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[track_caller]
    fn until_failed(&mut self) -> Failure {
        let begun = Instant::now();
        loop {
            if let Some(failure) = self.failure() {
                return failure;
            }
            assert!(begun.elapsed() < DEADLINE, "the task does not fail: {:?}", self.numbers());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Read, and where it went.
    fn settled(&self) -> (u64, u64) {
        let of = |name| self.number(name);
        let written = of("record_write_total") + of("record_send_total");
        let gone =
            written + of("records_filtered_total") + of("total_records_skipped") + of("records_given_back_total");
        (of("record_poll_total") + of("record_read_total"), gone)
    }

    #[track_caller]
    fn adds_up(&self) {
        let (read, gone) = self.settled();
        assert_eq!(read, gone, "{:?}", self.numbers());
    }

    fn send(&self, topic: &str, values: &[&str]) {
        let settings = ClientSettings::for_producer(&self.broker.address().to_string(), 1 << 20);
        let mut producer = Producer::open(&settings).unwrap();
        let records: Vec<_> = values
            .iter()
            .map(|value| OutRecord { topic, value: Some(value.as_bytes()), ..OutRecord::default() })
            .collect();
        assert_eq!(producer.produce(&records, DEADLINE).accepted, records.len());
        let mut outcomes = Vec::new();
        while outcomes.is_empty() {
            producer.poll_acks(Duration::from_secs(1), &mut outcomes);
        }
        assert!(outcomes[0].is_ok());
    }
}

/// Orders made up: of one thousand a fifth has a coupon, of these about half are of a kind that the chain can read.
const ORDERS: &[(&str, &str)] = &[
    ("connector.class", "DatagenSource"),
    ("template", "orders"),
    ("topic", "coupons"),
    ("rate", "0"),
    ("count", "1000"),
    ("batch.size", "64"),
    ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
    ("value.converter.schemas.enable", "false"),
    ("transforms", "coupon,some,number"),
    ("transforms.coupon.type", "ExtractField$Value"),
    ("transforms.coupon.field", "coupon"),
    ("transforms.some.type", "Filter"),
    ("transforms.some.predicate", "none"),
    ("predicates", "none"),
    ("predicates.none.type", "RecordIsTombstone"),
    ("transforms.number.type", "TimestampConverter$Value"),
    ("transforms.number.target.type", "unix"),
    ("transforms.number.format", "'SAVE1'd"),
];

#[test]
fn a_sources_records_are_written_filtered_or_skipped_and_a_restart_reads_none_again() {
    let tolerant = [
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", "dead"),
        ("errors.deadletterqueue.topic.replication.factor", "1"),
    ];
    let mut stage = Stage::set(ConnectorKind::Source, bundled("datagen"), &[ORDERS, &tolerant].concat());
    stage.start();
    stage.until("all are somewhere", |stage| stage.settled() == (1_000, 1_000));
    stage.stop();
    stage.adds_up();
    let (written, filtered, skipped) = (
        stage.number("record_write_total"),
        stage.number("records_filtered_total"),
        stage.number("total_records_skipped"),
    );
    assert!(written > 50 && filtered > 500 && skipped > 50, "{:?}", stage.numbers());
    assert_eq!(stage.number("records_given_back_total"), 0, "an orderly end gives nothing back");
    assert_eq!(
        (stage.number("total_record_failures"), stage.number("deadletterqueue_produce_requests")),
        (skipped, skipped)
    );
    let bootstrap = stage.broker.address().to_string();
    assert_eq!(
        (read(&bootstrap, "coupons").len(), read(&bootstrap, "dead").len()),
        (written as usize, skipped as usize)
    );

    // Offsets went past what was filtered and skipped as well.
    stage.start();
    std::thread::sleep(Duration::from_millis(500));
    stage.stop();
    assert_eq!(stage.number("record_poll_total"), 1_000);
}

#[test]
fn a_source_that_fails_gives_back_what_it_had_in_hand() {
    let mut stage = Stage::set(ConnectorKind::Source, bundled("datagen"), ORDERS);
    stage.start();
    let failure = stage.until_failed();
    assert!(failure.trace.contains("Tolerance exceeded in error handler"), "{}", failure.trace);
    stage.adds_up();
    assert!(stage.number("records_given_back_total") > 0 && stage.number("total_record_failures") > 0);
}

#[test]
fn a_sinks_records_are_delivered_filtered_skipped_refused_or_given_back() {
    let settings = [
        ("connector.class", "FaultySink"),
        ("topics", "numbers"),
        ("file", "[DIR]/out"),
        ("script", "[DIR]/script"),
        ("errors.retry.delay.max.ms", "1"),
        ("batch.size", "10"),
        ("consumer.override.session.timeout.ms", "6000"),
        ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
        ("value.converter.schemas.enable", "false"),
        ("transforms", "some,whole"),
        ("transforms.some.type", "Filter"),
        ("transforms.some.predicate", "none"),
        ("predicates", "none"),
        ("predicates.none.type", "RecordIsTombstone"),
        ("transforms.whole.type", "Cast$Value"),
        ("transforms.whole.spec", "string"),
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", "dead"),
        ("errors.deadletterqueue.topic.replication.factor", "1"),
    ];
    let mut stage = Stage::set(ConnectorKind::Sink, faulty_sink(), &settings);
    // The start, then a put of which the first record is refused, then one that loses the connection.
    std::fs::write(stage.path("script"), "ok refuse lost ok ok ok ok ok").unwrap();
    let values: Vec<String> = (0..100)
        .map(|number| match number % 10 {
            3 => "null".to_owned(),
            5 => "{".to_owned(),
            7 => "[1]".to_owned(),
            _ => format!("\"{number}\""),
        })
        .collect();
    stage.send("numbers", &values.iter().map(String::as_str).collect::<Vec<_>>());
    stage.start();
    // What had been taken and was not durable when the connection was lost came again.
    let delivered = |stage: &Stage| {
        let out = std::fs::read_to_string(stage.path("out")).unwrap_or_default();
        out.lines().collect::<BTreeSet<&str>>().len() >= 69 && stage.settled().0 == stage.settled().1
    };
    stage.until("all are somewhere", delivered);
    stage.stop();
    stage.adds_up();
    let numbers = stage.numbers();
    // Ten broken, ten that cannot be cast, one refused, and those of them that came again.
    assert!(numbers["total_records_skipped"] >= 21, "{numbers:?}");
    assert_eq!(numbers["total_records_skipped"], numbers["deadletterqueue_produce_requests"], "{numbers:?}");
    assert!(numbers["records_filtered_total"] >= 10, "{numbers:?}");
    let out = std::fs::read_to_string(stage.path("out")).unwrap();
    assert_eq!(out.lines().count() as u64, numbers["record_send_total"], "{numbers:?}");
    let different: BTreeSet<&str> = out.lines().collect();
    assert!(different.len() >= 69, "all but the refused one arrive: {}", different.len());
}

fn lines_source(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    let mut settings = vec![
        ("connector.class", "FileStreamSource"),
        ("file", "[DIR]/in.txt"),
        ("topic", "lines"),
        ("producer.override.max.request.size", "10000"),
    ];
    settings.extend(more);
    settings
}

/// Three lines, of which the second is larger than a request may be.
fn write_lines(path: &Path) {
    std::fs::write(path, format!("one\n{}\nthree\n", "x".repeat(50_000))).unwrap();
}

#[test]
fn a_record_too_large_for_kafka_fails_its_task_with_the_reason_or_is_skipped() {
    let mut stage = Stage::set(ConnectorKind::Source, bundled("file"), &lines_source(&[]));
    write_lines(&stage.path("in.txt"));
    stage.start();
    let failure = stage.until_failed();
    assert!(failure.trace.contains("MSG_SIZE_TOO_LARGE"), "{}", failure.trace);
    stage.adds_up();

    let mut stage = Stage::set(ConnectorKind::Source, bundled("file"), &lines_source(&[("errors.tolerance", "all")]));
    write_lines(&stage.path("in.txt"));
    stage.start();
    stage.until("the others are written", |stage| stage.settled() == (3, 3));
    stage.stop();
    assert_eq!((stage.number("record_write_total"), stage.number("total_records_skipped")), (2, 1));
    let values: Vec<String> =
        read(&stage.broker.address().to_string(), "lines").into_iter().map(|(value, _)| value).collect();
    assert_eq!(values, ["one", "three"]);
}

#[test]
fn while_kafka_does_not_answer_a_source_is_polled_no_further_than_its_open_batches() {
    let settings = [
        ("connector.class", "DatagenSource"),
        ("template", "sensors"),
        ("topic", "t"),
        ("rate", "0"),
        ("batch.size", "100"),
        ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
        ("value.converter.schemas.enable", "false"),
    ];
    let mut stage = Stage::set(ConnectorKind::Source, bundled("datagen"), &settings);
    stage.start();
    stage.until("it runs", |stage| stage.number("record_write_total") > 1_000);
    // Requests one after the other, each slower than the test waits.
    stage.broker.faults().inject(PRODUCE, Fault::Delay(Duration::from_secs(20)), 1_000);
    let stalled = Instant::now();
    let mut before = (u64::MAX, u64::MAX);
    loop {
        std::thread::sleep(Duration::from_millis(300));
        let now = (stage.number("record_poll_total"), stage.number("record_write_total"));
        if now == before {
            break;
        }
        assert!(stalled.elapsed() < DEADLINE, "it is polled on and on: {now:?}");
        before = now;
    }
    let (polled, written) = before;
    assert!(polled > written, "something waits for Kafka");
    // 32 open batches, one under way and one in hand.
    assert!(polled - written <= 34 * 100, "{} records wait", polled - written);
    stage.broker.faults().clear();
    stage.until("it goes on", |stage| stage.number("record_write_total") > polled);
    stage.stop();
    stage.adds_up();
}
