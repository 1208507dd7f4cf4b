//! Values as nodes: an 8-byte header with name, tag and length, then a payload. Skipping a field is one addition.
//!
//! [`check`] validates a whole tree once; [`Nodes`] then walks it. [`Writer`] appends nodes to a buffer, and
//! [`Dictionary`] gives names their numbers.

use indexmap::IndexSet;

use crate::malformed::{Malformed, Reason};
use crate::number::is_json_number;

/// Levels of nodes; the outermost one is the first.
pub const NESTING_MAX: usize = 64;
/// Entries of a dictionary.
pub const NAMES_MAX: usize = 65_534;
/// The name of a node that has none, or an inline one.
pub const NO_NAME: u16 = 0xFFFF;
/// Bytes of the unscaled value of a decimal.
pub const UNSCALED_BYTES_MAX: usize = 1_024;

const HEADER: usize = 8;

/// What a node or cell holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Tag {
    /// Nothing.
    Null = 0,
    /// One byte, 0 or 1.
    Boolean = 1,
    /// Signed, one byte.
    Int8 = 2,
    /// Signed, two bytes.
    Int16 = 3,
    /// Signed, four bytes.
    Int32 = 4,
    /// Signed, eight bytes.
    Int64 = 5,
    /// Single precision.
    Float32 = 6,
    /// Double precision.
    Float64 = 7,
    /// UTF-8.
    String = 8,
    /// Any bytes.
    Bytes = 9,
    /// A JSON number as its source text.
    Number = 10,
    /// Nodes without names.
    Array = 11,
    /// Nodes whose names are the keys.
    Map = 12,
    /// Nodes whose names are the fields.
    Struct = 13,
    /// Pairs of nodes without names.
    Pairs = 14,
    /// Scale and unscaled value.
    Decimal = 15,
    /// Days since 1970-01-01.
    Date = 16,
    /// Milliseconds since midnight.
    Time = 17,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    Timestamp = 18,
    /// Cells only: there is no such field.
    Missing = 255,
}

impl Tag {
    /// The tag of a number.
    pub fn of(byte: u8) -> Option<Tag> {
        const TAGS: [Tag; 19] = [
            Tag::Null,
            Tag::Boolean,
            Tag::Int8,
            Tag::Int16,
            Tag::Int32,
            Tag::Int64,
            Tag::Float32,
            Tag::Float64,
            Tag::String,
            Tag::Bytes,
            Tag::Number,
            Tag::Array,
            Tag::Map,
            Tag::Struct,
            Tag::Pairs,
            Tag::Decimal,
            Tag::Date,
            Tag::Time,
            Tag::Timestamp,
        ];
        match byte {
            255 => Some(Tag::Missing),
            _ => TAGS.get(usize::from(byte)).copied(),
        }
    }

    /// Whether the payload is made of nodes.
    pub fn is_nested(self) -> bool {
        matches!(self, Tag::Array | Tag::Map | Tag::Struct | Tag::Pairs)
    }

    /// The size of the payload where the tag alone says it.
    pub fn fixed_size(self) -> Option<usize> {
        match self {
            Tag::Null | Tag::Missing => Some(0),
            Tag::Boolean | Tag::Int8 => Some(1),
            Tag::Int16 => Some(2),
            Tag::Int32 | Tag::Float32 | Tag::Date | Tag::Time => Some(4),
            Tag::Int64 | Tag::Float64 | Tag::Timestamp => Some(8),
            _ => None,
        }
    }

    fn children_have_names(self) -> bool {
        matches!(self, Tag::Map | Tag::Struct)
    }
}

/// The name of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name<'a> {
    /// Outermost nodes, items of arrays, keys and values of general maps.
    None,
    /// An entry of the dictionary.
    Entry(u16),
    /// The name itself, where the dictionary is full.
    Inline(&'a str),
}

