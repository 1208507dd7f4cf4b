//! Batches: whole records on their way to or from a plugin.
//!
//! [`BatchReader`] checks an arena once and then looks into it; [`BatchWriter`] makes one with buffers that are kept from
//! batch to batch. `batch/json.rs` has the JSON form.

mod json;

use crate::arena::{Arena, RECORDS_MAX, append_column, append_dictionary, check_size, pair, put_u32, word};
use crate::malformed::{Malformed, Reason};
use crate::offset::check_compact_object;
use crate::schema::{SchemaId, SchemaTable};
use crate::tlv::{self, Allowed, Dictionary, Writer};
use crate::value::Value;
pub use json::{batch_from_json, batch_to_json};

/// The first four bytes.
pub const MAGIC: &[u8; 4] = b"TGB1";
/// Header entries of a batch.
pub const HEADERS_MAX: usize = 100_000;

const HEADER_BYTES: usize = 80;
const NONE: u32 = u32::MAX;

/// How the bytes of keys and values are to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Encoding {
    /// The bytes of a string or of bytes.
    #[default]
    Raw = 0,
    /// As raw, and the JSON text of anything else. Host to guest only.
    Text = 1,
    /// One node.
    Tlv = 2,
}

impl Encoding {
    fn of(byte: u8) -> Result<Encoding, Malformed> {
        match byte {
            0 => Ok(Encoding::Raw),
            1 => Ok(Encoding::Text),
            2 => Ok(Encoding::Tlv),
            other => Err(Malformed::new(Reason::Field, format!("encoding {other}"))),
        }
    }
}

/// Flags of a record.
pub mod flags {
    /// The timestamp is the broker's append time.
    pub const APPEND_TIME: u8 = 1;
    /// A transaction boundary of the connector's own lies after this record.
    pub const BOUNDARY: u8 = 2;
    /// The transaction that ends here is aborted.
    pub const ABORT: u8 = 4;
    /// Converters: the record failed and its value is the reason.
    pub const FAILED: u8 = 8;
    pub(super) const ALL: u8 = 15;
}

/// A key, value or header value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Datum<'a> {
    /// Its schema.
    pub schema: SchemaId,
    /// Its bytes in the encoding of the column; none is null.
    pub bytes: Option<&'a [u8]>,
}

/// A header of a record. Its value is always a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The name; several headers of a record may have the same.
    pub name: &'a str,
    /// The value.
    pub value: Datum<'a>,
}

/// Where a record was in Kafka before transforms moved it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Original<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// A batch that was checked as a whole. Records are numbered from 0; beyond the last one everything is absent.
#[derive(Clone, Debug)]
pub struct BatchReader<'a> {
    bytes: &'a [u8],
    count: usize,
    key_encoding: Encoding,
    value_encoding: Encoding,
    names: Vec<&'a str>,
    topics: &'a [[u8; 4]],
    partitions: &'a [[u8; 4]],
    offsets: &'a [[u8; 8]],
    timestamps: &'a [[u8; 8]],
    keys: &'a [[u8; 12]],
    values: &'a [[u8; 12]],
    headers: &'a [[u8; 4]],
    header_entries: &'a [[u8; 16]],
    source_partitions: &'a [[u8; 4]],
    source_offsets: &'a [[u8; 8]],
    origins: &'a [[u8; 4]],
    originals: &'a [[u8; 16]],
    flags: &'a [[u8; 1]],
}

