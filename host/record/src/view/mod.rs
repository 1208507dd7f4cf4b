//! The host's view of a batch of records on its way through a task.
//!
//! A view is made from messages of Kafka or from the batch of a source. Steps of the chain read columns of it
//! ([`View::columns`]) and answer edits ([`View::apply`]), which are kept beside the records as an overlay; at the end each
//! record is written once, in the form that is wanted ([`View::write_value`], [`View::write_batch`]). What no edit has
//! touched is copied as it came: JSON stays text from one end to the other, numbers keep their digits.
//!
//! A record that cannot be decoded, edited or written is marked as failed and the others go on. What becomes of it is not
//! decided here.
//!
//! The top level of an object is described by a layout that many records share (`layout.rs`); a value is wherever it came
//! from (`source.rs`). Edits to what lies deeper, and edits that change the structure, go through trees (`structure.rs`).
//! Names, shapes and schema texts outlive a batch in a [`Workspace`].

mod apply;
mod collect;
mod convert;
mod copy;
mod decode;
mod defaults;
mod encode;
mod explode;
mod fit;
mod formats;
mod layout;
mod nodes;
mod plan;
mod read;
mod source;
mod structure;
mod trees;
mod typed;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

pub use crate::edits::FailureKind;
use crate::json::{NameId, Scanner, ShapeId, Slot};
use crate::value::JsonOptions;
use crate::{SchemaId, Value};
pub use apply::{NotApplied, Reshaped, Reshapes};
pub use convert::{Converter, Converters, HeaderConverter, Number};
pub use decode::Message;
pub use encode::{Written, WrittenHeader};
pub use explode::PIECES_MAX;
use explode::Pieces;
pub use formats::{CellScratch, EachCell, Payloads, Positions, Target, node_cell};
use layout::{LayoutId, Layouts};
pub use plan::{Column, Place, Plan, Rows, Side};
use source::{Base, Source};
pub use trees::Tree;

/// What outlives a batch: the dictionary of names and shapes, and the schemas of envelopes by their text. Each view takes
/// one and gives it back.
#[derive(Default)]
pub struct Workspace {
    scanner: Scanner,
    envelopes: decode::Envelopes,
    spare: Spare,
}

/// Buffers of the last view, empty but for their memory: fresh memory costs more than what is done with it.
#[derive(Default)]
struct Spare {
    states: Vec<State>,
    topics: Vec<u32>,
    partitions: Vec<i32>,
    offsets: Vec<i64>,
    timestamps: Vec<i64>,
    flags: Vec<u8>,
    sides: [Vec<Part<'static>>; 2],
    slots: Vec<Slot>,
    header_ranges: Vec<(u32, u32)>,
    heap: Vec<u8>,
}

/// Where a record failed; Connect's names for the stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    KeyConverter,
    ValueConverter,
    HeaderConverter,
    Transformation,
}

/// Why a record does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub stage: Stage,
    pub kind: FailureKind,
    pub message: String,
}

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Live,
    /// A transform dropped it; it counts as done.
    Dropped,
    Failed,
    /// Others were made of it, which stand in its place.
    Exploded,
}

/// A key or a value.
struct Part<'a> {
    /// The bytes it came in. They never change, whatever edits do to `body`.
    original: &'a [u8],
    schema: SchemaId,
    body: Body,
}

#[derive(Clone, Copy, Debug)]
enum Body {
    /// Null, a scalar, an array, or a map that has a schema: there are no fields to edit.
    Whole(Source),
    /// A struct, or a map without schema.
    Fields {
        layout: LayoutId,
        /// The first slot.
        slots: u32,
        form: Form,
        /// The object's text, where the form is JSON.
        start: u32,
        end: u32,
    },
}

/// What the slots of an object mean.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    /// Names and values in JSON.
    Json(Base),
    /// Payloads of nodes; `key` of a slot is the tag.
    Nodes(Base),
}

