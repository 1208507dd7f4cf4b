//! `java.util.Date` in UTC: its `toString`, and the three ISO patterns that header values are written and read in.
//!
//! Java's calendar is Julian before 15 October 1582, and a SimpleDateFormat reads leniently: a month 13 is the next
//! January, and what follows a complete date is not looked at.

const DAY_MILLIS: i64 = 86_400_000;
/// 15 October 1582, the first day of the Gregorian calendar.
const CUTOVER_DAYS: i64 = -141_427;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// 1970-01-01 was a Thursday.
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// `Date.toString` with the time zone UTC.
pub(crate) fn to_string(millis: i64) -> String {
    let (days, time) = (millis.div_euclid(DAY_MILLIS), Time::of(millis));
    let (year, month, day) = date_of(days);
    format!(
        "{} {} {day:02} {:02}:{:02}:{:02} UTC {}",
        WEEKDAYS[days.rem_euclid(7) as usize],
        MONTHS[(month - 1) as usize],
        time.hour,
        time.minute,
        time.second,
        of_era(year),
    )
}

/// As a header value: a time of day up to the first day's end, a date where there is no time, else both.
pub(crate) fn to_iso(millis: i64) -> String {
    let Time { hour, minute, second, milli } = Time::of(millis);
    let time = format!("{hour:02}:{minute:02}:{second:02}.{milli:03}Z");
    if millis < DAY_MILLIS {
        return time;
    }
    let (year, month, day) = date_of(millis.div_euclid(DAY_MILLIS));
    let date = format!("{:04}-{month:02}-{day:02}", of_era(year));
    if millis % DAY_MILLIS == 0 { date } else { format!("{date}T{time}") }
}

/// Days since 1970 of a text that `yyyy-MM-dd` reads.
pub(crate) fn read_date(text: &str) -> Option<i64> {
    let mut reader = Reader(text);
    reader.date()
}

/// Milliseconds of a text that `HH:mm:ss.SSS'Z'` reads.
pub(crate) fn read_time(text: &str) -> Option<i64> {
    let mut reader = Reader(text);
    reader.time()
}

/// Milliseconds since 1970 of a text that `yyyy-MM-dd'T'HH:mm:ss.SSS'Z'` reads.
pub(crate) fn read_timestamp(text: &str) -> Option<i64> {
    let mut reader = Reader(text);
    let days = reader.date()?;
    reader.literal('T')?;
    days.checked_mul(DAY_MILLIS)?.checked_add(reader.time()?)
}

struct Time {
    hour: i64,
    minute: i64,
    second: i64,
    milli: i64,
}

impl Time {
    fn of(millis: i64) -> Time {
        let time = millis.rem_euclid(DAY_MILLIS);
        Time { hour: time / 3_600_000, minute: time / 60_000 % 60, second: time / 1_000 % 60, milli: time % 1_000 }
    }
}

/// What is left to be read.
struct Reader<'t>(&'t str);

impl Reader<'_> {
    /// A number; blanks before it are skipped.
    fn number(&mut self) -> Option<i64> {
        let text = self.0.trim_start_matches([' ', '\t']);
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        self.0 = &text[digits..];
        // Texts are 24 characters at most, so this is no overflow but in hostile hands.
        text[..digits].parse().ok().filter(|number| *number < 1_000_000_000_000)
    }

    fn literal(&mut self, expected: char) -> Option<()> {
        self.0 = self.0.strip_prefix(expected)?;
        Some(())
    }

    fn date(&mut self) -> Option<i64> {
        let year = self.number()?;
        self.literal('-')?;
        let month = self.number()?;
        self.literal('-')?;
        let day = self.number()?;
        Some(days_of(year, month, day))
    }

    fn time(&mut self) -> Option<i64> {
        let hour = self.number()?;
        self.literal(':')?;
        let minute = self.number()?;
        self.literal(':')?;
        let second = self.number()?;
        self.literal('.')?;
        let milli = self.number()?;
        self.literal('Z')?;
        hour.checked_mul(3_600_000)?.checked_add(minute.checked_mul(60_000)?)?.checked_add(second * 1_000 + milli)
    }
}

/// The year as it is written: 1 BC comes before 1 AD.
fn of_era(year: i64) -> i64 {
    if year > 0 { year } else { 1 - year }
}

/// Days since 1970 of a day; months and days may lie outside their year and month.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = (year + (month - 1).div_euclid(12), (month - 1).rem_euclid(12) + 1);
    let gregorian = days(year, month, true) + day - 1;
    if gregorian >= CUTOVER_DAYS { gregorian } else { days(year, month, false) + day - 1 }
}

/// Days since 1970 of the first of a month. Years begin in March here, so that the leap day is their last.
fn days(year: i64, month: i64, gregorian: bool) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let in_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5;
    let leap = if gregorian {
        year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) - 719_468
    } else {
        year.div_euclid(4) - 719_470
    };
    year * 365 + leap + in_year
}

fn date_of(days: i64) -> (i64, i64, i64) {
    let (year, of_year) = if days >= CUTOVER_DAYS {
        let shifted = days + 719_468;
        let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        (year + era * 400, of_era - (365 * year + year / 4 - year / 100))
    } else {
        let shifted = days + 719_470;
        let (era, of_era) = (shifted.div_euclid(1_461), shifted.rem_euclid(1_461));
        let year = (of_era - of_era / 1_460) / 365;
        (year + era * 4, of_era - 365 * year)
    };
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (if month <= 2 { year + 1 } else { year }, month, of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn dates_are_written_as_java_writes_them() {
        let written = [0, 1_641_600_000_000, 1_700_000_000_123, -1, -12_219_292_800_000, -12_219_292_800_001]
            .map(|millis| format!("{} | {}", to_string(millis), to_iso(millis)));
        expect![[r#"
            Thu Jan 01 00:00:00 UTC 1970 | 00:00:00.000Z
            Sat Jan 08 00:00:00 UTC 2022 | 2022-01-08
            Tue Nov 14 22:13:20 UTC 2023 | 2023-11-14T22:13:20.123Z
            Wed Dec 31 23:59:59 UTC 1969 | 23:59:59.999Z
            Fri Oct 15 00:00:00 UTC 1582 | 00:00:00.000Z
            Thu Oct 04 23:59:59 UTC 1582 | 23:59:59.999Z"#]]
        .assert_eq(&written.join("\n"));
    }

    #[test]
    fn reading_is_lenient() {
        assert_eq!(read_date("2024-01-02"), Some(19_724));
        assert_eq!(read_date("2023-13-02"), Some(19_724));
        assert_eq!(read_date("2024-1-2 xx"), Some(19_724));
        assert_eq!(read_date("0001-01-01"), Some(-719_164));
        assert_eq!(read_date("2024/01/02"), None);
        assert_eq!(read_time("03:04:05.006Z"), Some(11_045_006));
        assert_eq!(read_time("25:00:00.000Z"), Some(90_000_000));
        assert_eq!(read_time("03:04:05.0060"), None);
        assert_eq!(read_timestamp("2023-11-14T22:13:20.123Z"), Some(1_700_000_000_123));
    }

    #[test]
    fn every_day_reads_back() {
        for days in (-800_000..800_000).step_by(97) {
            let (year, month, day) = date_of(days);
            assert_eq!(days_of(year, month, day), days, "{year}-{month}-{day}");
        }
    }
}
