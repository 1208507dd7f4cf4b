//! Records that could not be processed, on their way into the dead letter queue: a topic that keeps each as it came, with
//! headers that say what went wrong (Connect's KIP-298 and KIP-610).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tidegate_config::Settings;
use tidegate_config::connector;
use tidegate_config::validate::Invalid;
use tidegate_config::worker::Client;
use tidegate_herder::Failure;
use tidegate_kafka::{Admin, ClientSettings, KafkaError, NewTopic};
use tokio::sync::mpsc;

use crate::errors::{Failed, Reason};
use crate::metrics::TaskMetrics;
use crate::outbox::{Encoded, EncodedRecord, Outbox, Report};
use crate::shared::Shared;

/// What the headers that say what went wrong begin with; Connect's.
const PREFIX: &str = "__connect.errors.";
/// Batches of letters that are under way.
const OPEN_BATCHES_MAX: usize = 8;
/// How long making the topic may take.
const TOPIC_TIMEOUT: Duration = Duration::from_secs(30);

/// A record as it came.
#[derive(Clone, Debug)]
pub(crate) struct Letter<'a> {
    pub(crate) place: Place<'a>,
    /// Milliseconds since 1970.
    pub(crate) timestamp: Option<i64>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: Vec<(&'a str, Option<&'a [u8]>)>,
}

/// Where a record came from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    /// Kafka.
    Consumed { topic: &'a str, partition: i32, offset: i64 },
    /// A source: for which topic, and the source's own partition and offset as JSON where it has them.
    Polled { topic: &'a str, source: Option<(&'a str, &'a str)> },
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Consumed { topic, partition, offset } => {
                write!(f, "{{topic='{topic}', partition={partition}, offset={offset}}}")
            }
            Place::Polled { topic, source: None } => write!(f, "{{topic='{topic}'}}"),
            Place::Polled { topic, source: Some((partition, offset)) } => {
                write!(f, "{{topic='{topic}', sourcePartition={partition}, sourceOffset={offset}}}")
            }
        }
    }
}

/// The queue of one task.
#[derive(Debug)]
pub(crate) struct DeadLetters {
    outbox: Outbox<()>,
    reports: mpsc::UnboundedReceiver<Report<()>>,
    topic: String,
    /// Connector and task, for the headers; none: no headers are wanted.
    context: Option<(String, String)>,
    /// Batches without an answer.
    open: usize,
    /// A letter that Kafka did not take.
    lost: Option<Failure>,
    metrics: Arc<TaskMetrics>,
}

impl DeadLetters {
    /// Opens the queue, making its topic with one partition if it is not there.
    pub(crate) async fn open(
        shared: &Shared,
        settings: &Settings,
        queue: &connector::DeadLetters,
        (connector, task): (&str, u32),
        metrics: Arc<TaskMetrics>,
    ) -> Result<DeadLetters, Failure> {
        let id = |client: &str| format!("connector-dlq-{client}-{connector}-{task}");
        let invalid = |invalid: Invalid| Failure::invalid(crate::host::all_problems(&invalid.problems));
        let mut producer =
            shared.producer(&shared.client_settings(Client::Producer, settings), &id("producer")).map_err(invalid)?;
        // A letter waits as long as it takes: given up, it would fail the task.
        producer.remove("delivery.timeout.ms");
        let admin = shared.admin(settings, &id("adminclient")).map_err(invalid)?;
        let topic = NewTopic {
            name: queue.topic.clone(),
            partitions: Some(1),
            replication_factor: Some(queue.replication_factor.into()),
            configs: Vec::new(),
        };
        let made = tokio::task::spawn_blocking(move || make_topic(&admin, &topic));
        let made = made.await.unwrap_or_else(|crash| Err(format!("making the topic crashed: {crash}")));
        made.map_err(|error| {
            Failure::fatal(format!(
                "the dead letter queue \"{}\" cannot be made: {error}\n\
                 hint: make the topic, or set errors.deadletterqueue.topic.replication.factor (now {}) to what the \
                 cluster can do",
                queue.topic, queue.replication_factor
            ))
        })?;
        let name = format!("dlq {connector}-{task}");
        let (outbox, reports) =
            Outbox::open(&name, &producer, OPEN_BATCHES_MAX).map_err(|error| Failure::fatal(error.to_string()))?;
        Ok(DeadLetters {
            outbox,
            reports,
            topic: queue.topic.clone(),
            context: queue.context_headers.then(|| (connector.to_owned(), task.to_string())),
            open: 0,
            lost: None,
            metrics,
        })
    }

