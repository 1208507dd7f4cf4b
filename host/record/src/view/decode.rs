//! From bytes to a view: messages from Kafka through converters, or batches from a source.

use std::collections::HashMap;
use std::sync::Arc;

use super::convert::{Converter, Converters, HeaderConverter, null_schema};
use super::layout::{Field, Layout, LayoutId, Origin};
use super::plan::Side;
use super::source::{Base, Source};
use super::{Body, Failure, FailureKind, Form, Header, Part, Stage, View};
use crate::json::scan::{check_utf8, skip_space, value};
use crate::json::{Kind as JsonKind, Root, ShapeId, Slot};
use crate::schema::Kind;
use crate::tlv::Tag;
use crate::{Schema, SchemaId, SchemaTable};

/// A message from Kafka. Its bytes must stay where they are until the view is gone.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a, 'h> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since 1970, −1 for none.
    pub timestamp: i64,
    /// The timestamp is the time at which the broker appended the message.
    pub append_time: bool,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: &'h [(&'h str, Option<&'h [u8]>)],
}

/// The schemas of envelopes by their text, so that a record's schema is compared, not parsed.
#[derive(Default)]
pub(super) struct Envelopes {
    by_text: HashMap<Box<[u8]>, SchemaId>,
    last: [Option<(Box<[u8]>, SchemaId)>; 2],
}

/// Texts beyond this many are parsed each time.
const ENVELOPES_MAX: usize = 1000;

impl<'a> View<'a> {
    /// Adds a message as the next record. One that cannot be decoded is there too, as a failed one.
    pub fn push(&mut self, message: Message<'a, '_>, converters: &Converters, schemas: &mut SchemaTable) {
        let record = self.len();
        self.push_metadata(&message);
        for (side, bytes, converter, stage) in [
            (Side::Value, message.value, converters.value, Stage::ValueConverter),
            (Side::Key, message.key, converters.key, Stage::KeyConverter),
        ] {
            let original = bytes.unwrap_or_default();
            // Text and bytes stay as they are. They are put in place here: a body that is handed around costs more than all
            // the rest.
            let payload =
                |tag| Source::Payload { base: Base::Original(side), tag, start: 0, end: original.len() as u32 };
            let source = match (bytes, converter) {
                (None, _) => Some(Source::NULL),
                (Some(_), Converter::Bytes) => Some(payload(Tag::Bytes)),
                (Some(text), Converter::String) if check_utf8(text).is_ok() => Some(payload(Tag::String)),
                _ => None,
            };
            if let Some(source) = source {
                let schema = null_schema(converter);
                self.sides[side as usize].push(Part { original, schema, body: Body::Whole(source) });
                continue;
            }
            // The part is there before it is decoded: a layout of its own may point into it.
            self.sides[side as usize].push(Part { original, schema: SchemaId::NONE, body: Body::Whole(Source::NULL) });
            self.act_for(stage);
            match self.decode(side, original, converter, schemas) {
                Ok((body, schema)) => {
                    let part = &mut self.sides[side as usize][record];
                    part.body = body;
                    part.schema = schema;
                }
                Err(message) => self.fail(record, Failure { stage, kind: FailureKind::Data, message }),
            }
        }
        self.push_headers(record, message.headers, converters.header, schemas);
        self.act_for(Stage::Transformation);
    }

    fn push_headers(
        &mut self,
        record: usize,
        headers: &[(&str, Option<&[u8]>)],
        converter: HeaderConverter,
        schemas: &mut SchemaTable,
    ) {
        self.act_for(Stage::HeaderConverter);
        let first = self.headers.len() as u32;
        for (name, bytes) in headers {
            let name = self.workspace.scanner.shapes.intern(name);
            let decoded = match bytes {
                None => Ok((null_header_schema(converter), Source::NULL)),
                Some(bytes) => self.decode_header(bytes, converter, schemas),
            };
            match decoded {
                Ok((schema, source)) => self.headers.push(Header { name, schema, source }),
                Err(message) => {
                    self.fail(record, Failure { stage: Stage::HeaderConverter, kind: FailureKind::Data, message });
                    break;
                }
            }
        }
        self.header_ranges.push((first, self.headers.len() as u32));
    }

