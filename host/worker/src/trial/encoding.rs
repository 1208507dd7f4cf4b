//! Records, schemas and values as JSON in which no type is lost: every value is tagged with its type, `{"int8":1}`.
//!
//! This is the form in which recordings of Kafka Connect are kept (`docs/try.md` has it whole), so that what Tidegate
//! answers can be compared with what Connect did. The JSON is read and written by the record crate, whose numbers keep
//! their digits.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use tidegate_record::decimal::Decimal;
use tidegate_record::number::{is_integral, wrapping_i64};
use tidegate_record::schema::{Field, Kind, Logical};
use tidegate_record::value::Members;
use tidegate_record::{Schema, Value};

const DAY_MILLIS: i64 = 86_400_000;

/// A key, value or header value with its schema.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Typed {
    pub(super) schema: Option<Schema>,
    pub(super) value: Value,
}

/// A record of a vector.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    pub(super) is_sink: bool,
    pub(super) topic: String,
    pub(super) partition: Option<i32>,
    pub(super) offset: Option<i64>,
    pub(super) timestamp: Option<i64>,
    pub(super) key: Typed,
    pub(super) value: Typed,
    pub(super) headers: Vec<(String, Typed)>,
}

/// What the types of a line were that have no type of their own here.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lost {
    /// `BigInteger`, which is a decimal without fraction here.
    pub(super) bigint: bool,
}

type Result<T> = std::result::Result<T, String>;

/// A JSON object.
pub(super) fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Map(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

pub(super) fn member<'v>(json: &'v Value, name: &str) -> &'v Value {
    match json {
        Value::Map(members) => members.get(name).unwrap_or(&Value::Null),
        _ => &Value::Null,
    }
}

pub(super) fn text<'v>(json: &'v Value, name: &str) -> Result<&'v str> {
    match member(json, name) {
        Value::String(text) => Ok(text),
        _ => Err(format!("\"{name}\" is not a string")),
    }
}

fn integer<T: std::str::FromStr>(json: &Value, what: &str) -> Result<Option<T>> {
    match json {
        Value::Null => Ok(None),
        Value::Number(text) => text.parse().map(Some).map_err(|_| format!("{what} cannot be {text}")),
        other => Err(format!("{what} cannot be {}", other.to_json())),
    }
}

fn items<'v>(json: &'v Value, what: &str) -> Result<&'v [Value]> {
    match json {
        Value::Array(items) => Ok(items),
        other => Err(format!("{what} is not an array: {}", other.to_json())),
    }
}

/// Reads a record.
pub(super) fn record(json: &Value, lost: &mut Lost) -> Result<Record> {
    let mut typed = |value: &str, schema: &str, of: &Value| typed(member(of, schema), member(of, value), lost);
    let key = typed("key", "keySchema", json)?;
    let value = typed("value", "valueSchema", json)?;
    let headers = match member(json, "headers") {
        Value::Null => Vec::new(),
        headers => items(headers, "\"headers\"")?
            .iter()
            .map(|header| Ok((text(header, "name")?.to_owned(), typed("value", "schema", header)?)))
            .collect::<Result<_>>()?,
    };
    Ok(Record {
        is_sink: text(json, "kind")? == "sink",
        topic: text(json, "topic")?.to_owned(),
        partition: integer(member(json, "partition"), "a partition")?,
        offset: integer(member(json, "offset"), "an offset")?,
        timestamp: integer(member(json, "timestamp"), "a timestamp")?,
        key,
        value,
        headers,
    })
}

/// Reads a value and its schema.
pub(super) fn typed(schema: &Value, value: &Value, lost: &mut Lost) -> Result<Typed> {
    let schema = match schema {
        Value::Null => None,
        json => Some(self::schema(json)?),
    };
    let value = self::value(value, schema.as_ref(), lost)?;
    Ok(Typed { schema, value })
}

