//! `tidegate dlq`: dead letters that a running worker has made, listed, shown and replayed.

use expect_test::expect;
use serde_json::{Value, json};

use crate::dev::create;
use crate::process::{Place, Running, lines, until};
use crate::rest::{request, until_state};

/// A worker whose sink could not read two of four lines.
struct Stage {
    place: Place,
    _dev: Running,
    url: String,
    kafka: String,
}

const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";

fn sink(value_converter: &str) -> Value {
    json!({
        "connector.class": "FileStreamSink", "topics": "orders", "file": "good.txt",
        "value.converter": value_converter, "value.converter.schemas.enable": "false",
        "errors.tolerance": "all", "errors.deadletterqueue.topic.name": "orders-dead",
        "errors.deadletterqueue.topic.replication.factor": "1",
        "errors.deadletterqueue.context.headers.enable": "true"})
}

impl Stage {
    fn set() -> Stage {
        let place = Place::new();
        place.write("in.txt", "{\"id\":1}\nnot json\n{\"id\":2}\n{\"id\":\n");
        let mut dev = place.start(&["dev", "--rest", "127.0.0.1:0", "--kafka", "127.0.0.1:0"]);
        let (kafka, url) = (dev.line("Kafka"), dev.line("REST"));
        let stage = Stage { place, _dev: dev, url, kafka };
        create(
            &stage.url,
            json!({"name": "in", "config": {"connector.class": "FileStreamSource", "file": "in.txt",
                "topic": "orders", "value.converter": STRING}}),
        );
        create(&stage.url, json!({"name": "orders", "config": sink("JsonConverter")}));
        until_state(&stage.url, "orders", "RUNNING");
        stage.until_letters("orders-dead", 2);
        stage
    }

    /// The lines that a command prints, its error, and the exit code.
    fn dlq(&self, arguments: &[&str]) -> String {
        let all = [&["dlq"], arguments, &["--bootstrap", &self.kafka]].concat();
        let shown = self.place.transcript(&all);
        shown.lines().skip(1).collect::<Vec<_>>().join("\n")
    }

    /// With a connector's name in place of a topic.
    fn dlq_of(&self, arguments: &[&str]) -> String {
        self.dlq(&[arguments, &["--url", &self.url]].concat())
    }

