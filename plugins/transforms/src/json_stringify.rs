//! JsonStringify: puts the JSON of a structure in its place.

use crate::field_path::schema_at_mut;
use crate::json_parse::{field, path};
use crate::json_text;
use crate::side::{Side, own_definition};
use std::marker::PhantomData;
use tidegate_sdk::{
    Column, Columns, Config, Definition, Edits, Error, FailureKind, Place, Plan, Problem, Result, Schema, Transform,
    Type, Value,
};

/// What an answer can hold, less what else is in it.
const BYTES_MAX: usize = 32 << 20;

pub(crate) struct JsonStringify<S> {
    /// Empty: the whole key or value.
    path: Vec<String>,
    side: PhantomData<S>,
}

impl<S: Side> Transform for JsonStringify<S> {
    fn definition() -> Definition {
        own_definition::<S>("JsonStringify")
            .doc(
                "Writes a structure as JSON and puts the text in its place: bytes as base64, dates and times as their numbers, \
                 decimals as numbers. Null stays null.",
            )
            .key(field())
    }

    fn validate(config: &Config) -> Vec<Problem> {
        match JsonStringify::<S>::configure(config) {
            Err(Error::InvalidConfig(problem)) => vec![problem],
            _ => Vec::new(),
        }
    }

    fn configure(config: &Config) -> Result<JsonStringify<S>> {
        Ok(JsonStringify { path: path(config)?, side: PhantomData })
    }

    fn plan(&self) -> Plan {
        let column = Column { place: S::PLACE, path: self.path.clone() };
        Plan { read: vec![column.clone()], write: vec![column] }
    }

    fn reshape(&self, _: Place, schema: &Schema) -> Result<Option<Schema>> {
        let mut made = schema.clone();
        let Some(written) = schema_at_mut(&mut made, &self.path)? else { return Ok(None) };
        *written = Schema { optional: written.optional, ..Schema::new(Type::String) };
        Ok(Some(made))
    }

    fn apply(&self, columns: &Columns<'_>, edits: &mut Edits) -> Result<()> {
        let mut values = Vec::with_capacity(columns.len());
        let mut bytes = 0;
        for record in 0..columns.len() {
            values.push(match columns.value(0, record)? {
                None | Some(Value::Null) => None,
                Some(value) => {
                    let mut text = String::new();
                    json_text::write(&value, &mut text);
                    bytes += text.len();
                    match bytes > BYTES_MAX {
                        true => {
                            bytes -= text.len();
                            edits.fail(
                                record,
                                FailureKind::Data,
                                &format!("the JSON of a batch is longer than {BYTES_MAX} bytes"),
                            );
                            None
                        }
                        false => Some(Value::String(text)),
                    }
                }
            });
        }
        edits.set_values(0, &values);
        Ok(())
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
            TransformHarness::configure::<JsonStringify<OnValue>>(config).and_then(|mut step| step.apply_json(records));
        expected.assert_eq(&made.unwrap_or_else(|error| error.to_string()));
    }

    #[test]
    fn a_structure_becomes_its_text() {
        check(
            &[],
            r#"[{"topic":"t","value":{"a":[1.10,null,"\""]}},{"topic":"t"}]"#,
            expect![[r#"[{"topic":"t","value":"{\"a\":[1.1,null,\"\\\"\"]}"},{"topic":"t"}]"#]],
        );
        check(
            &[("field", "a.b")],
            r#"[{"topic":"t","value":{"a":{"b":{"c":1}}}},{"topic":"t","value":{"a":{}}}]"#,
            expect![[r#"[{"topic":"t","value":{"a":{"b":"{\"c\":1}"}}},{"topic":"t","value":{"a":{}}}]"#]],
        );
    }

    #[test]
    fn with_a_schema_the_field_is_a_text() {
        let schema = r#"{"type":"struct","optional":false,"fields":[
            {"field":"d","type":"int32","optional":true,"name":"org.apache.kafka.connect.data.Date","version":1},
            {"field":"b","type":"bytes","optional":false},{"field":"f","type":"double","optional":false}]}"#;
        let record = |value: &str| format!(r#"[{{"topic":"t","valueSchema":{schema},"value":{value}}}]"#);
        check(
            &[],
            &record(r#"{"d":5,"b":"AQI=","f":"NaN"}"#),
            expect![[r#"[{"topic":"t","valueSchema":8,"value":"{\"d\":5,\"b\":\"AQI=\",\"f\":\"NaN\"}"}]"#]],
        );
        check(
            &[("field", "d")],
            &record(r#"{"d":5,"b":"AQI=","f":1.5}"#),
            expect![[
                r#"[{"topic":"t","valueSchema":{"type":"struct","optional":false,"fields":[{"type":"string","optional":true,"field":"d"},{"type":"bytes","optional":false,"field":"b"},{"type":"double","optional":false,"field":"f"}]},"value":{"d":"5","b":"AQI=","f":1.5}}]"#
            ]],
        );
    }
}
