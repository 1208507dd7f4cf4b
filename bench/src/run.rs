//! One run: a system starts, idles, warms up, and moves a known number of records while its account is watched.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::args::Args;
use crate::broker::{self, Broker};
use crate::process::{self, Usage};
use crate::report;
use crate::scenario::{Direction, Scenario};
use crate::system::{Installation, Running, System};
use crate::topics::{Committed, Topics};
use tidegate_bench::records;

/// What a run showed.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) scenario: Scenario,
    pub(crate) system: System,
    pub(crate) round: usize,
    /// 0 or 1: which of the system's two runs of the round.
    pub(crate) turn: usize,
    pub(crate) records: usize,
    /// From the request that created the connector to the last record at the destination.
    pub(crate) wall_s: f64,
    /// Records per second from the first that was seen at the destination to the last.
    pub(crate) records_per_s: f64,
    /// Processor seconds of the system in that time.
    pub(crate) cpu_s: f64,
    /// Processor seconds of the broker in that time, where the bench knows its process.
    pub(crate) broker_cpu_s: Option<f64>,
    /// Processor seconds of the system from its start to the end of the pass: start and warm-up included.
    pub(crate) cpu_total_s: f64,
    pub(crate) ready_ms: f64,
    /// Resident bytes a second after the system was ready, without connectors.
    pub(crate) rss_idle: u64,
    /// The highest resident bytes by the end of the pass.
    pub(crate) rss_peak: u64,
    /// Machine load, averaged over a minute, when the pass ended: how quiet the machine was.
    pub(crate) load: f64,
}

/// How long a system took to be ready.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Start {
    pub(crate) system: System,
    /// Whether the system found nothing of an earlier start (Tidegate: no compiled plugins).
    pub(crate) is_first: bool,
    pub(crate) ready_ms: f64,
    /// Processor seconds by a second after it was ready.
    pub(crate) cpu_s: f64,
    pub(crate) rss_idle: u64,
}

/// A pass that makes no progress for this long has failed.
const STALLED_AFTER: Duration = Duration::from_secs(60);

/// How often the destination is counted.
const COUNT_EVERY: Duration = Duration::from_millis(20);

/// How often the worker is asked whether the connector has failed.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Time for a system to come to rest: after its start, between passes, after the last record.
const REST: Duration = Duration::from_secs(1);

/// Broker, programs and folders of a bench.
#[derive(Debug)]
pub(crate) struct Bench<'a> {
    args: &'a Args,
    installation: Installation,
    broker: Broker,
    topics: Topics,
    work: PathBuf,
    /// Numbers the runs: names of topics, groups, connectors and folders come from it.
    runs: usize,
}

