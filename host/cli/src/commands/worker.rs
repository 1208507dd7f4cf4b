//! `tidegate worker`: a worker on an existing Kafka.

use std::path::PathBuf;

use clap::Args;
use tidegate_config::worker::Mode;

use super::DataDirArg;
use crate::app::{self, App, Cluster, Launch};
use crate::failure::Failure;
use crate::output::say;
use crate::settings_file;
use crate::shutdown::Shutdown;

/// Takes the properties file of a distributed worker of Kafka Connect as it is.
///
/// In this version a group has one worker: connectors and their states are kept in its data directory, source offsets in
/// the topic that offset.storage.topic names, in Kafka Connect's format.
#[derive(Debug, Args)]
pub(crate) struct Worker {
    /// The worker's configuration.
    #[arg(value_name = "FILE.properties")]
    config: PathBuf,
    #[command(flatten)]
    data: DataDirArg,
}

impl Worker {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let config = app::check_config(Mode::Distributed, &settings_file::read(&self.config)?, &self.config)?;
        let shutdown = Shutdown::listen()?;
        let cluster = Cluster::Existing(Box::new(config));
        let app = App::start(Launch { data_dir: self.data.data_dir, cluster }).await?;
        say(format_args!("Kafka  {}", app.kafka))?;
        say(format_args!("REST   {}", app.url()))?;
        app.run_until(&shutdown).await
    }
}
