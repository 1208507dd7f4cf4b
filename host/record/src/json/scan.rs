//! The validating scanner: one pass over a JSON text that checks all of it and remembers where the top-level fields are.
//!
//! It is the most expensive thing the host does to a record, so it is written for speed: the next key is predicted from
//! the one before and recognised by a 16-byte comparison, strings are searched 16 bytes at a time, nested values are
//! checked without being recorded, and nothing is allocated. It accepts exactly what RFC 8259 allows
//! (`docs/decisions/0002-json-parity.md` says where that differs from Kafka Connect), up to [`DEPTH_MAX`] levels.
//!
//! It must not interpret: numbers stay text and strings keep their escapes.

#![allow(unsafe_code, reason = "loads of 16 bytes into SSE2 registers, each from an array of 16 bytes")]

use std::fmt;

use super::shapes::{HEAD, NO_HEAD};
use super::text::{hex4, unescape};
use super::{NameId, ShapeId, Shapes};

/// Levels of nested arrays and objects.
pub const DEPTH_MAX: usize = 1000;

/// Where a top-level field lies in its text. A text is shorter than 4 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The opening quote of the name.
    pub key: u32,
    /// The first byte of the value.
    pub start: u32,
    /// Behind the last byte of the value.
    pub end: u32,
}

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Null,
    Boolean,
    Number,
    String,
    Array,
    /// An object; its slots were appended in the order of the shape's names.
    Object(ShapeId),
}

/// The value of a text, without the white space around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root {
    pub kind: Kind,
    pub start: u32,
    pub end: u32,
}

/// Why a text is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanError {
    /// The byte at which it stops being JSON.
    pub position: usize,
    pub reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    ValueExpected,
    NameExpected,
    ColonExpected,
    SeparatorExpected,
    EndExpected,
    Number,
    Escape,
    Surrogate,
    ControlCharacter,
    StringEnd,
    Utf8,
    Depth,
    Length,
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self.reason {
            Reason::ValueExpected => "expected a value",
            Reason::NameExpected => "expected a field name in quotes",
            Reason::ColonExpected => "expected `:` after a field name",
            Reason::SeparatorExpected => "expected `,` or a closing bracket",
            Reason::EndExpected => "expected nothing after the value",
            Reason::Number => "not a number as JSON writes it",
            Reason::Escape => "unknown escape in a string",
            Reason::Surrogate => "half of a surrogate pair in a string",
            Reason::ControlCharacter => "control character in a string",
            Reason::StringEnd => "a string does not end",
            Reason::Utf8 => "not UTF-8",
            Reason::Depth => "more than 1000 levels of nesting",
            Reason::Length => "longer than 4 GiB",
        };
        write!(f, "not JSON at byte {}: {reason}", self.position)
    }
}

impl std::error::Error for ScanError {}

type Result<T> = std::result::Result<T, ScanError>;

#[cold]
fn fail<T>(position: usize, reason: Reason) -> Result<T> {
    Err(ScanError { position, reason })
}

/// Indexes texts; keeps the dictionary between them.
#[derive(Default)]
pub struct Scanner {
    pub shapes: Shapes,
    /// The names of the object in hand.
    members: Vec<NameId>,
    /// The name that was met first in the last object.
    first: NameId,
    unescaped: Vec<u8>,
}

impl Scanner {
    pub fn new() -> Self {
        Self::default()
    }

    /// Checks a whole text and appends the slots of its top-level fields to `slots` if it is an object. On an error
    /// `slots` is as it was.
    pub fn index(&mut self, text: &[u8], slots: &mut Vec<Slot>) -> Result<Root> {
        let valid = check_utf8(text)?;
        let start = skip_space(valid, 0);
        let root = self.index_at(valid, start, slots)?;
        let end = skip_space(valid, root.end as usize);
        if end != valid.len() {
            slots.truncate(slots.len() - self.slots_of(root));
            return fail(end, Reason::EndExpected);
        }
        Ok(root)
    }

    fn slots_of(&self, root: Root) -> usize {
        match root.kind {
            Kind::Object(shape) => self.shapes.members(shape).len(),
            _ => 0,
        }
    }

