//! Edits: what a transform answers. They come from a stranger, so [`EditsReader`] checks all of them before it shows one.

mod json;

use crate::arena::{Arena, append_column, append_dictionary, check_size, put_u32, word};
use crate::cell::{CELL_BYTES, Cell, check};
use crate::malformed::{Malformed, Reason};
use crate::tlv::Dictionary;
use crate::value::Value;
pub use json::edits_from_json;

/// The first four bytes.
pub const MAGIC: &[u8; 4] = b"TGE1";

const HEADER_BYTES: usize = 40;
const EDIT_BYTES: usize = 24;

/// The part of a record that a structural edit works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Place {
    /// The value.
    Value = 0,
    /// The key.
    Key = 1,
}

/// What a failed record's error is to Connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FailureKind {
    /// `DataException`.
    Data = 0,
    /// `ConfigException`.
    Config = 1,
    /// `IllegalArgumentException`.
    IllegalArgument = 2,
    /// `NullPointerException`.
    NullPointer = 3,
    /// `ConnectException`.
    Other = 4,
}

impl FailureKind {
    /// The kind of a number.
    pub fn of(number: u32) -> Option<FailureKind> {
        match number {
            0 => Some(FailureKind::Data),
            1 => Some(FailureKind::Config),
            2 => Some(FailureKind::IllegalArgument),
            3 => Some(FailureKind::NullPointer),
            4 => Some(FailureKind::Other),
            _ => None,
        }
    }
}

/// A record that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure<'a> {
    /// Its index.
    pub record: usize,
    /// What kind of error.
    pub kind: FailureKind,
    /// The message.
    pub message: &'a str,
}

/// One bit per record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bitmap<'a> {
    bytes: &'a [u8],
    records: usize,
}

impl<'a> Bitmap<'a> {
    /// Bits of `records` records, the first in the lowest bit of the first byte; none unless there are exactly
    /// `(records + 7) / 8` bytes. Bits beyond the last record count for nothing.
    pub fn new(bytes: &'a [u8], records: usize) -> Option<Bitmap<'a>> {
        (bytes.len() == records.div_ceil(8)).then_some(Bitmap { bytes, records })
    }

    /// Whether the bit of a record is set.
    #[inline]
    pub fn get(&self, record: usize) -> bool {
        record < self.records && self.bytes.get(record / 8).is_some_and(|byte| byte >> (record % 8) & 1 == 1)
    }

    /// The records whose bit is set.
    pub fn iter(self) -> impl Iterator<Item = usize> + 'a {
        (0..self.records).filter(move |record| self.get(*record))
    }

    /// How many bits are set.
    pub fn count(&self) -> usize {
        let ones: u32 = self.bytes.iter().map(|byte| byte.count_ones()).sum();
        let beyond = match (self.records % 8, self.bytes.last()) {
            (used @ 1.., Some(last)) => (last >> used).count_ones(),
            _ => 0,
        };
        (ones - beyond) as usize
    }
}

/// A cell per record.
#[derive(Clone, Copy, Debug)]
pub struct Cells<'a> {
    cells: &'a [[u8; CELL_BYTES]],
    arena: &'a [u8],
}

impl<'a> Cells<'a> {
    /// The cell of a record.
    #[inline]
    pub fn get(&self, record: usize) -> Cell<'a> {
        self.cells.get(record).map_or(Cell::Missing, |cell| Cell::read(cell, self.arena))
    }

    /// All cells.
    pub fn iter(self) -> impl ExactSizeIterator<Item = Cell<'a>> {
        self.cells.iter().map(move |cell| Cell::read(cell, self.arena))
    }
}