    fn decode_header(
        &mut self,
        bytes: &[u8],
        converter: HeaderConverter,
        schemas: &mut SchemaTable,
    ) -> Result<(SchemaId, Source), String> {
        let (schema, payload) = match converter {
            HeaderConverter::Simple => return self.read_simple(bytes, schemas),
            HeaderConverter::As(Converter::Json { schemas: false }) if is_blank(bytes) => {
                return Ok((SchemaId::NONE, Source::NULL));
            }
            HeaderConverter::As(Converter::Json { schemas: enveloped }) => {
                let text = json_text(bytes)?;
                match enveloped {
                    true => {
                        let slots = self.slots.len();
                        let envelope = self.envelope(Side::Value, bytes, schemas);
                        self.slots.truncate(slots);
                        let (schema, root) = envelope?;
                        (schema, &text[root.start as usize..root.end as usize])
                    }
                    false => (SchemaId::NONE, text),
                }
            }
            HeaderConverter::As(Converter::JsonOf(schema)) => (schema, json_text(bytes)?),
            HeaderConverter::As(converter) => return self.read_plain(bytes, converter),
        };
        let tree = match schemas.get(schema) {
            Some(schema) => crate::Value::from_json_with(payload, schema, self.options()),
            None => crate::Value::from_json(payload),
        };
        let tree = tree.map_err(|error| error.to_string())?;
        Ok((schema, self.keep_tree(tree)))
    }

    pub(super) fn keep_payload(&mut self, tag: Tag, bytes: &[u8]) -> Source {
        let start = self.heap.len() as u32;
        self.heap.extend_from_slice(bytes);
        Source::Payload { base: Base::Heap, tag, start, end: self.heap.len() as u32 }
    }

    fn decode(
        &mut self,
        side: Side,
        bytes: &'a [u8],
        converter: Converter,
        schemas: &mut SchemaTable,
    ) -> Result<(Body, SchemaId), String> {
        match converter {
            Converter::Json { schemas: false } => {
                if is_blank(bytes) {
                    return Ok((Body::Whole(Source::NULL), SchemaId::NONE));
                }
                let slots = self.slots.len();
                let root = self.workspace.scanner.index(bytes, &mut self.slots).map_err(|error| error.to_string())?;
                Ok((self.json_body(Base::Original(side), root, slots), SchemaId::NONE))
            }
            Converter::Json { schemas: true } => {
                let slots = self.slots.len();
                let (schema, root) = self.envelope(side, bytes, schemas).inspect_err(|_| self.slots.truncate(slots))?;
                match schemas.get(schema) {
                    None => Ok((self.json_body(Base::Original(side), root, slots), SchemaId::NONE)),
                    Some(tree) => {
                        let tree = Arc::clone(tree);
                        Ok((self.typed_body(side, bytes, root, slots, schema, &tree)?, schema))
                    }
                }
            }
            Converter::JsonOf(schema) => {
                let slots = self.slots.len();
                let root = self.workspace.scanner.index(bytes, &mut self.slots).map_err(|error| error.to_string())?;
                let Some(tree) = schemas.get(schema).cloned() else {
                    return Ok((self.json_body(Base::Original(side), root, slots), SchemaId::NONE));
                };
                Ok((self.typed_body(side, bytes, root, slots, schema, &tree)?, schema))
            }
            _ => {
                let (schema, source) = self.read_plain(bytes, converter)?;
                Ok((Body::Whole(source), schema))
            }
        }
    }

    pub(super) fn json_body(&mut self, base: Base, root: Root, slots: usize) -> Body {
        match root.kind {
            JsonKind::Object(shape) => Body::Fields {
                layout: self.layouts.of_shape(shape, &self.workspace.scanner.shapes),
                slots: slots as u32,
                form: Form::Json(base),
                start: root.start,
                end: root.end,
            },
            JsonKind::Null => Body::Whole(Source::NULL),
            _ => Body::Whole(Source::Json { base, start: root.start, end: root.end }),
        }
    }

