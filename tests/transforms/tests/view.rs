//! The transforms against records that Kafka Connect itself transformed, through the view that the host keeps of a batch.
//!
//! `plugins/transforms` runs the same vectors through the harness of the SDK, which applies edits to whole values; here
//! it is the host that makes columns and applies edits, and what the two make of a record has to be the same.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value as Json, json};
use tidegate_plugin_transforms::PLUGIN;
use tidegate_record::batch::{BatchReader, BatchWriter, Encoding};
use tidegate_record::columns::ColumnsWriter;
use tidegate_record::decimal::Decimal;
use tidegate_record::edits::EditsReader;
use tidegate_record::value::{JsonOptions, Members};
use tidegate_record::view::{Column, FailureKind, Place, Reshapes, Side, View, Workspace};
use tidegate_record::{SchemaId, SchemaTable, Value};
use tidegate_sdk::testing::{TransformHarness, describe};

/// Vectors whose answer differs from Connect's on purpose, with the reason.
const KNOWN: &[(&str, &str)] = &[
    (
        "InsertField-109",
        "that a required field has no value is found where the record is written, not by its converter",
    ),
    (
        "TimestampRouter-38",
        "a timestamp of -1 is none here, as it is in Kafka; Connect makes none of it before transforms run",
    ),
];

fn check(file: &str) {
    let path = format!("{}/../../plugins/transforms/tests/vectors/{file}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    let mut wrong = Vec::new();
    for line in text.lines() {
        let vector: Json = serde_json::from_str(line).unwrap();
        let (expected, answer) = (expected(&vector), answer(&vector));
        let id = vector["id"].as_str().unwrap();
        if (answer == expected) == KNOWN.iter().any(|(known, _)| *known == id) {
            let (config, input) = (&vector["config"], &vector["input"]);
            wrong.push(format!("{id} {config}\n  input    {input}\n  expected {expected}\n  answer   {answer}"));
        }
    }
    assert!(!text.is_empty(), "{path} has no vectors");
    assert!(wrong.is_empty(), "{} of {} differ\n{}", wrong.len(), text.lines().count(), wrong.join("\n"));
}

fn expected(vector: &Json) -> String {
    match vector.get("error") {
        Some(error) if error["at"] == "configure" => "refused".to_owned(),
        Some(error) => match error["class"].as_str().unwrap().rsplit('.').next().unwrap() {
            "DataException" | "SchemaBuilderException" => failed(FailureKind::Data),
            "ConnectException" => failed(FailureKind::Other),
            "IllegalArgumentException" => failed(FailureKind::IllegalArgument),
            "NullPointerException" => failed(FailureKind::NullPointer),
            other => panic!("an error of class {other}"),
        },
        None if vector["output"].is_null() => "dropped".to_owned(),
        None => {
            let record = &vector["output"];
            let headers = record["headers"].as_array().unwrap().iter();
            let headers = headers
                .map(|header| json!([header["name"], schema_of(&header["schema"]), normal(&header["value"])]))
                .collect::<Json>();
            json!({
                "topic": record["topic"],
                "partition": record["partition"],
                "timestamp": record["timestamp"],
                "keySchema": schema_of(&record["keySchema"]),
                "key": normal(&record["key"]),
                "valueSchema": schema_of(&record["valueSchema"]),
                "value": normal(&record["value"]),
                "headers": headers,
            })
            .to_string()
        }
    }
}

fn failed(kind: FailureKind) -> String {
    format!("failed: {kind:?}")
}

fn answer(vector: &Json) -> String {
    let config: Vec<(String, String)> = vector["config"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()))
        .collect();
    let config: Vec<(&str, &str)> = config.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let has_name = |definition: &tidegate_sdk::Definition| {
        describe(definition)["aliases"].as_array().unwrap().contains(&vector["transform"])
    };
    let at = PLUGIN.definitions().iter().position(has_name).unwrap();
    let Ok(transform) = TransformHarness::of(&PLUGIN.transforms[at], &config) else { return "refused".to_owned() };
    let mut schemas = SchemaTable::default();
    let mut batch = BatchWriter::new(Encoding::Tlv, Encoding::Tlv);
    push(&mut batch, &vector["input"], &mut schemas);
    let arena = batch.finish().unwrap().to_vec();
    let reader = BatchReader::parse(&arena).unwrap();
    // What a null becomes is for the converters to say, and there is none here.
    let options = JsonOptions { replace_null_with_default: false, ..JsonOptions::default() };
    let mut view = View::new(Workspace::default(), options);
    view.push_batch(&reader, &schemas);
    assert!(view.is_live(0), "{}: {:?}", vector["id"], view.failure(0));
    run(transform, &mut view, &mut schemas);
    match view.failure(0) {
        Some(failure) => failed(failure.kind),
        None if view.is_dropped(0) => "dropped".to_owned(),
        None => written(&mut view, &schemas),
    }
}

