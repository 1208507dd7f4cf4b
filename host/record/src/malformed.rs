//! Why bytes from a plugin were refused.

use std::fmt;

/// The class of a refusal. The malformed vectors name it, so that every implementation refuses for the same reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Shorter than the header, or the length in the header is not that of the bytes.
    Length,
    /// The first four bytes are not those of this kind of arena.
    Magic,
    /// A version of the format that this host does not speak.
    Version,
    /// One of the limits of the format is exceeded.
    Limit,
    /// An offset with its length, or a node, leaves the arena or the node around it.
    Offset,
    /// A number that is no entry of the dictionary, or a name where none may be, or none where one must be.
    Name,
    /// A tag that does not exist or may not stand here.
    Tag,
    /// A payload that its tag does not allow: wrong size, a boolean other than 0 and 1, half an entry of a map.
    Payload,
    /// Text that is not UTF-8.
    Utf8,
    /// The text of a number that is not a JSON number.
    Number,
    /// Nested more deeply than the format allows.
    Nesting,
    /// A schema number that cannot be, or does not go with the encoding.
    Schema,
    /// A number in a header or column that has no meaning: an encoding, a flag, an index, an operation.
    Field,
    /// The number of records differs from that of the call.
    Count,
    /// A JSON form that is not JSON or has not the members it should have.
    Json,
}

impl Reason {
    /// The name that vectors use.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Length => "length",
            Reason::Magic => "magic",
            Reason::Version => "version",
            Reason::Limit => "limit",
            Reason::Offset => "offset",
            Reason::Name => "name",
            Reason::Tag => "tag",
            Reason::Payload => "payload",
            Reason::Utf8 => "utf8",
            Reason::Number => "number",
            Reason::Nesting => "nesting",
            Reason::Schema => "schema",
            Reason::Field => "field",
            Reason::Count => "count",
            Reason::Json => "json",
        }
    }
}

/// An arena, a node or a JSON form that breaks the format. What sent it is at fault, not the record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed {what}: {detail}")]
pub struct Malformed {
    /// The class.
    pub reason: Reason,
    /// What was read: `batch`, `columns`, `edits` or `value`.
    pub what: &'static str,
    /// What is wrong, with the offending number or place.
    pub detail: String,
}

impl Malformed {
    /// A refusal of class `reason`. `what` is filled in by the outermost reader with [`Malformed::of`].
    #[cold]
    pub fn new(reason: Reason, detail: impl fmt::Display) -> Malformed {
        Malformed { reason, what: "value", detail: detail.to_string() }
    }

    /// Names what was read.
    pub fn of(mut self, what: &'static str) -> Malformed {
        self.what = what;
        self
    }
}
