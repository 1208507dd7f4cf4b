//! A sink that keeps its positions in its target, on the real Kafka: killed fifty times, it writes each record once. What is
//! killed when, step by step, is in `host/cli/tests/cli/exactly_once.rs`, on the embedded broker.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rusqlite::{Connection, OpenFlags};
use serde_json::json;
use tidegate_kafka::{Admin, ClientSettings, NewTopic, OutRecord, Producer};
use tidegate_kafka_ring::{Process, java_or_skip, tidegate, until};

const PARTITIONS: i32 = 3;
const KILLS: u64 = 20;
const RECORDS: i64 = 100;
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn each_record_is_in_the_table_once_however_often_the_process_is_killed() -> Result<()> {
    let Some(java) = java_or_skip() else { return Ok(()) };
    let broker = java.broker()?;
    let dir = tempfile::tempdir()?;
    std::fs::write(
        dir.path().join("w.properties"),
        format!(
            "bootstrap.servers={}\nlisteners=http://127.0.0.1:0\noffset.storage.file.filename=offsets\n\
             key.converter=org.apache.kafka.connect.storage.StringConverter\noffset.flush.interval.ms=300\n\
             value.converter=org.apache.kafka.connect.json.JsonConverter\nvalue.converter.schemas.enable=false\n",
            broker.address
        ),
    )?;
    let sink = json!({"name": "out", "config": {
        "connector.class": "SqliteSink", "topics": "exact", "db.path": "x.db", "auto.create": "true",
        "table.name.format": "rows", "delivery.guarantee": "exactly_once", "batch.size": "20",
        "consumer.override.group.instance.id": "one", "consumer.override.session.timeout.ms": "30000",
    }});
    std::fs::write(dir.path().join("sink.json"), sink.to_string())?;
    let admin = Admin::open(&ClientSettings::for_control(&broker.address))?;
    admin.create_topic(
        &NewTopic {
            name: "exact".to_owned(),
            partitions: Some(PARTITIONS),
            replication_factor: Some(1),
            configs: Vec::new(),
        },
        PATIENCE,
    )?;
    let start = || {
        let mut worker = tidegate(&["standalone", "w.properties", "sink.json"]);
        worker.current_dir(dir.path());
        Process::spawn(worker, &dir.path().join("worker.log"))
    };
    let database = dir.path().join("x.db");
    let query = |sql: &str| -> i64 {
        let connection = Connection::open_with_flags(&database, OpenFlags::SQLITE_OPEN_READ_ONLY);
        connection.and_then(|connection| connection.query_row(sql, [], |row| row.get(0))).unwrap_or(0)
    };
    let stored = || query("SELECT sum(next_offset) FROM tidegate_positions");
    let committed =
        || -> i64 { admin.group_offsets("connect-out", PATIENCE).unwrap_or_default().iter().map(|at| at.offset).sum() };

    let (mut sent, mut between) = (0, 0);
    for kill in 0..KILLS {
        produce(&broker.address, sent)?;
        sent += RECORDS;
        let before = (stored(), committed());
        let mut worker = start()?;
        let begun = Instant::now();
        let waited = |is_true: &dyn Fn() -> bool| {
            while !is_true() && begun.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        match kill % 3 {
            0 => std::thread::sleep(Duration::from_millis(200 + kill * 40)),
            1 => waited(&|| stored() > before.0),
            _ => waited(&|| committed() > before.1),
        }
        worker.kill()?;
        between += u64::from(kill % 3 == 1 && stored() > committed());
    }
    eprintln!("{KILLS} kills, {between} of them between the target's commit and Kafka's");
    ensure!(between >= KILLS / 6, "only {between} kills between the commits");

    let worker = start()?;
    let all = sent * i64::from(PARTITIONS);
    until("all records are in the table", || Ok(stored() >= all)).map_err(|error| error.context(worker.output()))?;
    drop(worker);
    let connection = Connection::open(&database)?;
    let mut statement = connection.prepare("SELECT p, n FROM rows ORDER BY rowid")?;
    let mut next: BTreeMap<i64, i64> = BTreeMap::new();
    for row in statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))? {
        let (partition, number): (i64, i64) = row?;
        let next = next.entry(partition).or_default();
        ensure!(number == *next, "partition {partition}: {number} came where {next} was expected");
        *next += 1;
    }
    ensure!(next.len() == PARTITIONS as usize && next.values().all(|next| *next == sent), "{next:?} of {sent}");
    Ok(())
}

/// Writes the next numbers to each partition.
fn produce(bootstrap: &str, from: i64) -> Result<()> {
    let mut producer = Producer::open(&ClientSettings::for_producer(bootstrap, 4 << 20))?;
    let numbers = from..from + RECORDS;
    let values: Vec<(i32, String)> =
        numbers.flat_map(|n| (0..PARTITIONS).map(move |p| (p, json!({"p": p, "n": n}).to_string()))).collect();
    let records: Vec<OutRecord<'_>> = values
        .iter()
        .map(|(partition, value)| OutRecord {
            topic: "exact",
            partition: Some(*partition),
            key: None,
            value: Some(value.as_bytes()),
            headers: &[],
            timestamp: None,
        })
        .collect();
    ensure!(producer.produce(&records, PATIENCE).accepted == records.len(), "not everything was accepted");
    let mut outcomes = Vec::new();
    let begun = Instant::now();
    while outcomes.is_empty() {
        producer.poll_acks(Duration::from_millis(100), &mut outcomes);
        ensure!(begun.elapsed() < PATIENCE, "the broker does not acknowledge");
    }
    ensure!(outcomes.iter().all(|outcome| outcome.failures.is_empty()), "{outcomes:?}");
    Ok(())
}
