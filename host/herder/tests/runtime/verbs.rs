//! What each verb does, and what it says when it does not.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tidegate_herder::{
    ConnectorInfo, Digest, Error, Handle, Journal, PluginManifest, Problem, RunState, Settings, StartError, Target,
    Tenant, start,
};
use tokio::task::JoinHandle;

use crate::host::{FakeHost, config};

pub(crate) struct Herder {
    pub(crate) handle: Handle,
    pub(crate) host: FakeHost,
    ended: JoinHandle<()>,
}

impl Herder {
    pub(crate) async fn start(dir: &Path) -> Herder {
        let host = FakeHost::default();
        let settings = Settings {
            stop_grace: Duration::from_millis(200),
            validate_timeout: Duration::from_secs(2),
            offsets_timeout: Duration::from_secs(2),
            ..Settings::new("test", "localhost:8083")
        };
        let (handle, ended) = start(settings, Journal::open(dir).unwrap(), host.clone()).await.unwrap();
        Herder { handle, host, ended }
    }

    /// Waits until the states of `name` read `expected`: the connector's and then its tasks'.
    pub(crate) async fn until(&self, name: &str, expected: &str) {
        let mut seen = String::new();
        let wait = async {
            loop {
                seen = states(&self.handle, name).await;
                if seen == expected {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(20), wait).await;
        assert!(in_time.is_ok(), "{name} is {seen:?}, not {expected:?}");
    }

    pub(crate) async fn stop(self) {
        self.handle.shutdown().await.unwrap();
        self.ended.await.unwrap();
        assert_eq!(self.host.alive(), [] as [String; 0], "nothing runs any more");
    }
}

async fn states(handle: &Handle, name: &str) -> String {
    let status = handle.status(name).await.unwrap();
    let instances = std::iter::once(&status.connector).chain(&status.tasks);
    instances.map(|instance| instance.state.as_str()).collect::<Vec<_>>().join(" ")
}

fn not_found(message: &str) -> Error {
    Error::NotFound { message: message.to_owned() }
}

#[tokio::test]
async fn a_connector_lives_from_create_to_delete() {
    let dir = tempfile::tempdir().unwrap();
    let herder = Herder::start(dir.path()).await;
    let handle = &herder.handle;

    let created = handle.create_connector("c", config("tasks=2"), Target::Running).await.unwrap();
    assert_eq!((created.name.as_str(), created.tasks, created.config["name"].as_str()), ("c", 0, "c"));
    assert_eq!(created.plugins["connector"], Digest("sha256-of-fake".to_owned()));
    herder.until("c", "RUNNING RUNNING RUNNING").await;
    assert_eq!(handle.connectors().await.unwrap(), ["c"]);
    let info: ConnectorInfo = handle.connector("c").await.unwrap();
    assert_eq!((info.tasks, info.target), (2, Target::Running));
    assert_eq!(handle.task_configs("c").await.unwrap()[1]["task"], "1");
    let status = handle.task_status("c", 1).await.unwrap();
    assert_eq!((status.worker_id.as_str(), status.version.as_deref()), ("localhost:8083", Some("1.0")));

    handle.pause("c").await.unwrap();
    herder.until("c", "PAUSED PAUSED PAUSED").await;
    handle.resume("c").await.unwrap();
    herder.until("c", "RUNNING RUNNING RUNNING").await;
    handle.stop("c").await.unwrap();
    herder.until("c", "STOPPED").await;
    handle.resume("c").await.unwrap();
    herder.until("c", "RUNNING RUNNING RUNNING").await;

    let (created, info) = handle.put_connector("c", config("tasks=1")).await.unwrap();
    assert_eq!((created, info.config["tasks"].as_str()), (false, "1"));
    herder.until("c", "RUNNING RUNNING").await;

    handle.delete_connector("c").await.unwrap();
    assert_eq!(handle.connectors().await.unwrap(), [] as [String; 0]);
    let (created, _) = handle.put_connector("c", config("tasks=3")).await.unwrap();
    assert!(created);
    herder.until("c", "RUNNING RUNNING RUNNING RUNNING").await;
    assert_eq!(herder.host.alive().len(), 4, "the runs of the deleted connector are gone");
    herder.stop().await;
}

#[tokio::test]
async fn a_failure_shows_its_trace_until_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let herder = Herder::start(dir.path()).await;
    let handle = &herder.handle;
    handle.create_connector("c", config("tasks=2"), Target::Running).await.unwrap();
    herder.until("c", "RUNNING RUNNING RUNNING").await;
    herder.host.fail("c/1", "it broke").await;
    herder.until("c", "RUNNING RUNNING FAILED").await;
    assert_eq!(handle.task_status("c", 1).await.unwrap().trace.as_deref(), Some("it broke"));

    let planned = handle.restart_connector("c", true, true).await.unwrap();
    let shown: Vec<_> = planned.tasks.iter().map(|task| (task.state, task.trace.as_deref())).collect();
    assert_eq!(planned.connector.state, RunState::Running);
    assert_eq!(shown, [(RunState::Running, None), (RunState::Restarting, Some("it broke"))]);
    herder.until("c", "RUNNING RUNNING RUNNING").await;
    assert_eq!(handle.task_status("c", 1).await.unwrap().trace, None);

    handle.restart_task("c", 0).await.unwrap();
    herder.until("c", "RUNNING RUNNING RUNNING").await;
    handle.create_connector("d", config("start=no"), Target::Running).await.unwrap();
    herder.until("d", "FAILED").await;
    assert_eq!(handle.status("d").await.unwrap().connector.trace.as_deref(), Some("it does not start"));
    handle.create_connector("e", config("start=panic"), Target::Running).await.unwrap();
    herder.until("e", "FAILED").await;
    herder.stop().await;
}

#[tokio::test]
async fn a_restarted_process_resumes_what_was_decided() {
    let dir = tempfile::tempdir().unwrap();
    let herder = Herder::start(dir.path()).await;
    for (name, target) in [("r", Target::Running), ("p", Target::Running), ("s", Target::Stopped)] {
        herder.handle.create_connector(name, config("tasks=1"), target).await.unwrap();
    }
    herder.until("p", "RUNNING RUNNING").await;
    herder.handle.pause("p").await.unwrap();
    herder.until("p", "PAUSED PAUSED").await;
    herder.until("r", "RUNNING RUNNING").await;
    let before = herder.handle.connector("r").await.unwrap();
    herder.stop().await;

    let herder = Herder::start(dir.path()).await;
    herder.until("r", "RUNNING RUNNING").await;
    herder.until("p", "PAUSED PAUSED").await;
    herder.until("s", "STOPPED").await;
    assert_eq!(herder.handle.connector("r").await.unwrap(), before);
    herder.stop().await;
}

#[tokio::test]
async fn a_plugin_that_hangs_holds_up_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let herder = Herder::start(dir.path()).await;
    let handle = &herder.handle;
    handle.create_connector("stuck", config("start=hang"), Target::Running).await.unwrap();
    handle.create_connector("slow", config("tasks=1 stop=hang"), Target::Running).await.unwrap();
    handle.create_connector("fine", config("tasks=1"), Target::Running).await.unwrap();
    herder.until("fine", "RUNNING RUNNING").await;
    herder.until("slow", "RUNNING RUNNING").await;
    herder.until("stuck", "UNASSIGNED").await;

