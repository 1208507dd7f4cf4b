//! Tidegate's converters on a real schema registry: pipelines into a topic and out of it, with others at the other end.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};
use tidegate_kafka_ring::{Process, create, free_port, listening, tidegate, until};
use tidegate_registry_ring::{Gate, Registry, tools_or_skip};

const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";

/// A broker, a worker and a registry.
struct Ring {
    dir: tempfile::TempDir,
    broker: String,
    rest: String,
    registry: Registry,
    worker: Process,
    _broker: Process,
}

impl Ring {
    fn start() -> Result<Option<Ring>> {
        let Some(tools) = tools_or_skip() else { return Ok(None) };
        let dir = tempfile::tempdir()?;
        let registry = tools.registry(dir.path())?;
        let broker = format!("127.0.0.1:{}", free_port()?);
        let mut process = tidegate(&["broker", "--listen", &broker]);
        process.current_dir(dir.path());
        let process = Process::spawn(process, &dir.path().join("broker.log"))?;
        listening(&broker)?;
        let port = free_port()?;
        let rest = format!("http://127.0.0.1:{port}");
        let config = dir.path().join("worker.properties");
        std::fs::write(
            &config,
            format!(
                "bootstrap.servers={broker}\ngroup.id=registry\nlisteners={rest}\n\
                 key.converter={STRING}\nvalue.converter={STRING}\n\
                 config.storage.topic=configs\noffset.storage.topic=offsets\nstatus.storage.topic=status\n\
                 config.storage.replication.factor=1\noffset.storage.replication.factor=1\nstatus.storage.replication.factor=1\n\
                 offset.storage.partitions=5\noffset.flush.interval.ms=500\n"
            ),
        )?;
        let mut worker = tidegate(&["worker"]);
        worker.arg(&config).arg("--data-dir").arg(dir.path().join("data")).current_dir(dir.path());
        let worker = Process::spawn(worker, &dir.path().join("worker.log"))?;
        worker.ready(&format!("{rest}/health"))?;
        Ok(Some(Ring { dir, broker, rest, registry, worker, _broker: process }))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn append(&self, name: &str, lines: &[&str]) -> Result<()> {
        let mut file = std::fs::File::options().create(true).append(true).open(self.file(name))?;
        Ok(file.write_all((lines.join("\n") + "\n").as_bytes())?)
    }

    /// A source that makes a struct of each line, written by a converter.
    fn source(&self, name: &str, file: &str, topic: &str, converter: &str, more: Value) -> Result<()> {
        let mut config = json!({
            "connector.class": "FileStreamSource", "file": self.file(file), "topic": topic, "tasks.max": "1",
            "transforms": "hoist,name,site", "transforms.hoist.type": "org.apache.kafka.connect.transforms.HoistField$Value",
            "transforms.hoist.field": "line",
            "transforms.name.type": "org.apache.kafka.connect.transforms.SetSchemaMetadata$Value",
            "transforms.name.schema.name": "shop.Line",
            "transforms.site.type": "org.apache.kafka.connect.transforms.InsertField$Value",
            "transforms.site.static.field": "site", "transforms.site.static.value": "berlin",
            "value.converter": converter, "value.converter.schema.registry.url": self.registry.url,
        });
        merge(&mut config, more);
        create(&self.rest, name, config)
    }

    fn sink(&self, name: &str, file: &str, topic: &str, converter: &str, more: Value) -> Result<()> {
        let mut config = json!({
            "connector.class": "FileStreamSink", "file": self.file(file), "topics": topic, "tasks.max": "1",
            "value.converter": converter, "value.converter.schema.registry.url": self.registry.url,
        });
        merge(&mut config, more);
        create(&self.rest, name, config)
    }

    /// Waits until a file has these lines, in any order.
    fn arrived(&self, file: &str, expected: &[Value]) -> Result<()> {
        let wanted: BTreeSet<String> = expected.iter().map(Value::to_string).collect();
        let path = self.file(file);
        until(&format!("{} has {wanted:?}", path.display()), || Ok(wanted.is_subset(&lines(&path))))
            .map_err(|error| error.context(format!("{:?}\n{}", lines(&path), self.worker.output())))
    }

    /// Waits until a task has failed; answers why.
    fn failure(&self, connector: &str) -> Result<String> {
        let mut trace = String::new();
        until(&format!("{connector} fails"), || {
            let status: Value =
                reqwest::blocking::get(format!("{}/connectors/{connector}/status", self.rest))?.json()?;
            trace = status["tasks"][0]["trace"].as_str().unwrap_or_default().to_owned();
            Ok(status["tasks"][0]["state"] == "FAILED")
        })
        .map_err(|error| error.context(self.worker.output()))?;
        Ok(trace)
    }
}

fn merge(config: &mut Value, more: Value) {
    if let (Value::Object(config), Value::Object(more)) = (config, more) {
        config.extend(more);
    }
}

fn lines(path: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).map_or_else(|_| line.to_owned(), |v| v.to_string()))
        .collect()
}

