//! Nodes in and out: batches of sources, and batches for sinks that want nodes.

use std::sync::Arc;

use super::decode::Message;
use super::layout::{Layout, LayoutId, Origin};
use super::plan::Side;
use super::source::{Base, Source, string_inside};
use super::{Body, Failure, FailureKind, Form, Header, Part, State, View};
use crate::batch::{BatchReader, Datum, Encoding};
use crate::json::scan::{scalar, skip_space};
use crate::json::{ShapeId, Slot};
use crate::schema::Kind;
use crate::tlv::{Dictionary, NESTING_MAX, Name, Node, Nodes, Tag, Writer};
use crate::{Schema, SchemaId, SchemaTable, Value};

impl<'a> View<'a> {
    /// Adds the records of a source's batch, in their order. The batch must have been checked against the schema table
    /// ([`BatchReader::check_schemas`]). A record without a topic has the empty one.
    pub fn push_batch(&mut self, batch: &BatchReader<'a>, schemas: &SchemaTable) {
        self.names = batch.names().to_vec();
        for at in 0..batch.len() {
            let record = self.len();
            self.push_metadata(&Message {
                topic: batch.topic(at).unwrap_or_default(),
                partition: batch.partition(at).unwrap_or(-1),
                offset: batch.offset(at).unwrap_or(-1),
                timestamp: batch.timestamp(at).unwrap_or(-1),
                append_time: false,
                key: None,
                value: None,
                headers: &[],
            });
            self.flags[record] = batch.flags(at);
            self.push_datum(Side::Value, batch.value(at), batch.value_encoding(), schemas);
            self.push_datum(Side::Key, batch.key(at), batch.key_encoding(), schemas);
            let first = self.headers.len() as u32;
            for header in batch.headers(at) {
                let name = self.workspace.scanner.shapes.intern(header.name);
                let tree = header.value.bytes.and_then(|bytes| Node::read(bytes).ok());
                let source = match tree {
                    Some((node, _)) => {
                        let tree = Value::from_node(&node, &self.names);
                        self.keep_tree(tree)
                    }
                    None => Source::NULL,
                };
                self.headers.push(Header { name, schema: header.value.schema, source });
            }
            self.header_ranges.push((first, self.headers.len() as u32));
        }
    }

    pub(super) fn push_metadata(&mut self, message: &Message<'_, '_>) {
        let topic = self.topic_id(message.topic);
        self.topics.push(topic);
        self.partitions.push(message.partition);
        self.offsets.push(message.offset);
        self.timestamps.push(message.timestamp);
        self.flags.push(u8::from(message.append_time));
        self.states.push(State::Live);
    }

    fn push_datum(&mut self, side: Side, datum: Datum<'a>, encoding: Encoding, schemas: &SchemaTable) {
        let record = self.sides[side as usize].len();
        let original = datum.bytes.unwrap_or_default();
        let base = Base::Original(side);
        let body = match (datum.bytes, encoding) {
            (None, _) => Body::Whole(Source::NULL),
            (Some(bytes), Encoding::Tlv) => match Node::read(bytes) {
                Ok((node, _)) => self.node_body(base, original, node, datum.schema, schemas),
                Err(_) => Body::Whole(Source::NULL),
            },
            (Some(bytes), Encoding::Raw | Encoding::Text) => {
                let tag = if datum.schema.is_bytes() { Tag::Bytes } else { Tag::String };
                Body::Whole(Source::Payload { base, tag, start: 0, end: bytes.len() as u32 })
            }
        };
        self.sides[side as usize].push(Part { original, schema: datum.schema, body });
        if let Some(schema) = schemas.get(datum.schema)
            && let Err(message) = self.check_schema(record, side, schema)
        {
            let stage = super::encode::stage(side);
            self.fail(record, Failure { stage, kind: FailureKind::Data, message });
        }
    }

