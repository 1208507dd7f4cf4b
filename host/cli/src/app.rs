//! A worker process, from its launch to a graceful end: the one place where all parts are put together.
//!
//! The order matters to those who wait. The REST port is taken first, so that a client who comes early waits instead of
//! being refused; the engine and Kafka come up side by side; plugins are loaded behind everybody's back.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidegate_broker::{Broker, BrokerConfig, RunningBroker};
use tidegate_config::Settings;
use tidegate_config::worker::{Listener, Mode, Storage, WorkerConfig};
use tidegate_engine::{CompilerCommand, Engine, EngineConfig};
use tidegate_herder::{Handle, Journal};
use tidegate_server::{Backend, Server};
use tidegate_worker::{Catalog, Metrics, Worker, WorkerParts};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::backend::{Numbers, Plugins};
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::kafka::{self, Reached};
use crate::loading::{self, Loaded, Loading, OnceLoaded};
use crate::output;
use crate::shutdown::Shutdown;

/// What the program is started with to compile one component; not for people.
const COMPILER_ARGUMENT: &str = "--compile-component-from-stdin";

/// The name of the one-worker cluster of `demo` and `dev`.
const DEVELOPMENT_GROUP: &str = "tidegate-dev";

/// The name of a standalone worker's cluster, which nobody else is in.
const STANDALONE_GROUP: &str = "tidegate-standalone";

/// Whether this process was started by [`compiler`].
pub(crate) fn is_compiler() -> bool {
    std::env::args_os().nth(1).is_some_and(|argument| argument == COMPILER_ARGUMENT)
}

/// How to start this program as a compiler of components.
pub(crate) fn compiler() -> Result<CompilerCommand, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::new("the program cannot find its own file, which compiles plugins").detail(error))?;
    Ok(CompilerCommand { program, args: vec![OsString::from(COMPILER_ARGUMENT)] })
}

/// What shall be started, and where.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) data_dir: PathBuf,
    pub(crate) cluster: Cluster,
}

/// Whose Kafka, and whose configuration.
#[derive(Debug)]
pub(crate) enum Cluster {
    /// A worker on the embedded broker, configured here.
    Development {
        rest: SocketAddr,
        kafka: SocketAddr,
        /// What uploaded plugins may reach, in the keys of a worker.
        sandbox: Settings,
    },
    /// A worker on an existing Kafka, configured by a file.
    Existing(Box<WorkerConfig>),
}

/// Reads a worker's configuration; what is odd in it is warned about.
pub(crate) fn check_config(mode: Mode, settings: &Settings, source: &Path) -> Result<WorkerConfig, Failure> {
    let place = source.display().to_string();
    check_settings(mode, settings, &format!("the worker configuration \"{place}\""), &place)
}

/// `what` is at fault if something is wrong, `place` goes before warnings.
fn check_settings(mode: Mode, settings: &Settings, what: &str, place: &str) -> Result<WorkerConfig, Failure> {
    let (config, warnings) = WorkerConfig::check(mode, settings, &working_directory()?).map_err(|invalid| {
        let failure = Failure::usage(format!("{what} is invalid"));
        invalid.problems.iter().fold(failure, |failure, problem| failure.detail(problem))
    })?;
    for warning in warnings {
        output::warn(format_args!("{place}: {warning}"));
    }
    Ok(config)
}

/// A running worker.
pub(crate) struct App {
    pub(crate) herder: Handle,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) loaded: Loaded,
    /// Where REST listens.
    pub(crate) rest: SocketAddr,
    /// Where Kafka is.
    pub(crate) kafka: String,
    control: JoinHandle<()>,
    server: JoinHandle<std::io::Result<()>>,
    stop_server: oneshot::Sender<()>,
    broker: Option<RunningBroker>,
    data: DataDir,
}

impl App {
    /// Starts everything. A failure leaves nothing behind that was not there before.
    pub(crate) async fn start(launch: Launch) -> Result<App, Failure> {
        let server = bind_rest(&launch).await?;
        let data = DataDir::open(&launch.data_dir)?;
        let joined = match Parts::start(launch.cluster, &server, &data).await {
            Ok(parts) => parts.join(server.address()).await,
            Err(failure) => Err(failure),
        };
        match joined {
            Ok(joined) => Ok(joined.serve(server, data)),
            Err(failure) => {
                data.discard();
                Err(failure)
            }
        }
    }

