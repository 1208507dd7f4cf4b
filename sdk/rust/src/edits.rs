//! What a transform answers (`wit/BATCH.md`, "Edits"): changes to columns, for all records or for those of a bitmap.

#[cfg(not(target_family = "wasm"))]
use crate::Malformed;
use crate::batch::put;
use crate::columns::{CELL_BYTES, Cell};
use crate::dictionary::{Dictionary, align};
use crate::transform::Place;
use crate::value::tag;
use crate::{Result, Schema, Value};

const MAGIC: &[u8; 4] = b"TGE1";
const HEADER_BYTES: usize = 40;

/// The operations of the format.
pub(crate) mod op {
    pub(crate) const REMOVE: u16 = 1;
    pub(crate) const SET_CONSTANT: u16 = 2;
    pub(crate) const SET_VALUES: u16 = 3;
    pub(crate) const RENAME: u16 = 4;
    pub(crate) const COPY: u16 = 5;
    pub(crate) const MOVE: u16 = 6;
    pub(crate) const RETAIN: u16 = 7;
    pub(crate) const FLATTEN: u16 = 8;
    pub(crate) const HOIST: u16 = 9;
    pub(crate) const EXTRACT: u16 = 10;
    pub(crate) const DEFAULTS: u16 = 11;
    pub(crate) const COLLECT: u16 = 12;
    pub(crate) const EXPLODE: u16 = 13;
}

/// One bit per record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bitmap {
    bytes: Vec<u8>,
    count: usize,
}

impl Bitmap {
    /// A bitmap of `count` records with every bit as `value`.
    pub fn new(count: usize, value: bool) -> Bitmap {
        let mut bytes = vec![if value { 0xFF } else { 0 }; count.div_ceil(8)];
        if let (true, Some(last)) = (value && !count.is_multiple_of(8), bytes.last_mut()) {
            *last = (1 << (count % 8)) - 1;
        }
        Bitmap { bytes, count }
    }

    /// A bitmap with the bits that a function answers.
    pub fn of(count: usize, mut bit: impl FnMut(usize) -> bool) -> Bitmap {
        let mut bitmap = Bitmap::new(count, false);
        (0..count).filter(|&record| bit(record)).for_each(|record| bitmap.set(record, true));
        bitmap
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether it is a bitmap of no records.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The bit of a record, which must be below [`len`](Bitmap::len).
    pub fn get(&self, record: usize) -> bool {
        self.bytes[record / 8] >> (record % 8) & 1 != 0
    }

    /// Sets the bit of a record, which must be below [`len`](Bitmap::len).
    pub fn set(&mut self, record: usize, value: bool) {
        assert!(record < self.count, "record {record} of {}", self.count);
        let bit = 1 << (record % 8);
        if value {
            self.bytes[record / 8] |= bit;
        } else {
            self.bytes[record / 8] &= !bit;
        }
    }

    /// Whether every bit is set.
    pub fn all(&self) -> bool {
        *self == Bitmap::new(self.count, true)
    }

    /// Whether no bit is set.
    pub fn none(&self) -> bool {
        self.bytes.iter().all(|&byte| byte == 0)
    }

    /// The bytes of the format: record 0 in the lowest bit of the first.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Why a single record failed; what Connect's exception class would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The data does not fit: DataException.
    Data,
    /// ConfigException.
    Config,
    /// IllegalArgumentException.
    IllegalArgument,
    /// NullPointerException.
    NullPointer,
    /// ConnectException.
    Other,
}

impl FailureKind {
    #[cfg(not(target_family = "wasm"))]
    pub(crate) const ALL: [FailureKind; 5] = [
        FailureKind::Data,
        FailureKind::Config,
        FailureKind::IllegalArgument,
        FailureKind::NullPointer,
        FailureKind::Other,
    ];
}

/// What becomes of a record whose target is taken apart.
#[derive(Debug, Clone, Default)]
pub struct Explode {
    /// The position in the plan's `write` of what is set to the element's index, or to the entry's key.
    pub index: Option<usize>,
    /// Whether a record without elements stays, with null in place of the element. It is dropped if not.
    pub keeps_empty: bool,
    /// Whether the element becomes the whole key or value. It takes the place of the target if not.
    pub takes_whole: bool,
    /// How many elements a record may have, which the key `max.records` of a definition should say; 0 leaves it to the host.
    /// A record with more fails.
    pub records_max: u32,
}

/// The edits to a batch, written straight into the arena that the host reads. Targets are positions in the plan's `write`.
///
/// Edits apply in their order. One for all records costs the same for one record as for a thousand.
#[derive(Debug)]
pub struct Edits {
    arena: Vec<u8>,
    dictionary: Dictionary,
    count: usize,
    edits: Vec<u8>,
    keep: u32,
    failures: Vec<u8>,
    /// The bitmap that was written last and where, as edits often share one.
    written: Option<(Bitmap, u32)>,
    takes_defaults: bool,
}

/// The numbers of one edit; what an operation does not use is 0.
#[derive(Default)]
struct Edit {
    place: u8,
    target: u32,
    condition: u32,
    data: u32,
    count: u32,
    argument: u32,
}

impl Edits {
    /// No edits to `count` records. Transforms get theirs from the host.
    pub fn new(count: usize) -> Edits {
        Edits {
            arena: vec![0; HEADER_BYTES],
            dictionary: Dictionary::default(),
            count,
            edits: Vec::new(),
            keep: 0,
            failures: Vec::new(),
            written: None,
            takes_defaults: false,
        }
    }

