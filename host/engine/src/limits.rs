//! What instances may use: the limits of one instance, and the budgets it shares with its connector, tenant and worker.
//!
//! Budgets form a tree; whatever an instance uses is charged to its own node and to every node above it, and given back
//! when the instance goes. Memory is refused where a node is full. Processor time is counted in ticks of the engine's
//! clock: a tick is charged to whoever runs guest code when it falls, so over many ticks the sums are processor time,
//! and no clock is read on the way. Tests assert these numbers, never wall time.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use wasmtime::ResourceLimiter;

/// Bytes that a table element is charged as; wasmtime needs a pointer, twice that while a table moves.
const TABLE_ELEMENT_BYTES: usize = 16;
/// Window over which a share of processors is kept.
const SHARE_WINDOW: Duration = Duration::from_millis(100);

/// The limits of one instance. Those with a key in brackets are lifted by it, the others are the same for all.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Linear memories and tables together (`sandbox.memory.max.bytes`).
    pub memory: usize,
    /// Processor time of one call (`sandbox.call.cpu.max.ms`).
    pub call_cpu: Duration,
    /// Wall time of one call, waiting for host calls included (`sandbox.call.max.ms`).
    pub call: Duration,
    /// Bytes that one call moves from the guest to the host.
    pub call_bytes: usize,
    /// Open resources: files, streams, connections.
    pub handles: usize,
    /// Core instances, memories and tables, which an interpreter has many of.
    pub core_instances: usize,
    /// Lines of log, stdout and stderr a second.
    pub log_lines_per_second: u32,
    /// Names of metrics.
    pub metrics: usize,
    /// Schemas that an instance may define.
    pub schemas: usize,
    /// Connections through `net` and `http` at a time.
    pub connections: usize,
    /// Bytes of the body of an HTTP response.
    pub http_response: usize,
    /// Share of the memory limit above which the instance asks to be replaced.
    pub recycle_above: f64,
    /// Calls after which the instance asks to be replaced; 0 means never.
    pub recycle_after_calls: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            memory: 256 << 20,
            call_cpu: Duration::from_secs(5),
            call: Duration::from_secs(30),
            call_bytes: 65 << 20,
            handles: 1_000,
            core_instances: 200,
            log_lines_per_second: 100,
            metrics: 100,
            schemas: 1_000,
            connections: 16,
            http_response: 8 << 20,
            recycle_above: 0.75,
            recycle_after_calls: 0,
        }
    }
}

impl Limits {
    /// The limits under which a stranger's component is asked to describe itself.
    pub fn tight() -> Limits {
        Limits {
            call_cpu: Duration::from_secs(2),
            call: Duration::from_secs(30),
            call_bytes: 4 << 20,
            handles: 100,
            log_lines_per_second: 20,
            connections: 0,
            ..Limits::default()
        }
    }
}

/// Whose budget is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Instance,
    Connector,
    Tenant,
    Worker,
}

impl Level {
    /// The key that lifts the memory limit of this level.
    pub fn memory_key(self) -> &'static str {
        match self {
            Level::Instance => "sandbox.memory.max.bytes",
            Level::Connector => "sandbox.connector.memory.max.bytes",
            Level::Tenant => "sandbox.tenant.memory.max.bytes",
            Level::Worker => "sandbox.worker.memory.max.bytes",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Instance => "instance",
            Level::Connector => "connector",
            Level::Tenant => "tenant",
            Level::Worker => "worker",
        })
    }
}

/// What everything below a node may use together; nothing set means no limit of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct BudgetLimits {
    pub memory: Option<usize>,
    /// Processors, e.g. 0.5 for half of one. A node over its share sleeps until the next window of 100 ms.
    pub processors: Option<f64>,
    pub connections: Option<usize>,
}

/// A node of the budget tree. Clones are the same node.
#[derive(Clone)]
pub struct Budget(Arc<Node>);

struct Node {
    level: Level,
    name: String,
    limits: BudgetLimits,
    parent: Option<Budget>,
    memory: AtomicUsize,
    memory_peak: AtomicUsize,
    connections: AtomicUsize,
    ticks: AtomicU64,
    window: Mutex<Window>,
}

struct Window {
    begins: Instant,
    ticks: u64,
}

/// A node that is full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Full {
    pub level: Level,
    pub name: String,
    pub used: usize,
    pub limit: usize,
}

impl Budget {
    /// The root: one per process.
    pub fn worker(limits: BudgetLimits) -> Budget {
        Budget::new(Level::Worker, "worker", limits, None)
    }

    pub fn tenant(&self, name: &str, limits: BudgetLimits) -> Budget {
        Budget::new(Level::Tenant, name, limits, Some(self.clone()))
    }

