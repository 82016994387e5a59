//! The token itself, its name, its form and its digest.
//!
//! A [`Token`] is the secret a client presents. It exists in this process only
//! between the request's header and its [`TokenDigest`], and once more in the
//! answer to the call that made it. Everything else names a token by its
//! [`TokenId`].

mod code;
mod digest;
mod form;
mod pepper;
mod scheme;

use std::fmt;

use zeroize::Zeroizing;

pub use self::code::{CodeDigest, ConfirmationCode};
pub(crate) use self::digest::sha256;
pub use self::digest::{StoredDigest, TokenDigest};
pub use self::form::{RandomSource, TokenPrefix};
pub(crate) use self::form::{SystemRandom, TokenForm};
pub use self::pepper::{Pepper, PepperCheck, PepperChecks, PepperVersion};
pub use self::scheme::TokenScheme;
use crate::error::{ValueError, limit};

/// The greatest length of a token in bytes, generated or imported.
pub const MAX_TOKEN_LENGTH: usize = limit::TOKEN;

/// Whether `text` is a `b64token` (RFC 6750 section 2.1; `token68` of RFC 9110
/// section 11.2): letters, digits, `-._~+/`, then any number of `=`.
pub(crate) fn is_b64token(text: &[u8]) -> bool {
    let unpadded = text.iter().rposition(|&byte| byte != b'=');
    let Some(last) = unpadded else { return false };
    let text = &text[..=last];
    // Sixteen bytes at a time, which compilers turn into a few instructions;
    // the last block overlaps the one before.
    match text.last_chunk::<16>() {
        Some(end) => {
            let blocks = text.as_chunks().0.iter();
            blocks.fold(strangeness([0; 16], end), strangeness) == [0; 16]
        }
        None => text.iter().all(|&byte| strange(byte) == 0),
    }
}

/// Adds what is strange about each byte of a block.
#[inline]
fn strangeness(mut sum: [u8; 16], block: &[u8; 16]) -> [u8; 16] {
    for (sum, &byte) in sum.iter_mut().zip(block) {
        *sum |= strange(byte);
    }
    sum
}

/// 0 if a `b64token` may hold this byte before its padding. The distance from
/// what it may hold: without a branch or a table, for whole blocks at once.
#[inline]
fn strange(byte: u8) -> u8 {
    let letter = (byte | 0x20).wrapping_sub(b'a').saturating_sub(25);
    let minus_to_nine = byte.wrapping_sub(b'-').saturating_sub(b'9' - b'-');
    letter.min(minus_to_nine).min(byte ^ b'_').min(byte ^ b'~').min(byte ^ b'+')
}