    /// Drops the records whose bit is not set.
    pub fn keep(&mut self, keep: &Bitmap) {
        self.keep = self.bitmap(keep);
    }

    /// Drops all records. Costs nothing per record.
    pub fn drop_all(&mut self) {
        self.keep(&Bitmap::new(self.count, false));
    }

    /// A record that cannot be transformed; it goes to the error policy and its other edits are not applied.
    pub fn fail(&mut self, record: usize, kind: FailureKind, message: &str) {
        let at = self.arena.len();
        self.arena.extend_from_slice(message.as_bytes());
        for number in [record, kind as usize, at, message.len()] {
            self.failures.extend_from_slice(&(number as u32).to_le_bytes());
        }
    }

    /// Removes the target from all records.
    pub fn remove(&mut self, target: usize) {
        self.edit(op::REMOVE, Edit { target: target as u32, ..Edit::default() });
    }

    /// Sets the target of all records to one value.
    pub fn set(&mut self, target: usize, value: &Value) {
        let data = self.cells([Some(value)].into_iter());
        self.edit(op::SET_CONSTANT, Edit { target: target as u32, data, ..Edit::default() });
    }

    /// Sets the target of the records of a bitmap to one value.
    pub fn set_where(&mut self, target: usize, value: &Value, records: &Bitmap) {
        if records.all() {
            self.set(target, value);
        } else if !records.none() {
            let condition = self.bitmap(records);
            let data = self.cells([Some(value)].into_iter());
            self.edit(op::SET_CONSTANT, Edit { target: target as u32, condition, data, ..Edit::default() });
        }
    }

    /// Sets the target of each record to a value of its own; none leaves the record as it is.
    pub fn set_values(&mut self, target: usize, values: &[Option<Value>]) {
        assert_eq!(values.len(), self.count, "one value per record");
        let data = self.cells(values.iter().map(Option::as_ref));
        self.edit(op::SET_VALUES, Edit { target: target as u32, data, ..Edit::default() });
    }

