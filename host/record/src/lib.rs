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

pub use malformed::{Malformed, Reason};
pub use schema::{Schema, SchemaError, SchemaId, SchemaTable};
pub use value::{DataError, Value};
