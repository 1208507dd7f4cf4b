//! Kafka, as the rest of the host sees it: a [`Producer`] that accounts for batches, a [`Consumer`] that hands over
//! batches, an [`Admin`] client and a [`CompactedTopic`] that is read as a table.
//!
//! This is the only crate that knows rdkafka, and it uses it below its safe wrapper: batch calls of librdkafka's C
//! interface cost a quarter of the wrapper's per-message ones, and the wrapper's flush and poll loops wait in steps of
//! 100 ms or spin. Everything that touches C is in the `native` module; the other modules decide.
//!
//! Every call is synchronous and bounded by a time the caller gives. A client belongs to one thread at a time: run it on
//! a thread of its own or under `spawn_blocking`. The crate knows nothing of plugins, records' meaning or HTTP, reads no
//! environment and starts no thread (librdkafka starts its own: three or four and one per broker).

mod admin;
mod code;
mod consumer;
mod error;
mod ledger;
mod native;
mod offset;
mod producer;
mod rate_limit;
mod settings;
mod table;

pub use admin::{Admin, ConfigEntry, Isolation, NewTopic, TopicCreated, TopicDescription};
pub use code::Code;
pub use consumer::{Closed, CommitResult, Consumer, GroupMetadata, Polled, Rebalance, RebalanceKind, Subscription};
pub use error::KafkaError;
pub use ledger::{BatchOutcome, BatchTicket, DeliveryError, DeliveryFailure};
pub use native::message::{Headers, Message, MessageBatch, Run, Timestamp};
pub use offset::{PartitionOffset, StartOffset, TopicPartition};
pub use producer::{Enqueued, OutHeader, OutRecord, Producer};
pub use settings::ClientSettings;
pub use table::{CompactedTopic, TableWrite};

#[cfg(test)]
mod tests {
    use super::*;

    /// Each client is made on one thread and handed to the one that works with it.
    #[test]
    fn clients_and_batches_can_move_to_another_thread() {
        fn movable<T: Send>() {}
        movable::<Producer>();
        movable::<Consumer>();
        movable::<Admin>();
        movable::<CompactedTopic>();
        movable::<MessageBatch>();
        movable::<GroupMetadata>();
    }
}
