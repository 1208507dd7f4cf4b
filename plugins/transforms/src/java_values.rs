//! `Values.parseString` of Connect: a literal as a value with its schema.
//!
//! Numbers take the narrowest type that holds them, texts in ISO 8601 are dates and times, brackets make arrays and maps if
//! all of it can be read; anything else is a string. Odd corners are Connect's own: `1,2` is the number 1.

use crate::date_format::{DAY_MS, DateFormat};
use crate::java_number::{is_decimal, low_bits};
use tidegate_sdk::serde_json::json;
use tidegate_sdk::{Schema, Type, Value, logical};

/// A value and its schema.
#[derive(Debug, Clone)]
pub(crate) struct Parsed {
    pub(crate) schema: Schema,
    pub(crate) value: Value,
}

/// Reads a literal; none is null, which has no schema.
pub(crate) fn parse_string(text: &str) -> Option<Parsed> {
    if text.is_empty() {
        return Some(string(text));
    }
    let mut tokens = Tokens { text, at: 0, next: None, previous: "" };
    // Only what is embedded in brackets can be wrong, and brackets that are wrong are a string.
    tokens.parse(None).unwrap_or_else(|_| Some(string(text)))
}

/// What Connect's DataException stops: an array or map that cannot be read as one.
struct NotStructured;

type Outcome = Result<Option<Parsed>, NotStructured>;

/// Brackets nest no deeper than values do.
const NESTING_MAX: usize = 60;

fn string(text: &str) -> Parsed {
    Parsed { schema: Schema::new(Type::String), value: text.into() }
}

fn of(schema: Type, value: Value) -> Parsed {
    Parsed { schema: Schema::new(schema), value }
}

/// The text in tokens: delimiters, and what stands between them.
struct Tokens<'t> {
    text: &'t str,
    at: usize,
    /// A token that was looked at and not taken.
    next: Option<&'t str>,
    previous: &'t str,
}

fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ')
}

impl<'t> Tokens<'t> {
    fn mark(&self) -> usize {
        self.at - self.next.map_or(0, str::len)
    }

    fn rewind(&mut self, at: usize) {
        self.at = at;
        self.next = None;
        self.previous = "";
    }

    fn has_next(&self) -> bool {
        self.next.is_some() || self.at < self.text.len()
    }

