//! A schema registry by Confluent's REST API. One request at a time; where an address does not answer, the next is asked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use url::Url;

use crate::config::{Config, Credentials};
use crate::error::RegistryError;

/// Bytes of an answer: more is no schema.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// How often all addresses are asked before the registry counts as away.
const ROUNDS: u32 = 2;
const PAUSE: Duration = Duration::from_millis(200);
const MEDIA: &str = "application/vnd.schemaregistry.v1+json";

/// Asks a registry.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    urls: Vec<Url>,
    credentials: Credentials,
    /// The address that answered last.
    current: AtomicUsize,
}

/// A schema as the registry has it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Stored {
    pub(crate) schema: String,
    /// Left out for Avro.
    #[serde(rename = "schemaType", default)]
    pub(crate) schema_type: Option<String>,
    #[serde(default)]
    pub(crate) references: Option<Vec<Reference>>,
    #[serde(default)]
    pub(crate) id: Option<u32>,
}

/// What a schema refers to.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Reference {
    pub(crate) name: String,
    pub(crate) subject: String,
    pub(crate) version: i64,
}

/// Where a schema is registered.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Place {
    pub(crate) subject: String,
    pub(crate) version: i32,
}

#[derive(Serialize)]
struct Register<'s> {
    schema: &'s str,
    #[serde(rename = "schemaType", skip_serializing_if = "Option::is_none")]
    schema_type: Option<&'s str>,
}

#[derive(Deserialize)]
struct Numbered {
    id: u32,
}

type Result<T> = std::result::Result<T, RegistryError>;

impl Client {
    pub(crate) fn new(config: &Config) -> std::result::Result<Client, String> {
        let mut http = reqwest::Client::builder()
            .connect_timeout(config.connect_timeout)
            .timeout(config.read_timeout)
            .redirect(reqwest::redirect::Policy::limited(3))
            .pool_max_idle_per_host(1)
            .user_agent("tidegate")
            .no_proxy();
        if let Some(proxy) = &config.proxy {
            http = http.proxy(reqwest::Proxy::all(proxy).map_err(|error| format!("proxy \"{proxy}\": {error}"))?);
        }
        let http = config.tls.apply(http)?;
        let http =
            http.build().map_err(|error| format!("the client of the schema registry cannot be made: {error}"))?;
        let (urls, credentials) = (config.urls.clone(), config.credentials.clone());
        Ok(Client { http, urls, credentials, current: AtomicUsize::new(0) })
    }

    /// The schema of a number.
    pub(crate) async fn by_id(&self, id: u32) -> Result<Stored> {
        self.ask(&format!("schema {id}"), Method::GET, &["schemas", "ids", &id.to_string()], &[], None).await
    }

    /// Under which subjects and versions a schema is registered.
    pub(crate) async fn places(&self, id: u32) -> Result<Vec<Place>> {
        let path = ["schemas", "ids", &id.to_string(), "versions"];
        self.ask(&format!("versions of schema {id}"), Method::GET, &path, &[], None).await
    }

    /// A version of a subject; `latest` is one.
    pub(crate) async fn version(&self, subject: &str, version: &str) -> Result<Stored> {
        let what = format!("version {version} of subject \"{subject}\"");
        self.ask(&what, Method::GET, &["subjects", subject, "versions", version], &[], None).await
    }

    /// Registers a schema, which may be there already; answers its number.
    pub(crate) async fn register(&self, subject: &str, schema: &str, format: &str, normalize: bool) -> Result<u32> {
        let what = format!("registering a schema under subject \"{subject}\"");
        self.number(&what, &["subjects", subject, "versions"], schema, format, normalize).await
    }

    /// The number of a schema that a subject has.
    pub(crate) async fn look_up(&self, subject: &str, schema: &str, format: &str, normalize: bool) -> Result<u32> {
        let what = format!("looking up a schema under subject \"{subject}\"");
        self.number(&what, &["subjects", subject], schema, format, normalize).await.map_err(|error| match error {
            RegistryError::Refused(message) => RegistryError::Refused(format!(
                "{message}\nhint: auto.register.schemas is false, so the schema has to be registered before"
            )),
            error => error,
        })
    }

