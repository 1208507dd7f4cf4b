//! Batches on their way into guests: in the form they ask for, and in part when only a part was taken.

use serde_json::value::RawValue;
use tidegate_engine::Payload;
use tidegate_record::batch::{BatchReader, BatchWriter, Encoding, batch_to_json};

/// A batch for a guest that reads arenas, or JSON.
pub(crate) fn for_guest(arena: Vec<u8>, as_json: bool) -> Result<Payload, String> {
    if !as_json {
        return Ok(Payload::Arena(arena));
    }
    let batch = BatchReader::parse(&arena).map_err(|error| error.to_string())?;
    batch_to_json(&batch).map(Payload::Json).map_err(|error| error.to_string())
}

/// Whether a batch of a guest's says that it has no records. What it says is checked later.
pub(crate) fn is_empty(batch: &Payload) -> bool {
    match batch {
        Payload::Arena(arena) => arena.get(8..12).is_none_or(|count| count == [0; 4]),
        Payload::Json(text) => text.len() < 16 && text.trim_matches(['[', ']', ' ', '\n', '\r', '\t']).is_empty(),
    }
}

/// One record of a batch as JSON, for people; none if it cannot be shown.
pub(crate) fn record_json(batch: &BatchReader<'_>, record: usize) -> Option<Vec<u8>> {
    let text = batch_to_json(batch).ok()?;
    let records: Vec<&RawValue> = serde_json::from_str(&text).ok()?;
    Some(records.get(record)?.get().as_bytes().to_vec())
}

/// The records of a batch from `from` on.
pub(crate) fn suffix(batch: &Payload, from: usize) -> Result<Payload, String> {
    match batch {
        Payload::Arena(arena) => {
            let batch = BatchReader::parse(arena).map_err(|error| error.to_string())?;
            let mut rest = BatchWriter::new(batch.key_encoding(), batch.value_encoding());
            (from..batch.len()).for_each(|record| copy(&batch, record, &mut rest));
            rest.take().map(Payload::Arena).map_err(|error| error.to_string())
        }
        Payload::Json(text) => {
            let records: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| error.to_string())?;
            let rest = records.get(from..).unwrap_or_default();
            serde_json::to_string(rest).map(Payload::Json).map_err(|error| error.to_string())
        }
    }
}

fn copy(from: &BatchReader<'_>, record: usize, to: &mut BatchWriter) {
    let (key, value) = (from.key(record), from.value(record));
    let mut out = to.record();
    if let Some(topic) = from.topic(record) {
        out.topic(topic);
    }
    if let Some(partition) = from.partition(record) {
        out.partition(partition);
    }
    if let Some(offset) = from.offset(record) {
        out.offset(offset);
    }
    if let Some(timestamp) = from.timestamp(record) {
        out.timestamp(timestamp);
    }
    if let Some(origin) = from.origin(record) {
        out.origin(origin);
    }
    if let Some(original) = from.original(record) {
        out.original(original.topic, original.partition, original.offset);
    }
    if from.flags(record) != 0 {
        out.flags(from.flags(record));
    }
    // Names in nodes are numbers of the dictionary, so nodes go through trees.
    match from.key_encoding() {
        Encoding::Tlv if key.bytes.is_some() => drop(out.key_tree(key.schema, &from.key_value(record))),
        _ => drop(out.key(key.schema, key.bytes)),
    }
    match from.value_encoding() {
        Encoding::Tlv if value.bytes.is_some() => drop(out.value_tree(value.schema, &from.value_value(record))),
        _ => drop(out.value(value.schema, value.bytes)),
    }
    for header in from.headers(record) {
        out.header_tree(header.name, header.value.schema, &from.header_value(&header));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_record::SchemaId;

    fn batch(encoding: Encoding, values: &[&str]) -> Payload {
        let mut writer = BatchWriter::new(encoding, Encoding::Raw);
        for (offset, value) in (0..).zip(values) {
            let mut record = writer.record();
            record.topic("t").partition(0).offset(offset).value(SchemaId::STRING, Some(value.as_bytes()));
        }
        Payload::Arena(writer.take().unwrap())
    }

    #[test]
    fn a_suffix_holds_the_records_that_were_not_taken_as_they_were() {
        let whole = batch(Encoding::Tlv, &["a", "b", "c"]);
        let Payload::Arena(rest) = suffix(&whole, 1).unwrap() else { panic!("an arena was cut") };
        let rest = BatchReader::parse(&rest).unwrap();
        let shown: Vec<_> = (0..rest.len()).map(|i| (rest.offset(i), rest.value(i).bytes)).collect();
        assert_eq!(shown, vec![(Some(1), Some(&b"b"[..])), (Some(2), Some(&b"c"[..]))]);
    }

    #[test]
    fn a_suffix_of_json_keeps_its_texts() {
        let rest = suffix(&Payload::Json(r#"[{"value":1},{"value":1.10}]"#.into()), 1).unwrap();
        assert_eq!(rest, Payload::Json(r#"[{"value":1.10}]"#.into()));
    }
}
