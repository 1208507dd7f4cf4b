//! The broker's small durable state as a journal: topics, configurations, committed offsets, transactions.
//!
//! Each change is one checksummed line of JSON, written before it is acknowledged and folded into [`Meta`]. When the
//! journal has grown well beyond what it describes, the description is written to a new file that replaces the old one.
//! A torn last line (a crash while writing) is cut off at start; a failed write leaves the journal as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tracing::warn;
use uuid::Uuid;

use crate::transaction::Transaction;

/// A journal smaller than this is never rewritten.
const REWRITE_BYTES_MIN: u64 = 4 << 20;
/// A journal is rewritten when it is this many times larger than right after the last rewrite.
const REWRITE_GROWTH: u64 = 4;

/// One durable change.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    Cluster { id: String },
    TopicSet { name: String, topic: TopicMeta },
    TopicRemoved { name: String },
    LogStart { topic: String, partition: i32, offset: i64 },
    Offsets { group: String, offsets: Offsets },
    OffsetsRemoved { group: String, partitions: Vec<(String, i32)> },
    GroupRemoved { group: String },
    ProducerIds { next: i64 },
    Transaction { id: String, state: Box<Transaction> },
    TransactionRemoved { id: String },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TopicMeta {
    pub(crate) id: Uuid,
    pub(crate) partitions: i32,
    pub(crate) configs: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) log_starts: BTreeMap<i32, i64>,
}

/// An offset that a group committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: String,
}

/// Topic → partition → offset.
pub(crate) type Offsets = BTreeMap<String, BTreeMap<i32, Committed>>;

/// Everything the journal describes.
#[derive(Debug, Default)]
pub(crate) struct Meta {
    pub(crate) cluster_id: String,
    pub(crate) topics: BTreeMap<String, TopicMeta>,
    pub(crate) groups: BTreeMap<String, Offsets>,
    pub(crate) next_producer_id: i64,
    pub(crate) transactions: BTreeMap<String, Transaction>,
}

impl Meta {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Cluster { id } => self.cluster_id = id,
            Change::TopicSet { name, topic } => {
                self.topics.insert(name, topic);
            }
            Change::TopicRemoved { name } => {
                self.topics.remove(&name);
                for offsets in self.groups.values_mut() {
                    offsets.remove(&name);
                }
                self.groups.retain(|_, offsets| !offsets.is_empty());
            }
            Change::LogStart { topic, partition, offset } => {
                if let Some(topic) = self.topics.get_mut(&topic) {
                    topic.log_starts.insert(partition, offset);
                }
            }
            Change::Offsets { group, offsets } => {
                let known = self.groups.entry(group).or_default();
                for (topic, partitions) in offsets {
                    known.entry(topic).or_default().extend(partitions);
                }
            }
            Change::OffsetsRemoved { group, partitions } => {
                if let Some(known) = self.groups.get_mut(&group) {
                    for (topic, partition) in partitions {
                        if let Some(offsets) = known.get_mut(&topic) {
                            offsets.remove(&partition);
                        }
                    }
                    known.retain(|_, partitions| !partitions.is_empty());
                }
            }
            Change::GroupRemoved { group } => {
                self.groups.remove(&group);
            }
            Change::ProducerIds { next } => self.next_producer_id = next,
            Change::Transaction { id, state } => {
                self.transactions.insert(id, *state);
            }
            Change::TransactionRemoved { id } => {
                self.transactions.remove(&id);
            }
        }
    }

    /// The changes that lead from nothing to this.
    fn describe(&self) -> impl Iterator<Item = Change> {
        let first =
            [Change::Cluster { id: self.cluster_id.clone() }, Change::ProducerIds { next: self.next_producer_id }];
        let topics =
            self.topics.iter().map(|(name, topic)| Change::TopicSet { name: name.clone(), topic: topic.clone() });
        let groups = self
            .groups
            .iter()
            .map(|(group, offsets)| Change::Offsets { group: group.clone(), offsets: offsets.clone() });
        let transactions = self
            .transactions
            .iter()
            .map(|(id, state)| Change::Transaction { id: id.clone(), state: Box::new(state.clone()) });
        first.into_iter().chain(topics).chain(groups).chain(transactions)
    }

    pub(crate) fn topic_ids(&self) -> BTreeSet<Uuid> {
        self.topics.values().map(|topic| topic.id).collect()
    }
}

/// The journal file and what it describes.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    bytes: u64,
    rewrite_at: u64,
    torn: bool,
    meta: Meta,
}

