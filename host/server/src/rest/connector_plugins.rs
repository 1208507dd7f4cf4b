//! `/connector-plugins`: what can be named in a configuration.

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::Shared;

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/connector-plugins", get(list))
}

#[derive(Deserialize)]
struct ListQuery {
    /// Connect's default: sources and sinks only.
    #[serde(rename = "connectorsOnly", default = "yes")]
    connectors_only: bool,
}

fn yes() -> bool {
    true
}

#[derive(Serialize)]
struct Plugin {
    class: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
}

async fn list(State(backend): State<Shared>, Query(query): Query<ListQuery>) -> Json<Vec<Plugin>> {
    let shown = |kind: &str| !query.connectors_only || kind == "source" || kind == "sink";
    let classes = backend.plugins.classes().into_iter().filter(|class| shown(&class.kind));
    Json(classes.map(|class| Plugin { class: class.class, kind: class.kind, version: class.version }).collect())
}
