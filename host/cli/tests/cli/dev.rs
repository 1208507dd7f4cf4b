//! `tidegate dev`: connectors by REST and by the client commands, a crash in between.

use serde_json::json;

use crate::process::{Place, Running, lines, until};
use crate::rest::{answer, request, until_state};

const DEV: [&str; 5] = ["dev", "--rest", "127.0.0.1:0", "--kafka", "127.0.0.1:0"];

pub(crate) fn start(place: &Place) -> (Running, String) {
    let mut dev = place.start(&DEV);
    let url = dev.line("REST");
    (dev, url)
}

pub(crate) fn create(url: &str, connector: serde_json::Value) {
    let (status, answer) = request("POST", &format!("{url}/connectors"), connector.to_string().as_bytes());
    assert_eq!(status, 201, "{answer:#}");
}

/// Lines of `in.txt` into the topic `t`.
pub(crate) fn source() -> serde_json::Value {
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
fn a_new_connector_is_named_by_its_whole_url() {
    let place = Place::new();
    let (dev, url) = start(&place);
    let connector = json!({"name": "a b", "initial_state": "STOPPED", "config": source()["config"]});
    let (head, _) = answer("POST", &format!("{url}/connectors"), connector.to_string().as_bytes());
    assert!(head.starts_with("HTTP/1.1 201 "), "{head}");
    let location = head.lines().find_map(|line| line.strip_prefix("location: "));
    assert_eq!(location, Some(format!("{url}/connectors/a%20b").as_str()), "{head}");
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
