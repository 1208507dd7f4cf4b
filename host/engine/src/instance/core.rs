//! The store behind an instance, and the bounds of a call into it.

use super::InstanceSpec;
use crate::bindings::tidegate::connect::types;
use crate::engine::Engine;
use crate::error::{CallError, Overrun, Resource, Trace};
use crate::host::console::Console;
use crate::host::sink_context::SinkRequest;
use crate::host::{HostParts, HostState};
use crate::limits::{Budget, Limits};
use crate::turns::Place;
use std::future::Future;
use std::time::Duration;
use tokio::time::error::Elapsed;
use wasmtime::component::{Instance, InstancePre, ResourceTableError};
use wasmtime::{PoolConcurrencyLimitError, Store, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

/// Frames of a backtrace that are kept.
const FRAMES_MAX: usize = 20;

/// Why an instance should be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recycle {
    /// It has grown beyond the high-water mark.
    Memory { used: usize, limit: usize },
    /// It has answered as many calls as it should.
    Calls(u64),
}

pub(crate) struct Core {
    /// None once the instance has ended.
    store: Option<Store<HostState>>,
    instance: Option<Instance>,
    /// Outlives the store, so that the last words can be read.
    console: Console,
    place: Place,
    limits: Limits,
    budget: Budget,
    calls: u64,
    /// A call was begun and has not been finished.
    is_calling: bool,
}

/// A call that was begun.
pub(crate) struct Begun {
    name: &'static str,
    place: Place,
    wall: Duration,
}

impl Begun {
    /// Runs the guest's function against the wall clock.
    pub(crate) async fn run<F: Future>(&self, call: F) -> Result<F::Output, Elapsed> {
        tokio::time::timeout(self.wall, self.place.run(call)).await
    }
}

impl Core {
    /// Makes a store and instantiates into it.
    pub(crate) async fn new(
        engine: &Engine,
        pre: &InstancePre<HostState>,
        spec: &InstanceSpec,
        is_sink: bool,
    ) -> Result<Core, CallError> {
        let engine = engine.inner();
        let budget = spec.budget.instance(&spec.name, &spec.limits);
        let place = engine.turns.place();
        let state = HostState::new(HostParts {
            limits: &spec.limits,
            budget: budget.clone(),
            hooks: spec.hooks.clone(),
            grants: &spec.grants,
            deny_private_networks: spec.deny_private_networks,
            directory: spec.directory.as_deref(),
            accepts_sink_requests: is_sink,
            tick: engine.tick,
            place: place.clone(),
            http: engine.http.clone(),
        });
        let console = state.console.clone();
        let mut store = Store::new(&engine.wasm, state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(spec.limits.call_bytes);
        store.set_max_component_handles(spec.limits.handles);
        store.epoch_deadline_callback(|mut store| Ok(store.data_mut().tick()));
        let limits = spec.limits.clone();
        let mut core =
            Core { store: Some(store), instance: None, console, place, limits, budget, calls: 0, is_calling: false };
        let begun = core.begin("instantiate")?;
        let made = begun.run(pre.instantiate_async(core.store()?)).await;
        core.instance = Some(core.finish(begun, made.map(|done| done.map(Ok)))?);
        core.calls = 0;
        Ok(core)
    }

    /// Finds the functions of one interface in the instance.
    pub(crate) fn load<G>(
        &mut self,
        load: impl FnOnce(&mut Store<HostState>, &Instance) -> wasmtime::Result<G>,
    ) -> Result<G, CallError> {
        let (Some(store), Some(instance)) = (self.store.as_mut(), self.instance.as_ref()) else {
            return Err(CallError::Gone);
        };
        load(store, instance).map_err(|error| CallError::Unavailable(format!("{error:#}")))
    }

    /// Begins a call with the usual time.
    pub(crate) fn begin(&mut self, name: &'static str) -> Result<Begun, CallError> {
        self.begin_waiting(name, Duration::ZERO)
    }

    /// Begins a call that was told to wait for something and may take so much longer.
    pub(crate) fn begin_waiting(&mut self, name: &'static str, wait: Duration) -> Result<Begun, CallError> {
        if self.is_calling {
            // The last call was dropped in the middle: the guest's stack is gone.
            self.store = None;
        }
        let store = self.store.as_mut().ok_or(CallError::Gone)?;
        let state = store.data_mut();
        state.call.ticks = 0;
        state.call.is_over = false;
        state.limiter.take_refused();
        store.set_epoch_deadline(1);
        self.is_calling = true;
        Ok(Begun { name, place: self.place.clone(), wall: self.limits.call.saturating_add(wait) })
    }

    pub(crate) fn store(&mut self) -> Result<&mut Store<HostState>, CallError> {
        self.store.as_mut().ok_or(CallError::Gone)
    }

    /// Ends a call: hands out the guest's answer, or throws the store away and says why.
    pub(crate) fn finish<T>(
        &mut self,
        begun: Begun,
        answer: Result<wasmtime::Result<Result<T, types::Error>>, Elapsed>,
    ) -> Result<T, CallError> {
        self.is_calling = false;
        self.calls += 1;
        match answer {
            Ok(Ok(Ok(value))) => Ok(value),
            Ok(Ok(Err(error))) => Err(error.into()),
            Ok(Err(crash)) => Err(self.explain(&begun, &crash)),
            Err(_) => {
                self.store = None;
                let trace = Trace { message: "no answer in time".to_owned(), ..self.trace(&begun, None) };
                Err(CallError::TimedOut { limit: begun.wall, trace: Box::new(trace) })
            }
        }
    }

    fn trace(&self, begun: &Begun, crash: Option<&wasmtime::Error>) -> Trace {
        let frames = crash.and_then(|crash| crash.downcast_ref::<WasmBacktrace>()).map(|backtrace| {
            let shown = backtrace.to_string();
            let lines = shown.lines().filter(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit()));
            lines.take(FRAMES_MAX).map(|line| line.trim().to_owned()).collect()
        });
        let message = crash.map(|crash| crash.root_cause().to_string()).unwrap_or_default();
        Trace { call: begun.name, message, frames: frames.unwrap_or_default(), output: self.console.tail() }
    }