/// What a step of a chain does.
fn run(mut transform: TransformHarness, view: &mut View<'_>, schemas: &mut SchemaTable) {
    let columns = |columns: &[tidegate_sdk::Column]| columns.iter().map(column).collect::<Vec<_>>();
    let (read, write) = (columns(&transform.plan().read), columns(&transform.plan().write));
    let rows = view.rows();
    let mut out = ColumnsWriter::new();
    view.columns(&rows, &read, schemas, &mut out);
    let answer = transform.edits(out.finish().unwrap()).unwrap();
    let mut reshapes = Reshapes::new();
    for (side, schema) in view.unshaped(&rows, &write, &reshapes) {
        let place = if side == Side::Key { tidegate_sdk::Place::Key } else { tidegate_sdk::Place::Value };
        let text = schemas.text(schema).unwrap().to_string();
        let answer = match transform.reshape(place, &text) {
            Ok(changed) => Ok(changed.map(|text| schemas.define_json(&text).unwrap())),
            Err(tidegate_sdk::Error::BadRecord(kind, message)) => Err((FailureKind::of(kind as u32).unwrap(), message)),
            Err(error) => Err((FailureKind::Data, error.to_string())),
        };
        reshapes.insert(side, schema, answer);
    }
    let edits = EditsReader::parse(&answer, rows.len(), write.len()).unwrap();
    view.apply(&rows, &edits, &write, &reshapes, schemas).unwrap();
}

fn column(column: &tidegate_sdk::Column) -> Column {
    let place = match column.place {
        tidegate_sdk::Place::Value => Place::Value,
        tidegate_sdk::Place::Key => Place::Key,
        tidegate_sdk::Place::Header => Place::Header,
        tidegate_sdk::Place::Topic => Place::Topic,
        tidegate_sdk::Place::Partition => Place::Partition,
        tidegate_sdk::Place::Offset => Place::Offset,
        tidegate_sdk::Place::Timestamp => Place::Timestamp,
    };
    Column { place, path: column.path.clone() }
}

fn push(batch: &mut BatchWriter, record: &Json, schemas: &mut SchemaTable) {
    let mut define = |schema: &Json| match schema_of(schema) {
        Json::Null => SchemaId::NONE,
        schema => schemas.define_json(&schema.to_string()).unwrap(),
    };
    let [key_schema, value_schema] = ["keySchema", "valueSchema"].map(|member| define(&record[member]));
    let headers = record["headers"].as_array().unwrap().iter();
    let headers: Vec<_> = headers.map(|header| (header, define(&header["schema"]))).collect();
    let mut out = batch.record();
    out.topic(record["topic"].as_str().unwrap());
    if let Some(partition) = record["partition"].as_i64() {
        out.partition(partition as i32);
    }
    if let Some(offset) = record["offset"].as_i64() {
        out.offset(offset);
    }
    if let Some(timestamp) = record["timestamp"].as_i64() {
        out.timestamp(timestamp);
    }
    match value_of(&record["key"], &record["keySchema"]) {
        Value::Null => out.key(key_schema, None),
        key => out.key_tree(key_schema, &key),
    };
    match value_of(&record["value"], &record["valueSchema"]) {
        Value::Null => out.value(value_schema, None),
        value => out.value_tree(value_schema, &value),
    };
    for (header, schema) in headers {
        out.header_tree(header["name"].as_str().unwrap(), schema, &value_of(&header["value"], &header["schema"]));
    }
}