/// Reads a schema.
pub(super) fn schema(json: &Value) -> Result<Schema> {
    let part = |name: &str| match member(json, name) {
        Value::Null => Ok(Schema::any().into()),
        json => schema(json).map(std::sync::Arc::new),
    };
    let kind = match text(json, "type")? {
        "int8" => Kind::Int8,
        "int16" => Kind::Int16,
        "int32" => Kind::Int32,
        "int64" => Kind::Int64,
        "float32" => Kind::Float32,
        "float64" => Kind::Float64,
        "boolean" => Kind::Boolean,
        "string" => Kind::String,
        "bytes" => Kind::Bytes,
        "array" => Kind::Array(part("items")?),
        "map" => Kind::Map(part("keys")?, part("values")?),
        "struct" => Kind::Struct(
            items(member(json, "fields"), "\"fields\"")?
                .iter()
                .map(|field| Ok(Field { name: text(field, "field")?.to_owned(), schema: schema(field)?.into() }))
                .collect::<Result<_>>()?,
        ),
        other => return Err(format!("there is no type \"{other}\"")),
    };
    let mut schema = Schema::new(kind);
    schema.optional = matches!(member(json, "optional"), Value::Boolean(true));
    schema.name = text(json, "name").ok().map(str::to_owned);
    schema.doc = text(json, "doc").ok().map(str::to_owned);
    schema.version = integer(member(json, "version"), "a version")?;
    if let Value::Map(parameters) = member(json, "parameters") {
        for (name, value) in parameters.iter() {
            let Value::String(value) = value else { return Err(format!("the parameter \"{name}\" is not a string")) };
            schema.parameters.push((name.to_owned(), value.clone()));
        }
    }
    if *member(json, "default") != Value::Null {
        schema.default = Some(value(member(json, "default"), Some(&schema), &mut Lost::default())?);
    }
    Ok(schema)
}

/// Reads a tagged value. Its schema says what a date is.
pub(super) fn value(json: &Value, schema: Option<&Schema>, lost: &mut Lost) -> Result<Value> {
    let Value::Map(members) = json else {
        return match json {
            Value::Null => Ok(Value::Null),
            other => Err(format!("a value has no type: {}", other.to_json())),
        };
    };
    let (Some((tag, inner)), 1) = (members.iter().next(), members.len()) else {
        return Err(format!("a value is an object with one member, its type: {}", json.to_json()));
    };
    let wrong = || format!("no {tag}: {}", inner.to_json());
    let number = || match inner {
        Value::Number(text) => Ok(text.as_str()),
        // The names of what JSON numbers cannot be read as Rust reads them.
        Value::String(text) if matches!(text.as_str(), "NaN" | "Infinity" | "-Infinity") => Ok(text.as_str()),
        _ => Err(wrong()),
    };
    let string = || match inner {
        Value::String(text) => Ok(text),
        _ => Err(wrong()),
    };
    fn parsed<T: std::str::FromStr>(text: &str, wrong: impl Fn() -> String) -> Result<T> {
        text.parse().map_err(|_| wrong())
    }
    let kind = schema.map(|schema| &schema.kind);
    Ok(match tag {
        "boolean" => match inner {
            Value::Boolean(value) => Value::Boolean(*value),
            _ => return Err(wrong()),
        },
        "int8" => Value::Int8(parsed(number()?, wrong)?),
        "int16" => Value::Int16(parsed(number()?, wrong)?),
        "int32" => Value::Int32(parsed(number()?, wrong)?),
        "int64" => Value::Int64(parsed(number()?, wrong)?),
        "float32" => Value::Float32(parsed(number()?, wrong)?),
        "float64" => Value::Float64(parsed(number()?, wrong)?),
        "string" => Value::String(string()?.clone()),
        "bytes" => Value::Bytes(BASE64.decode(string()?).map_err(|_| wrong())?),
        "array" => {
            let of = match kind {
                Some(Kind::Array(of)) => Some(&**of),
                _ => None,
            };
            Value::Array(items(inner, tag)?.iter().map(|item| value(item, of, lost)).collect::<Result<_>>()?)
        }
        "map" => {
            let (keys, values) = match kind {
                Some(Kind::Map(keys, values)) => (Some(&**keys), Some(&**values)),
                _ => (None, None),
            };
            let pairs = items(inner, tag)?.iter().map(|pair| match items(pair, "an entry")? {
                [key, entry] => Ok((value(key, keys, lost)?, value(entry, values, lost)?)),
                _ => Err(wrong()),
            });
            let pairs: Vec<_> = pairs.collect::<Result<_>>()?;
            // Without entries only the schema says what the keys are.
            match keys.is_some_and(|keys| keys.kind != Kind::String) && pairs.is_empty() {
                true => Value::Pairs(pairs),
                false => map(pairs),
            }
        }
        "struct" => {
            let Value::Map(fields) = inner else { return Err(wrong()) };
            let fields = fields.iter().map(|(name, field)| {
                let of = schema.and_then(|schema| schema.field(name)).map(|field| &*field.schema);
                Ok((name.to_owned(), value(field, of, lost)?))
            });
            Value::Struct(fields.collect::<Result<Members>>()?)
        }
        "date" => date(parsed(number()?, wrong)?, schema),
        "decimal" => {
            let mut decimal = Decimal::parse(text(inner, "unscaled")?).map_err(|error| error.to_string())?;
            decimal.scale = integer(member(inner, "scale"), "a scale")?.ok_or_else(wrong)?;
            Value::Decimal(decimal)
        }
        "bigint" => {
            lost.bigint = true;
            Value::Decimal(Decimal::parse(string()?).map_err(|error| error.to_string())?)
        }
        "other" => return Err(format!("there are no values of {} here", string()?)),
        _ => return Err(format!("there is no type \"{tag}\"")),
    })
}

