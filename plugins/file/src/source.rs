//! `FileStreamSource`: the lines of a file as records, in order, once each.
//!
//! Differences from Apache Kafka's, all deliberate: offsets count bytes, not UTF-16 units, so that a file with other text
//! than ASCII is resumed where it was left; bytes that are not UTF-8 become U+FFFD, as Java's reader does it; a file that
//! shrank or was replaced under its name by one of another length is read from its beginning; records carry no timestamp of their own and get the
//! producer's, which is the same moment.

use crate::lines::Lines;
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::time::Duration;
use tidegate_sdk::host::{self, Level};
use tidegate_sdk::{
    Config, Definition, Encoding, Error, Key, Name, Problem, RawRecord, Result, SchemaId, SourceBatch, SourceOffset,
    SourceTask, serde_json,
};

/// Bytes asked for in one read.
const READ_BYTES: usize = 512 << 10;
/// The longest line. A file without ends of lines must not fill the memory.
const LINE_BYTES_MAX: usize = 32 << 20;
/// How often a file is looked at while a poll waits for it to grow.
const LOOK_MS: u32 = 50;

/// One task that reads one file.
pub struct FileStreamSource {
    path: String,
    topic: String,
    records_max: usize,
    follow: bool,
    /// The source partition as JSON.
    partition: String,
    open: Option<Open>,
    /// Bytes of the file that were given out as lines.
    position: u64,
    lines: Lines,
    /// A missing file is reported once.
    reported_missing: bool,
    /// The unterminated last line was given out and the input has ended.
    ended: bool,
}

struct Open {
    file: File,
    /// Bytes read from the file: `position` and what is waiting.
    read_to: u64,
}

impl SourceTask for FileStreamSource {
    fn definition() -> Definition {
        Definition::source("FileStreamSource")
            .alias("org.apache.kafka.connect.file.FileStreamSourceConnector")
            .alias("FileStreamSourceConnector")
            .doc("Reads the lines of a text file, and those that are appended to it, into a topic.")
            .encoding(Encoding::Raw)
            .exactly_once()
            .ends()
            // Not required in the words of Apache Kafka, whose connector then reads its standard input; `validate` refuses
            // what a sandbox cannot do.
            .key(
                Key::path_read("file")
                    .high()
                    .doc("Source filename. If not specified, the standard input will be used"),
            )
            .key(Key::string("topic").high().required().non_empty().doc("The topic to publish data to"))
            .key(
                Key::int("batch.size")
                    .low()
                    .default(2000)
                    .min(1)
                    .doc("The maximum number of records the source task can read from the file each time it is polled"),
            )
            .key(Key::boolean("follow").low().internal().default(true).doc(
                "Whether to wait for lines that are appended. If false the input ends at the end of the file, and a last \
                 line without an end is a record too.",
            ))
    }

    fn validate(config: &Config) -> Vec<Problem> {
        match config.get("file") {
            None | Some("") => vec![Problem::new(
                "file",
                "is not set: a plugin in its sandbox has no standard input, name a file to read",
            )],
            Some(_) => Vec::new(),
        }
    }

    fn exactly_once_support(_: &Config) -> bool {
        true
    }

    fn alter_offsets(config: &Config, offsets: &[SourceOffset]) -> Result<bool> {
        let _ = config;
        offsets.iter().try_for_each(check_offset)?;
        Ok(true)
    }

    fn start(config: &Config) -> Result<FileStreamSource> {
        if let Some(problem) = Self::validate(config).pop() {
            return Err(Error::InvalidConfig(problem));
        }
        let path = config.string("file")?.to_owned();
        let partition = serde_json::json!({ "filename": path }).to_string();
        let position = match host::load_offset(&partition)? {
            None => 0,
            Some(offset) => position_of(&offset)?,
        };
        let records_max = usize::try_from(config.int("batch.size")?)
            .map_err(|_| Error::invalid_config("batch.size", "is less than 1"))?;
        Ok(FileStreamSource {
            path,
            topic: config.string("topic")?.to_owned(),
            records_max,
            follow: config.boolean("follow")?,
            partition,
            open: None,
            position,
            lines: Lines::default(),
            reported_missing: false,
            ended: false,
        })
    }