    pub fn connector(&self, name: &str, limits: BudgetLimits) -> Budget {
        Budget::new(Level::Connector, name, limits, Some(self.clone()))
    }

    pub(crate) fn instance(&self, name: &str, limits: &Limits) -> Budget {
        let limits =
            BudgetLimits { memory: Some(limits.memory), processors: None, connections: Some(limits.connections) };
        Budget::new(Level::Instance, name, limits, Some(self.clone()))
    }

    fn new(level: Level, name: &str, limits: BudgetLimits, parent: Option<Budget>) -> Budget {
        Budget(Arc::new(Node {
            level,
            name: name.to_owned(),
            limits,
            parent,
            memory: AtomicUsize::new(0),
            memory_peak: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            ticks: AtomicU64::new(0),
            window: Mutex::new(Window { begins: Instant::now(), ticks: 0 }),
        }))
    }

    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Bytes of guest memory in use below this node.
    pub fn memory(&self) -> usize {
        self.0.memory.load(Ordering::Relaxed)
    }

    /// The most that [`memory`](Self::memory) has been.
    pub fn memory_peak(&self) -> usize {
        self.0.memory_peak.load(Ordering::Relaxed)
    }

    /// Ticks charged so far; [`Engine::tick`](crate::Engine::tick) says how long one is.
    pub fn ticks(&self) -> u64 {
        self.0.ticks.load(Ordering::Relaxed)
    }

    /// Charges this node and all above it, or none of them.
    pub(crate) fn charge_memory(&self, bytes: usize) -> Result<(), Full> {
        for node in self.chain() {
            let charged = node.0.memory.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                let wanted = used.checked_add(bytes)?;
                node.0.limits.memory.is_none_or(|limit| wanted <= limit).then_some(wanted)
            });
            match charged {
                Ok(before) => {
                    node.0.memory_peak.fetch_max(before + bytes, Ordering::Relaxed);
                }
                Err(used) => {
                    self.chain().take_while(|below| !Arc::ptr_eq(&below.0, &node.0)).for_each(|below| {
                        below.0.memory.fetch_sub(bytes, Ordering::Relaxed);
                    });
                    return Err(node.full(used, node.0.limits.memory));
                }
            }
        }
        Ok(())
    }

    pub(crate) fn refund_memory(&self, bytes: usize) {
        self.chain().for_each(|node| {
            node.0.memory.fetch_sub(bytes, Ordering::Relaxed);
        });
    }

    /// Takes one connection of this node and all above it; given back when the guard goes.
    pub(crate) fn take_connection(&self) -> Result<ConnectionPermit, Full> {
        let mut taken = ConnectionPermit(Vec::new());
        for node in self.chain() {
            let got = node.0.connections.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                node.0.limits.connections.is_none_or(|limit| used < limit).then_some(used + 1)
            });
            match got {
                Ok(_) => taken.0.push(node.clone()),
                Err(used) => return Err(node.full(used, node.0.limits.connections)),
            }
        }
        Ok(taken)
    }

    /// Charges one tick to this node and all above it. Answers how long the guest must sleep when one of them has used
    /// up its share of the processors.
    pub(crate) fn charge_tick(&self, tick: Duration) -> Option<Duration> {
        let mut pause = None;
        for node in self.chain() {
            node.0.ticks.fetch_add(1, Ordering::Relaxed);
            if let Some(processors) = node.0.limits.processors {
                pause = pause.max(node.charge_window(processors, tick));
            }
        }
        pause
    }

    fn charge_window(&self, processors: f64, tick: Duration) -> Option<Duration> {
        let now = Instant::now();
        let mut window = lock(&self.0.window);
        if now.duration_since(window.begins) >= SHARE_WINDOW {
            *window = Window { begins: now, ticks: 0 };
        }
        window.ticks += 1;
        let share = SHARE_WINDOW.mul_f64(processors.max(0.0));
        let used = tick.saturating_mul(u32::try_from(window.ticks).unwrap_or(u32::MAX));
        (used >= share).then(|| SHARE_WINDOW.saturating_sub(now.duration_since(window.begins)))
    }

    fn chain(&self) -> impl Iterator<Item = &Budget> {
        std::iter::successors(Some(self), |node| node.0.parent.as_ref())
    }

    fn full(&self, used: usize, limit: Option<usize>) -> Full {
        Full { level: self.0.level, name: self.0.name.clone(), used, limit: limit.unwrap_or(usize::MAX) }
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} \"{}\": {} bytes, {} ticks", self.0.level, self.0.name, self.memory(), self.ticks())
    }
}

