//! The dictionary of field names and of shapes (sequences of names) that a scanner has met.
//!
//! Records of one topic mostly have the same few shapes. Giving each name and each shape a number once lets everything
//! that follows decide per shape instead of per record. Maps with data as keys would make the dictionary grow without
//! bound, so only the first [`NAMES_MAX`] names and [`SHAPES_MAX`] shapes are kept for good; what comes later lives until
//! [`Shapes::forget`], which is called at the start of each batch.

use std::collections::HashMap;

/// Names that outlive a batch.
pub const NAMES_MAX: usize = 4096;
/// Shapes that outlive a batch.
pub const SHAPES_MAX: usize = 256;

/// The number of a field name. Numbers from [`NAMES_MAX`] hold for one batch only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameId(pub u32);

/// The number of a sequence of names. Numbers from [`SHAPES_MAX`] hold for one batch only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShapeId(pub u32);

/// Bytes of a name and its closing quote that one comparison covers.
pub(super) const HEAD: usize = 32;
/// In place of a length: the name cannot be recognised by its bytes, because in JSON it is written with escapes or
/// because it is longer than a head.
pub(super) const NO_HEAD: u8 = 0;

/// A name as it stands in a JSON text, with the closing quote, padded: what the scanner compares the next key with.
#[derive(Clone)]
pub(super) struct Head {
    pub(super) bytes: [u8; HEAD],
    /// Length with the quote, or [`NO_HEAD`].
    pub(super) length: u8,
    /// The name that followed this one the last time.
    pub(super) next: NameId,
}

struct Shape {
    start: u32,
    length: u32,
    /// Some name occurs twice; the last one counts.
    duplicates: bool,
}

/// Names and shapes by number.
pub struct Shapes {
    texts: Vec<Box<str>>,
    pub(super) heads: Vec<Head>,
    by_text: HashMap<Box<str>, NameId>,
    shapes: Vec<Shape>,
    /// The names of all shapes, one after the other.
    members: Vec<NameId>,
    by_members: HashMap<Box<[NameId]>, ShapeId>,
    /// Per name the shape in whose check it was last seen, to find duplicates in linear time.
    seen: Vec<u32>,
    seen_mark: u32,
    last: Option<ShapeId>,
}

impl Default for Shapes {
    fn default() -> Self {
        Self::new()
    }
}

impl Shapes {
    pub fn new() -> Self {
        Self {
            texts: Vec::new(),
            heads: Vec::new(),
            by_text: HashMap::new(),
            shapes: Vec::new(),
            members: Vec::new(),
            by_members: HashMap::new(),
            seen: Vec::new(),
            seen_mark: 0,
            last: None,
        }
    }

    /// Forgets the names and shapes above the limits. Called between batches, when nobody holds their numbers.
    pub fn forget(&mut self) {
        if self.texts.len() > NAMES_MAX {
            for text in self.texts.drain(NAMES_MAX..) {
                self.by_text.remove(&text);
            }
            self.heads.truncate(NAMES_MAX);
            self.seen.truncate(NAMES_MAX);
            for head in &mut self.heads {
                if head.next.0 as usize >= NAMES_MAX {
                    head.next = NameId(0);
                }
            }
        }
        if self.shapes.len() > SHAPES_MAX {
            let members = self.shapes[SHAPES_MAX].start as usize;
            self.shapes.truncate(SHAPES_MAX);
            self.members.truncate(members);
        }
        if self.last.is_some_and(|last| last.0 as usize >= self.shapes.len()) {
            self.last = None;
        }
    }

    /// The number of a name, given to it now if it has none.
    pub fn intern(&mut self, text: &str) -> NameId {
        if let Some(&id) = self.by_text.get(text) {
            return id;
        }
        let id = NameId(self.texts.len() as u32);
        self.texts.push(text.into());
        self.heads.push(head(text));
        self.seen.push(0);
        self.by_text.insert(text.into(), id);
        id
    }

    /// The number of a name that has one.
    pub fn find(&self, text: &str) -> Option<NameId> {
        self.by_text.get(text).copied()
    }

