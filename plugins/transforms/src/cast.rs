//! Cast: makes fields, or the whole key or value, values of another primitive type.

use crate::date_format::DAY_MS;
use crate::java_number::{Decimal, double_text, float_text, floating_text, low_bits, parse_whole};
use crate::side::{Side, definition, replace_null_with_default, replaces_nulls, struct_to_change};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::marker::PhantomData;
use tidegate_sdk::serde_json::{Value as Json, json};
use tidegate_sdk::{
    Cell, Column, Columns, Config, Definition, Edits, Error, FailureKind, Key, Place, Plan, Problem, Result, Schema,
    Transform, Type, Value, logical,
};

pub(crate) struct Cast<S> {
    casts: Vec<(Target, Type)>,
    replaces_nulls: bool,
    side: PhantomData<S>,
}

enum Target {
    Whole,
    Field(String),
}

impl<S: Side> Transform for Cast<S> {
    fn definition() -> Definition {
        definition::<S>("Cast")
            .doc(
                "Cast fields or the entire key or value to a specific type, e.g. to force an integer field to a smaller \
                 width. Cast from integers, floats, boolean and string to any other type, and cast binary to string \
                 (base64 encoded).",
            )
            .key(Key::list("spec").high().required().doc(
                "List of fields and the type to cast them to of the form field1:type,field2:type to cast fields of Maps or \
                 Structs. A single type to cast the entire value. Valid types are int8, int16, int32, int64, float32, \
                 float64, boolean, and string. Note that binary fields can only be cast to string.",
            ))
            .key(replace_null_with_default())
    }

    fn validate(config: &Config) -> Vec<Problem> {
        match casts(config) {
            Err(Error::InvalidConfig(problem)) => vec![problem],
            _ => Vec::new(),
        }
    }

    fn configure(config: &Config) -> Result<Cast<S>> {
        Ok(Cast { casts: casts(config)?, replaces_nulls: replaces_nulls(config)?, side: PhantomData })
    }

    fn plan(&self) -> Plan {
        let column = |(target, _): &(Target, Type)| match target {
            Target::Whole => Column::whole(S::PLACE),
            Target::Field(name) => Column::field(S::PLACE, name),
        };
        let columns: Vec<_> = self.casts.iter().map(column).collect();
        Plan { read: columns.clone(), write: columns }
    }

    fn reshape(&self, _: Place, schema: &Schema) -> Result<Option<Schema>> {
        if let [(Target::Whole, to)] = self.casts[..] {
            let changed = Schema { default: None, ..schema.clone() };
            let mut changed = Schema { of_type: to, items: None, keys: None, values: None, ..changed };
            changed.fields.clear();
            changed.default = cast_default(schema, to)?;
            return Ok(Some(changed));
        }
        if schema.of_type != Type::Struct {
            return Err(Error::fatal("Cannot list fields on non-struct type"));
        }
        let mut changed = struct_to_change(schema, "cast types")?;
        changed.optional = schema.optional;
        if schema.default.is_some() {
            return Err(Error::fatal("Cast transformation does not support casting from STRUCT"));
        }
        for field in &mut changed.fields {
            for (target, to) in &self.casts {
                if matches!(target, Target::Field(name) if *name == field.name) {
                    let cast = Schema::new(*to).with_optional(field.schema.optional);
                    field.schema = Schema { default: cast_default(&field.schema, *to)?, ..cast };
                    break;
                }
            }
        }
        Ok(Some(changed))
    }

