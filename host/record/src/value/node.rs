//! Values as nodes.

use super::{Members, Value};
use crate::decimal::Decimal;
use crate::tlv::{Dictionary, Name, Node, Tag, Writer};

impl Value {
    /// The tree of a node that [`crate::tlv::check`] has seen, with names looked up in `names`. What a checked node
    /// cannot be becomes null.
    pub fn from_node(node: &Node<'_>, names: &[&str]) -> Value {
        Value::from_payload(node.tag, node.payload, names)
    }

    /// As [`Value::from_node`], from the payload of a cell or node.
    pub fn from_payload(tag: Tag, payload: &[u8], names: &[&str]) -> Value {
        parse(tag, payload, names).unwrap_or(Value::Null)
    }

    /// Appends the value as a node. Names get their numbers from `names`; when that is full they are written inline.
    pub fn write_node(&self, name: Option<&str>, names: &mut Dictionary, out: &mut Vec<u8>) {
        let mut writer = Writer::new(out);
        let open = match name {
            None => writer.open(Name::None, self.tag()),
            Some(text) => writer.open(names.intern(text).map_or(Name::Inline(text), Name::Entry), self.tag()),
        };
        // An inline name is part of the payload, so the value follows it.
        self.write_payload(names, out);
        Writer::new(out).close(open);
    }

    /// Appends the payload only, as cells need it.
    pub fn write_payload(&self, names: &mut Dictionary, out: &mut Vec<u8>) {
        match self {
            Value::Null => {}
            Value::Boolean(value) => out.push(u8::from(*value)),
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
            Value::Array(items) => {
                for item in items {
                    item.write_node(None, names, out);
                }
            }
            Value::Map(members) | Value::Struct(members) => {
                for (name, value) in members.iter() {
                    value.write_node(Some(name), names, out);
                }
            }
            Value::Pairs(pairs) => {
                for (key, value) in pairs {
                    key.write_node(None, names, out);
                    value.write_node(None, names, out);
                }
            }
            Value::Decimal(decimal) => {
                out.extend_from_slice(&decimal.scale.to_le_bytes());
                out.extend_from_slice(&decimal.unscaled);
            }
        }
    }

    /// The tag of the value.
    pub fn tag(&self) -> Tag {
        match self {
            Value::Null => Tag::Null,
            Value::Boolean(_) => Tag::Boolean,
            Value::Int8(_) => Tag::Int8,
            Value::Int16(_) => Tag::Int16,
            Value::Int32(_) => Tag::Int32,
            Value::Int64(_) => Tag::Int64,
            Value::Float32(_) => Tag::Float32,
            Value::Float64(_) => Tag::Float64,
            Value::String(_) => Tag::String,
            Value::Bytes(_) => Tag::Bytes,
            Value::Number(_) => Tag::Number,
            Value::Array(_) => Tag::Array,
            Value::Map(_) => Tag::Map,
            Value::Struct(_) => Tag::Struct,
            Value::Pairs(_) => Tag::Pairs,
            Value::Decimal(_) => Tag::Decimal,
            Value::Date(_) => Tag::Date,
            Value::Time(_) => Tag::Time,
            Value::Timestamp(_) => Tag::Timestamp,
        }
    }
}

fn parse(tag: Tag, payload: &[u8], names: &[&str]) -> Option<Value> {
    let node = Node { name: Name::None, tag, payload };
    let text = || node.str().map(str::to_owned);
    let int32 = || payload.try_into().ok().map(i32::from_le_bytes);
    let int64 = || payload.try_into().ok().map(i64::from_le_bytes);
    let members = || -> Option<Members> {
        node.children()
            .map(|child| Some((child.name.text(names)?.to_owned(), Value::from_node(&child, names))))
            .collect()
    };
    Some(match tag {
        Tag::Null | Tag::Missing => Value::Null,
        Tag::Boolean => Value::Boolean(*payload.first()? != 0),
        Tag::Int8 => Value::Int8(i8::from_le_bytes(payload.try_into().ok()?)),
        Tag::Int16 => Value::Int16(i16::from_le_bytes(payload.try_into().ok()?)),
        Tag::Int32 => Value::Int32(int32()?),
        Tag::Int64 => Value::Int64(int64()?),
        Tag::Float32 => Value::Float32(f32::from_le_bytes(payload.try_into().ok()?)),
        Tag::Float64 => Value::Float64(f64::from_le_bytes(payload.try_into().ok()?)),
        Tag::String => Value::String(text()?),
        Tag::Bytes => Value::Bytes(payload.to_vec()),
        Tag::Number => Value::Number(text()?),
        Tag::Array => Value::Array(node.children().map(|child| Value::from_node(&child, names)).collect()),
        Tag::Map => Value::Map(members()?),
        Tag::Struct => Value::Struct(members()?),
        Tag::Pairs => {
            let mut children = node.children().map(|child| Value::from_node(&child, names));
            let mut pairs = Vec::new();
            while let (Some(key), Some(value)) = (children.next(), children.next()) {
                pairs.push((key, value));
            }
            Value::Pairs(pairs)
        }
        Tag::Decimal => {
            let (scale, unscaled) = payload.split_first_chunk::<4>()?;
            Value::Decimal(Decimal { scale: i32::from_le_bytes(*scale), unscaled: unscaled.to_vec() })
        }
        Tag::Date => Value::Date(int32()?),
        Tag::Time => Value::Time(int32()?),
        Tag::Timestamp => Value::Timestamp(int64()?),
    })
}
