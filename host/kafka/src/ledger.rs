//! Which batches are acknowledged: the accounting behind [`crate::Producer`].
//!
//! Each record carries one pointer-sized number through librdkafka and back in its delivery report: the batch's number
//! in the upper half, the record's index in the lower. So there is nothing to allocate per record and nothing whose
//! lifetime the C side could outlive. Pure: reports come in, completed batches go out, in the order they were opened.

use std::collections::VecDeque;
use std::fmt;

use crate::code::Code;
use crate::error::{KafkaError, lower_first};

/// Names one batch of one producer until its outcome is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BatchTicket(u32);

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchOutcome {
    pub ticket: BatchTicket,
    /// How many records the batch held.
    pub records: usize,
    /// The records that were not acknowledged, by index; empty in the usual case.
    pub failures: Vec<DeliveryFailure>,
}

impl BatchOutcome {
    /// How many records from the first on were acknowledged without a gap: source offsets may be committed up to here.
    pub fn acknowledged_prefix(&self) -> usize {
        self.failures.first().map_or(self.records, |failure| failure.index)
    }

    pub fn is_ok(&self) -> bool {
        self.failures.is_empty()
    }
}

/// A record that was not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryFailure {
    /// The record's index in its batch.
    pub index: usize,
    pub error: DeliveryError,
    pub code: Code,
}

/// What the caller does about a record that was not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryError {
    /// Larger than the client's or the topic's limit. Only this record is affected where the client refused it; a
    /// broker that refuses a request refuses all records of that request, of which any may be small enough.
    TooLarge,
    /// The broker (or the client on its behalf) will not take this record as it stands.
    Rejected,
    /// Not delivered in the time the settings allow; whether it was written is unknown.
    TimedOut,
    /// Given up by [`crate::Producer::abandon`] or an abort; whether it was written is unknown if it was in flight.
    Abandoned,
    /// Another producer took over the transactional id.
    Fenced,
    /// The principal may not write there.
    Denied,
    /// The producer is beyond repair: drop it and open another.
    Fatal,
}

impl DeliveryFailure {
    fn new(index: usize, code: Code) -> Self {
        let error = match code {
            Code::MESSAGE_TOO_LARGE => DeliveryError::TooLarge,
            Code::PURGE_QUEUE | Code::PURGE_IN_FLIGHT => DeliveryError::Abandoned,
            Code::FATAL => DeliveryError::Fatal,
            code if code.means_fenced() => DeliveryError::Fenced,
            code if code.means_denied() => DeliveryError::Denied,
            code if code.means_retry() => DeliveryError::TimedOut,
            _ => DeliveryError::Rejected,
        };
        Self { index, error, code }
    }

    /// The failure as an error of the act `what`, for a task's trace.
    pub fn to_error(&self, what: impl Into<String>) -> KafkaError {
        KafkaError::of(what, self.code)
    }
}

impl fmt::Display for DeliveryFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "record {} of the batch was not delivered: {} ({})",
            self.index,
            lower_first(&self.code.text()),
            self.code
        )
    }
}

/// The open batches of one producer, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// The number of the oldest open batch.
    first: u32,
    open: VecDeque<Open>,
    /// The first failure since [`Self::forget_failure`].
    failure: Option<Code>,
}

#[derive(Debug)]
struct Open {
    records: usize,
    /// How many records the client has taken or refused; the rest is still the caller's.
    handed_over: usize,
    reported: usize,
    failures: Vec<DeliveryFailure>,
}

impl Ledger {
    /// Opens a batch of `records` records (at most `u32::MAX`, which no memory budget reaches).
    pub(crate) fn open(&mut self, records: usize) -> BatchTicket {
        debug_assert!(u32::try_from(records).is_ok());
        let ticket = BatchTicket(self.first.wrapping_add(self.open.len() as u32));
        self.open.push_back(Open { records, handed_over: 0, reported: 0, failures: Vec::new() });
        ticket
    }

    /// The number record `index` of `ticket` carries through the client.
    pub(crate) fn tag(ticket: BatchTicket, index: usize) -> u64 {
        u64::from(ticket.0) << 32 | index as u64
    }

    /// How many records of an open batch were handed over, of how many; `None` once its outcome was given out.
    pub(crate) fn handed_over(&mut self, ticket: BatchTicket) -> Option<(usize, usize)> {
        self.entry(ticket).map(|open| (open.handed_over, open.records))
    }

    /// The client took (or refused, see [`Self::failed`]) this many more records of `ticket`.
    pub(crate) fn hand_over(&mut self, ticket: BatchTicket, records: usize) {
        if let Some(open) = self.entry(ticket) {
            open.handed_over += records;
            debug_assert!(open.handed_over <= open.records);
        }
    }

    /// The delivery report of the record tagged `tag`.
    pub(crate) fn reported(&mut self, tag: u64, code: Code) {
        let (ticket, index) = (BatchTicket((tag >> 32) as u32), (tag & u64::from(u32::MAX)) as usize);
        if let Some(open) = self.entry(ticket) {
            open.reported += 1;
            if !code.is_ok() {
                open.failures.push(DeliveryFailure::new(index, code));
                self.failure.get_or_insert(code);
            }
        }
    }

