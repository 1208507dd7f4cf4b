//! Files, names, sockets, HTTP: denied until granted, and then only what is granted.

use crate::harness::{Attempt, attempt, host_port, path, url};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::symlink;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;
use tidegate_engine::{CallError, Resource};

/// `in.txt`, `secret.txt`, a link `in-link` to the secret one, `dir/a.txt`, and `dir/out` that leads outside.
fn files() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("in.txt"), "granted").unwrap();
    fs::write(at("secret.txt"), "secret").unwrap();
    symlink(at("secret.txt"), at("in-link")).unwrap();
    fs::create_dir(at("dir")).unwrap();
    fs::write(at("dir/a.txt"), "inside").unwrap();
    symlink(at("secret.txt"), at("dir/out")).unwrap();
    symlink("..", at("dir/up")).unwrap();
    directory
}

/// An attempt with `{}` for the directory, which may read `in.txt` and `in-link`, write `out.txt` and all below `dir`.
fn at(directory: &TempDir, behaviour: &str) -> Attempt {
    let root = directory.path();
    attempt(&behaviour.replace("{}", root.to_str().unwrap())).grants(|grants| {
        grants.read_paths = vec![path(&root.join("in.txt")), path(&root.join("in-link"))];
        grants.write_paths = vec![path(&root.join("out.txt")), path(&root.join("dir"))];
    })
}

#[test]
fn nothing_is_there_without_a_grant() {
    attempt("do=env").check("[] []");
    attempt("do=stdin").check("0 bytes");
    attempt("do=read path=/etc/passwd").check("No such file or directory");
    attempt("do=resolve host=localhost").run().error.expect("no names");
    attempt("do=socket address=127.0.0.1:1").run().error.expect("no sockets");
    attempt("do=udp").run().error.expect("no datagrams");
    attempt("do=http url=http://localhost/").check("is not granted; a key of type url must name it");
    attempt("do=net host=localhost port=1").check("is not granted; a key of type host-port or url must name it");
}

#[test]
fn a_granted_file_is_read_and_its_neighbours_are_not() {
    let directory = files();
    at(&directory, "do=read path={}/in.txt").check("granted");
    let outcome = at(&directory, "do=read path={}/secret.txt").check("not permitted");
    assert!(outcome.lines.iter().any(|line| line.contains("secret.txt\" is not granted for reading")));
    at(&directory, "do=list path={}").check("not permitted");
    at(&directory, "do=write path={}/in.txt").check("not permitted");
    at(&directory, "do=remove path={}/in.txt").check("not permitted");
    at(&directory, "do=rename path={}/in.txt to={}/dir/b.txt").check("not permitted");
    assert_eq!(fs::read_to_string(directory.path().join("in.txt")).unwrap(), "granted");
}

#[test]
fn ways_around_a_grant_are_refused() {
    let directory = files();
    for around in ["{}/dir/../secret.txt", "{}/in-link", "{}/dir/out", "{}/dir/up/secret.txt", "/etc/passwd"] {
        let outcome = at(&directory, &format!("do=read path={around}")).run();
        assert!(outcome.error.is_some(), "{around}: {}", outcome.text);
    }
    at(&directory, "do=link path={}/in.txt to={}/dir/b").run().error.expect("no links are made");
}

#[test]
fn a_file_to_write_is_made_under_its_own_name() {
    let directory = files();
    at(&directory, "do=write path={}/out.txt").check("written");
    at(&directory, "do=append path={}/out.txt").check("appended");
    assert_eq!(fs::read_to_string(directory.path().join("out.txt")).unwrap(), "writtenmore\n");
    at(&directory, "do=write path={}/other.txt").check("not permitted");
}

#[test]
fn a_database_is_granted_with_its_journal_and_its_locks_and_nothing_else_beside_it() {
    let directory = files();
    let database = |behaviour: &str| {
        at(&directory, behaviour).grants(|grants| {
            let granted = path(&directory.path().join("x.db"));
            grants.write_paths.push(granted.clone());
            grants.databases.push(granted);
        })
    };
    database("do=write path={}/x.db").check("written");
    database("do=write path={}/x.db-journal").check("written");
    for other in ["x.db-wal", "x.db-shm", "x.db.lock", "x.db-journal2", "in.txt-journal"] {
        database(&format!("do=write path={{}}/{other}")).run().error.expect(other);
    }
    // The lock is the host's: it is held once, can be given back, and nothing of it is on the disk.
    database("do=lock path={}/x.db.lock").check("Ok(()) Err(AlreadyExists) true Ok(())");
    assert!(!directory.path().join("x.db.lock").exists());
    // Without the word "database" in the definition there is neither.
    at(&directory, "do=write path={}/out.txt").check("written");
    at(&directory, "do=write path={}/out.txt-journal").check("not permitted");
    at(&directory, "do=lock path={}/out.txt.lock").check("Err(PermissionDenied)");
}

#[test]
fn a_granted_directory_is_used_with_all_below_it() {
    let directory = files();
    at(&directory, "do=list path={}/dir").check("a.txt");
    at(&directory, "do=write path={}/dir/b.txt").check("written");
    at(&directory, "do=rename path={}/dir/b.txt to={}/dir/c.txt").check("renamed");
    at(&directory, "do=remove path={}/dir/c.txt").check("removed");
    assert_eq!(fs::read_to_string(directory.path().join("secret.txt")).unwrap(), "secret");
}

