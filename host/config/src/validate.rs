//! Checks settings against keys, and says everything that is wrong at once.
//!
//! Texts and behaviour are those of Connect's `ConfigDef`, since tools parse them: values are trimmed, a failed parse
//! leaves no value and its rules then judge that absence (so `tasks.max=ten` has two errors), a default is not judged
//! twice. What the answer of `config/validate` shows per key is an [`Entry`]; turning entries into Connect's JSON is the
//! REST layer's.

use crate::key::{DefaultValue, Key, Rule, Type};
use crate::nearest::nearest;
use crate::settings::Settings;
use std::fmt;

/// Shown in place of a value that must not be.
pub const HIDDEN: &str = "[hidden]";

/// How much of a wrong value a message repeats.
const VALUE_CHARS_SHOWN_MAX: usize = 1_000;

/// A value that has the type of its key.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Boolean(bool),
    Short(i16),
    Int(i32),
    Long(i64),
    Double(f64),
    List(Vec<String>),
    /// Text of every other type, trimmed.
    Text(String),
}

/// Something that makes a configuration unusable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub key: String,
    /// The whole sentence; it names the key itself.
    pub message: String,
}

/// Something that an operator should know, though the configuration works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    pub key: String,
    pub message: String,
}

impl Problem {
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Problem { key: key.into(), message: message.into() }
    }

    /// Connect's sentence for a wrong value.
    pub fn invalid(key: &str, value: &str, why: &str) -> Self {
        Problem::new(key, invalid(key, value, why))
    }

    /// Connect's sentence for a key that must be there.
    pub fn missing(key: &str) -> Self {
        Problem::new(key, missing(key))
    }

    /// Connect's sentence for a key that JSON sets to null.
    pub fn null(key: &str) -> Self {
        Problem::new(key, "Null value can not be supplied as the configuration value.")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key \"{}\": {}", self.key, self.message)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key \"{}\": {}", self.key, self.message)
    }
}

/// Every problem of one configuration, for callers that need it valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid configuration")?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Invalid {}

/// What is known about one key after checking.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub name: String,
    /// None for a key that nobody declared but somebody complained about.
    pub key: Option<Key>,
    /// True if the configuration names the key.
    pub is_set: bool,
    /// The value, or its default; none where there is neither, or where it could not be read.
    pub value: Option<Value>,
    pub recommended: Vec<String>,
    pub errors: Vec<String>,
    pub visible: bool,
}

impl Entry {
    /// The value as an answer may show it.
    pub fn value_shown(&self) -> Option<String> {
        let value = self.value.as_ref()?;
        match &self.key {
            Some(key) if key.of_type.is_hidden() => Some(HIDDEN.to_owned()),
            _ => Some(text_of(value)),
        }
    }
}

/// The result of checking: one entry per key, in the order of the keys. Whoever knows more than the keys say (that a
/// class does not exist, that two keys contradict each other) adds it with [`Validation::refuse`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Validation {
    entries: Vec<Entry>,
}

impl Validation {
    /// Checks every key. Settings without a key are not looked at: see [`unknown`].
    pub fn of(keys: &[Key], settings: &Settings) -> Self {
        Validation { entries: keys.iter().map(|key| entry(key, settings.get(&key.name))).collect() }
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == key)
    }

    /// Adds an error to a key, which need not be declared.
    pub fn refuse(&mut self, problem: Problem) {
        self.entry_mut(problem.key).errors.push(problem.message);
    }

    /// Adds an error to a key whose value turned out to mean nothing: it is not shown any more.
    pub fn refuse_value(&mut self, problem: Problem) {
        let entry = self.entry_mut(problem.key);
        entry.value = None;
        entry.errors.push(problem.message);
    }

    /// Says what a form may offer for a key.
    pub fn recommend(&mut self, key: &str, values: Vec<String>) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.name == key) {
            entry.recommended = values;
        }
    }

    pub fn is_valid(&self) -> bool {
        self.error_count() == 0
    }

    pub fn error_count(&self) -> usize {
        self.entries.iter().map(|entry| entry.errors.len()).sum()
    }

    pub fn problems(&self) -> Vec<Problem> {
        let of_entry = |entry: &Entry| -> Vec<Problem> {
            entry.errors.iter().map(|message| Problem::new(entry.name.clone(), message.clone())).collect()
        };
        self.entries.iter().flat_map(of_entry).collect()
    }

    pub fn value(&self, key: &str) -> Option<&Value> {
        self.entry(key)?.value.as_ref()
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        match self.value(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn list(&self, key: &str) -> &[String] {
        match self.value(key) {
            Some(Value::List(items)) => items,
            _ => &[],
        }
    }

    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.value(key)? {
            Value::Boolean(flag) => Some(*flag),
            _ => None,
        }
    }

    /// A whole number of any width.
    pub fn number(&self, key: &str) -> Option<i64> {
        match self.value(key)? {
            Value::Short(number) => Some(i64::from(*number)),
            Value::Int(number) => Some(i64::from(*number)),
            Value::Long(number) => Some(*number),
            _ => None,
        }
    }

    fn entry_mut(&mut self, name: String) -> &mut Entry {
        let index = match self.entries.iter().position(|entry| entry.name == name) {
            Some(index) => index,
            None => {
                self.entries.push(Entry {
                    name,
                    key: None,
                    is_set: false,
                    value: None,
                    recommended: Vec::new(),
                    errors: Vec::new(),
                    visible: true,
                });
                self.entries.len() - 1
            }
        };
        &mut self.entries[index]
    }
}

