//! `http`: requests through the host's clients, to granted origins only.
//!
//! Two clients per process, so that connections and TLS sessions are shared: one for instances that may reach private
//! networks and one that resolves public addresses only. Neither follows redirects, since the target of a redirect is not
//! granted, nor uses a proxy of the environment.

use super::HostState;
use crate::bindings::tidegate::connect::http::{Host, HttpError, HttpRequest, HttpResponse};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tidegate_config::address::is_private;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// Headers of a request or response, names and values together, in bytes.
const HEADERS_MAX: usize = 64 << 10;

/// The process's HTTP clients; clones share their connections.
#[derive(Clone)]
pub(crate) struct Clients {
    any: reqwest::Client,
    public: reqwest::Client,
}

impl Clients {
    pub(crate) fn new() -> Result<Clients, reqwest::Error> {
        let builder = || {
            reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .connect_timeout(Duration::from_secs(10))
                .pool_max_idle_per_host(4)
        };
        Ok(Clients { any: builder().build()?, public: builder().dns_resolver(Arc::new(PublicOnly)).build()? })
    }
}

/// Resolves names to addresses on the public internet.
struct PublicOnly;

#[derive(Debug)]
struct NoPublicAddress(String);

impl fmt::Display for NoPublicAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "\"{}\" has private addresses only, which uploaded plugins may not reach (sandbox.deny.private.networks)",
            self.0
        )
    }
}

impl Error for NoPublicAddress {}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<_> = found.filter(|address| !is_private(address.ip().to_canonical())).collect();
            if public.is_empty() {
                return Err(NoPublicAddress(name.as_str().to_owned()).into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

impl Host for HostState {
    async fn request(&mut self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let url = url::Url::parse(&request.url).map_err(|error| {
            HttpError::Denied(format!("\"{}\" is not a URL: {error}", super::log::cut(&request.url)))
        })?;
        let host = match url.host() {
            Some(url::Host::Domain(name)) => name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase(),
            Some(url::Host::Ipv4(address)) => address.to_string(),
            Some(url::Host::Ipv6(address)) => address.to_string(),
            None => return Err(HttpError::Denied("the URL has no host".to_owned())),
        };
        let port = url.port_or_known_default().unwrap_or(0);
        if let Err(why) = self.reach.may_request(url.scheme(), &host, port) {
            self.denied(&why);
            return Err(HttpError::Denied(why));
        }
        let _permit = self.budget.take_connection().map_err(|full| HttpError::Failed(super::net::too_many(&full)))?;
        let client = if self.reach.deny_private() { &self.http.public } else { &self.http.any };
        let timeout = match request.timeout_ms {
            0 => DEFAULT_TIMEOUT,
            ms => Duration::from_millis(u64::from(ms)),
        };
        let exchange = exchange(client, url, request, self.limits.http_response);
        match tokio::time::timeout(timeout, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(HttpError::Timeout),
        }
    }
}

async fn exchange(
    client: &reqwest::Client,
    url: url::Url,
    request: HttpRequest,
    body_max: usize,
) -> Result<HttpResponse, HttpError> {
    let bad = |what: &str| HttpError::Denied(format!("the request has a malformed {what}"));
    let method = reqwest::Method::from_bytes(request.method.as_bytes()).map_err(|_| bad("method"))?;
    let size: usize = request.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if size > HEADERS_MAX {
        return Err(HttpError::TooLarge);
    }
    let mut building = client.request(method, url);
    for (name, value) in &request.headers {
        // The client writes these itself, from what is checked above.
        if ["host", "content-length", "transfer-encoding", "connection"].contains(&name.to_ascii_lowercase().as_str()) {
            continue;
        }
        let name = reqwest::header::HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("header name"))?;
        let value = reqwest::header::HeaderValue::from_str(value).map_err(|_| bad("header value"))?;
        building = building.header(name, value);
    }
    let mut response = building.body(request.body).send().await.map_err(|error| failed(&error))?;
    let mut headers = Vec::new();
    let mut size = 0;
    for (name, value) in response.headers() {
        size += name.as_str().len() + value.len();
        if size > HEADERS_MAX {
            return Err(HttpError::TooLarge);
        }
        headers.push((name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))? {
        if body.len() + chunk.len() > body_max {
            return Err(HttpError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(HttpResponse { status: response.status().as_u16(), headers, body })
}

/// The innermost cause says what happened; the outer texts repeat the URL, which may hold credentials.
fn failed(error: &reqwest::Error) -> HttpError {
    if error.is_timeout() {
        return HttpError::Timeout;
    }
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    HttpError::Failed(cause.to_string())
}
