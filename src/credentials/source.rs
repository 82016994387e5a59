//! One place where a request may carry its token: the header, how its value is
//! read, and the challenge that asks for it.

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderName;
use http::header::AUTHORIZATION;
use zeroize::Zeroizing;

use super::{RequestFault, Secret};
use crate::ConfigError;
use crate::token::MAX_TOKEN_LENGTH;
use crate::user::UserId;

/// Where a request may carry its token. Never in the URL: that is what logs,
/// histories and referrers keep.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialSource {
    /// `Authorization: Bearer <token>` (RFC 6750 section 2.1).
    Bearer,
    /// `Authorization: TOK:<token>` in any case, with at most one space after
    /// the colon: for clients made for older systems.
    Tok,
    /// `Authorization: Basic` with the user's id as the user name and the token
    /// as the password (RFC 7617).
    Basic,
    /// A header of the host's choice that holds nothing but the token, such as
    /// `X-Api-Key`. It may be `Authorization`, for clients that send no scheme.
    Header(HeaderName),
}

impl CredentialSource {
    /// The header that carries the credential.
    pub(super) fn header(&self) -> &HeaderName {
        match self {
            Self::Bearer | Self::Tok | Self::Basic => &AUTHORIZATION,
            Self::Header(name) => name,
        }
    }

    /// Where the source stands among several: first those that read `Authorization`,
    /// the last of them the token alone, since what has a scheme is that scheme's.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Bearer => 0,
            Self::Tok => 1,
            Self::Basic => 2,
            Self::Header(name) if *name == AUTHORIZATION => 3,
            Self::Header(_) => 4,
        }
    }

    /// The credential in the header's value, if that is of this source.
    #[inline]
    pub(super) fn find<'h>(&self, value: &'h [u8]) -> Option<&'h [u8]> {
        match self {
            Self::Bearer => after_scheme(value, b"bearer"),
            Self::Basic => after_scheme(value, b"basic"),
            Self::Tok => after(value, b"tok:").map(|rest| rest.strip_prefix(b" ").unwrap_or(rest)),
            Self::Header(_) => Some(value),
        }
    }

    /// Reads a credential that was [found](Self::find).
    ///
    /// # Errors
    ///
    /// [`RequestFault`] if it is malformed.
    #[inline]
    pub(super) fn read<'h>(&self, credential: &'h [u8]) -> Result<Secret<'h>, RequestFault> {
        match self {
            Self::Basic => BasicCredential::decode(credential).map(Secret::Basic),
            _ => token(credential).map(Secret::Plain),
        }
    }

    /// The challenge for a realm (RFC 9110 section 11.6.1), without an error.
    pub(crate) fn challenge(&self, realm: &str) -> String {
        match self {
            Self::Bearer => format!("Bearer realm=\"{realm}\""),
            Self::Tok => format!("TOK realm=\"{realm}\""),
            Self::Basic => format!("Basic realm=\"{realm}\", charset=\"UTF-8\""),
            // No registered scheme: it says which header to send.
            Self::Header(name) => {
                format!("ApiKey realm=\"{realm}\", in=\"header\", name=\"{name}\"")
            }
        }
    }

    /// Whether the challenge may say what was wrong. That of Basic has no
    /// parameter for it (RFC 7617 section 2).
    pub(crate) const fn challenge_carries_error(&self) -> bool {
        !matches!(self, Self::Basic)
    }
}

/// `bearer`, `tok`, `basic`, or `header:NAME`, as settings name it.
impl FromStr for CredentialSource {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "bearer" => Ok(Self::Bearer),
            "tok" => Ok(Self::Tok),
            "basic" => Ok(Self::Basic),
            _ => {
                let name = text.strip_prefix("header:").and_then(|name| name.parse().ok());
                name.map(Self::Header).ok_or(ConfigError::CredentialSource)
            }
        }
    }
}

