//! The real Kafka Connect delivers exactly once on the embedded broker: transactions, fencing, offsets in the same
//! transaction, also when it is killed.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use tidegate_kafka::{ClientSettings, Consumer, Polled, StartOffset, TopicPartition};
use tidegate_kafka_ring::{append, create, embedded, free_port, java_or_skip, lines, properties, source, until};

/// What readers of committed records see of a topic, as far as it comes within a moment of silence.
fn committed(address: &str, topic: &str) -> Result<Vec<String>> {
    let mut reader = Consumer::open(&ClientSettings::for_reader(address, "judge", 4 << 20))?;
    reader.partition_count(topic, Duration::from_secs(30))?;
    let at = TopicPartition::new(topic, 0);
    reader.assign(&[(at.clone(), StartOffset::Beginning)])?;
    let end = reader.end_offsets(&[at], Duration::from_secs(30))?[0].offset;
    let (mut values, mut read_to) = (Vec::new(), 0);
    until(&format!("topic {topic} is read to {end}"), || {
        match reader.poll(1_000, Duration::from_millis(200))? {
            Polled::Records(batch) => {
                for message in batch.iter() {
                    values.push(String::from_utf8(message.value().unwrap_or_default().to_vec())?);
                    read_to = message.offset() + 1;
                }
            }
            Polled::EndOfPartition { offset, .. } => read_to = offset,
            _ => {}
        }
        Ok(read_to >= end)
    })?;
    Ok(values)
}

#[test]
fn connect_delivers_exactly_once_on_the_embedded_broker_though_it_is_killed() -> Result<()> {
    let Some(java) = java_or_skip() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let (_broker, address) = embedded(dir.path())?;
    let input = dir.path().join("in.txt");
    let port = free_port()?;
    let rest = format!("http://127.0.0.1:{port}");
    // A worker that was killed is waited for as long as its session lasts.
    let extra = "exactly.once.source.support=enabled\nsession.timeout.ms=6000\nheartbeat.interval.ms=1000\n\
                 scheduled.rebalance.max.delay.ms=0\n";
    let config = properties(dir.path(), &address, port, extra)?;

    append(&input, &lines(0..1_000))?;
    let mut connect = java.connect(&config, &rest)?;
    let mut small_batches = source(&input, "once");
    small_batches["batch.size"] = json!("50");
    small_batches["exactly.once.support"] = json!("required");
    create(&rest, "once-source", small_batches)?;
    let reached = |count: usize| {
        until(&format!("{count} lines are committed"), || {
            // The topic comes with its first record.
            Ok(committed(&address, "once").is_ok_and(|values| values.len() >= count))
        })
    };
    reached(1_000).map_err(|error| error.context(connect.output()))?;

    let mut written = 1_000;
    for _ in 0..3 {
        append(&input, &lines(written..written + 5_000))?;
        reached(written as usize + 1).map_err(|error| error.context(connect.output()))?;
        connect.kill()?;
        written += 5_000;
        connect = java.connect(&config, &rest)?;
    }
    reached(written as usize).map_err(|error| error.context(connect.output()))?;
    append(&input, &lines(written..written + 10))?;
    written += 10;
    reached(written as usize).map_err(|error| error.context(connect.output()))?;
    let values = committed(&address, "once")?;
    assert_eq!(values.len(), written as usize);
    assert!(values == lines(0..written), "each line once, in order");
    Ok(())
}
