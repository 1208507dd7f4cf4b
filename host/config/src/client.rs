//! Kafka client settings, as Java clients take them, in librdkafka's words.
//!
//! Every Java setting that may be met is a row of one table, in one of three classes: *mapped* to librdkafka, *ignored*
//! (silently where it has nothing to decide here, with a warning where somebody may miss it), or *refused* by name, because
//! running without it would not be what was asked for. What is in no row is ignored with a warning and the nearest name.

use crate::nearest::nearest;
use crate::settings::Settings;
use crate::validate::{Invalid, Problem, Warning, split_list};

/// What a Java setting becomes.
#[derive(Debug, Clone, Copy)]
enum Action {
    /// The same name and value.
    Same,
    /// The same name, the value in lower case.
    Lower,
    /// Another name, the same value.
    Named(&'static str),
    /// A whole number under this name, moved into the bounds that librdkafka knows.
    Number { name: &'static str, min: i64, max: i64 },
    /// These values under this name become those; others are refused.
    Words { name: &'static str, words: &'static [(&'static str, &'static str)] },
    /// Bytes that librdkafka counts in units of 1,024.
    Kilobytes(&'static str),
    /// Read by the data plane, not by the client: [`Translation::max_poll_records`].
    PollRecords,
    /// Read together with others: stores of certificates, login modules.
    Combined,
    /// The host decides it, or it is about how Java works.
    Silent,
    /// Ignored, and the reason is told once.
    Ignored(&'static str),
    /// Refused, for this reason.
    Refused(&'static str),
    /// A list of Java classes: these may be left out without anybody missing them, others are refused.
    Classes { harmless: &'static [&'static str], why: &'static str },
}

use Action::{Classes, Combined, Ignored, Kilobytes, Lower, Named, Number, PollRecords, Refused, Same, Silent, Words};

/// A row of the table.
#[derive(Debug)]
struct Row {
    java: &'static str,
    action: Action,
    /// May stand unprefixed in a worker configuration, for the worker's own clients and admin clients.
    is_shared: bool,
}

const fn shared(java: &'static str, action: Action) -> Row {
    Row { java, action, is_shared: true }
}

const fn row(java: &'static str, action: Action) -> Row {
    Row { java, action, is_shared: false }
}

const fn number(name: &'static str, min: i64, max: i64) -> Action {
    Number { name, min, max }
}

const NO_JAVA: &str = "it names a Java class, which cannot run here";
const NO_METRICS: &str = "metrics are read at /metrics";
const JVM_TLS: &str = "the TLS library of librdkafka decides it";

/// Monitoring that vendors ship in their worker files.
const MONITORING: &[&str] = &[
    "io.confluent.monitoring.clients.interceptor.MonitoringProducerInterceptor",
    "io.confluent.monitoring.clients.interceptor.MonitoringConsumerInterceptor",
];
const PARTITIONERS: &[&str] = &["org.apache.kafka.clients.producer.internals.DefaultPartitioner"];

const TABLE: &[Row] = &[
    shared("bootstrap.servers", Same),
    shared("client.id", Same),
    shared("client.rack", Same),
    shared("client.dns.lookup", Same),
    shared("security.protocol", Lower),
    shared("sasl.mechanism", Same),
    shared("sasl.jaas.config", Combined),
    shared("ssl.truststore.type", Combined),
    shared("ssl.truststore.location", Combined),
    shared("ssl.truststore.password", Combined),
    shared("ssl.truststore.certificates", Named("ssl.ca.pem")),
    shared("ssl.keystore.type", Combined),
    shared("ssl.keystore.location", Combined),
    shared("ssl.keystore.password", Combined),
    shared("ssl.keystore.certificate.chain", Named("ssl.certificate.pem")),
    shared("ssl.keystore.key", Named("ssl.key.pem")),
    shared("ssl.key.password", Same),
    shared("ssl.cipher.suites", Ignored("its names are Java's, librdkafka takes OpenSSL's")),
    shared(
        "ssl.endpoint.identification.algorithm",
        Words { name: "ssl.endpoint.identification.algorithm", words: &[("https", "https"), ("", "none")] },
    ),
    shared("ssl.enabled.protocols", Ignored(JVM_TLS)),
    shared("ssl.protocol", Ignored(JVM_TLS)),
    shared("ssl.provider", Ignored(JVM_TLS)),
    shared("ssl.keymanager.algorithm", Ignored(JVM_TLS)),
    shared("ssl.trustmanager.algorithm", Ignored(JVM_TLS)),
    shared("ssl.secure.random.implementation", Ignored(JVM_TLS)),
    shared("ssl.client.auth", Silent),
    shared("ssl.engine.factory.class", Refused(NO_JAVA)),
    shared("security.providers", Refused(NO_JAVA)),
    shared("sasl.client.callback.handler.class", Refused(NO_JAVA)),
    shared("sasl.login.callback.handler.class", Refused(NO_JAVA)),
    shared("sasl.login.class", Refused(NO_JAVA)),
    shared("sasl.kerberos.service.name", Refused("Kerberos is not supported, use SCRAM, PLAIN or TLS certificates")),
    shared("request.timeout.ms", number("socket.timeout.ms", 10, 300_000)),
    shared("socket.connection.setup.timeout.ms", number("socket.connection.setup.timeout.ms", 1_000, 2_147_483_647)),
    shared("socket.connection.setup.timeout.max.ms", Silent),
    shared("retry.backoff.ms", number("retry.backoff.ms", 1, 300_000)),
    shared("retry.backoff.max.ms", number("retry.backoff.max.ms", 1, 300_000)),
    shared("reconnect.backoff.ms", number("reconnect.backoff.ms", 0, 3_600_000)),
    shared("reconnect.backoff.max.ms", number("reconnect.backoff.max.ms", 0, 3_600_000)),
    // Java's -1, the system's own size, is librdkafka's 0.
    shared("send.buffer.bytes", number("socket.send.buffer.bytes", 0, 100_000_000)),
    shared("receive.buffer.bytes", number("socket.receive.buffer.bytes", 0, 100_000_000)),
    shared("metadata.max.age.ms", number("metadata.max.age.ms", 1, 86_400_000)),
    shared("metadata.recovery.strategy", Lower),
    shared(
        "metadata.recovery.rebootstrap.trigger.ms",
        number("metadata.recovery.rebootstrap.trigger.ms", 0, 2_147_483_647),
    ),
    shared("connections.max.idle.ms", number("connections.max.idle.ms", 0, 2_147_483_647)),
    shared("enable.metrics.push", Silent),
    shared("default.api.timeout.ms", Silent),
    shared("metric.reporters", Ignored(NO_METRICS)),
    shared("auto.include.jmx.reporter", Ignored(NO_METRICS)),
    shared("metrics.num.samples", Silent),
    shared("metrics.sample.window.ms", Silent),
    shared("metrics.recording.level", Silent),
    // Producers.
    row("acks", Words { name: "acks", words: &[("all", "all"), ("-1", "all"), ("1", "1"), ("0", "0")] }),
    row("linger.ms", number("linger.ms", 0, 900_000)),
    row("batch.size", number("batch.size", 1, 2_147_483_647)),
    row("max.request.size", number("message.max.bytes", 1_000, 1_000_000_000)),
    row("buffer.memory", Kilobytes("queue.buffering.max.kbytes")),
    row("compression.type", Lower),
    row("compression.gzip.level", number("compression.level", -1, 9)),
    row("compression.lz4.level", number("compression.level", -1, 12)),
    row("compression.zstd.level", number("compression.level", -1, 12)),
    row("delivery.timeout.ms", number("delivery.timeout.ms", 0, 2_147_483_647)),
    row("retries", number("message.send.max.retries", 0, 2_147_483_647)),
    row("max.in.flight.requests.per.connection", number("max.in.flight.requests.per.connection", 1, 1_000_000)),
    row("enable.idempotence", Lower),
    row("transactional.id", Same),
    row("transaction.timeout.ms", number("transaction.timeout.ms", 1_000, 2_147_483_647)),
    row("transaction.two.phase.commit.enable", Refused("two-phase commit is not supported")),
    row("max.block.ms", Silent),
    row("metadata.max.idle.ms", Silent),
    row("key.serializer", Silent),
    row("value.serializer", Silent),
    row("partitioner.class", Classes { harmless: PARTITIONERS, why: NO_JAVA }),
    row("partitioner.ignore.keys", Ignored("records with a key go where Java's default partitioner sends them")),
    row("partitioner.adaptive.partitioning.enable", Silent),
    row("partitioner.availability.timeout.ms", Silent),
    row("interceptor.classes", Classes { harmless: MONITORING, why: NO_JAVA }),
    // Consumers.
    row("group.id", Same),
    row("group.instance.id", Same),
    row("group.protocol", Lower),
    row("group.remote.assignor", Same),
    row("session.timeout.ms", number("session.timeout.ms", 1, 3_600_000)),
    row("heartbeat.interval.ms", number("heartbeat.interval.ms", 1, 3_600_000)),
    row("max.poll.interval.ms", number("max.poll.interval.ms", 1, 86_400_000)),
    row("max.poll.records", PollRecords),
    row("fetch.min.bytes", number("fetch.min.bytes", 1, 100_000_000)),
    row("fetch.max.bytes", number("fetch.max.bytes", 0, 2_147_483_135)),
    row("fetch.max.wait.ms", number("fetch.wait.max.ms", 0, 300_000)),
    row("max.partition.fetch.bytes", number("max.partition.fetch.bytes", 1, 1_000_000_000)),
    row("isolation.level", Lower),
    row(
        "auto.offset.reset",
        Words {
            name: "auto.offset.reset",
            words: &[("earliest", "earliest"), ("latest", "latest"), ("none", "error")],
        },
    ),
    row("check.crcs", Lower),
    row("allow.auto.create.topics", Lower),
    row("exclude.internal.topics", Silent),
    row("enable.auto.commit", Ignored("the host commits what sinks have accepted")),
    row("auto.commit.interval.ms", Silent),
    row("key.deserializer", Silent),
    row("value.deserializer", Silent),
    row("partition.assignment.strategy", Combined),
];

/// Settings for one client, in librdkafka's words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Translation {
    /// In the order they came; no name twice.
    pub properties: Settings,
    /// Records that a sink is given at once at most, if `max.poll.records` says so.
    pub max_poll_records: Option<u32>,
    pub warnings: Vec<Warning>,
}

/// True for settings that the worker's own clients take from unprefixed keys.
pub fn is_shared_setting(java: &str) -> bool {
    TABLE.iter().any(|row| row.is_shared && row.java == java)
}

/// The names of those settings.
pub fn shared_settings() -> impl Iterator<Item = &'static str> + Clone {
    TABLE.iter().filter(|row| row.is_shared).map(|row| row.java)
}

/// Translates the settings of one client: those of the worker, overlaid with those of the connector. Answers every
/// setting that is refused or wrong at once; values of secrets are in no message.
pub fn translate(java: &Settings) -> Result<Translation, Invalid> {
    let mut translator = Translator::default();
    for (key, value) in java.iter() {
        // Java trims what it parses.
        translator.setting(key, value.trim());
    }
    translator.login(java);
    translator.certificates(java);
    translator.assignors(java);
    if translator.problems.is_empty() { Ok(translator.done) } else { Err(Invalid { problems: translator.problems }) }
}

#[derive(Default)]
struct Translator {
    done: Translation,
    problems: Vec<Problem>,
}

impl Translator {
    fn setting(&mut self, key: &str, value: &str) {
        let Some(row) = TABLE.iter().find(|row| row.java == key) else {
            let message = match nearest(key, TABLE.iter().map(|row| row.java)) {
                Some(near) => format!("no Kafka client setting, ignored, did you mean \"{near}\"?"),
                None => "no Kafka client setting that is known here, ignored".to_owned(),
            };
            return self.warn(key, message);
        };
        match row.action {
            Same => self.put(row.java, value),
            Lower => self.put(row.java, &value.to_ascii_lowercase()),
            Named(name) => self.put(name, value),
            Number { name, min, max } => self.number(key, value, name, min, max),
            Words { name, words } => match words.iter().find(|(word, _)| word.eq_ignore_ascii_case(value)) {
                Some((_, word)) => self.put(name, word),
                None => {
                    let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                    self.refuse_value(key, value, &format!("String must be one of: {}", words.join(", ")));
                }
            },
            Kilobytes(name) => match value.parse::<i64>() {
                Ok(bytes) => self.put(name, &(bytes / 1_024).clamp(1, 2_147_483_647).to_string()),
                Err(_) => self.refuse_value(key, value, "Not a number of type LONG"),
            },
            PollRecords => match value.parse::<u32>() {
                Ok(records) if records > 0 => self.done.max_poll_records = Some(records),
                _ => self.refuse_value(key, value, "Value must be at least 1"),
            },
            Combined | Silent => {}
            Ignored(why) => self.warn(key, format!("ignored, {why}")),
            Refused(_) if value.is_empty() => {}
            Refused(why) => self.problems.push(Problem::new(key, format!("not supported, {why}"))),
            Classes { harmless, why } => self.classes(key, value, harmless, why),
        }
    }

    fn put(&mut self, name: &str, value: &str) {
        self.done.properties.insert(name, value);
    }

    fn warn(&mut self, key: &str, message: String) {
        self.done.warnings.push(Warning { key: key.to_owned(), message });
    }

    fn refuse_value(&mut self, key: &str, value: &str, why: &str) {
        self.problems.push(Problem::invalid(key, value, why));
    }

    /// Java allows longer times than librdkafka (a `delivery.timeout.ms` for ever, say): the longest is meant.
    fn number(&mut self, key: &str, value: &str, name: &str, min: i64, max: i64) {
        match value.parse::<i64>() {
            Ok(number) => self.put(name, &number.clamp(min, max).to_string()),
            Err(_) => self.refuse_value(key, value, "Not a number of type LONG"),
        }
    }

    fn classes(&mut self, key: &str, value: &str, harmless: &[&str], why: &str) {
        for class in split_list(value) {
            if harmless.contains(&class.as_str()) {
                self.warn(key, format!("{class} is ignored"));
            } else {
                self.problems.push(Problem::new(key, format!("\"{class}\" is not supported, {why}")));
            }
        }
    }

    /// `sasl.mechanism` and `sasl.jaas.config` become user name and password.
    fn login(&mut self, java: &Settings) {
        const JAAS: &str = "sasl.jaas.config";
        let protocol = java.get("security.protocol").unwrap_or_default().trim().to_ascii_uppercase();
        if !protocol.starts_with("SASL") {
            return;
        }
        let mechanism = java.get("sasl.mechanism").unwrap_or("GSSAPI").trim();
        let module_expected = match mechanism {
            "PLAIN" => "PlainLoginModule",
            "SCRAM-SHA-256" | "SCRAM-SHA-512" => "ScramLoginModule",
            other => {
                let why = "supported are PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512";
                return self.problems.push(Problem::invalid("sasl.mechanism", other, why));
            }
        };
        let Some(jaas) = java.get(JAAS) else {
            return self.problems.push(Problem::missing(JAAS));
        };
        match Jaas::parse(jaas) {
            Err(why) => self.problems.push(Problem::invalid(JAAS, crate::validate::HIDDEN, why)),
            Ok(login) if login.module.rsplit('.').next() != Some(module_expected) => {
                let message = format!("the login module {} does not fit the mechanism {mechanism}", login.module);
                self.problems.push(Problem::new(JAAS, message));
            }
            Ok(login) => {
                for (option, name) in [("username", "sasl.username"), ("password", "sasl.password")] {
                    match login.option(option) {
                        Some(value) => self.put(name, value),
                        None => {
                            let message = format!("the option \"{option}\" of the login module is missing");
                            self.problems.push(Problem::new(JAAS, message));
                        }
                    }
                }
            }
        }
    }

    fn certificates(&mut self, java: &Settings) {
        let location = |key: &str| java.get(key).map(str::trim).filter(|path| !path.is_empty());
        if let Some(path) = location("ssl.truststore.location") {
            match store_type(java, "ssl.truststore.type", path) {
                StoreType::Pem => self.put("ssl.ca.location", path),
                StoreType::Pkcs12 | StoreType::Jks => {
                    let why = "only PEM files are read, convert it and set ssl.truststore.type=PEM";
                    self.problems.push(Problem::invalid("ssl.truststore.location", path, why));
                }
            }
        }
        if let Some(path) = location("ssl.keystore.location") {
            match store_type(java, "ssl.keystore.type", path) {
                StoreType::Pem => {
                    // Java keeps key and certificates in one file.
                    self.put("ssl.certificate.location", path);
                    self.put("ssl.key.location", path);
                }
                StoreType::Pkcs12 => {
                    self.put("ssl.keystore.location", path);
                    if let Some(password) = java.get("ssl.keystore.password") {
                        self.put("ssl.keystore.password", password.trim());
                    }
                }
                StoreType::Jks => {
                    let why = "only PEM and PKCS12 files are read, convert it and set ssl.keystore.type";
                    self.problems.push(Problem::invalid("ssl.keystore.location", path, why));
                }
            }
        }
    }

    /// Java's assignors by class are librdkafka's by name.
    fn assignors(&mut self, java: &Settings) {
        const KEY: &str = "partition.assignment.strategy";
        let Some(value) = java.get(KEY) else { return };
        let mut names: Vec<&str> = Vec::new();
        for class in split_list(value) {
            let name = match class.strip_prefix("org.apache.kafka.clients.consumer.").unwrap_or(&class) {
                "RangeAssignor" | "range" => "range",
                "RoundRobinAssignor" | "roundrobin" => "roundrobin",
                "CooperativeStickyAssignor" | "cooperative-sticky" => "cooperative-sticky",
                _ => {
                    let message = format!("\"{class}\" is not supported, {NO_JAVA}");
                    self.problems.push(Problem::new(KEY, message));
                    continue;
                }
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        // librdkafka refuses a list that mixes the two protocols; Java's default mixes them and runs the first.
        let is_cooperative = names.first() == Some(&"cooperative-sticky");
        names.retain(|name| (*name == "cooperative-sticky") == is_cooperative);
        if !names.is_empty() {
            self.put(KEY, &names.join(","));
        }
    }
}

enum StoreType {
    Pem,
    Pkcs12,
    Jks,
}

/// The type that is named; Java's default, JKS, also reads PKCS#12, which the file's name gives away.
fn store_type(java: &Settings, key: &str, path: &str) -> StoreType {
    match java.get(key).map(|named| named.trim().to_ascii_uppercase()).as_deref() {
        Some("PEM") => StoreType::Pem,
        Some("PKCS12") => StoreType::Pkcs12,
        _ if [".p12", ".pfx"].iter().any(|suffix| path.to_ascii_lowercase().ends_with(suffix)) => StoreType::Pkcs12,
        _ => StoreType::Jks,
    }
}

/// User and password of a login as Java writes it. Errors say nothing of the text.
pub fn user_and_password(jaas: &str) -> Result<(String, String), &'static str> {
    let login = Jaas::parse(jaas)?;
    match (login.option("username"), login.option("password")) {
        (Some(user), Some(password)) => Ok((user.to_owned(), password.to_owned())),
        _ => Err("the login module needs the options username and password"),
    }
}

/// A login as Java writes it: `org.example.Module required option="value" …;`
#[derive(Debug, PartialEq, Eq)]
struct Jaas {
    module: String,
    options: Vec<(String, String)>,
}

impl Jaas {
    fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(option, _)| option == name).map(|(_, value)| value.as_str())
    }

    /// Errors say nothing of the text: it holds passwords.
    fn parse(text: &str) -> Result<Jaas, &'static str> {
        let mut words = Tokens { rest: text.trim() };
        let module = words.next()?.ok_or("the login module is missing")?;
        match words.next()?.as_deref() {
            Some("required" | "requisite" | "sufficient" | "optional") => {}
            _ => return Err("the word \"required\" must follow the login module"),
        }
        let mut options = Vec::new();
        while let Some(name) = words.next()? {
            if name == ";" {
                return match words.rest.is_empty() {
                    true => Ok(Jaas { module, options }),
                    false => Err("only one login module may be named"),
                };
            }
            if words.next()?.as_deref() != Some("=") {
                return Err("an option has no value, write name=\"value\"");
            }
            let value = words.next()?.ok_or("an option has no value, write name=\"value\"")?;
            options.push((name, value));
        }
        Err("a semicolon must end the login module's options")
    }
}

/// Splits a login into words, `=` and `;`.
struct Tokens<'t> {
    rest: &'t str,
}

