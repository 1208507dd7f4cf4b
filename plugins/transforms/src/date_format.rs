//! An interpreter of `java.text.SimpleDateFormat` patterns in UTC and US English.
//!
//! It formats and parses as Java does: leniently (the 32nd of January is the 1st of February), ignoring what follows a
//! complete match, with the Julian calendar before 15 October 1582. The letters `F` and `W` are refused.

/// Milliseconds of a day.
pub(crate) const DAY_MS: i64 = 86_400_000;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// Sunday first, as US weeks begin.
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
/// Names of zones that Java knows in English, with their offsets in hours.
const ZONES: [(&str, i64); 11] = [
    ("UTC", 0),
    ("GMT", 0),
    ("UT", 0),
    ("EST", -5),
    ("EDT", -4),
    ("CST", -6),
    ("CDT", -5),
    ("MST", -7),
    ("MDT", -6),
    ("PST", -8),
    ("PDT", -7),
];
/// The first day of the Gregorian calendar, in days since 1970.
const GREGORIAN_FROM: i64 = -141_427;

/// A pattern, read.
#[derive(Debug)]
pub(crate) struct DateFormat {
    pattern: String,
    items: Vec<Item>,
    /// The first year that two digits can mean.
    century_start: i64,
}

#[derive(Debug, Clone, PartialEq)]
enum Item {
    Literal(u8),
    Field { letter: u8, count: usize },
}

impl Item {
    /// Whether digits stand here when it is parsed.
    fn is_number(&self) -> bool {
        match self {
            Item::Literal(_) => false,
            Item::Field { letter: b'M' | b'L', count } => *count <= 2,
            Item::Field { letter, .. } => b"yYwDduHkKhmsS".contains(letter),
        }
    }
}

impl DateFormat {
    /// The error says what is wrong with the pattern or not supported.
    pub(crate) fn new(pattern: &str) -> Result<DateFormat, String> {
        let mut items = Vec::new();
        let mut bytes = pattern.bytes().peekable();
        while let Some(byte) = bytes.next() {
            match byte {
                b'\'' if bytes.next_if_eq(&b'\'').is_some() => items.push(Item::Literal(b'\'')),
                b'\'' => loop {
                    match bytes.next() {
                        None => return Err("unterminated quote".to_owned()),
                        Some(b'\'') if bytes.next_if_eq(&b'\'').is_some() => items.push(Item::Literal(b'\'')),
                        Some(b'\'') => break,
                        Some(literal) => items.push(Item::Literal(literal)),
                    }
                },
                b'F' | b'W' => {
                    return Err(format!(
                        "the pattern letter '{}' (weeks of a month) is not supported",
                        char::from(byte)
                    ));
                }
                letter if b"GyYMLwDdEuaHkKhmsSzZX".contains(&letter) => {
                    let mut count = 1;
                    while bytes.next_if_eq(&letter).is_some() {
                        count += 1;
                    }
                    if letter == b'X' && count > 3 {
                        return Err("invalid ISO 8601 format: at most three 'X'".to_owned());
                    }
                    items.push(Item::Field { letter, count });
                }
                letter if letter.is_ascii_alphabetic() => {
                    return Err(format!("illegal pattern character '{}'", char::from(letter)));
                }
                literal => items.push(Item::Literal(literal)),
            }
        }
        Ok(DateFormat { pattern: pattern.to_owned(), items, century_start: this_year() - 80 })
    }

