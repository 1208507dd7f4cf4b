//! One record becomes several: a piece for each element of an array or entry of a map.
//!
//! Pieces are records at the end of the view, made as their record was and then given their element; the record itself is
//! none any more. An order beside the records keeps pieces where their record stood, and of each piece it is known which
//! record of the batch it comes from, however many steps lie between: offsets and dead letters are that record's.

use std::sync::Arc;

use super::apply::{Selected, Step};
use super::plan::{Column, Rows, Side};
use super::source::{Base, Source};
use super::{Body, Header, Part, State, View};
use crate::json::scan::{skip_space, value};
use crate::schema::Kind;
use crate::{Schema, Value};

/// How many pieces a record of the batch can come to, over all steps: as many as a batch that crosses can hold, so that the
/// pieces of one record never have to be parted.
pub const PIECES_MAX: usize = 65_536;

/// How many records a view holds at most.
const RECORDS_MAX: usize = 1 << 20;

/// Flags that say something of the transaction behind a record (`wit/BATCH.md`).
const BOUNDARY_FLAGS: u8 = 0b110;

/// What an edit says about making pieces.
pub(super) struct Explode {
    /// The position in `write` of what is taken apart and then holds the element.
    pub(super) target: usize,
    /// The position of what is set to the element's index or the entry's key.
    pub(super) index: Option<usize>,
    /// A record without elements stays as it is, with null in place of an element; else it is dropped.
    pub(super) keeps_empty: bool,
    /// The element becomes the whole key or value.
    pub(super) takes_whole: bool,
    /// Elements that are allowed.
    pub(super) max: usize,
}

impl Explode {
    /// What is set to the element.
    fn destination(&self, write: &[Column]) -> Column {
        let target = &write[self.target];
        let path = if self.takes_whole { Vec::new() } else { target.path.clone() };
        Column { place: target.place, path }
    }
}

/// The pieces in a view.
pub(super) struct Pieces {
    /// How many records the batch has.
    whole: u32,
    /// Of each piece, the record of the batch.
    roots: Vec<u32>,
    /// How many pieces were made of each record of the batch.
    made: Vec<u32>,
    /// All records in their order.
    order: Vec<u32>,
}

/// An element and the schema it has, with its index or key.
struct Element {
    at: Source,
    source: Source,
    schema: Option<Arc<Schema>>,
}

