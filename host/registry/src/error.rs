//! What a registry's answer means for whoever asked.

/// Why a registry did not give what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// It is not there, or not well. Ask again.
    #[error("{0}")]
    Away(String),
    /// It does not let us in: nothing changes by asking again.
    #[error("{0}")]
    Denied(String),
    /// The schema is to blame, and with it the record: there is none of that number, it is not compatible, it is no schema.
    #[error("{0}")]
    Refused(String),
}

/// The number that registries give besides HTTP's, and their words.
#[derive(serde::Deserialize)]
struct Told {
    #[serde(default)]
    error_code: i64,
    #[serde(default)]
    message: String,
}

/// Characters of an answer that a message shows.
const SHOWN_MAX: usize = 500;

impl RegistryError {
    /// What an answer that is no success means. `what` says what was asked.
    pub(crate) fn of_answer(what: &str, status: u16, body: &[u8]) -> RegistryError {
        let told = serde_json::from_slice(body).unwrap_or_else(|_| Told {
            error_code: 0,
            message: String::from_utf8_lossy(&body[..body.len().min(4 * SHOWN_MAX)]).into_owned(),
        });
        let words: String = told.message.trim().chars().take(SHOWN_MAX).collect();
        let code = match told.error_code {
            0 => String::new(),
            code => format!("; error code: {code}"),
        };
        let words = if words.is_empty() { "it gave no reason" } else { &words };
        let message = format!("{what}: the schema registry answered {status}: {words}{code}");
        match status {
            401 | 403 | 407 => RegistryError::Denied(format!(
                "{message}\nhint: set basic.auth.credentials.source and basic.auth.user.info, or bearer.auth.*"
            )),
            409 => RegistryError::Refused(format!(
                "{message}\nhint: the schema is not compatible with what the subject has"
            )),
            408 | 429 | 500.. => RegistryError::Away(message),
            _ => RegistryError::Refused(message),
        }
    }

    /// Whether a later attempt may bring something else.
    pub fn is_away(&self) -> bool {
        matches!(self, RegistryError::Away(_))
    }
}