    let checked = handle.create_connector("unchecked", config("validate=hang"), Target::Running);
    let (checked, listed) = tokio::join!(checked, handle.connectors());
    assert_eq!(listed.unwrap(), ["fine", "slow", "stuck"]);
    assert!(matches!(checked, Err(Error::Unavailable { .. })), "{checked:?}");

    handle.restart_task("slow", 0).await.unwrap();
    herder.until("slow", "RUNNING RUNNING").await;
    assert!(herder.host.abandoned().contains(&"slow/0@1".to_owned()));
    handle.delete_connector("stuck").await.unwrap();
    herder.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_succeeds_while_it_is_abandoned_is_abandoned_again() {
    let dir = tempfile::tempdir().unwrap();
    let herder = Herder::start(dir.path()).await;
    herder.handle.create_connector("late", config("start=late"), Target::Running).await.unwrap();
    herder.handle.delete_connector("late").await.unwrap();
    let twice = async {
        while herder.host.abandoned().len() < 2 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), twice).await.expect("it runs on");
    herder.stop().await;
}

#[tokio::test]
async fn refusals_say_what_kafka_connect_says() {
    let dir = tempfile::tempdir().unwrap();
    let herder = Herder::start(dir.path()).await;
    let handle = &herder.handle;
    assert_eq!(handle.connector("x").await, Err(not_found("Connector x not found")));
    assert_eq!(handle.delete_connector("x").await, Err(not_found("Connector x not found")));
    assert_eq!(handle.task_configs("x").await, Err(not_found("Connector x not found")));
    assert_eq!(handle.status("x").await, Err(not_found("No status found for connector x")));
    assert_eq!(handle.task_status("x", 0).await, Err(not_found("No status found for task x-0")));
    assert_eq!(handle.pause("x").await, Err(not_found("Unknown connector x")));
    assert_eq!(handle.stop("x").await, Err(not_found("Unknown connector x")));
    assert_eq!(handle.restart_connector("x", false, false).await, Err(not_found("Unknown connector: x")));
    assert_eq!(handle.restart_task("x", 0).await, Err(not_found("Unknown connector: x")));

    handle.create_connector("c", config(""), Target::Stopped).await.unwrap();
    assert_eq!(handle.restart_task("c", 7).await, Err(not_found("Unknown task: c-7")));
    let again = handle.create_connector("c", config(""), Target::Running).await;
    assert_eq!(again, Err(Error::AlreadyExists { message: "Connector c already exists".to_owned() }));
    let other = handle.put_connector("c", config("name=d")).await.map(drop);
    let message = "Connector name configuration (d) doesn't match connector name in the URL (c)".to_owned();
    assert_eq!(other, Err(Error::BadRequest { message, problems: Vec::new() }));
    let bad = handle.create_connector("d", config("validate=no"), Target::Running).await;
    let problems = vec![Problem { key: "validate".to_owned(), message: "it must not be \"no\"".to_owned() }];
    assert_eq!(bad, Err(Error::BadRequest { message: "1 error".to_owned(), problems }));
    let big = config(&format!("big={}", "x".repeat(1_000_000)));
    assert!(matches!(handle.create_connector("e", big, Target::Running).await, Err(Error::BadRequest { .. })));
    let many = config(&format!("tasks=9 each={}", "x".repeat(110_000)));
    handle.create_connector("f", many, Target::Running).await.unwrap();
    herder.until("f", "FAILED").await;
    let trace = handle.status("f").await.unwrap().connector.trace.unwrap();
    assert!(trace.starts_with("the 9 task configurations of connector \"f\" need a record of"), "{trace}");
    handle.create_connector("g", config("tasks=11"), Target::Running).await.unwrap();
    herder.until("g", "FAILED").await;
    let trace = handle.status("g").await.unwrap().connector.trace.unwrap();
    assert!(trace.starts_with("The connector g has generated 11 tasks, which is greater than 10"), "{trace}");
    assert_eq!(handle.connectors().await.unwrap(), ["c", "f", "g"]);
    herder.stop().await;
}

