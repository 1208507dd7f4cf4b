//! What a worker's catalog of plugins promises: a connector runs the bytes it is pinned to, also when the program has become
//! another, with another box of plugins; and what lies in `plugin.path` is there like an uploaded plugin.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tidegate_config::Kind;
use tidegate_engine::Digest;
use tidegate_herder::cluster::{ConnectorKey, Instance};
use tidegate_herder::{
    Config, ConnectorKind, ConnectorSpec, Failure, Plugins, Reporter, RunId, Target, TaskHost, TaskSpec,
    ValidateRequest,
};
use tidegate_worker::{CatalogError, Component, Origin};
use tokio::sync::mpsc;

use crate::life::{Life, kept, pin};

fn begin(directory: &Path, in_the_box: &[u8]) -> Life {
    Life::begin(directory, in_the_box, "127.0.0.1:9", &[])
}

impl Life {
    /// What a configuration is pinned to when it is written.
    fn write(&self, pinned: &Plugins) -> Plugins {
        let request =
            ValidateRequest { connector: ConnectorKey::plain("lines"), config: config(), pinned: pinned.clone() };
        self.engine.handle().block_on(self.worker.validate(request)).unwrap().plugins
    }

    fn start(&self, pinned: &Plugins) -> Result<(), Failure> {
        let subject = ConnectorKey::plain("lines").subject(Instance::Connector);
        let run = RunId { subject, uid: 0, epoch: 1 };
        let spec = ConnectorSpec {
            run: run.clone(),
            kind: ConnectorKind::Source,
            config: config(),
            plugins: pinned.clone(),
            target: Target::Running,
        };
        let (mailbox, _words) = mpsc::channel(1);
        self.engine.handle().block_on(self.worker.start_connector(spec, Reporter::new(run, mailbox)))
    }

    fn upload(&self, component: &[u8]) -> Result<Arc<Component>, CatalogError> {
        self.engine.handle().block_on(self.catalog.upload(component))
    }

    /// The component that a class name means.
    fn meant_by(&self, class: &str) -> Digest {
        let names = self.catalog.names();
        names.resolve(&[Kind::Source], class).unwrap().item.component.as_ref().unwrap().digest()
    }
}

