//! The sink against real databases, through the same arenas as in a component.

use expect_test::{Expect, expect};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use tempfile::TempDir;
use tidegate_plugin_sqlite::SqliteSink;
use tidegate_sdk::testing::{FakeHost, SinkHarness, TestRecord};
use tidegate_sdk::{Config, Error, Field, NewOffset, Position, Schema, SinkTask, TopicPartition, Type, Value, logical};

/// A directory with a database, and what goes on there.
struct World {
    directory: TempDir,
    settings: Vec<(String, String)>,
}

impl World {
    /// Settings are written `key=value` and separated by blanks.
    fn new(settings: &str) -> World {
        FakeHost::reset();
        let directory = tempfile::tempdir().unwrap();
        let mut all = vec![
            ("name".to_owned(), "out".to_owned()),
            ("db.path".to_owned(), directory.path().join("x.db").to_str().unwrap().to_owned()),
        ];
        all.extend(settings.split(' ').filter_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            Some((key.to_owned(), value.to_owned()))
        }));
        World { directory, settings: all }
    }

    fn start(&self) -> Result<SinkHarness, Error> {
        let settings: Vec<(&str, &str)> = self.settings.iter().map(|(key, value)| (&**key, &**value)).collect();
        SinkHarness::start::<SqliteSink>(&settings)
    }

    fn connect(&self) -> Connection {
        Connection::open(self.directory.path().join("x.db")).unwrap()
    }

    /// What a query finds, a line per row.
    fn query(&self, sql: &str) -> String {
        let connection = self.connect();
        let mut statement = connection.prepare(sql).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        let mut shown = String::new();
        while let Some(row) = rows.next().unwrap() {
            let cells: Vec<String> = (0..columns)
                .map(|index| match row.get_ref(index).unwrap() {
                    ValueRef::Null => "null".to_owned(),
                    ValueRef::Integer(number) => number.to_string(),
                    ValueRef::Real(number) => format!("{number:?}"),
                    ValueRef::Text(text) => format!("'{}'", String::from_utf8_lossy(text)),
                    ValueRef::Blob(bytes) => format!("{bytes:02x?}"),
                })
                .collect();
            shown.push_str(&cells.join(" | "));
            shown.push('\n');
        }
        shown
    }
}

/// Puts each batch, then shows what was refused and what the query finds.
#[track_caller]
fn check(settings: &str, before: &str, batches: &[&str], query: &str, expected: Expect) {
    let world = World::new(settings);
    world.connect().execute_batch(before).unwrap();
    let mut sink = world.start().unwrap();
    let mut shown = String::new();
    for batch in batches {
        match sink.put_json(batch) {
            Ok(outcome) => {
                for (index, why) in outcome.rejected() {
                    shown.push_str(&format!("refused {index}: {why}\n"));
                }
            }
            Err(error) => shown.push_str(&format!("failed: {error}\n")),
        }
    }
    sink.stop().unwrap();
    shown.push_str(&world.query(query));
    expected.assert_eq(&shown);
}