    /// Makes the values of a record fit the schema that its source named.
    pub(super) fn check_schema(&mut self, record: usize, side: Side, schema: &Arc<Schema>) -> Result<(), String> {
        let part = &self.sides[side as usize][record];
        let id = part.schema;
        let body = match part.body {
            // A tombstone is a tombstone, whatever the schema says.
            Body::Whole(source) if source == Source::NULL => return Ok(()),
            Body::Whole(source) => Body::Whole(self.fit(record, source, None, schema)?),
            Body::Fields { layout, slots, form, start, end } => {
                let Kind::Struct(_) = schema.kind else {
                    return Err(format!("a struct where the schema says {}", schema.kind.connect_name()));
                };
                let mut own: Option<Layout> = None;
                for at in 0..self.layouts.get(layout).fields.len() {
                    let field = &self.layouts.get(layout).fields[at];
                    let (name, origin) = (field.name, field.origin);
                    let Some(to) = field.schema.clone() else {
                        return Err(format!("field \"{}\" is not in the schema", self.name(name)));
                    };
                    let source = self.resolve(record, origin, slots, form);
                    let fitted = self
                        .fit(record, source, None, &to)
                        .map_err(|message| format!("field \"{}\": {message}", self.name(name)))?;
                    if fitted != source {
                        let own = own.get_or_insert_with(|| self.layouts.get(layout).clone());
                        own.fields[at].origin = Origin::Constant(fitted);
                    }
                }
                let layout = own.map_or(layout, |own| self.layouts.add(own));
                if let Some(missing) = self.missing_field(layout, schema) {
                    return Err(missing);
                }
                debug_assert_eq!(self.layouts.get(layout).schema, id);
                Body::Fields { layout, slots, form, start, end }
            }
        };
        self.sides[side as usize][record].body = body;
        Ok(())
    }

    fn node_body(
        &mut self,
        base: Base,
        original: &'a [u8],
        node: Node<'a>,
        schema: SchemaId,
        schemas: &SchemaTable,
    ) -> Body {
        // All of it was checked when the batch was read, so a payload is a part of the bytes it came in.
        let position = |payload: &[u8]| payload.as_ptr() as usize - original.as_ptr() as usize;
        let start = position(node.payload) as u32;
        let whole = Slot { key: node.tag as u32, start, end: start + node.payload.len() as u32 };
        let has_fields = node.tag == Tag::Struct || (node.tag == Tag::Map && schema == SchemaId::NONE);
        if !has_fields {
            return Body::Whole(node_source(original, base, whole));
        }
        let slots = self.slots.len() as u32;
        let mut members = std::mem::take(&mut self.members);
        members.clear();
        for child in node.children() {
            let name = child.name.text(&self.names).unwrap_or_default();
            members.push(self.workspace.scanner.shapes.intern(name));
            let start = position(child.payload) as u32;
            self.slots.push(Slot { key: child.tag as u32, start, end: start + child.payload.len() as u32 });
        }
        let shape = self.workspace.scanner.shapes.shape(&members);
        self.members = members;
        let layout = match schemas.get(schema) {
            None => self.layouts.of_shape(shape, &self.workspace.scanner.shapes),
            Some(tree) => self.layout_of_nodes(shape, schema, tree),
        };
        Body::Fields { layout, slots, form: Form::Nodes(base), start: whole.start, end: whole.end }
    }

    /// The layout of structs of nodes: as they came, each field with its schema if the schema has it.
    fn layout_of_nodes(&mut self, shape: ShapeId, id: SchemaId, schema: &Arc<Schema>) -> LayoutId {
        if let Some(layout) = self.typed_layouts[self.role].get(&(shape, id)) {
            return *layout;
        }
        let plain = self.layouts.of_shape(shape, &self.workspace.scanner.shapes);
        let mut layout = self.layouts.get(plain).clone();
        layout.schema = id;
        for field in &mut layout.fields {
            let name = self.workspace.scanner.shapes.name(field.name);
            field.schema = schema.field(name).map(|own| Arc::clone(&own.schema));
        }
        let layout = self.layouts.add(layout);
        self.typed_layouts[self.role].insert((shape, id), layout);
        layout
    }

