//! The demo's two connectors, as a user would write them.

use tidegate_herder::{Config, Error, Handle, Target};

use super::Files;
use crate::failure::Failure;

/// Reads the file of earthquakes into a topic.
pub(super) const SOURCE: &str = "earthquakes-from-file";
/// Reads the topic, changes each record, and writes a file.
pub(super) const SINK: &str = "earthquakes-to-file";
/// The topic between them.
pub(super) const TOPIC: &str = "earthquakes";

fn source(files: &Files) -> Config {
    config(&[
        ("connector.class", "org.apache.kafka.connect.file.FileStreamSourceConnector"),
        ("tasks.max", "1"),
        ("file", &files.input.to_string_lossy()),
        ("topic", TOPIC),
        ("key.converter", "org.apache.kafka.connect.storage.StringConverter"),
        ("value.converter", "org.apache.kafka.connect.storage.StringConverter"),
    ])
}

fn sink(files: &Files) -> Config {
    config(&[
        ("connector.class", "org.apache.kafka.connect.file.FileStreamSinkConnector"),
        ("tasks.max", "1"),
        ("topics", TOPIC),
        ("file", &files.output.to_string_lossy()),
        ("key.converter", "org.apache.kafka.connect.storage.StringConverter"),
        ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
        ("value.converter.schemas.enable", "false"),
        ("transforms", "origin,trim,when"),
        ("transforms.origin.type", "org.apache.kafka.connect.transforms.InsertField$Value"),
        ("transforms.origin.static.field", "source"),
        ("transforms.origin.static.value", "USGS"),
        ("transforms.trim.type", "org.apache.kafka.connect.transforms.ReplaceField$Value"),
        ("transforms.trim.exclude", "updated,url"),
        ("transforms.trim.renames", "depth_km:depth"),
        ("transforms.when.type", "org.apache.kafka.connect.transforms.TimestampConverter$Value"),
        ("transforms.when.field", "time"),
        ("transforms.when.target.type", "string"),
        ("transforms.when.format", "yyyy-MM-dd'T'HH:mm:ss.SSSXXX"),
        ("transforms.when.predicate", "earthquakes"),
        ("predicates", "earthquakes"),
        ("predicates.earthquakes.type", "org.apache.kafka.connect.transforms.predicates.TopicNameMatches"),
        ("predicates.earthquakes.pattern", TOPIC),
    ])
}

fn config(entries: &[(&str, &str)]) -> Config {
    entries.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Creates the source if it is not there yet; one of an earlier run goes on as it is. Answers whether it is new.
pub(super) async fn create_source(herder: &Handle, files: &Files) -> Result<bool, Failure> {
    create(herder, SOURCE, source(files)).await
}

/// As [`create_source`], for the sink.
pub(super) async fn create_sink(herder: &Handle, files: &Files) -> Result<bool, Failure> {
    create(herder, SINK, sink(files)).await
}

async fn create(herder: &Handle, name: &str, config: Config) -> Result<bool, Failure> {
    match herder.create_connector(name, config, Target::Running).await {
        Ok(_) => Ok(true),
        Err(Error::AlreadyExists { .. }) => Ok(false),
        Err(error) => Err(Failure::new(format!("connector \"{name}\" was refused")).detail(error)),
    }
}
