//! Explode: one record becomes several, one for each element of an array or entry of a map.

use crate::field_path::{ours, schema_at_mut};
use crate::side::{Side, own_definition};
use std::marker::PhantomData;
use tidegate_sdk::{
    Column, Columns, Config, Definition, Edits, Error, Key, Place, Plan, Problem, Result, Schema, Transform, Type,
};

/// As many as the host allows.
const RECORDS_MAX: i64 = 65_536;

pub(crate) struct Explode<S> {
    field: String,
    /// Empty: the whole key or value.
    path: Vec<String>,
    index: Option<String>,
    keeps_fields: bool,
    keeps_empty: bool,
    records_max: u32,
    side: PhantomData<S>,
}

impl<S: Side> Transform for Explode<S> {
    fn definition() -> Definition {
        own_definition::<S>("Explode")
            .doc(
                "Makes one record of each element of an array, or of each entry of a map. Offsets stay right: a record counts \
                 as delivered when all that was made of it is.",
            )
            .key(Key::string("field").high().default("").doc(
                "Path to the array or map, such as <code>order.items</code>; backticks hold a name with dots together. Empty \
                 means the whole key or value.",
            ))
            .key(Key::boolean("keep.fields").default(true).doc(
                "Whether the new records have all other fields of theirs, with the element in place of the array. If not, the \
                 element becomes the whole key or value.",
            ))
            .key(Key::string("index.field").low().doc(
                "Name of a field that is added and holds the position of the element, from 0, or the key of the entry. None is \
                 added when this is not set.",
            ))
            .key(Key::string("on.empty").default("drop").one_of(&["drop", "keep"]).doc(
                "What becomes of a record whose array is empty, null or not there: it is dropped, or it stays with null in \
                 place of an element.",
            ))
            .key(Key::int("max.records").low().default(10_000).min(1).max(RECORDS_MAX).doc(
                "How many records may be made of one. A record with more elements fails.",
            ))
    }

    fn validate(config: &Config) -> Vec<Problem> {
        match Explode::<S>::configure(config) {
            Err(Error::InvalidConfig(problem)) => vec![problem],
            _ => Vec::new(),
        }
    }

    fn configure(config: &Config) -> Result<Explode<S>> {
        let field = config.string("field")?;
        let index = config.get("index.field").filter(|name| !name.is_empty());
        let keeps_fields = config.boolean("keep.fields")?;
        if index.is_some() && (!keeps_fields || field.is_empty()) {
            return Err(Error::invalid_config(
                "index.field",
                "needs keep.fields=true and a field beside which it can be",
            ));
        }
        Ok(Explode {
            field: field.to_owned(),
            path: if field.is_empty() { Vec::new() } else { ours("field", field)? },
            index: index.map(str::to_owned),
            keeps_fields,
            keeps_empty: config.string("on.empty")? == "keep",
            records_max: config.int("max.records")? as u32,
            side: PhantomData,
        })
    }

    fn plan(&self) -> Plan {
        let mut write = vec![Column { place: S::PLACE, path: self.path.clone() }];
        write.extend(self.index.iter().map(|name| Column::field(S::PLACE, name)));
        Plan { read: Vec::new(), write }
    }

    fn reshape(&self, _: Place, schema: &Schema) -> Result<Option<Schema>> {
        let mut made = schema.clone();
        let array = match schema_at_mut(&mut made, &self.path)? {
            Some(array) => array,
            None => return Err(Error::fatal(format!("Unknown field: {}", self.field))),
        };
        let (mut element, mut index) = match (array.of_type, &array.items, &array.keys, &array.values) {
            (Type::Array, Some(items), _, _) => (Schema::clone(items), Schema::new(Type::Int32)),
            (Type::Map, _, Some(keys), Some(values)) => (Schema::clone(values), Schema::clone(keys)),
            (other, ..) => {
                return Err(Error::fatal(format!("Only Array or Map objects can be exploded, found: {other:?}")));
            }
        };
        element.optional |= self.keeps_empty;
        index.optional |= self.keeps_empty;
        if !self.keeps_fields {
            return Ok(Some(element));
        }
        *array = element;
        if let Some(name) = &self.index {
            crate::side::add_field(&mut made, name, index)?;
        }
        Ok(Some(made))
    }

