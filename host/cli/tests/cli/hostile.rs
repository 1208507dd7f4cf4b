//! Records that nobody expects, through JsonConverter, a chain in its sandbox and back: what becomes of each is told in
//! `docs/limits.md`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use expect_test::{Expect, expect};
use serde_json::Value;

use crate::process::Place;

/// Compiled plugins are found again, which saves most of the time.
const CACHE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/tried");

/// A step that adds a field, one that reads whole values, and one that rebuilds them.
const CHAIN: &str = r#"{"name":"t","connector.class":"FileStreamSink","topics":"t","value.converter":"JsonConverter",
    "value.converter.schemas.enable":"SCHEMAS","transforms":"STEPS",
    "transforms.insert.type":"InsertField$Value","transforms.insert.static.field":"z","transforms.insert.static.value":"1",
    "transforms.text.type":"JsonStringify$Value","transforms.flat.type":"Flatten$Value",
    "transforms.parse.type":"JsonParse$Value",
    "transforms.cel.type":"Expression$Value","transforms.cel.filter":"size(value) > 0",
    "transforms.explode.type":"Explode$Value"}"#;

/// What becomes of a line after the last of some steps: the beginning of its value, or where and why it failed.
fn check(chains: &[&str], lines: &[&str], expected: Expect) {
    let shown: String = chains.iter().map(|steps| format!("{steps}\n{}", outcomes(steps, lines))).collect();
    expected.assert_eq(&shown);
}

fn outcomes(steps: &str, lines: &[&str]) -> String {
    let place = Place::new();
    place.write("chain.json", CHAIN.replace("STEPS", steps).replace("SCHEMAS", "false"));
    let output = place.run_on(&["try", "--chain", "chain.json", "--json", "--cache", CACHE], &lines.join("\n"));
    let mut shown = String::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let mut json = serde_json::Deserializer::from_str(line);
        json.disable_recursion_limit();
        let answer: Value = serde::Deserialize::deserialize(&mut json).unwrap();
        let last = answer["steps"].as_array().and_then(|steps| steps.last());
        let text = match last {
            None => format!("no sample: {}", answer["error"]),
            Some(step) if step.get("dropped").is_some() => "dropped".to_owned(),
            Some(step) => match (step.get("error"), step.get("records")) {
                (Some(error), _) => format!("{}: {}", error["stage"], error["message"]),
                (None, Some(records)) => format!("{} records", records.as_array().map_or(0, Vec::len)),
                (None, None) => step["record"]["value"].to_string(),
            },
        };
        let cut: String = text.chars().take(150).collect();
        shown.push_str(&format!("{cut} ({} bytes)\n", text.len()));
    }
    if !output.status.success() {
        shown.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    shown
}

fn nested(levels: usize) -> String {
    format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels))
}

fn fields(count: usize) -> String {
    let fields: Vec<String> = (0..count).map(|at| format!("\"field {at}\":{at}")).collect();
    format!("{{{}}}", fields.join(","))
}

