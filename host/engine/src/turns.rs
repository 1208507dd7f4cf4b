//! Turns: how guests that compute for long share the guests' threads.
//!
//! A call that ends within a tick runs without asking. One that is still running when a tick falls gives way and takes
//! its next turn of a tick when it comes: there are as many turns at a time as threads, and they are handed out first
//! come, first served, across all threads. Yielding to the runtime alone would not do: a task goes back into the queue
//! of its own thread, so that two endless loops beside each other and a neighbour alone on its thread would keep their
//! places for ever.

use crate::clock::Clock;
use crate::limits::lock;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The turns of all guests.
#[derive(Clone)]
pub(crate) struct Turns {
    turns: Arc<Semaphore>,
    clock: Clock,
}

impl Turns {
    pub(crate) fn new(threads: usize, clock: Clock) -> Turns {
        Turns { turns: Arc::new(Semaphore::new(threads)), clock }
    }

    pub(crate) fn place(&self) -> Place {
        Place { turns: self.turns.clone(), turn: Arc::default(), clock: self.clock.clone() }
    }
}

/// One store's place among them. Clones are the same place.
#[derive(Clone)]
pub(crate) struct Place {
    turns: Arc<Semaphore>,
    turn: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
    clock: Clock,
}

impl Place {
    /// Ends the present turn, lets others run, and waits for the next one.
    pub(crate) fn next(&self) -> impl Future<Output = ()> + Send + use<> {
        let Place { turns, turn, .. } = self.clone();
        async move {
            lock(&turn).take();
            tokio::task::yield_now().await;
            // Closed never: the semaphore lives as long as somebody waits for it.
            let next = turns.acquire_owned().await.ok();
            *lock(&turn) = next;
        }
    }

    /// Runs a call, ticked by the clock. While it waits for something else than its turn it has none, so that a guest which waits for the
    /// network keeps nobody from computing.
    pub(crate) async fn run<F: Future>(&self, call: F) -> F::Output {
        let _until_the_end = GiveBack(self);
        let mut call = pin!(call);
        poll_fn(|context| {
            let running = self.clock.run();
            let polled = call.as_mut().poll(context);
            drop(running);
            if polled.is_pending() {
                self.give_back();
            }
            polled
        })
        .await
    }

    fn give_back(&self) {
        lock(&self.turn).take();
    }
}

/// Gives a turn back when its call ends or is dropped.
struct GiveBack<'a>(&'a Place);

impl Drop for GiveBack<'_> {
    fn drop(&mut self) {
        self.0.give_back();
    }
}
