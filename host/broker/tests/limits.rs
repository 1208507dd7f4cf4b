//! Everything is bounded; each bound is met here and answered politely.

mod support;

use std::net::SocketAddr;

use kafka_protocol::messages::MetadataRequest;
use support::{Client, NOBODY, batch, broker, stop};
use tidegate_broker::{Broker, BrokerConfig, StartError};

#[test]
fn only_loopback_addresses_are_listened_on() {
    let dir = tempfile::tempdir().unwrap();
    let config = BrokerConfig::new(SocketAddr::from(([0, 0, 0, 0], 0)), dir.path().join("data"));
    let error = Broker::start(config).unwrap_err();
    assert!(matches!(error, StartError::NotLoopback(_)));
    assert!(error.to_string().contains("hint: use 127.0.0.1"), "{error}");
    assert!(!dir.path().join("data").exists(), "nothing is made");
}

#[test]
fn a_directory_belongs_to_one_broker_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let first = broker(dir.path(), |_| {});
    let config = BrokerConfig::new(SocketAddr::from(([127, 0, 0, 1], 0)), dir.path().join("data"));
    let error = Broker::start(config.clone()).unwrap_err();
    assert!(matches!(error, StartError::InUse(_)));
    assert!(error.to_string().contains("in use by another broker"), "{error}");
    stop(first);
    stop(Broker::start(config).unwrap());
}

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let first = broker(&dir.path().join("a"), |_| {});
    let config = BrokerConfig::new(first.address(), dir.path().join("b"));
    let error = Broker::start(config).unwrap_err();
    assert!(error.to_string().contains(&first.address().to_string()), "{error}");
    stop(first);
}

#[test]
fn connections_beyond_the_limit_are_closed() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(dir.path(), |config| config.connections_max = 2);
    let mut clients: Vec<Client> = (0..2).map(|_| Client::connect(broker.address())).collect();
    for client in &mut clients {
        client.call(12, &MetadataRequest::default());
    }
    assert!(Client::connect(broker.address()).is_closed());
    clients[0].call(12, &MetadataRequest::default());
    stop(broker);
}

#[test]
fn partitions_beyond_the_limit_are_refused() {
    const POLICY_VIOLATION: i16 = 44;
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(dir.path(), |config| config.partitions_max = 10);
    let mut client = Client::connect(broker.address());
    assert_eq!(client.create("a", 9, &[]), 0);
    assert_eq!(client.create("b", 2, &[]), POLICY_VIOLATION);
    assert_eq!(client.create("b", i32::MAX, &[]), POLICY_VIOLATION);
    assert_eq!(client.create("b", 1, &[]), 0);
    stop(broker);
}

#[test]
fn requests_beyond_the_limit_close_the_connection_and_large_batches_are_refused() {
    const MESSAGE_TOO_LARGE: i16 = 10;
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(dir.path(), |config| config.request_bytes_max = 100_000);
    let mut client = Client::connect(broker.address());
    client.create("t", 1, &[("max.message.bytes", "10000")]);
    let value = |bytes: usize| format!("k={}", "v".repeat(bytes));
    assert_eq!(client.produce("t", batch(&[&value(20_000)], NOBODY)).0, MESSAGE_TOO_LARGE);
    assert_eq!(client.produce("t", batch(&[&value(5_000)], NOBODY)).0, 0);
    assert!(client.try_produce("t", batch(&[&value(200_000)], NOBODY), None).is_err());
    stop(broker);
}

#[test]
fn bad_names_and_configs_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(dir.path(), |_| {});
    let mut client = Client::connect(broker.address());
    for name in ["", ".", "..", "a/b", "ä", &"x".repeat(250)] {
        assert_eq!(client.create(name, 1, &[]), 17, "{name}");
    }
    assert_eq!(client.create("t", 0, &[]), 37);
    assert_eq!(client.create("t", 1, &[("no.such.key", "1")]), 40);
    assert_eq!(client.create("t", 1, &[("retention.ms", "soon")]), 40);
    assert_eq!(client.create("t", 1, &[]), 0);
    assert_eq!(client.create("t", 1, &[]), 36);
    stop(broker);
}
