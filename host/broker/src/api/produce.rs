//! Produce: whole batches, appended as they came.

use std::sync::{Arc, MutexGuard};

use bytes::Bytes;
use kafka_protocol::ResponseError as Error;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};
use tracing::debug;

use super::{Answer, Call, text};
use crate::batch::{self, BatchError, Header};
use crate::clock::wall_ms;
use crate::core::{Core, Refused};
use crate::lock;
use crate::log::{AppendError, Appended};
use crate::net::Closed;
use crate::topics::Topic;
use crate::transaction::{Incarnation, Transaction};

/// From this version on (transactions of version 2) producing to a partition adds it to the transaction.
const ADDS_PARTITIONS: i16 = 12;
/// From this version on topics come by id.
const BY_ID: i16 = 13;

pub(super) async fn handle(core: Arc<Core>, call: Call) -> Result<Option<Answer>, Closed> {
    let request: ProduceRequest = call.decode()?;
    let acks = request.acks;
    let response = produce(&core, call.version, request);
    if acks == 0 { Ok(None) } else { call.encode(&response, None).map(Some) }
}

fn produce(core: &Core, version: i16, request: ProduceRequest) -> ProduceResponse {
    let transactional_id = request.transactional_id.as_deref().map(|id| id.to_string());
    let shared = transactional_id.as_deref().and_then(|id| core.transaction(id));
    let mut open = OpenTransaction {
        core,
        id: transactional_id.as_deref(),
        // Held to the end, so that no marker gets in between the check and the append.
        transaction: shared.as_deref().map(lock),
        adds_partitions: version >= ADDS_PARTITIONS,
    };
    let now_ms = wall_ms();
    let responses = request
        .topic_data
        .iter()
        .map(|data| {
            let topic = if version >= BY_ID {
                core.topic_by_id(data.topic_id).ok_or(Error::UnknownTopicId)
            } else {
                core.topic(&data.name).ok_or(Error::UnknownTopicOrPartition)
            };
            let partitions = data.partition_data.iter().map(|partition| {
                let result = match &topic {
                    _ if !matches!(request.acks, -1..=1) => {
                        Err(Refused::new(Error::InvalidRequiredAcks, "acks must be -1, 0 or 1"))
                    }
                    Ok(topic) => append(&mut open, topic, partition, now_ms),
                    Err(error) => Err(Refused::new(*error, error.to_string())),
                };
                answer(partition.index, result)
            });
            TopicProduceResponse::default()
                .with_partition_responses(partitions.collect())
                .with_name(data.name.clone())
                .with_topic_id(data.topic_id)
        })
        .collect();
    ProduceResponse::default().with_responses(responses)
}

fn answer(index: i32, result: Result<(Appended, i64), Refused>) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default().with_index(index);
    match result {
        Ok((appended, log_start)) => response
            .with_base_offset(appended.base_offset)
            .with_log_append_time_ms(appended.append_time_ms)
            .with_log_start_offset(log_start),
        Err(refused) => {
            debug!(partition = index, error = %refused.error, message = refused.message, "refused a batch");
            response
                .with_error_code(refused.error.code())
                .with_base_offset(-1)
                .with_log_append_time_ms(-1)
                .with_log_start_offset(-1)
                .with_error_message(Some(text(refused.message)))
        }
    }
}

fn append(
    open: &mut OpenTransaction<'_>,
    topic: &Topic,
    data: &PartitionProduceData,
    now_ms: i64,
) -> Result<(Appended, i64), Refused> {
    let partition = topic
        .partition(data.index)
        .ok_or_else(|| Refused::new(Error::UnknownTopicOrPartition, "there is no such partition"))?;
    let empty = Bytes::new();
    let bytes = data.records.as_ref().unwrap_or(&empty);
    let header = batch::verify_produced(bytes).map_err(AppendError::Batch)?;
    open.check(&header, &topic.name, data.index, now_ms)?;
    let (appended, log_start) = {
        let mut log = lock(&partition.log);
        (log.append(&header, bytes, now_ms)?, log.log_start())
    };
    partition.changed();
    Ok((appended, log_start))
}

impl From<AppendError> for Refused {
    fn from(error: AppendError) -> Refused {
        let message = error.to_string();
        let code = match error {
            AppendError::Batch(BatchError::Truncated | BatchError::Checksum) => Error::CorruptMessage,
            AppendError::Batch(BatchError::Magic(_)) => Error::UnsupportedForMessageFormat,
            AppendError::Batch(BatchError::Malformed(_)) | AppendError::NullKey => Error::InvalidRecord,
            AppendError::TooLarge { .. } => Error::MessageTooLarge,
            AppendError::OutOfOrder => Error::OutOfOrderSequenceNumber,
            AppendError::Fenced => Error::InvalidProducerEpoch,
            AppendError::Storage(error) => return error.into(),
        };
        Refused::new(code, message)
    }
}

/// The transaction that a request belongs to, if it names one.
struct OpenTransaction<'a> {
    core: &'a Core,
    id: Option<&'a str>,
    transaction: Option<MutexGuard<'a, Transaction>>,
    adds_partitions: bool,
}

impl OpenTransaction<'_> {
    /// Whether a batch may be written to this partition now.
    fn check(&mut self, header: &Header, topic: &str, partition: i32, now_ms: i64) -> Result<(), Refused> {
        if !header.is_transactional() {
            return Ok(());
        }
        let (Some(id), Some(transaction)) = (self.id, self.transaction.as_mut()) else {
            let why = "the request names no transactional id that is known";
            return Err(Refused::new(Error::InvalidProducerIdMapping, why));
        };
        let who = Incarnation { producer_id: header.producer_id, epoch: header.producer_epoch };
        transaction.check(who).map_err(|error| {
            // Producers expect this name for it here.
            let error = if error == Error::ProducerFenced { Error::InvalidProducerEpoch } else { error };
            Refused::new(error, "the producer was replaced by a newer one")
        })?;
        if transaction.holds(topic, partition) {
            return Ok(());
        }
        if !self.adds_partitions || transaction.decided().is_some() {
            return Err(Refused::new(Error::InvalidTxnState, "the partition is not part of an open transaction"));
        }
        let mut after = transaction.clone();
        after.add_partitions([(topic.to_owned(), partition)], now_ms);
        self.core.save_transaction(id, &after).map_err(|error| Refused::new(error, "cannot keep the transaction"))?;
        **transaction = after;
        Ok(())
    }
}
