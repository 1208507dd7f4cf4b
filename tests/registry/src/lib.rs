//! What the ring on a real schema registry needs: Apicurio Registry with Confluent's API, and the programs of others that
//! read what Tidegate wrote and write what it reads.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tidegate_kafka_ring::{Process, free_port};

/// None, with a printed reason, where Maven or Python are missing; under `TIDEGATE_REQUIRE_ALL` that is a failure.
pub fn tools_or_skip() -> Option<Tools> {
    let works = |program: &str| {
        let mut version = Command::new(program);
        version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        version.status().is_ok_and(|status| status.success())
    };
    let missing: Vec<&str> = ["mvn", "python3"].into_iter().filter(|program| !works(program)).collect();
    if missing.is_empty() {
        return Some(Tools { home: target_dir().join("registry") });
    }
    let reason = format!("{} not installed (Maven and Python fetch the schema registry)", missing.join(" and "));
    assert!(std::env::var_os("TIDEGATE_REQUIRE_ALL").is_none(), "must not be skipped: {reason}");
    eprintln!("skipped: {reason}");
    None
}

/// Where the registry and Python's readers are kept.
pub struct Tools {
    home: PathBuf,
}

impl Tools {
    fn script(&self, arguments: &[&str]) -> Command {
        let mut script = Command::new("bash");
        script.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("registry.sh")).args(arguments);
        script.env("REGISTRY_HOME", &self.home).stdin(Stdio::null());
        script
    }

    /// Downloads once; tests that run side by side wait for each other.
    fn fetch(&self) -> Result<()> {
        std::fs::create_dir_all(&self.home)?;
        let lock = std::fs::File::create(self.home.join("fetch.lock"))?;
        lock.lock()?;
        let output = self.script(&["fetch"]).output()?;
        if !output.status.success() {
            bail!("the schema registry cannot be fetched:\n{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// Starts a registry of its own for one test; ready when it answers.
    pub fn registry(&self, dir: &Path) -> Result<Registry> {
        self.fetch()?;
        let port = free_port()?;
        let log = dir.join("registry.log");
        let ports = [port, free_port()?].map(|port| port.to_string());
        let process = Process::spawn(self.script(&["start", &ports[0], &ports[1]]), &log)?;
        let url = format!("http://127.0.0.1:{port}/apis/ccompat/v7");
        process.ready(&format!("{url}/subjects"))?;
        Ok(Registry { url, python: self.home.join("python/bin/python"), _process: process })
    }
}

/// A running registry; it ends with this value.
pub struct Registry {
    /// With the path below which it speaks Confluent's API.
    pub url: String,
    python: PathBuf,
    _process: Process,
}

impl Registry {
    /// What Python's libraries read from a topic.
    pub fn read(&self, broker: &str, format: &str, topic: &str, count: usize) -> Result<Vec<Value>> {
        let output = self.oracle(broker, &["read", format, topic, &count.to_string()], "")?;
        output.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    /// Lets Python's libraries write samples, each with `schema`, `references` and `value`, into a topic.
    pub fn write(&self, broker: &str, format: &str, topic: &str, samples: &[Value]) -> Result<()> {
        let input: String = samples.iter().map(|sample| format!("{sample}\n")).collect();
        self.oracle(broker, &["write", format, topic], &input).map(drop)
    }

    fn oracle(&self, broker: &str, arguments: &[&str], input: &str) -> Result<String> {
        let mut oracle = Command::new(&self.python);
        oracle.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle.py")).args([&self.url, broker]).args(arguments);
        oracle.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = oracle.spawn()?;
        child.stdin.take().context("the oracle has an input")?.write_all(input.as_bytes())?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("oracle {arguments:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Registers a schema; answers its number, or the registry's refusal.
    pub fn register(&self, subject: &str, kind: &str, schema: &str) -> Result<Value> {
        let body = json!({"schema": schema, "schemaType": kind});
        self.send(reqwest::Method::POST, &format!("/subjects/{subject}/versions"), &body)
    }

    /// Says what the versions of a subject have to be to each other.
    pub fn compatibility(&self, subject: &str, level: &str) -> Result<()> {
        self.send(reqwest::Method::PUT, &format!("/config/{subject}"), &json!({"compatibility": level})).map(drop)
    }

    /// The newest schema of a subject.
    pub fn latest(&self, subject: &str) -> Result<Value> {
        Ok(reqwest::blocking::get(format!("{}/subjects/{subject}/versions/latest", self.url))?.json()?)
    }

    fn send(&self, method: reqwest::Method, path: &str, body: &Value) -> Result<Value> {
        let client = reqwest::blocking::Client::new();
        let answer = client.request(method, format!("{}{path}", self.url)).json(body).send()?;
        let status = answer.status();
        let text = answer.text()?;
        if !status.is_success() {
            bail!("{path}: {status}: {text}");
        }
        Ok(serde_json::from_str(&text)?)
    }
}

/// A way to a registry that can be shut: then whoever connects is turned away.
pub struct Gate {
    /// The registry's address through the gate.
    pub url: String,
    shut: Arc<AtomicBool>,
}

impl Gate {
    /// An open gate in front of a registry.
    pub fn before(registry: &Registry) -> Result<Gate> {
        let (target, path) =
            registry.url.trim_start_matches("http://").split_once('/').context("the registry's address has a path")?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}/{path}", listener.local_addr()?);
        let shut = Arc::new(AtomicBool::new(false));
        let (is_shut, target) = (shut.clone(), target.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if is_shut.load(Ordering::Relaxed) {
                    continue;
                }
                let Ok(server) = TcpStream::connect(&target) else { continue };
                let (Ok(from), Ok(to)) = (client.try_clone(), server.try_clone()) else { continue };
                pass(from, server, is_shut.clone());
                pass(to, client, is_shut.clone());
            }
        });
        Ok(Gate { url, shut })
    }

    /// Nobody gets through any more, also on connections that are there.
    pub fn shut(&self, shut: bool) {
        self.shut.store(shut, Ordering::Relaxed);
    }
}

/// Hands bytes on until either end, or the gate, closes.
fn pass(mut from: TcpStream, mut to: TcpStream, shut: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        let mut bytes = [0; 8192];
        while let Ok(read @ 1..) = from.read(&mut bytes) {
            if shut.load(Ordering::Relaxed) || to.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    });
}

fn target_dir() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its executable");
    test.ancestors().nth(3).expect("the test lies in a target directory").to_owned()
}
