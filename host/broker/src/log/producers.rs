//! What a partition remembers of the producers that wrote to it: the last sequence numbers, which make retries
//! idempotent, and the open and aborted transactions, which make `read_committed` possible.
//!
//! Rebuilt from the batches of the log at start, so it needs no file of its own.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::batch::{Header, advance_sequence};

/// Batches per producer that are recognised when they come again: as many as a producer may have in flight.
const BATCHES_REMEMBERED: usize = 5;
/// Producers remembered per partition; beyond it the one that has been quiet longest is forgotten.
const PRODUCERS_MAX: usize = 10_000;

/// A transaction that was aborted, as `read_committed` readers must know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Aborted {
    pub(crate) producer_id: i64,
    pub(crate) first_offset: i64,
    /// The offset of the abort marker.
    pub(crate) last_offset: i64,
}

#[derive(Debug, Clone, Copy)]
struct Written {
    first_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
    last_offset: i64,
}

impl Aborted {
    /// Whether a data batch belongs to this transaction.
    pub(crate) fn covers(&self, header: &Header) -> bool {
        self.producer_id == header.producer_id
            && self.first_offset <= header.base_offset
            && header.last_offset() < self.last_offset
    }
}

/// One producer's recent past in one partition.
#[derive(Debug, Clone)]
pub(crate) struct Producer {
    pub(crate) epoch: i16,
    pub(crate) last_timestamp: i64,
    pub(crate) open_since: Option<i64>,
    written: VecDeque<Written>,
    touched: u64,
}

impl Producer {
    pub(crate) fn last_sequence(&self) -> i32 {
        self.written.back().map_or(-1, |batch| batch.last_sequence)
    }
}

/// What to do with a batch of a producer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Append,
    /// The batch is there already, at this offset: acknowledge it again, write nothing.
    Duplicate {
        base_offset: i64,
    },
    /// The sequence has a gap.
    OutOfOrder,
    /// A newer incarnation of the producer has written or has been announced.
    Fenced,
}

#[derive(Debug, Default)]
pub(crate) struct Producers {
    by_id: HashMap<i64, Producer>,
    /// First offset of each open transaction → its producer.
    open: BTreeMap<i64, i64>,
    aborted: Vec<Aborted>,
    clock: u64,
}

impl Producers {
    /// Decides on a produced batch. A producer that is not known may start with any sequence number: its batches may
    /// have been deleted since.
    pub(crate) fn check(&self, header: &Header) -> Verdict {
        let Some(producer) = header.has_producer().then(|| self.by_id.get(&header.producer_id)).flatten() else {
            return Verdict::Append;
        };
        if header.producer_epoch < producer.epoch {
            return Verdict::Fenced;
        }
        if header.producer_epoch > producer.epoch {
            return if header.base_sequence == 0 { Verdict::Append } else { Verdict::OutOfOrder };
        }
        let known = |batch: &&Written| {
            batch.first_sequence == header.base_sequence && batch.last_sequence == header.last_sequence()
        };
        if let Some(batch) = producer.written.iter().find(known) {
            return Verdict::Duplicate { base_offset: batch.base_offset };
        }
        let expected = producer.written.back().map_or(0, |batch| advance_sequence(batch.last_sequence, 1));
        if header.base_sequence == expected { Verdict::Append } else { Verdict::OutOfOrder }
    }

    /// Takes note of a batch of data that is in the log.
    pub(crate) fn wrote(&mut self, header: &Header) {
        if !header.has_producer() {
            return;
        }
        let producer = self.entry(header.producer_id, header.producer_epoch);
        producer.last_timestamp = header.max_timestamp;
        producer.written.push_back(Written {
            first_sequence: header.base_sequence,
            last_sequence: header.last_sequence(),
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
        });
        if producer.written.len() > BATCHES_REMEMBERED {
            producer.written.pop_front();
        }
        if header.is_transactional() && producer.open_since.is_none() {
            producer.open_since = Some(header.base_offset);
            self.open.insert(header.base_offset, header.producer_id);
        }
        self.forget_the_quietest();
    }

    /// Takes note of the marker at `offset` that ends the open transaction of a producer, if it has one here.
    pub(crate) fn ended(&mut self, producer_id: i64, epoch: i16, committed: bool, offset: i64) {
        let producer = self.entry(producer_id, epoch);
        let Some(first_offset) = producer.open_since.take() else { return };
        self.open.remove(&first_offset);
        if !committed {
            self.aborted.push(Aborted { producer_id, first_offset, last_offset: offset });
        }
    }

    fn entry(&mut self, producer_id: i64, epoch: i16) -> &mut Producer {
        self.clock += 1;
        let producer = self.by_id.entry(producer_id).or_insert_with(|| Producer {
            epoch,
            last_timestamp: -1,
            open_since: None,
            written: VecDeque::new(),
            touched: 0,
        });
        producer.touched = self.clock;
        if epoch > producer.epoch {
            producer.epoch = epoch;
            producer.written.clear();
        }
        producer
    }