struct Header {
    name: NameId,
    schema: SchemaId,
    source: Source,
}

/// Where a record was in Kafka before transforms moved it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Original {
    topic: u32,
    partition: i32,
}

/// A batch of records, their edits and what became of them. Records keep their index, whatever happens to them; those that
/// are made of others come behind all there are.
pub struct View<'a> {
    workspace: Workspace,
    /// Of the JsonConverters of values, keys and headers.
    options: [JsonOptions; 3],
    /// Whose options hold: always the first where all are alike.
    role: usize,

    states: Vec<State>,
    failures: HashMap<u32, Failure>,

    /// Topics by the numbers in `topics`.
    topic_names: Vec<Box<str>>,
    topics: Vec<u32>,
    partitions: Vec<i32>,
    offsets: Vec<i64>,
    timestamps: Vec<i64>,
    flags: Vec<u8>,
    /// Only once an edit has changed a topic or partition.
    originals: Option<Vec<Original>>,
    /// Only once an edit has made records of others.
    pieces: Option<Pieces>,

    /// Values and keys, by [`Side`].
    sides: [Vec<Part<'a>>; 2],
    slots: Vec<Slot>,

    headers: Vec<Header>,
    /// The headers of each record. No two ranges overlap.
    header_ranges: Vec<(u32, u32)>,

    layouts: Layouts,
    typed_layouts: [HashMap<(ShapeId, SchemaId), LayoutId>; 3],
    splices: [Vec<Option<encode::Splice>>; 3],
    /// What edits have set, by column and record.
    overlay: Vec<Vec<Source>>,
    heap: Vec<u8>,
    trees: Vec<Value>,
    /// The dictionary of the source's batch.
    names: Vec<&'a str>,
    /// The names of the object in hand.
    members: Vec<NameId>,
}