    fn take(&mut self) -> &'t str {
        self.previous = self.next.take().unwrap_or_else(|| Self::token(self.text, &mut self.at));
        self.previous
    }

    /// The text of the next four tokens.
    fn take_four(&mut self) -> Option<&'t str> {
        let start = self.mark();
        for _ in 0..4 {
            if !self.has_next() {
                self.rewind(start);
                return None;
            }
            self.take();
        }
        Some(&self.text[start..self.at])
    }

    fn token(text: &'t str, at: &mut usize) -> &'t str {
        let start = *at;
        let mut escaped = false;
        while let Some(c) = text[*at..].chars().next() {
            match c {
                '\\' => escaped = !escaped,
                ':' | ',' | '{' | '}' | '[' | ']' | '"' if !escaped => {
                    if start == *at {
                        *at += 1;
                    }
                    return &text[start..*at];
                }
                _ => escaped = false,
            }
            *at += c.len_utf8();
        }
        &text[start..]
    }

    /// Takes the next token if it is this one, white space around it aside.
    fn takes(&mut self, expected: &str) -> bool {
        if self.next.is_none() {
            if !self.has_next() {
                return false;
            }
            self.next = Some(Self::token(self.text, &mut self.at));
        }
        while self.next.is_some_and(|token| trim(token).is_empty()) && self.at < self.text.len() {
            self.next = Some(Self::token(self.text, &mut self.at));
        }
        let found = self.next.is_some_and(|token| trim(token) == expected);
        if found {
            self.next = None;
        }
        found
    }

    /// Takes a word that stands for itself: at the top it has to be all there is.
    fn takes_word(&mut self, depth: Option<usize>, word: &str) -> bool {
        let start = self.mark();
        if self.takes(word) && (depth.is_some() || !self.has_next()) {
            return true;
        }
        self.rewind(start);
        false
    }

    /// `depth`: inside how many brackets, none at the top.
    fn parse(&mut self, depth: Option<usize>) -> Outcome {
        if !self.has_next() {
            return Ok(None);
        }
        if depth.is_some() && self.takes("\"") {
            let mut content = String::new();
            while self.has_next() && !self.takes("\"") {
                content.push_str(self.take());
            }
            return Ok(Some(temporal(&content).unwrap_or_else(|| string(&content))));
        }
        if self.takes_word(depth, "null") {
            return Ok(None);
        }
        for (word, value) in [("true", true), ("false", false)] {
            if self.takes_word(depth, word) {
                return Ok(Some(of(Type::Boolean, Value::Boolean(value))));
            }
        }
        let start = self.mark();
        let inner = depth.map_or(0, |depth| depth + 1);
        let structured = match () {
            () if inner > NESTING_MAX => Err(NotStructured),
            () if self.takes("[") => self.array(inner),
            () if self.takes("{") => self.map(inner),
            () => Err(NotStructured),
        };
        if structured.is_ok() {
            return structured;
        }
        // What cannot be read as an array or map, or is none, is looked at again token by token.
        if self.mark() != start {
            self.rewind(start);
        }
        let token = self.take();
        match trim(token) {
            "" => Ok(Some(string(token))),
            token => self.single(depth, token),
        }
    }

    fn single(&mut self, depth: Option<usize>, token: &str) -> Outcome {
        let starts_with_digit = token.starts_with(|c: char| c.is_ascii_digit());
        if starts_with_digit {
            // A time has colons, which part tokens.
            let position = self.mark();
            let whole = self.take_four().map(|rest| format!("{token}{rest}"));
            if let Some(found) = whole.and_then(|whole| temporal(&whole)) {
                return Ok(Some(found));
            }
            self.rewind(position);
            if let Some(found) = temporal(token) {
                return Ok(Some(found));
            }
        }
        if (starts_with_digit || token.starts_with(['+', '-']))
            && let Some(found) = number(token)
        {
            return Ok(Some(found));
        }
        match depth {
            Some(_) => Err(NotStructured),
            None => Ok(Some(string(self.text))),
        }
    }

    fn array(&mut self, depth: usize) -> Outcome {
        let mut items = Vec::new();
        let mut common = Common::default();
        while self.has_next() {
            if self.takes("]") {
                let items = items.into_iter().map(|item| common.convert(item)).collect();
                let schema = Schema { items: common.schema.map(Box::new), ..Schema::new(Type::Array) };
                return Ok(Some(Parsed { schema, value: Value::Array(items) }));
            }
            if self.takes(",") {
                return Err(NotStructured);
            }
            let item = self.parse(Some(depth))?;
            common.merge(item.as_ref());
            items.push(item.map_or(Value::Null, |item| item.value));
            let position = self.mark();
            if self.takes("]") {
                self.rewind(position);
            } else if !self.takes(",") {
                return Err(NotStructured);
            }
        }
        Err(NotStructured)
    }

    fn map(&mut self, depth: usize) -> Outcome {
        let mut pairs: Vec<(Value, Value)> = Vec::new();
        let (mut keys, mut values) = (Common::default(), Common::default());
        while self.has_next() {
            if self.takes("}") {
                let pairs = pairs.into_iter().map(|(key, value)| (keys.convert(key), values.convert(value)));
                let value = map_value(pairs.collect());
                // Without keys there is no schema of values either.
                let values = keys.schema.as_ref().and(values.schema).map(Box::new);
                let schema = Schema { keys: keys.schema.map(Box::new), values, ..Schema::new(Type::Map) };
                return Ok(Some(Parsed { schema, value }));
            }
            if self.takes(",") {
                return Err(NotStructured);
            }
            let key = self.parse(Some(depth))?.ok_or(NotStructured)?;
            if !self.takes(":") {
                return Err(NotStructured);
            }
            let value = self.parse(Some(depth))?;
            keys.merge(Some(&key));
            values.merge(value.as_ref());
            let value = value.map_or(Value::Null, |value| value.value);
            match pairs.iter_mut().find(|(known, _)| *known == key.value) {
                Some((_, old)) => *old = value,
                None => pairs.push((key.value, value)),
            }
            self.takes(",");
        }
        Err(NotStructured)
    }
}

/// A map whose keys are texts where they all are.
fn map_value(pairs: Vec<(Value, Value)>) -> Value {
    if pairs.iter().any(|(key, _)| key.as_str().is_none()) {
        return Value::KeyedMap(pairs);
    }
    Value::Map(pairs.into_iter().map(|(key, value)| (key.as_str().unwrap_or_default().to_owned(), value)).collect())
}

/// The schema that all values of an array or map have in common.
#[derive(Default)]
struct Common {
    schema: Option<Schema>,
    /// There were values without anything in common.
    incompatible: bool,
}

