//! The JSON form of batches (`wit/BATCH.md`, "As JSON"), in both directions.

use super::TestRecord;
use crate::batch::{Header, Record, SinkBatch, SourceBatch};
use crate::{Result, Schema, SchemaId, Type, Value, host, logical};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Number, Value as Json, json};

pub(super) fn parse_records(text: &str) -> Result<Vec<TestRecord>, String> {
    let json: Json = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    let Json::Array(records) = json else { return Err("records are an array".to_owned()) };
    records.iter().map(parse_record).collect()
}

fn parse_record(json: &Json) -> Result<TestRecord, String> {
    let schema = |json: Option<&Json>| match json {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Number(number)) => {
            let id = number.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or("a schema number")?;
            Ok::<_, String>(host::schema(SchemaId(id)))
        }
        Some(json) => Schema::from_json(json).map(Some),
    };
    let (key_schema, value_schema) = (schema(json.get("keySchema"))?, schema(json.get("valueSchema"))?);
    let part = |member: &str, schema: &Option<Schema>| match json.get(member) {
        None => Ok(Value::Null),
        Some(json) => value_of(json, schema.as_ref()),
    };
    let headers = match json.get("headers").and_then(Json::as_array) {
        None => Vec::new(),
        Some(headers) => headers
            .iter()
            .map(|header| {
                let name = header.get(0).and_then(Json::as_str).ok_or("a header is [name, value, schema]")?;
                let schema = schema(header.get(2))?;
                let value = value_of(header.get(1).unwrap_or(&Json::Null), schema.as_ref())?;
                Ok::<_, String>((name.to_owned(), schema, value))
            })
            .collect::<Result<_, _>>()?,
    };
    let number = |member: &str| json.get(member).and_then(Json::as_i64);
    let object = |member: &str| json.get(member).filter(|json| !json.is_null()).map(Json::to_string);
    Ok(TestRecord {
        topic: json.get("topic").and_then(Json::as_str).unwrap_or_default().to_owned(),
        partition: number("partition").and_then(|partition| i32::try_from(partition).ok()),
        offset: number("offset"),
        timestamp: number("timestamp"),
        key: part("key", &key_schema)?,
        key_schema,
        value: part("value", &value_schema)?,
        value_schema,
        headers,
        source_partition: object("sourcePartition"),
        source_offset: object("sourceOffset"),
    })
}

/// A value from its JSON; by its schema, or as a value that describes itself.
pub(super) fn value_of(json: &Json, schema: Option<&Schema>) -> Result<Value, String> {
    let Some(schema) = schema else { return Ok(plain_value(json)) };
    let mismatch = || format!("{json} does not fit a schema of type {:?}", schema.of_type);
    let whole = || json.as_i64().ok_or_else(mismatch);
    if json.is_null() {
        return Ok(Value::Null);
    }
    Ok(match schema.of_type {
        Type::Boolean => Value::Boolean(json.as_bool().ok_or_else(mismatch)?),
        Type::Int8 => Value::Int8(whole()?.try_into().map_err(|_| mismatch())?),
        Type::Int16 => Value::Int16(whole()?.try_into().map_err(|_| mismatch())?),
        Type::Int32 => {
            let number = whole()?.try_into().map_err(|_| mismatch())?;
            match schema.name.as_deref() {
                Some(logical::DATE) => Value::Date(number),
                Some(logical::TIME) => Value::Time(number),
                _ => Value::Int32(number),
            }
        }
        Type::Int64 if schema.is_named(logical::TIMESTAMP) => Value::Timestamp(whole()?),
        Type::Int64 => Value::Int64(whole()?),
        Type::Float32 => Value::Float32(float_of(json).ok_or_else(mismatch)? as f32),
        Type::Float64 => Value::Float64(float_of(json).ok_or_else(mismatch)?),
        Type::String => Value::String(json.as_str().ok_or_else(mismatch)?.to_owned()),
        Type::Bytes => {
            let bytes = json.as_str().and_then(|text| BASE64.decode(text).ok()).ok_or_else(mismatch)?;
            match schema.is_named(logical::DECIMAL) {
                true => {
                    let scale = schema.parameters.get("scale").and_then(Json::as_str);
                    let scale = scale.and_then(|scale| scale.parse().ok()).ok_or_else(mismatch)?;
                    Value::Decimal { scale, unscaled: bytes }
                }
                false => Value::Bytes(bytes),
            }
        }
        Type::Array => {
            let items = json.as_array().ok_or_else(mismatch)?;
            Value::Array(items.iter().map(|item| value_of(item, schema.items.as_deref())).collect::<Result<_, _>>()?)
        }
        Type::Map => {
            let members = json.as_object().ok_or_else(mismatch)?;
            let member = |(name, json): (&String, &Json)| Ok((name.clone(), value_of(json, schema.values.as_deref())?));
            Value::Map(members.iter().map(member).collect::<Result<_, String>>()?)
        }
        Type::Struct => {
            let members = json.as_object().ok_or_else(mismatch)?;
            let mut fields = Vec::new();
            for field in &schema.fields {
                if let Some(json) = members.get(&field.name) {
                    fields.push((field.name.clone(), value_of(json, Some(&field.schema))?));
                }
            }
            Value::Struct(fields)
        }
    })
}

/// A JSON number, or one of the texts for what JSON has no number for.
fn float_of(json: &Json) -> Option<f64> {
    match json.as_str() {
        Some("NaN") => Some(f64::NAN),
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        Some(_) => None,
        None => json.as_f64(),
    }
}