    fn poll(&mut self, batch: &mut SourceBatch) -> Result<()> {
        if self.ended {
            return Err(Error::EndOfInput);
        }
        let mut waited_ms = 0;
        loop {
            self.read_into(batch)?;
            if !batch.is_empty() {
                return Ok(());
            }
            if self.ended {
                return Err(Error::EndOfInput);
            }
            let wait_ms = LOOK_MS.min(batch.limits().wait_ms - waited_ms);
            if wait_ms == 0 {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(wait_ms.into()));
            waited_ms += wait_ms;
        }
    }
}

impl FileStreamSource {
    /// Adds lines until the batch is full or the file has no more now.
    fn read_into(&mut self, batch: &mut SourceBatch) -> Result<()> {
        if !self.open()? {
            return Ok(());
        }
        let topic = batch.name(&self.topic)?;
        let partition = batch.name(&self.partition)?;
        loop {
            while batch.len() < self.records_max && !batch.is_full() {
                let Some(line) = self.lines.next() else { break };
                self.position += line.length as u64;
                push(batch, topic, partition, line.text, self.position)?;
            }
            if batch.len() >= self.records_max || batch.is_full() {
                return Ok(());
            }
            if self.lines.waiting() > LINE_BYTES_MAX {
                return Err(Error::fatal(format!(
                    "a line of \"{}\" is longer than {LINE_BYTES_MAX} bytes, at byte {}",
                    self.path, self.position
                )));
            }
            if self.fill()? == 0 {
                break;
            }
        }
        if self.follow {
            return self.look_for_another_file();
        }
        if let Some(line) = self.lines.last() {
            self.position += line.length as u64;
            push(batch, topic, partition, line.text, self.position)?;
        }
        self.ended = true;
        Ok(())
    }

    /// Opens the file at the position where the last line ended; false if it is not there.
    fn open(&mut self) -> Result<bool> {
        if self.open.is_some() {
            return Ok(true);
        }
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if !self.reported_missing {
                    host::log(Level::Warn, &format!("file \"{}\" does not exist yet, waiting for it", self.path));
                    self.reported_missing = true;
                }
                return Ok(false);
            }
            Err(error) => return Err(self.failed("cannot be opened", &error)),
        };
        let metadata = file.metadata().map_err(|error| self.failed("cannot be opened", &error))?;
        if metadata.is_dir() {
            return Err(Error::invalid_config("file", format!("\"{}\" is a directory", self.path)));
        }
        if metadata.len() < self.position {
            host::log(
                Level::Warn,
                &format!(
                    "file \"{}\" has {} bytes, fewer than were read before ({}): reading it from its beginning",
                    self.path,
                    metadata.len(),
                    self.position
                ),
            );
            self.position = 0;
        }
        file.seek(SeekFrom::Start(self.position)).map_err(|error| self.failed("cannot be read", &error))?;
        self.lines.clear();
        self.reported_missing = false;
        self.open = Some(Open { file, read_to: self.position });
        Ok(true)
    }

    /// Reads what the file has next; 0 at its end.
    fn fill(&mut self) -> Result<usize> {
        let Some(open) = &mut self.open else { return Ok(0) };
        let read = self.lines.fill(|buffer| {
            let start = buffer.len();
            buffer.resize(start + READ_BYTES, 0);
            let read = open.file.read(&mut buffer[start..]);
            buffer.truncate(start + read.as_ref().map_or(0, |&length| length));
            read
        });
        match read {
            Ok(0) => {
                // In a component the end of a file is the end of its stream: without a new one, what is appended later
                // would never be seen.
                open.file
                    .seek(SeekFrom::Start(open.read_to))
                    .map(|_| 0)
                    .map_err(|error| self.failed("cannot be read", &error))
            }
            Ok(length) => {
                open.read_to += length as u64;
                Ok(length)
            }
            Err(error) => Err(self.failed("cannot be read", &error)),
        }
    }

    /// At the end of the file: if the name now stands for a shorter or another file, the next look opens that one.
    fn look_for_another_file(&mut self) -> Result<()> {
        let Some(open) = &self.open else { return Ok(()) };
        let length = |metadata: std::io::Result<Metadata>| metadata.map(|metadata| metadata.len());
        let before = length(open.file.metadata());
        let named = length(std::fs::metadata(&self.path));
        let after = length(open.file.metadata());
        let (Ok(before), Ok(named), Ok(after)) = (before, named, after) else {
            // Deleted: what is open can still grow, and a file that appears under the name is found by a later look.
            return Ok(());
        };
        if is_another_file(open.read_to, before, named, after) {
            host::log(
                Level::Info,
                &format!("file \"{}\" was truncated or replaced: reading it from its beginning", self.path),
            );
            self.position = 0;
            self.open = None;
        }
        Ok(())
    }

    fn failed(&self, what: &str, error: &std::io::Error) -> Error {
        Error::fatal(format!("file \"{}\" {what}: {error}", self.path))
    }
}

