//! What the rest of the program may ask of the control plane: a cloneable handle whose methods are verbs.
//!
//! A write returns once its outcome is durable; what it leads to (instances that start, tasks that appear) follows and
//! shows in [`Handle::status`]. Reads show what has been decided. Nothing here waits for a plugin, except that
//! [`Handle::create_connector`] and [`Handle::put_connector`] wait for the configuration to be checked, and those about
//! offsets for the store and the plugin, within the runtime's time-outs.

use std::collections::BTreeMap;

use tokio::sync::{mpsc, oneshot};

use crate::cluster::{
    Config, ConnectorKey, ConnectorKind, Digest, Outcome, PluginManifest, Plugins, RestartScope, RunState, Target,
    Tenant,
};
use crate::host::{Problem, Refusal};
use crate::offsets::{OffsetsChange, OffsetsChanged, PartitionOffset};

/// Why a verb was not carried out. Each variant is an answer of its own; its text is for people, and Kafka Connect's
/// where Kafka Connect has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such connector, task, status or plugin (404).
    #[error("{message}")]
    NotFound {
        /// The text of the answer.
        message: String,
    },
    /// The connector exists already (409).
    #[error("{message}")]
    AlreadyExists {
        /// The text of the answer.
        message: String,
    },
    /// The author must change the request (400).
    #[error("{message}")]
    BadRequest {
        /// The text of the answer.
        message: String,
        /// One entry for each key; empty when the request as a whole is wrong.
        problems: Vec<Problem>,
    },
    /// Others keep changing the same connector (409). Asking again can help.
    #[error("{message}")]
    Conflict {
        /// The text of the answer.
        message: String,
    },
    /// It cannot be done now (500). Whether it will still take effect is unknown.
    #[error("{message}")]
    Unavailable {
        /// The text of the answer.
        message: String,
    },
}

impl Error {
    pub(crate) fn unknown_connector(connector: &ConnectorKey) -> Error {
        Error::NotFound { message: format!("Connector {} not found", connector.name) }
    }

    pub(crate) fn stopped() -> Error {
        Error::Unavailable { message: "the control plane has stopped".to_owned() }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        match refusal {
            Refusal::Invalid { message, problems } => Error::BadRequest { message, problems },
            Refusal::Unavailable { message } => Error::Unavailable { message },
        }
    }
}

/// A connector as decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectorInfo {
    /// Its name.
    pub name: String,
    /// What the operator wrote, `name` included.
    pub config: Config,
    /// Source or sink.
    pub kind: ConnectorKind,
    /// Version of its plugin.
    pub version: Option<String>,
    /// The digest pinned for each role.
    pub plugins: Plugins,
    /// Whether it shall run.
    pub target: Target,
    /// How many tasks it has; they are numbered from 0.
    pub tasks: u32,
}

/// What one instance is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceStatus {
    /// The state.
    pub state: RunState,
    /// Name of the worker that runs it (`host:port`); empty when none does.
    pub worker_id: String,
    /// Why it failed.
    pub trace: Option<String>,
    /// Version of its plugin.
    pub version: Option<String>,
    /// Restarts that nobody asked for, since it last ran well; none where there were none.
    pub restarts: Option<Restarts>,
}

/// How often an instance was restarted on its own, and when it will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restarts {
    /// So far; while one is planned it is counted.
    pub attempts: u32,
    /// The most there will be; none: no end.
    pub attempts_max: Option<u32>,
    /// Milliseconds to the next one; none where none is planned.
    pub next_in_ms: Option<u64>,
}

/// What a connector and its tasks are doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectorStatus {
    /// Its name.
    pub name: String,
    /// Source or sink.
    pub kind: ConnectorKind,
    /// The connector instance.
    pub connector: InstanceStatus,
    /// Its tasks; the index is the task's number.
    pub tasks: Vec<InstanceStatus>,
}

/// A way to ask the control plane. Cheap to clone; useless, not harmful, after the herder has stopped.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(crate) tenant: Tenant,
    pub(crate) mailbox: mpsc::Sender<Message>,
}