impl<'a> View<'a> {
    /// An empty view. `options` are those of the JsonConverter, whichever part it is for.
    pub fn new(mut workspace: Workspace, options: JsonOptions) -> View<'a> {
        workspace.scanner.shapes.forget();
        let spare = std::mem::take(&mut workspace.spare);
        View {
            workspace,
            options: [options; 3],
            role: 0,
            states: spare.states,
            failures: HashMap::new(),
            topic_names: Vec::new(),
            topics: spare.topics,
            partitions: spare.partitions,
            offsets: spare.offsets,
            timestamps: spare.timestamps,
            flags: spare.flags,
            originals: None,
            pieces: None,
            sides: spare.sides.map(emptied),
            slots: spare.slots,
            headers: Vec::new(),
            header_ranges: spare.header_ranges,
            layouts: Layouts::default(),
            typed_layouts: Default::default(),
            splices: Default::default(),
            overlay: Vec::new(),
            heap: spare.heap,
            trees: Vec::new(),
            names: Vec::new(),
            members: Vec::new(),
        }
    }

    /// The same view with options of their own for keys and headers.
    #[must_use]
    pub fn with_options(mut self, key: JsonOptions, header: JsonOptions) -> View<'a> {
        self.options[1..].copy_from_slice(&[key, header]);
        self
    }

    /// The options that hold now.
    fn options(&self) -> &JsonOptions {
        &self.options[self.role]
    }

    /// Lets the options of a part hold. Where they are those of values, so that everything kept for them serves too.
    fn act_for(&mut self, stage: Stage) {
        let role = match stage {
            Stage::ValueConverter | Stage::Transformation => 0,
            Stage::KeyConverter => 1,
            Stage::HeaderConverter => 2,
        };
        self.role = if self.options[role] == self.options[0] { 0 } else { role };
    }

    /// Gives back what the next view needs.
    pub fn into_workspace(mut self) -> Workspace {
        fn cleared<T>(mut buffer: Vec<T>) -> Vec<T> {
            buffer.clear();
            buffer
        }
        self.workspace.spare = Spare {
            states: cleared(self.states),
            topics: cleared(self.topics),
            partitions: cleared(self.partitions),
            offsets: cleared(self.offsets),
            timestamps: cleared(self.timestamps),
            flags: cleared(self.flags),
            sides: self.sides.map(emptied),
            slots: cleared(self.slots),
            header_ranges: cleared(self.header_ranges),
            heap: cleared(self.heap),
        };
        self.workspace
    }

    /// How many records there are, dropped, failed and exploded ones included.
    pub fn len(&self) -> usize {
        self.topics.len()
    }

    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Whether a record is neither dropped nor failed, nor were others made of it.
    pub fn is_live(&self, record: usize) -> bool {
        self.states[record] == State::Live
    }

    /// Whether a transform dropped a record: it counts as done.
    pub fn is_dropped(&self, record: usize) -> bool {
        self.states[record] == State::Dropped
    }

    /// Why a record failed, if it did.
    pub fn failure(&self, record: usize) -> Option<&Failure> {
        self.failures.get(&(record as u32))
    }

    /// The records that failed, in no order.
    pub fn failures(&self) -> impl Iterator<Item = (usize, &Failure)> {
        self.failures.iter().map(|(&record, failure)| (record as usize, failure))
    }

    /// Marks a record as failed. Only the first failure counts.
    pub fn fail(&mut self, record: usize, failure: Failure) {
        if self.states[record] == State::Live {
            self.states[record] = State::Failed;
            self.failures.insert(record as u32, failure);
        }
    }

    /// The topic of a record, as transforms left it.
    pub fn topic(&self, record: usize) -> &str {
        &self.topic_names[self.topics[record] as usize]
    }

    /// The partition of a record as transforms left it, −1 for none.
    pub fn partition(&self, record: usize) -> i32 {
        self.partitions[record]
    }

    /// The offset of a record, −1 for none.
    pub fn offset(&self, record: usize) -> i64 {
        self.offsets[record]
    }

    /// Milliseconds since 1970, −1 for none.
    pub fn timestamp(&self, record: usize) -> i64 {
        self.timestamps[record]
    }

    /// Topic and partition that a record had when it came.
    pub fn original(&self, record: usize) -> (&str, i32) {
        match &self.originals {
            Some(originals) => (&self.topic_names[originals[record].topic as usize], originals[record].partition),
            None => (self.topic(record), self.partition(record)),
        }
    }

    /// The bytes that the value of a record came in; empty for none.
    pub fn original_value(&self, record: usize) -> &'a [u8] {
        self.sides[Side::Value as usize][record].original
    }

    /// The bytes that the key of a record came in; empty for none.
    pub fn original_key(&self, record: usize) -> &'a [u8] {
        self.sides[Side::Key as usize][record].original
    }

    /// The schema of a record's value, as transforms left it.
    pub fn value_schema(&self, record: usize) -> SchemaId {
        self.sides[Side::Value as usize][record].schema
    }

    /// The schema of a record's key, as transforms left it.
    pub fn key_schema(&self, record: usize) -> SchemaId {
        self.sides[Side::Key as usize][record].schema
    }

    fn name(&self, id: NameId) -> &str {
        self.workspace.scanner.shapes.name(id)
    }

    fn topic_id(&mut self, topic: &str) -> u32 {
        // A batch has few topics, mostly the one before.
        if let Some(&last) = self.topics.last()
            && &*self.topic_names[last as usize] == topic
        {
            return last;
        }
        match self.topic_names.iter().position(|name| &**name == topic) {
            Some(at) => at as u32,
            None => {
                self.topic_names.push(topic.into());
                self.topic_names.len() as u32 - 1
            }
        }
    }
}

/// The memory of a vector of parts for parts of another lifetime. Collecting in place keeps the allocation.
fn emptied<'b>(mut parts: Vec<Part<'_>>) -> Vec<Part<'b>> {
    parts.clear();
    parts.into_iter().map(|part| Part { original: &[], schema: part.schema, body: part.body }).collect()
}
