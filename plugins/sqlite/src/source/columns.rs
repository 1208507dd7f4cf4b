//! What the columns of a result are in Connect, and their values. Pure.

use rusqlite::types::ValueRef;
use tidegate_sdk::{Schema, Type, Value, logical};

/// What a column becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Int64,
    Float64,
    Boolean,
    Text,
    Bytes,
    Date,
    Time,
    Timestamp,
}

impl Kind {
    /// By the declared type, first its name and then the affinity that SQLite gives it. Without one: text.
    pub(super) fn of(declared: Option<&str>) -> Kind {
        let declared = declared.unwrap_or_default().to_ascii_uppercase();
        let has = |parts: &[&str]| parts.iter().any(|part| declared.contains(part));
        match declared.split('(').next().unwrap_or_default().trim() {
            "BOOLEAN" | "BOOL" => Kind::Boolean,
            "DATE" => Kind::Date,
            "TIME" => Kind::Time,
            "TIMESTAMP" | "DATETIME" => Kind::Timestamp,
            _ if has(&["INT"]) => Kind::Int64,
            _ if has(&["CHAR", "CLOB", "TEXT"]) => Kind::Text,
            _ if has(&["BLOB"]) => Kind::Bytes,
            "" => Kind::Text,
            _ => Kind::Float64,
        }
    }

    pub(super) fn schema(self, optional: bool) -> Schema {
        let schema = match self {
            Kind::Int64 => Schema::new(Type::Int64),
            Kind::Float64 => Schema::new(Type::Float64),
            Kind::Boolean => Schema::new(Type::Boolean),
            Kind::Text => Schema::new(Type::String),
            Kind::Bytes => Schema::new(Type::Bytes),
            Kind::Date => Schema::logical(Type::Int32, logical::DATE),
            Kind::Time => Schema::logical(Type::Int32, logical::TIME),
            Kind::Timestamp => Schema::logical(Type::Int64, logical::TIMESTAMP),
        };
        schema.with_optional(optional)
    }

    /// The value of a cell. SQLite's columns hold anything; what is not of the column's kind is an error, but a column of
    /// text takes every number. Dates and times are milliseconds or text in ISO form.
    pub(super) fn value(self, cell: ValueRef<'_>) -> Result<Value, String> {
        let wrong = || Err(format!("holds {}, which is no {self:?}", shown(cell)));
        Ok(match (self, cell) {
            (_, ValueRef::Null) => Value::Null,
            (Kind::Int64, ValueRef::Integer(number)) => Value::Int64(number),
            (Kind::Float64, ValueRef::Integer(number)) => Value::Float64(number as f64),
            (Kind::Float64, ValueRef::Real(number)) => Value::Float64(number),
            (Kind::Boolean, ValueRef::Integer(number)) => Value::Boolean(number != 0),
            (Kind::Text, ValueRef::Text(text)) => Value::String(String::from_utf8_lossy(text).into_owned()),
            (Kind::Text, ValueRef::Integer(number)) => Value::String(number.to_string()),
            (Kind::Text, ValueRef::Real(number)) => Value::String(number.to_string()),
            (Kind::Bytes, ValueRef::Blob(bytes) | ValueRef::Text(bytes)) => Value::Bytes(bytes.to_vec()),
            (Kind::Date | Kind::Time | Kind::Timestamp, cell) => {
                let Some(millis) = millis(cell) else { return wrong() };
                let (days, of_day) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
                match (self, i32::try_from(days), i32::try_from(of_day)) {
                    (Kind::Timestamp, ..) => Value::Timestamp(millis),
                    (Kind::Date, Ok(days), _) => Value::Date(days),
                    (Kind::Time, _, Ok(of_day)) => Value::Time(of_day),
                    _ => return wrong(),
                }
            }
            _ => return wrong(),
        })
    }
}

fn shown(cell: ValueRef<'_>) -> String {
    match cell {
        ValueRef::Null => "null".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => format!("the text {:?}", String::from_utf8_lossy(&text[..text.len().min(40)])),
        ValueRef::Blob(bytes) => format!("{} bytes", bytes.len()),
    }
}

/// Milliseconds since 1970 of a number, or of `YYYY-MM-DD`, `HH:MM[:SS[.fff]]`, or both with a blank or `T` between.
fn millis(cell: ValueRef<'_>) -> Option<i64> {
    let text = match cell {
        ValueRef::Integer(number) => return Some(number),
        ValueRef::Text(text) => std::str::from_utf8(text).ok()?.trim_end_matches('Z'),
        _ => return None,
    };
    let (date, time) = match text.split_once(['T', ' ']) {
        Some((date, time)) => (Some(date), Some(time)),
        None if text.contains(':') => (None, Some(text)),
        None => (Some(text), None),
    };
    let days = date.map_or(Some(0), |date| {
        let mut parts = date.splitn(3, '-').map(|part| part.parse::<u32>().ok());
        let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
        let is_right = (1..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
        is_right.then(|| days_since_1970(year.into(), month.into(), day.into()))
    })?;
    let of_day = time.map_or(Some(0), |time| {
        let mut parts = time.splitn(3, ':');
        let (hours, minutes): (u32, u32) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let seconds: f64 = parts.next().unwrap_or("0").parse().ok()?;
        let is_right = hours < 24 && minutes < 60 && (0.0..60.0).contains(&seconds);
        is_right.then(|| i64::from(hours * 3_600 + minutes * 60) * 1_000 + (seconds * 1_000.0).round() as i64)
    })?;
    Some(days * 86_400_000 + of_day)
}

/// Of the Gregorian calendar, with years that begin in March so that the leap day is their last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_types_say_what_columns_become() {
        for (declared, kind) in [
            ("INTEGER", Kind::Int64),
            ("bigint unsigned", Kind::Int64),
            ("VARCHAR(20)", Kind::Text),
            ("", Kind::Text),
            ("DOUBLE", Kind::Float64),
            ("DECIMAL(10,2)", Kind::Float64),
            ("boolean", Kind::Boolean),
            ("DATETIME", Kind::Timestamp),
            ("blob", Kind::Bytes),
        ] {
            assert_eq!(Kind::of(Some(declared)), kind, "{declared}");
        }
    }

    #[test]
    fn times_are_read_from_numbers_and_text() {
        let at = |text: &str| millis(ValueRef::Text(text.as_bytes()));
        assert_eq!(millis(ValueRef::Integer(5)), Some(5));
        assert_eq!(at("1970-01-02"), Some(86_400_000));
        assert_eq!(at("2024-02-29 12:30:01.5"), Some(1_709_209_801_500));
        assert_eq!(at("2000-03-01T00:00:00Z"), Some(951_868_800_000));
        assert_eq!(at("00:00:02"), Some(2_000));
        for wrong in ["", "yesterday", "2024-13-01", "2024-01-01 25:00", "1e9-1-1", "12:00:60"] {
            assert_eq!(at(wrong), None, "{wrong}");
        }
    }
}
