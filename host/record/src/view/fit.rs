//! Making values fit their schema: what edits bring along, and what a source's batch claims.

use std::sync::Arc;

use super::View;
use super::source::Source;
use crate::schema::{Kind, Logical};
use crate::tlv::Tag;
use crate::value::{Coercion, JsonOptions};
use crate::{Schema, Value};

/// Whether values of one schema are values of the other as they are.
pub(super) fn conforms(from: &Arc<Schema>, to: &Arc<Schema>) -> bool {
    Arc::ptr_eq(from, to)
        || (from.kind == to.kind
            && from.logical() == to.logical()
            && from.parameters == to.parameters
            && (to.optional || !from.optional || to.default.is_some()))
}

impl View<'_> {
    /// The value as one of `to`, or why it is none. `from` is the schema it has so far.
    ///
    /// Integers are narrowed where nothing is lost, numbers that are still text are read. Null stays null also where there
    /// is a default: it is the converters that put that in its place, when the record is written.
    pub(super) fn fit(
        &mut self,
        record: usize,
        source: Source,
        from: Option<&Arc<Schema>>,
        to: &Arc<Schema>,
    ) -> Result<Source, String> {
        if self.is_null(record, source) || source == Source::Missing {
            return match to.optional || to.default.is_some() {
                true => Ok(Source::NULL),
                false => Err(format!("Invalid null value for required {} field", to.kind.connect_name())),
            };
        }
        if let Some(from) = from
            && conforms(from, to)
        {
            return Ok(source);
        }
        // A cast of the whole may leave the name of a logical type on another one, which is then no logical type.
        let plain = match to.logical() {
            Some(logical) if logical.kind() != to.kind => Some(Schema { name: None, ..Schema::clone(to) }),
            _ => None,
        };
        let to = plain.as_ref().unwrap_or(to);
        if let Some(source) = fit_scalar(source, to) {
            return Ok(source);
        }
        self.check_source(record, source)?;
        let tree = self.tree(record, source, from);
        fit_tree(tree, to).map(|tree| self.keep_tree(tree))
    }
}

/// A scalar that fits without a detour over a tree.
fn fit_scalar(source: Source, to: &Schema) -> Option<Source> {
    let logical = if to.name.is_some() { to.logical() } else { None };
    let integer = |tag, min: i64, max: i64, bits: u64| {
        (min..=max).contains(&(bits as i64)).then_some(Source::Fixed { tag, bits })
    };
    match (source, logical, &to.kind) {
        (Source::Fixed { tag: Tag::Date, .. }, Some(Logical::Date), _)
        | (Source::Fixed { tag: Tag::Time, .. }, Some(Logical::Time), _)
        | (Source::Fixed { tag: Tag::Timestamp, .. }, Some(Logical::Timestamp), _)
        | (Source::Fixed { tag: Tag::Boolean, .. }, None, Kind::Boolean)
        | (Source::Fixed { tag: Tag::Float32, .. }, None, Kind::Float32)
        | (Source::Fixed { tag: Tag::Float64, .. }, None, Kind::Float64)
        | (Source::Payload { tag: Tag::String, .. }, None, Kind::String)
        | (Source::Payload { tag: Tag::Bytes, .. }, None, Kind::Bytes) => Some(source),
        (Source::Fixed { tag: Tag::Int8 | Tag::Int16 | Tag::Int32 | Tag::Int64, bits }, None, kind) => match kind {
            Kind::Int8 => integer(Tag::Int8, i64::from(i8::MIN), i64::from(i8::MAX), bits),
            Kind::Int16 => integer(Tag::Int16, i64::from(i16::MIN), i64::from(i16::MAX), bits),
            Kind::Int32 => integer(Tag::Int32, i64::from(i32::MIN), i64::from(i32::MAX), bits),
            Kind::Int64 => integer(Tag::Int64, i64::MIN, i64::MAX, bits),
            _ => None,
        },
        _ => None,
    }
}

/// A tree as one of a schema. Trees in Connect's types have to have just the right ones but for the width of integers; what
/// came from JSON is read as JsonConverter would, without its leniency.
fn fit_tree(tree: Value, to: &Schema) -> Result<Value, String> {
    if matches!((&tree, to.logical()), (Value::Decimal(_), Some(Logical::Decimal))) {
        // As in Connect a decimal of another scale is one until it is written.
        return Ok(tree);
    }
    let options = JsonOptions { coercion: Coercion::Strict, ..JsonOptions::default() };
    if tree.to_connect_json(Some(to), &options).is_ok() {
        return Ok(tree);
    }
    if let (Value::Map(members), Kind::Map(keys, _)) = (&tree, &to.kind)
        && members.is_empty()
        && keys.kind != Kind::String
    {
        // Without entries nothing says what the keys would be.
        return Ok(Value::Pairs(Vec::new()));
    }
    let as_json = match &tree {
        Value::Int8(value) => Value::Number(value.to_string()),
        Value::Int16(value) => Value::Number(value.to_string()),
        Value::Int32(value) => Value::Number(value.to_string()),
        Value::Int64(value) => Value::Number(value.to_string()),
        Value::Float32(value) => return float(f64::from(*value), &tree, to),
        Value::Float64(value) => return float(*value, &tree, to),
        // Typed maps, structs and arrays may hold integers of another width; JSON has only one.
        Value::Array(_) | Value::Map(_) | Value::Struct(_) | Value::Pairs(_) => {
            let text = tree.to_json();
            Value::from_json(&text).map_err(|error| error.to_string())?
        }
        Value::Number(_) | Value::String(_) => tree.clone(),
        _ => return Err(misfit(&tree, to)),
    };
    as_json.to_typed(to, &options).map_err(|error| error.to_string())
}

fn float(value: f64, tree: &Value, to: &Schema) -> Result<Value, String> {
    match to.kind {
        Kind::Float64 if to.logical().is_none() => Ok(Value::Float64(value)),
        Kind::Float32 if to.logical().is_none() && (f64::from(value as f32) == value || value.is_nan()) => {
            Ok(Value::Float32(value as f32))
        }
        _ => Err(misfit(tree, to)),
    }
}

fn misfit(tree: &Value, to: &Schema) -> String {
    format!("a value of class {} does not fit the schema type {}", tree.java_class(), to.kind.connect_name())
}
