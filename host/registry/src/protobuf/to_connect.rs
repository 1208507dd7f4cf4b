//! From a message's descriptor to Connect's schema, and the plan to read by.

use std::collections::HashMap;
use std::sync::Arc;

use prost_reflect::{
    Cardinality, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind as Proto, MessageDescriptor, OneofDescriptor,
    Value as ProtoValue,
};
use tidegate_record::Schema;
use tidegate_record::schema::{Field, Kind};

use super::wire_format::Wire;
use super::{ENUM, Options, PRECISION, TAG, UNION};
use crate::nodes;
use crate::{LEVELS_MAX, PARTS_MAX};

/// How a message is read.
#[derive(Debug)]
pub(super) struct Message {
    /// Numbers and slots, in the order of the numbers.
    pub(super) numbers: Vec<(u32, u32)>,
    /// How the field of each slot lies, and whether several may lie in one piece.
    pub(super) slots: Vec<(Wire, bool)>,
    pub(super) members: Vec<Member>,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) head: Box<[u8]>,
    pub(super) reads: Reads,
}

#[derive(Debug)]
pub(super) enum Reads {
    /// `is_null`: what a field that is not there is; else the zero of its type.
    One {
        slot: u32,
        plan: Plan,
        is_null: bool,
    },
    List {
        slot: u32,
        plan: Plan,
    },
    Map {
        slot: u32,
        key: Plan,
        value: Plan,
    },
    OneOf(Vec<(Box<[u8]>, u32, Plan)>),
}

#[derive(Debug)]
pub(super) enum Plan {
    Int32(Width),
    SInt32(Width),
    SFixed32(Width),
    UInt32,
    Fixed32,
    /// Signed and unsigned are one to Connect.
    Int64,
    SInt64,
    Fixed64,
    Float,
    Double,
    Bool,
    String,
    Bytes,
    Enum {
        name: String,
        names: HashMap<i32, String>,
        first: i32,
    },
    EnumNumber(i32),
    Message(Box<Message>),
    /// A message whose field 1 is the value.
    Wrapper(Box<Plan>),
    Decimal,
    Date,
    Time,
    Timestamp,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Width {
    Int8,
    Int16,
    Int32,
}

impl Plan {
    pub(super) fn wire(&self) -> Wire {
        match self {
            Plan::Int32(_)
            | Plan::SInt32(_)
            | Plan::UInt32
            | Plan::Int64
            | Plan::SInt64
            | Plan::Bool
            | Plan::Enum { .. }
            | Plan::EnumNumber(_) => Wire::Varint,
            Plan::SFixed32(_) | Plan::Fixed32 | Plan::Float => Wire::Fixed32,
            Plan::Fixed64 | Plan::Double => Wire::Fixed64,
            _ => Wire::Sized,
        }
    }
}

/// The message at the end of a way through a file.
pub(super) fn message_at(file: &FileDescriptor, indexes: &[usize]) -> Result<MessageDescriptor, String> {
    let lost = || format!("the schema has no message {indexes:?}");
    let (first, rest) = indexes.split_first().ok_or_else(lost)?;
    let mut message = file.messages().nth(*first).ok_or_else(lost)?;
    for index in rest {
        let inner = message.child_messages().nth(*index);
        message = inner.ok_or_else(lost)?;
    }
    Ok(message)
}

/// Schema and plan of a message.
pub(super) fn compile(
    message: &MessageDescriptor,
    version: Option<i32>,
    options: &Options,
) -> Result<(Schema, Message), String> {
    let mut compiler = Compiler { options, open: Vec::new(), parts: 0 };
    let (mut schema, plan) = compiler.message(message)?;
    schema.version = version;
    Ok((schema, plan))
}

struct Compiler<'o> {
    options: &'o Options,
    /// Full names of the messages that the one in hand is inside of.
    open: Vec<String>,
    parts: usize,
}

/// Whether a message stands for the entries of a map, also one that was written out.
pub(super) fn is_map_entry(message: &MessageDescriptor) -> bool {
    let mut names = message.fields().map(|field| field.name().to_owned()).collect::<Vec<_>>();
    names.sort_unstable();
    message.is_map_entry() || (message.name().ends_with("Entry") && names == ["key", "value"])
}

/// The fields of a oneof that somebody wrote; `optional` makes others.
pub(super) fn oneof_of(field: &FieldDescriptor) -> Option<OneofDescriptor> {
    field.containing_oneof().filter(|oneof| !oneof.is_synthetic())
}

