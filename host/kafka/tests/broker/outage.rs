//! A broker that goes away and comes back on the same port: nothing is lost, nothing is written twice, order is kept.

use std::time::{Duration, Instant};

use tidegate_kafka::{Closed, CompactedTopic, Consumer, OutRecord, Polled, Subscription};

use crate::cluster::{BUDGET_BYTES, Embedded, PATIENCE, text};

#[test]
fn producing_rides_out_a_restart() {
    let mut broker = Embedded::start();
    let cluster = broker.cluster();
    let topic = cluster.topic("t", 1, &[]);
    let mut producer = cluster.producer();
    let values: Vec<String> = (0..3_000).map(|n| n.to_string()).collect();
    let mut outcomes = Vec::new();
    for (index, batch) in values.chunks(100).enumerate() {
        let records: Vec<_> = batch
            .iter()
            .map(|value| OutRecord { topic: &topic, value: Some(value.as_bytes()), ..OutRecord::default() })
            .collect();
        assert_eq!(producer.produce(&records, PATIENCE).accepted, records.len());
        match index {
            // In the middle of what is in flight.
            5 => broker.stop(),
            15 => {
                producer.poll_acks(Duration::from_millis(300), &mut outcomes);
                assert!(outcomes.len() < 15, "batches were acknowledged by nobody");
                broker.start_again();
            }
            22 => broker.start_again(),
            _ => producer.poll_acks(Duration::ZERO, &mut outcomes),
        }
    }
    let deadline = Instant::now() + PATIENCE;
    while producer.open_batches() > 0 {
        assert!(Instant::now() < deadline, "not delivered: {:?}", producer.last_transport_error());
        producer.poll_acks(Duration::from_secs(1), &mut outcomes);
    }
    assert_eq!(outcomes.len(), 30);
    assert!(outcomes.iter().all(|outcome| outcome.is_ok()));
    assert_eq!(cluster.read_all(&topic, |m| text(m.value().unwrap())), values);
}

#[test]
fn a_group_member_reads_on_after_a_restart() {
    let mut broker = Embedded::start();
    let cluster = broker.cluster();
    let topic = cluster.topic("t", 1, &[]);
    let mut producer = cluster.producer();
    let mut consumer = Consumer::open(&cluster.consumer_settings("g")).unwrap();
    consumer.subscribe(Subscription::Topics(std::slice::from_ref(&topic))).unwrap();
    let mut next = 0;
    for round in 1..=3_i64 {
        let values: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        crate::cluster::write_values(&mut producer, &topic, &values);
        let deadline = Instant::now() + PATIENCE;
        while next < round * 100 {
            assert!(Instant::now() < deadline, "stuck at {next} in round {round}");
            match consumer.poll(50, Duration::from_millis(100)).unwrap() {
                Polled::Records(batch) => {
                    for message in batch.iter() {
                        assert!(message.offset() <= next, "records were skipped");
                        next = next.max(message.offset() + 1);
                    }
                }
                Polled::Rebalance(rebalance) => consumer.accept(rebalance).unwrap(),
                Polled::EndOfPartition { .. } | Polled::Trouble(_) => {}
            }
        }
        broker.start_again();
    }
}

#[test]
fn closing_without_a_coordinator_is_bounded_and_harmless() {
    let mut broker = Embedded::start();
    let cluster = broker.cluster();
    let topic = cluster.topic("t", 1, &[]);
    let mut consumer = Consumer::open(&cluster.consumer_settings("g")).unwrap();
    consumer.subscribe(Subscription::Topics(&[topic])).unwrap();
    loop {
        if let Polled::Rebalance(rebalance) = consumer.poll(1, PATIENCE).unwrap() {
            consumer.accept(rebalance).unwrap();
            break;
        }
    }
    broker.stop();
    let start = Instant::now();
    assert_eq!(consumer.close(Duration::from_secs(2)).unwrap(), Closed::Abandoned);
    assert!(start.elapsed() < Duration::from_secs(15), "took {:?}", start.elapsed());
}

#[test]
fn a_write_to_a_table_that_failed_is_not_written_later() {
    let mut broker = Embedded::start();
    let cluster = broker.cluster();
    let topic = cluster.topic("t", 1, &[("cleanup.policy", "compact")]);
    let writer = tidegate_kafka::ClientSettings::for_producer(&cluster.bootstrap, BUDGET_BYTES);
    let mut table = CompactedTopic::open(&cluster.reader_settings(), &writer, &topic, PATIENCE).unwrap();
    table.put_batch(&[(b"k", Some(b"1"))], PATIENCE).unwrap();
    broker.stop();
    let error = table.put_batch(&[(b"k", Some(b"2"))], Duration::from_millis(300)).unwrap_err();
    assert!(error.is_retriable(), "{error:?}");
    broker.start_again();
    table.put_batch(&[(b"k", Some(b"3"))], PATIENCE).unwrap();
    let mut written = Vec::new();
    table.read_to_end(PATIENCE, |_, value| written.push(value.map(text))).unwrap();
    assert_eq!(written.last(), Some(&Some("3".to_owned())));
    assert!(!written.contains(&Some("2".to_owned())), "{written:?}");
}
