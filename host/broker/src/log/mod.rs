//! The log of one partition: segment files, what readers may see of them, and what producers left behind.
//!
//! Batches are appended as they came and read as whole batches. Writes go to the page cache before they are
//! acknowledged: a killed process loses nothing, a lost machine may. A failed write leaves the log as it was.

mod compact;
mod producers;
mod segment;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

use crate::batch::{self, BatchError, HEADER_BYTES, Header, Records};
use crate::compression;
use producers::Verdict;
pub(crate) use producers::{Aborted, Producers};
use segment::{Segment, Trust};

/// Read before the wanted position, because the index is sparse.
const READ_SLACK_BYTES: u64 = 16 << 10;

/// What a topic's configuration means for its logs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LogConfig {
    pub(crate) compact: bool,
    pub(crate) delete: bool,
    pub(crate) segment_bytes: u64,
    pub(crate) segment_ms: i64,
    /// Negative: unlimited.
    pub(crate) retention_ms: i64,
    /// Negative: unlimited.
    pub(crate) retention_bytes: i64,
    pub(crate) max_message_bytes: usize,
    pub(crate) append_time: bool,
    pub(crate) min_compaction_lag_ms: i64,
    pub(crate) delete_retention_ms: i64,
    pub(crate) min_cleanable_dirty_ratio: f64,
}

/// Why a batch was not appended.
#[derive(Debug, Error)]
pub(crate) enum AppendError {
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error("batch of {bytes} bytes is larger than the topic's max.message.bytes {max}")]
    TooLarge { bytes: usize, max: usize },
    #[error("record without a key on a compacted topic")]
    NullKey,
    #[error("sequence number out of order")]
    OutOfOrder,
    #[error("producer epoch is no longer current")]
    Fenced,
    #[error("cannot write the log: {0}")]
    Storage(#[from] io::Error),
}

/// Where a batch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) base_offset: i64,
    /// The time the broker stamped it with, or -1 where it keeps the producer's.
    pub(crate) append_time_ms: i64,
}

/// How far a reader may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    Uncommitted,
    Committed,
}

/// The offset asked for is not in the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OutOfRange;

#[derive(Debug)]
pub(crate) struct Log {
    dir: PathBuf,
    config: Arc<LogConfig>,
    segments: Vec<Segment>,
    producers: Producers,
    log_start: i64,
    log_end: i64,
    /// Offsets below this have been through the cleaner since the start of the process.
    cleaned_to: i64,
}

impl Log {
    /// Opens the log in `dir`, which need not exist yet. A torn write at the end is cut off.
    pub(crate) fn open(dir: PathBuf, config: Arc<LogConfig>, log_start: i64, now_ms: i64) -> io::Result<Log> {
        let mut log = Log {
            dir,
            config,
            segments: Vec::new(),
            producers: Producers::default(),
            log_start,
            log_end: log_start,
            cleaned_to: 0,
        };
        let files = segment_files(&log.dir)?;
        for (index, (base_offset, path)) in files.iter().enumerate() {
            let trust = if index + 1 == files.len() { Trust::Checksums } else { Trust::Headers };
            let producers = &mut log.producers;
            let segment = Segment::open(path.clone(), *base_offset, trust, now_ms, |header, commits| match commits {
                Some(committed) => {
                    producers.ended(header.producer_id, header.producer_epoch, committed, header.base_offset)
                }
                None => producers.wrote(header),
            })?;
            log.log_end = log.log_end.max(segment.next_offset);
            log.segments.push(segment);
        }
        if let Some(first) = log.segments.first() {
            log.log_start = log.log_start.max(first.base_offset);
        }
        Ok(log)
    }

    pub(crate) fn configure(&mut self, config: Arc<LogConfig>) {
        self.config = config;
    }

    pub(crate) fn log_start(&self) -> i64 {
        self.log_start
    }

    pub(crate) fn log_end(&self) -> i64 {
        self.log_end
    }

