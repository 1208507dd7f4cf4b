//! The converters' keys, and what their settings come to.

use std::time::Duration;

use tidegate_config::key::{Key, boolean, class, int, list, password, string};
use tidegate_config::{Definition, Kind, Problem, Settings, Validation};
use url::Url;

use crate::subject::NameStrategy;
use crate::tls::Tls;
use crate::{avro, json, protobuf};

/// A format, which is also a converter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    Avro,
    Protobuf,
    JsonSchema,
}

impl Format {
    const ALL: [Format; 3] = [Format::Avro, Format::Protobuf, Format::JsonSchema];

    /// The name in a registry's `schemaType`.
    pub fn registry_name(self) -> &'static str {
        match self {
            Format::Avro => "AVRO",
            Format::Protobuf => "PROTOBUF",
            Format::JsonSchema => "JSON",
        }
    }

    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Format::Avro => "Avro",
            Format::Protobuf => "Protobuf",
            Format::JsonSchema => "JSON Schema",
        }
    }

    fn class(self) -> (&'static str, &'static str) {
        match self {
            Format::Avro => ("io.confluent.connect.avro", "AvroConverter"),
            Format::Protobuf => ("io.confluent.connect.protobuf", "ProtobufConverter"),
            Format::JsonSchema => ("io.confluent.connect.json", "JsonSchemaConverter"),
        }
    }

    /// The converter of the format, with its keys.
    pub fn definition(self) -> Definition {
        let (package, name) = self.class();
        let of_format = match self {
            Format::Avro => avro_keys(),
            Format::Protobuf => protobuf_keys(),
            Format::JsonSchema => json_keys(),
        };
        let definition = Definition::new(Kind::Converter, name)
            .alias(format!("{package}.{name}"))
            .doc(format!("{}, with schemas that a schema registry keeps.", self.name()));
        common_keys().into_iter().chain(of_format).fold(definition, Definition::key)
    }

    /// The format whose converter has this definition.
    pub fn of(definition: &Definition) -> Option<Format> {
        let found = definitions().position(|own| own.name == definition.name && own.kind == definition.kind)?;
        let format = Format::ALL[found];
        (format.definition() == *definition).then_some(format)
    }
}

/// The converters of all formats.
pub fn definitions() -> impl Iterator<Item = Definition> {
    Format::ALL.into_iter().map(Format::definition)
}