impl Compiler<'_> {
    fn message(&mut self, message: &MessageDescriptor) -> Result<(Schema, Message), String> {
        if self.open.iter().any(|open| open == message.full_name()) {
            return Err(format!(
                "the message \"{}\" contains itself, which Connect's schemas cannot say\n\
                 hint: read such topics as bytes, with ByteArrayConverter",
                message.full_name()
            ));
        }
        if self.open.len() >= LEVELS_MAX / 2 {
            return Err(format!("the schema is nested more than {LEVELS_MAX} levels deep"));
        }
        self.open.push(message.full_name().to_owned());
        let made = self.fields(message);
        self.open.pop();
        let (fields, plan) = made?;
        let name = if self.options.enhanced { message.full_name() } else { message.name() };
        Ok((Schema::new(Kind::Struct(fields)).named(name), plan))
    }

    fn fields(&mut self, message: &MessageDescriptor) -> Result<(Vec<Field>, Message), String> {
        let (mut fields, mut members) = (Vec::new(), Vec::new());
        let (mut numbers, mut slots) = (Vec::new(), Vec::new());
        let mut slot = |field: &FieldDescriptor, plan: &Plan, wire: Wire| {
            numbers.push((field.number(), slots.len() as u32));
            slots.push((wire, field.is_list() && plan.wire() != Wire::Sized));
            slots.len() as u32 - 1
        };
        for (index, oneof) in message.oneofs().filter(|oneof| !oneof.is_synthetic()).enumerate() {
            let name = match self.options.index_for_unions {
                true => format!("{}_{index}", oneof.name()),
                false => oneof.name().to_owned(),
            };
            let (mut inside, mut choices) = (Vec::new(), Vec::new());
            for field in oneof.fields() {
                let (schema, plan) = self.field(&field)?;
                choices.push((nodes::header(field.name()), slot(&field, &plan, plan.wire()), plan));
                inside.push(Field { name: field.name().to_owned(), schema: Arc::new(schema) });
            }
            let schema = Schema::new(Kind::Struct(inside)).named(format!("{UNION}.{}", oneof.name())).optional();
            members.push(Member { head: nodes::header(&name), reads: Reads::OneOf(choices) });
            fields.push(Field { name, schema: Arc::new(schema) });
        }
        for field in message.fields().filter(|field| oneof_of(field).is_none()) {
            let name = field.name().to_owned();
            let at = |error| format!("field \"{name}\": {error}");
            let map = match field.kind() {
                Proto::Message(entry) if field.cardinality() == Cardinality::Repeated && is_map_entry(&entry) => {
                    Some(entry)
                }
                _ => None,
            };
            let (schema, reads) = if let Some(entry) = map {
                let part = |name: &str| entry.get_field_by_name(name).ok_or("an entry of a map without key or value");
                let (key, value) = (part("key")?, part("value")?);
                let (key_schema, key) = self.field(&key).map_err(at)?;
                let (value_schema, value) = self.field(&value).map_err(at)?;
                let mut schema = Schema::new(Kind::Map(Arc::new(key_schema), Arc::new(value_schema))).optional();
                schema.name = Some(map_field(entry.name()));
                (tagged(schema, &field), Reads::Map { slot: slot(&field, &key, Wire::Sized), key, value })
            } else {
                let (schema, plan) = self.field(&field).map_err(at)?;
                let slot = slot(&field, &plan, plan.wire());
                let is_null = field.supports_presence();
                let reads = match field.is_list() {
                    true => Reads::List { slot, plan },
                    false => Reads::One { slot, plan, is_null },
                };
                (schema, reads)
            };
            members.push(Member { head: nodes::header(&name), reads });
            fields.push(Field { name, schema: Arc::new(schema) });
        }
        numbers.sort_unstable();
        Ok((fields, Message { numbers, slots, members }))
    }

    /// A field as if it were no map; an array where it is repeated.
    fn field(&mut self, field: &FieldDescriptor) -> Result<(Schema, Plan), String> {
        self.parts += 1;
        if self.parts > PARTS_MAX {
            return Err(format!("written out, the schema has more than {PARTS_MAX} parts"));
        }
        if field.is_group() {
            return Err("groups are not supported".to_owned());
        }
        let parameters = meta_parameters(field);
        let parameter = |name: &str| parameters.get(name).map(String::as_str);
        let width = match parameter("connect.type") {
            Some("int8") => Width::Int8,
            Some("int16") => Width::Int16,
            _ => Width::Int32,
        };
        let int = || match width {
            Width::Int8 => Kind::Int8,
            Width::Int16 => Kind::Int16,
            Width::Int32 => Kind::Int32,
        };
        let (mut schema, plan) = match field.kind() {
            Proto::Int32 => (Schema::new(int()), Plan::Int32(width)),
            Proto::Sint32 => (Schema::new(int()), Plan::SInt32(width)),
            Proto::Sfixed32 => (Schema::new(int()), Plan::SFixed32(width)),
            Proto::Uint32 => (Schema::new(Kind::Int64), Plan::UInt32),
            Proto::Fixed32 => (Schema::new(Kind::Int64), Plan::Fixed32),
            Proto::Int64 | Proto::Uint64 => (Schema::new(Kind::Int64), Plan::Int64),
            Proto::Sint64 => (Schema::new(Kind::Int64), Plan::SInt64),
            Proto::Fixed64 | Proto::Sfixed64 => (Schema::new(Kind::Int64), Plan::Fixed64),
            Proto::Float => (Schema::new(Kind::Float32), Plan::Float),
            Proto::Double => (Schema::new(Kind::Float64), Plan::Double),
            Proto::Bool => (Schema::new(Kind::Boolean), Plan::Bool),
            Proto::String => (Schema::new(Kind::String), Plan::String),
            Proto::Bytes => (Schema::new(Kind::Bytes), Plan::Bytes),
            Proto::Enum(own) => self.enumeration(&own),
            Proto::Message(own) => {
                let (schema, plan) = match own.full_name() {
                    "confluent.type.Decimal" => {
                        let mut schema =
                            Schema::decimal(parameter("scale").and_then(|text| text.parse().ok()).unwrap_or(0));
                        if let Some(precision) = parameter("precision") {
                            schema.parameters.push((PRECISION.to_owned(), precision.to_owned()));
                        }
                        (schema, Plan::Decimal)
                    }
                    "google.type.Date" => (Schema::date(), Plan::Date),
                    "google.type.TimeOfDay" => (Schema::time(), Plan::Time),
                    "google.protobuf.Timestamp" => (Schema::timestamp(), Plan::Timestamp),
                    name => match wrapped(name).filter(|_| self.options.wrapper_for_nullables) {
                        Some((kind, plan)) => (Schema::new(kind), Plan::Wrapper(Box::new(plan))),
                        None => {
                            let (schema, plan) = self.message(&own)?;
                            (schema, Plan::Message(Box::new(plan)))
                        }
                    },
                };
                (schema.optional(), plan)
            }
        };
        let options = self.options;
        if field.is_list() {
            schema = Schema::new(Kind::Array(Arc::new(schema.optional()))).optional();
        } else if options.optional_for_nullables {
            schema.optional |= field.supports_presence();
        }
        if !options.wrapper_for_nullables && !options.optional_for_nullables {
            schema.optional = true;
        }
        Ok((tagged(schema, field), plan))
    }

    fn enumeration(&self, own: &EnumDescriptor) -> (Schema, Plan) {
        let first = own.default_value().number();
        if self.options.int_for_enums {
            return (Schema::new(Kind::Int32).optional(), Plan::EnumNumber(first));
        }
        let name = if self.options.enhanced { own.full_name() } else { own.name() };
        let mut schema = Schema::new(Kind::String).named(name).optional();
        schema.parameters.push((ENUM.to_owned(), name.to_owned()));
        let mut names = HashMap::new();
        for value in own.values() {
            schema.parameters.push((format!("{ENUM}.{}", value.name()), value.number().to_string()));
            names.entry(value.number()).or_insert_with(|| value.name().to_owned());
        }
        (schema, Plan::Enum { name: own.name().to_owned(), names, first })
    }
}

