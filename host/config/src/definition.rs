//! What a plugin offers, as values: the plugin, its definitions, and what each of them can do.
//!
//! A plugin in the box, a plugin that was uploaded and a converter inside the host are described alike, so that listing,
//! validating and documenting know one shape. How a plugin says this about itself is in [`crate::describe`].

use crate::key::Key;

/// A component file (or the host itself, for what is built in) and the definitions it exports.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plugin {
    pub name: String,
    pub version: String,
    pub author: Option<String>,
    pub license: Option<String>,
    pub description: Option<String>,
    pub definitions: Vec<Definition>,
}

/// What a definition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Source,
    Sink,
    Transform,
    Predicate,
    Converter,
    HeaderConverter,
}

impl Kind {
    pub const ALL: [Kind; 6] =
        [Kind::Source, Kind::Sink, Kind::Transform, Kind::Predicate, Kind::Converter, Kind::HeaderConverter];

    /// The name in a plugin's own description and in our documents.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Source => "source",
            Kind::Sink => "sink",
            Kind::Transform => "transform",
            Kind::Predicate => "predicate",
            Kind::Converter => "converter",
            Kind::HeaderConverter => "header-converter",
        }
    }

    /// The name on Connect's endpoints.
    pub fn connect_name(self) -> &'static str {
        match self {
            Kind::Source => "source",
            Kind::Sink => "sink",
            Kind::Transform => "transformation",
            Kind::Predicate => "predicate",
            Kind::Converter => "converter",
            Kind::HeaderConverter => "header_converter",
        }
    }

    pub fn is_connector(self) -> bool {
        matches!(self, Kind::Source | Kind::Sink)
    }
}

/// The form in which a definition wants whole values to cross the border (see `wit/BATCH.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// Bytes and text only.
    Raw,
    /// Bytes and text as they are, everything else as JSON text: for sinks that write lines.
    Text,
    /// One JSON text for the batch: best where the guest language parses JSON natively.
    Json,
    /// The compact self-describing form.
    #[default]
    Tlv,
}

impl Encoding {
    pub const ALL: [Encoding; 4] = [Encoding::Raw, Encoding::Text, Encoding::Json, Encoding::Tlv];

    pub fn name(self) -> &'static str {
        match self {
            Encoding::Raw => "raw",
            Encoding::Text => "text",
            Encoding::Json => "json",
            Encoding::Tlv => "tlv",
        }
    }
}

/// What a definition promises; everything is off unless it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// Records and offsets may be committed in one transaction (source), or positions are kept in the target (sink).
    pub exactly_once: bool,
    /// The source marks transaction boundaries on its records.
    pub transaction_boundaries: bool,
    /// The sink may be given several batches at once, keyed by partition.
    pub concurrent_puts: bool,
    /// The source comes to an end of its input instead of following it for ever.
    pub ends: bool,
}

/// One thing that a plugin exports under a name: a connector, a transform, a predicate or a converter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    pub kind: Kind,
    pub name: String,
    /// Other names it answers to, such as the class name of the Java plugin it stands in for.
    pub aliases: Vec<String>,
    pub doc: String,
    pub keys: Vec<Key>,
    pub encoding: Encoding,
    pub capabilities: Capabilities,
}

impl Definition {
    pub fn new(kind: Kind, name: impl Into<String>) -> Self {
        Definition {
            kind,
            name: name.into(),
            aliases: Vec::new(),
            doc: String::new(),
            keys: Vec::new(),
            encoding: Encoding::default(),
            capabilities: Capabilities::default(),
        }
    }

    pub fn alias(mut self, name: impl Into<String>) -> Self {
        self.aliases.push(name.into());
        self
    }

    pub fn doc(mut self, doc: impl Into<String>) -> Self {
        self.doc = doc.into();
        self
    }

    pub fn key(mut self, key: Key) -> Self {
        self.keys.push(key);
        self
    }

    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    pub fn capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }
}
