//! The shape of each request: enough to walk its bytes and check every length before the codec decodes them.
//!
//! The codec makes room for as many array elements as a request claims to hold, before it looks whether there are bytes
//! for them; one hostile length would take the process down. So each body is walked first. The walk knows where arrays,
//! strings and fixed numbers lie, allocates nothing and refuses what does not fit into the frame.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::{Buf, Bytes};
use kafka_protocol::messages::ApiKey::{self, *};
use thiserror::Error;

/// Elements of all arrays of one request together.
const ELEMENTS_MAX: u32 = 1_000_000;

/// Key, first flexible version, fields. A field is `name:type@first-last`; types are a number of bytes, `s` (string),
/// `b` (bytes), `[type]` or `[fields]` (array) and `?{fields}` (nullable structure).
#[rustfmt::skip]
const SHAPES: &[(ApiKey, i16, &str)] = &[
    (
        Produce,
        9,
        "transactional_id:s acks:2 timeout_ms:4 topic_data:[name:s@-12 topic_id:16@13- partition_data:[index:4 \
         records:b]]",
    ),
    (
        Fetch,
        12,
        "replica_id:4@-14 max_wait_ms:4 min_bytes:4 max_bytes:4 isolation_level:1 session_id:4@7- session_epoch:4@7- \
         topics:[topic:s@-12 topic_id:16@13- partitions:[partition:4 current_leader_epoch:4@9- fetch_offset:8 \
         last_fetched_epoch:4@12- log_start_offset:8@5- partition_max_bytes:4]] forgotten_topics_data:[topic:s@7-12 \
         topic_id:16@13- partitions:[4]@7-]@7- rack_id:s@11-",
    ),
    (
        ListOffsets,
        6,
        "replica_id:4 isolation_level:1@2- topics:[name:s partitions:[partition_index:4 current_leader_epoch:4@4- \
         timestamp:8]] timeout_ms:4@10-",
    ),
    (
        Metadata,
        9,
        "topics:[topic_id:16@10- name:s] allow_auto_topic_creation:1@4- include_cluster_authorized_operations:1@8-10 \
         include_topic_authorized_operations:1@8-",
    ),
    (
        OffsetCommit,
        8,
        "group_id:s generation_id_or_member_epoch:4 member_id:s group_instance_id:s@7- retention_time_ms:8@-4 \
         topics:[name:s partitions:[partition_index:4 committed_offset:8 committed_leader_epoch:4@6- \
         committed_metadata:s]]",
    ),
    (
        OffsetFetch,
        6,
        "group_id:s@-7 topics:[name:s@-7 partition_indexes:[4]@-7]@-7 groups:[group_id:s@8- member_id:s@9- \
         member_epoch:4@9- topics:[name:s@8- partition_indexes:[4]@8-]@8-]@8- require_stable:1@7-",
    ),
    (FindCoordinator, 3, "key:s@-3 key_type:1@1- coordinator_keys:[s]@4-"),
    (
        JoinGroup,
        6,
        "group_id:s session_timeout_ms:4 rebalance_timeout_ms:4@1- member_id:s group_instance_id:s@5- protocol_type:s \
         protocols:[name:s metadata:b] reason:s@8-",
    ),
    (Heartbeat, 4, "group_id:s generation_id:4 member_id:s group_instance_id:s@3-"),
    (LeaveGroup, 4, "group_id:s member_id:s@-2 members:[member_id:s@3- group_instance_id:s@3- reason:s@5-]@3-"),
    (
        SyncGroup,
        4,
        "group_id:s generation_id:4 member_id:s group_instance_id:s@3- protocol_type:s@5- protocol_name:s@5- \
         assignments:[member_id:s assignment:b]",
    ),
    (DescribeGroups, 5, "groups:[s] include_authorized_operations:1@3-"),
    (ListGroups, 3, "states_filter:[s]@4- types_filter:[s]@5-"),
    (ApiVersions, 3, "client_software_name:s@3- client_software_version:s@3-"),
    (
        CreateTopics,
        5,
        "topics:[name:s num_partitions:4 replication_factor:2 assignments:[partition_index:4 broker_ids:[4]] \
         configs:[name:s value:s]] timeout_ms:4 validate_only:1",
    ),
    (DeleteTopics, 4, "topics:[name:s@6- topic_id:16@6-]@6- topic_names:[s]@-5 timeout_ms:4"),
    (DeleteRecords, 2, "topics:[name:s partitions:[partition_index:4 offset:8]] timeout_ms:4"),
    (InitProducerId, 2, "transactional_id:s transaction_timeout_ms:4 producer_id:8@3- producer_epoch:2@3-"),
    (
        OffsetForLeaderEpoch,
        4,
        "replica_id:4@3- topics:[topic:s partitions:[partition:4 current_leader_epoch:4 leader_epoch:4]]",
    ),
    (
        AddPartitionsToTxn,
        3,
        "transactions:[transactional_id:s@4- producer_id:8@4- producer_epoch:2@4- verify_only:1@4- topics:[name:s \
         partitions:[4]]@4-]@4- v3_and_below_transactional_id:s@-3 v3_and_below_producer_id:8@-3 \
         v3_and_below_producer_epoch:2@-3 v3_and_below_topics:[name:s partitions:[4]]@-3",
    ),
    (AddOffsetsToTxn, 3, "transactional_id:s producer_id:8 producer_epoch:2 group_id:s"),
    (EndTxn, 3, "transactional_id:s producer_id:8 producer_epoch:2 committed:1"),
    (
        TxnOffsetCommit,
        3,
        "transactional_id:s group_id:s producer_id:8 producer_epoch:2 generation_id:4@3- member_id:s@3- \
         group_instance_id:s@3- topics:[name:s partitions:[partition_index:4 committed_offset:8 \
         committed_leader_epoch:4@2- committed_metadata:s]]",
    ),
    (
        DescribeConfigs,
        4,
        "resources:[resource_type:1 resource_name:s configuration_keys:[s]] include_synonyms:1 \
         include_documentation:1@3-",
    ),
    (AlterConfigs, 2, "resources:[resource_type:1 resource_name:s configs:[name:s value:s]] validate_only:1"),
    (CreatePartitions, 2, "topics:[name:s count:4 assignments:[broker_ids:[4]]] timeout_ms:4 validate_only:1"),
    (DeleteGroups, 2, "groups_names:[s]"),
    (
        IncrementalAlterConfigs,
        1,
        "resources:[resource_type:1 resource_name:s configs:[name:s config_operation:1 value:s]] validate_only:1",
    ),
    (OffsetDelete, i16::MAX, "group_id:s topics:[name:s partitions:[partition_index:4]]"),
    (DescribeCluster, 0, "include_cluster_authorized_operations:1 endpoint_type:1@1- include_fenced_brokers:1@2-"),
    (DescribeProducers, 0, "topics:[name:s partition_indexes:[4]]"),
    (DescribeTransactions, 0, "transactional_ids:[s]"),
    (
        ListTransactions,
        0,
        "state_filters:[s] producer_id_filters:[8] duration_filter:8@1- transactional_id_pattern:s@2-",
    ),
    (
        DescribeTopicPartitions,
        0,
        "topics:[name:s] response_partition_limit:4 cursor:?{topic_name:s partition_index:4}",
    ),
    (ListPartitionReassignments, 0, "timeout_ms:4 topics:[name:s partition_indexes:[4]]"),
    (DescribeLogDirs, 2, "topics:[topic:s partitions:[4]]"),
    (ListConfigResources, 0, "resource_types:[1]@1-"),
];

