use std::time::{Duration, Instant};

use tidegate_kafka::{ClientSettings, DeliveryError, KafkaError, OutHeader, OutRecord, Producer, Timestamp};

use crate::cluster::{BUDGET_BYTES, PATIENCE, deliver, next_outcome, on_each_broker, text};

#[test]
fn a_record_arrives_with_all_its_parts() {
    on_each_broker("parts", |cluster| {
        let topic = cluster.topic("t", 1, &[]);
        let headers = [
            OutHeader { name: "a", value: Some(b"1") },
            OutHeader { name: "b", value: None },
            OutHeader { name: "a", value: Some(b"") },
        ];
        let plain = OutRecord { topic: &topic, ..OutRecord::default() };
        let records = [
            OutRecord { key: Some(b"k0"), value: Some(b"v0"), ..plain },
            OutRecord { key: Some(b"k1"), value: Some(b"v1"), headers: &headers, ..plain },
            OutRecord { value: Some(b""), ..plain },
            OutRecord { key: Some(b""), ..plain },
            OutRecord { value: Some(b"v4"), timestamp: Some(1_500_000_000_123), ..plain },
            OutRecord { value: Some(b"v5"), partition: Some(0), ..plain },
        ];
        assert_eq!(deliver(&mut cluster.producer(), &records).acknowledged_prefix(), records.len());

        let shown = cluster.read_all(&topic, |message| {
            let optional = |bytes: Option<&[u8]>| bytes.map_or("null".to_owned(), |b| format!("'{}'", text(b)));
            let headers: Vec<_> =
                message.headers().map(|(name, value)| format!("{}={}", text(name), optional(value))).collect();
            let time = match message.timestamp() {
                Timestamp::CreateTime(1_500_000_000_123) => "given",
                Timestamp::CreateTime(_) => "now",
                _ => "other",
            };
            format!(
                "{} {} {} [{}] {time}",
                message.offset(),
                optional(message.key()),
                optional(message.value()),
                headers.join(" ")
            )
        });
        assert_eq!(
            shown,
            [
                "0 'k0' 'v0' [] now",
                "1 'k1' 'v1' [a='1' b=null a=''] now",
                "2 null '' [] now",
                "3 '' null [] now",
                "4 null 'v4' [] given",
                "5 null 'v5' [] now",
            ]
        );
    });
}

#[test]
fn order_is_kept_across_batches_and_both_ways_of_producing() {
    on_each_broker("order", |cluster| {
        let topic = cluster.topic("t", 1, &[]);
        let mut producer = cluster.producer();
        let header = [OutHeader { name: "h", value: None }];
        let values: Vec<String> = (0..5_000).map(|n| n.to_string()).collect();
        for batch in values.chunks(700) {
            let records: Vec<_> = batch
                .iter()
                .enumerate()
                .map(|(index, value)| OutRecord {
                    topic: &topic,
                    value: Some(value.as_bytes()),
                    headers: if index % 50 == 7 { &header } else { &[] },
                    ..OutRecord::default()
                })
                .collect();
            assert_eq!(producer.produce(&records, PATIENCE).accepted, records.len());
        }
        let mut outcomes = Vec::new();
        while producer.open_batches() > 0 {
            producer.poll_acks(PATIENCE, &mut outcomes);
        }
        assert!(outcomes.iter().all(|outcome| outcome.is_ok()));
        assert_eq!(outcomes.iter().map(|outcome| outcome.records).sum::<usize>(), values.len());
        assert_eq!(cluster.read_all(&topic, |m| text(m.value().unwrap())), values);
    });
}

#[test]
fn a_batch_with_a_record_too_large_says_which_and_delivers_the_others() {
    on_each_broker("large", |cluster| {
        let topic = cluster.topic("t", 1, &[]);
        let large = vec![b'x'; 2 << 20];
        let values: [&[u8]; 4] = [b"0", b"1", &large, b"3"];
        let records: Vec<_> = values
            .iter()
            .map(|&value| OutRecord { topic: &topic, value: Some(value), ..OutRecord::default() })
            .collect();
        let outcome = deliver(&mut cluster.producer(), &records);
        let failures: Vec<_> = outcome.failures.iter().map(|f| (f.index, f.error)).collect();
        assert_eq!(failures, [(2, DeliveryError::TooLarge)]);
        assert_eq!(outcome.acknowledged_prefix(), 2);
        assert_eq!(cluster.read_all(&topic, |m| text(m.value().unwrap())), ["0", "1", "3"]);
    });
}

#[test]
fn a_record_too_large_for_the_topic_is_refused_by_the_broker() {
    on_each_broker("limit", |cluster| {
        let topic = cluster.topic("t", 1, &[("max.message.bytes", "1000")]);
        let large = vec![b'x'; 5_000];
        let mut producer = cluster.producer();
        let record = |value| OutRecord { topic: &topic, value: Some(value), ..OutRecord::default() };
        assert!(deliver(&mut producer, &[record(b"0")]).is_ok());
        let outcome = deliver(&mut producer, &[record(&large)]);
        assert_eq!(outcome.failures[0].error, DeliveryError::TooLarge);
        assert!(deliver(&mut producer, &[record(b"1")]).is_ok());
        assert_eq!(cluster.read_all(&topic, |m| text(m.value().unwrap())), ["0", "1"]);
    });
}

