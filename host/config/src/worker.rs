//! The worker's own configuration: every key of Connect's workers and ours, and the checked struct that the program runs
//! with. A worker file of Apache Kafka works as it is; keys that have nothing to do here are accepted, so that nobody has
//! to edit the file to try.

use crate::address::{normal_path, parse_host_port};
use crate::client;
use crate::converter::{ConverterConfig, Part};
use crate::grant::{HostPattern, Policy};
use crate::key::{Key, Width, boolean, class, int, list, long, password, short, string};
use crate::settings::Settings;
use crate::validate::{Invalid, Problem, Validation, Warning, unknown};

/// How a worker keeps its state and finds others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// In Kafka, together with the other workers of its group.
    Distributed,
    /// In local files, alone.
    Standalone,
}

/// A worker configuration that is right.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerConfig {
    /// `host:port`, at least one.
    pub bootstrap_servers: Vec<String>,
    pub key_converter: ConverterConfig,
    pub value_converter: ConverterConfig,
    pub header_converter: ConverterConfig,
    pub offset_flush_interval_ms: u64,
    pub offset_flush_timeout_ms: u64,
    pub task_shutdown_graceful_timeout_ms: u64,
    pub listeners: Vec<Listener>,
    /// Directories with plugins, in the order they are searched.
    pub plugin_path: Vec<String>,
    pub client_overrides: OverridePolicy,
    pub topic_creation: bool,
    pub topic_tracking: bool,
    pub sandbox: Sandbox,
    pub storage: Storage,
    /// Everything as it was written: client settings are read from it.
    pub original: Settings,
}

/// Where REST listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    pub is_https: bool,
    /// None: every address of the machine.
    pub host: Option<String>,
    /// 0: any free port.
    pub port: u16,
}

/// Where offsets, configurations and states are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    Distributed(Box<Distributed>),
    Standalone { offset_file: String },
}

/// What workers of a group share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distributed {
    pub group_id: String,
    pub config_topic: StorageTopic,
    pub offset_topic: StorageTopic,
    pub status_topic: StorageTopic,
    pub session_timeout_ms: u64,
    pub heartbeat_interval_ms: u64,
    pub rebalance_timeout_ms: u64,
    pub scheduled_rebalance_max_delay_ms: u64,
    pub exactly_once_source: ExactlyOnceSource,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExactlyOnceSource {
    Disabled,
    Preparing,
    Enabled,
}

/// An internal topic and how it is created where it does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageTopic {
    pub name: String,
    /// -1: the broker's default.
    pub partitions: i32,
    /// -1: the broker's default.
    pub replication_factor: i16,
    /// Further settings of the topic.
    pub settings: Settings,
}

/// Limits of plugin instances, and what uploaded plugins may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    pub limits: SandboxLimits,
    /// Together for the instances of one connector; none: the tenant's.
    pub connector_memory_max_bytes: Option<u64>,
    /// Together for the connectors of one tenant; none: the worker's.
    pub tenant_memory_max_bytes: Option<u64>,
    /// Together for all instances; none: the program decides by the memory of the machine.
    pub worker_memory_max_bytes: Option<u64>,
    pub policy: Policy,
}

/// Limits of one instance. A connector may set its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SandboxLimits {
    pub memory_max_bytes: u64,
    /// Processor time of one call.
    pub call_cpu_max_ms: u64,
    /// Wall time of one call, waiting included.
    pub call_max_ms: u64,
}

/// Which client settings a connector may override.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OverridePolicy {
    All,
    None,
    /// Security protocol and SASL identity only.
    Principal,
    Allowlist(Vec<String>),
}

impl OverridePolicy {
    /// Connect's name for the policy.
    pub fn name(&self) -> &'static str {
        match self {
            OverridePolicy::All => "All",
            OverridePolicy::None => "None",
            OverridePolicy::Principal => "Principal",
            OverridePolicy::Allowlist(_) => "Allowlist",
        }
    }

    pub fn allows(&self, setting: &str) -> bool {
        match self {
            OverridePolicy::All => true,
            OverridePolicy::None => false,
            OverridePolicy::Principal => {
                matches!(setting, "security.protocol" | "sasl.jaas.config" | "sasl.mechanism")
            }
            OverridePolicy::Allowlist(allowed) => allowed.iter().any(|name| name == setting),
        }
    }

    /// A problem for every override of a connector that the policy does not allow.
    pub fn refusals(&self, connector: &Settings) -> Vec<Problem> {
        let refusal = |key: &str| {
            let setting = OVERRIDE_PREFIXES.iter().find_map(|prefix| key.strip_prefix(prefix))?;
            if self.allows(setting) {
                return None;
            }
            let policy = self.name();
            let why = format!(
                "The '{policy}' policy does not allow '{setting}' to be overridden in the connector configuration."
            );
            Some(Problem::new(key, why))
        };
        connector.keys().filter_map(refusal).collect()
    }
}

/// What stands before a connector's overrides of client settings.
pub const OVERRIDE_PREFIXES: [&str; 3] = ["producer.override.", "consumer.override.", "admin.override."];