impl<'a> BatchReader<'a> {
    /// Checks everything that the format promises: offsets, lengths, dictionary numbers, tags, UTF-8, JSON of source
    /// offsets. Not checked, because only the caller knows: [`BatchReader::check_schemas`], [`BatchReader::check_origins`].
    pub fn parse(bytes: &'a [u8]) -> Result<BatchReader<'a>, Malformed> {
        parse(bytes).map_err(|malformed| malformed.of("batch"))
    }

    /// Refuses schema numbers that the table does not have.
    pub fn check_schemas(&self, table: &SchemaTable) -> Result<(), Malformed> {
        let mut known = SchemaId::NONE;
        let numbers = (self.keys.iter().map(|entry| word(entry, 0)))
            .chain(self.values.iter().map(|entry| word(entry, 0)))
            .chain(self.header_entries.iter().map(|entry| word(entry, 1)));
        for id in numbers.map(SchemaId) {
            if id != known && !table.contains(id) {
                let detail = format!("schema {} was never defined", id.0);
                return Err(Malformed::new(Reason::Schema, detail).of("batch"));
            }
            known = id;
        }
        Ok(())
    }

    /// Refuses origins that are not among the `count` records of the host's batch.
    pub fn check_origins(&self, count: usize) -> Result<(), Malformed> {
        match self.origins.iter().map(|entry| word(entry, 0) as usize).find(|origin| *origin >= count) {
            Some(origin) => {
                Err(Malformed::new(Reason::Field, format!("origin {origin} of {count} records")).of("batch"))
            }
            None => Ok(()),
        }
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The encoding of keys.
    pub fn key_encoding(&self) -> Encoding {
        self.key_encoding
    }

    /// The encoding of values.
    pub fn value_encoding(&self) -> Encoding {
        self.value_encoding
    }

    /// The dictionary.
    pub fn names(&self) -> &[&'a str] {
        &self.names
    }

    /// The topic.
    #[inline]
    pub fn topic(&self, record: usize) -> Option<&'a str> {
        self.names.get(word(self.topics.get(record)?, 0) as usize).copied()
    }

    /// The partition.
    #[inline]
    pub fn partition(&self, record: usize) -> Option<i32> {
        self.partitions.get(record).map(|entry| i32::from_le_bytes(*entry)).filter(|partition| *partition != -1)
    }

    /// The offset in Kafka.
    #[inline]
    pub fn offset(&self, record: usize) -> Option<i64> {
        self.offsets.get(record).map(|entry| i64::from_le_bytes(*entry)).filter(|offset| *offset != -1)
    }

    /// The timestamp in milliseconds.
    #[inline]
    pub fn timestamp(&self, record: usize) -> Option<i64> {
        self.timestamps.get(record).map(|entry| i64::from_le_bytes(*entry)).filter(|timestamp| *timestamp != -1)
    }

    /// The key.
    #[inline]
    pub fn key(&self, record: usize) -> Datum<'a> {
        self.datum(self.keys.get(record))
    }

