//! From a Connect schema to the text of the `.proto` file that is registered.

use std::collections::BTreeSet;
use std::fmt::Write;

use tidegate_record::Schema;
use tidegate_record::schema::{Kind, Logical};

use super::{DEFAULT_NAME, ENUM, Options, PRECISION, TAG, UNION, scrubbed};

/// The text, and the full name of its message.
pub fn schema_text(schema: Option<&Schema>, options: &Options) -> Result<(String, Option<String>), String> {
    let schema = schema.ok_or("a value without schema cannot be written as Protobuf")?;
    if !matches!(schema.kind, Kind::Struct(_)) {
        return Err(format!(
            "Unsupported root schema of type {}\nhint: wrap the value into a struct, with the transform HoistField",
            schema.kind.connect_name()
        ));
    }
    let mut writer = Writer { options, imports: BTreeSet::new(), unnamed: 0 };
    let full = writer.name_of(schema);
    let (package, name) = match full.rsplit_once('.') {
        Some((package, name)) => (Some(package), name),
        None => (None, full.as_str()),
    };
    let name = scrubbed(name, options);
    let mut body = String::new();
    writer.message(&name, schema, 0, &mut body)?;
    let mut text = String::from("syntax = \"proto3\";\n");
    if let Some(package) = package {
        let _ = writeln!(text, "package {package};");
    }
    text.push('\n');
    for import in &writer.imports {
        let _ = writeln!(text, "import \"{import}\";");
    }
    if !writer.imports.is_empty() {
        text.push('\n');
    }
    text.push_str(&body);
    let full = package.map_or_else(|| name.clone(), |package| format!("{package}.{name}"));
    Ok((text, Some(full)))
}

struct Writer<'o> {
    options: &'o Options,
    imports: BTreeSet<&'static str>,
    /// Messages without a name so far.
    unnamed: u32,
}

/// What is written of one message before it can be put together.
#[derive(Default)]
struct Parts {
    fields: String,
    /// Types that are defined inside.
    types: String,
    /// Their names, with what they stand for.
    names: Vec<(String, Schema)>,
    next: u32,
    taken: BTreeSet<u32>,
}

impl Parts {
    /// The number of a field: the one that its schema says, or the next.
    fn number(&mut self, schema: &Schema) -> Result<u32, String> {
        let said =
            schema.parameter(TAG).map(|text| text.parse().map_err(|_| format!("field number {text}"))).transpose()?;
        let number = said.unwrap_or_else(|| {
            self.next += 1;
            while self.taken.contains(&self.next) {
                self.next += 1;
            }
            self.next
        });
        match self.taken.insert(number) {
            true => Ok(number),
            false => Err(format!("two fields have the number {number}")),
        }
    }
}