    /// Reads `{"schema":…,"payload":…}`, in either order; answers the number of the schema and the payload, whose slots
    /// were appended. After an error there may be slots too many.
    fn envelope(&mut self, side: Side, text: &[u8], schemas: &mut SchemaTable) -> Result<(SchemaId, Root), String> {
        const SHAPE: &str = "JsonConverter with schemas.enable requires \"schema\" and \"payload\" fields and may not \
                             contain additional fields. If you are trying to deserialize plain JSON data, set \
                             schemas.enable=false in your converter configuration.";
        check_utf8(text).map_err(|error| error.to_string())?;
        let byte = |at: usize| text.get(at).copied().unwrap_or(0);
        let mut at = skip_space(text, 0);
        let (mut schema, mut payload) = (None, None);
        if byte(at) != b'{' {
            // Either another JSON value or no JSON at all.
            value(text, at, 0).map_err(|error| error.to_string())?;
            return Err(SHAPE.to_owned());
        }
        loop {
            at = skip_space(text, at + 1);
            if byte(at) != b'"' {
                value(text, skip_space(text, 0), 0).map_err(|error| error.to_string())?;
                return Err(SHAPE.to_owned());
            }
            let behind = value(text, at, 1).map_err(|error| error.to_string())?;
            let name = &text[at..behind];
            at = skip_space(text, behind);
            if byte(at) != b':' {
                return Err(format!("not JSON at byte {at}: expected `:` after a field name"));
            }
            at = skip_space(text, at + 1);
            match name {
                b"\"schema\"" if schema.is_none() => {
                    let (id, end) = self.envelope_schema(side, text, at, schemas)?;
                    schema = Some(id);
                    at = end;
                }
                b"\"payload\"" if payload.is_none() => {
                    let scanner = &mut self.workspace.scanner;
                    let root = scanner.index_at(text, at, &mut self.slots).map_err(|error| error.to_string())?;
                    payload = Some(root);
                    at = root.end as usize;
                }
                _ => return Err(SHAPE.to_owned()),
            }
            at = skip_space(text, at);
            match byte(at) {
                b',' => {}
                b'}' => break,
                _ => return Err(format!("not JSON at byte {at}: expected `,` or a closing bracket")),
            }
        }
        at = skip_space(text, at + 1);
        if at != text.len() {
            return Err(format!("not JSON at byte {at}: expected nothing after the value"));
        }
        match (schema, payload) {
            (Some(schema), Some(root)) => Ok((schema, root)),
            _ => Err(SHAPE.to_owned()),
        }
    }

    /// The number of the schema whose text starts at `at`, and where the text ends.
    fn envelope_schema(
        &mut self,
        side: Side,
        text: &[u8],
        at: usize,
        schemas: &mut SchemaTable,
    ) -> Result<(SchemaId, usize), String> {
        let envelopes = &mut self.workspace.envelopes;
        // An object ends where its brackets close, so a text that begins with a whole one is that one.
        if let Some((last, id)) = &envelopes.last[side as usize]
            && text[at..].starts_with(last)
        {
            return Ok((*id, at + last.len()));
        }
        let end = value(text, at, 1).map_err(|error| error.to_string())?;
        let schema = &text[at..end];
        if schema == b"null" {
            return Ok((SchemaId::NONE, end));
        }
        let id = match envelopes.by_text.get(schema) {
            Some(id) => *id,
            None => {
                let utf8 = std::str::from_utf8(schema).map_err(|_| "a schema is not UTF-8".to_owned())?;
                let id = schemas.define_json(utf8).map_err(|error| error.to_string())?;
                if envelopes.by_text.len() < ENVELOPES_MAX {
                    envelopes.by_text.insert(schema.into(), id);
                }
                id
            }
        };
        if schema.starts_with(b"{") {
            envelopes.last[side as usize] = Some((schema.into(), id));
        }
        Ok((id, end))
    }

