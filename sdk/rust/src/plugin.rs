//! A plugin as a table of its definitions, and the objects that serve calls to them.
//!
//! The traits that authors implement have types; what crosses the border has names. This module joins the two, the same
//! way for the exports of a component and for the native test harness.

use crate::transform::{Place, Plan};
use crate::{
    Columns, Config, ConvertError, Converter, Data, Definition, Edits, Encoding, Error, HeaderConverter, NewOffset,
    Outcome, PollLimits, Position, Predicate, Problem, Result, Schema, SchemaId, SinkBatch, SinkTask, SourceBatch,
    SourceOffset, SourceTask, TopicPartition, Transform,
};
use serde_json::json;

/// Everything that one component contains. [`export!`](crate::export) makes it.
#[derive(Debug, Clone, Copy)]
pub struct Plugin {
    /// The name of the package.
    pub name: &'static str,
    /// The version of the package.
    pub version: &'static str,
    /// The authors of the package, separated by colons.
    pub authors: &'static str,
    /// The licence of the package.
    pub license: &'static str,
    /// The description of the package.
    pub description: &'static str,
    /// The sources.
    pub sources: &'static [Source],
    /// The sinks.
    pub sinks: &'static [Sink],
    /// The transforms.
    pub transforms: &'static [TransformKind],
    /// The predicates.
    pub predicates: &'static [PredicateKind],
    /// The converters of keys and values.
    pub converters: &'static [ConverterKind],
    /// The converters of header values.
    pub header_converters: &'static [HeaderConverterKind],
}

impl Plugin {
    /// Nothing; for [`export!`](crate::export) to start from.
    pub const EMPTY: Plugin = Plugin {
        name: "",
        version: "",
        authors: "",
        license: "",
        description: "",
        sources: &[],
        sinks: &[],
        transforms: &[],
        predicates: &[],
        converters: &[],
        header_converters: &[],
    };

    /// All definitions.
    pub fn definitions(&self) -> Vec<Definition> {
        let sources = self.sources.iter().map(|kind| kind.definition);
        let sinks = self.sinks.iter().map(|kind| kind.definition);
        let transforms = self.transforms.iter().map(|kind| kind.definition);
        let predicates = self.predicates.iter().map(|kind| kind.definition);
        let converters = self.converters.iter().map(|kind| kind.definition);
        let header_converters = self.header_converters.iter().map(|kind| kind.definition);
        let all = sources.chain(sinks).chain(transforms).chain(predicates).chain(converters).chain(header_converters);
        all.map(|definition| definition()).collect()
    }

    /// The JSON document of the contract's `describe`.
    pub fn describe(&self) -> String {
        let definitions: Vec<_> = self.definitions().iter().map(Definition::to_json).collect();
        let mut document = json!({ "name": self.name, "version": self.version, "definitions": definitions });
        let texts = [("author", self.authors), ("license", self.license), ("description", self.description)];
        for (member, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            document[member] = json!(text);
        }
        document.to_string()
    }
}

/// Pairs as they cross the border.
pub(crate) type Pairs = Vec<(String, String)>;

