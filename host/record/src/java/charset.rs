//! Java's character sets, by Java's names: `converter.encoding` of the StringConverter.
//!
//! The Unicode forms and the two that are parts of Unicode are written out here, since Java's rules for them (byte order
//! marks, replacements) are its own; the rest is `encoding_rs`.

use encoding_rs::{EncoderResult, Encoding};

/// A character set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// The one that is copied.
    Utf8,
    /// US-ASCII.
    Ascii,
    /// ISO-8859-1.
    Latin1,
    /// Units of 16 or 32 bits.
    Wide(Wide),
    /// One of those that came before Unicode.
    Legacy(&'static Encoding),
}

/// A form of Unicode whose units are wider than bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wide {
    bytes: usize,
    order: Order,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Big,
    Little,
    /// As a mark at the beginning says, else big. Java writes the mark in 16 bits and not in 32.
    Marked,
}

/// Java's names, canonical ones and aliases, in lower case.
#[rustfmt::skip]
const NAMES: &[(Charset, &[&str])] = &[
    (Charset::Utf8, &["utf-8", "utf8", "utf_8", "unicode-1-1-utf-8"]),
    (Charset::Ascii, &[
        "us-ascii", "ascii", "ascii7", "iso646-us", "iso-ir-6", "ansi_x3.4-1968", "ansi_x3.4-1986", "iso_646.irv:1983",
        "iso_646.irv:1991", "ibm367", "cp367", "us", "csascii", "646", "default",
    ]),
    (Charset::Latin1, &[
        "iso-8859-1", "iso8859-1", "iso8859_1", "iso_8859-1", "iso_8859_1", "iso_8859-1:1987", "8859_1", "iso-ir-100",
        "latin1", "l1", "ibm819", "ibm-819", "cp819", "819", "csisolatin1",
    ]),
    (Charset::Wide(Wide { bytes: 2, order: Order::Marked }), &["utf-16", "utf_16", "utf16", "unicode", "unicodebig"]),
    (Charset::Wide(Wide { bytes: 2, order: Order::Big }), &[
        "utf-16be", "utf_16be", "x-utf-16be", "iso-10646-ucs-2", "unicodebigunmarked",
    ]),
    (Charset::Wide(Wide { bytes: 2, order: Order::Little }), &[
        "utf-16le", "utf_16le", "x-utf-16le", "unicodelittleunmarked",
    ]),
    (Charset::Wide(Wide { bytes: 4, order: Order::Marked }), &["utf-32", "utf_32", "utf32", "iso-10646-ucs-4"]),
    (Charset::Wide(Wide { bytes: 4, order: Order::Big }), &["utf-32be", "utf_32be", "x-utf-32be"]),
    (Charset::Wide(Wide { bytes: 4, order: Order::Little }), &["utf-32le", "utf_32le", "x-utf-32le"]),
    (Charset::Legacy(encoding_rs::WINDOWS_1250), &["windows-1250", "cp1250", "cp5346"]),
    (Charset::Legacy(encoding_rs::WINDOWS_1251), &["windows-1251", "cp1251", "cp5347", "ansi-1251"]),
    (Charset::Legacy(encoding_rs::WINDOWS_1252), &["windows-1252", "cp1252", "cp5348", "ibm-1252", "ibm1252"]),
    (Charset::Legacy(encoding_rs::WINDOWS_1253), &["windows-1253", "cp1253", "cp5349"]),
    (Charset::Legacy(encoding_rs::WINDOWS_1254), &["windows-1254", "cp1254", "cp5350"]),
    (Charset::Legacy(encoding_rs::WINDOWS_1255), &["windows-1255", "cp1255"]),
    (Charset::Legacy(encoding_rs::WINDOWS_1256), &["windows-1256", "cp1256"]),
    (Charset::Legacy(encoding_rs::WINDOWS_1257), &["windows-1257", "cp1257", "cp5353"]),
    (Charset::Legacy(encoding_rs::WINDOWS_1258), &["windows-1258", "cp1258"]),
    (Charset::Legacy(encoding_rs::ISO_8859_2), &["iso-8859-2", "iso8859-2", "iso8859_2", "8859_2", "latin2", "l2"]),
    (Charset::Legacy(encoding_rs::ISO_8859_4), &["iso-8859-4", "iso8859-4", "iso8859_4", "8859_4", "latin4", "l4"]),
    (Charset::Legacy(encoding_rs::ISO_8859_5), &["iso-8859-5", "iso8859-5", "iso8859_5", "8859_5", "cyrillic"]),
    (Charset::Legacy(encoding_rs::ISO_8859_7), &["iso-8859-7", "iso8859-7", "iso8859_7", "8859_7", "greek"]),
    (Charset::Legacy(encoding_rs::ISO_8859_13), &["iso-8859-13", "iso8859-13", "iso8859_13", "8859_13"]),
    (Charset::Legacy(encoding_rs::ISO_8859_15), &["iso-8859-15", "iso8859-15", "iso8859_15", "8859_15", "latin9", "l9"]),
    (Charset::Legacy(encoding_rs::ISO_8859_16), &["iso-8859-16", "iso8859-16", "iso8859_16", "8859_16", "latin10"]),
    (Charset::Legacy(encoding_rs::KOI8_R), &["koi8-r", "koi8_r", "koi8", "cskoi8r"]),
    (Charset::Legacy(encoding_rs::KOI8_U), &["koi8-u", "koi8_u"]),
    (Charset::Legacy(encoding_rs::SHIFT_JIS), &["shift_jis", "shift-jis", "sjis", "ms_kanji", "windows-31j", "ms932"]),
    (Charset::Legacy(encoding_rs::EUC_JP), &["euc-jp", "euc_jp", "eucjp", "eucjis"]),
    (Charset::Legacy(encoding_rs::EUC_KR), &["euc-kr", "euc_kr", "euckr", "ks_c_5601-1987", "ksc5601", "ms949"]),
    (Charset::Legacy(encoding_rs::GBK), &["gbk", "cp936", "windows-936", "gb2312", "euc-cn", "euc_cn", "euccn"]),
    (Charset::Legacy(encoding_rs::GB18030), &["gb18030", "gb18030-2022"]),
    (Charset::Legacy(encoding_rs::BIG5), &["big5", "csbig5"]),
];