    /// The value.
    #[inline]
    pub fn value(&self, record: usize) -> Datum<'a> {
        self.datum(self.values.get(record))
    }

    #[inline]
    fn datum(&self, entry: Option<&[u8; 12]>) -> Datum<'a> {
        let Some(entry) = entry else { return Datum::default() };
        Datum { schema: SchemaId(word(entry, 0)), bytes: self.present(word(entry, 1), word(entry, 2)) }
    }

    #[inline]
    fn present(&self, offset: u32, length: u32) -> Option<&'a [u8]> {
        if offset == 0 {
            return None;
        }
        self.bytes.get(offset as usize..)?.get(..length as usize)
    }

    /// The key as a tree, whatever its encoding. Text that is neither string nor bytes stays a string.
    pub fn key_value(&self, record: usize) -> Value {
        self.tree(self.key(record), self.key_encoding)
    }

    /// The value as a tree, as [`BatchReader::key_value`].
    pub fn value_value(&self, record: usize) -> Value {
        self.tree(self.value(record), self.value_encoding)
    }

    /// The value of a header as a tree.
    pub fn header_value(&self, header: &Header<'_>) -> Value {
        self.tree(header.value, Encoding::Tlv)
    }

    fn tree(&self, datum: Datum<'_>, encoding: Encoding) -> Value {
        let Some(bytes) = datum.bytes else { return Value::Null };
        match encoding {
            Encoding::Tlv => {
                tlv::Node::read(bytes).map_or(Value::Null, |(node, _)| Value::from_node(&node, &self.names))
            }
            Encoding::Raw | Encoding::Text if datum.schema.is_bytes() => Value::Bytes(bytes.to_vec()),
            Encoding::Raw | Encoding::Text => match simdutf8::basic::from_utf8(bytes) {
                Ok(text) => Value::string(text),
                Err(_) => Value::Bytes(bytes.to_vec()),
            },
        }
    }

    /// The headers in their order.
    pub fn headers(&self, record: usize) -> impl ExactSizeIterator<Item = Header<'a>> {
        let range = match self.headers.get(record..).and_then(|rest| rest.first_chunk::<2>()) {
            Some([from, to]) => word(from, 0) as usize..word(to, 0) as usize,
            None => 0..0,
        };
        self.header_entries.get(range).unwrap_or_default().iter().map(|entry| Header {
            name: self.names.get(word(entry, 0) as usize).copied().unwrap_or_default(),
            value: Datum { schema: SchemaId(word(entry, 1)), bytes: self.present(word(entry, 2), word(entry, 3)) },
        })
    }

    /// The number of the source partition in the dictionary: equal numbers are equal partitions within this batch.
    #[inline]
    pub fn source_partition_number(&self, record: usize) -> Option<u32> {
        self.source_partitions.get(record).map(|entry| word(entry, 0)).filter(|number| *number != NONE)
    }

    /// The source partition, a compact JSON object.
    pub fn source_partition(&self, record: usize) -> Option<&'a str> {
        self.names.get(self.source_partition_number(record)? as usize).copied()
    }

    /// The source offset, a compact JSON object.
    pub fn source_offset(&self, record: usize) -> Option<&'a str> {
        let entry = self.source_offsets.get(record)?;
        std::str::from_utf8(self.present(word(entry, 0), word(entry, 1))?).ok()
    }

    /// The record of the host's batch that this one was made from.
    #[inline]
    pub fn origin(&self, record: usize) -> Option<u32> {
        self.origins.get(record).map(|entry| word(entry, 0))
    }

    /// Where the record was before transforms moved it.
    pub fn original(&self, record: usize) -> Option<Original<'a>> {
        let entry = self.originals.get(record)?;
        let topic = self.names.get(word(entry, 0) as usize)?;
        Some(Original {
            topic,
            partition: word(entry, 1) as i32,
            offset: i64::from(word(entry, 2)) | i64::from(word(entry, 3)) << 32,
        })
    }

    /// The flags, see [`flags`].
    #[inline]
    pub fn flags(&self, record: usize) -> u8 {
        self.flags.get(record).map_or(0, |[flags]| *flags)
    }
}

fn parse(bytes: &[u8]) -> Result<BatchReader<'_>, Malformed> {
    let mut arena = Arena::open(bytes, HEADER_BYTES, MAGIC)?;
    let count = arena.records(8)?;
    let header_count = arena.u32(20);
    if header_count > HEADERS_MAX {
        return Err(Malformed::new(Reason::Limit, format!("{header_count} header entries")));
    }
    let names = arena.dictionary(16, 24)?;
    let batch = BatchReader {
        bytes,
        count,
        key_encoding: Encoding::of(arena.u8(6))?,
        value_encoding: Encoding::of(arena.u8(7))?,
        topics: arena.column(arena.u32(28), count, "topic column")?,
        partitions: arena.column(arena.u32(32), count, "partition column")?,
        offsets: arena.column(arena.u32(36), count, "offset column")?,
        timestamps: arena.column(arena.u32(40), count, "timestamp column")?,
        keys: arena.column(arena.u32(44), count, "key column")?,
        values: arena.column(arena.u32(48), count, "value column")?,
        headers: arena.column(arena.u32(52), count + 1, "header column")?,
        header_entries: arena.column(arena.u32(56), header_count, "header entries")?,
        source_partitions: arena.column(arena.u32(60), count, "source partition column")?,
        source_offsets: arena.column(arena.u32(64), count, "source offset column")?,
        origins: arena.column(arena.u32(68), count, "origin column")?,
        originals: arena.column(arena.u32(72), count, "original column")?,
        flags: arena.column(arena.u32(76), count, "flags column")?,
        names,
    };
    batch.check(&mut arena)?;
    Ok(batch)
}

