//! The vectors themselves.

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use tidegate_record::batch::{batch_to_json, flags};
use tidegate_record::columns::record_flags;
use tidegate_record::decimal::Decimal;
use tidegate_record::edits::{FailureKind, Place, edits_from_json};
use tidegate_record::tlv::{Name, Tag, Writer};
use tidegate_record::{
    BatchReader, BatchWriter, Cell, ColumnsReader, ColumnsWriter, EditsReader, EditsWriter, Encoding, Malformed,
    Reason, Schema, SchemaId, SchemaTable, Value,
};

use crate::dump;

/// How many write columns the plan of the edit vectors has.
const TARGETS: usize = 4;

/// Where the files are.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/batch")
}

/// What kind of arena a vector is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Batch,
    Columns,
    Edits { records: usize },
}

/// One arena with what a reader has to find in it.
#[derive(Debug)]
pub(crate) struct Vector {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) kind: Kind,
    pub(crate) bytes: Vec<u8>,
    /// Why it is refused; none: it is not.
    pub(crate) malformed: Option<Reason>,
    /// The JSON form that edits were made from.
    pub(crate) form: Option<&'static str>,
    /// The defined schemas that it mentions.
    pub(crate) schemas: Vec<(u32, String)>,
}

impl Vector {
    /// Reads the bytes as the file says they are to be read: what is found, and the JSON form if there is one.
    pub(crate) fn read(&self, bytes: &[u8]) -> Result<(Json, Option<String>), Malformed> {
        Ok(match self.kind {
            Kind::Batch => {
                let batch = BatchReader::parse(bytes)?;
                (dump::batch(&batch), batch_to_json(&batch).ok())
            }
            Kind::Columns => {
                let columns = ColumnsReader::parse(bytes)?;
                (dump::columns(&columns), Some(columns.to_json()))
            }
            Kind::Edits { records } => {
                let edits = EditsReader::parse(bytes, records, TARGETS)?;
                (dump::edits(&edits), self.form.map(str::to_owned))
            }
        })
    }

    /// The text of the JSON file.
    pub(crate) fn to_json(&self) -> String {
        let mut file = json!({
            "title": self.title,
            "kind": match self.kind {
                Kind::Batch => "batch",
                Kind::Columns => "columns",
                Kind::Edits { .. } => "edits",
            },
        });
        if let Kind::Edits { records } = self.kind {
            file["records"] = json!(records);
            file["targets"] = json!(TARGETS);
        }
        for (number, text) in &self.schemas {
            file["schemas"][number.to_string()] = json!(text);
        }
        match (self.malformed, self.read(&self.bytes)) {
            (Some(reason), _) => file["malformed"] = json!(reason.as_str()),
            (None, Ok((found, form))) => {
                file["content"] = found;
                if let Some(form) = form {
                    file["json"] = json!(form);
                }
            }
            (None, Err(malformed)) => panic!("vector {}: {malformed}", self.name),
        }
        let mut text = serde_json::to_string_pretty(&file).expect("JSON values are written without fail");
        text.push('\n');
        text
    }
}

/// Every vector.
pub(crate) fn all() -> Vec<Vector> {
    let mut vectors = good_batches();
    vectors.extend(good_columns());
    vectors.extend(good_edits());
    vectors.extend(malformed_batches());
    vectors.extend(malformed_values());
    vectors.extend(malformed_columns());
    vectors.extend(malformed_edits());
    vectors
}

fn good(name: &'static str, title: &'static str, kind: Kind, bytes: Vec<u8>) -> Vector {
    Vector { name, title, kind, bytes, malformed: None, form: None, schemas: Vec::new() }
}

fn bad(name: &'static str, title: &'static str, kind: Kind, reason: Reason, bytes: Vec<u8>) -> Vector {
    Vector { malformed: Some(reason), ..good(name, title, kind, bytes) }
}

fn batch(keys: Encoding, values: Encoding, fill: impl FnOnce(&mut BatchWriter)) -> Vec<u8> {
    let mut batch = BatchWriter::new(keys, values);
    fill(&mut batch);
    batch.take().expect("vectors are small")
}

fn parsed(text: &str) -> Value {
    Value::from_json(text).expect("vectors are written as JSON")
}

