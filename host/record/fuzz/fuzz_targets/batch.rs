//! Any bytes are a batch or an error, and a batch can be looked at everywhere and written as JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_record::BatchReader;
use tidegate_record::batch::batch_to_json;

fuzz_target!(|bytes: &[u8]| {
    let Ok(batch) = BatchReader::parse(bytes) else { return };
    for record in 0..batch.len() {
        batch.key_value(record);
        batch.value_value(record);
        for header in batch.headers(record) {
            batch.header_value(&header);
        }
        let _ = (batch.source_partition(record), batch.source_offset(record), batch.original(record));
    }
    let _ = batch_to_json(&batch);
});
