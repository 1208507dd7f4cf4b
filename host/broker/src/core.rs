//! The state that all connections share, and the operations that touch more than one part of it.
//!
//! Locks are taken in this order, and none is held across an `.await`: one transaction, the map of topics, one log, the
//! journal. Whatever a client is told was written to the journal or a log before.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use kafka_protocol::ResponseError as Error;
use tokio::sync::Semaphore;
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::clock::wall_ms;
use crate::coordinator::Coordinator;
use crate::faults::Faults;
use crate::journal::{Change, Journal, Offsets, TopicMeta};
use crate::topic_config;
use crate::topics::{Topic, Topics};
use crate::transaction::{End, Transaction};
use crate::{BrokerConfig, lock};

/// The one node of this cluster.
pub(crate) const NODE_ID: i32 = 1;
/// Producer ids are reserved in the journal in blocks of this many.
const PRODUCER_ID_BLOCK: i64 = 1_000;
/// Transactional ids known at the same time.
const TRANSACTIONS_MAX: usize = 50_000;
/// Transactional ids that did nothing for so long are forgotten (`transactional.id.expiration.ms`).
const TRANSACTION_IDLE_MS_MAX: i64 = 7 * 24 * 3_600 * 1_000;
/// Groups with committed offsets.
const OFFSET_GROUPS_MAX: usize = 10_000;
/// The longest metadata of a committed offset (`offset.metadata.max.bytes`).
const OFFSET_METADATA_BYTES_MAX: usize = 4_096;

/// An error for a client: Kafka's code and a text where the response has room for one.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) error: Error,
    pub(crate) message: String,
}

impl Refused {
    pub(crate) fn new(error: Error, message: impl Into<String>) -> Refused {
        Refused { error, message: message.into() }
    }
}

/// A failed write is logged here and is a storage error for the client.
impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Refused {
        error!(%error, "cannot write to the data directory");
        Refused::new(Error::KafkaStorageError, format!("cannot write to the data directory: {error}"))
    }
}

pub(crate) struct Core {
    pub(crate) config: BrokerConfig,
    pub(crate) address: SocketAddr,
    pub(crate) cluster_id: String,
    pub(crate) coordinator: Coordinator,
    pub(crate) faults: Faults,
    /// Bytes that requests and responses in memory may take together.
    pub(crate) request_memory: Arc<Semaphore>,
    pub(crate) response_memory: Arc<Semaphore>,
    topics: RwLock<Topics>,
    topics_dir: PathBuf,
    journal: Mutex<Journal>,
    transactions: Mutex<HashMap<String, Arc<Mutex<Transaction>>>>,
    /// The next producer id and the end of the reserved block.
    producer_ids: Mutex<(i64, i64)>,
}

impl Core {
    /// Opens what the data directory holds.
    pub(crate) fn open(config: BrokerConfig, address: SocketAddr, faults: Faults) -> io::Result<Core> {
        let now_ms = wall_ms();
        let mut journal = Journal::open(config.data_dir.join("journal"))?;
        if journal.meta().cluster_id.is_empty() {
            journal.commit(Change::Cluster { id: new_cluster_id() })?;
        }
        let topics_dir = config.data_dir.join("topics");
        fs::create_dir_all(&topics_dir)?;
        remove_orphans(&topics_dir, &journal)?;
        let mut topics = Topics::default();
        for (name, meta) in &journal.meta().topics {
            topics.insert(Topics::open(&topics_dir, name, meta, None, now_ms)?);
        }
        let next = journal.meta().next_producer_id.max(1);
        let transactions = journal
            .meta()
            .transactions
            .iter()
            .map(|(id, transaction)| (id.clone(), Arc::new(Mutex::new(transaction.clone()))))
            .collect();
        let core = Core {
            address,
            cluster_id: journal.meta().cluster_id.clone(),
            coordinator: Coordinator::new(config.group_initial_rebalance_delay_ms, config.group_members_max),
            faults,
            request_memory: Arc::new(Semaphore::new(config.request_memory_bytes_max)),
            response_memory: Arc::new(Semaphore::new(config.response_memory_bytes_max)),
            topics: RwLock::new(topics),
            topics_dir,
            journal: Mutex::new(journal),
            transactions: Mutex::new(transactions),
            producer_ids: Mutex::new((next, next)),
            config,
        };
        core.sweep_transactions(now_ms);
        Ok(core)
    }

