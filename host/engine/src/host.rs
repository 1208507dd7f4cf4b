//! What a guest sees of its host: the state behind one store and the one linker that all components share.
//!
//! One file per capability. Everything is linked for everybody, because guest toolchains import WASI whether they use it
//! or not, and everything is empty until a grant fills it. Two WASI interfaces are wrapped so that grants of single files
//! and of hosts by name hold inside them too: `wasi:filesystem` (`files.rs`) and `wasi:sockets/ip-name-lookup`
//! (`sockets.rs`). `wasi:http` is not linked: its stock client has no allow-list, and `http.rs` does the same under ours.

pub(crate) mod console;
pub(crate) mod database;
pub(crate) mod file_reads;
pub(crate) mod file_writes;
pub(crate) mod files;
pub(crate) mod http;
pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod net;
pub(crate) mod offsets;
pub(crate) mod reach;
pub(crate) mod schemas;
pub(crate) mod sink_context;
pub(crate) mod sockets;

use crate::bindings::Everything;
use crate::bindings::tidegate::connect::types;
use crate::hooks::Hooks;
use crate::limits::{Budget, Limiter, Limits};
use crate::turns::Place;
use console::Console;
use files::Files;
use log::LineLimit;
use metrics::MetricNames;
use reach::Reach;
use schemas::Defined;
use sink_context::SinkRequests;
use sockets::Lookups;
use std::sync::Arc;
use std::time::Duration;
use tidegate_config::grant::Grants;
use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime::{Engine, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

/// The state of one store.
pub(crate) struct HostState {
    pub(crate) limits: Limits,
    pub(crate) limiter: Limiter,
    pub(crate) budget: Budget,
    pub(crate) call: CallClock,
    pub(crate) place: Place,
    pub(crate) hooks: Hooks,
    pub(crate) lines: Arc<LineLimit>,
    pub(crate) console: Console,
    pub(crate) sink: SinkRequests,
    wasi: WasiCtx,
    table: ResourceTable,
    files: Files,
    lookups: Lookups,
    reach: Arc<Reach>,
    http: http::Clients,
    metrics: MetricNames,
    schemas: Defined,
}

/// Processor time of the present call.
pub(crate) struct CallClock {
    pub(crate) ticks: u64,
    pub(crate) allowed: u64,
    pub(crate) tick: Duration,
    /// The call was interrupted because it had used what it may.
    pub(crate) is_over: bool,
}

impl CallClock {
    fn new(allowed: Duration, tick: Duration) -> CallClock {
        let ticks = allowed.as_nanos() / tick.as_nanos().max(1);
        CallClock { ticks: 0, allowed: u64::try_from(ticks).unwrap_or(u64::MAX).max(1), tick, is_over: false }
    }

    pub(crate) fn used(&self) -> Duration {
        self.tick.saturating_mul(u32::try_from(self.ticks).unwrap_or(u32::MAX))
    }
}

/// What a store is made from.
pub(crate) struct HostParts<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) budget: Budget,
    pub(crate) hooks: Hooks,
    pub(crate) grants: &'a Grants,
    pub(crate) deny_private_networks: bool,
    pub(crate) directory: Option<&'a str>,
    pub(crate) accepts_sink_requests: bool,
    pub(crate) tick: Duration,
    pub(crate) place: Place,
    pub(crate) http: http::Clients,
}

impl HostState {
    pub(crate) fn new(parts: HostParts<'_>) -> HostState {
        let HostParts { limits, budget, hooks, grants, tick, place, http, .. } = parts;
        let lines = Arc::new(LineLimit::new(limits.log_lines_per_second));
        let console = Console::new(hooks.log.clone(), lines.clone());
        let reach = Arc::new(Reach::new(grants, parts.deny_private_networks));
        let mut wasi = WasiCtx::builder();
        wasi.stdout(console.stream()).stderr(console.stream()).max_random_size(1 << 20);
        let files = Files::preopen(&mut wasi, grants, parts.directory, |line| {
            if lines.take() {
                hooks.log.log(crate::hooks::LogLevel::Warn, line);
            }
        });
        let lookups = Lookups::allow(&mut wasi, reach.clone());
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles);
        HostState {
            limits: limits.clone(),
            limiter: Limiter::new(budget.clone(), limits.core_instances),
            call: CallClock::new(limits.call_cpu, tick),
            place,
            budget,
            hooks,
            lines,
            console,
            sink: SinkRequests::new(parts.accepts_sink_requests),
            wasi: wasi.build(),
            table,
            files,
            lookups,
            reach,
            http,
            metrics: MetricNames::default(),
            schemas: Defined::default(),
        }
    }

    /// Called at each tick that falls while the guest runs: charges it, and says whether the guest goes on.
    pub(crate) fn tick(&mut self) -> UpdateDeadline {
        self.call.ticks += 1;
        let pause = self.budget.charge_tick(self.call.tick);
        if self.call.ticks >= self.call.allowed {
            self.call.is_over = true;
            return UpdateDeadline::Interrupt;
        }
        let next = self.place.next();
        match pause {
            None => UpdateDeadline::YieldCustom(1, Box::pin(next)),
            Some(pause) => UpdateDeadline::YieldCustom(
                1,
                Box::pin(async move {
                    tokio::time::sleep(pause).await;
                    next.await;
                }),
            ),
        }
    }

    /// A line about what the sandbox denied, within the instance's limit on lines.
    fn denied(&self, message: &str) {
        if self.lines.take() {
            self.hooks.log.log(crate::hooks::LogLevel::Warn, message);
        }
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl types::Host for HostState {}

/// The one linker: WASI 0.2 with our wrappers, and the contract's imports.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<HostState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    linker.allow_shadowing(true);
    files::add_to_linker(&mut linker)?;
    sockets::add_to_linker(&mut linker)?;
    linker.allow_shadowing(false);
    Everything::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    Ok(linker)
}
