//! Handing records to librdkafka, and reading its delivery reports.

use std::ffi::{CString, c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as sys;

use super::client::{Client, Queue};
use crate::code::Code;
use crate::error::KafkaError;

/// The partition that means "the partitioner decides".
pub(crate) const ANY_PARTITION: i32 = -1;

/// A topic handle of a producer.
#[derive(Debug)]
pub(crate) struct Topic {
    raw: NonNull<sys::rd_kafka_topic_t>,
    _client: Arc<Client>,
}

// SAFETY: topic handles are reference-counted and locked inside librdkafka and usable from any thread.
unsafe impl Send for Topic {}

impl Topic {
    /// `None` for a name that cannot be one.
    pub(crate) fn new(client: &Arc<Client>, name: &str) -> Option<Self> {
        let name = CString::new(name).ok()?;
        // SAFETY: the client is live, the name NUL-terminated, and a null configuration means the client's.
        let raw = unsafe { sys::rd_kafka_topic_new(client.raw(), name.as_ptr(), ptr::null_mut()) };
        Some(Self { raw: NonNull::new(raw)?, _client: Arc::clone(client) })
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: our reference, released once; records in the queue hold their own.
        unsafe { sys::rd_kafka_topic_destroy(self.raw.as_ptr()) }
    }
}

/// What `produce_batch` can carry of a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plain<'a> {
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    /// Comes back in the delivery report.
    pub(crate) tag: u64,
}

/// Room for one batch of C messages, kept between batches.
#[derive(Debug, Default)]
pub(crate) struct Scratch(Vec<sys::rd_kafka_message_t>);

// SAFETY: between calls of `produce_batch` the vector is empty, so that no pointer moves to another thread.
unsafe impl Send for Scratch {}

/// Copies `records` into the producer's queue in order, in one call. Returns how many were dealt with from the first on:
/// taken, or refused for good (then `refused` hears of the index and why). The others found the queue full.
pub(crate) fn produce_batch<'a>(
    topic: &Topic,
    partition: i32,
    records: impl Iterator<Item = Plain<'a>>,
    scratch: &mut Scratch,
    mut refused: impl FnMut(usize, Code),
) -> usize {
    let messages = &mut scratch.0;
    messages.clear();
    messages.extend(records.map(|record| sys::rd_kafka_message_t {
        err: sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR,
        rkt: ptr::null_mut(),
        partition,
        payload: pointer(record.value),
        len: record.value.map_or(0, <[u8]>::len),
        key: pointer(record.key),
        key_len: record.key.map_or(0, <[u8]>::len),
        offset: 0,
        _private: record.tag as usize as *mut c_void,
    }));
    let count = c_int::try_from(messages.len()).expect("a batch has fewer than 2^31 records");
    // SAFETY: the topic (and with it its client) is live; the messages point to `count` records whose bytes `records`
    // borrows for the whole call, and F_COPY makes librdkafka copy them before it returns. With a fixed partition the
    // call looks the partition up once and refuses all or none, so no record of an unknown partition is leaked.
    let taken = unsafe {
        sys::rd_kafka_produce_batch(
            topic.raw.as_ptr(),
            partition,
            sys::RD_KAFKA_MSG_F_COPY,
            messages.as_mut_ptr(),
            count,
        )
    };
    let mut dealt_with = messages.len();
    if taken != count {
        for (index, message) in messages.iter().enumerate() {
            // SAFETY: a field of a live message, read as a number as it may be a code the bindings' enum lacks.
            let code = Code(unsafe { (&raw const message.err).cast::<i32>().read() });
            if code == Code::QUEUE_FULL {
                // Sticky in librdkafka: all later records of the call carry it too.
                dealt_with = index;
                break;
            }
            if !code.is_ok() {
                refused(index, code);
            }
        }
    }
    messages.clear();
    dealt_with
}

/// A record with what `produce_batch` cannot carry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rich<'a, H> {
    pub(crate) plain: Plain<'a>,
    pub(crate) headers: H,
    /// Milliseconds since 1970; none means now.
    pub(crate) timestamp: Option<i64>,
}

