//! Decoding into a view, as tasks do; what was decoded is written as a batch for a sink, which checks all of it.

use tidegate_record::batch::{BatchReader, BatchWriter};
use tidegate_record::tlv::Tag;
use tidegate_record::value::JsonOptions;
use tidegate_record::view::{Converter, Converters, HeaderConverter, Message, Payloads, Side, View, Workspace};
use tidegate_record::{Encoding, Schema, SchemaTable};

const BYTES: Converters = Converters { key: Converter::Bytes, value: Converter::Bytes, header: HeaderConverter::Simple };

pub fn decode(schema: &Schema, bytes: &[u8], decode: impl FnOnce(&[u8], &mut Payloads<'_>) -> Result<Tag, String>) {
    let mut schemas = SchemaTable::default();
    let Ok(id) = schemas.define(schema) else { return };
    let mut view = View::new(Workspace::default(), JsonOptions::default());
    let message =
        Message { topic: "t", partition: 0, offset: 0, timestamp: 0, append_time: false, key: None, value: Some(bytes), headers: &[] };
    view.push(message, &BYTES, &mut schemas);
    let target = view.target(id, &schemas);
    if view.decode_with(0, Side::Value, target, decode).is_err() {
        return;
    }
    let mut batch = BatchWriter::new(Encoding::Tlv, Encoding::Tlv);
    let rows = view.rows();
    view.write_batch(&rows, Encoding::Tlv, Encoding::Tlv, &schemas, &mut batch);
    if let Ok(arena) = batch.take() {
        BatchReader::parse(&arena).expect("what we write is well-formed");
    }
}
