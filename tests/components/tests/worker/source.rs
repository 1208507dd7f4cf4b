//! A source task on the embedded broker.

use std::time::{Duration, Instant};

use tidegate_herder::cluster::{ConnectorKey, Instance};
use tidegate_herder::{Config, ConnectorKind, Plugins, Reporter, RunId, Target, TaskHost, TaskSpec, ValidateRequest};
use tokio::sync::mpsc;

use crate::life::{DEADLINE, Life, broker, read};

fn bundled(name: &str) -> &'static [u8] {
    tidegate_bundled::components().iter().find(|component| component.name == name).unwrap().bytes
}

#[test]
fn records_that_no_transform_takes_are_dead_letters_of_the_source_and_are_not_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let broker = broker(&directory.path().join("broker"));
    let bootstrap = broker.address().to_string();
    let life = Life::begin(directory.path(), bundled("file"), &bootstrap, &[("offset.flush.interval.ms", "20")]);
    life.engine.handle().block_on(life.catalog.add_bundled(bundled("transforms"))).unwrap();
    let input = directory.path().join("in.txt");
    std::fs::write(&input, "one\ntwo\n").unwrap();
    let config: Config = [
        ("name", "lines"),
        ("connector.class", "FileStreamSource"),
        ("file", input.to_str().unwrap()),
        ("topic", "lines"),
        // A line is text, and text has no fields.
        ("transforms", "insert"),
        ("transforms.insert.type", "org.apache.kafka.connect.transforms.InsertField$Value"),
        ("transforms.insert.static.field", "a"),
        ("transforms.insert.static.value", "b"),
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", "dead"),
        ("errors.deadletterqueue.topic.replication.factor", "1"),
        ("errors.deadletterqueue.context.headers.enable", "true"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    let request =
        ValidateRequest { connector: ConnectorKey::plain("lines"), config: config.clone(), pinned: Plugins::new() };
    let plugins = life.engine.handle().block_on(life.worker.validate(request)).unwrap().plugins;

    let play = |epoch, expected: usize| {
        let run = RunId { subject: ConnectorKey::plain("lines").subject(Instance::Task(0)), uid: 0, epoch };
        let spec = TaskSpec {
            run: run.clone(),
            kind: ConnectorKind::Source,
            config: config.clone(),
            task_config: config.clone(),
            tasks: 1,
            generation: 1,
            plugins: plugins.clone(),
            target: Target::Running,
        };
        let (mailbox, mut words) = mpsc::channel(1);
        let started = life.worker.start_task(spec, Reporter::new(run.clone(), mailbox));
        life.engine.handle().block_on(started).unwrap();
        let begun = Instant::now();
        while read(&bootstrap, "dead").len() < expected {
            assert!(words.try_recv().is_err(), "the task failed");
            assert!(begun.elapsed() < DEADLINE, "the dead letters do not come");
            std::thread::sleep(Duration::from_millis(20));
        }
        life.engine.handle().block_on(life.worker.stop(run, Duration::from_secs(5)));
    };
    play(1, 2);
    std::fs::write(&input, "one\ntwo\nthree\n").unwrap();
    play(2, 3);

    let letters = read(&bootstrap, "dead");
    let values: Vec<&str> = letters.iter().map(|(value, _)| value.as_str()).collect();
    assert_eq!(values, ["one", "two", "three"]);
    let place = format!("__connect.errors.source.partition={{\"filename\":{:?}}}\n", input.to_str().unwrap());
    let (_, headers) = &letters[1];
    for line in [
        "__connect.errors.topic=lines\n",
        &place,
        "__connect.errors.source.offset={\"position\":8}\n",
        "__connect.errors.stage=TRANSFORMATION\n",
        "__connect.errors.class.name=org.apache.kafka.connect.transforms.InsertField$Value\n",
        "__connect.errors.exception.class.name=org.apache.kafka.connect.errors.DataException\n",
    ] {
        assert!(headers.contains(line), "{line} is not in\n{headers}");
    }
}
