//! The tables that rows go to: what columns they have, making and extending them, and the statements of each shape of row.

use super::row::Column;
use super::settings::{InsertMode, Settings};
use crate::{database, quote};
use rusqlite::Connection;
use std::collections::HashMap;
use tidegate_sdk::host::{self, Level};

/// Why a record was not written.
#[derive(Debug)]
pub(super) enum Failed {
    /// It is about the record.
    Record(String),
    /// It is about the database.
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Failed {
        match database::is_about_a_record(&error) {
            true => Failed::Record(error.to_string()),
            false => Failed::Database(error),
        }
    }
}

/// Tables as they were seen last. What another program changes meanwhile shows when a statement fails.
#[derive(Debug, Default)]
pub(super) struct Tables {
    columns: HashMap<String, Vec<String>>,
    shape: Option<Shape>,
}

/// The statement of the row before: rows of one topic are nearly always alike.
#[derive(Debug)]
struct Shape {
    table: String,
    columns: Vec<(String, bool)>,
    sql: String,
}

impl Tables {
    /// Forgets everything, as after a transaction that was undone and with it the tables it made.
    pub(super) fn forget(&mut self) {
        *self = Tables::default();
    }

    /// The statement that writes a row of these columns. Its parameters are the columns in their order; an update takes
    /// those of the key last.
    pub(super) fn statement(
        &mut self,
        connection: &Connection,
        settings: &Settings,
        table: &str,
        columns: &[Column],
    ) -> Result<&str, Failed> {
        let is_same = self.shape.as_ref().is_some_and(|shape| {
            shape.table == table
                && shape.columns.len() == columns.len()
                && shape
                    .columns
                    .iter()
                    .zip(columns)
                    .all(|((name, key), column)| *name == column.name && *key == column.is_key)
        });
        if !is_same {
            self.fit(connection, settings, table, columns)?;
            self.shape = Some(Shape {
                table: table.to_owned(),
                columns: columns.iter().map(|column| (column.name.clone(), column.is_key)).collect(),
                sql: sql(settings.insert_mode, table, columns),
            });
        }
        Ok(self.shape.as_ref().map_or("", |shape| &shape.sql))
    }

    /// Whether there is a table, so that something can be deleted from it.
    pub(super) fn exists(&mut self, connection: &Connection, table: &str) -> Result<bool, Failed> {
        Ok(!self.known(connection, table)?.is_empty())
    }

    fn known(&mut self, connection: &Connection, table: &str) -> Result<&[String], Failed> {
        if !self.columns.contains_key(table) {
            let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?1)")?;
            let names = statement.query_map([table], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
            if names.is_empty() {
                return Ok(&[]);
            }
            self.columns.insert(table.to_owned(), names);
        }
        Ok(self.columns.get(table).map_or(&[], Vec::as_slice))
    }

    /// Makes sure that a table has these columns.
    fn fit(
        &mut self,
        connection: &Connection,
        settings: &Settings,
        table: &str,
        columns: &[Column],
    ) -> Result<(), Failed> {
        if !quote::is_possible(table) {
            return Err(Failed::Record(format!("{table:?} cannot be the name of a table")));
        }
        // Names of columns are the same in any case of their ASCII letters.
        let misses = |known: &[String]| -> Vec<usize> {
            let is_missing = |column: &Column| !known.iter().any(|name| name.eq_ignore_ascii_case(&column.name));
            (0..columns.len()).filter(|index| is_missing(&columns[*index])).collect()
        };
        let mut known = self.known(connection, table)?;
        let mut missing = misses(known);
        if !missing.is_empty() && !known.is_empty() {
            // Somebody else may have added them.
            self.columns.remove(table);
            known = self.known(connection, table)?;
            missing = misses(known);
        }
        if missing.is_empty() {
            return Ok(());
        }
        if known.is_empty() {
            if !settings.auto_create {
                return Err(Failed::Record(format!(
                    "there is no table \"{table}\", and auto.create is false; hint: make the table, or set auto.create=true"
                )));
            }
            connection.execute(&create(table, columns), [])?;
            host::log(Level::Info, &format!("made the table \"{table}\""));
        } else {
            let names = || missing.iter().map(|index| columns[*index].name.as_str()).collect::<Vec<_>>().join(", ");
            if !settings.auto_evolve {
                return Err(Failed::Record(format!(
                    "the table \"{table}\" has no column {}, and auto.evolve is false; hint: add it, or set auto.evolve=true",
                    names()
                )));
            }
            if let Some(index) = missing.iter().find(|index| columns[**index].required || columns[**index].is_key) {
                return Err(Failed::Record(format!(
                    "the column {} cannot be added to the table \"{table}\": it is required and has no default for the \
                     rows that are there",
                    columns[*index].name
                )));
            }
            for index in &missing {
                let added = declaration(&columns[*index]);
                connection.execute(&format!("ALTER TABLE {} ADD COLUMN {added}", quote::name(table)), [])?;
            }
            host::log(Level::Info, &format!("added to the table \"{table}\": {}", names()));
        }
        self.columns.remove(table);
        Ok(())
    }
}

fn declaration(column: &Column) -> String {
    let mut text = quote::name(&column.name);
    let of_type = column.of_type.sql();
    if !of_type.is_empty() {
        text.push(' ');
        text.push_str(of_type);
    }
    if column.required || column.is_key {
        text.push_str(" NOT NULL");
    }
    if let Some(default) = &column.default {
        text.push_str(" DEFAULT ");
        text.push_str(default);
    }
    text
}

fn create(table: &str, columns: &[Column]) -> String {
    let mut parts: Vec<String> = columns.iter().map(declaration).collect();
    let keys = quote::names(columns.iter().filter(|column| column.is_key).map(|column| column.name.as_str()));
    if !keys.is_empty() {
        parts.push(format!("PRIMARY KEY ({keys})"));
    }
    format!("CREATE TABLE {} ({})", quote::name(table), parts.join(", "))
}

fn sql(mode: InsertMode, table: &str, columns: &[Column]) -> String {
    let table = quote::name(table);
    let of =
        |is_key: bool| columns.iter().filter(move |column| column.is_key == is_key).map(|column| column.name.as_str());
    if mode == InsertMode::Update {
        let changes = set(of(false), |name| format!("{name} = ?"));
        return format!("UPDATE {table} SET {changes} WHERE {}", conditions(of(true)));
    }
    let names = quote::names(columns.iter().map(|column| column.name.as_str()));
    let holes = vec!["?"; columns.len()].join(", ");
    let insert = format!("INSERT INTO {table} ({names}) VALUES ({holes})");
    if mode == InsertMode::Insert {
        return insert;
    }
    let keys = quote::names(of(true));
    match set(of(false), |name| format!("{name} = excluded.{name}")) {
        changes if changes.is_empty() => format!("{insert} ON CONFLICT ({keys}) DO NOTHING"),
        changes => format!("{insert} ON CONFLICT ({keys}) DO UPDATE SET {changes}"),
    }
}

/// The statement that deletes the row of a key.
pub(super) fn delete(table: &str, keys: &[Column]) -> String {
    format!("DELETE FROM {} WHERE {}", quote::name(table), conditions(keys.iter().map(|column| column.name.as_str())))
}

fn set<'a>(names: impl Iterator<Item = &'a str>, each: impl Fn(&str) -> String) -> String {
    names.map(|name| each(&quote::name(name))).collect::<Vec<_>>().join(", ")
}

fn conditions<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("{} = ?", quote::name(name))).collect::<Vec<_>>().join(" AND ")
}
