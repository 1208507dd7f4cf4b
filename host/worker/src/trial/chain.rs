//! The chain of a connector on sample records, step by step.

use tidegate_config::{Problem, Settings};
use tidegate_engine::CallError;
use tidegate_record::view::{Converter, HeaderConverter, Message, View, Workspace};
use tidegate_record::{Schema, SchemaTable, Value};

use super::encoding::{self, Lost, Record, Typed, member, object};
use super::vectors::pull;
use super::{Ground, TaskSchemas, trial_hooks};
use crate::chain::Chain;
use crate::conversion::Conversion;
use crate::errors::{exception, stage};
use crate::metrics::{Metrics, TaskId, TaskKind};
use crate::plan::ConnectorPlan;

/// Why a chain cannot be tried.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The configuration is wrong; every problem is told.
    #[error("the connector's configuration is invalid")]
    Invalid(Vec<Problem>),
    /// A plugin failed as a whole, or cannot be started.
    #[error("{0}")]
    Failed(String),
    /// The sample is no record.
    #[error("{0}")]
    Sample(String),
}

/// What a sample is after a step; the first stage is what the converters read.
#[derive(Debug)]
pub struct Stage {
    /// The alias of the transform; `input` before the first.
    pub step: String,
    /// More than one where a transform has made several records of one.
    pub outcomes: Vec<Shown>,
}

/// A record, or what became of it.
#[derive(Debug)]
pub enum Shown {
    Record(Box<Parts>),
    /// A transform took it out of the stream.
    Dropped,
    /// It goes to the error policy.
    Failed {
        stage: &'static str,
        exception: &'static str,
        message: String,
    },
}

/// The parts of a record as texts.
#[derive(Debug)]
pub struct Parts {
    /// Name and text of each part that is there, in the order in which people read a record.
    pub parts: Vec<(String, String)>,
    /// The record in the encoding that loses no type, as one line of JSON.
    pub json: String,
}

/// A chain that is ready to be tried.
pub struct TriedChain {
    conversion: Conversion,
    chain: Chain,
    aliases: Vec<String>,
    schemas: std::sync::Arc<TaskSchemas>,
}

/// Keys that a chain consists of; the connector itself is not run, so its own are not judged.
const CHAIN_KEYS: &[&str] =
    &["name", "transforms", "predicates", "key.converter", "value.converter", "header.converter"];

/// What stands in for the connector.
const STAND_IN: &[(&str, &str)] = &[("connector.class", "FileStreamSink"), ("topics", "try"), ("name", "try")];

impl Ground {
    pub(super) async fn chain(&self, config: &Settings) -> Result<TriedChain, ChainError> {
        let is_of_chain = |key: &str| {
            CHAIN_KEYS.iter().any(|own| key == *own || key.strip_prefix(own).is_some_and(|rest| rest.starts_with('.')))
        };
        let mut settings: Settings = STAND_IN.iter().copied().collect();
        settings.extend(config.iter().filter(|(key, _)| is_of_chain(key)));
        let plan = ConnectorPlan::newest(&self.catalog, &self.config, &settings).map_err(ChainError::Invalid)?;
        let schemas = TaskSchemas::new();
        let hooks = trial_hooks(&schemas);
        let owner = self.owner();
        let failed = |failure: tidegate_herder::Failure| ChainError::Failed(failure.trace);
        let conversion =
            Conversion::make(&self.instances, &owner, &plan.converters, plan.config.sandbox, &hooks, schemas.clone())
                .await
                .map_err(failed)?;
        // Nobody reads these numbers.
        let metrics = Metrics::default().task(TaskId { connector: "try".to_owned(), task: 0 }, TaskKind::Sink);
        let chain =
            Chain::make(&self.instances, &owner, &plan, hooks, schemas.clone(), metrics).await.map_err(failed)?;
        let aliases = plan.chain.iter().map(|step| step.alias.clone()).collect();
        Ok(TriedChain { conversion, chain, aliases, schemas })
    }
}

impl TriedChain {
    /// Shows what becomes of one sample. A line is the value of a record, or, where it `is_record`, an object with
    /// `topic`, `partition`, `timestamp`, `key`, `value` and `headers`.
    pub async fn sample(&mut self, line: &str, is_record: bool) -> Result<Vec<Stage>, ChainError> {
        let sample = Sample::read(line, is_record).map_err(ChainError::Sample)?;
        let converters = self.conversion.converters;
        let key = bytes_for(&sample.key, converters.key);
        let value = bytes_for(&sample.value, converters.value);
        let header = match converters.header {
            HeaderConverter::Simple => Converter::String,
            HeaderConverter::As(converter) => converter,
        };
        let headers: Vec<_> =
            sample.headers.iter().map(|(name, value)| (name.as_str(), bytes_for(value, header))).collect();
        let headers: Vec<_> = headers.iter().map(|(name, bytes)| (*name, bytes.as_deref())).collect();
        let mut view = self.conversion.view(Workspace::default());
        view.push(
            Message {
                topic: &sample.topic,
                partition: sample.partition,
                offset: 0,
                timestamp: sample.timestamp,
                append_time: false,
                key: key.as_deref(),
                value: value.as_deref(),
                headers: &headers,
            },
            &converters,
            &mut self.schemas.lock(),
        );
        let broken = |error: CallError| ChainError::Failed(error.to_string());
        self.conversion.prepare(&view).await.map_err(broken)?;
        self.conversion.read(&mut view).await.map_err(broken)?;
        let mut stages = vec![self.stage("input", &view)];
        for at in 0..self.aliases.len() {
            if view.rows().is_empty() {
                break;
            }
            self.chain.run_step(at, &mut view).await.map_err(broken)?;
            stages.push(self.stage(&self.aliases[at], &view));
        }
        Ok(stages)
    }

