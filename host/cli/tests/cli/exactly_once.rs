//! `delivery.guarantee=exactly_once`: the real binary is killed at every step of a delivery, and each record is in the SQLite
//! table once, in its partition's order.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use serde_json::json;
use tidegate_kafka::{Admin, ClientSettings, NewTopic, OutRecord, Producer};

use crate::process::{DEADLINE, Place, Running, until};

const PARTITIONS: i32 = 3;
/// Kills of each of the [`MOMENTS`].
const ROUNDS: usize = 10;
/// Records that each partition gets before each life: more than one life delivers.
const RECORDS: usize = 150;

/// When the process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    /// Somewhere between its start and the first batch.
    Starting,
    /// A transaction of the target's is being written: there is something in its journal.
    Writing,
    /// Any time after that, while the next life finds what the one before left in the journal.
    Anywhere,
    /// The target has committed, and Kafka's commit has not come yet.
    BetweenTheCommits,
    /// Kafka's commit has come.
    Committed,
}

const MOMENTS: [Moment; 5] =
    [Moment::Starting, Moment::Writing, Moment::Anywhere, Moment::BetweenTheCommits, Moment::Committed];

struct Stage {
    place: Place,
    kafka: String,
    sent: i64,
    _broker: Running,
}

impl Stage {
    fn set() -> Stage {
        let place = Place::new();
        let mut broker = place.start(&["broker", "--listen", "127.0.0.1:0"]);
        let kafka = broker.line("Kafka");
        place.write(
            "w.properties",
            format!(
                "bootstrap.servers={kafka}\nlisteners=http://127.0.0.1:0\n\
                 key.converter=org.apache.kafka.connect.storage.StringConverter\n\
                 value.converter=org.apache.kafka.connect.json.JsonConverter\nvalue.converter.schemas.enable=false\n\
                 offset.storage.file.filename=offsets\noffset.flush.interval.ms=400\n"
            ),
        );
        // Transforms that change topic and key, by which nothing of this may be found.
        let sink = json!({"name": "out", "config": {
            "connector.class": "SqliteSink", "topics": "t", "db.path": "x.db", "table.name.format": "${topic}",
            "auto.create": "true", "delivery.guarantee": "exactly_once", "batch.size": "20",
            "transforms": "route,key",
            "transforms.route.type": "org.apache.kafka.connect.transforms.RegexRouter",
            "transforms.route.regex": ".*", "transforms.route.replacement": "rows",
            "transforms.key.type": "org.apache.kafka.connect.transforms.ValueToKey", "transforms.key.fields": "n",
            // A member that comes back is given its partitions at once.
            "consumer.override.group.instance.id": "one", "consumer.override.session.timeout.ms": "30000",
        }});
        place.write("sink.json", sink.to_string());
        let admin = Admin::open(&ClientSettings::for_control(&kafka)).unwrap();
        let topic = NewTopic {
            name: "t".to_owned(),
            partitions: Some(PARTITIONS),
            replication_factor: Some(1),
            configs: Vec::new(),
        };
        admin.create_topic(&topic, DEADLINE).unwrap();
        Stage { place, kafka, sent: 0, _broker: broker }
    }

    fn send(&mut self) {
        let mut producer = Producer::open(&ClientSettings::for_producer(&self.kafka, 4 << 20)).unwrap();
        let numbers = self.sent..self.sent + RECORDS as i64;
        let values: Vec<(i32, String)> =
            numbers.flat_map(|n| (0..PARTITIONS).map(move |p| (p, json!({"p": p, "n": n}).to_string()))).collect();
        let records: Vec<OutRecord<'_>> = values
            .iter()
            .map(|(partition, value)| OutRecord {
                topic: "t",
                partition: Some(*partition),
                key: None,
                value: Some(value.as_bytes()),
                headers: &[],
                timestamp: None,
            })
            .collect();
        assert_eq!(producer.produce(&records, DEADLINE).accepted, records.len());
        let mut outcomes = Vec::new();
        let begun = Instant::now();
        while outcomes.is_empty() {
            producer.poll_acks(Duration::from_millis(100), &mut outcomes);
            assert!(begun.elapsed() < DEADLINE);
        }
        assert!(outcomes.iter().all(|outcome| outcome.failures.is_empty()), "{outcomes:?}");
        self.sent += RECORDS as i64;
    }

    fn start(&self) -> Running {
        self.place.start(&["standalone", "w.properties", "sink.json"])
    }

    /// Size of the journal: more than nothing while a transaction is written.
    fn journal(&self) -> u64 {
        std::fs::metadata(self.place.path("x.db-journal")).map_or(0, |found| found.len())
    }

