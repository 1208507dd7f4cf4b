//! InsertHeader: adds a header with a literal value.

use crate::java_values::{Parsed, parse_string};
use tidegate_sdk::{Column, Columns, Config, Definition, Edits, Key, Place, Plan, Result, Transform, Value};

pub(crate) struct InsertHeader {
    header: String,
    /// None: null, which has no schema.
    value: Option<Parsed>,
}

impl Transform for InsertHeader {
    fn definition() -> Definition {
        Definition::transform("InsertHeader")
            .alias("org.apache.kafka.connect.transforms.InsertHeader")
            .doc("Add a header to each record.")
            .key(Key::string("header").high().required().doc("The name of the header."))
            .key(
                Key::string("value.literal")
                    .high()
                    .required()
                    .doc("The literal value that is to be set as the header value on all records."),
            )
    }

    fn configure(config: &Config) -> Result<InsertHeader> {
        let value = parse_string(config.string("value.literal")?);
        Ok(InsertHeader { header: config.string("header")?.to_owned(), value })
    }

    fn plan(&self) -> Plan {
        Plan { read: Vec::new(), write: vec![Column::field(Place::Header, &self.header)] }
    }

    fn apply(&self, _: &Columns<'_>, edits: &mut Edits) -> Result<()> {
        match &self.value {
            Some(Parsed { schema, value }) => edits.set_header(0, value, schema),
            None => edits.set(0, &Value::Null),
        }
        Ok(())
    }
}
