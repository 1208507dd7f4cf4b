//! Where committed source offsets are kept: Connect's offsets topic, or a file in standalone mode.
//!
//! Keys and values are Connect's (`["connector",{partition}]` → `{offset}`), so that either program resumes what the
//! other committed. One store serves all source tasks of a worker; a key is identified by its exact bytes.

mod java_map;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tidegate_engine::{BoxFuture, GuestError, OffsetReader, Retry};
use tidegate_kafka::{CompactedTopic, KafkaError, TableWrite};
use tidegate_record::offset::{self, Committable};

/// Why offsets could not be read or written. Trying again is right for all of them: the store stays as it was.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OffsetError {
    #[error("the offsets topic cannot be used: {0}")]
    Kafka(#[from] KafkaError),
    #[error("the offsets file \"{path}\" cannot be used: {cause}")]
    File { path: String, cause: Arc<std::io::Error> },
    #[error("the thread of the offset store cannot be started: {0}")]
    Thread(Arc<std::io::Error>),
    #[error("a transaction in the offsets topic stays open, and may hide offsets that are committed")]
    TransactionOpen,
    #[error("the offset store did not answer in time")]
    TimedOut,
}

/// A key of the store and its new value; none forgets the key.
pub(crate) type OffsetWrite = (Vec<u8>, Option<Vec<u8>>);

/// A key of the store and its value.
type Entry = (Vec<u8>, Vec<u8>);

/// The committed source offsets of all connectors of a worker. Clones are the same store.
///
/// One thread has the topic or the file. What the tasks ask of it meanwhile is done together: however many wait for a Kafka
/// that is gone, each waits its own time and no other's.
#[derive(Clone, Debug)]
pub struct OffsetStore(Arc<Keeper>);

/// A store that is closed when nobody else has it.
#[derive(Debug)]
pub(crate) struct WeakStore(Weak<Keeper>);

impl WeakStore {
    pub(crate) fn upgrade(&self) -> Option<OffsetStore> {
        self.0.upgrade().map(OffsetStore)
    }
}

/// The way to the thread.
#[derive(Debug)]
struct Keeper {
    /// None only while this is dropped.
    requests: Option<Sender<Request>>,
    /// Hears the thread end.
    ended: Mutex<Receiver<()>>,
}

#[derive(Debug)]
enum Backend {
    Topic(Box<CompactedTopic>),
    File(OffsetFile),
}

#[derive(Debug)]
enum Request {
    Load(Asked<Wish, Loaded>),
    /// Everything whose key begins so.
    List(Asked<Vec<u8>, Vec<Entry>>),
    Store(Asked<Vec<OffsetWrite>, ()>),
}

/// Keys whose values are asked for.
#[derive(Clone, Debug)]
struct Wish {
    keys: Vec<Vec<u8>>,
    depth: Depth,
}

/// How far the store must have been read.
#[derive(Clone, Debug)]
enum Depth {
    /// Up to the first transaction that is open.
    Committed,
    /// Up to where the log ends now.
    Settled,
    /// Up to here.
    To(Vec<i64>),
}

#[derive(Clone, Debug)]
enum Loaded {
    Values(Vec<Option<Vec<u8>>>),
    /// A transaction is open before this end of the log.
    Open(Vec<i64>),
}

/// A caller's wish, and how long it waits.
#[derive(Debug)]
struct Asked<W, A> {
    wish: W,
    until: Instant,
    reply: SyncSender<Result<A, OffsetError>>,
}

impl<W, A> Asked<W, A> {
    /// The caller is gone if it has waited long enough.
    fn answer(&self, answer: Result<A, OffsetError>) {
        let _ = self.reply.send(answer);
    }
}

/// How long to wait before looking again whether a transaction has ended: a few milliseconds is what they take.
const OPEN_PAUSE: Duration = Duration::from_millis(5);

/// How long a caller waits beyond its time for the reason why nothing came in time.
const REASON_GRACE: Duration = Duration::from_millis(250);

/// How long the end of a worker waits for the thread, which closes the clients of the topic.
const END_GRACE: Duration = Duration::from_secs(1);