    pub(super) fn node_source(&self, record: usize, base: Base, slot: Slot) -> Source {
        match base {
            Base::Original(side) => node_source(self.sides[side as usize][record].original, base, slot),
            Base::Heap => node_source(&self.heap, base, slot),
        }
    }

    /// Whether a key or value can be taken apart: written as nodes or by a converter other than JSON, which do not nest as
    /// deeply as JSON may. The error says how deep they do.
    pub fn check_depth(&self, record: usize, side: Side) -> Result<(), String> {
        let deep = match self.sides[side as usize][record].body {
            Body::Whole(source) => self.is_deeper(record, source, NESTING_MAX),
            Body::Fields { layout, form: Form::Json(base), start, end, .. } if self.layouts.get(layout).untouched => {
                self.is_deeper(record, Source::Json { base, start, end }, NESTING_MAX)
            }
            Body::Fields { layout, slots, form, .. } => {
                // Few brackets are the rule; then only trees can be deep.
                let flat = self.sides.iter().all(|parts| brackets(parts[record].original) < NESTING_MAX - 1);
                let mut fields = self.layouts.get(layout).fields.iter();
                fields.any(|field| match self.resolve(record, field.origin, slots, form) {
                    Source::Json { base: Base::Original(_), .. } if flat => false,
                    source => self.is_deeper(record, source, NESTING_MAX - 1),
                })
            }
        };
        if deep { Err(TOO_DEEP.to_owned()) } else { Ok(()) }
    }

    /// As [`View::check_depth`] for a part of a key or value.
    pub(super) fn check_source(&self, record: usize, source: Source) -> Result<(), String> {
        if self.is_deeper(record, source, NESTING_MAX) { Err(TOO_DEEP.to_owned()) } else { Ok(()) }
    }

    /// Whether a value has more than `max` levels, itself and the scalars in it included.
    fn is_deeper(&self, record: usize, source: Source, max: usize) -> bool {
        match source {
            Source::Json { base, start, end } => is_deeper(self.bytes(record, base, start, end), max),
            Source::Tree(at) => tree_depth(&self.trees[at as usize]) > max,
            // A payload was inside a value that was checked, below its top.
            Source::Payload { tag, .. } => tag.is_nested() && max < NESTING_MAX - 1,
            Source::Missing | Source::Fixed { .. } => false,
        }
    }

    /// Whether the JSON that a record came in is nested more deeply than trees and nodes may be.
    pub(super) fn is_deep(&self, record: usize) -> bool {
        // What was made of a record was made of one that is not; looking into each of a thousand copies would take long.
        !self.is_piece(record) && self.sides.iter().any(|parts| is_deeper(parts[record].original, NESTING_MAX))
    }

    pub(super) fn write_node(
        &self,
        record: usize,
        side: Side,
        schemas: &SchemaTable,
        writer: &mut Writer<'_>,
        names: &mut NodeNames<'_>,
    ) {
        let part = &self.sides[side as usize][record];
        match part.body {
            Body::Whole(source) => {
                self.write_source_node(record, None, source, schemas.get(part.schema), writer, names);
            }
            Body::Fields { .. } => {
                let tag = if part.schema == SchemaId::NONE { Tag::Map } else { Tag::Struct };
                let open = writer.open(Name::None, tag);
                self.write_field_nodes(record, side, writer, names);
                writer.close(open);
            }
        }
    }

    /// Appends the payload of an object: its fields as nodes.
    pub(super) fn write_payload(&self, record: usize, side: Side, out: &mut Vec<u8>, names: &mut NodeNames<'_>) {
        self.write_field_nodes(record, side, &mut Writer::new(out), names);
    }

    fn write_field_nodes(&self, record: usize, side: Side, writer: &mut Writer<'_>, names: &mut NodeNames<'_>) {
        let Body::Fields { layout, slots, form, .. } = self.sides[side as usize][record].body else { return };
        for field in &self.layouts.get(layout).fields {
            let source = self.resolve(record, field.origin, slots, form);
            let name = Some(self.name(field.name));
            self.write_source_node(record, name, source, field.schema.as_ref(), writer, names);
        }
    }

