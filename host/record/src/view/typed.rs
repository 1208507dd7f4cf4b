//! Whether a JSON text is written just as its schema wants it, so that it can stay as it is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::Schema;
use crate::json::scan::{skip_space, value};
use crate::number::is_integral;
use crate::schema::{Kind, Logical};
use crate::value::DAY_MILLIS;

/// True only if reading `text` as `schema` gives a value that would be written as `text` again, but for white space,
/// escapes and the digits of numbers. Where it is false the text may still be readable (a default that is missing, a
/// number for a string): then the slow path decides. `text` has been accepted by the scanner.
pub(super) fn fits(text: &[u8], schema: &Schema) -> bool {
    let first = text.first().copied().unwrap_or(0);
    if first == b'n' {
        return schema.optional && schema.default.is_none();
    }
    if schema.name.is_some() && schema.logical().is_some() {
        return match schema.kind {
            // Decimals have two forms; dates and times are integers of their type.
            Kind::Int32 if schema.logical() == Some(Logical::Time) => integer(text, 0, DAY_MILLIS),
            Kind::Int32 => integer(text, i64::from(i32::MIN), i64::from(i32::MAX)),
            Kind::Int64 => integer(text, i64::MIN, i64::MAX),
            _ => false,
        };
    }
    match &schema.kind {
        Kind::Int8 => integer(text, i64::from(i8::MIN), i64::from(i8::MAX)),
        Kind::Int16 => integer(text, i64::from(i16::MIN), i64::from(i16::MAX)),
        Kind::Int32 => integer(text, i64::from(i32::MIN), i64::from(i32::MAX)),
        Kind::Int64 => integer(text, i64::MIN, i64::MAX),
        Kind::Float32 | Kind::Float64 => first == b'-' || first.is_ascii_digit(),
        Kind::Boolean => first == b't' || first == b'f',
        Kind::String => first == b'"',
        Kind::Bytes => first == b'"' && BASE64.decode(&text[1..text.len() - 1]).is_ok(),
        Kind::Array(items) => first == b'[' && array(text, |item| fits(item, items)),
        Kind::Map(keys, values) => {
            keys.kind == Kind::String && first == b'{' && object(text, |_, value| fits(value, values))
        }
        Kind::Struct(fields) => {
            let mut found = 0;
            first == b'{'
                && object(text, |name, value| {
                    // A name with escapes is not found here, and that is a case for the slow path.
                    fields.iter().find(|field| field.name.as_bytes() == name).is_some_and(|field| {
                        found += 1;
                        fits(value, &field.schema)
                    })
                })
                && found == fields.len()
        }
        // Only header values have such a schema, and those are trees.
        Kind::Any => false,
    }
}

fn integer(text: &[u8], min: i64, max: i64) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    is_integral(text) && text.parse::<i64>().is_ok_and(|value| (min..=max).contains(&value))
}

/// Whether `holds` is true of each item.
pub(super) fn array(text: &[u8], mut holds: impl FnMut(&[u8]) -> bool) -> bool {
    let mut at = skip_space(text, 1);
    while text.get(at).is_some_and(|&byte| byte != b']') {
        let Ok(end) = value(text, at, 0) else { return false };
        if !holds(&text[at..end]) {
            return false;
        }
        at = skip_space(text, end);
        if text.get(at) == Some(&b',') {
            at = skip_space(text, at + 1);
        }
    }
    true
}

/// Whether `holds` is true of each member, given the inside of its name (escapes included) and its value.
pub(super) fn object(text: &[u8], mut holds: impl FnMut(&[u8], &[u8]) -> bool) -> bool {
    let mut at = skip_space(text, 1);
    while text.get(at) == Some(&b'"') {
        let Ok(behind) = value(text, at, 0) else { return false };
        let name = &text[at + 1..behind - 1];
        // Behind the name there is a colon.
        at = skip_space(text, skip_space(text, behind) + 1);
        let Ok(end) = value(text, at, 0) else { return false };
        if !holds(name, &text[at..end]) {
            return false;
        }
        at = skip_space(text, end);
        if text.get(at) == Some(&b',') {
            at = skip_space(text, at + 1);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_fits_its_schema_or_takes_the_slow_path() {
        let schema = |text: &str| Schema::from_json(text).unwrap();
        for (text, json, expected) in [
            ("1", r#"{"type":"int8"}"#, true),
            ("128", r#"{"type":"int8"}"#, false),
            ("1.0", r#"{"type":"int8"}"#, false),
            ("9223372036854775807", r#"{"type":"int64"}"#, true),
            ("9223372036854775808", r#"{"type":"int64"}"#, false),
            ("null", r#"{"type":"int64"}"#, false),
            ("null", r#"{"type":"int64","optional":true}"#, true),
            ("null", r#"{"type":"int64","optional":true,"default":1}"#, false),
            ("1", r#"{"type":"double"}"#, true),
            (r#""1""#, r#"{"type":"double"}"#, false),
            (r#""QQ==""#, r#"{"type":"bytes"}"#, true),
            (r#""Q""#, r#"{"type":"bytes"}"#, false),
            ("[ 1 , 2 ]", r#"{"type":"array","items":{"type":"int8"}}"#, true),
            ("[1,200]", r#"{"type":"array","items":{"type":"int8"}}"#, false),
            ("[]", r#"{"type":"array","items":{"type":"int8"}}"#, true),
            (r#"{"a" : 1}"#, r#"{"type":"map","keys":{"type":"string"},"values":{"type":"int8"}}"#, true),
            (r#"{"a":true}"#, r#"{"type":"map","keys":{"type":"string"},"values":{"type":"int8"}}"#, false),
            (r#"{"a":1}"#, r#"{"type":"struct","fields":[{"field":"a","type":"int8"}]}"#, true),
            (r#"{}"#, r#"{"type":"struct","fields":[{"field":"a","type":"int8"}]}"#, false),
            (r#"{"a":1,"b":2}"#, r#"{"type":"struct","fields":[{"field":"a","type":"int8"}]}"#, false),
            ("1", r#"{"type":"int64","name":"org.apache.kafka.connect.data.Timestamp","version":1}"#, true),
        ] {
            assert_eq!(fits(text.as_bytes(), &schema(json)), expected, "{text} as {json}");
        }
    }
}
