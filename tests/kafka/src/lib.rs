//! What the ring on the real Apache Kafka needs: the broker and its tools from Maven, our binary, processes that end with
//! the test, and waiting for conditions instead of for time.

pub mod checker;
pub mod faults;
pub mod oracle;

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// How long anything may take to become true.
const DEADLINE: Duration = Duration::from_secs(120);

/// A number that whoever runs the tests gives in the environment.
pub fn asked_for(name: &str) -> Option<u64> {
    std::env::var_os(name)?.to_str()?.parse().ok()
}

/// None, with a printed reason, where Java or Maven are missing; under `TIDEGATE_REQUIRE_ALL` that is a failure.
pub fn java_or_skip() -> Option<Java> {
    let works = |program: &str| {
        Command::new(program)
            .arg("-version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|s| s.success())
    };
    let missing: Vec<&str> = ["java", "mvn"].into_iter().filter(|program| !works(program)).collect();
    if missing.is_empty() {
        return Some(Java { home: target_dir().join("kafka") });
    }
    let reason = format!("{} not installed (Java 17 and Maven run the real Kafka)", missing.join(" and "));
    assert!(std::env::var_os("TIDEGATE_REQUIRE_ALL").is_none(), "must not be skipped: {reason}");
    eprintln!("skipped: {reason}");
    None
}

/// The real Kafka's jars.
pub struct Java {
    home: PathBuf,
}

impl Java {
    fn script(&self, arguments: &[&str]) -> Command {
        let mut script = Command::new("bash");
        script.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("kafka.sh")).args(arguments);
        script.env("KAFKA_HOME", &self.home).stdin(Stdio::null());
        script
    }

    /// Downloads the jars once; tests that run side by side wait for each other.
    fn fetch(&self) -> Result<()> {
        std::fs::create_dir_all(&self.home)?;
        let lock = std::fs::File::create(self.home.join("fetch.lock"))?;
        lock.lock()?;
        run(&mut self.script(&["fetch"])).map(drop)
    }

    /// Starts a one-node broker of its own for one test.
    pub fn broker(&self) -> Result<Broker> {
        self.fetch()?;
        let dir = tempfile::tempdir()?;
        std::os::unix::fs::symlink(self.home.join("libs"), dir.path().join("libs"))?;
        let java = Java { home: dir.path().to_owned() };
        let port = free_port()?;
        run(java.script(&["start", &port.to_string()]).env("JAVA_OPTS", "-Xms128m -Xmx512m"))?;
        Ok(Broker { java, address: format!("127.0.0.1:{port}"), _dir: dir })
    }

    /// Runs one of Kafka's own tools to its end and gives back what it printed.
    pub fn tool(&self, class: &str, arguments: &[&str], input: &str) -> Result<String> {
        self.fetch()?;
        let mut tool = self.script(&["tool", class]);
        tool.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = tool.spawn()?;
        let mut stdin = child.stdin.take().context("the tool has an input")?;
        stdin.write_all(input.as_bytes())?;
        drop(stdin);
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("{class} failed:\n{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// A program of one source file with Kafka's classes, in the time zone and language that recordings are made in.
    pub fn program(&self, source: &Path) -> Result<Command> {
        self.fetch()?;
        let mut program = Command::new("java");
        program.arg("-cp").arg(self.home.join("libs").join("*"));
        program.args(["-Xmx512m", "-Duser.timezone=UTC", "-Duser.language=en", "-Duser.country=US"]).arg(source);
        Ok(program)
    }

    /// Starts the real Kafka Connect in distributed mode; ready when it answers.
    pub fn connect(&self, properties: &Path, rest: &str) -> Result<Process> {
        self.fetch()?;
        let mut connect = self.script(&["connect"]);
        connect.arg(properties).env("JAVA_OPTS", "-Xmx512m");
        let process = Process::spawn(connect, &properties.with_extension("log"))?;
        process.ready(&format!("{rest}/connectors"))?;
        Ok(process)
    }
}

/// The name of Connect's converter of texts.
const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";

/// Worker properties as Connect has them, in a file of that directory.
pub fn properties(dir: &Path, bootstrap: &str, rest: u16, extra: &str) -> Result<PathBuf> {
    let path = dir.join("worker.properties");
    std::fs::write(
        &path,
        format!(
            "bootstrap.servers={bootstrap}\ngroup.id=ring\nlisteners=http://127.0.0.1:{rest}\n\
             key.converter={STRING}\nvalue.converter={STRING}\n\
             config.storage.topic=ring-configs\noffset.storage.topic=ring-offsets\nstatus.storage.topic=ring-status\n\
             config.storage.replication.factor=1\noffset.storage.replication.factor=1\nstatus.storage.replication.factor=1\n\
             offset.storage.partitions=5\noffset.flush.interval.ms=500\n{extra}"
        ),
    )?;
    Ok(path)
}

/// The configuration of a FileStreamSource.
pub fn source(file: &Path, topic: &str) -> Value {
    json!({"connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector", "file": file, "topic": topic,
           "tasks.max": "1"})
}

/// The configuration of a FileStreamSink.
pub fn sink(file: &Path, topic: &str) -> Value {
    json!({"connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "file": file, "topics": topic,
           "tasks.max": "1"})
}

/// Numbered lines.
pub fn lines(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| format!("line {n} of the file")).collect()
}

/// Adds lines to a file, made if it is not there.
pub fn append(file: &Path, lines: &[String]) -> Result<()> {
    let mut out = std::fs::File::options().create(true).append(true).open(file)?;
    out.write_all((lines.join("\n") + "\n").as_bytes())?;
    Ok(())
}

/// Waits until the output has every line, whatever it has twice.
pub fn arrived(output: &Path, expected: &[String], process: &Process) -> Result<()> {
    let expected: BTreeSet<&str> = expected.iter().map(String::as_str).collect();
    until(&format!("{} lines arrived", expected.len()), || {
        let text = std::fs::read_to_string(output).unwrap_or_default();
        let seen: BTreeSet<&str> = text.lines().collect();
        Ok(expected.iter().all(|line| seen.contains(line)))
    })
    .map_err(|error| error.context(process.output()))
}

/// A Tidegate worker with these properties, whose state is in a directory of that name beside them; ready when it answers.
pub fn worker(properties: &Path, state: &str, rest: &str) -> Result<Process> {
    let dir = properties.parent().context("a file is in a directory")?;
    let mut worker = tidegate(&["worker"]);
    worker.arg(properties).arg("--data-dir").arg(dir.join(state)).current_dir(dir);
    let process = Process::spawn(worker, &dir.join(format!("{state}.log")))?;
    process.ready(&format!("{rest}/health"))?;
    Ok(process)
}

/// The embedded broker as a process.
pub fn embedded(dir: &Path) -> Result<(Process, String)> {
    let address = format!("127.0.0.1:{}", free_port()?);
    Ok((embedded_at(dir, &address)?, address))
}

/// The embedded broker on this address, with what it had there before.
pub fn embedded_at(dir: &Path, address: &str) -> Result<Process> {
    let mut broker = tidegate(&["broker", "--listen", address]);
    broker.arg("--data-dir").arg(dir.join("broker"));
    let process = Process::spawn(broker, &dir.join("broker.log"))?;
    listening(address)?;
    Ok(process)
}

/// A real Kafka broker; it ends with this value.
pub struct Broker {
    pub java: Java,
    /// `host:port`.
    pub address: String,
    _dir: tempfile::TempDir,
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.java.script(&["stop"]).status();
    }
}

