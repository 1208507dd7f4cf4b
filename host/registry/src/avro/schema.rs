//! Avro schemas as their JSON says, with every attribute: Connect keeps its own there.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value as Json};

use crate::PARTS_MAX;

/// The attributes of a schema as they stand in its JSON.
pub(super) type Props = Map<String, Json>;

/// A type in [`Types`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TypeId(usize);

/// All types of a schema. Named ones may refer to each other in circles.
#[derive(Debug, Default)]
pub(super) struct Types {
    all: Vec<Type>,
    named: HashMap<String, TypeId>,
}

#[derive(Debug)]
pub(super) struct Type {
    pub(super) shape: Shape,
    pub(super) props: Props,
}

#[derive(Debug)]
pub(super) enum Shape {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Array(TypeId),
    Map(TypeId),
    Record {
        name: String,
        fields: Vec<Field>,
    },
    Enum {
        name: String,
        symbols: Vec<String>,
    },
    Fixed {
        name: String,
        size: usize,
    },
    Union(Vec<TypeId>),
    /// A record whose fields are being read.
    Open,
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) of: TypeId,
    pub(super) doc: Option<String>,
    pub(super) default: Option<Json>,
}

impl Type {
    pub(super) fn prop(&self, name: &str) -> Option<&str> {
        self.props.get(name)?.as_str()
    }

    /// The full name of a record, enum or fixed.
    pub(super) fn name(&self) -> Option<&str> {
        match &self.shape {
            Shape::Record { name, .. } | Shape::Enum { name, .. } | Shape::Fixed { name, .. } => Some(name),
            _ => None,
        }
    }

    /// Avro's word for the type.
    pub(super) fn word(&self) -> &'static str {
        match self.shape {
            Shape::Null => "null",
            Shape::Boolean => "boolean",
            Shape::Int => "int",
            Shape::Long => "long",
            Shape::Float => "float",
            Shape::Double => "double",
            Shape::Bytes => "bytes",
            Shape::String => "string",
            Shape::Array(_) => "array",
            Shape::Map(_) => "map",
            Shape::Record { .. } | Shape::Open => "record",
            Shape::Enum { .. } => "enum",
            Shape::Fixed { .. } => "fixed",
            Shape::Union(_) => "union",
        }
    }
}

impl Types {
    /// Reads a schema after the schemas that it refers to, each after its own.
    pub(super) fn parse(text: &str, references: &[&str]) -> Result<(Types, TypeId), String> {
        let mut types = Types::default();
        for reference in references {
            types.add_text(reference).map_err(|error| format!("a referenced schema: {error}"))?;
        }
        let root = types.add_text(text)?;
        Ok((types, root))
    }

    pub(super) fn get(&self, id: TypeId) -> &Type {
        &self.all[id.0]
    }

    pub(super) fn is_null(&self, id: TypeId) -> bool {
        matches!(self.get(id).shape, Shape::Null)
    }

    fn add_text(&mut self, text: &str) -> Result<TypeId, String> {
        // Some registries give primitive schemas without their quotation marks.
        let json: Json = match serde_json::from_str(text) {
            Ok(json) => json,
            Err(_) if text.bytes().all(|byte| byte.is_ascii_alphabetic()) => Json::String(text.to_owned()),
            Err(error) => return Err(format!("not the JSON of an Avro schema: {error}")),
        };
        self.add(&json, "")
    }

    fn push(&mut self, shape: Shape, props: Props) -> Result<TypeId, String> {
        if self.all.len() >= PARTS_MAX {
            return Err(format!("more than {PARTS_MAX} types"));
        }
        self.all.push(Type { shape, props });
        Ok(TypeId(self.all.len() - 1))
    }

    fn add(&mut self, json: &Json, namespace: &str) -> Result<TypeId, String> {
        match json {
            Json::String(name) => match primitive(name) {
                Some(shape) => self.push(shape, Props::new()),
                None => self.find(name, namespace).ok_or_else(|| format!("\"{name}\" is not a defined type")),
            },
            Json::Array(branches) => self.union(branches, namespace),
            Json::Object(object) => self.object(object, namespace),
            _ => Err("a schema is a name, an object or an array".to_owned()),
        }
    }

    fn find(&self, name: &str, namespace: &str) -> Option<TypeId> {
        let full = full_name(name, namespace);
        self.named.get(&full).or_else(|| self.named.get(name)).copied()
    }

