//! From an Avro schema to Connect's schema, and the plan to read by.

use std::sync::Arc;

use serde_json::Value as Json;
use tidegate_record::decimal::Decimal;
use tidegate_record::schema::{Field, Kind, Logical, Schema};
use tidegate_record::value::{Members, Value};

use super::plan::{Branch, Int, Member, Plan};
use super::schema::{Shape, Type, TypeId, Types};
use super::{
    ANYTHING, DEFAULT_NAME, ENUM, ENUM_DEFAULT, ENUM_DOC, FIELD_DEFAULT, FIELD_DOC, MAP_ENTRY, NAMESPACE, Options,
    PRECISION, PRECISION_DEFAULT, RECORD_DOC, UNION,
};
use crate::{LEVELS_MAX, PARTS_MAX};

/// What an Avro schema comes to. No schema: values describe themselves.
pub(super) fn compile(
    text: &str,
    references: &[&str],
    version: Option<i32>,
    options: &Options,
) -> Result<(Option<Schema>, Plan), String> {
    let (types, root) = Types::parse(text, references)?;
    if types.get(root).name() == Some(ANYTHING) {
        return Ok((None, Plan::Anything));
    }
    let mut compiler = Compiler { types: &types, options, open: Vec::new(), parts: 0 };
    let (mut schema, plan) = compiler.part(root, false, None)?;
    if schema.version.is_none() {
        schema.version = version;
    }
    Ok((Some(schema), plan))
}

struct Compiler<'t> {
    types: &'t Types,
    options: &'t Options,
    /// The types that the one in hand is inside of.
    open: Vec<TypeId>,
    parts: usize,
}

/// The default that a field of a record has in Avro.
type FieldDefault<'j> = Option<&'j Json>;

