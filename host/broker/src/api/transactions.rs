//! The transaction coordinator: the wire side of [`crate::transaction`].

use kafka_protocol::ResponseError as Error;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use kafka_protocol::messages::describe_transactions_response::{TopicData, TransactionState as Described};
use kafka_protocol::messages::list_transactions_response::TransactionState as Listed;
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    DescribeProducersRequest, DescribeProducersResponse, DescribeTransactionsRequest, DescribeTransactionsResponse,
    EndTxnRequest, EndTxnResponse, InitProducerIdRequest, InitProducerIdResponse, ListTransactionsRequest,
    ListTransactionsResponse, ProducerId, TransactionalId, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};

use super::{Caller, code, text, topic_name};
use crate::clock::wall_ms;
use crate::core::Core;
use crate::group::Claim;
use crate::journal::{Committed, Offsets};
use crate::lock;
use crate::transaction::{End, Incarnation, Transaction};

/// `transaction.max.timeout.ms` of Apache Kafka.
const TIMEOUT_MS_MAX: i32 = 900_000;
/// From these versions on a producer uses version 2 of the transaction protocol.
const END_BUMPS: i16 = 5;
const COMMIT_ADDS_GROUP: i16 = 5;
/// Requests before this version do not know `PRODUCER_FENCED`.
const KNOWS_FENCED: i16 = 2;
/// Partitions of one transaction.
const PARTITIONS_MAX: usize = 10_000;

pub(super) fn init_producer_id(core: &Core, _: &Caller, request: InitProducerIdRequest) -> InitProducerIdResponse {
    match init(core, &request) {
        Ok(who) => InitProducerIdResponse::default()
            .with_producer_id(ProducerId(who.producer_id))
            .with_producer_epoch(who.epoch),
        Err(error) => InitProducerIdResponse::default()
            .with_error_code(error.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1),
    }
}

fn init(core: &Core, request: &InitProducerIdRequest) -> Result<Incarnation, Error> {
    let Some(id) = request.transactional_id.as_deref() else {
        return Ok(Incarnation { producer_id: core.new_producer_id()?, epoch: 0 });
    };
    if id.is_empty() {
        return Err(Error::InvalidRequest);
    }
    if !(1..=TIMEOUT_MS_MAX).contains(&request.transaction_timeout_ms) {
        return Err(Error::InvalidTransactionTimeout);
    }
    let expected = (request.producer_id.0 >= 0)
        .then_some(Incarnation { producer_id: request.producer_id.0, epoch: request.producer_epoch });
    let make = || Ok(Transaction::new(core.new_producer_id()?, request.transaction_timeout_ms, wall_ms()));
    let (shared, is_new) = core.transaction_or_new(id, make)?;
    let mut transaction = lock(&shared);
    if is_new || transaction.check_init(expected)? {
        return Ok(transaction.current);
    }
    core.abort_and_fence(id, &mut transaction)?;
    let fresh_id = core.new_producer_id()?;
    let mut after = transaction.clone();
    after.renew(request.transaction_timeout_ms, || fresh_id, wall_ms());
    core.save_transaction(id, &after)?;
    *transaction = after;
    Ok(transaction.current)
}

/// Changes the open transaction of `who`: on a copy, which takes effect when it is durable.
fn change(
    core: &Core,
    id: &str,
    who: Incarnation,
    change: impl FnOnce(&mut Transaction) -> Result<bool, Error>,
) -> Result<(), Error> {
    let shared = core.transaction(id).ok_or(Error::InvalidProducerIdMapping)?;
    let mut transaction = lock(&shared);
    transaction.check(who)?;
    if transaction.decided().is_some() {
        // Only after a failed write: finish it first.
        core.settle(id, &mut transaction).map_err(|_| Error::ConcurrentTransactions)?;
    }
    let mut after = transaction.clone();
    if change(&mut after)? {
        core.save_transaction(id, &after)?;
        *transaction = after;
    }
    Ok(())
}

/// What requests of old versions are told in place of `PRODUCER_FENCED`.
fn for_version(error: Error, version: i16) -> Error {
    if error == Error::ProducerFenced && version < KNOWS_FENCED { Error::InvalidProducerEpoch } else { error }
}

