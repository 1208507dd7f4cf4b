//! Where committed source offsets are kept: Connect's offsets topic, or a file in standalone mode.
//!
//! Keys and values are Connect's (`["connector",{partition}]` → `{offset}`), so that either program resumes what the
//! other committed. One store serves all source tasks of a worker; a key is identified by its exact bytes.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidegate_engine::{BoxFuture, GuestError, OffsetReader, Retry};
use tidegate_kafka::{CompactedTopic, KafkaError, TableWrite};
use tidegate_record::offset;

/// Why offsets could not be read or written. Trying again is right for all of them: the store stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum OffsetError {
    #[error("the offsets topic cannot be used: {0}")]
    Kafka(#[from] KafkaError),
    #[error("the offsets file \"{path}\" cannot be used: {cause}")]
    File { path: String, cause: std::io::Error },
}

/// A key of the store and its new value; none forgets the key.
pub(crate) type OffsetWrite = (Vec<u8>, Option<Vec<u8>>);

/// The committed source offsets of all connectors of a worker. Clones are the same store.
#[derive(Clone, Debug)]
pub struct OffsetStore(Arc<Mutex<Backend>>);

#[derive(Debug)]
enum Backend {
    Topic(Box<CompactedTopic>),
    File(OffsetFile),
}

impl OffsetStore {
    /// Offsets in a compacted topic.
    pub fn in_topic(topic: CompactedTopic) -> OffsetStore {
        OffsetStore(Arc::new(Mutex::new(Backend::Topic(Box::new(topic)))))
    }

    /// Offsets in a file: one JSON object `{"key":…,"value":…}` a line, rewritten as a whole on each flush.
    pub fn in_file(path: &Path) -> Result<OffsetStore, OffsetError> {
        Ok(OffsetStore(Arc::new(Mutex::new(Backend::File(OffsetFile::open(path)?)))))
    }

    /// The stored values of some keys, after reading to the end of the store. Blocks up to `timeout`.
    pub(crate) fn load(&self, keys: &[Vec<u8>], timeout: Duration) -> Result<Vec<Option<Vec<u8>>>, OffsetError> {
        match &mut *self.lock() {
            Backend::Topic(topic) => {
                topic.read_to_end(timeout, |_, _| {})?;
                Ok(keys.iter().map(|key| topic.get(key).map(<[u8]>::to_vec)).collect())
            }
            Backend::File(file) => Ok(keys.iter().map(|key| file.entries.get(key).cloned()).collect()),
        }
    }

