//! What a converter makes of answers that a real registry seldom gives: refusals, delays, halves.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate_config::Settings;
use tidegate_record::SchemaTable;
use tidegate_record::value::JsonOptions;
use tidegate_record::view::{Converter, Converters, HeaderConverter, Message, Side, View, Workspace};
use tidegate_registry::{Config, Format, Reader, Registry, RegistryError};

const BYTES: Converters =
    Converters { key: Converter::Bytes, value: Converter::Bytes, header: HeaderConverter::As(Converter::Bytes) };
const STRING: &str = r#"{"schema":"\"string\""}"#;

/// What a request is answered with, given its line.
type Answer = Box<dyn Fn(&str) -> Vec<u8> + Send>;

/// The address that a converter is told, made of the server's.
type UrlOf<'f> = &'f dyn Fn(&str) -> String;
/// With settings, and what the request's head must have.
type Case<'f> = (UrlOf<'f>, &'f [(&'f str, &'f str)], &'f str);

/// A server whose address this is, and the heads of all requests that it got.
fn server(answer: Answer) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = heads.clone();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { return };
            let mut reader = BufReader::new(connection.try_clone().expect("a second handle"));
            let mut head = String::new();
            while reader.read_line(&mut head).is_ok_and(|read| read > 2) {}
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            let mut body = vec![0; length.unwrap_or(0)];
            let _ = reader.read_exact(&mut body);
            let answer = answer(head.lines().next().unwrap_or_default());
            seen.lock().expect("no panic").push(head);
            let _ = connection.write_all(&answer);
        }
    });
    (url, heads)
}

fn answer(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()).into_bytes()
}

/// One that says the same whatever it is asked.
fn always(status: &'static str, body: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    server(Box::new(move |_| answer(status, body)))
}

fn reader(url: &str, more: &[(&str, &str)]) -> Reader {
    let mut settings: Settings = [("schema.registry.url", url), ("http.read.timeout.ms", "300")].into_iter().collect();
    settings.extend(more.iter().copied());
    let config = Config::check(Format::Avro, &settings).expect("settings that are right");
    Reader::new(Arc::new(Registry::new(config).expect("a client")), Side::Value)
}

/// Reads one record whose value is these bytes: the value as JSON, or why the record fails.
async fn read(reader: &mut Reader, bytes: &[u8]) -> Result<String, RegistryError> {
    let mut schemas = SchemaTable::default();
    let mut view = View::new(Workspace::default(), JsonOptions::default());
    let message = Message {
        topic: "orders",
        partition: 0,
        offset: 0,
        timestamp: 0,
        append_time: false,
        key: None,
        value: Some(bytes),
        headers: &[],
    };
    view.push(message, &BYTES, &mut schemas);
    reader.prepare(&view).await?;
    let mut failed = None;
    reader.read(&mut view, &mut schemas, |_, _, message| failed = Some(message));
    Ok(match failed {
        Some(message) => format!("failed: {message}"),
        None => view.tree_of(0, Side::Value, &schemas).value.to_json(),
    })
}

const RECORD: &[u8] = b"\0\0\0\0\x07\x02x";

