//! Runs plugins: WebAssembly components in sandboxes with limits. The only crate that knows wasmtime.
//!
//! - [`Engine`], one per process: the clock that slices guests, the runtime they run on, the compiler and its cache.
//! - [`Plugin`]: a component that was checked, compiled and linked. Found by digest; instances share its code.
//! - An instance ([`SourceInstance`], [`SinkInstance`], [`TransformInstance`], [`PredicateInstance`],
//!   [`ConverterInstance`]): a component in a store of its own, with its [`Limits`], its [`Budget`], what it was granted
//!   and the [`Hooks`] of its owner. Its methods are the functions of the contract, one to one.
//!
//! # Who runs an instance
//!
//! The task that owns an instance calls it directly, through `&mut self`; there is no actor between them. A call costs
//! well under a microsecond that way and the hop to another thread and back costs tens (`docs/performance.md`). The
//! owner's task runs on the guests' runtime ([`Engine::spawn`]), so guests never hold up the threads of anybody else.
//! A call that is dropped before it has answered, that trapped or ran out of time ends the instance: every later call
//! answers [`CallError::Gone`], and the owner makes a new one.
//!
//! What crosses is handed out as it came: [`Payload`]s are not looked into here.

mod bindings;
mod cache;
mod clock;
mod compile;
mod engine;
mod error;
mod gate;
mod hooks;
mod host;
mod instance;
mod limits;
mod mapped;
mod plugin;
mod turns;

pub use bindings::exports::tidegate::connect::sink::{NewOffset, Outcome, Rejection};
pub use bindings::exports::tidegate::connect::source::ExactlyOnce;
pub use bindings::tidegate::connect::types::{
    Column, Payload, Place, Plan, Position, Problem, SourceOffset, TopicPartition,
};
pub use bindings::tidegate::connect::types::{Error as GuestError, Retry};
pub use compile::{CompileLimits, CompilerCommand, compile_child_main};
pub use engine::{Engine, EngineConfig, StartError};
pub use error::{CallError, FailureKind, Overrun, Resource, Trace};
pub use gate::{Accepted, Refusal, Stage};
pub use hooks::{BoxFuture, Hooks, LogLevel, LogSink, MetricSink, OffsetReader, SchemaTable};
pub use host::sink_context::SinkRequest;
pub use instance::{
    Config, ConverterInstance, InstanceSpec, PredicateInstance, Recycle, SinkInstance, SourceInstance,
    TransformInstance,
};
pub use limits::{Budget, BudgetLimits, Full, Level, Limits};
pub use plugin::{Digest, Kinds, LoadError, Plugin};
