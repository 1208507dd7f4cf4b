//! The same decoding, edits and writing on plain trees, compared record for record.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::edits::EditsWriter;
use crate::value::Members;

#[derive(Clone, Debug)]
struct Model {
    topic: String,
    partition: i32,
    timestamp: i64,
    sides: [Value; 2],
    headers: Vec<(String, Value)>,
    dropped: bool,
    failed: bool,
}

/// An edit in the words of the writer, which the model can read too.
#[derive(Clone, Debug)]
enum Change {
    Remove(usize),
    Constant(usize, Value),
    Values(usize, Vec<Option<Value>>),
    Rename(usize, String),
    Copy(usize, usize),
    Move(usize, usize),
    Retain(Side, Vec<String>),
    Flatten(Side, String),
    Hoist(Side, String),
    Extract(usize),
    Defaults(Side),
    Collect(Side, Vec<(usize, String)>),
    Explode { target: usize, index: Option<usize>, keeps_empty: bool, takes_whole: bool, max: usize },
}

const NAMES: &[&str] = &["a", "b", "c", "long name with spaces and more", "q\"", "\u{e9}"];

/// The columns of all plans here.
fn plan() -> Vec<Column> {
    let mut plan = Vec::new();
    for side in [Place::Value, Place::Key] {
        plan.push(Column { place: side, path: vec![] });
        for name in NAMES {
            plan.push(Column { place: side, path: vec![(*name).to_owned()] });
        }
        for (outer, inner) in [("a", "b"), ("b", "a"), ("c", "q\"")] {
            plan.push(Column { place: side, path: vec![outer.to_owned(), inner.to_owned()] });
        }
        plan.push(Column { place: side, path: vec!["a".to_owned(), "a".to_owned(), "b".to_owned()] });
    }
    plan.push(Column::header("h"));
    plan.push(Column::header("a"));
    plan.push(Column::metadata(Place::Topic));
    plan.push(Column::metadata(Place::Partition));
    plan.push(Column::metadata(Place::Timestamp));
    plan
}

fn find<'v>(mut value: &'v Value, path: &[String]) -> Option<&'v Value> {
    for name in path {
        let Value::Map(members) = value else { return None };
        value = members.get(name)?;
    }
    Some(value)
}

impl Model {
    fn read(&self, column: &Column) -> Option<Value> {
        match column.place {
            Place::Value | Place::Key => {
                find(&self.sides[column.place.side().unwrap() as usize], &column.path).cloned()
            }
            Place::Header => {
                self.headers.iter().rev().find(|(name, _)| *name == column.path[0]).map(|(_, value)| value.clone())
            }
            Place::Topic => Some(Value::string(self.topic.clone())),
            Place::Partition => Some(if self.partition < 0 { Value::Null } else { Value::Int32(self.partition) }),
            Place::Offset => Some(Value::Int64(41)),
            Place::Timestamp => Some(if self.timestamp < 0 { Value::Null } else { Value::Timestamp(self.timestamp) }),
        }
    }

    /// The members that hold the end of a path. Null and missing parents: none; no object at the top: the record fails.
    fn parent(&mut self, side: Side, path: &[String]) -> Option<&mut Members> {
        let whole = &mut self.sides[side as usize];
        if !matches!(whole, Value::Null | Value::Map(_)) {
            self.failed = true;
            return None;
        }
        let mut value = whole;
        for name in &path[..path.len() - 1] {
            let Value::Map(members) = value else { return None };
            value = members.get_mut(name)?;
        }
        match value {
            Value::Map(members) => Some(members),
            _ => None,
        }
    }

    /// Whether everything on the way to a field either is null or has fields.
    fn is_open(&self, column: &Column) -> bool {
        let whole = &self.sides[column.place.side().unwrap() as usize];
        (0..column.path.len()).all(|length| {
            find(whole, &column.path[..length]).is_none_or(|value| matches!(value, Value::Null | Value::Map(_)))
        })
    }

