//! A host that does what configurations say: `tasks=N` tasks, each with a copy of `each`, and `start`, `stop` or `validate` that say `hang`, `no`,
//! `panic` or, of a start, `late`: it is under way until it is abandoned, and succeeds then. Offsets are a table; `offsets=held` holds changes back until
//! [`FakeHost::let_offsets_go`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate_herder::{
    Config, ConnectorKind, ConnectorSpec, Digest, Failure, OffsetsChange, OffsetsChanged, OffsetsError, OffsetsSpec,
    PartitionOffset, Plugins, Problem, Refusal, Reporter, RestartPolicy, RunId, TaskHost, TaskSpec, ValidateRequest,
    Validated,
};
use tokio::sync::Notify;

#[derive(Clone, Default)]
pub(crate) struct FakeHost {
    inner: Arc<Mutex<Inner>>,
    offsets_held: Arc<Notify>,
    offsets_go: Arc<Notify>,
}

#[derive(Default)]
struct Inner {
    alive: BTreeMap<RunId, (Config, Reporter)>,
    abandoned: Vec<String>,
    pinned: BTreeMap<String, Plugins>,
    offsets: BTreeMap<String, BTreeMap<String, String>>,
}

/// A configuration from `key=value` pairs.
pub(crate) fn config(text: &str) -> Config {
    text.split_whitespace()
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect()
}

impl FakeHost {
    pub(crate) fn alive(&self) -> Vec<String> {
        self.inner.lock().unwrap().alive.keys().map(RunId::to_string).collect()
    }

    pub(crate) fn abandoned(&self) -> Vec<String> {
        self.inner.lock().unwrap().abandoned.clone()
    }

    pub(crate) fn pinned_when_checked(&self, name: &str) -> Option<Plugins> {
        self.inner.lock().unwrap().pinned.get(name).cloned()
    }

    /// Waits until a change of offsets is held back.
    pub(crate) async fn until_offsets_are_held(&self) {
        self.offsets_held.notified().await;
    }

    /// Lets a change of offsets that is held back, now or later, go on.
    pub(crate) fn let_offsets_go(&self) {
        self.offsets_go.notify_one();
    }

    /// Lets what runs as `subject` end with an error.
    pub(crate) async fn fail(&self, subject: &str, trace: &str) {
        let (run, reporter) = {
            let inner = self.inner.lock().unwrap();
            let found = inner.alive.iter().find(|(run, _)| run.subject.to_string() == subject).unwrap();
            (found.0.clone(), found.1.1.clone())
        };
        self.inner.lock().unwrap().alive.remove(&run);
        reporter.failed(Failure::fatal(trace)).await;
    }

    async fn start(&self, run: RunId, config: Config, reporter: Reporter) -> Result<(), Failure> {
        let how = config.get("start").cloned().unwrap_or_default();
        while how == "late" && !self.abandoned().contains(&run.to_string()) {
            // On a thread of its own, in the middle of a poll: a call that waits would simply be dropped.
            std::thread::yield_now();
        }
        {
            let mut inner = self.inner.lock().unwrap();
            let twin = inner.alive.keys().find(|alive| alive.subject == run.subject);
            assert_eq!(twin, None, "{run} starts beside another run of its instance");
            inner.alive.insert(run, (config, reporter));
        }
        match how.as_str() {
            "hang" => std::future::pending().await,
            "no" => Err(Failure::fatal("it does not start")),
            "panic" => panic!("told to panic"),
            _ => Ok(()),
        }
    }

    fn config_of(&self, run: &RunId) -> Config {
        self.inner.lock().unwrap().alive[run].0.clone()
    }
}

impl TaskHost for FakeHost {
    async fn validate(&self, request: ValidateRequest) -> Result<Validated, Refusal> {
        self.inner.lock().unwrap().pinned.insert(request.connector.name, request.pinned);
        match request.config.get("validate").map(String::as_str) {
            Some("hang") => std::future::pending().await,
            Some("no") => Err(Refusal::Invalid {
                message: "1 error".to_owned(),
                problems: vec![Problem { key: "validate".to_owned(), message: "it must not be \"no\"".to_owned() }],
            }),
            _ => Ok(Validated {
                kind: ConnectorKind::Source,
                version: Some("1.0".to_owned()),
                tasks_max: 10,
                restart: request.config.get("restarts").map(|attempts| RestartPolicy {
                    attempts_max: Some(attempts.parse().unwrap()),
                    delay_ms: 20,
                    delay_max_ms: 40,
                    reset_after_ms: 60_000,
                }),
                plugins: Plugins::from([("connector".to_owned(), Digest("sha256-of-fake".to_owned()))]),
            }),
        }
    }

    async fn start_connector(&self, spec: ConnectorSpec, reporter: Reporter) -> Result<(), Failure> {
        self.start(spec.run, spec.config, reporter).await
    }

    async fn start_task(&self, spec: TaskSpec, reporter: Reporter) -> Result<(), Failure> {
        self.start(spec.run, spec.config, reporter).await
    }

    async fn task_configs(&self, run: RunId, _tasks_max: u32) -> Result<Vec<Config>, Failure> {
        let config = self.config_of(&run);
        let tasks = config.get("tasks").map_or(0, |tasks| tasks.parse::<u32>().unwrap());
        let each = config.get("each").cloned().unwrap_or_default();
        let task = |index: u32| [("task".to_owned(), index.to_string()), ("each".to_owned(), each.clone())];
        Ok((0..tasks).map(|index| Config::from(task(index))).collect())
    }

    async fn pause(&self, run: RunId) -> Result<(), Failure> {
        self.config_of(&run);
        Ok(())
    }

    async fn resume(&self, run: RunId) -> Result<(), Failure> {
        self.config_of(&run);
        Ok(())
    }

    async fn stop(&self, run: RunId, _grace: Duration) {
        if self.config_of(&run).get("stop").is_some_and(|how| how == "hang") {
            std::future::pending::<()>().await;
        }
        self.inner.lock().unwrap().alive.remove(&run);
    }

    async fn offsets(&self, of: OffsetsSpec) -> Result<Vec<PartitionOffset>, OffsetsError> {
        let inner = self.inner.lock().unwrap();
        let table = inner.offsets.get(&of.connector.name).cloned().unwrap_or_default();
        let entry = |(partition, offset)| PartitionOffset { partition: Some(partition), offset: Some(offset) };
        Ok(table.into_iter().map(entry).collect())
    }

    async fn change_offsets(&self, of: OffsetsSpec, change: OffsetsChange) -> Result<OffsetsChanged, OffsetsError> {
        if of.config.get("offsets").is_some_and(|how| how == "held") {
            self.offsets_held.notify_one();
            self.offsets_go.notified().await;
        }
        let mut inner = self.inner.lock().unwrap();
        let runs = inner.alive.keys().find(|run| run.subject.connector == of.connector);
        assert_eq!(runs, None, "offsets are changed while something runs");
        let table = inner.offsets.entry(of.connector.name).or_default();
        match change {
            OffsetsChange::Reset => table.clear(),
            OffsetsChange::Alter(offsets) => {
                for PartitionOffset { partition, offset } in offsets {
                    let message = "no partition".to_owned();
                    let partition = partition.ok_or(OffsetsError::Invalid { message })?;
                    drop(match offset {
                        Some(offset) => table.insert(partition, offset),
                        None => table.remove(&partition),
                    });
                }
            }
        }
        Ok(OffsetsChanged::WithPlugin)
    }

    fn abandon(&self, run: &RunId) {
        let mut inner = self.inner.lock().unwrap();
        inner.alive.remove(run);
        inner.abandoned.push(run.to_string());
    }
}
