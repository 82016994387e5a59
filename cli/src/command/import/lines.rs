//! Lines of a file of any size, in bounded memory.

use std::io::{self, BufRead, BufReader, Read};

/// The longest line that is read.
const LONGEST: usize = 64 * 1_024;

/// One line, without its break.
pub(super) enum Line {
    Text(Vec<u8>),
    TooLong,
}

/// The lines of an input, counted from 1.
pub(super) struct Lines {
    input: BufReader<Box<dyn Read>>,
    number: u64,
    bytes: u64,
}

impl Lines {
    pub(super) fn new(input: Box<dyn Read>) -> Self {
        Self { input: BufReader::with_capacity(1 << 17, input), number: 0, bytes: 0 }
    }

    /// The number of the line that was read last.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// How many bytes were read so far.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn next_line(&mut self) -> io::Result<Option<Line>> {
        let mut text = Vec::with_capacity(128);
        let limit = LONGEST as u64 + 1;
        let read = (&mut self.input).take(limit).read_until(b'\n', &mut text)?;
        if read == 0 {
            return Ok(None);
        }
        self.bytes += read as u64;
        self.number += 1;
        if text.last() != Some(&b'\n') && text.len() > LONGEST {
            self.bytes += self.input.skip_until(b'\n')? as u64;
            return Ok(Some(Line::TooLong));
        }
        let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r');
        while text.last().is_some_and(is_break) {
            text.pop();
        }
        // What some editors begin a file with.
        if self.number == 1 && text.starts_with(b"\xef\xbb\xbf") {
            text.drain(..3);
        }
        Ok(Some(Line::Text(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_bounded_and_freed_of_their_breaks() {
        let long = [b"x".repeat(LONGEST + 1), b"\n".to_vec()].concat();
        let text = [b"\xef\xbb\xbfa\r\n\n".to_vec(), long, b"b".to_vec()].concat();
        let length = text.len() as u64;
        let mut lines = Lines::new(Box::new(io::Cursor::new(text)));
        let mut found = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            found.push((
                lines.number(),
                match line {
                    Line::Text(text) => String::from_utf8(text).unwrap(),
                    Line::TooLong => "too long".to_owned(),
                },
            ));
        }
        let expected = [(1, "a"), (2, ""), (3, "too long"), (4, "b")];
        assert_eq!(found, expected.map(|(number, text)| (number, text.to_owned())));
        assert_eq!(lines.bytes(), length);
    }
}