/// Settings that no key and no prefix (such as `producer.`) covers, each with the nearest name that would be known.
pub fn unknown<'k>(
    settings: &Settings,
    known: impl IntoIterator<Item = &'k str> + Clone,
    prefixes: &[&str],
) -> Vec<Warning> {
    let is_known = |name: &str| known.clone().into_iter().any(|key| key == name);
    let is_covered = |name: &str| prefixes.iter().any(|prefix| name.len() > prefix.len() && name.starts_with(prefix));
    let warn = |name: &str| Warning {
        key: name.to_owned(),
        message: match nearest(name, known.clone()) {
            Some(near) => format!("not known and ignored, did you mean \"{near}\"?"),
            None => "not known and ignored".to_owned(),
        },
    };
    settings.keys().filter(|name| !is_known(name) && !is_covered(name)).map(warn).collect()
}

/// What is wrong with a value of a key, if anything.
pub(crate) fn errors_of(key: &Key, value: &str) -> Vec<String> {
    entry(key, Some(value)).errors
}

fn entry(key: &Key, raw: Option<&str>) -> Entry {
    let mut errors = Vec::new();
    let value = match (raw, &key.default) {
        (Some(raw), _) => match parse(key.of_type, raw) {
            Ok(value) => Some(value),
            Err(why) => {
                errors.push(invalid(&key.name, shown(key, raw), &why));
                None
            }
        },
        (None, DefaultValue::Required) => {
            errors.push(missing(&key.name));
            None
        }
        (None, DefaultValue::Null) => None,
        // A default that its own type refuses is a mistake of whoever wrote the key; it acts as if there were none.
        (None, DefaultValue::Value(default)) => parse(key.of_type, default).ok(),
    };
    let is_absent_on_purpose = value.is_none() && errors.is_empty();
    if !is_absent_on_purpose {
        for rule in &key.rules {
            if let Err(why) = check(rule, value.as_ref()) {
                let text = match &value {
                    None => "null".to_owned(),
                    Some(_) if key.of_type.is_hidden() => HIDDEN.to_owned(),
                    Some(Value::List(items)) => format!("[{}]", items.join(", ")),
                    Some(value) => text_of(value),
                };
                errors.push(invalid(key.own_name(), &text, &why));
            }
        }
    }
    let recommended = key.recommended.clone();
    Entry {
        name: key.name.clone(),
        key: Some(key.clone()),
        is_set: raw.is_some(),
        value,
        recommended,
        errors,
        visible: true,
    }
}

fn invalid(key: &str, value: &str, why: &str) -> String {
    let mut shown: String = value.chars().take(VALUE_CHARS_SHOWN_MAX).collect();
    if shown.len() < value.len() {
        shown.push('…');
    }
    format!("Invalid value {shown} for configuration {key}: {why}")
}

fn missing(key: &str) -> String {
    format!("Missing required configuration \"{key}\" which has no default value.")
}

fn shown<'v>(key: &Key, raw: &'v str) -> &'v str {
    if key.of_type.is_hidden() { HIDDEN } else { raw }
}

/// Java's `String.trim`, which takes every character up to the blank for blank.
fn trim(raw: &str) -> &str {
    raw.trim_matches(|c| c <= ' ')
}

