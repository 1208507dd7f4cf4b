//! Nodes in and out: batches of sources, and batches for sinks that want nodes.

use std::sync::Arc;

use super::decode::Message;
use super::layout::{Layout, LayoutId, Origin};
use super::plan::Side;
use super::source::{Base, Source, string_inside};
use super::{Body, Failure, FailureKind, Form, Header, Part, State, View};
use crate::batch::{BatchReader, Datum, Encoding};
use crate::json::scan::{skip_space, value};
use crate::json::{ShapeId, Slot};
use crate::schema::Kind;
use crate::tlv::{Dictionary, NESTING_MAX, Name, Node, Tag, Writer};
use crate::{Schema, SchemaId, SchemaTable};

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
                        let tree = crate::Value::from_node(&node, &self.names);
                        self.keep_tree(tree)
                    }
                    None => Source::NULL,
                };
                self.headers.push(Header { name, schema: header.value.schema, source });
            }
            self.header_ranges.push((first, self.headers.len() as u32));
        }
    }

    pub(super) fn push_metadata(&mut self, message: &Message<'_>) {
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
    fn check_schema(&mut self, record: usize, side: Side, schema: &Arc<Schema>) -> Result<(), String> {
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
        if let Some(layout) = self.typed_layouts.get(&(shape, id)) {
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
        self.typed_layouts.insert((shape, id), layout);
        layout
    }

    pub(super) fn node_source(&self, record: usize, base: Base, slot: Slot) -> Source {
        match base {
            Base::Original(side) => node_source(self.sides[side as usize][record].original, base, slot),
            Base::Heap => node_source(&self.heap, base, slot),
        }
    }

    /// Whether the value can be written as nodes: they are not nested as deeply as JSON may be.
    pub(super) fn check_depth(&self, record: usize, side: Side) -> Result<(), String> {
        let (base, start, end) = match self.sides[side as usize][record].body {
            Body::Whole(Source::Json { base, start, end })
            | Body::Fields { form: Form::Json(base), start, end, .. } => (base, start, end),
            _ => return Ok(()),
        };
        let text = self.bytes(record, base, start, end);
        // Few brackets are the rule and cannot be nested deeply.
        let brackets = text.iter().filter(|&&byte| byte == b'{' || byte == b'[').count();
        if brackets >= NESTING_MAX && depth(text) >= NESTING_MAX {
            return Err(format!("nested more than {NESTING_MAX} levels deep"));
        }
        Ok(())
    }

    pub(super) fn write_node(
        &self,
        record: usize,
        side: Side,
        schemas: &SchemaTable,
        writer: &mut Writer<'_>,
        names: &mut Dictionary,
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
    pub(super) fn write_payload(&self, record: usize, side: Side, out: &mut Vec<u8>, names: &mut Dictionary) {
        self.write_field_nodes(record, side, &mut Writer::new(out), names);
    }

    fn write_field_nodes(&self, record: usize, side: Side, writer: &mut Writer<'_>, names: &mut Dictionary) {
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
        names: &mut Dictionary,
    ) {
        match source {
            Source::Json { base, start, end } if schema.is_none() => {
                let text = self.bytes(record, base, start, end);
                JsonNodes { text, at: 0, writer, names, scratch: Vec::new() }.value(name);
            }
            Source::Fixed { tag, bits } => {
                let size = tag.fixed_size().unwrap_or(0);
                let name = named(name, names);
                writer.node(name, tag, &bits.to_le_bytes()[..size]);
            }
            Source::Payload { base, tag, start, end } if !tag.is_nested() => {
                let name = named(name, names);
                writer.node(name, tag, self.bytes(record, base, start, end));
            }
            source => {
                let mut node = Vec::new();
                self.tree(record, source, schema).write_node(name, names, &mut node);
                writer.raw(&node);
            }
        }
    }
}

fn named<'n>(name: Option<&'n str>, names: &mut Dictionary) -> Name<'n> {
    match name {
        None => Name::None,
        Some(text) => names.intern(text).map_or(Name::Inline(text), Name::Entry),
    }
}

fn node_source(bytes: &[u8], base: Base, slot: Slot) -> Source {
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

/// Levels of arrays and objects in a JSON text that the scanner has accepted, and one for the scalars inside.
pub(super) fn depth(text: &[u8]) -> usize {
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
            b'}' | b']' if !in_string => depth -= 1,
            _ => {}
        }
    }
    deepest
}

/// Writes a JSON text without a schema as nodes, in one pass. The scanner has accepted the text and
/// [`View::check_depth`] its depth, so it may recurse and need not check.
pub(super) struct JsonNodes<'n, 'w, 't> {
    text: &'t [u8],
    at: usize,
    writer: &'n mut Writer<'w>,
    names: &'n mut Dictionary,
    scratch: Vec<u8>,
}

impl JsonNodes<'_, '_, '_> {
    /// Appends the payload of an array or object.
    pub(super) fn write_payload(text: &[u8], out: &mut Vec<u8>, names: &mut Dictionary) {
        let mut writer = Writer::new(out);
        let mut nodes = JsonNodes { text, at: 0, writer: &mut writer, names, scratch: Vec::new() };
        match nodes.byte() {
            b'{' => nodes.members(),
            b'[' => nodes.items(),
            _ => {}
        }
    }

    fn byte(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn space(&mut self) {
        self.at = skip_space(self.text, self.at);
    }

    fn scalar_end(&self) -> usize {
        value(self.text, self.at, 0).unwrap_or(self.text.len())
    }

    fn value(&mut self, name: Option<&str>) {
        let name = named(name, self.names);
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
                let end = self.scalar_end();
                let text = &self.text[self.at..end];
                self.at = end;
                match first {
                    b'"' => self.writer.node(name, Tag::String, string_inside(text, &mut self.scratch)),
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
            let end = self.scalar_end();
            let inside = string_inside(&self.text[self.at..end], &mut self.scratch);
            let name = std::str::from_utf8(inside).unwrap_or_default().to_owned();
            self.at = end;
            self.space();
            self.at += 1;
            self.space();
            self.value(Some(&name));
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
