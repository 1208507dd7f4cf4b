//! What a reader finds in an arena, as JSON that loses nothing. `tests/vectors/batch/README.md` describes it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value as Json, json};
use tidegate_record::batch::Datum;
use tidegate_record::cell::Cell;
use tidegate_record::edits::{Bitmap, Place};
use tidegate_record::{BatchReader, ColumnsReader, Edit, EditsReader, Encoding, SchemaId, Value};

/// A value with its type.
pub(crate) fn value(value: &Value) -> Json {
    let members = |members: &tidegate_record::value::Members| -> Json {
        members.iter().map(|(name, item)| json!([name, self::value(item)])).collect()
    };
    match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => json!({ "boolean": value }),
        Value::Int8(value) => json!({ "int8": value }),
        Value::Int16(value) => json!({ "int16": value }),
        Value::Int32(value) => json!({ "int32": value }),
        Value::Int64(value) => json!({ "int64": value.to_string() }),
        Value::Float32(value) => json!({ "float32": float(f64::from(*value), serde_json::to_value(value)) }),
        Value::Float64(value) => json!({ "float64": float(*value, serde_json::to_value(value)) }),
        Value::String(text) => json!({ "string": text }),
        Value::Bytes(bytes) => json!({ "bytes": BASE64.encode(bytes) }),
        Value::Number(text) => json!({ "number": text }),
        Value::Array(items) => json!({ "array": items.iter().map(self::value).collect::<Vec<_>>() }),
        Value::Map(items) => json!({ "map": members(items) }),
        Value::Struct(items) => json!({ "struct": members(items) }),
        Value::Pairs(pairs) => {
            let pairs: Vec<_> = pairs.iter().map(|(key, item)| json!([self::value(key), self::value(item)])).collect();
            json!({ "pairs": pairs })
        }
        Value::Decimal(decimal) => {
            json!({ "decimal": { "unscaled": BASE64.encode(&decimal.unscaled), "scale": decimal.scale } })
        }
        Value::Date(days) => json!({ "date": days }),
        Value::Time(millis) => json!({ "time": millis }),
        Value::Timestamp(millis) => json!({ "timestamp": millis.to_string() }),
    }
}

fn float(value: f64, finite: Result<Json, serde_json::Error>) -> Json {
    match finite {
        Ok(number) if value.is_finite() => number,
        _ if value.is_nan() => json!("NaN"),
        _ if value > 0.0 => json!("Infinity"),
        _ => json!("-Infinity"),
    }
}

fn cell(cell: &Cell<'_>, names: &[&str]) -> Json {
    cell.to_value(names).map_or(json!("missing"), |tree| value(&tree))
}

fn encoding(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Raw => "raw",
        Encoding::Text => "text",
        Encoding::Tlv => "tlv",
    }
}

/// Null, or the value with its schema where there is one.
fn datum(datum: Datum<'_>, tree: &Value) -> Json {
    match (datum.schema, datum.bytes) {
        (SchemaId::NONE, None) => Json::Null,
        (SchemaId(schema), _) => json!({ "schema": schema, "value": value(tree) }),
    }
}

/// A batch.
pub(crate) fn batch(batch: &BatchReader<'_>) -> Json {
    let records: Vec<Json> = (0..batch.len())
        .map(|record| {
            let mut object = json!({});
            let mut member = |name: &str, value: Json| {
                if !value.is_null() {
                    object[name] = value;
                }
            };
            member("topic", json!(batch.topic(record)));
            member("partition", json!(batch.partition(record)));
            member("offset", json!(batch.offset(record).map(|offset| offset.to_string())));
            member("timestamp", json!(batch.timestamp(record).map(|timestamp| timestamp.to_string())));
            member("key", datum(batch.key(record), &batch.key_value(record)));
            member("value", datum(batch.value(record), &batch.value_value(record)));
            let headers: Vec<Json> = batch
                .headers(record)
                .map(|header| json!([header.name, datum(header.value, &batch.header_value(&header))]))
                .collect();
            member("headers", if headers.is_empty() { Json::Null } else { json!(headers) });
            member("sourcePartition", json!(batch.source_partition(record)));
            member("sourceOffset", json!(batch.source_offset(record)));
            member("origin", json!(batch.origin(record)));
            if let Some(original) = batch.original(record) {
                let (topic, partition) = (original.topic, original.partition);
                member(
                    "original",
                    json!({ "topic": topic, "partition": partition, "offset": original.offset.to_string() }),
                );
            }
            member("flags", if batch.flags(record) == 0 { Json::Null } else { json!(batch.flags(record)) });
            object
        })
        .collect();
    json!({
        "keys": encoding(batch.key_encoding()),
        "values": encoding(batch.value_encoding()),
        "records": records,
    })
}

