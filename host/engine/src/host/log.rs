//! `log`: lines for the worker's log, so many a second and so long.

use super::HostState;
use crate::bindings::tidegate::connect::log::{Host, Level};
use crate::limits::lock;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Where a line is cut.
pub(crate) const LINE_MAX: usize = 8 << 10;

impl Host for HostState {
    fn log(&mut self, level: Level, message: String) {
        if self.lines.take() {
            if let Some(dropped) = self.lines.take_dropped() {
                self.hooks.log.log(Level::Warn, &dropped);
            }
            self.hooks.log.log(level, cut(&message));
        }
    }
}

/// The part of a line that is kept.
pub(crate) fn cut(line: &str) -> &str {
    let mut end = line.len().min(LINE_MAX);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    &line[..end]
}

/// So many lines a second, for everything that an instance writes.
pub(crate) struct LineLimit {
    per_second: u32,
    state: Mutex<State>,
}

struct State {
    second: Instant,
    lines: u32,
    dropped: u64,
}

impl LineLimit {
    pub(crate) fn new(per_second: u32) -> LineLimit {
        LineLimit { per_second, state: Mutex::new(State { second: Instant::now(), lines: 0, dropped: 0 }) }
    }

    /// Whether one more line may be written now.
    pub(crate) fn take(&self) -> bool {
        let mut state = lock(&self.state);
        let now = Instant::now();
        if now.duration_since(state.second) >= Duration::from_secs(1) {
            state.second = now;
            state.lines = 0;
        }
        if state.lines < self.per_second {
            state.lines += 1;
            true
        } else {
            state.dropped += 1;
            false
        }
    }

    /// Lines dropped so far and not reported yet, as a line.
    pub(crate) fn take_dropped(&self) -> Option<String> {
        let dropped = std::mem::take(&mut lock(&self.state).dropped);
        (dropped > 0).then(|| format!("{dropped} lines dropped, {} a second are allowed", self.per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_above_the_limit_are_counted() {
        let limit = LineLimit::new(2);
        assert_eq!([limit.take(), limit.take(), limit.take(), limit.take()], [true, true, false, false]);
        assert!(limit.take_dropped().is_some_and(|line| line.starts_with("2 lines dropped")));
        assert_eq!(limit.take_dropped(), None);
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let line = "é".repeat(LINE_MAX);
        assert_eq!(cut(&line).len(), LINE_MAX);
        let line = format!("x{line}");
        assert_eq!(cut(&line).len(), LINE_MAX - 1);
    }
}
