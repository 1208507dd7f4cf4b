//! `tidegate dlq replay`: dead letters become records of their topics again.
//!
//! First it is counted what there is to do; nothing is written without `--yes`. Then the letters are written a batch at a
//! time, and what Kafka has acknowledged is noted ([`Memory`]): a second run goes on from there, and after a crash at most one
//! batch is written twice. Letters that come while it runs are left for the next run.

use std::collections::BTreeMap;

use clap::Args;
use indicatif::ProgressBar;
use tidegate_kafka::{Admin, OutHeader, OutRecord, PartitionOffset, Producer};

use super::letter::Letter;
use super::memory::{Memory, group};
use super::queue::{Ends, Queue, Reading};
use super::selection::Selection;
use super::{QueueArgs, blocking, letters, through};
use crate::failure::Failure;
use crate::output::{grouped, say};

/// What the producer holds.
const PRODUCER_BUDGET_BYTES: usize = 16 << 20;
/// How long Kafka may take to acknowledge a record.
const DELIVERY_TIMEOUT_MS: u32 = 60_000;
/// How long one wait takes, so that progress is seen.
const STEP: std::time::Duration = std::time::Duration::from_millis(100);

#[derive(Debug, Args)]
pub(crate) struct Replay {
    #[command(flatten)]
    queue: QueueArgs,
    #[command(flatten)]
    selection: Selection,
    /// Do it, instead of telling what would be done.
    #[arg(long)]
    yes: bool,
    /// Write to this topic instead of those that the letters came from.
    #[arg(long, value_name = "TOPIC")]
    to: Option<String>,
    /// Give the letters to this sink connector again, instead of writing them to topics that others read too.
    #[arg(long, value_name = "CONNECTOR", conflicts_with_all = ["to", "reason", "stage", "partition", "offsets", "limit"])]
    through: Option<String>,
    /// Replay so many at most.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Take what was replayed before, too.
    #[arg(long)]
    again: bool,
}

/// What there is to do.
#[derive(Debug, Default)]
struct Plan {
    /// Letters by the topic that they go to.
    topics: BTreeMap<String, u64>,
    /// Letters that do not say where they came from.
    homeless: u64,
    replayed_before: u64,
}

/// Everything that says which letters go where.
struct Task {
    queue: Queue,
    selection: Selection,
    to: Option<String>,
    limit: u64,
    again: bool,
}

impl Replay {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let queue = self.queue.find().await?;
        if let Some(connector) = &self.through {
            return through::replay(queue, connector, &self.queue.worker.url, self.yes, self.again).await;
        }
        if self.to.as_deref() == Some(queue.topic.as_str()) {
            return Err(Failure::usage("--to names the dead letter queue itself")
                .detail("its letters would be there twice, and in the end for ever"));
        }
        let selection = Selection { connector: self.queue.connector.clone(), ..self.selection };
        let limit = self.limit.unwrap_or(u64::MAX);
        let task = Task { queue, selection, to: self.to, limit, again: self.again };
        let yes = self.yes;
        blocking(move || task.run(yes)).await
    }
}

impl Task {
    fn run(&self, yes: bool) -> Result<(), Failure> {
        let admin = self.queue.admin()?;
        let ends = self.queue.ends(&admin)?;
        let memory = Memory::read(&admin, &self.queue.topic, self.to.as_deref())
            .map_err(|error| self.queue.failure("what was replayed cannot be found out", &error))?;
        let plan = self.plan(&ends, &memory)?;
        let total: u64 = plan.topics.values().sum();
        if plan.replayed_before > 0 {
            say(format_args!("{}, replayed before: left out", letters(plan.replayed_before)))?;
        }
        if plan.homeless > 0 {
            return Err(Failure::new(format!("{} without the topic they came from", letters(plan.homeless)))
                .detail("errors.deadletterqueue.context.headers.enable was off when they were written")
                .hint("name a topic with --to, or choose others with --reason or --offsets"));
        }
        if total == 0 {
            return say("nothing to replay");
        }
        if !yes {
            say(format_args!("would replay {} of \"{}\"", letters(total), self.queue.topic))?;
            plan.topics
                .iter()
                .try_for_each(|(topic, count)| say(format_args!("  {} to \"{topic}\"", grouped(*count))))?;
            return say("nothing was written; add --yes to do it");
        }
        let bar = ProgressBar::new(total);
        let outcome = self.write_all(&admin, &ends, &memory, &bar);
        bar.finish_and_clear();
        let written = outcome?;
        say(format_args!("{} of \"{}\" replayed", letters(written), self.queue.topic))?;
        plan.topics.iter().try_for_each(|(topic, count)| say(format_args!("  {} to \"{topic}\"", grouped(*count))))
    }

    /// Whether a letter is to be replayed.
    fn wants(&self, letter: &Letter, memory: &Memory) -> bool {
        self.selection.matches(letter) && (self.again || !memory.has(letter))
    }

    fn target<'a>(&'a self, letter: &'a Letter) -> Option<&'a str> {
        self.to.as_deref().or(letter.reason.topic.as_deref())
    }

