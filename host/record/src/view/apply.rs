//! Applying the edits of a step.
//!
//! Edits to top-level fields lead the records' layouts on (`layout.rs`) and put values beside the records; nothing is
//! copied but what the edits bring along. The plan decides what may be written: an edit that does not go with its target is
//! refused with the whole answer, a value that does not go with a record's schema fails that record.

use std::collections::HashMap;
use std::sync::Arc;

use super::explode::Explode;
use super::fit::conforms;
use super::layout::{Layout, LayoutId, Origin, Transition};
use super::nodes::TOO_DEEP;
use super::plan::{Column, Place, Rows, Side};
use super::source::Source;
use super::{Body, Failure, FailureKind, Header, Original, Stage, State, View};
use crate::cell::Cell;
use crate::edits::{Edit, EditsReader, ScopedEdit};
use crate::malformed::{Malformed, Reason};
use crate::tlv::Tag;
use crate::{Schema, SchemaId, SchemaTable};

/// What became of a schema, or how every record of it fails.
pub type Reshaped<T> = Result<T, (FailureKind, String)>;

/// What a step answers about schemas, kept for as long as the step's instance has the same configuration.
#[derive(Default)]
pub struct Reshapes {
    answers: [HashMap<SchemaId, Reshaped<SchemaId>>; 2],
}

impl Reshapes {
    pub fn new() -> Reshapes {
        Reshapes::default()
    }

    /// Keeps the answer for a schema: the new one, none when it stays, or an error for every record of the schema.
    pub fn insert(&mut self, side: Side, schema: SchemaId, answer: Reshaped<Option<SchemaId>>) {
        self.answers[side as usize].insert(schema, answer.map(|new| new.unwrap_or(schema)));
    }
}

/// Why edits were not applied. The view is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotApplied {
    /// The edits do not go with the plan: the step is at fault.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The step was not asked about a schema ([`View::unshaped`]): the caller is at fault.
    #[error("schema {} was not reshaped", .1.0)]
    Unshaped(Side, SchemaId),
}

/// The step in hand.
pub(super) struct Step<'s> {
    pub(super) write: &'s [Column],
    pub(super) schemas: &'s mut SchemaTable,
    pub(super) names: &'s [&'s str],
}

/// A row of the edits and its record in the view.
pub(super) type Selected = (u32, u32);

