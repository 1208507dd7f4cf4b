//! Fetch: whole batches from many partitions, and the long poll that waits for more.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError as Error;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::{AbortedTransaction, FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse, ProducerId};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::{Answer, Call};
use crate::core::{Core, Refused};
use crate::lock;
use crate::log::{Isolation, ReadPlan};
use crate::net::Closed;
use crate::topics::{Partition, Topic};

/// From this version on topics come by id.
const BY_ID: i16 = 13;
/// The most that one answer carries, whatever the client allows; a single larger batch still goes through.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// The longest wait, whatever the client allows.
const WAIT_MS_MAX: i32 = 60_000;
/// The first fetch of a session; others name a session that this broker never gives out.
const SESSIONLESS_EPOCHS: std::ops::RangeInclusive<i32> = -1..=0;

pub(super) async fn handle(core: Arc<Core>, call: Call) -> Result<Option<Answer>, Closed> {
    let request: FetchRequest = call.decode()?;
    if request.session_id != 0 && !SESSIONLESS_EPOCHS.contains(&request.session_epoch) {
        let refused = FetchResponse::default().with_error_code(Error::FetchSessionIdNotFound.code());
        return call.encode(&refused, None).map(Some);
    }
    let isolation = if request.isolation_level == 1 { Isolation::Committed } else { Isolation::Uncommitted };
    let deadline = Instant::now() + Duration::from_millis(request.max_wait_ms.clamp(0, WAIT_MS_MAX) as u64);
    let bytes_min = request.min_bytes.max(0) as u64;
    let changed = Arc::new(Notify::new());
    let wanted = loop {
        let wanted = look(&core, call.version, &request, isolation, &changed);
        if wanted.is_ready || wanted.bytes_available >= bytes_min || Instant::now() >= deadline {
            break wanted;
        }
        // Woken or not, look once more.
        let _ = timeout_at(deadline, changed.notified()).await;
    };
    let bytes_max = (request.max_bytes.max(0) as usize).min(ANSWER_BYTES_MAX);
    let share = bytes_max.min(wanted.bytes_available as usize).clamp(1, core.config.response_memory_bytes_max);
    let memory = core.response_memory.clone().acquire_many_owned(share as u32).await.ok();
    let response = read(wanted, request, bytes_max);
    call.encode(&response, memory).map(Some)
}

/// What each partition of a request has to offer.
struct Wanted {
    partitions: Vec<Vec<Offer>>,
    bytes_available: u64,
    /// The client is to be answered at once, whatever there is to read.
    is_ready: bool,
}

struct Offer {
    error: Option<Error>,
    high_watermark: i64,
    last_stable: i64,
    log_start: i64,
    plan: Option<ReadPlan>,
}

fn look(core: &Core, version: i16, request: &FetchRequest, isolation: Isolation, changed: &Arc<Notify>) -> Wanted {
    let mut wanted = Wanted { partitions: Vec::new(), bytes_available: 0, is_ready: request.topics.is_empty() };
    for asked in &request.topics {
        let topic = find(core, version, asked);
        let offers = asked.partitions.iter().map(|asked| {
            let partition = match &topic {
                Ok(topic) => topic.partition(asked.partition).ok_or(Error::UnknownTopicOrPartition),
                Err(error) => Err(*error),
            };
            let offer = match partition {
                Ok(partition) => offer(partition, asked, isolation, changed, &mut wanted.bytes_available),
                Err(error) => refusal(error),
            };
            wanted.is_ready |= offer.error.is_some();
            offer
        });
        let offers = offers.collect();
        wanted.partitions.push(offers);
    }
    wanted
}

fn find(core: &Core, version: i16, asked: &FetchTopic) -> Result<Arc<Topic>, Error> {
    if version >= BY_ID {
        core.topic_by_id(asked.topic_id).ok_or(Error::UnknownTopicId)
    } else {
        core.topic(&asked.topic).ok_or(Error::UnknownTopicOrPartition)
    }
}

fn refusal(error: Error) -> Offer {
    Offer { error: Some(error), high_watermark: -1, last_stable: -1, log_start: -1, plan: None }
}

fn offer(
    partition: &Partition,
    asked: &FetchPartition,
    isolation: Isolation,
    changed: &Arc<Notify>,
    bytes_available: &mut u64,
) -> Offer {
    // Before looking, so that nothing is missed.
    partition.wake_on_change(changed);
    let log = lock(&partition.log);
    let (error, plan) = match log.plan_read(asked.fetch_offset, isolation) {
        // The only leader epoch is 0.
        _ if asked.current_leader_epoch > 0 => (Some(Error::UnknownLeaderEpoch), None),
        Ok(plan) => (None, plan),
        Err(_) => (Some(Error::OffsetOutOfRange), None),
    };
    if plan.is_some() {
        *bytes_available +=
            log.bytes_available(asked.fetch_offset, isolation).min(asked.partition_max_bytes.max(1) as u64);
    }
    Offer { error, high_watermark: log.log_end(), last_stable: log.last_stable(), log_start: log.log_start(), plan }
}

fn read(wanted: Wanted, request: FetchRequest, bytes_max: usize) -> FetchResponse {
    let mut left = bytes_max;
    let mut is_empty = true;
    let mut topics = Vec::with_capacity(request.topics.len());
    for (asked, offers) in request.topics.into_iter().zip(wanted.partitions) {
        let mut partitions = Vec::with_capacity(offers.len());
        for (asked, offer) in asked.partitions.iter().zip(offers) {
            let mut data = PartitionData::default()
                .with_partition_index(asked.partition)
                .with_error_code(offer.error.map_or(0, |error| error.code()))
                .with_high_watermark(offer.high_watermark)
                .with_last_stable_offset(offer.last_stable)
                .with_log_start_offset(offer.log_start)
                .with_preferred_read_replica(BrokerId(-1))
                .with_aborted_transactions(Some(Vec::new()))
                .with_records(Some(Bytes::new()));
            let limit = (asked.partition_max_bytes.max(0) as usize).min(left);
            if let Some(plan) = offer.plan
                && (limit > 0 || is_empty)
            {
                match plan.read(limit, is_empty) {
                    Ok(slice) => {
                        left = left.saturating_sub(slice.bytes.len());
                        is_empty &= slice.bytes.is_empty();
                        let aborted = slice.aborted.iter().map(|aborted| {
                            AbortedTransaction::default()
                                .with_producer_id(ProducerId(aborted.producer_id))
                                .with_first_offset(aborted.first_offset)
                        });
                        data = data.with_aborted_transactions(Some(aborted.collect())).with_records(Some(slice.bytes));
                    }
                    Err(error) => data = data.with_error_code(Refused::from(error).error.code()),
                }
            }
            partitions.push(data);
        }
        topics.push(
            FetchableTopicResponse::default()
                .with_topic(asked.topic)
                .with_topic_id(asked.topic_id)
                .with_partitions(partitions),
        );
    }
    FetchResponse::default().with_responses(topics)
}
