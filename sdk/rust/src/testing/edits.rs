//! Reads the edits a transform answered and applies them to whole records, as the host does to its overlay.

use super::{TestRecord, Transformed, columns, has_schema};
use crate::arena::Arena;
use crate::columns::{CELL_BYTES, read_cell_header};
use crate::dictionary::DictionaryReader;
use crate::edits::{Bitmap, Explode, op, read_bitmap};
use crate::transform::{Column, Place, Plan};
use crate::value::tag;
use crate::{Error, FailureKind, Malformed, Result, Schema, Type, Value, logical};

const HEADER_BYTES: usize = 40;
const EDIT_BYTES: usize = 24;

/// Edits that were checked as a whole.
#[derive(Debug)]
pub(super) struct EditsReader {
    pub(super) keep: Option<Bitmap>,
    pub(super) failures: Vec<(usize, FailureKind, String)>,
    pub(super) edits: Vec<(Option<Bitmap>, Action)>,
}

/// One edit, checked. Targets are positions in the plan's `write`.
#[derive(Debug)]
pub(super) enum Action {
    Remove(usize),
    Set(usize, Value, HeaderSchema),
    SetEach(usize, Vec<Option<Value>>, HeaderSchema),
    Rename(usize, String),
    Copy { from: usize, to: usize, and_remove: bool, defaults: bool },
    Retain(Place, Vec<String>),
    Flatten { place: Place, delimiter: String, defaults: bool },
    Hoist(Place, String),
    Extract { target: usize, defaults: bool },
    Defaults(Place),
    Collect { place: Place, targets: Vec<(usize, String)>, defaults: bool },
    Explode { target: usize, explode: Explode },
}

/// The text of the schema that an edit gives a header.
type HeaderSchema = Option<String>;

impl EditsReader {
    /// Reads edits to `count` records whose plan writes `targets` columns.
    pub(super) fn read(bytes: &[u8], count: usize, targets: usize) -> Result<EditsReader, Malformed> {
        let arena = Arena::open(bytes, HEADER_BYTES, b"TGE1", 12)?;
        if arena.u32(8) as usize != count {
            return Err(Malformed::new("edits to another number of records"));
        }
        let dictionary = DictionaryReader::read(arena, 20, 16)?;
        let bitmap = |offset: u32| match offset {
            0 => Ok(None),
            offset => read_bitmap(arena.range(offset, count.div_ceil(8) as u32)?, count).map(Some),
        };
        let failure_count = arena.u32(28) as usize;
        if failure_count > count {
            return Err(Malformed::new("more failures than records"));
        }
        let column = |at: usize, count: usize, entry_bytes: usize| match arena.column(at, count, entry_bytes)? {
            None if count > 0 => Err(Malformed::new("there is no such column")),
            column => Ok(column),
        };
        let mut failures = Vec::new();
        if let Some(at) = column(32, failure_count, 16)? {
            for at in (0..failure_count).map(|index| at + 16 * index) {
                if arena.u32(at) as usize >= count {
                    return Err(Malformed::new("a failure of a record that is not there"));
                }
                let kind = FailureKind::ALL.get(arena.u32(at + 4) as usize).copied();
                let message = std::str::from_utf8(arena.range(arena.u32(at + 8), arena.u32(at + 12))?)
                    .map_err(|_| Malformed::new("a message is not UTF-8"))?;
                let kind = kind.ok_or(Malformed::new("an unknown kind of failure"))?;
                failures.push((arena.u32(at) as usize, kind, message.to_owned()));
            }
        }
        let edit_count = usize::from(arena.u16(6));
        let mut edits = Vec::new();
        if let Some(at) = column(36, edit_count, EDIT_BYTES)? {
            for at in (0..edit_count).map(|index| at + EDIT_BYTES * index) {
                edits.push((bitmap(arena.u32(at + 8))?, read_action(arena, &dictionary, at, count, targets)?));
            }
        }
        Ok(EditsReader { keep: bitmap(arena.u32(24))?, failures, edits })
    }