    /// As [`set_values`](Edits::set_values), of plain cells: numbers, texts, bytes, times and null; missing leaves the
    /// record as it is. Nested cells and decimals cannot be set this way.
    pub fn set_cells<'c>(
        &mut self,
        target: usize,
        cells: impl IntoIterator<Item = Result<Cell<'c>>, IntoIter: ExactSizeIterator>,
    ) -> Result<()> {
        let cells = cells.into_iter();
        assert_eq!(cells.len(), self.count, "one cell per record");
        align(&mut self.arena);
        let start = self.arena.len();
        self.arena.resize(start + CELL_BYTES * cells.len(), 0);
        for (index, cell) in cells.enumerate() {
            write_plain_cell(&mut self.arena, start + CELL_BYTES * index, cell?)?;
        }
        self.edit(op::SET_VALUES, Edit { target: target as u32, data: start as u32, ..Edit::default() });
        Ok(())
    }

    /// Appends the target, a header, to all records, with a value and its schema.
    pub fn set_header(&mut self, target: usize, value: &Value, schema: &Schema) {
        let data = self.cells([Some(value)].into_iter());
        let argument = self.name(&schema.to_json().to_string()).saturating_add(1);
        self.edit(op::SET_CONSTANT, Edit { target: target as u32, data, argument, ..Edit::default() });
    }

    /// Whether [`copy`](Edits::copy), [`move_to`](Edits::move_to), [`flatten`](Edits::flatten),
    /// [`extract`](Edits::extract) and [`collect`](Edits::collect) from here on take the default of a schema in place of a
    /// null. They do not until told so.
    pub fn take_defaults(&mut self, takes_defaults: bool) {
        self.takes_defaults = takes_defaults;
    }

    /// Gives every top-level field of a key or value that is null or not there the default of its schema.
    pub fn defaults(&mut self, place: Place) {
        self.edit(op::DEFAULTS, Edit { place: place_byte(place), ..Edit::default() });
    }

