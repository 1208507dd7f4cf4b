//! The transform and predicate kinds.

use crate::{Bitmap, Columns, Config, Definition, Edits, Problem, Result, Schema};

/// A single message transform. It names the columns it needs and answers edits; it never sees the rest of a record.
pub trait Transform: Sized + 'static {
    /// Name, keys and documentation. Must always be the same.
    fn definition() -> Definition;

    /// Everything wrong with a configuration that the keys do not already say.
    fn validate(config: &Config) -> Vec<Problem> {
        let _ = config;
        Vec::new()
    }

    /// Takes the configuration, once per instance. Any error fails the task.
    fn configure(config: &Config) -> Result<Self>;

    /// What it reads and writes. Asked once, after [`configure`](Transform::configure).
    fn plan(&self) -> Plan;

    /// What the edits do to a schema; none when it stays. Asked once per schema of a key or value that the plan writes,
    /// never for records without one. An error applies to every record of the schema.
    fn reshape(&self, place: Place, schema: &Schema) -> Result<Option<Schema>> {
        let _ = (place, schema);
        Ok(None)
    }

    /// Whether values of a place have no schema afterwards. The edits then set the whole of it.
    fn drops_schema(&self, place: Place) -> bool {
        let _ = place;
        false
    }

    /// Looks at the read columns and answers edits. Must answer the same for the same columns.
    fn apply(&self, columns: &Columns<'_>, edits: &mut Edits) -> Result<()>;
}

/// A condition on records that decides whether a transform applies.
pub trait Predicate: Sized + 'static {
    /// Name, keys and documentation. Must always be the same.
    fn definition() -> Definition;

    /// Everything wrong with a configuration that the keys do not already say.
    fn validate(config: &Config) -> Vec<Problem> {
        let _ = config;
        Vec::new()
    }

    /// Takes the configuration, once per instance. Any error fails the task.
    fn configure(config: &Config) -> Result<Self>;

    /// The columns it reads.
    fn reads(&self) -> Vec<Column>;

    /// One bit per record: set where the condition holds.
    fn test(&self, columns: &Columns<'_>) -> Result<Bitmap>;
}

/// Which part of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// The value or a field of it.
    Value,
    /// The key or a field of it.
    Key,
    /// A header.
    Header,
    /// The name of the topic.
    Topic,
    /// The partition.
    Partition,
    /// The offset.
    Offset,
    /// The timestamp.
    Timestamp,
}

/// One thing of each record that a transform or predicate reads or writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Which part of the record.
    pub place: Place,
    /// The way in, one field name per element; empty means the whole key or value. Of a header its name.
    pub path: Vec<String>,
}

impl Column {
    /// The whole of a place.
    pub fn whole(place: Place) -> Column {
        Column { place, path: Vec::new() }
    }

    /// A top-level field of a key or value, or a header.
    pub fn field(place: Place, name: &str) -> Column {
        Column { place, path: vec![name.to_owned()] }
    }
}

/// What a transform reads and writes. Positions in these lists are the numbers that [`Columns`] and [`Edits`] speak of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Columns it looks at.
    pub read: Vec<Column>,
    /// Columns its edits name.
    pub write: Vec<Column>,
}
