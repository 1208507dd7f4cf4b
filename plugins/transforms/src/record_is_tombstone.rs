//! RecordIsTombstone: whether a record's value is null.

use tidegate_sdk::{Bitmap, Column, Columns, Config, Definition, Predicate, Result};

pub(crate) struct RecordIsTombstone;

impl Predicate for RecordIsTombstone {
    fn definition() -> Definition {
        Definition::predicate("RecordIsTombstone")
            .alias("org.apache.kafka.connect.transforms.predicates.RecordIsTombstone")
            .doc("A predicate which is true for records which are tombstones (i.e. have null value).")
    }

    fn configure(_: &Config) -> Result<RecordIsTombstone> {
        Ok(RecordIsTombstone)
    }

    /// Nothing: every batch of columns says whose value is null.
    fn reads(&self) -> Vec<Column> {
        Vec::new()
    }

    fn test(&self, columns: &Columns<'_>) -> Result<Bitmap> {
        Ok(Bitmap::of(columns.len(), |record| columns.value_is_null(record)))
    }
}
