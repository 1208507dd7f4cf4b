//! From a JSON schema to Connect's schema.

use std::sync::Arc;

use serde_json::{Map, Value as Json};
use tidegate_record::Schema;
use tidegate_record::schema::{Field, Kind};
use tidegate_record::value::Value;

use super::{ENUM, ONE_OF, Options, values};
use crate::{LEVELS_MAX, PARTS_MAX};

/// What a JSON schema comes to; none: it takes anything.
pub(super) fn compile(
    text: &str,
    references: &[(String, String)],
    version: Option<i32>,
    options: &Options,
) -> Result<Option<Schema>, String> {
    let mut documents = vec![Document { name: "", json: parse(text)? }];
    for (name, text) in references {
        documents.push(Document { name, json: parse(text).map_err(|error| format!("reference \"{name}\": {error}"))? });
    }
    let mut compiler = Compiler { documents: &documents, options, open: Vec::new(), level: 0, parts: 0 };
    let takes_anything = match &documents[0].json {
        Json::Bool(anything) => *anything,
        Json::Object(members) => members.keys().all(|name| name.starts_with('$') || name == "title"),
        _ => false,
    };
    if takes_anything && documents[0].json.get("$ref").is_none() {
        return Ok(None);
    }
    let mut schema = compiler.part(Place { document: 0, json: &documents[0].json })?;
    if schema.version.is_none() {
        schema.version = version;
    }
    Ok(Some(schema))
}

fn parse(text: &str) -> Result<Json, String> {
    serde_json::from_str(text).map_err(|error| format!("not a JSON schema: {error}"))
}

struct Document<'d> {
    name: &'d str,
    json: Json,
}

/// A schema and the document that its references are relative to.
#[derive(Clone, Copy)]
struct Place<'d> {
    document: usize,
    json: &'d Json,
}

struct Compiler<'d> {
    documents: &'d [Document<'d>],
    options: &'d Options,
    /// The schemas that were referred to and that the one in hand is inside of.
    open: Vec<*const Json>,
    level: usize,
    parts: usize,
}

type Members = Map<String, Json>;

impl<'d> Compiler<'d> {
    fn part(&mut self, place: Place<'d>) -> Result<Schema, String> {
        self.parts += 1;
        if self.parts > PARTS_MAX {
            return Err(format!("written out, the schema has more than {PARTS_MAX} parts"));
        }
        if self.level >= LEVELS_MAX {
            return Err(format!("the schema is nested more than {LEVELS_MAX} levels deep"));
        }
        self.level += 1;
        let made = self.made(place);
        self.level -= 1;
        made
    }

    fn made(&mut self, place: Place<'d>) -> Result<Schema, String> {
        let Json::Object(members) = place.json else {
            return Err("a schema that takes anything, or nothing, is no Connect schema".to_owned());
        };
        if let Some(Json::String(reference)) = members.get("$ref") {
            let target = self.find(reference, place.document)?;
            let address: *const Json = target.json;
            if self.open.contains(&address) || (self.open.is_empty() && std::ptr::eq(address, &self.documents[0].json))
            {
                return Err(format!("\"{reference}\" contains itself, which Connect's schemas cannot say"));
            }
            self.open.push(address);
            let made = self.part(target);
            self.open.pop();
            return made;
        }
        for word in ["oneOf", "anyOf"] {
            if let Some(Json::Array(types)) = members.get(word) {
                return self.one_of(types, place.document, members);
            }
        }
        if let Some(Json::Array(types)) = members.get("allOf") {
            return self.all_of(types, place.document, members);
        }
        let mut schema = self.plain(members, place)?;
        attributes(members, &mut schema)?;
        if let Some(default) = members.get("default") {
            let value = Value::from_json(&default.to_string()).map_err(|error| error.to_string())?;
            let value = values::typed(&value, &schema, &self.options.of_values());
            let value = value.map_err(|error| format!("default {default}: {error}"))?;
            schema.default = Some(value).filter(|value| *value != Value::Null);
        }
        Ok(schema)
    }