pub(super) fn add_partitions(
    core: &Core,
    caller: &Caller,
    request: AddPartitionsToTxnRequest,
) -> AddPartitionsToTxnResponse {
    let who =
        Incarnation { producer_id: request.v3_and_below_producer_id.0, epoch: request.v3_and_below_producer_epoch };
    let asked = &request.v3_and_below_topics;
    let exists =
        |topic: &str, partition: i32| core.topic(topic).is_some_and(|topic| topic.partition(partition).is_some());
    let all =
        || asked.iter().flat_map(|topic| topic.partitions.iter().map(|partition| (topic.name.to_string(), *partition)));
    let all_exist = all().all(|(topic, partition)| exists(&topic, partition));
    let result = if all_exist {
        change(core, &request.v3_and_below_transactional_id, who, |transaction| {
            let changed = transaction.add_partitions(all(), wall_ms());
            if transaction.partitions.len() > PARTITIONS_MAX { Err(Error::InvalidRequest) } else { Ok(changed) }
        })
    } else {
        Ok(())
    };
    let results = asked.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let error = match result {
                Ok(()) if all_exist => 0,
                Ok(()) if exists(&topic.name, *partition) => Error::OperationNotAttempted.code(),
                Ok(()) => Error::UnknownTopicOrPartition.code(),
                Err(error) => for_version(error, caller.version).code(),
            };
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*partition)
                .with_partition_error_code(error)
        });
        AddPartitionsToTxnTopicResult::default()
            .with_name(topic.name.clone())
            .with_results_by_partition(partitions.collect())
    });
    AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results.collect())
}

pub(super) fn add_offsets(core: &Core, caller: &Caller, request: AddOffsetsToTxnRequest) -> AddOffsetsToTxnResponse {
    let who = Incarnation { producer_id: request.producer_id.0, epoch: request.producer_epoch };
    let add = |transaction: &mut Transaction| Ok(transaction.add_group(&request.group_id, wall_ms()));
    let result = change(core, &request.transactional_id, who, add).map_err(|error| for_version(error, caller.version));
    AddOffsetsToTxnResponse::default().with_error_code(code(&result))
}

pub(super) fn commit_offsets(core: &Core, caller: &Caller, request: TxnOffsetCommitRequest) -> TxnOffsetCommitResponse {
    let who = Incarnation { producer_id: request.producer_id.0, epoch: request.producer_epoch };
    let group = request.group_id.as_str();
    let claim = Claim {
        member_id: &request.member_id,
        instance_id: request.group_instance_id.as_deref(),
        generation: request.generation_id,
    };
    let adds_group = caller.version >= COMMIT_ADDS_GROUP;
    let mut offsets = Offsets::new();
    let mut results = Vec::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let metadata = partition.committed_metadata.as_deref().unwrap_or_default();
            let result = core.check_offset(&topic.name, partition.partition_index, metadata);
            if result.is_ok() {
                let committed = Committed {
                    offset: partition.committed_offset,
                    leader_epoch: partition.committed_leader_epoch,
                    metadata: metadata.to_owned(),
                };
                offsets.entry(topic.name.to_string()).or_default().insert(partition.partition_index, committed);
            }
            results.push(result);
        }
    }
    let written = change(core, &request.transactional_id, who, |transaction| {
        core.coordinator.check_commit(group, claim, true)?;
        if adds_group {
            transaction.add_group(group, wall_ms());
        } else if !transaction.groups.contains(group) {
            return Err(Error::InvalidTxnState);
        }
        transaction.add_offsets(group, offsets);
        Ok(true)
    });
    let mut results = results.into_iter().map(|result| code(&written.and(result)));
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(results.next().unwrap_or_default())
        });
        TxnOffsetCommitResponseTopic::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
    });
    TxnOffsetCommitResponse::default().with_topics(topics.collect())
}

pub(super) fn end(core: &Core, caller: &Caller, request: EndTxnRequest) -> EndTxnResponse {
    let bumps = caller.version >= END_BUMPS;
    match end_transaction(core, &request, bumps) {
        Ok(who) => {
            EndTxnResponse::default().with_producer_id(ProducerId(who.producer_id)).with_producer_epoch(who.epoch)
        }
        Err(error) => EndTxnResponse::default()
            .with_error_code(for_version(error, caller.version).code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1),
    }
}

