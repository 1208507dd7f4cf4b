//! Records, and the arena they travel in (`wit/BATCH.md`, "Batches"): [`SourceBatch`] writes one, [`SinkBatch`] reads one.

use crate::arena::{ARENA_BYTES_MAX, Arena, HEADERS_MAX, RECORDS_MAX};
use crate::dictionary::{Dictionary, DictionaryReader, align};
use crate::value::tag;
use crate::{Encoding, Error, Malformed, Result, SchemaId, Value};

const MAGIC: &[u8; 4] = b"TGB1";
const HEADER_BYTES: usize = 80;
const NONE: u32 = 0xFFFF_FFFF;

const ENCODING_RAW: u8 = 0;
const ENCODING_TEXT: u8 = 1;
const ENCODING_TLV: u8 = 2;

/// Where the offsets of the columns stand in the header.
mod at {
    pub(super) const COUNT: usize = 8;
    pub(super) const LENGTH: usize = 12;
    pub(super) const DICTIONARY_COUNT: usize = 16;
    pub(super) const HEADERS_COUNT: usize = 20;
    pub(super) const DICTIONARY: usize = 24;
    pub(super) const TOPIC: usize = 28;
    pub(super) const PARTITION: usize = 32;
    pub(super) const OFFSET: usize = 36;
    pub(super) const TIMESTAMP: usize = 40;
    pub(super) const KEY: usize = 44;
    pub(super) const VALUE: usize = 48;
    pub(super) const HEADERS: usize = 52;
    pub(super) const HEADER_ENTRIES: usize = 56;
    pub(super) const SOURCE_PARTITION: usize = 60;
    pub(super) const SOURCE_OFFSET: usize = 64;
    pub(super) const ORIGIN: usize = 68;
    pub(super) const ORIGINAL: usize = 72;
    pub(super) const FLAGS: usize = 76;
}

/// One record, as a source makes it.
///
/// ```
/// use tidegate_sdk::Record;
/// let record = Record::to("greetings").key("en").value("hello").from(r#"{"lang":"en"}"#, r#"{"n":1}"#);
/// assert_eq!(record.value.as_str(), Some("hello"));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The topic to write to.
    pub topic: String,
    /// The partition to write to; none leaves it to the key.
    pub partition: Option<i32>,
    /// Milliseconds since 1970; none leaves it to the producer.
    pub timestamp: Option<i64>,
    /// The schema of the key.
    pub key_schema: SchemaId,
    /// The key.
    pub key: Value,
    /// The schema of the value.
    pub value_schema: SchemaId,
    /// The value.
    pub value: Value,
    /// Headers in their order; names may occur again.
    pub headers: Vec<Header>,
    /// The source partition, a compact JSON object that is written the same way every time.
    pub source_partition: Option<String>,
    /// The offset in the source partition *after* this record, a compact JSON object.
    pub source_offset: Option<String>,
}

/// One header.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// The schema of its value.
    pub schema: SchemaId,
    /// Its value.
    pub value: Value,
}

impl Record {
    /// An empty record for a topic.
    pub fn to(topic: impl Into<String>) -> Record {
        Record {
            topic: topic.into(),
            partition: None,
            timestamp: None,
            key_schema: SchemaId::NONE,
            key: Value::Null,
            value_schema: SchemaId::NONE,
            value: Value::Null,
            headers: Vec::new(),
            source_partition: None,
            source_offset: None,
        }
    }

    /// Sets the key; plain types get their schema, the others none.
    #[must_use]
    pub fn key(mut self, key: impl Into<Value>) -> Record {
        self.key = key.into();
        self.key_schema = plain_schema(&self.key);
        self
    }

    /// Sets the value; plain types get their schema, the others none.
    #[must_use]
    pub fn value(mut self, value: impl Into<Value>) -> Record {
        self.value = value.into();
        self.value_schema = plain_schema(&self.value);
        self
    }

    /// Sets the value together with its schema.
    #[must_use]
    pub fn value_of(mut self, schema: SchemaId, value: impl Into<Value>) -> Record {
        self.value = value.into();
        self.value_schema = schema;
        self
    }

    /// Sets the timestamp, in milliseconds since 1970.
    #[must_use]
    pub fn at(mut self, timestamp_ms: i64) -> Record {
        self.timestamp = Some(timestamp_ms);
        self
    }