    /// Checks the one value that starts at `start` and indexes it like [`Self::index`]; what follows it is not looked
    /// at. `text` must be UTF-8 ([`check_utf8`]).
    pub(crate) fn index_at(&mut self, text: &[u8], start: usize, slots: &mut Vec<Slot>) -> Result<Root> {
        let kind = match byte(text, start) {
            b'{' => {
                let before = slots.len();
                return match self.object(text, start, slots) {
                    Ok(root) => Ok(root),
                    Err(error) => {
                        slots.truncate(before);
                        Err(error)
                    }
                };
            }
            b'[' => Kind::Array,
            b'"' => Kind::String,
            b't' | b'f' => Kind::Boolean,
            b'n' => Kind::Null,
            _ => Kind::Number,
        };
        let end = value(text, start, 0)?;
        Ok(Root { kind, start: start as u32, end: end as u32 })
    }

    fn object(&mut self, text: &[u8], start: usize, slots: &mut Vec<Slot>) -> Result<Root> {
        self.members.clear();
        let mut at = skip_space(text, start + 1);
        if byte(text, at) == b'}' {
            at += 1;
        } else {
            let mut predicted = self.first;
            loop {
                let key = at;
                if byte(text, key) != b'"' {
                    return fail(key, Reason::NameExpected);
                }
                let (name, behind) = self.key(text, key + 1, predicted)?;
                if name != predicted {
                    // Remember what really came, for the next record.
                    match self.members.last() {
                        Some(&previous) => self.shapes.heads[previous.0 as usize].next = name,
                        None => self.first = name,
                    }
                }
                self.members.push(name);
                predicted = self.shapes.heads[name.0 as usize].next;
                at = skip_space(text, behind);
                if byte(text, at) != b':' {
                    return fail(at, Reason::ColonExpected);
                }
                let start = skip_space(text, at + 1);
                // The commonest values, without the cost of preparing for nested ones.
                let end = match byte(text, start) {
                    b'"' => string(text, start + 1)?,
                    b'-' | b'0'..=b'9' => number(text, start)?,
                    _ => value(text, start, 1)?,
                };
                slots.push(Slot { key: key as u32, start: start as u32, end: end as u32 });
                at = skip_space(text, end);
                match byte(text, at) {
                    b',' => at = skip_space(text, at + 1),
                    b'}' => {
                        at += 1;
                        break;
                    }
                    _ => return fail(at, Reason::SeparatorExpected),
                }
            }
        }
        let shape = self.shapes.shape(&self.members);
        Ok(Root { kind: Kind::Object(shape), start: start as u32, end: at as u32 })
    }

    /// Reads a name whose first byte is at `start`; answers it and the position behind its closing quote.
    #[inline(always)]
    fn key(&mut self, text: &[u8], start: usize, predicted: NameId) -> Result<(NameId, usize)> {
        if let Some(head) = self.shapes.heads.get(predicted.0 as usize) {
            let length = usize::from(head.length);
            if head.length != NO_HEAD && matches(text, start, &head.bytes, length) {
                return Ok((predicted, start + length));
            }
        }
        self.unpredicted_key(text, start)
    }

    #[inline(never)]
    fn unpredicted_key(&mut self, text: &[u8], start: usize) -> Result<(NameId, usize)> {
        let behind = string(text, start)?;
        let inside = &text[start..behind - 1];
        let name = if inside.contains(&b'\\') {
            self.unescaped.clear();
            unescape(inside, &mut self.unescaped);
            &self.unescaped
        } else {
            inside
        };
        match std::str::from_utf8(name) {
            Ok(name) => Ok((self.shapes.intern(name), behind)),
            Err(_) => fail(start, Reason::Utf8),
        }
    }
}

/// The text, if it is UTF-8 and not too long for 32-bit positions.
pub(crate) fn check_utf8(text: &[u8]) -> Result<&[u8]> {
    if text.len() >= u32::MAX as usize {
        return fail(u32::MAX as usize, Reason::Length);
    }
    if simdutf8::basic::from_utf8(text).is_err() {
        let position = std::str::from_utf8(text).map_or_else(|error| error.valid_up_to(), str::len);
        return fail(position, Reason::Utf8);
    }
    Ok(text)
}

/// The byte at `at`; 0, which no rule accepts, behind the end.
#[inline(always)]
fn byte(text: &[u8], at: usize) -> u8 {
    match text.get(at) {
        Some(&byte) => byte,
        None => 0,
    }
}