    fn apply(&self, columns: &Columns<'_>, edits: &mut Edits) -> Result<()> {
        let columns = &columns.with_defaults(self.replaces_nulls);
        let mut failed = vec![false; columns.len()];
        for (target, (what, to)) in self.casts.iter().enumerate() {
            let mut values = Vec::with_capacity(columns.len());
            for (record, failed) in failed.iter_mut().enumerate() {
                let has_schema = S::has_schema(columns, record);
                let is_null = S::is_null(columns, record);
                values.push(match columns.cell(target, record)? {
                    _ if is_null => None,
                    // Without a schema a field that is missing is added as null; with one there is nothing to cast.
                    Cell::Missing if has_schema || matches!(what, Target::Whole) => None,
                    Cell::Missing | Cell::Null => Some(Value::Null),
                    cell => match cast(cell, || columns.value(target, record), *to, has_schema)? {
                        Ok(value) => Some(value),
                        Err(message) => {
                            if !std::mem::replace(failed, true) {
                                edits.fail(record, FailureKind::Data, &message);
                            }
                            None
                        }
                    },
                });
            }
            edits.set_values(target, &values);
        }
        if self.replaces_nulls && !matches!(self.casts[..], [(Target::Whole, _)]) {
            edits.defaults(S::PLACE);
        }
        Ok(())
    }
}

/// What a value becomes; the inner error is the message of a DataException. `decoded` is asked for decimals only.
fn cast(
    cell: Cell<'_>,
    decoded: impl FnOnce() -> Result<Option<Value>, tidegate_sdk::Malformed>,
    to: Type,
    has_schema: bool,
) -> Result<Result<Value, String>> {
    let no_type = |class: &str| {
        format!(
            "Cast transformation was passed a value of type class {class} which is not supported by Connect's data API"
        )
    };
    let not_from = |of_type: &str| {
        format!(
            "Cast transformation does not support casting from {of_type}; supported types are [INT8, INT16, INT32, INT64, \
             FLOAT32, FLOAT64, BOOLEAN, STRING, BYTES]"
        )
    };
    let from = match cell {
        Cell::Boolean(value) => From::Boolean(value),
        Cell::Int8(number) => From::Whole(number.into()),
        Cell::Int16(number) => From::Whole(number.into()),
        Cell::Int32(number) => From::Whole(number.into()),
        Cell::Int64(number) => From::Whole(number),
        Cell::Float32(number) => From::Float(number),
        Cell::Float64(number) => From::Double(number),
        Cell::Number(text) if !text.contains(['.', 'e', 'E']) => {
            let number = low_bits(text.trim_start_matches('-'));
            From::Whole(if text.starts_with('-') { number.wrapping_neg() } else { number })
        }
        Cell::Number(text) => From::Double(text.parse().unwrap_or(f64::NAN)),
        Cell::String(text) => From::Text(text),
        Cell::Bytes(bytes) => From::Bytes(bytes),
        Cell::Date(_) | Cell::Time(_) | Cell::Timestamp(_) if !has_schema => return Ok(Err(no_type("java.util.Date"))),
        Cell::Date(days) if to == Type::String => From::Moment(i64::from(days) * DAY_MS),
        Cell::Time(time) if to == Type::String => From::Moment(time.into()),
        Cell::Timestamp(time) if to == Type::String => From::Moment(time),
        Cell::Date(number) | Cell::Time(number) => From::Whole(number.into()),
        Cell::Timestamp(number) => From::Whole(number),
        Cell::Decimal if !has_schema => return Ok(Err(no_type("java.math.BigDecimal"))),
        Cell::Decimal => match decoded()? {
            Some(Value::Decimal { scale, unscaled }) => From::Decimal(Decimal::new(scale, &unscaled)),
            _ => return Ok(Err(not_from("BYTES"))),
        },
        Cell::Array => return Ok(Err(not_from("ARRAY"))),
        Cell::Map => return Ok(Err(not_from("MAP"))),
        Cell::Struct => return Ok(Err(not_from("STRUCT"))),
        Cell::Missing | Cell::Null => return Ok(Ok(Value::Null)),
    };
    Ok(from.to(to))
}

