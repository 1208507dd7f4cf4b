//! Defaults of schemas in place of nulls, and the fields that a schema has and a record does not.

use std::sync::Arc;

use super::apply::{Selected, Step};
use super::layout::{Field, Origin, Transition};
use super::plan::{Rows, Side};
use super::source::Source;
use super::{Body, View};
use crate::schema::Kind;
use crate::{Schema, SchemaId, SchemaTable};

impl View<'_> {
    /// Gives objects a null for every field that only their schema has: to Connect they have it. Steps that edit a side
    /// begin with this, since what they make of the schema may no longer tell.
    pub(super) fn complete(&mut self, rows: &Rows, side: Side, schemas: &SchemaTable) {
        let mut transition = Transition::new(&self.layouts);
        for &record in rows.records() {
            let part = &self.sides[side as usize][record as usize];
            let Body::Fields { layout, .. } = part.body else { continue };
            let Some(schema) = schemas.get(part.schema) else { continue };
            if self.layouts.get(layout).fields.len() >= schema.fields().len() {
                continue;
            }
            let names = schema.fields().iter().map(|own| (self.workspace.scanner.shapes.intern(&own.name), own));
            let names: Vec<_> = names.collect();
            let completed = transition.follow(&mut self.layouts, layout, |layout| {
                for (name, own) in names {
                    if layout.position(name).is_none() {
                        let schema = Some(Arc::clone(&own.schema));
                        let origin = Origin::Constant(Source::NULL);
                        layout.fields.push(Field { name, origin, renamed: true, schema });
                        layout.untouched = false;
                    }
                }
            });
            if let Body::Fields { layout, .. } = &mut self.sides[side as usize][record as usize].body {
                *layout = completed;
            }
        }
    }

    /// Gives every top-level field that is null or not there the default of the record's schema.
    pub(super) fn set_defaults(&mut self, side: Side, selected: &[Selected], step: &Step<'_>) {
        let mut ids: Vec<SchemaId> = Vec::new();
        for &(_, record) in selected {
            let part = &self.sides[side as usize][record as usize];
            match part.body {
                Body::Whole(source) => self.no_fields(record as usize, source),
                Body::Fields { .. } if part.schema != SchemaId::NONE && !ids.contains(&part.schema) => {
                    ids.push(part.schema);
                }
                Body::Fields { .. } => {}
            }
        }
        for id in ids {
            let Some(schema) = step.schemas.get(id).cloned() else { continue };
            for own in schema.fields() {
                if let Some(default) = &own.schema.default {
                    let source = self.keep_tree(default.clone());
                    self.set_default(side, id, &own.name, source, &own.schema, selected);
                }
            }
        }
    }

    fn set_default(
        &mut self,
        side: Side,
        id: SchemaId,
        name: &str,
        default: Source,
        schema: &Arc<Schema>,
        selected: &[Selected],
    ) {
        let name = self.workspace.scanner.shapes.intern(name);
        // Most often no record lacks the field; then nothing is made.
        let mut transition: Option<Transition> = None;
        for &(_, record) in selected {
            let index = record as usize;
            let part = &self.sides[side as usize][index];
            let Body::Fields { layout, slots, form, .. } = part.body else { continue };
            if part.schema != id || !self.is_live(index) {
                continue;
            }
            let layout = self.layouts.get(layout);
            let is_there = layout.position(name).is_some_and(|position| {
                let source = self.resolve(index, layout.fields[position].origin, slots, form);
                source != Source::Missing && !self.is_null(index, source)
            });
            if is_there {
                continue;
            }
            let transition = transition.get_or_insert_with(|| Transition::new(&self.layouts));
            if let Body::Fields { layout, .. } = &mut self.sides[side as usize][index].body {
                *layout = transition.follow(&mut self.layouts, *layout, |layout| {
                    layout.set(name, Origin::Constant(default), Some(Arc::clone(schema)));
                });
            }
        }
    }
}

/// The schema at the end of a path through structs.
pub(super) fn schema_at<'s>(schema: &'s Arc<Schema>, path: &[String]) -> Option<&'s Arc<Schema>> {
    path.iter().try_fold(schema, |schema, name| match &schema.kind {
        Kind::Struct(fields) => fields.iter().find(|field| field.name == *name).map(|field| &field.schema),
        _ => None,
    })
}