static PARSED: LazyLock<BTreeMap<i16, (i16, Vec<Field>)>> = LazyLock::new(|| {
    let parse = |(key, flexible, text): &(ApiKey, i16, &str)| {
        let mut rest = *text;
        (*key as i16, (*flexible, parse_fields(&mut rest)))
    };
    SHAPES.iter().map(parse).collect()
});

#[derive(Debug)]
struct Field {
    kind: Kind,
    first: i16,
    last: i16,
}

#[derive(Debug)]
enum Kind {
    Fixed(usize),
    String,
    Bytes,
    Values(Box<Kind>),
    Structures(Vec<Field>),
    Nullable(Vec<Field>),
}

/// Why the bytes of a request are not what its header says.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misshapen {
    #[error("it ends too early")]
    Short,
    #[error("a length is negative or larger than the request")]
    Length,
    #[error("it has more than {ELEMENTS_MAX} array elements")]
    Elements,
    #[error("a tagged field has a wrong size")]
    Tag,
}

/// The first version of a request whose header and body carry tagged fields.
pub(crate) fn is_flexible(key: ApiKey, version: i16) -> bool {
    PARSED.get(&(key as i16)).is_some_and(|(flexible, _)| version >= *flexible)
}

/// Walks the body of a request.
pub(crate) fn check(key: ApiKey, version: i16, body: &[u8]) -> Result<(), Misshapen> {
    let Some((flexible, fields)) = PARSED.get(&(key as i16)) else { return Ok(()) };
    let mut walk = Walk { rest: body, version, flexible: version >= *flexible, elements: 0, is_fetch: key == Fetch };
    // Bytes behind the last field are ignored, as Apache Kafka does: librdkafka 2.12 sends three of them when it asks for
    // the metadata of all topics.
    walk.structure(fields, 0)
}

