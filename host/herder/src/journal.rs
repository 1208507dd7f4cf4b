//! The local log: the two topics of the control plane in one file of a data directory.
//!
//! A batch is a transaction: the requests that were decided and the records of the decision, stored as a whole. On disk
//! it is one frame: magic, length, checksum, JSON. Appending returns once the bytes are on stable storage.
//!
//! Opening replays the file. A frame that is cut off or damaged at the end is the trace of a crash and is removed; a
//! damaged frame with an intact one behind it is lost truth, and the journal refuses to open. When the file has grown to
//! several times what is live, it is written anew beside itself and renamed into place, without requests already decided.
//!
//! A crash loses nothing acknowledged; a full disk refuses the batch and leaves the file as it was. One process at a time
//! may have a journal open: locking the data directory is the caller's business.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cluster::{Key, RecordError, Request, Value, Write};

/// The most bytes one batch may have on disk.
pub const BATCH_BYTES_MAX: usize = 128 * 1024 * 1024;

/// A file below this size is never rewritten.
pub const COMPACT_BYTES_MIN: u64 = 4 * 1024 * 1024;

/// The file is rewritten when it has grown to this many times what was live when it was last written.
const COMPACT_FACTOR: u64 = 4;

const FILE_NAME: &str = "state.journal";
const NEW_FILE_NAME: &str = "state.journal.new";

/// The first bytes of the file: what it is and the version of its frames.
const FILE_MAGIC: [u8; 8] = *b"tdgjrnl1";
/// The first bytes of every frame, so that intact frames are found behind a damaged one.
const FRAME_MAGIC: [u8; 4] = *b"tdgf";
/// Magic, length of the payload, checksum of length and payload.
const FRAME_HEADER_BYTES: usize = 12;

/// Why the journal cannot be opened or did not take a batch.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system refused. After a refused [`Journal::append`] the batch is not stored.
    #[error("journal {}: {action}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// Something in the middle of the file is damaged. Restore the data directory from a copy.
    #[error("journal {}: damaged at byte {offset} with intact batches behind it; restore the file from a copy", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
    },
    /// The file is something else.
    #[error("journal {}: not a journal of this program", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A record is of another program or version.
    #[error("journal {}: {source}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Which and why.
        source: RecordError,
    },
    /// The batch is larger than [`BATCH_BYTES_MAX`].
    #[error("journal {}: a batch of {bytes} bytes is larger than {BATCH_BYTES_MAX}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: usize,
    },
}

/// The payload of a frame.
#[derive(Serialize, Deserialize)]
struct Frame {
    /// Offset of the first of `requests`, or of the next request when there is none.
    at: u64,
    /// Requests as stored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    requests: Vec<String>,
    /// State records as stored; no value is a tombstone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    state: Vec<(String, Option<String>)>,
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    len: u64,
    /// `len` when the file was last written anew or opened.
    compacted_len: u64,
    compact_bytes_min: u64,
    /// The live records, as stored.
    table: BTreeMap<String, String>,
    next_request: u64,
    /// A failed append may have left bytes behind `len`.
    broken: bool,
}

impl Journal {
    /// Opens the journal in `dir`, which must exist, or begins an empty one.
    pub fn open(dir: &Path) -> Result<Journal, JournalError> {
        Journal::open_with(dir, COMPACT_BYTES_MIN)
    }

    /// As [`Journal::open`], with another size below which the file is never rewritten.
    pub fn open_with(dir: &Path, compact_bytes_min: u64) -> Result<Journal, JournalError> {
        let path = dir.join(FILE_NAME);
        let fail = |action| {
            let path = path.clone();
            move |source| JournalError::Io { path, action, source }
        };
        match fs::remove_file(dir.join(NEW_FILE_NAME)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail("removing a left-over")(error)),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(fail("opening"))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(fail("reading"))?;

        let mut journal = Journal {
            path: path.clone(),
            file,
            len: 0,
            compacted_len: 0,
            compact_bytes_min,
            table: BTreeMap::new(),
            next_request: 0,
            broken: false,
        };
        let good = journal.replay(&bytes)?;
        if good < bytes.len() {
            tracing::warn!(path = %path.display(), at = good, bytes = bytes.len() - good, "removing a torn batch");
        }
        if good == 0 || good < bytes.len() {
            journal.file.set_len(good as u64).map_err(fail("truncating"))?;
        }
        journal.file.seek(SeekFrom::Start(good as u64)).map_err(fail("seeking"))?;
        if good == 0 {
            journal.file.write_all(&FILE_MAGIC).map_err(fail("writing"))?;
            sync_dir(dir).map_err(fail("syncing the directory"))?;
        }
        if good == 0 || good < bytes.len() {
            journal.file.sync_all().map_err(fail("syncing"))?;
        }
        journal.len = (good as u64).max(FILE_MAGIC.len() as u64);
        journal.compacted_len = journal.live_bytes();
        Ok(journal)
    }

