//! Partitions that come to a sink task and go.

use tidegate_engine::CallError;
use tidegate_kafka::{PartitionOffset, Rebalance, RebalanceKind, StartOffset, TopicPartition};

use super::convert::{guest_partitions, kafka_positions};
use super::{Flow, Patience, SinkTask, Step};
use crate::connector::failure;

impl SinkTask {
    /// Tells the guest about partitions that come; answers where the target says they go on.
    pub(super) fn open(&mut self, partitions: &[TopicPartition]) -> Step<Result<Vec<PartitionOffset>, CallError>> {
        let Some(mut guest) = self.guest.take() else { return Ok(Ok(Vec::new())) };
        let opened = self.runtime.block_on(self.control.unless_killed(guest.open(&guest_partitions(partitions))))?;
        let requests = guest.take_requests();
        self.guest = Some(guest);
        self.heed(requests)?;
        Ok(opened.map(|positions| kafka_positions(&positions)))
    }

    pub(super) fn rebalance(&mut self, rebalance: Rebalance) -> Step<()> {
        let partitions = rebalance.partitions().to_vec();
        if partitions.is_empty() {
            // A cooperative assignor tells that nothing comes, too. What is under way goes on.
            return Ok(self.consumer.accept(rebalance)?);
        }
        tracing::info!(task = self.name, kind = ?rebalance.kind(), ?partitions, "partitions move");
        // The group waits for an answer, and until it has one the consumer cannot be polled: no waiting for the target.
        let flow = self.settle(Patience::Once)?;
        match rebalance.kind() {
            RebalanceKind::Assigned => {
                partitions.iter().for_each(|at| self.positions.assign(at));
                let opened = match self.open(&partitions)? {
                    Ok(opened) => opened,
                    Err(error) => {
                        self.lose(error);
                        Vec::new()
                    }
                };
                self.positions.set(&opened);
                self.consumer.accept_from(rebalance, |topic, partition| {
                    let named = opened.iter().find(|at| at.topic == topic && at.partition == partition)?;
                    Some(StartOffset::At(named.offset))
                })?;
                if self.is_paused {
                    self.consumer.pause(&partitions)?;
                }
            }
            RebalanceKind::Revoked => {
                self.commit(true)?;
                self.close_partitions(&partitions)?;
                self.consumer.accept(rebalance)?;
            }
            RebalanceKind::Lost => {
                // Whoever has the partitions now has read from the last commit; what is in hand is theirs.
                self.close_partitions(&partitions)?;
                self.consumer.accept(rebalance)?;
            }
        }
        if self.lost.is_some() {
            self.recover()
        } else if flow == Flow::Rewound {
            self.seek(&self.positions.rewind())
        } else {
            Ok(())
        }
    }

    pub(super) fn close_partitions(&mut self, partitions: &[TopicPartition]) -> Step<()> {
        for at in partitions {
            self.positions.revoke(at);
            self.paused_by_guest.remove(&(at.topic.clone(), at.partition));
        }
        if let Some(mut guest) = self.guest.take() {
            let closed =
                self.runtime.block_on(self.control.unless_killed(guest.close(&guest_partitions(partitions))))?;
            self.guest = Some(guest);
            closed.map_err(|error| failure(&error))?;
        }
        Ok(())
    }
}
