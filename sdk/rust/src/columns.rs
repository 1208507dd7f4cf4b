//! What a transform or predicate looks at (`wit/BATCH.md`, "Columns"): the columns of its plan, as typed cells.

use crate::arena::{Arena, RECORDS_MAX};
use crate::dictionary::DictionaryReader;
use crate::value::{is_json_number, tag};
use crate::{Malformed, Value};

const MAGIC: &[u8; 4] = b"TGC1";
const HEADER_BYTES: usize = 32;
pub(crate) const CELL_BYTES: usize = 16;

/// Columns of many records.
#[derive(Debug, Clone)]
pub struct Columns<'a> {
    arena: Arena<'a>,
    dictionary: DictionaryReader<'a>,
    columns: usize,
    count: usize,
    cells: usize,
    flags: Option<usize>,
    defaults: bool,
}

/// What one record has in one column, borrowed from the arena.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// There is no such field or header.
    Missing,
    /// Null.
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
    String(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A JSON number as its source text.
    Number(&'a str),
    /// An array, not decoded; see [`Columns::value`].
    Array,
    /// A map, not decoded.
    Map,
    /// A struct, not decoded.
    Struct,
    /// A decimal number, not decoded.
    Decimal,
    /// Days since 1970-01-01.
    Date(i32),
    /// Milliseconds since midnight.
    Time(i32),
    /// Milliseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
}

/// What a cell is, without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of `Cell`")]
pub enum Kind {
    Missing,
    Null,
    Boolean,
    Int8,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    String,
    Bytes,
    Number,
    Array,
    Map,
    Struct,
    Decimal,
    Date,
    Time,
    Timestamp,
}

impl<'a> Columns<'a> {
    /// Reads an arena. Transforms and predicates get theirs from the host.
    pub fn read(bytes: &'a [u8]) -> Result<Columns<'a>, Malformed> {
        let arena = Arena::open(bytes, HEADER_BYTES, MAGIC, 12)?;
        let columns = usize::from(arena.u16(6));
        let count = arena.u32(8) as usize;
        if count > RECORDS_MAX {
            return Err(Malformed::new("more than 65,536 records"));
        }
        let dictionary = DictionaryReader::read(arena, 20, 16)?;
        let cells = match arena.column(24, columns * count, CELL_BYTES)? {
            Some(cells) => cells,
            None if columns * count == 0 => 0,
            None => return Err(Malformed::new("there are no cells")),
        };
        let flags = arena.column(28, count, 1)?;
        if flags.is_some_and(|at| bytes[at..at + count].iter().any(|&flags| flags > 0b1111)) {
            return Err(Malformed::new("a record has a flag without meaning"));
        }
        Ok(Columns { arena, dictionary, columns, count, cells, flags, defaults: false })
    }

    /// The same columns with the default of its schema in place of every null that has one, or not.
    #[must_use]
    pub fn with_defaults(&self, defaults: bool) -> Columns<'a> {
        Columns { defaults, ..self.clone() }
    }

    /// The default of the schema of what is null in a column.
    pub fn default(&self, column: usize, record: usize) -> Result<Option<Value>, Malformed> {
        let at = self.written_at(column, record)?;
        match read_cell_header(self.arena, at)? {
            (tag::NULL, 1..) => self.with_defaults(true).value(column, record),
            _ => Ok(None),
        }
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Number of columns: those of the plan.
    pub fn column_count(&self) -> usize {
        self.columns
    }

    /// What a record has in a column, both by position. Asking for a column that the plan does not read is an error.
    pub fn cell(&self, column: usize, record: usize) -> Result<Cell<'a>, Malformed> {
        let (of_tag, data) = self.parts(column, record)?;
        Ok(match of_tag {
            tag::MISSING => Cell::Missing,
            tag::NULL => Cell::Null,
            tag::BOOLEAN => Cell::Boolean(data != 0),
            tag::INT8 => Cell::Int8(data as i8),
            tag::INT16 => Cell::Int16(data as i16),
            tag::INT32 => Cell::Int32(data as i32),
            tag::INT64 => Cell::Int64(data as i64),
            tag::FLOAT32 => Cell::Float32(f32::from_bits(data as u32)),
            tag::FLOAT64 => Cell::Float64(f64::from_bits(data)),
            tag::DATE => Cell::Date(data as i32),
            tag::TIME => Cell::Time(data as i32),
            tag::TIMESTAMP => Cell::Timestamp(data as i64),
            tag::STRING => Cell::String(self.text(column, record)?),
            tag::NUMBER => match self.text(column, record)? {
                number if is_json_number(number) => Cell::Number(number),
                _ => return Err(Malformed::new("a number is not one of JSON's")),
            },
            tag::BYTES => Cell::Bytes(self.payload(column, record)?),
            tag::ARRAY => Cell::Array,
            tag::MAP | tag::KEYED_MAP => Cell::Map,
            tag::STRUCT => Cell::Struct,
            tag::DECIMAL => Cell::Decimal,
            _ => return Err(Malformed::new("a cell has an unknown tag")),
        })
    }

    /// What a record has in a column, without looking at its content.
    pub fn kind(&self, column: usize, record: usize) -> Result<Kind, Malformed> {
        Ok(match self.parts(column, record)?.0 {
            tag::MISSING => Kind::Missing,
            tag::NULL => Kind::Null,
            tag::BOOLEAN => Kind::Boolean,
            tag::INT8 => Kind::Int8,
            tag::INT16 => Kind::Int16,
            tag::INT32 => Kind::Int32,
            tag::INT64 => Kind::Int64,
            tag::FLOAT32 => Kind::Float32,
            tag::FLOAT64 => Kind::Float64,
            tag::STRING => Kind::String,
            tag::BYTES => Kind::Bytes,
            tag::NUMBER => Kind::Number,
            tag::ARRAY => Kind::Array,
            tag::MAP | tag::KEYED_MAP => Kind::Map,
            tag::STRUCT => Kind::Struct,
            tag::DECIMAL => Kind::Decimal,
            tag::DATE => Kind::Date,
            tag::TIME => Kind::Time,
            tag::TIMESTAMP => Kind::Timestamp,
            _ => return Err(Malformed::new("a cell has an unknown tag")),
        })
    }

    /// As [`cell`](Columns::cell), decoded; none for a cell that is missing.
    pub fn value(&self, column: usize, record: usize) -> Result<Option<Value>, Malformed> {
        Ok(Some(match self.cell(column, record)? {
            Cell::Missing => return Ok(None),
            Cell::Null => Value::Null,
            Cell::Boolean(value) => Value::Boolean(value),
            Cell::Int8(value) => Value::Int8(value),
            Cell::Int16(value) => Value::Int16(value),
            Cell::Int32(value) => Value::Int32(value),
            Cell::Int64(value) => Value::Int64(value),
            Cell::Float32(value) => Value::Float32(value),
            Cell::Float64(value) => Value::Float64(value),
            Cell::Date(value) => Value::Date(value),
            Cell::Time(value) => Value::Time(value),
            Cell::Timestamp(value) => Value::Timestamp(value),
            Cell::String(text) => Value::String(text.to_owned()),
            Cell::Number(text) => Value::Number(text.to_owned()),
            Cell::Bytes(bytes) => Value::Bytes(bytes.to_vec()),
            Cell::Array | Cell::Map | Cell::Struct | Cell::Decimal => {
                let (of_tag, _) = self.parts(column, record)?;
                Value::read_payload(of_tag, self.payload(column, record)?, &self.dictionary)?
            }
        }))
    }

    /// Whether the record's value is null.
    pub fn value_is_null(&self, record: usize) -> bool {
        self.flags(record) & 1 != 0
    }

    /// Whether the record's key is null.
    pub fn key_is_null(&self, record: usize) -> bool {
        self.flags(record) & 2 != 0
    }

    /// Whether the record's value has a schema.
    pub fn value_has_schema(&self, record: usize) -> bool {
        self.flags(record) & 4 != 0
    }

    /// Whether the record's key has a schema.
    pub fn key_has_schema(&self, record: usize) -> bool {
        self.flags(record) & 8 != 0
    }

    /// The flags of all records; none if all bits are 0.
    pub fn all_flags(&self) -> Option<&'a [u8]> {
        self.flags.map(|at| &self.arena.bytes()[at..at + self.count])
    }

    fn flags(&self, record: usize) -> u8 {
        assert!(record < self.count, "record {record} of {}", self.count);
        self.flags.map_or(0, |at| self.arena.bytes()[at + record])
    }

    fn written_at(&self, column: usize, record: usize) -> Result<usize, Malformed> {
        match column < self.columns && record < self.count {
            true => Ok(self.cells + CELL_BYTES * (column * self.count + record)),
            false => Err(Malformed::new("the host sent fewer columns than the plan reads")),
        }
    }

    /// Where a cell stands, or the default of one that is null.
    fn at(&self, column: usize, record: usize) -> Result<usize, Malformed> {
        let at = self.written_at(column, record)?;
        match read_cell_header(self.arena, at)? {
            (tag::NULL, default @ 1..) => {
                let default = u32::try_from(default).unwrap_or(u32::MAX);
                self.arena.range(default, CELL_BYTES as u32)?;
                match read_cell_header(self.arena, default as usize)?.0 {
                    tag::NULL | tag::MISSING => Err(Malformed::new("a default that is null")),
                    _ if self.defaults => Ok(default as usize),
                    _ => Ok(at),
                }
            }
            _ => Ok(at),
        }
    }

    /// Tag and data of a cell that was checked.
    fn parts(&self, column: usize, record: usize) -> Result<(u8, u64), Malformed> {
        let at = self.at(column, record)?;
        read_cell_header(self.arena, at)
    }

    fn payload(&self, column: usize, record: usize) -> Result<&'a [u8], Malformed> {
        let at = self.at(column, record)?;
        let offset = u32::try_from(self.arena.u64(at + 8))
            .map_err(|_| Malformed::new("the data of a cell lies outside the arena"))?;
        self.arena.range(offset, self.arena.u32(at + 4))
    }

    fn text(&self, column: usize, record: usize) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.payload(column, record)?).map_err(|_| Malformed::new("a text is not UTF-8"))
    }
}

