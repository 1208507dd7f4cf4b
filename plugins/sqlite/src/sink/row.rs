//! A record as a row: which columns, of which types, with which values. Pure.

use super::settings::{PkMode, Settings};
use crate::{json, quote};
use rusqlite::types::{ToSqlOutput, Value as Sql, ValueRef};
use std::rc::Rc;
use tidegate_sdk::{RecordRef, Schema, Type, Value, logical, serde_json};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColumnType {
    Integer,
    Real,
    Boolean,
    Text,
    Blob,
    Date,
    Time,
    Timestamp,
    /// Nothing is known of it but that it was null.
    Any,
}

impl ColumnType {
    /// The declared type, from which SQLite takes the column's affinity. Decimals are text: SQLite's numbers would round.
    pub(super) fn sql(self) -> &'static str {
        match self {
            ColumnType::Integer => "INTEGER",
            ColumnType::Real => "REAL",
            ColumnType::Boolean => "BOOLEAN",
            ColumnType::Text => "TEXT",
            ColumnType::Blob => "BLOB",
            ColumnType::Date => "DATE",
            ColumnType::Time => "TIME",
            ColumnType::Timestamp => "TIMESTAMP",
            ColumnType::Any => "",
        }
    }

    fn of_schema(schema: &Schema) -> ColumnType {
        match schema.name.as_deref() {
            Some(logical::DATE) => ColumnType::Date,
            Some(logical::TIME) => ColumnType::Time,
            Some(logical::TIMESTAMP) => ColumnType::Timestamp,
            Some(logical::DECIMAL) => ColumnType::Text,
            _ => match schema.of_type {
                Type::Int8 | Type::Int16 | Type::Int32 | Type::Int64 => ColumnType::Integer,
                Type::Float32 | Type::Float64 => ColumnType::Real,
                Type::Boolean => ColumnType::Boolean,
                Type::Bytes => ColumnType::Blob,
                Type::String | Type::Array | Type::Map | Type::Struct => ColumnType::Text,
            },
        }
    }

    fn of_value(value: &Value) -> ColumnType {
        match value {
            Value::Null => ColumnType::Any,
            Value::Boolean(_) => ColumnType::Boolean,
            Value::Int8(_) | Value::Int16(_) | Value::Int32(_) | Value::Int64(_) => ColumnType::Integer,
            Value::Number(text) if !text.contains(['.', 'e', 'E']) => ColumnType::Integer,
            Value::Number(_) | Value::Float32(_) | Value::Float64(_) => ColumnType::Real,
            Value::Bytes(_) => ColumnType::Blob,
            Value::Date(_) => ColumnType::Date,
            Value::Time(_) => ColumnType::Time,
            Value::Timestamp(_) => ColumnType::Timestamp,
            Value::String(_)
            | Value::Array(_)
            | Value::Map(_)
            | Value::Struct(_)
            | Value::KeyedMap(_)
            | Value::Decimal { .. } => ColumnType::Text,
        }
    }
}

/// A column of one record.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) of_type: ColumnType,
    /// Never null, says the schema.
    pub(super) required: bool,
    /// The default in the schema, as SQL.
    pub(super) default: Option<String>,
    pub(super) is_key: bool,
    pub(super) value: Value,
}

/// What becomes of a record.
#[derive(Debug)]
pub(super) enum Change {
    Write(Vec<Column>),
    /// The columns of the key of the row that goes.
    Delete(Vec<Column>),
}

/// Why a record cannot be a row.
pub(super) type Refusal = String;