    /// Applies the edits; `reshape` is asked for each schema of a place that the plan writes.
    pub(super) fn apply(
        &self,
        plan: &Plan,
        records: &[TestRecord],
        reshape: &mut dyn FnMut(Place, &str) -> Result<Option<String>>,
    ) -> Result<Vec<Transformed>> {
        records.iter().enumerate().map(|(index, record)| self.apply_to(index, record, plan, reshape)).collect()
    }

    fn apply_to(
        &self,
        index: usize,
        record: &TestRecord,
        plan: &Plan,
        reshape: &mut dyn FnMut(Place, &str) -> Result<Option<String>>,
    ) -> Result<Transformed> {
        let mut edited = record.clone();
        for place in [Place::Key, Place::Value] {
            if !plan.write.iter().any(|column| column.place == place) {
                continue;
            }
            let (schema, value) = place_of(&mut edited, place);
            let asked = *value != Value::Null || self.makes_whole(index, plan, place);
            let Some(old) = schema.as_ref().filter(|_| asked) else { continue };
            match reshape(place, &old.to_json().to_string()) {
                Ok(None) => {}
                Ok(Some(text)) if text == "null" => *schema = None,
                Ok(Some(text)) => *schema = Some(parse_schema(&text)?),
                Err(Error::BadRecord(kind, message)) => return Ok(Transformed::Failed(kind, message)),
                Err(error) => return Ok(Transformed::Failed(FailureKind::Data, error.to_string())),
            }
        }
        if let Some((_, kind, message)) = self.failures.iter().find(|(failed, _, _)| *failed == index) {
            return Ok(Transformed::Failed(*kind, message.clone()));
        }
        if self.keep.as_ref().is_some_and(|keep| !keep.get(index)) {
            return Ok(Transformed::Dropped);
        }
        let mut all = vec![edited];
        for (bitmap, action) in &self.edits {
            if bitmap.as_ref().is_some_and(|bitmap| !bitmap.get(index)) {
                continue;
            }
            let done = match action {
                Action::Explode { target, explode } => all
                    .iter()
                    .map(|edited| taken_apart(edited, record, *target, explode, plan))
                    .collect::<Result<Vec<_>, _>>()
                    .map(|pieces| all = pieces.into_iter().flatten().collect()),
                action => all.iter_mut().try_for_each(|edited| act(action, index, plan, edited, record)),
            };
            if let Err(message) = done {
                return Ok(Transformed::Failed(FailureKind::Data, message));
            }
        }
        Ok(match all.len() {
            0 => Transformed::Dropped,
            1 => Transformed::Record(Box::new(all.remove(0))),
            _ => Transformed::Records(all),
        })
    }

    /// Whether an edit gives a record another key or value as a whole.
    fn makes_whole(&self, index: usize, plan: &Plan, place: Place) -> bool {
        self.edits.iter().any(|(bitmap, action)| {
            let is_whole = |target: &usize| plan.write[*target] == Column::whole(place);
            bitmap.as_ref().is_none_or(|bitmap| bitmap.get(index))
                && match action {
                    Action::Set(target, ..) | Action::Copy { to: target, .. } => is_whole(target),
                    Action::SetEach(target, values, _) => is_whole(target) && values[index].is_some(),
                    Action::Hoist(at, _) | Action::Collect { place: at, .. } => *at == place,
                    Action::Extract { target, .. } => plan.write[*target].place == place,
                    _ => false,
                }
        })
    }
}

fn parse_schema(text: &str) -> Result<Schema> {
    let json = serde_json::from_str(text).map_err(Error::fatal)?;
    Schema::from_json(&json).map_err(Error::fatal)
}