    pub fn name(&self, id: NameId) -> &str {
        &self.texts[id.0 as usize]
    }

    /// The names of a shape in their order, duplicates included.
    pub fn members(&self, id: ShapeId) -> &[NameId] {
        let shape = &self.shapes[id.0 as usize];
        &self.members[shape.start as usize..(shape.start + shape.length) as usize]
    }

    /// Whether a name occurs twice in a shape.
    pub fn has_duplicates(&self, id: ShapeId) -> bool {
        self.shapes[id.0 as usize].duplicates
    }

    /// How many shapes there are; their numbers are below it.
    pub fn len(&self) -> usize {
        self.shapes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.shapes.is_empty()
    }

    /// The number of a sequence of names.
    pub fn shape(&mut self, members: &[NameId]) -> ShapeId {
        if let Some(last) = self.last
            && self.members(last) == members
        {
            return last;
        }
        let id = match self.by_members.get(members) {
            Some(&id) => id,
            None => self.add_shape(members),
        };
        self.last = Some(id);
        id
    }

    fn add_shape(&mut self, members: &[NameId]) -> ShapeId {
        let id = ShapeId(self.shapes.len() as u32);
        self.seen_mark = self.seen_mark.wrapping_add(1);
        if self.seen_mark == 0 {
            self.seen.fill(0);
            self.seen_mark = 1;
        }
        let mut duplicates = false;
        for &name in members {
            let seen = &mut self.seen[name.0 as usize];
            duplicates |= *seen == self.seen_mark;
            *seen = self.seen_mark;
        }
        self.shapes.push(Shape { start: self.members.len() as u32, length: members.len() as u32, duplicates });
        self.members.extend_from_slice(members);
        // A shape that lives for one batch is not looked up again: in a batch without repetition that would only cost.
        let lasting = (id.0 as usize) < SHAPES_MAX && members.iter().all(|name| (name.0 as usize) < NAMES_MAX);
        if lasting {
            self.by_members.insert(members.into(), id);
        }
        id
    }
}

fn head(text: &str) -> Head {
    let mut head = Head { bytes: [0; HEAD], length: NO_HEAD, next: NameId(0) };
    let plain = text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
    if plain && text.len() < HEAD {
        head.bytes[..text.len()].copy_from_slice(text.as_bytes());
        head.bytes[text.len()] = b'"';
        head.length = text.len() as u8 + 1;
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_shapes_above_the_limits_live_for_one_batch() {
        let mut shapes = Shapes::new();
        for i in 0..NAMES_MAX + 10 {
            let name = shapes.intern(&i.to_string());
            shapes.shape(&[name]);
        }
        assert_eq!(shapes.len(), NAMES_MAX + 10);
        shapes.forget();
        assert_eq!(shapes.len(), SHAPES_MAX);
        assert_eq!(shapes.find("4095"), Some(NameId(4095)));
        assert_eq!(shapes.find("4096"), None);
        let kept = shapes.shape(&[NameId(7)]);
        assert_eq!(shapes.members(kept), [NameId(7)]);
        assert_eq!(shapes.intern("4105"), NameId(4096));
    }

    #[test]
    fn a_shape_with_a_name_above_the_limit_does_not_outlive_it() {
        let mut shapes = Shapes::new();
        for i in 0..=NAMES_MAX {
            shapes.intern(&i.to_string());
        }
        let before = shapes.shape(&[NameId(NAMES_MAX as u32)]);
        shapes.forget();
        let other = shapes.intern("other");
        let after = shapes.shape(&[other]);
        assert_eq!(shapes.members(after), [other]);
        assert_ne!(shapes.name(other), "4096");
        let _ = before;
    }

    #[test]
    fn a_name_that_needs_escapes_is_not_recognised_by_its_bytes() {
        assert_eq!(head("a\\b").length, NO_HEAD);
        assert_eq!(head("a\"").length, NO_HEAD);
        assert_eq!(head("id").length, 3);
        assert_eq!(head(&"x".repeat(31)).length, 32);
        assert_eq!(head(&"x".repeat(32)).length, NO_HEAD);
    }
}