/// An API token: the secret that identifies and authenticates its user.
///
/// Its memory is wiped when it is dropped, `Debug` shows nothing of it, and
/// [`Token::expose_secret`] is the only way to its text.
///
/// ```
/// use tower_api_token::token::Token;
///
/// let token = Token::parse("c0ffee00-1234-4abc-9def-0123456789ab")?;
/// assert_eq!(format!("{token:?}"), "Token(..)");
/// # Ok::<(), tower_api_token::ValueError>(())
/// ```
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// Takes a token that some other system made.
    ///
    /// # Errors
    ///
    /// [`ValueError`] names the rule that the text breaks: it must be 1 to
    /// [`MAX_TOKEN_LENGTH`] bytes of the `b64token` syntax of RFC 6750
    /// section 2.1, since no other text can be sent as a Bearer credential.
    pub fn parse(text: impl Into<String>) -> Result<Self, ValueError> {
        let text = Zeroizing::new(text.into());
        match text.len() {
            0 => Err(ValueError::TokenEmpty),
            length if length > MAX_TOKEN_LENGTH => Err(ValueError::TokenTooLong),
            _ if !is_b64token(text.as_bytes()) => Err(ValueError::TokenSyntax),
            _ => Ok(Self(text)),
        }
    }

    pub(crate) const fn generated(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    pub(crate) fn sha256(&self) -> [u8; 32] {
        sha256(self.0.as_bytes())
    }

    /// The token's text, and the only way to it: never log, store or mail what it
    /// returns.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.0
    }

    /// Whether the text could be a secret: at least 20 bytes with at least 10
    /// different ones (7 of 32 bytes or more, for hexadecimal texts), no run of
    /// one byte longer than 7, and not a repetition of a part shorter than 20
    /// bytes.
    ///
    /// A version-4 UUID passes, with or without hyphens, but for one in a
    /// hundred million; short and repetitive texts do not. It cannot tell a
    /// guessable text of good shape from a random one.
    #[must_use]
    pub fn looks_random(&self) -> bool {
        let text = self.0.as_bytes();
        let mut seen = [false; 256];
        for &byte in text {
            seen[usize::from(byte)] = true;
        }
        let different = seen.iter().filter(|&&seen| seen).count();
        let longest_run = text.chunk_by(|a, b| a == b).map(<[u8]>::len).max();
        let enough = if text.len() >= 32 { 7 } else { 10 };
        let repeats = |part: usize| text[part..] == text[..text.len() - part];
        text.len() >= 20
            && different >= enough
            && longest_run.unwrap_or(0) <= 7
            && !(1..20).any(repeats)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The public name of one token, unique within its account and never reused.
///
/// Not a secret: it is shown by views, in events and in forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(u64);

impl TokenId {
    /// The id with this number, for stores and forms that carry it as a number.
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The id as a number.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a page may show of a token so that its owner recognises it: the prefix
/// (of a token of our own form) and the last four characters.
///
/// The last four characters of a generated token belong to its check sum; with
/// the rest unknown they narrow its 214 random bits to 190 at worst.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenHint(compact_str::CompactString);

impl TokenHint {
    /// A hint that shows nothing, for a token known by its digest alone.
    #[must_use]
    pub const fn unknown() -> Self {
        Self(compact_str::CompactString::const_new(""))
    }

    pub(crate) fn of(token: &Token, prefix: Option<&TokenPrefix>) -> Self {
        let text = token.expose_secret();
        // A `b64token` is ASCII, so every index is a character boundary.
        let last = &text[text.len().saturating_sub(4)..];
        // Four characters of a short foreign token would be too much of it.
        if text.len() < 20 {
            return Self::unknown();
        }
        Self(match prefix {
            Some(prefix) => compact_str::format_compact!("{prefix}_...{last}"),
            None => compact_str::format_compact!("...{last}"),
        })
    }

    /// Takes a hint back from where a store has kept it.
    #[must_use]
    pub fn from_stored(text: &str) -> Self {
        Self(text.into())
    }

    /// The prefix of the token, if it is of the form that this crate generates.
    /// None is known of a token of another form, nor of one that was imported by
    /// its digest alone.
    #[must_use]
    pub fn prefix(&self) -> Option<TokenPrefix> {
        let (prefix, _) = self.0.split_once("_...")?;
        TokenPrefix::new(prefix).ok()
    }

    /// The text to show, such as `tat_...x7Qz`; empty if nothing is known.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A token as a [`Sealer`](crate::sealing::Sealer) has encrypted it. What the
/// bytes mean is known to that alone; a store keeps them as they are.
///
/// They are of no use without its key. `Debug` does not show them.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedToken(Box<Bytes>);

/// Behind a pointer of one word: millions of records stand in memory, and few
/// hosts keep tokens sealed.
#[derive(Clone, PartialEq, Eq)]
struct Bytes(Box<[u8]>);

impl SealedToken {
    /// The most bytes that a manager keeps of a token: an account has three of them
    /// in one record.
    pub const MAX_LENGTH: usize = 1024;

    /// Takes a sealed token back from where a store has kept it.
    #[must_use]
    pub fn from_bytes(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(Box::new(Bytes(bytes.into())))
    }

    /// The bytes that a store keeps.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0.0
    }
}

impl fmt::Debug for SealedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedToken(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b64token_is_the_syntax_of_rfc_6750() {
        for good in ["a", "a=", "a==", "-._~+/", "null", "../../P"] {
            assert!(is_b64token(good.as_bytes()), "{good}");
        }
        for bad in ["", "=", "==", "a=b", "a b", "a,", "\"a\"", "a:b", "a%20", "é", "a\t"] {
            assert!(!is_b64token(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn parse_names_the_rule() {
        assert_eq!(Token::parse("").unwrap_err(), ValueError::TokenEmpty);
        assert_eq!(Token::parse("a b").unwrap_err(), ValueError::TokenSyntax);
        let long = "a".repeat(MAX_TOKEN_LENGTH + 1);
        assert_eq!(Token::parse(long).unwrap_err(), ValueError::TokenTooLong);
        assert!(Token::parse("a".repeat(MAX_TOKEN_LENGTH)).is_ok());
    }

    #[test]
    fn a_version_4_uuid_looks_random_and_short_or_repetitive_text_does_not() {
        let looks_random = |text: &str| Token::parse(text).unwrap().looks_random();
        assert!(looks_random("c0ffee00-1234-4abc-9def-0123456789ab"));
        assert!(looks_random("3f2b8c1e9d7a4650b1c2d3e4f5a69788"));
        assert!(looks_random("64bdb043bbd343669434220bd83869dd"), "a UUID of nine digits");
        for bad in [
            "hunter2",
            "0123456789abcdefghi",
            "abcabcabcabcabcabcabcabcabc",
            "01234567890123456789",
            "qwertyuiopqwertyuiop",
            "00000000-0000-0000-0000-000000000000",
            "aaaaaaaa1234567890bcdefghijk",
        ] {
            assert!(!looks_random(bad), "{bad}");
        }
    }

    #[test]
    fn a_hint_shows_four_characters_at_most_and_none_of_a_short_token() {
        let token = Token::parse("0123456789abcdefWXYZ").unwrap();
        let prefix = TokenPrefix::new("tat").unwrap();
        assert_eq!(TokenHint::of(&token, Some(&prefix)).as_str(), "tat_...WXYZ");
        assert_eq!(TokenHint::of(&token, None).as_str(), "...WXYZ");
        assert_eq!(TokenHint::of(&token, Some(&prefix)).prefix(), Some(prefix));
        assert_eq!(TokenHint::of(&token, None).prefix(), None);
        let short = Token::parse("hunter2").unwrap();
        assert_eq!(TokenHint::of(&short, None), TokenHint::unknown());
    }
}
