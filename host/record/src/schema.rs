//! Connect schemas, their JSON text, and the numbers they have on the wire.
//!
//! The text is that of Connect's JsonConverter, member for member, so that a schema that came through Tidegate equals
//! the one Connect would have written. A schema crosses to a plugin as a number; [`SchemaTable`] hands those out.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::value::{DataError, JsonOptions, Value, write_json_string};

/// Nesting of a schema, as of a value.
const NESTING_MAX: usize = crate::tlv::NESTING_MAX;

/// A Connect schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    /// The type, with the schemas of its parts.
    pub kind: Kind,
    /// Whether null is a value.
    pub optional: bool,
    /// The name; it makes a logical type of a schema (see [`Logical`]).
    pub name: Option<String>,
    /// The version.
    pub version: Option<i32>,
    /// The documentation.
    pub doc: Option<String>,
    /// Parameters in their order.
    pub parameters: Vec<(String, String)>,
    /// The default, already of the type of this schema.
    pub default: Option<Value>,
}

/// The type of a schema.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// 8-bit integer.
    Int8,
    /// 16-bit integer.
    Int16,
    /// 32-bit integer.
    Int32,
    /// 64-bit integer.
    Int64,
    /// Single precision.
    Float32,
    /// Double precision.
    Float64,
    /// True or false.
    Boolean,
    /// UTF-8 text.
    String,
    /// Bytes.
    Bytes,
    /// A list of items of one schema.
    Array(Arc<Schema>),
    /// Entries whose keys have one schema and whose values have another.
    Map(Arc<Schema>, Arc<Schema>),
    /// Named fields in their order.
    Struct(Vec<Field>),
    /// Whatever the value says. Only as a part of an array or a map, where Connect has no schema: header values whose
    /// items are of different types.
    Any,
}

impl Kind {
    /// The name in the JSON text: `int8`, `float`, `struct` …
    pub fn json_name(&self) -> &'static str {
        match self {
            Kind::Int8 => "int8",
            Kind::Int16 => "int16",
            Kind::Int32 => "int32",
            Kind::Int64 => "int64",
            Kind::Float32 => "float",
            Kind::Float64 => "double",
            Kind::Boolean => "boolean",
            Kind::String => "string",
            Kind::Bytes => "bytes",
            Kind::Array(_) => "array",
            Kind::Map(..) => "map",
            Kind::Struct(_) => "struct",
            Kind::Any => "null",
        }
    }

    /// The name in Connect's messages: `INT8`, `FLOAT32`, `STRUCT` …
    pub fn connect_name(&self) -> &'static str {
        match self {
            Kind::Int8 => "INT8",
            Kind::Int16 => "INT16",
            Kind::Int32 => "INT32",
            Kind::Int64 => "INT64",
            Kind::Float32 => "FLOAT32",
            Kind::Float64 => "FLOAT64",
            Kind::Boolean => "BOOLEAN",
            Kind::String => "STRING",
            Kind::Bytes => "BYTES",
            Kind::Array(_) => "ARRAY",
            Kind::Map(..) => "MAP",
            Kind::Struct(_) => "STRUCT",
            Kind::Any => "null",
        }
    }
}

/// A field of a struct.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Unique within the struct.
    pub name: String,
    /// The schema of the field's values.
    pub schema: Arc<Schema>,
}

/// The logical types of Connect, told by the name of a schema alone, as Connect does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logical {
    /// `org.apache.kafka.connect.data.Decimal` on bytes.
    Decimal,
    /// `org.apache.kafka.connect.data.Date` on int32.
    Date,
    /// `org.apache.kafka.connect.data.Time` on int32.
    Time,
    /// `org.apache.kafka.connect.data.Timestamp` on int64.
    Timestamp,
}

impl Logical {
    /// The schema name that makes a schema of this type.
    pub fn kind(self) -> Kind {
        match self {
            Logical::Decimal => Kind::Bytes,
            Logical::Date | Logical::Time => Kind::Int32,
            Logical::Timestamp => Kind::Int64,
        }
    }

