//! The broker that both systems work on.

use std::fs;
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::Group;
use crate::system::free_port;

/// Which broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BrokerChoice {
    /// Apache Kafka, started for the bench.
    Kafka,
    /// `tidegate broker`, started for the bench.
    Embedded,
    /// One that runs already; its processor time is not counted.
    Running(String),
}

impl FromStr for BrokerChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "kafka" => Ok(BrokerChoice::Kafka),
            "embedded" => Ok(BrokerChoice::Embedded),
            address if address.contains(':') => Ok(BrokerChoice::Running(address.to_owned())),
            _ => Err("neither \"kafka\" nor \"embedded\" nor HOST:PORT".to_owned()),
        }
    }
}

/// A broker that can be reached; stopped with this value if the bench started it.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) bootstrap: String,
    /// The process, where it is one of this machine that the bench started.
    pub(crate) pid: Option<u32>,
    _owned: Owned,
}

#[derive(Debug)]
enum Owned {
    Nothing,
    Process { _group: Group },
    Script { script: PathBuf, home: PathBuf },
}

impl Drop for Owned {
    fn drop(&mut self) {
        if let Owned::Script { script, home } = self {
            // Nobody is left to tell; the script says where the process is.
            let _ = Command::new(script).env("KAFKA_HOME", home).arg("stop").status();
        }
    }
}

impl Broker {
    /// Starts the broker that was chosen. `home` is KAFKA_HOME; `work` is where the embedded one keeps its records.
    pub(crate) fn start(choice: &BrokerChoice, tidegate: &Path, home: &Path, work: &Path) -> Result<Broker> {
        let port = free_port()?;
        let bootstrap = format!("127.0.0.1:{port}");
        match choice {
            BrokerChoice::Running(address) => {
                Ok(Broker { bootstrap: address.clone(), pid: None, _owned: Owned::Nothing })
            }
            BrokerChoice::Kafka => {
                let script = script();
                let owned = Owned::Script { script: script.clone(), home: home.to_owned() };
                // The port is part of the data; what an earlier bench left is of no use.
                for arguments in [&["wipe"][..], &["start", &port.to_string()]] {
                    let mut command = Command::new(&script);
                    command.env("KAFKA_HOME", home).args(arguments).stdout(Stdio::null());
                    run(&mut command)?;
                }
                let pid = fs::read_to_string(home.join("broker.pid")).context("the broker left no pid")?;
                Ok(Broker { bootstrap, pid: Some(pid.trim().parse()?), _owned: owned })
            }
            BrokerChoice::Embedded => {
                let mut command = Command::new(tidegate);
                command.args(["broker", "--listen", &bootstrap, "--data-dir"]).arg(work.join("broker"));
                let log = fs::File::create(work.join("broker.log"))?;
                let child = command.stdout(log.try_clone()?).stderr(log).process_group(0).spawn();
                let group = Group(child.with_context(|| format!("cannot start {command:?}"))?);
                wait_for(&bootstrap)?;
                Ok(Broker { bootstrap, pid: Some(group.id()), _owned: Owned::Process { _group: group } })
            }
        }
    }
}

/// Makes sure that Kafka's jars are in `home`.
pub(crate) fn fetch(home: &Path) -> Result<()> {
    run(Command::new(script()).env("KAFKA_HOME", home).arg("fetch"))
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/kafka/kafka.sh")
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    if !status.success() {
        bail!("{command:?} failed: {status}");
    }
    Ok(())
}

fn wait_for(address: &str) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(address).is_err() {
        if Instant::now() > deadline {
            bail!("nothing listens on {address} after 30 s");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
