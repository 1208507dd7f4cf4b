//! Copying columns, and what becomes a header.

use std::sync::Arc;

use super::apply::{Selected, Step};
use super::plan::{Column, Place};
use super::read::Found;
use super::source::Source;
use super::{Header, View};
use crate::tlv::Tag;
use crate::{Schema, SchemaId, SchemaTable};

impl View<'_> {
    /// Copies a column to another and answers the rows in which there was something to copy.
    pub(super) fn copy(
        &mut self,
        target: usize,
        to: usize,
        defaults: bool,
        selected: &[Selected],
        step: &mut Step<'_>,
    ) -> Vec<Selected> {
        let (from, to) = (&step.write[target], &step.write[to]);
        let mut found = Vec::with_capacity(selected.len());
        let mut values = Vec::with_capacity(selected.len());
        for &(row, record) in selected {
            let (source, schema) = self.take(record as usize, from, defaults, step.schemas);
            if source != Source::Missing {
                found.push((row, record));
                values.push((source, schema));
            }
        }
        if to.place == Place::Header && (from.place.side().is_some() || from.place == Place::Header) {
            // What had a schema keeps it, and what had none gets none.
            let name = self.workspace.scanner.shapes.intern(to.path.first().map_or("", String::as_str));
            let mut last: Option<(Arc<Schema>, SchemaId)> = None;
            for (&(_, record), (source, schema)) in found.iter().zip(values) {
                let schema = match (schema, &last) {
                    (None, _) => SchemaId::NONE,
                    (Some(schema), Some((known, id))) if Arc::ptr_eq(known, &schema) => *id,
                    (Some(schema), _) => {
                        let id = step.schemas.define(&schema).unwrap_or(SchemaId::NONE);
                        last = Some((schema, id));
                        id
                    }
                };
                self.append_header(record as usize, Header { name, schema, source });
            }
            return found;
        }
        let mut values = values.into_iter();
        // `set` asks once for each row, in their order.
        self.set(to, &found, step, |_, _| values.next().unwrap_or((Source::Missing, None)));
        found
    }

    /// What a column of a record holds, as a source that stays valid whatever happens to the record. With `defaults` the
    /// default of its schema in place of a null that has one.
    pub(super) fn take(
        &mut self,
        record: usize,
        column: &Column,
        defaults: bool,
        schemas: &SchemaTable,
    ) -> (Source, Option<Arc<Schema>>) {
        let (source, schema) = self.taken(record, column, schemas);
        let default = schema.as_ref().and_then(|schema| schema.default.as_ref());
        match default {
            Some(default) if defaults && self.is_null(record, source) => (self.keep_tree(default.clone()), schema),
            _ => (source, schema),
        }
    }

    fn taken(&mut self, record: usize, column: &Column, schemas: &SchemaTable) -> (Source, Option<Arc<Schema>>) {
        if let Some(side) = column.place.side() {
            if column.path.is_empty() {
                let schema = schemas.get(self.sides[side as usize][record].schema).cloned();
                return (self.whole_source(record, side), schema);
            }
            let (found, schema) = self.lookup(record, side, &column.path, schemas);
            let schema = schema.cloned();
            return match found {
                Found::At(source) => (source, schema),
                Found::In(tree) => {
                    let tree = tree.clone();
                    (self.keep_tree(tree), schema)
                }
            };
        }
        match column.place {
            Place::Header => match column.path.first().and_then(|name| self.last_header(record, name)) {
                Some(at) => (self.headers[at].source, schemas.get(self.headers[at].schema).cloned()),
                None => (Source::Missing, None),
            },
            Place::Topic => {
                let topic = self.topic(record).to_owned();
                (self.keep_payload(Tag::String, topic.as_bytes()), None)
            }
            Place::Partition if self.partitions[record] >= 0 => {
                (Source::fixed(Tag::Int32, i64::from(self.partitions[record])), None)
            }
            Place::Offset if self.offsets[record] >= 0 => (Source::fixed(Tag::Int64, self.offsets[record]), None),
            Place::Timestamp if self.timestamps[record] >= 0 => {
                (Source::fixed(Tag::Timestamp, self.timestamps[record]), None)
            }
            _ => (Source::NULL, None),
        }
    }

    pub(super) fn header_schema(
        &self,
        source: Source,
        from: Option<&Arc<Schema>>,
        schemas: &mut SchemaTable,
    ) -> SchemaId {
        let defined = |schema: &Schema, schemas: &mut SchemaTable| schemas.define(schema).unwrap_or(SchemaId::NONE);
        match (from, source) {
            (Some(schema), _) => defined(schema, schemas),
            (None, Source::Fixed { tag, .. } | Source::Payload { tag, .. }) => match tag {
                Tag::Boolean => SchemaId::BOOLEAN,
                Tag::Int8 => SchemaId::INT8,
                Tag::Int16 => SchemaId::INT16,
                Tag::Int32 => SchemaId::INT32,
                Tag::Int64 => SchemaId::INT64,
                Tag::Float32 => SchemaId::FLOAT32,
                Tag::Float64 => SchemaId::FLOAT64,
                Tag::String => SchemaId::STRING,
                Tag::Bytes => SchemaId::BYTES,
                Tag::Date => defined(&Schema::date(), schemas),
                Tag::Time => defined(&Schema::time(), schemas),
                Tag::Timestamp => defined(&Schema::timestamp(), schemas),
                _ => SchemaId::NONE,
            },
            _ => SchemaId::NONE,
        }
    }

    pub(super) fn append_header(&mut self, record: usize, header: Header) {
        let (first, end) = self.header_ranges[record];
        let mut start = first;
        if end as usize != self.headers.len() {
            // Other records' headers follow: this record's move to the end.
            start = self.headers.len() as u32;
            for at in first..end {
                let Header { name, schema, source } = self.headers[at as usize];
                self.headers.push(Header { name, schema, source });
            }
        }
        self.headers.push(header);
        self.header_ranges[record] = (start, self.headers.len() as u32);
    }
}
