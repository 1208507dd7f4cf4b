//! The configuration of topics and of the broker, as data: names, types, Kafka's default values and what is allowed.
//!
//! Validation, `DescribeConfigs` and the logs read these lists; a key that is not in them is refused.

use std::collections::BTreeMap;

use crate::log::LogConfig;

/// The type of a value, as `DescribeConfigs` numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Boolean,
    String,
    Int,
    Long,
    Double,
    List,
}

impl Kind {
    pub(crate) fn wire(self) -> i8 {
        match self {
            Kind::Boolean => 1,
            Kind::String => 2,
            Kind::Int => 3,
            Kind::Long => 5,
            Kind::Double => 6,
            Kind::List => 7,
        }
    }
}

/// Which values are allowed beyond the type.
#[derive(Debug, Clone, Copy)]
enum Allowed {
    Any,
    AtLeast(f64),
    Between(f64, f64),
    OneOf(&'static [&'static str]),
    SomeOf(&'static [&'static str]),
}

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: &'static str,
    allowed: Allowed,
    pub(crate) doc: &'static str,
}

const fn key(name: &'static str, kind: Kind, default: &'static str, allowed: Allowed, doc: &'static str) -> Key {
    Key { name, kind, default, allowed, doc }
}

const BOTH: &[&str] = &["compact", "delete"];
const CODECS: &[&str] = &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];
const LONG_MAX: &str = "9223372036854775807";

use Allowed::{Any, AtLeast, Between, OneOf, SomeOf};
use Kind::{Boolean, Double, Int, List, Long, String as Text};

/// The keys of a topic.
pub(crate) const TOPIC_KEYS: &[Key] = &[
    key(
        "cleanup.policy",
        List,
        "delete",
        SomeOf(BOTH),
        "What happens to old records: deleted, compacted by key, or both.",
    ),
    key(
        "compression.type",
        Text,
        "producer",
        OneOf(CODECS),
        "Accepted for compatibility; batches are stored as they came.",
    ),
    key("delete.retention.ms", Long, "86400000", AtLeast(0.0), "How long a compacted topic keeps tombstones."),
    key("file.delete.delay.ms", Long, "60000", AtLeast(0.0), "Accepted for compatibility."),
    key("flush.messages", Long, LONG_MAX, AtLeast(1.0), "Accepted for compatibility."),
    key("flush.ms", Long, LONG_MAX, AtLeast(0.0), "Accepted for compatibility."),
    key("follower.replication.throttled.replicas", List, "", Any, "Accepted for compatibility."),
    key("index.interval.bytes", Int, "4096", AtLeast(0.0), "Accepted for compatibility."),
    key("leader.replication.throttled.replicas", List, "", Any, "Accepted for compatibility."),
    key("local.retention.bytes", Long, "-2", AtLeast(-2.0), "Accepted for compatibility."),
    key("local.retention.ms", Long, "-2", AtLeast(-2.0), "Accepted for compatibility."),
    key("max.compaction.lag.ms", Long, LONG_MAX, AtLeast(1.0), "Accepted for compatibility."),
    key(
        "max.message.bytes",
        Int,
        "1048588",
        AtLeast(0.0),
        "The largest batch that is accepted, as it comes (compressed).",
    ),
    key("message.timestamp.after.max.ms", Long, "3600000", AtLeast(0.0), "Accepted for compatibility."),
    key("message.timestamp.before.max.ms", Long, LONG_MAX, AtLeast(0.0), "Accepted for compatibility."),
    key(
        "message.timestamp.type",
        Text,
        "CreateTime",
        OneOf(&["CreateTime", "LogAppendTime"]),
        "Whose clock stamps the records.",
    ),
    key(
        "min.cleanable.dirty.ratio",
        Double,
        "0.5",
        Between(0.0, 1.0),
        "The share of uncleaned bytes that starts the cleaner.",
    ),
    key("min.compaction.lag.ms", Long, "0", AtLeast(0.0), "Records younger than this are not compacted."),
    key("min.insync.replicas", Int, "1", AtLeast(1.0), "Accepted for compatibility; there is one replica."),
    key("preallocate", Boolean, "false", Any, "Accepted for compatibility."),
    key("remote.log.copy.disable", Boolean, "false", Any, "Accepted for compatibility."),
    key("remote.log.delete.on.disable", Boolean, "false", Any, "Accepted for compatibility."),
    key("remote.storage.enable", Boolean, "false", OneOf(&["false"]), "There is no remote storage."),
    key("retention.bytes", Long, "-1", Any, "Old segments beyond this size are deleted; -1: no limit."),
    key("retention.ms", Long, "604800000", AtLeast(-1.0), "Segments older than this are deleted; -1: no limit."),
    key("segment.bytes", Int, "1073741824", AtLeast(1024.0), "The size at which a new segment begins."),
    key("segment.index.bytes", Int, "10485760", AtLeast(4.0), "Accepted for compatibility."),
    key("segment.jitter.ms", Long, "0", AtLeast(0.0), "Accepted for compatibility."),
    key("segment.ms", Long, "604800000", AtLeast(1.0), "The age at which a new segment begins."),
    key("unclean.leader.election.enable", Boolean, "false", Any, "Accepted for compatibility."),
];

