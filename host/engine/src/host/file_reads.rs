//! A stream out of a file that gives more at a time than WASI's own.
//!
//! A file is read on a thread that may block, as it is written (see `file_writes`): each read costs two changes of
//! threads. WASI's stream gives 64 KiB at a time and takes new memory for each; this one gives what the guest asks for, up
//! to a bound, and reads into the memory of the read before once the guest has its bytes.

use std::fs::File;
use std::io::{Error, ErrorKind};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;
use wasmtime_wasi::p2::{DynInputStream, FsResult, InputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn_blocking};

/// Bytes of one read at most.
const READ_MAX: usize = 1 << 20;
/// Bytes of a read that the guest did not ask for by size, but waits for.
const READ_AHEAD: usize = 4 << 10;

/// Opens a stream that begins at `offset`.
pub(super) fn open(
    table: &mut ResourceTable,
    descriptor: &Resource<Descriptor>,
    offset: u64,
) -> FsResult<Resource<DynInputStream>> {
    let file = match table.get(descriptor)? {
        Descriptor::File(file) => file.file.clone(),
        Descriptor::Dir(_) => return Err(ErrorCode::IsDirectory.into()),
    };
    let stream: DynInputStream = Box::new(LargeReads::new(file, offset));
    Ok(table.push(stream)?)
}

struct LargeReads {
    file: Arc<File>,
    position: u64,
    state: State,
    /// The memory of the last read, free again once the guest has got its bytes.
    spare: Bytes,
}

enum State {
    Idle,
    Reading(AbortOnDropJoinHandle<State>),
    Ready(Bytes),
    Failed(Error),
    /// At the end of the file, or after an error: WASI's streams do not go on.
    Closed,
}

impl LargeReads {
    fn new(file: Arc<File>, position: u64) -> LargeReads {
        LargeReads { file, position, state: State::Idle, spare: Bytes::new() }
    }

    fn begin(&mut self, size: usize) {
        let (file, position) = (self.file.clone(), self.position);
        let memory = std::mem::take(&mut self.spare).try_into_mut().unwrap_or_default();
        self.state = State::Reading(spawn_blocking(move || read(&file, position, size.min(READ_MAX), memory)));
    }

    /// Waits for a read under way.
    async fn settle(&mut self) {
        if let State::Reading(reading) = &mut self.state {
            self.state = reading.await;
        }
    }
}

/// One read, as much of `size` as the file gives at once.
fn read(file: &File, position: u64, size: usize, mut memory: BytesMut) -> State {
    // What is in it already need not be cleared: all that is not read over is cut off.
    memory.resize(size, 0);
    loop {
        match file.read_at(&mut memory, position) {
            Ok(0) => return State::Closed,
            Ok(length) => {
                memory.truncate(length);
                return State::Ready(memory.freeze());
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return State::Failed(error),
        }
    }
}

#[wasmtime_wasi::async_trait]
impl InputStream for LargeReads {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        match &mut self.state {
            State::Idle => {
                if size > 0 {
                    self.begin(size);
                }
                Ok(Bytes::new())
            }
            State::Reading(_) => Ok(Bytes::new()),
            State::Ready(bytes) => {
                let part = bytes.split_to(bytes.len().min(size));
                self.position += part.len() as u64;
                if bytes.is_empty() {
                    self.state = State::Idle;
                    self.spare = part.clone();
                }
                Ok(part)
            }
            State::Closed => Err(StreamError::Closed),
            State::Failed(_) => match std::mem::replace(&mut self.state, State::Closed) {
                State::Failed(error) => Err(StreamError::LastOperationFailed(error.into())),
                _ => Err(StreamError::Closed),
            },
        }
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.settle().await;
        if matches!(self.state, State::Idle) && size > 0 {
            self.begin(size);
            self.settle().await;
        }
        self.read(size)
    }

    /// A read under way cannot be taken back; it is waited for, so that a guest cannot pile them up.
    async fn cancel(&mut self) {
        if let State::Reading(reading) = std::mem::replace(&mut self.state, State::Closed) {
            reading.cancel().await;
        }
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for LargeReads {
    async fn ready(&mut self) {
        if matches!(self.state, State::Idle) {
            self.begin(READ_AHEAD);
        }
        self.settle().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(content: &[u8], position: u64) -> LargeReads {
        let path = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(path.path(), content).unwrap();
        LargeReads::new(Arc::new(path.reopen().unwrap()), position)
    }

    #[tokio::test]
    async fn a_read_gives_up_to_a_mebibyte_and_the_end_closes_the_stream() {
        let content: Vec<u8> = (0..(5 << 18) + 7).map(|at| (at % 251) as u8).collect();
        let mut stream = stream(&content, 3);
        let mut got = Vec::new();
        let mut sizes = Vec::new();
        while let Ok(bytes) = stream.blocking_read(4 << 20).await {
            sizes.push(bytes.len());
            got.extend_from_slice(&bytes);
        }
        assert_eq!(sizes, [1 << 20, (1 << 18) + 4]);
        assert!(got == content[3..]);
        assert!(matches!(stream.blocking_read(1).await, Err(StreamError::Closed)));
    }

    #[tokio::test]
    async fn bytes_that_the_guest_still_holds_are_not_read_over() {
        let mut stream = stream(b"onetwo", 0);
        let one = stream.blocking_read(3).await.unwrap();
        let two = stream.blocking_read(3).await.unwrap();
        assert_eq!((&one[..], &two[..]), (&b"one"[..], &b"two"[..]));
    }

    #[tokio::test]
    async fn bytes_that_are_fetched_in_parts_come_in_order() {
        let mut stream = stream(b"0123456789", 0);
        stream.ready().await;
        let mut got = Vec::new();
        for size in [0, 3, 1, 100] {
            got.push(String::from_utf8(stream.read(size).unwrap().to_vec()).unwrap());
        }
        assert_eq!(got, ["", "012", "3", "456789"]);
        assert!(stream.read(10).unwrap().is_empty());
        stream.ready().await;
        assert!(matches!(stream.read(10), Err(StreamError::Closed)));
    }
}
