//! A worker whose transactions are watched step by step, so that it can be killed or stopped between two of them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// What a transaction goes through; a process that is killed was last seen at one of them.
pub const STEPS: [&str; 4] = ["begun", "produced", "offsets", "committed"];

/// A worker process; killed with this value.
pub struct Watched {
    child: Child,
    seen: Arc<(Mutex<Seen>, Condvar)>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    /// By step, how often it was seen.
    steps: BTreeMap<String, usize>,
    /// Of each task, the step it was seen at last.
    last: BTreeMap<String, String>,
    lines: Vec<String>,
}

impl Watched {
    /// Starts a worker with its transactions logged.
    pub fn start(properties: &Path, data_dir: &Path) -> Result<Watched> {
        let mut command = super::tidegate(&["worker"]);
        command.arg(properties).arg("--data-dir").arg(data_dir);
        command.args(["--log", "warn,tidegate_worker::transactions=trace"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().context("the worker cannot be started")?;
        let stderr = child.stderr.take().context("stderr is a pipe")?;
        let seen = Arc::new((Mutex::new(Seen::default()), Condvar::new()));
        let noted = seen.clone();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                lock(&noted).note(line);
                noted.1.notify_all();
            }
        });
        Ok(Watched { child, seen, reader: Some(reader) })
    }

    /// Waits until a step was seen so often; false when that takes too long.
    pub fn reaches(&self, step: &str, times: usize, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut seen = lock(&self.seen);
        while seen.steps.get(step).copied().unwrap_or(0) < times {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            seen = self.seen.1.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// How often a step was seen.
    pub fn count(&self, step: &str) -> usize {
        lock(&self.seen).steps.get(step).copied().unwrap_or(0)
    }

    /// `kill -9`. Answers the steps at which the tasks were seen last; one that had begun nothing is missing.
    pub fn kill(mut self) -> Result<Vec<String>> {
        self.child.kill()?;
        self.child.wait()?;
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        Ok(lock(&self.seen).last.values().cloned().collect())
    }

    /// SIGSTOP: no thread of it does anything.
    pub fn freeze(&self) -> Result<()> {
        self.signal("-STOP")
    }

    /// SIGCONT.
    pub fn thaw(&self) -> Result<()> {
        self.signal("-CONT")
    }

    /// SIGTERM, and its end.
    pub fn terminate(mut self) -> Result<()> {
        self.signal("-TERM")?;
        self.child.wait()?;
        Ok(())
    }

    fn signal(&self, signal: &str) -> Result<()> {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status()?;
        anyhow::ensure!(status.success(), "kill {signal} failed");
        Ok(())
    }

    /// What it has logged, but for its transactions.
    pub fn output(&self) -> String {
        lock(&self.seen).lines.join("\n")
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Seen {
    fn note(&mut self, line: String) {
        let field =
            |name: &str| line.split_once(&format!("{name}=\""))?.1.split_once('"').map(|(value, _)| value.to_owned());
        match (line.contains("tidegate_worker::transactions"), field("task"), field("step")) {
            (true, Some(task), Some(step)) => {
                *self.steps.entry(step.clone()).or_default() += 1;
                self.last.insert(task, step);
            }
            _ => self.lines.push(line),
        }
    }
}

fn lock(seen: &Arc<(Mutex<Seen>, Condvar)>) -> MutexGuard<'_, Seen> {
    seen.0.lock().unwrap_or_else(PoisonError::into_inner)
}
