//! Text of others, printed so that a terminal takes it for nothing but text.

use std::fmt;

/// `text` with everything escaped that a terminal obeys or a reader cannot see:
/// control characters, and those that only direct how others are shown.
pub(crate) struct Safe<T>(pub(crate) T);

impl<T: AsRef<str>> fmt::Display for Safe<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        for character in self.0.as_ref().chars() {
            if is_seen(character) {
                f.write_char(character)?;
            } else {
                write!(f, "{}", character.escape_unicode())?;
            }
        }
        Ok(())
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
/// characters (Cc), line separators, and what Unicode calls format characters
/// (Cf), which hide, reorder or join their neighbours.
fn is_seen(character: char) -> bool {
    !character.is_control()
        && !matches!(
            character,
            '\u{ad}'
                | '\u{600}'..='\u{605}'
                | '\u{61c}'
                | '\u{6dd}'
                | '\u{70f}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e007f}'
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
        ];
        for (text, shown) in cases {
            assert_eq!(Safe(text).to_string(), shown);
        }
    }
}