    /// The REST server as a URL.
    pub(crate) fn url(&self) -> String {
        let host = match self.rest.ip() {
            ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            ip => ip,
        };
        format!("http://{}", SocketAddr::new(host, self.rest.port()))
    }

    /// A path in the data directory.
    pub(crate) fn data_path(&self, name: &str) -> PathBuf {
        self.data.path(name)
    }

    /// Runs until it is told to stop, then stops. An error: a part ended by itself.
    pub(crate) async fn run_until(mut self, shutdown: &Shutdown) -> Result<(), Failure> {
        let ended = tokio::select! {
            () = shutdown.wanted() => None,
            _ = &mut self.control => Some("the control plane ended unexpectedly, see the log"),
            _ = &mut self.server => Some("the REST server ended unexpectedly, see the log"),
        };
        match ended {
            None => self.stop().await,
            Some(what) => Err(Failure::new(what)),
        }
    }

    /// Stops tasks within their grace, then the server, then the broker.
    pub(crate) async fn stop(self) -> Result<(), Failure> {
        let stopped = self.herder.shutdown().await;
        // The receiver is gone if the server ended first.
        let _ = self.stop_server.send(());
        if tokio::time::timeout(LAST_GRACE, self.server).await.is_err() {
            tracing::warn!("clients of the REST server did not finish in time");
        }
        // The data plane goes with the control plane, and with it its Kafka clients, before their broker does.
        if tokio::time::timeout(LAST_GRACE, self.control).await.is_err() {
            tracing::warn!("the control plane did not end in time");
        }
        if let Some(broker) = self.broker {
            broker.stop().await;
        }
        drop(self.data);
        stopped.map_err(|error| Failure::new("the worker did not stop in order").detail(error))
    }
}

/// How long what is left may take once tasks have stopped: requests that are under way, the control plane's own end.
const LAST_GRACE: std::time::Duration = std::time::Duration::from_secs(2);

/// Takes the REST port. Somebody who starts a second process on the same directory is told about that, and not about
/// the port that it shares too.
async fn bind_rest(launch: &Launch) -> Result<Server, Failure> {
    let address = match &launch.cluster {
        Cluster::Development { rest, .. } => *rest,
        Cluster::Existing(config) => listen_address(&config.listeners).await?,
    };
    match Server::bind(address).await {
        Ok(server) => Ok(server),
        Err(error) => {
            DataDir::check_free(&launch.data_dir)?;
            Err(port_taken("REST", address, &error))
        }
    }
}

/// Port in use, or no such address.
fn port_taken(what: &str, address: SocketAddr, error: &std::io::Error) -> Failure {
    let failure = Failure::new(format!("{what} cannot listen on {address}")).detail(error);
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            failure.hint("stop the program that uses the port, or choose another; 0 takes a free one")
        }
        _ => failure,
    }
}

async fn listen_address(listeners: &[Listener]) -> Result<SocketAddr, Failure> {
    let [listener] = listeners else {
        return Err(Failure::usage("several listeners are not supported yet").hint("name one in \"listeners\""));
    };
    if listener.is_https {
        return Err(Failure::usage("https listeners are not supported yet")
            .hint("listen on http://127.0.0.1:8083 behind a proxy that speaks TLS"));
    }
    let Some(host) = &listener.host else {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), listener.port));
    };
    let unknown = || Failure::new(format!("the host \"{host}\" of the key \"listeners\" cannot be found"));
    let mut addresses =
        tokio::net::lookup_host((host.as_str(), listener.port)).await.map_err(|error| unknown().detail(error))?;
    addresses.next().ok_or_else(unknown)
}

/// What is started side by side, before it is joined to a worker.
struct Parts {
    guests: Guests,
    records: Records,
    group: String,
    journal: Journal,
}

/// What runs plugins.
struct Guests {
    engine: Engine,
    catalog: Arc<Catalog>,
    loaded: Loaded,
    /// Bytes of the largest component.
    bytes_max: usize,
}

/// Where records are.
struct Records {
    /// The embedded one, if it is.
    broker: Option<RunningBroker>,
    config: WorkerConfig,
    reached: Reached,
}

/// A worker whose control plane runs, and which nobody can ask anything yet.
struct Joined {
    backend: Backend,
    control: JoinHandle<()>,
    metrics: Arc<Metrics>,
    loaded: Loaded,
    broker: Option<RunningBroker>,
    /// Where Kafka is.
    kafka: String,
    group: String,
}

