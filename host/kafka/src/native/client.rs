//! One librdkafka client: made from settings, with its callbacks, destroyed when its last user is gone.

use std::collections::VecDeque;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::bindings as sys;

use super::group;
use super::partitions::PartitionList;
use super::{c_string, deadline, milliseconds, owned_text};
use crate::code::Code;
use crate::error::{KafkaError, lower_first};
use crate::rate_limit::RateLimit;
use crate::settings::ClientSettings;

/// What a client is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Producer,
    Consumer,
}

/// An `rd_kafka_t`. Everything made from it holds an `Arc` of it, so that it is destroyed last.
#[derive(Debug)]
pub(crate) struct Client {
    raw: NonNull<sys::rd_kafka_t>,
    kind: Kind,
    bootstrap: String,
    // Behind `raw`'s opaque pointer; declared after it and freed after `drop` has joined librdkafka's threads.
    shared: Box<Shared>,
}

// SAFETY: librdkafka documents its handle as safe for use from any thread and from several at once; `Shared` is Sync.
unsafe impl Send for Client {}
// SAFETY: as above.
unsafe impl Sync for Client {}

/// What the callbacks write and the client reads.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    name: String,
    log_lines: Mutex<RateLimit>,
    last_error: Mutex<Option<(Code, String)>>,
    rebalances: Mutex<VecDeque<(Code, PartitionList)>>,
    /// The queue being polled, so that a rebalance ends the poll; null until a consumer sets it.
    polled_queue: AtomicPtr<sys::rd_kafka_queue_t>,
}

impl Shared {
    fn note_error(&self, code: Code, detail: String) {
        let mut last = lock(&self.last_error);
        // "All brokers are down" says less than the connection failure before it.
        if code != Code::ALL_BROKERS_DOWN || last.is_none() {
            *last = Some((code, detail));
        }
    }
}