    fn set(&mut self, column: &Column, value: Value) {
        match column.place {
            Place::Value | Place::Key => {
                let side = column.place.side().unwrap();
                match column.path.split_last() {
                    None => self.sides[side as usize] = value,
                    Some((name, _)) => {
                        if let Some(members) = self.parent(side, &column.path) {
                            members.insert(name.clone(), value);
                        }
                    }
                }
            }
            Place::Header => self.headers.push((column.path[0].clone(), value)),
            Place::Topic => match value {
                Value::String(topic) => self.topic = topic,
                _ => self.failed = true,
            },
            Place::Partition => match value {
                Value::Int32(partition) if partition >= 0 => self.partition = partition,
                Value::Null => self.partition = -1,
                Value::Number(text) if text.parse::<i32>().is_ok_and(|it| it >= 0) => {
                    self.partition = text.parse().unwrap();
                }
                _ => self.failed = true,
            },
            Place::Timestamp => match value {
                Value::Int64(millis) | Value::Timestamp(millis) if millis >= 0 => self.timestamp = millis,
                Value::Null => self.timestamp = -1,
                Value::Number(text) if text.parse::<i64>().is_ok_and(|it| it >= 0) => {
                    self.timestamp = text.parse().unwrap();
                }
                _ => self.failed = true,
            },
            Place::Offset => unreachable!("not in the plan"),
        }
    }

    fn remove(&mut self, column: &Column) {
        match (column.place.side(), column.path.split_last()) {
            (Some(side), None) => self.sides[side as usize] = Value::Null,
            (Some(side), Some((name, _))) => {
                if let Some(members) = self.parent(side, &column.path) {
                    members.remove(name);
                }
            }
            (None, _) => self.headers.retain(|(name, _)| *name != column.path[0]),
        }
    }

    fn apply(&mut self, change: &Change, plan: &[Column], row: usize) {
        match change {
            Change::Remove(target) => self.remove(&plan[*target]),
            Change::Constant(target, value) => self.set(&plan[*target], value.clone()),
            Change::Values(target, values) => {
                if let Some(value) = &values[row] {
                    self.set(&plan[*target], value.clone());
                }
            }
            Change::Rename(target, to) => {
                let column = &plan[*target];
                let Some(side) = column.place.side() else {
                    for (name, _) in &mut self.headers {
                        if *name == column.path[0] {
                            *name = to.clone();
                        }
                    }
                    return;
                };
                let from = column.path.last().unwrap();
                if let Some(members) = self.parent(side, &column.path)
                    && members.get(from).is_some()
                    && from != to
                {
                    // Of two the later one stays, in its place.
                    let mut renamed: Vec<_> = std::mem::take(members)
                        .into_iter()
                        .map(|(name, value)| (if name == *from { to.clone() } else { name }, value))
                        .collect();
                    let last = renamed.iter().rposition(|(name, _)| name == to);
                    let mut at = 0..;
                    renamed.retain(|(name, _)| {
                        let at = at.next();
                        name != to || at == last
                    });
                    *members = renamed.into_iter().collect();
                }
            }
            Change::Copy(from, to) | Change::Move(from, to) => {
                if let (Change::Move(..), true) = (change, from == to) {
                    return;
                }
                if let Some(value) = self.read(&plan[*from]) {
                    self.set(&plan[*to], value);
                    if let Change::Move(..) = change
                        && !self.failed
                    {
                        self.remove(&plan[*from]);
                    }
                }
            }
            Change::Retain(side, names) => {
                if let Some(members) = self.parent(*side, &[String::new()]) {
                    *members = std::mem::take(members).into_iter().filter(|(name, _)| names.contains(name)).collect();
                }
            }
            Change::Flatten(side, delimiter) => {
                if let Some(members) = self.parent(*side, &[String::new()]) {
                    fn join(flat: &mut Members, prefix: &str, members: &Members, delimiter: &str) {
                        for (name, value) in members.iter() {
                            let name = format!("{prefix}{name}");
                            match value {
                                Value::Map(inner) => join(flat, &format!("{name}{delimiter}"), inner, delimiter),
                                value => flat.insert(name, value.clone()),
                            }
                        }
                    }
                    let mut flat = Members::new();
                    join(&mut flat, "", members, delimiter);
                    // Without a schema Connect does not know what a time is.
                    let has_times = flat.iter().any(|(_, value)| matches!(value, Value::Timestamp(_)));
                    *members = flat;
                    self.failed |= has_times;
                }
            }
            Change::Hoist(side, name) => {
                let whole = &mut self.sides[*side as usize];
                let inner = std::mem::replace(whole, Value::Null);
                *whole = Value::Map([(name.clone(), inner)].into_iter().collect());
            }
            Change::Extract(target) => {
                let column = &plan[*target];
                let side = column.place.side().unwrap();
                match &self.sides[side as usize] {
                    Value::Null => {}
                    Value::Map(_) if !self.is_open(column) => self.failed = true,
                    Value::Map(_) => self.sides[side as usize] = self.read(column).unwrap_or(Value::Null),
                    _ => self.failed = true,
                }
            }
            // Without schemas there are no defaults, but what has no fields fails.
            Change::Defaults(side) => _ = self.parent(*side, &[String::new()]),
            Change::Collect(side, targets) => {
                let mut collected = Members::new();
                for (target, name) in targets {
                    let column = &plan[*target];
                    self.failed |= !self.is_open(column);
                    collected.insert(name.clone(), self.read(column).unwrap_or(Value::Null));
                }
                self.sides[*side as usize] = Value::Map(collected);
            }
            Change::Explode { .. } => unreachable!("it makes models"),
        }
    }

