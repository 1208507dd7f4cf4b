//! Offsets of a sink: those of its consumer group, in Connect's form `{"kafka_topic","kafka_partition"}` and
//! `{"kafka_offset"}`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tidegate_config::Settings;
use tidegate_engine::NewOffset;
use tidegate_herder::{OffsetsChange, OffsetsChanged, OffsetsError, OffsetsSpec, PartitionOffset};
use tidegate_kafka::{Admin, Code, KafkaError, TopicPartition};

use super::{answer, blocking, failed, invalid, plan, plugin};
use crate::connector::Guest;
use crate::shared::Shared;

/// How long all requests of one change may take.
const KAFKA_TIMEOUT: Duration = Duration::from_secs(20);

const TOPIC: &str = "kafka_topic";
const PARTITION: &str = "kafka_partition";
const OFFSET: &str = "kafka_offset";

pub(super) async fn read(shared: &Shared, of: &OffsetsSpec) -> Result<Vec<PartitionOffset>, OffsetsError> {
    let group = Group::of(shared, of)?;
    let mut offsets = blocking(move || group.offsets()).await?;
    offsets.sort_unstable();
    let entry = |at: tidegate_kafka::PartitionOffset| PartitionOffset {
        partition: Some(json!({ TOPIC: at.topic, PARTITION: at.partition }).to_string()),
        offset: Some(json!({ OFFSET: at.offset }).to_string()),
    };
    Ok(offsets.into_iter().map(entry).collect())
}

pub(super) async fn change(
    shared: &Arc<Shared>,
    of: &OffsetsSpec,
    change: OffsetsChange,
) -> Result<OffsetsChanged, OffsetsError> {
    let group = Group::of(shared, of)?;
    let forget = |at: tidegate_kafka::PartitionOffset| Wanted { at: at.topic_partition(), offset: None };
    let wanted: Vec<Wanted> = match &change {
        OffsetsChange::Alter(wanted) => wanted.iter().map(parsed).collect::<Result<_, _>>()?,
        OffsetsChange::Reset => {
            let group = group.clone();
            blocking(move || group.offsets()).await?.into_iter().map(forget).collect()
        }
    };
    let wanted = last_words(wanted);
    let (guest, config) = plugin(shared, of, &plan(shared, of).await?).await?;
    let Guest::Sink(mut guest) = guest else { return Err(failed("the plugin is no sink")) };
    let asked: Vec<NewOffset> = wanted.iter().map(Wanted::for_guest).collect();
    let changed = answer(guest.alter_offsets(&config, &asked).await)?;
    drop(guest);
    blocking(move || match change {
        OffsetsChange::Alter(_) => group.alter(&wanted),
        OffsetsChange::Reset => group.delete(),
    })
    .await?;
    Ok(changed)
}

/// What an operator wants of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    at: TopicPartition,
    /// None: to be forgotten.
    offset: Option<i64>,
}

impl Wanted {
    fn for_guest(&self) -> NewOffset {
        NewOffset {
            topic: self.at.topic.clone(),
            // Neither is negative.
            partition: self.at.partition as u32,
            next_offset: self.offset.map(|offset| offset as u64),
        }
    }
}

/// Reads one entry of a request as Connect does, numbers as texts included, and in its words.
fn parsed(entry: &PartitionOffset) -> Result<Wanted, OffsetsError> {
    let object =
        |text: &str| serde_json::from_str::<Map<String, Value>>(text).map_err(|error| invalid(error.to_string()));
    let partition = entry.partition.as_deref();
    let partition = object(
        partition.ok_or_else(|| invalid("The partition for a sink connector offset cannot be null or missing"))?,
    )?;
    if !partition.contains_key(TOPIC) || !partition.contains_key(PARTITION) {
        return Err(invalid(format!(
            "The partition for a sink connector offset must contain the keys '{TOPIC}' and '{PARTITION}'"
        )));
    }
    let topic = shown(&partition[TOPIC])
        .ok_or_else(|| invalid("Kafka topic names must be valid strings and may not be null"))?;
    let number = shown(&partition[PARTITION])
        .ok_or_else(|| invalid("Kafka partitions must be valid numbers and may not be null"))?;
    let partition = number.parse::<i32>().ok().filter(|number| *number >= 0).ok_or_else(|| {
        invalid(format!(
            "Failed to parse the following Kafka partition value in the provided offsets: '{number}'. Partition values for \
             sink connectors need to be integers."
        ))
    })?;
    let at = TopicPartition::new(topic, partition);
    let Some(offset) = entry.offset.as_deref().map(object).transpose()? else {
        return Ok(Wanted { at, offset: None });
    };
    let Some(value) = offset.get(OFFSET) else {
        return Err(invalid(format!(
            "The offset for a sink connector should either be null or contain the key '{OFFSET}'"
        )));
    };
    let number = shown(value).unwrap_or_else(|| "null".to_owned());
    let offset = number.parse::<i64>().ok().filter(|offset| *offset >= 0).ok_or_else(|| {
        invalid(format!(
            "Failed to parse the following Kafka offset value in the provided offsets: '{number}'. Offset values for sink \
             connectors need to be integers."
        ))
    })?;
    Ok(Wanted { at, offset: Some(offset) })
}

