//! SQLite as source and sink. A database is one file on the worker's machine, granted by the key `db.path`; names, modes and
//! types are those that users of JDBC connectors know.
//!
//! The sink can keep the positions of the topics in the database itself, in the transaction that writes the rows: with
//! `delivery.guarantee=exactly_once` every record is in its table once, whatever dies when.

mod database;
mod json;
mod quote;
mod sink;
mod source;

pub use sink::SqliteSink;
pub use source::SqliteSource;

tidegate_sdk::export! { sources: [SqliteSource], sinks: [SqliteSink] }
