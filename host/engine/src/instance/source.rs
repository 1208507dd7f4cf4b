//! Instances that act for a source: its connector side or one of its tasks.

use super::{Config, Core, InstanceSpec, Recycle, call, call_plain, common};
use crate::bindings::exports::tidegate::connect::source::{ExactlyOnce, Guest};
use crate::bindings::tidegate::connect::types::{Payload, Problem, SourceOffset};
use crate::error::CallError;
use crate::limits::Budget;
use crate::plugin::Plugin;
use std::time::Duration;

/// A source in its sandbox. `wit/source.wit` says who calls what, when, and what each error makes the caller do.
pub struct SourceInstance {
    core: Core,
    guest: Guest,
    definition: String,
}

common!(SourceInstance, source, source, false);

impl SourceInstance {
    pub async fn validate(&mut self, config: &Config) -> Result<Vec<Problem>, CallError> {
        call_plain!(self, "source.validate", call_validate, config)
    }

    pub async fn exactly_once_support(&mut self, config: &Config) -> Result<ExactlyOnce, CallError> {
        call_plain!(self, "source.exactly-once-support", call_exactly_once_support, config)
    }

    pub async fn task_configs(&mut self, config: &Config, tasks_max: u32) -> Result<Vec<Config>, CallError> {
        call!(self, "source.task-configs", call_task_configs, config, tasks_max)
    }

    pub async fn refresh(&mut self, config: &Config) -> Result<bool, CallError> {
        call!(self, "source.refresh", call_refresh, config)
    }

    pub async fn alter_offsets(&mut self, config: &Config, offsets: &[SourceOffset]) -> Result<bool, CallError> {
        call!(self, "source.alter-offsets", call_alter_offsets, config, offsets)
    }

    pub async fn start(&mut self, config: &Config) -> Result<(), CallError> {
        call!(self, "source.start", call_start, config)
    }

    /// May take `wait_ms` longer than other calls.
    pub async fn poll(&mut self, max_records: u32, max_bytes: u32, wait_ms: u32) -> Result<Payload, CallError> {
        let begun = self.core.begin_waiting("source.poll", Duration::from_millis(u64::from(wait_ms)))?;
        call!(self, begun, run call_poll, max_records, max_bytes, wait_ms)
    }

    pub async fn commit(&mut self, offsets: &[SourceOffset]) -> Result<(), CallError> {
        call!(self, "source.commit", call_commit, offsets)
    }

    pub async fn stop(&mut self) -> Result<(), CallError> {
        call!(self, "source.stop", call_stop)
    }
}
