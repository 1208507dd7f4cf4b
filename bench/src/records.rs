//! What flows: records that differ from each other and are the same in every run.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};

/// What a record looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Text of this many bytes.
    Line { bytes: usize },
    /// An object of 10 fields and 17 values in some 285 bytes.
    Json,
    /// The same object in the envelope of `schemas.enable`, with its schema: some 1,060 bytes.
    JsonWithSchema,
}

/// The schema of [`Shape::Json`], as JsonConverter writes it.
const SCHEMA: &str = concat!(
    r#"{"type":"struct","fields":[{"type":"int64","optional":false,"field":"id"},{"type":"string","optional":false,"field":"user"},"#,
    r#"{"type":"string","optional":true,"field":"email"},{"type":"boolean","optional":false,"field":"active"},"#,
    r#"{"type":"double","optional":false,"field":"score"},{"type":"struct","fields":[{"type":"string","optional":false,"field":"street"},"#,
    r#"{"type":"string","optional":false,"field":"city"},{"type":"string","optional":false,"field":"zip"}],"optional":false,"field":"address"},"#,
    r#"{"type":"array","items":{"type":"string","optional":false},"optional":false,"field":"tags"},"#,
    r#"{"type":"string","optional":false,"field":"created"},{"type":"string","optional":true,"field":"note"},"#,
    r#"{"type":"int32","optional":false,"field":"v"}],"optional":false,"name":"org.example.Event"}"#
);

impl Shape {
    /// Writes record `i` over what was in `out`.
    pub fn write(self, i: usize, out: &mut Vec<u8>) {
        out.clear();
        match self {
            Shape::Line { bytes } => {
                write!(out, "{i:010} ").expect("memory takes everything");
                // Text whose content depends on the record, so that nothing along the way can know it already.
                let mut state = (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
                while out.len() < bytes {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    out.push(ALPHABET[(state >> 58) as usize]);
                }
            }
            Shape::JsonWithSchema => {
                let mut payload = Vec::new();
                Shape::Json.write(i, &mut payload);
                for part in [br#"{"schema":"#, SCHEMA.as_bytes(), br#","payload":"#, &payload, b"}"] {
                    out.extend_from_slice(part);
                }
            }
            Shape::Json => write!(
                out,
                r#"{{"id":{},"user":"user-{}","email":"someone.{}@example.org","active":{},"score":{}.{:02},"address":{{"street":"{} Long Lane","city":"Utrecht","zip":"35{:02}AB"}},"tags":["alpha","beta","n{}"],"created":"2024-05-{:02}T10:{:02}:00Z","note":"plain text of some length","v":{}}}"#,
                100_000 + i,
                i % 977,
                i,
                i.is_multiple_of(2),
                i % 100,
                i % 89,
                i % 300,
                i % 90,
                i % 7,
                i % 28 + 1,
                i % 60,
                i % 3
            )
            .expect("memory takes everything"),
        }
    }
}

const ALPHABET: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 -";

/// Writes `count` records as lines.
pub fn write_file(shape: Shape, count: usize, path: &Path) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        let mut record = Vec::new();
        for i in 0..count {
            shape.write(i, &mut record);
            record.push(b'\n');
            file.write_all(&record)?;
        }
        file.flush()
    };
    write().with_context(|| format!("cannot write the input \"{}\"", path.display()))
}

#[cfg(test)]
mod tests {
    use super::Shape;

    #[test]
    fn lines_have_their_size_and_differ() {
        let (mut one, mut other) = (Vec::new(), Vec::new());
        Shape::Line { bytes: 100 }.write(1, &mut one);
        Shape::Line { bytes: 100 }.write(2, &mut other);
        assert_eq!((one.len(), other.len()), (100, 100));
        assert_ne!(one[11..], other[11..]);
        assert!(!one.contains(&b'\n'));
    }

    #[test]
    fn json_is_json_of_the_size_that_is_told() {
        let mut record = Vec::new();
        for i in [0, 1, 299_999] {
            Shape::Json.write(i, &mut record);
            let value: serde_json::Value = serde_json::from_slice(&record).unwrap();
            assert_eq!(value.as_object().unwrap().len(), 10);
            assert!((250..=310).contains(&record.len()), "{}", record.len());

            Shape::JsonWithSchema.write(i, &mut record);
            let envelope: serde_json::Value = serde_json::from_slice(&record).unwrap();
            let fields = envelope["schema"]["fields"].as_array().unwrap();
            assert!(fields.iter().all(|field| value.get(field["field"].as_str().unwrap()).is_some()));
            assert_eq!(fields.len(), value.as_object().unwrap().len());
            assert_eq!(envelope["payload"], value);
            assert!((1_000..=1_150).contains(&record.len()), "{}", record.len());
        }
    }
}