#[test]
fn avro_from_a_source_is_read_by_others_and_what_others_write_is_read_by_a_sink() -> Result<()> {
    let Some(ring) = Ring::start()? else { return Ok(()) };
    let avro = "io.confluent.connect.avro.AvroConverter";
    ring.append("in.txt", &["one", "zwei €"])?;
    ring.source("avro-source", "in.txt", "avro", avro, json!({}))?;
    ring.sink("avro-sink", "out.txt", "avro", "AvroConverter", json!({}))?;
    let ours = [json!({"line": "one", "site": "berlin"}), json!({"line": "zwei €", "site": "berlin"})];
    ring.arrived("out.txt", &ours)?;
    let seen = ring.registry.read(&ring.broker, "avro", "avro", 2)?;
    assert_eq!(seen.iter().map(|record| record["value"].clone()).collect::<Vec<_>>(), ours);

    let schema: Value =
        serde_json::from_str(ring.registry.latest("avro-value")?["schema"].as_str().unwrap_or_default())?;
    assert_eq!((&schema["name"], &schema["namespace"]), (&json!("Line"), &json!("shop")));

    // The schema evolves, with a reference to another one, an enum, a logical type and a union.
    ring.registry.register(
        "place",
        "AVRO",
        r#"{"type":"record","name":"Place","namespace":"geo","fields":[{"name":"city","type":"string"}]}"#,
    )?;
    let evolved = r#"{"type":"record","name":"Line","namespace":"shop","fields":[{"name":"line","type":["null","string"]},
        {"name":"place","type":["null","geo.Place"],"default":null},{"name":"kind","type":{"type":"enum","name":"Kind","symbols":["A","B"]}},
        {"name":"day","type":{"type":"int","logicalType":"date"}},{"name":"any","type":["null","long","string"]},
        {"name":"counts","type":{"type":"map","values":"int"}}]}"#;
    let value =
        json!({"line": "x", "place": {"city": "Ulm"}, "kind": "B", "day": 1, "any": "text", "counts": {"a": 1}});
    let reference = json!([{"name": "geo.Place", "subject": "place", "version": 1}]);
    ring.registry.write(
        &ring.broker,
        "avro",
        "avro",
        &[json!({"schema": evolved, "references": reference, "value": value})],
    )?;
    let read = json!({"line": "x", "place": {"city": "Ulm"}, "kind": "B", "day": 1, "any": {"long": null, "string": "text"}, "counts": {"a": 1}});
    ring.arrived("out.txt", &[read])?;

    // A schema that the subject does not take: the task fails and says so in the registry's words.
    ring.registry.compatibility("strict-value", "BACKWARD")?;
    ring.registry.register(
        "strict-value",
        "AVRO",
        r#"{"type":"record","name":"Line","namespace":"shop","fields":[{"name":"line","type":"int"}]}"#,
    )?;
    ring.source("strict", "in.txt", "strict", avro, json!({}))?;
    let trace = ring.failure("strict")?;
    assert!(trace.contains("409") && trace.contains("DataException") && trace.contains("VALUE_CONVERTER"), "{trace}");

    // With auto.register.schemas off only what is registered is written.
    let by_hand = json!({"value.converter.auto.register.schemas": "false"});
    ring.source("unknown", "in.txt", "unknown", avro, by_hand.clone())?;
    let trace = ring.failure("unknown")?;
    assert!(trace.contains("404") && trace.contains("auto.register.schemas"), "{trace}");
    ring.registry.register("known-value", "AVRO", &schema.to_string())?;
    ring.source("known", "in.txt", "known", avro, by_hand)?;
    ring.sink("known-sink", "known.txt", "known", avro, json!({}))?;
    ring.arrived("known.txt", &ours)
}

#[test]
fn json_schema_goes_both_ways() -> Result<()> {
    let Some(ring) = Ring::start()? else { return Ok(()) };
    let class = "io.confluent.connect.json.JsonSchemaConverter";
    ring.append("in.txt", &["one", "two"])?;
    ring.source("source", "in.txt", "json", class, json!({"value.converter.json.fail.invalid.schema": "true"}))?;
    ring.sink("sink", "out.txt", "json", class, json!({"value.converter.json.fail.invalid.schema": "true"}))?;
    let ours = [json!({"line": "one", "site": "berlin"}), json!({"line": "two", "site": "berlin"})];
    ring.arrived("out.txt", &ours)?;
    let seen = ring.registry.read(&ring.broker, "json", "json", 2)?;
    assert_eq!(seen.iter().map(|record| record["value"].clone()).collect::<Vec<_>>(), ours);

    let schema = r#"{"type":"object","title":"shop.Line","properties":{"line":{"type":"string"},"n":{"oneOf":[{"type":"null"},{"type":"integer"}]},
        "tags":{"type":"array","items":{"type":"string"}}},"required":["line"]}"#;
    let value = json!({"line": "x", "n": 7, "tags": ["a", "b"]});
    ring.registry.write(&ring.broker, "json", "json", &[json!({"schema": schema, "value": value})])?;
    ring.arrived("out.txt", &[value])
}

