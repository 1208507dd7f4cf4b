//! Connect data as Rust values, and their binary form (`wit/BATCH.md`, "Values").

use crate::dictionary::{Dictionary, DictionaryReader};
use crate::error::Malformed;
use std::collections::BTreeMap;

/// Any value that a key, a value, a field or a header may hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number of 8 bits.
    Int8(i8),
    /// A whole number of 16 bits.
    Int16(i16),
    /// A whole number of 32 bits.
    Int32(i32),
    /// A whole number of 64 bits.
    Int64(i64),
    /// A floating-point number of 32 bits.
    Float32(f32),
    /// A floating-point number of 64 bits.
    Float64(f64),
    /// Text.
    String(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A JSON number as its source text; only in values without a schema.
    Number(String),
    /// Values in their order.
    Array(Vec<Value>),
    /// A map with string keys; a JSON object.
    Map(Vec<(String, Value)>),
    /// A struct; a field that is not there is null.
    Struct(Vec<(String, Value)>),
    /// A map whose keys are not all strings.
    KeyedMap(Vec<(Value, Value)>),
    /// A decimal number: `unscaled` × 10^-`scale`.
    Decimal {
        /// Digits after the point.
        scale: i32,
        /// Two's complement, big-endian, at least one byte.
        unscaled: Vec<u8>,
    },
    /// Days since 1970-01-01.
    Date(i32),
    /// Milliseconds since midnight.
    Time(i32),
    /// Milliseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
}

/// The tags of the binary form.
pub(crate) mod tag {
    pub(crate) const NULL: u8 = 0;
    pub(crate) const BOOLEAN: u8 = 1;
    pub(crate) const INT8: u8 = 2;
    pub(crate) const INT16: u8 = 3;
    pub(crate) const INT32: u8 = 4;
    pub(crate) const INT64: u8 = 5;
    pub(crate) const FLOAT32: u8 = 6;
    pub(crate) const FLOAT64: u8 = 7;
    pub(crate) const STRING: u8 = 8;
    pub(crate) const BYTES: u8 = 9;
    pub(crate) const NUMBER: u8 = 10;
    pub(crate) const ARRAY: u8 = 11;
    pub(crate) const MAP: u8 = 12;
    pub(crate) const STRUCT: u8 = 13;
    pub(crate) const KEYED_MAP: u8 = 14;
    pub(crate) const DECIMAL: u8 = 15;
    pub(crate) const DATE: u8 = 16;
    pub(crate) const TIME: u8 = 17;
    pub(crate) const TIMESTAMP: u8 = 18;
    pub(crate) const MISSING: u8 = 255;
}

/// The name field of a node that has none, or carries it inline.
const NO_NAME: u16 = 0xFFFF;
const NESTING_MAX: usize = 64;
const DECIMAL_BYTES_MAX: usize = 1_024;

