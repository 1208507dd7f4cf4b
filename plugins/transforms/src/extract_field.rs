//! ExtractField: makes one field the whole key or value.

use crate::field_path::{path, schema_at, syntax_version};
use crate::side::{Side, definition, replace_null_with_default, replaces_nulls, require_struct};
use std::marker::PhantomData;
use tidegate_sdk::{
    Column, Columns, Config, Definition, Edits, Error, FailureKind, Key, Kind, Place, Plan, Problem, Result, Schema,
    Transform,
};

pub(crate) struct ExtractField<S> {
    /// As the operator wrote it.
    field: String,
    path: Vec<String>,
    replaces_nulls: bool,
    side: PhantomData<S>,
}

impl<S: Side> Transform for ExtractField<S> {
    fn definition() -> Definition {
        definition::<S>("ExtractField")
            .doc(
                "Extract the specified field from a Struct when schema present, or a Map in the case of schemaless data. Any \
                 null values are passed through unmodified.",
            )
            .key(Key::string("field").required().doc("Field name to extract."))
            .key(syntax_version())
            .key(replace_null_with_default())
    }

    fn validate(config: &Config) -> Vec<Problem> {
        match ExtractField::<S>::configure(config) {
            Err(Error::InvalidConfig(problem)) => vec![problem],
            _ => Vec::new(),
        }
    }

    fn configure(config: &Config) -> Result<ExtractField<S>> {
        let field = config.string("field")?;
        Ok(ExtractField {
            path: path(config, "field", field)?,
            field: field.to_owned(),
            replaces_nulls: replaces_nulls(config)?,
            side: PhantomData,
        })
    }

    fn plan(&self) -> Plan {
        let column = Column { place: S::PLACE, path: self.path.clone() };
        Plan { read: vec![column.clone()], write: vec![column, Column::whole(S::PLACE)] }
    }

    fn reshape(&self, _: Place, schema: &Schema) -> Result<Option<Schema>> {
        require_struct(schema, "field extraction")?;
        // Where there is no such field, `apply` says so of each record.
        Ok(schema_at(schema, &self.path)?.cloned())
    }

    fn apply(&self, columns: &Columns<'_>, edits: &mut Edits) -> Result<()> {
        for record in 0..columns.len() {
            if S::has_schema(columns, record) && columns.kind(0, record)? == Kind::Missing {
                edits.fail(record, FailureKind::IllegalArgument, &format!("Unknown field: {}", self.field));
            }
        }
        edits.take_defaults(self.replaces_nulls);
        edits.extract(0);
        Ok(())
    }
}