fn config() -> Config {
    [("name", "lines"), ("connector.class", "FileStreamSource"), ("file", "/data/in.txt"), ("topic", "lines")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// The file plugin of this build, and of one that differs in nothing but its bytes.
fn two_builds() -> (Vec<u8>, Vec<u8>) {
    let now = tidegate_bundled::components().iter().find(|component| component.name == "file").unwrap().bytes.to_vec();
    (with_section(&now, b"earlier"), now)
}

/// Other bytes that do the same: a custom section is number, length, length of its name, name.
fn with_section(component: &[u8], name: &[u8]) -> Vec<u8> {
    let mut longer = component.to_vec();
    longer.extend([0, name.len() as u8 + 1, name.len() as u8]);
    longer.extend(name);
    longer
}

/// The same definitions under another plugin's name of the same length.
fn renamed(component: &[u8], from: &str, to: &str) -> Vec<u8> {
    let mut other = component.to_vec();
    let places: Vec<usize> =
        (0..other.len() - from.len()).filter(|at| other[*at..].starts_with(from.as_bytes())).collect();
    places.iter().for_each(|at| other[*at..at + to.len()].copy_from_slice(to.as_bytes()));
    assert!(!places.is_empty() && from.len() == to.len());
    other
}

fn stored(directory: &Path, bytes: &[u8]) -> PathBuf {
    directory.join(format!("plugins/bundled/{}.wasm", Digest::of(bytes)))
}

#[test]
fn a_connector_keeps_its_bytes_when_the_program_is_upgraded_and_new_ones_get_the_new() {
    let directory = tempfile::tempdir().unwrap();
    let (earlier, now) = two_builds();
    let first = begin(directory.path(), &earlier).write(&Plugins::new());
    assert_eq!(first, pin(&earlier));

    let upgraded = begin(directory.path(), &now);
    assert_eq!(upgraded.write(&Plugins::new()), pin(&now), "a new connector");
    upgraded.start(&first).unwrap();
    let origin = |bytes: &[u8]| upgraded.catalog.pinned(&Digest::of(bytes).to_string()).unwrap().origin;
    assert_eq!([origin(&earlier), origin(&now)], [Origin::Retired, Origin::Bundled]);
    assert_eq!(upgraded.write(&first), first, "the old one, configured anew");
    assert_eq!(upgraded.write(&Plugins::new()), pin(&now), "a name still means the plugin of this program");
}

#[test]
fn a_connector_whose_bytes_are_lost_fails_and_says_so_until_it_is_configured_anew() {
    let directory = tempfile::tempdir().unwrap();
    let (earlier, now) = two_builds();
    begin(directory.path(), &earlier);
    std::fs::remove_file(stored(directory.path(), &earlier)).unwrap();

    let upgraded = begin(directory.path(), &now);
    let failure = upgraded.start(&pin(&earlier)).unwrap_err().trace;
    let expected = format!("\"FileStreamSource\" is pinned to sha256:{}", Digest::of(&earlier));
    assert!(failure.contains(&expected) && failure.contains("hint: upload that component again"), "{failure}");
    assert_eq!(upgraded.write(&pin(&earlier)), pin(&now));
}

#[test]
fn stored_bytes_that_were_damaged_are_not_run() {
    let directory = tempfile::tempdir().unwrap();
    let (earlier, now) = two_builds();
    begin(directory.path(), &earlier);
    std::fs::write(stored(directory.path(), &earlier), &now).unwrap();

    let upgraded = begin(directory.path(), &now);
    let failure = upgraded.start(&pin(&earlier)).unwrap_err().trace;
    assert!(failure.contains("do not have the digest"), "{failure}");
    assert_eq!(upgraded.write(&pin(&earlier)), pin(&now), "configured anew, it gets the newest");
}

#[test]
fn a_pin_that_is_no_digest_names_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let (_, now) = two_builds();
    let life = begin(directory.path(), &now);
    let outside = Plugins::from([("connector".to_owned(), tidegate_herder::Digest("../bundled/x".to_owned()))]);
    std::fs::write(directory.path().join("plugins/bundled/x.wasm"), &now).unwrap();
    assert!(life.start(&outside).unwrap_err().trace.contains("which this worker does not have"));
}

#[test]
fn what_lies_in_plugin_path_is_found_and_what_is_no_plugin_or_takes_a_name_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (_, now) = two_builds();
    let life = begin(directory.path(), &now);
    let guest = tidegate_components::build_guest("guest", kept());
    let found = directory.path().join("connectors");
    std::fs::create_dir_all(found.join("a-plugin-of-its-own")).unwrap();
    std::fs::write(found.join("a-plugin-of-its-own/bad.wasm"), &guest).unwrap();
    std::fs::write(found.join("notes.txt"), "not a plugin").unwrap();
    std::fs::write(found.join("half.wasm"), &guest[..100]).unwrap();
    std::fs::write(found.join("thief.wasm"), two_builds().0).unwrap();

    life.engine.handle().block_on(life.catalog.take_from(&found));
    life.engine.handle().block_on(life.catalog.take_from(&directory.path().join("not-there")));

    let origins: Vec<(Origin, bool)> = life
        .catalog
        .components()
        .iter()
        .map(|component| (component.origin, component.digest() == Digest::of(&guest)))
        .collect();
    assert_eq!(origins, [(Origin::Uploaded, true), (Origin::Bundled, false)]);
}

