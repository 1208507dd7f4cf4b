//! Compiling in a child process, because compiling a stranger's component may take all the memory and time there is.
//!
//! The child is told what to do by one line of JSON on its stdin, followed by the component; it limits itself before it
//! reads the component, writes the code to a file and exits with 0, or says on stderr what is wrong and exits with 1
//! when the component is at fault and with 3 when it is not.
//! The parent holds a wall clock over it and runs one at a time; others wait in a bounded queue.

use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::sync::Semaphore;
use wasmtime::{Config, Engine, OptLevel, Strategy, WasmBacktraceDetails};

/// Bytes of a child's stderr that are kept.
const MESSAGE_MAX: usize = 8 << 10;
/// Children at a time.
const CHILDREN: usize = 1;

/// Exit codes of a child, besides 0. Not 2, which other programs use for wrong arguments.
const REFUSED: u8 = 1;
const BROKEN: u8 = 3;

/// How to start a process that calls [`compile_child_main`] first of all. Its environment is empty.
#[derive(Debug, Clone)]
pub struct CompilerCommand {
    pub program: PathBuf,
    pub args: Vec<OsString>,
}

/// What compiling one component may use.
#[derive(Debug, Clone, PartialEq)]
pub struct CompileLimits {
    /// Address space of the child in bytes.
    pub address_space: u64,
    pub cpu: Duration,
    pub wall: Duration,
    /// Bytes of the compiled code.
    pub code: u64,
    /// Compilations that may wait for their turn.
    pub queue: usize,
}

impl Default for CompileLimits {
    fn default() -> Self {
        CompileLimits {
            address_space: 6 << 30,
            cpu: Duration::from_secs(120),
            wall: Duration::from_secs(240),
            code: 512 << 20,
            queue: 64,
        }
    }
}

/// Why a component was not compiled.
#[derive(Debug)]
pub(crate) enum CompileError {
    /// The compiler refused it.
    Refused(String),
    /// It needs more than compiling may use.
    OverLimit(String),
    /// Too many are waiting.
    Busy,
    /// The child could not be run; nothing is wrong with the component.
    Broken(String),
}

/// What a child is told.
#[derive(Serialize, Deserialize)]
struct Job {
    output: PathBuf,
    address_space: u64,
    cpu_seconds: u64,
    code: u64,
}

pub(crate) struct Compiler {
    command: CompilerCommand,
    limits: CompileLimits,
    turn: Semaphore,
    waiting: AtomicUsize,
}

impl Compiler {
    pub(crate) fn new(command: CompilerCommand, limits: CompileLimits) -> Compiler {
        Compiler { command, limits, turn: Semaphore::new(CHILDREN), waiting: AtomicUsize::new(0) }
    }

    /// Compiles into the file `output`, which must not exist. `is_done` is asked when it is this component's turn:
    /// another may have compiled it meanwhile.
    pub(crate) async fn compile(
        &self,
        bytes: &[u8],
        output: &Path,
        is_done: impl Fn() -> bool,
    ) -> Result<(), CompileError> {
        let place = Place::take(&self.waiting, self.limits.queue).ok_or(CompileError::Busy)?;
        let _turn = self.turn.acquire().await.map_err(|_| CompileError::Busy)?;
        drop(place);
        if is_done() {
            return Ok(());
        }
        match tokio::time::timeout(self.limits.wall, self.run(bytes, output)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                Err(CompileError::OverLimit(format!("compiling took longer than {} s", self.limits.wall.as_secs())))
            }
        }
    }

    async fn run(&self, bytes: &[u8], output: &Path) -> Result<(), CompileError> {
        let broken = |what: &str, error: io::Error| {
            CompileError::Broken(format!("{what} \"{}\": {error}", self.command.program.display()))
        };
        let job = Job {
            output: output.to_owned(),
            address_space: self.limits.address_space,
            cpu_seconds: self.limits.cpu.as_secs().max(1),
            code: self.limits.code,
        };
        let mut head = serde_json::to_vec(&job).map_err(|error| broken("a job for", error.into()))?;
        head.push(b'\n');
        let mut child = Command::new(&self.command.program)
            .args(&self.command.args)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| broken("cannot start the compiler", error))?;
        let mut stdin = child.stdin.take().ok_or_else(|| CompileError::Broken("the compiler has no stdin".into()))?;
        let stderr = child.stderr.take().ok_or_else(|| CompileError::Broken("the compiler has no stderr".into()))?;
        let feed = async {
            stdin.write_all(&head).await?;
            stdin.write_all(bytes).await?;
            drop(stdin);
            Ok::<(), io::Error>(())
        };
        let listen = async {
            let mut message = Vec::new();
            let mut limited = stderr.take(MESSAGE_MAX as u64);
            limited.read_to_end(&mut message).await?;
            // What is left is read so that the child does not wait for us.
            tokio::io::copy(&mut limited.into_inner(), &mut tokio::io::sink()).await?;
            Ok::<Vec<u8>, io::Error>(message)
        };
        // A child that fails early closes its stdin; its status says more than the broken pipe.
        let (_, message, status) = tokio::join!(feed, listen, child.wait());
        let message = message.map_err(|error| broken("cannot hear the compiler", error))?;
        let status = status.map_err(|error| broken("cannot wait for the compiler", error))?;
        verdict(status, String::from_utf8_lossy(&message).trim())
    }
}