impl<'a> BatchReader<'a> {
    fn check(&self, arena: &mut Arena<'a>) -> Result<(), Malformed> {
        let name_or_none = |number: u32, what: &str| match number {
            NONE => Ok(()),
            number => Arena::name(&self.names, number as usize, what).map(|_| ()),
        };
        for entry in self.topics {
            name_or_none(word(entry, 0), "topic")?;
        }
        for entry in self.partitions {
            at_least_none(i64::from(i32::from_le_bytes(*entry)), "partition")?;
        }
        for entry in self.offsets {
            at_least_none(i64::from_le_bytes(*entry), "offset")?;
        }
        check_data(arena, self.keys, self.key_encoding, self.names.len(), "key")?;
        check_data(arena, self.values, self.value_encoding, self.names.len(), "value")?;
        self.check_headers(arena)?;
        self.check_source(arena)?;
        for entry in self.originals {
            name_or_none(word(entry, 0), "original topic")?;
        }
        match self.flags.iter().find(|[flags]| flags & !flags::ALL != 0) {
            Some([flags]) => Err(Malformed::new(Reason::Field, format!("flags {flags:#04x}"))),
            None => Ok(()),
        }
    }

    fn check_headers(&self, arena: &mut Arena<'a>) -> Result<(), Malformed> {
        let mut from = 0;
        for entry in self.headers {
            let to = word(entry, 0);
            if to < from || to as usize > self.header_entries.len() {
                return Err(Malformed::new(
                    Reason::Field,
                    format!("headers from {from} to {to} of {}", self.header_entries.len()),
                ));
            }
            from = to;
        }
        for entry in self.header_entries {
            Arena::name(&self.names, word(entry, 0) as usize, "header name")?;
            let (schema, offset, length) = (SchemaId(word(entry, 1)), word(entry, 2), word(entry, 3));
            check_datum(arena, schema, offset, length, Encoding::Tlv, self.names.len(), "header")?;
        }
        Ok(())
    }

    fn check_source(&self, arena: &mut Arena<'a>) -> Result<(), Malformed> {
        // Few partitions, many records: a partition is looked at once for each run of records.
        let mut seen = NONE;
        for entry in self.source_partitions {
            let number = word(entry, 0);
            if number != seen && number != NONE {
                check_compact_object(Arena::name(&self.names, number as usize, "source partition")?)
                    .map_err(|detail| Malformed::new(Reason::Json, format!("source partition {detail}")))?;
            }
            seen = number;
        }
        for entry in self.source_offsets {
            let (offset, length) = pair(entry);
            if offset == 0 && length == 0 {
                continue;
            }
            check_compact_object(arena.text(offset, length, "source offset")?)
                .map_err(|detail| Malformed::new(Reason::Json, format!("source offset {detail}")))?;
        }
        Ok(())
    }
}

fn at_least_none(number: i64, what: &str) -> Result<(), Malformed> {
    if number < -1 {
        return Err(Malformed::new(Reason::Field, format!("{what} {number}")));
    }
    Ok(())
}

fn check_data<'a>(
    arena: &mut Arena<'a>,
    entries: &'a [[u8; 12]],
    encoding: Encoding,
    names: usize,
    what: &str,
) -> Result<(), Malformed> {
    for entry in entries {
        let (schema, offset, length) = (SchemaId(word(entry, 0)), word(entry, 1), word(entry, 2));
        check_datum(arena, schema, offset, length, encoding, names, what)?;
    }
    Ok(())
}

