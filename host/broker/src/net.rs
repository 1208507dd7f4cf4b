//! The listener and its connections: frames in, frames out, in order.
//!
//! One task per connection handles one request after another, as Apache Kafka does. What a client sends is bounded before
//! it is read (frame size, memory of all frames) and walked before it is decoded ([`crate::shape`]); a request that makes
//! no sense closes its connection with a log line and disturbs nobody else.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};
use tracing::{debug, info, warn};

use crate::api::{self, Call};
use crate::clock::wall_ms;
use crate::core::Core;
use crate::faults::Fault;
use crate::shape::Misshapen;

/// A client that does not take its answer for so long is disconnected.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// A client that has begun a frame must finish it in this time.
const FRAME_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection without requests is closed after Kafka's `connections.max.idle.ms`.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// How often transactions that timed out are looked for.
const TRANSACTION_SWEEP_INTERVAL: Duration = Duration::from_millis(500);

/// Why a connection is closed.
#[derive(Debug, Error)]
pub(crate) enum Closed {
    #[error("request of {bytes} bytes, allowed are {max}")]
    FrameSize { bytes: i64, max: usize },
    #[error("request header is malformed")]
    Header,
    #[error("api key {key} version {version} is not supported")]
    Unsupported { key: i16, version: i16 },
    #[error("request with api key {key} version {version} is malformed: {why}")]
    Misshapen { key: i16, version: i16, why: Misshapen },
    #[error("request with api key {key} version {version} cannot be decoded: {why}")]
    Undecodable { key: i16, version: i16, why: String },
    #[error("cannot encode the response: {0}")]
    Response(String),
    #[error("an injected fault")]
    Fault,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Serves clients until told to stop.
pub(crate) async fn serve(
    core: Arc<Core>,
    listener: std::net::TcpListener,
    mut stopping: watch::Receiver<bool>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let connections = Arc::new(Semaphore::new(core.config.connections_max));
    let mut tasks = JoinSet::new();
    tasks.spawn({
        let core = core.clone();
        async move { core.coordinator.run().await }
    });
    tasks.spawn(sweep_transactions(core.clone()));
    tasks.spawn(tend_logs(core.clone()));
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, most likely: others will be closed.
                    warn!(%error, "cannot accept a connection");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            // The sender is gone when the handle was dropped.
            _ = stopping.wait_for(|stop| *stop) => break,
            Some(_) = tasks.join_next(), if tasks.len() > core.config.connections_max => continue,
        };
        while tasks.try_join_next().is_some() {}
        let Ok(permit) = connections.clone().try_acquire_owned() else {
            warn!(%peer, max = core.config.connections_max, "too many connections, closing a new one");
            continue;
        };
        let core = core.clone();
        tasks.spawn(async move {
            match converse(&core, stream, peer).await {
                Ok(()) => debug!(%peer, "client disconnected"),
                Err(Closed::Io(error)) => debug!(%peer, %error, "connection lost"),
                Err(Closed::Fault) => info!(%peer, "closed a connection by an injected fault"),
                Err(reason) => warn!(%peer, %reason, "closed a connection"),
            }
            drop(permit);
        });
    }
    tasks.shutdown().await;
    Ok(())
}

async fn sweep_transactions(core: Arc<Core>) {
    let mut ticks = interval(TRANSACTION_SWEEP_INTERVAL);
    loop {
        ticks.tick().await;
        core.sweep_transactions(wall_ms());
    }
}

async fn tend_logs(core: Arc<Core>) {
    let mut ticks = interval(Duration::from_millis(core.config.housekeeping_interval_ms.max(1)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let core = core.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || core.tend_logs(wall_ms())).await {
            warn!(%error, "the log cleaner failed");
        }
    }
}

async fn converse(core: &Arc<Core>, mut stream: TcpStream, peer: SocketAddr) -> Result<(), Closed> {
    stream.set_nodelay(true)?;
    loop {
        let mut length = [0; 4];
        match timeout(IDLE_TIMEOUT, stream.read_exact(&mut length)).await {
            Err(_) => return Ok(()),
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Ok(result) => result?,
        };
        let length = i32::from_be_bytes(length);
        let max = core.config.request_bytes_max;
        let bytes = usize::try_from(length).ok().filter(|bytes| *bytes <= max);
        let Some(bytes) = bytes else { return Err(Closed::FrameSize { bytes: length.into(), max }) };
        // Held until the request is answered.
        let permits = bytes.min(core.config.request_memory_bytes_max) as u32;
        let memory = core.request_memory.acquire_many(permits).await;
        let frame = timeout(FRAME_TIMEOUT, read_frame(&mut stream, bytes))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let call = Call::parse(frame, peer)?;
        let fault = core.faults.next(call.key);
        match fault {
            Some(Fault::Delay(time)) => sleep(time).await,
            Some(Fault::DropRequest) => return Err(Closed::Fault),
            Some(Fault::Duplicate) => {
                api::answer(core.clone(), call.clone()).await?;
            }
            Some(Fault::DropResponse) | None => {}
        }
        let answer = api::answer(core.clone(), call).await?;
        drop(memory);
        if fault == Some(Fault::DropResponse) {
            return Err(Closed::Fault);
        }
        if let Some(answer) = answer {
            timeout(WRITE_TIMEOUT, write_frame(&mut stream, &answer.bytes))
                .await
                .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        }
    }
}

async fn read_frame(stream: &mut TcpStream, bytes: usize) -> io::Result<Bytes> {
    // The buffer grows with what arrives: a length alone takes no memory.
    const STEP_BYTES: usize = 1 << 20;
    let mut frame = BytesMut::with_capacity(bytes.min(STEP_BYTES));
    while frame.len() < bytes {
        let room = (bytes - frame.len()).min(STEP_BYTES);
        frame.reserve(room);
        let mut limited = bytes::BufMut::limit(&mut frame, room);
        if stream.read_buf(&mut limited).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(frame.freeze())
}

async fn write_frame(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await
}