/// Prefixes below which any name may stand in a worker configuration.
const PREFIXES: [&str; 13] = [
    "key.converter.",
    "value.converter.",
    "header.converter.",
    "producer.",
    "consumer.",
    "admin.",
    "config.providers.",
    "config.storage.",
    "offset.storage.",
    "status.storage.",
    "listeners.https.",
    "admin.listeners.https.",
    "metrics.context.",
];

const MIB: i64 = 1 << 20;

/// Every key of a worker, in the order of the documents.
pub fn keys(mode: Mode) -> Vec<Key> {
    let mut keys = common_keys();
    match mode {
        Mode::Distributed => keys.extend(distributed_keys()),
        Mode::Standalone => keys.push(
            string("offset.storage.file.filename")
                .required()
                .non_empty()
                .high()
                .doc("File in which source offsets are kept."),
        ),
    }
    keys.extend(sandbox_keys());
    keys
}

fn ms(name: &str, default: &str) -> Key {
    long(name).default(default).at_least(0)
}

fn common_keys() -> Vec<Key> {
    vec![
        list("bootstrap.servers").required().non_empty().high().doc("Kafka brokers to ask first, as host:port."),
        string("client.dns.lookup")
            .default("use_all_dns_ips")
            .one_of(&["use_all_dns_ips", "resolve_canonical_bootstrap_servers_only"])
            .doc("How names of brokers are resolved."),
        class("key.converter")
            .required()
            .non_empty()
            .high()
            .doc("Converter of record keys for connectors that name none."),
        class("value.converter")
            .required()
            .non_empty()
            .high()
            .doc("Converter of record values for connectors that name none."),
        class("header.converter")
            .default("org.apache.kafka.connect.storage.SimpleHeaderConverter")
            .non_empty()
            .low()
            .doc("Converter of record headers for connectors that name none."),
        string("key.converter.plugin.version").low().doc("Version of the key converter."),
        string("value.converter.plugin.version").low().doc("Version of the value converter."),
        string("header.converter.plugin.version").low().doc("Version of the header converter."),
        ms("task.shutdown.graceful.timeout.ms", "5000")
            .low()
            .doc("How long all tasks together may take to stop before they are ended."),
        long("offset.flush.interval.ms").default("60000").at_least(1).low().doc("How often offsets are committed."),
        ms("offset.flush.timeout.ms", "5000")
            .low()
            .doc("How long a commit of offsets may take before it is given up until the next."),
        boolean("topic.creation.enable")
            .default("true")
            .low()
            .doc("Whether topics that source connectors write to are created as their topic.creation settings say."),
        boolean("topic.tracking.enable").default("true").low().doc("Whether the topics a connector uses are tracked."),
        boolean("topic.tracking.allow.reset")
            .default("true")
            .low()
            .doc("Whether the tracked topics of a connector may be reset by request."),
        list("plugin.path").doc("Directories that are searched, with the folders in them, for components (*.wasm) when the worker starts; they are checked and kept like uploaded ones."),
        string("plugin.discovery")
            .default("hybrid_warn")
            .one_of_ignoring_case(&["only_scan", "service_load", "hybrid_warn", "hybrid_fail"])
            .low()
            .doc("Without effect: plugins are found by their contents."),
        list("config.providers").default("").low().doc("Names of the providers that ${name:path:key} may refer to."),
        string("connector.client.config.override.policy")
            .default("All")
            .doc("Which client settings connectors may override: All, None, Principal or Allowlist."),
        list("connector.client.config.override.allowlist")
            .default("")
            .doc("Client settings that the policy Allowlist allows."),
        list("listeners")
            .default("http://:8083")
            .non_empty()
            .low()
            .doc("Where REST listens: http://host:port or https://host:port, an empty host meaning every address."),
        list("admin.listeners")
            .low()
            .doc("Where the admin endpoints listen; not set: together with the others; empty: nowhere."),
        string("rest.host.name").low().internal().doc("Outdated: use listeners."),
        int("rest.port").between(0, 65_535).low().internal().doc("Outdated: use listeners."),
        string("rest.advertised.host.name").low().doc("Host name under which other workers reach this one."),
        int("rest.advertised.port").between(0, 65_535).low().doc("Port under which other workers reach this one."),
        string("rest.advertised.listener").low().doc("Which listener other workers use: http or https."),
        list("rest.extension.classes").default("").low().doc("Refused if set: REST extensions are Java classes."),
        string("access.control.allow.origin").default("").low().doc("Value of the header Access-Control-Allow-Origin."),
        string("access.control.allow.methods").default("").low().doc("Methods that may be used across origins."),
        string("response.http.headers.config")
            .default("")
            .low()
            .doc("Headers added to every answer, as [action] name: value, separated by commas."),
        string("ssl.client.auth")
            .default("none")
            .one_of(&["none", "requested", "required"])
            .low()
            .doc("Whether REST clients must show a certificate."),
        ms("metrics.sample.window.ms", "30000")
            .low()
            .doc("Without effect: metrics are computed where they are stored."),
        int("metrics.num.samples")
            .default("2")
            .at_least(1)
            .low()
            .doc("Without effect: metrics are computed where they are stored."),
        string("metrics.recording.level")
            .default("INFO")
            .one_of(&["INFO", "DEBUG", "TRACE"])
            .low()
            .doc("Without effect: everything is recorded."),
        list("metric.reporters").default("").low().doc("Ignored: metrics are read at /metrics."),
    ]
    .into_iter()
    .chain(client_keys())
    .collect()
}