impl Writer<'_> {
    fn name_of(&mut self, schema: &Schema) -> String {
        match &schema.name {
            Some(name) => name.clone(),
            None => {
                self.unnamed += 1;
                format!("{DEFAULT_NAME}{}", self.unnamed)
            }
        }
    }

    fn message(&mut self, name: &str, schema: &Schema, level: usize, out: &mut String) -> Result<(), String> {
        let mut parts = Parts::default();
        // Numbers that schemas say are nobody else's.
        for field in schema.fields() {
            let inner = if is_union(&field.schema) { field.schema.fields() } else { std::slice::from_ref(field) };
            for own in inner.iter().filter_map(|field| field.schema.parameter(TAG)) {
                parts.taken.extend(own.parse::<u32>());
            }
        }
        let reserved = std::mem::take(&mut parts.taken);
        parts.next = 0;
        let pad = "  ".repeat(level);
        for field in schema.fields() {
            let at = |error| format!("field \"{}\": {error}", field.name);
            if is_union(&field.schema) {
                let whole = field.schema.name.as_deref().unwrap_or_default();
                let own = scrubbed(whole.rsplit('.').next().unwrap_or(whole), self.options);
                let _ = writeln!(parts.fields, "{pad}  oneof {own} {{");
                for choice in field.schema.fields() {
                    let number = numbered(&mut parts, &choice.schema, &reserved).map_err(at)?;
                    let name = scrubbed(&choice.name, self.options);
                    let (of, meta) = self.of_type(&choice.schema, &name, level, &mut parts, false).map_err(at)?;
                    let _ = writeln!(parts.fields, "{pad}    {of} {name} = {number}{meta};");
                }
                let _ = writeln!(parts.fields, "{pad}  }}");
                continue;
            }
            let number = numbered(&mut parts, &field.schema, &reserved).map_err(at)?;
            let name = scrubbed(&field.name, self.options);
            let (label, inner) = match &field.schema.kind {
                Kind::Array(items) => ("repeated ", &**items),
                Kind::Map(..) => ("", &*field.schema),
                _ if self.options.optional_for_nullables && field.schema.optional => ("optional ", &*field.schema),
                _ => ("", &*field.schema),
            };
            let may_wrap = !matches!(field.schema.kind, Kind::Array(_));
            let (of, meta) = self.of_type(inner, &name, level, &mut parts, may_wrap).map_err(at)?;
            // A message is there or not in any case.
            let label = if of.starts_with("google.protobuf.") && label == "optional " { "" } else { label };
            let _ = writeln!(parts.fields, "{pad}  {label}{of} {name} = {number}{meta};");
        }
        let _ = writeln!(out, "{pad}message {name} {{");
        out.push_str(&parts.fields);
        out.push_str(&parts.types);
        let _ = writeln!(out, "{pad}}}");
        Ok(())
    }

    /// The type of a field, and what is said of it in brackets.
    fn of_type(
        &mut self,
        schema: &Schema,
        field: &str,
        level: usize,
        parts: &mut Parts,
        may_wrap: bool,
    ) -> Result<(String, String), String> {
        let mut import = |file: &'static str, name: &str| {
            self.imports.insert(file);
            name.to_owned()
        };
        if let Some(logical) = schema.logical().filter(|logical| logical.kind() == schema.kind) {
            let of = match logical {
                Logical::Decimal => import("confluent/type/decimal.proto", "confluent.type.Decimal"),
                Logical::Date => import("google/type/date.proto", "google.type.Date"),
                Logical::Time => import("google/type/timeofday.proto", "google.type.TimeOfDay"),
                Logical::Timestamp => import("google/protobuf/timestamp.proto", "google.protobuf.Timestamp"),
            };
            let mut parameters = Vec::new();
            if logical == Logical::Decimal {
                let said = [("precision", PRECISION), ("scale", "scale")];
                parameters.extend(said.into_iter().filter_map(|(own, name)| Some((own, schema.parameter(name)?))));
            }
            return Ok((of, self.meta(&parameters)));
        }
        let wrap = may_wrap && self.options.wrapper_for_nullables && schema.optional;
        let mut scalar = |plain: &str, wrapper: &str| {
            if !wrap {
                return plain.to_owned();
            }
            self.imports.insert("google/protobuf/wrappers.proto");
            format!("google.protobuf.{wrapper}")
        };
        let of = match &schema.kind {
            Kind::Int8 | Kind::Int16 => {
                let of = scalar("int32", "Int32Value");
                return Ok((of, self.meta(&[("connect.type", schema.kind.json_name())])));
            }
            Kind::Int32 => scalar("int32", "Int32Value"),
            Kind::Int64 => scalar("int64", "Int64Value"),
            Kind::Float32 => scalar("float", "FloatValue"),
            Kind::Float64 => scalar("double", "DoubleValue"),
            Kind::Boolean => scalar("bool", "BoolValue"),
            Kind::Bytes => scalar("bytes", "BytesValue"),
            Kind::String if schema.parameter(ENUM).is_some() => self.enumeration(schema, level, parts)?,
            Kind::String => scalar("string", "StringValue"),
            Kind::Array(_) => return Err("Array cannot be nested".to_owned()),
            Kind::Map(keys, values) => self.map(keys, values, field, level, parts)?,
            Kind::Struct(_) => {
                let name = match &schema.name {
                    Some(name) => scrubbed(name.rsplit('.').next().unwrap_or(name), self.options),
                    None => self.name_of(schema),
                };
                // A message and a field of one name are one too many.
                let name = if name == field { format!("{name}Message") } else { name };
                match self.taken(&name, schema, parts) {
                    (name, true) => name,
                    (name, false) => {
                        let mut body = String::new();
                        self.message(&name, schema, level + 1, &mut body)?;
                        parts.types.push_str(&body);
                        name
                    }
                }
            }
            Kind::Any => return Err("a part without a schema inside one that has a schema".to_owned()),
        };
        Ok((of, String::new()))
    }

    /// A name for a type of the message in hand, and whether the type is there already.
    fn taken(&self, name: &str, schema: &Schema, parts: &mut Parts) -> (String, bool) {
        let plain = Schema { optional: false, default: None, parameters: Vec::new(), ..schema.clone() };
        let mut own = name.to_owned();
        let mut number = 1;
        loop {
            match parts.names.iter().find(|(name, _)| *name == own) {
                Some((_, known)) if *known == plain => return (own, true),
                Some(_) => {
                    number += 1;
                    own = format!("{name}{number}");
                }
                None => {
                    parts.names.push((own.clone(), plain));
                    return (own, false);
                }
            }
        }
    }

    fn enumeration(&mut self, schema: &Schema, level: usize, parts: &mut Parts) -> Result<String, String> {
        let said = schema.name.as_deref().or(schema.parameter(ENUM)).unwrap_or("Enum");
        let name = scrubbed(said.rsplit('.').next().unwrap_or(said), self.options);
        let (name, is_there) = self.taken(&name, schema, parts);
        if is_there {
            return Ok(name);
        }
        let prefix = format!("{ENUM}.");
        let mut values: Vec<(i32, &str)> = Vec::new();
        for (key, number) in &schema.parameters {
            if let Some(symbol) = key.strip_prefix(&prefix) {
                values.push((number.parse().map_err(|_| format!("enum value {symbol} is {number}"))?, symbol));
            }
        }
        // The first has to be 0.
        values.sort_by_key(|(number, _)| (*number != 0, *number));
        let pad = "  ".repeat(level + 1);
        let _ = writeln!(parts.types, "{pad}enum {name} {{");
        for (number, symbol) in values {
            let _ = writeln!(parts.types, "{pad}  {symbol} = {number};");
        }
        let _ = writeln!(parts.types, "{pad}}}");
        Ok(name)
    }

    fn map(
        &mut self,
        keys: &Schema,
        values: &Schema,
        field: &str,
        level: usize,
        parts: &mut Parts,
    ) -> Result<String, String> {
        let key = match (&keys.kind, keys.logical()) {
            (Kind::String, _) => Some("string"),
            (Kind::Boolean, _) => Some("bool"),
            (Kind::Int32, None) => Some("int32"),
            (Kind::Int64, None) => Some("int64"),
            _ => None,
        };
        if matches!(values.kind, Kind::Array(_) | Kind::Map(..)) {
            return Err("a map of arrays or maps cannot be written as Protobuf".to_owned());
        }
        if let Some(key) = key {
            let (value, meta) = self.of_type(values, field, level, parts, false)?;
            if meta.is_empty() {
                return Ok(format!("map<{key}, {value}>"));
            }
        }
        // Other keys make a message of each entry, as Confluent's converter does for all.
        let camel: String = field
            .split('_')
            .flat_map(|word| word.chars().enumerate().map(|(at, c)| if at == 0 { c.to_ascii_uppercase() } else { c }))
            .collect();
        let entry = Schema::new(Kind::Struct(
            [("key", keys), ("value", values)]
                .map(|(name, schema)| tidegate_record::schema::Field {
                    name: name.to_owned(),
                    schema: schema.clone().into(),
                })
                .into(),
        ));
        let (name, is_there) = self.taken(&format!("{camel}Entry"), &entry, parts);
        if !is_there {
            let mut body = String::new();
            self.message(&name, &entry, level + 1, &mut body)?;
            parts.types.push_str(&body);
        }
        Ok(format!("repeated {name}"))
    }

    fn meta(&mut self, parameters: &[(&str, &str)]) -> String {
        if parameters.is_empty() {
            return String::new();
        }
        self.imports.insert("confluent/meta.proto");
        let entries: Vec<String> =
            parameters.iter().map(|(key, value)| format!("{{ key: \"{key}\", value: \"{value}\" }}")).collect();
        format!(" [(confluent.field_meta) = {{ params: [{}] }}]", entries.join(", "))
    }
}

fn numbered(parts: &mut Parts, schema: &Schema, reserved: &BTreeSet<u32>) -> Result<u32, String> {
    if schema.parameter(TAG).is_none() {
        while reserved.contains(&(parts.next + 1)) {
            parts.next += 1;
        }
    }
    parts.number(schema)
}

pub(super) fn is_union(schema: &Schema) -> bool {
    matches!(schema.kind, Kind::Struct(_)) && schema.name.as_deref().is_some_and(|name| name.starts_with(UNION))
}
