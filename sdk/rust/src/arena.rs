//! Reading an arena: little-endian numbers and ranges, each checked before it is used.

use crate::error::Malformed;

/// The longest arena.
pub(crate) const ARENA_BYTES_MAX: usize = 64 << 20;
/// The most records in a batch.
pub(crate) const RECORDS_MAX: usize = 65_536;
/// The most header entries in a batch.
pub(crate) const HEADERS_MAX: usize = 100_000;

/// The bytes of an arena.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Arena<'a>(&'a [u8]);

impl<'a> Arena<'a> {
    /// Checks the header that all arenas share: magic, version and, at `length_at`, the length.
    pub(crate) fn open(
        bytes: &'a [u8],
        header_bytes: usize,
        magic: &[u8; 4],
        length_at: usize,
    ) -> Result<Arena<'a>, Malformed> {
        if bytes.len() < header_bytes {
            return Err(Malformed::new("the arena is shorter than its header"));
        }
        if bytes.len() > ARENA_BYTES_MAX {
            return Err(Malformed::new("the arena is longer than 64 MiB"));
        }
        let arena = Arena(bytes);
        if bytes[..4] != *magic {
            return Err(Malformed::new("not an arena of this kind"));
        }
        if arena.u16(4) != 1 {
            return Err(Malformed::new("an unknown version of the format"));
        }
        if arena.u32(length_at) as usize != bytes.len() {
            return Err(Malformed::new("the arena has another length than its header says"));
        }
        Ok(arena)
    }

    pub(crate) fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// A number of the header or of a column that was checked.
    pub(crate) fn u16(self, at: usize) -> u16 {
        u16::from_le_bytes([self.0[at], self.0[at + 1]])
    }

    /// As [`u16`](Arena::u16).
    pub(crate) fn u32(self, at: usize) -> u32 {
        let bytes = &self.0[at..at + 4];
        u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }

    /// As [`u16`](Arena::u16).
    pub(crate) fn i32(self, at: usize) -> i32 {
        self.u32(at) as i32
    }

    /// As [`u16`](Arena::u16).
    pub(crate) fn u64(self, at: usize) -> u64 {
        let bytes = &self.0[at..at + 8];
        u64::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]])
    }

    /// The bytes of a range.
    pub(crate) fn range(self, offset: u32, length: u32) -> Result<&'a [u8], Malformed> {
        let offset = offset as usize;
        let end = offset.checked_add(length as usize).ok_or(Malformed::new("a range lies outside the arena"))?;
        self.0.get(offset..end).ok_or(Malformed::new("a range lies outside the arena"))
    }

    /// Where the column starts whose offset stands at `at`, if it is there; all of its bytes lie in the arena.
    pub(crate) fn column(self, at: usize, count: usize, entry_bytes: usize) -> Result<Option<usize>, Malformed> {
        let offset = self.u32(at) as usize;
        if offset == 0 {
            return Ok(None);
        }
        match self.0.get(offset..).is_some_and(|from| from.len() / entry_bytes >= count) {
            true => Ok(Some(offset)),
            false => Err(Malformed::new("a column lies outside the arena")),
        }
    }
}
