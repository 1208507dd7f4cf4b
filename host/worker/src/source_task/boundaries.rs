//! Where the transactions of an exactly-once source begin and end: with each poll, by time, or where the connector says.
//!
//! Pure: batches and the time come in, cuts go out. A transaction begins with the first record after the end of the one
//! before; nothing is ever open without a record in it.

use std::time::Duration;

use tidegate_config::connector::TransactionBoundary;
use tokio::time::Instant;

/// What ends a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// The end of the batch.
    Poll,
    /// So much time since its first record.
    Interval(Duration),
    /// The connector's marks on its records.
    Connector,
}

impl Rule {
    /// `flush_interval` is the worker's, which holds where the connector names none.
    pub(super) fn of(boundary: TransactionBoundary, flush_interval: Duration) -> Rule {
        match boundary {
            TransactionBoundary::Poll => Rule::Poll,
            TransactionBoundary::Interval { interval_ms } => {
                Rule::Interval(interval_ms.map_or(flush_interval, Duration::from_millis))
            }
            TransactionBoundary::Connector => Rule::Connector,
        }
    }
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Its records and their source offsets become visible together.
    Commit,
    /// Its records never do. Their source offsets do, so that the source goes on behind them: as in Kafka Connect.
    Abort,
    /// Neither does: the source will bring the records again.
    Undo,
}

/// A mark of the connector: a transaction ends after this record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) record: usize,
    pub(super) is_abort: bool,
}

/// A stretch of a batch that belongs to one transaction, from where the cut before ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// The first record that is not part of it.
    pub(super) end: usize,
    /// None: the transaction stays open.
    pub(super) how: Option<End>,
}

/// Why a source brings no more for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// It has said that nothing will come any more.
    Ended,
    /// It is interrupted: it could have gone on.
    Interrupted,
}

/// The transaction that is open, and the rule.
#[derive(Debug)]
pub(super) struct Boundaries {
    rule: Rule,
    /// When the first record of the open transaction came.
    open_since: Option<Instant>,
}

impl Boundaries {
    /// Nothing is open.
    pub(super) fn new(rule: Rule) -> Boundaries {
        Boundaries { rule, open_since: None }
    }

    /// Takes a batch of `records` (at least one), and answers its stretches in order; the last one ends with the batch.
    /// `marks` are the connector's, in order; they count only where it is the connector that decides.
    pub(super) fn polled(&mut self, now: Instant, records: usize, marks: impl Iterator<Item = Mark>) -> Vec<Cut> {
        let since = *self.open_since.get_or_insert(now);
        let mut cuts = Vec::new();
        let last = match self.rule {
            Rule::Poll => Some(End::Commit),
            Rule::Interval(interval) => (now >= since + interval).then_some(End::Commit),
            Rule::Connector => {
                cuts.extend(marks.map(|mark| Cut {
                    end: mark.record + 1,
                    how: Some(if mark.is_abort { End::Abort } else { End::Commit }),
                }));
                match cuts.pop_if(|cut| cut.end == records) {
                    Some(last) => last.how,
                    None if cuts.is_empty() => None,
                    None => {
                        self.open_since = Some(now);
                        None
                    }
                }
            }
        };
        cuts.push(Cut { end: records, how: last });
        if last.is_some() {
            self.open_since = None;
        }
        cuts
    }

