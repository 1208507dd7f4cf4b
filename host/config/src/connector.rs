//! A connector's configuration: the keys that every connector has, those that its chain, converters and plugin add, and
//! the checked struct that the data plane runs with.
//!
//! [`keys`] puts the whole list together for one configuration, as Connect does for `config/validate`: Connect's own keys,
//! then those of each step and predicate under a heading of its own, then the plugin's, then the converters'. Keys of
//! ours are marked internal: Connect's endpoints show them only when a configuration sets them.

use crate::class::ClassError;
use crate::converter::{ConverterConfig, Part};
use crate::definition::{Definition, Kind};
use crate::key::{Key, Rule, Width, boolean, class, int, list, long, short, string};
use crate::settings::Settings;
use crate::topic_creation::{self, TopicCreation};
use crate::validate::{Invalid, Problem, Validation, Warning, split_list, unknown};
use crate::worker::{OVERRIDE_PREFIXES, SandboxLimits, sandbox_limit_keys};

/// Finds the definition behind a class name, among those of the kinds.
pub type Lookup<'d> = dyn Fn(&[Kind], &str) -> Result<&'d Definition, ClassError> + 'd;

/// A connector configuration that is right.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectorConfig {
    pub name: String,
    /// As it was written; resolving it again gives the same definition.
    pub class: String,
    pub tasks_max: u32,
    /// Whether more tasks than that are an error.
    pub tasks_max_enforce: bool,
    /// None: the worker's, settings included.
    pub key_converter: Option<ConverterConfig>,
    pub value_converter: Option<ConverterConfig>,
    pub header_converter: Option<ConverterConfig>,
    /// The transforms, in the order they are applied.
    pub chain: Vec<StepConfig>,
    pub predicates: Vec<PredicateConfig>,
    pub errors: ErrorPolicy,
    /// Whether the connector restarts when a secret that it uses changes.
    pub restart_on_reload: bool,
    pub direction: Direction,
    pub sandbox: SandboxOverrides,
    /// Records in a batch at most; none: the data plane's own measure.
    pub batch_size: Option<u32>,
    /// How long a sink waits for a batch to fill.
    pub linger_ms: Option<u64>,
    /// Pause between polls of a source that had nothing.
    pub poll_interval_ms: Option<u64>,
    /// None: the worker's.
    pub offset_flush_interval_ms: Option<u64>,
    /// Whether and how what failed is started again on its own.
    pub restart: Option<RestartConfig>,
    /// Everything as it was written: this is what the plugin is given.
    pub original: Settings,
}

/// One transform in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepConfig {
    pub alias: String,
    pub class: String,
    /// Applied only to records for which this predicate holds.
    pub predicate: Option<String>,
    /// Applied only where it does not hold.
    pub negate: bool,
    /// The step's own settings, without prefix and without the four above.
    pub settings: Settings,
}

/// A predicate that steps may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PredicateConfig {
    pub alias: String,
    pub class: String,
    pub settings: Settings,
}

/// What happens to records that cannot be processed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorPolicy {
    /// How long an operation is tried again; none: for ever.
    pub retry_timeout_ms: Option<u64>,
    pub retry_delay_max_ms: u64,
    /// True: such records are skipped instead of failing the task.
    pub tolerate_all: bool,
    pub log: bool,
    pub log_messages: bool,
    pub dead_letters: Option<DeadLetters>,
}

/// Where records go that could not be processed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetters {
    pub topic: String,
    pub replication_factor: i16,
    /// Whether headers say what went wrong.
    pub context_headers: bool,
}

/// How tasks, and the connector instance, are started again after they failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartConfig {
    /// In a row; none: no end.
    pub attempts_max: Option<u32>,
    /// The wait before the first; it doubles from there.
    pub delay_ms: u64,
    pub delay_max_ms: u64,
    /// What ran as long as this has recovered.
    pub reset_after_ms: u64,
}

/// What only sources or only sinks have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Direction {
    Source(SourceConfig),
    Sink(SinkConfig),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceConfig {
    /// Whether the connector must refuse to run where it cannot write exactly once.
    pub exactly_once_required: bool,
    pub transaction_boundary: TransactionBoundary,
    /// A topic for the connector's own offsets.
    pub offsets_topic: Option<String>,
    /// How topics are made; none: as the broker makes them.
    pub topic_creation: Option<TopicCreation>,
    /// What the transactional ids of the tasks begin with; none: group and connector.
    pub transactional_id: Option<String>,
    /// How many replicas acknowledge a record, in Kafka's words; none: as the worker says.
    pub acks: Option<String>,
}

