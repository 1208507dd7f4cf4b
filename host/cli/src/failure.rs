//! Why a command did not do what it was asked to: what, detail, hint, and the exit code that scripts see.

use std::fmt::{self, Display};
use std::process::ExitCode;

/// Ends a command. Printed once, by `main`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    what: String,
    details: Vec<String>,
    hint: Option<String>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The command was understood and could not be carried out: 1.
    Failed,
    /// The arguments, or a file they name, make no sense: 2.
    Usage,
}

impl Failure {
    /// It did not work. One line without a full stop.
    pub(crate) fn new(what: impl Into<String>) -> Failure {
        Failure { what: what.into(), details: Vec::new(), hint: None, kind: Kind::Failed }
    }

    /// What was asked for makes no sense.
    pub(crate) fn usage(what: impl Into<String>) -> Failure {
        Failure { kind: Kind::Usage, ..Failure::new(what) }
    }

    /// Adds what is known about the cause. Lines that begin with `hint: ` become the hint, as the texts of other crates
    /// carry theirs.
    pub(crate) fn detail(mut self, detail: impl Display) -> Failure {
        for line in detail.to_string().lines() {
            match line.strip_prefix("hint: ") {
                Some(hint) => self.hint = Some(hint.to_owned()),
                None if line.trim().is_empty() => {}
                None => self.details.push(line.trim_end().to_owned()),
            }
        }
        self
    }

    /// What to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// 1, or 2 for usage.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self.kind {
            Kind::Failed => ExitCode::from(1),
            Kind::Usage => ExitCode::from(2),
        }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        for detail in &self.details {
            write!(f, "\n  {detail}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Failure;

    #[test]
    fn a_failure_says_what_then_details_then_the_hint() {
        let failure = Failure::new("connector \"a\" was refused").detail("first\n\n  second\nhint: do this");
        let text = "error: connector \"a\" was refused\n  first\n    second\nhint: do this";
        assert_eq!(failure.to_string(), text);
    }
}
