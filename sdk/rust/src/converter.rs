//! The converter kinds: between the bytes in Kafka and Connect data.

use crate::batch::plain_schema;
use crate::{Config, Definition, Error, Malformed, Problem, Result, SchemaId, Value};
use std::fmt;

/// A converter of keys and values. A value of the type serves either the keys or the values of one connector or task.
///
/// Bytes that were read and data that was written are not looked at again: what one converter writes, another one, or
/// somebody's program, must be able to read.
#[allow(clippy::wrong_self_convention, reason = "the names are the contract's")]
pub trait Converter: Sized + 'static {
    /// Name, keys and documentation. Must always be the same. [`Definition::encoding`] says how the data for
    /// [`from_connect`](Converter::from_connect) comes: with [`Text`](crate::Encoding::Text) whatever has a structure is a
    /// string of JSON, with [`Raw`](crate::Encoding::Raw) it never comes.
    fn definition() -> Definition;

    /// Everything wrong with a configuration that the keys do not already say.
    fn validate(config: &Config) -> Vec<Problem> {
        let _ = config;
        Vec::new()
    }

    /// Takes the configuration, once per instance. `is_key`: keys are converted, else values. Any error fails the task.
    fn configure(config: &Config, is_key: bool) -> Result<Self>;

    /// Bytes to Connect data; no bytes are a null in Kafka, such as the value of a tombstone.
    fn to_connect(&mut self, topic: &str, bytes: Option<&[u8]>) -> Result<Data, ConvertError>;

    /// Connect data to bytes; none are a null in Kafka.
    fn from_connect(&mut self, topic: &str, data: Data) -> Result<Option<Vec<u8>>, ConvertError>;
}

/// A converter of header values, of all headers alike.
///
/// Of a component's converters and header converters no two may have the same name: the calls of both look alike.
#[allow(clippy::wrong_self_convention, reason = "the names are the contract's")]
pub trait HeaderConverter: Sized + 'static {
    /// As [`Converter::definition`].
    fn definition() -> Definition;

    /// Everything wrong with a configuration that the keys do not already say.
    fn validate(config: &Config) -> Vec<Problem> {
        let _ = config;
        Vec::new()
    }

    /// Takes the configuration, once per instance. Any error fails the task.
    fn configure(config: &Config) -> Result<Self>;

    /// As [`Converter::to_connect`].
    fn to_connect(&mut self, topic: &str, bytes: Option<&[u8]>) -> Result<Data, ConvertError>;

    /// As [`Converter::from_connect`].
    fn from_connect(&mut self, topic: &str, data: Data) -> Result<Option<Vec<u8>>, ConvertError>;
}

/// A value with its schema: what converters give and take.
#[derive(Debug, Clone, PartialEq)]
pub struct Data {
    /// The schema; [`SchemaId::NONE`] for a value that describes itself.
    pub schema: SchemaId,
    /// The value.
    pub value: Value,
}

impl Data {
    /// A null without a schema.
    pub const NULL: Data = Data { schema: SchemaId::NONE, value: Value::Null };

    /// A value; plain types get their schema, the others none.
    pub fn new(value: impl Into<Value>) -> Data {
        let value = value.into();
        Data { schema: plain_schema(&value), value }
    }

    /// A value together with its schema.
    pub fn of(schema: SchemaId, value: impl Into<Value>) -> Data {
        Data { schema, value: value.into() }
    }
}

/// Why a conversion failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConvertError {
    /// This record cannot be converted: a dead letter, or the end of the task, as the operator chose.
    Record(String),
    /// The call failed, as when a schema registry is not there. Every record of the batch is as if never converted; what
    /// the host does next is the error's to say.
    Call(Error),
}

impl ConvertError {
    /// See [`ConvertError::Record`].
    pub fn record(message: impl fmt::Display) -> ConvertError {
        ConvertError::Record(message.to_string())
    }
}

impl From<Error> for ConvertError {
    fn from(error: Error) -> ConvertError {
        ConvertError::Call(error)
    }
}

impl From<Malformed> for ConvertError {
    fn from(malformed: Malformed) -> ConvertError {
        ConvertError::Call(malformed.into())
    }
}
