//! From cells to the bytes of a message.

use std::collections::HashMap;

use prost_reflect::{FieldDescriptor, Kind as Proto, MessageDescriptor};
use tidegate_record::Schema;
use tidegate_record::cell::Cell;
use tidegate_record::schema::{Field, Kind, Logical};
use tidegate_record::tlv::{Dictionary, Node, Nodes, Tag};
use tidegate_record::value::Value;
use tidegate_record::view::node_cell;

use super::from_connect::is_union;
use super::to_connect::is_map_entry;
use super::wire_format::{Result, Wire, put_key, put_sized, put_varint, zigzag};
use super::{Options, calendar, files, scrubbed};
use crate::wire::write_message_indexes;

/// Writes values of one Connect schema as messages of one kind.
#[derive(Debug)]
pub struct Encoder {
    indexes: Vec<usize>,
    fields: Vec<Box<str>>,
    plan: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    /// The name of the field in Connect.
    name: Box<str>,
    /// The field as it is written for null.
    default: Vec<u8>,
    writes: Writes,
}

#[derive(Debug)]
enum Writes {
    /// `zeros`: whether the zero of the type is written, too.
    One {
        number: u32,
        plan: Plan,
        zeros: bool,
    },
    List {
        number: u32,
        plan: Plan,
        packed: bool,
    },
    Map {
        number: u32,
        key: Plan,
        value: Plan,
    },
    OneOf(Vec<Member>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Scalar {
    Varint,
    ZigZag,
    Fixed32,
    Fixed64,
    Float,
    Double,
    Bool,
    Text,
    Bytes,
}

#[derive(Debug)]
enum Plan {
    Scalar(Scalar),
    Enum(HashMap<String, i32>),
    Message(Vec<Member>),
    /// A message whose field 1 is the value.
    Wrapper(Scalar),
    Decimal,
    Date,
    Time,
    Timestamp,
}

impl Encoder {
    /// Works out how values of a Connect schema are written as the message that has its name, or the first, of a file.
    /// `strict`: every field has to have its place there.
    pub fn new(
        schema: Option<&Schema>,
        text: &str,
        references: &[(String, String)],
        strict: bool,
        options: &Options,
    ) -> std::result::Result<Encoder, String> {
        let schema = schema.ok_or("a value without schema cannot be written as Protobuf")?;
        let file = files::compile(text, references)?;
        let own = schema.name.as_deref().map(|name| name.rsplit('.').next().unwrap_or(name));
        let at = file.messages().position(|message| Some(message.name()) == own).unwrap_or(0);
        let message = file.messages().nth(at).ok_or("the schema has no message")?;
        let plan = Compiler { strict, options }.message(schema, &message)?;
        let fields = plan.iter().map(|member| member.name.clone()).collect();
        Ok(Encoder { indexes: vec![at], fields, plan })
    }

    /// The fields that have to be shown one by one, in this order.
    pub fn fields(&self) -> Option<&[Box<str>]> {
        Some(&self.fields)
    }

    /// Begins a message.
    pub fn begin(&self, out: &mut Vec<u8>) {
        write_message_indexes(&self.indexes, out);
    }

    /// Appends the field at a position of [`Encoder::fields`].
    pub fn field(&self, at: usize, cell: Cell<'_>, names: &[&str], out: &mut Vec<u8>) -> Result<()> {
        self.plan[at].write(cell, names, out)
    }

    /// Appends a struct that is shown as a whole.
    pub fn whole(&self, cell: Cell<'_>, names: &[&str], out: &mut Vec<u8>) -> Result<()> {
        message(&self.plan, cell, names, out)
    }
}

struct Compiler<'o> {
    strict: bool,
    options: &'o Options,
}

impl Compiler<'_> {
    fn message(&self, schema: &Schema, message: &MessageDescriptor) -> Result<Vec<Member>> {
        let mut members = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            if is_union(&field.schema) {
                let choices =
                    field.schema.fields().iter().filter_map(|choice| self.member(choice, message).transpose());
                let choices = choices.collect::<Result<_>>()?;
                members.push(Member {
                    name: field.name.as_str().into(),
                    default: Vec::new(),
                    writes: Writes::OneOf(choices),
                });
                continue;
            }
            members.extend(self.member(field, message)?);
        }
        Ok(members)
    }

    fn member(&self, field: &Field, message: &MessageDescriptor) -> Result<Option<Member>> {
        let name = scrubbed(&field.name, self.options);
        let at = |error| format!("field \"{}\": {error}", field.name);
        let Some(target) = message.get_field_by_name(&name) else {
            return match self.strict {
                true => {
                    Err(format!("the message \"{}\" of the registered schema has no field \"{name}\"", message.name()))
                }
                false => Ok(None),
            };
        };
        let writes = self.writes(&field.schema, &target).map_err(at)?;
        let mut member = Member { name: field.name.as_str().into(), default: Vec::new(), writes };
        if let Some(default) = &field.schema.default {
            let mut out = Vec::new();
            member.write_value(default, &mut out).map_err(at)?;
            member.default = out;
        }
        Ok(Some(member))
    }

    fn writes(&self, schema: &Schema, target: &FieldDescriptor) -> Result<Writes> {
        let number = target.number();
        if let Kind::Map(keys, values) = &schema.kind {
            let Proto::Message(entry) = target.kind() else { return Err(unfit(schema, target)) };
            if !is_map_entry(&entry) {
                return Err(unfit(schema, target));
            }
            let part = |name: &str, schema: &Schema| {
                let target = entry.get_field_by_name(name).ok_or("an entry of a map without key or value")?;
                self.plan(schema, &target)
            };
            return Ok(Writes::Map { number, key: part("key", keys)?, value: part("value", values)? });
        }
        match (&schema.kind, target.is_list()) {
            (Kind::Array(items), true) => {
                Ok(Writes::List { number, plan: self.plan(items, target)?, packed: target.is_packed() })
            }
            (Kind::Array(_), false) | (_, true) => Err(unfit(schema, target)),
            _ => Ok(Writes::One { number, plan: self.plan(schema, target)?, zeros: target.supports_presence() }),
        }
    }

    fn plan(&self, schema: &Schema, target: &FieldDescriptor) -> Result<Plan> {
        let logical = schema.logical().filter(|logical| logical.kind() == schema.kind);
        Ok(match (logical, &schema.kind, target.kind()) {
            (Some(logical), _, Proto::Message(own)) => match (logical, own.full_name()) {
                (Logical::Decimal, "confluent.type.Decimal") => Plan::Decimal,
                (Logical::Date, "google.type.Date") => Plan::Date,
                (Logical::Time, "google.type.TimeOfDay") => Plan::Time,
                (Logical::Timestamp, "google.protobuf.Timestamp") => Plan::Timestamp,
                _ => return Err(unfit(schema, target)),
            },
            (None, Kind::Struct(_), Proto::Message(own)) => Plan::Message(self.message(schema, &own)?),
            (None, kind, Proto::Message(own)) => {
                let inner = own.get_field_by_name("value").filter(|_| own.full_name().starts_with("google.protobuf."));
                let inner = inner.ok_or_else(|| unfit(schema, target))?;
                Plan::Wrapper(scalar(kind, &inner.kind()).ok_or_else(|| unfit(schema, target))?)
            }
            (None, Kind::String, Proto::Enum(own)) => {
                Plan::Enum(own.values().map(|value| (value.name().to_owned(), value.number())).collect())
            }
            (None, Kind::Int32, Proto::Enum(_)) => Plan::Scalar(Scalar::Varint),
            (None, kind, of) => Plan::Scalar(scalar(kind, &of).ok_or_else(|| unfit(schema, target))?),
            _ => return Err(unfit(schema, target)),
        })
    }
}

