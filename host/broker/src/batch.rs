//! Record batches, as they lie on disk and on the wire (magic 2).
//!
//! A batch is a 61-byte header and a blob of records that may be compressed. The broker stores batches as they came: it
//! checks the header and the checksum and writes three fields (base offset, leader epoch and, where the topic asks for
//! it, the append time). Records are looked at only where that cannot be avoided: null keys on compacted topics, lookups
//! by time, and compaction. Everything here treats its input as hostile: any bytes give a batch or an error.

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

/// Bytes of a batch before its records.
pub(crate) const HEADER_BYTES: usize = 61;
/// Base offset and length field: what comes before the part that the length field counts.
const PREFIX_BYTES: usize = 12;
/// The checksum covers everything from the attributes on.
const CRC_START: usize = 21;

const COMPRESSION_MASK: i16 = 0x07;
const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;

/// Why some bytes are not a batch this broker stores.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BatchError {
    /// Fewer bytes than the header or its length field promise. At the end of a log file: a torn write.
    #[error("batch is cut short")]
    Truncated,
    /// Message formats 0 and 1 are not stored.
    #[error("batch has message format {0}, only 2 is supported")]
    Magic(i8),
    /// Bytes and checksum disagree.
    #[error("batch has a wrong checksum")]
    Checksum,
    /// A field contradicts another one.
    #[error("batch is malformed: {0}")]
    Malformed(&'static str),
}

/// The decoded header of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) base_offset: i64,
    /// Bytes after the length field.
    length: i32,
    crc: u32,
    attributes: i16,
    pub(crate) last_offset_delta: i32,
    pub(crate) base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) record_count: i32,
}

fn i16_at(bytes: &[u8], at: usize) -> i16 {
    i16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn i32_at(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from(i32_at(bytes, at)) << 32 | i64::from(i32_at(bytes, at + 4) as u32)
}

impl Header {
    /// Reads the header at the start of `bytes`. The records need not be there.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Header, BatchError> {
        if bytes.len() < HEADER_BYTES {
            return Err(BatchError::Truncated);
        }
        let magic = bytes[16] as i8;
        if magic != 2 {
            return Err(BatchError::Magic(magic));
        }
        let header = Header {
            base_offset: i64_at(bytes, 0),
            length: i32_at(bytes, 8),
            crc: i32_at(bytes, 17) as u32,
            attributes: i16_at(bytes, 21),
            last_offset_delta: i32_at(bytes, 23),
            base_timestamp: i64_at(bytes, 27),
            max_timestamp: i64_at(bytes, 35),
            producer_id: i64_at(bytes, 43),
            producer_epoch: i16_at(bytes, 51),
            base_sequence: i32_at(bytes, 53),
            record_count: i32_at(bytes, 57),
        };
        if header.length < (HEADER_BYTES - PREFIX_BYTES) as i32 {
            return Err(BatchError::Malformed("its length is shorter than its header"));
        }
        if header.last_offset_delta < 0 || header.record_count < 0 || header.base_offset < 0 {
            return Err(BatchError::Malformed("a count or an offset is negative"));
        }
        Ok(header)
    }

    /// Bytes of the whole batch, header included.
    pub(crate) fn total_bytes(&self) -> usize {
        PREFIX_BYTES + self.length as usize
    }

    pub(crate) fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    pub(crate) fn compression(&self) -> i16 {
        self.attributes & COMPRESSION_MASK
    }

    pub(crate) fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    pub(crate) fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    pub(crate) fn is_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }

    pub(crate) fn has_producer(&self) -> bool {
        self.producer_id >= 0
    }

    /// The sequence number of the last record; sequence numbers wrap to zero after `i32::MAX`.
    pub(crate) fn last_sequence(&self) -> i32 {
        advance_sequence(self.base_sequence, self.last_offset_delta)
    }
}

/// `sequence + by`, wrapping to zero as producers do.
pub(crate) fn advance_sequence(sequence: i32, by: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(by);
    (if sum > i64::from(i32::MAX) { sum - i64::from(i32::MAX) - 1 } else { sum }) as i32
}

