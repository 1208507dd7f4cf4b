//! One table or query, and how far it was read.

use super::columns::Kind;
use crate::{database, quote};
use rusqlite::types::{ToSqlOutput, Value as Sql, ValueRef};
use rusqlite::{Connection, Row, Statement};
use std::collections::HashSet;
use tidegate_sdk::serde_json::{self, Value as Json, json};
use tidegate_sdk::{Error, Field, Record, Result, Schema, SchemaId, SourceBatch, Type, Value, host};

/// How new rows are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    /// All rows, each time.
    Bulk,
    /// Those whose column is greater than the last.
    Incrementing { column: String },
    /// Those that changed later, or at the same time with a greater number.
    Timestamp { column: String, incrementing: String },
}

/// Where the rows come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum From {
    Table(String),
    Query(String),
}

/// How far a stream was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Offset {
    pub(super) timestamp: Option<Sql>,
    pub(super) incrementing: Option<i64>,
    /// Rows of the present round, where all are read each time.
    read: i64,
}

#[derive(Debug)]
pub(super) struct Stream {
    from: From,
    mode: Mode,
    topic: String,
    partition: String,
    offset: Offset,
    layout: Option<Layout>,
}

/// The columns of the result, and the schema that they make.
#[derive(Debug)]
struct Layout {
    columns: Vec<(String, Kind)>,
    schema: SchemaId,
}

/// What came of reading once.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// There may be more.
    Full,
    /// There is nothing more now.
    Last,
}

impl Stream {
    pub(super) fn new(from: From, mode: Mode, topic_prefix: &str) -> Result<Stream> {
        // As the JDBC source writes them.
        let partition = match &from {
            From::Table(table) => json!({"protocol": "1", "table": table}).to_string(),
            From::Query(_) => json!({"query": "query"}).to_string(),
        };
        let topic = match &from {
            From::Table(table) => format!("{topic_prefix}{table}"),
            From::Query(_) => topic_prefix.to_owned(),
        };
        let offset = match (&mode, host::load_offset(&partition)?) {
            (Mode::Bulk, _) | (_, None) => Offset::default(),
            (_, Some(text)) => Offset::read(&text).map_err(Error::fatal)?,
        };
        Ok(Stream { from, mode, topic, partition, offset, layout: None })
    }

    /// Starts the next round, where all rows are read each time.
    pub(super) fn begin_round(&mut self) {
        self.offset.read = 0;
    }

    /// Adds up to `rows_max` rows to the batch.
    pub(super) fn read(&mut self, connection: &Connection, batch: &mut SourceBatch, rows_max: i64) -> Result<Page> {
        let (sql, parameters) = self.sql(rows_max);
        let failed = |error: rusqlite::Error| database::task_error(&error);
        let mut statement = connection.prepare_cached(&sql).map_err(failed)?;
        self.learn(connection, &statement)?;
        for (index, parameter) in parameters.iter().enumerate() {
            statement.raw_bind_parameter(index + 1, ToSqlOutput::Borrowed(parameter.into())).map_err(failed)?;
        }
        let mut rows = statement.raw_query();
        let mut count = 0;
        while let Some(row) = rows.next().map_err(failed)? {
            self.push(row, batch)?;
            count += 1;
            if batch.is_full() {
                return Ok(Page::Full);
            }
        }
        Ok(if count == rows_max { Page::Full } else { Page::Last })
    }

    fn sql(&self, rows_max: i64) -> (String, Vec<Sql>) {
        let from = match &self.from {
            From::Table(table) => quote::name(table),
            From::Query(query) => format!("({query})"),
        };
        let mut parameters = Vec::new();
        let rest = match &self.mode {
            Mode::Bulk => String::new(),
            Mode::Incrementing { column } => {
                let column = quote::name(column);
                let after = self.offset.incrementing.map_or(String::new(), |last| {
                    parameters.push(Sql::Integer(last));
                    format!("WHERE {column} > ? ")
                });
                format!(" {after}ORDER BY {column}")
            }
            Mode::Timestamp { column, incrementing } => {
                let (column, incrementing) = (quote::name(column), quote::name(incrementing));
                let after = match (&self.offset.timestamp, self.offset.incrementing) {
                    (Some(timestamp), Some(last)) => {
                        parameters.extend([timestamp.clone(), timestamp.clone(), Sql::Integer(last)]);
                        format!("WHERE {column} > ? OR ({column} = ? AND {incrementing} > ?) ")
                    }
                    _ => format!("WHERE {column} IS NOT NULL "),
                };
                format!(" {after}ORDER BY {column}, {incrementing}")
            }
        };
        let offset = match self.mode {
            Mode::Bulk => {
                parameters.extend([Sql::Integer(rows_max), Sql::Integer(self.offset.read)]);
                " LIMIT ? OFFSET ?"
            }
            _ => {
                parameters.push(Sql::Integer(rows_max));
                " LIMIT ?"
            }
        };
        (format!("SELECT * FROM {from}{rest}{offset}"), parameters)
    }