fn map(pairs: Vec<(Value, Value)>) -> Value {
    if pairs.iter().any(|(key, _)| !matches!(key, Value::String(_))) {
        return Value::Pairs(pairs);
    }
    let members = pairs.into_iter().filter_map(|(key, value)| match key {
        Value::String(name) => Some((name, value)),
        _ => None,
    });
    Value::Map(members.collect())
}

/// A `java.util.Date`. What is no whole day is no date to anybody, so it stays a timestamp and fails where Connect's does.
fn date(millis: i64, schema: Option<&Schema>) -> Value {
    let whole_days = i32::try_from(millis.div_euclid(DAY_MILLIS)).ok().filter(|_| millis % DAY_MILLIS == 0);
    match (schema.and_then(Schema::logical), whole_days) {
        (Some(Logical::Date), Some(days)) => Value::Date(days),
        (Some(Logical::Time), _) if (0..DAY_MILLIS).contains(&millis) => Value::Time(millis as i32),
        _ => Value::Timestamp(millis),
    }
}

/// Writes a record.
pub(super) fn record_json(record: &Record, lost: Lost) -> Value {
    let or_null = |number: Option<i64>| number.map_or(Value::Null, Value::Int64);
    let mut members = Members::new();
    members.insert("kind", Value::string(if record.is_sink { "sink" } else { "source" }));
    members.insert("topic", Value::string(&record.topic));
    members.insert("partition", or_null(record.partition.map(i64::from)));
    if record.is_sink {
        members.insert("offset", or_null(record.offset));
    }
    members.insert("timestamp", or_null(record.timestamp));
    for (name, typed) in [("key", &record.key), ("value", &record.value)] {
        members.insert(format!("{name}Schema"), schema_or_null(typed.schema.as_ref()));
        members.insert(name, value_json(&typed.value, typed.schema.as_ref(), lost));
    }
    let headers = record.headers.iter().map(|(name, typed)| {
        object([
            ("name", Value::string(name)),
            ("schema", schema_or_null(typed.schema.as_ref())),
            ("value", value_json(&typed.value, typed.schema.as_ref(), lost)),
        ])
    });
    members.insert("headers", Value::Array(headers.collect()));
    Value::Map(members)
}

