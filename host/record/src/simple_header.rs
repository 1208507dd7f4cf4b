//! Header values as text whose type is guessed: Connect's SimpleHeaderConverter (`Values.parseString` and
//! `Values.convertToString`).
//!
//! Guessing is Connect's, with its edges: the smallest integer that holds the number, a float32 for every fraction that is
//! finite in one, ISO dates, arrays and maps whose items take a common type if they have one. A text that begins like
//! something else than it ends as is a string.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::decimal::Decimal;
use crate::java::{date, number};
use crate::schema::{Kind, Logical, Schema};
use crate::tlv::NESTING_MAX;
use crate::value::{DAY_MILLIS, Members, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

/// A value and its schema; none for null.
type Guess = Option<(Schema, Value)>;

/// The value that a text means; none for null.
pub(crate) fn parse(text: &str) -> Guess {
    if text.is_empty() {
        return Some((Schema::new(Kind::String), Value::string("")));
    }
    let mut parser = Parser { text, at: 0, next: None, depth: 0 };
    // Only what is inside an array or a map can be neither.
    parser.value(false).unwrap_or_else(|NoValue| Some((Schema::new(Kind::String), Value::string(text))))
}

/// Appends a value as text. The error is Connect's.
pub(crate) fn write(value: &Value, schema: Option<&Schema>, out: &mut String) {
    append(value, schema, false, out);
}

fn append(value: &Value, schema: Option<&Schema>, is_inside: bool, out: &mut String) {
    let mut quoted = |text: &str| {
        if is_inside {
            out.push('"');
            out.push_str(text);
            out.push('"');
        } else {
            out.push_str(text);
        }
    };
    match value {
        Value::Null => out.push_str("null"),
        Value::Boolean(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int8(value) => out.push_str(&value.to_string()),
        Value::Int16(value) => out.push_str(&value.to_string()),
        Value::Int32(value) => out.push_str(&value.to_string()),
        Value::Int64(value) => out.push_str(&value.to_string()),
        Value::Float32(value) => out.push_str(&number::float(*value)),
        Value::Float64(value) => out.push_str(&number::double(*value)),
        Value::Number(text) => out.push_str(text),
        Value::Decimal(decimal) => out.push_str(&decimal.to_text()),
        Value::String(text) if is_inside => quoted(&text.replace('\\', "\\\\").replace('"', "\\\"")),
        Value::String(text) => out.push_str(text),
        Value::Bytes(bytes) => quoted(&BASE64.encode(bytes)),
        Value::Date(_) | Value::Time(_) | Value::Timestamp(_) => {
            out.push_str(&date::to_iso(value.date_millis().unwrap_or_default()));
        }
        Value::Array(items) => {
            let of = match schema.map(|schema| &schema.kind) {
                Some(Kind::Array(of)) => Some(&**of),
                _ => None,
            };
            list("[]", items, out, |item, out| append(item, of, true, out));
        }
        Value::Map(members) => {
            let of = parts(schema).map(|(_, values)| values);
            list("{}", members.iter(), out, |(name, value), out| {
                append(&Value::string(name), None, true, out);
                out.push(':');
                append(value, of, true, out);
            });
        }
        Value::Pairs(pairs) => {
            let (keys, values) = parts(schema).unzip();
            list("{}", pairs, out, |(key, value), out| {
                append(key, keys, true, out);
                out.push(':');
                append(value, values, true, out);
            });
        }
        Value::Struct(members) => {
            let fields: Vec<(&str, &Value, Option<&Schema>)> = match schema.map(|schema| &schema.kind) {
                Some(Kind::Struct(fields)) => fields
                    .iter()
                    .map(|field| {
                        let value = members.get(&field.name).filter(|value| **value != Value::Null);
                        let value = value.or(field.schema.default.as_ref()).unwrap_or(&Value::Null);
                        (&*field.name, value, Some(&*field.schema))
                    })
                    .collect(),
                _ => members.iter().map(|(name, value)| (name, value, None)).collect(),
            };
            list("{}", fields, out, |(name, value, schema), out| {
                append(&Value::string(name), None, true, out);
                out.push(':');
                append(value, schema, true, out);
            });
        }
    }
}

fn parts(schema: Option<&Schema>) -> Option<(&Schema, &Schema)> {
    match schema.map(|schema| &schema.kind) {
        Some(Kind::Map(keys, values)) => Some((keys, values)),
        _ => None,
    }
}

fn list<T>(ends: &str, items: impl IntoIterator<Item = T>, out: &mut String, mut item: impl FnMut(T, &mut String)) {
    out.push_str(&ends[..1]);
    for (at, each) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        item(each, out);
    }
    out.push_str(&ends[1..]);
}

/// The text in hand is not what it began as.
struct NoValue;

/// Reads tokens: delimiters, and what stands between them with its escapes.
struct Parser<'t> {
    text: &'t str,
    at: usize,
    /// A token that was looked at and not taken yet; it ends at `at`.
    next: Option<&'t str>,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn value(&mut self, is_inside: bool) -> Result<Guess, NoValue> {
        if !self.has_next() {
            return Ok(None);
        }
        if is_inside && self.takes("\"") {
            return Ok(Some(self.quoted()));
        }
        if self.takes_literal("null", is_inside) {
            return Ok(None);
        }
        for (literal, value) in [("true", true), ("false", false)] {
            if self.takes_literal(literal, is_inside) {
                return Ok(Some((Schema::new(Kind::Boolean), Value::Boolean(value))));
            }
        }
        let start = self.mark();
        let collection = if self.depth >= NESTING_MAX - 1 {
            None
        } else if self.takes("[") {
            Some(self.nested(Self::array))
        } else if self.takes("{") {
            Some(self.nested(Self::map))
        } else {
            None
        };
        match collection {
            Some(Ok(value)) => return Ok(Some(value)),
            Some(Err(NoValue)) => self.rewind(start),
            None => {}
        }
        let token = self.token();
        let trimmed = java_trim(token);
        if trimmed.is_empty() {
            return Ok(Some((Schema::new(Kind::String), Value::string(token))));
        }
        if trimmed.starts_with(|c: char| c.is_ascii_digit())
            && let Some(temporal) = self.temporal(trimmed)
        {
            return Ok(Some(temporal));
        }
        if trimmed.starts_with(|c: char| c.is_ascii_digit() || c == '+' || c == '-')
            && let Some(number) = number_of(trimmed)
        {
            return Ok(Some(number));
        }
        if is_inside {
            return Err(NoValue);
        }
        Ok(Some((Schema::new(Kind::String), Value::string(self.text))))
    }

    fn nested(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<(Schema, Value), NoValue>,
    ) -> Result<(Schema, Value), NoValue> {
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn array(&mut self) -> Result<(Schema, Value), NoValue> {
        let (mut items, mut common) = (Vec::new(), Common::default());
        while self.has_next() {
            if self.takes("]") {
                let of = common.schema();
                if let Some(of) = &of {
                    // Connect finds that it is none of the type, and takes the whole for a text.
                    if items.iter().any(|item| is_foreign(item, of)) {
                        return Err(NoValue);
                    }
                    items.iter_mut().for_each(|item| align(item, of));
                }
                let of = of.unwrap_or_else(Schema::any);
                return Ok((Schema::new(Kind::Array(of.into())), Value::Array(items)));
            }
            if self.takes(",") {
                return Err(NoValue);
            }
            let item = self.value(true)?;
            common.add(&item);
            items.push(item.map_or(Value::Null, |(_, value)| value));
            let at = self.mark();
            if self.takes("]") {
                self.rewind(at);
            } else if !self.takes(",") {
                return Err(NoValue);
            }
        }
        Err(NoValue)
    }

    fn map(&mut self) -> Result<(Schema, Value), NoValue> {
        let (mut pairs, mut keys, mut values) = (Vec::<(Value, Value)>::new(), Common::default(), Common::default());
        // Numbers of one value are different keys where their types are, and so they are by these texts.
        let mut places: HashMap<String, usize> = HashMap::new();
        while self.has_next() {
            if self.takes("}") {
                let (keys, values) = (keys.schema(), values.schema());
                // Without a common type of the keys Connect gives up on that of the values.
                let values = values.filter(|_| keys.is_some());
                if let Some(values) = &values
                    && pairs.iter().any(|(_, value)| is_foreign(value, values))
                {
                    return Err(NoValue);
                }
                for (key, value) in &mut pairs {
                    if let Some(keys) = &keys {
                        align(key, keys);
                    }
                    if let Some(values) = &values {
                        align(value, values);
                    }
                }
                let of = |schema: Option<Schema>| schema.unwrap_or_else(Schema::any).into();
                return Ok((Schema::new(Kind::Map(of(keys), of(values))), map_of(pairs)));
            }
            if self.takes(",") {
                return Err(NoValue);
            }
            let key = self.value(true)?;
            let Some((_, key_value)) = key.clone() else { return Err(NoValue) };
            if !self.takes(":") {
                return Err(NoValue);
            }
            let value = self.value(true)?;
            let entry_value = value.clone().map_or(Value::Null, |(_, value)| value);
            match places.entry(format!("{key_value:?}")) {
                Entry::Occupied(place) => pairs[*place.get()].1 = entry_value,
                Entry::Vacant(place) => {
                    place.insert(pairs.len());
                    pairs.push((key_value, entry_value));
                }
            }
            self.takes(",");
            keys.add(&key);
            values.add(&value);
        }
        Err(NoValue)
    }

    fn quoted(&mut self) -> (Schema, Value) {
        let mut content = String::new();
        while self.has_next() {
            if self.takes("\"") {
                break;
            }
            content.push_str(self.token());
        }
        // Of what a quoted text could be, only dates and times are taken for it.
        let mut inside = Parser { text: &content, at: 0, next: None, depth: 0 };
        if java_trim(&content).starts_with(|c: char| c.is_ascii_digit())
            && let Ok(Some((schema, value))) = inside.value(false)
            && matches!(schema.logical(), Some(Logical::Date | Logical::Time | Logical::Timestamp))
        {
            return (schema, value);
        }
        (Schema::new(Kind::String), Value::String(content))
    }

    /// A time or timestamp is five tokens, because its colons are delimiters.
    fn temporal(&mut self, token: &str) -> Option<(Schema, Value)> {
        let start = self.mark();
        let mut count = 0;
        while count < 4 && self.has_next() {
            self.token();
            count += 1;
        }
        if count == 4
            && let Some(temporal) = temporal_of(&format!("{token}{}", &self.text[start..self.at]))
        {
            return Some(temporal);
        }
        self.rewind(start);
        temporal_of(token)
    }

    fn mark(&self) -> usize {
        self.at - self.next.map_or(0, str::len)
    }

    fn rewind(&mut self, at: usize) {
        self.at = at;
        self.next = None;
    }

    fn has_next(&self) -> bool {
        self.next.is_some() || self.at < self.text.len()
    }

    fn token(&mut self) -> &'t str {
        match self.next.take() {
            Some(token) => token,
            None => self.read_token(),
        }
    }

    fn read_token(&mut self) -> &'t str {
        let start = self.at;
        let mut is_escaped = false;
        for (at, byte) in self.text.bytes().enumerate().skip(start) {
            match byte {
                b'\\' => is_escaped = !is_escaped,
                b':' | b',' | b'{' | b'}' | b'[' | b']' | b'"' if !is_escaped => {
                    self.at = if start < at { at } else { at + 1 };
                    return &self.text[start..self.at];
                }
                _ => is_escaped = false,
            }
        }
        self.at = self.text.len();
        &self.text[start..]
    }

    /// Takes the next token if it is the expected one, whatever blanks are around it.
    fn takes(&mut self, expected: &str) -> bool {
        if !self.has_next() {
            return false;
        }
        let mut token = self.token();
        while is_blank(token) && self.at < self.text.len() {
            token = self.read_token();
        }
        if java_trim(token) == expected {
            return true;
        }
        self.next = Some(token);
        false
    }

    /// Takes a literal. At the top nothing may follow it, or all is a string.
    fn takes_literal(&mut self, literal: &str, is_inside: bool) -> bool {
        let start = self.mark();
        if self.takes(literal) && (is_inside || !self.has_next()) {
            return true;
        }
        self.rewind(start);
        false
    }
}

