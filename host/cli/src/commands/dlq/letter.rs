//! One dead letter: the record as it was, and what its headers say of what went wrong. Pure.

use serde_json::{Map, Value, json};
use tidegate_kafka::Message;

/// What the headers that say what went wrong begin with; Connect's.
const PREFIX: &str = "__connect.errors.";

/// A dead letter, where it lies, and why it is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// Milliseconds since 1970.
    pub(super) timestamp: Option<i64>,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    /// The record's own; those that say what went wrong are in `reason`.
    pub(super) headers: Vec<(String, Option<Vec<u8>>)>,
    pub(super) reason: Reason,
}

/// What is known of what went wrong; nothing where `errors.deadletterqueue.context.headers.enable` was off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) topic: Option<String>,
    pub(super) partition: Option<i32>,
    pub(super) offset: Option<i64>,
    /// JSON; of letters of sources.
    pub(super) source_partition: Option<String>,
    pub(super) source_offset: Option<String>,
    pub(super) connector: Option<String>,
    pub(super) task: Option<String>,
    pub(super) stage: Option<String>,
    pub(super) class: Option<String>,
    pub(super) exception: Option<String>,
    pub(super) message: Option<String>,
    pub(super) stacktrace: Option<String>,
}

impl Letter {
    pub(super) fn of(message: &Message<'_>) -> Letter {
        let mut letter = Letter {
            partition: message.partition(),
            offset: message.offset(),
            timestamp: message.timestamp().millis(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.value().map(<[u8]>::to_vec),
            ..Letter::default()
        };
        for (name, value) in message.headers() {
            letter.push_header(&String::from_utf8_lossy(name), value);
        }
        letter
    }

    /// Of two headers of a name the later one holds, as in Connect.
    fn push_header(&mut self, name: &str, value: Option<&[u8]>) {
        let Some(about) = name.strip_prefix(PREFIX) else {
            return self.headers.push((name.to_owned(), value.map(<[u8]>::to_vec)));
        };
        let text = value.map(|value| String::from_utf8_lossy(value).into_owned());
        let reason = &mut self.reason;
        match about {
            "topic" => reason.topic = text,
            "partition" => reason.partition = text.and_then(|text| text.parse().ok()),
            "offset" => reason.offset = text.and_then(|text| text.parse().ok()),
            "source.partition" => reason.source_partition = text,
            "source.offset" => reason.source_offset = text,
            "connector.name" => reason.connector = text,
            "task.id" => reason.task = text,
            "stage" => reason.stage = text,
            "class.name" => reason.class = text,
            "exception.class.name" => reason.exception = text,
            "exception.message" => reason.message = text,
            "exception.stacktrace" => reason.stacktrace = text,
            // A later Connect may say more; it is about the failure and goes with it.
            _ => {}
        }
    }

    /// The record it was, and what went wrong, as one JSON object.
    pub(super) fn to_json(&self, queue: &str) -> Value {
        let headers: Vec<Value> =
            self.headers.iter().map(|(name, value)| json!([name, value.as_deref().map(bytes_json)])).collect();
        let reason = &self.reason;
        let mut about = Map::new();
        let numbers = [("partition", reason.partition.map(i64::from)), ("offset", reason.offset)];
        let texts = [
            ("topic", &reason.topic),
            ("sourcePartition", &reason.source_partition),
            ("sourceOffset", &reason.source_offset),
            ("connector", &reason.connector),
            ("task", &reason.task),
            ("stage", &reason.stage),
            ("class", &reason.class),
            ("exception", &reason.exception),
            ("message", &reason.message),
            ("stacktrace", &reason.stacktrace),
        ];
        about.extend(texts.iter().filter_map(|(name, text)| Some(((*name).to_owned(), json!(text.as_ref()?)))));
        about.extend(numbers.iter().filter_map(|(name, number)| Some(((*name).to_owned(), json!((*number)?)))));
        json!({
            "queue": queue, "partition": self.partition, "offset": self.offset, "timestamp": self.timestamp,
            "key": self.key.as_deref().map(bytes_json), "value": self.value.as_deref().map(bytes_json),
            "headers": headers, "error": about,
        })
    }
}

impl Reason {
    /// Where the record was when it failed, as people write it.
    pub(super) fn origin(&self) -> String {
        let topic = self.topic.as_deref().unwrap_or("an unknown topic");
        match (self.partition, self.offset, &self.source_partition, &self.source_offset) {
            (Some(partition), Some(offset), ..) => format!("{topic}-{partition}@{offset}"),
            (_, _, Some(partition), Some(offset)) => format!("source {partition} at {offset}, for topic {topic}"),
            _ => topic.to_owned(),
        }
    }
}

/// Text where it is text, base64 where it is not.
fn bytes_json(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!({ "text": text }),
        Err(_) => json!({ "base64": base64(bytes) }),
    }
}

/// Bytes for eyes: at most so many characters, without control characters.
pub(super) fn shown(bytes: Option<&[u8]>, chars_max: usize) -> String {
    let Some(bytes) = bytes else { return "null".to_owned() };
    let (text, is_text) = match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), true),
        Err(_) => (base64(&bytes[..bytes.len().min(chars_max)]), false),
    };
    let mut short: String = text.chars().take(chars_max).collect();
    if short.len() < text.len() || (!is_text && bytes.len() > chars_max) {
        short.push('…');
    }
    let short: String =
        short.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect();
    if is_text { short } else { format!("base64:{short}") }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// A time as ISO 8601 in UTC.
pub(super) fn iso(millis: i64) -> String {
    let (days, rest) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
    // Civil from days, by the algorithm of Howard Hinnant: eras of 400 years that begin in March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (seconds, millis) = (rest / 1_000, rest % 1_000);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn headers_about_the_failure_become_the_reason_and_the_others_stay_the_records() {
        let mut letter = Letter { value: Some(b"{".to_vec()), key: Some(vec![0xff]), ..Letter::default() };
        for (name, value) in [
            ("trace", "1"),
            ("__connect.errors.topic", "first"),
            ("__connect.errors.topic", "orders"),
            ("__connect.errors.partition", "2"),
            ("__connect.errors.offset", "17"),
            ("__connect.errors.stage", "TASK_PUT"),
            ("__connect.errors.of.a.later.version", "x"),
        ] {
            letter.push_header(name, Some(value.as_bytes()));
        }
        assert_eq!(letter.reason.origin(), "orders-2@17");
        expect![[r#"{"queue":"dead","partition":0,"offset":0,"timestamp":null,"key":{"base64":"/w=="},"value":{"text":"{"},"headers":[["trace",{"text":"1"}]],"error":{"topic":"orders","stage":"TASK_PUT","partition":2,"offset":17}}"#]]
        .assert_eq(&letter.to_json("dead").to_string());
    }

    #[test]
    fn bytes_are_shown_so_that_a_terminal_survives_them() {
        assert_eq!(shown(None, 9), "null");
        assert_eq!(shown(Some(b"a\x1b[2Jb"), 9), r"a\u{1b}[2Jb");
        assert_eq!(shown(Some("ééé".as_bytes()), 2), "éé…");
        assert_eq!(shown(Some(&[0xff, 0xfe]), 9), "base64://4=");
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(iso(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso(1_709_210_096_007), "2024-02-29T12:34:56.007Z");
        assert_eq!(iso(-1), "1969-12-31T23:59:59.999Z");
    }
}
