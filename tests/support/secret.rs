//! Secrets that no test run shares with another.

const ALPHANUMERIC: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// `count` random letters and digits.
pub(crate) fn random_text(count: usize) -> String {
    let mut bytes = vec![0; count];
    getrandom::fill(&mut bytes).expect("random bytes");
    bytes.iter().map(|&byte| char::from(ALPHANUMERIC[usize::from(byte) % 62])).collect()
}
