//! As much of an HTTP client as the tests need.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::process::{DEADLINE, until};

/// One request and its answer: status and body, JSON where it is JSON.
pub(crate) fn request(method: &str, url: &str, body: &[u8]) -> (u16, Value) {
    let (head, body) = answer(method, url, body);
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
}

/// One request, and the head and the body of its answer.
pub(crate) fn answer(method: &str, url: &str, body: &[u8]) -> (String, String) {
    let address = url.strip_prefix("http://").unwrap();
    let (host, path) = address.split_once('/').unwrap_or((address, ""));
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let head = format!(
        "{method} /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "a chunked answer is not read here: {head}");
    (head.to_owned(), body.to_owned())
}

/// Waits until a connector and all its tasks, at least one, are in a state.
#[track_caller]
pub(crate) fn until_state(url: &str, connector: &str, state: &str) {
    until(&format!("{connector} is {state}"), || {
        let (_, status) = request("GET", &format!("{url}/connectors/{connector}/status"), b"");
        let tasks = status["tasks"].as_array().cloned().unwrap_or_default();
        assert!(!status.to_string().contains("FAILED"), "{status:#}");
        status["connector"]["state"] == state && !tasks.is_empty() && tasks.iter().all(|task| task["state"] == state)
    });
}
