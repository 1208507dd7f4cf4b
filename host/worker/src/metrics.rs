//! The numbers of connectors and tasks, and how Prometheus reads them.
//!
//! Names follow what the JMX exporter makes of Connect's MBeans (`kafka_connect_source_task_metrics_…`), so that existing
//! dashboards work; ours begin with `tidegate_`. A counter is added to once per batch.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use tidegate_engine::MetricSink;

/// Which numbers a task has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TaskKind {
    Source,
    Sink,
}

/// One counter: its name, its unit in words, and where it is kept.
struct Counter {
    name: &'static str,
    help: &'static str,
    kind: Option<TaskKind>,
    of: fn(&TaskMetrics) -> &AtomicU64,
}

const COUNTERS: &[Counter] = &[
    Counter {
        name: "kafka_connect_source_task_metrics_source_record_poll_total",
        help: "Records polled from the other system.",
        kind: Some(TaskKind::Source),
        of: |task| &task.read,
    },
    Counter {
        name: "kafka_connect_source_task_metrics_source_record_write_total",
        help: "Records acknowledged by Kafka.",
        kind: Some(TaskKind::Source),
        of: |task| &task.written,
    },
    Counter {
        name: "kafka_connect_sink_task_metrics_sink_record_read_total",
        help: "Records consumed from Kafka.",
        kind: Some(TaskKind::Sink),
        of: |task| &task.read,
    },
    Counter {
        name: "kafka_connect_sink_task_metrics_sink_record_send_total",
        help: "Records accepted by the sink.",
        kind: Some(TaskKind::Sink),
        of: |task| &task.written,
    },
    Counter {
        name: "kafka_connect_task_error_metrics_total_records_skipped",
        help: "Records skipped because errors are tolerated.",
        kind: None,
        of: |task| &task.skipped,
    },
    Counter {
        name: "kafka_connect_task_error_metrics_total_record_failures",
        help: "Records that could not be processed.",
        kind: None,
        of: |task| &task.failed,
    },
    Counter {
        name: "kafka_connect_task_error_metrics_total_retries",
        help: "Calls made again.",
        kind: None,
        of: |task| &task.retries,
    },
    Counter {
        name: "kafka_connect_task_error_metrics_total_errors_logged",
        help: "Errors that were logged.",
        kind: None,
        of: |task| &task.logged,
    },
    Counter {
        name: "kafka_connect_task_error_metrics_deadletterqueue_produce_requests",
        help: "Skipped records handed to the dead letter queue.",
        kind: None,
        of: |task| &task.dead_lettered,
    },
    Counter {
        name: "kafka_connect_task_error_metrics_deadletterqueue_produce_failures",
        help: "Records that the dead letter queue did not take; the task failed.",
        kind: None,
        of: |task| &task.letters_refused,
    },
    Counter {
        name: "tidegate_task_records_filtered_total",
        help: "Records dropped by a transform.",
        kind: None,
        of: |task| &task.filtered,
    },
    Counter {
        name: "tidegate_task_records_made_total",
        help: "Records that transforms made of others, beyond one of each.",
        kind: None,
        of: |task| &task.made,
    },
    Counter {
        name: "tidegate_task_records_aborted_total",
        help: "Records of transactions that the connector aborted: nobody sees them.",
        kind: Some(TaskKind::Source),
        of: |task| &task.aborted,
    },
    Counter {
        name: "tidegate_task_records_given_back_total",
        help: "Records read and not delivered when the task was rewound or ended: they are read again.",
        kind: None,
        of: |task| &task.given_back,
    },
    Counter {
        name: "tidegate_task_bytes_total",
        help: "Bytes of keys and values read.",
        kind: None,
        of: |task| &task.bytes,
    },
    Counter {
        name: "tidegate_task_recycled_total",
        help: "Plugin instances replaced because they had grown.",
        kind: None,
        of: |task| &task.recycled,
    },
];