#[tokio::test]
async fn a_schema_is_asked_for_once() {
    let (url, heads) = server(Box::new(|line| match line.contains("/versions") {
        true => answer("200 OK", r#"[{"subject":"orders-value","version":3}]"#),
        false => answer("200 OK", STRING),
    }));
    let mut reader = reader(&format!("{url}/apis/ccompat/v7/"), &[]);
    for _ in 0..3 {
        assert_eq!(read(&mut reader, RECORD).await.unwrap(), r#""x""#);
    }
    let heads = heads.lock().unwrap();
    let lines: Vec<&str> = heads.iter().filter_map(|head| head.lines().next()).collect();
    assert_eq!(
        lines,
        ["GET /apis/ccompat/v7/schemas/ids/7 HTTP/1.1", "GET /apis/ccompat/v7/schemas/ids/7/versions HTTP/1.1"]
    );
}

#[tokio::test]
async fn what_the_registry_refuses_fails_the_record_and_is_not_asked_for_each() {
    let (url, heads) = always("404 Not Found", r#"{"error_code":40403,"message":"Schema 7 not found"}"#);
    let mut reader = reader(&url, &[]);
    for _ in 0..3 {
        let failed = read(&mut reader, RECORD).await.unwrap();
        assert!(failed.contains("Schema 7 not found") && failed.contains("40403"), "{failed}");
    }
    assert_eq!(heads.lock().unwrap().len(), 1);
    let foreign = read(&mut reader, b"{\"a\":1}").await.unwrap();
    assert!(foreign.contains("Unknown magic byte"), "{foreign}");
}

#[tokio::test]
async fn who_is_not_let_in_is_told_so_and_no_record_is_to_blame() {
    let (url, _) = always("401 Unauthorized", "");
    let refused = read(&mut reader(&url, &[]), RECORD).await.unwrap_err();
    assert!(
        matches!(&refused, RegistryError::Denied(message) if message.contains("basic.auth.user.info")),
        "{refused}"
    );
}

#[tokio::test]
async fn a_registry_that_is_not_well_is_away() {
    let whole = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\nConnection: close\r\n\r\n{\"schema\":";
    let answers: [(&str, Answer); 5] = [
        ("error", Box::new(|_| answer("500 Internal Server Error", "{}"))),
        ("busy", Box::new(|_| answer("429 Too Many Requests", ""))),
        ("half", Box::new(move |_| whole.as_bytes().to_vec())),
        ("login page", Box::new(|_| answer("200 OK", "<html>log in</html>"))),
        (
            "slow",
            Box::new(|_| {
                std::thread::sleep(Duration::from_millis(700));
                answer("200 OK", STRING)
            }),
        ),
    ];
    for (name, answer) in answers {
        let (url, _) = server(answer);
        let error = read(&mut reader(&url, &[]), RECORD).await.unwrap_err();
        assert!(error.is_away(), "{name}: {error}");
    }
}

#[tokio::test]
async fn the_next_address_is_asked_where_one_does_not_answer() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (url, _) = always("200 OK", STRING);
    let mut reader = reader(&format!("http://{nobody},{url}"), &[]);
    // The list of versions is no list: nobody can say the version, and the schema serves without it.
    assert!(read(&mut reader, RECORD).await.is_err_and(|error| error.is_away()));
    let (url, _) = server(Box::new(|line| match line.contains("/versions") {
        true => answer("404 Not Found", "{}"),
        false => answer("200 OK", STRING),
    }));
    let mut reader = self::reader(&format!("http://{nobody},{url}"), &[]);
    assert_eq!(read(&mut reader, RECORD).await.unwrap(), r#""x""#);
}

#[tokio::test]
async fn an_answer_without_end_is_refused() {
    let body = format!("{{\"schema\":\"{}\"}}", " ".repeat(9 << 20));
    let (url, _) = server(Box::new(move |_| answer("200 OK", &body)));
    let failed = read(&mut reader(&url, &[("http.read.timeout.ms", "20000")]), RECORD).await.unwrap();
    assert!(failed.contains("more than 8388608 bytes"), "{failed}");
}

#[tokio::test]
async fn credentials_are_sent_from_wherever_they_stand() {
    let basic = "authorization: basic bwu6cdp3";
    let in_url = |url: &str| url.replace("http://", "http://me:p%3Aw@");
    let cases: [Case<'_>; 4] = [
        (&str::to_owned, &[("basic.auth.credentials.source", "USER_INFO"), ("basic.auth.user.info", "me:p:w")], basic),
        (&in_url, &[], basic),
        (
            &str::to_owned,
            &[
                ("basic.auth.credentials.source", "SASL_INHERIT"),
                ("sasl.jaas.config", "x.PlainLoginModule required username=\"me\" password=\"p:w\";"),
            ],
            basic,
        ),
        (&str::to_owned, &[("bearer.auth.token", "t0k")], "authorization: bearer t0k"),
    ];
    for (url_of, settings, expected) in cases {
        let (url, heads) = always("404 Not Found", "{}");
        let _ = read(&mut reader(&url_of(&url), settings), RECORD).await;
        let head = heads.lock().unwrap()[0].to_lowercase();
        assert!(head.contains(expected), "{head}");
    }
}

#[test]
fn settings_that_cannot_be_honoured_are_told() {
    let check = |more: &[(&str, &str)]| {
        let mut settings: Settings = [("schema.registry.url", "http://a:1")].into_iter().collect();
        settings.extend(more.iter().copied());
        let problems = Config::check(Format::Avro, &settings).expect_err("a problem");
        problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>().join("\n")
    };
    assert!(check(&[("schema.registry.url", "http://me:secret@")]).contains("[hidden]"));
    assert!(check(&[("value.subject.name.strategy", "com.example.S")]).contains("TopicNameStrategy"));
    assert!(check(&[("schema.registry.ssl.truststore.location", "/t.jks")]).contains("only PEM files are read"));
    assert!(check(&[("basic.auth.credentials.source", "USER_INFO")]).contains("basic.auth.user.info"));
    assert!(Config::check(Format::Avro, &Settings::new()).is_err());
}
