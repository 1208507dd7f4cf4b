//! How large a record may become when it is decoded. A few bytes can stand for millions of items that take none; a record
//! that grows out of proportion is refused instead of filling the memory.

/// What every record may come to, however small it is.
const FREE_BYTES: usize = 128 << 10;
/// Bytes of nodes that a byte of a record may become: a field of one byte takes a header of eight, its name and eight more.
const GROWTH_MAX: usize = 256;

/// The length that the output must not pass, given what is there already and the bytes that are to be decoded.
pub(crate) fn limit(before: usize, bytes: usize) -> usize {
    before + FREE_BYTES + bytes.saturating_mul(GROWTH_MAX)
}
