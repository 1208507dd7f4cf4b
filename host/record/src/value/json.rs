//! Values and JSON text, as Connect's JsonConverter reads and writes them.
//!
//! Reading is in two steps: text to a tree without schema, whose numbers keep their text, then that tree to the types of
//! a schema. Writing with a schema checks that the value fits it.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD as BASE64};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{DAY_MILLIS, DataError, Members, Value};
use crate::decimal::Decimal;
use crate::number::{is_integral, truncated_i64, wrapping_i64};
use crate::schema::{Kind, Logical, Schema};
use crate::tlv::NESTING_MAX;

/// How decimals are written; both are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DecimalFormat {
    /// A base64 string of the unscaled bytes.
    #[default]
    Base64,
    /// A number.
    Numeric,
}

/// What happens where JSON and schema disagree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coercion {
    /// As Connect: integers keep their low bits, other things become 0, false or null.
    #[default]
    Connect,
    /// Only what fits without loss; anything else is an error.
    Strict,
}

/// The options of a JsonConverter that concern values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonOptions {
    /// `decimal.format`.
    pub decimal: DecimalFormat,
    /// `replace.null.with.default`.
    pub replace_null_with_default: bool,
    /// Connect's leniency or none.
    pub coercion: Coercion,
}

impl Default for JsonOptions {
    fn default() -> JsonOptions {
        JsonOptions { decimal: DecimalFormat::Base64, replace_null_with_default: true, coercion: Coercion::Connect }
    }
}

/// What JSON calls a value, in Jackson's words.
fn node_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "NULL",
        Value::Boolean(_) => "BOOLEAN",
        Value::String(_) => "STRING",
        Value::Array(_) | Value::Pairs(_) => "ARRAY",
        Value::Map(_) | Value::Struct(_) => "OBJECT",
        Value::Bytes(_) => "BINARY",
        _ => "NUMBER",
    }
}

impl Value {
    /// Reads JSON without a schema: objects become maps, numbers keep their text, of two members with one name the last
    /// counts.
    pub fn from_json(text: &str) -> Result<Value, DataError> {
        let raw: &RawValue = serde_json::from_str(text).map_err(not_json)?;
        tree(raw, 1)
    }

    /// Takes a tree that was read without schema for a value of `schema`.
    pub fn to_typed(&self, schema: &Schema, options: &JsonOptions) -> Result<Value, DataError> {
        typed(self, schema, options)
    }

    /// Reads JSON as a value of a schema.
    pub fn from_json_with(text: &str, schema: &Schema, options: &JsonOptions) -> Result<Value, DataError> {
        Value::from_json(text)?.to_typed(schema, options)
    }

    /// Writes any value without asking a schema: decimals and dates are numbers, bytes are base64, maps with keys that are
    /// not strings are arrays of pairs. Infinities and NaN are strings, as Jackson writes them.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        write_plain(self, out);
    }

    /// As [`Value::write_json`].
    pub fn to_json(&self) -> String {
        let mut out = Vec::new();
        self.write_json(&mut out);
        into_text(out)
    }

    /// Writes as Connect's JsonConverter, with or without a schema.
    ///
    /// Without, decimals and dates are errors, as in Connect. After an error `out` may hold part of the value.
    pub fn write_connect_json(
        &self,
        schema: Option<&Schema>,
        options: &JsonOptions,
        out: &mut Vec<u8>,
    ) -> Result<(), DataError> {
        match schema {
            Some(schema) => write_typed(self, schema, options, out),
            None => write_schemaless(self, out),
        }
    }

    /// As [`Value::write_connect_json`].
    pub fn to_connect_json(&self, schema: Option<&Schema>, options: &JsonOptions) -> Result<String, DataError> {
        let mut out = Vec::new();
        self.write_connect_json(schema, options, &mut out)?;
        Ok(into_text(out))
    }
}

fn into_text(out: Vec<u8>) -> String {
    String::from_utf8(out).expect("JSON is written from strings")
}

