//! Java's regular expressions and replacement strings on `regex-lite`, and on `fancy-regex` where a pattern has to backtrack.
//!
//! The syntax is nearly the same and so is the meaning: classes such as `\w` and case-insensitive matching are ASCII. What
//! differs is translated. Patterns are matched in linear time but for those with look-around, back references, possessive
//! quantifiers or atomic groups: these may take a number of steps and no more, and what takes longer is an error.
//!
//! Used by the host (names of topics) and by the transforms of the box: pure, and knows of neither.

use fancy_regex::RegexBuilder;

/// Steps that a match may take where it backtracks: some milliseconds.
const BACKTRACK_STEPS_MAX: usize = 100_000;

/// A pattern as `java.util.regex.Pattern` reads it.
#[derive(Debug)]
pub struct JavaRegex(Engine);

#[derive(Debug)]
enum Engine {
    Linear { anywhere: regex_lite::Regex, whole: regex_lite::Regex },
    Backtracking { anywhere: Box<fancy_regex::Regex>, whole: Box<fancy_regex::Regex> },
}

impl JavaRegex {
    /// The error says what is wrong or not supported.
    pub fn new(pattern: &str) -> Result<JavaRegex, String> {
        let (translated, backtracks) = translate(pattern, Dialect::Linear)?;
        let invalid = |error: &dyn std::fmt::Display| format!("invalid regex: {error}");
        // Each alone first, so that `a)(b` is not made valid by what is put around it.
        if !backtracks {
            let compile = |pattern: &str| regex_lite::Regex::new(pattern).map_err(|error| invalid(&error));
            let anywhere = compile(&translated)?;
            return Ok(JavaRegex(Engine::Linear { anywhere, whole: compile(&format!(r"\A(?:{translated})\z"))? }));
        }
        let (translated, _) = translate(pattern, Dialect::Backtracking)?;
        let compile = |pattern: &str| {
            let regex = RegexBuilder::new(pattern).backtrack_limit(BACKTRACK_STEPS_MAX).build();
            regex.map(Box::new).map_err(|error| invalid(&error))
        };
        let anywhere = compile(&translated)?;
        Ok(JavaRegex(Engine::Backtracking { anywhere, whole: compile(&format!(r"\A(?:{translated})\z"))? }))
    }

    /// Whether the whole text matches. The error: it cannot be told in the steps that there are.
    pub fn matches(&self, text: &str) -> Result<bool, String> {
        match &self.0 {
            Engine::Linear { whole, .. } => Ok(whole.is_match(text)),
            Engine::Backtracking { whole, .. } => whole.is_match(text).map_err(|error| too_long(text, &error)),
        }
    }

    /// The text with all its matches replaced.
    pub fn replace_all(&self, text: &str, replacement: &Replacement) -> Result<String, String> {
        let mut out = String::with_capacity(text.len());
        let mut behind = 0;
        match &self.0 {
            Engine::Linear { anywhere, .. } => {
                for captures in anywhere.captures_iter(text) {
                    let Some(found) = captures.get(0) else { continue };
                    out.push_str(&text[behind..found.start()]);
                    replacement.append(text, |group| captures.get(group).map(|found| found.range()), &mut out);
                    behind = found.end();
                }
            }
            Engine::Backtracking { anywhere, .. } => {
                for captures in anywhere.captures_iter(text) {
                    let captures = captures.map_err(|error| too_long(text, &error))?;
                    let Some(found) = captures.get(0) else { continue };
                    out.push_str(&text[behind..found.start()]);
                    replacement.append(text, |group| captures.get(group).map(|found| found.range()), &mut out);
                    behind = found.end();
                }
            }
        }
        out.push_str(&text[behind..]);
        Ok(out)
    }

    /// The text with its first match replaced. Java looks for that match anew: it need not be the whole text.
    pub fn replace_first(&self, text: &str, replacement: &Replacement) -> Result<String, String> {
        let replaced = match &self.0 {
            Engine::Linear { anywhere, .. } => anywhere
                .captures(text)
                .map(|captures| replacement.replace(text, |group| captures.get(group).map(|found| found.range()))),
            Engine::Backtracking { anywhere, .. } => {
                let captures = anywhere.captures(text).map_err(|error| too_long(text, &error))?;
                captures
                    .map(|captures| replacement.replace(text, |group| captures.get(group).map(|found| found.range())))
            }
        };
        Ok(replaced.unwrap_or_else(|| text.to_owned()))
    }

