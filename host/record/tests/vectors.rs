//! The files in `tests/vectors/batch` are what the writers write and the readers find.

#[path = "../examples/batch_vectors/dump.rs"]
mod dump;
#[path = "../examples/batch_vectors/vectors.rs"]
mod vectors;

use std::collections::BTreeSet;
use std::fs;

use tidegate_record::batch::{batch_from_json, batch_to_json};
use tidegate_record::{BatchReader, BatchWriter, EditsReader, Encoding, SchemaId};
use vectors::{Kind, all, folder, table};

const ADVICE: &str = "run `cargo run -p tidegate-record --example batch_vectors` and look at the difference";

#[test]
fn the_files_are_those_that_the_writers_write() {
    let mut expected = BTreeSet::from(["README.md".to_owned()]);
    for vector in all() {
        for (extension, content) in [("bin", vector.bytes.clone()), ("json", vector.to_json().into_bytes())] {
            let name = format!("{}.{extension}", vector.name);
            let file = fs::read(folder().join(&name)).unwrap_or_else(|error| panic!("{name}: {error}; {ADVICE}"));
            assert!(file == content, "{name} differs; {ADVICE}");
            assert!(expected.insert(name.clone()), "{name} is there twice");
        }
    }
    let found: BTreeSet<String> =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(found, expected, "{ADVICE}");
}

#[test]
fn malformed_arenas_are_refused_for_the_reason_that_is_given() {
    for vector in all() {
        let found = vector.read(&vector.bytes).err().map(|malformed| malformed.reason);
        assert_eq!(found, vector.malformed, "{}: {:?}", vector.name, vector.read(&vector.bytes));
    }
}

#[test]
fn every_reason_has_a_vector() {
    let reasons: BTreeSet<&str> = all().iter().filter_map(|vector| vector.malformed).map(|r| r.as_str()).collect();
    assert_eq!(reasons.len(), 15, "{reasons:?}");
}

#[test]
fn the_json_form_of_a_batch_reads_and_writes_to_itself() {
    for vector in all().iter().filter(|vector| matches!(vector.kind, Kind::Batch) && vector.malformed.is_none()) {
        let Some(form) = vector.read(&vector.bytes).unwrap().1 else { continue };
        let bytes = batch_from_json(&form, &table(vector)).unwrap_or_else(|error| panic!("{}: {error}", vector.name));
        let batch = BatchReader::parse(&bytes).unwrap();
        batch.check_schemas(&table(vector)).unwrap();
        assert_eq!(batch_to_json(&batch).unwrap(), form, "{}", vector.name);
    }
}

#[test]
fn edits_are_checked_against_the_call_they_answer() {
    let vector = all().into_iter().find(|vector| vector.name == "edits-every-operation").unwrap();
    assert!(EditsReader::parse(&vector.bytes, 9, 4).is_ok());
    assert!(EditsReader::parse(&vector.bytes, 9, 3).is_err());
    assert!(EditsReader::parse(&vector.bytes, 8, 4).is_err());
}

#[test]
fn memory_of_an_earlier_batch_leaves_nothing_in_a_later_one() {
    let mut writer = BatchWriter::new(Encoding::Raw, Encoding::Raw);
    let mut batch = |value: &[u8]| {
        writer.record().topic("t").value(SchemaId::STRING, Some(value));
        let arena = writer.take().unwrap();
        writer.reuse(arena.clone());
        arena
    };
    let first = batch(b"short");
    batch(b"much longer than what came before it");
    assert_eq!(batch(b"short"), first);
}
