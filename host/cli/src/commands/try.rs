//! `tidegate try`: transforms, predicates, converters and chains without a worker and without Kafka.

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};
use tidegate_engine::{Engine, EngineConfig};
use tidegate_worker::{Catalog, ChainError, Shown, Stage, Trial, TriedChain};

use crate::app;
use crate::connector_file::ConnectorFile;
use crate::failure::Failure;
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct Try {
    /// Answer vectors: one JSON object a line with a transform, predicate or converter, its config and an input.
    #[arg(long, required_unless_present = "chain", conflicts_with = "chain")]
    vectors: bool,
    /// Show what the chain of this connector's configuration makes of sample records, a JSON value a line.
    #[arg(long, value_name = "CONNECTOR.json")]
    chain: Option<PathBuf>,
    /// The lines are whole records: {"topic","partition","timestamp","key","value","headers"}.
    #[arg(long, requires = "chain")]
    records: bool,
    /// One JSON object for each sample instead of text.
    #[arg(long, requires = "chain")]
    json: bool,
    /// A plugin to try besides those in the box; may be repeated.
    #[arg(long, value_name = "FILE.wasm")]
    plugin: Vec<PathBuf>,
    /// Where compiled plugins are kept, so that the next run starts at once; without it nothing is kept.
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

impl Try {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let connector = self.chain.as_deref().map(ConnectorFile::read).transpose()?;
        let mut plugins = Vec::with_capacity(self.plugin.len());
        for file in &self.plugin {
            plugins.push((file.clone(), super::plugin::read_component(file)?));
        }
        let scratch = tempfile::tempdir()
            .map_err(|error| Failure::new("no directory for temporary files can be made").detail(error))?;
        let cache = self.cache.clone().unwrap_or_else(|| scratch.path().join("cache"));
        let engine = Engine::start(EngineConfig::new(app::compiler()?, cache))
            .map_err(|error| Failure::new(error.to_string()))?;
        let folder = scratch.path().join("plugins");
        let worker = engine.clone();
        // Guests run on the engine's own threads.
        let tried = worker.spawn(async move {
            let mut trial = prepare(engine, &folder, plugins).await?;
            match connector {
                None => answer_vectors(&mut trial).await,
                Some(connector) => {
                    let settings = connector.config.into_iter().collect();
                    let chain = trial.chain(&settings).await.map_err(|error| refused(&error))?;
                    show_samples(chain, self.records, self.json).await
                }
            }
        });
        tried.await.map_err(|error| Failure::new("trying crashed").detail(error))?
    }
}

/// Loads what is in the box, and what was named.
async fn prepare(engine: Engine, folder: &Path, plugins: Vec<(PathBuf, Vec<u8>)>) -> Result<Trial, Failure> {
    let unloadable = |what: &str, error: &dyn std::fmt::Display| {
        Failure::new(format!("the plugin \"{what}\" cannot be loaded")).detail(error)
    };
    let catalog = Catalog::open(engine, folder.to_owned()).map_err(|error| Failure::new(error.to_string()))?;
    for bundled in tidegate_bundled::components() {
        catalog.add_bundled(bundled.bytes).await.map_err(|error| unloadable(bundled.name, &error))?;
    }
    for (file, bytes) in plugins {
        catalog.upload(&bytes).await.map_err(|error| unloadable(&file.display().to_string(), &error))?;
    }
    let config = app::trial_config()?;
    Ok(Trial::new(Arc::new(catalog), config, app::working_directory()?))
}

/// A line for a line, as they come: whoever writes the next after reading an answer gets it.
async fn answer_vectors(trial: &mut Trial) -> Result<(), Failure> {
    while let Some(line) = next_line()? {
        output::say(trial.vector(&line).await)?;
    }
    Ok(())
}

/// The next line that is not blank; none at the end.
fn next_line() -> Result<Option<String>, Failure> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = std::io::stdin().lock().read_until(b'\n', &mut line);
        match read.map_err(|error| Failure::new("the input cannot be read").detail(error))? {
            0 => return Ok(None),
            // What is not UTF-8 is no JSON either, and is told so where it stands.
            _ if !line.trim_ascii().is_empty() => {
                return Ok(Some(String::from_utf8_lossy(line.trim_ascii()).into_owned()));
            }
            _ => {}
        }
    }
}

