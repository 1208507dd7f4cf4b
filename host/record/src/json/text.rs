//! Strings of JSON texts: taking escapes away and putting them in.

/// Writes `text` as a JSON string with its quotes. Escapes what JSON demands and nothing else.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bytes = text.as_bytes();
    out.push(b'"');
    let mut done = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[done..at]);
        done = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            _ => out.extend_from_slice(&[
                b'\\',
                b'u',
                b'0',
                b'0',
                HEX[usize::from(byte >> 4)],
                HEX[usize::from(byte & 15)],
            ]),
        }
    }
    out.extend_from_slice(&bytes[done..]);
    out.push(b'"');
}

/// Appends the text that the inside of a JSON string (without its quotes) stands for. The scanner must have accepted
/// the string.
pub fn unescape(inside: &[u8], out: &mut Vec<u8>) {
    let mut rest = inside;
    while let Some(at) = rest.iter().position(|&byte| byte == b'\\') {
        out.extend_from_slice(&rest[..at]);
        let Some(&letter) = rest.get(at + 1) else { return };
        rest = &rest[at + 2..];
        match letter {
            b'b' => out.push(0x08),
            b'f' => out.push(0x0c),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => {
                let mut code = hex4(rest);
                rest = rest.get(4..).unwrap_or_default();
                if (0xd800..0xdc00).contains(&code) {
                    let low = hex4(rest.get(2..).unwrap_or_default());
                    rest = rest.get(6..).unwrap_or_default();
                    code = 0x10000 + ((code - 0xd800) << 10) + (low.wrapping_sub(0xdc00) & 0x3ff);
                }
                let mut buffer = [0; 4];
                let letter = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(letter.encode_utf8(&mut buffer).as_bytes());
            }
            // `"`, `\` and `/` stand for themselves.
            other => out.push(other),
        }
    }
    out.extend_from_slice(rest);
}

/// The number in four hexadecimal digits, 0 where there are none.
pub(super) fn hex4(digits: &[u8]) -> u32 {
    digits
        .get(..4)
        .and_then(|four| std::str::from_utf8(four).ok())
        .and_then(|four| u32::from_str_radix(four, 16).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_written_string_reads_back(text in ".*|[\\x00-\\x7f\\u{10000}-\\u{10010}]*") {
            let mut written = Vec::new();
            write_string(&text, &mut written);
            let read: String = serde_json::from_slice(&written).unwrap();
            prop_assert_eq!(&read, &text);
            let mut plain = Vec::new();
            unescape(&written[1..written.len() - 1], &mut plain);
            prop_assert_eq!(plain, text.into_bytes());
        }

        #[test]
        fn escapes_mean_what_they_mean_to_serde_json(codes in prop::collection::vec(any::<char>(), 0..8)) {
            let mut inside = String::new();
            for code in codes {
                let mut units = [0; 2];
                for unit in code.encode_utf16(&mut units) {
                    inside += &format!("\\u{unit:04X}");
                }
                inside += "\\/";
            }
            let read: String = serde_json::from_str(&format!("\"{inside}\"")).unwrap();
            let mut plain = Vec::new();
            unescape(inside.as_bytes(), &mut plain);
            prop_assert_eq!(plain, read.into_bytes());
        }
    }
}
