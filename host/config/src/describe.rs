//! The JSON text that a plugin answers when it is asked to describe itself.
//!
//! The host calls `describe` once, when a plugin is uploaded or loaded. The text comes from a stranger: it is bounded,
//! read strictly, and refused with every problem found, each naming its place.
//!
//! # Format
//!
//! ```json
//! {
//!   "name": "hello",
//!   "version": "1.0.0",
//!   "author": "Example Ltd",
//!   "license": "Apache-2.0",
//!   "description": "Greets.",
//!   "definitions": [
//!     {
//!       "kind": "source",
//!       "name": "HelloSource",
//!       "aliases": ["com.example.HelloSourceConnector"],
//!       "doc": "Emits a greeting now and then.",
//!       "encoding": "tlv",
//!       "capabilities": {"exactly-once": true},
//!       "config": [
//!         {"name": "topic", "type": "string", "required": true, "importance": "high", "doc": "Topic to write to."},
//!         {"name": "interval.ms", "type": "int", "default": 1000, "min": 1, "doc": "Pause between greetings."},
//!         {"name": "style", "type": "string", "default": "warm", "valid-values": ["warm", "cool"]},
//!         {"name": "names", "type": "path-read", "doc": "File with names to greet."}
//!       ]
//!     }
//!   ]
//! }
//! ```
//!
//! | Place | Field | | Meaning |
//! |---|---|---|---|
//! | plugin | `name` | required | name of the plugin: letters, digits, `.`, `_`, `-`, `$` |
//! | | `version` | required | its version, free text without blanks |
//! | | `author`, `license`, `description` | | text for people |
//! | | `definitions` | required | at least one |
//! | definition | `kind` | required | `source`, `sink`, `transform`, `predicate`, `converter` or `header-converter` |
//! | | `name` | required | a name as above; unique together with `kind` |
//! | | `aliases` | | other names, such as Java class names; each a name as above |
//! | | `doc` | | text for people |
//! | | `config` | | keys; none when absent |
//! | | `encoding` | | `tlv` (when absent), `json`, `text` or `raw`: how whole values cross (`wit/BATCH.md`) |
//! | | `capabilities` | | flags, false when absent: `exactly-once`, `transaction-boundaries`, `concurrent-puts`, `ends` |
//! | key | `name` | required | a name as above; unique in its definition |
//! | | `type` | | `string` (when absent), `boolean`, `int`, `short`, `long`, `double`, `list`, `class`, `password`, `path-read`, `path-write`, `url`, `host-port`, `listen-address`, `secret` |
//! | | `required` | | true: the key must be set, and there is no `default` |
//! | | `default` | | text, number, boolean or list of text; null or absent: no value |
//! | | `importance` | | `high`, `medium` (when absent) or `low` |
//! | | `doc` | | text for people |
//! | | `group`, `order`, `width`, `display-name` | | where a form shows the key; `width` is `none` (when absent), `short`, `medium` or `long` |
//! | | `dependents` | | names of keys whose meaning depends on this one |
//! | | `valid-values` | | the values allowed; `valid-values-ignore-case`: true when case does not matter |
//! | | `min`, `max` | | bounds of a number, both included, whole |
//! | | `non-empty` | | true: empty text or an empty list is refused |
//! | | `recommended-values` | | values that a form offers |
//! | | `internal` | | true: hidden from documents |
//! | | `database` | | of a path, true: it names an SQLite database; its journal (`-journal`) and its locks are granted with it |
//!
//! The words of `kind`, `type`, `importance`, `width` and `encoding` are read in any case and with `_` for `-`, so
//! Connect's own spellings (`STRING`, `HIGH`, `header_converter`) are understood; [`write()`] gives those of the table. A
//! field that is not in the table is ignored: a newer plugin may say more than an older host understands. A field that
//! is null is absent. Within [`limits`], any text gives a plugin or problems, never a panic.

use crate::definition::{Capabilities, Definition, Encoding, Kind, Plugin};
use crate::key::{DefaultValue, Importance, Key, Rule, Type, Width};
use crate::nearest::nearest;
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::fmt;

