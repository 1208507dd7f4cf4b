//! Decimals as Connect has them: an unscaled integer of any size and a scale.
//!
//! Only what crossing formats needs: to text and back, and to another scale. No arithmetic.

use crate::number::is_json_number;
use crate::tlv::UNSCALED_BYTES_MAX;
use crate::value::DataError;

/// Decimal digits that [`UNSCALED_BYTES_MAX`] bytes can hold.
const DIGITS_MAX: usize = 2_466;

/// `unscaled × 10^-scale`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    /// Digits after the point; negative for zeros before it.
    pub scale: i32,
    /// Two's complement, big-endian, at least one byte, at most [`UNSCALED_BYTES_MAX`].
    pub unscaled: Vec<u8>,
}

impl Decimal {
    /// Reads the text of a JSON number as Java's `BigDecimal` does: its digits are the unscaled value.
    pub fn parse(text: &str) -> Result<Decimal, DataError> {
        if !is_json_number(text.as_bytes()) {
            return Err(DataError::new(format!("\"{text}\" is not a number")));
        }
        let (mantissa, exponent) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], text[at + 1..].parse::<i64>().ok()),
            None => (text, Some(0)),
        };
        let negative = mantissa.starts_with('-');
        let fraction = mantissa.find('.').map_or(0, |at| mantissa.len() - at - 1);
        let digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0').collect();
        let scale = exponent
            .and_then(|exponent| (fraction as i64).checked_sub(exponent))
            .and_then(|scale| i32::try_from(scale).ok())
            .ok_or_else(|| DataError::new("exponent of a decimal is out of range"))?;
        Ok(Decimal { scale, unscaled: to_bytes(&digits, negative)? })
    }

    /// Java's `BigDecimal.toString`: always a JSON number, with an exponent where many zeros would be needed.
    pub fn to_text(&self) -> String {
        let (negative, digits) = to_digits(&self.unscaled);
        let mut text = String::with_capacity(digits.len() + 8);
        if negative {
            text.push('-');
        }
        let digits: String = digits.iter().map(|digit| char::from(b'0' + digit)).collect();
        let scale = i64::from(self.scale);
        let adjusted = digits.len() as i64 - 1 - scale;
        if scale == 0 {
            text.push_str(&digits);
        } else if scale > 0 && adjusted >= -6 {
            let whole = digits.len() as i64 - scale;
            if whole > 0 {
                text.push_str(&digits[..whole as usize]);
                text.push('.');
                text.push_str(&digits[whole as usize..]);
            } else {
                text.push_str("0.");
                text.extend(std::iter::repeat_n('0', -whole as usize));
                text.push_str(&digits);
            }
        } else {
            text.push_str(&digits[..1]);
            if digits.len() > 1 {
                text.push('.');
                text.push_str(&digits[1..]);
            }
            if adjusted != 0 {
                text.push('E');
                if adjusted > 0 {
                    text.push('+');
                }
                text.push_str(&adjusted.to_string());
            }
        }
        text
    }

    /// The number if it is an integer of 64 bits.
    pub fn to_i64(&self) -> Option<i64> {
        // Nineteen digits is what 64 bits hold, and zeros behind the point count for nothing.
        let (negative, mut digits) = to_digits(&self.unscaled);
        let scale = i64::from(self.scale);
        if digits == [0] {
            return Some(0);
        }
        if scale > 0 {
            let kept = (digits.len() as i64 - scale).max(0) as usize;
            if digits[kept..].iter().any(|digit| *digit != 0) {
                return None;
            }
            digits.truncate(kept);
        } else if digits.len() as i64 - scale <= 19 {
            digits.resize(digits.len() + (-scale) as usize, 0);
        } else {
            return None;
        }
        let magnitude =
            digits.iter().try_fold(0i64, |sum, digit| sum.checked_mul(10)?.checked_sub(i64::from(*digit)))?;
        if negative { Some(magnitude) } else { magnitude.checked_neg() }
    }

    /// The same number with another scale; an error where digits other than zero would be lost.
    pub fn rescale(&self, scale: i32) -> Result<Decimal, DataError> {
        let (negative, mut digits) = to_digits(&self.unscaled);
        let shift = i64::from(scale) - i64::from(self.scale);
        if shift == 0 || digits == [0] {
            return Ok(Decimal { scale, unscaled: self.unscaled.clone() });
        }
        if shift > 0 {
            if digits.len() as i64 + shift > DIGITS_MAX as i64 {
                return Err(DataError::new(format!("decimal has too many digits at scale {scale}")));
            }
            digits.resize(digits.len() + shift as usize, 0);
        } else {
            let kept = digits.len() as i64 + shift;
            if kept <= 0 || digits[kept as usize..].iter().any(|digit| *digit != 0) {
                return Err(DataError::new(format!("{} has more digits than scale {scale} allows", self.to_text())));
            }
            digits.truncate(kept as usize);
        }
        Ok(Decimal { scale, unscaled: to_bytes(&digits, negative)? })
    }
}