    fn group_count(&self) -> usize {
        match &self.0 {
            Engine::Linear { anywhere, .. } => anywhere.captures_len() - 1,
            Engine::Backtracking { anywhere, .. } => anywhere.captures_len() - 1,
        }
    }

    fn group_of(&self, name: &str) -> Option<usize> {
        match &self.0 {
            Engine::Linear { anywhere, .. } => anywhere.capture_names().position(|known| known == Some(name)),
            Engine::Backtracking { anywhere, .. } => anywhere.capture_names().position(|known| known == Some(name)),
        }
    }
}

fn too_long(text: &str, error: &dyn std::fmt::Display) -> String {
    format!("whether \"{text}\" matches the regular expression cannot be told: {error}")
}

/// Which engine a pattern is written for. The second one reads `\w` and the like as Unicode, which Java does not.
#[derive(Clone, Copy, PartialEq)]
enum Dialect {
    Linear,
    Backtracking,
}

/// Translates what Java writes in another way; answers too whether the pattern has to backtrack.
fn translate(pattern: &str, dialect: Dialect) -> Result<(String, bool), String> {
    const BACKTRACKING: [&str; 5] = ["?=", "?!", "?<=", "?<!", "?>"];
    let mut backtracks = false;
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    let mut class_depth = 0;
    // Whether a quantifier was just written, after which `+` is possessive.
    let mut quantified = false;
    while let Some(c) = rest.chars().next() {
        let was_quantified = std::mem::take(&mut quantified);
        let after = &rest[c.len_utf8()..];
        rest = after;
        match c {
            '\\' => {
                backtracks |= class_depth == 0 && after.starts_with(|c: char| matches!(c, '1'..='9' | 'k'));
                rest = escape(after, class_depth > 0, dialect, &mut out)?;
            }
            '[' => {
                class_depth += 1;
                out.push('[');
                if let Some(negated) = rest.strip_prefix('^') {
                    out.push('^');
                    rest = negated;
                }
            }
            ']' if class_depth > 0 => {
                class_depth -= 1;
                out.push(']');
            }
            '&' if class_depth > 0 && rest.starts_with('&') => {
                return Err("intersections of character classes (`&&`) are not supported".to_owned());
            }
            c if class_depth > 0 => out.push(c),
            '(' => {
                backtracks |= BACKTRACKING.iter().any(|group| rest.starts_with(group));
                out.push(c);
            }
            '+' if was_quantified => {
                backtracks = true;
                out.push(c);
            }
            '*' | '+' | '?' if !was_quantified => {
                quantified = true;
                out.push(c);
            }
            '}' => {
                quantified = true;
                out.push(c);
            }
            c => out.push(c),
        }
    }
    Ok((out, backtracks))
}

/// Java's POSIX classes, which are ASCII.
const CLASSES: &[(&str, &str)] = &[
    ("Lower", "a-z"),
    ("Upper", "A-Z"),
    ("ASCII", r"\x00-\x7F"),
    ("Alpha", "a-zA-Z"),
    ("Digit", "0-9"),
    ("Alnum", "a-zA-Z0-9"),
    ("Punct", r"!-/:-@\[-`\{-~"),
    ("Graph", "!-~"),
    ("Print", " -~"),
    ("Blank", r" \t"),
    ("Cntrl", r"\x00-\x1F\x7F"),
    ("XDigit", "0-9a-fA-F"),
    ("Space", r"\t\n\x0B\f\r "),
];

