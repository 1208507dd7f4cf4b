//! Two tasks of one sink connector share its partitions. When one comes or goes, a cooperative assignor moves as few as it
//! can, and the guest keeps those that stay open.

use std::path::Path;
use std::time::{Duration, Instant};

use expect_test::{Expect, expect};
use tidegate_herder::cluster::{ConnectorKey, Instance};
use tidegate_herder::{Config, ConnectorKind, Reporter, RunId, Target, TaskHost, TaskSpec};
use tidegate_kafka::{Admin, ClientSettings, NewTopic, OutRecord, Producer};
use tokio::sync::mpsc;

use crate::life::{DEADLINE, Life, broker, pin};
use crate::sink::guest;

const PARTITIONS: i32 = 4;

/// What the two tasks wrote down, one after the other.
fn moves(directory: &Path) -> String {
    let of = |task: u32| std::fs::read_to_string(directory.join(format!("moves-{task}"))).unwrap_or_default();
    format!("task 0\n{}task 1\n{}", of(0), of(1))
}

/// Waits until task 0 has written so many lines down, and task 1.
fn until_moved(directory: &Path, lines: [usize; 2]) {
    let begun = Instant::now();
    let written = |task: usize| {
        let text = std::fs::read_to_string(directory.join(format!("moves-{task}"))).unwrap_or_default();
        text.lines().count()
    };
    while [written(0), written(1)] != lines {
        assert!(begun.elapsed() < DEADLINE, "not {lines:?} lines but\n{}", moves(directory));
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Lets the second task come and go again; `lines` are how many each has written down after each of the three steps.
fn check(strategy: Option<&str>, lines: [[usize; 2]; 3], expected: &Expect) {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let broker = broker(&directory.join("broker"));
    let address = broker.address().to_string();
    let life = Life::begin(directory, guest(), &address, &[("offset.flush.interval.ms", "30")]);
    std::fs::write(directory.join("script"), "").unwrap();
    let topic = NewTopic {
        name: "t".to_owned(),
        partitions: Some(PARTITIONS),
        replication_factor: Some(1),
        configs: Vec::new(),
    };
    Admin::open(&ClientSettings::for_control(&address)).unwrap().create_topic(&topic, DEADLINE).unwrap();

    let run = |task| RunId { subject: ConnectorKey::plain("shared").subject(Instance::Task(task)), uid: 0, epoch: 1 };
    let start = |task: u32| {
        let path = |name: &str| directory.join(name).to_str().unwrap().to_owned();
        let mut config: Config = [
            ("name", "shared".to_owned()),
            ("connector.class", "FaultySink".to_owned()),
            ("topics", "t".to_owned()),
            ("file", path("out")),
            ("script", path("script")),
            ("moves", path(&format!("moves-{task}"))),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        if let Some(strategy) = strategy {
            config.insert("consumer.override.partition.assignment.strategy".to_owned(), strategy.to_owned());
        }
        let spec = TaskSpec {
            generation: 1,
            run: run(task),
            kind: ConnectorKind::Sink,
            config: config.clone(),
            task_config: config,
            tasks: 2,
            plugins: pin(guest()),
            target: Target::Running,
        };
        let (mailbox, words) = mpsc::channel(8);
        let started = life.worker.start_task(spec, Reporter::new(run(task), mailbox));
        life.engine.handle().block_on(started).unwrap();
        words
    };
    let stop = |task| life.engine.handle().block_on(life.worker.stop(run(task), Duration::from_secs(5)));

    let _first = start(0);
    until_moved(directory, lines[0]);
    send(&address, "before");
    let _second = start(1);
    until_moved(directory, lines[1]);
    send(&address, "together");
    arrived(directory, &["before", "together"]);
    stop(1);
    until_moved(directory, lines[2]);
    send(&address, "alone");
    arrived(directory, &["before", "together", "alone"]);
    expected.assert_eq(&moves(directory));
    stop(0);
    drop(life);
    drop(broker);
}

/// One record into each partition.
fn send(address: &str, what: &str) {
    let mut producer = Producer::open(&ClientSettings::for_producer(address, 1 << 20)).unwrap();
    let values: Vec<String> = (0..PARTITIONS).map(|partition| format!("{what} {partition}")).collect();
    let records: Vec<OutRecord<'_>> = (0..)
        .zip(&values)
        .map(|(partition, value)| OutRecord {
            topic: "t",
            partition: Some(partition),
            value: Some(value.as_bytes()),
            ..OutRecord::default()
        })
        .collect();
    assert_eq!(producer.produce(&records, DEADLINE).accepted, records.len());
    let mut outcomes = Vec::new();
    producer.poll_acks(DEADLINE, &mut outcomes);
    assert!(outcomes.len() == 1 && outcomes[0].failures.is_empty(), "{outcomes:?}");
}

/// Waits until the target has all of these, and checks that it has each once.
fn arrived(directory: &Path, whats: &[&str]) {
    let mut expected: Vec<String> =
        whats.iter().flat_map(|what| (0..PARTITIONS).map(move |partition| format!("{what} {partition}"))).collect();
    expected.sort_unstable();
    let begun = Instant::now();
    loop {
        let text = std::fs::read_to_string(directory.join("out")).unwrap_or_default();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        if lines == expected {
            return;
        }
        assert!(begun.elapsed() < DEADLINE && lines.len() <= expected.len(), "{lines:#?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn partitions_that_stay_with_a_task_are_not_closed() {
    let moved = expect![[r#"
        task 0
        open [0, 1, 2, 3]
        close [0, 1]
        open [0, 1]
        task 1
        open [0, 1]
        close [0, 1]
    "#]];
    check(None, [[1, 0], [2, 1], [3, 2]], &moved);
    let cooperative = "org.apache.kafka.clients.consumer.CooperativeStickyAssignor";
    check(Some(cooperative), [[1, 0], [2, 1], [3, 2]], &moved);
}

#[test]
fn an_eager_assignor_takes_and_gives_everything() {
    check(
        Some("org.apache.kafka.clients.consumer.RangeAssignor"),
        [[1, 0], [3, 1], [5, 2]],
        &expect![[r#"
            task 0
            open [0, 1, 2, 3]
            close [0, 1, 2, 3]
            open [0, 1]
            close [0, 1]
            open [0, 1, 2, 3]
            task 1
            open [2, 3]
            close [2, 3]
        "#]],
    );
}
