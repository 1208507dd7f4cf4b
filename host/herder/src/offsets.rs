//! Committed offsets as an operator reads and changes them.
//!
//! A change is made while nothing of the connector runs, and nothing of it starts until the change is done: tasks would
//! otherwise go on from old offsets and commit over the new ones.

use crate::cluster::{Config, ConnectorKey, ConnectorKind, Plugins};
use crate::handle::Error;

/// How far a connector has come in one partition of what it reads. Both texts are JSON objects, written compactly.
///
/// Of a source they are the plugin's own; of a sink `{"kafka_topic","kafka_partition"}` and `{"kafka_offset"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionOffset {
    /// None only in requests, which are refused then.
    pub partition: Option<String>,
    /// None asks to forget the partition.
    pub offset: Option<String>,
}

/// A connector whose offsets are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetsSpec {
    /// Whose.
    pub connector: ConnectorKey,
    /// Source or sink.
    pub kind: ConnectorKind,
    /// The connector's configuration.
    pub config: Config,
    /// The bytes that may have a say in a change.
    pub plugins: Plugins,
}

/// What an operator wants of a connector's offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OffsetsChange {
    /// Sets those of some partitions and leaves the others.
    Alter(Vec<PartitionOffset>),
    /// Forgets all.
    Reset,
}

/// How far a change reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetsChanged {
    /// The plugin had a look at it as well.
    WithPlugin,
    /// The plugin did not look: what it may keep in its own system is as it was.
    WithoutPlugin,
}

/// Why offsets were not read or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OffsetsError {
    /// The request is wrong; nothing was changed.
    Invalid {
        /// The text of the answer.
        message: String,
    },
    /// The plugin refused, or a store is out of reach. Whether some were changed is unknown, and asking again is harmless.
    Failed {
        /// The text of the answer.
        message: String,
    },
}

impl From<OffsetsError> for Error {
    fn from(error: OffsetsError) -> Error {
        match error {
            OffsetsError::Invalid { message } => Error::BadRequest { message, problems: Vec::new() },
            OffsetsError::Failed { message } => Error::Unavailable { message },
        }
    }
}
