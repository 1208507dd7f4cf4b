//! The converters inside the host: which there are, and what a configuration of them means to the record crate.
//!
//! They run on the host's own representation, so that JSON in and JSON out never becomes a tree. Each is declared as a
//! definition, like a plugin's.

use std::sync::LazyLock;

use tidegate_config::converter::{ConverterConfig, Part};
use tidegate_config::key::{boolean, string};
use tidegate_config::{Definition, Kind, Validation};
use tidegate_record::value::{DecimalFormat, JsonOptions};
use tidegate_record::view::{Converter, Converters, HeaderConverter};

/// One converter: its definition, and what it makes of its checked settings.
struct Native {
    definition: Definition,
    converter: fn(&Validation) -> HeaderConverter,
    json: fn(&Validation) -> JsonOptions,
}

static NATIVE: LazyLock<Vec<Native>> = LazyLock::new(|| {
    let mut all = Vec::new();
    for kind in [Kind::Converter, Kind::HeaderConverter] {
        all.push(json(kind));
        all.push(Native {
            definition: Definition::new(kind, "StringConverter")
                .alias("org.apache.kafka.connect.storage.StringConverter")
                .doc("UTF-8 text.")
                .key(
                    string("converter.encoding")
                        .default("UTF-8")
                        .one_of(&["UTF-8", "UTF8"])
                        .doc("Character set of the text; only UTF-8 is supported."),
                ),
            converter: |_| HeaderConverter::As(Converter::String),
            json: |_| JsonOptions::default(),
        });
        all.push(Native {
            definition: Definition::new(kind, "ByteArrayConverter")
                .alias("org.apache.kafka.connect.converters.ByteArrayConverter")
                .doc("Bytes as they are."),
            converter: |_| HeaderConverter::As(Converter::Bytes),
            json: |_| JsonOptions::default(),
        });
    }
    all.push(Native {
        definition: Definition::new(Kind::HeaderConverter, "SimpleHeaderConverter")
            .alias("org.apache.kafka.connect.storage.SimpleHeaderConverter")
            .doc("Text whose type is guessed."),
        converter: |_| HeaderConverter::Simple,
        json: |_| JsonOptions::default(),
    });
    all
});

fn json(kind: Kind) -> Native {
    Native {
        definition: Definition::new(kind, "JsonConverter")
            .alias("org.apache.kafka.connect.json.JsonConverter")
            .doc("JSON, with the schema beside each value or without schemas.")
            .key(boolean("schemas.enable").default("true").high().doc("Whether each value carries its schema."))
            .key(
                string("decimal.format")
                    .default("BASE64")
                    .one_of_ignoring_case(&["BASE64", "NUMERIC"])
                    .low()
                    .doc("How decimals are written."),
            )
            .key(
                boolean("replace.null.with.default")
                    .default("true")
                    .low()
                    .doc("Whether a null field takes the default of its schema."),
            ),
        converter: |settings| {
            HeaderConverter::As(Converter::Json { schemas: settings.flag("schemas.enable").unwrap_or(true) })
        },
        json: |settings| JsonOptions {
            decimal: match settings.text("decimal.format") {
                Some(format) if format.eq_ignore_ascii_case("NUMERIC") => DecimalFormat::Numeric,
                _ => DecimalFormat::Base64,
            },
            replace_null_with_default: settings.flag("replace.null.with.default").unwrap_or(true),
            ..JsonOptions::default()
        },
    }
}

/// The definitions of all converters in the host.
pub(crate) fn definitions() -> impl Iterator<Item = &'static Definition> {
    NATIVE.iter().map(|native| &native.definition)
}

/// The converters of a task, and the options of its JSON.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TaskConverters {
    pub(crate) converters: Converters,
    pub(crate) json: JsonOptions,
}

/// What the three converters of a task come to. `resolve` finds the definition of a class; a class that is a plugin's is
/// refused here.
pub(crate) fn task_converters(
    config: impl Fn(Part) -> ConverterConfig,
    resolve: impl Fn(Kind, &str) -> Result<crate::catalog::Class, String>,
) -> Result<TaskConverters, String> {
    let (key, _) = native(Part::Key, &config(Part::Key), &resolve)?;
    let (value, json) = native(Part::Value, &config(Part::Value), &resolve)?;
    let (header, _) = native(Part::Header, &config(Part::Header), &resolve)?;
    let plain = |converter, part: Part| match converter {
        HeaderConverter::As(converter) => Ok(converter),
        HeaderConverter::Simple => Err(format!("key \"{}\": a header converter cannot serve here", part.key())),
    };
    Ok(TaskConverters {
        converters: Converters { key: plain(key, Part::Key)?, value: plain(value, Part::Value)?, header },
        json,
    })
}

fn native(
    part: Part,
    config: &ConverterConfig,
    resolve: &impl Fn(Kind, &str) -> Result<crate::catalog::Class, String>,
) -> Result<(HeaderConverter, JsonOptions), String> {
    let kind = if part == Part::Header { Kind::HeaderConverter } else { Kind::Converter };
    let class = resolve(kind, &config.class).map_err(|error| format!("key \"{}\": {error}", part.key()))?;
    let Some(native) = NATIVE.iter().find(|native| native.definition == *class.definition) else {
        return Err(format!(
            "key \"{}\": the converter \"{}\" is a plugin's, and plugin converters do not run yet\n\
             hint: use the JsonConverter, StringConverter or ByteArrayConverter",
            part.key(),
            config.class
        ));
    };
    let settings = Validation::of(&native.definition.keys, &config.settings);
    if let Some(problem) = settings.problems().first() {
        return Err(format!("key \"{}{}\": {}", part.prefix(), problem.key, problem.message));
    }
    Ok(((native.converter)(&settings), (native.json)(&settings)))
}