/// Writes a value and its schema.
pub(super) fn typed_json(typed: &Typed, lost: Lost) -> Value {
    object([
        ("schema", schema_or_null(typed.schema.as_ref())),
        ("value", value_json(&typed.value, typed.schema.as_ref(), lost)),
    ])
}

fn schema_or_null(schema: Option<&Schema>) -> Value {
    schema.map_or(Value::Null, |schema| schema_json(schema, None))
}

fn schema_json(schema: &Schema, field: Option<&str>) -> Value {
    if schema.kind == Kind::Any {
        return Value::Null;
    }
    let mut members = Members::new();
    if let Some(field) = field {
        members.insert("field", Value::string(field));
    }
    let name = match schema.kind {
        Kind::Float32 => "float32",
        Kind::Float64 => "float64",
        _ => schema.kind.json_name(),
    };
    members.insert("type", Value::string(name));
    members.insert("optional", Value::Boolean(schema.optional));
    if let Some(name) = &schema.name {
        members.insert("name", Value::string(name));
    }
    if let Some(version) = schema.version {
        members.insert("version", Value::Int32(version));
    }
    if let Some(doc) = &schema.doc {
        members.insert("doc", Value::string(doc));
    }
    if let Some(default) = &schema.default {
        members.insert("default", value_json(default, Some(schema), Lost::default()));
    }
    if !schema.parameters.is_empty() {
        let parameters = schema.parameters.iter().map(|(name, value)| (name.clone(), Value::string(value)));
        members.insert("parameters", Value::Map(parameters.collect()));
    }
    match &schema.kind {
        Kind::Array(of) => members.insert("items", schema_json(of, None)),
        Kind::Map(keys, values) => {
            members.insert("keys", schema_json(keys, None));
            members.insert("values", schema_json(values, None));
        }
        Kind::Struct(fields) => {
            let fields = fields.iter().map(|field| schema_json(&field.schema, Some(&field.name)));
            members.insert("fields", Value::Array(fields.collect()));
        }
        _ => {}
    }
    Value::Map(members)
}

fn value_json(value: &Value, schema: Option<&Schema>, lost: Lost) -> Value {
    let kind = schema.map(|schema| &schema.kind);
    let (tag, inner) = match value {
        Value::Null => return Value::Null,
        Value::Boolean(_) => ("boolean", value.clone()),
        Value::Int8(_) => ("int8", value.clone()),
        Value::Int16(_) => ("int16", value.clone()),
        Value::Int32(_) => ("int32", value.clone()),
        Value::Int64(_) => ("int64", value.clone()),
        Value::Float32(_) => ("float32", value.clone()),
        Value::Float64(_) => ("float64", value.clone()),
        Value::String(_) => ("string", value.clone()),
        Value::Bytes(_) => ("bytes", value.clone()),
        // What Connect makes of a number that came without a schema.
        Value::Number(text) if is_integral(text) => ("int64", Value::Int64(wrapping_i64(text))),
        Value::Number(text) => ("float64", Value::Float64(text.parse().unwrap_or(0.0))),
        Value::Array(items) => {
            let of = match kind {
                Some(Kind::Array(of)) => Some(&**of),
                _ => None,
            };
            ("array", Value::Array(items.iter().map(|item| value_json(item, of, lost)).collect()))
        }
        Value::Map(members) => {
            let values = match kind {
                Some(Kind::Map(_, values)) => Some(&**values),
                _ => None,
            };
            let pairs = members
                .iter()
                .map(|(name, value)| (object([("string", Value::string(name))]), value_json(value, values, lost)));
            ("map", sorted(pairs.collect()))
        }
        Value::Pairs(pairs) => {
            let (keys, values) = match kind {
                Some(Kind::Map(keys, values)) => (Some(&**keys), Some(&**values)),
                _ => (None, None),
            };
            let pairs = pairs.iter().map(|(key, value)| (value_json(key, keys, lost), value_json(value, values, lost)));
            ("map", sorted(pairs.collect()))
        }
        Value::Struct(members) => {
            let fields = match kind {
                // A field that is not there is null.
                Some(Kind::Struct(fields)) => fields
                    .iter()
                    .map(|field| {
                        let value = members.get(&field.name).unwrap_or(&Value::Null);
                        (field.name.clone(), value_json(value, Some(&field.schema), lost))
                    })
                    .collect(),
                _ => members.iter().map(|(name, value)| (name.to_owned(), value_json(value, None, lost))).collect(),
            };
            ("struct", Value::Map(fields))
        }
        Value::Date(_) | Value::Time(_) | Value::Timestamp(_) => {
            ("date", Value::Int64(value.date_millis().unwrap_or_default()))
        }
        Value::Decimal(decimal) => {
            let digits = Decimal { scale: 0, unscaled: decimal.unscaled.clone() }.to_text();
            if lost.bigint && decimal.scale == 0 && schema.and_then(Schema::logical).is_none() {
                ("bigint", Value::String(digits))
            } else {
                ("decimal", object([("unscaled", Value::String(digits)), ("scale", Value::Int32(decimal.scale))]))
            }
        }
    };
    object([(tag, inner)])
}

