//! TopicNameMatches: whether the name of a record's topic matches a regular expression as a whole.

use crate::java_regex::JavaRegex;
use tidegate_sdk::{Bitmap, Cell, Column, Columns, Config, Definition, Error, Key, Place, Predicate, Problem, Result};

pub(crate) struct TopicNameMatches {
    pattern: JavaRegex,
}

impl Predicate for TopicNameMatches {
    fn definition() -> Definition {
        Definition::predicate("TopicNameMatches")
            .alias("org.apache.kafka.connect.transforms.predicates.TopicNameMatches")
            .doc("A predicate which is true for records with a topic name that matches the configured regular expression.")
            .key(
                Key::string("pattern")
                    .required()
                    .non_empty()
                    .doc("A Java regular expression for matching against the name of a record's topic."),
            )
    }

    fn validate(config: &Config) -> Vec<Problem> {
        let refused = config.get("pattern").and_then(|pattern| JavaRegex::new(pattern).err());
        refused.map(|message| Problem::new("pattern", message)).into_iter().collect()
    }

    fn configure(config: &Config) -> Result<TopicNameMatches> {
        let pattern = JavaRegex::new(config.string("pattern")?);
        Ok(TopicNameMatches { pattern: pattern.map_err(|message| Error::invalid_config("pattern", message))? })
    }

    fn reads(&self) -> Vec<Column> {
        vec![Column::whole(Place::Topic)]
    }

    fn test(&self, columns: &Columns<'_>) -> Result<Bitmap> {
        let mut matching = Bitmap::new(columns.len(), false);
        // Topics come in runs.
        let mut last = None;
        for record in 0..columns.len() {
            let Cell::String(topic) = columns.cell(0, record)? else { continue };
            let matches = match last {
                Some((known, matches)) if known == topic => matches,
                _ => self.pattern.matches(topic).map_err(Error::fatal)?,
            };
            last = Some((topic, matches));
            matching.set(record, matches);
        }
        Ok(matching)
    }
}
