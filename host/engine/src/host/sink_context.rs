//! `sink-context`: what a sink asks of its consumer. Requests are kept until its task takes them after the call.

use super::HostState;
use crate::bindings::tidegate::connect::sink_context::Host;
use crate::bindings::tidegate::connect::types::{Position, TopicPartition};

/// Requests, and partitions in one of them, that are kept at a time.
const REQUESTS_MAX: usize = 1_000;

/// What a sink asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum SinkRequest {
    Pause(Vec<TopicPartition>),
    Resume(Vec<TopicPartition>),
    /// Go on from other offsets.
    Seek(Vec<Position>),
    /// `pre-commit` and commit soon.
    Commit,
}

pub(crate) struct SinkRequests {
    is_accepting: bool,
    waiting: Vec<SinkRequest>,
}

impl SinkRequests {
    pub(crate) fn new(is_accepting: bool) -> SinkRequests {
        SinkRequests { is_accepting, waiting: Vec::new() }
    }

    pub(crate) fn take(&mut self) -> Vec<SinkRequest> {
        std::mem::take(&mut self.waiting)
    }

    fn push(&mut self, request: SinkRequest, partitions: usize) -> Result<(), String> {
        if !self.is_accepting {
            return Err("only the task of a sink has a consumer".to_owned());
        }
        if partitions > REQUESTS_MAX || self.waiting.len() >= REQUESTS_MAX {
            return Err(format!("more than {REQUESTS_MAX} requests in one call"));
        }
        // Asking twice for a commit is asking once.
        if request != SinkRequest::Commit || !self.waiting.contains(&SinkRequest::Commit) {
            self.waiting.push(request);
        }
        Ok(())
    }
}

impl Host for HostState {
    fn pause(&mut self, partitions: Vec<TopicPartition>) -> Result<(), String> {
        let count = partitions.len();
        self.sink.push(SinkRequest::Pause(partitions), count)
    }

    fn resume(&mut self, partitions: Vec<TopicPartition>) -> Result<(), String> {
        let count = partitions.len();
        self.sink.push(SinkRequest::Resume(partitions), count)
    }

    fn seek(&mut self, positions: Vec<Position>) -> Result<(), String> {
        let count = positions.len();
        self.sink.push(SinkRequest::Seek(positions), count)
    }

    fn request_commit(&mut self) -> Result<(), String> {
        self.sink.push(SinkRequest::Commit, 0)
    }
}