    /// The pattern as it was given.
    pub(crate) fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Appends a time in milliseconds since 1970.
    pub(crate) fn write(&self, time: i64, out: &mut Vec<u8>) {
        let day = time.div_euclid(DAY_MS);
        let of_day = time.rem_euclid(DAY_MS);
        let (year, month, day_of_month) = date_of(day);
        let year_of_era = if year > 0 { year } else { 1 - year };
        let hour = of_day / 3_600_000;
        for item in &self.items {
            let (letter, count) = match *item {
                Item::Literal(byte) => {
                    out.push(byte);
                    continue;
                }
                Item::Field { letter, count } => (letter, count),
            };
            let mut number = |number: i64| write_number(number, count, out);
            match letter {
                b'y' if count == 2 => number(year_of_era % 100),
                b'y' => number(year_of_era),
                b'Y' if count == 2 => number(week_of(day).0 % 100),
                b'Y' => number(week_of(day).0),
                b'w' => number(week_of(day).1),
                b'M' | b'L' if count <= 2 => number(month),
                b'M' | b'L' => write_name(MONTHS[month as usize - 1], count, out),
                b'D' => number(day - days_of(year, 1, 1) + 1),
                b'd' => number(day_of_month),
                b'u' => number((day + 3).rem_euclid(7) + 1),
                b'E' => write_name(DAYS[(day + 4).rem_euclid(7) as usize], count, out),
                b'H' => number(hour),
                b'k' => number(if hour == 0 { 24 } else { hour }),
                b'K' => number(hour % 12),
                b'h' => number(if hour % 12 == 0 { 12 } else { hour % 12 }),
                b'm' => number(of_day / 60_000 % 60),
                b's' => number(of_day / 1_000 % 60),
                b'S' => number(of_day % 1_000),
                b'G' => out.extend_from_slice(if year > 0 { b"AD" } else { b"BC" }),
                b'a' => out.extend_from_slice(if hour < 12 { b"AM" } else { b"PM" }),
                b'z' if count >= 4 => out.extend_from_slice(b"Coordinated Universal Time"),
                b'z' => out.extend_from_slice(b"UTC"),
                b'Z' => out.extend_from_slice(b"+0000"),
                _ => out.push(b'Z'),
            }
        }
    }

    /// Milliseconds since 1970; none if the text does not begin with what the pattern says.
    pub(crate) fn parse(&self, text: &str) -> Option<i64> {
        let mut text = Text { bytes: text.as_bytes(), at: 0 };
        let mut parsed = Parsed::default();
        for (index, item) in self.items.iter().enumerate() {
            match *item {
                Item::Literal(byte) => text.literal(byte)?,
                Item::Field { letter, count } => {
                    // Digits that follow each other without a delimiter are told apart by their number.
                    let width = self.items.get(index + 1).is_some_and(Item::is_number).then_some(count);
                    self.parse_field(letter, count, width, &mut text, &mut parsed)?;
                }
            }
        }
        parsed.time()
    }

    fn parse_field(
        &self,
        letter: u8,
        count: usize,
        width: Option<usize>,
        text: &mut Text<'_>,
        parsed: &mut Parsed,
    ) -> Option<()> {
        text.skip_blanks()?;
        let start = text.at;
        match letter {
            b'y' | b'Y' => {
                let mut year = text.number(width)?;
                if count <= 2 && text.at - start == 2 && year >= 0 {
                    year += self.century_start / 100 * 100;
                    if year < self.century_start {
                        year += 100;
                    }
                }
                if letter == b'y' {
                    parsed.year = Some(year);
                    parsed.week_year = None;
                } else {
                    parsed.week_year = Some(year);
                }
            }
            b'M' | b'L' if count <= 2 => parsed.month = Some(text.number(width)?),
            b'M' | b'L' => parsed.month = Some(text.name(&MONTHS)? as i64 + 1),
            b'w' => parsed.week = Some(text.number(width)?),
            b'D' => parsed.day_of_year = Some(text.number(width)?),
            b'd' => parsed.day_of_month = Some(text.number(width)?),
            b'E' => parsed.day_of_week = Some(text.name(&DAYS)? as i64),
            b'u' => parsed.day_of_week = Some(text.number(width)?.rem_euclid(7)),
            b'H' => parsed.hour = Some(text.number(width)?),
            b'k' => parsed.hour = Some(text.number(width)?).map(|hour| if hour == 24 { 0 } else { hour }),
            b'K' => parsed.half_day_hour = Some(text.number(width)?),
            b'h' => parsed.half_day_hour = Some(text.number(width)?).map(|hour| if hour == 12 { 0 } else { hour }),
            b'a' => parsed.is_afternoon = text.one_of(&["AM", "PM"])? == 1,
            b'G' => parsed.is_before_christ = text.one_of(&["BC", "AD"])? == 0,
            b'm' => parsed.minutes = text.number(width)?,
            b's' => parsed.seconds = text.number(width)?,
            b'S' => parsed.milliseconds = text.number(width)?,
            b'X' => parsed.offset_minutes = text.iso_offset(count)?,
            _ => parsed.offset_minutes = text.zone()?,
        }
        Some(())
    }
}

/// Two-digit years mean those from 80 years ago on.
#[allow(clippy::disallowed_methods, reason = "the meaning of two-digit years moves with the clock, in Java too")]
fn this_year() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    date_of(now.map_or(0, |now| (now.as_secs() / 86_400) as i64)).0
}

