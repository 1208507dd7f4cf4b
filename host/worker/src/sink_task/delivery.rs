//! A batch on its way into a sink: what it was made of, and the call that delivers it.

use std::pin::Pin;
use std::task::{Context, Poll};

use tidegate_engine::{CallError, Engine, Outcome, Payload, SinkInstance};
use tidegate_kafka::{Message, MessageBatch, PartitionOffset};
use tidegate_record::view::Rows;
use tokio::task::{JoinError, JoinHandle};

use crate::dead_letters::{Letter, Place};

/// A batch that the guest is delivering.
pub(super) struct UnderWay {
    pub(super) put: Put,
    /// Where the consumer stands once it is accepted.
    pub(super) positions: Vec<PartitionOffset>,
    /// None: the batch is a tick, without records.
    pub(super) records: Option<Records>,
}

/// What a batch under way was made of.
pub(super) struct Records {
    pub(super) messages: MessageBatch,
    /// Of which of the messages each record of the batch was made, in its order.
    pub(super) rows: Rows,
    /// How many of the rows the guest has taken already.
    pub(super) taken: usize,
    /// The message that the last dead letter is about.
    pub(super) lettered: Option<u32>,
}

impl Records {
    /// How many records the guest was given last.
    pub(super) fn left(&self) -> usize {
        self.rows.len() - self.taken
    }

    /// The message behind a record of what the guest was given last.
    pub(super) fn row(&self, index: u32) -> Option<u32> {
        self.rows.records().get(self.taken + index as usize).copied()
    }
}

/// What comes back from the engine's threads: the guest, the batch in case it must be delivered again, and the answer.
pub(super) struct Delivered {
    pub(super) guest: SinkInstance,
    pub(super) batch: Payload,
    pub(super) answer: Result<Outcome, CallError>,
}

/// A put on the engine's threads. Dropping it drops the call, so that nothing is written behind a successor's back.
pub(super) struct Put {
    call: JoinHandle<Delivered>,
    /// What came back and was not taken yet.
    done: Option<Result<Delivered, JoinError>>,
}

impl Put {
    pub(super) fn begin(engine: &Engine, mut guest: SinkInstance, batch: Payload) -> Put {
        let call = engine.spawn(async move {
            let answer = guest.put(&batch).await;
            Delivered { guest, batch, answer }
        });
        Put { call, done: None }
    }

    /// Whether it has ended.
    pub(super) fn is_done(&self) -> bool {
        self.done.is_some() || self.call.is_finished()
    }

    /// Ready when it has ended; may be asked again.
    pub(super) fn poll_done(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.done.is_none() {
            self.done = Some(std::task::ready!(Pin::new(&mut self.call).poll(context)));
        }
        Poll::Ready(())
    }
}

impl Future for Put {
    type Output = Result<Delivered, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match (self.poll_done(context), self.done.take()) {
            (Poll::Ready(()), Some(done)) => Poll::Ready(done),
            _ => Poll::Pending,
        }
    }
}

impl Drop for Put {
    fn drop(&mut self) {
        self.call.abort();
    }
}

/// A message as it came, should it not be possible to process it.
pub(super) fn letter(message: Message<'_>) -> Letter<'_> {
    Letter {
        place: Place::Consumed { topic: message.topic(), partition: message.partition(), offset: message.offset() },
        timestamp: message.timestamp().millis(),
        key: message.key(),
        value: message.value(),
        headers: message.headers().filter_map(|(name, value)| Some((std::str::from_utf8(name).ok()?, value))).collect(),
    }
}
