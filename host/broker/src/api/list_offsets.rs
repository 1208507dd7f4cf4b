//! Offsets of a log: its ends, lookups by time, and the end of a leader epoch.

use kafka_protocol::ResponseError as Error;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::{
    ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
};

use super::Caller;
use crate::core::{Core, Refused};
use crate::lock;
use crate::log::{Isolation, Log};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
/// Offsets in remote storage, of which there is none.
const REMOTE: std::ops::RangeInclusive<i64> = -6..=-5;

pub(super) fn list_offsets(core: &Core, _: &Caller, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let isolation = if request.isolation_level == 1 { Isolation::Committed } else { Isolation::Uncommitted };
    let topics = request.topics.into_iter().map(|asked| {
        let topic = core.topic(&asked.name);
        let partitions = asked.partitions.iter().map(|asked| {
            let answer = ListOffsetsPartitionResponse::default().with_partition_index(asked.partition_index);
            let partition = topic.as_ref().and_then(|topic| topic.partition(asked.partition_index));
            let found = match partition {
                None => Err(Error::UnknownTopicOrPartition),
                Some(_) if asked.current_leader_epoch > 0 => Err(Error::UnknownLeaderEpoch),
                Some(partition) => find(&lock(&partition.log), asked.timestamp, isolation),
            };
            match found {
                Ok((offset, timestamp)) => answer
                    .with_offset(offset)
                    .with_timestamp(timestamp)
                    .with_leader_epoch(if offset < 0 { -1 } else { 0 }),
                Err(error) => {
                    answer.with_error_code(error.code()).with_offset(-1).with_timestamp(-1).with_leader_epoch(-1)
                }
            }
        });
        ListOffsetsTopicResponse::default().with_partitions(partitions.collect()).with_name(asked.name)
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

fn find(log: &Log, timestamp: i64, isolation: Isolation) -> Result<(i64, i64), Error> {
    let found = match timestamp {
        LATEST if isolation == Isolation::Committed => return Ok((log.last_stable(), -1)),
        LATEST => return Ok((log.log_end(), -1)),
        EARLIEST | EARLIEST_LOCAL => return Ok((log.log_start(), -1)),
        MAX_TIMESTAMP => log.find_latest_time(isolation),
        timestamp if REMOTE.contains(&timestamp) => return Ok((-1, -1)),
        timestamp => log.find_by_time(timestamp, isolation),
    };
    found.map(|found| found.unwrap_or((-1, -1))).map_err(|error| Refused::from(error).error)
}

pub(super) fn offset_for_leader_epoch(
    core: &Core,
    _: &Caller,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.into_iter().map(|asked| {
        let topic = core.topic(&asked.topic);
        let partitions = asked.partitions.iter().map(|asked| {
            let answer = EpochEndOffset::default().with_partition(asked.partition);
            match topic.as_ref().and_then(|topic| topic.partition(asked.partition)) {
                None => answer.with_error_code(Error::UnknownTopicOrPartition.code()),
                Some(_) if asked.current_leader_epoch > 0 => answer.with_error_code(Error::UnknownLeaderEpoch.code()),
                Some(partition) if asked.leader_epoch == 0 => {
                    answer.with_leader_epoch(0).with_end_offset(lock(&partition.log).log_end())
                }
                Some(_) => answer.with_leader_epoch(-1).with_end_offset(-1),
            }
        });
        OffsetForLeaderTopicResult::default().with_partitions(partitions.collect()).with_topic(asked.topic)
    });
    OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
}
