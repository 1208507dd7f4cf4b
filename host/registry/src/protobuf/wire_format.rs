//! Protobuf's wire format: numbers, and where fields begin and end.

/// How the value of a field lies in the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Sized = 2,
    Fixed32 = 5,
}

/// Levels of groups that are skipped.
const GROUPS_MAX: usize = 64;

pub(super) type Result<T> = std::result::Result<T, String>;

/// Bytes with the place reached in them.
#[derive(Clone, Copy)]
pub(super) struct Input<'b> {
    pub(super) bytes: &'b [u8],
    pub(super) at: usize,
}

impl<'b> Input<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Input<'b> {
        Input { bytes, at: 0 }
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64> {
        let (mut value, mut shift) = (0u64, 0);
        loop {
            let Some(&byte) = self.bytes.get(self.at) else {
                return Err("the message ends within a number".to_owned());
            };
            self.at += 1;
            if shift == 63 && byte > 1 {
                return Err("a number has more than 64 bits".to_owned());
            }
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
            shift += 7;
        }
    }

    #[inline]
    fn take(&mut self, count: usize) -> Result<&'b [u8]> {
        let left = &self.bytes[self.at..];
        let Some(taken) = left.get(..count) else {
            return Err(format!("{count} bytes are due where {} are left", left.len()));
        };
        self.at += count;
        Ok(taken)
    }

    /// The next field: its number, how it lies, and where its value is (of sized ones without the size). None at the end.
    /// Groups are skipped.
    #[inline]
    pub(super) fn field(&mut self) -> Result<Option<(u32, Wire, usize, usize)>> {
        loop {
            if self.at >= self.bytes.len() {
                return Ok(None);
            }
            let key = self.varint()?;
            let number = u32::try_from(key >> 3).ok().filter(|number| *number > 0);
            let number = number.ok_or_else(|| format!("field number {}", key >> 3))?;
            let mut start = self.at;
            let wire = match key & 7 {
                0 => {
                    self.varint()?;
                    Wire::Varint
                }
                1 => {
                    self.take(8)?;
                    Wire::Fixed64
                }
                2 => {
                    let size = self.varint()?;
                    start = self.at;
                    self.take(usize::try_from(size).map_err(|_| format!("a field of {size} bytes"))?)?;
                    Wire::Sized
                }
                3 => {
                    self.skip_group()?;
                    continue;
                }
                5 => {
                    self.take(4)?;
                    Wire::Fixed32
                }
                other => return Err(format!("field {number} has the wire type {other}")),
            };
            return Ok(Some((number, wire, start, self.at)));
        }
    }

    fn skip_group(&mut self) -> Result<()> {
        let mut open = 1;
        while open > 0 {
            let key = self.varint()?;
            match key & 7 {
                0 => drop(self.varint()?),
                1 => drop(self.take(8)?),
                2 => {
                    let size = self.varint()?;
                    self.take(usize::try_from(size).map_err(|_| format!("a field of {size} bytes"))?)?;
                }
                3 if open >= GROUPS_MAX => return Err(format!("groups more than {GROUPS_MAX} levels deep")),
                3 => open += 1,
                4 => open -= 1,
                5 => drop(self.take(4)?),
                other => return Err(format!("a field has the wire type {other}")),
            }
        }
        Ok(())
    }
}

#[inline]
pub(super) fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[inline]
pub(super) fn put_key(number: u32, wire: Wire, out: &mut Vec<u8>) {
    put_varint(u64::from(number) << 3 | wire as u64, out);
}

/// Appends something with its size before it.
pub(super) fn put_sized(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
    // Mostly the size takes one byte; if not, what was written moves.
    let at = out.len();
    out.push(0);
    write(out)?;
    let size = out.len() - at - 1;
    if size < 0x80 {
        out[at] = size as u8;
        return Ok(());
    }
    let mut head = Vec::with_capacity(10);
    put_varint(size as u64, &mut head);
    out.splice(at..=at, head);
    Ok(())
}

pub(super) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub(super) fn unzigzag(raw: u64) -> i64 {
    (raw >> 1) as i64 ^ -((raw & 1) as i64)
}