/// Reads a value as Connect reads it.
pub fn parse(of_type: Type, raw: &str) -> Result<Value, String> {
    let text = trim(raw);
    let not_a_number = || format!("Not a number of type {}", of_type.connect_name());
    match of_type {
        Type::Boolean if text.eq_ignore_ascii_case("true") => Ok(Value::Boolean(true)),
        Type::Boolean if text.eq_ignore_ascii_case("false") => Ok(Value::Boolean(false)),
        Type::Boolean => Err("Expected value to be either true or false".to_owned()),
        Type::Short => text.parse().map(Value::Short).map_err(|_| not_a_number()),
        Type::Int => text.parse().map(Value::Int).map_err(|_| not_a_number()),
        Type::Long => text.parse().map(Value::Long).map_err(|_| not_a_number()),
        Type::Double => parse_double(text).map(Value::Double).ok_or_else(not_a_number),
        Type::List => Ok(Value::List(split_list(text))),
        Type::Url => check_items(text, crate::address::parse_url).map(|()| Value::Text(text.to_owned())),
        Type::HostPort => check_items(text, crate::address::parse_host_port).map(|()| Value::Text(text.to_owned())),
        Type::ListenAddress => {
            crate::address::parse_listen_address(text)?;
            Ok(Value::Text(text.to_owned()))
        }
        Type::PathRead | Type::PathWrite if text.contains('\0') => {
            Err("A path may not contain the character NUL".to_owned())
        }
        Type::String | Type::Class | Type::Password | Type::Secret | Type::PathRead | Type::PathWrite => {
            Ok(Value::Text(text.to_owned()))
        }
    }
}

/// Empty text reaches nothing and is left to the rules; otherwise every item must be right.
fn check_items<T>(text: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<(), String> {
    split_list(text).iter().try_for_each(|item| parse(item).map(drop))
}

/// Splits as Connect does: at commas with the blanks around them; blank text is the empty list.
pub fn split_list(text: &str) -> Vec<String> {
    let text = trim(text);
    if text.is_empty() {
        return Vec::new();
    }
    text.split(',').map(|item| item.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b').to_owned()).collect()
}

/// Java's `Double.parseDouble`, without hexadecimal: a type suffix is allowed, infinity has one spelling.
fn parse_double(text: &str) -> Option<f64> {
    let unsigned = text.trim_start_matches(['+', '-']);
    if unsigned == "NaN" || unsigned == "Infinity" {
        return text.parse().ok();
    }
    let number = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
    if number.chars().any(|c| c.is_alphabetic() && !c.eq_ignore_ascii_case(&'e')) {
        return None;
    }
    number.parse().ok()
}

/// Judges a value, or the absence that an error left behind.
fn check(rule: &Rule, value: Option<&Value>) -> Result<(), String> {
    match rule {
        Rule::OneOf(allowed) => {
            let is_allowed = |text: &str| allowed.iter().any(|word| word == text);
            every_text(value, is_allowed).ok_or_else(|| format!("String must be one of: {}", allowed.join(", ")))
        }
        Rule::OneOfIgnoringCase(allowed) => {
            let is_allowed = |text: &str| allowed.iter().any(|word| word.eq_ignore_ascii_case(text));
            let upper: Vec<String> = allowed.iter().map(|word| word.to_uppercase()).collect();
            every_text(value, is_allowed)
                .ok_or_else(|| format!("String must be one of (case insensitive): {}", upper.join(", ")))
        }
        Rule::Range { min, max } => check_range(*min, *max, value),
        Rule::NonEmpty => match value {
            Some(Value::Text(text)) if text.is_empty() => Err("String must be non-empty".to_owned()),
            Some(Value::List(items)) if items.is_empty() => Err("List must be non-empty".to_owned()),
            _ => Ok(()),
        },
        Rule::Name => match value {
            Some(Value::Text(text)) => check_name(text),
            _ => Ok(()),
        },
        Rule::DistinctAliases => match value {
            Some(Value::List(items)) if has_duplicates(items) => Err("Duplicate alias provided.".to_owned()),
            _ => Ok(()),
        },
    }
}

/// Some(()) if there is text and all of it is right; a list is right if each item is.
fn every_text(value: Option<&Value>, is_right: impl Fn(&str) -> bool) -> Option<()> {
    let right = match value? {
        Value::List(items) => items.iter().all(|item| is_right(item)),
        value => is_right(&text_of(value)),
    };
    right.then_some(())
}

fn check_range(min: Option<i64>, max: Option<i64>, value: Option<&Value>) -> Result<(), String> {
    let (below, above) = match value {
        None => return Err("Value must be non-null".to_owned()),
        Some(Value::Short(number)) => outside(min, max, i64::from(*number)),
        Some(Value::Int(number)) => outside(min, max, i64::from(*number)),
        Some(Value::Long(number)) => outside(min, max, *number),
        // A NaN is within no bounds.
        Some(Value::Double(number)) => (
            min.is_some_and(|min| number.is_nan() || *number < min as f64),
            max.is_some_and(|max| number.is_nan() || *number > max as f64),
        ),
        Some(_) => return Ok(()),
    };
    match (below, above, min, max) {
        (true, _, Some(min), _) => Err(format!("Value must be at least {min}")),
        (_, true, _, Some(max)) => Err(format!("Value must be no more than {max}")),
        _ => Ok(()),
    }
}

fn outside(min: Option<i64>, max: Option<i64>, number: i64) -> (bool, bool) {
    (min.is_some_and(|min| number < min), max.is_some_and(|max| number > max))
}

fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("String may not be empty".to_owned());
    }
    let controls: Vec<String> = name.chars().filter(|c| c.is_control()).map(|c| u32::from(c).to_string()).collect();
    match controls.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "String may not contain control sequences but had the following ASCII chars: {}",
            controls.join(", ")
        )),
    }
}

