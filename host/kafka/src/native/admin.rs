//! librdkafka's admin requests: each sent with a time limit to a queue of its own, and its answer copied out.

use std::ffi::{CStr, CString, c_int};
use std::ptr;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as sys;
use sys::rd_kafka_admin_op_t as Op;

use super::client::{Client, ErrorText, Event, Queue, take_error};
use super::partitions::{PartitionList, entry_at};
use super::{c_string, milliseconds, owned_text};
use crate::admin::{ConfigEntry, NewTopic, TopicDescription};
use crate::code::Code;
use crate::error::{KafkaError, lower_first};
use crate::offset::{PartitionOffset, TopicPartition};

/// Sends a request and waits for its answer. `send` gets the client, the options and the queue to answer to.
fn request(
    client: &Arc<Client>,
    what: &str,
    op: Op,
    timeout: Duration,
    isolation: Option<sys::rd_kafka_IsolationLevel_t>,
    send: impl FnOnce(*mut sys::rd_kafka_t, *const sys::rd_kafka_AdminOptions_t, *mut sys::rd_kafka_queue_t),
) -> Result<Event, KafkaError> {
    let options = Options::new(client, op);
    let mut text = ErrorText::default();
    // SAFETY: the options are live, the buffer is writable for the given length. Zero is refused, hence the minimum.
    let code = unsafe {
        let limit = milliseconds(timeout).max(1);
        sys::rd_kafka_AdminOptions_set_request_timeout(options.0, limit, text.buffer(), ErrorText::LEN) as i32
    };
    if code != 0 {
        return Err(KafkaError::from_code(what, Code(code), lower_first(&text.to_string())));
    }
    if let Some(isolation) = isolation {
        // SAFETY: the options are live; the error, if any, is ours.
        unsafe { take_error(what, sys::rd_kafka_AdminOptions_set_isolation_level(options.0, isolation))? };
    }
    let queue: Queue = client.new_queue();
    send(client.raw(), options.0, queue.raw());
    // The library itself gives up after `timeout`; the grace lets its own, better explained error arrive.
    const GRACE: Duration = Duration::from_millis(500);
    let event = queue
        .poll(timeout.saturating_add(GRACE))
        .ok_or_else(|| KafkaError::timed_out(what, "no answer in the time given"))?;
    if event.code().is_ok() { Ok(event) } else { Err(KafkaError::from_code(what, event.code(), event.detail())) }
}

struct Options(*mut sys::rd_kafka_AdminOptions_t);

impl Options {
    fn new(client: &Client, op: Op) -> Self {
        // SAFETY: the client is live; never null for an operation the library knows.
        Self(unsafe { sys::rd_kafka_AdminOptions_new(client.raw(), op) })
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: live and owned; requests copy them.
        unsafe { sys::rd_kafka_AdminOptions_destroy(self.0) }
    }
}

/// Runs its function when it goes out of scope: for C objects that live for one request.
struct Destroy<F: FnMut()>(F);

impl<F: FnMut()> Drop for Destroy<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// The elements of a C array of pointers.
///
/// # Safety
/// `array` is null, or points to `count` pointers that live and stay unchanged for `'a`.
unsafe fn elements<'a, T>(array: *mut *const T, count: usize) -> &'a [*const T] {
    if array.is_null() {
        return &[];
    }
    // SAFETY: by the caller's contract.
    unsafe { slice::from_raw_parts(array, count) }
}

/// The outcome of a request about one topic.
///
/// # Safety
/// `results` points to `count` live topic results.
unsafe fn topic_result(
    what: &str,
    results: *mut *const sys::rd_kafka_topic_result_t,
    count: usize,
) -> Result<(), KafkaError> {
    // SAFETY: by the caller's contract.
    for &result in unsafe { elements(results, count) } {
        // SAFETY: as above; the text is null or NUL-terminated.
        let (code, text) = unsafe {
            (
                Code(sys::rd_kafka_topic_result_error(result) as i32),
                owned_text(sys::rd_kafka_topic_result_error_string(result)),
            )
        };
        if !code.is_ok() {
            return Err(KafkaError::from_code(what, code, lower_first(&text)));
        }
    }
    Ok(())
}