#[test]
fn relative_names_start_at_the_workers_directory() {
    let directory = files();
    let mut attempt = at(&directory, "do=read path=in.txt");
    attempt.spec.directory = directory.path().to_str().map(str::to_owned);
    attempt.check("granted");
    let mut attempt = at(&directory, "do=read path=dir/a.txt");
    attempt.spec.directory = directory.path().to_str().map(str::to_owned);
    attempt.check("inside");
}

#[test]
fn too_many_open_files_name_their_limit() {
    let directory = files();
    let outcome = at(&directory, "do=files-many path={}/in.txt")
        .limits(|limits| {
            limits.handles = 50;
            limits.call_cpu = Duration::from_secs(5);
        })
        .run();
    let Some(CallError::OverBudget(overrun)) = &outcome.error else { panic!("{}", outcome.text) };
    assert_eq!(overrun.what, Resource::Handles);
    assert_eq!(overrun.limit, 50);
}

/// A server that answers each connection's first bytes with a text, and keeps the connection open.
fn server(answer: &'static str) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            if !answer.is_empty() {
                let _ = stream.read(&mut [0; 1_000]);
                let _ = stream.write_all(answer.as_bytes());
            }
            open.push(stream);
        }
    });
    port
}

#[test]
fn a_granted_host_is_reached_on_its_port_only() {
    let port = server("welcome");
    let ask = |host: &str, port: u16| attempt(&format!("do=net host={host} port={port}"));
    ask("localhost", port).grants(|grants| grants.host_ports = vec![host_port("localhost", port)]).check("welcome");
    ask("localhost", port + 1)
        .grants(|grants| grants.host_ports = vec![host_port("localhost", port)])
        .check("is not granted");
    ask("127.0.0.1", port)
        .grants(|grants| grants.host_ports = vec![host_port("localhost", port)])
        .check("is not granted");
}

#[test]
fn sockets_reach_what_a_granted_name_resolves_to() {
    let port = server("welcome");
    let grant = |attempt: Attempt| attempt.grants(|grants| grants.host_ports = vec![host_port("localhost", port)]);
    grant(attempt(&format!("do=socket address=localhost:{port}"))).check("welcome");
    let other = server("other");
    grant(attempt(&format!("do=socket address=localhost:{other}"))).check("denied");
    grant(attempt(&format!("do=socket address=127.0.0.1:{port}"))).check("denied");
    grant(attempt("do=resolve host=example.com")).run().error.expect("not the name that was granted");
    grant(attempt(&format!("do=listen address=127.0.0.1:{}", port + 1))).run().error.expect("no listening");
    grant(attempt("do=udp")).run().error.expect("no datagrams at all");
}

#[test]
fn private_addresses_are_refused_behind_granted_names() {
    let port = server("welcome");
    let refused = |behaviour: &str| {
        let mut attempt = attempt(behaviour).grants(|grants| {
            grants.host_ports = vec![host_port("localhost", port), host_port("127.0.0.1", port)];
            grants.urls = vec![url("localhost", port), url("127.0.0.1", port)];
        });
        attempt.spec.deny_private_networks = true;
        attempt
    };
    refused(&format!("do=net host=localhost port={port}")).check("sandbox.deny.private.networks");
    refused(&format!("do=net host=127.0.0.1 port={port}")).check("sandbox.deny.private.networks");
    refused(&format!("do=http url=http://localhost:{port}/")).check("sandbox.deny.private.networks");
    refused(&format!("do=http url=http://127.0.0.1:{port}/")).check("sandbox.deny.private.networks");
    refused(&format!("do=socket address=127.0.0.1:{port}")).run().error.expect("refused for sockets too");
    refused(&format!("do=socket address=localhost:{port}")).run().error.expect("refused for sockets too");
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
const MOVED: &str =
    "HTTP/1.1 302 Found\r\nLocation: http://localhost:1/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

#[test]
fn http_reaches_granted_origins_and_follows_nothing() {
    let ask = |port: u16| {
        attempt(&format!("do=http url=http://localhost:{port}/x"))
            .grants(|grants| grants.urls = vec![url("localhost", port)])
    };
    ask(server(OK)).check("200 hello");
    ask(server(MOVED)).check("302");
    ask(server(OK)).limits(|limits| limits.http_response = 4).check("TooLarge");
    let port = server(OK);
    attempt(&format!("do=http url=http://localhost:{port}/"))
        .grants(|grants| grants.urls = vec![url("localhost", port + 1)])
        .check("is not granted");
    attempt("do=http url=file:///etc/passwd").check("has no host");
}

#[test]
fn a_host_call_that_never_returns_meets_the_wall_clock() {
    let port = server("");
    let outcome = attempt(&format!("do=net host=localhost port={port} wait=3600000"))
        .grants(|grants| grants.host_ports = vec![host_port("localhost", port)])
        .limits(|limits| limits.call = Duration::from_millis(300))
        .check("did not answer within 300 ms; sandbox.call.max.ms lifts the limit");
    assert!(matches!(outcome.error, Some(CallError::TimedOut { .. })));
    assert!(outcome.budget.ticks() < 100, "waiting costs no processor time: {:?}", outcome.budget);
}

#[test]
fn connections_are_counted() {
    let port = server("welcome");
    attempt(&format!("do=net-many host=localhost port={port}"))
        .grants(|grants| grants.host_ports = vec![host_port("localhost", port)])
        .limits(|limits| limits.connections = 3)
        .check("3 NetError::Failed(\"the instance \\\"bad-0\\\" has 3 connections open");
}