/// A mutex whose holder cannot leave it half changed, so poisoning means nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Client {
    /// Makes a client. Connects in the background: success says nothing about the broker.
    pub(crate) fn open(kind: Kind, settings: &ClientSettings) -> Result<Arc<Self>, KafkaError> {
        let conf = Conf::from_settings(settings)?;
        let shared =
            Box::new(Shared { name: settings.get("client.id").unwrap_or("rdkafka").to_owned(), ..Shared::default() });
        // SAFETY: `conf` is a live configuration. `shared` is boxed, so its address is stable, and it outlives the
        // client (field order and `Drop` below). The callbacks match the C signatures and treat the opaque as `Shared`.
        unsafe {
            sys::rd_kafka_conf_set_opaque(conf.0, ptr::from_ref::<Shared>(&shared).cast_mut().cast());
            sys::rd_kafka_conf_set_log_cb(conf.0, Some(on_log));
            sys::rd_kafka_conf_set_error_cb(conf.0, Some(on_error));
            match kind {
                Kind::Producer => sys::rd_kafka_conf_set_events(conf.0, sys::RD_KAFKA_EVENT_DR),
                Kind::Consumer => {
                    sys::rd_kafka_conf_set_rebalance_cb(conf.0, Some(on_rebalance));
                    sys::rd_kafka_conf_set_events(conf.0, sys::RD_KAFKA_EVENT_OFFSET_COMMIT);
                }
            }
        }
        let role = match kind {
            Kind::Producer => sys::rd_kafka_type_t::RD_KAFKA_PRODUCER,
            Kind::Consumer => sys::rd_kafka_type_t::RD_KAFKA_CONSUMER,
        };
        let mut text = ErrorText::default();
        // SAFETY: `conf` is live; the error buffer is writable for the given length.
        let raw = unsafe { sys::rd_kafka_new(role, conf.0, text.buffer(), ErrorText::LEN) };
        let Some(raw) = NonNull::new(raw) else {
            return Err(KafkaError::InvalidSettings { detail: lower_first(&text.to_string()) });
        };
        // The client owns the configuration now.
        std::mem::forget(conf);
        Ok(Arc::new(Self { raw, kind, bootstrap: settings.bootstrap().to_owned(), shared }))
    }

    pub(crate) fn raw(&self) -> *mut sys::rd_kafka_t {
        self.raw.as_ptr()
    }

    /// The last thing librdkafka complained about, e.g. why it cannot connect.
    pub(crate) fn last_error(&self) -> Option<(Code, String)> {
        lock(&self.shared.last_error).clone()
    }

    /// Puts the client beyond repair, as an answer of a broker may.
    #[cfg(test)]
    pub(crate) fn break_for_good(&self) {
        let code = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
        // SAFETY: the client is live, the text is a C string that librdkafka copies.
        unsafe { sys::rd_kafka_test_fatal_error(self.raw(), code, c"broken by a test".as_ptr()) };
    }

    /// `Err` once the client is beyond repair.
    pub(crate) fn check(&self, what: &str) -> Result<(), KafkaError> {
        let mut text = ErrorText::default();
        // SAFETY: the client is live, the buffer is writable for the given length.
        let code = Code(unsafe { sys::rd_kafka_fatal_error(self.raw(), text.buffer(), ErrorText::LEN) } as i32);
        if code.is_ok() {
            Ok(())
        } else if code.means_fenced() {
            Err(KafkaError::Fenced { what: what.to_owned(), code })
        } else {
            Err(KafkaError::Fatal { what: what.to_owned(), code, detail: lower_first(&text.to_string()) })
        }
    }

    /// Turns a refusal that may only mean "no broker" into [`KafkaError::Unreachable`] with the reason.
    pub(crate) fn explain(&self, error: KafkaError) -> KafkaError {
        const SILENCE: [Code; 4] = [Code::TRANSPORT, Code::TIMED_OUT, Code::ALL_BROKERS_DOWN, Code(-164)];
        if !error.code().is_some_and(|code| SILENCE.contains(&code)) {
            return error;
        }
        let detail = match self.last_error() {
            Some((Code::AUTHENTICATION, detail)) => {
                return KafkaError::Denied {
                    what: format!("connecting to \"{}\"", self.bootstrap),
                    code: Code::AUTHENTICATION,
                    detail,
                };
            }
            Some((_, detail)) if !detail.is_empty() => detail,
            _ => "no answer in the time given".to_owned(),
        };
        KafkaError::Unreachable { bootstrap: self.bootstrap.clone(), detail }
    }

    /// The rebalances that callbacks have noted since the last call, oldest first.
    pub(crate) fn take_rebalances(&self) -> VecDeque<(Code, PartitionList)> {
        std::mem::take(&mut *lock(&self.shared.rebalances))
    }

    pub(crate) fn set_polled_queue(&self, queue: Option<&Queue>) {
        self.shared.polled_queue.store(queue.map_or(ptr::null_mut(), Queue::raw), Ordering::Release);
    }

    pub(crate) fn new_queue(self: &Arc<Self>) -> Queue {
        // SAFETY: the client is live; a new queue is never null.
        let raw = unsafe { sys::rd_kafka_queue_new(self.raw()) };
        Queue::owned(self, raw)
    }

    /// The queue of delivery reports and errors.
    pub(crate) fn main_queue(self: &Arc<Self>) -> Queue {
        // SAFETY: the client is live and every client has a main queue; the reference we get is ours to release.
        let raw = unsafe { sys::rd_kafka_queue_get_main(self.raw()) };
        Queue::owned(self, raw)
    }

    /// The queue of a consumer's records, rebalances and errors.
    pub(crate) fn consumer_queue(self: &Arc<Self>) -> Result<Queue, KafkaError> {
        // SAFETY: the client is live.
        let code = unsafe { sys::rd_kafka_poll_set_consumer(self.raw()) } as i32;
        if code != 0 {
            return Err(KafkaError::of("opening a consumer", Code(code)));
        }
        // SAFETY: the client is live and, as the call above succeeded, has a group and so a consumer queue.
        let raw = unsafe { sys::rd_kafka_queue_get_consumer(self.raw()) };
        Ok(Queue::owned(self, raw))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let flags = match self.kind {
            Kind::Producer => 0,
            // Leaving the group is `group::close`'s work, and in librdkafka 2.12 it crashes at times when the
            // coordinator is not known; destroying must never do it on the side.
            Kind::Consumer => {
                group::settle(self);
                sys::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE
            }
        };
        // SAFETY: the client is live, this is its last user (everything made from it holds an `Arc`), and `shared`,
        // which the callbacks use, is freed only after this call has joined librdkafka's threads.
        unsafe { sys::rd_kafka_destroy_flags(self.raw(), flags) }
    }
}

/// A configuration that is not yet a client's.
struct Conf(*mut sys::rd_kafka_conf_t);

