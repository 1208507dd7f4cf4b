//! The records of the two topics that carry the control plane, and nothing about where they are stored.
//!
//! `state` is a compacted log of [`Key`] → [`Value`] and the only truth; only the leader writes it, one whole decision
//! at a time. `requests` is a log of [`Request`]s, the leader's input: what the API asks for and what workers report.
//! Both are JSON objects with a format version `v`; a record of another version is an error, never a guess.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::id::{
    Config, ConnectorKey, ConnectorKind, Digest, Incarnation, Instance, Plugins, RequestId, Subject, Target, Tenant,
};
use super::restart::RestartPolicy;

/// The format version every record carries as `v`.
pub const FORMAT_VERSION: u32 = 1;

/// The most bytes one encoded record may have, so that every decision also fits into a Kafka record.
pub const RECORD_BYTES_MAX: usize = 900 * 1024;

/// The key of a `state` record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// `cluster`
    Cluster,
    /// `leader`
    Leader,
    /// `applied`
    Applied,
    /// `worker/<incarnation>`
    Worker(Incarnation),
    /// `connector/<name>`
    Connector(ConnectorKey),
    /// `tasks/<name>`
    Tasks(ConnectorKey),
    /// `assign/<name>/<index>`
    Assign(Subject),
    /// `plugin/<digest>`
    Plugin(Digest),
    /// `tag/<name>@<version>`
    Tag(String),
    /// `request/<id>`
    Request(RequestId),
}

/// Before the keys of every tenant but the default one.
const TENANT_PREFIX: &str = "tenant/";

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |f: &mut fmt::Formatter<'_>, kind: &str, connector: &ConnectorKey| {
            if !connector.tenant.is_default() {
                write!(f, "{TENANT_PREFIX}{}/", connector.tenant.as_str())?;
            }
            write!(f, "{kind}/{}", connector.name)
        };
        match self {
            Key::Cluster => f.write_str("cluster"),
            Key::Leader => f.write_str("leader"),
            Key::Applied => f.write_str("applied"),
            Key::Worker(incarnation) => write!(f, "worker/{incarnation}"),
            Key::Connector(connector) => of(f, "connector", connector),
            Key::Tasks(connector) => of(f, "tasks", connector),
            Key::Assign(subject) => {
                of(f, "assign", &subject.connector)?;
                write!(f, "/{}", i64::from(subject.instance))
            }
            Key::Plugin(digest) => write!(f, "plugin/{digest}"),
            Key::Tag(tag) => write!(f, "tag/{tag}"),
            Key::Request(id) => write!(f, "request/{id}"),
        }
    }
}

impl Key {
    /// Reads a key as written by `Display`.
    pub fn parse(text: &str) -> Result<Key, RecordError> {
        let unknown = || RecordError::UnknownKey { key: text.to_owned() };
        let (tenant, rest) = match text.strip_prefix(TENANT_PREFIX) {
            None => (Tenant::default(), text),
            Some(scoped) => {
                let (tenant, rest) = scoped.split_once('/').ok_or_else(unknown)?;
                (Tenant::new(tenant).ok_or_else(unknown)?, rest)
            }
        };
        let (kind, rest) = rest.split_once('/').unwrap_or((rest, ""));
        let connector = |name: &str| ConnectorKey { tenant: tenant.clone(), name: name.to_owned() };
        let key = match kind {
            "connector" => Key::Connector(connector(rest)),
            "tasks" => Key::Tasks(connector(rest)),
            "assign" => {
                let (name, index) = rest.rsplit_once('/').ok_or_else(unknown)?;
                let index: i64 = index.parse().map_err(|_| unknown())?;
                Key::Assign(connector(name).subject(Instance::try_from(index).map_err(|_| unknown())?))
            }
            _ if !tenant.is_default() => return Err(unknown()),
            "cluster" if rest.is_empty() => Key::Cluster,
            "leader" if rest.is_empty() => Key::Leader,
            "applied" if rest.is_empty() => Key::Applied,
            "worker" => Key::Worker(Incarnation(rest.to_owned())),
            "plugin" => Key::Plugin(Digest(rest.to_owned())),
            "tag" => Key::Tag(rest.to_owned()),
            "request" => Key::Request(RequestId(rest.to_owned())),
            _ => return Err(unknown()),
        };
        Ok(key)
    }
}

/// The value of a `state` record. Which variant goes with which [`Key`] is fixed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Of [`Key::Cluster`].
    Cluster(ClusterRecord),
    /// Of [`Key::Leader`].
    Leader(LeaderRecord),
    /// Of [`Key::Applied`].
    Applied(AppliedRecord),
    /// Of [`Key::Worker`].
    Worker(WorkerRecord),
    /// Of [`Key::Connector`].
    Connector(Box<ConnectorRecord>),
    /// Of [`Key::Tasks`].
    Tasks(Box<TasksRecord>),
    /// Of [`Key::Assign`].
    Assign(AssignRecord),
    /// Of [`Key::Plugin`].
    Plugin(PluginManifest),
    /// Of [`Key::Tag`].
    Tag(TagRecord),
    /// Of [`Key::Request`].
    Outcome(Outcome),
}

