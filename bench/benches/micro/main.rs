//! Microbenchmarks: what a record pays for crossing into a sandbox, for a chain of transforms, and between JSON and TLV.
//!
//! Times are processor time of the one thread that does all the work, so that a busy machine shows in the spread only.
//! Throughput is in records.

mod chain;
mod cpu;
mod crossing;
mod guests;
mod json_tlv;

use std::process::ExitCode;

use criterion::Criterion;

fn main() -> ExitCode {
    if guests::is_compiler() {
        return tidegate_engine::compile_child_main();
    }
    let mut criterion = Criterion::default().configure_from_args();
    let guests = guests::Guests::start();
    chain::bench(&mut criterion, &guests);
    json_tlv::bench(&mut criterion);
    // Last: it builds guests of other languages first.
    crossing::bench(&mut criterion, &guests);
    criterion.final_summary();
    ExitCode::SUCCESS
}