fn end_transaction(core: &Core, request: &EndTxnRequest, bumps: bool) -> Result<Incarnation, Error> {
    let id = request.transactional_id.as_str();
    let who = Incarnation { producer_id: request.producer_id.0, epoch: request.producer_epoch };
    let shared = core.transaction(id).ok_or(Error::InvalidProducerIdMapping)?;
    let mut transaction = lock(&shared);
    // Only after a failed write.
    core.settle(id, &mut transaction).map_err(|_| Error::ConcurrentTransactions)?;
    let mut after = transaction.clone();
    if let End::Write { .. } = after.end(who, request.committed, bumps, wall_ms())? {
        core.save_transaction(id, &after)?;
        *transaction = after;
        // The decision is made; if this fails the producer asks again and the sweep goes on as well.
        core.settle(id, &mut transaction).map_err(|_| Error::ConcurrentTransactions)?;
    }
    Ok(transaction.current)
}

pub(super) fn describe(core: &Core, _: &Caller, request: DescribeTransactionsRequest) -> DescribeTransactionsResponse {
    let states = request.transactional_ids.into_iter().map(|id| {
        let described = Described::default();
        let Some(shared) = core.transaction(&id) else {
            return described
                .with_error_code(Error::TransactionalIdNotFound.code())
                .with_transactional_id(id)
                .with_transaction_state(text("Dead"));
        };
        let transaction = lock(&shared);
        let mut topics: Vec<TopicData> = Vec::new();
        for (topic, partition) in &transaction.partitions {
            match topics.last_mut().filter(|last| last.topic.as_str() == topic) {
                Some(last) => last.partitions.push(*partition),
                None => {
                    topics.push(TopicData::default().with_topic(topic_name(topic)).with_partitions(vec![*partition]))
                }
            }
        }
        described
            .with_transactional_id(id)
            .with_transaction_state(text(transaction.phase.name()))
            .with_transaction_timeout_ms(transaction.timeout_ms)
            .with_transaction_start_time_ms(transaction.started_ms)
            .with_producer_id(ProducerId(transaction.current.producer_id))
            .with_producer_epoch(transaction.current.epoch)
            .with_topics(topics)
    });
    DescribeTransactionsResponse::default().with_transaction_states(states.collect())
}

pub(super) fn list(core: &Core, _: &Caller, request: ListTransactionsRequest) -> ListTransactionsResponse {
    let now_ms = wall_ms();
    let wanted = |transaction: &Transaction| {
        let state = transaction.phase.name();
        let producer = ProducerId(transaction.current.producer_id);
        let runs_for = if transaction.started_ms < 0 { 0 } else { now_ms - transaction.started_ms };
        (request.state_filters.is_empty() || request.state_filters.iter().any(|wanted| wanted.as_str() == state))
            && (request.producer_id_filters.is_empty() || request.producer_id_filters.contains(&producer))
            && (request.duration_filter < 0 || transaction.started_ms >= 0 && runs_for > request.duration_filter)
    };
    let listed =
        core.all_transactions().into_iter().filter(|(_, transaction)| wanted(transaction)).map(|(id, transaction)| {
            Listed::default()
                .with_transactional_id(TransactionalId(text(id)))
                .with_producer_id(ProducerId(transaction.current.producer_id))
                .with_transaction_state(text(transaction.phase.name()))
        });
    ListTransactionsResponse::default().with_transaction_states(listed.collect())
}

pub(super) fn describe_producers(
    core: &Core,
    _: &Caller,
    request: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let topics = request.topics.into_iter().map(|asked| {
        let topic = core.topic(&asked.name);
        let partitions = asked.partition_indexes.iter().map(|index| {
            let answer = PartitionResponse::default().with_partition_index(*index);
            let Some(partition) = topic.as_ref().and_then(|topic| topic.partition(*index)) else {
                return answer.with_error_code(Error::UnknownTopicOrPartition.code());
            };
            let log = lock(&partition.log);
            let producers = log.producers().iter().map(|(id, producer)| {
                ProducerState::default()
                    .with_producer_id(ProducerId(id))
                    .with_producer_epoch(producer.epoch.into())
                    .with_last_sequence(producer.last_sequence())
                    .with_last_timestamp(producer.last_timestamp)
                    .with_coordinator_epoch(0)
                    .with_current_txn_start_offset(producer.open_since.unwrap_or(-1))
            });
            answer.with_active_producers(producers.collect())
        });
        TopicResponse::default().with_partitions(partitions.collect()).with_name(asked.name)
    });
    DescribeProducersResponse::default().with_topics(topics.collect())
}
