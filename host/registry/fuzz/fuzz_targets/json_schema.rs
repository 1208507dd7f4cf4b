//! Any text is a JSON schema or an error, and any bytes are a payload of it or an error. The text ends at the first newline.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_registry::json::{Decoder, Options};

fuzz_target!(|bytes: &[u8]| {
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let Ok(text) = std::str::from_utf8(&bytes[..at]) else { return };
    if let Ok(decoder) = Decoder::new(text, &[], None, &Options::default()) {
        let _ = decoder.value(bytes.get(at + 1..).unwrap_or_default());
    }
});
