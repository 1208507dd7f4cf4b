//! One configuration key as a value: name, type, default, rules and the text that people read about it.
//!
//! Every list of keys in the program is a list of these, built by the functions below:
//!
//! ```
//! use tidegate_config::key::{int, list, string};
//!
//! let keys = [
//!     list("fields").required().doc("Names of the fields to mask."),
//!     string("replacement").doc("Value written instead."),
//!     int("batch.size").default("2000").at_least(1).doc("Records a poll may return."),
//! ];
//! ```

use std::fmt;

/// What a value is. The first nine are Connect's; the others say what the value lets a plugin reach, and Connect's
/// endpoints show them as `STRING` or `PASSWORD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    Boolean,
    String,
    Int,
    Short,
    Long,
    Double,
    /// Comma-separated text.
    List,
    /// The name of a class or definition.
    Class,
    /// Text that is never shown.
    Password,
    /// A file or directory that the plugin may read.
    PathRead,
    /// A file or directory that the plugin may read, write and create.
    PathWrite,
    /// One or more comma-separated URLs whose scheme, host and port the plugin may reach.
    Url,
    /// One or more comma-separated `host:port` that the plugin may reach.
    HostPort,
    /// A `host:port` on which the plugin may accept connections.
    ListenAddress,
    /// Text that is never shown, and that the host may hand over by reference only.
    Secret,
}

impl Type {
    pub const ALL: [Type; 15] = [
        Type::Boolean,
        Type::String,
        Type::Int,
        Type::Short,
        Type::Long,
        Type::Double,
        Type::List,
        Type::Class,
        Type::Password,
        Type::PathRead,
        Type::PathWrite,
        Type::Url,
        Type::HostPort,
        Type::ListenAddress,
        Type::Secret,
    ];

    /// The name in a plugin's own description and in our documents.
    pub fn name(self) -> &'static str {
        match self {
            Type::Boolean => "boolean",
            Type::String => "string",
            Type::Int => "int",
            Type::Short => "short",
            Type::Long => "long",
            Type::Double => "double",
            Type::List => "list",
            Type::Class => "class",
            Type::Password => "password",
            Type::PathRead => "path-read",
            Type::PathWrite => "path-write",
            Type::Url => "url",
            Type::HostPort => "host-port",
            Type::ListenAddress => "listen-address",
            Type::Secret => "secret",
        }
    }

    /// The name on Connect's endpoints and in Connect's messages.
    pub fn connect_name(self) -> &'static str {
        match self {
            Type::Boolean => "BOOLEAN",
            Type::Int => "INT",
            Type::Short => "SHORT",
            Type::Long => "LONG",
            Type::Double => "DOUBLE",
            Type::List => "LIST",
            Type::Class => "CLASS",
            Type::Password | Type::Secret => "PASSWORD",
            Type::String | Type::PathRead | Type::PathWrite | Type::Url | Type::HostPort | Type::ListenAddress => {
                "STRING"
            }
        }
    }

    /// True where the value must never be shown.
    pub fn is_hidden(self) -> bool {
        matches!(self, Type::Password | Type::Secret)
    }
}

/// What holds when a configuration does not name the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefaultValue {
    /// The key must be named.
    Required,
    /// There is no value.
    Null,
    /// This text, read as the key's type.
    Value(String),
}

/// How much an operator should care, as Connect's documents grade it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Importance {
    High,
    Medium,
    Low,
}

impl Importance {
    pub const ALL: [Importance; 3] = [Importance::High, Importance::Medium, Importance::Low];

    /// The name on Connect's endpoints.
    pub fn connect_name(self) -> &'static str {
        match self {
            Importance::High => "HIGH",
            Importance::Medium => "MEDIUM",
            Importance::Low => "LOW",
        }
    }
}

/// How wide a form shows the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    None,
    Short,
    Medium,
    Long,
}

impl Width {
    pub const ALL: [Width; 4] = [Width::None, Width::Short, Width::Medium, Width::Long];

    /// The name on Connect's endpoints.
    pub fn connect_name(self) -> &'static str {
        match self {
            Width::None => "NONE",
            Width::Short => "SHORT",
            Width::Medium => "MEDIUM",
            Width::Long => "LONG",
        }
    }
}

/// What a value must be beyond its type. Rules are data, so that a document can list them and a form can enforce them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// One of these.
    OneOf(Vec<String>),
    /// One of these, in any case.
    OneOfIgnoringCase(Vec<String>),
    /// A number within these bounds, both included.
    Range { min: Option<i64>, max: Option<i64> },
    /// Text or a list with something in it.
    NonEmpty,
    /// Text without control characters that is not blank: Connect's rule for connector names.
    Name,
    /// No item of the list twice: Connect's rule for aliases.
    DistinctAliases,
}

/// A configuration key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub name: String,
    pub of_type: Type,
    pub default: DefaultValue,
    pub importance: Importance,
    pub doc: String,
    /// The heading under which forms and documents show the key.
    pub group: Option<String>,
    /// The place under that heading; -1 where there is none.
    pub order: i32,
    pub width: Width,
    /// What forms call the key; its name where there is nothing better.
    pub display_name: String,
    /// Keys whose meaning depends on this one.
    pub dependents: Vec<String>,
    pub rules: Vec<Rule>,
    /// Values that a form may offer; others are allowed.
    pub recommended: Vec<String>,
    /// Not shown in documents or by Connect's endpoints unless a configuration sets it.
    pub internal: bool,
    /// Of a path: it names an SQLite database, which comes with its journal beside it and its locks.
    pub database: bool,
    /// How many bytes of the name were put before it when it was embedded in another configuration.
    prefix_bytes: usize,
}

