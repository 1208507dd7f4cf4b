//! Committed offsets of groups.

use std::collections::BTreeSet;

use kafka_protocol::ResponseError as Error;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse, OffsetFetchRequest,
    OffsetFetchResponse,
};

use super::{Caller, code, text, topic_name};
use crate::core::Core;
use crate::group::{Claim, State};
use crate::journal::{Committed, Offsets};
use crate::transaction::Transaction;

pub(super) fn commit(core: &Core, _: &Caller, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let claim = Claim {
        member_id: &request.member_id,
        instance_id: request.group_instance_id.as_deref(),
        generation: request.generation_id_or_member_epoch,
    };
    let group = request.group_id.as_str();
    let allowed = core.coordinator.check_commit(group, claim, false);
    let mut offsets = Offsets::new();
    let mut results = Vec::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let metadata = partition.committed_metadata.as_deref().unwrap_or_default();
            let result = allowed.and_then(|()| core.check_offset(&topic.name, partition.partition_index, metadata));
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
    let written = core.commit_offsets(group, offsets);
    let mut results = results.into_iter().map(|result| code(&result.and(written)));
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(results.next().unwrap_or_default())
        });
        OffsetCommitResponseTopic::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

/// Topic → what was found for each partition.
type Found = Vec<(String, Vec<(i32, Result<Option<Committed>, Error>)>)>;

/// Looks up offsets: those asked for, or all of the group.
fn find(core: &Core, group: &str, asked: Option<Vec<(String, Vec<i32>)>>, require_stable: bool) -> Found {
    let pending: Vec<Transaction> = if require_stable {
        let transactions = core.all_transactions().into_iter().map(|(_, transaction)| transaction);
        transactions.filter(|transaction| transaction.offsets.contains_key(group)).collect()
    } else {
        Vec::new()
    };
    core.with_offsets(group, |known| {
        let asked = asked.unwrap_or_else(|| {
            let known = known.into_iter().flatten();
            known.map(|(topic, partitions)| (topic.clone(), partitions.keys().copied().collect())).collect()
        });
        let look = |topic: &str, partition: i32| {
            if pending.iter().any(|transaction| transaction.has_pending_offsets(group, topic, partition)) {
                return Err(Error::UnstableOffsetCommit);
            }
            Ok(known.and_then(|known| known.get(topic)).and_then(|partitions| partitions.get(&partition)).cloned())
        };
        asked
            .into_iter()
            .map(|(topic, partitions)| {
                let found = partitions.into_iter().map(|partition| (partition, look(&topic, partition))).collect();
                (topic, found)
            })
            .collect()
    })
}

pub(super) fn fetch(core: &Core, caller: &Caller, request: OffsetFetchRequest) -> OffsetFetchResponse {
    if caller.version < 8 {
        let asked = request
            .topics
            .filter(|topics| caller.version >= 2 || !topics.is_empty())
            .map(|topics| topics.into_iter().map(|topic| (topic.name.to_string(), topic.partition_indexes)).collect());
        let topics =
            find(core, &request.group_id, asked, request.require_stable).into_iter().map(|(name, partitions)| {
                let partitions = partitions.into_iter().map(|(index, found)| {
                    let error = code(&found);
                    let found = found.ok().flatten();
                    OffsetFetchResponsePartition::default()
                        .with_partition_index(index)
                        .with_error_code(error)
                        .with_committed_offset(found.as_ref().map_or(-1, |committed| committed.offset))
                        .with_committed_leader_epoch(found.as_ref().map_or(-1, |committed| committed.leader_epoch))
                        .with_metadata(Some(text(found.map(|committed| committed.metadata).unwrap_or_default())))
                });
                OffsetFetchResponseTopic::default().with_name(topic_name(&name)).with_partitions(partitions.collect())
            });
        return OffsetFetchResponse::default().with_topics(topics.collect());
    }
    let groups = request.groups.into_iter().map(|asked| {
        let topics = asked
            .topics
            .map(|topics| topics.into_iter().map(|topic| (topic.name.to_string(), topic.partition_indexes)).collect());
        let topics =
            find(core, &asked.group_id, topics, request.require_stable).into_iter().map(|(name, partitions)| {
                let partitions = partitions.into_iter().map(|(index, found)| {
                    let error = code(&found);
                    let found = found.ok().flatten();
                    OffsetFetchResponsePartitions::default()
                        .with_partition_index(index)
                        .with_error_code(error)
                        .with_committed_offset(found.as_ref().map_or(-1, |committed| committed.offset))
                        .with_committed_leader_epoch(found.as_ref().map_or(-1, |committed| committed.leader_epoch))
                        .with_metadata(Some(text(found.map(|committed| committed.metadata).unwrap_or_default())))
                });
                OffsetFetchResponseTopics::default().with_name(topic_name(&name)).with_partitions(partitions.collect())
            });
        OffsetFetchResponseGroup::default().with_topics(topics.collect()).with_group_id(asked.group_id)
    });
    OffsetFetchResponse::default().with_groups(groups.collect())
}