/// Java's `String.trim`: control characters are blanks to it.
fn java_trim(text: &str) -> &str {
    text.trim_matches(|c| c <= ' ')
}

fn is_blank(text: &str) -> bool {
    java_trim(text).is_empty()
}

fn temporal_of(token: &str) -> Option<(Schema, Value)> {
    let token = token.replace("\\:", ":");
    match token.len() {
        10 => {
            let days = date::read_date(&token)?;
            let value = i32::try_from(days).map(Value::Date).unwrap_or(Value::Timestamp(days * DAY_MILLIS));
            Some((Schema::date(), value))
        }
        13 => {
            let millis = date::read_time(&token)?;
            let value = i32::try_from(millis).map(Value::Time).unwrap_or(Value::Timestamp(millis));
            Some((Schema::time(), value))
        }
        24 => Some((Schema::timestamp(), Value::Timestamp(date::read_timestamp(&token)?))),
        _ => None,
    }
}

/// The number that `new BigDecimal(token)` reads, in the type that Connect chooses for it.
fn number_of(token: &str) -> Option<(Schema, Value)> {
    let unsigned = token.strip_prefix(['+', '-']).unwrap_or(token);
    let sign = if token.starts_with('-') { "-" } else { "" };
    // Java reads "1." and ".5", which JSON does not.
    let (mantissa, exponent) = unsigned.split_at(unsigned.find(['e', 'E']).unwrap_or(unsigned.len()));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    let point = if fraction.is_empty() { "" } else { "." };
    let decimal = Decimal::parse(&format!("{sign}{whole}{point}{fraction}{exponent}")).ok()?;
    if let Some(integer) = decimal.to_i64() {
        return Some(if let Ok(small) = i8::try_from(integer) {
            (Schema::new(Kind::Int8), Value::Int8(small))
        } else if let Ok(small) = i16::try_from(integer) {
            (Schema::new(Kind::Int16), Value::Int16(small))
        } else if let Ok(small) = i32::try_from(integer) {
            (Schema::new(Kind::Int32), Value::Int32(small))
        } else {
            (Schema::new(Kind::Int64), Value::Int64(integer))
        });
    }
    if decimal.scale != 0 {
        // A fraction is a float32 wherever that is finite, even if digits are lost: that is what Connect does.
        if let Some(float) = token.parse::<f32>().ok().filter(|float| float.is_finite()) {
            return Some((Schema::new(Kind::Float32), Value::Float32(float)));
        }
        if let Some(float) = token.parse::<f64>().ok().filter(|float| float.is_finite()) {
            return Some((Schema::new(Kind::Float64), Value::Float64(float)));
        }
    }
    Some((Schema::decimal(decimal.scale), Value::Decimal(decimal)))
}

