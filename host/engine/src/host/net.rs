//! `net`: byte streams to granted hosts, with TLS in the host.

use super::HostState;
use crate::bindings::tidegate::connect::net::{Host, HostConnection, NetError};
use crate::limits::{ConnectionPermit, Full};
use rustls_platform_verifier::BuilderVerifierExt as _;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig};
use wasmtime::component::Resource;

/// Bytes of one read, whatever the guest asks for.
const READ_MAX: usize = 1 << 20;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// An open connection of a guest's. Public because the bindings name it in a public trait.
#[allow(unreachable_pub, reason = "named by generated code")]
pub struct Connection {
    stream: Box<dyn Stream>,
    _permit: ConnectionPermit,
}

impl Host for HostState {
    async fn connect(
        &mut self,
        host: String,
        port: u16,
        tls: bool,
        timeout_ms: u32,
    ) -> wasmtime::Result<Result<Resource<Connection>, NetError>> {
        match self.open(host, port, tls, timeout_ms).await {
            Ok(connection) => Ok(Ok(self.table.push(connection)?)),
            Err(error) => Ok(Err(error)),
        }
    }
}

impl HostState {
    async fn open(&mut self, host: String, port: u16, tls: bool, timeout_ms: u32) -> Result<Connection, NetError> {
        let name = host.strip_suffix('.').unwrap_or(&host).to_ascii_lowercase();
        if let Err(why) = self.reach.may_connect(&name, port) {
            self.denied(&why);
            return Err(NetError::Denied(why));
        }
        let permit = self.budget.take_connection().map_err(|full| NetError::Failed(too_many(&full)))?;
        let reach = self.reach.clone();
        within(timeout_ms, async move {
            let found = tokio::net::lookup_host((name.as_str(), port)).await?;
            let (allowed, refused): (Vec<SocketAddr>, Vec<_>) = found.partition(|address| reach.may_use(address.ip()));
            if let (true, Some(address)) = (allowed.is_empty(), refused.first()) {
                let why = reach.check_resolved(&name, address.ip()).err().unwrap_or_default();
                return Ok(Err(NetError::Denied(why)));
            }
            let stream = TcpStream::connect(allowed.as_slice()).await?;
            stream.set_nodelay(true)?;
            if !tls {
                return Ok(Ok(Connection { stream: Box::new(stream), _permit: permit }));
            }
            let server = ServerName::try_from(name).map_err(io::Error::other)?;
            let connector = TlsConnector::from(tls_config().map_err(io::Error::other)?);
            let stream = connector.connect(server, stream).await?;
            Ok(Ok(Connection { stream: Box::new(stream), _permit: permit }))
        })
        .await?
    }
}

impl HostConnection for HostState {
    async fn read(
        &mut self,
        connection: Resource<Connection>,
        max: u32,
        timeout_ms: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, NetError>> {
        let connection = self.table.get_mut(&connection)?;
        let mut bytes = vec![0; usize::try_from(max).unwrap_or(READ_MAX).min(READ_MAX)];
        let read = within(timeout_ms, connection.stream.read(&mut bytes)).await;
        Ok(read.map(|count| {
            bytes.truncate(count);
            bytes
        }))
    }

    async fn write(
        &mut self,
        connection: Resource<Connection>,
        data: Vec<u8>,
        timeout_ms: u32,
    ) -> wasmtime::Result<Result<(), NetError>> {
        let stream = &mut self.table.get_mut(&connection)?.stream;
        Ok(within(timeout_ms, async {
            stream.write_all(&data).await?;
            stream.flush().await
        })
        .await)
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

async fn within<T>(timeout_ms: u32, work: impl Future<Output = io::Result<T>>) -> Result<T, NetError> {
    match tokio::time::timeout(Duration::from_millis(u64::from(timeout_ms)), work).await {
        Err(_) => Err(NetError::Timeout),
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(match error.kind() {
            io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::UnexpectedEof => NetError::Closed,
            _ => NetError::Failed(error.to_string()),
        }),
    }
}

/// The text for a guest that opens one connection too many.
pub(super) fn too_many(full: &Full) -> String {
    format!("the {} \"{}\" has {} connections open, no more are allowed", full.level, full.name, full.used)
}

/// One configuration for all: certificates are verified as the platform does.
fn tls_config() -> Result<Arc<ClientConfig>, rustls::Error> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    Ok(CONFIG.get_or_init(|| Arc::new(config)).clone())
}
