//! Keys, values and headers as trees: for whoever has them as trees already, or wants to show them. Nothing here is for
//! the path that every record takes.

use super::decode::Message;
use super::plan::Side;
use super::source::Source;
use super::{Body, Failure, FailureKind, Header, Part, Stage, View};
use crate::{SchemaId, SchemaTable, Value};

/// A value with its schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    pub schema: SchemaId,
    pub value: Value,
}

impl<'a> View<'a> {
    /// Adds a record whose key, value and headers are these; those of `message` are not looked at. Whether they fit their
    /// schemas is not checked.
    pub fn push_trees(
        &mut self,
        message: &Message<'_, '_>,
        key: Tree,
        value: Tree,
        headers: Vec<(&str, Tree)>,
        schemas: &SchemaTable,
    ) {
        let record = self.len();
        self.push_metadata(message);
        for (side, tree) in [(Side::Value, value), (Side::Key, key)] {
            self.sides[side as usize].push(Part {
                original: &[],
                schema: SchemaId::NONE,
                body: Body::Whole(Source::NULL),
            });
            self.set_tree(record, side, tree, schemas);
        }
        let first = self.headers.len() as u32;
        for (name, tree) in headers {
            let name = self.workspace.scanner.shapes.intern(name);
            let source = self.keep_tree(tree.value);
            self.headers.push(Header { name, schema: tree.schema, source });
        }
        self.header_ranges.push((first, self.headers.len() as u32));
    }

    /// Puts a tree in the place of a key or value.
    pub fn set_tree(&mut self, record: usize, side: Side, tree: Tree, schemas: &SchemaTable) {
        let schema = schemas.get(tree.schema).cloned();
        let source = self.keep_tree(tree.value);
        let body = self.tree_fields(source, tree.schema, schema.as_deref()).unwrap_or(Body::Whole(source));
        let part = &mut self.sides[side as usize][record];
        part.schema = tree.schema;
        part.body = body;
    }

    /// A key or value as it is now.
    pub fn tree_of(&self, record: usize, side: Side, schemas: &SchemaTable) -> Tree {
        let part = &self.sides[side as usize][record];
        let value = match part.body {
            Body::Whole(source) => self.tree(record, source, schemas.get(part.schema)),
            Body::Fields { .. } => self.fields_tree(record, side),
        };
        Tree { schema: part.schema, value }
    }

    /// The headers of a record as they are now.
    pub fn header_trees(&self, record: usize, schemas: &SchemaTable) -> Vec<(&str, Tree)> {
        self.headers_of(record)
            .iter()
            .map(|header| {
                let value = self.tree(record, header.source, schemas.get(header.schema));
                (self.name(header.name), Tree { schema: header.schema, value })
            })
            .collect()
    }

    /// The header of a record at a position.
    pub fn header_tree(&self, record: usize, at: usize, schemas: &SchemaTable) -> Tree {
        let header = &self.headers_of(record)[at];
        let value = self.tree(record, header.source, schemas.get(header.schema));
        Tree { schema: header.schema, value }
    }

    /// As [`View::set_tree`], from somebody whose word is not taken for it: a value that does not fit its schema fails the
    /// record.
    pub fn take_tree(&mut self, record: usize, side: Side, tree: Tree, schemas: &SchemaTable) {
        let schema = schemas.get(tree.schema).cloned();
        self.set_tree(record, side, tree, schemas);
        if let Some(schema) = schema
            && let Err(message) = self.check_schema(record, side, &schema)
        {
            self.fail_in(record, super::encode::stage(side), message);
        }
    }

    /// As [`View::take_tree`] for the header at a position.
    pub fn take_header_tree(&mut self, record: usize, at: usize, tree: Tree, schemas: &SchemaTable) {
        let mut source = self.keep_tree(tree.value);
        if let Some(schema) = schemas.get(tree.schema)
            && source != Source::NULL
        {
            match self.fit(record, source, None, schema) {
                Ok(fitted) => source = fitted,
                Err(message) => return self.fail_in(record, Stage::HeaderConverter, message),
            }
        }
        let (first, _) = self.header_ranges[record];
        if let Some(header) = self.headers.get_mut(first as usize + at) {
            header.schema = tree.schema;
            header.source = source;
        }
    }

    /// Marks a record as failed in a stage, as data that cannot be taken.
    pub fn fail_in(&mut self, record: usize, stage: Stage, message: String) {
        self.fail(record, Failure { stage, kind: FailureKind::Data, message });
    }

    pub(super) fn headers_of(&self, record: usize) -> &[Header] {
        let (first, end) = self.header_ranges[record];
        &self.headers[first as usize..end as usize]
    }

    /// The fields of an object as a tree: a struct where there is a schema, else a map.
    pub(super) fn fields_tree(&self, record: usize, side: Side) -> Value {
        let part = &self.sides[side as usize][record];
        let Body::Fields { layout, slots, form, .. } = part.body else { return Value::Null };
        let fields = self.layouts.get(layout).fields.iter().map(|field| {
            let source = self.resolve(record, field.origin, slots, form);
            (self.name(field.name).to_owned(), self.tree(record, source, field.schema.as_ref()))
        });
        let members = fields.collect();
        if part.schema == SchemaId::NONE { Value::Map(members) } else { Value::Struct(members) }
    }
}
