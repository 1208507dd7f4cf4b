//! `tidegate connector list`.

use clap::Args;
use reqwest::Method;
use serde_json::Value;

use super::{UrlArg, tasks_in_short, text};
use crate::failure::Failure;
use crate::output::{say, say_json, say_table};
use crate::rest::Rest;

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    worker: UrlArg,
    /// Print the statuses as REST answers them.
    #[arg(long)]
    json: bool,
}

impl List {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let rest = Rest::new(&self.worker.url)?;
        let names = rest.ask(Method::GET, &["connectors"], "the connectors cannot be listed").await?;
        let mut statuses = Vec::new();
        for name in names.as_array().into_iter().flatten().filter_map(Value::as_str) {
            let what = format!("the status of connector \"{name}\" cannot be read");
            statuses.push(rest.ask(Method::GET, &["connectors", name, "status"], &what).await?);
        }
        if self.json {
            return say_json(&Value::Array(statuses));
        }
        if statuses.is_empty() {
            return say("no connectors");
        }
        let row = |status: &Value| {
            [
                text(status, "/name").to_owned(),
                text(status, "/type").to_owned(),
                text(status, "/connector/state").to_owned(),
                tasks_in_short(status),
            ]
        };
        say_table(["NAME", "TYPE", "STATE", "TASKS"], &statuses.iter().map(row).collect::<Vec<_>>())
    }
}