/// A verb on its way to the runtime.
#[derive(Debug)]
pub(crate) enum Message {
    Put { connector: ConnectorKey, config: Config, create: Option<Target>, reply: Reply<(bool, ConnectorInfo)> },
    Delete { connector: ConnectorKey, reply: Reply<()> },
    SetTarget { connector: ConnectorKey, target: Target, reply: Reply<()> },
    Restart { connector: ConnectorKey, scope: RestartScope, reply: Reply<ConnectorStatus> },
    Publish { manifest: PluginManifest, reply: Reply<()> },
    List { tenant: Tenant, reply: Reply<Vec<String>> },
    Info { connector: ConnectorKey, reply: Reply<ConnectorInfo> },
    Status { connector: ConnectorKey, reply: Reply<ConnectorStatus> },
    TaskConfigs { connector: ConnectorKey, reply: Reply<Vec<Config>> },
    Offsets { connector: ConnectorKey, reply: Reply<Vec<PartitionOffset>> },
    ChangeOffsets { connector: ConnectorKey, change: OffsetsChange, reply: Reply<OffsetsChanged> },
    Plugins { reply: Reply<Vec<PluginManifest>> },
    Tags { reply: Reply<BTreeMap<String, Digest>> },
    Ping { reply: Reply<()> },
    Stop { reply: Reply<()> },
}

pub(crate) type Reply<T> = oneshot::Sender<Result<T, Error>>;

impl Handle {
    /// The same control plane, seen by another tenant.
    pub fn with_tenant(&self, tenant: Tenant) -> Handle {
        Handle { tenant, mailbox: self.mailbox.clone() }
    }

    /// Creates a connector that shall do `target`. Sets `name` in the configuration when it is absent.
    pub async fn create_connector(&self, name: &str, config: Config, target: Target) -> Result<ConnectorInfo, Error> {
        let config = named(name, config)?;
        let connector = self.key(name);
        let (_, info) = self.ask(|reply| Message::Put { connector, config, create: Some(target), reply }).await?;
        Ok(info)
    }

    /// Creates a connector or gives it another configuration. Answers whether it was created.
    pub async fn put_connector(&self, name: &str, config: Config) -> Result<(bool, ConnectorInfo), Error> {
        let config = named(name, config)?;
        let connector = self.key(name);
        self.ask(|reply| Message::Put { connector, config, create: None, reply }).await
    }

    /// Deletes a connector. Its name may be used again at once.
    pub async fn delete_connector(&self, name: &str) -> Result<(), Error> {
        let connector = self.key(name);
        self.ask(|reply| Message::Delete { connector, reply }).await
    }

    /// Pauses a connector and its tasks.
    pub async fn pause(&self, name: &str) -> Result<(), Error> {
        self.set_target(name, Target::Paused).await
    }

    /// Lets a paused or stopped connector run again.
    pub async fn resume(&self, name: &str) -> Result<(), Error> {
        self.set_target(name, Target::Running).await
    }

    /// Stops a connector: no instance and no task remains, its configuration and offsets do.
    pub async fn stop(&self, name: &str) -> Result<(), Error> {
        self.set_target(name, Target::Stopped).await
    }

    /// Restarts the connector instance (unless `only_failed` and it has not failed) and, with `include_tasks`, its
    /// tasks (with `only_failed`, those that failed). Answers the status with what restarts shown as RESTARTING.
    pub async fn restart_connector(
        &self,
        name: &str,
        include_tasks: bool,
        only_failed: bool,
    ) -> Result<ConnectorStatus, Error> {
        let connector = self.key(name);
        let scope = RestartScope::Connector { include_tasks, only_failed };
        self.ask(|reply| Message::Restart { connector, scope, reply }).await
    }

    /// Restarts one task.
    pub async fn restart_task(&self, name: &str, index: u32) -> Result<(), Error> {
        let connector = self.key(name);
        let scope = RestartScope::Task { index };
        self.ask(|reply| Message::Restart { connector, scope, reply }).await.map(drop)
    }

    /// The names of all connectors, sorted.
    pub async fn connectors(&self) -> Result<Vec<String>, Error> {
        let tenant = self.tenant.clone();
        self.ask(|reply| Message::List { tenant, reply }).await
    }

    /// One connector.
    pub async fn connector(&self, name: &str) -> Result<ConnectorInfo, Error> {
        let connector = self.key(name);
        self.ask(|reply| Message::Info { connector, reply }).await
    }

    /// What one connector and its tasks are doing.
    pub async fn status(&self, name: &str) -> Result<ConnectorStatus, Error> {
        let connector = self.key(name);
        self.ask(|reply| Message::Status { connector, reply }).await
    }

    /// What one task is doing.
    pub async fn task_status(&self, name: &str, index: u32) -> Result<InstanceStatus, Error> {
        let unknown = || Error::NotFound { message: format!("No status found for task {name}-{index}") };
        let status = match self.status(name).await {
            Err(Error::NotFound { .. }) => return Err(unknown()),
            status => status?,
        };
        status.tasks.into_iter().nth(index as usize).ok_or_else(unknown)
    }

