//! `tidegate dev`: connectors by REST and by the client commands, plugins of one's own, a crash in between.

use std::process::Command;

use serde_json::json;

use crate::process::{Place, Running, lines, until};
use crate::rest::{request, until_state};

const DEV: [&str; 5] = ["dev", "--rest", "127.0.0.1:0", "--kafka", "127.0.0.1:0"];

fn start(place: &Place) -> (Running, String) {
    let mut dev = place.start(&DEV);
    let url = dev.line("REST");
    (dev, url)
}

fn create(url: &str, connector: serde_json::Value) {
    let (status, answer) = request("POST", &format!("{url}/connectors"), connector.to_string().as_bytes());
    assert_eq!(status, 201, "{answer:#}");
}

fn source() -> serde_json::Value {
    json!({"name": "in", "config": {
        "connector.class": "FileStreamSource", "file": "in.txt", "topic": "t",
        "value.converter": "org.apache.kafka.connect.storage.StringConverter"}})
}

#[test]
fn a_second_process_on_the_same_directory_is_refused_politely() {
    let place = Place::new();
    let (mut dev, url) = start(&place);
    assert_eq!(dev.line("embedded development broker"), ", not for production");
    let rest = url.strip_prefix("http://").unwrap();
    for arguments in [DEV.to_vec(), vec!["dev", "--rest", rest, "--kafka", "127.0.0.1:0"]] {
        let shown = place.transcript(&arguments);
        assert!(shown.contains("is in use by another process\nhint: stop that process"), "{shown}");
        assert!(shown.ends_with("exit 1"), "{shown}");
    }
    assert_eq!(request("GET", &format!("{url}/health"), b"").0, 200, "the first one goes on");
    assert_eq!(dev.terminate(), Some(0));
}

#[test]
fn connectors_are_looked_after_by_the_client_commands() {
    let place = Place::new();
    let (dev, url) = start(&place);
    place.write("in.txt", "one\n");
    place.write("c.json", source().to_string());
    let tidegate = |arguments: &[&str]| {
        let shown = place.transcript(&[arguments, &["--url", &url]].concat());
        shown.lines().skip(1).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(tidegate(&["connector", "list"]), "no connectors\nexit 0");
    assert_eq!(tidegate(&["connector", "create", "c.json"]), "connector \"in\" created\nexit 0");
    let again = tidegate(&["connector", "create", "c.json"]);
    assert_eq!(again, "error: connector \"in\" was not created\n  Connector in already exists\nexit 1");
    until_state(&url, "in", "RUNNING");
    let list = "NAME  TYPE    STATE    TASKS\nin    source  RUNNING  1 RUNNING\nexit 0";
    assert_eq!(tidegate(&["connector", "list"]), list);
    assert_eq!(tidegate(&["connector", "pause", "in"]), "connector \"in\" paused\nexit 0");
    until_state(&url, "in", "PAUSED");
    assert!(tidegate(&["connector", "status", "in"]).starts_with("in (source)\n  connector  PAUSED"));
    assert_eq!(tidegate(&["connector", "resume", "in"]), "connector \"in\" resumed\nexit 0");
    until_state(&url, "in", "RUNNING");
    assert_eq!(tidegate(&["connector", "delete", "in"]), "connector \"in\" deleted\nexit 0");
    let gone = tidegate(&["connector", "status", "in"]);
    assert!(gone.starts_with("error: the status of connector \"in\" cannot be read\n"), "{gone}");
    assert!(tidegate(&["plugin", "list"]).contains("FileStreamSource, FileStreamSink"));
    assert_eq!(dev.terminate(), Some(0));
}

#[test]
fn what_runs_goes_on_after_a_crash() {
    let place = Place::new();
    place.write("in.txt", "one\ntwo\n");
    let (mut dev, url) = start(&place);
    create(&url, source());
    create(
        &url,
        json!({"name": "out", "config": {
        "connector.class": "FileStreamSink", "topics": "t", "file": "out.txt",
        "value.converter": "org.apache.kafka.connect.storage.StringConverter"}}),
    );
    until("both lines arrive", || lines(&place.path("out.txt")) == ["one", "two"]);
    let cluster = |url: &str| request("GET", url, b"").1["kafka_cluster_id"].as_str().unwrap().to_owned();
    let before = cluster(&url);
    assert!(!before.is_empty());
    dev.kill();

    place.write("in.txt", "one\ntwo\nthree\n");
    let (dev, url) = start(&place);
    until_state(&url, "in", "RUNNING");
    assert_eq!(cluster(&url), before, "the same Kafka");
    until("the new line arrives", || lines(&place.path("out.txt")).last().is_some_and(|line| line == "three"));
    for line in ["one", "two", "three"] {
        assert!(lines(&place.path("out.txt")).iter().any(|shown| shown == line), "{line} is lost");
    }
    assert_eq!(dev.terminate(), Some(0));
}

#[test]
fn a_plugin_is_made_built_checked_pushed_and_used_in_a_chain() {
    let place = Place::new();
    let sdk = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sdk/rust");
    let tidegate = |arguments: &[&str]| {
        let output = place.run(arguments);
        let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "tidegate {arguments:?}\n{stdout}{stderr}");
        stdout
    };
    tidegate(&["plugin", "new", "--lang", "rust", "say-hello", "--sdk", sdk]);
    // The crates that the checkout uses, so that nothing has to be resolved anew.
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock");
    std::fs::copy(lock, place.path("say-hello/Cargo.lock")).unwrap();
    assert!(Command::new("cargo").arg("--version").status().is_ok_and(|status| status.success()));
    let built = tidegate(&["plugin", "build", "say-hello"]);
    let component = built.lines().next_back().unwrap().rsplit_once(" (").unwrap().0.to_owned();

    let checked = tidegate(&["plugin", "check", &component]);
    assert!(checked.starts_with("say-hello 0.1.0\n"), "{checked}");
    assert!(checked.contains("transform SayHello\n    field (string)\n"), "{checked}");

    place.write("in.txt", "{\"id\":1}\n");
    let (mut dev, url) = start(&place);
    let pushed = tidegate(&["plugin", "push", &component, "--url", &url]);
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
