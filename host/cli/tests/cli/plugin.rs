//! A plugin of one's own: made by `plugin new`, tested, built, checked, pushed, used.

use std::process::Command;

use expect_test::{Expect, expect};
use serde_json::json;

use crate::dev::{create, source, start};
use crate::process::{PLUGINS_BUILT, Place, lines, until};

/// Runs a command that succeeds.
#[track_caller]
fn tidegate(place: &Place, arguments: &[&str]) -> String {
    let output = place.run(arguments);
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "tidegate {arguments:?}\n{stdout}{stderr}");
    stdout
}

fn make(place: &Place, name: &str, kind: &str) {
    let sdk = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sdk/rust");
    tidegate(place, &["plugin", "new", "--lang", "rust", name, "--kind", kind, "--sdk", sdk]);
    // The crates that the checkout uses, so that nothing has to be resolved anew.
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock");
    std::fs::copy(lock, place.path(name).join("Cargo.lock")).unwrap();
}

/// Builds and answers where the component is.
pub(crate) fn build(place: &Place, name: &str) -> String {
    let built = tidegate(place, &["plugin", "build", name]);
    built.lines().next_back().unwrap().rsplit_once(" (").unwrap().0.to_owned()
}

/// What `plugin new` makes of a kind passes its own tests, builds, and says at the door what it is.
#[track_caller]
fn check(kind: &str, expected: Expect) {
    let place = Place::new();
    let name = format!("my-{kind}");
    make(&place, &name, kind);
    // In release mode, which shares macros and build scripts with the component.
    let mut test = Command::new("cargo");
    test.args(["test", "--release", "--quiet"]).current_dir(place.path(&name)).env("CARGO_TARGET_DIR", PLUGINS_BUILT);
    let tested = test.output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&tested.stdout), String::from_utf8_lossy(&tested.stderr));
    assert!(tested.status.success(), "{stdout}{stderr}");
    assert!(!stderr.contains("warning"), "{stderr}");
    assert_eq!(stdout.matches("1 passed").count(), 2, "the code's test and the README's: {stdout}");

    let checked = tidegate(&place, &["plugin", "check", &build(&place, &name)]);
    let lines = checked.lines().map(|line| line.strip_prefix("  ").unwrap_or(line));
    let definition: Vec<&str> = lines.skip_while(|line| !line.starts_with(&format!("{kind} "))).collect();
    expected.assert_eq(&definition.join("\n"));
}

#[test]
fn a_source_is_made() {
    check(
        "source",
        expect![[r#"
          source MySource
            topic (string)
            count (long)"#]],
    );
}

#[test]
fn a_sink_is_made() {
    check(
        "sink",
        expect![[r#"
          sink MySink
            file (path-write, asks to write the path it names)"#]],
    );
}

#[test]
fn a_transform_is_made() {
    check(
        "transform",
        expect![[r#"
          transform MyTransform
            field (string)
            greeting (string)"#]],
    );
}

#[test]
fn a_predicate_is_made() {
    check(
        "predicate",
        expect![[r#"
          predicate MyPredicate
            field (string)"#]],
    );
}

#[test]
fn a_converter_is_made() {
    check(
        "converter",
        expect![[r#"
          converter MyConverter
            separator (string)"#]],
    );
}

#[test]
fn a_plugin_is_pushed_used_in_a_chain_and_there_again_after_a_crash() {
    let place = Place::new();
    make(&place, "say-hello", "transform");
    let component = build(&place, "say-hello");

    let checked = tidegate(&place, &["plugin", "check", &component]);
    assert!(checked.starts_with("say-hello 0.1.0\n"), "{checked}");
    assert!(checked.contains("transform SayHello\n    field (string)\n"), "{checked}");

    place.write("in.txt", "{\"id\":1}\n");
    let (mut dev, url) = start(&place);
    let pushed = tidegate(&place, &["plugin", "push", &component, "--url", &url]);
    assert!(pushed.starts_with("say-hello 0.1.0 is ready\n"), "{pushed}");
    create(&url, source());
    create(
        &url,
        json!({"name": "out", "config": {
        "connector.class": "FileStreamSink", "topics": "t", "file": "out.txt",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
        "transforms": "hello", "transforms.hello.type": "SayHello", "transforms.hello.greeting": "good morning"}}),
    );
    until("the record arrives", || lines(&place.path("out.txt")).len() == 1);
    assert_eq!(lines(&place.path("out.txt")), [r#"{"id":1,"greeting":"good morning"}"#]);

    dev.kill();
    place.write("in.txt", "{\"id\":1}\n{\"id\":2}\n");
    let (dev, _) = start(&place);
    let last = r#"{"id":2,"greeting":"good morning"}"#;
    until("the plugin is there again", || lines(&place.path("out.txt")).iter().any(|line| line == last));
    assert_eq!(dev.terminate(), Some(0));
}

#[test]
fn a_topic_is_written_and_read_by_the_converter_of_a_plugin() {
    let place = Place::new();
    let component = build(&place, concat!(env!("CARGO_MANIFEST_DIR"), "/../../sdk/rust/examples/hello-converter"));
    place.write("in.txt", "a,b\nc\n");
    let (dev, url) = start(&place);
    tidegate(&place, &["plugin", "push", &component, "--url", &url]);
    // A line is text; hoisted it has a field, which a form can have.
    create(
        &url,
        json!({"name": "in", "config": {
        "connector.class": "FileStreamSource", "file": "in.txt", "topic": "forms", "value.converter": "HelloConverter",
        "transforms": "h", "transforms.h.type": "HoistField$Value", "transforms.h.field": "x"}}),
    );
    let sink = |name: &str, converter: &str| {
        json!({"name": name, "config": {"connector.class": "FileStreamSink", "topics": "forms",
            "file": format!("{name}.txt"), "value.converter": converter}})
    };
    create(&url, sink("raw", "StringConverter"));
    create(&url, sink("read", "HelloConverter"));
    until("both files are there", || ["raw.txt", "read.txt"].iter().all(|name| lines(&place.path(name)).len() == 2));
    assert_eq!(lines(&place.path("raw.txt")), ["x=a%2Cb", "x=c"]);
    assert_eq!(lines(&place.path("read.txt")), [r#"{"x":"a,b"}"#, r#"{"x":"c"}"#]);
    assert_eq!(dev.terminate(), Some(0));
}
