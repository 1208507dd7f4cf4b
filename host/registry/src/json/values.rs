//! Values that JSON says in another way than a JsonConverter: maps whose keys are no strings are arrays of objects, and one
//! of several types is the value itself.

use tidegate_record::Schema;
use tidegate_record::number::is_integral;
use tidegate_record::schema::{Field, Kind};
use tidegate_record::value::{JsonOptions, Members, Value, write_json_string};

use super::{is_one_of, is_plain};

/// Takes a tree without schema for a value of one.
pub(super) fn typed(value: &Value, schema: &Schema, options: &JsonOptions) -> Result<Value, String> {
    if *value == Value::Null || is_plain(schema) {
        return value.to_typed(schema, options).map_err(|error| error.to_string());
    }
    match (&schema.kind, value) {
        (Kind::Array(of), Value::Array(items)) => {
            Ok(Value::Array(items.iter().map(|item| typed(item, of, options)).collect::<Result<_, _>>()?))
        }
        (Kind::Map(keys, of), Value::Map(members)) if keys.kind == Kind::String && !keys.optional => {
            let member = |(name, value): (&str, &Value)| Ok((name.to_owned(), typed(value, of, options)?));
            Ok(Value::Map(members.iter().map(member).collect::<Result<Members, String>>()?))
        }
        (Kind::Map(keys, of), Value::Array(entries)) => {
            let entry = |entry: &Value| match entry {
                Value::Map(members) if members.len() == 2 => {
                    let part = |name: &str| members.get(name).unwrap_or(&Value::Null);
                    Ok((typed(part("key"), keys, options)?, typed(part("value"), of, options)?))
                }
                Value::Map(members) => {
                    Err(format!("Found invalid map entry, expected length 2 but found :{}", members.len()))
                }
                _ => Err("Found invalid map entry instead of object".to_owned()),
            };
            Ok(Value::Pairs(entries.iter().map(entry).collect::<Result<_, _>>()?))
        }
        (Kind::Map(..), _) => Err("Maps with non-string fields should be encoded as JSON array of objects".to_owned()),
        (Kind::Struct(fields), value) if is_one_of(schema) => {
            let field = fields.iter().find(|field| may_be(value, &field.schema));
            let field = field.ok_or("Did not find matching oneof field for data")?;
            let value = typed(value, &field.schema, options)?;
            Ok(Value::Struct([(field.name.clone(), value)].into_iter().collect()))
        }
        (Kind::Struct(fields), Value::Map(members)) => {
            let member = |field: &Field| {
                let value = members.get(&field.name).unwrap_or(&Value::Null);
                let value = typed(value, &field.schema, options)
                    .map_err(|error| format!("field \"{}\": {error}", field.name))?;
                Ok((field.name.clone(), value))
            };
            Ok(Value::Struct(fields.iter().map(member).collect::<Result<Members, String>>()?))
        }
        (Kind::Struct(_), _) => Err("Structs should be encoded as JSON objects".to_owned()),
        _ => value.to_typed(schema, options).map_err(|error| error.to_string()),
    }
}

/// Whether a value is taken for one of a type of several; the first that may be is.
fn may_be(value: &Value, schema: &Schema) -> bool {
    match (&schema.kind, value) {
        (Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64, Value::Number(text)) => is_integral(text),
        (Kind::Float32 | Kind::Float64, Value::Number(_)) => true,
        (Kind::Bytes, Value::Number(_) | Value::String(_)) => true,
        (Kind::Boolean, Value::Boolean(_))
        | (Kind::String, Value::String(_))
        | (Kind::Array(_), Value::Array(_))
        | (Kind::Map(..), Value::Map(_) | Value::Array(_)) => true,
        (Kind::Struct(_), value) if is_one_of(schema) => {
            schema.fields().iter().any(|field| may_be(value, &field.schema))
        }
        (Kind::Struct(_), Value::Map(members)) => members.iter().all(|(name, _)| schema.field(name).is_some()),
        _ => false,
    }
}

/// Appends a value of a schema.
pub(super) fn write(value: &Value, schema: &Schema, options: &JsonOptions, out: &mut Vec<u8>) -> Result<(), String> {
    let null = *value == Value::Null;
    if null && let Some(default) = schema.default.as_ref().filter(|_| options.replace_null_with_default) {
        return write(default, schema, options, out);
    }
    if null || is_plain(schema) {
        return value.write_connect_json(Some(schema), options, out).map_err(|error| error.to_string());
    }
    match (&schema.kind, value) {
        (Kind::Array(of), Value::Array(items)) => list(items.iter(), out, |item, out| write(item, of, options, out)),
        (Kind::Map(_, of), Value::Map(members)) if is_object(schema) => {
            object(members.iter(), out, |value, out| write(value, of, options, out))
        }
        (Kind::Map(keys, of), Value::Map(members)) => list(members.iter(), out, |(name, value), out| {
            entry((&Value::string(name), keys), (value, of), options, out)
        }),
        (Kind::Map(keys, of), Value::Pairs(pairs)) => {
            list(pairs.iter(), out, |(key, value), out| entry((key, keys), (value, of), options, out))
        }
        (Kind::Struct(fields), Value::Struct(members)) if is_one_of(schema) => {
            let set = fields.iter().find_map(|field| {
                let value = members.get(&field.name).filter(|value| **value != Value::Null)?;
                Some((field, value))
            });
            match set {
                Some((field, value)) => write(value, &field.schema, options, out),
                None => Value::Null.write_connect_json(Some(schema), options, out).map_err(|error| error.to_string()),
            }
        }
        (Kind::Struct(fields), Value::Struct(members)) => {
            let values = fields.iter().map(|field| {
                let value = members.get(&field.name).unwrap_or(&Value::Null);
                (field.name.as_str(), (value, field))
            });
            object(values, out, |(value, field), out| {
                write(value, &field.schema, options, out).map_err(|error| format!("field \"{}\": {error}", field.name))
            })
        }
        _ => value.write_connect_json(Some(schema), options, out).map_err(|error| error.to_string()),
    }
}

fn is_object(schema: &Schema) -> bool {
    matches!(&schema.kind, Kind::Map(keys, _) if keys.kind == Kind::String && !keys.optional)
}

fn entry(
    (key, keys): (&Value, &Schema),
    (value, values): (&Value, &Schema),
    options: &JsonOptions,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    out.extend_from_slice(b"{\"key\":");
    write(key, keys, options, out)?;
    out.extend_from_slice(b",\"value\":");
    write(value, values, options, out)?;
    out.push(b'}');
    Ok(())
}

fn list<T>(
    items: impl Iterator<Item = T>,
    out: &mut Vec<u8>,
    mut item: impl FnMut(T, &mut Vec<u8>) -> Result<(), String>,
) -> Result<(), String> {
    out.push(b'[');
    for (at, own) in items.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        item(own, out)?;
    }
    out.push(b']');
    Ok(())
}

fn object<'n, T>(
    members: impl Iterator<Item = (&'n str, T)>,
    out: &mut Vec<u8>,
    mut value: impl FnMut(T, &mut Vec<u8>) -> Result<(), String>,
) -> Result<(), String> {
    out.push(b'{');
    for (at, (name, own)) in members.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_json_string(name, out);
        out.push(b':');
        value(own, out)?;
    }
    out.push(b'}');
    Ok(())
}
