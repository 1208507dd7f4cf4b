//! Makes the columns of a plan from whole records, as the host does from its index.

use super::TestRecord;
use crate::batch::put;
use crate::columns::CELL_BYTES;
use crate::dictionary::{Dictionary, align};
use crate::edits::write_cell;
use crate::{Column, Place, Schema, Value};

const HEADER_BYTES: usize = 32;

pub(super) fn write(columns: &[Column], records: &[TestRecord]) -> Vec<u8> {
    let mut arena = vec![0; HEADER_BYTES];
    let mut dictionary = Dictionary::default();
    let cells = arena.len();
    arena.resize(cells + CELL_BYTES * columns.len() * records.len(), 0);
    for (at, column) in columns.iter().enumerate() {
        for (index, record) in records.iter().enumerate() {
            let found = cell_of(record, column);
            let at = cells + CELL_BYTES * (at * records.len() + index);
            write_cell(&mut arena, at, found.as_ref().map(|(value, _)| value), &mut dictionary);
            if let Some((Value::Null, Some(schema))) = &found
                && let Some(default) = default_of(schema)
            {
                align(&mut arena);
                let default_at = arena.len();
                arena.resize(default_at + CELL_BYTES, 0);
                write_cell(&mut arena, default_at, Some(&default), &mut dictionary);
                put(&mut arena, at + 8, default_at as u32);
            }
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

/// What a record has in a column, with its schema; none: missing.
pub(super) fn cell_of(record: &TestRecord, column: &Column) -> Option<(Value, Option<Schema>)> {
    let (whole, schema) = match column.place {
        Place::Value => (&record.value, &record.value_schema),
        Place::Key => (&record.key, &record.key_schema),
        Place::Header => {
            // As Connect's `lastWithName`.
            let name = column.path.first()?;
            let header = record.headers.iter().rev().find(|(header, _, _)| header == name);
            return header.map(|(_, schema, value)| (value.clone(), schema.clone()));
        }
        Place::Topic => return Some((record.topic.as_str().into(), None)),
        Place::Partition => return Some((record.partition.into(), None)),
        Place::Offset => return Some((record.offset.into(), None)),
        Place::Timestamp => return Some((record.timestamp.map_or(Value::Null, Value::Timestamp), None)),
    };
    let mut value = whole;
    let mut schema = schema.as_ref();
    for name in &column.path {
        schema = schema.and_then(|schema| schema.field(name)).map(|field| &field.schema);
        match value.field(name) {
            Some(field) => value = field,
            // A field that the schema has and the value leaves out is null, as are the fields of a null.
            None if schema.is_some() && matches!(value, Value::Struct(_) | Value::Null) => value = &Value::Null,
            None => return None,
        }
    }
    Some((value.clone(), schema.cloned()))
}

/// The default of a schema as a value.
pub(super) fn default_of(schema: &Schema) -> Option<Value> {
    let default = schema.default.as_ref()?;
    super::json::value_of(default, Some(schema)).ok()
}