    /// When the open transaction is to be committed though no more records come.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.rule {
            Rule::Interval(interval) => self.open_since.map(|since| since + interval),
            Rule::Poll | Rule::Connector => None,
        }
    }

    /// How the open transaction ends before the source pauses, stops or is replaced; none where none is open. The
    /// connector's own is not whole then: it comes again, unless the source has nothing more to say.
    pub(super) fn close(&mut self, why: Pause) -> Option<End> {
        self.open_since.take().map(|_| match (self.rule, why) {
            (Rule::Connector, Pause::Interrupted) => End::Undo,
            _ => End::Commit,
        })
    }

    /// The open transaction is given up elsewhere.
    pub(super) fn forget(&mut self) {
        self.open_since = None;
    }

    /// Whether a transaction is open that only the connector may end.
    pub(super) fn is_inside_connectors(&self) -> bool {
        self.rule == Rule::Connector && self.open_since.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs batches through a rule: `3` is a batch of three records, `5c2a3` one of five with marks to commit after record
    /// 2 and to abort after record 3, `+40` forty milliseconds, `stop` and `end` close. Shows the cuts of each.
    fn check(rule: Rule, script: &str, expected: &str) {
        let mut now = Instant::now();
        let mut boundaries = Boundaries::new(rule);
        let mut shown = Vec::new();
        for word in script.split_whitespace() {
            let end = |how: Option<End>| how.map_or("open".to_owned(), |how| format!("{how:?}").to_lowercase());
            match word {
                "stop" => shown.push(end(boundaries.close(Pause::Interrupted)).replace("open", "nothing")),
                "end" => shown.push(end(boundaries.close(Pause::Ended)).replace("open", "nothing")),
                _ if word.starts_with('+') => now += Duration::from_millis(word[1..].parse().unwrap()),
                _ => {
                    let (records, marks) = word.split_at(word.find(['c', 'a']).unwrap_or(word.len()));
                    let mut found = Vec::new();
                    for mark in marks.split_inclusive(|c: char| c.is_ascii_digit()) {
                        found.push(Mark { record: mark[1..].parse().unwrap(), is_abort: mark.starts_with('a') });
                    }
                    let cuts = boundaries.polled(now, records.parse().unwrap(), found.into_iter());
                    let cuts: Vec<_> = cuts.into_iter().map(|cut| format!("{}:{}", cut.end, end(cut.how))).collect();
                    shown.push(cuts.join(" "));
                }
            }
        }
        assert_eq!(shown.join(" | "), expected);
    }

    #[test]
    fn each_poll_is_a_transaction() {
        check(Rule::Poll, "3 1c0 stop", "3:commit | 1:commit | nothing");
    }

    #[test]
    fn an_interval_begins_with_its_first_record() {
        let rule = Rule::Interval(Duration::from_millis(100));
        check(rule, "2 +60 2 +40 2 +500 2 stop", "2:open | 2:open | 2:commit | 2:open | commit");
        check(Rule::Interval(Duration::ZERO), "2 2", "2:commit | 2:commit");
    }

    #[test]
    fn the_connector_commits_and_aborts_where_it_marks() {
        check(Rule::Connector, "3 3c0a1 2c1", "3:open | 1:commit 2:abort 3:open | 2:commit");
        check(Rule::Connector, "2 stop 2 end stop", "2:open | undo | 2:open | commit | nothing");
    }

    /// Decides record by record, as one would who had all the time in the world.
    fn plainly(rule: Rule, open: &mut Option<u64>, now: u64, records: usize, marks: &[Mark]) -> Vec<Cut> {
        let mut cuts = Vec::new();
        for record in 0..records {
            open.get_or_insert(now);
            let is_last = record + 1 == records;
            let mark = marks.iter().find(|mark| mark.record == record);
            let how = match rule {
                Rule::Poll => is_last.then_some(End::Commit),
                Rule::Interval(interval) => {
                    (is_last && now - open.unwrap() >= interval.as_millis() as u64).then_some(End::Commit)
                }
                Rule::Connector => mark.map(|mark| if mark.is_abort { End::Abort } else { End::Commit }),
            };
            if how.is_some() {
                *open = None;
            }
            if how.is_some() || is_last {
                cuts.push(Cut { end: record + 1, how });
            }
        }
        cuts
    }

    #[test]
    fn ten_thousand_batches_are_cut_as_record_by_record() {
        let mut random = fastrand::Rng::with_seed(7);
        for rule in [Rule::Poll, Rule::Interval(Duration::from_millis(50)), Rule::Connector] {
            let (start, mut at, mut open) = (Instant::now(), 0, None);
            let mut boundaries = Boundaries::new(rule);
            for _ in 0..10_000 {
                at += random.u64(0..40);
                let now = start + Duration::from_millis(at);
                if random.u8(0..20) == 0 {
                    assert_eq!(boundaries.close(Pause::Interrupted).is_some(), open.take().is_some());
                }
                let records = random.usize(1..12);
                let marks: Vec<_> = (0..records)
                    .map(|record| (random.u8(0..5) == 0, Mark { record, is_abort: random.bool() }))
                    .filter_map(|(is_there, mark)| is_there.then_some(mark))
                    .collect();
                let cuts = boundaries.polled(now, records, marks.iter().copied());
                assert_eq!(cuts, plainly(rule, &mut open, at, records, &marks), "{rule:?} {marks:?}");
                assert_eq!(boundaries.open_since.is_some(), open.is_some());
                assert_eq!(boundaries.is_inside_connectors(), rule == Rule::Connector && open.is_some());
                if let (Some(due), Some(since)) = (boundaries.due(), open) {
                    assert_eq!(due, start + Duration::from_millis(since + 50));
                }
            }
        }
    }
}
