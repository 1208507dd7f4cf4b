//! How values of a Connect schema are written as data of an Avro schema: of the one that was made for them, or of one that
//! the registry had before.

use serde_json::Value as Json;
use tidegate_record::schema::{Kind, Logical, Schema};

use super::encode::{Choice, Member, Plan, long, sized};
use super::from_connect::{has_names, scrub};
use super::schema::{Shape, Type, TypeId, Types};
use super::{ANYTHING, Options, UNION};
use crate::LEVELS_MAX;

/// The name of the record at the top, if there is one, and the plan.
pub(super) fn compile(
    schema: Option<&Schema>,
    text: &str,
    references: &[&str],
    strict: bool,
    options: &Options,
) -> Result<(Option<String>, Plan), String> {
    let (types, root) = Types::parse(text, references)?;
    let record = match &types.get(root).shape {
        Shape::Union(branches) => branches.iter().copied().find(|branch| !types.is_null(*branch)).unwrap_or(root),
        _ => root,
    };
    let name = types.get(record).name().map(str::to_owned);
    let plan = match schema {
        None if types.get(root).name() == Some(ANYTHING) => Plan::Anything,
        None => {
            return Err("a value without schema cannot be written with a schema that was not made for it".to_owned());
        }
        Some(schema) => Compiler { types: &types, strict, options }.part(schema, root)?,
    };
    Ok((name, plan))
}

struct Compiler<'t> {
    types: &'t Types,
    strict: bool,
    options: &'t Options,
}

/// All numbers of a type.
const INT8: (i64, i64) = (i8::MIN as i64, i8::MAX as i64);
const INT16: (i64, i64) = (i16::MIN as i64, i16::MAX as i64);
const INT32: (i64, i64) = (i32::MIN as i64, i32::MAX as i64);