    /// What a change makes of the model: itself, or several.
    fn become_of(mut self, change: &Change, plan: &[Column], row: usize) -> Vec<Model> {
        if self.failed || self.dropped {
            return vec![self];
        }
        let Change::Explode { target, index, keeps_empty, takes_whole, max } = change else {
            self.apply(change, plan, row);
            return vec![self];
        };
        let target = &plan[*target];
        let side = target.place.side().unwrap();
        let whole_is_open = matches!(self.sides[side as usize], Value::Null | Value::Map(_)) || target.path.is_empty();
        if !whole_is_open || !self.is_open(target) {
            self.failed = true;
            return vec![self];
        }
        let elements: Vec<(Value, Value)> = match self.read(target).unwrap_or(Value::Null) {
            Value::Null => Vec::new(),
            Value::Array(items) => (0..).map(Value::Int32).zip(items).collect(),
            Value::Map(members) => members.into_iter().map(|(name, item)| (Value::String(name), item)).collect(),
            _ => {
                self.failed = true;
                return vec![self];
            }
        };
        self.failed = elements.len() > *max;
        self.dropped = elements.is_empty() && !keeps_empty;
        if self.failed || self.dropped {
            return vec![self];
        }
        let destination = if *takes_whole { Column { place: target.place, path: vec![] } } else { target.clone() };
        let made = |(at, element): (Value, Value)| {
            let mut made = self.clone();
            made.set(&destination, element);
            if let (Some(index), false) = (index, made.failed) {
                made.set(&plan[*index], at);
            }
            made
        };
        match elements.is_empty() {
            true => vec![made((Value::Null, Value::Null))],
            false => elements.into_iter().map(made).collect(),
        }
    }
}

fn write(writer: &mut EditsWriter, change: &Change) {
    match change {
        Change::Remove(target) => writer.remove(*target),
        Change::Constant(target, value) => writer.set_constant(*target, value),
        Change::Values(target, values) => {
            let values: Vec<_> = values.iter().map(Option::as_ref).collect();
            writer.set_values(*target, &values)
        }
        Change::Rename(target, name) => writer.rename(*target, name),
        Change::Copy(target, to) => writer.copy(*target, *to),
        Change::Move(target, to) => writer.move_to(*target, *to),
        Change::Retain(side, names) => {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            writer.retain(*side, &names)
        }
        Change::Flatten(side, delimiter) => writer.flatten(*side, delimiter),
        Change::Hoist(side, name) => writer.hoist(*side, name),
        Change::Extract(target) => writer.extract(*target),
        Change::Defaults(side) => writer.defaults(*side),
        Change::Collect(side, targets) => {
            let targets: Vec<_> = targets.iter().map(|(target, name)| (*target, name.as_str())).collect();
            writer.collect(*side, &targets)
        }
        Change::Explode { target, index, keeps_empty, takes_whole, max } => {
            writer.explode(*target, *index, *max).exploding(*keeps_empty, *takes_whole)
        }
    };
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![6 => prop::sample::select(NAMES).prop_map(str::to_owned), 1 => "[a-z.]{0,3}"]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        prop::sample::select(&["0", "-1", "1.10", "1e400", "123456789012345678901234", "7E+2"][..])
            .prop_map(|text| Value::Number(text.to_owned())),
        "[a-c\"\\\\\n\u{e9}]{0,5}".prop_map(Value::String),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            3 => prop::collection::vec((name(), inner), 0..5)
                .prop_map(|members| Value::Map(members.into_iter().collect())),
        ]
    })
}

/// Mostly objects, since edits want them.
fn whole() -> impl Strategy<Value = Value> {
    prop_oneof![
        8 => prop::collection::vec((name(), value()), 0..6)
            .prop_map(|members| Value::Map(members.into_iter().collect())),
        1 => value(),
    ]
}

