//! From a Connect schema to the Avro schema that is registered.

use std::collections::HashMap;

use serde_json::{Map, Value as Json, json};
use tidegate_record::schema::{Field, Kind, Logical, Schema};
use tidegate_record::value::Value;

use super::{
    DEFAULT_NAME, ENUM, ENUM_DEFAULT, ENUM_DOC, FIELD_DEFAULT, FIELD_DOC, MAP_ENTRY, NAMESPACE, Options, PRECISION,
    PRECISION_DEFAULT, RECORD_DOC, UNION,
};

/// The JSON of the Avro schema that stands for a Connect schema.
pub(super) fn text(schema: &Schema, options: &Options) -> Result<String, String> {
    let mut compiler = Compiler { options, named: HashMap::new(), unnamed: 0 };
    Ok(compiler.part(schema)?.to_string())
}

struct Compiler<'o> {
    options: &'o Options,
    /// What the names that are taken stand for.
    named: HashMap<String, Schema>,
    /// Records without a name so far.
    unnamed: u32,
}

impl Compiler<'_> {
    /// A schema, in a union with null where it is optional.
    fn part(&mut self, schema: &Schema) -> Result<Json, String> {
        if schema.name.as_deref() == Some(UNION) && matches!(schema.kind, Kind::Struct(_)) {
            return self.union(schema);
        }
        let json = self.required(schema)?;
        Ok(match (schema.optional, &schema.default) {
            (false, _) => json,
            (true, None) => json!(["null", json]),
            // The default has to fit the first type.
            (true, Some(_)) => json!([json, "null"]),
        })
    }

    fn union(&mut self, schema: &Schema) -> Result<Json, String> {
        let mut branches = Vec::new();
        if schema.optional {
            branches.push(json!("null"));
        }
        for field in schema.fields() {
            branches.push(self.required(&field.schema)?);
        }
        Ok(Json::Array(branches))
    }

    /// A schema as if null were no value of it.
    fn required(&mut self, schema: &Schema) -> Result<Json, String> {
        let mut props = Map::new();
        let mut connect_type = None;
        let word = match (schema.logical(), &schema.kind) {
            (Some(Logical::Decimal), Kind::Bytes) if schema.scale().is_none() => {
                return Err("a Decimal schema without the parameter \"scale\"".to_owned());
            }
            (_, Kind::Int8) => {
                connect_type = Some("int8");
                "int"
            }
            (_, Kind::Int16) => {
                connect_type = Some("int16");
                "int"
            }
            (_, Kind::Int32) => "int",
            (_, Kind::Int64) => "long",
            (_, Kind::Float32) => "float",
            (_, Kind::Float64) => "double",
            (_, Kind::Boolean) => "boolean",
            (_, Kind::Bytes) => "bytes",
            (_, Kind::String) => match schema.parameter(ENUM).filter(|_| self.options.enhanced) {
                Some(name) => return self.enumeration(schema, name),
                None => "string",
            },
            (_, Kind::Array(items)) => {
                props.insert("items".to_owned(), self.part(items)?);
                "array"
            }
            (_, Kind::Map(keys, values)) if has_names(keys, self.options) => {
                props.insert("values".to_owned(), self.part(values)?);
                "map"
            }
            (_, Kind::Map(keys, values)) => {
                props.insert("items".to_owned(), self.entries(schema, keys, values)?);
                "array"
            }
            (_, Kind::Struct(fields)) => return self.record(schema, fields),
            (_, Kind::Any) => return Err("a part without a schema inside one that has a schema".to_owned()),
        };
        let is_plain = props.is_empty();
        self.attributes(schema, connect_type, &mut props)?;
        logical_type(schema, &mut props);
        if is_plain && props.is_empty() {
            return Ok(json!(word));
        }
        Ok(with_type(word, props))
    }

    fn enumeration(&mut self, schema: &Schema, name: &str) -> Result<Json, String> {
        let prefix = format!("{ENUM}.");
        let symbols: Vec<String> = schema
            .parameters
            .iter()
            .filter(|(key, _)| key.starts_with(&prefix))
            .map(|(_, symbol)| symbol.clone())
            .collect();
        let full = self.scrubbed(name);
        if let Some(reference) = self.taken(&full, schema)? {
            return Ok(reference);
        }
        let (namespace, short) = split(&full);
        let mut props = Map::new();
        props.insert("name".to_owned(), json!(short));
        if let Some(namespace) = namespace {
            props.insert("namespace".to_owned(), json!(namespace));
        }
        if let Some(doc) = schema.parameter(&format!("{ENUM_DOC}{short}")) {
            props.insert("doc".to_owned(), json!(doc));
        }
        props.insert("symbols".to_owned(), json!(symbols));
        if let Some(default) = schema.parameter(&format!("{ENUM_DEFAULT}{short}")) {
            props.insert("default".to_owned(), json!(default));
        }
        self.attributes(schema, None, &mut props)?;
        Ok(with_type("enum", props))
    }

    fn entries(&mut self, schema: &Schema, keys: &Schema, values: &Schema) -> Result<Json, String> {
        let full = match &schema.name {
            None => format!("{NAMESPACE}.{MAP_ENTRY}"),
            Some(name) => self.scrubbed(name),
        };
        let entry = Schema::new(Kind::Map(keys.clone().into(), values.clone().into()));
        if let Some(reference) = self.taken(&full, &entry)? {
            return Ok(reference);
        }
        let (namespace, short) = split(&full);
        let mut props = Map::new();
        props.insert("name".to_owned(), json!(short));
        if let Some(namespace) = namespace {
            props.insert("namespace".to_owned(), json!(namespace));
        }
        let mut fields = Vec::new();
        for (name, of) in [("key", keys), ("value", values)] {
            let json = self.part(of)?;
            fields.push(field_json(name, of, json, None)?);
        }
        props.insert("fields".to_owned(), Json::Array(fields));
        if schema.name.is_some() {
            props.insert("connect.internal.type".to_owned(), json!(MAP_ENTRY));
        }
        Ok(with_type("record", props))
    }

    fn record(&mut self, schema: &Schema, fields: &[Field]) -> Result<Json, String> {
        let full = match &schema.name {
            Some(name) => self.scrubbed(name),
            None => self.default_name(schema),
        };
        if let Some(reference) = self.taken(&full, schema)? {
            return Ok(reference);
        }
        let mut list = Vec::with_capacity(fields.len());
        for field in fields {
            let json = self.part(&field.schema).map_err(|error| format!("field \"{}\": {error}", field.name))?;
            let doc = schema.parameter(&format!("{FIELD_DOC}{}", field.name));
            list.push(field_json(&self.scrubbed_part(&field.name), &field.schema, json, doc)?);
        }
        let (namespace, short) = split(&full);
        let mut props = Map::new();
        props.insert("name".to_owned(), json!(short));
        if let Some(namespace) = namespace {
            props.insert("namespace".to_owned(), json!(namespace));
        }
        if let Some(doc) = schema.parameter(RECORD_DOC) {
            props.insert("doc".to_owned(), json!(doc));
        }
        props.insert("fields".to_owned(), Json::Array(list));
        self.attributes(schema, None, &mut props)?;
        Ok(with_type("record", props))
    }

    /// The name of a record whose schema has none. Where there are several that differ each has a number, for Avro takes
    /// a name only once.
    fn default_name(&mut self, schema: &Schema) -> String {
        let name = |number: u32| match number {
            1 => format!("{NAMESPACE}.{DEFAULT_NAME}"),
            number => format!("{NAMESPACE}.{DEFAULT_NAME}{number}"),
        };
        let same =
            (1..=self.unnamed).find(|number| self.named.get(&name(*number)).is_some_and(|own| alike(own, schema)));
        name(same.unwrap_or_else(|| {
            self.unnamed += 1;
            self.unnamed
        }))
    }

    /// A reference to a name that stands for the same schema already; a name that stands for another one is an error.
    fn taken(&mut self, full: &str, schema: &Schema) -> Result<Option<Json>, String> {
        match self.named.get(full) {
            Some(own) if alike(own, schema) => Ok(Some(json!(full))),
            Some(_) => Err(format!("Can't redefine: {full}")),
            None => {
                self.named.insert(full.to_owned(), schema.clone());
                Ok(None)
            }
        }
    }

    /// What only Connect reads.
    fn attributes(
        &self,
        schema: &Schema,
        connect_type: Option<&str>,
        props: &mut Map<String, Json>,
    ) -> Result<(), String> {
        if self.options.meta_data {
            if let Some(doc) = &schema.doc {
                props.insert("connect.doc".to_owned(), json!(doc));
            }
            if let Some(version) = schema.version {
                props.insert("connect.version".to_owned(), json!(version));
            }
            let parameters: Map<String, Json> = schema
                .parameters
                .iter()
                .filter(|(name, _)| name != FIELD_DEFAULT)
                .map(|(name, value)| (name.clone(), json!(value)))
                .collect();
            if !parameters.is_empty() {
                props.insert("connect.parameters".to_owned(), Json::Object(parameters));
            }
            if let Some(default) = &schema.default
                && schema.parameter(FIELD_DEFAULT).is_none()
            {
                props.insert("connect.default".to_owned(), default_json(schema, default)?);
            }
            if let Some(name) = &schema.name {
                props.insert("connect.name".to_owned(), json!(name));
            }
            if let Some(own) = connect_type {
                props.insert("connect.type".to_owned(), json!(own));
            }
        }
        for (name, value) in schema.parameters.iter().filter(|(name, _)| name.starts_with("avro")) {
            props.entry(name.clone()).or_insert_with(|| json!(value));
        }
        Ok(())
    }

    /// A full name that Avro takes, where that is wanted.
    fn scrubbed(&self, name: &str) -> String {
        name.split('.').map(|part| self.scrubbed_part(part)).collect::<Vec<_>>().join(".")
    }

    fn scrubbed_part(&self, name: &str) -> String {
        if self.options.scrub { scrub(name) } else { name.to_owned() }
    }
}