    pub(crate) fn topics(&self) -> RwLockReadGuard<'_, Topics> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn topics_mut(&self) -> RwLockWriteGuard<'_, Topics> {
        self.topics.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn topic(&self, name: &str) -> Option<Arc<Topic>> {
        self.topics().get(name).cloned()
    }

    pub(crate) fn topic_by_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        self.topics().get_by_id(id).cloned()
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        lock(&self.journal)
    }

    /// Makes a topic, or says why not; with `validate_only` it stays at that.
    pub(crate) fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        configs: BTreeMap<String, String>,
        validate_only: bool,
    ) -> Result<TopicMeta, Refused> {
        check_topic_name(name)?;
        for (key, value) in &configs {
            topic_config::validate(key, value).map_err(|why| Refused::new(Error::InvalidConfig, why))?;
        }
        if partitions < 1 {
            let why = "number of partitions must be larger than 0";
            return Err(Refused::new(Error::InvalidPartitions, why));
        }
        let mut topics = self.topics_mut();
        if topics.get(name).is_some() {
            let why = format!("topic '{name}' already exists");
            return Err(Refused::new(Error::TopicAlreadyExists, why));
        }
        self.check_room_for(&topics, partitions)?;
        let meta = TopicMeta { id: Uuid::new_v4(), partitions, configs, log_starts: BTreeMap::new() };
        if !validate_only {
            let topic = Topics::open(&self.topics_dir, name, &meta, None, wall_ms())?;
            self.journal().commit(Change::TopicSet { name: name.to_owned(), topic: meta.clone() })?;
            topics.insert(topic);
            info!(topic = name, partitions, "created a topic");
        }
        Ok(meta)
    }

    fn check_room_for(&self, topics: &Topics, partitions: i32) -> Result<(), Refused> {
        let max = self.config.partitions_max;
        if topics.partition_count() + partitions as usize > max {
            let why = format!("the broker would have more than {max} partitions");
            return Err(Refused::new(Error::PolicyViolation, why));
        }
        Ok(())
    }

    /// Finds a topic, or makes it where the client and the broker allow that.
    pub(crate) fn topic_or_create(&self, name: &str, allow_create: bool) -> Result<Arc<Topic>, Error> {
        if let Some(topic) = self.topic(name) {
            return Ok(topic);
        }
        check_topic_name(name).map_err(|refused| refused.error)?;
        if !allow_create || !self.config.auto_create_topics {
            return Err(Error::UnknownTopicOrPartition);
        }
        match self.create_topic(name, self.config.default_partitions, BTreeMap::new(), false) {
            Ok(_) | Err(Refused { error: Error::TopicAlreadyExists, .. }) => {
                self.topic(name).ok_or(Error::UnknownTopicOrPartition)
            }
            Err(refused) => Err(refused.error),
        }
    }

    /// Deletes a topic, its records and the offsets that groups committed on it.
    pub(crate) fn delete_topic(&self, name: &str) -> Result<(), Refused> {
        let topic = {
            let mut topics = self.topics_mut();
            if topics.get(name).is_none() {
                return Err(Refused::new(
                    Error::UnknownTopicOrPartition,
                    "this server does not host this topic-partition",
                ));
            }
            self.journal().commit(Change::TopicRemoved { name: name.to_owned() })?;
            topics.remove(name)
        };
        let Some(topic) = topic else { return Ok(()) };
        for partition in &topic.partitions {
            partition.changed();
        }
        // What cannot be removed now is removed at the next start.
        match fs::remove_dir_all(self.topics_dir.join(topic.id.to_string())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                warn!(topic = name, %error, "cannot remove the files of a deleted topic");
            }
            _ => info!(topic = name, "deleted a topic"),
        }
        Ok(())
    }

    /// Gives a topic other configs or more partitions.
    pub(crate) fn change_topic(
        &self,
        name: &str,
        validate_only: bool,
        change: impl FnOnce(&mut TopicMeta) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let mut topics = self.topics_mut();
        let Some(before) = topics.get(name).cloned() else {
            return Err(Refused::new(Error::UnknownTopicOrPartition, format!("topic '{name}' does not exist")));
        };
        let mut meta = before.meta();
        change(&mut meta)?;
        for (key, value) in &meta.configs {
            topic_config::validate(key, value).map_err(|why| Refused::new(Error::InvalidConfig, why))?;
        }
        self.check_room_for(&topics, meta.partitions - before.partitions.len() as i32)?;
        if !validate_only {
            self.journal().commit(Change::TopicSet { name: name.to_owned(), topic: meta.clone() })?;
            topics.insert(Topics::open(&self.topics_dir, name, &meta, Some(&before), wall_ms())?);
        }
        Ok(())
    }

    /// Deletes the records of a partition before an offset (`-1`: all of them). Returns the new start of the log.
    pub(crate) fn delete_records(&self, topic: &Topic, index: i32, before: i64) -> Result<i64, Error> {
        let partition = topic.partition(index).ok_or(Error::UnknownTopicOrPartition)?;
        let mut log = lock(&partition.log);
        let before = if before == -1 { log.log_end() } else { before };
        if before < 0 || before > log.log_end() {
            return Err(Error::OffsetOutOfRange);
        }
        let change = Change::LogStart { topic: topic.name.clone(), partition: index, offset: before };
        if before > log.log_start() {
            self.journal().commit(change).map_err(|error| Refused::from(error).error)?;
        }
        log.delete_before(before).map_err(|_| Error::OffsetOutOfRange)?;
        Ok(log.log_start())
    }

    /// Makes offsets of a group durable.
    pub(crate) fn commit_offsets(&self, group: &str, offsets: Offsets) -> Result<(), Error> {
        if offsets.is_empty() {
            return Ok(());
        }
        let mut journal = self.journal();
        let groups = &journal.meta().groups;
        if !groups.contains_key(group) && groups.len() >= OFFSET_GROUPS_MAX {
            return Err(Error::CoordinatorNotAvailable);
        }
        let change = Change::Offsets { group: group.to_owned(), offsets };
        journal.commit(change).map_err(|error| Refused::from(error).error)
    }

    /// Whether one offset of a commit is acceptable.
    pub(crate) fn check_offset(&self, topic: &str, partition: i32, metadata: &str) -> Result<(), Error> {
        if self.topic(topic).is_none_or(|topic| topic.partition(partition).is_none()) {
            return Err(Error::UnknownTopicOrPartition);
        }
        if metadata.len() > OFFSET_METADATA_BYTES_MAX { Err(Error::OffsetMetadataTooLarge) } else { Ok(()) }
    }

    /// Looks at the committed offsets of a group.
    pub(crate) fn with_offsets<T>(&self, group: &str, look: impl FnOnce(Option<&Offsets>) -> T) -> T {
        look(self.journal().meta().groups.get(group))
    }

    /// The groups that have committed offsets.
    pub(crate) fn offset_groups(&self) -> Vec<String> {
        self.journal().meta().groups.keys().cloned().collect()
    }

    pub(crate) fn remove_offsets(&self, group: &str, partitions: Vec<(String, i32)>) -> Result<(), Error> {
        let change = Change::OffsetsRemoved { group: group.to_owned(), partitions };
        self.journal().commit(change).map_err(|error| Refused::from(error).error)
    }

    /// Forgets a group with its offsets.
    pub(crate) fn delete_group(&self, group: &str) -> Result<(), Error> {
        let known = self.coordinator.delete(group)?;
        let mut journal = self.journal();
        if !known && !journal.meta().groups.contains_key(group) {
            return Err(Error::GroupIdNotFound);
        }
        journal.commit(Change::GroupRemoved { group: group.to_owned() }).map_err(|error| Refused::from(error).error)
    }

    /// A producer id that was never given out before.
    pub(crate) fn new_producer_id(&self) -> Result<i64, Error> {
        let mut ids = lock(&self.producer_ids);
        if ids.0 == ids.1 {
            let end = ids.1 + PRODUCER_ID_BLOCK;
            self.journal().commit(Change::ProducerIds { next: end }).map_err(|error| Refused::from(error).error)?;
            ids.1 = end;
        }
        ids.0 += 1;
        Ok(ids.0 - 1)
    }

    pub(crate) fn transaction(&self, id: &str) -> Option<Arc<Mutex<Transaction>>> {
        lock(&self.transactions).get(id).cloned()
    }

    /// The transaction of an id, made anew if there is none.
    pub(crate) fn transaction_or_new(
        &self,
        id: &str,
        make: impl FnOnce() -> Result<Transaction, Error>,
    ) -> Result<(Arc<Mutex<Transaction>>, bool), Error> {
        let mut transactions = lock(&self.transactions);
        if let Some(known) = transactions.get(id) {
            return Ok((known.clone(), false));
        }
        if transactions.len() >= TRANSACTIONS_MAX {
            return Err(Error::CoordinatorNotAvailable);
        }
        let fresh = make()?;
        self.save_transaction(id, &fresh)?;
        let fresh = Arc::new(Mutex::new(fresh));
        transactions.insert(id.to_owned(), fresh.clone());
        Ok((fresh, true))
    }

    /// All transactional ids with a copy of their state.
    pub(crate) fn all_transactions(&self) -> Vec<(String, Transaction)> {
        let transactions: Vec<(String, Arc<Mutex<Transaction>>)> =
            lock(&self.transactions).iter().map(|(id, transaction)| (id.clone(), transaction.clone())).collect();
        transactions.into_iter().map(|(id, transaction)| (id, lock(&transaction).clone())).collect()
    }

    pub(crate) fn save_transaction(&self, id: &str, transaction: &Transaction) -> Result<(), Error> {
        let change = Change::Transaction { id: id.to_owned(), state: Box::new(transaction.clone()) };
        self.journal().commit(change).map_err(|error| Refused::from(error).error)
    }

    /// Carries out a decided end: markers, offsets, and the new state. May be repeated after a failure.
    pub(crate) fn settle(&self, id: &str, transaction: &mut Transaction) -> Result<(), Error> {
        let Some(committed) = transaction.decided() else { return Ok(()) };
        let now_ms = wall_ms();
        let who = transaction.current;
        for (name, index) in &transaction.partitions {
            let Some(topic) = self.topic(name) else { continue };
            let Some(partition) = topic.partition(*index) else { continue };
            let mut log = lock(&partition.log);
            // Nothing was written here, or the marker was written before a crash.
            if log.producers().has_open(who.producer_id) {
                log.append_marker(who.producer_id, who.epoch, committed, now_ms)
                    .map_err(|error| Refused::from(error).error)?;
                drop(log);
                partition.changed();
            }
        }
        if committed {
            for (group, offsets) in &transaction.offsets {
                self.commit_offsets(group, offsets.clone())?;
            }
        }
        // A fresh id is fetched before anything changes, so that a failure leaves the decision to be settled again.
        let fresh_id = if transaction.bumps { self.new_producer_id()? } else { who.producer_id };
        let mut after = transaction.clone();
        after.complete(|| fresh_id, now_ms);
        self.save_transaction(id, &after)?;
        *transaction = after;
        Ok(())
    }

    /// Aborts an open transaction on the broker's own account and fences its producer.
    pub(crate) fn abort_and_fence(&self, id: &str, transaction: &mut Transaction) -> Result<(), Error> {
        let mut after = transaction.clone();
        if let End::Write { .. } = after.abort_and_fence(wall_ms()) {
            self.save_transaction(id, &after)?;
            *transaction = after;
        }
        self.settle(id, transaction)
    }

    /// Aborts transactions that took too long, finishes those that were decided before a crash or a failed write, and
    /// forgets ids that are long out of use.
    pub(crate) fn sweep_transactions(&self, now_ms: i64) {
        let all: Vec<(String, Arc<Mutex<Transaction>>)> =
            lock(&self.transactions).iter().map(|(id, transaction)| (id.clone(), transaction.clone())).collect();
        for (id, shared) in all {
            let mut transaction = lock(&shared);
            let result = if transaction.has_timed_out(now_ms) {
                info!(transactional_id = id, "aborting a transaction that timed out");
                self.abort_and_fence(&id, &mut transaction)
            } else {
                self.settle(&id, &mut transaction)
            };
            if let Err(error) = result {
                warn!(transactional_id = id, %error, "cannot end a transaction, trying again");
            }
            let idle = now_ms - transaction.changed_ms > TRANSACTION_IDLE_MS_MAX && transaction.started_ms < 0;
            drop(transaction);
            if idle && self.journal().commit(Change::TransactionRemoved { id: id.clone() }).is_ok() {
                lock(&self.transactions).remove(&id);
            }
        }
    }

    /// Deletes what retention no longer keeps and cleans compacted topics. Reads and writes files for as long as it
    /// takes, so it runs on a thread for blocking work.
    pub(crate) fn tend_logs(&self, now_ms: i64) {
        let topics: Vec<Arc<Topic>> = self.topics().iter().cloned().collect();
        for topic in topics {
            for (index, partition) in topic.partitions.iter().enumerate() {
                if let Err(error) = tend_log(partition, now_ms) {
                    // A topic may be deleted under the cleaner.
                    if self.topic_by_id(topic.id).is_some() {
                        warn!(topic = topic.name, partition = index, %error, "cannot tend a log");
                    }
                }
            }
        }
    }

    /// Writes everything to the disk itself, for a clean stop.
    pub(crate) fn sync(&self) -> io::Result<()> {
        for topic in self.topics().iter() {
            for partition in &topic.partitions {
                lock(&partition.log).sync()?;
            }
        }
        self.journal().sync()
    }
}

