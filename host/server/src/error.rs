//! Errors as Connect answers them: `{"error_code": 404, "message": "…"}`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tidegate_herder::Error;

use crate::UploadError;

/// A request that was not carried out.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct RestError {
    status: StatusCode,
    message: String,
}

#[derive(Serialize)]
struct Body<'a> {
    error_code: u16,
    message: &'a str,
}

impl RestError {
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        RestError { status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        RestError { status: StatusCode::PAYLOAD_TOO_LARGE, message: message.into() }
    }
}

impl From<UploadError> for RestError {
    fn from(error: UploadError) -> Self {
        let (status, message) = match error {
            UploadError::Refused(message) => (StatusCode::UNPROCESSABLE_ENTITY, message),
            UploadError::Unavailable(message) => (StatusCode::SERVICE_UNAVAILABLE, message),
        };
        RestError { status, message }
    }
}

impl From<Error> for RestError {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::NotFound { .. } => StatusCode::NOT_FOUND,
            Error::AlreadyExists { .. } | Error::Conflict { .. } => StatusCode::CONFLICT,
            Error::BadRequest { .. } => StatusCode::BAD_REQUEST,
            Error::Unavailable { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        };
        RestError { status, message: error.to_string() }
    }
}

impl IntoResponse for RestError {
    fn into_response(self) -> Response {
        (self.status, Json(Body { error_code: self.status.as_u16(), message: &self.message })).into_response()
    }
}

pub(crate) async fn not_found() -> RestError {
    RestError { status: StatusCode::NOT_FOUND, message: "HTTP 404 Not Found".to_owned() }
}

pub(crate) async fn method_not_allowed() -> RestError {
    RestError { status: StatusCode::METHOD_NOT_ALLOWED, message: "HTTP 405 Method Not Allowed".to_owned() }
}
