//! Who and what the records speak of: tenants, connectors, instances, workers, runs.
//!
//! Every name that reaches a key of `state` carries its tenant. The default tenant adds nothing to a name, so that a
//! cluster without tenants shows Kafka Connect's plain names everywhere.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Configuration of a connector or of a task, as its author wrote it (references to secrets unresolved).
pub type Config = BTreeMap<String, String>;

/// Which plugin plays which role for a connector: `connector`, `value.converter`, `transforms.mask`, … → digest.
///
/// The control plane never looks inside: the seam resolves roles to digests once, and they stay pinned.
pub type Plugins = BTreeMap<String, Digest>;

/// The sha256 digest of a plugin's bytes, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(pub String);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A customer of a shared cluster. The default tenant is what a cluster without tenants uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tenant(String);

impl Tenant {
    /// The tenant called `name`, or nothing when `name` is empty or contains `/`, which separates parts of keys.
    pub fn new(name: &str) -> Option<Tenant> {
        (!name.is_empty() && !name.contains('/')).then(|| Tenant(name.to_owned()))
    }

    /// Whether this is the tenant whose names stay plain.
    pub fn is_default(&self) -> bool {
        self.0.is_empty()
    }

    /// The name; empty for the default tenant.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A connector, by tenant and name. The name may hold any character, `/` included.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ConnectorKey {
    /// Whose connector it is.
    #[serde(default, skip_serializing_if = "Tenant::is_default")]
    pub tenant: Tenant,
    /// Its name, unique within the tenant.
    pub name: String,
}

impl ConnectorKey {
    /// The connector `name` of the default tenant.
    pub fn plain(name: &str) -> ConnectorKey {
        ConnectorKey { tenant: Tenant::default(), name: name.to_owned() }
    }

    /// One instance of this connector.
    pub fn subject(&self, instance: Instance) -> Subject {
        Subject { connector: self.clone(), instance }
    }
}

impl fmt::Display for ConnectorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tenant.is_default() {
            true => f.write_str(&self.name),
            false => write!(f, "{}/{}", self.tenant.as_str(), self.name),
        }
    }
}

/// What can be assigned to a worker: the connector instance, which plans, or one of its tasks, which move data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "i64", try_from = "i64")]
pub enum Instance {
    /// The connector instance; -1 in keys and records.
    Connector,
    /// The task with this index, counted from 0.
    Task(u32),
}

impl From<Instance> for i64 {
    fn from(instance: Instance) -> i64 {
        match instance {
            Instance::Connector => -1,
            Instance::Task(index) => i64::from(index),
        }
    }
}

impl TryFrom<i64> for Instance {
    type Error = String;

    fn try_from(index: i64) -> Result<Instance, String> {
        match index {
            -1 => Ok(Instance::Connector),
            _ => {
                u32::try_from(index).map(Instance::Task).map_err(|_| format!("instance index {index} is out of range"))
            }
        }
    }
}

/// One assignable instance of one connector.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// The connector it belongs to.
    pub connector: ConnectorKey,
    /// Which instance of it.
    pub instance: Instance,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.instance {
            Instance::Connector => write!(f, "{}", self.connector),
            Instance::Task(index) => write!(f, "{}/{index}", self.connector),
        }
    }
}

/// One life of one worker process. A restarted worker is a new incarnation, so that what the old one left behind is
/// never mistaken for its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub String);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names a request so that its outcome can be found and a repetition is recognised.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub String);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One run of an instance: never used twice, so that a late word from an earlier run cannot be taken for this one's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId {
    /// What runs.
    pub subject: Subject,
    /// Incarnation of the connector: a deleted and re-created connector has another.
    pub uid: u64,
    /// The task epoch it runs under.
    pub epoch: u64,
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.subject, self.epoch)
    }
}

/// Whether a connector brings records into Kafka or takes them out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectorKind {
    /// Other system → Kafka.
    Source,
    /// Kafka → other system.
    Sink,
}

/// What the operator wants of a connector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Instances run.
    #[default]
    Running,
    /// Instances exist and keep their resources, but move nothing.
    Paused,
    /// No instance and no task exists; offsets may be altered.
    Stopped,
}

/// What an instance is reported to be doing. Advisory: decisions never rest on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// Nothing runs it yet.
    Unassigned,
    /// It runs.
    Running,
    /// It exists and moves nothing.
    Paused,
    /// It was stopped on purpose (connector instances only).
    Stopped,
    /// It ended with an error and waits for a restart.
    Failed,
    /// A restart was asked for and is under way.
    Restarting,
}

impl RunState {
    /// The name Kafka Connect gives this state.
    pub fn as_str(self) -> &'static str {
        match self {
            RunState::Unassigned => "UNASSIGNED",
            RunState::Running => "RUNNING",
            RunState::Paused => "PAUSED",
            RunState::Stopped => "STOPPED",
            RunState::Failed => "FAILED",
            RunState::Restarting => "RESTARTING",
        }
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Time as the cores know it: milliseconds on a clock that never goes back, whose zero means nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub u64);

impl Millis {
    /// This moment and `duration_ms` more.
    pub fn plus(self, duration_ms: u64) -> Millis {
        Millis(self.0.saturating_add(duration_ms))
    }

    /// How many milliseconds from `earlier` to here; 0 when `earlier` is later.
    pub fn since(self, earlier: Millis) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
