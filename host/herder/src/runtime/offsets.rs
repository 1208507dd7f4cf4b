//! Reads and changes of offsets that are under way.
//!
//! A change waits until nothing of its connector runs, which the grace of a stop bounds, and until the change before it is
//! done. While it is under way the connector is neither started nor deleted: that is refused. Of a connector that is being
//! stopped a read waits, too: its tasks commit as they end.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::timeout;

use super::{Runtime, answer};
use crate::cluster::{ConnectorKey, Target};
use crate::handle::{Error, Reply};
use crate::host::TaskHost;
use crate::offsets::{OffsetsChange, OffsetsChanged, OffsetsError, OffsetsSpec, PartitionOffset};

/// How many reads and changes there may be at the same time, those that wait included.
const CALLS_MAX: usize = 64;

#[derive(Default)]
pub(super) struct OffsetCalls {
    reads: Vec<Read>,
    changes: Vec<Change>,
    calls: JoinSet<Answer>,
    /// Whose offsets are being changed, by call.
    changing: HashMap<Id, ConnectorKey>,
}

/// Tells the caller what came of a call. Done once the call counts as over: what the caller asks for next must not meet it.
type Answer = Box<dyn FnOnce() + Send>;

/// A read that has not begun.
struct Read {
    connector: ConnectorKey,
    reply: Reply<Vec<PartitionOffset>>,
}

/// A change that has not begun.
struct Change {
    connector: ConnectorKey,
    change: OffsetsChange,
    reply: Reply<OffsetsChanged>,
}

impl OffsetCalls {
    pub(super) fn is_changing(&self, connector: &ConnectorKey) -> bool {
        self.changing.values().any(|changing| changing == connector)
    }

    /// Ready when a call has ended; never while there is none.
    pub(super) async fn ended(&mut self) {
        match self.calls.join_next_with_id().await {
            None => std::future::pending().await,
            Some(Ok((id, answer))) => {
                self.changing.remove(&id);
                answer();
            }
            Some(Err(error)) => {
                tracing::error!("a call about offsets panicked: {error}");
                self.changing.remove(&JoinError::id(&error));
            }
        }
    }

    fn is_full(&self) -> bool {
        self.reads.len() + self.changes.len() + self.calls.len() >= CALLS_MAX
    }
}

impl<H: TaskHost> Runtime<H> {
    pub(super) fn read_offsets(&mut self, connector: ConnectorKey, reply: Reply<Vec<PartitionOffset>>) {
        match self.offset_calls.is_full() {
            true => answer(reply, Err(too_many())),
            false => self.offset_calls.reads.push(Read { connector, reply }),
        }
    }

    pub(super) fn change_offsets(
        &mut self,
        connector: ConnectorKey,
        change: OffsetsChange,
        reply: Reply<OffsetsChanged>,
    ) {
        match self.offset_calls.is_full() {
            true => answer(reply, Err(too_many())),
            false => self.offset_calls.changes.push(Change { connector, change, reply }),
        }
    }

    /// Begins what waits and whose time has come. Called when everything that was asked before is decided.
    pub(super) fn begin_offset_calls(&mut self) {
        for Read { connector, reply } in std::mem::take(&mut self.offset_calls.reads) {
            match self.offsets_spec(&connector) {
                None => answer(reply, Err(Error::unknown_connector(&connector))),
                Some(_) if self.is_stopping(&connector) => self.offset_calls.reads.push(Read { connector, reply }),
                Some(of) => self.begin_read(of, reply),
            }
        }
        for Change { connector, change, reply } in std::mem::take(&mut self.offset_calls.changes) {
            match self.offsets_spec(&connector) {
                None => answer(reply, Err(Error::unknown_connector(&connector))),
                Some(_) if !self.shall_be_stopped(&connector) => answer(reply, Err(not_stopped(&connector))),
                Some(_) if self.is_stopping(&connector) || self.offset_calls.is_changing(&connector) => {
                    self.offset_calls.changes.push(Change { connector, change, reply });
                }
                Some(of) => self.begin_change(of, change, reply),
            }
        }
    }

    fn begin_read(&mut self, of: OffsetsSpec, reply: Reply<Vec<PartitionOffset>>) {
        let (host, limit) = (Arc::clone(&self.host), self.settings.offsets_timeout);
        self.offset_calls.calls.spawn(async move {
            let read = bounded(limit, host.offsets(of)).await;
            Box::new(move || answer(reply, read)) as Answer
        });
    }

    fn begin_change(&mut self, of: OffsetsSpec, change: OffsetsChange, reply: Reply<OffsetsChanged>) {
        let (host, limit, connector) = (Arc::clone(&self.host), self.settings.offsets_timeout, of.connector.clone());
        let call = self.offset_calls.calls.spawn(async move {
            let changed = bounded(limit, host.change_offsets(of, change)).await;
            Box::new(move || answer(reply, changed)) as Answer
        });
        self.offset_calls.changing.insert(call.id(), connector);
    }

    fn shall_be_stopped(&self, connector: &ConnectorKey) -> bool {
        let record = self.worker.state().connectors.get(connector);
        record.is_some_and(|record| record.target == Target::Stopped)
    }

    fn is_stopping(&self, connector: &ConnectorKey) -> bool {
        self.shall_be_stopped(connector) && self.worker.runs(connector)
    }

    fn offsets_spec(&self, connector: &ConnectorKey) -> Option<OffsetsSpec> {
        let record = self.worker.state().connectors.get(connector)?;
        Some(OffsetsSpec {
            connector: connector.clone(),
            kind: record.kind,
            config: record.config.clone(),
            plugins: record.plugins.clone(),
        })
    }
}

async fn bounded<T>(limit: Duration, call: impl Future<Output = Result<T, OffsetsError>>) -> Result<T, Error> {
    match timeout(limit, call).await {
        Ok(result) => result.map_err(Error::from),
        Err(_) => Err(Error::Unavailable { message: format!("there was no answer within {} ms", limit.as_millis()) }),
    }
}

fn too_many() -> Error {
    let message = format!("{CALLS_MAX} requests about offsets are under way already; try again later");
    Error::Unavailable { message }
}

/// Why a verb is refused that would let a connector run, or go, in the middle of a change.
pub(super) fn under_way(connector: &ConnectorKey) -> Error {
    let message = format!("the offsets of connector {:?} are being changed; try again in a moment", connector.name);
    Error::Conflict { message }
}

fn not_stopped(connector: &ConnectorKey) -> Error {
    let message = format!(
        "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the \
         specified connector by issuing a 'PUT' request to the '/connectors/{}/stop' endpoint",
        connector.name
    );
    Error::BadRequest { message, problems: Vec::new() }
}