    /// Adds a header; plain types get their schema, the others none.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Value>) -> Record {
        let value = value.into();
        self.headers.push(Header { name: name.into(), schema: plain_schema(&value), value });
        self
    }

    /// Says where the record came from: its source partition, and the offset after it. Compact JSON objects.
    #[must_use]
    pub fn from(mut self, source_partition: impl Into<String>, source_offset: impl Into<String>) -> Record {
        self.source_partition = Some(source_partition.into());
        self.source_offset = Some(source_offset.into());
        self
    }
}

/// The schema that a value of a plain type has when none is given.
pub(crate) fn plain_schema(value: &Value) -> SchemaId {
    match value {
        Value::Int8(_) => SchemaId::INT8,
        Value::Int16(_) => SchemaId::INT16,
        Value::Int32(_) => SchemaId::INT32,
        Value::Int64(_) => SchemaId::INT64,
        Value::Float32(_) => SchemaId::FLOAT32,
        Value::Float64(_) => SchemaId::FLOAT64,
        Value::Boolean(_) => SchemaId::BOOLEAN,
        Value::String(_) => SchemaId::STRING,
        Value::Bytes(_) => SchemaId::BYTES,
        _ => SchemaId::NONE,
    }
}

/// A text in the dictionary of the batch that gave it out; see [`SourceBatch::name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name(u16);

