//! Columns: what a transform or predicate gets to see, `k` columns of `n` cells each.

use crate::arena::{Arena, append_column, append_dictionary, check_size, put_u32};
use crate::cell::{CELL_BYTES, Cell, check, default_offset, heap_cell, null_with_default};
use crate::malformed::{Malformed, Reason};
use crate::tlv::{Dictionary, Tag};
use crate::value::Value;

/// The first four bytes.
pub const MAGIC: &[u8; 4] = b"TGC1";

const HEADER_BYTES: usize = 32;
const NO_CELL: [u8; CELL_BYTES] = [255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Flags of a record in columns.
pub mod record_flags {
    /// The value is null.
    pub const VALUE_NULL: u8 = 1;
    /// The key is null.
    pub const KEY_NULL: u8 = 2;
    /// The value has a schema.
    pub const VALUE_SCHEMA: u8 = 4;
    /// The key has a schema.
    pub const KEY_SCHEMA: u8 = 8;
    pub(super) const ALL: u8 = 15;
}

/// Makes columns; buffers are kept from batch to batch.
#[derive(Debug, Default)]
pub struct ColumnsWriter {
    arena: Vec<u8>,
    columns: usize,
    records: usize,
    names: Dictionary,
    flags: Vec<u8>,
}

impl ColumnsWriter {
    /// A writer without columns.
    pub fn new() -> ColumnsWriter {
        ColumnsWriter::default()
    }

    /// Begins `columns` × `records` cells, all missing, with all flags 0.
    pub fn begin(&mut self, columns: usize, records: usize) {
        self.columns = columns;
        self.records = records;
        self.names.clear();
        self.flags.clear();
        self.arena.clear();
        self.arena.resize(HEADER_BYTES, 0);
        for _ in 0..columns * records {
            self.arena.extend_from_slice(&NO_CELL);
        }
    }

    /// Sets a cell. Panics where there is no such column or record: the caller owns both numbers.
    #[inline]
    pub fn set(&mut self, column: usize, record: usize, cell: Cell<'_>) {
        let bytes = cell.write(&mut self.arena);
        self.put(column, record, bytes);
    }

    /// Sets a cell to the payload that `write` appends; nodes in it use the given dictionary. As [`ColumnsWriter::set`].
    pub fn set_with(
        &mut self,
        column: usize,
        record: usize,
        tag: Tag,
        write: impl FnOnce(&mut Vec<u8>, &mut Dictionary),
    ) {
        let names = &mut self.names;
        let bytes = heap_cell(tag, &mut self.arena, |heap| write(heap, names));
        self.put(column, record, bytes);
    }

    /// Sets a cell to a tree. As [`ColumnsWriter::set`].
    pub fn set_tree(&mut self, column: usize, record: usize, value: &Value) {
        let bytes = Cell::write_tree(value, &mut self.names, &mut self.arena);
        self.put(column, record, bytes);
    }

    /// Sets a cell to a null whose schema has this default. As [`ColumnsWriter::set`].
    pub fn set_null(&mut self, column: usize, record: usize, default: &Value) {
        let cell = Cell::write_tree(default, &mut self.names, &mut self.arena);
        let offset = self.arena.len();
        self.arena.extend_from_slice(&cell);
        self.put(column, record, null_with_default(offset));
    }

    #[inline]
    fn put(&mut self, column: usize, record: usize, cell: [u8; CELL_BYTES]) {
        assert!(column < self.columns && record < self.records, "cell outside the columns that were begun");
        let at = HEADER_BYTES + (column * self.records + record) * CELL_BYTES;
        self.arena[at..at + CELL_BYTES].copy_from_slice(&cell);
    }

    /// Sets the flags of a record, see [`record_flags`].
    pub fn flags(&mut self, record: usize, flags: u8) {
        if flags != 0 && self.flags.len() <= record {
            self.flags.resize(self.records, 0);
        }
        if let Some(slot) = self.flags.get_mut(record) {
            *slot = flags;
        }
    }

    /// Puts dictionary, flags and header in place. An error: a limit of the format is exceeded.
    pub fn finish(&mut self) -> Result<&[u8], Malformed> {
        let Ok(columns) = u16::try_from(self.columns) else {
            return Err(Malformed::new(Reason::Limit, format!("{} columns", self.columns)).of("columns"));
        };
        if self.records > crate::arena::RECORDS_MAX {
            return Err(Malformed::new(Reason::Limit, format!("{} records", self.records)).of("columns"));
        }
        let dictionary = append_dictionary(&mut self.arena, &self.names);
        let flags = append_column(&mut self.arena, &self.flags);
        check_size(&self.arena).map_err(|malformed| malformed.of("columns"))?;
        let length = self.arena.len() as u32;
        let cells = if self.columns * self.records == 0 { 0 } else { HEADER_BYTES as u32 };
        let header = &mut self.arena[..HEADER_BYTES];
        header[..4].copy_from_slice(MAGIC);
        header[4..6].copy_from_slice(&1u16.to_le_bytes());
        header[6..8].copy_from_slice(&columns.to_le_bytes());
        put_u32(header, 8, self.records as u32);
        put_u32(header, 12, length);
        put_u32(header, 16, self.names.len() as u32);
        put_u32(header, 20, dictionary);
        put_u32(header, 24, cells);
        put_u32(header, 28, flags);
        Ok(&self.arena)
    }

    /// As [`ColumnsWriter::finish`], but gives the bytes away; the next columns begin with [`ColumnsWriter::begin`].
    pub fn take(&mut self) -> Result<Vec<u8>, Malformed> {
        self.finish()?;
        let capacity = self.arena.len();
        Ok(std::mem::replace(&mut self.arena, Vec::with_capacity(capacity)))
    }
}

/// Columns that were checked as a whole.
#[derive(Clone, Debug)]
pub struct ColumnsReader<'a> {
    bytes: &'a [u8],
    columns: usize,
    records: usize,
    names: Vec<&'a str>,
    cells: &'a [[u8; CELL_BYTES]],
    flags: &'a [[u8; 1]],
}