pub(crate) fn create_topic(client: &Arc<Client>, topic: &NewTopic, timeout: Duration) -> Result<(), KafkaError> {
    const BROKER_DEFAULT: i32 = -1;
    let what = format!("creating topic \"{}\"", topic.name);
    let name = c_string("topic", &topic.name)?;
    let mut text = ErrorText::default();
    // SAFETY: the name is NUL-terminated and copied, the buffer is writable for the given length.
    let mut new = unsafe {
        sys::rd_kafka_NewTopic_new(
            name.as_ptr(),
            topic.partitions.unwrap_or(BROKER_DEFAULT),
            topic.replication_factor.unwrap_or(BROKER_DEFAULT),
            text.buffer(),
            ErrorText::LEN,
        )
    };
    if new.is_null() {
        return Err(KafkaError::from_code(what, Code::INVALID_TOPIC, lower_first(&text.to_string())));
    }
    // SAFETY: not null, owned, destroyed once; requests copy it.
    let _destroy = Destroy(move || unsafe { sys::rd_kafka_NewTopic_destroy(new) });
    for (key, value) in &topic.configs {
        let (key, value) = (c_string("topic setting", key)?, c_string("topic setting's value", value)?);
        // SAFETY: the topic is live, both strings are NUL-terminated and copied.
        let code = unsafe { sys::rd_kafka_NewTopic_set_config(new, key.as_ptr(), value.as_ptr()) } as i32;
        if code != 0 {
            return Err(KafkaError::of(what, Code(code)));
        }
    }
    let event = request(client, &what, Op::RD_KAFKA_ADMIN_OP_CREATETOPICS, timeout, None, |rk, options, queue| {
        // SAFETY: everything is live during the call, which copies what it needs.
        unsafe { sys::rd_kafka_CreateTopics(rk, &mut new, 1, options, queue) }
    })?;
    let mut count = 0;
    // SAFETY: the event is live and the answer to this kind of request; its results live with it.
    unsafe {
        let result = sys::rd_kafka_event_CreateTopics_result(event.raw());
        topic_result(&what, sys::rd_kafka_CreateTopics_result_topics(result, &mut count), count)
    }
}

pub(crate) fn delete_topic(client: &Arc<Client>, topic: &str, timeout: Duration) -> Result<(), KafkaError> {
    let what = format!("deleting topic \"{topic}\"");
    let name = c_string("topic", topic)?;
    // SAFETY: the name is NUL-terminated and copied; never null.
    let mut delete = unsafe { sys::rd_kafka_DeleteTopic_new(name.as_ptr()) };
    // SAFETY: owned, destroyed once; requests copy it.
    let _destroy = Destroy(move || unsafe { sys::rd_kafka_DeleteTopic_destroy(delete) });
    let event = request(client, &what, Op::RD_KAFKA_ADMIN_OP_DELETETOPICS, timeout, None, |rk, options, queue| {
        // SAFETY: everything is live during the call, which copies what it needs.
        unsafe { sys::rd_kafka_DeleteTopics(rk, &mut delete, 1, options, queue) }
    })?;
    let mut count = 0;
    // SAFETY: the event is live and the answer to this kind of request; its results live with it.
    unsafe {
        let result = sys::rd_kafka_event_DeleteTopics_result(event.raw());
        topic_result(&what, sys::rd_kafka_DeleteTopics_result_topics(result, &mut count), count)
    }
}

pub(crate) fn describe_topic(
    client: &Arc<Client>,
    topic: &str,
    timeout: Duration,
) -> Result<TopicDescription, KafkaError> {
    let what = format!("describing topic \"{topic}\"");
    let name = c_string("topic", topic)?;
    let mut names = [name.as_ptr()];
    // SAFETY: the array holds one NUL-terminated name, which is copied.
    let topics = unsafe { sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len()) };
    // SAFETY: owned, destroyed once; requests copy it.
    let _destroy = Destroy(move || unsafe { sys::rd_kafka_TopicCollection_destroy(topics) });
    let event = request(client, &what, Op::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, timeout, None, |rk, options, queue| {
        // SAFETY: everything is live during the call, which copies what it needs.
        unsafe { sys::rd_kafka_DescribeTopics(rk, topics, options, queue) }
    })?;
    let mut count = 0;
    // SAFETY: the event is live and the answer to this kind of request; its results live with it.
    let descriptions = unsafe {
        let result = sys::rd_kafka_event_DescribeTopics_result(event.raw());
        elements(sys::rd_kafka_DescribeTopics_result_topics(result, &mut count), count)
    };
    let &description =
        descriptions.first().ok_or_else(|| KafkaError::of(what.as_str(), Code::UNKNOWN_TOPIC_OR_PARTITION))?;
    // SAFETY: `description` and what it points to live with the event; texts are NUL-terminated. The error is lent.
    unsafe {
        let error = sys::rd_kafka_TopicDescription_error(description);
        let code = if error.is_null() { Code::NONE } else { Code(sys::rd_kafka_error_code(error) as i32) };
        if !code.is_ok() {
            return Err(KafkaError::of(what, code));
        }
        let (mut partition_count, mut replicas) = (0, 0);
        let partitions =
            elements(sys::rd_kafka_TopicDescription_partitions(description, &mut partition_count), partition_count);
        if let Some(&first) = partitions.first() {
            sys::rd_kafka_TopicPartitionInfo_replicas(first, &mut replicas);
        }
        Ok(TopicDescription {
            name: owned_text(sys::rd_kafka_TopicDescription_name(description)),
            id: owned_text(sys::rd_kafka_Uuid_base64str(sys::rd_kafka_TopicDescription_topic_id(description))),
            partitions: partition_count,
            replication_factor: replicas,
            is_internal: sys::rd_kafka_TopicDescription_is_internal(description) != 0,
        })
    }
}