fn unfit(schema: &Schema, target: &FieldDescriptor) -> String {
    format!("{} cannot be written as Protobuf's {:?}", schema.kind.connect_name(), target.kind())
}

fn scalar(kind: &Kind, of: &Proto) -> Option<Scalar> {
    Some(match (kind, of) {
        (
            Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64,
            Proto::Int32 | Proto::Int64 | Proto::Uint32 | Proto::Uint64,
        ) => Scalar::Varint,
        (Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64, Proto::Sint32 | Proto::Sint64) => Scalar::ZigZag,
        (Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64, Proto::Fixed32 | Proto::Sfixed32) => Scalar::Fixed32,
        (Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64, Proto::Fixed64 | Proto::Sfixed64) => Scalar::Fixed64,
        (Kind::Float32, Proto::Float) => Scalar::Float,
        (Kind::Float32 | Kind::Float64, Proto::Double) => Scalar::Double,
        (Kind::Boolean, Proto::Bool) => Scalar::Bool,
        (Kind::String, Proto::String) => Scalar::Text,
        (Kind::Bytes, Proto::Bytes) => Scalar::Bytes,
        _ => return None,
    })
}

impl Scalar {
    fn wire(self) -> Wire {
        match self {
            Scalar::Varint | Scalar::ZigZag | Scalar::Bool => Wire::Varint,
            Scalar::Fixed32 | Scalar::Float => Wire::Fixed32,
            Scalar::Fixed64 | Scalar::Double => Wire::Fixed64,
            Scalar::Text | Scalar::Bytes => Wire::Sized,
        }
    }

