//! Nested values as JSON text: what a column holds where Connect has an array, a map or a struct. Pure.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tidegate_sdk::{Value, serde_json};

/// The JSON of a value. Bytes are base64, decimals are numbers, dates and times their numbers, infinities and NaN strings, a
/// map whose keys are not strings a list of pairs.
pub(crate) fn text(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Boolean(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int8(number) => out.push_str(&number.to_string()),
        Value::Int16(number) => out.push_str(&number.to_string()),
        Value::Int32(number) | Value::Date(number) | Value::Time(number) => out.push_str(&number.to_string()),
        Value::Int64(number) | Value::Timestamp(number) => out.push_str(&number.to_string()),
        Value::Float32(number) => float(f64::from(*number), &number.to_string(), out),
        Value::Float64(number) => float(*number, &number.to_string(), out),
        Value::String(text) => string(text, out),
        Value::Bytes(bytes) => string(&BASE64_STANDARD.encode(bytes), out),
        Value::Number(text) => out.push_str(text),
        Value::Array(items) => list(items, out, write),
        Value::Map(fields) | Value::Struct(fields) => {
            out.push('{');
            for (index, (name, value)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                string(name, out);
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
        Value::KeyedMap(pairs) => list(pairs, out, |(key, value), out| {
            out.push('[');
            write(key, out);
            out.push(',');
            write(value, out);
            out.push(']');
        }),
        Value::Decimal { scale, unscaled } => out.push_str(&decimal(unscaled, *scale)),
    }
}

fn list<T>(items: &[T], out: &mut String, each: impl Fn(&T, &mut String)) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        each(item, out);
    }
    out.push(']');
}

fn string(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

fn float(number: f64, digits: &str, out: &mut String) {
    if number.is_nan() {
        out.push_str("\"NaN\"");
    } else if number.is_infinite() {
        out.push_str(if number > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" });
    } else {
        out.push_str(digits);
    }
}

/// The digits of `unscaled` × 10^-`scale`, as Java's `toPlainString`. `unscaled` is two's complement, big-endian.
pub(crate) fn decimal(unscaled: &[u8], scale: i32) -> String {
    let negative = unscaled.first().is_some_and(|first| *first >= 0x80);
    let mut magnitude = unscaled.to_vec();
    if negative {
        let mut carry = true;
        for byte in magnitude.iter_mut().rev() {
            let (value, carried) = (!*byte).overflowing_add(carry.into());
            (*byte, carry) = (value, carried);
        }
    }
    let mut digits = Vec::new();
    while magnitude.iter().any(|byte| *byte != 0) {
        let mut rest = 0u16;
        for byte in &mut magnitude {
            let value = rest << 8 | u16::from(*byte);
            *byte = (value / 10) as u8;
            rest = value % 10;
        }
        digits.push(b'0' + rest as u8);
    }
    let whole_zeros = usize::try_from(-i64::from(scale)).unwrap_or(0);
    let fraction = usize::try_from(scale).unwrap_or(0);
    if !digits.is_empty() {
        digits.splice(0..0, std::iter::repeat_n(b'0', whole_zeros));
    }
    while digits.len() <= fraction {
        digits.push(b'0');
    }
    if fraction > 0 {
        digits.insert(fraction, b'.');
    }
    if negative {
        digits.push(b'-');
    }
    digits.iter().rev().map(|digit| char::from(*digit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_every_digit() {
        let shown = |unscaled: i128, scale| decimal(&unscaled.to_be_bytes(), scale);
        assert_eq!(shown(12345, 2), "123.45");
        assert_eq!(shown(-5, 3), "-0.005");
        assert_eq!(shown(0, 2), "0.00");
        assert_eq!(shown(7, -3), "7000");
        assert_eq!(shown(i128::MIN, 10), "-17014118346046923173168730371.5884105728");
        assert_eq!(decimal(&[0xFF], 0), "-1");
    }

    #[test]
    fn what_is_nested_becomes_json() {
        let value = Value::Struct(vec![
            ("a\"".into(), Value::Array(vec![Value::Int8(1), Value::Null, Value::Boolean(true)])),
            ("b".into(), Value::KeyedMap(vec![(Value::Int32(1), Value::Bytes(vec![1, 2]))])),
            ("c".into(), Value::Float64(f64::NAN)),
            ("d".into(), Value::Number("1e2".into())),
        ]);
        assert_eq!(text(&value), r#"{"a\"":[1,null,true],"b":[[1,"AQI="]],"c":"NaN","d":1e2}"#);
    }
}