impl Tokens<'_> {
    fn next(&mut self) -> Result<Option<String>, &'static str> {
        self.rest = self.rest.trim_start();
        let mut chars = self.rest.char_indices();
        match chars.next() {
            None => Ok(None),
            Some((_, sign @ ('=' | ';'))) => {
                self.rest = &self.rest[1..];
                Ok(Some(sign.to_string()))
            }
            Some((_, quote @ ('"' | '\''))) => self.quoted(quote).map(Some),
            Some(_) => {
                let end =
                    self.rest.find(|c: char| c.is_whitespace() || c == '=' || c == ';').unwrap_or(self.rest.len());
                let (word, rest) = self.rest.split_at(end);
                self.rest = rest;
                Ok(Some(word.to_owned()))
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, &'static str> {
        let mut word = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some((_, escaped)) => word.push(escaped),
                    None => break,
                },
                c if c == quote => {
                    self.rest = &self.rest[at + c.len_utf8()..];
                    return Ok(word);
                }
                c => word.push(c),
            }
        }
        Err("a quotation mark is not closed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: Expect) {
        let java = crate::properties::parse(text.as_bytes()).expect("the test writes properties").settings;
        let shown = match translate(&java) {
            Ok(done) => {
                let mut lines: Vec<String> =
                    done.properties.iter().map(|(name, value)| format!("{name}={value}")).collect();
                lines.extend(done.max_poll_records.map(|records| format!("(records: {records})")));
                lines.extend(done.warnings.iter().map(|warning| format!("warning: {warning}")));
                lines.join("\n")
            }
            Err(invalid) => invalid.to_string(),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn a_producer_as_people_tune_it() {
        check(
            "bootstrap.servers=a:9092,b:9092\nacks=-1\nlinger.ms=20\nbatch.size=0\nmax.request.size=5242880\n\
             buffer.memory=33554432\ncompression.type=ZSTD\ndelivery.timeout.ms=9223372036854775807\n\
             max.in.flight.requests.per.connection=1\nmax.block.ms=60000\nenable.idempotence=false\nretries=3",
            expect![[r#"
                bootstrap.servers=a:9092,b:9092
                acks=all
                linger.ms=20
                batch.size=1
                message.max.bytes=5242880
                queue.buffering.max.kbytes=32768
                compression.type=zstd
                delivery.timeout.ms=2147483647
                max.in.flight.requests.per.connection=1
                enable.idempotence=false
                message.send.max.retries=3"#]],
        );
    }

    #[test]
    fn a_consumer_as_people_tune_it() {
        check(
            "auto.offset.reset=none\nisolation.level=READ_COMMITTED\nmax.poll.records=2000\nfetch.max.wait.ms=100\n\
             fetch.min.bytes=1024\nrequest.timeout.ms=600000\nreceive.buffer.bytes=-1\nenable.auto.commit=true\n\
             partition.assignment.strategy=org.apache.kafka.clients.consumer.RangeAssignor,org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
            expect![[r#"
                auto.offset.reset=error
                isolation.level=read_committed
                fetch.wait.max.ms=100
                fetch.min.bytes=1024
                socket.timeout.ms=300000
                socket.receive.buffer.bytes=0
                partition.assignment.strategy=range
                (records: 2000)
                warning: key "enable.auto.commit": ignored, the host commits what sinks have accepted"#]],
        );
    }

    #[test]
    fn logins_become_user_and_password() {
        check(
            "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\n\
             sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \\\n  username=\"me\" password='p\\\\\"q=;';\n\
             ssl.endpoint.identification.algorithm=\nssl.truststore.type=PEM\nssl.truststore.location=/etc/ca.pem",
            expect![[r#"
                security.protocol=sasl_ssl
                sasl.mechanism=SCRAM-SHA-512
                ssl.endpoint.identification.algorithm=none
                sasl.username=me
                sasl.password=p"q=;
                ssl.ca.location=/etc/ca.pem"#]],
        );
        check(
            "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username=a password=b;",
            expect![[r#"
                security.protocol=sasl_plaintext
                sasl.mechanism=PLAIN
                sasl.username=a
                sasl.password=b"#]],
        );
    }

    #[test]
    fn what_is_wrong_with_a_login_is_told_without_it() {
        let plain = |jaas: &str| format!("security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nsasl.jaas.config={jaas}");
        check(
            &plain("x.PlainLoginModule required username=\"a\" password=\"hunter2\""),
            expect![[r#"
            invalid configuration
              key "sasl.jaas.config": Invalid value [hidden] for configuration sasl.jaas.config: a semicolon must end the login module's options"#]],
        );
        check(
            &plain("x.PlainLoginModule required username=\"hunter2;"),
            expect![[r#"
            invalid configuration
              key "sasl.jaas.config": Invalid value [hidden] for configuration sasl.jaas.config: a quotation mark is not closed"#]],
        );
        check(
            &plain("x.ScramLoginModule required username=a password=hunter2;"),
            expect![[r#"
            invalid configuration
              key "sasl.jaas.config": the login module x.ScramLoginModule does not fit the mechanism PLAIN"#]],
        );
        check(
            &plain("x.PlainLoginModule required user=a;"),
            expect![[r#"
            invalid configuration
              key "sasl.jaas.config": the option "username" of the login module is missing
              key "sasl.jaas.config": the option "password" of the login module is missing"#]],
        );
        check(
            "security.protocol=SASL_SSL",
            expect![[r#"
            invalid configuration
              key "sasl.mechanism": Invalid value GSSAPI for configuration sasl.mechanism: supported are PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512"#]],
        );
        check(
            "security.protocol=SASL_SSL\nsasl.mechanism=PLAIN",
            expect![[r#"
            invalid configuration
              key "sasl.jaas.config": Missing required configuration "sasl.jaas.config" which has no default value."#]],
        );
    }

    #[test]
    fn stores_of_certificates_are_read_where_librdkafka_can() {
        check(
            "ssl.keystore.type=PEM\nssl.keystore.location=/k.pem\nssl.key.password=x",
            expect![[r#"
            ssl.key.password=x
            ssl.certificate.location=/k.pem
            ssl.key.location=/k.pem"#]],
        );
        check(
            "ssl.keystore.location=/k.p12\nssl.keystore.password=x",
            expect![[r#"
            ssl.keystore.location=/k.p12
            ssl.keystore.password=x"#]],
        );
        check(
            "ssl.keystore.location=/k.jks\nssl.truststore.location=/t.jks\nssl.truststore.password=x",
            expect![[r#"
            invalid configuration
              key "ssl.truststore.location": Invalid value /t.jks for configuration ssl.truststore.location: only PEM files are read, convert it and set ssl.truststore.type=PEM
              key "ssl.keystore.location": Invalid value /k.jks for configuration ssl.keystore.location: only PEM and PKCS12 files are read, convert it and set ssl.keystore.type"#]],
        );
    }

    #[test]
    fn what_has_no_place_here_is_ignored_or_refused_by_name() {
        check(
            "interceptor.classes=io.confluent.monitoring.clients.interceptor.MonitoringProducerInterceptor\n\
             metric.reporters=com.example.R\nkey.serializer=x\nlinger.sm=5\nwholly.other=1\nsasl.login.class=",
            expect![[r#"
                warning: key "interceptor.classes": io.confluent.monitoring.clients.interceptor.MonitoringProducerInterceptor is ignored
                warning: key "metric.reporters": ignored, metrics are read at /metrics
                warning: key "linger.sm": no Kafka client setting, ignored, did you mean "linger.ms"?
                warning: key "wholly.other": no Kafka client setting that is known here, ignored"#]],
        );
        check(
            "interceptor.classes=com.example.Audit\npartitioner.class=com.example.P\nsasl.login.callback.handler.class=com.example.H\nacks=2\nlinger.ms=soon",
            expect![[r#"
                invalid configuration
                  key "interceptor.classes": "com.example.Audit" is not supported, it names a Java class, which cannot run here
                  key "partitioner.class": "com.example.P" is not supported, it names a Java class, which cannot run here
                  key "sasl.login.callback.handler.class": not supported, it names a Java class, which cannot run here
                  key "acks": Invalid value 2 for configuration acks: String must be one of: all, -1, 1, 0
                  key "linger.ms": Invalid value soon for configuration linger.ms: Not a number of type LONG"#]],
        );
    }

    #[test]
    fn a_setting_has_one_row() {
        let mut names: Vec<&str> = TABLE.iter().map(|row| row.java).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn any_values_are_translated_or_refused(values in prop::collection::vec("\\PC{0,12}|[0-9]{1,20}|[a-z\"';= ]{0,30}", 8), rows in prop::collection::vec(0..TABLE.len(), 8)) {
            let mut java: Settings = rows.iter().zip(&values).map(|(row, value)| (TABLE[*row].java, value.as_str())).collect();
            java.insert("security.protocol", "SASL_SSL");
            java.insert("sasl.mechanism", "PLAIN");
            if let Err(invalid) = translate(&java) {
                prop_assert!(!invalid.problems.is_empty());
            }
        }
    }
}