fn write_number(number: i64, width: usize, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    let mut rest = number.unsigned_abs();
    while rest > 0 || at == digits.len() {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.resize(out.len() + width.saturating_sub(digits.len() - at), b'0');
    out.extend_from_slice(&digits[at..]);
}

fn write_name(name: &str, count: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(if count >= 4 { name.as_bytes() } else { &name.as_bytes()[..3] });
}

/// The text that is parsed, and how far.
struct Text<'t> {
    bytes: &'t [u8],
    at: usize,
}

impl Text<'_> {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    fn literal(&mut self, byte: u8) -> Option<()> {
        (self.rest().first() == Some(&byte)).then(|| self.at += 1)
    }

    /// Blanks before a field mean nothing; the field itself must be there.
    fn skip_blanks(&mut self) -> Option<()> {
        self.at += self.rest().iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        (!self.rest().is_empty()).then_some(())
    }

    fn number(&mut self, width: Option<usize>) -> Option<i64> {
        let rest = match width {
            Some(width) => self.rest().get(..width)?,
            None => self.rest(),
        };
        let (sign, digits) = match rest {
            [b'-', digits @ ..] => (-1, digits),
            digits => (1, digits),
        };
        let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if length == 0 || length > 18 {
            return None;
        }
        let number = digits[..length].iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
        self.at += length + usize::from(sign < 0);
        Some(sign * number)
    }

    /// The longest of the names, whole or their first three letters, in any case.
    fn name(&mut self, names: &[&str]) -> Option<usize> {
        let starts = |name: &str| {
            self.rest()
                .get(..name.len())
                .is_some_and(|text| text.eq_ignore_ascii_case(name.as_bytes()))
                .then_some(name.len())
        };
        let lengths = names.iter().map(|name| starts(name).or_else(|| starts(&name[..3])));
        let (index, length) = lengths
            .enumerate()
            .filter_map(|(index, length)| Some((index, length?)))
            .max_by_key(|&(_, length)| length)?;
        self.at += length;
        Some(index)
    }

    fn one_of(&mut self, names: &[&str]) -> Option<usize> {
        let found = names.iter().position(|name| {
            self.rest().get(..name.len()).is_some_and(|text| text.eq_ignore_ascii_case(name.as_bytes()))
        })?;
        self.at += names[found].len();
        Some(found)
    }

    /// `UTC`, `GMT+1:00`, `+0100`, `PST`: minutes east of Greenwich.
    fn zone(&mut self) -> Option<i64> {
        if let [b'+' | b'-', ..] = self.rest() {
            return self.offset(false, true);
        }
        let names = ZONES.map(|(name, _)| name);
        let found = self.one_of(&names)?;
        match self.rest() {
            [b'+' | b'-', ..] if names[found] == "GMT" => self.offset(true, true),
            _ => Some(ZONES[found].1 * 60),
        }
    }

    /// `Z`, `+01`, `+0100` or `+01:00`, as the number of letters says.
    fn iso_offset(&mut self, count: usize) -> Option<i64> {
        if let [b'Z', ..] = self.rest() {
            self.at += 1;
            return Some(0);
        }
        self.offset(count == 3, count > 1)
    }

    fn offset(&mut self, colon: bool, minutes: bool) -> Option<i64> {
        let sign = match self.rest().first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        self.at += 1;
        // Before a colon the hours may have one digit.
        let one_digit = colon && self.rest().get(1) == Some(&b':');
        let hours = self.number(Some(if one_digit { 1 } else { 2 }))?;
        if colon {
            self.literal(b':')?;
        }
        let minutes = if minutes { self.number(Some(2))? } else { 0 };
        (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
    }
}

/// What was parsed, not yet put together.
#[derive(Default)]
struct Parsed {
    year: Option<i64>,
    week_year: Option<i64>,
    is_before_christ: bool,
    month: Option<i64>,
    week: Option<i64>,
    day_of_month: Option<i64>,
    day_of_year: Option<i64>,
    /// Sunday is 0.
    day_of_week: Option<i64>,
    hour: Option<i64>,
    half_day_hour: Option<i64>,
    is_afternoon: bool,
    minutes: i64,
    seconds: i64,
    milliseconds: i64,
    offset_minutes: i64,
}