    fn plain(&mut self, members: &'d Members, place: Place<'d>) -> Result<Schema, String> {
        let of_connect = members.get("connect.type").and_then(Json::as_str);
        let words: Vec<&str> = match members.get("type") {
            Some(Json::String(word)) => vec![word],
            Some(Json::Array(words)) => words.iter().filter_map(Json::as_str).collect(),
            _ => Vec::new(),
        };
        match words.as_slice() {
            [] | [_] => {}
            [one, "null"] | ["null", one] => {
                return Ok(self.of_word(Some(one), of_connect, members, place)?.optional());
            }
            words => {
                // Several types: one of them.
                let mut schema = Schema::new(Kind::Struct(Vec::new())).named(ONE_OF);
                let mut fields = Vec::new();
                for word in words {
                    match *word {
                        "null" => schema.optional = true,
                        word => {
                            let own = self.of_word(Some(word), of_connect, members, place)?.optional();
                            fields.push(Field {
                                name: format!("{ONE_OF}.field.{}", fields.len()),
                                schema: Arc::new(own),
                            });
                        }
                    }
                }
                schema.kind = Kind::Struct(fields);
                return Ok(schema);
            }
        }
        self.of_word(words.first().copied(), of_connect, members, place)
    }

    fn of_word(
        &mut self,
        word: Option<&str>,
        of_connect: Option<&str>,
        members: &'d Members,
        place: Place<'d>,
    ) -> Result<Schema, String> {
        if let Some(Json::Array(symbols)) = members.get("enum")
            && matches!(word, None | Some("string"))
        {
            let mut schema = Schema::new(Kind::String);
            schema.parameters.push((ENUM.to_owned(), String::new()));
            for symbol in symbols {
                let text = symbol.as_str().map_or_else(|| symbol.to_string(), str::to_owned);
                schema.parameters.push((format!("{ENUM}.{text}"), text));
            }
            return Ok(schema);
        }
        let word = word.or(match members.get("const") {
            Some(Json::String(_)) => Some("string"),
            Some(Json::Number(_)) => Some("number"),
            Some(Json::Bool(_)) => Some("boolean"),
            _ if members.contains_key("properties") => Some("object"),
            _ if members.contains_key("items") => Some("array"),
            _ => None,
        });
        Ok(Schema::new(match (word, of_connect) {
            (Some("boolean"), _) => Kind::Boolean,
            (Some("string"), Some("bytes")) => Kind::Bytes,
            (Some("string"), _) => Kind::String,
            (Some("integer"), None) => Kind::Int64,
            (Some("number"), None) => Kind::Float64,
            (Some("integer" | "number"), Some(own)) => match own {
                "int8" => Kind::Int8,
                "int16" => Kind::Int16,
                "int32" => Kind::Int32,
                "int64" => Kind::Int64,
                "float32" => Kind::Float32,
                "float64" => Kind::Float64,
                "bytes" => Kind::Bytes,
                other => return Err(format!("Unsupported type {other}")),
            },
            (Some("array"), of_connect) => {
                let items = match members.get("items") {
                    Some(Json::Array(items)) if items.len() == 1 => &items[0],
                    Some(items @ Json::Object(_)) => items,
                    _ => return Err("Array schema did not specify the items type".to_owned()),
                };
                let items = Place { json: items, ..place };
                match (of_connect, items.json.get("properties")) {
                    (Some("map"), Some(entry)) => {
                        let mut part = |name: &str| {
                            let json =
                                entry.get(name).ok_or_else(|| format!("an entry of a map without \"{name}\""))?;
                            self.part(Place { json, ..place }).map(Arc::new)
                        };
                        Kind::Map(part("key")?, part("value")?)
                    }
                    _ => Kind::Array(Arc::new(self.part(items)?)),
                }
            }
            (Some("object"), Some("map")) => {
                let values = members.get("additionalProperties").ok_or("a map without \"additionalProperties\"")?;
                let values = self.part(Place { json: values, ..place })?;
                Kind::Map(Arc::new(Schema::new(Kind::String)), Arc::new(values))
            }
            (Some("object"), _) => Kind::Struct(self.fields(members, place)?),
            (Some("null"), _) => return Err("a schema of nothing but null is no Connect schema".to_owned()),
            (Some(other), _) => return Err(format!("Unsupported schema type {other}")),
            (None, _) => return Err("a schema without \"type\" is no Connect schema".to_owned()),
        }))
    }