    /// Throws the store away and names what ended it.
    fn explain(&mut self, begun: &Begun, crash: &wasmtime::Error) -> CallError {
        let mut trace = self.trace(begun, Some(crash));
        let Some(mut store) = self.store.take() else { return CallError::Gone };
        let state = store.data_mut();
        let overrun = |what, used, limit, owner: &str, key, trace| {
            CallError::OverBudget(Box::new(Overrun { what, used, limit, owner: owner.to_owned(), key, trace }))
        };
        if let Some(full) = state.limiter.take_refused() {
            let (used, limit) = (full.used as u64, full.limit as u64);
            return overrun(
                Resource::Memory(full.level),
                used,
                limit,
                &full.name,
                Some(full.level.memory_key()),
                trace,
            );
        }
        let owner = self.budget.name();
        if state.call.is_over {
            let used = u64::try_from(state.call.used().as_millis()).unwrap_or(u64::MAX);
            let limit = u64::try_from(self.limits.call_cpu.as_millis()).unwrap_or(u64::MAX);
            return overrun(Resource::CallCpu, used, limit, owner, Some("sandbox.call.cpu.max.ms"), trace);
        }
        if crash.is::<PoolConcurrencyLimitError>() {
            return CallError::Unavailable(format!("too many plugin instances on this worker: {}", trace.message));
        }
        let is_full = |error: &ResourceTableError| matches!(error, ResourceTableError::Full);
        // Wasmtime has no types for this and the next.
        let too_many_handles = trace.message.contains("handle limit exceeded");
        if crash.downcast_ref::<ResourceTableError>().is_some_and(is_full) || too_many_handles {
            let limit = self.limits.handles as u64;
            return overrun(Resource::Handles, limit, limit, owner, None, trace);
        }
        if trace.message.contains("fuel allocated for hostcalls") {
            let limit = self.limits.call_bytes as u64;
            return overrun(Resource::CallBytes, limit, limit, owner, None, trace);
        }
        if let Some(exit) = crash.downcast_ref::<I32Exit>() {
            trace.message = format!("it ended itself with exit code {}", exit.0);
        } else if let Some(Trap::StackOverflow) = crash.downcast_ref::<Trap>() {
            trace.message = "its call stack is exhausted; does it recurse without end?".to_owned();
        } else if let Some(panic) = panic_text(&trace.output) {
            trace.message = panic;
        }
        CallError::Trapped(Box::new(trace))
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    pub(crate) fn output(&self) -> String {
        self.console.tail()
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.store.is_none() || self.is_calling
    }

    pub(crate) fn take_sink_requests(&mut self) -> Vec<SinkRequest> {
        self.store.as_mut().map(|store| store.data_mut().sink.take()).unwrap_or_default()
    }

    pub(crate) fn wants_recycling(&self) -> Option<Recycle> {
        let (used, limit) = (self.budget.memory(), self.limits.memory);
        if used as f64 > limit as f64 * self.limits.recycle_above {
            return Some(Recycle::Memory { used, limit });
        }
        let calls = self.limits.recycle_after_calls;
        (calls > 0 && self.calls >= calls).then_some(Recycle::Calls(self.calls))
    }
}

/// What a Rust guest said when it panicked: the place and the line after it.
fn panic_text(output: &str) -> Option<String> {
    let start = output.rfind("panicked at ")?;
    let text: Vec<&str> = output[start..].lines().take(2).collect();
    Some(text.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_read_from_what_was_printed() {
        let output = "hello\n\nthread '<unnamed>' (1) panicked at src/lib.rs:7:5:\nno such table\nnote: run with";
        assert_eq!(panic_text(output).as_deref(), Some("panicked at src/lib.rs:7:5: no such table"));
        assert_eq!(panic_text("hello"), None);
    }
}