    pub(crate) fn last_stable(&self) -> i64 {
        self.producers.first_open().unwrap_or(self.log_end)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    pub(crate) fn producers(&self) -> &Producers {
        &self.producers
    }

    fn limit(&self, isolation: Isolation) -> i64 {
        match isolation {
            Isolation::Uncommitted => self.log_end,
            Isolation::Committed => self.last_stable(),
        }
    }

    /// Appends what a producer sent. `header` is what [`batch::verify_produced`] said about `bytes`.
    pub(crate) fn append(&mut self, header: &Header, bytes: &Bytes, now_ms: i64) -> Result<Appended, AppendError> {
        if bytes.len() > self.config.max_message_bytes {
            return Err(AppendError::TooLarge { bytes: bytes.len(), max: self.config.max_message_bytes });
        }
        match self.producers.check(header) {
            Verdict::Append => {}
            Verdict::Duplicate { base_offset } => return Ok(Appended { base_offset, append_time_ms: -1 }),
            Verdict::OutOfOrder => return Err(AppendError::OutOfOrder),
            Verdict::Fenced => return Err(AppendError::Fenced),
        }
        if self.config.compact {
            require_keys(header, bytes)?;
        }
        if self.config.append_time {
            let stamped = batch::with_append_time(bytes, now_ms);
            let base_offset = self.write(&stamped, now_ms)?;
            return Ok(Appended { base_offset, append_time_ms: now_ms });
        }
        let base_offset = self.write(bytes, now_ms)?;
        Ok(Appended { base_offset, append_time_ms: -1 })
    }

    /// Ends the transaction that a producer has open here.
    pub(crate) fn append_marker(
        &mut self,
        producer_id: i64,
        epoch: i16,
        committed: bool,
        now_ms: i64,
    ) -> io::Result<()> {
        let offset = self.write(&batch::marker(producer_id, epoch, committed, now_ms), now_ms)?;
        self.producers.ended(producer_id, epoch, committed, offset);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8], now_ms: i64) -> io::Result<i64> {
        let mut header = Header::parse(bytes).map_err(io::Error::other)?;
        header.base_offset = self.log_end;
        let prefix = batch::assigned_prefix(bytes, self.log_end);
        self.active_segment(bytes.len() as u64, now_ms)?.append(&header, &prefix, &bytes[prefix.len()..])?;
        self.log_end = header.last_offset() + 1;
        if !header.is_control() {
            self.producers.wrote(&header);
        }
        Ok(header.base_offset)
    }

    /// The segment to append `bytes` to; rolls a new one where the configuration asks for it.
    fn active_segment(&mut self, bytes: u64, now_ms: i64) -> io::Result<&mut Segment> {
        let roll = match self.segments.last() {
            None => true,
            Some(active) if active.bytes == 0 => false,
            Some(active) => {
                active.bytes + bytes > self.config.segment_bytes
                    || now_ms.saturating_sub(active.created_ms) > self.config.segment_ms
            }
        };
        if roll {
            self.roll(now_ms)?;
        }
        Ok(self.segments.last_mut().expect("a segment was just made if there was none"))
    }

