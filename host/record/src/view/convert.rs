//! The converters other than JSON: text, bytes, numbers and booleans, and SimpleHeaderConverter; for keys and values as for
//! headers. JSON is in `decode.rs` and `encode.rs`, where it can stay text.
//!
//! Behaviour and messages are those of Kafka Connect's converters of these names.

use std::borrow::Cow;

use super::View;
use super::source::Source;
use crate::java::charset::Charset;
use crate::json::scan::check_utf8;
use crate::number::{is_integral, wrapping_i64};
use crate::schema::Kind;
use crate::tlv::Tag;
use crate::{Schema, SchemaId, SchemaTable, Value, java, simple_header};

/// How keys and values are written in Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Converter {
    /// UTF-8 text.
    String,
    /// Text in any character set.
    Text(Charset),
    /// Bytes as they are.
    Bytes,
    /// JSON; with `schemas` in an envelope of `schema` and `payload`.
    Json { schemas: bool },
    /// JSON of one schema: read without an envelope, written with one.
    JsonOf(SchemaId),
    /// A number of fixed size, big-endian.
    Number(Number),
    /// One byte, 0 or 1.
    Boolean,
}

/// The numbers that have converters of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    Short,
    Integer,
    Long,
    Float,
    Double,
}

/// How header values are written in Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderConverter {
    /// Text whose type is guessed, as Connect's SimpleHeaderConverter does.
    Simple,
    /// As a value of this converter.
    As(Converter),
}

/// The converters of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Converters {
    pub key: Converter,
    pub value: Converter,
    pub header: HeaderConverter,
}

impl Number {
    /// The name in Connect's messages.
    fn name(self) -> &'static str {
        match self {
            Number::Short => "short",
            Number::Integer => "integer",
            Number::Long => "long",
            Number::Float => "float",
            Number::Double => "double",
        }
    }

    fn schema(self) -> SchemaId {
        match self {
            Number::Short => SchemaId::OPTIONAL_INT16,
            Number::Integer => SchemaId::OPTIONAL_INT32,
            Number::Long => SchemaId::OPTIONAL_INT64,
            Number::Float => SchemaId::OPTIONAL_FLOAT32,
            Number::Double => SchemaId::OPTIONAL_FLOAT64,
        }
    }

    fn read(self, bytes: &[u8]) -> Option<Source> {
        Some(match self {
            Number::Short => Source::fixed(Tag::Int16, i64::from(i16::from_be_bytes(bytes.try_into().ok()?))),
            Number::Integer => Source::fixed(Tag::Int32, i64::from(i32::from_be_bytes(bytes.try_into().ok()?))),
            Number::Long => Source::fixed(Tag::Int64, i64::from_be_bytes(bytes.try_into().ok()?)),
            Number::Float => {
                Source::Fixed { tag: Tag::Float32, bits: u64::from(u32::from_be_bytes(bytes.try_into().ok()?)) }
            }
            Number::Double => Source::Fixed { tag: Tag::Float64, bits: u64::from_be_bytes(bytes.try_into().ok()?) },
        })
    }

    /// False where the value is no number of this type; none is converted, as in Connect.
    fn write(self, value: &Value, out: &mut Vec<u8>) -> bool {
        match (self, value) {
            (Number::Short, Value::Int16(value)) => out.extend_from_slice(&value.to_be_bytes()),
            (Number::Integer, Value::Int32(value)) => out.extend_from_slice(&value.to_be_bytes()),
            (Number::Long, Value::Int64(value)) => out.extend_from_slice(&value.to_be_bytes()),
            (Number::Float, Value::Float32(value)) => out.extend_from_slice(&canonical(*value).to_be_bytes()),
            (Number::Double, Value::Float64(value)) => out.extend_from_slice(&value.to_be_bytes()),
            (Number::Long, Value::Number(text)) if is_integral(text) => {
                out.extend_from_slice(&wrapping_i64(text).to_be_bytes());
            }
            (Number::Double, Value::Number(text)) if !is_integral(text) => {
                out.extend_from_slice(&text.parse().unwrap_or(0.0_f64).to_be_bytes());
            }
            _ => return false,
        }
        true
    }
}

/// What a Java float is: narrowing a double that is not a number must not leave its sign.
fn canonical(value: f32) -> f32 {
    if value.is_nan() { f32::NAN } else { value }
}

/// The schema that a converter says for a message without bytes.
pub(super) fn null_schema(converter: Converter) -> SchemaId {
    match converter {
        Converter::String | Converter::Text(_) => SchemaId::OPTIONAL_STRING,
        Converter::Bytes => SchemaId::OPTIONAL_BYTES,
        Converter::Number(number) => number.schema(),
        Converter::Boolean => SchemaId::OPTIONAL_BOOLEAN,
        Converter::Json { .. } | Converter::JsonOf(_) => SchemaId::NONE,
    }
}

