//! Redact: takes what nobody should see out of fields, by path.

use crate::field_path::{ours, schema_at_mut};
use crate::java_regex::{JavaRegex, Replacement};
use crate::side::{Side, own_definition};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::marker::PhantomData;
use tidegate_sdk::{
    Cell, Column, Columns, Config, Definition, Edits, Error, FailureKind, Key, Place, Plan, Problem, Result, Schema,
    Transform, Type, Value,
};

pub(crate) struct Redact<S> {
    /// As the operator wrote them.
    texts: Vec<String>,
    paths: Vec<Vec<String>>,
    action: Action,
    side: PhantomData<S>,
}

enum Action {
    /// The HMAC-SHA-256 with this key, as hexadecimal digits.
    Hash(Box<Hmac<Sha256>>),
    Mask(JavaRegex, Replacement),
    /// All characters but so many at the end become this one.
    Keep(usize, char),
    Null,
    Drop,
}

impl<S: Side> Transform for Redact<S> {
    fn definition() -> Definition {
        own_definition::<S>("Redact")
            .doc(
                "Redacts fields, however deep they lie: hashes them with a key, masks what matches a pattern, keeps only the last \
                 characters, or takes them away. What is null or not there stays so.",
            )
            .key(Key::list("fields").high().required().non_empty().doc(
                "Paths to the fields, such as <code>customer.card</code>; backticks hold a name with dots together.",
            ))
            .key(
                Key::string("action")
                    .high()
                    .default("hash")
                    .one_of(&["hash", "mask", "keep-last", "null", "drop"])
                    .doc(
                        "hash: the HMAC-SHA-256 of the text as hexadecimal digits, equal for equal texts; mask: replaces what \
                         matches a pattern; keep-last: hides all but the last characters; null: becomes null; drop: the field \
                         is removed. The first three are for texts, and for numbers without a schema, which become texts.",
                    ),
            )
            .key(Key::password("hash.key").doc(
                "The key of the hash, at least 16 bytes long. Whoever has it can try out which text a hash was made of.",
            ))
            .key(Key::string("mask.pattern").default(".").doc("Java regular expression of what is masked."))
            .key(Key::string("mask.replacement").default("*").doc(
                "What stands in place of each match; <code>$1</code> is a group of the pattern.",
            ))
            .key(Key::int("keep.last").default(4).min(0).max(1_000).doc("How many characters are kept."))
            .key(Key::string("keep.character").low().default("*").doc("What stands in place of each hidden character."))
    }

    fn validate(config: &Config) -> Vec<Problem> {
        match Redact::<S>::configure(config) {
            Err(Error::InvalidConfig(problem)) => vec![problem],
            _ => Vec::new(),
        }
    }

    fn configure(config: &Config) -> Result<Redact<S>> {
        let action = match config.string("action")? {
            "hash" => {
                let key = config.get("hash.key").unwrap_or_default();
                if key.len() < 16 {
                    return Err(Error::invalid_config(
                        "hash.key",
                        "needs at least 16 bytes, so that it cannot be guessed",
                    ));
                }
                let hash = Hmac::new_from_slice(key.as_bytes())
                    .map_err(|error| Error::invalid_config("hash.key", error.to_string()))?;
                Action::Hash(Box::new(hash))
            }
            "mask" => {
                let wrong = |key: &'static str| move |message: String| Error::invalid_config(key, message);
                let pattern = JavaRegex::new(config.string("mask.pattern")?).map_err(wrong("mask.pattern"))?;
                let replacement = Replacement::new(config.string("mask.replacement")?, &pattern);
                Action::Mask(pattern, replacement.map_err(wrong("mask.replacement"))?)
            }
            "keep-last" => {
                let mut character = config.string("keep.character")?.chars();
                match (character.next(), character.next()) {
                    (Some(only), None) => Action::Keep(config.int("keep.last")?.try_into().unwrap_or(0), only),
                    _ => return Err(Error::invalid_config("keep.character", "is not one character")),
                }
            }
            "null" => Action::Null,
            _ => Action::Drop,
        };
        let texts: Vec<String> = config.list("fields").into_iter().map(str::to_owned).collect();
        let paths = texts.iter().map(|text| ours("fields", text)).collect::<Result<_>>()?;
        Ok(Redact { texts, paths, action, side: PhantomData })
    }