/// Translates what follows a backslash; answers what follows that.
fn escape<'p>(rest: &'p str, in_class: bool, dialect: Dialect, out: &mut String) -> Result<&'p str, String> {
    let Some(c) = rest.chars().next() else { return Err("invalid regex: a backslash at the end".to_owned()) };
    let after = &rest[c.len_utf8()..];
    match c {
        'Q' => {
            let (literal, after) = after.split_once("\\E").unwrap_or((after, ""));
            out.push_str(&regex_lite::escape(literal));
            return Ok(after);
        }
        'E' => return Err("invalid regex: `\\E` without `\\Q`".to_owned()),
        // Digits behind a back reference are not part of its number.
        '1'..='9' if !in_class => out.extend(["(?:\\", c.encode_utf8(&mut [0; 4]), ")"]),
        'k' if !in_class => out.push_str("\\k"),
        'b' if !in_class && dialect == Dialect::Backtracking => {
            out.push_str("(?:(?<![a-zA-Z0-9_])(?=[a-zA-Z0-9_])|(?<=[a-zA-Z0-9_])(?![a-zA-Z0-9_]))");
        }
        'B' if !in_class && dialect == Dialect::Backtracking => {
            out.push_str("(?:(?<![a-zA-Z0-9_])(?![a-zA-Z0-9_])|(?<=[a-zA-Z0-9_])(?=[a-zA-Z0-9_]))");
        }
        'd' | 'w' | 's' | 'D' | 'W' | 'S' if dialect == Dialect::Backtracking => {
            let class = match c.to_ascii_lowercase() {
                'd' => "0-9",
                'w' => "a-zA-Z0-9_",
                _ => r"\t\n\x0B\f\r ",
            };
            match (c.is_ascii_uppercase(), in_class) {
                (true, _) => out.extend(["[^", class, "]"]),
                (false, true) => out.push_str(class),
                (false, false) => out.extend(["[", class, "]"]),
            }
        }
        'p' | 'P' => {
            let (name, after) = after
                .strip_prefix('{')
                .and_then(|named| named.split_once('}'))
                .ok_or("character properties are written `\\p{Name}` here")?;
            let Some((_, class)) = CLASSES.iter().find(|(known, _)| *known == name) else {
                return Err(format!("the character property `{name}` is not supported"));
            };
            match (in_class, c) {
                (true, 'p') => out.push_str(class),
                (true, _) => return Err(format!("`\\P{{{name}}}` is not supported inside a character class")),
                (false, 'p') => out.extend(["[", class, "]"]),
                (false, _) => out.extend(["[^", class, "]"]),
            }
            return Ok(after);
        }
        'u' => {
            let digits = after.get(..4).filter(|digits| digits.chars().all(|digit| digit.is_ascii_hexdigit()));
            let digits = digits.ok_or("invalid regex: `\\u` needs four hexadecimal digits")?;
            out.extend(["\\x{", digits, "}"]);
            return Ok(&after[4..]);
        }
        'e' => out.push_str(r"\x1B"),
        'h' if in_class => out.push_str(r" \t\x{A0}"),
        'h' => out.push_str(r"[ \t\x{A0}]"),
        'Z' if !in_class => out.push_str(r"\n?\z"),
        'G' | 'R' | 'X' | 'N' | 'c' | '0' | 'H' | 'V' => return Err(format!("`\\{c}` is not supported")),
        // Java's `\v` is a class of vertical white space, not one character.
        'v' if in_class => out.push_str(r"\n\x0B\f\r\x{85}\x{2028}\x{2029}"),
        'v' => out.push_str(r"[\n\x0B\f\r\x{85}\x{2028}\x{2029}]"),
        // A letter that means something in both, or nothing in either.
        c if c.is_ascii_alphanumeric() => out.extend(['\\', c]),
        // Any other character stands for itself; not all of them may be escaped there.
        c => out.push_str(&regex_lite::escape(c.encode_utf8(&mut [0; 4]))),
    }
    Ok(after)
}

/// A replacement string as `Matcher.replaceFirst` reads it.
#[derive(Debug)]
pub struct Replacement {
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Text(String),
    Group(usize),
}

