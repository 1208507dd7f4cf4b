//! Values as a plain tree: easy to read, easy to compare, one allocation per part.
//!
//! Tests use it as the oracle for everything that works on bytes, and slow paths use it where speed does not matter.
//! `value/json.rs` has its JSON forms, `value/node.rs` its form as nodes.

mod json;
mod node;

use indexmap::IndexMap;

use crate::decimal::Decimal;
pub use json::{Coercion, DecimalFormat, JsonOptions, write_json_string};

/// Data that does not fit: text that is not JSON, a value that its schema does not take. The record is at fault, so the
/// error policy decides; Connect calls it DataException.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DataError {
    message: String,
}

impl DataError {
    /// An error with a message, Connect's where Connect has one.
    pub fn new(message: impl Into<String>) -> DataError {
        DataError { message: message.into() }
    }
}

/// Milliseconds of a day.
pub(crate) const DAY_MILLIS: i64 = 86_400_000;

/// A value of Connect's data model.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Null.
    Null,
    /// True or false.
    Boolean(bool),
    /// 8-bit integer.
    Int8(i8),
    /// 16-bit integer.
    Int16(i16),
    /// 32-bit integer.
    Int32(i32),
    /// 64-bit integer.
    Int64(i64),
    /// Single precision.
    Float32(f32),
    /// Double precision.
    Float64(f64),
    /// Text.
    String(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A JSON number as its source text; only in values without a schema.
    Number(String),
    /// Items in their order.
    Array(Vec<Value>),
    /// A map with string keys; a JSON object without schema.
    Map(Members),
    /// Fields; one that is not there is null.
    Struct(Members),
    /// A map with other keys.
    Pairs(Vec<(Value, Value)>),
    /// A decimal.
    Decimal(Decimal),
    /// Days since 1970-01-01.
    Date(i32),
    /// Milliseconds since midnight.
    Time(i32),
    /// Milliseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
}

impl Value {
    /// Text, from anything that is text.
    pub fn string(text: impl Into<String>) -> Value {
        Value::String(text.into())
    }

    /// Java's class name for the value, as Connect's messages print it.
    pub fn java_class(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Boolean(_) => "java.lang.Boolean",
            Value::Int8(_) => "java.lang.Byte",
            Value::Int16(_) => "java.lang.Short",
            Value::Int32(_) => "java.lang.Integer",
            Value::Int64(_) => "java.lang.Long",
            Value::Number(text) if crate::number::is_integral(text) => "java.lang.Long",
            Value::Float32(_) => "java.lang.Float",
            Value::Float64(_) | Value::Number(_) => "java.lang.Double",
            Value::String(_) => "java.lang.String",
            Value::Bytes(_) => "[B",
            Value::Array(_) => "java.util.ArrayList",
            Value::Map(_) | Value::Pairs(_) => "java.util.HashMap",
            Value::Struct(_) => "org.apache.kafka.connect.data.Struct",
            Value::Decimal(_) => "java.math.BigDecimal",
            Value::Date(_) | Value::Time(_) | Value::Timestamp(_) => "java.util.Date",
        }
    }

    /// Milliseconds since 1970 of what is a `java.util.Date` in Connect.
    pub fn date_millis(&self) -> Option<i64> {
        match self {
            Value::Date(days) => Some(i64::from(*days) * DAY_MILLIS),
            Value::Time(millis) => Some(i64::from(*millis)),
            Value::Timestamp(millis) => Some(*millis),
            _ => None,
        }
    }
}

/// Named values in the order in which their names came first.
#[derive(Clone, Debug, Default)]
pub struct Members(IndexMap<String, Value>);

impl Members {
    /// No members.
    pub fn new() -> Members {
        Members::default()
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The value of a name, to change.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        self.0.get_mut(name)
    }

    /// Sets a name: in its place if it is there, else at the end.
    pub fn insert(&mut self, name: impl Into<String>, value: Value) {
        self.0.insert(name.into(), value);
    }

    /// Takes a name out; the others keep their order.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        self.0.shift_remove(name)
    }

    /// In their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Order counts: two objects with the same members in another order differ.
impl PartialEq for Members {
    fn eq(&self, other: &Members) -> bool {
        self.0.len() == other.0.len() && self.iter().eq(other.iter())
    }
}

impl FromIterator<(String, Value)> for Members {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(members: I) -> Members {
        Members(members.into_iter().collect())
    }
}

impl IntoIterator for Members {
    type Item = (String, Value);
    type IntoIter = indexmap::map::IntoIter<String, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