impl View<'_> {
    /// The schemas of which the step has to say what it makes of them, before its edits can be applied.
    pub fn unshaped(&self, rows: &Rows, write: &[Column], reshapes: &Reshapes) -> Vec<(Side, SchemaId)> {
        let mut unshaped = Vec::new();
        for side in written_sides(write) {
            let mut last = SchemaId::NONE;
            for &record in rows.records() {
                let schema = self.sides[side as usize][record as usize].schema;
                if schema == last || schema == SchemaId::NONE {
                    continue;
                }
                last = schema;
                let question = (side, schema);
                if !reshapes.answers[side as usize].contains_key(&schema) && !unshaped.contains(&question) {
                    unshaped.push(question);
                }
            }
        }
        unshaped
    }

    /// Applies what a step answered for these rows. `write` is its plan's; `edits` were read with the number of rows and
    /// the length of `write`.
    pub fn apply(
        &mut self,
        rows: &Rows,
        edits: &EditsReader<'_>,
        write: &[Column],
        reshapes: &Reshapes,
        schemas: &mut SchemaTable,
    ) -> Result<(), NotApplied> {
        check(rows, edits, write).map_err(|malformed| malformed.of("edits"))?;
        if let Some(&(side, schema)) = self.unshaped(rows, write, reshapes).first() {
            return Err(NotApplied::Unshaped(side, schema));
        }
        self.reshape(rows, edits, write, reshapes, schemas);
        for failure in edits.failures() {
            let record = rows.records()[failure.record] as usize;
            let message = failure.message.to_owned();
            self.fail(record, Failure { stage: Stage::Transformation, kind: failure.kind, message });
        }
        if let Some(keep) = edits.keep() {
            for (row, &record) in rows.records().iter().enumerate() {
                if !keep.get(row) && self.is_live(record as usize) {
                    self.states[record as usize] = State::Dropped;
                }
            }
        }
        let mut step = Step { write, schemas, names: edits.names() };
        let mut current: Vec<Selected> = (0..).zip(rows.records().iter().copied()).collect();
        let mut selected: Vec<Selected> = Vec::with_capacity(rows.len());
        for ScopedEdit { edit, records } in edits.edits() {
            selected.clear();
            let live = current.iter().filter(|(_, record)| self.is_live(*record as usize));
            selected.extend(live.filter(|(row, _)| records.is_none_or(|bits| bits.get(*row as usize))));
            if uses_trees(edit, write) {
                selected.retain(|&(_, record)| {
                    let deep = self.is_deep(record as usize);
                    if deep {
                        self.fail_data(record as usize, TOO_DEEP.to_owned());
                    }
                    !deep
                });
            }
            match edit {
                &Edit::Explode { target, index, keeps_empty, takes_whole, max } => {
                    let explode = Explode { target, index, keeps_empty, takes_whole, max };
                    self.explode(&explode, &selected, &mut current, &mut step);
                }
                edit => self.edit(edit, &selected, &mut step),
            }
        }
        self.settle(&current, write, step.schemas);
        Ok(())
    }

    fn edit(&mut self, edit: &Edit<'_>, selected: &[Selected], step: &mut Step<'_>) {
        match edit {
            Edit::Remove { target } => self.remove(&step.write[*target], selected, step),
            Edit::SetConstant { target, cell, schema } => {
                let source = self.keep_cell(*cell, step.names);
                let from = announced(*schema, step.schemas);
                self.set(&step.write[*target], selected, step, |_, _| (source, from.clone()));
            }
            Edit::SetValues { target, cells, schema } => {
                let (names, from) = (step.names, announced(*schema, step.schemas));
                self.set(&step.write[*target], selected, step, |view, row| {
                    (view.keep_cell(cells.get(row as usize), names), from.clone())
                });
            }
            Edit::Rename { target, name } => self.rename(&step.write[*target], name, selected),
            Edit::Copy { target, to, defaults } => {
                self.copy(*target, *to, *defaults, selected, step);
            }
            Edit::Move { target, to, .. } if step.write[*target] == step.write[*to] => {}
            Edit::Move { target, to, defaults } => {
                let there = self.copy(*target, *to, *defaults, selected, step);
                self.remove(&step.write[*target], &there, step);
            }
            Edit::Retain { place, names } => {
                let names: Vec<_> = names.iter().map(|name| self.workspace.scanner.shapes.intern(name)).collect();
                let mut transition = Transition::new(&self.layouts);
                for &(_, record) in selected {
                    self.follow(record, *place, &mut transition, |layout| layout.retain(&names));
                }
            }
            Edit::Flatten { place, delimiter, defaults } => {
                self.flatten(*place, delimiter, *defaults, selected, step);
            }
            Edit::Hoist { place, field } => self.hoist(*place, field, selected, step),
            Edit::Extract { target, defaults } => self.extract(&step.write[*target], *defaults, selected, step),
            Edit::Defaults { place } => self.set_defaults(*place, selected, step),
            Edit::Collect { place, targets, defaults } => self.collect(*place, targets, *defaults, selected, step),
            // It changes what the edits behind it work on, so `apply` does it.
            Edit::Explode { .. } => {}
        }
    }

    /// Gives records the schemas that the step makes of theirs. What is null keeps its own, unless an edit makes it anew.
    fn reshape(
        &mut self,
        rows: &Rows,
        edits: &EditsReader<'_>,
        write: &[Column],
        reshapes: &Reshapes,
        schemas: &SchemaTable,
    ) {
        for side in written_sides(write) {
            self.complete(rows, side, schemas);
            let mut transition = Transition::new(&self.layouts);
            for (row, &record) in rows.records().iter().enumerate() {
                let index = record as usize;
                let part = &self.sides[side as usize][index];
                let schema = part.schema;
                if schema == SchemaId::NONE || !self.is_live(index) {
                    continue;
                }
                let is_null = matches!(part.body, Body::Whole(source) if self.is_null(index, source));
                if is_null && !edits.edits().iter().any(|edit| makes_whole(edit, row, side, write)) {
                    continue;
                }
                match reshapes.answers[side as usize].get(&schema) {
                    Some(Ok(new)) if *new == schema => {}
                    Some(Ok(new)) => {
                        let part = &mut self.sides[side as usize][index];
                        part.schema = *new;
                        if let Body::Fields { layout, .. } = &mut part.body {
                            *layout = transition.follow(&mut self.layouts, *layout, |layout| layout.schema = *new);
                        }
                    }
                    Some(Err((kind, message))) => {
                        let message = message.clone();
                        self.fail(index, Failure { stage: Stage::Transformation, kind: *kind, message });
                    }
                    None => {}
                }
            }
        }
    }

    /// Checks that objects are what their schemas say after all edits.
    fn settle(&mut self, current: &[Selected], write: &[Column], schemas: &SchemaTable) {
        for side in written_sides(write) {
            let mut settled: HashMap<u32, Result<LayoutId, String>> = HashMap::new();
            for &(_, record) in current {
                let index = record as usize;
                let part = &self.sides[side as usize][index];
                let Body::Fields { layout, .. } = part.body else { continue };
                if part.schema == SchemaId::NONE || self.states[index] != State::Live {
                    continue;
                }
                let Some(schema) = schemas.get(part.schema) else { continue };
                let outcome = match settled.get(&layout.0) {
                    Some(outcome) => outcome.clone(),
                    None => {
                        let outcome = self.settled_layout(index, layout, schema);
                        settled.insert(layout.0, outcome.clone());
                        outcome
                    }
                };
                match outcome {
                    Ok(settled) => {
                        if let Body::Fields { layout, .. } = &mut self.sides[side as usize][index].body {
                            *layout = settled;
                        }
                    }
                    Err(message) => self.fail_data(index, message),
                }
            }
        }
    }

    /// `record` has the layout. What lies deeper may have been edited to what only the new schema allows: then the value says
    /// whether it fits.
    fn settled_layout(&mut self, record: usize, id: LayoutId, schema: &Arc<Schema>) -> Result<LayoutId, String> {
        let mut layout = self.layouts.get(id).clone();
        let mut changed = false;
        for field in &mut layout.fields {
            let name = self.workspace.scanner.shapes.name(field.name).to_owned();
            let Some(own) = schema.field(&name) else {
                return Err(format!("field \"{name}\" is not in the schema that the transform announced"));
            };
            match &field.schema {
                Some(from) if Arc::ptr_eq(from, &own.schema) => {}
                Some(from) if conforms(from, &own.schema) => {
                    field.schema = Some(Arc::clone(&own.schema));
                    changed = true;
                }
                Some(_) if matches!(field.origin, Origin::Constant(Source::Tree(_))) => {
                    let Origin::Constant(source) = field.origin else { continue };
                    let fitted = self.fit(record, source, None, &own.schema);
                    field.origin = Origin::Constant(fitted.map_err(|message| format!("field \"{name}\": {message}"))?);
                    field.schema = Some(Arc::clone(&own.schema));
                    changed = true;
                }
                Some(from) => {
                    return Err(format!(
                        "field \"{name}\" is {} in the record and {} in the schema that the transform announced",
                        from.kind.connect_name(),
                        own.schema.kind.connect_name()
                    ));
                }
                None => return Err(format!("field \"{name}\" has no schema")),
            }
        }
        // Fields that only the schema has are written, so the text cannot stay as it is.
        if layout.untouched && layout.fields.len() < schema.fields().len() {
            layout.untouched = false;
            changed = true;
        }
        Ok(if changed { self.layouts.add(layout) } else { id })
    }

    /// Leads the layout of a record on. Null stays null; a record whose key or value has no fields fails.
    pub(super) fn follow(
        &mut self,
        record: u32,
        side: Side,
        transition: &mut Transition,
        edit: impl FnOnce(&mut Layout),
    ) {
        let index = record as usize;
        match &mut self.sides[side as usize][index].body {
            Body::Fields { layout, .. } => *layout = transition.follow(&mut self.layouts, *layout, edit),
            &mut Body::Whole(source) => self.no_fields(index, source),
        }
    }

    /// What an edit to a field does to a record without fields: nothing to null, else the record fails as in Connect.
    pub(super) fn no_fields(&mut self, record: usize, source: Source) {
        if !self.is_null(record, source) {
            let class = self.tree(record, source, None).java_class();
            self.fail_data(record, format!("Only Map or Struct objects supported, found: {class}"));
        }
    }

    pub(super) fn fail_data(&mut self, record: usize, message: String) {
        self.fail(record, Failure { stage: Stage::Transformation, kind: FailureKind::Data, message });
    }

    /// Keeps a value of the edits.
    fn keep_cell(&mut self, cell: Cell<'_>, names: &[&str]) -> Source {
        match cell {
            Cell::Missing => Source::Missing,
            Cell::String(text) => self.keep_payload(Tag::String, text.as_bytes()),
            Cell::Number(text) => self.keep_payload(Tag::Number, text.as_bytes()),
            Cell::Bytes(bytes) => self.keep_payload(Tag::Bytes, bytes),
            cell => match cell.to_value(names) {
                Some(tree) => self.keep_tree(tree),
                None => Source::Missing,
            },
        }
    }

    /// Sets a column to what `value` gives for each row; missing leaves the record as it is.
    pub(super) fn set(
        &mut self,
        column: &Column,
        selected: &[Selected],
        step: &mut Step<'_>,
        mut value: impl FnMut(&mut Self, u32) -> (Source, Option<Arc<Schema>>),
    ) {
        match (column.place, column.path.as_slice()) {
            (Place::Value | Place::Key, path) => {
                let Some(side) = column.place.side() else { return };
                match path {
                    [] => self.set_whole(side, selected, step, value),
                    [name] => self.set_field(side, name, selected, step, value),
                    path => {
                        for &(row, record) in selected {
                            let (source, from) = value(self, row);
                            if source != Source::Missing {
                                self.set_nested(record, side, path, source, from.as_ref());
                            }
                        }
                    }
                }
            }
            (Place::Header, path) => {
                let name = self.workspace.scanner.shapes.intern(path.first().map_or("", String::as_str));
                for &(row, record) in selected {
                    let (source, from) = value(self, row);
                    if source != Source::Missing {
                        let schema = self.header_schema(source, from.as_ref(), step.schemas);
                        self.append_header(record as usize, Header { name, schema, source });
                    }
                }
            }
            (place, _) => {
                for &(row, record) in selected {
                    let (source, from) = value(self, row);
                    if source != Source::Missing {
                        self.set_metadata(record as usize, place, source, from.as_ref());
                    }
                }
            }
        }
    }

    fn set_field(
        &mut self,
        side: Side,
        name: &str,
        selected: &[Selected],
        step: &mut Step<'_>,
        mut value: impl FnMut(&mut Self, u32) -> (Source, Option<Arc<Schema>>),
    ) {
        let id = self.workspace.scanner.shapes.intern(name);
        let overlay = self.overlay.len() as u32;
        self.overlay.push(vec![Source::Missing; self.len()]);
        let mut transition = Transition::new(&self.layouts);
        // The schema of the field in the schema of the record before.
        let mut last: (SchemaId, Option<Arc<Schema>>) = (SchemaId::NONE, None);
        for &(row, record) in selected {
            let index = record as usize;
            let (source, from) = value(self, row);
            if source == Source::Missing {
                continue;
            }
            let part = &self.sides[side as usize][index];
            if let Body::Whole(source) = part.body {
                self.no_fields(index, source);
                continue;
            }
            let schema = part.schema;
            if schema == SchemaId::NONE {
                self.overlay[overlay as usize][index] = source;
                self.follow(record, side, &mut transition, |layout| layout.set(id, Origin::Overlay(overlay), None));
                continue;
            }
            if last.0 != schema {
                let own = step.schemas.get(schema).and_then(|schema| schema.field(name));
                last = (schema, own.map(|field| Arc::clone(&field.schema)));
            }
            let Some(to) = &last.1 else {
                self.fail_data(index, format!("field \"{name}\" is not in the schema that the transform announced"));
                continue;
            };
            match self.fit(index, source, from.as_ref(), to) {
                Ok(source) => {
                    self.overlay[overlay as usize][index] = source;
                    self.follow(record, side, &mut transition, |layout| {
                        layout.set(id, Origin::Overlay(overlay), Some(Arc::clone(to)));
                    });
                }
                Err(message) => self.fail_data(index, format!("field \"{name}\": {message}")),
            }
        }
    }

    fn set_metadata(&mut self, record: usize, place: Place, source: Source, from: Option<&Arc<Schema>>) {
        use crate::Value;
        let tree = self.tree(record, source, from);
        match (place, &tree) {
            (Place::Topic, Value::String(topic)) => {
                self.keep_originals();
                self.topics[record] = self.topic_id(topic);
            }
            (Place::Partition, Value::Int32(partition)) if *partition >= 0 => {
                self.keep_originals();
                self.partitions[record] = *partition;
            }
            (Place::Partition, Value::Null) => {
                self.keep_originals();
                self.partitions[record] = -1;
            }
            (Place::Partition, Value::Number(text)) if text.parse::<u32>().is_ok_and(|it| it <= i32::MAX as u32) => {
                self.keep_originals();
                self.partitions[record] = text.parse().unwrap_or(-1);
            }
            (Place::Timestamp, Value::Int64(millis) | Value::Timestamp(millis)) if *millis >= 0 => {
                self.timestamps[record] = *millis;
            }
            (Place::Timestamp, Value::Number(text)) if text.parse::<u64>().is_ok_and(|it| it <= i64::MAX as u64) => {
                self.timestamps[record] = text.parse().unwrap_or(-1);
            }
            (Place::Timestamp, Value::Null) => self.timestamps[record] = -1,
            _ => self.fail_data(record, format!("{} cannot be the record's {place:?}", tree.to_json())),
        }
    }

    fn keep_originals(&mut self) {
        if self.originals.is_none() {
            let pairs = self.topics.iter().zip(&self.partitions);
            self.originals = Some(pairs.map(|(&topic, &partition)| Original { topic, partition }).collect());
        }
    }

    fn remove(&mut self, column: &Column, selected: &[Selected], step: &mut Step<'_>) {
        match (column.place.side(), column.path.as_slice()) {
            (Some(side), []) => self.set_whole(side, selected, step, |_, _| (Source::NULL, None)),
            (Some(side), [name]) => {
                let name = self.workspace.scanner.shapes.intern(name);
                let mut transition = Transition::new(&self.layouts);
                for &(_, record) in selected {
                    self.follow(record, side, &mut transition, |layout| layout.remove(name));
                }
            }
            (Some(side), path) => {
                for &(_, record) in selected {
                    self.edit_nested(record, side, path, |members, name, _| {
                        members.remove(name);
                        Ok(())
                    });
                }
            }
            (None, [name]) => {
                let Some(name) = self.workspace.scanner.shapes.find(name) else { return };
                for &(_, record) in selected {
                    let (first, end) = self.header_ranges[record as usize];
                    let mut kept = first;
                    for at in first..end {
                        if self.headers[at as usize].name != name {
                            self.headers.swap(kept as usize, at as usize);
                            kept += 1;
                        }
                    }
                    self.header_ranges[record as usize] = (first, kept);
                }
            }
            // Metadata cannot be removed; `check` has refused it.
            (None, _) => {}
        }
    }

    fn rename(&mut self, column: &Column, name: &str, selected: &[Selected]) {
        match (column.place.side(), column.path.as_slice()) {
            (Some(side), [from]) => {
                let from = self.workspace.scanner.shapes.intern(from);
                let to = self.workspace.scanner.shapes.intern(name);
                let mut transition = Transition::new(&self.layouts);
                for &(_, record) in selected {
                    self.follow(record, side, &mut transition, |layout| layout.rename(from, to));
                }
            }
            (Some(side), path) if !path.is_empty() => {
                for &(_, record) in selected {
                    self.edit_nested(record, side, path, |members, from, _| {
                        super::structure::rename(members, from, name);
                        Ok(())
                    });
                }
            }
            (None, [from]) if column.place == Place::Header => {
                let from = self.workspace.scanner.shapes.intern(from);
                let to = self.workspace.scanner.shapes.intern(name);
                for &(_, record) in selected {
                    let (first, end) = self.header_ranges[record as usize];
                    for header in &mut self.headers[first as usize..end as usize] {
                        if header.name == from {
                            header.name = to;
                        }
                    }
                }
            }
            // What has no name cannot get another; `check` has refused it.
            _ => {}
        }
    }
}

