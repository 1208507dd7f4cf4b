//! Dead letters counted by their reasons. Pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::letter::Letter;

/// Reasons that are told apart; a queue with more of them is summed up as "others".
const REASONS_MAX: usize = 1_000;
/// How much of a message tells reasons apart.
const MESSAGE_CHARS_MAX: usize = 120;

/// Letters with the same connector, stage, class, exception and message have the same reason. Numbers in messages are
/// not told apart: "line 7" and "line 8" are one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) connector: String,
    pub(super) stage: String,
    pub(super) class: String,
    pub(super) exception: String,
    pub(super) message: String,
}

/// How many letters have a reason, and where the first and last of them are: partition and offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) letters: u64,
    pub(super) replayed: u64,
    pub(super) first: (i32, i64),
    pub(super) last: (i32, i64),
}

#[derive(Debug, Default)]
pub(super) struct Reasons {
    counts: BTreeMap<Key, Count>,
}

impl Reasons {
    pub(super) fn add(&mut self, letter: &Letter, is_replayed: bool) {
        let mut key = key(letter);
        if !self.counts.contains_key(&key) && self.counts.len() >= REASONS_MAX {
            key = Key { message: "others".to_owned(), ..Key::default() };
        }
        let at = (letter.partition, letter.offset);
        let count = self.counts.entry(key).or_insert(Count { letters: 0, replayed: 0, first: at, last: at });
        count.letters += 1;
        count.replayed += u64::from(is_replayed);
        count.last = at;
    }

    /// The most frequent first.
    pub(super) fn sorted(&self) -> Vec<(&Key, Count)> {
        let mut sorted: Vec<_> = self.counts.iter().map(|(key, count)| (key, *count)).collect();
        sorted.sort_by_key(|(_, count)| std::cmp::Reverse(count.letters));
        sorted
    }

    pub(super) fn letters(&self) -> u64 {
        self.counts.values().map(|count| count.letters).sum()
    }

    pub(super) fn replayed(&self) -> u64 {
        self.counts.values().map(|count| count.replayed).sum()
    }

    pub(super) fn to_json(&self) -> Value {
        let place = |(partition, offset): (i32, i64)| json!({ "partition": partition, "offset": offset });
        let reasons = self.sorted().into_iter().map(|(key, count)| {
            json!({
                "count": count.letters, "replayed": count.replayed, "connector": key.connector, "stage": key.stage,
                "class": key.class, "exception": key.exception, "message": key.message,
                "first": place(count.first), "last": place(count.last),
            })
        });
        json!({ "letters": self.letters(), "replayed": self.replayed(), "reasons": reasons.collect::<Vec<_>>() })
    }
}

fn key(letter: &Letter) -> Key {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let reason = &letter.reason;
    let message = match &reason.message {
        Some(message) => without_numbers(message.lines().next().unwrap_or_default()),
        None if reason.exception.is_none() => "not told: the letter has no headers that say it".to_owned(),
        None => String::new(),
    };
    Key {
        connector: text(&reason.connector),
        stage: text(&reason.stage),
        class: text(&reason.class),
        exception: text(&reason.exception),
        message,
    }
}

fn without_numbers(message: &str) -> String {
    let mut out = String::new();
    for c in message.chars().take(MESSAGE_CHARS_MAX) {
        match c {
            digit if digit.is_ascii_digit() && out.ends_with('#') => {}
            digit if digit.is_ascii_digit() => out.push('#'),
            control if control.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::dlq::letter::Reason;

    fn letter(offset: i64, message: Option<&str>) -> Letter {
        let reason = Reason {
            exception: message.map(|_| "E".to_owned()),
            message: message.map(str::to_owned),
            ..Reason::default()
        };
        Letter { offset, reason, ..Letter::default() }
    }

    #[test]
    fn messages_that_differ_in_numbers_are_one_reason_and_the_most_frequent_comes_first() {
        let mut reasons = Reasons::default();
        reasons.add(&letter(1, None), false);
        reasons.add(&letter(2, Some("no table at line 7")), true);
        reasons.add(&letter(9, Some("no table at line 1234\nmore")), false);
        let shown: Vec<_> = reasons.sorted().into_iter().map(|(key, count)| (key.message.as_str(), count)).collect();
        let count = |letters, replayed, first, last| Count { letters, replayed, first: (0, first), last: (0, last) };
        assert_eq!(
            shown,
            [
                ("no table at line #", count(2, 1, 2, 9)),
                ("not told: the letter has no headers that say it", count(1, 0, 1, 1))
            ]
        );
        assert_eq!((reasons.letters(), reasons.replayed()), (3, 1));
    }

    #[test]
    fn however_many_reasons_there_are_memory_is_bounded() {
        let mut reasons = Reasons::default();
        for number in 0..2_000u32 {
            let message: String = number.to_string().chars().map(|c| char::from(c as u8 - b'0' + b'a')).collect();
            reasons.add(&letter(0, Some(&message)), false);
        }
        assert_eq!((reasons.letters(), reasons.sorted().len()), (2_000, REASONS_MAX + 1));
    }
}