impl Parts {
    async fn start(cluster: Cluster, server: &Server, data: &DataDir) -> Result<Parts, Failure> {
        if let Cluster::Development { kafka, .. } = &cluster {
            check_port_free(*kafka)?;
        }
        let directory = PathBuf::from(working_directory()?);
        let (cache, plugins) = (data.folder("cache")?, data.folder("plugins")?);
        let searched = match &cluster {
            Cluster::Development { .. } => Vec::new(),
            Cluster::Existing(config) => config.plugin_path.iter().map(|path| directory.join(path)).collect(),
        };
        let guests = blocking(move || start_engine(cache, plugins, searched));
        let (rest, broker_dir) = (server.address(), data.path("broker"));
        let records = blocking(move || start_kafka(cluster, rest, broker_dir, &directory));
        // Both to their end: a half that is still under way would write into a directory that is given up.
        let (guests, records) = tokio::join!(guests, records);
        let (guests, records) = (guests?, records?);
        let (group, journal) = open_journal(&records.config, data)?;
        Ok(Parts { guests, records, group, journal })
    }

    /// Joins the parts: data plane and control plane.
    async fn join(self, rest: SocketAddr) -> Result<Joined, Failure> {
        let Parts { guests, records, group, journal } = self;
        let Guests { engine, catalog, loaded, bytes_max } = guests;
        let Records { broker, config, reached } = records;
        let kafka = config.bootstrap_servers.join(",");
        let metrics = Arc::new(Metrics::default());
        let settings = tidegate_herder::Settings {
            stop_grace: std::time::Duration::from_millis(config.task_shutdown_graceful_timeout_ms),
            ..tidegate_herder::Settings::new(&group, &worker_id(&config, rest))
        };
        let worker = Worker::new(WorkerParts {
            config,
            directory: working_directory()?,
            engine: engine.clone(),
            catalog: catalog.clone(),
            offsets: reached.offsets,
            metrics: metrics.clone(),
        });
        let host = OnceLoaded::new(worker, loaded.clone());
        let (herder, control) = tidegate_herder::start(settings, journal, host)
            .await
            .map_err(|error| Failure::new("the control plane cannot start").detail(error))?;
        tokio::spawn(loading::publish(loaded.clone(), catalog.clone(), herder.clone()));
        let plugins = Plugins { catalog, engine, herder: herder.clone(), loaded: loaded.clone(), bytes_max };
        let backend = Backend {
            herder,
            plugins: Arc::new(plugins),
            metrics: Arc::new(Numbers(metrics.clone())),
            version: env!("CARGO_PKG_VERSION"),
            kafka_cluster_id: reached.cluster_id,
        };
        Ok(Joined { backend, control, metrics, loaded, broker, kafka, group })
    }
}

impl Joined {
    /// Lets the server in.
    fn serve(self, server: Server, data: DataDir) -> App {
        let Joined { backend, control, metrics, loaded, broker, kafka, group } = self;
        let (rest, herder) = (server.address(), backend.herder.clone());
        let (stop_server, stopping) = oneshot::channel::<()>();
        let server = tokio::spawn(server.serve(backend, async {
            // The sender is dropped when the process stops without saying so: the same.
            let _ = stopping.await;
        }));
        tracing::info!(rest = %rest, kafka, group, "the worker is up");
        App { herder, metrics, loaded, rest, kafka, control, server, stop_server, broker, data }
    }
}

/// Runs what waits for files or for Kafka on a thread that may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(Failure::new("starting up crashed").detail(error)))
}

fn start_engine(cache: PathBuf, plugins: PathBuf, searched: Vec<PathBuf>) -> Result<Guests, Failure> {
    let config = EngineConfig::new(compiler()?, cache);
    let bytes_max = config.max_component;
    let engine = Engine::start(config).map_err(|error| Failure::new(error.to_string()))?;
    let catalog = Catalog::open(engine.clone(), plugins).map_err(|error| Failure::new(error.to_string()))?;
    let catalog = Arc::new(catalog);
    let (progress, loaded) = watch::channel(Loading::UnderWay);
    engine.spawn(loading::load(catalog.clone(), searched, progress));
    Ok(Guests { engine, catalog, loaded, bytes_max })
}

/// Starts the embedded broker where there is none, and opens the store of offsets. Blocks until Kafka has answered.
fn start_kafka(cluster: Cluster, rest: SocketAddr, broker_dir: PathBuf, directory: &Path) -> Result<Records, Failure> {
    let (broker, config) = match cluster {
        Cluster::Development { kafka, sandbox, .. } => {
            let broker = start_broker(kafka, broker_dir)?;
            let config = development_config(broker.address(), rest, sandbox)?;
            (Some(broker), config)
        }
        Cluster::Existing(config) => (None, *config),
    };
    let reached = kafka::reach(&config, directory)?;
    Ok(Records { broker, config, reached })
}