/// A record of text or bytes that is written without making a [`Record`]: the fast way.
#[derive(Debug, Clone, Copy)]
pub struct RawRecord<'a> {
    /// The topic to write to.
    pub topic: Name,
    /// Milliseconds since 1970.
    pub timestamp: Option<i64>,
    /// The key with its schema, which must be one of strings or bytes.
    pub key: Option<(SchemaId, &'a [u8])>,
    /// The value likewise. Bytes of a string are UTF-8.
    pub value: Option<(SchemaId, &'a [u8])>,
    /// The source partition and the offset after this record, as in [`Record::from`].
    pub source: Option<(Name, &'a str)>,
}

/// How much a poll may answer.
#[derive(Debug, Clone, Copy)]
pub struct PollLimits {
    /// Records.
    pub records_max: usize,
    /// Bytes of keys and values, about.
    pub bytes_max: usize,
    /// How long the poll may block when there is nothing yet.
    pub wait_ms: u32,
}

/// The records that a poll answers, written straight into the arena that the host reads.
#[derive(Debug)]
pub struct SourceBatch {
    limits: PollLimits,
    encoding: u8,
    /// The header's place, then the heap; the columns follow when the batch is finished.
    arena: Vec<u8>,
    dictionary: Dictionary,
    count: usize,
    topic: Vec<u8>,
    partition: Option<Vec<u8>>,
    /// Only in batches for sinks.
    offset: Option<Vec<u8>>,
    timestamp: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
    value: Vec<u8>,
    header_starts: Option<Vec<u8>>,
    header_entries: Vec<u8>,
    source_partition: Option<Vec<u8>>,
    source_offset: Option<Vec<u8>>,
    flags: Option<Vec<u8>>,
}

impl SourceBatch {
    /// An empty batch. Sources get theirs from the host.
    pub fn new(encoding: Encoding, limits: PollLimits) -> SourceBatch {
        let encoding = if encoding == Encoding::Raw { ENCODING_RAW } else { ENCODING_TLV };
        SourceBatch::with_encoding(encoding, limits)
    }

    /// The answer of a converter to a batch of this many bytes.
    pub(crate) fn of_converter(encoding: Encoding, bytes: usize) -> SourceBatch {
        SourceBatch::new(encoding, PollLimits { records_max: RECORDS_MAX, bytes_max: bytes, wait_ms: 0 })
    }

    /// A batch as the host writes it for a sink, where `text` is possible too.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn for_sink(encoding: Encoding) -> SourceBatch {
        let encoding = match encoding {
            Encoding::Raw => ENCODING_RAW,
            Encoding::Text => ENCODING_TEXT,
            Encoding::Tlv => ENCODING_TLV,
        };
        let limits = PollLimits { records_max: RECORDS_MAX, bytes_max: ARENA_BYTES_MAX, wait_ms: 0 };
        SourceBatch::with_encoding(encoding, limits)
    }

    fn with_encoding(encoding: u8, limits: PollLimits) -> SourceBatch {
        let mut arena = Vec::with_capacity(HEADER_BYTES + limits.bytes_max.min(1 << 20));
        arena.resize(HEADER_BYTES, 0);
        SourceBatch {
            limits: PollLimits { records_max: limits.records_max.min(RECORDS_MAX), ..limits },
            encoding,
            arena,
            dictionary: Dictionary::default(),
            count: 0,
            topic: Vec::new(),
            partition: None,
            offset: None,
            timestamp: None,
            key: None,
            value: Vec::new(),
            header_starts: None,
            header_entries: Vec::new(),
            source_partition: None,
            source_offset: None,
            flags: None,
        }
    }

    /// Records so far.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no record yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How much this poll may answer.
    pub fn limits(&self) -> PollLimits {
        self.limits
    }

    /// Whether the poll should answer now. A record more is refused only when the format's own limits are reached.
    pub fn is_full(&self) -> bool {
        self.count >= self.limits.records_max || self.arena.len() >= self.limits.bytes_max.max(HEADER_BYTES + 1)
    }

    /// A text that many records share (topic, source partition), for [`push_raw`](SourceBatch::push_raw).
    pub fn name(&mut self, text: &str) -> Result<Name> {
        match self.dictionary.id(text) {
            Some(id) => Ok(Name(id)),
            None => Err(Error::fatal("a batch names more than 65,534 topics, source partitions and fields")),
        }
    }

    /// Adds a record.
    pub fn push(&mut self, record: &Record) -> Result<()> {
        let topic = self.name(&record.topic)?;
        let source_partition = match &record.source_partition {
            Some(partition) => Some(self.name(partition)?),
            None => None,
        };
        self.check_room()?;
        let key = self.cell(record.key_schema, &record.key)?;
        let value = self.cell(record.value_schema, &record.value)?;
        let headers = record.headers.iter().map(|header| self.header(header)).collect::<Result<Vec<_>>>()?;

        let count = self.count;
        if record.partition.is_some() || self.partition.is_some() {
            column(&mut self.partition, count, &(-1_i32).to_le_bytes())
                .extend_from_slice(&record.partition.unwrap_or(-1).to_le_bytes());
        }
        if !headers.is_empty() || self.header_starts.is_some() {
            let start = (self.header_entries.len() / 16) as u32;
            column(&mut self.header_starts, count, &0_u32.to_le_bytes()).extend_from_slice(&start.to_le_bytes());
            headers.iter().flatten().for_each(|number| self.header_entries.extend_from_slice(&number.to_le_bytes()));
        }
        self.add(topic, record.timestamp, key, value, source_partition.zip(record.source_offset.as_deref()));
        Ok(())
    }

    /// Adds a record of text or bytes.
    pub fn push_raw(&mut self, record: &RawRecord<'_>) -> Result<()> {
        self.check_room()?;
        let key = self.raw_cell(record.key)?;
        let value = self.raw_cell(record.value)?;
        let count = self.count;
        if self.partition.is_some() {
            column(&mut self.partition, count, &[]).extend_from_slice(&(-1_i32).to_le_bytes());
        }
        if self.header_starts.is_some() {
            let start = (self.header_entries.len() / 16) as u32;
            column(&mut self.header_starts, count, &[]).extend_from_slice(&start.to_le_bytes());
        }
        self.add(record.topic, record.timestamp, key, value, record.source);
        Ok(())
    }

    /// Ends a transaction of the source's own after the record that was added last.
    pub fn commit_transaction(&mut self) {
        self.flag(0b010);
    }

    /// Aborts the transaction that the record added last belongs to: nobody sees its records. Their source offsets count all
    /// the same, so that the source goes on behind them.
    pub fn abort_transaction(&mut self) {
        self.flag(0b110);
    }

    /// Gives the record added last its offset, as only the host does.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn set_offset(&mut self, offset: i64) {
        column(&mut self.offset, self.count - 1, &(-1_i64).to_le_bytes()).extend_from_slice(&offset.to_le_bytes());
    }

    /// Adds a record that a converter could not convert.
    pub(crate) fn push_failed(&mut self, topic: Name, reason: &str) -> Result<()> {
        let value = Some((SchemaId::STRING, reason.as_bytes()));
        self.push_raw(&RawRecord { topic, timestamp: None, key: None, value, source: None })?;
        self.flag(0b1000);
        Ok(())
    }

    /// Adds a value that a converter made.
    pub(crate) fn push_data(&mut self, topic: Name, schema: SchemaId, value: &Value) -> Result<()> {
        self.check_room()?;
        let value = self.cell(schema, value)?;
        self.add(topic, None, [0; 3], value, None);
        Ok(())
    }

    fn flag(&mut self, bits: u8) {
        let Some(last) = self.count.checked_sub(1) else { return };
        let flags = self.flags.get_or_insert_default();
        flags.resize(last + 1, 0);
        flags[last] |= bits;
    }

    fn check_room(&self) -> Result<()> {
        match self.count < RECORDS_MAX && self.arena.len() < ARENA_BYTES_MAX {
            true => Ok(()),
            false => Err(Error::fatal("a batch has more than 65,536 records or 64 MiB: answer when `is_full` says so")),
        }
    }

    /// The fixed columns that every record has.
    fn add(
        &mut self,
        topic: Name,
        timestamp: Option<i64>,
        key: [u32; 3],
        value: [u32; 3],
        source: Option<(Name, &str)>,
    ) {
        let count = self.count;
        self.topic.extend_from_slice(&u32::from(topic.0).to_le_bytes());
        if timestamp.is_some() || self.timestamp.is_some() {
            column(&mut self.timestamp, count, &(-1_i64).to_le_bytes())
                .extend_from_slice(&timestamp.unwrap_or(-1).to_le_bytes());
        }
        if key != [0; 3] || self.key.is_some() {
            column(&mut self.key, count, &[0; 12]).extend_from_slice(&triple(key));
        }
        self.value.extend_from_slice(&triple(value));
        if source.is_some() || self.source_partition.is_some() {
            let partition = source.map_or(NONE, |(partition, _)| partition.0.into());
            column(&mut self.source_partition, count, &NONE.to_le_bytes()).extend_from_slice(&partition.to_le_bytes());
            let (start, length) = match source {
                Some((_, offset)) => {
                    let start = self.arena.len() as u32;
                    self.arena.extend_from_slice(offset.as_bytes());
                    (start, offset.len() as u32)
                }
                None => (0, 0),
            };
            let offsets = column(&mut self.source_offset, count, &[0; 8]);
            offsets.extend_from_slice(&start.to_le_bytes());
            offsets.extend_from_slice(&length.to_le_bytes());
        }
        self.count += 1;
    }

    fn cell(&mut self, schema: SchemaId, value: &Value) -> Result<[u32; 3]> {
        match value {
            Value::Null => Ok([schema.0, 0, 0]),
            Value::String(text) if self.encoding == ENCODING_RAW => self.raw_cell(Some((schema, text.as_bytes()))),
            Value::Bytes(bytes) if self.encoding == ENCODING_RAW => self.raw_cell(Some((schema, bytes))),
            #[cfg(not(target_family = "wasm"))]
            value if self.encoding == ENCODING_TEXT => {
                let start = self.arena.len();
                match value {
                    Value::String(text) => self.arena.extend_from_slice(text.as_bytes()),
                    Value::Bytes(bytes) => self.arena.extend_from_slice(bytes),
                    other => self.arena.extend_from_slice(crate::testing::json_of(other).to_string().as_bytes()),
                }
                Ok([schema.0, start as u32, (self.arena.len() - start) as u32])
            }
            _ if self.encoding == ENCODING_RAW => {
                Err(Error::fatal("a definition with encoding `raw` can answer strings and bytes only"))
            }
            value => {
                let start = self.arena.len();
                value.write_node(None, &mut self.dictionary, &mut self.arena);
                Ok([schema.0, start as u32, (self.arena.len() - start) as u32])
            }
        }
    }

    fn raw_cell(&mut self, cell: Option<(SchemaId, &[u8])>) -> Result<[u32; 3]> {
        let Some((schema, bytes)) = cell else { return Ok([0; 3]) };
        let start = self.arena.len();
        let of_tag = match schema {
            SchemaId::STRING | SchemaId::OPTIONAL_STRING => tag::STRING,
            SchemaId::BYTES | SchemaId::OPTIONAL_BYTES => tag::BYTES,
            _ => return Err(Error::fatal("raw keys and values have a schema of strings or bytes")),
        };
        if self.encoding == ENCODING_TLV {
            self.arena.extend_from_slice(&[0xFF, 0xFF, of_tag, 0]);
            self.arena.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        }
        self.arena.extend_from_slice(bytes);
        Ok([schema.0, start as u32, (self.arena.len() - start) as u32])
    }

    fn header(&mut self, header: &Header) -> Result<[u32; 4]> {
        let name = self.name(&header.name)?;
        if self.header_entries.len() / 16 >= HEADERS_MAX {
            return Err(Error::fatal("a batch has more than 100,000 headers"));
        }
        let (start, length) = match &header.value {
            Value::Null => (0, 0),
            value => {
                let start = self.arena.len();
                value.write_node(None, &mut self.dictionary, &mut self.arena);
                (start as u32, (self.arena.len() - start) as u32)
            }
        };
        Ok([name.0.into(), header.schema.0, start, length])
    }

    /// The arena.
    pub fn finish(mut self) -> Result<Vec<u8>> {
        let arena = &mut self.arena;
        let dictionary = self.dictionary.write(arena);
        if let Some(starts) = &mut self.header_starts {
            starts.extend_from_slice(&((self.header_entries.len() / 16) as u32).to_le_bytes());
        }
        if let Some(flags) = &mut self.flags {
            flags.resize(self.count, 0);
        }
        let columns = [
            (at::TOPIC, Some(&self.topic)),
            (at::PARTITION, self.partition.as_ref()),
            (at::OFFSET, self.offset.as_ref()),
            (at::TIMESTAMP, self.timestamp.as_ref()),
            (at::KEY, self.key.as_ref()),
            (at::VALUE, Some(&self.value)),
            (at::HEADERS, self.header_starts.as_ref()),
            (at::HEADER_ENTRIES, self.header_starts.as_ref().map(|_| &self.header_entries)),
            (at::SOURCE_PARTITION, self.source_partition.as_ref()),
            (at::SOURCE_OFFSET, self.source_offset.as_ref()),
            (at::FLAGS, self.flags.as_ref()),
        ];
        for (at, column) in columns {
            if let Some(column) = column.filter(|column| !column.is_empty()) {
                align(arena);
                let start = arena.len() as u32;
                arena.extend_from_slice(column);
                put(arena, at, start);
            }
        }
        if arena.len() > ARENA_BYTES_MAX {
            return Err(Error::fatal("a batch is longer than 64 MiB"));
        }
        arena[..4].copy_from_slice(MAGIC);
        arena[4] = 1;
        arena[6] = self.encoding;
        arena[7] = self.encoding;
        put(arena, at::COUNT, self.count as u32);
        let length = arena.len() as u32;
        put(arena, at::LENGTH, length);
        put(arena, at::DICTIONARY_COUNT, self.dictionary.len() as u32);
        put(arena, at::HEADERS_COUNT, (self.header_entries.len() / 16) as u32);
        put(arena, at::DICTIONARY, dictionary);
        Ok(self.arena)
    }
}

