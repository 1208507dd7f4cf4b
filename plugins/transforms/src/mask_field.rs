//! MaskField: replaces fields with the empty value of their type, or with a given one.

use crate::side::{Side, definition, replace_null_with_default, replaces_nulls, require_struct, set_of_names};
use std::marker::PhantomData;
use tidegate_sdk::{
    Bitmap, Cell, Column, Columns, Config, Definition, Edits, FailureKind, Key, Kind, Place, Plan, Problem, Result,
    Schema, Transform, Value,
};

const PURPOSE: &str = "mask fields";

pub(crate) struct MaskField<S> {
    fields: Vec<String>,
    replacement: Option<String>,
    replaces_nulls: bool,
    side: PhantomData<S>,
}

/// What a field of some kind becomes.
enum Mask {
    Value(Value),
    /// It stays as it is.
    Leave,
    Fail(String),
}

impl<S: Side> Transform for MaskField<S> {
    fn definition() -> Definition {
        definition::<S>("MaskField")
            .doc("Mask specified fields with a valid null value for the field type.")
            .key(Key::list("fields").high().required().non_empty().doc("Names of fields to mask."))
            .key(Key::string("replacement").low().non_empty().doc(
                "Custom value replacement, that will be applied to all 'fields' values (numeric or non-empty string values \
                 only).",
            ))
            .key(replace_null_with_default())
    }

    fn validate(config: &Config) -> Vec<Problem> {
        let mut problems: Vec<Problem> = set_of_names(config, "fields").err().into_iter().collect();
        if config.get("replacement") == Some("") {
            problems.push(Problem::new("replacement", "must not be empty"));
        }
        problems
    }

    fn configure(config: &Config) -> Result<MaskField<S>> {
        Ok(MaskField {
            fields: set_of_names(config, "fields")?,
            replaces_nulls: replaces_nulls(config)?,
            replacement: config.get("replacement").map(str::to_owned),
            side: PhantomData,
        })
    }

    fn plan(&self) -> Plan {
        let columns: Vec<_> = self.fields.iter().map(|field| Column::field(S::PLACE, field)).collect();
        Plan { read: columns.clone(), write: columns }
    }

    fn reshape(&self, _: Place, schema: &Schema) -> Result<Option<Schema>> {
        require_struct(schema, PURPOSE).map(|()| None)
    }

    fn apply(&self, columns: &Columns<'_>, edits: &mut Edits) -> Result<()> {
        let columns = &columns.with_defaults(self.replaces_nulls);
        let count = columns.len();
        let mut failed = vec![false; count];
        for (record, failed) in failed.iter_mut().enumerate().filter(|(record, _)| S::is_null(columns, *record)) {
            edits.fail(record, FailureKind::Data, &S::null_message(columns, record, PURPOSE));
            *failed = true;
        }
        for column in 0..self.fields.len() {
            // The kinds that this field has in the batch, mostly one, each with its records.
            let mut kinds: Vec<(Kind, bool, Bitmap)> = Vec::new();
            for record in 0..count {
                let kind = columns.kind(column, record)?;
                // A JSON number is a whole one or not; a missing field is added as null, unless a schema forbids it.
                let detail = match kind {
                    Kind::Number => matches!(columns.cell(column, record)?, Cell::Number(text) if is_whole(text)),
                    Kind::Missing => S::has_schema(columns, record),
                    _ => false,
                };
                match kinds.iter_mut().find(|(known, known_detail, _)| (*known, *known_detail) == (kind, detail)) {
                    Some((_, _, records)) => records.set(record, true),
                    None => kinds.push((kind, detail, Bitmap::of(count, |other| other == record))),
                }
            }
            for (kind, detail, records) in kinds {
                match self.mask(kind, detail) {
                    Mask::Leave => {}
                    Mask::Value(value) => edits.set_where(column, &value, &records),
                    Mask::Fail(message) => {
                        for record in (0..count).filter(|&record| records.get(record)) {
                            // A record fails once, whatever else is wrong with it.
                            if !std::mem::replace(&mut failed[record], true) {
                                edits.fail(record, FailureKind::Data, &message);
                            }
                        }
                    }
                }
            }
        }
        if self.replaces_nulls {
            edits.defaults(S::PLACE);
        }
        Ok(())
    }
}

