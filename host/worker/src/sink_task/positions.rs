//! Where a sink task stands in each of its partitions; pure.
//!
//! Three offsets matter, each the next one to come: what the guest has *accepted*, what is *durable* in the target as far as
//! the guest has said, and what is *committed* to the group. `durable ≤ accepted` always, and only what is durable is
//! committed. A guest that keeps its memory reads on from what it accepted; a new one has to be given everything from
//! what is durable on. A partition of which nothing is durable yet starts where its first record was read.

use std::collections::BTreeMap;

use tidegate_kafka::{PartitionOffset, TopicPartition};

/// The bookkeeping of one task. Partitions that are not assigned are not in it, and words about them are ignored.
#[derive(Debug, Default)]
pub(super) struct Positions(BTreeMap<(String, i32), Position>);

#[derive(Clone, Copy, Debug, Default)]
struct Position {
    accepted: Option<i64>,
    durable: Option<i64>,
    committed: Option<i64>,
}

impl Positions {
    /// A partition is ours from now on.
    pub(super) fn assign(&mut self, at: &TopicPartition) {
        self.0.insert(key(at), Position::default());
    }

    /// A partition is not ours any more.
    pub(super) fn revoke(&mut self, at: &TopicPartition) {
        self.0.remove(&key(at));
    }

    /// The first record of a batch was read. Before the first one of all, nothing is missing.
    pub(super) fn read(&mut self, topic: &str, partition: i32, first: i64) {
        if let Some(position) = self.of(topic, partition) {
            position.durable.get_or_insert(first);
        }
    }

    /// The guest has accepted everything before these offsets.
    pub(super) fn accept(&mut self, next: &[PartitionOffset]) {
        for at in next {
            if let Some(position) = self.of(&at.topic, at.partition) {
                position.accepted = Some(at.offset);
            }
        }
    }

    /// The guest asks to read on from these offsets. What it holds from before them is as durable as it was.
    pub(super) fn seek(&mut self, next: &[PartitionOffset]) {
        for at in next {
            if let Some(position) = self.of(&at.topic, at.partition) {
                position.accepted = Some(at.offset);
                position.durable = Some(position.durable.map_or(at.offset, |durable| durable.min(at.offset)));
            }
        }
    }

    /// Reading goes on from these offsets, whatever came before: the target's own.
    pub(super) fn set(&mut self, next: &[PartitionOffset]) {
        for at in next {
            if let Some(position) = self.of(&at.topic, at.partition) {
                *position = Position { accepted: Some(at.offset), durable: Some(at.offset), ..*position };
            }
        }
    }

    /// Everything that was accepted of these partitions is durable.
    pub(super) fn all_durable(&mut self, of: impl Fn(&str, i32) -> bool) {
        for (_, position) in self.0.iter_mut().filter(|((topic, partition), _)| of(topic, *partition)) {
            position.durable = position.accepted.or(position.durable);
        }
    }

    /// Everything before these offsets is durable. A guest may hold offsets back, but not name what it was never given.
    pub(super) fn durable(&mut self, next: &[PartitionOffset]) {
        for at in next {
            if let Some(position) = self.of(&at.topic, at.partition)
                && position.accepted.is_some_and(|accepted| at.offset <= accepted)
            {
                position.durable = Some(at.offset);
            }
        }
    }

    /// Whether anything was accepted that is not committed.
    pub(super) fn is_committed(&self) -> bool {
        self.0.values().all(|position| position.accepted.is_none() || position.accepted == position.committed)
    }

    /// What is durable and not committed. A start where nothing was accepted yet is nothing to commit.
    pub(super) fn to_commit(&self) -> Vec<PartitionOffset> {
        let moved = self.0.iter().filter(|(_, at)| at.accepted.is_some() && at.durable != at.committed);
        moved.filter_map(|(key, at)| Some(offset(key, at.durable?))).collect()
    }

    /// These offsets are on their way to the group, or there.
    pub(super) fn committed(&mut self, next: &[PartitionOffset]) {
        for at in next {
            if let Some(position) = self.of(&at.topic, at.partition) {
                position.committed = Some(at.offset);
            }
        }
    }

    /// A commit did not arrive; nobody knows what the group has.
    pub(super) fn nothing_committed(&mut self) {
        self.0.values_mut().for_each(|position| position.committed = None);
    }

    /// Where the same guest has to read on when what was read and not accepted is dropped.
    pub(super) fn rewind(&self) -> Vec<PartitionOffset> {
        self.0.iter().filter_map(|(key, at)| Some(offset(key, at.accepted.or(at.durable)?))).collect()
    }

    /// A new guest took these partitions over, and the target says it has everything before the offsets of `opened`.
    /// Answers whether reading goes on elsewhere than the guest before it stood.
    pub(super) fn restart(&mut self, opened: &[PartitionOffset], of: impl Fn(&str, i32) -> bool) -> bool {
        let before = self.rewind();
        for (_, position) in self.0.iter_mut().filter(|((topic, partition), _)| of(topic, *partition)) {
            position.accepted = position.accepted.and(position.durable);
        }
        self.set(opened);
        self.rewind() != before
    }

    fn of(&mut self, topic: &str, partition: i32) -> Option<&mut Position> {
        self.0.get_mut(&(topic.to_owned(), partition))
    }
}

fn key(at: &TopicPartition) -> (String, i32) {
    (at.topic.clone(), at.partition)
}