/// Whether two schemas say the same of values that are there.
fn alike(one: &Schema, other: &Schema) -> bool {
    let plain = |schema: &Schema| Schema { optional: false, default: None, ..schema.clone() };
    one == other || plain(one) == plain(other)
}

fn split(full: &str) -> (Option<&str>, &str) {
    match full.rsplit_once('.') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, full),
    }
}

/// Percent-encoded as Java's URLEncoder does, then with an underscore for what Avro's names do not take.
pub(super) fn scrub(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'*' => encoded.push(char::from(byte)),
            b' ' => encoded.push('+'),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    if !encoded.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        encoded.insert(0, 'x');
    }
    encoded.replace(|c: char| !(c.is_ascii_alphanumeric() || c == '_'), "_")
}

/// Whether a map with these keys is one of Avro's, which have names.
pub(super) fn has_names(keys: &Schema, options: &Options) -> bool {
    keys.kind == Kind::String && (!keys.optional || options.optional_map_keys)
}

fn with_type(word: &str, props: Map<String, Json>) -> Json {
    let mut all = Map::with_capacity(props.len() + 1);
    all.insert("type".to_owned(), json!(word));
    all.extend(props);
    Json::Object(all)
}

fn field_json(name: &str, schema: &Schema, of: Json, doc: Option<&str>) -> Result<Json, String> {
    let mut field = Map::new();
    field.insert("name".to_owned(), json!(name));
    field.insert("type".to_owned(), of);
    if let Some(doc) = doc {
        field.insert("doc".to_owned(), json!(doc));
    }
    if let Some(default) = &schema.default {
        field.insert("default".to_owned(), default_json(schema, default)?);
    } else if schema.optional {
        field.insert("default".to_owned(), Json::Null);
    }
    Ok(Json::Object(field))
}

