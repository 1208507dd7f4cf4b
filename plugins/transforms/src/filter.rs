//! Filter: drops every record it is applied to, so it is used with a predicate.

use tidegate_sdk::{Columns, Config, Definition, Edits, Plan, Result, Transform};

pub(crate) struct Filter;

impl Transform for Filter {
    fn definition() -> Definition {
        Definition::transform("Filter")
            .alias("org.apache.kafka.connect.transforms.Filter")
            .doc("Drops all records, filtering them from subsequent transformations in the chain.")
    }

    fn configure(_: &Config) -> Result<Filter> {
        Ok(Filter)
    }

    fn plan(&self) -> Plan {
        Plan::default()
    }

    fn apply(&self, _: &Columns<'_>, edits: &mut Edits) -> Result<()> {
        edits.drop_all();
        Ok(())
    }
}
