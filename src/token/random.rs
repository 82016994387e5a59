//! Uniformly random text for tokens and confirmation codes.

use std::io;

use zeroize::Zeroizing;

/// Digits, upper case, lower case: the order in which a digit of a check sum is
/// looked up, too.
pub(super) const ALPHABET: &[u8; 62] =
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

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