fn tagged(mut schema: Schema, field: &FieldDescriptor) -> Schema {
    schema.parameters.push((TAG.to_owned(), field.number().to_string()));
    schema
}

/// What is inside Google's wrappers of scalars.
fn wrapped(name: &str) -> Option<(Kind, Plan)> {
    Some(match name.strip_prefix("google.protobuf.")? {
        "DoubleValue" => (Kind::Float64, Plan::Double),
        "FloatValue" => (Kind::Float32, Plan::Float),
        "Int64Value" | "UInt64Value" => (Kind::Int64, Plan::Int64),
        "Int32Value" => (Kind::Int32, Plan::Int32(Width::Int32)),
        "UInt32Value" => (Kind::Int64, Plan::UInt32),
        "BoolValue" => (Kind::Boolean, Plan::Bool),
        "StringValue" => (Kind::String, Plan::String),
        "BytesValue" => (Kind::Bytes, Plan::Bytes),
        _ => return None,
    })
}

/// The name of the field that an entry is made for: `UserIdsEntry` is for `user_ids`.
fn map_field(entry: &str) -> String {
    let mut name = String::new();
    for (at, c) in entry.strip_suffix("Entry").unwrap_or(entry).chars().enumerate() {
        if c.is_ascii_uppercase() && at > 0 {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

/// The parameters of `(confluent.field_meta)`.
fn meta_parameters(field: &FieldDescriptor) -> HashMap<String, String> {
    let mut found = HashMap::new();
    let options = field.options();
    for (extension, value) in options.extensions() {
        if extension.full_name() != "confluent.field_meta" {
            continue;
        }
        let Some(meta) = value.as_message() else { continue };
        let parameters = meta.get_field_by_name("params");
        let Some(ProtoValue::Map(entries)) = parameters.as_deref() else { continue };
        for (key, value) in entries {
            if let (Some(key), Some(value)) = (key.as_str(), value.as_str()) {
                found.insert(key.to_owned(), value.to_owned());
            }
        }
    }
    found
}
