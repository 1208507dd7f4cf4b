//! Edits that change the structure of a value, and edits to what lies deeper than its top level.
//!
//! They are rarer than edits to fields and may build trees where it makes them simpler; JSON stays text where it can.

use std::sync::Arc;

use super::apply::{Selected, Step};
use super::layout::{Field, Layout, LayoutId, Origin};
use super::plan::{Column, Side};
use super::read::Found;
use super::source::{Base, Source};
use super::{Body, Form, View};
use crate::schema::Kind;
use crate::tlv::Tag;
use crate::value::Members;
use crate::{Schema, SchemaId, SchemaTable, Value};

impl View<'_> {
    /// The body of a tree that has fields; none for any other source.
    pub(super) fn tree_fields(&mut self, source: Source, id: SchemaId, schema: Option<&Schema>) -> Option<Body> {
        let Source::Tree(at) = source else { return None };
        let members = match &self.trees[at as usize] {
            Value::Struct(members) => members.clone(),
            Value::Map(members) if id == SchemaId::NONE => members.clone(),
            _ => return None,
        };
        let mut layout = Layout { fields: Vec::with_capacity(members.len()), schema: id, untouched: false };
        for (name, value) in members {
            let own = schema.and_then(|schema| schema.field(&name)).map(|field| Arc::clone(&field.schema));
            let origin = Origin::Constant(self.keep_tree(value));
            let name = self.workspace.scanner.shapes.intern(&name);
            layout.fields.push(Field { name, origin, renamed: true, schema: own });
        }
        Some(Body::Fields {
            layout: self.layouts.add(layout),
            slots: 0,
            form: Form::Json(Base::Heap),
            start: 0,
            end: 0,
        })
    }

    /// A key or value as one source, with all edits so far.
    pub(super) fn whole_source(&mut self, record: usize, side: Side) -> Source {
        let part = &self.sides[side as usize][record];
        match part.body {
            Body::Whole(source) => source,
            Body::Fields { layout, form: Form::Json(base), start, end, .. } if self.layouts.get(layout).untouched => {
                Source::Json { base, start, end }
            }
            Body::Fields { .. } => {
                let tree = self.fields_tree(record, side);
                self.keep_tree(tree)
            }
        }
    }

    /// The body of a value that takes the whole place of a record.
    fn body_of(&mut self, record: usize, source: Source, id: SchemaId, schemas: &SchemaTable) -> Body {
        let schema = schemas.get(id).cloned();
        match source {
            Source::Json { base, start, end } if id == SchemaId::NONE => {
                let slots = self.slots.len();
                let bytes = match base {
                    Base::Original(side) => self.sides[side as usize][record].original,
                    Base::Heap => &self.heap,
                };
                // The end of the value is the end of the text: what follows it in the record is not its own.
                let root = self.workspace.scanner.index_at(&bytes[..end as usize], start as usize, &mut self.slots);
                match root {
                    Ok(root) => self.json_body(base, root, slots),
                    Err(_) => Body::Whole(source),
                }
            }
            Source::Json { .. } | Source::Payload { tag: Tag::Map | Tag::Struct, .. } => {
                let tree = self.tree(record, source, schema.as_ref());
                let source = self.keep_tree(tree);
                self.tree_fields(source, id, schema.as_deref()).unwrap_or(Body::Whole(source))
            }
            source => self.tree_fields(source, id, schema.as_deref()).unwrap_or(Body::Whole(source)),
        }
    }

    /// Makes a value the whole key or value. With a schema it has to fit it.
    fn put_whole(
        &mut self,
        record: usize,
        side: Side,
        source: Source,
        from: Option<&Arc<Schema>>,
        schemas: &SchemaTable,
    ) {
        let id = self.sides[side as usize][record].schema;
        let fitted = match schemas.get(id) {
            Some(to) => self.fit(record, source, from, to),
            None => Ok(source),
        };
        match fitted {
            Ok(source) => {
                let body = self.body_of(record, source, id, schemas);
                self.sides[side as usize][record].body = body;
            }
            Err(message) => self.fail_data(record, message),
        }
    }

    pub(super) fn set_whole(
        &mut self,
        side: Side,
        selected: &[(u32, u32)],
        step: &mut Step<'_>,
        mut value: impl FnMut(&mut Self, u32) -> (Source, Option<Arc<Schema>>),
    ) {
        // The same tree for all records is indexed once per schema.
        let mut last: Option<(Source, SchemaId, Body)> = None;
        for &(row, record) in selected {
            let index = record as usize;
            let (source, from) = value(self, row);
            if source == Source::Missing {
                continue;
            }
            let id = self.sides[side as usize][index].schema;
            if let Some((known, schema, body)) = &last
                && *known == source
                && *schema == id
            {
                self.sides[side as usize][index].body = *body;
                continue;
            }
            if source == Source::NULL {
                // A tombstone is a tombstone, whatever the schema says.
                self.sides[side as usize][index].body = Body::Whole(Source::NULL);
                continue;
            }
            self.put_whole(index, side, source, from.as_ref(), step.schemas);
            if matches!(source, Source::Tree(_)) && self.is_live(index) {
                last = Some((source, id, self.sides[side as usize][index].body));
            }
        }
    }

    /// Changes the members of the object that holds the end of a path. Nothing happens where a parent is not there or
    /// is no object.
    pub(super) fn edit_nested(
        &mut self,
        record: u32,
        side: Side,
        path: &[String],
        edit: impl FnOnce(&mut Members, &str, Option<&Schema>) -> Result<(), String>,
    ) {
        let index = record as usize;
        let ([top, parents @ ..], Some(name)) = (&path[..path.len() - 1], path.last()) else { return };
        let (layout, slots, form) = match self.sides[side as usize][index].body {
            Body::Fields { layout, slots, form, .. } => (layout, slots, form),
            Body::Whole(source) => return self.no_fields(index, source),
        };
        let Some(top) = self.workspace.scanner.shapes.find(top) else { return };
        let Some(position) = self.layouts.get(layout).position(top) else { return };
        let field = self.layouts.get(layout).fields[position].clone();
        let source = self.resolve(index, field.origin, slots, form);
        if let Err(message) = self.check_source(index, source) {
            return self.fail_data(index, message);
        }
        let mut tree = self.tree(index, source, field.schema.as_ref());
        let mut schema = field.schema.as_deref();
        let mut inner = &mut tree;
        for parent in parents {
            let (Value::Map(members) | Value::Struct(members)) = inner else { return };
            let Some(next) = members.get_mut(parent) else { return };
            inner = next;
            schema = schema.and_then(|schema| schema.field(parent)).map(|field| &*field.schema);
        }
        let (Value::Map(members) | Value::Struct(members)) = inner else { return };
        if let Err(message) = edit(members, name, schema) {
            return self.fail_data(index, message);
        }
        let origin = Origin::Constant(self.keep_tree(tree));
        let mut layout = self.layouts.get(layout).clone();
        layout.set(top, origin, field.schema);
        let own = self.layouts.add(layout);
        if let Body::Fields { layout, .. } = &mut self.sides[side as usize][index].body {
            *layout = own;
        }
    }

    pub(super) fn set_nested(
        &mut self,
        record: u32,
        side: Side,
        path: &[String],
        source: Source,
        from: Option<&Arc<Schema>>,
    ) {
        let value = self.tree(record as usize, source, from);
        self.edit_nested(record, side, path, |members, name, _| {
            members.insert(name, value);
            Ok(())
        });
    }

    /// Wraps a whole place in an object with one field.
    pub(super) fn hoist(&mut self, side: Side, name: &str, selected: &[(u32, u32)], step: &mut Step<'_>) {
        let id = self.workspace.scanner.shapes.intern(name);
        let overlay = self.overlay.len() as u32;
        self.overlay.push(vec![Source::Missing; self.len()]);
        let mut made: Vec<(SchemaId, LayoutId)> = Vec::new();
        for &(_, record) in selected {
            let index = record as usize;
            let schema = self.sides[side as usize][index].schema;
            let source = self.whole_source(index, side);
            let mut own = None;
            let mut fitted = Ok(source);
            if let Some(whole) = step.schemas.get(schema) {
                let Some(field) = whole.field(name) else {
                    self.fail_data(
                        index,
                        format!("field \"{name}\" is not in the schema that the transform announced"),
                    );
                    continue;
                };
                own = Some(Arc::clone(&field.schema));
                fitted = match source {
                    // A null is put into the struct as it is, whatever its default.
                    Source::NULL if field.schema.optional => Ok(Source::NULL),
                    Source::NULL => Err("Invalid value: null used for required field".to_owned()),
                    // What was there stays text if the transform announced the same for the field.
                    Source::Json { base, start, end }
                        if super::typed::fits(self.bytes(index, base, start, end), &field.schema) =>
                    {
                        Ok(source)
                    }
                    source => self.fit(index, source, None, &field.schema),
                };
            }
            match fitted {
                Ok(source) => self.overlay[overlay as usize][index] = source,
                Err(message) => {
                    self.fail_data(index, format!("field \"{name}\": {message}"));
                    continue;
                }
            }
            let layout = match made.iter().find(|(known, _)| *known == schema) {
                Some((_, layout)) => *layout,
                None => {
                    let field = Field { name: id, origin: Origin::Overlay(overlay), renamed: true, schema: own };
                    let layout = self.layouts.add(Layout { fields: vec![field], schema, untouched: false });
                    made.push((schema, layout));
                    layout
                }
            };
            self.sides[side as usize][index].body =
                Body::Fields { layout, slots: 0, form: Form::Json(Base::Heap), start: 0, end: 0 };
        }
    }

    /// Makes the value of a field the whole place.
    pub(super) fn extract(&mut self, column: &Column, defaults: bool, selected: &[Selected], step: &mut Step<'_>) {
        let Some(side) = column.place.side() else { return };
        for &(_, record) in selected {
            let index = record as usize;
            if let Body::Whole(source) = self.sides[side as usize][index].body {
                self.no_fields(index, source);
                continue;
            }
            let (source, from) = self.take(index, column, defaults, step.schemas);
            if source == Source::Missing
                && let Err(message) = self.check_way(index, side, &column.path, step.schemas)
            {
                self.fail_data(index, message);
            } else if source == Source::Missing || self.is_null(index, source) {
                // As in Connect a field that is not there is null, and a null is one whatever its schema says.
                self.sides[side as usize][index].body = Body::Whole(Source::NULL);
            } else {
                self.put_whole(index, side, source, from.as_ref(), step.schemas);
            }
        }
    }

    /// Refuses a way on which something neither is null nor has fields.
    pub(super) fn check_way(
        &self,
        record: usize,
        side: Side,
        path: &[String],
        schemas: &SchemaTable,
    ) -> Result<(), String> {
        for length in 0..path.len() {
            let source = match length {
                // An object at the top has been seen.
                0 => match self.sides[side as usize][record].body {
                    Body::Whole(source) => source,
                    Body::Fields { .. } => continue,
                },
                length => match self.lookup(record, side, &path[..length], schemas).0 {
                    Found::At(source) => source,
                    Found::In(Value::Null | Value::Map(_) | Value::Struct(_)) => continue,
                    Found::In(other) => return Err(no_fields_in(other)),
                },
            };
            let has_fields = match source {
                Source::Missing | Source::Payload { tag: Tag::Map | Tag::Struct, .. } => true,
                Source::Json { base, start, end } => self.bytes(record, base, start, end).first() == Some(&b'{'),
                Source::Tree(at) => matches!(self.trees[at as usize], Value::Map(_) | Value::Struct(_)),
                Source::Fixed { .. } | Source::Payload { .. } => false,
            };
            if !has_fields && !self.is_null(record, source) {
                return Err(no_fields_in(&self.tree(record, source, None)));
            }
        }
        Ok(())
    }

    /// Joins the names of nested fields. Arrays stay as they are, and so do maps that have a schema.
    pub(super) fn flatten(
        &mut self,
        side: Side,
        delimiter: &str,
        defaults: bool,
        selected: &[Selected],
        step: &mut Step<'_>,
    ) {
        for &(_, record) in selected {
            let index = record as usize;
            let (layout, slots, form, schema) = match self.sides[side as usize][index] {
                super::Part { body: Body::Fields { layout, slots, form, .. }, schema, .. } => {
                    (layout, slots, form, schema)
                }
                super::Part { body: Body::Whole(source), .. } => {
                    self.no_fields(index, source);
                    continue;
                }
            };
            let mut flat = Flat { members: Members::new(), delimiter, defaults };
            let fields = self.layouts.get(layout).fields.clone();
            let added = fields.into_iter().try_for_each(|field| {
                let source = self.resolve(index, field.origin, slots, form);
                self.check_source(index, source)?;
                let tree = self.tree(index, source, field.schema.as_ref());
                flat.add(self.name(field.name).to_owned(), tree, field.schema.as_deref())
            });
            if let Err(message) = added {
                self.fail_data(index, message);
                continue;
            }
            let members = flat.members;
            let tree = if schema == SchemaId::NONE { Value::Map(members) } else { Value::Struct(members) };
            self.trees.push(tree);
            let source = Source::Tree(self.trees.len() as u32 - 1);
            let whole = step.schemas.get(schema).cloned();
            if let Some(body) = self.tree_fields(source, schema, whole.as_deref()) {
                self.sides[side as usize][index].body = body;
            }
        }
    }
}