#[inline]
fn check_datum(
    arena: &mut Arena<'_>,
    schema: SchemaId,
    offset: u32,
    length: u32,
    encoding: Encoding,
    names: usize,
    what: &str,
) -> Result<(), Malformed> {
    if !schema.is_possible() {
        return Err(Malformed::new(Reason::Schema, format!("{what} with schema {}", schema.0)));
    }
    if offset == 0 {
        if length != 0 {
            return Err(Malformed::new(Reason::Offset, format!("{what} that is null with {length} bytes")));
        }
        return Ok(());
    }
    let bytes = arena.slice(offset as usize, length as usize, what)?;
    match encoding {
        Encoding::Raw | Encoding::Text if schema.is_string() => {
            if simdutf8::basic::from_utf8(bytes).is_err() {
                return Err(Malformed::new(Reason::Utf8, format!("{what} is not UTF-8")));
            }
            Ok(())
        }
        Encoding::Raw if !schema.is_bytes() => {
            Err(Malformed::new(Reason::Schema, format!("raw {what} with schema {}", schema.0)))
        }
        Encoding::Raw | Encoding::Text => Ok(()),
        Encoding::Tlv => tlv::check(bytes, Allowed { names, numbers: schema == SchemaId::NONE }).map(|_| ()),
    }
}

/// Makes batches. Columns that no record uses are absent.
///
/// Bytes of keys, values and headers go straight into the arena; columns are appended when the batch is finished.
#[derive(Debug)]
pub struct BatchWriter {
    arena: Vec<u8>,
    /// Memory of a batch that nobody needs any more.
    spare: Vec<u8>,
    count: usize,
    key_encoding: Encoding,
    value_encoding: Encoding,
    names: Dictionary,
    names_full: bool,
    last_topic: u32,
    last_source_partition: u32,
    topics: Vec<[u8; 4]>,
    partitions: Vec<[u8; 4]>,
    offsets: Vec<[u8; 8]>,
    timestamps: Vec<[u8; 8]>,
    keys: Vec<[u8; 12]>,
    values: Vec<[u8; 12]>,
    headers: Vec<[u8; 4]>,
    header_entries: Vec<[u8; 16]>,
    source_partitions: Vec<[u8; 4]>,
    source_offsets: Vec<[u8; 8]>,
    origins: Vec<[u8; 4]>,
    originals: Vec<[u8; 16]>,
    flags: Vec<[u8; 1]>,
}

impl BatchWriter {
    /// A writer of batches with these encodings.
    pub fn new(key_encoding: Encoding, value_encoding: Encoding) -> BatchWriter {
        BatchWriter {
            arena: vec![0; HEADER_BYTES],
            spare: Vec::new(),
            count: 0,
            key_encoding,
            value_encoding,
            names: Dictionary::new(),
            names_full: false,
            last_topic: NONE,
            last_source_partition: NONE,
            topics: Vec::new(),
            partitions: Vec::new(),
            offsets: Vec::new(),
            timestamps: Vec::new(),
            keys: Vec::new(),
            values: Vec::new(),
            headers: Vec::new(),
            header_entries: Vec::new(),
            source_partitions: Vec::new(),
            source_offsets: Vec::new(),
            origins: Vec::new(),
            originals: Vec::new(),
            flags: Vec::new(),
        }
    }

