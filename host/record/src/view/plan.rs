//! What a transform reads and writes, and which records it is shown.

use super::View;
pub use crate::edits::Place as Side;

/// Which part of a record (`wit/types.wit`, `place`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    Value,
    Key,
    /// The path holds one element: the header's name.
    Header,
    Topic,
    Partition,
    Offset,
    Timestamp,
}

/// One thing of each record. The path is empty for a whole key or value and for metadata.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Column {
    pub place: Place,
    pub path: Vec<String>,
}

impl Place {
    /// The key or the value, if it is one of them.
    pub(super) fn side(self) -> Option<Side> {
        match self {
            Place::Value => Some(Side::Value),
            Place::Key => Some(Side::Key),
            _ => None,
        }
    }
}

impl Column {
    /// A field of the value, one name per level.
    pub fn value<const N: usize>(path: [&str; N]) -> Column {
        Column { place: Place::Value, path: path.map(str::to_owned).into() }
    }

    /// A field of the key.
    pub fn key<const N: usize>(path: [&str; N]) -> Column {
        Column { place: Place::Key, path: path.map(str::to_owned).into() }
    }

    /// The header of a name.
    pub fn header(name: &str) -> Column {
        Column { place: Place::Header, path: vec![name.to_owned()] }
    }

    /// Topic, partition, offset or timestamp.
    pub fn metadata(place: Place) -> Column {
        Column { place, path: Vec::new() }
    }

    /// Whether the path is one that its place can have.
    pub fn is_valid(&self) -> bool {
        match self.place {
            Place::Value | Place::Key => true,
            Place::Header => self.path.len() == 1,
            Place::Topic | Place::Partition | Place::Offset | Place::Timestamp => self.path.is_empty(),
        }
    }
}

/// The columns of a step; edits name those of `write` by their position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub read: Vec<Column>,
    pub write: Vec<Column>,
}

/// The records that a step sees, in their order: what row 0, 1, … of its columns and edits are. Records that were dropped
/// or have failed are not among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows(pub(super) Vec<u32>);

impl Rows {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the step has nothing to do.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rows in groups of at most `max`, so cut that the records made of one stay together (unless they are more). `rows`
    /// are in the view's order.
    pub fn groups(self, max: usize, view: &View<'_>) -> Vec<Rows> {
        if self.0.len() <= max {
            return vec![self];
        }
        let mut groups = Vec::new();
        let mut rest = self.0.as_slice();
        while rest.len() > max {
            let origin = |at: usize| view.origin(rest[at] as usize);
            let cut = (1..=max).rev().find(|&at| origin(at) != origin(at - 1)).unwrap_or(max);
            let (group, behind) = rest.split_at(cut);
            groups.push(Rows(group.to_vec()));
            rest = behind;
        }
        groups.push(Rows(rest.to_vec()));
        groups
    }

    /// The indices of the records in the view.
    pub fn records(&self) -> &[u32] {
        &self.0
    }

    /// The rows for which a predicate holds (or does not, with `negate`). Bit i of `holds` is row i; the bits are those
    /// of `wit/transform.wit`, `predicate.test`. None if there are too few.
    pub fn filter(&self, holds: &[u8], negate: bool) -> Option<Rows> {
        if holds.len() != self.0.len().div_ceil(8) {
            return None;
        }
        let rows = self.0.iter().enumerate().filter(|(row, _)| (holds[row / 8] >> (row % 8) & 1 == 1) != negate);
        Some(Rows(rows.map(|(_, &record)| record).collect()))
    }
}

impl View<'_> {
    /// The records that go on, in their order: those that were made of one stand in its place.
    pub fn rows(&self) -> Rows {
        Rows(self.ordered())
    }
}
