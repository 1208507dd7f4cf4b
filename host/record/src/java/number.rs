//! `Double.toString` and `Float.toString`: the shortest digits that read back as the same number, plain between 0.001 and
//! ten million, else with an exponent.

/// `Double.toString`.
pub(crate) fn double(value: f64) -> String {
    match special(value) {
        Some(text) => text.to_owned(),
        None => shaped(&shortest(value, |text| text.parse() == Ok(value))),
    }
}

/// `Float.toString`.
pub(crate) fn float(value: f32) -> String {
    match special(f64::from(value)) {
        Some(text) => text.to_owned(),
        None => shaped(&shortest(value, |text| text.parse() == Ok(value))),
    }
}

fn special(value: f64) -> Option<&'static str> {
    match value {
        value if value.is_nan() => Some("NaN"),
        f64::INFINITY => Some("Infinity"),
        f64::NEG_INFINITY => Some("-Infinity"),
        value if value == 0.0 => Some(if value.is_sign_negative() { "-0.0" } else { "0.0" }),
        _ => None,
    }
}

/// Mantissa and exponent. Where one digit would do, Java takes the best of the numbers with two: 4.9E-324, not 5E-324.
fn shortest(value: impl std::fmt::LowerExp, reads_back: impl Fn(&str) -> bool) -> String {
    let text = format!("{value:e}");
    if text.contains('.') {
        return text;
    }
    let two = format!("{value:.1e}");
    if reads_back(&two) { two } else { text }
}

/// `-1.25e-7` in Java's form.
fn shaped(scientific: &str) -> String {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let all: String = mantissa.chars().filter(|c| *c != '.').collect();
    let digits = match all.trim_end_matches('0') {
        "" => "0",
        trimmed => trimmed,
    };
    let fraction = |rest: &str| if rest.is_empty() { "0".to_owned() } else { rest.to_owned() };
    match exponent {
        0..=6 => {
            let whole = exponent as usize + 1;
            let padded = format!("{digits:0<whole$}");
            format!("{sign}{}.{}", &padded[..whole], fraction(&padded[whole..]))
        }
        -3..=-1 => format!("{sign}0.{}{digits}", "0".repeat((-exponent - 1) as usize)),
        _ => format!("{sign}{}.{}E{exponent}", &digits[..1], fraction(&digits[1..])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn doubles_are_written_as_java_writes_them() {
        let values = [
            0.0,
            -0.0,
            1.0,
            -1.5,
            100.0,
            0.001,
            0.0009,
            9_999_999.0,
            1e7,
            12_345_678.9,
            1.1,
            123_456.789,
            2e23,
            5e-324,
            f64::MAX,
            f64::MIN_POSITIVE,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
        ];
        expect![
            "0.0 -0.0 1.0 -1.5 100.0 0.001 9.0E-4 9999999.0 1.0E7 1.23456789E7 1.1 123456.789 2.0E23 4.9E-324 \
             1.7976931348623157E308 2.2250738585072014E-308 NaN Infinity -Infinity"
        ]
        .assert_eq(&values.map(double).join(" "));
    }

    #[test]
    fn floats_have_digits_of_their_own() {
        let values = [1.1, 16_777_216.0, 2.369_427_8e-38, 1e-45, f32::MAX, 1e10, -0.002];
        expect!["1.1 1.6777216E7 2.3694278E-38 1.4E-45 3.4028235E38 1.0E10 -0.002"]
            .assert_eq(&values.map(float).join(" "));
    }
}