/// Settings of the worker's own Kafka clients that stand unprefixed among its keys.
fn client_keys() -> Vec<Key> {
    vec![
        string("client.id").default("").low().doc("Name under which brokers log the worker's requests."),
        string("security.protocol")
            .default("PLAINTEXT")
            .one_of_ignoring_case(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"])
            .doc("How brokers are spoken to."),
        string("sasl.mechanism").default("GSSAPI").doc("How the worker proves who it is."),
        password("sasl.jaas.config").doc("Login module and its options, as Java clients write it."),
        ms("request.timeout.ms", "40000").doc("How long an answer of a broker may take."),
        ms("retry.backoff.ms", "100").low().doc("Pause before a request is repeated."),
        ms("retry.backoff.max.ms", "1000").low().doc("Longest pause before a request is repeated."),
        ms("reconnect.backoff.ms", "50").low().doc("Pause before a broker is connected to again."),
        ms("reconnect.backoff.max.ms", "1000").low().doc("Longest pause before a broker is connected to again."),
        int("send.buffer.bytes")
            .default("131072")
            .at_least(-1)
            .low()
            .doc("Size of the socket's send buffer; -1: the system's."),
        int("receive.buffer.bytes")
            .default("32768")
            .at_least(-1)
            .low()
            .doc("Size of the socket's receive buffer; -1: the system's."),
        ms("metadata.max.age.ms", "300000").low().doc("After how long metadata is asked for again."),
        string("metadata.recovery.strategy")
            .default("rebootstrap")
            .one_of_ignoring_case(&["rebootstrap", "none"])
            .low()
            .doc("What to do when no known broker can be reached."),
        ms("metadata.recovery.rebootstrap.trigger.ms", "300000")
            .low()
            .doc("After how long without metadata the bootstrap servers are asked again."),
        ms("connections.max.idle.ms", "540000").low().doc("After how long an unused connection is closed."),
        ms("socket.connection.setup.timeout.ms", "10000").low().doc("How long connecting may take."),
    ]
}

fn distributed_keys() -> Vec<Key> {
    let algorithms = |name: &str| {
        string(name)
            .default("HmacSHA256")
            .low()
            .internal()
            .doc("Without effect: workers do not speak HTTP with each other.")
    };
    vec![
        string("group.id").required().non_empty().high().doc("Name of the group of workers."),
        string("config.storage.topic")
            .required()
            .non_empty()
            .high()
            .doc("Topic with connector configurations; ours are named after it."),
        short("config.storage.replication.factor")
            .default("3")
            .doc("Copies of that topic where it is created; -1: the broker's default."),
        string("offset.storage.topic").required().non_empty().high().doc("Topic with source offsets."),
        int("offset.storage.partitions")
            .default("25")
            .low()
            .doc("Partitions of that topic where it is created; -1: the broker's default."),
        short("offset.storage.replication.factor")
            .default("3")
            .low()
            .doc("Copies of that topic where it is created; -1: the broker's default."),
        string("status.storage.topic")
            .required()
            .non_empty()
            .high()
            .doc("Topic with states; ours is named after config.storage.topic."),
        int("status.storage.partitions")
            .default("5")
            .low()
            .doc("Partitions of that topic where it is created; -1: the broker's default."),
        short("status.storage.replication.factor")
            .default("3")
            .low()
            .doc("Copies of that topic where it is created; -1: the broker's default."),
        long("session.timeout.ms")
            .default("10000")
            .at_least(1)
            .high()
            .doc("After how long without a heartbeat a worker counts as lost."),
        long("heartbeat.interval.ms")
            .default("3000")
            .at_least(1)
            .high()
            .doc("How often a worker shows that it is alive."),
        long("rebalance.timeout.ms")
            .default("60000")
            .at_least(1)
            .high()
            .doc("How long a worker may take to give up its work."),
        ms("scheduled.rebalance.max.delay.ms", "300000")
            .low()
            .doc("How long the work of a worker that left waits for its return."),
        string("exactly.once.source.support")
            .default("disabled")
            .one_of_ignoring_case(&["disabled", "preparing", "enabled"])
            .high()
            .doc("Whether source connectors may write exactly once."),
        boolean("internal.topics.automatic.creation.enable")
            .default("true")
            .low()
            .doc("Whether internal topics are created where they do not exist."),
        string("connect.protocol")
            .default("sessioned")
            .one_of_ignoring_case(&["eager", "compatible", "sessioned"])
            .low()
            .doc("Without effect: there is one way to share work."),
        ms("worker.sync.timeout.ms", "3000").low().doc("How long a worker that is behind may take to catch up."),
        ms("worker.unsync.backoff.ms", "300000").low().doc("How long a worker that did not catch up stays away."),
        algorithms("inter.worker.key.generation.algorithm"),
        int("inter.worker.key.size").low().internal().doc("Without effect: workers do not speak HTTP with each other."),
        ms("inter.worker.key.ttl.ms", "3600000")
            .low()
            .internal()
            .doc("Without effect: workers do not speak HTTP with each other."),
        algorithms("inter.worker.signature.algorithm"),
        list("inter.worker.verification.algorithms")
            .default("HmacSHA256")
            .low()
            .internal()
            .doc("Without effect: workers do not speak HTTP with each other."),
    ]
}

fn sandbox_keys() -> Vec<Key> {
    let mut keys = sandbox_limit_keys();
    keys[0] = keys[0].clone().default((256 * MIB).to_string());
    keys[1] = keys[1].clone().default("5000");
    keys[2] = keys[2].clone().default("30000");
    keys.extend([
        long("sandbox.connector.memory.max.bytes")
            .at_least(MIB)
            .doc("Memory of all instances of a connector together; not set: the tenant's."),
        long("sandbox.tenant.memory.max.bytes")
            .at_least(MIB)
            .doc("Memory of all connectors of a tenant together; not set: the worker's."),
        long("sandbox.worker.memory.max.bytes")
            .at_least(MIB)
            .doc("Memory of all instances together; not set: a share of the machine's."),
        list("sandbox.allow.paths")
            .default("")
            .doc("Files and directories that uploaded plugins may use if their configuration names them."),
        list("sandbox.allow.hosts").default("").doc(
            "Hosts that uploaded plugins may reach if their configuration names them: host, host:port, *.domain or *.",
        ),
        boolean("sandbox.deny.private.networks")
            .default("true")
            .doc("Whether uploaded plugins are kept from loopback, private and link-local addresses."),
    ]);
    let place = |(order, key): (i32, Key)| {
        let shown = key.name.clone();
        key.group("Sandbox", order, Width::Medium, shown)
    };
    (1..).zip(keys).map(place).collect()
}

/// The limits that both a worker and a connector may set: memory, processor time and wall time, in this order.
pub(crate) fn sandbox_limit_keys() -> Vec<Key> {
    vec![
        long("sandbox.memory.max.bytes").at_least(MIB).doc("Memory of one plugin instance."),
        long("sandbox.call.cpu.max.ms").at_least(1).doc("Processor time that one call into a plugin may use."),
        long("sandbox.call.max.ms").at_least(1).doc("Time that one call into a plugin may take, waiting included."),
    ]
}

impl WorkerConfig {
    /// Checks a worker's settings; relative paths start at `directory`, which is absolute. Answers every problem at once,
    /// or the configuration and what the operator should know.
    pub fn check(mode: Mode, settings: &Settings, directory: &str) -> Result<(Self, Vec<Warning>), Invalid> {
        let keys = keys(mode);
        let mut validation = Validation::of(&keys, settings);
        let mut warnings = unknown_settings(&keys, settings);
        let bootstrap_servers = bootstrap_servers(&mut validation);
        let listeners = listeners(&mut validation, settings, &mut warnings);
        let client_overrides = override_policy(&mut validation);
        let policy = policy(&mut validation, directory);
        check_storage_topics(mode, &mut validation);
        if !validation.list("rest.extension.classes").is_empty() {
            validation.refuse(Problem::new(
                "rest.extension.classes",
                "REST extensions are Java classes and cannot run here, remove the key",
            ));
        }
        if !validation.is_valid() {
            return Err(Invalid { problems: validation.problems() });
        }
        let reader = Reader { validation: &validation };
        let config = WorkerConfig {
            bootstrap_servers,
            key_converter: reader.converter(Part::Key, settings),
            value_converter: reader.converter(Part::Value, settings),
            header_converter: reader.converter(Part::Header, settings),
            offset_flush_interval_ms: reader.unsigned("offset.flush.interval.ms"),
            offset_flush_timeout_ms: reader.unsigned("offset.flush.timeout.ms"),
            task_shutdown_graceful_timeout_ms: reader.unsigned("task.shutdown.graceful.timeout.ms"),
            listeners,
            plugin_path: validation.list("plugin.path").to_vec(),
            client_overrides,
            topic_creation: reader.flag("topic.creation.enable"),
            topic_tracking: reader.flag("topic.tracking.enable"),
            sandbox: reader.sandbox(policy),
            storage: match mode {
                Mode::Distributed => Storage::Distributed(Box::new(reader.distributed(settings))),
                Mode::Standalone => Storage::Standalone { offset_file: reader.text("offset.storage.file.filename") },
            },
            original: settings.clone(),
        };
        Ok((config, warnings))
    }

    /// The converter that a connector uses for a part when it names none.
    pub fn converter(&self, part: Part) -> &ConverterConfig {
        match part {
            Part::Key => &self.key_converter,
            Part::Value => &self.value_converter,
            Part::Header => &self.header_converter,
        }
    }

    /// Settings, under their Java names, that the worker gives a client before its own defaults and a connector's
    /// overrides. As in Connect, producers and consumers of connectors get the brokers and what their prefix says, and
    /// nothing else; the worker's own clients and admin clients get what stands unprefixed.
    pub fn client_settings(&self, client: Client) -> Settings {
        let mut settings = Settings::new();
        match client {
            Client::Internal | Client::Admin => {
                settings.extend(self.original.iter().filter(|(key, _)| client::is_shared_setting(key)));
            }
            Client::Producer | Client::Consumer => {}
        }
        settings.insert("bootstrap.servers", self.bootstrap_servers.join(","));
        let prefix = match client {
            Client::Internal => return settings,
            Client::Admin => "admin.",
            Client::Producer => "producer.",
            Client::Consumer => "consumer.",
        };
        settings.extend(self.original.below(prefix).into_iter().filter(|(key, _)| !key.starts_with("listeners")));
        settings
    }
}

/// Whose settings are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// The worker's own, for its group and its topics.
    Internal,
    /// A source connector's producer.
    Producer,
    /// A sink connector's consumer.
    Consumer,
    /// A connector's admin client.
    Admin,
}