    /// The name that makes it one.
    pub fn schema_name(self) -> &'static str {
        match self {
            Logical::Decimal => "org.apache.kafka.connect.data.Decimal",
            Logical::Date => "org.apache.kafka.connect.data.Date",
            Logical::Time => "org.apache.kafka.connect.data.Time",
            Logical::Timestamp => "org.apache.kafka.connect.data.Timestamp",
        }
    }
}

/// A schema text that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// The text is wrong; the message is Connect's where Connect has one.
    #[error("{0}")]
    Invalid(String),
    /// The table is full. Whoever defines schemas without end has to stop.
    #[error("more than {max} schemas, \"{text}\" is one too many")]
    TooMany {
        /// How many the table takes.
        max: usize,
        /// The beginning of the schema that found no room.
        text: String,
    },
}

impl From<DataError> for SchemaError {
    fn from(error: DataError) -> SchemaError {
        SchemaError::Invalid(error.to_string())
    }
}

impl Schema {
    /// A required schema of a type, without name.
    pub fn new(kind: Kind) -> Schema {
        Schema { kind, optional: false, name: None, version: None, doc: None, parameters: Vec::new(), default: None }
    }

    /// No schema, as the part of an array or a map; null is a value of it.
    pub fn any() -> Schema {
        Schema::new(Kind::Any).optional()
    }

    /// The same schema, optional.
    pub fn optional(mut self) -> Schema {
        self.optional = true;
        self
    }

    /// The same schema with a name.
    pub fn named(mut self, name: impl Into<String>) -> Schema {
        self.name = Some(name.into());
        self
    }

    /// The schema of decimals with a scale, as Connect's `Decimal.builder(scale)` makes it.
    pub fn decimal(scale: i32) -> Schema {
        let mut schema = Schema::logical_of(Kind::Bytes, Logical::Decimal);
        schema.parameters = vec![("scale".to_owned(), scale.to_string())];
        schema
    }

    /// The schema of dates.
    pub fn date() -> Schema {
        Schema::logical_of(Kind::Int32, Logical::Date)
    }

    /// The schema of times of day.
    pub fn time() -> Schema {
        Schema::logical_of(Kind::Int32, Logical::Time)
    }

    /// The schema of timestamps.
    pub fn timestamp() -> Schema {
        Schema::logical_of(Kind::Int64, Logical::Timestamp)
    }

    fn logical_of(kind: Kind, logical: Logical) -> Schema {
        Schema { version: Some(1), ..Schema::new(kind).named(logical.schema_name()) }
    }

    /// The logical type that the name makes of this schema.
    pub fn logical(&self) -> Option<Logical> {
        let name = self.name.as_deref()?;
        [Logical::Decimal, Logical::Date, Logical::Time, Logical::Timestamp]
            .into_iter()
            .find(|logical| logical.schema_name() == name)
    }

    /// A parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The scale of a Decimal schema, if it says one.
    pub fn scale(&self) -> Option<i32> {
        self.parameter("scale")?.parse().ok()
    }

    /// The fields of a struct; none for other types.
    pub fn fields(&self) -> &[Field] {
        match &self.kind {
            Kind::Struct(fields) => fields,
            _ => &[],
        }
    }

