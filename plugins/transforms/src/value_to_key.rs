//! ValueToKey: makes the key of a record out of fields of its value.

use crate::field_path::{path, schema_at, syntax_version};
use crate::side::{OnValue, Side, replace_null_with_default, replaces_nulls, require_struct, set_of_names};
use tidegate_sdk::{
    Column, Columns, Config, Definition, Edits, Error, FailureKind, Key, Place, Plan, Problem, Result, Schema,
    Transform,
};

const PURPOSE: &str = "copying fields from value to key";

pub(crate) struct ValueToKey {
    /// As the operator wrote them: the names of the key's fields.
    fields: Vec<String>,
    paths: Vec<Vec<String>>,
    replaces_nulls: bool,
}

impl Transform for ValueToKey {
    fn definition() -> Definition {
        Definition::transform("ValueToKey")
            .alias("org.apache.kafka.connect.transforms.ValueToKey")
            .doc("Replace the record key with a new key formed from a subset of fields in the record value.")
            .key(
                Key::list("fields")
                    .high()
                    .required()
                    .non_empty()
                    .doc("Field names on the record value to extract as the record key."),
            )
            .key(syntax_version())
            .key(replace_null_with_default())
    }

    fn validate(config: &Config) -> Vec<Problem> {
        match ValueToKey::configure(config) {
            Err(Error::InvalidConfig(problem)) => vec![problem],
            _ => Vec::new(),
        }
    }

    fn configure(config: &Config) -> Result<ValueToKey> {
        let fields = set_of_names(config, "fields")?;
        let paths = fields.iter().map(|field| path(config, "fields", field)).collect::<Result<_>>()?;
        Ok(ValueToKey { fields, paths, replaces_nulls: replaces_nulls(config)? })
    }

    fn plan(&self) -> Plan {
        let fields = self.paths.iter().map(|path| Column { place: Place::Value, path: path.clone() });
        Plan { read: Vec::new(), write: fields.chain([Column::whole(Place::Key)]).collect() }
    }

    fn reshape(&self, place: Place, schema: &Schema) -> Result<Option<Schema>> {
        if place == Place::Value {
            require_struct(schema, PURPOSE)?;
            for (field, path) in self.fields.iter().zip(&self.paths) {
                if schema_at(schema, path)?.is_none() {
                    return Err(Error::fatal(format!("Field does not exist: {field}")));
                }
            }
        }
        Ok(None)
    }

    fn apply(&self, columns: &Columns<'_>, edits: &mut Edits) -> Result<()> {
        for record in (0..columns.len()).filter(|&record| columns.value_is_null(record)) {
            edits.fail(record, FailureKind::Data, &OnValue::null_message(columns, record, PURPOSE));
        }
        edits.take_defaults(self.replaces_nulls);
        edits.collect(Place::Key, self.fields.iter().enumerate().map(|(target, name)| (target, name.as_str())));
        Ok(())
    }
}
