//! `FileStreamSink`: the value of each record as a line at the end of a file.
//!
//! Delivery is at least once, as Apache Kafka's: offsets are committed after the lines were flushed, so after a crash lines
//! that were written and not yet committed come again. A line that a crash cut in half is given an end when the file is
//! opened again, so that the same record's second copy starts on a line of its own.
//!
//! A structured value is written as JSON, where Java writes what `toString` makes of it; null is written as `null`.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use tidegate_sdk::host::{self, Level};
use tidegate_sdk::{
    Config, Definition, Encoding, Error, Key, NewOffset, Outcome, Position, Problem, Result, SinkBatch, SinkTask,
};

/// Lines that are collected before they are written: a write costs the same whatever its size, up to what the host takes
/// at a time.
const BUFFER_BYTES: usize = 1 << 20;

/// One task that appends to one file.
pub struct FileStreamSink {
    path: String,
    file: File,
    buffer: Vec<u8>,
}

impl SinkTask for FileStreamSink {
    fn definition() -> Definition {
        Definition::sink("FileStreamSink")
            .alias("org.apache.kafka.connect.file.FileStreamSinkConnector")
            .alias("FileStreamSinkConnector")
            .doc("Appends the value of each record as a line to a text file.")
            .encoding(Encoding::Text)
            // As with the source, not required in the words of Apache Kafka, and refused by `validate`.
            .key(
                Key::path_write("file")
                    .high()
                    .doc("Destination filename. If not specified, the standard output will be used"),
            )
    }

    fn validate(config: &Config) -> Vec<Problem> {
        match config.get("file") {
            None | Some("") => vec![Problem::new(
                "file",
                "is not set: a plugin in its sandbox has no standard output, name a file to write",
            )],
            Some(_) => Vec::new(),
        }
    }

    fn alter_offsets(_: &Config, _: &[NewOffset]) -> Result<bool> {
        // Offsets of a consumer group say nothing about the file: any are fine.
        Ok(true)
    }

    fn start(config: &Config) -> Result<FileStreamSink> {
        if let Some(problem) = Self::validate(config).pop() {
            return Err(Error::InvalidConfig(problem));
        }
        let path = config.string("file")?.to_owned();
        let opened = open(&path);
        let file = opened.map_err(|error| {
            Error::invalid_config("file", format!("\"{path}\" cannot be opened for writing: {error}"))
        })?;
        Ok(FileStreamSink { path, file, buffer: Vec::with_capacity(BUFFER_BYTES) })
    }

    fn put(&mut self, batch: &SinkBatch<'_>, _: &mut Outcome) -> Result<()> {
        for record in batch.records() {
            let line = record.value_bytes().unwrap_or(b"null");
            if self.buffer.len() + line.len() >= BUFFER_BYTES {
                self.write_out()?;
            }
            self.buffer.extend_from_slice(line);
            self.buffer.push(b'\n');
        }
        // An idle sink shows what it has, without waiting for the next commit.
        self.write_out()
    }

    fn pre_commit(&mut self) -> Result<Option<Vec<Position>>> {
        self.write_out()?;
        Ok(None)
    }

    fn stop(&mut self) -> Result<()> {
        self.write_out()
    }
}

impl FileStreamSink {
    /// Writes what is buffered. What a failure leaves unwritten is not repeated here: the host delivers it again.
    fn write_out(&mut self) -> Result<()> {
        let written = self.file.write_all(&self.buffer);
        self.buffer.clear();
        written.map_err(|error| Error::connection_lost(format!("file \"{}\" cannot be written: {error}", self.path)))
    }
}

/// Opens for appending; a last line without an end gets one.
fn open(path: &str) -> std::io::Result<File> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    if file.metadata()?.len() > 0 {
        // A second handle, as one for appending cannot read; a file that may only be written is left as it is.
        let mut last = [0];
        let torn = File::open(path)
            .and_then(|mut file| {
                file.seek(SeekFrom::End(-1))?;
                file.read_exact(&mut last)
            })
            .is_ok_and(|()| last != *b"\n");
        if torn {
            host::log(Level::Warn, &format!("the last line of file \"{path}\" has no end: adding it"));
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}
