//! One clear error (what, detail, hint), the right exit code, and nothing half created.

use std::net::TcpListener;

use expect_test::{Expect, expect};

use crate::process::Place;

#[track_caller]
fn check(place: &Place, arguments: &[&str], expected: Expect) {
    expected.assert_eq(&place.transcript(arguments));
    assert!(!place.path(".tidegate").exists(), "a data directory was left behind");
}

/// A distributed worker on a broker that is not there.
const WORKER: &str = "\
bootstrap.servers=127.0.0.1:1
group.id=g
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.storage.StringConverter
config.storage.topic=c
offset.storage.topic=o
status.storage.topic=s
listeners=http://127.0.0.1:0
";

#[test]
fn a_missing_file_is_named() {
    let place = Place::new();
    for command in ["worker", "standalone"] {
        let shown = place.transcript(&[command, "missing.properties"]);
        assert_eq!(
            shown,
            format!(
                "$ tidegate {command} missing.properties\n\
                 error: the file \"missing.properties\" cannot be read\n  \
                 No such file or directory (os error 2)\n\
                 exit 2"
            )
        );
    }
    check(
        &place,
        &["plugin", "check", "missing.wasm"],
        expect![[r#"
            $ tidegate plugin check missing.wasm
            error: the component "missing.wasm" cannot be read
              No such file or directory (os error 2)
            exit 2"#]],
    );
}

#[test]
fn a_malformed_line_is_named_with_a_hint() {
    let place = Place::new();
    place.write("w.properties", "group.id=g\nplugin.path=C:\\users\\me\n");
    check(
        &place,
        &["worker", "w.properties"],
        expect![[r#"
            $ tidegate worker w.properties
            error: "w.properties" is no properties file
              line 2: "\users" is not a character, \u takes four hexadecimal digits
            hint: write a backslash as \\, a path with / or \\
            exit 2"#]],
    );
}

#[test]
fn all_problems_of_a_configuration_are_told_at_once() {
    let place = Place::new();
    place.write("w.properties", "bootstrap.servers=here\ngroup.id=g\ntask.shutdown.graceful.timeout.ms=soon\n");
    let shown = place.transcript(&["worker", "w.properties"]);
    for part in [
        "error: the worker configuration \"w.properties\" is invalid\n",
        "bootstrap.servers",
        "key.converter",
        "offset.storage.topic",
        "task.shutdown.graceful.timeout.ms",
        "\nexit 2",
    ] {
        assert!(shown.contains(part), "{part:?} is not in\n{shown}");
    }
    assert!(!place.path(".tidegate").exists());
}

#[test]
fn an_unknown_key_is_warned_about_and_a_broker_that_is_not_there_is_an_error() {
    let place = Place::new();
    place.write("w.properties", format!("{WORKER}offset.flush.intervall.ms=1000\n"));
    let shown = place.transcript(&["worker", "w.properties"]);
    for part in [
        "warning: w.properties: key \"offset.flush.intervall.ms\"",
        "\"offset.flush.interval.ms\"",
        "error: broker at 127.0.0.1:1 not reachable\n",
        "\nhint: check bootstrap.servers",
        "\nexit 1",
    ] {
        assert!(shown.contains(part), "{part:?} is not in\n{shown}");
    }
    assert!(!place.path(".tidegate").exists(), "a data directory was left behind");
}

#[test]
fn a_data_directory_that_is_a_file_is_refused() {
    let place = Place::new();
    place.write("data", "");
    check(
        &place,
        &["dev", "--rest", "127.0.0.1:0", "--kafka", "127.0.0.1:0", "--data-dir", "data"],
        expect![[r#"
            $ tidegate dev --rest 127.0.0.1:0 --kafka 127.0.0.1:0 --data-dir data
            error: the data directory "data" cannot be used
              File exists (os error 17)
            hint: name a directory with --data-dir
            exit 1"#]],
    );
}

#[test]
fn a_port_in_use_is_named() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let transcript = |what: &str, arguments: &[&str]| {
        let shown = place.transcript(arguments).replace(&address, "[TAKEN]");
        let expected = format!(
            "error: {what} cannot listen on [TAKEN]\n  \
             Address already in use (os error 98)\n\
             hint: stop the program that uses the port, or choose another; 0 takes a free one\n\
             exit 1"
        );
        assert!(shown.ends_with(&expected), "{shown}");
        assert!(!place.path(".tidegate").exists(), "a data directory was left behind");
    };
    transcript("REST", &["dev", "--rest", &address, "--kafka", "127.0.0.1:0"]);
    transcript("Kafka", &["dev", "--rest", "127.0.0.1:0", "--kafka", &address]);
    transcript("Kafka", &["broker", "--listen", &address]);
}

#[test]
fn a_broker_for_other_machines_is_refused() {
    let place = Place::new();
    let shown = place.transcript(&["broker", "--listen", "0.0.0.0:0"]);
    assert!(shown.contains("listens on loopback addresses only"), "{shown}");
    assert!(shown.ends_with("exit 1"), "{shown}");
}

#[test]
fn what_is_no_component_is_told_apart() {
    let place = Place::new();
    place.write("text.wasm", "hello");
    check(
        &place,
        &["plugin", "check", "text.wasm"],
        expect![[r#"
            $ tidegate plugin check text.wasm
            error: "text.wasm" is refused
              this is not a WebAssembly component: it does not begin as one does
            hint: upload the .wasm file that the build made
            exit 1"#]],
    );
    place.write("module.wasm", b"\0asm\x01\0\0\0");
    check(
        &place,
        &["plugin", "check", "module.wasm"],
        expect![[r#"
            $ tidegate plugin check module.wasm
            error: "module.wasm" is refused
              this is a core WebAssembly module, not a component
            hint: build for wasm32-wasip2, or make a component of it with `wasm-tools component new`
            exit 1"#]],
    );
}

#[test]
fn a_worker_that_is_not_there_is_named() {
    let place = Place::new();
    check(
        &place,
        &["connector", "list", "--url", "http://127.0.0.1:1"],
        expect![[r#"
            $ tidegate connector list --url http://127.0.0.1:1
            error: no worker answers at http://127.0.0.1:1
              Connection refused (os error 111)
            hint: start one with `tidegate dev`, or name another with --url
            exit 1"#]],
    );
    check(
        &place,
        &["plugin", "list", "--url", "localhost"],
        expect![[r#"
            $ tidegate plugin list --url localhost
            error: --url "localhost" is no URL
              relative URL without a base
            hint: write it as http://127.0.0.1:8083
            exit 2"#]],
    );
}

#[test]
fn a_connector_file_is_checked_before_anybody_is_asked() {
    let place = Place::new();
    place.write("c.json", "{\"name\": \"a\",\n \"config\": }");
    check(
        &place,
        &["connector", "create", "c.json"],
        expect![[r#"
            $ tidegate connector create c.json
            error: "c.json" is not valid JSON
              expected value at line 2 column 12
            exit 2"#]],
    );
}

#[test]
fn a_wrong_log_filter_is_usage() {
    let place = Place::new();
    let shown = place.transcript(&["--log", "tidegate=loud", "connector", "list"]);
    assert!(shown.contains("error: \"tidegate=loud\" is no log filter\n"), "{shown}");
    assert!(shown.ends_with("exit 2"), "{shown}");
}

#[test]
fn an_unknown_command_is_usage() {
    let place = Place::new();
    let shown = place.transcript(&["conector", "list"]);
    assert!(shown.contains("'connector'"), "{shown}");
    assert!(shown.ends_with("exit 2"), "{shown}");
}

#[test]
fn a_plugin_is_made_where_nothing_is_and_only_with_an_sdk() {
    let place = Place::new();
    check(
        &place,
        &["plugin", "new", "--lang", "rust", "mine"],
        expect![[r#"
            $ tidegate plugin new --lang rust mine
            error: the SDK for Rust was not found
              it is not published to a registry yet, and this is not inside a checkout of Tidegate
            hint: name it with --sdk PATH, where PATH is the folder sdk/rust of a checkout
            exit 2"#]],
    );
    assert!(!place.path("mine").exists());
    check(
        &place,
        &["plugin", "build"],
        expect![[r#"
            $ tidegate plugin build
            error: "." is not the folder of a plugin in Rust
              it has no Cargo.toml
            hint: make one with `tidegate plugin new --lang rust NAME`
            exit 2"#]],
    );
}