/// A change. Targets are positions in the plan's `write`.
#[derive(Clone, Debug)]
pub enum Edit<'a> {
    /// Removes a field or all headers of a name; a whole key or value becomes null.
    Remove {
        /// What is removed.
        target: usize,
    },
    /// Sets a target to one value.
    SetConstant {
        /// What is set.
        target: usize,
        /// To what; never missing.
        cell: Cell<'a>,
        /// The text of the schema, of a header.
        schema: Option<&'a str>,
    },
    /// Sets a target to a value per record; a missing one leaves the record as it is.
    SetValues {
        /// What is set.
        target: usize,
        /// To what.
        cells: Cells<'a>,
        /// The text of the schema, of a header.
        schema: Option<&'a str>,
    },
    /// Gives a field another name in its place.
    Rename {
        /// The field.
        target: usize,
        /// Its new name.
        name: &'a str,
    },
    /// Sets another target to what this one holds.
    Copy {
        /// What is copied.
        target: usize,
        /// What is set.
        to: usize,
        /// A null is taken as the default of its schema.
        defaults: bool,
    },
    /// Copies, then removes.
    Move {
        /// What is moved.
        target: usize,
        /// What is set.
        to: usize,
        /// As of a copy.
        defaults: bool,
    },
    /// Keeps only the named top-level fields.
    Retain {
        /// Of the key or of the value.
        place: Place,
        /// The fields.
        names: Vec<&'a str>,
    },
    /// Joins the names of nested fields.
    Flatten {
        /// Of the key or of the value.
        place: Place,
        /// What stands between the names.
        delimiter: &'a str,
        /// As of a copy.
        defaults: bool,
    },
    /// Wraps the whole place in a map or struct with one field.
    Hoist {
        /// The key or the value.
        place: Place,
        /// The field.
        field: &'a str,
    },
    /// Makes the target's value its whole place.
    Extract {
        /// The field.
        target: usize,
        /// As of a copy.
        defaults: bool,
    },
    /// Gives the top-level fields that are null or not there the defaults of their schemas.
    Defaults {
        /// Of the key or of the value.
        place: Place,
    },
    /// Makes a place a map or struct of what fields of the other place hold.
    Collect {
        /// The key or the value.
        place: Place,
        /// The fields, each with its new name.
        targets: Vec<(usize, &'a str)>,
        /// As of a copy.
        defaults: bool,
    },
    /// Makes a record of each element of an array or entry of a map; edits behind it apply to all of them.
    Explode {
        /// What is taken apart, and then holds the element.
        target: usize,
        /// What is set to the element's index or the entry's key.
        index: Option<usize>,
        /// A record without elements stays, with null for the element.
        keeps_empty: bool,
        /// The element becomes the whole key or value.
        takes_whole: bool,
        /// Elements that a record may have.
        max: usize,
    },
}

/// An edit with the records it applies to.
#[derive(Clone, Debug)]
pub struct ScopedEdit<'a> {
    /// The change.
    pub edit: Edit<'a>,
    /// To which records; none: to all.
    pub records: Option<Bitmap<'a>>,
}

/// Edits that were checked as a whole.
#[derive(Clone, Debug)]
pub struct EditsReader<'a> {
    records: usize,
    names: Vec<&'a str>,
    keep: Option<Bitmap<'a>>,
    failures: Vec<Failure<'a>>,
    edits: Vec<ScopedEdit<'a>>,
}

impl<'a> EditsReader<'a> {
    /// Checks everything that the format promises, that the edits are for `records` records, and that targets are below
    /// `targets`, the length of the plan's `write`.
    pub fn parse(bytes: &'a [u8], records: usize, targets: usize) -> Result<EditsReader<'a>, Malformed> {
        parse(bytes, records, targets).map_err(|malformed| malformed.of("edits"))
    }

    /// How many records the edits are for.
    pub fn records(&self) -> usize {
        self.records
    }

    /// The dictionary, which nested cells refer to.
    pub fn names(&self) -> &[&'a str] {
        &self.names
    }

    /// The records that stay; none: all.
    pub fn keep(&self) -> Option<Bitmap<'a>> {
        self.keep
    }

    /// The records that failed.
    pub fn failures(&self) -> &[Failure<'a>] {
        &self.failures
    }

    /// The edits in their order.
    pub fn edits(&self) -> &[ScopedEdit<'a>] {
        &self.edits
    }
}

