//! Text in, text out, through one `check` per way; `tests/oracle.rs` compares everything with plain trees.

mod oracle;

use expect_test::{Expect, expect};

use super::*;
use crate::batch::{BatchReader, BatchWriter, Encoding};
use crate::columns::{ColumnsReader, ColumnsWriter};
use crate::edits::{EditsReader, edits_from_json};
use crate::{SchemaTable, Value};

const JSON: Converter = Converter::Json { schemas: false };
const ENVELOPE: Converter = Converter::Json { schemas: true };

fn all(converter: Converter) -> Converters {
    Converters { key: converter, value: converter, header: HeaderConverter::Simple }
}

fn message<'a>(key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> Message<'a> {
    Message {
        topic: "orders",
        partition: 3,
        offset: 41,
        timestamp: 1_700_000_000_000,
        append_time: false,
        key,
        value,
        headers: &[("h", Some(b"one"))],
    }
}

/// `value.a.b`, `key`, `header.h`, `topic` …
fn column(text: &str) -> Column {
    let mut parts = text.split('.').map(str::to_owned);
    let place = match parts.next().as_deref() {
        Some("value") => Place::Value,
        Some("key") => Place::Key,
        Some("header") => Place::Header,
        Some("topic") => Place::Topic,
        Some("partition") => Place::Partition,
        Some("offset") => Place::Offset,
        _ => Place::Timestamp,
    };
    Column { place, path: parts.collect() }
}

fn columns(text: &str) -> Vec<Column> {
    text.split_whitespace().map(column).collect()
}

/// A line per record: what it became, in the form of `converters`.
fn written(view: &mut View<'_>, converters: Converters, schemas: &SchemaTable) -> String {
    let mut lines = String::new();
    for record in 0..view.len() {
        let mut line = Vec::new();
        let topic = view.topic(record).to_owned();
        if view.is_dropped(record) {
            line.extend_from_slice(b"dropped");
        } else {
            let side = |written, out: &mut Vec<u8>| match written {
                Written::Null => out.extend_from_slice(b"-"),
                Written::Bytes(_) | Written::Failed => {}
            };
            if view.is_live(record) {
                let key = view.write_key(record, converters.key, schemas, &mut line);
                side(key, &mut line);
                line.extend_from_slice(b" => ");
                let value = view.write_value(record, converters.value, schemas, &mut line);
                side(value, &mut line);
            }
            if view.is_live(record) && view.original(record) != (&topic, view.partition(record)) {
                line.extend_from_slice(format!(" to {topic}/{}", view.partition(record)).as_bytes());
            }
            if let Some(headers) = view.write_headers(record, converters.header, schemas)
                && headers != [("h", Some(b"one".to_vec()))]
            {
                for (name, value) in headers {
                    let value = value.map(|value| String::from_utf8_lossy(&value).into_owned());
                    line.extend_from_slice(format!(" {name}:{}", value.as_deref().unwrap_or("-")).as_bytes());
                }
            }
            if let Some(failure) = view.failure(record) {
                line = format!("failed in {:?}: {}", failure.stage, failure.message).into_bytes();
            }
        }
        lines.push_str(&String::from_utf8_lossy(&line));
        lines.push('\n');
    }
    lines
}

