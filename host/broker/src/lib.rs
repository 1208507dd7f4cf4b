//! The embedded development broker: a Kafka broker of one node, inside the process that needs one.
//!
//! It is for demos, development and tests: `kcat`, librdkafka, the Java clients and Kafka Connect talk to it over a real
//! TCP connection, as to Apache Kafka. It knows nothing of the rest of Tidegate.
//!
//! **What it does.** Produce and fetch with whole batches (all codecs pass through untouched), long polls, `read_committed`
//! with the last stable offset and aborted transactions, idempotent and transactional producers (both versions of the
//! transaction protocol), classic consumer groups with any protocol type and static members, committed offsets with the
//! fencing rules of Apache Kafka, topics with Kafka's configuration keys and defaults, retention, compaction, lookups by
//! time, and the admin requests that tools and Kafka Connect send.
//!
//! **Durability.** Everything acknowledged was written to the page cache before: killing the process at any moment loses
//! nothing, losing the machine may. A failed write (a full disk) is an error for the client and leaves no trace in the
//! files. The data directory is locked while a broker runs on it.
//!
//! **What it does not do.** It binds loopback addresses only. There is one node and one replica; no TLS, SASL or ACLs, no
//! quotas, no KIP-848 or share groups, no fetch sessions (each fetch is complete), no tiered storage, no message formats
//! before 2. Group memberships do not survive a restart: members join again, offsets are kept.
//!
//! **Where to start reading.** `net` takes requests off a connection, `api` is the list of what is answered and where,
//! `core` holds the shared state. The rules are in pure modules: `group`, `transaction`, `batch` and
//! `log`. `journal` keeps what is not a record.
//!
//! ```no_run
//! # async fn run() -> Result<(), tidegate_broker::StartError> {
//! let config = tidegate_broker::BrokerConfig::new("127.0.0.1:0".parse().unwrap(), "data");
//! let broker = tidegate_broker::Broker::start(config)?;
//! println!("bootstrap.servers={}", broker.address());
//! broker.stop().await;
//! # Ok(())
//! # }
//! ```

mod net;

mod api;
mod shape;

mod coordinator;
mod core;
mod group;
mod transaction;

mod batch;
mod compression;
mod journal;
mod log;
mod topic_config;
mod topics;

mod clock;
mod faults;

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use thiserror::Error;
use tokio::sync::{oneshot, watch};
use tracing::{error, info};

pub use faults::{Fault, Faults};

/// What a broker needs to know. [`BrokerConfig::new`] fills in defaults that suit development.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// Where to listen: a loopback address. Port 0 takes a free port.
    pub listen: SocketAddr,
    /// Where records and everything else is kept; made if it is not there.
    pub data_dir: PathBuf,
    /// Partitions of topics that are created without a number.
    pub default_partitions: i32,
    /// Whether a request for the metadata of an unknown topic creates it, if the client wants that too.
    pub auto_create_topics: bool,
    /// How long a group that was empty waits for more members before its first rebalance.
    pub group_initial_rebalance_delay_ms: u64,
    /// Members of a group.
    pub group_members_max: usize,
    /// Connections at the same time; further ones are closed at once.
    pub connections_max: usize,
    /// Partitions of all topics together.
    pub partitions_max: usize,
    /// The largest request.
    pub request_bytes_max: usize,
    /// Bytes of all requests in memory; connections wait their turn beyond it. At least `request_bytes_max`.
    pub request_memory_bytes_max: usize,
    /// Bytes of all fetched records in memory; fetches wait their turn beyond it.
    pub response_memory_bytes_max: usize,
    /// How often retention and the cleaner look at the logs.
    pub housekeeping_interval_ms: u64,
}