    /// Appends a value, of text and bytes with the size. Answers whether it is the zero of its type.
    fn write(self, cell: Cell<'_>, out: &mut Vec<u8>) -> Result<bool> {
        let integer = match cell {
            Cell::Int8(value) => Some(i64::from(value)),
            Cell::Int16(value) => Some(i64::from(value)),
            Cell::Int32(value) => Some(i64::from(value)),
            Cell::Int64(value) => Some(value),
            _ => None,
        };
        Ok(match (self, integer, cell) {
            (Scalar::Varint, Some(value), _) => {
                put_varint(value as u64, out);
                value == 0
            }
            (Scalar::ZigZag, Some(value), _) => {
                put_varint(zigzag(value), out);
                value == 0
            }
            (Scalar::Fixed32, Some(value), _) => {
                let bytes = i32::try_from(value).map(i32::to_le_bytes).or(u32::try_from(value).map(u32::to_le_bytes));
                out.extend_from_slice(&bytes.map_err(|_| format!("{value} has more than 32 bits"))?);
                value == 0
            }
            (Scalar::Fixed64, Some(value), _) => {
                out.extend_from_slice(&value.to_le_bytes());
                value == 0
            }
            (Scalar::Float, _, Cell::Float32(value)) => {
                out.extend_from_slice(&value.to_le_bytes());
                value.to_bits() == 0
            }
            (Scalar::Double, _, Cell::Float32(value)) => {
                out.extend_from_slice(&f64::from(value).to_le_bytes());
                value.to_bits() == 0
            }
            (Scalar::Double, _, Cell::Float64(value)) => {
                out.extend_from_slice(&value.to_le_bytes());
                value.to_bits() == 0
            }
            (Scalar::Bool, _, Cell::Boolean(value)) => {
                out.push(u8::from(value));
                !value
            }
            (Scalar::Text, _, Cell::String(text)) => {
                put_varint(text.len() as u64, out);
                out.extend_from_slice(text.as_bytes());
                text.is_empty()
            }
            (Scalar::Bytes, _, Cell::Bytes(bytes)) => {
                put_varint(bytes.len() as u64, out);
                out.extend_from_slice(bytes);
                bytes.is_empty()
            }
            (_, _, cell) => return Err(format!("Invalid type for Protobuf's {self:?}: {:?}", cell.tag())),
        })
    }
}