    /// The live records of `state`, by key.
    pub fn state(&self) -> Result<Vec<Write>, JournalError> {
        let decode = |(key, value): (&String, &String)| {
            let key = Key::parse(key)?;
            let value = Value::decode(&key, value)?;
            Ok(Write { key, value: Some(value) })
        };
        let records: Result<_, RecordError> = self.table.iter().map(decode).collect();
        records.map_err(|source| JournalError::Record { path: self.path.clone(), source })
    }

    /// The offset the next request gets.
    pub fn next_request(&self) -> u64 {
        self.next_request
    }

    /// How many bytes the file has.
    pub fn len_bytes(&self) -> u64 {
        self.len
    }

    /// Stores `requests`, which get the offsets from [`Journal::next_request`] on, together with the records they led
    /// to. When it fails, nothing is stored.
    pub fn append(&mut self, requests: &[Request], writes: &[Write]) -> Result<(), JournalError> {
        if self.broken {
            self.undo().map_err(|source| self.io("recovering from an earlier failure", source))?;
            self.broken = false;
        }
        let frame = Frame {
            at: self.next_request,
            requests: requests.iter().map(Request::encode).collect(),
            state: writes
                .iter()
                .map(|write| (write.key.to_string(), write.value.as_ref().map(Value::encode)))
                .collect(),
        };
        let bytes = self.frame_bytes(&frame)?;
        let stored = self.file.write_all(&bytes).and_then(|()| self.file.sync_data());
        if let Err(source) = stored {
            self.broken = self.undo().is_err();
            return Err(self.io("appending", source));
        }
        self.len += bytes.len() as u64;
        self.fold(frame);
        if self.len > self.compact_bytes_min.max(COMPACT_FACTOR * self.compacted_len) {
            // The batch is stored whatever becomes of this: a failure only leaves the file long.
            if let Err(error) = self.compact() {
                tracing::warn!(%error, "the journal could not be compacted");
                self.compacted_len = self.len;
            }
        }
        Ok(())
    }

    /// Cuts off what a failed append may have left.
    fn undo(&mut self) -> io::Result<()> {
        let mut file = OpenOptions::new().read(true).write(true).open(&self.path)?;
        file.set_len(self.len)?;
        file.sync_all()?;
        file.seek(SeekFrom::Start(self.len))?;
        self.file = file;
        Ok(())
    }

    fn io(&self, action: &'static str, source: io::Error) -> JournalError {
        JournalError::Io { path: self.path.clone(), action, source }
    }

    /// Folds all intact frames of `bytes` and returns where the intact part ends.
    fn replay(&mut self, bytes: &[u8]) -> Result<usize, JournalError> {
        let magic = bytes.get(..FILE_MAGIC.len());
        if magic.is_none() && FILE_MAGIC.starts_with(bytes) {
            return Ok(0);
        }
        if magic != Some(&FILE_MAGIC) {
            return Err(JournalError::Foreign { path: self.path.clone() });
        }
        let mut at = FILE_MAGIC.len();
        while let Some((payload, next)) = intact_frame(bytes, at) {
            let frame: Frame = serde_json::from_slice(payload).map_err(|error| JournalError::Record {
                path: self.path.clone(),
                source: RecordError::Malformed { key: format!("batch at byte {at}"), detail: error.to_string() },
            })?;
            self.fold(frame);
            at = next;
        }
        let behind = (at + 1..bytes.len()).any(|later| intact_frame(bytes, later).is_some());
        if behind {
            return Err(JournalError::Damaged { path: self.path.clone(), offset: at as u64 });
        }
        Ok(at)
    }

    fn fold(&mut self, frame: Frame) {
        self.next_request = frame.at + frame.requests.len() as u64;
        for (key, value) in frame.state {
            match value {
                Some(value) => self.table.insert(key, value),
                None => self.table.remove(&key),
            };
        }
    }

    fn frame_bytes(&self, frame: &Frame) -> Result<Vec<u8>, JournalError> {
        let payload = serde_json::to_vec(frame).expect("a frame has string keys and no failing fields");
        if payload.len() > BATCH_BYTES_MAX {
            return Err(JournalError::TooLarge { path: self.path.clone(), bytes: payload.len() });
        }
        let length = u32::try_from(payload.len()).expect("BATCH_BYTES_MAX fits u32").to_le_bytes();
        let mut bytes = Vec::with_capacity(FRAME_HEADER_BYTES + payload.len());
        bytes.extend_from_slice(&FRAME_MAGIC);
        bytes.extend_from_slice(&length);
        bytes.extend_from_slice(&checksum(&length, &payload).to_le_bytes());
        bytes.extend_from_slice(&payload);
        Ok(bytes)
    }

