//! What a plugin says about itself, as data: [`Definition`] and [`Key`] are what the JSON of `describe`, the defaults of
//! [`Config`](crate::Config) and the host's validation, forms and documents are made from.

use serde_json::{Map, Value as Json, json};

/// One source, sink, transform, predicate or converter that a plugin contains.
#[derive(Debug, Clone)]
pub struct Definition {
    kind: &'static str,
    name: String,
    aliases: Vec<String>,
    doc: String,
    encoding: Encoding,
    capabilities: Vec<&'static str>,
    keys: Vec<Key>,
}

/// How whole keys and values cross between host and plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// Strings and bytes only, as they are. Records with anything else go to the error policy and never reach the plugin.
    Raw,
    /// Strings and bytes as they are, everything else as JSON text. For sinks.
    Text,
    /// Every Connect value, typed.
    #[default]
    Tlv,
}

impl Encoding {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Encoding::Raw => "raw",
            Encoding::Text => "text",
            Encoding::Tlv => "tlv",
        }
    }
}

impl Definition {
    fn new(kind: &'static str, name: &str) -> Definition {
        Definition {
            kind,
            name: name.to_owned(),
            aliases: Vec::new(),
            doc: String::new(),
            encoding: Encoding::default(),
            capabilities: Vec::new(),
            keys: Vec::new(),
        }
    }

    /// A source connector of this name, which operators write as `connector.class`.
    pub fn source(name: &str) -> Definition {
        Definition::new("source", name)
    }

    /// A sink connector of this name.
    pub fn sink(name: &str) -> Definition {
        Definition::new("sink", name)
    }

    /// A transform of this name, which operators write as `transforms.<alias>.type`.
    pub fn transform(name: &str) -> Definition {
        Definition::new("transform", name)
    }

    /// A predicate of this name.
    pub fn predicate(name: &str) -> Definition {
        Definition::new("predicate", name)
    }

    /// A converter of keys and values of this name, which operators write as `key.converter` or `value.converter`.
    pub fn converter(name: &str) -> Definition {
        Definition::new("converter", name)
    }

    /// A converter of header values of this name, which operators write as `header.converter`.
    pub fn header_converter(name: &str) -> Definition {
        Definition::new("header-converter", name)
    }

    /// Another name it answers to, such as a Java class name.
    #[must_use]
    pub fn alias(mut self, alias: &str) -> Definition {
        self.aliases.push(alias.to_owned());
        self
    }

    /// What it does, in a sentence or two.
    #[must_use]
    pub fn doc(mut self, doc: &str) -> Definition {
        doc.clone_into(&mut self.doc);
        self
    }

    /// How whole keys and values cross; [`Encoding::Tlv`] unless said otherwise.
    #[must_use]
    pub fn encoding(mut self, encoding: Encoding) -> Definition {
        self.encoding = encoding;
        self
    }

    /// The source can deliver exactly once with some configuration; `exactly_once_support` says with which.
    #[must_use]
    pub fn exactly_once(mut self) -> Definition {
        self.capabilities.push("exactly-once");
        self
    }

    /// The source says itself where its transactions end, with
    /// [`SourceBatch::commit_transaction`](crate::SourceBatch::commit_transaction) and
    /// [`SourceBatch::abort_transaction`](crate::SourceBatch::abort_transaction); they count where a connector's
    /// `transaction.boundary` is `connector`. What lies after the last one is not visible yet, and comes again from the
    /// committed offset if the task stops there.
    #[must_use]
    pub fn transaction_boundaries(mut self) -> Definition {
        self.capabilities.push("transaction-boundaries");
        self
    }

    /// The source may come to an end ([`Error::EndOfInput`](crate::Error::EndOfInput)).
    #[must_use]
    pub fn ends(mut self) -> Definition {
        self.capabilities.push("ends");
        self
    }

    /// The sink's partitions are independent: several instances may each own some of them.
    #[must_use]
    pub fn concurrent_puts(mut self) -> Definition {
        self.capabilities.push("concurrent-puts");
        self
    }

    /// A configuration key. Their order is that of forms and documents.
    #[must_use]
    pub fn key(mut self, key: Key) -> Definition {
        self.keys.push(key);
        self
    }

    /// The name that was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `source`, `sink`, `transform`, `predicate`, `converter` or `header-converter`.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// The other names it answers to.
    pub fn aliases(&self) -> &[String] {
        &self.aliases
    }

    /// The documentation that was given.
    pub fn documentation(&self) -> &str {
        &self.doc
    }

    /// How whole keys and values cross.
    pub fn encoding_of_values(&self) -> Encoding {
        self.encoding
    }

    /// The keys in their order.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    pub(crate) fn to_json(&self) -> Json {
        json!({
            "kind": self.kind,
            "name": self.name,
            "aliases": self.aliases,
            "doc": self.doc,
            "encoding": self.encoding.name(),
            "capabilities": self.capabilities.iter().map(|&name| (name.to_owned(), Json::Bool(true))).collect::<Map<_, _>>(),
            "config": self.keys.iter().map(Key::to_json).collect::<Vec<_>>(),
        })
    }
}

/// How prominently a key is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Importance {
    /// Nearly every configuration sets it.
    High,
    /// Often worth a thought.
    Medium,
    /// For special cases.
    Low,
}

