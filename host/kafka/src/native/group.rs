//! A consumer's calls: subscription, assignment, positions, commits, leaving.

use std::ptr::NonNull;
use std::time::{Duration, Instant};

use rdkafka::bindings as sys;

use super::client::{Client, Queue, take_error};
use super::partitions::PartitionList;
use super::{deadline, milliseconds, owned_text};
use crate::code::Code;
use crate::error::KafkaError;

fn checked(what: &str, code: sys::rd_kafka_resp_err_t) -> Result<(), KafkaError> {
    match code as i32 {
        0 => Ok(()),
        code => Err(KafkaError::of(what, Code(code))),
    }
}

pub(crate) fn subscribe(client: &Client, topics: &PartitionList) -> Result<(), KafkaError> {
    // SAFETY: client and list are live; the list is copied.
    checked("subscribing", unsafe { sys::rd_kafka_subscribe(client.raw(), topics.raw()) })
}

pub(crate) fn is_cooperative(client: &Client) -> bool {
    // SAFETY: the client is live; the answer is null or a static string.
    unsafe { owned_text(sys::rd_kafka_rebalance_protocol(client.raw())) == "COOPERATIVE" }
}

pub(crate) fn assignment_lost(client: &Client) -> bool {
    // SAFETY: the client is live.
    unsafe { sys::rd_kafka_assignment_lost(client.raw()) != 0 }
}

/// Makes `partitions` (none: no partition) the whole assignment.
pub(crate) fn assign(client: &Client, partitions: Option<&PartitionList>) -> Result<(), KafkaError> {
    let list = partitions.map_or(std::ptr::null_mut(), PartitionList::raw);
    // SAFETY: the client is live, the list is null or live and copied.
    checked("assigning partitions", unsafe { sys::rd_kafka_assign(client.raw(), list) })
}

pub(crate) fn incremental_assign(client: &Client, partitions: &PartitionList) -> Result<(), KafkaError> {
    // SAFETY: client and list are live, the list is copied; the error, if any, is ours.
    unsafe { take_error("assigning partitions", sys::rd_kafka_incremental_assign(client.raw(), partitions.raw())) }
}

pub(crate) fn incremental_unassign(client: &Client, partitions: &PartitionList) -> Result<(), KafkaError> {
    // SAFETY: client and list are live, the list is copied; the error, if any, is ours.
    unsafe { take_error("giving up partitions", sys::rd_kafka_incremental_unassign(client.raw(), partitions.raw())) }
}

pub(crate) fn assignment(client: &Client) -> Result<PartitionList, KafkaError> {
    let mut list = std::ptr::null_mut();
    // SAFETY: the client is live and writes a list of ours where it succeeds.
    checked("reading the assignment", unsafe { sys::rd_kafka_assignment(client.raw(), &mut list) })?;
    // SAFETY: the call succeeded.
    Ok(unsafe { PartitionList::take(list) })
}

/// Sends a commit whose result will come out of `results`.
pub(crate) fn commit(client: &Client, offsets: &PartitionList, results: &Queue) -> Result<(), KafkaError> {
    // SAFETY: client, list and queue are live, the list is copied; without a callback the opaque is not used.
    checked("committing offsets", unsafe {
        sys::rd_kafka_commit_queue(client.raw(), offsets.raw(), results.raw(), None, std::ptr::null_mut())
    })
}

/// The next result of a commit: the offsets, each with its code, or why none was committed.
pub(crate) fn commit_result(results: &Queue, timeout: Duration) -> Option<Result<PartitionList, KafkaError>> {
    let deadline = deadline(timeout);
    loop {
        let event = results.poll(deadline.saturating_duration_since(Instant::now()))?;
        if event.kind() != sys::RD_KAFKA_EVENT_OFFSET_COMMIT {
            continue;
        }
        if !event.code().is_ok() {
            return Some(Err(KafkaError::from_code("committing offsets", event.code(), event.detail())));
        }
        // SAFETY: the event is live and a commit's, so it has a list (it may be null when nothing was committed).
        let list = unsafe { sys::rd_kafka_event_topic_partition_list(event.raw()) };
        if list.is_null() {
            return Some(PartitionList::fill([]));
        }
        // SAFETY: live as long as the event; copied here.
        return Some(Ok(unsafe { PartitionList::copy_of(list) }));
    }
}

/// Fills in the committed offsets of `partitions`.
pub(crate) fn committed(client: &Client, partitions: &PartitionList, timeout: Duration) -> Result<(), KafkaError> {
    // SAFETY: client and list are live; the list is ours to be written to.
    checked("reading committed offsets", unsafe {
        sys::rd_kafka_committed(client.raw(), partitions.raw(), milliseconds(timeout))
    })
}

