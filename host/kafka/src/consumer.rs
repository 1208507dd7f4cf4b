//! A consumer that hands over batches and lets its caller answer rebalances in its own time.
//!
//! librdkafka is asked for batches directly (`rd_kafka_consume_batch_queue`, a quarter of the cost of polling record by
//! record). A rebalance ends the poll and is handed over as a value; nothing is assigned or given up until the caller
//! says so. So it can finish what it has in hand and commit before it lets partitions go, across `await`s if it likes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::code::Code;
use crate::error::{KafkaError, lower_first};
use crate::native::admin;
use crate::native::client::{Client, Kind, Queue};
use crate::native::deadline;
use crate::native::group::{self, NativeGroupMetadata};
use crate::native::message::{MessageBatch, Notice};
use crate::native::partitions::PartitionList;
use crate::offset::{PartitionOffset, StartOffset, TopicPartition};
use crate::settings::ClientSettings;

/// What a consumer subscribes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscription<'a> {
    Topics(&'a [String]),
    /// Every topic whose whole name matches this extended POSIX regular expression (librdkafka's kind, which lacks
    /// Java's `\d` and look-around).
    Pattern(&'a str),
}

/// What a poll brought.
#[derive(Debug)]
pub enum Polled {
    /// Records, in order per partition; empty when none came in time.
    Records(MessageBatch),
    /// The group assigns or takes partitions. Nothing happens, and nothing more is polled, until the caller answers with
    /// [`Consumer::accept`] or [`Consumer::accept_from`]. Every record handed over before belongs to the assignment
    /// before, every later one to the assignment after.
    Rebalance(Rebalance),
    /// The partition was read to its end, which is at `offset` (only where `enable.partition.eof` is set).
    EndOfPartition { at: TopicPartition, offset: i64 },
    /// Something about a topic or the group that the consumer goes on trying.
    Trouble(KafkaError),
}

/// A change of the assignment that waits for the caller's answer.
#[derive(Debug)]
#[must_use = "a rebalance stays open until it is accepted"]
pub struct Rebalance {
    kind: RebalanceKind,
    partitions: Vec<TopicPartition>,
    list: PartitionList,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RebalanceKind {
    /// The partitions are ours once accepted.
    Assigned,
    /// The partitions will be somebody else's: commit what is done, then accept.
    Revoked,
    /// The partitions may already be somebody else's: do not commit, drop what is in hand, accept.
    Lost,
}

impl Rebalance {
    pub fn kind(&self) -> RebalanceKind {
        self.kind
    }

    /// The partitions that come or go. Others of the assignment stay as they are (cooperative assignors), or there are
    /// no others (eager ones).
    pub fn partitions(&self) -> &[TopicPartition] {
        &self.partitions
    }
}

/// What became of an asynchronous commit: the offsets committed, or why they were not.
pub type CommitResult = Result<Vec<PartitionOffset>, KafkaError>;

/// How a consumer parted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The group knows; its partitions are reassigned at once.
    Left,
    /// The group could not be told in time; it finds out when the session times out.
    Abandoned,
}

/// Proof that a consumer was a member of its group when the proof was taken. Every membership change makes it stale, so
/// take it when partitions are assigned.
#[derive(Debug)]
pub struct GroupMetadata(NativeGroupMetadata);

impl GroupMetadata {
    pub fn generation(&self) -> i32 {
        self.0.generation()
    }

    pub fn member_id(&self) -> String {
        self.0.member_id()
    }

    /// False for metadata taken before the first assignment or after the membership was lost.
    pub fn is_member(&self) -> bool {
        self.generation() >= 0 && !self.member_id().is_empty()
    }

    pub(crate) fn native(&self) -> &NativeGroupMetadata {
        &self.0
    }
}

/// A consumer of one thread.
///
/// Poll it at least every `max.poll.interval.ms`, or the group takes its partitions. Dropping it without
/// [`Self::close`] leaves its member in the group until the session times out.
#[derive(Debug)]
pub struct Consumer {
    // Queues before the client they belong to.
    queue: Queue,
    commit_results: Queue,
    client: Arc<Client>,
    /// What came and was not handed over yet; at most one batch's worth.
    pending: VecDeque<Polled>,
    /// A rebalance was handed over and not accepted yet.
    unanswered: bool,
    subscribed: Option<String>,
}

impl Consumer {
    /// Opens a consumer with settings of [`ClientSettings::for_consumer`] or [`ClientSettings::for_reader`]. Connects in
    /// the background. Offsets are only ever committed by the caller, whatever the settings say.
    pub fn open(settings: &ClientSettings) -> Result<Self, KafkaError> {
        let settings = settings.enforced(&[("enable.auto.commit", "false"), ("enable.auto.offset.store", "false")]);
        let client = Client::open(Kind::Consumer, &settings)?;
        let queue = client.consumer_queue()?;
        let commit_results = client.new_queue();
        client.set_polled_queue(Some(&queue));
        Ok(Self { queue, commit_results, client, pending: VecDeque::new(), unanswered: false, subscribed: None })
    }

    /// Joins the group for these topics. The assignment arrives by [`Self::poll`].
    pub fn subscribe(&mut self, subscription: Subscription<'_>) -> Result<(), KafkaError> {
        let anchored;
        let list = match subscription {
            Subscription::Topics(topics) => {
                self.subscribed = topics.first().cloned();
                PartitionList::of_topics(topics.iter().map(String::as_str))?
            }
            Subscription::Pattern(pattern) => {
                // The library takes names that begin with a caret for expressions, and finds them anywhere in a name.
                anchored = format!("^({pattern})$");
                PartitionList::of_topics([anchored.as_str()])?
            }
        };
        group::subscribe(&self.client, &list)
    }

    /// Reads these partitions, and no others, without joining the group.
    pub fn assign(&mut self, partitions: &[(TopicPartition, StartOffset)]) -> Result<(), KafkaError> {
        group::assign(&self.client, Some(&PartitionList::of_starts(partitions)?))
    }

    /// Waits up to `timeout` for something to happen, then answers with one thing: up to `records_max` records, or what
    /// else came. Call it again and again; an answer without records says nothing about how many there are.
    pub fn poll(&mut self, records_max: usize, timeout: Duration) -> Result<Polled, KafkaError> {
        if self.unanswered {
            return Err(KafkaError::OutOfOrder {
                what: "a consumer was polled while a rebalance waited for its answer",
            });
        }
        if self.pending.is_empty() {
            self.fetch(records_max.max(1), timeout);
        }
        let polled = self.pending.pop_front().expect("`fetch` leaves at least one entry");
        self.unanswered = matches!(polled, Polled::Rebalance(_));
        if matches!(&polled, Polled::Records(batch) if batch.is_empty()) {
            self.client.check("consuming")?;
        }
        Ok(polled)
    }

    fn fetch(&mut self, records_max: usize, timeout: Duration) {
        let mut notices = Vec::new();
        let batch = MessageBatch::consume(&self.queue, records_max, timeout, &mut notices);
        let rebalances = self.client.take_rebalances();
        if !batch.is_empty() || (notices.is_empty() && rebalances.is_empty()) {
            self.pending.push_back(Polled::Records(batch));
        }
        self.pending.extend(notices.into_iter().map(|notice| match notice {
            Notice::EndOfPartition { at, offset } => Polled::EndOfPartition { at, offset },
            Notice::Error { code, detail, at } => {
                let what = at.map_or_else(|| "consuming".to_owned(), |at| format!("consuming topic \"{}\"", at.topic));
                Polled::Trouble(KafkaError::from_code(what, code, lower_first(&detail)))
            }
        }));
        for (code, list) in rebalances {
            let kind = match code {
                Code::ASSIGN_PARTITIONS => RebalanceKind::Assigned,
                _ if group::assignment_lost(&self.client) => RebalanceKind::Lost,
                _ => RebalanceKind::Revoked,
            };
            let partitions = list.iter().map(|entry| entry.topic_partition()).collect();
            self.pending.push_back(Polled::Rebalance(Rebalance { kind, partitions, list }));
        }
    }

    /// Carries the rebalance out. Assigned partitions start at their committed offsets.
    pub fn accept(&mut self, rebalance: Rebalance) -> Result<(), KafkaError> {
        self.accept_from(rebalance, |_, _| None)
    }

    /// As [`Self::accept`]; an assigned partition starts where `start(topic, partition)` says, if it says so: how a sink
    /// that keeps its own offsets delivers exactly once.
    pub fn accept_from(
        &mut self,
        mut rebalance: Rebalance,
        start: impl Fn(&str, i32) -> Option<StartOffset>,
    ) -> Result<(), KafkaError> {
        if !std::mem::take(&mut self.unanswered) {
            return Err(KafkaError::OutOfOrder { what: "a rebalance was accepted that did not wait for an answer" });
        }
        let cooperative = group::is_cooperative(&self.client);
        match rebalance.kind {
            RebalanceKind::Assigned => {
                rebalance.list.set_starts(start);
                if cooperative {
                    group::incremental_assign(&self.client, &rebalance.list)
                } else {
                    group::assign(&self.client, Some(&rebalance.list))
                }
            }
            RebalanceKind::Revoked | RebalanceKind::Lost if cooperative => {
                group::incremental_unassign(&self.client, &rebalance.list)
            }
            RebalanceKind::Revoked | RebalanceKind::Lost => group::assign(&self.client, None),
        }
    }

    /// Commits the next offsets to be read and waits up to `timeout` for the broker's answer. A time-out leaves open
    /// whether they were committed.
    pub fn commit_sync(&mut self, offsets: &[PartitionOffset], timeout: Duration) -> Result<(), KafkaError> {
        if offsets.is_empty() {
            return Ok(());
        }
        // A queue of its own: a late answer finds it gone and disturbs no later call.
        let results = self.client.new_queue();
        group::commit(&self.client, &PartitionList::of_offsets(offsets)?, &results)?;
        match group::commit_result(&results, timeout) {
            Some(result) => committed_offsets(&result?).map(drop),
            None => Err(KafkaError::timed_out("committing offsets", "the group's coordinator did not answer in time")),
        }
    }

    /// Commits without waiting; the result comes out of [`Self::take_commit_results`].
    pub fn commit_async(&mut self, offsets: &[PartitionOffset]) -> Result<(), KafkaError> {
        if offsets.is_empty() {
            return Ok(());
        }
        group::commit(&self.client, &PartitionList::of_offsets(offsets)?, &self.commit_results)
    }

    /// The results of asynchronous commits that have arrived, oldest first.
    pub fn take_commit_results(&mut self) -> Vec<CommitResult> {
        std::iter::from_fn(|| group::commit_result(&self.commit_results, Duration::ZERO))
            .map(|result| result.and_then(|list| committed_offsets(&list)))
            .collect()
    }

    /// The group's committed offsets; partitions without one are left out.
    pub fn committed(
        &mut self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<PartitionOffset>, KafkaError> {
        let list = PartitionList::of(partitions)?;
        group::committed(&self.client, &list, timeout).map_err(|error| self.client.explain(error))?;
        known_offsets("reading committed offsets", &list)
    }

    /// What will be handed over next; partitions that were not read yet are left out.
    pub fn position(&mut self, partitions: &[TopicPartition]) -> Result<Vec<PartitionOffset>, KafkaError> {
        let list = PartitionList::of(partitions)?;
        group::position(&self.client, &list)?;
        known_offsets("reading positions", &list)
    }

    /// Reads on from these offsets, in partitions that are assigned.
    pub fn seek(&mut self, offsets: &[PartitionOffset], timeout: Duration) -> Result<(), KafkaError> {
        let list = PartitionList::of_offsets(offsets)?;
        group::seek(&self.client, &list, timeout)?;
        first_error("seeking", &list)
    }

    /// Stops fetching from these partitions. Throws away what was fetched ahead: for a user's pause or a long back-off,
    /// not for back-pressure, which is to poll less.
    pub fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), KafkaError> {
        let list = PartitionList::of(partitions)?;
        group::pause(&self.client, &list)?;
        first_error("pausing", &list)
    }

    /// Undoes [`Self::pause`].
    pub fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), KafkaError> {
        let list = PartitionList::of(partitions)?;
        group::resume(&self.client, &list)?;
        first_error("resuming", &list)
    }

    /// The partitions read at present.
    pub fn assignment(&self) -> Result<Vec<TopicPartition>, KafkaError> {
        Ok(group::assignment(&self.client)?.iter().map(|entry| entry.topic_partition()).collect())
    }

    /// Proof of the present membership, for a transaction; none for a consumer without a group.
    pub fn group_metadata(&self) -> Option<GroupMetadata> {
        NativeGroupMetadata::of(&self.client).map(GroupMetadata)
    }

    /// How many partitions `topic` has; also tells the client about it, which makes reading start 500 ms sooner.
    pub fn partition_count(&mut self, topic: &str, timeout: Duration) -> Result<i32, KafkaError> {
        admin::topic_metadata(&self.client, topic, timeout).map_err(|error| self.client.explain(error))
    }

    /// The end of each partition as this consumer's isolation level sees it is not the library's to say; this is the
    /// end for readers of committed records.
    pub fn end_offsets(
        &mut self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<PartitionOffset>, KafkaError> {
        admin::end_offsets(&self.client, partitions, true, timeout).map_err(|error| self.client.explain(error))
    }

    /// The end of each partition's log, behind transactions that are still open: whoever has read committed records up to
    /// there has seen the outcome of each of them.
    pub fn log_end_offsets(
        &mut self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<PartitionOffset>, KafkaError> {
        admin::end_offsets(&self.client, partitions, false, timeout).map_err(|error| self.client.explain(error))
    }

    /// Leaves the group and closes, within about `timeout`. Commit before: partitions are given up unasked.
    ///
    /// Leaving needs the group's coordinator, and librdkafka 2.12 may crash when it leaves without one; so this asks the
    /// coordinator something first and, when no answer comes in half of the time, goes without leaving.
    pub fn close(mut self, timeout: Duration) -> Result<Closed, KafkaError> {
        let deadline = deadline(timeout);
        self.pending.clear();
        let joined = self.group_metadata().is_some_and(|metadata| metadata.is_member());
        if !joined || !self.coordinator_answers(timeout / 2) {
            return Ok(Closed::Abandoned);
        }
        let left = group::close(&self.client, deadline.saturating_duration_since(Instant::now()))?;
        Ok(if left { Closed::Left } else { Closed::Abandoned })
    }

    /// A request that only the coordinator can answer.
    fn coordinator_answers(&self, timeout: Duration) -> bool {
        let assigned = self.assignment().ok().and_then(|assigned| assigned.into_iter().next());
        let asked = assigned.or_else(|| self.subscribed.clone().map(|topic| TopicPartition::new(topic, 0)));
        asked
            .and_then(|partition| PartitionList::of([&partition]).ok())
            .is_some_and(|list| group::committed(&self.client, &list, timeout).is_ok())
    }
}

fn first_error(what: &str, list: &PartitionList) -> Result<(), KafkaError> {
    list.iter().find(|entry| !entry.code.is_ok()).map_or(Ok(()), |entry| {
        Err(KafkaError::of(format!("{what} of partition {} of topic \"{}\"", entry.partition, entry.topic), entry.code))
    })
}

fn known_offsets(what: &str, list: &PartitionList) -> Result<Vec<PartitionOffset>, KafkaError> {
    first_error(what, list)?;
    Ok(list
        .iter()
        .filter(|entry| entry.offset >= 0)
        .map(|entry| PartitionOffset::new(entry.topic, entry.partition, entry.offset))
        .collect())
}

fn committed_offsets(list: &PartitionList) -> CommitResult {
    known_offsets("committing the offset", list)
}