    fn roll(&mut self, now_ms: i64) -> io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        self.segments.push(Segment::create(&self.dir, self.log_end, now_ms)?);
        Ok(())
    }

    /// What is to be read from `offset` on; the reading itself needs no lock on the log.
    pub(crate) fn plan_read(&self, offset: i64, isolation: Isolation) -> Result<Option<ReadPlan>, OutOfRange> {
        if offset < self.log_start || offset > self.log_end {
            return Err(OutOfRange);
        }
        let limit = self.limit(isolation);
        if offset >= limit {
            return Ok(None);
        }
        let at = self.segments.partition_point(|segment| segment.next_offset <= offset);
        let Some(segment) = self.segments.get(at) else { return Ok(None) };
        let aborted = match isolation {
            Isolation::Uncommitted => Vec::new(),
            Isolation::Committed => self.producers.aborted_between(offset, limit.min(segment.next_offset)),
        };
        Ok(Some(ReadPlan {
            file: segment.file.clone(),
            position: segment.position_before(offset),
            end: segment.bytes,
            offset,
            limit,
            aborted,
        }))
    }

    /// About how many bytes a reader at `offset` may read: nothing only if there is nothing.
    pub(crate) fn bytes_available(&self, offset: i64, isolation: Isolation) -> u64 {
        if offset >= self.limit(isolation) {
            return 0;
        }
        let at = self.segments.partition_point(|segment| segment.next_offset <= offset);
        let Some(first) = self.segments.get(at) else { return 0 };
        let later: u64 = self.segments[at + 1..].iter().map(|segment| segment.bytes).sum();
        (first.bytes - first.position_before(offset) + later).max(1)
    }

    /// The first record with a timestamp of at least `timestamp`: its offset and timestamp.
    pub(crate) fn find_by_time(&self, timestamp: i64, isolation: Isolation) -> io::Result<Option<(i64, i64)>> {
        let limit = self.limit(isolation);
        for segment in self.segments.iter().filter(|segment| segment.max_timestamp >= timestamp) {
            let mut scan = segment.scan_from(segment.position_before_time(timestamp));
            while let Some(found) = scan.next()? {
                if found.header.base_offset >= limit {
                    return Ok(None);
                }
                if found.header.max_timestamp < timestamp || found.header.is_control() {
                    continue;
                }
                let bytes = scan.read(&found)?;
                let unpacked = unpack(&found.header, &bytes).map_err(io::Error::other)?;
                for record in Records::new(&found.header, &unpacked) {
                    let record = record.map_err(io::Error::other)?;
                    if record.timestamp >= timestamp && record.offset >= self.log_start {
                        return Ok(Some((record.offset, record.timestamp)));
                    }
                }
            }
        }
        Ok(None)
    }

    /// The record with the largest timestamp: its offset and timestamp.
    pub(crate) fn find_latest_time(&self, isolation: Isolation) -> io::Result<Option<(i64, i64)>> {
        match self.segments.iter().map(|segment| segment.max_timestamp).max() {
            Some(timestamp) if timestamp >= 0 => self.find_by_time(timestamp, isolation),
            _ => Ok(None),
        }
    }

    /// Moves the start of the log to `offset` and deletes segments that lie before it. Segments being read stay
    /// readable until the reader is done.
    pub(crate) fn delete_before(&mut self, offset: i64) -> Result<(), OutOfRange> {
        if offset > self.log_end || offset < 0 {
            return Err(OutOfRange);
        }
        if offset > self.log_start {
            self.log_start = offset;
            self.drop_segments_while(|log, first| first.next_offset <= log.log_start);
            self.producers.truncate_before(offset);
        }
        Ok(())
    }

    /// Deletes what the topic's retention no longer asks to keep. True if the start of the log moved.
    pub(crate) fn enforce_retention(&mut self, now_ms: i64) -> io::Result<bool> {
        if !self.config.delete {
            return Ok(false);
        }
        let config = self.config.clone();
        let before = self.log_start;
        let expired = |segment: &Segment| {
            config.retention_ms >= 0 && now_ms.saturating_sub(segment.max_timestamp) > config.retention_ms
        };
        if self.segments.last().is_some_and(|active| active.bytes > 0 && expired(active))
            && self.last_stable() == self.log_end
        {
            self.roll(now_ms)?;
        }
        self.drop_segments_while(|log, first| {
            let stable = first.next_offset <= log.last_stable();
            let too_many = config.retention_bytes >= 0 && log.bytes() - first.bytes >= config.retention_bytes as u64;
            stable && (expired(first) || too_many)
        });
        if let Some(first) = self.segments.first() {
            self.log_start = self.log_start.max(first.base_offset);
        }
        self.producers.truncate_before(self.log_start);
        Ok(self.log_start > before)
    }

    fn drop_segments_while(&mut self, condition: impl Fn(&Log, &Segment) -> bool) {
        while self.segments.len() > 1 && condition(self, &self.segments[0]) {
            let segment = self.segments.remove(0);
            if let Err(error) = fs::remove_file(&segment.path) {
                tracing::warn!(segment = %segment.path.display(), %error, "cannot delete a segment");
            }
        }
    }

    /// Writes everything to the disk itself. Called on a clean stop only.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.segments.last().map_or(Ok(()), |active| active.file.sync_data())
    }
}

