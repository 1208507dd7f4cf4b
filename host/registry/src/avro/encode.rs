//! From cells to the bytes of a datum.

use tidegate_record::Schema;
use tidegate_record::cell::Cell;
use tidegate_record::tlv::{Dictionary, Node, Nodes, Tag};
use tidegate_record::value::Value;
use tidegate_record::view::node_cell;

use super::{Options, anything, from_connect, to_avro};

/// Writes values of one Connect schema as data of one Avro schema.
#[derive(Debug)]
pub struct Encoder {
    /// The full name of the record, if it is one.
    name: Option<String>,
    /// The fields of a record at the top, in Avro's order.
    fields: Option<Vec<Box<str>>>,
    plan: Plan,
}

/// How cells become bytes.
#[derive(Debug)]
pub(super) enum Plan {
    Boolean,
    /// An integer between these.
    Int(i64, i64),
    Date,
    Time,
    Timestamp,
    Float,
    Double,
    Bytes,
    Fixed(usize),
    String,
    Decimal(i32),
    Enum(Vec<String>),
    Array(Box<Plan>),
    Map(Box<Plan>),
    Entries(Box<Plan>, Box<Plan>),
    Record(Vec<Member>),
    /// A branch of a union, and that of null.
    Branch {
        null: Option<usize>,
        branch: usize,
        plan: Box<Plan>,
    },
    /// A struct of which one field is set, and the branch of null.
    Union {
        choices: Vec<Choice>,
        null: Option<usize>,
    },
    Anything,
}

#[derive(Debug)]
pub(super) struct Member {
    /// The name of the field in Connect.
    pub(super) name: Box<str>,
    /// The datum that stands for null.
    pub(super) default: Option<Vec<u8>>,
    pub(super) plan: Plan,
}

#[derive(Debug)]
pub(super) struct Choice {
    pub(super) name: String,
    pub(super) branch: usize,
    pub(super) plan: Plan,
}

type Result = std::result::Result<(), String>;

/// The Avro schema that is registered for values of a Connect schema; without one, for values that describe themselves.
pub fn schema_text(schema: Option<&Schema>, options: &Options) -> std::result::Result<String, String> {
    match schema {
        None => Ok(anything::SCHEMA.to_owned()),
        Some(schema) => from_connect::text(schema, options),
    }
}

impl Encoder {
    /// Works out how values of a Connect schema are written as data of an Avro schema, which mostly is the one of
    /// [`schema_text`]. `strict`: every field has to have its place there.
    pub fn new(
        schema: Option<&Schema>,
        text: &str,
        references: &[&str],
        strict: bool,
        options: &Options,
    ) -> std::result::Result<Encoder, String> {
        let (name, plan) = to_avro::compile(schema, text, references, strict, options)?;
        let fields = match &plan {
            Plan::Record(members) => Some(members),
            Plan::Branch { plan, .. } => match &**plan {
                Plan::Record(members) => Some(members),
                _ => None,
            },
            _ => None,
        };
        let fields = fields.map(|members| members.iter().map(|member| member.name.clone()).collect());
        Ok(Encoder { name, fields, plan })
    }

    /// The full name of the record, if the Avro schema is one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The fields that have to be shown one by one, in this order; none: the value is shown as a whole.
    pub fn fields(&self) -> Option<&[Box<str>]> {
        self.fields.as_deref()
    }

    /// Appends a value that is shown as a whole.
    pub fn whole(&self, cell: Cell<'_>, names: &[&str], out: &mut Vec<u8>) -> Result {
        write(&self.plan, cell, names, out)
    }

    /// Begins a struct whose fields follow one by one.
    pub fn begin(&self, out: &mut Vec<u8>) {
        if let Plan::Branch { branch, .. } = self.plan {
            long(branch as i64, out);
        }
    }

    /// Appends the field at a position of [`Encoder::fields`].
    pub fn field(&self, at: usize, cell: Cell<'_>, names: &[&str], out: &mut Vec<u8>) -> Result {
        let plan = match &self.plan {
            Plan::Branch { plan, .. } => plan,
            plan => plan,
        };
        match plan {
            Plan::Record(members) => member(&members[at], cell, names, out),
            plan => Err(misfit(plan, cell)),
        }
    }
}

const NULL: &str = "Found null value for non-optional schema";

