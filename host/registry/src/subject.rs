//! Under which name a schema is registered.

/// Confluent's strategies by their class names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameStrategy {
    /// `topic-key`, `topic-value`.
    #[default]
    Topic,
    /// The full name of the record.
    Record,
    /// `topic-` and the full name of the record.
    TopicRecord,
}

const PACKAGES: [&str; 2] =
    ["io.confluent.kafka.serializers.subject.", "io.confluent.kafka.serializers.subject.strategy."];

impl NameStrategy {
    /// The strategy of a class name, with or without its package.
    pub fn of(class: &str) -> Option<NameStrategy> {
        let name = PACKAGES.iter().find_map(|package| class.strip_prefix(package)).unwrap_or(class);
        match name {
            "TopicNameStrategy" => Some(NameStrategy::Topic),
            "RecordNameStrategy" => Some(NameStrategy::Record),
            "TopicRecordNameStrategy" => Some(NameStrategy::TopicRecord),
            _ => None,
        }
    }

    /// The subject for a record of a topic; `record` is the full name of its schema.
    pub fn subject(self, topic: &str, is_key: bool, record: Option<&str>) -> Result<String, String> {
        let record = || {
            record.ok_or_else(|| {
                format!(
                    "the {} must be an Avro record, a Protobuf message or a JSON schema with a title to be named by it\n\
                     hint: use TopicNameStrategy",
                    if is_key { "key" } else { "value" }
                )
            })
        };
        Ok(match self {
            NameStrategy::Topic => format!("{topic}-{}", if is_key { "key" } else { "value" }),
            NameStrategy::Record => record()?.to_owned(),
            NameStrategy::TopicRecord => format!("{topic}-{}", record()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_named_by_topic_by_record_or_by_both() {
        let of = |class, record| {
            NameStrategy::of(class).expect("a known class").subject("orders", false, record).unwrap_or_else(|e| e)
        };
        assert_eq!(of("io.confluent.kafka.serializers.subject.TopicNameStrategy", None), "orders-value");
        assert_eq!(of("RecordNameStrategy", Some("shop.Order")), "shop.Order");
        assert_eq!(of("TopicRecordNameStrategy", Some("shop.Order")), "orders-shop.Order");
        assert!(of("RecordNameStrategy", None).contains("TopicNameStrategy"));
        assert_eq!(NameStrategy::of("com.example.MyStrategy"), None);
    }
}