    fn plan(&self) -> Plan {
        let columns: Vec<_> = self.paths.iter().map(|path| Column { place: S::PLACE, path: path.clone() }).collect();
        // What goes has not to be looked at, but a field that is not there must not come to be.
        let read = if matches!(self.action, Action::Drop) { Vec::new() } else { columns.clone() };
        Plan { read, write: columns }
    }

    fn reshape(&self, _: Place, schema: &Schema) -> Result<Option<Schema>> {
        let mut made = schema.clone();
        for (text, path) in self.texts.iter().zip(&self.paths) {
            let Some((name, parents)) = path.split_last() else { continue };
            let Some(parent) = schema_at_mut(&mut made, parents)? else { continue };
            let Some(at) = parent.fields.iter().position(|field| field.name == *name) else { continue };
            match self.action {
                Action::Drop => drop(parent.fields.remove(at)),
                Action::Null => parent.fields[at].schema.optional = true,
                _ if parent.fields[at].schema.of_type == Type::String => {}
                _ => {
                    return Err(Error::fatal(format!(
                        "\"{text}\" is {:?} by its schema, and only a String can be hashed, masked or shortened",
                        parent.fields[at].schema.of_type
                    )));
                }
            }
        }
        Ok(Some(made))
    }

    fn apply(&self, columns: &Columns<'_>, edits: &mut Edits) -> Result<()> {
        let mut failed = vec![false; columns.len()];
        for column in 0..self.paths.len() {
            if matches!(self.action, Action::Drop) {
                edits.remove(column);
                continue;
            }
            let mut values = Vec::with_capacity(columns.len());
            for (record, failed) in failed.iter_mut().enumerate() {
                let value = match self.redacted(columns.cell(column, record)?) {
                    Ok(value) => value,
                    Err(message) => {
                        if !std::mem::replace(failed, true) {
                            let message = format!("\"{}\": {message}", self.texts[column]);
                            edits.fail(record, FailureKind::Data, &message);
                        }
                        None
                    }
                };
                values.push(value);
            }
            edits.set_values(column, &values);
        }
        Ok(())
    }
}