impl Plan {
    /// The datum of a value, for defaults.
    pub(super) fn datum_of(&self, value: &Value) -> std::result::Result<Vec<u8>, String> {
        let (mut names, mut node, mut out) = (Dictionary::new(), Vec::new(), Vec::new());
        value.write_node(None, &mut names, &mut node);
        let (node, _) = Node::read(&node).map_err(|error| error.to_string())?;
        let names: Vec<&str> = names.iter().collect();
        write(self, node_cell(&node), &names, &mut out)?;
        Ok(out)
    }
}

fn member(member: &Member, cell: Cell<'_>, names: &[&str], out: &mut Vec<u8>) -> Result {
    if let (Cell::Null | Cell::Missing, Some(default)) = (&cell, &member.default) {
        out.extend_from_slice(default);
        return Ok(());
    }
    write(&member.plan, cell, names, out).map_err(|error| format!("field \"{}\": {error}", member.name))
}

fn chosen(choice: &Choice, cell: Cell<'_>, names: &[&str], out: &mut Vec<u8>) -> Result {
    long(choice.branch as i64, out);
    write(&choice.plan, cell, names, out).map_err(|error| format!("field \"{}\": {error}", choice.name))
}

fn write(plan: &Plan, cell: Cell<'_>, names: &[&str], out: &mut Vec<u8>) -> Result {
    match (plan, cell) {
        (Plan::Branch { null: Some(null), .. } | Plan::Union { null: Some(null), .. }, Cell::Null | Cell::Missing) => {
            long(*null as i64, out);
        }
        (Plan::Anything, cell) => return anything::encode(cell, names, 1, out),
        (_, Cell::Null | Cell::Missing) => return Err(NULL.to_owned()),
        (Plan::Branch { branch, plan, .. }, cell) => {
            long(*branch as i64, out);
            return write(plan, cell, names, out);
        }
        (Plan::Boolean, Cell::Boolean(value)) => out.push(u8::from(value)),
        (Plan::Int(min, max), cell) => match integer(cell) {
            Some(value) if (min..=max).contains(&&value) => long(value, out),
            _ => return Err(misfit(plan, cell)),
        },
        (Plan::Date, Cell::Date(value)) | (Plan::Time, Cell::Time(value)) => long(value.into(), out),
        (Plan::Timestamp, Cell::Timestamp(value)) => long(value, out),
        (Plan::Float, Cell::Float32(value)) => out.extend_from_slice(&value.to_le_bytes()),
        (Plan::Double, Cell::Float32(value)) => out.extend_from_slice(&f64::from(value).to_le_bytes()),
        (Plan::Double, Cell::Float64(value)) => out.extend_from_slice(&value.to_le_bytes()),
        (Plan::Bytes, Cell::Bytes(bytes)) => sized(bytes, out),
        (Plan::Fixed(size), Cell::Bytes(bytes)) => match bytes.len() == *size {
            true => out.extend_from_slice(bytes),
            false => return Err(format!("{} bytes where the schema says {size}", bytes.len())),
        },
        (Plan::String, Cell::String(text)) => sized(text.as_bytes(), out),
        (Plan::Decimal(scale), Cell::Decimal(own, unscaled)) => {
            if own != *scale {
                return Err(format!(
                    "Decimal value has mismatching scale for given Decimal schema. Schema has scale {scale} but value has {own}."
                ));
            }
            sized(unscaled, out);
        }
        (Plan::Enum(symbols), Cell::String(text)) => match symbols.iter().position(|symbol| symbol == text) {
            Some(at) => long(at as i64, out),
            None => return Err(format!("\"{text}\" is no symbol of the enum")),
        },
        (Plan::Array(items), Cell::Nested(Tag::Array, nodes)) => {
            return blocks(nodes, 1, out, |item, out| write(items, node_cell(&item[0]), names, out));
        }
        (Plan::Map(values), Cell::Nested(Tag::Map | Tag::Struct, nodes)) => {
            return blocks(nodes, 1, out, |item, out| {
                sized(item[0].name.text(names).unwrap_or_default().as_bytes(), out);
                write(values, node_cell(&item[0]), names, out)
            });
        }
        (Plan::Map(values), Cell::Nested(Tag::Pairs, nodes)) => {
            return blocks(nodes, 2, out, |pair, out| {
                write(&Plan::String, node_cell(&pair[0]), names, out)?;
                write(values, node_cell(&pair[1]), names, out)
            });
        }
        (Plan::Entries(keys, values), Cell::Nested(Tag::Pairs, nodes)) => {
            return blocks(nodes, 2, out, |pair, out| {
                write(keys, node_cell(&pair[0]), names, out)?;
                write(values, node_cell(&pair[1]), names, out)
            });
        }
        (Plan::Entries(keys, values), Cell::Nested(Tag::Map, nodes)) => {
            return blocks(nodes, 1, out, |item, out| {
                write(keys, Cell::String(item[0].name.text(names).unwrap_or_default()), names, out)?;
                write(values, node_cell(&item[0]), names, out)
            });
        }
        (Plan::Record(members), Cell::Nested(Tag::Struct, nodes)) => {
            let mut next = Nodes::new(nodes);
            for own in members {
                // Fields mostly come in the order of the schema.
                let mut ahead = next.clone();
                let is_own = |node: &Node<'_>| node.name.text(names) == Some(&*own.name);
                let cell = match ahead.next().filter(is_own) {
                    Some(node) => {
                        next = ahead;
                        node_cell(&node)
                    }
                    None => Nodes::new(nodes).filter(is_own).last().map_or(Cell::Null, |node| node_cell(&node)),
                };
                member(own, cell, names, out)?;
            }
        }
        (Plan::Union { choices, null }, Cell::Nested(Tag::Struct, nodes)) => {
            for choice in choices {
                let set = Nodes::new(nodes).find(|node| node.name.text(names) == Some(&choice.name));
                if let Some(node) = set.filter(|node| node.tag != Tag::Null) {
                    return chosen(choice, node_cell(&node), names, out);
                }
            }
            match null {
                Some(branch) => long(*branch as i64, out),
                None => return Err(NULL.to_owned()),
            }
        }
        (plan, cell) => return Err(misfit(plan, cell)),
    }
    Ok(())
}

