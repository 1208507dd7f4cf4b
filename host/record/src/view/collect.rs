//! Making a key out of fields of the value, or a value out of fields of the key.

use std::sync::Arc;

use super::apply::{Selected, Step};
use super::defaults::schema_at;
use super::layout::{Field, Layout, LayoutId, Origin};
use super::plan::{Column, Side};
use super::source::{Base, Source};
use super::{Body, Form, View};
use crate::schema::{Field as SchemaField, Kind};
use crate::{Schema, SchemaId, SchemaTable};

/// What the collected fields make where the other side has the schema `from`.
struct Made {
    from: SchemaId,
    schema: SchemaId,
    layout: LayoutId,
}

impl View<'_> {
    /// Makes a side a map or struct of what fields of the other side hold.
    pub(super) fn collect(
        &mut self,
        side: Side,
        targets: &[(usize, &str)],
        defaults: bool,
        selected: &[Selected],
        step: &mut Step<'_>,
    ) {
        let from_side = if side == Side::Key { Side::Value } else { Side::Key };
        let (overlay, records) = (self.overlay.len(), self.len());
        self.overlay.resize_with(overlay + targets.len(), || vec![Source::Missing; records]);
        let mut made: Vec<Made> = Vec::new();
        for &(_, record) in selected {
            let index = record as usize;
            let from = self.sides[from_side as usize][index].schema;
            let at = match made.iter().position(|made| made.from == from) {
                Some(at) => Ok(at),
                None => self.made_of(from, overlay, targets, step).map(|new| {
                    made.push(new);
                    made.len() - 1
                }),
            };
            let collected = at.and_then(|at| {
                for (position, (target, _)) in targets.iter().enumerate() {
                    let source = self.collected(index, from_side, &step.write[*target], defaults, step.schemas)?;
                    self.overlay[overlay + position][index] = source;
                }
                Ok(at)
            });
            match collected {
                Ok(at) => {
                    let Made { schema, layout, .. } = made[at];
                    let part = &mut self.sides[side as usize][index];
                    part.schema = schema;
                    part.body = Body::Fields { layout, slots: 0, form: Form::Json(Base::Heap), start: 0, end: 0 };
                }
                Err(message) => self.fail_data(index, message),
            }
        }
    }

    fn collected(
        &mut self,
        record: usize,
        from: Side,
        column: &Column,
        defaults: bool,
        schemas: &SchemaTable,
    ) -> Result<Source, String> {
        let (source, _) = self.take(record, column, defaults, schemas);
        if source != Source::Missing {
            return Ok(source);
        }
        self.check_way(record, from, &column.path, schemas)?;
        Ok(Source::NULL)
    }

    /// The schema and the layout of what is collected where the other side has the schema `from`.
    fn made_of(
        &mut self,
        from: SchemaId,
        overlay: usize,
        targets: &[(usize, &str)],
        step: &mut Step<'_>,
    ) -> Result<Made, String> {
        let whole = step.schemas.get(from).cloned();
        let mut layout = Layout { fields: Vec::new(), schema: SchemaId::NONE, untouched: false };
        let mut fields = Vec::new();
        for (position, (target, name)) in targets.iter().enumerate() {
            let schema = match &whole {
                None => None,
                Some(whole) => match schema_at(whole, &step.write[*target].path) {
                    Some(schema) => Some(Arc::clone(schema)),
                    None => return Err(format!("Field does not exist: {name}")),
                },
            };
            if let Some(schema) = &schema {
                fields.push(SchemaField { name: (*name).to_owned(), schema: Arc::clone(schema) });
            }
            let name = self.workspace.scanner.shapes.intern(name);
            let origin = Origin::Overlay((overlay + position) as u32);
            match layout.position(name) {
                None => layout.fields.push(Field { name, origin, renamed: true, schema }),
                Some(at) => layout.fields[at] = Field { name, origin, renamed: true, schema },
            }
        }
        if whole.is_some() {
            let schema = Schema::new(Kind::Struct(fields));
            layout.schema = step.schemas.define(&schema).map_err(|error| error.to_string())?;
        }
        // The table has schemas of its own for the fields, and layouts refer to those.
        if let Some(own) = step.schemas.get(layout.schema) {
            for (field, own) in layout.fields.iter_mut().zip(own.fields()) {
                field.schema = Some(Arc::clone(&own.schema));
            }
        }
        Ok(Made { from, schema: layout.schema, layout: self.layouts.add(layout) })
    }
}
