//! Writing nodes whose tag is known only when their payload is written.

use tidegate_record::tlv::{NO_NAME, Tag};

/// The header of a node without a name.
pub(crate) const NAMELESS: [u8; 8] = [0xFF, 0xFF, 0, 0, 0, 0, 0, 0];

/// The header of a node with an inline name, but for tag and length.
pub(crate) fn header(name: &str) -> Box<[u8]> {
    let mut head = Vec::with_capacity(12 + name.len());
    head.extend_from_slice(&NO_NAME.to_le_bytes());
    head.extend_from_slice(&[0, 1, 0, 0, 0, 0]);
    head.extend_from_slice(&(name.len() as u32).to_le_bytes());
    head.extend_from_slice(name.as_bytes());
    head.into()
}

/// Appends a node under a header that was made before; `payload` appends what is in it and answers the tag.
#[inline]
pub(crate) fn node<E>(
    head: &[u8],
    out: &mut Vec<u8>,
    payload: impl FnOnce(&mut Vec<u8>) -> Result<Tag, E>,
) -> Result<(), E> {
    let at = out.len();
    out.extend_from_slice(head);
    let tag = payload(out)?;
    let length = (out.len() - at - 8) as u32;
    out[at + 2] = tag as u8;
    out[at + 4..at + 8].copy_from_slice(&length.to_le_bytes());
    Ok(())
}
