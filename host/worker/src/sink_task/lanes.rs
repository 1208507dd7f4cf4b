//! The lanes of a sink task: instances that deliver at once, each with partitions of its own.
//!
//! A partition stays in its lane as long as it is assigned, so its order is kept and its offsets have one owner. With one
//! lane and no lingering a batch goes from Kafka to the guest without a stop here. Otherwise what was read waits in its lane
//! until the lane is idle, and until it makes a batch or has waited long enough. What waits is bounded; it was read and
//! not accepted, so wherever the consumer is rewound it is dropped and read again.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tidegate_engine::{CallError, SinkInstance};
use tidegate_kafka::{MessageBatch, Polled, TopicPartition};

use super::delivery::UnderWay;
use super::{Flow, POLL_WAIT, Patience, SinkTask, Step, TICK};

/// Batches that may wait in a lane before no more are read. Records come from Kafka in long runs of one partition: with
/// little room one lane would be fed while the others are idle.
const BATCHES_WAITING: usize = 16;
/// Bytes that may wait in all lanes.
const BYTES_WAITING: usize = 32 << 20;

/// One instance and what it has to do.
pub(super) struct Lane {
    /// None while it delivers, and when it is lost.
    pub(super) guest: Option<SinkInstance>,
    /// Why the guest has to be replaced by one that connects anew.
    pub(super) lost: Option<CallError>,
    pub(super) under_way: Option<UnderWay>,
    pub(super) called_at: Instant,
    partitions: BTreeSet<(String, i32)>,
    waiting: Option<MessageBatch>,
    waiting_bytes: usize,
    /// When the first of what waits was read.
    waiting_since: Instant,
}

impl Lane {
    pub(super) fn new(guest: SinkInstance, now: Instant) -> Lane {
        Lane {
            guest: Some(guest),
            lost: None,
            under_way: None,
            called_at: now,
            partitions: BTreeSet::new(),
            waiting: None,
            waiting_bytes: 0,
            waiting_since: now,
        }
    }

    pub(super) fn has(&self, topic: &str, partition: i32) -> bool {
        self.partitions.iter().any(|(name, number)| *number == partition && name == topic)
    }

    pub(super) fn has_any(&self) -> bool {
        !self.partitions.is_empty()
    }

    fn records_waiting(&self) -> usize {
        self.waiting.as_ref().map_or(0, MessageBatch::len)
    }

    fn wait(&mut self, batch: MessageBatch, now: Instant) {
        self.waiting_bytes += batch.bytes();
        match &mut self.waiting {
            Some(waiting) => waiting.append(batch),
            None => {
                self.waiting_since = now;
                self.waiting = Some(batch);
            }
        }
    }

    /// A batch that is full or has waited long enough.
    fn due(&mut self, records: usize, linger: Duration, now: Instant) -> Option<MessageBatch> {
        let waiting = self.waiting.as_mut()?;
        let is_full = waiting.len() >= records || self.waiting_bytes >= MessageBatch::BYTES;
        if !is_full && now.duration_since(self.waiting_since) < linger {
            return None;
        }
        let batch = waiting.take_front(records);
        self.waiting_bytes = self.waiting_bytes.saturating_sub(batch.bytes());
        self.waiting_since = now;
        if waiting.is_empty() {
            self.waiting = None;
        }
        Some(batch)
    }

    /// Drops what waits; answers whether there was anything.
    pub(super) fn drop_waiting(&mut self) -> bool {
        self.waiting_bytes = 0;
        self.waiting.take().is_some()
    }
}

/// Gives a partition to the lane that has the fewest.
pub(super) fn assign(lanes: &mut [Lane], at: &TopicPartition) {
    if let Some(lane) = lanes.iter_mut().min_by_key(|lane| lane.partitions.len()) {
        lane.partitions.insert((at.topic.clone(), at.partition));
    }
}

pub(super) fn revoke(lanes: &mut [Lane], at: &TopicPartition) {
    for lane in lanes {
        lane.partitions.remove(&(at.topic.clone(), at.partition));
    }
}

impl SinkTask {
    /// Whether what is read goes on at once: nothing waits for other lanes, or for more.
    pub(super) fn is_direct(&self) -> bool {
        self.lanes.len() == 1 && self.linger.is_zero()
    }

    /// Reads for all lanes, feeds those that are idle, and waits until there is something to do.
    pub(super) fn gather(&mut self) -> Step<()> {
        let now = Instant::now();
        let is_busy = self.lanes.iter().any(|lane| lane.under_way.is_some());
        let records: usize = self.lanes.iter().map(Lane::records_waiting).sum();
        let bytes: usize = self.lanes.iter().map(|lane| lane.waiting_bytes).sum();
        let is_full = records >= self.batch_records * self.lanes.len() * BATCHES_WAITING || bytes >= BYTES_WAITING;
        let mut came = false;
        // The group has to be heard even where no more records fit.
        if !is_full || !is_busy || now.duration_since(self.polled_at) >= TICK {
            self.polled_at = now;
            let wait = match (is_busy, records > 0 && !self.is_paused) {
                (true, _) => Duration::ZERO,
                (false, true) => POLL_WAIT.min(self.linger),
                (false, false) => POLL_WAIT,
            };
            match self.consumer.poll(if is_full { 1 } else { self.batch_records }, wait)? {
                Polled::Records(batch) if batch.is_empty() => {}
                Polled::Records(batch) => {
                    came = true;
                    self.note_read(&batch);
                    let lanes = &self.lanes;
                    let lane_of = |topic: &str, partition| lanes.iter().position(|lane| lane.has(topic, partition));
                    for (lane, part) in batch.split(|topic, partition| lane_of(topic, partition).unwrap_or(0)) {
                        self.lanes[lane].wait(part, now);
                    }
                }
                other => self.hear(other)?,
            }
        }
        self.feed()?;
        if !came {
            self.wait_for_a_lane()?;
        }
        for lane in 0..self.lanes.len() {
            if self.lanes[lane].under_way.as_ref().is_some_and(|under_way| under_way.put.is_done()) {
                self.settle_lane(lane, Patience::Endless)?;
            }
        }
        Ok(())
    }

    /// Gives every idle lane the next batch that is due.
    fn feed(&mut self) -> Step<()> {
        if self.is_paused {
            return Ok(());
        }
        for lane in 0..self.lanes.len() {
            // A single lane's next batch is made ready while it delivers the one before.
            let is_idle = self.lanes[lane].under_way.is_none() || self.lanes.len() == 1;
            if !is_idle || self.lanes[lane].lost.is_some() {
                continue;
            }
            let Some(batch) = self.lanes[lane].due(self.batch_records, self.linger, Instant::now()) else { continue };
            if self.deliver(lane, batch)? == Flow::Rewound {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Waits a moment for a put to end.
    fn wait_for_a_lane(&mut self) -> Step<()> {
        let mut puts: Vec<_> =
            self.lanes.iter_mut().filter_map(|lane| Some(&mut lane.under_way.as_mut()?.put)).collect();
        if puts.is_empty() {
            return Ok(());
        }
        let any = std::future::poll_fn(|context| match puts.iter_mut().any(|put| put.poll_done(context).is_ready()) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        });
        let waited = async { tokio::time::timeout(POLL_WAIT, any).await.unwrap_or_default() };
        self.runtime.block_on(self.control.unless_killed(waited))?;
        Ok(())
    }
}
