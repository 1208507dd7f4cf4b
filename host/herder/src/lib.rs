//! The control plane: what shall run, who runs it, and what became of it.
//!
//! Start reading at [`cluster`], the pure cores that decide; the runtime carries their commands out, [`Handle`] is what
//! others ask, [`TaskHost`] is what others implement. This crate knows neither wasmtime nor HTTP nor Kafka's client.
//!
//! # How the pieces fit
//!
//! ```text
//! REST, CLI ──Handle──► mailbox ──► leader core ──decision──► journal ──► worker core ──commands──► TaskHost
//!                          ▲                                                                          │
//!                          └────────────── results of calls, Reporter::failed, reconfigure ◄──────────┘
//! ```
//!
//! A write of the API becomes a request; the leader core decides it; the decision is stored as a whole; then the answer
//! goes out and the worker core acts on what was stored. A crash at any point leaves either all or nothing of a decision,
//! and the next start resumes from there: RUNNING connectors start again, PAUSED ones come up paused, STOPPED ones stay
//! stopped.
//!
//! # For those who ask
//!
//! ```no_run
//! # use std::path::Path;
//! # use tidegate_herder::{Config, Journal, Settings, Target, TaskHost, start};
//! # async fn example(host: impl TaskHost, config: Config) -> Result<(), Box<dyn std::error::Error>> {
//! // The caller holds a lock on the directory: one process at a time.
//! let journal = Journal::open(Path::new(".tidegate"))?;
//! let (handle, ended) = start(Settings::new("connect-cluster", "127.0.0.1:8083"), journal, host).await?;
//! handle.create_connector("orders", config, Target::Running).await?;
//! println!("{}", handle.status("orders").await?.connector.state);
//! handle.shutdown().await?;
//! ended.await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Error`]'s variants are answers: `NotFound` 404, `AlreadyExists` and `Conflict` 409, `BadRequest` 400, `Unavailable`
//! 500; their texts are Kafka Connect's. Right after a create a connector has no tasks and its instance is UNASSIGNED:
//! both follow.
//!
//! # For those who implement [`TaskHost`]
//!
//! * Calls about one [`RunId`] never overlap, except `abandon`. A [`RunId`] is never used twice.
//! * A connector comes up through `validate` (before anything is written), `start_connector`, `task_configs`, then one
//!   `start_task` for each configuration. `task_configs` is asked again after a resume, a reconfiguration, and whenever
//!   the connector's [`Reporter::reconfigure`] says so; nothing restarts when the answer is the same.
//! * A changed configuration is a new run of the connector instance, and of the tasks once it has answered
//!   `task_configs` under it. Until then the tasks run on with the old one.
//! * `start_*` may be told to come up paused (`spec.target`). After `stop` is ready nothing of the run may be left; when
//!   it is not ready within the grace, `abandon` follows and a successor may start at once.
//! * The end of the input is no event: such a task stays RUNNING.

pub mod cluster;
mod handle;
mod host;
pub mod journal;
mod offsets;
mod runtime;

pub use cluster::{
    Config, ConnectorKey, ConnectorKind, Digest, Instance, PluginManifest, Plugins, RestartPolicy, RunId, RunState,
    Subject, Target, Tenant,
};
pub use handle::{ConnectorInfo, ConnectorStatus, Error, Handle, InstanceStatus, Restarts};
pub use host::{
    ConnectorSpec, Failure, HostEvent, Problem, Refusal, Reporter, TaskHost, TaskSpec, ValidateRequest, Validated,
};
pub use journal::{Journal, JournalError};
pub use offsets::{OffsetsChange, OffsetsChanged, OffsetsError, OffsetsSpec, PartitionOffset};
pub use runtime::{Settings, StartError, start};