    /// A field of a struct.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields().iter().find(|field| field.name == name)
    }

    /// Reads the JSON text, as lenient as Connect's JsonConverter: members of the wrong type are ignored where Connect
    /// ignores them, and the errors are Connect's.
    pub fn from_json(text: &str) -> Result<Schema, SchemaError> {
        Schema::from_tree(&Value::from_json(text)?)
    }

    /// As [`Schema::from_json`], from JSON that was read before.
    pub fn from_tree(json: &Value) -> Result<Schema, SchemaError> {
        parse(json, 1)
    }

    /// Writes the JSON text with the members in Connect's order and without white space.
    pub fn to_json(&self) -> String {
        let mut out = Vec::with_capacity(64);
        self.write_json(&mut out, None, &JsonOptions::default());
        String::from_utf8(out).expect("JSON is written from strings")
    }

    /// As [`Schema::to_json`], with decimals among the defaults as the options want them.
    pub fn to_json_with(&self, options: &JsonOptions) -> String {
        let mut out = Vec::with_capacity(64);
        self.write_json(&mut out, None, options);
        String::from_utf8(out).expect("JSON is written from strings")
    }

    fn write_json(&self, out: &mut Vec<u8>, field: Option<&str>, options: &JsonOptions) {
        if self.kind == Kind::Any {
            return out.extend_from_slice(b"null");
        }
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(self.kind.json_name().as_bytes());
        out.push(b'"');
        match &self.kind {
            Kind::Array(items) => {
                out.extend_from_slice(b",\"items\":");
                items.write_json(out, None, options);
            }
            Kind::Map(keys, values) => {
                out.extend_from_slice(b",\"keys\":");
                keys.write_json(out, None, options);
                out.extend_from_slice(b",\"values\":");
                values.write_json(out, None, options);
            }
            Kind::Struct(fields) => {
                out.extend_from_slice(b",\"fields\":[");
                for (i, field) in fields.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    field.schema.write_json(out, Some(&field.name), options);
                }
                out.push(b']');
            }
            _ => {}
        }
        out.extend_from_slice(if self.optional { b",\"optional\":true" } else { b",\"optional\":false" });
        if let Some(name) = &self.name {
            out.extend_from_slice(b",\"name\":");
            write_json_string(name, out);
        }
        if let Some(version) = self.version {
            out.extend_from_slice(b",\"version\":");
            out.extend_from_slice(itoa::Buffer::new().format(version).as_bytes());
        }
        if let Some(doc) = &self.doc {
            out.extend_from_slice(b",\"doc\":");
            write_json_string(doc, out);
        }
        if !self.parameters.is_empty() {
            out.extend_from_slice(b",\"parameters\":{");
            for (i, (name, value)) in self.parameters.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_json_string(name, out);
                out.push(b':');
                write_json_string(value, out);
            }
            out.push(b'}');
        }
        if let Some(default) = &self.default {
            out.extend_from_slice(b",\"default\":");
            default.write_connect_json(Some(self), options, out).unwrap_or_else(|_| {
                // A default that does not fit its schema can only be made by hand; null keeps the text well-formed.
                out.extend_from_slice(b"null");
            });
        }
        if let Some(field) = field {
            out.extend_from_slice(b",\"field\":");
            write_json_string(field, out);
        }
        out.push(b'}');
    }
}

fn invalid(message: impl Into<String>) -> SchemaError {
    SchemaError::Invalid(message.into())
}

fn parse(json: &Value, depth: usize) -> Result<Schema, SchemaError> {
    if depth > NESTING_MAX {
        return Err(invalid(format!("schema is nested more than {NESTING_MAX} levels deep")));
    }
    let member = |name: &str| match json {
        Value::Map(members) => members.get(name),
        _ => None,
    };
    let text = |name: &str| match member(name) {
        Some(Value::String(text)) => Some(text.clone()),
        _ => None,
    };
    let part = |value: Option<&Value>, missing: &str| match value {
        None | Some(Value::Null) => Err(invalid(missing)),
        Some(value) => parse(value, depth + 1).map(Arc::new),
    };
    let kind = match text("type").as_deref() {
        None => return Err(invalid("Schema must contain 'type' field")),
        Some("boolean") => Kind::Boolean,
        Some("int8") => Kind::Int8,
        Some("int16") => Kind::Int16,
        Some("int32") => Kind::Int32,
        Some("int64") => Kind::Int64,
        Some("float") => Kind::Float32,
        Some("double") => Kind::Float64,
        Some("bytes") => Kind::Bytes,
        Some("string") => Kind::String,
        Some("array") => Kind::Array(part(member("items"), "Array schema did not specify the element type")?),
        Some("map") => Kind::Map(
            part(member("keys"), "Map schema did not specify the key type")?,
            part(member("values"), "Map schema did not specify the value type")?,
        ),
        Some("struct") => {
            let Some(Value::Array(items)) = member("fields") else {
                return Err(invalid("Struct schema's \"fields\" argument is not an array."));
            };
            let mut seen = HashSet::with_capacity(items.len());
            let mut fields = Vec::with_capacity(items.len());
            for item in items {
                let name = match item {
                    Value::Map(members) => members.get("field"),
                    _ => None,
                };
                let Some(Value::String(name)) = name else {
                    return Err(invalid("Struct schema's field name not specified properly"));
                };
                if !seen.insert(name.as_str()) {
                    return Err(invalid(format!("Cannot create field because of field name duplication {name}")));
                }
                fields.push(Field { name: name.clone(), schema: Arc::new(parse(item, depth + 1)?) });
            }
            Kind::Struct(fields)
        }
        Some(other) => return Err(invalid(format!("Unknown schema type: {other}"))),
    };
    let mut schema = Schema::new(kind);
    schema.optional = matches!(member("optional"), Some(Value::Boolean(true)));
    schema.name = text("name");
    if let Some(Value::Number(number)) = member("version")
        && crate::number::is_integral(number)
    {
        // Connect takes the low 32 bits.
        schema.version = Some(crate::number::wrapping_i64(number) as i32);
    }
    schema.doc = text("doc");
    if let Some(Value::Map(parameters)) = member("parameters") {
        for (name, value) in parameters.iter() {
            let Value::String(value) = value else {
                return Err(invalid("Schema parameters must have string values."));
            };
            schema.parameters.push((name.to_owned(), value.clone()));
        }
    }
    match member("default") {
        None => {}
        Some(default) => {
            // What the writer makes of floats that JSON has no number for.
            let word = match (&schema.kind, default) {
                (Kind::Float32, Value::String(word)) => float_of(word).map(|float| Value::Float32(float as f32)),
                (Kind::Float64, Value::String(word)) => float_of(word).map(Value::Float64),
                _ => None,
            };
            let default = match word {
                Some(float) => float,
                None => default.to_typed(&schema, &JsonOptions::default())?,
            };
            if default == Value::Null && !schema.optional {
                return Err(invalid("Invalid default value"));
            }
            schema.default = Some(default).filter(|default| *default != Value::Null);
        }
    }
    Ok(schema)
}

