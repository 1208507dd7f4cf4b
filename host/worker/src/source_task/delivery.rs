//! How a task's records get into Kafka: at least once or exactly once. The task's life is the same with both.

use tidegate_engine::SourceOffset;
use tidegate_herder::Failure;
use tidegate_record::batch::BatchReader;
use tidegate_record::view::View;
use tokio::time::Instant;

use super::boundaries::Pause;
use super::exactly_once::{self, ExactlyOnce, Heard};
use super::plain::{self, Plain};
use crate::outbox::Encoded;

pub(super) enum Delivery {
    AtLeastOnce(Box<Plain>),
    ExactlyOnce(Box<ExactlyOnce>),
}

/// What comes next of itself.
pub(super) enum Event {
    AtLeastOnce(plain::Event),
    ExactlyOnce(exactly_once::Event),
}

impl Delivery {
    /// Whether another batch may be polled.
    pub(super) fn has_room(&self) -> bool {
        match self {
            Delivery::AtLeastOnce(plain) => plain.has_room(),
            Delivery::ExactlyOnce(exactly) => exactly.has_room(),
        }
    }

    /// From when on the guest may be replaced, as nothing of it is under way; none while something is.
    pub(super) fn quiet_from(&self) -> Option<Instant> {
        match self {
            Delivery::AtLeastOnce(plain) => plain.quiet_from(),
            Delivery::ExactlyOnce(exactly) => exactly.quiet_from(),
        }
    }

    /// Whether replacing the guest would tear a transaction of its own.
    pub(super) fn is_inside_guests(&self) -> bool {
        match self {
            Delivery::AtLeastOnce(_) => false,
            Delivery::ExactlyOnce(exactly) => exactly.is_inside_guests(),
        }
    }

    /// Takes a batch: the records of it that are to be written, and the view that says which are not.
    pub(super) fn take(
        &mut self,
        batch: &BatchReader<'_>,
        view: &View<'_>,
        encoded: Encoded<()>,
    ) -> Result<(), Failure> {
        match self {
            Delivery::AtLeastOnce(plain) => plain.take(batch, view, encoded),
            Delivery::ExactlyOnce(exactly) => exactly.take(batch, encoded),
        }
    }

    /// What happens next; may be dropped before it does.
    pub(super) async fn next(&mut self) -> Event {
        match self {
            Delivery::AtLeastOnce(plain) => Event::AtLeastOnce(plain.next().await),
            Delivery::ExactlyOnce(exactly) => Event::ExactlyOnce(exactly.next().await),
        }
    }

    pub(super) fn handle(&mut self, event: Event) -> Result<Heard, Failure> {
        match (self, event) {
            (Delivery::AtLeastOnce(plain), Event::AtLeastOnce(event)) => plain.handle(event),
            (Delivery::ExactlyOnce(exactly), Event::ExactlyOnce(event)) => exactly.handle(event),
            _ => unreachable!("a task's delivery never changes"),
        }
    }

    /// Begins to commit what is whole, as the guest brings no more for now. True: something was not, and comes again from
    /// the guest's successor.
    pub(super) fn close(&mut self, why: Pause) -> bool {
        match self {
            Delivery::AtLeastOnce(plain) => {
                plain.begin_flush();
                false
            }
            Delivery::ExactlyOnce(exactly) => exactly.close(why),
        }
    }

    /// Whether offsets became durable that the guest was not told about yet.
    pub(super) fn has_news(&self) -> bool {
        match self {
            Delivery::AtLeastOnce(plain) => plain.has_news(),
            Delivery::ExactlyOnce(exactly) => exactly.has_news(),
        }
    }

    /// What [`Delivery::has_news`] says there is.
    pub(super) fn take_news(&mut self) -> Vec<SourceOffset> {
        match self {
            Delivery::AtLeastOnce(plain) => plain.take_news(),
            Delivery::ExactlyOnce(exactly) => exactly.take_news(),
        }
    }

    /// A successor of the guest starts from what is committed.
    pub(super) fn forget(&mut self) {
        match self {
            Delivery::AtLeastOnce(plain) => plain.forget(),
            Delivery::ExactlyOnce(exactly) => exactly.forget(),
        }
    }

    /// Waits until what was handed over is written or given up.
    pub(super) async fn settle(&mut self) {
        match self {
            Delivery::AtLeastOnce(plain) => plain.settle().await,
            Delivery::ExactlyOnce(exactly) => exactly.settle().await,
        }
    }

    /// Stores the offsets that can be stored.
    pub(super) async fn save(&mut self) {
        match self {
            Delivery::AtLeastOnce(plain) => plain.save().await,
            Delivery::ExactlyOnce(exactly) => exactly.save().await,
        }
    }
}