fn parse(bytes: &[u8], records: usize, targets: usize) -> Result<EditsReader<'_>, Malformed> {
    let mut arena = Arena::open(bytes, HEADER_BYTES, MAGIC)?;
    let count = arena.records(8)?;
    if count != records {
        return Err(Malformed::new(Reason::Count, format!("edits for {count} records, the columns had {records}")));
    }
    let names = arena.dictionary(16, 20)?;
    let keep_at = arena.u32(24);
    let keep = bitmap(&mut arena, keep_at, records, "keep bitmap")?;
    let failed = arena.u32(28);
    if failed > records {
        return Err(Malformed::new(Reason::Limit, format!("{failed} failures of {records} records")));
    }
    let entries = arena.column::<16>(arena.u32(32), failed, "failures")?;
    if entries.len() != failed {
        return Err(Malformed::new(Reason::Offset, "failures are absent"));
    }
    let failures = entries
        .iter()
        .map(|entry| {
            let record = word(entry, 0) as usize;
            if record >= records {
                return Err(Malformed::new(Reason::Field, format!("failure of record {record} of {records}")));
            }
            let kind = FailureKind::of(word(entry, 1))
                .ok_or_else(|| Malformed::new(Reason::Field, format!("failure kind {}", word(entry, 1))))?;
            let message = arena.text(word(entry, 2) as usize, word(entry, 3) as usize, "failure message")?;
            Ok(Failure { record, kind, message })
        })
        .collect::<Result<_, _>>()?;
    let count = usize::from(arena.u16(6));
    let entries = arena.column::<EDIT_BYTES>(arena.u32(36), count, "edits")?;
    if entries.len() != count {
        return Err(Malformed::new(Reason::Offset, "edits are absent"));
    }
    let mut context = Context { arena, bytes, names: &names, records, targets };
    let edits = entries.iter().map(|entry| context.edit(entry)).collect::<Result<_, _>>()?;
    Ok(EditsReader { records, names, keep, failures, edits })
}

fn bitmap<'a>(
    arena: &mut Arena<'a>,
    offset: usize,
    records: usize,
    what: &str,
) -> Result<Option<Bitmap<'a>>, Malformed> {
    if offset == 0 {
        return Ok(None);
    }
    let bytes = arena.slice(offset, records.div_ceil(8), what)?;
    Ok(Some(Bitmap { bytes, records }))
}

/// What it takes to check an edit.
struct Context<'a, 'n> {
    arena: Arena<'a>,
    bytes: &'a [u8],
    names: &'n [&'a str],
    records: usize,
    targets: usize,
}

