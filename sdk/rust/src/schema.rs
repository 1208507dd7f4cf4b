//! Schemas: their numbers in batches, and the JSON form of Connect's JsonConverter as a Rust type.

use serde_json::{Map, Value as Json, json};

/// The number of a schema in a batch. Numbers above 63 are the host's: see [`define`](crate::host::define_schema).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SchemaId(pub u32);

impl SchemaId {
    /// No schema: the value describes itself.
    pub const NONE: SchemaId = SchemaId(0);
    /// A required whole number of 8 bits.
    pub const INT8: SchemaId = SchemaId(1);
    /// A required whole number of 16 bits.
    pub const INT16: SchemaId = SchemaId(2);
    /// A required whole number of 32 bits.
    pub const INT32: SchemaId = SchemaId(3);
    /// A required whole number of 64 bits.
    pub const INT64: SchemaId = SchemaId(4);
    /// A required floating-point number of 32 bits.
    pub const FLOAT32: SchemaId = SchemaId(5);
    /// A required floating-point number of 64 bits.
    pub const FLOAT64: SchemaId = SchemaId(6);
    /// A required boolean.
    pub const BOOLEAN: SchemaId = SchemaId(7);
    /// A required text.
    pub const STRING: SchemaId = SchemaId(8);
    /// Required bytes.
    pub const BYTES: SchemaId = SchemaId(9);
    /// A text or null.
    pub const OPTIONAL_STRING: SchemaId = SchemaId(24);
    /// Bytes or null.
    pub const OPTIONAL_BYTES: SchemaId = SchemaId(25);

    /// The same schema, optional, of one of the predefined schemas.
    #[must_use]
    pub const fn optional(self) -> SchemaId {
        match self.0 {
            1..=9 => SchemaId(self.0 + 16),
            _ => self,
        }
    }

    /// Whether a batch may mention it.
    pub(crate) fn is_known(self) -> bool {
        matches!(self.0, 0..=9 | 17..=25 | 64..)
    }

    /// The predefined schemas as [`Schema`]s; none for 0 and for numbers of the host.
    pub fn predefined(self) -> Option<Schema> {
        let (number, optional) = if self.0 > 16 { (self.0 - 16, true) } else { (self.0, false) };
        let of_type = match number {
            1 => Type::Int8,
            2 => Type::Int16,
            3 => Type::Int32,
            4 => Type::Int64,
            5 => Type::Float32,
            6 => Type::Float64,
            7 => Type::Boolean,
            8 => Type::String,
            9 => Type::Bytes,
            _ => return None,
        };
        Some(Schema { optional, ..Schema::new(of_type) })
    }
}

/// A type of Connect data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Type {
    Int8,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Boolean,
    String,
    Bytes,
    Array,
    Map,
    Struct,
}

/// The types and their names in JSON.
const TYPES: [(Type, &str); 12] = [
    (Type::Int8, "int8"),
    (Type::Int16, "int16"),
    (Type::Int32, "int32"),
    (Type::Int64, "int64"),
    (Type::Float32, "float"),
    (Type::Float64, "double"),
    (Type::Boolean, "boolean"),
    (Type::String, "string"),
    (Type::Bytes, "bytes"),
    (Type::Array, "array"),
    (Type::Map, "map"),
    (Type::Struct, "struct"),
];

/// Names of Connect's logical types.
pub mod logical {
    /// An int32 of days.
    pub const DATE: &str = "org.apache.kafka.connect.data.Date";
    /// An int32 of milliseconds since midnight.
    pub const TIME: &str = "org.apache.kafka.connect.data.Time";
    /// An int64 of milliseconds since 1970.
    pub const TIMESTAMP: &str = "org.apache.kafka.connect.data.Timestamp";
    /// Bytes with the parameter `scale`.
    pub const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
}

/// A schema of Connect.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    /// What values are.
    pub of_type: Type,
    /// Whether values may be null.
    pub optional: bool,
    /// The name of a struct or of a logical type.
    pub name: Option<String>,
    /// The version of the schema.
    pub version: Option<i64>,
    /// Text for people.
    pub doc: Option<String>,
    /// What a logical type needs, such as the scale of a decimal.
    pub parameters: Map<String, Json>,
    /// The default in the JSON form of values.
    pub default: Option<Json>,
    /// Of a struct, in order.
    pub fields: Vec<Field>,
    /// Of an array.
    pub items: Option<Box<Schema>>,
    /// Of a map.
    pub keys: Option<Box<Schema>>,
    /// Of a map.
    pub values: Option<Box<Schema>>,
}

