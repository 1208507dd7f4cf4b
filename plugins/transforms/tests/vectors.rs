//! The transforms and predicates against records that Kafka Connect itself transformed (`tests/vectors`, version 4.3.1).
//!
//! What is compared is what Connect promises: fields by name, not by order; `java.util.Date` by its instant, whichever of
//! Date, Time and Timestamp it is; of errors that there is one, at the same point and of the same class.

use base64::Engine;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;
use tidegate_plugin_transforms::PLUGIN;
use tidegate_sdk::testing::{PredicateHarness, TestRecord, TransformHarness, Transformed};
use tidegate_sdk::{Schema, Value, logical, serde_json};

fn check(file: &str) {
    let path = format!("{}/tests/vectors/{file}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in text.lines() {
        let vector: Json = serde_json::from_str(line).unwrap();
        count += 1;
        let expected = expected(&vector);
        let answer = answer(&vector);
        let id = vector["id"].as_str().unwrap();
        if answer != expected {
            wrong.push(format!(
                "{id} {}\n  input    {}\n  expected {expected}\n  answer   {answer}",
                vector["config"], vector["input"]
            ));
        }
    }
    assert!(count > 0, "{path} has no vectors");
    assert!(wrong.is_empty(), "{} of {count} differ\n{}", wrong.len(), wrong.join("\n"));
}

fn expected(vector: &Json) -> String {
    match vector.get("error") {
        Some(error) if error["at"] == "configure" => "refused".to_owned(),
        Some(error) => match error["class"].as_str().unwrap().rsplit('.').next().unwrap() {
            // The second is one of the first to Java.
            "DataException" | "SchemaBuilderException" => "failed: Data".to_owned(),
            "ConnectException" => "failed: Other".to_owned(),
            "IllegalArgumentException" => "failed: IllegalArgument".to_owned(),
            "NullPointerException" => "failed: NullPointer".to_owned(),
            other => panic!("an error of class {other}"),
        },
        None => match vector.get("result") {
            Some(result) => result.to_string(),
            None if vector["output"].is_null() => "dropped".to_owned(),
            None => normal(&record_of(&vector["output"])),
        },
    }
}

fn answer(vector: &Json) -> String {
    let config: Vec<(String, String)> = vector["config"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()))
        .collect();
    let config: Vec<(&str, &str)> = config.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let input = [record_of(&vector["input"])];
    let has_name = |definition: &tidegate_sdk::Definition, class: &Json| {
        tidegate_sdk::testing::describe(definition)["aliases"].as_array().unwrap().contains(class)
    };
    let definitions = PLUGIN.definitions();
    if let Some(class) = vector.get("predicate") {
        let at = definitions.iter().position(|definition| has_name(definition, class)).unwrap();
        let kind = &PLUGIN.predicates[at - PLUGIN.transforms.len()];
        return match PredicateHarness::of(kind, &config) {
            Err(_) => "refused".to_owned(),
            Ok(mut predicate) => predicate.test(&input).unwrap()[0].to_string(),
        };
    }
    let at = definitions.iter().position(|definition| has_name(definition, &vector["transform"])).unwrap();
    match TransformHarness::of(&PLUGIN.transforms[at], &config) {
        Err(_) => "refused".to_owned(),
        Ok(mut transform) => match transform.apply(&input).unwrap().remove(0) {
            Transformed::Record(record) => normal(&record),
            Transformed::Records(_) => "several".to_owned(),
            Transformed::Dropped => "dropped".to_owned(),
            Transformed::Failed(kind, _) => format!("failed: {kind:?}"),
        },
    }
}

fn record_of(json: &Json) -> TestRecord {
    let headers = json["headers"].as_array().unwrap().iter();
    TestRecord {
        topic: json["topic"].as_str().unwrap().to_owned(),
        partition: json["partition"].as_i64().map(|partition| partition as i32),
        offset: json["offset"].as_i64(),
        timestamp: json["timestamp"].as_i64(),
        key_schema: schema_of(&json["keySchema"]),
        key: value_of(&json["key"], &json["keySchema"]),
        value_schema: schema_of(&json["valueSchema"]),
        value: value_of(&json["value"], &json["valueSchema"]),
        headers: headers
            .map(|header| {
                let name = header["name"].as_str().unwrap().to_owned();
                (name, schema_of(&header["schema"]), value_of(&header["value"], &header["schema"]))
            })
            .collect(),
        source_partition: None,
        source_offset: None,
    }
}