fn plain_value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Boolean(*value),
        Json::Number(number) => Value::Number(number.to_string()),
        Json::String(text) => Value::String(text.clone()),
        Json::Array(items) => Value::Array(items.iter().map(plain_value).collect()),
        Json::Object(members) => {
            Value::Map(members.iter().map(|(name, json)| (name.clone(), plain_value(json))).collect())
        }
    }
}

/// The JSON of a value.
pub(crate) fn json_of(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => json!(value),
        Value::Int8(value) => json!(value),
        Value::Int16(value) => json!(value),
        Value::Int32(value) | Value::Date(value) | Value::Time(value) => json!(value),
        Value::Int64(value) | Value::Timestamp(value) => json!(value),
        Value::Float32(value) => json!(value),
        Value::Float64(value) => json!(value),
        Value::String(text) => json!(text),
        Value::Bytes(bytes) => json!(BASE64.encode(bytes)),
        Value::Number(text) => text.parse::<Number>().map_or(Json::Null, Json::Number),
        Value::Array(items) => items.iter().map(json_of).collect(),
        Value::Map(fields) | Value::Struct(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), json_of(value))).collect::<Map<_, _>>().into()
        }
        Value::KeyedMap(pairs) => {
            pairs.iter().map(|(key, value)| json!([json_of(key), json_of(value)])).collect::<Vec<_>>().into()
        }
        Value::Decimal { scale, unscaled } => decimal(*scale, unscaled),
    }
}

/// A decimal as a number, as far as 128 bits and a JSON number reach.
fn decimal(scale: i32, unscaled: &[u8]) -> Json {
    let sign = if unscaled.first().is_some_and(|byte| byte & 0x80 != 0) { -1_i128 } else { 0 };
    let number = unscaled.iter().fold(sign, |number, &byte| (number << 8) | i128::from(byte));
    format!("{number}e{}", -i64::from(scale)).parse::<Number>().map_or(Json::Null, Json::Number)
}

pub(super) fn write_records(records: &[TestRecord]) -> String {
    let records: Vec<Json> = records.iter().map(write_record).collect();
    Json::Array(records).to_string()
}

fn write_record(record: &TestRecord) -> Json {
    let mut json = Map::new();
    let mut put = |member: &str, value: Json| {
        if !value.is_null() {
            json.insert(member.to_owned(), value);
        }
    };
    let schema = |schema: &Option<Schema>| schema.as_ref().map_or(Json::Null, schema_json);
    let object = |text: &Option<String>| text.as_deref().map_or(Json::Null, |text| json!(raw_or_text(text)));
    put("topic", json!(record.topic));
    put("partition", json!(record.partition));
    put("offset", json!(record.offset));
    put("timestamp", json!(record.timestamp));
    put("keySchema", schema(&record.key_schema));
    put("key", json_of(&record.key));
    put("valueSchema", schema(&record.value_schema));
    put("value", json_of(&record.value));
    if !record.headers.is_empty() {
        let header = |(name, schema, value): &(String, Option<Schema>, Value)| match schema {
            None => json!([name, json_of(value)]),
            Some(schema) => json!([name, json_of(value), schema_json(schema)]),
        };
        put("headers", record.headers.iter().map(header).collect());
    }
    put("sourcePartition", object(&record.source_partition));
    put("sourceOffset", object(&record.source_offset));
    Json::Object(json)
}

/// The number of a predefined schema, the JSON of another.
fn schema_json(schema: &Schema) -> Json {
    match (1..=25).map(SchemaId).find(|id| id.predefined().as_ref() == Some(schema)) {
        Some(id) => json!(id.0),
        None => schema.to_json(),
    }
}

fn raw_or_text(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|_| json!(text))
}

pub(super) fn read_batch(batch: &SinkBatch<'_>) -> Result<Vec<TestRecord>> {
    batch
        .records()
        .map(|record| {
            let headers = record.headers()?.into_iter();
            let (source_partition, source_offset) = record.source();
            Ok(TestRecord {
                topic: record.topic().to_owned(),
                partition: record.partition(),
                offset: record.offset(),
                timestamp: record.timestamp(),
                key_schema: host::schema(record.key_schema()),
                key: record.key()?,
                value_schema: host::schema(record.value_schema()),
                value: record.value()?,
                headers: headers.map(|header| (header.name, host::schema(header.schema), header.value)).collect(),
                source_partition: source_partition.map(str::to_owned),
                source_offset: source_offset.map(str::to_owned),
            })
        })
        .collect()
}

pub(super) fn write_batch(batch: &mut SourceBatch, records: &[TestRecord]) -> Result<()> {
    for record in records {
        let headers = record
            .headers
            .iter()
            .map(|(name, schema, value)| {
                Ok(Header { name: name.clone(), schema: id_of(schema.as_ref())?, value: value.clone() })
            })
            .collect::<Result<_>>()?;
        batch.push(&Record {
            topic: record.topic.clone(),
            partition: record.partition,
            timestamp: record.timestamp,
            key_schema: id_of(record.key_schema.as_ref())?,
            key: record.key.clone(),
            value_schema: id_of(record.value_schema.as_ref())?,
            value: record.value.clone(),
            headers,
            source_partition: record.source_partition.clone(),
            source_offset: record.source_offset.clone(),
        })?;
        batch.set_offset(record.offset.unwrap_or(-1));
    }
    Ok(())
}

fn id_of(schema: Option<&Schema>) -> Result<SchemaId> {
    let Some(schema) = schema else { return Ok(SchemaId::NONE) };
    match (1..=25).map(SchemaId).find(|id| id.predefined().as_ref() == Some(schema)) {
        Some(id) => Ok(id),
        None => host::define_schema(schema),
    }
}
