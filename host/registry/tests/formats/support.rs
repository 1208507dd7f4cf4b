//! Values through the view, as tasks send them.

use tidegate_record::batch::{BatchReader, BatchWriter};
use tidegate_record::tlv::Tag;
use tidegate_record::value::{JsonOptions, Value};
use tidegate_record::view::{
    CellScratch, Converter, Converters, HeaderConverter, Message, Payloads, Positions, Side, Tree, View, Workspace,
};
use tidegate_record::{Cell, Encoding, Schema, SchemaId, SchemaTable};

const BYTES: Converters =
    Converters { key: Converter::Bytes, value: Converter::Bytes, header: HeaderConverter::As(Converter::Bytes) };

/// A view with one record whose value is these bytes.
pub(crate) fn with_view<R>(bytes: &[u8], run: impl FnOnce(&mut View<'_>, &mut SchemaTable) -> R) -> R {
    let mut schemas = SchemaTable::default();
    let mut view = View::new(Workspace::default(), JsonOptions::default());
    let message = Message {
        topic: "t",
        partition: 0,
        offset: 0,
        timestamp: 0,
        append_time: false,
        key: None,
        value: Some(bytes),
        headers: &[],
    };
    view.push(message, &BYTES, &mut schemas);
    run(&mut view, &mut schemas)
}

/// What a decoder makes of bytes.
pub(crate) fn decode(
    schema: &Schema,
    bytes: &[u8],
    decode: impl FnOnce(&[u8], &mut Payloads<'_>) -> Result<Tag, String>,
) -> Result<Value, String> {
    with_view(bytes, |view, schemas| {
        let id = schemas.define(schema).map_err(|error| error.to_string())?;
        let target = view.target(id, schemas);
        view.decode_with(0, Side::Value, target, decode)?;
        // What was decoded is written for a sink, whose reader checks all of it.
        let mut batch = BatchWriter::new(Encoding::Tlv, Encoding::Tlv);
        let rows = view.rows();
        assert_eq!(view.write_batch(&rows, Encoding::Tlv, Encoding::Tlv, schemas, &mut batch), rows);
        let arena = batch.take().map_err(|error| error.to_string())?;
        let written = BatchReader::parse(&arena).expect("what is written is well-formed").value_value(0);
        let value = view.tree_of(0, Side::Value, schemas).value;
        assert_eq!(written.to_json(), value.to_json());
        Ok(value)
    })
}

/// Shows a value to an encoder: the fields one by one, or the whole.
pub(crate) fn encode(
    schema: Option<&Schema>,
    value: &Value,
    fields: Option<&[Box<str>]>,
    mut each: impl FnMut(Option<usize>, Cell<'_>, &[&str]) -> Result<(), String>,
) -> Result<(), String> {
    with_view(&[], |view, schemas| {
        let id = match schema {
            Some(schema) => schemas.define(schema).map_err(|error| error.to_string())?,
            None => SchemaId::NONE,
        };
        view.set_tree(0, Side::Value, Tree { schema: id, value: value.clone() }, schemas);
        let mut positions = Positions::default();
        view.each_cell(0, Side::Value, fields, schemas, &mut positions, &mut CellScratch::default(), &mut each)
    })
}

/// A value as JSON, of a schema or of none.
pub(crate) fn shown(value: &Value, schema: Option<&Schema>) -> String {
    match schema {
        Some(schema) => {
            value.to_connect_json(Some(schema), &JsonOptions::default()).unwrap_or_else(|error| error.to_string())
        }
        None => value.to_json(),
    }
}

/// A value of a schema from JSON.
pub(crate) fn value(schema: &Schema, json: &str) -> Value {
    Value::from_json_with(json, schema, &JsonOptions::default()).expect("the test writes a value of its schema")
}

/// Bytes as people write them.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