#[test]
fn a_registry_that_goes_away_keeps_records_waiting_and_loses_none() -> Result<()> {
    let Some(ring) = Ring::start()? else { return Ok(()) };
    let gate = Gate::before(&ring.registry)?;
    let avro = "io.confluent.connect.avro.AvroConverter";
    let through = json!({"value.converter.schema.registry.url": gate.url, "errors.retry.delay.max.ms": "1000"});
    let line = |text: &str| json!({"line": text, "site": "berlin"});
    ring.append("in.txt", &["one"])?;
    ring.source("source", "in.txt", "steady", avro, through.clone())?;
    ring.sink("sink", "out.txt", "steady", avro, through.clone())?;
    ring.arrived("out.txt", &[line("one")])?;

    gate.shut(true);
    // What was asked once is known: records go on.
    ring.append("in.txt", &["two"])?;
    ring.arrived("out.txt", &[line("two")])?;
    // Whoever needs the registry waits, and no task fails.
    ring.sink("late", "late.txt", "steady", avro, through.clone())?;
    ring.source("fresh", "in.txt", "fresh", avro, through)?;
    until("both wait", || Ok(ring.worker.output().matches("waits for its schema registry").count() >= 4))?;
    for connector in ["late", "fresh"] {
        let status: Value = reqwest::blocking::get(format!("{}/connectors/{connector}/status", ring.rest))?.json()?;
        assert_eq!(status["tasks"][0]["state"], "RUNNING", "{status}");
    }

    gate.shut(false);
    ring.arrived("late.txt", &[line("one"), line("two")])?;
    ring.sink("fresh-sink", "fresh.txt", "fresh", avro, json!({}))?;
    ring.arrived("fresh.txt", &[line("one"), line("two")])
}

#[test]
fn protobuf_goes_both_ways() -> Result<()> {
    let Some(ring) = Ring::start()? else { return Ok(()) };
    let class = "io.confluent.connect.protobuf.ProtobufConverter";
    ring.append("in.txt", &["one", "two"])?;
    // A decimal, a timestamp and an int8 beside the line: what Google's compiler makes of our files.
    let more = json!({
        "transforms": "hoist,name,site,at,cast,small",
        "transforms.at.type": "InsertField$Value", "transforms.at.static.field": "at", "transforms.at.static.value": "1700000000000",
        "transforms.cast.type": "Cast$Value", "transforms.cast.spec": "at:int64",
        "transforms.small.type": "TimestampConverter$Value", "transforms.small.field": "at", "transforms.small.target.type": "Timestamp",
    });
    ring.source("source", "in.txt", "proto", class, more)?;
    ring.sink("sink", "out.txt", "proto", "ProtobufConverter", json!({}))?;
    let line = |text: &str| json!({"line": text, "site": "berlin", "at": 1_700_000_000_000u64});
    ring.arrived("out.txt", &[line("one"), line("two")])?;
    let seen = ring.registry.read(&ring.broker, "protobuf", "proto", 2)?;
    let others = |text: &str| json!({"line": text, "site": "berlin", "at": "2023-11-14T22:13:20Z"});
    assert_eq!(seen.iter().map(|record| record["value"].clone()).collect::<Vec<_>>(), [others("one"), others("two")]);

    let evolved = "syntax = \"proto3\"; package shop; message Line { string line = 1; map<string, int32> counts = 3; \
                   oneof any { string text = 4; int64 number = 5; } repeated Part parts = 6; enum Kind { A = 0; B = 1; } Kind kind = 7; \
                   message Part { double x = 1; } }";
    let value = json!({"line": "x", "counts": {"a": 1}, "number": "9", "parts": [{"x": 0.5}], "kind": "B"});
    ring.registry.write(&ring.broker, "protobuf", "proto", &[json!({"schema": evolved, "value": value})])?;
    let read = json!({"any_0": {"text": null, "number": 9}, "line": "x", "counts": {"a": 1}, "parts": [{"x": 0.5}], "kind": "B"});
    ring.arrived("out.txt", &[read])
}
