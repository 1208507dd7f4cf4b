//! Vectors: a transform, predicate or converter, its configuration and an input; one JSON object a line. The answer is
//! what Connect's recordings hold: `output`, `result` or `error`.

use std::collections::VecDeque;
use std::sync::Arc;

use tidegate_config::connector::SandboxOverrides;
use tidegate_config::{Kind, Settings, Validation};
use tidegate_engine::{CallError, PredicateInstance, TransformInstance};
use tidegate_record::columns::ColumnsWriter;
use tidegate_record::value::JsonOptions;
use tidegate_record::view::{Converter, Converters, Message, Side, Tree, View, Workspace, Written};
use tidegate_record::{Schema, SchemaId, SchemaTable, Value};

use super::encoding::{self, Lost, Record, Typed, member, object, text};
use super::{Ground, Trial, trial_hooks};
use crate::catalog::Class;
use crate::chain::{Guest, RunningStep};
use crate::converters::{self, Chosen, TaskConverters};
use crate::errors::exception;
use crate::instances::{TaskSchemas, guest_config};
use crate::plan::{Bound, Step};

const CONFIG: &str = "org.apache.kafka.common.config.ConfigException";
const CONNECT: &str = "org.apache.kafka.connect.errors.ConnectException";
const DATA: &str = "org.apache.kafka.connect.errors.DataException";
const ILLEGAL_ARGUMENT: &str = "java.lang.IllegalArgumentException";

/// Configured guests that are kept for lines to come.
const KEPT_MAX: usize = 64;
/// Lines after which a guest is made anew: each may have brought schemas that are never forgotten.
const LINES_MAX: usize = 500;

/// Why a line has no output.
#[derive(Clone, Debug)]
struct Refusal {
    at: &'static str,
    exception: &'static str,
    message: String,
}

/// Guests by class and configuration, the latest last.
#[derive(Default)]
pub(super) struct Steps(VecDeque<(String, Kept)>);

impl std::fmt::Debug for Steps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} guests", self.0.len())
    }
}

struct Kept {
    step: Result<Runs, Refusal>,
    schemas: Arc<TaskSchemas>,
    columns: ColumnsWriter,
    lines: usize,
}

enum Runs {
    Transform(Box<RunningStep>),
    Predicate(Box<Guest<PredicateInstance>>),
}

impl Refusal {
    fn configure(message: impl Into<String>) -> Refusal {
        Refusal { at: "configure", exception: CONFIG, message: message.into() }
    }

    fn apply(exception: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { at: "apply", exception, message: message.into() }
    }

    /// A line that asks for nothing that could be done.
    fn malformed(message: impl std::fmt::Display) -> Refusal {
        let message = format!("malformed line: {message}");
        Refusal { at: "configure", exception: ILLEGAL_ARGUMENT, message }
    }

    fn failed(error: &CallError) -> Refusal {
        let exception = if matches!(error, CallError::Fatal(_)) { CONNECT } else { "java.lang.Error" };
        Refusal::apply(exception, error.to_string())
    }
}