/// Items of `group` nodes each, as one block.
fn blocks(
    nodes: &[u8],
    group: usize,
    out: &mut Vec<u8>,
    mut item: impl FnMut(&[Node<'_>], &mut Vec<u8>) -> Result,
) -> Result {
    let count = Nodes::new(nodes).count() / group;
    if count > 0 {
        long(count as i64, out);
        let mut nodes = Nodes::new(nodes);
        while let Some(first) = nodes.next() {
            match (group, nodes.clone().next()) {
                (1, _) => item(&[first], out)?,
                (_, Some(second)) => {
                    nodes.next();
                    item(&[first, second], out)?;
                }
                (_, None) => break,
            }
        }
    }
    out.push(0);
    Ok(())
}

fn integer(cell: Cell<'_>) -> Option<i64> {
    match cell {
        Cell::Int8(value) => Some(value.into()),
        Cell::Int16(value) => Some(value.into()),
        Cell::Int32(value) => Some(value.into()),
        Cell::Int64(value) => Some(value),
        _ => None,
    }
}

/// A number as Avro writes it: zig-zag, seven bits a byte.
#[inline]
pub(super) fn long(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[inline]
pub(super) fn sized(bytes: &[u8], out: &mut Vec<u8>) {
    long(bytes.len() as i64, out);
    out.extend_from_slice(bytes);
}

fn misfit(plan: &Plan, cell: Cell<'_>) -> String {
    let wanted = match plan {
        Plan::Boolean => "BOOLEAN",
        Plan::Int(_, i64::MAX) => "INT64",
        Plan::Int(..) => "INT32",
        Plan::Date => "Date",
        Plan::Time => "Time",
        Plan::Timestamp => "Timestamp",
        Plan::Float => "FLOAT32",
        Plan::Double => "FLOAT64",
        Plan::Bytes | Plan::Fixed(_) => "BYTES",
        Plan::String | Plan::Enum(_) => "STRING",
        Plan::Decimal(_) => "Decimal",
        Plan::Array(_) => "ARRAY",
        Plan::Map(_) | Plan::Entries(..) => "MAP",
        Plan::Record(_) | Plan::Union { .. } | Plan::Branch { .. } | Plan::Anything => "STRUCT",
    };
    format!("Invalid type for {wanted}: {:?}", cell.tag())
}