/// What is cast, in Java's classes.
enum From<'v> {
    Boolean(bool),
    Whole(i64),
    Float(f32),
    Double(f64),
    Decimal(Decimal),
    Text(&'v str),
    Bytes(&'v [u8]),
    /// Milliseconds since 1970, to be written.
    Moment(i64),
}

impl From<'_> {
    fn to(self, to: Type) -> Result<Value, String> {
        let out_of_range = |text: &str| format!("Value ({text}) was out of range for requested data type");
        let whole = |text: &str, min: i64, max: i64| parse_whole(text, min, max).ok_or_else(|| out_of_range(text));
        let floating = |text: &str| floating_text(text).map(str::to_owned).ok_or_else(|| out_of_range(text));
        Ok(match to {
            Type::Int8 => Value::Int8(match self {
                From::Text(text) => whole(text, i8::MIN.into(), i8::MAX.into())? as i8,
                other => other.int()? as i8,
            }),
            Type::Int16 => Value::Int16(match self {
                From::Text(text) => whole(text, i16::MIN.into(), i16::MAX.into())? as i16,
                other => other.int()? as i16,
            }),
            Type::Int32 => Value::Int32(match self {
                From::Text(text) => whole(text, i32::MIN.into(), i32::MAX.into())? as i32,
                other => other.int()?,
            }),
            Type::Int64 => Value::Int64(match self {
                From::Text(text) => whole(text, i64::MIN, i64::MAX)?,
                other => other.long()?,
            }),
            Type::Float32 => Value::Float32(match self {
                From::Boolean(value) => f32::from(u8::from(value)),
                From::Whole(number) => number as f32,
                From::Float(number) => number,
                From::Double(number) => number as f32,
                From::Decimal(number) => number.float(),
                From::Text(text) => floating(text)?.parse().map_err(|_| out_of_range(text))?,
                From::Bytes(_) | From::Moment(_) => return Err(unexpected()),
            }),
            Type::Float64 => Value::Float64(match self {
                From::Boolean(value) => f64::from(u8::from(value)),
                From::Whole(number) => number as f64,
                From::Float(number) => number.into(),
                From::Double(number) => number,
                From::Decimal(number) => number.double(),
                From::Text(text) => floating(text)?.parse().map_err(|_| out_of_range(text))?,
                From::Bytes(_) | From::Moment(_) => return Err(unexpected()),
            }),
            Type::Boolean => Value::Boolean(match self {
                From::Boolean(value) => value,
                From::Text(text) => text.eq_ignore_ascii_case("true"),
                other => other.long()? != 0,
            }),
            _ => Value::String(match self {
                From::Boolean(value) => value.to_string(),
                From::Whole(number) => number.to_string(),
                From::Float(number) => float_text(number),
                From::Double(number) => double_text(number),
                From::Decimal(number) => number.text(),
                From::Text(text) => text.to_owned(),
                From::Bytes(bytes) => BASE64.encode(bytes),
                From::Moment(time) => moment_text(time),
            }),
        })
    }

    /// `Number.intValue`, which the narrower types begin with.
    fn int(self) -> Result<i32, String> {
        Ok(match self {
            From::Float(number) => number as i32,
            From::Double(number) => number as i32,
            other => other.long()? as i32,
        })
    }

    /// `Number.longValue`.
    fn long(self) -> Result<i64, String> {
        Ok(match self {
            From::Boolean(value) => value.into(),
            From::Whole(number) => number,
            From::Float(number) => number as i64,
            From::Double(number) => number as i64,
            From::Decimal(number) => number.long(),
            From::Text(_) | From::Bytes(_) | From::Moment(_) => return Err(unexpected()),
        })
    }
}

fn unexpected() -> String {
    "Unexpected type in Cast transformation: class [B".to_owned()
}

