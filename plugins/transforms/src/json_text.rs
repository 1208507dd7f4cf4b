//! JSON texts and values, for the transforms that turn one into the other. Numbers keep their digits.

use crate::java_number::Decimal;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use tidegate_sdk::Value;

/// As deep as the batch format goes, less the places around a value.
pub(crate) const DEPTH_MAX: usize = 60;

/// Reads one JSON value. Of two members with one name the last counts, in the place of the first.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.space();
    match reader.at == text.len() {
        true => Ok(value),
        false => Err(reader.wrong("nothing after the value")),
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
    }

    fn wrong(&self, expected: &str) -> String {
        format!("not JSON at byte {}: expected {expected}", self.at)
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > DEPTH_MAX {
            return Err(format!("JSON is nested more deeply than {DEPTH_MAX} levels"));
        }
        self.space();
        match self.peek() {
            b'{' => self.object(depth),
            b'[' => {
                let mut items = Vec::new();
                self.each(b']', |reader| {
                    items.push(reader.value(depth + 1)?);
                    Ok(())
                })?;
                Ok(Value::Array(items))
            }
            b'"' => Ok(Value::String(self.string()?)),
            b'-' | b'0'..=b'9' => self.number(),
            _ => {
                for (word, value) in
                    [("null", Value::Null), ("true", Value::Boolean(true)), ("false", Value::Boolean(false))]
                {
                    if self.text[self.at..].starts_with(word) {
                        self.at += word.len();
                        return Ok(value);
                    }
                }
                Err(self.wrong("a value"))
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, String> {
        let mut members: Vec<(String, Value)> = Vec::new();
        let mut places: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
        self.each(b'}', |reader| {
            if reader.peek() != b'"' {
                return Err(reader.wrong("a name"));
            }
            let name = reader.string()?;
            reader.space();
            if reader.peek() != b':' {
                return Err(reader.wrong("`:` after a name"));
            }
            reader.at += 1;
            let value = reader.value(depth + 1)?;
            match places.get(&name) {
                Some(&at) => members[at].1 = value,
                None => {
                    places.insert(name.clone(), members.len());
                    members.push((name, value));
                }
            }
            Ok(())
        })?;
        Ok(Value::Map(members))
    }

    /// What stands between brackets, separated by commas.
    fn each(&mut self, end: u8, mut item: impl FnMut(&mut Self) -> Result<(), String>) -> Result<(), String> {
        self.at += 1;
        self.space();
        if self.peek() == end {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.space();
            item(self)?;
            self.space();
            self.at += 1;
            match self.text.as_bytes().get(self.at - 1) {
                Some(b',') => {}
                Some(&byte) if byte == end => return Ok(()),
                _ => {
                    self.at -= 1;
                    return Err(self.wrong("`,` or a closing bracket"));
                }
            }
        }
    }

    /// A string from its quote on; escapes are serde's business.
    fn string(&mut self) -> Result<String, String> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut at = start + 1;
        loop {
            match bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => at += 2,
                Some(_) => at += 1,
                None => return Err(self.wrong("the end of a string")),
            }
        }
        let quoted = self.text.get(start..=at).ok_or_else(|| self.wrong("a string"))?;
        let text = tidegate_sdk::serde_json::from_str(quoted)
            .map_err(|error| format!("{}: {error}", self.wrong("a string")))?;
        self.at = at + 1;
        Ok(text)
    }

    fn number(&mut self) -> Result<Value, String> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E')).unwrap_or(rest.len());
        let number = &rest[..end];
        if !is_number(number) {
            return Err(self.wrong("a number"));
        }
        self.at += end;
        Ok(Value::Number(number.to_owned()))
    }
}

fn is_number(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(digits)
}

/// Appends the JSON of a value: bytes as base64, dates and times as their numbers, decimals as numbers, what JSON has no number
/// for as the words of the batch format, and a map whose keys are not all texts as an array of pairs.
pub(crate) fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Boolean(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int8(number) => out.push_str(&number.to_string()),
        Value::Int16(number) => out.push_str(&number.to_string()),
        Value::Int32(number) | Value::Date(number) | Value::Time(number) => out.push_str(&number.to_string()),
        Value::Int64(number) | Value::Timestamp(number) => out.push_str(&number.to_string()),
        Value::Float32(number) => float(number.is_finite(), &format!("{number:?}"), out),
        Value::Float64(number) => float(number.is_finite(), &format!("{number:?}"), out),
        Value::Number(number) => out.push_str(number),
        Value::String(text) => quoted(text, out),
        Value::Bytes(bytes) => quoted(&BASE64.encode(bytes), out),
        Value::Array(items) => list('[', ']', items, out, write),
        Value::Map(members) | Value::Struct(members) => list('{', '}', members, out, |(name, member), out| {
            quoted(name, out);
            out.push(':');
            write(member, out);
        }),
        Value::KeyedMap(pairs) => list('[', ']', pairs, out, |(key, value), out| {
            out.push('[');
            write(key, out);
            out.push(',');
            write(value, out);
            out.push(']');
        }),
        Value::Decimal { scale, unscaled } => out.push_str(&Decimal::new(*scale, unscaled).text()),
    }
}

fn list<T>(open: char, close: char, items: &[T], out: &mut String, mut item: impl FnMut(&T, &mut String)) {
    out.push(open);
    for (at, one) in items.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        item(one, out);
    }
    out.push(close);
}

fn float(is_finite: bool, text: &str, out: &mut String) {
    match (is_finite, text) {
        (true, text) => out.push_str(text),
        (_, "NaN") => out.push_str("\"NaN\""),
        (_, "inf") => out.push_str("\"Infinity\""),
        _ => out.push_str("\"-Infinity\""),
    }
}

fn quoted(text: &str, out: &mut String) {
    out.push_str(&tidegate_sdk::serde_json::Value::from(text).to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(text: &str) -> String {
        match parse(text) {
            Ok(value) => {
                let mut out = String::new();
                write(&value, &mut out);
                out
            }
            Err(message) => message,
        }
    }

    #[test]
    fn json_is_read_and_written_with_its_digits_and_names_in_order() {
        let text = r#"{"b":[1.10,-0,1e400,123456789012345678901234],"a":{"":null,"\u00e9\n":true}}"#;
        assert_eq!(again(text), r#"{"b":[1.10,-0,1e400,123456789012345678901234],"a":{"":null,"é\n":true}}"#);
        assert_eq!(again(" [ ] "), "[]");
        assert_eq!(again(r#"{"a":1,"b":2,"a":3}"#), r#"{"a":3,"b":2}"#);
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_place() {
        for (text, expected) in [
            ("", "not JSON at byte 0: expected a value"),
            ("[1,]", "not JSON at byte 3: expected a value"),
            ("{\"a\" 1}", "not JSON at byte 5: expected `:` after a name"),
            ("01", "not JSON at byte 0: expected a number"),
            ("1.", "not JSON at byte 0: expected a number"),
            ("[1 2]", "not JSON at byte 3: expected `,` or a closing bracket"),
            ("1 x", "not JSON at byte 2: expected nothing after the value"),
            ("\"a", "not JSON at byte 0: expected the end of a string"),
            ("nul", "not JSON at byte 0: expected a value"),
            ("{1:2}", "not JSON at byte 1: expected a name"),
        ] {
            assert_eq!(again(text), expected, "{text}");
        }
        assert!(again("\"\\ud800\"").starts_with("not JSON at byte 0"));
        assert_eq!(again(&"[".repeat(100_000)), "JSON is nested more deeply than 60 levels");
    }
}
