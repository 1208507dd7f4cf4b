//! `tidegate demo --once`: every record arrives, whatever happens on the way.

use std::collections::BTreeSet;
use std::io::Write;

use serde_json::Value;

use crate::process::{Place, lines, until};

fn input() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/earthquakes.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Runs the demo to its end and answers its last line.
#[track_caller]
fn finish(place: &Place) -> Value {
    let output = place.run(&["demo", "--once", "--json"]);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(stdout.lines().next_back().unwrap()).unwrap()
}

const OUTPUT: &str = ".tidegate/demo/out.jsonl";

fn output(place: &Place) -> Vec<Value> {
    lines(&place.path(OUTPUT)).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ids(records: &[Value]) -> BTreeSet<&str> {
    records.iter().map(|record| record["id"].as_str().unwrap()).collect()
}

#[test]
fn every_record_arrives_once_and_changed_and_a_second_run_has_nothing_to_do() {
    let place = Place::new();
    let input = input();
    let last = finish(&place);
    assert_eq!((&last["records_in"], &last["records_out"]), (&input.len().into(), &input.len().into()));
    let keys: Vec<&String> = last.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["records_in", "records_out", "seconds"]);

    let output = output(&place);
    assert_eq!(output.len(), input.len());
    for (before, after) in input.iter().zip(&output) {
        assert_eq!(before["id"], after["id"], "records keep their order");
        assert_eq!(after["source"], "USGS");
        assert_eq!(before["depth_km"], after["depth"]);
        assert!(after.get("url").is_none() && before.get("url").is_some());
        assert!(after["time"].as_str().unwrap().ends_with('Z'), "{after}");
    }

    let again = finish(&place);
    assert_eq!((&again["records_in"], &again["records_out"]), (&last["records_in"], &last["records_out"]));
    assert_eq!(self::output(&place).len(), input.len());
}

#[test]
fn a_demo_that_is_killed_in_the_middle_loses_nothing() {
    let place = Place::new();
    let input = input();
    let mut demo = place.start(&["demo", "--once"]);
    let path = place.path(OUTPUT);
    until("the first records arrive", || path.metadata().is_ok_and(|file| file.len() > 0));
    demo.kill();

    let last = finish(&place);
    assert!(last["records_out"].as_u64() >= last["records_in"].as_u64(), "{last}");
    // A line that was cut off by the kill is no record; the record it began came again.
    let arrived: Vec<Value> = lines(&path).iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(ids(&arrived), ids(&input));
}

#[test]
fn a_demo_that_goes_on_says_what_to_do_and_stops_when_it_is_told_to() {
    let place = Place::new();
    let mut demo = place.start(&["demo"]);
    for prefix in ["Kafka ", "REST ", "1. ", "2. ", "3. "] {
        assert!(!demo.line(prefix).is_empty());
    }
    let records = output(&place).len();
    let input = place.path(".tidegate/demo/earthquakes.jsonl");
    let mut input = std::fs::File::options().append(true).open(&input).unwrap();
    input.write_all(b"{\"id\":\"mine\",\"magnitude\":9.9,\"time\":0}\n").unwrap();
    until("the added line arrives", || output(&place).len() > records);
    assert_eq!(output(&place).last().unwrap()["id"], "mine");
    assert_eq!(demo.terminate(), Some(0));
}
