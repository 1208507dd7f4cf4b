//! `tidegate dlq`: what is in a dead letter queue, why, and back to where it belongs. One file per verb.
//!
//! Deciding is pure: `letter` reads what a dead letter says of itself, `selection` tells which are meant, `reasons` counts,
//! `memory` tells which were replayed. `queue` alone reads Kafka.

mod letter;
mod list;
mod memory;
mod queue;
mod reasons;
mod replay;
mod selection;
mod show;
mod through;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use reqwest::Method;
use tidegate_config::{Settings, client};

use self::queue::Queue;
use super::UrlArg;
use crate::failure::Failure;
use crate::output;
use crate::rest::Rest;
use crate::settings_file;

/// What can be done to dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Count dead letters by their reasons.
    List(list::List),
    /// Show dead letters with what went wrong.
    Show(show::Show),
    /// Write dead letters to the topics they came from, or give them to a connector again. Tells what it would do, unless
    /// --yes is given.
    Replay(replay::Replay),
}

impl Command {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        match self {
            Command::List(list) => list.run().await,
            Command::Show(show) => show.run().await,
            Command::Replay(replay) => replay.run().await,
        }
    }
}

/// Which queue, and where Kafka is.
#[derive(Debug, Args)]
struct QueueArgs {
    /// The connector whose dead letters are meant; its worker says in which topic they are.
    #[arg(required_unless_present = "topic")]
    connector: Option<String>,
    /// The dead letter queue itself, with the dead letters of all connectors.
    #[arg(long, value_name = "TOPIC", conflicts_with = "connector")]
    topic: Option<String>,
    #[command(flatten)]
    worker: UrlArg,
    /// Where Kafka is: host:port, several with commas.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9092")]
    bootstrap: String,
    /// Settings of a Kafka client under their Java names, as for Kafka's own tools; a worker's file will do. Its
    /// bootstrap.servers is taken.
    #[arg(long, value_name = "FILE.properties", conflicts_with = "bootstrap")]
    settings: Option<PathBuf>,
}

impl QueueArgs {
    /// Asks the worker, where a connector is named, for the topic.
    async fn find(&self) -> Result<Queue, Failure> {
        let topic = match (&self.connector, &self.topic) {
            (Some(connector), None) => self.topic_of(connector).await?,
            (_, topic) => topic.clone().unwrap_or_default(),
        };
        if topic.trim().is_empty() {
            return Err(Failure::usage("the topic of the dead letter queue has no name"));
        }
        let (bootstrap, properties) = self.client()?;
        Ok(Queue { topic, bootstrap, properties })
    }

    async fn topic_of(&self, connector: &str) -> Result<String, Failure> {
        const KEY: &str = "errors.deadletterqueue.topic.name";
        let what = format!("the configuration of connector \"{connector}\" cannot be read");
        let config = Rest::new(&self.worker.url)?.ask(Method::GET, &["connectors", connector, "config"], &what).await?;
        match config[KEY].as_str().map(str::trim).filter(|topic| !topic.is_empty()) {
            Some(topic) => Ok(topic.to_owned()),
            None => Err(Failure::new(format!("connector \"{connector}\" keeps no dead letters"))
                .detail(format_args!("its configuration does not set {KEY}"))
                .hint("name a queue with --topic")),
        }
    }

    /// Address and librdkafka's properties.
    fn client(&self) -> Result<(String, Settings), Failure> {
        let Some(file) = &self.settings else { return Ok((self.bootstrap.clone(), Settings::new())) };
        let shared: Settings =
            settings_file::read(file)?.into_iter().filter(|(key, _)| client::is_shared_setting(key)).collect();
        let translated = client::translate(&shared).map_err(|invalid| {
            let failure = Failure::usage(format!("the Kafka settings in \"{}\" are wrong", file.display()));
            invalid.problems.iter().fold(failure, |failure, problem| failure.detail(problem))
        })?;
        for warning in &translated.warnings {
            output::warn(format_args!("{}: {warning}", file.display()));
        }
        match translated.properties.get("bootstrap.servers").map(str::to_owned) {
            Some(bootstrap) => Ok((bootstrap, translated.properties)),
            None => Err(Failure::usage(format!("\"{}\" does not say where Kafka is", file.display()))
                .hint("set bootstrap.servers in it")),
        }
    }
}

/// `1 dead letter`, `2,000 dead letters`.
fn letters(count: u64) -> String {
    match count {
        1 => "1 dead letter".to_owned(),
        count => format!("{} dead letters", output::grouped(count)),
    }
}

/// Runs what waits for Kafka on a thread that may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|crash| Err(Failure::new("the command crashed").detail(crash)))
}