    /// Makes a key or value a map or struct of what the targets, fields of the other one, hold: each target with its name.
    pub fn collect<'n>(&mut self, place: Place, targets: impl IntoIterator<Item = (usize, &'n str)>) {
        let mut entries = Vec::new();
        for (target, name) in targets {
            entries.extend_from_slice(&(target as u32).to_le_bytes());
            entries.extend_from_slice(&self.name(name).to_le_bytes());
        }
        align(&mut self.arena);
        let data = self.arena.len() as u32;
        self.arena.extend_from_slice(&entries);
        let count = (entries.len() / 4) as u32 + self.default_count();
        self.edit(op::COLLECT, Edit { place: place_byte(place), data, count, ..Edit::default() });
    }

    /// What the count of an edit says about nulls that have a default.
    fn default_count(&self) -> u32 {
        self.takes_defaults.into()
    }

    /// Gives the target field another name in its place.
    pub fn rename(&mut self, target: usize, name: &str) {
        let argument = self.name(name);
        self.edit(op::RENAME, Edit { target: target as u32, argument, ..Edit::default() });
    }

    /// Sets the target `to` to what the target `from` holds.
    pub fn copy(&mut self, from: usize, to: usize) {
        let count = self.default_count();
        self.edit(op::COPY, Edit { target: from as u32, argument: to as u32, count, ..Edit::default() });
    }

    /// As [`copy`](Edits::copy), then removes `from`.
    pub fn move_to(&mut self, from: usize, to: usize) {
        let count = self.default_count();
        self.edit(op::MOVE, Edit { target: from as u32, argument: to as u32, count, ..Edit::default() });
    }

    /// Keeps only the named top-level fields of a key or value.
    pub fn retain<'n>(&mut self, place: Place, names: impl IntoIterator<Item = &'n str>) {
        let mut ids = Vec::new();
        for name in names {
            ids.extend_from_slice(&self.name(name).to_le_bytes());
        }
        align(&mut self.arena);
        let data = self.arena.len() as u32;
        self.arena.extend_from_slice(&ids);
        let count = (ids.len() / 4) as u32;
        self.edit(op::RETAIN, Edit { place: place_byte(place), data, count, ..Edit::default() });
    }

    /// Joins the names of nested fields of a key or value.
    pub fn flatten(&mut self, place: Place, delimiter: &str) {
        let argument = self.name(delimiter);
        let count = self.default_count();
        self.edit(op::FLATTEN, Edit { place: place_byte(place), argument, count, ..Edit::default() });
    }

    /// Wraps a key or value in a map or struct with one field.
    pub fn hoist(&mut self, place: Place, field: &str) {
        let argument = self.name(field);
        self.edit(op::HOIST, Edit { place: place_byte(place), argument, ..Edit::default() });
    }

    /// The target's value becomes its whole key or value.
    pub fn extract(&mut self, target: usize) {
        let count = self.default_count();
        self.edit(op::EXTRACT, Edit { target: target as u32, count, ..Edit::default() });
    }

    /// Makes a record of each element of the target, an array or a map, in the place of its record; edits that come later
    /// apply to all of them. See [`Explode`] for what may be said besides.
    pub fn explode(&mut self, target: usize, explode: &Explode) {
        let edit = Edit {
            target: target as u32,
            data: explode.records_max,
            count: u32::from(explode.keeps_empty) | u32::from(explode.takes_whole) << 1,
            argument: explode.index.map_or(0, |index| index as u32 + 1),
            ..Edit::default()
        };
        self.edit(op::EXPLODE, edit);
    }

    fn edit(&mut self, operation: u16, edit: Edit) {
        self.edits.extend_from_slice(&operation.to_le_bytes());
        self.edits.extend_from_slice(&[edit.place, 0]);
        for number in [edit.target, edit.condition, edit.data, edit.count, edit.argument] {
            self.edits.extend_from_slice(&number.to_le_bytes());
        }
    }

    fn name(&mut self, name: &str) -> u32 {
        self.dictionary.id(name).map_or(u32::MAX, u32::from)
    }

    fn bitmap(&mut self, bitmap: &Bitmap) -> u32 {
        assert_eq!(bitmap.len(), self.count, "one bit per record");
        if let Some((last, at)) = &self.written
            && last == bitmap
        {
            return *at;
        }
        align(&mut self.arena);
        let at = self.arena.len() as u32;
        self.arena.extend_from_slice(&bitmap.bytes);
        self.written = Some((bitmap.clone(), at));
        at
    }

    fn cells<'v>(&mut self, values: impl ExactSizeIterator<Item = Option<&'v Value>>) -> u32 {
        align(&mut self.arena);
        let start = self.arena.len();
        self.arena.resize(start + CELL_BYTES * values.len(), 0);
        for (index, value) in values.enumerate() {
            write_cell(&mut self.arena, start + CELL_BYTES * index, value, &mut self.dictionary);
        }
        start as u32
    }

    /// The arena.
    pub fn finish(mut self) -> Result<Vec<u8>> {
        let arena = &mut self.arena;
        let dictionary = self.dictionary.write(arena);
        let mut column = |bytes: &[u8]| {
            align(arena);
            let start = if bytes.is_empty() { 0 } else { arena.len() as u32 };
            arena.extend_from_slice(bytes);
            start
        };
        let failures = column(&self.failures);
        let edits = column(&self.edits);
        if arena.len() > crate::arena::ARENA_BYTES_MAX {
            return Err(crate::Error::fatal("the edits to a batch are longer than 64 MiB"));
        }
        arena[..4].copy_from_slice(MAGIC);
        arena[4] = 1;
        arena[6..8].copy_from_slice(&((self.edits.len() / 24) as u16).to_le_bytes());
        let length = arena.len() as u32;
        let header = [
            (8, self.count as u32),
            (12, length),
            (16, self.dictionary.len() as u32),
            (20, dictionary),
            (24, self.keep),
            (28, (self.failures.len() / 16) as u32),
            (32, failures),
            (36, edits),
        ];
        header.into_iter().for_each(|(at, number)| put(arena, at, number));
        Ok(self.arena)
    }
}