impl Conf {
    fn from_settings(settings: &ClientSettings) -> Result<Self, KafkaError> {
        // SAFETY: no preconditions; never null.
        let conf = Self(unsafe { sys::rd_kafka_conf_new() });
        for (key, value) in settings.iter() {
            let unusable = |detail: String| KafkaError::InvalidSetting { key: key.to_owned(), detail };
            let c_key = c_string("setting", key).map_err(|_| KafkaError::UnknownSetting { key: key.to_owned() })?;
            let c_value = c_string("value", value)
                .map_err(|_| unusable("a value must not contain a NUL character".to_owned()))?;
            let mut text = ErrorText::default();
            // SAFETY: `conf` is live, both strings are NUL-terminated, the buffer is writable for the given length.
            let result = unsafe {
                sys::rd_kafka_conf_set(conf.0, c_key.as_ptr(), c_value.as_ptr(), text.buffer(), ErrorText::LEN)
            };
            match result {
                sys::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK => {}
                sys::rd_kafka_conf_res_t::RD_KAFKA_CONF_UNKNOWN => {
                    return Err(KafkaError::UnknownSetting { key: key.to_owned() });
                }
                sys::rd_kafka_conf_res_t::RD_KAFKA_CONF_INVALID => {
                    return Err(unusable(lower_first(&text.to_string())));
                }
            }
        }
        Ok(conf)
    }
}

impl Drop for Conf {
    fn drop(&mut self) {
        // SAFETY: live and still ours: `Client::open` forgets the value when a client has taken it over.
        unsafe { sys::rd_kafka_conf_destroy(self.0) }
    }
}

/// The buffer C functions write their complaint into.
pub(super) struct ErrorText([c_char; ErrorText::LEN]);

impl Default for ErrorText {
    fn default() -> Self {
        Self([0; Self::LEN])
    }
}

impl ErrorText {
    pub(super) const LEN: usize = 512;

    pub(super) fn buffer(&mut self) -> *mut c_char {
        self.0.as_mut_ptr()
    }
}

impl std::fmt::Display for ErrorText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = self.0.iter().map(|&c| c as u8).take_while(|&b| b != 0).collect::<Vec<u8>>();
        f.write_str(&String::from_utf8_lossy(&bytes))
    }
}

/// An `rd_kafka_queue_t` and the client it belongs to.
#[derive(Debug)]
pub(crate) struct Queue {
    raw: NonNull<sys::rd_kafka_queue_t>,
    client: Arc<Client>,
}

// SAFETY: queues are locked inside librdkafka and usable from any thread.
unsafe impl Send for Queue {}

impl Queue {
    fn owned(client: &Arc<Client>, raw: *mut sys::rd_kafka_queue_t) -> Self {
        let raw = NonNull::new(raw).expect("librdkafka always answers with a queue here");
        Self { raw, client: Arc::clone(client) }
    }

    pub(super) fn raw(&self) -> *mut sys::rd_kafka_queue_t {
        self.raw.as_ptr()
    }

    pub(super) fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// The next event but errors, which are noted for [`Client::last_error`]; none within `timeout`.
    pub(super) fn poll(&self, timeout: Duration) -> Option<Event> {
        let deadline = deadline(timeout);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // SAFETY: the queue is live.
            let raw = NonNull::new(unsafe { sys::rd_kafka_queue_poll(self.raw(), milliseconds(left)) })?;
            let event = Event { raw, _client: Arc::clone(&self.client) };
            if event.kind() != sys::RD_KAFKA_EVENT_ERROR {
                return Some(event);
            }
            self.client.shared.note_error(event.code(), event.detail());
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // A callback of a poll elsewhere must not wake a queue that is gone.
        let shared = &self.client.shared.polled_queue;
        _ = shared.compare_exchange(self.raw(), ptr::null_mut(), Ordering::AcqRel, Ordering::Relaxed);
        // SAFETY: our reference, released once; the client is still live.
        unsafe { sys::rd_kafka_queue_destroy(self.raw()) }
    }
}

/// Something that came out of a queue.
#[derive(Debug)]
pub(super) struct Event {
    raw: NonNull<sys::rd_kafka_event_t>,
    _client: Arc<Client>,
}

impl Event {
    pub(super) fn raw(&self) -> *mut sys::rd_kafka_event_t {
        self.raw.as_ptr()
    }

    pub(super) fn kind(&self) -> c_int {
        // SAFETY: the event is live.
        unsafe { sys::rd_kafka_event_type(self.raw()) }
    }

    pub(super) fn code(&self) -> Code {
        // SAFETY: the event is live.
        Code(unsafe { sys::rd_kafka_event_error(self.raw()) } as i32)
    }

