//! Expression: keeps the records for which an expression holds, or sets a field to what an expression says. The language is
//! CEL, the Common Expression Language.

use crate::cel_columns::{Looks, PARTS};
use crate::cel_values::{from_cel, map, to_cel};
use crate::field_path::{ours, schema_at_mut};
use crate::side::{Side, own_definition};
use cel::{Context, Program, Value as Cel};
use std::marker::PhantomData;
use tidegate_sdk::{
    Bitmap, Column, Columns, Config, Definition, Edits, Error, FailureKind, Field, Key, Malformed, Place, Plan,
    Problem, Result, Schema, Transform, Type, Value,
};

/// Longer ones are nobody's work.
const LENGTH_MAX: usize = 10_000;

/// Each may nest what stands before it, and what is nested takes stack.
const OPERATORS_MAX: usize = 250;

/// Names, and types that a field with a schema may have.
const TYPES: [(&str, Type); 5] = [
    ("string", Type::String),
    ("int64", Type::Int64),
    ("float64", Type::Float64),
    ("boolean", Type::Boolean),
    ("bytes", Type::Bytes),
];

pub(crate) struct Expression<S> {
    filter: Option<Program>,
    computed: Option<Computed>,
    columns: Vec<Column>,
    /// What fails to be calculated is null, and does not pass the filter.
    forgives: bool,
    side: PhantomData<S>,
}

struct Computed {
    field: String,
    path: Vec<String>,
    program: Program,
    of_type: Option<Type>,
}

impl<S: Side> Transform for Expression<S> {
    fn definition() -> Definition {
        own_definition::<S>("Expression")
            .doc(
                "Keeps the records for which an expression holds, or sets a field to what an expression says, or both. Expressions \
                 are CEL (Common Expression Language) on <code>value</code>, <code>key</code>, <code>headers</code>, \
                 <code>topic</code>, <code>partition</code>, <code>offset</code> and <code>timestamp</code> (milliseconds): \
                 <code>value.amount > 100 && headers.region == \"eu\"</code>. Whole numbers are ints, all others doubles, dates \
                 and times their numbers.",
            )
            .key(Key::string("filter").high().doc("Records for which this is false are dropped. Must be true or false."))
            .key(Key::string("expression").high().doc("What the field is set to."))
            .key(Key::string("field").high().doc(
                "Path to the field that is set, such as <code>order.total</code>; it is added where it is not there.",
            ))
            .key(Key::string("result.type").one_of(&TYPES.map(|(name, _)| name)).doc(
                "Type of the field. Needed for records with a schema, in which the field is then optional; without a schema it is \
                 only checked.",
            ))
            .key(Key::string("on.error").default("fail").one_of(&["fail", "null"]).doc(
                "What becomes of a record whose expression cannot be calculated, for instance because a field is not there: it \
                 fails, or the result is null, and a filter does not hold.",
            ))
    }

    fn validate(config: &Config) -> Vec<Problem> {
        match Expression::<S>::configure(config) {
            Err(Error::InvalidConfig(problem)) => vec![problem],
            _ => Vec::new(),
        }
    }

