//! Makes the topics that a source's records go to before the first record does, as `topic.creation.*` says (Connect's
//! KIP-158).
//!
//! A task looks at each topic once in its life, and only when a batch has a record for it.

use std::collections::HashSet;
use std::time::Duration;

use tidegate_config::connector::Direction;
use tidegate_config::topic_creation::{TopicGroup, TopicRules};
use tidegate_herder::Failure;
use tidegate_kafka::{Admin, ClientSettings, KafkaError, NewTopic, TopicCreated};

use crate::plan::ConnectorPlan;
use crate::policy::Backoff;
use crate::shared::Shared;

/// How long one question to Kafka may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Topics that a task remembers to be there. A source with more of them looks again at some.
const KNOWN_MAX: usize = 10_000;

/// What a task knows of the topics it writes to.
#[derive(Debug)]
pub(crate) struct Topics {
    maker: Option<Maker>,
}

#[derive(Debug)]
struct Maker {
    task: String,
    rules: TopicRules,
    /// Of the admin client, which lives only while topics are looked at: most tasks have one topic.
    settings: ClientSettings,
    delay_max: Duration,
    known: HashSet<Box<str>>,
}

impl Topics {
    /// A task without `topic.creation.*` leaves its topics to the broker.
    pub(crate) fn of(shared: &Shared, plan: &ConnectorPlan, task: &str) -> Result<Topics, Failure> {
        let Direction::Source(source) = &plan.config.direction else { return Ok(Topics { maker: None }) };
        let Some(creation) = &source.topic_creation else { return Ok(Topics { maker: None }) };
        let settings = shared
            .admin(&plan.config.original, &format!("connector-adminclient-{task}"))
            .map_err(|invalid| Failure::invalid(crate::host::all_problems(&invalid.problems)))?;
        let maker = Maker {
            task: task.to_owned(),
            rules: TopicRules::new(creation).map_err(Failure::fatal)?,
            settings,
            delay_max: Duration::from_millis(plan.config.errors.retry_delay_max_ms),
            known: HashSet::new(),
        };
        Ok(Topics { maker: Some(maker) })
    }

    /// Sees to it that each of these topics is there. Ready at once when all of them are known; tries again as long as it
    /// takes while Kafka is away, as deliveries do.
    pub(crate) async fn ensure(&mut self, topics: &[Box<str>]) -> Result<(), Failure> {
        match &mut self.maker {
            Some(maker) => maker.ensure(topics).await,
            None => Ok(()),
        }
    }
}

impl Maker {
    async fn ensure(&mut self, topics: &[Box<str>]) -> Result<(), Failure> {
        if topics.iter().all(|topic| self.known.contains(topic)) {
            return Ok(());
        }
        let mut wanted = Vec::new();
        for topic in topics.iter().filter(|topic| !self.known.contains(*topic)) {
            let group = self.rules.group(topic).map_err(|why| {
                Failure::fatal(format!("the group of topic \"{topic}\" in topic.creation.groups cannot be told: {why}"))
            })?;
            wanted.push((topic.clone(), new_topic(topic, group), group.name.clone()));
        }
        let mut backoff = Backoff::default();
        while !wanted.is_empty() {
            let settings = self.settings.clone();
            let asked = tokio::task::spawn_blocking(move || {
                let mut wanted = wanted;
                let outcome = make(&settings, &mut wanted);
                (wanted, outcome)
            });
            let (left, outcome) =
                asked.await.map_err(|crash| Failure::retriable(format!("making topics crashed: {crash}")))?;
            wanted = left;
            match outcome {
                Ok(()) => {}
                Err((topic, error)) if error.is_retriable() => {
                    let wait = backoff.next(Duration::ZERO, self.delay_max, fastrand::f64());
                    tracing::warn!(task = self.task, topic, "the topic could not be looked at, tried again: {error}");
                    tokio::time::sleep(wait).await;
                }
                Err((topic, error)) => return Err(refused(&topic, &error, wanted.first())),
            }
        }
        if self.known.len() + topics.len() > KNOWN_MAX {
            self.known.clear();
        }
        self.known.extend(topics.iter().cloned());
        Ok(())
    }
}

/// A topic by name, as it would be made, and the group that says so.
type Wanted = (Box<str>, NewTopic, String);

fn new_topic(name: &str, group: &TopicGroup) -> NewTopic {
    NewTopic {
        name: name.to_owned(),
        partitions: group.partitions,
        replication_factor: group.replication_factor,
        configs: group.configs.clone(),
    }
}