/// Checks what a cell holds itself: the length that its tag has, and data that is a number of the type. Answers tag and data.
pub(crate) fn read_cell_header(arena: Arena<'_>, at: usize) -> Result<(u8, u64), Malformed> {
    let of_tag = arena.u32(at);
    let Ok(of_tag) = u8::try_from(of_tag) else { return Err(Malformed::new("the unused bytes of a cell are not 0")) };
    let (length, data) = (arena.u32(at + 4), arena.u64(at + 8));
    let signed = data as i64;
    let fits = match of_tag {
        tag::NULL => length == 0,
        tag::MISSING => length == 0 && data == 0,
        tag::BOOLEAN => length == 1 && data <= 1,
        tag::INT8 => length == 1 && i8::try_from(signed).is_ok(),
        tag::INT16 => length == 2 && i16::try_from(signed).is_ok(),
        tag::INT32 | tag::DATE | tag::TIME => length == 4 && i32::try_from(signed).is_ok(),
        tag::FLOAT32 => length == 4 && u32::try_from(data).is_ok(),
        tag::INT64 | tag::FLOAT64 | tag::TIMESTAMP => length == 8,
        _ => true,
    };
    if fits { Ok((of_tag, data)) } else { Err(Malformed::new("a cell does not hold what its tag says")) }
}
