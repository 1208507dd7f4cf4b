//! Reading a view: the columns of a step, and the one value at the end of a path.

use std::sync::Arc;

use super::defaults::schema_at;
use super::nodes::{NameCache, TOO_DEEP, is_deeper, json_payload};
use super::plan::{Column, Place, Rows, Side};
use super::source::{Source, string_inside};
use super::typed::object;
use super::{Body, Failure, FailureKind, Stage, View};
use crate::cell::Cell;
use crate::columns::{ColumnsWriter, record_flags};
use crate::json::Slot;
use crate::json::text::unescape;
use crate::schema::Kind;
use crate::tlv::{NESTING_MAX, Node, Tag};
use crate::{Schema, SchemaId, SchemaTable, Value};

/// A value that was looked up.
#[derive(Clone, Copy)]
pub(super) enum Found<'v> {
    At(Source),
    /// A part of a tree.
    In(&'v Value),
}

/// A value with its schema.
pub(super) type Lookup<'v> = (Found<'v>, Option<&'v Arc<Schema>>);

const MISSING: Found<'static> = Found::At(Source::Missing);

/// Position of a column's field in a layout, remembered per layout.
const UNKNOWN: u32 = u32::MAX;
const ABSENT: u32 = u32::MAX - 1;

impl View<'_> {
    /// Writes the columns of a step, with all edits so far. A record whose cell cannot be made (JSON nested more deeply
    /// than nodes may be) fails; its cell is missing and edits to it are ignored.
    pub fn columns(&mut self, rows: &Rows, read: &[Column], schemas: &SchemaTable, out: &mut ColumnsWriter) {
        out.begin(read.len(), rows.len());
        let mut scratch = Vec::new();
        let mut failed = Vec::new();
        for (at, column) in read.iter().enumerate() {
            match column.place.side() {
                Some(side) => self.side_column(rows, at, side, &column.path, schemas, out, &mut scratch, &mut failed),
                None => self.other_column(rows, at, column, schemas, out, &mut scratch, &mut failed),
            }
        }
        for (row, &record) in rows.records().iter().enumerate() {
            let [value, key] = [Side::Value, Side::Key].map(|side| {
                let part = &self.sides[side as usize][record as usize];
                let is_null = matches!(part.body, Body::Whole(source) if self.is_null(record as usize, source));
                (is_null, part.schema != SchemaId::NONE)
            });
            let mut flags = 0;
            for (holds, flag) in [
                (value.0, record_flags::VALUE_NULL),
                (key.0, record_flags::KEY_NULL),
                (value.1, record_flags::VALUE_SCHEMA),
                (key.1, record_flags::KEY_SCHEMA),
            ] {
                flags |= if holds { flag } else { 0 };
            }
            out.flags(row, flags);
        }
        for record in failed {
            self.fail(
                record as usize,
                Failure { stage: Stage::Transformation, kind: FailureKind::Data, message: TOO_DEEP.to_owned() },
            );
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the body of the loop of `columns`, split off by place")]
    fn side_column(
        &self,
        rows: &Rows,
        at: usize,
        side: Side,
        path: &[String],
        schemas: &SchemaTable,
        out: &mut ColumnsWriter,
        scratch: &mut Vec<u8>,
        failed: &mut Vec<u32>,
    ) {
        let Some((first, rest)) = path.split_first() else {
            for (row, &record) in rows.records().iter().enumerate() {
                self.whole_cell(record, side, schemas, at, row, out, scratch, failed);
            }
            return;
        };
        let name = self.workspace.scanner.shapes.find(first);
        let mut positions = vec![UNKNOWN; self.layouts.len()];
        for (row, &record) in rows.records().iter().enumerate() {
            let index = record as usize;
            let part = &self.sides[side as usize][index];
            let (found, schema) = match part.body {
                Body::Whole(source) => self.descend(index, Found::At(source), schemas.get(part.schema), path),
                Body::Fields { layout, slots, form, .. } => {
                    let position = &mut positions[layout.0 as usize];
                    if *position == UNKNOWN {
                        let found = name.and_then(|name| self.layouts.get(layout).position(name));
                        *position = found.map_or(ABSENT, |at| at as u32);
                    }
                    match *position {
                        ABSENT => (MISSING, None),
                        position => {
                            let field = &self.layouts.get(layout).fields[position as usize];
                            let source = self.resolve(index, field.origin, slots, form);
                            match rest {
                                [] => (Found::At(source), field.schema.as_ref()),
                                rest => self.descend(index, Found::At(source), field.schema.as_ref(), rest),
                            }
                        }
                    }
                }
            };
            let (found, schema) = match found {
                // What only the schema has is null.
                Found::At(Source::Missing) if part.schema != SchemaId::NONE => {
                    match schemas.get(part.schema).and_then(|schema| schema_at(schema, path)) {
                        Some(own) => (Found::At(Source::NULL), Some(own)),
                        None => continue,
                    }
                }
                found => (found, schema),
            };
            if !self.write_cell(index, found, schema, at, row, out, scratch) {
                failed.push(record);
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the body of the loop of `columns`, split off by place")]
    fn whole_cell(
        &self,
        record: u32,
        side: Side,
        schemas: &SchemaTable,
        at: usize,
        row: usize,
        out: &mut ColumnsWriter,
        scratch: &mut Vec<u8>,
        failed: &mut Vec<u32>,
    ) {
        let index = record as usize;
        let part = &self.sides[side as usize][index];
        match part.body {
            Body::Whole(source) => {
                let schema = schemas.get(part.schema);
                if !self.write_cell(index, Found::At(source), schema, at, row, out, scratch) {
                    failed.push(record);
                }
            }
            Body::Fields { .. } if self.check_depth(index, side).is_err() => failed.push(record),
            Body::Fields { .. } => {
                let tag = if part.schema == SchemaId::NONE { Tag::Map } else { Tag::Struct };
                out.set_with(at, row, tag, |heap, names| {
                    self.write_payload(index, side, heap, &mut NameCache::new().of(names));
                });
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the body of the loop of `columns`, split off by place")]
    fn other_column(
        &self,
        rows: &Rows,
        at: usize,
        column: &Column,
        schemas: &SchemaTable,
        out: &mut ColumnsWriter,
        scratch: &mut Vec<u8>,
        failed: &mut Vec<u32>,
    ) {
        for (row, &record) in rows.records().iter().enumerate() {
            let index = record as usize;
            match column.place {
                Place::Topic => out.set(at, row, Cell::String(self.topic(index))),
                Place::Partition => {
                    let partition = self.partitions[index];
                    out.set(at, row, if partition < 0 { Cell::Null } else { Cell::Int32(partition) });
                }
                Place::Offset => {
                    let offset = self.offsets[index];
                    out.set(at, row, if offset < 0 { Cell::Null } else { Cell::Int64(offset) });
                }
                Place::Timestamp => {
                    let timestamp = self.timestamps[index];
                    out.set(at, row, if timestamp < 0 { Cell::Null } else { Cell::Timestamp(timestamp) });
                }
                Place::Header => {
                    let name = column.path.first().map_or("", String::as_str);
                    if let Some(header) = self.last_header(index, name) {
                        let header = &self.headers[header];
                        let schema = schemas.get(header.schema);
                        if !self.write_cell(index, Found::At(header.source), schema, at, row, out, scratch) {
                            failed.push(record);
                        }
                    }
                }
                Place::Value | Place::Key => {}
            }
        }
    }

    /// The last header of a name: the one that Connect's `lastWithName` gives.
    pub(super) fn last_header(&self, record: usize, name: &str) -> Option<usize> {
        let name = self.workspace.scanner.shapes.find(name)?;
        let (first, end) = self.header_ranges[record];
        (first as usize..end as usize).rev().find(|&at| self.headers[at].name == name)
    }

    /// Answers false if the value is nested too deeply.
    #[expect(clippy::too_many_arguments, reason = "a cell is a value, its record, and where it goes")]
    fn write_cell(
        &self,
        record: usize,
        found: Found<'_>,
        schema: Option<&Arc<Schema>>,
        at: usize,
        row: usize,
        out: &mut ColumnsWriter,
        scratch: &mut Vec<u8>,
    ) -> bool {
        if let Some(default) = schema.and_then(|schema| schema.default.as_ref()) {
            let is_null = match found {
                Found::At(source) => self.is_null(record, source),
                Found::In(tree) => *tree == Value::Null,
            };
            if is_null {
                out.set_null(at, row, default);
                return true;
            }
        }
        let source = match found {
            Found::At(source) => source,
            Found::In(tree) => {
                out.set_tree(at, row, tree);
                return true;
            }
        };
        match source {
            Source::Missing => {}
            Source::Fixed { tag, bits } => out.set(at, row, fixed_cell(tag, bits)),
            Source::Payload { base, tag, start, end } => {
                let payload = self.bytes(record, base, start, end);
                match tag {
                    Tag::String => out.set(at, row, Cell::String(text(payload))),
                    Tag::Number => out.set(at, row, Cell::Number(text(payload))),
                    Tag::Bytes => out.set(at, row, Cell::Bytes(payload)),
                    _ => out.set_tree(at, row, &Value::from_payload(tag, payload, &self.names)),
                }
            }
            Source::Json { base, start, end } => {
                let json = self.bytes(record, base, start, end);
                let first = json.first().copied().unwrap_or(0);
                match (first, schema) {
                    (b'n', _) => out.set(at, row, Cell::Null),
                    (b't' | b'f', _) => out.set(at, row, Cell::Boolean(first == b't')),
                    (b'"', None) => out.set(at, row, Cell::String(text(string_inside(json, scratch)))),
                    (b'"', Some(schema)) if schema.kind == Kind::String => {
                        out.set(at, row, Cell::String(text(string_inside(json, scratch))));
                    }
                    (b'{' | b'[', None) => {
                        if is_deeper(json, NESTING_MAX) {
                            return false;
                        }
                        let tag = if first == b'{' { Tag::Map } else { Tag::Array };
                        out.set_with(at, row, tag, |heap, names| {
                            json_payload(json, heap, &mut NameCache::new().of(names))
                        });
                    }
                    (_, None) => out.set(at, row, Cell::Number(text(json))),
                    (_, Some(schema)) => match typed_number(text(json), schema) {
                        Some(cell) => out.set(at, row, cell),
                        None => out.set_tree(at, row, &self.tree(record, source, Some(schema))),
                    },
                }
            }
            Source::Tree(tree) => out.set_tree(at, row, &self.trees[tree as usize]),
        }
        true
    }

    /// The value at a column of a record, whatever its place.
    pub(super) fn lookup<'v>(
        &'v self,
        record: usize,
        side: Side,
        path: &[String],
        schemas: &'v SchemaTable,
    ) -> Lookup<'v> {
        let part = &self.sides[side as usize][record];
        match part.body {
            Body::Whole(source) => self.descend(record, Found::At(source), schemas.get(part.schema), path),
            Body::Fields { layout, slots, form, .. } => {
                let Some((first, rest)) = path.split_first() else { return (MISSING, None) };
                let layout = self.layouts.get(layout);
                let position = self.workspace.scanner.shapes.find(first).and_then(|name| layout.position(name));
                let Some(position) = position else { return (MISSING, None) };
                let field = &layout.fields[position];
                let source = self.resolve(record, field.origin, slots, form);
                self.descend(record, Found::At(source), field.schema.as_ref(), rest)
            }
        }
    }

    /// Follows a path into a value.
    pub(super) fn descend<'v>(
        &'v self,
        record: usize,
        from: Found<'v>,
        schema: Option<&'v Arc<Schema>>,
        path: &[String],
    ) -> Lookup<'v> {
        let (mut found, mut schema) = (from, schema);
        for name in path {
            found = match found {
                Found::In(Value::Map(members) | Value::Struct(members)) => match members.get(name) {
                    Some(value) => Found::In(value),
                    None => return (MISSING, None),
                },
                Found::At(Source::Tree(at)) => match &self.trees[at as usize] {
                    Value::Map(members) | Value::Struct(members) => match members.get(name) {
                        Some(value) => Found::In(value),
                        None => return (MISSING, None),
                    },
                    _ => return (MISSING, None),
                },
                Found::At(Source::Json { base, start, end }) => {
                    let text = self.bytes(record, base, start, end);
                    match member(text, name) {
                        Some((from, to)) => {
                            Found::At(Source::Json { base, start: start + from as u32, end: start + to as u32 })
                        }
                        None => return (MISSING, None),
                    }
                }
                Found::At(Source::Payload { base, tag: tag @ (Tag::Map | Tag::Struct), start, end }) => {
                    let payload = self.bytes(record, base, start, end);
                    let node = Node { name: crate::tlv::Name::None, tag, payload };
                    let Some(child) = node.child(name, &self.names) else { return (MISSING, None) };
                    let offset = child.payload.as_ptr() as usize - payload.as_ptr() as usize;
                    let from = start + offset as u32;
                    let slot = Slot { key: child.tag as u32, start: from, end: from + child.payload.len() as u32 };
                    Found::At(self.node_source(record, base, slot))
                }
                _ => return (MISSING, None),
            };
            schema = schema.and_then(|schema| match &schema.kind {
                Kind::Struct(fields) => fields.iter().find(|field| field.name == *name).map(|field| &field.schema),
                Kind::Map(_, values) => Some(values),
                _ => None,
            });
        }
        (found, schema)
    }
}

/// Where the value of a member lies in the text of an object. Of several with one name the last counts.
fn member(json: &[u8], name: &str) -> Option<(usize, usize)> {
    if json.first() != Some(&b'{') {
        return None;
    }
    let mut found = None;
    let mut plain = Vec::new();
    object(json, |own, value| {
        let same = if own.contains(&b'\\') {
            plain.clear();
            unescape(own, &mut plain);
            plain == name.as_bytes()
        } else {
            own == name.as_bytes()
        };
        if same {
            let start = value.as_ptr() as usize - json.as_ptr() as usize;
            found = Some((start, start + value.len()));
        }
        true
    });
    found
}

/// Text that was checked when it came.
fn text(bytes: &[u8]) -> &str {
    simdutf8::basic::from_utf8(bytes).unwrap_or_default()
}

pub(super) fn fixed_cell(tag: Tag, bits: u64) -> Cell<'static> {
    match tag {
        Tag::Boolean => Cell::Boolean(bits != 0),
        Tag::Int8 => Cell::Int8(bits as i8),
        Tag::Int16 => Cell::Int16(bits as i16),
        Tag::Int32 => Cell::Int32(bits as i32),
        Tag::Int64 => Cell::Int64(bits as i64),
        Tag::Float32 => Cell::Float32(f32::from_bits(bits as u32)),
        Tag::Float64 => Cell::Float64(f64::from_bits(bits)),
        Tag::Date => Cell::Date(bits as i32),
        Tag::Time => Cell::Time(bits as i32),
        Tag::Timestamp => Cell::Timestamp(bits as i64),
        _ => Cell::Null,
    }
}

/// A number whose text fits its schema, without the detour over a tree.
fn typed_number(text: &str, schema: &Schema) -> Option<Cell<'static>> {
    if schema.name.is_some() && schema.logical().is_some() {
        return None;
    }
    Some(match schema.kind {
        Kind::Int8 => Cell::Int8(text.parse().ok()?),
        Kind::Int16 => Cell::Int16(text.parse().ok()?),
        Kind::Int32 => Cell::Int32(text.parse().ok()?),
        Kind::Int64 => Cell::Int64(text.parse().ok()?),
        Kind::Float32 => Cell::Float32(text.parse().ok()?),
        Kind::Float64 => Cell::Float64(text.parse().ok()?),
        _ => return None,
    })
}
