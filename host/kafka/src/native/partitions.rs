//! librdkafka's list of partitions with offsets, in and out.

use std::ffi::{CStr, c_int};
use std::ptr::NonNull;

use rdkafka::bindings as sys;

use super::c_string;
use crate::code::Code;
use crate::error::KafkaError;
use crate::offset::{PartitionOffset, StartOffset, TopicPartition};

/// An owned `rd_kafka_topic_partition_list_t`.
#[derive(Debug)]
pub(crate) struct PartitionList(NonNull<sys::rd_kafka_topic_partition_list_t>);

// SAFETY: a plain list in memory without ties to a thread or a client.
unsafe impl Send for PartitionList {}

/// One entry, as the library filled it in.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) code: Code,
}

impl Entry<'_> {
    pub(crate) fn topic_partition(&self) -> TopicPartition {
        TopicPartition::new(self.topic, self.partition)
    }
}

impl PartitionList {
    fn new(capacity: usize) -> Self {
        // SAFETY: no preconditions; a capacity is only a hint.
        let raw = unsafe { sys::rd_kafka_topic_partition_list_new(c_int::try_from(capacity).unwrap_or(0)) };
        Self(NonNull::new(raw).expect("librdkafka aborts when it is out of memory"))
    }

    pub(crate) fn of<'a>(partitions: impl IntoIterator<Item = &'a TopicPartition>) -> Result<Self, KafkaError> {
        Self::fill(
            partitions.into_iter().map(|tp| (tp.topic.as_str(), tp.partition, i64::from(sys::RD_KAFKA_OFFSET_INVALID))),
        )
    }

    pub(crate) fn of_offsets<'a>(offsets: impl IntoIterator<Item = &'a PartitionOffset>) -> Result<Self, KafkaError> {
        Self::fill(offsets.into_iter().map(|at| (at.topic.as_str(), at.partition, at.offset)))
    }

    pub(crate) fn of_starts<'a>(
        starts: impl IntoIterator<Item = &'a (TopicPartition, StartOffset)>,
    ) -> Result<Self, KafkaError> {
        Self::fill(starts.into_iter().map(|(tp, start)| (tp.topic.as_str(), tp.partition, start_number(*start))))
    }

    /// Topic names only, as a subscription wants them.
    pub(crate) fn of_topics<'a>(topics: impl IntoIterator<Item = &'a str>) -> Result<Self, KafkaError> {
        const ANY_PARTITION: i32 = -1;
        Self::fill(topics.into_iter().map(|topic| (topic, ANY_PARTITION, i64::from(sys::RD_KAFKA_OFFSET_INVALID))))
    }

    pub(crate) fn fill<'a>(entries: impl IntoIterator<Item = (&'a str, i32, i64)>) -> Result<Self, KafkaError> {
        let entries = entries.into_iter();
        let list = Self::new(entries.size_hint().0);
        for (topic, partition, offset) in entries {
            let topic = c_string("topic", topic)?;
            // SAFETY: the list is live, the name is NUL-terminated and copied; the entry it answers with is valid until
            // the list is changed again, which is after the assignment.
            unsafe {
                let entry = sys::rd_kafka_topic_partition_list_add(list.raw(), topic.as_ptr(), partition);
                (*entry).offset = offset;
            }
        }
        Ok(list)
    }

    /// # Safety
    /// `list` points to a live list.
    pub(crate) unsafe fn copy_of(list: *const sys::rd_kafka_topic_partition_list_t) -> Self {
        // SAFETY: live by the caller's contract.
        let raw = unsafe { sys::rd_kafka_topic_partition_list_copy(list) };
        Self(NonNull::new(raw).expect("librdkafka aborts when it is out of memory"))
    }

    /// # Safety
    /// `list` points to a live list that the caller owns and gives up.
    pub(crate) unsafe fn take(list: *mut sys::rd_kafka_topic_partition_list_t) -> Self {
        Self(NonNull::new(list).expect("the call that made the list succeeded"))
    }

    pub(crate) fn raw(&self) -> *mut sys::rd_kafka_topic_partition_list_t {
        self.0.as_ptr()
    }

    pub(crate) fn len(&self) -> usize {
        // SAFETY: the list is live.
        usize::try_from(unsafe { self.0.as_ref() }.cnt).unwrap_or(0)
    }

    /// Says where each listed partition starts, if `start` knows.
    pub(crate) fn set_starts(&mut self, start: impl Fn(&str, i32) -> Option<StartOffset>) {
        for index in 0..self.len() {
            let known = {
                let entry = self.entry(index);
                start(entry.topic, entry.partition)
            };
            if let Some(known) = known {
                // SAFETY: `index` is below the count, and no reference into the list is alive.
                unsafe { (*(*self.raw()).elems.add(index)).offset = start_number(known) };
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        (0..self.len()).map(|index| self.entry(index))
    }

    fn entry(&self, index: usize) -> Entry<'_> {
        assert!(index < self.len(), "entry {index} of {}", self.len());
        // SAFETY: `index` is below the count, so the element exists and is initialised; it lives as long as the list.
        unsafe { entry_at((*self.raw()).elems.add(index)) }
    }
}

impl Drop for PartitionList {
    fn drop(&mut self) {
        // SAFETY: live and owned.
        unsafe { sys::rd_kafka_topic_partition_list_destroy(self.raw()) }
    }
}

/// # Safety
/// `raw` points to a live list element that stays unchanged for `'a`.
pub(super) unsafe fn entry_at<'a>(raw: *const sys::rd_kafka_topic_partition_t) -> Entry<'a> {
    // SAFETY: live by the caller's contract; the topic is NUL-terminated; the code is read as a number, since it may be
    // one that the bindings' enum lacks.
    unsafe {
        Entry {
            topic: CStr::from_ptr((*raw).topic).to_str().unwrap_or("?"),
            partition: (*raw).partition,
            offset: (*raw).offset,
            code: Code((&raw const (*raw).err).cast::<i32>().read()),
        }
    }
}

fn start_number(start: StartOffset) -> i64 {
    match start {
        StartOffset::Beginning => i64::from(sys::RD_KAFKA_OFFSET_BEGINNING),
        StartOffset::End => i64::from(sys::RD_KAFKA_OFFSET_END),
        StartOffset::Committed => i64::from(sys::RD_KAFKA_OFFSET_STORED),
        StartOffset::At(offset) => offset,
    }
}