impl OffsetStore {
    /// Offsets in a compacted topic.
    pub fn in_topic(topic: CompactedTopic) -> Result<OffsetStore, OffsetError> {
        OffsetStore::over(Backend::Topic(Box::new(topic)))
    }

    /// Offsets in a file: one JSON object `{"key":…,"value":…}` a line, rewritten as a whole on each flush.
    pub fn in_file(path: &Path) -> Result<OffsetStore, OffsetError> {
        OffsetStore::over(Backend::File(OffsetFile::open(path)?))
    }

    fn over(mut backend: Backend) -> Result<OffsetStore, OffsetError> {
        let (requests, received) = mpsc::channel::<Request>();
        let (end, ended) = mpsc::channel();
        std::thread::Builder::new()
            .name("offsets".to_owned())
            .spawn(move || {
                while let Ok(first) = received.recv() {
                    backend.serve(std::iter::once(first).chain(received.try_iter()));
                }
                drop(backend);
                drop(end);
            })
            .map_err(|error| OffsetError::Thread(Arc::new(error)))?;
        Ok(OffsetStore(Arc::new(Keeper { requests: Some(requests), ended: Mutex::new(ended) })))
    }

    pub(crate) fn downgrade(&self) -> WeakStore {
        WeakStore(Arc::downgrade(&self.0))
    }

    /// The stored values of some keys, after reading to the end of the store. Blocks up to `timeout`.
    pub(crate) fn load(&self, keys: &[Vec<u8>], timeout: Duration) -> Result<Vec<Option<Vec<u8>>>, OffsetError> {
        self.load_deep(keys, Depth::Committed, timeout)
    }

    /// As [`OffsetStore::load`], once the outcome of every transaction is known that was open when this was called: one of
    /// them may hide others, which are committed, from readers.
    pub(crate) fn load_settled(
        &self,
        keys: &[Vec<u8>],
        timeout: Duration,
    ) -> Result<Vec<Option<Vec<u8>>>, OffsetError> {
        self.load_deep(keys, Depth::Settled, timeout)
    }

    fn load_deep(
        &self,
        keys: &[Vec<u8>],
        mut depth: Depth,
        timeout: Duration,
    ) -> Result<Vec<Option<Vec<u8>>>, OffsetError> {
        let until = Instant::now() + timeout;
        loop {
            let wish = Wish { keys: keys.to_vec(), depth };
            match self.ask(wish, until.saturating_duration_since(Instant::now()), Request::Load)? {
                Loaded::Values(values) => return Ok(values),
                Loaded::Open(_) if Instant::now() >= until => return Err(OffsetError::TransactionOpen),
                Loaded::Open(end) => depth = Depth::To(end),
            }
            // Here and not in the store's thread, so that others are served meanwhile.
            std::thread::sleep(OPEN_PAUSE);
        }
    }

    /// Everything whose key begins with `prefix`, in the order of the keys. Blocks up to `timeout`.
    fn list(&self, prefix: Vec<u8>, timeout: Duration) -> Result<Vec<Entry>, OffsetError> {
        self.ask(prefix, timeout, Request::List)
    }

    /// Makes offsets durable. Blocks up to `timeout`; after an error any of them may have been written, and writing them
    /// again is harmless.
    pub(crate) fn store(&self, writes: &[OffsetWrite], timeout: Duration) -> Result<(), OffsetError> {
        self.ask(writes.to_vec(), timeout, Request::Store)
    }

