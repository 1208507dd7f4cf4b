//! TimestampRouter: makes the topic of a record out of its topic and its timestamp.

use crate::date_format::DateFormat;
use tidegate_sdk::{
    Cell, Column, Columns, Config, Definition, Edits, Error, FailureKind, Key, Place, Plan, Problem, Result, Transform,
};

pub(crate) struct TimestampRouter {
    topic: String,
    timestamp: DateFormat,
}

impl Transform for TimestampRouter {
    fn definition() -> Definition {
        Definition::transform("TimestampRouter")
            .alias("org.apache.kafka.connect.transforms.TimestampRouter")
            .doc(
                "Update the record's topic field as a function of the original topic value and the record timestamp. This is \
                 mainly useful for sink connectors, since the topic field is often used to determine the equivalent entity \
                 name in the destination system (e.g. database table or search index name).",
            )
            .key(Key::string("topic.format").high().default("${topic}-${timestamp}").doc(
                "Format string which can contain <code>${topic}</code> and <code>${timestamp}</code> as placeholders for the \
                 topic and timestamp, respectively.",
            ))
            .key(Key::string("timestamp.format").high().default("yyyyMMdd").doc(
                "Format string for the timestamp that is compatible with <code>java.text.SimpleDateFormat</code>.",
            ))
    }

    fn validate(config: &Config) -> Vec<Problem> {
        match TimestampRouter::configure(config) {
            Err(Error::InvalidConfig(problem)) => vec![problem],
            _ => Vec::new(),
        }
    }

    fn configure(config: &Config) -> Result<TimestampRouter> {
        let timestamp = DateFormat::new(config.string("timestamp.format")?);
        Ok(TimestampRouter {
            topic: config.string("topic.format")?.to_owned(),
            timestamp: timestamp.map_err(|message| Error::invalid_config("timestamp.format", message))?,
        })
    }

    fn plan(&self) -> Plan {
        let topic = Column::whole(Place::Topic);
        Plan { read: vec![topic.clone(), Column::whole(Place::Timestamp)], write: vec![topic] }
    }

    fn apply(&self, columns: &Columns<'_>, edits: &mut Edits) -> Result<()> {
        let mut topics = String::new();
        let mut ranges = Vec::with_capacity(columns.len());
        let mut time = Vec::new();
        for record in 0..columns.len() {
            let start = topics.len();
            match (columns.cell(0, record)?, columns.cell(1, record)?) {
                (Cell::String(topic), Cell::Timestamp(timestamp)) => {
                    time.clear();
                    self.timestamp.write(timestamp, &mut time);
                    let time = std::str::from_utf8(&time).map_err(Error::fatal)?;
                    // One after the other, as in Connect: a topic may bring the second placeholder along.
                    let topic = self.topic.replace("${topic}", topic).replace("${timestamp}", time);
                    topics.push_str(&topic);
                    ranges.push(Some(start..topics.len()));
                }
                _ => {
                    edits.fail(record, FailureKind::Data, "Timestamp missing on record");
                    ranges.push(None);
                }
            }
        }
        edits.set_cells(
            0,
            ranges.into_iter().map(|range| Ok(range.map_or(Cell::Missing, |range| Cell::String(&topics[range])))),
        )
    }
}
