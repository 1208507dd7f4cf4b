#![expect(deprecated, reason = "the functions say in one line what their successors say in five")]

use apache_avro::{from_avro_datum, to_avro_datum};
use expect_test::{Expect, expect};
use proptest::prelude::*;
use tidegate_record::value::Value;
use tidegate_record::{Cell, Schema};
use tidegate_registry::avro::{Decoder, Encoder, Options, schema_text};

use crate::samples;
use crate::support::{decode, encode, hex, shown, value};

fn options() -> Options {
    Options::default()
}

fn write(schema: Option<&Schema>, value: &Value, text: &str, options: &Options) -> Result<Vec<u8>, String> {
    let encoder = Encoder::new(schema, text, &[], true, options)?;
    let mut out = Vec::new();
    let mut begun = false;
    encode(schema, value, encoder.fields(), |at, cell: Cell<'_>, names| match at {
        None => encoder.whole(cell, names, &mut out),
        Some(at) => {
            if !std::mem::replace(&mut begun, true) {
                encoder.begin(&mut out);
            }
            encoder.field(at, cell, names, &mut out)
        }
    })?;
    Ok(out)
}

fn read(text: &str, references: &[&str], bytes: &[u8]) -> Result<(Option<Schema>, Value), String> {
    let decoder = Decoder::new(text, references, None, &options())?;
    match decoder.schema() {
        None => Ok((None, decoder.decode_anything(bytes)?)),
        Some(schema) => {
            let value = decode(schema, bytes, |bytes, out| decoder.decode(bytes, out))?;
            Ok((Some(schema.clone()), value))
        }
    }
}

/// An Avro schema as Connect has it.
#[track_caller]
fn check_schema(avro: &str, expected: Expect) {
    let shown = match Decoder::new(avro, &[], None, &options()) {
        Ok(decoder) => decoder.schema().map_or("none".to_owned(), Schema::to_json),
        Err(error) => format!("error: {error}"),
    };
    expected.assert_eq(&shown);
}

/// A Connect schema as Avro has it.
#[track_caller]
fn check_avro(connect: &str, options: &Options, expected: Expect) {
    let schema = Schema::from_json(connect).expect("the test writes a schema");
    expected.assert_eq(&schema_text(Some(&schema), options).unwrap_or_else(|error| format!("error: {error}")));
}

/// What a datum is.
#[track_caller]
fn check(avro: &str, bytes: &[u8], expected: Expect) {
    let shown = match read(avro, &[], bytes) {
        Ok((schema, value)) => shown(&value, schema.as_ref()),
        Err(error) => format!("error: {error}"),
    };
    expected.assert_eq(&shown);
}

const RECORD: &str =
    r#"{"type":"record","name":"test","fields":[{"name":"a","type":"long"},{"name":"b","type":"string"}]}"#;

