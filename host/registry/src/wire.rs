//! What stands before the bytes of a record: a zero, the number of its schema, and for Protobuf the way to its message.

/// The first byte.
const MAGIC: u8 = 0;
/// The zero and the number.
pub const PREFIX_BYTES: usize = 5;
/// Levels of messages inside messages.
const INDEXES_MAX: usize = crate::LEVELS_MAX;

/// The number of a record's schema.
pub fn schema_id(bytes: &[u8]) -> Result<u32, String> {
    match bytes {
        [MAGIC, a, b, c, d, ..] => Ok(u32::from_be_bytes([*a, *b, *c, *d])),
        [MAGIC, rest @ ..] => Err(format!("the number of the schema has {} bytes where 4 are due", rest.len())),
        [first, ..] => Err(format!(
            "Unknown magic byte! The first byte is {first}, and a record that was written with a schema registry begins \
             with 0\nhint: name the converter that the topic was written with"
        )),
        [] => Err("Unknown magic byte! There are no bytes".to_owned()),
    }
}

/// Begins a record.
pub fn write_prefix(id: u32, out: &mut Vec<u8>) {
    out.push(MAGIC);
    out.extend_from_slice(&id.to_be_bytes());
}

/// The way to the message of a Protobuf record, and where its bytes begin.
pub fn message_indexes(bytes: &[u8]) -> Result<(Vec<usize>, usize), String> {
    let mut at = PREFIX_BYTES;
    let count = index(bytes, &mut at)?;
    if count == 0 {
        return Ok((vec![0], at));
    }
    if count > INDEXES_MAX {
        return Err(format!("a message {count} levels deep"));
    }
    let indexes = (0..count).map(|_| index(bytes, &mut at)).collect::<Result<_, _>>()?;
    Ok((indexes, at))
}

fn index(bytes: &[u8], at: &mut usize) -> Result<usize, String> {
    let (mut raw, mut shift) = (0u64, 0);
    loop {
        let byte = *bytes.get(*at).ok_or("the record ends within the indexes of its message")?;
        *at += 1;
        raw |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            break;
        }
        shift += 7;
        if shift > 28 {
            return Err("an index of the message has more than 32 bits".to_owned());
        }
    }
    let value = (raw >> 1) as i64 ^ -((raw & 1) as i64);
    usize::try_from(value).map_err(|_| format!("index {value} of a message"))
}

/// Appends the way to a message; the first of a file is written short.
pub fn write_message_indexes(indexes: &[usize], out: &mut Vec<u8>) {
    if indexes == [0] {
        return out.push(0);
    }
    let mut number = |value: usize| {
        let mut rest = (value as u64) << 1;
        while rest >= 0x80 {
            out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    };
    number(indexes.len());
    indexes.iter().for_each(|index| number(*index));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_record_begins_with_zero_and_the_number_of_its_schema() {
        let mut out = Vec::new();
        write_prefix(258, &mut out);
        assert_eq!(out, [0, 0, 0, 1, 2]);
        assert_eq!(schema_id(&out), Ok(258));
        for bad in [&b""[..], b"\0\0\0", b"{\"a\":1}"] {
            assert!(schema_id(bad).is_err());
        }
    }

    #[test]
    fn the_first_message_of_a_file_is_written_short() {
        let mut out = vec![0; 5];
        write_message_indexes(&[0], &mut out);
        assert_eq!(out[5..], [0]);
        let mut out = vec![0; 5];
        write_message_indexes(&[1, 0], &mut out);
        assert_eq!(out[5..], [4, 2, 0]);
        assert_eq!(message_indexes(&out), Ok((vec![1, 0], 8)));
    }

    proptest! {
        #[test]
        fn indexes_are_read_as_they_were_written(indexes in prop::collection::vec(0usize..10_000, 1..8)) {
            let mut out = vec![0; 5];
            write_message_indexes(&indexes, &mut out);
            prop_assert_eq!(message_indexes(&out), Ok((indexes, out.len())));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = schema_id(&bytes);
            let _ = message_indexes(&bytes);
        }
    }
}