    fn write_source_node(
        &self,
        record: usize,
        name: Option<&str>,
        source: Source,
        schema: Option<&Arc<Schema>>,
        writer: &mut Writer<'_>,
        names: &mut NodeNames<'_>,
    ) {
        match source {
            Source::Json { base, start, end } if schema.is_none() => {
                let text = self.bytes(record, base, start, end);
                JsonNodes { text, at: 0, writer, names }.value(name);
            }
            Source::Fixed { tag, bits } => {
                let size = tag.fixed_size().unwrap_or(0);
                let name = names.name(name);
                writer.node(name, tag, &bits.to_le_bytes()[..size]);
            }
            Source::Payload { base, tag, start, end } if !tag.is_nested() => {
                let name = names.name(name);
                writer.node(name, tag, self.bytes(record, base, start, end));
            }
            Source::Payload { base, tag, start, end } => {
                let name = names.name(name);
                let open = writer.open(name, tag);
                copy_children(self.bytes(record, base, start, end), &self.names, writer, names);
                writer.close(open);
            }
            source => {
                let mut node = Vec::new();
                self.tree(record, source, schema).write_node(name, names.dictionary, &mut node);
                writer.raw(&node);
            }
        }
    }
}

/// Appends nodes that were checked, with the numbers that their names have in another dictionary.
fn copy_children(nodes: &[u8], known: &[&str], writer: &mut Writer<'_>, names: &mut NodeNames<'_>) {
    for node in Nodes::new(nodes) {
        let name = names.name(node.name.text(known));
        if node.tag.is_nested() {
            let open = writer.open(name, node.tag);
            copy_children(node.payload, known, writer, names);
            writer.close(open);
        } else {
            writer.node(name, node.tag, node.payload);
        }
    }
}

/// The dictionary of an arena with a cache in front of it: the few names of a batch come again and again.
pub(super) struct NodeNames<'d> {
    dictionary: &'d mut Dictionary,
    cache: &'d mut NameCache,
}

/// Numbers in a dictionary by a hash of the name. It may be wrong: whoever uses it compares.
pub(super) struct NameCache([u16; NAME_CACHE]);

const NAME_CACHE: usize = 512;

impl NameCache {
    pub(super) fn new() -> NameCache {
        NameCache([0; NAME_CACHE])
    }

    pub(super) fn of<'d>(&'d mut self, dictionary: &'d mut Dictionary) -> NodeNames<'d> {
        NodeNames { dictionary, cache: self }
    }
}

impl NodeNames<'_> {
    fn name<'n>(&mut self, name: Option<&'n str>) -> Name<'n> {
        let Some(text) = name else { return Name::None };
        let slot = &mut self.cache.0[name_hash(text.as_bytes()) % NAME_CACHE];
        if self.dictionary.get(*slot) == Some(text) {
            return Name::Entry(*slot);
        }
        match self.dictionary.intern(text) {
            Some(number) => {
                *slot = number;
                Name::Entry(number)
            }
            None => Name::Inline(text),
        }
    }
}

/// A hash of the length and the first and last bytes: names that agree in those share a place in the cache.
fn name_hash(name: &[u8]) -> usize {
    let word = |bytes: &[u8]| {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(word)
    };
    let half = name.len().min(8);
    let mixed = word(&name[..half]) ^ word(&name[name.len() - half..]).rotate_left(29) ^ name.len() as u64;
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as usize
}

pub(super) fn node_source(bytes: &[u8], base: Base, slot: Slot) -> Source {
    let tag = Tag::of(slot.key as u8).unwrap_or(Tag::Null);
    let Some(size) = tag.fixed_size() else {
        return Source::Payload { base, tag, start: slot.start, end: slot.end };
    };
    let mut raw = [0; 8];
    raw[..size].copy_from_slice(&bytes[slot.start as usize..slot.end as usize]);
    let raw = u64::from_le_bytes(raw);
    let bits = match tag {
        // Cells have integers with their sign.
        Tag::Int8 => i64::from(raw as i8) as u64,
        Tag::Int16 => i64::from(raw as i16) as u64,
        Tag::Int32 | Tag::Date | Tag::Time => i64::from(raw as i32) as u64,
        _ => raw,
    };
    Source::Fixed { tag, bits }
}

