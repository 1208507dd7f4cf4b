//! At-least-once delivery: records go out as they come, and the offsets of what Kafka has acknowledged are stored now and
//! then.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tidegate_engine::SourceOffset;
use tidegate_herder::Failure;
use tidegate_kafka::{ClientSettings, DeliveryError};
use tidegate_record::batch::BatchReader;
use tidegate_record::offset::{BatchId, Committable, OffsetTracker};
use tidegate_record::view::View;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::exactly_once::Heard;
use crate::metrics::TaskMetrics;
use crate::offsets::{ConnectorOffsets, OffsetError};
use crate::outbox::{Encoded, Outbox, Report, Written};

/// With so many batches that are not acknowledged no poll begins; one may be under way.
const OPEN_BATCHES_MAX: usize = 32;
/// Pause after offsets could not be stored.
const FLUSH_PAUSE: Duration = Duration::from_secs(1);

/// Records on their way, and the offsets behind them.
pub(super) struct Plain {
    name: String,
    tolerate_all: bool,
    metrics: Arc<TaskMetrics>,
    outbox: Outbox<BatchId>,
    reports: mpsc::UnboundedReceiver<Report<BatchId>>,
    open_batches: usize,
    tracker: OffsetTracker,
    offsets: ConnectorOffsets,
    flush: Option<Flush>,
    flush_at: Instant,
    flush_interval: Duration,
    flush_timeout: Duration,
    /// Storing failed a moment ago.
    flush_not_before: Instant,
    /// Offsets that became durable and that the guest was not told about yet.
    news: Vec<SourceOffset>,
}

/// Offsets on their way into the store.
struct Flush {
    storing: JoinHandle<Result<(), OffsetError>>,
    taken: Vec<Committable>,
}

/// What comes next of itself.
pub(super) enum Event {
    Reported(Option<Report<BatchId>>),
    Flushed(Vec<Committable>, Result<(), String>),
    FlushDue,
}

/// How often offsets are stored, and how long that may take.
#[derive(Clone, Copy)]
pub(super) struct FlushTimes {
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
}

impl Plain {
    pub(super) fn open(
        name: &str,
        client: &ClientSettings,
        offsets: ConnectorOffsets,
        flush: FlushTimes,
        tolerate_all: bool,
        metrics: Arc<TaskMetrics>,
    ) -> Result<Plain, Failure> {
        let (outbox, reports) =
            Outbox::open(name, client, OPEN_BATCHES_MAX + 1).map_err(|error| Failure::fatal(error.to_string()))?;
        Ok(Plain {
            name: name.to_owned(),
            tolerate_all,
            metrics,
            outbox,
            reports,
            open_batches: 0,
            tracker: OffsetTracker::new(),
            offsets,
            flush: None,
            flush_at: Instant::now() + flush.interval,
            flush_interval: flush.interval,
            flush_timeout: flush.timeout,
            flush_not_before: Instant::now(),
            news: Vec::new(),
        })
    }

    pub(super) fn has_room(&self) -> bool {
        self.open_batches < OPEN_BATCHES_MAX
    }

    /// From when on nothing is under way, into Kafka or into the store of offsets; none while something is.
    pub(super) fn quiet_from(&self) -> Option<Instant> {
        (self.open_batches == 0 && self.flush.is_none()).then_some(self.flush_not_before)
    }

    /// Takes a batch: the records of it that are to be written, and the view that says which are not.
    pub(super) fn take(
        &mut self,
        batch: &BatchReader<'_>,
        view: &View<'_>,
        encoded: Encoded<()>,
    ) -> Result<(), Failure> {
        let offset_of = |record| Some((batch.source_partition(record)?, batch.source_offset(record)?));
        let id = self.tracker.submit((0..batch.len()).map(offset_of));
        for (record, made) in view.live_of_each().into_iter().enumerate().filter(|(_, made)| *made != 1) {
            let _ = self.tracker.made(id, record, made);
        }
        if encoded.records.is_empty() {
            return Ok(());
        }
        self.open_batches += 1;
        self.outbox.send(encoded.named(id)).map_err(|_| Failure::retriable("the producer has ended"))
    }

    /// What happens next; may be dropped before it does.
    pub(super) async fn next(&mut self) -> Event {
        let is_flushing = self.flush.is_some();
        tokio::select! {
            biased;
            report = self.reports.recv() => Event::Reported(report),
            (taken, stored) = flushed(&mut self.flush) => Event::Flushed(taken, stored),
            () = sleep_until(self.flush_at), if !is_flushing => Event::FlushDue,
        }
    }

