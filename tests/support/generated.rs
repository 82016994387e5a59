//! Tokens of the generated form, made by its published description and not by
//! the code under test.

use super::secret::random_text;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// `<prefix>_`, 36 random characters, and the CRC-32 of all that in base 62.
pub(crate) fn token(prefix: &str) -> String {
    let body = format!("{prefix}_{}", random_text(36));
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut check_sum = [b'0'; 6];
    for digit in check_sum.iter_mut().rev() {
        *digit = DIGITS[(rest % 62) as usize];
        rest /= 62;
    }
    body + std::str::from_utf8(&check_sum).expect("ASCII")
}