/// What is said of values that cannot be nodes.
pub(super) const TOO_DEEP: &str = "nested more than 64 levels deep";

/// Whether a JSON text that the scanner has accepted has more than `max` levels, the scalars inside included.
pub(super) fn is_deeper(text: &[u8], max: usize) -> bool {
    // Few brackets are the rule and cannot be nested deeply.
    brackets(text) >= max && depth(text) > max
}

fn brackets(text: &[u8]) -> usize {
    text.iter().filter(|&&byte| byte == b'{' || byte == b'[').count()
}

fn tree_depth(tree: &Value) -> usize {
    let inner = match tree {
        Value::Array(items) => items.iter().map(tree_depth).max(),
        Value::Map(members) | Value::Struct(members) => members.iter().map(|(_, value)| tree_depth(value)).max(),
        Value::Pairs(pairs) => pairs.iter().map(|(key, value)| tree_depth(key).max(tree_depth(value))).max(),
        _ => None,
    };
    1 + inner.unwrap_or(0)
}

/// Levels of arrays and objects in a JSON text that the scanner has accepted, and one for the scalars inside.
fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (1usize, 1, false, false);
    for &byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            // Bytes that are no JSON may close more than they open.
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Writes a JSON text without a schema as nodes, in one pass. The scanner has accepted the text and
/// [`View::check_depth`] its depth, so it may recurse and need not check.
struct JsonNodes<'n, 'd, 'w, 't> {
    text: &'t [u8],
    at: usize,
    writer: &'n mut Writer<'w>,
    names: &'n mut NodeNames<'d>,
}

/// Appends the payload of a JSON array or object.
pub(super) fn json_payload(text: &[u8], out: &mut Vec<u8>, names: &mut NodeNames<'_>) {
    let mut writer = Writer::new(out);
    let mut nodes = JsonNodes { text, at: 0, writer: &mut writer, names };
    match nodes.byte() {
        b'{' => nodes.members(),
        b'[' => nodes.items(),
        _ => {}
    }
}

impl<'t> JsonNodes<'_, '_, '_, 't> {
    fn byte(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn space(&mut self) {
        self.at = skip_space(self.text, self.at);
    }

    /// Takes the scalar that comes next.
    fn scalar(&mut self) -> &'t [u8] {
        let end = scalar(self.text, self.at).unwrap_or(self.text.len());
        let text = &self.text[self.at..end];
        self.at = end;
        text
    }

    fn value(&mut self, name: Option<&str>) {
        let name = self.names.name(name);
        match self.byte() {
            b'{' => {
                let open = self.writer.open(name, Tag::Map);
                self.members();
                self.writer.close(open);
            }
            b'[' => {
                let open = self.writer.open(name, Tag::Array);
                self.items();
                self.writer.close(open);
            }
            first => {
                let text = self.scalar();
                match first {
                    b'"' => {
                        let mut scratch = Vec::new();
                        self.writer.node(name, Tag::String, string_inside(text, &mut scratch));
                    }
                    b't' | b'f' => self.writer.boolean(name, first == b't'),
                    b'n' => self.writer.null(name),
                    _ => self.writer.node(name, Tag::Number, text),
                }
            }
        }
    }

    fn members(&mut self) {
        self.at += 1;
        self.space();
        while self.byte() == b'"' {
            let mut scratch = Vec::new();
            let text = self.scalar();
            let name = std::str::from_utf8(string_inside(text, &mut scratch)).unwrap_or_default();
            self.space();
            self.at += 1;
            self.space();
            self.value(Some(name));
            self.separator();
        }
        self.at += 1;
    }

    fn items(&mut self) {
        self.at += 1;
        self.space();
        while self.at < self.text.len() && self.byte() != b']' {
            self.value(None);
            self.separator();
        }
        self.at += 1;
    }

    fn separator(&mut self) {
        self.space();
        if self.byte() == b',' {
            self.at += 1;
            self.space();
        }
    }
}