/// Columns.
pub(crate) fn columns(columns: &ColumnsReader<'_>) -> Json {
    let cells: Vec<Vec<Json>> = (0..columns.columns())
        .map(|column| {
            (0..columns.records()).map(|record| cell(&columns.cell(column, record), columns.names())).collect()
        })
        .collect();
    let flags: Vec<u8> = (0..columns.records()).map(|record| columns.flags(record)).collect();
    let mut json = json!({ "count": columns.records(), "columns": cells, "flags": flags });
    let defaults = |column: usize| -> Vec<Json> {
        let default = |record: usize| columns.default(column, record).to_value(columns.names());
        (0..columns.records()).filter_map(|record| Some(json!([record, value(&default(record)?)]))).collect()
    };
    let defaults: Vec<Vec<Json>> = (0..columns.columns()).map(defaults).collect();
    if defaults.iter().any(|column| !column.is_empty()) {
        json["defaults"] = json!(defaults);
    }
    json
}

fn bits(bitmap: Option<Bitmap<'_>>) -> Json {
    bitmap.map_or(Json::Null, |bitmap| json!(bitmap.iter().collect::<Vec<_>>()))
}

fn place(place: Place) -> &'static str {
    match place {
        Place::Value => "value",
        Place::Key => "key",
    }
}

/// Edits.
pub(crate) fn edits(edits: &EditsReader<'_>) -> Json {
    let names = edits.names();
    let shown: Vec<Json> = edits
        .edits()
        .iter()
        .map(|scoped| {
            let mut object = match &scoped.edit {
                Edit::Remove { target } => json!({ "op": "remove", "target": target }),
                Edit::SetConstant { target, cell: constant, .. } => {
                    json!({ "op": "set constant", "target": target, "cell": cell(constant, names) })
                }
                Edit::SetValues { target, cells, .. } => {
                    let cells: Vec<Json> = cells.iter().map(|item| cell(&item, names)).collect();
                    json!({ "op": "set values", "target": target, "cells": cells })
                }
                Edit::Rename { target, name } => json!({ "op": "rename", "target": target, "name": name }),
                Edit::Copy { target, to, .. } => json!({ "op": "copy", "target": target, "to": to }),
                Edit::Move { target, to, .. } => json!({ "op": "move", "target": target, "to": to }),
                Edit::Retain { place: at, names } => json!({ "op": "retain", "place": place(*at), "names": names }),
                Edit::Flatten { place: at, delimiter, .. } => {
                    json!({ "op": "flatten", "place": place(*at), "delimiter": delimiter })
                }
                Edit::Hoist { place: at, field } => json!({ "op": "hoist", "place": place(*at), "field": field }),
                Edit::Extract { target, .. } => json!({ "op": "extract", "target": target }),
                Edit::Defaults { place: at } => json!({ "op": "defaults", "place": place(*at) }),
                Edit::Collect { place: at, targets, .. } => {
                    let (targets, names): (Vec<usize>, Vec<&str>) = targets.iter().copied().unzip();
                    json!({ "op": "collect", "place": place(*at), "targets": targets, "names": names })
                }
                Edit::Explode { target, index, keeps_empty, takes_whole, max } => {
                    let max = Some(max).filter(|max| **max != usize::MAX);
                    json!({
                        "op": "explode", "target": target, "index": index, "keep-empty": keeps_empty,
                        "whole": takes_whole, "max": max,
                    })
                }
            };
            match &scoped.edit {
                Edit::SetConstant { schema: Some(schema), .. } | Edit::SetValues { schema: Some(schema), .. } => {
                    object["schema"] = json!(schema);
                }
                Edit::Copy { defaults: true, .. }
                | Edit::Move { defaults: true, .. }
                | Edit::Flatten { defaults: true, .. }
                | Edit::Extract { defaults: true, .. }
                | Edit::Collect { defaults: true, .. } => object["defaults"] = json!(true),
                _ => {}
            }
            if scoped.records.is_some() {
                object["where"] = bits(scoped.records);
            }
            object
        })
        .collect();
    let failures: Vec<Json> =
        edits.failures().iter().map(|failure| json!([failure.record, failure.kind as u32, failure.message])).collect();
    json!({ "count": edits.records(), "keep": bits(edits.keep()), "failures": failures, "edits": shown })
}
