//! What went in and what has come out, counted in the files themselves.
//!
//! Delivery is at least once: after a crash a record may come twice, so lines alone prove nothing. An earthquake is known
//! by its `id`, and all of them must be in the output; lines without an id (a reader may have added some) are counted.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;

use super::Files;
use crate::failure::Failure;

/// The state of the demo's two files.
#[derive(Debug)]
pub(super) struct Ledger {
    counts: Counts,
    input: Tail,
    output: Tail,
}

/// Lines and their identities, without any file.
#[derive(Debug, Default)]
struct Counts {
    lines_in: u64,
    lines_out: u64,
    bytes_out: u64,
    /// Went in, has not come out.
    missing: HashSet<String>,
}

impl Counts {
    fn went_in(&mut self, line: &[u8]) {
        self.lines_in += 1;
        self.missing.extend(id(line));
    }

    fn came_out(&mut self, line: &[u8]) {
        self.lines_out += 1;
        self.bytes_out += line.len() as u64 + 1;
        if let Some(id) = id(line) {
            self.missing.remove(&id);
        }
    }

    fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.lines_out >= self.lines_in
    }
}

/// The part of a line that names its record.
#[derive(Deserialize)]
struct Identified {
    id: String,
}

fn id(line: &[u8]) -> Option<String> {
    serde_json::from_slice::<Identified>(line).ok().map(|record| record.id)
}

impl Ledger {
    /// Reads both files as they are now; an output that is not there is empty.
    pub(super) fn open(files: &Files) -> Result<Ledger, Failure> {
        let mut ledger =
            Ledger { counts: Counts::default(), input: Tail::of(&files.input), output: Tail::of(&files.output) };
        ledger.input.read(|line| ledger.counts.went_in(line))?;
        ledger.read_output()?;
        Ok(ledger)
    }

    /// Reads what was added to the output. Answers whether anything was.
    pub(super) fn read_output(&mut self) -> Result<bool, Failure> {
        let before = self.counts.lines_out;
        self.output.read(|line| self.counts.came_out(line))?;
        Ok(self.counts.lines_out > before)
    }

    /// Whether everything that went in has come out.
    pub(super) fn is_complete(&self) -> bool {
        self.counts.is_complete()
    }

    pub(super) fn records_in(&self) -> u64 {
        self.counts.lines_in
    }

    pub(super) fn records_out(&self) -> u64 {
        self.counts.lines_out
    }

    pub(super) fn bytes_out(&self) -> u64 {
        self.counts.bytes_out
    }

    pub(super) fn missing(&self) -> u64 {
        (self.counts.missing.len() as u64).max(self.counts.lines_in.saturating_sub(self.counts.lines_out))
    }
}

/// A file that grows, line by line.
#[derive(Debug)]
struct Tail {
    path: std::path::PathBuf,
    file: Option<File>,
    /// A line that has no end yet.
    open_line: Vec<u8>,
}

/// Bytes that are read at a time.
const READ_BYTES: usize = 64 << 10;

impl Tail {
    fn of(path: &Path) -> Tail {
        Tail { path: path.to_owned(), file: None, open_line: Vec::new() }
    }

    /// Gives out the lines that were completed since the last call. A file that is not there has none.
    fn read(&mut self, mut line: impl FnMut(&[u8])) -> Result<(), Failure> {
        self.read_lines(&mut line)
            .map_err(|error| Failure::new(format!("\"{}\" cannot be read", self.path.display())).detail(error))
    }

    fn read_lines(&mut self, line: &mut impl FnMut(&[u8])) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => match File::open(&self.path) {
                Ok(file) => self.file.insert(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            },
        };
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                return Ok(());
            }
            for part in buffer[..read].split_inclusive(|byte| *byte == b'\n') {
                self.open_line.extend_from_slice(part);
                if let Some(complete) = self.open_line.strip_suffix(b"\n") {
                    line(complete);
                    self.open_line.clear();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Counts;

    #[track_caller]
    fn check(input: &[&str], output: &[&str], complete: bool) {
        let mut counts = Counts::default();
        input.iter().for_each(|line| counts.went_in(line.as_bytes()));
        output.iter().for_each(|line| counts.came_out(line.as_bytes()));
        assert_eq!(counts.is_complete(), complete, "{input:?} → {output:?}");
    }

    const A: &str = r#"{"id":"a","mag":1}"#;
    const B: &str = r#"{"mag":2,"id":"b"}"#;

    #[test]
    fn every_record_must_have_come_out() {
        check(&[A, B], &[], false);
        check(&[A, B], &[A], false);
        check(&[A, B], &[B, A], true);
    }

    #[test]
    fn a_record_that_came_twice_does_not_stand_in_for_another() {
        check(&[A, B], &[A, A], false);
        check(&[A, B], &[A, A, B], true);
    }

    #[test]
    fn lines_without_an_id_are_counted() {
        check(&[A, "hello"], &[A], false);
        check(&[A, "hello"], &[A, r#""hello""#], true);
    }
}
