//! `Object.toString` of a value.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{date, number};
use crate::schema::{Kind, Schema};
use crate::value::Value;

/// Appends what Java's `toString` gives. Bytes have no text in Java but the address of the array; here they are base64.
pub(crate) fn to_string(value: &Value, schema: Option<&Schema>, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Boolean(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int8(value) => out.push_str(&value.to_string()),
        Value::Int16(value) => out.push_str(&value.to_string()),
        Value::Int32(value) => out.push_str(&value.to_string()),
        Value::Int64(value) => out.push_str(&value.to_string()),
        Value::Float32(value) => out.push_str(&number::float(*value)),
        Value::Float64(value) => out.push_str(&number::double(*value)),
        Value::String(text) | Value::Number(text) => out.push_str(text),
        Value::Bytes(bytes) => BASE64.encode_string(bytes, out),
        Value::Decimal(decimal) => out.push_str(&decimal.to_text()),
        Value::Date(_) | Value::Time(_) | Value::Timestamp(_) => {
            out.push_str(&date::to_string(value.date_millis().unwrap_or_default()));
        }
        Value::Array(items) => {
            let of = match schema.map(|schema| &schema.kind) {
                Some(Kind::Array(of)) => Some(&**of),
                _ => None,
            };
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                separate(at, ", ", out);
                to_string(item, of, out);
            }
            out.push(']');
        }
        Value::Map(members) => {
            let of = map_of(schema).map(|(_, values)| values);
            out.push('{');
            for (at, (name, value)) in members.iter().enumerate() {
                separate(at, ", ", out);
                out.push_str(name);
                out.push('=');
                to_string(value, of, out);
            }
            out.push('}');
        }
        Value::Pairs(pairs) => {
            let (keys, values) = map_of(schema).unzip();
            out.push('{');
            for (at, (key, value)) in pairs.iter().enumerate() {
                separate(at, ", ", out);
                to_string(key, keys, out);
                out.push('=');
                to_string(value, values, out);
            }
            out.push('}');
        }
        Value::Struct(members) => {
            out.push_str("Struct{");
            let mut written = 0;
            let mut field = |name: &str, value: &Value, of: Option<&Schema>| {
                if *value != Value::Null {
                    separate(written, ",", out);
                    written += 1;
                    out.push_str(name);
                    out.push('=');
                    to_string(value, of, out);
                }
            };
            match schema.map(|schema| &schema.kind) {
                Some(Kind::Struct(fields)) => fields.iter().for_each(|own| {
                    field(&own.name, members.get(&own.name).unwrap_or(&Value::Null), Some(&own.schema));
                }),
                _ => members.iter().for_each(|(name, value)| field(name, value, None)),
            }
            out.push('}');
        }
    }
}

fn map_of(schema: Option<&Schema>) -> Option<(&Schema, &Schema)> {
    match schema.map(|schema| &schema.kind) {
        Some(Kind::Map(keys, values)) => Some((keys, values)),
        _ => None,
    }
}

fn separate(at: usize, separator: &str, out: &mut String) {
    if at > 0 {
        out.push_str(separator);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(schema: &str, payload: &str, expected: Expect) {
        let mut out = String::new();
        let schema = (!schema.is_empty()).then(|| Schema::from_json(schema).unwrap());
        let value = match &schema {
            Some(schema) => Value::from_json_with(payload, schema, &Default::default()),
            None => Value::from_json(payload),
        };
        to_string(&value.unwrap(), schema.as_ref(), &mut out);
        expected.assert_eq(&out);
    }

    #[test]
    fn collections_and_structs_look_as_in_java() {
        check("", r#"{"a":null,"b":[1,"x",true],"c":{}}"#, expect!["{a=null, b=[1, x, true], c={}}"]);
        check(
            r#"{"type":"struct","fields":[{"field":"f","type":"float"},{"field":"o","type":"int8","optional":true},
                {"field":"d","type":"int32","name":"org.apache.kafka.connect.data.Date"},
                {"field":"m","type":"map","keys":{"type":"int8"},"values":{"type":"double"}}]}"#,
            r#"{"f":1e10,"d":1,"m":[[1,2]]}"#,
            expect!["Struct{f=1.0E10,d=Fri Jan 02 00:00:00 UTC 1970,m={1=2.0}}"],
        );
    }
}
