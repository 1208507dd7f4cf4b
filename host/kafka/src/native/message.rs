//! A batch of consumed records, borrowed from librdkafka's fetch buffers until it is dropped.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_void};
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as sys;

use super::client::{Client, Queue};
use super::{milliseconds, owned_text};
use crate::code::Code;
use crate::offset::TopicPartition;

/// Records in the order they were fetched. Keys, values and headers are slices of the fetch responses, which stay in
/// memory until the batch is dropped: hold one batch at a time.
#[derive(Debug)]
pub struct MessageBatch {
    messages: Vec<NonNull<sys::rd_kafka_message_t>>,
    /// Messages must be gone before their client is.
    _client: Arc<Client>,
}

// SAFETY: messages may be used and destroyed on any thread, one at a time. Not `Sync`: the first look at a message's
// headers parses them in place.
unsafe impl Send for MessageBatch {}

/// About how many bytes of keys and values a batch has at most: enough that what is done once a batch costs nothing, few
/// enough that they stay in the processor's cache on their way.
const BATCH_BYTES: usize = 512 << 10;

/// Records that are taken between two looks at the bytes.
const STEP_RECORDS: usize = 250;

/// Consecutive records of one partition in a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run<'b> {
    pub topic: &'b str,
    pub partition: i32,
    /// The records' indices in the batch.
    pub range: Range<usize>,
}

/// What came where a record was expected.
#[derive(Debug)]
pub(crate) enum Notice {
    EndOfPartition { at: TopicPartition, offset: i64 },
    Error { code: Code, detail: String, at: Option<TopicPartition> },
}

impl MessageBatch {
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// About how many bytes of keys and values a batch has at most.
    pub const BYTES: usize = BATCH_BYTES;

    /// Bytes of keys and values.
    pub fn bytes(&self) -> usize {
        self.bytes_from(0)
    }

    /// Adds the records of a batch that was fetched later by the same consumer.
    pub fn append(&mut self, mut later: MessageBatch) {
        self.messages.append(&mut later.messages);
    }

    /// Takes the first records out: at most `max`, and no more than fit into [`MessageBatch::BYTES`], but at least one if
    /// there is one.
    pub fn take_front(&mut self, max: usize) -> MessageBatch {
        let (mut count, mut bytes) = (0, 0);
        while count < max.min(self.messages.len()) && (count == 0 || bytes < BATCH_BYTES) {
            bytes += self.bytes_of(count);
            count += 1;
        }
        let messages = self.messages.drain(..count).collect();
        MessageBatch { messages, _client: Arc::clone(&self._client) }
    }

    /// Cuts the batch into one for each part that `part_of(topic, partition)` names, in order within each.
    pub fn split(mut self, part_of: impl Fn(&str, i32) -> usize) -> BTreeMap<usize, MessageBatch> {
        let runs: Vec<(usize, usize)> =
            self.runs().map(|run| (part_of(run.topic, run.partition), run.range.len())).collect();
        let mut parts = BTreeMap::new();
        let mut messages = std::mem::take(&mut self.messages).into_iter();
        for (part, count) in runs {
            let empty = || MessageBatch { messages: Vec::new(), _client: Arc::clone(&self._client) };
            parts.entry(part).or_insert_with(empty).messages.extend(messages.by_ref().take(count));
        }
        parts
    }

