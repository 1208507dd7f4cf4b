//! What the host offers a plugin: log, metrics, schemas, stored offsets, the sink's consumer, HTTP and TCP.
//!
//! In a component these are the imports of the contract. In native tests they go to
//! [`testing::FakeHost`](crate::testing::FakeHost).

#[cfg(not(target_family = "wasm"))]
use crate::testing::fake as imp;
use crate::{Error, Position, Result, SchemaId, TopicPartition};
#[cfg(target_family = "wasm")]
use component as imp;
use std::io;

/// How important a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Someone must act.
    Error,
    /// Unexpected, but dealt with.
    Warn,
    /// The state changed.
    Info,
    /// For those who look for a fault.
    Debug,
    /// Everything.
    Trace,
}

/// Writes a line to the worker's log, tagged with connector and task. Never blocks; a line is cut at 8 KiB.
pub fn log(level: Level, message: &str) {
    imp::log(level, message);
}

/// Adds to the counter `tidegate_plugin_<name>`. At most 100 names per task.
pub fn count(name: &str, delta: f64) {
    imp::count(name, delta);
}

/// Sets the gauge `tidegate_plugin_<name>`.
pub fn gauge(name: &str, value: f64) {
    imp::gauge(name, value);
}

/// The number of a schema; the same schema always has the same number. At most 1,000 per task.
pub fn define_schema(schema: &crate::Schema) -> Result<SchemaId> {
    imp::define_schema(&schema.to_json().to_string()).map(SchemaId).map_err(Error::fatal)
}

/// The schema of a number that a batch mentions; none for [`SchemaId::NONE`] and for numbers that nobody handed out.
pub fn schema(id: SchemaId) -> Option<crate::Schema> {
    id.predefined().or_else(|| {
        let json = serde_json::from_str(&imp::describe_schema(id.0)?).ok()?;
        crate::Schema::from_json(&json).ok()
    })
}

/// The committed offset of a source partition of this connector, both compact JSON objects; none if there is none.
pub fn load_offset(partition: &str) -> Result<Option<String>> {
    Ok(imp::load_offsets(&[partition.to_owned()])?.into_iter().next().flatten())
}

/// As [`load_offset`], for many at once, in their order.
pub fn load_offsets(partitions: &[String]) -> Result<Vec<Option<String>>> {
    imp::load_offsets(partitions)
}

/// Stops the delivery of records of these partitions. Sinks only.
pub fn pause(partitions: &[TopicPartition]) -> Result<()> {
    imp::pause(partitions).map_err(Error::fatal)
}

/// Goes on with the delivery of records of these partitions. Sinks only.
pub fn resume(partitions: &[TopicPartition]) -> Result<()> {
    imp::resume(partitions).map_err(Error::fatal)
}

/// Goes on from other offsets after the present call has returned. Sinks only.
pub fn seek(positions: &[Position]) -> Result<()> {
    imp::seek(positions).map_err(Error::fatal)
}

/// Asks for `pre_commit` and a commit soon. Sinks only.
pub fn request_commit() -> Result<()> {
    imp::request_commit().map_err(Error::fatal)
}

/// An HTTP request for [`http`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// `GET`, `POST`, …
    pub method: String,
    /// Must lie below what a key of type `url` names.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Vec<u8>,
    /// For the whole exchange, in milliseconds; 0 means the host's 30,000.
    pub timeout_ms: u32,
}

impl HttpRequest {
    /// A `GET` request.
    pub fn get(url: impl Into<String>) -> HttpRequest {
        HttpRequest { method: "GET".to_owned(), url: url.into(), headers: Vec::new(), body: Vec::new(), timeout_ms: 0 }
    }
}

/// An answer to an [`HttpRequest`], whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// Such as 200.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body, whole.
    pub body: Vec<u8>,
}

/// Why HTTP or TCP failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkError {
    /// Not granted; the text names the key that would grant it.
    Denied(String),
    /// It took longer than the time given.
    Timeout,
    /// The response is longer than the host allows.
    TooLarge,
    /// The connection is closed.
    Closed,
    /// Name lookup, connection, TLS or protocol; worth trying again.
    Failed(String),
}

impl std::fmt::Display for NetworkError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NetworkError::Denied(message) | NetworkError::Failed(message) => f.write_str(message),
            NetworkError::Timeout => f.write_str("timed out"),
            NetworkError::TooLarge => f.write_str("the response is too large"),
            NetworkError::Closed => f.write_str("the connection is closed"),
        }
    }
}

impl std::error::Error for NetworkError {}

impl From<NetworkError> for Error {
    /// What is denied stays denied; everything else is worth trying again.
    fn from(error: NetworkError) -> Error {
        match error {
            NetworkError::Denied(_) | NetworkError::TooLarge => Error::fatal(error),
            NetworkError::Closed => Error::connection_lost(error),
            NetworkError::Timeout | NetworkError::Failed(_) => Error::retriable(error),
        }
    }
}

/// Makes an HTTP request with the host's connection pool and TLS. Redirects are not followed.
pub fn http(request: &HttpRequest) -> Result<HttpResponse, NetworkError> {
    imp::http(request)
}