/// A configuration key: type, default, bounds and documentation in one place.
///
/// A key of type `path-read`, `path-write`, `url`, `host-port`, `listen-address` or `secret` is a *grant*: what the
/// operator writes there is what the plugin may reach, and nothing else.
#[derive(Debug, Clone)]
pub struct Key {
    name: String,
    of_type: &'static str,
    default: Option<String>,
    required: bool,
    importance: Importance,
    doc: String,
    valid_values: Vec<String>,
    min: Option<i64>,
    max: Option<i64>,
    non_empty: bool,
    internal: bool,
    database: bool,
}

macro_rules! key_types {
    ($($(#[$doc:meta])* $function:ident = $name:literal;)*) => {
        $($(#[$doc])* pub fn $function(name: &str) -> Key { Key::new($name, name) })*
    };
}

impl Key {
    key_types! {
        /// Any text.
        string = "string";
        /// `true` or `false`.
        boolean = "boolean";
        /// A whole number of 32 bits.
        int = "int";
        /// A whole number of 16 bits.
        short = "short";
        /// A whole number of 64 bits.
        long = "long";
        /// A floating-point number.
        double = "double";
        /// Texts separated by commas.
        list = "list";
        /// A class name.
        class = "class";
        /// Text that is never shown.
        password = "password";
        /// A file or directory that may be read.
        path_read = "path-read";
        /// A file or directory that may be written.
        path_write = "path-write";
        /// A URL that may be requested.
        url = "url";
        /// A host and port that may be connected to.
        host_port = "host-port";
        /// An address that may be listened on.
        listen_address = "listen-address";
        /// A secret.
        secret = "secret";
    }

    fn new(of_type: &'static str, name: &str) -> Key {
        Key {
            name: name.to_owned(),
            of_type,
            default: None,
            required: false,
            importance: Importance::Medium,
            doc: String::new(),
            valid_values: Vec::new(),
            min: None,
            max: None,
            non_empty: false,
            internal: false,
            database: false,
        }
    }

    /// The path is that of an SQLite database: its journal and its locks are granted with it.
    #[must_use]
    pub fn database(mut self) -> Key {
        self.database = true;
        self
    }

    /// Must be set.
    #[must_use]
    pub fn required(mut self) -> Key {
        self.required = true;
        self
    }

    /// What [`Config`](crate::Config) answers when the operator left it out.
    #[must_use]
    pub fn default(mut self, value: impl ToString) -> Key {
        self.default = Some(value.to_string());
        self
    }

    /// [`Importance::High`].
    #[must_use]
    pub fn high(mut self) -> Key {
        self.importance = Importance::High;
        self
    }

    /// [`Importance::Low`].
    #[must_use]
    pub fn low(mut self) -> Key {
        self.importance = Importance::Low;
        self
    }

    /// What it means, its unit, what happens without it.
    #[must_use]
    pub fn doc(mut self, doc: &str) -> Key {
        doc.clone_into(&mut self.doc);
        self
    }

    /// The only values allowed.
    #[must_use]
    pub fn one_of(mut self, values: &[&str]) -> Key {
        self.valid_values = values.iter().map(|&value| value.to_owned()).collect();
        self
    }

    /// The smallest number allowed.
    #[must_use]
    pub fn min(mut self, min: i64) -> Key {
        self.min = Some(min);
        self
    }

    /// The largest number allowed.
    #[must_use]
    pub fn max(mut self, max: i64) -> Key {
        self.max = Some(max);
        self
    }

    /// Empty text or an empty list is refused.
    #[must_use]
    pub fn non_empty(mut self) -> Key {
        self.non_empty = true;
        self
    }

    /// Left out of documents, and of what a worker lists, unless a configuration sets it: a key that Kafka Connect's own
    /// connector does not have, or one that only `task_configs` sets.
    #[must_use]
    pub fn internal(mut self) -> Key {
        self.internal = true;
        self
    }

    /// The name that was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The default that was given.
    pub fn default_value(&self) -> Option<&str> {
        self.default.as_deref()
    }

    /// The type, as in `describe`.
    pub fn type_name(&self) -> &'static str {
        self.of_type
    }

    /// Whether it must be set.
    pub fn is_required(&self) -> bool {
        self.required
    }

    /// Whether documents leave it out.
    pub fn is_internal(&self) -> bool {
        self.internal
    }

    /// How prominently it is shown.
    pub fn importance(&self) -> Importance {
        self.importance
    }

    /// The documentation that was given.
    pub fn documentation(&self) -> &str {
        &self.doc
    }

    /// The only values allowed; empty: any.
    pub fn valid_values(&self) -> &[String] {
        &self.valid_values
    }

    /// The smallest and the largest number allowed.
    pub fn bounds(&self) -> (Option<i64>, Option<i64>) {
        (self.min, self.max)
    }

    fn to_json(&self) -> Json {
        let importance = match self.importance {
            Importance::High => "high",
            Importance::Medium => "medium",
            Importance::Low => "low",
        };
        let mut json = Map::new();
        let mut put = |field: &str, value: Json| json.insert(field.to_owned(), value);
        put("name", json!(self.name));
        put("type", json!(self.of_type));
        put("importance", json!(importance));
        put("doc", json!(self.doc));
        if self.required {
            put("required", json!(true));
        }
        if let Some(default) = &self.default {
            put("default", json!(default));
        }
        if !self.valid_values.is_empty() {
            put("valid-values", json!(self.valid_values));
        }
        if let Some(min) = self.min {
            put("min", json!(min));
        }
        if let Some(max) = self.max {
            put("max", json!(max));
        }
        if self.non_empty {
            put("non-empty", json!(true));
        }
        if self.internal {
            put("internal", json!(true));
        }
        if self.database {
            put("database", json!(true));
        }
        Json::Object(json)
    }
}
