//! A plugin that does what its configuration says, once per call: the key `do` names a behaviour, most of them bad.
//!
//! It is a source, a sink, a transform and a predicate at once, so that every import is there to be misused from any of
//! them. A behaviour answers a text, or the error it was given.

mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit",
        inline: "
            package tidegate:misbehaving;

            world guest {
                include tidegate:connect/source-plugin@0.1.0;
                include tidegate:connect/sink-plugin@0.1.0;
                include tidegate:connect/transform-plugin@0.1.0;
                include tidegate:connect/predicate-plugin@0.1.0;
            }
        ",
        world: "tidegate:misbehaving/guest",
        generate_all,
    });
    use super::Guest;
    export!(Guest);
}

use bindings::exports::tidegate::connect::{plugin, predicate, sink, source, transform};
use bindings::tidegate::connect::types::TopicPartition;
use bindings::tidegate::connect::types::{Config, Error, Payload, Place, Plan, Position, Problem, Retry, SourceOffset};
use bindings::tidegate::connect::{http, log, metrics, net, offsets, schemas, sink_context};
use std::cell::RefCell;
use std::hint::black_box;
use std::io::{Read, Write};

struct Guest;

thread_local! {
    static CONFIG: RefCell<Config> = const { RefCell::new(Vec::new()) };
    static KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

fn key(name: &str) -> String {
    CONFIG
        .with_borrow(|config| config.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()))
        .unwrap_or_default()
}

fn number(name: &str) -> u64 {
    key(name).parse().unwrap_or(0)
}

/// Work that the compiler cannot leave out.
fn spin(rounds: u64) -> u64 {
    let mut state = 1_u64;
    for round in 0..rounds {
        state = black_box(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(round));
    }
    state
}

fn recurse(depth: u64) -> u64 {
    let here = black_box([depth; 16]);
    if depth == u64::MAX { 0 } else { recurse(depth + 1) + here[3] }
}

