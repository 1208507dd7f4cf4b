//! `tidegate connector offsets`.

use std::path::{Path, PathBuf};

use clap::Args;
use reqwest::Method;
use serde_json::Value;

use super::create::read_stdin;
use super::{Named, text};
use crate::failure::Failure;
use crate::output::{say, say_json, say_table};
use crate::rest::Rest;

#[derive(Debug, Args)]
pub(crate) struct Offsets {
    #[command(flatten)]
    connector: Named,
    /// Set offsets of a stopped connector: JSON as this command prints it with --json; - reads standard input. Partitions that
    /// are not in it stay as they are; one whose offset is null is forgotten.
    #[arg(long, value_name = "FILE", conflicts_with = "reset")]
    set: Option<PathBuf>,
    /// Forget all offsets of a stopped connector.
    #[arg(long)]
    reset: bool,
}

impl Offsets {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let name = self.connector.name.as_str();
        let rest = Rest::new(&self.connector.worker.url)?;
        let path = ["connectors", name, "offsets"];
        let unchanged = format!("the offsets of connector \"{name}\" were not changed");
        let answer = match &self.set {
            Some(file) => rest.send_json(Method::PATCH, &path, &wanted(file)?, &unchanged).await?,
            None if self.reset => rest.ask(Method::DELETE, &path, &unchanged).await?,
            None => {
                let what = format!("the offsets of connector \"{name}\" cannot be read");
                return self.show(&rest.ask(Method::GET, &path, &what).await?);
            }
        };
        match self.connector.json {
            true => say_json(&answer),
            false => say(text(&answer, "/message")),
        }
    }

    fn show(&self, answer: &Value) -> Result<(), Failure> {
        if self.connector.json {
            return say_json(answer);
        }
        let offsets = answer["offsets"].as_array().map(Vec::as_slice).unwrap_or_default();
        if offsets.is_empty() {
            return say("no offsets");
        }
        let row = |at: &Value| [at["partition"].to_string(), at["offset"].to_string()];
        say_table(["PARTITION", "OFFSET"], &offsets.iter().map(row).collect::<Vec<_>>())
    }
}

fn wanted(file: &Path) -> Result<Value, Failure> {
    let shown = file.display();
    let bytes = match file == Path::new("-") {
        true => read_stdin()?,
        false => {
            std::fs::read(file).map_err(|error| Failure::new(format!("\"{shown}\" cannot be read")).detail(error))?
        }
    };
    serde_json::from_slice(&bytes)
        .map_err(|error| Failure::usage(format!("\"{shown}\" is not JSON")).detail(error).hint(FORM))
}

const FORM: &str =
    r#"write {"offsets": [{"partition": {…}, "offset": {…}}]}, as `tidegate connector offsets NAME --json` prints it"#;