impl<'a> Bench<'a> {
    pub(crate) fn prepare(args: &'a Args) -> Result<Bench<'a>> {
        fs::create_dir_all(&args.kafka_home)?;
        let kafka_home = args.kafka_home.canonicalize()?;
        let work = args.work_dir.join(format!("{}", std::process::id()));
        fs::create_dir_all(&work)?;
        let work = work.canonicalize()?;
        let tidegate = match &args.tidegate {
            Some(path) => path.canonicalize().with_context(|| format!("there is no program \"{}\"", path.display()))?,
            None => std::env::current_exe()?.with_file_name("tidegate"),
        };
        if !tidegate.exists() {
            bail!(
                "there is no program \"{}\"\nhint: build it (cargo build --release), or name it with --tidegate",
                tidegate.display()
            );
        }
        broker::fetch(&kafka_home)?;
        report::progress("starting the broker");
        let broker = Broker::start(&args.broker, &tidegate, &kafka_home, &work)?;
        let topics = Topics::open(&broker.bootstrap)?;
        let installation =
            Installation { tidegate, kafka_home, bootstrap: broker.bootstrap.clone(), state: work.join("state") };
        fs::create_dir_all(&installation.state)?;
        Ok(Bench { args, installation, broker, topics, work, runs: 0 })
    }

    /// Times `count` starts of each system in turn, after a first one.
    pub(crate) fn starts(&mut self, count: usize) -> Result<Vec<Start>> {
        let mut starts = Vec::new();
        for turn in 0..if count == 0 { 0 } else { count + 1 } {
            for &system in &self.args.systems {
                let dir = self.run_dir(&format!("start-{system:?}"))?;
                let running = Running::start(system, &self.installation, &dir, false)?;
                std::thread::sleep(REST);
                let used = running.usage()?;
                let ready_ms = running.ready_after.as_secs_f64() * 1e3;
                running.stop()?;
                report::progress(format_args!("{}: ready after {ready_ms:.0} ms", system.name()));
                let start = Start { system, is_first: turn == 0, ready_ms, cpu_s: used.cpu_s, rss_idle: used.rss };
                report::append(self.args.json.as_deref(), "start", &start)?;
                starts.push(start);
            }
        }
        Ok(starts)
    }

    /// Runs a scenario: in each round the systems one after the other, then the other way round.
    pub(crate) fn scenario(&mut self, scenario: Scenario, rounds: usize) -> Result<Vec<Sample>> {
        let count = scenario.records(self.args);
        let input = self.work.join(format!("{}-input", scenario.name()));
        let topic = format!("{}-input", scenario.name());
        match scenario.direction() {
            Direction::FileToTopic => records::write_file(scenario.shape(), count, &input)?,
            Direction::TopicToFile => self.topics.fill(&topic, scenario.shape(), count)?,
        }
        let mut samples = Vec::new();
        for round in 0..rounds {
            let there = self.args.systems.iter().map(|&system| (system, 0));
            let back = self.args.systems.iter().rev().map(|&system| (system, 1));
            for (system, turn) in there.chain(back) {
                let pass = Pass { scenario, count, input: &input, topic: &topic };
                let sample = self
                    .run(system, &pass, round, turn)
                    .with_context(|| format!("{} in {} failed", scenario.name(), system.name()))?;
                report::progress(format_args!(
                    "{} {}: {:.2} CPU s per million, {:.0} records/s, peak {} MB",
                    scenario.name(),
                    system.name(),
                    sample.cpu_s / count as f64 * 1e6,
                    sample.records_per_s,
                    sample.rss_peak >> 20
                ));
                report::append(self.args.json.as_deref(), "run", &sample)?;
                samples.push(sample);
            }
        }
        match scenario.direction() {
            Direction::FileToTopic => fs::remove_file(&input)?,
            Direction::TopicToFile => self.topics.delete(&topic)?,
        }
        Ok(samples)
    }

    fn run(&mut self, system: System, pass: &Pass<'_>, round: usize, turn: usize) -> Result<Sample> {
        let dir = self.run_dir(&pass.scenario.name())?;
        let running = Running::start(system, &self.installation, &dir, pass.scenario.is_exactly_once())?;
        std::thread::sleep(REST);
        let idle = running.usage()?;
        self.pass(&running, pass, &format!("warm-{}", self.runs), &dir)?;
        std::thread::sleep(REST);
        let before = (running.usage()?, self.broker_usage()?);
        let flow = self.pass(&running, pass, &format!("run-{}", self.runs), &dir)?;
        let ready_ms = running.ready_after.as_secs_f64() * 1e3;
        running.stop()?;
        Ok(Sample {
            scenario: pass.scenario,
            system,
            round,
            turn,
            records: pass.count,
            wall_s: flow.wall.as_secs_f64(),
            records_per_s: flow.records_per_s,
            cpu_s: flow.used.cpu_s - before.0.cpu_s,
            broker_cpu_s: self.broker.pid.map(|_| flow.broker.cpu_s - before.1.cpu_s),
            cpu_total_s: flow.used.cpu_s,
            ready_ms,
            rss_idle: idle.rss,
            rss_peak: flow.used.rss_peak,
            load: load(),
        })
    }

    /// Moves all records once, with a connector of its own, and checks what arrived.
    fn pass(&self, running: &Running, pass: &Pass<'_>, name: &str, dir: &Path) -> Result<Flow> {
        let mut destination = match pass.scenario.direction() {
            Direction::FileToTopic => {
                self.topics.create(name)?;
                let committed = pass.scenario.is_exactly_once().then(|| self.topics.committed(name)).transpose()?;
                Destination::Topic(&self.topics, name.to_owned(), committed)
            }
            Direction::TopicToFile => Destination::File(LineCount::new(dir.join(name))),
        };
        let (file, topic) = match &destination {
            Destination::Topic(_, topic, _) => (pass.input, topic.as_str()),
            Destination::File(lines) => (lines.path.as_path(), pass.topic),
        };
        let begun = Instant::now();
        running.rest.create(name, &pass.scenario.config(file, topic))?;
        let mut first = None;
        let (mut progress, mut checked) = ((begun, 0), begun);
        let arrived = loop {
            let count = destination.count()?;
            let now = Instant::now();
            if count > progress.1 {
                progress = (now, count);
                first.get_or_insert(progress);
            }
            if count >= pass.count {
                break now;
            }
            if now - checked > CHECK_EVERY {
                running.rest.check(name)?;
                checked = now;
            }
            if now - progress.0 > STALLED_AFTER {
                bail!("{count} of {} records arrived and no more in {STALLED_AFTER:?}", pass.count);
            }
            std::thread::sleep(COUNT_EVERY);
        };
        let (used, broker) = (running.usage()?, self.broker_usage()?);
        std::thread::sleep(REST);
        running.rest.delete(name)?;
        let count = destination.count()?;
        if count != pass.count {
            bail!("{count} records arrived instead of {}", pass.count);
        }
        destination.remove(pass.scenario)?;
        // All at once: then the whole time is the best there is.
        let (from, seen) = first.filter(|&(from, _)| from < arrived).unwrap_or((begun, 0));
        let records_per_s = (pass.count - seen) as f64 / (arrived - from).as_secs_f64();
        Ok(Flow { wall: arrived - begun, records_per_s, used, broker })
    }

    fn broker_usage(&self) -> Result<Usage> {
        self.broker.pid.map_or(Ok(Usage::default()), process::usage)
    }

    fn run_dir(&mut self, name: &str) -> Result<PathBuf> {
        self.runs += 1;
        let dir = self.work.join(format!("{:03}-{name}", self.runs));
        fs::create_dir_all(&dir)?;
        Ok(dir)
    }
}

/// What a pass moves.
struct Pass<'a> {
    scenario: Scenario,
    count: usize,
    /// The input where it is a file.
    input: &'a Path,
    /// The input where it is a topic.
    topic: &'a str,
}

