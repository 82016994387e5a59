//! Text for a terminal, a shell and a spreadsheet, which take it for nothing but text.

use tower_api_token::notify::visible;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

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
    format!("'{}'", visible(text).to_string().replace('\'', "'\\''"))
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