/// A scalar as text; null has none.
fn shown(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// Every partition once, with what was said of it last.
fn last_words(wanted: Vec<Wanted>) -> Vec<Wanted> {
    let said: indexmap::IndexMap<_, _> = wanted.into_iter().map(|wanted| (wanted.at, wanted.offset)).collect();
    said.into_iter().map(|(at, offset)| Wanted { at, offset }).collect()
}

/// A connector's consumer group.
#[derive(Clone)]
struct Group {
    connector: String,
    name: String,
    client: tidegate_kafka::ClientSettings,
}

impl Group {
    fn of(shared: &Shared, of: &OffsetsSpec) -> Result<Group, OffsetsError> {
        let settings: Settings = of.config.clone().into_iter().collect();
        let client = shared
            .admin(&settings, &format!("connector-adminclient-{}", of.connector.name))
            .map_err(|invalid| failed(crate::host::all_problems(&invalid.problems)))?;
        let connector = of.connector.name.clone();
        Ok(Group { name: shared.sink_group(&settings, &connector), connector, client })
    }

    fn admin(&self) -> Result<Admin, OffsetsError> {
        Admin::open(&self.client).map_err(|error| failed(error.to_string()))
    }

    fn offsets(&self) -> Result<Vec<tidegate_kafka::PartitionOffset>, OffsetsError> {
        self.admin()?.group_offsets(&self.name, KAFKA_TIMEOUT).map_err(|error| self.explained("list", &error))
    }

    fn alter(&self, wanted: &[Wanted]) -> Result<(), OffsetsError> {
        let admin = self.admin()?;
        let deadline = Instant::now() + KAFKA_TIMEOUT;
        let left = || deadline.saturating_duration_since(Instant::now());
        let set: Vec<_> = wanted.iter().filter_map(|want| Some(want.at.clone().at(want.offset?))).collect();
        if !set.is_empty() {
            admin.alter_group_offsets(&self.name, &set, left()).map_err(|error| self.explained("alter", &error))?;
        }
        let forgotten: Vec<_> =
            wanted.iter().filter(|want| want.offset.is_none()).map(|want| want.at.clone()).collect();
        if !forgotten.is_empty() {
            match admin.delete_group_offsets(&self.name, &forgotten, left()) {
                // There is nothing to forget.
                Err(error) if error.code() == Some(Code::GROUP_ID_NOT_FOUND) => {}
                answer => answer.map_err(|error| self.explained("alter", &error))?,
            }
        }
        Ok(())
    }

    fn delete(&self) -> Result<(), OffsetsError> {
        self.admin()?.delete_group(&self.name, KAFKA_TIMEOUT).map_err(|error| self.explained("reset", &error))
    }

    /// Why the group's offsets cannot be had or changed; in Connect's words where somebody else is a member.
    fn explained(&self, verb: &str, error: &KafkaError) -> OffsetsError {
        let connector = &self.connector;
        let members = [
            Code::UNKNOWN_MEMBER_ID,
            Code::NON_EMPTY_GROUP,
            Code::GROUP_SUBSCRIBED_TO_TOPIC,
            Code::REBALANCE_IN_PROGRESS,
        ];
        if error.code().is_some_and(|code| members.contains(&code)) {
            return failed(format!(
                "Failed to {verb} consumer group offsets for connector {connector} either because its tasks haven't stopped \
                 completely yet or the connector was resumed before the request to {verb} its offsets could be successfully \
                 completed. If the connector is in a stopped state, this operation can be safely retried. If it doesn't \
                 eventually succeed, the Connect cluster may need to be restarted to get rid of the zombie sink tasks."
            ));
        }
        failed(format!("Failed to {verb} consumer group offsets for connector {connector}: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(partition: &str, offset: Option<&str>, expected: &expect_test::Expect) {
        let partition = Some(partition.to_owned()).filter(|text| text != "null");
        let entry = PartitionOffset { partition, offset: offset.map(str::to_owned) };
        let told = match parsed(&entry) {
            Ok(Wanted { at, offset }) => format!("{at} {offset:?}"),
            Err(OffsetsError::Invalid { message }) => message,
            Err(other) => format!("{other:?}"),
        };
        expected.assert_eq(&told);
    }

    const AT: &str = r#"{"kafka_topic":"t","kafka_partition":3}"#;

    #[test]
    fn numbers_are_numbers_or_their_texts() {
        check(AT, Some(r#"{"kafka_offset":7}"#), &expect_test::expect!["t-3 Some(7)"]);
        let as_texts = r#"{"kafka_topic":"t","kafka_partition":"3"}"#;
        check(as_texts, Some(r#"{"kafka_offset":"7"}"#), &expect_test::expect!["t-3 Some(7)"]);
        check(AT, None, &expect_test::expect!["t-3 None"]);
    }

    #[test]
    fn what_is_no_partition_is_refused_in_connects_words() {
        check(
            "null",
            None,
            &expect_test::expect!["The partition for a sink connector offset cannot be null or missing"],
        );
        let missing = expect_test::expect![
            "The partition for a sink connector offset must contain the keys 'kafka_topic' and 'kafka_partition'"
        ];
        check(r#"{"kafka_topic":"t"}"#, None, &missing);
        check(r#"{"kafka_partition":0}"#, None, &missing);
        check(
            r#"{"kafka_topic":null,"kafka_partition":0}"#,
            None,
            &expect_test::expect!["Kafka topic names must be valid strings and may not be null"],
        );
        check(
            r#"{"kafka_topic":"t","kafka_partition":null}"#,
            None,
            &expect_test::expect!["Kafka partitions must be valid numbers and may not be null"],
        );
        for (number, text) in [("\"zero\"", "zero"), ("-1", "-1"), ("1.5", "1.5"), ("2147483648", "2147483648")] {
            let entry = PartitionOffset {
                partition: Some(format!("{{\"kafka_topic\":\"t\",\"kafka_partition\":{number}}}")),
                offset: None,
            };
            let message = format!(
                "Failed to parse the following Kafka partition value in the provided offsets: '{text}'. Partition values for \
                 sink connectors need to be integers."
            );
            assert_eq!(parsed(&entry), Err(OffsetsError::Invalid { message }));
        }
    }

    #[test]
    fn what_is_no_offset_is_refused_in_connects_words() {
        check(
            AT,
            Some(r#"{"offset":2}"#),
            &expect_test::expect![
                "The offset for a sink connector should either be null or contain the key 'kafka_offset'"
            ],
        );
        for (number, text) in [("\"two\"", "two"), ("-1", "-1"), ("null", "null"), ("{}", "{}")] {
            let entry = PartitionOffset {
                partition: Some(AT.to_owned()),
                offset: Some(format!("{{\"kafka_offset\":{number}}}")),
            };
            let message = format!(
                "Failed to parse the following Kafka offset value in the provided offsets: '{text}'. Offset values for sink \
                 connectors need to be integers."
            );
            assert_eq!(parsed(&entry), Err(OffsetsError::Invalid { message }));
        }
    }

    #[test]
    fn of_a_partition_that_is_named_twice_the_last_word_counts() {
        let want = |partition, offset| Wanted { at: TopicPartition::new("t", partition), offset };
        let said = last_words(vec![want(0, Some(1)), want(1, Some(2)), want(0, None)]);
        assert_eq!(said, [want(0, None), want(1, Some(2))]);
    }
}