impl<'a> Context<'a, '_> {
    fn edit(&mut self, entry: &[u8; EDIT_BYTES]) -> Result<ScopedEdit<'a>, Malformed> {
        let operation = u16::from_le_bytes([entry[0], entry[1]]);
        let (place, zero) = (entry[2], entry[3]);
        let [target, scope, data, count, argument] = [1, 2, 3, 4, 5].map(|part| word(entry, part) as usize);
        // place, target, data, count, argument: which of them the operation uses.
        let used = match operation {
            1 => [false, true, false, false, false],
            2 | 3 => [false, true, true, false, true],
            4 => [false, true, false, false, true],
            5 | 6 => [false, true, false, true, true],
            7 | 12 => [true, false, true, true, false],
            8 => [true, false, false, true, true],
            9 => [true, false, false, false, true],
            10 => [false, true, false, true, false],
            11 => [true, false, false, false, false],
            13 => [false, true, true, true, true],
            _ => return Err(Malformed::new(Reason::Field, format!("operation {operation}"))),
        };
        let fields = [usize::from(place), target, data, count, argument];
        if zero != 0 || used.iter().zip(fields).any(|(used, field)| !used && field != 0) {
            return Err(Malformed::new(Reason::Field, format!("operation {operation} with a field it does not use")));
        }
        if used[1] {
            self.check_target(target)?;
        }
        let edit = match operation {
            1 => Edit::Remove { target },
            2 => {
                let cells = self.cells(data, 1)?;
                let cell = cells.get(0);
                if cell == Cell::Missing {
                    return Err(Malformed::new(Reason::Tag, "constant that is missing"));
                }
                Edit::SetConstant { target, cell, schema: self.header_schema(argument)? }
            }
            3 => {
                let schema = self.header_schema(argument)?;
                Edit::SetValues { target, cells: self.cells(data, self.records)?, schema }
            }
            4 => Edit::Rename { target, name: self.name(argument)? },
            5 => Edit::Copy { target, to: self.check_target(argument)?, defaults: flag(count)? },
            6 => Edit::Move { target, to: self.check_target(argument)?, defaults: flag(count)? },
            7 => Edit::Retain { place: place_of(place)?, names: self.name_list(data, count)? },
            8 => {
                let (delimiter, defaults) = (self.name(argument)?, flag(count)?);
                Edit::Flatten { place: place_of(place)?, delimiter, defaults }
            }
            9 => Edit::Hoist { place: place_of(place)?, field: self.name(argument)? },
            10 => Edit::Extract { target, defaults: flag(count)? },
            11 => Edit::Defaults { place: place_of(place)? },
            13 => Edit::Explode {
                target,
                index: argument.checked_sub(1).map(|index| self.check_target(index)).transpose()?,
                keeps_empty: flag(count & !2)?,
                takes_whole: count & 2 != 0,
                max: if data == 0 { usize::MAX } else { data },
            },
            _ => {
                let targets = self.named_targets(data, count / 2)?;
                Edit::Collect { place: place_of(place)?, targets, defaults: count % 2 == 1 }
            }
        };
        Ok(ScopedEdit { edit, records: bitmap(&mut self.arena, scope, self.records, "bitmap of an edit")? })
    }

    fn check_target(&self, target: usize) -> Result<usize, Malformed> {
        if target >= self.targets {
            return Err(Malformed::new(Reason::Field, format!("target {target}, the plan writes {}", self.targets)));
        }
        Ok(target)
    }

    fn cells(&mut self, offset: usize, count: usize) -> Result<Cells<'a>, Malformed> {
        let cells = self.arena.column::<CELL_BYTES>(offset, count, "cells of an edit")?;
        if cells.len() != count {
            return Err(Malformed::new(Reason::Offset, "cells of an edit are absent"));
        }
        for cell in cells {
            check(cell, &mut self.arena, self.names.len())?;
        }
        Ok(Cells { cells, arena: self.bytes })
    }

    fn name(&self, number: usize) -> Result<&'a str, Malformed> {
        Arena::name(self.names, number, "name in an edit")
    }

    fn header_schema(&self, argument: usize) -> Result<Option<&'a str>, Malformed> {
        argument.checked_sub(1).map(|entry| self.name(entry)).transpose()
    }

    fn named_targets(&mut self, offset: usize, count: usize) -> Result<Vec<(usize, &'a str)>, Malformed> {
        let entries = self.arena.column::<8>(offset, count, "targets of an edit")?;
        if entries.len() != count {
            return Err(Malformed::new(Reason::Offset, "targets of an edit are absent"));
        }
        let target =
            |entry: &[u8; 8]| Ok((self.check_target(word(entry, 0) as usize)?, self.name(word(entry, 1) as usize)?));
        entries.iter().map(target).collect()
    }

    fn name_list(&mut self, offset: usize, count: usize) -> Result<Vec<&'a str>, Malformed> {
        let numbers = self.arena.column::<4>(offset, count, "names of an edit")?;
        if numbers.len() != count {
            return Err(Malformed::new(Reason::Offset, "names of an edit are absent"));
        }
        numbers.iter().map(|number| self.name(word(number, 0) as usize)).collect()
    }
}

/// Whether an edit takes defaults in place of nulls.
fn flag(count: usize) -> Result<bool, Malformed> {
    match count {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(Malformed::new(Reason::Field, format!("count {other} of an edit that has no list"))),
    }
}

fn place_of(byte: u8) -> Result<Place, Malformed> {
    match byte {
        0 => Ok(Place::Value),
        1 => Ok(Place::Key),
        other => Err(Malformed::new(Reason::Field, format!("place {other}"))),
    }
}

/// Makes edits: what a guest does, for tests and for the JSON form.
#[derive(Debug)]
pub struct EditsWriter {
    arena: Vec<u8>,
    records: usize,
    names: Dictionary,
    keep: u32,
    failures: Vec<[u8; 16]>,
    edits: Vec<[u8; EDIT_BYTES]>,
}

impl EditsWriter {
    /// No edits for `records` records.
    pub fn new(records: usize) -> EditsWriter {
        EditsWriter {
            arena: vec![0; HEADER_BYTES],
            records,
            names: Dictionary::new(),
            keep: 0,
            failures: Vec::new(),
            edits: Vec::new(),
        }
    }

