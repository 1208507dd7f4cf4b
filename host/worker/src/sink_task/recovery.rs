//! What a sink task does when its guest is to be waited for, is lost, or has grown.

use std::time::{Duration, Instant};

use tidegate_engine::{CallError, SinkInstance};
use tidegate_kafka::{PartitionOffset, Polled};
use tidegate_record::view::View;

use super::convert::{guest_partitions, kafka_positions};
use super::lanes::Lane;
use super::{Flow, KAFKA_TIMEOUT, POLL_WAIT, Patience, SinkTask, Step};
use crate::connector::failure;
use crate::policy::Backoff;

impl SinkTask {
    /// Has what a batch needs of a schema registry fetched, and waits for one that is away as long as it is. Rewound: the
    /// batch is to be dropped, it is read again.
    pub(super) fn prepare(&mut self, view: &View<'_>) -> Step<Flow> {
        let mut backoff = Backoff::default();
        loop {
            match self.runtime.block_on(self.control.unless_killed(self.conversion.prepare(view)))? {
                Ok(()) => return Ok(Flow::On),
                Err(CallError::Retriable { message, after }) => {
                    tracing::warn!(task = self.name, "a batch waits for its schema registry: {message}");
                    self.metrics.retried();
                    // What is under way first, so that whatever happens during the wait finds the guest here.
                    if self.settle(Patience::Endless)? == Flow::Rewound {
                        return Ok(Flow::Rewound);
                    }
                    if self.back_off(&mut backoff, after)? == Flow::Rewound {
                        self.rewind()?;
                        return Ok(Flow::Rewound);
                    }
                }
                Err(error) => return Err(failure(&error).into()),
            }
        }
    }

    /// Waits before a call is made again, staying a member of the group and open to commands. Rewound: the assignment
    /// changed, or something was read that has to be read again.
    pub(super) fn back_off(&mut self, backoff: &mut Backoff, asked: Duration) -> Step<Flow> {
        let max = Duration::from_millis(self.plan.config.errors.retry_delay_max_ms);
        let until = Instant::now() + backoff.next(asked, max, fastrand::f64());
        let mut flow = Flow::On;
        self.consumer.pause(&self.consumer.assignment()?)?;
        while Instant::now() < until {
            self.obey()?;
            let wait = POLL_WAIT.min(until.saturating_duration_since(Instant::now()));
            match self.consumer.poll(1, wait)? {
                Polled::Records(batch) if batch.is_empty() => {}
                Polled::Records(batch) => {
                    self.note_read(&batch);
                    flow = Flow::Rewound;
                }
                Polled::Rebalance(rebalance) => {
                    self.rebalance(rebalance)?;
                    self.consumer.pause(&self.consumer.assignment()?)?;
                    flow = Flow::Rewound;
                }
                Polled::EndOfPartition { .. } => {}
                Polled::Trouble(error) => tracing::warn!(task = self.name, "{error}"),
            }
        }
        self.read_on()?;
        Ok(flow)
    }

    /// Reads on from these offsets.
    pub(super) fn seek(&mut self, targets: &[PartitionOffset]) -> Step<()> {
        // What is in hand is dropped, and comes again.
        self.metrics.give_back();
        if targets.is_empty() {
            return Ok(());
        }
        while let Err(error) = self.consumer.seek(targets, KAFKA_TIMEOUT) {
            if !error.is_retriable() {
                return Err(error.into());
            }
            tracing::warn!(task = self.name, "reading on from earlier offsets takes another attempt: {error}");
            self.obey()?;
        }
        Ok(())
    }

    /// The guest has to be replaced; [`SinkTask::recover`] does so.
    pub(super) fn lose(&mut self, lane: usize, error: CallError) {
        self.lanes[lane].guest = None;
        self.lanes[lane].lost = Some(error);
    }

