//! `tidegate dev`: a one-worker cluster on the embedded broker.

use std::net::SocketAddr;

use clap::Args;

use super::DataDirArg;
use crate::app::{App, Cluster, Launch};
use crate::failure::Failure;
use crate::output::say;
use crate::shutdown::Shutdown;

/// Everything that is needed to develop connectors and plugins, in one process. State survives a restart.
#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// Where REST listens.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8083")]
    rest: SocketAddr,
    /// Where the embedded broker listens; a loopback address.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9092")]
    kafka: SocketAddr,
    #[command(flatten)]
    data: DataDirArg,
    /// A file or directory that uploaded plugins may use if their configuration names it; may be given again.
    #[arg(long, value_name = "PATH")]
    allow_path: Vec<String>,
    /// A host that uploaded plugins may reach if their configuration names it: host, host:port, *.domain or *; may be
    /// given again.
    #[arg(long, value_name = "HOST")]
    allow_host: Vec<String>,
}

impl Dev {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let shutdown = Shutdown::listen()?;
        let sandbox =
            [("sandbox.allow.paths", self.allow_path.join(",")), ("sandbox.allow.hosts", self.allow_host.join(","))];
        let sandbox = sandbox.into_iter().collect();
        let cluster = Cluster::Development { rest: self.rest, kafka: self.kafka, sandbox };
        let app = App::start(Launch { data_dir: self.data.data_dir, cluster }).await?;
        say("embedded development broker, not for production")?;
        say(format_args!("Kafka  {}", app.kafka))?;
        say(format_args!("REST   {}", app.url()))?;
        app.run_until(&shutdown).await
    }
}
