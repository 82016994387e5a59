//! One line of CSV (RFC 4180). No field may hold a line break: no user's name
//! does, and one quotation mark too many must not swallow the rest of a file.

use csv_core::{ReadRecordResult, Reader};

/// Reads one line after the other: its tables take many times longer to make
/// than a line to read.
pub(super) struct Fields(Reader);

impl Fields {
    pub(super) fn new() -> Self {
        Self(Reader::new())
    }

    /// The fields of a line, or `None` if it is not CSV.
    pub(super) fn of(&mut self, line: &[u8]) -> Option<Vec<String>> {
        let Self(reader) = self;
        reader.reset();
        let (mut text, mut ends) = (vec![0; line.len() + 1], vec![0; line.len() + 2]);
        // The end of the input must be seen outside of quotation marks.
        if line.iter().filter(|&&byte| byte == b'"').count() % 2 == 1 {
            return None;
        }
        let (result, read, written, count) = reader.read_record(line, &mut text, &mut ends);
        let (written, count) = match result {
            ReadRecordResult::Record if read == line.len() => (written, count),
            // The line has no break, so its last field ends with the input.
            ReadRecordResult::InputEmpty => {
                let (_, _, more, others) =
                    reader.read_record(&[], &mut text[written..], &mut ends[count..]);
                (written + more, count + others)
            }
            _ => return None,
        };
        let mut start = 0;
        let mut fields = Vec::with_capacity(count);
        for &end in &ends[..count] {
            fields.push(String::from_utf8(text.get(start..end)?.to_vec()).ok()?);
            start = end;
        }
        (start == written).then_some(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_those_of_rfc_4180() {
        let mut reader = Fields::new();
        let cases: [(&str, &[&str]); 7] = [
            ("a,b,c", &["a", "b", "c"]),
            ("a,,", &["a", "", ""]),
            ("\"a,b\",c", &["a,b", "c"]),
            ("\"say \"\"hi\"\"\",c", &["say \"hi\"", "c"]),
            ("\"\",x", &["", "x"]),
            ("al\u{ed}ce, b", &["al\u{ed}ce", " b"]),
            ("one", &["one"]),
        ];
        for (line, expected) in cases {
            assert_eq!(reader.of(line.as_bytes()).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn an_open_quotation_or_no_utf_8_is_no_csv() {
        let mut reader = Fields::new();
        for line in [&b"\"a,b"[..], b"a,\"b", b"a\xff,b"] {
            assert_eq!(reader.of(line), None);
            assert_eq!(reader.of(b"a,b").unwrap(), ["a", "b"], "the line after it");
        }
    }
}
