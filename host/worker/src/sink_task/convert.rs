//! Kafka's messages, partitions and offsets as the view and the guest have them, and back.

use tidegate_engine::Position;
use tidegate_kafka::{MessageBatch, PartitionOffset, Timestamp, TopicPartition};
use tidegate_record::view::{Message, View};

use crate::instances::TaskSchemas;

/// Puts messages into a view; answers the bytes of their keys and values.
pub(super) fn fill<'b>(
    view: &mut View<'b>,
    batch: &'b MessageBatch,
    converters: &tidegate_record::view::Converters,
    schemas: &TaskSchemas,
) -> usize {
    let mut schemas = schemas.lock();
    let mut bytes = 0;
    for run in batch.runs() {
        for index in run.range {
            let message = batch.get(index);
            // No allocation where there are no headers. Names are UTF-8 by Kafka's rules; what is not is no name that
            // anybody could ask for.
            let headers: Vec<_> =
                message.headers().filter_map(|(name, value)| Some((std::str::from_utf8(name).ok()?, value))).collect();
            let (key, value) = (message.key(), message.value());
            bytes += key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
            let timestamp = message.timestamp();
            view.push(
                Message {
                    topic: run.topic,
                    partition: run.partition,
                    offset: message.offset(),
                    timestamp: timestamp.millis().unwrap_or(-1),
                    append_time: matches!(timestamp, Timestamp::LogAppendTime(_)),
                    key,
                    value,
                    headers: &headers,
                },
                converters,
                &mut schemas,
            );
        }
    }
    bytes
}

/// Where each partition stands after a batch.
pub(super) fn positions_after(batch: &MessageBatch) -> Vec<PartitionOffset> {
    batch
        .runs()
        .filter_map(|run| {
            let last = run.range.end.checked_sub(1)?;
            Some(PartitionOffset::new(run.topic, run.partition, batch.get(last).offset() + 1))
        })
        .collect()
}

pub(super) fn guest_partitions(partitions: &[TopicPartition]) -> Vec<tidegate_engine::TopicPartition> {
    partitions
        .iter()
        .filter_map(|at| {
            let partition = u32::try_from(at.partition).ok()?;
            Some(tidegate_engine::TopicPartition { topic: at.topic.clone(), partition })
        })
        .collect()
}

pub(super) fn kafka_partitions(partitions: &[tidegate_engine::TopicPartition]) -> Vec<TopicPartition> {
    partitions
        .iter()
        .filter_map(|at| Some(TopicPartition::new(at.topic.clone(), i32::try_from(at.partition).ok()?)))
        .collect()
}

pub(super) fn kafka_positions(positions: &[Position]) -> Vec<PartitionOffset> {
    positions
        .iter()
        .filter_map(|at| {
            let (partition, offset) = (i32::try_from(at.partition).ok()?, i64::try_from(at.next_offset).ok()?);
            Some(PartitionOffset::new(at.topic.clone(), partition, offset))
        })
        .collect()
}
