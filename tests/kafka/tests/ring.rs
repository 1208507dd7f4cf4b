//! Tidegate on the real Apache Kafka, and the real Kafka Connect and Java clients on the embedded broker.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use tidegate_kafka::{ClientSettings, CompactedTopic, Consumer, Polled, StartOffset, TopicPartition};
use tidegate_kafka_ring::{
    append, arrived, create, embedded, free_port, java_or_skip, lines, patch, properties, put, sink, source, until,
    worker,
};

#[test]
fn a_file_becomes_a_topic_becomes_a_file_and_a_kill_loses_nothing() -> Result<()> {
    let Some(java) = java_or_skip() else { return Ok(()) };
    let broker = java.broker()?;
    let dir = tempfile::tempdir()?;
    let (input, output) = (dir.path().join("in.txt"), dir.path().join("out.txt"));
    let port = free_port()?;
    let rest = format!("http://127.0.0.1:{port}");
    let config = properties(dir.path(), &broker.address, port, "")?;

    append(&input, &lines(0..5_000))?;
    let mut process = worker(&config, "data", &rest)?;
    create(&rest, "ring-source", source(&input, "ring"))?;
    create(&rest, "ring-sink", sink(&output, "ring"))?;
    arrived(&output, &lines(0..5_000), &process)?;

    // Killed in the middle of what follows, and started again: everything arrives.
    append(&input, &lines(5_000..40_000))?;
    arrived(&output, &lines(5_000..6_000), &process)?;
    process.kill()?;
    let process = worker(&config, "data", &rest)?;
    append(&input, &lines(40_000..41_000))?;
    arrived(&output, &lines(0..41_000), &process)
}

#[test]
fn offsets_that_kafka_connect_committed_are_resumed() -> Result<()> {
    let Some(java) = java_or_skip() else { return Ok(()) };
    let broker = java.broker()?;
    let dir = tempfile::tempdir()?;
    let (input, output) = (dir.path().join("in.txt"), dir.path().join("out.txt"));

    append(&input, &lines(0..100))?;
    let port = free_port()?;
    let rest = format!("http://127.0.0.1:{port}");
    let config = properties(dir.path(), &broker.address, port, "")?;
    let mut connect = broker.java.connect(&config, &rest)?;
    create(&rest, "handed-over", source(&input, "handed-over"))?;
    create(&rest, "reader", sink(&output, "handed-over"))?;
    arrived(&output, &lines(0..100), &connect)?;
    // Connect flushes every half second; its offsets topic has the position once a key is there.
    until("the position is committed", || {
        let offsets = broker.java.tool(
            "org.apache.kafka.tools.consumer.ConsoleConsumer",
            &[
                "--bootstrap-server",
                &broker.address,
                "--topic",
                "ring-offsets",
                "--from-beginning",
                "--timeout-ms",
                "4000",
            ],
            "",
        )?;
        let end = std::fs::metadata(&input)?.len();
        Ok(offsets.contains(&format!("\"position\":{end}")))
    })?;
    connect.kill()?;

    let port = free_port()?;
    let rest = format!("http://127.0.0.1:{port}");
    let config = properties(dir.path(), &broker.address, port, "")?;
    let process = worker(&config, "tidegate", &rest)?;
    append(&input, &lines(100..150))?;
    let ours = dir.path().join("ours.txt");
    create(&rest, "handed-over", source(&input, "handed-over"))?;
    create(&rest, "ours", sink(&ours, "handed-over"))?;
    arrived(&ours, &lines(0..150), &process)?;
    let copies = std::fs::read_to_string(&ours)?.lines().count();
    assert_eq!(copies, 150, "the source went on where Connect had stopped, so nothing is there twice");
    Ok(())
}

