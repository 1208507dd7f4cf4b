//! What a worker's catalog of plugins promises: a connector runs the bytes it is pinned to, also when the program has become
//! another, with another box of plugins; and what lies in `plugin.path` is there like an uploaded plugin.

use std::path::{Path, PathBuf};

use tidegate_engine::Digest;
use tidegate_herder::cluster::{ConnectorKey, Instance};
use tidegate_herder::{
    Config, ConnectorKind, ConnectorSpec, Failure, Plugins, Reporter, RunId, Target, TaskHost, ValidateRequest,
};
use tidegate_worker::Origin;
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
}

fn config() -> Config {
    [("name", "lines"), ("connector.class", "FileStreamSource"), ("file", "/data/in.txt"), ("topic", "lines")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// The file plugin of this build, and of one that differs in nothing but its bytes.
fn two_builds() -> (Vec<u8>, Vec<u8>) {
    let now = tidegate_bundled::components().iter().find(|component| component.name == "file").unwrap().bytes.to_vec();
    // A custom section: number, length, length of its name, name.
    let mut earlier = now.clone();
    earlier.extend(*b"\0\x08\x07earlier");
    (earlier, now)
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

    let failure = begin(directory.path(), &now).start(&pin(&earlier)).unwrap_err().trace;
    assert!(failure.contains("do not have the digest"), "{failure}");
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