    fn plan(&self, ends: &Ends, memory: &Memory) -> Result<Plan, Failure> {
        let mut plan = Plan::default();
        let mut left = self.limit;
        self.queue.read(ends, |letters| {
            for letter in letters.iter().filter(|letter| self.selection.matches(letter)) {
                if left == 0 {
                    return Ok(Reading::Enough);
                }
                if !self.wants(letter, memory) {
                    plan.replayed_before += 1;
                    continue;
                }
                left -= 1;
                match self.target(letter) {
                    Some(topic) => *plan.topics.entry(topic.to_owned()).or_default() += 1,
                    None => plan.homeless += 1,
                }
            }
            Ok(Reading::On)
        })?;
        Ok(plan)
    }

    /// Writes what is wanted and notes how far it came; answers how many letters were written.
    fn write_all(&self, admin: &Admin, ends: &Ends, memory: &Memory, bar: &ProgressBar) -> Result<u64, Failure> {
        let mut settings = self.queue.producer_settings(PRODUCER_BUDGET_BYTES);
        settings.set("message.timeout.ms", DELIVERY_TIMEOUT_MS.to_string());
        let mut producer =
            Producer::open(&settings).map_err(|error| self.queue.failure("no Kafka client can be made", &error))?;
        let group = group(&self.queue.topic, self.to.as_deref(), &self.selection);
        let mut noted = memory.progress(&self.selection);
        let mut written = 0;
        self.queue.read(ends, |letters| {
            let mut passed: Ends = BTreeMap::new();
            let mut chosen = Vec::new();
            let mut is_full = false;
            for letter in letters {
                let is_wanted = self.wants(&letter, memory);
                is_full = is_wanted && written + chosen.len() as u64 >= self.limit;
                if is_full {
                    break;
                }
                passed.insert(letter.partition, letter.offset + 1);
                if is_wanted {
                    chosen.push(letter);
                }
            }
            self.write(&mut producer, &chosen)?;
            written += chosen.len() as u64;
            bar.inc(chosen.len() as u64);
            // What lies before where an earlier run got to is no news.
            passed.retain(|partition, next| noted.get(partition).is_none_or(|known| known < next));
            let news: Vec<_> = passed
                .iter()
                .map(|(&partition, &next)| PartitionOffset::new(self.queue.topic.as_str(), partition, next))
                .collect();
            if !news.is_empty() {
                Memory::note(admin, &group, &news).map_err(|error| {
                    self.queue
                        .failure("it cannot be noted how far the replay came", &error)
                        .hint("what was written last would be written again by the next run")
                })?;
                noted.extend(passed);
            }
            Ok(if is_full { Reading::Enough } else { Reading::On })
        })?;
        Ok(written)
    }

    /// Writes letters as the records that they were; ready when Kafka has all of them.
    fn write(&self, producer: &mut Producer, letters: &[Letter]) -> Result<(), Failure> {
        if letters.is_empty() {
            return Ok(());
        }
        let headers: Vec<Vec<OutHeader<'_>>> = letters
            .iter()
            .map(|letter| {
                letter.headers.iter().map(|(name, value)| OutHeader { name, value: value.as_deref() }).collect()
            })
            .collect();
        let records: Vec<OutRecord<'_>> = letters
            .iter()
            .zip(&headers)
            .map(|(letter, headers)| OutRecord {
                topic: self.target(letter).unwrap_or_default(),
                // Back to the very partition; somewhere else the key decides.
                partition: letter.reason.partition.filter(|_| self.to.is_none()),
                key: letter.key.as_deref(),
                value: letter.value.as_deref(),
                headers,
                timestamp: letter.timestamp,
            })
            .collect();
        let lost = |error: &tidegate_kafka::KafkaError| {
            Failure::new("not all dead letters were replayed").detail(error).detail(
                "the next run goes on with this batch: letters of it that were written, 499 at most, are written again",
            )
        };
        let mut outcomes = Vec::new();
        let enqueued = producer.produce(&records, STEP);
        let mut accepted = enqueued.accepted;
        while accepted < records.len() {
            accepted += producer.resume(enqueued.ticket, &records[accepted..], STEP).map_err(|error| lost(&error))?;
            producer.poll_acks(std::time::Duration::ZERO, &mut outcomes);
        }
        while outcomes.is_empty() {
            producer.poll_acks(STEP, &mut outcomes);
            producer.check().map_err(|error| lost(&error))?;
        }
        match outcomes.iter().flat_map(|outcome| &outcome.failures).next() {
            None => Ok(()),
            Some(failure) => {
                let letter = &letters[failure.index];
                let what = format!("{}-{}@{}", self.queue.topic, letter.partition, letter.offset);
                let doing = format!("writing dead letter {what} to \"{}\"", records[failure.index].topic);
                Err(lost(&failure.to_error(&doing))
                    .hint("name another topic with --to, or leave the letter out with --offsets"))
            }
        }
    }
}
