//! The cluster's mind: records, their fold, and the two cores that decide.
//!
//! Everything here is pure: no I/O, no clock, no async, no randomness, no order of hash maps. `step(now, event, out)`
//! changes the core and adds commands to `out`; whoever runs the cores carries them out and tells them what came of it.
//! The same cores serve one worker over a local journal and many over Kafka.

mod assign;
mod id;
pub mod leader;
mod records;
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
pub use state::State;
