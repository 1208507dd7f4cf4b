//! Source offsets: their bytes in the offsets topic, and which of them may be committed.
//!
//! A source partition is identified by the exact bytes of its JSON, as in Connect, so nothing here ever rewrites one.

mod tracker;

use crate::value::{DataError, write_json_string};
pub use tracker::{BatchId, Committable, NotAwaited, OffsetTracker};

const NESTING_MAX: u32 = 64;

/// The key of a source partition in the offsets topic: `["connector",{partition}]`.
pub fn offset_key(connector: &str, partition: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(connector.len() + partition.len() + 5);
    key.push(b'[');
    write_json_string(connector, &mut key);
    key.push(b',');
    key.extend_from_slice(partition.as_bytes());
    key.push(b']');
    key
}

/// Connector and partition of a key in the offsets topic, the partition as its exact text. An error: a key that neither
/// Connect nor Tidegate writes; whoever reads the topic skips it.
pub fn parse_offset_key(key: &[u8]) -> Result<(String, String), DataError> {
    use serde_json::value::RawValue;
    let malformed = || {
        let shown: String = String::from_utf8_lossy(key).chars().take(80).collect();
        DataError::new(format!("offset key {shown} is not [\"connector\",{{partition}}]"))
    };
    let (connector, partition): (String, &RawValue) = serde_json::from_slice(key).map_err(|_| malformed())?;
    if !partition.get().starts_with('{') {
        return Err(malformed());
    }
    Ok((connector, partition.get().to_owned()))
}

/// Takes the white space outside strings out of a JSON text.
pub(crate) fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for character in json.chars() {
        if in_string {
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
        } else if matches!(character, ' ' | '\t' | '\r' | '\n') {
            continue;
        } else {
            in_string = character == '"';
        }
        out.push(character);
    }
    out
}