impl Value {
    /// The value as stored.
    pub fn encode(&self) -> String {
        match self {
            Value::Cluster(value) => encode(value),
            Value::Leader(value) => encode(value),
            Value::Applied(value) => encode(value),
            Value::Worker(value) => encode(value),
            Value::Connector(value) => encode(value),
            Value::Tasks(value) => encode(value),
            Value::Assign(value) => encode(value),
            Value::Plugin(value) => encode(value),
            Value::Tag(value) => encode(value),
            Value::Outcome(value) => encode(value),
        }
    }

    /// Reads the stored value of `key`.
    pub fn decode(key: &Key, text: &str) -> Result<Value, RecordError> {
        Ok(match key {
            Key::Cluster => Value::Cluster(decode(key, text)?),
            Key::Leader => Value::Leader(decode(key, text)?),
            Key::Applied => Value::Applied(decode(key, text)?),
            Key::Worker(_) => Value::Worker(decode(key, text)?),
            Key::Connector(_) => Value::Connector(Box::new(decode(key, text)?)),
            Key::Tasks(_) => Value::Tasks(Box::new(decode(key, text)?)),
            Key::Assign(_) => Value::Assign(decode(key, text)?),
            Key::Plugin(_) => Value::Plugin(decode(key, text)?),
            Key::Tag(_) => Value::Tag(decode(key, text)?),
            Key::Request(_) => Value::Outcome(decode(key, text)?),
        })
    }
}

/// One write to `state`: a new value, or none to remove the key (a tombstone).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// What it is about.
    pub key: Key,
    /// The new value.
    pub value: Option<Value>,
}

/// Whose log this is. A log of another cluster is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRecord {
    /// The cluster's name (Kafka Connect's `group.id`).
    pub id: String,
}

/// The reign under which decisions are being made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderRecord {
    /// Strictly +1 for each reign.
    pub epoch: u64,
    /// Who leads.
    pub leader: Incarnation,
}

/// How far `requests` has been turned into decisions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedRecord {
    /// Offset of the last request that is decided.
    pub offset: u64,
}

/// A worker that may own instances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerRecord {
    /// Its name, `host:port`: what status shows as worker id.
    pub name: String,
}

/// A connector as the operator wants it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorRecord {
    /// Incarnation of the connector: the offset of the request that created it. A re-created connector has another.
    pub uid: u64,
    /// +1 for each change of configuration or of pinned plugins, from 1.
    pub rev: u64,
    /// Source or sink.
    pub kind: ConnectorKind,
    /// Version of the connector's plugin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What the operator wrote.
    pub config: Config,
    /// The bytes each role runs.
    pub plugins: Plugins,
    /// The most tasks the configuration allows.
    pub tasks_max: u32,
    /// How its instances are restarted on their own; none: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<RestartPolicy>,
    /// Whether it shall run.
    pub target: Target,
}

/// The whole task set of a connector, in one record so that nobody ever sees half of it.
///
/// It repeats the configuration it was made from: a task restarted while its connector is being reconfigured must not
/// mix a new configuration with old tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TasksRecord {
    /// The connector's incarnation.
    pub uid: u64,
    /// The connector's revision the tasks were made from.
    pub rev: u64,
    /// +1 for each task set.
    #[serde(rename = "task_gen")]
    pub generation: u64,
    /// The connector's configuration at that revision.
    pub config: Config,
    /// The connector's plugins at that revision.
    pub plugins: Plugins,
    /// One configuration for each task.
    pub tasks: Vec<Config>,
}

/// Who runs an instance, under which epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignRecord {
    /// The connector's incarnation.
    pub uid: u64,
    /// The task set this belongs to; 0 for connector instances.
    #[serde(rename = "task_gen")]
    pub generation: u64,
    /// +1 for each change of owner and for each restart: names one run.
    #[serde(rename = "task_epoch")]
    pub epoch: u64,
    /// Who shall run it; nobody when it is not wanted or no worker is there.
    pub owner: Option<Incarnation>,
    /// An earlier owner that has not released it yet; the new one waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev: Option<Incarnation>,
    /// Why the epoch changed last.
    pub reason: Reason,
    /// The run of this epoch ended with an error.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
}

/// Why an instance got a new epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The connector was created or reconfigured, or its task set changed.
    Configured,
    /// The connector left STOPPED.
    Resumed,
    /// A restart was asked for.
    Restarted,
    /// It had failed, and its connector's policy says that it is started again.
    Retried,
    /// It had no owner, or its owner is gone.
    Placed,
    /// Work was spread more evenly.
    Balanced,
    /// It is not wanted any more.
    Removed,
}