fn written(view: &mut View<'_>, schemas: &SchemaTable) -> String {
    let mut batch = BatchWriter::new(Encoding::Tlv, Encoding::Tlv);
    let rows = view.write_batch(&view.rows(), Encoding::Tlv, Encoding::Tlv, schemas, &mut batch);
    if rows.is_empty() {
        return format!("{:?}", view.failure(0));
    }
    let batch = BatchReader::parse(batch.finish().unwrap()).map(|batch| (batch.key(0), batch.value(0), batch));
    let (key, value, batch) = batch.unwrap();
    let schema = |id: SchemaId| match schemas.text(id) {
        Some(text) => in_order(&serde_json::from_str(text).unwrap()),
        None => Json::Null,
    };
    let headers = batch
        .headers(0)
        .map(|header| json!([header.name, schema(header.value.schema), tagged(&batch.header_value(&header))]));
    json!({
        "topic": batch.topic(0),
        "partition": batch.partition(0),
        "timestamp": batch.timestamp(0),
        "keySchema": schema(key.schema),
        "key": tagged(&batch.key_value(0)),
        "valueSchema": schema(value.schema),
        "value": tagged(&batch.value_value(0)),
        "headers": headers.collect::<Json>(),
    })
    .to_string()
}

/// The vectors' schemas in the form of JsonConverter.
fn schema_of(json: &Json) -> Json {
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
    if json.is_null() { Json::Null } else { in_order(&translated(json)) }
}

/// The same with the members of objects in one order; the order of fields is that of an array, and stays.
fn in_order(json: &Json) -> Json {
    match json {
        Json::Object(members) => {
            let mut members: Vec<_> = members.iter().map(|(name, value)| (name.clone(), in_order(value))).collect();
            members.sort_by(|(one, _), (other, _)| one.cmp(other));
            Json::Object(members.into_iter().collect())
        }
        Json::Array(items) => items.iter().map(in_order).collect(),
        other => other.clone(),
    }
}

fn default_of(json: &Json) -> Json {
    let (tag, inner) = json.as_object().unwrap().iter().next().unwrap();
    match tag.as_str() {
        "array" => inner.as_array().unwrap().iter().map(default_of).collect(),
        "struct" => {
            let fields = inner.as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
            Json::Object(fields.map(|(name, value)| (name.clone(), default_of(value))).collect())
        }
        "boolean" | "int8" | "int16" | "int32" | "int64" | "float32" | "float64" | "string" | "bytes" => inner.clone(),
        other => panic!("a default of type {other}"),
    }
}

fn float(json: &Json) -> f64 {
    match json.as_str() {
        Some("NaN") => f64::NAN,
        Some("Infinity") => f64::INFINITY,
        Some("-Infinity") => f64::NEG_INFINITY,
        _ => json.as_f64().unwrap(),
    }
}

fn decimal(unscaled: &Json, scale: i32) -> Value {
    let unscaled: i128 = unscaled.as_str().unwrap().parse().unwrap();
    Value::Decimal(Decimal { scale, unscaled: unscaled.to_be_bytes().to_vec() })
}

fn value_of(json: &Json, schema: &Json) -> Value {
    let Some((tag, inner)) = json.as_object().and_then(|object| object.iter().next()) else { return Value::Null };
    match tag.as_str() {
        "boolean" => Value::Boolean(inner.as_bool().unwrap()),
        "int8" => Value::Int8(inner.as_i64().unwrap() as i8),
        "int16" => Value::Int16(inner.as_i64().unwrap() as i16),
        "int32" => Value::Int32(inner.as_i64().unwrap() as i32),
        "int64" => Value::Int64(inner.as_i64().unwrap()),
        "float32" => Value::Float32(float(inner) as f32),
        "float64" => Value::Float64(float(inner)),
        "string" => Value::string(inner.as_str().unwrap()),
        "bytes" => Value::Bytes(BASE64.decode(inner.as_str().unwrap()).unwrap()),
        "array" => {
            Value::Array(inner.as_array().unwrap().iter().map(|item| value_of(item, &schema["items"])).collect())
        }
        "map" => {
            let pair =
                |pair: &Json| (pair[0]["string"].as_str().unwrap().to_owned(), value_of(&pair[1], &schema["values"]));
            Value::Map(inner.as_array().unwrap().iter().map(pair).collect())
        }
        "struct" => {
            let field = |(name, value): (&String, &Json)| {
                let fields = schema["fields"].as_array().unwrap();
                let own = fields.iter().find(|field| field["field"] == *name).unwrap();
                (name.clone(), value_of(value, own))
            };
            // A field that is null is left out, as Connect's Struct has it.
            let members: Members =
                inner.as_object().unwrap().iter().filter(|(_, value)| !value.is_null()).map(field).collect();
            Value::Struct(members)
        }
        "date" => {
            let time = inner.as_i64().unwrap();
            match schema["name"].as_str() {
                Some("org.apache.kafka.connect.data.Date") => Value::Date(time.div_euclid(86_400_000) as i32),
                Some("org.apache.kafka.connect.data.Time") => Value::Time(time as i32),
                _ => Value::Timestamp(time),
            }
        }
        "decimal" => decimal(&inner["unscaled"], inner["scale"].as_i64().unwrap() as i32),
        // Whatever has no type of its own here: no transform looks into it.
        "bigint" => decimal(inner, 0),
        other => panic!("a value of type {other}"),
    }
}

