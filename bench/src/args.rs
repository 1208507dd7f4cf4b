//! What is measured, with what, and where.

use std::path::PathBuf;

use clap::Parser;

use crate::broker::BrokerChoice;
use crate::scenario::Scenario;
use crate::system::System;

/// Runs pipelines in Tidegate and in Kafka Connect on the same broker and prints what a record costs.
#[derive(Debug, Parser)]
#[command(name = "tidegate-bench")]
pub(crate) struct Args {
    /// What runs; all unless named.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Scenario::ALL)]
    pub(crate) scenarios: Vec<Scenario>,
    /// Who runs, in turn: two of them compare, one alone is measured.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [System::Connect, System::Tidegate])]
    pub(crate) systems: Vec<System>,
    /// Rounds of A B B A for each scenario.
    #[arg(long, default_value_t = 2)]
    pub(crate) rounds: usize,
    /// Starts of each system that are timed; 0 leaves them out.
    #[arg(long, default_value_t = 5)]
    pub(crate) starts: usize,
    /// Records of 100 B in a pass.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub(crate) small: usize,
    /// Records of 1 KB and of 300 B of JSON in a pass.
    #[arg(long, value_name = "N", default_value_t = 300_000)]
    pub(crate) large: usize,
    /// The broker: `kafka` (started by tests/kafka/kafka.sh), `embedded` (`tidegate broker`), or the HOST:PORT of one that runs.
    #[arg(long, value_name = "BROKER", default_value = "kafka")]
    pub(crate) broker: BrokerChoice,
    /// The tidegate program; unless named, the one beside this program.
    #[arg(long, value_name = "FILE")]
    pub(crate) tidegate: Option<PathBuf>,
    /// Where tests/kafka/kafka.sh keeps jars and data.
    #[arg(long, value_name = "DIR", default_value = ".kafka")]
    pub(crate) kafka_home: PathBuf,
    /// Where input, output, logs and state go.
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    pub(crate) work_dir: PathBuf,
    /// A file that every run is added to, a line of JSON each.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}
