//! The exports of the contract, served from a [`Plugin`]'s table. One running task, transform, predicate or converter per
//! instance.

use crate::bindings::imports::tidegate::connect::types as wit;
use crate::bindings::{converter, plugin, predicate, sink, source, transform};
use crate::plugin::{ConverterKind, HeaderConverterKind, Pairs, PredicateKind, Sink, Source, TransformKind};
use crate::plugin::{RunningConverter, RunningPredicate, RunningSink, RunningSource, RunningTransform};
use crate::transform::{Column, Place, Plan};
use crate::{
    Config, Error, FailureKind, NewOffset, Plugin, PollLimits, Position, Problem, Result, SourceOffset, TopicPartition,
};
use std::cell::RefCell;

/// The component that [`export!`](crate::export) makes; ties the exports to its table.
pub trait Exported {
    /// The table.
    const PLUGIN: &'static Plugin;
}

thread_local! {
    static SOURCE: RefCell<Option<Box<dyn RunningSource>>> = const { RefCell::new(None) };
    static SINK: RefCell<Option<Box<dyn RunningSink>>> = const { RefCell::new(None) };
    static TRANSFORM: RefCell<Option<Box<dyn RunningTransform>>> = const { RefCell::new(None) };
    static PREDICATE: RefCell<Option<Box<dyn RunningPredicate>>> = const { RefCell::new(None) };
    static CONVERTER: RefCell<Option<Box<dyn RunningConverter>>> = const { RefCell::new(None) };
}

/// Makes a call to what was started or configured before.
fn with_running<T, R>(
    place: &'static std::thread::LocalKey<RefCell<Option<T>>>,
    call: impl FnOnce(&mut T) -> Result<R>,
) -> Result<R, wit::Error> {
    place.with_borrow_mut(|running| match running {
        Some(running) => Ok(call(running)?),
        None => Err(Error::fatal("called before `start` or `configure`").into()),
    })
}

/// The arena of a payload; plugins made with this SDK never ask for JSON.
fn arena(payload: wit::Payload) -> Result<Vec<u8>> {
    match payload {
        wit::Payload::Arena(bytes) => Ok(bytes),
        wit::Payload::Json(_) => Err(Error::fatal("the host sent JSON to a definition that did not ask for it")),
    }
}

fn problems(checked: Result<Vec<Problem>>) -> Vec<wit::Problem> {
    let problems = checked.unwrap_or_else(|error| vec![Problem::new("", error.to_string())]);
    problems.into_iter().map(Into::into).collect()
}

fn configs(configs: Vec<Config>) -> Vec<Pairs> {
    configs.into_iter().map(Config::into_pairs).collect()
}

impl<T: Exported> plugin::exports::tidegate::connect::plugin::Guest for T {
    fn describe() -> String {
        T::PLUGIN.describe()
    }
}

impl<T: Exported> source::exports::tidegate::connect::source::Guest for T {
    fn validate(definition: String, config: Pairs) -> Vec<wit::Problem> {
        problems(Source::find(T::PLUGIN.sources, &definition).map(|kind| (kind.validate)(&kind.config(config))))
    }

    fn exactly_once_support(
        definition: String,
        config: Pairs,
    ) -> source::exports::tidegate::connect::source::ExactlyOnce {
        use source::exports::tidegate::connect::source::ExactlyOnce;
        match Source::find(T::PLUGIN.sources, &definition) {
            Ok(kind) if (kind.exactly_once_support)(&kind.config(config)) => ExactlyOnce::Supported,
            _ => ExactlyOnce::Unsupported,
        }
    }

    fn task_configs(definition: String, config: Pairs, tasks_max: u32) -> Result<Vec<Pairs>, wit::Error> {
        let kind = Source::find(T::PLUGIN.sources, &definition)?;
        Ok(configs((kind.task_configs)(&kind.config(config), tasks_max)?))
    }

    fn refresh(definition: String, config: Pairs) -> Result<bool, wit::Error> {
        let kind = Source::find(T::PLUGIN.sources, &definition)?;
        Ok((kind.refresh)(&kind.config(config))?)
    }

