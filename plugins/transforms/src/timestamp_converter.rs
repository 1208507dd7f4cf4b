//! TimestampConverter: between Unix time, text and Connect's Date, Time and Timestamp.

use crate::date_format::{DAY_MS, DateFormat};
use crate::side::{Side, definition, replace_null_with_default, replaces_nulls, struct_to_change};
use std::marker::PhantomData;
use tidegate_sdk::{
    Bitmap, Cell, Column, Columns, Config, Definition, Edits, Error, FailureKind, Key, Place, Plan, Problem, Result,
    Schema, Transform, Type, Value, logical,
};

const PURPOSE: &str = "converting timestamp formats";

pub(crate) struct TimestampConverter<S> {
    /// Empty: the whole key or value.
    field: Option<String>,
    target: Target,
    format: Option<DateFormat>,
    precision: Precision,
    replaces_nulls: bool,
    side: PhantomData<S>,
}

#[derive(Clone, Copy)]
enum Target {
    String,
    Unix,
    Date,
    Time,
    Timestamp,
}

#[derive(Clone, Copy)]
enum Precision {
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

impl<S: Side> Transform for TimestampConverter<S> {
    fn definition() -> Definition {
        definition::<S>("TimestampConverter")
            .doc("Convert timestamps between different formats such as Unix epoch, strings, and Connect Date/Timestamp types.")
            .key(
                Key::string("field")
                    .high()
                    .default("")
                    .doc("The field containing the timestamp, or empty if the entire value is a timestamp"),
            )
            .key(
                Key::string("target.type")
                    .high()
                    .required()
                    .one_of(&["string", "unix", "Date", "Time", "Timestamp"])
                    .doc("The desired timestamp representation: string, unix, Date, Time, or Timestamp"),
            )
            .key(Key::string("format").default("").doc(
                "A SimpleDateFormat-compatible format for the timestamp. Used to generate the output when type=string or \
                 used to parse the input if the input is a string.",
            ))
            .key(
                Key::string("unix.precision")
                    .low()
                    .default("milliseconds")
                    .one_of(&["seconds", "milliseconds", "microseconds", "nanoseconds"])
                    .doc(
                        "The desired Unix precision for the timestamp: seconds, milliseconds, microseconds, or \
                         nanoseconds. Used to generate the output when type=unix or used to parse the input if the input \
                         is a Long.Note: This SMT will cause precision loss during conversions from, and to, values with \
                         sub-millisecond components.",
                    ),
            )
            .key(replace_null_with_default())
    }

    fn validate(config: &Config) -> Vec<Problem> {
        match TimestampConverter::<S>::configure(config) {
            Err(Error::InvalidConfig(problem)) => vec![problem],
            _ => Vec::new(),
        }
    }

    fn configure(config: &Config) -> Result<TimestampConverter<S>> {
        let unknown = |key: &str, text: &str| Err(Error::invalid_config(key, format!("unknown value \"{text}\"")));
        let target = match config.string("target.type")? {
            "string" => Target::String,
            "unix" => Target::Unix,
            "Date" => Target::Date,
            "Time" => Target::Time,
            "Timestamp" => Target::Timestamp,
            other => return unknown("target.type", other),
        };
        let precision = match config.string("unix.precision")? {
            "seconds" => Precision::Seconds,
            "milliseconds" => Precision::Milliseconds,
            "microseconds" => Precision::Microseconds,
            "nanoseconds" => Precision::Nanoseconds,
            other => return unknown("unix.precision", other),
        };
        let pattern = config.string("format")?;
        if let (Target::String, true) = (target, pattern.trim().is_empty()) {
            return Err(Error::invalid_config("format", "is needed for timestamps as text (target.type=string)"));
        }
        let format = match pattern.trim().is_empty() {
            true => None,
            false => Some(DateFormat::new(pattern).map_err(|message| Error::invalid_config("format", message))?),
        };
        let field = Some(config.string("field")?).filter(|field| !field.is_empty()).map(str::to_owned);
        let replaces_nulls = replaces_nulls(config)?;
        Ok(TimestampConverter { field, target, format, precision, replaces_nulls, side: PhantomData })
    }

