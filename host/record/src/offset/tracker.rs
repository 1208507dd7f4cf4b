//! Which source offsets may be committed: of each source partition the longest prefix of its records that is
//! acknowledged, whatever the order of the acknowledgements.
//!
//! Records are counted as the source gave them. What a chain makes of one record (nothing, one, several) is awaited as a
//! whole; a record of which nothing is made counts as acknowledged, so a filtered source still makes progress.

use std::collections::BTreeMap;
use std::sync::Arc;

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

/// The bookkeeping of one source task.
///
/// Its memory is bounded by the batches of which something is not acknowledged, however rarely the rest is taken: a batch
/// that is acknowledged is forgotten at once but for one offset of each source partition, and of such offsets that follow
/// each other only the last is kept.
#[derive(Debug, Default)]
pub struct OffsetTracker {
    partitions: IndexMap<Arc<str>, Partition>,
    /// Batches of which something is awaited, by number.
    batches: BTreeMap<u64, Batch>,
    /// The number of the next batch.
    next: u64,
    awaited: usize,
}

#[derive(Debug, Default)]
struct Partition {
    /// By batch, what is not part of the acknowledged prefix. The first is always awaited, and no two neighbours are over.
    queue: BTreeMap<u64, Progress>,
    /// The end of the prefix where it has not been taken yet.
    ready: Option<String>,
}

/// How far the records of one partition in one batch have come.
#[derive(Debug)]
enum Progress {
    /// Something of the stretch with this number is not acknowledged.
    Awaited(u32),
    /// Everything is acknowledged; the last offset.
    Over(String),
}

#[derive(Debug, Default)]
struct Batch {
    records: Vec<Record>,
    /// The source offsets one after the other.
    offsets: String,
    stretches: Vec<Stretch>,
    /// Records that are not acknowledged.
    awaited: usize,
}

/// The records of one source partition in a batch.
#[derive(Debug)]
struct Stretch {
    partition: Arc<str>,
    /// Records that are not acknowledged.
    awaited: usize,
    /// The first record that was not taken as part of the prefix.
    first: u32,
    last: u32,
}

#[derive(Debug)]
struct Record {
    /// Acknowledgements to come.
    awaited: u32,
    offset: (u32, u32),
    /// What it is part of, and the next record of the same; none for a record without a source partition.
    stretch: u32,
    next: u32,
}

/// No stretch, no record.
const NONE: u32 = u32::MAX;

impl OffsetTracker {
    /// Nothing submitted.
    pub fn new() -> OffsetTracker {
        OffsetTracker::default()
    }

    /// Takes the records of a batch in their order, each with source partition and offset if it has them. Each is awaited
    /// once until [`OffsetTracker::made`] says otherwise.
    pub fn submit<'r>(&mut self, records: impl IntoIterator<Item = Option<(&'r str, &'r str)>>) -> BatchId {
        let id = self.next;
        self.next += 1;
        let mut batch = Batch::default();
        // Neighbours mostly share their partition.
        let mut last = NONE;
        for (index, source) in (0_u32..).zip(records) {
            let mut record = Record { awaited: 1, offset: (0, 0), stretch: NONE, next: NONE };
            if let Some((partition, offset)) = source {
                let same = batch.stretches.get(last as usize).is_some_and(|stretch| &*stretch.partition == partition);
                if !same {
                    last = self.stretch(id, &mut batch, partition, index);
                }
                let stretch = &mut batch.stretches[last as usize];
                stretch.awaited += 1;
                if let Some(previous) = batch.records.get_mut(stretch.last as usize) {
                    previous.next = index;
                }
                stretch.last = index;
                record.stretch = last;
                record.offset = (batch.offsets.len() as u32, offset.len() as u32);
                batch.offsets.push_str(offset);
            }
            batch.records.push(record);
        }
        batch.awaited = batch.records.len();
        self.awaited += batch.awaited;
        if batch.awaited > 0 {
            self.batches.insert(id, batch);
        }
        BatchId(id)
    }

    /// The stretch of a partition in a batch, made if it is the first record of the partition in it.
    fn stretch(&mut self, id: u64, batch: &mut Batch, partition: &str, record: u32) -> u32 {
        let number = match self.partitions.get_index_of(partition) {
            Some(number) => number,
            None => self.partitions.insert_full(partition.into(), Partition::default()).0,
        };
        let name = self.partitions.get_index(number).expect("it was just found or made").0.clone();
        let partition = &mut self.partitions[number];
        if let Some((&newest, &Progress::Awaited(stretch))) = partition.queue.last_key_value()
            && newest == id
        {
            return stretch;
        }
        let stretch = batch.stretches.len() as u32;
        batch.stretches.push(Stretch { partition: name, awaited: 0, first: record, last: NONE });
        partition.queue.insert(id, Progress::Awaited(stretch));
        stretch
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
    pub fn acknowledge_batch(&mut self, id: BatchId) {
        let Some(batch) = self.batches.remove(&id.0) else { return };
        self.awaited -= batch.awaited;
        for stretch in batch.stretches.iter().filter(|stretch| stretch.awaited > 0) {
            self.partition(&stretch.partition).fold(id.0, batch.offset(stretch.last));
        }
    }

    fn settle(&mut self, id: BatchId, index: usize, change: impl FnOnce(u32) -> u32) -> Result<(), NotAwaited> {
        let not_awaited = NotAwaited { batch: id, record: index };
        let batch = self.batches.get_mut(&id.0).ok_or(not_awaited)?;
        let record = batch.records.get_mut(index).filter(|record| record.awaited > 0).ok_or(not_awaited)?;
        record.awaited = change(record.awaited);
        if record.awaited > 0 {
            return Ok(());
        }
        let number = record.stretch as usize;
        batch.awaited -= 1;
        self.awaited -= 1;
        let mut over = None;
        if let Some(stretch) = batch.stretches.get_mut(number) {
            stretch.awaited -= 1;
            if stretch.awaited == 0 {
                over = Some((stretch.partition.clone(), batch.offset(batch.stretches[number].last).to_owned()));
            }
        }
        if batch.awaited == 0 {
            self.batches.remove(&id.0);
        }
        if let Some((partition, offset)) = over {
            self.partition(&partition).fold(id.0, &offset);
        }
        Ok(())
    }

    /// A partition of which something was awaited.
    fn partition(&mut self, name: &str) -> &mut Partition {
        self.partitions.get_mut(name).expect("a partition stays while something of it is awaited")
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
            let mut ready = partition.ready.take();
            if let Some((first, Progress::Awaited(stretch))) = partition.queue.first_key_value()
                && let Some(batch) = self.batches.get_mut(first)
                && let Some(offset) = batch.advance(*stretch)
            {
                ready = Some(offset.to_owned());
            }
            if let Some(offset) = ready {
                taken.push(Committable { partition: name.to_string(), offset });
            }
        }
        self.partitions.retain(|_, partition| !partition.queue.is_empty());
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
        self.batches.clear();
        self.partitions.clear();
        self.awaited = 0;
    }
}

