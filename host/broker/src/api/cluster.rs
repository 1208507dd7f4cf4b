//! Who the cluster is: versions, metadata, coordinators.

use std::sync::Arc;

use kafka_protocol::ResponseError as Error;
use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::describe_topic_partitions_response::{
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, BrokerId, DescribeClusterRequest, DescribeClusterResponse,
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, FindCoordinatorRequest, FindCoordinatorResponse,
    MetadataRequest, MetadataResponse,
};
use uuid::Uuid;

use super::{APIS, Caller, text, topic_name};
use crate::core::{Core, NODE_ID};
use crate::topics::Topic;

const NODE: BrokerId = BrokerId(NODE_ID);
/// What a response says of authorized operations where nobody asked or nothing is known.
const OPERATIONS_UNKNOWN: i32 = i32::MIN;
/// Producers use version 2 of the transaction protocol where the broker has finalized it.
const TRANSACTION_FEATURE: &str = "transaction.version";
const TRANSACTION_VERSION: i16 = 2;

pub(super) fn api_versions(_: &Core, caller: &Caller, request: ApiVersionsRequest) -> ApiVersionsResponse {
    let plain = |name: &str| {
        name.chars().next().is_some_and(|c| c.is_ascii_alphanumeric())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
    };
    if caller.version >= 3 && !(plain(&request.client_software_name) && plain(&request.client_software_version)) {
        return ApiVersionsResponse::default().with_error_code(Error::InvalidRequest.code());
    }
    let supported = SupportedFeatureKey::default()
        .with_name(text(TRANSACTION_FEATURE))
        .with_min_version(0)
        .with_max_version(TRANSACTION_VERSION);
    let finalized = FinalizedFeatureKey::default()
        .with_name(text(TRANSACTION_FEATURE))
        .with_min_version_level(TRANSACTION_VERSION)
        .with_max_version_level(TRANSACTION_VERSION);
    versions()
        .with_supported_features(vec![supported])
        .with_finalized_features_epoch(1)
        .with_finalized_features(vec![finalized])
}

fn versions() -> ApiVersionsResponse {
    let api = |api: &super::Api| {
        ApiVersion::default().with_api_key(api.key as i16).with_min_version(api.min).with_max_version(api.max)
    };
    ApiVersionsResponse::default().with_api_keys(APIS.iter().map(api).collect())
}

/// The answer to a version of this request that is not known.
pub(super) fn unsupported_version() -> ApiVersionsResponse {
    versions().with_error_code(Error::UnsupportedVersion.code())
}

pub(super) fn metadata(core: &Core, caller: &Caller, request: MetadataRequest) -> MetadataResponse {
    let asked = request.topics.filter(|topics| caller.version > 0 || !topics.is_empty());
    let topics = match asked {
        None => core.topics().iter().map(describe_topic).collect(),
        Some(asked) => asked
            .iter()
            .map(|asked| {
                let found = match &asked.name {
                    Some(name) => core.topic_or_create(name, request.allow_auto_topic_creation),
                    None => core.topic_by_id(asked.topic_id).ok_or(Error::UnknownTopicId),
                };
                match found {
                    Ok(topic) => describe_topic(&topic),
                    Err(error) => MetadataResponseTopic::default()
                        .with_error_code(error.code())
                        .with_name(asked.name.clone())
                        .with_topic_id(asked.topic_id),
                }
            })
            .collect(),
    };
    let broker = MetadataResponseBroker::default()
        .with_node_id(NODE)
        .with_host(text(core.address.ip().to_string()))
        .with_port(core.address.port().into());
    MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_cluster_id(Some(text(&*core.cluster_id)))
        .with_controller_id(NODE)
        .with_topics(topics)
}

fn describe_topic(topic: &Arc<Topic>) -> MetadataResponseTopic {
    let partition = |index: usize| {
        MetadataResponsePartition::default()
            .with_partition_index(index as i32)
            .with_leader_id(NODE)
            .with_leader_epoch(0)
            .with_replica_nodes(vec![NODE])
            .with_isr_nodes(vec![NODE])
    };
    MetadataResponseTopic::default()
        .with_name(Some(topic_name(&topic.name)))
        .with_topic_id(topic.id)
        .with_partitions((0..topic.partitions.len()).map(partition).collect())
        .with_topic_authorized_operations(OPERATIONS_UNKNOWN)
}

pub(super) fn find_coordinator(
    core: &Core,
    caller: &Caller,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    let (host, port) = (text(core.address.ip().to_string()), i32::from(core.address.port()));
    // Groups and transactions; there are no share groups.
    let known = matches!(request.key_type, 0 | 1);
    let (node, error) = if known { (NODE, 0) } else { (BrokerId(-1), Error::InvalidRequest.code()) };
    if caller.version < 4 {
        return FindCoordinatorResponse::default()
            .with_error_code(error)
            .with_node_id(node)
            .with_host(host)
            .with_port(port);
    }
    let coordinator = |key| {
        Coordinator::default()
            .with_key(key)
            .with_node_id(node)
            .with_host(host.clone())
            .with_port(port)
            .with_error_code(error)
    };
    FindCoordinatorResponse::default()
        .with_coordinators(request.coordinator_keys.into_iter().map(coordinator).collect())
}

pub(super) fn describe(core: &Core, _: &Caller, request: DescribeClusterRequest) -> DescribeClusterResponse {
    let response = DescribeClusterResponse::default()
        .with_endpoint_type(request.endpoint_type)
        .with_cluster_id(text(&*core.cluster_id))
        .with_controller_id(NODE)
        .with_cluster_authorized_operations(OPERATIONS_UNKNOWN);
    if request.endpoint_type != 1 {
        return response
            .with_error_code(Error::UnsupportedEndpointType.code())
            .with_error_message(Some(text("this broker has no controller endpoint")));
    }
    let broker = DescribeClusterBroker::default()
        .with_broker_id(NODE)
        .with_host(text(core.address.ip().to_string()))
        .with_port(core.address.port().into());
    response.with_brokers(vec![broker])
}

pub(super) fn describe_topic_partitions(
    core: &Core,
    _: &Caller,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let partition = |index: usize| {
        DescribeTopicPartitionsResponsePartition::default()
            .with_partition_index(index as i32)
            .with_leader_id(NODE)
            .with_leader_epoch(0)
            .with_replica_nodes(vec![NODE])
            .with_isr_nodes(vec![NODE])
            .with_eligible_leader_replicas(Some(Vec::new()))
            .with_last_known_elr(Some(Vec::new()))
    };
    let describe = |topic: &Topic| {
        DescribeTopicPartitionsResponseTopic::default()
            .with_name(Some(topic_name(&topic.name)))
            .with_topic_id(topic.id)
            .with_partitions((0..topic.partitions.len()).map(partition).collect())
            .with_topic_authorized_operations(OPERATIONS_UNKNOWN)
    };
    let topics = if request.topics.is_empty() {
        core.topics().iter().map(|topic| describe(topic)).collect()
    } else {
        request
            .topics
            .iter()
            .map(|asked| match core.topic(&asked.name) {
                Some(topic) => describe(&topic),
                None => DescribeTopicPartitionsResponseTopic::default()
                    .with_error_code(Error::UnknownTopicOrPartition.code())
                    .with_name(Some(asked.name.clone()))
                    .with_topic_id(Uuid::nil()),
            })
            .collect()
    };
    DescribeTopicPartitionsResponse::default().with_topics(topics)
}
