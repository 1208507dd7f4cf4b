//! The converters inside the host: which there are, and what a configuration of them means to the record crate.
//!
//! They run on the host's own representation, so that JSON in and JSON out never becomes a tree. Each is declared as a
//! definition, like a plugin's. Where a configuration names a plugin's converter, `conversion.rs` runs it, and also those
//! that ask a schema registry.

use std::sync::{Arc, LazyLock};

use tidegate_config::converter::{ConverterConfig, Part};
use tidegate_config::key::{Key, boolean, int, string};
use tidegate_config::{Definition, Kind, Settings, Validation};
use tidegate_record::java::charset::Charset;
use tidegate_record::value::{DecimalFormat, JsonOptions};
use tidegate_record::view::{Converter, Converters, HeaderConverter, Number};
use tidegate_record::{Schema, SchemaError, SchemaTable};
use tidegate_registry::{Format, Registry};

use crate::catalog::Class;
use crate::plan::Bound;

/// One converter: its definition, and what it makes of its checked settings.
struct Native {
    definition: Definition,
    make: fn(&Validation) -> Result<Made, Refused>,
}

/// What a configured converter comes to.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    converter: HeaderConverter,
    json: JsonOptions,
    /// `schema.content`: what JSON is read as that brings no schema along.
    content: Option<Arc<Schema>>,
}

/// Settings that a converter does not take.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    /// The exception that Connect would throw.
    pub(crate) exception: &'static str,
    pub(crate) key: String,
    pub(crate) message: String,
}

const CONFIG: &str = "org.apache.kafka.common.config.ConfigException";
const DATA: &str = "org.apache.kafka.connect.errors.DataException";
const SERIALIZATION: &str = "org.apache.kafka.common.errors.SerializationException";

const CONVERTERS: &str = "org.apache.kafka.connect.converters";
const STORAGE: &str = "org.apache.kafka.connect.storage";

static NATIVE: LazyLock<Vec<Native>> = LazyLock::new(|| {
    let mut all = Vec::new();
    for kind in [Kind::Converter, Kind::HeaderConverter] {
        let native = |package: &str, name: &str, doc: &str, keys: Vec<Key>, make| Native {
            definition: keys
                .into_iter()
                .fold(Definition::new(kind, name).alias(format!("{package}.{name}")).doc(doc), Definition::key),
            make,
        };
        all.push(native(
            "org.apache.kafka.connect.json",
            "JsonConverter",
            "JSON, with the schema beside each value or without schemas.",
            json_keys(),
            make_json,
        ));
        let encoding = string("converter.encoding").default("UTF-8").doc("Character set of the text, by Java's names.");
        all.push(native(STORAGE, "StringConverter", "Text.", vec![encoding], make_string));
        let plain = |name, doc, make| native(CONVERTERS, name, doc, Vec::new(), make);
        all.push(plain("ByteArrayConverter", "Bytes as they are.", |_| made(Converter::Bytes)));
        all.push(plain("BooleanConverter", "One byte, 0 or 1.", |_| made(Converter::Boolean)));
        all.push(plain("ShortConverter", "Two bytes, big-endian.", |_| made(Converter::Number(Number::Short))));
        all.push(plain("IntegerConverter", "Four bytes, big-endian.", |_| made(Converter::Number(Number::Integer))));
        all.push(plain("LongConverter", "Eight bytes, big-endian.", |_| made(Converter::Number(Number::Long))));
        all.push(plain("FloatConverter", "Four bytes of IEEE 754.", |_| made(Converter::Number(Number::Float))));
        all.push(plain("DoubleConverter", "Eight bytes of IEEE 754.", |_| made(Converter::Number(Number::Double))));
    }
    all.push(Native {
        definition: Definition::new(Kind::HeaderConverter, "SimpleHeaderConverter")
            .alias(format!("{STORAGE}.SimpleHeaderConverter"))
            .doc("Text whose type is guessed."),
        make: |_| Ok(Made { converter: HeaderConverter::Simple, json: JsonOptions::default(), content: None }),
    });
    all
});

