//! The state of one transactional id. Pure: it decides, the coordinator in `api/transactions.rs` writes and acts.
//!
//! The two-phase shape is Kafka's: a decision to commit or abort is made durable (`Prepare…`) before markers are written
//! to the partitions, so that a crash in between is finished at the next start. As coordinator and partitions live in one
//! process the second phase follows at once, and clients never see `CONCURRENT_TRANSACTIONS`.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;
use serde::{Deserialize, Serialize};

use crate::journal::Offsets;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    Empty,
    Ongoing,
    PrepareCommit,
    PrepareAbort,
    CompleteCommit,
    CompleteAbort,
}

impl Phase {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Phase::Empty => "Empty",
            Phase::Ongoing => "Ongoing",
            Phase::PrepareCommit => "PrepareCommit",
            Phase::PrepareAbort => "PrepareAbort",
            Phase::CompleteCommit => "CompleteCommit",
            Phase::CompleteAbort => "CompleteAbort",
        }
    }
}

/// A producer id with its epoch: one incarnation of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Incarnation {
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transaction {
    pub(crate) current: Incarnation,
    /// What `current` replaced; its owner may repeat the request that replaced it.
    pub(crate) previous: Option<Incarnation>,
    pub(crate) timeout_ms: i32,
    pub(crate) phase: Phase,
    pub(crate) started_ms: i64,
    pub(crate) changed_ms: i64,
    pub(crate) partitions: BTreeSet<(String, i32)>,
    pub(crate) groups: BTreeSet<String>,
    /// Offsets of groups that become visible when the transaction commits.
    pub(crate) offsets: BTreeMap<String, Offsets>,
    /// The decided end gives the producer a new epoch (transactions of version 2).
    pub(crate) bumps: bool,
}

/// How an `EndTxn` goes on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The state is prepared: make it durable, write markers with `markers`, then call [`Transaction::complete`].
    Write { markers: Incarnation },
    /// It had already happened.
    Done,
}

impl Transaction {
    pub(crate) fn new(producer_id: i64, timeout_ms: i32, now_ms: i64) -> Transaction {
        Transaction {
            current: Incarnation { producer_id, epoch: 0 },
            previous: None,
            timeout_ms,
            phase: Phase::Empty,
            started_ms: -1,
            changed_ms: now_ms,
            partitions: BTreeSet::new(),
            groups: BTreeSet::new(),
            offsets: BTreeMap::new(),
            bumps: false,
        }
    }

    /// Whether a request of `who` is answered at all.
    pub(crate) fn check(&self, who: Incarnation) -> Result<(), ResponseError> {
        if who.producer_id != self.current.producer_id {
            return Err(ResponseError::InvalidProducerIdMapping);
        }
        if who.epoch != self.current.epoch {
            return Err(ResponseError::ProducerFenced);
        }
        Ok(())
    }

    /// Whether `InitProducerId` may go on. `expected` is the incarnation that a producer believes to be, if it is one
    /// that recovers; `Ok(true)` means that it repeats itself and gets the present state as answer.
    pub(crate) fn check_init(&self, expected: Option<Incarnation>) -> Result<bool, ResponseError> {
        match expected {
            None => Ok(false),
            Some(expected) if expected == self.current => Ok(false),
            Some(expected) if Some(expected) == self.previous && self.phase == Phase::Empty => Ok(true),
            Some(_) => Err(ResponseError::ProducerFenced),
        }
    }

    /// Gives the id to a new incarnation. Must not be called while a transaction is open. `fresh_id` is used when the
    /// epochs of the present producer id are used up.
    pub(crate) fn renew(&mut self, timeout_ms: i32, fresh_id: impl FnOnce() -> i64, now_ms: i64) {
        self.previous = Some(self.current);
        self.bump(fresh_id);
        self.timeout_ms = timeout_ms;
        self.phase = Phase::Empty;
        self.clear();
        self.changed_ms = now_ms;
    }

    fn bump(&mut self, fresh_id: impl FnOnce() -> i64) {
        // The last epoch is kept for fencing.
        self.current = if self.current.epoch >= i16::MAX - 1 {
            Incarnation { producer_id: fresh_id(), epoch: 0 }
        } else {
            Incarnation { epoch: self.current.epoch + 1, ..self.current }
        };
    }