    /// The record at `index`.
    ///
    /// # Panics
    /// When there is none.
    pub fn get(&self, index: usize) -> Message<'_> {
        Message { raw: self.messages[index], _batch: PhantomData }
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = Message<'_>> {
        self.messages.iter().map(|&raw| Message { raw, _batch: PhantomData })
    }

    /// The batch as runs of one partition each: a topic's name is looked at once a run, not once a record.
    pub fn runs(&self) -> impl Iterator<Item = Run<'_>> {
        let mut start = 0;
        std::iter::from_fn(move || {
            let first = Message { raw: *self.messages.get(start)?, _batch: PhantomData };
            let end = self.messages[start..]
                .iter()
                .position(|&raw| !first.same_partition(&Message { raw, _batch: PhantomData }))
                .map_or(self.messages.len(), |offset| start + offset);
            let run = Run { topic: first.topic(), partition: first.partition(), range: start..end };
            start = end;
            Some(run)
        })
    }

    /// Waits for a record, then takes what else is there, up to `max` records or about [`BATCH_BYTES`]. Runs callbacks on
    /// the way and returns early, possibly empty, when a rebalance was noted. What is not a record goes to `notices`.
    pub(crate) fn consume(queue: &Queue, max: usize, timeout: Duration, notices: &mut Vec<Notice>) -> Self {
        let mut batch = Self { messages: Vec::with_capacity(max), _client: Arc::clone(queue.client()) };
        let mut came = batch.fetch(queue, 1, timeout, notices);
        let mut taken = came;
        let mut bytes = batch.bytes_from(0);
        while came > 0 && taken < max && bytes < BATCH_BYTES {
            // librdkafka waits until a batch is full or the time is over, so the rest is asked for without waiting; as many
            // as fit if they are as large as those that came.
            let fitting = (BATCH_BYTES - bytes) / (bytes / taken).max(1) + 1;
            let asked = fitting.min(max - taken).min(STEP_RECORDS);
            let start = batch.messages.len();
            came = batch.fetch(queue, asked, Duration::ZERO, notices);
            taken += came;
            bytes += batch.bytes_from(start);
        }
        batch
    }

    /// Bytes of keys and values from a record on.
    fn bytes_from(&self, start: usize) -> usize {
        (start..self.messages.len()).map(|index| self.bytes_of(index)).sum()
    }

    /// Bytes of the key and the value of one record.
    fn bytes_of(&self, index: usize) -> usize {
        let raw = self.messages[index].as_ptr();
        // SAFETY: the batch's own messages are live; lengths are plain fields.
        unsafe { (*raw).len + (*raw).key_len }
    }

    /// Returns how many entries came, notices included.
    fn fetch(&mut self, queue: &Queue, max: usize, timeout: Duration, notices: &mut Vec<Notice>) -> usize {
        let start = self.messages.len();
        self.messages.reserve(max);
        let space = &mut self.messages.spare_capacity_mut()[..max];
        // SAFETY: the queue is live, and only this thread consumes from it (`Consumer` is used by `&mut`). `space` has
        // room for `max` pointers; `NonNull` has a pointer's layout and the library writes live messages, never null.
        let count = unsafe {
            sys::rd_kafka_consume_batch_queue(queue.raw(), milliseconds(timeout), space.as_mut_ptr().cast(), max)
        };
        let count = usize::try_from(count).unwrap_or(0).min(max);
        // SAFETY: the library has initialised the first `count` entries, which we own from here on.
        unsafe { self.messages.set_len(start + count) };
        let mut index = start;
        while let Some(&raw) = self.messages.get(index) {
            let message = Message { raw, _batch: PhantomData };
            if message.code().is_ok() {
                index += 1;
                continue;
            }
            notices.push(message.to_notice());
            self.messages.remove(index);
            // SAFETY: live, owned, and no longer in the list.
            unsafe { sys::rd_kafka_message_destroy(raw.as_ptr()) };
        }
        count
    }
}

impl Drop for MessageBatch {
    fn drop(&mut self) {
        for message in self.messages.drain(..) {
            // SAFETY: live and owned; no `Message` borrows from the batch any more, the client is still there.
            unsafe { sys::rd_kafka_message_destroy(message.as_ptr()) }
        }
    }
}

/// One consumed record.
#[derive(Clone, Copy, Debug)]
pub struct Message<'b> {
    raw: NonNull<sys::rd_kafka_message_t>,
    _batch: PhantomData<&'b MessageBatch>,
}

/// A record's time in milliseconds since 1970, and who set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timestamp {
    NotAvailable,
    CreateTime(i64),
    LogAppendTime(i64),
}

impl Timestamp {
    /// The milliseconds, whoever set them.
    pub fn millis(self) -> Option<i64> {
        match self {
            Self::NotAvailable => None,
            Self::CreateTime(millis) | Self::LogAppendTime(millis) => Some(millis),
        }
    }
}