fn json_keys() -> Vec<Key> {
    vec![
        boolean("schemas.enable").default("true").high().doc("Whether each value carries its schema."),
        int("schemas.cache.size")
            .default("1000")
            .high()
            .doc("Taken for compatibility: schemas are kept by their text for as long as the task runs."),
        string("schema.content")
            .high()
            .doc("A schema, in JSON, for messages that carry none; they are then read without an envelope."),
        string("decimal.format")
            .default("BASE64")
            .one_of_ignoring_case(&["NUMERIC", "BASE64"])
            .low()
            .doc("How decimals are written."),
        boolean("replace.null.with.default")
            .default("true")
            .low()
            .doc("Whether a null field takes the default of its schema."),
    ]
}

fn made(converter: Converter) -> Result<Made, Refused> {
    Ok(Made { converter: HeaderConverter::As(converter), json: JsonOptions::default(), content: None })
}

fn make_json(settings: &Validation) -> Result<Made, Refused> {
    let json = JsonOptions {
        decimal: match settings.text("decimal.format") {
            Some(format) if format.eq_ignore_ascii_case("NUMERIC") => DecimalFormat::Numeric,
            _ => DecimalFormat::Base64,
        },
        replace_null_with_default: settings.flag("replace.null.with.default").unwrap_or(true),
        ..JsonOptions::default()
    };
    let content = settings.text("schema.content").filter(|text| !text.is_empty()).map(Schema::from_json);
    let content = content.transpose().map_err(|error| Refused {
        exception: DATA,
        key: "schema.content".to_owned(),
        message: format!("Failed to parse schema in converter config: {error}"),
    })?;
    let schemas = settings.flag("schemas.enable").unwrap_or(true);
    let content = content.filter(|_| schemas).map(Arc::new);
    Ok(Made { converter: HeaderConverter::As(Converter::Json { schemas }), json, content })
}

fn make_string(settings: &Validation) -> Result<Made, Refused> {
    let name = settings.text("converter.encoding").unwrap_or_default();
    match Charset::of(name) {
        Some(Charset::Utf8) => made(Converter::String),
        Some(charset) => made(Converter::Text(charset)),
        None => Err(Refused {
            exception: SERIALIZATION,
            key: "converter.encoding".to_owned(),
            message: format!(
                "Unsupported encoding {name}\nhint: known are {}",
                Charset::known().collect::<Vec<_>>().join(", ")
            ),
        }),
    }
}

/// The converters that ask a schema registry.
static WITH_REGISTRY: LazyLock<Vec<Definition>> = LazyLock::new(|| tidegate_registry::definitions().collect());

/// The definitions of all converters in the host.
pub fn definitions() -> impl Iterator<Item = &'static Definition> {
    NATIVE.iter().map(|native| &native.definition).chain(WITH_REGISTRY.iter())
}

/// The host's converter of a definition with these settings; none where the definition is a plugin's.
pub(crate) fn native(definition: &Definition, settings: &Settings) -> Option<Result<Made, Refused>> {
    let native = NATIVE.iter().find(|native| native.definition == *definition)?;
    let checked = Validation::of(&native.definition.keys, settings);
    Some(match checked.problems().into_iter().next() {
        Some(problem) => Err(Refused { exception: CONFIG, key: problem.key, message: problem.message }),
        None => (native.make)(&checked),
    })
}

/// A converter that a task uses.
#[derive(Clone, Debug)]
pub(crate) enum Chosen {
    Native(Made),
    /// One of the host's that asks a schema registry.
    Registry(Arc<Registry>),
    /// A plugin's, with the settings below its key.
    Plugin(Bound),
}

/// The converters of a task, by [`Part`] in the order of [`Part::ALL`].
#[derive(Clone, Debug)]
pub(crate) struct TaskConverters(pub(crate) [Chosen; 3]);