impl View<'_> {
    /// The record of the batch that a record was made from; itself, if it was not made.
    pub fn origin(&self, record: usize) -> usize {
        match &self.pieces {
            Some(pieces) if record as u32 >= pieces.whole => pieces.roots[record - pieces.whole as usize] as usize,
            _ => record,
        }
    }

    /// Whether any record was made of another.
    pub(super) fn is_exploded(&self) -> bool {
        self.pieces.as_ref().is_some_and(|pieces| !pieces.roots.is_empty())
    }

    /// Whether a record was made of another.
    pub(super) fn is_piece(&self, record: usize) -> bool {
        self.pieces.as_ref().is_some_and(|pieces| record as u32 >= pieces.whole)
    }

    /// The records of the batch that these rows were made from, row for row.
    pub fn origins(&self, rows: Rows) -> Rows {
        match &self.pieces {
            None => rows,
            Some(_) => Rows(rows.0.iter().map(|&record| self.origin(record as usize) as u32).collect()),
        }
    }

    /// How many records the batch has, without those that were made of them.
    pub fn batch_len(&self) -> usize {
        self.pieces.as_ref().map_or(self.len(), |pieces| pieces.whole as usize)
    }

    /// How many more records there are than came, because some became several.
    pub fn surplus(&self) -> usize {
        let exploded =
            self.pieces.as_ref().map_or(0, |_| self.states.iter().filter(|s| **s == State::Exploded).count());
        self.len() - self.batch_len() - exploded
    }

    /// Of each record of the batch, how many live records come from it.
    pub fn live_of_each(&self) -> Vec<u32> {
        let mut live = vec![0; self.batch_len()];
        for record in (0..self.len()).filter(|&record| self.is_live(record)) {
            live[self.origin(record)] += 1;
        }
        live
    }

    /// All records in their order but those of which others were made.
    pub fn outcomes(&self) -> Vec<usize> {
        let stays = |record: &usize| self.states[*record] != State::Exploded;
        match &self.pieces {
            Some(pieces) => pieces.order.iter().map(|&record| record as usize).filter(stays).collect(),
            None => (0..self.len()).collect(),
        }
    }

    /// The live records in their order.
    pub(super) fn ordered(&self) -> Vec<u32> {
        let is_live = |record: &u32| self.is_live(*record as usize);
        match &self.pieces {
            Some(pieces) => pieces.order.iter().copied().filter(is_live).collect(),
            None => (0..self.len() as u32).filter(is_live).collect(),
        }
    }

    /// Takes records apart. `current` are the records of the step, which are those it selects and others; the pieces take
    /// the place of theirs in it.
    pub(super) fn explode(
        &mut self,
        explode: &Explode,
        selected: &[Selected],
        current: &mut Vec<Selected>,
        step: &mut Step<'_>,
    ) {
        if self.pieces.is_none() {
            let whole = self.len() as u32;
            let made = vec![0; self.len()];
            self.pieces = Some(Pieces { whole, roots: Vec::new(), made, order: (0..whole).collect() });
        }
        let first = self.len() as u32;
        let mut elements: Vec<Element> = Vec::new();
        // Of each record that is taken apart, where its elements begin.
        let mut parted: Vec<(u32, usize)> = Vec::new();
        let mut empty: Vec<Selected> = Vec::new();
        for &(row, record) in selected {
            let start = elements.len();
            match self.elements(record as usize, explode, step, &mut elements) {
                // Something that has no fields has failed, and makes nothing either.
                Ok(()) if elements.len() == start => {
                    if self.is_live(record as usize) {
                        empty.push((row, record));
                    }
                }
                Ok(()) => match self.room_for(record as usize, elements.len() - start, elements.len()) {
                    Ok(()) => parted.push((record, start)),
                    Err(message) => {
                        elements.truncate(start);
                        self.fail_data(record as usize, message);
                    }
                },
                Err(message) => {
                    elements.truncate(start);
                    self.fail_data(record as usize, message);
                }
            }
        }
        self.leave_empty(explode, &empty, step);
        if parted.is_empty() {
            return;
        }
        let ends = parted.iter().skip(1).map(|(_, start)| *start).chain([elements.len()]);
        let parted: Vec<(u32, std::ops::Range<u32>)> = parted
            .iter()
            .zip(ends)
            .map(|(&(record, start), end)| (record, first + start as u32..first + end as u32))
            .collect();
        self.make_pieces(&parted);
        let pieces: Vec<Selected> = (0..elements.len() as u32).map(|at| (at, first + at)).collect();
        let target = explode.destination(step.write);
        self.set(&target, &pieces, step, |_, at| {
            let element = &elements[at as usize];
            (element.source, element.schema.clone())
        });
        if let Some(index) = explode.index {
            let index = &step.write[index];
            self.set(index, &pieces, step, |_, at| (elements[at as usize].at, None));
        }
        let mut parted = parted.into_iter().peekable();
        let mut next = Vec::with_capacity(current.len() + elements.len());
        for &(row, record) in &*current {
            match parted.next_if(|(parent, _)| *parent == record) {
                Some((_, pieces)) => next.extend(pieces.map(|piece| (row, piece))),
                None => next.push((row, record)),
            }
        }
        *current = next;
    }

    /// What becomes of records without elements.
    fn leave_empty(&mut self, explode: &Explode, empty: &[Selected], step: &mut Step<'_>) {
        if explode.keeps_empty {
            let target = explode.destination(step.write);
            self.set(&target, empty, step, |_, _| (Source::NULL, None));
            if let Some(index) = explode.index {
                let index = &step.write[index];
                self.set(index, empty, step, |_, _| (Source::NULL, None));
            }
        } else {
            for &(_, record) in empty {
                self.states[record as usize] = State::Dropped;
            }
        }
    }

    /// Whether a record may become so many; the step makes `all` so far.
    fn room_for(&mut self, record: usize, count: usize, all: usize) -> Result<(), String> {
        let root = self.origin(record);
        let made = self.pieces.as_ref().map_or(0, |pieces| pieces.made[root] as usize);
        if made + count > PIECES_MAX {
            return Err(format!(
                "{} records would be made of one, and no more than {PIECES_MAX} may be\nhint: give each step that takes \
                 records apart a smaller max.records",
                made + count
            ));
        }
        if self.len() + all > RECORDS_MAX {
            return Err(format!(
                "more than {RECORDS_MAX} records would be made of a batch of {}\nhint: make batch.size smaller",
                self.batch_len()
            ));
        }
        if let Some(pieces) = &mut self.pieces {
            pieces.made[root] += count as u32;
        }
        Ok(())
    }

    /// Appends the elements of the target of a record.
    fn elements(
        &mut self,
        record: usize,
        explode: &Explode,
        step: &Step<'_>,
        elements: &mut Vec<Element>,
    ) -> Result<(), String> {
        let column = &step.write[explode.target];
        let side = column.place.side().unwrap_or(Side::Value);
        if let (Body::Whole(source), false) = (self.sides[side as usize][record].body, column.path.is_empty()) {
            self.no_fields(record, source);
            return Ok(());
        }
        let (source, mut schema) = self.take(record, column, false, step.schemas);
        if column.path.is_empty() {
            // The place has the schema that it is to have, not the one of what is in it.
            schema = None;
        }
        if source == Source::Missing {
            return self.check_way(record, side, &column.path, step.schemas);
        }
        if self.is_null(record, source) {
            return Ok(());
        }
        let start = elements.len();
        let schema_of_items = match schema.as_ref().map(|schema| &schema.kind) {
            Some(Kind::Array(items) | Kind::Map(_, items)) => Some(Arc::clone(items)),
            _ => None,
        };
        if let Source::Json { base, start: from, end } = source
            && self.bytes(record, base, from, end).first() == Some(&b'[')
        {
            for (at, (start, end)) in items(self.bytes(record, base, from, end)).into_iter().enumerate() {
                let source = self.json_source(record, base, from + start, from + end);
                elements.push(Element { at: index(at), source, schema: schema_of_items.clone() });
            }
        } else {
            let entries = match self.tree(record, source, schema.as_ref()) {
                Value::Array(items) => {
                    items.into_iter().enumerate().map(|(at, item)| (index(at), item)).collect::<Vec<_>>()
                }
                Value::Map(members) => {
                    members.into_iter().map(|(name, item)| (self.keep_tree(Value::String(name)), item)).collect()
                }
                Value::Pairs(pairs) => pairs.into_iter().map(|(key, item)| (self.keep_tree(key), item)).collect(),
                other => {
                    return Err(format!("Only Array or Map objects can be exploded, found: {}", other.java_class()));
                }
            };
            for (at, item) in entries {
                let source = self.keep_tree(item);
                elements.push(Element { at, source, schema: schema_of_items.clone() });
            }
        }
        let count = elements.len() - start;
        if count > explode.max {
            let what = match column.path.as_slice() {
                [] => format!("the {:?}", column.place).to_lowercase(),
                path => format!("\"{}\"", path.join(".")),
            };
            return Err(format!("{what} has {count} elements, and max.records allows {}", explode.max));
        }
        Ok(())
    }

    /// A part of a JSON text; null is null wherever it stands.
    fn json_source(&self, record: usize, base: Base, start: u32, end: u32) -> Source {
        match self.bytes(record, base, start, end) {
            b"null" => Source::NULL,
            _ => Source::Json { base, start, end },
        }
    }

    /// Makes copies of records in the place of these.
    fn make_pieces(&mut self, parted: &[(u32, std::ops::Range<u32>)]) {
        for column in &mut self.overlay {
            let copies = parted.iter().flat_map(|(record, pieces)| vec![column[*record as usize]; pieces.len()]);
            let copies: Vec<Source> = copies.collect();
            column.extend(copies);
        }
        for (record, pieces) in parted {
            let (index, root) = (*record as usize, self.origin(*record as usize));
            for piece in pieces.clone() {
                self.states.push(State::Live);
                self.topics.push(self.topics[index]);
                self.partitions.push(self.partitions[index]);
                self.offsets.push(self.offsets[index]);
                self.timestamps.push(self.timestamps[index]);
                let is_last = piece + 1 == pieces.end;
                self.flags.push(if is_last { self.flags[index] } else { self.flags[index] & !BOUNDARY_FLAGS });
                if let Some(originals) = &mut self.originals {
                    originals.push(originals[index]);
                }
                for parts in &mut self.sides {
                    let Part { original, schema, body } = parts[index];
                    parts.push(Part { original, schema, body });
                }
                // Ranges do not overlap, since headers are edited in their place.
                let (from, to) = self.header_ranges[index];
                let start = self.headers.len() as u32;
                for at in from..to {
                    let Header { name, schema, source } = self.headers[at as usize];
                    self.headers.push(Header { name, schema, source });
                }
                self.header_ranges.push((start, self.headers.len() as u32));
            }
            self.states[index] = State::Exploded;
            if let Some(all) = &mut self.pieces {
                all.roots.extend(pieces.clone().map(|_| root as u32));
            }
        }
        if let Some(all) = &mut self.pieces {
            let mut parted = parted.iter().peekable();
            let mut order = Vec::with_capacity(self.states.len());
            for record in std::mem::take(&mut all.order) {
                match parted.next_if(|(parent, _)| *parent == record) {
                    Some((_, pieces)) => order.extend(pieces.clone()),
                    None => order.push(record),
                }
            }
            all.order = order;
        }
    }
}

fn index(at: usize) -> Source {
    Source::fixed(crate::tlv::Tag::Int32, at as i64)
}

/// Where the items of a JSON array are. The text was scanned before.
fn items(text: &[u8]) -> Vec<(u32, u32)> {
    let mut items = Vec::new();
    let mut at = skip_space(text, 1);
    while let Ok(end) = value(text, at, 1) {
        items.push((at as u32, end as u32));
        at = skip_space(text, end);
        if text.get(at) != Some(&b',') {
            break;
        }
        at = skip_space(text, at + 1);
    }
    items
}

#[cfg(test)]
mod tests {
    use super::items;

    #[test]
    fn the_items_of_an_array_are_found_whatever_is_around_them() {
        let text = br#"[ 1 ,"a,]" , {"b":[2,3]},[ ] , null ]"#;
        let found: Vec<_> =
            items(text).into_iter().map(|(from, to)| std::str::from_utf8(&text[from as usize..to as usize])).collect();
        assert_eq!(found, [Ok("1"), Ok(r#""a,]""#), Ok(r#"{"b":[2,3]}"#), Ok("[ ]"), Ok("null")]);
        assert_eq!(items(b"[ ]"), []);
    }
}