impl SourceConfig {
    /// Whether the connector is refused where it cannot write exactly once: it says so, or names a transactional id.
    pub fn needs_exactly_once(&self) -> bool {
        self.exactly_once_required || self.transactional_id.is_some()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionBoundary {
    Poll,
    /// None: the worker's interval for flushing offsets.
    Interval {
        interval_ms: Option<u64>,
    },
    Connector,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkConfig {
    pub topics: Topics,
    /// Whether the target keeps the positions, so that each record is written once.
    pub exactly_once: bool,
    /// How many puts may be under way at once, each in an instance that has some of the partitions for itself.
    pub lanes: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topics {
    /// At least one.
    Named(Vec<String>),
    /// Every topic whose whole name matches.
    Matching(String),
}

/// Limits of the connector's instances where they differ from the worker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SandboxOverrides {
    pub memory_max_bytes: Option<u64>,
    pub call_cpu_max_ms: Option<u64>,
    pub call_max_ms: Option<u64>,
}

impl SandboxOverrides {
    /// The limits that hold for the connector's instances.
    pub fn over(&self, worker: SandboxLimits) -> SandboxLimits {
        SandboxLimits {
            memory_max_bytes: self.memory_max_bytes.unwrap_or(worker.memory_max_bytes),
            call_cpu_max_ms: self.call_cpu_max_ms.unwrap_or(worker.call_cpu_max_ms),
            call_max_ms: self.call_max_ms.unwrap_or(worker.call_max_ms),
        }
    }
}

/// A list of aliases, and what each of them has below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aliased {
    Transforms,
    Predicates,
}

impl Aliased {
    fn list(self) -> &'static str {
        match self {
            Aliased::Transforms => "transforms",
            Aliased::Predicates => "predicates",
        }
    }

    fn kind(self) -> Kind {
        match self {
            Aliased::Transforms => Kind::Transform,
            Aliased::Predicates => Kind::Predicate,
        }
    }

    fn prefix(self, alias: &str) -> String {
        format!("{}.{alias}.", self.list())
    }

    /// Each alias once, in the order of the list.
    fn aliases(self, settings: &Settings) -> Vec<String> {
        let mut aliases: Vec<String> = Vec::new();
        for alias in split_list(settings.get(self.list()).unwrap_or_default()) {
            if !alias.is_empty() && !aliases.contains(&alias) {
                aliases.push(alias);
            }
        }
        aliases
    }

    /// The keys of every alias: those that each has, then its definition's if the class is known.
    fn keys(self, settings: &Settings, lookup: &Lookup<'_>) -> Vec<Key> {
        let of_alias = |alias: String| {
            let prefix = self.prefix(&alias);
            let (heading, thing, doc) = match self {
                Aliased::Transforms => (format!("Transforms: {alias}"), "Transformation", "transformation"),
                Aliased::Predicates => (format!("Predicates: {alias}"), "Predicate", "predicate"),
            };
            let mut keys = vec![
                class(&format!("{prefix}type")).required().high().doc(format!("Class for the '{alias}' {doc}.")).group(
                    &heading,
                    0,
                    Width::Long,
                    format!("{thing} type for {alias}"),
                ),
                string(&format!("{prefix}plugin.version"))
                    .high()
                    .doc(format!("Version of the '{alias}' {doc}."))
                    .group(&heading, 1, Width::Long, format!("{thing} version for {alias}")),
            ];
            let mut own = match settings.get(&format!("{prefix}type")).map(|class| lookup(&[self.kind()], class.trim()))
            {
                Some(Ok(definition)) => definition.keys.clone(),
                _ => Vec::new(),
            };
            if self == Aliased::Transforms {
                own.push(boolean("negate").default("false").doc("Whether the predicate is turned round."));
                own.push(
                    string("predicate").doc("Alias of the predicate that decides whether a record is transformed."),
                );
            }
            keys.extend((2..).zip(own).map(|(order, key)| key.embedded(&prefix).moved(&heading, order)));
            keys
        };
        self.aliases(settings).into_iter().flat_map(of_alias).collect()
    }
}

/// Connect's name for the group of keys about errors.
const ERRORS: &str = "Error Handling";

/// The keys that every connector of a kind has in Connect, in Connect's order.
pub fn common_keys(kind: Kind) -> Vec<Key> {
    const COMMON: &str = "Common";
    let mut keys = vec![
        string("name").required().rule(Rule::Name).high().doc("Name of the connector, unique in the cluster.").group(
            COMMON,
            1,
            Width::Medium,
            "Connector name",
        ),
        string("connector.class")
            .required()
            .high()
            .doc("Class of the connector: its full Java name, its simple name, or that without \"Connector\".")
            .group(COMMON, 2, Width::Long, "Connector class"),
        string("connector.plugin.version").doc("Version of the connector.").group(
            COMMON,
            3,
            Width::Medium,
            "Connector version",
        ),
        int("tasks.max").default("1").at_least(1).high().doc("How many tasks the connector may have.").group(
            COMMON,
            4,
            Width::Short,
            "Tasks max",
        ),
        boolean("tasks.max.enforce")
            .default("true")
            .low()
            .doc("Whether having more tasks than that is an error. Outdated.")
            .group(COMMON, 5, Width::Short, "Enforce tasks max"),
    ];
    for (order, part, shown) in [(6, Part::Key, "Key"), (8, Part::Value, "Value"), (10, Part::Header, "Header")] {
        let what = shown.to_lowercase();
        keys.push(
            class(part.key()).low().doc(format!("Converter of the {what} of records; not set: the worker's.")).group(
                COMMON,
                order,
                Width::Short,
                format!("{shown} converter class"),
            ),
        );
        keys.push(
            string(&format!("{}plugin.version", part.prefix()))
                .low()
                .doc(format!("Version of the {what} converter."))
                .group(COMMON, order + 1, Width::Short, format!("{shown} converter version")),
        );
    }
    keys.extend([
        list("transforms")
            .default("")
            .rule(Rule::DistinctAliases)
            .low()
            .doc("Aliases of the transforms that records go through, in order.")
            .group("Transforms", 12, Width::Long, "Transforms"),
        list("predicates")
            .default("")
            .rule(Rule::DistinctAliases)
            .low()
            .doc("Aliases of the predicates that transforms use.")
            .group("Predicates", 13, Width::Long, "Predicates"),
        string("config.action.reload")
            .default("restart")
            .one_of_ignoring_case(&["none", "restart"])
            .low()
            .doc("What happens when a value from a config provider changes: restart or none.")
            .group(COMMON, 14, Width::Medium, "Reload Action"),
        long("errors.retry.timeout")
            .default("0")
            .doc("How long, in milliseconds, a failed operation is tried again; 0: not at all; -1: for ever.")
            .group(ERRORS, 1, Width::Medium, "Retry Timeout for Errors"),
        long("errors.retry.delay.max.ms").default("60000").doc("Longest pause between two tries.").group(
            ERRORS,
            2,
            Width::Medium,
            "Maximum Delay Between Retries for Errors",
        ),
        string("errors.tolerance")
            .default("none")
            .one_of(&["none", "all"])
            .doc("What an error does that trying again does not mend: none fails the task, all skips the record.")
            .group(ERRORS, 3, Width::Short, "Error Tolerance"),
        boolean("errors.log.enable").default("false").doc("Whether tolerated errors are logged too.").group(
            ERRORS,
            4,
            Width::Short,
            "Log Errors",
        ),
        boolean("errors.log.include.messages")
            .default("false")
            .doc("Whether the log shows the record that failed.")
            .group(ERRORS, 5, Width::Short, "Log Error Details"),
    ]);
    keys.extend(if kind == Kind::Sink { sink_keys(COMMON) } else { source_keys() });
    keys
}

fn sink_keys(common: &str) -> Vec<Key> {
    vec![
        list("topics").default("").high().doc("Topics to read, separated by commas.").group(
            common,
            4,
            Width::Long,
            "Topics",
        ),
        string("topics.regex")
            .default("")
            .high()
            .doc("Expression that the names of topics to read match. Only one of topics and topics.regex is set.")
            .group(common, 4, Width::Long, "Topics regex"),
    ]
    .into_iter()
    .chain(dead_letter_keys())
    .collect()
}

/// Connect has them for sinks, in their group of errors.
fn dead_letter_keys() -> Vec<Key> {
    vec![
        string("errors.deadletterqueue.topic.name")
            .default("")
            .doc("Topic for records that could not be processed; empty: none.")
            .group(ERRORS, 6, Width::Medium, "Dead Letter Queue Topic Name"),
        short("errors.deadletterqueue.topic.replication.factor")
            .default("3")
            .doc("Copies of that topic where it is created.")
            .group(ERRORS, 7, Width::Medium, "Dead Letter Queue Topic Replication Factor"),
        boolean("errors.deadletterqueue.context.headers.enable")
            .default("false")
            .doc("Whether headers, beginning with __connect.errors., say what went wrong.")
            .group(ERRORS, 8, Width::Medium, "Enable Error Context Headers"),
    ]
}

fn source_keys() -> Vec<Key> {
    const EXACTLY_ONCE: &str = "Exactly Once Support";
    vec![
        list("topic.creation.groups")
            .default("")
            .rule(Rule::DistinctAliases)
            .low()
            .doc("Aliases of groups of topics that are created alike.")
            .group("Topic Creation", 1, Width::Long, "Topic Creation Groups"),
        string("exactly.once.support")
            .default("requested")
            .one_of_ignoring_case(&["required", "requested"])
            .doc("Whether the connector is refused where it cannot write exactly once: requested or required.")
            .group(EXACTLY_ONCE, 2, Width::Short, "Exactly once support"),
        string("transaction.boundary")
            .default("poll")
            .one_of_ignoring_case(&["interval", "poll", "connector"])
            .doc("What a transaction spans: each poll, an interval, or what the connector says.")
            .group(EXACTLY_ONCE, 3, Width::Short, "Transaction Boundary"),
        long("transaction.boundary.interval.ms")
            .at_least(0)
            .low()
            .doc("Length of that interval; not set: offset.flush.interval.ms of the worker.")
            .group(EXACTLY_ONCE, 4, Width::Short, "Transaction boundary interval"),
        string("offsets.storage.topic")
            .rule(Rule::NonEmpty)
            .low()
            .doc("Topic for this connector's offsets; not set: the worker's.")
            .group("offsets.topic", 1, Width::Long, "Offsets topic"),
    ]
}

/// Keys that guides of the field give a source, which Connect itself would hand to the plugin alone.
fn field_keys() -> Vec<Key> {
    vec![
        string("transactional.id")
            .rule(Rule::NonEmpty)
            .doc("Asks for exactly once; the tasks' transactional ids begin with it and end in the task's number."),
        string("acks")
            .one_of(&["all", "-1", "1", "0"])
            .doc("How many replicas acknowledge a record, unless producer.override.acks says it."),
        string("offset.storage.topic").rule(Rule::NonEmpty).doc("Another name of offsets.storage.topic."),
    ]
}

const GUARANTEE: &str = "delivery.guarantee";
const EXACTLY_ONCE: &str = "exactly_once";
const LANES: &str = "max.concurrent.requests";

/// The keys that we add to every connector of a kind.
pub fn own_keys(kind: Kind) -> Vec<Key> {
    let mut keys = sandbox_limit_keys();
    if kind == Kind::Source {
        keys.extend(dead_letter_keys());
        keys.extend(field_keys());
    }
    if kind == Kind::Sink {
        keys.extend([
            string(GUARANTEE)
                .default("at_least_once")
                .one_of(&["at_least_once", EXACTLY_ONCE])
                .doc("What a sink promises: at_least_once, or exactly_once by positions that its target keeps."),
            int(LANES)
                .default("1")
                .between(1, 64)
                .doc("Puts that may be under way at once; each partition keeps its order."),
        ]);
    }
    keys.extend([
        int("batch.size").at_least(1).doc("Records in a batch at most."),
        long("linger.ms").between(0, 300_000).doc("How long a sink waits for a batch to fill; not set: it does not."),
        long("poll.interval.ms").at_least(0).doc("Pause between polls of a source that had nothing."),
        long("offset.flush.interval.ms")
            .at_least(1)
            .doc("How often offsets are committed; not set: as the worker says."),
        boolean("tasks.restart.enable")
            .default("false")
            .doc("Whether tasks, and the connector itself, are started again on their own after they failed."),
        int("tasks.restart.max.attempts")
            .default("10")
            .at_least(-1)
            .doc("How often in a row; -1: without end. What then fails stays FAILED."),
        long("tasks.restart.delay.ms")
            .default("1000")
            .at_least(1)
            .doc("The wait before the first attempt. It doubles from attempt to attempt."),
        long("tasks.restart.delay.max.ms").default("300000").at_least(1).doc("The longest wait."),
        long("tasks.restart.reset.after.ms")
            .default("600000")
            .at_least(0)
            .doc("A task that ran so long before it failed again begins to count anew."),
    ]);
    let place = |(order, key): (i32, Key)| {
        let shown = key.name.clone();
        key.group("Runtime", order, Width::Medium, shown).internal()
    };
    (1..).zip(keys).map(place).collect()
}

/// Every key of one configuration. Where a plugin declares a key that all connectors have, the plugin's is taken.
pub fn keys(settings: &Settings, definition: &Definition, lookup: &Lookup<'_>) -> Vec<Key> {
    let is_of_plugin = |key: &Key| definition.keys.iter().any(|own| own.name == key.name);
    let mut keys = common_keys(definition.kind);
    keys.extend(Aliased::Transforms.keys(settings, lookup));
    keys.extend(Aliased::Predicates.keys(settings, lookup));
    if definition.kind == Kind::Source {
        keys.extend(topic_creation::keys(settings));
    }
    keys.retain(|key| !is_of_plugin(key));
    keys.extend(definition.keys.iter().cloned());
    for part in Part::ALL {
        let Some(named) = ConverterConfig::of(part, settings) else { continue };
        if let Ok(converter) = lookup(&[converter_kind(part)], &named.class) {
            keys.extend(converter.keys.iter().map(|key| key.clone().embedded(part.prefix())));
        }
    }
    keys.extend(own_keys(definition.kind).into_iter().filter(|key| !is_of_plugin(key)));
    keys
}

fn converter_kind(part: Part) -> Kind {
    match part {
        Part::Key | Part::Value => Kind::Converter,
        Part::Header => Kind::HeaderConverter,
    }
}

/// Checks everything about a configuration that can be known without running the plugin.
pub fn validate(settings: &Settings, definition: &Definition, lookup: &Lookup<'_>) -> Validation {
    let keys = keys(settings, definition, lookup);
    let mut validation = Validation::of(&keys, &with_converter_types(settings, &keys));
    check_classes(settings, lookup, &mut validation);
    check_steps(settings, &mut validation);
    match definition.kind {
        Kind::Sink => {
            check_topics(settings, &mut validation);
            check_promises(definition, &mut validation);
        }
        _ => topic_creation::check(settings, &mut validation),
    }
    validation
}

/// Converters declare a required setting that nobody writes: it says what they are used for, and the host knows.
fn with_converter_types(settings: &Settings, keys: &[Key]) -> Settings {
    let mut settings = settings.clone();
    for part in Part::ALL {
        let name = format!("{}converter.type", part.prefix());
        if keys.iter().any(|key| key.name == name) && !settings.contains(&name) {
            settings.insert(name, part.converter_type());
        }
    }
    settings
}

fn check_classes(settings: &Settings, lookup: &Lookup<'_>, validation: &mut Validation) {
    let mut named: Vec<(String, Kind)> =
        Part::ALL.iter().map(|part| (part.key().to_owned(), converter_kind(*part))).collect();
    for aliased in [Aliased::Transforms, Aliased::Predicates] {
        for alias in aliased.aliases(settings) {
            named.push((format!("{}type", aliased.prefix(&alias)), aliased.kind()));
        }
    }
    for (key, kind) in named {
        let Some(class) = settings.get(&key).map(str::trim) else { continue };
        match lookup(&[kind], class) {
            Ok(_) => {}
            // Connect keeps showing a class that exists and only cannot be made.
            Err(error @ ClassError::NeedsSide { .. }) => validation.refuse(Problem::new(key, error.to_string())),
            Err(error) => validation.refuse_value(Problem::invalid(&key, class, &error.to_string())),
        }
    }
}

fn check_steps(settings: &Settings, validation: &mut Validation) {
    for alias in Aliased::Transforms.aliases(settings) {
        let prefix = Aliased::Transforms.prefix(&alias);
        let (negate, predicate) = (format!("{prefix}negate"), format!("{prefix}predicate"));
        if settings.contains(&negate) && !settings.contains(&predicate) {
            let message = format!(
                "Config '{negate}' was provided but there is no config '{predicate}' defining a predicate to be negated."
            );
            validation.refuse(Problem::new(negate, message));
        }
    }
}

fn check_topics(settings: &Settings, validation: &mut Validation) {
    let is_set = |key: &str| settings.get(key).is_some_and(|value| !value.trim().is_empty());
    match (is_set("topics"), is_set("topics.regex")) {
        (true, true) => {
            for key in ["topics", "topics.regex"] {
                let message = "topics and topics.regex are mutually exclusive options, but both are set.";
                validation.refuse(Problem::new(key, message));
            }
        }
        (false, false) => {
            for key in ["topics", "topics.regex"] {
                validation.refuse(Problem::new(key, "Must configure one of topics or topics.regex"));
            }
        }
        _ => {}
    }
    const DEAD_LETTERS: &str = "errors.deadletterqueue.topic.name";
    let topics = validation.list("topics").to_vec();
    let dead_letters = validation.text(DEAD_LETTERS).unwrap_or_default().to_owned();
    if !dead_letters.is_empty() && topics.contains(&dead_letters) {
        let message = format!(
            "The DLQ topic '{dead_letters}' may not be included in the list of topics ('topics={}') consumed by the connector",
            topics.join(",")
        );
        validation.refuse(Problem::new("topics", message));
    }
}

/// What the operator asks for is what the plugin can do.
fn check_promises(definition: &Definition, validation: &mut Validation) {
    let asks_for = |key: &str| definition.keys.iter().all(|own| own.name != key);
    let can = definition.capabilities;
    if asks_for(GUARANTEE) && validation.text(GUARANTEE) == Some(EXACTLY_ONCE) && !can.exactly_once {
        let message = format!(
            "{GUARANTEE}: \"{}\" keeps no positions in its target, so that it cannot deliver exactly once",
            definition.name
        );
        validation.refuse(Problem::new(GUARANTEE, message));
    }
    if asks_for(LANES) && validation.number(LANES).is_some_and(|lanes| lanes > 1) && !can.concurrent_puts {
        let message =
            format!("{LANES}: \"{}\" does not say that several instances of it may write at once", definition.name);
        validation.refuse(Problem::new(LANES, message));
    }
}

/// What an operator should know about a configuration that may be right: settings that mean nothing, and predicates that
/// no list declares (Connect accepts those, and fails when the task starts).
pub fn warnings(settings: &Settings, definition: &Definition, lookup: &Lookup<'_>) -> Vec<Warning> {
    let keys = keys(settings, definition, lookup);
    let mut prefixes: Vec<String> = OVERRIDE_PREFIXES.iter().map(|prefix| (*prefix).to_owned()).collect();
    if definition.kind == Kind::Source {
        prefixes.extend(topic_creation::prefixes(settings));
    }
    for part in Part::ALL {
        // Settings of a converter that is not known here cannot be judged.
        let is_known = ConverterConfig::of(part, settings)
            .is_some_and(|named| lookup(&[converter_kind(part)], &named.class).is_ok());
        if !is_known {
            prefixes.push(part.prefix().to_owned());
        }
    }
    let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
    let mut warnings = unknown(settings, keys.iter().map(|key| key.name.as_str()), &prefixes);
    let declared = Aliased::Predicates.aliases(settings);
    for alias in Aliased::Transforms.aliases(settings) {
        let key = format!("{}predicate", Aliased::Transforms.prefix(&alias));
        if let Some(predicate) = settings.get(&key).map(str::trim)
            && !declared.iter().any(|alias| alias == predicate)
        {
            let message = format!("the predicate \"{predicate}\" is not among predicates, tasks will fail");
            warnings.push(Warning { key, message });
        }
    }
    warnings
}

impl ConnectorConfig {
    /// Checks a configuration. Answers every problem at once.
    pub fn check(settings: &Settings, lookup: &Lookup<'_>) -> Result<Self, Invalid> {
        let definition = connector_definition(settings, lookup)?;
        let validation = validate(settings, definition, lookup);
        if !validation.is_valid() {
            return Err(Invalid { problems: validation.problems() });
        }
        Ok(read(settings, definition, &validation))
    }

