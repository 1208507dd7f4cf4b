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
pub(crate) struct Arena<'a> {
    bytes: &'a [u8],
    /// Where the header ends: no column and no text begins before.
    header_bytes: usize,
}

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
        let arena = Arena { bytes, header_bytes };
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
        self.bytes
    }

    /// A number of the header or of a column that was checked.
    pub(crate) fn u16(self, at: usize) -> u16 {
        u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]])
    }

    /// As [`u16`](Arena::u16).
    pub(crate) fn u32(self, at: usize) -> u32 {
        let bytes = &self.bytes[at..at + 4];
        u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }

    /// As [`u16`](Arena::u16).
    pub(crate) fn i32(self, at: usize) -> i32 {
        self.u32(at) as i32
    }

    /// As [`u16`](Arena::u16).
    pub(crate) fn u64(self, at: usize) -> u64 {
        let bytes = &self.bytes[at..at + 8];
        u64::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]])
    }

    /// The bytes of a range.
    pub(crate) fn range(self, offset: u32, length: u32) -> Result<&'a [u8], Malformed> {
        const OUTSIDE: Malformed = Malformed::new("a range lies outside the arena");
        let offset = offset as usize;
        let end = offset.checked_add(length as usize).filter(|_| offset >= self.header_bytes).ok_or(OUTSIDE)?;
        self.bytes.get(offset..end).ok_or(OUTSIDE)
    }

    /// Where the column starts whose offset stands at `at`, if it is there; all of its bytes lie in the arena.
    pub(crate) fn column(self, at: usize, count: usize, entry_bytes: usize) -> Result<Option<usize>, Malformed> {
        let offset = self.u32(at) as usize;
        if offset == 0 {
            return Ok(None);
        }
        let fits = |from: &[u8]| offset >= self.header_bytes && from.len() / entry_bytes >= count;
        match self.bytes.get(offset..).is_some_and(fits) {
            true => Ok(Some(offset)),
            false => Err(Malformed::new("a column lies outside the arena")),
        }
    }
}
