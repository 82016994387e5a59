//! What to look for.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// Every spelling of every secret of one test.
#[derive(Default)]
pub(crate) struct Needles(Vec<String>);

impl Needles {
    /// A token or a code, and its plain digest.
    pub(crate) fn token(&mut self, text: &str) {
        let behind_prefix = text.split_once('_').map_or(text, |(_, rest)| rest);
        self.0.push(behind_prefix[..8].to_owned());
        self.bytes(text.as_bytes());
        self.digest(&sha256(text));
    }

    /// A secret that is too short, or of too few words, for its beginning to be
    /// looked for.
    pub(crate) fn text(&mut self, text: &str) {
        self.0.push(text.to_owned());
        self.bytes(text.as_bytes());
    }

    pub(crate) fn digest(&mut self, digest: &[u8; 32]) {
        self.bytes(digest);
        self.0.push(hexadecimal(&digest[..8]));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.push(hexadecimal(bytes));
        for encoded in [STANDARD_NO_PAD.encode(bytes), URL_SAFE_NO_PAD.encode(bytes)] {
            self.0.push(encoded[..encoded.len().min(20)].to_owned());
        }
        // In the middle of something longer, base64 has two other spellings.
        for shift in 1..=2 {
            let shifted = [&[0; 2][..shift], bytes].concat();
            let encoded = STANDARD_NO_PAD.encode(shifted);
            self.0.push(encoded[4..encoded.len().min(20)].to_owned());
        }
        self.0.push(listed(bytes, |byte| byte.to_string()));
        self.0.push(listed(bytes, |byte| format!("{byte:x}")));
    }

    /// What was found, named by how it begins.
    pub(crate) fn found_in(&self, text: &str) -> Option<&str> {
        let one_line: String = text.split_whitespace().collect();
        let lower = one_line.to_lowercase();
        let found = self.0.iter().find(|needle| {
            text.contains(*needle)
                || one_line.contains(*needle)
                || lower.contains(&needle.to_lowercase()) && !needle.is_empty()
        });
        found.map(String::as_str)
    }

    pub(crate) fn assert_absent(&self, place: &str, text: &str) {
        if let Some(found) = self.found_in(text) {
            panic!("{place} holds {found}: {text}");
        }
    }
}

/// The first bytes as `Debug` of a slice lists them, without blanks.
fn listed(bytes: &[u8], one: impl Fn(u8) -> String) -> String {
    bytes.iter().take(8).map(|&byte| one(byte)).collect::<Vec<_>>().join(",")
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

pub(crate) fn sha256(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}