    /// The converter that the connector names for a part, or the worker's.
    pub fn converter<'c>(&'c self, part: Part, worker: &'c crate::worker::WorkerConfig) -> &'c ConverterConfig {
        let named = match part {
            Part::Key => &self.key_converter,
            Part::Value => &self.value_converter,
            Part::Header => &self.header_converter,
        };
        named.as_ref().unwrap_or_else(|| worker.converter(part))
    }
}

/// The definition of the connector that a configuration is for.
pub fn connector_definition<'d>(settings: &Settings, lookup: &Lookup<'d>) -> Result<&'d Definition, Invalid> {
    const KEY: &str = "connector.class";
    let class = settings.get(KEY).map(str::trim).unwrap_or_default();
    if class.is_empty() {
        return Err(Invalid { problems: vec![Problem::missing(KEY)] });
    }
    lookup(&[Kind::Source, Kind::Sink], class)
        .map_err(|error| Invalid { problems: vec![Problem::invalid(KEY, class, &error.to_string())] })
}

/// Takes values out of a validation that has no errors.
fn read(settings: &Settings, definition: &Definition, validation: &Validation) -> ConnectorConfig {
    let text = |key: &str| validation.text(key).unwrap_or_default().to_owned();
    // A key that the plugin has itself means what the plugin says, and nothing here.
    let is_of_plugin = |key: &str| definition.keys.iter().any(|own| own.name == key);
    let ours = |key: &str| validation.text(key).filter(|_| !is_of_plugin(key)).map(str::to_owned);
    let flag = |key: &str| validation.flag(key).unwrap_or_default();
    let unsigned = |key: &str| validation.number(key).and_then(|number| u64::try_from(number).ok());
    let small = |key: &str| unsigned(key).and_then(|number| u32::try_from(number).ok());
    let our_number = |key: &str| unsigned(key).filter(|_| !is_of_plugin(key));
    let direction = match definition.kind {
        Kind::Sink => Direction::Sink(SinkConfig {
            topics: match validation.list("topics") {
                [] => Topics::Matching(text("topics.regex")),
                topics => Topics::Named(topics.to_vec()),
            },
            exactly_once: text(GUARANTEE) == EXACTLY_ONCE,
            lanes: small(LANES).unwrap_or(1),
        }),
        _ => Direction::Source(SourceConfig {
            exactly_once_required: text("exactly.once.support").eq_ignore_ascii_case("required"),
            transaction_boundary: match text("transaction.boundary").to_ascii_lowercase().as_str() {
                "interval" => {
                    TransactionBoundary::Interval { interval_ms: unsigned("transaction.boundary.interval.ms") }
                }
                "connector" => TransactionBoundary::Connector,
                _ => TransactionBoundary::Poll,
            },
            offsets_topic: ours("offsets.storage.topic").or_else(|| ours("offset.storage.topic")),
            topic_creation: topic_creation::read(settings, validation),
            transactional_id: ours("transactional.id"),
            acks: ours("acks"),
        }),
    };
    let dead_letters = Some(text("errors.deadletterqueue.topic.name")).filter(|topic| !topic.is_empty());
    ConnectorConfig {
        name: text("name"),
        class: text("connector.class"),
        tasks_max: small("tasks.max").unwrap_or(1),
        tasks_max_enforce: flag("tasks.max.enforce"),
        key_converter: ConverterConfig::of(Part::Key, settings),
        value_converter: ConverterConfig::of(Part::Value, settings),
        header_converter: ConverterConfig::of(Part::Header, settings),
        chain: steps(settings),
        predicates: predicates(settings),
        errors: ErrorPolicy {
            retry_timeout_ms: match validation.number("errors.retry.timeout").unwrap_or(0) {
                -1 => None,
                // Connect takes every other negative number for a time that has passed.
                number => Some(u64::try_from(number).unwrap_or(0)),
            },
            retry_delay_max_ms: unsigned("errors.retry.delay.max.ms").unwrap_or(0),
            tolerate_all: text("errors.tolerance") == "all",
            log: flag("errors.log.enable"),
            log_messages: flag("errors.log.include.messages"),
            dead_letters: dead_letters.map(|topic| DeadLetters {
                topic,
                replication_factor: validation
                    .number("errors.deadletterqueue.topic.replication.factor")
                    .and_then(|number| i16::try_from(number).ok())
                    .unwrap_or(-1),
                context_headers: flag("errors.deadletterqueue.context.headers.enable"),
            }),
        },
        restart_on_reload: text("config.action.reload").eq_ignore_ascii_case("restart"),
        direction,
        sandbox: SandboxOverrides {
            memory_max_bytes: unsigned("sandbox.memory.max.bytes"),
            call_cpu_max_ms: unsigned("sandbox.call.cpu.max.ms"),
            call_max_ms: unsigned("sandbox.call.max.ms"),
        },
        batch_size: our_number("batch.size").and_then(|records| u32::try_from(records).ok()),
        linger_ms: our_number("linger.ms"),
        poll_interval_ms: our_number("poll.interval.ms"),
        offset_flush_interval_ms: our_number("offset.flush.interval.ms"),
        restart: flag("tasks.restart.enable").then(|| RestartConfig {
            attempts_max: small("tasks.restart.max.attempts"),
            delay_ms: unsigned("tasks.restart.delay.ms").unwrap_or(1),
            delay_max_ms: unsigned("tasks.restart.delay.max.ms").unwrap_or(1),
            reset_after_ms: unsigned("tasks.restart.reset.after.ms").unwrap_or(0),
        }),
        original: settings.clone(),
    }
}

