//! Why a call into an instance gave no answer. Each variant is a decision of its caller's.

use crate::bindings::tidegate::connect::types;
use crate::limits::Level;
use std::fmt;
use std::time::Duration;

/// A call that failed.
///
/// The first six are the guest's own answer and leave it healthy. After any other the instance is gone: the caller
/// makes a new one and goes on from its last commit.
#[derive(Debug, Clone, PartialEq)]
pub enum CallError {
    /// Wait, then make the same call again. `after` is the shortest sensible wait; zero leaves it to the caller.
    Retriable { message: String, after: Duration },
    /// Back off, then `start` again from the last committed position.
    ConnectionLost(String),
    /// Fail: the configuration cannot work.
    InvalidConfig { key: String, message: String },
    /// Do not poll again; the task stays running.
    EndOfInput,
    /// Fail and show the message.
    Fatal(String),
    /// The records that the call was about fail. Any call but `transform.reshape` treats it as fatal.
    BadRecord { kind: FailureKind, message: String },
    /// The guest crashed.
    Trapped(Box<Trace>),
    /// The call took longer than it may.
    TimedOut { limit: Duration, trace: Box<Trace> },
    /// The guest used more than it may.
    OverBudget(Box<Overrun>),
    /// The instance could not be made: what was granted is not there, or the engine is full.
    Unavailable(String),
    /// An earlier call ended the instance, or was dropped before it had answered.
    Gone,
}

/// What is wrong with a record, in Connect's classes of exceptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    Data,
    Config,
    IllegalArgument,
    NullPointer,
    Other,
}

/// A limit that was met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overrun {
    pub what: Resource,
    pub used: u64,
    pub limit: u64,
    /// Whose limit it is: the name of an instance, connector or tenant.
    pub owner: String,
    /// The key that lifts the limit; none where it is the same for all.
    pub key: Option<&'static str>,
    pub trace: Trace,
}

/// What there was too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Bytes of linear memory and tables.
    Memory(Level),
    /// Milliseconds of processor time in one call.
    CallCpu,
    /// Bytes handed to the host in one call.
    CallBytes,
    /// Open files, streams and connections.
    Handles,
}

/// What is known about a crash: the call, what happened, where, and the last 4 KiB that the guest printed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trace {
    /// The function of the contract that was called.
    pub call: &'static str,
    pub message: String,
    /// Innermost frame first, names of functions where the component has them.
    pub frames: Vec<String>,
    pub output: String,
}

impl CallError {
    /// True when the instance must be thrown away.
    pub fn ends_instance(&self) -> bool {
        !matches!(
            self,
            CallError::Retriable { .. }
                | CallError::ConnectionLost(_)
                | CallError::InvalidConfig { .. }
                | CallError::EndOfInput
                | CallError::Fatal(_)
                | CallError::BadRecord { .. }
        )
    }

    /// What the guest printed and where it was, for the trace of a failed task.
    pub fn trace(&self) -> Option<&Trace> {
        match self {
            CallError::Trapped(trace) | CallError::TimedOut { trace, .. } => Some(trace),
            CallError::OverBudget(overrun) => Some(&overrun.trace),
            _ => None,
        }
    }
}

impl From<types::Error> for CallError {
    fn from(error: types::Error) -> Self {
        match error {
            types::Error::Retriable(retry) => {
                CallError::Retriable { message: retry.message, after: Duration::from_millis(u64::from(retry.after_ms)) }
            }
            types::Error::ConnectionLost(message) => CallError::ConnectionLost(message),
            types::Error::InvalidConfig(problem) => {
                CallError::InvalidConfig { key: problem.key, message: problem.message }
            }
            types::Error::EndOfInput => CallError::EndOfInput,
            types::Error::Fatal(message) => CallError::Fatal(message),
            types::Error::BadRecord(types::RecordFailure { kind, message }) => {
                CallError::BadRecord { kind: kind.into(), message }
            }
        }
    }
}

impl From<types::FailureKind> for FailureKind {
    fn from(kind: types::FailureKind) -> Self {
        match kind {
            types::FailureKind::Data => FailureKind::Data,
            types::FailureKind::Config => FailureKind::Config,
            types::FailureKind::IllegalArgument => FailureKind::IllegalArgument,
            types::FailureKind::NullPointer => FailureKind::NullPointer,
            types::FailureKind::Other => FailureKind::Other,
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Retriable { message, .. } => write!(f, "{message}"),
            CallError::ConnectionLost(message) => write!(f, "connection lost: {message}"),
            CallError::InvalidConfig { key, message } => write!(f, "key \"{key}\": {message}"),
            CallError::EndOfInput => write!(f, "end of input"),
            CallError::Fatal(message) | CallError::BadRecord { message, .. } => write!(f, "{message}"),
            CallError::Trapped(trace) => write!(f, "the plugin crashed in \"{}\": {}", trace.call, trace.message),
            CallError::TimedOut { limit, trace } => write!(
                f,
                "\"{}\" did not answer within {} ms; sandbox.call.max.ms lifts the limit",
                trace.call,
                limit.as_millis()
            ),
            CallError::OverBudget(overrun) => overrun.fmt(f),
            CallError::Unavailable(message) => write!(f, "{message}"),
            CallError::Gone => write!(f, "the instance ended with an earlier call"),
        }
    }
}

impl std::error::Error for CallError {}

impl fmt::Display for Overrun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Overrun { what, used, limit, owner, key, trace } = self;
        let call = trace.call;
        match what {
            Resource::Memory(level) => {
                write!(f, "\"{call}\" needs more memory than the {limit} bytes of the {level} \"{owner}\"")?;
                write!(f, " ({used} in use)")?;
            }
            Resource::CallCpu => {
                write!(f, "\"{call}\" used {used} ms of processor time in one call, {limit} ms are allowed")?;
            }
            Resource::CallBytes => write!(f, "\"{call}\" handed more than {limit} bytes to the host in one call")?,
            Resource::Handles => write!(f, "\"{call}\" opened more than {limit} files, streams and connections")?,
        }
        match key {
            Some(key) => write!(f, "; {key} lifts the limit"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in \"{}\"", self.message, self.call)?;
        for frame in &self.frames {
            write!(f, "\n    at {frame}")?;
        }
        if !self.output.is_empty() {
            write!(f, "\noutput of the plugin:\n{}", self.output)?;
        }
        Ok(())
    }
}
