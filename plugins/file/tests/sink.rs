//! The file sink against real files, through the same arenas as in a component.

use expect_test::{Expect, expect};
use std::fs;
use tidegate_plugin_file::FileStreamSink;
use tidegate_sdk::testing::{FakeHost, SinkHarness};
use tidegate_sdk::{Config, SinkTask};

/// Puts records to a sink whose file holds `before`; compares what it holds afterwards.
fn check(before: Option<&str>, records: &str, after: Expect) {
    FakeHost::reset();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.txt");
    if let Some(before) = before {
        fs::write(&path, before).unwrap();
    }
    let mut sink = SinkHarness::start::<FileStreamSink>(&[("file", path.to_str().unwrap())]).unwrap();
    sink.put_json(records).unwrap();
    assert_eq!(sink.pre_commit().unwrap(), None, "everything accepted is written");
    sink.stop().unwrap();
    after.assert_eq(&fs::read_to_string(&path).unwrap());
}

#[test]
fn each_value_becomes_a_line() {
    check(
        None,
        r#"[{"topic":"t","offset":0,"valueSchema":8,"value":"a"},{"topic":"t","offset":1,"valueSchema":8,"value":"b"}]"#,
        expect![[r#"
            a
            b
        "#]],
    );
}

#[test]
fn structured_values_become_json_and_null_is_written_as_null() {
    check(
        None,
        r#"[{"topic":"t","value":{"id":1,"tags":["x"]}},{"topic":"t","value":null},{"topic":"t","valueSchema":4,"value":7}]"#,
        expect![[r#"
            {"id":1,"tags":["x"]}
            null
            7
        "#]],
    );
}

#[test]
fn what_is_there_stays() {
    check(
        Some("before\n"),
        r#"[{"topic":"t","valueSchema":8,"value":"after"}]"#,
        expect![[r#"
            before
            after
        "#]],
    );
}

#[test]
fn a_line_that_a_crash_cut_in_half_is_ended() {
    check(
        Some("whole\nhal"),
        r#"[{"topic":"t","valueSchema":8,"value":"half"}]"#,
        expect![[r#"
            whole
            hal
            half
        "#]],
    );
}

#[test]
fn no_file_and_a_file_that_cannot_be_opened_are_refused_by_key() {
    let config = Config::new(&FileStreamSink::definition(), [("topics", "t")]);
    assert_eq!(FileStreamSink::validate(&config)[0].key, "file");
    let directory = tempfile::tempdir().unwrap();
    let error = SinkHarness::start::<FileStreamSink>(&[("file", directory.path().to_str().unwrap())]).err().unwrap();
    assert!(error.to_string().starts_with("key \"file\": "), "{error}");
}