/// A struct, or with `Value::Map` a map.
fn members<const N: usize>(members: [(&str, Value); N]) -> tidegate_record::value::Members {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn every_tag() -> Vec<(&'static str, Value)> {
    vec![
        ("null", Value::Null),
        ("boolean", Value::Boolean(true)),
        ("int8", Value::Int8(-8)),
        ("int16", Value::Int16(-1600)),
        ("int32", Value::Int32(320_000)),
        ("int64", Value::Int64(-64_000_000_000)),
        ("float32", Value::Float32(1.5)),
        ("float64", Value::Float64(-0.1)),
        ("string", Value::string("text")),
        ("bytes", Value::Bytes(vec![0, 255, 128])),
        ("number", Value::Number("1.10".to_owned())),
        ("array", Value::Array(vec![Value::Int32(1), Value::Null, Value::string("x")])),
        ("map", Value::Map(members([("b", Value::Int8(1)), ("a", Value::Int8(2))]))),
        ("struct", Value::Struct(members([("id", Value::Int64(7))]))),
        ("pairs", Value::Pairs(vec![(Value::Int32(1), Value::string("one")), (Value::Int32(2), Value::Null)])),
        ("decimal", Value::Decimal(Decimal { scale: 2, unscaled: vec![0x30, 0x39] })),
        ("date", Value::Date(19_675)),
        ("time", Value::Time(3_723_004)),
        ("timestamp", Value::Timestamp(1_700_000_000_123)),
    ]
}

fn limits() -> Vec<Value> {
    vec![
        Value::Int8(i8::MIN),
        Value::Int16(i16::MAX),
        Value::Int32(i32::MIN),
        Value::Int64(i64::MAX),
        Value::Int64(i64::MIN),
        Value::Float32(f32::MAX),
        Value::Float64(f64::MIN_POSITIVE),
        Value::Float64(f64::INFINITY),
        Value::Float64(f64::NEG_INFINITY),
        Value::Number("123456789012345678901234567890".to_owned()),
        Value::Number("-1e400".to_owned()),
        Value::Timestamp(i64::MAX),
        Value::Timestamp(i64::MIN),
        Value::Date(i32::MIN),
        Value::Decimal(Decimal { scale: -3, unscaled: vec![0x80] }),
        Value::Decimal(Decimal { scale: 40, unscaled: vec![1, 0, 0, 0, 0, 0, 0, 0, 0, 0] }),
    ]
}

fn good_batches() -> Vec<Vector> {
    let order_schema = r#"{"type":"struct","fields":[{"type":"int64","optional":false,"field":"id"},{"type":"bytes","optional":false,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"},"field":"total"},{"type":"int32","optional":false,"name":"org.apache.kafka.connect.data.Date","version":1,"field":"day"},{"type":"int64","optional":true,"name":"org.apache.kafka.connect.data.Timestamp","version":1,"field":"at"},{"type":"array","items":{"type":"string","optional":false},"optional":true,"field":"tags"}],"optional":false,"name":"Order","version":1}"#;
    let order = Value::Struct(members([
        ("id", Value::Int64(42)),
        ("total", Value::Decimal(Decimal::parse("19.90").expect("a decimal"))),
        ("day", Value::Date(19_675)),
        ("at", Value::Null),
        ("tags", Value::Array(vec![Value::string("new"), Value::string("gift")])),
    ]));
    vec![
        good("empty", "no records", Kind::Batch, batch(Encoding::Raw, Encoding::Raw, |_| {})),
        good(
            "raw-strings",
            "strings and bytes as they are, an empty one, a null one",
            Kind::Batch,
            batch(Encoding::Raw, Encoding::Raw, |batch| {
                batch
                    .record()
                    .topic("lines")
                    .partition(0)
                    .offset(10)
                    .timestamp(1_700_000_000_000)
                    .key(SchemaId::OPTIONAL_BYTES, Some(&[0, 1, 255]))
                    .value(SchemaId::STRING, Some(b"first line"));
                batch
                    .record()
                    .topic("lines")
                    .partition(0)
                    .offset(11)
                    .timestamp(1_700_000_000_001)
                    .key(SchemaId::OPTIONAL_BYTES, Some(b""))
                    .value(SchemaId::STRING, Some(b""));
                batch
                    .record()
                    .topic("others")
                    .partition(3)
                    .offset(0)
                    .timestamp(1_700_000_000_002)
                    .key(SchemaId::OPTIONAL_BYTES, None)
                    .value(SchemaId::OPTIONAL_STRING, None);
            }),
        ),
        good(
            "text",
            "what is neither string nor bytes is its JSON text",
            Kind::Batch,
            batch(Encoding::Raw, Encoding::Text, |batch| {
                batch.record().topic("t").value(SchemaId::STRING, Some(b"plain"));
                batch.record().topic("t").value(SchemaId::NONE, Some(b"{\"a\":[1,2.50]}"));
            }),
        ),
        good(
            "nested-nodes",
            "JSON without a schema: maps in maps, numbers as their text",
            Kind::Batch,
            batch(Encoding::Raw, Encoding::Tlv, |batch| {
                let text = r#"{"id":7,"price":1.10,"address":{"city":"Graz","geo":[47.07,15.44]},"tags":[],"more":{}}"#;
                batch.record().topic("orders").value_tree(SchemaId::NONE, &parsed(text));
                batch.record().topic("orders").value_tree(SchemaId::NONE, &parsed(r#"{"more":{},"id":8}"#));
                batch.record().topic("orders").value_tree(SchemaId::NONE, &parsed("[[1],[]]"));
            }),
        ),
        good(
            "every-tag",
            "a record with each tag as its whole value, and one with all of them in a struct",
            Kind::Batch,
            batch(Encoding::Raw, Encoding::Tlv, |batch| {
                for (_, value) in every_tag() {
                    batch.record().topic("t").value_tree(SchemaId::NONE, &value);
                }
                let all = every_tag().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
                batch.record().topic("t").value_tree(SchemaId::NONE, &Value::Struct(all));
            }),
        ),
        good(
            "limits-of-numbers",
            "the smallest and largest of each type, and numbers beyond 64 bits",
            Kind::Batch,
            batch(Encoding::Raw, Encoding::Tlv, |batch| {
                batch
                    .record()
                    .topic("t")
                    .partition(i32::MAX)
                    .offset(i64::MAX)
                    .timestamp(i64::MAX)
                    .value_tree(SchemaId::NONE, &Value::Array(limits()));
                batch.record().topic("t").offset(0).timestamp(0);
            }),
        ),
        Vector {
            schemas: vec![(64, order_schema.to_owned())],
            ..good(
                "logical-types",
                "a struct with a defined schema and logical types",
                Kind::Batch,
                batch(Encoding::Tlv, Encoding::Tlv, |batch| {
                    batch
                        .record()
                        .topic("orders")
                        .key_tree(SchemaId::INT64, &Value::Int64(42))
                        .value_tree(SchemaId(64), &order);
                }),
            )
        },
        good(
            "headers",
            "none, one, several, two of one name, a null one, one with a schema",
            Kind::Batch,
            batch(Encoding::Raw, Encoding::Raw, |batch| {
                batch.record().topic("t").value(SchemaId::STRING, Some(b"none"));
                batch
                    .record()
                    .topic("t")
                    .value(SchemaId::STRING, Some(b"four"))
                    .header_tree("trace", SchemaId::NONE, &Value::string("abc"))
                    .header_tree("trace", SchemaId::NONE, &parsed(r#"{"span":1}"#))
                    .header_tree("none", SchemaId::NONE, &Value::Null)
                    .header_tree("count", SchemaId::INT64, &Value::Int64(3));
                batch.record().topic("t").value(SchemaId::STRING, Some(b"none again"));
                batch.record().topic("t").value(SchemaId::STRING, Some(b"one")).header_tree(
                    "",
                    SchemaId::BYTES,
                    &Value::Bytes(vec![1]),
                );
                batch.record().topic("t").value(SchemaId::STRING, Some(b"the last, without"));
            }),
        ),
        good(
            "tombstones",
            "keys with null values",
            Kind::Batch,
            batch(Encoding::Raw, Encoding::Raw, |batch| {
                batch.record().topic("t").partition(1).offset(5).key(SchemaId::STRING, Some(b"gone"));
                batch.record().topic("t").partition(1).offset(6);
            }),
        ),
        good(
            "source-offsets",
            "records from a source: two partitions of it, one record without",
            Kind::Batch,
            batch(Encoding::Raw, Encoding::Raw, |batch| {
                for (file, position) in [("a", 10), ("b", 7), ("a", 25)] {
                    batch
                        .record()
                        .topic("lines")
                        .value(SchemaId::STRING, Some(b"line"))
                        .source(&format!("{{\"filename\":\"{file}\"}}"), &format!("{{\"position\":{position}}}"));
                }
                batch.record().topic("lines").value(SchemaId::STRING, Some(b"heartbeat"));
            }),
        ),
        good(
            "origins-and-flags",
            "two records made from one, where they were, and each flag",
            Kind::Batch,
            batch(Encoding::Raw, Encoding::Raw, |batch| {
                for (origin, flag) in
                    [(0, flags::APPEND_TIME), (2, flags::BOUNDARY), (2, flags::ABORT | flags::BOUNDARY)]
                {
                    batch
                        .record()
                        .topic("new")
                        .partition(0)
                        .value(SchemaId::STRING, Some(b"x"))
                        .origin(origin)
                        .original("old", 5, 1_000 + i64::from(origin))
                        .flags(flag);
                }
                batch
                    .record()
                    .topic("new")
                    .origin(1)
                    .value(SchemaId::STRING, Some(b"no such field"))
                    .flags(flags::FAILED);
            }),
        ),
        good(
            "unicode",
            "letters of one to four bytes, a zero, in names, topics and values",
            Kind::Batch,
            batch(Encoding::Raw, Encoding::Tlv, |batch| {
                batch
                    .record()
                    .topic("größe")
                    .key(SchemaId::STRING, Some("schlüssel".as_bytes()))
                    .value_tree(SchemaId::NONE, &parsed(r#"{"é":"€","漢字":"\u0000","😀":"\ud83d\ude00\n\"\\"}"#))
                    .header_tree("überschrift", SchemaId::NONE, &Value::string("😀"));
            }),
        ),
        good(
            "inline-names",
            "names beside the dictionary, an empty one too",
            Kind::Batch,
            batch(Encoding::Raw, Encoding::Tlv, |batch| {
                batch.record().topic("t").value_with(SchemaId::NONE, |mut writer, names| {
                    let id = names.intern("id").expect("an empty dictionary has room");
                    let map = writer.open(Name::None, Tag::Map);
                    writer.int64(Name::Entry(id), 1);
                    writer.string(Name::Inline("city"), "Graz");
                    writer.null(Name::Inline(""));
                    let inner = writer.open(Name::Inline("inner"), Tag::Struct);
                    writer.boolean(Name::Inline("x"), true);
                    writer.close(inner);
                    writer.close(map);
                });
            }),
        ),
        good(
            "names-twice",
            "two members of one name: the last counts",
            Kind::Batch,
            batch(Encoding::Raw, Encoding::Tlv, |batch| {
                batch.record().topic("t").value_with(SchemaId::NONE, |mut writer, names| {
                    let id = names.intern("id").expect("an empty dictionary has room");
                    let map = writer.open(Name::None, Tag::Map);
                    writer.int64(Name::Entry(id), 1);
                    writer.int64(Name::Inline("id"), 2);
                    writer.close(map);
                });
            }),
        ),
        good(
            "deepest",
            "64 levels of arrays",
            Kind::Batch,
            batch(Encoding::Raw, Encoding::Tlv, |batch| {
                batch.record().topic("t").value(SchemaId::NONE, Some(&nested(64)));
            }),
        ),
    ]
}

/// `levels` arrays, one in the other.
fn nested(levels: usize) -> Vec<u8> {
    (0..levels).fold(Vec::new(), |inner, _| {
        let mut outer = Vec::new();
        Writer::new(&mut outer).node(Name::None, Tag::Array, &inner);
        outer
    })
}

fn good_columns() -> Vec<Vector> {
    let columns = |columns: usize, records: usize, fill: &dyn Fn(&mut ColumnsWriter)| {
        let mut writer = ColumnsWriter::new();
        writer.begin(columns, records);
        fill(&mut writer);
        writer.take().expect("vectors are small")
    };
    let tags = every_tag();
    vec![
        good("columns-empty", "no columns, no records", Kind::Columns, columns(0, 0, &|_| {})),
        good(
            "columns-every-tag",
            "a cell of each tag, and a column of which most is missing",
            Kind::Columns,
            columns(2, tags.len(), &|writer| {
                for (record, (_, value)) in tags.iter().enumerate() {
                    writer.set_tree(0, record, value);
                }
                writer.set(1, 0, Cell::String(""));
                writer.set(1, 3, Cell::Null);
            }),
        ),
        good(
            "columns-limits-of-numbers",
            "the smallest and largest of each type",
            Kind::Columns,
            columns(1, limits().len(), &|writer| {
                for (record, value) in limits().iter().enumerate() {
                    writer.set_tree(0, record, value);
                }
            }),
        ),
        good(
            "columns-defaults",
            "nulls with defaults of their schemas, and one without",
            Kind::Columns,
            columns(2, 3, &|writer| {
                writer.set_null(0, 0, &Value::Int32(7));
                writer.set(0, 1, Cell::Null);
                writer.set_null(1, 2, &Value::Map([("a".to_owned(), Value::string("dflt"))].into_iter().collect()));
            }),
        ),
        good(
            "columns-flags",
            "no column, but flags: null keys and values, schemas",
            Kind::Columns,
            columns(0, 3, &|writer| {
                writer.flags(0, record_flags::VALUE_NULL | record_flags::KEY_NULL);
                writer.flags(2, record_flags::VALUE_SCHEMA | record_flags::KEY_SCHEMA);
            }),
        ),
    ]
}

fn edits(records: usize, fill: impl FnOnce(&mut EditsWriter)) -> Vec<u8> {
    let mut writer = EditsWriter::new(records);
    fill(&mut writer);
    writer.finish().expect("vectors are small")
}

fn good_edits() -> Vec<Vector> {
    let from_json = |name, title, records, form: &'static str| Vector {
        form: Some(form),
        ..good(name, title, Kind::Edits { records }, edits_from_json(form, records).expect("vectors are well-formed"))
    };
    let tags = every_tag();
    vec![
        good("edits-empty", "nothing is changed", Kind::Edits { records: 3 }, edits(3, |_| {})),
        good(
            "edits-keep-and-failures",
            "dropped records and failures of each kind",
            Kind::Edits { records: 10 },
            edits(10, |writer| {
                writer.drop_where(|record| record % 3 == 1);
                let kinds = [
                    FailureKind::Data,
                    FailureKind::Config,
                    FailureKind::IllegalArgument,
                    FailureKind::NullPointer,
                    FailureKind::Other,
                ];
                for (i, kind) in kinds.into_iter().enumerate() {
                    writer.fail(i * 2, kind, &format!("failure {i}: größer"));
                }
            }),
        ),
        good(
            "edits-every-operation",
            "each operation, with and without a bitmap",
            Kind::Edits { records: 9 },
            edits(9, |writer| {
                writer
                    .remove(0)
                    .only(|record| record == 8)
                    .set_constant(1, &Value::string("constant"))
                    .rename(2, "neu")
                    .copy(0, 3)
                    .move_to(3, 0)
                    .only(|record| record % 2 == 0)
                    .retain(Place::Value, &["a", "b"])
                    .retain(Place::Key, &[])
                    .flatten(Place::Value, ".")
                    .hoist(Place::Key, "id")
                    .extract(1)
                    .only(|_| false);
            }),
        ),
        good(
            "edits-defaults",
            "operations that take defaults in place of nulls, and headers with a schema",
            Kind::Edits { records: 2 },
            edits(2, |writer| {
                writer
                    .copy(0, 3)
                    .taking_defaults()
                    .move_to(3, 0)
                    .taking_defaults()
                    .flatten(Place::Value, ".")
                    .taking_defaults()
                    .extract(1)
                    .taking_defaults()
                    .defaults(Place::Value)
                    .collect(Place::Key, &[(0, "a"), (1, "b.c")])
                    .only(|record| record == 1)
                    .collect(Place::Key, &[(2, "")])
                    .taking_defaults()
                    .collect(Place::Value, &[])
                    .set_constant(3, &Value::Int8(7))
                    .of_schema(r#"{"type":"int8","optional":false}"#)
                    .set_values(3, &[Some(&Value::string("x")), None])
                    .of_schema(r#"{"type":"string","optional":true}"#);
            }),
        ),
        good(
            "edits-explode",
            "records made of one, in each way",
            Kind::Edits { records: 3 },
            edits(3, |writer| {
                writer
                    .explode(0, None, 0)
                    .explode(1, Some(0), 100)
                    .exploding(true, false)
                    .only(|record| record == 2)
                    .explode(2, None, 1)
                    .exploding(false, true)
                    .explode(3, Some(3), 1)
                    .exploding(true, true);
            }),
        ),
        good(
            "edits-every-tag",
            "a value of each tag, and one left out",
            Kind::Edits { records: tags.len() + 1 },
            edits(tags.len() + 1, |writer| {
                let mut values: Vec<Option<&Value>> = tags.iter().map(|(_, value)| Some(value)).collect();
                values.push(None);
                writer.set_values(0, &values);
                let all = tags.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
                writer.set_constant(1, &Value::Struct(all));
            }),
        ),
        from_json("edits-json-empty", "the shortest JSON form", 2, "{}"),
        from_json(
            "edits-json-explode",
            "the JSON form of making records of one",
            2,
            r#"{"edits":[{"op":"explode","target":0},{"op":"explode","target":1,"index":2,"keep-empty":true,"whole":true,"max":10,"where":[1]}]}"#,
        ),
        from_json(
            "edits-json",
            "the JSON form of everything",
            4,
            r#"{"drop":[1],"errors":[[2,"not a number"],[3,"null",3]],"edits":[{"op":"remove","target":0},{"op":"set","target":1,"value":{"a":[1.10,null]}},{"op":"set","target":1,"value":null},{"op":"set","target":2,"values":["a",1,true,{}]},{"op":"set","target":2,"values":["x",null],"where":[0,3]},{"op":"rename","target":0,"name":"x"},{"op":"copy","target":0,"to":1},{"op":"move","target":0,"to":1,"where":[2]},{"op":"retain","place":"value","names":["a"]},{"op":"flatten","place":"value","delimiter":"."},{"op":"hoist","place":"key","field":"x"},{"op":"extract","target":3},{"op":"copy","target":0,"to":1,"defaults":true},{"op":"flatten","place":"key","delimiter":"","defaults":true},{"op":"defaults","place":"key"},{"op":"collect","place":"value","targets":[0,3],"names":["a","b"],"defaults":true,"where":[1]},{"op":"set","target":2,"value":1,"schema":"{\"type\":\"int8\"}"}]}"#,
        ),
    ]
}

/// `bytes` with other bytes at a place.
fn patched(mut bytes: Vec<u8>, at: usize, patch: &[u8]) -> Vec<u8> {
    bytes[at..at + patch.len()].copy_from_slice(patch);
    bytes
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize
}

fn malformed_batches() -> Vec<Vector> {
    let base = || {
        batch(Encoding::Raw, Encoding::Raw, |batch| {
            for _ in 0..2 {
                batch
                    .record()
                    .topic("topic")
                    .partition(1)
                    .offset(2)
                    .timestamp(3)
                    .key(SchemaId::STRING, Some(b"key"))
                    .value(SchemaId::STRING, Some(b"value"))
                    .header_tree("header", SchemaId::NONE, &Value::string("x"))
                    .source("{\"a\":1}", "{\"b\":2}")
                    .origin(0)
                    .original("topic", 1, 2)
                    .flags(0);
            }
        })
    };
    let length = base().len() as u32;
    let header = |at: usize, number: u32| patched(base(), at, &number.to_le_bytes());
    // An entry of the column whose offset is at `column`.
    let entry = |column: usize, at: usize, number: u32| {
        let bytes = base();
        let column = u32_at(&bytes, column);
        patched(bytes, column + at, &number.to_le_bytes())
    };
    let text = |find: &[u8], replace: &[u8]| {
        let bytes = base();
        let at = bytes.windows(find.len()).position(|window| window == find).expect("the text is there");
        patched(bytes, at, replace)
    };
    let bad = |name, title, reason, bytes| bad(name, title, Kind::Batch, reason, bytes);
    vec![
        bad("bad-nothing", "no bytes", Reason::Length, Vec::new()),
        bad("bad-short", "79 bytes", Reason::Length, base()[..79].to_vec()),
        bad("bad-truncated", "the last byte is missing", Reason::Length, base()[..base().len() - 1].to_vec()),
        bad("bad-longer", "one byte too many", Reason::Length, [base(), vec![0]].concat()),
        bad("bad-magic", "columns where a batch should be", Reason::Magic, patched(base(), 0, b"TGC1")),
        bad("bad-version", "version 2", Reason::Version, patched(base(), 4, &[2, 0])),
        bad("bad-encoding", "encoding 3", Reason::Field, patched(base(), 7, &[3])),
        bad("bad-record-count", "65,537 records", Reason::Limit, header(8, 65_537)),
        bad("bad-record-count-beyond", "more records than columns have", Reason::Offset, header(8, 60_000)),
        bad("bad-dictionary-size", "65,535 names", Reason::Limit, header(16, 65_535)),
        bad("bad-dictionary-absent", "names without a dictionary", Reason::Offset, header(24, 0)),
        bad("bad-dictionary-offset", "dictionary behind the end", Reason::Offset, header(24, length)),
        bad("bad-dictionary-entry", "name behind the end", Reason::Offset, entry(24, 0, length)),
        bad("bad-dictionary-entry-length", "name longer than the arena", Reason::Offset, entry(24, 4, u32::MAX)),
        bad("bad-dictionary-utf8", "name that is not UTF-8", Reason::Utf8, text(b"header", b"h\xFFader")),
        bad("bad-header-entries", "100,001 header entries", Reason::Limit, header(20, 100_001)),
        bad("bad-column-offset", "column behind the end", Reason::Offset, header(48, length - 3)),
        bad("bad-column-overflow", "column at the end of 32 bits", Reason::Offset, header(48, u32::MAX)),
        bad("bad-column-in-header", "column inside the header", Reason::Offset, header(48, 4)),
        bad("bad-topic", "topic that is no name", Reason::Name, entry(28, 0, 77)),
        bad("bad-partition", "partition -2", Reason::Field, entry(32, 4, (-2i32) as u32)),
        bad("bad-offset", "offset below -1", Reason::Field, entry(36, 4, u32::MAX - 1)),
        bad("bad-key-offset", "key behind the end", Reason::Offset, entry(44, 4, length)),
        bad("bad-key-null", "null key with a length", Reason::Offset, entry(44, 4, 0)),
        bad("bad-key-length", "key longer than the arena", Reason::Offset, entry(44, 8, u32::MAX)),
        bad("bad-key-in-header", "key inside the header", Reason::Offset, entry(44, 4, 79)),
        bad("bad-value-schema", "schema 10", Reason::Schema, entry(48, 0, 10)),
        bad("bad-value-schema-of-raw", "raw int64", Reason::Schema, entry(48, 0, 4)),
        bad("bad-value-without-schema", "raw value without a schema", Reason::Schema, entry(48, 0, 0)),
        bad("bad-value-utf8", "string that is not UTF-8", Reason::Utf8, text(b"value", b"val\xC3e")),
        bad("bad-headers-fall", "headers that end before they begin", Reason::Field, entry(52, 0, 2)),
        bad("bad-headers-beyond", "headers behind the last entry", Reason::Field, entry(52, 8, 3)),
        bad("bad-header-name", "header whose name is none", Reason::Name, entry(56, 0, 77)),
        bad("bad-header-offset", "header value behind the end", Reason::Offset, entry(56, 8, length)),
        bad("bad-source-partition", "source partition that is no name", Reason::Name, entry(60, 0, 77)),
        bad(
            "bad-source-partition-json",
            "source partition that is not JSON",
            Reason::Json,
            text(b"{\"a\":1}", b"{\"a\":1]"),
        ),
        bad("bad-source-offset-json", "source offset with white space", Reason::Json, text(b"{\"b\":2}", b"{\"b\": }")),
        bad(
            "bad-source-offset-type",
            "source offset that is no object",
            Reason::Json,
            text(b"{\"b\":2}", b"[\"b\",2]"),
        ),
        bad("bad-original-topic", "original topic that is no name", Reason::Name, entry(72, 0, 77)),
        bad(
            "bad-flags",
            "a flag without meaning",
            Reason::Field,
            batch(Encoding::Raw, Encoding::Raw, |batch| {
                batch.record().flags(0x10);
            }),
        ),
    ]
}

/// A node from its parts.
fn node(name: u16, tag: u8, inline: u8, length: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(name.to_le_bytes());
    bytes.extend([tag, inline]);
    bytes.extend(length.to_le_bytes());
    bytes.extend(payload);
    bytes
}

/// A nameless node with a payload of the right length.
fn whole(tag: u8, payload: &[u8]) -> Vec<u8> {
    node(0xFFFF, tag, 0, payload.len() as u32, payload)
}

fn malformed_values() -> Vec<Vector> {
    // The dictionary has one name: the topic.
    let bad = |name, title, reason, schema: u32, value: &[u8]| {
        let bytes = batch(Encoding::Raw, Encoding::Tlv, |batch| {
            batch.record().topic("t").value(SchemaId(schema), Some(value));
        });
        bad(name, title, Kind::Batch, reason, bytes)
    };
    let item = whole(3, &[1, 0]);
    let twice_inline = |text: &[u8], length: u32| {
        let mut payload = length.to_le_bytes().to_vec();
        payload.extend(text);
        whole(12, &node(0xFFFF, 0, 1, payload.len() as u32, &payload))
    };
    vec![
        bad("bad-node-nothing", "value without a node", Reason::Offset, 0, b""),
        bad("bad-node-short", "seven bytes of a node", Reason::Offset, 0, &item[..7]),
        bad("bad-node-after", "bytes after the node", Reason::Payload, 0, &[item.clone(), vec![0]].concat()),
        bad("bad-node-length", "payload longer than its bytes", Reason::Offset, 0, &node(0xFFFF, 8, 0, 4, b"abc")),
        bad("bad-node-length-overflow", "payload of 4 GiB", Reason::Offset, 0, &node(0xFFFF, 8, 0, u32::MAX, b"abc")),
        bad("bad-node-tag", "tag 19", Reason::Tag, 0, &whole(19, b"")),
        bad("bad-node-missing", "missing, which only cells can be", Reason::Tag, 0, &whole(255, b"")),
        bad("bad-node-named", "outermost node with a name", Reason::Name, 0, &node(0, 0, 0, 0, b"")),
        bad("bad-node-reserved", "byte 3 is 2", Reason::Field, 0, &node(0xFFFF, 0, 2, 0, b"")),
        bad("bad-null", "null with a payload", Reason::Payload, 0, &whole(0, b"x")),
        bad("bad-boolean", "boolean 2", Reason::Payload, 0, &whole(1, &[2])),
        bad("bad-int32", "int32 of three bytes", Reason::Payload, 0, &whole(4, &[1, 2, 3])),
        bad("bad-float64", "float64 of nine bytes", Reason::Payload, 0, &whole(7, &[0; 9])),
        bad("bad-timestamp", "timestamp of four bytes", Reason::Payload, 0, &whole(18, &[0; 4])),
        bad("bad-string", "string that is not UTF-8", Reason::Utf8, 0, &whole(8, b"\xED\xA0\x80")),
        bad("bad-number", "number with a leading zero", Reason::Number, 0, &whole(10, b"01")),
        bad("bad-number-injection", "number with a comma", Reason::Number, 0, &whole(10, b"1,\"admin\":true")),
        bad("bad-number-empty", "empty number", Reason::Number, 0, &whole(10, b"")),
        bad("bad-number-schema", "number as text in a value with a schema", Reason::Tag, 4, &whole(10, b"1")),
        bad("bad-decimal", "decimal without unscaled value", Reason::Payload, 0, &whole(15, &[0; 4])),
        bad("bad-decimal-size", "decimal of 1,025 bytes", Reason::Limit, 0, &whole(15, &[1; 4 + 1025])),
        bad("bad-array-named", "item of an array with a name", Reason::Name, 0, &whole(11, &node(0, 0, 0, 0, b""))),
        bad("bad-map-nameless", "member of a map without name", Reason::Name, 0, &whole(12, &item)),
        bad("bad-struct-nameless", "field of a struct without name", Reason::Name, 0, &whole(13, &item)),
        bad("bad-map-name", "member whose name is none", Reason::Name, 0, &whole(12, &node(1, 0, 0, 0, b""))),
        bad("bad-map-half", "map that ends inside a member", Reason::Offset, 0, &whole(12, &node(0, 8, 0, 9, b"x"))),
        bad("bad-pairs", "key without a value", Reason::Payload, 0, &whole(14, &item)),
        bad("bad-inline-length", "inline name longer than its node", Reason::Offset, 0, &twice_inline(b"ab", 3)),
        bad("bad-inline-utf8", "inline name that is not UTF-8", Reason::Utf8, 0, &twice_inline(b"\xFF", 1)),
        bad("bad-inline-both", "inline name beside a number", Reason::Name, 0, &whole(12, &node(0, 0, 1, 4, &[0; 4]))),
        bad("bad-nesting", "65 levels", Reason::Nesting, 0, &nested(65)),
        bad("bad-inside", "a bad string deep inside", Reason::Utf8, 0, &whole(11, &whole(11, &whole(8, b"\xFF")))),
    ]
}

fn malformed_columns() -> Vec<Vector> {
    let base = || {
        let mut writer = ColumnsWriter::new();
        writer.begin(2, 2);
        writer.set(0, 0, Cell::Int8(1));
        writer.set(0, 1, Cell::String("text"));
        writer.set(1, 0, Cell::Number("12"));
        writer.set_tree(1, 1, &parsed(r#"{"a":"x"}"#));
        writer.flags(1, record_flags::KEY_NULL);
        writer.take().expect("vectors are small")
    };
    let cell = |index: usize, at: usize, patch: &[u8]| patched(base(), 32 + 16 * index + at, patch);
    let length = base().len() as u64;
    let bad = |name, title, reason, bytes| bad(name, title, Kind::Columns, reason, bytes);
    vec![
        bad("bad-columns-magic", "a batch where columns should be", Reason::Magic, patched(base(), 0, b"TGB1")),
        bad("bad-columns-absent", "columns without cells", Reason::Offset, patched(base(), 24, &[0; 4])),
        bad("bad-columns-count", "more columns than cells", Reason::Offset, patched(base(), 6, &[255, 255])),
        bad("bad-cell-tag", "tag 100", Reason::Tag, cell(0, 0, &[100])),
        bad("bad-cell-reserved", "byte 1 of a cell is 1", Reason::Field, cell(0, 1, &[1])),
        bad("bad-cell-length", "int8 of two bytes", Reason::Payload, cell(0, 4, &[2])),
        bad("bad-cell-range", "int8 of 128", Reason::Payload, cell(0, 8, &[128])),
        bad("bad-cell-sign", "int8 of -1 that is not sign-extended", Reason::Payload, cell(0, 8, &[255])),
        bad(
            "bad-cell-null",
            "null whose default is inside the header",
            Reason::Offset,
            cell(0, 0, &[0, 0, 0, 0, 0, 0, 0, 0, 1]),
        ),
        bad("bad-cell-offset", "text behind the end", Reason::Offset, cell(1, 8, &length.to_le_bytes())),
        bad("bad-cell-offset-overflow", "text at the end of 64 bits", Reason::Offset, cell(1, 8, &[255; 8])),
        bad("bad-cell-in-header", "text inside the header", Reason::Offset, cell(1, 8, &[8, 0])),
        bad("bad-cell-number", "text as a number", Reason::Number, cell(1, 0, &[10])),
        bad("bad-cell-nodes", "text as an array", Reason::Offset, cell(1, 0, &[11])),
        bad("bad-record-flags", "a flag without meaning", Reason::Field, {
            let bytes = base();
            let at = u32_at(&bytes, 28);
            patched(bytes, at, &[16])
        }),
    ]
}

fn malformed_edits() -> Vec<Vector> {
    const RECORDS: usize = 9;
    let base = || {
        edits(RECORDS, |writer| {
            writer
                .drop_where(|record| record == 3)
                .fail(0, FailureKind::Data, "bad")
                .remove(0)
                .only(|record| record == 1)
                .set_constant(1, &Value::Number("12".to_owned()))
                .rename(1, "x")
                .retain(Place::Key, &["x"])
                .hoist(Place::Value, "x");
        })
    };
    let length = base().len() as u32;
    let header = |at: usize, number: u32| patched(base(), at, &number.to_le_bytes());
    let column = |column: usize, at: usize, patch: &[u8]| {
        let bytes = base();
        let column = u32_at(&bytes, column);
        patched(bytes, column + at, patch)
    };
    // Edit 0 removes, 1 sets a constant, 2 renames, 3 retains, 4 hoists.
    let edit = |index: usize, at: usize, patch: &[u8]| column(36, 24 * index + at, patch);
    let constant = |at: usize, patch: &[u8]| {
        let bytes = base();
        let cell = u32_at(&bytes, u32_at(&bytes, 36) + 24 + 12);
        patched(bytes, cell + at, patch)
    };
    let explode = |argument: u8, count: u8| {
        let mut edit = [0; 24];
        (edit[0], edit[16], edit[20]) = (13, count, argument);
        edit
    };
    let kind = Kind::Edits { records: RECORDS };
    let bad = |name, title, reason, bytes| bad(name, title, kind, reason, bytes);
    vec![
        bad("bad-edits-magic", "columns where edits should be", Reason::Magic, patched(base(), 0, b"TGC1")),
        bad("bad-edits-count", "edits for ten records", Reason::Count, header(8, 10)),
        bad("bad-edits-keep", "keep bitmap that ends behind the end", Reason::Offset, header(24, length - 1)),
        bad("bad-edits-failures", "more failures than records", Reason::Limit, header(28, 10)),
        bad("bad-edits-failures-absent", "failures without a column", Reason::Offset, header(32, 0)),
        bad("bad-edits-absent", "edits without a column", Reason::Offset, header(36, 0)),
        bad("bad-failure-record", "failure of a record that is not there", Reason::Field, column(32, 0, &[9])),
        bad("bad-failure-kind", "failure of kind 5", Reason::Field, column(32, 4, &[5])),
        bad("bad-failure-message", "message behind the end", Reason::Offset, column(32, 12, &length.to_le_bytes())),
        bad("bad-operation", "operation 14", Reason::Field, edit(0, 0, &[14])),
        bad("bad-explode-index", "index behind the plan", Reason::Field, edit(0, 0, &explode(TARGETS as u8 + 1, 0))),
        bad("bad-explode-count", "count with a third bit", Reason::Field, edit(0, 0, &explode(0, 4))),
        bad("bad-operation-zero", "operation 0", Reason::Field, edit(0, 0, &[0])),
        bad("bad-target", "target behind the plan", Reason::Field, edit(0, 4, &[TARGETS as u8])),
        bad("bad-unused", "removing with an argument", Reason::Field, edit(0, 20, &[1])),
        bad("bad-unused-place", "removing with a place", Reason::Field, edit(0, 2, &[1])),
        bad("bad-edit-reserved", "byte 3 of an edit is 1", Reason::Field, edit(0, 3, &[1])),
        bad("bad-where", "bitmap behind the end", Reason::Offset, edit(0, 8, &length.to_le_bytes())),
        bad("bad-constant-absent", "constant without a cell", Reason::Offset, edit(1, 12, &[0; 4])),
        bad(
            "bad-constant-missing",
            "constant that is missing",
            Reason::Tag,
            constant(0, &[255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ),
        bad("bad-values-short", "values that end behind the end", Reason::Offset, {
            let bytes = edit(1, 12, &(length - 16).to_le_bytes());
            let at = u32_at(&bytes, 36) + 24;
            patched(bytes, at, &[3])
        }),
        bad("bad-constant-number", "bytes of the header as a number", Reason::Offset, constant(8, &[0])),
        bad(
            "bad-copy-target",
            "copy to a target behind the plan",
            Reason::Field,
            edit(2, 0, &[5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4]),
        ),
        bad("bad-rename-name", "rename to a name that is none", Reason::Name, edit(2, 20, &[77])),
        bad("bad-retain-count", "more names than there are", Reason::Offset, edit(3, 16, &length.to_le_bytes())),
        bad("bad-place", "place 2", Reason::Field, edit(4, 2, &[2])),
    ]
}

/// A table with the schemas of a vector at their numbers.
#[allow(dead_code, reason = "only the test that reads the files needs it")]
pub(crate) fn table(vector: &Vector) -> SchemaTable {
    let mut table = SchemaTable::default();
    for (number, text) in &vector.schemas {
        let schema = Schema::from_json(text).expect("vectors have good schemas");
        assert_eq!(table.define(&schema).expect("there is room"), SchemaId(*number));
    }
    table
}