/// `Values.dateFormatFor`: a time on the first day and before, a date at midnight, else both.
fn moment_text(time: i64) -> String {
    let pattern = match time {
        time if time < DAY_MS => "HH:mm:ss.SSS'Z'",
        time if time % DAY_MS == 0 => "yyyy-MM-dd",
        _ => "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'",
    };
    let mut text = Vec::new();
    if let Ok(format) = crate::date_format::DateFormat::new(pattern) {
        format.write(time, &mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// The default of a schema as one of the type that is cast to, in the JSON form of values.
fn cast_default(schema: &Schema, to: Type) -> Result<Option<Json>> {
    let Some(default) = &schema.default else { return Ok(None) };
    let wrong = || Error::fatal("Cast transformation cannot cast the default of the schema");
    let whole = || default.as_i64().ok_or_else(wrong);
    let double = || match default.as_str() {
        Some("NaN") => Ok(f64::NAN),
        Some("Infinity") => Ok(f64::INFINITY),
        Some("-Infinity") => Ok(f64::NEG_INFINITY),
        _ => default.as_f64().ok_or_else(wrong),
    };
    let bytes;
    let from = match (schema.of_type, schema.name.as_deref()) {
        (Type::Boolean, _) => From::Boolean(default.as_bool().ok_or_else(wrong)?),
        (Type::Int32, Some(logical::DATE)) if to == Type::String => From::Moment(whole()? * DAY_MS),
        (Type::Int32, Some(logical::TIME)) if to == Type::String => From::Moment(whole()?),
        (Type::Int64, Some(logical::TIMESTAMP)) if to == Type::String => From::Moment(whole()?),
        (Type::Int8 | Type::Int16 | Type::Int32 | Type::Int64, _) => From::Whole(whole()?),
        (Type::Float32, _) => From::Float(double()? as f32),
        (Type::Float64, _) => From::Double(double()?),
        (Type::String, _) => From::Text(default.as_str().ok_or_else(wrong)?),
        (Type::Bytes, name) => {
            bytes = BASE64.decode(default.as_str().ok_or_else(wrong)?).map_err(|_| wrong())?;
            match name {
                Some(logical::DECIMAL) => {
                    let scale = schema.parameters.get("scale").and_then(Json::as_str);
                    From::Decimal(Decimal::new(scale.and_then(|scale| scale.parse().ok()).ok_or_else(wrong)?, &bytes))
                }
                _ => From::Bytes(&bytes),
            }
        }
        _ => return Err(wrong()),
    };
    let floating = |number: f64| match number.is_finite() {
        true => json!(number),
        false => json!(double_text(number)),
    };
    Ok(Some(match from.to(to).map_err(Error::fatal)? {
        Value::Boolean(value) => json!(value),
        Value::Int8(number) => json!(number),
        Value::Int16(number) => json!(number),
        Value::Int32(number) => json!(number),
        Value::Int64(number) => json!(number),
        // As many digits as the narrower type shows.
        Value::Float32(number) if number.is_finite() => number.to_string().parse().map_or(Json::Null, Json::Number),
        Value::Float32(number) => floating(number.into()),
        Value::Float64(number) => floating(number),
        Value::String(text) => json!(text),
        _ => return Err(wrong()),
    }))
}

fn casts(config: &Config) -> Result<Vec<(Target, Type)>> {
    let refuse = |message: String| Err(Error::invalid_config("spec", message));
    let mut casts: Vec<(Target, Type)> = Vec::new();
    let spec = config.list("spec");
    for mapping in &spec {
        let parts: Vec<&str> = mapping.trim_end_matches(':').split(':').map(str::trim).collect();
        let (target, to) = match parts[..] {
            [to] => (Target::Whole, to),
            [field, to] => (Target::Field(field.to_owned()), to),
            _ => return refuse(format!("\"{mapping}\" is not field:type")),
        };
        let Some(to) = type_of(to) else {
            return refuse(format!(
                "\"{to}\" is no type to cast to; int8, int16, int32, int64, float32, float64, boolean and string are"
            ));
        };
        // Of two casts of one field the last counts.
        let same =
            |known: &Target| matches!((known, &target), (Target::Field(known), Target::Field(new)) if known == new);
        casts.retain(|(known, _)| !same(known));
        casts.push((target, to));
    }
    match spec.len() {
        0 => refuse("must name at least one field to cast".to_owned()),
        2.. if casts.iter().any(|(target, _)| matches!(target, Target::Whole)) => {
            refuse("a cast of the whole key or value stands alone".to_owned())
        }
        _ => Ok(casts),
    }
}

fn type_of(name: &str) -> Option<Type> {
    Some(match name.to_ascii_lowercase().as_str() {
        "int8" => Type::Int8,
        "int16" => Type::Int16,
        "int32" => Type::Int32,
        "int64" => Type::Int64,
        "float32" => Type::Float32,
        "float64" => Type::Float64,
        "boolean" => Type::Boolean,
        "string" => Type::String,
        _ => return None,
    })
}