impl Parsed {
    /// Milliseconds since 1970. Nothing is out of range but what does not fit into the number.
    fn time(&self) -> Option<i64> {
        let hour = match (self.half_day_hour, self.hour) {
            (Some(hour), _) => hour + if self.is_afternoon { 12 } else { 0 },
            (None, hour) => hour.unwrap_or(0),
        };
        self.day()?
            .checked_mul(DAY_MS)?
            .checked_add(hour.checked_mul(3_600_000)?)?
            .checked_add(self.minutes.checked_sub(self.offset_minutes)?.checked_mul(60_000)?)?
            .checked_add(self.seconds.checked_mul(1_000)?)?
            .checked_add(self.milliseconds)
    }

    fn day(&self) -> Option<i64> {
        // Far beyond what milliseconds can count; keeps the arithmetic below within its numbers.
        const FAR: i64 = 1 << 40;
        let parts = [self.year, self.week_year, self.month, self.week, self.day_of_month, self.day_of_year];
        if parts.into_iter().flatten().any(|part| !(-FAR..FAR).contains(&part)) {
            return None;
        }
        let mut year = self.year.unwrap_or(1970);
        if self.is_before_christ {
            year = 1 - year;
        }
        let by_week = |year: i64| {
            let first = days_of(year, 1, 1);
            let sunday = first - (first + 4).rem_euclid(7);
            sunday + 7 * (self.week.unwrap_or(1) - 1) + self.day_of_week.unwrap_or(0)
        };
        let has_date = self.month.is_some() || self.day_of_month.is_some();
        Some(match (self.week_year, self.day_of_year) {
            (Some(week_year), _) => by_week(week_year),
            (None, Some(day)) => days_of(year, 1, 1) + day - 1,
            (None, None) if self.week.is_some() && !has_date => by_week(year),
            (None, None) => {
                let month = self.month.unwrap_or(1) - 1;
                let year = year + month.div_euclid(12);
                days_of(year, month.rem_euclid(12) + 1, 1) + self.day_of_month.unwrap_or(1) - 1
            }
        })
    }
}

/// Days since 1970 of a date, whose year counts 1 BC as 0.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let gregorian = days_by(year, month, day, true);
    if gregorian >= GREGORIAN_FROM { gregorian } else { days_by(year, month, day, false) }
}

/// The year (1 BC is 0), month and day of the month of days since 1970.
fn date_of(days: i64) -> (i64, i64, i64) {
    // Years begin in March here, so that the leap day comes last.
    let (year, day_of_year) = if days >= GREGORIAN_FROM {
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day = shifted.rem_euclid(146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        (era * 400 + year, day - (365 * year + year / 4 - year / 100))
    } else {
        let shifted = days + 719_470;
        let era = shifted.div_euclid(1_461);
        let day = shifted.rem_euclid(1_461);
        let year = (day - day / 1_460) / 365;
        (era * 4 + year, day - 365 * year)
    };
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (if month <= 2 { year + 1 } else { year }, month, day)
}

fn days_by(year: i64, month: i64, day: i64, gregorian: bool) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4);
    let leap_days = if gregorian { leap_days - year.div_euclid(100) + year.div_euclid(400) } else { leap_days };
    let epoch = if gregorian { 719_468 } else { 719_470 };
    year * 365 + leap_days + day_of_year - epoch
}

