//! `tidegate connector`: over REST, one file per verb.

mod create;
mod delete;
mod list;
mod offsets;
mod pause;
mod resume;
mod status;
mod stop;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::UrlArg;
use crate::failure::Failure;
use crate::output::{say, say_json};
use crate::rest::Rest;

/// What can be done to connectors.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show all connectors and what they are doing.
    List(list::List),
    /// Create a connector.
    Create(create::Create),
    /// Show a connector, its tasks and why they failed.
    Status(status::Status),
    /// Let a connector and its tasks pause.
    Pause(pause::Pause),
    /// Let a paused or stopped connector go on.
    Resume(resume::Resume),
    /// Stop a connector: nothing of it runs until it is resumed.
    Stop(stop::Stop),
    /// Show a connector's offsets, set or forget them.
    Offsets(offsets::Offsets),
    /// Delete a connector.
    Delete(delete::Delete),
}

impl Command {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        match self {
            Command::List(list) => list.run().await,
            Command::Create(create) => create.run().await,
            Command::Status(status) => status.run().await,
            Command::Pause(pause) => pause.run().await,
            Command::Resume(resume) => resume.run().await,
            Command::Stop(stop) => stop.run().await,
            Command::Offsets(offsets) => offsets.run().await,
            Command::Delete(delete) => delete.run().await,
        }
    }
}

/// One connector of one worker.
#[derive(Debug, Args)]
struct Named {
    /// The connector's name.
    name: String,
    #[command(flatten)]
    worker: UrlArg,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Named {
    /// Asks for something that has no answer but that it is done, and says so.
    async fn act(&self, method: Method, action: Option<&str>, done: &str) -> Result<(), Failure> {
        let name = self.name.as_str();
        let path: Vec<&str> = ["connectors", name].into_iter().chain(action).collect();
        let what = format!("connector \"{name}\" was not {done}");
        Rest::new(&self.worker.url)?.ask(method, &path, &what).await?;
        match self.json {
            true => say_json(&json!({ "name": name, "done": done })),
            false => say(format_args!("connector \"{name}\" {done}")),
        }
    }
}

/// Text in an answer; empty where it is missing.
fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// What the tasks are doing, in a few words: `2 RUNNING, 1 FAILED`.
fn tasks_in_short(status: &Value) -> String {
    let mut states: Vec<(&str, usize)> = Vec::new();
    for task in status["tasks"].as_array().into_iter().flatten() {
        let state = text(task, "/state");
        match states.iter_mut().find(|(known, _)| *known == state) {
            Some((_, count)) => *count += 1,
            None => states.push((state, 1)),
        }
    }
    let counted: Vec<String> = states.iter().map(|(state, count)| format!("{count} {state}")).collect();
    if counted.is_empty() { "none".to_owned() } else { counted.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::tasks_in_short;
    use serde_json::json;

    #[test]
    fn tasks_are_counted_by_what_they_do() {
        let state = |state: &str| json!({ "state": state });
        let status = json!({ "tasks": [state("RUNNING"), state("FAILED"), state("RUNNING")] });
        assert_eq!(tasks_in_short(&status), "2 RUNNING, 1 FAILED");
        assert_eq!(tasks_in_short(&json!({ "tasks": [] })), "none");
    }
}
