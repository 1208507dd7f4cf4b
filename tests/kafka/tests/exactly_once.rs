//! Sources write exactly once, whatever happens to the worker: it is killed and stopped again and again, at each step of a
//! transaction, while a file grows; then each line of the file is in the topic once, for readers of committed records.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::{Value, json};
use tidegate_kafka::{ClientSettings, OutRecord, Producer};
use tidegate_kafka_ring::checker::{self, check, line};
use tidegate_kafka_ring::faults::{STEPS, Watched};
use tidegate_kafka_ring::{create, embedded, embedded_at, free_port, java_or_skip, until};

/// Faults that hit at least, of a run.
const FAULTS: usize = 50;
/// Faults after which a run ends though a step was never hit.
const FAULTS_MAX: usize = 120;
/// Steps at which a process must have been killed. That a transaction was begun no broker knows before it is produced to, and
/// that moment is too short to be hit for sure.
const HIT: [&str; 3] = ["produced", "offsets", "committed"];
/// The connectors of a run.
const CONNECTORS: [&str; 2] = ["polls", "times"];

/// A worker's files and ports.
struct Place {
    properties: PathBuf,
    data: PathBuf,
    rest: String,
}

impl Place {
    fn new(dir: &Path, name: &str, bootstrap: &str) -> Result<Place> {
        const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";
        let port = free_port()?;
        let properties = dir.join(format!("{name}.properties"));
        std::fs::write(
            &properties,
            format!(
                "bootstrap.servers={bootstrap}\ngroup.id=faults\nlisteners=http://127.0.0.1:{port}\n\
                 exactly.once.source.support=enabled\nkey.converter={STRING}\nvalue.converter={STRING}\n\
                 config.storage.topic=f-configs\noffset.storage.topic=f-offsets\nstatus.storage.topic=f-status\n\
                 config.storage.replication.factor=1\noffset.storage.replication.factor=1\n\
                 status.storage.replication.factor=1\noffset.storage.partitions=3\noffset.flush.interval.ms=200\n"
            ),
        )?;
        // Plugins are compiled once for all workers of all runs.
        let (data, kept) = (dir.join(name), Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled"));
        std::fs::create_dir_all(&data)?;
        std::fs::create_dir_all(&kept)?;
        std::os::unix::fs::symlink(kept, data.join("cache"))?;
        Ok(Place { properties, data, rest: format!("http://127.0.0.1:{port}") })
    }

    fn start(&self) -> Result<Watched> {
        Watched::start(&self.properties, &self.data)
    }

    fn ready(&self) -> Result<()> {
        until("the worker answers", || {
            Ok(reqwest::blocking::get(format!("{}/health", self.rest)).is_ok_and(|answer| answer.status().is_success()))
        })
    }

    fn task(&self, connector: &str) -> Result<(String, String)> {
        let status: Value = reqwest::blocking::get(format!("{}/connectors/{connector}/status", self.rest))?.json()?;
        let text = |field: &str| status["tasks"][0][field].as_str().unwrap_or_default().to_owned();
        Ok((text("state"), text("trace")))
    }
}

/// The connector of that name, reading `file` into the topic of the same name: a transaction each poll, or each fifty
/// milliseconds with offsets in a topic of its own.
fn source(name: &str, file: &Path) -> Value {
    let mut config = json!({"connector.class": "FileStreamSource", "file": file, "topic": name, "batch.size": "25"});
    if name == "times" {
        config["transaction.boundary"] = "interval".into();
        config["transaction.boundary.interval.ms"] = "50".into();
        config["offsets.storage.topic"] = "times-offsets".into();
    }
    config
}

/// A file that grows by numbered lines until it is told to stop.
struct Growing {
    file: PathBuf,
    lines: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    writer: Option<std::thread::JoinHandle<std::io::Result<()>>>,
}

impl Growing {
    fn begin(file: PathBuf) -> Result<Growing> {
        let mut out = std::fs::File::create(&file)?;
        let (lines, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (written, stopped) = (lines.clone(), stop.clone());
        let writer = std::thread::spawn(move || {
            while !stopped.load(SeqCst) {
                let from = written.load(SeqCst);
                let text: String = (from..from + 20).map(|number| line(number) + "\n").collect();
                out.write_all(text.as_bytes())?;
                written.store(from + 20, SeqCst);
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(())
        });
        Ok(Growing { file, lines, stop, writer: Some(writer) })
    }

    /// How many lines it has, and no more will come.
    fn end(&mut self) -> u64 {
        self.stop.store(true, SeqCst);
        if let Some(writer) = self.writer.take() {
            writer.join().expect("the writer does not panic").expect("the file can be written");
        }
        self.lines.load(SeqCst)
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
    }
}

/// Waits until each topic has the last line, and checks all of them.
fn settle(bootstrap: &str, topics: &[&str], count: u64) -> Result<()> {
    for topic in topics {
        until(&format!("the last line is in {topic}"), || {
            Ok(checker::read(bootstrap, topic)?.iter().any(|record| record.value == line(count - 1)))
        })?;
        let verdict = check(count, &checker::read(bootstrap, topic)?);
        if !verdict.is_right() {
            bail!("{topic} of {count} lines:\n{verdict}");
        }
    }
    Ok(())
}

/// Kills and stops a worker until every step was hit.
fn hurt(dir: &Path, bootstrap: &str) -> Result<()> {
    let seed = tidegate_kafka_ring::asked_for("TIDEGATE_SEED").unwrap_or_else(|| fastrand::u64(..));
    eprintln!("TIDEGATE_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let place = Place::new(dir, "worker", bootstrap)?;
    let mut growing = Growing::begin(dir.join("lines.txt"))?;
    let mut worker = place.start()?;
    place.ready()?;
    for name in CONNECTORS {
        create(&place.rest, name, source(name, &growing.file))?;
    }
    assert!(worker.reaches("committed", 4, Duration::from_secs(60)), "nothing is committed:\n{}", worker.output());

    let begun = Instant::now();
    let mut hits: BTreeMap<String, usize> = BTreeMap::new();
    let mut faults = 0;
    while faults < FAULTS || (faults < FAULTS_MAX && HIT.iter().any(|step| !hits.contains_key(*step))) {
        faults += 1;
        // Mostly at a step of some transaction, else at any time, its start included.
        if random.u8(0..4) > 0 {
            let step = STEPS[random.usize(0..STEPS.len())];
            let times = worker.count(step) + random.usize(1..10);
            worker.reaches(step, times, Duration::from_secs(20));
        } else {
            std::thread::sleep(Duration::from_millis(random.u64(0..400)));
        }
        if random.u8(0..4) == 0 {
            worker.freeze()?;
            std::thread::sleep(Duration::from_millis(random.u64(10..200)));
            worker.thaw()?;
            *hits.entry("stopped for a while".to_owned()).or_default() += 1;
            continue;
        }
        let mut at = worker.kill()?;
        if at.is_empty() {
            at.push("before the first transaction".to_owned());
        }
        at.into_iter().for_each(|step| *hits.entry(step).or_default() += 1);
        worker = place.start()?;
    }
    eprintln!("{faults} faults in {:?}, each task's last step: {hits:?}", begun.elapsed());
    for step in HIT {
        assert!(hits.contains_key(step), "no process was killed at step {step}: {hits:?}");
    }
    let count = growing.end();
    settle(bootstrap, &CONNECTORS, count)?;
    for name in CONNECTORS {
        assert_eq!(place.task(name)?.0, "RUNNING", "{}", worker.output());
    }
    worker.terminate()?;
    settle(bootstrap, &CONNECTORS, count)
}

/// Stops one worker in the middle of a transaction, lets another take over, and lets the first go on.
fn haunt(dir: &Path, bootstrap: &str) -> Result<()> {
    let mut growing = Growing::begin(dir.join("lines.txt"))?;
    let mut alive: Option<(Place, Watched)> = None;
    for (round, step) in ["produced", "offsets", "committed"].into_iter().enumerate() {
        let (zombie_place, zombie) = match alive.take() {
            Some(alive) => alive,
            None => {
                let place = Place::new(dir, "first", bootstrap)?;
                let worker = place.start()?;
                place.ready()?;
                create(&place.rest, "polls", source("polls", &growing.file))?;
                (place, worker)
            }
        };
        assert!(zombie.reaches(step, zombie.count(step) + 7, Duration::from_secs(60)), "{}", zombie.output());
        zombie.freeze()?;
        let place = Place::new(dir, &format!("successor-{round}"), bootstrap)?;
        let worker = place.start()?;
        place.ready()?;
        create(&place.rest, "polls", source("polls", &growing.file))?;
        assert!(worker.reaches("committed", 5, Duration::from_secs(60)), "{}", worker.output());
        zombie.thaw()?;
        until("the zombie has failed", || Ok(zombie_place.task("polls")?.0 == "FAILED"))?;
        let (_, trace) = zombie_place.task("polls")?;
        assert!(trace.contains("another producer took over the transactional id"), "{trace}");
        assert!(worker.reaches("committed", worker.count("committed") + 5, Duration::from_secs(60)));
        assert_eq!(place.task("polls")?.0, "RUNNING", "{}", worker.output());
        zombie.kill()?;
        alive = Some((place, worker));
    }
    let count = growing.end();
    settle(bootstrap, &["polls"], count)
}

#[test]
fn fifty_faults_on_the_embedded_broker_lose_and_repeat_nothing() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (_broker, address) = embedded(dir.path())?;
    hurt(dir.path(), &address)
}

#[test]
fn fifty_faults_on_the_real_kafka_lose_and_repeat_nothing() -> Result<()> {
    let Some(java) = java_or_skip() else { return Ok(()) };
    let broker = java.broker()?;
    let dir = tempfile::tempdir()?;
    hurt(dir.path(), &broker.address)
}

#[test]
fn a_zombie_on_the_embedded_broker_is_fenced() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (_broker, address) = embedded(dir.path())?;
    haunt(dir.path(), &address)
}

#[test]
fn a_zombie_on_the_real_kafka_is_fenced() -> Result<()> {
    let Some(java) = java_or_skip() else { return Ok(()) };
    let broker = java.broker()?;
    let dir = tempfile::tempdir()?;
    haunt(dir.path(), &broker.address)
}

#[test]
fn tidegate_goes_on_exactly_where_a_killed_kafka_connect_stopped() -> Result<()> {
    let Some(java) = java_or_skip() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let (_broker, address) = embedded(dir.path())?;
    let mut growing = Growing::begin(dir.path().join("lines.txt"))?;
    let java_place = Place::new(dir.path(), "java", &address)?;
    let mut connect = java.connect(&java_place.properties, &java_place.rest)?;
    let mut config = source("polls", &growing.file);
    config["connector.class"] = "org.apache.kafka.connect.file.FileStreamSourceConnector".into();
    create(&java_place.rest, "polls", config)?;
    let written = || checker::read(&address, "polls").map_or(0, |records| records.len());
    until("Connect has written", || Ok(written() > 1_000)).map_err(|error| error.context(connect.output()))?;
    connect.kill()?;

    // The same group, connector and topics: the same transactional id, so that what Connect left open is ended.
    let place = Place::new(dir.path(), "ours", &address)?;
    let worker = place.start()?;
    place.ready()?;
    create(&place.rest, "polls", source("polls", &growing.file))?;
    assert!(worker.reaches("committed", 20, Duration::from_secs(60)), "{}", worker.output());
    let count = growing.end();
    settle(&address, &["polls"], count)
}

#[test]
fn an_outage_that_outlasts_a_transaction_fails_no_task_and_repeats_nothing() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (mut broker, address) = embedded(dir.path())?;
    let place = Place::new(dir.path(), "worker", &address)?;
    let mut growing = Growing::begin(dir.path().join("lines.txt"))?;
    let worker = place.start()?;
    place.ready()?;
    for name in CONNECTORS {
        let mut config = source(name, &growing.file);
        config["producer.override.transaction.timeout.ms"] = "2000".into();
        create(&place.rest, name, config)?;
    }
    for step in ["produced", "offsets"] {
        assert!(worker.reaches(step, worker.count(step) + 10, Duration::from_secs(60)), "{}", worker.output());
        broker.kill()?;
        std::thread::sleep(Duration::from_secs(5));
        broker = embedded_at(dir.path(), &address)?;
        let next = worker.count("committed") + 10;
        assert!(worker.reaches("committed", next, Duration::from_secs(60)), "{}", worker.output());
        for name in CONNECTORS {
            let (state, trace) = place.task(name)?;
            assert_eq!(state, "RUNNING", "{trace}\n{}", worker.output());
        }
    }
    let count = growing.end();
    settle(&address, &CONNECTORS, count)
}

#[test]
fn the_checker_finds_an_injected_duplicate_and_an_injected_gap() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (_broker, address) = embedded(dir.path())?;
    let timeout = Duration::from_secs(30);
    let mut producer = Producer::open(&ClientSettings::for_transactional_producer(&address, "injector", 1 << 20))?;
    producer.init_transactions(timeout)?;
    let mut inject = |topic: &str, numbers: &[u64], commits: bool| -> Result<()> {
        let values: Vec<String> = numbers.iter().map(|number| line(*number)).collect();
        let records: Vec<_> = values
            .iter()
            .map(|value| OutRecord { topic, partition: Some(0), value: Some(value.as_bytes()), ..OutRecord::default() })
            .collect();
        producer.begin_transaction()?;
        let enqueued = producer.produce(&records, timeout);
        anyhow::ensure!(enqueued.accepted == records.len());
        match commits {
            true => Ok(producer.commit_transaction(timeout)?),
            false => Ok(producer.abort_transaction(timeout)?),
        }
    };
    let shown = |topic: &str| -> Result<String> { Ok(check(4, &checker::read(&address, topic)?).to_string()) };

    inject("t", &[0, 1], true)?;
    inject("t", &[2, 3], false)?;
    inject("t", &[2, 3], true)?;
    assert_eq!(shown("t")?, "each line exactly once", "what was aborted is not there");
    inject("t", &[2], true)?;
    let verdict = shown("t")?;
    assert!(verdict.contains("duplicate: line 2 is at 0:"), "{verdict}");

    inject("u", &[0, 1, 3], true)?;
    assert_eq!(shown("u")?, "gap: lines 2 to 2 are missing, after 0:1");
    Ok(())
}
