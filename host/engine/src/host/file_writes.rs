//! Streams into files that take more at a time than WASI's own.
//!
//! A file is written on a thread that may block, never on the guests' own: a disk that hangs holds up the guest that
//! writes, until its call is out of time, and no neighbour. The price of a write is two changes of threads, some 40 µs.
//! WASI's stream takes 64 KiB at a time, which a page cache swallows in less; of this one's writes it is a tenth.

use bytes::Bytes;
use wasmtime::component::{Resource, ResourceTable, ResourceTableError};
use wasmtime_wasi::p2::{DynOutputStream, OutputStream, Pollable, StreamResult};

/// Bytes of one write.
const WRITE_MAX: usize = 1 << 20;

/// WASI's stream into a file, which writes whatever it is given as a whole.
struct LargeWrites(DynOutputStream);

/// Lets a stream that was just made take large writes.
pub(super) fn enlarge(
    table: &mut ResourceTable,
    stream: Resource<DynOutputStream>,
) -> Result<Resource<DynOutputStream>, ResourceTableError> {
    let stream = table.delete(stream)?;
    let stream: DynOutputStream = Box::new(LargeWrites(stream));
    table.push(stream)
}

#[wasmtime_wasi::async_trait]
impl OutputStream for LargeWrites {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.0.flush()
    }

    /// Zero while a write is under way, as its own answer is.
    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(if self.0.check_write()? == 0 { 0 } else { WRITE_MAX })
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.blocking_write_and_flush(bytes).await
    }

    async fn cancel(&mut self) {
        self.0.cancel().await;
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for LargeWrites {
    async fn ready(&mut self) {
        self.0.ready().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream that takes so many bytes now.
    struct Permits(usize);

    impl OutputStream for Permits {
        fn write(&mut self, _: Bytes) -> StreamResult<()> {
            self.0 = 0;
            Ok(())
        }

        fn flush(&mut self) -> StreamResult<()> {
            Ok(())
        }

        fn check_write(&mut self) -> StreamResult<usize> {
            Ok(self.0)
        }
    }

    #[wasmtime_wasi::async_trait]
    impl Pollable for Permits {
        async fn ready(&mut self) {}
    }

    #[test]
    fn a_mebibyte_is_taken_at_once_and_nothing_while_it_is_written() {
        let mut table = ResourceTable::new();
        let wasi: DynOutputStream = Box::new(Permits(64 << 10));
        let wasi = table.push(wasi).unwrap();
        let stream = enlarge(&mut table, wasi).unwrap();
        let stream = table.get_mut(&stream).unwrap();
        assert_eq!(stream.check_write().unwrap(), 1 << 20);
        stream.write(Bytes::from(vec![0; 1 << 20])).unwrap();
        assert_eq!(stream.check_write().unwrap(), 0);
    }
}
