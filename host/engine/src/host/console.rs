//! The guest's stdout and stderr: lines become log lines, and the last 4 KiB are kept for the trace of a crash.

use super::log::{LINE_MAX, LineLimit, cut};
use crate::hooks::{LogLevel, LogSink};
use crate::limits::lock;
use bytes::Bytes;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// Bytes kept for a trace.
const TAIL_MAX: usize = 4 << 10;
/// Bytes that one write may have.
const WRITE_MAX: usize = 64 << 10;

/// What a guest prints. Clones are the same console.
#[derive(Clone)]
pub(crate) struct Console(Arc<Mutex<State>>);

struct State {
    log: Arc<dyn LogSink>,
    lines: Arc<LineLimit>,
    /// A line that has not ended yet.
    line: Vec<u8>,
    tail: VecDeque<u8>,
}

impl Console {
    pub(crate) fn new(log: Arc<dyn LogSink>, lines: Arc<LineLimit>) -> Console {
        Console(Arc::new(Mutex::new(State { log, lines, line: Vec::new(), tail: VecDeque::new() })))
    }

    /// What was printed last.
    pub(crate) fn tail(&self) -> String {
        let state = lock(&self.0);
        let bytes: Vec<u8> = state.tail.iter().copied().collect();
        String::from_utf8_lossy(&bytes).trim_end().to_owned()
    }

    pub(crate) fn stream(&self) -> ConsoleStream {
        ConsoleStream(self.clone())
    }

    fn print(&self, bytes: &[u8]) {
        let mut state = lock(&self.0);
        state.keep(bytes);
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            let room = LINE_MAX.saturating_sub(state.line.len());
            state.line.extend_from_slice(&text[..text.len().min(room)]);
            if part.ends_with(b"\n") {
                state.end_line();
            }
        }
    }
}

impl State {
    fn keep(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(TAIL_MAX)..];
        let excess = (self.tail.len() + bytes.len()).saturating_sub(TAIL_MAX);
        self.tail.drain(..excess);
        self.tail.extend(bytes);
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if self.lines.take() {
            if let Some(dropped) = self.lines.take_dropped() {
                self.log.log(LogLevel::Warn, &dropped);
            }
            self.log.log(LogLevel::Info, cut(&String::from_utf8_lossy(&line)));
        }
    }
}

/// A console as WASI wants it.
pub(crate) struct ConsoleStream(Console);

impl IsTerminal for ConsoleStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for ConsoleStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(ConsoleStream(self.0.clone()))
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(ConsoleStream(self.0.clone()))
    }
}

impl OutputStream for ConsoleStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.print(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_MAX)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for ConsoleStream {
    async fn ready(&mut self) {}
}

impl AsyncWrite for ConsoleStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.print(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Lines(Mutex<Vec<String>>);

    impl LogSink for Lines {
        fn log(&self, _: LogLevel, message: &str) {
            lock(&self.0).push(message.to_owned());
        }
    }

    #[test]
    fn lines_are_logged_whole_and_the_end_is_kept() {
        let lines = Arc::new(Lines::default());
        let console = Console::new(lines.clone(), Arc::new(LineLimit::new(3)));
        console.print(b"one\ntw");
        console.print(b"o\nthree");
        assert_eq!(*lock(&lines.0), ["one", "two"]);
        console.print(&[b'x'; 10_000]);
        console.print(b"\nfourth\n");
        assert_eq!(lock(&lines.0).len(), 3, "three lines a second");
        assert_eq!(console.tail().len(), TAIL_MAX - 1);
        assert!(console.tail().ends_with("xx\nfourth"));
    }
}