    /// Hands records over, waiting while many are under way. They are safe after the next [`DeadLetters::settle`].
    pub(crate) async fn send(&mut self, failed: &[Failed<'_>]) -> Result<(), Failure> {
        self.check()?;
        self.metrics.dead_lettered(failed.len());
        while self.open >= OPEN_BATCHES_MAX {
            self.wait().await?;
        }
        let context = self.context.as_ref().map(|(connector, task)| (connector.as_str(), task.as_str()));
        let batch = encode(&self.topic, context, failed);
        self.outbox.send(batch).map_err(|_| Failure::retriable("the producer of the dead letter queue has ended"))?;
        self.open += 1;
        Ok(())
    }

    /// Waits until Kafka has every letter. What it refuses fails the task: nothing is dropped silently.
    pub(crate) async fn settle(&mut self) -> Result<(), Failure> {
        self.check()?;
        while self.open > 0 {
            self.wait().await?;
        }
        Ok(())
    }

    /// A letter that was lost once stays lost: no offset may move past its record, however often is asked.
    fn check(&self) -> Result<(), Failure> {
        self.lost.as_ref().map_or(Ok(()), |lost| Err(lost.clone()))
    }

    async fn wait(&mut self) -> Result<(), Failure> {
        match self.reports.recv().await {
            Some(report) => self.hear(report),
            None => Err(Failure::retriable("the producer of the dead letter queue has ended")),
        }
    }

    fn hear(&mut self, report: Report<()>) -> Result<(), Failure> {
        match report {
            Report::Broken(error) => Err(self.lose(&error)),
            Report::Written(written) => {
                self.open -= 1;
                self.metrics.letters_refused(written.failures.len());
                match written.failures.first() {
                    None => Ok(()),
                    Some((_, failure)) => Err(self.lose(&failure.to_error("producing"))),
                }
            }
        }
    }

    fn lose(&mut self, error: &KafkaError) -> Failure {
        let failure = Failure::fatal(format!(
            "a record could not be processed, and the dead letter queue \"{}\" did not take it either: {error}\n\
             hint: its offset was not committed; it comes again when the task is restarted",
            self.topic
        ));
        self.lost.get_or_insert(failure).clone()
    }
}

/// One batch of letters for one topic.
fn encode(topic: &str, context: Option<(&str, &str)>, failed: &[Failed<'_>]) -> Encoded<()> {
    let mut batch = Encoded::new((), 0);
    let topic = batch.topic(topic);
    for (index, Failed { reason, record }) in failed.iter().enumerate() {
        let key = record.key.map(|key| batch.keep(key));
        let value = record.value.map(|value| batch.keep(value));
        let first = batch.headers.len();
        record.headers.iter().for_each(|(name, value)| batch.push_header(name, *value));
        if let Some((connector, task)) = context {
            push_context(&mut batch, reason, record.place, connector, task);
        }
        batch.records.push(EncodedRecord {
            index: index as u32,
            topic,
            partition: None,
            timestamp: record.timestamp,
            key,
            value,
            headers: first..batch.headers.len(),
        });
    }
    batch
}

fn push_context(batch: &mut Encoded<()>, reason: &Reason<'_>, place: Place<'_>, connector: &str, task: &str) {
    let mut push = |name: &str, value: &str| batch.push_header(&format!("{PREFIX}{name}"), Some(value.as_bytes()));
    match place {
        Place::Consumed { topic, partition, offset } => {
            push("topic", topic);
            push("partition", &partition.to_string());
            push("offset", &offset.to_string());
        }
        Place::Polled { topic, source } => {
            push("topic", topic);
            // Connect has no dead letters of sources, hence no names for these.
            if let Some((partition, offset)) = source {
                push("source.partition", partition);
                push("source.offset", offset);
            }
        }
    }
    push("connector.name", connector);
    push("task.id", task);
    push("stage", reason.stage);
    push("class.name", reason.class);
    push("exception.class.name", reason.exception);
    push("exception.message", reason.message);
    push("exception.stacktrace", &format!("{}: {}", reason.exception, reason.message));
}

fn make_topic(settings: &ClientSettings, topic: &NewTopic) -> Result<(), String> {
    let make = || {
        let admin = Admin::open(settings)?;
        match admin.describe_topic(&topic.name, TOPIC_TIMEOUT)? {
            Some(_) => Ok(()),
            None => admin.create_topic(topic, TOPIC_TIMEOUT).map(drop),
        }
    };
    make().map_err(|error: KafkaError| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed<'a>(place: Place<'a>) -> Failed<'a> {
        let reason = Reason {
            stage: "VALUE_CONVERTER",
            class: "JsonConverter",
            exception: "org.apache.kafka.connect.errors.DataException",
            message: "no JSON",
        };
        let record =
            Letter { place, timestamp: Some(7), key: None, value: Some(b"{"), headers: vec![("trace", Some(b"1"))] };
        Failed { reason, record }
    }

    /// The headers of the only record of a batch, a line each.
    fn shown(batch: &Encoded<()>) -> String {
        let text = |range: &std::ops::Range<usize>| String::from_utf8(batch.bytes[range.clone()].to_vec()).unwrap();
        let headers = batch.headers[batch.records[0].headers.clone()].iter();
        headers.map(|header| format!("{}={}\n", text(&header.name), text(header.value.as_ref().unwrap()))).collect()
    }

    #[test]
    fn a_letter_is_the_record_as_it_came_with_connects_headers_behind_its_own() {
        let batch =
            encode("dlq", Some(("orders", "3")), &[failed(Place::Consumed { topic: "t", partition: 2, offset: 9 })]);
        expect_test::expect![[r#"
            trace=1
            __connect.errors.topic=t
            __connect.errors.partition=2
            __connect.errors.offset=9
            __connect.errors.connector.name=orders
            __connect.errors.task.id=3
            __connect.errors.stage=VALUE_CONVERTER
            __connect.errors.class.name=JsonConverter
            __connect.errors.exception.class.name=org.apache.kafka.connect.errors.DataException
            __connect.errors.exception.message=no JSON
            __connect.errors.exception.stacktrace=org.apache.kafka.connect.errors.DataException: no JSON
        "#]]
        .assert_eq(&shown(&batch));
        let record = &batch.records[0];
        assert_eq!((record.timestamp, record.key.clone()), (Some(7), None));
        assert_eq!(&batch.bytes[record.value.clone().unwrap()], b"{");
    }

    #[test]
    fn a_letter_of_a_source_says_where_in_the_source_it_was() {
        let place = Place::Polled { topic: "t", source: Some((r#"{"file":"f"}"#, r#"{"position":5}"#)) };
        let shown = shown(&encode("dlq", Some(("orders", "3")), &[failed(place)]));
        assert!(shown.contains("__connect.errors.source.partition={\"file\":\"f\"}\n"), "{shown}");
        assert!(shown.contains("__connect.errors.source.offset={\"position\":5}\n"), "{shown}");
    }

    #[test]
    fn without_context_a_letter_has_its_own_headers_only() {
        let batch = encode("dlq", None, &[failed(Place::Consumed { topic: "t", partition: 2, offset: 9 })]);
        assert_eq!(shown(&batch), "trace=1\n");
    }
}