#[inline(always)]
pub(crate) fn skip_space(text: &[u8], at: usize) -> usize {
    if byte(text, at) > b' ' {
        return at;
    }
    skip_some_space(text, at)
}

fn skip_some_space(text: &[u8], mut at: usize) -> usize {
    while matches!(byte(text, at), b' ' | b'\n' | b'\r' | b'\t') {
        at += 1;
    }
    at
}

/// Arrays (0) and objects (1) around the value in hand, one bit a level. The innermost levels are in a register.
struct Nesting {
    bits: u64,
    outer: Vec<u64>,
    depth: usize,
}

impl Nesting {
    #[inline(always)]
    fn push(&mut self, object: bool, position: usize, outside: usize) -> Result<()> {
        if self.depth + outside >= DEPTH_MAX {
            return fail(position, Reason::Depth);
        }
        if self.depth.is_multiple_of(64) && self.depth > 0 {
            self.outer.push(self.bits);
        }
        self.bits = self.bits << 1 | u64::from(object);
        self.depth += 1;
        Ok(())
    }

    #[inline(always)]
    fn pop(&mut self) {
        self.depth -= 1;
        self.bits = match self.depth % 64 {
            0 => self.outer.pop().unwrap_or(0),
            _ => self.bits >> 1,
        };
    }

    #[inline(always)]
    fn in_object(&self) -> bool {
        self.bits & 1 == 1
    }
}

/// Where the scalar that starts at `at` ends.
#[inline(always)]
pub(crate) fn scalar(text: &[u8], at: usize) -> Result<usize> {
    match byte(text, at) {
        b'"' => string(text, at + 1),
        b't' => literal(text, at, b"true"),
        b'f' => literal(text, at, b"false"),
        b'n' => literal(text, at, b"null"),
        _ => number(text, at),
    }
}

/// Checks the value that starts at `at`, with `outside` levels around it, and answers where it ends. Does not recurse.
pub(crate) fn value(text: &[u8], mut at: usize, outside: usize) -> Result<usize> {
    let mut nesting = Nesting { bits: 0, outer: Vec::new(), depth: 0 };
    'value: loop {
        match byte(text, at) {
            b'"' => at = string(text, at + 1)?,
            b'-' | b'0'..=b'9' => at = number(text, at)?,
            b'{' => {
                nesting.push(true, at, outside)?;
                at = skip_space(text, at + 1);
                if byte(text, at) != b'}' {
                    at = nested_key(text, at)?;
                    continue 'value;
                }
                nesting.pop();
                at += 1;
            }
            b'[' => {
                nesting.push(false, at, outside)?;
                at = skip_space(text, at + 1);
                if byte(text, at) != b']' {
                    continue 'value;
                }
                nesting.pop();
                at += 1;
            }
            b't' => at = literal(text, at, b"true")?,
            b'f' => at = literal(text, at, b"false")?,
            b'n' => at = literal(text, at, b"null")?,
            _ => return fail(at, Reason::ValueExpected),
        }
        loop {
            if nesting.depth == 0 {
                return Ok(at);
            }
            at = skip_space(text, at);
            let object = nesting.in_object();
            match byte(text, at) {
                b',' => {
                    at = skip_space(text, at + 1);
                    if object {
                        at = nested_key(text, at)?;
                    }
                    continue 'value;
                }
                b'}' if object => nesting.pop(),
                b']' if !object => nesting.pop(),
                _ => return fail(at, Reason::SeparatorExpected),
            }
            at += 1;
        }
    }
}

/// Checks a name and its colon; answers where the value starts.
#[inline(always)]
fn nested_key(text: &[u8], at: usize) -> Result<usize> {
    if byte(text, at) != b'"' {
        return fail(at, Reason::NameExpected);
    }
    let at = skip_space(text, string(text, at + 1)?);
    if byte(text, at) != b':' {
        return fail(at, Reason::ColonExpected);
    }
    Ok(skip_space(text, at + 1))
}

fn literal(text: &[u8], at: usize, expected: &[u8]) -> Result<usize> {
    if text[at..].starts_with(expected) { Ok(at + expected.len()) } else { fail(at, Reason::ValueExpected) }
}