pub(crate) fn describe_topic_configs(
    client: &Arc<Client>,
    topic: &str,
    timeout: Duration,
) -> Result<Vec<ConfigEntry>, KafkaError> {
    let what = format!("describing the settings of topic \"{topic}\"");
    let name = c_string("topic", topic)?;
    // SAFETY: the name is NUL-terminated and copied.
    let mut resource = unsafe {
        sys::rd_kafka_ConfigResource_new(sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC, name.as_ptr())
    };
    if resource.is_null() {
        return Err(KafkaError::of(what, Code::INVALID_TOPIC));
    }
    // SAFETY: not null, owned, destroyed once; requests copy it.
    let _destroy = Destroy(move || unsafe { sys::rd_kafka_ConfigResource_destroy(resource) });
    let event = request(client, &what, Op::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, timeout, None, |rk, options, queue| {
        // SAFETY: everything is live during the call, which copies what it needs.
        unsafe { sys::rd_kafka_DescribeConfigs(rk, &mut resource, 1, options, queue) }
    })?;
    let (mut count, mut entry_count) = (0, 0);
    // SAFETY: the event is live and the answer to this kind of request; everything below lives with it, and texts are
    // null or NUL-terminated.
    unsafe {
        let result = sys::rd_kafka_event_DescribeConfigs_result(event.raw());
        let resources = elements(sys::rd_kafka_DescribeConfigs_result_resources(result, &mut count), count);
        let &resource =
            resources.first().ok_or_else(|| KafkaError::of(what.as_str(), Code::UNKNOWN_TOPIC_OR_PARTITION))?;
        let code = Code(sys::rd_kafka_ConfigResource_error(resource) as i32);
        if !code.is_ok() {
            let detail = owned_text(sys::rd_kafka_ConfigResource_error_string(resource));
            return Err(KafkaError::from_code(what, code, lower_first(&detail)));
        }
        let entries = elements(sys::rd_kafka_ConfigResource_configs(resource, &mut entry_count), entry_count);
        Ok(entries
            .iter()
            .map(|&entry| {
                let value = sys::rd_kafka_ConfigEntry_value(entry);
                ConfigEntry {
                    name: owned_text(sys::rd_kafka_ConfigEntry_name(entry)),
                    value: (!value.is_null()).then(|| owned_text(value)),
                    is_default: sys::rd_kafka_ConfigEntry_is_default(entry) != 0,
                }
            })
            .collect())
    }
}

pub(crate) fn end_offsets(
    client: &Arc<Client>,
    partitions: &[TopicPartition],
    committed: bool,
    timeout: Duration,
) -> Result<Vec<PartitionOffset>, KafkaError> {
    use sys::rd_kafka_IsolationLevel_t as Level;
    const LATEST: i64 = -1;
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let what = "reading end offsets";
    let list = PartitionList::fill(partitions.iter().map(|tp| (tp.topic.as_str(), tp.partition, LATEST)))?;
    let level = if committed {
        Level::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED
    } else {
        Level::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED
    };
    let event =
        request(client, what, Op::RD_KAFKA_ADMIN_OP_LISTOFFSETS, timeout, Some(level), |rk, options, queue| {
            // SAFETY: everything is live during the call, which copies what it needs.
            unsafe { sys::rd_kafka_ListOffsets(rk, list.raw(), options, queue) }
        })?;
    let mut count = 0;
    // SAFETY: the event is live and the answer to this kind of request; its results live with it.
    let infos = unsafe {
        let result = sys::rd_kafka_event_ListOffsets_result(event.raw());
        elements(sys::rd_kafka_ListOffsets_result_infos(result, &mut count), count)
    };
    infos
        .iter()
        .map(|&info| {
            // SAFETY: as above.
            let entry = unsafe { entry_at(sys::rd_kafka_ListOffsetsResultInfo_topic_partition(info)) };
            if entry.code.is_ok() {
                Ok(PartitionOffset::new(entry.topic, entry.partition, entry.offset))
            } else {
                Err(KafkaError::of(format!("{what} of topic \"{}\"", entry.topic), entry.code))
            }
        })
        .collect()
}