impl Charset {
    /// The character set that Java knows under a name, in any case.
    pub fn of(name: &str) -> Option<Charset> {
        let lower = name.to_ascii_lowercase();
        NAMES.iter().find(|(_, names)| names.contains(&&*lower)).map(|(charset, _)| *charset)
    }

    /// What Java calls the most usual ones, for messages.
    pub fn known() -> impl Iterator<Item = &'static str> {
        NAMES.iter().filter_map(|(_, names)| names.first().copied())
    }

    /// Text from bytes. What is malformed becomes U+FFFD, as in Java: reading never fails.
    pub fn decode(self, bytes: &[u8]) -> String {
        match self {
            Charset::Utf8 => lossy_utf8(bytes),
            Charset::Ascii => {
                bytes.iter().map(|&byte| if byte < 0x80 { char::from(byte) } else { REPLACEMENT }).collect()
            }
            Charset::Latin1 => bytes.iter().map(|&byte| char::from(byte)).collect(),
            Charset::Wide(wide) => wide.decode(bytes),
            Charset::Legacy(encoding) => encoding.decode_without_bom_handling(bytes).0.into_owned(),
        }
    }

    /// Appends a text. What the character set does not have becomes `?`.
    pub fn encode(self, text: &str, out: &mut Vec<u8>) {
        let narrow = |out: &mut Vec<u8>, max: char| {
            out.extend(text.chars().flat_map(|c| {
                // Outside the first plane Java sees two characters, of which one is replaced for both.
                std::iter::once(if c <= max { c as u8 } else { b'?' })
            }));
        };
        match self {
            Charset::Utf8 => out.extend_from_slice(text.as_bytes()),
            Charset::Ascii => narrow(out, '\u{7f}'),
            Charset::Latin1 => narrow(out, '\u{ff}'),
            Charset::Wide(wide) => wide.encode(text, out),
            Charset::Legacy(encoding) => encode_legacy(encoding, text, out),
        }
    }
}

const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// Malformed parts are replaced as everywhere, but for surrogates, of which Java replaces all three bytes by one.
fn lossy_utf8(bytes: &[u8]) -> String {
    let is_surrogate = |part: &[u8]| matches!(part, [0xED, 0xA0..=0xBF, 0x80..=0xBF]);
    if !bytes.windows(3).any(is_surrogate) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let mut joined = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, behind)) = rest.split_first() {
        if rest.get(..3).is_some_and(is_surrogate) {
            joined.push(0xFF);
            rest = &rest[3..];
        } else {
            joined.push(*first);
            rest = behind;
        }
    }
    String::from_utf8_lossy(&joined).into_owned()
}

