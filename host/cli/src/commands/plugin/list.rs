//! `tidegate plugin list`.

use clap::Args;
use reqwest::Method;
use serde_json::Value;

use super::UrlArg;
use crate::failure::Failure;
use crate::output::{say, say_json, say_table};
use crate::rest::Rest;

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    worker: UrlArg,
    /// Print the plugins as REST answers them.
    #[arg(long)]
    json: bool,
}

/// Digits of a digest that are enough for people.
const DIGEST_CHARS_SHOWN: usize = "sha256:".len() + 12;

impl List {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let rest = Rest::new(&self.worker.url)?;
        let plugins = rest.ask(Method::GET, &["plugins"], "the plugins cannot be listed").await?;
        if self.json {
            return say_json(&plugins);
        }
        let rows: Vec<_> = plugins.as_array().into_iter().flatten().map(row).collect();
        match rows.is_empty() {
            true => say("no plugins yet"),
            false => say_table(["NAME", "VERSION", "FROM", "DIGEST", "DEFINITIONS"], &rows),
        }
    }
}

fn row(plugin: &Value) -> [String; 5] {
    let text = |key: &str| plugin[key].as_str().unwrap_or_default().to_owned();
    let definitions = plugin["definitions"].as_array().into_iter().flatten();
    let names: Vec<&str> = definitions.filter_map(|definition| definition["name"].as_str()).collect();
    let from = if plugin["bundled"] == Value::Bool(true) { "the box" } else { "upload" };
    let digest: String = text("digest").chars().take(DIGEST_CHARS_SHOWN).collect();
    [text("name"), text("version"), from.to_owned(), digest, names.join(", ")]
}