#[test]
fn data_are_read_as_the_specification_writes_them() {
    check(RECORD, b"\x36\x06foo", expect![[r#"{"a":27,"b":"foo"}"#]]);
    check(r#"{"type":"array","items":"long"}"#, &[4, 6, 0x36, 0], expect!["[3,27]"]);
    // A block with its size before it.
    check(r#"{"type":"array","items":"long"}"#, &[3, 4, 6, 0x36, 0], expect!["[3,27]"]);
    check(r#"["null","string"]"#, &[2, 2, 0x61], expect![[r#""a""#]]);
    check(r#"["string","null"]"#, &[2], expect!["null"]);
    check(r#"{"type":"map","values":"int"}"#, b"\x02\x02k\x09\x00", expect![[r#"{"k":-5}"#]]);
    check(r#"{"type":"enum","name":"E","symbols":["A","B"]}"#, &[2], expect![[r#""B""#]]);
    check(r#"{"type":"fixed","name":"F","size":2}"#, b"\x01\x02", expect![[r#""AQI=""#]]);
    check(
        r#"["null","long",{"type":"record","name":"R","fields":[{"name":"x","type":"int"}]}]"#,
        &[4, 6],
        expect![[r#"{"long":null,"R":{"x":3}}"#]],
    );
}

#[test]
fn schemas_become_those_that_connect_has() {
    check_schema(
        r#"{"type":"record","name":"Order","namespace":"shop","doc":"An order","fields":[
            {"name":"id","type":"long","doc":"number"},
            {"name":"note","type":["null","string"],"default":null},
            {"name":"count","type":"int","default":7},
            {"name":"small","type":{"type":"int","connect.type":"int8"}},
            {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}},
            {"name":"day","type":{"type":"int","logicalType":"date"}},
            {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
            {"name":"kind","type":{"type":"enum","name":"Kind","symbols":["A","B"]}},
            {"name":"tags","type":{"type":"array","items":"string"}},
            {"name":"any","type":["null","string","Kind"]}]}"#,
        expect![[
            r#"{"type":"struct","fields":[{"type":"int64","optional":false,"field":"id"},{"type":"string","optional":true,"field":"note"},{"type":"int32","optional":false,"parameters":{"io.confluent.connect.avro.field.default":"true"},"default":7,"field":"count"},{"type":"int8","optional":false,"field":"small"},{"type":"bytes","optional":false,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2","connect.decimal.precision":"10"},"field":"price"},{"type":"int32","optional":false,"name":"org.apache.kafka.connect.data.Date","version":1,"field":"day"},{"type":"int64","optional":false,"name":"org.apache.kafka.connect.data.Timestamp","version":1,"field":"at"},{"type":"string","optional":false,"name":"shop.Kind","parameters":{"io.confluent.connect.avro.Enum":"shop.Kind","io.confluent.connect.avro.Enum.A":"A","io.confluent.connect.avro.Enum.B":"B"},"field":"kind"},{"type":"array","items":{"type":"string","optional":false},"optional":false,"field":"tags"},{"type":"struct","fields":[{"type":"string","optional":true,"field":"string"},{"type":"string","optional":true,"name":"shop.Kind","parameters":{"io.confluent.connect.avro.Enum":"shop.Kind","io.confluent.connect.avro.Enum.A":"A","io.confluent.connect.avro.Enum.B":"B"},"field":"Kind"}],"optional":true,"name":"io.confluent.connect.avro.Union","field":"any"}],"optional":false,"name":"shop.Order","parameters":{"io.confluent.connect.avro.record.doc":"An order","io.confluent.connect.avro.field.doc.id":"number"}}"#
        ]],
    );
    check_schema(
        r#"{"type":"int","connect.version":3,"connect.name":"com.acme.Age","connect.doc":"years","connect.parameters":{"a":"b"},"connect.default":5}"#,
        expect![[
            r#"{"type":"int32","optional":false,"name":"com.acme.Age","version":3,"doc":"years","parameters":{"a":"b"},"default":5}"#
        ]],
    );
    check_schema(
        r#"{"type":"array","items":{"type":"record","name":"MapEntry","namespace":"io.confluent.connect.avro","fields":[{"name":"key","type":"int"},{"name":"value","type":"string"}]}}"#,
        expect![[
            r#"{"type":"map","keys":{"type":"int32","optional":false},"values":{"type":"string","optional":false},"optional":false}"#
        ]],
    );
    check_schema(
        r#"{"type":"record","name":"ConnectDefault","namespace":"io.confluent.connect.avro","fields":[]}"#,
        expect![[r#"{"type":"struct","fields":[],"optional":false}"#]],
    );
}

#[test]
fn what_connect_cannot_say_is_refused_with_the_reason() {
    check_schema(
        r#"{"type":"record","name":"Node","fields":[{"name":"next","type":["null","Node"]}]}"#,
        expect![[r#"
            error: field "next": the type "Node" contains itself, which Connect's schemas cannot say
            hint: read such topics as bytes, with ByteArrayConverter"#]],
    );
    check_schema(r#""null""#, expect!["error: Standalone null schemas are not supported by this converter"]);
    check_schema(
        r#"{"type":"record","name":"A","fields":[{"name":"x","type":"B"}]}"#,
        expect![[r#"error: field "x": "B" is not a defined type"#]],
    );
    check_schema("{", expect!["error: not the JSON of an Avro schema: EOF while parsing an object at line 1 column 1"]);
    check_schema(
        r#"{"type":"record","name":"A","fields":[{"name":"x","type":"int","default":"y"}]}"#,
        expect![[r#"error: field "x": default "y": does not fit the type int"#]],
    );
    check_schema(
        r#"{"type":"bytes","logicalType":"decimal"}"#,
        expect!["error: scale must be specified and must be a number."],
    );
}

#[test]
fn connect_schemas_become_those_that_confluents_converter_registers() {
    check_avro(
        r#"{"type":"struct","name":"shop.Order","version":2,"fields":[
            {"field":"id","type":"int64"},
            {"field":"note","type":"string","optional":true},
            {"field":"count","type":"int32","optional":true,"default":7},
            {"field":"small","type":"int8"},
            {"field":"price","type":"bytes","name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"}},
            {"field":"day","type":"int32","name":"org.apache.kafka.connect.data.Date","version":1},
            {"field":"by","type":"map","keys":{"type":"string"},"values":{"type":"double"}},
            {"field":"pairs","type":"map","keys":{"type":"int32"},"values":{"type":"string","optional":true}},
            {"field":"inner","type":"struct","fields":[{"field":"x","type":"boolean"}]}]}"#,
        &options(),
        expect![[
            r#"{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"id","type":"long"},{"name":"note","type":["null","string"],"default":null},{"name":"count","type":[{"type":"int","connect.default":7},"null"],"default":7},{"name":"small","type":{"type":"int","connect.type":"int8"}},{"name":"price","type":{"type":"bytes","connect.version":1,"connect.parameters":{"scale":"2"},"connect.name":"org.apache.kafka.connect.data.Decimal","precision":64,"scale":2,"logicalType":"decimal"}},{"name":"day","type":{"type":"int","connect.version":1,"connect.name":"org.apache.kafka.connect.data.Date","logicalType":"date"}},{"name":"by","type":{"type":"map","values":"double"}},{"name":"pairs","type":{"type":"array","items":{"type":"record","name":"MapEntry","namespace":"io.confluent.connect.avro","fields":[{"name":"key","type":"int"},{"name":"value","type":["null","string"],"default":null}]}}},{"name":"inner","type":{"type":"record","name":"ConnectDefault","namespace":"io.confluent.connect.avro","fields":[{"name":"x","type":"boolean"}]}}],"connect.version":2,"connect.name":"shop.Order"}"#
        ]],
    );
    check_avro(
        r#"{"type":"string","parameters":{"io.confluent.connect.avro.Enum":"shop.Kind","io.confluent.connect.avro.Enum.A":"A"}}"#,
        &Options { enhanced: true, ..options() },
        expect![[
            r#"{"type":"enum","name":"Kind","namespace":"shop","symbols":["A"],"connect.parameters":{"io.confluent.connect.avro.Enum":"shop.Kind","io.confluent.connect.avro.Enum.A":"A"}}"#
        ]],
    );
    check_avro(
        r#"{"type":"struct","name":"my-ns.Größe 1","fields":[{"field":"a b","type":"string"},{"field":"1st","type":"string"}]}"#,
        &Options { scrub: true, meta_data: false, ..options() },
        expect![[
            r#"{"type":"record","name":"Gr_C3_B6_C3_9Fe_1","namespace":"my_ns","fields":[{"name":"a_b","type":"string"},{"name":"x1st","type":"string"}]}"#
        ]],
    );
    check_avro(
        r#"{"type":"struct","fields":[{"field":"a","type":"struct","fields":[{"field":"x","type":"string"}]},{"field":"b","type":"struct","optional":true,"fields":[{"field":"x","type":"string"}]}]}"#,
        &options(),
        expect![[
            r#"{"type":"record","name":"ConnectDefault","namespace":"io.confluent.connect.avro","fields":[{"name":"a","type":{"type":"record","name":"ConnectDefault2","namespace":"io.confluent.connect.avro","fields":[{"name":"x","type":"string"}]}},{"name":"b","type":["null","io.confluent.connect.avro.ConnectDefault2"],"default":null}]}"#
        ]],
    );
}

#[test]
fn values_without_a_schema_describe_themselves() {
    let text = schema_text(None, &options()).unwrap();
    let json = r#"{"a":[1,2.5,"x",null,true],"b":{"c":9223372036854775807}}"#;
    let bytes = write(None, &Value::from_json(json).unwrap(), &text, &options()).unwrap();
    let (schema, value) = read(&text, &[], &bytes).unwrap();
    assert_eq!((schema, value.to_json().as_str()), (None, json));
    let oracle = apache_avro::Schema::parse_str(&text).unwrap();
    let mut rest = bytes.as_slice();
    assert_eq!(to_avro_datum(&oracle, from_avro_datum(&oracle, &mut rest, None).unwrap()).unwrap(), bytes);
}

#[test]
fn a_record_is_written_with_the_schema_that_the_registry_has() {
    let schema = Schema::from_json(
        r#"{"type":"struct","name":"R","fields":[{"field":"b","type":"string"},{"field":"a","type":"int32"}]}"#,
    )
    .unwrap();
    let own = value(&schema, r#"{"b":"x","a":1}"#);
    let wider = r#"{"type":"record","name":"R","fields":[{"name":"a","type":["null","long"]},{"name":"new","type":"string","default":"d"},{"name":"b","type":"string"}]}"#;
    assert_eq!(hex(&write(Some(&schema), &own, wider, &options()).unwrap()), "02 02 02 64 02 78");
    let narrow = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}"#;
    let refused = write(Some(&schema), &own, narrow, &options()).unwrap_err();
    assert_eq!(refused, r#"the record "R" of the registered schema has no field "b""#);
    let needs = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"b","type":"string"},{"name":"c","type":"int"}]}"#;
    assert!(write(Some(&schema), &own, needs, &options()).unwrap_err().contains("\"c\" without a default"));
}

#[test]
fn null_is_the_default_where_there_is_one() {
    let schema = Schema::from_json(
        r#"{"type":"struct","name":"R","fields":[{"field":"a","type":"int32","optional":true,"default":7}]}"#,
    )
    .unwrap();
    let null = Value::Struct([("a".to_owned(), Value::Null)].into_iter().collect());
    let text = schema_text(Some(&schema), &options()).unwrap();
    assert_eq!(hex(&write(Some(&schema), &null, &text, &options()).unwrap()), "00 0e");
    let keep = Options { ignore_default: true, ..options() };
    assert_eq!(hex(&write(Some(&schema), &null, &text, &keep).unwrap()), "02");
}

#[test]
fn a_schema_may_refer_to_others() {
    let place = r#"{"type":"record","name":"Place","namespace":"geo","fields":[{"name":"city","type":"string"}]}"#;
    let order = r#"{"type":"record","name":"Order","fields":[{"name":"to","type":"geo.Place"}]}"#;
    let (schema, value) = read(order, &[place], b"\x06Ulm").unwrap();
    assert_eq!(shown(&value, schema.as_ref()), r#"{"to":{"city":"Ulm"}}"#);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn values_come_back_and_apache_avro_reads_the_same((schema, value) in samples::record(true)) {
        let text = schema_text(Some(&schema), &options()).unwrap();
        let bytes = write(Some(&schema), &value, &text, &options()).unwrap();
        let (read_schema, read_value) = read(&text, &[], &bytes).unwrap();
        prop_assert_eq!(read_schema.as_ref().map(Schema::to_json), Some(schema.to_json()));
        prop_assert_eq!(shown(&read_value, Some(&schema)), shown(&value, Some(&schema)));
        let oracle = apache_avro::Schema::parse_str(&text).unwrap();
        let mut rest = bytes.as_slice();
        let datum = from_avro_datum(&oracle, &mut rest, None).unwrap();
        prop_assert!(rest.is_empty());
        // Maps have no order there.
        prop_assert_eq!(to_avro_datum(&oracle, datum).unwrap().len(), bytes.len());
    }
}