/// Digits, most significant first, to minimal two's complement.
fn to_bytes(digits: &[u8], negative: bool) -> Result<Vec<u8>, DataError> {
    let first = digits.iter().position(|digit| *digit != 0).unwrap_or(digits.len());
    let digits = &digits[first..];
    if digits.len() > DIGITS_MAX {
        return Err(DataError::new(format!("decimal of {} digits, at most {DIGITS_MAX} are allowed", digits.len())));
    }
    // Little-endian limbs of 32 bits; nine digits at a time.
    let mut limbs: Vec<u32> = Vec::with_capacity(digits.len() / 9 + 1);
    let lead = digits.len() % 9;
    let (head, tail) = digits.split_at(lead);
    for chunk in std::iter::once(head).chain(tail.chunks(9)).filter(|chunk| !chunk.is_empty()) {
        let mut carry = chunk.iter().fold(0u64, |sum, digit| sum * 10 + u64::from(*digit));
        let factor = 10u64.pow(chunk.len() as u32);
        for limb in &mut limbs {
            carry += u64::from(*limb) * factor;
            *limb = carry as u32;
            carry >>= 32;
        }
        if carry > 0 {
            limbs.push(carry as u32);
        }
    }
    let mut bytes = vec![0];
    bytes.extend(limbs.iter().rev().flat_map(|limb| limb.to_be_bytes()));
    if negative {
        negate(&mut bytes);
    }
    let bytes = minimal(&bytes);
    if bytes.len() > UNSCALED_BYTES_MAX {
        return Err(DataError::new(format!("decimal of {} bytes", bytes.len())));
    }
    Ok(bytes.to_vec())
}

/// Sign and digits, most significant first, at least one.
fn to_digits(unscaled: &[u8]) -> (bool, Vec<u8>) {
    let negative = unscaled.first().is_some_and(|byte| byte & 0x80 != 0);
    let mut bytes = unscaled.to_vec();
    if negative {
        // One more byte, or the negation of the smallest value would overflow.
        bytes.insert(0, 0xFF);
        negate(&mut bytes);
    }
    let mut limbs: Vec<u32> =
        bytes.rchunks(4).map(|chunk| chunk.iter().fold(0u32, |limb, byte| limb << 8 | u32::from(*byte))).collect();
    let mut digits = Vec::with_capacity(bytes.len() * 5 / 2 + 9);
    while limbs.last() == Some(&0) {
        limbs.pop();
    }
    while !limbs.is_empty() {
        let mut remainder = 0u64;
        for limb in limbs.iter_mut().rev() {
            let value = remainder << 32 | u64::from(*limb);
            *limb = (value / 1_000_000_000) as u32;
            remainder = value % 1_000_000_000;
        }
        while limbs.last() == Some(&0) {
            limbs.pop();
        }
        for _ in 0..9 {
            digits.push((remainder % 10) as u8);
            remainder /= 10;
        }
    }
    while digits.last() == Some(&0) {
        digits.pop();
    }
    if digits.is_empty() {
        digits.push(0);
    }
    digits.reverse();
    (negative, digits)
}

fn negate(bytes: &mut [u8]) {
    let mut carry = true;
    for byte in bytes.iter_mut().rev() {
        let (sum, overflow) = (!*byte).overflowing_add(u8::from(carry));
        *byte = sum;
        carry = overflow;
    }
}

fn minimal(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while let [first, second, ..] = rest {
        let redundant = (*first == 0 && second & 0x80 == 0) || (*first == 0xFF && second & 0x80 != 0);
        if !redundant {
            break;
        }
        rest = &rest[1..];
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, unscaled: &[u8], scale: i32, written: &str) {
        let decimal = Decimal::parse(text).unwrap();
        assert_eq!(decimal, Decimal { scale, unscaled: unscaled.to_vec() }, "{text}");
        assert_eq!(decimal.to_text(), written, "{text}");
        assert_eq!(Decimal::parse(written).unwrap(), decimal, "{text}");
    }

    #[test]
    fn text_and_bytes_are_those_of_big_decimal() {
        check("0", &[0], 0, "0");
        check("-1", &[0xFF], 0, "-1");
        check("123.45", &[0x30, 0x39], 2, "123.45");
        check("127", &[0x7F], 0, "127");
        check("128", &[0, 0x80], 0, "128");
        check("-128", &[0x80], 0, "-128");
        check("-129", &[0xFF, 0x7F], 0, "-129");
        check("1e3", &[1], -3, "1E+3");
        check("1.5e-9", &[15], 10, "1.5E-9");
        check("0.000001", &[1], 6, "0.000001");
        check("0.0000001", &[1], 7, "1E-7");
        check("-0.05", &[0xFB], 2, "-0.05");
        check("18446744073709551616", &[1, 0, 0, 0, 0, 0, 0, 0, 0], 0, "18446744073709551616");
    }

    #[test]
    fn scales_change_only_without_loss() {
        let text = |text: &str, scale| Decimal::parse(text).unwrap().rescale(scale).map(|d| d.to_text());
        assert_eq!(text("1.5", 2).unwrap(), "1.50");
        assert_eq!(text("1.50", 1).unwrap(), "1.5");
        assert_eq!(text("-7", 3).unwrap(), "-7.000");
        assert_eq!(text("0", 2).unwrap(), "0.00");
        assert!(text("1.55", 1).is_err());
        assert!(text("0.05", 1).is_err());
        assert!(text("1e400", 3000).is_err());
    }

    #[test]
    fn integers_of_64_bits_are_recognised() {
        let number = |text| Decimal::parse(text).unwrap().to_i64();
        assert_eq!(number("-9223372036854775808"), Some(i64::MIN));
        assert_eq!(number("9223372036854775808"), None);
        assert_eq!(number("1.50e1"), Some(15));
        assert_eq!(number("1.5"), None);
        assert_eq!(number("0.0"), Some(0));
        assert_eq!(number("1e19"), None);
        assert_eq!(number("0e99999"), Some(0));
    }

    #[test]
    fn endless_digits_and_exponents_are_refused() {
        assert!(Decimal::parse(&"9".repeat(3000)).is_err());
        assert!(Decimal::parse("1e99999999999999999999").is_err());
        assert!(Decimal::parse("1e-2147483648").is_err());
        assert!(Decimal::parse("x").is_err());
    }
}
