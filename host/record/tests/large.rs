//! A record that is larger than what crosses into a guest.

use tidegate_record::columns::ColumnsWriter;
use tidegate_record::edits::{EditsReader, EditsWriter};
use tidegate_record::value::JsonOptions;
use tidegate_record::view::{
    Column, Converter, Converters, HeaderConverter, Message, Reshapes, View, Workspace, Written,
};
use tidegate_record::{SchemaTable, Value};

const BYTES: usize = 100 << 20;

#[test]
fn a_hundred_megabytes_pass_as_long_as_no_step_asks_for_all_of_them() {
    let mut text = Vec::with_capacity(BYTES + 64);
    text.extend_from_slice(b"{\"id\":1,\"large\":\"");
    text.resize(BYTES, b'x');
    text.extend_from_slice(b"\"}");
    let converter = Converter::Json { schemas: false };
    let mut schemas = SchemaTable::default();
    let mut view = View::new(Workspace::default(), JsonOptions::default());
    let message = Message {
        topic: "t",
        partition: 0,
        offset: 0,
        timestamp: -1,
        append_time: false,
        key: None,
        value: Some(&text),
        headers: &[],
    };
    let all = Converters { key: converter, value: converter, header: HeaderConverter::Simple };
    view.push(message, &all, &mut schemas);
    let rows = view.rows();

    let mut columns = ColumnsWriter::new();
    view.columns(&rows, &[Column::value(["id"])], &schemas, &mut columns);
    assert!(columns.finish().unwrap().len() < 1_000, "a step that asks for a small field gets that");
    let mut columns = ColumnsWriter::new();
    view.columns(&rows, &[Column::value([])], &schemas, &mut columns);
    let refused = columns.finish().unwrap_err().to_string();
    expect_test::expect!["malformed columns: arena of 104857673 bytes"].assert_eq(&refused);

    let write = [Column::value(["by"])];
    let mut edits = EditsWriter::new(1);
    edits.set_constant(0, &Value::string("me"));
    let edits = edits.finish().unwrap();
    let edits = EditsReader::parse(&edits, 1, 1).unwrap();
    view.apply(&rows, &edits, &write, &Reshapes::new(), &mut schemas).unwrap();
    let mut out = Vec::new();
    let written = view.write_value(0, converter, &schemas, &mut out);
    assert!(matches!(written, Written::Bytes(_)));
    assert_eq!((out.len(), &out[out.len() - 13..]), (text.len() + 10, &b"x\",\"by\":\"me\"}"[..]));
}
