//! Java's regular expressions and replacement strings on `regex-lite`.
//!
//! The syntax is nearly the same and so is the meaning: classes such as `\w` and case-insensitive matching are ASCII in
//! both. What differs is translated; what an engine without backtracking cannot do (look-around, back references,
//! possessive quantifiers, atomic groups) is refused with the reason.

use regex_lite::{Captures, Regex};

/// A pattern as `java.util.regex.Pattern` reads it.
#[derive(Debug)]
pub(crate) struct JavaRegex {
    anywhere: Regex,
    whole: Regex,
}

impl JavaRegex {
    /// The error says what is wrong or not supported.
    pub(crate) fn new(pattern: &str) -> Result<JavaRegex, String> {
        let translated = translate(pattern)?;
        let compile = |pattern: &str| Regex::new(pattern).map_err(|error| format!("invalid regex: {error}"));
        // Each alone first, so that `a)(b` is not made valid by what is put around it.
        let anywhere = compile(&translated)?;
        Ok(JavaRegex { anywhere, whole: compile(&format!(r"\A(?:{translated})\z"))? })
    }

    /// Whether the whole text matches.
    pub(crate) fn matches(&self, text: &str) -> bool {
        self.whole.is_match(text)
    }

    /// The text with its first match replaced. Java looks for that match anew: it need not be the whole text.
    pub(crate) fn replace_first(&self, text: &str, replacement: &Replacement) -> String {
        let Some(captures) = self.anywhere.captures(text) else { return text.to_owned() };
        let Some(found) = captures.get(0) else { return text.to_owned() };
        let mut replaced = text[..found.start()].to_owned();
        replacement.write(&captures, &mut replaced);
        replaced.push_str(&text[found.end()..]);
        replaced
    }
}

/// Translates what Java writes in another way.
fn translate(pattern: &str) -> Result<String, String> {
    let refuse = |what: &str| Err(format!("{what} cannot be used here: regular expressions do not backtrack"));
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
            '\\' => rest = escape(after, class_depth > 0, &mut out)?,
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
            '(' if rest.starts_with("?=") || rest.starts_with("?!") => return refuse("look-ahead"),
            '(' if rest.starts_with("?<=") || rest.starts_with("?<!") => return refuse("look-behind"),
            '(' if rest.starts_with("?>") => return refuse("an atomic group"),
            '+' if was_quantified => return refuse("a possessive quantifier"),
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
    Ok(out)
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
fn escape<'p>(rest: &'p str, in_class: bool, out: &mut String) -> Result<&'p str, String> {
    let Some(c) = rest.chars().next() else { return Err("invalid regex: a backslash at the end".to_owned()) };
    let after = &rest[c.len_utf8()..];
    match c {
        'Q' => {
            let (literal, after) = after.split_once("\\E").unwrap_or((after, ""));
            out.push_str(&regex_lite::escape(literal));
            return Ok(after);
        }
        'E' => return Err("invalid regex: `\\E` without `\\Q`".to_owned()),
        '1'..='9' | 'k' => {
            return Err("a back reference cannot be used here: regular expressions do not backtrack".to_owned());
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
pub(crate) struct Replacement {
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Text(String),
    Group(usize),
    Named(String),
}

impl Replacement {
    /// The error is Java's, which comes when the replacement is used.
    pub(crate) fn new(text: &str, regex: &JavaRegex) -> Result<Replacement, String> {
        let groups = regex.anywhere.captures_len() - 1;
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
                            if !regex.anywhere.capture_names().flatten().any(|known| known == name) {
                                return Err(format!("No group with name {{{name}}}"));
                            }
                            parts.push(Part::Named(name));
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

    fn write(&self, captures: &Captures<'_>, out: &mut String) {
        for part in &self.parts {
            out.push_str(match part {
                Part::Text(text) => text,
                Part::Group(group) => captures.get(*group).map_or("", |found| found.as_str()),
                Part::Named(name) => captures.name(name).map_or("", |found| found.as_str()),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a text; `=` if it does not match as a whole, `!…` for an error.
    fn check(regex: &str, replacement: &str, text: &str, expected: &str) {
        let answer = match JavaRegex::new(regex) {
            Err(message) => format!("!{message}"),
            Ok(regex) if !regex.matches(text) => "=".to_owned(),
            Ok(regex) => match Replacement::new(replacement, &regex) {
                Err(message) => format!("!{message}"),
                Ok(replacement) => regex.replace_first(text, &replacement),
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
    fn what_needs_backtracking_is_refused() {
        for (regex, what) in [
            ("(?=a)a", "look-ahead"),
            ("(?<!a)b", "look-behind"),
            (r"(a)\1", "a back reference"),
            ("a*+", "a possessive quantifier"),
            ("a{2}+", "a possessive quantifier"),
            ("(?>a)", "an atomic group"),
        ] {
            check(regex, "x", "a", &format!("!{what} cannot be used here: regular expressions do not backtrack"));
        }
    }

    #[test]
    fn replacements_that_java_refuses_are_refused() {
        check("(.*)", "$", "a", "!Illegal group reference: group index is missing");
        check("(.*)", "$2", "a", "!No group 2");
        check("(.*)", "$x", "a", "!Illegal group reference");
        check("(.*)", "${n}", "a", "!No group with name {n}");
    }
}