/// A value of a vector, brought into the form of [`tagged`].
fn normal(json: &Json) -> Json {
    let Some((tag, inner)) = json.as_object().and_then(|object| object.iter().next()) else { return Json::Null };
    match tag.as_str() {
        "float32" => json!({ "float32": (float(inner) as f32).to_string() }),
        "float64" => json!({ "float64": float(inner).to_string() }),
        "array" => json!({ "array": inner.as_array().unwrap().iter().map(normal).collect::<Json>() }),
        "map" => {
            let pairs = inner.as_array().unwrap().iter();
            sorted(
                "map",
                pairs.map(|pair| (pair[0]["string"].as_str().unwrap().to_owned(), normal(&pair[1]))).collect(),
            )
        }
        "struct" => {
            let fields = inner.as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
            sorted("struct", fields.map(|(name, value)| (name.clone(), normal(value))).collect())
        }
        "decimal" => json!({ "decimal": [inner["scale"], inner["unscaled"]] }),
        "bigint" => json!({ "decimal": [0, inner] }),
        _ => json.clone(),
    }
}

fn sorted(tag: &str, mut members: Vec<(String, Json)>) -> Json {
    members.sort_by(|(one, _), (other, _)| one.cmp(other));
    json!({ tag: Json::Object(members.into_iter().collect()) })
}

fn tagged(value: &Value) -> Json {
    let members = |members: &Members| members.iter().map(|(name, value)| (name.to_owned(), tagged(value))).collect();
    match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => json!({ "boolean": value }),
        Value::Int8(number) => json!({ "int8": number }),
        Value::Int16(number) => json!({ "int16": number }),
        Value::Int32(number) => json!({ "int32": number }),
        Value::Int64(number) => json!({ "int64": number }),
        Value::Float32(number) => json!({ "float32": number.to_string() }),
        Value::Float64(number) => json!({ "float64": number.to_string() }),
        Value::String(text) => json!({ "string": text }),
        Value::Number(text) => json!({ "number": text }),
        Value::Bytes(bytes) => json!({ "bytes": BASE64.encode(bytes) }),
        Value::Array(items) => json!({ "array": items.iter().map(tagged).collect::<Json>() }),
        Value::Map(fields) => sorted("map", members(fields)),
        Value::Struct(fields) => {
            let fields: Vec<(String, Json)> = members(fields);
            sorted("struct", fields.into_iter().filter(|(_, value)| !value.is_null()).collect())
        }
        Value::Pairs(pairs) => panic!("the vectors have no such map: {pairs:?}"),
        Value::Decimal(Decimal { scale, unscaled }) => {
            let sign = if unscaled[0] & 0x80 != 0 { -1_i128 } else { 0 };
            let number = unscaled.iter().fold(sign, |number, &byte| (number << 8) | i128::from(byte));
            json!({ "decimal": [scale, number.to_string()] })
        }
        Value::Date(days) => json!({ "date": i64::from(*days) * 86_400_000 }),
        Value::Time(time) => json!({ "date": time }),
        Value::Timestamp(time) => json!({ "date": time }),
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
    header_from_answers_as_connect: "HeaderFrom",
    hoist_field_answers_as_connect: "HoistField",
    insert_field_answers_as_connect: "InsertField",
    insert_header_answers_as_connect: "InsertHeader",
    mask_field_answers_as_connect: "MaskField",
    regex_router_answers_as_connect: "RegexRouter",
    replace_field_answers_as_connect: "ReplaceField",
    set_schema_metadata_answers_as_connect: "SetSchemaMetadata",
    timestamp_converter_answers_as_connect: "TimestampConverter",
    timestamp_router_answers_as_connect: "TimestampRouter",
    value_to_key_answers_as_connect: "ValueToKey",
}
