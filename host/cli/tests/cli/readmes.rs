//! The configurations that the READMEs of `plugins/` show are taken as they stand there, and run.

use serde_json::Value;

use crate::dev::{create, start};
use crate::process::{Place, lines, until};
use crate::rest::until_state;

/// The JSON blocks of a text in Markdown.
fn json_blocks(markdown: &str) -> impl Iterator<Item = Value> {
    markdown.split("```json\n").skip(1).map(|rest| {
        let (block, _) = rest.split_once("```").expect("a block ends");
        serde_json::from_str(block).expect("a block of JSON is JSON")
    })
}

#[test]
fn the_configurations_in_the_readmes_of_the_plugins_run() {
    let place = Place::new();
    place.write("lines.txt", "one\ntwo\n");
    let (dev, url) = start(&place);
    let mut names = Vec::new();
    for folder in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins")).unwrap() {
        let readme = folder.unwrap().path().join("README.md");
        let text = std::fs::read_to_string(&readme).unwrap_or_else(|error| panic!("{}: {error}", readme.display()));
        let before = names.len();
        for connector in json_blocks(&text) {
            names.push(connector["name"].as_str().unwrap().to_owned());
            create(&url, connector);
        }
        assert!(names.len() > before, "{} shows no configuration", readme.display());
    }
    names.iter().for_each(|name| until_state(&url, name, "RUNNING"));
    until("the lines are copied", || lines(&place.path("copy.txt")) == ["one", "two"]);
    assert_eq!(dev.terminate(), Some(0));
}