    fn stage(&self, step: &str, view: &View<'_>) -> Stage {
        let schemas = self.schemas.lock();
        let outcome = |record| match view.failure(record) {
            Some(failure) => Shown::Failed {
                stage: stage(failure.stage),
                exception: exception(failure.kind),
                message: failure.message.clone(),
            },
            None if view.is_dropped(record) => Shown::Dropped,
            None => Shown::Record(Box::new(parts(view, record, &schemas))),
        };
        Stage { step: step.to_owned(), outcomes: view.outcomes().into_iter().map(outcome).collect() }
    }
}

fn parts(view: &View<'_>, record: usize, schemas: &SchemaTable) -> Parts {
    let record = pull(view, record, true, schemas);
    let mut parts = vec![("topic".to_owned(), record.topic.clone())];
    let number = |number: Option<i64>| number.map(|number| number.to_string());
    let mut part = |name: &str, text: Option<String>| parts.extend(text.map(|text| (name.to_owned(), text)));
    part("partition", number(record.partition.map(i64::from)));
    part("timestamp", number(record.timestamp));
    for (name, Typed { schema, value }) in [("key", &record.key), ("value", &record.value)] {
        part(&format!("{name} schema"), schema.as_ref().map(Schema::to_json));
        part(name, Some(value.to_json()));
    }
    for (name, typed) in &record.headers {
        part(&format!("header {name}"), Some(typed.value.to_json()));
    }
    let json = encoding::record_json(&Record { is_sink: true, ..record }, Lost::default()).to_json();
    Parts { parts, json }
}

struct Sample {
    topic: String,
    partition: i32,
    timestamp: i64,
    key: Value,
    value: Value,
    headers: Vec<(String, Value)>,
}

impl Sample {
    fn read(line: &str, is_record: bool) -> Result<Sample, String> {
        let json = Value::from_json(line).map_err(|error| error.to_string())?;
        let json = if is_record { json } else { object([("value", json)]) };
        let Value::Map(members) = &json else { return Err("a record is an object".to_owned()) };
        const MEMBERS: [&str; 6] = ["topic", "partition", "timestamp", "key", "value", "headers"];
        if let Some((other, _)) = members.iter().find(|(name, _)| !MEMBERS.contains(name)) {
            return Err(format!("a record has no \"{other}\", only {}", MEMBERS.join(", ")));
        }
        let number = |name: &str, default: i64| match member(&json, name) {
            Value::Null => Ok(default),
            Value::Number(text) => text.parse().map_err(|_| format!("\"{name}\" is no whole number: {text}")),
            other => Err(format!("\"{name}\" is no whole number: {}", other.to_json())),
        };
        let topic = match member(&json, "topic") {
            Value::Null => "try".to_owned(),
            Value::String(topic) => topic.clone(),
            other => return Err(format!("\"topic\" is no text: {}", other.to_json())),
        };
        let headers = match member(&json, "headers") {
            Value::Null => Vec::new(),
            Value::Map(headers) => headers.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect(),
            other => return Err(format!("\"headers\" is no object: {}", other.to_json())),
        };
        let partition = number("partition", 0)?;
        Ok(Sample {
            topic,
            partition: i32::try_from(partition).map_err(|_| format!("there is no partition {partition}"))?,
            timestamp: number("timestamp", -1)?,
            key: member(&json, "key").clone(),
            value: member(&json, "value").clone(),
            headers,
        })
    }
}

/// The bytes that stand for a sample in Kafka: JSON for a JsonConverter; elsewhere a text is its bytes, and all else its
/// JSON.
fn bytes_for(sample: &Value, converter: Converter) -> Option<Vec<u8>> {
    let is_json = matches!(converter, Converter::Json { .. } | Converter::JsonOf(_));
    match sample {
        Value::Null => None,
        Value::String(text) if !is_json => Some(text.clone().into_bytes()),
        other => Some(other.to_json().into_bytes()),
    }
}

impl std::fmt::Debug for TriedChain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a chain of {:?}", self.aliases)
    }
}