/// Looks at a record as the settings say.
pub(super) fn change(
    settings: &Settings,
    record: &RecordRef<'_, '_>,
    schema_of: &mut impl FnMut(tidegate_sdk::SchemaId) -> Option<Rc<Schema>>,
) -> Result<Change, Refusal> {
    let value = record.value().map_err(|error| format!("the value cannot be read: {error}"))?;
    let mut columns = match settings.pk_mode {
        PkMode::None => Vec::new(),
        PkMode::Kafka => kafka_columns(settings, record),
        PkMode::RecordKey => {
            let key = record.key().map_err(|error| format!("the key cannot be read: {error}"))?;
            key_columns(settings, key, schema_of(record.key_schema()).as_deref())?
        }
        PkMode::RecordValue => Vec::new(),
    };
    if value == Value::Null {
        return match settings.delete {
            true => Ok(Change::Delete(columns)),
            false => {
                Err("the value is null, which is no row; delete.enabled=true with pk.mode=record_key would delete \
                          the row of its key"
                    .to_owned())
            }
        };
    }
    let fields = fields(value, schema_of(record.value_schema()).as_deref())
        .ok_or("the value is neither a struct nor a map, so that it has no columns")?;
    let is_value_key = |name: &str| {
        settings.pk_mode == PkMode::RecordValue
            && (settings.pk_fields.is_empty() || settings.pk_fields.iter().any(|field| field == name))
    };
    if settings.pk_mode == PkMode::RecordValue
        && let Some(missing) = settings.pk_fields.iter().find(|name| !fields.iter().any(|field| field.name == **name))
    {
        return Err(format!("the value has no field \"{missing}\", which pk.fields names"));
    }
    for mut field in fields {
        field.is_key = is_value_key(&field.name);
        let is_wanted = settings.whitelist.is_empty() || settings.whitelist.contains(&field.name);
        // A field of the value does not replace a column of the key that has its name.
        if (is_wanted || field.is_key) && !columns.iter().any(|column| column.name == field.name) {
            columns.push(field);
        }
    }
    if let Some(null) = columns.iter().find(|column| column.is_key && column.value == Value::Null) {
        return Err(format!("the field \"{}\" of the primary key is null", null.name));
    }
    if let Some(bad) = columns.iter().find(|column| !quote::is_possible(&column.name)) {
        return Err(format!("the field {:?} cannot be the name of a column", bad.name));
    }
    if columns.is_empty() {
        return Err("no field of the value is written, so that there is no row".to_owned());
    }
    Ok(Change::Write(columns))
}

fn kafka_columns(settings: &Settings, record: &RecordRef<'_, '_>) -> Vec<Column> {
    let (topic, partition, offset) = place(record);
    let values = [Value::String(topic.to_owned()), Value::Int32(partition), Value::Int64(offset)];
    settings.pk_fields.iter().zip(values).map(|(name, value)| key_column(name, None, value)).collect()
}

/// Topic, partition and offset of a record in Kafka, whatever transforms made of it.
pub(super) fn place<'a>(record: &RecordRef<'_, 'a>) -> (&'a str, i32, i64) {
    let moved = record.moved_from();
    moved.unwrap_or_else(|| (record.topic(), record.partition().unwrap_or(-1), record.offset().unwrap_or(-1)))
}

fn key_columns(settings: &Settings, key: Value, schema: Option<&Schema>) -> Result<Vec<Column>, Refusal> {
    if key == Value::Null {
        return Err("the key is null, and pk.mode=record_key needs it".to_owned());
    }
    if !matches!(key, Value::Struct(_) | Value::Map(_)) {
        let [name] = settings.pk_fields.as_slice() else {
            return Err("the key is one value: pk.fields must name the one column that it is written to".to_owned());
        };
        return Ok(vec![key_column(name, schema, key)]);
    }
    let fields = fields(key, schema).unwrap_or_default();
    let mut columns: Vec<Column> = fields.into_iter().map(|field| Column { is_key: true, ..field }).collect();
    if !settings.pk_fields.is_empty() {
        if let Some(missing) = settings.pk_fields.iter().find(|name| !columns.iter().any(|field| field.name == **name))
        {
            return Err(format!("the key has no field \"{missing}\", which pk.fields names"));
        }
        columns.retain(|column| settings.pk_fields.contains(&column.name));
    }
    if columns.iter().any(|column| column.value == Value::Null) {
        return Err("a field of the key is null".to_owned());
    }
    Ok(columns)
}

