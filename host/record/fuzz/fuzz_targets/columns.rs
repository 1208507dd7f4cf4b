//! Any bytes are columns or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_record::ColumnsReader;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(columns) = ColumnsReader::parse(bytes) {
        columns.to_json();
    }
});
