//! `tidegate dlq show`.

use clap::Args;

use super::letter::{Letter, iso, shown};
use super::queue::Reading;
use super::selection::Selection;
use super::{QueueArgs, blocking};
use crate::failure::Failure;
use crate::output::say;

/// How much of a key, value or header is shown.
const CHARS_MAX: usize = 1_000;

#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    queue: QueueArgs,
    #[command(flatten)]
    selection: Selection,
    /// How many are shown.
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Print each as a line of JSON, whole.
    #[arg(long)]
    json: bool,
    /// Show stack traces too.
    #[arg(long)]
    stacktrace: bool,
}

impl Show {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let queue = self.queue.find().await?;
        let selection = Selection { connector: self.queue.connector.clone(), ..self.selection };
        let (limit, as_json, with_trace) = (self.limit, self.json, self.stacktrace);
        blocking(move || {
            let admin = queue.admin()?;
            let ends = queue.ends(&admin)?;
            let mut left = limit;
            if left == 0 {
                return Ok(());
            }
            queue.read(&ends, |letters| {
                for letter in letters.iter().filter(|letter| selection.matches(letter)) {
                    match as_json {
                        true => say(letter.to_json(&queue.topic))?,
                        false => show(&queue.topic, letter, with_trace)?,
                    }
                    left -= 1;
                    if left == 0 {
                        return Ok(Reading::Enough);
                    }
                }
                Ok(Reading::On)
            })
        })
        .await
    }
}

fn show(topic: &str, letter: &Letter, with_trace: bool) -> Result<(), Failure> {
    let Letter { partition, offset, reason, .. } = letter;
    let time = letter.timestamp.map(|time| format!("  {}", iso(time))).unwrap_or_default();
    say(format_args!("{topic}-{partition}@{offset}{time}"))?;
    let line = |name: &str, text: &str| say(format_args!("  {name:<9} {text}"));
    if reason.topic.is_some() {
        line("from", &reason.origin())?;
    }
    if let Some(connector) = &reason.connector {
        let task = reason.task.as_ref().map(|task| format!(", task {task}")).unwrap_or_default();
        line("connector", &format!("{connector}{task}"))?;
    }
    if let Some(stage) = &reason.stage {
        line("stage", &format!("{stage} {}", reason.class.as_deref().unwrap_or_default()))?;
    }
    if let Some(exception) = &reason.exception {
        let message = shown(reason.message.as_deref().map(str::as_bytes), CHARS_MAX);
        line("error", &format!("{exception}: {message}"))?;
    }
    if let Some(trace) = reason.stacktrace.as_ref().filter(|_| with_trace) {
        trace.lines().try_for_each(|frame| line("", &shown(Some(frame.as_bytes()), CHARS_MAX)))?;
    }
    line("key", &shown(letter.key.as_deref(), CHARS_MAX))?;
    line("value", &shown(letter.value.as_deref(), CHARS_MAX))?;
    for (name, value) in &letter.headers {
        line(
            "header",
            &format!("{}: {}", shown(Some(name.as_bytes()), CHARS_MAX), shown(value.as_deref(), CHARS_MAX)),
        )?;
    }
    Ok(())
}
