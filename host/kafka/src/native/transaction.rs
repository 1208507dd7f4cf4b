//! The transactional calls, each bounded.

use std::ffi::c_int;
use std::time::Duration;

use rdkafka::bindings as sys;

use super::client::{Client, take_error};
use super::group::NativeGroupMetadata;
use super::milliseconds;
use super::partitions::PartitionList;
use crate::error::KafkaError;

/// One of the calls that take nothing but a time.
type TimedCall = unsafe extern "C" fn(*mut sys::rd_kafka_t, c_int) -> *mut sys::rd_kafka_error_t;

fn timed(client: &Client, what: &str, call: TimedCall, timeout: Duration) -> Result<(), KafkaError> {
    // SAFETY: the client is live; the error, if any, is ours.
    unsafe { take_error(what, call(client.raw(), milliseconds(timeout))) }
}

pub(crate) fn init(client: &Client, timeout: Duration) -> Result<(), KafkaError> {
    timed(client, "initialising transactions", sys::rd_kafka_init_transactions, timeout)
}

pub(crate) fn begin(client: &Client) -> Result<(), KafkaError> {
    // SAFETY: the client is live; the error, if any, is ours.
    unsafe { take_error("beginning a transaction", sys::rd_kafka_begin_transaction(client.raw())) }
}

pub(crate) fn send_offsets(
    client: &Client,
    offsets: &PartitionList,
    group: &NativeGroupMetadata,
    timeout: Duration,
) -> Result<(), KafkaError> {
    // SAFETY: client, list and metadata are live and the library copies the latter two; the error, if any, is ours.
    unsafe {
        take_error(
            "adding offsets to a transaction",
            sys::rd_kafka_send_offsets_to_transaction(client.raw(), offsets.raw(), group.raw(), milliseconds(timeout)),
        )
    }
}

/// All delivery reports must have been served before, or this waits for them in vain.
pub(crate) fn commit(client: &Client, timeout: Duration) -> Result<(), KafkaError> {
    timed(client, "committing a transaction", sys::rd_kafka_commit_transaction, timeout)
}

/// As [`commit`]; what is still undelivered must have been purged.
pub(crate) fn abort(client: &Client, timeout: Duration) -> Result<(), KafkaError> {
    timed(client, "aborting a transaction", sys::rd_kafka_abort_transaction, timeout)
}
