//! The JSON form of batches, for plugins in languages whose JSON parser is native code.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{BatchReader, BatchWriter, Datum, Encoding};
use crate::malformed::{Malformed, Reason};
use crate::offset::compact;
use crate::schema::{SchemaId, SchemaTable};
use crate::value::{Coercion, DecimalFormat, JsonOptions, Value, write_json_string};

/// What a plugin sends is taken only as it fits: no value is changed silently.
const OPTIONS: JsonOptions =
    JsonOptions { decimal: DecimalFormat::Numeric, replace_null_with_default: true, coercion: Coercion::Strict };

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Record<'a> {
    #[serde(borrow, default)]
    topic: Option<Cow<'a, str>>,
    #[serde(default)]
    partition: Option<i32>,
    #[serde(default)]
    offset: Option<i64>,
    #[serde(default)]
    timestamp: Option<i64>,
    #[serde(borrow, default)]
    key: Option<&'a RawValue>,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
    /// Each `[name, value]` or `[name, value, schema]`.
    #[serde(borrow, default)]
    headers: Option<Vec<Vec<&'a RawValue>>>,
    #[serde(default)]
    key_schema: u32,
    #[serde(default)]
    value_schema: u32,
    #[serde(borrow, default)]
    source_partition: Option<&'a RawValue>,
    #[serde(borrow, default)]
    source_offset: Option<&'a RawValue>,
    #[serde(borrow, default)]
    original: Option<Original<'a>>,
    #[serde(default)]
    origin: Option<u32>,
    #[serde(default)]
    flags: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Original<'a> {
    #[serde(borrow)]
    topic: Cow<'a, str>,
    partition: i32,
    offset: i64,
}

/// The arena of a batch that a plugin sent as JSON; keys and values become nodes. The arena still has to be parsed, which
/// checks what JSON and arena have in common.
pub fn batch_from_json(text: &str, schemas: &SchemaTable) -> Result<Vec<u8>, Malformed> {
    read(text, schemas).map_err(|malformed| malformed.of("batch"))
}

fn read(text: &str, schemas: &SchemaTable) -> Result<Vec<u8>, Malformed> {
    let records: Vec<Record<'_>> = serde_json::from_str(text).map_err(|error| Malformed::new(Reason::Json, error))?;
    if records.len() > crate::arena::RECORDS_MAX {
        return Err(Malformed::new(Reason::Limit, format!("{} records", records.len())));
    }
    let mut batch = BatchWriter::new(Encoding::Tlv, Encoding::Tlv);
    for (index, record) in records.iter().enumerate() {
        add(&mut batch, record, schemas).map_err(|mut malformed| {
            malformed.detail = format!("record {index}: {}", malformed.detail);
            malformed
        })?;
    }
    batch.take()
}

fn add(batch: &mut BatchWriter, record: &Record<'_>, schemas: &SchemaTable) -> Result<(), Malformed> {
    let key = value_of(record.key, record.key_schema, schemas)?;
    let value = value_of(record.value, record.value_schema, schemas)?;
    let mut writer = batch.record();
    if let Some(topic) = &record.topic {
        writer.topic(topic);
    }
    if let Some(partition) = record.partition {
        writer.partition(partition);
    }
    if let Some(offset) = record.offset {
        writer.offset(offset);
    }
    if let Some(timestamp) = record.timestamp {
        writer.timestamp(timestamp);
    }
    if record.key_schema != 0 || key != Value::Null {
        writer.key_tree(SchemaId(record.key_schema), &key);
    }
    if record.value_schema != 0 || value != Value::Null {
        writer.value_tree(SchemaId(record.value_schema), &value);
    }
    for header in record.headers.iter().flatten() {
        let (name, value, schema) = match header.as_slice() {
            [name, value] => (name, value, 0),
            [name, value, schema] => (name, value, schema.get().parse().map_err(|_| not_a_header())?),
            _ => return Err(not_a_header()),
        };
        let name: Cow<'_, str> = serde_json::from_str(name.get()).map_err(|_| not_a_header())?;
        writer.header_tree(&name, SchemaId(schema), &value_of(Some(value), schema, schemas)?);
    }
    match (record.source_partition, record.source_offset) {
        (Some(partition), Some(offset)) => {
            writer.source(&compact(partition.get()), &compact(offset.get()));
        }
        (None, None) => {}
        _ => return Err(Malformed::new(Reason::Json, "sourcePartition and sourceOffset go together")),
    }
    if let Some(original) = &record.original {
        writer.original(&original.topic, original.partition, original.offset);
    }
    if let Some(origin) = record.origin {
        writer.origin(origin);
    }
    if record.flags != 0 {
        writer.flags(record.flags);
    }
    Ok(())
}

