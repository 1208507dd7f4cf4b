//! The offsets file of Kafka Connect's standalone mode: a `HashMap<byte[], byte[]>` that Java serialised.
//!
//! Reads what `ObjectOutputStream` writes for such a map and nothing else. Memory is bounded by the file: an array may not
//! be referred to a second time, which Connect never does.

/// What every such file begins with: magic number and version of Java's stream protocol.
pub(super) const MAGIC: [u8; 4] = [0xac, 0xed, 0, 5];

const NULL: u8 = 0x70;
const REFERENCE: u8 = 0x71;
const CLASS: u8 = 0x72;
const OBJECT: u8 = 0x73;
const ARRAY: u8 = 0x75;
const BLOCK: u8 = 0x77;
const END: u8 = 0x78;

const SERIALIZABLE: u8 = 2;
const SERIALIZABLE_WITH_OWN_DATA: u8 = 3;

/// The number that the class `[B` is referred to by: those before it are the map's class and the map.
const BYTES_CLASS: u32 = 0x7e_0002;

type Entry = (Vec<u8>, Option<Vec<u8>>);

/// Reads a file from its first byte on; null keys are left out. The error says what is there instead, and at which byte.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Entry>, String> {
    let mut stream = Stream { bytes, at: 0, knows_bytes_class: false };
    stream.expect(&MAGIC, "the magic number")?;
    stream.expect(&[OBJECT], "an object")?;
    stream.class("java.util.HashMap", SERIALIZABLE_WITH_OWN_DATA, &[(b'F', "loadFactor"), (b'I', "threshold")])?;
    stream.take(8, "the map's fields")?;
    stream.expect(&[BLOCK, 8], "the map's size")?;
    stream.take(4, "the map's capacity")?;
    let entries = stream.number("the map's size")?;
    let mut map = Vec::new();
    for _ in 0..entries {
        let (key, value) = (stream.array()?, stream.array()?);
        if let Some(key) = key {
            map.push((key, value));
        }
    }
    stream.expect(&[END], "the end of the map")?;
    match stream.at == bytes.len() {
        true => Ok(map),
        false => Err(stream.wrong("the end of the file")),
    }
}

struct Stream<'b> {
    bytes: &'b [u8],
    at: usize,
    knows_bytes_class: bool,
}

impl<'b> Stream<'b> {
    fn wrong(&self, expected: &str) -> String {
        format!("{expected} is missing at byte {}", self.at)
    }

    fn take(&mut self, length: usize, what: &str) -> Result<&'b [u8], String> {
        let taken = self.bytes[self.at..].get(..length).ok_or_else(|| self.wrong(what))?;
        self.at += length;
        Ok(taken)
    }

    fn expect(&mut self, bytes: &[u8], what: &str) -> Result<(), String> {
        match self.bytes[self.at..].starts_with(bytes) {
            true => self.take(bytes.len(), what).map(drop),
            false => Err(self.wrong(what)),
        }
    }

    fn number(&mut self, what: &str) -> Result<u32, String> {
        let bytes = self.take(4, what)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// A class without a superclass.
    fn class(&mut self, name: &str, flags: u8, fields: &[(u8, &str)]) -> Result<(), String> {
        self.expect(&[CLASS], name)?;
        self.text(name)?;
        self.take(8, "the version of a class")?;
        self.expect(&[flags, 0, fields.len() as u8], name)?;
        for (kind, field) in fields {
            self.expect(&[*kind], field)?;
            self.text(field)?;
        }
        self.expect(&[END, NULL], "the end of a class")
    }

    fn text(&mut self, text: &str) -> Result<(), String> {
        self.expect(&(text.len() as u16).to_be_bytes(), text)?;
        self.expect(text.as_bytes(), text)
    }

    /// A `byte[]`, or null.
    fn array(&mut self) -> Result<Option<Vec<u8>>, String> {
        const WHAT: &str = "an array of bytes";
        match self.take(1, WHAT)? {
            [NULL] => return Ok(None),
            [ARRAY] => {}
            _ => {
                self.at -= 1;
                return Err(self.wrong(WHAT));
            }
        }
        if self.knows_bytes_class {
            self.expect(&[REFERENCE], WHAT)?;
            self.expect(&BYTES_CLASS.to_be_bytes(), WHAT)?;
        } else {
            self.class("[B", SERIALIZABLE, &[])?;
            self.knows_bytes_class = true;
        }
        let length = self.number("the length of an array")?;
        self.take(length as usize, WHAT).map(|bytes| Some(bytes.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Kafka Connect 4.3.1 left of three FileStreamSources, of which one was reset.
    const CONNECTS: &[u8] = include_bytes!("connect.offsets");

    #[test]
    fn connects_file_is_read() {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let map: Vec<_> =
            read(CONNECTS).unwrap().into_iter().map(|(key, value)| (text(key), value.map(text))).collect();
        let at = |key: &str, value: Option<&str>| (key.to_owned(), value.map(str::to_owned));
        assert_eq!(
            map,
            [
                at(r#"["lines",{"filename":"in.txt"}]"#, Some(r#"{"position":391}"#)),
                at(r#"["umlaut",{"filename":"größe.txt"}]"#, Some(r#"{"position":391}"#)),
                at(r#"["gone",{"filename":"third.txt"}]"#, None),
            ]
        );
    }

    #[test]
    fn a_file_that_is_cut_off_or_goes_on_is_refused() {
        for length in 0..CONNECTS.len() {
            let error = read(&CONNECTS[..length]).unwrap_err();
            assert!(error.contains(" is missing at byte "), "{error}");
        }
        let longer = [CONNECTS, b"x"].concat();
        assert_eq!(read(&longer), Err(format!("the end of the file is missing at byte {}", CONNECTS.len())));
    }

    #[test]
    fn no_changed_byte_makes_it_crash_or_swell() {
        for at in 0..CONNECTS.len() {
            for byte in 0..=255 {
                let mut bytes = CONNECTS.to_vec();
                bytes[at] = byte;
                if let Ok(map) = read(&bytes) {
                    let read: usize =
                        map.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len)).sum();
                    assert!(read < bytes.len(), "{at} {byte}");
                }
            }
        }
    }
}