#[test]
fn a_task_that_is_abandoned_while_it_starts_does_not_run_on() {
    let directory = tempfile::tempdir().unwrap();
    let (_, now) = two_builds();
    let life = begin(directory.path(), &now);
    let starting = |epoch: u64| {
        let run = RunId { subject: ConnectorKey::plain("lines").subject(Instance::Task(0)), uid: 0, epoch };
        let file = directory.path().join("in.txt").to_str().unwrap().to_owned();
        let config: Config = config().into_iter().chain([("file".to_owned(), file)]).collect();
        let spec = TaskSpec {
            run: run.clone(),
            kind: ConnectorKind::Source,
            task_config: config.clone(),
            config,
            tasks: 1,
            generation: 1,
            plugins: pin(&now),
            target: Target::Running,
        };
        let (mailbox, _words) = mpsc::channel(1);
        (run.clone(), life.worker.start_task(spec, Reporter::new(run, mailbox)))
    };
    life.engine.handle().block_on(async {
        let (run, start) = starting(1);
        let mut start = std::pin::pin!(start);
        // The control plane drops the call as well, which does not stop a poll that is under way on another thread.
        let waits = std::future::poll_fn(|context| Poll::Ready(start.as_mut().poll(context).is_pending())).await;
        assert!(waits, "the source asks for its offset");
        life.worker.abandon(&run);
        assert!(start.await.unwrap_err().trace.contains("abandoned"));

        let (successor, start) = starting(2);
        start.await.unwrap();
        life.worker.stop(successor, Duration::from_secs(10)).await;
    });
}

#[test]
fn of_one_version_the_latest_upload_is_meant_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (_, now) = two_builds();
    let guest = tidegate_components::build_guest("guest", kept());
    let builds = [b"one", b"two", b"six"].map(|name| with_section(&guest, name));

    let mut latest = Digest::of(&[]);
    let life = begin(directory.path(), &now);
    // Each build is once the latest, so that no order of digests passes for the order of uploads.
    for build in builds.iter().chain(&builds) {
        latest = Digest::of(build);
        life.upload(build).unwrap();
        assert_eq!(life.meant_by("BadSource"), latest);
    }
    let oldest = Digest::of(&builds[0]);
    assert_ne!(latest, oldest);

    for build in &builds {
        let restarted = begin(directory.path(), &now);
        restarted.engine.handle().block_on(restarted.catalog.load_uploaded()).unwrap();
        assert_eq!(restarted.meant_by("BadSource"), latest, "after a restart");
        restarted.upload(build).unwrap();
        latest = Digest::of(build);
    }
}

#[test]
fn of_two_plugins_that_claim_one_name_at_the_same_time_one_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (_, now) = two_builds();
    let life = begin(directory.path(), &now);
    let guest = tidegate_components::build_guest("guest", kept());
    let twin = renamed(&guest, "\"name\":\"misbehaving\"", "\"name\":\"misbehavior\"");
    let uploads = [guest, twin].map(|bytes| {
        let catalog = life.catalog.clone();
        life.engine.spawn(async move { catalog.upload(&bytes).await.map(drop) })
    });
    let answers = uploads.map(|upload| life.engine.handle().block_on(upload).unwrap());
    let refusals: Vec<String> =
        answers.into_iter().filter_map(|answer| answer.err().map(|error| error.to_string())).collect();
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    assert!(refusals[0].contains("claims the name \"BadSource\", which belongs to misbehav"), "{refusals:?}");
}

#[test]
fn a_plugin_that_cannot_be_kept_is_not_refused_and_not_taken_in() {
    let directory = tempfile::tempdir().unwrap();
    let (_, now) = two_builds();
    let life = begin(directory.path(), &now);
    std::fs::remove_dir_all(directory.path().join("plugins")).unwrap();
    let guest = tidegate_components::build_guest("guest", kept());
    let error = life.upload(&guest).unwrap_err();
    assert!(matches!(error, CatalogError::Unavailable(_)), "{error}");
    assert!(life.catalog.pinned(&Digest::of(&guest).to_string()).is_none());
}