    /// The next offsets that the group has committed, added up.
    fn committed(&self) -> i64 {
        let admin = Admin::open(&ClientSettings::for_control(&self.kafka)).unwrap();
        admin.group_offsets("connect-out", DEADLINE).unwrap().iter().map(|at| at.offset).sum()
    }

    /// The next offsets that the target has, added up.
    fn stored(&self) -> i64 {
        query(&self.place.path("x.db"), "SELECT ifnull(sum(next_offset), 0) FROM tidegate_positions").unwrap_or(0)
    }

    /// Kills the process at the moment; answers whether the moment was met.
    fn kill_at(&self, moment: Moment, chance: &mut fastrand::Rng) -> bool {
        let mut worker = self.start();
        let mut wait = |most: u64| std::thread::sleep(Duration::from_millis(chance.u64(0..most)));
        let soon = |mut is_true: Box<dyn FnMut() -> bool + '_>| {
            let begun = Instant::now();
            while !is_true() {
                if begun.elapsed() > Duration::from_secs(20) {
                    return false;
                }
                std::thread::sleep(Duration::from_micros(100));
            }
            true
        };
        let met = match moment {
            Moment::Starting => {
                wait(1_200);
                true
            }
            Moment::Writing => {
                worker.line("connector \"out\"");
                // What the life before left there is gone once this one has begun.
                soon(Box::new(|| self.journal() == 0)) && soon(Box::new(|| self.journal() > 0))
            }
            Moment::Anywhere => {
                worker.line("connector \"out\"");
                wait(400);
                true
            }
            Moment::BetweenTheCommits => {
                worker.line("connector \"out\"");
                let before = self.stored();
                soon(Box::new(|| self.stored() > before))
            }
            Moment::Committed => {
                worker.line("connector \"out\"");
                let before = self.committed();
                soon(Box::new(|| self.committed() > before))
            }
        };
        worker.kill();
        match moment {
            Moment::Writing => met && self.journal() > 0,
            Moment::BetweenTheCommits => met && self.stored() > self.committed(),
            _ => met,
        }
    }
}

fn query(path: &Path, sql: &str) -> rusqlite::Result<i64> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.query_row(sql, [], |row| row.get(0))
}

/// The checker: every number of each partition from 0 on, once, in order.
fn check(path: &Path, count: i64) -> Result<(), String> {
    let connection = Connection::open(path).map_err(|error| error.to_string())?;
    let mut statement =
        connection.prepare("SELECT p, n FROM rows ORDER BY rowid").map_err(|error| error.to_string())?;
    let mut next: BTreeMap<i64, i64> = BTreeMap::new();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(|error| error.to_string())?;
    for row in rows {
        let (partition, number): (i64, i64) = row.map_err(|error| error.to_string())?;
        let next = next.entry(partition).or_default();
        if number != *next {
            return Err(format!("partition {partition}: {number} came where {next} was expected"));
        }
        *next += 1;
    }
    match next.values().all(|next| *next == count) && next.len() == PARTITIONS as usize {
        true => Ok(()),
        false => Err(format!("{next:?} arrived of {count} in each partition")),
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test that is to be repeated is told its seed")]
fn each_record_is_in_the_table_once_whenever_the_process_is_killed() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    eprintln!("SEED={seed}");
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut stage = Stage::set();
    let (mut kills, mut met) = (0, BTreeMap::<Moment, usize>::new());
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        for moment in MOMENTS {
            stage.send();
            kills += 1;
            *met.entry(moment).or_default() += usize::from(stage.kill_at(moment, &mut chance));
        }
    }
    eprintln!("{kills} kills in {:?}, at the moment meant: {met:?}", begun.elapsed());
    for moment in [Moment::Writing, Moment::BetweenTheCommits, Moment::Committed] {
        assert!(met[&moment] * 2 >= ROUNDS, "{moment:?} was missed too often: {met:?}");
    }

    let path = stage.place.path("x.db");
    let worker = stage.start();
    let all = stage.sent * i64::from(PARTITIONS);
    until("all records are in the table", || query(&path, "SELECT count(*) FROM rows").is_ok_and(|count| count >= all));
    until("the group has caught up", || stage.committed() == all);
    assert_eq!(worker.terminate(), Some(0));
    assert_eq!(stage.stored(), all);
    check(&path, stage.sent).unwrap_or_else(|error| panic!("SEED={seed}: {error}"));

    // The checker sees what it is there for.
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("BEGIN; INSERT INTO rows SELECT * FROM rows WHERE p = 1 AND n = 5; COMMIT").unwrap();
    assert_eq!(check(&path, stage.sent), Err(format!("partition 1: 5 came where {} was expected", stage.sent)));
    connection.execute_batch("DELETE FROM rows WHERE p = 1 AND n = 5").unwrap();
    assert_eq!(check(&path, stage.sent), Err("partition 1: 6 came where 5 was expected".to_owned()));
}