/// What a description may hold at most.
pub mod limits {
    /// The whole text.
    pub const TEXT_BYTES_MAX: usize = 1 << 20;
    pub const DEFINITIONS_MAX: usize = 256;
    /// In one definition.
    pub const KEYS_MAX: usize = 512;
    /// Aliases, valid values, dependents: any list of words.
    pub const WORDS_MAX: usize = 256;
    /// Names, versions, values and other short text.
    pub const NAME_BYTES_MAX: usize = 255;
    /// Text for people, and defaults.
    pub const DOC_BYTES_MAX: usize = 16 << 10;
    /// Problems that are reported; what is wrong beyond them is found when these are mended.
    pub const PROBLEMS_MAX: usize = 50;
}

/// One thing wrong with a description, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribeProblem {
    /// Such as `definitions[2].config[0].type`; empty for the text as a whole.
    pub place: String,
    pub message: String,
}

impl fmt::Display for DescribeProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.as_str() {
            "" => f.write_str(&self.message),
            place => write!(f, "{place}: {}", self.message),
        }
    }
}

/// Why a description is refused: every problem found, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribeError {
    pub problems: Vec<DescribeProblem>,
}

impl fmt::Display for DescribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the plugin's description of itself is not usable")?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for DescribeError {}

/// Reads what a plugin says about itself.
pub fn read(text: &str) -> Result<Plugin, DescribeError> {
    let mut reader = Reader::default();
    let plugin = reader.text(text);
    match plugin {
        Some(plugin) if reader.problems.is_empty() => Ok(plugin),
        _ => Err(DescribeError { problems: reader.problems }),
    }
}

/// Writes a description that [`read`] gives back unchanged.
pub fn write(plugin: &Plugin) -> String {
    let definitions: Vec<Value> = plugin.definitions.iter().map(definition_json).collect();
    let mut object = Map::new();
    object.insert("name".into(), json!(plugin.name));
    object.insert("version".into(), json!(plugin.version));
    for (field, text) in
        [("author", &plugin.author), ("license", &plugin.license), ("description", &plugin.description)]
    {
        if let Some(text) = text {
            object.insert(field.into(), json!(text));
        }
    }
    object.insert("definitions".into(), Value::Array(definitions));
    Value::Object(object).to_string()
}

fn definition_json(definition: &Definition) -> Value {
    let Capabilities { exactly_once, transaction_boundaries, concurrent_puts, ends } = definition.capabilities;
    json!({
        "kind": definition.kind.name(),
        "name": definition.name,
        "aliases": definition.aliases,
        "doc": definition.doc,
        "encoding": definition.encoding.name(),
        "capabilities": {
            "exactly-once": exactly_once,
            "transaction-boundaries": transaction_boundaries,
            "concurrent-puts": concurrent_puts,
            "ends": ends,
        },
        "config": definition.keys.iter().map(key_json).collect::<Vec<_>>(),
    })
}

fn key_json(key: &Key) -> Value {
    let mut object = Map::new();
    let mut put = |field: &str, value: Value| {
        object.insert(field.to_owned(), value);
    };
    put("name", json!(key.name));
    put("type", json!(key.of_type.name()));
    match &key.default {
        DefaultValue::Required => put("required", json!(true)),
        DefaultValue::Null => {}
        DefaultValue::Value(value) => put("default", json!(value)),
    }
    put("importance", json!(key.importance.connect_name().to_lowercase()));
    put("doc", json!(key.doc));
    if let Some(group) = &key.group {
        put("group", json!(group));
    }
    put("order", json!(key.order));
    put("width", json!(key.width.connect_name().to_lowercase()));
    put("display-name", json!(key.display_name));
    put("dependents", json!(key.dependents));
    for rule in &key.rules {
        match rule {
            Rule::OneOf(values) => put("valid-values", json!(values)),
            Rule::OneOfIgnoringCase(values) => {
                put("valid-values", json!(values));
                put("valid-values-ignore-case", json!(true));
            }
            Rule::Range { min, max } => {
                put("min", json!(min));
                put("max", json!(max));
            }
            Rule::NonEmpty => put("non-empty", json!(true)),
            // Rules of the host's own keys, which no plugin describes.
            Rule::Name | Rule::DistinctAliases => {}
        }
    }
    put("recommended-values", json!(key.recommended));
    if key.internal {
        put("internal", json!(true));
    }
    if key.database {
        put("database", json!(true));
    }
    Value::Object(object)
}