/// The vectors' schemas are those of JsonConverter but for the names of two types and the tags of defaults.
fn schema_of(json: &Json) -> Option<Schema> {
    fn translated(json: &Json) -> Json {
        let mut object = Map::new();
        for (member, value) in json.as_object().unwrap() {
            let value = match (member.as_str(), value.as_str()) {
                ("type", Some("float32")) => json!("float"),
                ("type", Some("float64")) => json!("double"),
                ("fields", _) => value.as_array().unwrap().iter().map(translated).collect(),
                ("items" | "keys" | "values", _) => translated(value),
                ("default", _) => default_of(value),
                _ => value.clone(),
            };
            object.insert(member.clone(), value);
        }
        Json::Object(object)
    }
    (!json.is_null()).then(|| Schema::from_json(&translated(json)).unwrap())
}

/// A default in the JSON form of values.
fn default_of(json: &Json) -> Json {
    let (tag, inner) = json.as_object().unwrap().iter().next().unwrap();
    match tag.as_str() {
        "array" => inner.as_array().unwrap().iter().map(default_of).collect(),
        "struct" => {
            let fields = inner.as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
            Json::Object(fields.map(|(name, value)| (name.clone(), default_of(value))).collect())
        }
        "map" => {
            let pairs = inner.as_array().unwrap().iter();
            Json::Object(
                pairs.map(|pair| (pair[0]["string"].as_str().unwrap().to_owned(), default_of(&pair[1]))).collect(),
            )
        }
        "boolean" | "int8" | "int16" | "int32" | "int64" | "float32" | "float64" | "string" | "bytes" => inner.clone(),
        other => panic!("a default of type {other}"),
    }
}

fn value_of(json: &Json, schema: &Json) -> Value {
    let Some((tag, inner)) = json.as_object().and_then(|object| object.iter().next()) else { return Value::Null };
    let float = || match inner.as_str() {
        Some("NaN") => f64::NAN,
        Some("Infinity") => f64::INFINITY,
        Some("-Infinity") => f64::NEG_INFINITY,
        _ => inner.as_f64().unwrap(),
    };
    let bytes = || base64::engine::general_purpose::STANDARD.decode(inner.as_str().unwrap()).unwrap();
    match tag.as_str() {
        "boolean" => Value::Boolean(inner.as_bool().unwrap()),
        "int8" => Value::Int8(inner.as_i64().unwrap() as i8),
        "int16" => Value::Int16(inner.as_i64().unwrap() as i16),
        "int32" => Value::Int32(inner.as_i64().unwrap() as i32),
        "int64" => Value::Int64(inner.as_i64().unwrap()),
        "float32" => Value::Float32(float() as f32),
        "float64" => Value::Float64(float()),
        "string" => Value::String(inner.as_str().unwrap().to_owned()),
        "bytes" => Value::Bytes(bytes()),
        "array" => {
            Value::Array(inner.as_array().unwrap().iter().map(|item| value_of(item, &schema["items"])).collect())
        }
        "map" => {
            let pairs = inner.as_array().unwrap().iter();
            Value::Map(
                pairs
                    .map(|pair| {
                        let name = pair[0]["string"].as_str().unwrap().to_owned();
                        (name, value_of(&pair[1], &schema["values"]))
                    })
                    .collect(),
            )
        }
        "struct" => {
            let field_schema = |name: &str| {
                let fields = schema["fields"].as_array().unwrap();
                fields.iter().find(|field| field["field"] == name).unwrap().clone()
            };
            let fields = inner.as_object().unwrap().iter();
            Value::Struct(fields.map(|(name, value)| (name.clone(), value_of(value, &field_schema(name)))).collect())
        }
        "date" => {
            let time = inner.as_i64().unwrap();
            match schema["name"].as_str() {
                Some(logical::DATE) => Value::Date(time.div_euclid(86_400_000) as i32),
                Some(logical::TIME) => Value::Time(time as i32),
                _ => Value::Timestamp(time),
            }
        }
        "decimal" => {
            let unscaled: i128 = inner["unscaled"].as_str().unwrap().parse().unwrap();
            Value::Decimal { scale: inner["scale"].as_i64().unwrap() as i32, unscaled: unscaled.to_be_bytes().to_vec() }
        }
        // Whatever has no type of its own here: no transform looks into it.
        "bigint" => {
            let unscaled: i128 = inner.as_str().unwrap().parse().unwrap();
            Value::Decimal { scale: 0, unscaled: unscaled.to_be_bytes().to_vec() }
        }
        other => panic!("a value of type {other}"),
    }
}

