//! One file of a partition's log: batches one after another, named by the offset it starts at.
//!
//! A segment keeps a sparse index in memory, built by walking the batch headers when it is opened; nothing but the
//! batches themselves is stored. Only the last segment is written to, and only at its end.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::warn;

use crate::batch::{self, BatchError, HEADER_BYTES, Header};

/// Bytes of batches between two entries of the index.
const INDEX_INTERVAL_BYTES: u64 = 16 << 10;

#[derive(Debug, Clone, Copy)]
struct IndexEntry {
    base_offset: i64,
    position: u64,
    /// The largest timestamp of all batches before this entry.
    max_timestamp_before: i64,
}

#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) base_offset: i64,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<File>,
    pub(crate) bytes: u64,
    /// The offset after the last record in this segment.
    pub(crate) next_offset: i64,
    pub(crate) max_timestamp: i64,
    /// When the first batch was appended, as far as that is known.
    pub(crate) created_ms: i64,
    index: Vec<IndexEntry>,
    indexed_to: u64,
    /// A failed write left bytes behind the end.
    torn: bool,
}

/// How much a segment is trusted when it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Closed long ago: headers are walked.
    Headers,
    /// The last one may end in a torn write: checksums are verified and what does not hold is cut off.
    Checksums,
}

fn path_of(dir: &Path, base_offset: i64) -> PathBuf {
    dir.join(format!("{base_offset:020}.log"))
}

impl Segment {
    pub(crate) fn create(dir: &Path, base_offset: i64, now_ms: i64) -> io::Result<Segment> {
        let path = path_of(dir, base_offset);
        let file = OpenOptions::new().read(true).append(true).create_new(true).open(&path)?;
        Ok(Segment::empty(path, file, base_offset, now_ms))
    }

    fn empty(path: PathBuf, file: File, base_offset: i64, created_ms: i64) -> Segment {
        Segment {
            base_offset,
            path,
            file: Arc::new(file),
            bytes: 0,
            next_offset: base_offset,
            max_timestamp: -1,
            created_ms,
            index: Vec::new(),
            indexed_to: 0,
            torn: false,
        }
    }