/// Walks the JSON tree, collecting problems; what it answers is used only if there are none.
#[derive(Default)]
struct Reader {
    problems: Vec<DescribeProblem>,
}

/// An object in the tree and where it is.
struct Object<'j> {
    place: String,
    fields: &'j Map<String, Value>,
}

impl<'j> Object<'j> {
    fn place_of(&self, field: &str) -> String {
        if self.place.is_empty() { field.to_owned() } else { format!("{}.{field}", self.place) }
    }

    /// The field, unless it is absent or null.
    fn get(&self, field: &str) -> Option<&'j Value> {
        self.fields.get(field).filter(|value| !value.is_null())
    }
}

impl Reader {
    fn problem(&mut self, place: impl Into<String>, message: impl Into<String>) {
        if self.problems.len() < limits::PROBLEMS_MAX {
            self.problems.push(DescribeProblem { place: place.into(), message: message.into() });
        }
    }

    fn text(&mut self, text: &str) -> Option<Plugin> {
        if text.len() > limits::TEXT_BYTES_MAX {
            let message = format!("{} bytes, at most {} are read", text.len(), limits::TEXT_BYTES_MAX);
            self.problem("", message);
            return None;
        }
        let tree: Value = match serde_json::from_str(text) {
            Ok(tree) => tree,
            Err(error) => {
                self.problem("", format!("not JSON: {error}"));
                return None;
            }
        };
        let object = self.object(String::new(), &tree)?;
        let plugin = Plugin {
            name: self.name(&object, "name").unwrap_or_default(),
            version: self.version(&object),
            author: self.optional_text(&object, "author", limits::DOC_BYTES_MAX),
            license: self.optional_text(&object, "license", limits::DOC_BYTES_MAX),
            description: self.optional_text(&object, "description", limits::DOC_BYTES_MAX),
            definitions: self.definitions(&object),
        };
        Some(plugin)
    }

    fn definitions(&mut self, plugin: &Object<'_>) -> Vec<Definition> {
        let items = self.array(plugin, "definitions", limits::DEFINITIONS_MAX);
        if items.is_empty() && !self.problems.iter().any(|problem| problem.place == "definitions") {
            self.problem("definitions", "missing or empty, a plugin defines at least one thing");
        }
        let mut definitions = Vec::with_capacity(items.len());
        let mut seen = HashSet::new();
        for (index, item) in items.iter().enumerate() {
            let place = format!("definitions[{index}]");
            let Some(definition) = self.definition(place.clone(), item) else { continue };
            if !seen.insert((definition.kind, definition.name.clone())) {
                let message = format!("the {} \"{}\" is defined twice", definition.kind.name(), definition.name);
                self.problem(place, message);
            }
            definitions.push(definition);
        }
        definitions
    }

    fn definition(&mut self, place: String, tree: &Value) -> Option<Definition> {
        let object = self.object(place, tree)?;
        let kind = match self.word(&object, "kind", &Kind::ALL, Kind::name) {
            Some(kind) => kind,
            None => {
                if object.get("kind").is_none() {
                    self.problem(object.place_of("kind"), "missing");
                }
                // Goes on, to find the other problems; the answer is not used.
                Kind::Source
            }
        };
        let mut aliases = self.words(&object, "aliases", limits::NAME_BYTES_MAX);
        for (index, alias) in aliases.iter().enumerate() {
            if let Err(message) = name_grammar(alias) {
                self.problem(format!("{}[{index}]", object.place_of("aliases")), message);
            }
        }
        let mut seen = HashSet::new();
        aliases.retain(|alias| seen.insert(alias.clone()));
        Some(Definition {
            kind,
            name: self.name(&object, "name").unwrap_or_default(),
            aliases,
            doc: self.optional_text(&object, "doc", limits::DOC_BYTES_MAX).unwrap_or_default(),
            keys: self.keys(&object),
            encoding: self.word(&object, "encoding", &Encoding::ALL, Encoding::name).unwrap_or_default(),
            capabilities: self.capabilities(&object),
        })
    }