/// Copies one record into the producer's queue.
pub(crate) fn produce_one<'a>(
    topic: &Topic,
    partition: i32,
    record: Rich<'a, impl ExactSizeIterator<Item = (&'a str, Option<&'a [u8]>)>>,
) -> Result<(), Code> {
    let Rich { plain, headers, timestamp } = record;
    let headers = OwnedHeaders::of(headers)?;
    let mem = |data: Option<&[u8]>| sys::rd_kafka_vu_s__bindgen_ty_1 {
        mem: sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 { ptr: pointer(data), size: data.map_or(0, <[u8]>::len) },
    };
    use sys::rd_kafka_vtype_t as V;
    use sys::rd_kafka_vu_s__bindgen_ty_1 as U;
    let argument = |vtype, u| sys::rd_kafka_vu_t { vtype, u };
    let arguments = [
        argument(V::RD_KAFKA_VTYPE_RKT, U { rkt: topic.raw.as_ptr() }),
        argument(V::RD_KAFKA_VTYPE_PARTITION, U { i32_: partition }),
        argument(V::RD_KAFKA_VTYPE_MSGFLAGS, U { i: sys::RD_KAFKA_MSG_F_COPY }),
        argument(V::RD_KAFKA_VTYPE_KEY, mem(plain.key)),
        argument(V::RD_KAFKA_VTYPE_VALUE, mem(plain.value)),
        argument(V::RD_KAFKA_VTYPE_OPAQUE, U { ptr: plain.tag as usize as *mut c_void }),
        argument(V::RD_KAFKA_VTYPE_TIMESTAMP, U { i64_: timestamp.unwrap_or(0) }),
        argument(V::RD_KAFKA_VTYPE_HEADERS, U { headers: headers.0 }),
    ];
    // The library takes an absent header list for an error.
    let count = if headers.0.is_null() { arguments.len() - 1 } else { arguments.len() };
    // SAFETY: the topic and its client are live; each union holds the field its type names; key and value are borrowed
    // for the whole call and F_COPY makes the library copy them.
    let error = unsafe { sys::rd_kafka_produceva(topic._client.raw(), arguments.as_ptr(), count) };
    if error.is_null() {
        // The message owns the headers now.
        std::mem::forget(headers);
        return Ok(());
    }
    // SAFETY: not null, so a live error of ours, destroyed once.
    Err(unsafe {
        let code = Code(sys::rd_kafka_error_code(error) as i32);
        sys::rd_kafka_error_destroy(error);
        code
    })
}

/// A C list of headers until a message takes it over; null when there are none.
struct OwnedHeaders(*mut sys::rd_kafka_headers_t);

impl OwnedHeaders {
    fn of<'a>(headers: impl ExactSizeIterator<Item = (&'a str, Option<&'a [u8]>)>) -> Result<Self, Code> {
        if headers.len() == 0 {
            return Ok(Self(ptr::null_mut()));
        }
        // SAFETY: no preconditions; never null.
        let list = Self(unsafe { sys::rd_kafka_headers_new(headers.len()) });
        for (name, value) in headers {
            // SAFETY: the list is live; name and value are borrowed for the call, which copies them by their lengths.
            let code = unsafe {
                sys::rd_kafka_header_add(
                    list.0,
                    name.as_ptr().cast(),
                    name.len().cast_signed(),
                    pointer(value),
                    value.map_or(0, <[u8]>::len).cast_signed(),
                ) as i32
            };
            if code != 0 {
                return Err(Code(code));
            }
        }
        Ok(list)
    }
}

impl Drop for OwnedHeaders {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: live and still ours: forgotten when a message has taken it over.
            unsafe { sys::rd_kafka_headers_destroy(self.0) }
        }
    }
}

/// Null for none; for an empty slice a pointer that is not null, which is how the library tells the two apart.
fn pointer(data: Option<&[u8]>) -> *mut c_void {
    data.map_or(ptr::null_mut(), |data| data.as_ptr().cast_mut().cast())
}

/// Serves the producer's queue: waits up to `timeout` for the first event, then takes what else is there (bounded).
/// `report` hears of each delivery report: the record's tag and its outcome.
pub(crate) fn serve(queue: &Queue, timeout: Duration, mut report: impl FnMut(u64, Code)) {
    const EVENTS_MAX: usize = 256;
    let mut wait = timeout;
    for _ in 0..EVENTS_MAX {
        let Some(event) = queue.poll(wait) else { return };
        wait = Duration::ZERO;
        if event.kind() != sys::RD_KAFKA_EVENT_DR {
            continue;
        }
        let mut messages = [ptr::null::<sys::rd_kafka_message_t>(); 256];
        loop {
            // SAFETY: the event is live and holds delivery reports; the array has room for the given number.
            let count =
                unsafe { sys::rd_kafka_event_message_array(event.raw(), messages.as_mut_ptr(), messages.len()) };
            if count == 0 {
                break;
            }
            for &message in &messages[..count] {
                // SAFETY: the library wrote `count` live messages that belong to the event; the code is read as a number.
                let (tag, code) =
                    unsafe { ((*message)._private as usize as u64, (&raw const (*message).err).cast::<i32>().read()) };
                report(tag, Code(code));
            }
        }
    }
}

/// Makes waiting records go out without lingering until the queue is empty or `serve` is called the next time.
pub(crate) fn hurry(client: &Client) {
    // SAFETY: the client is live. With no time to wait it only wakes the broker threads; "timed out" is the usual answer.
    _ = unsafe { sys::rd_kafka_flush(client.raw(), 0) };
}

/// Records that are in the queue or in flight, and reports that wait to be served.
pub(crate) fn outstanding(client: &Client) -> usize {
    // SAFETY: the client is live.
    usize::try_from(unsafe { sys::rd_kafka_outq_len(client.raw()) }).unwrap_or(0)
}

/// Gives up all records that are in the queue or in flight; their reports follow.
pub(crate) fn purge(client: &Client) -> Result<(), KafkaError> {
    let flags = sys::RD_KAFKA_PURGE_F_QUEUE | sys::RD_KAFKA_PURGE_F_INFLIGHT;
    // SAFETY: the client is live.
    match unsafe { sys::rd_kafka_purge(client.raw(), flags) } as i32 {
        0 => Ok(()),
        code => Err(KafkaError::of("giving up undelivered records", Code(code))),
    }
}