impl<'a> ColumnsReader<'a> {
    /// Checks everything that the format promises.
    pub fn parse(bytes: &'a [u8]) -> Result<ColumnsReader<'a>, Malformed> {
        parse(bytes).map_err(|malformed| malformed.of("columns"))
    }

    /// How many columns there are.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// How many records there are.
    pub fn records(&self) -> usize {
        self.records
    }

    /// The dictionary.
    pub fn names(&self) -> &[&'a str] {
        &self.names
    }

    /// A cell; missing outside the columns.
    #[inline]
    pub fn cell(&self, column: usize, record: usize) -> Cell<'a> {
        if record >= self.records {
            return Cell::Missing;
        }
        self.cells.get(column * self.records + record).map_or(Cell::Missing, |cell| Cell::read(cell, self.bytes))
    }

    /// The default of the schema of a cell that is null; missing where there is none.
    pub fn default(&self, column: usize, record: usize) -> Cell<'a> {
        let cell = self.cells.get(column * self.records + record).filter(|_| record < self.records);
        let default = cell.and_then(default_offset).and_then(|offset| {
            let rest = self.bytes.get(usize::try_from(offset).ok()?..)?;
            rest.first_chunk::<CELL_BYTES>()
        });
        default.map_or(Cell::Missing, |cell| Cell::read(cell, self.bytes))
    }

    /// The flags of a record, see [`record_flags`].
    pub fn flags(&self, record: usize) -> u8 {
        self.flags.get(record).map_or(0, |[flags]| *flags)
    }

    /// The JSON form.
    pub fn to_json(&self) -> String {
        let mut out = Vec::new();
        out.extend_from_slice(b"{\"count\":");
        out.extend_from_slice(itoa::Buffer::new().format(self.records).as_bytes());
        out.extend_from_slice(b",\"columns\":");
        self.write_columns(&mut out, |out, column| {
            write_array(out, 0..self.records, |out, record| {
                self.cell(column, record).to_value(&self.names).unwrap_or(Value::Null).write_json(out);
            });
        });
        out.extend_from_slice(b",\"missing\":");
        self.write_columns(&mut out, |out, column| {
            let missing = (0..self.records).filter(|record| self.cell(column, *record) == Cell::Missing);
            write_array(out, missing, |out, record| {
                out.extend_from_slice(itoa::Buffer::new().format(record).as_bytes());
            });
        });
        if self.cells.iter().any(|cell| default_offset(cell).is_some()) {
            out.extend_from_slice(b",\"defaults\":");
            self.write_columns(&mut out, |out, column| {
                let defaults = (0..self.records)
                    .filter_map(|record| Some((record, self.default(column, record).to_value(&self.names)?)));
                write_array(out, defaults, |out, (record, default)| {
                    out.push(b'[');
                    out.extend_from_slice(itoa::Buffer::new().format(record).as_bytes());
                    out.push(b',');
                    default.write_json(out);
                    out.push(b']');
                });
            });
        }
        if self.flags.iter().any(|[flags]| *flags != 0) {
            out.extend_from_slice(b",\"flags\":");
            write_array(&mut out, self.flags, |out, [flags]| {
                out.extend_from_slice(itoa::Buffer::new().format(*flags).as_bytes());
            });
        }
        out.push(b'}');
        String::from_utf8(out).expect("JSON is written from strings")
    }

    fn write_columns(&self, out: &mut Vec<u8>, column: impl FnMut(&mut Vec<u8>, usize)) {
        write_array(out, 0..self.columns, column);
    }
}