fn sorted(mut pairs: Vec<(Value, Value)>) -> Value {
    pairs.sort_by_cached_key(|(key, _)| key.to_json());
    Value::Array(pairs.into_iter().map(|(key, value)| Value::Array(vec![key, value])).collect())
}

/// Reads bytes of Kafka; none for null.
pub(super) fn bytes(json: &Value) -> Result<Option<Vec<u8>>> {
    match json {
        Value::Null => Ok(None),
        _ => BASE64.decode(text(json, "base64")?).map(Some).map_err(|_| "\"base64\" is not base64".to_owned()),
    }
}

/// Writes bytes of Kafka.
pub(super) fn bytes_json(bytes: Option<&[u8]>) -> Value {
    let Some(bytes) = bytes else { return Value::Null };
    let mut members = Members::new();
    members.insert("base64", Value::String(BASE64.encode(bytes)));
    if let Ok(text) = std::str::from_utf8(bytes) {
        members.insert("utf8", Value::string(text));
    }
    Value::Map(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_again() {
        for (schema, value) in [
            ("null", r#"{"map":[[{"int64":1},{"string":"a"}]]}"#),
            ("null", r#"{"map":[[{"string":"b"},{"bigint":"99999999999999999999"}]]}"#),
            ("null", r#"{"array":[{"float32":1.1},{"float64":"NaN"},null,{"date":5},{"int8":-1},{"bytes":"AQ=="}]}"#),
            (
                r#"{"type":"struct","optional":true,"name":"S","version":2,"doc":"d","parameters":{"p":"q"},"fields":[
                    {"field":"d","type":"int32","optional":false,"name":"org.apache.kafka.connect.data.Date","version":1,
                     "default":{"date":86400000}},
                    {"field":"a","type":"array","optional":true,"items":null}]}"#,
                r#"{"struct":{"d":{"date":0},"a":null}}"#,
            ),
        ] {
            let mut lost = Lost::default();
            let (schema, value) = (Value::from_json(schema).unwrap(), Value::from_json(value).unwrap());
            let read = typed(&schema, &value, &mut lost).unwrap();
            let normal = |json: &Value| serde_json::from_str::<serde_json::Value>(&json.to_json()).unwrap();
            let written = typed_json(&read, lost);
            assert_eq!(normal(member(&written, "schema")), normal(&schema));
            assert_eq!(normal(member(&written, "value")), normal(&value));
        }
    }

    #[test]
    fn what_is_no_value_is_said() {
        let read = |json: &str| value(&Value::from_json(json).unwrap(), None, &mut Lost::default()).unwrap_err();
        assert_eq!(read("5"), "a value has no type: 5");
        assert_eq!(read(r#"{"int8":300}"#), "no int8: 300");
        assert_eq!(read(r#"{"complex":1}"#), "there is no type \"complex\"");
        assert_eq!(read(r#"{"other":"java.lang.Object"}"#), "there are no values of java.lang.Object here");
    }
}
