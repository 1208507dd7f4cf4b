//! Partitions that come to a sink task and go.

use tidegate_engine::CallError;
use tidegate_kafka::{PartitionOffset, Rebalance, RebalanceKind, StartOffset, TopicPartition};

use super::convert::{guest_partitions, kafka_positions};
use super::{Flow, Patience, SinkTask, Step, lanes};
use crate::connector::failure;

impl SinkTask {
    /// Tells the guests about partitions that come; answers where the target says they go on. A guest that cannot open
    /// them is lost.
    fn open(&mut self, partitions: &[TopicPartition]) -> Step<Vec<PartitionOffset>> {
        let mut positions = Vec::new();
        for lane in 0..self.lanes.len() {
            let mine = self.share_of(lane, partitions);
            if mine.is_empty() {
                continue;
            }
            let Some(mut guest) = self.lanes[lane].guest.take() else { continue };
            let opened = self.runtime.block_on(self.control.unless_killed(guest.open(&mine)))?;
            let requests = guest.take_requests();
            self.lanes[lane].guest = Some(guest);
            self.heed(requests)?;
            match opened {
                Ok(opened) => positions.extend(kafka_positions(&opened)),
                Err(error) => self.lose(lane, error),
            }
        }
        Ok(positions)
    }

    /// Those of the partitions that are a lane's.
    fn share_of(&self, lane: usize, partitions: &[TopicPartition]) -> Vec<tidegate_engine::TopicPartition> {
        let is_mine = |at: &&TopicPartition| self.lanes[lane].has(&at.topic, at.partition);
        guest_partitions(&partitions.iter().filter(is_mine).cloned().collect::<Vec<_>>())
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
                for at in &partitions {
                    self.positions.assign(at);
                    lanes::assign(&mut self.lanes, at);
                }
                let opened = self.open(&partitions)?;
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
        if self.lanes.iter().any(|lane| lane.lost.is_some()) {
            self.recover()
        } else if flow == Flow::Rewound {
            self.rewind()
        } else {
            Ok(())
        }
    }

    pub(super) fn close_partitions(&mut self, partitions: &[TopicPartition]) -> Step<()> {
        for lane in 0..self.lanes.len() {
            let mine = self.share_of(lane, partitions);
            if mine.is_empty() {
                continue;
            }
            let Some(mut guest) = self.lanes[lane].guest.take() else { continue };
            let closed = self.runtime.block_on(self.control.unless_killed(guest.close(&mine)))?;
            self.lanes[lane].guest = Some(guest);
            match closed {
                Ok(()) => {}
                // The partitions go all the same.
                Err(error @ CallError::ConnectionLost(_)) => self.lose(lane, error),
                Err(error @ CallError::Retriable { .. }) => {
                    tracing::warn!(task = self.name, "the sink did not let go of partitions cleanly: {error}");
                }
                Err(error) => return Err(failure(&error).into()),
            }
        }
        for at in partitions {
            self.positions.revoke(at);
            lanes::revoke(&mut self.lanes, at);
            self.paused_by_guest.remove(&(at.topic.clone(), at.partition));
        }
        Ok(())
    }
}
