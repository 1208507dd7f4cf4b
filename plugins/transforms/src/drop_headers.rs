//! DropHeaders: removes all headers of some names.

use crate::side::set_of_names;
use tidegate_sdk::{Column, Columns, Config, Definition, Edits, Key, Place, Plan, Problem, Result, Transform};

pub(crate) struct DropHeaders {
    headers: Vec<String>,
}

impl Transform for DropHeaders {
    fn definition() -> Definition {
        Definition::transform("DropHeaders")
            .alias("org.apache.kafka.connect.transforms.DropHeaders")
            .doc("Removes one or more headers from each record.")
            .key(Key::list("headers").high().required().non_empty().doc("The name of the headers to be removed."))
    }

    fn validate(config: &Config) -> Vec<Problem> {
        set_of_names(config, "headers").err().into_iter().collect()
    }

    fn configure(config: &Config) -> Result<DropHeaders> {
        Ok(DropHeaders { headers: set_of_names(config, "headers")? })
    }

    fn plan(&self) -> Plan {
        let columns = self.headers.iter().map(|header| Column::field(Place::Header, header));
        Plan { read: Vec::new(), write: columns.collect() }
    }

    fn apply(&self, _: &Columns<'_>, edits: &mut Edits) -> Result<()> {
        (0..self.headers.len()).for_each(|target| edits.remove(target));
        Ok(())
    }
}
