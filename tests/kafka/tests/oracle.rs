//! What the real Kafka Connect makes of random records, Tidegate makes of them too.

use std::time::Duration;

use anyhow::Result;
use tidegate_kafka_ring::oracle::Oracle;
use tidegate_kafka_ring::{asked_for, java_or_skip, tidegate};

/// Seeds that are always asked, each so many questions.
const CORPUS: std::ops::Range<u64> = 1..11;
const QUESTIONS: usize = 400;

/// `TIDEGATE_ORACLE_SECONDS=60` asks what comes to mind for so long beside, `TIDEGATE_ORACLE_SEED` the same again: for
/// people, who look at what differs. What is always asked must be answered alike.
#[test]
fn random_records_become_what_connect_makes_of_them() -> Result<()> {
    let Some(java) = java_or_skip() else { return Ok(()) };
    let mut oracle = Oracle::start(&java, tidegate(&["try", "--vectors"]))?;
    for seed in CORPUS {
        oracle.play(seed, QUESTIONS, Duration::from_secs(60))?;
    }
    if let Some(seconds) = asked_for("TIDEGATE_ORACLE_SECONDS") {
        let seed = asked_for("TIDEGATE_ORACLE_SEED").unwrap_or_else(|| fastrand::u64(..));
        eprintln!("TIDEGATE_ORACLE_SEED={seed}");
        oracle.play(seed, usize::MAX, Duration::from_secs(seconds))?;
    }
    let asked = oracle.verdict()?;
    eprintln!("{asked} questions were answered alike");
    Ok(())
}