/// Whether an edit may have to make a tree of what is in a record.
fn uses_trees(edit: &Edit<'_>, write: &[Column]) -> bool {
    match edit {
        Edit::Remove { target } | Edit::Rename { target, .. } => write[*target].path.len() > 1,
        Edit::SetConstant { target, .. } | Edit::SetValues { target, .. } => write[*target].path.len() > 1,
        Edit::Copy { .. }
        | Edit::Move { .. }
        | Edit::Flatten { .. }
        | Edit::Hoist { .. }
        | Edit::Extract { .. }
        | Edit::Collect { .. }
        | Edit::Explode { .. } => true,
        Edit::Retain { .. } | Edit::Defaults { .. } => false,
    }
}

/// Whether an edit gives the record of a row another key or value as a whole.
fn makes_whole(ScopedEdit { edit, records }: &ScopedEdit<'_>, row: usize, side: Side, write: &[Column]) -> bool {
    let is_whole = |target: &usize| write[*target].place.side() == Some(side) && write[*target].path.is_empty();
    records.is_none_or(|records| records.get(row))
        && match edit {
            Edit::SetConstant { target, .. } | Edit::Copy { to: target, .. } | Edit::Move { to: target, .. } => {
                is_whole(target)
            }
            Edit::SetValues { target, cells, .. } => is_whole(target) && cells.get(row) != Cell::Missing,
            Edit::Hoist { place, .. } | Edit::Collect { place, .. } => *place == side,
            Edit::Extract { target, .. } => write[*target].place.side() == Some(side),
            _ => false,
        }
}

