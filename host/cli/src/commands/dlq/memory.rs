//! Which dead letters were replayed: a consumer group for each selection, whose name tells the selection and whose offsets
//! tell how far its replay got.
//!
//! So a second replay goes on where the first stopped, and one with another selection still leaves out what the first had.
//! Kafka forgets such a group some days after it was last used (`offsets.retention.minutes`).

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_kafka::{Admin, KafkaError, PartitionOffset};

use super::letter::Letter;
use super::selection::Selection;

const TIMEOUT: Duration = Duration::from_secs(30);

/// What all replays of a queue to one destination have done.
#[derive(Debug, Default)]
pub(super) struct Memory {
    replays: Vec<Replayed>,
}

/// How far a selection was replayed, by partition.
#[derive(Debug)]
struct Replayed {
    selection: Selection,
    next: BTreeMap<i32, i64>,
}

/// The group that remembers the replay of a selection; `to` is the topic where it is not the letters' own.
pub(super) fn group(topic: &str, to: Option<&str>, selection: &Selection) -> String {
    format!("{}{}", prefix(topic, to), selection.name())
}

/// Neither `>` nor `?` can be in the name of a topic.
fn prefix(topic: &str, to: Option<&str>) -> String {
    match to {
        None => format!("tidegate-dlq.{topic}?"),
        Some(to) => format!("tidegate-dlq.{topic}>{to}?"),
    }
}

impl Memory {
    pub(super) fn read(admin: &Admin, topic: &str, to: Option<&str>) -> Result<Memory, KafkaError> {
        let prefix = prefix(topic, to);
        let mut replays = Vec::new();
        for group in admin.list_groups(TIMEOUT)? {
            let Some(selection) = group.strip_prefix(&prefix).and_then(Selection::parse) else { continue };
            let offsets = admin.group_offsets(&group, TIMEOUT)?;
            let next = offsets.into_iter().filter(|at| at.topic == topic).map(|at| (at.partition, at.offset));
            replays.push(Replayed { selection, next: next.collect() });
        }
        Ok(Memory { replays })
    }

    /// Whether an earlier replay had this letter.
    pub(super) fn has(&self, letter: &Letter) -> bool {
        self.replays.iter().any(|replayed| {
            let got_past = replayed.next.get(&letter.partition).is_some_and(|next| letter.offset < *next);
            got_past && replayed.selection.matches(letter)
        })
    }

    /// How far the replay of this very selection came.
    pub(super) fn progress(&self, selection: &Selection) -> BTreeMap<i32, i64> {
        let own = self.replays.iter().find(|replayed| replayed.selection == *selection);
        own.map(|replayed| replayed.next.clone()).unwrap_or_default()
    }

    /// Notes that the replay of a selection has come so far.
    pub(super) fn note(admin: &Admin, group: &str, next: &[PartitionOffset]) -> Result<(), KafkaError> {
        admin.alter_group_offsets(group, next, TIMEOUT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::dlq::letter::Reason;

    #[test]
    fn a_letter_was_replayed_if_any_replay_chose_it_and_got_past_it() {
        let by_stage = |stage: &str| Selection { stage: Some(stage.to_owned()), ..Selection::default() };
        let memory = Memory {
            replays: vec![
                Replayed { selection: by_stage("TASK_PUT"), next: [(0, 10)].into() },
                Replayed { selection: Selection::default(), next: [(0, 4)].into() },
            ],
        };
        let letter = |offset, stage: &str| Letter {
            offset,
            reason: Reason { stage: Some(stage.to_owned()), ..Reason::default() },
            ..Letter::default()
        };
        let has = |offset, stage| memory.has(&letter(offset, stage));
        assert_eq!([has(3, "X"), has(4, "X"), has(9, "TASK_PUT"), has(10, "TASK_PUT")], [true, false, true, false]);
        assert!(!memory.has(&Letter { partition: 1, ..letter(0, "X") }));
    }
}