impl<'a> Name<'a> {
    /// The text, looked up in the dictionary; none for nodes without name and for unknown entries.
    pub fn text(self, names: &[&'a str]) -> Option<&'a str> {
        match self {
            Name::None => None,
            Name::Entry(number) => names.get(usize::from(number)).copied(),
            Name::Inline(text) => Some(text),
        }
    }
}

/// A node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node<'a> {
    /// Its name.
    pub name: Name<'a>,
    /// What it holds.
    pub tag: Tag,
    /// The value, without an inline name.
    pub payload: &'a [u8],
}

impl<'a> Node<'a> {
    /// Reads the node at the start of `bytes` and returns it with what follows it. Of the payload nothing is checked.
    pub fn read(bytes: &'a [u8]) -> Result<(Node<'a>, &'a [u8]), Malformed> {
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else {
            return Err(Malformed::new(Reason::Offset, format!("{} bytes where a node begins", bytes.len())));
        };
        let [name_low, name_high, tag, inline, l0, l1, l2, l3] = *header;
        let name = u16::from_le_bytes([name_low, name_high]);
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let Some(tag) = Tag::of(tag).filter(|tag| *tag != Tag::Missing) else {
            return Err(Malformed::new(Reason::Tag, format!("tag {tag} in a node")));
        };
        let Some((payload, rest)) = rest.split_at_checked(length) else {
            return Err(Malformed::new(
                Reason::Offset,
                format!("node with a payload of {length} bytes where {} are left", rest.len()),
            ));
        };
        let (name, payload) = match (inline, name) {
            (0, NO_NAME) => (Name::None, payload),
            (0, number) => (Name::Entry(number), payload),
            (1, NO_NAME) => {
                let (text, payload) = inline_name(payload)?;
                (Name::Inline(text), payload)
            }
            (1, number) => {
                return Err(Malformed::new(Reason::Name, format!("inline name beside dictionary entry {number}")));
            }
            (other, _) => return Err(Malformed::new(Reason::Field, format!("byte 3 of a node is {other}"))),
        };
        Ok((Node { name, tag, payload }, rest))
    }

    /// The nodes inside; nothing where the tag has none.
    pub fn children(&self) -> Nodes<'a> {
        Nodes { rest: if self.tag.is_nested() { self.payload } else { &[] } }
    }

    /// The child of a name. Of several the last counts.
    pub fn child(&self, name: &str, names: &[&'a str]) -> Option<Node<'a>> {
        self.children().filter(|child| child.name.text(names) == Some(name)).last()
    }

    /// The payload as text; none if it is not UTF-8.
    pub fn str(&self) -> Option<&'a str> {
        simdutf8::basic::from_utf8(self.payload).ok()
    }
}

fn inline_name(payload: &[u8]) -> Result<(&str, &[u8]), Malformed> {
    let outside = || Malformed::new(Reason::Offset, "inline name longer than its node");
    let (length, rest) = payload.split_first_chunk::<4>().ok_or_else(outside)?;
    let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(outside)?;
    let text =
        simdutf8::basic::from_utf8(text).map_err(|_| Malformed::new(Reason::Utf8, "inline name is not UTF-8"))?;
    Ok((text, rest))
}

/// The nodes of a payload that [`check`] has seen. It stops early at a malformed node.
#[derive(Clone, Debug)]
pub struct Nodes<'a> {
    rest: &'a [u8],
}

impl<'a> Nodes<'a> {
    /// Over nodes that lie one after the other.
    pub fn new(bytes: &'a [u8]) -> Nodes<'a> {
        Nodes { rest: bytes }
    }
}

impl<'a> Iterator for Nodes<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Node<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        match Node::read(self.rest) {
            Ok((node, rest)) => {
                self.rest = rest;
                Some(node)
            }
            Err(_) => {
                self.rest = &[];
                None
            }
        }
    }
}

/// What a tree may contain.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    /// Entries of the dictionary.
    pub names: usize,
    /// Whether numbers may be source text: only in values without a schema.
    pub numbers: bool,
}