fn steps(settings: &Settings) -> Vec<StepConfig> {
    let step = |alias: String| {
        let mut own = settings.below(&Aliased::Transforms.prefix(&alias));
        own.remove("plugin.version");
        let class = own.remove("type").unwrap_or_default().trim().to_owned();
        let predicate = own.remove("predicate").map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        let negate = own.remove("negate").is_some_and(|text| text.trim().eq_ignore_ascii_case("true"));
        StepConfig { alias, class, predicate, negate, settings: own }
    };
    Aliased::Transforms.aliases(settings).into_iter().map(step).collect()
}

fn predicates(settings: &Settings) -> Vec<PredicateConfig> {
    let predicate = |alias: String| {
        let mut own = settings.below(&Aliased::Predicates.prefix(&alias));
        own.remove("plugin.version");
        let class = own.remove("type").unwrap_or_default().trim().to_owned();
        PredicateConfig { alias, class, settings: own }
    };
    Aliased::Predicates.aliases(settings).into_iter().map(predicate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::Catalog;
    use crate::definition::Capabilities;
    use crate::key::{path_read, path_write};
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    const TRANSFORMS: &str = "org.apache.kafka.connect.transforms";

    fn definitions() -> Vec<Definition> {
        let file = "org.apache.kafka.connect.file.FileStream";
        vec![
            Definition::new(Kind::Source, "FileStreamSource")
                .alias(format!("{file}SourceConnector"))
                .key(path_read("file").high())
                .key(string("topic").required().non_empty().high())
                .key(int("batch.size").default("2000").low()),
            Definition::new(Kind::Sink, "FileStreamSink")
                .alias(format!("{file}SinkConnector"))
                .key(path_write("file").high()),
            Definition::new(Kind::Sink, "AbleSink").capabilities(Capabilities {
                exactly_once: true,
                concurrent_puts: true,
                ..Capabilities::default()
            }),
            Definition::new(Kind::Transform, "HoistField")
                .alias(format!("{TRANSFORMS}.HoistField$Key"))
                .alias(format!("{TRANSFORMS}.HoistField$Value"))
                .key(string("field").required()),
            Definition::new(Kind::Transform, "Filter").alias(format!("{TRANSFORMS}.Filter")),
            Definition::new(Kind::Transform, "TimestampConverter")
                .alias(format!("{TRANSFORMS}.TimestampConverter$Value"))
                .key(string("target.type").required().one_of(&["string", "unix", "Date", "Time", "Timestamp"])),
            Definition::new(Kind::Predicate, "TopicNameMatches")
                .alias(format!("{TRANSFORMS}.predicates.TopicNameMatches"))
                .key(string("pattern").required()),
            Definition::new(Kind::Converter, "StringConverter")
                .alias("org.apache.kafka.connect.storage.StringConverter")
                .key(string("converter.type").required())
                .key(string("converter.encoding").default("UTF-8")),
        ]
    }

    /// Calls with the settings of a file source `c` to topic `t`, changed by what is given (`-` takes a key out), and a
    /// lookup among the definitions above.
    fn with<R>(changes: &[(&str, &str)], act: impl FnOnce(&Settings, &Lookup<'_>) -> R) -> R {
        let definitions = definitions();
        let mut catalog = Catalog::new();
        for definition in &definitions {
            catalog.add(definition.kind, &definition.name, &definition.aliases, definition);
        }
        let lookup = |kinds: &[Kind], class: &str| catalog.resolve(kinds, class).map(|found| *found.item);
        let mut settings: Settings =
            [("name", "c"), ("connector.class", "FileStreamSource"), ("topic", "t")].into_iter().collect();
        for (key, value) in changes {
            match *value {
                "-" => drop(settings.remove(key)),
                value => drop(settings.insert(*key, value)),
            }
        }
        act(&settings, &lookup)
    }

    /// Problems, or warnings where there are none.
    #[track_caller]
    fn check(changes: &[(&str, &str)], expected: Expect) {
        let shown = with(changes, |settings, lookup| match ConnectorConfig::check(settings, lookup) {
            Err(invalid) => invalid.problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>(),
            Ok(_) => {
                let definition = connector_definition(settings, lookup).expect("the configuration is right");
                warnings(settings, definition, lookup).iter().map(|warning| format!("warning: {warning}")).collect()
            }
        });
        expected.assert_eq(&shown.join("\n"));
    }

    fn right(changes: &[(&str, &str)]) -> ConnectorConfig {
        with(changes, ConnectorConfig::check).expect("the configuration is right")
    }

    const SINK: [(&str, &str); 2] = [("connector.class", "FileStreamSink"), ("topic", "-")];

    #[test]
    fn the_least_that_works_has_connects_defaults() {
        let config = right(&[]);
        assert_eq!((config.name.as_str(), config.tasks_max, config.batch_size), ("c", 1, None));
        assert_eq!((config.key_converter.is_none(), config.chain.is_empty()), (true, true));
        assert!(config.restart_on_reload && config.tasks_max_enforce && !config.errors.tolerate_all);
        assert_eq!(config.errors.retry_timeout_ms, Some(0));
        assert_eq!(
            config.direction,
            Direction::Source(SourceConfig {
                exactly_once_required: false,
                transaction_boundary: TransactionBoundary::Poll,
                offsets_topic: None,
                topic_creation: None,
                transactional_id: None,
                acks: None,
            })
        );
    }

    #[test]
    fn keys_of_guides_are_read_unless_the_plugin_has_its_own() {
        let guide = [
            ("transactional.id", "orders"),
            ("acks", "-1"),
            ("offset.storage.topic", "orders-offsets"),
            ("batch.size", "7"),
        ];
        let of = |config: ConnectorConfig| match config.direction {
            Direction::Source(source) => source,
            other => panic!("not a source: {other:?}"),
        };
        let source = of(right(&guide));
        assert_eq!(source.transactional_id.as_deref(), Some("orders"));
        assert_eq!(source.acks.as_deref(), Some("-1"));
        assert_eq!(source.offsets_topic.as_deref(), Some("orders-offsets"));
        assert!(source.needs_exactly_once() && !source.exactly_once_required);

        let own = with(&guide, |settings, _| {
            let definition = definitions().remove(0).key(string("transactional.id")).key(string("acks"));
            let lookup = |_: &[Kind], _: &str| Ok(&definition);
            of(ConnectorConfig::check(settings, &lookup).expect("the configuration is right"))
        });
        assert_eq!((own.transactional_id, own.acks), (None, None));
    }

    #[test]
    fn the_chain_keeps_its_order_and_hands_each_step_its_own() {
        let config = right(&[
            ("transforms", "b, a"),
            ("transforms.a.type", "HoistField$Value"),
            ("transforms.a.field", "line"),
            ("transforms.b.type", "org.apache.kafka.connect.transforms.Filter"),
            ("transforms.b.predicate", "p"),
            ("transforms.b.negate", "TRUE"),
            ("predicates", "p"),
            ("predicates.p.type", "TopicNameMatches"),
            ("predicates.p.pattern", "x.*"),
        ]);
        let step = |alias: &str, class: &str, predicate: Option<&str>, negate, settings: &[(&str, &str)]| StepConfig {
            alias: alias.into(),
            class: class.into(),
            predicate: predicate.map(str::to_owned),
            negate,
            settings: settings.iter().copied().collect(),
        };
        let filter = "org.apache.kafka.connect.transforms.Filter";
        assert_eq!(
            config.chain,
            [step("b", filter, Some("p"), true, &[]), step("a", "HoistField$Value", None, false, &[("field", "line")])]
        );
        assert_eq!(config.predicates[0].settings.get("pattern"), Some("x.*"));
    }

    #[test]
    fn a_key_of_ours_that_the_plugin_has_too_is_the_plugins() {
        let keys = [("batch.size", "7"), ("poll.interval.ms", "5"), ("offset.flush.interval.ms", "9")];
        let config = right(&keys);
        assert_eq!((config.batch_size, config.poll_interval_ms), (None, Some(5)), "the source has a batch.size");
        assert_eq!(config.original.get("batch.size"), Some("7"), "the plugin is given it");
        let sink = right(&[&SINK[..], &keys, &[("topics", "t")]].concat());
        assert_eq!((sink.batch_size, sink.offset_flush_interval_ms), (Some(7), Some(9)));
    }

    #[test]
    fn nothing_is_restarted_on_its_own_unless_it_is_asked_for() {
        assert_eq!(right(&[("tasks.restart.max.attempts", "3")]).restart, None);
        let restart = right(&[("tasks.restart.enable", "true"), ("tasks.restart.max.attempts", "-1")]).restart;
        let expected =
            RestartConfig { attempts_max: None, delay_ms: 1_000, delay_max_ms: 300_000, reset_after_ms: 600_000 };
        assert_eq!(restart, Some(expected));
    }

    #[test]
    fn a_sink_reads_named_or_matching_topics() {
        let of = |changes: &[(&str, &str)]| match right(&[&SINK, changes].concat()).direction {
            Direction::Sink(sink) => sink.topics,
            other => panic!("not a sink: {other:?}"),
        };
        assert_eq!(of(&[("topics", "a, b")]), Topics::Named(vec!["a".into(), "b".into()]));
        assert_eq!(of(&[("topics.regex", "a.*")]), Topics::Matching("a.*".into()));
    }

    #[test]
    fn a_sink_promises_what_its_plugin_can_do_and_no_more() {
        let ask = |sink: &'static str, asked: &[(&str, &str)]| {
            let changes = [("topic", "-"), ("topics", "t"), ("connector.class", sink)];
            with(&[&changes, asked].concat(), ConnectorConfig::check)
        };
        let asked = [("delivery.guarantee", "exactly_once"), ("max.concurrent.requests", "4")];
        let refused = ask("FileStreamSink", &asked).unwrap_err();
        let messages: Vec<_> = refused.problems.iter().map(|problem| problem.message.as_str()).collect();
        expect![[r#"
            delivery.guarantee: "FileStreamSink" keeps no positions in its target, so that it cannot deliver exactly once
            max.concurrent.requests: "FileStreamSink" does not say that several instances of it may write at once"#]]
        .assert_eq(&messages.join("\n"));
        let promises = |sink: &'static str, asked: &[(&str, &str)]| match ask(sink, asked).unwrap().direction {
            Direction::Sink(sink) => (sink.exactly_once, sink.lanes),
            other => panic!("not a sink: {other:?}"),
        };
        assert_eq!(promises("AbleSink", &asked), (true, 4));
        assert_eq!(promises("FileStreamSink", &[]), (false, 1));
        assert!(ask("AbleSink", &[("max.concurrent.requests", "0")]).is_err());
    }

    #[test]
    fn converters_are_named_whole() {
        let config = right(&[("value.converter", "StringConverter"), ("value.converter.converter.encoding", "UTF-16")]);
        let converter = config.value_converter.expect("the configuration names one");
        assert_eq!(converter.settings.get("converter.encoding"), Some("UTF-16"));
    }

    #[test]
    fn every_problem_is_told_at_once_in_connects_words() {
        check(
            &[
                ("name", "-"),
                ("topic", ""),
                ("tasks.max", "ten"),
                ("transforms", "a,a,b,d"),
                ("transforms.a.type", "HoistField"),
                ("transforms.b.type", "TimestampConverter$Value"),
                ("transforms.b.target.type", "never"),
                ("transforms.b.negate", "true"),
                ("predicates", "p,q"),
                ("predicates.p.type", "TopicNameMatches"),
                ("predicates.q.type", "no.such.Predicate"),
                ("value.converter", "StringConvertor"),
                ("errors.tolerance", "some"),
            ],
            expect![[r#"
                Missing required configuration "name" which has no default value.
                Invalid value ten for configuration tasks.max: Not a number of type INT
                Invalid value null for configuration tasks.max: Value must be non-null
                Invalid value StringConvertor for configuration value.converter: Class StringConvertor could not be found. Did you mean StringConverter?
                Invalid value [a, a, b, d] for configuration transforms: Duplicate alias provided.
                Invalid value some for configuration errors.tolerance: String must be one of: none, all
                This class is abstract and cannot be created. Did you mean org.apache.kafka.connect.transforms.HoistField$Key, org.apache.kafka.connect.transforms.HoistField$Value?
                Invalid value never for configuration target.type: String must be one of: string, unix, Date, Time, Timestamp
                Config 'transforms.b.negate' was provided but there is no config 'transforms.b.predicate' defining a predicate to be negated.
                Missing required configuration "transforms.d.type" which has no default value.
                Missing required configuration "predicates.p.pattern" which has no default value.
                Invalid value no.such.Predicate for configuration predicates.q.type: Class no.such.Predicate could not be found.
                Invalid value  for configuration topic: String must be non-empty"#]],
        );
    }

    #[test]
    fn a_sink_needs_exactly_one_way_to_name_topics() {
        check(
            &SINK,
            expect![[r#"
            Must configure one of topics or topics.regex
            Must configure one of topics or topics.regex"#]],
        );
        check(
            &[&SINK[..], &[("topics", "a"), ("topics.regex", "b")]].concat(),
            expect![[r#"
            topics and topics.regex are mutually exclusive options, but both are set.
            topics and topics.regex are mutually exclusive options, but both are set."#]],
        );
        check(
            &[&SINK[..], &[("topics", "a,d"), ("errors.deadletterqueue.topic.name", "d")]].concat(),
            expect![
                "The DLQ topic 'd' may not be included in the list of topics ('topics=a,d') consumed by the connector"
            ],
        );
    }

    #[test]
    fn the_class_decides_whether_anything_else_can_be_said() {
        check(
            &[("connector.class", "-"), ("tasks.max", "ten")],
            expect![[r#"Missing required configuration "connector.class" which has no default value."#]],
        );
        check(
            &[("connector.class", "FileStreamSorce")],
            expect![
                "Invalid value FileStreamSorce for configuration connector.class: Class FileStreamSorce could not be found. Did you mean FileStreamSource?"
            ],
        );
    }

    #[test]
    fn settings_that_mean_nothing_are_warned_of() {
        check(
            &[
                ("fil", "x"),
                ("producer.override.acks", "all"),
                ("topic.creation.default.partitions", "3"),
                ("topic.creation.default.replication.factor", "1"),
                ("topic.creation.default.retention.ms", "1000"),
                ("topic.creation.other.partitions", "3"),
                ("transforms", "a"),
                ("transforms.a.type", "Filter"),
                ("transforms.a.predicate", "gone"),
                ("transforms.a.feild", "x"),
                ("transforms.z.type", "x"),
                ("key.converter.schemas.enable", "false"),
                ("value.converter", "StringConverter"),
                ("value.converter.converter.encodign", "x"),
                ("sandbox.memory.max.bytes", "100000000"),
            ],
            expect![[r#"
                warning: key "fil": not known and ignored, did you mean "file"?
                warning: key "topic.creation.other.partitions": not known and ignored, did you mean "topic.creation.default.partitions"?
                warning: key "transforms.a.feild": not known and ignored, did you mean "transforms.a.type"?
                warning: key "transforms.z.type": not known and ignored, did you mean "transforms.a.type"?
                warning: key "value.converter.converter.encodign": not known and ignored, did you mean "value.converter.converter.encoding"?
                warning: key "transforms.a.predicate": the predicate "gone" is not among predicates, tasks will fail"#]],
        );
    }

    #[test]
    fn keys_are_shown_in_connects_order_under_connects_headings() {
        let changes = [
            ("transforms", "a"),
            ("transforms.a.type", "HoistField$Value"),
            ("transforms.a.field", "f"),
            ("key.converter", "StringConverter"),
        ];
        let shown = with(&changes, |settings, lookup| {
            let definition = connector_definition(settings, lookup).expect("the class is known");
            let validation = validate(settings, definition, lookup);
            let entries = validation.entries().iter();
            let visible = entries.filter(|entry| entry.is_set || entry.key.as_ref().is_some_and(|key| !key.internal));
            let line = |entry: &crate::validate::Entry| {
                let key = entry.key.as_ref().expect("nobody complained");
                let group = key.group.as_deref().unwrap_or("-");
                format!("{} {} {group}/{} {:?}", key.name, key.of_type.connect_name(), key.order, entry.value_shown())
            };
            visible.map(line).collect::<Vec<_>>().join("\n")
        });
        expect![[r#"
            name STRING Common/1 Some("c")
            connector.class STRING Common/2 Some("FileStreamSource")
            connector.plugin.version STRING Common/3 None
            tasks.max INT Common/4 Some("1")
            tasks.max.enforce BOOLEAN Common/5 Some("true")
            key.converter CLASS Common/6 Some("StringConverter")
            key.converter.plugin.version STRING Common/7 None
            value.converter CLASS Common/8 None
            value.converter.plugin.version STRING Common/9 None
            header.converter CLASS Common/10 None
            header.converter.plugin.version STRING Common/11 None
            transforms LIST Transforms/12 Some("a")
            predicates LIST Predicates/13 Some("")
            config.action.reload STRING Common/14 Some("restart")
            errors.retry.timeout LONG Error Handling/1 Some("0")
            errors.retry.delay.max.ms LONG Error Handling/2 Some("60000")
            errors.tolerance STRING Error Handling/3 Some("none")
            errors.log.enable BOOLEAN Error Handling/4 Some("false")
            errors.log.include.messages BOOLEAN Error Handling/5 Some("false")
            topic.creation.groups LIST Topic Creation/1 Some("")
            exactly.once.support STRING Exactly Once Support/2 Some("requested")
            transaction.boundary STRING Exactly Once Support/3 Some("poll")
            transaction.boundary.interval.ms LONG Exactly Once Support/4 None
            offsets.storage.topic STRING offsets.topic/1 None
            transforms.a.type CLASS Transforms: a/0 Some("HoistField$Value")
            transforms.a.plugin.version STRING Transforms: a/1 None
            transforms.a.field STRING Transforms: a/2 Some("f")
            transforms.a.negate BOOLEAN Transforms: a/3 Some("false")
            transforms.a.predicate STRING Transforms: a/4 None
            file STRING -/-1 None
            topic STRING -/-1 Some("t")
            batch.size INT -/-1 Some("2000")
            key.converter.converter.type STRING -/-1 Some("key")
            key.converter.converter.encoding STRING -/-1 Some("UTF-8")"#]]
        .assert_eq(&shown);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn any_settings_are_a_configuration_or_problems(changes in prop::collection::vec(
            (prop::sample::select(vec!["name", "topic", "topics", "transforms", "transforms.a.type", "transforms.a.predicate", "predicates", "predicates.a.type", "tasks.max", "value.converter", "connector.class", "errors.retry.timeout"]),
             prop::sample::select(vec!["", "a", "a,b", "a,,a", "-1", "9999999999", "Filter", "HoistField", "FileStreamSink", "StringConverter", " a "])),
            0..8,
        )) {
            with(&changes, |settings, lookup| match ConnectorConfig::check(settings, lookup) {
                Ok(config) => {
                    assert_eq!(&config.original, settings);
                    assert!(config.tasks_max >= 1 && config.chain.iter().all(|step| !step.class.is_empty()));
                }
                Err(invalid) => assert!(!invalid.problems.is_empty()),
            });
        }
    }
}
