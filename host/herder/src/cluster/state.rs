//! The fold of `state`: what all its records together say.
//!
//! Leader and workers fold with the same code, so that at the same offset they know the same. Applying a record only
//! replaces or removes what was known under its key: folding any compacted version of the log gives the same result.

use std::collections::BTreeMap;

use super::id::{ConnectorKey, Digest, Incarnation, Instance, RequestId, Subject};
use super::records::{
    AssignRecord, ClusterRecord, ConnectorRecord, Key, LeaderRecord, Outcome, PluginManifest, TasksRecord, Value,
    WorkerRecord, Write,
};

/// Everything `state` says, by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Whose log it is; nothing before the first reign.
    pub cluster: Option<ClusterRecord>,
    /// The current reign.
    pub leader: Option<LeaderRecord>,
    /// Offset of the last decided request.
    pub applied: Option<u64>,
    /// Workers that may own instances.
    pub workers: BTreeMap<Incarnation, WorkerRecord>,
    /// Connectors.
    pub connectors: BTreeMap<ConnectorKey, ConnectorRecord>,
    /// Their task sets.
    pub tasks: BTreeMap<ConnectorKey, TasksRecord>,
    /// Who runs what, by connector.
    pub assigns: BTreeMap<ConnectorKey, BTreeMap<Instance, AssignRecord>>,
    /// Known plugins.
    pub plugins: BTreeMap<Digest, PluginManifest>,
    /// Where tags lead.
    pub tags: BTreeMap<String, Digest>,
    /// Answers to requests.
    pub outcomes: BTreeMap<RequestId, Outcome>,
}

impl State {
    /// Takes over one record.
    ///
    /// # Panics
    /// When the value is not of the key's kind; [`Value::decode`] cannot produce such a pair.
    pub fn apply(&mut self, write: Write) {
        match (write.key, write.value) {
            (Key::Cluster, Some(Value::Cluster(record))) => self.cluster = Some(record),
            (Key::Cluster, None) => self.cluster = None,
            (Key::Leader, Some(Value::Leader(record))) => self.leader = Some(record),
            (Key::Leader, None) => self.leader = None,
            (Key::Applied, Some(Value::Applied(record))) => self.applied = Some(record.offset),
            (Key::Applied, None) => self.applied = None,
            (Key::Worker(key), Some(Value::Worker(record))) => put(&mut self.workers, key, record),
            (Key::Worker(key), None) => remove(&mut self.workers, &key),
            (Key::Connector(key), Some(Value::Connector(record))) => put(&mut self.connectors, key, *record),
            (Key::Connector(key), None) => remove(&mut self.connectors, &key),
            (Key::Tasks(key), Some(Value::Tasks(record))) => put(&mut self.tasks, key, *record),
            (Key::Tasks(key), None) => remove(&mut self.tasks, &key),
            (Key::Assign(subject), Some(Value::Assign(record))) => {
                self.assigns.entry(subject.connector).or_default().insert(subject.instance, record);
            }
            (Key::Assign(subject), None) => {
                if let Some(instances) = self.assigns.get_mut(&subject.connector) {
                    instances.remove(&subject.instance);
                    if instances.is_empty() {
                        self.assigns.remove(&subject.connector);
                    }
                }
            }
            (Key::Plugin(key), Some(Value::Plugin(record))) => put(&mut self.plugins, key, record),
            (Key::Plugin(key), None) => remove(&mut self.plugins, &key),
            (Key::Tag(key), Some(Value::Tag(record))) => put(&mut self.tags, key, record.digest),
            (Key::Tag(key), None) => remove(&mut self.tags, &key),
            (Key::Request(key), Some(Value::Outcome(record))) => put(&mut self.outcomes, key, record),
            (Key::Request(key), None) => remove(&mut self.outcomes, &key),
            (key, Some(value)) => unreachable!("record {key} carries {value:?}, which is of another kind"),
        }
    }

    /// Who runs `subject`.
    pub fn assign(&self, subject: &Subject) -> Option<&AssignRecord> {
        self.assigns.get(&subject.connector)?.get(&subject.instance)
    }

    /// Whether `subject` shall exist: its connector does and, for a task, the current task set has that index.
    pub fn wants(&self, subject: &Subject) -> bool {
        match subject.instance {
            Instance::Connector => self.connectors.contains_key(&subject.connector),
            Instance::Task(index) => index < self.task_count(&subject.connector),
        }
    }

    /// How many tasks a connector has.
    pub fn task_count(&self, connector: &ConnectorKey) -> u32 {
        let count = self.tasks.get(connector).map_or(0, |tasks| tasks.tasks.len());
        u32::try_from(count).expect("a record of bounded size holds fewer tasks than u32 counts")
    }
}

fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: V) {
    map.insert(key, value);
}

fn remove<K: Ord, V>(map: &mut BTreeMap<K, V>, key: &K) {
    map.remove(key);
}