/// Checks that `bytes` are exactly one outermost node and returns it: every length, tag, name, text and number in it.
pub fn check(bytes: &[u8], allowed: Allowed) -> Result<Node<'_>, Malformed> {
    let (node, rest) = Node::read(bytes)?;
    if !rest.is_empty() {
        return Err(Malformed::new(Reason::Payload, format!("{} bytes after the value", rest.len())));
    }
    if node.name != Name::None {
        return Err(Malformed::new(Reason::Name, "outermost node has a name"));
    }
    check_payload(node.tag, node.payload, allowed)?;
    Ok(node)
}

/// Checks the payload of a tag, as [`check`] does. The payload itself is the first level.
pub fn check_payload(tag: Tag, payload: &[u8], allowed: Allowed) -> Result<(), Malformed> {
    check_scalar(tag, payload, allowed)?;
    if tag.is_nested() { check_children(tag, payload, allowed) } else { Ok(()) }
}

/// Walks without recursion: what is inside a node is next, what follows it waits on a stack of bounded depth.
fn check_children(tag: Tag, payload: &[u8], allowed: Allowed) -> Result<(), Malformed> {
    struct Level<'a> {
        tag: Tag,
        rest: &'a [u8],
        nodes: usize,
    }
    let mut stack = Vec::with_capacity(8);
    let mut level = Level { tag, rest: payload, nodes: 0 };
    loop {
        if level.rest.is_empty() {
            if level.tag == Tag::Pairs && level.nodes % 2 == 1 {
                return Err(Malformed::new(Reason::Payload, "map with a key that has no value"));
            }
            match stack.pop() {
                Some(outer) => level = outer,
                None => return Ok(()),
            }
            continue;
        }
        let (node, rest) = Node::read(level.rest)?;
        level.rest = rest;
        level.nodes += 1;
        match node.name {
            Name::None if level.tag.children_have_names() => {
                return Err(Malformed::new(Reason::Name, format!("nameless node in a {:?}", level.tag)));
            }
            Name::Entry(_) | Name::Inline(_) if !level.tag.children_have_names() => {
                return Err(Malformed::new(Reason::Name, format!("named node in a {:?}", level.tag)));
            }
            Name::Entry(number) if usize::from(number) >= allowed.names => {
                return Err(Malformed::new(Reason::Name, format!("dictionary entry {number} of {}", allowed.names)));
            }
            _ => {}
        }
        check_scalar(node.tag, node.payload, allowed)?;
        if node.tag.is_nested() {
            // The payload that was given is level 1, its nodes are level 2.
            if stack.len() + 3 > NESTING_MAX && !node.payload.is_empty() {
                return Err(Malformed::new(Reason::Nesting, format!("more than {NESTING_MAX} levels")));
            }
            stack.push(std::mem::replace(&mut level, Level { tag: node.tag, rest: node.payload, nodes: 0 }));
        }
    }
}

fn check_scalar(tag: Tag, payload: &[u8], allowed: Allowed) -> Result<(), Malformed> {
    if let Some(size) = tag.fixed_size() {
        if payload.len() != size {
            return Err(Malformed::new(Reason::Payload, format!("{tag:?} of {} bytes", payload.len())));
        }
        if tag == Tag::Boolean && payload[0] > 1 {
            return Err(Malformed::new(Reason::Payload, format!("boolean {}", payload[0])));
        }
        return Ok(());
    }
    match tag {
        Tag::String if simdutf8::basic::from_utf8(payload).is_err() => {
            Err(Malformed::new(Reason::Utf8, "string is not UTF-8"))
        }
        Tag::Number if !allowed.numbers => Err(Malformed::new(Reason::Tag, "number text in a value with a schema")),
        Tag::Number if !is_json_number(payload) => Err(Malformed::new(
            Reason::Number,
            format!("\"{}\" is not a JSON number", String::from_utf8_lossy(&payload[..payload.len().min(40)])),
        )),
        Tag::Decimal if payload.len() < 5 => {
            Err(Malformed::new(Reason::Payload, format!("decimal of {} bytes", payload.len())))
        }
        Tag::Decimal if payload.len() > 4 + UNSCALED_BYTES_MAX => {
            Err(Malformed::new(Reason::Limit, format!("decimal of {} bytes", payload.len())))
        }
        _ => Ok(()),
    }
}

