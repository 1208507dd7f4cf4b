//! The pipelines: what flows, how much of it, and the connector that moves it. The configuration is Kafka Connect's and is
//! given to both systems as it is.

use std::path::Path;

use clap::ValueEnum;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::args::Args;
use tidegate_bench::records::Shape;

/// A pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// Lines of 100 B from a file to a topic.
    #[value(name = "file-topic-100")]
    FileTopicSmall,
    /// Lines of 100 B from a file to a topic, exactly once: distributed workers with `exactly.once.source.support`.
    #[value(name = "file-topic-100-eos")]
    FileTopicExactlyOnce,
    /// Lines of 1 KB from a file to a topic.
    #[value(name = "file-topic-1k")]
    FileTopicLarge,
    /// Records of 100 B from a topic to a file.
    #[value(name = "topic-file-100")]
    TopicFileSmall,
    /// Records of 1 KB from a topic to a file.
    #[value(name = "topic-file-1k")]
    TopicFileLarge,
    /// JSON of 300 B from a topic to a file, without transforms.
    #[value(name = "chain-0")]
    JsonNoChain,
    /// JSON of 300 B from a topic through three transforms to a file.
    #[value(name = "chain-3")]
    JsonChain,
    /// The same through five transforms.
    #[value(name = "chain-5")]
    JsonLongChain,
    /// JSON with its schema in each record, through the same three transforms to a file.
    #[value(name = "schema-chain-3")]
    JsonSchemaChain,
}

/// Which way records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    FileToTopic,
    TopicToFile,
}

impl Scenario {
    pub(crate) const ALL: [Scenario; 9] = [
        Scenario::FileTopicSmall,
        Scenario::FileTopicExactlyOnce,
        Scenario::FileTopicLarge,
        Scenario::TopicFileSmall,
        Scenario::TopicFileLarge,
        Scenario::JsonNoChain,
        Scenario::JsonChain,
        Scenario::JsonLongChain,
        Scenario::JsonSchemaChain,
    ];

    /// The name on the command line, in tables and in names of files.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().expect("no scenario is hidden").get_name().to_owned()
    }

    pub(crate) fn direction(self) -> Direction {
        match self {
            Scenario::FileTopicSmall | Scenario::FileTopicExactlyOnce | Scenario::FileTopicLarge => {
                Direction::FileToTopic
            }
            _ => Direction::TopicToFile,
        }
    }

    pub(crate) fn shape(self) -> Shape {
        match self {
            Scenario::FileTopicSmall | Scenario::FileTopicExactlyOnce | Scenario::TopicFileSmall => {
                Shape::Line { bytes: 100 }
            }
            Scenario::FileTopicLarge | Scenario::TopicFileLarge => Shape::Line { bytes: 1_000 },
            Scenario::JsonNoChain | Scenario::JsonChain | Scenario::JsonLongChain => Shape::Json,
            Scenario::JsonSchemaChain => Shape::JsonWithSchema,
        }
    }

    /// Whether records and offsets are written in transactions.
    pub(crate) fn is_exactly_once(self) -> bool {
        self == Scenario::FileTopicExactlyOnce
    }

    /// Records in a pass.
    pub(crate) fn records(self, args: &Args) -> usize {
        match self.shape() {
            Shape::Line { bytes: 100 } => args.small,
            _ => args.large,
        }
    }

    /// The connector's configuration between a file and a topic.
    pub(crate) fn config(self, file: &Path, topic: &str) -> Value {
        let mut config = match self.direction() {
            Direction::FileToTopic => json!({
                "connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector",
                "topic": topic,
            }),
            Direction::TopicToFile => json!({
                "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
                "topics": topic,
            }),
        };
        config["file"] = json!(file);
        config["tasks.max"] = json!("1");
        config["key.converter"] = json!(STRING_CONVERTER);
        config["value.converter"] = json!(STRING_CONVERTER);
        if let Shape::Json | Shape::JsonWithSchema = self.shape() {
            config["value.converter"] = json!("org.apache.kafka.connect.json.JsonConverter");
            config["value.converter.schemas.enable"] = json!((self.shape() == Shape::JsonWithSchema).to_string());
        }
        let chain = match self {
            Scenario::JsonChain | Scenario::JsonSchemaChain => &[STEPS][..],
            Scenario::JsonLongChain => &[STEPS, MORE_STEPS],
            _ => &[],
        };
        for (key, value) in chain.iter().copied().flatten() {
            config[*key] = json!(value);
        }
        config
    }

    /// Whether an output line is what the pipeline should have made of a record. Connect's file sink writes Java's form
    /// of a map and Tidegate's writes JSON, so only what both contain is looked for.
    pub(crate) fn is_expected(self, line: &str) -> bool {
        match self {
            Scenario::JsonChain | Scenario::JsonLongChain | Scenario::JsonSchemaChain => {
                line.contains("berlin") && line.contains("****") && !line.contains("plain text of some length")
            }
            Scenario::JsonNoChain => line.contains("plain text of some length"),
            _ => matches!(self.shape(), Shape::Line { bytes } if line.len() == bytes),
        }
    }
}

impl Serialize for Scenario {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

const STRING_CONVERTER: &str = "org.apache.kafka.connect.storage.StringConverter";

/// Three transforms.
const STEPS: &[(&str, &str)] = &[
    ("transforms", "insert,drop,mask"),
    ("transforms.insert.type", "org.apache.kafka.connect.transforms.InsertField$Value"),
    ("transforms.insert.static.field", "site"),
    ("transforms.insert.static.value", "berlin"),
    ("transforms.drop.type", "org.apache.kafka.connect.transforms.ReplaceField$Value"),
    ("transforms.drop.exclude", "note,v"),
    ("transforms.mask.type", "org.apache.kafka.connect.transforms.MaskField$Value"),
    ("transforms.mask.fields", "email"),
    ("transforms.mask.replacement", "****"),
];

/// Two more, and all five in their order.
const MORE_STEPS: &[(&str, &str)] = &[
    ("transforms", "insert,drop,mask,cast,key"),
    ("transforms.cast.type", "org.apache.kafka.connect.transforms.Cast$Value"),
    ("transforms.cast.spec", "score:string"),
    ("transforms.key.type", "org.apache.kafka.connect.transforms.ValueToKey"),
    ("transforms.key.fields", "id"),
];