impl TaskConverters {
    /// What they come to in the view of a task with these schemas. The bytes of those that are not the view's pass as bytes.
    pub(crate) fn in_view(&self, schemas: &mut SchemaTable) -> Result<(Converters, [JsonOptions; 3]), SchemaError> {
        let mut made = Vec::with_capacity(3);
        let mut json = [JsonOptions::default(); 3];
        for (chosen, options) in self.0.iter().zip(&mut json) {
            made.push(match chosen {
                Chosen::Plugin(_) => HeaderConverter::As(Converter::Bytes),
                Chosen::Registry(registry) => {
                    if registry.config().format == Format::JsonSchema {
                        *options = registry.config().json.of_values();
                    }
                    HeaderConverter::As(Converter::Bytes)
                }
                Chosen::Native(native) => {
                    *options = native.json;
                    native.in_view(schemas)?
                }
            });
        }
        let plain = |converter| match converter {
            HeaderConverter::As(converter) => converter,
            // Refused when the task was planned.
            HeaderConverter::Simple => Converter::Bytes,
        };
        Ok((Converters { key: plain(made[0]), value: plain(made[1]), header: made[2] }, json))
    }
}

impl TaskConverters {
    /// Those that are plugins', each with the part it is for.
    pub(crate) fn plugins(&self) -> impl Iterator<Item = (Part, Bound)> {
        Part::ALL.into_iter().zip(&self.0).filter_map(|(part, chosen)| match chosen {
            Chosen::Plugin(bound) => Some((part, bound.clone())),
            Chosen::Native(_) | Chosen::Registry(_) => None,
        })
    }

    /// Those that ask a schema registry, each with the part it is for.
    pub(crate) fn registries(&self) -> impl Iterator<Item = (Part, Arc<Registry>)> {
        Part::ALL.into_iter().zip(&self.0).filter_map(|(part, chosen)| match chosen {
            Chosen::Registry(registry) => Some((part, registry.clone())),
            Chosen::Native(_) | Chosen::Plugin(_) => None,
        })
    }
}

impl Made {
    fn in_view(&self, schemas: &mut SchemaTable) -> Result<HeaderConverter, SchemaError> {
        Ok(match &self.content {
            Some(schema) => HeaderConverter::As(Converter::JsonOf(schemas.define(schema)?)),
            None => self.converter,
        })
    }
}

/// What the three converters of a task come to. `resolve` finds the definition of a class.
pub(crate) fn task_converters(
    config: impl Fn(Part) -> ConverterConfig,
    resolve: impl Fn(Kind, &str) -> Result<Class, String>,
) -> Result<TaskConverters, String> {
    let [key, value, header] = Part::ALL.map(|part| chosen(part, config(part), &resolve));
    let (key, value) = (key?, value?);
    for (part, chosen) in [(Part::Key, &key), (Part::Value, &value)] {
        if matches!(chosen, Chosen::Native(Made { converter: HeaderConverter::Simple, .. })) {
            return Err(format!("key \"{}\": a header converter cannot serve here", part.key()));
        }
    }
    Ok(TaskConverters([key, value, header?]))
}

fn chosen(
    part: Part,
    config: ConverterConfig,
    resolve: &impl Fn(Kind, &str) -> Result<Class, String>,
) -> Result<Chosen, String> {
    let class = resolve(kind_for(part), &config.class).map_err(|error| format!("key \"{}\": {error}", part.key()))?;
    if class.component.is_none()
        && let Some(format) = Format::of(&class.definition)
    {
        let config = tidegate_registry::Config::check(format, &config.settings).map_err(|problems| {
            let told =
                problems.iter().map(|problem| format!("key \"{}{}\": {}", part.prefix(), problem.key, problem.message));
            told.collect::<Vec<_>>().join("\n")
        })?;
        let registry = Registry::new(config).map_err(|error| format!("key \"{}\": {error}", part.key()))?;
        return Ok(Chosen::Registry(Arc::new(registry)));
    }
    match native(&class.definition, &config.settings) {
        None => match class.component {
            Some(component) => {
                Ok(Chosen::Plugin(Bound { component, definition: class.definition, settings: config.settings }))
            }
            None => Err(format!("key \"{}\": the class \"{}\" cannot be run", part.key(), config.class)),
        },
        Some(Ok(made)) => Ok(Chosen::Native(made)),
        Some(Err(refused)) => Err(format!("key \"{}{}\": {}", part.prefix(), refused.key, refused.message)),
    }
}

/// What a definition must be to serve a part.
pub(crate) fn kind_for(part: Part) -> Kind {
    match part {
        Part::Header => Kind::HeaderConverter,
        Part::Key | Part::Value => Kind::Converter,
    }
}
