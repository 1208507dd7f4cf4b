//! Offsets of a source and of a sink: read, set and forgotten by REST and by the client command, and the file of Kafka
//! Connect's standalone mode.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::dev::{create, source, start};
use crate::process::{Place, lines, until};
use crate::rest::{request, until_state};

/// Requests about one connector's offsets, and their answers, as text.
fn conversation(url: &str, connector: &str, requests: &[(&str, &str)], expected: Expect) {
    let mut shown = String::new();
    for (method, body) in requests {
        let (status, answer) = request(method, &format!("{url}/connectors/{connector}/offsets"), body.as_bytes());
        let answer = answer.get("message").and_then(Value::as_str).map_or_else(|| answer.to_string(), str::to_owned);
        shown += &format!("{}\n  {status} {answer}\n", format!("{method} {body}").trim_end());
    }
    expected.assert_eq(&shown);
}

fn stop(url: &str, connector: &str) {
    assert_eq!(request("PUT", &format!("{url}/connectors/{connector}/stop"), b"").0, 204);
}

#[test]
fn a_source_is_set_back_and_reads_again() {
    let place = Place::new();
    place.write("in.txt", "one\ntwo\nthree\n");
    let (dev, url) = start(&place);
    create(&url, source());
    create(
        &url,
        json!({"name": "out", "config": {"connector.class": "FileStreamSink", "topics": "t", "file": "out.txt",
            "value.converter": "StringConverter"}}),
    );
    until("three lines arrive", || lines(&place.path("out.txt")).len() == 3);
    conversation(
        &url,
        "in",
        &[("DELETE", ""), ("PATCH", r#"{"offsets":[{"partition":{"filename":"in.txt"},"offset":{"position":4}}]}"#)],
        expect![[r#"
            DELETE
              400 Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the specified connector by issuing a 'PUT' request to the '/connectors/in/stop' endpoint
            PATCH {"offsets":[{"partition":{"filename":"in.txt"},"offset":{"position":4}}]}
              400 Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the specified connector by issuing a 'PUT' request to the '/connectors/in/stop' endpoint
        "#]],
    );
    // At once, while its task may still be stopping.
    stop(&url, "in");
    conversation(
        &url,
        "in",
        &[
            ("PATCH", r#"{"offsets":[{"partition":{"filename":"in.txt"},"offset":{"position":4}}]}"#),
            ("GET", ""),
            ("PATCH", r#"{"offsets":[{"partition":{"filename":"in.txt"},"offset":{"position":-1}}]}"#),
            ("PATCH", r#"{"offsets":[{"partition":{"file":"in.txt"},"offset":{"position":1}}]}"#),
            ("PATCH", r#"{"offsets":[{"offset":{"position":1}}]}"#),
            ("PATCH", r#"{"offsets":[]}"#),
            ("PATCH", "{}"),
            ("PATCH", r#"{"offset":[]}"#),
            ("PATCH", "nonsense"),
            ("GET", ""),
        ],
        expect![[r#"
            PATCH {"offsets":[{"partition":{"filename":"in.txt"},"offset":{"position":4}}]}
              200 The offsets for this connector have been altered successfully
            GET
              200 {"offsets":[{"partition":{"filename":"in.txt"},"offset":{"position":4}}]}
            PATCH {"offsets":[{"partition":{"filename":"in.txt"},"offset":{"position":-1}}]}
              500 The value for the 'position' key in the offset should be a non-negative value
            PATCH {"offsets":[{"partition":{"file":"in.txt"},"offset":{"position":1}}]}
              500 Partition objects should contain the key 'filename'
            PATCH {"offsets":[{"offset":{"position":1}}]}
              400 Partition objects cannot be null
            PATCH {"offsets":[]}
              400 Partitions / offsets need to be provided for an alter offsets request
            PATCH {}
              400 Partitions / offsets need to be provided for an alter offsets request
            PATCH {"offset":[]}
              400 the request body is malformed: unknown field `offset`, expected `offsets` at line 1 column 9
            PATCH nonsense
              400 the request body is malformed: expected ident at line 1 column 2
            GET
              200 {"offsets":[{"partition":{"filename":"in.txt"},"offset":{"position":4}}]}
        "#]],
    );
    assert_eq!(request("PUT", &format!("{url}/connectors/in/resume"), b"").0, 202);
    until("two lines come again", || lines(&place.path("out.txt")).len() == 5);
    assert_eq!(lines(&place.path("out.txt")), ["one", "two", "three", "two", "three"]);
    conversation(
        &url,
        "nobody",
        &[("GET", ""), ("DELETE", ""), ("PATCH", r#"{"offsets":[{"partition":{},"offset":{}}]}"#)],
        expect![[r#"
            GET
              404 Connector nobody not found
            DELETE
              404 Connector nobody not found
            PATCH {"offsets":[{"partition":{},"offset":{}}]}
              404 Connector nobody not found
        "#]],
    );

    // A source that does not look at offsets.
    let datagen = json!({"name": "made-up", "initial_state": "STOPPED", "config": {
        "connector.class": "DatagenSource", "template": "orders", "topic": "orders"}});
    create(&url, datagen);
    conversation(
        &url,
        "made-up",
        &[("PATCH", r#"{"offsets":[{"partition":{"a":1},"offset":{"b":2}}]}"#), ("GET", ""), ("DELETE", "")],
        expect![[r#"
            PATCH {"offsets":[{"partition":{"a":1},"offset":{"b":2}}]}
              200 The Connect framework-managed offsets for this connector have been altered successfully. However, if this connector manages offsets externally, they will need to be manually altered in the system that the connector uses.
            GET
              200 {"offsets":[{"partition":{"a":1},"offset":{"b":2}}]}
            DELETE
              200 The Connect framework-managed offsets for this connector have been reset successfully. However, if this connector manages offsets externally, they will need to be manually reset in the system that the connector uses.
        "#]],
    );

    // The same by the client command.
    let tidegate = |arguments: &[&str]| {
        let shown = place.transcript(&[&["connector"], arguments, &["--url", &url]].concat());
        shown.lines().skip(1).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(tidegate(&["stop", "in"]), "connector \"in\" stopped\nexit 0");
    let table = "PARTITION              OFFSET\n{\"filename\":\"in.txt\"}  {\"position\":14}\nexit 0";
    until("the offset is committed", || tidegate(&["offsets", "in"]) == table);
    place.write("back.json", r#"{"offsets": [{"partition": {"filename": "in.txt"}, "offset": {"position": 8}}]}"#);
    let altered = "The offsets for this connector have been altered successfully\nexit 0";
    assert_eq!(tidegate(&["offsets", "in", "--set", "back.json"]), altered);
    assert_eq!(tidegate(&["offsets", "in"]), table.replace("14}", "8}"));
    let reset = "The offsets for this connector have been reset successfully\nexit 0";
    assert_eq!(tidegate(&["offsets", "in", "--reset"]), reset);
    assert_eq!(tidegate(&["offsets", "in"]), "no offsets\nexit 0");
    place.write("bad.json", "position 8");
    let refused = tidegate(&["offsets", "in", "--set", "bad.json"]);
    assert!(refused.starts_with("error: \"bad.json\" is not JSON\n") && refused.ends_with("exit 2"), "{refused}");
    assert_eq!(tidegate(&["resume", "in"]), "connector \"in\" resumed\nexit 0");
    let running = tidegate(&["offsets", "in", "--reset"]);
    assert!(
        running.starts_with("error: the offsets of connector \"in\" were not changed\n  Connectors must be in"),
        "{running}"
    );
    until("all lines come again", || lines(&place.path("out.txt")).len() == 8);
    assert_eq!(dev.terminate(), Some(0));
}

#[test]
fn a_sink_is_set_back_and_gets_records_again() {
    let place = Place::new();
    place.write("in.txt", "one\ntwo\nthree\n");
    let (dev, url) = start(&place);
    create(&url, source());
    create(
        &url,
        json!({"name": "out", "config": {"connector.class": "FileStreamSink", "topics": "t", "file": "out.txt",
            "value.converter": "StringConverter", "consumer.override.group.id": "my-group"}}),
    );
    until("three lines arrive", || lines(&place.path("out.txt")).len() == 3);
    stop(&url, "out");
    conversation(
        &url,
        "out",
        &[
            (
                "PATCH",
                r#"{"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":"0"},"offset":{"kafka_offset":"2"}}]}"#,
            ),
            ("GET", ""),
            ("PATCH", r#"{"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":0}}]}"#),
            ("GET", ""),
            ("PATCH", r#"{"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":0}}]}"#),
            (
                "PATCH",
                r#"{"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":0},"offset":{"kafka_offset":1}}]}"#,
            ),
            ("DELETE", ""),
            ("GET", ""),
            ("DELETE", ""),
            (
                "PATCH",
                r#"{"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":0},"offset":{"kafka_offset":-1}}]}"#,
            ),
            ("PATCH", r#"{"offsets":[{"partition":{"topic":"t"},"offset":null}]}"#),
            (
                "PATCH",
                r#"{"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":0},"offset":{"kafka_offset":1}}]}"#,
            ),
        ],
        expect![[r#"
            PATCH {"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":"0"},"offset":{"kafka_offset":"2"}}]}
              200 The offsets for this connector have been altered successfully
            GET
              200 {"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":0},"offset":{"kafka_offset":2}}]}
            PATCH {"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":0}}]}
              200 The offsets for this connector have been altered successfully
            GET
              200 {"offsets":[]}
            PATCH {"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":0}}]}
              200 The offsets for this connector have been altered successfully
            PATCH {"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":0},"offset":{"kafka_offset":1}}]}
              200 The offsets for this connector have been altered successfully
            DELETE
              200 The offsets for this connector have been reset successfully
            GET
              200 {"offsets":[]}
            DELETE
              200 The offsets for this connector have been reset successfully
            PATCH {"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":0},"offset":{"kafka_offset":-1}}]}
              400 Failed to parse the following Kafka offset value in the provided offsets: '-1'. Offset values for sink connectors need to be integers.
            PATCH {"offsets":[{"partition":{"topic":"t"},"offset":null}]}
              400 The partition for a sink connector offset must contain the keys 'kafka_topic' and 'kafka_partition'
            PATCH {"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":0},"offset":{"kafka_offset":1}}]}
              200 The offsets for this connector have been altered successfully
        "#]],
    );
    // Somebody else is in the group: its offsets are not to be had.
    create(
        &url,
        json!({"name": "twin", "config": {"connector.class": "FileStreamSink", "topics": "t", "file": "twin.txt",
            "value.converter": "StringConverter", "consumer.override.group.id": "my-group"}}),
    );
    until("the twin is a member", || lines(&place.path("twin.txt")).len() == 2);
    let back = r#"{"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":0},"offset":{"kafka_offset":1}}]}"#;
    let forget = r#"{"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":0},"offset":null}]}"#;
    conversation(
        &url,
        "out",
        &[("PATCH", back), ("PATCH", forget), ("DELETE", "")],
        expect![[r#"
        PATCH {"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":0},"offset":{"kafka_offset":1}}]}
          500 Failed to alter consumer group offsets for connector out either because its tasks haven't stopped completely yet or the connector was resumed before the request to alter its offsets could be successfully completed. If the connector is in a stopped state, this operation can be safely retried. If it doesn't eventually succeed, the Connect cluster may need to be restarted to get rid of the zombie sink tasks.
        PATCH {"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":0},"offset":null}]}
          500 Failed to alter consumer group offsets for connector out either because its tasks haven't stopped completely yet or the connector was resumed before the request to alter its offsets could be successfully completed. If the connector is in a stopped state, this operation can be safely retried. If it doesn't eventually succeed, the Connect cluster may need to be restarted to get rid of the zombie sink tasks.
        DELETE
          500 Failed to reset consumer group offsets for connector out either because its tasks haven't stopped completely yet or the connector was resumed before the request to reset its offsets could be successfully completed. If the connector is in a stopped state, this operation can be safely retried. If it doesn't eventually succeed, the Connect cluster may need to be restarted to get rid of the zombie sink tasks.
    "#]],
    );
    assert_eq!(request("DELETE", &format!("{url}/connectors/twin"), b"").0, 204);
    let offsets = format!("{url}/connectors/out/offsets");
    until("the twin is gone", || request("PATCH", &offsets, back.as_bytes()).0 == 200);

    assert_eq!(request("PUT", &format!("{url}/connectors/out/resume"), b"").0, 202);
    until("two records come again", || lines(&place.path("out.txt")).len() == 5);
    assert_eq!(lines(&place.path("out.txt")), ["one", "two", "three", "two", "three"]);
    until_state(&url, "out", "RUNNING");
    assert_eq!(dev.terminate(), Some(0));
}

#[test]
fn standalone_goes_on_where_connects_file_says() {
    let place = Place::new();
    let mut broker = place.start(&["broker", "--listen", "127.0.0.1:0"]);
    let kafka = broker.line("Kafka");
    // What Kafka Connect wrote after it had read 391 bytes of `in.txt`.
    place.write("connect.offsets", include_bytes!("../../../worker/src/offsets/connect.offsets"));
    let read: String = (1..=50).map(|n| format!("line {n}\n")).collect();
    assert_eq!(read.len(), 391);
    place.write("in.txt", format!("{read}line 51\n"));
    place.write(
        "w.properties",
        format!(
            "bootstrap.servers={kafka}\nlisteners=http://127.0.0.1:0\n\
             key.converter=org.apache.kafka.connect.storage.StringConverter\n\
             value.converter=org.apache.kafka.connect.storage.StringConverter\n\
             offset.storage.file.filename=connect.offsets\noffset.flush.interval.ms=100\n"
        ),
    );
    place.write("source.properties", "name=lines\nconnector.class=FileStreamSource\nfile=in.txt\ntopic=t\n");
    place.write("sink.properties", "name=out\nconnector.class=FileStreamSink\ntopics=t\nfile=out.txt\n");
    let mut worker = place.start(&["standalone", "w.properties", "source.properties", "sink.properties"]);
    let url = worker.line("REST");
    until("the new line arrives", || lines(&place.path("out.txt")).len() == 1);
    assert_eq!(lines(&place.path("out.txt")), ["line 51"]);
    until("its offset is committed", || {
        let (_, answer) = request("GET", &format!("{url}/connectors/lines/offsets"), b"");
        answer["offsets"] == json!([{"partition": {"filename": "in.txt"}, "offset": {"position": 399}}])
    });
    assert_eq!(worker.terminate(), Some(0));
    assert!(place.read("connect.offsets").contains("\"position\":399"), "{}", place.read("connect.offsets"));
    let kept = std::fs::read(place.path("connect.offsets.connect")).unwrap();
    assert_eq!(kept, include_bytes!("../../../worker/src/offsets/connect.offsets"));
}