/// The type that all items have in common.
#[derive(Default)]
struct Common {
    schema: Option<Schema>,
    /// Some items excluded each other.
    is_impossible: bool,
}

impl Common {
    fn add(&mut self, item: &Guess) {
        let Some((schema, _)) = item else { return };
        if self.is_impossible {
            return;
        }
        self.schema = match self.schema.take() {
            None => Some(schema.clone()),
            Some(known) => merged(known, schema),
        };
        self.is_impossible = self.schema.is_none();
    }

    fn schema(&self) -> Option<Schema> {
        self.schema.clone()
    }
}

/// Of two numbers the wider type, of two values of one type the later one's schema.
fn merged(known: Schema, new: &Schema) -> Option<Schema> {
    let width = |schema: &Schema| match schema.kind {
        Kind::Int8 => Some(1),
        Kind::Int16 => Some(2),
        Kind::Int32 => Some(3),
        Kind::Int64 => Some(4),
        Kind::Float32 => Some(5),
        Kind::Float64 => Some(6),
        _ => None,
    };
    if known.kind.json_name() == new.kind.json_name() {
        return Some(new.clone());
    }
    let (before, after) = (width(&known)?, width(new)?);
    Some(if after > before { new.clone() } else { known })
}

/// Whether Connect would not make a value of the common type out of this one: a null, or a time beside numbers.
fn is_foreign(value: &Value, common: &Schema) -> bool {
    match value {
        Value::Null => true,
        Value::Date(_) | Value::Time(_) | Value::Timestamp(_) => common.logical().is_none(),
        _ => false,
    }
}

