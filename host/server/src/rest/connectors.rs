//! `/connectors`: create, read, change, pause, resume, stop, restart, delete.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::header::{HOST, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tidegate_herder::{Config, ConnectorInfo, ConnectorKind, ConnectorStatus, InstanceStatus, RunState, Target};

use crate::Shared;
use crate::error::RestError;

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/connectors", get(list).post(create))
        .route("/connectors/{name}", get(read).delete(delete))
        .route("/connectors/{name}/config", get(config).put(put_config))
        .route("/connectors/{name}/status", get(status))
        .route("/connectors/{name}/pause", put(pause))
        .route("/connectors/{name}/resume", put(resume))
        .route("/connectors/{name}/stop", put(stop))
        .route("/connectors/{name}/restart", post(restart))
        .route("/connectors/{name}/tasks", get(tasks))
        .route("/connectors/{name}/tasks/{task}/status", get(task_status))
        .route("/connectors/{name}/tasks/{task}/restart", post(restart_task))
}

#[derive(Serialize)]
struct Info {
    name: String,
    config: Config,
    tasks: Vec<TaskId>,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
struct TaskId {
    connector: String,
    task: u32,
}

#[derive(Serialize)]
struct Status {
    name: String,
    connector: Instance,
    tasks: Vec<TaskStatus>,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
struct Instance {
    state: &'static str,
    worker_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// Not Connect's; only where something was restarted on its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    restarts: Option<Restarts>,
}

#[derive(Serialize)]
struct Restarts {
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_in_ms: Option<u64>,
}

#[derive(Serialize)]
struct TaskStatus {
    id: u32,
    #[serde(flatten)]
    instance: Instance,
}

#[derive(Serialize)]
struct TaskInfo {
    id: TaskId,
    config: Config,
}

impl From<ConnectorInfo> for Info {
    fn from(info: ConnectorInfo) -> Self {
        let tasks = (0..info.tasks).map(|task| TaskId { connector: info.name.clone(), task }).collect();
        Info { name: info.name, config: info.config, tasks, kind: kind(info.kind) }
    }
}

impl From<InstanceStatus> for Instance {
    fn from(status: InstanceStatus) -> Self {
        let InstanceStatus { state, worker_id, trace, version, restarts } = status;
        let restarts = restarts.map(|restarts| Restarts {
            attempts: restarts.attempts,
            max_attempts: restarts.attempts_max,
            next_in_ms: restarts.next_in_ms,
        });
        Instance { state: state_name(state), worker_id, trace, version, restarts }
    }
}

impl From<ConnectorStatus> for Status {
    fn from(status: ConnectorStatus) -> Self {
        let tasks = (0..).zip(status.tasks).map(|(id, task)| TaskStatus { id, instance: task.into() }).collect();
        Status { name: status.name, connector: status.connector.into(), tasks, kind: kind(status.kind) }
    }
}

fn kind(kind: ConnectorKind) -> &'static str {
    match kind {
        ConnectorKind::Source => "source",
        ConnectorKind::Sink => "sink",
    }
}

fn state_name(state: RunState) -> &'static str {
    match state {
        RunState::Unassigned => "UNASSIGNED",
        RunState::Running => "RUNNING",
        RunState::Paused => "PAUSED",
        RunState::Stopped => "STOPPED",
        RunState::Failed => "FAILED",
        RunState::Restarting => "RESTARTING",
    }
}

/// A value of a configuration: Connect takes numbers and booleans for their texts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Number(serde_json::Number),
    Flag(bool),
}

impl From<Scalar> for String {
    fn from(scalar: Scalar) -> String {
        match scalar {
            Scalar::Text(text) => text,
            Scalar::Number(number) => number.to_string(),
            Scalar::Flag(flag) => flag.to_string(),
        }
    }
}

type RawConfig = BTreeMap<String, Option<Scalar>>;

fn checked(raw: RawConfig) -> Result<Config, RestError> {
    raw.into_iter()
        .map(|(key, value)| match value {
            Some(value) => Ok((key, value.into())),
            None => Err(RestError::bad_request(format!(
                "Connector configuration is invalid and contains the following 1 error(s):\n\
                 Null value can not be supplied as the configuration value: \"{key}\""
            ))),
        })
        .collect()
}

#[derive(Deserialize)]
struct CreateRequest {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    config: RawConfig,
    #[serde(default)]
    initial_state: Option<String>,
}

/// The body as JSON; what is wrong with it is the client's to mend, so 400 where Connect answers 500.
pub(super) fn parse<T: for<'de> Deserialize<'de>>(body: &Bytes) -> Result<T, RestError> {
    serde_json::from_slice(body)
        .map_err(|error| RestError::bad_request(format!("the request body is malformed: {error}")))
}