fn read_action(
    arena: Arena<'_>,
    dictionary: &DictionaryReader<'_>,
    at: usize,
    count: usize,
    targets: usize,
) -> Result<Action, Malformed> {
    let operation = arena.u16(at);
    let [target, data, length, argument] = [4, 12, 16, 20].map(|of| arena.u32(at + of));
    // Which of place, target, data, count and argument the operation uses; the others are 0.
    let uses = match operation {
        op::REMOVE => [false, true, false, false, false],
        op::EXTRACT => [false, true, false, true, false],
        op::SET_CONSTANT | op::SET_VALUES => [false, true, true, false, true],
        op::RENAME => [false, true, false, false, true],
        op::COPY | op::MOVE => [false, true, false, true, true],
        op::RETAIN | op::COLLECT => [true, false, true, true, false],
        op::FLATTEN => [true, false, false, true, true],
        op::HOIST => [true, false, false, false, true],
        op::DEFAULTS => [true, false, false, false, false],
        op::EXPLODE => [false, true, true, true, true],
        _ => return Err(Malformed::new("an unknown operation")),
    };
    let place = arena.bytes()[at + 2];
    let numbers = [place.into(), target, data, length, argument];
    if arena.bytes()[at + 3] != 0 || numbers.iter().zip(uses).any(|(&number, used)| !used && number != 0) {
        return Err(Malformed::new("an edit says what its operation does not use"));
    }
    let is_target = |number: u32| (number as usize) < targets;
    if uses[1] && !is_target(target)
        || matches!(operation, op::COPY | op::MOVE) && !is_target(argument)
        || operation == op::EXPLODE && argument > 0 && !is_target(argument - 1)
    {
        return Err(Malformed::new("an edit to a column that the plan does not write"));
    }
    let target = target as usize;
    let name = || dictionary.get(argument).map(str::to_owned);
    let place = match place {
        0 => Place::Value,
        1 => Place::Key,
        _ => return Err(Malformed::new("an edit to a place that is neither key nor value")),
    };
    let defaults = || match length {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed::new("an edit that neither takes defaults nor does not")),
    };
    let header_schema = || match argument {
        0 => Ok(None),
        entry => dictionary.get(entry - 1).map(|text| Some(text.to_owned())),
    };
    let cell = |index: usize| {
        let offset = data as usize + CELL_BYTES * index;
        arena.range(u32::try_from(offset).unwrap_or(u32::MAX), CELL_BYTES as u32)?;
        read_cell(arena, dictionary, offset)
    };
    Ok(match operation {
        op::REMOVE => Action::Remove(target),
        op::SET_CONSTANT => {
            let value = cell(0)?.ok_or(Malformed::new("a constant that is missing"))?;
            Action::Set(target, value, header_schema()?)
        }
        op::SET_VALUES => Action::SetEach(target, (0..count).map(cell).collect::<Result<_, _>>()?, header_schema()?),
        op::RENAME => Action::Rename(target, name()?),
        op::COPY | op::MOVE => Action::Copy {
            from: target,
            to: argument as usize,
            and_remove: operation == op::MOVE,
            defaults: defaults()?,
        },
        op::RETAIN => {
            let ids = arena.range(data, length.saturating_mul(4))?;
            let id = |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            let names = ids.chunks_exact(4).map(|bytes| dictionary.get(id(bytes)).map(str::to_owned));
            Action::Retain(place, names.collect::<Result<_, _>>()?)
        }
        op::FLATTEN => Action::Flatten { place, delimiter: name()?, defaults: defaults()? },
        op::HOIST => Action::Hoist(place, name()?),
        op::EXTRACT => Action::Extract { target, defaults: defaults()? },
        op::DEFAULTS => Action::Defaults(place),
        op::COLLECT => {
            let entries = arena.range(data, (length & !1).saturating_mul(4))?;
            let number = |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            let target = |entry: &[u8]| {
                let (target, name) = (number(entry), dictionary.get(number(&entry[4..]))?);
                match is_target(target) {
                    true => Ok((target as usize, name.to_owned())),
                    false => Err(Malformed::new("an edit to a column that the plan does not write")),
                }
            };
            let targets = entries.chunks_exact(8).map(target).collect::<Result<_, _>>()?;
            Action::Collect { place, targets, defaults: length % 2 == 1 }
        }
        op::EXPLODE => Action::Explode {
            target,
            explode: Explode {
                index: argument.checked_sub(1).map(|index| index as usize),
                keeps_empty: match length {
                    0..=3 => length & 1 == 1,
                    _ => return Err(Malformed::new("an edit that makes records in an unknown way")),
                },
                takes_whole: length & 2 != 0,
                records_max: data,
            },
        },
        _ => return Err(Malformed::new("an unknown operation")),
    })
}