fn has_duplicates(items: &[String]) -> bool {
    let mut seen = std::collections::HashSet::new();
    !items.iter().all(|item| seen.insert(item))
}

/// A value as text, in Java's manner.
fn text_of(value: &Value) -> String {
    match value {
        Value::Boolean(flag) => flag.to_string(),
        Value::Short(number) => number.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Long(number) => number.to_string(),
        Value::Double(number) => format!("{number:?}"),
        Value::List(items) => items.join(","),
        Value::Text(text) => text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{boolean, double, host_port, int, list, listen_address, long, password, short, string, url};
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    fn keys() -> Vec<Key> {
        vec![
            string("name").required().rule(Rule::Name),
            string("topic").required().non_empty(),
            int("tasks.max").default("1").at_least(1),
            string("kind").default("warm").one_of(&["warm", "cool"]),
            string("support").default("requested").one_of_ignoring_case(&["required", "requested"]),
            list("transforms").default("").rule(Rule::DistinctAliases),
            boolean("on").default("false"),
            short("short"),
            long("long").between(-5, 5),
            double("double").between(0, 1),
            password("secret").one_of(&["a", "b"]),
            url("url"),
            host_port("hosts"),
            listen_address("listen"),
        ]
    }

    /// Shows the errors, or the values that the settings give.
    #[track_caller]
    fn check(settings: &[(&str, &str)], expected: Expect) {
        let mut all = vec![("name", "n"), ("topic", "t")];
        all.retain(|(key, _)| settings.iter().all(|(set, _)| set != key));
        all.extend_from_slice(settings);
        let settings: Settings = all.into_iter().filter(|(_, value)| *value != "(absent)").collect();
        let validation = Validation::of(&keys(), &settings);
        let shown: Vec<String> = match validation.is_valid() {
            true => validation
                .entries()
                .iter()
                .filter(|entry| entry.is_set && entry.name != "name" && entry.name != "topic")
                .map(|entry| format!("{} = {}", entry.name, entry.value_shown().unwrap_or_default()))
                .collect(),
            false => validation.problems().into_iter().map(|problem| problem.message).collect(),
        };
        expected.assert_eq(&shown.join("\n"));
    }

    #[test]
    fn values_are_trimmed_and_typed_as_connect_does_it() {
        check(
            &[
                ("tasks.max", " +7 "),
                ("on", "TRUE"),
                ("transforms", " a , b\t,c "),
                ("double", "0.5f"),
                ("support", "Required"),
                ("url", "https://EXAMPLE.com/x, http://b:9"),
                ("hosts", ""),
                ("listen", ":0"),
                ("secret", "a"),
            ],
            expect![[r#"
                tasks.max = 7
                support = Required
                transforms = a,b,c
                on = true
                double = 0.5
                secret = [hidden]
                url = https://EXAMPLE.com/x, http://b:9
                hosts = 
                listen = :0"#]],
        );
    }

    #[test]
    fn texts_are_those_of_connect() {
        check(
            &[
                ("name", ""),
                ("topic", "(absent)"),
                ("tasks.max", "ten"),
                ("kind", "never"),
                ("support", "maybe"),
                ("transforms", "a,a"),
                ("on", "yes"),
                ("short", "40000"),
                ("long", "6"),
                ("double", "NaN"),
            ],
            expect![[r#"
                Invalid value  for configuration name: String may not be empty
                Missing required configuration "topic" which has no default value.
                Invalid value ten for configuration tasks.max: Not a number of type INT
                Invalid value null for configuration tasks.max: Value must be non-null
                Invalid value never for configuration kind: String must be one of: warm, cool
                Invalid value maybe for configuration support: String must be one of (case insensitive): REQUIRED, REQUESTED
                Invalid value [a, a] for configuration transforms: Duplicate alias provided.
                Invalid value yes for configuration on: Expected value to be either true or false
                Invalid value 40000 for configuration short: Not a number of type SHORT
                Invalid value 6 for configuration long: Value must be no more than 5
                Invalid value NaN for configuration double: Value must be at least 0"#]],
        );
        check(
            &[("tasks.max", "0"), ("name", "line\nbreak"), ("topic", "")],
            expect![[r#"
            Invalid value line
            break for configuration name: String may not contain control sequences but had the following ASCII chars: 10
            Invalid value  for configuration topic: String must be non-empty
            Invalid value 0 for configuration tasks.max: Value must be at least 1"#]],
        );
    }

    #[test]
    fn our_types_say_what_they_want() {
        check(
            &[("url", "example.com"), ("hosts", "a:1,b"), ("listen", "a:70000")],
            expect![[r#"
            Invalid value example.com for configuration url: Not a URL: relative URL without a base
            Invalid value a:1,b for configuration hosts: Not of the form host:port
            Invalid value a:70000 for configuration listen: The port must be a number from 0 to 65535"#]],
        );
    }

    #[test]
    fn a_secret_is_in_no_message() {
        check(
            &[("secret", "hunter2")],
            expect!["Invalid value [hidden] for configuration secret: String must be one of: a, b"],
        );
    }

    #[test]
    fn an_unknown_key_gets_the_nearest_name_unless_a_prefix_covers_it() {
        let settings: Settings =
            [("task.max", "1"), ("producer.acks", "all"), ("producer.", "x"), ("wholly.other", "1")]
                .into_iter()
                .collect();
        let keys = keys();
        let warnings = unknown(&settings, keys.iter().map(|key| key.name.as_str()), &["producer."]);
        let shown: Vec<String> = warnings.iter().map(Warning::to_string).collect();
        expect![[r#"
            key "task.max": not known and ignored, did you mean "tasks.max"?
            key "producer.": not known and ignored
            key "wholly.other": not known and ignored"#]]
        .assert_eq(&shown.join("\n"));
    }

    #[test]
    fn a_key_that_nobody_declared_can_carry_an_error() {
        let mut validation = Validation::of(&keys(), &[("name", "n"), ("topic", "t")].into_iter().collect());
        validation.refuse(Problem::null("extra"));
        let entry = validation.entry("extra").expect("the entry was added");
        assert_eq!((entry.key.is_none(), entry.errors.len(), validation.error_count()), (true, 1, 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn any_text_is_a_value_or_an_error(text in "\\PC{0,20}|[-+0-9.eEdfNaInfity:/,\\[\\]]{0,12}") {
            for key in keys() {
                let entry = Validation::of(std::slice::from_ref(&key), &[(key.name.as_str(), text.as_str())].into_iter().collect());
                prop_assert!(entry.value(&key.name).is_some() || !entry.is_valid());
            }
        }

        #[test]
        fn whole_numbers_are_read_within_their_width(number in any::<i64>()) {
            let text = number.to_string();
            prop_assert_eq!(parse(Type::Long, &text), Ok(Value::Long(number)));
            prop_assert_eq!(parse(Type::Int, &text).is_ok(), i32::try_from(number).is_ok());
            prop_assert_eq!(parse(Type::Short, &text).is_ok(), i16::try_from(number).is_ok());
        }
    }
}