impl Plan {
    fn wire(&self) -> Wire {
        match self {
            Plan::Scalar(scalar) => scalar.wire(),
            Plan::Enum(_) => Wire::Varint,
            _ => Wire::Sized,
        }
    }

    /// Appends a value, of what is sized with the size. Answers whether it is the zero of its type.
    fn write(&self, cell: Cell<'_>, names: &[&str], out: &mut Vec<u8>) -> Result<bool> {
        match (self, cell) {
            (Plan::Scalar(scalar), cell) => return scalar.write(cell, out),
            (Plan::Enum(numbers), Cell::String(text)) => {
                let number = numbers.get(text).ok_or_else(|| format!("\"{text}\" is no value of the enum"))?;
                put_varint(i64::from(*number) as u64, out);
                return Ok(*number == 0);
            }
            (Plan::Message(members), cell) => put_sized(out, |out| message(members, cell, names, out))?,
            (Plan::Wrapper(scalar), cell) => put_sized(out, |out| one(1, *scalar, cell, out))?,
            (Plan::Timestamp, Cell::Timestamp(millis)) => put_sized(out, |out| {
                let (seconds, nanos) = (millis.div_euclid(1_000), millis.rem_euclid(1_000) * 1_000_000);
                one(1, Scalar::Varint, Cell::Int64(seconds), out)?;
                one(2, Scalar::Varint, Cell::Int64(nanos), out)
            })?,
            (Plan::Date, Cell::Date(days)) => put_sized(out, |out| {
                let (year, month, day) = calendar::date(days);
                for (number, value) in [(1, year), (2, month), (3, day)] {
                    one(number, Scalar::Varint, Cell::Int64(value), out)?;
                }
                Ok(())
            })?,
            (Plan::Time, Cell::Time(millis)) => put_sized(out, |out| {
                let millis = i64::from(millis);
                let parts = [millis / 3_600_000, millis / 60_000 % 60, millis / 1_000 % 60, millis % 1_000 * 1_000_000];
                for (number, value) in (1..).zip(parts) {
                    one(number, Scalar::Varint, Cell::Int64(value), out)?;
                }
                Ok(())
            })?,
            (Plan::Decimal, Cell::Decimal(scale, unscaled)) => put_sized(out, |out| {
                one(1, Scalar::Bytes, Cell::Bytes(unscaled), out)?;
                let precision = digits(unscaled);
                one(2, Scalar::Varint, Cell::Int64(precision), out)?;
                one(3, Scalar::Varint, Cell::Int32(scale), out)
            })?,
            (_, cell) => return Err(format!("Invalid type: {:?}", cell.tag())),
        }
        Ok(false)
    }
}

/// How many decimal digits an unscaled value has.
fn digits(unscaled: &[u8]) -> i64 {
    let text = tidegate_record::decimal::Decimal { scale: 0, unscaled: unscaled.to_vec() }.to_text();
    text.bytes().filter(u8::is_ascii_digit).count() as i64
}

/// A field of a scalar, unless it is zero.
fn one(number: u32, scalar: Scalar, cell: Cell<'_>, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    put_key(number, scalar.wire(), out);
    if scalar.write(cell, out)? {
        out.truncate(start);
    }
    Ok(())
}

/// The fields of a struct, without the size.
fn message(members: &[Member], cell: Cell<'_>, names: &[&str], out: &mut Vec<u8>) -> Result<()> {
    let Cell::Nested(Tag::Struct, nodes) = cell else {
        return Err(format!("Invalid type for STRUCT: {:?}", cell.tag()));
    };
    let mut next = Nodes::new(nodes);
    for member in members {
        let mut ahead = next.clone();
        let is_own = |node: &Node<'_>| node.name.text(names) == Some(&*member.name);
        let cell = match ahead.next().filter(is_own) {
            Some(node) => {
                next = ahead;
                node_cell(&node)
            }
            None => Nodes::new(nodes).filter(is_own).last().map_or(Cell::Null, |node| node_cell(&node)),
        };
        member.write(cell, names, out)?;
    }
    Ok(())
}

