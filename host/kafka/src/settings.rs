//! The settings of one Kafka client: librdkafka properties in the order they were given, on top of the defaults that
//! the client's role calls for.
//!
//! The defaults are measured ones or Java's where somebody moving from Kafka Connect relies on them; each line below
//! says which. What a caller sets later wins, but for the few properties the code depends on (see `enforced`).

use std::fmt;

/// Librdkafka properties, each key once, in the order they were first set.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ClientSettings {
    properties: Vec<(String, String)>,
}

/// What each client sets, whatever its role.
const COMMON: &[(&str, &str)] = &[
    // 250 kB a client and a connection to nobody's benefit.
    ("enable.metrics.push", "false"),
    ("socket.keepalive.enable", "true"),
    // The library's 100 ms to 10 s would add up to ten seconds to each broker restart.
    ("reconnect.backoff.ms", "10"),
    ("reconnect.backoff.max.ms", "1000"),
];

/// What clients of the control plane set beside: few, and their start counts.
const PROMPT: &[(&str, &str)] = &[
    // Hidden property: connects to all brokers at once instead of waiting 50 to 500 ms for the first use.
    ("enable.sparse.connections", "false"),
    ("reconnect.backoff.max.ms", "300"),
    ("retry.backoff.ms", "5"),
    ("retry.backoff.max.ms", "100"),
];

impl ClientSettings {
    /// Settings with the defaults of every role, for `bootstrap` (`host:port`, comma-separated).
    fn common(bootstrap: &str) -> Self {
        let mut settings = Self::default();
        settings.set("bootstrap.servers", bootstrap);
        settings.set_all(COMMON)
    }

    /// A producer of a task's records: idempotent, all replicas acknowledge, Java's partitioner, waits for ever.
    ///
    /// `budget_bytes` bounds what it holds before `produce` pushes back (values; librdkafka adds some 200 B a record).
    pub fn for_producer(bootstrap: &str, budget_bytes: usize) -> Self {
        let mut settings = Self::common(bootstrap).set_all(&[
            ("enable.idempotence", "true"),
            ("acks", "all"),
            // Java's. With the library's own, only 8 of 200 offset keys fell into the partition Connect uses.
            ("partitioner", "murmur2_random"),
            // As long as the task lives: Connect's deliveries ride out an outage too.
            ("message.timeout.ms", "0"),
            ("linger.ms", "5"),
            ("batch.num.messages", "10000"),
        ]);
        settings.set("queue.buffering.max.kbytes", kbytes(budget_bytes));
        settings.set("queue.buffering.max.messages", messages(budget_bytes));
        settings
    }

    /// A transactional producer: [`Self::for_producer`] with the settings that make a transaction cost 2–4 ms.
    pub fn for_transactional_producer(bootstrap: &str, transactional_id: &str, budget_bytes: usize) -> Self {
        let mut settings = Self::for_producer(bootstrap, budget_bytes).set_all(PROMPT).set_all(&[
            ("linger.ms", "0"),
            // After a commit the coordinator is busy for a moment; the default retries after 100 to 400 ms.
            ("retry.backoff.ms", "2"),
            ("retry.backoff.max.ms", "20"),
        ]);
        // The library bounds it by the transaction's own time-out and refuses "for ever".
        settings.remove("message.timeout.ms");
        settings.set("transactional.id", transactional_id);
        settings
    }

    /// A sink's consumer: a member of `group`, offsets committed by the caller only.
    ///
    /// `budget_bytes` bounds what it fetches ahead.
    pub fn for_consumer(bootstrap: &str, group: &str, budget_bytes: usize) -> Self {
        let mut settings = Self::common(bootstrap).set_all(&[
            // The library cannot offer `range` beside it; a Java member with its default (both) can still join.
            ("partition.assignment.strategy", "cooperative-sticky"),
            // Connect's default for sinks.
            ("auto.offset.reset", "earliest"),
            // Java's default; the library's is read_committed.
            ("isolation.level", "read_uncommitted"),
            ("session.timeout.ms", "45000"),
            ("heartbeat.interval.ms", "3000"),
            ("max.poll.interval.ms", "300000"),
            // The default of one second stalls a partition each time the prefetch limit is met.
            ("fetch.queue.backoff.ms", "5"),
            // How soon a topic that is created later, or a partition added, is noticed (default: five minutes).
            ("topic.metadata.refresh.interval.ms", "10000"),
        ]);
        settings.set("group.id", group);
        settings.set_fetch_budget(budget_bytes);
        settings
    }