/// The schema that an edit announces for a header.
fn announced(text: Option<&str>, schemas: &mut SchemaTable) -> Option<Arc<Schema>> {
    let id = schemas.define_json(text?).ok()?;
    schemas.get(id).cloned()
}

/// The places with schemas that a plan writes.
fn written_sides(write: &[Column]) -> impl Iterator<Item = Side> {
    [Side::Value, Side::Key].into_iter().filter(|side| write.iter().any(|column| column.place.side() == Some(*side)))
}

/// Refuses edits that do not go with the plan, before any of them is applied.
fn check(rows: &Rows, edits: &EditsReader<'_>, write: &[Column]) -> Result<(), Malformed> {
    if edits.records() != rows.len() {
        let detail = format!("edits for {} records, the columns had {}", edits.records(), rows.len());
        return Err(Malformed::new(Reason::Count, detail));
    }
    let target = |at: usize| {
        write.get(at).ok_or_else(|| Malformed::new(Reason::Field, format!("target {at} of {}", write.len())))
    };
    let refuse = |what: &str, column: &Column| {
        Err(Malformed::new(Reason::Field, format!("{:?} {:?} cannot be {what}", column.place, column.path)))
    };
    let writable = |column: &Column| column.is_valid() && column.place != Place::Offset;
    let planned = |side: Side| {
        if written_sides(write).any(|written| written == side) {
            return Ok(());
        }
        Err(Malformed::new(Reason::Field, format!("the plan does not write the {side:?}")))
    };
    for ScopedEdit { edit, .. } in edits.edits() {
        match edit {
            Edit::Remove { target: at } => {
                let column = target(*at)?;
                if column.place.side().is_none() && column.place != Place::Header || !column.is_valid() {
                    return refuse("removed", column);
                }
            }
            Edit::SetConstant { target: at, .. } | Edit::SetValues { target: at, .. } => {
                let column = target(*at)?;
                if !writable(column) {
                    return refuse("set", column);
                }
            }
            Edit::Rename { target: at, .. } => {
                let column = target(*at)?;
                if column.path.is_empty() || !column.is_valid() {
                    return refuse("renamed", column);
                }
            }
            Edit::Copy { target: at, to, .. } => {
                let (from, to) = (target(*at)?, target(*to)?);
                if !from.is_valid() {
                    return refuse("copied", from);
                }
                if !writable(to) {
                    return refuse("set", to);
                }
            }
            Edit::Move { target: at, to, .. } => {
                let (from, to) = (target(*at)?, target(*to)?);
                if from.place.side().is_none() && from.place != Place::Header || !from.is_valid() {
                    return refuse("moved", from);
                }
                if !writable(to) {
                    return refuse("set", to);
                }
            }
            Edit::Retain { place, .. }
            | Edit::Flatten { place, .. }
            | Edit::Hoist { place, .. }
            | Edit::Defaults { place } => planned(*place)?,
            Edit::Collect { place, targets, .. } => {
                planned(*place)?;
                for (at, _) in targets {
                    let column = target(*at)?;
                    if column.place.side().is_none_or(|from| from == *place) || column.path.is_empty() {
                        return refuse("collected", column);
                    }
                }
            }
            Edit::Extract { target: at, .. } => {
                let column = target(*at)?;
                if column.place.side().is_none() || column.path.is_empty() {
                    return refuse("extracted", column);
                }
            }
            Edit::Explode { target: at, index, .. } => {
                let column = target(*at)?;
                if column.place.side().is_none() {
                    return refuse("exploded", column);
                }
                if let Some(at) = index
                    && !writable(target(*at)?)
                {
                    return refuse("set", target(*at)?);
                }
            }
        }
    }
    Ok(())
}
