//! Any text is a schema or an error, and a schema reads back as it was written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_record::Schema;

fuzz_target!(|text: &str| {
    if let Ok(schema) = Schema::from_json(text) {
        let written = schema.to_json();
        let again = Schema::from_json(&written).expect("what is written can be read");
        assert_eq!(again.to_json(), written);
    }
});