/// Names with their numbers, in the order of their first use. Kept between batches for its memory.
#[derive(Clone, Debug, Default)]
pub struct Dictionary {
    names: IndexSet<Box<str>>,
}

impl Dictionary {
    /// An empty dictionary.
    pub fn new() -> Dictionary {
        Dictionary::default()
    }

    /// The number of a name, new if need be; none when the dictionary is full.
    pub fn intern(&mut self, name: &str) -> Option<u16> {
        if let Some(number) = self.names.get_index_of(name) {
            return Some(number as u16);
        }
        if self.names.len() >= NAMES_MAX {
            return None;
        }
        Some(self.names.insert_full(name.into()).0 as u16)
    }

    /// The text of a number.
    pub fn get(&self, number: u16) -> Option<&str> {
        self.names.get_index(usize::from(number)).map(|name| &**name)
    }

    /// All names in the order of their numbers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Forgets all names.
    pub fn clear(&mut self) {
        self.names.clear();
    }
}

/// Where an open node begins; [`Writer::close`] writes its length.
#[derive(Debug)]
#[must_use = "a node that is not closed has length 0"]
pub struct Open(usize);

/// Appends nodes to a buffer. Whoever writes is trusted: names must be entries, text must be UTF-8, numbers JSON.
#[derive(Debug)]
pub struct Writer<'b> {
    out: &'b mut Vec<u8>,
}

impl<'b> Writer<'b> {
    /// A writer at the end of `out`.
    pub fn new(out: &'b mut Vec<u8>) -> Writer<'b> {
        Writer { out }
    }

    /// Begins a node; its payload is what is written until it is closed.
    #[inline]
    pub fn open(&mut self, name: Name<'_>, tag: Tag) -> Open {
        let at = self.out.len();
        self.header(name, tag, 0);
        Open(at)
    }

    /// Ends a node.
    #[inline]
    pub fn close(&mut self, open: Open) {
        let length = (self.out.len() - open.0 - HEADER) as u32;
        self.out[open.0 + 4..open.0 + 8].copy_from_slice(&length.to_le_bytes());
    }

    /// A whole node with a payload that is there already.
    #[inline]
    pub fn node(&mut self, name: Name<'_>, tag: Tag, payload: &[u8]) {
        self.header(name, tag, payload.len());
        self.out.extend_from_slice(payload);
    }

    /// Bytes of the payload of the open node.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Null.
    #[inline]
    pub fn null(&mut self, name: Name<'_>) {
        self.node(name, Tag::Null, &[]);
    }

    /// A boolean.
    #[inline]
    pub fn boolean(&mut self, name: Name<'_>, value: bool) {
        self.node(name, Tag::Boolean, &[u8::from(value)]);
    }

    /// A 64-bit integer.
    #[inline]
    pub fn int64(&mut self, name: Name<'_>, value: i64) {
        self.node(name, Tag::Int64, &value.to_le_bytes());
    }

    /// A double.
    #[inline]
    pub fn float64(&mut self, name: Name<'_>, value: f64) {
        self.node(name, Tag::Float64, &value.to_le_bytes());
    }

    /// A string.
    #[inline]
    pub fn string(&mut self, name: Name<'_>, value: &str) {
        self.node(name, Tag::String, value.as_bytes());
    }

    #[inline]
    fn header(&mut self, name: Name<'_>, tag: Tag, length: usize) {
        let (number, inline) = match name {
            Name::None => (NO_NAME, None),
            Name::Entry(number) => (number, None),
            Name::Inline(text) => (NO_NAME, Some(text)),
        };
        let length = length + inline.map_or(0, |text| 4 + text.len());
        let mut header = [0; HEADER];
        header[..2].copy_from_slice(&number.to_le_bytes());
        header[2] = tag as u8;
        header[3] = u8::from(inline.is_some());
        header[4..].copy_from_slice(&(length as u32).to_le_bytes());
        self.out.extend_from_slice(&header);
        if let Some(text) = inline {
            self.out.extend_from_slice(&(text.len() as u32).to_le_bytes());
            self.out.extend_from_slice(text.as_bytes());
        }
    }
}
