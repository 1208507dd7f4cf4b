//! HoistField: wraps a key or value in a struct or map with one field.

use crate::side::{Side, definition};
use std::marker::PhantomData;
use tidegate_sdk::{
    Column, Columns, Config, Definition, Edits, Field, Key, Place, Plan, Result, Schema, Transform, Type,
};

pub(crate) struct HoistField<S> {
    field: String,
    side: PhantomData<S>,
}

impl<S: Side> Transform for HoistField<S> {
    fn definition() -> Definition {
        definition::<S>("HoistField")
            .doc(
                "Wrap data using the specified field name in a Struct when schema present, or a Map in the case of schemaless \
                 data.",
            )
            .key(
                Key::string("field")
                    .required()
                    .doc("Field name for the single field that will be created in the resulting Struct or Map."),
            )
    }

    fn configure(config: &Config) -> Result<HoistField<S>> {
        Ok(HoistField { field: config.string("field")?.to_owned(), side: PhantomData })
    }

    fn plan(&self) -> Plan {
        Plan { read: Vec::new(), write: vec![Column::whole(S::PLACE)] }
    }

    fn reshape(&self, _: Place, schema: &Schema) -> Result<Option<Schema>> {
        let fields = vec![Field::new(&self.field, schema.clone())];
        Ok(Some(Schema { fields, ..Schema::new(Type::Struct) }))
    }

    fn apply(&self, _: &Columns<'_>, edits: &mut Edits) -> Result<()> {
        edits.hoist(S::PLACE, &self.field);
        Ok(())
    }
}