/// How a pass went; the accounts are those at its end.
struct Flow {
    wall: Duration,
    records_per_s: f64,
    used: Usage,
    broker: Usage,
}

/// Where records arrive.
enum Destination<'a> {
    /// Counted by its end, or by a reader where ends of transactions are in it too.
    Topic(&'a Topics, String, Option<Committed>),
    File(LineCount),
}

impl Destination<'_> {
    fn count(&mut self) -> Result<usize> {
        match self {
            Destination::Topic(topics, topic, None) => topics.count(topic),
            Destination::Topic(_, _, Some(committed)) => committed.count(),
            Destination::File(lines) => lines.count(),
        }
    }

    /// Looks at what is there once more and makes room.
    fn remove(self, scenario: Scenario) -> Result<()> {
        match self {
            Destination::Topic(topics, topic, _) => topics.delete(&topic),
            Destination::File(lines) => {
                for line in BufReader::new(File::open(&lines.path)?).lines().step_by(LINE_CHECKED_EVERY) {
                    let line = line?;
                    if !scenario.is_expected(&line) {
                        bail!("the output has a line that should not be there: {line}");
                    }
                }
                Ok(fs::remove_file(&lines.path)?)
            }
        }
    }
}

/// One line in so many is looked at.
const LINE_CHECKED_EVERY: usize = 997;

/// Counts the lines of a growing file, each byte once.
struct LineCount {
    path: PathBuf,
    file: Option<File>,
    buffer: Vec<u8>,
    lines: usize,
}

impl LineCount {
    fn new(path: PathBuf) -> LineCount {
        LineCount { path, file: None, buffer: vec![0; 1 << 20], lines: 0 }
    }

    fn count(&mut self) -> Result<usize> {
        if self.file.is_none() {
            self.file = match File::open(&self.path) {
                Ok(file) => Some(file),
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
                Err(error) => return Err(error.into()),
            };
        }
        if let Some(file) = &mut self.file {
            loop {
                match file.read(&mut self.buffer)? {
                    0 => break,
                    read => self.lines += memchr::memchr_iter(b'\n', &self.buffer[..read]).count(),
                }
            }
        }
        Ok(self.lines)
    }
}

/// The first number of `/proc/loadavg`.
fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_ascii_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0.0)
}