    /// Begins the next batch; buffers keep their memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.arena.resize(HEADER_BYTES, 0);
        self.count = 0;
        self.names.clear();
        self.names_full = false;
        self.last_topic = NONE;
        self.last_source_partition = NONE;
        self.topics.clear();
        self.partitions.clear();
        self.offsets.clear();
        self.timestamps.clear();
        self.keys.clear();
        self.values.clear();
        self.headers.clear();
        self.header_entries.clear();
        self.source_partitions.clear();
        self.source_offsets.clear();
        self.origins.clear();
        self.originals.clear();
        self.flags.clear();
    }

    /// Records so far.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no record yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes so far, without columns.
    pub fn bytes(&self) -> usize {
        self.arena.len()
    }

    /// Adds a record without anything; what is returned fills it.
    #[inline]
    pub fn record(&mut self) -> RecordWriter<'_> {
        self.count += 1;
        RecordWriter { batch: self }
    }

    /// Puts columns and header in place. The next batch begins with [`BatchWriter::clear`]. An error: a limit of the
    /// format is exceeded.
    pub fn finish(&mut self) -> Result<&[u8], Malformed> {
        let limit = |detail: String| Err(Malformed::new(Reason::Limit, detail).of("batch"));
        if self.count > RECORDS_MAX {
            return limit(format!("{} records", self.count));
        }
        if self.header_entries.len() > HEADERS_MAX {
            return limit(format!("{} header entries", self.header_entries.len()));
        }
        if self.names_full {
            return limit("too many topics, header names and source partitions".to_owned());
        }
        let count = self.count;
        if !self.header_entries.is_empty() {
            self.headers.resize(count + 1, (self.header_entries.len() as u32).to_le_bytes());
        }
        let none = NONE.to_le_bytes();
        let mut original = [0; 16];
        original[..4].copy_from_slice(&none);
        let dictionary = append_dictionary(&mut self.arena, &self.names);
        let offsets = [
            dictionary,
            append(&mut self.arena, &mut self.topics, count, none),
            append(&mut self.arena, &mut self.partitions, count, (-1i32).to_le_bytes()),
            append(&mut self.arena, &mut self.offsets, count, (-1i64).to_le_bytes()),
            append(&mut self.arena, &mut self.timestamps, count, (-1i64).to_le_bytes()),
            append(&mut self.arena, &mut self.keys, count, [0; 12]),
            append(&mut self.arena, &mut self.values, count, [0; 12]),
            append_column(&mut self.arena, self.headers.as_flattened()),
            append_column(&mut self.arena, self.header_entries.as_flattened()),
            append(&mut self.arena, &mut self.source_partitions, count, none),
            append(&mut self.arena, &mut self.source_offsets, count, [0; 8]),
            append(&mut self.arena, &mut self.origins, count, [0; 4]),
            append(&mut self.arena, &mut self.originals, count, original),
            append(&mut self.arena, &mut self.flags, count, [0]),
        ];
        check_size(&self.arena).map_err(|malformed| malformed.of("batch"))?;
        let length = self.arena.len() as u32;
        let header = &mut self.arena[..HEADER_BYTES];
        header[..4].copy_from_slice(MAGIC);
        header[4..8].copy_from_slice(&[1, 0, self.key_encoding as u8, self.value_encoding as u8]);
        put_u32(header, 8, count as u32);
        put_u32(header, 12, length);
        put_u32(header, 16, self.names.len() as u32);
        put_u32(header, 20, self.header_entries.len() as u32);
        for (i, offset) in offsets.into_iter().enumerate() {
            put_u32(header, 24 + 4 * i, offset);
        }
        Ok(&self.arena)
    }

    /// As [`BatchWriter::finish`], but gives the bytes away and is ready for the next batch.
    pub fn take(&mut self) -> Result<Vec<u8>, Malformed> {
        let finished = self.finish().map(|_| ());
        let mut next = std::mem::take(&mut self.spare);
        if next.capacity() == 0 {
            next.reserve(self.arena.len());
        }
        let arena = std::mem::replace(&mut self.arena, next);
        self.clear();
        finished.map(|()| arena)
    }

    /// Takes back the memory of a batch that was given away and is done with, for one to come: fresh memory costs more
    /// than what is written into it.
    pub fn reuse(&mut self, arena: Vec<u8>) {
        self.spare = arena;
    }

    fn intern(&mut self, name: &str) -> u32 {
        match self.names.intern(name) {
            Some(number) => u32::from(number),
            None => {
                self.names_full = true;
                NONE
            }
        }
    }
}

/// Fills a column that is in use up with what stands for nothing, and appends it.
fn append<const N: usize>(arena: &mut Vec<u8>, column: &mut Vec<[u8; N]>, count: usize, absent: [u8; N]) -> u32 {
    if !column.is_empty() {
        column.resize(count, absent);
    }
    append_column(arena, column.as_flattened())
}

/// The record that was added last.
#[derive(Debug)]
pub struct RecordWriter<'w> {
    batch: &'w mut BatchWriter,
}