    /// Why a record was not delivered, if one was not, whether its batch is complete or not.
    pub(crate) fn failure(&self) -> Option<Code> {
        self.failure
    }

    /// What has failed so far does not count any more.
    pub(crate) fn forget_failure(&mut self) {
        self.failure = None;
    }

    /// Record `index` of `ticket` was refused at the door: there will be no delivery report.
    pub(crate) fn failed(&mut self, ticket: BatchTicket, index: usize, code: Code) {
        self.reported(Self::tag(ticket, index), code);
    }

    /// Gives up what was never handed over.
    pub(crate) fn abandon_rest(&mut self) {
        for open in &mut self.open {
            for index in open.handed_over..open.records {
                open.failures.push(DeliveryFailure::new(index, Code::PURGE_QUEUE));
                open.reported += 1;
            }
            open.handed_over = open.records;
        }
    }

    /// Gives out the batches that are complete and have no incomplete one before them.
    pub(crate) fn completed(&mut self, out: &mut Vec<BatchOutcome>) {
        while let Some(mut open) = self.open.pop_front_if(|open| open.reported == open.records) {
            open.failures.sort_unstable_by_key(|failure| failure.index);
            out.push(BatchOutcome { ticket: BatchTicket(self.first), records: open.records, failures: open.failures });
            self.first = self.first.wrapping_add(1);
        }
    }

    pub(crate) fn open_batches(&self) -> usize {
        self.open.len()
    }

    /// Records handed over and not yet reported.
    pub(crate) fn in_flight(&self) -> usize {
        self.open.iter().map(|open| open.handed_over - open.reported).sum()
    }

    fn entry(&mut self, ticket: BatchTicket) -> Option<&mut Open> {
        self.open.get_mut(ticket.0.wrapping_sub(self.first) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a script: `open N`, `take T N`, `ack T I`, `fail T I CODE`, `abandon`, and shows what completes.
    fn check(first: u32, script: &str, expected: &str) {
        let mut ledger = Ledger { first, ..Ledger::default() };
        let mut shown = Vec::new();
        for step in script.split(';') {
            let words: Vec<&str> = step.split_whitespace().collect();
            let number = |at: usize| words[at].parse::<i64>().unwrap();
            let ticket = |at: usize| BatchTicket(first.wrapping_add(number(at) as u32));
            match words[0] {
                "open" => _ = ledger.open(number(1) as usize),
                "take" => ledger.hand_over(ticket(1), number(2) as usize),
                "ack" => ledger.reported(Ledger::tag(ticket(1), number(2) as usize), Code::NONE),
                "fail" => ledger.reported(Ledger::tag(ticket(1), number(2) as usize), Code(number(3) as i32)),
                "abandon" => ledger.abandon_rest(),
                other => panic!("unknown step {other}"),
            }
            let mut out = Vec::new();
            ledger.completed(&mut out);
            shown.extend(out.iter().map(|outcome| {
                let failures: Vec<String> =
                    outcome.failures.iter().map(|f| format!("{} {:?}", f.index, f.error)).collect();
                format!(
                    "{}: {}/{} [{}]",
                    outcome.ticket.0.wrapping_sub(first),
                    outcome.acknowledged_prefix(),
                    outcome.records,
                    failures.join(", ")
                )
            }));
        }
        assert_eq!(shown.join("; "), expected);
    }

    #[test]
    fn a_batch_completes_when_its_last_report_is_in() {
        check(0, "open 3; take 0 3; ack 0 2; ack 0 0; ack 0 1", "0: 3/3 []");
    }

    #[test]
    fn batches_are_given_out_in_order() {
        check(0, "open 1; take 0 1; open 1; take 1 1; ack 1 0; ack 0 0", "0: 1/1 []; 1: 1/1 []");
    }

    #[test]
    fn the_prefix_ends_at_the_first_failure() {
        check(0, "open 3; take 0 3; fail 0 2 -192; ack 0 0; fail 0 1 10", "0: 1/3 [1 TooLarge, 2 TimedOut]");
    }

    #[test]
    fn an_empty_batch_is_complete_at_once_but_not_before_its_turn() {
        check(0, "open 1; take 0 1; open 0; ack 0 0", "0: 1/1 []; 1: 0/0 []");
    }

    #[test]
    fn what_was_never_handed_over_can_be_abandoned() {
        check(0, "open 3; take 0 1; abandon; ack 0 0", "0: 1/3 [1 Abandoned, 2 Abandoned]");
    }

    #[test]
    fn numbers_wrap_around() {
        check(u32::MAX, "open 1; take 0 1; open 1; take 1 1; ack 0 0; ack 1 0", "0: 1/1 []; 1: 1/1 []");
    }

    #[test]
    fn a_report_of_an_unknown_batch_changes_nothing() {
        check(5, "open 1; take 0 1; ack 7 0; ack 0 0", "0: 1/1 []");
    }
}
