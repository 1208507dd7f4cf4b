//! Which source offsets may be committed: of each source partition the longest prefix of its records that is
//! acknowledged, whatever the order of the acknowledgements.
//!
//! Records are counted as the source gave them. What a chain makes of one record (nothing, one, several) is awaited as a
//! whole; a record of which nothing is made counts as acknowledged, so a filtered source still makes progress.

use std::collections::VecDeque;

use indexmap::IndexMap;

/// A batch that was submitted. Numbers grow by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(u64);

/// A source offset that may be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committable {
    /// The source partition, its exact JSON.
    pub partition: String,
    /// The source offset, its exact JSON.
    pub offset: String,
}

/// An acknowledgement of something that was not awaited: a fault of whoever sends acknowledgements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {record} of batch {} is not awaited", batch.0)]
pub struct NotAwaited {
    /// The batch.
    pub batch: BatchId,
    /// The record.
    pub record: usize,
}

/// The bookkeeping of one source task. What is in flight bounds its memory; whoever submits bounds that.
#[derive(Debug, Default)]
pub struct OffsetTracker {
    partitions: IndexMap<Box<str>, Partition>,
    /// Batches that some partition still needs, the oldest first.
    batches: VecDeque<Batch>,
    /// The number of the first of them.
    first: u64,
    awaited: usize,
}

#[derive(Debug, Default)]
struct Partition {
    /// Records in their order that are not yet part of the prefix.
    queue: VecDeque<(u64, u32)>,
    /// The end of the prefix where it has not been taken yet.
    ready: Option<String>,
}

#[derive(Debug)]
struct Batch {
    records: Vec<Record>,
    /// The source offsets one after the other.
    offsets: String,
    /// Records that are not acknowledged.
    awaited: usize,
    /// Records that some queue still holds.
    queued: usize,
}

#[derive(Debug)]
struct Record {
    /// Acknowledgements to come.
    awaited: u32,
    offset: (u32, u32),
}

impl OffsetTracker {
    /// Nothing submitted.
    pub fn new() -> OffsetTracker {
        OffsetTracker::default()
    }