async fn list(State(backend): State<Shared>) -> Result<Json<Vec<String>>, RestError> {
    Ok(Json(backend.herder.connectors().await?))
}

async fn create(State(backend): State<Shared>, headers: HeaderMap, body: Bytes) -> Result<Response, RestError> {
    let request: CreateRequest = parse(&body)?;
    let name = request.name.unwrap_or_default().trim().to_owned();
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(RestError::bad_request("the connector's \"name\" is empty or has control characters"));
    }
    let target = match request.initial_state.as_deref().map(str::to_ascii_uppercase).as_deref() {
        None | Some("RUNNING") => Target::Running,
        Some("PAUSED") => Target::Paused,
        Some("STOPPED") => Target::Stopped,
        Some(other) => {
            return Err(RestError::bad_request(format!(
                "initial_state \"{other}\" is none of RUNNING, PAUSED, STOPPED"
            )));
        }
    };
    let info = backend.herder.create_connector(&name, checked(request.config)?, target).await?;
    Ok(created(info, &headers))
}

/// The new connector's URL is where the client found this worker, as Connect's; a client that does not say gets the path.
fn created(info: ConnectorInfo, headers: &HeaderMap) -> Response {
    let path = format!("/connectors/{}", encode(&info.name));
    let location = match headers.get(HOST).and_then(|host| host.to_str().ok()) {
        Some(host) => format!("http://{host}{path}"),
        None => path,
    };
    (StatusCode::CREATED, [(LOCATION, location)], Json(Info::from(info))).into_response()
}

/// Percent-encodes one segment of a path.
fn encode(segment: &str) -> String {
    let mut out = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

async fn read(State(backend): State<Shared>, Path(name): Path<String>) -> Result<Json<Info>, RestError> {
    Ok(Json(backend.herder.connector(&name).await?.into()))
}

async fn delete(State(backend): State<Shared>, Path(name): Path<String>) -> Result<StatusCode, RestError> {
    backend.herder.delete_connector(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn config(State(backend): State<Shared>, Path(name): Path<String>) -> Result<Json<Config>, RestError> {
    Ok(Json(backend.herder.connector(&name).await?.config))
}

async fn put_config(
    State(backend): State<Shared>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, RestError> {
    let (new, info) = backend.herder.put_connector(&name, checked(parse(&body)?)?).await?;
    Ok(if new { created(info, &headers) } else { Json(Info::from(info)).into_response() })
}

async fn status(State(backend): State<Shared>, Path(name): Path<String>) -> Result<Json<Status>, RestError> {
    Ok(Json(backend.herder.status(&name).await?.into()))
}

async fn pause(State(backend): State<Shared>, Path(name): Path<String>) -> Result<StatusCode, RestError> {
    backend.herder.pause(&name).await?;
    Ok(StatusCode::ACCEPTED)
}

async fn resume(State(backend): State<Shared>, Path(name): Path<String>) -> Result<StatusCode, RestError> {
    backend.herder.resume(&name).await?;
    Ok(StatusCode::ACCEPTED)
}

async fn stop(State(backend): State<Shared>, Path(name): Path<String>) -> Result<StatusCode, RestError> {
    backend.herder.stop(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct RestartQuery {
    #[serde(rename = "includeTasks", default)]
    include_tasks: bool,
    #[serde(rename = "onlyFailed", default)]
    only_failed: bool,
}

async fn restart(
    State(backend): State<Shared>,
    Path(name): Path<String>,
    Query(query): Query<RestartQuery>,
) -> Result<Response, RestError> {
    let status = backend.herder.restart_connector(&name, query.include_tasks, query.only_failed).await?;
    Ok(if query.include_tasks || query.only_failed {
        (StatusCode::ACCEPTED, Json(Status::from(status))).into_response()
    } else {
        StatusCode::NO_CONTENT.into_response()
    })
}

async fn tasks(State(backend): State<Shared>, Path(name): Path<String>) -> Result<Json<Vec<TaskInfo>>, RestError> {
    let configs = backend.herder.task_configs(&name).await?;
    let info = |(task, config)| TaskInfo { id: TaskId { connector: name.clone(), task }, config };
    Ok(Json((0..).zip(configs).map(info).collect()))
}

async fn task_status(
    State(backend): State<Shared>,
    Path((name, task)): Path<(String, u32)>,
) -> Result<Json<TaskStatus>, RestError> {
    let instance = backend.herder.task_status(&name, task).await?;
    Ok(Json(TaskStatus { id: task, instance: instance.into() }))
}

async fn restart_task(
    State(backend): State<Shared>,
    Path((name, task)): Path<(String, u32)>,
) -> Result<StatusCode, RestError> {
    backend.herder.restart_task(&name, task).await?;
    Ok(StatusCode::NO_CONTENT)
}
