//! The HTTP server: Kafka Connect's REST API at the root, ours (`/plugins`, `/metrics`) beside it.
//!
//! Requests and answers are this crate's own types, converted by hand, so that renaming something inside changes no
//! protocol. The server knows the control plane through [`Handle`], plugins and numbers through the two traits of
//! [`Backend`]; it knows neither wasmtime nor Kafka. Whatever a client sends, the answer is JSON:
//! `{"error_code", "message"}` when it is an error, as Connect's.

mod error;
mod metrics;
mod rest;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use tidegate_herder::Handle;
use tokio::net::TcpListener;

pub use error::RestError;

/// Largest JSON body, in bytes. A connector's configuration is a few KB; the record that carries it is bounded too.
const BODY_BYTES_MAX: usize = 1 << 20;

/// One definition that can be named in a connector's configuration.
#[derive(Clone, Debug)]
pub struct PluginClass {
    /// The name to use, for Apache Kafka's own plugins Connect's class name.
    pub class: String,
    /// `source`, `sink`, `transformation`, `predicate`, `converter` or `header_converter`, as Connect names kinds.
    pub kind: String,
    pub version: Option<String>,
}

/// One component.
#[derive(Clone, Debug)]
pub struct PluginFile {
    /// `sha256:` and the hexadecimal digest of its bytes.
    pub digest: String,
    pub name: String,
    pub version: String,
    /// Whether it came with Tidegate.
    pub bundled: bool,
    /// Its definitions, as JSON in the form of `describe`.
    pub definitions: serde_json::Value,
    /// What it imports, by interface.
    pub imports: Vec<String>,
}

/// Why a component was not taken in; the text is for people.
#[derive(Clone, Debug)]
pub enum UploadError {
    /// The component is at fault: the same bytes will be refused again.
    Refused(String),
    /// The worker is, or its machine; trying again may help.
    Unavailable(String),
}

/// A future behind one of the traits below.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The plugins of this worker.
pub trait Plugins: Send + Sync {
    /// What can be named in configurations.
    fn classes(&self) -> Vec<PluginClass>;
    /// The components they come from.
    fn files(&self) -> Vec<PluginFile>;
    /// Checks a component and makes it available.
    fn upload(&self, component: Vec<u8>) -> BoxFuture<'_, Result<PluginFile, UploadError>>;
    /// The largest component that is accepted, in bytes.
    fn bytes_max(&self) -> usize;
}

/// The numbers of this worker.
pub trait Metrics: Send + Sync {
    /// All of them in Prometheus' text format.
    fn render(&self) -> String;
}

/// What the handlers work with.
pub struct Backend {
    pub herder: Handle,
    pub plugins: Arc<dyn Plugins>,
    pub metrics: Arc<dyn Metrics>,
    /// The version of this program.
    pub version: &'static str,
    /// The id of the Kafka cluster, once it is known.
    pub kafka_cluster_id: String,
}

/// A listening server.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Listens. Bind first and serve later: clients that come early wait instead of being refused.
    pub async fn bind(address: SocketAddr) -> io::Result<Server> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Server { listener, address })
    }

    /// The address, with the port that was given out when port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is ready, then finishes the requests that are under way.
    pub async fn serve(self, backend: Backend, stop: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        axum::serve(self.listener, router(Arc::new(backend))).with_graceful_shutdown(stop).await
    }
}

type Shared = Arc<Backend>;

fn router(backend: Shared) -> Router {
    Router::new()
        .merge(rest::root::routes())
        .merge(rest::connectors::routes())
        .merge(rest::offsets::routes())
        .merge(rest::connector_plugins::routes())
        .layer(axum::extract::DefaultBodyLimit::max(BODY_BYTES_MAX))
        .merge(rest::plugins::routes(backend.plugins.bytes_max()))
        .merge(metrics::routes())
        .fallback(error::not_found)
        .method_not_allowed_fallback(error::method_not_allowed)
        .with_state(backend)
}