    /// Takes the records of a batch in their order, each with source partition and offset if it has them. Each is awaited
    /// once until [`OffsetTracker::made`] says otherwise.
    pub fn submit<'r>(&mut self, records: impl IntoIterator<Item = Option<(&'r str, &'r str)>>) -> BatchId {
        let id = self.first + self.batches.len() as u64;
        let mut batch = Batch { records: Vec::new(), offsets: String::new(), awaited: 0, queued: 0 };
        // Neighbours mostly share their partition.
        let mut last = usize::MAX;
        for (index, source) in records.into_iter().enumerate() {
            let mut record = Record { awaited: 1, offset: (0, 0) };
            if let Some((partition, offset)) = source {
                let same = self.partitions.get_index(last).is_some_and(|(name, _)| &**name == partition);
                if !same {
                    last = match self.partitions.get_index_of(partition) {
                        Some(number) => number,
                        None => self.partitions.insert_full(partition.into(), Partition::default()).0,
                    };
                }
                record.offset = (batch.offsets.len() as u32, offset.len() as u32);
                batch.offsets.push_str(offset);
                batch.queued += 1;
                self.partitions[last].queue.push_back((id, index as u32));
            }
            batch.records.push(record);
        }
        batch.awaited = batch.records.len();
        self.awaited += batch.awaited;
        self.batches.push_back(batch);
        BatchId(id)
    }

    /// Says how many records were made of a record of which nothing was acknowledged yet; 0: it was dropped, and counts as
    /// acknowledged.
    pub fn made(&mut self, batch: BatchId, record: usize, count: u32) -> Result<(), NotAwaited> {
        self.settle(batch, record, |_| count)
    }

    /// Counts one acknowledgement of a record, that is of one of those made from it.
    pub fn acknowledge(&mut self, batch: BatchId, record: usize) -> Result<(), NotAwaited> {
        self.settle(batch, record, |awaited| awaited - 1)
    }

    /// Counts everything of a batch as acknowledged.
    pub fn acknowledge_batch(&mut self, batch: BatchId) {
        if let Some(batch) = self.batch(batch) {
            for record in &mut batch.records {
                record.awaited = 0;
            }
            let settled = std::mem::take(&mut batch.awaited);
            self.awaited -= settled;
        }
    }

    fn settle(&mut self, id: BatchId, index: usize, change: impl FnOnce(u32) -> u32) -> Result<(), NotAwaited> {
        let not_awaited = NotAwaited { batch: id, record: index };
        let batch = self.batch(id).ok_or(not_awaited)?;
        let record = batch.records.get_mut(index).filter(|record| record.awaited > 0).ok_or(not_awaited)?;
        record.awaited = change(record.awaited);
        if record.awaited == 0 {
            batch.awaited -= 1;
            self.awaited -= 1;
        }
        Ok(())
    }

    fn batch(&mut self, id: BatchId) -> Option<&mut Batch> {
        self.batches.get_mut(usize::try_from(id.0.checked_sub(self.first)?).ok()?)
    }

    /// Whether every record of a batch is acknowledged.
    pub fn is_acknowledged(&self, batch: BatchId) -> bool {
        match batch.0.checked_sub(self.first).and_then(|index| self.batches.get(index as usize)) {
            Some(batch) => batch.awaited == 0,
            None => true,
        }
    }

    /// Records that are not acknowledged.
    pub fn awaited(&self) -> usize {
        self.awaited
    }

    /// Takes what has become committable since the last time: of each source partition that moved the newest offset. If
    /// writing it fails, [`OffsetTracker::restore`] gives it back.
    pub fn take(&mut self) -> Vec<Committable> {
        let mut taken = Vec::new();
        for (name, partition) in &mut self.partitions {
            let mut end = None;
            while let Some((batch_id, index)) = partition.queue.front() {
                let batch = &mut self.batches[(batch_id - self.first) as usize];
                if batch.records[*index as usize].awaited > 0 {
                    break;
                }
                batch.queued -= 1;
                end = partition.queue.pop_front();
            }
            if let Some((batch_id, index)) = end {
                let batch = &self.batches[(batch_id - self.first) as usize];
                let (start, length) = batch.records[index as usize].offset;
                let text = &batch.offsets[start as usize..(start + length) as usize];
                partition.ready = Some(text.to_owned());
            }
            if let Some(offset) = partition.ready.take() {
                taken.push(Committable { partition: name.to_string(), offset });
            }
        }
        self.partitions.retain(|_, partition| !partition.queue.is_empty());
        while self.batches.front().is_some_and(|batch| batch.queued == 0 && batch.awaited == 0) {
            self.batches.pop_front();
            self.first += 1;
        }
        taken
    }

    /// Gives back what could not be written, so that the next [`OffsetTracker::take`] has it again unless something newer
    /// has come.
    pub fn restore(&mut self, taken: Vec<Committable>) {
        for Committable { partition, offset } in taken {
            self.partitions.entry(partition.into()).or_default().ready.get_or_insert(offset);
        }
    }

    /// Forgets everything in flight and everything that was not taken: the source starts again from its last commit.
    pub fn clear(&mut self) {
        self.first += self.batches.len() as u64;
        self.batches.clear();
        self.partitions.clear();
        self.awaited = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(taken: Vec<Committable>) -> String {
        let parts: Vec<_> = taken.into_iter().map(|item| format!("{}={}", item.partition, item.offset)).collect();
        parts.join(" ")
    }

    #[test]
    fn only_the_prefix_is_committable() {
        let mut tracker = OffsetTracker::new();
        let batch = tracker.submit([Some(("a", "1")), Some(("a", "2")), Some(("a", "3"))]);
        tracker.acknowledge(batch, 1).unwrap();
        assert_eq!(shown(tracker.take()), "");
        tracker.acknowledge(batch, 0).unwrap();
        assert_eq!(shown(tracker.take()), "a=2");
        assert_eq!(shown(tracker.take()), "");
        tracker.acknowledge(batch, 2).unwrap();
        assert!(tracker.is_acknowledged(batch));
        assert_eq!(shown(tracker.take()), "a=3");
    }

    #[test]
    fn partitions_move_on_their_own() {
        let mut tracker = OffsetTracker::new();
        let first = tracker.submit([Some(("a", "1")), Some(("b", "7")), None]);
        let second = tracker.submit([Some(("b", "8"))]);
        tracker.acknowledge_batch(second);
        tracker.acknowledge(first, 1).unwrap();
        assert_eq!(shown(tracker.take()), "b=8");
        assert_eq!(tracker.awaited(), 2);
    }

    #[test]
    fn dropped_records_advance_and_multiplied_ones_wait_for_all() {
        let mut tracker = OffsetTracker::new();
        let batch = tracker.submit([Some(("a", "1")), Some(("a", "2"))]);
        tracker.made(batch, 0, 0).unwrap();
        tracker.made(batch, 1, 2).unwrap();
        tracker.acknowledge(batch, 1).unwrap();
        assert_eq!(shown(tracker.take()), "a=1");
        tracker.acknowledge(batch, 1).unwrap();
        assert_eq!(shown(tracker.take()), "a=2");
        assert!(tracker.acknowledge(batch, 1).is_err());
    }

    #[test]
    fn a_failed_write_is_offered_again_unless_something_newer_has_come() {
        let mut tracker = OffsetTracker::new();
        let batch = tracker.submit([Some(("a", "1")), Some(("b", "1")), Some(("a", "2"))]);
        tracker.acknowledge(batch, 0).unwrap();
        tracker.acknowledge(batch, 1).unwrap();
        let failed = tracker.take();
        tracker.acknowledge(batch, 2).unwrap();
        tracker.restore(failed);
        assert_eq!(shown(tracker.take()), "a=2 b=1");
    }

    #[test]
    fn after_clearing_old_batches_are_unknown() {
        let mut tracker = OffsetTracker::new();
        let old = tracker.submit([Some(("a", "1"))]);
        tracker.clear();
        assert!(tracker.acknowledge(old, 0).is_err());
        let new = tracker.submit([Some(("a", "2"))]);
        assert_ne!(old, new);
        tracker.acknowledge_batch(new);
        assert_eq!(shown(tracker.take()), "a=2");
    }

    /// Every record ever submitted, in order: partition, offset, acknowledgements to come.
    type Model = Vec<(u8, usize, u32)>;

    fn model_committable(model: &Model, partition: u8) -> Option<usize> {
        model
            .iter()
            .filter(|record| record.0 == partition)
            .take_while(|record| record.2 == 0)
            .last()
            .map(|record| record.1)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn the_tracker_agrees_with_a_list_of_all_records(
            steps in prop::collection::vec((0u8..4, any::<prop::sample::Index>(), 0u32..3), 1..80),
        ) {
            let mut tracker = OffsetTracker::new();
            let mut model: Model = Vec::new();
            let mut places: Vec<(BatchId, usize)> = Vec::new();
            let mut committed = [None; 3];
            for (action, index, number) in steps {
                match action {
                    0 => {
                        let from = model.len();
                        let partitions: Vec<u8> = (0..=number).map(|i| ((index.index(7) as u32 + i) % 4) as u8).collect();
                        for partition in &partitions {
                            model.push((*partition, model.len(), 1));
                        }
                        let texts: Vec<(String, String)> =
                            model[from..].iter().map(|(partition, offset, _)| (partition.to_string(), offset.to_string())).collect();
                        // Partition 3 stands for records without a source position.
                        let id = tracker.submit(texts.iter().map(|(p, o)| (p != "3").then_some((p.as_str(), o.as_str()))));
                        places.extend((0..partitions.len()).map(|record| (id, record)));
                    }
                    1 | 2 if !places.is_empty() => {
                        let at = index.index(places.len());
                        let (batch, record) = places[at];
                        let awaited = model[at].2 > 0;
                        if action == 1 {
                            prop_assert_eq!(tracker.acknowledge(batch, record).is_ok(), awaited);
                            model[at].2 = model[at].2.saturating_sub(1);
                        } else {
                            prop_assert_eq!(tracker.made(batch, record, number).is_ok(), awaited);
                            if awaited {
                                model[at].2 = number;
                            }
                        }
                    }
                    _ => {
                        for item in tracker.take() {
                            committed[item.partition.parse::<usize>().unwrap()] = Some(item.offset.parse().unwrap());
                        }
                        for partition in 0..3u8 {
                            prop_assert_eq!(committed[usize::from(partition)], model_committable(&model, partition));
                        }
                    }
                }
                prop_assert_eq!(tracker.awaited(), model.iter().filter(|record| record.2 > 0).count());
            }
        }
    }
}
