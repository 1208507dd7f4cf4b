//! A sink task on the embedded broker whose target fails by script, and which is killed again and again: nothing may be
//! lost, and nothing may overtake.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tidegate_broker::RunningBroker;
use tidegate_herder::cluster::{ConnectorKey, Instance};
use tidegate_herder::{Config, ConnectorKind, Failure, HostEvent, Reporter, RunId, Target, TaskHost, TaskSpec};
use tidegate_kafka::{ClientSettings, OutRecord, Producer};
use tokio::sync::mpsc;

use crate::life::{DEADLINE, Life, broker, kept, pin, read};

pub(crate) fn guest() -> &'static [u8] {
    static GUEST: OnceLock<Vec<u8>> = OnceLock::new();
    GUEST.get_or_init(|| tidegate_components::build_guest("faulty-sink", kept()))
}

/// A broker, a worker, and one sink task at a time.
pub(crate) struct Stage {
    pub(crate) class: String,
    pub(crate) has_batch_size: bool,
    directory: tempfile::TempDir,
    broker: RunningBroker,
    life: Life,
    settings: Vec<(&'static str, String)>,
    epoch: u64,
    words: Option<mpsc::Receiver<HostEvent>>,
    pub(crate) sent: u32,
}

impl Stage {
    pub(crate) fn set(script: &str, settings: &[(&'static str, &str)]) -> Stage {
        let directory = tempfile::tempdir().unwrap();
        let broker = broker(&directory.path().join("broker"));
        let more = [("offset.flush.interval.ms", "30")];
        let life = Life::begin(directory.path(), guest(), &broker.address().to_string(), &more);
        let settings = settings.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        let class = "FaultySink".to_owned();
        let stage =
            Stage { class, has_batch_size: true, directory, broker, life, settings, epoch: 0, words: None, sent: 0 };
        std::fs::write(stage.path("script"), script).unwrap();
        stage
    }

    pub(crate) fn bootstrap(&self) -> String {
        self.broker.address().to_string()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn config(&self) -> Config {
        let path = |name| self.path(name).to_str().unwrap().to_owned();
        let mut config: Config = [
            ("name", "faulty".to_owned()),
            ("connector.class", self.class.clone()),
            ("topics", "t".to_owned()),
            ("file", path("out")),
            ("script", path("script")),
            ("errors.retry.delay.max.ms", "1".to_owned()),
            ("batch.size", "7".to_owned()),
            // The group must not wait for members that were killed.
            ("consumer.override.session.timeout.ms", "6000".to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        if !self.has_batch_size {
            config.remove("batch.size");
        }
        config.extend(self.settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        config
    }

    fn run(&self) -> RunId {
        RunId { subject: ConnectorKey::plain("faulty").subject(Instance::Task(0)), uid: 0, epoch: self.epoch }
    }

    /// Starts the task as often as its script lets the start fail.
    pub(crate) fn start(&mut self) {
        let begun = Instant::now();
        loop {
            self.epoch += 1;
            let spec = TaskSpec {
                run: self.run(),
                kind: ConnectorKind::Sink,
                config: self.config(),
                task_config: self.config(),
                tasks: 1,
                generation: 1,
                plugins: pin(guest()),
                target: Target::Running,
            };
            let (mailbox, words) = mpsc::channel(8);
            let started = self.life.worker.start_task(spec, Reporter::new(self.run(), mailbox));
            match self.life.engine.handle().block_on(started) {
                Ok(()) => {
                    self.words = Some(words);
                    return;
                }
                Err(failure) => assert!(begun.elapsed() < DEADLINE, "the task does not start: {}", failure.trace),
            }
        }
    }

    /// What the task failed with, if it has.
    pub(crate) fn failure(&mut self) -> Option<Failure> {
        match self.words.as_mut()?.try_recv().ok()? {
            HostEvent::Failed(_, failure) => Some(failure),
            HostEvent::Reconfigure(_) => None,
        }
    }

    pub(crate) fn kill(&mut self) {
        self.life.worker.abandon(&self.run());
    }

    pub(crate) fn stop(&mut self) {
        self.life.engine.handle().block_on(self.life.worker.stop(self.run(), Duration::from_secs(5)));
    }

    fn send(&mut self, count: u32) {
        let values: Vec<String> = (self.sent..self.sent + count).map(|number| number.to_string()).collect();
        self.send_values(&values.iter().map(String::as_str).collect::<Vec<_>>());
        self.sent += count;
    }

    fn send_values(&self, values: &[&str]) {
        self.send_to(&values.iter().map(|value| (0, *value)).collect::<Vec<_>>());
    }

    /// Sends values to partitions.
    pub(crate) fn send_to(&self, values: &[(i32, &str)]) {
        let mut producer =
            Producer::open(&ClientSettings::for_producer(&self.broker.address().to_string(), 4 << 20)).unwrap();
        let records: Vec<OutRecord<'_>> = values
            .iter()
            .map(|(partition, value)| OutRecord {
                topic: "t",
                partition: Some(*partition),
                key: None,
                value: Some(value.as_bytes()),
                headers: &[],
                timestamp: None,
            })
            .collect();
        let enqueued = producer.produce(&records, DEADLINE);
        assert_eq!(enqueued.accepted, records.len());
        let mut outcomes = Vec::new();
        producer.poll_acks(DEADLINE, &mut outcomes);
        assert!(outcomes.len() == 1 && outcomes[0].failures.is_empty(), "{outcomes:?}");
    }

    /// Waits until everything that was sent is in the target; a task that fails meanwhile is started again.
    fn all_arrive(&mut self) {
        let begun = Instant::now();
        let is_there = |path: &Path, last: u32| numbers(path).contains(&last);
        while !is_there(&self.path("out"), self.sent - 1) {
            if let Some(failure) = self.failure() {
                assert!(failure.trace.contains("told to"), "{}", failure.trace);
                self.start();
            }
            assert!(begun.elapsed() < DEADLINE, "missing after {:?}", numbers(&self.path("out")).last());
            std::thread::sleep(Duration::from_millis(5));
        }
        self.nothing_is_lost();
    }

    /// Every record came, and none before all before it had come.
    fn nothing_is_lost(&self) {
        let mut next = 0;
        for number in numbers(&self.path("out")) {
            assert!(number <= next, "{number} came before {next}: {:?}", numbers(&self.path("out")));
            next = next.max(number + 1);
        }
    }
}

pub(crate) fn numbers(path: &Path) -> Vec<u32> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    // The last line may be half written.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| line.parse().unwrap()).collect()
}

/// Plays a script to its end, kills the task, and lets a last one finish.
fn check(script: &str, settings: &[(&'static str, &str)]) -> Vec<u32> {
    let mut stage = Stage::set(script, settings);
    stage.send(40);
    stage.start();
    stage.all_arrive();
    stage.kill();
    stage.send(10);
    stage.start();
    stage.all_arrive();
    stage.stop();
    numbers(&stage.path("out"))
}

#[test]
fn a_connection_lost_on_the_very_first_batch_loses_nothing() {
    check("ok lost ok lost ok", &[]);
}

#[test]
fn a_target_that_is_away_for_a_while_fails_no_task() {
    check("ok ok lost lost lost retry lost ok ok", &[]);
}

#[test]
fn a_batch_that_was_taken_in_part_goes_on_where_it_stopped() {
    let arrived = check("ok part part retry part ok", &[]);
    assert_eq!(arrived[..40], (0..40).collect::<Vec<u32>>()[..], "nothing twice");
}

#[test]
fn what_a_sink_holds_is_not_committed_before_it_is_durable() {
    check("ok ok ok retry ok lost ok retry", &[("hold", "true")]);
}

#[test]
fn a_guest_that_grows_is_replaced_and_nothing_is_lost_or_twice() {
    let small = ("sandbox.memory.max.bytes", "33554432");
    let arrived = check(&["ok"].into_iter().chain([" grow"; 12]).collect::<String>(), &[small, ("hold", "true")]);
    assert_eq!(arrived[..40], (0..40).collect::<Vec<u32>>()[..], "nothing twice");
}

#[test]
fn a_guest_that_grows_while_its_target_is_away_loses_nothing() {
    let small = ("sandbox.memory.max.bytes", "33554432");
    check("ok grow grow retry grow lost grow retry ok grow retry grow lost", &[small, ("hold", "true")]);
}

#[test]
fn refused_records_are_dead_letters_with_all_that_they_had_and_the_rest_arrives() {
    let mut stage = Stage::set(
        "ok ok refuse part refuse ok",
        &[
            ("errors.tolerance", "all"),
            ("errors.deadletterqueue.topic.name", "dead"),
            ("errors.deadletterqueue.topic.replication.factor", "1"),
            ("errors.deadletterqueue.context.headers.enable", "true"),
        ],
    );
    stage.send(40);
    stage.start();
    let begun = Instant::now();
    while numbers(&stage.path("out")).last() != Some(&39) {
        assert!(begun.elapsed() < DEADLINE, "{:?}", numbers(&stage.path("out")));
        std::thread::sleep(Duration::from_millis(5));
    }
    stage.stop();
    let letters = read(&stage.broker.address().to_string(), "dead");
    let dead: Vec<u32> = letters.iter().map(|(value, _)| value.parse().unwrap()).collect();
    let mut all = numbers(&stage.path("out"));
    assert!(dead.iter().all(|number| !all.contains(number)), "dead and delivered: {dead:?}");
    all.extend(&dead);
    all.sort_unstable();
    assert_eq!(all, (0..40).collect::<Vec<u32>>(), "each is delivered or dead, once");
    assert_eq!(dead.len(), 2, "{dead:?}");
    let (value, headers) = &letters[0];
    expect_test::expect![[r#"
        __connect.errors.topic=t
        __connect.errors.partition=0
        __connect.errors.offset=OFFSET
        __connect.errors.connector.name=faulty
        __connect.errors.task.id=0
        __connect.errors.stage=TASK_PUT
        __connect.errors.class.name=FaultySink
        __connect.errors.exception.class.name=org.apache.kafka.connect.errors.ConnectException
        __connect.errors.exception.message=the target does not want it
        __connect.errors.exception.stacktrace=org.apache.kafka.connect.errors.ConnectException: the target does not want it
    "#]]
    .assert_eq(&headers.replace(&format!("offset={value}\n"), "offset=OFFSET\n"));
}

#[test]
fn a_record_that_no_converter_reads_fails_the_task_or_is_a_dead_letter() {
    let json = ("value.converter", "org.apache.kafka.connect.json.JsonConverter");
    let plain = ("value.converter.schemas.enable", "false");
    let mut stage = Stage::set("", &[json, plain]);
    stage.send_values(&["1", "{", "2"]);
    stage.start();
    let begun = Instant::now();
    let failure = loop {
        if let Some(failure) = stage.failure() {
            break failure.trace;
        }
        assert!(begun.elapsed() < DEADLINE, "the task did not fail");
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(failure.contains("Tolerance exceeded in error handler"), "{failure}");
    assert!(
        failure.contains("stage: VALUE_CONVERTER, class: org.apache.kafka.connect.json.JsonConverter"),
        "{failure}"
    );
    assert!(failure.contains("record: {topic='t', partition=0, offset=1}"), "{failure}");

    stage.settings.extend(
        [
            ("errors.tolerance", "all"),
            ("errors.deadletterqueue.topic.name", "dead"),
            ("errors.deadletterqueue.topic.replication.factor", "1"),
        ]
        .map(|(key, value)| (key, value.to_owned())),
    );
    stage.start();
    while numbers(&stage.path("out")) != [1, 2] {
        assert!(begun.elapsed() < DEADLINE, "{:?}", numbers(&stage.path("out")));
        std::thread::sleep(Duration::from_millis(5));
    }
    stage.stop();
    assert_eq!(read(&stage.broker.address().to_string(), "dead"), [("{".to_owned(), String::new())]);
}

/// Any failures in any order, with kills in between. The seed is printed, and `SEED` sets it.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test that is to be repeated is told its seed")]
fn whatever_fails_and_whenever_it_is_killed_nothing_is_lost() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    eprintln!("SEED={seed}");
    let mut chance = fastrand::Rng::with_seed(seed);
    for _ in 0..4 {
        let word = |chance: &mut fastrand::Rng| {
            ["ok", "ok", "ok", "lost", "retry", "part", "grow", "trap", "back", "commit"][chance.usize(..10)]
        };
        let script: Vec<&str> = (0..60).map(|_| word(&mut chance)).collect();
        let hold = if chance.bool() { "true" } else { "false" };
        let mut stage = Stage::set(&script.join(" "), &[("hold", hold), ("sandbox.memory.max.bytes", "33554432")]);
        for _ in 0..4 {
            stage.send(chance.u32(1..60));
            stage.start();
            let until = Instant::now() + Duration::from_millis(chance.u64(20..400));
            while Instant::now() < until {
                if stage.failure().is_some() {
                    stage.start();
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            stage.nothing_is_lost();
            if chance.bool() { stage.kill() } else { stage.stop() }
        }
        std::fs::write(stage.path("script"), "").unwrap();
        stage.start();
        stage.all_arrive();
        stage.stop();
    }
}