impl Compiler<'_> {
    fn part(&self, schema: &Schema, id: TypeId) -> Result<Plan, String> {
        let of = self.types.get(id);
        if let Shape::Union(branches) = &of.shape {
            return self.branch(schema, branches);
        }
        let unfit = || format!("{} cannot be written as Avro's {}", schema.kind.connect_name(), of.word());
        let logical = schema.logical().filter(|logical| logical.kind() == schema.kind);
        Ok(match (&of.shape, &schema.kind) {
            (Shape::Int, Kind::Int32) if logical == Some(Logical::Date) => Plan::Date,
            (Shape::Int, Kind::Int32) if logical == Some(Logical::Time) => Plan::Time,
            (Shape::Int | Shape::Long, Kind::Int8) => Plan::Int(INT8.0, INT8.1),
            (Shape::Int | Shape::Long, Kind::Int16) => Plan::Int(INT16.0, INT16.1),
            (Shape::Int | Shape::Long, Kind::Int32) if logical.is_none() => Plan::Int(INT32.0, INT32.1),
            (Shape::Long, Kind::Int64) if logical == Some(Logical::Timestamp) => Plan::Timestamp,
            (Shape::Long, Kind::Int64) => Plan::Int(i64::MIN, i64::MAX),
            (Shape::Float, Kind::Float32) => Plan::Float,
            (Shape::Double, Kind::Float32 | Kind::Float64) => Plan::Double,
            (Shape::Boolean, Kind::Boolean) => Plan::Boolean,
            (Shape::Bytes, Kind::Bytes) => match logical {
                Some(Logical::Decimal) => {
                    Plan::Decimal(schema.scale().ok_or("a Decimal schema without the parameter \"scale\"")?)
                }
                _ => Plan::Bytes,
            },
            (Shape::Fixed { size, .. }, Kind::Bytes) if logical.is_none() => Plan::Fixed(*size),
            (Shape::String, Kind::String) => Plan::String,
            (Shape::Enum { symbols, .. }, Kind::String) => Plan::Enum(symbols.clone()),
            (Shape::Array(items), Kind::Array(own)) => Plan::Array(Box::new(self.part(own, *items)?)),
            (Shape::Map(values), Kind::Map(keys, own)) if has_names(keys, self.options) => {
                Plan::Map(Box::new(self.part(own, *values)?))
            }
            (Shape::Array(items), Kind::Map(keys, values)) => {
                let Shape::Record { fields, .. } = &self.types.get(*items).shape else { return Err(unfit()) };
                match fields.as_slice() {
                    [key, value] if key.name == "key" && value.name == "value" => {
                        let (key, value) = (self.part(keys, key.of)?, self.part(values, value.of)?);
                        Plan::Entries(Box::new(key), Box::new(value))
                    }
                    _ => return Err(unfit()),
                }
            }
            (Shape::Record { name, fields }, Kind::Struct(_)) => self.record(schema, name, fields)?,
            _ => return Err(unfit()),
        })
    }

    fn branch(&self, schema: &Schema, branches: &[TypeId]) -> Result<Plan, String> {
        let null = branches.iter().position(|branch| self.types.is_null(*branch));
        if schema.name.as_deref() == Some(UNION) {
            let mut choices = Vec::with_capacity(schema.fields().len());
            for field in schema.fields() {
                let own = |of: &Type| {
                    let word = of.name().unwrap_or(of.word());
                    word == field.name || word.rsplit('.').next() == Some(&field.name)
                };
                let Some(branch) = branches.iter().position(|branch| own(self.types.get(*branch))) else {
                    return Err(format!("the union has no branch \"{}\"", field.name));
                };
                let plan = self.part(&field.schema, branches[branch])?;
                choices.push(Choice { name: field.name.clone(), branch, plan });
            }
            return Ok(Plan::Union { choices, null });
        }
        let mut refused = None;
        for (branch, id) in branches.iter().enumerate().filter(|(branch, _)| Some(*branch) != null) {
            match self.part(schema, *id) {
                Ok(plan) => return Ok(Plan::Branch { null, branch, plan: Box::new(plan) }),
                Err(error) => refused = Some(error),
            }
        }
        Err(refused.unwrap_or_else(|| "the union has no branch but null".to_owned()))
    }

    fn record(&self, schema: &Schema, name: &str, fields: &[super::schema::Field]) -> Result<Plan, String> {
        let is_of = |own: &str, field: &str| own == field || (self.options.scrub && scrub(own) == field);
        if self.strict
            && let Some(left) =
                schema.fields().iter().find(|own| !fields.iter().any(|field| is_of(&own.name, &field.name)))
        {
            return Err(format!("the record \"{name}\" of the registered schema has no field \"{}\"", left.name));
        }
        let mut members = Vec::with_capacity(fields.len());
        for (at, field) in fields.iter().enumerate() {
            // Mostly the fields are the same, in the same order.
            let same = schema.fields().get(at).filter(|own| is_of(&own.name, &field.name));
            let own = same.or_else(|| schema.fields().iter().find(|own| is_of(&own.name, &field.name)));
            let Some(own) = own else {
                let Some(default) = &field.default else {
                    return Err(format!(
                        "the record \"{name}\" of the registered schema has the field \"{}\" without a default, which the \
                         record's schema has not",
                        field.name
                    ));
                };
                let mut datum = Vec::new();
                self.datum(field.of, default, 1, &mut datum)
                    .map_err(|error| format!("field \"{}\": {error}", field.name))?;
                // No field has an empty name: what is shown for it is always null.
                members.push(Member { name: "".into(), default: Some(datum), plan: Plan::Boolean });
                continue;
            };
            let at = |error| format!("field \"{}\": {error}", own.name);
            let plan = self.part(&own.schema, field.of).map_err(at)?;
            let default = match &own.schema.default {
                Some(default) if !(self.options.ignore_default && own.schema.optional) => {
                    Some(plan.datum_of(default).map_err(at)?)
                }
                _ => None,
            };
            members.push(Member { name: own.name.as_str().into(), default, plan });
        }
        Ok(Plan::Record(members))
    }

    /// The datum of a default of the Avro schema.
    fn datum(&self, id: TypeId, json: &Json, level: usize, out: &mut Vec<u8>) -> Result<(), String> {
        let of = self.types.get(id);
        if level > LEVELS_MAX {
            return Err(format!("a default is nested more than {LEVELS_MAX} levels deep"));
        }
        let unfit = || format!("the default {json} does not fit the type {}", of.word());
        match &of.shape {
            Shape::Null => {}
            Shape::Boolean => out.push(u8::from(json.as_bool().ok_or_else(unfit)?)),
            Shape::Int | Shape::Long => long(json.as_i64().ok_or_else(unfit)?, out),
            Shape::Float => out.extend_from_slice(&(json.as_f64().ok_or_else(unfit)? as f32).to_le_bytes()),
            Shape::Double => out.extend_from_slice(&json.as_f64().ok_or_else(unfit)?.to_le_bytes()),
            Shape::String => sized(json.as_str().ok_or_else(unfit)?.as_bytes(), out),
            Shape::Bytes | Shape::Fixed { .. } => {
                let text = json.as_str().ok_or_else(unfit)?;
                let bytes: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
                let bytes = bytes.map_err(|_| unfit())?;
                match of.shape {
                    Shape::Fixed { size, .. } if bytes.len() == size => out.extend_from_slice(&bytes),
                    Shape::Fixed { .. } => return Err(unfit()),
                    _ => sized(&bytes, out),
                }
            }
            Shape::Enum { symbols, .. } => {
                let at = symbols.iter().position(|symbol| Some(symbol.as_str()) == json.as_str()).ok_or_else(unfit)?;
                long(at as i64, out);
            }
            Shape::Array(items) => {
                let list = json.as_array().ok_or_else(unfit)?;
                if !list.is_empty() {
                    long(list.len() as i64, out);
                }
                list.iter().try_for_each(|item| self.datum(*items, item, level + 1, out))?;
                out.push(0);
            }
            Shape::Map(values) => {
                let members = json.as_object().ok_or_else(unfit)?;
                if !members.is_empty() {
                    long(members.len() as i64, out);
                }
                for (name, value) in members {
                    sized(name.as_bytes(), out);
                    self.datum(*values, value, level + 1, out)?;
                }
                out.push(0);
            }
            Shape::Record { fields, .. } => {
                let members = json.as_object().ok_or_else(unfit)?;
                for field in fields {
                    let value = members.get(&field.name).or(field.default.as_ref()).ok_or_else(unfit)?;
                    self.datum(field.of, value, level + 1, out)?;
                }
            }
            Shape::Union(branches) => {
                // A default is one of the first branch; others are taken as they come.
                let before = out.len();
                for (at, branch) in branches.iter().enumerate() {
                    out.truncate(before);
                    long(at as i64, out);
                    if self.types.is_null(*branch) != json.is_null() {
                        continue;
                    }
                    if self.datum(*branch, json, level + 1, out).is_ok() {
                        return Ok(());
                    }
                }
                out.truncate(before);
                return Err(unfit());
            }
            Shape::Open => return Err(unfit()),
        }
        Ok(())
    }
}