fn verdict(status: ExitStatus, message: &str) -> Result<(), CompileError> {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) if code == i32::from(REFUSED) => Err(CompileError::Refused(message.to_owned())),
        // Aborted or killed: out of memory, out of processor time, or the file would have been too large.
        (_, Some(signal)) => Err(CompileError::OverLimit(match message.is_empty() {
            true => format!("compiling was stopped by signal {signal}"),
            false => format!("compiling was stopped by signal {signal}: {message}"),
        })),
        _ => Err(CompileError::Broken(format!("the compiler ended with {status}: {message}"))),
    }
}

/// A place in the queue.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize, max: usize) -> Option<Place<'a>> {
        let taken =
            waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| (count < max).then_some(count + 1));
        taken.ok().map(|_| Place(waiting))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The compiler's settings; everything here is part of the compatibility hash.
pub(crate) fn compiler_config() -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(1 << 20)
        .async_stack_size(2 << 20)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable);
    config
}

/// The whole life of a compiler process: reads a job and a component from stdin and writes the code to a file.
///
/// The program that [`CompilerCommand`] names calls this when it is started with the command's arguments, before it
/// starts threads or opens anything.
pub fn compile_child_main() -> ExitCode {
    match compile_stdin() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let (code, message) = match failure {
                Failure::Refused(message) => (REFUSED, message),
                Failure::Broken(message) => (BROKEN, message),
            };
            // Nobody is left to tell if stderr is closed.
            let _ = writeln!(io::stderr(), "{message}");
            ExitCode::from(code)
        }
    }
}

/// Why a compiler process has no code to give.
enum Failure {
    Refused(String),
    Broken(String),
}

fn compile_stdin() -> Result<(), Failure> {
    let broken = |what: String| Failure::Broken(what);
    let mut stdin = io::stdin().lock();
    let mut head = String::new();
    stdin.read_line(&mut head).map_err(|error| broken(format!("cannot read the job: {error}")))?;
    let job: Job = serde_json::from_str(&head).map_err(|error| broken(format!("not a compiler's job: {error}")))?;
    for (resource, limit) in [
        (Resource::As, job.address_space),
        (Resource::Cpu, job.cpu_seconds),
        (Resource::Fsize, job.code),
        (Resource::Core, 0),
    ] {
        let limits = Rlimit { current: Some(limit), maximum: Some(limit) };
        setrlimit(resource, limits).map_err(|error| broken(format!("cannot limit the compiler: {error}")))?;
    }
    let mut bytes = Vec::new();
    stdin.read_to_end(&mut bytes).map_err(|error| broken(format!("cannot read the component: {error}")))?;
    let engine =
        Engine::new(&compiler_config()).map_err(|error| broken(format!("cannot start the compiler: {error:#}")))?;
    let code = engine.precompile_component(&bytes).map_err(|error| Failure::Refused(format!("{error:#}")))?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&job.output)
        .map_err(|error| broken(format!("cannot create \"{}\": {error}", job.output.display())))?;
    file.write_all(&code).map_err(|error| broken(format!("cannot write \"{}\": {error}", job.output.display())))
}
