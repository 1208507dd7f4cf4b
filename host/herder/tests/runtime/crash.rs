//! The journal under a process that is killed and under a disk that is full. Both happen to a child: this test program
//! itself, told by an environment variable to play the victim.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};
use tidegate_herder::{Error, Handle, Journal, Settings, Target, start};

use crate::host::{FakeHost, config};

/// Tells the child where its data directory is.
const VICTIM_DIR: &str = "TIDEGATE_TEST_VICTIM_DIR";

async fn open(dir: &Path) -> Handle {
    start(Settings::new("test", "w"), Journal::open(dir).unwrap(), FakeHost::default()).await.unwrap().0
}

/// This program as a child that runs `test` only, behind `before` of a shell.
fn child(test: &str, before: &str, dir: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{before} exec \"$0\" --exact crash::{test} --nocapture")]);
    command.arg(std::env::current_exe().unwrap());
    command.env(VICTIM_DIR, dir).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// What a child printed: the names of acknowledged connectors.
fn acknowledged(line: &str) -> Option<String> {
    line.split("acknowledged ").nth(1).map(str::to_owned)
}

#[expect(clippy::print_stdout, reason = "the parent reads what was acknowledged from the child's output")]
async fn create(handle: &Handle, name: &str, filler_bytes: usize) -> Result<(), Error> {
    let config = config(&format!("tasks=1 filler={}", "x".repeat(filler_bytes)));
    handle.create_connector(name, config, Target::Running).await?;
    println!("acknowledged {name}");
    Ok(())
}

#[tokio::test]
async fn whatever_was_acknowledged_survives_kill_9() {
    if let Some(dir) = std::env::var_os(VICTIM_DIR) {
        let handle = open(Path::new(&dir)).await;
        for number in 0.. {
            create(&handle, &format!("c{number}"), 10).await.unwrap();
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let mut child = child("whatever_was_acknowledged_survives_kill_9", "", dir.path()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut names: Vec<String> = lines.by_ref().filter_map(|line| acknowledged(&line)).take(20).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    names.extend(lines.filter_map(|line| acknowledged(&line)));

    let handle = open(dir.path()).await;
    let kept = handle.connectors().await.unwrap();
    let lost: Vec<_> = names.iter().filter(|name| !kept.contains(name)).collect();
    assert!(names.len() >= 20);
    assert_eq!(lost, [] as [&String; 0]);
    assert!(kept.len() <= names.len() + 1, "one more may have been stored without its answer");
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "the parent reads what was acknowledged from the child's output")]
async fn a_full_disk_refuses_writes_until_there_is_room_and_loses_nothing() {
    if let Some(dir) = std::env::var_os(VICTIM_DIR) {
        let handle = open(Path::new(&dir)).await;
        let mut number = 0;
        let refused = loop {
            match create(&handle, &format!("c{number}"), 5_000).await {
                Ok(()) => number += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(&refused, Error::Unavailable { message } if message.contains("appending")), "{refused:?}");
        assert_eq!(handle.connectors().await.unwrap().len(), number);
        println!("refused after {number}");
        setrlimit(Resource::Fsize, Rlimit { current: None, maximum: None }).unwrap();
        while create(&handle, "late", 5_000).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // Until the child says otherwise, no file may have more than 100 blocks of 512 bytes.
    let limit = "trap '' XFSZ; ulimit -S -f 100;";
    let output =
        child("a_full_disk_refuses_writes_until_there_is_room_and_loses_nothing", limit, dir.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let names: Vec<String> = text.lines().filter_map(acknowledged).collect();
    assert!(output.status.success() && text.contains(&format!("refused after {}", names.len() - 1)), "{text}");

    let mut kept = open(dir.path()).await.connectors().await.unwrap();
    kept.sort_by_key(|name| name[1..].parse::<u32>().unwrap_or(u32::MAX));
    assert_eq!(kept, names);
    assert_eq!(kept.last().map(String::as_str), Some("late"), "room again, and decisions are stored again");
}
