//! Where a value is: in the record as it came, in the heap of the view, or in a tree. Small and copyable, so that copying
//! a field is copying one of these.

use std::sync::Arc;

use super::View;
use super::plan::Side;
use crate::json::text::unescape;
use crate::tlv::Tag;
use crate::{Schema, Value};

/// Which bytes a source points into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// The value or the key of the same record, as it came.
    Original(Side),
    /// What edits brought along.
    Heap,
}

/// A value of a record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Source {
    /// There is no such field.
    Missing,
    /// Tags with a payload of fixed size; integers sign-extended, floats as their bits.
    Fixed { tag: Tag, bits: u64 },
    /// The payload of any other tag. Names in it are entries of the source batch's dictionary.
    Payload { base: Base, tag: Tag, start: u32, end: u32 },
    /// A JSON text that the scanner has accepted.
    Json { base: Base, start: u32, end: u32 },
    /// An entry of the view's trees.
    Tree(u32),
}

impl Source {
    pub(super) const NULL: Source = Source::Fixed { tag: Tag::Null, bits: 0 };

    pub(super) fn fixed(tag: Tag, value: i64) -> Source {
        Source::Fixed { tag, bits: value as u64 }
    }
}

impl<'a> View<'a> {
    /// The bytes of a base.
    #[inline]
    pub(super) fn bytes(&self, record: usize, base: Base, start: u32, end: u32) -> &[u8] {
        &self.base(record, base)[start as usize..end as usize]
    }

    /// All bytes of a base.
    #[inline]
    pub(super) fn base(&self, record: usize, base: Base) -> &[u8] {
        match base {
            Base::Original(side) => self.sides[side as usize][record].original,
            Base::Heap => &self.heap,
        }
    }

    #[inline]
    pub(super) fn is_null(&self, record: usize, source: Source) -> bool {
        match source {
            Source::Fixed { tag, .. } => tag == Tag::Null,
            Source::Json { base, start, end } => self.bytes(record, base, start, end) == b"null",
            Source::Tree(at) => self.trees[at as usize] == Value::Null,
            Source::Missing | Source::Payload { .. } => false,
        }
    }

    /// The value as a tree, of the given schema if it has one. JSON that does not fit its schema was refused when it was
    /// decoded.
    pub(super) fn tree(&self, record: usize, source: Source, schema: Option<&Arc<Schema>>) -> Value {
        match source {
            Source::Missing => Value::Null,
            Source::Fixed { tag, bits } => {
                let bytes = bits.to_le_bytes();
                Value::from_payload(tag, &bytes[..tag.fixed_size().unwrap_or(0)], &[])
            }
            Source::Payload { base, tag, start, end } => {
                Value::from_payload(tag, self.bytes(record, base, start, end), &self.names)
            }
            Source::Json { base, start, end } => {
                let text = self.bytes(record, base, start, end);
                let text = std::str::from_utf8(text).unwrap_or("null");
                let tree = Value::from_json(text).unwrap_or(Value::Null);
                match schema {
                    Some(schema) => tree.to_typed(schema, self.options()).unwrap_or(Value::Null),
                    None => tree,
                }
            }
            Source::Tree(at) => self.trees[at as usize].clone(),
        }
    }

    /// Keeps a tree and answers where it is; scalars need no entry.
    pub(super) fn keep_tree(&mut self, tree: Value) -> Source {
        let start = self.heap.len() as u32;
        let payload = |heap: &Vec<u8>, tag| Source::Payload { base: Base::Heap, tag, start, end: heap.len() as u32 };
        match tree {
            Value::Null => Source::NULL,
            Value::Boolean(value) => Source::fixed(Tag::Boolean, i64::from(value)),
            Value::Int8(value) => Source::fixed(Tag::Int8, i64::from(value)),
            Value::Int16(value) => Source::fixed(Tag::Int16, i64::from(value)),
            Value::Int32(value) => Source::fixed(Tag::Int32, i64::from(value)),
            Value::Int64(value) => Source::fixed(Tag::Int64, value),
            Value::Float32(value) => Source::Fixed { tag: Tag::Float32, bits: u64::from(value.to_bits()) },
            Value::Float64(value) => Source::Fixed { tag: Tag::Float64, bits: value.to_bits() },
            Value::Date(value) => Source::fixed(Tag::Date, i64::from(value)),
            Value::Time(value) => Source::fixed(Tag::Time, i64::from(value)),
            Value::Timestamp(value) => Source::fixed(Tag::Timestamp, value),
            Value::String(text) => {
                self.heap.extend_from_slice(text.as_bytes());
                payload(&self.heap, Tag::String)
            }
            Value::Number(text) => {
                self.heap.extend_from_slice(text.as_bytes());
                payload(&self.heap, Tag::Number)
            }
            Value::Bytes(bytes) => {
                self.heap.extend_from_slice(&bytes);
                payload(&self.heap, Tag::Bytes)
            }
            tree => {
                self.trees.push(tree);
                Source::Tree(self.trees.len() as u32 - 1)
            }
        }
    }
}

/// The inside of a JSON string without escapes: the text's own bytes, or `scratch`.
pub(super) fn string_inside<'t>(text: &'t [u8], scratch: &'t mut Vec<u8>) -> &'t [u8] {
    let inside = &text[1..text.len() - 1];
    if !inside.contains(&b'\\') {
        return inside;
    }
    scratch.clear();
    unescape(inside, scratch);
    scratch
}
