//! Edits that change the structure of a value, and edits to what lies deeper than its top level.

use super::layout::{Field, Layout, Origin};
use super::source::{Base, Source};
use super::{Body, Form, View};
use crate::{SchemaId, Value};

impl View<'_> {
    /// The body of a tree that has fields; none for any other source.
    pub(super) fn tree_fields(
        &mut self,
        source: Source,
        schema: SchemaId,
        fields: Option<&crate::Schema>,
    ) -> Option<Body> {
        let Source::Tree(at) = source else { return None };
        let members = match &mut self.trees[at as usize] {
            Value::Struct(members) => std::mem::take(members),
            Value::Map(members) if schema == SchemaId::NONE => std::mem::take(members),
            _ => return None,
        };
        let mut layout = Layout { fields: Vec::with_capacity(members.len()), schema, untouched: false };
        for (name, value) in members {
            let own = fields.and_then(|schema| schema.field(&name)).map(|field| field.schema.clone());
            let origin = Origin::Constant(self.keep_tree(value));
            let name = self.workspace.scanner.shapes.intern(&name);
            layout.fields.push(Field { name, origin, renamed: true, schema: own });
        }
        let layout = self.layouts.add(layout);
        Some(Body::Fields { layout, slots: 0, form: Form::Json(Base::Heap), start: 0, end: 0 })
    }
}
