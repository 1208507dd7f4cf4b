//! Connectors that move from Kafka Connect to Tidegate and back, on one broker: each goes on exactly where the other stopped.

use std::path::Path;

use anyhow::Result;
use serde_json::json;
use tidegate_kafka_ring::{
    Broker, Process, append, arrived, create, create_stopped, free_port, get, java_or_skip, lines, properties, put,
    sink, source, until, worker,
};

/// What runs connectors, and where it answers.
struct Running {
    process: Process,
    rest: String,
}

impl Running {
    fn kafka_connect(broker: &Broker, dir: &Path) -> Result<Running> {
        let port = free_port()?;
        let rest = format!("http://127.0.0.1:{port}");
        let process = broker.java.connect(&properties(dir, &broker.address, port, "")?, &rest)?;
        Ok(Running { process, rest })
    }

    fn tidegate(broker: &Broker, dir: &Path) -> Result<Running> {
        let port = free_port()?;
        let rest = format!("http://127.0.0.1:{port}");
        let process = worker(&properties(dir, &broker.address, port, "")?, "tidegate", &rest)?;
        Ok(Running { process, rest })
    }

    /// Stops the connectors and then the process; answers what it said their offsets were.
    fn stop(mut self, connectors: &[&str]) -> Result<serde_json::Value> {
        for name in connectors {
            put(&format!("{}/connectors/{name}/stop", self.rest))?;
        }
        for name in connectors {
            until(&format!("{name} is stopped"), || {
                let status = get(&format!("{}/connectors/{name}/status", self.rest))?;
                Ok(status["connector"]["state"] == "STOPPED" && status["tasks"] == json!([]))
            })?;
        }
        let offsets = self.offsets(connectors)?;
        self.process.stop()?;
        Ok(offsets)
    }

    fn offsets(&self, connectors: &[&str]) -> Result<serde_json::Value> {
        let each = connectors.iter().map(|name| get(&format!("{}/connectors/{name}/offsets", self.rest)));
        Ok(each.collect::<Result<Vec<_>>>()?.into())
    }
}

#[test]
fn a_source_and_a_sink_move_from_connect_to_tidegate_and_back_without_a_gap_or_a_copy() -> Result<()> {
    let Some(java) = java_or_skip() else { return Ok(()) };
    let broker = java.broker()?;
    let dir = tempfile::tempdir()?;
    // Spaces and an umlaut: what identifies a partition are the bytes of its JSON.
    let (input, output) = (dir.path().join("in put ä.txt"), dir.path().join("out.txt"));
    let both = ["moving-source", "moving-sink"];
    let in_order = |last: u32| -> Result<()> {
        let text = std::fs::read_to_string(&output)?;
        assert!(
            text.lines().eq(lines(0..last).iter().map(String::as_str)),
            "each of {last} lines once, in order:\n{text}"
        );
        Ok(())
    };

    append(&input, &lines(0..1_000))?;
    let connect = Running::kafka_connect(&broker, dir.path())?;
    create(&connect.rest, both[0], source(&input, "moving"))?;
    create(&connect.rest, both[1], sink(&output, "moving"))?;
    arrived(&output, &lines(0..1_000), &connect.process)?;
    let left = connect.stop(&both)?;
    in_order(1_000)?;

    append(&input, &lines(1_000..2_000))?;
    let tidegate = Running::tidegate(&broker, dir.path())?;
    create_stopped(&tidegate.rest, both[0], source(&input, "moving"))?;
    create_stopped(&tidegate.rest, both[1], sink(&output, "moving"))?;
    assert_eq!(tidegate.offsets(&both)?, left, "both say the same of what Connect committed");
    both.iter().try_for_each(|name| put(&format!("{}/connectors/{name}/resume", tidegate.rest)))?;
    arrived(&output, &lines(0..2_000), &tidegate.process)?;
    let left = tidegate.stop(&both)?;
    in_order(2_000)?;

    append(&input, &lines(2_000..3_000))?;
    let connect = Running::kafka_connect(&broker, dir.path())?;
    assert_eq!(connect.offsets(&both)?, left, "both say the same of what Tidegate committed");
    both.iter().try_for_each(|name| put(&format!("{}/connectors/{name}/resume", connect.rest)))?;
    arrived(&output, &lines(0..3_000), &connect.process)?;
    connect.stop(&both)?;
    in_order(3_000)
}
