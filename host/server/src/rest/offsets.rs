//! `/connectors/{name}/offsets`: read, alter, reset.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tidegate_herder::{OffsetsChange, OffsetsChanged, PartitionOffset};

use crate::Shared;
use crate::error::RestError;
use crate::rest::connectors::parse;

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/connectors/{name}/offsets", get(read).patch(alter).delete(reset))
}

#[derive(Serialize)]
struct Offsets {
    offsets: Vec<Entry>,
}

/// What is stored goes out as it is, its numbers in their own spelling.
#[derive(Serialize)]
struct Entry {
    partition: Option<Box<RawValue>>,
    offset: Option<Box<RawValue>>,
}

impl From<PartitionOffset> for Entry {
    fn from(PartitionOffset { partition, offset }: PartitionOffset) -> Self {
        // What is no JSON is shown as null rather than hiding the others.
        let raw = |text: Option<String>| text.and_then(|text| RawValue::from_string(text).ok());
        Entry { partition: raw(partition), offset: raw(offset) }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AlterRequest {
    #[serde(default)]
    offsets: Option<Vec<Wanted>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default)]
    partition: Option<Map<String, Value>>,
    #[serde(default)]
    offset: Option<Map<String, Value>>,
}

impl From<Wanted> for PartitionOffset {
    /// Written anew, so that one spelling of escapes and numbers is stored whatever the client's is.
    fn from(Wanted { partition, offset }: Wanted) -> Self {
        let text = |object: Option<Map<String, Value>>| object.map(|object| Value::Object(object).to_string());
        PartitionOffset { partition: text(partition), offset: text(offset) }
    }
}

#[derive(Serialize)]
struct Message {
    message: String,
}

async fn read(State(backend): State<Shared>, Path(name): Path<String>) -> Result<Json<Offsets>, RestError> {
    let offsets = backend.herder.offsets(&name).await?.into_iter().map(Entry::from).collect();
    Ok(Json(Offsets { offsets }))
}

async fn alter(
    State(backend): State<Shared>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Json<Message>, RestError> {
    let request: AlterRequest = parse(&body)?;
    let wanted: Vec<PartitionOffset> =
        request.offsets.unwrap_or_default().into_iter().map(PartitionOffset::from).collect();
    if wanted.is_empty() {
        return Err(RestError::bad_request("Partitions / offsets need to be provided for an alter offsets request"));
    }
    let changed = backend.herder.change_offsets(&name, OffsetsChange::Alter(wanted)).await?;
    Ok(said(changed, "altered"))
}

async fn reset(State(backend): State<Shared>, Path(name): Path<String>) -> Result<Json<Message>, RestError> {
    let changed = backend.herder.change_offsets(&name, OffsetsChange::Reset).await?;
    Ok(said(changed, "reset"))
}

/// In Connect's words.
fn said(changed: OffsetsChanged, done: &str) -> Json<Message> {
    let message = match changed {
        OffsetsChanged::WithPlugin => format!("The offsets for this connector have been {done} successfully"),
        OffsetsChanged::WithoutPlugin => format!(
            "The Connect framework-managed offsets for this connector have been {done} successfully. However, if this \
             connector manages offsets externally, they will need to be manually {done} in the system that the connector uses."
        ),
    };
    Json(Message { message })
}
