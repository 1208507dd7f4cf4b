//! Runs the binary in a directory of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long anything may take. Plugins are compiled on the first start, by a compiler that may itself be a debug build.
pub(crate) const DEADLINE: Duration = Duration::from_secs(300);

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Where plugins are built.
pub(crate) const PLUGINS_BUILT: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/plugins");

/// Waits until `what` is true.
#[track_caller]
pub(crate) fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < DEADLINE, "{what}: not within {DEADLINE:?}");
        std::thread::sleep(LOOK);
    }
}

/// A directory in which the program is used.
pub(crate) struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Place {
        Place { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.args(arguments).current_dir(self.directory.path()).env_remove("TIDEGATE_LOG").stdin(Stdio::null());
        // Plugins share what they depend on, and find it again the next time.
        command.env("CARGO_TARGET_DIR", PLUGINS_BUILT);
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that reads `input`.
    pub(crate) fn run_on(&self, arguments: &[&str], input: &str) -> Output {
        self.write(".input", input);
        let input = std::fs::File::open(self.path(".input")).unwrap();
        self.command(arguments).stdin(input).output().unwrap()
    }

    /// What a command shows and how it ends: what was typed, stdout, stderr, exit code. The directory is written as
    /// `[DIR]`.
    pub(crate) fn transcript(&self, arguments: &[&str]) -> String {
        self.shown(arguments, self.run(arguments))
    }

    /// As [`Place::transcript`], of a command that reads `input`.
    pub(crate) fn transcript_on(&self, arguments: &[&str], input: &str) -> String {
        self.shown(arguments, self.run_on(arguments, input))
    }

    fn shown(&self, arguments: &[&str], Output { status, stdout, stderr }: Output) -> String {
        let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
        let code = status.code().map_or("a signal".to_owned(), |code| code.to_string());
        let text = format!("$ tidegate {}\n{stdout}{stderr}exit {code}", arguments.join(" "));
        let directory = self.directory.path().canonicalize().unwrap();
        text.replace(directory.to_str().unwrap(), "[DIR]")
    }

    /// Starts a command that goes on until it is told to stop.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let mut child = self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let output = Arc::new(Mutex::new(String::new()));
        let readers =
            vec![collect(child.stdout.take().unwrap(), &output), collect(child.stderr.take().unwrap(), &output)];
        Running { child, output, readers, started: Instant::now() }
    }
}

fn collect(stream: impl std::io::Read + Send + 'static, output: &Arc<Mutex<String>>) -> JoinHandle<()> {
    let output = output.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { break };
            let mut output = output.lock().unwrap();
            output.push_str(&line);
            output.push('\n');
        }
    })
}

/// A process that was started; killed when it goes out of scope.
pub(crate) struct Running {
    child: Child,
    output: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
    started: Instant,
}

impl Running {
    /// Everything it has printed.
    pub(crate) fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// Waits for a line that begins with `prefix` and answers the rest of it.
    #[track_caller]
    pub(crate) fn line(&mut self, prefix: &str) -> String {
        loop {
            let output = self.output();
            if let Some(rest) = output.lines().find_map(|line| line.strip_prefix(prefix)) {
                return rest.trim().to_owned();
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "ended before it printed {prefix:?}:\n{output}");
            assert!(self.started.elapsed() < DEADLINE, "no line {prefix:?} in\n{output}");
            std::thread::sleep(LOOK);
        }
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and what comes of it: the exit code.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let code = self.child.wait().unwrap().code();
        self.readers.drain(..).for_each(|reader| reader.join().unwrap());
        code
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- output of the process\n{}", self.output());
        }
    }
}

/// The lines of a file that are complete.
pub(crate) fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    complete.lines().map(str::to_owned).collect()
}
