//! Adds a greeting to each value, the way the contract likes it: one edit for the whole batch.
use tidegate_sdk::{Column, Columns, Config, Definition, Edits, Key, Place, Plan, Result, Transform};

struct HelloTransform {
    greeting: String,
}

impl Transform for HelloTransform {
    fn definition() -> Definition {
        Definition::transform("HelloTransform").key(Key::string("greeting").default("hello").doc("What to add."))
    }

    fn configure(config: &Config) -> Result<Self> {
        Ok(HelloTransform { greeting: config.string("greeting")?.to_owned() })
    }

    fn plan(&self) -> Plan {
        Plan { read: vec![], write: vec![Column::field(Place::Value, "greeting")] }
    }

    fn apply(&self, _: &Columns<'_>, edits: &mut Edits) -> Result<()> {
        edits.set(0, &self.greeting.as_str().into());
        Ok(())
    }
}

tidegate_sdk::export! { transforms: [HelloTransform] }

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_sdk::testing::TransformHarness;

    #[test]
    fn every_value_gets_a_greeting() {
        let mut hello = TransformHarness::configure::<HelloTransform>(&[("greeting", "hi")]).unwrap();
        let records = hello.apply_json(r#"[{"topic":"t","value":{"id":1}},{"topic":"t","value":null}]"#).unwrap();
        assert_eq!(records, r#"[{"topic":"t","value":{"id":1,"greeting":"hi"}},{"topic":"t"}]"#);
    }
}