    /// Drops the records for which `dropped` is true.
    pub fn drop_where(&mut self, dropped: impl Fn(usize) -> bool) -> &mut Self {
        self.keep = self.bitmap(|record| !dropped(record));
        self
    }

    /// Lets a record fail.
    pub fn fail(&mut self, record: usize, kind: FailureKind, message: &str) -> &mut Self {
        let mut entry = [0; 16];
        put_u32(&mut entry, 0, record as u32);
        put_u32(&mut entry, 4, kind as u32);
        put_u32(&mut entry, 8, self.arena.len() as u32);
        put_u32(&mut entry, 12, message.len() as u32);
        self.arena.extend_from_slice(message.as_bytes());
        self.failures.push(entry);
        self
    }

    /// Restricts the edit that was added last to the records for which `applies` is true.
    pub fn only(&mut self, applies: impl Fn(usize) -> bool) -> &mut Self {
        let scope = self.bitmap(applies);
        if let Some(edit) = self.edits.last_mut() {
            put_u32(edit, 8, scope);
        }
        self
    }

    /// Adds [`Edit::Remove`].
    pub fn remove(&mut self, target: usize) -> &mut Self {
        self.push(1, Place::Value, [target, 0, 0, 0])
    }

    /// Adds [`Edit::SetConstant`].
    pub fn set_constant(&mut self, target: usize, value: &Value) -> &mut Self {
        let cells = self.cells(&[Some(value)]);
        self.push(2, Place::Value, [target, cells, 0, 0])
    }

    /// Adds [`Edit::SetValues`]; a value that is none leaves its record as it is.
    pub fn set_values(&mut self, target: usize, values: &[Option<&Value>]) -> &mut Self {
        let cells = self.cells(values);
        self.push(3, Place::Value, [target, cells, 0, 0])
    }

    /// Adds [`Edit::Rename`].
    pub fn rename(&mut self, target: usize, name: &str) -> &mut Self {
        let name = self.name(name);
        self.push(4, Place::Value, [target, 0, 0, name])
    }

    /// Adds [`Edit::Copy`].
    pub fn copy(&mut self, target: usize, to: usize) -> &mut Self {
        self.push(5, Place::Value, [target, 0, 0, to])
    }

    /// Adds [`Edit::Move`].
    pub fn move_to(&mut self, target: usize, to: usize) -> &mut Self {
        self.push(6, Place::Value, [target, 0, 0, to])
    }

    /// Adds [`Edit::Retain`].
    pub fn retain(&mut self, place: Place, names: &[&str]) -> &mut Self {
        let numbers: Vec<u8> = names.iter().flat_map(|name| (self.name(name) as u32).to_le_bytes()).collect();
        self.align();
        let data = self.arena.len();
        self.arena.extend_from_slice(&numbers);
        self.push(7, place, [0, data, names.len(), 0])
    }

    /// Adds [`Edit::Flatten`].
    pub fn flatten(&mut self, place: Place, delimiter: &str) -> &mut Self {
        let delimiter = self.name(delimiter);
        self.push(8, place, [0, 0, 0, delimiter])
    }

    /// Adds [`Edit::Hoist`].
    pub fn hoist(&mut self, place: Place, field: &str) -> &mut Self {
        let field = self.name(field);
        self.push(9, place, [0, 0, 0, field])
    }

    /// Adds [`Edit::Extract`].
    pub fn extract(&mut self, target: usize) -> &mut Self {
        self.push(10, Place::Value, [target, 0, 0, 0])
    }

    /// Adds [`Edit::Defaults`].
    pub fn defaults(&mut self, place: Place) -> &mut Self {
        self.push(11, place, [0, 0, 0, 0])
    }

    /// Adds [`Edit::Collect`].
    pub fn collect(&mut self, place: Place, targets: &[(usize, &str)]) -> &mut Self {
        let entry = |(target, name): &(usize, &str)| [*target as u32, self.name(name) as u32].map(u32::to_le_bytes);
        let entries: Vec<[[u8; 4]; 2]> = targets.iter().map(entry).collect();
        self.align();
        let data = self.arena.len();
        self.arena.extend_from_slice(entries.as_flattened().as_flattened());
        self.push(12, place, [0, data, 2 * targets.len(), 0])
    }

