//! The source against real databases, through the same arenas as in a component.

use expect_test::{Expect, expect};
use rusqlite::Connection;
use tempfile::TempDir;
use tidegate_plugin_sqlite::SqliteSource;
use tidegate_sdk::testing::{FakeHost, SourceHarness};
use tidegate_sdk::{Config, Error, SourceOffset, SourceTask};

struct World {
    directory: TempDir,
    settings: Vec<(String, String)>,
}

impl World {
    /// `script` makes the database; settings are written `key=value` and separated by ` & `.
    fn new(script: &str, settings: &str) -> World {
        FakeHost::reset();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.db");
        let mut all = vec![
            ("db.path".to_owned(), path.to_str().unwrap().to_owned()),
            ("topic.prefix".to_owned(), "db.".to_owned()),
            ("poll.interval.ms".to_owned(), "1".to_owned()),
        ];
        all.extend(settings.split(" & ").filter_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            Some((key.to_owned(), value.to_owned()))
        }));
        let world = World { directory, settings: all };
        world.run(script);
        world
    }

    fn run(&self, script: &str) {
        Connection::open(self.directory.path().join("x.db")).unwrap().execute_batch(script).unwrap();
    }

    fn start(&self) -> Result<SourceHarness, Error> {
        let settings: Vec<(&str, &str)> = self.settings.iter().map(|(key, value)| (&**key, &**value)).collect();
        SourceHarness::start::<SqliteSource>(&settings)
    }
}

/// What one poll finds: topic, value and offset of each record.
fn poll(source: &mut SourceHarness) -> String {
    std::thread::sleep(std::time::Duration::from_millis(2));
    let records: tidegate_sdk::serde_json::Value =
        tidegate_sdk::serde_json::from_str(&source.poll_json().unwrap()).unwrap();
    let shown = records.as_array().unwrap().iter().map(|record| {
        format!("{} {} {}\n", record["topic"].as_str().unwrap(), record["value"], record["sourceOffset"])
    });
    shown.collect()
}

#[track_caller]
fn check(found: String, expected: Expect) {
    expected.assert_eq(&found);
}

const ORDERS: &str =
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, what TEXT NOT NULL, price REAL, at TIMESTAMP, raw BLOB, ok BOOLEAN);
    INSERT INTO orders VALUES (1, 'a', 1.5, 1700000000000, x'0102', 1), (2, 'b', 2, NULL, NULL, 0);";