/// The partitions of a group's result, each with its code checked.
///
/// # Safety
/// `results` points to `count` live group results.
unsafe fn group_result(
    what: &str,
    results: *mut *const sys::rd_kafka_group_result_t,
    count: usize,
) -> Result<Vec<PartitionOffset>, KafkaError> {
    let mut offsets = Vec::new();
    // SAFETY: by the caller's contract.
    for &result in unsafe { elements(results, count) } {
        // SAFETY: the result is live; its error is null or lent with a NUL-terminated text.
        unsafe {
            let error = sys::rd_kafka_group_result_error(result);
            if !error.is_null() {
                let code = Code(sys::rd_kafka_error_code(error) as i32);
                let detail = owned_text(sys::rd_kafka_error_string(error));
                return Err(KafkaError::from_code(what, code, lower_first(&detail)));
            }
        }
        // SAFETY: the result is live; its list is null or lent.
        let partitions = unsafe { sys::rd_kafka_group_result_partitions(result) };
        if partitions.is_null() {
            continue;
        }
        // SAFETY: not null, live.
        let partitions = unsafe { PartitionList::copy_of(partitions) };
        for entry in partitions.iter() {
            if !entry.code.is_ok() {
                return Err(KafkaError::of(format!("{what}, topic \"{}\"", entry.topic), entry.code));
            }
            if entry.offset >= 0 {
                offsets.push(PartitionOffset::new(entry.topic, entry.partition, entry.offset));
            }
        }
    }
    Ok(offsets)
}

pub(crate) fn group_names(client: &Arc<Client>, timeout: Duration) -> Result<Vec<String>, KafkaError> {
    let what = "listing consumer groups";
    let op = Op::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS;
    let event = request(client, what, op, timeout, None, |rk, options, queue| {
        // SAFETY: everything is live during the call, which copies what it needs.
        unsafe { sys::rd_kafka_ListConsumerGroups(rk, options, queue) }
    })?;
    let (mut count, mut error_count) = (0, 0);
    // SAFETY: the event is live and the answer to this kind of request; its results live with it, names are NUL-terminated.
    unsafe {
        let result = sys::rd_kafka_event_ListConsumerGroups_result(event.raw());
        let errors = sys::rd_kafka_ListConsumerGroups_result_errors(result, &mut error_count);
        if let Some(&error) = elements(errors, error_count).first() {
            let code = Code(sys::rd_kafka_error_code(error) as i32);
            return Err(KafkaError::from_code(what, code, lower_first(&owned_text(sys::rd_kafka_error_string(error)))));
        }
        let listed = sys::rd_kafka_ListConsumerGroups_result_valid(result, &mut count);
        Ok(elements(listed, count)
            .iter()
            .map(|&group| owned_text(sys::rd_kafka_ConsumerGroupListing_group_id(group)))
            .collect())
    }
}

pub(crate) fn group_offsets(
    client: &Arc<Client>,
    group: &str,
    timeout: Duration,
) -> Result<Vec<PartitionOffset>, KafkaError> {
    let what = format!("reading the offsets of group \"{group}\"");
    let name = c_string("group", group)?;
    // SAFETY: the name is NUL-terminated and copied; no list means all partitions. Never null.
    let mut list = unsafe { sys::rd_kafka_ListConsumerGroupOffsets_new(name.as_ptr(), ptr::null()) };
    // SAFETY: owned, destroyed once; requests copy it.
    let _destroy = Destroy(move || unsafe { sys::rd_kafka_ListConsumerGroupOffsets_destroy(list) });
    let op = Op::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS;
    let event = request(client, &what, op, timeout, None, |rk, options, queue| {
        // SAFETY: everything is live during the call, which copies what it needs.
        unsafe { sys::rd_kafka_ListConsumerGroupOffsets(rk, &mut list, 1, options, queue) }
    })?;
    let mut count = 0;
    // SAFETY: the event is live and the answer to this kind of request; its results live with it.
    unsafe {
        let result = sys::rd_kafka_event_ListConsumerGroupOffsets_result(event.raw());
        group_result(&what, sys::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &mut count), count)
    }
}

