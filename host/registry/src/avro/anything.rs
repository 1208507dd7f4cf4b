//! Values without a schema: a record with a field for each kind of value, of which one is set. It contains itself, so it
//! goes through trees.

use tidegate_record::cell::Cell;
use tidegate_record::tlv::{Nodes, Tag};
use tidegate_record::value::{Members, Value};
use tidegate_record::view::node_cell;

use super::datum::{Input, Result};
use super::encode::{long, sized};
use crate::LEVELS_MAX;

/// The schema, as Confluent's converter registers it.
pub(super) const SCHEMA: &str = r#"{"type":"record","name":"Anything","namespace":"io.confluent.connect.avro","fields":[{"name":"boolean","type":["null","boolean"],"default":null},{"name":"bytes","type":["null","bytes"],"default":null},{"name":"double","type":["null","double"],"default":null},{"name":"float","type":["null","float"],"default":null},{"name":"int","type":["null","int"],"default":null},{"name":"long","type":["null","long"],"default":null},{"name":"string","type":["null","string"],"default":null},{"name":"array","type":["null",{"type":"array","items":"Anything"}],"default":null},{"name":"map","type":["null",{"type":"array","items":{"type":"record","name":"MapEntry","fields":[{"name":"key","type":"Anything"},{"name":"value","type":"Anything"}]}}],"default":null}]}"#;

/// The fields, in the order of the schema.
const FIELDS: usize = 9;

pub(super) fn decode(input: &mut Input<'_>, level: usize) -> Result<Value> {
    if level > LEVELS_MAX {
        return Err(format!("nested more than {LEVELS_MAX} levels deep"));
    }
    // Of several that are set, Connect takes the first in its order; which is this one.
    let mut found = None;
    for field in 0..FIELDS {
        if input.branch(2)? == 0 {
            continue;
        }
        let value = match field {
            0 => Value::Boolean(input.boolean()?),
            1 => Value::Bytes(input.bytes()?.to_vec()),
            2 => Value::Float64(double(input.take(8)?)),
            3 => Value::Float32(float(input.take(4)?)),
            4 => Value::Int32(input.int()?),
            5 => Value::Int64(input.long()?),
            6 => Value::string(input.text()?),
            7 => Value::Array(input.values(|input| decode(input, level + 1))?),
            _ => map(input.values(|input| Ok((decode(input, level + 1)?, decode(input, level + 1)?)))?),
        };
        found.get_or_insert(value);
    }
    Ok(found.unwrap_or(Value::Null))
}

fn double(bytes: &[u8]) -> f64 {
    let mut raw = [0; 8];
    raw.copy_from_slice(bytes);
    f64::from_le_bytes(raw)
}

fn float(bytes: &[u8]) -> f32 {
    let mut raw = [0; 4];
    raw.copy_from_slice(bytes);
    f32::from_le_bytes(raw)
}

fn map(pairs: Vec<(Value, Value)>) -> Value {
    if pairs.iter().all(|(key, _)| matches!(key, Value::String(_))) {
        let name = |key| match key {
            Value::String(name) => name,
            _ => String::new(),
        };
        return Value::Map(pairs.into_iter().map(|(key, value)| (name(key), value)).collect::<Members>());
    }
    Value::Pairs(pairs)
}

/// Appends a value with the one field set that it has.
pub(super) fn encode(
    cell: Cell<'_>,
    names: &[&str],
    level: usize,
    out: &mut Vec<u8>,
) -> std::result::Result<(), String> {
    if level > LEVELS_MAX {
        return Err(format!("nested more than {LEVELS_MAX} levels deep"));
    }
    let set = |field: usize, out: &mut Vec<u8>| {
        // Each field before is null, this one is the second branch.
        out.extend(std::iter::repeat_n(0, field));
        out.push(2);
        FIELDS - 1 - field
    };
    let after = match cell {
        Cell::Null | Cell::Missing => {
            out.extend([0; FIELDS]);
            0
        }
        Cell::Boolean(value) => {
            let after = set(0, out);
            out.push(u8::from(value));
            after
        }
        Cell::Bytes(bytes) => {
            let after = set(1, out);
            sized(bytes, out);
            after
        }
        Cell::Float64(value) => {
            let after = set(2, out);
            out.extend_from_slice(&value.to_le_bytes());
            after
        }
        Cell::Float32(value) => {
            let after = set(3, out);
            out.extend_from_slice(&value.to_le_bytes());
            after
        }
        Cell::Int8(value) => int(set(4, out), value.into(), out),
        Cell::Int16(value) => int(set(4, out), value.into(), out),
        Cell::Int32(value) => int(set(4, out), value.into(), out),
        Cell::Int64(value) => int(set(5, out), value, out),
        // A number that is still text is a long to Connect, or a double.
        Cell::Number(text) => match text.parse::<i64>() {
            Ok(value) => int(set(5, out), value, out),
            Err(_) => {
                let after = set(2, out);
                out.extend_from_slice(&text.parse::<f64>().unwrap_or(f64::NAN).to_le_bytes());
                after
            }
        },
        Cell::String(text) => {
            let after = set(6, out);
            sized(text.as_bytes(), out);
            after
        }
        Cell::Nested(Tag::Array, nodes) => {
            let after = set(7, out);
            let count = Nodes::new(nodes).count();
            if count > 0 {
                long(count as i64, out);
            }
            for node in Nodes::new(nodes) {
                encode(node_cell(&node), names, level + 1, out)?;
            }
            out.push(0);
            after
        }
        Cell::Nested(tag, nodes) => {
            let after = set(8, out);
            let count = Nodes::new(nodes).count() / if tag == Tag::Pairs { 2 } else { 1 };
            if count > 0 {
                long(count as i64, out);
            }
            for node in Nodes::new(nodes) {
                if tag != Tag::Pairs {
                    let name = node.name.text(names).unwrap_or_default();
                    encode(Cell::String(name), names, level + 1, out)?;
                }
                encode(node_cell(&node), names, level + 1, out)?;
            }
            out.push(0);
            after
        }
        Cell::Decimal(..) => return Err("Unknown Java type for schemaless data: class java.math.BigDecimal".to_owned()),
        Cell::Date(_) | Cell::Time(_) | Cell::Timestamp(_) => {
            return Err("Unknown Java type for schemaless data: class java.util.Date".to_owned());
        }
    };
    out.extend(std::iter::repeat_n(0, after));
    Ok(())
}

fn int(after: usize, value: i64, out: &mut Vec<u8>) -> usize {
    long(value, out);
    after
}
