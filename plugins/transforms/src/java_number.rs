//! Numbers as Java reads and writes them: what `parseInt`, `parseDouble`, `toString` and the narrowing conversions do.

/// A whole number as `Long.parseLong` and its narrower siblings read it; none where they throw.
pub(crate) fn parse_whole(text: &str, min: i64, max: i64) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|number| (min..=max).contains(number))
}

/// What `Double.parseDouble` and `Float.parseFloat` make of a text: the text of a number that Rust reads the same way.
/// Hexadecimal numbers are not understood.
pub(crate) fn floating_text(text: &str) -> Option<&str> {
    let text = text.trim_matches(|c: char| c <= ' ');
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, "NaN" | "Infinity") {
        return Some(text);
    }
    let text = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
    is_decimal(text).then_some(text)
}

/// Whether a text is a decimal number: digits, a point among or beside them, an exponent.
pub(crate) fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_fits = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && all_digits(digits)
    });
    whole.len() + fraction.len() > 0 && all_digits(whole) && all_digits(fraction) && exponent_fits
}

/// `Double.toString`.
pub(crate) fn double_text(number: f64) -> String {
    floating(
        number.is_nan(),
        number.is_infinite(),
        number.is_sign_negative(),
        number == 0.0,
        &format!("{:e}", number.abs()),
    )
}

/// `Float.toString`.
pub(crate) fn float_text(number: f32) -> String {
    floating(
        number.is_nan(),
        number.is_infinite(),
        number.is_sign_negative(),
        number == 0.0,
        &format!("{:e}", number.abs()),
    )
}

/// Java's form of a number of which `scientific` is Rust's, as `1.25e-7`.
fn floating(nan: bool, infinite: bool, negative: bool, zero: bool, scientific: &str) -> String {
    let sign = if negative && !nan { "-" } else { "" };
    if nan {
        return "NaN".to_owned();
    }
    if infinite {
        return format!("{sign}Infinity");
    }
    if zero {
        return format!("{sign}0.0");
    }
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (first, rest) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if !(-3..7).contains(&exponent) {
        let rest = if rest.is_empty() { "0" } else { rest };
        return format!("{sign}{first}.{rest}E{exponent}");
    }
    let digits = format!("{first}{rest}");
    match usize::try_from(exponent + 1) {
        Ok(whole @ 1..) if digits.len() > whole => format!("{sign}{}.{}", &digits[..whole], &digits[whole..]),
        Ok(whole @ 1..) => format!("{sign}{digits:0<whole$}.0"),
        _ => format!("{sign}0.{}{digits}", "0".repeat((-exponent - 1) as usize)),
    }
}

/// `BigDecimal`: an unscaled number as its sign and digits, and the scale.
pub(crate) struct Decimal {
    negative: bool,
    /// Without leading zeros but for zero itself.
    digits: String,
    scale: i32,
}

impl Decimal {
    /// From the two's complement, big-endian.
    pub(crate) fn new(scale: i32, unscaled: &[u8]) -> Decimal {
        let negative = unscaled.first().is_some_and(|byte| byte & 0x80 != 0);
        // The magnitude, then decimal digits in groups of nine, the lowest first.
        let mut magnitude: Vec<u8> = unscaled.to_vec();
        if negative {
            magnitude.iter_mut().for_each(|byte| *byte = !*byte);
            for byte in magnitude.iter_mut().rev() {
                *byte = byte.wrapping_add(1);
                if *byte != 0 {
                    break;
                }
            }
        }
        // −2ⁿ has no magnitude of its own width, but read without sign it is just that.
        let mut groups: Vec<u32> = vec![0];
        for byte in magnitude {
            let mut carry = u64::from(byte);
            for group in &mut groups {
                let number = (u64::from(*group) << 8) + carry;
                *group = (number % 1_000_000_000) as u32;
                carry = number / 1_000_000_000;
            }
            if carry > 0 {
                groups.push(carry as u32);
            }
        }
        let mut digits = String::new();
        for group in groups.iter().rev() {
            digits.push_str(&format!("{group:09}"));
        }
        let digits = digits.trim_start_matches('0');
        let digits = if digits.is_empty() { "0" } else { digits }.to_owned();
        Decimal { negative, digits, scale }
    }