/// What is known of one plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginManifest {
    /// Digest of its bytes.
    pub digest: Digest,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// How many bytes it has.
    pub size_bytes: u64,
    /// Whether it came in the box.
    pub bundled: bool,
    /// What it says of itself (the answer of `describe`), not looked into here.
    pub description: serde_json::Value,
}

impl PluginManifest {
    /// The tag that leads to this plugin: `name@version`.
    pub fn tag(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }
}

/// Where a tag leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagRecord {
    /// The plugin.
    pub digest: Digest,
}

/// The answer to a request of the API, kept for an hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It is done.
    Done,
    /// The connector did not exist before.
    Created,
    /// These instances restart.
    Restarting {
        /// The connector instance (-1) and tasks.
        instances: Vec<Instance>,
    },
    /// The connector is not there.
    UnknownConnector,
    /// The connector has no such task.
    UnknownTask {
        /// The task that was asked for.
        index: u32,
    },
    /// The connector is there already.
    AlreadyExists,
    /// It was checked against a revision that is no longer the current one: check again.
    Stale,
    /// It, or what it leads to, has more bytes than a record may have.
    TooLarge {
        /// How many bytes.
        bytes: usize,
    },
}

/// A record of `requests`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Unique; a repetition carries the same.
    pub id: RequestId,
    /// The worker that wrote it.
    pub from: Incarnation,
    /// What it is.
    #[serde(flatten)]
    pub body: Body,
}

impl Request {
    /// The request as stored.
    pub fn encode(&self) -> String {
        encode(self)
    }

    /// Reads a stored request.
    pub fn decode(text: &str) -> Result<Request, RecordError> {
        decode_named(text, || "request".to_owned())
    }
}

/// What a request asks for or reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Body {
    /// A worker has come up and may be given work.
    Hello {
        /// Its name, `host:port`.
        name: String,
    },
    /// A worker no longer runs what it was told to give up.
    Released {
        /// What.
        subject: Subject,
        /// The connector's incarnation.
        uid: u64,
        /// The epoch of the assignment that took it away.
        epoch: u64,
    },
    /// A connector instance has split its work.
    TaskConfigs {
        /// Which connector.
        connector: ConnectorKey,
        /// Its incarnation.
        uid: u64,
        /// The revision it was asked at.
        rev: u64,
        /// One configuration for each task.
        tasks: Vec<Config>,
    },
    /// A run has ended with an error.
    Exit {
        /// What ran.
        subject: Subject,
        /// The connector's incarnation.
        uid: u64,
        /// The epoch it ran under.
        epoch: u64,
    },
    /// A run that ended with an error shall be followed by another: the connector's policy says so.
    Retry {
        /// What ran.
        subject: Subject,
        /// The connector's incarnation.
        uid: u64,
        /// The epoch it ran under.
        epoch: u64,
    },
    /// API: create or reconfigure a connector.
    PutConnector(Box<PutConnector>),
    /// API: delete a connector.
    DeleteConnector {
        /// Which.
        connector: ConnectorKey,
    },
    /// API: pause, resume, stop.
    SetTarget {
        /// Which.
        connector: ConnectorKey,
        /// What it shall do from now on.
        target: Target,
    },
    /// API: restart.
    Restart {
        /// Which connector.
        connector: ConnectorKey,
        /// Which of its instances.
        scope: RestartScope,
    },
    /// API: make a plugin known under its digest and tag.
    PublishPlugin {
        /// The plugin.
        manifest: PluginManifest,
    },
}

impl Body {
    /// Whether somebody waits for the outcome. Reports of workers have none.
    pub fn is_api(&self) -> bool {
        !matches!(
            self,
            Body::Hello { .. }
                | Body::Released { .. }
                | Body::TaskConfigs { .. }
                | Body::Exit { .. }
                | Body::Retry { .. }
        )
    }
}

/// A checked configuration to write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutConnector {
    /// Which connector.
    pub connector: ConnectorKey,
    /// Refuse when it exists.
    pub create: bool,
    /// What the configuration was checked against; nothing when the connector did not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_against: Option<Revision>,
    /// Source or sink.
    #[serde(rename = "type")]
    pub kind: ConnectorKind,
    /// Version of the connector's plugin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The configuration.
    pub config: Config,
    /// The digest for each role.
    pub plugins: Plugins,
    /// The most tasks it allows.
    pub tasks_max: u32,
    /// How its instances are restarted on their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<RestartPolicy>,
    /// What a new connector shall do; an existing one keeps its target.
    pub target: Target,
}

/// A state of a connector's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// The connector's incarnation.
    pub uid: u64,
    /// The revision within it.
    pub rev: u64,
}