    fn alter_offsets(definition: String, config: Pairs, offsets: Vec<wit::SourceOffset>) -> Result<bool, wit::Error> {
        let kind = Source::find(T::PLUGIN.sources, &definition)?;
        let offsets: Vec<SourceOffset> = offsets.into_iter().map(Into::into).collect();
        Ok((kind.alter_offsets)(&kind.config(config), &offsets)?)
    }

    fn start(definition: String, config: Pairs) -> Result<(), wit::Error> {
        // What ran before is dropped first, so that it lets go of what the new task opens.
        SOURCE.set(None);
        let kind = Source::find(T::PLUGIN.sources, &definition)?;
        SOURCE.set(Some((kind.start)(&kind.config(config))?));
        Ok(())
    }

    fn poll(_: String, records_max: u32, bytes_max: u32, wait_ms: u32) -> Result<wit::Payload, wit::Error> {
        let limits = PollLimits { records_max: records_max as usize, bytes_max: bytes_max as usize, wait_ms };
        with_running(&SOURCE, |task| task.poll(limits)).map(wit::Payload::Arena)
    }

    fn commit(_: String, offsets: Vec<wit::SourceOffset>) -> Result<(), wit::Error> {
        let offsets: Vec<SourceOffset> = offsets.into_iter().map(Into::into).collect();
        with_running(&SOURCE, |task| task.commit(&offsets))
    }

    fn stop(_: String) -> Result<(), wit::Error> {
        let stopped = with_running(&SOURCE, |task| task.stop());
        SOURCE.set(None);
        stopped
    }
}

impl<T: Exported> sink::exports::tidegate::connect::sink::Guest for T {
    fn validate(definition: String, config: Pairs) -> Vec<wit::Problem> {
        problems(Sink::find(T::PLUGIN.sinks, &definition).map(|kind| (kind.validate)(&kind.config(config))))
    }

    fn task_configs(definition: String, config: Pairs, tasks_max: u32) -> Result<Vec<Pairs>, wit::Error> {
        let kind = Sink::find(T::PLUGIN.sinks, &definition)?;
        Ok(configs((kind.task_configs)(&kind.config(config), tasks_max)?))
    }

    fn alter_offsets(
        definition: String,
        config: Pairs,
        offsets: Vec<sink::exports::tidegate::connect::sink::NewOffset>,
    ) -> Result<bool, wit::Error> {
        let kind = Sink::find(T::PLUGIN.sinks, &definition)?;
        let offsets: Vec<NewOffset> = offsets.into_iter().map(Into::into).collect();
        Ok((kind.alter_offsets)(&kind.config(config), &offsets)?)
    }

    fn start(definition: String, config: Pairs) -> Result<(), wit::Error> {
        SINK.set(None);
        let kind = Sink::find(T::PLUGIN.sinks, &definition)?;
        SINK.set(Some((kind.start)(&kind.config(config))?));
        Ok(())
    }

    fn open(_: String, partitions: Vec<wit::TopicPartition>) -> Result<Vec<wit::Position>, wit::Error> {
        let partitions: Vec<TopicPartition> = partitions.into_iter().map(Into::into).collect();
        let positions = with_running(&SINK, |task| task.open(&partitions))?;
        Ok(positions.into_iter().map(Into::into).collect())
    }

    fn put(_: String, batch: wit::Payload) -> Result<sink::exports::tidegate::connect::sink::Outcome, wit::Error> {
        use sink::exports::tidegate::connect::sink::{Outcome, Rejection};
        let outcome = with_running(&SINK, |task| task.put(&arena(batch)?))?;
        Ok(Outcome {
            rejected: outcome.rejected.into_iter().map(|(index, message)| Rejection { index, message }).collect(),
            retry_from: outcome.retry.map(|(index, _)| index),
            retry_after_ms: outcome.retry.map_or(0, |(_, after_ms)| after_ms),
        })
    }

    fn pre_commit(_: String) -> Result<Option<Vec<wit::Position>>, wit::Error> {
        let positions = with_running(&SINK, |task| task.pre_commit())?;
        Ok(positions.map(|positions| positions.into_iter().map(Into::into).collect()))
    }

    fn close(_: String, partitions: Vec<wit::TopicPartition>) -> Result<(), wit::Error> {
        let partitions: Vec<TopicPartition> = partitions.into_iter().map(Into::into).collect();
        with_running(&SINK, |task| task.close(&partitions))
    }

