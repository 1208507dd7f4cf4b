//! Cleaning a compacted log: of each key only the last value stays.
//!
//! Works on closed segments below the last stable offset, one at a time, oldest first: each is rewritten beside the old
//! file and renamed over it, so a crash leaves either. Data of aborted transactions and markers go; data of committed
//! ones stay as if written without a transaction. A tombstone goes when `delete.retention.ms` have passed since its
//! segment was last appended to; what it deletes lies before it and is gone by then.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use super::segment::{Found, Scan, Segment, Trust};
use super::{Aborted, Log, LogConfig, Records, unpack};
use crate::batch;

/// Bytes of keys that one cleaning keeps in memory; what lies behind is cleaned the next time.
const KEY_BYTES_MAX: usize = 64 << 20;

/// A cleaning that was decided under the log's lock and is carried out without it.
pub(crate) struct Cleaning {
    segments: Vec<Closed>,
    config: Arc<LogConfig>,
    now_ms: i64,
}

struct Closed {
    base_offset: i64,
    next_offset: i64,
    /// Not cleaned before. Keys in clean segments are there once, so only dirty ones can supersede them.
    is_dirty: bool,
    bytes: u64,
    path: PathBuf,
    file: Arc<File>,
    aborted: Vec<Aborted>,
}

/// A rewritten segment that waits to take the place of the old one.
pub(crate) struct Cleaned {
    base_offset: i64,
    bytes_before: u64,
    path: PathBuf,
}

/// What a cleaning made.
pub(crate) struct Outcome {
    pub(crate) cleaned: Vec<Cleaned>,
    /// Offsets below this one were looked at.
    cleaned_to: i64,
}

impl Log {
    /// A cleaning, if enough of the log is dirty.
    pub(crate) fn plan_cleaning(&self, now_ms: i64) -> Option<Cleaning> {
        if !self.config.compact {
            return None;
        }
        let stable = self.last_stable();
        let closed: Vec<&Segment> = self.segments[..self.segments.len().saturating_sub(1)]
            .iter()
            .take_while(|segment| {
                // Without a lag timestamps do not matter, also not those of producers whose clocks are ahead.
                let lag = self.config.min_compaction_lag_ms;
                segment.next_offset <= stable && (lag <= 0 || now_ms.saturating_sub(segment.max_timestamp) >= lag)
            })
            .collect();
        let total: u64 = closed.iter().map(|segment| segment.bytes).sum();
        let dirty: u64 = closed.iter().filter(|s| s.next_offset > self.cleaned_to).map(|s| s.bytes).sum();
        if dirty == 0 || (dirty as f64) < self.config.min_cleanable_dirty_ratio * total as f64 {
            return None;
        }
        let segments = closed
            .into_iter()
            .map(|segment| Closed {
                base_offset: segment.base_offset,
                next_offset: segment.next_offset,
                is_dirty: segment.next_offset > self.cleaned_to,
                bytes: segment.bytes,
                path: segment.path.clone(),
                file: segment.file.clone(),
                aborted: self.producers.aborted_between(segment.base_offset, segment.next_offset),
            })
            .collect();
        Some(Cleaning { segments, config: self.config.clone(), now_ms })
    }

    /// Puts rewritten segments in the place of the old ones.
    pub(crate) fn finish_cleaning(&mut self, outcome: Outcome, now_ms: i64) -> io::Result<()> {
        for cleaned in outcome.cleaned {
            let at = self.segments.iter().position(|segment| {
                segment.base_offset == cleaned.base_offset && segment.bytes == cleaned.bytes_before
            });
            let Some(at) = at else {
                // Retention was faster.
                fs::remove_file(&cleaned.path)?;
                continue;
            };
            let path = self.segments[at].path.clone();
            fs::rename(&cleaned.path, &path)?;
            let created_ms = self.segments[at].created_ms;
            let mut segment = Segment::open(path, cleaned.base_offset, Trust::Headers, now_ms, |_, _| {})?;
            segment.created_ms = created_ms;
            if segment.bytes == 0 && at > 0 {
                // The first one stays, empty: it says where the log starts.
                fs::remove_file(&segment.path)?;
                self.segments.remove(at);
            } else {
                self.segments[at] = segment;
            }
        }
        self.cleaned_to = self.cleaned_to.max(outcome.cleaned_to);
        Ok(())
    }
}