/// What cells may hold besides what JSON has.
fn cell() -> impl Strategy<Value = Value> {
    prop_oneof![3 => value(), 1 => any::<i64>().prop_map(Value::Int64), 1 => any::<i32>().prop_map(Value::Int32)]
}

/// The position of a field of a place in the plan.
fn field_of(place: Place) -> impl Strategy<Value = usize> {
    let columns = plan();
    let is_field = |column: &Column| column.place == place && !column.path.is_empty();
    let positions = columns.iter().enumerate().filter(|(_, column)| is_field(column)).map(|(at, _)| at);
    prop::sample::select(positions.collect::<Vec<_>>())
}

fn change(records: usize) -> impl Strategy<Value = Change> {
    let columns = plan();
    let matching = |holds: fn(&Column) -> bool| {
        let positions: Vec<usize> =
            columns.iter().enumerate().filter(|(_, column)| holds(column)).map(|(at, _)| at).collect();
        prop::sample::select(positions)
    };
    let any_target = matching(|_| true);
    let removable = matching(|column| column.place.side().is_some() || column.place == Place::Header);
    let named = matching(|column| !column.path.is_empty());
    let field = matching(|column| !column.path.is_empty() && column.place.side().is_some());
    let side = prop::sample::select(vec![Side::Value, Side::Key]);
    let array = matching(|column| column.place.side().is_some());
    let explode = (array, prop::option::of(any_target.clone()), any::<bool>(), prop::bool::weighted(0.3), 3_usize..6)
        .prop_map(|(target, index, keeps_empty, takes_whole, max)| Change::Explode {
            target,
            index,
            keeps_empty,
            takes_whole,
            max,
        });
    prop_oneof![
        1 => explode,
        2 => removable.clone().prop_map(Change::Remove),
        2 => (any_target.clone(), cell()).prop_map(|(target, value)| Change::Constant(target, value)),
        2 => (any_target.clone(), prop::collection::vec(prop::option::of(cell()), records))
            .prop_map(|(target, values)| Change::Values(target, values)),
        2 => (named, name()).prop_map(|(target, name)| Change::Rename(target, name)),
        1 => (any_target.clone(), any_target.clone()).prop_map(|(target, to)| Change::Copy(target, to)),
        1 => (removable, any_target).prop_map(|(target, to)| Change::Move(target, to)),
        1 => (side.clone(), prop::collection::vec(name(), 0..4))
            .prop_map(|(side, names)| Change::Retain(side, names)),
        1 => (side.clone(), "[._]?").prop_map(|(side, delimiter)| Change::Flatten(side, delimiter)),
        1 => (side.clone(), name()).prop_map(|(side, name)| Change::Hoist(side, name)),
        1 => field.prop_map(Change::Extract),
        1 => side.prop_map(Change::Defaults),
        1 => prop::collection::vec((field_of(Place::Value), name()), 0..3)
            .prop_map(|targets| Change::Collect(Side::Key, targets)),
        1 => prop::collection::vec((field_of(Place::Key), name()), 0..3)
            .prop_map(|targets| Change::Collect(Side::Value, targets)),
    ]
}

/// Texts of a value: with other white space, names written with escapes, and members that a later one overrides.
fn texts(value: &Value, style: u64, out: &mut String) {
    let space = ["", " ", "\n\t", ""][(style % 4) as usize];
    let next = style.rotate_right(3).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    match value {
        Value::Map(members) => {
            out.push('{');
            out.push_str(space);
            let mut first = true;
            for (name, value) in members.iter() {
                if !std::mem::replace(&mut first, false) {
                    out.push(',');
                    out.push_str(space);
                }
                if name == "a" && style % 8 == 5 {
                    // Of two members with one name the last counts, and that is where its place is.
                    out.push_str("\"\\u0061\":[\"overridden\"],");
                }
                if name == "b" && style % 3 == 1 {
                    out.push_str("\"\\u0062\"");
                } else {
                    out.push_str(&Value::string(name).to_json());
                }
                out.push_str(space);
                out.push(':');
                out.push_str(space);
                texts(value, next ^ name.len() as u64, out);
                out.push_str(space);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                out.push_str(space);
                texts(item, next ^ at as u64, out);
            }
            out.push_str(space);
            out.push(']');
        }
        value => out.push_str(&value.to_json()),
    }
}

type Step = (Vec<(Change, Vec<bool>)>, Vec<bool>, HashSet<usize>);

