//! What a generated token looks like, so that scanners can find a leaked one
//! and garbage is refused without asking a store; and the random text in it.

use std::{fmt, io};

use compact_str::CompactString;
use zeroize::Zeroizing;

use super::Token;
use crate::ConfigError;

/// Digits, upper case, lower case: the order in which a digit of a check sum is
/// looked up, too.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

const RANDOM_LENGTH: usize = 36;
const CHECK_SUM_LENGTH: usize = 6;

/// The underscore and all behind it.
const AFTER_PREFIX: usize = 1 + RANDOM_LENGTH + CHECK_SUM_LENGTH;

/// The part of a generated token before its first underscore: 1 to 8 of
/// `a` to `z` and `0` to `9`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenPrefix {
    text: CompactString,
}

impl TokenPrefix {
    /// The prefix of tokens whose host has not chosen one: `tat`.
    #[must_use]
    pub const fn standard() -> Self {
        Self { text: CompactString::const_new("tat") }
    }

    /// A prefix of the host's choice, such as `acme`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the rule that the text breaks.
    pub fn new(text: &str) -> Result<Self, ConfigError> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        match text {
            // The prefix of confirmation codes: a scanner must tell them apart.
            "tac" => Err(ConfigError::PrefixReserved),
            _ if !(1..=8).contains(&text.len()) => Err(ConfigError::PrefixLength),
            _ if !text.bytes().all(allowed) => Err(ConfigError::PrefixCharacter),
            _ => Ok(Self { text: text.into() }),
        }
    }

    /// The prefix, without the underscore.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `<prefix>_`, 36 random characters and the check sum of all before it.
    pub(super) fn generate(&self, source: &dyn RandomSource) -> io::Result<Token> {
        let mut text = Zeroizing::new(String::with_capacity(self.text.len() + AFTER_PREFIX));
        text.push_str(&self.text);
        text.push('_');
        push_random(&mut text, RANDOM_LENGTH, source)?;
        let check_sum = check_sum(text.as_bytes());
        text.extend(check_sum.map(char::from));
        Ok(Token::generated(text))
    }

    /// Whether `text` has the length of a token with this prefix.
    #[inline]
    pub(super) fn has_length(&self, text: &[u8]) -> bool {
        text.len() == self.text.len() + AFTER_PREFIX
    }

    /// Whether `text` has this prefix and the length of a generated token.
    pub(super) fn has_shape(&self, text: &[u8]) -> bool {
        let rest = text.strip_prefix(self.text.as_bytes());
        rest.is_some_and(|rest| rest.len() == AFTER_PREFIX && rest[0] == b'_')
    }
}

impl fmt::Display for TokenPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What the form of a string says about it, before anything is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenForm {
    /// A listed prefix, the generated length, and the right check sum.
    Generated,
    /// A listed prefix and the generated length, but the wrong check sum: no
    /// token that was ever generated.
    Damaged,
    /// Anything else: perhaps a token that another system made.
    Foreign,
}

/// Whether the last characters of a string of generated shape are the check sum
/// of those before.
pub(super) fn has_check_sum(text: &[u8]) -> bool {
    let (body, sum) = text.split_at(text.len().saturating_sub(CHECK_SUM_LENGTH));
    sum == check_sum(body)
}

/// CRC-32 (ISO-HDLC) in base 62, most significant digit first.
fn check_sum(text: &[u8]) -> [u8; CHECK_SUM_LENGTH] {
    let mut rest = crc32fast::hash(text);
    let mut digits = [0; CHECK_SUM_LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    digits
}

/// A source of bytes that nobody can predict.
///
/// The operating system's generator is the only one for production; tests that
/// need a certain token put another in its place.
pub trait RandomSource: Send + Sync + 'static {
    /// Fills `bytes` completely with unpredictable, uniform bytes.
    ///
    /// # Errors
    ///
    /// [`io::Error`] if it cannot; nothing is generated then.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), io::Error>;
}

/// The operating system's generator.
pub(crate) struct SystemRandom;

impl RandomSource for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), io::Error> {
        getrandom::fill(bytes).map_err(io::Error::from)
    }
}