fn common_keys() -> Vec<Key> {
    let strategy = "io.confluent.kafka.serializers.subject.TopicNameStrategy";
    vec![
        list("schema.registry.url").required().non_empty().high().doc(
            "Addresses of the schema registry, separated by commas; the next is asked where one does not answer. Paths \
             belong to them, as in http://host:8080/apis/ccompat/v7.",
        ),
        string("basic.auth.credentials.source")
            .default("URL")
            .one_of_ignoring_case(&["URL", "USER_INFO", "SASL_INHERIT"])
            .doc("Where user and password for the registry stand: in its URL, in basic.auth.user.info, in sasl.jaas.config."),
        password("basic.auth.user.info").doc("User and password for the registry, with a colon between."),
        password("schema.registry.basic.auth.user.info").low().doc("The same under its older name."),
        password("sasl.jaas.config").low().doc("A login of Kafka whose user and password are the registry's too."),
        string("bearer.auth.credentials.source")
            .one_of_ignoring_case(&["STATIC_TOKEN"])
            .low()
            .doc("STATIC_TOKEN: bearer.auth.token is sent."),
        password("bearer.auth.token").low().doc("A token for the registry."),
        boolean("auto.register.schemas")
            .default("true")
            .doc("Whether schemas that the registry does not have are registered when records are written."),
        int("use.schema.id").default("-1").low().doc(
            "Number of the schema that records are written with, where they are not to be registered; -1: none is named.",
        ),
        boolean("use.latest.version")
            .default("false")
            .low()
            .doc("Whether records are written with the newest schema of the subject, where they are not to be registered."),
        boolean("latest.compatibility.strict")
            .default("true")
            .low()
            .doc("Whether every field of a record must have its place in that newest schema."),
        boolean("id.compatibility.strict")
            .default("true")
            .low()
            .doc("Whether every field of a record must have its place in the schema of use.schema.id."),
        boolean("normalize.schemas").default("false").doc("Whether the registry compares schemas by their meaning."),
        int("max.schemas.per.subject").default("1000").at_least(1).low().doc("Schemas that are kept."),
        int("schemas.cache.config").default("1000").at_least(1).low().doc("Schemas that are kept."),
        class("key.subject.name.strategy").default(strategy).doc(
            "How subjects of keys are named: TopicNameStrategy, RecordNameStrategy or TopicRecordNameStrategy.",
        ),
        class("value.subject.name.strategy").default(strategy).doc("The same for values."),
        int("http.connect.timeout.ms").default("10000").at_least(1).low().doc("How long a connection may take."),
        int("http.read.timeout.ms").default("30000").at_least(1).low().doc("How long an answer may take."),
        string("proxy.host").low().doc("Host of an HTTP proxy to the registry."),
        int("proxy.port").default("-1").low().doc("Port of that proxy."),
        string("schema.registry.ssl.truststore.location").doc("PEM file with the certificates to trust."),
        string("schema.registry.ssl.truststore.type").low().doc("PEM."),
        password("schema.registry.ssl.truststore.certificates").low().doc("The certificates to trust themselves, as PEM."),
        password("schema.registry.ssl.truststore.password").low().doc("Taken for compatibility: PEM files have none."),
        string("schema.registry.ssl.keystore.location").doc("PEM file with our certificate and its key."),
        string("schema.registry.ssl.keystore.type").low().doc("PEM."),
        password("schema.registry.ssl.keystore.password").low().doc("Taken for compatibility: PEM files have none."),
        password("schema.registry.ssl.keystore.key").low().doc("Our key itself, as PEM."),
        password("schema.registry.ssl.keystore.certificate.chain").low().doc("Our certificate itself, as PEM."),
        string("schema.registry.ssl.endpoint.identification.algorithm")
            .default("https")
            .low()
            .doc("Empty: the name in the registry's certificate may be any."),
    ]
}

fn avro_keys() -> Vec<Key> {
    vec![
        boolean("connect.meta.data").default("true").low().doc("Whether Connect's own attributes are kept in schemas."),
        boolean("enhanced.avro.schema.support")
            .default("false")
            .doc("Whether enums stay enums and records in unions keep their package."),
        boolean("scrub.invalid.names")
            .default("false")
            .doc("Whether names that Avro does not take are changed into some that it does."),
        boolean("allow.optional.map.keys")
            .default("false")
            .low()
            .doc("Whether maps whose keys are optional strings are written as Avro's maps."),
        boolean("ignore.default.for.nullables")
            .default("false")
            .low()
            .doc("Whether null stays null in a field that is optional and has a default."),
    ]
}

fn json_keys() -> Vec<Key> {
    vec![
        string("decimal.format")
            .default("BASE64")
            .one_of_ignoring_case(&["NUMERIC", "BASE64"])
            .low()
            .doc("How decimals are written."),
        boolean("replace.null.with.default")
            .default("true")
            .low()
            .doc("Whether a null field takes the default of its schema."),
        boolean("json.fail.invalid.schema")
            .default("false")
            .doc("Whether records are checked against their JSON schema."),
        boolean("json.oneof.for.nullables")
            .default("true")
            .low()
            .doc("Whether optional values are written as oneOf null and the value."),
        boolean("object.additional.properties")
            .default("true")
            .low()
            .doc("Whether the schemas that are made allow further properties."),
        boolean("use.optional.for.nonrequired")
            .default("false")
            .low()
            .doc("Whether properties that are not required are optional."),
        boolean("scrub.invalid.names").default("false").low().doc("Taken for compatibility: JSON takes any name."),
    ]
}