impl Value {
    /// The field of a map or struct.
    pub fn field(&self, name: &str) -> Option<&Value> {
        match self {
            // Of two members with one name the last counts.
            Value::Map(fields) | Value::Struct(fields) => {
                fields.iter().rev().find(|(field, _)| field == name).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// The text, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, if this is one (of any width, or a JSON number without fraction or exponent).
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int8(number) => Some((*number).into()),
            Value::Int16(number) => Some((*number).into()),
            Value::Int32(number) => Some((*number).into()),
            Value::Int64(number) => Some(*number),
            Value::Number(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The number, if this is one.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Float32(number) => Some((*number).into()),
            Value::Float64(number) => Some(*number),
            Value::Number(text) => text.parse().ok(),
            whole => whole.as_i64().map(|number| number as f64),
        }
    }

    pub(crate) fn tag(&self) -> u8 {
        match self {
            Value::Null => tag::NULL,
            Value::Boolean(_) => tag::BOOLEAN,
            Value::Int8(_) => tag::INT8,
            Value::Int16(_) => tag::INT16,
            Value::Int32(_) => tag::INT32,
            Value::Int64(_) => tag::INT64,
            Value::Float32(_) => tag::FLOAT32,
            Value::Float64(_) => tag::FLOAT64,
            Value::String(_) => tag::STRING,
            Value::Bytes(_) => tag::BYTES,
            Value::Number(_) => tag::NUMBER,
            Value::Array(_) => tag::ARRAY,
            Value::Map(_) => tag::MAP,
            Value::Struct(_) => tag::STRUCT,
            Value::KeyedMap(_) => tag::KEYED_MAP,
            Value::Decimal { .. } => tag::DECIMAL,
            Value::Date(_) => tag::DATE,
            Value::Time(_) => tag::TIME,
            Value::Timestamp(_) => tag::TIMESTAMP,
        }
    }

    /// Appends this value as a node.
    pub(crate) fn write_node(&self, name: Option<&str>, dictionary: &mut Dictionary, out: &mut Vec<u8>) {
        let id = name.map(|name| dictionary.id(name));
        let start = out.len();
        // A dictionary that is full is no reason to fail: the name then travels inline.
        let (id, inline) = match id {
            None => (NO_NAME, None),
            Some(Some(id)) => (id, None),
            Some(None) => (NO_NAME, name),
        };
        out.extend_from_slice(&id.to_le_bytes());
        out.push(self.tag());
        out.push(inline.is_some().into());
        out.extend_from_slice(&[0; 4]);
        if let Some(name) = inline {
            out.extend_from_slice(&length(name.len()));
            out.extend_from_slice(name.as_bytes());
        }
        self.write_payload(dictionary, out);
        let payload = length(out.len() - start - 8);
        out[start + 4..start + 8].copy_from_slice(&payload);
    }

    /// Appends the payload of this value's node.
    pub(crate) fn write_payload(&self, dictionary: &mut Dictionary, out: &mut Vec<u8>) {
        match self {
            Value::Null => {}
            Value::Boolean(value) => out.push((*value).into()),
            Value::Int8(value) => out.extend_from_slice(&value.to_le_bytes()),
            Value::Int16(value) => out.extend_from_slice(&value.to_le_bytes()),
            Value::Int32(value) | Value::Date(value) | Value::Time(value) => {
                out.extend_from_slice(&value.to_le_bytes());
            }
            Value::Int64(value) | Value::Timestamp(value) => out.extend_from_slice(&value.to_le_bytes()),
            Value::Float32(value) => out.extend_from_slice(&value.to_le_bytes()),
            Value::Float64(value) => out.extend_from_slice(&value.to_le_bytes()),
            Value::String(text) | Value::Number(text) => out.extend_from_slice(text.as_bytes()),
            Value::Bytes(bytes) => out.extend_from_slice(bytes),
            Value::Array(items) => items.iter().for_each(|item| item.write_node(None, dictionary, out)),
            Value::Map(fields) | Value::Struct(fields) => {
                fields.iter().for_each(|(name, value)| value.write_node(Some(name), dictionary, out));
            }
            Value::KeyedMap(pairs) => {
                for (key, value) in pairs {
                    key.write_node(None, dictionary, out);
                    value.write_node(None, dictionary, out);
                }
            }
            Value::Decimal { scale, unscaled } => {
                out.extend_from_slice(&scale.to_le_bytes());
                out.extend_from_slice(unscaled);
            }
        }
    }

    /// Reads one node that fills `bytes` exactly.
    pub(crate) fn read_node(bytes: &[u8], dictionary: &DictionaryReader<'_>) -> Result<Value, Malformed> {
        let (node, rest) = Node::read(bytes)?;
        node.check_nameless()?;
        match rest {
            [] => node.value(dictionary, NESTING_MAX),
            _ => Err(Malformed::new("bytes after a value")),
        }
    }

    /// Reads a payload of the given tag.
    pub(crate) fn read_payload(tag: u8, payload: &[u8], dictionary: &DictionaryReader<'_>) -> Result<Value, Malformed> {
        Node { name: NO_NAME, inline_name: None, tag, payload }.value(dictionary, NESTING_MAX)
    }
}

/// The length of something in an arena. Arenas end at 64 MiB, which their writers check when they are finished.
fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

/// One node, split from what follows it.
struct Node<'a> {
    name: u16,
    inline_name: Option<&'a [u8]>,
    tag: u8,
    payload: &'a [u8],
}

impl<'a> Node<'a> {
    fn read(bytes: &'a [u8]) -> Result<(Node<'a>, &'a [u8]), Malformed> {
        let (header, rest) = bytes.split_first_chunk::<8>().ok_or(Malformed::new("a node is cut short"))?;
        let [n0, n1, tag, inline, l0, l1, l2, l3] = *header;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if length > rest.len() {
            return Err(Malformed::new("a node is longer than what holds it"));
        }
        let (mut payload, rest) = rest.split_at(length);
        let name = u16::from_le_bytes([n0, n1]);
        let mut inline_name = None;
        match inline {
            0 => {}
            1 if name == NO_NAME => {
                let (length, after) = payload.split_first_chunk::<4>().ok_or(Malformed::new("an inline name"))?;
                let length = u32::from_le_bytes(*length) as usize;
                if length > after.len() {
                    return Err(Malformed::new("an inline name is longer than its node"));
                }
                let (text, after) = after.split_at(length);
                inline_name = Some(text);
                payload = after;
            }
            _ => return Err(Malformed::new("a node's name is neither in the dictionary nor inline")),
        }
        Ok((Node { name, inline_name, tag, payload }, rest))
    }