pub(super) fn delete(core: &Core, _: &Caller, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let group = request.group_id.as_str();
    // What is subscribed may not be deleted; a group that is not of consumers must be empty.
    let subscribed = core.coordinator.with_group(group, |known| match known {
        None => Ok(None),
        Some(known) if known.state == State::Empty => Ok(Some(BTreeSet::new())),
        Some(known) if known.protocol_type == "consumer" => {
            let metadata = known.members.values().map(|member| member.metadata(&known.protocol));
            Ok(Some(metadata.flat_map(|bytes| subscribed_topics(&bytes)).collect()))
        }
        Some(_) => Err(Error::NonEmptyGroup),
    });
    let known = subscribed.and_then(|subscribed| match subscribed {
        None if core.with_offsets(group, |known| known.is_none()) => Err(Error::GroupIdNotFound),
        subscribed => Ok(subscribed.unwrap_or_default()),
    });
    let subscribed = match known {
        Ok(subscribed) => subscribed,
        Err(error) => return OffsetDeleteResponse::default().with_error_code(error.code()),
    };
    let mut removed = Vec::new();
    for topic in request.topics.iter().filter(|topic| !subscribed.contains(topic.name.as_str())) {
        removed.extend(topic.partitions.iter().map(|partition| (topic.name.to_string(), partition.partition_index)));
    }
    let written = core.remove_offsets(group, removed);
    let topics = request.topics.iter().map(|topic| {
        let result =
            if subscribed.contains(topic.name.as_str()) { Err(Error::GroupSubscribedToTopic) } else { written };
        let partitions = topic.partitions.iter().map(|partition| {
            OffsetDeleteResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code(&result))
        });
        OffsetDeleteResponseTopic::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
    });
    OffsetDeleteResponse::default().with_topics(topics.collect())
}

/// The topics in a consumer's metadata: version, then an array of names. What cannot be read subscribes to nothing.
fn subscribed_topics(metadata: &[u8]) -> BTreeSet<String> {
    let mut topics = BTreeSet::new();
    let Some((_version, rest)) = metadata.split_first_chunk::<2>() else { return topics };
    let Some((count, mut rest)) = rest.split_first_chunk::<4>() else { return topics };
    for _ in 0..i32::from_be_bytes(*count).max(0) {
        let Some((length, after)) = rest.split_first_chunk::<2>() else { break };
        let Some((name, after)) = after.split_at_checked(u16::from_be_bytes(*length).into()) else { break };
        topics.insert(String::from_utf8_lossy(name).into_owned());
        rest = after;
    }
    topics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_of_a_subscription_are_read_as_far_as_they_go() {
        let metadata = [&[0, 1, 0, 0, 0, 2, 0, 1, b'a', 0, 2, b'b', b'c'][..], &[0, 0]].concat();
        assert_eq!(subscribed_topics(&metadata), BTreeSet::from(["a".to_owned(), "bc".to_owned()]));
        assert_eq!(subscribed_topics(&metadata[..11]), BTreeSet::from(["a".to_owned()]));
        assert_eq!(subscribed_topics(&[]), BTreeSet::new());
    }
}
