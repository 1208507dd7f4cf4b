//! The SDK's codec against the vectors that every implementation reads (`tests/vectors/batch`).

use super::edits::{Action, EditsReader};
use crate::batch::{RecordRef, SinkBatch};
use crate::edits::Bitmap;
use crate::{Columns, Malformed, Place, SchemaId, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/batch"))
}

/// Reads every vector of a kind; compares what is found with what the vector says.
fn check(kind: &str, read: impl Fn(&[u8], &Json) -> Result<Json, Malformed>) {
    let mut wrong = Vec::new();
    let (mut good, mut bad) = (0, 0);
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let mut json = serde_json::Deserializer::from_str(&text);
        json.disable_recursion_limit();
        let vector = Json::deserialize(&mut json).unwrap();
        if vector["kind"] != kind {
            continue;
        }
        let arena = std::fs::read(path.with_extension("bin")).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        match (read(&arena, &vector), vector.get("malformed")) {
            (Err(_), Some(_)) => bad += 1,
            (Ok(found), None) if found == vector["content"] => good += 1,
            (Ok(_), Some(class)) => wrong.push(format!("{name} is accepted, but malformed: {class}")),
            (Ok(found), None) => wrong.push(format!("{name}\n  expected {}\n  found    {found}", vector["content"])),
            (Err(error), None) => wrong.push(format!("{name} is refused: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(good > 0 && bad > 0, "{good} good and {bad} bad vectors of kind {kind}");
}

#[test]
fn batches_are_read_as_the_vectors_say() {
    check("batch", |arena, _| {
        let batch = SinkBatch::read(arena)?;
        let encoding = |at: usize| ["raw", "text", "tlv"][usize::from(arena[at])];
        let records = batch.records().map(|record| record_json(&record)).collect::<Result<Vec<_>, _>>()?;
        Ok(json!({ "keys": encoding(6), "values": encoding(7), "records": records }))
    });
}

fn record_json(record: &RecordRef<'_, '_>) -> Result<Json, Malformed> {
    let mut json = Map::new();
    let mut put = |member: &str, value: Json| {
        if !value.is_null() {
            json.insert(member.to_owned(), value);
        }
    };
    let with_schema = |schema: SchemaId, value: Value| match (schema, value) {
        (SchemaId::NONE, Value::Null) => Json::Null,
        (schema, value) => json!({ "schema": schema.0, "value": value_json(&value) }),
    };
    put("topic", json!(record.topic()));
    put("partition", json!(record.partition()));
    put("offset", json!(record.offset().map(|offset| offset.to_string())));
    put("timestamp", json!(record.timestamp().map(|timestamp| timestamp.to_string())));
    put("key", with_schema(record.key_schema(), record.key()?));
    put("value", with_schema(record.value_schema(), record.value()?));
    let headers = record.headers()?.into_iter();
    let headers: Vec<Json> =
        headers.map(|header| json!([header.name, with_schema(header.schema, header.value)])).collect();
    if !headers.is_empty() {
        put("headers", json!(headers));
    }
    let (source_partition, source_offset) = record.source();
    put("sourcePartition", json!(source_partition));
    put("sourceOffset", json!(source_offset));
    put("origin", json!(record.origin()));
    if let Some((topic, partition, offset)) = record.moved_from() {
        put("original", json!({ "topic": topic, "partition": partition, "offset": offset.to_string() }));
    }
    if record.flags() != 0 {
        put("flags", json!(record.flags()));
    }
    Ok(Json::Object(json))
}

#[test]
fn columns_are_read_as_the_vectors_say() {
    check("columns", |arena, _| {
        let columns = Columns::read(arena)?;
        let cell = |column: usize, record: usize| Ok(cell_json(columns.value(column, record)?.as_ref()));
        let column = |column: usize| (0..columns.len()).map(|record| cell(column, record)).collect::<Result<Json, _>>();
        let cells = (0..columns.column_count()).map(column).collect::<Result<Json, Malformed>>()?;
        let flags = columns.all_flags().map(<[u8]>::to_vec).unwrap_or_else(|| vec![0; columns.len()]);
        let mut json = json!({ "count": columns.len(), "columns": cells, "flags": flags });
        let default = |column: usize, record: usize| {
            Ok(columns.default(column, record)?.map(|default| json!([record, value_json(&default)])))
        };
        let defaults = |column: usize| {
            (0..columns.len()).filter_map(|record| default(column, record).transpose()).collect::<Result<Json, _>>()
        };
        let defaults = (0..columns.column_count()).map(defaults).collect::<Result<Vec<_>, Malformed>>()?;
        if defaults.iter().any(|column| column != &json!([])) {
            json["defaults"] = json!(defaults);
        }
        Ok(json)
    });
}

#[test]
fn edits_are_read_as_the_vectors_say() {
    check("edits", |arena, vector| {
        let number = |member: &str| vector[member].as_u64().map(|number| number as usize);
        let count = number("records").unwrap();
        let edits = EditsReader::read(arena, count, number("targets").unwrap())?;
        let failure =
            |(record, kind, message): &(usize, crate::FailureKind, String)| json!([record, *kind as u8, message]);
        Ok(json!({
            "count": count,
            "keep": edits.keep.as_ref().map(indices),
            "failures": edits.failures.iter().map(failure).collect::<Vec<_>>(),
            "edits": edits.edits.iter().map(edit_json).collect::<Vec<_>>(),
        }))
    });
}

fn indices(bitmap: &Bitmap) -> Json {
    (0..bitmap.len()).filter(|&record| bitmap.get(record)).collect()
}

fn edit_json((condition, action): &(Option<Bitmap>, Action)) -> Json {
    let place = |place: &Place| if *place == Place::Key { "key" } else { "value" };
    let mut json = match action {
        Action::Remove(target) => json!({ "op": "remove", "target": target }),
        Action::Set(target, value, schema) => {
            with_schema(json!({ "op": "set constant", "target": target, "cell": value_json(value) }), schema)
        }
        Action::SetEach(target, values, schema) => {
            let cells: Json = values.iter().map(|value| cell_json(value.as_ref())).collect();
            with_schema(json!({ "op": "set values", "target": target, "cells": cells }), schema)
        }
        Action::Rename(target, name) => json!({ "op": "rename", "target": target, "name": name }),
        Action::Copy { from, to, and_remove, defaults } => {
            let operation = if *and_remove { "move" } else { "copy" };
            with_defaults(json!({ "op": operation, "target": from, "to": to }), *defaults)
        }
        Action::Retain(at, names) => json!({ "op": "retain", "place": place(at), "names": names }),
        Action::Flatten { place: at, delimiter, defaults } => {
            with_defaults(json!({ "op": "flatten", "place": place(at), "delimiter": delimiter }), *defaults)
        }
        Action::Hoist(at, field) => json!({ "op": "hoist", "place": place(at), "field": field }),
        Action::Extract { target, defaults } => with_defaults(json!({ "op": "extract", "target": target }), *defaults),
        Action::Defaults(at) => json!({ "op": "defaults", "place": place(at) }),
        Action::Collect { place: at, targets, defaults } => {
            let (targets, names): (Vec<_>, Vec<_>) = targets.iter().cloned().unzip();
            let collect = json!({ "op": "collect", "place": place(at), "targets": targets, "names": names });
            with_defaults(collect, *defaults)
        }
        Action::Explode { target, explode } => {
            let max = Some(explode.records_max).filter(|max| *max > 0);
            json!({
                "op": "explode", "target": target, "index": explode.index, "keep-empty": explode.keeps_empty,
                "whole": explode.takes_whole, "max": max,
            })
        }
    };
    if let Some(condition) = condition {
        json["where"] = indices(condition);
    }
    json
}

fn with_schema(mut edit: Json, schema: &Option<String>) -> Json {
    if let Some(schema) = schema {
        edit["schema"] = json!(schema);
    }
    edit
}

fn with_defaults(mut edit: Json, defaults: bool) -> Json {
    if defaults {
        edit["defaults"] = json!(true);
    }
    edit
}

fn cell_json(value: Option<&Value>) -> Json {
    value.map_or(json!("missing"), value_json)
}

/// The tagged form of the vectors.
fn value_json(value: &Value) -> Json {
    let float = |number: f64| match number {
        number if number.is_nan() => json!("NaN"),
        f64::INFINITY => json!("Infinity"),
        f64::NEG_INFINITY => json!("-Infinity"),
        number => json!(number),
    };
    let fields = |fields: &[(String, Value)]| -> Json {
        fields.iter().map(|(name, value)| json!([name, value_json(value)])).collect()
    };
    match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => json!({ "boolean": value }),
        Value::Int8(number) => json!({ "int8": number }),
        Value::Int16(number) => json!({ "int16": number }),
        Value::Int32(number) => json!({ "int32": number }),
        Value::Int64(number) => json!({ "int64": number.to_string() }),
        Value::Float32(number) => json!({ "float32": float((*number).into()) }),
        Value::Float64(number) => json!({ "float64": float(*number) }),
        Value::String(text) => json!({ "string": text }),
        Value::Bytes(bytes) => json!({ "bytes": BASE64.encode(bytes) }),
        Value::Number(text) => json!({ "number": text }),
        Value::Array(items) => json!({ "array": items.iter().map(value_json).collect::<Vec<_>>() }),
        Value::Map(members) => json!({ "map": fields(members) }),
        Value::Struct(members) => json!({ "struct": fields(members) }),
        Value::KeyedMap(pairs) => {
            let pairs: Json = pairs.iter().map(|(key, value)| json!([value_json(key), value_json(value)])).collect();
            json!({ "pairs": pairs })
        }
        Value::Decimal { scale, unscaled } => {
            json!({ "decimal": { "unscaled": BASE64.encode(unscaled), "scale": scale } })
        }
        Value::Date(days) => json!({ "date": days }),
        Value::Time(time) => json!({ "time": time }),
        Value::Timestamp(time) => json!({ "timestamp": time.to_string() }),
    }
}