fn tend_log(partition: &crate::topics::Partition, now_ms: i64) -> io::Result<()> {
    let plan = {
        let mut log = lock(&partition.log);
        log.enforce_retention(now_ms)?;
        log.plan_cleaning(now_ms)
    };
    if let Some(cleaning) = plan {
        let outcome = cleaning.run()?;
        lock(&partition.log).finish_cleaning(outcome, now_ms)?;
    }
    Ok(())
}

/// 16 random bytes in the form in which Kafka shows cluster ids.
fn new_cluster_id() -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let random = Uuid::new_v4().as_u128();
    (0..22).map(|digit| char::from(ALPHABET[(random >> (digit * 6) & 63) as usize])).collect()
}

/// Removes the files of topics that were deleted or never completely created.
fn remove_orphans(topics_dir: &std::path::Path, journal: &Journal) -> io::Result<()> {
    let known = journal.meta().topic_ids();
    for entry in fs::read_dir(topics_dir)? {
        let entry = entry?;
        let id = entry.file_name().to_str().and_then(|name| Uuid::parse_str(name).ok());
        if let Some(id) = id
            && !known.contains(&id)
        {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn check_topic_name(name: &str) -> Result<(), Refused> {
    const LENGTH_MAX: usize = 249;
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let why = if name.is_empty() {
        "the empty string is not allowed".to_owned()
    } else if name == "." || name == ".." {
        "'.' or '..' is not allowed".to_owned()
    } else if name.len() > LENGTH_MAX {
        format!("the length of '{name}' is longer than the max allowed length {LENGTH_MAX}")
    } else if !name.chars().all(legal) {
        format!("'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'")
    } else {
        return Ok(());
    };
    Err(Refused::new(Error::InvalidTopicException, format!("topic name is invalid: {why}")))
}