/// The numbers of one task, from its first start on. At rest they add up: what was read, or made of what was read,
/// was written, filtered, skipped or given back.
#[derive(Debug, Default)]
pub struct TaskMetrics {
    read: AtomicU64,
    written: AtomicU64,
    filtered: AtomicU64,
    made: AtomicU64,
    skipped: AtomicU64,
    failed: AtomicU64,
    retries: AtomicU64,
    logged: AtomicU64,
    dead_lettered: AtomicU64,
    letters_refused: AtomicU64,
    given_back: AtomicU64,
    aborted: AtomicU64,
    bytes: AtomicU64,
    recycled: AtomicU64,
    plugin: Mutex<BTreeMap<String, PluginNumber>>,
    /// Records of committed transactions.
    transactions: Mutex<Option<TransactionSizes>>,
}

/// How many records the transactions had that were committed.
#[derive(Clone, Copy, Debug)]
struct TransactionSizes {
    min: u64,
    max: u64,
    records: u64,
    transactions: u64,
}

/// A number of those: its name, its unit in words, and how it is read.
type TransactionGauge = (&'static str, &'static str, fn(&TransactionSizes) -> f64);

const TRANSACTION_GAUGES: &[TransactionGauge] = &[
    (
        "kafka_connect_source_task_metrics_transaction_size_min",
        "Records of the smallest transaction that was committed.",
        |sizes| sizes.min as f64,
    ),
    (
        "kafka_connect_source_task_metrics_transaction_size_max",
        "Records of the largest transaction that was committed.",
        |sizes| sizes.max as f64,
    ),
    (
        "kafka_connect_source_task_metrics_transaction_size_avg",
        "Records of an average transaction that was committed.",
        |sizes| sizes.records as f64 / sizes.transactions as f64,
    ),
];

#[derive(Clone, Copy, Debug)]
enum PluginNumber {
    Counter(f64),
    Gauge(f64),
}

/// Where the records of a task have gone, at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    pub read: u64,
    pub written: u64,
    pub filtered: u64,
    pub skipped: u64,
    pub bytes: u64,
}