fn logical_type(schema: &Schema, props: &mut Map<String, Json>) {
    let Some(logical) = schema.logical().filter(|logical| logical.kind() == schema.kind) else { return };
    let word = match logical {
        Logical::Decimal => {
            let precision = schema.parameter(PRECISION).and_then(|text| text.parse().ok()).unwrap_or(PRECISION_DEFAULT);
            props.insert("precision".to_owned(), json!(precision));
            props.insert("scale".to_owned(), json!(schema.scale().unwrap_or(0)));
            "decimal"
        }
        Logical::Date => "date",
        Logical::Time => "time-millis",
        Logical::Timestamp => "timestamp-millis",
    };
    props.insert("logicalType".to_owned(), json!(word));
}

/// A default as Avro writes it: bytes as the characters of Latin-1.
fn default_json(schema: &Schema, value: &Value) -> Result<Json, String> {
    let latin1 = |bytes: &[u8]| json!(bytes.iter().map(|byte| char::from(*byte)).collect::<String>());
    Ok(match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => json!(value),
        Value::Int8(value) => json!(value),
        Value::Int16(value) => json!(value),
        Value::Int32(value) | Value::Date(value) | Value::Time(value) => json!(value),
        Value::Int64(value) | Value::Timestamp(value) => json!(value),
        Value::Float32(value) if value.is_finite() => json!(value),
        Value::Float64(value) if value.is_finite() => json!(value),
        Value::Float32(value) => json!(java_float(f64::from(*value))),
        Value::Float64(value) => json!(java_float(*value)),
        Value::String(text) => json!(text),
        Value::Bytes(bytes) => latin1(bytes),
        Value::Decimal(decimal) => latin1(&decimal.unscaled),
        Value::Number(text) => serde_json::from_str(text).map_err(|error| error.to_string())?,
        Value::Array(items) => {
            let Kind::Array(of) = &schema.kind else { return Err("an array where the schema has none".to_owned()) };
            Json::Array(items.iter().map(|item| default_json(of, item)).collect::<Result<_, _>>()?)
        }
        Value::Map(members) => {
            let Kind::Map(_, of) = &schema.kind else { return Err("a map where the schema has none".to_owned()) };
            let member = |(name, value): (&str, &Value)| Ok((name.to_owned(), default_json(of, value)?));
            Json::Object(members.iter().map(member).collect::<Result<_, String>>()?)
        }
        Value::Pairs(pairs) => {
            let Kind::Map(keys, values) = &schema.kind else {
                return Err("a map where the schema has none".to_owned());
            };
            let pair = |(key, value): &(Value, Value)| {
                Ok(json!({"key": default_json(keys, key)?, "value": default_json(values, value)?}))
            };
            Json::Array(pairs.iter().map(pair).collect::<Result<_, String>>()?)
        }
        Value::Struct(members) => {
            let member = |field: &Field| {
                let value = members.get(&field.name).unwrap_or(&Value::Null);
                Ok((field.name.clone(), default_json(&field.schema, value)?))
            };
            Json::Object(schema.fields().iter().map(member).collect::<Result<_, String>>()?)
        }
    })
}

fn java_float(value: f64) -> &'static str {
    match value {
        value if value.is_nan() => "NaN",
        value if value > 0.0 => "Infinity",
        _ => "-Infinity",
    }
}