fn unknown_settings(keys: &[Key], settings: &Settings) -> Vec<Warning> {
    let mut known: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
    for name in client::shared_settings() {
        known.push(name);
    }
    unknown(settings, known.iter().copied(), &PREFIXES)
}

fn bootstrap_servers(validation: &mut Validation) -> Vec<String> {
    let servers = validation.list("bootstrap.servers").to_vec();
    for server in &servers {
        // A protocol may stand before the address, as in advertised listeners.
        let address = server.split_once("://").map_or(server.as_str(), |(_, address)| address);
        if let Err(why) = parse_host_port(address) {
            validation.refuse(Problem::invalid("bootstrap.servers", server, &why));
        }
    }
    servers
}

fn listeners(validation: &mut Validation, settings: &Settings, warnings: &mut Vec<Warning>) -> Vec<Listener> {
    if !settings.contains("listeners") && settings.contains("rest.port") {
        let port = validation.number("rest.port").and_then(|port| u16::try_from(port).ok()).unwrap_or(0);
        let message = format!("outdated, write listeners=http://:{port}");
        warnings.push(Warning { key: "rest.port".to_owned(), message });
        let host = validation.text("rest.host.name").filter(|host| !host.is_empty()).map(str::to_owned);
        return vec![Listener { is_https: false, host, port }];
    }
    let mut listeners = Vec::new();
    for text in validation.list("listeners").to_vec() {
        match parse_listener(&text) {
            Ok(listener) => listeners.push(listener),
            Err(why) => validation.refuse(Problem::invalid("listeners", &text, &why)),
        }
    }
    listeners
}