/// The part of a kind that all of them have.
macro_rules! kind {
    ($(#[$doc:meta])* $kind:ident of $bound:ident { $($field:ident: $type:ty = $of:expr,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $kind {
            pub(crate) definition: fn() -> Definition,
            pub(crate) validate: fn(&Config) -> Vec<Problem>,
            $(pub(crate) $field: $type,)*
        }

        impl $kind {
            /// The entry of one implementation.
            pub const fn of<T: $bound>() -> $kind {
                $kind { definition: T::definition, validate: T::validate, $($field: $of,)* }
            }

            pub(crate) fn find(kinds: &'static [$kind], name: &str) -> Result<&'static $kind> {
                kinds.iter().find(|kind| (kind.definition)().name() == name).ok_or_else(|| unknown(name))
            }

            pub(crate) fn config(&self, pairs: Pairs) -> Config {
                Config::new(&(self.definition)(), pairs)
            }
        }
    };
}

fn unknown(name: &str) -> Error {
    Error::fatal(format!("this plugin has no definition \"{name}\" of this kind"))
}

kind! {
    /// A source in the table of a [`Plugin`].
    Source of SourceTask {
        exactly_once_support: fn(&Config) -> bool = T::exactly_once_support,
        task_configs: fn(&Config, u32) -> Result<Vec<Config>> = T::task_configs,
        refresh: fn(&Config) -> Result<bool> = T::refresh,
        alter_offsets: fn(&Config, &[SourceOffset]) -> Result<bool> = T::alter_offsets,
        start: fn(&Config) -> Result<Box<dyn RunningSource>> = start_source::<T>,
    }
}

kind! {
    /// A sink in the table of a [`Plugin`].
    Sink of SinkTask {
        task_configs: fn(&Config, u32) -> Result<Vec<Config>> = T::task_configs,
        alter_offsets: fn(&Config, &[NewOffset]) -> Result<bool> = T::alter_offsets,
        start: fn(&Config) -> Result<Box<dyn RunningSink>> = start_sink::<T>,
    }
}

kind! {
    /// A transform in the table of a [`Plugin`].
    TransformKind of Transform {
        configure: fn(&Config) -> Result<Box<dyn RunningTransform>> = configure_transform::<T>,
    }
}

kind! {
    /// A predicate in the table of a [`Plugin`].
    PredicateKind of Predicate {
        configure: fn(&Config) -> Result<Box<dyn RunningPredicate>> = configure_predicate::<T>,
    }
}

kind! {
    /// A converter in the table of a [`Plugin`].
    ConverterKind of Converter {
        configure: fn(&Config, bool) -> Result<Box<dyn RunningConverter>> = configure_converter::<T>,
    }
}

kind! {
    /// A header converter in the table of a [`Plugin`].
    HeaderConverterKind of HeaderConverter {
        configure: fn(&Config) -> Result<Box<dyn RunningConverter>> = configure_header_converter::<T>,
    }
}

fn start_source<T: SourceTask>(config: &Config) -> Result<Box<dyn RunningSource>> {
    Ok(Box::new(SourceInstance { task: T::start(config)?, encoding: T::definition().encoding_of_values() }))
}

fn start_sink<T: SinkTask>(config: &Config) -> Result<Box<dyn RunningSink>> {
    Ok(Box::new(T::start(config)?))
}

fn configure_transform<T: Transform>(config: &Config) -> Result<Box<dyn RunningTransform>> {
    Ok(Box::new(T::configure(config)?))
}

fn configure_predicate<T: Predicate>(config: &Config) -> Result<Box<dyn RunningPredicate>> {
    Ok(Box::new(T::configure(config)?))
}

fn configure_converter<T: Converter>(config: &Config, is_key: bool) -> Result<Box<dyn RunningConverter>> {
    Ok(Box::new(OfRecords(T::configure(config, is_key)?)))
}

fn configure_header_converter<T: HeaderConverter>(config: &Config) -> Result<Box<dyn RunningConverter>> {
    Ok(Box::new(OfHeaders(T::configure(config)?)))
}

/// A source task that was started.
pub(crate) trait RunningSource {
    fn poll(&mut self, limits: PollLimits) -> Result<Vec<u8>>;
    fn commit(&mut self, offsets: &[SourceOffset]) -> Result<()>;
    fn stop(&mut self) -> Result<()>;
}

struct SourceInstance<T> {
    task: T,
    encoding: crate::Encoding,
}

impl<T: SourceTask> RunningSource for SourceInstance<T> {
    fn poll(&mut self, limits: PollLimits) -> Result<Vec<u8>> {
        let mut batch = SourceBatch::new(self.encoding, limits);
        self.task.poll(&mut batch)?;
        batch.finish()
    }

    fn commit(&mut self, offsets: &[SourceOffset]) -> Result<()> {
        self.task.commit(offsets)
    }

    fn stop(&mut self) -> Result<()> {
        self.task.stop()
    }
}

/// A sink task that was started.
pub(crate) trait RunningSink {
    fn open(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Position>>;
    fn put(&mut self, arena: &[u8]) -> Result<Outcome>;
    fn pre_commit(&mut self) -> Result<Option<Vec<Position>>>;
    fn close(&mut self, partitions: &[TopicPartition]) -> Result<()>;
    fn stop(&mut self) -> Result<()>;
}

impl<T: SinkTask> RunningSink for T {
    fn open(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Position>> {
        SinkTask::open(self, partitions)
    }

    fn put(&mut self, arena: &[u8]) -> Result<Outcome> {
        let batch = SinkBatch::read(arena)?;
        let mut outcome = Outcome::default();
        SinkTask::put(self, &batch, &mut outcome)?;
        Ok(outcome)
    }

    fn pre_commit(&mut self) -> Result<Option<Vec<Position>>> {
        SinkTask::pre_commit(self)
    }

    fn close(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        SinkTask::close(self, partitions)
    }

    fn stop(&mut self) -> Result<()> {
        SinkTask::stop(self)
    }
}

/// A transform that was configured.
pub(crate) trait RunningTransform {
    fn plan(&self) -> Plan;
    fn reshape(&self, place: Place, schema: &str) -> Result<Option<String>>;
    fn apply(&self, arena: &[u8]) -> Result<Vec<u8>>;
}

impl<T: Transform> RunningTransform for T {
    fn plan(&self) -> Plan {
        Transform::plan(self)
    }

    fn reshape(&self, place: Place, schema: &str) -> Result<Option<String>> {
        let json = serde_json::from_str(schema).map_err(Error::fatal)?;
        let schema = Schema::from_json(&json).map_err(Error::fatal)?;
        let made = Transform::reshape(self, place, &schema)?;
        match self.drops_schema(place) {
            true => Ok(Some("null".to_owned())),
            false => Ok(made.map(|schema| schema.to_json().to_string())),
        }
    }

    fn apply(&self, arena: &[u8]) -> Result<Vec<u8>> {
        let columns = Columns::read(arena)?;
        let mut edits = Edits::new(columns.len());
        Transform::apply(self, &columns, &mut edits)?;
        edits.finish()
    }
}

/// A predicate that was configured.
pub(crate) trait RunningPredicate {
    fn reads(&self) -> Plan;
    fn test(&self, arena: &[u8]) -> Result<Vec<u8>>;
}

impl<T: Predicate> RunningPredicate for T {
    fn reads(&self) -> Plan {
        Plan { read: Predicate::reads(self), write: Vec::new() }
    }

    fn test(&self, arena: &[u8]) -> Result<Vec<u8>> {
        let columns = Columns::read(arena)?;
        let bitmap = Predicate::test(self, &columns)?;
        match bitmap.len() == columns.len() {
            true => Ok(bitmap.into_bytes()),
            false => Err(Error::fatal("a predicate answers one bit per record")),
        }
    }
}

/// A converter that was configured.
#[allow(clippy::wrong_self_convention, reason = "the names are the contract's")]
pub(crate) trait RunningConverter {
    fn to_connect(&mut self, arena: &[u8]) -> Result<Vec<u8>>;
    fn from_connect(&mut self, arena: &[u8]) -> Result<Vec<u8>>;
}

/// Two traits, whose values may be of one type.
struct OfRecords<T>(T);
struct OfHeaders<T>(T);

impl<T: Converter> RunningConverter for OfRecords<T> {
    fn to_connect(&mut self, arena: &[u8]) -> Result<Vec<u8>> {
        to_connect(arena, |topic, bytes| self.0.to_connect(topic, bytes))
    }

    fn from_connect(&mut self, arena: &[u8]) -> Result<Vec<u8>> {
        from_connect(arena, |topic, data| self.0.from_connect(topic, data))
    }
}

impl<T: HeaderConverter> RunningConverter for OfHeaders<T> {
    fn to_connect(&mut self, arena: &[u8]) -> Result<Vec<u8>> {
        to_connect(arena, |topic, bytes| self.0.to_connect(topic, bytes))
    }

    fn from_connect(&mut self, arena: &[u8]) -> Result<Vec<u8>> {
        from_connect(arena, |topic, data| self.0.from_connect(topic, data))
    }
}

fn to_connect(
    arena: &[u8],
    mut convert: impl FnMut(&str, Option<&[u8]>) -> Result<Data, ConvertError>,
) -> Result<Vec<u8>> {
    let batch = SinkBatch::read(arena)?;
    let mut answer = SourceBatch::of_converter(Encoding::Tlv, arena.len());
    for record in batch.records() {
        let topic = answer.name(record.topic())?;
        match convert(record.topic(), record.value_bytes()) {
            Ok(data) => answer.push_data(topic, data.schema, &data.value)?,
            Err(ConvertError::Record(reason)) => answer.push_failed(topic, &reason)?,
            Err(ConvertError::Call(error)) => return Err(error),
        }
    }
    answer.finish()
}

fn from_connect(
    arena: &[u8],
    mut convert: impl FnMut(&str, Data) -> Result<Option<Vec<u8>>, ConvertError>,
) -> Result<Vec<u8>> {
    let batch = SinkBatch::read(arena)?;
    let mut answer = SourceBatch::of_converter(Encoding::Raw, arena.len());
    for record in batch.records() {
        let topic = answer.name(record.topic())?;
        match convert(record.topic(), Data { schema: record.value_schema(), value: record.value()? }) {
            Ok(bytes) => answer.push_data(topic, SchemaId::OPTIONAL_BYTES, &bytes.into())?,
            Err(ConvertError::Record(reason)) => answer.push_failed(topic, &reason)?,
            Err(ConvertError::Call(error)) => return Err(error),
        }
    }
    answer.finish()
}
