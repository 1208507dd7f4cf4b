//! Flatten: joins the names of nested fields, so that none is nested any more.

use crate::side::{Side, definition, struct_to_change};
use std::marker::PhantomData;
use tidegate_sdk::serde_json::Value as Json;
use tidegate_sdk::{
    Column, Columns, Config, Definition, Edits, Error, Key, Place, Plan, Result, Schema, Transform, Type,
};

pub(crate) struct Flatten<S> {
    delimiter: String,
    side: PhantomData<S>,
}

impl<S: Side> Transform for Flatten<S> {
    fn definition() -> Definition {
        definition::<S>("Flatten")
            .doc(
                "Flatten a nested data structure, generating names for each field by concatenating the field names at each \
                 level with a configurable delimiter character. Applies to Struct when schema present, or a Map in the case of \
                 schemaless data. Array fields and their contents are not modified. The default delimiter is '.'.",
            )
            .key(Key::string("delimiter").default(".").doc(
                "Delimiter to insert between field names from the input record when generating field names for the output \
                 record",
            ))
    }

    fn configure(config: &Config) -> Result<Flatten<S>> {
        Ok(Flatten { delimiter: config.string("delimiter")?.to_owned(), side: PhantomData })
    }

    fn plan(&self) -> Plan {
        Plan { read: Vec::new(), write: vec![Column::whole(S::PLACE)] }
    }

    fn reshape(&self, _: Place, schema: &Schema) -> Result<Option<Schema>> {
        let mut flat = struct_to_change(schema, "flattening")?;
        flat.fields.clear();
        self.add_fields(schema, "", schema.optional, schema.default.as_ref(), &mut flat)?;
        Ok(Some(flat))
    }

    fn apply(&self, _: &Columns<'_>, edits: &mut Edits) -> Result<()> {
        edits.take_defaults(true);
        edits.flatten(S::PLACE, &self.delimiter);
        Ok(())
    }
}

impl<S> Flatten<S> {
    /// Adds the fields of a struct to the flat one. They may be null where one of the structs around them may, and have
    /// the default that the nearest of those gives them.
    fn add_fields(
        &self,
        schema: &Schema,
        prefix: &str,
        optional: bool,
        default: Option<&Json>,
        flat: &mut Schema,
    ) -> Result<()> {
        for field in &schema.fields {
            let name = match prefix {
                "" => field.name.clone(),
                prefix => format!("{prefix}{}{}", self.delimiter, field.name),
            };
            let optional = optional || field.schema.optional;
            let inherited = default.and_then(|default| default.get(&field.name)).filter(|default| !default.is_null());
            let default = field.schema.default.as_ref().or(inherited);
            match field.schema.of_type {
                Type::Struct => self.add_fields(&field.schema, &name, optional, default, flat)?,
                Type::Map => {
                    return Err(Error::fatal(format!(
                        "Flatten transformation does not support MAP for record with schemas (for field {name})."
                    )));
                }
                _ => {
                    let schema = Schema { optional, default: default.cloned(), ..field.schema.clone() };
                    crate::side::add_field(flat, &name, schema)?;
                }
            }
        }
        Ok(())
    }
}