pub(crate) fn alter_group_offsets(
    client: &Arc<Client>,
    group: &str,
    offsets: &[PartitionOffset],
    timeout: Duration,
) -> Result<(), KafkaError> {
    if offsets.is_empty() {
        return Ok(());
    }
    let what = format!("changing the offsets of group \"{group}\"");
    let (name, partitions) = (c_string("group", group)?, PartitionList::of_offsets(offsets)?);
    // SAFETY: name and list are live and copied. Never null.
    let mut alter = unsafe { sys::rd_kafka_AlterConsumerGroupOffsets_new(name.as_ptr(), partitions.raw()) };
    // SAFETY: owned, destroyed once; requests copy it.
    let _destroy = Destroy(move || unsafe { sys::rd_kafka_AlterConsumerGroupOffsets_destroy(alter) });
    let op = Op::RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS;
    let event = request(client, &what, op, timeout, None, |rk, options, queue| {
        // SAFETY: everything is live during the call, which copies what it needs.
        unsafe { sys::rd_kafka_AlterConsumerGroupOffsets(rk, &mut alter, 1, options, queue) }
    })?;
    let mut count = 0;
    // SAFETY: the event is live and the answer to this kind of request; its results live with it.
    unsafe {
        let result = sys::rd_kafka_event_AlterConsumerGroupOffsets_result(event.raw());
        group_result(&what, sys::rd_kafka_AlterConsumerGroupOffsets_result_groups(result, &mut count), count).map(drop)
    }
}

pub(crate) fn delete_group_offsets(
    client: &Arc<Client>,
    group: &str,
    partitions: &[TopicPartition],
    timeout: Duration,
) -> Result<(), KafkaError> {
    if partitions.is_empty() {
        return Ok(());
    }
    let what = format!("deleting offsets of group \"{group}\"");
    let (name, partitions) = (c_string("group", group)?, PartitionList::of(partitions)?);
    // SAFETY: name and list are live and copied. Never null.
    let mut delete = unsafe { sys::rd_kafka_DeleteConsumerGroupOffsets_new(name.as_ptr(), partitions.raw()) };
    // SAFETY: owned, destroyed once; requests copy it.
    let _destroy = Destroy(move || unsafe { sys::rd_kafka_DeleteConsumerGroupOffsets_destroy(delete) });
    let op = Op::RD_KAFKA_ADMIN_OP_DELETECONSUMERGROUPOFFSETS;
    let event = request(client, &what, op, timeout, None, |rk, options, queue| {
        // SAFETY: everything is live during the call, which copies what it needs.
        unsafe { sys::rd_kafka_DeleteConsumerGroupOffsets(rk, &mut delete, 1, options, queue) }
    })?;
    let mut count = 0;
    // SAFETY: the event is live and the answer to this kind of request; its results live with it.
    unsafe {
        let result = sys::rd_kafka_event_DeleteConsumerGroupOffsets_result(event.raw());
        group_result(&what, sys::rd_kafka_DeleteConsumerGroupOffsets_result_groups(result, &mut count), count).map(drop)
    }
}

pub(crate) fn delete_group(client: &Arc<Client>, group: &str, timeout: Duration) -> Result<(), KafkaError> {
    let what = format!("deleting group \"{group}\"");
    let name = c_string("group", group)?;
    // SAFETY: the name is NUL-terminated and copied. Never null.
    let mut delete = unsafe { sys::rd_kafka_DeleteGroup_new(name.as_ptr()) };
    // SAFETY: owned, destroyed once; requests copy it.
    let _destroy = Destroy(move || unsafe { sys::rd_kafka_DeleteGroup_destroy(delete) });
    let event = request(client, &what, Op::RD_KAFKA_ADMIN_OP_DELETEGROUPS, timeout, None, |rk, options, queue| {
        // SAFETY: everything is live during the call, which copies what it needs.
        unsafe { sys::rd_kafka_DeleteGroups(rk, &mut delete, 1, options, queue) }
    })?;
    let mut count = 0;
    // SAFETY: the event is live and the answer to this kind of request; its results live with it.
    unsafe {
        let result = sys::rd_kafka_event_DeleteGroups_result(event.raw());
        group_result(&what, sys::rd_kafka_DeleteGroups_result_groups(result, &mut count), count).map(drop)
    }
}

