//! A broker that is away for a while fails no task, and nothing is lost: deliveries wait, or are made again from what was
//! committed where the settings give them less time; dead letters wait in any case.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};
use tidegate_kafka_ring::{
    Process, append, arrived, create, embedded, embedded_at, free_port, get, lines, properties, sink, source, until,
    worker,
};

/// Longer than sessions and deliveries last in the impatient pair.
const OUTAGE: Duration = Duration::from_secs(25);

/// A source and a sink at both ends of a topic, or of the dead letters of that source.
struct Pair {
    name: &'static str,
    input: PathBuf,
    output: PathBuf,
}

impl Pair {
    fn create(name: &'static str, dir: &Path, rest: &str, settings: &[(&str, &str)]) -> Result<Pair> {
        let pair = Pair { name, input: dir.join(format!("{name}.in")), output: dir.join(format!("{name}.out")) };
        let (of_sink, of_source): (Vec<_>, Vec<_>) = settings.iter().partition(|(key, _)| key.starts_with("consumer."));
        let with = |mut config: Value, settings: Vec<&(&str, &str)>| {
            settings.iter().for_each(|(key, value)| config[key] = json!(value));
            config
        };
        let letters = settings.iter().find(|(key, _)| *key == "errors.deadletterqueue.topic.name");
        let topic = letters.map_or(name, |(_, topic)| *topic);
        create(rest, &format!("{name}-source"), with(source(&pair.input, name), of_source))?;
        create(rest, &format!("{name}-sink"), with(sink(&pair.output, topic), of_sink))?;
        Ok(pair)
    }

    /// Fails if the connectors are anything but RUNNING.
    fn check_running(&self, rest: &str) -> Result<()> {
        for name in [format!("{}-source", self.name), format!("{}-sink", self.name)] {
            let status = get(&format!("{rest}/connectors/{name}/status"))?;
            let is_running = status["connector"]["state"] == "RUNNING" && status["tasks"][0]["state"] == "RUNNING";
            assert!(is_running, "{status:#}");
        }
        Ok(())
    }

    /// Every line arrived, and each came for the first time in its turn.
    fn check_order(&self, expected: &[String]) -> Result<()> {
        let text = std::fs::read_to_string(&self.output)?;
        let mut seen = std::collections::HashSet::new();
        let first: Vec<&str> = text.lines().filter(|line| seen.insert(*line)).collect();
        assert!(first == expected, "{}: {} lines in another order than {}", self.name, first.len(), expected.len());
        Ok(())
    }
}

#[test]
fn a_broker_that_is_gone_for_a_while_fails_no_task_and_loses_nothing() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (mut broker, address) = embedded(dir.path())?;
    let port = free_port()?;
    let rest = format!("http://127.0.0.1:{port}");
    let process = worker(&properties(dir.path(), &address, port, "")?, "data", &rest)?;
    let impatient = [
        ("producer.override.delivery.timeout.ms", "5000"),
        ("producer.override.request.timeout.ms", "2000"),
        ("consumer.override.request.timeout.ms", "2000"),
        ("consumer.override.session.timeout.ms", "6000"),
        ("consumer.override.max.poll.interval.ms", "10000"),
    ];
    // Each line becomes a dead letter, and the sink reads those.
    let letters = [
        ("producer.override.delivery.timeout.ms", "5000"),
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", "letters-dead"),
        ("errors.deadletterqueue.topic.replication.factor", "1"),
        ("transforms", "number"),
        ("transforms.number.type", "org.apache.kafka.connect.transforms.Cast$Value"),
        ("transforms.number.spec", "int64"),
    ];
    let pairs = [
        Pair::create("patient", dir.path(), &rest, &[])?,
        Pair::create("impatient", dir.path(), &rest, &impatient)?,
        Pair::create("letters", dir.path(), &rest, &letters)?,
    ];
    let feed =
        |range: std::ops::Range<u32>| pairs.iter().try_for_each(|pair| append(&pair.input, &lines(range.clone())));
    let all = |last: u32, process: &Process| {
        pairs.iter().try_for_each(|pair| arrived(&pair.output, &lines(0..last), process))
    };

    feed(0..100)?;
    all(100, &process)?;
    pairs.iter().try_for_each(|pair| pair.check_running(&rest))?;

    broker.kill()?;
    let begin = Instant::now();
    let mut written = 100;
    while begin.elapsed() < OUTAGE {
        feed(written..written + 100)?;
        written += 100;
        pairs.iter().try_for_each(|pair| pair.check_running(&rest))?;
        std::thread::sleep(Duration::from_millis(500));
    }
    let log = process.output();
    assert!(log.contains("the source goes back to what is committed"), "the impatient source gave up waiting:\n{log}");

    let _broker = embedded_at(dir.path(), &address)?;
    feed(written..written + 100)?;
    written += 100;
    all(written, &process)?;
    for pair in &pairs {
        pair.check_running(&rest)?;
        pair.check_order(&lines(0..written))?;
    }
    // Nothing is left uncommitted either.
    for pair in &pairs {
        let end = std::fs::metadata(&pair.input)?.len();
        until(&format!("the offset of {} is committed", pair.name), || {
            let offsets = get(&format!("{rest}/connectors/{}-source/offsets", pair.name))?;
            Ok(offsets["offsets"][0]["offset"]["position"] == json!(end))
        })?;
    }
    Ok(())
}