/// Which instances of a connector to restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "scope", rename_all = "snake_case")]
pub enum RestartScope {
    /// One task, whatever it does now.
    Task {
        /// Its index.
        index: u32,
    },
    /// The connector instance and, when asked for, its tasks.
    Connector {
        /// Tasks too.
        include_tasks: bool,
        /// Only what is FAILED.
        only_failed: bool,
    },
}

/// Why a stored record cannot be read. All of these mean that the log is not ours or newer than this program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// No record of ours has such a key.
    #[error("unknown record key {key:?}")]
    UnknownKey {
        /// The key as stored.
        key: String,
    },
    /// It was written in another format.
    #[error("record {key:?} has format version {found}, this program reads version {FORMAT_VERSION}")]
    UnknownVersion {
        /// The record.
        key: String,
        /// The version it carries.
        found: u32,
    },
    /// It is not what its key promises.
    #[error("record {key:?} cannot be read: {detail}")]
    Malformed {
        /// The record.
        key: String,
        /// What the decoder says.
        detail: String,
    },
}

#[derive(Serialize)]
struct Versioned<'a, T> {
    v: u32,
    #[serde(flatten)]
    record: &'a T,
}

fn encode<T: Serialize>(record: &T) -> String {
    serde_json::to_string(&Versioned { v: FORMAT_VERSION, record })
        .expect("records have string keys and no failing fields")
}

fn decode<T: DeserializeOwned>(key: &Key, text: &str) -> Result<T, RecordError> {
    decode_named(text, || key.to_string())
}

fn decode_named<T: DeserializeOwned>(text: &str, key: impl Fn() -> String) -> Result<T, RecordError> {
    let malformed = |error: serde_json::Error| RecordError::Malformed { key: key(), detail: error.to_string() };
    let mut fields: BTreeMap<String, serde_json::Value> = serde_json::from_str(text).map_err(malformed)?;
    let version = match fields.remove("v") {
        None => return Err(RecordError::Malformed { key: key(), detail: "it has no field \"v\"".to_owned() }),
        Some(version) => serde_json::from_value::<u32>(version).map_err(malformed)?,
    };
    if version != FORMAT_VERSION {
        return Err(RecordError::UnknownVersion { key: key(), found: version });
    }
    serde_json::from_value(fields.into_iter().collect()).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_default_tenant_are_plain_and_all_keys_read_back() {
        let acme = ConnectorKey { tenant: Tenant::new("acme").unwrap(), name: "a/b".to_owned() };
        let odd = ConnectorKey::plain("tenant/x/connector/y");
        for (key, text) in [
            (Key::Cluster, "cluster"),
            (Key::Worker(Incarnation("w/1".to_owned())), "worker/w/1"),
            (Key::Connector(ConnectorKey::plain("orders")), "connector/orders"),
            (Key::Connector(odd), "connector/tenant/x/connector/y"),
            (Key::Connector(acme.clone()), "tenant/acme/connector/a/b"),
            (Key::Assign(acme.subject(Instance::Connector)), "tenant/acme/assign/a/b/-1"),
            (Key::Assign(ConnectorKey::plain("n/7").subject(Instance::Task(3))), "assign/n/7/3"),
            (Key::Tag("mask@1.0".to_owned()), "tag/mask@1.0"),
        ] {
            assert_eq!(key.to_string(), text);
            assert_eq!(Key::parse(text), Ok(key));
        }
    }

    #[test]
    fn foreign_keys_are_refused() {
        for text in [
            "",
            "connector-orders",
            "assign/x",
            "assign/x/-2",
            "tenant/acme/cluster",
            "tenant//connector/x",
            "cluster/x",
        ] {
            assert_eq!(Key::parse(text), Err(RecordError::UnknownKey { key: text.to_owned() }), "{text}");
        }
    }

    #[test]
    fn a_record_of_another_version_is_refused() {
        let key = Key::Applied;
        assert_eq!(Value::Applied(AppliedRecord { offset: 7 }).encode(), r#"{"v":1,"offset":7}"#);
        assert!(matches!(
            Value::decode(&key, r#"{"v":2,"offset":7}"#),
            Err(RecordError::UnknownVersion { found: 2, .. })
        ));
        assert!(matches!(Value::decode(&key, r#"{"offset":7}"#), Err(RecordError::Malformed { .. })));
        assert!(matches!(Value::decode(&key, r#"{"v":1}"#), Err(RecordError::Malformed { .. })));
    }

    #[test]
    fn requests_read_back() {
        let request = Request {
            id: RequestId("w1-1".to_owned()),
            from: Incarnation("w1".to_owned()),
            body: Body::Restart {
                connector: ConnectorKey::plain("c"),
                scope: RestartScope::Connector { include_tasks: true, only_failed: false },
            },
        };
        assert_eq!(Request::decode(&request.encode()), Ok(request));
    }
}
