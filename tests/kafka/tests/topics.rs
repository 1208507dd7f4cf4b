//! Topics that sources create, on the real Kafka.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use tidegate_kafka::{Admin, ClientSettings};
use tidegate_kafka_ring::{append, create, free_port, java_or_skip, lines, properties, source, until, worker};

#[test]
fn topics_of_a_source_are_made_on_the_real_kafka_as_their_group_says() -> Result<()> {
    let Some(java) = java_or_skip() else { return Ok(()) };
    let broker = java.broker()?;
    let dir = tempfile::tempdir()?;
    let input = dir.path().join("in.txt");
    append(&input, &lines(0..10))?;
    let port = free_port()?;
    let rest = format!("http://127.0.0.1:{port}");
    let config = properties(dir.path(), &broker.address, port, "")?;
    let worker = worker(&config, "data", &rest)?;

    let creates = |topic: &str, copies: &str| {
        let mut config = source(&input, topic);
        let more = json!({
            "topic.creation.default.replication.factor": copies, "topic.creation.default.partitions": "2",
            "topic.creation.groups": "state", "topic.creation.state.include": "state-.*",
            "topic.creation.state.exclude": ".*-tmp", "topic.creation.state.partitions": "3",
            "topic.creation.state.cleanup.policy": "compact"});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        create(&rest, topic, config)
    };
    for topic in ["state-a", "state-a-tmp", "plain"] {
        creates(topic, "1")?;
    }
    let admin = Admin::open(&ClientSettings::for_control(&broker.address))?;
    let timeout = Duration::from_secs(30);
    let mut seen = BTreeMap::new();
    until("the topics are there", || {
        for topic in ["state-a", "state-a-tmp", "plain"] {
            if let Some(found) = admin.describe_topic(topic, timeout)? {
                let configs = admin.describe_topic_configs(topic, timeout)?;
                let policy = configs.into_iter().find(|entry| entry.name == "cleanup.policy").and_then(|c| c.value);
                seen.insert(topic, (found.partitions, policy.unwrap_or_default()));
            }
        }
        Ok(seen.len() == 3)
    })
    .map_err(|error| error.context(worker.output()))?;
    let expected = [("plain", (2, "delete")), ("state-a", (3, "compact")), ("state-a-tmp", (2, "delete"))];
    assert_eq!(seen, expected.map(|(topic, (count, policy))| (topic, (count, policy.to_owned()))).into());

    // More copies than there are brokers: the task says what it asked for.
    creates("greedy", "3")?;
    until("the task fails", || {
        let status = reqwest::blocking::get(format!("{rest}/connectors/greedy/status"))?.text()?;
        Ok(status.contains("Task failed to create new topic greedy (group default") && status.contains("FAILED"))
    })
    .map_err(|error| error.context(worker.output()))?;
    assert!(admin.describe_topic("greedy", timeout)?.is_none());
    Ok(())
}