    fn clear(&mut self) {
        self.partitions.clear();
        self.groups.clear();
        self.offsets.clear();
        self.started_ms = -1;
    }

    /// Opens the transaction unless it is open. True if that changed anything.
    fn open(&mut self, now_ms: i64) -> bool {
        if self.phase == Phase::Ongoing {
            return false;
        }
        self.clear();
        self.phase = Phase::Ongoing;
        self.started_ms = now_ms;
        self.changed_ms = now_ms;
        true
    }

    /// Adds partitions. True if that changed anything.
    pub(crate) fn add_partitions(&mut self, partitions: impl IntoIterator<Item = (String, i32)>, now_ms: i64) -> bool {
        let opened = self.open(now_ms);
        let before = self.partitions.len();
        self.partitions.extend(partitions);
        opened || self.partitions.len() > before
    }

    /// Adds a group whose offsets will be committed. True if that changed anything.
    pub(crate) fn add_group(&mut self, group: &str, now_ms: i64) -> bool {
        self.open(now_ms) | self.groups.insert(group.to_owned())
    }

    /// Keeps offsets of a group until the end.
    pub(crate) fn add_offsets(&mut self, group: &str, offsets: Offsets) {
        let known = self.offsets.entry(group.to_owned()).or_default();
        for (topic, partitions) in offsets {
            known.entry(topic).or_default().extend(partitions);
        }
    }

    /// Whether a batch for a partition belongs to the open transaction.
    pub(crate) fn holds(&self, topic: &str, partition: i32) -> bool {
        self.phase == Phase::Ongoing && self.partitions.contains(&(topic.to_owned(), partition))
    }

    /// Decides an `EndTxn` of `who`. Where `bumps` (transactions of version 2), each end gives the producer a new epoch
    /// and a repeated request comes with the old one.
    pub(crate) fn end(
        &mut self,
        who: Incarnation,
        commit: bool,
        bumps: bool,
        now_ms: i64,
    ) -> Result<End, ResponseError> {
        let ended = if commit { Phase::CompleteCommit } else { Phase::CompleteAbort };
        if bumps && Some(who) == self.previous && self.phase == ended {
            return Ok(End::Done);
        }
        self.check(who)?;
        match self.phase {
            Phase::Ongoing => Ok(self.prepare(commit, bumps, now_ms)),
            phase if phase == ended && !bumps => Ok(End::Done),
            // A producer of version 2 may abort before the broker has heard of its transaction.
            Phase::Empty | Phase::CompleteCommit | Phase::CompleteAbort if bumps && !commit => {
                self.open(now_ms);
                Ok(self.prepare(false, bumps, now_ms))
            }
            _ => Err(ResponseError::InvalidTxnState),
        }
    }

    fn prepare(&mut self, commit: bool, bumps: bool, now_ms: i64) -> End {
        self.bumps = bumps;
        self.phase = if commit { Phase::PrepareCommit } else { Phase::PrepareAbort };
        self.changed_ms = now_ms;
        End::Write { markers: self.current }
    }

    /// Aborts on the coordinator's own account (a new incarnation, a timeout): the owner is fenced by the new epoch,
    /// which the markers carry to the partitions.
    pub(crate) fn abort_and_fence(&mut self, now_ms: i64) -> End {
        if self.phase != Phase::Ongoing {
            return End::Done;
        }
        self.current.epoch += 1;
        self.previous = None;
        self.prepare(false, false, now_ms)
    }

    /// Whether a decision was made whose markers may be missing, and which one.
    pub(crate) fn decided(&self) -> Option<bool> {
        match self.phase {
            Phase::PrepareCommit => Some(true),
            Phase::PrepareAbort => Some(false),
            _ => None,
        }
    }

    /// The markers are written. Returns the offsets that are now committed.
    pub(crate) fn complete(&mut self, fresh_id: impl FnOnce() -> i64, now_ms: i64) -> BTreeMap<String, Offsets> {
        let committed = self.phase == Phase::PrepareCommit;
        let offsets = std::mem::take(&mut self.offsets);
        self.phase = if committed { Phase::CompleteCommit } else { Phase::CompleteAbort };
        self.clear();
        self.changed_ms = now_ms;
        if std::mem::take(&mut self.bumps) {
            self.previous = Some(self.current);
            self.bump(fresh_id);
        }
        if committed { offsets } else { BTreeMap::new() }
    }