type Answer = Result<(&'static str, Value), Refusal>;

impl Trial {
    /// Answers one line with one line.
    pub async fn vector(&mut self, line: &str) -> String {
        let (id, answer) = match Value::from_json(line) {
            Err(error) => (Value::Null, Err(Refusal::malformed(error))),
            Ok(json) if !matches!(json, Value::Map(_)) => (Value::Null, Err(Refusal::malformed("it is no object"))),
            Ok(json) => {
                let answer = self.answer(&json).await;
                (member(&json, "id").clone(), answer)
            }
        };
        let (name, value) = answer.unwrap_or_else(|refusal| {
            let error = object([
                ("at", Value::string(refusal.at)),
                ("class", Value::string(refusal.exception)),
                ("message", Value::String(refusal.message)),
            ]);
            ("error", error)
        });
        object([("id", id), (name, value)]).to_json()
    }

    async fn answer(&mut self, vector: &Value) -> Answer {
        let settings = settings(member(vector, "config")).map_err(Refusal::malformed)?;
        let subject = |name: &str| text(vector, name).ok().map(str::to_owned);
        if let Some(class) = subject("converter") {
            return self.converter(&class, &settings, vector);
        }
        let (kind, class) = match (subject("transform"), subject("predicate")) {
            (Some(class), None) => (Kind::Transform, class),
            (None, Some(class)) => (Kind::Predicate, class),
            _ => return Err(Refusal::malformed("it names no transform, predicate or converter")),
        };
        let mut lost = Lost::default();
        // A configuration is judged before the input is looked at, as in Connect.
        let mut kept = self.kept(kind, &class, &settings).await;
        let answer = match (&mut kept.step, encoding::record(member(vector, "input"), &mut lost)) {
            (Err(refusal), _) => Err(refusal.clone()),
            (Ok(_), Err(message)) if message.starts_with("there are no values of") => {
                Err(Refusal::apply(DATA, message))
            }
            (Ok(_), Err(message)) => Err(Refusal::malformed(message)),
            (Ok(runs), Ok(input)) => run(runs, &input, &kept.schemas, &mut kept.columns, lost).await,
        };
        kept.lines += 1;
        if kept.lines < LINES_MAX && !matches!(&answer, Err(refusal) if refusal.exception == "java.lang.Error") {
            self.vectors.0.push_back((key(kind, &class, &settings), kept));
        }
        if self.vectors.0.len() > KEPT_MAX {
            self.vectors.0.pop_front();
        }
        answer
    }

    /// The guest of a class and configuration, from before or made now.
    async fn kept(&mut self, kind: Kind, class: &str, settings: &Settings) -> Kept {
        let key = key(kind, class, settings);
        if let Some(at) = self.vectors.0.iter().position(|(known, _)| *known == key)
            && let Some((_, kept)) = self.vectors.0.remove(at)
        {
            return kept;
        }
        let schemas = TaskSchemas::new();
        let step = self.ground.make(kind, class, settings, &schemas).await;
        Kept { step, schemas, columns: ColumnsWriter::new(), lines: 0 }
    }

    /// Runs one of the host's converters.
    fn converter(&self, class: &str, settings: &Settings, vector: &Value) -> Answer {
        let op = text(vector, "op").map_err(Refusal::malformed)?;
        let is_header = op.ends_with("Header");
        let kinds: &[Kind] = if is_header { &[Kind::HeaderConverter] } else { &[Kind::Converter] };
        let names = self.ground.catalog.names();
        let found = names.resolve(kinds, class).map_err(|error| Refusal::configure(error.to_string()))?;
        let Some(made) = converters::native(&found.item.definition, settings) else {
            return Err(Refusal::configure(format!(
                "\"{class}\" is a plugin's or asks a schema registry; only the host's own converters are tried"
            )));
        };
        let made = made.map_err(|refused| Refusal {
            at: "configure",
            exception: refused.exception,
            message: refused.message,
        })?;
        let is_key = matches!(member(vector, "isKey"), Value::Boolean(true));
        let mut schemas = SchemaTable::default();
        let chosen = Chosen::Native(made);
        let (converters, [key, value, header]) = TaskConverters([chosen.clone(), chosen.clone(), chosen])
            .in_view(&mut schemas)
            .map_err(|error| Refusal::configure(error.to_string()))?;
        let input = member(vector, "input");
        let place = if is_header { Place::Header } else { Place::Side(if is_key { Side::Key } else { Side::Value }) };
        match op {
            "toConnectData" | "toConnectHeader" => {
                let bytes = encoding::bytes(input).map_err(Refusal::malformed)?;
                read(bytes.as_deref(), place, &converters, [key, value, header], schemas)
                    .map(|typed| ("output", encoding::typed_json(&typed, Lost::default())))
            }
            "fromConnectData" | "fromConnectHeader" => {
                let typed = encoding::typed(member(input, "schema"), member(input, "value"), &mut Lost::default());
                let typed = typed.map_err(|message| match message.starts_with("there are no values of") {
                    true => Refusal::apply(DATA, message),
                    false => Refusal::malformed(message),
                })?;
                let mut view = View::new(Workspace::default(), value).with_options(key, header);
                let bytes = write(&mut view, typed, place, &converters, value, schemas)?;
                Ok(("output", encoding::bytes_json(bytes.as_deref())))
            }
            other => Err(Refusal::malformed(format!("there is no op \"{other}\""))),
        }
    }
}

impl Ground {
    async fn make(
        &self,
        kind: Kind,
        class: &str,
        settings: &Settings,
        schemas: &Arc<TaskSchemas>,
    ) -> Result<Runs, Refusal> {
        let names = self.catalog.names();
        let found = names.resolve(&[kind], class).map_err(|error| Refusal::configure(error.to_string()))?;
        let Class { component: Some(component), definition } = found.item.clone() else {
            return Err(Refusal::configure(format!("\"{class}\" is no plugin's")));
        };
        let settings = settings.clone();
        let checked = Validation::of(&definition.keys, &settings);
        if let Some(problem) = checked.problems().into_iter().next() {
            return Err(Refusal::configure(problem.message));
        }
        let hooks = trial_hooks(schemas);
        let spec = self
            .instances
            .spec(&self.owner(), &component, &definition, &settings, SandboxOverrides::default(), hooks.clone())
            .map_err(Refusal::configure)?;
        let bound = Bound { component, definition, settings };
        let config = guest_config(&bound.settings);
        let refused = |error: CallError| Refusal::configure(error.to_string());
        if kind == Kind::Predicate {
            let plugin = &bound.component.plugin;
            let mut probe = PredicateInstance::new(plugin, &spec).await.map_err(refused)?;
            problem(probe.validate(&config).await.map_err(refused)?)?;
            let guest = Guest::<PredicateInstance>::make(bound, spec).await.map_err(refused)?;
            return Ok(Runs::Predicate(Box::new(guest)));
        }
        let mut probe = TransformInstance::new(&bound.component.plugin, &spec).await.map_err(refused)?;
        problem(probe.validate(&config).await.map_err(refused)?)?;
        let step = Step { alias: "try".to_owned(), class: class.to_owned(), transform: bound, condition: None };
        let step = RunningStep::make(&self.instances, &self.owner(), &step, SandboxOverrides::default(), &hooks)
            .await
            .map_err(|failure| Refusal::configure(failure.trace))?;
        Ok(Runs::Transform(Box::new(step)))
    }
}

/// What of a record a converter is tried on.
#[derive(Clone, Copy)]
enum Place {
    Side(Side),
    Header,
}

fn key(kind: Kind, class: &str, settings: &Settings) -> String {
    format!("{kind:?} {class} {:?}", settings.iter().collect::<Vec<_>>())
}

fn problem(problems: Vec<tidegate_engine::Problem>) -> Result<(), Refusal> {
    match problems.into_iter().next() {
        None => Ok(()),
        Some(problem) => Err(Refusal::configure(problem.message)),
    }
}

/// A configuration: numbers and booleans stand for their texts, null for nothing.
fn settings(json: &Value) -> Result<Settings, String> {
    let members = match json {
        Value::Map(members) => members,
        Value::Null => return Ok(Settings::new()),
        other => return Err(format!("\"config\" is no object: {}", other.to_json())),
    };
    let mut settings = Settings::new();
    for (key, value) in members.iter() {
        match value {
            Value::Null => {}
            Value::String(text) | Value::Number(text) => drop(settings.insert(key, text)),
            Value::Boolean(flag) => drop(settings.insert(key, flag.to_string())),
            _ => return Err(format!("the setting \"{key}\" is neither text nor number nor boolean")),
        }
    }
    Ok(settings)
}

async fn run(
    runs: &mut Runs,
    input: &Record,
    schemas: &TaskSchemas,
    columns: &mut ColumnsWriter,
    lost: Lost,
) -> Answer {
    let mut view = View::new(Workspace::default(), JsonOptions::default());
    push(&mut view, input, &mut schemas.lock()).map_err(Refusal::malformed)?;
    match runs {
        Runs::Predicate(guest) => {
            let rows = view.rows();
            let holds =
                guest.test(&mut view, &rows, columns, schemas).await.map_err(|error| Refusal::failed(&error))?;
            Ok(("result", Value::Boolean(holds.first().is_some_and(|byte| byte & 1 == 1))))
        }
        Runs::Transform(step) => {
            let mut rows = view.rows();
            step.run(&mut view, &mut rows, columns, schemas).await.map_err(|error| Refusal::failed(&error))?;
            failure_of(&view)?;
            let schemas = schemas.lock();
            let pulled = |record| encoding::record_json(&pull(&view, record, input.is_sink, &schemas), lost);
            match view.rows().records() {
                [] => Ok(("output", Value::Null)),
                [0] => Ok(("output", pulled(0))),
                made => Ok(("outputs", Value::Array(made.iter().map(|&record| pulled(record as usize)).collect()))),
            }
        }
    }
}

fn failure_of(view: &View<'_>) -> Result<(), Refusal> {
    let failed = view.outcomes().into_iter().find_map(|record| view.failure(record));
    match failed {
        Some(failure) => Err(Refusal::apply(exception(failure.kind), failure.message.clone())),
        None => Ok(()),
    }
}

/// Puts a record into a view.
pub(super) fn push(view: &mut View<'_>, record: &Record, schemas: &mut SchemaTable) -> Result<(), String> {
    let mut tree = |typed: &Typed| {
        let schema = match &typed.schema {
            Some(schema) => schemas.define(schema).map_err(|error| error.to_string())?,
            None => SchemaId::NONE,
        };
        Ok::<_, String>(Tree { schema, value: typed.value.clone() })
    };
    let (key, value) = (tree(&record.key)?, tree(&record.value)?);
    let headers = record.headers.iter().map(|(name, typed)| Ok((name.as_str(), tree(typed)?)));
    let headers = headers.collect::<Result<Vec<_>, String>>()?;
    let message = Message {
        topic: &record.topic,
        partition: record.partition.unwrap_or(-1),
        offset: record.offset.unwrap_or(-1),
        timestamp: record.timestamp.unwrap_or(-1),
        append_time: false,
        key: None,
        value: None,
        headers: &[],
    };
    view.push_trees(&message, key, value, headers, schemas);
    Ok(())
}

/// Takes the first record out of a view.
pub(super) fn pull(view: &View<'_>, record: usize, is_sink: bool, schemas: &SchemaTable) -> Record {
    let typed = |tree: Tree| Typed { schema: schema_of(tree.schema, schemas), value: tree.value };
    Record {
        is_sink,
        topic: view.topic(record).to_owned(),
        partition: Some(view.partition(record)).filter(|partition| *partition >= 0),
        offset: Some(view.offset(record)).filter(|offset| *offset >= 0),
        timestamp: Some(view.timestamp(record)).filter(|timestamp| *timestamp >= 0),
        key: typed(view.tree_of(record, Side::Key, schemas)),
        value: typed(view.tree_of(record, Side::Value, schemas)),
        headers: view
            .header_trees(record, schemas)
            .into_iter()
            .map(|(name, tree)| (name.to_owned(), typed(tree)))
            .collect(),
    }
}

fn schema_of(id: SchemaId, schemas: &SchemaTable) -> Option<Schema> {
    schemas.get(id).map(|schema| (**schema).clone())
}

/// The name of the header that header converters are tried with, as in the recordings.
const HEADER: &str = "hdr";
/// The topic, likewise.
const TOPIC: &str = "topic-a";

const NOBODY: Message<'static, 'static> = Message {
    topic: TOPIC,
    partition: -1,
    offset: -1,
    timestamp: -1,
    append_time: false,
    key: None,
    value: None,
    headers: &[],
};

fn read(
    bytes: Option<&[u8]>,
    place: Place,
    converters: &Converters,
    [key, value, header]: [JsonOptions; 3],
    mut schemas: SchemaTable,
) -> Result<Typed, Refusal> {
    let mut view = View::new(Workspace::default(), value).with_options(key, header);
    let headers = [(HEADER, bytes)];
    let message = match place {
        Place::Side(Side::Key) => Message { key: bytes, ..NOBODY },
        Place::Side(Side::Value) => Message { value: bytes, ..NOBODY },
        Place::Header => Message { headers: &headers, ..NOBODY },
    };
    view.push(message, converters, &mut schemas);
    failure_of(&view)?;
    let tree = match place {
        Place::Side(side) => view.tree_of(0, side, &schemas),
        Place::Header => view.header_tree(0, 0, &schemas),
    };
    Ok(Typed { schema: schema_of(tree.schema, &schemas), value: tree.value })
}

fn write(
    view: &mut View<'_>,
    typed: Typed,
    place: Place,
    converters: &Converters,
    options: JsonOptions,
    mut schemas: SchemaTable,
) -> Result<Option<Vec<u8>>, Refusal> {
    // Records of tasks are checked against their schemas when they come in, so writing one does not look again.
    let is_json = |converter| matches!(converter, Converter::Json { .. } | Converter::JsonOf(_));
    if let Some(schema) = &typed.schema
        && is_json(converters.value)
    {
        typed.value.to_connect_json(Some(schema), &options).map_err(|error| Refusal::apply(DATA, error.to_string()))?;
    }
    let nothing = Typed { schema: None, value: Value::Null };
    let (mut key, mut value, mut headers) = (nothing.clone(), nothing, Vec::new());
    match place {
        Place::Side(Side::Key) => key = typed,
        Place::Side(Side::Value) => value = typed,
        Place::Header => headers.push((HEADER.to_owned(), typed)),
    }
    let record = Record {
        is_sink: false,
        topic: TOPIC.to_owned(),
        partition: None,
        offset: None,
        timestamp: None,
        key,
        value,
        headers,
    };
    push(view, &record, &mut schemas).map_err(Refusal::malformed)?;
    let mut out = Vec::new();
    let written = match place {
        Place::Side(Side::Key) => view.write_key(0, converters.key, &schemas, &mut out),
        Place::Side(Side::Value) => view.write_value(0, converters.value, &schemas, &mut out),
        Place::Header => {
            let written = view.write_headers(0, converters.header, &schemas);
            let first = written.and_then(|headers| headers.into_iter().next()).and_then(|(_, bytes)| bytes);
            failure_of(view)?;
            return Ok(first);
        }
    };
    failure_of(view)?;
    Ok(match written {
        Written::Bytes(range) => Some(out[range].to_vec()),
        Written::Null | Written::Failed => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_record::view::HeaderConverter;

    #[test]
    fn settings_are_texts() {
        let read = |json: &str| {
            settings(&Value::from_json(json).unwrap())
                .map(|settings| settings.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(read(r#"{"a":"x","b":1.50,"c":true,"d":null}"#).unwrap(), "a=x b=1.50 c=true");
        assert_eq!(read(r#"{"a":[]}"#).unwrap_err(), "the setting \"a\" is neither text nor number nor boolean");
    }

    #[test]
    fn header_converters_are_tried_on_headers() {
        let converters = Converters { key: Converter::Bytes, value: Converter::Bytes, header: HeaderConverter::Simple };
        let typed = read(Some(b"1.5"), Place::Header, &converters, [JsonOptions::default(); 3], SchemaTable::default())
            .unwrap();
        assert_eq!(typed.value, Value::Float32(1.5));
    }
}
