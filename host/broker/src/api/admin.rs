//! Creating, growing and deleting topics, deleting records, and what tools ask about the disk.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError as Error;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteRecordsRequest,
    DeleteRecordsResponse, DeleteTopicsRequest, DeleteTopicsResponse, DescribeLogDirsRequest, DescribeLogDirsResponse,
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};

use super::configs::{SOURCE_DEFAULT, SOURCE_TOPIC};
use super::{Caller, code, text, topic_name};
use crate::core::{Core, Refused};
use crate::journal::TopicMeta;
use crate::lock;
use crate::topic_config::TOPIC_KEYS;

pub(super) fn create_topics(core: &Core, _: &Caller, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let answer = CreatableTopicResult::default().with_name(topic.name.clone());
        match create_topic(core, topic, request.validate_only) {
            Ok(meta) => {
                let configs = TOPIC_KEYS.iter().map(|key| {
                    let set = meta.configs.get(key.name);
                    CreatableTopicConfigs::default()
                        .with_name(text(key.name))
                        .with_value(Some(text(set.map_or(key.default, String::as_str))))
                        .with_config_source(if set.is_some() { SOURCE_TOPIC } else { SOURCE_DEFAULT })
                });
                answer
                    .with_topic_id(meta.id)
                    .with_num_partitions(meta.partitions)
                    .with_replication_factor(1)
                    .with_configs(Some(configs.collect()))
            }
            Err(refused) => answer
                .with_error_code(refused.error.code())
                .with_error_message(Some(text(refused.message)))
                .with_num_partitions(-1)
                .with_replication_factor(-1)
                .with_configs(Some(Vec::new())),
        }
    });
    CreateTopicsResponse::default().with_topics(topics.collect())
}

fn create_topic(core: &Core, topic: CreatableTopic, validate_only: bool) -> Result<TopicMeta, Refused> {
    let partitions = if !topic.assignments.is_empty() {
        topic.assignments.len() as i32
    } else if topic.num_partitions == -1 {
        core.config.default_partitions
    } else {
        topic.num_partitions
    };
    let replicas = topic.assignments.iter().map(|assignment| assignment.broker_ids.len() as i16).max();
    let replicas = replicas.unwrap_or(topic.replication_factor);
    if !matches!(replicas, -1 | 1) {
        let why =
            format!("unable to replicate the partition {replicas} time(s): this is a development broker of one node");
        return Err(Refused::new(Error::InvalidReplicationFactor, why));
    }
    let mut configs = BTreeMap::new();
    for config in topic.configs {
        let Some(value) = config.value else {
            let why = format!("null value not supported for topic configs: {}", config.name.as_str());
            return Err(Refused::new(Error::InvalidConfig, why));
        };
        configs.insert(config.name.to_string(), value.to_string());
    }
    core.create_topic(&topic.name, partitions, configs, validate_only)
}

pub(super) fn delete_topics(core: &Core, caller: &Caller, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let by_state = request.topics.into_iter().map(|state| (state.name, state.topic_id));
    let by_name = request.topic_names.into_iter().map(|name| (Some(name), uuid::Uuid::nil()));
    let responses = by_state.chain(by_name).map(|(name, id)| {
        let answer = DeletableTopicResult::default().with_topic_id(id);
        let found = match &name {
            Some(name) => Ok(name.to_string()),
            None => core
                .topic_by_id(id)
                .map(|topic| topic.name.clone())
                .ok_or_else(|| Refused::new(Error::UnknownTopicId, "this server does not host this topic id")),
        };
        let answer = answer.with_name(name.or_else(|| found.as_ref().ok().map(|name| topic_name(name))));
        match found.and_then(|name| core.delete_topic(&name)) {
            Ok(()) => answer,
            Err(refused) => answer
                .with_error_code(refused.error.code())
                .with_error_message((caller.version >= 5).then(|| text(refused.message))),
        }
    });
    DeleteTopicsResponse::default().with_responses(responses.collect())
}

pub(super) fn create_partitions(core: &Core, _: &Caller, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let results = request.topics.into_iter().map(|asked| {
        let result = core.change_topic(&asked.name, request.validate_only, |meta| {
            if asked.count <= meta.partitions {
                let (name, has) = (asked.name.as_str(), meta.partitions);
                let why =
                    format!("topic '{name}' currently has {has} partitions, {} would not be an increase", asked.count);
                return Err(Refused::new(Error::InvalidPartitions, why));
            }
            meta.partitions = asked.count;
            Ok(())
        });
        let answer = CreatePartitionsTopicResult::default().with_name(asked.name.clone());
        match result {
            Ok(()) => answer,
            Err(refused) => {
                answer.with_error_code(refused.error.code()).with_error_message(Some(text(refused.message)))
            }
        }
    });
    CreatePartitionsResponse::default().with_results(results.collect())
}

pub(super) fn delete_records(core: &Core, _: &Caller, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let topics = request.topics.into_iter().map(|asked| {
        let topic = core.topic(&asked.name);
        let partitions = asked.partitions.iter().map(|asked| {
            let result = match &topic {
                Some(topic) => core.delete_records(topic, asked.partition_index, asked.offset),
                None => Err(Error::UnknownTopicOrPartition),
            };
            DeleteRecordsPartitionResult::default()
                .with_partition_index(asked.partition_index)
                .with_error_code(code(&result))
                .with_low_watermark(result.unwrap_or(-1))
        });
        DeleteRecordsTopicResult::default().with_partitions(partitions.collect()).with_name(asked.name)
    });
    DeleteRecordsResponse::default().with_topics(topics.collect())
}

pub(super) fn describe_log_dirs(core: &Core, _: &Caller, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let wanted = |name: &str, index: i32| match &request.topics {
        None => true,
        Some(topics) => topics.iter().any(|topic| topic.topic.as_str() == name && topic.partitions.contains(&index)),
    };
    let topics: Vec<_> = core
        .topics()
        .iter()
        .map(|topic| {
            let partitions = topic.partitions.iter().zip(0..).filter(|(_, index)| wanted(&topic.name, *index));
            let partitions = partitions.map(|(partition, index)| {
                DescribeLogDirsPartition::default()
                    .with_partition_index(index)
                    .with_partition_size(lock(&partition.log).bytes() as i64)
            });
            DescribeLogDirsTopic::default().with_name(topic_name(&topic.name)).with_partitions(partitions.collect())
        })
        .filter(|topic| !topic.partitions.is_empty())
        .collect();
    let result = DescribeLogDirsResult::default()
        .with_log_dir(text(core.config.data_dir.display().to_string()))
        .with_topics(topics)
        .with_total_bytes(-1)
        .with_usable_bytes(-1);
    DescribeLogDirsResponse::default().with_results(vec![result])
}

/// There is one replica of everything, so nothing is ever reassigned.
pub(super) fn list_reassignments(
    _: &Core,
    _: &Caller,
    _: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    ListPartitionReassignmentsResponse::default()
}
