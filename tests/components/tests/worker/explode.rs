//! Transforms that make several records of one, in tasks: offsets and dead letters are those of the record that came.

use std::path::Path;
use std::time::{Duration, Instant};

use tidegate_herder::cluster::{ConnectorKey, Instance};
use tidegate_herder::{Config, ConnectorKind, Reporter, RunId, Target, TaskHost, TaskSpec, ValidateRequest};
use tidegate_kafka::{ClientSettings, OutRecord, Producer};
use tokio::sync::mpsc;

use crate::life::{DEADLINE, Life, broker, read};

fn bundled(name: &str) -> &'static [u8] {
    tidegate_bundled::components().iter().find(|component| component.name == name).unwrap().bytes
}

/// Runs a task of a connector until something holds, then stops it.
fn play(life: &Life, config: &Config, epoch: u64, until: impl Fn() -> bool) {
    let connector = ConnectorKey::plain(&config["name"]);
    let request = ValidateRequest { connector: connector.clone(), config: config.clone(), pinned: Default::default() };
    let validated = life.engine.handle().block_on(life.worker.validate(request)).unwrap();
    let is_source = config.contains_key("topic");
    let run = RunId { subject: connector.subject(Instance::Task(0)), uid: 0, epoch };
    let spec = TaskSpec {
        generation: 1,
        run: run.clone(),
        kind: if is_source { ConnectorKind::Source } else { ConnectorKind::Sink },
        config: config.clone(),
        task_config: config.clone(),
        tasks: 1,
        plugins: validated.plugins,
        target: Target::Running,
    };
    let (mailbox, mut words) = mpsc::channel(1);
    let started = life.worker.start_task(spec, Reporter::new(run.clone(), mailbox));
    life.engine.handle().block_on(started).unwrap();
    let begun = Instant::now();
    while !until() {
        if let Ok(word) = words.try_recv() {
            panic!("the task failed: {word:?}");
        }
        assert!(begun.elapsed() < DEADLINE, "what is waited for does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
    life.engine.handle().block_on(life.worker.stop(run, Duration::from_secs(20)));
}

fn config(own: &[(&str, &str)]) -> Config {
    let chain = [
        ("transforms", "parse,explode"),
        ("transforms.parse.type", "JsonParse$Value"),
        ("transforms.explode.type", "Explode$Value"),
        ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
        ("value.converter.schemas.enable", "false"),
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", "dead"),
        ("errors.deadletterqueue.topic.replication.factor", "1"),
    ];
    chain.iter().chain(own).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn what_is_made_of_a_record_has_its_place_and_its_offset() {
    let directory = tempfile::tempdir().unwrap();
    let broker = broker(&directory.path().join("broker"));
    let bootstrap = broker.address().to_string();
    let life = Life::begin(directory.path(), bundled("file"), &bootstrap, &[("offset.flush.interval.ms", "20")]);
    life.engine.handle().block_on(life.catalog.add_bundled(bundled("transforms"))).unwrap();

    // What is read has to be there.
    for topic in ["elements", "many"] {
        let mut producer = Producer::open(&ClientSettings::for_producer(&bootstrap, 4 << 20)).unwrap();
        let record =
            OutRecord { topic, partition: Some(0), key: None, value: Some(b"[]"), headers: &[], timestamp: None };
        assert_eq!(producer.produce(&[record], DEADLINE).accepted, 1);
        producer.poll_acks(DEADLINE, &mut Vec::new());
    }

    // A source: lines of JSON become the elements in them, one that is none a dead letter, an empty one nothing.
    let input = directory.path().join("in.txt");
    std::fs::write(&input, "[1,2]\nno json\n[]\n[{\"a\":[3]}]\n").unwrap();
    let source = config(&[
        ("name", "lines"),
        ("connector.class", "FileStreamSource"),
        ("file", input.to_str().unwrap()),
        ("topic", "elements"),
    ]);
    let values = |topic: &str| read(&bootstrap, topic).into_iter().map(|(value, _)| value).collect::<Vec<_>>();
    play(&life, &source, 1, || values("elements").len() >= 4 && !values("dead").is_empty());
    assert_eq!(values("elements"), ["[]", "1", "2", "{\"a\":[3]}"]);
    assert_eq!(values("dead"), ["\"no json\""]);

    // Its offset is behind all of them: what comes again is only what is new.
    std::fs::write(&input, "[1,2]\nno json\n[]\n[{\"a\":[3]}]\n[4]\n").unwrap();
    play(&life, &source, 2, || values("elements").len() >= 5);
    assert_eq!(values("elements").len(), 5);

    // A sink: of a few records more are made than cross into a guest at once, and then none of them comes again.
    let many = format!("[{}]\n", vec!["7"; 9_000].join(","));
    std::fs::write(&input, "").unwrap();
    let plain = {
        let mut plain = source.clone();
        plain.insert("name".to_owned(), "many".to_owned());
        plain.insert("topic".to_owned(), "many".to_owned());
        plain.insert("transforms".to_owned(), "parse".to_owned());
        plain
    };
    std::fs::write(&input, many.repeat(10)).unwrap();
    play(&life, &plain, 1, || values("many").len() >= 11);
    let output = directory.path().join("out.txt");
    let sink = {
        let mut sink = config(&[
            ("name", "out"),
            ("connector.class", "FileStreamSink"),
            ("file", output.to_str().unwrap()),
            ("topics", "many"),
            ("consumer.override.auto.offset.reset", "earliest"),
        ]);
        sink.insert("transforms".to_owned(), "explode".to_owned());
        sink
    };
    play(&life, &sink, 1, || lines(&output).len() >= 90_000);
    assert_eq!(lines(&output).len(), 90_000);
    std::fs::write(&input, many.repeat(10) + "[8]\n").unwrap();
    play(&life, &plain, 2, || values("many").len() >= 12);
    play(&life, &sink, 2, || lines(&output).len() >= 90_001);
    let all = lines(&output);
    assert_eq!((all.len(), all.last().map(String::as_str)), (90_001, Some("8")));
}
