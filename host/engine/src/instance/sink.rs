//! Instances that act for a sink: its connector side, one of its tasks, or one lane of a task.

use super::{Config, Core, InstanceSpec, Recycle, call, call_plain, common};
use crate::bindings::exports::tidegate::connect::sink::{Guest, NewOffset, Outcome};
use crate::bindings::tidegate::connect::types::{Payload, Position, Problem, TopicPartition};
use crate::error::CallError;
use crate::host::sink_context::SinkRequest;
use crate::limits::Budget;
use crate::plugin::Plugin;

/// A sink in its sandbox. `wit/sink.wit` says who calls what, when, and what each error makes the caller do.
pub struct SinkInstance {
    core: Core,
    guest: Guest,
    definition: String,
}

common!(SinkInstance, sink, sink, true);

impl SinkInstance {
    pub async fn validate(&mut self, config: &Config) -> Result<Vec<Problem>, CallError> {
        call_plain!(self, "sink.validate", call_validate, config)
    }

    pub async fn task_configs(&mut self, config: &Config, tasks_max: u32) -> Result<Vec<Config>, CallError> {
        call!(self, "sink.task-configs", call_task_configs, config, tasks_max)
    }

    pub async fn alter_offsets(&mut self, config: &Config, offsets: &[NewOffset]) -> Result<bool, CallError> {
        call!(self, "sink.alter-offsets", call_alter_offsets, config, offsets)
    }

    pub async fn start(&mut self, config: &Config) -> Result<(), CallError> {
        call!(self, "sink.start", call_start, config)
    }

    pub async fn open(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Position>, CallError> {
        call!(self, "sink.open", call_open, partitions)
    }

    pub async fn put(&mut self, batch: &Payload) -> Result<Outcome, CallError> {
        call!(self, "sink.put", call_put, batch)
    }

    pub async fn pre_commit(&mut self) -> Result<Option<Vec<Position>>, CallError> {
        call!(self, "sink.pre-commit", call_pre_commit)
    }

    pub async fn close(&mut self, partitions: &[TopicPartition]) -> Result<(), CallError> {
        call!(self, "sink.close", call_close, partitions)
    }

    pub async fn stop(&mut self) -> Result<(), CallError> {
        call!(self, "sink.stop", call_stop)
    }

    /// What the sink asked of its consumer since this was last called, in order.
    pub fn take_requests(&mut self) -> Vec<SinkRequest> {
        self.core.take_sink_requests()
    }
}