impl Partition {
    /// Everything of a batch is acknowledged, and this is its last offset.
    fn fold(&mut self, id: u64, offset: &str) {
        let is_over = |(_, progress): (&u64, &Progress)| matches!(progress, Progress::Over(_));
        match self.queue.range(id + 1..).next().is_some_and(is_over) {
            // The one after it says more.
            true => drop(self.queue.remove(&id)),
            false => drop(self.queue.insert(id, Progress::Over(offset.to_owned()))),
        }
        if let Some((&before, Progress::Over(_))) = self.queue.range(..id).next_back() {
            self.queue.remove(&before);
        }
        if self.queue.first_key_value().is_some_and(is_over)
            && let Some((_, Progress::Over(offset))) = self.queue.pop_first()
        {
            self.ready = Some(offset);
        }
    }
}

impl Batch {
    fn offset(&self, record: u32) -> &str {
        let (start, length) = self.records[record as usize].offset;
        &self.offsets[start as usize..(start + length) as usize]
    }

    /// Steps over what is acknowledged at the beginning of a stretch, and answers the last offset of that.
    fn advance(&mut self, stretch: u32) -> Option<&str> {
        let stretch = &mut self.stretches[stretch as usize];
        let mut passed = None;
        while let Some(record) = self.records.get(stretch.first as usize).filter(|record| record.awaited == 0) {
            passed = Some(stretch.first);
            stretch.first = record.next;
        }
        passed.map(|record| self.offset(record))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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

    #[test]
    fn what_is_acknowledged_is_forgotten_though_nothing_is_taken() {
        let mut tracker = OffsetTracker::new();
        let stuck = tracker.submit([Some(("a", "1"))]);
        for number in 2..100 {
            let offset = number.to_string();
            let batch = tracker.submit([Some(("a", offset.as_str())), Some(("b", offset.as_str())), None]);
            tracker.acknowledge_batch(batch);
        }
        let held = |tracker: &OffsetTracker| {
            let queues: Vec<_> = tracker.partitions.values().map(|partition| partition.queue.len()).collect();
            (tracker.batches.len(), queues)
        };
        assert_eq!(held(&tracker), (1, vec![2, 0]), "the stuck batch, and one offset behind it");
        tracker.acknowledge_batch(stuck);
        assert_eq!(held(&tracker), (0, vec![0, 0]));
        assert_eq!(shown(tracker.take()), "a=99 b=99");
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
            steps in prop::collection::vec((0u8..5, any::<prop::sample::Index>(), 0u32..3), 1..80),
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
                    3 if !places.is_empty() => {
                        let (batch, _) = places[index.index(places.len())];
                        tracker.acknowledge_batch(batch);
                        for (_, record) in places.iter().zip(&mut model).filter(|(place, _)| place.0 == batch) {
                            record.2 = 0;
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
                let open: BTreeSet<BatchId> =
                    places.iter().zip(&model).filter(|(_, record)| record.2 > 0).map(|(place, _)| place.0).collect();
                prop_assert_eq!(tracker.batches.len(), open.len());
                for partition in tracker.partitions.values() {
                    prop_assert!(partition.queue.len() <= 2 * open.len(), "{:?}", partition);
                }
            }
        }
    }
}
