//! The host of native tests: one per thread, so that tests do not meet.

use crate::host::{HttpRequest, HttpResponse, Level, NetworkError};
use crate::{Position, Result, TopicPartition};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// What a plugin sees of the host in native tests, and what a test sees of the plugin.
#[derive(Default)]
pub struct FakeHost {
    log: Vec<(Level, String)>,
    metrics: BTreeMap<String, f64>,
    schemas: Vec<String>,
    offsets: BTreeMap<String, String>,
    sink_requests: Vec<SinkRequest>,
    http: Option<HttpAnswer>,
}

type HttpAnswer = Box<dyn FnMut(&HttpRequest) -> Result<HttpResponse, NetworkError>>;

/// What a sink asked of its consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkRequest {
    /// To stop the delivery.
    Pause(Vec<TopicPartition>),
    /// To go on with it.
    Resume(Vec<TopicPartition>),
    /// To go on elsewhere.
    Seek(Vec<Position>),
    /// To commit soon.
    Commit,
}

/// Numbers of schemas begin here.
const FIRST_SCHEMA: u32 = 64;

thread_local! {
    static HOST: RefCell<FakeHost> = RefCell::default();
}

impl FakeHost {
    /// Forgets everything.
    pub fn reset() {
        HOST.set(FakeHost::default());
    }

    /// Stores the offset of a source partition, or forgets it.
    pub fn set_offset(partition: &str, offset: Option<&str>) {
        HOST.with_borrow_mut(|host| match offset {
            Some(offset) => host.offsets.insert(partition.to_owned(), offset.to_owned()),
            None => host.offsets.remove(partition),
        });
    }

    /// The stored offset of a source partition.
    pub fn offset(partition: &str) -> Option<String> {
        HOST.with_borrow(|host| host.offsets.get(partition).cloned())
    }

    /// The lines that were logged.
    pub fn log() -> Vec<(Level, String)> {
        HOST.with_borrow(|host| host.log.clone())
    }

    /// The value of a counter or gauge.
    pub fn metric(name: &str) -> Option<f64> {
        HOST.with_borrow(|host| host.metrics.get(name).copied())
    }

    /// What a sink asked of its consumer.
    pub fn sink_requests() -> Vec<SinkRequest> {
        HOST.with_borrow(|host| host.sink_requests.clone())
    }

    /// Answers HTTP requests from now on.
    pub fn answer_http(answer: impl FnMut(&HttpRequest) -> Result<HttpResponse, NetworkError> + 'static) {
        HOST.with_borrow_mut(|host| host.http = Some(Box::new(answer)));
    }
}

pub(crate) fn log(level: Level, message: &str) {
    HOST.with_borrow_mut(|host| host.log.push((level, message.to_owned())));
}

pub(crate) fn count(name: &str, delta: f64) {
    HOST.with_borrow_mut(|host| *host.metrics.entry(name.to_owned()).or_default() += delta);
}

pub(crate) fn gauge(name: &str, value: f64) {
    HOST.with_borrow_mut(|host| host.metrics.insert(name.to_owned(), value));
}

pub(crate) fn define_schema(schema: &str) -> Result<u32, String> {
    HOST.with_borrow_mut(|host| {
        let index = match host.schemas.iter().position(|known| known == schema) {
            Some(index) => index,
            None => {
                host.schemas.push(schema.to_owned());
                host.schemas.len() - 1
            }
        };
        Ok(FIRST_SCHEMA + index as u32)
    })
}

pub(crate) fn describe_schema(id: u32) -> Option<String> {
    HOST.with_borrow(|host| host.schemas.get(id.checked_sub(FIRST_SCHEMA)? as usize).cloned())
}

pub(crate) fn load_offsets(partitions: &[String]) -> Result<Vec<Option<String>>> {
    Ok(partitions.iter().map(|partition| FakeHost::offset(partition)).collect())
}

fn request(request: SinkRequest) -> Result<(), String> {
    HOST.with_borrow_mut(|host| host.sink_requests.push(request));
    Ok(())
}

pub(crate) fn pause(partitions: &[TopicPartition]) -> Result<(), String> {
    request(SinkRequest::Pause(partitions.to_vec()))
}

pub(crate) fn resume(partitions: &[TopicPartition]) -> Result<(), String> {
    request(SinkRequest::Resume(partitions.to_vec()))
}

pub(crate) fn seek(positions: &[Position]) -> Result<(), String> {
    request(SinkRequest::Seek(positions.to_vec()))
}

pub(crate) fn request_commit() -> Result<(), String> {
    request(SinkRequest::Commit)
}

pub(crate) fn http(request: &HttpRequest) -> Result<HttpResponse, NetworkError> {
    // Taken out while it answers: it may itself look at the host.
    let answer = HOST.with_borrow_mut(|host| host.http.take());
    let Some(mut answer) = answer else {
        return Err(NetworkError::Denied("no answer was given to `FakeHost::answer_http`".to_owned()));
    };
    let response = answer(request);
    HOST.with_borrow_mut(|host| {
        host.http.get_or_insert(answer);
    });
    response
}

/// Plain TCP: a test brings its own server.
pub(crate) type Connection = TcpStream;

pub(crate) fn connect(host: &str, port: u16, tls: bool, timeout_ms: u32) -> Result<Connection, NetworkError> {
    if tls {
        return Err(NetworkError::Denied("native tests have no TLS".to_owned()));
    }
    let address = (host, port).to_socket_addrs().map_err(failed)?.next();
    let address = address.ok_or_else(|| NetworkError::Failed(format!("no address for \"{host}\"")))?;
    TcpStream::connect_timeout(&address, duration(timeout_ms)).map_err(failed)
}

pub(crate) fn read(connection: &mut Connection, max: u32, timeout_ms: u32) -> Result<Vec<u8>, NetworkError> {
    connection.set_read_timeout(Some(duration(timeout_ms))).map_err(failed)?;
    let mut bytes = vec![0; max as usize];
    let length = connection.read(&mut bytes).map_err(failed)?;
    bytes.truncate(length);
    Ok(bytes)
}

pub(crate) fn write(connection: &mut Connection, bytes: &[u8], timeout_ms: u32) -> Result<(), NetworkError> {
    connection.set_write_timeout(Some(duration(timeout_ms))).map_err(failed)?;
    connection.write_all(bytes).map_err(failed)
}

/// A time-out of zero is refused by the standard library.
fn duration(timeout_ms: u32) -> Duration {
    Duration::from_millis(timeout_ms.max(1).into())
}

fn failed(error: std::io::Error) -> NetworkError {
    match error.kind() {
        std::io::ErrorKind::TimedOut | std::io::ErrorKind::WouldBlock => NetworkError::Timeout,
        std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe => NetworkError::Closed,
        _ => NetworkError::Failed(error.to_string()),
    }
}
