//! librdkafka's C interface, wrapped just far enough that the rest of the crate is safe Rust.
//!
//! Each file owns one kind of C object and is the only one that touches it. Nothing here decides: codes and contents
//! come out as they are. Error codes are read as plain numbers wherever memory allows it, since brokers newer than the
//! bindings send codes that the bindings' enum does not have.
#![allow(
    unsafe_code,
    reason = "librdkafka is C, and its batch calls have no safe wrapper; each block carries its proof"
)]

pub(crate) mod admin;
pub(crate) mod client;
pub(crate) mod group;
pub(crate) mod message;
pub(crate) mod partitions;
pub(crate) mod produce;
pub(crate) mod transaction;

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_char, c_int};
use std::time::{Duration, Instant};

use crate::code::Code;
use crate::error::KafkaError;

mod raw {
    use std::ffi::{c_char, c_int};

    unsafe extern "C" {
        // Declared again with plain numbers: the bindings take an enum, and not every code is one of its values.
        pub(super) safe fn rd_kafka_err2name(code: c_int) -> *const c_char;
        pub(super) safe fn rd_kafka_err2str(code: c_int) -> *const c_char;
    }
}

/// The name of `code`; librdkafka's table, or the number where it has none.
pub(crate) fn code_name(code: i32) -> Cow<'static, str> {
    // SAFETY: the answer is NUL-terminated, and static if the code is in the library's table.
    unsafe { text_of(code, raw::rd_kafka_err2name(code)) }
}

/// One sentence about `code`.
pub(crate) fn code_text(code: i32) -> Cow<'static, str> {
    // SAFETY: as in `code_name`.
    unsafe { text_of(code, raw::rd_kafka_err2str(code)) }
}

/// # Safety
/// `text` is what librdkafka has just answered for `code`: NUL-terminated, and static if the code is in its table.
unsafe fn text_of(code: i32, text: *const c_char) -> Cow<'static, str> {
    // SAFETY: NUL-terminated by the caller's contract.
    let text: &'static CStr = unsafe { CStr::from_ptr(text) };
    // Codes outside of the table are formatted, with a question mark at the end, into a buffer that the thread's next
    // call overwrites: those are not static and only looked at here.
    match text.to_str() {
        Ok(text) if !text.ends_with('?') => Cow::Borrowed(text),
        _ => Cow::Owned(format!("UNKNOWN_CODE_{code}")),
    }
}

/// `text` as C wants it.
pub(crate) fn c_string(what: &str, text: &str) -> Result<CString, KafkaError> {
    CString::new(text).map_err(|_| {
        KafkaError::from_code(format!("{what} {text:?}"), Code(-186), "a name must not contain a NUL character")
    })
}

/// A copy of what librdkafka calls an errstr.
///
/// # Safety
/// `text` is null or points to a NUL-terminated string that lives during this call.
pub(crate) unsafe fn owned_text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, and NUL-terminated by the caller's contract.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// Milliseconds for C, rounded up so that a short wait is not none, and never "for ever".
pub(crate) fn milliseconds(duration: Duration) -> c_int {
    let rounded_up = duration.as_nanos().div_ceil(1_000_000);
    c_int::try_from(rounded_up).unwrap_or(c_int::MAX)
}

/// The end of a wait of `timeout` from now; a year stands for every longer one, which an `Instant` may not hold.
pub(crate) fn deadline(timeout: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3_600);
    Instant::now() + timeout.min(YEAR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_rounded_up_and_bounded() {
        assert_eq!(milliseconds(Duration::ZERO), 0);
        assert_eq!(milliseconds(Duration::from_micros(1)), 1);
        assert_eq!(milliseconds(Duration::MAX), c_int::MAX);
    }

    #[test]
    fn names_of_codes_known_and_unknown() {
        assert_eq!(code_name(3), "UNKNOWN_TOPIC_OR_PART");
        assert_eq!(code_name(-191), "_PARTITION_EOF");
        assert_eq!(code_name(4_711), "UNKNOWN_CODE_4711");
    }
}
