//! `tidegate try`: the recordings of Kafka Connect through the real components and converters, and chains on samples.

use std::path::Path;

use expect_test::expect;
use serde_json::{Map, Value, json};

use crate::process::Place;

/// Vectors whose answer is another than Connect's, with the reason.
const KNOWN: &[(&str, &str)] = &[
    ("converter-ByteArrayConverter-10", "the recording's input was a buffer with a position, which is not in its text"),
    ("converter-JsonConverter-213", "text behind a JSON value is refused, decision 2"),
    ("converter-SimpleHeaderConverter-18", "null is a null header; the recorder tripped over it"),
    ("converter-StringConverter-15", "there are no characters here"),
];

/// The same of transforms, whose own tests say more.
const KNOWN_OF_TRANSFORMS: &[(&str, &str)] = &[
    ("Cast-416", "the same float; the Java of the recording writes more digits than it takes"),
    ("TimestampRouter-38", "a timestamp of -1 is none"),
];

/// Answers all vectors of a folder; what differs and is not known to, as text.
fn differences(folder: &str, same: fn(&Value, &Value) -> bool, known: &[(&str, &str)]) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let text: String = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let output = Place::new().run_on(&["try", "--vectors"], &text);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answers = String::from_utf8(output.stdout).unwrap();
    assert_eq!(answers.lines().count(), text.lines().count());
    assert!(text.lines().count() > 100, "the vectors are not there");
    let mut wrong = String::new();
    for (vector, answer) in text.lines().zip(answers.lines()) {
        let (vector, answer): (Value, Value) =
            (serde_json::from_str(vector).unwrap(), serde_json::from_str(answer).unwrap());
        assert_eq!(vector["id"], answer["id"], "answers come in the order of the questions");
        let is_known = known.iter().any(|(id, _)| vector["id"] == *id);
        if !same(&vector, &answer) && !is_known {
            wrong.push_str(&format!("expected {vector}\nanswer   {answer}\n"));
        }
    }
    wrong
}

/// Class of error and point, or output; JSON in bytes is compared as JSON.
fn same_conversion(vector: &Value, answer: &Value) -> bool {
    if let Some(error) = vector.get("error") {
        return error["at"] == answer["error"]["at"] && error["class"] == answer["error"]["class"];
    }
    if vector["output"]["identityHash"] == true {
        return answer.get("output").is_some();
    }
    let normal = |value: &Value| match value["utf8"].as_str().map(serde_json::from_str::<Value>) {
        Some(Ok(json)) => json,
        _ => value.clone(),
    };
    answer.get("output").is_some_and(|output| normal(output) == normal(&vector["output"]))
}

/// What Connect promises: fields by name, a null that has a default as the default, and of errors that there is one, at the
/// same point.
fn same_record(vector: &Value, answer: &Value) -> bool {
    if let Some(error) = vector.get("error") {
        return error["at"] == answer["error"]["at"];
    }
    if let Some(result) = vector.get("result") {
        return answer.get("result") == Some(result);
    }
    let Some(output) = answer.get("output") else { return false };
    normal_record(output) == normal_record(&vector["output"])
}

fn normal_record(record: &Value) -> Value {
    let mut record = record.clone();
    for part in ["key", "value"] {
        if !record.is_null() {
            record[part] = normal(&record[part], &record[format!("{part}Schema")]);
        }
    }
    record
}

fn normal(value: &Value, schema: &Value) -> Value {
    match value {
        Value::Null => schema.get("default").map_or(Value::Null, |default| normal(default, &Value::Null)),
        Value::Object(tagged) => {
            let (tag, inner) = tagged.iter().next().unwrap();
            match (tag.as_str(), inner) {
                // An integer of any size is a decimal without fraction here.
                ("bigint", digits) => json!({ "decimal": { "unscaled": digits, "scale": 0 } }),
                ("struct", Value::Object(fields)) => {
                    let of = |name: &str| {
                        let fields = schema["fields"].as_array().into_iter().flatten();
                        fields.clone().find(|field| field["field"] == name).cloned().unwrap_or_default()
                    };
                    let fields = fields.iter().map(|(name, value)| (name.clone(), normal(value, &of(name))));
                    json!({ "struct": fields.collect::<Map<_, _>>() })
                }
                ("map", Value::Array(pairs)) => {
                    let pairs = pairs.iter().map(|pair| json!([pair[0], normal(&pair[1], &schema["values"])]));
                    json!({ "map": pairs.collect::<Vec<_>>() })
                }
                _ => value.clone(),
            }
        }
        other => other.clone(),
    }
}

