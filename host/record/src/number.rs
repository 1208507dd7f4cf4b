//! The grammar of JSON numbers, which travel as their source text (tag 10) so that none of their digits is lost.

/// Whether `text` is exactly one JSON number: `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`.
pub fn is_json_number(text: &[u8]) -> bool {
    let mut rest = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest[0] == b'0') {
        return false;
    }
    rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let length = digits(fraction);
        if length == 0 {
            return false;
        }
        rest = &fraction[length..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = match exponent {
            [b'+' | b'-', digits @ ..] => digits,
            digits => digits,
        };
        let length = digits(exponent);
        if length == 0 {
            return false;
        }
        rest = &exponent[length..];
    }
    rest.is_empty()
}

/// Whether a JSON number is an integer to Connect: it has neither fraction nor exponent.
pub fn is_integral(text: &str) -> bool {
    !text.bytes().any(|b| matches!(b, b'.' | b'e' | b'E'))
}

/// The int64 of an integral JSON number as Connect takes it: beyond 64 bits the low 64 bits count.
pub fn wrapping_i64(text: &str) -> i64 {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let magnitude = digits
        .bytes()
        .filter(u8::is_ascii_digit)
        .fold(0i64, |sum, digit| sum.wrapping_mul(10).wrapping_add(i64::from(digit - b'0')));
    if negative { magnitude.wrapping_neg() } else { magnitude }
}

/// The int64 of any JSON number as Java's `BigDecimal.longValue` gives it: what is behind the point is cut off, and beyond
/// 64 bits the low 64 bits count.
pub fn truncated_i64(text: &str) -> i64 {
    if is_integral(text) {
        return wrapping_i64(text);
    }
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        // An exponent that is no i32 shifts everything away, one way or the other.
        Some(at) => match text[at + 1..].parse::<i32>() {
            Ok(exponent) => (&text[..at], i64::from(exponent)),
            Err(_) => return 0,
        },
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (sign, whole) = match whole.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", whole),
    };
    let kept = whole.len() as i64 + exponent;
    // 64 zeros shift every digit out of 64 bits.
    let zeros = (kept - (whole.len() + fraction.len()) as i64).clamp(0, 64) as usize;
    let digits: String = whole.chars().chain(fraction.chars()).take(kept.max(0) as usize).collect();
    wrapping_i64(&format!("{sign}{digits}{}", "0".repeat(zeros)))
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|b| b.is_ascii_digit()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_that_of_json() {
        for good in ["0", "-0", "7", "10", "1.5", "-1.50", "1e5", "1E+05", "0.1e-400", "123456789012345678901234567890"]
        {
            assert!(is_json_number(good.as_bytes()), "{good}");
        }
        for bad in [
            "", "-", "+1", "01", "-01", ".5", "1.", "1.e5", "1e", "1e+", "0x1", "1 ", " 1", "NaN", "1,2", "1.5.2", "１",
        ] {
            assert!(!is_json_number(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn the_grammar_agrees_with_serde_json() {
        let alphabet = b"0019.eE+-";
        for seed in 0..9usize.pow(5) {
            let mut rest = seed;
            let text: Vec<u8> = (0..5)
                .map(|_| {
                    let byte = alphabet[rest % 9];
                    rest /= 9;
                    byte
                })
                .collect();
            let oracle = serde_json::from_slice::<&serde_json::value::RawValue>(&text).is_ok();
            assert_eq!(is_json_number(&text), oracle, "{}", String::from_utf8_lossy(&text));
        }
    }

    #[test]
    fn fractions_are_cut_off() {
        for (text, expected) in [
            ("1.9", 1),
            ("-1.9", -1),
            ("1.25e1", 12),
            ("1e2", 100),
            ("12e-1", 1),
            ("0.5", 0),
            ("1E10", 10_000_000_000),
            ("18446744073709551617.0", 1),
            ("1e400", 0),
            ("1e-400", 0),
            ("1e99999999999", 0),
        ] {
            assert_eq!(truncated_i64(text), expected, "{text}");
        }
    }

    #[test]
    fn integers_beyond_64_bits_keep_their_low_bits() {
        assert_eq!(wrapping_i64("12345678901234567890123"), 4807115922877859019);
        assert_eq!(wrapping_i64("9223372036854775808"), i64::MIN);
        assert_eq!(wrapping_i64("-9223372036854775808"), i64::MIN);
        assert_eq!(wrapping_i64("-0"), 0);
    }
}