/// A byte stream to another host, with TLS by the host if asked for.
pub struct Connection {
    inner: imp::Connection,
    timeout_ms: u32,
}

impl Connection {
    /// Connects to what a key of type `host-port` or `url` names; every read and write waits at most `timeout_ms`.
    pub fn open(host: &str, port: u16, tls: bool, timeout_ms: u32) -> Result<Connection, NetworkError> {
        Ok(Connection { inner: imp::connect(host, port, tls, timeout_ms)?, timeout_ms })
    }
}

impl io::Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let max = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        let bytes = imp::read(&mut self.inner, max, self.timeout_ms).map_err(io_error)?;
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }
}

impl io::Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        imp::write(&mut self.inner, bytes, self.timeout_ms).map_err(io_error)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn io_error(error: NetworkError) -> io::Error {
    let kind = match error {
        NetworkError::Denied(_) => io::ErrorKind::PermissionDenied,
        NetworkError::Timeout => io::ErrorKind::TimedOut,
        NetworkError::Closed => io::ErrorKind::ConnectionAborted,
        NetworkError::TooLarge | NetworkError::Failed(_) => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

/// The imports of the contract.
#[cfg(target_family = "wasm")]
mod component {
    use super::{HttpRequest, HttpResponse, Level, NetworkError};
    use crate::bindings::imports::tidegate::connect;
    use crate::{Position, Result, TopicPartition};

    pub(super) type Connection = connect::net::Connection;

    pub(super) fn log(level: Level, message: &str) {
        let level = match level {
            Level::Error => connect::log::Level::Error,
            Level::Warn => connect::log::Level::Warn,
            Level::Info => connect::log::Level::Info,
            Level::Debug => connect::log::Level::Debug,
            Level::Trace => connect::log::Level::Trace,
        };
        connect::log::log(level, message);
    }

    pub(super) fn count(name: &str, delta: f64) {
        connect::metrics::add(name, delta);
    }

    pub(super) fn gauge(name: &str, value: f64) {
        connect::metrics::set(name, value);
    }

    pub(super) fn define_schema(schema: &str) -> Result<u32, String> {
        connect::schemas::define(schema)
    }

    pub(super) fn describe_schema(id: u32) -> Option<String> {
        connect::schemas::describe(id)
    }

    pub(super) fn load_offsets(partitions: &[String]) -> Result<Vec<Option<String>>> {
        Ok(connect::offsets::load(partitions)?)
    }

    pub(super) fn pause(partitions: &[TopicPartition]) -> Result<(), String> {
        connect::sink_context::pause(&partitions.iter().cloned().map(Into::into).collect::<Vec<_>>())
    }

    pub(super) fn resume(partitions: &[TopicPartition]) -> Result<(), String> {
        connect::sink_context::resume(&partitions.iter().cloned().map(Into::into).collect::<Vec<_>>())
    }

    pub(super) fn seek(positions: &[Position]) -> Result<(), String> {
        connect::sink_context::seek(&positions.iter().cloned().map(Into::into).collect::<Vec<_>>())
    }

    pub(super) fn request_commit() -> Result<(), String> {
        connect::sink_context::request_commit()
    }

    pub(super) fn http(request: &HttpRequest) -> Result<HttpResponse, NetworkError> {
        let request = connect::http::HttpRequest {
            method: request.method.clone(),
            url: request.url.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
            timeout_ms: request.timeout_ms,
        };
        match connect::http::request(&request) {
            Ok(response) => {
                Ok(HttpResponse { status: response.status, headers: response.headers, body: response.body })
            }
            Err(connect::http::HttpError::Denied(message)) => Err(NetworkError::Denied(message)),
            Err(connect::http::HttpError::Timeout) => Err(NetworkError::Timeout),
            Err(connect::http::HttpError::TooLarge) => Err(NetworkError::TooLarge),
            Err(connect::http::HttpError::Failed(message)) => Err(NetworkError::Failed(message)),
        }
    }

    pub(super) fn connect(host: &str, port: u16, tls: bool, timeout_ms: u32) -> Result<Connection, NetworkError> {
        connect::net::connect(host, port, tls, timeout_ms).map_err(network_error)
    }

    pub(super) fn read(connection: &mut Connection, max: u32, timeout_ms: u32) -> Result<Vec<u8>, NetworkError> {
        connection.read(max, timeout_ms).map_err(network_error)
    }

    pub(super) fn write(connection: &mut Connection, bytes: &[u8], timeout_ms: u32) -> Result<(), NetworkError> {
        connection.write(bytes, timeout_ms).map_err(network_error)
    }

    fn network_error(error: connect::net::NetError) -> NetworkError {
        match error {
            connect::net::NetError::Denied(message) => NetworkError::Denied(message),
            connect::net::NetError::Timeout => NetworkError::Timeout,
            connect::net::NetError::Closed => NetworkError::Closed,
            connect::net::NetError::Failed(message) => NetworkError::Failed(message),
        }
    }
}
