//! Which dead letters are meant. Pure; also the name under which it is remembered what was replayed.

use std::ops::Range;

use clap::Args;

use super::letter::Letter;

/// What all of the chosen dead letters have in common.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selection {
    /// Only those whose exception or message has this text in it, in any case.
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,
    /// Only those that failed in this stage: KEY_CONVERTER, VALUE_CONVERTER, HEADER_CONVERTER, TRANSFORMATION, TASK_PUT.
    #[arg(long, value_name = "STAGE")]
    pub(super) stage: Option<String>,
    /// Only this partition of the queue.
    #[arg(long, value_name = "N")]
    pub(super) partition: Option<i32>,
    /// Only these offsets of the queue, the last one not included: 10..20, 10.. or ..20.
    #[arg(long, value_name = "A..B", value_parser = offsets)]
    pub(super) offsets: Option<Range<i64>>,
    /// Where a connector is named: its own, and those that do not say whose they are.
    #[arg(skip)]
    pub(super) connector: Option<String>,
}

impl Selection {
    pub(super) fn matches(&self, letter: &Letter) -> bool {
        let reason = &letter.reason;
        let is_in = |text: &Option<String>, sought: &str| {
            text.as_ref().is_some_and(|text| text.to_lowercase().contains(sought))
        };
        self.reason.as_ref().is_none_or(|sought| {
            let sought = sought.to_lowercase();
            is_in(&reason.exception, &sought) || is_in(&reason.message, &sought)
        }) && self
            .stage
            .as_ref()
            .is_none_or(|stage| reason.stage.as_ref().is_some_and(|at| at.eq_ignore_ascii_case(stage)))
            && self.partition.is_none_or(|partition| partition == letter.partition)
            && self.offsets.as_ref().is_none_or(|offsets| offsets.contains(&letter.offset))
            && self.connector.as_ref().is_none_or(|name| reason.connector.as_ref().is_none_or(|of| of == name))
    }

    /// The selection as text: every one has another.
    pub(super) fn name(&self) -> String {
        let mut text = form_urlencoded::Serializer::new(String::new());
        let offsets = self.offsets.as_ref().map(|range| format!("{}..{}", range.start, range.end));
        let partition = self.partition.map(|partition| partition.to_string());
        let parts = [
            ("connector", &self.connector),
            ("offsets", &offsets),
            ("partition", &partition),
            ("reason", &self.reason),
            ("stage", &self.stage),
        ];
        for (name, value) in parts {
            if let Some(value) = value {
                text.append_pair(name, value);
            }
        }
        text.finish()
    }

    /// Reads what [`Selection::name`] wrote; none for anything else, such as a selection of a later version.
    pub(super) fn parse(text: &str) -> Option<Selection> {
        let mut selection = Selection::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            match &*name {
                "connector" => selection.connector = Some(value.into_owned()),
                "offsets" => selection.offsets = Some(offsets(&value).ok()?),
                "partition" => selection.partition = Some(value.parse().ok()?),
                "reason" => selection.reason = Some(value.into_owned()),
                "stage" => selection.stage = Some(value.into_owned()),
                _ => return None,
            }
        }
        Some(selection)
    }
}

fn offsets(text: &str) -> Result<Range<i64>, String> {
    let wrong = || format!("\"{text}\" is no range of offsets such as 10..20, 10.. or ..20");
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let number = |text: &str, default: i64| match text.trim() {
        "" => Ok(default),
        text => text.parse::<i64>().map_err(|_| wrong()),
    };
    let range = number(from, 0)?..number(to, i64::MAX)?;
    if range.is_empty() || range.start < 0 { Err(wrong()) } else { Ok(range) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::dlq::letter::Reason;

    fn letter() -> Letter {
        let text = |text: &str| Some(text.to_owned());
        let reason = Reason {
            connector: text("orders"),
            stage: text("TASK_PUT"),
            exception: text("org.apache.kafka.connect.errors.DataException"),
            message: text("no such Table"),
            ..Reason::default()
        };
        Letter { partition: 1, offset: 7, reason, ..Letter::default() }
    }

    #[test]
    fn a_letter_is_chosen_by_all_that_is_asked_for() {
        let all = Selection::default();
        assert!(all.matches(&letter()) && all.matches(&Letter::default()));
        let check = |change: fn(&mut Selection), expected| {
            let mut selection = Selection::default();
            change(&mut selection);
            assert_eq!(selection.matches(&letter()), expected, "{selection:?}");
        };
        check(|s| s.reason = Some("TABLE".to_owned()), true);
        check(|s| s.reason = Some("dataexception".to_owned()), true);
        check(|s| s.reason = Some("view".to_owned()), false);
        check(|s| s.stage = Some("task_put".to_owned()), true);
        check(|s| s.stage = Some("TASK".to_owned()), false);
        check(|s| s.offsets = offsets("7..8").ok(), true);
        check(|s| s.offsets = offsets("..7").ok(), false);
        check(|s| s.connector = Some("orders".to_owned()), true);
        check(|s| s.connector = Some("others".to_owned()), false);
        check(|s| (s.partition, s.reason) = (Some(0), Some("table".to_owned())), false);
    }

    #[test]
    fn a_selection_is_found_again_by_its_name() {
        let selection = Selection {
            reason: Some("a=b&c?".to_owned()),
            offsets: offsets("5..").ok(),
            partition: Some(2),
            stage: None,
            connector: Some("öl".to_owned()),
        };
        assert_eq!(Selection::parse(&selection.name()), Some(selection));
        assert_eq!(Selection::default().name(), "");
        assert_eq!(Selection::parse("later=1"), None);
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in ["", "5", "5..5", "9..3", "a..b", "-3..2"] {
            assert!(offsets(text).is_err(), "{text}");
        }
        assert_eq!(offsets("3..").unwrap(), 3..i64::MAX);
    }
}