impl Wide {
    fn decode(self, bytes: &[u8]) -> String {
        let (little, bytes) = match (self.order, self.bytes, bytes) {
            (Order::Little, ..) => (true, bytes),
            (Order::Marked, 2, [0xFE, 0xFF, rest @ ..]) | (Order::Marked, 4, [0, 0, 0xFE, 0xFF, rest @ ..]) => {
                (false, rest)
            }
            (Order::Marked, 2, [0xFF, 0xFE, rest @ ..]) | (Order::Marked, 4, [0xFF, 0xFE, 0, 0, rest @ ..]) => {
                (true, rest)
            }
            _ => (false, bytes),
        };
        let units = bytes.chunks_exact(self.bytes);
        let tail = !units.remainder().is_empty();
        let unit = |unit: &[u8]| match little {
            true => unit.iter().rev().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte)),
            false => unit.iter().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte)),
        };
        let mut half = false;
        let mut text: String = match self.bytes {
            2 => {
                let units: Vec<u16> = units.map(|bytes| unit(bytes) as u16).collect();
                half = units.last().is_some_and(|unit| (0xD800..0xDC00).contains(unit));
                String::from_utf16_lossy(&units)
            }
            _ => units.map(|bytes| char::from_u32(unit(bytes)).unwrap_or(REPLACEMENT)).collect(),
        };
        // A first half of a character and the beginning of its second are one malformed thing.
        if tail && !half {
            text.push(REPLACEMENT);
        }
        text
    }

    fn encode(self, text: &str, out: &mut Vec<u8>) {
        let little = self.order == Order::Little;
        if self.bytes == 4 {
            let unit = |c: char| if little { (c as u32).to_le_bytes() } else { (c as u32).to_be_bytes() };
            return out.extend(text.chars().flat_map(unit));
        }
        if self.order == Order::Marked && !text.is_empty() {
            out.extend_from_slice(&[0xFE, 0xFF]);
        }
        out.extend(text.encode_utf16().flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }));
    }
}

fn encode_legacy(encoding: &'static Encoding, text: &str, out: &mut Vec<u8>) {
    let mut encoder = encoding.new_encoder();
    let mut rest = text;
    loop {
        let needed = encoder.max_buffer_length_from_utf8_without_replacement(rest.len()).unwrap_or(rest.len() * 4 + 16);
        out.reserve(needed);
        let (result, read) = encoder.encode_from_utf8_to_vec_without_replacement(rest, out, true);
        rest = &rest[read..];
        match result {
            EncoderResult::InputEmpty => return,
            EncoderResult::OutputFull => {}
            EncoderResult::Unmappable(_) => out.push(b'?'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, text: &str, bytes: &[u8]) {
        let charset = Charset::of(name).unwrap_or_else(|| panic!("{name} is not known"));
        let mut out = Vec::new();
        charset.encode(text, &mut out);
        assert_eq!(out, bytes, "{text} in {name}");
    }

    #[track_caller]
    fn reads(name: &str, bytes: &[u8], text: &str) {
        assert_eq!(Charset::of(name).unwrap().decode(bytes), text, "{bytes:?} in {name}");
    }

    #[test]
    fn text_is_written_as_java_writes_it() {
        check("UTF-8", "é中", "é中".as_bytes());
        check("us-ascii", "hé😀", b"h??");
        check("ISO-8859-1", "hé中", b"h\xe9?");
        check("UTF-16", "h", &[0xFE, 0xFF, 0, b'h']);
        check("UTF-16", "", &[]);
        check("UTF-16LE", "h", &[b'h', 0]);
        check("UTF-32", "h", &[0, 0, 0, b'h']);
        check("windows-1252", "€é中", b"\x80\xe9?");
        check("Shift_JIS", "日", &[0x93, 0xFA]);
    }

    #[test]
    fn malformed_bytes_are_replaced_as_java_replaces_them() {
        reads("UTF-8", b"\xff\xfeA", "\u{fffd}\u{fffd}A");
        reads("UTF-8", b"\xed\xa0\x80A\xe2\x82", "\u{fffd}A\u{fffd}");
        reads("US-ASCII", b"h\xc3", "h\u{fffd}");
        reads("UTF-16", &[0, b'h', 0xC3, 0xA9], "h\u{c3a9}");
        reads("UTF-16", &[0xFF, 0xFE, b'h', 0, 7], "h\u{fffd}");
        reads("UTF-16BE", &[0xD8, 0x3D, 0xDE], "\u{fffd}");
        reads("UTF-32", &[0, 0, 0, b'h', 0, 0x11, 0, 0], "h\u{fffd}");
        reads("windows-1252", b"\x80", "€");
    }

    #[test]
    fn names_are_javas_in_any_case() {
        assert_eq!(Charset::of("utf8"), Some(Charset::Utf8));
        assert_eq!(Charset::of("Latin1"), Some(Charset::Latin1));
        assert_eq!(Charset::of(""), None);
        assert_eq!(Charset::of("utf-9"), None);
    }
}
