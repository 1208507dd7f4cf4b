//! The data plane: runs connectors and tasks, and moves their records between guests and Kafka.
//!
//! [`Worker`] is what the control plane tells to start and stop things (it implements the herder's `TaskHost`); [`Catalog`]
//! knows the plugins. A task is read top to bottom in `source_task.rs` or `sink_task.rs`; what both use: the checked
//! configuration with its pinned components (`plan.rs`), guests and their grants (`instances.rs`), the chain of transforms
//! (`chain.rs`), converters (the host's in `converters.rs`, plugins' in `conversion.rs`), the error policy (`errors.rs`),
//! offsets (`operator_offsets.rs` is what people do with them). `trial` runs chains and converters on sample records, without tasks and Kafka. [`Trial`] runs the same parts without Kafka.
//!
//! Absent on purpose: HTTP, group membership and leadership (the herder's), anything of wasmtime (the engine's).

mod catalog;
mod chain;
mod connector;
mod control;
mod conversion;
mod converters;
mod dead_letters;
mod errors;
mod fencing;
mod host;
mod instances;
mod metrics;
mod offsets;
mod operator_offsets;
mod outbox;
mod own_offsets;
mod payload;
mod plan;
mod policy;
mod shared;
mod sink_task;
mod source_task;
mod topic_creation;
mod trial;
mod validate;

pub use catalog::{Catalog, CatalogError, Class, Component, Names, Origin};
pub use converters::definitions as converter_definitions;
pub use host::{Worker, WorkerParts};
pub use metrics::{Metrics, TaskKind, TaskMetrics, Totals};
pub use offsets::{OffsetError, OffsetStore};
pub use trial::{ChainError, Parts, Shown, Stage, Trial, TriedChain};
