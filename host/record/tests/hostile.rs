//! Bytes from strangers: whatever they are, every reader answers with an arena or an error, and an arena that was taken can
//! be looked at everywhere.

#[path = "../examples/batch_vectors/dump.rs"]
mod dump;
#[allow(dead_code, reason = "the files are the business of the other test")]
#[path = "../examples/batch_vectors/vectors.rs"]
mod vectors;

use std::sync::OnceLock;

use proptest::prelude::*;
use proptest::sample::Index;
use tidegate_record::batch::{batch_from_json, batch_to_json};
use tidegate_record::edits::edits_from_json;
use tidegate_record::tlv::{Allowed, check};
use tidegate_record::view::{Converter, Converters, HeaderConverter, Message, View, Workspace};
use tidegate_record::{
    BatchReader, BatchWriter, ColumnsReader, ColumnsWriter, EditsReader, Encoding, Schema, SchemaId, SchemaTable, Value,
};

fn vectors() -> &'static [vectors::Vector] {
    static VECTORS: OnceLock<Vec<vectors::Vector>> = OnceLock::new();
    VECTORS.get_or_init(vectors::all)
}

/// The JSON forms of the vectors that have one.
fn forms() -> &'static [String] {
    static FORMS: OnceLock<Vec<String>> = OnceLock::new();
    FORMS.get_or_init(|| {
        let good = vectors().iter().filter(|vector| vector.malformed.is_none());
        good.filter_map(|vector| vector.read(&vector.bytes).ok()?.1).collect()
    })
}

/// Reads bytes as every kind of arena; the dump looks at every record, header, cell and edit.
fn read_as_everything(bytes: &[u8]) {
    if let Ok(batch) = BatchReader::parse(bytes) {
        dump::batch(&batch);
        let _ = batch.check_schemas(&SchemaTable::default());
        let _ = batch.check_origins(1);
        if let Ok(form) = batch_to_json(&batch) {
            serde_json::from_str::<serde::de::IgnoredAny>(&form).expect("what is written as JSON is JSON");
        }
    }
    if let Ok(columns) = ColumnsReader::parse(bytes) {
        dump::columns(&columns);
        serde_json::from_str::<serde::de::IgnoredAny>(&columns.to_json()).expect("what is written as JSON is JSON");
    }
    for records in [0, 1, 3, 9, 10] {
        if let Ok(edits) = EditsReader::parse(bytes, records, 4) {
            dump::edits(&edits);
        }
    }
    let _ = check(bytes, Allowed { names: 3, numbers: true });
}

/// Puts the length that there is into the header, so that a mutation gets past the first check.
fn with_its_length(mut bytes: Vec<u8>) -> Vec<u8> {
    let length = bytes.len() as u32;
    if let Some(field) = bytes.get_mut(12..16) {
        field.copy_from_slice(&length.to_le_bytes());
    }
    bytes
}

/// A change to bytes: where, what kind, and a number.
type Mutation = (Index, u8, u32);

