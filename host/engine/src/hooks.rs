//! What the owner of an instance supplies: where its log lines and metrics go, its committed offsets, its schemas.
//!
//! Functions here are called from inside a guest's call. Those that are not async must not block.

pub use crate::bindings::tidegate::connect::log::Level as LogLevel;
use crate::bindings::tidegate::connect::types;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where an instance's lines go: its own `log` calls, stdout, stderr, and what the sandbox denies it.
pub trait LogSink: Send + Sync {
    /// Called within the limits on lines and their length.
    fn log(&self, level: LogLevel, message: &str);
}

/// Where an instance's numbers go.
pub trait MetricSink: Send + Sync {
    /// Adds to a counter.
    fn add(&self, name: &str, delta: f64);
    /// Sets a gauge.
    fn set(&self, name: &str, value: f64);
}

/// The committed source offsets of the connector.
pub trait OffsetReader: Send + Sync {
    /// The stored offset of each source partition, both compact JSON, in order.
    fn load<'a>(&'a self, partitions: Vec<String>) -> BoxFuture<'a, Result<Vec<Option<String>>, types::Error>>;
}

/// Schemas by number, as `wit/BATCH.md` numbers them. Numbers are shared by the instances of a task, so that a batch
/// of one means the same to the next and to a replacement.
pub trait SchemaTable: Send + Sync {
    /// The number of a schema's JSON text; the error says what is malformed.
    fn define(&self, schema: &str) -> Result<u32, String>;
    fn describe(&self, id: u32) -> Option<String>;
}

/// Everything an instance's owner supplies.
#[derive(Clone)]
pub struct Hooks {
    pub log: Arc<dyn LogSink>,
    pub metrics: Arc<dyn MetricSink>,
    /// None outside of source tasks: `offsets.load` then knows of no offsets.
    pub offsets: Option<Arc<dyn OffsetReader>>,
    pub schemas: Arc<dyn SchemaTable>,
}

impl Default for Hooks {
    /// Lines to `tracing`, metrics nowhere, no offsets, schemas numbered in the order of their definition.
    fn default() -> Self {
        Hooks {
            log: Arc::new(TracingLog),
            metrics: Arc::new(NoMetrics),
            offsets: None,
            schemas: Arc::new(NumberedSchemas::default()),
        }
    }
}

struct TracingLog;

impl LogSink for TracingLog {
    fn log(&self, level: LogLevel, message: &str) {
        match level {
            LogLevel::Error => tracing::error!(target: "plugin", "{message}"),
            LogLevel::Warn => tracing::warn!(target: "plugin", "{message}"),
            LogLevel::Info => tracing::info!(target: "plugin", "{message}"),
            LogLevel::Debug => tracing::debug!(target: "plugin", "{message}"),
            LogLevel::Trace => tracing::trace!(target: "plugin", "{message}"),
        }
    }
}

struct NoMetrics;

impl MetricSink for NoMetrics {
    fn add(&self, _name: &str, _delta: f64) {}
    fn set(&self, _name: &str, _value: f64) {}
}

/// Numbers texts from 64 on and does not look into them.
#[derive(Default)]
struct NumberedSchemas(Mutex<(HashMap<String, u32>, Vec<String>)>);

const FIRST_SCHEMA: u32 = 64;

impl SchemaTable for NumberedSchemas {
    fn define(&self, schema: &str) -> Result<u32, String> {
        let (numbers, texts) = &mut *crate::limits::lock(&self.0);
        if let Some(number) = numbers.get(schema) {
            return Ok(*number);
        }
        let number = FIRST_SCHEMA + u32::try_from(texts.len()).map_err(|_| "too many schemas".to_owned())?;
        numbers.insert(schema.to_owned(), number);
        texts.push(schema.to_owned());
        Ok(number)
    }

    fn describe(&self, id: u32) -> Option<String> {
        let (_, texts) = &*crate::limits::lock(&self.0);
        texts.get(usize::try_from(id.checked_sub(FIRST_SCHEMA)?).ok()?).cloned()
    }
}
