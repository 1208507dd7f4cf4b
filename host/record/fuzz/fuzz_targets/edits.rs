//! Any bytes are edits or an error; any text is the JSON form of edits or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_record::edits::edits_from_json;
use tidegate_record::{Edit, EditsReader};

const RECORDS: usize = 9;

fn look(bytes: &[u8]) {
    let Ok(edits) = EditsReader::parse(bytes, RECORDS, 4) else { return };
    for scoped in edits.edits() {
        match &scoped.edit {
            Edit::SetConstant { cell, .. } => drop(cell.to_value(edits.names())),
            Edit::SetValues { cells, .. } => cells.iter().for_each(|cell| drop(cell.to_value(edits.names()))),
            _ => {}
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    look(bytes);
    if let Some(arena) = std::str::from_utf8(bytes).ok().and_then(|text| edits_from_json(text, RECORDS).ok()) {
        look(&arena);
    }
});
