//! `tidegate dev`: a one-worker cluster on the embedded broker.

use std::net::SocketAddr;

use clap::Args;

use super::DataDirArg;
use crate::app::{App, Cluster, Plan};
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
}

impl Dev {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let shutdown = Shutdown::listen()?;
        let cluster = Cluster::Development { rest: self.rest, kafka: self.kafka };
        let app = App::start(Plan { data_dir: self.data.data_dir, cluster }).await?;
        say("embedded development broker, not for production")?;
        say(format_args!("Kafka  {}", app.kafka))?;
        say(format_args!("REST   {}", app.url()))?;
        app.run_until(&shutdown).await
    }
}
