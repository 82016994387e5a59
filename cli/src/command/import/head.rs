//! The first line of a CSV file: which column is which.

use super::csv::Fields;
use super::lines::Line;

/// The names of the columns.
pub(super) const COLUMNS: [&str; 5] = ["user", "methods", "slot", "token", "sha256"];

/// The place of each column: all of them known, none twice, and those there
/// that every line needs. Else what was found instead.
pub(super) fn columns(line: Option<Line>, fields: &mut Fields) -> Result<Vec<usize>, String> {
    let text = match line {
        Some(Line::Text(text)) => text,
        Some(Line::TooLong) => return Err("the first line is too long".to_owned()),
        None => return Err("the file is empty".to_owned()),
    };
    let head = fields.of(&text).ok_or_else(|| no_csv(&text))?;
    let mut places = Vec::new();
    for (number, name) in head.iter().enumerate() {
        let known = COLUMNS.iter().position(|column| name.trim().eq_ignore_ascii_case(column));
        let place = known.ok_or_else(|| unknown(&text, number, name))?;
        if places.contains(&place) {
            return Err(format!("the column {} stands twice", COLUMNS[place]));
        }
        places.push(place);
    }
    match (places.contains(&0), places.contains(&3) || places.contains(&4)) {
        (false, _) => Err("the column user is missing".to_owned()),
        (_, false) => Err("the column token or sha256 is missing".to_owned()),
        _ => Ok(places),
    }
}

pub(super) const UTF_16: &str = "the file is UTF-16: save it as UTF-8";

/// Whether the text is UTF-16, as some spreadsheets call Unicode.
pub(super) fn is_utf_16(text: &[u8]) -> bool {
    text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") || text.contains(&0)
}

fn no_csv(text: &[u8]) -> String {
    if is_utf_16(text) {
        UTF_16.to_owned()
    } else if std::str::from_utf8(text).is_err() {
        "the file is not UTF-8".to_owned()
    } else if text.is_empty() {
        "the first line is empty".to_owned()
    } else {
        "the first line is no CSV".to_owned()
    }
}

fn unknown(text: &[u8], number: usize, name: &str) -> String {
    if is_utf_16(text) {
        return no_csv(text);
    }
    let separators = [(b';', "semicolons"), (b'\t', "tabs"), (b'|', "bars")];
    let other = separators.iter().find(|(byte, _)| text.contains(byte));
    match other {
        Some((_, word)) if !text.contains(&b',') => {
            format!("the first line is separated by {word}")
        }
        _ => format!("column {} is {}, which is none", number + 1, named(name)),
    }
}

/// The name, unless it may be a token: in a file without a first line of names
/// it could be one.
pub(super) fn named(name: &str) -> String {
    let name = name.trim();
    let is_letter = |c: char| c.is_alphabetic() || matches!(c, ' ' | '-');
    if (1..=20).contains(&name.chars().count()) && name.chars().all(is_letter) {
        format!("`{name}`")
    } else {
        "something else".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: impl Into<Vec<u8>>) -> Result<Vec<usize>, String> {
        columns(Some(Line::Text(text.into())), &mut Fields::new())
    }

    #[test]
    fn a_head_names_known_columns_once_in_any_case_and_with_blanks() {
        assert_eq!(of("sha256,user"), Ok(vec![4, 0]));
        assert_eq!(of("User, TOKEN ,\"Slot\""), Ok(vec![0, 3, 2]));
        assert!(of("user,methods,slot,token,sha256").is_ok());
    }

    #[test]
    fn a_head_that_cannot_be_read_says_what_was_found() {
        let utf_16: Vec<u8> =
            "\u{feff}user,token".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = "user,token".encode_utf16().flat_map(u16::to_be_bytes).collect();
        for (text, found) in [
            (b"user".to_vec(), "the column token or sha256 is missing"),
            (b"token".to_vec(), "the column user is missing"),
            (b"user,token,user".to_vec(), "the column user stands twice"),
            (b"user,User,token".to_vec(), "the column user stands twice"),
            (b"user,token,password".to_vec(), "column 3 is `password`, which is none"),
            (b"user;methods;token".to_vec(), "separated by semicolons"),
            (b"user\tmethods\ttoken".to_vec(), "separated by tabs"),
            (b"user|token".to_vec(), "separated by bars"),
            (b"".to_vec(), "the first line is empty"),
            (b"\"user,token".to_vec(), "no CSV"),
            (b"us\xe9r,token".to_vec(), "not UTF-8"),
            (b"user,,token".to_vec(), "column 2 is something else"),
            (utf_16, "UTF-16"),
            (big, "UTF-16"),
        ] {
            let said = of(text.clone()).unwrap_err();
            assert!(said.contains(found), "{text:?}: {said}");
        }
    }

    #[test]
    fn a_token_in_the_place_of_a_name_is_never_shown() {
        for secret in ["tat_abcdefghij", "3f2b8c1e-9d7a-4650", "abcdefghijklmnopqrstuvwxyz"] {
            let said = of(format!("alice,GET,{secret}")).unwrap_err();
            assert!(!said.contains(secret), "{said}");
            assert!(!named(secret).contains(secret));
        }
    }
}
