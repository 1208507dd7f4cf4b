//! Producing and fetching: what comes back, when, and how much at a time.

mod support;

use std::thread;
use std::time::{Duration, Instant};

use support::{Client, NOBODY, Producer, batch, broker, stop};

#[test]
fn records_come_back_at_their_offsets_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let first = broker(dir.path(), |_| {});
    let mut client = Client::connect(first.address());
    assert_eq!(client.create("t", 1, &[]), 0);
    assert_eq!(client.produce("t", batch(&["a=1", "b=2"], NOBODY)), (0, 0));
    assert_eq!(client.produce("t", batch(&["c=3"], NOBODY)), (0, 2));
    stop(first);
    let second = broker(dir.path(), |_| {});
    let mut client = Client::connect(second.address());
    assert_eq!(client.read("t", 0, false), ["0:a=1", "1:b=2", "2:c=3"]);
    assert_eq!(client.read("t", 1, false), ["1:b=2", "2:c=3"]);
    assert_eq!(client.produce("t", batch(&["d=4"], NOBODY)), (0, 3));
    stop(second);
}

#[test]
fn a_waiting_fetch_is_woken_by_an_append() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(dir.path(), |_| {});
    let address = broker.address();
    let mut client = Client::connect(address);
    client.create("t", 1, &[]);
    let waiting = thread::spawn(move || {
        let started = Instant::now();
        let data = Client::connect(address).fetch("t", 0, 50_000, 1 << 20, false);
        (started.elapsed(), data.records.unwrap().len())
    });
    // Whether this comes before or after the fetch, the fetch must not wait for its whole time.
    client.produce("t", batch(&["a=1"], NOBODY));
    let (waited, bytes) = waiting.join().unwrap();
    assert!(bytes > 0);
    assert!(waited < Duration::from_secs(40), "waited {waited:?}");
    stop(broker);
}

#[test]
fn a_fetch_with_nothing_to_read_is_answered_when_its_time_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(dir.path(), |_| {});
    let mut client = Client::connect(broker.address());
    client.create("t", 1, &[]);
    let started = Instant::now();
    let data = client.fetch("t", 0, 200, 1 << 20, false);
    assert!(started.elapsed() >= Duration::from_millis(200));
    assert_eq!((data.error_code, data.records.map(|records| records.len())), (0, Some(0)));
    assert_eq!(client.fetch("t", 7, 0, 1 << 20, false).error_code, 1, "offset out of range");
    stop(broker);
}

#[test]
fn a_fetch_carries_whole_batches_within_its_limit_but_at_least_one() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(dir.path(), |_| {});
    let mut client = Client::connect(broker.address());
    client.create("t", 1, &[]);
    let one = batch(&["a=1"], NOBODY);
    for _ in 0..10 {
        client.produce("t", one.clone());
    }
    let bytes = |client: &mut Client, max: usize| client.fetch("t", 0, 0, max as i32, false).records.unwrap().len();
    assert_eq!(bytes(&mut client, 1), one.len());
    assert_eq!(bytes(&mut client, 3 * one.len() + 5), 3 * one.len());
    assert_eq!(bytes(&mut client, 1 << 20), 10 * one.len());
    stop(broker);
}

#[test]
fn a_repeated_batch_of_an_idempotent_producer_is_written_once() {
    let dir = tempfile::tempdir().unwrap();
    let first = broker(dir.path(), |_| {});
    let mut client = Client::connect(first.address());
    client.create("t", 1, &[]);
    let by = Producer { id: 5, epoch: 0, sequence: 0, transactional: false };
    assert_eq!(client.produce("t", batch(&["a=1"], by)), (0, 0));
    assert_eq!(client.produce("t", batch(&["a=1"], by)), (0, 0));
    stop(first);
    let second = broker(dir.path(), |_| {});
    let mut client = Client::connect(second.address());
    assert_eq!(client.produce("t", batch(&["a=1"], by)), (0, 0), "also after a restart");
    assert_eq!(client.produce("t", batch(&["b=2"], Producer { sequence: 2, ..by })).0, 45, "a gap");
    assert_eq!(client.produce("t", batch(&["b=2"], Producer { sequence: 1, ..by })), (0, 1));
    assert_eq!(client.read("t", 0, false), ["0:a=1", "1:b=2"]);
    stop(second);
}

