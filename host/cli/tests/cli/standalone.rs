//! `tidegate standalone`: connectors from files, offsets in a file, on the broker that `tidegate broker` starts.

use crate::process::{Place, lines, until};
use crate::rest::{request, until_state};

#[test]
fn files_say_what_runs_and_offsets_survive_a_restart() {
    let place = Place::new();
    let mut broker = place.start(&["broker", "--listen", "127.0.0.1:0"]);
    let kafka = broker.line("Kafka");
    place.write(
        "w.properties",
        format!(
            "bootstrap.servers={kafka}\nlisteners=http://127.0.0.1:0\n\
             key.converter=org.apache.kafka.connect.storage.StringConverter\n\
             value.converter=org.apache.kafka.connect.storage.StringConverter\n\
             offset.storage.file.filename=offsets\noffset.flush.interval.ms=100\n"
        ),
    );
    place.write("source.properties", "name=in\nconnector.class=FileStreamSource\nfile=in.txt\ntopic=t\n");
    place.write(
        "sink.json",
        r#"{"name": "out", "config": {"connector.class": "FileStreamSink", "topics": "t", "file": "out.txt"}}"#,
    );
    place.write("in.txt", "one\ntwo\n");
    let arguments = ["standalone", "w.properties", "source.properties", "sink.json"];

    let mut worker = place.start(&arguments);
    let url = worker.line("REST");
    until_state(&url, "in", "RUNNING");
    until("both lines arrive", || lines(&place.path("out.txt")) == ["one", "two"]);
    assert_eq!(worker.terminate(), Some(0));
    assert!(place.read("offsets").contains("in.txt"), "{}", place.read("offsets"));

    place.write("in.txt", "one\ntwo\nthree\n");
    let mut worker = place.start(&arguments[..3]);
    let url = worker.line("REST");
    until_state(&url, "in", "RUNNING");
    assert_eq!(request("GET", &format!("{url}/connectors"), b"").1, serde_json::json!(["in"]));
    assert_eq!(worker.terminate(), Some(0));
    let mut worker = place.start(&arguments);
    worker.line("REST");
    until("the new line arrives", || lines(&place.path("out.txt")).len() >= 3);
    assert_eq!(lines(&place.path("out.txt")), ["one", "two", "three"]);
}

#[test]
fn a_connector_that_is_refused_ends_the_worker() {
    let place = Place::new();
    let mut broker = place.start(&["broker", "--listen", "127.0.0.1:0"]);
    let kafka = broker.line("Kafka");
    place.write(
        "w.properties",
        format!(
            "bootstrap.servers={kafka}\nlisteners=http://127.0.0.1:0\n\
             key.converter=org.apache.kafka.connect.storage.StringConverter\n\
             value.converter=org.apache.kafka.connect.storage.StringConverter\n\
             offset.storage.file.filename=offsets\n"
        ),
    );
    place.write("c.properties", "name=in\nconnector.class=FileStreamSource\nfile=in.txt\n");
    let shown = place.transcript(&["standalone", "w.properties", "c.properties"]);
    assert!(shown.contains("error: connector \"in\" was refused\n"), "{shown}");
    assert!(shown.contains("\"topic\""), "{shown}");
    assert!(shown.ends_with("exit 1"), "{shown}");
}