/// UTF-8 as it is, with what is malformed replaced as Java does.
pub(super) fn utf8(bytes: &[u8]) -> Cow<'_, [u8]> {
    match check_utf8(bytes) {
        Ok(_) => Cow::Borrowed(bytes),
        Err(_) => Cow::Owned(Charset::Utf8.decode(bytes).into_bytes()),
    }
}

/// Appends a value as one of the converters here writes it; false for null. JSON is none of them.
pub(super) fn write(
    converter: Converter,
    value: &Value,
    schema: Option<&Schema>,
    out: &mut Vec<u8>,
) -> Result<bool, String> {
    let incompatible = |converter: &str| {
        Err(format!("{converter} is not compatible with objects of type class {}", value.java_class()))
    };
    let kind_is = |expected: Kind, converter: &str| match schema {
        Some(schema) if schema.kind != expected => {
            Err(format!("Invalid schema type for {converter}: {}", schema.kind.connect_name()))
        }
        _ => Ok(()),
    };
    match converter {
        Converter::Bytes => kind_is(Kind::Bytes, "ByteArrayConverter")?,
        Converter::Boolean => kind_is(Kind::Boolean, "BooleanConverter")?,
        _ => {}
    }
    if *value == Value::Null {
        return Ok(false);
    }
    match (converter, value) {
        (Converter::Bytes, Value::Bytes(bytes)) => out.extend_from_slice(bytes),
        (Converter::Bytes, _) => return incompatible("ByteArrayConverter"),
        (Converter::Boolean, Value::Boolean(value)) => out.push(u8::from(*value)),
        (Converter::Boolean, _) => return incompatible("BooleanConverter"),
        (Converter::Number(number), value) => {
            if !number.write(value, out) {
                return Err(format!("Failed to serialize to {} (was class {}): ", number.name(), value.java_class()));
            }
        }
        (Converter::Text(charset), value) => charset.encode(&text(value, schema), out),
        (_, value) => out.extend_from_slice(text(value, schema).as_bytes()),
    }
    Ok(true)
}

fn text<'v>(value: &'v Value, schema: Option<&Schema>) -> Cow<'v, str> {
    if let Value::String(text) = value {
        return Cow::Borrowed(text);
    }
    let mut text = String::new();
    java::to_string(value, schema, &mut text);
    Cow::Owned(text)
}

impl View<'_> {
    /// A key, value or header value as a converter reads it. JSON is read elsewhere.
    pub(super) fn read_plain(&mut self, bytes: &[u8], converter: Converter) -> Result<(SchemaId, Source), String> {
        match converter {
            Converter::Text(charset) => {
                let text = charset.decode(bytes);
                Ok((SchemaId::OPTIONAL_STRING, self.keep_payload(Tag::String, text.as_bytes())))
            }
            Converter::Bytes => Ok((SchemaId::OPTIONAL_BYTES, self.keep_payload(Tag::Bytes, bytes))),
            Converter::Number(number) => match number.read(bytes) {
                Some(source) => Ok((number.schema(), source)),
                None => Err(format!("Failed to deserialize {}: {} bytes", number.name(), bytes.len())),
            },
            Converter::Boolean => match bytes {
                [byte @ 0..=1] => Ok((SchemaId::OPTIONAL_BOOLEAN, Source::fixed(Tag::Boolean, i64::from(*byte)))),
                [_] => Err("Failed to deserialize boolean: the byte is neither 0 nor 1".to_owned()),
                _ => Err(format!("Failed to deserialize boolean: {} bytes", bytes.len())),
            },
            Converter::String | Converter::Json { .. } | Converter::JsonOf(_) => {
                let text = utf8(bytes);
                Ok((SchemaId::OPTIONAL_STRING, self.keep_payload(Tag::String, &text)))
            }
        }
    }

    /// What SimpleHeaderConverter makes of a header value. A schema that is one too many is a failure of the record.
    pub(super) fn read_simple(
        &mut self,
        bytes: &[u8],
        schemas: &mut SchemaTable,
    ) -> Result<(SchemaId, Source), String> {
        let text = String::from_utf8_lossy(&utf8(bytes)).into_owned();
        match simple_header::parse(&text) {
            None => Ok((SchemaId::NONE, Source::NULL)),
            Some((schema, value)) => {
                let id = schemas.define(&schema).map_err(|error| error.to_string())?;
                Ok((id, self.keep_tree(value)))
            }
        }
    }
}

/// A header value as SimpleHeaderConverter writes it; false for null.
pub(super) fn write_simple(value: &Value, schema: Option<&Schema>, out: &mut Vec<u8>) -> bool {
    if *value == Value::Null {
        return false;
    }
    let mut text = String::new();
    simple_header::write(value, schema, &mut text);
    out.extend_from_slice(text.as_bytes());
    true
}
