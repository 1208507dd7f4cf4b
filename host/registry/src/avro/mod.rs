//! Avro, mapped to Connect's data as Confluent's AvroConverter maps it, so that both read what the other wrote.
//!
//! The schema of a record's writer is also that of its reader. Types that contain themselves have no Connect schema and are
//! refused, but for the one that carries values without a schema (`anything.rs`).

mod anything;
mod datum;
mod encode;
mod from_connect;
mod plan;
mod schema;
mod to_avro;
mod to_connect;

pub use datum::Decoder;
pub use encode::{Encoder, schema_text};

/// What Confluent's converter puts its own names below.
const NAMESPACE: &str = "io.confluent.connect.avro";
/// The name of records whose Connect schema has none.
const DEFAULT_NAME: &str = "ConnectDefault";
const UNION: &str = "io.confluent.connect.avro.Union";
const ENUM: &str = "io.confluent.connect.avro.Enum";
const ANYTHING: &str = "io.confluent.connect.avro.Anything";
const MAP_ENTRY: &str = "MapEntry";
const RECORD_DOC: &str = "io.confluent.connect.avro.record.doc";
const ENUM_DOC: &str = "io.confluent.connect.avro.enum.doc.";
const ENUM_DEFAULT: &str = "io.confluent.connect.avro.enum.default.";
const FIELD_DOC: &str = "io.confluent.connect.avro.field.doc.";
const FIELD_DEFAULT: &str = "io.confluent.connect.avro.field.default";
const PRECISION: &str = "connect.decimal.precision";
const PRECISION_DEFAULT: i64 = 64;

/// The settings that concern the mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// `connect.meta.data`: whether Connect's own attributes are kept in the schema.
    pub meta_data: bool,
    /// `enhanced.avro.schema.support`: full names of records in unions, and enums that stay enums.
    pub enhanced: bool,
    /// `scrub.invalid.names`: names that Avro does not take are changed into some that it does.
    pub scrub: bool,
    /// `allow.optional.map.keys`: maps whose keys are optional strings are Avro's maps too.
    pub optional_map_keys: bool,
    /// `ignore.default.for.nullables`: null stays null where there is a default.
    pub ignore_default: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options { meta_data: true, enhanced: false, scrub: false, optional_map_keys: false, ignore_default: false }
    }
}