#[test]
fn records_that_cannot_be_written_fail_one_by_one() {
    on_each_broker("refused", |cluster| {
        let topic = cluster.topic("t", 2, &[]);
        let plain = OutRecord { topic: &topic, value: Some(b"v"), ..OutRecord::default() };
        let mut producer = cluster.producer();
        // The client knows the topic's partitions from here on.
        assert!(deliver(&mut producer, &[plain]).is_ok());
        let records = [
            OutRecord { partition: Some(1), ..plain },
            OutRecord { partition: Some(9), ..plain },
            OutRecord { topic: "no such\0topic", ..plain },
            OutRecord { timestamp: Some(-5), ..plain },
            OutRecord { partition: Some(0), ..plain },
        ];
        let outcome = deliver(&mut producer, &records);
        let failures: Vec<_> =
            outcome.failures.iter().map(|f| format!("{} {:?} {}", f.index, f.error, f.code)).collect();
        assert_eq!(
            failures,
            ["1 Rejected _UNKNOWN_PARTITION", "2 Rejected TOPIC_EXCEPTION", "3 Rejected INVALID_TIMESTAMP"]
        );
    });
}

#[test]
fn a_full_queue_pushes_back_and_takes_the_rest_later() {
    on_each_broker("full", |cluster| {
        let topic = cluster.topic("t", 1, &[]);
        let mut settings = ClientSettings::for_producer(&cluster.bootstrap, BUDGET_BYTES);
        settings.set("queue.buffering.max.messages", "100");
        let mut producer = Producer::open(&settings).unwrap();
        let values: Vec<String> = (0..1_000).map(|n| n.to_string()).collect();
        let records: Vec<_> = values
            .iter()
            .map(|value| OutRecord { topic: &topic, value: Some(value.as_bytes()), ..OutRecord::default() })
            .collect();

        let first = producer.produce(&records, Duration::ZERO);
        assert_eq!(first.accepted, 100);
        assert!(matches!(producer.resume(first.ticket, &records, PATIENCE), Err(KafkaError::OutOfOrder { .. })));
        let rest = producer.resume(first.ticket, &records[first.accepted..], PATIENCE).unwrap();
        assert_eq!(first.accepted + rest, records.len());
        assert_eq!(next_outcome(&mut producer).acknowledged_prefix(), records.len());
        assert_eq!(cluster.read_all(&topic, |m| text(m.value().unwrap())), values);
    });
}

#[test]
fn without_a_broker_records_wait_until_they_are_abandoned() {
    let mut settings = ClientSettings::for_producer("127.0.0.1:1", BUDGET_BYTES);
    settings.set("queue.buffering.max.messages", "10");
    let mut producer = Producer::open(&settings).unwrap();
    let records = [OutRecord { topic: "t", value: Some(b"v"), ..OutRecord::default() }; 15];
    let enqueued = producer.produce(&records, Duration::from_millis(100));
    assert_eq!(enqueued.accepted, 10);
    let mut outcomes = Vec::new();
    producer.poll_acks(Duration::from_millis(100), &mut outcomes);
    assert!(outcomes.is_empty());

    let start = Instant::now();
    producer.abandon().unwrap();
    let outcome = next_outcome(&mut producer);
    assert_eq!(outcome.ticket, enqueued.ticket);
    assert_eq!(outcome.failures.len(), 15);
    assert!(outcome.failures.iter().all(|failure| failure.error == DeliveryError::Abandoned));
    assert!(start.elapsed() < Duration::from_secs(10), "abandoning took {:?}", start.elapsed());
    assert_eq!((producer.open_batches(), producer.records_in_flight()), (0, 0));
}

#[test]
fn a_wrong_setting_is_named() {
    let check = |key: &str, value: &str, expected: &str| {
        let mut settings = ClientSettings::for_producer("127.0.0.1:1", BUDGET_BYTES);
        settings.set(key, value);
        assert_eq!(Producer::open(&settings).unwrap_err().to_string(), expected);
    };
    check("no.such.thing", "1", "unknown Kafka client setting \"no.such.thing\"");
    check(
        "batch.num.messages",
        "many",
        "invalid Kafka client setting \"batch.num.messages\": \
         invalid value for configuration property \"batch.num.messages\"",
    );
    check("acks", "0", "cannot make a Kafka client: `acks` must be set to `all` when `enable.idempotence` is true");
}

#[test]
fn a_producer_that_abandoned_records_goes_on() {
    on_each_broker("abandon", |cluster| {
        let topic = cluster.topic("t", 1, &[]);
        let mut producer = cluster.producer();
        let record = |value| OutRecord { topic: &topic, value: Some(value), ..OutRecord::default() };
        for round in 0..20 {
            // Alternately while records wait and while they are in flight.
            let abandoned = producer.produce(&[record(b"given up"); 500], PATIENCE);
            assert_eq!(abandoned.accepted, 500);
            if round % 2 == 1 {
                producer.hurry();
                producer.poll_acks(Duration::from_millis(1), &mut Vec::new());
            }
            producer.abandon().unwrap();
            let kept = producer.produce(&[record(b"kept")], PATIENCE);
            let mut outcomes = Vec::new();
            while !outcomes.iter().any(|outcome: &tidegate_kafka::BatchOutcome| outcome.ticket == kept.ticket) {
                outcomes.clear();
                producer.poll_acks(PATIENCE, &mut outcomes);
                assert!(!outcomes.is_empty(), "round {round}: {:?}", producer.last_transport_error());
            }
            let outcome = outcomes.iter().find(|outcome| outcome.ticket == kept.ticket);
            assert!(outcome.is_some_and(|outcome| outcome.is_ok()), "round {round}: {outcome:?}");
        }
        let kept = cluster.read_all(&topic, |m| m.value() == Some(b"kept"));
        assert_eq!(kept.iter().filter(|kept| **kept).count(), 20);
    });
}
