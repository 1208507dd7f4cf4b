//! From a Connect schema to the JSON schema that is registered.

use serde_json::{Map, Value as Json, json};
use tidegate_record::Schema;
use tidegate_record::schema::{Kind, Logical};
use tidegate_record::value::Value;

use super::{ENUM, NAMESPACE, Options, is_one_of, values};

/// The JSON schema; `index` is the place among the fields of a struct.
pub(super) fn json(schema: &Schema, index: Option<usize>, options: &Options) -> Result<Json, String> {
    if is_one_of(schema) {
        let mut types = Vec::new();
        if schema.optional {
            types.push(json!({"type": "null"}));
        }
        for (at, field) in schema.fields().iter().enumerate() {
            types.push(required(&field.schema, Some(at), options)?);
        }
        return Ok(with_index(json!({"oneOf": types}), index));
    }
    if !schema.optional || !options.oneof_for_nullables {
        return required(schema, index, options);
    }
    let own = required(schema, None, options)?;
    Ok(with_index(json!({"oneOf": [{"type": "null"}, own]}), index))
}

fn with_index(mut json: Json, index: Option<usize>) -> Json {
    if let (Some(index), Json::Object(members)) = (index, &mut json) {
        members.insert("connect.index".to_owned(), json!(index));
    }
    json
}

/// The JSON schema as if null were no value.
fn required(schema: &Schema, index: Option<usize>, options: &Options) -> Result<Json, String> {
    let mut all = Map::new();
    let mut put = |name: &str, value: Json| {
        all.insert(name.to_owned(), value);
    };
    match &schema.kind {
        Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64 => {
            put("type", json!("integer"));
            put("connect.type", json!(schema.kind.json_name()));
        }
        Kind::Float32 | Kind::Float64 => {
            let name = if schema.kind == Kind::Float32 { "float32" } else { "float64" };
            put("type", json!("number"));
            put("connect.type", json!(name));
        }
        Kind::Boolean => put("type", json!("boolean")),
        Kind::String if schema.parameter(ENUM).is_some() => {
            let prefix = format!("{ENUM}.");
            let symbols = schema.parameters.iter().filter(|(name, _)| name.starts_with(&prefix));
            put("enum", symbols.map(|(_, symbol)| json!(symbol)).collect());
        }
        Kind::String => put("type", json!("string")),
        Kind::Bytes => {
            let is_number = schema.logical() == Some(Logical::Decimal);
            put("type", json!(if is_number { "number" } else { "string" }));
            put("connect.type", json!("bytes"));
        }
        Kind::Array(items) => {
            put("type", json!("array"));
            put("items", json(items, None, options)?);
        }
        Kind::Map(keys, of) if keys.kind == Kind::String && !keys.optional => {
            put("type", json!("object"));
            put("additionalProperties", json(of, None, options)?);
            put("connect.type", json!("map"));
        }
        Kind::Map(keys, of) => {
            let (key, value) = (json(keys, Some(0), options)?, json(of, Some(1), options)?);
            put("type", json!("array"));
            put("items", json!({"type": "object", "properties": {"key": key, "value": value}}));
            put("connect.type", json!("map"));
        }
        Kind::Struct(fields) => {
            let mut properties = Map::with_capacity(fields.len());
            let mut needed = Vec::new();
            for (at, field) in fields.iter().enumerate() {
                let own = json(&field.schema, Some(at), options)
                    .map_err(|error| format!("field \"{}\": {error}", field.name))?;
                properties.insert(field.name.clone(), own);
                if !field.schema.optional {
                    needed.push(json!(field.name));
                }
            }
            put("type", json!("object"));
            put("properties", Json::Object(properties));
            if options.optional_for_nonrequired && !needed.is_empty() {
                put("required", Json::Array(needed));
            }
            if !options.additional_properties {
                put("additionalProperties", json!(false));
            }
        }
        Kind::Any => return Err("a part without a schema inside one that has a schema".to_owned()),
    }
    if let Some(name) = &schema.name {
        put("title", json!(name));
    }
    if let Some(version) = schema.version {
        put("connect.version", json!(version));
    }
    if let Some(doc) = &schema.doc {
        put("description", json!(doc));
    }
    let parameters: Map<String, Json> = schema
        .parameters
        .iter()
        .filter(|(name, _)| !name.starts_with(NAMESPACE))
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    if !parameters.is_empty() {
        put("connect.parameters", Json::Object(parameters));
    }
    if let Some(default) = &schema.default {
        put("default", default_json(default, schema, options)?);
    }
    Ok(with_index(Json::Object(all), index))
}

fn default_json(default: &Value, schema: &Schema, options: &Options) -> Result<Json, String> {
    let mut text = Vec::new();
    values::write(default, schema, &options.of_values(), &mut text)?;
    serde_json::from_slice(&text).map_err(|error| format!("the default cannot be written: {error}"))
}