impl Compiler<'_> {
    fn part(&mut self, id: TypeId, optional: bool, default: FieldDefault<'_>) -> Result<(Schema, Plan), String> {
        self.parts += 1;
        if self.parts > PARTS_MAX {
            return Err(format!("written out, the schema has more than {PARTS_MAX} parts"));
        }
        let level = |open: &&TypeId| !matches!(self.types.get(**open).shape, Shape::Union(_));
        if self.open.iter().filter(level).count() >= LEVELS_MAX {
            return Err(format!("the schema is nested more than {LEVELS_MAX} levels deep"));
        }
        let of = self.types.get(id);
        if self.open.contains(&id) {
            let name = of.name().unwrap_or(of.word());
            return Err(format!(
                "the type \"{name}\" contains itself, which Connect's schemas cannot say\n\
                 hint: read such topics as bytes, with ByteArrayConverter"
            ));
        }
        self.open.push(id);
        let made = self.made(id, of, optional, default);
        self.open.pop();
        made
    }

    fn made(
        &mut self,
        id: TypeId,
        of: &Type,
        optional: bool,
        default: FieldDefault<'_>,
    ) -> Result<(Schema, Plan), String> {
        let (mut schema, plan) = match &of.shape {
            Shape::Union(branches) => {
                let branches: Vec<TypeId> = branches.clone();
                match branches.as_slice() {
                    [one] => return self.part(*one, optional, default),
                    [first, second] if self.types.is_null(*first) != self.types.is_null(*second) => {
                        let null_first = self.types.is_null(*first);
                        let (schema, plan) = self.part(if null_first { *second } else { *first }, true, None)?;
                        return Ok((schema, Plan::Optional { null_first, plan: Box::new(plan) }));
                    }
                    branches => self.union(branches)?,
                }
            }
            shape => self.plain(of, shape)?,
        };
        self.attributes(of, &mut schema)?;
        let own = of.props.get("connect.default").filter(|own| !own.is_null());
        if default.is_some() && own.is_none() {
            set_parameter(&mut schema, FIELD_DEFAULT, "true");
        }
        if let Some(json) = default.or(own) {
            let value = self.default_value(id, &schema, json);
            schema.default =
                Some(value.map_err(|error| format!("default {json}: {error}"))?).filter(|value| *value != Value::Null);
        }
        let named = matches!(of.shape, Shape::Record { .. } | Shape::Enum { .. });
        let name = match of.props.get("connect.name") {
            Some(Json::String(name)) => Some(name.as_str()),
            Some(other) => return Err(format!("Invalid schema name: {other}")),
            None => of.name().filter(|_| named),
        };
        if let Some(name) = name.filter(|name| !is_default_name(name)) {
            match &schema.name {
                Some(own) if own != name => {
                    return Err(format!("Mismatched names: the schema is a {own} and its connect.name says {name}"));
                }
                _ => schema.name = Some(name.to_owned()),
            }
        }
        schema.optional |= optional;
        Ok((schema, plan))
    }

    fn plain(&mut self, of: &Type, shape: &Shape) -> Result<(Schema, Plan), String> {
        let logical = of.prop("logicalType").unwrap_or_default();
        let is = |name: &str| logical.eq_ignore_ascii_case(name);
        Ok(match shape {
            Shape::Boolean => (Schema::new(Kind::Boolean), Plan::Boolean),
            Shape::Float => (Schema::new(Kind::Float32), Plan::Float),
            Shape::Double => (Schema::new(Kind::Float64), Plan::Double),
            Shape::String => (Schema::new(Kind::String), Plan::String),
            Shape::Long if is("timestamp-millis") => (Schema::timestamp(), Plan::Timestamp),
            Shape::Long => (Schema::new(Kind::Int64), Plan::Long),
            Shape::Int if is("date") => (Schema::date(), Plan::Int(Int::Date)),
            Shape::Int if is("time-millis") => (Schema::time(), Plan::Int(Int::Time)),
            Shape::Int => match (logical, of.props.get("connect.type")) {
                (_, None | Some(Json::Null)) => (Schema::new(Kind::Int32), Plan::Int(Int::Int32)),
                ("", Some(Json::String(own))) if own == "int8" => (Schema::new(Kind::Int8), Plan::Int(Int::Int8)),
                ("", Some(Json::String(own))) if own == "int16" => (Schema::new(Kind::Int16), Plan::Int(Int::Int16)),
                ("", Some(own)) => return Err(format!("Connect type annotation {own} for an Avro int is unknown")),
                _ => (Schema::new(Kind::Int32), Plan::Int(Int::Int32)),
            },
            Shape::Bytes if is("decimal") => {
                let (schema, scale) = decimal(of)?;
                (schema, Plan::Decimal(scale))
            }
            Shape::Fixed { size, .. } if is("decimal") => {
                let (schema, scale) = decimal(of)?;
                (schema, Plan::FixedDecimal(*size, scale))
            }
            Shape::Bytes => (Schema::new(Kind::Bytes), Plan::Bytes),
            Shape::Fixed { size, .. } => (Schema::new(Kind::Bytes), Plan::Fixed(*size)),
            Shape::Array(items) => match self.entry(*items)? {
                Some(entries) => entries,
                None => {
                    let (schema, plan) = self.part(*items, false, None)?;
                    (Schema::new(Kind::Array(Arc::new(schema))), Plan::Array(Box::new(plan)))
                }
            },
            Shape::Map(values) => {
                let (schema, plan) = self.part(*values, false, None)?;
                let keys = Arc::new(Schema::new(Kind::String));
                (Schema::new(Kind::Map(keys, Arc::new(schema))), Plan::Map(Box::new(plan)))
            }
            Shape::Enum { name, symbols } => {
                let mut schema = Schema::new(Kind::String);
                let short = name.rsplit('.').next().unwrap_or(name);
                if self.options.meta_data {
                    for (prefix, prop) in [(ENUM_DOC, "doc"), (ENUM_DEFAULT, "default")] {
                        if let Some(text) = of.prop(prop) {
                            set_parameter(&mut schema, &format!("{prefix}{short}"), text);
                        }
                    }
                }
                set_parameter(&mut schema, ENUM, name);
                for symbol in symbols {
                    set_parameter(&mut schema, &format!("{ENUM}.{symbol}"), symbol);
                }
                (schema, Plan::Enum(symbols.clone()))
            }
            Shape::Record { fields, .. } => {
                let mut schema = Schema::new(Kind::Struct(Vec::new()));
                if let Some(doc) = of.prop("doc").filter(|_| self.options.meta_data) {
                    set_parameter(&mut schema, RECORD_DOC, doc);
                }
                let (mut made, mut members) = (Vec::with_capacity(fields.len()), Vec::with_capacity(fields.len()));
                for field in fields {
                    if let Some(doc) = field.doc.as_ref().filter(|_| self.options.meta_data) {
                        set_parameter(&mut schema, &format!("{FIELD_DOC}{}", field.name), doc);
                    }
                    let (own, plan) = self
                        .part(field.of, false, field.default.as_ref())
                        .map_err(|error| format!("field \"{}\": {error}", field.name))?;
                    made.push(Field { name: field.name.clone(), schema: Arc::new(own) });
                    members.push(Member::new(&field.name, plan));
                }
                schema.kind = Kind::Struct(made);
                (schema, Plan::Struct(members))
            }
            Shape::Null => return Err("Standalone null schemas are not supported by this converter".to_owned()),
            Shape::Union(_) | Shape::Open => return Err(format!("a {} where another type is due", of.word())),
        })
    }

    /// The map that an array of entries stands for, if that is what it is.
    fn entry(&mut self, items: TypeId) -> Result<Option<(Schema, Plan)>, String> {
        let of = self.types.get(items);
        let Shape::Record { name, fields } = &of.shape else { return Ok(None) };
        let is_entry =
            *name == format!("{NAMESPACE}.{MAP_ENTRY}") || of.prop("connect.internal.type") == Some(MAP_ENTRY);
        if !is_entry {
            return Ok(None);
        }
        let (key, value, key_first) = match fields.as_slice() {
            [key, value] if key.name == "key" && value.name == "value" => (key, value, true),
            [value, key] if key.name == "key" && value.name == "value" => (key, value, false),
            _ => {
                return Err("Found map encoded as array of key-value pairs, but array elements do not match the \
                            expected format."
                    .to_owned());
            }
        };
        let (key, key_plan) = self.part(key.of, false, None)?;
        let (value, value_plan) = self.part(value.of, false, None)?;
        let mut schema = Schema::new(Kind::Map(Arc::new(key), Arc::new(value)));
        if of.prop("connect.internal.type").is_some() {
            schema.name = of.prop("connect.name").or(of.name()).map(str::to_owned);
        }
        let (keys, values) = (Box::new(key_plan), Box::new(value_plan));
        Ok(Some((schema, Plan::Entries(keys, values, key_first))))
    }

    fn union(&mut self, branches: &[TypeId]) -> Result<(Schema, Plan), String> {
        let mut schema = Schema::new(Kind::Struct(Vec::new())).named(UNION);
        let (mut fields, mut plans) = (Vec::<Field>::new(), Vec::with_capacity(branches.len()));
        for branch in branches {
            if self.types.is_null(*branch) {
                schema.optional = true;
                plans.push(Branch::Null);
                continue;
            }
            let name = self.branch_name(self.types.get(*branch));
            if fields.iter().any(|field| field.name == name) {
                return Err("Multiple union schemas map to the Connect union field name".to_owned());
            }
            let (own, plan) = self.part(*branch, true, None)?;
            plans.push(Branch::Is(Member::new(&name, plan)));
            fields.push(Field { name, schema: Arc::new(own) });
        }
        if fields.is_empty() {
            return Err("a union without a type other than null".to_owned());
        }
        schema.kind = Kind::Struct(fields);
        Ok((schema, Plan::Union(plans)))
    }

    fn branch_name(&self, of: &Type) -> String {
        match &of.shape {
            Shape::Record { name, .. } | Shape::Enum { name, .. } if self.options.enhanced => name.clone(),
            Shape::Record { name, .. } | Shape::Enum { name, .. } => name.rsplit('.').next().unwrap_or(name).to_owned(),
            _ => of.word().to_owned(),
        }
    }

    /// What Connect itself wrote into the schema.
    fn attributes(&self, of: &Type, schema: &mut Schema) -> Result<(), String> {
        if self.options.meta_data {
            schema.doc = of.prop("connect.doc").map(str::to_owned);
        }
        match of.props.get("connect.version") {
            None => {}
            Some(Json::Number(version)) => {
                let version = version.as_i64().map(|version| version as i32).filter(|version| *version >= 0);
                if let Some(version) = version {
                    if schema.version.is_some_and(|own| own != version) {
                        return Err("Mismatched versions: version already added to SchemaBuilder differs from \
                                    version in source schema"
                            .to_owned());
                    }
                    schema.version = Some(version);
                }
            }
            Some(other) => return Err(format!("Invalid Connect version found: {other}")),
        }
        match of.props.get("connect.parameters") {
            None | Some(Json::Null) => {}
            Some(_) if !self.options.meta_data => {}
            Some(Json::Object(parameters)) => {
                for (name, value) in parameters {
                    let Json::String(value) = value else {
                        return Err(format!("Expected schema parameter values to be strings but found: {value}"));
                    };
                    set_parameter(schema, name, value);
                }
            }
            Some(other) => return Err(format!("Expected JSON object for schema parameters but found: {other}")),
        }
        for (name, value) in of.props.iter().filter(|(name, _)| name.starts_with("avro")) {
            match value {
                Json::String(text) => set_parameter(schema, name, text),
                other => set_parameter(schema, name, &other.to_string()),
            }
        }
        Ok(())
    }

    fn default_value(&self, id: TypeId, schema: &Schema, json: &Json) -> Result<Value, String> {
        let of = self.types.get(id);
        let unfit = || format!("does not fit the type {}", of.word());
        if json.is_null() {
            return Ok(Value::Null);
        }
        Ok(match &of.shape {
            Shape::Boolean => Value::Boolean(json.as_bool().ok_or_else(unfit)?),
            Shape::Int => {
                let number = json.as_i64().and_then(|wide| i32::try_from(wide).ok()).ok_or_else(unfit)?;
                match (schema.logical(), &schema.kind) {
                    (Some(Logical::Date), _) => Value::Date(number),
                    (Some(Logical::Time), _) => Value::Time(number),
                    (_, Kind::Int8) => Value::Int8(number as i8),
                    (_, Kind::Int16) => Value::Int16(number as i16),
                    _ => Value::Int32(number),
                }
            }
            Shape::Long => {
                let number = json.as_i64().ok_or_else(unfit)?;
                if schema.logical() == Some(Logical::Timestamp) {
                    Value::Timestamp(number)
                } else {
                    Value::Int64(number)
                }
            }
            Shape::Float => Value::Float32(number(json).ok_or_else(unfit)? as f32),
            Shape::Double => Value::Float64(number(json).ok_or_else(unfit)?),
            Shape::String | Shape::Enum { .. } => Value::string(json.as_str().ok_or_else(unfit)?),
            Shape::Bytes | Shape::Fixed { .. } => {
                // Each character is a byte.
                let text = json.as_str().ok_or_else(unfit)?;
                let bytes: Vec<u8> =
                    text.chars().map(|c| u8::try_from(c).map_err(|_| unfit())).collect::<Result<_, _>>()?;
                match schema.logical() {
                    Some(Logical::Decimal) if bytes.is_empty() => return Err(unfit()),
                    Some(Logical::Decimal) => {
                        Value::Decimal(Decimal { scale: schema.scale().unwrap_or(0), unscaled: bytes })
                    }
                    _ => Value::Bytes(bytes),
                }
            }
            Shape::Array(items) => {
                let Kind::Array(inner) = &schema.kind else { return Ok(Value::Null) };
                let list = json.as_array().ok_or_else(unfit)?;
                Value::Array(list.iter().map(|item| self.default_value(*items, inner, item)).collect::<Result<_, _>>()?)
            }
            Shape::Map(values) => {
                let Kind::Map(_, inner) = &schema.kind else { return Ok(Value::Null) };
                let entries = json.as_object().ok_or_else(unfit)?.iter();
                Value::Map(
                    entries
                        .map(|(name, value)| Ok((name.clone(), self.default_value(*values, inner, value)?)))
                        .collect::<Result<Members, String>>()?,
                )
            }
            Shape::Record { fields, .. } => {
                let object = json.as_object().ok_or_else(unfit)?;
                let member = |(own, field): (&super::schema::Field, &Field)| {
                    let value = object.get(&own.name).or(own.default.as_ref()).unwrap_or(&Json::Null);
                    Ok((own.name.clone(), self.default_value(own.of, &field.schema, value)?))
                };
                Value::Struct(fields.iter().zip(schema.fields()).map(member).collect::<Result<Members, String>>()?)
            }
            Shape::Union(branches) => match branches.first() {
                Some(first) if !self.types.is_null(*first) => {
                    // A union of two with null is the other type itself.
                    let is_struct = schema.name.as_deref() == Some(UNION);
                    let field = schema.fields().first().filter(|_| is_struct);
                    match field {
                        None => self.default_value(*first, schema, json)?,
                        Some(field) => {
                            let value = self.default_value(*first, &field.schema, json)?;
                            Value::Struct([(field.name.clone(), value)].into_iter().collect())
                        }
                    }
                }
                _ => Value::Null,
            },
            Shape::Null | Shape::Open => Value::Null,
        })
    }
}