/// Source partitions and offsets are JSON objects, written without blanks.
fn check_compact_object(text: &str) -> Result<(), Malformed> {
    const WHAT: Malformed = Malformed::new("a source partition or offset is no compact JSON object");
    let mut in_string = false;
    let mut escaped = false;
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            byte if !in_string && byte.is_ascii_whitespace() => return Err(WHAT),
            _ => {}
        }
    }
    let json: serde_json::Value = serde_json::from_str(text).map_err(|_| WHAT)?;
    if json.is_object() { Ok(()) } else { Err(WHAT) }
}

/// The column, with `absent` for the records before if it begins only now.
fn column<'a>(column: &'a mut Option<Vec<u8>>, count: usize, absent: &[u8]) -> &'a mut Vec<u8> {
    column.get_or_insert_with(|| absent.repeat(count))
}

fn triple([a, b, c]: [u32; 3]) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&a.to_le_bytes());
    bytes[4..8].copy_from_slice(&b.to_le_bytes());
    bytes[8..].copy_from_slice(&c.to_le_bytes());
    bytes
}

pub(crate) fn put(arena: &mut [u8], at: usize, number: u32) {
    arena[at..at + 4].copy_from_slice(&number.to_le_bytes());
}

/// The records that a sink is given. Checked as a whole when it is read; values are decoded when they are asked for.
#[derive(Debug, Clone, Default)]
pub struct SinkBatch<'a> {
    arena: Arena<'a>,
    dictionary: DictionaryReader<'a>,
    count: usize,
    key_encoding: u8,
    value_encoding: u8,
    topic: Option<usize>,
    partition: Option<usize>,
    offset: Option<usize>,
    timestamp: Option<usize>,
    key: Option<usize>,
    value: Option<usize>,
    headers: Option<(usize, usize)>,
    source_partition: Option<usize>,
    source_offset: Option<usize>,
    origin: Option<usize>,
    original: Option<usize>,
    flags: Option<usize>,
}

