//! Keys and values in formats that the view does not know: whoever decodes them puts nodes in the place of the bytes, and
//! whoever encodes them reads cells and puts bytes in their place.

use std::sync::Arc;

use super::layout::{Field, Layout, LayoutId, Origin};
use super::nodes::node_source;
use super::plan::Side;
use super::read::fixed_cell;
use super::source::{Base, Source, string_inside};
use super::{Body, Form, View};
use crate::arena::ARENA_BYTES_MAX;
use crate::cell::Cell;
use crate::json::Slot;
use crate::tlv::{Dictionary, Tag};
use crate::{Schema, SchemaId, SchemaTable, Value};

/// Bytes of payloads that decoders may put into one view. Batches are far smaller; what gets here was made to grow.
const DECODED_BYTES_MAX: usize = 1 << 30;

/// Where a decoder appends payloads of nodes. Names inside them are written inline.
pub struct Payloads<'v> {
    /// What is there already stays.
    pub bytes: &'v mut Vec<u8>,
    slots: &'v mut Vec<Slot>,
}

impl Payloads<'_> {
    /// Everything that was appended since `start` is the next field of the struct at the top.
    #[inline]
    pub fn end_field(&mut self, start: usize, tag: Tag) {
        self.slots.push(Slot { key: tag as u32, start: start as u32, end: self.bytes.len() as u32 });
    }
}

/// What values of a schema become in one view.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    schema: SchemaId,
    /// Of structs: the fields of the schema, all of them, in their order.
    layout: Option<LayoutId>,
    fields: usize,
}

/// Where the fields of a schema are in the layouts of one view, looked up once per layout.
#[derive(Default)]
pub struct Positions(Vec<Option<Box<[Option<u32>]>>>);

/// What an encoder does with a cell: the position of its field, or none for a whole value, and the names that nodes in it
/// refer to.
pub type EachCell<'e> = dyn FnMut(Option<usize>, Cell<'_>, &[&str]) -> Result<(), String> + 'e;

/// Memory for values that are no cells as they are.
#[derive(Default)]
pub struct CellScratch {
    bytes: Vec<u8>,
    names: Dictionary,
}

impl<'a> View<'a> {
    /// Prepares for values of a schema.
    pub fn target(&mut self, schema: SchemaId, schemas: &SchemaTable) -> Target {
        let Some(tree) = schemas.get(schema).filter(|tree| matches!(tree.kind, crate::schema::Kind::Struct(_))) else {
            return Target { schema, layout: None, fields: 0 };
        };
        let field = |(at, own): (usize, &crate::schema::Field)| Field {
            name: self.workspace.scanner.shapes.intern(&own.name),
            origin: Origin::Slot(at as u32),
            renamed: false,
            schema: Some(Arc::clone(&own.schema)),
        };
        let fields: Vec<Field> = tree.fields().iter().enumerate().map(field).collect();
        let count = fields.len();
        // A layout of its own: no other records have these slots.
        let layout = self.layouts.add(Layout { fields, schema, untouched: true });
        Target { schema, layout: Some(layout), fields: count }
    }

    /// Puts what `decode` makes of a key's or value's bytes in their place. It answers the tag: of a struct it has ended
    /// every field of the schema, of anything else it has appended the payload. An error leaves the record as it was.
    pub fn decode_with(
        &mut self,
        record: usize,
        side: Side,
        target: Target,
        decode: impl FnOnce(&'a [u8], &mut Payloads<'_>) -> Result<Tag, String>,
    ) -> Result<(), String> {
        let original = self.sides[side as usize][record].original;
        let (start, slots) = (self.heap.len(), self.slots.len());
        let decoded = decode(original, &mut Payloads { bytes: &mut self.heap, slots: &mut self.slots });
        let end = self.heap.len();
        let body = match (decoded, target.layout) {
            (Ok(_), _) if end > DECODED_BYTES_MAX || end - start > ARENA_BYTES_MAX => {
                Err(format!("decoded, the value has {} bytes, which is too many", end - start))
            }
            (Ok(Tag::Null), _) => Ok(Body::Whole(Source::NULL)),
            (Ok(Tag::Struct), Some(layout)) => {
                debug_assert_eq!(self.slots.len() - slots, target.fields, "every field of the schema has ended");
                let (start, end) = (start as u32, end as u32);
                Ok(Body::Fields { layout, slots: slots as u32, form: Form::Nodes(Base::Heap), start, end })
            }
            (Ok(tag), _) => {
                let whole = Slot { key: tag as u32, start: start as u32, end: end as u32 };
                Ok(Body::Whole(node_source(&self.heap, Base::Heap, whole)))
            }
            (Err(message), _) => Err(message),
        };
        let body = body.inspect_err(|_| {
            self.heap.truncate(start);
            self.slots.truncate(slots);
        })?;
        let part = &mut self.sides[side as usize][record];
        part.schema = target.schema;
        part.body = body;
        Ok(())
    }