    /// A reader that assigns partitions itself, sees committed records only and learns of each partition's end: for
    /// [`crate::CompactedTopic`] and other control topics. `group` is never joined and nothing is committed to it; it
    /// is there because the library wants one, so name one the principal may describe.
    pub fn for_reader(bootstrap: &str, group: &str, budget_bytes: usize) -> Self {
        let mut settings = Self::common(bootstrap).set_all(PROMPT).set_all(&[
            ("isolation.level", "read_committed"),
            ("enable.partition.eof", "true"),
            // A truncated or re-created topic must be noticed, never skipped.
            ("auto.offset.reset", "error"),
            ("fetch.queue.backoff.ms", "5"),
            ("fetch.wait.max.ms", "100"),
        ]);
        settings.set("group.id", group);
        settings.set_fetch_budget(budget_bytes);
        settings
    }

    /// A client for [`crate::Admin`], or any other of the control plane that brings its own role settings.
    pub fn for_control(bootstrap: &str) -> Self {
        Self::common(bootstrap).set_all(PROMPT)
    }

    /// Sets one property; a key that is already there keeps its place. Checked when a client is opened.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) -> &mut Self {
        let (key, value) = (key.into(), value.into());
        match self.properties.iter_mut().find(|(known, _)| *known == key) {
            Some((_, current)) => *current = value,
            None => self.properties.push((key, value)),
        }
        self
    }

    /// Sets each of `properties`, e.g. what an operator wrote under `producer.` or `consumer.override.`.
    pub fn extend<K: Into<String>, V: Into<String>>(
        &mut self,
        properties: impl IntoIterator<Item = (K, V)>,
    ) -> &mut Self {
        for (key, value) in properties {
            self.set(key, value);
        }
        self
    }

    pub fn remove(&mut self, key: &str) {
        self.properties.retain(|(known, _)| known != key);
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.properties.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.properties.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// These settings with `properties`, on which this crate's code depends, whatever was set.
    pub(crate) fn enforced(&self, properties: &[(&str, &str)]) -> Self {
        self.clone().set_all(properties)
    }

    /// `bootstrap.servers`, for messages.
    pub(crate) fn bootstrap(&self) -> &str {
        self.get("bootstrap.servers").or_else(|| self.get("metadata.broker.list")).unwrap_or("")
    }

    fn set_all(mut self, properties: &[(&str, &str)]) -> Self {
        self.extend(properties.iter().copied());
        self
    }

    fn set_fetch_budget(&mut self, budget_bytes: usize) {
        self.set("queued.max.messages.kbytes", kbytes(budget_bytes));
        // The library keeps some 450 B for each, whatever its size.
        self.set("queued.min.messages", (budget_bytes / 512).clamp(1_000, 100_000).to_string());
        // A single response may exceed the limit above by this much.
        let response = (budget_bytes / 4).clamp(64 << 10, 1 << 20);
        self.set("fetch.message.max.bytes", response.to_string());
    }
}

/// The library takes kilobytes, at least one, at most 2 GiB.
fn kbytes(budget_bytes: usize) -> String {
    (budget_bytes >> 10).clamp(1, 2_097_151).to_string()
}

/// How many records go with a budget: as many as fit if each were small.
fn messages(budget_bytes: usize) -> String {
    (budget_bytes / 256).clamp(1_000, 1_000_000).to_string()
}

impl fmt::Debug for ClientSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |key: &str| !(key.contains("password") || key.contains("secret") || key.contains(".pem"));
        f.debug_map()
            .entries(self.iter().map(|(key, value)| (key, if shown(key) { value } else { "[hidden]" })))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_value_wins_and_keeps_its_place() {
        let mut settings = ClientSettings::default();
        settings.set("a", "1").set("b", "2").set("a", "3");
        assert_eq!(settings.iter().collect::<Vec<_>>(), [("a", "3"), ("b", "2")]);
    }

    #[test]
    fn budgets_bound_the_queues() {
        let producer = ClientSettings::for_producer("b:1", 8 << 20);
        assert_eq!(producer.get("queue.buffering.max.kbytes"), Some("8192"));
        assert_eq!(producer.get("queue.buffering.max.messages"), Some("32768"));
        let consumer = ClientSettings::for_consumer("b:1", "g", 1);
        assert_eq!(consumer.get("queued.max.messages.kbytes"), Some("1"));
        assert_eq!(consumer.get("queued.min.messages"), Some("1000"));
        let consumer = ClientSettings::for_consumer("b:1", "g", 4 << 20);
        assert_eq!(consumer.get("queued.min.messages"), Some("8192"));
    }

    #[test]
    fn secrets_are_not_shown() {
        let mut settings = ClientSettings::for_control("b:1");
        settings.set("sasl.password", "hunter2");
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
