//! `/plugins`: the components behind the classes, and the door for new ones.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::error::RestError;
use crate::{PluginFile, Shared};

/// Uploads that are in memory at once; others wait with their bytes on the wire.
const UPLOADS_MAX: usize = 2;

/// How long the bytes of an upload may take to arrive, as others may wait for them.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(120);

/// `bytes_max` bounds the body of an upload.
pub(crate) fn routes(bytes_max: usize) -> Router<Shared> {
    let turns = Arc::new(Semaphore::new(UPLOADS_MAX));
    let upload = move |State(backend): State<Shared>, request: Request| upload(backend, request, turns.clone());
    Router::new().route("/plugins", get(list).post(upload)).layer(DefaultBodyLimit::max(bytes_max))
}

#[derive(Serialize)]
struct Plugin {
    digest: String,
    name: String,
    version: String,
    bundled: bool,
    definitions: serde_json::Value,
    imports: Vec<String>,
}

impl From<PluginFile> for Plugin {
    fn from(file: PluginFile) -> Self {
        let PluginFile { digest, name, version, bundled, definitions, imports } = file;
        Plugin { digest, name, version, bundled, definitions, imports }
    }
}

async fn list(State(backend): State<Shared>) -> Json<Vec<Plugin>> {
    Json(backend.plugins.files().into_iter().map(Plugin::from).collect())
}

async fn upload(
    backend: Shared,
    request: Request,
    turns: Arc<Semaphore>,
) -> Result<(StatusCode, Json<Plugin>), RestError> {
    let _turn = turns.acquire().await.expect("the semaphore is never closed");
    let component = arrived(request, backend.plugins.bytes_max()).await?;
    let file = backend.plugins.upload(component.into()).await?;
    Ok((StatusCode::CREATED, Json(file.into())))
}

/// The whole body, within the limit of its route.
async fn arrived(request: Request, bytes_max: usize) -> Result<Bytes, RestError> {
    match timeout(ARRIVAL_TIMEOUT, Bytes::from_request(request, &())).await {
        Ok(Ok(component)) => Ok(component),
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Err(RestError::too_large(format!("the component is larger than {bytes_max} bytes")))
        }
        Ok(Err(rejection)) => {
            Err(RestError::bad_request(format!("the component did not arrive as a whole: {}", rejection.body_text())))
        }
        Err(_) => {
            Err(RestError::bad_request(format!("the component did not arrive within {} s", ARRIVAL_TIMEOUT.as_secs())))
        }
    }
}
