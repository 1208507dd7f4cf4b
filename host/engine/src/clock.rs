//! The guests' clock: a thread that advances wasmtime's epoch every tick, so that guests which compute for long are
//! charged and give way.
//!
//! It is a thread of the system and no task, as it must go on when every thread of the runtime is busy. A worker whose
//! guests have nothing to do has nothing to tick for: after a while without any the clock sleeps until the next one
//! starts. It does not sleep at once, as waking it for each of many short calls would cost more than the ticks between.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::Duration;

/// Ticks without a guest after which the clock sleeps.
const IDLE_TICKS: u32 = 50;

/// The clock. It ends with its last clone.
#[derive(Clone)]
pub(crate) struct Clock(Arc<Owner>);

struct Owner {
    state: Arc<State>,
    thread: Thread,
}

#[derive(Default)]
struct State {
    /// Guests that run at the moment.
    running: AtomicUsize,
    is_asleep: AtomicBool,
    is_over: AtomicBool,
}

/// A guest that runs: while there is one the clock ticks.
pub(crate) struct Running<'a>(&'a State);

impl Clock {
    /// Starts the thread; `advance` is called every tick.
    pub(crate) fn start(tick: Duration, advance: impl Fn() + Send + 'static) -> std::io::Result<Clock> {
        let state = Arc::<State>::default();
        let of_thread = state.clone();
        let thread = std::thread::Builder::new()
            .name("guest-clock".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || of_thread.tick(tick, advance))?;
        Ok(Clock(Arc::new(Owner { state, thread: thread.thread().clone() })))
    }

    /// Marks a guest as running until the mark is dropped. Its first tick comes a whole tick later at the earliest where
    /// the clock slept, within one where it did not.
    pub(crate) fn run(&self) -> Running<'_> {
        let Owner { state, thread } = &*self.0;
        state.running.fetch_add(1, Ordering::SeqCst);
        // Either the clock sees this guest before it sleeps, or it is seen asleep here.
        if state.is_asleep.load(Ordering::SeqCst) {
            state.is_asleep.store(false, Ordering::SeqCst);
            thread.unpark();
        }
        Running(state)
    }
}

/// The thread sleeps and counts.
const STACK_BYTES: usize = 64 << 10;

impl State {
    fn tick(&self, tick: Duration, advance: impl Fn()) {
        let mut idle = 0;
        while !self.is_over.load(Ordering::SeqCst) {
            std::thread::sleep(tick);
            advance();
            idle = if self.running.load(Ordering::SeqCst) > 0 { 0 } else { idle + 1 };
            if idle >= IDLE_TICKS {
                self.sleep();
                idle = 0;
            }
        }
    }

    fn sleep(&self) {
        self.is_asleep.store(true, Ordering::SeqCst);
        while self.is_asleep.load(Ordering::SeqCst)
            && self.running.load(Ordering::SeqCst) == 0
            && !self.is_over.load(Ordering::SeqCst)
        {
            std::thread::park();
        }
        self.is_asleep.store(false, Ordering::SeqCst);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;
    use std::time::Instant;

    const TICK: Duration = Duration::from_micros(200);

    fn counting() -> (Clock, Arc<AtomicU64>) {
        let ticks = Arc::<AtomicU64>::default();
        let counted = ticks.clone();
        let clock = Clock::start(TICK, move || {
            counted.fetch_add(1, Ordering::SeqCst);
        })
        .unwrap();
        (clock, ticks)
    }

    #[track_caller]
    fn wait_until(what: &str, condition: impl Fn() -> bool) {
        let begun = Instant::now();
        while !condition() {
            assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
            std::thread::sleep(TICK);
        }
    }

    #[test]
    fn a_clock_without_guests_sleeps_and_a_guest_wakes_it() {
        let (clock, ticks) = counting();
        for _ in 0..3 {
            wait_until("the clock sleeps", || clock.0.state.is_asleep.load(Ordering::SeqCst));
            let before = ticks.load(Ordering::SeqCst);
            let guest = clock.run();
            let enough = u64::from(IDLE_TICKS) * 3;
            wait_until("the guest is ticked as long as it runs", || ticks.load(Ordering::SeqCst) > before + enough);
            drop(guest);
        }
    }

    #[test]
    fn a_clock_ends_with_its_last_clone_even_asleep() {
        let (clock, ticks) = counting();
        wait_until("the clock sleeps", || clock.0.state.is_asleep.load(Ordering::SeqCst));
        // The thread owns what it calls.
        assert_eq!(Arc::strong_count(&ticks), 2);
        drop(clock);
        wait_until("the thread ends", || Arc::strong_count(&ticks) == 1);
    }
}