impl TaskMetrics {
    pub(crate) fn read(&self, records: usize, bytes: usize) {
        self.read.fetch_add(records as u64, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn written(&self, records: usize) {
        self.written.fetch_add(records as u64, Relaxed);
    }

    pub(crate) fn filtered(&self, records: usize) {
        self.filtered.fetch_add(records as u64, Relaxed);
    }

    /// Records that there are beyond those that came.
    pub(crate) fn made(&self, records: usize) {
        self.made.fetch_add(records as u64, Relaxed);
    }

    pub(crate) fn skipped(&self, records: usize) {
        self.skipped.fetch_add(records as u64, Relaxed);
    }

    pub(crate) fn failed(&self, records: usize) {
        self.failed.fetch_add(records as u64, Relaxed);
    }

    pub(crate) fn retried(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    pub(crate) fn logged(&self) {
        self.logged.fetch_add(1, Relaxed);
    }

    pub(crate) fn dead_lettered(&self, records: usize) {
        self.dead_lettered.fetch_add(records as u64, Relaxed);
    }

    pub(crate) fn letters_refused(&self, records: usize) {
        self.letters_refused.fetch_add(records as u64, Relaxed);
    }

    pub(crate) fn recycled(&self) {
        self.recycled.fetch_add(1, Relaxed);
    }

    /// A transaction of so many records was aborted at the connector's wish.
    pub(crate) fn aborted(&self, records: usize) {
        self.aborted.fetch_add(records as u64, Relaxed);
    }

    /// A transaction of so many records was committed.
    pub(crate) fn committed(&self, records: usize) {
        let records = records as u64;
        let mut sizes = self.transactions();
        let TransactionSizes { min, max, records: sum, transactions } =
            sizes.unwrap_or(TransactionSizes { min: records, max: records, records: 0, transactions: 0 });
        *sizes = Some(TransactionSizes {
            min: min.min(records),
            max: max.max(records),
            records: sum + records,
            transactions: transactions + 1,
        });
    }

    fn transactions(&self) -> std::sync::MutexGuard<'_, Option<TransactionSizes>> {
        self.transactions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was read and is nowhere yet is read again: after a rewind, and when a run has ended.
    pub(crate) fn give_back(&self) {
        let settled = [&self.written, &self.filtered, &self.skipped, &self.aborted, &self.given_back];
        let settled: u64 = settled.iter().map(|counter| counter.load(Relaxed)).sum();
        self.given_back.fetch_add((self.read.load(Relaxed) + self.made.load(Relaxed)).saturating_sub(settled), Relaxed);
    }

    /// Where the task's records have gone so far.
    pub fn totals(&self) -> Totals {
        Totals {
            read: self.read.load(Relaxed),
            written: self.written.load(Relaxed),
            filtered: self.filtered.load(Relaxed),
            skipped: self.skipped.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
        }
    }

    fn plugin(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, PluginNumber>> {
        self.plugin.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The engine bounds how many names there are and checks their characters.
impl MetricSink for TaskMetrics {
    fn add(&self, name: &str, delta: f64) {
        let mut numbers = self.plugin();
        match numbers.get_mut(name) {
            Some(PluginNumber::Counter(value) | PluginNumber::Gauge(value)) => *value += delta,
            None => drop(numbers.insert(name.to_owned(), PluginNumber::Counter(delta))),
        }
    }

    fn set(&self, name: &str, value: f64) {
        self.plugin().insert(name.to_owned(), PluginNumber::Gauge(value));
    }
}

/// Names a task in the numbers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct TaskId {
    pub(crate) connector: String,
    pub(crate) task: u32,
}

/// All tasks' numbers. Those of a task that starts again go on while anything of its connector runs.
#[derive(Debug, Default)]
pub struct Metrics {
    tasks: Mutex<BTreeMap<TaskId, (TaskKind, Arc<TaskMetrics>)>>,
}

impl Metrics {
    /// The numbers of a task, new or from its earlier runs.
    pub(crate) fn task(&self, id: TaskId, kind: TaskKind) -> Arc<TaskMetrics> {
        self.lock().entry(id).or_insert_with(|| (kind, Arc::default())).1.clone()
    }

    /// A run of a task has ended; see [`TaskMetrics::give_back`].
    pub(crate) fn ended(&self, connector: &str, task: u32) {
        if let Some((_, task)) = self.lock().get(&TaskId { connector: connector.to_owned(), task }) {
            task.give_back();
        }
    }

    /// Forgets a connector.
    pub(crate) fn forget(&self, connector: &str) {
        self.lock().retain(|id, _| id.connector != connector);
    }

    /// The totals of each task of a connector, by its number.
    pub fn totals(&self, connector: &str) -> Vec<(u32, Totals)> {
        let tasks = self.lock();
        tasks
            .iter()
            .filter(|(id, _)| id.connector == connector)
            .map(|(id, (_, task))| (id.task, task.totals()))
            .collect()
    }

    /// Everything, in Prometheus' text format.
    pub fn render(&self) -> String {
        let tasks = self.lock();
        let mut out = String::new();
        for counter in COUNTERS {
            let mut shown = tasks.iter().filter(|(_, (kind, _))| counter.kind.is_none_or(|of| of == *kind)).peekable();
            if shown.peek().is_none() {
                continue;
            }
            header(&mut out, counter.name, counter.help, "counter");
            for (id, (_, task)) in shown {
                sample(&mut out, counter.name, id, (counter.of)(task).load(Relaxed));
            }
        }
        for (name, help, of) in TRANSACTION_GAUGES {
            let sizes = tasks.iter().filter_map(|(id, (_, task))| Some((id, (*task.transactions())?)));
            let mut sizes = sizes.peekable();
            if sizes.peek().is_some() {
                header(&mut out, name, help, "gauge");
                sizes.for_each(|(id, sizes)| sample(&mut out, name, id, of(&sizes)));
            }
        }
        render_plugins(&mut out, &tasks);
        out
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<TaskId, (TaskKind, Arc<TaskMetrics>)>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What plugins count themselves: one family per name, over all tasks.
fn render_plugins(out: &mut String, tasks: &BTreeMap<TaskId, (TaskKind, Arc<TaskMetrics>)>) {
    let mut families: BTreeMap<String, Vec<(&TaskId, PluginNumber)>> = BTreeMap::new();
    for (id, (_, task)) in tasks {
        for (name, number) in &*task.plugin() {
            families.entry(format!("tidegate_plugin_{}", metric_name(name))).or_default().push((id, *number));
        }
    }
    for (name, samples) in families {
        let all_counters = samples.iter().all(|(_, number)| matches!(number, PluginNumber::Counter(_)));
        header(out, &name, "Counted by a plugin.", if all_counters { "counter" } else { "gauge" });
        for (id, PluginNumber::Counter(value) | PluginNumber::Gauge(value)) in samples {
            sample(out, &name, id, value);
        }
    }
}

fn header(out: &mut String, name: &str, help: &str, kind: &str) {
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
}

fn sample(out: &mut String, name: &str, id: &TaskId, value: impl std::fmt::Display) {
    let connector = label(&id.connector);
    let _ = writeln!(out, "{name}{{connector=\"{connector}\",task=\"{}\"}} {value}", id.task);
}

fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn metric_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_shows_its_counters_under_connects_names() {
        let metrics = Metrics::default();
        let task = metrics.task(TaskId { connector: "a \"b\"".into(), task: 0 }, TaskKind::Source);
        task.read(3, 30);
        task.written(2);
        task.filtered(1);
        task.give_back();
        task.add("pages read", 2.0);
        let text = metrics.render();
        for line in [
            r#"kafka_connect_source_task_metrics_source_record_poll_total{connector="a \"b\"",task="0"} 3"#,
            r#"kafka_connect_source_task_metrics_source_record_write_total{connector="a \"b\"",task="0"} 2"#,
            r#"tidegate_task_records_filtered_total{connector="a \"b\"",task="0"} 1"#,
            r#"tidegate_task_records_given_back_total{connector="a \"b\"",task="0"} 0"#,
            r#"tidegate_plugin_pages_read{connector="a \"b\"",task="0"} 2"#,
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("sink_record"), "a source has no numbers of sinks:\n{text}");
    }

    #[test]
    fn sizes_of_transactions_are_shown_where_there_were_some() {
        let metrics = Metrics::default();
        let task = metrics.task(TaskId { connector: "c".into(), task: 0 }, TaskKind::Source);
        assert!(!metrics.render().contains("transaction_size"));
        [4, 10, 1].into_iter().for_each(|records| task.committed(records));
        let text = metrics.render();
        for (gauge, value) in [("min", 1), ("max", 10), ("avg", 5)] {
            let line = format!(
                "kafka_connect_source_task_metrics_transaction_size_{gauge}{{connector=\"c\",task=\"0\"}} {value}\n"
            );
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn what_a_run_had_in_hand_when_it_ended_is_given_back_once() {
        let metrics = Metrics::default();
        let task = metrics.task(TaskId { connector: "c".into(), task: 0 }, TaskKind::Sink);
        task.read(10, 0);
        task.written(6);
        task.skipped(1);
        for _ in 0..2 {
            metrics.ended("c", 0);
            assert_eq!(task.given_back.load(Relaxed), 3);
        }
        metrics.ended("c", 7);
    }

    #[test]
    fn a_task_that_starts_again_counts_on_and_a_deleted_one_is_forgotten() {
        let metrics = Metrics::default();
        let id = || TaskId { connector: "c".into(), task: 1 };
        metrics.task(id(), TaskKind::Sink).read(1, 1);
        metrics.task(id(), TaskKind::Sink).read(1, 1);
        assert_eq!(metrics.totals("c"), vec![(1, Totals { read: 2, bytes: 2, ..Totals::default() })]);
        metrics.forget("c");
        assert_eq!(metrics.totals("c"), vec![]);
    }
}