fn not_json(error: serde_json::Error) -> DataError {
    DataError::new(format!("invalid JSON: {error}"))
}

/// An object whose members are still text.
struct RawMembers<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for RawMembers<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = RawMembers<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(RawMembers(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

fn tree(raw: &RawValue, depth: usize) -> Result<Value, DataError> {
    if depth > NESTING_MAX {
        return Err(DataError::new(format!("JSON is nested more than {NESTING_MAX} levels deep")));
    }
    let text = raw.get();
    Ok(match text.as_bytes().first() {
        Some(b'{') => {
            let RawMembers(members) = serde_json::from_str(text).map_err(not_json)?;
            Value::Map(
                members
                    .into_iter()
                    .map(|(name, raw)| Ok((name, tree(raw, depth + 1)?)))
                    .collect::<Result<Members, DataError>>()?,
            )
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(not_json)?;
            Value::Array(items.into_iter().map(|raw| tree(raw, depth + 1)).collect::<Result<_, _>>()?)
        }
        Some(b'"') => Value::String(serde_json::from_str(text).map_err(not_json)?),
        Some(b't') => Value::Boolean(true),
        Some(b'f') => Value::Boolean(false),
        Some(b'n') => Value::Null,
        _ => Value::Number(text.to_owned()),
    })
}

/// The integer that Java's `JsonNode.longValue` gives: fractions are cut off, what is no number is 0.
fn java_long(value: &Value) -> i64 {
    match value {
        Value::Number(text) => truncated_i64(text),
        _ => 0,
    }
}

fn java_double(value: &Value) -> f64 {
    match value {
        Value::Number(text) => text.parse().unwrap_or(0.0),
        _ => 0.0,
    }
}

fn misfit(value: &Value, schema: &Schema) -> DataError {
    let shown: String = value.to_json().chars().take(80).collect();
    DataError::new(format!("{shown} does not fit the schema type {}", schema.kind.connect_name()))
}

/// An integer of the schema's width: its low bits, or nothing but itself.
fn integer<T: TryFrom<i64>>(
    value: &Value,
    schema: &Schema,
    options: &JsonOptions,
    narrow: fn(i64) -> T,
) -> Result<T, DataError> {
    match (options.coercion, value) {
        (Coercion::Connect, _) => Ok(narrow(java_long(value))),
        (Coercion::Strict, Value::Number(text)) => {
            exact_i64(text).and_then(|wide| T::try_from(wide).ok()).ok_or_else(|| misfit(value, schema))
        }
        (Coercion::Strict, _) => Err(misfit(value, schema)),
    }
}

/// The integer that a number is, if it is one of 64 bits. `58.0` is one: some languages have no other numbers.
fn exact_i64(text: &str) -> Option<i64> {
    if is_integral(text) {
        return text.parse().ok();
    }
    let double: f64 = text.parse().ok()?;
    // Beyond 2^53 a double with a fraction or exponent no longer says which integer is meant.
    (double.fract() == 0.0 && double.abs() <= 9_007_199_254_740_992.0).then_some(double as i64)
}

fn typed(value: &Value, schema: &Schema, options: &JsonOptions) -> Result<Value, DataError> {
    let strict = options.coercion == Coercion::Strict;
    if *value == Value::Null {
        if let Some(default) = &schema.default
            && options.replace_null_with_default
        {
            return Ok(default.clone());
        }
        if schema.optional {
            return Ok(Value::Null);
        }
        return Err(DataError::new(format!("Invalid null value for required {} field", schema.kind.connect_name())));
    }
    if let Some(logical) = schema.logical() {
        return typed_logical(value, schema, logical, options);
    }
    Ok(match &schema.kind {
        Kind::Boolean => match value {
            Value::Boolean(value) => Value::Boolean(*value),
            _ if strict => return Err(misfit(value, schema)),
            _ => Value::Boolean(false),
        },
        Kind::Int8 => Value::Int8(integer(value, schema, options, |wide| wide as i8)?),
        Kind::Int16 => Value::Int16(integer(value, schema, options, |wide| wide as i16)?),
        Kind::Int32 => Value::Int32(integer(value, schema, options, |wide| wide as i32)?),
        Kind::Int64 => Value::Int64(integer(value, schema, options, |wide| wide)?),
        Kind::Float32 => match non_finite(value) {
            Some(double) if strict => Value::Float32(double as f32),
            _ if strict && !matches!(value, Value::Number(_)) => return Err(misfit(value, schema)),
            _ => Value::Float32(match value {
                Value::Number(text) => text.parse().unwrap_or(0.0),
                _ => 0.0,
            }),
        },
        Kind::Float64 => match non_finite(value) {
            Some(double) if strict => Value::Float64(double),
            _ if strict && !matches!(value, Value::Number(_)) => return Err(misfit(value, schema)),
            _ => Value::Float64(java_double(value)),
        },
        Kind::String => match value {
            Value::String(text) => Value::String(text.clone()),
            _ if strict => return Err(misfit(value, schema)),
            _ => Value::Null,
        },
        Kind::Bytes => match value {
            Value::String(text) => {
                Value::Bytes(base64_bytes(text).ok_or_else(|| DataError::new("Invalid bytes field"))?)
            }
            _ if strict => return Err(misfit(value, schema)),
            _ => Value::Null,
        },
        Kind::Array(items) => match value {
            Value::Array(values) => {
                Value::Array(values.iter().map(|value| typed(value, items, options)).collect::<Result<Vec<_>, _>>()?)
            }
            // Connect iterates over whatever it finds, which for an object are its values.
            Value::Map(members) if !strict => Value::Array(
                members.iter().map(|(_, value)| typed(value, items, options)).collect::<Result<Vec<_>, _>>()?,
            ),
            _ if strict => return Err(misfit(value, schema)),
            _ => Value::Array(Vec::new()),
        },
        Kind::Map(keys, values) if keys.kind == Kind::String => {
            let Value::Map(members) = value else {
                return Err(DataError::new(format!(
                    "Maps with string fields should be encoded as JSON objects, but found {}",
                    node_type(value)
                )));
            };
            Value::Map(
                members
                    .iter()
                    .map(|(name, value)| Ok((name.to_owned(), typed(value, values, options)?)))
                    .collect::<Result<Members, DataError>>()?,
            )
        }
        Kind::Map(keys, values) => {
            let Value::Array(entries) = value else {
                return Err(DataError::new(format!(
                    "Maps with non-string fields should be encoded as JSON array of tuples, but found {}",
                    node_type(value)
                )));
            };
            let entry = |entry: &Value| match entry {
                Value::Array(pair) => match pair.as_slice() {
                    [key, value] => Ok((typed(key, keys, options)?, typed(value, values, options)?)),
                    _ => Err(DataError::new(format!(
                        "Found invalid map entry, expected length 2 but found :{}",
                        pair.len()
                    ))),
                },
                other => {
                    Err(DataError::new(format!("Found invalid map entry instead of array tuple: {}", node_type(other))))
                }
            };
            Value::Pairs(entries.iter().map(entry).collect::<Result<_, _>>()?)
        }
        Kind::Struct(fields) => {
            let Value::Map(members) = value else {
                return Err(DataError::new(format!(
                    "Structs should be encoded as JSON objects, but found {}",
                    node_type(value)
                )));
            };
            Value::Struct(
                fields
                    .iter()
                    .map(|field| {
                        let value = members.get(&field.name).unwrap_or(&Value::Null);
                        let value = typed(value, &field.schema, options)?;
                        if !strict && lacks(&value, &field.schema) {
                            return Err(DataError::new(format!(
                                "Invalid value: null used for required field: \"{}\", schema type: {}",
                                field.name,
                                field.schema.kind.connect_name()
                            )));
                        }
                        Ok((field.name.clone(), value))
                    })
                    .collect::<Result<Members, DataError>>()?,
            )
        }
        Kind::Any => value.clone(),
    })
}

/// Whether there is a null where the schema does not take one. Connect looks into the fields of structs only, however
/// deep, and lets such a null pass elsewhere.
fn lacks(value: &Value, schema: &Schema) -> bool {
    match (value, &schema.kind) {
        (Value::Null, _) => !schema.optional,
        (Value::Array(items), Kind::Array(of)) => items.iter().any(|item| lacks(item, of)),
        (Value::Map(members), Kind::Map(_, of)) => members.iter().any(|(_, value)| lacks(value, of)),
        (Value::Pairs(pairs), Kind::Map(keys, values)) => {
            pairs.iter().any(|(key, value)| lacks(key, keys) || lacks(value, values))
        }
        _ => false,
    }
}

/// Base64 as Jackson reads it: blanks between are skipped, the bits behind the last byte may be anything.
fn base64_bytes(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
    );
    if text.bytes().any(|byte| byte <= b' ') {
        let dense: Vec<u8> = text.bytes().filter(|byte| *byte > b' ').collect();
        return LENIENT.decode(dense).ok();
    }
    LENIENT.decode(text).ok()
}

/// The strings that stand for what JSON numbers cannot say.
fn non_finite(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

fn typed_logical(value: &Value, schema: &Schema, logical: Logical, options: &JsonOptions) -> Result<Value, DataError> {
    let invalid = |name: &str, kind: &str| {
        DataError::new(format!(
            "Invalid type for {name}, underlying representation should be {kind} but was {}",
            node_type(value)
        ))
    };
    let int32 = |name: &str| match value {
        Value::Number(text) => text.parse::<i32>().map_err(|_| invalid(name, "integer")),
        _ => Err(invalid(name, "integer")),
    };
    Ok(match logical {
        Logical::Date => Value::Date(int32("Date")?),
        Logical::Time => match int32("Time")? {
            millis if (0..=DAY_MILLIS).contains(&i64::from(millis)) => Value::Time(millis),
            _ => {
                return Err(DataError::new(
                    "Time values must use number of milliseconds greater than 0 and less than 86400000",
                ));
            }
        },
        Logical::Timestamp => match value {
            Value::Number(text) if is_integral(text) => match options.coercion {
                Coercion::Connect => Value::Timestamp(wrapping_i64(text)),
                Coercion::Strict => Value::Timestamp(text.parse().map_err(|_| misfit(value, schema))?),
            },
            _ => return Err(invalid("Timestamp", "integral")),
        },
        Logical::Decimal => match value {
            Value::Number(text) => {
                let decimal = Decimal::parse(text)?;
                match (options.coercion, schema.scale()) {
                    // Connect takes the scale as it comes and refuses it only when it writes; a guest's numbers have
                    // often lost their trailing zeros, so they are brought to the scale of the schema.
                    (Coercion::Strict, Some(scale)) => Value::Decimal(decimal.rescale(scale)?),
                    _ => Value::Decimal(decimal),
                }
            }
            Value::String(text) => {
                let unscaled = base64_bytes(text).ok_or_else(|| DataError::new("Invalid bytes for Decimal field"))?;
                let scale = schema.scale().ok_or_else(|| {
                    DataError::new("Invalid Decimal schema: scale parameter not found or not a whole number")
                })?;
                if unscaled.is_empty() || unscaled.len() > crate::tlv::UNSCALED_BYTES_MAX {
                    return Err(DataError::new(format!("decimal of {} bytes", unscaled.len())));
                }
                Value::Decimal(Decimal { scale, unscaled })
            }
            _ => return Err(invalid("Decimal", "numeric or bytes")),
        },
    })
}

/// Appends a JSON string with its quotes.
pub fn write_json_string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("writing to memory does not fail");
}

fn write_integer(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn write_double(value: f64, out: &mut Vec<u8>) {
    if value.is_finite() {
        serde_json::to_writer(out, &value).expect("writing to memory does not fail");
    } else {
        write_non_finite(value, out);
    }
}

fn write_float(value: f32, out: &mut Vec<u8>) {
    // The smallest floats have fewer digits than Java writes, and those make another double.
    if value.is_normal() || value == 0.0 {
        serde_json::to_writer(out, &value).expect("writing to memory does not fail");
    } else if value.is_finite() {
        out.extend_from_slice(crate::java::number::float(value).as_bytes());
    } else {
        write_non_finite(f64::from(value), out);
    }
}

fn write_non_finite(value: f64, out: &mut Vec<u8>) {
    let text: &[u8] = if value.is_nan() {
        b"\"NaN\""
    } else if value > 0.0 {
        b"\"Infinity\""
    } else {
        b"\"-Infinity\""
    };
    out.extend_from_slice(text);
}

fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(BASE64.encode(bytes).as_bytes());
    out.push(b'"');
}

/// Writes `[a,b]` or `{a,b}` with `item` for each part.
fn write_list<T, E>(
    [open, close]: &[u8; 2],
    parts: impl IntoIterator<Item = T>,
    out: &mut Vec<u8>,
    mut item: impl FnMut(T, &mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    out.push(*open);
    for (i, part) in parts.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        item(part, out)?;
    }
    out.push(*close);
    Ok(())
}

fn write_member<E>(name: &str, out: &mut Vec<u8>, value: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
    write_json_string(name, out);
    out.push(b':');
    value(out)
}

/// What has the same text whether a schema is there or not; false for everything else.
fn write_simple(value: &Value, out: &mut Vec<u8>) -> bool {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Boolean(true) => out.extend_from_slice(b"true"),
        Value::Boolean(false) => out.extend_from_slice(b"false"),
        Value::Int8(value) => write_integer(*value, out),
        Value::Int16(value) => write_integer(*value, out),
        Value::Int32(value) => write_integer(*value, out),
        Value::Int64(value) => write_integer(*value, out),
        Value::Float32(value) => write_float(*value, out),
        Value::Float64(value) => write_double(*value, out),
        Value::String(text) => write_json_string(text, out),
        Value::Bytes(bytes) => write_base64(bytes, out),
        Value::Number(text) => out.extend_from_slice(text.as_bytes()),
        _ => return false,
    }
    true
}