    fn fields(&mut self, members: &'d Members, place: Place<'d>) -> Result<Vec<Field>, String> {
        let Some(Json::Object(properties)) = members.get("properties") else { return Ok(Vec::new()) };
        let needed: Vec<&str> = match members.get("required") {
            Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).collect(),
            _ => Vec::new(),
        };
        let mut fields = Vec::with_capacity(properties.len());
        for (at, (name, json)) in properties.iter().enumerate() {
            let mut schema =
                self.part(Place { json, ..place }).map_err(|error| format!("field \"{name}\": {error}"))?;
            if self.options.optional_for_nonrequired && !needed.contains(&name.as_str()) {
                schema.optional = true;
            }
            let index = json.get("connect.index").and_then(Json::as_u64).map_or(at, |index| index as usize);
            fields.push((index, Field { name: name.clone(), schema: Arc::new(schema) }));
        }
        // Those that say their place are there; the others stay where they are.
        fields.sort_by_key(|(index, _)| *index);
        Ok(fields.into_iter().map(|(_, field)| field).collect())
    }

    fn one_of(&mut self, types: &'d [Json], document: usize, members: &Members) -> Result<Schema, String> {
        let is_null = |json: &Json| json.get("type").and_then(Json::as_str) == Some("null");
        match types {
            [null, one] | [one, null] if is_null(null) && !is_null(one) => {
                return Ok(self.part(Place { document, json: one })?.optional());
            }
            _ => {}
        }
        let mut schema = Schema::new(Kind::Struct(Vec::new())).named(ONE_OF);
        let mut fields = Vec::new();
        for json in types {
            if is_null(json) {
                schema.optional = true;
                continue;
            }
            let own = self.part(Place { document, json })?.optional();
            fields.push(Field { name: format!("{ONE_OF}.field.{}", fields.len()), schema: Arc::new(own) });
        }
        schema.kind = Kind::Struct(fields);
        // The name says what the struct is; a title would take its place.
        attributes(members, &mut schema)?;
        schema.name = Some(ONE_OF.to_owned());
        Ok(schema)
    }

    /// The one part that says a type, or the fields of all objects together.
    fn all_of(&mut self, types: &'d [Json], document: usize, members: &'d Members) -> Result<Schema, String> {
        let mut schema: Option<Schema> = None;
        let own = members.contains_key("properties").then_some(());
        if own.is_some() {
            let fields = self.fields(members, Place { document, json: &types[0] })?;
            schema = Some(Schema::new(Kind::Struct(fields)));
        }
        for json in types {
            let says_type = ["type", "properties", "$ref", "enum", "items", "oneOf", "anyOf", "allOf"];
            if !says_type.iter().any(|word| json.get(word).is_some()) {
                continue;
            }
            let part = self.part(Place { document, json })?;
            schema = Some(match schema {
                None => part,
                Some(mut all) => match (&mut all.kind, part.kind) {
                    (Kind::Struct(fields), Kind::Struct(more)) => {
                        for field in more {
                            if !fields.iter().any(|own| own.name == field.name) {
                                fields.push(field);
                            }
                        }
                        all
                    }
                    // A string enum: the symbols are in one part, the type is in the other.
                    (Kind::String, Kind::String) => {
                        if all.parameters.is_empty() {
                            all.parameters = part.parameters;
                        }
                        all
                    }
                    (one, other) if *one == other => all,
                    _ => return Err("Unsupported criterion allOf of several types".to_owned()),
                },
            });
        }
        let mut schema = schema.ok_or("allOf without a type")?;
        attributes(members, &mut schema)?;
        Ok(schema)
    }

    /// What a reference refers to: a place in this document, in one that the registry knows by name, or in one by its `$id`.
    fn find(&self, reference: &str, document: usize) -> Result<Place<'d>, String> {
        let lost = || format!("the reference \"{reference}\" leads nowhere");
        let (name, pointer) = reference.split_once('#').unwrap_or((reference, ""));
        let document = match name {
            "" => document,
            name => {
                let is_it = |document: &Document<'_>| {
                    document.name == name
                        || document
                            .json
                            .get("$id")
                            .and_then(Json::as_str)
                            .is_some_and(|id| id.trim_end_matches('#') == name)
                };
                self.documents.iter().position(is_it).ok_or_else(lost)?
            }
        };
        let whole = &self.documents[document].json;
        let json = if pointer.is_empty() { Some(whole) } else { whole.pointer(pointer) };
        Ok(Place { document, json: json.ok_or_else(lost)? })
    }
}

/// Name, version, documentation and parameters.
fn attributes(members: &Members, schema: &mut Schema) -> Result<(), String> {
    let text = |name: &str| members.get(name).and_then(Json::as_str).map(str::to_owned);
    if let Some(title) = text("title") {
        schema.name = Some(title);
    }
    if let Some(version) = members.get("connect.version").and_then(Json::as_i64) {
        schema.version = Some(version as i32);
    }
    if let Some(doc) = text("description") {
        schema.doc = Some(doc);
    }
    match members.get("connect.parameters") {
        None => Ok(()),
        Some(Json::Object(parameters)) => {
            for (name, value) in parameters {
                let value = value.as_str().ok_or("Expected schema parameter values to be strings")?;
                schema.parameters.retain(|(own, _)| own != name);
                schema.parameters.push((name.clone(), value.to_owned()));
            }
            Ok(())
        }
        Some(_) => Err("Expected JSON object for schema parameters".to_owned()),
    }
}