    fn capabilities(&mut self, definition: &Object<'_>) -> Capabilities {
        let Some(tree) = definition.get("capabilities") else { return Capabilities::default() };
        let Some(object) = self.object(definition.place_of("capabilities"), tree) else {
            return Capabilities::default();
        };
        Capabilities {
            exactly_once: self.flag(&object, "exactly-once"),
            transaction_boundaries: self.flag(&object, "transaction-boundaries"),
            concurrent_puts: self.flag(&object, "concurrent-puts"),
            ends: self.flag(&object, "ends"),
        }
    }

    fn keys(&mut self, definition: &Object<'_>) -> Vec<Key> {
        let items = self.array(definition, "config", limits::KEYS_MAX);
        let mut keys = Vec::with_capacity(items.len());
        let mut seen = HashSet::new();
        for (index, item) in items.iter().enumerate() {
            let place = format!("{}[{index}]", definition.place_of("config"));
            let Some(key) = self.key(place.clone(), item) else { continue };
            if !seen.insert(key.name.clone()) {
                self.problem(place, format!("the key \"{}\" is declared twice", key.name));
            }
            keys.push(key);
        }
        keys
    }

    fn key(&mut self, place: String, tree: &Value) -> Option<Key> {
        let object = self.object(place, tree)?;
        let name = self.name(&object, "name").unwrap_or_default();
        let of_type = self.word(&object, "type", &Type::ALL, Type::name).unwrap_or(Type::String);
        let mut key = Key::new(name, of_type);
        key.default = self.default_value(&object);
        key.importance =
            self.word(&object, "importance", &Importance::ALL, Importance::connect_name).unwrap_or(Importance::Medium);
        key.doc = self.optional_text(&object, "doc", limits::DOC_BYTES_MAX).unwrap_or_default();
        key.group = self.optional_text(&object, "group", limits::NAME_BYTES_MAX);
        key.order = self.whole(&object, "order").map_or(-1, |order| order.clamp(-1, i32::MAX.into()) as i32);
        key.width = self.word(&object, "width", &Width::ALL, Width::connect_name).unwrap_or(Width::None);
        if let Some(shown) = self.optional_text(&object, "display-name", limits::NAME_BYTES_MAX) {
            key.display_name = shown;
        }
        key.dependents = self.words(&object, "dependents", limits::NAME_BYTES_MAX);
        key.recommended = self.words(&object, "recommended-values", limits::NAME_BYTES_MAX);
        key.internal = self.flag(&object, "internal");
        key.database = self.flag(&object, "database");
        if key.database && !matches!(of_type, Type::PathRead | Type::PathWrite) {
            self.problem(object.place_of("database"), format!("a database has a path, the type is {of_type}"));
        }
        key.rules = self.rules(&object, of_type);
        self.default_fits(&object, &key);
        Some(key)
    }

    fn default_value(&mut self, key: &Object<'_>) -> DefaultValue {
        let required = self.flag(key, "required");
        let value = key.get("default").and_then(|tree| self.default_text(key, tree));
        match (required, value) {
            (true, None) => DefaultValue::Required,
            (true, Some(_)) => {
                self.problem(key.place_of("default"), "a required key has no default");
                DefaultValue::Required
            }
            (false, None) => DefaultValue::Null,
            (false, Some(value)) => DefaultValue::Value(value),
        }
    }

    fn default_text(&mut self, key: &Object<'_>, tree: &Value) -> Option<String> {
        let text = match tree {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            Value::Array(_) => self.words(key, "default", limits::NAME_BYTES_MAX).join(","),
            Value::Null | Value::Object(_) => {
                self.problem(key.place_of("default"), "neither text, number, boolean nor list of text");
                return None;
            }
        };
        self.bounded(key.place_of("default"), &text, limits::DOC_BYTES_MAX).then_some(text)
    }

