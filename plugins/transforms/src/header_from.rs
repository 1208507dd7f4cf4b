//! HeaderFrom: moves or copies fields of the key or value to headers.

use crate::side::{
    Side, definition, names, replace_null_with_default, replaces_nulls, require_struct, struct_to_change,
};
use std::marker::PhantomData;
use tidegate_sdk::{
    Bitmap, Column, Columns, Config, Definition, Edits, Error, FailureKind, Key, Kind, Place, Plan, Problem, Result,
    Schema, Transform, Value,
};

pub(crate) struct HeaderFrom<S> {
    /// Each field with the name of its header.
    pairs: Vec<(String, String)>,
    moves: bool,
    replaces_nulls: bool,
    side: PhantomData<S>,
}

impl<S: Side> Transform for HeaderFrom<S> {
    fn definition() -> Definition {
        definition::<S>("HeaderFrom")
            .doc(
                "Moves or copies fields in the key/value of a record into that record's headers. Corresponding elements of \
                 <code>fields</code> and <code>headers</code> together identify a field and the header it should be moved or \
                 copied to.",
            )
            .key(
                Key::list("fields")
                    .high()
                    .required()
                    .non_empty()
                    .doc("Field names in the record whose values are to be copied or moved to headers."),
            )
            .key(Key::list("headers").high().required().non_empty().doc(
                "Header names, in the same order as the field names listed in the fields configuration property.",
            ))
            .key(Key::string("operation").high().required().one_of(&["move", "copy"]).doc(
                "Either <code>move</code> if the fields are to be moved to the headers (removed from the key/value), or \
                 <code>copy</code> if the fields are to be copied to the headers (retained in the key/value).",
            ))
            .key(replace_null_with_default())
    }

    fn validate(config: &Config) -> Vec<Problem> {
        match HeaderFrom::<S>::configure(config) {
            Err(Error::InvalidConfig(problem)) => vec![problem],
            _ => Vec::new(),
        }
    }

    fn configure(config: &Config) -> Result<HeaderFrom<S>> {
        let (fields, headers) = (names(config, "fields")?, names(config, "headers")?);
        if fields.len() != headers.len() {
            return Err(Error::invalid_config("headers", "must have as many elements as \"fields\""));
        }
        let moves = match config.string("operation")? {
            "move" => true,
            "copy" => false,
            other => return Err(Error::invalid_config("operation", format!("\"{other}\" is neither move nor copy"))),
        };
        Ok(HeaderFrom {
            pairs: fields.into_iter().zip(headers).collect(),
            moves,
            replaces_nulls: replaces_nulls(config)?,
            side: PhantomData,
        })
    }

    fn plan(&self) -> Plan {
        let fields = || self.pairs.iter().map(|(field, _)| Column::field(S::PLACE, field));
        let headers = self.pairs.iter().map(|(_, header)| Column::field(Place::Header, header));
        Plan { read: fields().collect(), write: fields().chain(headers).collect() }
    }

    fn reshape(&self, _: Place, schema: &Schema) -> Result<Option<Schema>> {
        let purpose = self.purpose();
        if !self.moves {
            return require_struct(schema, &purpose).map(|()| None);
        }
        let mut changed = struct_to_change(schema, &purpose)?;
        changed.fields.retain(|field| !self.pairs.iter().any(|(moved, _)| *moved == field.name));
        Ok(Some(changed))
    }

    fn apply(&self, columns: &Columns<'_>, edits: &mut Edits) -> Result<()> {
        let count = columns.len();
        for record in 0..count {
            let has_schema = S::has_schema(columns, record);
            if S::is_null(columns, record) {
                edits.fail(record, FailureKind::Data, &S::null_message(columns, record, &self.purpose()));
                continue;
            }
            for (column, (field, _)) in self.pairs.iter().enumerate() {
                if has_schema && columns.kind(column, record)? == Kind::Missing {
                    let message = format!("the field \"{field}\" is not in the schema");
                    edits.fail(record, FailureKind::NullPointer, &message);
                    break;
                }
            }
        }
        edits.take_defaults(self.replaces_nulls);
        for column in 0..self.pairs.len() {
            let mut missing = Bitmap::new(count, false);
            for record in 0..count {
                missing.set(record, columns.kind(column, record)? == Kind::Missing);
            }
            // What is copied keeps its schema; what is not there is a header all the same.
            edits.copy(column, self.pairs.len() + column);
            edits.set_where(self.pairs.len() + column, &Value::Null, &missing);
        }
        if !self.moves {
            // A name for itself changes nothing, but what has no fields fails.
            edits.rename(0, &self.pairs[0].0);
        }
        if self.moves {
            // The same field may go to two headers, so none goes away before all are copied.
            (0..self.pairs.len()).for_each(|column| edits.remove(column));
            if self.replaces_nulls {
                edits.defaults(S::PLACE);
            }
        }
        Ok(())
    }
}

impl<S> HeaderFrom<S> {
    fn purpose(&self) -> String {
        format!("header {}", if self.moves { "move" } else { "copy" })
    }
}