/// The number of a schema on the wire. 0 is no schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaId(pub u32);

impl SchemaId {
    /// The value describes itself.
    pub const NONE: SchemaId = SchemaId(0);
    /// Required int8.
    pub const INT8: SchemaId = SchemaId(1);
    /// Required int16.
    pub const INT16: SchemaId = SchemaId(2);
    /// Required int32.
    pub const INT32: SchemaId = SchemaId(3);
    /// Required int64.
    pub const INT64: SchemaId = SchemaId(4);
    /// Required float32.
    pub const FLOAT32: SchemaId = SchemaId(5);
    /// Required float64.
    pub const FLOAT64: SchemaId = SchemaId(6);
    /// Required boolean.
    pub const BOOLEAN: SchemaId = SchemaId(7);
    /// Required string.
    pub const STRING: SchemaId = SchemaId(8);
    /// Required bytes.
    pub const BYTES: SchemaId = SchemaId(9);
    /// Optional int16.
    pub const OPTIONAL_INT16: SchemaId = SchemaId(18);
    /// Optional int32.
    pub const OPTIONAL_INT32: SchemaId = SchemaId(19);
    /// Optional int64.
    pub const OPTIONAL_INT64: SchemaId = SchemaId(20);
    /// Optional float32.
    pub const OPTIONAL_FLOAT32: SchemaId = SchemaId(21);
    /// Optional float64.
    pub const OPTIONAL_FLOAT64: SchemaId = SchemaId(22);
    /// Optional boolean.
    pub const OPTIONAL_BOOLEAN: SchemaId = SchemaId(23);
    /// Optional string, what StringConverter makes.
    pub const OPTIONAL_STRING: SchemaId = SchemaId(24);
    /// Optional bytes, what ByteArrayConverter makes.
    pub const OPTIONAL_BYTES: SchemaId = SchemaId(25);
    /// Where the numbers of defined schemas begin.
    pub const FIRST_DEFINED: u32 = 64;

    /// Whether a number could be a schema: none, a built-in one, or one that may have been defined.
    pub fn is_possible(self) -> bool {
        matches!(self.0, 0..=9 | 17..=25 | Self::FIRST_DEFINED..)
    }

    /// Whether this is the built-in string, required or optional.
    pub fn is_string(self) -> bool {
        self == SchemaId::STRING || self == SchemaId::OPTIONAL_STRING
    }

    /// Whether these are the built-in bytes, required or optional.
    pub fn is_bytes(self) -> bool {
        self == SchemaId::BYTES || self == SchemaId::OPTIONAL_BYTES
    }
}