fn parse_listener(text: &str) -> Result<Listener, String> {
    let (scheme, address) =
        text.split_once("://").ok_or_else(|| "Not of the form http://host:port or https://host:port".to_owned())?;
    let is_https = match scheme.to_ascii_lowercase().as_str() {
        "http" => false,
        "https" => true,
        _ => return Err(format!("The protocol \"{scheme}\" is not known, there are http and https")),
    };
    let address = address.strip_suffix('/').unwrap_or(address);
    let parsed = crate::address::parse_listen_address(address)?;
    let host = (!address.starts_with(':')).then_some(parsed.host);
    Ok(Listener { is_https, host, port: parsed.port })
}

fn override_policy(validation: &mut Validation) -> OverridePolicy {
    const PACKAGE: &str = "org.apache.kafka.connect.connector.policy.";
    const SUFFIX: &str = "ConnectorClientConfigOverridePolicy";
    const KEY: &str = "connector.client.config.override.policy";
    let text = validation.text(KEY).unwrap_or("All").to_owned();
    let name = text.strip_prefix(PACKAGE).unwrap_or(&text);
    match name.strip_suffix(SUFFIX).unwrap_or(name) {
        "All" => OverridePolicy::All,
        "None" => OverridePolicy::None,
        "Principal" => OverridePolicy::Principal,
        "Allowlist" => {
            OverridePolicy::Allowlist(validation.list("connector.client.config.override.allowlist").to_vec())
        }
        _ => {
            validation.refuse(Problem::invalid(KEY, &text, "String must be one of: All, None, Principal, Allowlist"));
            // Goes on, to find the other problems; the answer is not used.
            OverridePolicy::None
        }
    }
}

fn policy(validation: &mut Validation, directory: &str) -> Policy {
    let mut policy = Policy {
        deny_private_networks: validation.flag("sandbox.deny.private.networks").unwrap_or(true),
        ..Policy::default()
    };
    for path in validation.list("sandbox.allow.paths").to_vec() {
        match normal_path(directory, &path) {
            Ok(path) => policy.allow_paths.push(path),
            Err(why) => validation.refuse(Problem::invalid("sandbox.allow.paths", &path, &why)),
        }
    }
    for host in validation.list("sandbox.allow.hosts").to_vec() {
        match host.parse::<HostPattern>() {
            Ok(pattern) => policy.allow_hosts.push(pattern),
            Err(why) => validation.refuse(Problem::invalid("sandbox.allow.hosts", &host, &why)),
        }
    }
    policy
}