const RECORDS: usize = 4;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bits = || prop::collection::vec(prop::bool::weighted(0.8), RECORDS);
    let failures = prop::collection::hash_set(0..RECORDS * 8, 0..2);
    let step = (
        prop::collection::vec((change(RECORDS), bits()), 0..5),
        prop::collection::vec(prop::bool::weighted(0.9), RECORDS),
        failures,
    );
    prop::collection::vec(step, 1..4)
}

/// Compares a view with the models after the same steps.
fn compare(view: &mut View<'_>, mut models: Vec<Model>, steps: &[Step]) -> Result<(), TestCaseError> {
    let plan = plan();
    let mut schemas = SchemaTable::default();
    for (changes, keep, failures) in steps {
        let rows = view.rows();
        let live: Vec<usize> =
            models.iter().enumerate().filter(|(_, model)| !model.dropped && !model.failed).map(|(at, _)| at).collect();
        let outcomes = view.outcomes();
        prop_assert_eq!(outcomes.len(), models.len());
        let expected: Vec<u32> = live.iter().map(|&at| outcomes[at] as u32).collect();
        prop_assert_eq!(rows.records(), &expected);

        let mut out = ColumnsWriter::new();
        view.columns(&rows, &plan, &schemas, &mut out);
        let arena = out.finish().unwrap();
        let cells = ColumnsReader::parse(arena).unwrap();
        for (row, &record) in live.iter().enumerate() {
            for (at, column) in plan.iter().enumerate() {
                let cell = cells.cell(at, row).to_value(cells.names());
                prop_assert_eq!(cell, models[record].read(column), "{:?} of {:?}", column, models[record]);
            }
        }

        let mut writer = EditsWriter::new(live.len());
        writer.drop_where(|row| !keep[row % RECORDS]);
        for row in 0..live.len() {
            if failures.contains(&row) {
                writer.fail(row, FailureKind::Data, "failed");
            }
        }
        for (change, bits) in changes {
            let change = for_rows(change, live.len());
            write(&mut writer, &change);
            writer.only(|row| bits[row % RECORDS]);
        }
        let arena = writer.finish().unwrap();
        let edits = EditsReader::parse(&arena, live.len(), plan.len()).unwrap();
        view.apply(&rows, &edits, &plan, &Reshapes::new(), &mut schemas).unwrap();

        let mut next = Vec::new();
        let mut row = 0;
        for mut model in models {
            if model.failed || model.dropped {
                next.push(model);
                continue;
            }
            model.failed = failures.contains(&row);
            model.dropped = !keep[row % RECORDS] && !model.failed;
            let mut all = vec![model];
            for (change, bits) in changes {
                if bits[row % RECORDS] {
                    let change = for_rows(change, live.len());
                    all = all.into_iter().flat_map(|model| model.become_of(&change, &plan, row)).collect();
                }
            }
            next.extend(all);
            row += 1;
        }
        models = next;
    }
    let outcomes = view.outcomes();
    prop_assert_eq!(outcomes.len(), models.len());

    for (model, &record) in models.iter().zip(&outcomes) {
        prop_assert_eq!(view.is_dropped(record), model.dropped);
        prop_assert_eq!(view.failure(record).is_some(), model.failed, "{:?} {:?}", view.failure(record), model);
        if model.dropped || model.failed {
            continue;
        }
        prop_assert_eq!(view.topic(record), &model.topic);
        prop_assert_eq!(view.partition(record), model.partition);
        prop_assert_eq!(view.timestamp(record), model.timestamp);
    }
    let model_of = |record: u32| &models[outcomes.iter().position(|&at| at == record as usize).unwrap()];
    let rows = view.rows();
    for encoding in [Encoding::Tlv, Encoding::Text] {
        let mut batch = BatchWriter::new(encoding, encoding);
        let written = view.write_batch(&rows, encoding, encoding, &schemas, &mut batch);
        let arena = batch.finish().unwrap();
        let batch = BatchReader::parse(arena).unwrap();
        prop_assert_eq!(written.len(), batch.len());
        for (row, &record) in written.records().iter().enumerate() {
            let model = model_of(record);
            for (side, found) in [(Side::Value, batch.value_value(row)), (Side::Key, batch.key_value(row))] {
                let found = match (&found, encoding) {
                    (Value::String(text), Encoding::Text) => Value::from_json(text).unwrap(),
                    _ => found,
                };
                prop_assert_eq!(found, in_json(&model.sides[side as usize], encoding));
            }
            let headers: Vec<_> =
                batch.headers(row).map(|header| (header.name.to_owned(), batch.header_value(&header))).collect();
            prop_assert_eq!(&headers, &model.headers);
        }
    }
    for record in rows.records().iter().map(|&record| record as usize) {
        let model = model_of(record as u32);
        for side in [Side::Value, Side::Key] {
            let mut out = Vec::new();
            let written = match side {
                Side::Value => view.write_value(record, JSON, &schemas, &mut out),
                Side::Key => view.write_key(record, JSON, &schemas, &mut out),
            };
            if view.failure(record).is_some() {
                // A timestamp has no place in JSON without a schema.
                let refused = |side: &Value| side.to_connect_json(None, &JsonOptions::default()).is_err();
                prop_assert!(model.sides.iter().any(refused));
                break;
            }
            let found = match written {
                Written::Bytes(range) => Value::from_json(std::str::from_utf8(&out[range]).unwrap()).unwrap(),
                _ => Value::Null,
            };
            prop_assert_eq!(found, in_json(&model.sides[side as usize], Encoding::Text));
        }
    }
    Ok(())
}

