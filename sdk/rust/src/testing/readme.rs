//! The part of a plugin's README that its definitions already say, so that it is written once.

use crate::definition::{Definition, Importance, Key};
use crate::plugin::Plugin;
use std::fmt::Write;

const BEGIN: &str = "<!-- definitions -->";
const END: &str = "<!-- end of definitions; UPDATE_EXPECT=1 cargo test writes them anew -->";

/// A README whose part between the two marks is what the plugin's definitions say: each with its keys as a table. Without
/// marks they are put at the end.
///
/// A plugin's test compares the file with this; the crate `expect-test` rewrites it when `UPDATE_EXPECT=1` is set. What
/// `tidegate plugin new` makes has such a test.
pub fn fill_readme(readme: &str, plugin: &Plugin) -> String {
    let (before, after) = match (readme.find(BEGIN), readme.find(END)) {
        (Some(begin), Some(end)) if begin < end => (&readme[..begin], &readme[end + END.len()..]),
        _ => (readme, "\n"),
    };
    let gap = if before.is_empty() || before.ends_with("\n\n") { "" } else { "\n" };
    format!("{before}{gap}{BEGIN}\n\n{}{END}{after}", sections(&plugin.definitions()))
}

/// A section per definition; neighbours that differ by their names only, such as variants for keys and values, share one.
fn sections(definitions: &[Definition]) -> String {
    let mut text = String::new();
    for alike in definitions.chunk_by(are_alike) {
        let names: Vec<String> = alike.iter().map(|definition| format!("`{}`", definition.name())).collect();
        let definition = &alike[0];
        let aliases: Vec<String> =
            alike.iter().flat_map(Definition::aliases).map(|alias| format!("`{alias}`")).collect();
        // Writing to a text cannot fail.
        let _ = writeln!(text, "### {} ({})\n", names.join(", "), definition.kind().replace('-', " "));
        if !definition.documentation().is_empty() {
            let _ = writeln!(text, "{}\n", definition.documentation());
        }
        if !aliases.is_empty() {
            let _ = writeln!(text, "Also known as {}.\n", aliases.join(", "));
        }
        let _ = writeln!(text, "{}", table_of(definition));
    }
    text
}

fn are_alike(one: &Definition, other: &Definition) -> bool {
    let said =
        |definition: &Definition| (definition.kind(), definition.documentation().to_owned(), table_of(definition));
    said(one) == said(other)
}

fn table_of(definition: &Definition) -> String {
    let rows: String = definition.keys().iter().filter(|key| !key.is_internal()).map(row).collect();
    match rows.is_empty() {
        true => "No keys.\n".to_owned(),
        false => format!("| key | type | default | importance | meaning |\n| --- | --- | --- | --- | --- |\n{rows}"),
    }
}

fn row(key: &Key) -> String {
    let default = match key.default_value() {
        _ if key.is_required() => "required".to_owned(),
        None => String::new(),
        Some("") => "empty".to_owned(),
        Some(default) => format!("`{default}`"),
    };
    let importance = match key.importance() {
        Importance::High => "high",
        Importance::Medium => "medium",
        Importance::Low => "low",
    };
    let cells = [format!("`{}`", key.name()), key.type_name().to_owned(), default, importance.to_owned(), doc(key)];
    // A bar or the end of a line would end the cell.
    let cells = cells.map(|cell| cell.replace('|', "\\|").replace('\n', " "));
    format!("| {} |\n", cells.join(" | "))
}