impl Replacement {
    /// The error is Java's, which comes when the replacement is used.
    pub fn new(text: &str, regex: &JavaRegex) -> Result<Replacement, String> {
        let groups = regex.group_count();
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' => literal.push(chars.next().ok_or("character to be escaped is missing")?),
                '$' => {
                    if !literal.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut literal)));
                    }
                    match chars.next() {
                        Some('{') => {
                            let name: String = std::iter::from_fn(|| chars.next_if(|&c| c != '}')).collect();
                            chars.next().ok_or("named capturing group is missing trailing '}'")?;
                            let group = regex.group_of(&name).ok_or(format!("No group with name {{{name}}}"))?;
                            parts.push(Part::Group(group));
                        }
                        Some(digit) if digit.is_ascii_digit() => {
                            let mut group = digit as usize - '0' as usize;
                            if group > groups {
                                return Err(format!("No group {group}"));
                            }
                            // Further digits belong to the number as long as there is such a group.
                            while let Some(&digit) = chars.peek().filter(|digit| digit.is_ascii_digit()) {
                                let longer = group * 10 + (digit as usize - '0' as usize);
                                if longer > groups {
                                    break;
                                }
                                group = longer;
                                chars.next();
                            }
                            parts.push(Part::Group(group));
                        }
                        Some(_) => return Err("Illegal group reference".to_owned()),
                        None => return Err("Illegal group reference: group index is missing".to_owned()),
                    }
                }
                c => literal.push(c),
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Replacement { parts })
    }

    /// Appends what stands for one match.
    fn append(&self, text: &str, group: impl Fn(usize) -> Option<std::ops::Range<usize>>, out: &mut String) {
        for part in &self.parts {
            out.push_str(match part {
                Part::Text(text) => text,
                Part::Group(number) => group(*number).map_or("", |found| &text[found]),
            });
        }
    }

    /// The text with its match replaced; `group` says where the groups of the match are, the whole of it being group 0.
    fn replace(&self, text: &str, group: impl Fn(usize) -> Option<std::ops::Range<usize>>) -> String {
        let Some(found) = group(0) else { return text.to_owned() };
        let mut replaced = text[..found.start].to_owned();
        self.append(text, &group, &mut replaced);
        replaced.push_str(&text[found.end..]);
        replaced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a text; `=` if it does not match as a whole, `!…` for an error.
    fn check(regex: &str, replacement: &str, text: &str, expected: &str) {
        let answer = match JavaRegex::new(regex) {
            Err(message) => format!("!{message}"),
            Ok(regex) if regex.matches(text) == Ok(false) => "=".to_owned(),
            Ok(regex) => match Replacement::new(replacement, &regex) {
                Err(message) => format!("!{message}"),
                Ok(replacement) => {
                    regex.replace_first(text, &replacement).unwrap_or_else(|message| format!("!{message}"))
                }
            },
        };
        assert_eq!(answer, expected, "{regex} {replacement} {text}");
    }

    #[test]
    fn groups_are_numbered_and_named() {
        check("topic-(.*)", "$1", "topic-a", "a");
        check("(?<n>t.*)", "${n}-new", "topic", "topic-new");
        check("(a)(b)?(c)", "$3$2$1", "ac", "ca");
        check("(.*)", "$0!", "x", "x!");
    }

    #[test]
    fn a_group_number_takes_as_many_digits_as_there_are_groups_for() {
        check("(a)", "$12", "a", "a2");
    }

    #[test]
    fn a_backslash_takes_the_meaning_from_a_dollar() {
        check("a", r"\$1\\", "a", r"$1\");
    }

    #[test]
    fn the_whole_text_must_match_but_the_first_match_is_replaced() {
        check("opic", "x", "topic", "=");
        check("a|ab", "x", "ab", "xb");
    }

    #[test]
    fn java_s_own_ways_of_writing_are_understood() {
        check(r"\Qa.b\E.*", "x", "a.b.c", "x");
        check(r"\p{Alpha}+-[\p{Digit}_]+", "x", "ab-1_2", "x");
        check(r"\u0061\-\_", "x", "a-_", "x");
        check("(?i)TOPIC", "x", "topic", "x");
    }

    #[test]
    fn what_needs_backtracking_backtracks() {
        check("topic-(?!b).*", "x", "topic-a", "x");
        check("topic-(?!b).*", "x", "topic-b", "=");
        check("(?<=a)b|ab", "x", "ab", "x");
        check(r"(a|b)\1", "<$1>", "bb", "<b>");
        check(r"(a|b)\1", "<$1>", "ab", "=");
        check(r"(a)\10", "x", "aa0", "x");
        check(r"(?<n>\w+)-\k<n>", "${n}", "ab-ab", "ab");
        check("a*+a", "x", "aaa", "=");
        check("(?>a|ab)c", "x", "abc", "=");
    }

    #[test]
    fn classes_are_ascii_in_patterns_that_backtrack_too() {
        check(r"(?=.)\w+", "x", "\u{e9}", "=");
        check(r"(?=.)[\d-]+", "x", "1-2", "x");
        check(r"(?=.)[^\W]+", "x", "a_1", "x");
        check(r"(?=.)a\b.*", "x", "a-", "x");
        check(r"(?=.)a\B.*", "x", "ab", "x");
        check(r"(?i)(?=.)TOPIC", "x", "topic", "x");
        check(r"(?=.)\u00e9.", "x", "\u{e9}\u{e9}", "x");
    }

    #[test]
    fn a_match_that_takes_too_long_is_an_error() {
        let regex = JavaRegex::new(r"(?:(a|aa)+)+\1$").unwrap();
        let error = regex.matches(&format!("{}b", "a".repeat(100))).unwrap_err();
        assert!(error.contains("cannot be told"), "{error}");
    }

    #[test]
    fn replacements_that_java_refuses_are_refused() {
        check("(.*)", "$", "a", "!Illegal group reference: group index is missing");
        check("(.*)", "$2", "a", "!No group 2");
        check("(.*)", "$x", "a", "!Illegal group reference");
        check("(.*)", "${n}", "a", "!No group with name {n}");
    }
}