    fn stop(_: String) -> Result<(), wit::Error> {
        let stopped = with_running(&SINK, |task| task.stop());
        SINK.set(None);
        stopped
    }
}

impl<T: Exported> transform::exports::tidegate::connect::transform::Guest for T {
    fn validate(definition: String, config: Pairs) -> Vec<wit::Problem> {
        let kind = TransformKind::find(T::PLUGIN.transforms, &definition);
        problems(kind.map(|kind| (kind.validate)(&kind.config(config))))
    }

    fn configure(definition: String, config: Pairs) -> Result<wit::Plan, wit::Error> {
        let kind = TransformKind::find(T::PLUGIN.transforms, &definition)?;
        let transform = (kind.configure)(&kind.config(config))?;
        let plan = transform.plan();
        TRANSFORM.set(Some(transform));
        Ok(plan.into())
    }

    fn reshape(_: String, place: wit::Place, schema: String) -> Result<Option<String>, wit::Error> {
        with_running(&TRANSFORM, |transform| transform.reshape(place.into(), &schema))
    }

    fn apply(_: String, columns: wit::Payload) -> Result<wit::Payload, wit::Error> {
        with_running(&TRANSFORM, |transform| transform.apply(&arena(columns)?)).map(wit::Payload::Arena)
    }
}

impl<T: Exported> predicate::exports::tidegate::connect::predicate::Guest for T {
    fn validate(definition: String, config: Pairs) -> Vec<wit::Problem> {
        let kind = PredicateKind::find(T::PLUGIN.predicates, &definition);
        problems(kind.map(|kind| (kind.validate)(&kind.config(config))))
    }

    fn configure(definition: String, config: Pairs) -> Result<wit::Plan, wit::Error> {
        let kind = PredicateKind::find(T::PLUGIN.predicates, &definition)?;
        let predicate = (kind.configure)(&kind.config(config))?;
        let plan = predicate.reads();
        PREDICATE.set(Some(predicate));
        Ok(plan.into())
    }

    fn test(_: String, columns: wit::Payload) -> Result<Vec<u8>, wit::Error> {
        with_running(&PREDICATE, |predicate| predicate.test(&arena(columns)?))
    }
}

/// The definition's name says whether keys and values or headers are converted.
impl<T: Exported> converter::exports::tidegate::connect::converter::Guest for T {
    fn validate(definition: String, config: Pairs) -> Vec<wit::Problem> {
        problems(match HeaderConverterKind::find(T::PLUGIN.header_converters, &definition) {
            Ok(kind) => Ok((kind.validate)(&kind.config(config))),
            Err(_) => {
                ConverterKind::find(T::PLUGIN.converters, &definition).map(|kind| (kind.validate)(&kind.config(config)))
            }
        })
    }

    fn configure(definition: String, config: Pairs, is_key: bool) -> Result<(), wit::Error> {
        let converter = match HeaderConverterKind::find(T::PLUGIN.header_converters, &definition) {
            Ok(kind) => (kind.configure)(&kind.config(config))?,
            Err(_) => {
                let kind = ConverterKind::find(T::PLUGIN.converters, &definition)?;
                (kind.configure)(&kind.config(config), is_key)?
            }
        };
        CONVERTER.set(Some(converter));
        Ok(())
    }

    fn to_connect(_: String, batch: wit::Payload) -> Result<wit::Payload, wit::Error> {
        with_running(&CONVERTER, |converter| converter.to_connect(&arena(batch)?)).map(wit::Payload::Arena)
    }

    fn from_connect(_: String, batch: wit::Payload) -> Result<wit::Payload, wit::Error> {
        with_running(&CONVERTER, |converter| converter.from_connect(&arena(batch)?)).map(wit::Payload::Arena)
    }
}

impl From<Problem> for wit::Problem {
    fn from(Problem { key, message }: Problem) -> wit::Problem {
        wit::Problem { key, message }
    }
}