impl Common {
    fn merge(&mut self, latest: Option<&Parsed>) {
        let Some(Parsed { schema: latest, .. }) = latest.filter(|_| !self.incompatible) else { return };
        let previous = self.schema.take();
        self.schema = match previous.map(|previous| (width(previous.of_type), previous)) {
            None => Some(latest.clone()),
            Some((_, previous)) if previous.of_type == latest.of_type => Some(latest.clone()),
            Some((Some(before), previous)) => match width(latest.of_type) {
                Some(after) if after > before => Some(latest.clone()),
                Some(_) => Some(previous),
                None => None,
            },
            Some((None, _)) => None,
        };
        self.incompatible = self.schema.is_none();
    }

    fn convert(&self, value: Value) -> Value {
        let Some(schema) = self.schema.as_ref().filter(|schema| schema.name.is_none()) else { return value };
        let (Some(whole), Some(float)) = (value.as_i64().or(Some(0)), value.as_f64()) else { return value };
        match schema.of_type {
            Type::Int8 => Value::Int8(whole as i8),
            Type::Int16 => Value::Int16(whole as i16),
            Type::Int32 => Value::Int32(whole as i32),
            Type::Int64 => Value::Int64(whole),
            Type::Float32 => Value::Float32(float as f32),
            Type::Float64 => Value::Float64(float),
            _ => value,
        }
    }
}

/// Numbers from the narrowest to the widest.
fn width(of_type: Type) -> Option<usize> {
    let numbers = [Type::Int8, Type::Int16, Type::Int32, Type::Int64, Type::Float32, Type::Float64];
    numbers.iter().position(|number| *number == of_type)
}

/// A time, a date, or both, told by the length of the text.
fn temporal(text: &str) -> Option<Parsed> {
    let text = text.replace("\\:", ":");
    let (pattern, of_type, name) = match text.encode_utf16().count() {
        13 => ("HH:mm:ss.SSS'Z'", Type::Int32, logical::TIME),
        24 => ("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", Type::Int64, logical::TIMESTAMP),
        10 => ("yyyy-MM-dd", Type::Int32, logical::DATE),
        _ => return None,
    };
    let time = DateFormat::new(pattern).ok()?.parse(&text)?;
    let value = match name {
        logical::TIME => Value::Time(i32::try_from(time).ok()?),
        logical::DATE => Value::Date(i32::try_from(time.div_euclid(DAY_MS)).ok()?),
        _ => Value::Timestamp(time),
    };
    Some(Parsed { schema: Schema::logical(of_type, name), value })
}

/// A number of the narrowest type that holds it: whole ones as integers, others as floats even if digits are lost.
fn number(text: &str) -> Option<Parsed> {
    if !is_decimal(text) {
        return None;
    }
    let negative = text.starts_with('-');
    let unsigned = text.trim_start_matches(['+', '-']);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i32 = exponent.parse().ok()?;
    let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    let digits = format!("{whole}{fraction}");
    if let Some(integral) = integral(&digits, scale, negative) {
        return Some(match integral {
            integral if i8::try_from(integral).is_ok() => of(Type::Int8, Value::Int8(integral as i8)),
            integral if i16::try_from(integral).is_ok() => of(Type::Int16, Value::Int16(integral as i16)),
            integral if i32::try_from(integral).is_ok() => of(Type::Int32, Value::Int32(integral as i32)),
            integral => of(Type::Int64, Value::Int64(integral)),
        });
    }
    let (float, double): (f32, f64) = (text.parse().ok()?, text.parse().ok()?);
    if float.is_finite() && scale != 0 {
        return Some(of(Type::Float32, Value::Float32(float)));
    }
    if double.is_finite() && scale != 0 {
        return Some(of(Type::Float64, Value::Float64(double)));
    }
    let mut schema = Schema::logical(Type::Bytes, logical::DECIMAL);
    schema.parameters.insert("scale".to_owned(), json!(scale.to_string()));
    Some(Parsed { schema, value: Value::Decimal { scale, unscaled: unscaled(&digits, negative) } })
}

/// A number without a fraction that 64 bits hold.
fn integral(digits: &str, scale: i32, negative: bool) -> Option<i64> {
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Some(0);
    }
    let whole = match usize::try_from(scale) {
        Ok(scale) => {
            let (whole, fraction) = digits.split_at(digits.len().checked_sub(scale)?);
            if whole.is_empty() || fraction.bytes().any(|digit| digit != b'0') {
                return None;
            }
            whole.to_owned()
        }
        Err(_) if scale < -19 => return None,
        Err(_) => format!("{digits}{}", "0".repeat(scale.unsigned_abs() as usize)),
    };
    match whole.len() {
        0..=18 => Some(if negative { -low_bits(&whole) } else { low_bits(&whole) }),
        _ => format!("{}{whole}", if negative { "-" } else { "" }).parse().ok(),
    }
}