/// A process whose output goes to a file; it is killed with this value.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    pub fn spawn(mut command: Command, log: &Path) -> Result<Process> {
        let out = std::fs::File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        Ok(Process { child, log: log.to_owned() })
    }

    /// Waits until a URL answers with success.
    pub fn ready(&self, url: &str) -> Result<()> {
        until(&format!("{url} answers; see {}:\n{}", self.log.display(), self.output()), || {
            Ok(reqwest::blocking::get(url).is_ok_and(|answer| answer.status().is_success()))
        })
        .with_context(|| self.output())
    }

    /// What the process has printed.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(&mut self) -> Result<()> {
        run(Command::new("kill").arg(self.child.id().to_string()))?;
        until(&format!("process {} has ended", self.child.id()), || Ok(self.child.try_wait()?.is_some()))
            .with_context(|| self.output())
    }

    /// `kill -9`.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Our binary with these arguments.
pub fn tidegate(arguments: &[&str]) -> Command {
    let binary = std::env::current_exe()
        .ok()
        .and_then(|test| Some(test.ancestors().nth(2)?.join("tidegate")))
        .filter(|binary| binary.is_file())
        .expect(
            "the binary lies beside the tests; build it with `cargo build -p tidegate` or test the whole workspace",
        );
    let mut command = Command::new(binary);
    command.args(arguments);
    command
}

/// Waits until a condition holds.
pub fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + DEADLINE;
    while !holds()? {
        if Instant::now() >= deadline {
            bail!("timed out waiting until {what}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Creates a connector by REST.
pub fn create(rest: &str, name: &str, config: Value) -> Result<()> {
    post(rest, &json!({"name": name, "config": config}))
}

/// Creates a connector that does not run before it is resumed.
pub fn create_stopped(rest: &str, name: &str, config: Value) -> Result<()> {
    post(rest, &json!({"name": name, "config": config, "initial_state": "STOPPED"}))
}

/// Waits long: the first request may wait for plugins to be compiled, on a machine that does other things.
fn client() -> Result<reqwest::blocking::Client> {
    Ok(reqwest::blocking::Client::builder().timeout(Duration::from_secs(120)).build()?)
}

fn post(rest: &str, connector: &Value) -> Result<()> {
    let answer = client()?.post(format!("{rest}/connectors")).json(connector).send()?;
    if !answer.status().is_success() {
        bail!("{}: {}", answer.status(), answer.text()?);
    }
    Ok(())
}

/// Sends an empty PUT, such as `/stop` and `/pause` take.
pub fn put(url: &str) -> Result<()> {
    let answer = client()?.put(url).send()?;
    if !answer.status().is_success() {
        bail!("{}: {}", answer.status(), answer.text()?);
    }
    Ok(())
}

/// The answer to a GET, as JSON.
pub fn get(url: &str) -> Result<Value> {
    let answer = reqwest::blocking::get(url)?;
    if !answer.status().is_success() {
        bail!("{}: {}", answer.status(), answer.text()?);
    }
    Ok(answer.json()?)
}

/// Sends a PATCH; false while it is refused, for instance because something is still under way.
pub fn patch(url: &str, body: Value) -> Result<bool> {
    Ok(client()?.patch(url).json(&body).send()?.status().is_success())
}

/// A port that nothing listens on at the moment.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Waits until something listens.
pub fn listening(address: &str) -> Result<()> {
    until(&format!("{address} listens"), || Ok(TcpStream::connect(address).is_ok()))
}

fn target_dir() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its executable");
    test.ancestors().nth(3).expect("the test lies in a target directory").to_owned()
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