    /// Makes offsets durable. Blocks up to `timeout`; after an error any of them may have been written, and writing them
    /// again is harmless.
    pub(crate) fn store(&self, writes: &[OffsetWrite], timeout: Duration) -> Result<(), OffsetError> {
        match &mut *self.lock() {
            Backend::Topic(topic) => {
                let writes: Vec<TableWrite<'_>> =
                    writes.iter().map(|(key, value)| (key.as_slice(), value.as_deref())).collect();
                Ok(topic.put_batch(&writes, timeout)?)
            }
            Backend::File(file) => file.store(writes),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Backend> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct OffsetFile {
    path: PathBuf,
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl OffsetFile {
    fn open(path: &Path) -> Result<OffsetFile, OffsetError> {
        let failed = |cause| OffsetError::File { path: path.display().to_string(), cause };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(failed(error)),
        };
        let mut entries = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let (key, value) = parse_line(line).ok_or_else(|| {
                failed(std::io::Error::other(format!(
                    "line {number} is not of the form {{\"key\":[…],\"value\":{{…}}}}; \
                     a file of Kafka Connect's standalone mode is Java-serialised and cannot be read"
                )))
            })?;
            entries.insert(key, value);
        }
        Ok(OffsetFile { path: path.to_owned(), entries })
    }

    fn store(&mut self, writes: &[OffsetWrite]) -> Result<(), OffsetError> {
        let mut entries = self.entries.clone();
        for (key, value) in writes {
            match value {
                Some(value) => drop(entries.insert(key.clone(), value.clone())),
                None => drop(entries.remove(key)),
            }
        }
        self.write(&entries).map_err(|cause| OffsetError::File { path: self.path.display().to_string(), cause })?;
        self.entries = entries;
        Ok(())
    }

    /// A crash leaves the old file or the new one, never half of either.
    fn write(&self, entries: &BTreeMap<Vec<u8>, Vec<u8>>) -> std::io::Result<()> {
        let part = self.path.with_extension("part");
        let mut file = std::io::BufWriter::new(std::fs::File::create(&part)?);
        for (key, value) in entries {
            file.write_all(b"{\"key\":")?;
            file.write_all(key)?;
            file.write_all(b",\"value\":")?;
            file.write_all(value)?;
            file.write_all(b"}\n")?;
        }
        file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(&part, &self.path)
    }
}

/// Key and value with their bytes as they stand in the line.
fn parse_line(line: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let entry: BTreeMap<&str, &serde_json::value::RawValue> = serde_json::from_str(line).ok()?;
    let raw = |member: &str| entry.get(member).map(|raw| raw.get().as_bytes().to_vec());
    Some((raw("key")?, raw("value")?))
}

/// How long a guest's `offsets.load` may wait for the store.
const LOAD_TIMEOUT: Duration = Duration::from_secs(20);

/// One connector's view of the store, for its guests.
#[derive(Clone, Debug)]
pub(crate) struct ConnectorOffsets {
    pub(crate) connector: String,
    pub(crate) store: OffsetStore,
}

impl ConnectorOffsets {
    /// The store's key of one of the connector's source partitions.
    pub(crate) fn key(&self, partition: &str) -> Vec<u8> {
        offset::offset_key(&self.connector, partition)
    }
}

impl OffsetReader for ConnectorOffsets {
    fn load<'a>(&'a self, partitions: Vec<String>) -> BoxFuture<'a, Result<Vec<Option<String>>, GuestError>> {
        let keys: Vec<_> = partitions.iter().map(|partition| self.key(partition)).collect();
        let store = self.store.clone();
        Box::pin(async move {
            let loaded = tokio::task::spawn_blocking(move || store.load(&keys, LOAD_TIMEOUT))
                .await
                .map_err(|_| GuestError::Fatal("reading offsets crashed, see the worker's log".to_owned()))?;
            let retry = |error: OffsetError| GuestError::Retriable(Retry { message: error.to_string(), after_ms: 0 });
            loaded
                .map_err(retry)?
                .into_iter()
                .map(|value| {
                    value.map(String::from_utf8).transpose().map_err(|_| {
                        GuestError::Fatal(format!(
                            "a stored offset of connector \"{}\" is not JSON text; reset its offsets",
                            self.connector
                        ))
                    })
                })
                .collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_file_gives_back_what_was_stored_in_an_earlier_life() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("connect.offsets");
        let key = br#"["lines",{"filename":"a b.txt"}]"#.to_vec();
        let store = OffsetStore::in_file(&path).unwrap();
        store.store(&[(key.clone(), Some(br#"{"position":7}"#.to_vec()))], SECOND).unwrap();
        store.store(&[(b"[\"gone\",{}]".to_vec(), Some(b"{}".to_vec()))], SECOND).unwrap();
        store.store(&[(b"[\"gone\",{}]".to_vec(), None)], SECOND).unwrap();

        let again = OffsetStore::in_file(&path).unwrap();
        let loaded = again.load(&[key, b"[\"gone\",{}]".to_vec()], SECOND).unwrap();
        assert_eq!(loaded, vec![Some(br#"{"position":7}"#.to_vec()), None]);
    }

    #[test]
    fn a_file_of_another_kind_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("connect.offsets");
        std::fs::write(&path, "rO0ABXNyABFq\n").unwrap();
        let error = OffsetStore::in_file(&path).unwrap_err().to_string();
        assert!(error.contains("line 1"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "rO0ABXNyABFq\n");
    }
}
