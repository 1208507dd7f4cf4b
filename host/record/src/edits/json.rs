//! The JSON form of edits. It becomes an arena, so that both forms are checked by one reader.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{EditsWriter, FailureKind, Place};
use crate::malformed::{Malformed, Reason};
use crate::value::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edits<'a> {
    #[serde(default)]
    drop: Vec<usize>,
    /// Each `[index, message]` or `[index, message, kind]`.
    #[serde(default)]
    errors: Vec<Error>,
    #[serde(borrow, default)]
    edits: Vec<Edit<'a>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Error {
    OfData(usize, String),
    OfKind(usize, String, u32),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit<'a> {
    op: String,
    target: Option<usize>,
    #[serde(borrow, default, deserialize_with = "present")]
    value: Option<&'a RawValue>,
    #[serde(borrow)]
    values: Option<Vec<&'a RawValue>>,
    name: Option<String>,
    to: Option<usize>,
    place: Option<String>,
    names: Option<Vec<String>>,
    delimiter: Option<String>,
    field: Option<String>,
    targets: Option<Vec<usize>>,
    schema: Option<String>,
    index: Option<usize>,
    #[serde(default, rename = "keep-empty")]
    keep_empty: bool,
    #[serde(default)]
    whole: bool,
    max: Option<u32>,
    #[serde(default)]
    defaults: bool,
    #[serde(rename = "where")]
    scope: Option<Vec<usize>>,
}

/// Tells `"value": null` from no value.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

/// The arena of edits that a plugin sent as JSON, for `records` records. The arena still has to be parsed, which checks
/// what JSON and arena have in common.
pub fn edits_from_json(text: &str, records: usize) -> Result<Vec<u8>, Malformed> {
    read(text, records).map_err(|malformed| malformed.of("edits"))
}

fn wrong(detail: impl std::fmt::Display) -> Malformed {
    Malformed::new(Reason::Json, detail)
}

fn read(text: &str, records: usize) -> Result<Vec<u8>, Malformed> {
    let edits: Edits<'_> = serde_json::from_str(text).map_err(wrong)?;
    let mut writer = EditsWriter::new(records);
    if !edits.drop.is_empty() {
        let dropped = marks(&edits.drop, records)?;
        writer.drop_where(|record| dropped[record]);
    }
    for error in &edits.errors {
        let (record, message, kind) = match error {
            Error::OfData(record, message) => (record, message, 0),
            Error::OfKind(record, message, kind) => (record, message, *kind),
        };
        marks(&[*record], records)?;
        let kind =
            FailureKind::of(kind).ok_or_else(|| Malformed::new(Reason::Field, format!("failure kind {kind}")))?;
        writer.fail(*record, kind, message);
    }
    for (index, edit) in edits.edits.iter().enumerate() {
        add(&mut writer, edit, records).map_err(|mut malformed| {
            malformed.detail = format!("edit {index}: {}", malformed.detail);
            malformed
        })?;
    }
    writer.finish()
}

/// One mark per record.
fn marks(indices: &[usize], records: usize) -> Result<Vec<bool>, Malformed> {
    let mut marks = vec![false; records];
    for index in indices {
        *marks
            .get_mut(*index)
            .ok_or_else(|| Malformed::new(Reason::Field, format!("record {index} of {records}")))? = true;
    }
    Ok(marks)
}

fn add(writer: &mut EditsWriter, edit: &Edit<'_>, records: usize) -> Result<(), Malformed> {
    fn needed<'e, T>(member: &'e Option<T>, name: &str, op: &str) -> Result<&'e T, Malformed> {
        member.as_ref().ok_or_else(|| wrong(format!("\"{op}\" needs \"{name}\"")))
    }
    let op = edit.op.as_str();
    let target = || needed(&edit.target, "target", op).copied();
    let place = || match needed(&edit.place, "place", op)?.as_str() {
        "value" => Ok(Place::Value),
        "key" => Ok(Place::Key),
        other => Err(wrong(format!("place \"{other}\""))),
    };
    let parse = |raw: &&RawValue| Value::from_json(raw.get()).map_err(wrong);
    match op {
        "remove" => writer.remove(target()?),
        "set" => match (&edit.value, &edit.values) {
            (Some(value), None) => writer.set_constant(target()?, &parse(value)?),
            (None, Some(values)) => {
                let values = values.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
                let mut cells = vec![None; records];
                let all: Vec<usize> = (0..records).collect();
                let indices = edit.scope.as_deref().unwrap_or(&all);
                if indices.len() != values.len() {
                    let detail = format!("{} values for {} records", values.len(), indices.len());
                    return Err(Malformed::new(Reason::Count, detail));
                }
                marks(indices, records)?;
                for (index, value) in indices.iter().zip(&values) {
                    cells[*index] = Some(value);
                }
                writer.set_values(target()?, &cells)
            }
            _ => return Err(wrong("\"set\" needs either \"value\" or \"values\"")),
        },
        "rename" => writer.rename(target()?, needed(&edit.name, "name", op)?),
        "copy" => writer.copy(target()?, *needed(&edit.to, "to", op)?),
        "move" => writer.move_to(target()?, *needed(&edit.to, "to", op)?),
        "retain" => {
            let names: Vec<&str> = needed(&edit.names, "names", op)?.iter().map(String::as_str).collect();
            writer.retain(place()?, &names)
        }
        "flatten" => writer.flatten(place()?, needed(&edit.delimiter, "delimiter", op)?),
        "hoist" => writer.hoist(place()?, needed(&edit.field, "field", op)?),
        "extract" => writer.extract(target()?),
        "defaults" => writer.defaults(place()?),
        "collect" => {
            let (targets, names) = (needed(&edit.targets, "targets", op)?, needed(&edit.names, "names", op)?);
            if targets.len() != names.len() {
                let detail = format!("{} names for {} targets", names.len(), targets.len());
                return Err(Malformed::new(Reason::Count, detail));
            }
            let targets: Vec<_> = targets.iter().zip(names).map(|(target, name)| (*target, name.as_str())).collect();
            writer.collect(place()?, &targets)
        }
        "explode" => {
            let max = edit.max.unwrap_or(0) as usize;
            writer.explode(target()?, edit.index, max).exploding(edit.keep_empty, edit.whole)
        }
        other => return Err(wrong(format!("operation \"{other}\""))),
    };
    if op != "explode" && (edit.index.is_some() || edit.keep_empty || edit.whole || edit.max.is_some()) {
        return Err(wrong(format!("\"{op}\" makes no records")));
    }
    match (op, edit.defaults) {
        (_, false) => {}
        ("copy" | "move" | "flatten" | "extract" | "collect", true) => _ = writer.taking_defaults(),
        (op, true) => return Err(wrong(format!("\"{op}\" takes no defaults"))),
    }
    match (op, &edit.schema) {
        (_, None) => {}
        ("set", Some(schema)) => _ = writer.of_schema(schema),
        (op, Some(_)) => return Err(wrong(format!("\"{op}\" has no schema"))),
    }
    if let Some(scope) = &edit.scope {
        let applies = marks(scope, records)?;
        writer.only(|record| applies[record]);
    }
    Ok(())
}