/// The year and number of a day's week. Weeks begin on Sunday, and the first of a year is the one with 1 January.
fn week_of(day: i64) -> (i64, i64) {
    let sunday = |day: i64| day - (day + 4).rem_euclid(7);
    let (year, _, _) = date_of(day);
    let next = sunday(days_of(year + 1, 1, 1));
    match day >= next {
        true => (year + 1, 1),
        false => (year, (day - sunday(days_of(year, 1, 1))) / 7 + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2023-11-14T22:13:20.123Z, a Tuesday.
    const TIME: i64 = 1_700_000_000_123;

    fn write(pattern: &str, time: i64) -> String {
        let mut out = Vec::new();
        DateFormat::new(pattern).unwrap().write(time, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn parse(pattern: &str, text: &str) -> Option<i64> {
        DateFormat::new(pattern).unwrap().parse(text)
    }

    #[test]
    fn every_letter_is_written() {
        assert_eq!(write("yyyy-MM-dd'T'HH:mm:ss.SSSX", TIME), "2023-11-14T22:13:20.123Z");
        assert_eq!(write("G yy y M MMM MMMM d D", TIME), "AD 23 2023 11 Nov November 14 318");
        assert_eq!(write("E EEEE u YYYY w", TIME), "Tue Tuesday 2 2023 46");
        assert_eq!(write("H k K h a m s S SSSSS", TIME), "22 22 10 10 PM 13 20 123 00123");
        assert_eq!(write("z zzzz Z X XXX", TIME), "UTC Coordinated Universal Time +0000 Z Z");
        assert_eq!(write("h 'o''clock' ''", 0), "12 o'clock '");
    }

    #[test]
    fn what_was_written_is_parsed() {
        for pattern in [
            "yyyy-MM-dd HH:mm:ss.SSS",
            "EEE, d MMM yyyy HH:mm:ss.SSS Z",
            "yyyyMMddHHmmssSSS",
            "yyyy-DDD HH:mm:ss.SSS",
            "YYYY-'W'ww-u HH:mm:ss.SSS",
            "MMMM d, yyyy h:mm:ss.SSS a",
            "dd.MM.yyyy kk:mm:ss.SSS XXX",
        ] {
            for time in [TIME, 0, -1, -62_135_596_800_000, 951_782_400_000, 4_102_444_799_999, -12_219_292_800_001] {
                assert_eq!(parse(pattern, &write(pattern, time)), Some(time), "{pattern} {time}");
            }
        }
    }

    #[test]
    fn dates_before_october_1582_are_julian() {
        assert_eq!(write("yyyy-MM-dd", GREGORIAN_FROM * DAY_MS), "1582-10-15");
        assert_eq!(write("yyyy-MM-dd", (GREGORIAN_FROM - 1) * DAY_MS), "1582-10-04");
        assert_eq!(write("yyyy G", -62_167_392_000_000), "0001 BC");
    }

    #[test]
    fn parsing_is_lenient_and_ignores_what_follows() {
        assert_eq!(parse("yyyy-MM-dd", "2023-01-32"), parse("yyyy-MM-dd", "2023-02-01"));
        assert_eq!(parse("yyyy-MM-dd", "2023-14-01"), parse("yyyy-MM-dd", "2024-02-01"));
        assert_eq!(parse("yyyy-MM-dd", "2023-01-02 and more"), parse("yyyy-MM-dd", "2023-01-02"));
        assert_eq!(parse("yyyy-MM-dd HH", "2023-1-2  3"), parse("yyyy-MM-dd HH", "2023-01-02 03"));
        assert_eq!(parse("d MMM yyyy", "2 JANUARY 2023"), parse("yyyy-MM-dd", "2023-01-02"));
    }

    #[test]
    fn zones_move_the_time() {
        let utc = parse("HH:mm", "11:00");
        assert_eq!(parse("HH:mm Z", "12:00 +0100"), utc);
        assert_eq!(parse("HH:mm XXX", "12:30 +01:30"), utc);
        assert_eq!(parse("HH:mm z", "03:00 PST"), utc);
        assert_eq!(parse("HH:mm z", "12:00 GMT+1:00"), utc);
    }

    #[test]
    fn text_that_does_not_match_is_none() {
        for (pattern, text) in
            [("yyyy-MM-dd", "garbage"), ("yyyy-MM-dd", "2023"), ("MMM", "11"), ("HH:mm", ""), ("yyyyMMdd", "202301")]
        {
            assert_eq!(parse(pattern, text), None, "{pattern} {text}");
        }
    }

    #[test]
    fn numbers_of_any_size_are_refused_or_read() {
        assert_eq!(parse("yyyy", "999999999999999999"), None);
        assert_eq!(parse("H", "9999999999999999999999"), None);
    }

    #[test]
    fn two_digits_of_a_year_mean_one_near_today() {
        let year = this_year();
        let text = format!("{:02}", year % 100);
        assert_eq!(parse("yy", &text), parse("yyyy", &year.to_string()));
    }

    #[test]
    fn patterns_that_java_refuses_or_we_do_are_refused() {
        let refused = |pattern: &str| DateFormat::new(pattern).unwrap_err();
        assert_eq!(refused("qqq bad"), "illegal pattern character 'q'");
        assert_eq!(refused("yyyy 'x"), "unterminated quote");
        assert_eq!(refused("W"), "the pattern letter 'W' (weeks of a month) is not supported");
    }
}