/// The value after JSON has forgotten its types.
fn in_json(value: &Value, encoding: Encoding) -> Value {
    match encoding {
        Encoding::Tlv => value.clone(),
        _ => Value::from_json(&value.to_json()).unwrap(),
    }
}

fn for_rows(change: &Change, rows: usize) -> Change {
    match change {
        Change::Values(target, values) => Change::Values(*target, values.iter().cycle().take(rows).cloned().collect()),
        change => change.clone(),
    }
}

fn model(key: Value, value: Value) -> Model {
    Model {
        topic: "orders".to_owned(),
        partition: 3,
        timestamp: 1_700_000_000_000,
        sides: [value, key],
        headers: vec![("h".to_owned(), Value::string("one"))],
        dropped: false,
        failed: false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn json_is_edited_as_trees_are(
        records in prop::collection::vec((whole(), whole(), any::<u64>()), RECORDS),
        steps in steps(),
    ) {
        let written: Vec<_> = records.iter().map(|(key, value, style)| {
            let (mut key_text, mut value_text) = (String::new(), String::new());
            texts(key, *style, &mut key_text);
            texts(value, style.rotate_left(17), &mut value_text);
            (key_text, value_text)
        }).collect();
        let mut schemas = SchemaTable::default();
        let mut view = View::new(Workspace::default(), JsonOptions::default());
        let mut models = Vec::new();
        for (key, value) in &written {
            view.push(message(Some(key.as_bytes()), Some(value.as_bytes())), &all(JSON), &mut schemas);
            models.push(model(last_place(key), last_place(value)));
        }
        compare(&mut view, models, &steps)?;
    }

    #[test]
    fn nodes_are_edited_as_trees_are(
        records in prop::collection::vec((whole(), whole()), RECORDS),
        steps in steps(),
    ) {
        let mut batch = BatchWriter::new(Encoding::Tlv, Encoding::Tlv);
        let mut models = Vec::new();
        for (key, value) in records {
            batch.record().topic("orders").partition(3).offset(41).timestamp(1_700_000_000_000)
                .key_tree(SchemaId::NONE, &key).value_tree(SchemaId::NONE, &value)
                .header_tree("h", SchemaId::STRING, &Value::string("one"));
            models.push(model(key, value));
        }
        let arena = batch.finish().unwrap();
        let reader = BatchReader::parse(arena).unwrap();
        let schemas = SchemaTable::default();
        let mut view = View::new(Workspace::default(), JsonOptions::default());
        view.push_batch(&reader, &schemas);
        compare(&mut view, models, &steps)?;
    }
}

/// Reads JSON so that of two top-level members with one name the last counts, in its own place. Trees keep the first place;
/// nested objects are trees to both.
fn last_place(text: &str) -> Value {
    let tree = Value::from_json(text).unwrap();
    let Value::Map(members) = tree else { return tree };
    let mut scanner = crate::json::Scanner::new();
    let mut slots = Vec::new();
    let root = scanner.index(text.as_bytes(), &mut slots).unwrap();
    let crate::json::Kind::Object(shape) = root.kind else { unreachable!("a map is an object") };
    let names: Vec<_> = scanner.shapes.members(shape).iter().map(|&name| scanner.shapes.name(name)).collect();
    let last = names.iter().enumerate().filter(|&(at, name)| !names[at + 1..].contains(name));
    Value::Map(last.map(|(_, name)| ((*name).to_owned(), members.get(name).unwrap().clone())).collect())
}