impl Cleaning {
    /// Reads and rewrites. Takes as long as reading the segments takes.
    pub(crate) fn run(self) -> io::Result<Outcome> {
        let (last_offsets, covered) = self.last_offsets()?;
        let mut outcome = Outcome { cleaned: Vec::new(), cleaned_to: 0 };
        for closed in self.segments.iter().take(covered) {
            if let Some(cleaned) = self.rewrite(closed, &last_offsets)? {
                outcome.cleaned.push(cleaned);
            }
            outcome.cleaned_to = closed.next_offset;
        }
        Ok(outcome)
    }

    /// The last offset of each key in as many dirty segments as fit in memory, and how many segments that covers.
    fn last_offsets(&self) -> io::Result<(HashMap<Vec<u8>, i64>, usize)> {
        let mut last_offsets = HashMap::new();
        let mut key_bytes = 0;
        for (index, closed) in self.segments.iter().enumerate().filter(|(_, closed)| closed.is_dirty) {
            let mut scan = closed.scan();
            while let Some(found) = scan.next()? {
                if found.header.is_control() || closed.is_aborted(&found) {
                    continue;
                }
                let bytes = scan.read(&found)?;
                let unpacked = unpack(&found.header, &bytes).map_err(io::Error::other)?;
                for record in Records::new(&found.header, &unpacked) {
                    let record = record.map_err(io::Error::other)?;
                    let Some(key) = record.key else { continue };
                    match last_offsets.get_mut(key) {
                        Some(offset) => *offset = record.offset,
                        None => {
                            key_bytes += key.len();
                            last_offsets.insert(key.to_vec(), record.offset);
                        }
                    }
                }
            }
            if key_bytes > KEY_BYTES_MAX {
                return Ok((last_offsets, index + 1));
            }
        }
        Ok((last_offsets, self.segments.len()))
    }

    fn rewrite(&self, closed: &Closed, last_offsets: &HashMap<Vec<u8>, i64>) -> io::Result<Option<Cleaned>> {
        let modified = fs::metadata(&closed.path)?.modified()?;
        let drop_tombstones = age_ms(modified, self.now_ms) > self.config.delete_retention_ms;
        let path = closed.path.with_extension("cleaned");
        let mut out = BufWriter::new(File::create(&path)?);
        let mut changed = false;
        let mut scan = closed.scan();
        while let Some(found) = scan.next()? {
            if found.header.is_control() || closed.is_aborted(&found) {
                changed = true;
                continue;
            }
            let bytes = scan.read(&found)?;
            let unpacked = unpack(&found.header, &bytes).map_err(io::Error::other)?;
            let mut kept = Vec::new();
            for record in Records::new(&found.header, &unpacked) {
                let record = record.map_err(io::Error::other)?;
                let superseded =
                    record.key.is_none_or(|key| last_offsets.get(key).is_some_and(|last| *last > record.offset));
                if !superseded && (record.has_value || !drop_tombstones) {
                    kept.push(record.raw);
                }
            }
            if kept.len() == found.header.record_count as usize && !found.header.is_transactional() {
                out.write_all(&bytes)?;
                continue;
            }
            changed = true;
            if kept.len() == found.header.record_count as usize {
                out.write_all(&batch::without_transaction(&bytes))?;
            } else if !kept.is_empty() {
                out.write_all(&batch::with_records(&found.header, &kept).map_err(io::Error::other)?)?;
            }
        }
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        if !changed {
            fs::remove_file(&path)?;
            return Ok(None);
        }
        // The time of the last append, not of the cleaning, is what the age of a tombstone is counted from.
        file.set_modified(modified)?;
        file.sync_data()?;
        Ok(Some(Cleaned { base_offset: closed.base_offset, bytes_before: closed.bytes, path }))
    }
}

impl Closed {
    fn scan(&self) -> Scan {
        Scan::new(self.file.clone(), 0, self.bytes)
    }

    fn is_aborted(&self, found: &Found) -> bool {
        self.aborted.iter().any(|txn| txn.covers(&found.header))
    }
}

fn age_ms(time: SystemTime, now_ms: i64) -> i64 {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now_ms.saturating_sub(since_epoch.as_millis() as i64)
}