fn number(json: &Json) -> Option<f64> {
    match json {
        Json::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" | "INF" => Some(f64::INFINITY),
            "-Infinity" | "-INF" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        json => json.as_f64(),
    }
}

fn decimal(of: &Type) -> Result<(Schema, i32), String> {
    let scale = of.props.get("scale").and_then(Json::as_i64).ok_or("scale must be specified and must be a number.")?;
    let scale = i32::try_from(scale).map_err(|_| format!("scale {scale} is too large"))?;
    let mut schema = Schema::decimal(scale);
    match of.props.get("precision") {
        None | Some(Json::Null) => {}
        Some(precision) => {
            let precision = precision.as_i64().ok_or("precision property must be a JSON Integer.")?;
            if precision != PRECISION_DEFAULT {
                set_parameter(&mut schema, PRECISION, &precision.to_string());
            }
        }
    }
    Ok((schema, scale))
}

/// The names that records have whose Connect schema has none: ours are numbered where a schema has several.
fn is_default_name(name: &str) -> bool {
    let own = name.strip_prefix(NAMESPACE).and_then(|rest| rest.strip_prefix('.'));
    own.and_then(|own| own.strip_prefix(DEFAULT_NAME))
        .is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn set_parameter(schema: &mut Schema, name: &str, value: &str) {
    match schema.parameters.iter_mut().find(|(own, _)| own == name) {
        Some((_, own)) => value.clone_into(own),
        None => schema.parameters.push((name.to_owned(), value.to_owned())),
    }
}