impl From<Error> for wit::Error {
    fn from(error: Error) -> wit::Error {
        match error {
            Error::Retriable { message, after_ms } => wit::Error::Retriable(wit::Retry { message, after_ms }),
            Error::ConnectionLost(message) => wit::Error::ConnectionLost(message),
            Error::InvalidConfig(problem) => wit::Error::InvalidConfig(problem.into()),
            Error::EndOfInput => wit::Error::EndOfInput,
            Error::Fatal(message) => wit::Error::Fatal(message),
            Error::BadRecord(kind, message) => wit::Error::BadRecord(wit::RecordFailure { kind: kind.into(), message }),
        }
    }
}

impl From<FailureKind> for wit::FailureKind {
    fn from(kind: FailureKind) -> wit::FailureKind {
        match kind {
            FailureKind::Data => wit::FailureKind::Data,
            FailureKind::Config => wit::FailureKind::Config,
            FailureKind::IllegalArgument => wit::FailureKind::IllegalArgument,
            FailureKind::NullPointer => wit::FailureKind::NullPointer,
            FailureKind::Other => wit::FailureKind::Other,
        }
    }
}

impl From<wit::FailureKind> for FailureKind {
    fn from(kind: wit::FailureKind) -> FailureKind {
        match kind {
            wit::FailureKind::Data => FailureKind::Data,
            wit::FailureKind::Config => FailureKind::Config,
            wit::FailureKind::IllegalArgument => FailureKind::IllegalArgument,
            wit::FailureKind::NullPointer => FailureKind::NullPointer,
            wit::FailureKind::Other => FailureKind::Other,
        }
    }
}

impl From<wit::Error> for Error {
    fn from(error: wit::Error) -> Error {
        match error {
            wit::Error::Retriable(wit::Retry { message, after_ms }) => Error::Retriable { message, after_ms },
            wit::Error::ConnectionLost(message) => Error::ConnectionLost(message),
            wit::Error::InvalidConfig(wit::Problem { key, message }) => Error::invalid_config(key, message),
            wit::Error::EndOfInput => Error::EndOfInput,
            wit::Error::Fatal(message) => Error::Fatal(message),
            wit::Error::BadRecord(wit::RecordFailure { kind, message }) => Error::BadRecord(kind.into(), message),
        }
    }
}

impl From<wit::SourceOffset> for SourceOffset {
    fn from(wit::SourceOffset { partition, offset }: wit::SourceOffset) -> SourceOffset {
        SourceOffset { partition, offset }
    }
}

impl From<wit::TopicPartition> for TopicPartition {
    fn from(wit::TopicPartition { topic, partition }: wit::TopicPartition) -> TopicPartition {
        TopicPartition { topic, partition }
    }
}

impl From<TopicPartition> for wit::TopicPartition {
    fn from(TopicPartition { topic, partition }: TopicPartition) -> wit::TopicPartition {
        wit::TopicPartition { topic, partition }
    }
}

impl From<sink::exports::tidegate::connect::sink::NewOffset> for NewOffset {
    fn from(offset: sink::exports::tidegate::connect::sink::NewOffset) -> NewOffset {
        NewOffset { topic: offset.topic, partition: offset.partition, next_offset: offset.next_offset }
    }
}

impl From<wit::Position> for Position {
    fn from(wit::Position { topic, partition, next_offset }: wit::Position) -> Position {
        Position { topic, partition, next_offset }
    }
}

impl From<Position> for wit::Position {
    fn from(Position { topic, partition, next_offset }: Position) -> wit::Position {
        wit::Position { topic, partition, next_offset }
    }
}

impl From<wit::Place> for Place {
    fn from(place: wit::Place) -> Place {
        match place {
            wit::Place::Value => Place::Value,
            wit::Place::Key => Place::Key,
            wit::Place::Header => Place::Header,
            wit::Place::Topic => Place::Topic,
            wit::Place::Partition => Place::Partition,
            wit::Place::Offset => Place::Offset,
            wit::Place::Timestamp => Place::Timestamp,
        }
    }
}

impl From<Column> for wit::Column {
    fn from(Column { place, path }: Column) -> wit::Column {
        let place = match place {
            Place::Value => wit::Place::Value,
            Place::Key => wit::Place::Key,
            Place::Header => wit::Place::Header,
            Place::Topic => wit::Place::Topic,
            Place::Partition => wit::Place::Partition,
            Place::Offset => wit::Place::Offset,
            Place::Timestamp => wit::Place::Timestamp,
        };
        wit::Column { place, path }
    }
}