    fn forget_the_quietest(&mut self) {
        if self.by_id.len() <= PRODUCERS_MAX {
            return;
        }
        let quietest =
            self.by_id.iter().filter(|(_, p)| p.open_since.is_none()).min_by_key(|(_, p)| p.touched).map(|(id, _)| *id);
        if let Some(id) = quietest {
            self.by_id.remove(&id);
        }
    }

    /// The first offset of the oldest open transaction: readers of committed data stop before it.
    pub(crate) fn first_open(&self) -> Option<i64> {
        self.open.first_key_value().map(|(offset, _)| *offset)
    }

    /// Whether the producer has an open transaction in this partition.
    pub(crate) fn has_open(&self, producer_id: i64) -> bool {
        self.by_id.get(&producer_id).is_some_and(|producer| producer.open_since.is_some())
    }

    /// The aborted transactions that touch offsets from `from` up to, not including, `to`.
    pub(crate) fn aborted_between(&self, from: i64, to: i64) -> Vec<Aborted> {
        self.aborted.iter().filter(|txn| txn.last_offset >= from && txn.first_offset < to).copied().collect()
    }

    /// Forgets what concerns only offsets before `start`.
    pub(crate) fn truncate_before(&mut self, start: i64) {
        self.aborted.retain(|txn| txn.last_offset >= start);
        self.by_id.retain(|_, producer| {
            producer.open_since.is_some() || producer.written.back().is_none_or(|batch| batch.last_offset >= start)
        });
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, &Producer)> {
        self.by_id.iter().map(|(id, producer)| (*id, producer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::tests::produced_by;
    use kafka_protocol::records::Compression;

    fn header(epoch: i16, sequence: i32, base_offset: i64, transactional: bool) -> Header {
        let batch =
            produced_by(&[("k", Some("v")), ("k", Some("v"))], Compression::None, 9, epoch, sequence, transactional);
        let mut header = Header::parse(&batch).unwrap();
        header.base_offset = base_offset;
        header
    }

    #[test]
    fn a_repeated_batch_is_recognised_and_a_gap_refused() {
        let mut producers = Producers::default();
        for (sequence, offset) in [(0, 0), (2, 2), (4, 4)] {
            assert_eq!(producers.check(&header(0, sequence, offset, false)), Verdict::Append);
            producers.wrote(&header(0, sequence, offset, false));
        }
        assert_eq!(producers.check(&header(0, 2, 0, false)), Verdict::Duplicate { base_offset: 2 });
        assert_eq!(producers.check(&header(0, 8, 0, false)), Verdict::OutOfOrder);
        assert_eq!(producers.check(&header(0, 6, 0, false)), Verdict::Append);
    }

    #[test]
    fn a_new_epoch_starts_at_zero_and_fences_the_old_one() {
        let mut producers = Producers::default();
        producers.wrote(&header(0, 0, 0, false));
        assert_eq!(producers.check(&header(1, 2, 2, false)), Verdict::OutOfOrder);
        assert_eq!(producers.check(&header(1, 0, 2, false)), Verdict::Append);
        producers.wrote(&header(1, 0, 2, false));
        assert_eq!(producers.check(&header(0, 2, 4, false)), Verdict::Fenced);
    }

    #[test]
    fn a_marker_with_a_higher_epoch_fences_too() {
        let mut producers = Producers::default();
        producers.wrote(&header(0, 0, 0, true));
        producers.ended(9, 1, false, 2);
        assert_eq!(producers.check(&header(0, 2, 3, true)), Verdict::Fenced);
        assert_eq!(producers.check(&header(1, 0, 3, true)), Verdict::Append);
    }

    #[test]
    fn aborted_transactions_are_listed_for_the_offsets_they_touch() {
        let mut producers = Producers::default();
        producers.wrote(&header(0, 0, 10, true));
        assert_eq!(producers.first_open(), Some(10));
        producers.ended(9, 0, false, 12);
        assert_eq!(producers.first_open(), None);
        let expected = vec![Aborted { producer_id: 9, first_offset: 10, last_offset: 12 }];
        assert_eq!(producers.aborted_between(0, 11), expected);
        assert_eq!(producers.aborted_between(12, 20), expected);
        assert_eq!(producers.aborted_between(0, 10), vec![]);
        assert_eq!(producers.aborted_between(13, 20), vec![]);
        assert!(expected[0].covers(&header(0, 0, 10, true)));
        assert!(!expected[0].covers(&header(0, 0, 13, true)));
    }

    #[test]
    fn the_number_of_remembered_producers_is_bounded() {
        let mut producers = Producers::default();
        for id in 0..(PRODUCERS_MAX as i64 + 10) {
            let mut header = header(0, 0, id, false);
            header.producer_id = id;
            producers.wrote(&header);
        }
        assert_eq!(producers.iter().count(), PRODUCERS_MAX);
        assert!(producers.by_id.contains_key(&(PRODUCERS_MAX as i64 + 9)));
        assert!(!producers.by_id.contains_key(&0));
    }
}