/// Rules that more than one key, or more than a range, is needed for.
fn check_storage_topics(mode: Mode, validation: &mut Validation) {
    if mode == Mode::Standalone {
        return;
    }
    for key in [
        "config.storage.replication.factor",
        "offset.storage.replication.factor",
        "status.storage.replication.factor",
        "offset.storage.partitions",
        "status.storage.partitions",
    ] {
        if let Some(number) = validation.number(key)
            && number != -1
            && number < 1
        {
            let what = if key.ends_with("partitions") { "Number of partitions" } else { "Replication factor" };
            let why = format!("{what} must be -1 to use the Kafka cluster's default value, or a positive number");
            validation.refuse(Problem::invalid(key, &number.to_string(), &why));
        }
    }
    let names = ["config.storage.topic", "offset.storage.topic", "status.storage.topic"];
    for (index, key) in names.iter().enumerate() {
        let Some(name) = validation.text(key).map(str::to_owned) else { continue };
        if let Some(other) = names[..index].iter().find(|other| validation.text(other) == Some(&name)) {
            let why = format!("Must differ from {other}");
            validation.refuse(Problem::invalid(key, &name, &why));
        }
    }
    let (session, heartbeat) = (validation.number("session.timeout.ms"), validation.number("heartbeat.interval.ms"));
    if let (Some(session), Some(heartbeat)) = (session, heartbeat)
        && heartbeat >= session
    {
        let why = format!("Must be less than session.timeout.ms, which is {session}");
        validation.refuse(Problem::invalid("heartbeat.interval.ms", &heartbeat.to_string(), &why));
    }
}

/// Takes values out of a validation that has no errors: what has a default or is required is there.
struct Reader<'v> {
    validation: &'v Validation,
}