fn write_plain(value: &Value, out: &mut Vec<u8>) {
    let done: Result<(), std::convert::Infallible> = match value {
        Value::Array(items) => write_list(b"[]", items, out, |item, out| {
            write_plain(item, out);
            Ok(())
        }),
        Value::Map(members) | Value::Struct(members) => write_list(b"{}", members.iter(), out, |(name, value), out| {
            write_member(name, out, |out| {
                write_plain(value, out);
                Ok(())
            })
        }),
        Value::Pairs(pairs) => write_list(b"[]", pairs, out, |(key, value), out| {
            out.push(b'[');
            write_plain(key, out);
            out.push(b',');
            write_plain(value, out);
            out.push(b']');
            Ok(())
        }),
        Value::Decimal(decimal) => {
            out.extend_from_slice(decimal.to_text().as_bytes());
            Ok(())
        }
        Value::Date(days) => {
            write_integer(*days, out);
            Ok(())
        }
        Value::Time(millis) => {
            write_integer(*millis, out);
            Ok(())
        }
        Value::Timestamp(millis) => {
            write_integer(*millis, out);
            Ok(())
        }
        simple => {
            write_simple(simple, out);
            Ok(())
        }
    };
    let Ok(()) = done;
}

fn write_schemaless(value: &Value, out: &mut Vec<u8>) -> Result<(), DataError> {
    if write_simple(value, out) {
        return Ok(());
    }
    match value {
        Value::Array(items) => write_list(b"[]", items, out, write_schemaless),
        Value::Map(members) | Value::Struct(members) => write_list(b"{}", members.iter(), out, |(name, value), out| {
            write_member(name, out, |out| write_schemaless(value, out))
        }),
        Value::Pairs(pairs) => write_list(b"[]", pairs, out, |(key, value), out| {
            out.push(b'[');
            write_schemaless(key, out)?;
            out.push(b',');
            write_schemaless(value, out)?;
            out.push(b']');
            Ok(())
        }),
        _ => Err(DataError::new(format!(
            "Java class class {} does not have corresponding schema type.",
            value.java_class()
        ))),
    }
}

