//! Whole runs of the source, natively.

use expect_test::{Expect, expect};
use tidegate_plugin_datagen::Datagen;
use tidegate_sdk::testing::{FakeHost, SourceHarness, TestRecord};
use tidegate_sdk::{Config, Error, PollLimits, SourceTask, serde_json};

const LIMITS: PollLimits = PollLimits { records_max: 7, bytes_max: 1 << 20, wait_ms: 0 };

fn start(config: &[(&str, &str)]) -> SourceHarness {
    // Of two values for one key the first counts.
    let config: Vec<_> = config.iter().copied().chain([("topic", "t"), ("rate", "0")]).collect();
    SourceHarness::start::<Datagen>(&config).unwrap()
}

/// Everything that is left, up to the end of the input.
fn drain(source: &mut SourceHarness) -> Vec<TestRecord> {
    let mut records = Vec::new();
    loop {
        match source.poll(LIMITS) {
            Ok(more) => records.extend(more),
            Err(Error::EndOfInput) => return records,
            Err(error) => panic!("{error}"),
        }
    }
}

fn ids(records: &[TestRecord]) -> Vec<i64> {
    records.iter().map(|record| record.value.field("order_id").unwrap().as_i64().unwrap()).collect()
}

fn check(template: &str, expected: Expect) {
    FakeHost::reset();
    let text = start(&[("template", template), ("count", "1")]).poll_json().unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    expected.assert_eq(&format!("{} {} {}", json[0]["key"], json[0]["timestamp"], json[0]["value"]));
}

#[test]
fn orders_look_like_orders() {
    check(
        "orders",
        expect![[
            r#""678" 1735689600000 {"order_id":1,"customer_id":678,"product":"milk jug","quantity":1,"unit_price":16.36,"country":"MX","status":"delivered","coupon":null,"ordered_at":1735689600000}"#
        ]],
    );
}

#[test]
fn pageviews_look_like_pageviews() {
    check(
        "pageviews",
        expect![[
            r#""user-02711" 1735689600000 {"view_id":1,"user_id":"user-02711","url":"/search/0","referrer":"https://search.example/","country":"MX","is_mobile":false,"duration_ms":7519,"viewed_at":1735689600000}"#
        ]],
    );
}

#[test]
fn sensors_look_like_sensors() {
    check(
        "sensors",
        expect![[
            r#""sensor-184" 1735689600000 {"sensor_id":"sensor-184","temperature":12.2,"humidity":78.18,"battery_percent":93,"position":{"latitude":49.1,"longitude":10.25},"measured_at":1735689600000}"#
        ]],
    );
}

#[test]
fn the_same_seed_gives_the_same_records_and_another_gives_others() {
    FakeHost::reset();
    let run = |seed: &str| drain(&mut start(&[("count", "50"), ("seed", seed)]));
    assert_eq!(run("5"), run("5"));
    assert_ne!(run("5"), run("6"));
}

#[test]
fn records_come_in_order_and_end_at_the_count() {
    FakeHost::reset();
    assert_eq!(ids(&drain(&mut start(&[("count", "40")]))), (1..=40).collect::<Vec<_>>());
}

#[test]
fn a_task_goes_on_with_the_record_after_the_committed_ones() {
    FakeHost::reset();
    let mut source = start(&[("count", "40")]);
    let first = source.poll(LIMITS).unwrap();
    source.commit().unwrap();
    source.poll(LIMITS).unwrap();
    let rest = drain(&mut start(&[("count", "40")]));
    assert_eq!([ids(&first), ids(&rest)].concat(), (1..=40).collect::<Vec<_>>());
}

#[test]
fn any_number_of_tasks_makes_the_same_records_once() {
    for tasks in [1, 2, 3, 16, 40] {
        FakeHost::reset();
        let config = Config::new(&Datagen::definition(), [("topic", "t"), ("rate", "0"), ("count", "100")]);
        let configs = Datagen::task_configs(&config, tasks).unwrap();
        assert_eq!(configs.len(), tasks.min(16) as usize);
        let mut all = Vec::new();
        for config in &configs {
            let shards = config.string("shards").unwrap();
            all.extend(ids(&drain(&mut start(&[("count", "100"), ("shards", shards)]))));
        }
        all.sort_unstable();
        assert_eq!(all, (1..=100).collect::<Vec<_>>(), "{tasks} tasks");
    }
}

#[test]
fn a_rate_lets_no_more_than_its_share_through() {
    FakeHost::reset();
    let mut source = start(&[("rate", "0.001")]);
    assert_eq!(source.poll(LIMITS).unwrap().len(), 1);
    assert_eq!(source.poll(LIMITS).unwrap().len(), 0);
}

#[test]
fn a_template_that_does_not_exist_is_refused_by_key() {
    let config = Config::new(&Datagen::definition(), [("topic", "t"), ("template", "cats")]);
    assert_eq!(Datagen::validate(&config)[0].key, "template");
}