    /// Reads a part of the bytes of a key or value, from `start` on, as the JSON of a schema, or of none.
    pub fn decode_json(
        &mut self,
        record: usize,
        side: Side,
        start: usize,
        schema: SchemaId,
        schemas: &SchemaTable,
    ) -> Result<(), String> {
        let text = self.sides[side as usize][record].original;
        self.act_for(super::encode::stage(side));
        let slots = self.slots.len();
        let root = self.workspace.scanner.index_at(text, start, &mut self.slots).map_err(|error| error.to_string());
        let body = root.and_then(|root| {
            let end = crate::json::scan::skip_space(text, root.end as usize);
            match schemas.get(schema).cloned() {
                _ if end != text.len() => Err(format!("not JSON at byte {end}: expected nothing after the value")),
                Some(tree) => self.typed_body(side, text, root, slots, schema, &tree),
                None => Ok(self.json_body(Base::Original(side), root, slots)),
            }
        });
        self.act_for(super::Stage::Transformation);
        let body = body.inspect_err(|_| self.slots.truncate(slots))?;
        let part = &mut self.sides[side as usize][record];
        part.schema = schema;
        part.body = body;
        Ok(())
    }

    /// Whether a key or value is null.
    pub fn is_null_side(&self, record: usize, side: Side) -> bool {
        matches!(self.sides[side as usize][record].body, Body::Whole(source) if self.is_null(record, source))
    }

    /// The schema of a record's key or value.
    pub fn schema_of(&self, record: usize, side: Side) -> SchemaId {
        self.sides[side as usize][record].schema
    }

    /// Shows a key or value to an encoder: of a struct that has a schema each of `fields`, in their order and with their
    /// position there, null where there is none; without `fields`, and what is no struct, as a whole. Each cell comes with
    /// the names that nodes in it refer to. `positions` and `fields` belong together.
    #[expect(clippy::too_many_arguments, reason = "what is shown, what of it, and what is kept between records")]
    pub fn each_cell(
        &self,
        record: usize,
        side: Side,
        fields: Option<&[Box<str>]>,
        schemas: &SchemaTable,
        positions: &mut Positions,
        scratch: &mut CellScratch,
        each: &mut EachCell<'_>,
    ) -> Result<(), String> {
        let part = &self.sides[side as usize][record];
        let (id, slots, form, fields) = match (part.body, fields) {
            (Body::Whole(source), _) => {
                let schema = schemas.get(part.schema);
                return self.with_cell(record, source, schema, scratch, |cell, names| each(None, cell, names));
            }
            (Body::Fields { layout, slots, form, .. }, Some(fields)) if part.schema != SchemaId::NONE => {
                (layout, slots, form, fields)
            }
            (Body::Fields { .. }, _) => {
                return tree_cell(&self.fields_tree(record, side), scratch, |cell, names| each(None, cell, names));
            }
        };
        let layout = self.layouts.get(id);
        if positions.0.len() <= id.0 as usize {
            positions.0.resize_with(self.layouts.len(), || None);
        }
        let places = positions.0[id.0 as usize].get_or_insert_with(|| {
            let place = |name: &str| {
                let name = self.workspace.scanner.shapes.find(name)?;
                layout.position(name).map(|at| at as u32)
            };
            fields.iter().map(|name| place(name)).collect()
        });
        for (at, place) in places.iter().enumerate() {
            let Some(place) = place else {
                each(Some(at), Cell::Null, &[])?;
                continue;
            };
            let field = &layout.fields[*place as usize];
            let source = self.resolve(record, field.origin, slots, form);
            self.with_cell(record, source, field.schema.as_ref(), scratch, |cell, names| each(Some(at), cell, names))?;
        }
        Ok(())
    }

