use expect_test::{Expect, expect};
use proptest::prelude::*;
use prost_reflect::DynamicMessage;
use prost_reflect::prost::Message as _;
use tidegate_record::value::Value;
use tidegate_record::{Cell, Schema};
use tidegate_registry::protobuf::{Decoder, Encoder, Options, schema_text};

use crate::samples;
use crate::support::{decode, encode, hex, shown, value};

fn read(text: &str, indexes: &[usize], bytes: &[u8], options: &Options) -> Result<(Schema, Value), String> {
    let decoder = Decoder::new(text, &[], indexes, None, options)?;
    let value = decode(decoder.schema(), bytes, |bytes, out| decoder.decode(bytes, out))?;
    Ok((decoder.schema().clone(), value))
}

/// The bytes of a value, with the indexes of its message before them.
fn write(schema: &Schema, value: &Value, text: &str, options: &Options) -> Result<Vec<u8>, String> {
    let encoder = Encoder::new(Some(schema), text, &[], true, options)?;
    let mut out = Vec::new();
    encoder.begin(&mut out);
    encode(Some(schema), value, encoder.fields(), |at, cell: Cell<'_>, names| match at {
        Some(at) => encoder.field(at, cell, names, &mut out),
        None => encoder.whole(cell, names, &mut out),
    })?;
    Ok(out)
}

#[track_caller]
fn check(text: &str, bytes: &[u8], expected: Expect) {
    let shown = match read(text, &[0], bytes, &Options::default()) {
        Ok((schema, value)) => shown(&value, Some(&schema)),
        Err(error) => format!("error: {error}"),
    };
    expected.assert_eq(&shown);
}

const ORDER: &str = r#"syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
import "confluent/meta.proto";
import "confluent/type/decimal.proto";
message Order {
  int64 id = 1;
  string name = 2;
  repeated int32 counts = 3;
  map<string, double> by = 4;
  oneof either { string text = 5; uint32 number = 6; }
  Kind kind = 7;
  google.protobuf.Timestamp at = 8;
  Place to = 9;
  optional string note = 10;
  int32 small = 11 [(confluent.field_meta) = { params: [{ key: "connect.type", value: "int8" }] }];
  confluent.type.Decimal price = 12 [(confluent.field_meta) = { params: [{ key: "scale", value: "2" }] }];
  enum Kind { A = 0; B = 1; }
  message Place { string city = 1; }
}
"#;