    /// Opens a segment and shows each batch header to `visit`, together with the whole batch where it is a marker.
    pub(crate) fn open(
        path: PathBuf,
        base_offset: i64,
        trust: Trust,
        now_ms: i64,
        mut visit: impl FnMut(&Header, Option<bool>),
    ) -> io::Result<Segment> {
        let file = OpenOptions::new().read(true).append(true).open(&path)?;
        let file_bytes = file.metadata()?.len();
        let mut segment = Segment::empty(path, file, base_offset, now_ms);
        let mut scan = Scan::new(segment.file.clone(), 0, file_bytes);
        loop {
            let found = match scan.next() {
                Ok(None) => break,
                Ok(Some(found)) if found.header.base_offset < segment.next_offset => {
                    Err(BatchError::Malformed("its offset lies before the end of the log"))
                }
                Ok(Some(found)) if trust == Trust::Checksums || found.header.is_control() => {
                    let bytes = scan.read(&found)?;
                    batch::verify(&bytes).map(|_| (found, batch::marker_commits(&bytes)))
                }
                Ok(Some(found)) => Ok((found, None)),
                Err(ScanError::Batch(error)) => Err(error),
                Err(ScanError::Io(error)) => return Err(error),
            };
            match found {
                Ok((found, commits)) => {
                    segment.account(&found.header, found.header.total_bytes() as u64);
                    visit(&found.header, commits.filter(|_| found.header.is_control()));
                }
                Err(error) if trust == Trust::Checksums => {
                    warn!(
                        segment = %segment.path.display(), kept_bytes = segment.bytes,
                        cut_bytes = file_bytes - segment.bytes, %error, "cut off a torn write",
                    );
                    segment.file.set_len(segment.bytes)?;
                    break;
                }
                Err(error) => {
                    let detail = format!("{} at byte {}: {error}", segment.path.display(), segment.bytes);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, detail));
                }
            }
        }
        if segment.max_timestamp >= 0 {
            segment.created_ms = segment.max_timestamp.min(now_ms);
        }
        Ok(segment)
    }

    /// Writes one batch at the end. On an error nothing of it remains.
    pub(crate) fn append(&mut self, header: &Header, prefix: &[u8; 16], rest: &[u8]) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.bytes)?;
            self.torn = false;
        }
        if let Err(error) = write_all(&self.file, prefix, rest) {
            // What cannot be cut off now is cut off before the next write, or at the next start; readers never see it,
            // as `bytes` ends before it.
            self.torn = self.file.set_len(self.bytes).is_err();
            return Err(error);
        }
        self.account(header, (prefix.len() + rest.len()) as u64);
        Ok(())
    }

    fn account(&mut self, header: &Header, bytes: u64) {
        if self.index.is_empty() || self.bytes - self.indexed_to >= INDEX_INTERVAL_BYTES {
            self.index.push(IndexEntry {
                base_offset: header.base_offset,
                position: self.bytes,
                max_timestamp_before: self.max_timestamp,
            });
            self.indexed_to = self.bytes;
        }
        self.bytes += bytes;
        self.next_offset = header.last_offset() + 1;
        self.max_timestamp = self.max_timestamp.max(header.max_timestamp);
    }

    /// A position at or before the batch that holds `offset`, less than an index interval away.
    pub(crate) fn position_before(&self, offset: i64) -> u64 {
        match self.index.partition_point(|entry| entry.base_offset <= offset) {
            0 => 0,
            after => self.index[after - 1].position,
        }
    }

    /// A position at or before the first batch with a timestamp of at least `timestamp`.
    pub(crate) fn position_before_time(&self, timestamp: i64) -> u64 {
        match self.index.partition_point(|entry| entry.max_timestamp_before < timestamp) {
            0 => 0,
            after => self.index[after - 1].position,
        }
    }

    pub(crate) fn scan_from(&self, position: u64) -> Scan {
        Scan::new(self.file.clone(), position, self.bytes)
    }
}

fn write_all(mut file: &File, prefix: &[u8], rest: &[u8]) -> io::Result<()> {
    let mut written = 0;
    while written < prefix.len() + rest.len() {
        let head = &prefix[written.min(prefix.len())..];
        let tail = &rest[written.saturating_sub(prefix.len())..];
        match file.write_vectored(&[IoSlice::new(head), IoSlice::new(tail)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A batch found by a scan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) header: Header,
    pub(crate) position: u64,
}

#[derive(Debug)]
pub(crate) enum ScanError {
    Io(io::Error),
    Batch(BatchError),
}

impl From<ScanError> for io::Error {
    fn from(error: ScanError) -> io::Error {
        match error {
            ScanError::Io(error) => error,
            ScanError::Batch(error) => io::Error::new(io::ErrorKind::InvalidData, error),
        }
    }
}

/// Walks the batch headers of a segment.
pub(crate) struct Scan {
    file: Arc<File>,
    position: u64,
    end: u64,
}

impl Scan {
    pub(crate) fn new(file: Arc<File>, position: u64, end: u64) -> Scan {
        Scan { file, position, end }
    }

    /// The next header, or `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Found>, ScanError> {
        let left = self.end - self.position;
        if left == 0 {
            return Ok(None);
        }
        if left < HEADER_BYTES as u64 {
            return Err(ScanError::Batch(BatchError::Truncated));
        }
        let mut bytes = [0; HEADER_BYTES];
        self.file.read_exact_at(&mut bytes, self.position).map_err(ScanError::Io)?;
        let header = Header::parse(&bytes).map_err(ScanError::Batch)?;
        if header.total_bytes() as u64 > left {
            return Err(ScanError::Batch(BatchError::Truncated));
        }
        let found = Found { header, position: self.position };
        self.position += header.total_bytes() as u64;
        Ok(Some(found))
    }

    /// The whole batch of a header.
    pub(crate) fn read(&self, found: &Found) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; found.header.total_bytes()];
        self.file.read_exact_at(&mut bytes, found.position)?;
        Ok(bytes)
    }
}