/// Decodes each value (with the key `{"k":1}`), applies the edits in JSON form, and writes everything again.
fn check(values: &[&str], write: &str, edits: &str, expected: Expect) {
    let mut schemas = SchemaTable::default();
    let mut view = View::new(Workspace::default(), JsonOptions::default());
    for value in values {
        view.push(message(Some(br#"{"k":1}"#), Some(value.as_bytes())), &all(JSON), &mut schemas);
    }
    let rows = view.rows();
    let write = columns(write);
    let arena = edits_from_json(edits, rows.len()).unwrap();
    let edits = EditsReader::parse(&arena, rows.len(), write.len()).unwrap();
    let lines = match view.apply(&rows, &edits, &write, &Reshapes::new(), &mut schemas) {
        Ok(()) => written(&mut view, all(JSON), &schemas),
        Err(error) => format!("{error}\n"),
    };
    expected.assert_eq(&lines);
}

#[test]
fn what_no_edit_touches_stays_as_it_came() {
    check(
        &[r#" {"a" : 1.10, "b":"\/\u00e9",  "c":1e400 } "#, "[1, 2]", "12345678901234567890123", "null", " "],
        "",
        "{}",
        expect![[r#"
            {"k":1} => {"a" : 1.10, "b":"\/\u00e9",  "c":1e400 }
            {"k":1} => [1, 2]
            {"k":1} => 12345678901234567890123
            {"k":1} => -
            {"k":1} => -
        "#]],
    );
}

#[test]
fn a_run_of_untouched_fields_keeps_its_spaces() {
    check(
        &[r#"{ "a" : 1, "b" : 2, "c" : 3, "d" : 4 }"#],
        "value.c",
        r#"{"edits":[{"op":"remove","target":0}]}"#,
        expect![[r#"
            {"k":1} => {"a" : 1, "b" : 2,"d" : 4}
        "#]],
    );
}

#[test]
fn fields_are_set_in_their_place_or_at_the_end() {
    check(
        &[r#"{"a":1,"b":2}"#, r#"{"b":2}"#, "{}", "null", "7"],
        "value.a value.x",
        r#"{"edits":[{"op":"set","target":0,"value":"q\"uote"},{"op":"set","target":1,"values":[1,2.50,null,4,5]}]}"#,
        expect![[r#"
            {"k":1} => {"a":"q\"uote","b":2,"x":1}
            {"k":1} => {"b":2,"a":"q\"uote","x":2.50}
            {"k":1} => {"a":"q\"uote","x":null}
            {"k":1} => -
            failed in Transformation: Only Map or Struct objects supported, found: java.lang.Long
        "#]],
    );
}

#[test]
fn edits_with_a_bitmap_touch_only_their_records() {
    check(
        &[r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":3}"#],
        "value.a",
        r#"{"drop":[2],"edits":[{"op":"rename","target":0,"name":"b","where":[1]}]}"#,
        expect![[r#"
            {"k":1} => {"a":1}
            {"k":1} => {"b":2}
            dropped
        "#]],
    );
}

#[test]
fn a_renamed_field_takes_the_place_of_another_of_its_name() {
    check(
        &[r#"{"a":1,"b":2,"c":3}"#, r#"{"b":2}"#],
        "value.a",
        r#"{"edits":[{"op":"rename","target":0,"name":"b"}]}"#,
        expect![[r#"
            {"k":1} => {"b":1,"c":3}
            {"k":1} => {"b":2}
        "#]],
    );
}

#[test]
fn of_duplicate_names_the_last_counts() {
    check(
        &[r#"{"a":1,"b":2,"a":3}"#, r#"{"a":1,"\u0061":3}"#],
        "value.b",
        r#"{"edits":[{"op":"remove","target":0}]}"#,
        expect![[r#"
            {"k":1} => {"a":3}
            {"k":1} => {"\u0061":3}
        "#]],
    );
}

#[test]
fn fields_move_between_value_key_and_headers() {
    check(
        &[r#"{"a":{"n":[1]},"b":"text"}"#, r#"{"b":5}"#],
        "value.a key.a value.b header.b topic value.t",
        r#"{"edits":[{"op":"move","target":0,"to":1},{"op":"copy","target":2,"to":3},{"op":"copy","target":4,"to":5}]}"#,
        expect![[r#"
            {"k":1,"a":{"n":[1]}} => {"b":"text","t":"orders"} h:one b:text
            {"k":1} => {"b":5,"t":"orders"} h:one b:5
        "#]],
    );
}

#[test]
fn metadata_is_set_and_the_original_is_kept() {
    check(
        &["{}", "{}"],
        "topic partition timestamp header.h header.x",
        r#"{"edits":[{"op":"set","target":0,"value":"new","where":[0]},{"op":"set","target":1,"value":7,"where":[0]},
            {"op":"set","target":2,"value":5},{"op":"remove","target":3},{"op":"set","target":4,"value":1,"where":[1]},
            {"op":"set","target":4,"value":"two","where":[1]}]}"#,
        expect![[r#"
            {"k":1} => {} to new/7
            {"k":1} => {} x:1 x:two
        "#]],
    );
}

#[test]
fn structure_changes() {
    let records = &[r#"{"a":{"b":1,"c":{"d":[1],"e":null}},"f":"x"}"#, "null"];
    check(records, "value.a", r#"{"edits":[{"op":"flatten","place":"value","delimiter":"."}]}"#, expect![[r#"
        {"k":1} => {"a.b":1,"a.c.d":[1],"a.c.e":null,"f":"x"}
        {"k":1} => -
    "#]]);
    check(records, "value.a", r#"{"edits":[{"op":"hoist","place":"value","field":"line"}]}"#, expect![[r#"
        {"k":1} => {"line":{"a":{"b":1,"c":{"d":[1],"e":null}},"f":"x"}}
        {"k":1} => {"line":null}
    "#]]);
    check(records, "value.a.c", r#"{"edits":[{"op":"extract","target":0}]}"#, expect![[r#"
        {"k":1} => {"d":[1],"e":null}
        {"k":1} => -
    "#]]);
    check(
        records,
        "value.a value.b value.z",
        r#"{"edits":[{"op":"extract","target":0},{"op":"remove","target":1},{"op":"set","target":2,"value":true}]}"#,
        expect![[r#"
            {"k":1} => {"c":{"d":[1],"e":null},"z":true}
            {"k":1} => -
        "#]],
    );
    check(
        records,
        "value.a.c.e value.a.c.d value.a.x value.q.x",
        r#"{"edits":[{"op":"set","target":0,"value":5},{"op":"remove","target":1},{"op":"set","target":2,"value":[]},
            {"op":"set","target":3,"value":1}]}"#,
        expect![[r#"
            {"k":1} => {"a":{"b":1,"c":{"e":5},"x":[]},"f":"x"}
            {"k":1} => -
        "#]],
    );
    check(
        records,
        "value.a value.f key",
        r#"{"edits":[{"op":"set","target":2,"value":{}},{"op":"retain","place":"value","names":["f","zz"]}]}"#,
        expect![[r#"
            {} => {"f":"x"}
            {} => -
        "#]],
    );
}

#[test]
fn failed_records_are_left_alone() {
    check(
        &[r#"{"a":1}"#, r#"{"a":1}"#, r#"{"a":"#, "[1]"],
        "value.a",
        r#"{"errors":[[0,"no good"]],"edits":[{"op":"remove","target":0}]}"#,
        expect![[r#"
            failed in Transformation: no good
            {"k":1} => {}
            failed in ValueConverter: not JSON at byte 5: expected a value
            failed in Transformation: Only Map or Struct objects supported, found: java.util.ArrayList
        "#]],
    );
}

#[test]
fn edits_that_do_not_go_with_the_plan_are_refused() {
    let refused = |write, edits, expected| check(&["{}"], write, edits, expected);
    refused("topic", r#"{"edits":[{"op":"remove","target":0}]}"#, expect![[r#"
        malformed edits: Topic [] cannot be removed
    "#]]);
    refused("offset", r#"{"edits":[{"op":"set","target":0,"value":1}]}"#, expect![[r#"
        malformed edits: Offset [] cannot be set
    "#]]);
    refused("value", r#"{"edits":[{"op":"rename","target":0,"name":"x"}]}"#, expect![[r#"
        malformed edits: Value [] cannot be renamed
    "#]]);
    refused("value", r#"{"edits":[{"op":"extract","target":0}]}"#, expect![[r#"
        malformed edits: Value [] cannot be extracted
    "#]]);
    refused("value.a", r#"{"edits":[{"op":"retain","place":"key","names":[]}]}"#, expect![[r#"
        malformed edits: the plan does not write the Key
    "#]]);
}