    fn name(&self, dictionary: &DictionaryReader<'a>) -> Result<&'a str, Malformed> {
        match self.inline_name {
            Some(name) => std::str::from_utf8(name).map_err(|_| Malformed::new("a name is not UTF-8")),
            None if self.name == NO_NAME => Err(Malformed::new("a field has no name")),
            None => dictionary.get(self.name.into()),
        }
    }

    fn check_nameless(&self) -> Result<(), Malformed> {
        match self.name == NO_NAME && self.inline_name.is_none() {
            true => Ok(()),
            false => Err(Malformed::new("a value has a name where none belongs")),
        }
    }

    fn fixed<const N: usize>(&self) -> Result<[u8; N], Malformed> {
        self.payload.try_into().map_err(|_| Malformed::new("a value has the wrong length for its tag"))
    }

    fn text(&self) -> Result<String, Malformed> {
        std::str::from_utf8(self.payload).map(str::to_owned).map_err(|_| Malformed::new("a text is not UTF-8"))
    }

    fn children(&self, mut each: impl FnMut(Node<'a>) -> Result<(), Malformed>) -> Result<(), Malformed> {
        let mut rest = self.payload;
        while !rest.is_empty() {
            let (node, after) = Node::read(rest)?;
            each(node)?;
            rest = after;
        }
        Ok(())
    }

    fn value(&self, dictionary: &DictionaryReader<'a>, depth: usize) -> Result<Value, Malformed> {
        let Some(depth) = depth.checked_sub(1) else { return Err(Malformed::new("a value is nested too deeply")) };
        Ok(match self.tag {
            tag::NULL => {
                self.fixed::<0>()?;
                Value::Null
            }
            tag::BOOLEAN => match self.fixed()? {
                [0] => Value::Boolean(false),
                [1] => Value::Boolean(true),
                _ => return Err(Malformed::new("a boolean is neither 0 nor 1")),
            },
            tag::INT8 => Value::Int8(i8::from_le_bytes(self.fixed()?)),
            tag::INT16 => Value::Int16(i16::from_le_bytes(self.fixed()?)),
            tag::INT32 => Value::Int32(i32::from_le_bytes(self.fixed()?)),
            tag::INT64 => Value::Int64(i64::from_le_bytes(self.fixed()?)),
            tag::FLOAT32 => Value::Float32(f32::from_le_bytes(self.fixed()?)),
            tag::FLOAT64 => Value::Float64(f64::from_le_bytes(self.fixed()?)),
            tag::STRING => Value::String(self.text()?),
            tag::BYTES => Value::Bytes(self.payload.to_vec()),
            tag::NUMBER => match self.text()? {
                number if is_json_number(&number) => Value::Number(number),
                _ => return Err(Malformed::new("a number is not one of JSON's")),
            },
            tag::ARRAY => {
                let mut items = Vec::new();
                self.children(|item| {
                    item.check_nameless()?;
                    items.push(item.value(dictionary, depth)?);
                    Ok(())
                })?;
                Value::Array(items)
            }
            tag::MAP | tag::STRUCT => {
                let mut fields = Vec::new();
                self.children(|field| {
                    fields.push((field.name(dictionary)?.to_owned(), field.value(dictionary, depth)?));
                    Ok(())
                })?;
                keep_last(&mut fields);
                if self.tag == tag::MAP { Value::Map(fields) } else { Value::Struct(fields) }
            }
            tag::KEYED_MAP => {
                let mut nodes = Vec::new();
                self.children(|node| {
                    node.check_nameless()?;
                    nodes.push(node.value(dictionary, depth)?);
                    Ok(())
                })?;
                if nodes.len() % 2 != 0 {
                    return Err(Malformed::new("a map has a key without a value"));
                }
                let mut nodes = nodes.into_iter();
                let mut pairs = Vec::with_capacity(nodes.len() / 2);
                while let (Some(key), Some(value)) = (nodes.next(), nodes.next()) {
                    pairs.push((key, value));
                }
                Value::KeyedMap(pairs)
            }
            tag::DECIMAL => match self.payload.split_first_chunk::<4>() {
                Some((scale, unscaled)) if (1..=DECIMAL_BYTES_MAX).contains(&unscaled.len()) => {
                    Value::Decimal { scale: i32::from_le_bytes(*scale), unscaled: unscaled.to_vec() }
                }
                _ => return Err(Malformed::new("a decimal is too short or too long")),
            },
            tag::DATE => Value::Date(i32::from_le_bytes(self.fixed()?)),
            tag::TIME => Value::Time(i32::from_le_bytes(self.fixed()?)),
            tag::TIMESTAMP => Value::Timestamp(i64::from_le_bytes(self.fixed()?)),
            _ => return Err(Malformed::new("an unknown tag")),
        })
    }
}

/// Of two members with one name the last counts.
fn keep_last(fields: &mut Vec<(String, Value)>) {
    /// Up to here comparing all pairs is cheaper than allocating.
    const FEW: usize = 16;
    let has_twice = if fields.len() <= FEW {
        (1..fields.len()).any(|later| fields[..later].iter().any(|(name, _)| *name == fields[later].0))
    } else {
        let mut names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.windows(2).any(|pair| pair[0] == pair[1])
    };
    if has_twice {
        let mut last = BTreeMap::new();
        for (at, (name, _)) in fields.iter().enumerate() {
            last.insert(name.clone(), at);
        }
        let mut at = 0..;
        fields.retain(|(name, _)| last.get(name).copied() == at.next());
    }
}

/// Whether a text is a number as JSON writes it.
pub(crate) fn is_json_number(text: &str) -> bool {
    fn digits(text: &[u8]) -> Option<&[u8]> {
        let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        (length > 0).then(|| &text[length..])
    }
    let unsigned = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let mut rest = match unsigned {
        [b'0', rest @ ..] => rest,
        other => match digits(other) {
            Some(rest) => rest,
            None => return false,
        },
    };
    if let [b'.', fraction @ ..] = rest {
        let Some(after) = digits(fraction) else { return false };
        rest = after;
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = if let [b'+' | b'-', unsigned @ ..] = exponent { unsigned } else { exponent };
        let Some(after) = digits(exponent) else { return false };
        rest = after;
    }
    rest.is_empty()
}

macro_rules! value_from {
    ($($type:ty => $variant:ident),* $(,)?) => {
        $(impl From<$type> for Value {
            fn from(value: $type) -> Value {
                Value::$variant(value.into())
            }
        })*
    };
}

value_from! {
    bool => Boolean, i8 => Int8, i16 => Int16, i32 => Int32, i64 => Int64, f32 => Float32, f64 => Float64,
    String => String, &str => String, Vec<u8> => Bytes, &[u8] => Bytes, Vec<Value> => Array,
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}
