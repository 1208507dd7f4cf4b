//! Avro, Protobuf and JSON Schema with a schema registry.
//!
//! Two halves. The formats are pure: a schema's text becomes a Connect schema and a plan, once; the plan then turns the
//! bytes of a record into nodes of `wit/BATCH.md`, or cells into bytes, without asking the schema again ([`avro`],
//! [`protobuf`], [`json`]). The client is the edge: it asks a registry by Confluent's REST API ([`Registry`]), keeps what it
//! was told, and says of each error whether the record, the task or the registry is to blame ([`RegistryError`]).
//!
//! Whatever comes from the registry or in a record was written by a stranger; every size in it is bounded.

pub mod avro;
pub mod json;
pub mod protobuf;

mod budget;
mod cache;
mod client;
mod config;
mod error;
mod nodes;
mod subject;
mod tls;
pub mod wire;

pub use cache::{Reader, Registry, Writer};
pub use client::read_answer;
pub use config::{Config, Format, definitions};
pub use error::RegistryError;
pub use subject::NameStrategy;

/// Levels of a schema, and so of the values of one.
pub const LEVELS_MAX: usize = tidegate_record::tlv::NESTING_MAX;
/// Parts that a schema may come to when every type it names is written out.
pub const PARTS_MAX: usize = 100_000;