    /// Adds [`Edit::Explode`]; a `max` of 0 leaves it to the host how many records may be made of one.
    pub fn explode(&mut self, target: usize, index: Option<usize>, max: usize) -> &mut Self {
        self.push(13, Place::Value, [target, max, 0, index.map_or(0, |index| index.saturating_add(1))])
    }

    /// Lets the explode that was added last keep records without elements, or make the element its whole place.
    pub fn exploding(&mut self, keeps_empty: bool, takes_whole: bool) -> &mut Self {
        if let Some(edit) = self.edits.last_mut() {
            put_u32(edit, 16, u32::from(keeps_empty) | u32::from(takes_whole) << 1);
        }
        self
    }

    /// Lets the edit that was added last take defaults in place of nulls. Of operations that cannot it makes what no reader
    /// takes.
    pub fn taking_defaults(&mut self) -> &mut Self {
        if let Some(edit) = self.edits.last_mut() {
            let count = word(edit, 4);
            put_u32(edit, 16, count | 1);
        }
        self
    }

    /// Gives the header that the edit added last sets a schema.
    pub fn of_schema(&mut self, schema: &str) -> &mut Self {
        let entry = self.name(schema) + 1;
        if let Some(edit) = self.edits.last_mut() {
            put_u32(edit, 20, entry as u32);
        }
        self
    }

    /// The arena. An error: a limit of the format is exceeded.
    pub fn finish(mut self) -> Result<Vec<u8>, Malformed> {
        let Ok(count) = u16::try_from(self.edits.len()) else {
            return Err(Malformed::new(Reason::Limit, format!("{} edits", self.edits.len())).of("edits"));
        };
        let dictionary = append_dictionary(&mut self.arena, &self.names);
        let failures = append_column(&mut self.arena, self.failures.as_flattened());
        let edits = append_column(&mut self.arena, self.edits.as_flattened());
        check_size(&self.arena).map_err(|malformed| malformed.of("edits"))?;
        let length = self.arena.len() as u32;
        let header = &mut self.arena[..HEADER_BYTES];
        header[..4].copy_from_slice(MAGIC);
        header[4..6].copy_from_slice(&1u16.to_le_bytes());
        header[6..8].copy_from_slice(&count.to_le_bytes());
        put_u32(header, 8, self.records as u32);
        put_u32(header, 12, length);
        put_u32(header, 16, self.names.len() as u32);
        put_u32(header, 20, dictionary);
        put_u32(header, 24, self.keep);
        put_u32(header, 28, self.failures.len() as u32);
        put_u32(header, 32, failures);
        put_u32(header, 36, edits);
        Ok(self.arena)
    }

    fn push(&mut self, operation: u16, place: Place, [target, data, count, argument]: [usize; 4]) -> &mut Self {
        let mut entry = [0; EDIT_BYTES];
        entry[..2].copy_from_slice(&operation.to_le_bytes());
        entry[2] = place as u8;
        put_u32(&mut entry, 4, target as u32);
        put_u32(&mut entry, 12, data as u32);
        put_u32(&mut entry, 16, count as u32);
        put_u32(&mut entry, 20, argument as u32);
        self.edits.push(entry);
        self
    }

    /// The number of a name; beyond the dictionary's limit one that no reader takes.
    fn name(&mut self, name: &str) -> usize {
        self.names.intern(name).map_or(usize::from(u16::MAX), usize::from)
    }

    fn align(&mut self) {
        self.arena.resize(self.arena.len().next_multiple_of(8), 0);
    }

    fn bitmap(&mut self, bit: impl Fn(usize) -> bool) -> u32 {
        let offset = self.arena.len();
        self.arena.resize(offset + self.records.div_ceil(8), 0);
        for record in (0..self.records).filter(|record| bit(*record)) {
            self.arena[offset + record / 8] |= 1 << (record % 8);
        }
        offset as u32
    }

    fn cells(&mut self, values: &[Option<&Value>]) -> usize {
        let cells: Vec<[u8; CELL_BYTES]> = values
            .iter()
            .map(|value| match value {
                Some(value) => Cell::write_tree(value, &mut self.names, &mut self.arena),
                None => Cell::Missing.write(&mut self.arena),
            })
            .collect();
        self.align();
        let offset = self.arena.len();
        self.arena.extend_from_slice(cells.as_flattened());
        offset
    }
}
