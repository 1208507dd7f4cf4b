//! ReplaceField: drops and renames top-level fields.

use crate::side::{Side, add_field, definition, replace_null_with_default, replaces_nulls, struct_to_change};
use std::marker::PhantomData;
use tidegate_sdk::{
    Column, Columns, Config, Definition, Edits, Error, Key, Place, Plan, Problem, Result, Schema, Transform,
};

const PURPOSE: &str = "field replacement";

pub(crate) struct ReplaceField<S> {
    /// Empty: all that are not excluded.
    include: Vec<String>,
    exclude: Vec<String>,
    /// What the operator wrote, old name and new name.
    renames: Vec<(String, String)>,
    /// The same in an order in which no rename meets a name that is still to be changed.
    steps: Vec<(String, String)>,
    replaces_nulls: bool,
    side: PhantomData<S>,
}

impl<S: Side> Transform for ReplaceField<S> {
    fn definition() -> Definition {
        definition::<S>("ReplaceField")
            .doc("Filter or rename fields.")
            .key(
                Key::list("exclude")
                    .default("")
                    .doc("Fields to exclude. This takes precedence over the fields to include."),
            )
            .key(
                Key::list("include")
                    .default("")
                    .doc("Fields to include. If specified, only these fields will be used."),
            )
            .key(Key::list("renames").default("").doc("Field rename mappings."))
            .key(replace_null_with_default())
    }

    fn validate(config: &Config) -> Vec<Problem> {
        match renames(config) {
            Err(Error::InvalidConfig(problem)) => vec![problem],
            _ => Vec::new(),
        }
    }

    fn configure(config: &Config) -> Result<ReplaceField<S>> {
        let names = |key: &str| config.list(key).into_iter().map(str::to_owned).collect::<Vec<_>>();
        let renames = renames(config)?;
        Ok(ReplaceField {
            include: names("include"),
            exclude: names("exclude"),
            steps: in_order(&renames),
            renames,
            replaces_nulls: replaces_nulls(config)?,
            side: PhantomData,
        })
    }

    fn plan(&self) -> Plan {
        let removed = self.removed().iter().map(|name| Column::field(S::PLACE, name));
        let renamed = self.steps.iter().map(|(old, _)| Column::field(S::PLACE, old));
        // The whole, last, says that the place is written even where only its fields are retained.
        Plan { read: Vec::new(), write: removed.chain(renamed).chain([Column::whole(S::PLACE)]).collect() }
    }

    fn reshape(&self, _: Place, schema: &Schema) -> Result<Option<Schema>> {
        let mut changed = struct_to_change(schema, PURPOSE)?;
        for field in std::mem::take(&mut changed.fields) {
            if self.keeps(&field.name) {
                let renamed = self.renames.iter().find(|(old, _)| *old == field.name);
                add_field(&mut changed, renamed.map_or(&field.name, |(_, new)| new), field.schema)?;
            }
        }
        Ok(Some(changed))
    }

    fn apply(&self, _: &Columns<'_>, edits: &mut Edits) -> Result<()> {
        if !self.include.is_empty() {
            let kept = self.include.iter().filter(|name| self.keeps(name));
            edits.retain(S::PLACE, kept.map(String::as_str));
        }
        let removed = self.removed().len();
        (0..removed).for_each(|target| edits.remove(target));
        for (index, (_, new)) in self.steps.iter().enumerate() {
            edits.rename(removed + index, new);
        }
        if self.replaces_nulls {
            edits.defaults(S::PLACE);
        }
        Ok(())
    }
}

impl<S> ReplaceField<S> {
    fn keeps(&self, name: &str) -> bool {
        let listed = |names: &[String]| names.iter().any(|listed| listed == name);
        !listed(&self.exclude) && (self.include.is_empty() || listed(&self.include))
    }

    /// The fields to remove one by one; with `include`, what it does not name is gone already.
    fn removed(&self) -> &[String] {
        if self.include.is_empty() { &self.exclude } else { &[] }
    }
}

fn renames(config: &Config) -> Result<Vec<(String, String)>> {
    let mut renames: Vec<(String, String)> = Vec::new();
    for mapping in config.list("renames") {
        // Names keep the blanks around the colon, as in Connect; nothing behind it is no name.
        let parts: Vec<&str> = mapping.trim_end_matches(':').split(':').collect();
        match parts[..] {
            [old, new] => {
                // Of two new names of one field the last counts.
                renames.retain(|(known, _)| known != old);
                renames.push((old.to_owned(), new.to_owned()));
            }
            _ => return Err(Error::invalid_config("renames", format!("invalid rename mapping: \"{mapping}\""))),
        }
    }
    Ok(renames)
}

/// Orders renames that Connect does all at once so that they can be done one after another: `a:b,b:c` begins with `b:c`,
/// and a circle goes through a name that no field has.
fn in_order(renames: &[(String, String)]) -> Vec<(String, String)> {
    let mut waiting = renames.to_vec();
    let mut steps = Vec::new();
    while !waiting.is_empty() {
        let is_free = |new: &str| waiting.iter().all(|(old, _)| old != new);
        match waiting.iter().position(|(old, new)| old == new || is_free(new)) {
            Some(free) => steps.push(waiting.remove(free)),
            None => {
                let (old, new) = waiting.remove(0);
                let aside = format!("\u{1}{old}");
                steps.push((old, aside.clone()));
                waiting.push((aside, new));
            }
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(renames: &[(&str, &str)], steps: &str) {
        let renames: Vec<_> = renames.iter().map(|(old, new)| ((*old).to_owned(), (*new).to_owned())).collect();
        let answer: Vec<_> = in_order(&renames).iter().map(|(old, new)| format!("{old}>{new}")).collect();
        assert_eq!(answer.join(" ").replace('\u{1}', "~"), steps);
    }

    #[test]
    fn a_name_is_free_before_it_is_given() {
        check(&[("a", "b"), ("b", "c")], "b>c a>b");
        check(&[("a", "x"), ("b", "y")], "a>x b>y");
    }

    #[test]
    fn names_that_are_exchanged_go_through_a_third() {
        check(&[("a", "b"), ("b", "a")], "a>~a b>a ~a>b");
    }
}
