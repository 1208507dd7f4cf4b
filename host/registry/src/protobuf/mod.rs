//! Protobuf, mapped to Connect's data as Confluent's ProtobufConverter maps it.
//!
//! A schema is the text of a `.proto` file; what it imports are its references, or files that everybody has. The message of
//! a record is found by the indexes before its bytes.

mod calendar;
mod decode;
mod encode;
mod files;
mod from_connect;
mod to_connect;
mod wire_format;

pub use decode::Decoder;
pub use encode::Encoder;
pub use files::pool;
pub use from_connect::schema_text;

/// The number of a field.
const TAG: &str = "io.confluent.connect.protobuf.Tag";
const ENUM: &str = "io.confluent.connect.protobuf.Enum";
const UNION: &str = "io.confluent.connect.protobuf.Union";
const DEFAULT_NAME: &str = "ConnectDefault";
const PRECISION: &str = "connect.decimal.precision";

/// The settings that concern the mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// `enhanced.protobuf.schema.support`: names of messages keep their package.
    pub enhanced: bool,
    /// `generate.index.for.unions`.
    pub index_for_unions: bool,
    /// `int.for.enums`.
    pub int_for_enums: bool,
    /// `optional.for.nullables`.
    pub optional_for_nullables: bool,
    /// `wrapper.for.nullables`.
    pub wrapper_for_nullables: bool,
    /// `scrub.invalid.names`.
    pub scrub: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            enhanced: false,
            index_for_unions: true,
            int_for_enums: false,
            optional_for_nullables: false,
            wrapper_for_nullables: false,
            scrub: false,
        }
    }
}

/// A name that Protobuf takes.
fn scrubbed(name: &str, options: &Options) -> String {
    if !options.scrub {
        return name.to_owned();
    }
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'*' => encoded.push(char::from(byte)),
            b' ' => encoded.push('+'),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    if !encoded.starts_with(|c: char| c.is_ascii_alphabetic()) {
        encoded.insert(0, 'x');
    }
    encoded.replace(|c: char| !(c.is_ascii_alphanumeric() || c == '_'), "_")
}