/// Skips the tagged fields of a flexible request header.
pub(crate) fn skip_tags(frame: &mut Bytes) -> Result<(), Misshapen> {
    let mut walk = Walk { rest: frame, version: 0, flexible: true, elements: 0, is_fetch: false };
    walk.tags(0)?;
    let used = frame.len() - walk.rest.len();
    frame.advance(used);
    Ok(())
}

struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
    elements: u32,
    is_fetch: bool,
}

impl Walk<'_> {
    fn structure(&mut self, fields: &[Field], depth: u32) -> Result<(), Misshapen> {
        for field in fields {
            if (field.first..=field.last).contains(&self.version) {
                self.value(&field.kind, depth)?;
            }
        }
        if self.flexible { self.tags(depth) } else { Ok(()) }
    }

    fn value(&mut self, kind: &Kind, depth: u32) -> Result<(), Misshapen> {
        match kind {
            Kind::Fixed(bytes) => self.skip(*bytes),
            Kind::String | Kind::Bytes => {
                let length = match (self.flexible, kind) {
                    (true, _) => self.compact_length()?,
                    (false, Kind::String) => i64::from(i16::from_be_bytes(self.array()?)),
                    (false, _) => i64::from(i32::from_be_bytes(self.array()?)),
                };
                self.skip(if length == -1 { 0 } else { usize::try_from(length).map_err(|_| Misshapen::Length)? })
            }
            Kind::Values(element) => {
                for _ in 0..self.elements()? {
                    self.value(element, depth)?;
                }
                Ok(())
            }
            Kind::Structures(fields) => {
                for _ in 0..self.elements()? {
                    self.structure(fields, depth + 1)?;
                }
                Ok(())
            }
            Kind::Nullable(fields) => match i8::from_be_bytes(self.array()?) {
                -1 => Ok(()),
                _ => self.structure(fields, depth + 1),
            },
        }
    }

    fn elements(&mut self) -> Result<u32, Misshapen> {
        let length = if self.flexible { self.compact_length()? } else { i64::from(i32::from_be_bytes(self.array()?)) };
        let count = if length == -1 { 0 } else { u32::try_from(length).map_err(|_| Misshapen::Length)? };
        // Each element is at least a byte long.
        if count as usize > self.rest.len() {
            return Err(Misshapen::Length);
        }
        self.elements = self.elements.saturating_add(count);
        if self.elements > ELEMENTS_MAX { Err(Misshapen::Elements) } else { Ok(count) }
    }

    fn tags(&mut self, depth: u32) -> Result<(), Misshapen> {
        for _ in 0..self.varint()? {
            let tag = self.varint()?;
            let size = self.varint()? as usize;
            // The codec reads the tags that it knows by their type, not by their size. Those of a fetch's partitions are
            // the only ones with arrays behind them.
            if self.is_fetch && depth == 2 && (tag == 0 && size != 16 || tag == 1 && size != 8) {
                return Err(Misshapen::Tag);
            }
            self.skip(size)?;
        }
        Ok(())
    }

    fn compact_length(&mut self) -> Result<i64, Misshapen> {
        Ok(i64::from(self.varint()?) - 1)
    }

    fn varint(&mut self) -> Result<u32, Misshapen> {
        let mut value = 0u32;
        for shift in (0..35).step_by(7) {
            let [byte] = self.array()?;
            value |= u32::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Misshapen::Length)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Misshapen> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or(Misshapen::Short)?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn skip(&mut self, count: usize) -> Result<(), Misshapen> {
        self.rest = self.rest.get(count..).ok_or(Misshapen::Short)?;
        Ok(())
    }
}

