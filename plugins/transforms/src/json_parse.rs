//! JsonParse: makes a text that holds JSON the structure that it says.

use crate::field_path::ours;
use crate::json_text;
use crate::side::{Side, own_definition};
use std::marker::PhantomData;
use tidegate_sdk::{
    Cell, Column, Columns, Config, Definition, Edits, Error, FailureKind, Key, Place, Plan, Problem, Result, Schema,
    Transform, Type, Value,
};

pub(crate) struct JsonParse<S> {
    /// Empty: the whole key or value.
    path: Vec<String>,
    bytes_max: usize,
    /// Bad JSON becomes null.
    forgives: bool,
    side: PhantomData<S>,
}

impl<S: Side> Transform for JsonParse<S> {
    fn definition() -> Definition {
        own_definition::<S>("JsonParse")
            .doc(
                "Reads a text, or bytes of UTF-8, as JSON and puts the structure in its place, without a schema. A field can be \
                 read where the record has no schema.",
            )
            .key(field())
            .key(Key::string("on.error").default("fail").one_of(&["fail", "null"]).doc(
                "What becomes of a text that is no JSON: its record fails, or it becomes null.",
            ))
            .key(Key::int("max.bytes").low().default(8 << 20).min(1).max(32 << 20).doc(
                "How long a text may be. Longer ones are errors, and so are more than 60 levels of nesting.",
            ))
    }

    fn validate(config: &Config) -> Vec<Problem> {
        match JsonParse::<S>::configure(config) {
            Err(Error::InvalidConfig(problem)) => vec![problem],
            _ => Vec::new(),
        }
    }

    fn configure(config: &Config) -> Result<JsonParse<S>> {
        Ok(JsonParse {
            path: path(config)?,
            bytes_max: config.int("max.bytes")?.try_into().unwrap_or(0),
            forgives: config.string("on.error")? == "null",
            side: PhantomData,
        })
    }

    fn plan(&self) -> Plan {
        let column = Column { place: S::PLACE, path: self.path.clone() };
        Plan { read: vec![column.clone()], write: vec![column] }
    }

    fn reshape(&self, _: Place, schema: &Schema) -> Result<Option<Schema>> {
        match (self.path.is_empty(), schema.of_type) {
            (true, Type::String | Type::Bytes) => Ok(None),
            (true, other) => Err(Error::fatal(format!("only a String or Bytes can hold JSON, and this is {other:?}"))),
            (false, _) => Err(Error::fatal(
                "a field can be read as JSON only in a record without a schema, as what it holds has none".to_owned(),
            )),
        }
    }

    fn drops_schema(&self, _: Place) -> bool {
        true
    }

    fn apply(&self, columns: &Columns<'_>, edits: &mut Edits) -> Result<()> {
        let mut values = Vec::with_capacity(columns.len());
        for record in 0..columns.len() {
            let bytes = match columns.cell(0, record)? {
                Cell::String(text) => text.as_bytes(),
                Cell::Bytes(bytes) => bytes,
                Cell::Missing | Cell::Null => {
                    values.push(None);
                    continue;
                }
                _ => {
                    edits.fail(record, FailureKind::Data, "only a text or bytes can hold JSON");
                    values.push(None);
                    continue;
                }
            };
            let parsed = match std::str::from_utf8(bytes) {
                _ if bytes.len() > self.bytes_max => {
                    Err(format!("a text of {} bytes, and max.bytes allows {}", bytes.len(), self.bytes_max))
                }
                Ok(text) => json_text::parse(text),
                Err(error) => Err(format!("not UTF-8 at byte {}", error.valid_up_to())),
            };
            values.push(match parsed {
                Ok(value) => Some(value),
                Err(_) if self.forgives => Some(Value::Null),
                Err(message) => {
                    edits.fail(record, FailureKind::Data, &message);
                    None
                }
            });
        }
        edits.set_values(0, &values);
        Ok(())
    }
}

/// The key that says what is read or written.
pub(crate) fn field() -> Key {
    Key::string("field").high().default("").doc(
        "Path to the field, such as <code>order.payload</code>; backticks hold a name with dots together. Empty means the whole \
         key or value.",
    )
}

pub(crate) fn path(config: &Config) -> Result<Vec<String>> {
    match config.string("field")? {
        "" => Ok(Vec::new()),
        field => ours("field", field),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::side::OnValue;
    use expect_test::{Expect, expect};
    use tidegate_sdk::testing::TransformHarness;

    fn check(config: &[(&str, &str)], records: &str, expected: Expect) {
        let made =
            TransformHarness::configure::<JsonParse<OnValue>>(config).and_then(|mut step| step.apply_json(records));
        expected.assert_eq(&made.unwrap_or_else(|error| error.to_string()));
    }

    #[test]
    fn a_text_with_a_schema_becomes_a_structure_without_one() {
        let schema = r#"{"type":"string","optional":true}"#;
        check(
            &[],
            &format!(
                r#"[{{"topic":"t","valueSchema":{schema},"value":"{{\"a\":[1.10,null]}}"}},{{"topic":"t","valueSchema":{schema}}}]"#
            ),
            expect![[r#"[{"topic":"t","value":{"a":[1.1,null]}},{"topic":"t","valueSchema":24}]"#]],
        );
    }

    #[test]
    fn a_field_is_read_in_its_place() {
        check(
            &[("field", "a.b")],
            r#"[{"topic":"t","value":{"a":{"b":"[true]","c":1}}},{"topic":"t","value":{}}]"#,
            expect![[r#"[{"topic":"t","value":{"a":{"b":[true],"c":1}}},{"topic":"t","value":{}}]"#]],
        );
    }

    #[test]
    fn what_is_no_json_fails_its_record_or_becomes_null() {
        let records = r#"[{"topic":"t","value":"{"}]"#;
        check(&[], records, expect!["not JSON at byte 1: expected a name"]);
        check(&[("on.error", "null")], records, expect![[r#"[{"topic":"t"}]"#]]);
        check(
            &[("max.bytes", "2")],
            r#"[{"topic":"t","value":"123"}]"#,
            expect!["a text of 3 bytes, and max.bytes allows 2"],
        );
        check(&[], r#"[{"topic":"t","value":5}]"#, expect!["only a text or bytes can hold JSON"]);
    }
}
