//! The cluster's mind: records, their fold, and the two cores that decide.
//!
//! Everything here is pure: no I/O, no clock, no async, no randomness, no order of hash maps. `step(now, event, out)`
//! changes the core and adds commands to `out`; whoever runs the cores carries them out and tells them what came of it.
//! The same cores serve one worker over a local journal and many over Kafka.
//!
//! # Rules that hold everywhere
//!
//! * A decision is one transaction: its records are stored as a whole or not at all, together with how far `requests` is
//!   decided. Every request of the API gets an outcome, exactly once.
//! * `uid` tells a connector from a deleted one of the same name (it is the offset of the request that created it); `rev`
//!   counts its configurations, `task_gen` its task sets, `task_epoch` the runs of one instance.
//! * A restart is an assignment to the same owner under the next epoch. So (uid, epoch) names one run for ever, and a
//!   restart, a move and a reconfiguration are one mechanism: run what `assign` says, under the epoch it says.
//! * Owners change in two steps: the new owner waits while `prev` names the old one, which reports `released` once its run
//!   has ended or was abandoned; a worker that is gone is removed from `prev` by the decision that declares it gone.
//! * Deleting removes connector and tasks at once; an assignment stays until it is released, so that a connector created
//!   under the same name a moment later waits for the old runs.
//! * What an instance is doing (status) is advisory. The one exception is `assign.failed`, which `onlyFailed` rests on.

mod assign;
mod id;
pub mod leader;
mod records;
mod restart;
mod state;
pub mod worker;

pub use assign::{Placement, assign};
pub use id::{
    Config, ConnectorKey, ConnectorKind, Digest, Incarnation, Instance, Millis, Plugins, RequestId, RunId, RunState,
    Subject, Target, Tenant,
};
pub use records::{
    AppliedRecord, AssignRecord, Body, ClusterRecord, ConnectorRecord, FORMAT_VERSION, Key, LeaderRecord, Outcome,
    PluginManifest, PutConnector, RECORD_BYTES_MAX, Reason, RecordError, Request, RestartScope, Revision, TagRecord,
    TasksRecord, Value, WorkerRecord, Write,
};
pub use restart::{RestartPolicy, RestartStatus};
pub use state::State;
