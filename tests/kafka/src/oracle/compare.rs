//! Whether two answers to a question are the same: what Connect promises, and no more. Fields are compared by name, JSON as
//! JSON, a null that has a default is the default, and of errors their class and where they arise.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

/// The same, but for what is known to differ.
pub(super) fn same(question: &Value, connect: &Value, ours: &Value) -> bool {
    if let Some(error) = connect.get("error") {
        if error["at"] == "input" {
            return true;
        }
        let class = |error: &Value| match error["class"].as_str().unwrap_or_default() {
            // The second is one of the first to Java.
            "org.apache.kafka.connect.errors.SchemaBuilderException" => {
                "org.apache.kafka.connect.errors.DataException".to_owned()
            }
            other => other.to_owned(),
        };
        return ours.get("error").is_some_and(|own| own["at"] == error["at"] && class(own) == class(error));
    }
    if let Some(result) = connect.get("result") {
        return ours.get("result") == Some(result);
    }
    let Some(own) = ours.get("output") else { return false };
    let shown = match question.get("converter").is_some() {
        true => conversion,
        false => record,
    };
    let (own, connect) = (shown(own), shown(&connect["output"]));
    // Java writes more digits of a float than it takes to tell it from others.
    own == connect || question["input"].to_string().contains("float32") && singles(&own) == singles(&connect)
}

/// The same with the precision of a float.
fn singles(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64().map(|number| (number as f32 + 0.0).to_bits())),
        Value::Array(items) => items.iter().map(singles).collect(),
        Value::Object(members) => {
            Value::Object(members.iter().map(|(name, member)| (name.clone(), singles(member))).collect())
        }
        other => other.clone(),
    }
}

fn conversion(output: &Value) -> Value {
    match output.get("base64").and_then(Value::as_str) {
        Some(base64) => {
            let bytes = BASE64.decode(base64).unwrap_or_default();
            serde_json::from_slice(&bytes).map_or_else(|_| json!(base64), |value: Value| json!({ "json": value }))
        }
        None if output.is_null() => Value::Null,
        None => json!({ "schema": schema(&output["schema"]), "value": value(&output["value"], &output["schema"]) }),
    }
}

fn record(output: &Value) -> Value {
    if output.is_null() {
        return Value::Null;
    }
    let mut record = output.clone();
    for part in ["key", "value"] {
        record[part] = value(&output[part], &output[format!("{part}Schema")]);
        record[format!("{part}Schema")] = schema(&output[format!("{part}Schema")]);
    }
    let headers = output["headers"].as_array().into_iter().flatten();
    record["headers"] = headers
        .map(|header| json!([header["name"], schema(&header["schema"]), value(&header["value"], &header["schema"])]))
        .collect();
    record
}

/// Defaults are values, and fields have an order that nobody promises.
fn schema(of: &Value) -> Value {
    let Value::Object(members) = of else { return of.clone() };
    let mut shown = Map::new();
    for (name, member) in members {
        let member = match name.as_str() {
            "items" | "keys" | "values" => schema(member),
            "default" => value(member, of),
            "fields" => {
                let mut fields: Vec<Value> = member.as_array().into_iter().flatten().map(schema).collect();
                fields.sort_by_key(|field| field["field"].to_string());
                json!(fields)
            }
            _ => member.clone(),
        };
        shown.insert(name.clone(), member);
    }
    Value::Object(shown)
}

fn value(of: &Value, schema: &Value) -> Value {
    let tagged = match of {
        Value::Object(tagged) => tagged,
        // Without a default there is nothing in its place.
        _ => return schema.get("default").map_or(Value::Null, |default| value(default, &Value::Null)),
    };
    let Some((tag, inner)) = tagged.iter().next() else { return of.clone() };
    match (tag.as_str(), inner) {
        // An integer of any size is a decimal without fraction here.
        ("bigint", digits) => json!({ "decimal": { "unscaled": digits, "scale": 0 } }),
        ("float32", Value::Number(number)) => {
            json!({ "float32": number.as_f64().map(|number| (number as f32 + 0.0).to_bits()) })
        }
        ("array", Value::Array(items)) => {
            json!({ "array": items.iter().map(|item| value(item, &schema["items"])).collect::<Vec<_>>() })
        }
        ("map", Value::Array(pairs)) => {
            let mut pairs: Vec<Value> = pairs
                .iter()
                .map(|pair| json!([value(&pair[0], &schema["keys"]), value(&pair[1], &schema["values"])]))
                .collect();
            pairs.sort_by_key(|pair| pair[0].to_string());
            json!({ "map": pairs })
        }
        ("struct", Value::Object(fields)) => {
            let of = |name: &str| {
                let fields = schema["fields"].as_array().into_iter().flatten();
                fields.into_iter().find(|field| field["field"] == name).cloned().unwrap_or_default()
            };
            let fields = fields.iter().map(|(name, field)| (name.clone(), value(field, &of(name))));
            json!({ "struct": fields.collect::<Map<_, _>>() })
        }
        _ => of.clone(),
    }
}