// All of `Message`'s blocks rest on the same fact: SAFETY: `raw` came out of a batch that `'b` keeps alive, so the
// message, its topic handle and its fetch buffer are live and, but for header parsing (which is why neither type is
// `Sync`), unchanged. Fields are read through the pointer, as a reference would assert that `err` is a known code.
impl<'b> Message<'b> {
    pub fn topic(&self) -> &'b str {
        // SAFETY: see above; a record always has a topic handle, whose name is NUL-terminated.
        let name = unsafe { CStr::from_ptr(sys::rd_kafka_topic_name((*self.raw.as_ptr()).rkt)) };
        name.to_str().expect("topic names are ASCII")
    }

    pub fn partition(&self) -> i32 {
        // SAFETY: see above.
        unsafe { (*self.raw.as_ptr()).partition }
    }

    pub fn offset(&self) -> i64 {
        // SAFETY: see above.
        unsafe { (*self.raw.as_ptr()).offset }
    }

    /// The key, or none where it is null.
    pub fn key(&self) -> Option<&'b [u8]> {
        // SAFETY: see above; key and length belong together.
        unsafe { bytes((*self.raw.as_ptr()).key, (*self.raw.as_ptr()).key_len) }
    }

    /// The value, or none where it is null (a tombstone).
    pub fn value(&self) -> Option<&'b [u8]> {
        // SAFETY: see above; payload and length belong together.
        unsafe { bytes((*self.raw.as_ptr()).payload, (*self.raw.as_ptr()).len) }
    }

    pub fn timestamp(&self) -> Timestamp {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: see above.
        let millis = unsafe { sys::rd_kafka_message_timestamp(self.raw.as_ptr(), &mut kind) };
        match kind {
            sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE => Timestamp::NotAvailable,
            sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_CREATE_TIME => Timestamp::CreateTime(millis),
            sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME => Timestamp::LogAppendTime(millis),
        }
    }

    /// The headers in order. Free where there are none; parsed on the first call otherwise.
    pub fn headers(&self) -> Headers<'b> {
        let mut raw = ptr::null_mut();
        // SAFETY: see above; parsing happens in place, on this thread only.
        let code = unsafe { sys::rd_kafka_message_headers(self.raw.as_ptr(), &mut raw) } as i32;
        Headers { raw: (code == 0).then_some(raw).and_then(NonNull::new), next: 0, _batch: PhantomData }
    }

    fn same_partition(&self, other: &Self) -> bool {
        // SAFETY: see above. Two handles may name one topic; then a run is split, which is allowed.
        unsafe { (*self.raw.as_ptr()).rkt == (*other.raw.as_ptr()).rkt && self.partition() == other.partition() }
    }

    fn code(&self) -> Code {
        // SAFETY: see above.
        Code(unsafe { (&raw const (*self.raw.as_ptr()).err).cast::<i32>().read() })
    }

    fn to_notice(self) -> Notice {
        // SAFETY: see above; errors that belong to no topic have no handle.
        let has_topic = unsafe { !(*self.raw.as_ptr()).rkt.is_null() };
        let at = has_topic.then(|| TopicPartition::new(self.topic(), self.partition()));
        match (self.code(), at) {
            (Code::PARTITION_EOF, Some(at)) => Notice::EndOfPartition { at, offset: self.offset() },
            (code, at) => {
                // SAFETY: see above; the text is null or NUL-terminated and lives with the message.
                let detail = unsafe { owned_text(sys::rd_kafka_message_errstr(self.raw.as_ptr())) };
                Notice::Error { code, detail, at }
            }
        }
    }
}

/// # Safety
/// `data` is null or points to `len` bytes that live and stay unchanged for `'b`.
unsafe fn bytes<'b>(data: *const c_void, len: usize) -> Option<&'b [u8]> {
    // SAFETY: by the caller's contract.
    (!data.is_null()).then(|| unsafe { std::slice::from_raw_parts(data.cast::<u8>(), len) })
}

/// The headers of one record: name and value, none where the value is null.
#[derive(Clone, Debug)]
pub struct Headers<'b> {
    raw: Option<NonNull<sys::rd_kafka_headers_t>>,
    next: usize,
    _batch: PhantomData<&'b MessageBatch>,
}

impl Headers<'_> {
    pub fn is_empty(&self) -> bool {
        self.raw.is_none()
    }
}

impl<'b> Iterator for Headers<'b> {
    /// Names are bytes as they came; Kafka calls for UTF-8 and nobody checks.
    type Item = (&'b [u8], Option<&'b [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let (mut name, mut value, mut len): (*const c_char, *const c_void, usize) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the headers belong to a message that `'b` keeps alive; the library fills in all three on success.
        let code = unsafe {
            sys::rd_kafka_header_get_all(self.raw?.as_ptr(), self.next, &mut name, &mut value, &mut len) as i32
        };
        if code != 0 {
            return None;
        }
        self.next += 1;
        // SAFETY: the call succeeded: `name` is NUL-terminated, `value` null or `len` bytes, both living with the message.
        Some(unsafe { (CStr::from_ptr(name).to_bytes(), bytes(value, len)) })
    }
}
