//! HasHeaderKey: whether a record has a header of a name.

use tidegate_sdk::{Bitmap, Column, Columns, Config, Definition, Key, Kind, Place, Predicate, Result};

pub(crate) struct HasHeaderKey {
    name: String,
}

impl Predicate for HasHeaderKey {
    fn definition() -> Definition {
        Definition::predicate("HasHeaderKey")
            .alias("org.apache.kafka.connect.transforms.predicates.HasHeaderKey")
            .doc("A predicate which is true for records with at least one header with the configured name.")
            .key(Key::string("name").required().non_empty().doc("The header name."))
    }

    fn configure(config: &Config) -> Result<HasHeaderKey> {
        Ok(HasHeaderKey { name: config.string("name")?.to_owned() })
    }

    fn reads(&self) -> Vec<Column> {
        vec![Column::field(Place::Header, &self.name)]
    }

    fn test(&self, columns: &Columns<'_>) -> Result<Bitmap> {
        let mut there = Bitmap::new(columns.len(), false);
        for record in 0..columns.len() {
            there.set(record, columns.kind(0, record)? != Kind::Missing);
        }
        Ok(there)
    }
}