fn mutate(bytes: &mut Vec<u8>, (place, kind, number): Mutation) {
    if bytes.is_empty() {
        return;
    }
    let at = place.index(bytes.len());
    match kind {
        0 => bytes[at] ^= 1 << (number % 8),
        1 => bytes[at] = number as u8,
        // Numbers of 32 bits: small ones, ones near the length, large ones.
        2..=4 => {
            let at = at & !3;
            let number = match kind {
                2 => number % 200,
                3 => (bytes.len() as u32).wrapping_add(number % 16).wrapping_sub(8),
                _ => number | 0x8000_0000,
            };
            if let Some(field) = bytes.get_mut(at..at + 4) {
                field.copy_from_slice(&number.to_le_bytes());
            }
        }
        5 => bytes.truncate(at),
        6 => bytes.insert(at, number as u8),
        _ => {
            let other = number as usize % bytes.len();
            bytes.swap(at, other);
        }
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        any::<i8>().prop_map(Value::Int8),
        any::<i16>().prop_map(Value::Int16),
        any::<i32>().prop_map(Value::Int32),
        any::<i64>().prop_map(Value::Int64),
        (-1e30f32..1e30).prop_map(Value::Float32),
        (-1e300..1e300).prop_map(Value::Float64),
        ".{0,12}".prop_map(Value::String),
        prop::collection::vec(any::<u8>(), 0..12).prop_map(Value::Bytes),
        "-?(0|[1-9][0-9]{0,20})([.][0-9]{1,5})?([eE][+-]?[0-9]{1,3})?".prop_map(Value::Number),
        (any::<i32>(), prop::collection::vec(any::<u8>(), 1..20))
            .prop_map(|(scale, unscaled)| { Value::Decimal(tidegate_record::decimal::Decimal { scale, unscaled }) }),
        any::<i32>().prop_map(Value::Date),
        any::<i32>().prop_map(Value::Time),
        any::<i64>().prop_map(Value::Timestamp),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        let members = prop::collection::vec(("[a-dü]{0,2}", inner.clone()), 0..5);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            members.clone().prop_map(|members| Value::Map(members.into_iter().collect())),
            members.prop_map(|members| Value::Struct(members.into_iter().collect())),
            prop::collection::vec((inner.clone(), inner), 0..4).prop_map(Value::Pairs),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn random_bytes_are_an_arena_or_an_error(
        magic in prop::sample::select(vec![*b"TGB1", *b"TGC1", *b"TGE1"]),
        rest in prop::collection::vec(prop_oneof![3 => Just(0u8), 2 => 0u8..32, 1 => any::<u8>()], 0..300),
    ) {
        let bytes = with_its_length([&magic[..], &[1, 0], &rest].concat());
        read_as_everything(&bytes);
        read_as_everything(&rest);
    }

    #[test]
    fn mutated_arenas_are_an_arena_or_an_error(
        vector in any::<Index>(),
        mutations in prop::collection::vec((any::<Index>(), 0u8..8, any::<u32>()), 1..6),
        keep_length in any::<bool>(),
    ) {
        let mut bytes = vector.get(vectors()).bytes.clone();
        for mutation in mutations {
            mutate(&mut bytes, mutation);
        }
        read_as_everything(&if keep_length { bytes } else { with_its_length(bytes) });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn values_come_back_from_batches_and_columns(values in prop::collection::vec(any_value(), 1..4)) {
        let mut batch = BatchWriter::new(Encoding::Tlv, Encoding::Tlv);
        let mut columns = ColumnsWriter::new();
        columns.begin(1, values.len());
        for (record, value) in values.iter().enumerate() {
            batch.record().value_tree(SchemaId::NONE, value).header_tree("h", SchemaId::NONE, value);
            columns.set_tree(0, record, value);
        }
        let bytes = batch.take().unwrap();
        let batch = BatchReader::parse(&bytes).unwrap();
        let cells = columns.take().unwrap();
        let columns = ColumnsReader::parse(&cells).unwrap();
        for (record, value) in values.iter().enumerate() {
            prop_assert_eq!(&batch.value_value(record), value);
            let header = batch.headers(record).next().unwrap();
            prop_assert_eq!(&batch.header_value(&header), value);
            prop_assert_eq!(&columns.cell(0, record).to_value(columns.names()).unwrap(), value);
        }
    }

    #[test]
    fn what_is_written_as_json_reads_and_writes_to_itself(value in any_value()) {
        let text = value.to_json();
        let again = Value::from_json(&text).unwrap();
        prop_assert_eq!(again.to_json(), text);
    }

    #[test]
    fn texts_are_a_form_or_an_error(text in r#"[\[\]{}:,"0-9a-z. ]{0,60}"#) {
        let _ = batch_from_json(&text, &SchemaTable::default());
        let _ = edits_from_json(&text, 3);
        let _ = Schema::from_json(&text);
        let _ = Value::from_json(&text);
    }

    #[test]
    fn damaged_json_forms_are_a_form_or_an_error(
        vector in any::<Index>(), at in any::<Index>(), with in "[\\[\\]{}:,\"0-9a-z]",
    ) {
        let mut form: Vec<char> = vector.get(forms()).chars().collect();
        let at = at.index(form.len());
        form.splice(at..=at, with.chars());
        let text: String = form.into_iter().collect();
        if let Ok(bytes) = batch_from_json(&text, &SchemaTable::default()) {
            read_as_everything(&bytes);
        }
        if let Ok(bytes) = edits_from_json(&text, 4) {
            read_as_everything(&bytes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn a_header_text_is_a_value_whatever_it_is_and_soon(
        pieces in prop::collection::vec(prop_oneof![
            8 => prop::sample::select(&["[", "]", "{", "}", ",", ":", "\"", "\\", "1", "-", ".", "e9", "true", "null", " ", "2023-11-14",
                "T22:13:20.123Z", "22:13:20.000Z", "NaN", "a", "9999999999", "\u{e9}"][..]).prop_map(str::to_owned),
            1 => "\\PC{0,3}",
        ], 0..30),
        bytes in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let text = pieces.concat();
        let converter = Converter::Json { schemas: false };
        let all = Converters { key: converter, value: converter, header: HeaderConverter::Simple };
        let mut schemas = SchemaTable::default();
        let mut view = View::new(Workspace::default(), Default::default());
        let headers = [("text", Some(text.as_bytes())), ("bytes", Some(&bytes[..]))];
        let message = Message {
            topic: "t", partition: 0, offset: 0, timestamp: -1, append_time: false, key: None, value: None, headers: &headers,
        };
        view.push(message, &all, &mut schemas);
        if view.is_live(0) {
            let _ = view.write_headers(0, HeaderConverter::Simple, &schemas);
        }
    }
}

#[test]
fn an_arena_that_refers_to_the_same_bytes_again_and_again_is_refused_soon() {
    // 60,000 values of 1 MiB each in an arena of 2 MiB.
    let mut batch = BatchWriter::new(Encoding::Raw, Encoding::Raw);
    let text = vec![b'x'; 1 << 20];
    batch.record().value(SchemaId::STRING, Some(&text));
    for _ in 1..60_000 {
        batch.record().value(SchemaId::STRING, Some(b""));
    }
    let mut bytes = batch.take().unwrap();
    let column = u32::from_le_bytes(bytes[48..52].try_into().unwrap()) as usize;
    for record in 1..60_000 {
        bytes.copy_within(column..column + 12, column + 12 * record);
    }
    let malformed = BatchReader::parse(&bytes).unwrap_err();
    assert_eq!(malformed.to_string(), "malformed batch: entries refer to more than 268435456 bytes");
}

#[test]
fn a_full_dictionary_writes_names_inline() {
    let members = (0..70_000).map(|i| (format!("field {i}"), Value::Int32(i))).collect();
    let value = Value::Map(members);
    let mut batch = BatchWriter::new(Encoding::Raw, Encoding::Tlv);
    batch.record().value_tree(SchemaId::NONE, &value);
    let bytes = batch.take().unwrap();
    assert_eq!(BatchReader::parse(&bytes).unwrap().value_value(0), value);
}
