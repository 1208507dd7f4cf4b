//! Write a Tidegate plugin in Rust: a source, a sink, a transform, a predicate or a converter that becomes a WebAssembly
//! component.
//!
//! Implement [`SourceTask`], [`SinkTask`], [`Transform`], [`Predicate`], [`Converter`] or [`HeaderConverter`], list the types
//! in [`export!`], build with `--target wasm32-wasip2`. The rest is data: a [`Definition`] describes keys and documentation, [`Record`] and [`Value`]
//! hide the byte format, [`Error`] says what the host does next, [`host`] is what the host offers, [`testing`] runs it all
//! natively. `examples/` holds the smallest plugin of each kind.
//!
//! The crate knows the contract in `wit/` and nothing of the host's code.
#![warn(missing_docs)]

mod batch;
mod columns;
mod config;
mod converter;
mod definition;
mod edits;
mod error;
pub mod host;
mod schema;
mod sink;
mod source;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
mod transform;
mod value;

mod arena;
mod dictionary;

/// The code in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[doc(hidden)]
#[allow(unsafe_code, unreachable_pub, missing_docs, clippy::allow_attributes_without_reason, reason = "generated code")]
pub mod bindings;
#[doc(hidden)]
pub mod exports;
#[doc(hidden)]
pub mod plugin;

pub use batch::{Header, Name, PollLimits, RawRecord, Record, RecordRef, SinkBatch, SourceBatch};
pub use columns::{Cell, Columns, Kind};
pub use config::Config;
pub use converter::{ConvertError, Converter, Data, HeaderConverter};
pub use definition::{Definition, Encoding, Importance, Key};
pub use edits::{Bitmap, Edits, Explode, FailureKind};
pub use error::{Error, Malformed, Problem, Result};
pub use plugin::Plugin;
pub use schema::{Field, Schema, SchemaId, Type, logical};
/// The JSON library of the SDK, for offsets and schemas.
pub use serde_json;
pub use sink::{NewOffset, Outcome, Position, SinkTask, TopicPartition};
pub use source::{SourceOffset, SourceTask};
pub use transform::{Column, Place, Plan, Predicate, Transform};
pub use value::Value;