fn read_cell(arena: Arena<'_>, dictionary: &DictionaryReader<'_>, at: usize) -> Result<Option<Value>, Malformed> {
    let (of_tag, data) = read_cell_header(arena, at)?;
    let length = arena.u32(at + 4);
    let bytes = data.to_le_bytes();
    let payload = match of_tag {
        tag::MISSING => return Ok(None),
        tag::NULL => &[],
        tag::BOOLEAN..=tag::FLOAT64 | tag::DATE..=tag::TIMESTAMP => &bytes[..length as usize],
        _ => {
            let offset = u32::try_from(data).map_err(|_| Malformed::new("a cell lies outside the arena"))?;
            arena.range(offset, length)?
        }
    };
    Value::read_payload(of_tag, payload, dictionary).map(Some)
}

fn place_of(record: &mut TestRecord, place: Place) -> (&mut Option<Schema>, &mut Value) {
    match place {
        Place::Key => (&mut record.key_schema, &mut record.key),
        _ => (&mut record.value_schema, &mut record.value),
    }
}

/// Does one edit to one record, of which `original` is what it was. The error is what a DataException would say.
fn act(
    action: &Action,
    index: usize,
    plan: &Plan,
    record: &mut TestRecord,
    original: &TestRecord,
) -> Result<(), String> {
    let target = |target: usize| plan.write.get(target).ok_or("an edit names a column the plan does not write");
    match action {
        Action::Remove(at) => remove(record, target(*at)?),
        Action::Set(at, value, schema) => set(record, target(*at)?, value.clone(), schema.as_deref()),
        Action::SetEach(at, values, schema) => match &values[index] {
            Some(value) => set(record, target(*at)?, value.clone(), schema.as_deref()),
            None => Ok(()),
        },
        Action::Rename(at, name) => {
            let column = target(*at)?;
            if column.place == Place::Header {
                let of_name = record.headers.iter_mut().filter(|(known, _, _)| Some(known) == column.path.first());
                of_name.for_each(|(known, _, _)| known.clone_from(name));
                return Ok(());
            }
            let Some((fields, old)) = fields_of(record, target(*at)?)? else { return Ok(()) };
            if let Some(position) = fields.iter().position(|(field, _)| field == old) {
                fields[position].0.clone_from(name);
                // Of two fields of one name the later one stays.
                let last = fields.iter().rposition(|(field, _)| field == name);
                let mut at = 0..;
                fields.retain(|(field, _)| {
                    let at = at.next();
                    field != name || at == last
                });
            }
            Ok(())
        }
        Action::Copy { from, to, and_remove, defaults } => {
            let (from, to) = (target(*from)?, target(*to)?);
            let Some((value, schema)) = taken(record, original, from, *defaults) else { return Ok(()) };
            if *and_remove {
                remove(record, from)?;
            }
            match to.place {
                Place::Header => {
                    record.headers.push((to.path.first().cloned().unwrap_or_default(), schema, value));
                    Ok(())
                }
                _ => set(record, to, value, None),
            }
        }
        Action::Retain(place, names) => {
            let Some((fields, _)) = fields_of(record, &Column::field(*place, ""))? else { return Ok(()) };
            fields.retain(|(field, _)| names.contains(field));
            Ok(())
        }
        Action::Flatten { place, delimiter, defaults } => {
            let schema = place_of(&mut original.clone(), *place).0.clone();
            let Some((fields, _)) = fields_of(record, &Column::field(*place, ""))? else { return Ok(()) };
            let nested = std::mem::take(fields);
            flatten("", nested, delimiter, schema.as_ref(), *defaults, fields)
        }
        Action::Hoist(place, field) => {
            let (schema, value) = place_of(record, *place);
            let whole = std::mem::replace(value, Value::Null);
            let own = schema.as_ref().and_then(|schema| schema.field(field)).map(|field| &field.schema);
            let fields = vec![(field.clone(), fit(whole, own)?)];
            *value = if schema.is_some() { Value::Struct(fields) } else { Value::Map(fields) };
            Ok(())
        }
        Action::Extract { target: at, defaults } => {
            let column = target(*at)?;
            check_way(record, column)?;
            let value = columns::cell_of(record, column).map_or(Value::Null, |(value, _)| value);
            let (schema, whole) = place_of(record, column.place);
            *whole = match schema.as_ref().and_then(columns::default_of) {
                Some(default) if *defaults && value == Value::Null && *whole != Value::Null => default,
                _ => value,
            };
            Ok(())
        }
        Action::Defaults(place) => {
            fields_of(record, &Column::field(*place, ""))?;
            let (schema, value) = place_of(record, *place);
            let (Some(schema), Value::Struct(fields)) = (schema, value) else { return Ok(()) };
            for field in &schema.fields {
                let Some(default) = columns::default_of(&field.schema) else { continue };
                match fields.iter_mut().find(|(name, _)| *name == field.name) {
                    Some((_, value)) if *value != Value::Null => {}
                    Some((_, value)) => *value = default,
                    None => fields.push((field.name.clone(), default)),
                }
            }
            Ok(())
        }
        Action::Collect { place, targets, defaults } => {
            let mut fields: Vec<(String, Value)> = Vec::new();
            let mut made = Schema::new(Type::Struct);
            let mut has_schema = false;
            for (at, name) in targets {
                let column = target(*at)?;
                check_way(record, column)?;
                let from_schema = place_of(record, column.place).0.is_some();
                let value = match taken(record, original, column, *defaults) {
                    Some((value, schema)) => {
                        made.fields.extend(schema.map(|schema| crate::Field::new(name, schema)));
                        value
                    }
                    None if from_schema => return Err(format!("Field does not exist: {name}")),
                    None => Value::Null,
                };
                has_schema |= from_schema;
                fields.retain(|(known, _)| known != name);
                fields.push((name.clone(), value));
            }
            let (schema, whole) = place_of(record, *place);
            *schema = has_schema.then_some(made);
            *whole = if has_schema { Value::Struct(fields) } else { Value::Map(fields) };
            Ok(())
        }
        // It makes records, and is not done to one.
        Action::Explode { .. } => Ok(()),
    }
}