/// Appends `count` characters, each of the 62 equally likely.
pub(super) fn push_random(
    text: &mut Zeroizing<String>,
    count: usize,
    source: &dyn RandomSource,
) -> Result<(), io::Error> {
    // The largest multiple of 62 that a byte holds: a byte from there on would
    // make the first characters more likely than the others.
    const FAIR: u8 = 62 * 4;
    let wanted = text.len() + count;
    let mut bytes = Zeroizing::new([0; 64]);
    while text.len() < wanted {
        source.fill(&mut *bytes)?;
        let fair = bytes.iter().filter(|&&byte| byte < FAIR);
        for &byte in fair.take(wanted - text.len()) {
            text.push(char::from(ALPHABET[usize::from(byte % 62)]));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generated(prefix: &str) -> Token {
        let prefix = TokenPrefix::new(prefix).unwrap();
        prefix.generate(&SystemRandom).unwrap()
    }

    #[test]
    fn a_generated_token_has_the_documented_form() {
        for prefix in ["a", "tat", "acme2026"] {
            let token = generated(prefix);
            let text = token.expose_secret();
            let rest = text.strip_prefix(prefix).unwrap().strip_prefix('_').unwrap();
            assert_eq!(rest.len(), 42);
            assert!(rest.bytes().all(|byte| byte.is_ascii_alphanumeric()));
            assert!(text.len() <= 55, "SHA-256 must need one block only");
            assert!(has_check_sum(text.as_bytes()));
        }
    }

    #[test]
    fn any_changed_character_fails_the_check_sum() {
        let token = generated("tat");
        for place in 0..token.expose_secret().len() {
            let mut text = token.expose_secret().as_bytes().to_vec();
            text[place] ^= 1;
            assert!(!has_check_sum(&text), "place {place}");
        }
    }

    #[test]
    fn only_the_prefix_and_the_length_of_a_generated_token_have_its_shape() {
        for prefix in ["a", "tat", "acme2026"] {
            let (token, prefix) = (generated(prefix), TokenPrefix::new(prefix).unwrap());
            let text = token.expose_secret().as_bytes();
            assert!(prefix.has_shape(text));
            assert!(!prefix.has_shape(&text[1..]) && !prefix.has_shape(&text[..text.len() - 1]));
            assert!(!prefix.has_shape(&[text, b"0"].concat()) && !prefix.has_shape(b""));
            for place in 0..=prefix.as_str().len() {
                let mut other = text.to_vec();
                other[place] ^= 1;
                assert!(!prefix.has_shape(&other), "{place}");
            }
        }
    }

    #[test]
    fn the_check_sum_is_crc_32_in_base_62() {
        // The check value of CRC-32/ISO-HDLC is 0xCBF43926 = 3 421 780 262.
        assert_eq!(&check_sum(b"123456789"), b"3jZRME");
        let mut value = 0_u64;
        for byte in check_sum(b"123456789") {
            let digit = ALPHABET.iter().position(|&letter| letter == byte).unwrap();
            value = value * 62 + digit as u64;
        }
        assert_eq!(value, 0xCBF4_3926);
    }

    #[test]
    fn a_prefix_names_the_rule_it_breaks() {
        assert_eq!(TokenPrefix::new("").unwrap_err(), ConfigError::PrefixLength);
        assert_eq!(TokenPrefix::new("ninechars").unwrap_err(), ConfigError::PrefixLength);
        assert_eq!(TokenPrefix::new("Tat").unwrap_err(), ConfigError::PrefixCharacter);
        assert_eq!(TokenPrefix::new("t_t").unwrap_err(), ConfigError::PrefixCharacter);
        assert_eq!(TokenPrefix::new("tac").unwrap_err(), ConfigError::PrefixReserved);
    }

    #[test]
    fn every_character_is_about_equally_likely() {
        let mut text = Zeroizing::new(String::new());
        push_random(&mut text, 62_000, &SystemRandom).unwrap();
        for &letter in ALPHABET {
            let count = text.bytes().filter(|&byte| byte == letter).count();
            // Mean 1 000, standard deviation 31: eight of them either way.
            assert!((750..1_250).contains(&count), "{count} of {letter}");
        }
    }
}