/// What the key means, and what its values may be.
fn doc(key: &Key) -> String {
    let values: Vec<String> = key.valid_values().iter().map(|value| format!("`{value}`")).collect();
    let bounds = match (values.is_empty(), key.bounds()) {
        (false, _) => format!("One of {}.", values.join(", ")),
        (true, (Some(min), Some(max))) => format!("From {min} to {max}."),
        (true, (Some(min), None)) => format!("At least {min}."),
        (true, (None, Some(max))) => format!("At most {max}."),
        (true, (None, None)) => String::new(),
    };
    let doc = key.documentation();
    let stop = if doc.is_empty() || bounds.is_empty() || doc.ends_with(['.', '>']) { "" } else { "." };
    let gap = if doc.is_empty() || bounds.is_empty() { "" } else { " " };
    format!("{doc}{stop}{gap}{bounds}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::TransformKind;
    use crate::{Columns, Config, Edits, Plan, Result, Transform};
    use expect_test::expect;
    use std::marker::PhantomData;

    struct OnKey;
    struct OnValue;
    struct Cut<S>(PhantomData<S>);

    trait Side: 'static {
        const NAME: &'static str;
    }

    impl Side for OnKey {
        const NAME: &'static str = "Cut$Key";
    }

    impl Side for OnValue {
        const NAME: &'static str = "Cut$Value";
    }

    impl<S: Side> Transform for Cut<S> {
        fn definition() -> Definition {
            Definition::transform(S::NAME)
                .alias(&format!("com.acme.{}", S::NAME))
                .doc("Cuts texts.")
                .key(Key::int("length").high().required().min(1).doc("How much stays, a|b"))
                .key(Key::string("side").default("left").one_of(&["left", "right"]).doc("What is cut."))
                .key(Key::string("mark").low().default(""))
                .key(Key::string("secret").internal())
        }

        fn configure(_: &Config) -> Result<Cut<S>> {
            Ok(Cut(PhantomData))
        }

        fn plan(&self) -> Plan {
            Plan::default()
        }

        fn apply(&self, _: &Columns<'_>, _: &mut Edits) -> Result<()> {
            Ok(())
        }
    }

    struct Keyless;

    impl Transform for Keyless {
        fn definition() -> Definition {
            Definition::transform("Keyless")
        }

        fn configure(_: &Config) -> Result<Keyless> {
            Ok(Keyless)
        }

        fn plan(&self) -> Plan {
            Plan::default()
        }

        fn apply(&self, _: &Columns<'_>, _: &mut Edits) -> Result<()> {
            Ok(())
        }
    }

    const PLUGIN: Plugin = Plugin {
        transforms: &[
            TransformKind::of::<Cut<OnKey>>(),
            TransformKind::of::<Cut<OnValue>>(),
            TransformKind::of::<Keyless>(),
        ],
        ..Plugin::EMPTY
    };

    #[test]
    fn definitions_become_sections_and_those_alike_share_one() {
        expect![[r#"
            # Cutting

            <!-- definitions -->

            ### `Cut$Key`, `Cut$Value` (transform)

            Cuts texts.

            Also known as `com.acme.Cut$Key`, `com.acme.Cut$Value`.

            | key | type | default | importance | meaning |
            | --- | --- | --- | --- | --- |
            | `length` | int | required | high | How much stays, a\|b. At least 1. |
            | `side` | string | `left` | medium | What is cut. One of `left`, `right`. |
            | `mark` | string | empty | low |  |

            ### `Keyless` (transform)

            No keys.

            <!-- end of definitions; UPDATE_EXPECT=1 cargo test writes them anew -->
        "#]]
        .assert_eq(&fill_readme("# Cutting\n", &PLUGIN));
    }

    #[test]
    fn what_is_between_the_marks_is_replaced_and_the_rest_stays() {
        let stale = format!("# Cutting\n\n{BEGIN}\nold\n{END}\n\nmore\n");
        let filled = fill_readme(&stale, &PLUGIN);
        assert!(
            filled.starts_with("# Cutting\n\n<!-- definitions -->") && filled.ends_with("-->\n\nmore\n"),
            "{filled}"
        );
        assert!(!filled.contains("old"), "{filled}");
        assert_eq!(fill_readme(&filled, &PLUGIN), filled, "nothing more to do");
    }
}
