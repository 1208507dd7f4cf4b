//! Talks to a running worker.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response, Url};
use serde::Deserialize;
use serde_json::Value;

use crate::failure::Failure;

/// How long the worker may take to take the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer may take: a configuration is checked within 90 s, a component compiled within 240 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);
/// Bytes of an answer that are shown when it is not the JSON it should be.
const SHOWN_BYTES_MAX: usize = 500;

/// The REST API of one worker.
#[derive(Debug)]
pub(crate) struct Rest {
    client: Client,
    base: Url,
}

/// What a worker answers when it refuses.
#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl Rest {
    /// A client of the worker at `url`. Connects with the first request.
    pub(crate) fn new(url: &str) -> Result<Rest, Failure> {
        let base: Url = url
            .parse()
            .map_err(|error| Failure::usage(format!("--url \"{url}\" is no URL")).detail(error).hint(URL_HINT))?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            return Err(Failure::usage(format!("--url \"{url}\" is not of the form http://host:port")).hint(URL_HINT));
        }
        let mut client = Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(ANSWER_TIMEOUT);
        if is_loopback(&base) {
            // A proxy of the environment has no business on the way to this machine.
            client = client.no_proxy();
        }
        let client = client.build().map_err(|error| Failure::new("no HTTP client can be made").detail(error))?;
        Ok(Rest { client, base })
    }

    /// The answer to a request without a body; `what` says what was asked for, should it be refused.
    pub(crate) async fn ask(&self, method: Method, path: &[&str], what: &str) -> Result<Value, Failure> {
        self.send(self.request(method, path), what).await
    }

    /// An answer that is text for people or other programs.
    pub(crate) async fn text(&self, path: &[&str], what: &str) -> Result<String, Failure> {
        let response = self.request(Method::GET, path).send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let body = response_bytes(response).await?;
        match status.is_success() {
            true => Ok(String::from_utf8_lossy(&body).into_owned()),
            false => Err(Failure::new(what).detail(format_args!("the server answered {status}: {}", shown(&body)))),
        }
    }

    /// The answer to a JSON document.
    pub(crate) async fn send_json(
        &self,
        method: Method,
        path: &[&str],
        body: &Value,
        what: &str,
    ) -> Result<Value, Failure> {
        self.send(self.request(method, path).json(body), what).await
    }

    /// The answer to bytes that are sent piece by piece.
    pub(crate) async fn post_bytes(
        &self,
        path: &[&str],
        length: u64,
        body: reqwest::Body,
        what: &str,
    ) -> Result<Value, Failure> {
        let request = self
            .request(Method::POST, path)
            .header(reqwest::header::CONTENT_TYPE, "application/wasm")
            .header(reqwest::header::CONTENT_LENGTH, length)
            .body(body);
        self.send(request, what).await
    }

    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            // What is not a base was refused in `new`.
            segments.pop_if_empty().extend(path);
        }
        self.client.request(method, url)
    }

    async fn send(&self, request: RequestBuilder, what: &str) -> Result<Value, Failure> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let body = response_bytes(response).await?;
        if status.is_success() {
            if body.is_empty() {
                return Ok(Value::Null);
            }
            return serde_json::from_slice(&body).map_err(|_| self.foreign(&body));
        }
        match serde_json::from_slice::<Refusal>(&body) {
            Ok(refusal) => Err(Failure::new(what).detail(refusal.message)),
            Err(_) => Err(Failure::new(what).detail(format_args!("the server answered {status}: {}", shown(&body)))),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let failure = match error.is_timeout() && !error.is_connect() {
            true => Failure::new(format!("the worker at {} did not answer in time", self.shown_base())),
            false => Failure::new(format!("no worker answers at {}", self.shown_base())),
        };
        let failure = failure.detail(innermost(error));
        failure.hint("start one with `tidegate dev`, or name another with --url")
    }

    fn foreign(&self, body: &[u8]) -> Failure {
        Failure::new(format!("what answers at {} is no Tidegate worker", self.shown_base())).detail(shown(body))
    }

    fn shown_base(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }
}

const URL_HINT: &str = "write it as http://127.0.0.1:8083";

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

async fn response_bytes(response: Response) -> Result<bytes::Bytes, Failure> {
    response.bytes().await.map_err(|error| Failure::new("the worker's answer was cut off").detail(innermost(&error)))
}

/// The cause that says most.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(SHOWN_BYTES_MAX)]);
    text.trim().to_owned()
}