/// A field of a struct.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name, unique in the struct.
    pub name: String,
    /// What it holds.
    pub schema: Schema,
}

impl Schema {
    /// A required schema without name.
    pub fn new(of_type: Type) -> Schema {
        Schema {
            of_type,
            optional: false,
            name: None,
            version: None,
            doc: None,
            parameters: Map::new(),
            default: None,
            fields: Vec::new(),
            items: None,
            keys: None,
            values: None,
        }
    }

    /// A required logical type.
    pub fn logical(of_type: Type, name: &str) -> Schema {
        // Version 1, as Connect's builders of logical types set it.
        Schema { name: Some(name.to_owned()), version: Some(1), ..Schema::new(of_type) }
    }

    /// The same schema, optional or not.
    #[must_use]
    pub fn with_optional(mut self, optional: bool) -> Schema {
        self.optional = optional;
        self
    }

    /// Whether this is the logical type of the given name.
    pub fn is_named(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name)
    }

    /// The field of a struct.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Reads the JSON form. The error says what is malformed.
    pub fn from_json(json: &Json) -> Result<Schema, String> {
        let Json::Object(object) = json else { return Err(format!("a schema is an object, not {json}")) };
        let text = |member: &str| object.get(member).and_then(Json::as_str).map(str::to_owned);
        let type_name = text("type").ok_or("a schema has no type")?;
        let of_type = TYPES
            .iter()
            .find(|(_, name)| *name == type_name)
            .map(|(of_type, _)| *of_type)
            .ok_or_else(|| format!("unknown type \"{type_name}\""))?;
        let nested = |member: &str| match object.get(member) {
            None | Some(Json::Null) => Ok(None),
            Some(json) => Schema::from_json(json).map(|schema| Some(Box::new(schema))),
        };
        let fields = match object.get("fields") {
            None | Some(Json::Null) => Vec::new(),
            Some(Json::Array(fields)) => fields.iter().map(Field::from_json).collect::<Result<_, _>>()?,
            Some(other) => return Err(format!("fields are a list, not {other}")),
        };
        Ok(Schema {
            of_type,
            optional: object.get("optional").and_then(Json::as_bool).unwrap_or(false),
            name: text("name"),
            version: object.get("version").and_then(Json::as_i64),
            doc: text("doc"),
            parameters: object.get("parameters").and_then(Json::as_object).cloned().unwrap_or_default(),
            default: object.get("default").filter(|json| !json.is_null()).cloned(),
            fields,
            items: nested("items")?,
            keys: nested("keys")?,
            values: nested("values")?,
        })
    }

    /// The JSON form.
    pub fn to_json(&self) -> Json {
        Json::Object(self.to_object())
    }

    fn to_object(&self) -> Map<String, Json> {
        let type_name =
            TYPES.iter().find(|(of_type, _)| *of_type == self.of_type).map(|(_, name)| *name).unwrap_or_default();
        let mut object = Map::new();
        let mut put = |member: &str, json: Json| object.insert(member.to_owned(), json);
        put("type", json!(type_name));
        put("optional", json!(self.optional));
        if let Some(name) = &self.name {
            put("name", json!(name));
        }
        if let Some(version) = self.version {
            put("version", json!(version));
        }
        if let Some(doc) = &self.doc {
            put("doc", json!(doc));
        }
        if !self.parameters.is_empty() {
            put("parameters", Json::Object(self.parameters.clone()));
        }
        if let Some(default) = &self.default {
            put("default", default.clone());
        }
        if self.of_type == Type::Struct {
            put("fields", self.fields.iter().map(Field::to_json).collect());
        }
        for (member, schema) in [("items", &self.items), ("keys", &self.keys), ("values", &self.values)] {
            if let Some(schema) = schema {
                put(member, schema.to_json());
            }
        }
        object
    }
}

impl Field {
    /// A field.
    pub fn new(name: &str, schema: Schema) -> Field {
        Field { name: name.to_owned(), schema }
    }

    fn from_json(json: &Json) -> Result<Field, String> {
        let name = json.get("field").and_then(Json::as_str).ok_or("a field has no name")?;
        Ok(Field::new(name, Schema::from_json(json)?))
    }

    fn to_json(&self) -> Json {
        let mut object = self.schema.to_object();
        object.insert("field".to_owned(), json!(self.name));
        Json::Object(object)
    }
}
