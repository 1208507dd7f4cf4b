use std::time::{Duration, Instant};

use tidegate_kafka::{
    ClientSettings, Consumer, KafkaError, OutRecord, PartitionOffset, Polled, Producer, Subscription,
};

use crate::cluster::{BUDGET_BYTES, Cluster, PATIENCE, on_each_broker, text};

fn transactional(cluster: &Cluster, id: &str) -> Producer {
    let settings = ClientSettings::for_transactional_producer(&cluster.bootstrap, &cluster.name(id), BUDGET_BYTES);
    let mut producer = Producer::open(&settings).unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer
}

fn enqueue(producer: &mut Producer, topic: &str, values: &[&str]) {
    let records: Vec<_> =
        values.iter().map(|value| OutRecord { topic, value: Some(value.as_bytes()), ..OutRecord::default() }).collect();
    assert_eq!(producer.produce(&records, PATIENCE).accepted, records.len());
}

#[test]
fn what_was_aborted_is_never_seen() {
    on_each_broker("txn", |cluster| {
        let topic = cluster.topic("t", 1, &[]);
        let mut producer = transactional(cluster, "id");
        for (values, commit) in [(["a", "b"], true), (["c", "d"], false), (["e", "f"], true)] {
            producer.begin_transaction().unwrap();
            enqueue(&mut producer, &topic, &values);
            if commit {
                producer.commit_transaction(PATIENCE).unwrap();
            } else {
                producer.abort_transaction(PATIENCE).unwrap();
            }
        }
        let mut outcomes = Vec::new();
        producer.poll_acks(PATIENCE, &mut outcomes);
        assert_eq!(outcomes.iter().map(|outcome| outcome.is_ok()).collect::<Vec<_>>(), [true, false, true]);
        assert_eq!(cluster.read_all(&topic, |m| text(m.value().unwrap())), ["a", "b", "e", "f"]);
    });
}

#[test]
fn a_record_that_is_refused_at_the_door_fails_its_transaction_and_not_the_next() {
    on_each_broker("txn-door", |cluster| {
        let topic = cluster.topic("t", 1, &[]);
        let mut producer = transactional(cluster, "id");
        let large = "x".repeat(2 << 20);
        producer.begin_transaction().unwrap();
        enqueue(&mut producer, &topic, &["a", &large, "b"]);
        let error = producer.commit_transaction(PATIENCE).unwrap_err();
        assert!(matches!(error, KafkaError::Abortable { .. }), "{error:?}");
        producer.abort_transaction(PATIENCE).unwrap();
        producer.begin_transaction().unwrap();
        enqueue(&mut producer, &topic, &["c"]);
        producer.commit_transaction(PATIENCE).unwrap();
        assert_eq!(cluster.read_all(&topic, |m| text(m.value().unwrap())), ["c"]);
    });
}

#[test]
fn a_second_producer_fences_the_first() {
    on_each_broker("fence", |cluster| {
        let topic = cluster.topic("t", 1, &[]);
        let mut zombie = transactional(cluster, "id");
        zombie.begin_transaction().unwrap();
        enqueue(&mut zombie, &topic, &["zombie"]);
        let mut owner = transactional(cluster, "id");
        let error = zombie.commit_transaction(PATIENCE).unwrap_err();
        assert!(matches!(error, KafkaError::Fenced { .. }), "{error:?}");
        assert!(matches!(zombie.check(), Err(KafkaError::Fenced { .. })), "{:?}", zombie.check());
        owner.begin_transaction().unwrap();
        enqueue(&mut owner, &topic, &["owner"]);
        owner.commit_transaction(PATIENCE).unwrap();
        assert_eq!(cluster.read_all(&topic, |m| text(m.value().unwrap())), ["owner"]);
    });
}

#[test]
fn offsets_are_committed_with_the_records_by_members_only() {
    on_each_broker("txn-offsets", |cluster| {
        let (topic, output) = (cluster.topic("in", 1, &[]), cluster.topic("out", 1, &[]));
        let mut consumer = Consumer::open(&cluster.consumer_settings("g")).unwrap();
        let mut producer = transactional(cluster, "id");
        let offsets = [PartitionOffset::new(&topic, 0, 5)];

        producer.begin_transaction().unwrap();
        let stranger = consumer.group_metadata().unwrap();
        let error = producer.send_offsets(&offsets, &stranger, PATIENCE).unwrap_err();
        assert!(matches!(error, KafkaError::NotAMember { .. }), "{error:?}");

        consumer.subscribe(Subscription::Topics(std::slice::from_ref(&topic))).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let member = loop {
            assert!(Instant::now() < deadline, "no assignment");
            if let Polled::Rebalance(rebalance) = consumer.poll(1, Duration::from_millis(100)).unwrap() {
                consumer.accept(rebalance).unwrap();
                break consumer.group_metadata().unwrap();
            }
        };
        enqueue(&mut producer, &output, &["v"]);
        producer.send_offsets(&offsets, &member, PATIENCE).unwrap();
        producer.commit_transaction(PATIENCE).unwrap();
        assert_eq!(cluster.admin().group_offsets(&cluster.name("g"), PATIENCE).unwrap(), offsets);
        assert_eq!(cluster.read_all(&output, |m| text(m.value().unwrap())), ["v"]);
    });
}