impl Key {
    pub fn new(name: impl Into<String>, of_type: Type) -> Self {
        let name = name.into();
        Key {
            display_name: name.clone(),
            name,
            of_type,
            default: DefaultValue::Null,
            importance: Importance::Medium,
            doc: String::new(),
            group: None,
            order: -1,
            width: Width::None,
            dependents: Vec::new(),
            rules: Vec::new(),
            recommended: Vec::new(),
            internal: false,
            database: false,
            prefix_bytes: 0,
        }
    }

    pub fn required(mut self) -> Self {
        self.default = DefaultValue::Required;
        self
    }

    pub fn default(mut self, value: impl Into<String>) -> Self {
        self.default = DefaultValue::Value(value.into());
        self
    }

    pub fn doc(mut self, doc: impl Into<String>) -> Self {
        self.doc = doc.into();
        self
    }

    pub fn high(mut self) -> Self {
        self.importance = Importance::High;
        self
    }

    pub fn low(mut self) -> Self {
        self.importance = Importance::Low;
        self
    }

    /// Puts the key under a heading, at a place, with the name that forms show.
    pub fn group(mut self, group: &str, order: i32, width: Width, display_name: impl Into<String>) -> Self {
        self.group = Some(group.to_owned());
        self.order = order;
        self.width = width;
        self.display_name = display_name.into();
        self
    }

    pub fn at_least(self, min: i64) -> Self {
        self.rule(Rule::Range { min: Some(min), max: None })
    }

    pub fn between(self, min: i64, max: i64) -> Self {
        self.rule(Rule::Range { min: Some(min), max: Some(max) })
    }

    pub fn one_of(self, values: &[&str]) -> Self {
        self.rule(Rule::OneOf(values.iter().map(|value| (*value).to_owned()).collect()))
    }

    pub fn one_of_ignoring_case(self, values: &[&str]) -> Self {
        self.rule(Rule::OneOfIgnoringCase(values.iter().map(|value| (*value).to_owned()).collect()))
    }

    pub fn non_empty(self) -> Self {
        self.rule(Rule::NonEmpty)
    }

    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    pub fn dependents(mut self, names: &[&str]) -> Self {
        self.dependents = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    pub fn recommended(mut self, values: Vec<String>) -> Self {
        self.recommended = values;
        self
    }

    pub fn internal(mut self) -> Self {
        self.internal = true;
        self
    }

    /// The path is that of an SQLite database.
    pub fn database(mut self) -> Self {
        self.database = true;
        self
    }

    /// The same key as part of another configuration: `field` of a transform becomes `transforms.x.field`. Messages
    /// about its rules keep the short name, as Connect's do.
    pub fn embedded(mut self, prefix: &str) -> Self {
        self.name.insert_str(0, prefix);
        self.prefix_bytes += prefix.len();
        self.dependents = self.dependents.iter().map(|name| format!("{prefix}{name}")).collect();
        self
    }

    /// Moves the key under another heading, to a place there.
    pub fn moved(mut self, group: &str, order: i32) -> Self {
        self.group = Some(group.to_owned());
        self.order = order;
        self
    }

    pub fn is_required(&self) -> bool {
        self.default == DefaultValue::Required
    }

    /// The default as an answer may show it: none where there is none, hidden where the value would be.
    pub fn default_shown(&self) -> Option<&str> {
        match &self.default {
            DefaultValue::Required | DefaultValue::Null => None,
            DefaultValue::Value(_) if self.of_type.is_hidden() => Some(crate::validate::HIDDEN),
            DefaultValue::Value(value) => Some(value),
        }
    }

    /// The name before the key was embedded.
    pub(crate) fn own_name(&self) -> &str {
        &self.name[self.prefix_bytes..]
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

pub fn boolean(name: &str) -> Key {
    Key::new(name, Type::Boolean)
}

pub fn string(name: &str) -> Key {
    Key::new(name, Type::String)
}

pub fn int(name: &str) -> Key {
    Key::new(name, Type::Int)
}

pub fn short(name: &str) -> Key {
    Key::new(name, Type::Short)
}

pub fn long(name: &str) -> Key {
    Key::new(name, Type::Long)
}

pub fn double(name: &str) -> Key {
    Key::new(name, Type::Double)
}

pub fn list(name: &str) -> Key {
    Key::new(name, Type::List)
}

pub fn class(name: &str) -> Key {
    Key::new(name, Type::Class)
}

pub fn password(name: &str) -> Key {
    Key::new(name, Type::Password)
}

pub fn path_read(name: &str) -> Key {
    Key::new(name, Type::PathRead)
}

pub fn path_write(name: &str) -> Key {
    Key::new(name, Type::PathWrite)
}

pub fn url(name: &str) -> Key {
    Key::new(name, Type::Url)
}

pub fn host_port(name: &str) -> Key {
    Key::new(name, Type::HostPort)
}

pub fn listen_address(name: &str) -> Key {
    Key::new(name, Type::ListenAddress)
}

pub fn secret(name: &str) -> Key {
    Key::new(name, Type::Secret)
}
