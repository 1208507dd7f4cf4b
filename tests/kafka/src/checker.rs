//! Counts what a topic has of a source that gives out numbered lines: each exactly once, in order, for readers of committed
//! records.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::Result;
use tidegate_kafka::{ClientSettings, Consumer, Polled, StartOffset, TopicPartition};

/// How many faults are told one by one.
const SHOWN_MAX: usize = 20;

/// A line of the source as a record of the topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub partition: i32,
    pub offset: i64,
    pub value: String,
}

/// What is wrong with a topic; nothing, if it is empty.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    faults: Vec<String>,
    more: usize,
}

impl Verdict {
    pub fn is_right(&self) -> bool {
        self.faults.is_empty()
    }

    fn fault(&mut self, text: String) {
        match self.faults.len() < SHOWN_MAX {
            true => self.faults.push(text),
            false => self.more += 1,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_right() {
            return f.write_str("each line exactly once");
        }
        f.write_str(&self.faults.join("\n"))?;
        if self.more > 0 {
            write!(f, "\nand {} more", self.more)?;
        }
        Ok(())
    }
}

/// The text of a line.
pub fn line(number: u64) -> String {
    format!("line {number} of the source")
}

fn number(value: &str) -> Option<u64> {
    value.strip_prefix("line ")?.strip_suffix(" of the source")?.parse().ok()
}

/// Compares a topic with the lines 0 to `count`.
pub fn check(count: u64, records: &[Record]) -> Verdict {
    let mut verdict = Verdict::default();
    let mut places: BTreeMap<u64, Vec<(i32, i64)>> = BTreeMap::new();
    let mut newest: BTreeMap<i32, u64> = BTreeMap::new();
    for Record { partition, offset, value } in records {
        let Some(number) = number(value).filter(|number| *number < count) else {
            verdict.fault(format!("foreign: {value:?} at {partition}:{offset}"));
            continue;
        };
        let before = newest.entry(*partition).or_insert(number);
        if number < *before {
            verdict.fault(format!("order: line {number} at {partition}:{offset} comes after line {before}"));
        }
        *before = number.max(*before);
        places.entry(number).or_default().push((*partition, *offset));
    }
    for (number, places) in places.iter().filter(|(_, places)| places.len() > 1) {
        let places: Vec<_> = places.iter().map(|(partition, offset)| format!("{partition}:{offset}")).collect();
        verdict.fault(format!("duplicate: line {number} is at {}", places.join(" and ")));
    }
    let mut next = 0;
    for number in places.keys().copied().chain([count]) {
        if number > next {
            let behind = next.checked_sub(1).and_then(|before| places.get(&before)?.last().copied());
            let behind =
                behind.map_or("the beginning".to_owned(), |(partition, offset)| format!("{partition}:{offset}"));
            verdict.fault(format!("gap: lines {next} to {} are missing, after {behind}", number - 1));
        }
        next = number + 1;
    }
    verdict
}

/// Everything a reader of committed records sees in partition 0 of a topic, once no transaction in it is open.
pub fn read(bootstrap: &str, topic: &str) -> Result<Vec<Record>> {
    const TIMEOUT: Duration = Duration::from_secs(60);
    let mut reader = Consumer::open(&ClientSettings::for_reader(bootstrap, "exactly-once-checker", 4 << 20))?;
    let at = TopicPartition::new(topic, 0);
    let end = reader.log_end_offsets(std::slice::from_ref(&at), TIMEOUT)?[0].offset;
    reader.assign(&[(at, StartOffset::Beginning)])?;
    let (mut records, mut read_to) = (Vec::new(), 0);
    super::until(&format!("{topic} is read up to {end}"), || {
        match reader.poll(1_000, Duration::from_millis(200))? {
            Polled::Records(batch) => {
                for message in batch.iter() {
                    let value = String::from_utf8_lossy(message.value().unwrap_or_default()).into_owned();
                    records.push(Record { partition: message.partition(), offset: message.offset(), value });
                    read_to = message.offset() + 1;
                }
            }
            Polled::EndOfPartition { offset, .. } => read_to = read_to.max(offset),
            _ => {}
        }
        Ok(read_to >= end)
    })?;
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `numbers` as a topic, of five lines.
    fn shown(numbers: &[u64]) -> String {
        let records: Vec<_> =
            (0..).zip(numbers).map(|(offset, number)| Record { partition: 0, offset, value: line(*number) }).collect();
        check(5, &records).to_string()
    }

    #[test]
    fn gaps_duplicates_and_strangers_are_told_with_their_places() {
        assert_eq!(shown(&[0, 1, 2, 3, 4]), "each line exactly once");
        assert_eq!(
            shown(&[0, 1, 2, 1, 2, 3, 4]),
            "order: line 1 at 0:3 comes after line 2\n\
             duplicate: line 1 is at 0:1 and 0:3\nduplicate: line 2 is at 0:2 and 0:4"
        );
        assert_eq!(shown(&[0, 3, 4]), "gap: lines 1 to 2 are missing, after 0:0");
        assert_eq!(
            shown(&[1, 2]),
            "gap: lines 0 to 0 are missing, after the beginning\ngap: lines 3 to 4 are missing, after 0:1"
        );
        assert_eq!(shown(&[0, 1, 2, 3, 4, 5]), "foreign: \"line 5 of the source\" at 0:5");
    }
}