fn write_array<T>(out: &mut Vec<u8>, items: impl IntoIterator<Item = T>, mut item: impl FnMut(&mut Vec<u8>, T)) {
    out.push(b'[');
    for (i, part) in items.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        item(out, part);
    }
    out.push(b']');
}

fn parse(bytes: &[u8]) -> Result<ColumnsReader<'_>, Malformed> {
    let mut arena = Arena::open(bytes, HEADER_BYTES, MAGIC)?;
    let columns = usize::from(arena.u16(6));
    let records = arena.records(8)?;
    let names = arena.dictionary(16, 20)?;
    let cells = arena.column(arena.u32(24), columns * records, "cells")?;
    if cells.len() != columns * records {
        return Err(Malformed::new(Reason::Offset, "cells are absent"));
    }
    for cell in cells {
        match default_offset(cell) {
            None => check(cell, &mut arena, names.len())?,
            Some(offset) => check_default(offset, &mut arena, names.len())?,
        }
    }
    let flags = arena.column(arena.u32(28), records, "record flags")?;
    if let Some([flags]) = flags.iter().find(|[flags]| flags & !record_flags::ALL != 0) {
        return Err(Malformed::new(Reason::Field, format!("record flags {flags:#04x}")));
    }
    Ok(ColumnsReader { bytes, columns, records, names, cells, flags })
}

/// Checks the default of a null, which is neither null nor missing.
fn check_default(offset: u64, arena: &mut Arena<'_>, names: usize) -> Result<(), Malformed> {
    let outside = || Malformed::new(Reason::Offset, format!("default of a cell at {offset}"));
    let bytes = arena.slice(usize::try_from(offset).map_err(|_| outside())?, CELL_BYTES, "default of a cell")?;
    let cell = bytes.first_chunk::<CELL_BYTES>().ok_or_else(outside)?;
    check(cell, arena, names)?;
    match cell[0] {
        tag if tag == Tag::Null as u8 || tag == Tag::Missing as u8 => {
            Err(Malformed::new(Reason::Tag, "default that is null"))
        }
        _ => Ok(()),
    }
}
