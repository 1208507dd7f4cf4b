//! Names and literals inside SQL, safe whatever they contain. Pure.

/// A name as SQL: in double quotes, with those inside doubled.
pub(crate) fn name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Names as SQL, separated by commas.
pub(crate) fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(name).collect::<Vec<_>>().join(", ")
}

/// Text as a literal.
pub(crate) fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Whether SQLite can have a thing of this name. A zero byte would end the statement there.
pub(crate) fn is_possible(name: &str) -> bool {
    !name.is_empty() && !name.contains('\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_stays_a_name() {
        assert_eq!(name(r#"a"; drop table b; --"#), r#""a""; drop table b; --""#);
        assert_eq!(text("it's"), "'it''s'");
        assert_eq!(names(["a", "b c"]), r#""a", "b c""#);
    }
}
