//! `POST /plugins`, when it is not the component that is wrong, and when there are many at once.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::dev::start;
use crate::plugin::build;
use crate::process::{DEADLINE, Place};
use crate::rest::request;

#[test]
fn what_the_worker_cannot_keep_is_its_own_fault_and_taken_once_it_can() {
    let place = Place::new();
    let component = build(&place, concat!(env!("CARGO_MANIFEST_DIR"), "/../../sdk/rust/examples/hello-converter"));
    let component = std::fs::read(component).unwrap();
    let (dev, url) = start(&place);
    let upload = || request("POST", &format!("{url}/plugins"), &component);
    // The plugins in the box are loaded before anything is taken in; this one is none.
    let (status, answer) = request("POST", &format!("{url}/plugins"), b"no component");
    assert_eq!((status, &answer["error_code"]), (422, &422.into()), "{answer:#}");

    // A file where the folder was: nothing can be kept there, whoever runs this.
    let plugins = place.path(".tidegate/plugins");
    std::fs::rename(&plugins, place.path("aside")).unwrap();
    std::fs::write(&plugins, "").unwrap();
    let (status, answer) = upload();
    assert_eq!((status, &answer["error_code"]), (503, &503.into()), "{answer:#}");
    assert!(answer["message"].as_str().unwrap().starts_with("the plugin cannot be stored in "), "{answer:#}");

    std::fs::remove_file(&plugins).unwrap();
    std::fs::rename(place.path("aside"), &plugins).unwrap();
    let (status, answer) = upload();
    assert_eq!((status, &answer["name"]), (201, &"hello-converter".into()), "{answer:#}");
    assert_eq!(dev.terminate(), Some(0));
}

#[test]
fn a_third_upload_waits_until_one_of_two_is_through() {
    let place = Place::new();
    let (dev, url) = start(&place);
    let host = url.strip_prefix("http://").unwrap();
    // Announces ten bytes and sends one.
    let begin = || {
        let mut stream = TcpStream::connect(host).unwrap();
        let head =
            format!("POST /plugins HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: 10\r\n\r\nn");
        stream.write_all(head.as_bytes()).unwrap();
        stream
    };
    let status = |mut stream: TcpStream| {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    // Connections are taken in order: when a later one is answered, these two have their turns.
    let (mut first, second) = (begin(), begin());
    assert_eq!(request("GET", &format!("{url}/plugins"), b"").0, 200);

    let mut third = begin();
    third.write_all(b"o plugin.").unwrap();
    third.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let early = third.read(&mut [0; 1]);
    assert!(early.is_err(), "the third was answered before its turn: {early:?}");

    first.write_all(b"o plugin.").unwrap();
    assert_eq!(status(first), "422");
    assert_eq!(status(third), "422", "its turn has come");
    drop(second);
    assert_eq!(dev.terminate(), Some(0));
}
