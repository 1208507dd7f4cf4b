//! Any bytes are a value or an error, and a value comes back as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_record::Value;
use tidegate_record::tlv::{Allowed, Dictionary, check};

fuzz_target!(|bytes: &[u8]| {
    let Ok(node) = check(bytes, Allowed { names: 3, numbers: true }) else { return };
    let value = Value::from_node(&node, &["a", "b", "c"]);
    let (mut names, mut out) = (Dictionary::new(), Vec::new());
    value.write_node(None, &mut names, &mut out);
    let texts: Vec<&str> = names.iter().collect();
    let again = check(&out, Allowed { names: texts.len(), numbers: true }).expect("what is written can be read");
    // NaN is not equal to itself; its text is.
    assert_eq!(Value::from_node(&again, &texts).to_json(), value.to_json());
});
