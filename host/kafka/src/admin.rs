//! Topics and consumer groups, asked for and changed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::code::Code;
use crate::error::KafkaError;
use crate::native::admin as native;
use crate::native::client::{Client, Kind, Queue};
use crate::native::deadline;
use crate::native::produce;
use crate::offset::{PartitionOffset, TopicPartition};
use crate::settings::ClientSettings;

/// A topic to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    pub name: String,
    /// None: the broker's default.
    pub partitions: Option<i32>,
    /// None: the broker's default.
    pub replication_factor: Option<i32>,
    /// Topic settings such as `cleanup.policy`.
    pub configs: Vec<(String, String)>,
}

/// How creating a topic went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicCreated {
    Created,
    /// There is one of that name, perhaps with other settings.
    Existed,
}

/// A topic as the cluster describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDescription {
    pub name: String,
    /// Kafka's topic id, in base64: another one means that the topic was deleted and created anew.
    pub id: String,
    pub partitions: usize,
    /// Replicas of the first partition.
    pub replication_factor: usize,
    pub is_internal: bool,
}

/// One setting of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    pub name: String,
    /// None where the broker hides it.
    pub value: Option<String>,
    /// Not set on the topic itself.
    pub is_default: bool,
}

/// Which end of a partition is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// The end of the log.
    ReadUncommitted,
    /// The last stable offset: before the first open transaction.
    ReadCommitted,
}

/// How long to wait before asking again for a topic that was created and is not shown yet.
const SHOWN_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// A client for everything that is not records. Each call waits at most the time it is given.
#[derive(Debug)]
pub struct Admin {
    // Before the client it belongs to.
    queue: Queue,
    client: Arc<Client>,
}

impl Admin {
    /// Opens a client with settings of [`ClientSettings::for_control`]. Connects in the background.
    pub fn open(settings: &ClientSettings) -> Result<Self, KafkaError> {
        let client = Client::open(Kind::Producer, settings)?;
        let queue = client.main_queue();
        Ok(Self { queue, client })
    }

    /// Asks any broker for anything: [`KafkaError::Unreachable`] says which address and why.
    pub fn check_reachable(&self, timeout: Duration) -> Result<(), KafkaError> {
        let answer = native::brokers(&self.client, timeout);
        self.finish(answer).map(drop)
    }

    /// The id that the cluster was given when it was made.
    pub fn cluster_id(&self, timeout: Duration) -> Result<String, KafkaError> {
        self.finish(native::cluster_id(&self.client, timeout))
    }

    /// The names of all topics the principal may see, sorted.
    pub fn list_topics(&self, timeout: Duration) -> Result<Vec<String>, KafkaError> {
        let mut topics = self.finish(native::topic_names(&self.client, timeout))?;
        topics.sort_unstable();
        Ok(topics)
    }

    /// One topic, or none where there is none. Creates nothing, whatever the broker does for unknown names.
    pub fn describe_topic(&self, topic: &str, timeout: Duration) -> Result<Option<TopicDescription>, KafkaError> {
        match native::describe_topic(&self.client, topic, timeout) {
            Err(error) if error.code() == Some(Code::UNKNOWN_TOPIC_OR_PARTITION) => Ok(None),
            answer => self.finish(answer).map(Some),
        }
    }

    /// The topic's settings, defaults included.
    pub fn describe_topic_configs(&self, topic: &str, timeout: Duration) -> Result<Vec<ConfigEntry>, KafkaError> {
        self.finish(native::describe_topic_configs(&self.client, topic, timeout))
    }

    /// Creates a topic; one that is there already is left as it is. Waits until a broker shows the new topic, which in
    /// Kafka is a moment after it was created.
    pub fn create_topic(&self, topic: &NewTopic, timeout: Duration) -> Result<TopicCreated, KafkaError> {
        let deadline = deadline(timeout);
        match native::create_topic(&self.client, topic, timeout) {
            Err(error) if error.code() == Some(Code::TOPIC_ALREADY_EXISTS) => return Ok(TopicCreated::Existed),
            answer => self.finish(answer)?,
        }
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.describe_topic(&topic.name, left) {
                Ok(Some(_)) => return Ok(TopicCreated::Created),
                Ok(None) if !left.is_zero() => self.serve(SHOWN_AGAIN_AFTER.min(left)),
                Ok(None) => {
                    let what = format!("creating topic \"{}\"", topic.name);
                    return Err(KafkaError::timed_out(what, "it was created and is not shown in the time given"));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Deletes a topic; none of that name is no error.
    pub fn delete_topic(&self, topic: &str, timeout: Duration) -> Result<(), KafkaError> {
        match native::delete_topic(&self.client, topic, timeout) {
            Err(error) if error.code() == Some(Code::UNKNOWN_TOPIC_OR_PARTITION) => Ok(()),
            answer => self.finish(answer),
        }
    }

    /// The end of each partition.
    pub fn end_offsets(
        &self,
        partitions: &[TopicPartition],
        isolation: Isolation,
        timeout: Duration,
    ) -> Result<Vec<PartitionOffset>, KafkaError> {
        let committed = isolation == Isolation::ReadCommitted;
        self.finish(native::end_offsets(&self.client, partitions, committed, timeout))
    }

    /// The names of all groups the principal may see, sorted: those without members too, as long as they have offsets.
    pub fn list_groups(&self, timeout: Duration) -> Result<Vec<String>, KafkaError> {
        let mut groups = self.finish(native::group_names(&self.client, timeout))?;
        groups.sort_unstable();
        Ok(groups)
    }

    /// All offsets the group has committed; none for a group that is not there.
    pub fn group_offsets(&self, group: &str, timeout: Duration) -> Result<Vec<PartitionOffset>, KafkaError> {
        self.finish(native::group_offsets(&self.client, group, timeout))
    }

    /// Sets the group's offsets. Refused while the group has members.
    pub fn alter_group_offsets(
        &self,
        group: &str,
        offsets: &[PartitionOffset],
        timeout: Duration,
    ) -> Result<(), KafkaError> {
        self.finish(native::alter_group_offsets(&self.client, group, offsets, timeout))
    }

    /// Forgets the group's offsets of these partitions. Refused while members subscribe to their topics.
    pub fn delete_group_offsets(
        &self,
        group: &str,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<(), KafkaError> {
        self.finish(native::delete_group_offsets(&self.client, group, partitions, timeout))
    }

    /// Deletes the group with its offsets; none of that name is no error. Refused while it has members.
    pub fn delete_group(&self, group: &str, timeout: Duration) -> Result<(), KafkaError> {
        match native::delete_group(&self.client, group, timeout) {
            Err(error) if error.code() == Some(Code::GROUP_ID_NOT_FOUND) => Ok(()),
            answer => self.finish(answer),
        }
    }

    /// Runs the callbacks that noted why a connection failed, and puts that reason into the answer.
    fn finish<T>(&self, answer: Result<T, KafkaError>) -> Result<T, KafkaError> {
        answer.map_err(|error| {
            self.serve(Duration::ZERO);
            self.client.explain(error)
        })
    }

    /// Waits for the queue, on which nothing but errors can come.
    fn serve(&self, timeout: Duration) {
        produce::serve(&self.queue, timeout, |_, _| {});
    }
}
