//! The task: which records are its own, how fast they come, where it stands.
//!
//! Record *i* belongs to shard *i* mod 16, and every task owns some of the shards. A shard is a source partition, so that
//! stored offsets mean the same whatever the number of tasks.

use crate::template::Template;
use std::time::{Duration, Instant};
use tidegate_sdk::{
    Config, Definition, Error, Key, Problem, Record, Result, SchemaId, SourceBatch, SourceTask, host, serde_json,
};

const SHARDS: u64 = 16;
/// Set by `task_configs`: the shards of a task.
const SHARDS_KEY: &str = "shards";

/// One task that makes up records.
pub struct Datagen {
    template: Template,
    topic: String,
    seed: u64,
    /// Records in all, over all tasks.
    count: u64,
    /// Records per second of this task; none: as fast as they are taken.
    rate: Option<f64>,
    step_ms: f64,
    schema: SchemaId,
    shards: Vec<Shard>,
    started: Instant,
    made: u64,
}

/// A source partition.
struct Shard {
    partition: String,
    /// The number of the record that comes next.
    next: u64,
}

impl SourceTask for Datagen {
    fn definition() -> Definition {
        Definition::source("Datagen")
            .alias("DatagenSource")
            .doc("Makes up realistic records: the same seed gives the same records, in any number of tasks.")
            .exactly_once()
            .ends()
            .key(
                Key::string("template")
                    .high()
                    .default("orders")
                    .one_of(&Template::NAMES)
                    .doc("What the records are: orders, pageviews or sensors."),
            )
            .key(Key::string("topic").high().required().non_empty().doc("The topic to write to."))
            .key(
                Key::double("rate")
                    .default("10")
                    .min(0)
                    .doc("Records per second over all tasks; 0 makes them as fast as they are taken."),
            )
            .key(Key::long("count").default("0").min(0).doc("Records in all; 0 never ends."))
            .key(Key::long("seed").low().default("1").doc("Another seed gives other records."))
            .key(Key::string(SHARDS_KEY).low().internal().default("").doc("The share of a task; set for each task."))
    }

    fn validate(config: &Config) -> Vec<Problem> {
        match settings(config) {
            Err(Error::InvalidConfig(problem)) => vec![problem],
            _ => Vec::new(),
        }
    }

    fn exactly_once_support(_: &Config) -> bool {
        true
    }

    fn task_configs(config: &Config, tasks_max: u32) -> Result<Vec<Config>> {
        let tasks = u64::from(tasks_max).clamp(1, SHARDS);
        let shards_of = |task: u64| (task..SHARDS).step_by(tasks as usize).map(|shard| shard.to_string());
        Ok((0..tasks)
            .map(|task| config.clone().with(SHARDS_KEY, shards_of(task).collect::<Vec<_>>().join(",")))
            .collect())
    }

    fn start(config: &Config) -> Result<Datagen> {
        let Settings { template, rate, count, seed, shards: numbers } = settings(config)?;
        let partitions: Vec<String> =
            numbers.iter().map(|shard| serde_json::json!({ "shard": shard }).to_string()).collect();
        let offsets = host::load_offsets(&partitions)?;
        let mut shards = Vec::new();
        for ((partition, number), offset) in partitions.into_iter().zip(&numbers).zip(offsets) {
            let next = match offset {
                None => *number,
                Some(offset) => next_of(&offset)?,
            };
            shards.push(Shard { partition, next });
        }
        let share = numbers.len() as f64 / SHARDS as f64;
        Ok(Datagen {
            template,
            topic: config.string("topic")?.to_owned(),
            seed,
            count,
            rate: (rate > 0.0).then_some(rate * share),
            // Unpaced records lie a millisecond apart.
            step_ms: if rate > 0.0 { 1_000.0 / rate } else { 1.0 },
            schema: host::define_schema(&template.schema())?,
            shards,
            started: Instant::now(),
            made: 0,
        })
    }

    fn poll(&mut self, batch: &mut SourceBatch) -> Result<()> {
        if self.due_shard().is_none() {
            return Err(Error::EndOfInput);
        }
        let allowed = self.wait_until_allowed(batch.limits().wait_ms);
        while (batch.len() as u64) < allowed && !batch.is_full() {
            let Some(due) = self.due_shard() else { break };
            let shard = &mut self.shards[due];
            let made = self.template.make(self.seed, shard.next, self.step_ms);
            shard.next += SHARDS;
            let record = Record::to(self.topic.as_str())
                .key(made.key)
                .value_of(self.schema, made.value)
                .at(made.timestamp)
                .from(shard.partition.as_str(), format!("{{\"next\":{}}}", shard.next));
            batch.push(&record)?;
            self.made += 1;
        }
        Ok(())
    }
}

impl Datagen {
    /// The shard whose record comes first; none when all are made.
    fn due_shard(&self) -> Option<usize> {
        let (due, shard) = self.shards.iter().enumerate().min_by_key(|(_, shard)| shard.next)?;
        (shard.next < self.count).then_some(due)
    }

    /// How many records may be made now. Waits for the first one, as long as it may.
    fn wait_until_allowed(&self, wait_ms: u32) -> u64 {
        let Some(rate) = self.rate else { return u64::MAX };
        let allowed = |elapsed: Duration| (elapsed.as_secs_f64() * rate) as u64 + 1;
        let elapsed = Instant::now().duration_since(self.started);
        if allowed(elapsed) <= self.made {
            let due = Duration::from_secs_f64(self.made as f64 / rate);
            std::thread::sleep(due.saturating_sub(elapsed).min(Duration::from_millis(wait_ms.into())));
        }
        allowed(Instant::now().duration_since(self.started)).saturating_sub(self.made)
    }
}

/// A configuration that was checked.
struct Settings {
    template: Template,
    rate: f64,
    /// `u64::MAX` for no end.
    count: u64,
    seed: u64,
    shards: Vec<u64>,
}

fn settings(config: &Config) -> Result<Settings> {
    let name = config.string("template")?;
    let template = Template::of_name(name)
        .ok_or_else(|| Error::invalid_config("template", format!("\"{name}\" is none of {:?}", Template::NAMES)))?;
    let rate = config.double("rate")?;
    if !(0.0..=1e9).contains(&rate) {
        return Err(Error::invalid_config("rate", format!("{rate} is not between 0 and 1000000000")));
    }
    let count = match config.long("count")? {
        0 => u64::MAX,
        count => u64::try_from(count).map_err(|_| Error::invalid_config("count", "is less than 0"))?,
    };
    let mut shards = Vec::new();
    for text in config.list(SHARDS_KEY) {
        match text.parse() {
            Ok(shard) if shard < SHARDS => shards.push(shard),
            _ => return Err(Error::invalid_config(SHARDS_KEY, format!("\"{text}\" is not below {SHARDS}"))),
        }
    }
    if shards.is_empty() {
        shards.extend(0..SHARDS);
    }
    Ok(Settings { template, rate, count, seed: config.long("seed")? as u64, shards })
}

fn next_of(offset: &str) -> Result<u64> {
    let json: serde_json::Value = serde_json::from_str(offset).map_err(Error::fatal)?;
    let next = json.get("next").and_then(serde_json::Value::as_u64);
    next.ok_or_else(|| Error::fatal(format!("the stored offset {offset} has no whole number \"next\"")))
}