/// A refused key or value, in words for the client.
pub(crate) type Refusal = String;

/// The definition of a topic key.
pub(crate) fn topic_key(name: &str) -> Option<&'static Key> {
    TOPIC_KEYS.iter().find(|key| key.name == name)
}

/// Checks one value of a topic.
pub(crate) fn validate(name: &str, value: &str) -> Result<(), Refusal> {
    let key = topic_key(name).ok_or_else(|| format!("unknown topic config name: {name}"))?;
    let wrong = |why: String| Err(format!("invalid value {value:?} for configuration {name}: {why}"));
    let number = match key.kind {
        Boolean if !matches!(value.to_ascii_lowercase().as_str(), "true" | "false") => {
            return wrong("must be true or false".into());
        }
        Int => match value.trim().parse::<i32>() {
            Ok(number) => f64::from(number),
            Err(_) => return wrong("not a number of type INT".into()),
        },
        Long => match value.trim().parse::<i64>() {
            Ok(number) => number as f64,
            Err(_) => return wrong("not a number of type LONG".into()),
        },
        Double => match value.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => number,
            _ => return wrong("not a number of type DOUBLE".into()),
        },
        _ => 0.0,
    };
    match key.allowed {
        Any => Ok(()),
        AtLeast(min) if number < min => wrong(format!("value must be at least {min}")),
        Between(min, max) if number < min || number > max => wrong(format!("value must be between {min} and {max}")),
        OneOf(all) if !all.contains(&value) => wrong(format!("string must be one of: {}", all.join(", "))),
        SomeOf(all) if value.is_empty() || !items(value).all(|item| all.contains(&item)) => {
            wrong(format!("each must be one of: {}", all.join(", ")))
        }
        _ => Ok(()),
    }
}

/// The items of a LIST value.
pub(crate) fn items(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// What the (already validated) configuration of a topic means for its logs.
pub(crate) fn log_config(set: &BTreeMap<String, String>) -> LogConfig {
    let text = |name: &str| -> &str {
        set.get(name).map(String::as_str).or_else(|| topic_key(name).map(|key| key.default)).unwrap_or_default()
    };
    let long = |name: &str| text(name).trim().parse::<i64>().unwrap_or_default();
    LogConfig {
        compact: items(text("cleanup.policy")).any(|item| item == "compact"),
        delete: items(text("cleanup.policy")).any(|item| item == "delete"),
        segment_bytes: long("segment.bytes") as u64,
        segment_ms: long("segment.ms"),
        retention_ms: long("retention.ms"),
        retention_bytes: long("retention.bytes"),
        max_message_bytes: long("max.message.bytes") as usize,
        append_time: text("message.timestamp.type") == "LogAppendTime",
        min_compaction_lag_ms: long("min.compaction.lag.ms"),
        delete_retention_ms: long("delete.retention.ms"),
        min_cleanable_dirty_ratio: text("min.cleanable.dirty.ratio").trim().parse().unwrap_or(0.5),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_valid() {
        for key in TOPIC_KEYS {
            assert_eq!(validate(key.name, key.default), Ok(()), "{}", key.name);
        }
    }

    #[test]
    fn wrong_values_are_refused_with_the_reason() {
        let check = |name: &str, value: &str, reason: &str| {
            let refusal = validate(name, value).unwrap_err();
            assert!(refusal.contains(reason), "{refusal}");
        };
        check("retention.msec", "1", "unknown topic config name");
        check("retention.ms", "ten", "type LONG");
        check("retention.ms", "-2", "at least -1");
        check("cleanup.policy", "compact,shred", "compact, delete");
        check("cleanup.policy", "", "compact, delete");
        check("min.cleanable.dirty.ratio", "1.5", "between 0 and 1");
        check("preallocate", "maybe", "true or false");
        check("message.timestamp.type", "createtime", "CreateTime, LogAppendTime");
        check("segment.bytes", "3000000000", "type INT");
    }

    #[test]
    fn a_policy_may_compact_and_delete() {
        let config = log_config(&BTreeMap::from([("cleanup.policy".into(), "compact, delete".into())]));
        assert!(config.compact && config.delete);
        assert_eq!(config.max_message_bytes, 1_048_588);
    }
}