/// Checks that a text is a JSON object without white space outside strings, in one pass and without memory. The error
/// says what it is instead.
pub fn check_compact_object(text: &str) -> Result<(), String> {
    let refused = |at: usize| {
        let shown: String = text.chars().take(80).collect();
        format!("{shown} is not a compact JSON object (byte {at})")
    };
    if !text.starts_with('{') {
        return Err(refused(0));
    }
    let mut scan = Scan { bytes: text.as_bytes(), at: 0 };
    match scan.document() {
        Some(()) if scan.at == text.len() => Ok(()),
        _ => Err(refused(scan.at)),
    }
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    /// One value. What is open is kept as bits, 1 for an object, so that depth costs nothing.
    fn document(&mut self) -> Option<()> {
        let (mut depth, mut objects) = (0u32, 0u64);
        loop {
            // A value begins here.
            let open = match self.peek()? {
                b'{' => Some(1),
                b'[' => Some(0),
                _ => None,
            };
            if let Some(bit) = open {
                self.at += 1;
                depth += 1;
                objects = objects << 1 | bit;
                if depth > NESTING_MAX {
                    return None;
                }
                if self.peek()? != if bit == 1 { b'}' } else { b']' } {
                    if bit == 1 {
                        self.name()?;
                    }
                    continue;
                }
            } else {
                self.scalar()?;
            }
            // A value has ended, or an empty one is about to.
            loop {
                if depth == 0 {
                    return Some(());
                }
                let object = objects & 1 == 1;
                match self.peek()? {
                    b',' => {
                        self.at += 1;
                        if object {
                            self.name()?;
                        }
                        break;
                    }
                    b'}' if object => {}
                    b']' if !object => {}
                    _ => return None,
                }
                self.at += 1;
                depth -= 1;
                objects >>= 1;
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn name(&mut self) -> Option<()> {
        self.string()?;
        self.literal(b":")
    }

    fn scalar(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.string(),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            _ => {
                let rest = &self.bytes[self.at..];
                let length = rest
                    .iter()
                    .take_while(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
                    .count();
                self.at += length;
                crate::number::is_json_number(&rest[..length]).then_some(())
            }
        }
    }

    fn literal(&mut self, text: &[u8]) -> Option<()> {
        self.bytes[self.at..].starts_with(text).then(|| self.at += text.len())
    }

    fn string(&mut self) -> Option<()> {
        self.literal(b"\"")?;
        loop {
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b'"' => return Some(()),
                b'\\' => {
                    let escape = self.peek()?;
                    self.at += 1;
                    match escape {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                        b'u' => {
                            let digits = self.bytes.get(self.at..self.at + 4)?;
                            if !digits.iter().all(u8::is_ascii_hexdigit) {
                                return None;
                            }
                            self.at += 4;
                        }
                        _ => return None,
                    }
                }
                0..0x20 => return None,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_have_connects_bytes() {
        let key = offset_key("local \"file\"", r#"{"filename":"/tmp/in.txt"}"#);
        assert_eq!(String::from_utf8(key.clone()).unwrap(), r#"["local \"file\"",{"filename":"/tmp/in.txt"}]"#);
        let (connector, partition) = parse_offset_key(&key).unwrap();
        assert_eq!((connector.as_str(), partition.as_str()), ("local \"file\"", r#"{"filename":"/tmp/in.txt"}"#));
    }

    #[test]
    fn partitions_keep_their_exact_text() {
        let (_, partition) = parse_offset_key(br#"["c",{"b":1.50,"a":"\u0041"}]"#).unwrap();
        assert_eq!(partition, r#"{"b":1.50,"a":"\u0041"}"#);
    }

    #[test]
    fn other_keys_are_refused() {
        for key in ["", "[]", r#"["c"]"#, r#"["c",null]"#, r#"["c",[1]]"#, r#"[1,{}]"#, r#"["c",{},1]"#, "{}"] {
            assert!(parse_offset_key(key.as_bytes()).is_err(), "{key}");
        }
    }

    #[test]
    fn compact_objects_are_told_from_everything_else() {
        for good in [
            "{}",
            r#"{"a":1}"#,
            r#"{"a":[1,2.5e3,-0],"b":{"c":null},"d":[],"e":{},"f":true,"g":false}"#,
            r#"{"a b":" \" \\ \u00e9 ü"}"#,
        ] {
            assert_eq!(check_compact_object(good), Ok(()));
        }
        for bad in [
            "",
            "[]",
            "1",
            "null",
            "{",
            "}",
            "{}}",
            "{} ",
            " {}",
            r#"{"a": 1}"#,
            r#"{"a":1,}"#,
            r#"{"a"}"#,
            r#"{a:1}"#,
            r#"{"a":01}"#,
            r#"{"a":[1}"#,
            r#"{"a":[1,]}"#,
            r#"{"a":{]}"#,
            r#"{"a":"\x"}"#,
            "{\"a\":\"\n\"}",
            r#"{"a":tru}"#,
            r#"{"a":1"b":2}"#,
            r#"{"a":"\u00g0"}"#,
            r#"{,}"#,
            r#"{"a":1}{}"#,
        ] {
            assert!(check_compact_object(bad).is_err(), "{bad}");
        }
        assert!(check_compact_object(&format!("{{\"a\":{}1{}}}", "[".repeat(63), "]".repeat(63))).is_ok());
        assert!(check_compact_object(&format!("{{\"a\":{}1{}}}", "[".repeat(64), "]".repeat(64))).is_err());
    }

    proptest! {
        #[test]
        fn whatever_serde_json_compacts_is_compact(text in r#"[{}\[\]:,"a\\ 10.tre-]{0,14}"#) {
            // The oracle: an object to serde_json, and nothing but white space is lost when it is compacted.
            use serde_json::value::RawValue;
            let oracle = serde_json::from_str::<&RawValue>(&text)
                .is_ok_and(|raw| raw.get() == text && text.starts_with('{') && compact(&text) == text);
            prop_assert_eq!(check_compact_object(&text).is_ok(), oracle, "{}", text);
        }

        #[test]
        fn compacting_any_object_gives_a_compact_object(keys in prop::collection::vec("[a \"\\\\é]{0,4}", 0..4)) {
            let object: serde_json::Map<_, _> =
                keys.iter().map(|key| (key.clone(), serde_json::json!([key, 1, {"x": null}]))).collect();
            let pretty = serde_json::to_string_pretty(&object).unwrap();
            prop_assert_eq!(compact(&pretty), serde_json::to_string(&object).unwrap());
            prop_assert_eq!(check_compact_object(&compact(&pretty)), Ok(()));
        }
    }
}
