//! The dictionary of an arena: texts that occur often (topics, field names, source partitions), written once and
//! referred to by number.

use crate::arena::Arena;
use crate::error::Malformed;

/// Entries that fit; number 0xFFFF means "no name".
const ENTRIES_MAX: usize = 65_534;

/// A dictionary being written.
///
/// Looking up a text that follows the one looked up last costs one comparison, as fields come in the same order record
/// after record; else a hash table is asked. Not the standard library's, whose seed is a `wasi:random` import.
#[derive(Debug, Default)]
pub(crate) struct Dictionary {
    texts: Vec<u8>,
    /// End of each entry in `texts`.
    ends: Vec<u32>,
    /// Open addressing, entry number + 1; a power of two long, at most half full.
    slots: Vec<u16>,
    expected: usize,
}

impl Dictionary {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    fn entry(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.texts[start..self.ends[index] as usize]
    }

    /// The number of a text, which is added if it is new; none if the dictionary is full.
    pub(crate) fn id(&mut self, text: &str) -> Option<u16> {
        let text = text.as_bytes();
        if self.expected < self.len() && self.entry(self.expected) == text {
            return Some(self.found(self.expected));
        }
        if self.slots.len() < 2 * (self.len() + 1) {
            self.grow();
        }
        let mask = self.slots.len() - 1;
        let mut at = hash(text) & mask;
        while self.slots[at] != 0 {
            let index = usize::from(self.slots[at]) - 1;
            if self.entry(index) == text {
                return Some(self.found(index));
            }
            at = (at + 1) & mask;
        }
        if self.len() == ENTRIES_MAX {
            return None;
        }
        self.texts.extend_from_slice(text);
        self.ends.push(u32::try_from(self.texts.len()).ok()?);
        let index = self.len() - 1;
        self.slots[at] = index as u16 + 1;
        Some(self.found(index))
    }

    fn found(&mut self, index: usize) -> u16 {
        self.expected = if index + 1 < self.len() { index + 1 } else { 0 };
        index as u16
    }

    fn grow(&mut self) {
        let size = (4 * (self.len() + 1)).next_power_of_two().max(16);
        self.slots = vec![0; size];
        for index in 0..self.len() {
            let mut at = hash(self.entry(index)) & (size - 1);
            while self.slots[at] != 0 {
                at = (at + 1) & (size - 1);
            }
            self.slots[at] = index as u16 + 1;
        }
    }

    /// Appends texts and table to an arena and answers the offset of the table; 0 when there are no entries.
    pub(crate) fn write(&self, arena: &mut Vec<u8>) -> u32 {
        if self.ends.is_empty() {
            return 0;
        }
        let texts = arena.len() as u32;
        arena.extend_from_slice(&self.texts);
        align(arena);
        let table = arena.len() as u32;
        let mut start = 0;
        for &end in &self.ends {
            arena.extend_from_slice(&(texts + start).to_le_bytes());
            arena.extend_from_slice(&(end - start).to_le_bytes());
            start = end;
        }
        table
    }
}

/// FNV-1a, folded so that the low bits depend on all of them.
fn hash(text: &[u8]) -> usize {
    let hash = text.iter().fold(0x811c_9dc5_u32, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash ^ (hash >> 15)) as usize
}

/// Fills up to a multiple of 8.
pub(crate) fn align(arena: &mut Vec<u8>) {
    arena.resize(arena.len().next_multiple_of(8), 0);
}

/// A dictionary being read: checked once, then looked up without surprises.
#[derive(Debug, Clone, Default)]
pub(crate) struct DictionaryReader<'a> {
    entries: Vec<&'a str>,
}

impl<'a> DictionaryReader<'a> {
    /// The dictionary whose offset and number of entries stand at these places of the header.
    pub(crate) fn read(arena: Arena<'a>, offset_at: usize, count_at: usize) -> Result<DictionaryReader<'a>, Malformed> {
        let count = arena.u32(count_at) as usize;
        if count > ENTRIES_MAX {
            return Err(Malformed::new("the dictionary is too long"));
        }
        let table = match arena.column(offset_at, count, 8)? {
            Some(table) => table,
            None if count == 0 => return Ok(DictionaryReader::default()),
            None => return Err(Malformed::new("there is no dictionary")),
        };
        let mut entries = Vec::with_capacity(count);
        for at in (0..count).map(|index| table + 8 * index) {
            let text = arena.range(arena.u32(at), arena.u32(at + 4))?;
            entries.push(std::str::from_utf8(text).map_err(|_| Malformed::new("a dictionary entry is not UTF-8"))?);
        }
        Ok(DictionaryReader { entries })
    }

    pub(crate) fn get(&self, id: u32) -> Result<&'a str, Malformed> {
        self.entries.get(id as usize).copied().ok_or(Malformed::new("no such dictionary entry"))
    }
}
