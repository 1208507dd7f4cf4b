//! `tasks.restart.*` as an operator sees it.

use serde_json::json;

use crate::dev::{create, start};
use crate::process::{Place, until};
use crate::rest::request;

#[test]
fn a_task_that_fails_again_and_again_is_restarted_as_often_as_it_may_be_and_then_stays_failed() {
    let place = Place::new();
    place.write("in.txt", "not json\n");
    let (dev, url) = start(&place);
    let string = "org.apache.kafka.connect.storage.StringConverter";
    create(
        &url,
        json!({"name": "in", "config": {
            "connector.class": "FileStreamSource", "file": "in.txt", "topic": "t", "value.converter": string}}),
    );
    create(
        &url,
        json!({"name": "out", "config": {
            "connector.class": "FileStreamSink", "topics": "t", "file": "out.txt", "value.converter": "JsonConverter",
            "tasks.restart.enable": "true", "tasks.restart.max.attempts": "2", "tasks.restart.delay.ms": "50"}}),
    );
    let status = || request("GET", &format!("{url}/connectors/out/status"), b"").1;
    until("it has given up", || {
        let task = &status()["tasks"][0];
        task["state"] == "FAILED" && task["restarts"] == json!({"attempts": 2, "max_attempts": 2})
    });
    let shown = place.transcript(&["connector", "status", "out", "--url", &url]);
    assert!(shown.contains("restarted 2 times") && shown.contains("Tolerance exceeded"), "{shown}");

    // With another configuration, and so by hand, it begins anew.
    let mended = json!({
        "connector.class": "FileStreamSink", "topics": "t", "file": "out.txt", "value.converter": string,
        "tasks.restart.enable": "true"});
    request("PUT", &format!("{url}/connectors/out/config"), mended.to_string().as_bytes());
    until("the line is there", || place.read("out.txt") == "not json\n");
    assert_eq!(status()["tasks"][0]["restarts"], json!(null));
    assert_eq!(dev.terminate(), Some(0));
}