    fn plan(&self) -> Plan {
        let column = match &self.field {
            Some(field) => Column::field(S::PLACE, field),
            None => Column::whole(S::PLACE),
        };
        Plan { read: vec![column.clone()], write: vec![column, Column::whole(S::PLACE)] }
    }

    fn reshape(&self, _: Place, schema: &Schema) -> Result<Option<Schema>> {
        let Some(field) = &self.field else {
            check_timestamp(schema)?;
            return Ok(Some(self.target_schema(schema.optional)));
        };
        let mut changed = struct_to_change(schema, PURPOSE)?;
        changed.optional = schema.optional;
        for found in changed.fields.iter_mut().filter(|found| found.name == *field) {
            check_timestamp(&found.schema)?;
            found.schema = self.target_schema(found.schema.optional);
        }
        Ok(Some(changed))
    }

    fn apply(&self, columns: &Columns<'_>, edits: &mut Edits) -> Result<()> {
        let columns = &columns.with_defaults(self.replaces_nulls);
        let mut text = Vec::new();
        let mut converted = Vec::with_capacity(columns.len());
        for record in 0..columns.len() {
            let cell = columns.cell(0, record)?;
            let has_schema = S::has_schema(columns, record);
            let time = self.milliseconds(cell);
            let convert = |time| self.convert(time, has_schema, &mut text);
            converted.push(match time.and_then(|time| time.map(convert).transpose()) {
                // Without a schema a field that is missing is added as null; with one there is nothing to convert.
                Ok(None) if cell == Cell::Missing && has_schema => Converted::Leave,
                Ok(None) => Converted::Null,
                Ok(Some(converted)) => converted,
                Err(message) => {
                    edits.fail(record, FailureKind::Data, &message);
                    Converted::Leave
                }
            });
        }
        let text = std::str::from_utf8(&text).map_err(Error::fatal)?;
        let cells = converted.iter().map(|converted| {
            Ok(match *converted {
                Converted::Leave => Cell::Missing,
                Converted::Null => Cell::Null,
                Converted::Text { start, end } => Cell::String(&text[start..end]),
                Converted::Unix(number) => Cell::Int64(number),
                Converted::Date(days) => Cell::Date(days),
                Converted::Time(time) => Cell::Time(time),
                Converted::Timestamp(time) => Cell::Timestamp(time),
            })
        });
        edits.set_cells(0, cells)?;
        if self.field.is_some() {
            // A struct that is null gets the new schema too.
            let nulls =
                Bitmap::of(columns.len(), |record| S::is_null(columns, record) && S::has_schema(columns, record));
            edits.set_where(1, &Value::Null, &nulls);
            if self.replaces_nulls {
                edits.defaults(S::PLACE);
            }
        }
        Ok(())
    }
}

/// What a cell becomes; texts stand in one buffer for the batch.
enum Converted {
    Leave,
    Null,
    Text { start: usize, end: usize },
    Unix(i64),
    Date(i32),
    Time(i32),
    Timestamp(i64),
}

impl<S> TimestampConverter<S> {
    fn target_schema(&self, optional: bool) -> Schema {
        let schema = match self.target {
            Target::String => Schema::new(Type::String),
            Target::Unix => Schema::new(Type::Int64),
            Target::Date => Schema::logical(Type::Int32, logical::DATE),
            Target::Time => Schema::logical(Type::Int32, logical::TIME),
            Target::Timestamp => Schema::logical(Type::Int64, logical::TIMESTAMP),
        };
        schema.with_optional(optional)
    }