    /// The body of a JSON payload with a schema. Everything in it is checked now, so that reading it later cannot fail.
    pub(super) fn typed_body(
        &mut self,
        side: Side,
        text: &[u8],
        root: Root,
        slots: usize,
        id: SchemaId,
        schema: &Arc<Schema>,
    ) -> Result<Body, String> {
        let base = Base::Original(side);
        let (JsonKind::Object(shape), Kind::Struct(_)) = (root.kind, &schema.kind) else {
            self.slots.truncate(slots);
            let source = self.typed_source(base, text, root.start, root.end, schema)?;
            return Ok(match self.tree_fields(source, id, Some(schema)) {
                Some(body) => body,
                None => Body::Whole(source),
            });
        };
        let mut layout = self.layout_of_schema(shape, id, schema);
        // Fields that are not written as their schema wants them become values of the overlay, each record for itself.
        let mut edits: Vec<(usize, Source)> = Vec::new();
        for (at, field) in self.layouts.get(layout).fields.iter().enumerate() {
            let Origin::Slot(slot) = field.origin else { continue };
            let Some(schema) = &field.schema else { continue };
            let Slot { start, end, .. } = self.slots[slots + slot as usize];
            if !super::typed::fits(&text[start as usize..end as usize], schema) {
                edits.push((at, Source::Json { base, start, end }));
            }
        }
        if !edits.is_empty() {
            let mut own = self.layouts.get(layout).clone();
            own.untouched = false;
            for (at, source) in edits {
                let Source::Json { start, end, .. } = source else { continue };
                let Some(schema) = own.fields[at].schema.clone() else { continue };
                let source = self
                    .typed_source(base, text, start, end, &schema)
                    .map_err(|error| format!("field \"{}\": {error}", self.name(own.fields[at].name)))?;
                own.fields[at].origin = Origin::Constant(source);
                own.fields[at].renamed = true;
            }
            layout = self.layouts.add(own);
        }
        if let Some(missing) = self.missing_field(layout, schema) {
            return Err(missing);
        }
        Ok(Body::Fields { layout, slots: slots as u32, form: Form::Json(base), start: root.start, end: root.end })
    }

    /// Why an object of this layout does not fit its schema, if it lacks a field that it must have.
    pub(super) fn missing_field(&self, layout: LayoutId, schema: &Schema) -> Option<String> {
        let layout = self.layouts.get(layout);
        let defaults = self.options().replace_null_with_default;
        schema.fields().iter().find_map(|field| {
            let there = || layout.fields.iter().any(|own| self.name(own.name) == field.name);
            if field.schema.optional || (defaults && field.schema.default.is_some()) || there() {
                return None;
            }
            let kind = field.schema.kind.connect_name();
            Some(format!("field \"{}\": Invalid null value for required {kind} field", field.name))
        })
    }

    /// A JSON text as a value of a schema: the text itself where it is written as the schema wants it.
    fn typed_source(
        &mut self,
        base: Base,
        text: &[u8],
        start: u32,
        end: u32,
        schema: &Schema,
    ) -> Result<Source, String> {
        let value = &text[start as usize..end as usize];
        // A struct at the top is indexed by its caller; a tree has fields too.
        if super::typed::fits(value, schema) {
            return Ok(if value == b"null" { Source::NULL } else { Source::Json { base, start, end } });
        }
        let value = std::str::from_utf8(value).map_err(|_| "not UTF-8".to_owned())?;
        let tree = crate::Value::from_json_with(value, schema, self.options()).map_err(|error| error.to_string())?;
        Ok(self.keep_tree(tree))
    }

    /// The layout of the objects of a shape that have a schema: only the schema's fields, with defaults for those that
    /// are not there.
    fn layout_of_schema(&mut self, shape: ShapeId, id: SchemaId, schema: &Arc<Schema>) -> LayoutId {
        if let Some(layout) = self.typed_layouts[self.role].get(&(shape, id)) {
            return *layout;
        }
        let plain = self.layouts.of_shape(shape, &self.workspace.scanner.shapes);
        let plain = self.layouts.get(plain).clone();
        let mut layout = Layout { fields: Vec::new(), schema: id, untouched: plain.untouched };
        for field in plain.fields {
            match schema.field(self.name(field.name)) {
                Some(own) => layout.fields.push(Field { schema: Some(Arc::clone(&own.schema)), ..field }),
                None => layout.untouched = false,
            }
        }
        for own in schema.fields() {
            let name = self.workspace.scanner.shapes.intern(&own.name);
            if layout.position(name).is_some() {
                continue;
            }
            if let Some(default) = own.schema.default.as_ref().filter(|_| self.options().replace_null_with_default) {
                let source = self.keep_tree(default.clone());
                layout.set(name, Origin::Constant(source), Some(Arc::clone(&own.schema)));
            }
        }
        let layout = self.layouts.add(layout);
        self.typed_layouts[self.role].insert((shape, id), layout);
        layout
    }
}

/// Blank bytes are null to JSON without schemas.
fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_whitespace)
}

fn json_text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| "not JSON: not UTF-8".to_owned())
}

fn null_header_schema(converter: HeaderConverter) -> SchemaId {
    match converter {
        HeaderConverter::Simple => SchemaId::NONE,
        HeaderConverter::As(converter) => null_schema(converter),
    }
}
