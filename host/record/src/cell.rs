//! Cells: one value each of columns and edits, 16 bytes wide, larger values in the heap behind them.

use crate::arena::Arena;
use crate::decimal::Decimal;
use crate::malformed::{Malformed, Reason};
use crate::tlv::{Allowed, Dictionary, Tag, check_payload};
use crate::value::Value;

/// Bytes of a cell.
pub(crate) const CELL_BYTES: usize = 16;

/// The value of a cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// There is no such field or header.
    Missing,
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
    String(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A JSON number as its source text.
    Number(&'a str),
    /// An array, map, struct or general map: the payload of such a node. Its names are of the arena's dictionary.
    Nested(Tag, &'a [u8]),
    /// Scale and unscaled value.
    Decimal(i32, &'a [u8]),
    /// Days since 1970-01-01.
    Date(i32),
    /// Milliseconds since midnight.
    Time(i32),
    /// Milliseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
}

impl<'a> Cell<'a> {
    /// The tag.
    pub fn tag(&self) -> Tag {
        match self {
            Cell::Missing => Tag::Missing,
            Cell::Null => Tag::Null,
            Cell::Boolean(_) => Tag::Boolean,
            Cell::Int8(_) => Tag::Int8,
            Cell::Int16(_) => Tag::Int16,
            Cell::Int32(_) => Tag::Int32,
            Cell::Int64(_) => Tag::Int64,
            Cell::Float32(_) => Tag::Float32,
            Cell::Float64(_) => Tag::Float64,
            Cell::String(_) => Tag::String,
            Cell::Bytes(_) => Tag::Bytes,
            Cell::Number(_) => Tag::Number,
            Cell::Nested(tag, _) => *tag,
            Cell::Decimal(..) => Tag::Decimal,
            Cell::Date(_) => Tag::Date,
            Cell::Time(_) => Tag::Time,
            Cell::Timestamp(_) => Tag::Timestamp,
        }
    }

    /// The value as a tree; none where there is no such field.
    pub fn to_value(&self, names: &[&str]) -> Option<Value> {
        Some(match *self {
            Cell::Missing => return None,
            Cell::Null => Value::Null,
            Cell::Boolean(value) => Value::Boolean(value),
            Cell::Int8(value) => Value::Int8(value),
            Cell::Int16(value) => Value::Int16(value),
            Cell::Int32(value) => Value::Int32(value),
            Cell::Int64(value) => Value::Int64(value),
            Cell::Float32(value) => Value::Float32(value),
            Cell::Float64(value) => Value::Float64(value),
            Cell::String(text) => Value::string(text),
            Cell::Bytes(bytes) => Value::Bytes(bytes.to_vec()),
            Cell::Number(text) => Value::Number(text.to_owned()),
            Cell::Nested(tag, payload) => Value::from_payload(tag, payload, names),
            Cell::Decimal(scale, unscaled) => Value::Decimal(Decimal { scale, unscaled: unscaled.to_vec() }),
            Cell::Date(days) => Value::Date(days),
            Cell::Time(millis) => Value::Time(millis),
            Cell::Timestamp(millis) => Value::Timestamp(millis),
        })
    }

    /// Looks at a cell that [`check`] has seen.
    #[inline]
    pub(crate) fn read(cell: &[u8; CELL_BYTES], arena: &'a [u8]) -> Cell<'a> {
        let (tag, length, data) = split(cell);
        let payload = || arena.get(data as usize..).and_then(|rest| rest.get(..length)).unwrap_or_default();
        let text = || simdutf8::basic::from_utf8(payload()).unwrap_or_default();
        match Tag::of(tag).unwrap_or(Tag::Missing) {
            Tag::Missing => Cell::Missing,
            Tag::Null => Cell::Null,
            Tag::Boolean => Cell::Boolean(data != 0),
            Tag::Int8 => Cell::Int8(data as i8),
            Tag::Int16 => Cell::Int16(data as i16),
            Tag::Int32 => Cell::Int32(data as i32),
            Tag::Int64 => Cell::Int64(data as i64),
            Tag::Float32 => Cell::Float32(f32::from_bits(data as u32)),
            Tag::Float64 => Cell::Float64(f64::from_bits(data)),
            Tag::String => Cell::String(text()),
            Tag::Bytes => Cell::Bytes(payload()),
            Tag::Number => Cell::Number(text()),
            tag @ (Tag::Array | Tag::Map | Tag::Struct | Tag::Pairs) => Cell::Nested(tag, payload()),
            Tag::Decimal => match payload().split_first_chunk::<4>() {
                Some((scale, unscaled)) => Cell::Decimal(i32::from_le_bytes(*scale), unscaled),
                None => Cell::Null,
            },
            Tag::Date => Cell::Date(data as i32),
            Tag::Time => Cell::Time(data as i32),
            Tag::Timestamp => Cell::Timestamp(data as i64),
        }
    }

    /// The 16 bytes of a cell; what does not fit goes to the end of `heap`. `Nested` payloads have to use the names of the
    /// dictionary that is written with the heap.
    #[inline]
    pub(crate) fn write(&self, heap: &mut Vec<u8>) -> [u8; CELL_BYTES] {
        let tag = self.tag();
        let data = match *self {
            Cell::Missing | Cell::Null => 0,
            Cell::Boolean(value) => u64::from(value),
            Cell::Int8(value) => value as u64,
            Cell::Int16(value) => value as u64,
            Cell::Int32(value) | Cell::Date(value) | Cell::Time(value) => value as u64,
            Cell::Int64(value) | Cell::Timestamp(value) => value as u64,
            Cell::Float32(value) => u64::from(value.to_bits()),
            Cell::Float64(value) => value.to_bits(),
            Cell::String(text) | Cell::Number(text) => {
                return heap_cell(tag, heap, |heap| heap.extend(text.as_bytes()));
            }
            Cell::Bytes(bytes) | Cell::Nested(_, bytes) => return heap_cell(tag, heap, |heap| heap.extend(bytes)),
            Cell::Decimal(scale, unscaled) => {
                return heap_cell(tag, heap, |heap| {
                    heap.extend(scale.to_le_bytes());
                    heap.extend(unscaled);
                });
            }
        };
        join(tag, tag.fixed_size().unwrap_or(0), data)
    }

    /// As [`Cell::write`], from a tree.
    pub(crate) fn write_tree(value: &Value, names: &mut Dictionary, heap: &mut Vec<u8>) -> [u8; CELL_BYTES] {
        let tag = value.tag();
        if tag.fixed_size().is_some() {
            let mut scalar = Vec::new();
            let cell = match *value {
                Value::Boolean(value) => Cell::Boolean(value),
                Value::Int8(value) => Cell::Int8(value),
                Value::Int16(value) => Cell::Int16(value),
                Value::Int32(value) => Cell::Int32(value),
                Value::Int64(value) => Cell::Int64(value),
                Value::Float32(value) => Cell::Float32(value),
                Value::Float64(value) => Cell::Float64(value),
                Value::Date(days) => Cell::Date(days),
                Value::Time(millis) => Cell::Time(millis),
                Value::Timestamp(millis) => Cell::Timestamp(millis),
                _ => Cell::Null,
            };
            return cell.write(&mut scalar);
        }
        heap_cell(tag, heap, |heap| value.write_payload(names, heap))
    }
}

#[inline]
pub(crate) fn heap_cell(tag: Tag, heap: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> [u8; CELL_BYTES] {
    let offset = heap.len();
    write(heap);
    join(tag, heap.len() - offset, offset as u64)
}

#[inline]
fn join(tag: Tag, length: usize, data: u64) -> [u8; CELL_BYTES] {
    let mut cell = [0; CELL_BYTES];
    cell[0] = tag as u8;
    cell[4..8].copy_from_slice(&(length as u32).to_le_bytes());
    cell[8..].copy_from_slice(&data.to_le_bytes());
    cell
}

#[inline]
fn split(cell: &[u8; CELL_BYTES]) -> (u8, usize, u64) {
    let [tag, _, _, _, l0, l1, l2, l3, data @ ..] = *cell;
    (tag, u32::from_le_bytes([l0, l1, l2, l3]) as usize, u64::from_le_bytes(data))
}

/// Where the default of a null stands, which only columns have.
pub(crate) fn default_offset(cell: &[u8; CELL_BYTES]) -> Option<u64> {
    match split(cell) {
        (tag, 0, data @ 1..) if tag == Tag::Null as u8 && cell[1..4] == [0; 3] => Some(data),
        _ => None,
    }
}

/// A null with a default.
pub(crate) fn null_with_default(offset: usize) -> [u8; CELL_BYTES] {
    join(Tag::Null, 0, offset as u64)
}

/// Checks a cell with everything it refers to.
pub(crate) fn check(cell: &[u8; CELL_BYTES], arena: &mut Arena<'_>, names: usize) -> Result<(), Malformed> {
    let (byte, length, data) = split(cell);
    let Some(tag) = Tag::of(byte) else {
        return Err(Malformed::new(Reason::Tag, format!("tag {byte} in a cell")));
    };
    if cell[1..4] != [0; 3] {
        return Err(Malformed::new(Reason::Field, "bytes 1 to 3 of a cell are not 0"));
    }
    let Some(size) = tag.fixed_size() else {
        let offset =
            usize::try_from(data).map_err(|_| Malformed::new(Reason::Offset, format!("cell refers to {data}")))?;
        let payload = arena.slice(offset, length, "cell")?;
        return check_payload(tag, payload, Allowed { names, numbers: true });
    };
    if length != size {
        return Err(Malformed::new(Reason::Payload, format!("{tag:?} of {length} bytes in a cell")));
    }
    let signed = data as i64;
    let fits = match tag {
        Tag::Null | Tag::Missing => data == 0,
        Tag::Boolean => data <= 1,
        Tag::Int8 => i8::try_from(signed).is_ok(),
        Tag::Int16 => i16::try_from(signed).is_ok(),
        Tag::Int32 | Tag::Date | Tag::Time => i32::try_from(signed).is_ok(),
        Tag::Float32 => u32::try_from(data).is_ok(),
        _ => true,
    };
    if !fits {
        return Err(Malformed::new(Reason::Payload, format!("{tag:?} with data {data:#x}")));
    }
    Ok(())
}