fn protobuf_keys() -> Vec<Key> {
    vec![
        boolean("enhanced.protobuf.schema.support")
            .default("false")
            .low()
            .doc("Whether names of messages keep their package."),
        boolean("generate.index.for.unions")
            .default("true")
            .low()
            .doc("Whether the fields of oneofs are numbered rather than named."),
        boolean("int.for.enums").default("false").low().doc("Whether enums are numbers rather than names."),
        boolean("optional.for.nullables")
            .default("false")
            .doc("Whether optional fields are marked optional in Protobuf."),
        boolean("wrapper.for.nullables").default("false").doc("Whether optional fields are written in wrappers."),
        boolean("scrub.invalid.names")
            .default("false")
            .doc("Whether names that Protobuf does not take are changed into some that it does."),
    ]
}

/// How the registry is told who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// What stands in the URL, if something does.
    Url,
    Basic {
        user: String,
        password: String,
    },
    Bearer(String),
}

/// The settings of one converter, checked.
#[derive(Clone, Debug)]
pub struct Config {
    pub format: Format,
    pub(crate) urls: Vec<Url>,
    pub(crate) credentials: Credentials,
    pub(crate) tls: Tls,
    pub(crate) proxy: Option<String>,
    pub(crate) connect_timeout: Duration,
    pub(crate) read_timeout: Duration,
    pub(crate) writing: Writing,
    pub(crate) normalize: bool,
    pub(crate) key_strategy: NameStrategy,
    pub(crate) value_strategy: NameStrategy,
    /// Schemas that are kept compiled.
    pub schemas_max: usize,
    pub avro: avro::Options,
    pub json: json::Options,
    pub protobuf: protobuf::Options,
}

/// Which schema records are written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    /// Their own, registered if need be.
    Register,
    /// Their own, which the subject has to have.
    Known,
    /// The newest of the subject.
    Latest { strict: bool },
    /// The one of this number.
    Id { id: u32, strict: bool },
}