    fn ask<W, A>(
        &self,
        wish: W,
        timeout: Duration,
        request: impl FnOnce(Asked<W, A>) -> Request,
    ) -> Result<A, OffsetError> {
        let (reply, answer) = mpsc::sync_channel(1);
        let until = Instant::now() + timeout;
        let sent = self.0.requests.as_ref().map(|requests| requests.send(request(Asked { wish, until, reply })));
        match sent {
            Some(Ok(())) => answer.recv_timeout(timeout + REASON_GRACE).unwrap_or(Err(OffsetError::TimedOut)),
            // Only after a panic, which the log has.
            _ => Err(OffsetError::TimedOut),
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.requests = None;
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Nothing is ever sent: this is the end, or the end of patience.
        let _ = ended.recv_timeout(END_GRACE);
    }
}

impl Backend {
    /// Does everything that is asked for now: first what is to be written, so that who reads finds it.
    fn serve(&mut self, requests: impl Iterator<Item = Request>) {
        let (mut loads, mut lists, mut stores) = (Vec::new(), Vec::new(), Vec::new());
        for request in requests {
            match request {
                Request::Load(load) => loads.push(load),
                Request::List(list) => lists.push(list),
                Request::Store(store) => stores.push(store),
            }
        }
        let now = Instant::now();
        stores.retain(|store| store.until > now);
        let written = match stores.iter().map(|store| store.until).max() {
            None => Ok(()),
            Some(until) => self.store(stores.iter().flat_map(|store| &store.wish), until),
        };
        match written {
            // What will never be written must fail its own task alone.
            Err(OffsetError::Kafka(error)) if !error.is_retriable() && stores.len() > 1 => {
                for store in stores {
                    store.answer(self.store(store.wish.iter(), store.until));
                }
            }
            written => stores.iter().for_each(|store| store.answer(written.clone())),
        }

        let now = Instant::now();
        loads.retain(|load| load.until > now);
        lists.retain(|list| list.until > now);
        let waiting = loads.iter().map(|load| load.until).chain(lists.iter().map(|list| list.until));
        let Some(until) = waiting.max() else { return };
        let asks = |wish: &Wish| matches!(wish.depth, Depth::Settled);
        let ends = if loads.iter().any(|load| asks(&load.wish)) { self.log_ends(until) } else { Ok(Vec::new()) };
        let read = ends.and_then(|ends| self.read(until).map(|()| ends));
        for load in loads {
            let answer = match (&read, &load.wish.depth) {
                (Err(error), _) => Err(error.clone()),
                (Ok(_), Depth::To(end)) if !self.has_read(end) => Ok(Loaded::Open(end.clone())),
                (Ok(end), Depth::Settled) if !self.has_read(end) => Ok(Loaded::Open(end.clone())),
                (Ok(_), _) => {
                    let values = load.wish.keys.iter().map(|key| self.get(key).map(<[u8]>::to_vec));
                    Ok(Loaded::Values(values.collect()))
                }
            };
            load.answer(answer);
        }
        for list in lists {
            let mut entries: Vec<Entry> = Vec::new();
            self.each(|key, value| {
                if key.starts_with(&list.wish) {
                    entries.push((key.to_vec(), value.to_vec()));
                }
            });
            entries.sort_unstable();
            list.answer(read.clone().map(|_| entries));
        }
    }

    /// By partition, where the log of the store ends.
    fn log_ends(&mut self, until: Instant) -> Result<Vec<i64>, OffsetError> {
        match self {
            Backend::Topic(topic) => Ok(topic.log_ends(until.saturating_duration_since(Instant::now()))?),
            Backend::File(_) => Ok(Vec::new()),
        }
    }

    fn has_read(&self, ends: &[i64]) -> bool {
        match self {
            Backend::Topic(topic) => topic.has_read(ends),
            Backend::File(_) => true,
        }
    }

    fn store<'w>(&mut self, writes: impl Iterator<Item = &'w OffsetWrite>, until: Instant) -> Result<(), OffsetError> {
        match self {
            Backend::Topic(topic) => {
                let writes: Vec<TableWrite<'_>> =
                    writes.map(|(key, value)| (key.as_slice(), value.as_deref())).collect();
                Ok(topic.put_batch(&writes, until.saturating_duration_since(Instant::now()))?)
            }
            Backend::File(file) => file.store(writes),
        }
    }

    /// Reads to the end of the store.
    fn read(&mut self, until: Instant) -> Result<(), OffsetError> {
        match self {
            Backend::Topic(topic) => Ok(topic.read_to_end(until.saturating_duration_since(Instant::now()), |_, _| {})?),
            Backend::File(_) => Ok(()),
        }
    }