/// Schemas by number. Each text has one number; numbers are never reused.
#[derive(Debug)]
pub struct SchemaTable {
    builtin: Vec<Entry>,
    defined: Vec<Entry>,
    by_text: HashMap<Arc<str>, SchemaId>,
    max: usize,
}

#[derive(Clone, Debug)]
struct Entry {
    schema: Arc<Schema>,
    text: Arc<str>,
}

impl Default for SchemaTable {
    fn default() -> SchemaTable {
        SchemaTable::new(SchemaTable::DEFINED_MAX)
    }
}

impl SchemaTable {
    /// How many schemas one guest may define.
    pub const DEFINED_MAX: usize = 1_000;

    /// A table with the built-in schemas and room for `max` defined ones.
    pub fn new(max: usize) -> SchemaTable {
        let kinds = [
            Kind::Int8,
            Kind::Int16,
            Kind::Int32,
            Kind::Int64,
            Kind::Float32,
            Kind::Float64,
            Kind::Boolean,
            Kind::String,
            Kind::Bytes,
        ];
        let required = kinds.iter().map(|kind| Schema::new(kind.clone()));
        let optional = kinds.iter().map(|kind| Schema::new(kind.clone()).optional());
        let builtin: Vec<Entry> = required
            .chain(optional)
            .map(|schema| Entry { text: schema.to_json().into(), schema: Arc::new(schema) })
            .collect();
        let by_text = builtin
            .iter()
            .enumerate()
            .map(|(i, entry)| {
                let number = if i < kinds.len() { i + 1 } else { i - kinds.len() + 17 };
                (entry.text.clone(), SchemaId(number as u32))
            })
            .collect();
        SchemaTable { builtin, defined: Vec::new(), by_text, max }
    }

    /// The number of a schema; the same schema always has the same number, in whatever form its text is written.
    pub fn define(&mut self, schema: &Schema) -> Result<SchemaId, SchemaError> {
        let text: Arc<str> = schema.to_json().into();
        if let Some(id) = self.by_text.get(&text) {
            return Ok(*id);
        }
        if self.defined.len() >= self.max {
            return Err(SchemaError::TooMany { max: self.max, text: text.chars().take(80).collect() });
        }
        let id = SchemaId(SchemaId::FIRST_DEFINED + self.defined.len() as u32);
        self.defined.push(Entry { schema: Arc::new(schema.clone()), text: text.clone() });
        self.by_text.insert(text, id);
        Ok(id)
    }

    /// As [`SchemaTable::define`], from a JSON text.
    pub fn define_json(&mut self, text: &str) -> Result<SchemaId, SchemaError> {
        if let Some(id) = self.by_text.get(text) {
            return Ok(*id);
        }
        self.define(&Schema::from_json(text)?)
    }

    /// The schema of a number; none for 0 and for numbers that were never handed out.
    pub fn get(&self, id: SchemaId) -> Option<&Arc<Schema>> {
        self.entry(id).map(|entry| &entry.schema)
    }

    /// The JSON text of a number.
    pub fn text(&self, id: SchemaId) -> Option<&Arc<str>> {
        self.entry(id).map(|entry| &entry.text)
    }

    /// Whether a value may say this number: 0 or one that was handed out.
    pub fn contains(&self, id: SchemaId) -> bool {
        id == SchemaId::NONE || self.entry(id).is_some()
    }

    /// The defined schemas in the order of their numbers, for replaying them to a new instance.
    pub fn defined(&self) -> impl Iterator<Item = (SchemaId, &Arc<str>)> {
        (SchemaId::FIRST_DEFINED..).map(SchemaId).zip(self.defined.iter().map(|entry| &entry.text))
    }

    fn entry(&self, id: SchemaId) -> Option<&Entry> {
        match id.0 {
            1..=9 => self.builtin.get(id.0 as usize - 1),
            17..=25 => self.builtin.get(id.0 as usize - 17 + 9),
            SchemaId::FIRST_DEFINED.. => self.defined.get((id.0 - SchemaId::FIRST_DEFINED) as usize),
            _ => None,
        }
    }
}

/// A float that JSON has no number for, as the writer of defaults calls it.
fn float_of(word: &str) -> Option<f64> {
    match word {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}