/// Digits as two's complement, big-endian.
fn unscaled(digits: &str, negative: bool) -> Vec<u8> {
    // The lowest byte first.
    let mut bytes: Vec<u8> = vec![0];
    for digit in digits.bytes() {
        let mut carry = u32::from(digit - b'0');
        for byte in &mut bytes {
            let number = u32::from(*byte) * 10 + carry;
            *byte = number as u8;
            carry = number >> 8;
        }
        if carry > 0 {
            bytes.push(carry as u8);
        }
    }
    if bytes.last().is_some_and(|byte| byte & 0x80 != 0) {
        bytes.push(0);
    }
    if negative {
        let mut carry = true;
        for byte in &mut bytes {
            let (inverted, carried) = (!*byte).overflowing_add(carry.into());
            (*byte, carry) = (inverted, carried);
        }
    }
    bytes.reverse();
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let answer = match parse_string(text) {
            None => "null".to_owned(),
            Some(Parsed { schema, value }) => format!("{} {value:?}", type_text(&schema)),
        };
        assert_eq!(answer, expected, "{text}");
    }

    fn type_text(schema: &Schema) -> String {
        let inner = |schema: &Option<Box<Schema>>| schema.as_deref().map_or("?".to_owned(), type_text);
        match schema.of_type {
            Type::Array => format!("[{}]", inner(&schema.items)),
            Type::Map => format!("{{{}:{}}}", inner(&schema.keys), inner(&schema.values)),
            of_type => {
                let name = schema.name.as_deref().and_then(|name| name.rsplit('.').next());
                name.map_or(format!("{of_type:?}"), str::to_owned)
            }
        }
    }

    #[test]
    fn numbers_take_the_narrowest_type() {
        check("42", "Int8 Int8(42)");
        check("+5", "Int8 Int8(5)");
        check("128", "Int16 Int16(128)");
        check("-9223372036854775808", "Int64 Int64(-9223372036854775808)");
        check("1.50", "Float32 Float32(1.5)");
        check("2.0", "Int8 Int8(2)");
        check("1e3", "Int16 Int16(1000)");
        check("1e40", "Float64 Float64(1e40)");
        check(
            "99999999999999999999",
            "Decimal Decimal { scale: 0, unscaled: [5, 107, 199, 94, 45, 99, 15, 255, 255] }",
        );
        check("-128000000000000000000", "Decimal Decimal { scale: 0, unscaled: [249, 15, 164, 166, 44, 78, 0, 0, 0] }");
    }

    #[test]
    fn what_is_no_number_is_a_string() {
        for text in
            [".5", "NaN", "1_000", "TRUE", "\"quoted\"", "2024-01-02T03:04:05.006+01:00", "true}", "{a:1}", "[1,"]
        {
            check(text, &format!("String String({text:?})"));
        }
    }

    #[test]
    fn what_stands_behind_a_number_is_not_read() {
        check("1,2", "Int8 Int8(1)");
        check("1 ", "Int8 Int8(1)");
    }

    #[test]
    fn dates_and_times_are_told_by_their_length() {
        check("2024-01-02", "Date Date(19724)");
        check("03:04:05.006Z", "Time Time(11045006)");
        check("2024-01-02T03:04:05.006Z", "Timestamp Timestamp(1704164645006)");
        check("[\"2024-01-02\"]", "[Date] Array([Date(19724)])");
    }

    #[test]
    fn brackets_hold_what_has_a_type_in_common() {
        check("[1,300,70000]", "[Int32] Array([Int32(1), Int32(300), Int32(70000)])");
        check("[1.5,2]", "[Float32] Array([Float32(1.5), Float32(2.0)])");
        check("[1,\"a\"]", "[?] Array([Int8(1), String(\"a\")])");
        check("[ ]", "[?] Array([])");
        check("{\"a\":1,\"b\":2.5}", "{String:Float32} Map([(\"a\", Float32(1.0)), (\"b\", Float32(2.5))])");
        check("{\"a\":null}", "{String:?} Map([(\"a\", Null)])");
        check("{1:true}", "{Int8:Boolean} KeyedMap([(Int8(1), Boolean(true))])");
        check("{}", "{?:?} Map([])");
    }

    #[test]
    fn brackets_without_end_are_a_string_however_many() {
        let text = "[".repeat(100_000);
        check(&text, &format!("String String({text:?})"));
    }
}
