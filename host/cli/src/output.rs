//! What people and scripts read: results on stdout, complaints on stderr.

use std::fmt::Display;
use std::io::{self, Write};

use crate::failure::Failure;

/// One line of a result. A reader that went away (`| head`) ends the command.
pub(crate) fn say(line: impl Display) -> Result<(), Failure> {
    writeln!(io::stdout(), "{line}").map_err(unwritable)
}

/// A JSON document as a result, for scripts and for eyes.
pub(crate) fn say_json(document: &serde_json::Value) -> Result<(), Failure> {
    say(format_args!("{document:#}"))
}

/// Rows of a table, each column as wide as it needs to be.
pub(crate) fn say_table<const COLUMNS: usize>(
    head: [&str; COLUMNS],
    rows: &[[String; COLUMNS]],
) -> Result<(), Failure> {
    let mut widths = head.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: [&str; COLUMNS]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    say(line(head))?;
    rows.iter().try_for_each(|row| say(line(row.each_ref().map(String::as_str))))
}

/// Something the reader should know although the command goes on. A closed stderr is nobody's business.
pub(crate) fn warn(text: impl Display) {
    let _ = writeln!(io::stderr(), "warning: {text}");
}

/// The last words of a command that failed.
pub(crate) fn complain(failure: &Failure) {
    let _ = writeln!(io::stderr(), "{failure}");
}

/// Why a result did not reach its reader.
pub(crate) fn unwritable(error: io::Error) -> Failure {
    Failure::new("the output cannot be written").detail(error)
}

/// A number with its thousands apart: 12,345.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number of bytes in the unit that suits it.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1_024 {
        return format!("{count} B");
    }
    let (mut value, mut unit) = (count as f64 / 1_024.0, 0);
    while value >= 1_024.0 && unit + 1 < UNITS.len() {
        value /= 1_024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::{bytes, grouped};

    #[test]
    fn numbers_are_shown_as_people_read_them() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 1_023, 1_536, 5 << 20].map(bytes), ["0 B", "1023 B", "1.5 KiB", "5.0 MiB"]);
    }
}
