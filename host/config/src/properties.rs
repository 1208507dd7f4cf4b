//! The `.properties` syntax, as `java.util.Properties` reads it, in UTF-8.
//!
//! Java forgives almost everything; so does [`parse`], with warnings where a person surely meant something else. What
//! Java refuses (a broken `\u` escape) and what can never be a key is an error that names the line. Where Java reads
//! bytes as ISO-8859-1, we take UTF-8: every ASCII file means the same, and nobody writes the other on purpose.
//! A duplicate key keeps its first place and its last value, with a warning.

use crate::settings::Settings;
use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

/// Larger files are refused: configurations have kilobytes.
pub const TEXT_BYTES_MAX: usize = 1 << 20;

/// What a file says, and what its author should look at again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Properties {
    pub settings: Settings,
    pub warnings: Vec<LineWarning>,
}

/// Something odd that was understood all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineWarning {
    pub line: usize,
    pub message: String,
}

impl fmt::Display for LineWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// Why a file cannot be read. Every variant knows its line, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropertiesError {
    TooLarge { bytes: usize },
    NotUtf8 { line: usize },
    MalformedEscape { line: usize, escape: String },
    LoneSurrogate { line: usize, escape: String },
    EmptyKey { line: usize },
}

impl fmt::Display for PropertiesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PropertiesError::TooLarge { bytes } => {
                write!(f, "{bytes} bytes are too many for a configuration, at most {TEXT_BYTES_MAX} are read")
            }
            PropertiesError::NotUtf8 { line } => write!(f, "line {line}: not valid UTF-8"),
            PropertiesError::MalformedEscape { line, escape } => {
                write!(f, "line {line}: \"{escape}\" is not a character, \\u takes four hexadecimal digits")
            }
            PropertiesError::LoneSurrogate { line, escape } => {
                write!(f, "line {line}: \"{escape}\" is half of a character")
            }
            PropertiesError::EmptyKey { line } => write!(f, "line {line}: a value without a key"),
        }
    }
}

impl std::error::Error for PropertiesError {}

impl PropertiesError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            PropertiesError::TooLarge { .. } => "check that this is the right file",
            PropertiesError::NotUtf8 { .. } => "save the file as UTF-8, or write the character as \\uXXXX",
            PropertiesError::MalformedEscape { .. } => "write a backslash as \\\\, a path with / or \\\\",
            PropertiesError::LoneSurrogate { .. } => "write both halves (\\ud83d\\ude00), or the character itself",
            PropertiesError::EmptyKey { .. } => "write key=value, or put # before a comment",
        }
    }
}

/// Reads a whole file.
pub fn parse(bytes: &[u8]) -> Result<Properties, PropertiesError> {
    if bytes.len() > TEXT_BYTES_MAX {
        return Err(PropertiesError::TooLarge { bytes: bytes.len() });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        PropertiesError::NotUtf8 { line }
    })?;
    // Editors of one operating system put a byte order mark before the first key.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut properties = Properties::default();
    for line in LogicalLines::of(text) {
        entry(&line, &mut properties)?;
    }
    Ok(properties)
}

/// Writes settings so that [`parse`], and Java reading UTF-8, give them back.
pub fn write(settings: &Settings) -> String {
    let mut text = String::new();
    for (key, value) in settings.iter() {
        escape(&mut text, key, true);
        text.push('=');
        escape(&mut text, value, false);
        text.push('\n');
    }
    text
}