#[test]
fn a_map_becomes_a_row_of_a_table_that_is_made() {
    check(
        "auto.create=true auto.evolve=true",
        "",
        &[
            r#"[{"topic":"t","value":{"id":1,"name":"a","tags":["x",1],"none":null}}]"#,
            r#"[{"topic":"t","value":{"id":18446744073709551616,"price":1.50,"ok":true}}]"#,
        ],
        "SELECT * FROM t UNION ALL SELECT sql, 0, 0, 0, 0, 0 FROM sqlite_schema",
        expect![[r#"
            1 | 'a' | '["x",1]' | null | null | null
            1.8446744073709552e19 | null | null | null | 1.5 | 1
            'CREATE TABLE "t" ("id" INTEGER, "name" TEXT, "tags" TEXT, "none", "price" REAL, "ok" BOOLEAN)' | 0 | 0 | 0 | 0 | 0
        "#]],
    );
}

#[test]
fn every_type_of_connect_has_its_column() {
    let schema = r#"{"type":"struct","fields":[
        {"field":"i8","type":"int8"},{"field":"i64","type":"int64","optional":true,"default":7},{"field":"f","type":"float"},
        {"field":"d","type":"double","optional":true},{"field":"b","type":"boolean"},{"field":"s","type":"string","default":"it's"},
        {"field":"y","type":"bytes"},
        {"field":"day","type":"int32","name":"org.apache.kafka.connect.data.Date","version":1},
        {"field":"time","type":"int32","name":"org.apache.kafka.connect.data.Time","version":1},
        {"field":"at","type":"int64","name":"org.apache.kafka.connect.data.Timestamp","version":1},
        {"field":"list","type":"array","items":{"type":"int32"}},
        {"field":"in","type":"struct","fields":[{"field":"x","type":"int32"}]}]}"#;
    let value = r#"{"i8":-1,"i64":9,"f":0.5,"d":null,"b":true,"s":"ü","y":"AQI=","day":1,
        "time":1000,"at":1700000000000,"list":[1,2],"in":{"x":3}}"#;
    let record = format!(r#"[{{"topic":"t","valueSchema":{schema},"value":{value}}}]"#);
    check(
        "auto.create=true",
        "",
        &[&record],
        "SELECT group_concat(name || ' ' || type || ' ' || \"notnull\" || ' ' || ifnull(dflt_value, '-'), ', ') FROM pragma_table_info('t')",
        expect![[r#"
            'i8 INTEGER 1 -, i64 INTEGER 0 7, f REAL 1 -, d REAL 0 -, b BOOLEAN 1 -, s TEXT 0 'it''s', y BLOB 1 -, day DATE 1 -, time TIME 1 -, at TIMESTAMP 1 -, list TEXT 1 -, in TEXT 1 -'
        "#]],
    );
    check(
        "auto.create=true",
        "",
        &[&record],
        "SELECT * FROM t",
        expect![[r#"
            -1 | 9 | 0.5 | null | 1 | 'ü' | [01, 02] | 86400000 | 1000 | 1700000000000 | '[1,2]' | '{"x":3}'
        "#]],
    );
}

#[test]
fn decimals_keep_their_digits() {
    let world = World::new("auto.create=true");
    let mut schema = Schema::logical(Type::Bytes, logical::DECIMAL);
    schema.parameters.insert("scale".into(), "3".into());
    let unscaled = 12_345_678_901_234_567_890_125_i128.to_be_bytes().to_vec();
    let record = TestRecord {
        topic: "t".into(),
        partition: None,
        offset: None,
        timestamp: None,
        key_schema: None,
        key: Value::Null,
        value_schema: Some(Schema { fields: vec![Field::new("d", schema)], ..Schema::new(Type::Struct) }),
        value: Value::Struct(vec![("d".into(), Value::Decimal { scale: 3, unscaled })]),
        headers: Vec::new(),
        source_partition: None,
        source_offset: None,
    };
    let mut sink = world.start().unwrap();
    assert_eq!(sink.put(&[record]).unwrap().rejected(), []);
    assert_eq!(world.query("SELECT d FROM t"), "'12345678901234567890.125'\n");
}

#[test]
fn an_upsert_changes_the_row_of_its_key_and_a_tombstone_deletes_it() {
    check(
        "insert.mode=upsert pk.mode=record_key pk.fields=id auto.create=true delete.enabled=true",
        "",
        &[
            r#"[{"topic":"t","key":1,"value":{"v":"a"}},{"topic":"t","key":2,"value":{"v":"b"}},{"topic":"t","key":1,"value":{"v":"c"}}]"#,
            r#"[{"topic":"t","key":2,"value":null},{"topic":"gone","key":2,"value":null},{"topic":"t","key":{"id":3},"value":{"v":"d"}}]"#,
        ],
        "SELECT * FROM t",
        expect![[r#"
            1 | 'c'
            3 | 'd'
        "#]],
    );
}

#[test]
fn an_update_changes_rows_that_are_there_only() {
    check(
        "insert.mode=update pk.mode=record_value pk.fields=id",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a')",
        &[r#"[{"topic":"t","value":{"v":"b","id":1}},{"topic":"t","value":{"id":2,"v":"c"}}]"#],
        "SELECT * FROM t",
        expect![[r#"
            1 | 'b'
        "#]],
    );
}

#[test]
fn the_place_in_kafka_can_be_the_key() {
    let batch = r#"[{"topic":"t","partition":3,"offset":5,"value":{"v":1}},
        {"topic":"moved","partition":0,"offset":6,"original":{"topic":"t","partition":3,"offset":6},"value":{"v":2}}]"#;
    check(
        "insert.mode=upsert pk.mode=kafka auto.create=true table.name.format=all",
        "",
        &[batch, batch],
        r#"SELECT * FROM "all""#,
        expect![[r#"
            't' | 3 | 5 | 1
            'moved' | 0 | 6 | 2
        "#]],
    );
}

#[test]
fn what_cannot_be_a_row_is_refused_and_the_rest_is_written() {
    check(
        "auto.create=false",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT NOT NULL)",
        &[r#"[{"topic":"t","value":{"id":1,"v":"a"}},{"topic":"t","value":{"id":1,"v":"b"}},{"topic":"t","value":7},
            {"topic":"t","value":null},{"topic":"t","value":{"id":2,"v":null}},{"topic":"t","value":{"other":1}},
            {"topic":"u","value":{"id":1}},{"topic":"t","value":{}},{"topic":"t","value":{"id":"x","v":"c"}},
            {"topic":"t","value":{"id":3,"v":"d"}}]"#],
        "SELECT * FROM t",
        expect![[r#"
            refused 1: UNIQUE constraint failed: t.id
            refused 2: the value is neither a struct nor a map, so that it has no columns
            refused 3: the value is null, which is no row; delete.enabled=true with pk.mode=record_key would delete the row of its key
            refused 4: NOT NULL constraint failed: t.v
            refused 5: the table "t" has no column other, and auto.evolve is false; hint: add it, or set auto.evolve=true
            refused 6: there is no table "u", and auto.create is false; hint: make the table, or set auto.create=true
            refused 7: no field of the value is written, so that there is no row
            refused 8: datatype mismatch
            1 | 'a'
            3 | 'd'
        "#]],
    );
}

#[test]
fn names_are_names_whatever_they_contain() {
    check(
        "auto.create=true table.name.format=a\"b;drop${topic}",
        "",
        &[r#"[{"topic":"--","value":{"x\"); drop table t; --":1,"select":2}}]"#],
        "SELECT sql FROM sqlite_schema",
        expect![[r#"
            'CREATE TABLE "a""b;drop--" ("x""); drop table t; --" INTEGER, "select" INTEGER)'
        "#]],
    );
}

#[test]
fn a_required_column_cannot_be_added_to_rows_that_are_there() {
    let schema = r#"{"type":"struct","fields":[{"field":"a","type":"int32"},{"field":"b","type":"int32"}]}"#;
    check(
        "auto.evolve=true",
        "CREATE TABLE t (A INTEGER)",
        &[&format!(
            r#"[{{"topic":"t","valueSchema":{schema},"value":{{"a":1,"b":2}}}},{{"topic":"t","value":{{"a":1,"b":2}}}}]"#
        )],
        "SELECT * FROM t",
        expect![[r#"
            refused 0: the column b cannot be added to the table "t": it is required and has no default for the rows that are there
            1 | 2
        "#]],
    );
}

#[test]
fn a_database_in_wal_mode_is_refused_with_the_remedy() {
    let world = World::new("");
    world.connect().pragma_update(None, "journal_mode", "wal").unwrap();
    let error = world.start().err().unwrap().to_string();
    assert!(error.contains("PRAGMA journal_mode=DELETE"), "{error}");
}

#[test]
fn what_is_no_database_is_refused() {
    let world = World::new("");
    std::fs::write(world.directory.path().join("x.db"), "x".repeat(1_000)).unwrap();
    let error = world.start().err().unwrap();
    assert!(matches!(&error, Error::InvalidConfig(problem) if problem.key == "db.path"), "{error}");
}

fn partitions(count: u32) -> Vec<TopicPartition> {
    (0..count).map(|partition| TopicPartition { topic: "t".into(), partition }).collect()
}

fn at(partition: u32, next_offset: u64) -> Position {
    Position { topic: "t".into(), partition, next_offset }
}

/// Records of partition 0 with these offsets; those with a `!` cannot be rows.
fn offsets(offsets: &str) -> String {
    let records: Vec<String> = offsets
        .split(' ')
        .map(|word| {
            let offset = word.trim_end_matches('!');
            let value = if word.ends_with('!') { "7".to_owned() } else { format!(r#"{{"o":{offset}}}"#) };
            format!(r#"{{"topic":"t","partition":0,"offset":{offset},"value":{value}}}"#)
        })
        .collect();
    format!("[{}]", records.join(","))
}

const EXACTLY_ONCE: &str = "delivery.guarantee=exactly_once auto.create=true";

#[test]
fn positions_are_kept_with_the_rows_and_answered_to_the_next_task() {
    let world = World::new(EXACTLY_ONCE);
    let mut sink = world.start().unwrap();
    assert_eq!(sink.open(&partitions(2)).unwrap(), []);
    sink.put_json(&offsets("3 4 9")).unwrap();
    assert_eq!(sink.pre_commit().unwrap(), Some(vec![at(0, 10)]));
    drop(sink);
    let mut sink = world.start().unwrap();
    assert_eq!(sink.open(&partitions(2)).unwrap(), [at(0, 10)]);
    sink.put_json(&offsets("10 11")).unwrap();
    assert_eq!(world.query("SELECT group_concat(o) FROM t"), "'3,4,9,10,11'\n");
    assert_eq!(world.query("SELECT * FROM tidegate_positions"), "'out' | 't' | 0 | 12\n");
}

#[test]
fn an_operator_sets_positions_and_has_them_forgotten() {
    let world = World::new(EXACTLY_ONCE);
    let settings: Vec<(&str, &str)> = world.settings.iter().map(|(key, value)| (&**key, &**value)).collect();
    let config = Config::new(&SqliteSink::definition(), settings);
    let new = |partition, next_offset| NewOffset { topic: "t".into(), partition, next_offset };
    assert!(SqliteSink::alter_offsets(&config, &[new(0, Some(7)), new(1, Some(3))]).unwrap());
    assert_eq!(world.start().unwrap().open(&partitions(2)).unwrap(), [at(0, 7), at(1, 3)]);
    assert!(SqliteSink::alter_offsets(&config, &[new(0, None), new(1, Some(4))]).unwrap());
    assert_eq!(world.start().unwrap().open(&partitions(2)).unwrap(), [at(1, 4)]);
}

#[test]
fn records_that_come_again_are_not_written_again() {
    let world = World::new(EXACTLY_ONCE);
    let mut sink = world.start().unwrap();
    sink.open(&partitions(1)).unwrap();
    sink.put_json(&offsets("0 1 2")).unwrap();
    sink.put_json(&offsets("1 2 3")).unwrap();
    assert_eq!(world.query("SELECT group_concat(o) FROM t"), "'0,1,2,3'\n");
}

#[test]
fn a_task_that_lost_its_partition_to_another_writes_nothing_more() {
    let world = World::new(EXACTLY_ONCE);
    let (mut old, mut new) = (world.start().unwrap(), world.start().unwrap());
    old.open(&partitions(1)).unwrap();
    old.put_json(&offsets("0 1")).unwrap();
    assert_eq!(new.open(&partitions(1)).unwrap(), [at(0, 2)]);
    // The old one comes first: the new one notices.
    old.put_json(&offsets("2")).unwrap();
    let error = new.put_json(&offsets("2 3")).unwrap_err();
    assert!(matches!(&error, Error::ConnectionLost(why) if why.contains("another task has written")), "{error}");
    // It asks again, goes on from there, and then the old one notices.
    assert_eq!(new.open(&partitions(1)).unwrap(), [at(0, 3)]);
    new.put_json(&offsets("3")).unwrap();
    assert!(matches!(old.put_json(&offsets("3 4")), Err(Error::ConnectionLost(_))));
    assert_eq!(world.query("SELECT group_concat(o) FROM t"), "'0,1,2,3'\n");
}

#[test]
fn a_position_passes_a_refused_record_with_what_follows_it_only() {
    let world = World::new(EXACTLY_ONCE);
    let mut sink = world.start().unwrap();
    sink.open(&partitions(1)).unwrap();
    let outcome = sink.put_json(&offsets("0 1! 2 3!")).unwrap();
    assert_eq!((outcome.rejected().len(), outcome.retry()), (1, Some((2, 0))));
    assert_eq!(sink.pre_commit().unwrap(), Some(vec![at(0, 1)]));
    let outcome = sink.put_json(&offsets("2 3!")).unwrap();
    assert_eq!((outcome.rejected().len(), outcome.retry()), (1, None));
    assert_eq!(sink.pre_commit().unwrap(), Some(vec![at(0, 3)]));
    assert_eq!(world.query("SELECT group_concat(o) FROM t"), "'0,2'\n");
}

#[test]
fn what_a_transform_made_of_one_record_is_written_as_a_whole_or_refused_as_a_whole() {
    let world = World::new(EXACTLY_ONCE);
    let mut sink = world.start().unwrap();
    sink.open(&partitions(1)).unwrap();
    let outcome = sink.put_json(&offsets("0 1 1 1 2 2! 2 3")).unwrap();
    assert_eq!((outcome.rejected().len(), outcome.retry()), (3, Some((7, 0))));
    assert_eq!(sink.pre_commit().unwrap(), Some(vec![at(0, 2)]));
    sink.put_json(&offsets("3 3")).unwrap();
    assert_eq!(sink.pre_commit().unwrap(), Some(vec![at(0, 4)]));
    assert_eq!(world.query("SELECT group_concat(o) FROM t"), "'0,1,1,1,3,3'\n");
}

#[test]
fn a_row_that_rolls_back_the_whole_transaction_fails_the_batch_and_writes_nothing() {
    let world = World::new(EXACTLY_ONCE);
    world
        .connect()
        .execute_batch("CREATE TABLE t (o INTEGER UNIQUE ON CONFLICT ROLLBACK); INSERT INTO t VALUES (1)")
        .unwrap();
    let mut sink = world.start().unwrap();
    sink.open(&partitions(1)).unwrap();
    let error = sink.put_json(&offsets("0 1 2")).unwrap_err();
    assert!(matches!(&error, Error::Fatal(why) if why.contains("rolled back")), "{error}");
    assert_eq!(world.query("SELECT group_concat(o) FROM t"), "'1'\n");
    assert_eq!(world.query("SELECT count(*) FROM tidegate_positions"), "0\n");
}

#[test]
fn a_topic_that_was_made_anew_is_not_taken_for_written() {
    let world = World::new(EXACTLY_ONCE);
    let mut sink = world.start().unwrap();
    sink.open(&partitions(1)).unwrap();
    sink.put_json(&offsets("5")).unwrap();
    let mut sink = world.start().unwrap();
    sink.open(&partitions(1)).unwrap();
    let error = sink.put_json(&offsets("0")).unwrap_err().to_string();
    assert!(error.contains("made again"), "{error}");
}

#[test]
fn a_batch_that_waits_for_another_program_is_not_lost() {
    let world = World::new("auto.create=true");
    let mut sink = world.start().unwrap();
    let other = world.connect();
    other.execute_batch("CREATE TABLE t (o INTEGER); BEGIN IMMEDIATE").unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(200));
            other.execute_batch("COMMIT").unwrap();
        });
        sink.put_json(&offsets("0")).unwrap();
    });
    assert_eq!(world.query("SELECT o FROM t"), "0\n");
}