/// Looks for topics and makes those that are missing. Those that are there are taken off the list; the first one that was
/// the trouble stays at its head.
fn make(settings: &ClientSettings, wanted: &mut Vec<Wanted>) -> Result<(), (Box<str>, KafkaError)> {
    let admin = Admin::open(settings).map_err(|error| (Box::from(""), error))?;
    while let Some((name, topic, group)) = wanted.first() {
        let trouble = |error| (name.clone(), error);
        if admin.describe_topic(name, TIMEOUT).map_err(trouble)?.is_none() {
            match admin.create_topic(topic, TIMEOUT).map_err(trouble)? {
                TopicCreated::Created => tracing::info!(topic = &**name, group, "topic created"),
                TopicCreated::Existed => tracing::info!(topic = &**name, "somebody else has created the topic"),
            }
        }
        wanted.remove(0);
    }
    Ok(())
}

fn refused(topic: &str, error: &KafkaError, wanted: Option<&Wanted>) -> Failure {
    let asked = wanted.map_or(String::new(), |(_, topic, group)| {
        let count = |number: Option<i32>| number.map_or("the broker's default".to_owned(), |number| number.to_string());
        format!(
            " (group {group}, partitions: {}, replication factor: {})",
            count(topic.partitions),
            count(topic.replication_factor)
        )
    });
    Failure::fatal(format!(
        "org.apache.kafka.connect.errors.ConnectException: Task failed to create new topic {topic}{asked}: {error}\n\
         hint: ensure that the task is authorized to create topics and that topic.creation.* is what the cluster can \
         do, or make the topic; then restart the task"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_broker::{Broker, BrokerConfig, RunningBroker};
    use tidegate_config::topic_creation::TopicCreation;

    fn broker(directory: &std::path::Path) -> RunningBroker {
        let config = BrokerConfig::new("127.0.0.1:0".parse().unwrap(), directory.to_owned());
        Broker::start(config).unwrap()
    }

    fn group(name: &str, include: &str, partitions: i32, copies: i32, configs: &[(&str, &str)]) -> TopicGroup {
        TopicGroup {
            name: name.to_owned(),
            include: vec![include.to_owned()],
            exclude: vec![".*-tmp".to_owned()],
            partitions: Some(partitions),
            replication_factor: Some(copies),
            configs: configs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        }
    }

    fn topics(bootstrap: &str, groups: Vec<TopicGroup>) -> Topics {
        let creation = TopicCreation { groups, default: group("default", "", 2, 1, &[]) };
        let maker = Maker {
            task: "c-0".to_owned(),
            rules: TopicRules::new(&creation).unwrap(),
            settings: ClientSettings::for_control(bootstrap),
            delay_max: Duration::from_millis(300),
            known: HashSet::new(),
        };
        Topics { maker: Some(maker) }
    }

    fn names(names: &[&str]) -> Vec<Box<str>> {
        names.iter().map(|name| Box::from(*name)).collect()
    }

    #[tokio::test]
    async fn topics_are_made_as_their_group_says_and_looked_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let broker = broker(directory.path());
        let bootstrap = broker.address().to_string();
        let mut topics = topics(&bootstrap, vec![group("orders", "orders.*", 5, -1, &[("cleanup.policy", "compact")])]);
        let admin = Admin::open(&ClientSettings::for_control(&bootstrap)).unwrap();
        let there = NewTopic { name: "there".into(), partitions: Some(7), replication_factor: None, configs: vec![] };
        admin.create_topic(&there, TIMEOUT).unwrap();

        topics.ensure(&names(&["orders-eu", "orders-tmp", "there"])).await.unwrap();
        let partitions = |topic| admin.describe_topic(topic, TIMEOUT).unwrap().map(|found| found.partitions);
        assert_eq!(["orders-eu", "orders-tmp", "there"].map(partitions), [Some(5), Some(2), Some(7)]);
        let policy = |topic| {
            let configs = admin.describe_topic_configs(topic, TIMEOUT).unwrap();
            configs.into_iter().find(|entry| entry.name == "cleanup.policy").and_then(|entry| entry.value).unwrap()
        };
        assert_eq!((policy("orders-eu"), policy("orders-tmp")), ("compact".to_owned(), "delete".to_owned()));

        // What is known is not asked for again: without a broker that would never end.
        drop(admin);
        broker.stop().await;
        topics.ensure(&names(&["orders-eu", "there"])).await.unwrap();
    }

    #[tokio::test]
    async fn a_topic_that_the_cluster_cannot_make_fails_the_task_with_what_was_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let broker = broker(directory.path());
        let mut topics =
            topics(&broker.address().to_string(), vec![group("g", "x", 1, 1, &[("no.such.setting", "1")])]);
        let failure = topics.ensure(&names(&["x"])).await.unwrap_err();
        assert!(
            failure.trace.contains("Task failed to create new topic x (group g, partitions: 1"),
            "{}",
            failure.trace
        );
        assert!(failure.trace.contains("INVALID_CONFIG"), "{}", failure.trace);
    }
}
