//! Finds the definition that a class name means.
//!
//! Configurations name plugins as Connect does: by full Java class name (an alias of ours), by simple name, or by simple
//! name without the word for its kind: `org.apache.kafka.connect.file.FileStreamSourceConnector`,
//! `FileStreamSourceConnector` and `FileStreamSource` are one. A name with a package is never matched by its last part
//! alone: a stranger's `com.example.JsonConverter` is not Apache's. Transforms that exist for keys and for values end in
//! `$Key` or `$Value`, and naming them without is an error that says so.

use crate::definition::Kind;
use crate::nearest::nearest;
use std::fmt;

/// Which half of a record a transform works on, as its class name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Key,
    Value,
}

impl Side {
    fn of(name: &str) -> Option<Side> {
        match name.rsplit_once('$') {
            Some((_, "Key")) => Some(Side::Key),
            Some((_, "Value")) => Some(Side::Value),
            _ => None,
        }
    }
}

/// Everything that has a name, each with whatever the caller wants back.
#[derive(Debug, Clone)]
pub struct Catalog<T> {
    entries: Vec<Entry<T>>,
}

#[derive(Debug, Clone)]
struct Entry<T> {
    kind: Kind,
    /// The definition's name, then its aliases.
    names: Vec<String>,
    item: T,
}

/// A definition that was found.
#[derive(Debug, PartialEq, Eq)]
pub struct Found<'c, T> {
    pub item: &'c T,
    pub kind: Kind,
    /// The full name that matched.
    pub class: &'c str,
    /// Set where the name ends in `$Key` or `$Value`.
    pub side: Option<Side>,
}

/// Why a name means nothing, or not one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClassError {
    NotFound {
        wanted: String,
        nearest: Option<String>,
    },
    /// A transform for keys and values was named without saying which.
    NeedsSide {
        wanted: String,
        instead: Vec<String>,
    },
    /// Several definitions answer to the name.
    Ambiguous {
        wanted: String,
        candidates: Vec<String>,
    },
    /// A well-known class that only runs on a Java virtual machine.
    JvmOnly {
        wanted: String,
        what: &'static str,
        equivalent: Option<&'static str>,
    },
}

impl fmt::Display for ClassError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClassError::NotFound { wanted, nearest: None } => write!(f, "Class {wanted} could not be found."),
            ClassError::NotFound { wanted, nearest: Some(near) } => {
                write!(f, "Class {wanted} could not be found. Did you mean {near}?")
            }
            ClassError::NeedsSide { instead, .. } => {
                write!(f, "This class is abstract and cannot be created. Did you mean {}?", instead.join(", "))
            }
            ClassError::Ambiguous { wanted, candidates } => {
                write!(f, "More than one class matches {wanted}: {}. Use the full name.", candidates.join(", "))
            }
            ClassError::JvmOnly { wanted, what, equivalent: None } => {
                write!(
                    f,
                    "Class {wanted} ({what}) runs only on a Java virtual machine, and has no equivalent here yet."
                )
            }
            ClassError::JvmOnly { wanted, what, equivalent: Some(equivalent) } => {
                write!(
                    f,
                    "Class {wanted} ({what}) runs only on a Java virtual machine. Its equivalent here is {equivalent}."
                )
            }
        }
    }
}

impl std::error::Error for ClassError {}

impl<T> Default for Catalog<T> {
    fn default() -> Self {
        Catalog { entries: Vec::new() }
    }
}

impl<T> Catalog<T> {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a definition under its name and its aliases.
    pub fn add(&mut self, kind: Kind, name: &str, aliases: &[String], item: T) {
        let names = std::iter::once(name.to_owned()).chain(aliases.iter().cloned()).collect();
        self.entries.push(Entry { kind, names, item });
    }

    /// Finds the one definition of these kinds that the name means. Full names go before short ones.
    pub fn resolve(&self, kinds: &[Kind], wanted: &str) -> Result<Found<'_, T>, ClassError> {
        let of_kind = || self.entries.iter().filter(|entry| kinds.contains(&entry.kind));
        let full: Vec<_> = of_kind().filter_map(|entry| Some((entry, entry.full_match(wanted)?))).collect();
        if !full.is_empty() {
            return one_of(wanted, full);
        }
        let short: Vec<_> = of_kind().filter_map(|entry| Some((entry, entry.short_match(wanted)?))).collect();
        if !short.is_empty() {
            return one_of(wanted, short);
        }
        let instead: Vec<String> = of_kind().flat_map(|entry| entry.sides_of(wanted)).map(str::to_owned).collect();
        if !instead.is_empty() {
            return Err(ClassError::NeedsSide { wanted: wanted.to_owned(), instead });
        }
        Err(self.not_found(kinds, wanted))
    }

    fn not_found(&self, kinds: &[Kind], wanted: &str) -> ClassError {
        let wanted = wanted.to_owned();
        if let Some(class) = JVM_ONLY.iter().find(|class| class.matches(&wanted)) {
            return ClassError::JvmOnly { wanted, what: class.what, equivalent: class.equivalent };
        }
        let names = self.entries.iter().filter(|entry| kinds.contains(&entry.kind)).flat_map(|entry| &entry.names);
        let is_short = !wanted.contains('.');
        let near = nearest(&wanted, names.map(|name| if is_short { simple(name) } else { name }));
        ClassError::NotFound { nearest: near.map(str::to_owned), wanted }
    }
}

