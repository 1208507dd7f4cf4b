//! `tidegate connector create`.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use reqwest::Method;
use serde_json::json;

use super::UrlArg;
use crate::connector_file::ConnectorFile;
use crate::failure::Failure;
use crate::output::{say, say_json};
use crate::rest::Rest;

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// JSON as REST takes it, a flat JSON object, or properties; - reads standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    worker: UrlArg,
    /// Print the connector as REST answers it.
    #[arg(long)]
    json: bool,
}

/// More than any configuration has.
const INPUT_BYTES_MAX: u64 = 2 << 20;

impl Create {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let connector = match self.file == Path::new("-") {
            true => ConnectorFile::parse(Path::new("standard input"), &read_stdin()?)?,
            false => ConnectorFile::read(&self.file)?,
        };
        let name = &connector.name;
        let body = json!({ "name": name, "config": connector.config });
        let what = format!("connector \"{name}\" was not created");
        let answer = Rest::new(&self.worker.url)?.send_json(Method::POST, &["connectors"], &body, &what).await?;
        match self.json {
            true => say_json(&answer),
            false => say(format_args!("connector \"{name}\" created")),
        }
    }
}

pub(super) fn read_stdin() -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .take(INPUT_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::new("standard input cannot be read").detail(error))?;
    Ok(bytes)
}