fn act() -> Result<String, String> {
    let text = |error: std::io::Error| error.to_string();
    match key("do").as_str() {
        "" => Ok("nothing".to_owned()),
        "trap" => std::process::abort(),
        "panic" => panic!("no such table: orders"),
        "exit" => std::process::exit(3),
        "loop" => loop {
            spin(1_000);
        },
        "slow" => Ok(spin(number("rounds")).to_string()),
        "memory-bomb" => loop {
            KEPT.with_borrow_mut(|kept| kept.push(vec![1; 1 << 20]));
        },
        "memory-polite" => {
            let mut kept: Vec<Vec<u8>> = Vec::new();
            loop {
                let mut more = Vec::new();
                if more.try_reserve_exact(1 << 20).is_err() {
                    return Ok(format!("{} MiB", kept.len()));
                }
                more.resize(1 << 20, 1);
                kept.push(more);
            }
        }
        "keep" => {
            let bytes = usize::try_from(number("bytes")).unwrap_or(0);
            KEPT.with_borrow_mut(|kept| kept.push(vec![1; bytes]));
            Ok("kept".to_owned())
        }
        "recurse" => Ok(recurse(0).to_string()),
        "log-flood" => {
            for line in 0..number("lines") {
                log::log(log::Level::Info, &format!("line {line}"));
            }
            Ok("logged".to_owned())
        }
        "log-long" => {
            log::log(log::Level::Info, &"x".repeat(100_000));
            Ok("logged".to_owned())
        }
        "stdout-flood" => {
            for line in 0..number("lines") {
                println!("line {line} of many");
            }
            Ok("printed".to_owned())
        }
        "metric-flood" => {
            for name in 0..number("names") {
                metrics::add(&format!("m{name}"), 1.0);
            }
            Ok("counted".to_owned())
        }
        "schema-flood" => {
            for number in 0..number("schemas") {
                schemas::define(&format!("{{\"type\":\"string\",\"optional\":false,\"version\":{number}}}"))?;
            }
            Ok("defined".to_owned())
        }
        "offsets" => offsets::load(&[r#"{"file":"a"}"#.to_owned()])
            .map(|found| format!("{found:?}"))
            .map_err(|e| format!("{e:?}")),
        "http" => {
            let headers = vec![("x-test".to_owned(), "1".to_owned())];
            let request = http::HttpRequest {
                method: "GET".to_owned(),
                url: key("url"),
                headers,
                body: Vec::new(),
                timeout_ms: 0,
            };
            let response = http::request(&request).map_err(|error| format!("{error:?}"))?;
            Ok(format!("{} {}", response.status, String::from_utf8_lossy(&response.body)))
        }
        "net" => {
            let port = u16::try_from(number("port")).unwrap_or(0);
            let connection =
                net::connect(&key("host"), port, key("tls") == "true", 5_000).map_err(|e| format!("{e:?}"))?;
            connection.write(b"hello", 1_000).map_err(|error| format!("{error:?}"))?;
            let wait = match key("wait").as_str() {
                "" => 10_000,
                wait => wait.parse().map_err(|_| "wait is a number".to_owned())?,
            };
            let bytes = connection.read(100, wait).map_err(|error| format!("{error:?}"))?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        "net-many" => {
            let port = u16::try_from(number("port")).unwrap_or(0);
            let mut open = Vec::new();
            loop {
                open.push(
                    net::connect(&key("host"), port, false, 5_000)
                        .map_err(|error| format!("{} {error:?}", open.len()))?,
                );
            }
        }
        "socket" => {
            let mut stream = std::net::TcpStream::connect(key("address")).map_err(text)?;
            stream.write_all(b"hello").map_err(text)?;
            let mut bytes = [0; 100];
            let count = stream.read(&mut bytes).map_err(text)?;
            Ok(String::from_utf8_lossy(&bytes[..count]).into_owned())
        }
        "udp" => std::net::UdpSocket::bind("0.0.0.0:0").map(|_| "bound".to_owned()).map_err(text),
        "listen" => std::net::TcpListener::bind(key("address")).map(|_| "listening".to_owned()).map_err(text),
        "resolve" => {
            use std::net::ToSocketAddrs;
            let found = (key("host").as_str(), 80).to_socket_addrs().map_err(text)?;
            Ok(format!("{} addresses", found.count()))
        }
        "env" => Ok(format!("{:?} {:?}", std::env::vars().collect::<Vec<_>>(), std::env::args().collect::<Vec<_>>())),
        "stdin" => {
            let mut all = String::new();
            std::io::stdin().read_to_string(&mut all).map_err(text)?;
            Ok(format!("{} bytes", all.len()))
        }
        "read" => std::fs::read_to_string(key("path")).map_err(text),
        "write" => std::fs::write(key("path"), "written").map(|()| "written".to_owned()).map_err(text),
        "append" => {
            let mut file = std::fs::OpenOptions::new().append(true).create(true).open(key("path")).map_err(text)?;
            file.write_all(b"more\n").map(|()| "appended".to_owned()).map_err(text)
        }
        "list" => {
            let entries = std::fs::read_dir(key("path")).map_err(text)?;
            let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
            let mut names: Vec<String> = names.collect();
            names.sort();
            Ok(names.join(" "))
        }
        "remove" => std::fs::remove_file(key("path")).map(|()| "removed".to_owned()).map_err(text),
        "rename" => std::fs::rename(key("path"), key("to")).map(|()| "renamed".to_owned()).map_err(text),
        "lock" => {
            let lock = || std::fs::create_dir(key("path"));
            let again = || lock().map_err(|error| error.kind());
            Ok(format!("{:?} {:?} {:?} {:?}", again(), again(), std::fs::remove_dir(key("path")).is_ok(), again()))
        }
        "link" => std::fs::hard_link(key("path"), key("to")).map(|()| "linked".to_owned()).map_err(text),
        "files-many" => {
            let mut open = Vec::new();
            loop {
                open.push(std::fs::File::open(key("path")).map_err(text)?);
            }
        }
        "pause" => {
            let partition = TopicPartition { topic: "t".to_owned(), partition: 0 };
            sink_context::pause(&[partition])?;
            sink_context::request_commit()?;
            sink_context::request_commit()?;
            Ok("asked".to_owned())
        }
        other => Err(format!("no behaviour \"{other}\"")),
    }
}

fn fail(why: String) -> Error {
    match why.as_str() {
        "retriable" => Error::Retriable(Retry { message: why, after_ms: 70 }),
        "connection-lost" => Error::ConnectionLost(why),
        "end" => Error::EndOfInput,
        _ => Error::Fatal(why),
    }
}

fn configure(config: Config) -> Result<(), Error> {
    CONFIG.set(config);
    match key("fail").as_str() {
        "" => Ok(()),
        "config" => Err(Error::InvalidConfig(Problem { key: "fail".to_owned(), message: "told to fail".to_owned() })),
        other => Err(fail(other.to_owned())),
    }
}

impl plugin::Guest for Guest {
    fn describe() -> String {
        let definition =
            |kind: &str, name: &str| format!(r#"{{"kind":"{kind}","name":"{name}","doc":"Misbehaves.","config":[]}}"#);
        let definitions = [("source", "BadSource"), ("sink", "BadSink"), ("transform", "Bad"), ("predicate", "IsBad")];
        let definitions: Vec<String> = definitions.iter().map(|(kind, name)| definition(kind, name)).collect();
        format!(
            r#"{{"name":"misbehaving","version":"0.1.0","author":"Tidegate","license":"Apache-2.0","description":"Does what it is told.","definitions":[{}]}}"#,
            definitions.join(",")
        )
    }
}

impl transform::Guest for Guest {
    fn validate(_: String, _: Config) -> Vec<Problem> {
        Vec::new()
    }

    fn configure(_: String, config: Config) -> Result<Plan, Error> {
        configure(config)?;
        Ok(Plan { read: Vec::new(), write: Vec::new() })
    }

    fn reshape(_: String, _: Place, _: String) -> Result<Option<String>, Error> {
        Ok(None)
    }

    fn apply(_: String, columns: Payload) -> Result<Payload, Error> {
        match key("do").as_str() {
            "echo" => Ok(columns),
            "nothing" => Ok(Payload::Arena(Vec::new())),
            "garbage" => Ok(Payload::Arena(vec![0xA5; 1_000])),
            "large" => Ok(Payload::Arena(vec![0; usize::try_from(number("bytes")).unwrap_or(0)])),
            // Edits of no records: what the upload gate expects of a transform without settings.
            "" => {
                let mut edits = b"TGE1\x01\0\0\0".to_vec();
                for word in [0_u32, 40, 0, 0, 0, 0, 0, 0] {
                    edits.extend_from_slice(&word.to_le_bytes());
                }
                Ok(Payload::Arena(edits))
            }
            _ => act().map(Payload::Json).map_err(fail),
        }
    }
}

impl predicate::Guest for Guest {
    fn validate(_: String, _: Config) -> Vec<Problem> {
        Vec::new()
    }

    fn configure(_: String, config: Config) -> Result<Plan, Error> {
        configure(config)?;
        Ok(Plan { read: Vec::new(), write: Vec::new() })
    }

    fn test(_: String, _: Payload) -> Result<Vec<u8>, Error> {
        Ok(Vec::new())
    }
}

impl source::Guest for Guest {
    fn validate(_: String, config: Config) -> Vec<Problem> {
        let has_none = config.is_empty();
        has_none.then(|| Problem { key: "do".to_owned(), message: "is missing".to_owned() }).into_iter().collect()
    }

    fn exactly_once_support(_: String, _: Config) -> source::ExactlyOnce {
        source::ExactlyOnce::Unsupported
    }

    fn task_configs(_: String, config: Config, tasks_max: u32) -> Result<Vec<Config>, Error> {
        Ok(vec![config; usize::try_from(tasks_max).unwrap_or(1)])
    }

    fn refresh(_: String, _: Config) -> Result<bool, Error> {
        Ok(false)
    }

    fn alter_offsets(_: String, _: Config, _: Vec<SourceOffset>) -> Result<bool, Error> {
        Ok(false)
    }

    fn start(_: String, config: Config) -> Result<(), Error> {
        configure(config)
    }

    fn poll(_: String, _: u32, _: u32, _: u32) -> Result<Payload, Error> {
        act().map(Payload::Json).map_err(fail)
    }

    fn commit(_: String, _: Vec<SourceOffset>) -> Result<(), Error> {
        Ok(())
    }

    fn stop(_: String) -> Result<(), Error> {
        Ok(())
    }
}

impl sink::Guest for Guest {
    fn validate(_: String, _: Config) -> Vec<Problem> {
        Vec::new()
    }

    fn task_configs(_: String, config: Config, tasks_max: u32) -> Result<Vec<Config>, Error> {
        Ok(vec![config; usize::try_from(tasks_max).unwrap_or(1)])
    }

    fn alter_offsets(_: String, _: Config, _: Vec<sink::NewOffset>) -> Result<bool, Error> {
        Ok(false)
    }

    fn start(_: String, config: Config) -> Result<(), Error> {
        configure(config)
    }

    fn open(_: String, partitions: Vec<TopicPartition>) -> Result<Vec<Position>, Error> {
        let at = |p: TopicPartition| Position { topic: p.topic, partition: p.partition, next_offset: 7 };
        Ok(partitions.into_iter().map(at).collect())
    }

    fn put(_: String, _: Payload) -> Result<sink::Outcome, Error> {
        act().map_err(fail)?;
        Ok(sink::Outcome { rejected: Vec::new(), retry_from: None, retry_after_ms: 0 })
    }

    fn pre_commit(_: String) -> Result<Option<Vec<Position>>, Error> {
        Ok(None)
    }

    fn close(_: String, _: Vec<TopicPartition>) -> Result<(), Error> {
        Ok(())
    }

    fn stop(_: String) -> Result<(), Error> {
        Ok(())
    }
}