fn is_whole(number: &str) -> bool {
    !number.contains(['.', 'e', 'E'])
}

impl<S> MaskField<S> {
    /// `detail`: of a JSON number that it is whole, of a missing field that there is a schema.
    fn mask(&self, kind: Kind, detail: bool) -> Mask {
        match (kind, detail, &self.replacement) {
            (Kind::Missing, false, _) => Mask::Value(Value::Null),
            (Kind::Missing | Kind::Null, _, _) => Mask::Leave,
            (_, _, None) => empty(kind, detail),
            (_, _, Some(text)) => replaced(kind, detail, text),
        }
    }
}

fn empty(kind: Kind, whole: bool) -> Mask {
    Mask::Value(match kind {
        Kind::Boolean => Value::Boolean(false),
        Kind::String => Value::String(String::new()),
        Kind::Array => Value::Array(Vec::new()),
        Kind::Map => Value::Map(Vec::new()),
        Kind::Date => Value::Date(0),
        Kind::Time => Value::Time(0),
        Kind::Timestamp => Value::Timestamp(0),
        Kind::Bytes | Kind::Struct => {
            return Mask::Fail(format!("Cannot mask value of type: class {}", java_class(kind)));
        }
        number => match number_of(number, whole, "0") {
            Some(zero) => zero,
            None => return Mask::Leave,
        },
    })
}

fn replaced(kind: Kind, whole: bool, text: &str) -> Mask {
    match kind {
        Kind::String => Mask::Value(text.into()),
        Kind::Boolean
        | Kind::Bytes
        | Kind::Array
        | Kind::Map
        | Kind::Struct
        | Kind::Date
        | Kind::Time
        | Kind::Timestamp => {
            Mask::Fail(format!("Cannot mask value of type class {} with custom replacement.", java_class(kind)))
        }
        number => match number_of(number, whole, text) {
            Some(value) => Mask::Value(value),
            None => Mask::Fail(format!("Unable to convert {text} (class java.lang.String) to a number")),
        },
    }
}

/// A text as a number of a kind; digits that do not fit are cut off at the top, as Java's narrowing does.
fn number_of(kind: Kind, whole: bool, text: &str) -> Option<Value> {
    let float = || text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    // A whole number stays exact; what has a fraction loses it.
    let wide = || text.parse::<i128>().ok().map(|number| number as i64);
    let long = || text.parse::<i64>().ok().or_else(wide).or_else(|| float().map(|number| number as i64));
    Some(match kind {
        Kind::Int8 => Value::Int8(long()? as i8),
        Kind::Int16 => Value::Int16(long()? as i16),
        Kind::Int32 => Value::Int32(long()? as i32),
        Kind::Int64 => Value::Int64(long()?),
        Kind::Float32 => Value::Float32(float()? as f32),
        Kind::Float64 => Value::Float64(float()?),
        Kind::Number if whole => Value::Int64(long()?),
        Kind::Number => Value::Float64(float()?),
        Kind::Decimal => decimal(text)?,
        _ => return None,
    })
}

/// A decimal with the scale that the text shows.
fn decimal(text: &str) -> Option<Value> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let unscaled: i128 = format!("{whole}{fraction}").parse().ok()?;
    let bytes = unscaled.to_be_bytes();
    // The fewest bytes that keep the sign.
    let spare = (0..15).take_while(|&at| {
        let sign = if unscaled < 0 { 0xFF } else { 0 };
        bytes[at] == sign && (bytes[at + 1] ^ sign) & 0x80 == 0
    });
    let start = spare.count();
    Some(Value::Decimal { scale: i32::try_from(fraction.len()).ok()?, unscaled: bytes[start..].to_vec() })
}

fn java_class(kind: Kind) -> &'static str {
    match kind {
        Kind::Boolean => "java.lang.Boolean",
        Kind::Bytes => "[B",
        Kind::Array => "java.util.ArrayList",
        Kind::Map => "java.util.HashMap",
        Kind::Struct => "org.apache.kafka.connect.data.Struct",
        Kind::Date | Kind::Time | Kind::Timestamp => "java.util.Date",
        _ => "java.lang.Object",
    }
}