async fn show_samples(mut chain: TriedChain, is_record: bool, as_json: bool) -> Result<(), Failure> {
    let (mut wrong, mut number) = (0, 0);
    while let Some(line) = next_line()? {
        number += 1;
        let shown = chain.sample(&line, is_record).await;
        match shown {
            Ok(stages) if as_json => output::say(stages_json(number, &stages))?,
            Ok(stages) => show(number, &stages)?,
            Err(ChainError::Sample(message)) => {
                wrong += 1;
                match as_json {
                    true => output::say(json!({ "sample": number, "error": message }))?,
                    false => output::say(format_args!("sample {number} is none: {message}"))?,
                }
            }
            Err(error) => return Err(refused(&error)),
        }
    }
    match wrong {
        0 => Ok(()),
        1 => Err(Failure::new("a line is no sample")),
        _ => Err(Failure::new(format!("{wrong} lines are no samples"))),
    }
}

fn refused(error: &ChainError) -> Failure {
    match error {
        ChainError::Invalid(problems) => {
            problems.iter().fold(Failure::usage(error.to_string()), |failure, problem| failure.detail(&problem.message))
        }
        other => Failure::new("the chain cannot be tried").detail(other),
    }
}

/// What each step changed.
fn show(number: usize, stages: &[Stage]) -> Result<(), Failure> {
    output::say(format_args!("sample {number}"))?;
    let mut before: Vec<&[(String, String)]> = vec![&[]];
    for Stage { step, outcomes } in stages {
        let count = outcomes.len();
        let mut after = Vec::new();
        for (at, outcome) in outcomes.iter().enumerate() {
            match count {
                1 => output::say(format_args!("  {step}"))?,
                count => output::say(format_args!("  {step}, record {} of {count}", at + 1))?,
            }
            // A record that was made of another is shown beside that one.
            let before = if before.len() == count { before[at] } else { before[0] };
            show_outcome(outcome, before)?;
            after.push(match outcome {
                Shown::Record(record) => record.parts.as_slice(),
                Shown::Dropped | Shown::Failed { .. } => before,
            });
        }
        before = after;
    }
    Ok(())
}

fn show_outcome(outcome: &Shown, before: &[(String, String)]) -> Result<(), Failure> {
    match outcome {
        Shown::Dropped => output::say("    dropped")?,
        Shown::Failed { stage, exception, message } => {
            output::say(format_args!("    failed in {stage}: {exception}: {message}"))?;
        }
        Shown::Record(record) => {
            let changed: Vec<_> = record.parts.iter().filter(|part| !before.contains(part)).collect();
            let gone: Vec<_> =
                (before.iter()).filter(|(name, _)| !record.parts.iter().any(|(still, _)| still == name)).collect();
            if changed.is_empty() && gone.is_empty() {
                output::say("    unchanged")?;
            }
            for (name, text) in changed {
                output::say(format_args!("    {name}: {text}"))?;
            }
            for (name, _) in gone {
                output::say(format_args!("    {name}: removed"))?;
            }
        }
    }
    Ok(())
}

fn stages_json(number: usize, stages: &[Stage]) -> Value {
    let of = |outcome: &Shown| match outcome {
        Shown::Dropped => ("dropped", json!(true)),
        Shown::Failed { stage, exception, message } => {
            ("error", json!({ "stage": stage, "class": exception, "message": message }))
        }
        Shown::Record(record) => ("record", serde_json::from_str(&record.json).unwrap_or_default()),
    };
    let steps = stages.iter().map(|Stage { step, outcomes }| match outcomes.as_slice() {
        [outcome] => {
            let (member, content) = of(outcome);
            json!({ "step": step, member: content })
        }
        several => {
            let all: Vec<Value> = several.iter().map(of).map(|(member, content)| json!({ member: content })).collect();
            json!({ "step": step, "records": all })
        }
    });
    json!({ "sample": number, "steps": steps.collect::<Vec<_>>() })
}
