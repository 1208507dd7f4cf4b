//! JSON Schema, mapped to Connect's data as Confluent's JsonSchemaConverter maps it.
//!
//! The payload is JSON text, and mostly it stays text: the view indexes it as it does JSON from a JsonConverter, with the
//! schema that the registry's one comes to. Values that JSON says in another way than JsonConverter (maps with other keys,
//! one of several types) go through trees.

mod from_connect;
mod to_connect;
mod validate;
mod values;

use tidegate_record::schema::Kind;
use tidegate_record::value::{DecimalFormat, JsonOptions, Value};
use tidegate_record::view::{Side, Tree, View};
use tidegate_record::{Schema, SchemaId, SchemaTable};

use crate::wire::PREFIX_BYTES;
use validate::Validator;

const ENUM: &str = "io.confluent.connect.json.Enum";
const ONE_OF: &str = "io.confluent.connect.json.OneOf";
const NAMESPACE: &str = "io.confluent.connect.json";
/// A schema that takes anything. Registries know by it what language it is in.
const ANYTHING: &str = r##"{"$schema":"http://json-schema.org/draft-07/schema#"}"##;

/// The settings that concern the mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// `decimal.format` is NUMERIC.
    pub decimal_numeric: bool,
    /// `replace.null.with.default`.
    pub replace_null_with_default: bool,
    /// `json.fail.invalid.schema`.
    pub validate: bool,
    /// `json.oneof.for.nullables`.
    pub oneof_for_nullables: bool,
    /// `object.additional.properties`.
    pub additional_properties: bool,
    /// `use.optional.for.nonrequired`.
    pub optional_for_nonrequired: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            decimal_numeric: false,
            replace_null_with_default: true,
            validate: false,
            oneof_for_nullables: true,
            additional_properties: true,
            optional_for_nonrequired: false,
        }
    }
}

impl Options {
    /// How values are written, in the words of a JsonConverter.
    pub fn of_values(&self) -> JsonOptions {
        JsonOptions {
            decimal: if self.decimal_numeric { DecimalFormat::Numeric } else { DecimalFormat::Base64 },
            replace_null_with_default: self.replace_null_with_default,
            ..JsonOptions::default()
        }
    }
}

/// Reads the data of one schema.
pub struct Decoder {
    schema: Option<Schema>,
    is_plain: bool,
    validator: Option<Validator>,
    options: JsonOptions,
}

impl Decoder {
    /// Works out how data of a schema is read. `references` are the schemas that it refers to, by name.
    pub fn new(
        text: &str,
        references: &[(String, String)],
        version: Option<i32>,
        options: &Options,
    ) -> Result<Decoder, String> {
        let schema = to_connect::compile(text, references, version, options)?;
        let validator = options.validate.then(|| Validator::new(text, references)).transpose()?;
        let is_plain = schema.as_ref().is_none_or(is_plain);
        Ok(Decoder { schema, is_plain, validator, options: options.of_values() })
    }

    /// The Connect schema of what is read; none: the JSON schema takes anything.
    pub fn schema(&self) -> Option<&Schema> {
        self.schema.as_ref()
    }

    /// Reads JSON text as a value of the schema.
    pub fn value(&self, text: &[u8]) -> Result<Value, String> {
        let text = std::str::from_utf8(text).map_err(|error| format!("not UTF-8 at byte {}", error.valid_up_to()))?;
        let value = Value::from_json(text).map_err(|error| error.to_string())?;
        match &self.schema {
            None => Ok(value),
            Some(schema) => values::typed(&value, schema, &self.options),
        }
    }

    /// Reads a key or value where it is. `id` is the number of the schema in the table.
    pub fn read(
        &self,
        view: &mut View<'_>,
        record: usize,
        side: Side,
        id: SchemaId,
        schemas: &SchemaTable,
    ) -> Result<(), String> {
        let bytes = match side {
            Side::Value => view.original_value(record),
            Side::Key => view.original_key(record),
        };
        let text = &bytes[PREFIX_BYTES..];
        if let Some(validator) = &self.validator {
            validator.check(text)?;
        }
        if self.is_plain {
            return view.decode_json(record, side, PREFIX_BYTES, id, schemas);
        }
        let value = self.value(text)?;
        view.set_tree(record, side, Tree { schema: id, value }, schemas);
        Ok(())
    }
}

/// Writes values of one Connect schema.
pub struct Encoder {
    is_plain: bool,
    validator: Option<Validator>,
    options: JsonOptions,
}

impl Encoder {
    /// Works out how values of a schema are written. `text` is the registered schema; nothing but validation asks it.
    pub fn new(
        schema: Option<&Schema>,
        text: &str,
        references: &[(String, String)],
        options: &Options,
    ) -> Result<Encoder, String> {
        let validator = options.validate.then(|| Validator::new(text, references)).transpose()?;
        Ok(Encoder { is_plain: schema.is_none_or(is_plain), validator, options: options.of_values() })
    }

    /// Appends a key or value.
    pub fn write(
        &self,
        view: &mut View<'_>,
        record: usize,
        side: Side,
        schemas: &SchemaTable,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let start = out.len();
        if self.is_plain {
            view.append_json(record, side, schemas, out)?;
        } else {
            let tree = view.tree_of(record, side, schemas);
            let schema = schemas.get(tree.schema).ok_or("a value without schema")?;
            values::write(&tree.value, schema, &self.options, out)?;
        }
        match &self.validator {
            Some(validator) => validator.check(&out[start..]),
            None => Ok(()),
        }
    }
}

/// The JSON schema that is registered for values of a Connect schema, and its title.
pub fn schema_text(schema: Option<&Schema>, options: &Options) -> Result<(String, Option<String>), String> {
    match schema {
        None => Ok((ANYTHING.to_owned(), None)),
        Some(schema) => Ok((from_connect::json(schema, None, options)?.to_string(), schema.name.clone())),
    }
}

/// Whether JSON says values of a schema as a JsonConverter does.
fn is_plain(schema: &Schema) -> bool {
    match &schema.kind {
        Kind::Array(items) => is_plain(items),
        Kind::Map(keys, values) => keys.kind == Kind::String && !keys.optional && is_plain(values),
        Kind::Struct(fields) => !is_one_of(schema) && fields.iter().all(|field| is_plain(&field.schema)),
        _ => true,
    }
}

fn is_one_of(schema: &Schema) -> bool {
    matches!(schema.kind, Kind::Struct(_)) && schema.name.as_deref() == Some(ONE_OF)
}
