//! What can go wrong, sorted by what the caller does about it.

use crate::code::Code;

/// A failed call. Each variant is a decision; `what` names the act that failed, `code` is Kafka's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KafkaError {
    /// No such setting: whoever wrote it must change it.
    #[error("unknown Kafka client setting \"{key}\"")]
    UnknownSetting { key: String },

    /// A setting the client cannot work with: whoever wrote it must change it.
    #[error("invalid Kafka client setting \"{key}\": {detail}")]
    InvalidSetting { key: String, detail: String },

    /// Settings that are valid one by one and refused together, or a client that could not be made from them.
    #[error("cannot make a Kafka client: {detail}")]
    InvalidSettings { detail: String },

    /// No broker answered in time: try again later.
    #[error("broker at \"{bootstrap}\" not reachable: {detail}")]
    Unreachable { bootstrap: String, detail: String },

    /// Nothing is wrong that time cannot heal: try again.
    #[error("{what}: {detail} ({code})")]
    Retriable { what: String, code: Code, detail: String },

    /// The principal lacks a right or its credentials are wrong: the operator must grant or correct it.
    #[error("{what} not permitted: {detail} ({code})")]
    Denied { what: String, code: Code, detail: String },

    /// The group does not take this consumer for a current member: stop acting for its partitions, join again.
    #[error("{what} refused by the consumer group: {detail} ({code})")]
    NotAMember { what: String, code: Code, detail: String },

    /// The transaction cannot be committed: abort it and do its work again.
    #[error("{what}: {detail} ({code}), the transaction must be aborted")]
    Abortable { what: String, code: Code, detail: String },

    /// Another producer took over the transactional id: stop, it owns the work now.
    #[error("{what}: another producer took over the transactional id ({code})")]
    Fenced { what: String, code: Code },

    /// This client is beyond repair: drop it and open another.
    #[error("{what}: {detail} ({code}), the client must be reopened")]
    Fatal { what: String, code: Code, detail: String },

    /// The request will never be accepted as it stands.
    #[error("{what}: {detail} ({code})")]
    Refused { what: String, code: Code, detail: String },

    /// The caller broke the order of calls this crate documents.
    #[error("{what}")]
    OutOfOrder { what: &'static str },
}

impl KafkaError {
    /// Sorts `code` into the decision it calls for.
    pub(crate) fn from_code(what: impl Into<String>, code: Code, detail: impl Into<String>) -> Self {
        let (what, detail) = (what.into(), detail.into());
        if code.means_fenced() {
            Self::Fenced { what, code }
        } else if code == Code::FATAL {
            Self::Fatal { what, code, detail }
        } else if code.means_not_a_member() {
            Self::NotAMember { what, code, detail }
        } else if code.means_denied() {
            Self::Denied { what, code, detail }
        } else if code.means_retry() {
            Self::Retriable { what, code, detail }
        } else {
            Self::Refused { what, code, detail }
        }
    }

    /// `code` with librdkafka's own sentence about it.
    pub(crate) fn of(what: impl Into<String>, code: Code) -> Self {
        Self::from_code(what, code, lower_first(&code.text()))
    }

    pub(crate) fn timed_out(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Retriable { what: what.into(), code: Code::TIMED_OUT, detail: detail.into() }
    }

    /// Kafka's code, where there is one.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Retriable { code, .. }
            | Self::Denied { code, .. }
            | Self::NotAMember { code, .. }
            | Self::Abortable { code, .. }
            | Self::Fenced { code, .. }
            | Self::Fatal { code, .. }
            | Self::Refused { code, .. } => Some(*code),
            Self::UnknownSetting { .. }
            | Self::InvalidSetting { .. }
            | Self::InvalidSettings { .. }
            | Self::Unreachable { .. }
            | Self::OutOfOrder { .. } => None,
        }
    }

    /// True when the same call may succeed later without anybody changing anything.
    pub fn is_retriable(&self) -> bool {
        matches!(self, Self::Retriable { .. } | Self::Unreachable { .. })
    }
}

/// librdkafka's and the broker's sentences begin with a capital and end in a full stop; ours do not.
pub(crate) fn lower_first(text: &str) -> String {
    let text = text.trim_end_matches('.');
    let mut characters = text.chars();
    match (characters.next(), characters.clone().next()) {
        // An acronym keeps its capitals.
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().chain(characters).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: i32, expected: &str) {
        let error = KafkaError::of("committing offsets", Code(code));
        let kind = format!("{error:?}");
        let kind = kind.split([' ', '{']).next().unwrap_or_default();
        assert_eq!(format!("{kind}: {error}"), expected);
    }

    #[test]
    fn codes_are_sorted_by_what_the_caller_does() {
        check(
            22,
            "NotAMember: committing offsets refused by the consumer group: broker: Specified group generation id is not valid (ILLEGAL_GENERATION)",
        );
        check(-144, "Fenced: committing offsets: another producer took over the transactional id (_FENCED)");
        check(-195, "Retriable: committing offsets: local: Broker transport failure (_TRANSPORT)");
        check(
            30,
            "Denied: committing offsets not permitted: broker: Group authorization failed (GROUP_AUTHORIZATION_FAILED)",
        );
        check(3, "Refused: committing offsets: broker: Unknown topic or partition (UNKNOWN_TOPIC_OR_PART)");
    }

    #[test]
    fn a_code_librdkafka_does_not_know_is_carried_and_shown() {
        assert_eq!(Code(9_999).number(), 9_999);
        assert!(KafkaError::of("x", Code(9_999)).to_string().contains("9999"));
    }
}