impl Reader<'_> {
    fn unsigned(&self, key: &str) -> u64 {
        self.optional(key).expect("the key has a default and its rule allows no negative number")
    }

    fn optional(&self, key: &str) -> Option<u64> {
        self.validation.number(key).and_then(|number| u64::try_from(number).ok())
    }

    fn flag(&self, key: &str) -> bool {
        self.validation.flag(key).expect("the key has a default")
    }

    fn text(&self, key: &str) -> String {
        self.validation.text(key).expect("the key is required or has a default").to_owned()
    }

    fn converter(&self, part: Part, settings: &Settings) -> ConverterConfig {
        ConverterConfig { class: self.text(part.key()), settings: settings.below(part.prefix()) }
    }

    fn sandbox(&self, policy: Policy) -> Sandbox {
        Sandbox {
            limits: SandboxLimits {
                memory_max_bytes: self.unsigned("sandbox.memory.max.bytes"),
                call_cpu_max_ms: self.unsigned("sandbox.call.cpu.max.ms"),
                call_max_ms: self.unsigned("sandbox.call.max.ms"),
            },
            connector_memory_max_bytes: self.optional("sandbox.connector.memory.max.bytes"),
            tenant_memory_max_bytes: self.optional("sandbox.tenant.memory.max.bytes"),
            worker_memory_max_bytes: self.optional("sandbox.worker.memory.max.bytes"),
            policy,
        }
    }

    fn distributed(&self, settings: &Settings) -> Distributed {
        Distributed {
            group_id: self.text("group.id"),
            config_topic: self.topic("config.storage.", settings),
            offset_topic: self.topic("offset.storage.", settings),
            status_topic: self.topic("status.storage.", settings),
            session_timeout_ms: self.unsigned("session.timeout.ms"),
            heartbeat_interval_ms: self.unsigned("heartbeat.interval.ms"),
            rebalance_timeout_ms: self.unsigned("rebalance.timeout.ms"),
            scheduled_rebalance_max_delay_ms: self.unsigned("scheduled.rebalance.max.delay.ms"),
            exactly_once_source: match self.text("exactly.once.source.support").to_ascii_lowercase().as_str() {
                "enabled" => ExactlyOnceSource::Enabled,
                "preparing" => ExactlyOnceSource::Preparing,
                _ => ExactlyOnceSource::Disabled,
            },
        }
    }

    fn topic(&self, prefix: &str, settings: &Settings) -> StorageTopic {
        let number = |name: &str| self.validation.number(&format!("{prefix}{name}"));
        let mut passed_on = settings.below(prefix);
        for name in ["topic", "partitions", "replication.factor"] {
            passed_on.remove(name);
        }
        // Anything but compaction would lose state.
        passed_on.remove("cleanup.policy");
        StorageTopic {
            name: self.text(&format!("{prefix}topic")),
            // The topic with configurations has no key for it: order matters there.
            partitions: number("partitions").and_then(|number| i32::try_from(number).ok()).unwrap_or(1),
            replication_factor: number("replication.factor")
                .and_then(|number| i16::try_from(number).ok())
                .unwrap_or(-1),
            settings: passed_on,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::DefaultValue;
    use expect_test::{Expect, expect};

    const DISTRIBUTED: &str = "bootstrap.servers=localhost:9092\ngroup.id=connect-cluster\n\
        key.converter=org.apache.kafka.connect.json.JsonConverter\nvalue.converter=org.apache.kafka.connect.json.JsonConverter\n\
        key.converter.schemas.enable=true\nvalue.converter.schemas.enable=false\n\
        offset.storage.topic=connect-offsets\noffset.storage.replication.factor=1\noffset.storage.cleanup.policy=delete\n\
        offset.storage.segment.ms=1000\nconfig.storage.topic=connect-configs\nconfig.storage.replication.factor=1\n\
        status.storage.topic=connect-status\nstatus.storage.replication.factor=1\noffset.flush.interval.ms=10000\n\
        plugin.path=/usr/share/java, /opt/connectors\n";

    fn read(mode: Mode, text: &str) -> Result<(WorkerConfig, Vec<Warning>), Invalid> {
        let settings = crate::properties::parse(text.as_bytes()).expect("the test writes properties").settings;
        WorkerConfig::check(mode, &settings, "/srv")
    }

    fn right(mode: Mode, text: &str) -> WorkerConfig {
        let (config, warnings) = read(mode, text).expect("the configuration is right");
        assert_eq!(warnings, []);
        config
    }

    /// Problems, or warnings where there are none.
    #[track_caller]
    fn check(mode: Mode, text: &str, expected: Expect) {
        let shown = match read(mode, text) {
            Ok((_, warnings)) => warnings.iter().map(|warning| format!("warning: {warning}\n")).collect(),
            Err(invalid) => invalid.to_string(),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn the_distributed_file_that_kafka_ships_works_as_it_is() {
        let config = right(Mode::Distributed, DISTRIBUTED);
        let Storage::Distributed(shared) = &config.storage else { panic!("not distributed: {:?}", config.storage) };
        assert_eq!(shared.group_id, "connect-cluster");
        assert_eq!(
            shared.offset_topic,
            StorageTopic {
                name: "connect-offsets".into(),
                partitions: 25,
                replication_factor: 1,
                settings: [("segment.ms", "1000")].into_iter().collect(),
            }
        );
        assert_eq!((shared.config_topic.partitions, shared.session_timeout_ms), (1, 10_000));
        assert_eq!(config.value_converter.settings.get("schemas.enable"), Some("false"));
        assert_eq!(config.header_converter.class, "org.apache.kafka.connect.storage.SimpleHeaderConverter");
        assert_eq!((config.offset_flush_interval_ms, config.offset_flush_timeout_ms), (10_000, 5_000));
        assert_eq!(config.plugin_path, ["/usr/share/java", "/opt/connectors"]);
        assert_eq!(config.listeners, [Listener { is_https: false, host: None, port: 8083 }]);
        assert_eq!(config.sandbox.limits.memory_max_bytes, 256 << 20);
        assert_eq!(config.sandbox.policy, Policy::default());
    }

    #[test]
    fn the_standalone_file_that_kafka_ships_works_as_it_is() {
        let config = right(
            Mode::Standalone,
            "bootstrap.servers=localhost:9092\nkey.converter=JsonConverter\nvalue.converter=JsonConverter\n\
             offset.storage.file.filename=/tmp/connect.offsets\noffset.flush.interval.ms=10000\n",
        );
        assert_eq!(config.storage, Storage::Standalone { offset_file: "/tmp/connect.offsets".into() });
    }

    #[test]
    fn an_empty_file_tells_all_that_is_missing() {
        check(
            Mode::Distributed,
            "",
            expect![[r#"
            invalid configuration
              key "bootstrap.servers": Missing required configuration "bootstrap.servers" which has no default value.
              key "key.converter": Missing required configuration "key.converter" which has no default value.
              key "value.converter": Missing required configuration "value.converter" which has no default value.
              key "group.id": Missing required configuration "group.id" which has no default value.
              key "config.storage.topic": Missing required configuration "config.storage.topic" which has no default value.
              key "offset.storage.topic": Missing required configuration "offset.storage.topic" which has no default value.
              key "status.storage.topic": Missing required configuration "status.storage.topic" which has no default value."#]],
        );
        check(
            Mode::Standalone,
            "",
            expect![[r#"
            invalid configuration
              key "bootstrap.servers": Missing required configuration "bootstrap.servers" which has no default value.
              key "key.converter": Missing required configuration "key.converter" which has no default value.
              key "value.converter": Missing required configuration "value.converter" which has no default value.
              key "offset.storage.file.filename": Missing required configuration "offset.storage.file.filename" which has no default value."#]],
        );
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let wrong = "bootstrap.servers=localhost\ngroup.id=\nlisteners=ftp://:1,http://:x\n\
            connector.client.config.override.policy=Some\nstatus.storage.topic=connect-configs\n\
            offset.storage.partitions=0\nheartbeat.interval.ms=10000\nsandbox.allow.hosts=a:b\n\
            sandbox.memory.max.bytes=1\noffset.flush.interval.ms=0\nrest.extension.classes=com.example.Auth\n";
        check(
            Mode::Distributed,
            &format!("{DISTRIBUTED}{wrong}"),
            expect![[r#"
            invalid configuration
              key "bootstrap.servers": Invalid value localhost for configuration bootstrap.servers: Not of the form host:port
              key "offset.flush.interval.ms": Invalid value 0 for configuration offset.flush.interval.ms: Value must be at least 1
              key "connector.client.config.override.policy": Invalid value Some for configuration connector.client.config.override.policy: String must be one of: All, None, Principal, Allowlist
              key "listeners": Invalid value ftp://:1 for configuration listeners: The protocol "ftp" is not known, there are http and https
              key "listeners": Invalid value http://:x for configuration listeners: The port must be a number from 0 to 65535
              key "rest.extension.classes": REST extensions are Java classes and cannot run here, remove the key
              key "group.id": Invalid value  for configuration group.id: String must be non-empty
              key "offset.storage.partitions": Invalid value 0 for configuration offset.storage.partitions: Number of partitions must be -1 to use the Kafka cluster's default value, or a positive number
              key "status.storage.topic": Invalid value connect-configs for configuration status.storage.topic: Must differ from config.storage.topic
              key "heartbeat.interval.ms": Invalid value 10000 for configuration heartbeat.interval.ms: Must be less than session.timeout.ms, which is 10000
              key "sandbox.memory.max.bytes": Invalid value 1 for configuration sandbox.memory.max.bytes: Value must be at least 1048576
              key "sandbox.allow.hosts": Invalid value a:b for configuration sandbox.allow.hosts: The port must be a number from 1 to 65535"#]],
        );
    }

    #[test]
    fn unknown_and_outdated_keys_are_warned_of() {
        let odd = "offset.flush.intervall.ms=5\nrest.port=8084\nssl.cipher.suites=x\nproducer.acks=all\ninternal.key.converter=x\n";
        check(
            Mode::Distributed,
            &format!("{DISTRIBUTED}{odd}"),
            expect![[r#"
            warning: key "offset.flush.intervall.ms": not known and ignored, did you mean "offset.flush.interval.ms"?
            warning: key "internal.key.converter": not known and ignored
            warning: key "rest.port": outdated, write listeners=http://:8084
        "#]],
        );
    }

    #[test]
    fn listeners_say_protocol_host_and_port() {
        let config =
            right(Mode::Distributed, &format!("{DISTRIBUTED}listeners=http://127.0.0.1:0,HTTPS://[::1]:8443/\n"));
        assert_eq!(
            config.listeners,
            [
                Listener { is_https: false, host: Some("127.0.0.1".into()), port: 0 },
                Listener { is_https: true, host: Some("::1".into()), port: 8443 },
            ]
        );
    }

    #[test]
    fn clients_get_what_connect_gives_them() {
        let extra = "security.protocol=SSL\nclient.id=w\nproducer.linger.ms=5\nproducer.bootstrap.servers=other:1\n\
            consumer.fetch.min.bytes=9\nadmin.retries=3\nadmin.listeners=\n";
        let config = right(Mode::Distributed, &format!("{DISTRIBUTED}{extra}"));
        let shown = |client| {
            let settings = config.client_settings(client);
            settings.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(shown(Client::Internal), "bootstrap.servers=localhost:9092 security.protocol=SSL client.id=w");
        assert_eq!(
            shown(Client::Admin),
            "bootstrap.servers=localhost:9092 security.protocol=SSL client.id=w retries=3"
        );
        assert_eq!(shown(Client::Producer), "bootstrap.servers=other:1 linger.ms=5");
        assert_eq!(shown(Client::Consumer), "bootstrap.servers=localhost:9092 fetch.min.bytes=9");
    }

    #[test]
    fn policies_decide_which_client_settings_a_connector_overrides() {
        let connector: Settings =
            [("producer.override.sasl.jaas.config", "x"), ("consumer.override.fetch.min.bytes", "1"), ("topic", "t")]
                .into_iter()
                .collect();
        let refused = |text: &str| -> Vec<String> {
            let config = right(Mode::Distributed, &format!("{DISTRIBUTED}{text}\n"));
            config.client_overrides.refusals(&connector).into_iter().map(|problem| problem.message).collect()
        };
        const KEY: &str = "connector.client.config.override";
        let fetch =
            "The 'Principal' policy does not allow 'fetch.min.bytes' to be overridden in the connector configuration.";
        assert_eq!(refused(""), [""; 0]);
        assert_eq!(refused(&format!("{KEY}.policy=None")).len(), 2);
        assert_eq!(refused(&format!("{KEY}.policy=Principal")), [fetch]);
        assert_eq!(
            refused(&format!("{KEY}.policy=Allowlist\n{KEY}.allowlist=sasl.jaas.config,fetch.min.bytes")),
            [""; 0]
        );
        let java = "org.apache.kafka.connect.connector.policy.NoneConnectorClientConfigOverridePolicy";
        assert_eq!(refused(&format!("{KEY}.policy={java}")).len(), 2);
    }

    #[test]
    fn keys_are_unique_documented_and_have_defaults_that_fit() {
        for mode in [Mode::Distributed, Mode::Standalone] {
            let keys = keys(mode);
            let mut names: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
            names.sort_unstable();
            let count = names.len();
            names.dedup();
            assert_eq!(names.len(), count);
            for key in &keys {
                assert!(key.doc.ends_with('.'), "{} has no documentation", key.name);
                if let DefaultValue::Value(default) = &key.default {
                    assert_eq!(crate::validate::errors_of(key, default), [""; 0], "{}", key.name);
                }
            }
        }
    }
}