    fn apply(&self, _: &Columns<'_>, edits: &mut Edits) -> Result<()> {
        edits.explode(
            0,
            &tidegate_sdk::Explode {
                index: self.index.as_ref().map(|_| 1),
                keeps_empty: self.keeps_empty,
                takes_whole: !self.keeps_fields,
                records_max: self.records_max,
            },
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::side::OnValue;
    use expect_test::{Expect, expect};
    use tidegate_sdk::testing::TransformHarness;

    /// The records that become of some, a line each.
    fn check(config: &[(&str, &str)], records: &str, expected: Expect) {
        let made =
            TransformHarness::configure::<Explode<OnValue>>(config).and_then(|mut step| step.apply_json(records));
        let text = match made {
            Ok(made) => made.replace("},{\"topic\"", "}\n{\"topic\""),
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&text);
    }

    const ORDER: &str = r#"[{"topic":"t","value":{"id":7,"items":[{"sku":"a"},null],"by":{"x":1}}}]"#;

    #[test]
    fn each_element_makes_a_record_with_the_fields_around_it() {
        check(
            &[("field", "items"), ("index.field", "n")],
            ORDER,
            expect![[r#"
            [{"topic":"t","value":{"id":7,"items":{"sku":"a"},"by":{"x":1},"n":0}}
            {"topic":"t","value":{"id":7,"items":null,"by":{"x":1},"n":1}}]"#]],
        );
    }

    #[test]
    fn an_element_may_become_the_whole_value() {
        check(
            &[("field", "items"), ("keep.fields", "false")],
            ORDER,
            expect![[r#"
            [{"topic":"t","value":{"sku":"a"}}
            {"topic":"t"}]"#]],
        );
    }

    #[test]
    fn of_a_map_each_entry_makes_a_record_and_the_index_is_its_key() {
        check(
            &[("field", "by"), ("index.field", "key")],
            ORDER,
            expect![[r#"[{"topic":"t","value":{"id":7,"items":[{"sku":"a"},null],"by":1,"key":"x"}}]"#]],
        );
    }

    #[test]
    fn the_whole_value_may_be_the_array() {
        check(
            &[],
            r#"[{"topic":"t","value":[1,2]}]"#,
            expect![[r#"
            [{"topic":"t","value":1}
            {"topic":"t","value":2}]"#]],
        );
    }

    const EMPTY: &str = r#"[{"topic":"t","value":{"items":[]}},{"topic":"t","value":{"items":null}},{"topic":"t","value":{"id":1}},{"topic":"t","value":null}]"#;

    #[test]
    fn what_is_empty_is_dropped_or_kept() {
        check(&[("field", "items")], EMPTY, expect!["[]"]);
        check(
            &[("field", "items"), ("on.empty", "keep")],
            EMPTY,
            expect![[r#"
            [{"topic":"t","value":{"items":null}}
            {"topic":"t","value":{"items":null}}
            {"topic":"t","value":{"id":1,"items":null}}
            {"topic":"t"}]"#]],
        );
    }

    #[test]
    fn a_record_with_too_many_elements_fails_and_the_key_is_named() {
        check(
            &[("field", "items"), ("max.records", "1")],
            ORDER,
            expect![[r#""items" has 2 elements, and max.records allows 1"#]],
        );
        check(&[("field", "id")], ORDER, expect![[r#"Only Array or Map objects can be exploded, found: Number("7")"#]]);
    }

    #[test]
    fn the_schema_is_that_of_the_element() {
        let schema = r#"{"type":"struct","optional":false,"fields":[
            {"field":"id","type":"int64","optional":false},
            {"field":"o","type":"struct","optional":false,"fields":[
                {"field":"items","type":"array","optional":true,"items":{"type":"string","optional":false}}]}]}"#;
        let shape = |config: &[(&str, &str)]| {
            let mut step = TransformHarness::configure::<Explode<OnValue>>(config).unwrap();
            match step.reshape(Place::Value, schema) {
                Ok(made) => made.unwrap_or_default() + "\n",
                Err(error) => format!("{error}\n"),
            }
        };
        let shapes = [
            shape(&[("field", "o.items"), ("index.field", "n"), ("on.empty", "keep")]),
            shape(&[("field", "o.items"), ("keep.fields", "false")]),
            shape(&[("field", "o.items"), ("index.field", "id")]),
            shape(&[("field", "id")]),
            shape(&[("field", "o.x")]),
        ];
        expect![[r#"
            {"type":"struct","optional":false,"fields":[{"type":"int64","optional":false,"field":"id"},{"type":"struct","optional":false,"fields":[{"type":"string","optional":true,"field":"items"}],"field":"o"},{"type":"int32","optional":true,"field":"n"}]}
            {"type":"string","optional":false}
            Cannot create field because of field name duplication id
            Only Array or Map objects can be exploded, found: Int64
            Unknown field: o.x
        "#]].assert_eq(&shapes.concat());
    }

    #[test]
    fn an_index_needs_a_place_to_be() {
        check(
            &[("index.field", "n")],
            "[]",
            expect![[r#"key "index.field": needs keep.fields=true and a field beside which it can be"#]],
        );
    }
}
