//! `tidegate dlq list`.

use clap::Args;

use super::memory::Memory;
use super::queue::Reading;
use super::reasons::Reasons;
use super::selection::Selection;
use super::{QueueArgs, blocking, letters};
use crate::failure::Failure;
use crate::output::{grouped, say, say_json, say_table};

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    queue: QueueArgs,
    #[command(flatten)]
    selection: Selection,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl List {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let queue = self.queue.find().await?;
        let selection = Selection { connector: self.queue.connector.clone(), ..self.selection };
        let topic = queue.topic.clone();
        let reasons = blocking(move || {
            let admin = queue.admin()?;
            let ends = queue.ends(&admin)?;
            let memory = Memory::read(&admin, &queue.topic, None)
                .map_err(|error| queue.failure("what was replayed cannot be found out", &error))?;
            let mut reasons = Reasons::default();
            queue.read(&ends, |letters| {
                for letter in letters.iter().filter(|letter| selection.matches(letter)) {
                    reasons.add(letter, memory.has(letter));
                }
                Ok(Reading::On)
            })?;
            Ok(reasons)
        })
        .await?;
        if self.json {
            return say_json(&reasons.to_json());
        }
        let replayed = match reasons.replayed() {
            0 => String::new(),
            replayed => format!(", {} of them replayed", grouped(replayed)),
        };
        say(format_args!("{} in \"{topic}\"{replayed}", letters(reasons.letters())))?;
        if reasons.letters() == 0 {
            return Ok(());
        }
        let rows: Vec<_> = reasons
            .sorted()
            .into_iter()
            .map(|(key, count)| {
                let exception = key.exception.rsplit('.').next().unwrap_or_default();
                [
                    grouped(count.letters),
                    key.connector.clone(),
                    key.stage.clone(),
                    exception.to_owned(),
                    key.message.clone(),
                ]
            })
            .collect();
        say_table(["COUNT", "CONNECTOR", "STAGE", "EXCEPTION", "MESSAGE"], &rows)
    }
}
