//! From a view to bytes: keys, values and headers for Kafka through converters, and batches for sinks.
//!
//! Each record is written once, when all edits are known. How the objects of a layout are put together is worked out once
//! per layout: runs of fields that no edit has touched are copied in one piece, with whatever stands between them.

use std::ops::Range;
use std::sync::Arc;

use super::convert::{self, Converter, HeaderConverter};
use super::layout::{LayoutId, Origin};
use super::nodes::NameCache;
use super::plan::Side;
use super::source::{Base, Source};
use super::{Body, Failure, FailureKind, Form, Rows, Stage, View};
use crate::batch::{BatchWriter, Encoding};
use crate::json::text::write_string;
use crate::schema::Kind;
use crate::tlv::Tag;
use crate::value::DecimalFormat;
use crate::{Schema, SchemaId, SchemaTable, Value};

/// What writing a key or value gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// Kafka's null.
    Null,
    /// The bytes of the output from here to there.
    Bytes(Range<usize>),
    /// Nothing: the record has failed, now or before ([`View::failure`] says why), or was dropped.
    Failed,
}

/// The name of a header and its bytes, none for null.
pub type WrittenHeader<'v> = (&'v str, Option<Vec<u8>>);

/// How the text of an object of one layout is put together.
#[derive(Default)]
pub(super) struct Splice {
    pieces: Vec<Piece>,
    /// The names that are written anew, with quotes and colon, and the fields at the end that have no source.
    text: Vec<u8>,
    rest: Range<usize>,
    error: Option<String>,
}

enum Piece {
    /// Fields that stay as they are, from this slot to that.
    Run(u32, u32),
    /// The field at this position, under a name of the text.
    Field(u32, Range<usize>),
}

type Result<T> = std::result::Result<T, String>;

