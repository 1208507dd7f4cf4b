//! Runs the embedded broker by hand: `cargo run --example broker -- --listen 127.0.0.1:9092 --data-dir DIR`.
//!
//! Prints the address it listens on and stops cleanly on SIGTERM or SIGINT.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use tidegate_broker::{Broker, BrokerConfig};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Parser)]
struct Args {
    /// Loopback address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:9092")]
    listen: SocketAddr,
    /// Where to keep records.
    #[arg(long)]
    data_dir: PathBuf,
    /// The most that is logged.
    #[arg(long, default_value = "info")]
    log: tracing::Level,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    tracing_subscriber::fmt().with_max_level(args.log).with_writer(std::io::stderr).init();
    let broker = Broker::start(BrokerConfig::new(args.listen, args.data_dir))?;
    #[expect(clippy::print_stdout, reason = "scripts read the address")]
    {
        println!("{}", broker.address());
    }
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    broker.stop().await;
    Ok(())
}