    fn live_bytes(&self) -> u64 {
        self.table.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() as u64
    }

    /// Writes the live records into a new file and puts it in this one's place.
    fn compact(&mut self) -> Result<(), JournalError> {
        let dir = self.path.parent().expect("the journal's path has a directory").to_owned();
        let new_path = dir.join(NEW_FILE_NAME);
        let path = self.path.clone();
        let fail = |action| {
            let path = path.clone();
            move |source| JournalError::Io { path, action, source }
        };
        // Frames of bounded size: the file is put in place as a whole, so several are as atomic as one.
        let mut bytes = FILE_MAGIC.to_vec();
        let mut frame = Frame { at: self.next_request, requests: Vec::new(), state: Vec::new() };
        let mut frame_bytes = 0;
        for (key, value) in &self.table {
            frame_bytes += key.len() + value.len();
            frame.state.push((key.clone(), Some(value.clone())));
            if frame_bytes > BATCH_BYTES_MAX / 16 {
                bytes.extend(self.frame_bytes(&frame)?);
                frame.state.clear();
                frame_bytes = 0;
            }
        }
        bytes.extend(self.frame_bytes(&frame)?);

        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        let mut file = options.open(&new_path).map_err(fail("creating its successor"))?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(fail("writing its successor"))?;
        fs::rename(&new_path, &self.path).map_err(fail("putting its successor in place"))?;
        self.file = file;
        self.len = bytes.len() as u64;
        self.compacted_len = self.len;
        sync_dir(&dir).map_err(fail("syncing the directory"))
    }
}

/// The payload of the intact frame at `at` and where the next one begins.
fn intact_frame(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let header = bytes.get(at..at + FRAME_HEADER_BYTES)?;
    let length: [u8; 4] = header[4..8].try_into().ok()?;
    let stored = u32::from_le_bytes(header[8..12].try_into().ok()?);
    let length_bytes = u32::from_le_bytes(length) as usize;
    if header[..4] != FRAME_MAGIC || length_bytes > BATCH_BYTES_MAX {
        return None;
    }
    let start = at + FRAME_HEADER_BYTES;
    let payload = bytes.get(start..start + length_bytes)?;
    (checksum(&length, payload) == stored).then_some((payload, start + length_bytes))
}