/// The records that are made of one.
fn taken_apart(
    record: &TestRecord,
    original: &TestRecord,
    target: usize,
    explode: &Explode,
    plan: &Plan,
) -> Result<Vec<TestRecord>, String> {
    let column = |at: usize| plan.write.get(at).ok_or("an edit names a column the plan does not write".to_owned());
    let target = column(target)?;
    check_way(&mut record.clone(), target)?;
    let index = |at: usize| Value::Int32(i32::try_from(at).unwrap_or(i32::MAX));
    let whole = taken(record, original, target, false).map_or(Value::Null, |(value, _)| value);
    let elements: Vec<(Value, Value)> = match whole {
        Value::Null => Vec::new(),
        Value::Array(items) => items.into_iter().enumerate().map(|(at, item)| (index(at), item)).collect(),
        Value::Map(members) => members.into_iter().map(|(name, item)| (Value::String(name), item)).collect(),
        Value::KeyedMap(pairs) => pairs,
        other => return Err(format!("Only Array or Map objects can be exploded, found: {other:?}")),
    };
    if explode.records_max > 0 && elements.len() > explode.records_max as usize {
        let (name, count) = (target.path.join("."), elements.len());
        return Err(format!("\"{name}\" has {count} elements, and max.records allows {}", explode.records_max));
    }
    let with = |at: Value, element: Value| {
        let mut piece = record.clone();
        let whole = Column::whole(target.place);
        set(&mut piece, if explode.takes_whole { &whole } else { target }, element, None)?;
        if let Some(index) = explode.index {
            set(&mut piece, column(index)?, at, None)?;
        }
        Ok(piece)
    };
    if elements.is_empty() && explode.keeps_empty {
        return Ok(vec![with(Value::Null, Value::Null)?]);
    }
    elements.into_iter().map(|(at, element)| with(at, element)).collect()
}