fn parse_fields(rest: &mut &str) -> Vec<Field> {
    let mut fields = Vec::new();
    while let Some((_name, after)) = rest.trim_start().split_once(':') {
        *rest = after;
        let kind = parse_kind(rest);
        let (mut first, mut last) = (0, i16::MAX);
        if let Some(after) = rest.strip_prefix('@') {
            let end = after.find([' ', ']', '}']).unwrap_or(after.len());
            let (from, to) = after[..end].split_once('-').expect("a version range has a dash");
            first = from.parse().unwrap_or(0);
            last = to.parse().unwrap_or(i16::MAX);
            *rest = &after[end..];
        }
        fields.push(Field { kind, first, last });
        if let Some(after) = rest.strip_prefix([']', '}']) {
            *rest = after;
            break;
        }
    }
    fields
}

fn parse_kind(rest: &mut &str) -> Kind {
    if let Some(after) = rest.strip_prefix("?{") {
        *rest = after;
        return Kind::Nullable(parse_fields(rest));
    }
    if let Some(after) = rest.strip_prefix('[') {
        *rest = after;
        let end = after.find(']').expect("an array is closed");
        if after[..end].contains(':') {
            return Kind::Structures(parse_fields(rest));
        }
        let element = parse_kind(rest);
        *rest = rest.strip_prefix(']').expect("an array is closed");
        return Kind::Values(Box::new(element));
    }
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
    let word = &rest[..end];
    *rest = &rest[end..];
    match word {
        "s" => Kind::String,
        "b" => Kind::Bytes,
        number => Kind::Fixed(number.parse().expect("a type is s, b or a number of bytes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use kafka_protocol::messages::*;
    use kafka_protocol::protocol::{Encodable, Message, StrBytes};

    fn agrees<Q: Encodable + Message>(key: ApiKey, request: &Q, versions: std::ops::RangeInclusive<i16>) {
        for version in versions {
            let mut bytes = BytesMut::new();
            request.encode(&mut bytes, version).unwrap();
            assert_eq!(check(key, version, &bytes), Ok(()), "{key:?} version {version}");
            for end in 0..bytes.len() {
                assert!(check(key, version, &bytes[..end]).is_err(), "{key:?} version {version} cut at {end}");
            }
            bytes.extend([0, 0, 0]);
            assert_eq!(check(key, version, &bytes), Ok(()), "{key:?} version {version} with bytes behind it");
        }
    }

    #[test]
    fn the_shapes_agree_with_the_codec() {
        let name = || StrBytes::from_static_str("name");
        let partition = produce_request::PartitionProduceData::default().with_records(Some(Bytes::from_static(b"xx")));
        let topic =
            produce_request::TopicProduceData::default().with_partition_data(vec![partition.clone(), partition]);
        agrees(
            Produce,
            &ProduceRequest::default().with_topic_data(vec![topic.clone().with_name(TopicName(name()))]),
            3..=12,
        );
        agrees(Produce, &ProduceRequest::default().with_topic_data(vec![topic]), 13..=13);
        let topic = fetch_request::FetchTopic::default().with_partitions(vec![Default::default(), Default::default()]);
        agrees(Fetch, &FetchRequest::default().with_topics(vec![topic.clone(), topic]), 13..=17);
        let protocol = join_group_request::JoinGroupRequestProtocol::default().with_name(name());
        agrees(JoinGroup, &JoinGroupRequest::default().with_protocols(vec![protocol.clone(), protocol]), 5..=9);
        let assignment = sync_group_request::SyncGroupRequestAssignment::default().with_member_id(name());
        agrees(SyncGroup, &SyncGroupRequest::default().with_assignments(vec![assignment]), 3..=5);
        agrees(FindCoordinator, &FindCoordinatorRequest::default().with_coordinator_keys(vec![name(), name()]), 4..=5);
        let topic =
            create_topics_request::CreatableTopic::default().with_configs(vec![Default::default()]).with_assignments(
                vec![create_topics_request::CreatableReplicaAssignment::default().with_broker_ids(vec![BrokerId(1)])],
            );
        agrees(CreateTopics, &CreateTopicsRequest::default().with_topics(vec![topic]), 2..=7);
        let group = offset_fetch_request::OffsetFetchRequestGroup::default().with_topics(Some(vec![
            offset_fetch_request::OffsetFetchRequestTopics::default().with_partition_indexes(vec![1, 2]),
        ]));
        agrees(OffsetFetch, &OffsetFetchRequest::default().with_groups(vec![group]), 8..=8);
        agrees(OffsetFetch, &OffsetFetchRequest::default(), 1..=7);
        agrees(Metadata, &MetadataRequest::default().with_topics(Some(vec![Default::default()])), 10..=13);
        agrees(Metadata, &MetadataRequest::default().with_topics(None), 1..=13);
        agrees(DescribeConfigs, &DescribeConfigsRequest::default().with_resources(vec![Default::default()]), 1..=4);
        agrees(OffsetCommit, &OffsetCommitRequest::default().with_topics(vec![Default::default()]), 2..=9);
        agrees(TxnOffsetCommit, &TxnOffsetCommitRequest::default().with_topics(vec![Default::default()]), 3..=5);
        agrees(LeaveGroup, &LeaveGroupRequest::default().with_members(vec![Default::default()]), 3..=5);
        agrees(DescribeTopicPartitions, &DescribeTopicPartitionsRequest::default(), 0..=0);
        agrees(
            IncrementalAlterConfigs,
            &IncrementalAlterConfigsRequest::default().with_resources(vec![Default::default()]),
            0..=1,
        );
    }

    #[test]
    fn a_hostile_length_is_refused_before_anything_is_allocated() {
        // An old metadata request for two thousand million topics.
        assert_eq!(check(Metadata, 1, &[0x7f, 0xff, 0xff, 0xff]), Err(Misshapen::Length));
        assert_eq!(check(Metadata, 1, &[0x80, 0, 0, 0]), Err(Misshapen::Length));
        assert_eq!(check(DescribeGroups, 5, &[0xff, 0xff, 0xff, 0xff, 0x0f]), Err(Misshapen::Length));
    }

    proptest::proptest! {
        #[test]
        fn random_bodies_never_panic(at in 0..SHAPES.len(), version in 0..14i16, body in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let _ = check(SHAPES[at].0, version, &body);
        }
    }
}
