//! `/plugins`: the components behind the classes, and the door for new ones.

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use crate::error::RestError;
use crate::{PluginFile, Shared};

/// `bytes_max` bounds the body of an upload.
pub(crate) fn routes(bytes_max: usize) -> Router<Shared> {
    Router::new()
        .route("/plugins", get(list).post(upload))
        .layer(axum::extract::DefaultBodyLimit::max(bytes_max.saturating_add(1)))
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

async fn upload(State(backend): State<Shared>, body: Body) -> Result<(StatusCode, Json<Plugin>), RestError> {
    let bytes_max = backend.plugins.bytes_max();
    let component = to_bytes(body, bytes_max).await.map_err(|error| {
        // The one error with a meaning of its own; the others are a client that went away.
        match std::error::Error::source(&error).map(ToString::to_string) {
            Some(text) if text.contains("length limit") => {
                RestError::too_large(format!("the component is larger than {bytes_max} bytes"))
            }
            _ => RestError::bad_request(format!("the component did not arrive as a whole: {error}")),
        }
    })?;
    match backend.plugins.upload(component.into()).await {
        Ok(file) => Ok((StatusCode::CREATED, Json(file.into()))),
        Err(refusal) => Err(RestError::refused(refusal)),
    }
}