impl<T> Entry<T> {
    fn full_match(&self, wanted: &str) -> Option<&str> {
        self.names.iter().map(String::as_str).find(|name| *name == wanted && !self.lacks_side(name))
    }

    fn short_match(&self, wanted: &str) -> Option<&str> {
        if wanted.contains('.') {
            return None;
        }
        let is_short_for = |name: &str| simple(name) == wanted || pruned(self.kind, simple(name)).any(|p| p == wanted);
        self.names.iter().map(String::as_str).find(|name| !self.lacks_side(name) && is_short_for(name))
    }

    /// The names that `wanted` becomes when a side is added.
    fn sides_of(&self, wanted: &str) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str).filter(move |name| match name.rsplit_once('$') {
            Some((base, "Key" | "Value")) => base == wanted || simple(base) == wanted,
            _ => false,
        })
    }

    /// True for a name without side where other names of the definition have one.
    fn lacks_side(&self, name: &str) -> bool {
        Side::of(name).is_none() && self.names.iter().any(|other| Side::of(other).is_some())
    }
}

fn one_of<'c, T>(wanted: &str, mut matches: Vec<(&'c Entry<T>, &'c str)>) -> Result<Found<'c, T>, ClassError> {
    match matches.as_mut_slice() {
        [(entry, class)] => Ok(Found { item: &entry.item, kind: entry.kind, class, side: Side::of(class) }),
        several => Err(ClassError::Ambiguous {
            wanted: wanted.to_owned(),
            candidates: several.iter().map(|(_, class)| (*class).to_owned()).collect(),
        }),
    }
}

