//! Rename: gives fields other names, however deep they lie, and headers too.

use crate::field_path::{ours, schema_at_mut};
use crate::side::{Side, own_definition};
use std::marker::PhantomData;
use tidegate_sdk::{
    Column, Columns, Config, Definition, Edits, Error, FailureKind, Key, Kind, Place, Plan, Problem, Result, Schema,
    Transform, Type,
};

pub(crate) struct Rename<S> {
    fields: Vec<Renaming>,
    headers: Vec<(String, String)>,
    /// A field that is not there fails its record.
    is_strict: bool,
    side: PhantomData<S>,
}

struct Renaming {
    /// As the operator wrote it.
    text: String,
    path: Vec<String>,
    to: String,
}

impl<S: Side> Transform for Rename<S> {
    fn definition() -> Definition {
        own_definition::<S>("Rename")
            .doc("Renames fields by their paths, and headers. Values, order and schemas stay as they are.")
            .key(Key::list("fields").high().doc(
                "Pairs <code>path:name</code>, such as <code>address.zip:postcode</code>; backticks hold a name with dots \
                 together. The field keeps its place. They are renamed one after the other.",
            ))
            .key(Key::list("headers").doc("Pairs <code>header:name</code>."))
            .key(Key::string("on.missing").default("ignore").one_of(&["ignore", "fail"]).doc(
                "What becomes of a record that has no such field: it stays as it is, or it fails.",
            ))
    }

    fn validate(config: &Config) -> Vec<Problem> {
        match Rename::<S>::configure(config) {
            Err(Error::InvalidConfig(problem)) => vec![problem],
            _ => Vec::new(),
        }
    }

    fn configure(config: &Config) -> Result<Rename<S>> {
        let fields = config.list("fields").into_iter().map(|pair| {
            let (path, to) = parts("fields", pair)?;
            Ok(Renaming { text: path.to_owned(), path: ours("fields", path)?, to: to.to_owned() })
        });
        let headers = config.list("headers").into_iter().map(|pair| {
            let (from, to) = parts("headers", pair)?;
            Ok((from.to_owned(), to.to_owned()))
        });
        let rename = Rename {
            fields: fields.collect::<Result<_>>()?,
            headers: headers.collect::<Result<_>>()?,
            is_strict: config.string("on.missing")? == "fail",
            side: PhantomData,
        };
        match rename.fields.is_empty() && rename.headers.is_empty() {
            true => Err(Error::invalid_config("fields", "neither fields nor headers are named")),
            false => Ok(rename),
        }
    }

    fn plan(&self) -> Plan {
        let columns = self.fields.iter().map(|field| Column { place: S::PLACE, path: field.path.clone() });
        let headers = self.headers.iter().map(|(from, _)| Column::field(Place::Header, from));
        let read = if self.is_strict { columns.clone().collect() } else { Vec::new() };
        Plan { read, write: columns.chain(headers).collect() }
    }

    fn reshape(&self, _: Place, schema: &Schema) -> Result<Option<Schema>> {
        let mut made = schema.clone();
        for field in &self.fields {
            let Some((name, parents)) = field.path.split_last() else { continue };
            let Some(parent) = schema_at_mut(&mut made, parents)? else { continue };
            if parent.of_type != Type::Struct {
                return Err(Error::fatal(format!("\"{}\" lies in something that has no fields", field.text)));
            }
            if *name != field.to && parent.field(name).is_some() && parent.field(&field.to).is_some() {
                return Err(Error::fatal(format!(
                    "there is a field \"{}\" already, beside \"{}\"",
                    field.to, field.text
                )));
            }
            if let Some(found) = parent.fields.iter_mut().find(|known| known.name == *name) {
                found.name.clone_from(&field.to);
            }
        }
        Ok(Some(made))
    }

    fn apply(&self, columns: &Columns<'_>, edits: &mut Edits) -> Result<()> {
        if self.is_strict {
            for record in 0..columns.len() {
                for (column, field) in self.fields.iter().enumerate() {
                    if columns.kind(column, record)? == Kind::Missing && !S::is_null(columns, record) {
                        edits.fail(record, FailureKind::Data, &format!("Unknown field: {}", field.text));
                        break;
                    }
                }
            }
        }
        for (target, field) in self.fields.iter().enumerate() {
            edits.rename(target, &field.to);
        }
        for (at, (_, to)) in self.headers.iter().enumerate() {
            edits.rename(self.fields.len() + at, to);
        }
        Ok(())
    }
}

/// The two sides of a pair. Names may have colons in backticks only on the left.
fn parts<'p>(key: &str, pair: &'p str) -> Result<(&'p str, &'p str)> {
    match pair.rsplit_once(':') {
        Some((from, to)) if !from.is_empty() && !to.is_empty() => Ok((from, to)),
        _ => Err(Error::invalid_config(key, format!("\"{pair}\" is no pair such as a.b:name"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::side::OnValue;
    use expect_test::{Expect, expect};
    use tidegate_sdk::testing::TransformHarness;

    fn check(config: &[(&str, &str)], records: &str, expected: Expect) {
        let made = TransformHarness::configure::<Rename<OnValue>>(config).and_then(|mut step| step.apply_json(records));
        expected.assert_eq(&made.unwrap_or_else(|error| error.to_string()));
    }

    #[test]
    fn fields_are_renamed_in_their_place_however_deep() {
        check(
            &[("fields", "a.b:c, `x.y`:z, gone:here")],
            r#"[{"topic":"t","value":{"a":{"b":1,"d":2},"x.y":3}},{"topic":"t","value":null}]"#,
            expect![[r#"[{"topic":"t","value":{"a":{"c":1,"d":2},"z":3}},{"topic":"t"}]"#]],
        );
    }

    #[test]
    fn headers_are_renamed() {
        check(
            &[("headers", "h:i")],
            r#"[{"topic":"t","headers":[["h",1],["j",2]]}]"#,
            expect![[r#"[{"topic":"t","headers":[["i",1],["j",2]]}]"#]],
        );
    }

    #[test]
    fn what_is_not_there_may_fail_its_record() {
        check(
            &[("fields", "a.b:c"), ("on.missing", "fail")],
            r#"[{"topic":"t","value":{"a":{}}}]"#,
            expect!["Unknown field: a.b"],
        );
    }

    #[test]
    fn the_schema_has_the_new_names_and_none_twice() {
        let schema = r#"{"type":"struct","optional":false,"fields":[{"field":"a","type":"struct","optional":false,"fields":[
            {"field":"b","type":"int8","optional":false},{"field":"c","type":"int8","optional":false}]}]}"#;
        let shape = |fields: &str| {
            let mut step = TransformHarness::configure::<Rename<OnValue>>(&[("fields", fields)]).unwrap();
            match step.reshape(Place::Value, schema) {
                Ok(made) => made.unwrap_or_default() + "\n",
                Err(error) => format!("{error}\n"),
            }
        };
        expect![[r#"
            {"type":"struct","optional":false,"fields":[{"type":"struct","optional":false,"fields":[{"type":"int8","optional":false,"field":"d"},{"type":"int8","optional":false,"field":"c"}],"field":"x"}]}
            there is a field "c" already, beside "a.b"
            "a.b.c" lies in something that has no fields
        "#]].assert_eq(&[shape("a.b:d,a:x"), shape("a.b:c"), shape("a.b.c:d")].concat());
    }

    #[test]
    fn a_pair_has_two_sides() {
        check(&[("fields", "a")], "[]", expect![[r#"key "fields": "a" is no pair such as a.b:name"#]]);
        check(&[], "[]", expect![[r#"key "fields": neither fields nor headers are named"#]]);
    }
}
