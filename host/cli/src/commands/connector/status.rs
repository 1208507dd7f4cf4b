//! `tidegate connector status`.

use clap::Args;
use reqwest::Method;
use serde_json::Value;

use super::{Named, text};
use crate::failure::Failure;
use crate::output::{say, say_json};
use crate::rest::Rest;

#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    connector: Named,
}

impl Status {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let name = &self.connector.name;
        let what = format!("the status of connector \"{name}\" cannot be read");
        let rest = Rest::new(&self.connector.worker.url)?;
        let status = rest.ask(Method::GET, &["connectors", name, "status"], &what).await?;
        if self.connector.json {
            return say_json(&status);
        }
        say(format_args!("{name} ({})", text(&status, "/type")))?;
        say_instance("connector", &status["connector"])?;
        for task in status["tasks"].as_array().into_iter().flatten() {
            say_instance(&format!("task {}", task["id"]), task)?;
        }
        Ok(())
    }
}

fn say_instance(what: &str, instance: &Value) -> Result<(), Failure> {
    let restarts = restarts(&instance["restarts"]);
    say(format_args!("  {what:<10} {:<10} {}{restarts}", text(instance, "/state"), text(instance, "/worker_id")))?;
    text(instance, "/trace").lines().try_for_each(|line| say(format_args!("      {line}")))
}

/// How often it was restarted on its own, and when it will be.
fn restarts(restarts: &Value) -> String {
    let Some(attempts) = restarts["attempts"].as_u64() else { return String::new() };
    let of = restarts["max_attempts"].as_u64().map_or(String::new(), |max| format!(" of {max}"));
    match restarts["next_in_ms"].as_u64() {
        Some(wait) => format!("  restart {attempts}{of} in {:.1} s", wait as f64 / 1_000.0),
        None => format!("  restarted {attempts} times"),
    }
}
