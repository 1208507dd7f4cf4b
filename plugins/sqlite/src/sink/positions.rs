//! How far each partition is written, kept in the database beside the rows.
//!
//! The table is written in the transaction that writes the rows, so both are there or neither. What is in memory is what
//! this task has seen there last: if the table says something else, another task has written meanwhile (one that took the
//! partition over, or one that should have given it up), and this one must not. So two owners of a partition never write
//! the same record, whichever of them comes first.

use crate::quote;
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior};
use std::collections::BTreeMap;
use tidegate_sdk::{Error, NewOffset, Position, TopicPartition};

#[derive(Debug)]
pub(super) struct Positions {
    table: String,
    connector: String,
    /// By topic and partition.
    places: BTreeMap<(String, u32), Place>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// The next offset when the partition was opened: no record before it can come.
    opened: Option<i64>,
    /// The next offset that the database has.
    stored: Option<i64>,
    /// The next offset that the present transaction makes.
    next: Option<i64>,
    /// Whether the present transaction has compared.
    compared: bool,
}

/// What to do with a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Write,
    /// The database has it already.
    Skip,
}

impl Positions {
    pub(super) fn new(table: &str, connector: &str) -> Positions {
        Positions { table: quote::name(table), connector: connector.to_owned(), places: BTreeMap::new() }
    }

    pub(super) fn make_table(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.execute_batch(&format!(
            "CREATE TABLE IF NOT EXISTS {} (connector TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, \
             next_offset INTEGER NOT NULL, PRIMARY KEY (connector, topic, partition)) WITHOUT ROWID",
            self.table
        ))
    }

    fn stored(&self, connection: &Connection, topic: &str, partition: u32) -> rusqlite::Result<Option<i64>> {
        connection
            .prepare_cached(&format!(
                "SELECT next_offset FROM {} WHERE connector = ? AND topic = ? AND partition = ?",
                self.table
            ))?
            .query_row((&self.connector, topic, partition), |row| row.get(0))
            .optional()
    }

    /// Sets a partition's next offset.
    pub(super) fn store(
        &self,
        connection: &Connection,
        topic: &str,
        partition: u32,
        next_offset: i64,
    ) -> rusqlite::Result<()> {
        connection
            .prepare_cached(&format!(
                "INSERT INTO {} (connector, topic, partition, next_offset) VALUES (?, ?, ?, ?) \
                 ON CONFLICT (connector, topic, partition) DO UPDATE SET next_offset = excluded.next_offset",
                self.table
            ))?
            .execute((&self.connector, topic, partition, next_offset))
            .map(drop)
    }

    /// Forgets how far a partition is written.
    fn forget(&self, connection: &Connection, topic: &str, partition: u32) -> rusqlite::Result<()> {
        connection
            .prepare_cached(&format!("DELETE FROM {} WHERE connector = ? AND topic = ? AND partition = ?", self.table))?
            .execute((&self.connector, topic, partition))
            .map(drop)
    }

    /// Sets offsets as an operator wants them.
    pub(super) fn alter(&self, connection: &Connection, offsets: &[NewOffset]) -> rusqlite::Result<()> {
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        self.make_table(&transaction)?;
        for NewOffset { topic, partition, next_offset } in offsets {
            match next_offset {
                Some(next) => self.store(&transaction, topic, *partition, i64::try_from(*next).unwrap_or(i64::MAX))?,
                None => self.forget(&transaction, topic, *partition)?,
            }
        }
        transaction.commit()
    }

    /// Takes partitions over: what the database has of them.
    pub(super) fn open(
        &mut self,
        connection: &Connection,
        partitions: &[TopicPartition],
    ) -> rusqlite::Result<Vec<Position>> {
        let mut known = Vec::new();
        for TopicPartition { topic, partition } in partitions {
            let stored = self.stored(connection, topic, *partition)?;
            let place = Place { opened: stored, stored, ..Place::default() };
            self.places.insert((topic.clone(), *partition), place);
            known.extend(position(topic, *partition, stored));
        }
        Ok(known)
    }

    pub(super) fn close(&mut self, partitions: &[TopicPartition]) {
        for TopicPartition { topic, partition } in partitions {
            self.places.remove(&(topic.clone(), *partition));
        }
    }

    /// What the database has of every open partition.
    pub(super) fn all(&self) -> Vec<Position> {
        self.places.iter().filter_map(|((topic, partition), place)| position(topic, *partition, place.stored)).collect()
    }

    /// Looks at a record inside a transaction. The error ends the transaction and the task's hold on its partitions.
    pub(super) fn turn(
        &mut self,
        connection: &Connection,
        (topic, partition, offset): (&str, i32, i64),
    ) -> Result<Turn, Error> {
        let unknown =
            || Error::fatal(format!("a record of partition {topic}-{partition} came, which is not open here"));
        let partition = u32::try_from(partition).map_err(|_| unknown())?;
        let mut place = *self.places.get(&(topic.to_owned(), partition)).ok_or_else(unknown)?;
        if !place.compared {
            let stored =
                self.stored(connection, topic, partition).map_err(|error| crate::database::task_error(&error))?;
            if stored != place.stored {
                return Err(Error::connection_lost(format!(
                    "another task has written partition {topic}-{partition}: it stands at {}, not at {}",
                    shown(stored),
                    shown(place.stored),
                )));
            }
            place.compared = true;
            place.next = stored;
        }
        if let Some(opened) = place.opened
            && offset < opened
        {
            return Err(Error::fatal(format!(
                "partition {topic}-{partition} is written up to offset {opened}, but offset {offset} came\n\
                 detail: the topic was deleted and made again, or lost its end\n\
                 hint: to write it from its beginning, delete the partition's row in the table {} of the database",
                self.table
            )));
        }
        let turn = if place.next.is_some_and(|next| offset < next) { Turn::Skip } else { Turn::Write };
        if turn == Turn::Write {
            place.next = Some(offset + 1);
        }
        self.places.insert((topic.to_owned(), partition), place);
        Ok(turn)
    }

    /// The record is not written after all; nothing of its partition may follow it in this transaction.
    pub(super) fn take_back(&mut self, (topic, partition, offset): (&str, i32, i64)) {
        let partition = u32::try_from(partition).unwrap_or_default();
        if let Some(place) = self.places.get_mut(&(topic.to_owned(), partition)) {
            place.next = place.stored.max(Some(offset));
        }
    }

    /// Writes how far the present transaction comes.
    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        for ((topic, partition), place) in &self.places {
            if let (true, Some(next)) = (place.compared && place.next != place.stored, place.next) {
                self.store(connection, topic, *partition, next)?;
            }
        }
        Ok(())
    }

    /// The transaction is over.
    pub(super) fn ended(&mut self, committed: bool) {
        for place in self.places.values_mut() {
            if committed && place.compared {
                place.stored = place.next;
            }
            (place.next, place.compared) = (None, false);
        }
    }
}

fn position(topic: &str, partition: u32, next: Option<i64>) -> Option<Position> {
    let next_offset = u64::try_from(next?).ok()?;
    Some(Position { topic: topic.to_owned(), partition, next_offset })
}

fn shown(offset: Option<i64>) -> String {
    offset.map_or_else(|| "no offset".to_owned(), |offset| format!("offset {offset}"))
}
