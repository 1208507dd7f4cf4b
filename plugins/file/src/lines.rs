//! Cuts a stream of bytes into lines, as Java's readers do: a line ends with `\n`, `\r` or `\r\n`. Pure; knows no file.

/// Bytes that were read and not yet given out as lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    buffer: Vec<u8>,
    /// Where the first line that was not given out begins.
    start: usize,
    /// Up to where there is no end of a line.
    searched: usize,
}

/// A line without its end, and the bytes it takes up with it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) length: usize,
}

impl Lines {
    /// Lets `read` append bytes to those that are waiting.
    pub(crate) fn fill<E>(&mut self, read: impl FnOnce(&mut Vec<u8>) -> Result<usize, E>) -> Result<usize, E> {
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        read(&mut self.buffer)
    }

    /// The next line that has ended.
    ///
    /// A `\r` that is the last byte has not: a `\n` that belongs to it may follow.
    pub(crate) fn next(&mut self) -> Option<Line<'_>> {
        let Some(found) = memchr::memchr2(b'\n', b'\r', &self.buffer[self.searched..]) else {
            self.searched = self.buffer.len();
            return None;
        };
        let end = self.searched + found;
        let after = match (self.buffer[end], self.buffer.get(end + 1)) {
            (b'\r', None) => {
                self.searched = end;
                return None;
            }
            (b'\r', Some(b'\n')) => end + 2,
            _ => end + 1,
        };
        let start = std::mem::replace(&mut self.start, after);
        self.searched = after;
        Some(Line { text: &self.buffer[start..end], length: after - start })
    }

    /// The last line of a stream that has ended: what no end of a line follows, if there is anything.
    pub(crate) fn last(&mut self) -> Option<Line<'_>> {
        let start = std::mem::replace(&mut self.start, self.buffer.len());
        self.searched = self.buffer.len();
        let rest = &self.buffer[start..];
        let text = rest.strip_suffix(b"\r").unwrap_or(rest);
        (!rest.is_empty()).then_some(Line { text, length: rest.len() })
    }

    /// Bytes that wait for the end of their line.
    pub(crate) fn waiting(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Forgets what is waiting.
    pub(crate) fn clear(&mut self) {
        *self = Lines::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the pieces one after another; answers the lines, each followed by `|`, then what is waiting.
    fn check(pieces: &[&str], expected: &str) {
        let mut lines = Lines::default();
        let mut answer = String::new();
        let mut bytes = 0;
        for piece in pieces {
            lines
                .fill(|buffer| {
                    buffer.extend_from_slice(piece.as_bytes());
                    Ok::<_, ()>(piece.len())
                })
                .expect("reading a piece cannot fail");
            while let Some(line) = lines.next() {
                answer.push_str(std::str::from_utf8(line.text).expect("the pieces are text"));
                answer.push('|');
                bytes += line.length;
            }
        }
        let total: usize = pieces.iter().map(|piece| piece.len()).sum();
        assert_eq!(bytes + lines.waiting(), total, "every byte belongs to a line or is waiting");
        if let Some(last) = lines.last() {
            answer.push_str(std::str::from_utf8(last.text).expect("the pieces are text"));
        }
        assert_eq!(answer, expected);
    }

    #[test]
    fn all_three_ends_of_a_line_end_one() {
        check(&["a\nb\rc\r\nd"], "a|b|c|d");
    }

    #[test]
    fn a_line_may_come_in_pieces() {
        check(&["a", "b", "c\nd", "\n"], "abc|d|");
    }

    #[test]
    fn a_carriage_return_at_the_end_of_a_piece_waits_for_its_line_feed() {
        check(&["a\r", "\nb\n"], "a|b|");
        check(&["a\r", "b\n"], "a|b|");
        check(&["a\r"], "a");
    }

    #[test]
    fn empty_lines_are_lines() {
        check(&["\n\n\r\r\n"], "||||");
    }

    #[test]
    fn nothing_is_no_line() {
        check(&[""], "");
    }
}
