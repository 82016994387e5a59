//! The Basic scheme (RFC 7617) with a token as its password.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::RequestFault;
use super::source::token;
use crate::token::MAX_TOKEN_LENGTH;
use crate::user::UserId;

/// The greatest length of a decoded credential: user, colon, token.
const MAX_LENGTH: usize = UserId::MAX_LENGTH + 1 + MAX_TOKEN_LENGTH;

/// A decoded credential; its memory is wiped when it is dropped.
pub(crate) struct BasicCredential {
    text: Zeroizing<String>,
    colon: usize,
}

impl BasicCredential {
    /// Decodes what follows the scheme. Only the canonical encoding with its
    /// padding is taken (RFC 4648 sections 3.2 and 3.5), so that one credential
    /// has one spelling.
    pub(super) fn decode(encoded: &[u8]) -> Result<Self, RequestFault> {
        if encoded.is_empty() {
            return Err(RequestFault::EmptyCredential);
        } else if encoded.len() > MAX_LENGTH.div_ceil(3) * 4 {
            return Err(RequestFault::LongCredential);
        }
        let decoded = STANDARD.decode(encoded).map(Zeroizing::new);
        let decoded = decoded.map_err(|_| RequestFault::MalformedCredential)?;
        let text = std::str::from_utf8(&decoded).map_err(|_| RequestFault::MalformedCredential)?;
        Self::of(Zeroizing::new(text.to_owned()))
    }

    /// RFC 7617 section 2: the user name ends at the first colon, and control
    /// characters are forbidden.
    fn of(text: Zeroizing<String>) -> Result<Self, RequestFault> {
        let colon = text.find(':').ok_or(RequestFault::MalformedCredential)?;
        if text.chars().any(char::is_control) {
            return Err(RequestFault::MalformedCredential);
        }
        token(&text.as_bytes()[colon + 1..])?;
        Ok(Self { text, colon })
    }

    pub(super) fn user(&self) -> &str {
        &self.text[..self.colon]
    }

    pub(super) fn token(&self) -> &[u8] {
        &self.text.as_bytes()[self.colon + 1..]
    }
}