/// What a metadata request is about.
enum About<'a> {
    Brokers,
    AllTopics,
    Topic(&'a CStr),
}

/// Asks for metadata and reads the answer before it is destroyed.
fn metadata<T>(
    client: &Client,
    what: &str,
    about: About<'_>,
    timeout: Duration,
    read: impl FnOnce(&sys::rd_kafka_metadata) -> T,
) -> Result<T, KafkaError> {
    let topic = match about {
        // SAFETY: the client is live, the name NUL-terminated; a null configuration means the client's.
        About::Topic(name) => unsafe { sys::rd_kafka_topic_new(client.raw(), name.as_ptr(), ptr::null_mut()) },
        About::Brokers | About::AllTopics => ptr::null_mut(),
    };
    let _destroy = Destroy(|| {
        if !topic.is_null() {
            // SAFETY: our reference, released once.
            unsafe { sys::rd_kafka_topic_destroy(topic) }
        }
    });
    let all = c_int::from(matches!(about, About::AllTopics));
    let mut answer: *const sys::rd_kafka_metadata = ptr::null();
    // SAFETY: the client is live, the topic null or live; the answer is written on success only.
    let code =
        unsafe { sys::rd_kafka_metadata(client.raw(), all, topic, (&raw mut answer).cast(), milliseconds(timeout)) }
            as i32;
    // SAFETY: null or a live object of ours that nobody changes until it is destroyed below.
    match unsafe { answer.as_ref() } {
        Some(found) if code == 0 => {
            let result = read(found);
            // SAFETY: ours, destroyed once; `read` cannot keep a reference.
            unsafe { sys::rd_kafka_metadata_destroy(answer) };
            Ok(result)
        }
        _ => Err(KafkaError::of(what, Code(code))),
    }
}

/// The topics of an answer: name, code, number of partitions.
fn topics_of(found: &sys::rd_kafka_metadata) -> Vec<(String, Code, i32)> {
    let count = usize::try_from(found.topic_cnt).unwrap_or(0);
    (0..count)
        .map(|index| {
            // SAFETY: `topics` has `topic_cnt` elements that live with the answer; names are NUL-terminated; codes are
            // read as numbers, since they may be ones that the bindings' enum lacks.
            unsafe {
                let topic = found.topics.add(index);
                let code = (&raw const (*topic).err).cast::<i32>().read();
                (owned_text((*topic).topic), Code(code), (*topic).partition_cnt)
            }
        })
        .collect()
}

/// How many brokers there are, from any of them.
pub(crate) fn brokers(client: &Client, timeout: Duration) -> Result<usize, KafkaError> {
    metadata(client, "asking for the cluster", About::Brokers, timeout, |found| {
        usize::try_from(found.broker_cnt).unwrap_or(0)
    })
}

/// The cluster's id, as its brokers tell it.
pub(crate) fn cluster_id(client: &Client, timeout: Duration) -> Result<String, KafkaError> {
    // SAFETY: the client is live; the text is null or NUL-terminated, ours, and freed by the library that allocated it.
    let id = unsafe {
        let id = sys::rd_kafka_clusterid(client.raw(), milliseconds(timeout));
        let text = (!id.is_null()).then(|| owned_text(id));
        sys::rd_kafka_mem_free(client.raw(), id.cast());
        text
    };
    id.ok_or_else(|| KafkaError::timed_out("asking for the cluster's id", "no broker told it in the time given"))
}

pub(crate) fn topic_names(client: &Client, timeout: Duration) -> Result<Vec<String>, KafkaError> {
    metadata(client, "listing topics", About::AllTopics, timeout, |found| {
        topics_of(found).into_iter().map(|(name, ..)| name).collect()
    })
}

/// How many partitions a topic has. Brokers that create topics on demand may do so if the client is a producer.
pub(crate) fn topic_metadata(client: &Client, topic: &str, timeout: Duration) -> Result<i32, KafkaError> {
    let what = format!("asking for topic \"{topic}\"");
    let name: CString = c_string("topic", topic)?;
    let topics = metadata(client, &what, About::Topic(&name), timeout, topics_of)?;
    match topics.into_iter().find(|(name, ..)| name == topic) {
        Some((_, code, partitions)) if code.is_ok() => Ok(partitions),
        Some((_, code, _)) => Err(KafkaError::of(what, code)),
        None => Err(KafkaError::of(what, Code::UNKNOWN_TOPIC_OR_PARTITION)),
    }
}
