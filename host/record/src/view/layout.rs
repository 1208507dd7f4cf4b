//! Layouts: what the top level of an object is made of, for many records at once.
//!
//! All records of one shape begin with the same layout. An edit to a field leads from each layout to another one, which is
//! made once per layout and edit; a record only follows. That is why removing, renaming or setting a field costs a few
//! instructions per record, whatever the record's size. (Engines of dynamic languages call this hidden classes.)

use std::sync::Arc;

use super::source::Source;
use crate::json::{NameId, ShapeId, Shapes};
use crate::{Schema, SchemaId};

/// A layout of the batch in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct LayoutId(pub(super) u32);

/// Where the value of a field is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Origin {
    /// In the record as it came: a slot, counted from the record's first one.
    Slot(u32),
    /// The same for all records.
    Constant(Source),
    /// One per record: a column of the overlay.
    Overlay(u32),
}

#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: NameId,
    pub(super) origin: Origin,
    /// The slot has another name in the text.
    pub(super) renamed: bool,
    /// The schema of the value, where the record has one.
    pub(super) schema: Option<Arc<Schema>>,
}

/// The fields of an object in their order. Names are unique.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) fields: Vec<Field>,
    pub(super) schema: SchemaId,
    /// The fields are the slots, all of them, in their order: the text can stay as it is.
    pub(super) untouched: bool,
}

impl Layout {
    pub(super) fn position(&self, name: NameId) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// Gives a field a value, at the end if there is no such field yet.
    pub(super) fn set(&mut self, name: NameId, origin: Origin, schema: Option<Arc<Schema>>) {
        self.untouched = false;
        let field = Field { name, origin, renamed: true, schema };
        match self.position(name) {
            Some(at) => self.fields[at] = field,
            None => self.fields.push(field),
        }
    }

    pub(super) fn remove(&mut self, name: NameId) {
        if let Some(at) = self.position(name) {
            self.untouched = false;
            self.fields.remove(at);
        }
    }

    /// Gives a field another name in its place; of two fields of that name the later one stays.
    pub(super) fn rename(&mut self, from: NameId, to: NameId) {
        let Some(at) = self.position(from).filter(|_| from != to) else { return };
        self.untouched = false;
        match self.position(to) {
            Some(other) if other > at => {
                self.fields.remove(at);
            }
            other => {
                self.fields[at].name = to;
                self.fields[at].renamed = true;
                if let Some(other) = other {
                    self.fields.remove(other);
                }
            }
        }
    }

    pub(super) fn retain(&mut self, names: &[NameId]) {
        let before = self.fields.len();
        self.fields.retain(|field| names.contains(&field.name));
        self.untouched &= self.fields.len() == before;
    }
}

/// The layouts of a batch.
#[derive(Default)]
pub(super) struct Layouts {
    all: Vec<Layout>,
    /// By shape, for objects without a schema.
    by_shape: Vec<Option<LayoutId>>,
}

impl Layouts {
    pub(super) fn get(&self, id: LayoutId) -> &Layout {
        &self.all[id.0 as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn add(&mut self, layout: Layout) -> LayoutId {
        self.all.push(layout);
        LayoutId(self.all.len() as u32 - 1)
    }

    /// The layout of an object without a schema as it came. Of two fields with one name the last counts.
    pub(super) fn of_shape(&mut self, shape: ShapeId, shapes: &Shapes) -> LayoutId {
        let at = shape.0 as usize;
        if at >= self.by_shape.len() {
            self.by_shape.resize(shapes.len().max(at + 1), None);
        }
        if let Some(id) = self.by_shape[at] {
            return id;
        }
        let members = shapes.members(shape);
        let duplicates = shapes.has_duplicates(shape);
        let fields = members
            .iter()
            .enumerate()
            .filter(|&(at, name)| !duplicates || !members[at + 1..].contains(name))
            .map(|(at, &name)| Field { name, origin: Origin::Slot(at as u32), renamed: false, schema: None })
            .collect();
        let id = self.add(Layout { fields, schema: SchemaId::NONE, untouched: !duplicates });
        self.by_shape[at] = Some(id);
        id
    }
}

/// For each layout that there was when an edit began, the layout it led to.
pub(super) struct Transition {
    next: Vec<Option<LayoutId>>,
}

impl Transition {
    pub(super) fn new(layouts: &Layouts) -> Transition {
        Transition { next: vec![None; layouts.len()] }
    }

    /// The layout behind `from`, made by `edit` when it is asked for the first time.
    #[inline]
    pub(super) fn follow(&mut self, layouts: &mut Layouts, from: LayoutId, edit: impl FnOnce(&mut Layout)) -> LayoutId {
        if let Some(next) = self.next[from.0 as usize] {
            return next;
        }
        let mut layout = layouts.get(from).clone();
        edit(&mut layout);
        let next = layouts.add(layout);
        self.next[from.0 as usize] = Some(next);
        next
    }
}
