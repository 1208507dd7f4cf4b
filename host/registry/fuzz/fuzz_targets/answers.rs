//! Any bytes are an answer of a registry or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    tidegate_registry::read_answer(bytes);
});