    /// librdkafka's sentence about [`Self::code`].
    pub(super) fn detail(&self) -> String {
        // SAFETY: the event is live and so is its text, which is null or NUL-terminated.
        lower_first(&unsafe { owned_text(sys::rd_kafka_event_error_string(self.raw())) })
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once; the client is still live.
        unsafe { sys::rd_kafka_event_destroy(self.raw()) }
    }
}

/// Takes over an `rd_kafka_error_t`: null is success.
///
/// # Safety
/// `error` is null or a live error that the caller owns; it is destroyed here.
pub(super) unsafe fn take_error(what: &str, error: *mut sys::rd_kafka_error_t) -> Result<(), KafkaError> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: live by the caller's contract until destroyed in the last line; its text lives as long.
    let (code, text, fatal, abortable, retriable) = unsafe {
        let read = (
            Code(sys::rd_kafka_error_code(error) as i32),
            owned_text(sys::rd_kafka_error_string(error)),
            sys::rd_kafka_error_is_fatal(error) != 0,
            sys::rd_kafka_error_txn_requires_abort(error) != 0,
            sys::rd_kafka_error_is_retriable(error) != 0,
        );
        sys::rd_kafka_error_destroy(error);
        read
    };
    let (what, detail) = (what.to_owned(), lower_first(&text));
    Err(if code.means_fenced() {
        KafkaError::Fenced { what, code }
    } else if fatal {
        KafkaError::Fatal { what, code, detail }
    } else if abortable {
        KafkaError::Abortable { what, code, detail }
    } else if retriable {
        KafkaError::Retriable { what, code, detail }
    } else {
        KafkaError::from_code(what, code, detail)
    })
}

/// A log line of librdkafka, from any of its threads.
extern "C" fn on_log(rk: *const sys::rd_kafka_t, level: c_int, facility: *const c_char, line: *const c_char) {
    if rk.is_null() {
        return;
    }
    // SAFETY: `rk` is live during its callbacks; its opaque is the `Shared` that `Client::open` set and that outlives it.
    let Some(shared) = (unsafe { sys::rd_kafka_opaque(rk).cast::<Shared>().as_ref() }) else { return };
    let Some(suppressed) = lock(&shared.log_lines).admit(Instant::now()) else { return };
    // SAFETY: librdkafka passes NUL-terminated strings that live during the call.
    let (facility, line) =
        unsafe { (CStr::from_ptr(facility).to_string_lossy(), CStr::from_ptr(line).to_string_lossy()) };
    let client = shared.name.as_str();
    // Syslog levels: up to 4 (warning) something went wrong that the library recovers from by itself.
    match level {
        ..=4 => tracing::warn!(target: "tidegate_kafka::client", client, %facility, suppressed, "{line}"),
        5 | 6 => tracing::info!(target: "tidegate_kafka::client", client, %facility, suppressed, "{line}"),
        _ => tracing::debug!(target: "tidegate_kafka::client", client, %facility, suppressed, "{line}"),
    }
}

/// An error that belongs to no call, from the thread that polls.
extern "C" fn on_error(_: *mut sys::rd_kafka_t, code: c_int, reason: *const c_char, opaque: *mut c_void) {
    // SAFETY: the opaque is the `Shared` that `Client::open` set; `reason` is null or NUL-terminated during the call.
    let (shared, reason) = unsafe { (opaque.cast::<Shared>().as_ref(), owned_text(reason)) };
    if let Some(shared) = shared {
        shared.note_error(Code(code), lower_first(&reason));
    }
}

/// The group assigns or revokes: noted here, answered by the caller of `poll` when it is ready.
extern "C" fn on_rebalance(
    _: *mut sys::rd_kafka_t,
    code: sys::rd_kafka_resp_err_t,
    partitions: *mut sys::rd_kafka_topic_partition_list_t,
    opaque: *mut c_void,
) {
    // SAFETY: the opaque is the `Shared` that `Client::open` set and that outlives the client.
    let Some(shared) = (unsafe { opaque.cast::<Shared>().as_ref() }) else { return };
    // SAFETY: librdkafka lends the list (never null) for the duration of the callback.
    let partitions = unsafe { PartitionList::copy_of(partitions) };
    lock(&shared.rebalances).push_back((Code(code as i32), partitions));
    let queue = shared.polled_queue.load(Ordering::Acquire);
    if !queue.is_null() {
        // SAFETY: not null, so the queue is live: `Queue`'s drop clears the pointer first, and both happen on the one
        // thread that polls this consumer (`Consumer` is used by `&mut`).
        unsafe { sys::rd_kafka_queue_yield(queue) }
    }
}