fn no_fields_in(value: &Value) -> String {
    format!("Only Map or Struct objects supported, found: {}", value.java_class())
}

/// An object on its way to having no objects in it.
struct Flat<'d> {
    members: Members,
    delimiter: &'d str,
    defaults: bool,
}

impl Flat<'_> {
    fn add(&mut self, name: String, value: Value, schema: Option<&Schema>) -> Result<(), String> {
        match (value, schema) {
            (Value::Map(members), None) | (Value::Struct(members), None) => {
                for (inner, value) in members {
                    self.add(format!("{name}{}{inner}", self.delimiter), value, None)?;
                }
            }
            (Value::Struct(mut members), Some(schema)) => {
                for field in schema.fields() {
                    let value = members.remove(&field.name).unwrap_or(Value::Null);
                    self.add(format!("{name}{}{}", self.delimiter, field.name), value, Some(&field.schema))?;
                }
            }
            // A struct that is null has no fields; they are null in the flat one.
            (Value::Null, Some(Schema { kind: Kind::Struct(_), .. })) => {}
            (Value::Null, Some(Schema { default: Some(default), .. })) if self.defaults => {
                self.members.insert(name, default.clone());
            }
            (value @ (Value::Decimal(_) | Value::Date(_) | Value::Time(_) | Value::Timestamp(_)), None) => {
                return Err(format!(
                    "Flatten transformation was passed a value of type class {} which is not supported by Connect's data \
                     API",
                    value.java_class()
                ));
            }
            (value, _) => self.members.insert(name, value),
        }
        Ok(())
    }
}

/// Gives a member another name in its place; of two members of that name the later one stays.
pub(super) fn rename(members: &mut Members, from: &str, to: &str) {
    if from == to || members.get(from).is_none() {
        return;
    }
    let goes = members.iter().find(|(name, _)| *name == from || *name == to).map(|(name, _)| name.to_owned());
    let two = members.get(to).is_some();
    *members = std::mem::take(members)
        .into_iter()
        .filter(|(name, _)| !two || Some(name) != goes.as_ref())
        .map(|(name, value)| (if name == from { to.to_owned() } else { name }, value))
        .collect();
}