/// The broker makes its directory before it listens; this finds a port in use before anything is made.
pub(crate) fn check_port_free(address: SocketAddr) -> Result<(), Failure> {
    if !address.ip().is_loopback() {
        return Ok(());
    }
    TcpListener::bind(address).map(drop).map_err(|error| port_taken("Kafka", address, &error))
}

/// Starts the embedded broker. Blocks while it opens its logs.
pub(crate) fn start_broker(listen: SocketAddr, data_dir: PathBuf) -> Result<RunningBroker, Failure> {
    use tidegate_broker::StartError;
    Broker::start(BrokerConfig::new(listen, data_dir)).map_err(|error| match &error {
        StartError::Listen { address, source } => port_taken("Kafka", *address, source),
        other => Failure::new("the embedded broker cannot start").detail(other),
    })
}

/// The configuration of the worker that `demo` and `dev` run: Connect's own where it has one, small where it counts
/// machines.
fn development_config(kafka: SocketAddr, rest: SocketAddr, sandbox: Settings) -> Result<WorkerConfig, Failure> {
    let (kafka, rest) = (kafka.to_string(), format!("http://{rest}"));
    let mut settings: Settings = [
        ("bootstrap.servers", kafka.as_str()),
        ("listeners", &rest),
        ("group.id", DEVELOPMENT_GROUP),
        ("key.converter", "org.apache.kafka.connect.storage.StringConverter"),
        ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
        ("value.converter.schemas.enable", "false"),
        ("config.storage.topic", "tidegate-configs"),
        ("config.storage.replication.factor", "1"),
        ("offset.storage.topic", "tidegate-offsets"),
        ("offset.storage.replication.factor", "1"),
        ("offset.storage.partitions", "1"),
        ("offset.flush.interval.ms", "1000"),
        ("status.storage.topic", "tidegate-status"),
        ("status.storage.replication.factor", "1"),
    ]
    .into_iter()
    .collect();
    settings.extend(sandbox);
    check_settings(Mode::Distributed, &settings, "the configuration of the development worker", "development worker")
}

/// The configuration under which things are tried: the development worker's, with a Kafka that nobody calls.
pub(crate) fn trial_config() -> Result<WorkerConfig, Failure> {
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    development_config(nowhere, nowhere, Settings::new())
}

/// Opens the journal of decisions. A standalone worker has no memory of its own: its files say what runs.
fn open_journal(config: &WorkerConfig, data: &DataDir) -> Result<(String, Journal), Failure> {
    let (group, directory) = match &config.storage {
        Storage::Distributed(group) => (group.group_id.clone(), data.folder("control")?),
        Storage::Standalone { .. } => {
            let old = data.path("standalone");
            match std::fs::remove_dir_all(&old) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Failure::new(format!("\"{}\" cannot be emptied", old.display())).detail(error));
                }
                _ => {}
            }
            (STANDALONE_GROUP.to_owned(), data.folder("standalone")?)
        }
    };
    let journal =
        Journal::open(&directory).map_err(|error| Failure::new("the control plane cannot start").detail(error))?;
    Ok((group, journal))
}

/// This worker's name in status: where others would reach its REST server, as Connect names workers.
fn worker_id(config: &WorkerConfig, rest: SocketAddr) -> String {
    let advertised = config.original.get("rest.advertised.host.name").filter(|host| !host.is_empty());
    let port = config.original.get("rest.advertised.port").and_then(|port| port.trim().parse().ok());
    let host = match advertised {
        Some(host) => host.to_owned(),
        None if rest.ip().is_unspecified() => rustix::system::uname().nodename().to_string_lossy().into_owned(),
        None => rest.ip().to_string(),
    };
    format!("{host}:{}", port.unwrap_or(rest.port()))
}

/// Where relative paths in configurations start.
pub(crate) fn working_directory() -> Result<String, Failure> {
    let directory =
        std::env::current_dir().map_err(|error| Failure::new("the working directory cannot be found").detail(error))?;
    directory.into_os_string().into_string().map_err(|name| {
        Failure::new(format!("the working directory \"{}\" has a name that is not UTF-8", name.display()))
    })
}
