//! `SqliteSource`: rows as records, found again by a column that grows.
//!
//! Keys, modes, source partitions and offsets are those of the JDBC source. A row is read in one statement of at most
//! `batch.max.rows`, so that the database is never locked for long.

mod columns;
mod stream;

use crate::database;
use rusqlite::Connection;
use std::time::{Duration, Instant};
use stream::{From, Mode, Offset, Page, Stream};
use tidegate_sdk::{Config, Definition, Encoding, Error, Key, Problem, Result, SourceBatch, SourceOffset, SourceTask};

/// One task that reads one database.
pub struct SqliteSource {
    connection: Connection,
    streams: Vec<Stream>,
    /// The stream that is read next.
    at: usize,
    rows_max: i64,
    pause: Duration,
    /// When the next round begins.
    due: Instant,
}

impl SourceTask for SqliteSource {
    fn definition() -> Definition {
        Definition::source("SqliteSource")
            .doc("Reads rows of the tables of an SQLite database, and those that are added or changed, into topics.")
            .encoding(Encoding::Tlv)
            .exactly_once()
            .key(Key::path_read("db.path").database().high().required().doc("The database file."))
            .key(Key::string("mode").one_of(&["bulk", "incrementing", "timestamp+incrementing"]).required().high().doc(
                "How rows are found. bulk: all of them each time; incrementing: those with a greater number in \
                         incrementing.column.name; timestamp+incrementing: those that were changed since, too.",
            ))
            .key(Key::string("incrementing.column.name").doc("A column whose whole numbers grow from row to row."))
            .key(
                Key::string("timestamp.column.name")
                    .doc("A column that says when the row was changed last: milliseconds, or text that sorts by time."),
            )
            .key(
                Key::list("table.whitelist")
                    .doc("The tables to read. Unless set: all that are there when the task starts."),
            )
            .key(
                Key::string("query")
                    .doc("Reads what this SELECT finds instead of tables, into the topic topic.prefix."),
            )
            .key(
                Key::string("topic.prefix")
                    .high()
                    .required()
                    .doc("Goes before the table's name to make the topic's; with query, the topic."),
            )
            .key(Key::int("poll.interval.ms").default(5_000).min(1).doc("How often is looked for rows."))
            .key(Key::int("batch.max.rows").default(1_000).min(1).low().doc("Rows that are read at a time."))
    }

    fn validate(config: &Config) -> Vec<Problem> {
        let is_set = |key: &str| config.get(key).is_some_and(|value| !value.trim().is_empty());
        let mode = config.get("mode").unwrap_or_default();
        let mut problems = Vec::new();
        for (key, is_needed) in [
            ("incrementing.column.name", matches!(mode, "incrementing" | "timestamp+incrementing")),
            ("timestamp.column.name", mode == "timestamp+incrementing"),
        ] {
            if is_needed && !is_set(key) {
                problems.push(Problem::new(key, format!("must be set with mode={mode}")));
            }
        }
        if is_set("query") && is_set("table.whitelist") {
            problems.push(Problem::new("query", "is set together with table.whitelist; only one of them may be"));
        }
        problems
    }

    fn exactly_once_support(config: &Config) -> bool {
        // All rows each time is more than once by design.
        config.get("mode") != Some("bulk")
    }

    fn alter_offsets(_: &Config, offsets: &[SourceOffset]) -> Result<bool> {
        for offset in offsets.iter().filter_map(|offset| offset.offset.as_deref()) {
            Offset::read(offset).map_err(Error::fatal)?;
        }
        Ok(true)
    }

    fn start(config: &Config) -> Result<SqliteSource> {
        if let Some(problem) = Self::validate(config).into_iter().next() {
            return Err(Error::InvalidConfig(problem));
        }
        let connection = database::open_to_read(config.string("db.path")?)?;
        let text = |key: &str| config.get(key).unwrap_or_default().trim().to_owned();
        let mode = match config.string("mode")? {
            "incrementing" => Mode::Incrementing { column: text("incrementing.column.name") },
            "timestamp+incrementing" => Mode::Timestamp {
                column: text("timestamp.column.name"),
                incrementing: text("incrementing.column.name"),
            },
            _ => Mode::Bulk,
        };
        let query = text("query");
        let from: Vec<From> = match (query.is_empty(), config.list("table.whitelist")) {
            (false, _) => vec![From::Query(query.trim_end_matches(';').to_owned())],
            (true, named) if !named.is_empty() => named.into_iter().map(|name| From::Table(name.to_owned())).collect(),
            (true, _) => all_tables(&connection)?,
        };
        let prefix = config.string("topic.prefix")?;
        let streams = from.into_iter().map(|from| Stream::new(from, mode.clone(), prefix)).collect::<Result<_>>()?;
        Ok(SqliteSource {
            connection,
            streams,
            at: 0,
            rows_max: config.int("batch.max.rows")?.into(),
            pause: Duration::from_millis(config.int("poll.interval.ms")?.unsigned_abs().into()),
            due: Instant::now(),
        })
    }

    fn poll(&mut self, batch: &mut SourceBatch) -> Result<()> {
        let wait = self.due.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            let most = Duration::from_millis(batch.limits().wait_ms.into());
            std::thread::sleep(wait.min(most));
            if wait > most {
                return Ok(());
            }
        }
        while !batch.is_full() {
            let Some(stream) = self.streams.get_mut(self.at) else {
                self.at = 0;
                self.streams.iter_mut().for_each(Stream::begin_round);
                self.due = Instant::now() + self.pause;
                return Ok(());
            };
            match stream.read(&self.connection, batch, self.rows_max) {
                Ok(Page::Full) => {}
                Ok(Page::Last) => self.at += 1,
                // What was read is not thrown away; the error comes again.
                Err(_) if !batch.is_empty() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Every table but SQLite's own and the one where sinks keep positions.
fn all_tables(connection: &Connection) -> Result<Vec<From>> {
    let failed = |error: rusqlite::Error| database::task_error(&error);
    let mut statement = connection
        .prepare(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
             AND name <> 'tidegate_positions' ORDER BY name",
        )
        .map_err(failed)?;
    let names = statement.query_map([], |row| row.get(0)).map_err(failed)?;
    names.map(|name| name.map(From::Table)).collect::<rusqlite::Result<_>>().map_err(failed)
}