/// What a column holds and its schema; the schema's default in place of null where that is asked for.
fn taken(
    record: &TestRecord,
    original: &TestRecord,
    column: &Column,
    defaults: bool,
) -> Option<(Value, Option<Schema>)> {
    // What is taken has the schema that it came with, which the transform may just have taken out of the whole.
    let schema = columns::cell_of(original, column).and_then(|(_, schema)| schema);
    let (value, own) = columns::cell_of(record, column).or_else(|| Some((Value::Null, Some(schema.clone()?))))?;
    let schema = schema.or(own);
    match schema.as_ref().and_then(columns::default_of) {
        Some(default) if defaults && value == Value::Null => Some((default, schema)),
        _ => Some((value, schema)),
    }
}

/// Refuses a way on which something neither is null nor has fields.
fn check_way(record: &mut TestRecord, column: &Column) -> Result<(), String> {
    let (_, mut value) = place_of(record, column.place);
    for name in &column.path {
        value = match value {
            Value::Null => return Ok(()),
            Value::Map(fields) | Value::Struct(fields) => match fields.iter_mut().find(|(field, _)| field == name) {
                Some((_, field)) => field,
                None => return Ok(()),
            },
            other => return Err(format!("Only Map objects supported in absence of schema, found: {other:?}")),
        };
    }
    Ok(())
}

fn flatten(
    prefix: &str,
    nested: Vec<(String, Value)>,
    delimiter: &str,
    schema: Option<&Schema>,
    defaults: bool,
    flat: &mut Vec<(String, Value)>,
) -> Result<(), String> {
    let mut nested = nested;
    for field in schema.map_or(&[][..], |schema| &schema.fields) {
        if !nested.iter().any(|(name, _)| *name == field.name) {
            nested.push((field.name.clone(), Value::Null));
        }
    }
    for (name, value) in nested {
        let own = schema.and_then(|schema| schema.field(&name)).map(|field| &field.schema);
        let name = if prefix.is_empty() { name } else { format!("{prefix}{delimiter}{name}") };
        match (value, own) {
            (Value::Map(fields), None) | (Value::Struct(fields), _) => {
                flatten(&name, fields, delimiter, own, defaults, flat)?;
            }
            // A struct that is null has no fields; they are null in the flat one.
            (Value::Null, Some(own)) if own.of_type == Type::Struct => {}
            (Value::Null, Some(own)) if defaults => {
                flat.push((name, columns::default_of(own).unwrap_or(Value::Null)));
            }
            (value @ (Value::Decimal { .. } | Value::Date(_) | Value::Time(_) | Value::Timestamp(_)), None) => {
                return Err(format!("Flatten transformation was passed {value:?}, which needs a schema"));
            }
            (value, _) => {
                flat.retain(|(known, _)| *known != name);
                flat.push((name, value));
            }
        }
    }
    Ok(())
}

fn remove(record: &mut TestRecord, column: &Column) -> Result<(), String> {
    match column.place {
        Place::Header => {
            record.headers.retain(|(name, _, _)| Some(name) != column.path.first());
            Ok(())
        }
        place if has_schema(place) && column.path.is_empty() => {
            *place_of(record, place).1 = Value::Null;
            Ok(())
        }
        place if has_schema(place) => {
            if let Some((fields, name)) = fields_of(record, column)? {
                fields.retain(|(field, _)| field != name);
            }
            Ok(())
        }
        _ => Err("metadata cannot be removed".to_owned()),
    }
}

fn set(record: &mut TestRecord, column: &Column, value: Value, header: Option<&str>) -> Result<(), String> {
    match (column.place, value) {
        (Place::Topic, Value::String(topic)) => record.topic = topic,
        (Place::Partition, Value::Int32(partition)) => record.partition = Some(partition),
        (Place::Timestamp, Value::Int64(timestamp) | Value::Timestamp(timestamp)) => {
            record.timestamp = Some(timestamp);
        }
        (Place::Header, value) => {
            let name = column.path.first().ok_or("a header has a name")?;
            let schema = match header {
                Some(text) => Some(parse_schema(text).map_err(|error| error.to_string())?),
                None => schema_of(&value),
            };
            record.headers.push((name.clone(), schema, value));
        }
        (place, value) if has_schema(place) => {
            let (schema, whole) = place_of(record, place);
            let schema = column.path.iter().try_fold(schema.as_ref(), |schema, name| match schema {
                None => Ok(None),
                Some(schema) => match schema.field(name) {
                    Some(field) => Ok(Some(&field.schema)),
                    None if *whole == Value::Null => Ok(None),
                    None => Err(format!("{name} is not a valid field name")),
                },
            })?;
            let value = fit(value, schema)?;
            if column.path.is_empty() {
                *whole = value;
            } else if let Some((fields, name)) = fields_of(record, column)? {
                match fields.iter_mut().find(|(field, _)| field == name) {
                    Some((_, old)) => *old = value,
                    None => fields.push((name.to_owned(), value)),
                }
            }
        }
        (place, value) => return Err(format!("{place:?} cannot be set to {value:?}")),
    }
    Ok(())
}