    /// Milliseconds since 1970; none for null. Everything goes through milliseconds, as in Connect.
    fn milliseconds(&self, cell: Cell<'_>) -> Result<Option<i64>, String> {
        let unsupported =
            |class: &str| Err(format!("TimestampConverter does not support class {class} objects as timestamps"));
        Ok(Some(match cell {
            Cell::Missing | Cell::Null => return Ok(None),
            Cell::Timestamp(time) => time,
            Cell::Date(days) => i64::from(days) * DAY_MS,
            Cell::Time(time) => time.into(),
            Cell::Int64(number) => self.of_unix(number),
            Cell::Number(number) => match number.parse() {
                Ok(number) => self.of_unix(number),
                Err(_) => return unsupported("java.lang.Double"),
            },
            Cell::String(text) => match &self.format {
                Some(format) => format.parse(text).ok_or_else(|| {
                    format!("Could not parse timestamp: value ({text}) does not match pattern ({})", format.pattern())
                })?,
                None => return Err("a timestamp that is text needs the key \"format\"".to_owned()),
            },
            Cell::Boolean(_) => return unsupported("java.lang.Boolean"),
            Cell::Int8(_) => return unsupported("java.lang.Byte"),
            Cell::Int16(_) => return unsupported("java.lang.Short"),
            Cell::Int32(_) => return unsupported("java.lang.Integer"),
            Cell::Float32(_) => return unsupported("java.lang.Float"),
            Cell::Float64(_) => return unsupported("java.lang.Double"),
            Cell::Bytes(_) => return unsupported("[B"),
            Cell::Array => return unsupported("java.util.ArrayList"),
            Cell::Map => return unsupported("java.util.HashMap"),
            Cell::Struct => return unsupported("org.apache.kafka.connect.data.Struct"),
            Cell::Decimal => return unsupported("java.math.BigDecimal"),
        }))
    }

    /// As Java's `TimeUnit`: what is finer than a millisecond is cut off, what does not fit stays at the limit.
    fn of_unix(&self, number: i64) -> i64 {
        match self.precision {
            Precision::Seconds => number.saturating_mul(1_000),
            Precision::Milliseconds => number,
            Precision::Microseconds => number / 1_000,
            Precision::Nanoseconds => number / 1_000_000,
        }
    }

    fn to_unix(&self, time: i64) -> i64 {
        match self.precision {
            Precision::Seconds => time / 1_000,
            Precision::Milliseconds => time,
            Precision::Microseconds => time.saturating_mul(1_000),
            Precision::Nanoseconds => time.saturating_mul(1_000_000),
        }
    }

    fn convert(&self, time: i64, has_schema: bool, text: &mut Vec<u8>) -> Result<Converted, String> {
        Ok(match (self.target, &self.format) {
            (Target::String, Some(format)) => {
                let start = text.len();
                format.write(time, text);
                Converted::Text { start, end: text.len() }
            }
            // `configure` refuses a text target without a format.
            (Target::String, None) => Converted::Null,
            (Target::Unix, _) => Converted::Unix(self.to_unix(time)),
            (Target::Date, _) => {
                let days = time.div_euclid(DAY_MS);
                match i32::try_from(days) {
                    Ok(days) => Converted::Date(days),
                    // Without a schema a Date is a point in time as a Timestamp is, and those reach further.
                    Err(_) if !has_schema => Converted::Timestamp(days.saturating_mul(DAY_MS)),
                    Err(_) => return Err(format!("{time} milliseconds are too far from 1970 for a Date")),
                }
            }
            (Target::Time, _) => Converted::Time(time.rem_euclid(DAY_MS) as i32),
            (Target::Timestamp, _) => Converted::Timestamp(time),
        })
    }
}

/// Refuses a schema that is none of those that hold timestamps.
fn check_timestamp(schema: &Schema) -> Result<()> {
    let is_timestamp = match (schema.of_type, schema.name.as_deref()) {
        (Type::String, _) | (Type::Int64, _) => true,
        (Type::Int32, Some(name)) => name == logical::DATE || name == logical::TIME,
        _ => false,
    };
    match is_timestamp {
        true => Ok(()),
        false => {
            let name = format!("{:?}", schema.of_type).to_uppercase();
            let kind = FailureKind::Other;
            Err(Error::bad_record(
                kind,
                format!("Schema Schema{{{name}}} does not correspond to a known timestamp type format"),
            ))
        }
    }
}
