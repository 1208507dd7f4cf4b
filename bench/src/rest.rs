//! The few calls of Kafka Connect's REST API that a run needs.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::blocking::{Client, Response};
use serde_json::{Value, json};

/// A worker's REST server.
#[derive(Debug)]
pub(crate) struct Rest {
    client: Client,
    url: String,
}

impl Rest {
    pub(crate) fn new(port: u16) -> Result<Rest> {
        let client = Client::builder().timeout(Duration::from_secs(60)).build()?;
        Ok(Rest { client, url: format!("http://127.0.0.1:{port}") })
    }

    /// Whether connectors can be listed: the worker takes requests.
    pub(crate) fn is_ready(&self) -> bool {
        let answer = self.client.get(format!("{}/connectors", self.url)).send();
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    pub(crate) fn create(&self, name: &str, config: &Value) -> Result<()> {
        let body = json!({ "name": name, "config": config }).to_string();
        let request = self.client.post(format!("{}/connectors", self.url));
        let answer = request.header("content-type", "application/json").body(body).send()?;
        checked(answer).with_context(|| format!("connector \"{name}\" was not created")).map(drop)
    }

    pub(crate) fn delete(&self, name: &str) -> Result<()> {
        let answer = self.client.delete(format!("{}/connectors/{name}", self.url)).send()?;
        checked(answer).with_context(|| format!("connector \"{name}\" was not deleted")).map(drop)
    }

    /// An error if the connector or its task has failed.
    pub(crate) fn check(&self, name: &str) -> Result<()> {
        let answer = self.client.get(format!("{}/connectors/{name}/status", self.url)).send()?;
        // Just created, it may have no status yet.
        if answer.status() == 404 {
            return Ok(());
        }
        let status: Value = serde_json::from_str(&checked(answer)?)?;
        let tasks = status["tasks"].as_array().into_iter().flatten();
        match tasks.chain([&status["connector"]]).find(|part| part["state"] == "FAILED") {
            Some(part) => bail!("connector \"{name}\" failed: {}", part["trace"].as_str().unwrap_or("without a trace")),
            None => Ok(()),
        }
    }
}

/// The body, if the answer is a success.
fn checked(answer: Response) -> Result<String> {
    let status = answer.status();
    let body = answer.text()?;
    if !status.is_success() {
        bail!("{status}: {body}");
    }
    Ok(body)
}
