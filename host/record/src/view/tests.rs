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

fn message<'a>(key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> Message<'a, 'static> {
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
    for record in view.outcomes() {
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
fn records_are_made_of_one_in_its_place_and_later_edits_apply_to_all_of_them() {
    check(
        &[
            r#"{"id":1,"a":[10, {"b":2},null]}"#,
            r#"{"id":2,"a":[]}"#,
            r#"{"id":3,"a":{"x":true}}"#,
            r#"{"id":4,"a":5}"#,
        ],
        "value.a value.n key header.t",
        r#"{"edits":[{"op":"explode","target":0,"index":1},{"op":"copy","target":0,"to":3},{"op":"copy","target":1,"to":2}]}"#,
        expect![[r#"
            0 => {"id":1,"a":10,"n":0} h:one t:10
            1 => {"id":1,"a":{"b":2},"n":1} h:one t:{"b":2}
            2 => {"id":1,"a":null,"n":2} h:one t:-
            dropped
            "x" => {"id":3,"a":true,"n":"x"} h:one t:true
            failed in Transformation: Only Array or Map objects can be exploded, found: java.lang.Long
        "#]],
    );
    check(
        &[r#"{"id":1,"a":[[1,2],[3]]}"#, r#"{"id":2,"a":[]}"#, "null"],
        "value.a value",
        r#"{"edits":[{"op":"explode","target":0,"keep-empty":true,"where":[0,1,2]},{"op":"explode","target":0,"whole":true,"where":[0]}]}"#,
        expect![[r#"
            {"k":1} => 1
            {"k":1} => 2
            {"k":1} => 3
            {"k":1} => {"id":2,"a":null}
            {"k":1} => -
        "#]],
    );
    check(
        &["[1,2,3]", r#"{"a":{"b":[4,5]}}"#, "7"],
        "value value.a.b",
        r#"{"edits":[{"op":"explode","target":0,"max":2,"where":[0]},{"op":"explode","target":1,"where":[1,2]}]}"#,
        expect![[r#"
            failed in Transformation: the value has 3 elements, and max.records allows 2
            {"k":1} => {"a":{"b":4}}
            {"k":1} => {"a":{"b":5}}
            failed in Transformation: Only Map or Struct objects supported, found: java.lang.Long
        "#]],
    );
    check(
        &["1"],
        "topic",
        r#"{"edits":[{"op":"explode","target":0}]}"#,
        expect![[r#"
        malformed edits: Topic [] cannot be exploded
    "#]],
    );
}

#[test]
fn what_was_made_of_a_record_has_its_place_and_its_offset() {
    let mut schemas = SchemaTable::default();
    let mut view = View::new(Workspace::default(), JsonOptions::default());
    for value in ["[[1,2],[3]]", "[]", "[[4]]"] {
        view.push(message(None, Some(value.as_bytes())), &all(JSON), &mut schemas);
    }
    let write = columns("value");
    for _ in 0..2 {
        let rows = view.rows();
        let arena = edits_from_json(r#"{"edits":[{"op":"explode","target":0}]}"#, rows.len()).unwrap();
        let edits = EditsReader::parse(&arena, rows.len(), write.len()).unwrap();
        view.apply(&rows, &edits, &write, &Reshapes::new(), &mut schemas).unwrap();
    }
    let rows = view.rows();
    let mut batch = BatchWriter::new(Encoding::Text, Encoding::Text);
    let written = view.write_batch(&rows, Encoding::Text, Encoding::Text, &schemas, &mut batch);
    let batch = BatchReader::parse(batch.finish().unwrap()).unwrap();
    let shown: Vec<_> =
        (0..batch.len()).map(|at| (batch.value_value(at), batch.origin(at), batch.offset(at))).collect();
    let text = |text: &str| Value::string(text);
    let offset = batch.offset(0);
    assert_eq!(
        shown,
        [
            (text("1"), Some(0), offset),
            (text("2"), Some(0), offset),
            (text("3"), Some(0), offset),
            (text("4"), Some(2), offset)
        ]
    );
    assert_eq!(view.origins(written).records(), [0, 0, 0, 2]);
    assert_eq!((view.live_of_each(), view.surplus(), view.batch_len()), (vec![3, 0, 1], 2, 3));
    let groups: Vec<_> =
        view.rows().groups(3, &view).iter().map(|rows| view.origins(rows.clone()).records().to_vec()).collect();
    assert_eq!(groups, [vec![0, 0, 0], vec![2]]);
    let groups: Vec<_> = view.rows().groups(2, &view).iter().map(Rows::len).collect();
    assert_eq!(groups, [2, 2], "what one record came to is parted only where there is no room for it");
}

#[test]
fn no_record_comes_to_more_than_a_batch_can_hold() {
    let mut schemas = SchemaTable::default();
    let mut view = View::new(Workspace::default(), JsonOptions::default());
    let array = format!("[{}]", vec!["[0,0,0,0,0,0,0,0,0,0,0,0]"; 6_000].join(","));
    view.push(message(None, Some(array.as_bytes())), &all(JSON), &mut schemas);
    view.push(message(None, Some(b"[[1]]")), &all(JSON), &mut schemas);
    let write = columns("value");
    for _ in 0..2 {
        let rows = view.rows();
        let arena = edits_from_json(r#"{"edits":[{"op":"explode","target":0}]}"#, rows.len()).unwrap();
        let edits = EditsReader::parse(&arena, rows.len(), write.len()).unwrap();
        view.apply(&rows, &edits, &write, &Reshapes::new(), &mut schemas).unwrap();
    }
    let failure = view.failures().map(|(record, _)| record).min().and_then(|record| view.failure(record)).unwrap();
    expect![[r#"
        65544 records would be made of one, and no more than 65536 may be
        hint: give each step that takes records apart a smaller max.records"#]]
    .assert_eq(&failure.message);
    assert!(view.len() <= 6_002 + PIECES_MAX + 1, "{}", view.len());
    assert_eq!(view.live_of_each()[1], 1, "other records go on");
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
fn of_two_fields_that_come_to_have_one_name_the_later_stays() {
    check(
        &[r#"{"a":1,"b":2,"c":3}"#, r#"{"b":1,"c":3,"a":2}"#, r#"{"b":2}"#],
        "value.a",
        r#"{"edits":[{"op":"rename","target":0,"name":"b"}]}"#,
        expect![[r#"
            {"k":1} => {"b":2,"c":3}
            {"k":1} => {"c":3,"b":2}
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
    check(
        records,
        "value.a",
        r#"{"edits":[{"op":"flatten","place":"value","delimiter":"."}]}"#,
        expect![[r#"
        {"k":1} => {"a.b":1,"a.c.d":[1],"a.c.e":null,"f":"x"}
        {"k":1} => -
    "#]],
    );
    check(
        records,
        "value.a",
        r#"{"edits":[{"op":"hoist","place":"value","field":"line"}]}"#,
        expect![[r#"
        {"k":1} => {"line":{"a":{"b":1,"c":{"d":[1],"e":null}},"f":"x"}}
        {"k":1} => {"line":null}
    "#]],
    );
    check(
        records,
        "value.a.c",
        r#"{"edits":[{"op":"extract","target":0}]}"#,
        expect![[r#"
        {"k":1} => {"d":[1],"e":null}
        {"k":1} => -
    "#]],
    );
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
fn what_is_too_deep_for_nodes_stays_text_or_fails() {
    let deep = format!(r#"{{"a":{}{},"b":1}}"#, "[".repeat(80), "]".repeat(80));
    let stays = |edits, expected: &str| {
        let mut schemas = SchemaTable::default();
        let mut view = View::new(Workspace::default(), JsonOptions::default());
        view.push(message(None, Some(deep.as_bytes())), &all(JSON), &mut schemas);
        let (rows, write) = (view.rows(), columns("value.b value.c"));
        let arena = edits_from_json(edits, 1).unwrap();
        let edits = EditsReader::parse(&arena, 1, 2).unwrap();
        view.apply(&rows, &edits, &write, &Reshapes::new(), &mut schemas).unwrap();
        assert_eq!(written(&mut view, all(JSON), &schemas), format!("{expected}\n"));
        let mut batch = BatchWriter::new(Encoding::Tlv, Encoding::Tlv);
        assert!(view.write_batch(&rows, Encoding::Tlv, Encoding::Tlv, &schemas, &mut batch).is_empty());
    };
    let removed = deep.replace(r#","b":1"#, "");
    stays(r#"{"edits":[{"op":"remove","target":0}]}"#, &format!("- => {removed}"));
    stays(
        r#"{"edits":[{"op":"copy","target":0,"to":1}]}"#,
        "failed in Transformation: nested more than 64 levels deep",
    );
    stays(
        r#"{"edits":[{"op":"flatten","place":"value","delimiter":"."}]}"#,
        "failed in Transformation: nested more than 64 levels deep",
    );
    let mut schemas = SchemaTable::default();
    let mut view = View::new(Workspace::default(), JsonOptions::default());
    view.push(message(None, Some(deep.as_bytes())), &all(JSON), &mut schemas);
    let text = written(&mut view, all(Converter::String), &schemas);
    assert_eq!(
        text, "failed in ValueConverter: nested more than 64 levels deep\n",
        "and is not text with a null in it"
    );
}

#[test]
fn edits_that_do_not_go_with_the_plan_are_refused() {
    let refused = |write, edits, expected| check(&["{}"], write, edits, expected);
    refused(
        "topic",
        r#"{"edits":[{"op":"remove","target":0}]}"#,
        expect![[r#"
        malformed edits: Topic [] cannot be removed
    "#]],
    );
    refused(
        "offset",
        r#"{"edits":[{"op":"set","target":0,"value":1}]}"#,
        expect![[r#"
        malformed edits: Offset [] cannot be set
    "#]],
    );
    refused(
        "value",
        r#"{"edits":[{"op":"rename","target":0,"name":"x"}]}"#,
        expect![[r#"
        malformed edits: Value [] cannot be renamed
    "#]],
    );
    refused(
        "value",
        r#"{"edits":[{"op":"extract","target":0}]}"#,
        expect![[r#"
        malformed edits: Value [] cannot be extracted
    "#]],
    );
    refused(
        "value.a",
        r#"{"edits":[{"op":"retain","place":"key","names":[]}]}"#,
        expect![[r#"
        malformed edits: the plan does not write the Key
    "#]],
    );
}

const ORDER: &str = r#"{"type":"struct","optional":false,"name":"Order","fields":[{"field":"id","type":"int64"},{"field":"note","type":"string","optional":true},{"field":"tags","type":"array","items":{"type":"int32"},"optional":true},{"field":"at","type":"int64","name":"org.apache.kafka.connect.data.Timestamp","version":1,"optional":true},{"field":"n","type":"int8","default":5}]}"#;

/// As [`check`], with envelopes of the schema `ORDER`, which the step turns into `reshaped` (nothing: it stays).
fn check_schema(payloads: &[&str], write: &str, reshaped: Option<Result<&str, &str>>, edits: &str, expected: Expect) {
    let mut schemas = SchemaTable::default();
    let mut view = View::new(Workspace::default(), JsonOptions::default());
    let envelopes: Vec<String> =
        payloads.iter().map(|payload| format!(r#"{{"schema":{ORDER},"payload":{payload}}}"#)).collect();
    for envelope in &envelopes {
        view.push(message(None, Some(envelope.as_bytes())), &all(ENVELOPE), &mut schemas);
    }
    let rows = view.rows();
    let write = columns(write);
    let arena = edits_from_json(edits, rows.len()).unwrap();
    let edits = EditsReader::parse(&arena, rows.len(), write.len()).unwrap();
    let mut reshapes = Reshapes::new();
    for (side, schema) in view.unshaped(&rows, &write, &reshapes) {
        let answer = match reshaped {
            None => Ok(None),
            Some(Ok(text)) => Ok(Some(schemas.define_json(text).unwrap())),
            Some(Err(message)) => Err(message.to_owned()),
        };
        reshapes.insert(side, schema, answer.map_err(|message| (FailureKind::Data, message)));
    }
    view.apply(&rows, &edits, &write, &reshapes, &mut schemas).unwrap();
    let mut lines = String::new();
    for record in 0..view.len() {
        let mut line = Vec::new();
        let plain = view.write_value(record, JSON, &schemas, &mut line);
        let mut envelope = Vec::new();
        if plain != Written::Null && view.is_live(record) {
            view.write_value(record, ENVELOPE, &schemas, &mut envelope);
        }
        match view.failure(record) {
            Some(failure) => lines.push_str(&format!("failed in {:?}: {}", failure.stage, failure.message)),
            None => {
                let schema = schemas.text(view.value_schema(record)).unwrap();
                let line = String::from_utf8(line).unwrap();
                assert_eq!(String::from_utf8(envelope).unwrap(), format!(r#"{{"schema":{schema},"payload":{line}}}"#));
                lines.push_str(&line);
            }
        }
        lines.push('\n');
    }
    expected.assert_eq(&lines);
}

#[test]
fn envelopes_are_read_in_either_order_and_hold_nothing_else() {
    let mut schemas = SchemaTable::default();
    let mut view = View::new(Workspace::default(), JsonOptions::default());
    let values = [
        r#"{"schema":{"type":"int32"},"payload":7}"#,
        r#" { "payload" : "x" , "schema" : {"type":"string"} } "#,
        r#"{"schema":null,"payload":{"a":1}}"#,
        r#"{"schema":{"type":"int32"},"payload":7,"more":1}"#,
        r#"{"payload":7}"#,
        r#"{"a":1}"#,
        "7",
        r#"{"schema":{"type":"int33"},"payload":7}"#,
        r#"{"schema":{"type":"int32"},"payload":null}"#,
        r#"{"schema":{"type":"int32"},"payload":7}x"#,
        r#"{"schema":{"type":"int32"},"payload":[}"#,
        r#"{"schema":{"type":"int32","optional":true},"payload":null}"#,
        r#"{"schema":{"type":"int64","name":"org.apache.kafka.connect.data.Timestamp"},"payload":5}"#,
    ];
    for value in values {
        view.push(message(None, Some(value.as_bytes())), &all(ENVELOPE), &mut schemas);
    }
    expect![[r#"
        - => 7
        - => "x"
        - => {"a":1}
        failed in ValueConverter: JsonConverter with schemas.enable requires "schema" and "payload" fields and may not contain additional fields. If you are trying to deserialize plain JSON data, set schemas.enable=false in your converter configuration.
        failed in ValueConverter: JsonConverter with schemas.enable requires "schema" and "payload" fields and may not contain additional fields. If you are trying to deserialize plain JSON data, set schemas.enable=false in your converter configuration.
        failed in ValueConverter: JsonConverter with schemas.enable requires "schema" and "payload" fields and may not contain additional fields. If you are trying to deserialize plain JSON data, set schemas.enable=false in your converter configuration.
        failed in ValueConverter: JsonConverter with schemas.enable requires "schema" and "payload" fields and may not contain additional fields. If you are trying to deserialize plain JSON data, set schemas.enable=false in your converter configuration.
        failed in ValueConverter: Unknown schema type: int33
        failed in ValueConverter: Invalid null value for required INT32 field
        failed in ValueConverter: not JSON at byte 39: expected nothing after the value
        failed in ValueConverter: not JSON at byte 38: expected a value
        - => null
        - => 5
    "#]].assert_eq(&written(&mut view, all(JSON), &schemas));
}

#[test]
fn records_with_a_schema_are_checked_and_copied() {
    check_schema(
        &[
            r#"{"id":1, "note":"x","tags":[1,2],"at":5,"n":1}"#,
            r#"{"id":1,"n":null}"#,
            r#"{"note":"x"}"#,
            r#"{"id":"text","n":1}"#,
            r#"{"id":1,"tags":[1,"a"],"n":1}"#,
            r#"{"id":1,"extra":true,"n":1}"#,
        ],
        "",
        None,
        "{}",
        expect![[r#"
            {"id":1, "note":"x","tags":[1,2],"at":5,"n":1}
            {"id":1,"n":5,"note":null,"tags":null,"at":null}
            failed in ValueConverter: field "id": Invalid null value for required INT64 field
            {"id":0,"n":1,"note":null,"tags":null,"at":null}
            {"id":1,"tags":[1,0],"n":1,"note":null,"at":null}
            {"id":1,"n":1,"note":null,"tags":null,"at":null}
        "#]],
    );
}

#[test]
fn a_step_changes_the_schema_once_and_its_records_with_it() {
    let with_host = ORDER.replace(
        r#"{"field":"note","type":"string","optional":true}"#,
        r#"{"field":"host","type":"string","optional":true},{"field":"small","type":"int16"}"#,
    );
    check_schema(
        &[r#"{"id":1,"note":"x","tags":[1],"at":5,"n":1}"#, r#"{"id":2,"n":1}"#],
        "value.note value.host value.small",
        Some(Ok(&with_host)),
        r#"{"edits":[{"op":"remove","target":0},{"op":"set","target":1,"value":"h"},{"op":"set","target":2,"values":[7,70000]}]}"#,
        expect![[r#"
            {"id":1,"tags":[1],"at":5,"n":1,"host":"h","small":7}
            failed in Transformation: field "small": 70000 does not fit the schema type INT16
        "#]],
    );
    check_schema(
        &[r#"{"id":1,"n":1}"#],
        "value.note",
        Some(Err("not with me")),
        r#"{"edits":[{"op":"remove","target":0}]}"#,
        expect![[r#"
        failed in Transformation: not with me
    "#]],
    );
    // What the step does has to be what it said.
    check_schema(
        &[r#"{"id":1,"n":1}"#],
        "value.x",
        None,
        r#"{"edits":[{"op":"set","target":0,"value":1}]}"#,
        expect![[r#"
        failed in Transformation: field "x" is not in the schema that the transform announced
    "#]],
    );
    check_schema(
        &[r#"{"id":1,"note":"x","n":1}"#],
        "value.note",
        Some(Ok(&with_host)),
        r#"{"edits":[{"op":"rename","target":0,"name":"host"}]}"#,
        expect![[r#"
            failed in ValueConverter: field "small": Conversion error: null value for field that is required and has no default value
        "#]],
    );
    check_schema(
        &[r#"{"id":1,"note":"x","n":1}"#],
        "value.id",
        Some(Ok(
            r#"{"type":"struct","fields":[{"field":"id","type":"string"},{"field":"n","type":"int8"},{"field":"note","type":"string","optional":true}]}"#,
        )),
        r#"{"edits":[{"op":"remove","target":0,"where":[]}]}"#,
        expect![[r#"
            failed in Transformation: field "id" is INT64 in the record and STRING in the schema that the transform announced
        "#]],
    );
}

#[test]
fn structural_edits_keep_to_the_announced_schema() {
    let inner = ORDER.replacen("{", r#"{"field":"line","#, 1);
    let hoisted = format!(r#"{{"type":"struct","fields":[{inner}]}}"#);
    let records = &[r#"{"id":1,"note":"x","n":1}"#];
    check_schema(
        records,
        "value.a",
        Some(Ok(&hoisted)),
        r#"{"edits":[{"op":"hoist","place":"value","field":"line"}]}"#,
        expect![[r#"
            {"line":{"id":1,"note":"x","tags":null,"at":null,"n":1}}
        "#]],
    );
    check_schema(
        records,
        "value.note",
        Some(Ok(r#"{"type":"string","optional":true}"#)),
        r#"{"edits":[{"op":"extract","target":0}]}"#,
        expect![[r#"
        "x"
    "#]],
    );
    check_schema(
        records,
        "value.note",
        Some(Ok(r#"{"type":"int32"}"#)),
        r#"{"edits":[{"op":"extract","target":0}]}"#,
        expect![[r#"
        failed in Transformation: "x" does not fit the schema type INT32
    "#]],
    );
}

#[test]
fn strings_and_bytes_pass_through_every_converter() {
    let mut lines = String::new();
    for (from, value) in [(Converter::String, &b"a\"b"[..]), (Converter::Bytes, b"A\xff"), (Converter::String, b"\xff")]
    {
        for to in [Converter::String, Converter::Bytes, JSON, ENVELOPE] {
            let mut schemas = SchemaTable::default();
            let mut view = View::new(Workspace::default(), JsonOptions::default());
            view.push(message(None, Some(value)), &all(from), &mut schemas);
            lines.push_str(&format!("{from:?} to {to:?}: {}", written(&mut view, all(to), &schemas)));
        }
    }
    expect![[r#"
        String to String: - => a"b
        String to Bytes: failed in KeyConverter: Invalid schema type for ByteArrayConverter: STRING
        String to Json { schemas: false }: null => "a\"b"
        String to Json { schemas: true }: {"schema":{"type":"string","optional":true},"payload":null} => {"schema":{"type":"string","optional":true},"payload":"a\"b"}
        Bytes to String: - => Qf8=
        Bytes to Bytes: - => A�
        Bytes to Json { schemas: false }: null => "Qf8="
        Bytes to Json { schemas: true }: {"schema":{"type":"bytes","optional":true},"payload":null} => {"schema":{"type":"bytes","optional":true},"payload":"Qf8="}
        String to String: - => �
        String to Bytes: failed in KeyConverter: Invalid schema type for ByteArrayConverter: STRING
        String to Json { schemas: false }: null => "�"
        String to Json { schemas: true }: {"schema":{"type":"string","optional":true},"payload":null} => {"schema":{"type":"string","optional":true},"payload":"�"}
    "#]].assert_eq(&lines);
}