/// Whether the name stands for another file than the one that was read up to `read_to`, by its length under the name and that
/// of what is open before and after.
///
/// A sandbox shows no inode numbers, so lengths have to tell: a file that only grows is never longer under its name than in
/// the handle a moment later, nor shorter than a moment before. What was written to the old file between the last read and
/// its replacement is read first; the look after that tells.
fn is_another_file(read_to: u64, before: u64, named: u64, after: u64) -> bool {
    after < read_to || (after == read_to && (named < before || named > after))
}

fn push(batch: &mut SourceBatch, topic: Name, partition: Name, line: &[u8], position: u64) -> Result<()> {
    let mut offset = [0; 32];
    let offset = write_offset(position, &mut offset);
    let replaced;
    let text = match std::str::from_utf8(line) {
        Ok(text) => text,
        Err(_) => {
            replaced = String::from_utf8_lossy(line);
            &replaced
        }
    };
    batch.push_raw(&RawRecord {
        topic,
        timestamp: None,
        key: None,
        value: Some((SchemaId::STRING, text.as_bytes())),
        source: Some((partition, offset)),
    })
}

/// `{"position":…}`, without the cost of formatting or allocating for every line.
fn write_offset(position: u64, buffer: &mut [u8; 32]) -> &str {
    const PREFIX: &[u8] = br#"{"position":"#;
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(position).as_bytes();
    let end = PREFIX.len() + digits.len();
    // 12 + at most 20 digits would leave no place for the brace; no file has 10^19 bytes.
    buffer[..PREFIX.len()].copy_from_slice(PREFIX);
    buffer[PREFIX.len()..end].copy_from_slice(digits);
    buffer[end] = b'}';
    std::str::from_utf8(&buffer[..=end]).expect("a constant and digits are ASCII")
}

fn position_of(offset: &str) -> Result<u64> {
    let json: serde_json::Value = serde_json::from_str(offset).map_err(Error::fatal)?;
    match json.get("position") {
        Some(position) => position
            .as_u64()
            .ok_or_else(|| Error::fatal(format!("the stored offset {offset} has a position that is no whole number"))),
        None => Ok(0),
    }
}

/// What an operator may set: a partition that names a file, and a position in it; refused in Apache Kafka's words. Anything
/// may be forgotten, so that what should not be there can be cleaned up.
fn check_offset(offset: &SourceOffset) -> Result<()> {
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).map_err(Error::fatal);
    let Some(text) = &offset.offset else { return Ok(()) };
    let position = parse(text)?;
    let Some(position) = position.get("position") else {
        return Err(Error::fatal("Offset objects should either be null or contain the key 'position'"));
    };
    if position.as_u64().is_none() {
        return Err(Error::fatal(match position.is_i64() {
            true => "The value for the 'position' key in the offset should be a non-negative value",
            false => "The value for the 'position' key in the offset is expected to be a Long value",
        }));
    }
    if parse(&offset.partition)?.get("filename").is_none() {
        return Err(Error::fatal("Partition objects should contain the key 'filename'"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::is_another_file;

    #[test]
    fn another_file_under_the_name_is_told_by_lengths_once_the_old_one_is_read() {
        for (what, read_to, before, named, after, expected) in [
            ("nothing happened", 10, 10, 10, 10, false),
            ("it grew before the look", 10, 15, 15, 15, false),
            ("it grew during the look", 10, 10, 15, 20, false),
            ("truncated", 10, 4, 4, 4, true),
            ("replaced by a shorter one", 10, 10, 4, 10, true),
            ("replaced by a longer one", 10, 10, 40, 10, true),
            ("written to and then replaced by a shorter one", 10, 15, 4, 15, false),
            ("replaced and then written to by somebody who has it open", 10, 10, 4, 15, false),
            ("the same once that was read", 15, 15, 4, 15, true),
        ] {
            assert_eq!(is_another_file(read_to, before, named, after), expected, "{what}");
        }
    }
}
