//! What the demo prints: where things are, how far they have come, what to do next.

use std::time::{Duration, Instant};

use serde_json::json;
use tidegate_worker::Totals;

use super::Files;
use super::connectors::{SINK, SOURCE, TOPIC};
use super::ledger::Ledger;
use crate::app::App;
use crate::failure::Failure;
use crate::output::{bytes, grouped, say};

/// The course of one run.
pub(super) struct Story {
    ledger: Ledger,
    started: Instant,
    /// When the last new record was seen, and how many there were at the start.
    progressed: Instant,
    out_before: u64,
    source: Totals,
    sink: Totals,
    printed: Option<(u64, u64)>,
}

impl Story {
    pub(super) fn new(ledger: Ledger, started: Instant) -> Story {
        let out_before = ledger.records_out();
        let (source, sink) = (Totals::default(), Totals::default());
        Story { ledger, started, progressed: started, out_before, source, sink, printed: None }
    }

    /// Looks at the output and at the tasks' numbers.
    pub(super) fn look(&mut self, app: &App) -> Result<(), Failure> {
        let (source, sink) = (totals(app, SOURCE), totals(app, SINK));
        if self.ledger.read_output()? | (source != self.source) | (sink != self.sink) {
            self.progressed = Instant::now();
        }
        (self.source, self.sink) = (source, sink);
        Ok(())
    }

    /// Whether the topic has records.
    pub(super) fn has_read(&self) -> bool {
        self.source.written > 0
    }

    /// Whether every record has arrived.
    pub(super) fn is_complete(&self) -> bool {
        self.ledger.is_complete()
    }

    pub(super) fn since_progress(&self) -> Duration {
        self.progressed.elapsed()
    }

    /// One line, if there is something new to say.
    pub(super) fn progress(&mut self) -> Result<(), Failure> {
        let now = (self.source.read, self.ledger.records_out());
        if self.printed.replace(now) == Some(now) {
            return Ok(());
        }
        let seconds = self.seconds();
        let arrived = self.ledger.records_out() - self.out_before;
        say(format_args!(
            "{seconds:6.2} s  {SOURCE}: {} records, {}  {SINK}: {} of {} records, {}, {} records/s",
            grouped(self.source.read),
            bytes(self.source.bytes),
            grouped(self.ledger.records_out()),
            grouped(self.ledger.records_in()),
            bytes(self.ledger.bytes_out()),
            grouped((arrived as f64 / seconds.max(0.001)) as u64),
        ))
    }

    /// Nothing moves any more, and records are missing.
    pub(super) fn stalled(&self) -> Failure {
        Failure::new(format!("{} records have not arrived, and nothing moves", grouped(self.ledger.missing())))
            .detail(format_args!("{} went in, {} came out", self.ledger.records_in(), self.ledger.records_out()))
            .hint("delete the data directory to start over; --log info shows more")
    }

    /// What scripts read.
    pub(super) fn last_line(&self, json: bool) -> Result<(), Failure> {
        if !json {
            return Ok(());
        }
        let seconds = (self.seconds() * 1_000.0).round() / 1_000.0;
        let (records_in, records_out) = (self.ledger.records_in(), self.ledger.records_out());
        say(json!({ "records_in": records_in, "records_out": records_out, "seconds": seconds }))
    }

    /// From the start to the last record that was seen.
    fn seconds(&self) -> f64 {
        self.progressed.duration_since(self.started).as_secs_f64()
    }
}

/// The numbers of all tasks of a connector together.
fn totals(app: &App, connector: &str) -> Totals {
    app.metrics.totals(connector).into_iter().fold(Totals::default(), |sum, (_, task)| Totals {
        read: sum.read + task.read,
        written: sum.written + task.written,
        filtered: sum.filtered + task.filtered,
        skipped: sum.skipped + task.skipped,
        bytes: sum.bytes + task.bytes,
    })
}

/// Where everything is.
pub(super) fn introduce(app: &App, files: &Files) -> Result<(), Failure> {
    say("embedded development broker, not for production")?;
    say(format_args!("Kafka   {}", app.kafka))?;
    say(format_args!("REST    {}", app.url()))?;
    say(format_args!("input   {}", files.input.display()))?;
    say(format_args!("        → {SOURCE} (FileStreamSource in its sandbox)"))?;
    say(format_args!("topic   {TOPIC}"))?;
    say(format_args!(
        "        → {SINK} (InsertField, ReplaceField, TimestampConverter, FileStreamSink, each in its sandbox)"
    ))?;
    say(format_args!("output  {}", files.output.display()))?;
    say("plugins are loaded; the first start compiles them, which takes a few seconds")
}

/// Three things to try.
pub(super) fn next_steps(app: &App, files: &Files) -> Result<(), Failure> {
    let url = app.url();
    let option = if url == "http://127.0.0.1:8083" { String::new() } else { format!(" --url {url}") };
    say("")?;
    say("every record has arrived; all of it is still running. Three things to try in another terminal:")?;
    say(format_args!(
        "1. add a line and see it come out:   head -1 {0} >> {0}; tail -1 {1}",
        files.input.display(),
        files.output.display()
    ))?;
    say(format_args!(
        "2. look after the connectors:        tidegate connector list{option}; curl {url}/connectors/{SINK}/status"
    ))?;
    say(format_args!(
        "3. write a transform of your own:    tidegate plugin new --lang rust my-transform && cd my-transform && tidegate plugin build && tidegate plugin push{option} target/wasm32-wasip2/release/my_transform.wasm"
    ))?;
    say("Ctrl-C stops everything; the next start goes on from here")
}
