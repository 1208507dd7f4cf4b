//! SetSchemaMetadata: gives the schema of a key or value another name, another version, or both.

use crate::side::{Side, definition, replace_null_with_default, replaces_nulls};
use std::marker::PhantomData;
use tidegate_sdk::{
    Bitmap, Column, Columns, Config, Definition, Edits, Error, FailureKind, Key, Place, Plan, Problem, Result, Schema,
    Transform, Type, Value,
};

pub(crate) struct SetSchemaMetadata<S> {
    name: Option<String>,
    version: Option<i32>,
    replaces_nulls: bool,
    side: PhantomData<S>,
}

impl<S: Side> Transform for SetSchemaMetadata<S> {
    fn definition() -> Definition {
        definition::<S>("SetSchemaMetadata")
            .doc("Set the schema name, version or both on the record's key or value schema.")
            .key(Key::string("schema.name").high().doc("Schema name to set."))
            .key(Key::int("schema.version").high().doc("Schema version to set."))
            .key(replace_null_with_default())
    }

    fn validate(config: &Config) -> Vec<Problem> {
        match SetSchemaMetadata::<S>::configure(config) {
            Err(Error::InvalidConfig(problem)) => vec![problem],
            _ => Vec::new(),
        }
    }

    fn configure(config: &Config) -> Result<SetSchemaMetadata<S>> {
        let name = config.get("schema.name").map(str::to_owned);
        let version = config.get("schema.version").map(|_| config.int("schema.version")).transpose()?;
        if name.is_none() && version.is_none() {
            return Err(Error::invalid_config("schema.name", "neither a name nor a version of schemas is configured"));
        }
        Ok(SetSchemaMetadata { name, version, replaces_nulls: replaces_nulls(config)?, side: PhantomData })
    }

    fn plan(&self) -> Plan {
        Plan { read: Vec::new(), write: vec![Column::whole(S::PLACE)] }
    }

    fn reshape(&self, _: Place, schema: &Schema) -> Result<Option<Schema>> {
        if schema.of_type != Type::Struct {
            return Err(Error::fatal("Cannot list fields on non-struct type"));
        }
        Ok(Some(Schema {
            name: self.name.clone().or_else(|| schema.name.clone()),
            version: self.version.map(i64::from).or(schema.version),
            ..schema.clone()
        }))
    }

    fn apply(&self, columns: &Columns<'_>, edits: &mut Edits) -> Result<()> {
        let count = columns.len();
        for record in (0..count).filter(|&record| !S::has_schema(columns, record) && !S::is_null(columns, record)) {
            edits.fail(record, FailureKind::Data, "Schema required for [updating schema metadata]");
        }
        // A null with a schema gets the new one too.
        let nulls = Bitmap::of(count, |record| S::is_null(columns, record) && S::has_schema(columns, record));
        edits.set_where(0, &Value::Null, &nulls);
        if self.replaces_nulls {
            edits.defaults(S::PLACE);
        }
        Ok(())
    }
}
