//! The two systems, each a process that is started with the same worker properties and driven by the same REST API.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::Serialize;

use crate::process::{self, Group, Usage};
use crate::rest::Rest;

/// Who moves the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum System {
    /// Kafka Connect, standalone (its faster mode).
    Connect,
    /// Tidegate, standalone.
    Tidegate,
}

impl System {
    pub(crate) fn name(self) -> &'static str {
        match self {
            System::Connect => "Kafka Connect",
            System::Tidegate => "Tidegate",
        }
    }
}

/// Where the programs are and what they work on.
#[derive(Clone, Debug)]
pub(crate) struct Installation {
    pub(crate) tidegate: PathBuf,
    pub(crate) kafka_home: PathBuf,
    pub(crate) bootstrap: String,
    /// State that a system may keep between runs (Tidegate's compiled plugins), by system.
    pub(crate) state: PathBuf,
}

/// What `connect-standalone.sh` of Kafka's distribution starts the JVM with (`kafka-run-class.sh` for the last six).
const JVM: &[&str] = &[
    "-Xms256M",
    "-Xmx2G",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
];

/// How long a system may take to be ready.
const READY_MAX: Duration = Duration::from_secs(120);

/// A system that runs and takes requests.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) rest: Rest,
    /// From the start of the process to the first answer of its REST server.
    pub(crate) ready_after: Duration,
    group: Group,
}

impl Running {
    /// Starts a system and waits until it takes requests. `dir` is this run's: properties, offsets and log go there.
    pub(crate) fn start(
        system: System,
        installation: &Installation,
        dir: &Path,
        is_exactly_once: bool,
    ) -> Result<Running> {
        let port = free_port()?;
        let properties = dir.join("worker.properties");
        fs::write(&properties, worker_properties(installation, dir, port, is_exactly_once))?;
        let mut command = match system {
            System::Connect => connect(installation, &properties, is_exactly_once),
            System::Tidegate => tidegate(installation, &properties, is_exactly_once),
        };
        let log_path = dir.join("log.txt");
        let log = File::create(&log_path)?;
        command.stdout(log.try_clone()?).stderr(log).process_group(0);
        let rest = Rest::new(port)?;
        let begun = Instant::now();
        let mut group = Group(command.spawn().with_context(|| format!("cannot start {command:?}"))?);
        while !rest.is_ready() {
            if let Some(status) = group.0.try_wait()? {
                bail!("{} ended with {status}, see \"{}\"", system.name(), log_path.display());
            }
            if begun.elapsed() > READY_MAX {
                bail!("{} took more than {READY_MAX:?} to start, see \"{}\"", system.name(), log_path.display());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(Running { rest, ready_after: begun.elapsed(), group })
    }

    pub(crate) fn usage(&self) -> Result<Usage> {
        process::usage(self.group.id())
    }

    pub(crate) fn stop(mut self) -> Result<()> {
        self.group.stop()
    }
}

/// Kafka Connect's own keys, for both. `service_load` is its faster way to find plugins. Exactly once is for distributed
/// workers only; each run is a group of its own.
fn worker_properties(installation: &Installation, dir: &Path, port: u16, is_exactly_once: bool) -> String {
    let Installation { bootstrap, kafka_home, .. } = installation;
    let storage = match is_exactly_once {
        false => format!("offset.storage.file.filename={}", dir.join("offsets").display()),
        true => {
            let group = format!("bench-{port}");
            let topics = ["config", "offset", "status"]
                .map(|topic| format!("{topic}.storage.topic={group}-{topic}\n{topic}.storage.replication.factor=1"));
            format!("group.id={group}\nexactly.once.source.support=enabled\n{}", topics.join("\n"))
        }
    };
    format!(
        "bootstrap.servers={bootstrap}\n\
         listeners=http://127.0.0.1:{port}\n\
         key.converter=org.apache.kafka.connect.storage.StringConverter\n\
         value.converter=org.apache.kafka.connect.storage.StringConverter\n\
         {storage}\n\
         offset.flush.interval.ms=10000\n\
         plugin.path={}\n\
         plugin.discovery=service_load\n",
        connect_file_jar(kafka_home).display(),
    )
}

/// What the quick start of Kafka's documentation puts into `plugin.path`.
fn connect_file_jar(kafka_home: &Path) -> PathBuf {
    let libs = kafka_home.join("libs");
    let jars = fs::read_dir(&libs).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_file_plugin = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("connect-file-"))
    };
    jars.into_iter().find(is_file_plugin).unwrap_or(libs)
}

fn connect(installation: &Installation, properties: &Path, is_distributed: bool) -> Command {
    let home = &installation.kafka_home;
    let mut command = Command::new("java");
    command.args(JVM);
    command.arg(format!("-Dlog4j2.configurationFile={}", home.join("log4j2.properties").display()));
    command.arg("-cp").arg(home.join("libs/*"));
    let mode = if is_distributed { "ConnectDistributed" } else { "ConnectStandalone" };
    command.arg(format!("org.apache.kafka.connect.cli.{mode}")).arg(properties);
    command
}

fn tidegate(installation: &Installation, properties: &Path, is_distributed: bool) -> Command {
    let mut command = Command::new(&installation.tidegate);
    // As much as Connect logs.
    // A distributed worker keeps what it is told to run, and each run is a group of its own.
    let (mode, data) = match is_distributed {
        true => ("worker", properties.with_file_name("tidegate")),
        false => ("standalone", installation.state.join("tidegate")),
    };
    command.args(["--log", "warn", mode]).arg(properties);
    command.arg("--data-dir").arg(data);
    command
}

/// A port nobody has at the moment.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
