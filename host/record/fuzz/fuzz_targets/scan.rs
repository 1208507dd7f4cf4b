//! Any bytes are JSON to the scanner just when they are to serde_json, and then have the same top-level fields.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_record::json::{Kind, Scanner};

fuzz_target!(|bytes: &[u8]| {
    let mut scanner = Scanner::new();
    // The first half teaches the scanner names, which it then predicts in the rest.
    for text in [&bytes[..bytes.len() / 2], &bytes[bytes.len() / 2..], bytes, bytes] {
        let mut slots = Vec::new();
        let found = scanner.index(text, &mut slots);
        let expected = match serde_json::from_slice::<serde_json::Value>(text) {
            Err(error) => {
                // JSON to us all the same: numbers beyond a double, and more than serde_json's 128 levels.
                let lenient = ["number out of range", "recursion limit exceeded"];
                let text = error.to_string();
                assert!(found.is_err() || lenient.iter().any(|start| text.starts_with(start)), "{text}");
                continue;
            }
            Ok(expected) => expected,
        };
        let root = found.expect("serde_json accepts it");
        if let (Kind::Object(shape), serde_json::Value::Object(expected)) = (root.kind, expected) {
            let mut fields = serde_json::Map::new();
            for (&name, slot) in scanner.shapes.members(shape).iter().zip(&slots) {
                let value = serde_json::from_slice(&text[slot.start as usize..slot.end as usize]).expect("a value");
                fields.insert(scanner.shapes.name(name).to_owned(), value);
            }
            assert_eq!(fields, expected);
        }
    }
});