    pub(super) fn handle(&mut self, event: Event) -> Result<Heard, Failure> {
        match event {
            Event::Reported(report) => return self.hear(report),
            Event::Flushed(taken, stored) => self.flushed(taken, stored),
            Event::FlushDue => self.begin_flush(),
        }
        Ok(Heard::GoOn)
    }

    /// What the producer's thread says.
    fn hear(&mut self, report: Option<Report<BatchId>>) -> Result<Heard, Failure> {
        match report {
            Some(Report::Written(written)) => self.written(written),
            Some(Report::Broken(error)) => Err(Failure::retriable(format!("the producer is broken: {error}"))),
            None => Err(Failure::retriable("the producer has ended")),
        }
    }

    /// What Kafka did not take in the time that the settings give it is polled again. The same goes for what is under way behind
    /// it, which may be written all the same.
    fn written(&mut self, Written { id, records, failures }: Written<BatchId>) -> Result<Heard, Failure> {
        self.open_batches -= 1;
        self.metrics.written(records - failures.len());
        let Some((_, first)) = failures.first() else {
            self.tracker.acknowledge_batch(id);
            return Ok(Heard::GoOn);
        };
        if let Some((_, late)) = failures.iter().find(|(_, failure)| failure.error == DeliveryError::TimedOut) {
            return Ok(Heard::GoBack(late.to_error("producing")));
        }
        self.metrics.failed(failures.len());
        if !self.tolerate_all {
            return Err(Failure::fatal(format!(
                "a record was not written: {}\nhint: nothing after it counts as delivered; the task goes on from there \
                 when it is restarted",
                first.to_error("producing")
            )));
        }
        for (record, failure) in &failures {
            tracing::error!(task = self.name, record, "a record was not written: {}", failure.to_error("producing"));
        }
        self.metrics.skipped(failures.len());
        self.tracker.acknowledge_batch(id);
        Ok(Heard::GoOn)
    }

    /// Begins to store what is committable, unless that is under way or there is nothing.
    pub(super) fn begin_flush(&mut self) {
        self.flush_at = Instant::now() + self.flush_interval;
        if self.flush.is_some() {
            return;
        }
        let taken = self.tracker.take();
        if taken.is_empty() {
            return;
        }
        let (offsets, timeout, wanted) = (self.offsets.clone(), self.flush_timeout, taken.clone());
        let storing = tokio::task::spawn_blocking(move || offsets.commit(&wanted, timeout));
        self.flush = Some(Flush { storing, taken });
    }

    fn flushed(&mut self, taken: Vec<Committable>, stored: Result<(), String>) {
        match stored {
            Ok(()) => self.news.extend(taken.into_iter().map(news)),
            Err(error) => {
                tracing::warn!(task = self.name, "offsets were not committed: {error}");
                self.tracker.restore(taken);
                self.flush_not_before = Instant::now() + FLUSH_PAUSE;
                self.flush_at = self.flush_at.min(self.flush_not_before);
            }
        }
    }

    pub(super) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// What the guest is to be told.
    pub(super) fn take_news(&mut self) -> Vec<SourceOffset> {
        std::mem::take(&mut self.news)
    }

    /// A successor of the guest starts from what is committed.
    pub(super) fn forget(&mut self) {
        self.tracker.clear();
        self.news.clear();
    }

    /// Waits until what was handed over is written.
    pub(super) async fn settle(&mut self) {
        while self.open_batches > 0 {
            let report = self.reports.recv().await;
            if let Err(failure) = self.hear(report) {
                tracing::warn!(task = self.name, "the task stopped, but not cleanly: {}", failure.trace);
                break;
            }
        }
    }

    /// Commits what can be committed.
    pub(super) async fn save(&mut self) {
        loop {
            if self.flush.is_some() {
                let (taken, stored) = flushed(&mut self.flush).await;
                let failed = stored.is_err();
                self.flushed(taken, stored);
                if failed {
                    return;
                }
            }
            self.begin_flush();
            if self.flush.is_none() {
                return;
            }
        }
    }
}

/// A durable offset as the guest hears of it.
pub(super) fn news(at: Committable) -> SourceOffset {
    SourceOffset { partition: at.partition, offset: Some(at.offset) }
}

/// What became of a flush under way; never ready when there is none.
async fn flushed(flush: &mut Option<Flush>) -> (Vec<Committable>, Result<(), String>) {
    let Some(under_way) = flush else { return std::future::pending().await };
    let stored = Pin::new(&mut under_way.storing).await;
    let taken = flush.take().map(|flush| flush.taken).unwrap_or_default();
    match stored {
        Ok(Ok(())) => (taken, Ok(())),
        Ok(Err(error)) => (taken, Err(error.to_string())),
        Err(crash) => (taken, Err(format!("storing offsets crashed: {crash}"))),
    }
}
