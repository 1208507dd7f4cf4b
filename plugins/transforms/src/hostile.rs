//! Configurations and texts from strangers: whatever they are, the answer is a value or an error, and it comes soon.

use crate::cel_columns::Looks;
use crate::date_format::DateFormat;
use crate::field_path::ours;
use crate::java_regex::{JavaRegex, Replacement};
use crate::json_text;
use proptest::prelude::*;

/// Texts made of what a syntax gives a meaning to, mixed with any others.
fn text(of: &'static [&'static str]) -> impl Strategy<Value = String> {
    let piece = prop_oneof![6 => prop::sample::select(of).prop_map(str::to_owned), 1 => "\\PC{0,3}"];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

const PATHS: &[&str] = &["a", ".", "`", "\\`", "\\", "a.b", "`a.b`", ":", ",", "\u{e9}"];
const DATES: &[&str] = &[
    "y", "yyyy", "Y", "M", "MMM", "L", "d", "D", "E", "EEEE", "u", "a", "H", "k", "K", "h", "m", "s", "S", "SSSSSS",
    "z", "Z", "X", "XXX", "G", "w", "'", "''", "-", ":", " ", "T", ".", "F", "W",
];
const REGEXES: &[&str] = &[
    "a",
    ".",
    "*",
    "+",
    "?",
    "*+",
    "(",
    ")",
    "(?:",
    "(?i)",
    "(?=",
    "(?!",
    "(?<=",
    "(?<n>",
    "[",
    "]",
    "^",
    "$",
    "|",
    "{2}",
    "{1,}",
    "\\d",
    "\\w",
    "\\b",
    "\\Q",
    "\\E",
    "\\1",
    "\\k<n>",
    "\\p{Alpha}",
    "\\x41",
    "\\u0041",
    "&&",
    "-",
    "\\",
    "#",
    "\\R",
    "\\h",
    "(?>",
];
const CEL: &[&str] = &[
    "value",
    "key",
    "headers",
    ".a",
    "['a']",
    "[0]",
    "(",
    ")",
    "+",
    "-",
    "*",
    "/",
    "%",
    "&&",
    "||",
    "!",
    "==",
    "<",
    "in",
    "? 1 : 2",
    "1",
    "2.5",
    "'x'",
    "\"",
    "has(value.a)",
    ".all(x, x > 1)",
    ".map(x, x)",
    "[1, 2]",
    "{'a': 1}",
    "null",
    "true",
    "size(",
    ",",
    " ",
    "b'a'",
    "1u",
    "0x1F",
];
const JSON: &[&str] = &[
    "{", "}", "[", "]", ",", ":", "\"a\"", "\"", "\\u00e9", "\\ud800", "\\", "1", "-", "0", ".5", "e9", "E+", "null",
    "true", "fals", " ", "\n",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_path_is_names_or_refused(path in text(PATHS)) {
        if let Ok(names) = ours("field", &path) {
            prop_assert!(!names.is_empty() && names.iter().map(String::len).sum::<usize>() <= path.len());
        }
    }

    #[test]
    fn a_date_pattern_writes_what_it_can_read_or_says_what_is_wrong(pattern in text(DATES), date in text(DATES), time in any::<i64>()) {
        if let Ok(format) = DateFormat::new(&pattern) {
            let _ = format.parse(&date);
            let mut written = Vec::new();
            format.write(time, &mut written);
            prop_assert!(std::str::from_utf8(&written).is_ok());
        }
    }

    #[test]
    fn a_java_pattern_matches_within_its_steps(pattern in text(REGEXES), replacement in text(&["$1", "$", "\\", "${n}", "a"]), subject in "[a-c1 ]{0,40}") {
        if let Ok(regex) = JavaRegex::new(&pattern) {
            let _ = regex.matches(&subject);
            if let Ok(replacement) = Replacement::new(&replacement, &regex) {
                let _ = regex.replace_first(&subject, &replacement);
                let _ = regex.replace_all(&subject, &replacement);
            }
        }
    }

    #[test]
    fn json_that_is_read_is_written_as_json_that_says_the_same(text in text(JSON)) {
        let strict = tidegate_sdk::serde_json::from_str::<tidegate_sdk::serde_json::Value>(&text);
        match json_text::parse(&text) {
            Ok(value) => {
                let mut written = String::new();
                json_text::write(&value, &mut written);
                prop_assert_eq!(json_text::parse(&written), Ok(value));
                // Numbers beyond a double are only ours.
                prop_assert!(strict.is_ok() || text.contains(['e', 'E']), "{text} is no JSON");
            }
            Err(message) => prop_assert!(strict.is_err(), "{text} is JSON: {message}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_cel_text_is_an_expression_or_refused_and_calculating_ends(source in text(CEL)) {
        if let Ok(program) = cel::Program::compile(&source) {
            let mut looks = Looks::default();
            if looks.add(program.expression()).is_ok() {
                let mut context = cel::Context::default();
                context.add_variable_from_value("value", crate::cel_values::to_cel(tidegate_sdk::Value::Map(Vec::new())));
                if let Ok(result) = program.execute(&context) {
                    let _ = crate::cel_values::from_cel(&result);
                }
            }
        }
    }
}