    async fn number(&self, what: &str, path: &[&str], schema: &str, format: &str, normalize: bool) -> Result<u32> {
        let register = Register { schema, schema_type: Some(format).filter(|format| *format != "AVRO") };
        let body = serde_json::to_vec(&register).map_err(|error| RegistryError::Refused(error.to_string()))?;
        let query: &[(&str, &str)] = if normalize { &[("normalize", "true")] } else { &[] };
        let numbered: Numbered = self.ask(what, Method::POST, path, query, Some(body)).await?;
        Ok(numbered.id)
    }

    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        what: &str,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> Result<T> {
        let mut away = RegistryError::Away(format!("{what}: no schema registry is named"));
        for round in 0..ROUNDS {
            for _ in 0..self.urls.len() {
                let current = self.current.load(Ordering::Relaxed) % self.urls.len();
                match self.ask_one(what, &self.urls[current], method.clone(), path, query, body.clone()).await {
                    Err(error) if error.is_away() => {
                        away = error;
                        self.current.store(current + 1, Ordering::Relaxed);
                    }
                    answer => {
                        let answer = answer?;
                        match serde_json::from_slice(&answer) {
                            Ok(read) => return Ok(read),
                            Err(error) => {
                                let shown = String::from_utf8_lossy(&answer[..answer.len().min(200)]).into_owned();
                                // What is no registry's answer comes from something before it: a proxy, a login page.
                                away = RegistryError::Away(format!(
                                    "{what}: the schema registry's answer is not its own: {error}: {shown}"
                                ));
                                self.current.store(current + 1, Ordering::Relaxed);
                            }
                        }
                    }
                }
            }
            if round + 1 < ROUNDS {
                tokio::time::sleep(PAUSE.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            }
        }
        Err(away)
    }

    async fn ask_one(
        &self,
        what: &str,
        base: &Url,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> Result<Vec<u8>> {
        let mut url = base.clone();
        let shown = shown(base);
        let away = |error: &dyn std::fmt::Display| {
            RegistryError::Away(format!("{what}: the schema registry at {shown} does not answer: {error}"))
        };
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        for (name, value) in query {
            url.query_pairs_mut().append_pair(name, value);
        }
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let mut request = self.http.request(method, url).header("Accept", format!("{MEDIA}, application/json"));
        request = match &self.credentials {
            Credentials::Basic { user, password } => request.basic_auth(user, Some(password)),
            Credentials::Bearer(token) => request.bearer_auth(token),
            Credentials::Url if !base.username().is_empty() => {
                let plain = |text: &str| urlencoding(text);
                request.basic_auth(plain(base.username()), base.password().map(plain))
            }
            Credentials::Url => request,
        };
        if let Some(body) = body {
            request = request.header("Content-Type", MEDIA).body(body);
        }
        let mut answer = request.send().await.map_err(|error| away(&causes(&error)))?;
        let status = answer.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| away(&causes(&error)))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > ANSWER_BYTES_MAX {
                return Err(RegistryError::Refused(format!(
                    "{what}: the schema registry's answer has more than {ANSWER_BYTES_MAX} bytes"
                )));
            }
        }
        match status {
            StatusCode::OK | StatusCode::CREATED => Ok(bytes),
            status => Err(RegistryError::of_answer(what, status.as_u16(), &bytes)),
        }
    }
}

/// The address without login.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

/// Percent signs taken back.
fn urlencoding(text: &str) -> String {
    url::form_urlencoded::parse(format!("a={}", text.replace('+', "%2B")).as_bytes())
        .next()
        .map_or_else(|| text.to_owned(), |(_, value)| value.into_owned())
}

/// An error with what caused it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

impl Stored {
    /// The format by its name.
    pub(crate) fn format_name(&self) -> &str {
        self.schema_type.as_deref().unwrap_or("AVRO")
    }
}

/// Reads an answer as the client does, for whoever wants to know what becomes of arbitrary bytes.
pub fn read_answer(bytes: &[u8]) -> bool {
    let _ = RegistryError::of_answer("asked", 422, bytes);
    let _ = serde_json::from_slice::<Json>(bytes);
    serde_json::from_slice::<Stored>(bytes).is_ok()
}