/// The class name without its package.
fn simple(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// A simple name without the words for its kind, as far as something is left.
fn pruned(kind: Kind, simple: &str) -> impl Iterator<Item = &str> {
    let suffixes: &[&str] = match kind {
        Kind::Source => &["Connector", "SourceConnector"],
        Kind::Sink => &["Connector", "SinkConnector"],
        Kind::Transform => &["Transformation", "Transform"],
        Kind::Predicate => &["Predicate"],
        Kind::Converter => &["Converter"],
        Kind::HeaderConverter => &["HeaderConverter", "Converter"],
    };
    suffixes.iter().filter_map(|suffix| simple.strip_suffix(suffix)).filter(|rest| !rest.is_empty())
}

/// A class that people bring along and that cannot run here.
#[derive(Debug)]
struct JvmOnly {
    /// A full name, or its beginning up to a dot.
    class: &'static str,
    what: &'static str,
    /// The definition in the box that does the same work.
    equivalent: Option<&'static str>,
}

impl JvmOnly {
    fn matches(&self, wanted: &str) -> bool {
        match self.class.strip_suffix('.') {
            Some(package) => wanted.strip_prefix(package).is_some_and(|rest| rest.starts_with('.')),
            None => wanted == self.class,
        }
    }
}

const JVM_ONLY: &[JvmOnly] = &[
    JvmOnly {
        class: "io.confluent.kafka.connect.datagen.DatagenConnector",
        what: "Confluent's data generator",
        equivalent: Some("DatagenSource"),
    },
    JvmOnly { class: "org.apache.kafka.connect.mirror.", what: "MirrorMaker 2", equivalent: None },
    JvmOnly { class: "io.debezium.", what: "Debezium", equivalent: None },
    JvmOnly { class: "io.confluent.connect.jdbc.", what: "Confluent's JDBC connector", equivalent: None },
    JvmOnly { class: "io.aiven.connect.jdbc.", what: "Aiven's JDBC connector", equivalent: None },
    JvmOnly {
        class: "io.confluent.connect.elasticsearch.",
        what: "Confluent's Elasticsearch connector",
        equivalent: None,
    },
    JvmOnly { class: "io.aiven.kafka.connect.opensearch.", what: "Aiven's OpenSearch connector", equivalent: None },
    JvmOnly { class: "io.confluent.connect.s3.", what: "Confluent's S3 connector", equivalent: None },
    JvmOnly { class: "io.aiven.kafka.connect.http.", what: "Aiven's HTTP connector", equivalent: None },
    JvmOnly { class: "com.mongodb.kafka.connect.", what: "MongoDB's connector", equivalent: None },
    JvmOnly { class: "io.confluent.connect.transforms.", what: "Confluent's transforms", equivalent: None },
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRANSFORMS: &str = "org.apache.kafka.connect.transforms";

    fn catalog() -> Catalog<&'static str> {
        let mut catalog = Catalog::new();
        let java = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let file = "org.apache.kafka.connect.file.FileStream";
        catalog.add(Kind::Source, "FileStreamSource", &java(&[&format!("{file}SourceConnector")]), "file source");
        catalog.add(Kind::Sink, "FileStreamSink", &java(&[&format!("{file}SinkConnector")]), "file sink");
        let mask = [format!("{TRANSFORMS}.MaskField$Key"), format!("{TRANSFORMS}.MaskField$Value")];
        catalog.add(Kind::Transform, "MaskField", &mask, "mask");
        catalog.add(Kind::Transform, "Filter", &java(&[&format!("{TRANSFORMS}.Filter")]), "filter");
        catalog.add(Kind::Converter, "JsonConverter", &java(&["org.apache.kafka.connect.json.JsonConverter"]), "json");
        catalog
    }

    #[track_caller]
    fn check(kind: Kind, wanted: &str, expected: &str) {
        let catalog = catalog();
        let shown = match catalog.resolve(&[kind], wanted) {
            Ok(found) => match found.side {
                Some(side) => format!("{} {side:?}", found.item),
                None => (*found.item).to_owned(),
            },
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn full_simple_and_pruned_names_are_one() {
        for name in [
            "org.apache.kafka.connect.file.FileStreamSourceConnector",
            "FileStreamSourceConnector",
            "FileStreamSource",
            "FileStream",
        ] {
            check(Kind::Source, name, "file source");
        }
        check(Kind::Converter, "Json", "json");
    }

    #[test]
    fn the_kind_decides_between_equal_short_names() {
        check(Kind::Sink, "FileStream", "file sink");
        let both = [Kind::Source, Kind::Sink];
        assert!(
            matches!(catalog().resolve(&both, "FileStream"), Err(ClassError::Ambiguous { candidates, .. }) if candidates.len() == 2)
        );
    }

    #[test]
    fn a_transform_of_two_sides_needs_one() {
        check(Kind::Transform, "MaskField$Key", "mask Key");
        check(Kind::Transform, "org.apache.kafka.connect.transforms.MaskField$Value", "mask Value");
        let message = "This class is abstract and cannot be created. Did you mean \
             org.apache.kafka.connect.transforms.MaskField$Key, org.apache.kafka.connect.transforms.MaskField$Value?";
        check(Kind::Transform, "org.apache.kafka.connect.transforms.MaskField", message);
        check(Kind::Transform, "MaskField", message);
        check(Kind::Transform, "Filter", "filter");
    }

    #[test]
    fn another_package_is_another_class() {
        check(Kind::Converter, "com.example.JsonConverter", "Class com.example.JsonConverter could not be found.");
    }

    #[test]
    fn a_slip_gets_a_suggestion_in_the_form_it_was_written() {
        check(
            Kind::Source,
            "FileStreamSorce",
            "Class FileStreamSorce could not be found. Did you mean FileStreamSource?",
        );
        check(
            Kind::Converter,
            "org.apache.kafka.connect.JsonConverter",
            "Class org.apache.kafka.connect.JsonConverter could not be found. Did you mean org.apache.kafka.connect.json.JsonConverter?",
        );
    }

    #[test]
    fn a_class_of_the_jvm_says_so() {
        check(
            Kind::Source,
            "io.debezium.connector.postgresql.PostgresConnector",
            "Class io.debezium.connector.postgresql.PostgresConnector (Debezium) runs only on a Java virtual machine, and has no equivalent here yet.",
        );
        check(
            Kind::Source,
            "io.confluent.kafka.connect.datagen.DatagenConnector",
            "Class io.confluent.kafka.connect.datagen.DatagenConnector (Confluent's data generator) runs only on a Java virtual machine. Its equivalent here is DatagenSource.",
        );
    }

    proptest! {
        #[test]
        fn any_name_is_found_or_refused(name in "\\PC{0,40}|[A-Za-z.$]{0,40}") {
            let catalog = catalog();
            for kind in Kind::ALL {
                let _ = catalog.resolve(&[kind], &name);
            }
        }
    }
}