#[test]
fn deleted_records_stay_deleted_after_a_restart() {
    use kafka_protocol::messages::DeleteRecordsRequest;
    use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
    let dir = tempfile::tempdir().unwrap();
    let first = broker(dir.path(), |_| {});
    let mut client = Client::connect(first.address());
    client.create("t", 1, &[]);
    for value in ["a=1", "b=2", "c=3"] {
        client.produce("t", batch(&[value], NOBODY));
    }
    let asked = DeleteRecordsTopic::default()
        .with_name(support::topic("t"))
        .with_partitions(vec![DeleteRecordsPartition::default().with_offset(2)]);
    let response = client.call(2, &DeleteRecordsRequest::default().with_topics(vec![asked]));
    assert_eq!(response.topics[0].partitions[0].low_watermark, 2);
    stop(first);
    let second = broker(dir.path(), |_| {});
    let mut client = Client::connect(second.address());
    assert_eq!((client.offset("t", -2), client.offset("t", -1)), (2, 3));
    assert_eq!(client.fetch("t", 1, 0, 1 << 20, false).error_code, 1);
    assert_eq!(client.read("t", 2, false), ["2:c=3"]);
    stop(second);
}

#[test]
fn compaction_keeps_the_last_value_of_each_key_and_drops_aborted_data() {
    let dir = tempfile::tempdir().unwrap();
    let first = broker(dir.path(), |config| config.housekeeping_interval_ms = 20);
    let mut client = Client::connect(first.address());
    let configs = [
        ("cleanup.policy", "compact"),
        ("segment.bytes", "1024"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("delete.retention.ms", "86400000"),
    ];
    assert_eq!(client.create("t", 1, &configs), 0);
    let (_, producer) = client.init("x");
    for (committed, value) in [(true, "txn=committed"), (false, "a=aborted")] {
        assert_eq!(client.add_partition("x", producer, "t"), 0);
        let by = Producer { sequence: i32::from(!committed), ..producer };
        assert_eq!(client.try_produce("t", batch(&[value], by), Some("x")).unwrap().error_code, 0);
        assert_eq!(client.end("x", producer, committed), 0);
    }
    for round in 0..50 {
        let (a, b) = (format!("a={round}"), format!("b={round}"));
        client.produce("t", batch(&[&a, &b, "gone="], NOBODY));
    }
    // Enough of another key that the last segment holds nothing of these.
    let filler = format!("z={}", "z".repeat(600));
    for _ in 0..3 {
        client.produce("t", batch(&[&filler], NOBODY));
    }
    let compacted =
        |records: &[String]| records.iter().filter(|record| !record.contains(":z=")).cloned().collect::<Vec<_>>();
    let deadline = Instant::now() + Duration::from_secs(30);
    let expected = ["0:txn=committed", "151:a=49", "152:b=49", "153:gone="];
    while compacted(&client.read("t", 0, true)) != expected {
        assert!(Instant::now() < deadline, "{:?}", client.read("t", 0, true));
        thread::sleep(Duration::from_millis(20));
    }
    let before = (client.offset("t", -2), client.offset("t", -1), client.read("t", 0, true));
    stop(first);
    let second = broker(dir.path(), |_| {});
    let mut client = Client::connect(second.address());
    assert_eq!((client.offset("t", -2), client.offset("t", -1), client.read("t", 0, true)), before);
    assert_eq!(client.produce("t", batch(&["a=50"], NOBODY)), (0, before.1));
    stop(second);
}
