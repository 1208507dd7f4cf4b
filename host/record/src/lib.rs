//! Records as data: schemas, values and the byte format in which batches of them cross to and from plugins.
//!
//! Everything here is pure: bytes and texts in, bytes and texts out. No clock, no async, no I/O, and nothing that knows
//! Kafka, WebAssembly or HTTP. `wit/BATCH.md` specifies the bytes; the vectors in `tests/vectors/batch/` show them.
//!
//! Whatever crosses from a plugin was written by a stranger. Each reader therefore checks a whole arena once, when it is
//! made; afterwards its accessors are cheap and cannot fail.

pub mod malformed;
pub mod number;

pub mod decimal;
pub mod schema;
pub mod value;

pub mod tlv;

pub mod java;
mod simple_header;

mod arena;
pub mod batch;
pub mod cell;
pub mod columns;
pub mod edits;
pub mod offset;

pub mod json;
pub mod view;

pub use arena::{ARENA_BYTES_MAX, RECORDS_MAX, REFERRED_BYTES_MAX};
pub use batch::{BatchReader, BatchWriter, Encoding};
pub use cell::Cell;
pub use columns::{ColumnsReader, ColumnsWriter};
pub use edits::{Edit, EditsReader, EditsWriter};
pub use malformed::{Malformed, Reason};
pub use offset::OffsetTracker;
pub use schema::{Schema, SchemaError, SchemaId, SchemaTable};
pub use value::{DataError, Value};