/// Checks that `bytes` begin with one whole batch with a right checksum, and returns its header.
pub(crate) fn verify(bytes: &[u8]) -> Result<Header, BatchError> {
    let header = Header::parse(bytes)?;
    let batch = bytes.get(..header.total_bytes()).ok_or(BatchError::Truncated)?;
    if crc32c::crc32c(&batch[CRC_START..]) != header.crc {
        return Err(BatchError::Checksum);
    }
    Ok(header)
}

/// Checks what a producer sent: exactly one whole batch of data, which holds as many records as offsets.
pub(crate) fn verify_produced(bytes: &[u8]) -> Result<Header, BatchError> {
    let header = verify(bytes)?;
    if header.total_bytes() != bytes.len() {
        return Err(BatchError::Malformed("more than one batch for a partition"));
    }
    if header.is_control() {
        return Err(BatchError::Malformed("clients cannot write control batches"));
    }
    if header.record_count == 0 || header.record_count - 1 != header.last_offset_delta {
        return Err(BatchError::Malformed("its record count and its last offset disagree"));
    }
    // The shortest record is seven bytes; compressed ones cannot be counted without unpacking them.
    if header.compression() == 0 && (bytes.len() - HEADER_BYTES) / 7 < header.record_count as usize {
        return Err(BatchError::Malformed("it is too short for its record count"));
    }
    if header.has_producer() && (header.producer_epoch < 0 || header.base_sequence < 0) {
        return Err(BatchError::Malformed("a producer id without epoch or sequence"));
    }
    if header.is_transactional() && !header.has_producer() {
        return Err(BatchError::Malformed("a transactional batch without a producer id"));
    }
    if !(0..=4).contains(&header.compression()) {
        return Err(BatchError::Malformed("unknown compression"));
    }
    Ok(header)
}

/// The first bytes of a batch with the fields that the broker assigns; the rest of the batch follows unchanged.
pub(crate) fn assigned_prefix(batch: &[u8], base_offset: i64) -> [u8; 16] {
    let mut prefix = [0; 16];
    prefix[..8].copy_from_slice(&base_offset.to_be_bytes());
    prefix[8..12].copy_from_slice(&batch[8..12]);
    // Leader epoch: this broker is always in its first.
    prefix[12..].copy_from_slice(&0i32.to_be_bytes());
    prefix
}

/// A copy of `batch` stamped with the time of its append. Costs a copy and a checksum.
pub(crate) fn with_append_time(batch: &[u8], now_ms: i64) -> Bytes {
    let mut copy = BytesMut::from(batch);
    let attributes = i16_at(batch, 21) | LOG_APPEND_TIME;
    copy[21..23].copy_from_slice(&attributes.to_be_bytes());
    copy[35..43].copy_from_slice(&now_ms.to_be_bytes());
    seal(&mut copy);
    copy.freeze()
}

/// A copy of a committed transactional batch without its transactional bit: after cleaning no marker stands behind it.
pub(crate) fn without_transaction(batch: &[u8]) -> Bytes {
    let mut copy = BytesMut::from(batch);
    let attributes = i16_at(batch, 21) & !TRANSACTIONAL;
    copy[21..23].copy_from_slice(&attributes.to_be_bytes());
    seal(&mut copy);
    copy.freeze()
}