    /// The configuration of each task.
    pub async fn task_configs(&self, name: &str) -> Result<Vec<Config>, Error> {
        let connector = self.key(name);
        self.ask(|reply| Message::TaskConfigs { connector, reply }).await
    }

    /// The committed offsets of one connector, in an order that stays. Of one that was stopped: after what still runs of it has
    /// ended.
    pub async fn offsets(&self, name: &str) -> Result<Vec<PartitionOffset>, Error> {
        let connector = self.key(name);
        self.ask(|reply| Message::Offsets { connector, reply }).await
    }

    /// Changes the committed offsets of a stopped connector. Waits until what still runs of it has ended.
    pub async fn change_offsets(&self, name: &str, change: OffsetsChange) -> Result<OffsetsChanged, Error> {
        let connector = self.key(name);
        self.ask(|reply| Message::ChangeOffsets { connector, change, reply }).await
    }

    /// Makes a plugin known under its digest, and its `name@version` lead to it. Connectors pinned to what that tag led
    /// to before keep their digest. The caller has stored the bytes already.
    pub async fn publish_plugin(&self, manifest: PluginManifest) -> Result<(), Error> {
        self.ask(|reply| Message::Publish { manifest, reply }).await
    }

    /// All known plugins, by digest.
    pub async fn plugins(&self) -> Result<Vec<PluginManifest>, Error> {
        self.ask(|reply| Message::Plugins { reply }).await
    }

    /// Where each tag (`name@version`) leads.
    pub async fn tags(&self) -> Result<BTreeMap<String, Digest>, Error> {
        self.ask(|reply| Message::Tags { reply }).await
    }

    /// Returns once the control plane has gone round its loop: it is alive and has read its log.
    pub async fn ping(&self) -> Result<(), Error> {
        self.ask(|reply| Message::Ping { reply }).await
    }

    /// Stops every run within the grace and then the control plane. Targets stay as they are: the next start resumes
    /// them. Returns when all runs are stopped or abandoned.
    pub async fn shutdown(&self) -> Result<(), Error> {
        self.ask(|reply| Message::Stop { reply }).await
    }

    async fn set_target(&self, name: &str, target: Target) -> Result<(), Error> {
        let connector = self.key(name);
        self.ask(|reply| Message::SetTarget { connector, target, reply }).await
    }

    fn key(&self, name: &str) -> ConnectorKey {
        ConnectorKey { tenant: self.tenant.clone(), name: name.to_owned() }
    }

    async fn ask<T>(&self, message: impl FnOnce(Reply<T>) -> Message) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.mailbox.send(message(reply)).await.map_err(|_| Error::stopped())?;
        answer.await.map_err(|_| Error::stopped())?
    }
}

/// The configuration with the connector's name in it.
fn named(name: &str, mut config: Config) -> Result<Config, Error> {
    match config.get("name") {
        Some(other) if other != name => Err(Error::BadRequest {
            message: format!("Connector name configuration ({other}) doesn't match connector name in the URL ({name})"),
            problems: Vec::new(),
        }),
        Some(_) => Ok(config),
        None => {
            config.insert("name".to_owned(), name.to_owned());
            Ok(config)
        }
    }
}

/// The answer to an outcome that is not success, worded as Kafka Connect words it for that verb.
pub(crate) fn refusal(outcome: &Outcome, connector: &ConnectorKey, verb: Verb) -> Option<Error> {
    let name = &connector.name;
    Some(match outcome {
        Outcome::Done | Outcome::Created | Outcome::Restarting { .. } => return None,
        Outcome::UnknownConnector => match verb {
            Verb::Target => Error::NotFound { message: format!("Unknown connector {name}") },
            Verb::Restart => Error::NotFound { message: format!("Unknown connector: {name}") },
            Verb::Other => Error::unknown_connector(connector),
        },
        Outcome::UnknownTask { index } => Error::NotFound { message: format!("Unknown task: {name}-{index}") },
        Outcome::AlreadyExists => Error::AlreadyExists { message: format!("Connector {name} already exists") },
        Outcome::Stale => Error::Conflict {
            message: format!("connector {name:?} was changed by others while its configuration was checked"),
        },
        Outcome::TooLarge { bytes } => Error::BadRequest {
            message: format!(
                "the request needs a record of {bytes} bytes, more than {}",
                crate::cluster::RECORD_BYTES_MAX
            ),
            problems: Vec::new(),
        },
    })
}

/// Which family of texts a refusal uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Target,
    Restart,
    Other,
}