impl View<'_> {
    /// Appends the value of a record to `out`, as `converter` writes it. A record that cannot be written fails, and `out`
    /// is as it was.
    pub fn write_value(
        &mut self,
        record: usize,
        converter: Converter,
        schemas: &SchemaTable,
        out: &mut Vec<u8>,
    ) -> Written {
        self.write_side(record, Side::Value, converter, schemas, out)
    }

    /// As [`View::write_value`] for the key.
    pub fn write_key(
        &mut self,
        record: usize,
        converter: Converter,
        schemas: &SchemaTable,
        out: &mut Vec<u8>,
    ) -> Written {
        self.write_side(record, Side::Key, converter, schemas, out)
    }

    fn write_side(
        &mut self,
        record: usize,
        side: Side,
        converter: Converter,
        schemas: &SchemaTable,
        out: &mut Vec<u8>,
    ) -> Written {
        let start = out.len();
        if !self.is_live(record) {
            return Written::Failed;
        }
        self.act_for(stage(side));
        let converted = self.convert(record, side, converter, schemas, out);
        self.act_for(Stage::Transformation);
        match converted {
            Ok(true) => Written::Bytes(start..out.len()),
            Ok(false) => {
                out.truncate(start);
                Written::Null
            }
            Err(message) => {
                out.truncate(start);
                self.fail(record, Failure { stage: stage(side), kind: FailureKind::Data, message });
                Written::Failed
            }
        }
    }

    /// Answers false for null.
    fn convert(
        &mut self,
        record: usize,
        side: Side,
        converter: Converter,
        schemas: &SchemaTable,
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        let (schema, body) = {
            let part = &self.sides[side as usize][record];
            (part.schema, part.body)
        };
        let is_null = matches!(body, Body::Whole(source) if self.is_null(record, source));
        match converter {
            Converter::String if is_null => Ok(false),
            Converter::Bytes if is_null && (schema == SchemaId::NONE || schema.is_bytes()) => Ok(false),
            // As in Connect: null without a schema is null, null with one is JSON's null.
            Converter::Json { .. } | Converter::JsonOf(_) if is_null && schema == SchemaId::NONE => Ok(false),
            Converter::Json { schemas: false } => self.write_json(record, side, schemas, out).map(|()| true),
            Converter::Json { schemas: true } | Converter::JsonOf(_) => {
                out.extend_from_slice(b"{\"schema\":");
                self.write_schema(schema, schemas, out);
                out.extend_from_slice(b",\"payload\":");
                self.write_json(record, side, schemas, out)?;
                out.push(b'}');
                Ok(true)
            }
            _ => {
                self.check_depth(record, side)?;
                match body {
                    Body::Whole(source) => self.write_plain(record, source, schemas.get(schema), converter, out),
                    Body::Fields { .. } => {
                        let tree = self.fields_tree(record, side);
                        convert::write(converter, &tree, schemas.get(schema).map(Arc::as_ref), out)
                    }
                }
            }
        }
    }

    /// Writes a value with a converter other than JSON; false for null. Text and bytes are copied, numbers keep the digits
    /// they came with; the rest goes through a tree.
    fn write_plain(
        &self,
        record: usize,
        source: Source,
        schema: Option<&Arc<Schema>>,
        converter: Converter,
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        match (converter, source) {
            (Converter::String, Source::Payload { base, tag: Tag::String, start, end })
            | (Converter::Bytes, Source::Payload { base, tag: Tag::Bytes, start, end })
                if schema.is_none_or(|schema| converter == Converter::String || schema.kind == Kind::Bytes) =>
            {
                out.extend_from_slice(self.bytes(record, base, start, end));
                Ok(true)
            }
            (Converter::String, Source::Json { base, start, end })
                if matches!(self.bytes(record, base, start, end).first(), Some(b'-' | b'0'..=b'9' | b't' | b'f')) =>
            {
                out.extend_from_slice(self.bytes(record, base, start, end));
                Ok(true)
            }
            _ => convert::write(converter, &self.tree(record, source, schema), schema.map(Arc::as_ref), out),
        }
    }

    /// Appends the text of a schema; null for none. Mostly it is there already.
    fn write_schema(&self, id: SchemaId, schemas: &SchemaTable, out: &mut Vec<u8>) {
        match (self.options().decimal, schemas.text(id), schemas.get(id)) {
            (DecimalFormat::Numeric, Some(text), Some(schema)) if text.contains("\"default\":") => {
                out.extend_from_slice(schema.to_json_with(self.options()).as_bytes());
            }
            (_, Some(text), _) => out.extend_from_slice(text.as_bytes()),
            (_, None, _) => out.extend_from_slice(b"null"),
        }
    }

    /// Appends the JSON text of a key or value.
    pub(super) fn write_json(
        &mut self,
        record: usize,
        side: Side,
        schemas: &SchemaTable,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let part = &self.sides[side as usize][record];
        match part.body {
            Body::Whole(source) => self.write_source(record, source, schemas.get(part.schema), out),
            Body::Fields { layout, slots, form, start, end } => {
                if let Form::Json(base) = form
                    && self.layouts.get(layout).untouched
                {
                    out.extend_from_slice(self.bytes(record, base, start, end));
                    return Ok(());
                }
                self.prepare_splice(layout, form, schemas);
                self.write_fields(record, layout, slots, form, out)
            }
        }
    }

    fn write_fields(&self, record: usize, layout: LayoutId, slots: u32, form: Form, out: &mut Vec<u8>) -> Result<()> {
        let Some(Some(splice)) = self.splices[self.role].get(layout.0 as usize) else { return Ok(()) };
        if let Some(error) = &splice.error {
            return Err(error.clone());
        }
        let fields = &self.layouts.get(layout).fields;
        let text = match form {
            Form::Json(base) => self.base(record, base),
            Form::Nodes(_) => &[],
        };
        let mut separator = b'{';
        for piece in &splice.pieces {
            out.push(separator);
            separator = b',';
            match piece {
                Piece::Run(first, last) => {
                    let start = self.slots[(slots + first) as usize].key;
                    let end = self.slots[(slots + last) as usize].end;
                    out.extend_from_slice(&text[start as usize..end as usize]);
                }
                Piece::Field(at, name) => {
                    out.extend_from_slice(&splice.text[name.clone()]);
                    let field = &fields[*at as usize];
                    let source = self.resolve(record, field.origin, slots, form);
                    self.write_source(record, source, field.schema.as_ref(), out)?;
                }
            }
        }
        let rest = &splice.text[splice.rest.clone()];
        match (separator, rest.is_empty()) {
            (b'{', true) => out.push(b'{'),
            (_, true) => {}
            (separator, false) => {
                out.push(separator);
                out.extend_from_slice(rest);
            }
        }
        out.push(b'}');
        Ok(())
    }

    /// Where the value of a field of this record is.
    #[inline(always)]
    pub(super) fn resolve(&self, record: usize, origin: Origin, slots: u32, form: Form) -> Source {
        match origin {
            Origin::Constant(source) => source,
            Origin::Overlay(column) => self.overlay[column as usize][record],
            Origin::Slot(at) => {
                let slot = self.slots[(slots + at) as usize];
                match form {
                    Form::Json(base) => Source::Json { base, start: slot.start, end: slot.end },
                    Form::Nodes(base) => self.node_source(record, base, slot),
                }
            }
        }
    }

    /// The records of a layout all have the same form: either all of a view is nodes or nothing is.
    fn prepare_splice(&mut self, id: LayoutId, form: Form, schemas: &SchemaTable) {
        let json = matches!(form, Form::Json(_));
        let at = id.0 as usize;
        let splices = &mut self.splices[self.role];
        if splices.len() <= at {
            splices.resize_with(self.layouts.len(), || None);
        }
        if splices[at].is_some() {
            return;
        }
        let layout = self.layouts.get(id);
        let mut splice = Splice::default();
        for (at, field) in layout.fields.iter().enumerate() {
            match field.origin {
                Origin::Slot(slot) if !field.renamed && json => match splice.pieces.last_mut() {
                    Some(Piece::Run(_, last)) if *last + 1 == slot => *last = slot,
                    _ => splice.pieces.push(Piece::Run(slot, slot)),
                },
                _ => {
                    let name = append_name(self.name(field.name), &mut splice.text);
                    splice.pieces.push(Piece::Field(at as u32, name));
                }
            }
        }
        // Fields of the schema that the record does not have are null to Connect, and Connect writes them.
        let rest = splice.text.len();
        if let Some(schema) = schemas.get(layout.schema) {
            for own in schema.fields() {
                if layout.fields.iter().any(|field| self.name(field.name) == own.name) {
                    continue;
                }
                if splice.text.len() > rest {
                    splice.text.push(b',');
                }
                append_name(&own.name, &mut splice.text);
                let written = Value::Null.write_connect_json(Some(&own.schema), self.options(), &mut splice.text);
                if let Err(error) = written {
                    splice.error = Some(format!("field \"{}\": {error}", own.name));
                }
            }
        }
        splice.rest = rest..splice.text.len();
        self.splices[self.role][at] = Some(splice);
    }

    /// Appends the JSON text of a value.
    pub(super) fn write_source(
        &self,
        record: usize,
        source: Source,
        schema: Option<&Arc<Schema>>,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        match source {
            Source::Json { base, start, end } => {
                out.extend_from_slice(self.bytes(record, base, start, end));
                Ok(())
            }
            Source::Payload { base, tag: Tag::String, start, end } => {
                // Payloads were checked when they came.
                match std::str::from_utf8(self.bytes(record, base, start, end)) {
                    Ok(text) => write_string(text, out),
                    Err(_) => return Err("a string is not UTF-8".to_owned()),
                }
                Ok(())
            }
            Source::Payload { base, tag: Tag::Number, start, end } => {
                out.extend_from_slice(self.bytes(record, base, start, end));
                Ok(())
            }
            Source::Fixed { tag: Tag::Null, .. } if schema.is_none() => {
                out.extend_from_slice(b"null");
                Ok(())
            }
            Source::Fixed { tag: Tag::Boolean, bits } => {
                out.extend_from_slice(if bits == 0 { b"false" } else { b"true" });
                Ok(())
            }
            Source::Fixed { tag: Tag::Int8 | Tag::Int16 | Tag::Int32 | Tag::Int64, bits } => {
                out.extend_from_slice(itoa::Buffer::new().format(bits as i64).as_bytes());
                Ok(())
            }
            Source::Fixed { tag: Tag::Date | Tag::Time | Tag::Timestamp, bits } if schema.is_some() => {
                out.extend_from_slice(itoa::Buffer::new().format(bits as i64).as_bytes());
                Ok(())
            }
            source => {
                let tree = self.tree(record, source, schema);
                tree.write_connect_json(schema.map(Arc::as_ref), self.options(), out).map_err(|error| error.to_string())
            }
        }
    }

    /// The headers of a record as `converter` writes them; none if one of them cannot be written: the record has failed.
    pub fn write_headers(
        &mut self,
        record: usize,
        converter: HeaderConverter,
        schemas: &SchemaTable,
    ) -> Option<Vec<WrittenHeader<'_>>> {
        self.act_for(Stage::HeaderConverter);
        let converted = self.convert_headers(record, converter, schemas);
        self.act_for(Stage::Transformation);
        match converted {
            Ok(values) => {
                let (first, _) = self.header_ranges[record];
                let headers = &self.headers[first as usize..];
                Some(values.into_iter().zip(headers).map(|(value, header)| (self.name(header.name), value)).collect())
            }
            Err(message) => {
                self.fail(record, Failure { stage: Stage::HeaderConverter, kind: FailureKind::Data, message });
                None
            }
        }
    }

    /// How many headers a record has.
    pub fn header_count(&self, record: usize) -> usize {
        let (first, end) = self.header_ranges[record];
        (end - first) as usize
    }

    fn convert_headers(
        &self,
        record: usize,
        converter: HeaderConverter,
        schemas: &SchemaTable,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        let headers = self.headers_of(record);
        let mut values = Vec::with_capacity(headers.len());
        for header in headers {
            let schema = schemas.get(header.schema);
            let is_null = self.is_null(record, header.source);
            let mut out = Vec::new();
            let is_there = match converter {
                HeaderConverter::Simple => {
                    let tree = self.tree(record, header.source, schema);
                    convert::write_simple(&tree, schema.map(Arc::as_ref), &mut out)
                }
                HeaderConverter::As(Converter::Json { .. } | Converter::JsonOf(_)) if is_null && schema.is_none() => {
                    false
                }
                HeaderConverter::As(converter @ (Converter::Json { .. } | Converter::JsonOf(_))) => {
                    let enveloped = converter != Converter::Json { schemas: false };
                    if enveloped {
                        out.extend_from_slice(b"{\"schema\":");
                        self.write_schema(header.schema, schemas, &mut out);
                        out.extend_from_slice(b",\"payload\":");
                    }
                    self.write_source(record, header.source, schema, &mut out)?;
                    if enveloped {
                        out.push(b'}');
                    }
                    true
                }
                HeaderConverter::As(converter) => {
                    self.write_plain(record, header.source, schema, converter, &mut out)?
                }
            };
            values.push(is_there.then_some(out));
        }
        Ok(values)
    }

    /// Appends the given records to a batch for a sink, in the encodings that `batch` was made with. A record that cannot
    /// be written fails and is left out, as are those that failed before or were dropped; the answer says which records
    /// are in.
    pub fn write_batch(
        &mut self,
        rows: &Rows,
        key: Encoding,
        value: Encoding,
        schemas: &SchemaTable,
        batch: &mut BatchWriter,
    ) -> Rows {
        let mut written = Vec::with_capacity(rows.len());
        let (mut key_scratch, mut value_scratch, mut cache) = (Vec::new(), Vec::new(), NameCache::new());
        for &row in rows.records() {
            let record = row as usize;
            if !self.is_live(record) {
                continue;
            }
            let mut prepare = |side, encoding, scratch: &mut Vec<u8>| {
                self.prepare(record, side, encoding, schemas, scratch).inspect_err(|message| {
                    let failure = Failure { stage: stage(side), kind: FailureKind::Data, message: message.clone() };
                    self.fail(record, failure);
                })
            };
            let Ok(key_form) = prepare(Side::Key, key, &mut key_scratch) else { continue };
            let Ok(value_form) = prepare(Side::Value, value, &mut value_scratch) else { continue };
            let mut out = batch.record();
            out.topic(self.topic(record));
            if self.partitions[record] >= 0 {
                out.partition(self.partitions[record]);
            }
            if self.offsets[record] >= 0 {
                out.offset(self.offsets[record]);
            }
            if self.timestamps[record] >= 0 {
                out.timestamp(self.timestamps[record]);
            }
            if self.flags[record] != 0 {
                out.flags(self.flags[record]);
            }
            if self.is_exploded() {
                out.origin(self.origin(record) as u32);
            }
            if self.originals.is_some() && self.offsets[record] >= 0 {
                let (topic, partition) = self.original(record);
                out.original(topic, partition, self.offsets[record]);
            }
            let schema = self.key_schema(record);
            match key_form {
                Prepared::Null => out.key(schema, None),
                Prepared::Original(base, start, end) => out.key(schema, Some(self.bytes(record, base, start, end))),
                Prepared::Scratch => out.key(schema, Some(&key_scratch)),
                Prepared::Node => out.key_with(schema, |mut writer, names| {
                    self.write_node(record, Side::Key, schemas, &mut writer, &mut cache.of(names));
                }),
            };
            let schema = self.value_schema(record);
            match value_form {
                Prepared::Null => out.value(schema, None),
                Prepared::Original(base, start, end) => out.value(schema, Some(self.bytes(record, base, start, end))),
                Prepared::Scratch => out.value(schema, Some(&value_scratch)),
                Prepared::Node => out.value_with(schema, |mut writer, names| {
                    self.write_node(record, Side::Value, schemas, &mut writer, &mut cache.of(names));
                }),
            };
            let (first, end) = self.header_ranges[record];
            for header in &self.headers[first as usize..end as usize] {
                let tree = self.tree(record, header.source, schemas.get(header.schema));
                out.header_tree(self.name(header.name), header.schema, &tree);
            }
            written.push(row);
        }
        Rows(written)
    }

    /// Does what may fail about writing a key or value in an encoding.
    fn prepare(
        &mut self,
        record: usize,
        side: Side,
        encoding: Encoding,
        schemas: &SchemaTable,
        scratch: &mut Vec<u8>,
    ) -> Result<Prepared> {
        let part = &self.sides[side as usize][record];
        let schema = part.schema;
        if let Body::Whole(source) = part.body {
            if self.is_null(record, source) {
                return Ok(Prepared::Null);
            }
            let simple = (schema.is_string() && matches!(source, Source::Payload { tag: Tag::String, .. }))
                || (schema.is_bytes() && matches!(source, Source::Payload { tag: Tag::Bytes, .. }));
            if encoding != Encoding::Tlv && simple {
                let Source::Payload { base, start, end, .. } = source else { return Ok(Prepared::Null) };
                return Ok(Prepared::Original(base, start, end));
            }
        }
        match encoding {
            Encoding::Raw => Err(format!(
                "the connector takes only strings and bytes, and this is {}",
                schemas.get(schema).map_or("a value without schema", |schema| schema.kind.connect_name())
            )),
            Encoding::Text => {
                scratch.clear();
                if schema.is_string() || schema.is_bytes() {
                    let Body::Whole(source) = part.body else { return Err("an object where text is due".to_owned()) };
                    match self.tree(record, source, schemas.get(schema)) {
                        Value::String(text) => scratch.extend_from_slice(text.as_bytes()),
                        Value::Bytes(bytes) => scratch.extend_from_slice(&bytes),
                        other => return Err(format!("a {} where text is due", other.java_class())),
                    }
                } else {
                    self.write_json(record, side, schemas, scratch)?;
                }
                Ok(Prepared::Scratch)
            }
            Encoding::Tlv => {
                self.check_depth(record, side)?;
                if let Body::Fields { layout, form, .. } = self.sides[side as usize][record].body {
                    self.prepare_splice(layout, form, schemas);
                    if let Some(Some(Splice { error: Some(error), .. })) =
                        self.splices[self.role].get(layout.0 as usize)
                    {
                        return Err(error.clone());
                    }
                }
                Ok(Prepared::Node)
            }
        }
    }
}

/// What is left to do to write a key or value once it cannot fail any more.
enum Prepared {
    Null,
    /// Bytes that are there already.
    Original(Base, u32, u32),
    /// What was written to the scratch buffer.
    Scratch,
    Node,
}

pub(super) fn stage(side: Side) -> Stage {
    match side {
        Side::Value => Stage::ValueConverter,
        Side::Key => Stage::KeyConverter,
    }
}

fn append_name(name: &str, text: &mut Vec<u8>) -> Range<usize> {
    let start = text.len();
    write_string(name, text);
    text.push(b':');
    start..text.len()
}
