//! The file source against real files, through the same arenas as in a component.

use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tidegate_plugin_file::FileStreamSource;
use tidegate_sdk::testing::{FakeHost, SourceHarness};
use tidegate_sdk::{Config, Error, PollLimits, SourceOffset, SourceTask};

/// A directory of its own with one file in it, and the source that reads it.
struct Fixture {
    _directory: TempDir,
    path: PathBuf,
}

impl Fixture {
    fn new(content: &[u8]) -> Fixture {
        FakeHost::reset();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("in.txt");
        fs::write(&path, content).unwrap();
        Fixture { _directory: directory, path }
    }

    fn start(&self, more: &[(&str, &str)]) -> SourceHarness {
        start(&self.path, more).unwrap()
    }

    fn append(&self, content: &str) {
        let mut text = fs::read_to_string(&self.path).unwrap();
        text.push_str(content);
        fs::write(&self.path, text).unwrap();
    }
}

fn start(path: &Path, more: &[(&str, &str)]) -> Result<SourceHarness, Error> {
    let path = path.to_str().unwrap();
    let config: Vec<_> = [("file", path), ("topic", "lines")].into_iter().chain(more.iter().copied()).collect();
    SourceHarness::start::<FileStreamSource>(&config)
}

/// The values of one poll, each with the position after it.
fn poll(source: &mut SourceHarness) -> String {
    match source.poll(PollLimits { records_max: 1_000, bytes_max: 1 << 20, wait_ms: 0 }) {
        Ok(records) => records
            .iter()
            .map(|record| {
                let offset = record.source_offset.as_deref().unwrap();
                let position = offset.trim_start_matches("{\"position\":").trim_end_matches('}');
                format!("{}@{position}", record.value.as_str().unwrap())
            })
            .collect::<Vec<_>>()
            .join(" "),
        Err(Error::EndOfInput) => "end".to_owned(),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn records_look_as_those_of_apache_kafka() {
    let file = Fixture::new(b"hello\n");
    let records = file.start(&[]).poll_json().unwrap();
    let path = file.path.to_str().unwrap();
    assert_eq!(
        records,
        format!(
            r#"[{{"topic":"lines","valueSchema":8,"value":"hello","sourcePartition":{{"filename":"{path}"}},"sourceOffset":{{"position":6}}}}]"#
        )
    );
}

#[test]
fn a_last_line_is_kept_until_its_end_is_written() {
    let file = Fixture::new(b"a\nb");
    let mut source = file.start(&[]);
    assert_eq!(poll(&mut source), "a@2");
    assert_eq!(poll(&mut source), "");
    file.append("c\n");
    assert_eq!(poll(&mut source), "bc@5");
}

#[test]
fn without_follow_the_last_line_needs_no_end_and_the_input_ends() {
    let file = Fixture::new(b"a\nb");
    let mut source = file.start(&[("follow", "false")]);
    assert_eq!(poll(&mut source), "a@2 b@3");
    assert_eq!(poll(&mut source), "end");
}

#[test]
fn without_follow_an_empty_file_ends_at_once() {
    let file = Fixture::new(b"");
    assert_eq!(poll(&mut file.start(&[("follow", "false")])), "end");
}

#[test]
fn a_task_goes_on_where_the_committed_offset_says() {
    let file = Fixture::new("a\nzwölf\nb\n".as_bytes());
    let mut source = file.start(&[("batch.size", "2")]);
    assert_eq!(poll(&mut source), "a@2 zwölf@9");
    source.commit().unwrap();
    assert_eq!(poll(&mut source), "b@11");
    // `b` was not committed: it comes again.
    assert_eq!(poll(&mut file.start(&[])), "b@11");
}

#[test]
fn a_missing_file_is_waited_for_and_reported_once() {
    let file = Fixture::new(b"");
    fs::remove_file(&file.path).unwrap();
    let mut source = file.start(&[]);
    assert_eq!(poll(&mut source), "");
    assert_eq!(poll(&mut source), "");
    assert_eq!(FakeHost::log().len(), 1);
    fs::write(&file.path, "here\n").unwrap();
    assert_eq!(poll(&mut source), "here@5");
}

#[test]
fn a_truncated_file_is_read_from_its_beginning() {
    let file = Fixture::new(b"first\nsecond\n");
    let mut source = file.start(&[]);
    assert_eq!(poll(&mut source), "first@6 second@13");
    fs::write(&file.path, "new\n").unwrap();
    assert_eq!(poll(&mut source), "");
    assert_eq!(poll(&mut source), "new@4");
}

#[test]
fn a_file_that_was_replaced_under_its_name_is_read_from_its_beginning() {
    let file = Fixture::new(b"first\n");
    let mut source = file.start(&[]);
    assert_eq!(poll(&mut source), "first@6");
    let other = file.path.with_extension("other");
    fs::write(&other, "a\nb\nc\nd\ne\n").unwrap();
    fs::rename(&other, &file.path).unwrap();
    assert_eq!(poll(&mut source), "");
    assert_eq!(poll(&mut source), "a@2 b@4 c@6 d@8 e@10");
}

#[test]
fn bytes_that_are_not_text_become_replacement_characters() {
    let file = Fixture::new(b"a\xFFb\n");
    assert_eq!(poll(&mut file.start(&[])), "a\u{FFFD}b@4");
}

#[test]
fn a_poll_answers_no_more_than_the_host_asks_for() {
    let file = Fixture::new("x\n".repeat(5_000).as_bytes());
    let mut source = file.start(&[]);
    let limits = PollLimits { records_max: 3, bytes_max: 1 << 20, wait_ms: 0 };
    assert_eq!(source.poll(limits).unwrap().len(), 3);
    let limits = PollLimits { records_max: 10_000, bytes_max: 1 << 20, wait_ms: 0 };
    assert_eq!(source.poll(limits).unwrap().len(), 2_000, "batch.size is 2000 unless set");
}

#[test]
fn a_directory_and_no_file_at_all_are_refused_by_key() {
    FakeHost::reset();
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(
        poll(&mut start(directory.path(), &[]).unwrap()),
        format!("error: key \"file\": \"{}\" is a directory", directory.path().display())
    );
    let config = Config::new(&FileStreamSource::definition(), [("topic", "t")]);
    let problems = FileStreamSource::validate(&config);
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].key, "file");
}

#[test]
fn only_positions_can_be_set_as_offsets() {
    let check = |partition: &str, offset: Option<&str>| {
        let config = Config::new(&FileStreamSource::definition(), [("file", "f")]);
        let offset = SourceOffset { partition: partition.to_owned(), offset: offset.map(str::to_owned) };
        match FileStreamSource::alter_offsets(&config, &[offset]) {
            Ok(looked) => format!("ok({looked})"),
            Err(error) => error.to_string(),
        }
    };
    let file = r#"{"filename":"f"}"#;
    assert_eq!(check(file, Some(r#"{"position":12}"#)), "ok(true)");
    assert_eq!(check(file, None), "ok(true)");
    assert_eq!(check(r#"{"other":"f"}"#, None), "ok(true)", "rubbish may be cleaned up");
    for (partition, offset, refused) in [
        (file, r#"{"position":-1}"#, "The value for the 'position' key in the offset should be a non-negative value"),
        (file, r#"{"position":"12"}"#, "The value for the 'position' key in the offset is expected to be a Long value"),
        (file, r#"{"pos":12}"#, "Offset objects should either be null or contain the key 'position'"),
        (r#"{"other":"f"}"#, r#"{"position":12}"#, "Partition objects should contain the key 'filename'"),
    ] {
        assert_eq!(check(partition, Some(offset)), refused);
    }
}