fn not_a_header() -> Malformed {
    Malformed::new(Reason::Json, "a header is [name, value] or [name, value, schema]")
}

fn value_of(raw: Option<&RawValue>, schema: u32, schemas: &SchemaTable) -> Result<Value, Malformed> {
    // A null key or value is a tombstone even where its schema has a default.
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else { return Ok(Value::Null) };
    let json = Value::from_json(raw.get()).map_err(|error| Malformed::new(Reason::Json, error))?;
    if schema == 0 {
        return Ok(json);
    }
    let schema = schemas
        .get(SchemaId(schema))
        .ok_or_else(|| Malformed::new(Reason::Schema, format!("schema {schema} was never defined")))?;
    json.to_typed(schema, &OPTIONS).map_err(|error| Malformed::new(Reason::Json, error))
}

/// The JSON form of a batch. An error: text without a schema, which may or may not be JSON, has no JSON form.
pub fn batch_to_json(batch: &BatchReader<'_>) -> Result<String, Malformed> {
    let mut out = Vec::with_capacity(batch.bytes.len());
    out.push(b'[');
    for record in 0..batch.len() {
        if record > 0 {
            out.push(b',');
        }
        write(batch, record, &mut out).map_err(|malformed| malformed.of("batch"))?;
    }
    out.push(b']');
    Ok(String::from_utf8(out).expect("JSON is written from strings"))
}

/// Writes the members of one object.
struct Object<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl Object<'_> {
    fn member(&mut self, name: &str) -> &mut Vec<u8> {
        self.out.push(if self.first { b'{' } else { b',' });
        self.first = false;
        write_json_string(name, self.out);
        self.out.push(b':');
        self.out
    }

    fn number(&mut self, name: &str, number: impl itoa::Integer) {
        self.member(name).extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }
}

fn write(batch: &BatchReader<'_>, record: usize, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut object = Object { out, first: true };
    if let Some(topic) = batch.topic(record) {
        write_json_string(topic, object.member("topic"));
    }
    if let Some(partition) = batch.partition(record) {
        object.number("partition", partition);
    }
    if let Some(offset) = batch.offset(record) {
        object.number("offset", offset);
    }
    if let Some(timestamp) = batch.timestamp(record) {
        object.number("timestamp", timestamp);
    }
    let (key, value) = (batch.key(record), batch.value(record));
    write_datum(batch, key, batch.key_encoding, object.member("key"))?;
    write_datum(batch, value, batch.value_encoding, object.member("value"))?;
    let headers = batch.headers(record);
    if headers.len() > 0 {
        let out = object.member("headers");
        for (i, header) in headers.enumerate() {
            out.extend_from_slice(if i == 0 { b"[[" } else { b",[" });
            write_json_string(header.name, out);
            out.push(b',');
            write_datum(batch, header.value, Encoding::Tlv, out)?;
            if header.value.schema != SchemaId::NONE {
                out.push(b',');
                out.extend_from_slice(itoa::Buffer::new().format(header.value.schema.0).as_bytes());
            }
            out.push(b']');
        }
        out.push(b']');
    }
    if key.schema != SchemaId::NONE {
        object.number("keySchema", key.schema.0);
    }
    if value.schema != SchemaId::NONE {
        object.number("valueSchema", value.schema.0);
    }
    if let (Some(partition), Some(offset)) = (batch.source_partition(record), batch.source_offset(record)) {
        object.member("sourcePartition").extend_from_slice(partition.as_bytes());
        object.member("sourceOffset").extend_from_slice(offset.as_bytes());
    }
    if let Some(original) = batch.original(record) {
        let mut inner = Object { out: object.member("original"), first: true };
        write_json_string(original.topic, inner.member("topic"));
        inner.number("partition", original.partition);
        inner.number("offset", original.offset);
        object.out.push(b'}');
    }
    if let Some(origin) = batch.origin(record) {
        object.number("origin", origin);
    }
    if batch.flags(record) != 0 {
        object.number("flags", batch.flags(record));
    }
    object.out.push(b'}');
    Ok(())
}

fn write_datum(
    batch: &BatchReader<'_>,
    datum: Datum<'_>,
    encoding: Encoding,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    if let (Encoding::Text, Some(_)) = (encoding, datum.bytes)
        && !datum.schema.is_string()
        && !datum.schema.is_bytes()
    {
        return Err(Malformed::new(Reason::Field, "encoding text has no JSON form"));
    }
    batch.tree(datum, encoding).write_json(out);
    Ok(())
}