    fn configure(config: &Config) -> Result<Expression<S>> {
        let mut looks = Looks::default();
        let mut program = |key: &'static str| match config.get(key).filter(|source| !source.is_empty()) {
            None => Ok(None),
            Some(source) => {
                let wrong = |message: String| Error::invalid_config(key, message);
                if source.len() > LENGTH_MAX {
                    return Err(wrong(format!("is longer than {LENGTH_MAX} bytes")));
                }
                let is_operator = |byte: &u8| b"+-*/%?!<>=&|.[({,".contains(byte);
                if source.bytes().filter(|byte| is_operator(byte)).count() > OPERATORS_MAX {
                    return Err(wrong(format!("has more than {OPERATORS_MAX} operators, dots, commas and brackets")));
                }
                let program = Program::compile(source)
                    .map_err(|error| wrong(format!("is no CEL expression: {}", first_line(&error.to_string()))))?;
                looks.add(program.expression()).map_err(wrong)?;
                Ok(Some(program))
            }
        };
        let filter = program("filter")?;
        let of_type = config.get("result.type").and_then(|name| TYPES.iter().find(|(known, _)| *known == name));
        let computed = match (program("expression")?, config.get("field").filter(|field| !field.is_empty())) {
            (Some(program), Some(field)) => Some(Computed {
                field: field.to_owned(),
                path: ours("field", field)?,
                program,
                of_type: of_type.map(|(_, of_type)| *of_type),
            }),
            (None, None) => None,
            (Some(_), None) => return Err(Error::invalid_config("field", "is needed for what the expression says")),
            (None, Some(_)) => return Err(Error::invalid_config("expression", "is needed to set the field")),
        };
        if filter.is_none() && computed.is_none() {
            return Err(Error::invalid_config("filter", "neither filter nor expression is set"));
        }
        Ok(Expression {
            filter,
            computed,
            columns: looks.columns,
            forgives: config.string("on.error")? == "null",
            side: PhantomData,
        })
    }

    fn plan(&self) -> Plan {
        let computed = self.computed.iter().map(|computed| Column { place: S::PLACE, path: computed.path.clone() });
        Plan { read: self.columns.clone(), write: computed.collect() }
    }

    fn reshape(&self, _: Place, schema: &Schema) -> Result<Option<Schema>> {
        let Some(Computed { field, path, of_type, .. }) = &self.computed else { return Ok(None) };
        let Some(of_type) = of_type else {
            return Err(Error::fatal(format!("the record has a schema: set result.type, so that \"{field}\" has one")));
        };
        let mut made = schema.clone();
        let Some((name, parents)) = path.split_last() else { return Ok(None) };
        match schema_at_mut(&mut made, parents)? {
            Some(parent) if parent.of_type == Type::Struct => {
                let own = Schema { optional: true, ..Schema::new(*of_type) };
                match parent.fields.iter_mut().find(|known| known.name == *name) {
                    Some(known) => known.schema = own,
                    None => parent.fields.push(Field::new(name, own)),
                }
                Ok(Some(made))
            }
            _ => Err(Error::fatal(format!("there is nothing that could have the field \"{field}\""))),
        }
    }

    fn apply(&self, columns: &Columns<'_>, edits: &mut Edits) -> Result<()> {
        let count = columns.len();
        let base = Context::default();
        let mut keep = Bitmap::new(count, true);
        let mut values: Vec<Option<Value>> = vec![None; if self.computed.is_some() { count } else { 0 }];
        for record in 0..count {
            let mut context = base.new_inner_scope();
            self.fill(&mut context, columns, record)?;
            if let Some(filter) = &self.filter {
                match filter.execute(&context) {
                    Ok(Cel::Bool(holds)) => keep.set(record, holds),
                    _ if self.forgives => keep.set(record, false),
                    Ok(other) => {
                        let message =
                            format!("filter: the result is of type {}, neither true nor false", other.type_of());
                        edits.fail(record, FailureKind::Data, &message);
                        continue;
                    }
                    Err(error) => {
                        edits.fail(record, FailureKind::Data, &format!("filter: {error}"));
                        continue;
                    }
                }
            }
            if let Some(computed) = &self.computed
                && keep.get(record)
            {
                match computed.value(&context) {
                    Ok(value) => {
                        if let Some(place) = values.get_mut(record) {
                            *place = Some(value);
                        }
                    }
                    Err(_) if self.forgives => {
                        if let Some(place) = values.get_mut(record) {
                            *place = Some(Value::Null);
                        }
                    }
                    Err(message) => edits.fail(record, FailureKind::Data, &format!("expression: {message}")),
                }
            }
        }
        if !keep.all() {
            edits.keep(&keep);
        }
        if self.computed.is_some() {
            edits.set_values(0, &values);
        }
        Ok(())
    }
}

impl<S> Expression<S> {
    /// Gives an expression what it looks at. What is not there is not there for it either.
    fn fill(&self, context: &mut Context<'_, '_>, columns: &Columns<'_>, record: usize) -> Result<(), Malformed> {
        for (name, place) in PARTS {
            let mut members = Vec::new();
            let mut is_asked = false;
            for (at, column) in self.columns.iter().enumerate().filter(|(_, column)| column.place == place) {
                is_asked = true;
                let value = columns.value(at, record)?;
                match (column.path.first(), value) {
                    (None, value) => context.add_variable_from_value(name, to_cel(value.unwrap_or(Value::Null))),
                    (Some(field), Some(value)) => members.push((field.clone(), to_cel(value))),
                    (Some(_), None) => {}
                }
            }
            let is_whole = self.columns.iter().any(|column| column.place == place && column.path.is_empty());
            if is_asked && !is_whole {
                context.add_variable_from_value(name, map(members.into_iter()));
            }
        }
        Ok(())
    }
}

/// What is wrong first: one mistake makes many.
fn first_line(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    line.trim_start_matches("ERROR: ").chars().take(300).collect()
}

impl Computed {
    fn value(&self, context: &Context<'_, '_>) -> Result<Value, String> {
        let result = self.program.execute(context).map_err(|error| error.to_string())?;
        let value = from_cel(&result)?;
        let fits = match (self.of_type, &value) {
            (None, _) | (Some(_), Value::Null) => true,
            (Some(Type::String), Value::String(_))
            | (Some(Type::Int64), Value::Int64(_))
            | (Some(Type::Float64), Value::Float64(_))
            | (Some(Type::Boolean), Value::Boolean(_))
            | (Some(Type::Bytes), Value::Bytes(_)) => true,
            // A whole number is a number.
            (Some(Type::Float64), Value::Int64(number)) => return Ok(Value::Float64(*number as f64)),
            _ => false,
        };
        match fits {
            true => Ok(value),
            false => {
                Err(format!("the result is of type {}, and \"{}\" is to be of another", result.type_of(), self.field))
            }
        }
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
            TransformHarness::configure::<Expression<OnValue>>(config).and_then(|mut step| step.apply_json(records));
        expected.assert_eq(&made.unwrap_or_else(|error| error.to_string()));
    }