/// Makes a number one of the common type. Numbers beside dates are taken for dates.
fn align(value: &mut Value, schema: &Schema) {
    let integer = match value {
        Value::Int8(value) => i64::from(*value),
        Value::Int16(value) => i64::from(*value),
        Value::Int32(value) => i64::from(*value),
        Value::Int64(value) => *value,
        Value::Float32(float) => {
            if schema.kind == Kind::Float64 {
                *value = Value::Float64(f64::from(*float));
            }
            return;
        }
        // A date beside floats counts as its number, as it does in Connect.
        _ => return,
    };
    *value = match (schema.logical(), &schema.kind) {
        (Some(Logical::Date), _) => Value::Timestamp(integer.saturating_mul(DAY_MILLIS)),
        (Some(Logical::Time | Logical::Timestamp), _) => Value::Timestamp(integer),
        (_, Kind::Int16) => Value::Int16(integer as i16),
        (_, Kind::Int32) => Value::Int32(integer as i32),
        (_, Kind::Int64) => Value::Int64(integer),
        (_, Kind::Float32) => Value::Float32(integer as f64 as f32),
        (_, Kind::Float64) => Value::Float64(integer as f64),
        _ => return,
    };
}

fn map_of(pairs: Vec<(Value, Value)>) -> Value {
    if !pairs.iter().all(|(key, _)| matches!(key, Value::String(_))) {
        return Value::Pairs(pairs);
    }
    let members = pairs.into_iter().map(|(key, value)| match key {
        Value::String(name) => (name, value),
        _ => (String::new(), value),
    });
    Value::Map(members.collect::<Members>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(text: &str, expected: Expect) {
        expected.assert_eq(&match parse(text) {
            None => "null".to_owned(),
            Some((schema, value)) => {
                let mut written = String::new();
                write(&value, Some(&schema), &mut written);
                format!("{} {value:?} {written}", schema.to_json())
            }
        });
    }

    #[test]
    fn numbers_take_the_smallest_type() {
        check("+5", expect![[r#"{"type":"int8","optional":false} Int8(5) 5"#]]);
        check("1.0", expect![[r#"{"type":"int8","optional":false} Int8(1) 1"#]]);
        check("1e2", expect![[r#"{"type":"int8","optional":false} Int8(100) 100"#]]);
        check("-00129", expect![[r#"{"type":"int16","optional":false} Int16(-129) -129"#]]);
        check("3.14159265358979", expect![[r#"{"type":"float","optional":false} Float32(3.1415927) 3.1415927"#]]);
        check("1e40", expect![[r#"{"type":"double","optional":false} Float64(1e40) 1.0E40"#]]);
        check(
            "1e400",
            expect![[
                r#"{"type":"bytes","optional":false,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"-400"}} Decimal(Decimal { scale: -400, unscaled: [1] }) 1E+400"#
            ]],
        );
        check("1_000", expect![[r#"{"type":"string","optional":false} String("1_000") 1_000"#]]);
        check("- 1", expect![[r#"{"type":"string","optional":false} String("- 1") - 1"#]]);
    }

    #[test]
    fn blanks_and_escapes_are_connects() {
        check(" null ", expect!["null"]);
        check(" true", expect![[r#"{"type":"boolean","optional":false} Boolean(true) true"#]]);
        check("true}", expect![[r#"{"type":"string","optional":false} String("true}") true}"#]]);
        check("  ", expect![[r#"{"type":"string","optional":false} String("  ")   "#]]);
        check(
            r#"["a\"b", " "]"#,
            expect![[
                r#"{"type":"array","items":{"type":"string","optional":false},"optional":false} Array([String("a\\\"b"), String("")]) ["a\\\"b",""]"#
            ]],
        );
    }

    #[test]
    fn items_take_a_common_type_if_they_have_one() {
        check(
            "[1, 300, 2.5]",
            expect![[
                r#"{"type":"array","items":{"type":"float","optional":false},"optional":false} Array([Float32(1.0), Float32(300.0), Float32(2.5)]) [1.0,300.0,2.5]"#
            ]],
        );
        check(
            r#"[1,"a"]"#,
            expect![[r#"{"type":"array","items":null,"optional":false} Array([Int8(1), String("a")]) [1,"a"]"#]],
        );
        check("{1:2,3:null}", expect![[r#"{"type":"string","optional":false} String("{1:2,3:null}") {1:2,3:null}"#]]);
        check(
            "{a:2024-11-20,c:3}",
            expect![[r#"{"type":"string","optional":false} String("{a:2024-11-20,c:3}") {a:2024-11-20,c:3}"#]],
        );
        check(
            r#"{"a":1,"a":"x"}"#,
            expect![[
                r#"{"type":"map","keys":{"type":"string","optional":false},"values":null,"optional":false} Map(Members({"a": String("x")})) {"a":"x"}"#
            ]],
        );
        check(
            "[1,]",
            expect![[
                r#"{"type":"array","items":{"type":"int8","optional":false},"optional":false} Array([Int8(1)]) [1]"#
            ]],
        );
        check("[a]", expect![[r#"{"type":"string","optional":false} String("[a]") [a]"#]]);
        check("[[1],[2", expect![[r#"{"type":"string","optional":false} String("[[1],[2") [[1],[2"#]]);
    }

    #[test]
    fn dates_are_seen_alone_quoted_and_with_escaped_colons() {
        check(
            "2024-01-02",
            expect![[
                r#"{"type":"int32","optional":false,"name":"org.apache.kafka.connect.data.Date","version":1} Date(19724) 2024-01-02"#
            ]],
        );
        check(
            r#"{"t":"2023-11-14T22\:13\:20.123Z"}"#,
            expect![[
                r#"{"type":"map","keys":{"type":"string","optional":false},"values":{"type":"int64","optional":false,"name":"org.apache.kafka.connect.data.Timestamp","version":1},"optional":false} Map(Members({"t": Timestamp(1700000000123)})) {"t":2023-11-14T22:13:20.123Z}"#
            ]],
        );
        check(
            "[2024-01-02,1]",
            expect![[
                r#"{"type":"array","items":{"type":"int32","optional":false,"name":"org.apache.kafka.connect.data.Date","version":1},"optional":false} Array([Date(19724), Timestamp(86400000)]) [2024-01-02,1970-01-02]"#
            ]],
        );
    }

    #[test]
    fn nesting_without_end_is_a_string() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(matches!(parse(&deep), Some((_, Value::String(_)))));
    }

    proptest::proptest! {
        #[test]
        fn any_text_means_something(text in r#"[\[\]{}:,"\\ 0-9a.eTZ+-]{0,40}|\PC{0,40}"#) {
            if let Some((schema, value)) = parse(&text) {
                write(&value, Some(&schema), &mut String::new());
            }
        }
    }
}