/// A definition that edits the structure of a header or of metadata is wrong; the value is then refused by the host.
fn place_byte(place: Place) -> u8 {
    match place {
        Place::Value => 0,
        Place::Key => 1,
        _ => u8::MAX,
    }
}

/// Writes a cell at `at`, and what does not fit into it to the end of the arena. None: missing.
pub(crate) fn write_cell(arena: &mut Vec<u8>, at: usize, value: Option<&Value>, dictionary: &mut Dictionary) {
    let (of_tag, length, data) = match value {
        None => (tag::MISSING, 0, 0),
        Some(value) => {
            let (length, data) = match value {
                Value::Null => (0, 0),
                Value::Boolean(value) => (1, u64::from(*value)),
                Value::Int8(value) => (1, i64::from(*value) as u64),
                Value::Int16(value) => (2, i64::from(*value) as u64),
                Value::Int32(value) | Value::Date(value) | Value::Time(value) => (4, i64::from(*value) as u64),
                Value::Int64(value) | Value::Timestamp(value) => (8, *value as u64),
                Value::Float32(value) => (4, value.to_bits().into()),
                Value::Float64(value) => (8, value.to_bits()),
                value => {
                    let start = arena.len();
                    value.write_payload(dictionary, arena);
                    (arena.len() - start, start as u64)
                }
            };
            (value.tag(), length, data)
        }
    };
    arena[at] = of_tag;
    put(arena, at + 4, length as u32);
    arena[at + 8..at + 16].copy_from_slice(&data.to_le_bytes());
}

fn write_plain_cell(arena: &mut Vec<u8>, at: usize, cell: Cell<'_>) -> Result<()> {
    let (of_tag, length, data) = match cell {
        Cell::Missing => (tag::MISSING, 0, 0),
        Cell::Null => (tag::NULL, 0, 0),
        Cell::Boolean(value) => (tag::BOOLEAN, 1, u64::from(value)),
        Cell::Int8(value) => (tag::INT8, 1, i64::from(value) as u64),
        Cell::Int16(value) => (tag::INT16, 2, i64::from(value) as u64),
        Cell::Int32(value) => (tag::INT32, 4, i64::from(value) as u64),
        Cell::Date(value) => (tag::DATE, 4, i64::from(value) as u64),
        Cell::Time(value) => (tag::TIME, 4, i64::from(value) as u64),
        Cell::Int64(value) => (tag::INT64, 8, value as u64),
        Cell::Timestamp(value) => (tag::TIMESTAMP, 8, value as u64),
        Cell::Float32(value) => (tag::FLOAT32, 4, value.to_bits().into()),
        Cell::Float64(value) => (tag::FLOAT64, 8, value.to_bits()),
        Cell::String(text) => heap(arena, tag::STRING, text.as_bytes()),
        Cell::Number(text) => heap(arena, tag::NUMBER, text.as_bytes()),
        Cell::Bytes(bytes) => heap(arena, tag::BYTES, bytes),
        Cell::Array | Cell::Map | Cell::Struct | Cell::Decimal => {
            return Err(crate::Error::fatal("nested cells and decimals are set with `set_values`"));
        }
    };
    arena[at] = of_tag;
    put(arena, at + 4, length);
    arena[at + 8..at + 16].copy_from_slice(&data.to_le_bytes());
    Ok(())
}

/// Puts bytes at the end of the arena and says what their cell holds.
fn heap(arena: &mut Vec<u8>, of_tag: u8, bytes: &[u8]) -> (u8, u32, u64) {
    let start = arena.len() as u64;
    arena.extend_from_slice(bytes);
    (of_tag, bytes.len() as u32, start)
}

/// Checks a bitmap's length, for those who read one.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn read_bitmap(bytes: &[u8], count: usize) -> Result<Bitmap, Malformed> {
    match bytes.len() == count.div_ceil(8) {
        true => Ok(Bitmap { bytes: bytes.to_vec(), count }),
        false => Err(Malformed::new("a bitmap of the wrong length")),
    }
}
