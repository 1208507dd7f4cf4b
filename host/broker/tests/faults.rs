//! Injected faults do to clients what a bad network does.

mod support;

use std::time::{Duration, Instant};

use support::{Client, NOBODY, Producer, batch, broker, stop};
use tidegate_broker::Fault;

const PRODUCE: i16 = 0;

#[test]
fn a_dropped_request_is_not_handled_and_a_dropped_response_is() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(dir.path(), |_| {});
    Client::connect(broker.address()).create("t", 1, &[]);
    for (fault, records) in [(Fault::DropRequest, 0), (Fault::DropResponse, 1)] {
        broker.faults().inject(PRODUCE, fault, 1);
        let mut client = Client::connect(broker.address());
        assert!(client.try_produce("t", batch(&["a=1"], NOBODY), None).is_err());
        assert_eq!(Client::connect(broker.address()).read("t", 0, false).len(), records, "{fault:?}");
    }
    stop(broker);
}

#[test]
fn a_duplicated_request_is_written_twice_unless_the_producer_is_idempotent() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(dir.path(), |_| {});
    let mut client = Client::connect(broker.address());
    client.create("t", 1, &[]);
    broker.faults().inject(PRODUCE, Fault::Duplicate, 2);
    assert_eq!(client.produce("t", batch(&["a=1"], NOBODY)), (0, 1));
    let by = Producer { id: 3, epoch: 0, sequence: 0, transactional: false };
    assert_eq!(client.produce("t", batch(&["b=2"], by)), (0, 2));
    assert_eq!(client.read("t", 0, false), ["0:a=1", "1:a=1", "2:b=2"]);
    stop(broker);
}

#[test]
fn a_delayed_request_takes_its_time_and_faults_can_be_cleared() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(dir.path(), |_| {});
    let mut client = Client::connect(broker.address());
    client.create("t", 1, &[]);
    broker.faults().inject(PRODUCE, Fault::Delay(Duration::from_millis(150)), 1);
    broker.faults().inject(PRODUCE, Fault::DropRequest, 100);
    let started = Instant::now();
    assert_eq!(client.produce("t", batch(&["a=1"], NOBODY)), (0, 0));
    assert!(started.elapsed() >= Duration::from_millis(150));
    broker.faults().clear();
    assert_eq!(client.produce("t", batch(&["a=1"], NOBODY)), (0, 1));
    stop(broker);
}
