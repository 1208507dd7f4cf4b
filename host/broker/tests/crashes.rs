//! What a broker that was killed, or that could not write, has kept: all that it acknowledged, and nothing torn.

mod support;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};

use support::{Client, NOBODY, batch, broker, stop};

const CHILD: &str = "child_process_that_runs_a_broker";

/// Runs a broker when the other tests start this executable once more, with a directory as an argument; as a test of
/// its own it has nothing to do.
#[test]
fn child_process_that_runs_a_broker() {
    let Some(dir) = env::args().find_map(|arg| arg.strip_prefix("dir=").map(PathBuf::from)) else { return };
    let broker = broker(&dir, |_| {});
    fs::write(dir.join("address.new"), broker.address().to_string()).unwrap();
    fs::rename(dir.join("address.new"), dir.join("address")).unwrap();
    loop {
        thread::park();
    }
}

/// A broker in a process of its own, which is killed (as by `kill -9`) when this is dropped.
struct Victim(Child);

impl Victim {
    /// Starts one. `limit_blocks` bounds the size of each file that it writes (512 bytes each).
    fn start(dir: &Path, limit_blocks: Option<u32>) -> (Victim, SocketAddr) {
        let _ = fs::remove_file(dir.join("address"));
        let limit = limit_blocks.map_or("unlimited".to_owned(), |blocks| blocks.to_string());
        let mut command = Command::new("sh");
        // A file that is too large is an error of the write, not a signal.
        command.args(["-c", "trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"", "sh", &limit]);
        command.arg(env::current_exe().unwrap()).args(["--exact", CHILD]).arg(format!("dir={}", dir.display()));
        let victim = Victim(command.stdout(Stdio::null()).spawn().unwrap());
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Ok(address) = fs::read_to_string(dir.join("address")) {
                return (victim, address.parse().unwrap());
            }
            assert!(Instant::now() < deadline, "the child does not come up");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_broker_that_is_killed_keeps_every_acknowledged_record() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        let (victim, address) = Victim::start(dir.path(), None);
        Client::connect(address).create("t", 1, &[("segment.bytes", "20000")]);
        let (sender, receiver) = mpsc::channel();
        let producing = thread::spawn(move || {
            let mut client = Client::connect(address);
            for number in 0.. {
                let value = format!("k={round}-{number}");
                match client.try_produce("t", batch(&[&value], NOBODY), None) {
                    Ok(answer) => {
                        assert_eq!(answer.error_code, 0);
                        sender.send(format!("{}:{value}", answer.base_offset)).unwrap();
                    }
                    Err(_) => return,
                }
            }
        });
        acknowledged.extend(receiver.iter().take(500));
        drop(victim);
        producing.join().unwrap();
        acknowledged.extend(receiver.try_iter());
    }
    let survivor = broker(dir.path(), |_| {});
    let records = Client::connect(survivor.address()).read("t", 0, false);
    let missing: Vec<_> = acknowledged.iter().filter(|record| !records.contains(record)).collect();
    assert!(missing.is_empty(), "{} of {} are missing: {missing:?}", missing.len(), acknowledged.len());
    // At most one record a round was written and not acknowledged any more.
    assert!(records.len() <= acknowledged.len() + 3, "{} records, {} acknowledged", records.len(), acknowledged.len());
    stop(survivor);
}

#[test]
fn a_write_that_fails_is_an_error_for_the_client_and_leaves_nothing_torn() {
    const STORAGE_ERROR: i16 = 56;
    let dir = tempfile::tempdir().unwrap();
    let (victim, address) = Victim::start(dir.path(), Some(40));
    let mut client = Client::connect(address);
    assert_eq!(client.create("t", 1, &[]), 0);
    let value = format!("k={}", "v".repeat(1_000));
    let mut acknowledged = 0;
    let error = loop {
        match client.produce("t", batch(&[&value], NOBODY)) {
            (0, offset) => {
                assert_eq!(offset, acknowledged);
                acknowledged += 1;
            }
            (error, _) => break error,
        }
        assert!(acknowledged < 1_000, "the limit is not met");
    };
    assert_eq!(error, STORAGE_ERROR);
    assert_eq!(client.produce("t", batch(&[&value], NOBODY)).0, STORAGE_ERROR, "and the broker still answers");
    assert_eq!(client.produce("t", batch(&["small=1"], NOBODY)), (0, acknowledged), "what fits goes in");
    assert_eq!(client.read("t", 0, false).len() as i64, acknowledged + 1);
    drop(victim);
    let survivor = broker(dir.path(), |_| {});
    let mut client = Client::connect(survivor.address());
    assert_eq!(client.read("t", 0, false).len() as i64, acknowledged + 1);
    assert_eq!(client.produce("t", batch(&[&value], NOBODY)), (0, acknowledged + 1));
    stop(survivor);
}