/// What follows an authentication scheme and the spaces behind it (RFC 9110
/// section 11.4: `1*SP`); `None` if the value is not of that scheme.
#[inline]
fn after_scheme<'v, const N: usize>(value: &'v [u8], scheme: &[u8; N]) -> Option<&'v [u8]> {
    let rest = after(value, scheme)?;
    let spaces = rest.iter().take_while(|&&byte| byte == b' ').count();
    (spaces > 0 || rest.is_empty()).then(|| &rest[spaces..])
}

/// What follows `start` in any case.
#[inline]
fn after<'v, const N: usize>(value: &'v [u8], start: &[u8; N]) -> Option<&'v [u8]> {
    let (found, rest) = value.split_first_chunk::<N>()?;
    let is_start = found.iter().zip(start).all(|(byte, lower)| byte | 0x20 == *lower);
    is_start.then_some(rest)
}

/// Checks that `text` has the length of a token. Its characters are looked at
/// where it is looked up.
pub(super) const fn token(text: &[u8]) -> Result<&[u8], RequestFault> {
    match text.len() {
        0 => Err(RequestFault::EmptyCredential),
        1..=MAX_TOKEN_LENGTH => Ok(text),
        _ => Err(RequestFault::LongCredential),
    }
}

/// The greatest length of a decoded credential: user, colon, token.
const MAX_BASIC_LENGTH: usize = UserId::MAX_LENGTH + 1 + MAX_TOKEN_LENGTH;

/// A decoded credential of the Basic scheme (RFC 7617) with a token as its
/// password; its memory is wiped when it is dropped.
pub(crate) struct BasicCredential {
    text: Zeroizing<String>,
    colon: usize,
}

impl BasicCredential {
    /// Decodes what follows the scheme. Only the canonical encoding with its
    /// padding is taken (RFC 4648 sections 3.2 and 3.5), so that one credential
    /// has one spelling.
    #[cold]
    pub(super) fn decode(encoded: &[u8]) -> Result<Box<Self>, RequestFault> {
        if encoded.is_empty() {
            return Err(RequestFault::EmptyCredential);
        } else if encoded.len() > MAX_BASIC_LENGTH.div_ceil(3) * 4 {
            return Err(RequestFault::LongCredential);
        }
        let decoded = STANDARD.decode(encoded).map(Zeroizing::new);
        let decoded = decoded.map_err(|_| RequestFault::MalformedCredential)?;
        let text = std::str::from_utf8(&decoded).map_err(|_| RequestFault::MalformedCredential)?;
        Self::of(Zeroizing::new(text.to_owned()))
    }

    /// RFC 7617 section 2: the user name ends at the first colon, and control
    /// characters are forbidden.
    fn of(text: Zeroizing<String>) -> Result<Box<Self>, RequestFault> {
        let colon = text.find(':').ok_or(RequestFault::MalformedCredential)?;
        if text.chars().any(char::is_control) {
            return Err(RequestFault::MalformedCredential);
        }
        token(&text.as_bytes()[colon + 1..])?;
        Ok(Box::new(Self { text, colon }))
    }

    pub(super) fn user(&self) -> &str {
        &self.text[..self.colon]
    }

    pub(super) fn token(&self) -> &[u8] {
        &self.text.as_bytes()[self.colon + 1..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_named_as_in_settings() {
        let header = |name: &'static str| CredentialSource::Header(HeaderName::from_static(name));
        let cases = [
            ("bearer", CredentialSource::Bearer),
            ("tok", CredentialSource::Tok),
            ("basic", CredentialSource::Basic),
            ("header:X-Api-Key", header("x-api-key")),
            ("header:authorization", header("authorization")),
        ];
        for (text, source) in cases {
            assert_eq!(text.parse(), Ok(source), "{text}");
        }
        for bad in ["", "Bearer", "header", "header:", "header:a b", "digest", "cookie:token"] {
            assert_eq!(
                bad.parse::<CredentialSource>(),
                Err(ConfigError::CredentialSource),
                "{bad}"
            );
        }
    }
}
