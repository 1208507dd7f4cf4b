//! Adds a field `greeting` made from the field that `field` names: the same transform as in every other language.
use tidegate_sdk::{
    Cell, Column, Columns, Config, Definition, Edits, Error, Field, Key, Place, Plan, Problem, Result, Schema,
    Transform, Type,
};

struct HelloTransform {
    field: String,
}

impl Transform for HelloTransform {
    fn definition() -> Definition {
        Definition::transform("HelloTransform")
            .key(Key::string("field").default("name").high().doc("Field of the value that holds the name."))
    }

    fn validate(config: &Config) -> Vec<Problem> {
        let is_empty = config.get("field") == Some("");
        is_empty.then(|| Problem::new("field", "is empty")).into_iter().collect()
    }

    fn configure(config: &Config) -> Result<Self> {
        Ok(HelloTransform { field: config.string("field")?.to_owned() })
    }

    fn plan(&self) -> Plan {
        let field = |name: &str| vec![Column::field(Place::Value, name)];
        Plan { read: field(&self.field), write: field("greeting") }
    }

    fn reshape(&self, _: Place, schema: &Schema) -> Result<Option<Schema>> {
        let mut schema = schema.clone();
        if schema.of_type != Type::Struct {
            return Err(Error::fatal("only a struct can hold a greeting"));
        }
        schema.fields.push(Field::new("greeting", Schema::new(Type::String).with_optional(true)));
        Ok(Some(schema))
    }

    fn apply(&self, columns: &Columns<'_>, edits: &mut Edits) -> Result<()> {
        let mut greetings = Vec::with_capacity(columns.len());
        for record in 0..columns.len() {
            greetings.push(match columns.cell(0, record)? {
                Cell::String(name) => Some(format!("hello, {name}").as_str().into()),
                _ => None,
            });
        }
        edits.set_values(0, &greetings);
        Ok(())
    }
}

tidegate_sdk::export! { transforms: [HelloTransform] }

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_sdk::testing::TransformHarness;

    #[test]
    fn whoever_has_a_name_is_greeted() {
        let mut hello = TransformHarness::configure::<HelloTransform>(&[("field", "who")]).unwrap();
        let records =
            hello.apply_json(r#"[{"topic":"t","value":{"who":"Ada"}},{"topic":"t","value":{"id":1}}]"#).unwrap();
        assert_eq!(
            records,
            r#"[{"topic":"t","value":{"who":"Ada","greeting":"hello, Ada"}},{"topic":"t","value":{"id":1}}]"#
        );
    }
}
