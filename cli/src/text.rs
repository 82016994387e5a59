//! Text of others, printed so that a terminal takes it for nothing but text.

use std::fmt;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How many marks over or under one character are shown: more run into the
/// lines around.
const MARKS: usize = 3;

/// `text` with everything escaped that a terminal obeys or a reader cannot see:
/// control characters, those that only direct how others are shown, blanks that
/// are none, and marks that stand on no character or on too many others.
pub(crate) struct Safe<T>(pub(crate) T);

impl<T: AsRef<str>> fmt::Display for Safe<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        let mut marks = MARKS;
        for character in self.0.as_ref().chars() {
            let is_mark = character.width() == Some(0);
            marks = if is_mark { marks + 1 } else { 0 };
            if is_seen(character) && marks <= MARKS {
                f.write_char(character)?;
            } else {
                write!(f, "{}", character.escape_unicode())?;
                // A mark behind it would stand on what it is escaped by.
                marks = marks.max(MARKS);
            }
        }
        Ok(())
    }
}

/// How many columns of a terminal the text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// The number and the word for so many: `1 line`, `2 lines`.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A field of CSV (RFC 4180) that a spreadsheet takes for nothing but text: one
/// that begins as a formula has a quotation mark before it.
pub(crate) fn csv_field(field: &str) -> String {
    let quotes = |c: char| matches!(c, '"' | '\'' | '`' | '\u{2018}'..='\u{201f}' | '\u{feff}');
    let hidden = |c: char| c.is_whitespace() || c.is_control() || c.width() == Some(0);
    let begins = field.trim_start_matches(|c: char| quotes(c) || hidden(c)).chars().next();
    let is_formula = |c| "=+-@\u{ff1d}\u{ff0b}\u{ff0d}\u{ff20}\u{2212}".contains(c);
    let starts_hidden = field.starts_with(['\t', '\r', '\n']);
    let mark = if starts_hidden || begins.is_some_and(is_formula) { "'" } else { "" };
    // Some spreadsheets take other marks for the end of a field.
    if field.contains([',', ';', '|', '\t', '"', '\'', '\r', '\n']) || field.trim() != field {
        format!("\"{mark}{}\"", field.replace('"', "\"\""))
    } else {
        format!("{mark}{field}")
    }
}

/// `text` as one word of a POSIX shell, to be pasted.
pub(crate) fn shell_word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._@/-+:=".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", Safe(text).to_string().replace('\'', "'\\''"))
}

/// Whether the character shows as itself and changes no other: not so control
/// characters (Cc), line separators, what Unicode calls format characters (Cf)
/// or ignorable by default, which hide, reorder or join their neighbours, and
/// blanks other than the usual one.
fn is_seen(character: char) -> bool {
    !character.is_control()
        && (character == ' ' || !character.is_whitespace())
        && !matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{600}'..='\u{605}'
                | '\u{61c}'
                | '\u{6dd}'
                | '\u{70f}'
                | '\u{890}'..='\u{891}'
                | '\u{8e2}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{110bd}'
                | '\u{110cd}'
                | '\u{13430}'..='\u{1345f}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_a_word_for_one() {
        assert_eq!(shell_word("alice@example.com"), "alice@example.com");
        assert_eq!(shell_word("it's $HOME"), "'it'\\''s $HOME'");
    }

    #[test]
    fn what_a_terminal_obeys_is_shown_and_not_sent() {
        let cases = [
            ("al\u{ed}ce \u{65e5}\u{672c}", "al\u{ed}ce \u{65e5}\u{672c}"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("a\r\nb\t", "a\\u{d}\\u{a}b\\u{9}"),
            ("abc\u{202e}txt", "abc\\u{202e}txt"),
            ("a\u{200b}b", "a\\u{200b}b"),
            ("e\u{301}", "e\u{301}"),
            ("\u{301}e", "\\u{301}e"),
            ("a\u{fe0f}\u{301}", "a\\u{fe0f}\\u{301}"),
            ("a\u{300}\u{301}\u{302}\u{303}", "a\u{300}\u{301}\u{302}\\u{303}"),
            ("a\u{a0}b\u{3000}c", "a\\u{a0}b\\u{3000}c"),
            ("root\u{3164}", "root\\u{3164}"),
            ("root\u{2800}", "root\\u{2800}"),
        ];
        for (text, shown) in cases {
            assert_eq!(Safe(text).to_string(), shown);
        }
    }

    #[test]
    fn a_field_of_csv_is_a_formula_to_no_spreadsheet() {
        for formula in [
            "=1+1",
            "+1",
            "-1",
            "@SUM(1)",
            "\t=1",
            "\r=1",
            " =1",
            "\"=1",
            "'=1",
            "\u{201c}=1",
            "\u{a0}=1",
            "\u{feff}=1",
            "\u{ff1d}1",
            "\u{ff0b}1",
            "\u{ff0d}1",
            "\u{ff20}1",
            "\tx",
        ] {
            let field = csv_field(formula);
            assert!(field.trim_start_matches('"').starts_with('\''), "{formula:?}: {field}");
        }
        let cases = [
            ("alice", "alice"),
            ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
            ("GET POST", "GET POST"),
            ("a, \"b\"", "\"a, \"\"b\"\"\""),
            ("a;=1", "\"a;=1\""),
            ("al\u{ed}ce", "al\u{ed}ce"),
            ("a=1", "a=1"),
            ("", ""),
        ];
        for (field, written) in cases {
            assert_eq!(csv_field(field), written);
        }
    }

    #[test]
    fn one_is_not_many() {
        let lines = |number| counted(number, "line", "lines");
        assert_eq!([lines(0), lines(1), lines(2)], ["0 lines", "1 line", "2 lines"]);
    }
}