fn escape(text: &mut String, part: &str, is_key: bool) {
    for (index, c) in part.chars().enumerate() {
        match c {
            '\\' => text.push_str("\\\\"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\x0c' => text.push_str("\\f"),
            ' ' if is_key || index == 0 => text.push_str("\\ "),
            ':' | '=' | '#' | '!' if is_key => {
                text.push('\\');
                text.push(c);
            }
            // All control characters are below 0x10000, so one escape is enough.
            c if c.is_control() || c == '\u{feff}' => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => text.push(c),
        }
    }
}

/// A line after continuation: what stood on several is one, blanks at the start of each removed.
struct LogicalLine {
    /// The number of its first line.
    number: usize,
    text: String,
}

/// Joins lines that end in an odd number of backslashes with the next, and leaves out blank lines and comments.
struct LogicalLines<'t> {
    lines: Box<dyn Iterator<Item = (usize, &'t str)> + 't>,
}

impl<'t> LogicalLines<'t> {
    fn of(text: &'t str) -> Self {
        // A line ends with \n, \r or both.
        let lines = text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'));
        LogicalLines { lines: Box::new(lines.enumerate().map(|(index, line)| (index + 1, line))) }
    }
}

impl Iterator for LogicalLines<'_> {
    type Item = LogicalLine;

    fn next(&mut self) -> Option<LogicalLine> {
        let (number, first) = self.lines.find(|(_, line)| {
            let start = line.trim_start_matches(is_blank);
            !start.is_empty() && !start.starts_with(['#', '!'])
        })?;
        let mut text = first.trim_start_matches(is_blank).to_owned();
        while text.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1 {
            text.pop();
            match self.lines.next() {
                Some((_, next)) => text.push_str(next.trim_start_matches(is_blank)),
                None => break,
            }
        }
        Some(LogicalLine { number, text })
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\x0c')
}

fn entry(line: &LogicalLine, properties: &mut Properties) -> Result<(), PropertiesError> {
    let mut chars = line.text.chars().peekable();
    let key = unescape(&mut chars, line.number, |c| is_blank(c) || c == '=' || c == ':')?;
    if key.is_empty() {
        // What is left of a lone backslash, which joined this line to a blank one, is nothing to complain about.
        return if line.text.is_empty() { Ok(()) } else { Err(PropertiesError::EmptyKey { line: line.number }) };
    }
    while chars.next_if(|c| is_blank(*c)).is_some() {}
    let separator = chars.next_if(|c| *c == '=' || *c == ':');
    if separator.is_some() {
        while chars.next_if(|c| is_blank(*c)).is_some() {}
    }
    let value = unescape(&mut chars, line.number, |_| false)?;
    let warn = |message: String| LineWarning { line: line.number, message };
    if separator.is_none() && value.is_empty() {
        properties.warnings.push(warn(format!("\"{key}\" has no value and is read as empty, write \"{key}=\" if so")));
    }
    if properties.settings.insert(key.clone(), value).is_some() {
        properties.warnings.push(warn(format!("\"{key}\" is set again, this value replaces the earlier one")));
    }
    Ok(())
}

/// Reads up to the first unescaped character that ends the part, resolving escapes.
fn unescape(
    chars: &mut Peekable<Chars<'_>>,
    line: usize,
    is_end: impl Fn(char) -> bool,
) -> Result<String, PropertiesError> {
    let mut part = String::new();
    while let Some(c) = chars.next_if(|c| !is_end(*c)) {
        if c != '\\' {
            part.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => part.push('\t'),
            Some('n') => part.push('\n'),
            Some('r') => part.push('\r'),
            Some('f') => part.push('\x0c'),
            Some('u') => part.push(unicode(chars, line)?),
            // Java drops the backslash before any other character.
            Some(other) => part.push(other),
            None => {}
        }
    }
    Ok(part)
}

/// The character of `\uXXXX`, or of two of them where Java's UTF-16 needs two.
fn unicode(chars: &mut Peekable<Chars<'_>>, line: usize) -> Result<char, PropertiesError> {
    let (high, escape) = unit(chars, line)?;
    let lone = |escape: String| PropertiesError::LoneSurrogate { line, escape };
    if !(0xd800..0xdc00).contains(&high) {
        return char::from_u32(u32::from(high)).ok_or_else(|| lone(escape));
    }
    if chars.next_if_eq(&'\\').is_none() || chars.next_if_eq(&'u').is_none() {
        return Err(lone(escape));
    }
    let (low, second) = unit(chars, line)?;
    match char::decode_utf16([high, low]).next() {
        Some(Ok(c)) => Ok(c),
        _ => Err(lone(format!("{escape}{second}"))),
    }
}

/// Four hexadecimal digits after `\u`, and the escape as it was written.
fn unit(chars: &mut Peekable<Chars<'_>>, line: usize) -> Result<(u16, String), PropertiesError> {
    let digits: String = chars.by_ref().take(4).collect();
    let escape = format!("\\u{digits}");
    let is_hex = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    match u16::from_str_radix(&digits, 16) {
        Ok(unit) if is_hex => Ok((unit, escape)),
        _ => Err(PropertiesError::MalformedEscape { line, escape }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: Expect) {
        let shown = match parse(text.as_bytes()) {
            Ok(properties) => {
                let mut lines: Vec<String> =
                    properties.settings.iter().map(|(key, value)| format!("{key:?} {value:?}")).collect();
                lines.extend(properties.warnings.iter().map(|warning| format!("warning: {warning}")));
                lines.join("\n")
            }
            Err(error) => format!("error: {error}\nhint: {}", error.hint()),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn separators_are_equals_colon_and_blanks() {
        check(
            "a=1\nb:2\nc 3\nd\t4\n e = 5 \nf : = 6\ng==7\nh\\ i\\:j=8",
            expect![[r#"
                "a" "1"
                "b" "2"
                "c" "3"
                "d" "4"
                "e" "5 "
                "f" "= 6"
                "g" "=7"
                "h i:j" "8""#]],
        );
    }

    #[test]
    fn comments_and_blank_lines_say_nothing() {
        check("# a=1\n  ! b=2\n\n \t\x0c\na=1 # part of the value", expect![[r#""a" "1 # part of the value""#]]);
    }

    #[test]
    fn lines_end_as_any_system_ends_them() {
        check(
            "a=1\r\nb=2\rc=3\n",
            expect![[r#"
                "a" "1"
                "b" "2"
                "c" "3""#]],
        );
    }

    #[test]
    fn a_backslash_joins_the_next_line_without_its_blanks() {
        check(
            "topics=a,\\\n   b,\\\r\n\tc\npath=c\\\\\nlast=x\\",
            expect![[r#"
                "topics" "a,b,c"
                "path" "c\\"
                "last" "x""#]],
        );
    }

    #[test]
    fn a_comment_does_not_continue_but_a_continued_line_may_begin_with_its_sign() {
        check(
            "# comment \\\na=1\nb=x\\\n#y",
            expect![[r#"
                "a" "1"
                "b" "x#y""#]],
        );
    }

    #[test]
    fn escapes_are_read_as_java_reads_them() {
        check(r"a=\t|\n|\q|\\|\u00e9|\u20AC|\ud83d\ude00|é", expect![[r#""a" "\t|\n|q|\\|é|€|😀|é""#]]);
    }

    #[test]
    fn a_broken_escape_names_its_line() {
        check(
            "a=1\nb=C:\\users\\me",
            expect![[r#"
                error: line 2: "\users" is not a character, \u takes four hexadecimal digits
                hint: write a backslash as \\, a path with / or \\"#]],
        );
        check(
            r"a=\u12",
            expect![[r#"
                error: line 1: "\u12" is not a character, \u takes four hexadecimal digits
                hint: write a backslash as \\, a path with / or \\"#]],
        );
        check(
            r"a=\ud83d!",
            expect![[r#"
                error: line 1: "\ud83d" is half of a character
                hint: write both halves (\ud83d\ude00), or the character itself"#]],
        );
    }

    #[test]
    fn a_value_without_a_key_is_an_error() {
        check(
            "a=1\n\n= 2",
            expect![[r#"
                error: line 3: a value without a key
                hint: write key=value, or put # before a comment"#]],
        );
    }

    #[test]
    fn a_bare_word_and_a_duplicate_are_understood_with_a_warning() {
        check(
            "a=1\nb=2\na=3\nc",
            expect![[r#"
                "a" "3"
                "b" "2"
                "c" ""
                warning: line 3: "a" is set again, this value replaces the earlier one
                warning: line 4: "c" has no value and is read as empty, write "c=" if so"#]],
        );
    }

    #[test]
    fn bytes_that_are_no_text_name_their_line() {
        assert_eq!(parse(b"a=1\nb=\xff"), Err(PropertiesError::NotUtf8 { line: 2 }));
        let bytes = TEXT_BYTES_MAX + 1;
        assert_eq!(parse(&vec![b'#'; bytes]), Err(PropertiesError::TooLarge { bytes }));
    }

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_first_key() {
        check("\u{feff}a=1", expect![[r#""a" "1""#]]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn what_is_written_is_read_again(entries in prop::collection::vec(("\\PC{1,8}|[ \\\\=:#!\t\n\r\x0c]{1,4}|\\x{0}", "\\PC{0,8}|[ \\\\=:#!\t\n\r\x0c\u{85}]{0,4}"), 0..8)) {
            let settings: Settings = entries.into_iter().collect();
            let text = write(&settings);
            let read = parse(text.as_bytes()).map_err(|error| TestCaseError::fail(format!("{error} in {text:?}")))?;
            prop_assert_eq!(read.settings, settings);
            prop_assert_eq!(read.warnings, vec![]);
        }

        #[test]
        fn any_bytes_give_properties_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn any_text_of_the_syntax_gives_properties_or_an_error(text in "[a\\\\u0d89 =:#!\n\r]{0,60}") {
            if let Ok(read) = parse(text.as_bytes()) {
                prop_assert!(read.settings.keys().all(|key| !key.is_empty()));
            }
        }
    }
}