    fn with_cell<R>(
        &self,
        record: usize,
        source: Source,
        schema: Option<&Arc<Schema>>,
        scratch: &mut CellScratch,
        show: impl FnOnce(Cell<'_>, &[&str]) -> R,
    ) -> R {
        match source {
            Source::Missing => show(Cell::Null, &[]),
            Source::Fixed { tag, bits } => show(fixed_cell(tag, bits), &[]),
            Source::Payload { base, tag, start, end } => {
                show(payload_cell(tag, self.bytes(record, base, start, end)), &self.names)
            }
            Source::Json { base, start, end } => {
                let text = self.bytes(record, base, start, end);
                let is_text = schema.is_none_or(|schema| schema.kind == crate::schema::Kind::String);
                if text.first() == Some(&b'"') && is_text {
                    return show(payload_cell(Tag::String, string_inside(text, &mut scratch.bytes)), &[]);
                }
                tree_cell(&self.tree(record, source, schema), scratch, show)
            }
            Source::Tree(at) => tree_cell(&self.trees[at as usize], scratch, show),
        }
    }

    /// Puts bytes in the place of a key or value; none for null.
    pub fn put_bytes(&mut self, record: usize, side: Side, bytes: Option<&[u8]>) {
        let source = match bytes {
            Some(bytes) => self.keep_payload(Tag::Bytes, bytes),
            None => Source::NULL,
        };
        let part = &mut self.sides[side as usize][record];
        part.schema = SchemaId::OPTIONAL_BYTES;
        part.body = Body::Whole(source);
    }

    /// Appends the JSON text of a key or value, as the JsonConverter that the view was made for writes it.
    pub fn append_json(
        &mut self,
        record: usize,
        side: Side,
        schemas: &SchemaTable,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        self.act_for(super::encode::stage(side));
        let written = self.write_json(record, side, schemas, out);
        self.act_for(super::Stage::Transformation);
        written
    }
}

fn payload_cell(tag: Tag, payload: &[u8]) -> Cell<'_> {
    let text = || simdutf8::basic::from_utf8(payload).unwrap_or_default();
    match tag {
        Tag::String => Cell::String(text()),
        Tag::Number => Cell::Number(text()),
        Tag::Bytes => Cell::Bytes(payload),
        Tag::Array | Tag::Map | Tag::Struct | Tag::Pairs => Cell::Nested(tag, payload),
        Tag::Decimal => match payload.split_first_chunk::<4>() {
            Some((scale, unscaled)) => Cell::Decimal(i32::from_le_bytes(*scale), unscaled),
            None => Cell::Null,
        },
        tag => {
            let mut raw = [0; 8];
            let size = payload.len().min(8);
            raw[..size].copy_from_slice(&payload[..size]);
            fixed_cell(tag, u64::from_le_bytes(raw))
        }
    }
}

fn tree_cell<R>(tree: &Value, scratch: &mut CellScratch, show: impl FnOnce(Cell<'_>, &[&str]) -> R) -> R {
    scratch.bytes.clear();
    scratch.names.clear();
    tree.write_payload(&mut scratch.names, &mut scratch.bytes);
    let names: Vec<&str> = scratch.names.iter().collect();
    show(payload_cell(tree.tag(), &scratch.bytes), &names)
}

/// A node as the cell that an encoder sees of it.
pub fn node_cell<'n>(node: &crate::tlv::Node<'n>) -> Cell<'n> {
    payload_cell(node.tag, node.payload)
}