    fn each(&self, mut see: impl FnMut(&[u8], &[u8])) {
        match self {
            Backend::Topic(topic) => topic.iter().for_each(|(key, value)| see(key, value)),
            Backend::File(file) => file.entries.iter().for_each(|(key, value)| see(key, value)),
        }
    }

    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        match self {
            Backend::Topic(topic) => topic.get(key),
            Backend::File(file) => file.entries.get(key).map(Vec::as_slice),
        }
    }
}

#[derive(Debug)]
struct OffsetFile {
    path: PathBuf,
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl OffsetFile {
    fn open(path: &Path) -> Result<OffsetFile, OffsetError> {
        let failed = |cause| OffsetError::File { path: path.display().to_string(), cause: Arc::new(cause) };
        let refused = |reason: String| failed(std::io::Error::other(reason));
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed(error)),
        };
        if bytes.starts_with(&java_map::MAGIC) {
            let entries = connects_entries(&bytes).map_err(refused)?;
            let file = OffsetFile { path: path.to_owned(), entries };
            file.replace_connects().map_err(failed)?;
            return Ok(file);
        }
        let text = String::from_utf8(bytes).map_err(|error| refused(error.to_string()))?;
        let mut entries = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let (key, value) = parse_line(line).ok_or_else(|| {
                refused(format!(
                    "line {number} is not of the form {{\"key\":[…],\"value\":{{…}}}}, and it is no file of Kafka Connect's \
                     standalone mode either"
                ))
            })?;
            entries.insert(key, value);
        }
        Ok(OffsetFile { path: path.to_owned(), entries })
    }

    /// Puts our form in the place of Connect's, which is kept beside it.
    fn replace_connects(&self) -> std::io::Result<()> {
        let mut kept = self.path.clone().into_os_string();
        kept.push(".connect");
        std::fs::copy(&self.path, &kept)?;
        std::fs::File::open(&kept)?.sync_all()?;
        self.write(&self.entries)?;
        let (path, entries) = (self.path.display(), self.entries.len());
        tracing::info!(%path, kept = %Path::new(&kept).display(), entries, "Kafka Connect's offsets file was taken over");
        Ok(())
    }

    fn store<'w>(&mut self, writes: impl Iterator<Item = &'w OffsetWrite>) -> Result<(), OffsetError> {
        let mut entries = self.entries.clone();
        for (key, value) in writes {
            match value {
                Some(value) => drop(entries.insert(key.clone(), value.clone())),
                None => drop(entries.remove(key)),
            }
        }
        self.write(&entries)
            .map_err(|cause| OffsetError::File { path: self.path.display().to_string(), cause: Arc::new(cause) })?;
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

/// What a file of Connect's standalone mode has; partitions that were reset are left out.
fn connects_entries(bytes: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, String> {
    let map = java_map::read(bytes).map_err(|reason| {
        format!("it is Java-serialised, but not as Kafka Connect's standalone mode does it: {reason}")
    })?;
    let is_line =
        |bytes: &[u8]| !bytes.contains(&b'\n') && serde_json::from_slice::<&serde_json::value::RawValue>(bytes).is_ok();
    let stored = map.into_iter().filter_map(|(key, value)| Some((key, value?)));
    let entries: BTreeMap<Vec<u8>, Vec<u8>> = stored.collect();
    match entries.iter().find(|(key, value)| !is_line(key) || !is_line(value)) {
        None => Ok(entries),
        Some((key, _)) => Err(format!("the entry {} is not JSON in one line", String::from_utf8_lossy(key))),
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

/// One connector's view of the store, for its guests, its tasks and its operators.
#[derive(Clone, Debug)]
pub(crate) struct ConnectorOffsets {
    pub(crate) connector: String,
    /// The worker's.
    pub(crate) store: OffsetStore,
    /// The connector's own, which counts where both know a partition. The worker's then only shows the same.
    pub(crate) own: Option<OwnOffsets>,
    /// Whether others write to the store in transactions: then what they have open is waited for.
    pub(crate) is_transactional: bool,
}

/// Offsets in a topic of the connector's own.
#[derive(Clone, Debug)]
pub(crate) struct OwnOffsets {
    pub(crate) topic: String,
    pub(crate) store: OffsetStore,
}

/// How long reading on to the end of the store may take when a task starts. A transaction that another task left open in
/// the topic is in the way until that task has started too, or Kafka's time-out (a minute) is over.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(75);

/// One source partition in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) key: Vec<u8>,
    /// A JSON object; the exact text in the key.
    pub(crate) partition: String,
    /// None: no JSON object, which no source can have written.
    pub(crate) offset: Option<String>,
}

impl ConnectorOffsets {
    /// Reads on to the end of the store, so that what is asked next is answered soon. Blocks.
    pub(crate) fn catch_up(&self) -> Result<(), OffsetError> {
        self.load_keys(&[], CATCH_UP_TIMEOUT).map(drop)
    }

    /// Makes offsets durable. Blocks up to `timeout`.
    pub(crate) fn commit(&self, offsets: &[Committable], timeout: Duration) -> Result<(), OffsetError> {
        let writes = self.writes(offsets);
        let Some(own) = &self.own else { return self.store.store(&writes, timeout) };
        own.store.store(&writes, timeout)?;
        if let Err(error) = self.store.store(&writes, timeout) {
            tracing::warn!(connector = self.connector, "the worker's offsets do not show the newest: {error}");
        }
        Ok(())
    }

    /// Shows in the worker's store what the connector's own has. Blocks up to `timeout`.
    pub(crate) fn show(&self, offsets: &[Committable], timeout: Duration) -> Result<(), OffsetError> {
        self.store.store(&self.writes(offsets), timeout)
    }

    fn writes(&self, offsets: &[Committable]) -> Vec<OffsetWrite> {
        offsets.iter().map(|at| (self.key(&at.partition), Some(at.offset.clone().into_bytes()))).collect()
    }

    /// The committed values of some keys. Blocks up to about `timeout`.
    pub(crate) fn load_keys(&self, keys: &[Vec<u8>], timeout: Duration) -> Result<Vec<Option<Vec<u8>>>, OffsetError> {
        let load = |store: &OffsetStore| match self.is_transactional {
            true => store.load_settled(keys, timeout),
            false => store.load(keys, timeout),
        };
        let worker = load(&self.store)?;
        let Some(own) = &self.own else { return Ok(worker) };
        let own = load(&own.store)?;
        Ok(own.into_iter().zip(worker).map(|(own, worker)| own.or(worker)).collect())
    }

    /// The store's key of one of the connector's source partitions.
    pub(crate) fn key(&self, partition: &str) -> Vec<u8> {
        offset::offset_key(&self.connector, partition)
    }

    /// All of the connector's source partitions. Blocks up to `timeout`.
    pub(crate) fn list(&self, timeout: Duration) -> Result<Vec<Stored>, OffsetError> {
        let mut prefix = self.key("");
        // The bracket that ends a key.
        prefix.pop();
        let stored = |(key, value): Entry| {
            // What is no key of Connect's is nobody's partition.
            let (_, partition) = offset::parse_offset_key(&key).ok()?;
            let offset = String::from_utf8(value)
                .ok()
                .filter(|text| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).is_ok());
            Some(Stored { key, partition, offset })
        };
        let mut entries: BTreeMap<Vec<u8>, Vec<u8>> = self.store.list(prefix.clone(), timeout)?.into_iter().collect();
        if let Some(own) = &self.own {
            entries.extend(own.store.list(prefix, timeout)?);
        }
        Ok(entries.into_iter().filter_map(stored).collect())
    }

    /// Makes durable what an operator wants. Blocks up to `timeout` for each store.
    ///
    /// What is forgotten goes from the worker's store first: it would come back from there once the connector's own lacks it.
    pub(crate) fn alter(&self, writes: &[OffsetWrite], timeout: Duration) -> Result<(), OffsetError> {
        let Some(own) = &self.own else { return self.store.store(writes, timeout) };
        let (kept, forgotten): (Vec<_>, Vec<_>) = writes.iter().cloned().partition(|(_, value)| value.is_some());
        if !forgotten.is_empty() {
            self.store.store(&forgotten, timeout)?;
        }
        own.store.store(writes, timeout)?;
        if !kept.is_empty()
            && let Err(error) = self.store.store(&kept, timeout)
        {
            tracing::warn!(connector = self.connector, "the worker's offsets do not show the newest: {error}");
        }
        Ok(())
    }
}

impl OffsetReader for ConnectorOffsets {
    fn load<'a>(&'a self, partitions: Vec<String>) -> BoxFuture<'a, Result<Vec<Option<String>>, GuestError>> {
        let keys: Vec<_> = partitions.iter().map(|partition| self.key(partition)).collect();
        let offsets = self.clone();
        Box::pin(async move {
            let loaded = tokio::task::spawn_blocking(move || offsets.load_keys(&keys, LOAD_TIMEOUT))
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
    use tidegate_broker::{Broker, BrokerConfig, RunningBroker};
    use tidegate_kafka::{Admin, ClientSettings, NewTopic};

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

    /// A store in a topic of an embedded broker.
    fn in_topic(broker: &RunningBroker) -> OffsetStore {
        let bootstrap = broker.address().to_string();
        let admin = Admin::open(&ClientSettings::for_control(&bootstrap)).unwrap();
        let topic = NewTopic {
            name: "offsets".to_owned(),
            partitions: Some(1),
            replication_factor: Some(1),
            configs: vec![("cleanup.policy".to_owned(), "compact".to_owned())],
        };
        admin.create_topic(&topic, 20 * SECOND).unwrap();
        let reader = ClientSettings::for_reader(&bootstrap, "offsets-test", 4 << 20);
        let writer = ClientSettings::for_producer(&bootstrap, 4 << 20);
        OffsetStore::in_topic(CompactedTopic::open(&reader, &writer, &topic.name, 20 * SECOND).unwrap()).unwrap()
    }

    fn write(key: &str, value: &str) -> Vec<OffsetWrite> {
        vec![(key.as_bytes().to_vec(), Some(value.as_bytes().to_vec()))]
    }

    /// What many tasks get that call at the same time, and how long all of them took.
    fn at_once<A: Send>(tasks: usize, call: impl Fn(usize) -> A + Sync) -> (Vec<A>, Duration) {
        let begin = Instant::now();
        let answers = std::thread::scope(|scope| {
            let call = &call;
            let calls: Vec<_> = (0..tasks).map(|task| scope.spawn(move || call(task))).collect();
            calls.into_iter().map(|call| call.join().unwrap()).collect()
        });
        (answers, begin.elapsed())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn tasks_do_not_wait_for_each_other_when_kafka_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let broker = Broker::start(BrokerConfig::new(([127, 0, 0, 1], 0).into(), dir.path().to_owned())).unwrap();
        let store = tokio::task::block_in_place(|| in_topic(&broker));
        let (stored, _) = at_once(20, |task| store.store(&write(&format!("k{task}"), "1"), 20 * SECOND));
        assert!(stored.iter().all(Result::is_ok), "{stored:?}");
        let keys: Vec<_> = (0..20).map(|task| format!("k{task}").into_bytes()).collect();
        let loaded = tokio::task::block_in_place(|| store.load(&keys, 20 * SECOND)).unwrap();
        assert!(loaded.iter().all(|value| value.as_deref() == Some(b"1")), "{loaded:?}");

        broker.stop().await;
        let (stored, took) = at_once(20, |task| store.store(&write(&format!("k{task}"), "2"), SECOND));
        assert!(stored.iter().all(Result::is_err), "{stored:?}");
        assert!(took < 10 * SECOND, "one after the other: {took:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_write_that_is_refused_fails_its_own_task_alone() {
        let dir = tempfile::tempdir().unwrap();
        let broker = Broker::start(BrokerConfig::new(([127, 0, 0, 1], 0).into(), dir.path().to_owned())).unwrap();
        let store = tokio::task::block_in_place(|| in_topic(&broker));
        let huge = "x".repeat(3 << 20);
        let (stored, _) = at_once(10, |task| {
            let value = if task == 3 { huge.as_str() } else { "1" };
            store.store(&write(&format!("k{task}"), value), 20 * SECOND)
        });
        let failed: Vec<usize> = (0..10).filter(|task| stored[*task].is_err()).collect();
        assert_eq!(failed, [3], "{stored:?}");
        drop(store);
        broker.stop().await;
    }

    #[test]
    fn a_connectors_partitions_are_listed_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let store = OffsetStore::in_file(&dir.path().join("connect.offsets")).unwrap();
        let of = |connector: &str| ConnectorOffsets {
            connector: connector.to_owned(),
            store: store.clone(),
            own: None,
            is_transactional: false,
        };
        let (lines, quoted) = (of("lines"), of("li\"nes"));
        let value = |text: &str| Some(text.as_bytes().to_vec());
        let writes = [
            (lines.key(r#"{"file":"b"}"#), value(r#"{"position":2}"#)),
            (lines.key(r#"{"file":"a"}"#), value(r#"{"position":1}"#)),
            (lines.key(r#"{"file":"c"}"#), value("7")),
            (quoted.key("{}"), value("{}")),
            (of("lines2").key("{}"), value("{}")),
        ];
        store.store(&writes, SECOND).unwrap();
        let listed = |of: &ConnectorOffsets| -> Vec<String> {
            let stored = of.list(SECOND).unwrap().into_iter();
            stored.map(|at| format!("{} {}", at.partition, at.offset.unwrap_or_default())).collect()
        };
        assert_eq!(
            listed(&lines),
            [r#"{"file":"a"} {"position":1}"#, r#"{"file":"b"} {"position":2}"#, r#"{"file":"c"} "#]
        );
        assert_eq!(listed(&quoted), ["{} {}"]);
    }

    #[test]
    fn a_store_of_the_connectors_own_counts_more_and_what_is_forgotten_is_gone_from_both() {
        let dir = tempfile::tempdir().unwrap();
        let open = |name: &str| OffsetStore::in_file(&dir.path().join(name)).unwrap();
        let own = OwnOffsets { topic: "own".to_owned(), store: open("own") };
        let offsets = ConnectorOffsets {
            connector: "c".to_owned(),
            store: open("workers"),
            own: Some(own.clone()),
            is_transactional: false,
        };
        let write =
            |partition: &str, value: Option<&str>| (offsets.key(partition), value.map(|text| text.as_bytes().to_vec()));
        let a_and_b = [write(r#"{"p":"a"}"#, Some(r#"{"n":1}"#)), write(r#"{"p":"b"}"#, Some(r#"{"n":1}"#))];
        offsets.store.store(&a_and_b, SECOND).unwrap();
        own.store.store(&[write(r#"{"p":"b"}"#, Some(r#"{"n":2}"#))], SECOND).unwrap();
        let listed = || -> Vec<String> {
            let stored = offsets.list(SECOND).unwrap().into_iter();
            stored.map(|at| format!("{} {}", at.partition, at.offset.unwrap_or_default())).collect()
        };
        assert_eq!(listed(), [r#"{"p":"a"} {"n":1}"#, r#"{"p":"b"} {"n":2}"#]);

        let changes = [write(r#"{"p":"b"}"#, None), write(r#"{"p":"a"}"#, Some(r#"{"n":7}"#))];
        offsets.alter(&changes, SECOND).unwrap();
        assert_eq!(listed(), [r#"{"p":"a"} {"n":7}"#]);
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

    #[test]
    fn the_file_of_connects_standalone_mode_is_taken_over_and_kept() {
        let connects = include_bytes!("offsets/connect.offsets");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("connect.offsets");
        std::fs::write(&path, connects).unwrap();
        for _ in 0..2 {
            let store = OffsetStore::in_file(&path).unwrap();
            let key = "[\"umlaut\",{\"filename\":\"größe.txt\"}]".as_bytes().to_vec();
            let gone = b"[\"gone\",{\"filename\":\"third.txt\"}]".to_vec();
            let loaded = store.load(&[key, gone], SECOND).unwrap();
            assert_eq!(loaded, [Some(b"{\"position\":391}".to_vec()), None]);
        }
        assert_eq!(std::fs::read(dir.path().join("connect.offsets.connect")).unwrap(), connects);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2, "in our form now");

        std::fs::write(&path, &connects[..100]).unwrap();
        let error = OffsetStore::in_file(&path).unwrap_err().to_string();
        assert!(error.contains("the length of an array is missing at byte 100"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), connects[..100], "left alone");
    }
}
