//! What the three kinds of arena have in common: limits, checked columns, the dictionary.

use crate::malformed::{Malformed, Reason};
use crate::tlv::{Dictionary, NAMES_MAX};

/// Bytes of an arena.
pub const ARENA_BYTES_MAX: usize = 64 << 20;
/// Records of an arena.
pub const RECORDS_MAX: usize = 65_536;
/// Bytes that entries may refer to, each reference counted. Entries may share bytes, so without this a small arena could
/// make a reader check the same megabytes thousands of times.
pub const REFERRED_BYTES_MAX: usize = 256 << 20;

/// An arena whose header is known to be there.
pub(crate) struct Arena<'a> {
    bytes: &'a [u8],
    header: usize,
    referred: usize,
}

impl<'a> Arena<'a> {
    /// Checks size, magic, version and the length that the header says at byte 12.
    pub(crate) fn open(bytes: &'a [u8], header: usize, magic: &[u8; 4]) -> Result<Arena<'a>, Malformed> {
        if bytes.len() > ARENA_BYTES_MAX {
            return Err(Malformed::new(Reason::Limit, format!("arena of {} bytes", bytes.len())));
        }
        if bytes.len() < header {
            return Err(Malformed::new(Reason::Length, format!("arena of {} bytes, header has {header}", bytes.len())));
        }
        let arena = Arena { bytes, header, referred: 0 };
        if &bytes[..4] != magic {
            return Err(Malformed::new(Reason::Magic, format!("magic {:02x?}", &bytes[..4])));
        }
        if arena.u16(4) != 1 {
            return Err(Malformed::new(Reason::Version, format!("version {}, this host speaks 1", arena.u16(4))));
        }
        if arena.u32(12) != bytes.len() {
            return Err(Malformed::new(
                Reason::Length,
                format!("header says {} bytes, there are {}", arena.u32(12), bytes.len()),
            ));
        }
        Ok(arena)
    }

    /// A byte of the header.
    pub(crate) fn u8(&self, at: usize) -> u8 {
        self.bytes[at]
    }

    /// A number of the header.
    pub(crate) fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]])
    }

    /// A number of the header.
    pub(crate) fn u32(&self, at: usize) -> usize {
        let [a, b, c, d] = [self.bytes[at], self.bytes[at + 1], self.bytes[at + 2], self.bytes[at + 3]];
        u32::from_le_bytes([a, b, c, d]) as usize
    }

    /// The number of records at byte `at` of the header.
    pub(crate) fn records(&self, at: usize) -> Result<usize, Malformed> {
        match self.u32(at) {
            count if count > RECORDS_MAX => Err(Malformed::new(Reason::Limit, format!("{count} records"))),
            count => Ok(count),
        }
    }

    /// Bytes that an entry refers to.
    #[inline]
    pub(crate) fn slice(&mut self, offset: usize, length: usize, what: &str) -> Result<&'a [u8], Malformed> {
        self.referred += length;
        match self.bytes.get(offset..).and_then(|rest| rest.get(..length)) {
            Some(_) if offset < self.header => {
                Err(Malformed::new(Reason::Offset, format!("{what} at {offset}, inside the header")))
            }
            Some(_) if self.referred > REFERRED_BYTES_MAX => {
                Err(Malformed::new(Reason::Limit, format!("entries refer to more than {REFERRED_BYTES_MAX} bytes")))
            }
            Some(bytes) => Ok(bytes),
            None => Err(Malformed::new(
                Reason::Offset,
                format!("{what} at {offset} with {length} bytes, the arena has {}", self.bytes.len()),
            )),
        }
    }

    /// Text that an entry refers to.
    pub(crate) fn text(&mut self, offset: usize, length: usize, what: &str) -> Result<&'a str, Malformed> {
        let bytes = self.slice(offset, length, what)?;
        simdutf8::basic::from_utf8(bytes).map_err(|_| Malformed::new(Reason::Utf8, format!("{what} is not UTF-8")))
    }

    /// `count` entries of `N` bytes at `offset`; none where the offset is 0.
    pub(crate) fn column<const N: usize>(
        &mut self,
        offset: usize,
        count: usize,
        what: &str,
    ) -> Result<&'a [[u8; N]], Malformed> {
        if offset == 0 {
            return Ok(&[]);
        }
        let length = count
            .checked_mul(N)
            .ok_or_else(|| Malformed::new(Reason::Offset, format!("{what} has {count} entries")))?;
        Ok(self.slice(offset, length, what)?.as_chunks().0)
    }

    /// The dictionary whose size and offset are in the header at `size_at` and `offset_at`.
    pub(crate) fn dictionary(&mut self, size_at: usize, offset_at: usize) -> Result<Vec<&'a str>, Malformed> {
        let size = self.u32(size_at);
        if size > NAMES_MAX {
            return Err(Malformed::new(Reason::Limit, format!("{size} dictionary entries")));
        }
        let entries = self.column::<8>(self.u32(offset_at), size, "dictionary")?;
        if entries.len() != size {
            return Err(Malformed::new(Reason::Offset, format!("dictionary of {size} entries is absent")));
        }
        entries
            .iter()
            .map(|entry| {
                let (offset, length) = pair(entry);
                self.text(offset, length, "dictionary entry")
            })
            .collect()
    }

    /// A name of the dictionary.
    pub(crate) fn name(names: &[&'a str], number: usize, what: &str) -> Result<&'a str, Malformed> {
        names.get(number).copied().ok_or_else(|| {
            Malformed::new(Reason::Name, format!("{what} is dictionary entry {number} of {}", names.len()))
        })
    }
}

/// The number `part` of an entry of 32-bit numbers; the caller knows that it is there.
#[inline]
pub(crate) fn word(entry: &[u8], part: usize) -> u32 {
    let at = part * 4;
    u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]])
}

/// An entry {offset, length}.
#[inline]
pub(crate) fn pair(entry: &[u8; 8]) -> (usize, usize) {
    (word(entry, 0) as usize, word(entry, 1) as usize)
}

/// Appends a column aligned to 8 and returns its offset; an empty one is absent.
pub(crate) fn append_column(arena: &mut Vec<u8>, column: &[u8]) -> u32 {
    if column.is_empty() {
        return 0;
    }
    arena.resize(arena.len().next_multiple_of(8), 0);
    let offset = arena.len() as u32;
    arena.extend_from_slice(column);
    offset
}

/// Appends the texts and entries of a dictionary and returns the offset of the entries.
pub(crate) fn append_dictionary(arena: &mut Vec<u8>, names: &Dictionary) -> u32 {
    let mut entries = Vec::with_capacity(names.len() * 8);
    for name in names.iter() {
        entries.extend_from_slice(&(arena.len() as u32).to_le_bytes());
        entries.extend_from_slice(&(name.len() as u32).to_le_bytes());
        arena.extend_from_slice(name.as_bytes());
    }
    append_column(arena, &entries)
}

/// Writes a number of the header.
pub(crate) fn put_u32(arena: &mut [u8], at: usize, value: u32) {
    arena[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// Refuses an arena that has become too large to be read.
pub(crate) fn check_size(arena: &[u8]) -> Result<(), Malformed> {
    if arena.len() > ARENA_BYTES_MAX {
        return Err(Malformed::new(Reason::Limit, format!("arena of {} bytes", arena.len())));
    }
    Ok(())
}