/// A record as text that is the same for what means the same.
fn normal(record: &TestRecord) -> String {
    let schema = |schema: &Option<Schema>| schema.as_ref().map(Schema::to_json);
    let headers: Vec<_> = record
        .headers
        .iter()
        .map(|(name, of, value)| json!([name, schema(of), normal_value(value, of.as_ref())]))
        .collect();
    json!({
        "topic": record.topic,
        "partition": record.partition,
        "timestamp": record.timestamp,
        "keySchema": schema(&record.key_schema),
        "key": normal_value(&record.key, record.key_schema.as_ref()),
        "valueSchema": schema(&record.value_schema),
        "value": normal_value(&record.value, record.value_schema.as_ref()),
        "headers": headers,
    })
    .to_string()
}

fn normal_value(value: &Value, schema: Option<&Schema>) -> Json {
    let tagged = |tag: &str, value: Json| json!({ tag: value });
    let by_name = |fields: &[(String, Value)], schema: &dyn Fn(&str) -> Option<Schema>| {
        let fields = fields.iter().map(|(name, value)| (name.clone(), normal_value(value, schema(name).as_ref())));
        json!(fields.collect::<BTreeMap<_, _>>())
    };
    match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => tagged("boolean", json!(value)),
        Value::Int8(value) => tagged("int8", json!(value)),
        Value::Int16(value) => tagged("int16", json!(value)),
        Value::Int32(value) => tagged("int32", json!(value)),
        Value::Int64(value) => tagged("int64", json!(value)),
        Value::Float32(value) => tagged("float32", json!(value.to_string())),
        Value::Float64(value) => tagged("float64", json!(value.to_string())),
        Value::String(text) => tagged("string", json!(text)),
        Value::Number(text) => tagged("number", json!(text)),
        Value::Bytes(bytes) => tagged("bytes", json!(bytes)),
        Value::Array(items) => {
            let items_schema = schema.and_then(|schema| schema.items.as_deref());
            tagged("array", items.iter().map(|item| normal_value(item, items_schema)).collect())
        }
        Value::Map(fields) => {
            let values = schema.and_then(|schema| schema.values.as_deref());
            tagged("map", by_name(fields, &|_| values.cloned()))
        }
        Value::Struct(fields) => {
            // A field that is left out is null.
            let mut all: Vec<(String, Value)> = fields.clone();
            for field in schema.map_or(&[][..], |schema| &schema.fields) {
                if value.field(&field.name).is_none() {
                    all.push((field.name.clone(), Value::Null));
                }
            }
            let of = |name: &str| schema.and_then(|schema| schema.field(name)).map(|field| field.schema.clone());
            tagged("struct", by_name(&all, &of))
        }
        Value::KeyedMap(pairs) => panic!("the vectors have no such map: {pairs:?}"),
        Value::Decimal { scale, unscaled } => {
            let sign = if unscaled[0] & 0x80 != 0 { -1_i128 } else { 0 };
            let number = unscaled.iter().fold(sign, |number, &byte| (number << 8) | i128::from(byte));
            tagged("decimal", json!([scale, number.to_string()]))
        }
        Value::Date(days) => tagged("date", json!(i64::from(*days) * 86_400_000)),
        Value::Time(time) => tagged("date", json!(time)),
        Value::Timestamp(time) => tagged("date", json!(time)),
    }
}

macro_rules! vectors {
    ($($test:ident: $file:literal,)*) => {
        $(#[test]
        fn $test() {
            check($file);
        })*
    };
}

vectors! {
    cast_answers_as_connect: "Cast",
    drop_headers_answers_as_connect: "DropHeaders",
    extract_field_answers_as_connect: "ExtractField",
    filter_answers_as_connect: "Filter",
    flatten_answers_as_connect: "Flatten",
    has_header_key_answers_as_connect: "HasHeaderKey",
    header_from_answers_as_connect: "HeaderFrom",
    hoist_field_answers_as_connect: "HoistField",
    insert_field_answers_as_connect: "InsertField",
    insert_header_answers_as_connect: "InsertHeader",
    mask_field_answers_as_connect: "MaskField",
    record_is_tombstone_answers_as_connect: "RecordIsTombstone",
    regex_router_answers_as_connect: "RegexRouter",
    replace_field_answers_as_connect: "ReplaceField",
    set_schema_metadata_answers_as_connect: "SetSchemaMetadata",
    timestamp_converter_answers_as_connect: "TimestampConverter",
    timestamp_router_answers_as_connect: "TimestampRouter",
    topic_name_matches_answers_as_connect: "TopicNameMatches",
    value_to_key_answers_as_connect: "ValueToKey",
}