    fn union(&mut self, branches: &[Json], namespace: &str) -> Result<TypeId, String> {
        let mut ids = Vec::with_capacity(branches.len());
        let mut seen = HashSet::new();
        for branch in branches {
            let id = self.add(branch, namespace)?;
            let of = self.get(id);
            if matches!(of.shape, Shape::Union(_)) {
                return Err("a union directly inside a union".to_owned());
            }
            let name = of.name().unwrap_or(of.word()).to_owned();
            if !seen.insert(name.clone()) {
                return Err(format!("a union has the type \"{name}\" twice"));
            }
            ids.push(id);
        }
        self.push(Shape::Union(ids), Props::new())
    }

    fn object(&mut self, object: &Props, namespace: &str) -> Result<TypeId, String> {
        let word = match object.get("type") {
            Some(Json::String(word)) => word.as_str(),
            // {"type": {"type": "string", …}}: the inner one is meant.
            Some(inner @ (Json::Object(_) | Json::Array(_))) => return self.add(inner, namespace),
            _ => return Err("an object without \"type\"".to_owned()),
        };
        let inner = |name: &str| object.get(name).ok_or_else(|| format!("type \"{word}\" without \"{name}\""));
        match word {
            "array" => {
                let items = self.add(inner("items")?, namespace)?;
                self.push(Shape::Array(items), object.clone())
            }
            "map" => {
                let values = self.add(inner("values")?, namespace)?;
                self.push(Shape::Map(values), object.clone())
            }
            "record" | "error" => self.record(object, namespace),
            "enum" => {
                let name = self.declared(object, namespace)?;
                let symbols = inner("symbols")?.as_array().ok_or("\"symbols\" is not an array")?;
                let symbol = |symbol: &Json| symbol.as_str().map(str::to_owned).ok_or("a symbol is not a string");
                let symbols = symbols.iter().map(symbol).collect::<Result<_, _>>()?;
                let id = self.push(Shape::Enum { name: name.clone(), symbols }, object.clone())?;
                self.named.insert(name, id);
                Ok(id)
            }
            "fixed" => {
                let name = self.declared(object, namespace)?;
                let size = inner("size")?.as_u64().and_then(|size| usize::try_from(size).ok());
                let size = size.ok_or("\"size\" is not a number of bytes")?;
                let id = self.push(Shape::Fixed { name: name.clone(), size }, object.clone())?;
                self.named.insert(name, id);
                Ok(id)
            }
            other => match primitive(other) {
                Some(shape) => self.push(shape, object.clone()),
                None => self.find(other, namespace).ok_or_else(|| format!("\"{other}\" is not a defined type")),
            },
        }
    }

    fn record(&mut self, object: &Props, namespace: &str) -> Result<TypeId, String> {
        let name = self.declared(object, namespace)?;
        let id = self.push(Shape::Open, object.clone())?;
        self.all[id.0].props.shift_remove("fields");
        self.named.insert(name.clone(), id);
        let inside = name.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_owned();
        let list = object.get("fields").and_then(Json::as_array).ok_or("a record without \"fields\"")?;
        let (mut fields, mut seen) = (Vec::with_capacity(list.len()), HashSet::with_capacity(list.len()));
        for field in list {
            let own = field.get("name").and_then(Json::as_str).ok_or("a field without name")?;
            if !seen.insert(own) {
                return Err(format!("record \"{name}\" has the field \"{own}\" twice"));
            }
            let of = field.get("type").ok_or_else(|| format!("field \"{own}\" has no type"))?;
            let of = self.add(of, &inside).map_err(|error| format!("field \"{own}\": {error}"))?;
            let doc = field.get("doc").and_then(Json::as_str).map(str::to_owned);
            fields.push(Field { name: own.to_owned(), of, doc, default: field.get("default").cloned() });
        }
        self.all[id.0].shape = Shape::Record { name, fields };
        Ok(id)
    }

    /// The full name that a named type declares, if nothing else has it.
    fn declared(&self, object: &Props, namespace: &str) -> Result<String, String> {
        let name = object.get("name").and_then(Json::as_str).ok_or("a named type without \"name\"")?;
        let namespace = object.get("namespace").and_then(Json::as_str).unwrap_or(namespace);
        let full = full_name(name, namespace);
        if self.named.contains_key(&full) {
            return Err(format!("\"{full}\" is defined twice"));
        }
        Ok(full)
    }
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

fn primitive(word: &str) -> Option<Shape> {
    Some(match word {
        "null" => Shape::Null,
        "boolean" => Shape::Boolean,
        "int" => Shape::Int,
        "long" => Shape::Long,
        "float" => Shape::Float,
        "double" => Shape::Double,
        "bytes" => Shape::Bytes,
        "string" => Shape::String,
        _ => return None,
    })
}