/// The unpacked records of a whole batch.
fn unpack<'a>(header: &Header, batch: &'a [u8]) -> Result<std::borrow::Cow<'a, [u8]>, BatchError> {
    compression::decompress(header.compression(), &batch[HEADER_BYTES..])
}

fn require_keys(header: &Header, bytes: &[u8]) -> Result<(), AppendError> {
    let unpacked = unpack(header, bytes)?;
    for record in Records::new(header, &unpacked) {
        if record?.key.is_none() {
            return Err(AppendError::NullKey);
        }
    }
    Ok(())
}

fn segment_files(dir: &Path) -> io::Result<Vec<(i64, PathBuf)>> {
    let mut files = Vec::new();
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<i64>().ok());
        match (stem, path.extension().and_then(|extension| extension.to_str())) {
            (Some(base_offset), Some("log")) => files.push((base_offset, path)),
            // What a cleaning left that was killed before it was done.
            (_, Some("cleaned")) => fs::remove_file(&path)?,
            _ => {}
        }
    }
    files.sort();
    Ok(files)
}

/// A read that was decided under the log's lock and is carried out without it.
#[derive(Debug)]
pub(crate) struct ReadPlan {
    file: Arc<fs::File>,
    position: u64,
    end: u64,
    offset: i64,
    limit: i64,
    aborted: Vec<Aborted>,
}

/// Whole batches, and the aborted transactions among them.
#[derive(Debug, Default)]
pub(crate) struct Slice {
    pub(crate) bytes: Bytes,
    pub(crate) aborted: Vec<Aborted>,
}

impl ReadPlan {
    /// Reads at most `bytes_max` bytes of whole batches, but at least one batch where `at_least_one` says so.
    pub(crate) fn read(mut self, bytes_max: usize, at_least_one: bool) -> io::Result<Slice> {
        let length = (self.end - self.position).min(bytes_max as u64 + READ_SLACK_BYTES);
        let mut bytes = self.read_at(self.position, length as usize)?;
        let (mut start, mut end) = (None, 0);
        let mut at = 0;
        let mut last_offset = self.offset;
        while let Ok(header) = Header::parse(&bytes[at..]) {
            let next = at + header.total_bytes();
            if header.base_offset >= self.limit {
                break;
            }
            if header.last_offset() >= self.offset {
                let first = *start.get_or_insert(at);
                if next - first > bytes_max || next > bytes.len() {
                    if first != at || !at_least_one {
                        break;
                    }
                    if next > bytes.len() {
                        bytes = self.read_at(self.position + at as u64, header.total_bytes())?;
                        start = Some(0);
                        end = bytes.len();
                    } else {
                        end = next;
                    }
                    last_offset = header.last_offset();
                    break;
                }
                end = next;
                last_offset = header.last_offset();
            } else if next > bytes.len() {
                break;
            }
            at = next;
        }
        let Some(start) = start.filter(|start| *start < end) else { return Ok(Slice::default()) };
        self.aborted.retain(|txn| txn.first_offset <= last_offset);
        Ok(Slice { bytes: Bytes::from(bytes).slice(start..end), aborted: self.aborted })
    }

    fn read_at(&self, position: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let at = position + bytes.len() as u64;
            if rustix::io::pread(&*self.file, rustix::buffer::spare_capacity(&mut bytes), at)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            // The allocation may be larger than asked for.
            bytes.truncate(bytes.len().min(length));
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::tests::{produced, produced_by};
    use kafka_protocol::records::Compression;
    use std::collections::BTreeMap;

    fn config(change: &[(&str, &str)]) -> Arc<LogConfig> {
        let set: BTreeMap<String, String> =
            change.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        Arc::new(crate::topic_config::log_config(&set))
    }

    fn open(dir: &Path, change: &[(&str, &str)]) -> Log {
        Log::open(dir.to_owned(), config(change), 0, 0).unwrap()
    }

    fn append(log: &mut Log, bytes: &Bytes, now_ms: i64) -> i64 {
        let header = batch::verify_produced(bytes).unwrap();
        log.append(&header, bytes, now_ms).unwrap().base_offset
    }

    fn one() -> Bytes {
        produced(&[("k", Some("v"))], Compression::None)
    }

    #[test]
    fn a_torn_end_is_cut_off_at_every_byte() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(dir.path(), &[]);
        append(&mut log, &one(), 0);
        let whole = log.bytes();
        append(&mut log, &produced(&[("a", Some("b")), ("c", None)], Compression::None), 0);
        let path = log.segments[0].path.clone();
        let text = fs::read(&path).unwrap();
        for end in whole as usize..text.len() {
            fs::write(&path, &text[..end]).unwrap();
            let mut log = open(dir.path(), &[]);
            assert_eq!((log.log_end(), log.bytes()), (1, whole), "cut at {end}");
            assert_eq!(append(&mut log, &one(), 0), 1);
        }
        let mut flipped = text.clone();
        *flipped.last_mut().unwrap() ^= 1;
        fs::write(&path, &flipped).unwrap();
        assert_eq!(open(dir.path(), &[]).log_end(), 1, "a flipped byte");
    }

