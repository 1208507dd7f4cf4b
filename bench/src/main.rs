//! `tidegate-bench`: runs whole pipelines in Tidegate and in the real Kafka Connect, on the same broker and in turn, and
//! tells what each record cost. `docs/performance.md` says how to read the numbers.
//!
//! Both systems get the same worker properties and the same connector configuration. A run is a process of its own: start,
//! REST ready, idle, one pass to warm up, one pass that counts. Records are counted at the destination, processor time
//! comes from the kernel's accounts of the whole process tree. Within a round the systems run as A B B A, so that each
//! round compares a system with itself, too.

mod args;
mod report;
mod run;
mod scenario;

mod broker;
mod process;
mod rest;
mod system;
mod topics;

use anyhow::Result;
use clap::Parser;

fn main() -> Result<()> {
    let args = args::Args::parse();
    let mut bench = run::Bench::prepare(&args)?;
    let starts = bench.starts(args.starts)?;
    let mut samples = Vec::new();
    for scenario in &args.scenarios {
        samples.extend(bench.scenario(*scenario, args.rounds)?);
    }
    report::print(&args, &starts, &samples)
}
