//! `tidegate demo`: a file becomes a topic becomes a file, before the reader's eyes.
//!
//! It is `dev` with two connectors and somebody who watches: nothing here works in a way that a user's own connectors
//! could not. What arrived is counted in the output file, not in anybody's counters.

mod connectors;
mod ledger;
mod story;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use tidegate_config::Settings;
use tidegate_herder::{Error, RunState};

use super::DataDirArg;
use crate::app::{App, Cluster, Launch};
use crate::failure::Failure;
use crate::loading;
use crate::output::say;
use crate::shutdown::Shutdown;
use connectors::{SINK, SOURCE};
use ledger::Ledger;
use story::Story;

/// Moves some thousand real earthquakes from a file through a topic into a file, and shows it.
///
/// A second run goes on where the first one stopped.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Stop when every record has arrived.
    #[arg(long)]
    once: bool,
    /// Print a last line of JSON: {"records_in":…,"records_out":…,"seconds":…}.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataDirArg,
}

/// Earthquakes of a week, one JSON object a line; `tests/data/README.md` has the source.
const EARTHQUAKES: &[u8] = include_bytes!("../../../../../tests/data/earthquakes.jsonl");

/// How often the output is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How often a line is printed while records move.
const REPORT: Duration = Duration::from_millis(500);
/// Without a new record for so long, something is wrong.
const STALLED: Duration = Duration::from_secs(60);

/// The ports people expect; the demo takes others when these are taken.
const REST_PORT: u16 = 8083;
const KAFKA_PORT: u16 = 9092;

/// The demo's files.
#[derive(Debug, Clone)]
struct Files {
    input: PathBuf,
    output: PathBuf,
}

impl Files {
    fn within(folder: &Path) -> Files {
        Files { input: folder.join("earthquakes.jsonl"), output: folder.join("out.jsonl") }
    }
}

impl Demo {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        if self.once && self.is_finished()? {
            return Ok(());
        }
        let shutdown = Shutdown::listen()?;
        let app = App::start(self.launch()).await?;
        let watched = self.watch(&app, &shutdown).await;
        // A demo that shall go on waits for its end here; one that is over or has failed does not.
        let stopped = match watched {
            Ok(Watched::TellMore) => app.run_until(&shutdown).await,
            _ => app.stop().await,
        };
        let watched = watched?;
        stopped?;
        match watched {
            Watched::Complete(story) => story.last_line(self.json),
            Watched::TellMore => Ok(()),
            Watched::Interrupted => {
                Err(Failure::new("stopped before every record had arrived").hint("run it again, it goes on from here"))
            }
        }
    }

    fn launch(&self) -> Launch {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let preferred = |port| match !self.once && TcpListener::bind(local(port)).is_ok() {
            true => local(port),
            false => local(0),
        };
        let (rest, kafka) = (preferred(REST_PORT), preferred(KAFKA_PORT));
        let cluster = Cluster::Development { rest, kafka, sandbox: Settings::new() };
        Launch { data_dir: self.data.data_dir.clone(), cluster }
    }

    /// Whether an earlier run has done everything; says so.
    fn is_finished(&self) -> Result<bool, Failure> {
        let started = Instant::now();
        let files = Files::within(&self.data.data_dir.join("demo"));
        if !(files.input.exists() && files.output.exists()) {
            return Ok(false);
        }
        let ledger = Ledger::open(&files)?;
        if !ledger.is_complete() {
            return Ok(false);
        }
        say(format_args!(
            "all records are in {} already; delete {} to start over",
            files.output.display(),
            self.data.data_dir.display()
        ))?;
        Story::new(ledger, started).last_line(self.json)?;
        Ok(true)
    }

    /// Creates the connectors and tells what happens, until there is nothing more to tell.
    async fn watch(&self, app: &App, shutdown: &Shutdown) -> Result<Watched, Failure> {
        let files = Files::within(&app.data_path("demo"));
        prepare(&files)?;
        story::introduce(app, &files)?;
        let told = async {
            loading::wait(&app.loaded)
                .await
                .map_err(|reason| Failure::new("plugins cannot be loaded").detail(reason))?;
            let mut story = Story::new(Ledger::open(&files)?, Instant::now());
            if connectors::create_source(&app.herder, &files).await? {
                // A sink finds a topic that is there at once, and one that comes later after a while.
                until(app, &mut story, Story::has_read).await?;
            }
            connectors::create_sink(&app.herder, &files).await?;
            until(app, &mut story, Story::is_complete).await?;
            Ok(story)
        };
        let story = tokio::select! {
            story = told => story?,
            () = shutdown.wanted() => return Ok(Watched::Interrupted),
        };
        if self.once {
            return Ok(Watched::Complete(Box::new(story)));
        }
        if self.json {
            story.last_line(true)?;
        }
        story::next_steps(app, &files)?;
        Ok(Watched::TellMore)
    }
}

/// Prints progress until what is waited for is the case.
async fn until(app: &App, story: &mut Story, is_reached: impl Fn(&Story) -> bool) -> Result<(), Failure> {
    let mut look = tokio::time::interval(LOOK);
    let mut reported = Instant::now();
    loop {
        story.look(app)?;
        if is_reached(story) {
            return story.progress();
        }
        fail_if_failed(app).await?;
        if story.since_progress() > STALLED {
            return Err(story.stalled());
        }
        if reported.elapsed() >= REPORT {
            story.progress()?;
            reported = Instant::now();
        }
        look.tick().await;
    }
}

/// How watching ended.
enum Watched {
    /// Every record has arrived, and the process shall end.
    Complete(Box<Story>),
    /// Every record has arrived, and the process goes on.
    TellMore,
    /// The process was told to stop.
    Interrupted,
}

/// Puts the input in its place. One that is there, perhaps with lines that the reader added, is left alone.
fn prepare(files: &Files) -> Result<(), Failure> {
    let failed = |error| Failure::new(format!("\"{}\" cannot be written", files.input.display())).detail(error);
    if files.input.exists() {
        return Ok(());
    }
    if let Some(folder) = files.input.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let part = files.input.with_extension("part");
    fs::write(&part, EARTHQUAKES).and_then(|()| fs::rename(&part, &files.input)).map_err(failed)
}

/// A task that failed will not go on by itself.
async fn fail_if_failed(app: &App) -> Result<(), Failure> {
    for name in [SOURCE, SINK] {
        let status = match app.herder.status(name).await {
            Ok(status) => status,
            // Not created yet.
            Err(Error::NotFound { .. }) => continue,
            Err(error) => return Err(Failure::new(error.to_string())),
        };
        let instances = std::iter::once(&status.connector).chain(&status.tasks);
        if let Some(failed) = instances.into_iter().find(|instance| instance.state == RunState::Failed) {
            let trace = failed.trace.as_deref().unwrap_or("it left no trace");
            return Err(Failure::new(format!("connector \"{name}\" failed")).detail(trace));
        }
    }
    Ok(())
}
