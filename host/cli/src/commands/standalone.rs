//! `tidegate standalone`: a worker whose connectors come from files.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use tidegate_config::worker::Mode;

use super::DataDirArg;
use crate::app::{self, App, Cluster, Launch};
use crate::connector_file::ConnectorFile;
use crate::failure::Failure;
use crate::output::say;
use crate::settings_file;
use crate::shutdown::Shutdown;

/// Takes the files of a standalone worker of Kafka Connect as they are.
///
/// Each start runs what the files say: connectors that were created by REST meanwhile are gone, source offsets are not.
#[derive(Debug, Args)]
pub(crate) struct Standalone {
    /// The worker's configuration.
    #[arg(value_name = "FILE.properties")]
    config: PathBuf,
    /// Connectors to run: JSON as REST takes it, a flat JSON object, or properties.
    #[arg(value_name = "CONNECTOR")]
    connectors: Vec<PathBuf>,
    #[command(flatten)]
    data: DataDirArg,
}

impl Standalone {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let config = app::check_config(Mode::Standalone, &settings_file::read(&self.config)?, &self.config)?;
        let connectors = read_connectors(&self.connectors)?;
        let shutdown = Shutdown::listen()?;
        let cluster = Cluster::Existing(Box::new(config));
        let app = App::start(Launch { data_dir: self.data.data_dir, cluster }).await?;
        say(format_args!("Kafka  {}", app.kafka))?;
        say(format_args!("REST   {}", app.url()))?;
        let created = tokio::select! {
            created = create(&app, connectors) => created,
            () = shutdown.wanted() => Ok(()),
        };
        match created {
            Ok(()) => app.run_until(&shutdown).await,
            Err(failure) => {
                app.stop().await?;
                Err(failure)
            }
        }
    }
}

/// All files, before anything runs.
fn read_connectors(paths: &[PathBuf]) -> Result<Vec<ConnectorFile>, Failure> {
    let mut names = BTreeSet::new();
    let mut connectors = Vec::new();
    for path in paths {
        let connector = ConnectorFile::read(path)?;
        if !names.insert(connector.name.clone()) {
            return Err(Failure::usage(format!("two files have a connector called \"{}\"", connector.name)));
        }
        connectors.push(connector);
    }
    Ok(connectors)
}

async fn create(app: &App, connectors: Vec<ConnectorFile>) -> Result<(), Failure> {
    for connector in connectors {
        let name = connector.name;
        app.herder
            .put_connector(&name, connector.config)
            .await
            .map_err(|error| Failure::new(format!("connector \"{name}\" was refused")).detail(error))?;
        say(format_args!("connector \"{name}\" created"))?;
    }
    Ok(())
}