#[inline(always)]
fn number(text: &[u8], start: usize) -> Result<usize> {
    let mut at = start;
    if byte(text, at) == b'-' {
        at += 1;
    }
    match byte(text, at) {
        b'0' => at += 1,
        b'1'..=b'9' => at = digits(text, at + 1),
        _ => return fail(at, Reason::Number),
    }
    if byte(text, at) == b'.' {
        let fraction = at + 1;
        at = digits(text, fraction);
        if at == fraction {
            return fail(at, Reason::Number);
        }
    }
    if matches!(byte(text, at), b'e' | b'E') {
        at += 1;
        if matches!(byte(text, at), b'+' | b'-') {
            at += 1;
        }
        let exponent = at;
        at = digits(text, exponent);
        if at == exponent {
            return fail(at, Reason::Number);
        }
    }
    Ok(at)
}

#[inline(always)]
fn digits(text: &[u8], mut at: usize) -> usize {
    while byte(text, at).is_ascii_digit() {
        at += 1;
    }
    at
}

/// Checks a string whose first byte is at `at`; answers the position behind its closing quote.
#[inline(always)]
fn string(text: &[u8], mut at: usize) -> Result<usize> {
    loop {
        at = plain(text, at);
        match text.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => at = escape(text, at)?,
            Some(_) => return fail(at, Reason::ControlCharacter),
            None => return fail(at, Reason::StringEnd),
        }
    }
}

#[inline(never)]
fn escape(text: &[u8], at: usize) -> Result<usize> {
    match byte(text, at + 1) {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(at + 2),
        b'u' => {
            let high = unit(text, at)?;
            if !(0xd800..0xe000).contains(&high) {
                return Ok(at + 6);
            }
            let low = at + 6;
            if high >= 0xdc00 || byte(text, low) != b'\\' || byte(text, low + 1) != b'u' {
                return fail(at, Reason::Surrogate);
            }
            if !(0xdc00..0xe000).contains(&unit(text, low)?) {
                return fail(low, Reason::Surrogate);
            }
            Ok(at + 12)
        }
        _ => fail(at, Reason::Escape),
    }
}

/// The number in an escape `\uXXXX` that starts at `at`.
fn unit(text: &[u8], at: usize) -> Result<u32> {
    match text.get(at + 2..at + 6) {
        Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => Ok(hex4(digits)),
        _ => fail(at, Reason::Escape),
    }
}

/// The position of the first quote, backslash or control character from `at` on, or the end.
#[inline(always)]
fn plain(text: &[u8], mut at: usize) -> usize {
    while let Some(block) = text.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
        let special = block::special(block);
        if special != 0 {
            return at + special.trailing_zeros() as usize;
        }
        at += 16;
    }
    while let Some(&byte) = text.get(at) {
        if byte == b'"' || byte == b'\\' || byte < 0x20 {
            break;
        }
        at += 1;
    }
    at
}

/// Whether the `length` bytes of `head` stand at `at`.
#[inline(always)]
fn matches(text: &[u8], at: usize, head: &[u8; HEAD], length: usize) -> bool {
    let Some(rest) = text.get(at..) else { return false };
    if let Some(block) = rest.first_chunk::<16>() {
        let (first, second) = head.split_at(16);
        let equal = block::equal(block, first.first_chunk().expect("half a head has 16 bytes"));
        if length <= 16 {
            let wanted = (1u32 << length) - 1;
            return equal & wanted == wanted;
        }
        return equal == 0xffff && rest[16..].starts_with(&second[..length - 16]);
    }
    rest.starts_with(&head[..length])
}

/// Sixteen bytes at a time, with SSE2, which every x86-64 has.
#[cfg(target_arch = "x86_64")]
mod block {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
    };

    #[inline(always)]
    fn load(block: &[u8; 16]) -> __m128i {
        // SAFETY: the reference is to 16 readable bytes, and the load asks for no alignment.
        unsafe { _mm_loadu_si128(block.as_ptr().cast()) }
    }

    /// A bit for each quote, backslash and control character.
    #[inline(always)]
    pub(super) fn special(block: &[u8; 16]) -> u32 {
        let bytes = load(block);
        // SAFETY: SSE2 is part of the x86-64 baseline.
        unsafe {
            let quotes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
            let escapes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
            let controls = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
            _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quotes, escapes), controls)) as u32
        }
    }

    /// A bit for each position at which both have the same byte.
    #[inline(always)]
    pub(super) fn equal(a: &[u8; 16], b: &[u8; 16]) -> u32 {
        let (a, b) = (load(a), load(b));
        // SAFETY: SSE2 is part of the x86-64 baseline.
        unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(a, b)) as u32 }
    }
}