fn offset((topic, partition): &(String, i32), offset: i64) -> PartitionOffset {
    PartitionOffset::new(topic.clone(), *partition, offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays a story about partitions 0 and 1 of topic `t` and shows what is answered, and in the end all offsets.
    fn check(story: &str, expected: expect_test::Expect) {
        let mut positions = Positions::default();
        let mut told = String::new();
        for line in story.split(';').map(str::trim) {
            let mut words = line.split(' ');
            let word = words.next().unwrap();
            let offsets: Vec<PartitionOffset> = words
                .map(|word| {
                    let (partition, offset) = word.split_once('@').unwrap_or((word, "0"));
                    PartitionOffset::new("t", partition.parse().unwrap(), offset.parse().unwrap())
                })
                .collect();
            let answer = match word {
                "assign" => {
                    none(|| offsets.iter().for_each(|at| positions.assign(&TopicPartition::new("t", at.partition))))
                }
                "revoke" => {
                    none(|| offsets.iter().for_each(|at| positions.revoke(&TopicPartition::new("t", at.partition))))
                }
                "read" => none(|| offsets.iter().for_each(|at| positions.read("t", at.partition, at.offset))),
                "accept" => none(|| positions.accept(&offsets)),
                "seek" => none(|| positions.seek(&offsets)),
                "set" => none(|| positions.set(&offsets)),
                "durable" => none(|| positions.durable(&offsets)),
                "all-durable" => none(|| positions.all_durable(|_, _| true)),
                "commit" => {
                    let moved = positions.to_commit();
                    positions.committed(&moved);
                    Some(shown(&moved))
                }
                "lost" => none(|| positions.nothing_committed()),
                "rewind" => Some(shown(&positions.rewind())),
                "restart" => {
                    let moved = positions.restart(&offsets, |_, _| true);
                    Some(format!("{}{}", shown(&positions.rewind()), if moved { ", elsewhere" } else { "" }))
                }
                other => panic!("unknown word {other}"),
            };
            if let Some(answer) = answer {
                told.push_str(&format!("{line}: {answer}\n"));
            }
        }
        for ((_, partition), at) in &positions.0 {
            told.push_str(&format!(
                "{partition}: accepted {:?}, durable {:?}, committed {:?}\n",
                at.accepted, at.durable, at.committed
            ));
        }
        expected.assert_eq(&told);
    }

    fn none(change: impl FnOnce()) -> Option<String> {
        change();
        None
    }

    fn shown(offsets: &[PartitionOffset]) -> String {
        let each: Vec<String> = offsets.iter().map(|at| format!("{}@{}", at.partition, at.offset)).collect();
        if each.is_empty() { "nothing".to_owned() } else { each.join(" ") }
    }

    #[test]
    fn a_guest_that_makes_everything_durable_is_committed_once() {
        check(
            "assign 0; read 0@5; commit; accept 0@9; all-durable; commit; commit",
            expect_test::expect![[r#"
            commit: nothing
            commit: 0@9
            commit: nothing
            0: accepted Some(9), durable Some(9), committed Some(9)
        "#]],
        );
    }

    #[test]
    fn what_is_held_back_is_not_committed() {
        check(
            "assign 0 1; read 0@0 1@0; accept 0@9 1@4; durable 0@6; commit; durable 0@10; commit",
            expect_test::expect![[r#"
                commit: 0@6 1@0
                commit: nothing
                0: accepted Some(9), durable Some(6), committed Some(6)
                1: accepted Some(4), durable Some(0), committed Some(0)
            "#]],
        );
    }

    #[test]
    fn a_partition_without_a_commit_is_rewound_to_its_first_record() {
        check(
            "assign 0; read 0@7; rewind; restart",
            expect_test::expect![[r#"
            rewind: 0@7
            restart: 0@7
            0: accepted None, durable Some(7), committed None
        "#]],
        );
    }

    #[test]
    fn a_new_guest_gets_what_the_old_one_held() {
        check(
            "assign 0 1; read 0@0 1@0; accept 0@9 1@3; durable 0@6 1@3; restart",
            expect_test::expect![[r#"
            restart: 0@6 1@3, elsewhere
            0: accepted Some(6), durable Some(6), committed None
            1: accepted Some(3), durable Some(3), committed None
        "#]],
        );
    }

    #[test]
    fn a_new_guest_after_everything_was_durable_reads_on() {
        check(
            "assign 0; read 0@0; accept 0@9; all-durable; read 0@9; restart",
            expect_test::expect![[r#"
            restart: 0@9
            0: accepted Some(9), durable Some(9), committed None
        "#]],
        );
    }

    #[test]
    fn the_targets_own_offsets_count_more() {
        check(
            "assign 0; read 0@0; accept 0@9; all-durable; commit; restart 0@7; commit",
            expect_test::expect![[r#"
            commit: 0@9
            restart 0@7: 0@7, elsewhere
            commit: 0@7
            0: accepted Some(7), durable Some(7), committed Some(7)
        "#]],
        );
    }

    #[test]
    fn what_a_guest_holds_when_it_seeks_is_not_durable_yet() {
        check(
            "assign 0; read 0@0; accept 0@5; durable 0@2; seek 0@4; rewind; restart; accept 0@9; all-durable; seek 0@7; commit",
            expect_test::expect![[r#"
                rewind: 0@4
                restart: 0@2, elsewhere
                commit: 0@7
                0: accepted Some(7), durable Some(7), committed Some(7)
            "#]],
        );
    }

    #[test]
    fn words_about_partitions_that_are_gone_change_nothing() {
        check(
            "assign 0; read 0@0; accept 0@5; revoke 0; accept 0@9; durable 0@9; rewind",
            expect_test::expect![[r#"
            rewind: nothing
        "#]],
        );
    }

    #[test]
    fn a_commit_that_did_not_arrive_is_made_again() {
        check(
            "assign 0; read 0@0; accept 0@5; all-durable; commit; lost; commit",
            expect_test::expect![[r#"
            commit: 0@5
            commit: 0@5
            0: accepted Some(5), durable Some(5), committed Some(5)
        "#]],
        );
    }
}