impl From<Plan> for wit::Plan {
    fn from(Plan { read, write }: Plan) -> wit::Plan {
        wit::Plan {
            read: read.into_iter().map(Into::into).collect(),
            write: write.into_iter().map(Into::into).collect(),
        }
    }
}

/// Makes a component of any mix of definitions: the one macro that an author meets.
///
/// ```
/// use tidegate_sdk::*;
/// struct Quiet;
///
/// impl Transform for Quiet {
///     fn definition() -> Definition {
///         Definition::transform("Quiet").doc("Drops every record.")
///     }
///     fn configure(_: &Config) -> Result<Quiet> {
///         Ok(Quiet)
///     }
///     fn plan(&self) -> Plan {
///         Plan::default()
///     }
///     fn apply(&self, _: &Columns<'_>, edits: &mut Edits) -> Result<()> {
///         edits.drop_all();
///         Ok(())
///     }
/// }
///
/// export! { transforms: [Quiet] }
/// # fn main() {
/// assert!(PLUGIN.describe().contains("\"Quiet\""));
/// # }
/// ```
///
/// Names, version, authors, licence and description are those of the crate. Natively it leaves only `PLUGIN`, the table, so
/// that crates with this macro can be linked into one test.
#[macro_export]
macro_rules! export {
    ($($kind:ident : [$($type:ty),* $(,)?]),* $(,)?) => {
        /// What this plugin contains.
        pub static PLUGIN: $crate::Plugin = $crate::Plugin {
            name: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
            authors: env!("CARGO_PKG_AUTHORS"),
            license: env!("CARGO_PKG_LICENSE"),
            description: env!("CARGO_PKG_DESCRIPTION"),
            $($kind: &[$($crate::__export_entry!($kind $type)),*],)*
            ..$crate::Plugin::EMPTY
        };

        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code, reason = "the generated exports have C names and take raw pointers")]
        const _: () = {
            struct Component;

            impl $crate::exports::Exported for Component {
                const PLUGIN: &'static $crate::Plugin = &PLUGIN;
            }

            $crate::bindings::plugin::export!(Component with_types_in $crate::bindings::plugin);
            $($crate::__export_kind!($kind);)*
            $crate::__export_converter!($($kind)*);
        };
    };
}

/// An entry of the table; part of [`export!`](crate::export).
#[doc(hidden)]
#[macro_export]
macro_rules! __export_entry {
    (sources $type:ty) => {
        $crate::plugin::Source::of::<$type>()
    };
    (sinks $type:ty) => {
        $crate::plugin::Sink::of::<$type>()
    };
    (transforms $type:ty) => {
        $crate::plugin::TransformKind::of::<$type>()
    };
    (predicates $type:ty) => {
        $crate::plugin::PredicateKind::of::<$type>()
    };
    (converters $type:ty) => {
        $crate::plugin::ConverterKind::of::<$type>()
    };
    (header_converters $type:ty) => {
        $crate::plugin::HeaderConverterKind::of::<$type>()
    };
}

/// The exports of one kind; part of [`export!`](crate::export).
#[doc(hidden)]
#[macro_export]
macro_rules! __export_kind {
    (sources) => { $crate::bindings::source::export!(Component with_types_in $crate::bindings::source); };
    (sinks) => { $crate::bindings::sink::export!(Component with_types_in $crate::bindings::sink); };
    (transforms) => { $crate::bindings::transform::export!(Component with_types_in $crate::bindings::transform); };
    (predicates) => { $crate::bindings::predicate::export!(Component with_types_in $crate::bindings::predicate); };
    (converters) => {};
    (header_converters) => {};
}

/// The exports that converters and header converters share, once if there are any; part of [`export!`](crate::export).
#[doc(hidden)]
#[macro_export]
macro_rules! __export_converter {
    () => {};
    (converters $($rest:ident)*) => {
        $crate::bindings::converter::export!(Component with_types_in $crate::bindings::converter);
    };
    (header_converters $($rest:ident)*) => {
        $crate::bindings::converter::export!(Component with_types_in $crate::bindings::converter);
    };
    ($other:ident $($rest:ident)*) => { $crate::__export_converter!($($rest)*); };
}