impl<S> Redact<S> {
    /// None: it stays.
    fn redacted(&self, cell: Cell<'_>) -> Result<Option<Value>, String> {
        let text = match (cell, &self.action) {
            (Cell::Missing | Cell::Null, _) => return Ok(None),
            (_, Action::Null) => return Ok(Some(Value::Null)),
            (Cell::String(text) | Cell::Number(text), _) => text.to_owned(),
            (Cell::Boolean(value), _) => value.to_string(),
            (Cell::Int8(value), _) => value.to_string(),
            (Cell::Int16(value), _) => value.to_string(),
            (Cell::Int32(value), _) => value.to_string(),
            (Cell::Int64(value), _) => value.to_string(),
            (Cell::Float32(value), _) => value.to_string(),
            (Cell::Float64(value), _) => value.to_string(),
            _ => return Err("only texts, numbers and booleans can be hashed, masked or shortened".to_owned()),
        };
        Ok(Some(Value::String(match &self.action {
            Action::Hash(keyed) => {
                let mut hash = keyed.clone();
                hash.update(text.as_bytes());
                hash.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
            }
            Action::Mask(pattern, replacement) => pattern.replace_all(&text, replacement)?,
            Action::Keep(count, character) => {
                let hidden = text.chars().count().saturating_sub(*count);
                let shown = text.chars().skip(hidden);
                std::iter::repeat_n(*character, hidden).chain(shown).collect()
            }
            Action::Null | Action::Drop => return Ok(Some(Value::Null)),
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::side::OnValue;
    use expect_test::{Expect, expect};
    use tidegate_sdk::testing::TransformHarness;

    fn check(config: &[(&str, &str)], records: &str, expected: Expect) {
        let made = TransformHarness::configure::<Redact<OnValue>>(config).and_then(|mut step| step.apply_json(records));
        expected.assert_eq(&made.unwrap_or_else(|error| error.to_string()));
    }

    const CARD: &str = r#"[{"topic":"t","value":{"by":{"card":"4111-1111","pin":null},"n":1234567}},{"topic":"t","value":{}},{"topic":"t","value":null}]"#;

    #[test]
    fn a_hash_is_the_keyed_one_of_the_text() {
        check(
            &[("fields", "by.card,by.pin,n"), ("hash.key", "0123456789abcdef")],
            CARD,
            expect![[
                r#"[{"topic":"t","value":{"by":{"card":"a803f5e6e333b8e3b5b361ebce70e5d31e0f51741b6aca938aac2714284a38aa","pin":null},"n":"e7c890fcce44cfaefce8b14a10c07fad408a5f6add8a45c39e34125adae2396e"}},{"topic":"t","value":{}},{"topic":"t"}]"#
            ]],
        );
    }

    #[test]
    fn what_matches_a_java_pattern_is_masked() {
        check(
            &[
                ("fields", "by.card"),
                ("action", "mask"),
                ("mask.pattern", "(\\d)\\d(?=\\d)"),
                ("mask.replacement", "$1#"),
            ],
            CARD,
            expect![[
                r#"[{"topic":"t","value":{"by":{"card":"4#11-1#11","pin":null},"n":1234567}},{"topic":"t","value":{}},{"topic":"t"}]"#
            ]],
        );
        check(
            &[("fields", "by.card"), ("action", "mask")],
            CARD,
            expect![[
                r#"[{"topic":"t","value":{"by":{"card":"*********","pin":null},"n":1234567}},{"topic":"t","value":{}},{"topic":"t"}]"#
            ]],
        );
    }

    #[test]
    fn the_last_characters_are_kept() {
        check(
            &[("fields", "by.card,n"), ("action", "keep-last"), ("keep.last", "3")],
            CARD,
            expect![[
                r#"[{"topic":"t","value":{"by":{"card":"******111","pin":null},"n":"****567"}},{"topic":"t","value":{}},{"topic":"t"}]"#
            ]],
        );
    }

    #[test]
    fn fields_become_null_or_go() {
        check(
            &[("fields", "by.card"), ("action", "null")],
            CARD,
            expect![[
                r#"[{"topic":"t","value":{"by":{"card":null,"pin":null},"n":1234567}},{"topic":"t","value":{}},{"topic":"t"}]"#
            ]],
        );
        check(
            &[("fields", "by"), ("action", "drop")],
            CARD,
            expect![[r#"[{"topic":"t","value":{"n":1234567}},{"topic":"t","value":{}},{"topic":"t"}]"#]],
        );
    }

    #[test]
    fn what_is_no_text_fails_its_record() {
        check(
            &[("fields", "by"), ("action", "keep-last")],
            CARD,
            expect![[r#""by": only texts, numbers and booleans can be hashed, masked or shortened"#]],
        );
    }

    #[test]
    fn the_schema_stays_valid() {
        let schema = r#"{"type":"struct","optional":false,"fields":[
            {"field":"s","type":"string","optional":false},{"field":"n","type":"int8","optional":false}]}"#;
        let shape = |action: &str| {
            let config = [("fields", "s,n"), ("action", action)];
            let mut step = TransformHarness::configure::<Redact<OnValue>>(&config).unwrap();
            match step.reshape(Place::Value, schema) {
                Ok(made) => made.unwrap_or_default() + "\n",
                Err(error) => format!("{error}\n"),
            }
        };
        expect![[r#"
            {"type":"struct","optional":false,"fields":[{"type":"string","optional":true,"field":"s"},{"type":"int8","optional":true,"field":"n"}]}
            {"type":"struct","optional":false,"fields":[]}
            "n" is Int8 by its schema, and only a String can be hashed, masked or shortened
        "#]].assert_eq(&[shape("null"), shape("drop"), shape("mask")].concat());
    }

    #[test]
    fn a_key_that_can_be_guessed_is_refused_and_so_is_a_group_that_is_not_there() {
        check(
            &[("fields", "a")],
            "[]",
            expect![[r#"key "hash.key": needs at least 16 bytes, so that it cannot be guessed"#]],
        );
        check(
            &[("fields", "a"), ("action", "mask"), ("mask.replacement", "$1")],
            "[]",
            expect![[r#"key "mask.replacement": No group 1"#]],
        );
        check(
            &[("fields", "a"), ("action", "keep-last"), ("keep.character", "**")],
            "[]",
            expect![[r#"key "keep.character": is not one character"#]],
        );
    }
}