    /// Looks at the result's columns, and defines their schema when they are others than before.
    fn learn(&mut self, connection: &Connection, statement: &Statement<'_>) -> Result<()> {
        let kind_of = |name: &str, declared: Option<&str>| match self.mode.incrementing() {
            // Whole numbers, also where a query computes them and nothing is declared.
            Some(column) if column.eq_ignore_ascii_case(name) => Kind::Int64,
            _ => Kind::of(declared),
        };
        let columns: Vec<(String, Kind)> = statement
            .columns()
            .map(|column| (column.name().to_owned(), kind_of(column.name(), column.decl_type())))
            .collect();
        if self.layout.as_ref().is_some_and(|layout| layout.columns == columns) {
            return Ok(());
        }
        let required = self.required(connection)?;
        let fields = columns.iter().map(|(name, kind)| Field::new(name, kind.schema(!required.contains(name))));
        let schema = Schema {
            name: match &self.from {
                From::Table(table) => Some(table.clone()),
                From::Query(_) => None,
            },
            fields: fields.collect(),
            ..Schema::new(Type::Struct)
        };
        self.layout = Some(Layout { schema: host::define_schema(&schema)?, columns });
        Ok(())
    }

    /// Columns that are never null.
    fn required(&self, connection: &Connection) -> Result<HashSet<String>> {
        let From::Table(table) = &self.from else { return Ok(HashSet::new()) };
        let failed = |error: rusqlite::Error| database::task_error(&error);
        // The primary key of one integer column is never null, though it is not declared so.
        let mut statement = connection
            .prepare_cached(
                "SELECT name FROM pragma_table_info(?1) WHERE \"notnull\" OR (pk = 1 AND upper(type) = 'INTEGER' AND 1 = \
                 (SELECT count(*) FROM pragma_table_info(?1) WHERE pk > 0))",
            )
            .map_err(failed)?;
        let names = statement.query_map([table], |row| row.get(0)).map_err(failed)?;
        names.collect::<rusqlite::Result<_>>().map_err(failed)
    }

    fn push(&mut self, row: &Row<'_>, batch: &mut SourceBatch) -> Result<()> {
        let failed = |error: rusqlite::Error| database::task_error(&error);
        let Some(layout) = &self.layout else { return Ok(()) };
        let mut fields = Vec::with_capacity(layout.columns.len());
        let mut next = Offset { read: self.offset.read + 1, ..Offset::default() };
        for (index, (name, kind)) in layout.columns.iter().enumerate() {
            let cell = row.get_ref(index).map_err(failed)?;
            if self.mode.incrementing().is_some_and(|column| column.eq_ignore_ascii_case(name)) {
                let ValueRef::Integer(number) = cell else {
                    return Err(Error::fatal(format!(
                        "the column \"{name}\" of {} does not hold a whole number in every row, so that it cannot be \
                         incrementing.column.name",
                        self.from.shown()
                    )));
                };
                next.incrementing = Some(number);
            }
            if self.mode.timestamp().is_some_and(|column| column.eq_ignore_ascii_case(name)) {
                next.timestamp = Some(cell.try_into().map_err(|error| Error::fatal(format!("{error:?}")))?);
            }
            let value = kind
                .value(cell)
                .map_err(|why| Error::fatal(format!("the column \"{name}\" of {} {why}", self.from.shown())))?;
            fields.push((name.clone(), value));
        }
        for (key, column, found) in [
            ("incrementing.column.name", self.mode.incrementing(), next.incrementing.is_some()),
            ("timestamp.column.name", self.mode.timestamp(), next.timestamp.is_some()),
        ] {
            if let (Some(column), false) = (column, found) {
                return Err(Error::invalid_config(key, format!("{} has no column \"{column}\"", self.from.shown())));
            }
        }
        let record = Record::to(self.topic.as_str()).value_of(layout.schema, Value::Struct(fields));
        let record = match self.mode {
            Mode::Bulk => record,
            _ => record.from(self.partition.as_str(), next.to_json()),
        };
        batch.push(&record)?;
        self.offset = next;
        Ok(())
    }
}

impl Mode {
    fn incrementing(&self) -> Option<&str> {
        match self {
            Mode::Bulk => None,
            Mode::Incrementing { column } | Mode::Timestamp { incrementing: column, .. } => Some(column),
        }
    }

    fn timestamp(&self) -> Option<&str> {
        match self {
            Mode::Timestamp { column, .. } => Some(column),
            _ => None,
        }
    }
}

impl From {
    fn shown(&self) -> String {
        match self {
            From::Table(table) => format!("the table \"{table}\""),
            From::Query(_) => "the query".to_owned(),
        }
    }
}

impl Offset {
    fn to_json(&self) -> String {
        let mut offset = serde_json::Map::new();
        match &self.timestamp {
            Some(Sql::Integer(millis)) => drop(offset.insert("timestamp".to_owned(), json!(millis))),
            Some(Sql::Text(text)) => drop(offset.insert("timestamp".to_owned(), json!(text))),
            _ => {}
        }
        if let Some(number) = self.incrementing {
            offset.insert("incrementing".to_owned(), json!(number));
        }
        Json::Object(offset).to_string()
    }

    /// Reads a stored offset, or one that an operator wants. The error says what is wrong with it.
    pub(super) fn read(text: &str) -> Result<Offset, String> {
        let wrong =
            || format!("the offset {text} is not {{\"incrementing\": a number}}, with or without a \"timestamp\"");
        let json: Json = serde_json::from_str(text).map_err(|_| wrong())?;
        let timestamp = match json.get("timestamp") {
            None | Some(Json::Null) => None,
            Some(Json::String(text)) => Some(Sql::Text(text.clone())),
            Some(number) => Some(Sql::Integer(number.as_i64().ok_or_else(wrong)?)),
        };
        let incrementing = match json.get("incrementing") {
            None | Some(Json::Null) => None,
            Some(number) => Some(number.as_i64().ok_or_else(wrong)?),
        };
        if timestamp.is_none() && incrementing.is_none() {
            return Err(wrong());
        }
        Ok(Offset { timestamp, incrementing, read: 0 })
    }
}
