//! Transactions over the wire: what readers see, and who is fenced.

mod support;

use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, GroupId, JoinGroupRequest, OffsetFetchRequest, ProducerId, SyncGroupRequest,
    TransactionalId, TxnOffsetCommitRequest, join_group_request, offset_fetch_request, sync_group_request,
};
use support::{Client, NOBODY, Producer, batch, broker, stop, text, topic};

const ILLEGAL_GENERATION: i16 = 22;
const UNKNOWN_MEMBER_ID: i16 = 25;
const INVALID_PRODUCER_EPOCH: i16 = 47;
const INVALID_TXN_STATE: i16 = 48;
const PRODUCER_FENCED: i16 = 90;

fn write(client: &mut Client, by: Producer, value: &str) -> i16 {
    client.try_produce("t", batch(&[value], by), Some("x")).unwrap().error_code
}

#[test]
fn readers_of_committed_data_see_committed_data_only() {
    let dir = tempfile::tempdir().unwrap();
    let first = broker(dir.path(), |_| {});
    let mut client = Client::connect(first.address());
    client.create("t", 1, &[]);
    let (_, producer) = client.init("x");
    assert_eq!(write(&mut client, producer, "early=1"), INVALID_TXN_STATE, "not in a transaction yet");
    for (sequence, committed) in [(0, true), (1, false)] {
        assert_eq!(client.add_partition("x", producer, "t"), 0);
        let value = if committed { "good=1" } else { "bad=1" };
        assert_eq!(write(&mut client, Producer { sequence, ..producer }, value), 0);
        let open = client.read("t", 0, true);
        assert!(!open.iter().any(|record| record.ends_with(value)), "visible before the end: {open:?}");
        assert_eq!(client.end("x", producer, committed), 0);
    }
    client.produce("t", batch(&["plain=1"], NOBODY));
    let committed = ["0:good=1", "4:plain=1"];
    assert_eq!(client.read("t", 0, true), committed);
    assert_eq!(client.read("t", 0, false), ["0:good=1", "2:bad=1", "4:plain=1"]);
    stop(first);
    let second = broker(dir.path(), |_| {});
    assert_eq!(Client::connect(second.address()).read("t", 0, true), committed, "also after a restart");
    stop(second);
}

#[test]
fn a_new_incarnation_aborts_and_fences_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(dir.path(), |_| {});
    let mut client = Client::connect(broker.address());
    client.create("t", 1, &[]);
    let (_, old) = client.init("x");
    client.add_partition("x", old, "t");
    assert_eq!(write(&mut client, old, "zombie=1"), 0);
    let (error, new) = client.init("x");
    assert_eq!((error, new.id), (0, old.id));
    assert!(new.epoch > old.epoch);
    assert_eq!(write(&mut client, Producer { sequence: 1, ..old }, "zombie=2"), INVALID_PRODUCER_EPOCH);
    assert_eq!(client.add_partition("x", old, "t"), PRODUCER_FENCED);
    assert_eq!(client.end("x", old, true), PRODUCER_FENCED);
    client.add_partition("x", new, "t");
    assert_eq!(write(&mut client, new, "good=1"), 0);
    assert_eq!(client.end("x", new, true), 0);
    assert_eq!(client.read("t", 0, true), ["2:good=1"]);
    stop(broker);
}

#[test]
fn an_open_transaction_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let first = broker(dir.path(), |_| {});
    let mut client = Client::connect(first.address());
    client.create("t", 1, &[]);
    let (_, producer) = client.init("x");
    client.add_partition("x", producer, "t");
    write(&mut client, producer, "a=1");
    stop(first);
    let second = broker(dir.path(), |_| {});
    let mut client = Client::connect(second.address());
    assert_eq!(client.read("t", 0, true), Vec::<String>::new());
    assert_eq!(client.end("x", producer, true), 0);
    assert_eq!(client.read("t", 0, true), ["0:a=1"]);
    stop(second);
}

/// Joins a group of one as its only new member, and returns the generation and the member id.
fn join(client: &mut Client) -> (i32, String) {
    let protocol = join_group_request::JoinGroupRequestProtocol::default().with_name(text("range"));
    let mut request = JoinGroupRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(10_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol]);
    request.member_id = client.call(5, &request).member_id;
    let joined = client.call(5, &request);
    assert_eq!(joined.error_code, 0);
    let assignment = sync_group_request::SyncGroupRequestAssignment::default().with_member_id(joined.member_id.clone());
    let sync = SyncGroupRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_assignments(vec![assignment]);
    assert_eq!(client.call(3, &sync).error_code, 0);
    (joined.generation_id, joined.member_id.to_string())
}

#[test]
fn offsets_in_transactions_are_fenced_by_the_group() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(dir.path(), |_| {});
    let mut client = Client::connect(broker.address());
    client.create("t", 1, &[]);
    let (generation, member) = join(&mut client);
    let (_, producer) = client.init("x");
    let mut commit = |generation: i32, member: &str, offset: i64| {
        let add = AddOffsetsToTxnRequest::default()
            .with_transactional_id(TransactionalId(text("x")))
            .with_producer_id(ProducerId(producer.id))
            .with_producer_epoch(producer.epoch)
            .with_group_id(GroupId(text("g")));
        assert_eq!(client.call(3, &add).error_code, 0);
        let partition = TxnOffsetCommitRequestPartition::default().with_committed_offset(offset);
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(TransactionalId(text("x")))
            .with_group_id(GroupId(text("g")))
            .with_producer_id(ProducerId(producer.id))
            .with_producer_epoch(producer.epoch)
            .with_generation_id(generation)
            .with_member_id(text(member))
            .with_topics(vec![
                TxnOffsetCommitRequestTopic::default().with_name(topic("t")).with_partitions(vec![partition]),
            ]);
        let error = client.call(3, &request).topics[0].partitions[0].error_code;
        assert_eq!(client.end("x", producer, error == 0), 0);
        let asked = offset_fetch_request::OffsetFetchRequestTopic::default()
            .with_name(topic("t"))
            .with_partition_indexes(vec![0]);
        let fetch = OffsetFetchRequest::default().with_group_id(GroupId(text("g"))).with_topics(Some(vec![asked]));
        (error, client.call(5, &fetch).topics[0].partitions[0].committed_offset)
    };
    assert_eq!(commit(generation, &member, 5), (0, 5));
    assert_eq!(commit(generation - 1, &member, 6), (ILLEGAL_GENERATION, 5));
    assert_eq!(commit(generation, "somebody-else", 7), (UNKNOWN_MEMBER_ID, 5));
    assert_eq!(commit(-1, "", 8), (0, 8), "as Apache Kafka does: who never joined is not asked");
    stop(broker);
}
