//! Hostile and broken clients: their connection is closed, everybody else goes on.

mod support;

use bytes::{BufMut, Bytes, BytesMut};
use support::{Client, NOBODY, batch, broker, stop};

/// Sends bytes on a connection of its own and expects it to be closed; another client is not disturbed.
fn check(frames: &[(&str, Vec<u8>)]) {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(dir.path(), |config| config.request_bytes_max = 1 << 20);
    let mut bystander = Client::connect(broker.address());
    assert_eq!(bystander.create("t", 1, &[]), 0);
    for (what, bytes) in frames {
        let mut client = Client::connect(broker.address());
        // The broker may close before everything is sent.
        let _ = client.send(bytes);
        assert!(client.is_closed(), "{what}");
        assert_eq!(bystander.produce("t", batch(&["a=1"], NOBODY)).0, 0, "after {what}");
    }
    stop(broker);
}

fn frame(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    out.put_i32(10 + body.len() as i32);
    out.put_i16(key);
    out.put_i16(version);
    out.put_i32(1);
    out.put_i16(-1); // no client id
    out.put_slice(body);
    out.to_vec()
}

#[test]
fn frames_that_make_no_sense_close_their_connection() {
    check(&[
        ("a length of two thousand million", vec![0x7f, 0xff, 0xff, 0xff, 0, 0]),
        ("a negative length", vec![0xff; 8]),
        ("an empty frame", vec![0, 0, 0, 0]),
        ("a frame of three bytes", vec![0, 0, 0, 3, 0, 3, 0]),
        ("an api that does not exist", frame(999, 0, &[])),
        ("a version that does not exist", frame(3, 99, &[])),
        ("an old version that is advertised only", frame(0, 0, &[])),
        ("metadata for two thousand million topics", frame(3, 1, &[0x7f, 0xff, 0xff, 0xff])),
        ("a list of groups with a hostile length", frame(15, 0, &[0x7f, 0xff, 0xff, 0xff, 0, 1])),
        ("a request that is cut short", frame(19, 2, &[0, 0, 0, 1, 0])),
        ("http", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
    ]);
}

#[test]
fn random_requests_close_their_connection_or_are_answered_but_never_harm() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(dir.path(), |_| {});
    let mut bystander = Client::connect(broker.address());
    bystander.create("t", 1, &[]);
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..2_000 {
        let body: Vec<u8> = (0..random() % 60).map(|_| if random() % 2 == 0 { 0 } else { random() as u8 }).collect();
        let bytes = frame((random() % 70) as i16, (random() % 14) as i16, &body);
        let mut client = Client::connect(broker.address());
        client.send(&bytes).unwrap();
    }
    assert_eq!(bystander.produce("t", batch(&["a=1"], NOBODY)).0, 0);
    stop(broker);
}

#[test]
fn hostile_batches_are_refused_with_an_error_code() {
    const CORRUPT: i16 = 2;
    const OLD_FORMAT: i16 = 43;
    const INVALID_RECORD: i16 = 87;
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(dir.path(), |_| {});
    let mut client = Client::connect(broker.address());
    client.create("t", 1, &[]);
    let good = batch(&["a=1", "b=2"], NOBODY);
    let changed = |at: usize, bytes: &[u8]| {
        let mut changed = good.to_vec();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        let crc = crc32c::crc32c(&changed[21..]);
        changed[17..21].copy_from_slice(&crc.to_be_bytes());
        Bytes::from(changed)
    };
    let mut torn = good.to_vec();
    *torn.last_mut().unwrap() ^= 1;
    for (what, bytes, error) in [
        ("nothing", Bytes::new(), CORRUPT),
        ("half a batch", good.slice(..good.len() / 2), CORRUPT),
        ("a wrong checksum", Bytes::from(torn), CORRUPT),
        ("message format 1", changed(16, &[1]), OLD_FORMAT),
        ("two batches", [&good[..], &good[..]].concat().into(), INVALID_RECORD),
        ("a count of two thousand million", changed(57, &[0x7f, 0xff, 0xff, 0xff]), INVALID_RECORD),
        ("offsets that the records do not have", changed(23, &[0, 0, 0, 9]), INVALID_RECORD),
        ("a control batch", changed(21, &[0, 0x20]), INVALID_RECORD),
        ("a transaction without a producer", changed(21, &[0, 0x10]), INVALID_RECORD),
        ("an unknown compression", changed(21, &[0, 7]), INVALID_RECORD),
        ("a length of two thousand million", changed(8, &[0x7f, 0xff, 0xff, 0xff]), CORRUPT),
        ("a negative length", changed(8, &[0xff; 4]), INVALID_RECORD),
    ] {
        assert_eq!(client.produce("t", bytes).0, error, "{what}");
    }
    assert_eq!(client.produce("t", good), (0, 0), "nothing of that is in the log");
    stop(broker);
}
