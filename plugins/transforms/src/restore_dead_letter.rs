//! RestoreDeadLetter: makes a dead letter the record that it was, so that a sink can be given it again.
//!
//! Ours, not Connect's: `tidegate dlq replay --through` puts it before the transforms of a connector.

use tidegate_sdk::{
    Bitmap, Cell, Column, Columns, Config, Definition, Edits, FailureKind, Key, Place, Plan, Result, Transform,
};

/// What the headers that Connect adds to a dead letter begin with.
const PREFIX: &str = "__connect.errors.";
/// Their names behind that; the first two are read.
const HEADERS: &[&str] = &[
    "topic",
    "connector.name",
    "partition",
    "offset",
    "source.partition",
    "source.offset",
    "task.id",
    "stage",
    "class.name",
    "exception.class.name",
    "exception.message",
    "exception.stacktrace",
];

pub(crate) struct RestoreDeadLetter {
    connector: Option<String>,
}

impl Transform for RestoreDeadLetter {
    fn definition() -> Definition {
        Definition::transform("RestoreDeadLetter")
            .doc(
                "Gives a dead letter the topic that it was read from, as its header __connect.errors.topic says, and \
                 removes the headers that begin with __connect.errors. from it.",
            )
            .key(Key::string("connector").doc("Drops the dead letters of other connectors; not set: takes all."))
    }

    fn configure(config: &Config) -> Result<RestoreDeadLetter> {
        Ok(RestoreDeadLetter { connector: config.get("connector").map(str::to_owned) })
    }

    fn plan(&self) -> Plan {
        let header = |name: &&str| Column::field(Place::Header, &format!("{PREFIX}{name}"));
        let mut write = vec![Column::whole(Place::Topic)];
        write.extend(HEADERS.iter().map(header));
        Plan { read: HEADERS.iter().take(2).map(header).collect(), write }
    }

    fn apply(&self, columns: &Columns<'_>, edits: &mut Edits) -> Result<()> {
        let mut topics = Vec::with_capacity(columns.len());
        let mut keep = Bitmap::new(columns.len(), true);
        for record in 0..columns.len() {
            let is_others = match (&self.connector, text(columns.cell(1, record)?)) {
                (Some(wanted), Some(connector)) => *wanted != connector,
                _ => false,
            };
            keep.set(record, !is_others);
            let topic = text(columns.cell(0, record)?);
            if topic.is_none() && !is_others {
                let message =
                    "the header __connect.errors.topic is not there: the dead letter does not say what it was";
                edits.fail(record, FailureKind::Data, message);
            }
            topics.push(topic);
        }
        if !keep.all() {
            edits.keep(&keep);
        }
        (1..=HEADERS.len()).for_each(|target| edits.remove(target));
        let cells = topics.iter().map(|topic| Ok(topic.as_deref().map_or(Cell::Missing, Cell::String)));
        edits.set_cells(0, cells)
    }
}

/// A header as the text that it was: header converters take what looks like a number for one.
fn text(cell: Cell<'_>) -> Option<String> {
    match cell {
        Cell::String(text) | Cell::Number(text) => Some(text.to_owned()),
        Cell::Bytes(bytes) => std::str::from_utf8(bytes).ok().map(str::to_owned),
        Cell::Int8(number) => Some(number.to_string()),
        Cell::Int16(number) => Some(number.to_string()),
        Cell::Int32(number) => Some(number.to_string()),
        Cell::Int64(number) => Some(number.to_string()),
        Cell::Boolean(flag) => Some(flag.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use tidegate_sdk::testing::TransformHarness;

    #[test]
    fn a_dead_letter_gets_its_topic_back_and_loses_what_was_said_of_it() {
        let mut restore = TransformHarness::configure::<RestoreDeadLetter>(&[("connector", "orders")]).unwrap();
        let letters = r#"[
            {"topic":"dead","value":"a","headers":[["trace","7"],["__connect.errors.topic","orders-eu"],
                ["__connect.errors.connector.name","orders"],["__connect.errors.exception.message","no JSON"]]},
            {"topic":"dead","value":"b","headers":[["__connect.errors.topic","t"],
                ["__connect.errors.connector.name","others"]]},
            {"topic":"dead","value":"c","headers":[["__connect.errors.topic",2024]]}
        ]"#;
        let restored = restore.apply_json(letters).unwrap();
        expect![[r#"[{"topic":"orders-eu","value":"a","headers":[["trace","7"]]},{"topic":"2024","value":"c"}]"#]]
            .assert_eq(&restored);
    }

    #[test]
    fn a_dead_letter_that_does_not_say_what_it_was_fails() {
        let mut restore = TransformHarness::configure::<RestoreDeadLetter>(&[]).unwrap();
        let answer = format!("{:?}", restore.apply_json(r#"[{"topic":"dead","value":"a"}]"#));
        assert!(answer.contains("__connect.errors.topic is not there"), "{answer}");
    }
}
