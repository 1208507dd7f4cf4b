//! Schemas and data that nobody should send: everything has an end, and an answer.

use std::sync::LazyLock;

use proptest::prelude::*;
use tidegate_registry::{avro, json, protobuf, read_answer};

use crate::support::decode;

fn read_avro(text: &str, bytes: &[u8]) -> Result<String, String> {
    let decoder = avro::Decoder::new(text, &[], None, &avro::Options::default())?;
    let schema = decoder.schema().cloned();
    match schema {
        None => decoder.decode_anything(bytes).map(|value| value.to_json()),
        Some(schema) => decode(&schema, bytes, |bytes, out| decoder.decode(bytes, out)).map(|value| value.to_json()),
    }
}

fn read_protobuf(text: &str, bytes: &[u8]) -> Result<String, String> {
    let decoder = protobuf::Decoder::new(text, &[], &[0], None, &protobuf::Options::default())?;
    decode(decoder.schema(), bytes, |bytes, out| decoder.decode(bytes, out)).map(|value| value.to_json())
}

fn long(value: i64) -> Vec<u8> {
    let mut raw = ((value << 1) ^ (value >> 63)) as u64;
    let mut out = Vec::new();
    while raw >= 0x80 {
        out.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
    out
}

#[test]
fn lengths_and_counts_that_lie_are_refused() {
    let list = r#"{"type":"array","items":"string"}"#;
    for (schema, bytes, why) in [
        (r#""string""#, long(-1), "a length of -1 bytes"),
        (r#""string""#, long(i64::MAX), "are left"),
        (r#""string""#, vec![2, 0xFF], "not UTF-8"),
        (r#""long""#, vec![0xFF; 11], "more than 64 bits"),
        (r#""int""#, long(1 << 40), "32 bits"),
        (r#""boolean""#, vec![2], "boolean"),
        (list, long(i64::MIN), "a block"),
        (list, [long(-5), long(-1)].concat(), "a block of -1 bytes"),
        (list, long(1 << 40), "the datum ends"),
        (r#"["null","int"]"#, vec![4], "branch 2"),
        (r#"{"type":"enum","name":"E","symbols":["A"]}"#, vec![1], "symbol number -1"),
        (r#"{"type":"int","logicalType":"time-millis"}"#, long(-1), "Time values"),
        (r#"{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}"#, vec![0], "without digits"),
        (r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}"#, Vec::new(), "ends"),
    ] {
        let error = read_avro(schema, &bytes).expect_err(schema);
        assert!(error.contains(why), "{schema}: {error}");
        assert!(error.contains("at byte"), "{error}");
    }
}

#[test]
fn items_that_take_no_bytes_come_to_an_end() {
    let nothing = r#"{"type":"array","items":{"type":"record","name":"Empty","fields":[]}}"#;
    let error = read_avro(nothing, &[long(1 << 50), vec![0]].concat()).unwrap_err();
    assert!(error.contains("256 times"), "{error}");
}

#[test]
fn schemas_have_an_end() {
    let deep = |levels: usize| {
        (0..levels).fold("\"int\"".to_owned(), |inner, _| format!(r#"{{"type":"array","items":{inner}}}"#))
    };
    assert!(read_avro(&deep(40), &[0]).is_ok());
    assert!(read_avro(&deep(100), &[0]).unwrap_err().contains("64 levels"));
    assert!(read_avro(&deep(10_000), &[0]).is_err());
    // Each type names the one before twice: written out there are 2^40.
    let mut doubling = r#"{"type":"record","name":"T0","fields":[{"name":"a","type":"int"}]}"#.to_owned();
    for level in 1..40 {
        doubling = format!(
            r#"{{"type":"record","name":"T{level}","fields":[{{"name":"a","type":{doubling}}},{{"name":"b","type":"T{}"}}]}}"#,
            level - 1
        );
    }
    let error = read_avro(&doubling, &[0]).unwrap_err();
    assert!(error.contains("parts") || error.contains("levels") || error.contains("recursion"), "{error}");
    let mut flat = Vec::new();
    for level in 1..30 {
        flat.push(format!(r#"{{"type":"record","name":"U{level}","fields":[{{"name":"a","type":"U{0}"}},{{"name":"b","type":"U{0}"}}]}}"#, level - 1));
    }
    let first = r#"{"type":"record","name":"U0","fields":[]}"#.to_owned();
    let references: Vec<&str> = std::iter::once(&first).chain(&flat).map(String::as_str).collect();
    let (last, before) = references.split_last().unwrap();
    let error = avro::Decoder::new(last, before, None, &avro::Options::default()).unwrap_err();
    assert!(error.contains("parts"), "{error}");
    let wide: Vec<String> = (0..10_000).map(|n| format!(r#"{{"name":"f{n}","type":"int"}}"#)).collect();
    let wide = format!(r#"{{"type":"record","name":"W","fields":[{}]}}"#, wide.join(","));
    assert_eq!(read_avro(&wide, &vec![2; 10_000]).unwrap().matches(":1").count(), 10_000);
}

#[test]
fn messages_that_lie_are_refused() {
    let text = "syntax = \"proto3\"; message A { string s = 1; repeated int32 n = 2; message E {} repeated E e = 3; }";
    for (bytes, why) in [
        (&b"\x0a\xff\xff\xff\xff\x0f"[..], "are left"),
        (b"\x0a\x01\xff", "not UTF-8"),
        (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "64 bits"),
        (b"\x00\x01", "field number 0"),
        (b"\x0e", "wire type 6"),
        (b"\x1b", "ends"),
        (b"\x12\x01\xff", "ends within"),
    ] {
        let error = read_protobuf(text, bytes).expect_err(why);
        assert!(error.contains(why), "{error}");
    }
    let groups = [0x2b].repeat(100);
    assert!(read_protobuf(text, &groups).unwrap_err().contains("levels"));
    assert_eq!(read_protobuf(text, &b"\x1a\0".repeat(10_000)).unwrap().matches("{}").count(), 10_000);
}

/// One of each, with all that its format has.
struct Decoders {
    avro: avro::Decoder,
    anything: avro::Decoder,
    protobuf: protobuf::Decoder,
    json: json::Decoder,
}

static DECODERS: LazyLock<Decoders> = LazyLock::new(|| {
    let avro = |text: &str| avro::Decoder::new(text, &[], None, &avro::Options::default()).expect("a schema");
    let record = r#"{"type":"record","name":"R","fields":[{"name":"a","type":["null","string",{"type":"array","items":["int","double"]}]},
        {"name":"m","type":{"type":"map","values":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}}},
        {"name":"f","type":{"type":"fixed","name":"F","size":3}},{"name":"d","type":{"type":"int","logicalType":"date"}}]}"#;
    let message = "syntax = \"proto3\"; import \"google/protobuf/timestamp.proto\"; message A { int32 a = 1; repeated sint64 b = 2; \
        map<int32, A1> c = 3; google.protobuf.Timestamp d = 4; oneof o { string e = 5; A1 f = 6; } message A1 { bytes x = 1; repeated float y = 2; } }";
    let object = r#"{"type":"object","properties":{"a":{"type":"integer"}}}"#;
    Decoders {
        avro: avro(record),
        anything: avro(&avro::schema_text(None, &avro::Options::default()).expect("a schema")),
        protobuf: protobuf::Decoder::new(message, &[], &[0], None, &protobuf::Options::default()).expect("a schema"),
        json: json::Decoder::new(object, &[], None, &json::Options::default()).expect("a schema"),
    }
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_bytes_are_a_datum_or_not(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let decoders = &*DECODERS;
        if let Some(schema) = decoders.avro.schema() {
            let _ = decode(schema, &bytes, |bytes, out| decoders.avro.decode(bytes, out));
        }
        let _ = decoders.anything.decode_anything(&bytes);
        let _ = decode(decoders.protobuf.schema(), &bytes, |bytes, out| decoders.protobuf.decode(bytes, out));
        let _ = decoders.json.value(&bytes);
        let _ = read_answer(&bytes);
    }

    #[test]
    fn any_text_is_a_schema_or_not(text in "\\PC{0,80}|[\\[\\]{}\":,a-z0-9]{0,80}") {
        let _ = avro::Decoder::new(&text, &[], None, &avro::Options::default());
        let _ = json::Decoder::new(&text, &[], None, &json::Options { validate: true, ..json::Options::default() });
        let _ = protobuf::Decoder::new(&text, &[], &[0], None, &protobuf::Options::default());
    }
}