/// The same without vector instructions.
#[cfg(not(target_arch = "x86_64"))]
use scalar as block;

#[cfg(any(test, not(target_arch = "x86_64")))]
mod scalar {
    #[inline(always)]
    pub(super) fn special(block: &[u8; 16]) -> u32 {
        bits(block, |_, byte| byte == b'"' || byte == b'\\' || byte < 0x20)
    }

    #[inline(always)]
    pub(super) fn equal(a: &[u8; 16], b: &[u8; 16]) -> u32 {
        bits(a, |at, byte| byte == b[at])
    }

    #[inline(always)]
    fn bits(block: &[u8; 16], holds: impl Fn(usize, u8) -> bool) -> u32 {
        let mut bits = 0;
        for (at, &byte) in block.iter().enumerate() {
            bits |= u32::from(holds(at, byte)) << at;
        }
        bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    fn describe(scanner: &mut Scanner, text: &[u8]) -> String {
        let mut slots = Vec::new();
        match scanner.index(text, &mut slots) {
            Err(error) => error.to_string(),
            Ok(Root { kind: Kind::Object(shape), .. }) => {
                let fields = scanner.shapes.members(shape).iter().zip(&slots).map(|(&name, slot)| {
                    let value = String::from_utf8_lossy(&text[slot.start as usize..slot.end as usize]);
                    format!("{}={value}", scanner.shapes.name(name))
                });
                format!("object {}", fields.collect::<Vec<_>>().join(" | "))
            }
            Ok(root) => {
                format!("{:?} {}", root.kind, String::from_utf8_lossy(&text[root.start as usize..root.end as usize]))
            }
        }
    }

    fn check(text: impl AsRef<[u8]>, expected: Expect) {
        expected.assert_eq(&describe(&mut Scanner::new(), text.as_ref()));
    }

    #[test]
    fn the_top_level_of_an_object_is_indexed() {
        check(
            r#" {"a": 1, "b":{"c":[1,2,{"d":null}]} ,"e":"x\"y"} "#,
            expect![[r#"object a=1 | b={"c":[1,2,{"d":null}]} | e="x\"y""#]],
        );
        check("{}", expect!["object "]);
        check("[1, 2]", expect!["Array [1, 2]"]);
        check(" 1.10 ", expect!["Number 1.10"]);
        check(r#""text""#, expect![[r#"String "text""#]]);
        check("null", expect!["Null null"]);
        check("true", expect!["Boolean true"]);
    }

    #[test]
    fn names_are_compared_without_their_escapes() {
        let mut scanner = Scanner::new();
        let plain = describe(&mut scanner, br#"{"id":1,"x\\y":2,"x\"":3}"#);
        assert_eq!(describe(&mut scanner, br#"{"\u0069d":1,"x\u005cy":2,"x\u0022":3}"#), plain);
        assert_eq!(describe(&mut scanner, br#"{"id":1,"x\\y":2,"x\"":3}"#), plain);
        assert_eq!(scanner.shapes.len(), 1);
    }

    #[test]
    fn duplicates_are_found_once_per_shape() {
        let mut scanner = Scanner::new();
        let mut slots = Vec::new();
        for (text, duplicates) in [(r#"{"a":1,"b":2}"#, false), (r#"{"a":1,"b":2,"\u0061":3}"#, true)] {
            let root = scanner.index(text.as_bytes(), &mut slots).unwrap();
            let Kind::Object(shape) = root.kind else { panic!("an object") };
            assert_eq!(scanner.shapes.has_duplicates(shape), duplicates, "{text}");
        }
    }

    #[test]
    fn what_is_not_json_is_refused_with_reason_and_position() {
        for (text, expected) in [
            (&b""[..], expect!["not JSON at byte 0: expected a value"]),
            (b"{", expect!["not JSON at byte 1: expected a field name in quotes"]),
            (br#"{"a":1} x"#, expect!["not JSON at byte 8: expected nothing after the value"]),
            (br#"{"a":1}{"#, expect!["not JSON at byte 7: expected nothing after the value"]),
            (br#"{"a":1,}"#, expect!["not JSON at byte 7: expected a field name in quotes"]),
            (br#"{"a" 1}"#, expect!["not JSON at byte 5: expected `:` after a field name"]),
            (br#"{a:1}"#, expect!["not JSON at byte 1: expected a field name in quotes"]),
            (b"[1,]", expect!["not JSON at byte 3: expected a value"]),
            (b"[1}", expect!["not JSON at byte 2: expected `,` or a closing bracket"]),
            (b"007", expect!["not JSON at byte 1: expected nothing after the value"]),
            (b"-", expect!["not JSON at byte 1: not a number as JSON writes it"]),
            (b"1.", expect!["not JSON at byte 2: not a number as JSON writes it"]),
            (b"1e", expect!["not JSON at byte 2: not a number as JSON writes it"]),
            (b"+1", expect!["not JSON at byte 0: expected a value"]),
            (b".5", expect!["not JSON at byte 0: expected a value"]),
            (b"NaN", expect!["not JSON at byte 0: expected a value"]),
            (b"tru", expect!["not JSON at byte 0: expected a value"]),
            (br#""abc"#, expect!["not JSON at byte 4: a string does not end"]),
            (b"\"a\nb\"", expect!["not JSON at byte 2: control character in a string"]),
            (br#""\x""#, expect!["not JSON at byte 1: unknown escape in a string"]),
            (br#""\u12g4""#, expect!["not JSON at byte 1: unknown escape in a string"]),
            (br#""\u+123""#, expect!["not JSON at byte 1: unknown escape in a string"]),
            (br#""\ud800""#, expect!["not JSON at byte 1: half of a surrogate pair in a string"]),
            (br#""\udc00""#, expect!["not JSON at byte 1: half of a surrogate pair in a string"]),
            (br#""\ud800\u0041""#, expect!["not JSON at byte 7: half of a surrogate pair in a string"]),
            (b"\"\xff\"", expect!["not JSON at byte 1: not UTF-8"]),
            (b"\xef\xbb\xbf{}", expect!["not JSON at byte 0: expected a value"]),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn nesting_is_bounded_and_does_not_use_the_stack() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let mut scanner = Scanner::new();
        let mut slots = Vec::new();
        assert!(scanner.index(nested(DEPTH_MAX).as_bytes(), &mut slots).is_ok());
        check(nested(DEPTH_MAX + 1), expect!["not JSON at byte 1000: more than 1000 levels of nesting"]);
        let inside = |depth| format!(r#"{{"a":{}}}"#, nested(depth));
        assert!(scanner.index(inside(DEPTH_MAX - 1).as_bytes(), &mut slots).is_ok());
        assert!(scanner.index(inside(DEPTH_MAX).as_bytes(), &mut slots).is_err());
        assert!(scanner.index("[".repeat(1 << 20).as_bytes(), &mut slots).is_err());
    }

    #[test]
    fn brackets_match_at_every_depth() {
        let mut scanner = Scanner::new();
        let mut slots = Vec::new();
        for depth in [1, 2, 63, 64, 65, 127, 128, 129, 500] {
            // Objects and arrays in turn, so that a level that is forgotten shows.
            let (mut open, mut close) = (String::new(), String::new());
            for level in 0..depth {
                let (left, right) = if level % 3 == 0 { ("{\"a\":", "}") } else { ("[", "]") };
                open.push_str(left);
                close.insert_str(0, right);
            }
            assert!(scanner.index(format!("{open}1{close}").as_bytes(), &mut slots).is_ok(), "{depth}");
            for at in 0..close.len() {
                let mut wrong = close.clone();
                let other = if &close[at..=at] == "}" { "]" } else { "}" };
                wrong.replace_range(at..=at, other);
                assert!(scanner.index(format!("{open}1{wrong}").as_bytes(), &mut slots).is_err(), "{depth} {at}");
            }
        }
    }

    #[test]
    fn a_refused_text_leaves_no_slots() {
        let mut scanner = Scanner::new();
        let mut slots = Vec::new();
        for text in [r#"{"a":1,"b":2"#, r#"{"a":1,"b":2}]"#] {
            scanner.index(text.as_bytes(), &mut slots).unwrap_err();
            assert_eq!(slots, []);
        }
    }

    /// What serde_json says: accepted or not, and the value. A number out of its range is still JSON to us.
    fn oracle(text: &[u8]) -> Option<Option<serde_json::Value>> {
        match serde_json::from_slice(text) {
            Ok(value) => Some(Some(value)),
            Err(error) if error.to_string().starts_with("number out of range") => None,
            Err(_) => Some(None),
        }
    }

    /// Indexes a text with a scanner that has seen others and compares the outcome with serde_json.
    fn agree(scanner: &mut Scanner, text: &[u8]) -> std::result::Result<(), TestCaseError> {
        let Some(expected) = oracle(text) else { return Ok(()) };
        let mut slots = Vec::new();
        let found = scanner.index(text, &mut slots);
        prop_assert_eq!(found.is_ok(), expected.is_some(), "{:?}", found);
        if let (Ok(Root { kind: Kind::Object(shape), .. }), Some(serde_json::Value::Object(object))) = (found, expected)
        {
            let mut fields = serde_json::Map::new();
            for (&name, slot) in scanner.shapes.members(shape).iter().zip(&slots) {
                let value = serde_json::from_slice(&text[slot.start as usize..slot.end as usize]).unwrap();
                fields.insert(scanner.shapes.name(name).to_owned(), value);
            }
            prop_assert_eq!(fields, object);
        }
        Ok(())
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let name = prop_oneof!["[a-e]{1,2}", "[a-z]{14,34}", ".{0,4}", "[\"\\\\/]{1,2}"];
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_filter_map("finite", |n| n.is_finite().then(|| n.into())),
            ".{0,40}".prop_map(Into::into),
            "[\\x00-\\x7f]{0,20}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 40, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::vec((name.clone(), inner), 0..8)
                    .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn texts_are_read_as_serde_json_reads_them(values in prop::collection::vec((json(), any::<bool>()), 1..4)) {
            let mut scanner = Scanner::new();
            for (value, pretty) in values {
                let text = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) }.unwrap();
                agree(&mut scanner, &text)?;
                agree(&mut scanner, &text)?;
            }
        }

        #[test]
        fn mutated_texts_are_refused_as_serde_json_refuses_them(
            value in json(),
            mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..4u8), 1..4),
        ) {
            const PIECES: &[&[u8]] = &[
                b"\"", b"\\", b"{", b"}", b"[", b"]", b",", b":", b"0", b"-", b".", b"e", b"\\u", b"\\ud800", b"\\udc00",
                b"d", b" ", b"\n", b"\x00", b"\x1f", b"\xff", b"\xc3", b"null", b"tru", b"1e5", b"\"a\":1,", b"01",
            ];
            let mut text = serde_json::to_vec(&value).unwrap();
            let mut scanner = Scanner::new();
            agree(&mut scanner, &text)?;
            for (place, piece, kind) in mutations {
                let at = place.index(text.len() + 1);
                let piece = PIECES[piece.index(PIECES.len())];
                match kind {
                    0 => { text.splice(at..at, piece.iter().copied()); }
                    1 if at < text.len() => { text.remove(at); }
                    2 => text.truncate(at),
                    _ => {
                        let end = text.len().min(at + piece.len());
                        text.splice(at..end, piece.iter().copied());
                    }
                }
                agree(&mut scanner, &text)?;
            }
        }

        #[test]
        fn any_bytes_give_an_index_or_an_error(text in prop::collection::vec(any::<u8>(), 0..64)) {
            agree(&mut Scanner::new(), &text)?;
        }

        #[test]
        fn scalar_and_vector_code_agree(a in any::<[u8; 16]>(), b in any::<[u8; 16]>(), same in any::<u16>()) {
            let mut b = b;
            for at in 0..16 {
                if same >> at & 1 == 1 {
                    b[at] = a[at];
                }
            }
            prop_assert_eq!(block::special(&a), scalar::special(&a));
            prop_assert_eq!(block::equal(&a, &b), scalar::equal(&a, &b));
        }
    }
}
