//! Errors as decisions: what a plugin answers tells the host what to do next.

use crate::FailureKind;
use std::fmt;

/// What the functions of a definition answer.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A call that failed. Each case is a decision about what the host does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// Nothing is broken: the host waits. A poll, a put (with what was not taken), a transform, a predicate and `task_configs` are
    /// called again; an `open`, or a `start` after a lost connection, is made anew with a new instance; `pre_commit` and
    /// `refresh` when they are due anyway. From any other call, the first `start` of a task among them, it is fatal.
    Retriable {
        /// Why, for the log and for the trace when the host gives up.
        message: String,
        /// The shortest wait that makes sense, in milliseconds; 0 leaves it to the host's back-off.
        after_ms: u32,
    },
    /// The other system is gone: the host backs off, calls `start` again and goes on from the last committed position.
    ConnectionLost(String),
    /// The configuration cannot work. The task fails; the message names the key.
    InvalidConfig(Problem),
    /// A source has nothing more, ever. The task stays RUNNING and is not polled again. Only from `poll`.
    EndOfInput,
    /// The task fails and shows the message as its trace. An operator has to act.
    Fatal(String),
    /// The records that the call is about fail, not the task. Only from [`reshape`](crate::Transform::reshape).
    BadRecord(FailureKind, String),
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key the problem belongs to, as the operator wrote it.
    pub key: String,
    /// What is wrong, lower case, no full stop.
    pub message: String,
}

impl Problem {
    /// A problem with a key.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Problem {
        Problem { key: key.into(), message: message.into() }
    }
}

impl Error {
    /// See [`Error::Retriable`]; leaves the wait to the host.
    pub fn retriable(message: impl fmt::Display) -> Error {
        Error::Retriable { message: message.to_string(), after_ms: 0 }
    }

    /// See [`Error::ConnectionLost`].
    pub fn connection_lost(message: impl fmt::Display) -> Error {
        Error::ConnectionLost(message.to_string())
    }

    /// See [`Error::InvalidConfig`].
    pub fn invalid_config(key: impl Into<String>, message: impl Into<String>) -> Error {
        Error::InvalidConfig(Problem::new(key, message))
    }

    /// See [`Error::Fatal`].
    pub fn fatal(message: impl fmt::Display) -> Error {
        Error::Fatal(message.to_string())
    }

    /// See [`Error::BadRecord`].
    pub fn bad_record(kind: FailureKind, message: impl fmt::Display) -> Error {
        Error::BadRecord(kind, message.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Retriable { message, .. }
            | Error::ConnectionLost(message)
            | Error::Fatal(message)
            | Error::BadRecord(_, message) => f.write_str(message),
            Error::InvalidConfig(Problem { key, message }) => write!(f, "key \"{key}\": {message}"),
            Error::EndOfInput => f.write_str("end of input"),
        }
    }
}

impl std::error::Error for Error {}

/// Bytes from the host that are not what `wit/BATCH.md` says. A plugin can only pass it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong.
    pub what: &'static str,
}

impl Malformed {
    pub(crate) const fn new(what: &'static str) -> Malformed {
        Malformed { what }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed batch: {}", self.what)
    }
}

impl std::error::Error for Malformed {}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Error {
        Error::InvalidConfig(problem)
    }
}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Error {
        Error::fatal(malformed)
    }
}