impl Config {
    /// Checks the settings of a converter.
    pub fn check(format: Format, settings: &Settings) -> Result<Config, Vec<Problem>> {
        let checked = Validation::of(&format.definition().keys, settings);
        let mut problems = checked.problems();
        let text = |key: &str| checked.text(key).map(str::trim).filter(|text| !text.is_empty());
        let flag = |key: &str| checked.flag(key).unwrap_or_default();
        let millis = |key: &str| Duration::from_millis(checked.number(key).unwrap_or_default().unsigned_abs());

        let mut urls = Vec::new();
        for url in checked.list("schema.registry.url") {
            match Url::parse(url.trim()) {
                Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => urls.push(url),
                _ => problems.push(Problem::invalid(
                    "schema.registry.url",
                    &without_login(url),
                    "not an address that begins with http:// or https://",
                )),
            }
        }
        let credentials = credentials(&checked, settings).unwrap_or_else(|problem| {
            problems.push(problem);
            Credentials::Url
        });
        let tls = Tls::of(settings).unwrap_or_else(|more| {
            problems.extend(more);
            Tls::default()
        });
        let mut strategy = |key: &str| {
            let class = text(key).unwrap_or("TopicNameStrategy");
            NameStrategy::of(class).unwrap_or_else(|| {
                let why = "known are TopicNameStrategy, RecordNameStrategy and TopicRecordNameStrategy; others are Java \
                           classes, which cannot run here";
                problems.push(Problem::invalid(key, class, why));
                NameStrategy::Topic
            })
        };
        let (key_strategy, value_strategy) =
            (strategy("key.subject.name.strategy"), strategy("value.subject.name.strategy"));
        let writing = match (flag("auto.register.schemas"), checked.number("use.schema.id")) {
            (true, _) => Writing::Register,
            (false, Some(id @ 0..)) => Writing::Id { id: id as u32, strict: flag("id.compatibility.strict") },
            (false, _) if flag("use.latest.version") => Writing::Latest { strict: flag("latest.compatibility.strict") },
            (false, _) => Writing::Known,
        };
        let kept = ["max.schemas.per.subject", "schemas.cache.config"].map(|key| checked.number(key).unwrap_or(1_000));
        if !problems.is_empty() {
            return Err(problems);
        }
        let host = text("proxy.host").filter(|_| checked.number("proxy.port").is_some_and(|port| port > 0));
        Ok(Config {
            format,
            urls,
            credentials,
            tls,
            proxy: host.map(|host| format!("http://{host}:{}", checked.number("proxy.port").unwrap_or_default())),
            connect_timeout: millis("http.connect.timeout.ms"),
            read_timeout: millis("http.read.timeout.ms"),
            writing,
            normalize: flag("normalize.schemas"),
            key_strategy,
            value_strategy,
            schemas_max: kept[0].max(kept[1]).clamp(1, 100_000) as usize,
            avro: avro::Options {
                meta_data: checked.flag("connect.meta.data").unwrap_or(true),
                enhanced: flag("enhanced.avro.schema.support"),
                scrub: flag("scrub.invalid.names"),
                optional_map_keys: flag("allow.optional.map.keys"),
                ignore_default: flag("ignore.default.for.nullables"),
            },
            json: json::Options {
                decimal_numeric: text("decimal.format").is_some_and(|format| format.eq_ignore_ascii_case("NUMERIC")),
                replace_null_with_default: checked.flag("replace.null.with.default").unwrap_or(true),
                validate: flag("json.fail.invalid.schema"),
                oneof_for_nullables: checked.flag("json.oneof.for.nullables").unwrap_or(true),
                additional_properties: checked.flag("object.additional.properties").unwrap_or(true),
                optional_for_nonrequired: flag("use.optional.for.nonrequired"),
            },
            protobuf: protobuf::Options {
                enhanced: flag("enhanced.protobuf.schema.support"),
                index_for_unions: checked.flag("generate.index.for.unions").unwrap_or(true),
                int_for_enums: flag("int.for.enums"),
                optional_for_nullables: flag("optional.for.nullables"),
                wrapper_for_nullables: flag("wrapper.for.nullables"),
                scrub: flag("scrub.invalid.names"),
            },
        })
    }
}

fn credentials(checked: &Validation, settings: &Settings) -> Result<Credentials, Problem> {
    const SOURCE: &str = "basic.auth.credentials.source";
    const USER_INFO: &str = "basic.auth.user.info";
    let text = |key: &str| checked.text(key).map(str::trim).filter(|text| !text.is_empty());
    if let Some(token) = text("bearer.auth.token") {
        return Ok(Credentials::Bearer(token.to_owned()));
    }
    // Guides write it with the client's prefix, too.
    let source = settings.get("schema.registry.basic.auth.credentials.source").or(text(SOURCE)).unwrap_or("URL");
    let older = text("schema.registry.basic.auth.user.info");
    match source.to_ascii_uppercase().as_str() {
        "USER_INFO" => {
            let info = text(USER_INFO).or(older).ok_or_else(|| Problem::missing(USER_INFO))?;
            let (user, password) =
                info.split_once(':').ok_or_else(|| Problem::invalid(USER_INFO, "[hidden]", "write user:password"))?;
            Ok(Credentials::Basic { user: user.to_owned(), password: password.to_owned() })
        }
        "SASL_INHERIT" => {
            const JAAS: &str = "sasl.jaas.config";
            let jaas = text(JAAS).ok_or_else(|| Problem::missing(JAAS))?;
            let (user, password) = tidegate_config::client::user_and_password(jaas)
                .map_err(|why| Problem::invalid(JAAS, "[hidden]", why))?;
            Ok(Credentials::Basic { user, password })
        }
        _ => Ok(Credentials::Url),
    }
}

/// A URL as errors may show it.
fn without_login(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}[hidden]{}", &url[..scheme + 3], &url[at..]),
        _ => url.to_owned(),
    }
}
