//! One file per verb; adding one is its file, a line in its enum and a line in `run`.

pub(crate) mod broker;
pub(crate) mod connector;
pub(crate) mod demo;
pub(crate) mod dev;
pub(crate) mod dlq;
pub(crate) mod plugin;
pub(crate) mod standalone;
pub(crate) mod r#try;
pub(crate) mod worker;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::failure::Failure;

/// What the program can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// See it work: a file becomes a topic becomes a file, on an embedded broker.
    Demo(demo::Demo),
    /// A worker on an embedded broker, to develop against.
    Dev(dev::Dev),
    /// A worker without a group: connectors from files, offsets in a file, records in an existing Kafka.
    Standalone(standalone::Standalone),
    /// A worker on an existing Kafka, configured like Kafka Connect's distributed worker.
    Worker(worker::Worker),
    /// The embedded development broker alone.
    Broker(broker::Broker),
    /// Try transforms, predicates, converters and whole chains on sample records, without Kafka.
    Try(r#try::Try),
    /// Make, check and publish plugins.
    #[command(subcommand)]
    Plugin(plugin::Command),
    /// Look after the connectors of a running worker.
    #[command(subcommand)]
    Connector(connector::Command),
    /// See what is in a dead letter queue, and replay it.
    #[command(subcommand)]
    Dlq(dlq::Command),
}

impl Command {
    /// What is logged unless the operator says otherwise: services tell what they do, commands only what went wrong.
    pub(crate) fn log_filter(&self) -> &'static str {
        match self {
            Command::Standalone(_) | Command::Worker(_) | Command::Broker(_) => "info",
            // Their Kafka ends with them: that a client misses its broker for a moment is no news.
            Command::Dev(_) => "info,tidegate_kafka::client=error",
            Command::Demo(_) => "warn,tidegate_kafka::client=error",
            Command::Try(_) | Command::Plugin(_) | Command::Connector(_) => "warn",
            // What is wrong with Kafka they say themselves.
            Command::Dlq(_) => "warn,tidegate_kafka::client=error",
        }
    }

    pub(crate) async fn run(self) -> Result<(), Failure> {
        match self {
            Command::Demo(demo) => demo.run().await,
            Command::Dev(dev) => dev.run().await,
            Command::Standalone(standalone) => standalone.run().await,
            Command::Worker(worker) => worker.run().await,
            Command::Broker(broker) => broker.run().await,
            Command::Try(command) => command.run().await,
            Command::Plugin(command) => command.run().await,
            Command::Connector(command) => command.run().await,
            Command::Dlq(command) => command.run().await,
        }
    }
}

/// Where a process keeps its state.
#[derive(Debug, Args)]
pub(crate) struct DataDirArg {
    /// Where state is kept; made if it is not there.
    #[arg(long, value_name = "DIR", default_value = ".tidegate")]
    pub(crate) data_dir: PathBuf,
}

/// The worker that a command talks to.
#[derive(Debug, Args)]
pub(crate) struct UrlArg {
    /// The REST server of the worker.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8083")]
    pub(crate) url: String,
}
