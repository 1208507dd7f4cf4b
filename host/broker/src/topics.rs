//! Topics and partitions in memory: names and ids lead to logs, and readers wait here for what is appended.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::Notify;
use uuid::Uuid;

use crate::journal::TopicMeta;
use crate::lock;
use crate::log::{Log, LogConfig};
use crate::topic_config;

/// One partition: its log and the readers that wait for more.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) log: Mutex<Log>,
    waiting: Mutex<Vec<Weak<Notify>>>,
}

impl Partition {
    fn open(dir: std::path::PathBuf, config: Arc<LogConfig>, log_start: i64, now_ms: i64) -> io::Result<Partition> {
        Ok(Partition { log: Mutex::new(Log::open(dir, config, log_start, now_ms)?), waiting: Mutex::default() })
    }

    /// Asks to be woken by the next change.
    pub(crate) fn wake_on_change(&self, reader: &Arc<Notify>) {
        let mut waiting = lock(&self.waiting);
        // Readers that gave up are gone from here as soon as another one comes.
        waiting.retain(|other| other.strong_count() > 0 && !std::ptr::eq(other.as_ptr(), Arc::as_ptr(reader)));
        waiting.push(Arc::downgrade(reader));
    }

    /// Wakes the readers: records were appended, or a transaction ended.
    pub(crate) fn changed(&self) {
        for reader in lock(&self.waiting).drain(..) {
            if let Some(reader) = reader.upgrade() {
                reader.notify_one();
            }
        }
    }
}

#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) id: Uuid,
    pub(crate) configs: BTreeMap<String, String>,
    pub(crate) partitions: Vec<Arc<Partition>>,
}

impl Topic {
    pub(crate) fn partition(&self, index: i32) -> Option<&Arc<Partition>> {
        usize::try_from(index).ok().and_then(|index| self.partitions.get(index))
    }

    pub(crate) fn meta(&self) -> TopicMeta {
        let log_starts = self
            .partitions
            .iter()
            .enumerate()
            .map(|(index, partition)| (index as i32, lock(&partition.log).log_start()))
            .filter(|(_, start)| *start > 0)
            .collect();
        TopicMeta { id: self.id, partitions: self.partitions.len() as i32, configs: self.configs.clone(), log_starts }
    }
}

/// All topics, by name and by id.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    by_name: BTreeMap<String, Arc<Topic>>,
    names: HashMap<Uuid, String>,
}

impl Topics {
    /// Opens a topic with its logs, or the partitions that `before` does not have yet.
    pub(crate) fn open(
        dir: &Path,
        name: &str,
        meta: &TopicMeta,
        before: Option<&Topic>,
        now_ms: i64,
    ) -> io::Result<Topic> {
        let config = Arc::new(topic_config::log_config(&meta.configs));
        let mut partitions: Vec<Arc<Partition>> = before.map(|topic| topic.partitions.clone()).unwrap_or_default();
        for partition in &partitions {
            lock(&partition.log).configure(config.clone());
        }
        for index in partitions.len() as i32..meta.partitions {
            let dir = dir.join(meta.id.to_string()).join(index.to_string());
            let log_start = meta.log_starts.get(&index).copied().unwrap_or(0);
            partitions.push(Arc::new(Partition::open(dir, config.clone(), log_start, now_ms)?));
        }
        Ok(Topic { name: name.to_owned(), id: meta.id, configs: meta.configs.clone(), partitions })
    }

    pub(crate) fn insert(&mut self, topic: Topic) -> Arc<Topic> {
        let topic = Arc::new(topic);
        self.names.insert(topic.id, topic.name.clone());
        self.by_name.insert(topic.name.clone(), topic.clone());
        topic
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<Arc<Topic>> {
        let topic = self.by_name.remove(name)?;
        self.names.remove(&topic.id);
        Some(topic)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Topic>> {
        self.by_name.get(name)
    }

    pub(crate) fn get_by_id(&self, id: Uuid) -> Option<&Arc<Topic>> {
        self.names.get(&id).and_then(|name| self.by_name.get(name))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.by_name.values()
    }

    pub(crate) fn partition_count(&self) -> usize {
        self.by_name.values().map(|topic| topic.partitions.len()).sum()
    }
}
