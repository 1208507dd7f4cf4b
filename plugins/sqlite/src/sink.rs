//! `SqliteSink`: records as rows.
//!
//! Each batch is one transaction. A record that cannot be a row is refused and the others are written. With
//! `delivery.guarantee=exactly_once` the transaction also says how far each partition is written ([`positions`]), and it ends
//! before a refused record: the host makes sure that its dead letter is safe before it hands over what follows.

mod positions;
mod row;
mod settings;
mod table;

use crate::{database, quote};
use positions::{Positions, Turn};
use row::{Change, Column};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use settings::{InsertMode, Settings};
use std::collections::HashMap;
use std::rc::Rc;
use table::{Failed, Tables};
use tidegate_sdk::{
    Config, Definition, Error, NewOffset, Outcome, Position, Problem, RecordRef, Result, Schema, SchemaId, SinkBatch,
    SinkTask, TopicPartition, host,
};

/// One task that writes to one database.
pub struct SqliteSink {
    settings: Settings,
    connection: Connection,
    tables: Tables,
    schemas: HashMap<SchemaId, Option<Rc<Schema>>>,
    /// Only where records are to be delivered exactly once.
    positions: Option<Positions>,
}

impl SinkTask for SqliteSink {
    fn definition() -> Definition {
        settings::definition()
    }

    fn validate(config: &Config) -> Vec<Problem> {
        settings::problems(config)
    }

    fn task_configs(config: &Config, _: u32) -> Result<Vec<Config>> {
        // SQLite has one writer at a time: more tasks would only wait for one another.
        Ok(vec![config.clone()])
    }

    fn alter_offsets(config: &Config, offsets: &[NewOffset]) -> Result<bool> {
        let settings = Settings::of(config)?;
        if settings.exactly_once {
            let connection = database::open_to_write(&settings.path)?;
            let positions = Positions::new(&settings.positions_table, &settings.connector);
            positions.alter(&connection, offsets).map_err(|error| database::task_error(&error))?;
        }
        Ok(true)
    }

    fn start(config: &Config) -> Result<SqliteSink> {
        let settings = Settings::of(config)?;
        let connection = database::open_to_write(&settings.path)?;
        let positions = settings.exactly_once.then(|| Positions::new(&settings.positions_table, &settings.connector));
        if let Some(positions) = &positions {
            positions.make_table(&connection).map_err(|error| database::task_error(&error))?;
        }
        Ok(SqliteSink { settings, connection, tables: Tables::default(), schemas: HashMap::new(), positions })
    }

    fn open(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Position>> {
        match &mut self.positions {
            None => Ok(Vec::new()),
            Some(positions) => {
                positions.open(&self.connection, partitions).map_err(|error| database::task_error(&error))
            }
        }
    }

    fn put(&mut self, batch: &SinkBatch<'_>, outcome: &mut Outcome) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let written = self.write(batch, outcome);
        if let Some(positions) = &mut self.positions {
            positions.ended(written.is_ok());
        }
        if written.is_err() {
            self.tables.forget();
        }
        written
    }

    fn pre_commit(&mut self) -> Result<Option<Vec<Position>>> {
        // What was accepted is in the database. A refused record that nothing followed is not behind us yet.
        Ok(self.positions.as_ref().map(Positions::all))
    }

    fn close(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        if let Some(positions) = &mut self.positions {
            positions.close(partitions);
        }
        Ok(())
    }
}

impl SqliteSink {
    /// One transaction. If it fails nothing of the batch is written.
    fn write(&mut self, batch: &SinkBatch<'_>, outcome: &mut Outcome) -> Result<()> {
        let failed = |error: rusqlite::Error| database::task_error(&error);
        let transaction =
            Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate).map_err(failed)?;
        let records: Vec<_> = batch.records().collect();
        let mut rest = &records[..];
        while let Some(first) = rest.first() {
            let place = row::place(first);
            // What a transform has made of one record counts as one where positions are kept: it has one offset.
            let count = match &self.positions {
                Some(_) => rest.iter().take_while(|record| row::place(record) == place).count(),
                None => 1,
            };
            let (pieces, after) = rest.split_at(count);
            rest = after;
            if let Some(positions) = &mut self.positions
                && positions.turn(&transaction, place)? == Turn::Skip
            {
                continue;
            }
            if count > 1 {
                transaction.execute_batch("SAVEPOINT pieces").map_err(failed)?;
            }
            let written = pieces.iter().try_for_each(|record| {
                apply(&transaction, &self.settings, &mut self.tables, &mut self.schemas, record)
            });
            let message = match written {
                Ok(()) => {
                    if count > 1 {
                        transaction.execute_batch("RELEASE pieces").map_err(failed)?;
                    }
                    continue;
                }
                Err(Failed::Database(error)) => return Err(failed(error)),
                Err(Failed::Record(message)) => message,
            };
            if transaction.is_autocommit() {
                return Err(Error::fatal(format!(
                    "a record was refused in a way that rolled back the whole transaction: {message}\n\
                     hint: a constraint with ON CONFLICT ROLLBACK, or a trigger with RAISE(ROLLBACK), cannot be used here"
                )));
            }
            if count > 1 {
                transaction.execute_batch("ROLLBACK TO pieces; RELEASE pieces").map_err(failed)?;
                // A table that was made for them is gone as well.
                self.tables.forget();
            }
            pieces.iter().for_each(|record| outcome.reject(record.index(), message.clone()));
            if let Some(positions) = &mut self.positions {
                positions.take_back(place);
                if let Some(next) = rest.first() {
                    outcome.retry_from(next.index(), 0);
                }
                break;
            }
        }
        if let Some(positions) = &self.positions {
            positions.write(&transaction).map_err(failed)?;
        }
        transaction.commit().map_err(failed)
    }
}

fn apply(
    connection: &Connection,
    settings: &Settings,
    tables: &mut Tables,
    schemas: &mut HashMap<SchemaId, Option<Rc<Schema>>>,
    record: &RecordRef<'_, '_>,
) -> Result<(), Failed> {
    let mut schema_of = |id: SchemaId| schemas.entry(id).or_insert_with(|| host::schema(id).map(Rc::new)).clone();
    let change = row::change(settings, record, &mut schema_of).map_err(Failed::Record)?;
    let table = settings.table(record.topic());
    match change {
        Change::Delete(keys) => {
            if !quote::is_possible(&table) || !tables.exists(connection, &table)? {
                return Ok(());
            }
            execute(connection, &table::delete(&table, &keys), keys.iter())
        }
        Change::Write(columns) => {
            let sql = tables.statement(connection, settings, &table, &columns)?;
            match settings.insert_mode {
                InsertMode::Insert | InsertMode::Upsert => execute(connection, sql, columns.iter()),
                // All fields are of the key: there is nothing to change.
                InsertMode::Update if columns.iter().all(|column| column.is_key) => Ok(()),
                InsertMode::Update => {
                    let of = |is_key: bool| columns.iter().filter(move |column| column.is_key == is_key);
                    execute(connection, sql, of(false).chain(of(true)))
                }
            }
        }
    }
}

fn execute<'a>(connection: &Connection, sql: &str, columns: impl Iterator<Item = &'a Column>) -> Result<(), Failed> {
    let mut statement = connection.prepare_cached(sql)?;
    for (index, column) in columns.enumerate() {
        statement.raw_bind_parameter(index + 1, row::bound(&column.value))?;
    }
    statement.raw_execute()?;
    Ok(())
}