#[tokio::test]
async fn changes_at_the_same_time_all_take_effect_or_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let herder = Herder::start(dir.path()).await;
    let writers = (0..20).map(|number| {
        let handle = herder.handle.clone();
        tokio::spawn(async move { handle.put_connector("c", config(&format!("tasks=1 x={number}"))).await })
    });
    let mut created = 0;
    for writer in writers.collect::<Vec<_>>() {
        match writer.await.unwrap() {
            Ok((new, _)) => created += usize::from(new),
            Err(Error::Conflict { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(created, 1);
    herder.until("c", "RUNNING RUNNING").await;
    herder.stop().await;
}

#[tokio::test]
async fn tenants_do_not_see_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let herder = Herder::start(dir.path()).await;
    let acme = herder.handle.with_tenant(Tenant::new("acme").unwrap());
    herder.handle.create_connector("c", config(""), Target::Stopped).await.unwrap();
    acme.create_connector("c", config("tasks=1"), Target::Running).await.unwrap();
    acme.create_connector("d", config(""), Target::Stopped).await.unwrap();
    assert_eq!(herder.handle.connectors().await.unwrap(), ["c"]);
    assert_eq!(acme.connectors().await.unwrap(), ["c", "d"]);
    acme.delete_connector("c").await.unwrap();
    assert_eq!(herder.handle.connector("c").await.unwrap().target, Target::Stopped);
    herder.stop().await;
}

#[tokio::test]
async fn published_plugins_are_kept_and_pins_do_not_follow_tags() {
    let dir = tempfile::tempdir().unwrap();
    let herder = Herder::start(dir.path()).await;
    let manifest = |digest: &str| PluginManifest {
        digest: Digest(digest.to_owned()),
        name: "fake".to_owned(),
        version: "1.0".to_owned(),
        size_bytes: 7,
        bundled: false,
        description: serde_json::json!({ "definitions": [] }),
    };
    herder.handle.publish_plugin(manifest("aa")).await.unwrap();
    herder.handle.create_connector("c", config(""), Target::Stopped).await.unwrap();
    herder.handle.publish_plugin(manifest("bb")).await.unwrap();
    herder.stop().await;

    let herder = Herder::start(dir.path()).await;
    assert_eq!(herder.handle.plugins().await.unwrap(), [manifest("aa"), manifest("bb")]);
    let tags = BTreeMap::from([("fake@1.0".to_owned(), Digest("bb".to_owned()))]);
    assert_eq!(herder.handle.tags().await.unwrap(), tags);
    let (_, info) = herder.handle.put_connector("c", config("x=1")).await.unwrap();
    assert_eq!(info.plugins["connector"], Digest("sha256-of-fake".to_owned()));
    assert_eq!(herder.host.pinned_when_checked("c"), Some(info.plugins));
    herder.stop().await;
}

#[tokio::test]
async fn a_journal_of_another_cluster_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    Herder::start(dir.path()).await.stop().await;
    let refused = start(Settings::new("other", "w"), Journal::open(dir.path()).unwrap(), FakeHost::default()).await;
    assert!(matches!(refused, Err(StartError::OtherCluster { found, .. }) if found == "test"));
}

#[tokio::test]
async fn it_ends_when_nobody_can_ask_it_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let herder = Herder::start(dir.path()).await;
    herder.handle.create_connector("c", config("tasks=1"), Target::Running).await.unwrap();
    herder.until("c", "RUNNING RUNNING").await;
    drop(herder.handle);
    herder.ended.await.unwrap();
    assert_eq!(herder.host.alive(), [] as [String; 0]);
}

#[tokio::test]
async fn a_failed_task_is_restarted_as_its_policy_says_and_status_counts() {
    let dir = tempfile::tempdir().unwrap();
    let herder = Herder::start(dir.path()).await;
    herder.handle.create_connector("c", config("tasks=1 restarts=2"), Target::Running).await.unwrap();
    herder.until("c", "RUNNING RUNNING").await;
    assert_eq!(herder.handle.status("c").await.unwrap().tasks[0].restarts, None);
    for attempt in 1..=2 {
        herder.host.fail("c/0", "boom").await;
        herder.until("c", "RUNNING RESTARTING").await;
        herder.until("c", "RUNNING RUNNING").await;
        let restarts = herder.handle.status("c").await.unwrap().tasks[0].restarts.unwrap();
        assert_eq!((restarts.attempts, restarts.attempts_max, restarts.next_in_ms), (attempt, Some(2), None));
    }
    herder.host.fail("c/0", "boom").await;
    herder.until("c", "RUNNING FAILED").await;
    herder.stop().await;
}