    #[test]
    fn damage_in_a_closed_segment_is_an_error_and_not_silently_cut() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(dir.path(), &[("segment.bytes", "1024")]);
        for _ in 0..40 {
            append(&mut log, &one(), 0);
        }
        let path = log.segments[0].path.clone();
        let text = fs::read(&path).unwrap();
        fs::write(&path, &text[..text.len() - 1]).unwrap();
        let error = Log::open(dir.path().to_owned(), config(&[]), 0, 0).unwrap_err();
        assert!(error.to_string().contains("00000000000000000000.log"), "{error}");
    }

    #[test]
    fn retention_deletes_old_segments_by_time_and_by_size() {
        let dir = tempfile::tempdir().unwrap();
        let small = ("segment.bytes", "1024");
        let mut log = open(dir.path(), &[small]);
        for _ in 0..100 {
            append(&mut log, &one(), 0);
        }
        assert!(!log.enforce_retention(0).unwrap());
        log.configure(config(&[small, ("retention.bytes", "3000")]));
        assert!(log.enforce_retention(0).unwrap());
        assert!((3_000..=4_200).contains(&log.bytes()), "{} bytes", log.bytes());
        log.configure(config(&[small, ("retention.ms", "10")]));
        assert!(log.enforce_retention(2_000).unwrap());
        assert_eq!((log.log_start(), log.log_end(), log.bytes()), (100, 100, 0));
        drop(log);
        let mut log = open(dir.path(), &[]);
        assert_eq!((log.log_start(), log.log_end()), (100, 100), "also after reopening");
        assert_eq!(append(&mut log, &one(), 0), 100);
    }

    #[test]
    fn retention_and_the_cleaner_stop_at_an_open_transaction() {
        let dir = tempfile::tempdir().unwrap();
        let change = [("segment.bytes", "1024"), ("retention.ms", "10"), ("cleanup.policy", "compact,delete")];
        let mut log = open(dir.path(), &change);
        append(&mut log, &produced_by(&[("k", Some("v"))], Compression::None, 4, 0, 0, true), 0);
        for _ in 0..50 {
            append(&mut log, &one(), 0);
        }
        assert_eq!(log.last_stable(), 0);
        assert!(!log.enforce_retention(5_000).unwrap());
        assert!(log.plan_cleaning(5_000).is_none());
        log.append_marker(4, 0, true, 0).unwrap();
        assert!(log.plan_cleaning(5_000).is_some());
        assert!(log.enforce_retention(5_000).unwrap());
    }

    #[test]
    fn cleaning_works_with_every_codec_and_removes_old_tombstones() {
        for codec in [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
            let dir = tempfile::tempdir().unwrap();
            let change = [("segment.bytes", "1024"), ("cleanup.policy", "compact"), ("delete.retention.ms", "1000")];
            let mut log = open(dir.path(), &change);
            for _ in 0..30 {
                append(&mut log, &produced(&[("a", Some("1")), ("b", Some("2")), ("gone", None)], codec), 0);
            }
            let now_ms = crate::clock::wall_ms() + 5_000;
            let outcome = log.plan_cleaning(now_ms).unwrap().run().unwrap();
            log.finish_cleaning(outcome, now_ms).unwrap();
            let kept: Vec<(i64, String)> = read_all(&log);
            let active = log.segments.last().unwrap().base_offset;
            let closed: Vec<_> = kept.iter().filter(|(offset, _)| *offset < active).collect();
            assert_eq!(closed, [&(active - 3, "a".to_owned()), &(active - 2, "b".to_owned())], "{codec:?}");
            assert!(log.plan_cleaning(now_ms).is_none(), "nothing is dirty");
            drop(log);
            assert_eq!(read_all(&open(dir.path(), &change)), kept, "also after reopening");
        }
    }

    #[test]
    fn what_was_cleaned_before_is_superseded_by_what_comes_later() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(dir.path(), &[("segment.bytes", "1024"), ("cleanup.policy", "compact")]);
        for _ in 0..2 {
            append(&mut log, &produced(&[("once", Some("1"))], Compression::None), 0);
            for _ in 0..60 {
                append(&mut log, &produced(&[("often", Some("1"))], Compression::None), 0);
            }
            let outcome = log.plan_cleaning(0).unwrap().run().unwrap();
            log.finish_cleaning(outcome, 0).unwrap();
        }
        let active = log.segments.last().unwrap().base_offset;
        let closed: Vec<_> = read_all(&log).into_iter().filter(|(offset, _)| *offset < active).collect();
        assert_eq!(closed, [(61, "once".to_owned()), (active - 1, "often".to_owned())]);
    }

    fn read_all(log: &Log) -> Vec<(i64, String)> {
        let mut out = Vec::new();
        let mut offset = log.log_start();
        while let Some(plan) = log.plan_read(offset, Isolation::Committed).unwrap() {
            let slice = plan.read(1 << 20, true).unwrap();
            let mut rest = &slice.bytes[..];
            assert!(!rest.is_empty(), "nothing at {offset}");
            while !rest.is_empty() {
                let header = batch::verify(rest).unwrap();
                let (bytes, after) = rest.split_at(header.total_bytes());
                let unpacked = unpack(&header, bytes).unwrap();
                for record in Records::new(&header, &unpacked) {
                    let record = record.unwrap();
                    out.push((record.offset, String::from_utf8_lossy(record.key.unwrap()).into_owned()));
                }
                offset = header.last_offset() + 1;
                rest = after;
            }
        }
        out
    }

    #[test]
    fn records_are_found_by_time() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(dir.path(), &[("segment.bytes", "1024"), ("message.timestamp.type", "LogAppendTime")]);
        for number in 0..100 {
            append(&mut log, &one(), 1_000 + number);
        }
        let find = |timestamp| log.find_by_time(timestamp, Isolation::Committed).unwrap();
        assert_eq!(find(0), Some((0, 1_000)));
        assert_eq!(find(1_057), Some((57, 1_057)));
        assert_eq!(find(2_000), None);
        assert_eq!(log.find_latest_time(Isolation::Committed).unwrap(), Some((99, 1_099)));
    }

    #[test]
    fn every_offset_can_be_read_from_with_any_limit() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(dir.path(), &[("segment.bytes", "100000")]);
        let value = "v".repeat(3_000);
        for number in 0..120 {
            let large = number % 7 == 0;
            append(
                &mut log,
                &produced(&[("k", Some(if large { &value } else { "v" })), ("l", None)], Compression::None),
                0,
            );
        }
        for offset in 0..240 {
            for bytes_max in [0, 100, 5_000, 1 << 20] {
                let plan = log.plan_read(offset, Isolation::Uncommitted).unwrap().unwrap();
                let slice = plan.read(bytes_max, true).unwrap();
                let header = batch::verify(&slice.bytes).unwrap();
                assert_eq!(header.base_offset, offset / 2 * 2, "offset {offset}, {bytes_max} bytes");
                assert!(slice.bytes.len() <= bytes_max.max(header.total_bytes()));
            }
        }
        assert!(log.plan_read(240, Isolation::Uncommitted).unwrap().is_none());
        assert_eq!(log.plan_read(241, Isolation::Uncommitted).unwrap_err(), OutOfRange);
    }
}
