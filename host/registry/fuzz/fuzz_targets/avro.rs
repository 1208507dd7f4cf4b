//! Any text is an Avro schema or an error, and any bytes are a datum of it or an error. The text ends at the first newline.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_registry::avro::{Decoder, Options};

mod view;

fuzz_target!(|bytes: &[u8]| {
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (text, datum) = (&bytes[..at], bytes.get(at + 1..).unwrap_or_default());
    let Ok(text) = std::str::from_utf8(text) else { return };
    let Ok(decoder) = Decoder::new(text, &[], None, &Options::default()) else { return };
    match decoder.schema() {
        None => drop(decoder.decode_anything(datum)),
        Some(schema) => view::decode(schema, datum, |bytes, out| decoder.decode(bytes, out)),
    }
});