fn key_column(name: &str, schema: Option<&Schema>, value: Value) -> Column {
    let of_type = schema.map_or_else(|| ColumnType::of_value(&value), ColumnType::of_schema);
    Column { name: name.to_owned(), of_type, required: true, default: None, is_key: true, value }
}

/// The fields of a struct or map in the order of its schema, or its own.
fn fields(value: Value, schema: Option<&Schema>) -> Option<Vec<Column>> {
    let (Value::Struct(mut members) | Value::Map(mut members)) = value else { return None };
    let Some(schema) = schema.filter(|schema| schema.of_type == Type::Struct) else {
        let mut columns: Vec<Column> = Vec::with_capacity(members.len());
        for (name, value) in members {
            // Of two members with one name the last counts.
            columns.retain(|column| column.name != name);
            let of_type = ColumnType::of_value(&value);
            columns.push(Column { name, of_type, required: false, default: None, is_key: false, value });
        }
        return Some(columns);
    };
    let columns = schema.fields.iter().enumerate().map(|(index, field)| {
        // Nearly always the members are in the order of the schema.
        let at = match members.get(index) {
            Some((name, _)) if *name == field.name => Some(index),
            _ => members.iter().rposition(|(name, _)| *name == field.name),
        };
        let value = at.map_or(Value::Null, |at| std::mem::replace(&mut members[at].1, Value::Null));
        Column {
            name: field.name.clone(),
            of_type: ColumnType::of_schema(&field.schema),
            required: !field.schema.optional && field.schema.default.is_none(),
            default: field.schema.default.as_ref().and_then(|default| literal(default, &field.schema)),
            is_key: false,
            value,
        }
    });
    Some(columns.collect())
}

/// A default of a schema as SQL, where SQLite has one like it.
fn literal(default: &serde_json::Value, schema: &Schema) -> Option<String> {
    if schema.is_named(logical::DECIMAL) {
        return None;
    }
    match default {
        serde_json::Value::Bool(value) => Some(i32::from(*value).to_string()),
        serde_json::Value::Number(number) if !schema.is_named(logical::DATE) => Some(number.to_string()),
        serde_json::Value::String(text) if schema.of_type == Type::String && quote::is_possible(text) => {
            Some(quote::text(text))
        }
        _ => None,
    }
}

/// A value as SQLite stores it. Dates and times are milliseconds, as JDBC's driver writes them.
pub(super) fn bound(value: &Value) -> ToSqlOutput<'_> {
    let integer = |number: i64| ToSqlOutput::Owned(Sql::Integer(number));
    let text = |text: String| ToSqlOutput::Owned(Sql::Text(text));
    match value {
        Value::Null => ToSqlOutput::Owned(Sql::Null),
        Value::Boolean(value) => integer((*value).into()),
        Value::Int8(number) => integer((*number).into()),
        Value::Int16(number) => integer((*number).into()),
        Value::Int32(number) | Value::Time(number) => integer((*number).into()),
        Value::Int64(number) | Value::Timestamp(number) => integer(*number),
        Value::Date(days) => integer(i64::from(*days) * 86_400_000),
        Value::Float32(number) => ToSqlOutput::Owned(Sql::Real((*number).into())),
        Value::Float64(number) => ToSqlOutput::Owned(Sql::Real(*number)),
        Value::Number(digits) => match (digits.parse::<i64>(), digits.parse::<f64>()) {
            (Ok(number), _) => integer(number),
            (_, Ok(number)) if digits.contains(['.', 'e', 'E']) => ToSqlOutput::Owned(Sql::Real(number)),
            // A whole number beyond 64 bits keeps its digits.
            _ => ToSqlOutput::Borrowed(ValueRef::Text(digits.as_bytes())),
        },
        Value::String(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        Value::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        Value::Decimal { scale, unscaled } => text(json::decimal(unscaled, *scale)),
        Value::Array(_) | Value::Map(_) | Value::Struct(_) | Value::KeyedMap(_) => text(json::text(value)),
    }
}