    const ORDERS: &str = r#"[{"topic":"t","value":{"n":3,"price":2.5,"tags":["a","b"]},"headers":[["region","eu"]]},
        {"topic":"u","value":{"n":1,"price":10}}]"#;

    #[test]
    fn records_for_which_the_filter_holds_stay() {
        check(
            &[("filter", "value.n > 2 && topic == 't'")],
            ORDERS,
            expect![[r#"[{"topic":"t","value":{"n":3,"price":2.5,"tags":["a","b"]},"headers":[["region","eu"]]}]"#]],
        );
        check(
            &[("filter", "has(headers.region) && headers.region == 'eu'")],
            ORDERS,
            expect![[r#"[{"topic":"t","value":{"n":3,"price":2.5,"tags":["a","b"]},"headers":[["region","eu"]]}]"#]],
        );
        check(
            &[("filter", "value.tags.exists(t, t == 'b')"), ("on.error", "null")],
            ORDERS,
            expect![[r#"[{"topic":"t","value":{"n":3,"price":2.5,"tags":["a","b"]},"headers":[["region","eu"]]}]"#]],
        );
    }

    #[test]
    fn a_field_is_set_to_what_the_expression_says() {
        check(
            &[("field", "total"), ("expression", "double(value.n) * value.price"), ("on.error", "null")],
            ORDERS,
            expect![[
                r#"[{"topic":"t","value":{"n":3,"price":2.5,"tags":["a","b"],"total":7.5},"headers":[["region","eu"]]},{"topic":"u","value":{"n":1,"price":10,"total":null}}]"#
            ]],
        );
        check(
            &[("field", "of"), ("expression", "{'t': topic, 'all': [value.n, timestamp]}")],
            ORDERS,
            expect![[
                r#"[{"topic":"t","value":{"n":3,"price":2.5,"tags":["a","b"],"of":{"all":[3,null],"t":"t"}},"headers":[["region","eu"]]},{"topic":"u","value":{"n":1,"price":10,"of":{"all":[1,null],"t":"u"}}}]"#
            ]],
        );
    }

    #[test]
    fn what_cannot_be_calculated_fails_its_record() {
        check(&[("filter", "value.gone == 1")], ORDERS, expect!["filter: No such key: gone"]);
        check(&[("filter", "value.n")], ORDERS, expect!["filter: the result is of type int, neither true nor false"]);
        check(
            &[("field", "x"), ("expression", "value.n / 0")],
            ORDERS,
            expect!["expression: Division by zero of Int(3)"],
        );
        check(
            &[("field", "x"), ("expression", "value.n"), ("result.type", "string")],
            ORDERS,
            expect![[r#"expression: the result is of type int, and "x" is to be of another"#]],
        );
    }

    #[test]
    fn with_a_schema_the_field_has_the_type_that_is_set() {
        let schema = r#"{"type":"struct","optional":false,"fields":[{"field":"n","type":"int8","optional":false}]}"#;
        let records = format!(r#"[{{"topic":"t","valueSchema":{schema},"value":{{"n":3}}}}]"#);
        check(
            &[("field", "x"), ("expression", "value.n * 2"), ("result.type", "int64")],
            &records,
            expect![[
                r#"[{"topic":"t","valueSchema":{"type":"struct","optional":false,"fields":[{"type":"int8","optional":false,"field":"n"},{"type":"int64","optional":true,"field":"x"}]},"value":{"n":3,"x":6}}]"#
            ]],
        );
        check(
            &[("field", "x"), ("expression", "value.n * 2")],
            &records,
            expect![[r#"the record has a schema: set result.type, so that "x" has one"#]],
        );
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        check(
            &[("filter", "value.n >")],
            "[]",
            expect![[
                r#"key "filter": is no CEL expression: <input>:1:10: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"#
            ]],
        );
        check(
            &[("filter", "record.n == 1")],
            "[]",
            expect![[
                r#"key "filter": there is no "record", only value, key, headers, topic, partition, offset, timestamp"#
            ]],
        );
        check(&[("expression", "1")], "[]", expect![[r#"key "field": is needed for what the expression says"#]]);
        check(&[], "[]", expect![[r#"key "filter": neither filter nor expression is set"#]]);
        let deep = format!("{}1{}", "(".repeat(100), ")".repeat(100));
        check(
            &[("filter", &deep)],
            "[]",
            expect![[
                r#"key "filter": is no CEL expression: <input>:1:97: Syntax error: OtherError(ParseError { source: None, pos: (96, -1), msg: "Recursion limit of 96 exceeded", expr_id: 0, source_info: None })"#
            ]],
        );
        check(&[("filter", &format!("{}1 > 0", "1+".repeat(240)))], "[]", expect!["[]"]);
        check(
            &[("filter", &format!("{}1 > 0", "1+".repeat(4_990)))],
            "[]",
            expect![[r#"key "filter": has more than 250 operators, dots, commas and brackets"#]],
        );
        check(&[("filter", &"1+".repeat(6_000))], "[]", expect![[r#"key "filter": is longer than 10000 bytes"#]]);
    }
}