impl BrokerConfig {
    /// A configuration with defaults.
    pub fn new(listen: SocketAddr, data_dir: impl Into<PathBuf>) -> BrokerConfig {
        BrokerConfig {
            listen,
            data_dir: data_dir.into(),
            default_partitions: 1,
            auto_create_topics: true,
            group_initial_rebalance_delay_ms: 0,
            group_members_max: 1_000,
            connections_max: 2_000,
            partitions_max: 10_000,
            request_bytes_max: 100 << 20,
            request_memory_bytes_max: 256 << 20,
            response_memory_bytes_max: 256 << 20,
            housekeeping_interval_ms: 2_000,
        }
    }
}

/// Why a broker did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// It would be reachable from other machines.
    #[error(
        "cannot listen on {0}: the embedded broker has no authentication and listens on loopback addresses only\n\
         hint: use 127.0.0.1 or [::1]"
    )]
    NotLoopback(SocketAddr),
    /// The port is in use, or the address does not exist.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Another process works on the directory.
    #[error("data directory {0:?} is in use by another broker\nhint: stop it, or choose another directory")]
    InUse(PathBuf),
    /// The directory cannot be read or written, or holds something damaged.
    #[error("cannot use data directory {dir:?}: {source}")]
    Data {
        /// The directory.
        dir: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

/// Starts brokers.
pub struct Broker;

impl Broker {
    /// Opens the data directory and listens. Blocks while logs are opened (milliseconds unless they are large); the
    /// broker then runs on threads of its own until [`RunningBroker::stop`] is called or the handle is dropped.
    pub fn start(config: BrokerConfig) -> Result<RunningBroker, StartError> {
        if !config.listen.ip().is_loopback() {
            return Err(StartError::NotLoopback(config.listen));
        }
        let dir = config.data_dir.clone();
        let data_error = |source| StartError::Data { dir: dir.clone(), source };
        fs::create_dir_all(&dir).map_err(data_error)?;
        let directory_lock = lock_directory(&dir)?;
        let listen_error = |source| StartError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).map_err(listen_error)?;
        listener.set_nonblocking(true).map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let faults = Faults::default();
        let core = Arc::new(core::Core::open(config, address, faults.clone()).map_err(data_error)?);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("broker")
            .enable_all()
            .build()
            .map_err(data_error)?;

        let (stop, stopping) = watch::channel(false);
        let (done, stopped) = oneshot::channel();
        let run = move || {
            let result = runtime.block_on(net::serve(core.clone(), listener, stopping));
            if let Err(error) = result {
                error!(%error, "the broker stopped listening");
            }
            // Connections end here, in the middle of whatever they do; what they acknowledged is written.
            drop(runtime);
            if let Err(error) = core.sync() {
                error!(%error, "cannot write everything to the disk");
            }
            drop(core);
            drop(directory_lock);
            // Nobody may be waiting.
            let _ = done.send(());
        };
        thread::Builder::new().name("broker-main".into()).spawn(run).map_err(data_error)?;
        info!(%address, data_dir = %dir.display(), "the embedded development broker is listening");
        Ok(RunningBroker { address, faults, stop, stopped })
    }
}

/// A broker that runs. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct RunningBroker {
    address: SocketAddr,
    faults: Faults,
    stop: watch::Sender<bool>,
    stopped: oneshot::Receiver<()>,
}

impl RunningBroker {
    /// Where clients connect to, with the port that was bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Injects faults, for tests.
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }

    /// Stops the broker and waits until everything is on the disk and the directory is unlocked.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        // An error means that the thread is gone, which is what is waited for.
        let _ = self.stopped.await;
    }
}

/// The lock goes with the file, also when the process is killed.
fn lock_directory(dir: &Path) -> Result<File, StartError> {
    let data_error = |source| StartError::Data { dir: dir.to_owned(), source };
    let file = File::options().create(true).truncate(false).write(true).open(dir.join("lock")).map_err(data_error)?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StartError::InUse(dir.to_owned())),
        Err(error) => Err(data_error(error.into())),
    }
}

/// Locks a mutex. A panic elsewhere (a bug, which ended one connection) does not take the others down.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