#[test]
fn offset_keys_that_connect_and_tidegate_write_in_turn_leave_one_live_record_each() -> Result<()> {
    let Some(java) = java_or_skip() else { return Ok(()) };
    let broker = java.broker()?;
    let dir = tempfile::tempdir()?;
    let port = free_port()?;
    let rest = format!("http://127.0.0.1:{port}");
    let config = properties(dir.path(), &broker.address, port, "")?;
    let _connect = broker.java.connect(&config, &rest)?;
    create(&rest, "many", source(&dir.path().join("in.txt"), "many"))?;
    put(&format!("{rest}/connectors/many/stop"))?;
    let offsets: Vec<_> = (0..200)
        .map(|n| json!({"partition": {"filename": format!("/data/{n}.txt")}, "offset": {"position": n}}))
        .collect();
    until("Connect has written 200 offsets", || {
        patch(&format!("{rest}/connectors/many/offsets"), json!({"offsets": offsets}))
    })?;

    // Tidegate writes the same keys. Each must go to the partition that Connect's producer chose: compaction works within
    // a partition, so a key in two partitions would live twice.
    let reader = ClientSettings::for_reader(&broker.address, "ring-reader", 4 << 20);
    let writer = ClientSettings::for_producer(&broker.address, 4 << 20);
    let timeout = Duration::from_secs(60);
    let mut table = CompactedTopic::open(&reader, &writer, "ring-offsets", timeout)?;
    let keys: Vec<Vec<u8>> = table.iter().map(|(key, _)| key.to_vec()).collect();
    assert_eq!(keys.len(), 200);
    let writes: Vec<_> = keys.iter().map(|key| (key.as_slice(), Some(&br#"{"position":7}"#[..]))).collect();
    table.put_batch(&writes, timeout)?;

    let mut places = BTreeMap::<Vec<u8>, Vec<i32>>::new();
    let mut reader = Consumer::open(&reader)?;
    let partitions: Vec<_> = (0..5).map(|partition| TopicPartition::new("ring-offsets", partition)).collect();
    let starts: Vec<_> = partitions.iter().map(|at| (at.clone(), StartOffset::Beginning)).collect();
    reader.assign(&starts)?;
    until("all 400 records are read", || {
        if let Polled::Records(batch) = reader.poll(1_000, Duration::from_millis(200))? {
            for message in batch.iter() {
                places.entry(message.key().unwrap_or_default().to_vec()).or_default().push(message.partition());
            }
        }
        Ok(places.values().map(Vec::len).sum::<usize>() >= 400)
    })?;
    assert_eq!(places.len(), 200);
    for (key, partitions) in &places {
        assert!(
            partitions.len() == 2 && partitions[0] == partitions[1],
            "{}: {partitions:?}",
            String::from_utf8_lossy(key)
        );
    }
    assert!(places.values().map(|partitions| partitions[0]).collect::<BTreeSet<_>>().len() == 5, "over all partitions");
    Ok(())
}

#[test]
fn javas_console_clients_work_on_the_embedded_broker() -> Result<()> {
    let Some(java) = java_or_skip() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let (_broker, address) = embedded(dir.path())?;
    let sent = lines(0..1_000).join("\n") + "\n";
    java.tool(
        "org.apache.kafka.tools.ConsoleProducer",
        &["--bootstrap-server", &address, "--topic", "console"],
        &sent,
    )?;
    let received = java.tool(
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
        &[
            "--bootstrap-server",
            &address,
            "--topic",
            "console",
            "--from-beginning",
            "--max-messages",
            "1000",
            "--timeout-ms",
            "30000",
        ],
        "",
    )?;
    assert_eq!(received, sent);
    Ok(())
}

#[test]
fn the_real_kafka_connect_runs_on_the_embedded_broker() -> Result<()> {
    let Some(java) = java_or_skip() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let (_broker, address) = embedded(dir.path())?;
    let (input, output) = (dir.path().join("in.txt"), dir.path().join("out.txt"));
    append(&input, &lines(0..2_000))?;
    let port = free_port()?;
    let rest = format!("http://127.0.0.1:{port}");
    let config = properties(dir.path(), &address, port, "")?;
    let connect = java.connect(&config, &rest)?;
    create(&rest, "java-source", source(&input, "java"))?;
    create(&rest, "java-sink", sink(&output, "java"))?;
    arrived(&output, &lines(0..2_000), &connect)
}