    fn rules(&mut self, key: &Object<'_>, of_type: Type) -> Vec<Rule> {
        let mut rules = Vec::new();
        let values = self.words(key, "valid-values", limits::NAME_BYTES_MAX);
        let ignoring_case = self.flag(key, "valid-values-ignore-case");
        match (values.is_empty(), ignoring_case) {
            (true, _) => {}
            (false, false) => rules.push(Rule::OneOf(values)),
            (false, true) => rules.push(Rule::OneOfIgnoringCase(values)),
        }
        let (min, max) = (self.whole(key, "min"), self.whole(key, "max"));
        if min.is_some() || max.is_some() {
            if !matches!(of_type, Type::Int | Type::Short | Type::Long | Type::Double) {
                self.problem(key.place.clone(), format!("\"min\" and \"max\" bound numbers, the type is {of_type}"));
            }
            if let (Some(min), Some(max)) = (min, max)
                && min > max
            {
                self.problem(key.place_of("min"), format!("{min} is more than \"max\", which is {max}"));
            }
            rules.push(Rule::Range { min, max });
        }
        if self.flag(key, "non-empty") {
            rules.push(Rule::NonEmpty);
        }
        rules
    }

    /// A default that its own type or rules refuse would make every configuration without the key invalid.
    fn default_fits(&mut self, object: &Object<'_>, key: &Key) {
        let DefaultValue::Value(value) = &key.default else { return };
        for message in crate::validate::errors_of(key, value) {
            self.problem(object.place_of("default"), message);
        }
    }

    fn object<'j>(&mut self, place: String, tree: &'j Value) -> Option<Object<'j>> {
        match tree.as_object() {
            Some(fields) => Some(Object { place, fields }),
            None => {
                self.problem(place, format!("{} where an object is expected", shape(tree)));
                None
            }
        }
    }

    /// The items of a list, none if it is absent; a list that is too long is a problem and is not read.
    fn array<'j>(&mut self, object: &Object<'j>, field: &str, items_max: usize) -> &'j [Value] {
        let Some(tree) = object.get(field) else { return &[] };
        match tree.as_array() {
            Some(items) if items.len() <= items_max => items,
            Some(items) => {
                let message = format!("{} items, at most {items_max} are allowed", items.len());
                self.problem(object.place_of(field), message);
                &[]
            }
            None => {
                self.problem(object.place_of(field), format!("{} where a list is expected", shape(tree)));
                &[]
            }
        }
    }

    fn words(&mut self, object: &Object<'_>, field: &str, bytes_max: usize) -> Vec<String> {
        let items = self.array(object, field, limits::WORDS_MAX);
        let mut words = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let place = format!("{}[{index}]", object.place_of(field));
            match item.as_str() {
                Some(word) => {
                    if self.bounded(place, word, bytes_max) {
                        words.push(word.to_owned());
                    }
                }
                None => self.problem(place, format!("{} where text is expected", shape(item))),
            }
        }
        words
    }

    fn optional_text(&mut self, object: &Object<'_>, field: &str, bytes_max: usize) -> Option<String> {
        let tree = object.get(field)?;
        match tree.as_str() {
            Some(text) => self.bounded(object.place_of(field), text, bytes_max).then(|| text.to_owned()),
            None => {
                self.problem(object.place_of(field), format!("{} where text is expected", shape(tree)));
                None
            }
        }
    }

    fn name(&mut self, object: &Object<'_>, field: &str) -> Option<String> {
        if object.get(field).is_none() {
            self.problem(object.place_of(field), "missing");
            return None;
        }
        let name = self.optional_text(object, field, limits::NAME_BYTES_MAX)?;
        match name_grammar(&name) {
            Ok(()) => Some(name),
            Err(message) => {
                self.problem(object.place_of(field), message);
                None
            }
        }
    }

    fn version(&mut self, plugin: &Object<'_>) -> String {
        if plugin.get("version").is_none() {
            self.problem("version", "missing");
        }
        let version = self.optional_text(plugin, "version", limits::NAME_BYTES_MAX).unwrap_or_default();
        if plugin.get("version").is_some_and(Value::is_string)
            && (version.is_empty() || version.contains(char::is_whitespace))
        {
            self.problem("version", format!("\"{version}\" is empty or has blanks"));
        }
        version
    }

    fn flag(&mut self, object: &Object<'_>, field: &str) -> bool {
        match object.get(field) {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(tree) => {
                self.problem(object.place_of(field), format!("{} where true or false is expected", shape(tree)));
                false
            }
        }
    }

    fn whole(&mut self, object: &Object<'_>, field: &str) -> Option<i64> {
        let tree = object.get(field)?;
        let number = tree.as_i64();
        if number.is_none() {
            self.problem(object.place_of(field), format!("{} where a whole number is expected", shape(tree)));
        }
        number
    }

    /// One of the words of a closed list, none if the field is absent or wrong.
    fn word<T: Copy>(&mut self, object: &Object<'_>, field: &str, all: &[T], name: fn(T) -> &'static str) -> Option<T> {
        let text = self.optional_text(object, field, limits::NAME_BYTES_MAX)?;
        let wanted = text.to_lowercase().replace('_', "-");
        let found = all.iter().copied().find(|word| name(*word).eq_ignore_ascii_case(&wanted));
        if found.is_none() {
            let names: Vec<String> = all.iter().map(|word| name(*word).to_lowercase()).collect();
            let hint = match nearest(&wanted, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("known are {}", names.join(", ")),
            };
            self.problem(object.place_of(field), format!("\"{text}\" is not known, {hint}"));
        }
        found
    }

    /// Refuses text that is too long, or that could act on the terminal it is shown on.
    fn bounded(&mut self, place: String, text: &str, bytes_max: usize) -> bool {
        if text.len() > bytes_max {
            self.problem(place, format!("{} bytes, at most {bytes_max} are allowed", text.len()));
            return false;
        }
        if let Some(control) = text.chars().find(|c| c.is_control() && *c != '\n' && *c != '\t') {
            self.problem(place, format!("holds the control character {:#04x}", u32::from(control)));
            return false;
        }
        true
    }
}