    pub(crate) fn has_timed_out(&self, now_ms: i64) -> bool {
        self.phase == Phase::Ongoing && now_ms - self.started_ms > i64::from(self.timeout_ms)
    }

    /// Whether offsets of a group are waiting for the end of this transaction.
    pub(crate) fn has_pending_offsets(&self, group: &str, topic: &str, partition: i32) -> bool {
        self.offsets.get(group).and_then(|o| o.get(topic)).is_some_and(|partitions| partitions.contains_key(&partition))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ongoing() -> Transaction {
        let mut txn = Transaction::new(7, 1_000, 0);
        assert!(txn.add_partitions([("t".to_owned(), 0)], 10));
        txn
    }

    fn id(epoch: i16) -> Incarnation {
        Incarnation { producer_id: 7, epoch }
    }

    fn no_id() -> i64 {
        panic!("no new producer id is needed")
    }

    #[test]
    fn an_ended_transaction_may_be_ended_again_but_not_the_other_way() {
        let mut txn = ongoing();
        assert_eq!(txn.end(id(0), true, false, 20), Ok(End::Write { markers: id(0) }));
        assert_eq!(txn.decided(), Some(true));
        txn.complete(no_id, 21);
        assert_eq!(txn.end(id(0), true, false, 22), Ok(End::Done));
        assert_eq!(txn.end(id(0), false, false, 22), Err(ResponseError::InvalidTxnState));
    }

    #[test]
    fn offsets_become_visible_on_commit_only() {
        for commit in [true, false] {
            let mut txn = ongoing();
            txn.add_group("g", 11);
            txn.add_offsets("g", [("t".to_owned(), BTreeMap::new())].into());
            txn.end(id(0), commit, false, 20).unwrap();
            assert_eq!(!txn.complete(no_id, 21).is_empty(), commit);
        }
    }

    #[test]
    fn a_new_incarnation_fences_the_old_one() {
        let mut txn = ongoing();
        assert_eq!(txn.abort_and_fence(20), End::Write { markers: id(1) });
        txn.complete(no_id, 20);
        txn.renew(1_000, no_id, 21);
        assert_eq!(txn.current, id(2));
        assert_eq!(txn.end(id(0), true, false, 22), Err(ResponseError::ProducerFenced));
        assert_eq!(txn.check(id(2)), Ok(()));
        assert_eq!(txn.check(Incarnation { producer_id: 8, epoch: 2 }), Err(ResponseError::InvalidProducerIdMapping));
    }

    #[test]
    fn a_producer_that_recovers_must_be_the_current_one() {
        let mut txn = Transaction::new(7, 1_000, 0);
        assert_eq!(txn.check_init(Some(id(0))), Ok(false));
        txn.renew(1_000, no_id, 1);
        assert_eq!(txn.check_init(Some(id(0))), Ok(true), "the same request again");
        assert_eq!(txn.check_init(Some(id(5))), Err(ResponseError::ProducerFenced));
        assert_eq!(txn.check_init(None), Ok(false));
    }

    #[test]
    fn epochs_that_are_used_up_give_way_to_a_new_producer_id() {
        let mut txn = Transaction::new(7, 1_000, 0);
        txn.current.epoch = i16::MAX - 1;
        txn.renew(1_000, || 8, 1);
        assert_eq!(txn.current, Incarnation { producer_id: 8, epoch: 0 });
    }

    #[test]
    fn version_two_gives_a_new_epoch_at_each_end_and_knows_the_repeated_request() {
        let mut txn = ongoing();
        assert_eq!(txn.end(id(0), true, true, 20), Ok(End::Write { markers: id(0) }));
        txn.complete(no_id, 20);
        assert_eq!(txn.current, id(1));
        assert_eq!(txn.end(id(0), true, true, 21), Ok(End::Done));
        assert_eq!(txn.end(id(0), false, true, 21), Err(ResponseError::ProducerFenced));
        assert_eq!(txn.end(id(1), false, true, 21), Ok(End::Write { markers: id(1) }));
    }

    #[test]
    fn only_open_transactions_time_out() {
        let mut txn = ongoing();
        assert!(!txn.has_timed_out(1_010));
        assert!(txn.has_timed_out(1_011));
        txn.end(id(0), false, false, 1_012).unwrap();
        assert!(!txn.has_timed_out(9_999));
    }
}
