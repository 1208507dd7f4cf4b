//! `GET /` and `GET /health`.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use crate::Shared;

/// How long the control plane may take to go round its loop, as Connect's health check.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/", get(root)).route("/health", get(health))
}

#[derive(Serialize)]
struct Root {
    version: &'static str,
    commit: &'static str,
    kafka_cluster_id: String,
}

async fn root(State(backend): State<Shared>) -> Json<Root> {
    Json(Root { version: backend.version, commit: "unknown", kafka_cluster_id: backend.kafka_cluster_id.clone() })
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    message: &'static str,
}

async fn health(State(backend): State<Shared>) -> impl IntoResponse {
    let alive = tokio::time::timeout(HEALTH_TIMEOUT, backend.herder.ping()).await;
    match alive {
        Ok(Ok(())) => (
            StatusCode::OK,
            Json(Health {
                status: "healthy",
                message: "Worker has completed startup and is ready to handle requests.",
            }),
        ),
        _ => (
            StatusCode::INTERNAL_SERVER_ERROR,
            Json(Health {
                status: "unhealthy",
                message: "Worker was unable to handle this request and may be unable to handle other requests.",
            }),
        ),
    }
}