/// Names of plugins, definitions and keys: what may stand in a URL, a file name and a `.properties` key unescaped.
fn name_grammar(name: &str) -> Result<(), String> {
    match name.chars().find(|c| !(c.is_ascii_alphanumeric() || "._-$".contains(*c))) {
        Some(wrong) => Err(format!("\"{name}\" holds '{wrong}', allowed are letters, digits, '.', '_', '-' and '$'")),
        None if name.is_empty() => Err("empty".to_owned()),
        None => Ok(()),
    }
}

fn shape(tree: &Value) -> &'static str {
    match tree {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{int, list, path_read, string};
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    #[track_caller]
    fn refused(text: &str, expected: Expect) {
        match read(text) {
            Ok(plugin) => panic!("accepted: {plugin:?}"),
            Err(error) => expected.assert_eq(&error.to_string()),
        }
    }

    fn one(definition: &str) -> String {
        format!(r#"{{"name":"p","version":"1","definitions":[{definition}]}}"#)
    }

    fn one_key(key: &str) -> String {
        one(&format!(r#"{{"kind":"sink","name":"S","config":[{key}]}}"#))
    }

    #[test]
    fn the_example_of_the_documentation_is_read_as_it_says() {
        let documented: String = include_str!("describe.rs")
            .lines()
            .skip_while(|line| !line.contains("```json"))
            .skip(1)
            .take_while(|line| !line.contains("```"))
            .map(|line| line.trim_start_matches("//!"))
            .collect();
        let source = Definition::new(Kind::Source, "HelloSource")
            .alias("com.example.HelloSourceConnector")
            .doc("Emits a greeting now and then.")
            .capabilities(Capabilities { exactly_once: true, ..Capabilities::default() })
            .key(string("topic").required().high().doc("Topic to write to."))
            .key(int("interval.ms").default("1000").at_least(1).doc("Pause between greetings."))
            .key(string("style").default("warm").one_of(&["warm", "cool"]))
            .key(path_read("names").doc("File with names to greet."));
        let expected = Plugin {
            name: "hello".into(),
            version: "1.0.0".into(),
            author: Some("Example Ltd".into()),
            license: Some("Apache-2.0".into()),
            description: Some("Greets.".into()),
            definitions: vec![source],
        };
        assert_eq!(read(&documented), Ok(expected));
    }

    #[test]
    fn words_are_read_in_any_case_and_unknown_fields_are_ignored() {
        let text = one(r#"{"kind":"HEADER_CONVERTER","name":"H","encoding":"RAW","later":[1],"config":[
                {"name":"k","type":"PASSWORD","importance":"LOW","width":"Long","order":3,"default":null,"examples":{}}]}"#);
        let plugin = read(&text).expect("the description is right");
        let definition = &plugin.definitions[0];
        assert_eq!((definition.kind, definition.encoding), (Kind::HeaderConverter, Encoding::Raw));
        let key = &definition.keys[0];
        assert_eq!(
            (key.of_type, key.importance, key.width, key.order, &key.default),
            (Type::Password, Importance::Low, Width::Long, 3, &DefaultValue::Null)
        );
    }

    #[test]
    fn defaults_may_be_written_as_what_they_are() {
        let text = one(r#"{"kind":"sink","name":"S","config":[
                {"name":"a","type":"int","default":5},
                {"name":"b","type":"boolean","default":true},
                {"name":"c","type":"list","default":["x","y"]}]}"#);
        let plugin = read(&text).expect("the description is right");
        let defaults: Vec<_> = plugin.definitions[0].keys.iter().map(Key::default_shown).collect();
        assert_eq!(defaults, [Some("5"), Some("true"), Some("x,y")]);
    }

    #[test]
    fn every_problem_is_told_with_its_place() {
        refused(
            r#"{"name":"a b","version":7,"definitions":[
                {"kind":"sauce","name":"","aliases":["ok",3],"encoding":"xml"},
                [],
                {"kind":"sink","name":"S","capabilities":{"exactly-once":"yes"},"config":[
                    {"name":"a","type":"integer"},
                    {"name":"b","required":true,"default":"x"},
                    {"type":"string","min":1},
                    {"name":"c","type":"int","min":5,"max":1.5},
                    {"name":"c","type":"int","default":"ten"},
                    {"name":"d","valid-values":["x"],"default":"y"},
                    {"name":"e","default":{}}]},
                {"kind":"sink","name":"S"}]}"#,
            expect![[r#"
                the plugin's description of itself is not usable
                  name: "a b" holds ' ', allowed are letters, digits, '.', '_', '-' and '$'
                  version: a number where text is expected
                  definitions[0].kind: "sauce" is not known, did you mean "source"?
                  definitions[0].aliases[1]: a number where text is expected
                  definitions[0].name: empty
                  definitions[0].encoding: "xml" is not known, known are raw, text, json, tlv
                  definitions[1]: a list where an object is expected
                  definitions[2].config[0].type: "integer" is not known, known are boolean, string, int, short, long, double, list, class, password, path-read, path-write, url, host-port, listen-address, secret
                  definitions[2].config[1].default: a required key has no default
                  definitions[2].config[2].name: missing
                  definitions[2].config[2]: "min" and "max" bound numbers, the type is string
                  definitions[2].config[3].max: a number where a whole number is expected
                  definitions[2].config[4].default: Invalid value ten for configuration c: Not a number of type INT
                  definitions[2].config[4]: the key "c" is declared twice
                  definitions[2].config[5].default: Invalid value y for configuration d: String must be one of: x
                  definitions[2].config[6].default: neither text, number, boolean nor list of text
                  definitions[2].capabilities.exactly-once: text where true or false is expected
                  definitions[3]: the sink "S" is defined twice"#]],
        );
    }

    #[test]
    fn what_is_no_description_at_all_says_so() {
        refused(
            "",
            expect![[r#"
            the plugin's description of itself is not usable
              not JSON: EOF while parsing a value at line 1 column 0"#]],
        );
        refused(
            "[]",
            expect![[r#"
            the plugin's description of itself is not usable
              a list where an object is expected"#]],
        );
        refused(
            "{}",
            expect![[r#"
            the plugin's description of itself is not usable
              name: missing
              version: missing
              definitions: missing or empty, a plugin defines at least one thing"#]],
        );
        refused(
            r#"{"name":"p","version":"1","definitions":[]}"#,
            expect![[r#"
            the plugin's description of itself is not usable
              definitions: missing or empty, a plugin defines at least one thing"#]],
        );
        refused(
            &"[".repeat(100_000),
            expect![[r#"
            the plugin's description of itself is not usable
              not JSON: recursion limit exceeded at line 1 column 128"#]],
        );
    }

    #[test]
    fn every_size_is_bounded() {
        refused(
            &" ".repeat(limits::TEXT_BYTES_MAX + 1),
            expect![[r#"
            the plugin's description of itself is not usable
              1048577 bytes, at most 1048576 are read"#]],
        );
        refused(
            &one_key(&format!(r#"{{"name":"{}"}}"#, "k".repeat(256))),
            expect![[r#"
            the plugin's description of itself is not usable
              definitions[0].config[0].name: 256 bytes, at most 255 are allowed"#]],
        );
        refused(
            &one_key(&format!(r#"{{"name":"k","doc":"{}"}}"#, "d".repeat(limits::DOC_BYTES_MAX + 1))),
            expect![[r#"
                the plugin's description of itself is not usable
                  definitions[0].config[0].doc: 16385 bytes, at most 16384 are allowed"#]],
        );
        refused(
            &one_key(&vec!["{}"; limits::KEYS_MAX + 1].join(",")),
            expect![[r#"
            the plugin's description of itself is not usable
              definitions[0].config: 513 items, at most 512 are allowed"#]],
        );
        refused(
            &one(&vec!["{}"; limits::DEFINITIONS_MAX + 1].join(",")),
            expect![[r#"
            the plugin's description of itself is not usable
              definitions: 257 items, at most 256 are allowed"#]],
        );
        let error = read(&one_key(&vec!["0"; limits::KEYS_MAX].join(","))).expect_err("numbers are no keys");
        assert_eq!(error.problems.len(), limits::PROBLEMS_MAX);
    }

    #[test]
    fn text_that_acts_on_a_terminal_is_refused() {
        refused(
            &one_key(r#"{"name":"k","doc":"\u001b[2Jgone"}"#),
            expect![[r#"
            the plugin's description of itself is not usable
              definitions[0].config[0].doc: holds the control character 0x1b"#]],
        );
    }

    fn any_key() -> impl Strategy<Value = Key> {
        let name = "[a-z][a-z.]{0,8}";
        let rules = prop::sample::select(vec!["", "one", "any-case", "range", "non-empty"]);
        (name, prop::sample::select(&Type::ALL[..]), any::<bool>(), "\\PC{0,12}", rules, -1..9i32).prop_map(
            |(name, of_type, required, doc, rules, order)| {
                let mut key = Key::new(name, of_type).doc(doc);
                key.order = order;
                if required {
                    key = key.required();
                }
                key.database = required && matches!(of_type, Type::PathRead | Type::PathWrite);
                match rules {
                    "one" => key.one_of(&["a", "b"]),
                    "any-case" => key.one_of_ignoring_case(&["a"]),
                    "range" if matches!(of_type, Type::Int | Type::Double) => key.between(-1, 7),
                    "non-empty" => key.non_empty(),
                    _ => key,
                }
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn what_is_written_is_read_again(
            keys in prop::collection::vec(any_key(), 0..6),
            kind in prop::sample::select(&Kind::ALL[..]),
            encoding in prop::sample::select(&Encoding::ALL[..]),
        ) {
            let mut definition = Definition::new(kind, "D").alias("x.D").encoding(encoding);
            for key in keys {
                if definition.keys.iter().all(|other| other.name != key.name) {
                    definition = definition.key(key);
                }
            }
            let definition = definition.key(list("ZZ").default("a,b").low());
            let plugin = Plugin { name: "p".into(), version: "1".into(), definitions: vec![definition], ..Plugin::default() };
            prop_assert_eq!(read(&write(&plugin)), Ok(plugin));
        }

        #[test]
        fn a_damaged_description_is_a_plugin_or_problems(at in 0usize..400, byte in any::<u8>()) {
            let plugin = Plugin {
                name: "p".into(),
                version: "1".into(),
                definitions: vec![Definition::new(Kind::Sink, "S").key(int("k").default("1").between(0, 9))],
                ..Plugin::default()
            };
            let mut bytes = write(&plugin).into_bytes();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Err(error) = read(&String::from_utf8_lossy(&bytes)) {
                prop_assert!(!error.problems.is_empty());
            }
        }
    }
}