#[test]
fn converters_answer_as_connect() {
    let wrong = differences("../worker/tests/vectors", same_conversion, KNOWN);
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn transforms_and_predicates_in_their_sandbox_answer_as_connect() {
    let wrong = differences("../../plugins/transforms/tests/vectors", same_record, KNOWN_OF_TRANSFORMS);
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_line_that_asks_for_nothing_is_answered_and_the_next_goes_on() {
    let place = Place::new();
    let lines = "{\n\
        5\n\
        {\"id\":1}\n\
        {\"id\":2,\"transform\":\"com.example.Nothing\",\"config\":{}}\n\
        \n\
        {\"id\":3,\"converter\":\"LongConverter\",\"config\":{},\"isKey\":true,\"op\":\"toConnectData\",\"input\":{\"base64\":\"AAAAAAAAAAU=\"}}\n";
    expect![[r#"
        $ tidegate try --vectors
        {"id":null,"error":{"at":"configure","class":"java.lang.IllegalArgumentException","message":"malformed line: invalid JSON: EOF while parsing an object at line 1 column 1"}}
        {"id":null,"error":{"at":"configure","class":"java.lang.IllegalArgumentException","message":"malformed line: it is no object"}}
        {"id":1,"error":{"at":"configure","class":"java.lang.IllegalArgumentException","message":"malformed line: it names no transform, predicate or converter"}}
        {"id":2,"error":{"at":"configure","class":"org.apache.kafka.common.config.ConfigException","message":"Class com.example.Nothing could not be found."}}
        {"id":3,"output":{"schema":{"type":"int64","optional":true},"value":{"int64":5}}}
        exit 0"#]]
    .assert_eq(&place.transcript_on(&["try", "--vectors"], lines));
}

const CONNECTOR: &str = r#"{"name":"orders","config":{"connector.class":"com.example.NotHere","topics":"orders",
    "value.converter":"JsonConverter","value.converter.schemas.enable":false,
    "transforms":"mask,drop","transforms.mask.type":"org.apache.kafka.connect.transforms.MaskField$Value",
    "transforms.mask.fields":"card","transforms.drop.type":"org.apache.kafka.connect.transforms.Filter",
    "transforms.drop.predicate":"tombstone","predicates":"tombstone",
    "predicates.tombstone.type":"org.apache.kafka.connect.transforms.predicates.RecordIsTombstone"}}"#;

#[test]
fn a_chain_is_shown_step_by_step() {
    let place = Place::new();
    place.write("orders.json", CONNECTOR);
    let lines = "{\"topic\":\"orders\",\"key\":\"a\",\"value\":{\"id\":1,\"card\":\"1234\"}}\n{\"topic\":\"orders\",\"key\":\"a\"}\n";
    expect![[r#"
        $ tidegate try --chain orders.json --records
        sample 1
          input
            topic: orders
            partition: 0
            key schema: {"type":"string","optional":true}
            key: "a"
            value: {"id":1,"card":"1234"}
          mask
            value: {"id":1,"card":""}
          drop
            unchanged
        sample 2
          input
            topic: orders
            partition: 0
            key schema: {"type":"string","optional":true}
            key: "a"
            value: null
          mask
            failed in TRANSFORMATION: org.apache.kafka.connect.errors.DataException: Only Map objects supported in absence of schema for [mask fields], found: null
        exit 0"#]]
    .assert_eq(&place.transcript_on(&["try", "--chain", "orders.json", "--records"], lines));
}

#[test]
fn samples_are_values_and_the_answer_can_be_json() {
    let place = Place::new();
    place.write("orders.json", CONNECTOR.replace("\"mask,drop\"", "\"mask\""));
    let output = place.run_on(&["try", "--chain", "orders.json", "--json"], "{\"card\":\"1\"}\n");
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["steps"][1]["step"], "mask");
    assert_eq!(shown["steps"][1]["record"]["value"], json!({ "map": [[{ "string": "card" }, { "string": "" }]] }));
}

#[test]
fn what_to_try_must_be_said() {
    let output = Place::new().run(&["try"]);
    assert_eq!(output.status.code(), Some(2));
}
