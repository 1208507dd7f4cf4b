//! The engine: one per process.

use crate::cache::Cache;
use crate::clock::Clock;
use crate::compile::{CompileLimits, Compiler, CompilerCommand, compiler_config};
use crate::gate::{self, Accepted, Refusal};
use crate::host::http::Clients;
use crate::host::{self, HostState};
use crate::limits::lock;
use crate::plugin::{Digest, LoadError, Plugin, PluginParts};
use crate::turns::Turns;
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;
use wasmtime::component::Linker;
use wasmtime::{InstanceAllocationStrategy, PoolingAllocationConfig};

/// How an engine is made.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// How to start the compiler process.
    pub compiler: CompilerCommand,
    pub compile: CompileLimits,
    /// Where compiled code is kept; made for this user alone when it is not there.
    pub cache: PathBuf,
    /// Threads that run guests; 0 means one per processor.
    pub threads: usize,
    /// How often guests are interrupted to be charged and to let others run.
    pub tick: Duration,
    /// Instances at a time for which memory is reserved in advance.
    pub max_instances: u32,
    /// Bytes of the largest component that is accepted.
    pub max_component: usize,
}

impl EngineConfig {
    /// The defaults: a tick of 1 ms, 500 instances, components up to 128 MiB.
    pub fn new(compiler: CompilerCommand, cache: PathBuf) -> EngineConfig {
        EngineConfig {
            compiler,
            compile: CompileLimits::default(),
            cache,
            threads: 0,
            tick: Duration::from_millis(1),
            max_instances: 500,
            max_component: 128 << 20,
        }
    }
}

/// Why there is no engine.
#[derive(Debug)]
pub enum StartError {
    /// Wasmtime does not run here.
    Engine(String),
    /// The directory for compiled code cannot be used.
    Cache { directory: PathBuf, reason: String },
    /// Threads, timers or TLS.
    System(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Engine(why) => write!(f, "the WebAssembly engine cannot start: {why}"),
            StartError::Cache { directory, reason } => {
                write!(f, "cannot keep compiled plugins in \"{}\": {reason}", directory.display())
            }
            StartError::System(why) => write!(f, "the plugin runtime cannot start: {why}"),
        }
    }
}

impl std::error::Error for StartError {}

/// Compiles, links and runs plugins. Clones are the same engine.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) wasm: wasmtime::Engine,
    pub(crate) linker: Linker<HostState>,
    pub(crate) tick: Duration,
    pub(crate) turns: Turns,
    pub(crate) http: Clients,
    pub(crate) max_component: usize,
    cache: Cache,
    compiler: Compiler,
    plugins: Mutex<HashMap<Digest, Weak<PluginParts>>>,
    runtime: Option<Runtime>,
    is_pooling: bool,
}

impl Engine {
    /// Starts the clock and the guests' runtime, and opens the cache.
    pub fn start(config: EngineConfig) -> Result<Engine, StartError> {
        let engine_error = |error: wasmtime::Error| StartError::Engine(format!("{error:#}"));
        let system_error = |error: &dyn fmt::Display| StartError::System(error.to_string());
        let (wasm, is_pooling) = wasm_engine(config.max_instances).map_err(engine_error)?;
        let linker = host::linker(&wasm).map_err(engine_error)?;
        let cache = Cache::open(&config.cache, &wasm)
            .map_err(|error| StartError::Cache { directory: config.cache.clone(), reason: error.to_string() })?;
        let mut builder = Builder::new_multi_thread();
        if config.threads > 0 {
            builder.worker_threads(config.threads);
        }
        let runtime = builder.thread_name("guests").enable_all().build().map_err(|error| system_error(&error))?;
        let tick = config.tick.max(Duration::from_micros(100));
        let epoch = wasm.clone();
        let clock = Clock::start(tick, move || epoch.increment_epoch()).map_err(|error| system_error(&error))?;
        Ok(Engine(Arc::new(Inner {
            wasm,
            linker,
            tick,
            turns: Turns::new(runtime.metrics().num_workers(), clock),
            http: Clients::new().map_err(|error| system_error(&error))?,
            max_component: config.max_component,
            cache,
            compiler: Compiler::new(config.compiler, config.compile),
            plugins: Mutex::default(),
            runtime: Some(runtime),
            is_pooling,
        })))
    }

    /// Runs a task that calls guests, on the guests' own threads.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle().spawn(task)
    }

    /// The guests' runtime.
    pub fn handle(&self) -> &Handle {
        self.0.runtime.as_ref().expect("the runtime is taken in drop alone").handle()
    }

    /// How much processor time one tick of a [`Budget`](crate::Budget) stands for.
    pub fn tick(&self) -> Duration {
        self.0.tick
    }

    /// Whether memory for instances was reserved in advance; false where the system does not allow it.
    pub fn is_pooling(&self) -> bool {
        self.0.is_pooling
    }

    /// Whether compiled code for a digest is on this machine.
    pub fn is_compiled(&self, digest: &Digest) -> bool {
        self.0.cache.contains(digest)
    }

    /// Loads a component that was accepted before: from memory, from the cache, or by compiling it.
    pub async fn load(&self, bytes: &[u8]) -> Result<Plugin, LoadError> {
        let digest = Digest::of(bytes);
        if let Some(plugin) = self.loaded(&digest) {
            return Ok(plugin);
        }
        let component = self.0.cache.component(&self.0.wasm, &self.0.compiler, &digest, bytes).await?;
        let plugin = Plugin::link(self, digest, component).await?;
        lock(&self.0.plugins).insert(digest, Arc::downgrade(plugin.parts()));
        Ok(plugin)
    }

    /// A plugin that is in use already.
    pub fn loaded(&self, digest: &Digest) -> Option<Plugin> {
        let mut plugins = lock(&self.0.plugins);
        plugins.retain(|_, plugin| plugin.strong_count() > 0);
        plugins.get(digest).and_then(Weak::upgrade).map(|parts| Plugin::from_parts(self.clone(), parts))
    }

    /// The upload gate: everything that can be known about a component without granting it anything.
    pub async fn check(&self, bytes: &[u8]) -> Result<Accepted, Refusal> {
        gate::check(self, bytes).await
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("is_pooling", &self.is_pooling()).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The last engine may go inside a task of some runtime, where waiting is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// With memory reserved in advance if the system lets us, else without.
fn wasm_engine(max_instances: u32) -> wasmtime::Result<(wasmtime::Engine, bool)> {
    let mut config = compiler_config();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(max_instances)));
    match wasmtime::Engine::new(&config) {
        Ok(engine) => Ok((engine, true)),
        Err(error) => {
            tracing::info!(%error, "memory for plugin instances is not reserved in advance");
            config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
            Ok((wasmtime::Engine::new(&config)?, false))
        }
    }
}

/// Sized for interpreters: CPython has 65 core instances, QuickJS 3 memories and 3 tables.
fn pool(instances: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(100))
        .total_memories(instances.saturating_mul(4))
        .total_tables(instances.saturating_mul(4))
        .total_stacks(instances)
        .max_core_instances_per_component(200)
        .max_memories_per_component(8)
        .max_tables_per_component(64)
        .max_tables_per_module(4)
        .max_memories_per_module(2)
        .table_elements(100_000)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .max_memory_size(4 << 30)
        .linear_memory_keep_resident(1 << 20)
        .table_keep_resident(64 << 10)
        .decommit_batch_size(16)
        .max_unused_warm_slots(100);
    pool
}