impl Member {
    fn write(&self, cell: Cell<'_>, names: &[&str], out: &mut Vec<u8>) -> Result<()> {
        if matches!(cell, Cell::Null | Cell::Missing) {
            out.extend_from_slice(&self.default);
            return Ok(());
        }
        self.writes(cell, names, out).map_err(|error| format!("field \"{}\": {error}", self.name))
    }

    fn write_value(&self, value: &Value, out: &mut Vec<u8>) -> Result<()> {
        let (mut names, mut node) = (Dictionary::new(), Vec::new());
        value.write_node(None, &mut names, &mut node);
        let (node, _) = Node::read(&node).map_err(|error| error.to_string())?;
        let names: Vec<&str> = names.iter().collect();
        self.write(node_cell(&node), &names, out)
    }

    fn writes(&self, cell: Cell<'_>, names: &[&str], out: &mut Vec<u8>) -> Result<()> {
        match (&self.writes, cell) {
            (Writes::One { number, plan, zeros }, cell) => {
                let start = out.len();
                put_key(*number, plan.wire(), out);
                if plan.write(cell, names, out)? && !zeros {
                    out.truncate(start);
                }
                Ok(())
            }
            (Writes::List { number, plan, packed: true }, Cell::Nested(Tag::Array, nodes)) => {
                if nodes.is_empty() {
                    return Ok(());
                }
                put_key(*number, Wire::Sized, out);
                put_sized(out, |out| {
                    Nodes::new(nodes).try_for_each(|node| plan.write(node_cell(&node), names, out).map(drop))
                })
            }
            (Writes::List { number, plan, .. }, Cell::Nested(Tag::Array, nodes)) => {
                for node in Nodes::new(nodes) {
                    put_key(*number, plan.wire(), out);
                    plan.write(node_cell(&node), names, out)?;
                }
                Ok(())
            }
            (Writes::Map { number, key, value }, Cell::Nested(Tag::Map | Tag::Struct, nodes)) => {
                for node in Nodes::new(nodes) {
                    let name = Cell::String(node.name.text(names).unwrap_or_default());
                    entry(*number, (key, name), (value, node_cell(&node)), names, out)?;
                }
                Ok(())
            }
            (Writes::Map { number, key, value }, Cell::Nested(Tag::Pairs, nodes)) => {
                let mut nodes = Nodes::new(nodes);
                while let (Some(own), Some(of)) = (nodes.next(), nodes.next()) {
                    entry(*number, (key, node_cell(&own)), (value, node_cell(&of)), names, out)?;
                }
                Ok(())
            }
            (Writes::OneOf(choices), Cell::Nested(Tag::Struct, nodes)) => {
                for choice in choices {
                    let set = Nodes::new(nodes).find(|node| node.name.text(names) == Some(&*choice.name));
                    if let Some(node) = set.filter(|node| node.tag != Tag::Null) {
                        return choice.write(node_cell(&node), names, out);
                    }
                }
                Ok(())
            }
            (_, cell) => Err(format!("Invalid type: {:?}", cell.tag())),
        }
    }
}

fn entry(
    number: u32,
    (key, own): (&Plan, Cell<'_>),
    (value, of): (&Plan, Cell<'_>),
    names: &[&str],
    out: &mut Vec<u8>,
) -> Result<()> {
    put_key(number, Wire::Sized, out);
    put_sized(out, |out| {
        for (number, plan, cell) in [(1, key, own), (2, value, of)] {
            put_key(number, plan.wire(), out);
            plan.write(cell, names, out)?;
        }
        Ok(())
    })
}