/// The schema of a header that is set without one: what its value says by itself.
fn schema_of(value: &Value) -> Option<Schema> {
    Some(match value {
        Value::Boolean(_) => Schema::new(Type::Boolean),
        Value::Int8(_) => Schema::new(Type::Int8),
        Value::Int16(_) => Schema::new(Type::Int16),
        Value::Int32(_) => Schema::new(Type::Int32),
        Value::Int64(_) => Schema::new(Type::Int64),
        Value::Float32(_) => Schema::new(Type::Float32),
        Value::Float64(_) => Schema::new(Type::Float64),
        Value::String(_) => Schema::new(Type::String),
        Value::Bytes(_) => Schema::new(Type::Bytes),
        Value::Date(_) => Schema::logical(Type::Int32, logical::DATE),
        Value::Time(_) => Schema::logical(Type::Int32, logical::TIME),
        Value::Timestamp(_) => Schema::logical(Type::Int64, logical::TIMESTAMP),
        _ => return None,
    })
}

/// Fields, and the name of one among them that may be there or not.
type Named<'r, 'c> = (&'r mut Vec<(String, Value)>, &'c str);

/// The fields among which the last name of a column's path stands; none if they are null or not there.
fn fields_of<'r, 'c>(record: &'r mut TestRecord, column: &'c Column) -> Result<Option<Named<'r, 'c>>, String> {
    let Some((name, parents)) = column.path.split_last() else { return Ok(None) };
    let (_, mut value) = place_of(record, column.place);
    for parent in parents {
        let (Value::Map(fields) | Value::Struct(fields)) = value else { return Ok(None) };
        let Some((_, field)) = fields.iter_mut().find(|(field, _)| field == parent) else { return Ok(None) };
        value = field;
    }
    match value {
        Value::Map(fields) | Value::Struct(fields) => Ok(Some((fields, name))),
        Value::Null => Ok(None),
        other => Err(format!("Only Map objects supported in absence of schema, found: {other:?}")),
    }
}

/// Fits a value to a field's type: integers are narrowed where nothing is lost.
fn fit(value: Value, schema: Option<&Schema>) -> Result<Value, String> {
    let Some(schema) = schema else { return Ok(value) };
    if value == Value::Null {
        return if schema.optional || schema.default.is_some() {
            Ok(value)
        } else {
            Err("null in a required field".into())
        };
    }
    let fitted = match (schema.of_type, value.as_i64()) {
        (Type::Int8, Some(number)) => i8::try_from(number).ok().map(Value::Int8),
        (Type::Int16, Some(number)) => i16::try_from(number).ok().map(Value::Int16),
        (Type::Int32, Some(number)) => i32::try_from(number).ok().map(Value::Int32),
        (Type::Int64, Some(number)) => Some(Value::Int64(number)),
        (Type::Int8 | Type::Int16, None) => None,
        (Type::Int32, None) => Some(value.clone()).filter(|value| matches!(value, Value::Date(_) | Value::Time(_))),
        (Type::Int64, None) => Some(value.clone()).filter(|value| matches!(value, Value::Timestamp(_))),
        (Type::String, _) => Some(value.clone()).filter(|value| matches!(value, Value::String(_))),
        (Type::Boolean, _) => Some(value.clone()).filter(|value| matches!(value, Value::Boolean(_))),
        _ => Some(value.clone()),
    };
    fitted.ok_or_else(|| format!("{value:?} does not fit {:?}", schema.of_type))
}