#[test]
fn ten_thousand_fields_are_many_and_no_more() {
    check(
        &["insert", "text,parse", "flat", "cel"],
        &[&fields(10_000)],
        expect![[r#"
        insert
        {"map":[[{"string":"field 0"},{"int64":0}],[{"string":"field 1"},{"int64":1}],[{"string":"field 10"},{"int64":10}],[{"string":"field 100"},{"int64":10 (407821 bytes)
        text,parse
        {"map":[[{"string":"field 0"},{"int64":0}],[{"string":"field 1"},{"int64":1}],[{"string":"field 10"},{"int64":10}],[{"string":"field 100"},{"int64":10 (407789 bytes)
        flat
        {"map":[[{"string":"field 0"},{"int64":0}],[{"string":"field 1"},{"int64":1}],[{"string":"field 10"},{"int64":10}],[{"string":"field 100"},{"int64":10 (407789 bytes)
        cel
        {"map":[[{"string":"field 0"},{"int64":0}],[{"string":"field 1"},{"int64":1}],[{"string":"field 10"},{"int64":10}],[{"string":"field 100"},{"int64":10 (407789 bytes)
    "#]],
    );
}

#[test]
fn numbers_of_any_length_pass_as_connect_takes_them() {
    let digits = format!("{{\"b\":1e99999,\"c\":-0.0,\"d\":1e-99999,\"a\":{}}}", "9".repeat(1_000));
    check(
        &["text,parse"],
        &[&digits],
        expect![[r#"
        text,parse
        {"map":[[{"string":"a"},{"int64":-1}],[{"string":"b"},{"float64":"Infinity"}],[{"string":"c"},{"float64":-0.0}],[{"string":"d"},{"float64":0.0}]]} (146 bytes)
    "#]],
    );
}

#[test]
fn what_is_no_json_or_too_deep_is_refused_with_its_place() {
    let (deep, deepest) = (nested(999), nested(100_000));
    let mut questions = String::new();
    for bytes in [
        &b"{\"a\":\"\xff\"}"[..],
        b"{\"\xc3\":1}",
        b"{\"a\":\"\xed\xa0\x80\"}",
        b"{\"a\":\"\\ud800\"}",
        b"{\"a\":NaN}",
        b"{\"a\":-Infinity}",
        b"{\"a\":01}",
        deep.as_bytes(),
        deepest.as_bytes(),
    ] {
        let base64 = BASE64.encode(bytes);
        questions.push_str(&format!(
            "{{\"id\":1,\"converter\":\"JsonConverter\",\"config\":{{\"schemas.enable\":\"false\"}},\"isKey\":false,\
             \"op\":\"toConnectData\",\"input\":{{\"base64\":\"{base64}\"}}}}\n"
        ));
    }
    expect![[r#"
        $ tidegate try --vectors
        {"id":1,"error":{"at":"apply","class":"org.apache.kafka.connect.errors.DataException","message":"not JSON at byte 6: not UTF-8"}}
        {"id":1,"error":{"at":"apply","class":"org.apache.kafka.connect.errors.DataException","message":"not JSON at byte 2: not UTF-8"}}
        {"id":1,"error":{"at":"apply","class":"org.apache.kafka.connect.errors.DataException","message":"not JSON at byte 6: not UTF-8"}}
        {"id":1,"error":{"at":"apply","class":"org.apache.kafka.connect.errors.DataException","message":"not JSON at byte 6: half of a surrogate pair in a string"}}
        {"id":1,"error":{"at":"apply","class":"org.apache.kafka.connect.errors.DataException","message":"not JSON at byte 5: expected a value"}}
        {"id":1,"error":{"at":"apply","class":"org.apache.kafka.connect.errors.DataException","message":"not JSON at byte 6: not a number as JSON writes it"}}
        {"id":1,"error":{"at":"apply","class":"org.apache.kafka.connect.errors.DataException","message":"not JSON at byte 6: expected `,` or a closing bracket"}}
        {"id":1,"output":{"schema":null,"value":{"map":[[{"string":"a"},null]]}}}
        {"id":1,"error":{"at":"apply","class":"org.apache.kafka.connect.errors.DataException","message":"not JSON at byte 1004: more than 1000 levels of nesting"}}
        exit 0"#]].assert_eq(&Place::new().transcript_on(&["try", "--vectors"], &questions));
}

#[test]
fn more_is_not_made_of_one_record_than_is_allowed() {
    let many = format!("[{}]", vec!["1"; 10_001].join(","));
    check(
        &["explode"],
        &[&many, "[[1,2],[3]]", "[]"],
        expect![[r#"
        explode
        "TRANSFORMATION": "the value has 10001 elements, and max.records allows 10000" (78 bytes)
        2 records (9 bytes)
        dropped (7 bytes)
    "#]],
    );
}
