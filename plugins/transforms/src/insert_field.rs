//! InsertField: adds where a record comes from, and constants, to its key or value.

use crate::side::{Side, add_field, definition, replace_null_with_default, replaces_nulls, struct_to_change};
use std::marker::PhantomData;
use tidegate_sdk::{
    Cell, Column, Columns, Config, Definition, Edits, Error, FailureKind, Key, Place, Plan, Problem, Result, Schema,
    Transform, Type, Value, logical,
};

const PURPOSE: &str = "field insertion";

/// What can be inserted, in the order in which Connect does it.
const SOURCES: [(&str, Source); 5] = [
    ("topic.field", Source::Topic),
    ("partition.field", Source::Partition),
    ("offset.field", Source::Offset),
    ("timestamp.field", Source::Timestamp),
    ("static.field", Source::Static),
];

#[derive(Clone, Copy, PartialEq)]
enum Source {
    Topic,
    Partition,
    Offset,
    Timestamp,
    Static,
}

pub(crate) struct InsertField<S> {
    insertions: Vec<Insertion>,
    replaces_nulls: bool,
    side: PhantomData<S>,
}

/// One field to insert. Its position is that of its column in the plan's `write`.
struct Insertion {
    name: String,
    optional: bool,
    source: Source,
    /// Of `Source::Static`.
    value: Value,
    /// Position in the plan's `read`; all but the static one have one.
    reads: Option<usize>,
}

impl<S: Side> Transform for InsertField<S> {
    fn definition() -> Definition {
        let optional = "Suffix with <code>!</code> to make this a required field, or <code>?</code> to keep it optional \
                        (the default).";
        definition::<S>("InsertField")
            .doc("Insert field(s) using attributes from the record metadata or a configured static value.")
            .key(Key::string("topic.field").doc(&format!("Field name for Kafka topic. {optional}")))
            .key(Key::string("partition.field").doc(&format!("Field name for Kafka partition. {optional}")))
            .key(
                Key::string("offset.field")
                    .doc(&format!("Field name for Kafka offset - only applicable to sink connectors.<br/>{optional}")),
            )
            .key(Key::string("timestamp.field").doc(&format!("Field name for record timestamp. {optional}")))
            .key(Key::string("static.field").doc(&format!("Field name for static data field. {optional}")))
            .key(Key::string("static.value").doc("Static field value, if field name configured."))
            .key(replace_null_with_default())
    }

    fn validate(config: &Config) -> Vec<Problem> {
        match insertions(config) {
            Err(Error::InvalidConfig(problem)) => vec![problem],
            _ => Vec::new(),
        }
    }

    fn configure(config: &Config) -> Result<InsertField<S>> {
        Ok(InsertField { insertions: insertions(config)?, replaces_nulls: replaces_nulls(config)?, side: PhantomData })
    }

    fn plan(&self) -> Plan {
        let place = |insertion: &Insertion| match insertion.source {
            Source::Topic => Some(Place::Topic),
            Source::Partition => Some(Place::Partition),
            Source::Offset => Some(Place::Offset),
            Source::Timestamp => Some(Place::Timestamp),
            Source::Static => None,
        };
        Plan {
            read: self.insertions.iter().filter_map(place).map(Column::whole).collect(),
            write: self.insertions.iter().map(|insertion| Column::field(S::PLACE, &insertion.name)).collect(),
        }
    }

    fn reshape(&self, _: Place, schema: &Schema) -> Result<Option<Schema>> {
        let mut schema = struct_to_change(schema, PURPOSE)?;
        for insertion in &self.insertions {
            let field = match insertion.source {
                Source::Topic | Source::Static => Schema::new(Type::String),
                Source::Partition => Schema::new(Type::Int32),
                Source::Offset => Schema::new(Type::Int64),
                Source::Timestamp => Schema::logical(Type::Int64, logical::TIMESTAMP),
            };
            add_field(&mut schema, &insertion.name, field.with_optional(insertion.optional))?;
        }
        Ok(Some(schema))
    }

    fn apply(&self, columns: &Columns<'_>, edits: &mut Edits) -> Result<()> {
        for (target, insertion) in self.insertions.iter().enumerate() {
            match insertion.reads {
                None => edits.set(target, &insertion.value),
                Some(column) => insert_read::<S>(columns, column, target, insertion.source, edits)?,
            }
        }
        if self.replaces_nulls {
            edits.defaults(S::PLACE);
        }
        Ok(())
    }
}

/// Inserts what was read of each record: once for the batch where it is the same throughout, as the topic mostly is.
fn insert_read<S: Side>(
    columns: &Columns<'_>,
    column: usize,
    target: usize,
    source: Source,
    edits: &mut Edits,
) -> Result<()> {
    if source == Source::Topic
        && let Some(topic) = the_one_text(columns, column)?
    {
        edits.set(target, &topic.into());
        return Ok(());
    }
    if source == Source::Offset {
        for record in 0..columns.len() {
            if columns.cell(column, record)? == Cell::Null && !S::is_null(columns, record) {
                let message = "Only SinkRecord supported for [field insertion], found: \
                               org.apache.kafka.connect.source.SourceRecord";
                edits.fail(record, FailureKind::Data, message);
            }
        }
    }
    edits.set_cells(
        target,
        (0..columns.len()).map(|record| {
            Ok(match columns.cell(column, record)? {
                // What a record does not have is left out, not inserted as null.
                Cell::Null => Cell::Missing,
                // A timestamp with a schema is a Timestamp; without one it is a plain number.
                Cell::Timestamp(time) | Cell::Int64(time) if source == Source::Timestamp => {
                    match S::has_schema(columns, record) {
                        true => Cell::Timestamp(time),
                        false => Cell::Int64(time),
                    }
                }
                cell => cell,
            })
        }),
    )
}

fn the_one_text<'a>(columns: &Columns<'a>, column: usize) -> Result<Option<&'a str>> {
    let mut one = None;
    for record in 0..columns.len() {
        match (columns.cell(column, record)?, one) {
            (Cell::String(text), None) => one = Some(text),
            (Cell::String(text), Some(other)) if text == other => {}
            _ => return Ok(None),
        }
    }
    Ok(one)
}

fn insertions(config: &Config) -> Result<Vec<Insertion>> {
    let mut insertions = Vec::new();
    let mut reads = 0..;
    for (key, source) in SOURCES {
        let Some(text) = config.get(key) else { continue };
        let (name, optional) = match text.strip_suffix('!') {
            Some(name) => (name, false),
            None => (text.strip_suffix('?').unwrap_or(text), true),
        };
        let value = match (source, config.get("static.value")) {
            (Source::Static, None) => {
                return Err(Error::invalid_config(
                    "static.value",
                    format!("is not set: no value specified for the static field \"{name}\""),
                ));
            }
            (Source::Static, Some(value)) => value.into(),
            _ => Value::Null,
        };
        let reads = if source == Source::Static { None } else { reads.next() };
        insertions.push(Insertion { name: name.to_owned(), optional, source, value, reads });
    }
    match insertions.is_empty() {
        true => {
            Err(Error::invalid_config("topic.field", "no field insertion configured: set one of the `*.field` keys"))
        }
        false => Ok(insertions),
    }
}