/// Fills in what `partitions` will read next.
pub(crate) fn position(client: &Client, partitions: &PartitionList) -> Result<(), KafkaError> {
    // SAFETY: client and list are live; the list is ours to be written to.
    checked("reading positions", unsafe { sys::rd_kafka_position(client.raw(), partitions.raw()) })
}

pub(crate) fn seek(client: &Client, offsets: &PartitionList, timeout: Duration) -> Result<(), KafkaError> {
    // SAFETY: client and list are live; the list is ours to be written to; the error, if any, is ours.
    unsafe { take_error("seeking", sys::rd_kafka_seek_partitions(client.raw(), offsets.raw(), milliseconds(timeout))) }
}

pub(crate) fn pause(client: &Client, partitions: &PartitionList) -> Result<(), KafkaError> {
    // SAFETY: client and list are live; the list is ours to be written to.
    checked("pausing", unsafe { sys::rd_kafka_pause_partitions(client.raw(), partitions.raw()) })
}

pub(crate) fn resume(client: &Client, partitions: &PartitionList) -> Result<(), KafkaError> {
    // SAFETY: client and list are live; the list is ours to be written to.
    checked("resuming", unsafe { sys::rd_kafka_resume_partitions(client.raw(), partitions.raw()) })
}

/// Leaves the group. Answers whether that was done in `timeout`. Rebalances that come on the way are answered by giving
/// up everything. Must not be called while the coordinator is unknown: librdkafka 2.12 may crash then.
pub(crate) fn close(client: &std::sync::Arc<Client>, timeout: Duration) -> Result<bool, KafkaError> {
    let deadline = deadline(timeout);
    let queue = client.new_queue();
    // SAFETY: client and queue are live, and the queue stays so until the client is closed or given up below; the
    // error, if any, is ours.
    unsafe { take_error("leaving the group", sys::rd_kafka_consumer_close_queue(client.raw(), queue.raw()))? };
    // SAFETY: the client is live.
    while unsafe { sys::rd_kafka_consumer_closed(client.raw()) } == 0 {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        // Short steps: the end of closing is no event.
        let Some(event) = queue.poll(left.min(Duration::from_millis(10))) else { continue };
        if event.kind() != sys::RD_KAFKA_EVENT_REBALANCE {
            continue;
        }
        // SAFETY: the event is live and a rebalance, so it has a list, which lives with it; copied here.
        let partitions = unsafe { PartitionList::copy_of(sys::rd_kafka_event_topic_partition_list(event.raw())) };
        // An assignment that arrives now is answered by none, like a revocation.
        if event.code() == Code::REVOKE_PARTITIONS && is_cooperative(client) {
            incremental_unassign(client, &partitions)?;
        } else {
            assign(client, None)?;
        }
    }
    Ok(true)
}

/// Answers an assignment that nobody will answer any more, so that the client can be destroyed: librdkafka 2.12 waits
/// for the answer for ever even then (its termination only answers revocations). One that arrives within the
/// microseconds until the destruction begins would still be waited for.
pub(super) fn settle(client: &Client) {
    // SAFETY: the client is live.
    if unsafe { sys::rd_kafka_consumer_closed(client.raw()) } != 0 {
        return;
    }
    let Ok(nothing) = PartitionList::fill([]) else { return };
    // Without an open assignment both change nothing that matters now; nobody is left to hear of a failure.
    _ = if is_cooperative(client) { incremental_assign(client, &nothing) } else { assign(client, Some(&nothing)) };
}

/// A consumer's proof of membership, as transactions send it along.
#[derive(Debug)]
pub(crate) struct NativeGroupMetadata(NonNull<sys::rd_kafka_consumer_group_metadata_t>);

// SAFETY: an immutable copy without ties to a thread or a client.
unsafe impl Send for NativeGroupMetadata {}
// SAFETY: as above.
unsafe impl Sync for NativeGroupMetadata {}

impl NativeGroupMetadata {
    /// `None` for a consumer without a group.
    pub(crate) fn of(client: &Client) -> Option<Self> {
        // SAFETY: the client is live; the object, if any, is ours.
        NonNull::new(unsafe { sys::rd_kafka_consumer_group_metadata(client.raw()) }).map(Self)
    }

    pub(super) fn raw(&self) -> *const sys::rd_kafka_consumer_group_metadata_t {
        self.0.as_ptr()
    }

    pub(crate) fn generation(&self) -> i32 {
        // SAFETY: the object is live.
        unsafe { sys::rd_kafka_consumer_group_metadata_generation_id(self.raw()) }
    }

    pub(crate) fn member_id(&self) -> String {
        // SAFETY: the object is live and so is its text.
        unsafe { owned_text(sys::rd_kafka_consumer_group_metadata_member_id(self.raw())) }
    }
}

impl Drop for NativeGroupMetadata {
    fn drop(&mut self) {
        // SAFETY: live and owned.
        unsafe { sys::rd_kafka_consumer_group_metadata_destroy(self.0.as_ptr()) }
    }
}