fn write_typed(value: &Value, schema: &Schema, options: &JsonOptions, out: &mut Vec<u8>) -> Result<(), DataError> {
    let invalid =
        || DataError::new(format!("Invalid type for {}: class {}", schema.kind.connect_name(), value.java_class()));
    if *value == Value::Null {
        if let Some(default) = &schema.default
            && options.replace_null_with_default
        {
            return write_typed(default, schema, options, out);
        }
        if schema.optional {
            out.extend_from_slice(b"null");
            return Ok(());
        }
        return Err(DataError::new("Conversion error: null value for field that is required and has no default value"));
    }
    match (schema.logical(), value) {
        (Some(Logical::Decimal), Value::Decimal(decimal)) => {
            match options.decimal {
                DecimalFormat::Numeric => out.extend_from_slice(decimal.to_text().as_bytes()),
                DecimalFormat::Base64 => {
                    if schema.scale() != Some(decimal.scale) {
                        return Err(DataError::new("Decimal value has mismatching scale for given Decimal.schema"));
                    }
                    write_base64(&decimal.unscaled, out);
                }
            }
            return Ok(());
        }
        (Some(Logical::Date), Value::Date(days)) => {
            write_integer(*days, out);
            return Ok(());
        }
        (Some(Logical::Time), Value::Time(millis)) => {
            if !(0..86_400_000).contains(millis) {
                return Err(DataError::new(
                    "Kafka Connect Time type should not have any date fields set to non-zero values.",
                ));
            }
            write_integer(*millis, out);
            return Ok(());
        }
        (Some(Logical::Timestamp), Value::Timestamp(millis)) => {
            write_integer(*millis, out);
            return Ok(());
        }
        (Some(_), _) => return Err(invalid()),
        (None, _) => {}
    }
    match (&schema.kind, value) {
        (Kind::Boolean, Value::Boolean(_))
        | (Kind::Int8, Value::Int8(_))
        | (Kind::Int16, Value::Int16(_))
        | (Kind::Int32, Value::Int32(_))
        | (Kind::Int64, Value::Int64(_))
        | (Kind::Float32, Value::Float32(_))
        | (Kind::Float64, Value::Float64(_))
        | (Kind::String, Value::String(_))
        | (Kind::Bytes, Value::Bytes(_)) => {
            write_simple(value, out);
            Ok(())
        }
        (Kind::Array(schema), Value::Array(items)) => {
            write_list(b"[]", items, out, |item, out| write_typed(item, schema, options, out))
        }
        (Kind::Map(keys, values), Value::Map(members)) if keys.kind == Kind::String => {
            write_list(b"{}", members.iter(), out, |(name, value), out| {
                write_member(name, out, |out| write_typed(value, values, options, out))
            })
        }
        (Kind::Map(keys, values), Value::Pairs(pairs)) => write_list(b"[]", pairs, out, |(key, value), out| {
            out.push(b'[');
            write_typed(key, keys, options, out)?;
            out.push(b',');
            write_typed(value, values, options, out)?;
            out.push(b']');
            Ok(())
        }),
        (Kind::Any, _) => write_schemaless(value, out),
        (Kind::Struct(fields), Value::Struct(members)) => write_list(b"{}", fields, out, |field, out| {
            let value = members.get(&field.name).unwrap_or(&Value::Null);
            write_member(&field.name, out, |out| write_typed(value, &field.schema, options, out))
        }),
        _ => Err(invalid()),
    }
}
