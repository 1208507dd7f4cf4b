//! Makes the columns of a plan from whole records, as the host does from its index.

use super::TestRecord;
use crate::batch::put;
use crate::columns::CELL_BYTES;
use crate::dictionary::{Dictionary, align};
use crate::edits::write_cell;
use crate::{Column, Place, Value};

const HEADER_BYTES: usize = 32;

pub(super) fn write(columns: &[Column], records: &[TestRecord]) -> Vec<u8> {
    let mut arena = vec![0; HEADER_BYTES];
    let mut dictionary = Dictionary::default();
    let cells = arena.len();
    arena.resize(cells + CELL_BYTES * columns.len() * records.len(), 0);
    for (at, column) in columns.iter().enumerate() {
        for (index, record) in records.iter().enumerate() {
            let value = cell_of(record, column);
            let at = cells + CELL_BYTES * (at * records.len() + index);
            write_cell(&mut arena, at, value.as_ref(), &mut dictionary);
        }
    }
    let flags: Vec<u8> = records.iter().map(flags_of).collect();
    let flags_at = if flags.iter().all(|&flags| flags == 0) { 0 } else { arena.len() as u32 };
    arena.extend_from_slice(&flags);
    let dictionary_at = dictionary.write(&mut arena);
    align(&mut arena);
    arena[..4].copy_from_slice(b"TGC1");
    arena[4] = 1;
    arena[6..8].copy_from_slice(&(columns.len() as u16).to_le_bytes());
    let length = arena.len() as u32;
    let cells = if columns.is_empty() { 0 } else { cells as u32 };
    let header = [
        (8, records.len() as u32),
        (12, length),
        (16, dictionary.len() as u32),
        (20, dictionary_at),
        (24, cells),
        (28, flags_at),
    ];
    header.into_iter().for_each(|(at, number)| put(&mut arena, at, number));
    arena
}

fn flags_of(record: &TestRecord) -> u8 {
    u8::from(record.value == Value::Null)
        | u8::from(record.key == Value::Null) << 1
        | u8::from(record.value_schema.is_some()) << 2
        | u8::from(record.key_schema.is_some()) << 3
}

/// What a record has in a column; none: missing.
pub(super) fn cell_of(record: &TestRecord, column: &Column) -> Option<Value> {
    let (whole, schema) = match column.place {
        Place::Value => (&record.value, &record.value_schema),
        Place::Key => (&record.key, &record.key_schema),
        Place::Header => {
            // As Connect's `lastWithName`.
            let name = column.path.first()?;
            return record
                .headers
                .iter()
                .rev()
                .find(|(header, _, _)| header == name)
                .map(|(_, _, value)| value.clone());
        }
        Place::Topic => return Some(record.topic.as_str().into()),
        Place::Partition => return Some(record.partition.into()),
        Place::Offset => return Some(record.offset.into()),
        Place::Timestamp => return Some(record.timestamp.map_or(Value::Null, Value::Timestamp)),
    };
    let mut value = whole;
    let mut schema = schema.as_ref();
    for name in &column.path {
        schema = schema.and_then(|schema| schema.field(name)).map(|field| &field.schema);
        match value.field(name) {
            Some(field) => value = field,
            // A field of a struct that the schema has and the value leaves out is null.
            None if schema.is_some() && matches!(value, Value::Struct(_)) => return Some(Value::Null),
            None => return None,
        }
    }
    Some(value.clone())
}
