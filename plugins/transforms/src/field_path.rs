//! Paths to fields as `field.syntax.version` says: V1 is the name of a top-level field, V2 goes into nested ones.

use tidegate_sdk::{Config, Error, Key, Result, Schema, Type};

const VERSION: &str = "field.syntax.version";

/// The key that Connect gives to the transforms that know paths.
pub(crate) fn syntax_version() -> Key {
    Key::string(VERSION).high().default("V1").doc(
        "Defines the version of the syntax to access fields. If set to <code>V1</code>, then the field paths are limited to \
         access the elements at the root level of the struct or map. If set to <code>V2</code>, the syntax will support \
         accessing nested elements. To access nested elements, dotted notation is used. If dots are already included in the \
         field name, then backtick pairs can be used to wrap field names containing dots. E.g. to access the subfield \
         <code>baz</code> from a field named \"foo.bar\" in a struct/map the following format can be used to access its \
         elements: \"<code>`foo.bar`.baz</code>\".",
    )
}

/// The names on the way to a field. `key` is what the path was written under.
pub(crate) fn path(config: &Config, key: &str, text: &str) -> Result<Vec<String>> {
    match config.string(VERSION)? {
        version if version.eq_ignore_ascii_case("V1") => Ok(vec![text.to_owned()]),
        version if version.eq_ignore_ascii_case("V2") => steps(text).map_err(|at| {
            let message = format!(
                "\"{text}\" has a backtick without its pair, consider adding a backslash before the backtick at position \
                 {at} to escape it"
            );
            Error::invalid_config(key, message)
        }),
        other => Err(Error::invalid_config(VERSION, format!("\"{other}\" is neither V1 nor V2"))),
    }
}

/// The names on the way to a field as our own transforms take them: always in version 2.
pub(crate) fn ours(key: &str, text: &str) -> Result<Vec<String>> {
    let path = steps(text).map_err(|at| {
        Error::invalid_config(key, format!("\"{text}\" has a backtick without its pair at position {at}"))
    })?;
    match path.is_empty() {
        true => Err(Error::invalid_config(key, "names no field")),
        false => Ok(path),
    }
}

/// Splits a path of version 2. The error is where a backtick stands that has no pair.
fn steps(path: &str) -> Result<Vec<String>, usize> {
    let mut steps = Vec::new();
    let mut at = 0;
    while at < path.len() {
        let rest = &path[at..];
        let Some(quoted) = rest.strip_prefix('`') else {
            let end = rest.find('.').unwrap_or(rest.len());
            steps.push(rest[..end].to_owned());
            at += end + 1;
            continue;
        };
        let (step, length) = quoted_step(quoted).ok_or(at)?;
        steps.push(step);
        at += 1 + length;
    }
    // Behind the last dot there is a name too, the empty one.
    if path.ends_with('.') {
        steps.push(String::new());
    }
    Ok(steps)
}

/// A name up to the backtick that ends it, with how much of the text it and the dot behind it take. A backtick ends a name
/// where a dot or the end follows, unless a backslash stands before it.
fn quoted_step(text: &str) -> Option<(String, usize)> {
    let mut step = String::new();
    let mut start = 0;
    let mut from = 0;
    loop {
        let at = from + text[from..].find('`')?;
        let escaped = text[..at].ends_with('\\');
        let after = &text[at + 1..];
        from = at + 1;
        match (after.is_empty(), after.starts_with('.'), escaped) {
            (true, _, true) => return None,
            (true, _, false) => {
                step.push_str(&text[start..at]);
                return Some((step, at + 1));
            }
            (false, false, _) => {}
            (false, true, true) => {
                step.push_str(&text[start..at - 1]);
                step.push('`');
                start = at + 1;
            }
            (false, true, false) => {
                step.push_str(&text[start..at]);
                return Some((step, at + 2));
            }
        }
    }
}

/// The schema of the field at the end of a path; none if there is no such field. The error is what Connect's DataException
/// says of a step into what has no fields.
pub(crate) fn schema_at<'s>(schema: &'s Schema, path: &[String]) -> Result<Option<&'s Schema>> {
    let mut schema = schema;
    for name in path {
        if schema.of_type != Type::Struct {
            return Err(Error::fatal("Cannot look up fields on non-struct type"));
        }
        match schema.field(name) {
            Some(field) => schema = &field.schema,
            None => return Ok(None),
        }
    }
    Ok(Some(schema))
}

/// As [`schema_at`], to be changed.
pub(crate) fn schema_at_mut<'s>(schema: &'s mut Schema, path: &[String]) -> Result<Option<&'s mut Schema>> {
    let mut schema = schema;
    for name in path {
        if schema.of_type != Type::Struct {
            return Err(Error::fatal("Cannot look up fields on non-struct type"));
        }
        match schema.fields.iter_mut().find(|field| field.name == *name) {
            Some(field) => schema = &mut field.schema,
            None => return Ok(None),
        }
    }
    Ok(Some(schema))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: &str) {
        let answer = match steps(path) {
            Ok(steps) => steps.join("|"),
            Err(at) => format!("!{at}"),
        };
        assert_eq!(answer, expected, "{path}");
    }

    #[test]
    fn dots_part_names() {
        check("a", "a");
        check("a.b.c", "a|b|c");
        check("a..b", "a||b");
        check("a.", "a|");
        check("", "");
    }

    #[test]
    fn backticks_hold_a_name_with_dots_together() {
        check("`a.b`", "a.b");
        check("x.`a.b`.y", "x|a.b|y");
        check("`a`b`", "a`b");
        check(r"`a\`.b`", "a`.b");
    }

    #[test]
    fn a_backtick_without_its_pair_is_an_error() {
        check("`a", "!0");
        check("a.`b`c", "!2");
        check(r"`a\`", "!0");
    }

    #[test]
    fn a_backtick_inside_a_name_means_nothing() {
        check("a`b.c", "a`b|c");
    }
}