#[test]
fn new_rows_come_once_and_a_task_goes_on_where_the_one_before_was() {
    let world = World::new(ORDERS, "mode=incrementing & incrementing.column.name=id");
    let mut source = world.start().unwrap();
    check(
        poll(&mut source),
        expect![[r#"
            db.orders {"id":1,"what":"a","price":1.5,"at":1700000000000,"raw":"AQI=","ok":true} {"incrementing":1}
            db.orders {"id":2,"what":"b","price":2.0,"at":null,"raw":null,"ok":false} {"incrementing":2}
        "#]],
    );
    assert_eq!(poll(&mut source), "");
    world.run("INSERT INTO orders (what) VALUES ('c')");
    check(
        poll(&mut source),
        expect![[r#"
        db.orders {"id":3,"what":"c","price":null,"at":null,"raw":null,"ok":null} {"incrementing":3}
    "#]],
    );
    source.commit().unwrap();
    world.run("INSERT INTO orders (what) VALUES ('d')");
    let mut source = world.start().unwrap();
    check(
        poll(&mut source),
        expect![[r#"
        db.orders {"id":4,"what":"d","price":null,"at":null,"raw":null,"ok":null} {"incrementing":4}
    "#]],
    );
    assert_eq!(FakeHost::offset(r#"{"protocol":"1","table":"orders"}"#).unwrap(), r#"{"incrementing":3}"#);
}

#[test]
fn the_schema_says_what_the_table_says() {
    let world = World::new(ORDERS, "mode=incrementing & incrementing.column.name=id");
    let records = world.start().unwrap().poll(tidegate_sdk::PollLimits { records_max: 1, bytes_max: 1, wait_ms: 0 });
    let schema = records.unwrap()[0].value_schema.clone().unwrap();
    let fields = schema.fields.iter().map(|field| {
        let optional = if field.schema.optional { "?" } else { "" };
        format!(
            "{} {:?}{optional} {}\n",
            field.name,
            field.schema.of_type,
            field.schema.name.clone().unwrap_or_default()
        )
    });
    expect![[r#"
        id Int64 
        what String 
        price Float64? 
        at Int64? org.apache.kafka.connect.data.Timestamp
        raw Bytes? 
        ok Boolean? 
    "#]]
    .assert_eq(&fields.collect::<String>());
    assert_eq!(schema.name.as_deref(), Some("orders"));
}

#[test]
fn rows_that_change_come_again() {
    let world = World::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, at TEXT); INSERT INTO t VALUES (1, '2024-01-01'), (2, '2024-01-01'), (3, NULL)",
        "mode=timestamp+incrementing & incrementing.column.name=id & timestamp.column.name=at",
    );
    let mut source = world.start().unwrap();
    check(
        poll(&mut source),
        expect![[r#"
        db.t {"id":1,"at":"2024-01-01"} {"timestamp":"2024-01-01","incrementing":1}
        db.t {"id":2,"at":"2024-01-01"} {"timestamp":"2024-01-01","incrementing":2}
    "#]],
    );
    world.run("UPDATE t SET at = '2024-02-01' WHERE id = 1; INSERT INTO t VALUES (4, '2024-01-01')");
    check(
        poll(&mut source),
        expect![[r#"
        db.t {"id":4,"at":"2024-01-01"} {"timestamp":"2024-01-01","incrementing":4}
        db.t {"id":1,"at":"2024-02-01"} {"timestamp":"2024-02-01","incrementing":1}
    "#]],
    );
}

#[test]
fn all_rows_of_all_tables_come_each_time_in_bulk() {
    let world = World::new(
        "CREATE TABLE \"a\"\"b\" (x); CREATE TABLE c (x INT); INSERT INTO \"a\"\"b\" VALUES (1), ('t'); INSERT INTO c VALUES (2), (3), (4)",
        "mode=bulk & batch.max.rows=2",
    );
    let mut source = world.start().unwrap();
    let once = "db.a\"b {\"x\":\"1\"} null\ndb.a\"b {\"x\":\"t\"} null\ndb.c {\"x\":2} null\ndb.c {\"x\":3} null\ndb.c {\"x\":4} null\n";
    assert_eq!(poll(&mut source), once);
    assert_eq!(poll(&mut source), once);
}

#[test]
fn a_query_is_a_stream_of_its_own() {
    let world = World::new(
        ORDERS,
        "mode=incrementing & incrementing.column.name=n & query=SELECT id * 10 AS n, what FROM orders WHERE ok; & topic.prefix=found",
    );
    check(
        poll(&mut world.start().unwrap()),
        expect![[r#"
        db. {"n":10,"what":"a"} {"incrementing":10}
    "#]],
    );
}

#[test]
fn a_small_batch_leaves_the_rest_for_the_next() {
    let world = World::new(ORDERS, "mode=incrementing & incrementing.column.name=id");
    let mut source = world.start().unwrap();
    let limits = tidegate_sdk::PollLimits { records_max: 1, bytes_max: 1 << 20, wait_ms: 0 };
    assert_eq!(source.poll(limits).unwrap().len(), 1);
    assert_eq!(source.poll(limits).unwrap().len(), 1);
}

#[test]
fn what_does_not_fit_is_named() {
    let fails = |script: &str, settings: &str| {
        let world = World::new(script, settings);
        world.start().and_then(|mut source| source.poll_json()).unwrap_err().to_string()
    };
    let text = "CREATE TABLE t (id INT, n INT); INSERT INTO t VALUES (1, 'x')";
    let error = fails(text, "mode=incrementing & incrementing.column.name=id");
    assert!(error.contains("the column \"n\" of the table \"t\" holds the text \"x\", which is no Int64"), "{error}");
    let error = fails(text, "mode=incrementing & incrementing.column.name=n");
    assert!(error.contains("does not hold a whole number in every row"), "{error}");
    let error =
        fails("CREATE TABLE t (id INT); INSERT INTO t VALUES (1)", "mode=incrementing & incrementing.column.name=none");
    assert!(error.contains("column") && error.contains("none"), "{error}");
    let error = fails(text, "mode=incrementing");
    assert!(error.contains("must be set with mode=incrementing"), "{error}");
}

#[test]
fn only_what_is_an_offset_is_taken_for_one() {
    let alter = |offset: &str| {
        let offset = SourceOffset { partition: "{}".into(), offset: Some(offset.into()) };
        SqliteSource::alter_offsets(&Config::new(&SqliteSource::definition(), [("mode", "bulk")]), &[offset])
    };
    assert_eq!(alter(r#"{"incrementing":7}"#), Ok(true));
    assert_eq!(alter(r#"{"timestamp":"2024","incrementing":7}"#), Ok(true));
    assert!(alter(r#"{"position":7}"#).is_err());
    assert!(alter(r#"{"incrementing":"7"}"#).is_err());
}
