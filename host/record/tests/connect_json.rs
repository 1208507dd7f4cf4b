//! Schemas and values as JSON text, compared with what Kafka Connect 4.3's JsonConverter does.

use expect_test::{Expect, expect};
use tidegate_record::value::{Coercion, DecimalFormat, JsonOptions};
use tidegate_record::{Schema, SchemaError, SchemaId, SchemaTable, Value};

fn schema(text: &str) -> Schema {
    Schema::from_json(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn check_schema(text: &str, expected: Expect) {
    expected.assert_eq(&match Schema::from_json(text) {
        Ok(schema) => {
            let written = schema.to_json();
            assert_eq!(Schema::from_json(&written), Ok(schema), "reading back {written}");
            written
        }
        Err(error) => format!("error: {error}"),
    });
}

/// Reads a payload with a schema and writes it again.
fn check_payload(options: &JsonOptions, schema_text: &str, payload: &str, expected: Expect) {
    let schema = schema(schema_text);
    expected.assert_eq(&match Value::from_json_with(payload, &schema, options) {
        Ok(value) => match value.to_connect_json(Some(&schema), options) {
            Ok(text) => format!("{value:?} {text}"),
            Err(error) => format!("{value:?} error: {error}"),
        },
        Err(error) => format!("error: {error}"),
    });
}

fn connect(schema: &str, payload: &str, expected: Expect) {
    check_payload(&JsonOptions::default(), schema, payload, expected);
}

fn strict(schema: &str, payload: &str, expected: Expect) {
    let options = JsonOptions { coercion: Coercion::Strict, decimal: DecimalFormat::Numeric, ..JsonOptions::default() };
    check_payload(&options, schema, payload, expected);
}

#[test]
fn schema_texts_have_connects_order() {
    check_schema(r#"{"type":"int32"}"#, expect![[r#"{"type":"int32","optional":false}"#]]);
    check_schema(
        r#"{"optional":true,"type":"float","version":3,"name":"N","doc":"d"}"#,
        expect![[r#"{"type":"float","optional":true,"name":"N","version":3,"doc":"d"}"#]],
    );
    check_schema(
        r#"{"type":"struct","name":"com.example.Def","parameters":{"p":"q"},"optional":true,"fields":[{"field":"str","default":"dflt","type":"string","optional":true},{"field":"i32","doc":"an int","type":"int32","default":7},{"field":"m","type":"map","keys":{"type":"string"},"values":{"type":"array","items":{"type":"double"}}}]}"#,
        expect![[
            r#"{"type":"struct","fields":[{"type":"string","optional":true,"default":"dflt","field":"str"},{"type":"int32","optional":false,"doc":"an int","default":7,"field":"i32"},{"type":"map","keys":{"type":"string","optional":false},"values":{"type":"array","items":{"type":"double","optional":false},"optional":false},"optional":false,"field":"m"}],"optional":true,"name":"com.example.Def","parameters":{"p":"q"}}"#
        ]],
    );
    check_schema(
        r#"{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"},"default":"MDk="}"#,
        expect![[
            r#"{"type":"bytes","optional":false,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"},"default":"MDk="}"#
        ]],
    );
    check_schema(
        r#"{"type":"int64","name":"org.apache.kafka.connect.data.Timestamp","default":42}"#,
        expect![[r#"{"type":"int64","optional":false,"name":"org.apache.kafka.connect.data.Timestamp","default":42}"#]],
    );
}

#[test]
fn schema_members_of_other_types_are_ignored_as_connect_does() {
    check_schema(
        r#"{"type":"int32","name":5,"optional":"yes","doc":1,"version":1.5,"parameters":[]}"#,
        expect![[r#"{"type":"int32","optional":false}"#]],
    );
}

#[test]
fn malformed_schemas_are_refused_in_connects_words() {
    for (text, expected) in [
        ("{}", expect!["error: Schema must contain 'type' field"]),
        (r#""int32""#, expect!["error: Schema must contain 'type' field"]),
        (r#"{"type":"float32"}"#, expect!["error: Unknown schema type: float32"]),
        (r#"{"type":"array"}"#, expect!["error: Array schema did not specify the element type"]),
        (r#"{"type":"map","values":{"type":"int32"}}"#, expect!["error: Map schema did not specify the key type"]),
        (r#"{"type":"map","keys":{"type":"int32"}}"#, expect!["error: Map schema did not specify the value type"]),
        (r#"{"type":"struct"}"#, expect![[r#"error: Struct schema's "fields" argument is not an array."#]]),
        (
            r#"{"type":"struct","fields":[{"type":"int32"}]}"#,
            expect!["error: Struct schema's field name not specified properly"],
        ),
        (
            r#"{"type":"struct","fields":[{"field":"a","type":"int32"},{"field":"a","type":"int8"}]}"#,
            expect!["error: Cannot create field because of field name duplication a"],
        ),
        (r#"{"type":"int32","parameters":{"a":1}}"#, expect!["error: Schema parameters must have string values."]),
        (r#"{"type":"int32","#, expect!["error: invalid JSON: EOF while parsing an object at line 1 column 16"]),
    ] {
        check_schema(text, expected);
    }
}

#[test]
fn deeply_nested_schemas_are_refused() {
    let text = format!("{}{{\"type\":\"int8\"}}{}", r#"{"type":"array","items":"#.repeat(64), "}".repeat(64));
    check_schema(&text, expect!["error: JSON is nested more than 64 levels deep"]);
}

#[test]
fn payloads_are_coerced_as_connect_does() {
    connect(r#"{"type":"int8"}"#, "300", expect!["Int8(44) 44"]);
    connect(r#"{"type":"int16"}"#, "40000", expect!["Int16(-25536) -25536"]);
    connect(r#"{"type":"int32"}"#, r#""x""#, expect!["Int32(0) 0"]);
    connect(r#"{"type":"double"}"#, "2", expect!["Float64(2.0) 2.0"]);
    connect(r#"{"type":"float"}"#, "12.34", expect!["Float32(12.34) 12.34"]);
    connect(r#"{"type":"boolean"}"#, r#""true""#, expect!["Boolean(false) false"]);
    connect(
        r#"{"type":"string"}"#,
        "5",
        expect!["Null error: Conversion error: null value for field that is required and has no default value"],
    );
    connect(r#"{"type":"bytes"}"#, r#""AP9B""#, expect![[r#"Bytes([0, 255, 65]) "AP9B""#]]);
    connect(r#"{"type":"bytes"}"#, r#""!!""#, expect!["error: Invalid bytes field"]);
    connect(r#"{"type":"string"}"#, "null", expect!["error: Invalid null value for required STRING field"]);
    connect(r#"{"type":"int32","default":5}"#, "null", expect!["Int32(5) 5"]);
    connect(r#"{"type":"array","items":{"type":"int32"}}"#, "{}", expect!["Array([]) []"]);
    connect(
        r#"{"type":"map","keys":{"type":"int32"},"values":{"type":"int32"}}"#,
        "[[1]]",
        expect!["error: Found invalid map entry, expected length 2 but found :1"],
    );
    connect(
        r#"{"type":"map","keys":{"type":"int32"},"values":{"type":"string"}}"#,
        r#"[[1,"a"]]"#,
        expect![[r#"Pairs([(Int32(1), String("a"))]) [[1,"a"]]"#]],
    );
    connect(
        r#"{"type":"struct","fields":[{"field":"a","type":"int32"}]}"#,
        "[1]",
        expect!["error: Structs should be encoded as JSON objects, but found ARRAY"],
    );
    connect(
        r#"{"type":"struct","fields":[{"field":"a","type":"int32"},{"field":"b","type":"string","optional":true}]}"#,
        r#"{"a":1,"z":2}"#,
        expect![[r#"Struct(Members({"a": Int32(1), "b": Null})) {"a":1,"b":null}"#]],
    );
}

#[test]
fn logical_types_are_read_and_written() {
    let decimal =
        r#"{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"}}"#;
    connect(decimal, r#""MDk=""#, expect![[r#"Decimal(Decimal { scale: 2, unscaled: [48, 57] }) "MDk=""#]]);
    connect(decimal, "123.45", expect![[r#"Decimal(Decimal { scale: 2, unscaled: [48, 57] }) "MDk=""#]]);
    connect(
        decimal,
        "1.2345",
        expect![
            "Decimal(Decimal { scale: 4, unscaled: [48, 57] }) error: Decimal value has mismatching scale for given Decimal.schema"
        ],
    );
    connect(
        decimal,
        "true",
        expect![
            "error: Invalid type for Decimal, underlying representation should be numeric or bytes but was BOOLEAN"
        ],
    );
    strict(decimal, "19.9", expect!["Decimal(Decimal { scale: 2, unscaled: [7, 198] }) 19.90"]);
    strict(decimal, "19.999", expect!["error: 19.999 has more digits than scale 2 allows"]);
    connect(r#"{"type":"int32","name":"org.apache.kafka.connect.data.Date"}"#, "365", expect!["Date(365) 365"]);
    connect(
        r#"{"type":"int32","name":"org.apache.kafka.connect.data.Time"}"#,
        "86400001",
        expect!["error: Time values must use number of milliseconds greater than 0 and less than 86400000"],
    );
    connect(
        r#"{"type":"int64","name":"org.apache.kafka.connect.data.Timestamp"}"#,
        "1700000000123",
        expect!["Timestamp(1700000000123) 1700000000123"],
    );
}

#[test]
fn what_a_plugin_sends_is_taken_only_as_it_fits() {
    strict(r#"{"type":"int8"}"#, "300", expect!["error: 300 does not fit the schema type INT8"]);
    strict(r#"{"type":"int32"}"#, "58.0", expect!["Int32(58) 58"]);
    strict(r#"{"type":"int32"}"#, "58.5", expect!["error: 58.5 does not fit the schema type INT32"]);
    strict(r#"{"type":"boolean"}"#, r#""true""#, expect![[r#"error: "true" does not fit the schema type BOOLEAN"#]]);
    strict(r#"{"type":"string"}"#, "5", expect!["error: 5 does not fit the schema type STRING"]);
    strict(r#"{"type":"double"}"#, r#""NaN""#, expect![[r#"Float64(NaN) "NaN""#]]);
    strict(r#"{"type":"double"}"#, r#""x""#, expect![[r#"error: "x" does not fit the schema type FLOAT64"#]]);
}

#[test]
fn values_without_schema_are_written_as_connect_does() {
    let check = |value: Value, expected: Expect| {
        expected.assert_eq(&match value.to_connect_json(None, &JsonOptions::default()) {
            Ok(text) => text,
            Err(error) => format!("error: {error}"),
        });
    };
    check(Value::Pairs(vec![(Value::Int64(1), Value::string("a"))]), expect![[r#"[[1,"a"]]"#]]);
    check(
        Value::from_json(r#"{"b":[1.10,1e400,"é\n"],"a":null}"#).unwrap(),
        expect![[r#"{"b":[1.10,1e400,"é\n"],"a":null}"#]],
    );
    check(Value::Float64(f64::NAN), expect![[r#""NaN""#]]);
    check(Value::Date(5), expect!["error: Java class class java.util.Date does not have corresponding schema type."]);
    check(
        Value::Decimal(tidegate_record::decimal::Decimal::parse("1.5").unwrap()),
        expect!["error: Java class class java.math.BigDecimal does not have corresponding schema type."],
    );
}

#[test]
fn of_two_members_with_one_name_the_last_counts() {
    expect![[r#"{"a":3,"b":2}"#]].assert_eq(&Value::from_json(r#"{"a":1,"b":2,"\u0061":3}"#).unwrap().to_json());
}

#[test]
fn json_beyond_64_levels_is_refused() {
    let nested = |levels: usize| Value::from_json(&format!("{}{}", "[".repeat(levels), "]".repeat(levels)));
    assert!(nested(64).is_ok());
    assert!(nested(65).is_err());
    assert!(nested(100_000).is_err());
}

#[test]
fn a_schema_has_one_number_in_whatever_form_its_text_is() {
    let mut table = SchemaTable::default();
    assert_eq!(table.define_json(r#"{"type":"int32"}"#), Ok(SchemaId::INT32));
    assert_eq!(table.define_json(r#"{"optional":true,"type":"string"}"#), Ok(SchemaId::OPTIONAL_STRING));
    let id = table.define_json(r#"{"name":"N","type":"int32"}"#).unwrap();
    assert_eq!(id, SchemaId(64));
    assert_eq!(table.define_json(r#"{"type":"int32","optional":false,"name":"N"}"#), Ok(id));
    assert_eq!(table.define_json(r#"{"type":"int32","name":"M"}"#), Ok(SchemaId(65)));
    assert_eq!(table.text(id).unwrap().as_ref(), r#"{"type":"int32","optional":false,"name":"N"}"#);
    assert!(table.get(SchemaId(66)).is_none() && table.get(SchemaId(10)).is_none());
}

#[test]
fn a_table_takes_no_more_schemas_than_it_was_made_for() {
    let mut table = SchemaTable::new(2);
    for name in ["a", "b"] {
        table.define(&Schema::date().named(name)).unwrap();
    }
    let full = table.define(&Schema::date().named("c"));
    assert!(matches!(full, Err(SchemaError::TooMany { max: 2, .. })), "{full:?}");
    assert!(table.define(&Schema::date().named("a")).is_ok());
}
