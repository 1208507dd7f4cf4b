//! Connect's values as those of CEL, and back.

use crate::java_number::Decimal;
use cel::Value as Cel;
use cel::objects::{Key, Map};
use std::collections::HashMap;
use std::sync::Arc;
use tidegate_sdk::Value;

/// A value to calculate with: whole numbers of any width are ints, all others doubles; times are their numbers.
pub(crate) fn to_cel(value: Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Boolean(value) => Cel::Bool(value),
        Value::Int8(number) => Cel::Int(number.into()),
        Value::Int16(number) => Cel::Int(number.into()),
        Value::Int32(number) | Value::Date(number) | Value::Time(number) => Cel::Int(number.into()),
        Value::Int64(number) | Value::Timestamp(number) => Cel::Int(number),
        Value::Float32(number) => Cel::Float(number.into()),
        Value::Float64(number) => Cel::Float(number),
        Value::Number(text) => match text.parse::<i64>() {
            Ok(number) => Cel::Int(number),
            Err(_) => Cel::Float(text.parse().unwrap_or(f64::NAN)),
        },
        Value::Decimal { scale, unscaled } => Cel::Float(Decimal::new(scale, &unscaled).double()),
        Value::String(text) => Cel::String(Arc::new(text)),
        Value::Bytes(bytes) => Cel::Bytes(Arc::new(bytes)),
        Value::Array(items) => Cel::List(Arc::new(items.into_iter().map(to_cel).collect())),
        Value::Map(members) | Value::Struct(members) => {
            map(members.into_iter().map(|(name, value)| (name, to_cel(value))))
        }
        Value::KeyedMap(pairs) => {
            let pairs = pairs.into_iter().map(|(key, value)| {
                let key = match to_cel(key) {
                    Cel::Int(number) => Key::Int(number),
                    Cel::Bool(flag) => Key::Bool(flag),
                    Cel::String(text) => Key::String(text),
                    other => Key::String(Arc::new(format!("{other:?}"))),
                };
                (key, to_cel(value))
            });
            Cel::Map(Map { map: Arc::new(pairs.collect()) })
        }
    }
}

/// A map with the names of fields or headers.
pub(crate) fn map(members: impl Iterator<Item = (String, Cel)>) -> Cel {
    let map: HashMap<Key, Cel> = members.map(|(name, value)| (Key::String(Arc::new(name)), value)).collect();
    Cel::Map(Map { map: Arc::new(map) })
}

/// What was calculated, as a value without a schema. Maps have no order, so their members get that of their names.
pub(crate) fn from_cel(value: &Cel) -> Result<Value, String> {
    Ok(match value {
        Cel::Null => Value::Null,
        Cel::Bool(value) => Value::Boolean(*value),
        Cel::Int(number) => Value::Int64(*number),
        Cel::UInt(number) => Value::Int64(
            i64::try_from(*number).map_err(|_| format!("{number} is more than 64 bits with a sign can hold"))?,
        ),
        Cel::Float(number) => Value::Float64(*number),
        Cel::String(text) => Value::String(text.to_string()),
        Cel::Bytes(bytes) => Value::Bytes(bytes.to_vec()),
        Cel::List(items) => Value::Array(items.iter().map(from_cel).collect::<Result<_, _>>()?),
        Cel::Map(map) => {
            let mut members = map
                .map
                .iter()
                .map(|(key, value)| {
                    let name = match key {
                        Key::String(name) => name.to_string(),
                        Key::Int(number) => number.to_string(),
                        Key::Uint(number) => number.to_string(),
                        Key::Bool(flag) => flag.to_string(),
                    };
                    Ok((name, from_cel(value)?))
                })
                .collect::<Result<Vec<_>, String>>()?;
            members.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Map(members)
        }
        other => return Err(format!("a result of type {} is no value of a record", other.type_of())),
    })
}