fn seal(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[CRC_START..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

/// Builds a batch around `records`, which are already compressed as the attributes of `like` say.
fn assemble(like: &Header, attributes: i16, record_count: i32, records: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(HEADER_BYTES + records.len());
    out.put_i64(like.base_offset);
    out.put_i32((HEADER_BYTES - PREFIX_BYTES + records.len()) as i32);
    out.put_i32(0); // leader epoch
    out.put_i8(2);
    out.put_u32(0); // checksum, set below
    out.put_i16(attributes);
    out.put_i32(like.last_offset_delta);
    out.put_i64(like.base_timestamp);
    out.put_i64(like.max_timestamp);
    out.put_i64(like.producer_id);
    out.put_i16(like.producer_epoch);
    out.put_i32(like.base_sequence);
    out.put_i32(record_count);
    out.put_slice(records);
    seal(&mut out);
    out.freeze()
}

/// What remains of a batch when only `kept` of its records stay: same offsets, same producer fields, no transaction.
///
/// `kept` are whole records with their length prefix, in order.
pub(crate) fn with_records(like: &Header, kept: &[&[u8]]) -> Result<Bytes, BatchError> {
    let plain: Vec<u8> = kept.concat();
    let packed = crate::compression::compress(like.compression(), &plain)?;
    Ok(assemble(like, like.attributes & !TRANSACTIONAL, kept.len() as i32, &packed))
}

/// The control batch that ends a transaction of `producer_id`.
pub(crate) fn marker(producer_id: i64, producer_epoch: i16, committed: bool, now_ms: i64) -> Bytes {
    let mut record = BytesMut::new();
    record.put_i8(0); // attributes
    put_varint(&mut record, 0); // timestamp delta
    put_varint(&mut record, 0); // offset delta
    put_varint(&mut record, 4);
    record.put_i16(0); // key version
    record.put_i16(i16::from(committed));
    put_varint(&mut record, 6);
    record.put_i16(0); // value version
    record.put_i32(0); // coordinator epoch
    put_varint(&mut record, 0); // headers
    let mut records = BytesMut::new();
    put_varint(&mut records, record.len() as i64);
    records.put_slice(&record);
    let like = Header {
        base_offset: 0,
        length: 0,
        crc: 0,
        attributes: 0,
        last_offset_delta: 0,
        base_timestamp: now_ms,
        max_timestamp: now_ms,
        producer_id,
        producer_epoch,
        base_sequence: -1,
        record_count: 1,
    };
    assemble(&like, TRANSACTIONAL | CONTROL, 1, &records)
}

/// Whether a control batch (as [`marker`] or another broker builds it) commits; `None` when it is no end marker.
pub(crate) fn marker_commits(batch: &[u8]) -> Option<bool> {
    let header = Header::parse(batch).ok()?;
    let record = Records::new(&header, batch.get(HEADER_BYTES..header.total_bytes())?).next()?.ok()?;
    let key = record.key?;
    match (key.len() >= 4).then(|| i16_at(key, 2))? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn put_varint(out: &mut BytesMut, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)) as u64;
    while zigzag >= 0x80 {
        out.put_u8(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    out.put_u8(zigzag as u8);
}

/// One record inside a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) has_value: bool,
    /// The record with its length prefix.
    pub(crate) raw: &'a [u8],
}

/// Walks the (unpacked) records of a batch. Ends after the first error.
pub(crate) struct Records<'a> {
    header: Header,
    rest: &'a [u8],
    left: i32,
}

impl<'a> Records<'a> {
    pub(crate) fn new(header: &Header, unpacked: &'a [u8]) -> Records<'a> {
        Records { header: *header, rest: unpacked, left: header.record_count }
    }

    fn read(&mut self) -> Result<Record<'a>, BatchError> {
        let start = self.rest;
        let mut cursor = Cursor(self.rest);
        let length = usize::try_from(cursor.varint()?).map_err(|_| BatchError::Malformed("a negative length"))?;
        let prefix = start.len() - cursor.0.len();
        let body = cursor.take(length)?;
        let mut fields = Cursor(body);
        fields.take(1)?;
        let timestamp_delta = fields.varint()?;
        let offset_delta = fields.varint()?;
        if !(0..=i64::from(self.header.last_offset_delta)).contains(&offset_delta) {
            return Err(BatchError::Malformed("a record outside of its batch's offsets"));
        }
        let key = fields.nullable()?;
        let has_value = fields.nullable()?.is_some();
        self.rest = cursor.0;
        Ok(Record {
            offset: self.header.base_offset + offset_delta,
            timestamp: if self.header.is_log_append_time() {
                self.header.max_timestamp
            } else {
                self.header.base_timestamp.wrapping_add(timestamp_delta)
            },
            key,
            has_value,
            raw: &start[..prefix + length],
        })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            return None;
        }
        let record = self.read();
        self.left = if record.is_ok() { self.left - 1 } else { 0 };
        Some(record)
    }
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], BatchError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(BatchError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<i64, BatchError> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err(BatchError::Malformed("a number of more than ten bytes"))
    }

    fn nullable(&mut self) -> Result<Option<&'a [u8]>, BatchError> {
        match self.varint()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| BatchError::Malformed("a negative length"))?;
                self.take(length).map(Some)
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use kafka_protocol::records::{
        Compression, Record as Full, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
    };

    /// A batch of records as a client would send it; `None` is a tombstone.
    pub(crate) fn produced(records: &[(&str, Option<&str>)], compression: Compression) -> Bytes {
        produced_by(records, compression, -1, -1, -1, false)
    }

    pub(crate) fn produced_by(
        records: &[(&str, Option<&str>)],
        compression: Compression,
        producer_id: i64,
        producer_epoch: i16,
        sequence: i32,
        transactional: bool,
    ) -> Bytes {
        let records: Vec<Full> = records
            .iter()
            .enumerate()
            .map(|(index, (key, value))| Full {
                transactional,
                control: false,
                delete_horizon: false,
                partition_leader_epoch: 0,
                producer_id,
                producer_epoch,
                timestamp_type: TimestampType::Creation,
                offset: index as i64,
                // The encoder begins a new batch where sequences and offsets do not go together.
                sequence: sequence + index as i32,
                timestamp: 1_000 + index as i64,
                key: Some(Bytes::copy_from_slice(key.as_bytes())),
                value: value.map(|v| Bytes::copy_from_slice(v.as_bytes())),
                headers: Default::default(),
            })
            .collect();
        let mut out = BytesMut::new();
        RecordBatchEncoder::encode(&mut out, records.iter(), &RecordEncodeOptions { version: 2, compression }).unwrap();
        out.freeze()
    }

    #[test]
    fn a_batch_of_the_codec_is_accepted_and_walked() {
        let batch = produced(&[("a", Some("1")), ("b", None)], Compression::None);
        let header = verify_produced(&batch).unwrap();
        let records: Vec<Record> = Records::new(&header, &batch[HEADER_BYTES..]).collect::<Result<_, _>>().unwrap();
        assert_eq!(records.len(), 2);
        assert_eq!((records[1].offset, records[1].timestamp), (1, 1_001));
        assert_eq!((records[1].key, records[1].has_value), (Some(&b"b"[..]), false));
        assert_eq!(records.iter().map(|r| r.raw.len()).sum::<usize>(), batch.len() - HEADER_BYTES);
    }

    #[test]
    fn every_flipped_byte_behind_the_checksum_is_noticed() {
        let batch = produced(&[("a", Some("1"))], Compression::None);
        for at in CRC_START..batch.len() {
            let mut broken = batch.to_vec();
            broken[at] ^= 1;
            assert!(verify_produced(&broken).is_err(), "byte {at}");
        }
    }

    #[test]
    fn every_truncation_is_an_error() {
        let batch = produced(&[("a", Some("1"))], Compression::None);
        for length in 0..batch.len() {
            assert_eq!(verify(&batch[..length]), Err(BatchError::Truncated), "{length} bytes");
        }
    }

    #[test]
    fn stamping_the_append_time_keeps_the_checksum_right() {
        let batch = produced(&[("a", Some("1"))], Compression::None);
        let stamped = with_append_time(&batch, 77);
        let header = verify(&stamped).unwrap();
        assert!(header.is_log_append_time());
        assert_eq!(header.max_timestamp, 77);
    }

    #[test]
    fn markers_say_how_the_transaction_ended() {
        for committed in [true, false] {
            let batch = marker(7, 3, committed, 5);
            let header = verify(&batch).unwrap();
            assert!(header.is_control() && header.is_transactional());
            assert_eq!(marker_commits(&batch), Some(committed));
            assert_eq!(verify_produced(&batch), Err(BatchError::Malformed("clients cannot write control batches")));
        }
    }

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(advance_sequence(i32::MAX, 1), 0);
        assert_eq!(advance_sequence(i32::MAX - 1, 3), 1);
        assert_eq!(advance_sequence(4, 3), 7);
    }

    proptest::proptest! {
        #[test]
        fn hostile_records_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200), count in 0..50i32) {
            let mut header = Header::parse(&marker(1, 1, true, 1)).unwrap();
            header.record_count = count;
            header.last_offset_delta = count;
            let _ = Records::new(&header, &bytes).count();
        }
    }
}