    /// `BigDecimal.toString`.
    pub(crate) fn text(&self) -> String {
        let sign = if self.negative { "-" } else { "" };
        let (digits, length) = (&self.digits, self.digits.len() as i64);
        let scale = i64::from(self.scale);
        let adjusted = length - 1 - scale;
        if scale == 0 {
            return format!("{sign}{digits}");
        }
        if scale > 0 && adjusted >= -6 {
            return match length - scale {
                whole @ 1.. => format!("{sign}{}.{}", &digits[..whole as usize], &digits[whole as usize..]),
                zeros => format!("{sign}0.{}{digits}", "0".repeat(-zeros as usize)),
            };
        }
        let point = if digits.len() > 1 { "." } else { "" };
        let exponent = match adjusted {
            0 => String::new(),
            adjusted => format!("E{adjusted:+}"),
        };
        format!("{sign}{}{point}{}{exponent}", &digits[..1], &digits[1..])
    }

    /// `BigDecimal.longValue`: the low 64 bits of what stands before the point.
    pub(crate) fn long(&self) -> i64 {
        let scale = i64::from(self.scale);
        let kept = (self.digits.len() as i64 - scale).clamp(0, self.digits.len() as i64);
        let mut number = low_bits(&self.digits[..kept as usize]);
        // 10⁶⁴ has no low 64 bits left.
        for _ in 0..(-scale).clamp(0, 64) {
            number = number.wrapping_mul(10);
        }
        if self.negative { number.wrapping_neg() } else { number }
    }

    /// `BigDecimal.doubleValue`.
    pub(crate) fn double(&self) -> f64 {
        self.plain().parse().unwrap_or(f64::NAN)
    }

    /// `BigDecimal.floatValue`.
    pub(crate) fn float(&self) -> f32 {
        self.plain().parse().unwrap_or(f32::NAN)
    }

    fn plain(&self) -> String {
        format!("{}{}e{}", if self.negative { "-" } else { "" }, self.digits, -i64::from(self.scale))
    }
}

/// The low 64 bits of a number of digits.
pub(crate) fn low_bits(digits: &str) -> i64 {
    digits.bytes().fold(0_i64, |number, digit| number.wrapping_mul(10).wrapping_add(i64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_read_as_java_reads_them() {
        let byte = |text| parse_whole(text, -128, 127);
        assert_eq!(byte("+7"), Some(7));
        assert_eq!(byte("-128"), Some(-128));
        for wrong in ["", "+", "128", " 3", "1.0", "0x1", "１"] {
            assert_eq!(byte(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn floating_numbers_are_read_as_java_reads_them() {
        for (text, number) in [(" 3", Some("3")), ("1.5f", Some("1.5")), (".5", Some(".5")), ("1e3D", Some("1e3"))] {
            assert_eq!(floating_text(text), number, "{text:?}");
        }
        for wrong in ["", ".", "nan", "inf", "1e", "yes", "1_0"] {
            assert_eq!(floating_text(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn floating_numbers_are_written_as_java_writes_them() {
        for (number, text) in [
            (1.0, "1.0"),
            (-2.25, "-2.25"),
            (1e7, "1.0E7"),
            (9_999_999.0, "9999999.0"),
            (123_456_789.5, "1.234567895E8"),
            (0.001, "0.001"),
            (0.0001, "1.0E-4"),
            (-0.0, "-0.0"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::MIN_POSITIVE, "2.2250738585072014E-308"),
        ] {
            assert_eq!(double_text(number), text);
        }
        assert_eq!(float_text(1.1), "1.1");
        assert_eq!(float_text(3.402_823_5e38), "3.4028235E38");
    }

    #[test]
    fn decimals_are_written_as_java_writes_them() {
        let text = |scale, unscaled: i128| Decimal::new(scale, &unscaled.to_be_bytes()).text();
        assert_eq!(text(2, 12_345), "123.45");
        assert_eq!(text(2, -5), "-0.05");
        assert_eq!(text(0, 0), "0");
        assert_eq!(text(2, 0), "0.00");
        assert_eq!(text(-2, 12), "1.2E+3");
        assert_eq!(text(10, 1), "1E-10");
        assert_eq!(text(7, 12), "0.0000012");
        assert_eq!(Decimal::new(0, &[0x80]).text(), "-128");
        assert_eq!(Decimal::new(0, &[0xFF; 3]).text(), "-1");
    }

    #[test]
    fn decimals_are_narrowed_as_java_narrows_them() {
        let decimal = |scale, unscaled: i128| Decimal::new(scale, &unscaled.to_be_bytes());
        assert_eq!(decimal(1, -19).long(), -1);
        assert_eq!(decimal(3, 19).long(), 0);
        assert_eq!(decimal(-2, 3).long(), 300);
        assert_eq!(decimal(0, (1 << 64) + 7).long(), 7);
        assert_eq!(decimal(2, 12_345).double(), 123.45);
        assert_eq!(decimal(2, -150).float(), -1.5);
    }
}
