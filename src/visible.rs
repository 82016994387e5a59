//! Text of others, shown so that a reader sees every character of it.

use std::fmt::{self, Write};

use unicode_width::UnicodeWidthChar;

/// How many marks over or under one character are shown: more run into the
/// lines around.
const MARKS: usize = 3;

/// `text` with every character escaped that would hide, or change how others
/// look, such as `\u{202e}`: control characters, those that only direct how
/// others are shown, blanks that are none, and marks that stand on no character
/// or on too many others.
///
/// A name may have any of them, so show it by this wherever people read it: in
/// mails, on pages, on terminals.
///
/// ```
/// use tower_api_token::user::UserId;
/// use tower_api_token::notify::visible;
///
/// let user = UserId::new("alice\u{200b}")?;
/// assert_eq!(visible(&user).to_string(), "alice\\u{200b}");
/// # Ok::<(), tower_api_token::ValueError>(())
/// ```
#[must_use]
pub fn visible(text: impl fmt::Display) -> impl fmt::Display {
    Visible(text)
}

struct Visible<T>(T);

impl<T: fmt::Display> fmt::Display for Visible<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping { to: f, marks: MARKS }, "{}", self.0)
    }
}

/// Escapes what is written to it.
struct Escaping<'a, 'f> {
    to: &'a mut fmt::Formatter<'f>,
    /// How many marks the next one would stand upon.
    marks: usize,
}

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|character| self.write_char(character))
    }

    fn write_char(&mut self, character: char) -> fmt::Result {
        let is_mark = character.width() == Some(0);
        self.marks = if is_mark { self.marks + 1 } else { 0 };
        if is_visible(character) && self.marks <= MARKS {
            self.to.write_char(character)
        } else {
            // A mark behind it would stand on what it is escaped by.
            self.marks = self.marks.max(MARKS);
            write!(self.to, "{}", character.escape_unicode())
        }
    }
}

/// Whether the character shows as itself and changes no other: not so control
/// characters (Cc), line separators, what Unicode calls format characters (Cf)
/// or ignorable by default, which hide, reorder or join their neighbours, and
/// blanks other than the usual one.
pub(crate) fn is_visible(character: char) -> bool {
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
    fn what_hides_or_directs_is_escaped() {
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
            assert_eq!(visible(text).to_string(), shown);
        }
    }

    #[test]
    fn a_mark_is_seen_in_whatever_parts_the_text_is_written() {
        assert_eq!(visible(format_args!("{}{}", "e", '\u{301}')).to_string(), "e\u{301}");
    }
}