fn checksum(length: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(length);
    hasher.update(payload);
    hasher.finalize()
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{AppliedRecord, Body, ConnectorKey, Incarnation, RequestId, TagRecord};
    use crate::cluster::{Digest, State};

    fn request(id: u64) -> Request {
        Request {
            id: RequestId(format!("r{id}")),
            from: Incarnation("w".to_owned()),
            body: Body::DeleteConnector { connector: ConnectorKey::plain("c") },
        }
    }

    fn tag(name: u64, digest: Option<&str>) -> Write {
        let value = digest.map(|digest| Value::Tag(TagRecord { digest: Digest(digest.to_owned()) }));
        Write { key: Key::Tag(format!("p{name}@1")), value }
    }

    fn batch(number: u64) -> (Vec<Request>, Vec<Write>) {
        let applied = Value::Applied(AppliedRecord { offset: number });
        let mut writes =
            vec![Write { key: Key::Applied, value: Some(applied) }, tag(number % 5, Some(&number.to_string()))];
        if number.is_multiple_of(3) {
            writes.push(tag((number + 1) % 5, None));
        }
        (vec![request(number)], writes)
    }

    fn fold(journal: &Journal) -> State {
        let mut state = State::default();
        journal.state().unwrap().into_iter().for_each(|write| state.apply(write));
        state
    }

    /// A journal of some batches, and its length and fold after each.
    fn written(dir: &Path, batches: u64) -> Vec<(u64, State)> {
        let mut journal = Journal::open(dir).unwrap();
        let mut steps = vec![(0, State::default()), (journal.len_bytes(), fold(&journal))];
        for number in 0..batches {
            let (requests, writes) = batch(number);
            journal.append(&requests, &writes).unwrap();
            steps.push((journal.len_bytes(), fold(&journal)));
        }
        steps
    }

    #[test]
    fn a_file_cut_at_any_byte_holds_every_whole_batch_and_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let steps = written(dir.path(), 3);
        let bytes = fs::read(dir.path().join(FILE_NAME)).unwrap();
        for cut in 0..=bytes.len() {
            let copy = tempfile::tempdir().unwrap();
            fs::write(copy.path().join(FILE_NAME), &bytes[..cut]).unwrap();
            let mut journal = Journal::open(copy.path()).unwrap();
            let (_, expected) = steps.iter().rfind(|(len, _)| *len <= cut as u64).unwrap();
            assert_eq!(fold(&journal), *expected, "cut at {cut}");

            let next = journal.next_request();
            assert_eq!(next, expected.applied.map_or(0, |applied| applied + 1), "cut at {cut}");
            if cut % 7 != 0 {
                continue;
            }
            let (requests, writes) = batch(next);
            journal.append(&requests, &writes).unwrap();
            let expected = fold(&journal);
            drop(journal);
            assert_eq!(fold(&Journal::open(copy.path()).unwrap()), expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_damaged_byte_costs_the_last_batch_or_is_refused_but_never_gives_a_wrong_state() {
        let dir = tempfile::tempdir().unwrap();
        let steps = written(dir.path(), 3);
        let bytes = fs::read(dir.path().join(FILE_NAME)).unwrap();
        let last_starts = steps[steps.len() - 2].0 as usize;
        for at in 0..bytes.len() {
            let copy = tempfile::tempdir().unwrap();
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x41;
            fs::write(copy.path().join(FILE_NAME), &damaged).unwrap();
            match Journal::open(copy.path()) {
                Ok(journal) => {
                    assert!(at >= last_starts, "damage at {at} was accepted");
                    assert_eq!(fold(&journal), steps[steps.len() - 2].1, "damage at {at}");
                }
                Err(JournalError::Foreign { .. }) => assert!(at < FILE_MAGIC.len(), "damage at {at}"),
                Err(JournalError::Damaged { .. }) => {
                    assert!((FILE_MAGIC.len()..last_starts).contains(&at), "damage at {at}")
                }
                Err(other) => panic!("damage at {at}: {other}"),
            }
            if at < last_starts {
                assert_eq!(fs::read(copy.path().join(FILE_NAME)).unwrap(), damaged, "a refused file stays as it is");
            }
        }
    }

    #[test]
    fn the_file_stays_near_what_is_live_and_keeps_counting_requests() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open_with(dir.path(), 2_000).unwrap();
        for number in 0..150 {
            let (requests, writes) = batch(number);
            journal.append(&requests, &writes).unwrap();
            assert!(journal.len_bytes() < 4_000, "{} bytes", journal.len_bytes());
        }
        let expected = fold(&journal);
        drop(journal);
        let journal = Journal::open(dir.path()).unwrap();
        assert_eq!(fold(&journal), expected);
        assert_eq!(journal.next_request(), 150);
        assert_eq!(fs::metadata(dir.path().join(FILE_NAME)).unwrap().len(), journal.len_bytes());
    }

    #[test]
    fn a_crash_while_compacting_leaves_the_old_file_in_force() {
        let dir = tempfile::tempdir().unwrap();
        let steps = written(dir.path(), 3);
        fs::write(dir.path().join(NEW_FILE_NAME), b"half").unwrap();
        assert_eq!(fold(&Journal::open(dir.path()).unwrap()), steps.last().unwrap().1);
        assert!(!dir.path().join(NEW_FILE_NAME).exists());
    }

    #[test]
    fn a_file_of_another_program_is_refused_untouched() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE_NAME), b"hello, world").unwrap();
        assert!(matches!(Journal::open(dir.path()), Err(JournalError::Foreign { .. })));
        assert_eq!(fs::read(dir.path().join(FILE_NAME)).unwrap(), b"hello, world");
    }

    #[test]
    fn a_refused_append_leaves_what_was_there_and_the_next_one_works() {
        let dir = tempfile::tempdir().unwrap();
        let steps = written(dir.path(), 2);
        let mut journal = Journal::open(dir.path()).unwrap();
        journal.file = File::open(dir.path().join(FILE_NAME)).unwrap(); // may only be read
        let (requests, writes) = batch(2);
        assert!(matches!(journal.append(&requests, &writes), Err(JournalError::Io { action: "appending", .. })));
        assert_eq!(fold(&journal), steps.last().unwrap().1);
        assert_eq!(journal.next_request(), 2);

        journal.append(&requests, &writes).unwrap();
        let expected = fold(&journal);
        assert_eq!(journal.next_request(), 3);
        drop(journal);
        assert_eq!(fold(&Journal::open(dir.path()).unwrap()), expected);
    }
}