/// One open connection, on every level.
pub(crate) struct ConnectionPermit(Vec<Budget>);

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        for node in &self.0 {
            node.0.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Charges what a store allocates to its instance's budget, and remembers the last refusal so that the trap which
/// usually follows can be explained.
pub(crate) struct Limiter {
    budget: Budget,
    core_instances: usize,
    charged: usize,
    last: usize,
    refused: Option<Full>,
}

impl Limiter {
    pub(crate) fn new(budget: Budget, core_instances: usize) -> Limiter {
        Limiter { budget, core_instances, charged: 0, last: 0, refused: None }
    }

    /// The refusal of the present call, if there was one.
    pub(crate) fn take_refused(&mut self) -> Option<Full> {
        self.refused.take()
    }

    fn grow(&mut self, bytes: usize) -> bool {
        match self.budget.charge_memory(bytes) {
            Ok(()) => {
                self.charged += bytes;
                self.last = bytes;
                true
            }
            Err(full) => {
                self.last = 0;
                self.refused = Some(full);
                false
            }
        }
    }

    /// The growth that was just allowed did not happen.
    fn give_back_last(&mut self) {
        let bytes = std::mem::take(&mut self.last);
        self.charged -= bytes;
        self.budget.refund_memory(bytes);
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.budget.refund_memory(self.charged);
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current)))
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.give_back_last();
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current).saturating_mul(TABLE_ELEMENT_BYTES)))
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.give_back_last();
        Ok(())
    }

    fn instances(&self) -> usize {
        self.core_instances
    }

    fn tables(&self) -> usize {
        self.core_instances
    }

    fn memories(&self) -> usize {
        self.core_instances
    }
}

/// Locks; a panic elsewhere while it was held leaves counters that are still usable.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> (Budget, Budget, Budget) {
        let worker = Budget::worker(BudgetLimits { memory: Some(100), ..BudgetLimits::default() });
        let connector = worker.connector("orders", BudgetLimits { memory: Some(60), ..BudgetLimits::default() });
        let limits = Limits { memory: 50, connections: 1, ..Limits::default() };
        let instance = connector.instance("orders-0", &limits);
        (worker, connector, instance)
    }

    #[test]
    fn memory_is_charged_on_every_level_and_given_back() {
        let (worker, connector, instance) = tree();
        instance.charge_memory(30).unwrap();
        assert_eq!([worker.memory(), connector.memory(), instance.memory()], [30, 30, 30]);
        instance.refund_memory(30);
        assert_eq!([worker.memory(), connector.memory(), instance.memory()], [0, 0, 0]);
        assert_eq!(worker.memory_peak(), 30);
    }

    #[test]
    fn the_full_level_is_named_and_nothing_stays_charged() {
        let (worker, connector, instance) = tree();
        let sibling = connector.instance("orders-1", &Limits { memory: 50, ..Limits::default() });
        sibling.charge_memory(40).unwrap();
        let full = instance.charge_memory(30).unwrap_err();
        assert_eq!((full.level, full.name.as_str(), full.used, full.limit), (Level::Connector, "orders", 40, 60));
        assert_eq!([worker.memory(), connector.memory(), instance.memory()], [40, 40, 0]);
        assert_eq!(instance.charge_memory(51).unwrap_err().level, Level::Instance);
    }

    #[test]
    fn a_dropped_limiter_refunds_what_it_charged() {
        let (worker, _, instance) = tree();
        let mut limiter = Limiter::new(instance, 10);
        assert!(limiter.memory_growing(0, 20, None).unwrap());
        assert!(limiter.table_growing(0, 1, None).unwrap());
        assert!(!limiter.table_growing(1, 100, None).unwrap());
        assert_eq!(worker.memory(), 36);
        drop(limiter);
        assert_eq!(worker.memory(), 0);
    }

    #[test]
    fn connections_are_counted_while_their_permits_live() {
        let (_, _, instance) = tree();
        let permit = instance.take_connection().map_err(|full| full.limit).unwrap_or_else(|limit| panic!("{limit}"));
        assert_eq!(instance.take_connection().err().map(|full| full.limit), Some(1));
        drop(permit);
        assert!(instance.take_connection().is_ok());
    }

    #[test]
    fn a_node_over_its_share_of_processors_is_told_to_sleep() {
        let half = BudgetLimits { processors: Some(0.05), ..BudgetLimits::default() };
        let tenant = Budget::worker(BudgetLimits::default()).tenant("noisy", half);
        let pauses = (0..5).filter(|_| tenant.charge_tick(Duration::from_millis(1)).is_some()).count();
        assert_eq!((pauses, tenant.ticks()), (1, 5), "five of a hundred milliseconds are allowed");
    }
}