impl Journal {
    /// Opens or makes the journal at `path`.
    pub(crate) fn open(path: PathBuf) -> io::Result<Journal> {
        let file = OpenOptions::new().create(true).read(true).append(true).open(&path)?;
        let mut meta = Meta::default();
        let mut bytes = 0;
        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            let Some(change) = decode(&line) else { break };
            meta.apply(change);
            bytes += line.len() as u64;
            line.clear();
        }
        let cut = file.metadata()?.len() - bytes;
        if !line.is_empty() && reader.read_until(b'\n', &mut Vec::new())? > 0 {
            let detail = format!("{} is damaged at byte {bytes}, {cut} bytes before its end", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, detail));
        }
        if cut > 0 {
            warn!(journal = %path.display(), cut_bytes = cut, "cut off a torn write");
            file.set_len(bytes)?;
        }
        let rewrite_at = (bytes * REWRITE_GROWTH).max(REWRITE_BYTES_MIN);
        Ok(Journal { path, file, bytes, rewrite_at, torn: false, meta })
    }

    pub(crate) fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Writes a change and applies it. On an error neither has happened.
    pub(crate) fn commit(&mut self, change: Change) -> io::Result<()> {
        let line = encode(&change)?;
        if self.torn {
            self.file.set_len(self.bytes)?;
            self.torn = false;
        }
        if let Err(error) = self.file.write_all(&line) {
            self.torn = self.file.set_len(self.bytes).is_err();
            return Err(error);
        }
        self.bytes += line.len() as u64;
        self.meta.apply(change);
        if self.bytes > self.rewrite_at
            && let Err(error) = self.rewrite()
        {
            // The old journal is whole and goes on; try again when it has grown as much once more.
            warn!(journal = %self.path.display(), %error, "cannot rewrite the journal");
            self.rewrite_at = self.bytes * REWRITE_GROWTH;
        }
        Ok(())
    }

    fn rewrite(&mut self) -> io::Result<()> {
        let fresh = self.path.with_extension("new");
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(&fresh)?;
        let mut text = Vec::new();
        for change in self.meta.describe() {
            text.extend(encode(&change)?);
        }
        file.write_all(&text)?;
        file.sync_data()?;
        fs::rename(&fresh, &self.path)?;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        self.bytes = text.len() as u64;
        self.rewrite_at = (self.bytes * REWRITE_GROWTH).max(REWRITE_BYTES_MIN);
        Ok(())
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// `crc32c in hex, space, JSON, newline`.
fn encode(change: &Change) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(change)?;
    let mut line = format!("{:08x} ", crc32c::crc32c(&json)).into_bytes();
    line.extend(json);
    line.push(b'\n');
    Ok(line)
}

fn decode(line: &[u8]) -> Option<Change> {
    let (crc, json) = line.strip_suffix(b"\n")?.split_at_checked(9)?;
    let crc = u32::from_str_radix(std::str::from_utf8(&crc[..8]).ok()?, 16).ok()?;
    if crc32c::crc32c(json) != crc {
        return None;
    }
    serde_json::from_slice(json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(partition: i32, offset: i64) -> Change {
        let committed = Committed { offset, leader_epoch: 0, metadata: String::new() };
        Change::Offsets { group: "g".into(), offsets: [("t".into(), [(partition, committed)].into())].into() }
    }

    fn offset_of(journal: &Journal, partition: i32) -> Option<i64> {
        Some(journal.meta().groups.get("g")?.get("t")?.get(&partition)?.offset)
    }

    #[test]
    fn what_was_committed_is_there_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut journal = Journal::open(path.clone()).unwrap();
        journal.commit(offsets(0, 5)).unwrap();
        journal.commit(offsets(0, 6)).unwrap();
        journal.commit(Change::ProducerIds { next: 1000 }).unwrap();
        let journal = Journal::open(path).unwrap();
        assert_eq!(offset_of(&journal, 0), Some(6));
        assert_eq!(journal.meta().next_producer_id, 1000);
    }

    #[test]
    fn every_torn_end_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut journal = Journal::open(path.clone()).unwrap();
        journal.commit(offsets(0, 5)).unwrap();
        let whole = journal.bytes as usize;
        journal.commit(offsets(0, 6)).unwrap();
        let text = fs::read(&path).unwrap();
        for end in whole..text.len() {
            fs::write(&path, &text[..end]).unwrap();
            let mut journal = Journal::open(path.clone()).unwrap();
            assert_eq!(offset_of(&journal, 0), Some(5), "cut at {end}");
            journal.commit(offsets(1, 9)).unwrap();
            assert_eq!(offset_of(&Journal::open(path.clone()).unwrap(), 1), Some(9), "cut at {end}");
        }
    }

    #[test]
    fn damage_in_the_middle_is_an_error_and_not_silently_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut journal = Journal::open(path.clone()).unwrap();
        for offset in 0..3 {
            journal.commit(offsets(0, offset)).unwrap();
        }
        let mut text = fs::read(&path).unwrap();
        text[20] ^= 1;
        fs::write(&path, &text).unwrap();
        assert_eq!(Journal::open(path).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_journal_that_repeats_itself_is_rewritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut journal = Journal::open(path.clone()).unwrap();
        journal.rewrite_at = 10_000;
        for offset in 0..1000 {
            journal.commit(offsets(offset as i32 % 3, offset)).unwrap();
            journal.rewrite_at = journal.rewrite_at.min(10_000);
        }
        assert!(fs::metadata(&path).unwrap().len() < 10_200);
        let journal = Journal::open(path).unwrap();
        assert_eq!((offset_of(&journal, 0), offset_of(&journal, 1)), (Some(999), Some(997)));
    }
}