    /// What a topic has, a JSON object each.
    fn show(&self, topic: &str) -> Vec<Value> {
        let shown = self.dlq(&["show", "--topic", topic, "--json", "--limit", "1000"]);
        shown.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[track_caller]
    fn until_letters(&self, topic: &str, count: usize) {
        until(&format!("{topic} has {count} records"), || self.show(topic).len() == count);
    }
}

#[test]
fn dead_letters_are_counted_and_shown_with_their_reasons() {
    let stage = Stage::set();
    expect![[r#"
        2 dead letters in "orders-dead"
        COUNT  CONNECTOR  STAGE            EXCEPTION      MESSAGE
        2      orders     VALUE_CONVERTER  DataException  not JSON at byte #: expected a value
        exit 0"#]]
    .assert_eq(&stage.dlq_of(&["list", "orders"]));
    expect![[r#"
        {
          "letters": 1,
          "replayed": 0,
          "reasons": [
            {
              "count": 1,
              "replayed": 0,
              "connector": "orders",
              "stage": "VALUE_CONVERTER",
              "class": "JsonConverter",
              "exception": "org.apache.kafka.connect.errors.DataException",
              "message": "not JSON at byte #: expected a value",
              "first": {
                "partition": 0,
                "offset": 1
              },
              "last": {
                "partition": 0,
                "offset": 1
              }
            }
          ]
        }
        exit 0"#]]
    .assert_eq(&stage.dlq(&["list", "--topic", "orders-dead", "--reason", "byte 6", "--json"]));

    let shown = stage.dlq(&["show", "--topic", "orders-dead", "--limit", "1"]);
    let (first, rest) = shown.split_once('\n').unwrap();
    assert!(first.starts_with("orders-dead-0@0  20"), "{first}");
    expect![[r#"
          from      orders-0@1
          connector orders, task 0
          stage     VALUE_CONVERTER JsonConverter
          error     org.apache.kafka.connect.errors.DataException: not JSON at byte 0: expected a value
          key       null
          value     not json
        exit 0"#]]
    .assert_eq(rest);
    let shown = stage.dlq(&["show", "--topic", "orders-dead", "--offsets", "1..", "--json"]);
    let letter: Value = serde_json::from_str(shown.lines().next().unwrap()).unwrap();
    assert_eq!((&letter["value"]["text"], &letter["error"]["offset"]), (&json!("{\"id\":"), &json!(3)));
    assert_eq!(stage.dlq(&["show", "--topic", "orders-dead", "--stage", "TASK_PUT"]), "exit 0");
}

#[test]
fn dead_letters_are_replayed_once_whatever_is_chosen() {
    let stage = Stage::set();
    let replay = |more: &[&str]| stage.dlq(&[&["replay", "--topic", "orders-dead", "--to", "repaired"], more].concat());
    expect![[r#"
        would replay 2 dead letters of "orders-dead"
          2 to "repaired"
        nothing was written; add --yes to do it
        exit 0"#]]
    .assert_eq(&replay(&[]));
    assert!(stage.dlq(&["show", "--topic", "repaired"]).starts_with("error: there is no topic \"repaired\""));

    let chosen = ["--reason", "BYTE 6", "--yes"];
    expect![[r#"
        1 dead letter of "orders-dead" replayed
          1 to "repaired"
        exit 0"#]]
    .assert_eq(&replay(&chosen));
    expect![[r#"
        1 dead letter, replayed before: left out
        nothing to replay
        exit 0"#]]
    .assert_eq(&replay(&chosen));
    // Another selection leaves out what the first one had.
    expect![[r#"
        1 dead letter, replayed before: left out
        1 dead letter of "orders-dead" replayed
          1 to "repaired"
        exit 0"#]]
    .assert_eq(&replay(&["--yes"]));
    expect![[r#"
        2 dead letters, replayed before: left out
        nothing to replay
        exit 0"#]]
    .assert_eq(&replay(&["--yes"]));
    let repaired = stage.show("repaired");
    let values: Vec<&Value> = repaired.iter().map(|record| &record["value"]["text"]).collect();
    assert_eq!(values, [&json!("{\"id\":"), &json!("not json")]);
    assert_eq!(repaired[0]["error"], json!({}), "what was said of the failure is gone");
    let letters = stage.show("orders-dead");
    assert_eq!(repaired[1]["timestamp"], letters[0]["timestamp"], "the time is the record's own");
    expect![[r#"
        1 dead letter of "orders-dead" replayed
          1 to "repaired"
        exit 0"#]]
    .assert_eq(&replay(&["--yes", "--again", "--limit", "1"]));
    assert_eq!(stage.show("repaired").len(), 3);
}

#[test]
fn dead_letters_go_back_to_the_topic_and_partition_they_came_from() {
    let stage = Stage::set();
    assert_eq!(stage.show("orders").len(), 4);
    expect![[r#"
        2 dead letters of "orders-dead" replayed
          2 to "orders"
        exit 0"#]]
    .assert_eq(&stage.dlq_of(&["replay", "orders", "--yes"]));
    let orders = stage.show("orders");
    assert_eq!((orders.len(), &orders[4]["value"]["text"]), (6, &json!("not json")));
    // The connector cannot read them still; the letters that this makes are new ones, and wait for the next replay.
    stage.until_letters("orders-dead", 4);
    let next = stage.dlq_of(&["replay", "orders"]);
    assert!(next.starts_with("2 dead letters, replayed before: left out\nwould replay 2 dead letters"), "{next}");
}

#[test]
fn a_connector_that_was_mended_gets_its_dead_letters_again_and_nobody_else_does() {
    let stage = Stage::set();
    let through = |more: &[&str]| stage.dlq_of(&[&["replay", "orders", "--through", "orders"], more].concat());
    expect![[r#"
        would give 2 dead letters of "orders-dead" to connector "orders"
        nothing was delivered; add --yes to do it
        exit 0"#]]
    .assert_eq(&through(&[]));
    // Not mended yet: the letters stay where they are.
    expect![[r#"
        0 dead letters of "orders-dead" delivered by "orders"
        error: 2 dead letters failed again
          they are still in the queue; the log of the worker says why
        hint: when that is mended, --again gives all of them to the connector once more
        exit 1"#]]
    .assert_eq(&through(&["--yes"]));
    expect![[r#"
        nothing to replay
        exit 0"#]]
    .assert_eq(&through(&["--yes"]));
    assert_eq!(lines(&stage.place.path("good.txt")).len(), 2);

    let config = sink(STRING).to_string();
    assert_eq!(request("PUT", &format!("{}/connectors/orders/config", stage.url), config.as_bytes()).0, 200);
    until_state(&stage.url, "orders", "RUNNING");
    expect![[r#"
        2 dead letters of "orders-dead" delivered by "orders"
        exit 0"#]]
    .assert_eq(&through(&["--yes", "--again"]));
    assert_eq!(lines(&stage.place.path("good.txt"))[2..], ["not json", "{\"id\":"]);
    assert_eq!((stage.show("orders").len(), stage.show("orders-dead").len()), (4, 2), "nothing else was written");
    let (_, connectors) = request("GET", &format!("{}/connectors", stage.url), b"");
    assert_eq!(connectors, json!(["in", "orders"]), "nothing is left of the replay");
    let refused = stage.dlq_of(&["replay", "--topic", "orders-dead", "--through", "in"]);
    assert!(refused.contains("connector \"in\" is no sink") && refused.ends_with("exit 2"), "{refused}");
}

#[test]
fn what_a_source_could_not_write_is_written_to_the_topic_it_was_meant_for() {
    let stage = Stage::set();
    stage.place.write("more.txt", "1\ntwo\n3\n");
    create(
        &stage.url,
        json!({"name": "numbers", "config": {
            "connector.class": "FileStreamSource", "file": "more.txt", "topic": "numbers", "value.converter": STRING,
            "transforms": "cast", "transforms.cast.type": "Cast$Value", "transforms.cast.spec": "int32",
            "errors.tolerance": "all", "errors.deadletterqueue.topic.name": "numbers-dead",
            "errors.deadletterqueue.topic.replication.factor": "1",
            "errors.deadletterqueue.context.headers.enable": "true"}}),
    );
    until("the letter is there", || stage.dlq(&["list", "--topic", "numbers-dead"]).starts_with("1 dead letter in"));
    expect![[r#"
        1 dead letter of "numbers-dead" replayed
          1 to "numbers"
        exit 0"#]]
    .assert_eq(&stage.dlq_of(&["replay", "numbers", "--yes"]));
    stage.until_letters("numbers", 3);
    assert_eq!(stage.show("numbers")[2]["value"]["text"], "two");
}

#[test]
fn what_cannot_be_done_is_said() {
    let stage = Stage::set();
    expect![[r#"
        error: connector "in" keeps no dead letters
          its configuration does not set errors.deadletterqueue.topic.name
        hint: name a queue with --topic
        exit 1"#]]
    .assert_eq(&stage.dlq_of(&["list", "in"]));
    expect![[r#"
        error: the configuration of connector "nobody" cannot be read
          Connector nobody not found
        exit 1"#]]
    .assert_eq(&stage.dlq_of(&["list", "nobody"]));
    let shown = stage.dlq(&["list", "--topic", "nothing"]);
    assert!(shown.starts_with("error: there is no topic \"nothing\"\n") && shown.ends_with("exit 1"), "{shown}");
    let itself = stage.dlq(&["replay", "--topic", "orders-dead", "--to", "orders-dead", "--yes"]);
    assert!(
        itself.starts_with("error: --to names the dead letter queue itself") && itself.ends_with("exit 2"),
        "{itself}"
    );
    // A topic that is no dead letter queue: its records do not say where they came from.
    expect![[r#"
        error: 4 dead letters without the topic they came from
          errors.deadletterqueue.context.headers.enable was off when they were written
        hint: name a topic with --to, or choose others with --reason or --offsets
        exit 1"#]]
    .assert_eq(&stage.dlq(&["replay", "--topic", "orders", "--yes"]));
    let nowhere = stage.place.transcript(&["dlq", "list", "--topic", "t", "--bootstrap", "127.0.0.1:1"]);
    assert!(
        nowhere.contains("error: broker at 127.0.0.1:1 not reachable\n") && nowhere.ends_with("exit 1"),
        "{nowhere}"
    );
    assert_eq!(stage.place.run(&["dlq", "list"]).status.code(), Some(2));
    stage.place.write("client.properties", format!("bootstrap.servers={}\nsecurity.protocol=PLAINTEXT\n", stage.kafka));
    let list = stage.place.transcript(&["dlq", "list", "--topic", "orders-dead", "--settings", "client.properties"]);
    assert!(list.contains("2 dead letters in \"orders-dead\""), "{list}");
}
