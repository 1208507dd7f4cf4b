//! A source that says itself where its transactions begin and end, by script: the key `groups` has a word for each group of
//! records, `3c` for three that are committed, `2a` for two that are aborted, `4` for four that are never ended. A record is
//! `g<group>r<record>`, the groups counted from 0, and a poll brings `per.poll` of them.

use tidegate_sdk::{Config, Definition, Encoding, Error, Key, RawRecord, Result, SchemaId, SourceBatch, SourceTask, host};

const PARTITION: &str = r#"{"script":0}"#;

struct BoundarySource {
    topic: String,
    records: Vec<Planned>,
    next: usize,
    per_poll: usize,
}

struct Planned {
    value: String,
    end: Option<End>,
}

#[derive(Clone, Copy)]
enum End {
    Commit,
    Abort,
}

fn planned(groups: &str) -> Result<Vec<Planned>> {
    let mut records = Vec::new();
    for (group, word) in groups.split_whitespace().enumerate() {
        let (count, end) = match (word.strip_suffix('c'), word.strip_suffix('a')) {
            (Some(count), _) => (count, Some(End::Commit)),
            (_, Some(count)) => (count, Some(End::Abort)),
            _ => (word, None),
        };
        let count: usize = count.parse().map_err(Error::fatal)?;
        records.extend((0..count).map(|record| Planned {
            value: format!("g{group}r{record}"),
            end: end.filter(|_| record + 1 == count),
        }));
    }
    Ok(records)
}

impl SourceTask for BoundarySource {
    fn definition() -> Definition {
        Definition::source("BoundarySource")
            .encoding(Encoding::Text)
            .exactly_once()
            .transaction_boundaries()
            .key(Key::string("topic").doc("Where records go."))
            .key(Key::string("groups").doc("The script."))
            .key(Key::int("per.poll").default(2).doc("Records in a poll."))
    }

    fn exactly_once_support(_: &Config) -> bool {
        true
    }

    fn start(config: &Config) -> Result<BoundarySource> {
        let next = match host::load_offset(PARTITION)? {
            None => 0,
            Some(offset) => offset.trim_matches(|c: char| !c.is_ascii_digit()).parse().map_err(Error::fatal)?,
        };
        Ok(BoundarySource {
            topic: config.string("topic")?.to_owned(),
            records: planned(config.string("groups")?)?,
            next,
            per_poll: usize::try_from(config.int("per.poll")?).map_err(Error::fatal)?,
        })
    }

    fn poll(&mut self, batch: &mut SourceBatch) -> Result<()> {
        let (topic, partition) = (batch.name(&self.topic)?, batch.name(PARTITION)?);
        for planned in self.records.iter().skip(self.next).take(self.per_poll) {
            self.next += 1;
            let offset = format!("{{\"next\":{}}}", self.next);
            batch.push_raw(&RawRecord {
                topic,
                timestamp: None,
                key: None,
                value: Some((SchemaId::STRING, planned.value.as_bytes())),
                source: Some((partition, &offset)),
            })?;
            match planned.end {
                None => {}
                Some(End::Commit) => batch.commit_transaction(),
                Some(End::Abort) => batch.abort_transaction(),
            }
        }
        Ok(())
    }
}

tidegate_sdk::export! { sources: [BoundarySource] }