    /// Where the connection to the target is lost: a new guest, as soon as one can be had, is given everything that is
    /// not durable.
    pub(super) fn recover(&mut self) -> Step<()> {
        let mut backoff = Backoff::default();
        let first = |lanes: &mut Vec<Lane>| {
            lanes.iter_mut().enumerate().find_map(|(index, lane)| Some((index, lane.lost.take()?)))
        };
        while let Some((lane, lost)) = first(&mut self.lanes) {
            let after = match &lost {
                CallError::Retriable { after, .. } => *after,
                CallError::ConnectionLost(_) | CallError::Unavailable(_) => Duration::ZERO,
                error => return Err(failure(error).into()),
            };
            tracing::warn!(task = self.name, "the target is connected to again: {lost}");
            self.metrics.retried();
            self.back_off(&mut backoff, after)?;
            match self.new_guest(lane)? {
                Ok((guest, opened)) => {
                    self.take_over(lane, guest, &opened);
                    self.rewind()?;
                }
                Err(error) => self.lanes[lane].lost = Some(error),
            }
        }
        Ok(())
    }

    /// A lane goes on with a new guest. Answers whether its partitions go on elsewhere than the old one stood.
    fn take_over(&mut self, lane: usize, guest: SinkInstance, opened: &[PartitionOffset]) -> bool {
        let lane = &mut self.lanes[lane];
        lane.guest = Some(guest);
        self.positions.restart(opened, |topic, partition| lane.has(topic, partition))
    }

    /// The partitions of a lane.
    fn partitions_of(&self, lane: usize) -> Step<Vec<tidegate_engine::TopicPartition>> {
        let mut partitions = self.consumer.assignment()?;
        partitions.retain(|at| self.lanes[lane].has(&at.topic, at.partition));
        Ok(guest_partitions(&partitions))
    }

    /// Makes a guest that has all partitions of a lane, and answers where the target says each goes on.
    fn new_guest(&mut self, lane: usize) -> Step<Result<(SinkInstance, Vec<PartitionOffset>), CallError>> {
        let plugin = &self.plan.connector.component.plugin;
        let partitions = self.partitions_of(lane)?;
        let made = self.runtime.block_on(self.control.unless_killed(async {
            let mut guest = SinkInstance::new(plugin, &self.instance).await?;
            guest.start(&self.guest_config).await?;
            let opened = guest.open(&partitions).await?;
            Ok((guest, kafka_positions(&opened)))
        }))?;
        Ok(made)
    }

    /// Replaces a guest that has grown, after it has made durable what it holds. What it could not, the next one is given
    /// again.
    pub(super) fn renew(&mut self, lane: usize) -> Step<Flow> {
        let guest = self.lanes[lane].guest.as_ref();
        let Some(reason) = guest.and_then(SinkInstance::wants_recycling) else { return Ok(Flow::On) };
        if self.settle(Patience::Endless)? == Flow::Rewound {
            return Ok(Flow::Rewound);
        }
        tracing::info!(task = self.name, ?reason, "the plugin instance is replaced");
        self.commit(true)?;
        if self.lanes.iter().any(|lane| lane.lost.is_some()) {
            self.recover()?;
            return Ok(Flow::Rewound);
        }
        let partitions = self.partitions_of(lane)?;
        if let Some(mut old) = self.lanes[lane].guest.take() {
            // How it takes its leave changes nothing: what is not durable comes again.
            let parting = async {
                let _ = old.close(&partitions).await;
                let _ = old.stop().await;
            };
            self.runtime.block_on(self.control.unless_killed(parting))?;
        }
        self.metrics.recycled();
        match self.new_guest(lane)? {
            Ok((guest, opened)) => {
                if !self.take_over(lane, guest, &opened) {
                    return Ok(Flow::On);
                }
                self.rewind()?;
            }
            Err(error) => {
                self.lanes[lane].lost = Some(error);
                self.recover()?;
            }
        }
        Ok(Flow::Rewound)
    }
}