/// Sets the entry of the last record; those before it that were never set get what stands for nothing.
#[inline]
fn set<const N: usize>(column: &mut Vec<[u8; N]>, count: usize, entry: [u8; N], absent: [u8; N]) {
    if column.len() >= count {
        column[count - 1] = entry;
        return;
    }
    if column.len() + 1 < count {
        column.resize(count - 1, absent);
    }
    column.push(entry);
}

impl RecordWriter<'_> {
    /// Sets the topic.
    #[inline]
    pub fn topic(&mut self, topic: &str) -> &mut Self {
        let batch = &mut *self.batch;
        if batch.last_topic == NONE || batch.names.get(batch.last_topic as u16) != Some(topic) {
            batch.last_topic = batch.intern(topic);
        }
        set(&mut batch.topics, batch.count, batch.last_topic.to_le_bytes(), NONE.to_le_bytes());
        self
    }

    /// Sets the partition.
    #[inline]
    pub fn partition(&mut self, partition: i32) -> &mut Self {
        set(&mut self.batch.partitions, self.batch.count, partition.to_le_bytes(), (-1i32).to_le_bytes());
        self
    }

    /// Sets the offset in Kafka.
    #[inline]
    pub fn offset(&mut self, offset: i64) -> &mut Self {
        set(&mut self.batch.offsets, self.batch.count, offset.to_le_bytes(), (-1i64).to_le_bytes());
        self
    }

    /// Sets the timestamp in milliseconds.
    #[inline]
    pub fn timestamp(&mut self, timestamp: i64) -> &mut Self {
        set(&mut self.batch.timestamps, self.batch.count, timestamp.to_le_bytes(), (-1i64).to_le_bytes());
        self
    }

    /// Sets the key to bytes that are in the encoding of keys; none is null.
    #[inline]
    pub fn key(&mut self, schema: SchemaId, bytes: Option<&[u8]>) -> &mut Self {
        let entry = self.heap(schema, bytes);
        set(&mut self.batch.keys, self.batch.count, entry, [0; 12]);
        self
    }

    /// Sets the value to bytes that are in the encoding of values; none is null.
    #[inline]
    pub fn value(&mut self, schema: SchemaId, bytes: Option<&[u8]>) -> &mut Self {
        let entry = self.heap(schema, bytes);
        set(&mut self.batch.values, self.batch.count, entry, [0; 12]);
        self
    }

    /// Sets the key to what `write` appends: one node, if keys are nodes.
    pub fn key_with(&mut self, schema: SchemaId, write: impl FnOnce(Writer<'_>, &mut Dictionary)) -> &mut Self {
        let entry = self.heap_with(schema, write);
        set(&mut self.batch.keys, self.batch.count, entry, [0; 12]);
        self
    }

    /// Sets the value to what `write` appends: one node, if values are nodes.
    pub fn value_with(&mut self, schema: SchemaId, write: impl FnOnce(Writer<'_>, &mut Dictionary)) -> &mut Self {
        let entry = self.heap_with(schema, write);
        set(&mut self.batch.values, self.batch.count, entry, [0; 12]);
        self
    }

    /// Sets the key to a tree; keys are nodes.
    pub fn key_tree(&mut self, schema: SchemaId, value: &Value) -> &mut Self {
        let entry = self.tree(schema, value);
        set(&mut self.batch.keys, self.batch.count, entry, [0; 12]);
        self
    }

    /// Sets the value to a tree; values are nodes.
    pub fn value_tree(&mut self, schema: SchemaId, value: &Value) -> &mut Self {
        let entry = self.tree(schema, value);
        set(&mut self.batch.values, self.batch.count, entry, [0; 12]);
        self
    }

    /// Adds a header whose value is a node; none is null.
    pub fn header(&mut self, name: &str, schema: SchemaId, node: Option<&[u8]>) -> &mut Self {
        let datum = self.heap(schema, node);
        self.header_entry(name, datum)
    }

    /// Adds a header with a tree.
    pub fn header_tree(&mut self, name: &str, schema: SchemaId, value: &Value) -> &mut Self {
        let datum = self.tree(schema, value);
        self.header_entry(name, datum)
    }

    fn header_entry(&mut self, name: &str, datum: [u8; 12]) -> &mut Self {
        let batch = &mut *self.batch;
        // The records before this one end where its headers begin.
        let from = (batch.header_entries.len() as u32).to_le_bytes();
        if batch.headers.len() < batch.count {
            batch.headers.resize(batch.count, from);
        }
        let mut entry = [0; 16];
        entry[..4].copy_from_slice(&batch.intern(name).to_le_bytes());
        entry[4..].copy_from_slice(&datum);
        batch.header_entries.push(entry);
        self
    }

    /// Sets source partition and source offset, both compact JSON objects.
    pub fn source(&mut self, partition: &str, offset: &str) -> &mut Self {
        let batch = &mut *self.batch;
        if batch.last_source_partition == NONE || batch.names.get(batch.last_source_partition as u16) != Some(partition)
        {
            batch.last_source_partition = batch.intern(partition);
        }
        let number = batch.last_source_partition.to_le_bytes();
        set(&mut batch.source_partitions, batch.count, number, NONE.to_le_bytes());
        let mut entry = [0; 8];
        entry[..4].copy_from_slice(&(batch.arena.len() as u32).to_le_bytes());
        entry[4..].copy_from_slice(&(offset.len() as u32).to_le_bytes());
        batch.arena.extend_from_slice(offset.as_bytes());
        set(&mut batch.source_offsets, batch.count, entry, [0; 8]);
        self
    }

    /// Says which record of the host's batch this one was made from. Either all records of a batch say it or none.
    pub fn origin(&mut self, origin: u32) -> &mut Self {
        set(&mut self.batch.origins, self.batch.count, origin.to_le_bytes(), [0; 4]);
        self
    }

    /// Says where the record was before transforms moved it.
    pub fn original(&mut self, topic: &str, partition: i32, offset: i64) -> &mut Self {
        let batch = &mut *self.batch;
        let mut entry = [0; 16];
        entry[..4].copy_from_slice(&batch.intern(topic).to_le_bytes());
        entry[4..8].copy_from_slice(&partition.to_le_bytes());
        entry[8..].copy_from_slice(&offset.to_le_bytes());
        let mut absent = [0; 16];
        absent[..4].copy_from_slice(&NONE.to_le_bytes());
        set(&mut batch.originals, batch.count, entry, absent);
        self
    }

    /// Sets the flags, see [`flags`].
    pub fn flags(&mut self, flags: u8) -> &mut Self {
        set(&mut self.batch.flags, self.batch.count, [flags], [0]);
        self
    }

    #[inline]
    fn heap(&mut self, schema: SchemaId, bytes: Option<&[u8]>) -> [u8; 12] {
        let Some(bytes) = bytes else { return datum_entry(schema, 0, 0) };
        let offset = self.batch.arena.len();
        self.batch.arena.extend_from_slice(bytes);
        datum_entry(schema, offset, bytes.len())
    }

    fn heap_with(&mut self, schema: SchemaId, write: impl FnOnce(Writer<'_>, &mut Dictionary)) -> [u8; 12] {
        let batch = &mut *self.batch;
        let offset = batch.arena.len();
        write(Writer::new(&mut batch.arena), &mut batch.names);
        datum_entry(schema, offset, batch.arena.len() - offset)
    }

    fn tree(&mut self, schema: SchemaId, value: &Value) -> [u8; 12] {
        if *value == Value::Null {
            return datum_entry(schema, 0, 0);
        }
        let batch = &mut *self.batch;
        let offset = batch.arena.len();
        value.write_node(None, &mut batch.names, &mut batch.arena);
        datum_entry(schema, offset, batch.arena.len() - offset)
    }
}

#[inline]
fn datum_entry(schema: SchemaId, offset: usize, length: usize) -> [u8; 12] {
    let mut entry = [0; 12];
    entry[..4].copy_from_slice(&schema.0.to_le_bytes());
    entry[4..8].copy_from_slice(&(offset as u32).to_le_bytes());
    entry[8..].copy_from_slice(&(length as u32).to_le_bytes());
    entry
}
