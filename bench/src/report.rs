//! What a bench says: progress to stderr, tables in Markdown to stdout, every run as a line of JSON to a file.

use std::fmt::{self, Write as _};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use crate::args::Args;
use crate::run::{Sample, Start};
use crate::system::System;

/// Tells how far the bench is.
pub(crate) fn progress(what: impl fmt::Display) {
    // A closed stderr is no reason to stop measuring.
    let _ = writeln!(std::io::stderr(), "{what}");
}

/// Adds a line `{"kind": {…}}` to the file, if there shall be one.
pub(crate) fn append(file: Option<&Path>, kind: &str, what: &impl Serialize) -> Result<()> {
    if let Some(path) = file {
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        writeln!(file, "{}", json!({ kind: what }))?;
    }
    Ok(())
}

/// Prints all tables.
pub(crate) fn print(args: &Args, starts: &[Start], samples: &[Sample]) -> Result<()> {
    let mut out = String::new();
    if !starts.is_empty() {
        write_starts(&mut out, args, starts)?;
    }
    if !samples.is_empty() {
        write_samples(&mut out, args, samples)?;
        write_ratios(&mut out, args, samples)?;
    }
    Ok(std::io::stdout().write_all(out.as_bytes())?)
}

fn write_starts(out: &mut String, args: &Args, starts: &[Start]) -> fmt::Result {
    writeln!(
        out,
        "| start | first, ms | later, ms (lowest to highest) | CPU s | RSS idle, MB |\n|---|---|---|---|---|"
    )?;
    for &system in &args.systems {
        let of = |is_first: bool, number: fn(&Start) -> f64| {
            Spread::of(starts.iter().filter(|start| start.system == system && start.is_first == is_first).map(number))
        };
        writeln!(
            out,
            "| {} | {:.0} | {:.0} | {:.2} | {:.0} |",
            system.name(),
            of(true, |start| start.ready_ms).median,
            of(false, |start| start.ready_ms),
            of(false, |start| start.cpu_s).median,
            of(false, |start| start.rss_idle as f64 / MB).median,
        )?;
    }
    writeln!(out)
}

fn write_samples(out: &mut String, args: &Args, samples: &[Sample]) -> fmt::Result {
    writeln!(
        out,
        "| pipeline | system | CPU s per million records | A/A | records per CPU s | records/s | peak RSS, MB | broker CPU s per million | load |\n\
         |---|---|---|---|---|---|---|---|---|"
    )?;
    for scenario in &args.scenarios {
        for &system in &args.systems {
            let runs = || samples.iter().filter(|run| run.scenario == *scenario && run.system == system);
            let of = |number: fn(&Sample) -> f64| Spread::of(runs().map(number));
            let turn = |turn| Spread::of(runs().filter(|run| run.turn == turn).map(cost)).median;
            let cpu = of(cost);
            writeln!(
                out,
                "| {} | {} | {cpu:.2} | {:.2} | {:.0} | {:.0} | {:.0} | {:.2} | {:.1} |",
                scenario.name(),
                system.name(),
                turn(1) / turn(0),
                1e6 / cpu.median,
                of(|run| run.records_per_s),
                of(|run| run.rss_peak as f64 / MB),
                of(|run| run.broker_cpu_s.unwrap_or(f64::NAN) / run.records as f64 * 1e6).median,
                of(|run| run.load).median,
            )?;
        }
    }
    writeln!(out)
}

/// How many times better Tidegate is, where both ran.
fn write_ratios(out: &mut String, args: &Args, samples: &[Sample]) -> fmt::Result {
    if !(args.systems.contains(&System::Connect) && args.systems.contains(&System::Tidegate)) {
        return Ok(());
    }
    writeln!(out, "| pipeline | records per CPU s | records/s | peak RSS |\n|---|---|---|---|")?;
    for scenario in &args.scenarios {
        let median = |system: System, number: fn(&Sample) -> f64| {
            let runs = samples.iter().filter(|run| run.scenario == *scenario && run.system == system);
            Spread::of(runs.map(number)).median
        };
        let times = |number| median(System::Connect, number) / median(System::Tidegate, number);
        writeln!(
            out,
            "| {} | {:.1}× | {:.1}× | 1/{:.1} |",
            scenario.name(),
            times(cost),
            1.0 / times(|run| run.records_per_s),
            times(|run| run.rss_peak as f64),
        )?;
    }
    Ok(())
}

/// Processor seconds per million records.
fn cost(run: &Sample) -> f64 {
    run.cpu_s / run.records as f64 * 1e6
}

const MB: f64 = (1 << 20) as f64;

/// Several measurements of one thing.
#[derive(Clone, Copy, Debug)]
struct Spread {
    low: f64,
    median: f64,
    high: f64,
}

impl Spread {
    fn of(numbers: impl Iterator<Item = f64>) -> Spread {
        let mut numbers: Vec<f64> = numbers.collect();
        numbers.sort_by(f64::total_cmp);
        let at = |i: usize| numbers.get(i).copied().unwrap_or(f64::NAN);
        let middle = numbers.len() / 2;
        let median =
            if numbers.len().is_multiple_of(2) { (at(middle.wrapping_sub(1)) + at(middle)) / 2.0 } else { at(middle) };
        Spread { low: at(0), median, high: at(numbers.len().wrapping_sub(1)) }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        write!(f, "{:.digits$} ({:.digits$}–{:.digits$})", self.median, self.low, self.high)
    }
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn a_spread_shows_the_middle_and_the_ends() {
        assert_eq!(format!("{:.1}", Spread::of([3.0, 1.0, 2.0].into_iter())), "2.0 (1.0–3.0)");
        assert_eq!(format!("{:.0}", Spread::of([4.0, 1.0].into_iter())), "2 (1–4)");
    }

    #[test]
    fn nothing_measured_is_not_a_number() {
        assert!(Spread::of(std::iter::empty()).median.is_nan());
    }
}