impl<'a> SinkBatch<'a> {
    /// Reads an arena. Sinks get theirs from the host.
    pub fn read(bytes: &'a [u8]) -> Result<SinkBatch<'a>, Malformed> {
        let arena = Arena::open(bytes, HEADER_BYTES, MAGIC, at::LENGTH)?;
        let count = arena.u32(at::COUNT) as usize;
        if count > RECORDS_MAX {
            return Err(Malformed::new("more than 65,536 records"));
        }
        let header_count = arena.u32(at::HEADERS_COUNT) as usize;
        if header_count > HEADERS_MAX {
            return Err(Malformed::new("more than 100,000 headers"));
        }
        if bytes[6] > ENCODING_TLV || bytes[7] > ENCODING_TLV {
            return Err(Malformed::new("an unknown encoding"));
        }
        let dictionary = DictionaryReader::read(arena, at::DICTIONARY, at::DICTIONARY_COUNT)?;
        let headers = match arena.column(at::HEADERS, count + 1, 4)? {
            None => None,
            Some(starts) => {
                let entries = arena.column(at::HEADER_ENTRIES, header_count, 16)?;
                Some((starts, entries.unwrap_or(starts)))
            }
        };
        let batch = SinkBatch {
            arena,
            dictionary,
            count,
            key_encoding: bytes[6],
            value_encoding: bytes[7],
            topic: arena.column(at::TOPIC, count, 4)?,
            partition: arena.column(at::PARTITION, count, 4)?,
            offset: arena.column(at::OFFSET, count, 8)?,
            timestamp: arena.column(at::TIMESTAMP, count, 8)?,
            key: arena.column(at::KEY, count, 12)?,
            value: arena.column(at::VALUE, count, 12)?,
            headers,
            source_partition: arena.column(at::SOURCE_PARTITION, count, 4)?,
            source_offset: arena.column(at::SOURCE_OFFSET, count, 8)?,
            origin: arena.column(at::ORIGIN, count, 4)?,
            original: arena.column(at::ORIGINAL, count, 16)?,
            flags: arena.column(at::FLAGS, count, 1)?,
        };
        batch.check(header_count)?;
        Ok(batch)
    }

    fn check(&self, header_count: usize) -> Result<(), Malformed> {
        let arena = self.arena;
        for index in 0..self.count {
            if let Some(topic) = self.topic {
                self.dictionary.get(arena.u32(topic + 4 * index))?;
            }
            for (column, encoding) in [(self.key, self.key_encoding), (self.value, self.value_encoding)] {
                if let Some(column) = column {
                    self.check_slot(column + 12 * index, encoding)?;
                }
            }
            if self.offset.is_some_and(|column| (arena.u64(column + 8 * index) as i64) < -1)
                || self.partition.is_some_and(|column| arena.i32(column + 4 * index) < -1)
            {
                return Err(Malformed::new("a partition or an offset is negative"));
            }
            if self.flags.is_some_and(|column| arena.bytes()[column + index] > 0b1111) {
                return Err(Malformed::new("a record has a flag without meaning"));
            }
            if let Some(column) = self.source_partition
                && arena.u32(column + 4 * index) != NONE
            {
                check_compact_object(self.dictionary.get(arena.u32(column + 4 * index))?)?;
            }
            if let Some(column) = self.source_offset
                && arena.u32(column + 8 * index) != 0
            {
                let text = arena.range(arena.u32(column + 8 * index), arena.u32(column + 8 * index + 4))?;
                check_compact_object(std::str::from_utf8(text).map_err(|_| Malformed::new("an offset is not UTF-8"))?)?;
            }
            if let Some(column) = self.original
                && arena.u32(column + 16 * index) != NONE
            {
                self.dictionary.get(arena.u32(column + 16 * index))?;
            }
        }
        if let Some((starts, entries)) = self.headers {
            let start = |index: usize| arena.u32(starts + 4 * index) as usize;
            if (0..self.count).any(|index| start(index) > start(index + 1)) || start(self.count) > header_count {
                return Err(Malformed::new("the header entries of a record are out of order"));
            }
            for at in (0..header_count).map(|index| entries + 16 * index) {
                self.dictionary.get(arena.u32(at))?;
                self.check_slot(at + 4, ENCODING_TLV)?;
            }
        }
        Ok(())
    }

    /// Checks {schema, offset, length} of a key, a value or a header.
    fn check_slot(&self, at: usize, encoding: u8) -> Result<(), Malformed> {
        let (schema, offset, length) = (SchemaId(self.arena.u32(at)), self.arena.u32(at + 4), self.arena.u32(at + 8));
        if !schema.is_known() {
            return Err(Malformed::new("a schema number that stands for nothing"));
        }
        if offset == 0 {
            return if length == 0 { Ok(()) } else { Err(Malformed::new("null has a length")) };
        }
        self.arena.range(offset, length)?;
        let is_raw =
            matches!(schema, SchemaId::STRING | SchemaId::OPTIONAL_STRING | SchemaId::BYTES | SchemaId::OPTIONAL_BYTES);
        match encoding != ENCODING_RAW || is_raw {
            true => Ok(()),
            false => Err(Malformed::new("a raw value whose schema is neither string nor bytes")),
        }
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether this is the empty batch that the host sends at least once a second.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// A record by its index, which must be below [`len`](SinkBatch::len).
    pub fn record(&self, index: usize) -> RecordRef<'_, 'a> {
        assert!(index < self.count, "record {index} of {}", self.count);
        RecordRef { batch: self, index }
    }

    /// The records in their order.
    pub fn records(&self) -> impl ExactSizeIterator<Item = RecordRef<'_, 'a>> {
        (0..self.count).map(|index| RecordRef { batch: self, index })
    }
}

/// One record of a [`SinkBatch`].
#[derive(Debug, Clone, Copy)]
pub struct RecordRef<'b, 'a> {
    batch: &'b SinkBatch<'a>,
    index: usize,
}

/// A key or value in its place in the arena.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Slot<'a> {
    pub(crate) schema: SchemaId,
    /// None: null.
    pub(crate) bytes: Option<&'a [u8]>,
}

impl<'a> RecordRef<'_, 'a> {
    /// Its index in the batch, which [`Outcome`](crate::Outcome) speaks of.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The topic; empty if the batch names none.
    pub fn topic(&self) -> &'a str {
        let batch = self.batch;
        match batch.topic {
            Some(column) => batch.dictionary.get(batch.arena.u32(column + 4 * self.index)).unwrap_or_default(),
            None => "",
        }
    }

    /// The partition.
    pub fn partition(&self) -> Option<i32> {
        let column = self.batch.partition?;
        Some(self.batch.arena.i32(column + 4 * self.index)).filter(|&partition| partition >= 0)
    }

    /// The offset in the partition.
    pub fn offset(&self) -> Option<i64> {
        let column = self.batch.offset?;
        Some(self.batch.arena.u64(column + 8 * self.index) as i64).filter(|&offset| offset >= 0)
    }

    /// Milliseconds since 1970.
    pub fn timestamp(&self) -> Option<i64> {
        let column = self.batch.timestamp?;
        Some(self.batch.arena.u64(column + 8 * self.index) as i64).filter(|&timestamp| timestamp != -1)
    }

    /// Topic, partition and offset in Kafka, where transforms moved the record.
    pub fn moved_from(&self) -> Option<(&'a str, i32, i64)> {
        let batch = self.batch;
        let at = batch.original? + 16 * self.index;
        // The dictionary entry was checked when the batch was read.
        let topic = batch.dictionary.get(batch.arena.u32(at)).ok()?;
        Some((topic, batch.arena.i32(at + 4), batch.arena.u64(at + 8) as i64))
    }

    /// The index of the record of the host's batch that this one was made from, if the batch says so.
    pub fn origin(&self) -> Option<u32> {
        Some(self.batch.arena.u32(self.batch.origin? + 4 * self.index))
    }

    /// The schema of the key.
    pub fn key_schema(&self) -> SchemaId {
        self.slot(self.batch.key).schema
    }

    /// The schema of the value.
    pub fn value_schema(&self) -> SchemaId {
        self.slot(self.batch.value).schema
    }

    /// The key as it came: with encodings `raw` and `text` its text or bytes. None: null.
    pub fn key_bytes(&self) -> Option<&'a [u8]> {
        self.slot(self.batch.key).bytes
    }

    /// The value as it came: with encodings `raw` and `text` its text or bytes. None: null.
    pub fn value_bytes(&self) -> Option<&'a [u8]> {
        self.slot(self.batch.value).bytes
    }

    /// The key, decoded.
    pub fn key(&self) -> Result<Value, Malformed> {
        self.decode(self.batch.key_encoding, self.slot(self.batch.key))
    }

    /// The value, decoded.
    pub fn value(&self) -> Result<Value, Malformed> {
        self.decode(self.batch.value_encoding, self.slot(self.batch.value))
    }

    /// The headers in their order, decoded.
    pub fn headers(&self) -> Result<Vec<Header>, Malformed> {
        let batch = self.batch;
        let Some((starts, entries)) = batch.headers else { return Ok(Vec::new()) };
        let start = |index: usize| batch.arena.u32(starts + 4 * index) as usize;
        let header = |index: usize| {
            let at = entries + 16 * index;
            let number = |of: usize| batch.arena.u32(at + 4 * of);
            let value = match number(2) {
                0 => Value::Null,
                offset => Value::read_node(batch.arena.range(offset, number(3))?, &batch.dictionary)?,
            };
            Ok(Header { name: batch.dictionary.get(number(0))?.to_owned(), schema: SchemaId(number(1)), value })
        };
        (start(self.index)..start(self.index + 1)).map(header).collect()
    }

    /// The source partition and offset, if the record came from a source.
    pub fn source(&self) -> (Option<&'a str>, Option<&'a str>) {
        let (batch, arena) = (self.batch, self.batch.arena);
        let partition =
            batch.source_partition.and_then(|column| batch.dictionary.get(arena.u32(column + 4 * self.index)).ok());
        let offset = batch.source_offset.and_then(|column| {
            let at = column + 8 * self.index;
            let text = arena.range(arena.u32(at), arena.u32(at + 4)).ok().filter(|_| arena.u32(at) != 0)?;
            std::str::from_utf8(text).ok()
        });
        (partition, offset)
    }

    /// The flags of `wit/BATCH.md`.
    pub fn flags(&self) -> u8 {
        self.batch.flags.map_or(0, |column| self.batch.arena.bytes()[column + self.index])
    }

    fn slot(&self, column: Option<usize>) -> Slot<'a> {
        let Some(column) = column else { return Slot::default() };
        let (arena, at) = (self.batch.arena, column + 12 * self.index);
        let bytes = match arena.u32(at + 4) {
            0 => None,
            offset => arena.range(offset, arena.u32(at + 8)).ok(),
        };
        Slot { schema: SchemaId(arena.u32(at)), bytes }
    }

    fn decode(&self, encoding: u8, slot: Slot<'a>) -> Result<Value, Malformed> {
        let Some(bytes) = slot.bytes else { return Ok(Value::Null) };
        match encoding {
            ENCODING_TLV => match Value::read_node(bytes, &self.batch.dictionary)? {
                Value::Number(_) if slot.schema != SchemaId::NONE => {
                    Err(Malformed::new("a number as text in a value with a schema"))
                }
                value => Ok(value),
            },
            // As text, whatever is not bytes came as text: a string's own or JSON's.
            ENCODING_TEXT | ENCODING_RAW if !matches!(slot.schema, SchemaId::BYTES | SchemaId::OPTIONAL_BYTES) => {
                match std::str::from_utf8(bytes) {
                    Ok(text) => Ok(Value::String(text.to_owned())),
                    Err(_) if slot.schema == SchemaId::NONE => Ok(Value::Bytes(bytes.to_vec())),
                    Err(_) => Err(Malformed::new("a text is not UTF-8")),
                }
            }
            _ => Ok(Value::Bytes(bytes.to_vec())),
        }
    }
}