#[test]
fn schemas_become_those_that_connect_has() {
    let decoder = Decoder::new(ORDER, &[], &[0], Some(4), &Options::default()).unwrap();
    expect![[r#"{"type":"struct","fields":[{"type":"struct","fields":[{"type":"string","optional":true,"parameters":{"io.confluent.connect.protobuf.Tag":"5"},"field":"text"},{"type":"int64","optional":true,"parameters":{"io.confluent.connect.protobuf.Tag":"6"},"field":"number"}],"optional":true,"name":"io.confluent.connect.protobuf.Union.either","field":"either_0"},{"type":"int64","optional":true,"parameters":{"io.confluent.connect.protobuf.Tag":"1"},"field":"id"},{"type":"string","optional":true,"parameters":{"io.confluent.connect.protobuf.Tag":"2"},"field":"name"},{"type":"array","items":{"type":"int32","optional":true},"optional":true,"parameters":{"io.confluent.connect.protobuf.Tag":"3"},"field":"counts"},{"type":"map","keys":{"type":"string","optional":true,"parameters":{"io.confluent.connect.protobuf.Tag":"1"}},"values":{"type":"double","optional":true,"parameters":{"io.confluent.connect.protobuf.Tag":"2"}},"optional":true,"name":"by","parameters":{"io.confluent.connect.protobuf.Tag":"4"},"field":"by"},{"type":"string","optional":true,"name":"Kind","parameters":{"io.confluent.connect.protobuf.Enum":"Kind","io.confluent.connect.protobuf.Enum.A":"0","io.confluent.connect.protobuf.Enum.B":"1","io.confluent.connect.protobuf.Tag":"7"},"field":"kind"},{"type":"int64","optional":true,"name":"org.apache.kafka.connect.data.Timestamp","version":1,"parameters":{"io.confluent.connect.protobuf.Tag":"8"},"field":"at"},{"type":"struct","fields":[{"type":"string","optional":true,"parameters":{"io.confluent.connect.protobuf.Tag":"1"},"field":"city"}],"optional":true,"name":"Place","parameters":{"io.confluent.connect.protobuf.Tag":"9"},"field":"to"},{"type":"string","optional":true,"parameters":{"io.confluent.connect.protobuf.Tag":"10"},"field":"note"},{"type":"int8","optional":true,"parameters":{"io.confluent.connect.protobuf.Tag":"11"},"field":"small"},{"type":"bytes","optional":true,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2","io.confluent.connect.protobuf.Tag":"12"},"field":"price"}],"optional":false,"name":"Order","version":4}"#]].assert_eq(&decoder.schema().to_json());
    let refused = |text: &str| Decoder::new(text, &[], &[0], None, &Options::default()).unwrap_err();
    expect![[r#"
        field "next": the message "A" contains itself, which Connect's schemas cannot say
        hint: read such topics as bytes, with ByteArrayConverter"#]]
    .assert_eq(&refused("syntax = \"proto3\"; message A { A next = 1; }"));
    expect!["not a .proto file: (schema).proto: expected a message field, oneof, reserved range, enum, message, option or '}', but reached end of file"].assert_eq(&refused("syntax = \"proto3\"; message A {"));
    expect!["the schema has no message [0]"].assert_eq(&refused("syntax = \"proto3\";"));
    expect!["not a .proto file: (schema).proto: import 'nowhere.proto' not found"]
        .assert_eq(&refused("syntax = \"proto3\"; import \"nowhere.proto\"; message A {}"));
}

#[test]
fn fields_come_in_any_order_and_what_is_not_there_is_null_or_zero() {
    check(
        ORDER,
        b"",
        expect![[
            r#"{"either_0":null,"id":0,"name":"","counts":[],"by":{},"kind":"A","at":null,"to":null,"note":null,"small":0,"price":null}"#
        ]],
    );
    check(ORDER, b"\x12\x01x\x08\x96\x01\x1a\x02\x01\x02\x18\x03\x22\x0c\x0a\x01k\x11\0\0\0\0\0\0\xf0\x3f\x30\x07\x38\x01\x4a\x05\x0a\x03Ulm\x52\0\x58\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", expect![[r#"{"either_0":{"text":null,"number":7},"id":150,"name":"x","counts":[1,2,3],"by":{"k":1.0},"kind":"B","at":null,"to":{"city":"Ulm"},"note":"","small":-1,"price":null}"#]]);
    // Parts of one message are put together, of scalars the last counts, of a oneof too.
    check(
        ORDER,
        b"\x08\x01\x08\x02\x2a\x01a\x30\x09\x4a\x03\x0a\x01a\x4a\x03\x0a\x01b",
        expect![[
            r#"{"either_0":{"text":null,"number":9},"id":2,"name":"","counts":[],"by":{},"kind":"A","at":null,"to":{"city":"b"},"note":null,"small":0,"price":null}"#
        ]],
    );
    // What nobody knows is skipped: a field, a group, a field of another type.
    check(
        ORDER,
        b"\xa0\x06\x01\xa3\x06\x08\x01\xa4\x06\x0d\0\0\0\0",
        expect![[
            r#"{"either_0":null,"id":0,"name":"","counts":[],"by":{},"kind":"A","at":null,"to":null,"note":null,"small":0,"price":null}"#
        ]],
    );
}

#[test]
fn connect_schemas_become_files_that_confluents_converter_would_register() {
    let schema = Schema::from_json(
        r#"{"type":"struct","name":"shop.Order","fields":[
            {"field":"id","type":"int64"},{"field":"note","type":"string","optional":true},{"field":"small","type":"int8"},
            {"field":"price","type":"bytes","name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"}},
            {"field":"at","type":"int64","name":"org.apache.kafka.connect.data.Timestamp","version":1},
            {"field":"tags","type":"array","items":{"type":"string"}},
            {"field":"by","type":"map","keys":{"type":"string"},"values":{"type":"double"}},
            {"field":"pairs","type":"map","keys":{"type":"double"},"values":{"type":"int32"}},
            {"field":"to","type":"struct","optional":true,"fields":[{"field":"city","type":"string"}]}]}"#,
    )
    .unwrap();
    let text = |options: Options| schema_text(Some(&schema), &options).unwrap().0;
    expect![[r#"
        syntax = "proto3";
        package shop;

        import "confluent/meta.proto";
        import "confluent/type/decimal.proto";
        import "google/protobuf/timestamp.proto";

        message Order {
          int64 id = 1;
          string note = 2;
          int32 small = 3 [(confluent.field_meta) = { params: [{ key: "connect.type", value: "int8" }] }];
          confluent.type.Decimal price = 4 [(confluent.field_meta) = { params: [{ key: "scale", value: "2" }] }];
          google.protobuf.Timestamp at = 5;
          repeated string tags = 6;
          map<string, double> by = 7;
          repeated PairsEntry pairs = 8;
          ConnectDefault1 to = 9;
          message PairsEntry {
            double key = 1;
            int32 value = 2;
          }
          message ConnectDefault1 {
            string city = 1;
          }
        }
    "#]]
    .assert_eq(&text(Options::default()));
    expect![[r#"
        syntax = "proto3";
        package shop;

        import "confluent/meta.proto";
        import "confluent/type/decimal.proto";
        import "google/protobuf/timestamp.proto";

        message Order {
          int64 id = 1;
          optional string note = 2;
          int32 small = 3 [(confluent.field_meta) = { params: [{ key: "connect.type", value: "int8" }] }];
          confluent.type.Decimal price = 4 [(confluent.field_meta) = { params: [{ key: "scale", value: "2" }] }];
          google.protobuf.Timestamp at = 5;
          repeated string tags = 6;
          map<string, double> by = 7;
          repeated PairsEntry pairs = 8;
          optional ConnectDefault1 to = 9;
          message PairsEntry {
            double key = 1;
            int32 value = 2;
          }
          message ConnectDefault1 {
            string city = 1;
          }
        }
    "#]]
    .assert_eq(&text(Options { optional_for_nullables: true, ..Options::default() }));
    let wrapped = text(Options { wrapper_for_nullables: true, ..Options::default() });
    assert!(wrapped.contains("google.protobuf.StringValue note = 2;"), "{wrapped}");
    let root = Schema::from_json(r#"{"type":"string"}"#).unwrap();
    assert!(schema_text(Some(&root), &Options::default()).unwrap_err().contains("HoistField"));
}

#[test]
fn values_are_written_as_messages() {
    let schema = Schema::from_json(r#"{"type":"struct","name":"R","fields":[{"field":"a","type":"int32"},{"field":"b","type":"string","optional":true},{"field":"c","type":"array","items":{"type":"int32"}}]}"#).unwrap();
    let text = schema_text(Some(&schema), &Options::default()).unwrap().0;
    let bytes = |json: &str| hex(&write(&schema, &value(&schema, json), &text, &Options::default()).unwrap());
    assert_eq!(bytes(r#"{"a":150,"b":"x","c":[1,2]}"#), "00 08 96 01 12 01 78 1a 02 01 02");
    assert_eq!(bytes(r#"{"a":0,"b":null,"c":[]}"#), "00");
}

#[test]
fn the_message_is_found_by_its_indexes() {
    let text = "syntax = \"proto3\"; message A { int32 x = 1; } message B { message C { string y = 1; } }";
    let (schema, value) = read(text, &[1, 0], b"\x0a\x01z", &Options::default()).unwrap();
    assert_eq!((schema.name.as_deref(), shown(&value, Some(&schema)).as_str()), (Some("C"), r#"{"y":"z"}"#));
    assert!(read(text, &[2], b"", &Options::default()).is_err());
}

#[test]
fn imports_are_the_references_of_the_schema() {
    let place = (
        "geo/place.proto".to_owned(),
        "syntax = \"proto3\"; package geo; message Place { string city = 1; }".to_owned(),
    );
    let text = "syntax = \"proto3\"; import \"geo/place.proto\"; message Order { geo.Place to = 1; }";
    let decoder = Decoder::new(text, &[place], &[0], None, &Options::default()).unwrap();
    let value = decode(decoder.schema(), b"\x0a\x05\x0a\x03Ulm", |bytes, out| decoder.decode(bytes, out)).unwrap();
    assert_eq!(shown(&value, Some(decoder.schema())), r#"{"to":{"city":"Ulm"}}"#);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn values_come_back_and_prost_reads_the_same((schema, value) in samples::record(false)) {
        let options = Options { optional_for_nullables: true, ..Options::default() };
        let (text, _) = schema_text(Some(&schema), &options).unwrap();
        let bytes = match write(&schema, &value, &text, &options) {
            // Protobuf has no null in lists.
            Err(error) if error.contains("Null") => return Ok(()),
            bytes => bytes.unwrap(),
        };
        let (read_schema, read_value) = read(&text, &[0], &bytes[1..], &options).unwrap();
        // Kinds stay, and so do values: nullable ones are optional, the others have their zero.
        let plain = shown(&read_value, Some(&read_schema));
        prop_assert_eq!(plain, shown(&filled(&value, &schema), Some(&schema)), "{}", text);
        let dir = protox_pool(&text);
        let message = dir.get_message_by_name(schema.name.as_deref().unwrap()).unwrap();
        // Read and written again by others, it is the same value.
        let again = DynamicMessage::decode(message, &bytes[1..]).unwrap().encode_to_vec();
        let unordered = |value: &Value| serde_json::from_str::<serde_json::Value>(&shown(value, Some(&read_schema))).unwrap();
        prop_assert_eq!(unordered(&read(&text, &[0], &again, &options).unwrap().1), unordered(&read_value));
    }
}

/// Lists and maps cannot be null in Protobuf.
fn filled(value: &Value, schema: &Schema) -> Value {
    use tidegate_record::schema::Kind;
    match (value, &schema.kind) {
        (Value::Null, Kind::Array(_)) => Value::Array(Vec::new()),
        (Value::Null, Kind::Map(..)) => Value::Map(tidegate_record::value::Members::new()),
        (Value::Struct(members), Kind::Struct(fields)) => Value::Struct(
            fields
                .iter()
                .map(|field| {
                    (field.name.clone(), filled(members.get(&field.name).unwrap_or(&Value::Null), &field.schema))
                })
                .collect(),
        ),
        (value, _) => value.clone(),
    }
}

/// The file as prost sees it.
fn protox_pool(text: &str) -> prost_reflect::DescriptorPool {
    tidegate_registry::protobuf::pool(text).expect("our own text")
}
