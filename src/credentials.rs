//! What a request presents, before anyone asks whether it is true.
//!
//! One pass over the headers finds the credentials of the enabled sources and
//! the method overrides, and marks every credential as sensitive, so that no
//! later `Debug` of the headers shows it.

mod basic;
mod overrides;

use compact_str::CompactString;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

pub(crate) use self::basic::BasicCredential;
pub(crate) use self::overrides::Overrides;
use crate::denial::RequestFault;
use crate::token::{MAX_TOKEN_LENGTH, is_b64token};

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
    /// `X-Api-Key`.
    Header(HeaderName),
}

/// The enabled sources.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    bearer: bool,
    tok: bool,
    basic: bool,
    headers: Vec<HeaderName>,
}

/// Bearer alone.
impl Default for Sources {
    fn default() -> Self {
        [CredentialSource::Bearer].into_iter().collect()
    }
}

impl FromIterator<CredentialSource> for Sources {
    fn from_iter<I: IntoIterator<Item = CredentialSource>>(sources: I) -> Self {
        let mut enabled = Self { bearer: false, tok: false, basic: false, headers: Vec::new() };
        for source in sources {
            match source {
                CredentialSource::Bearer => enabled.bearer = true,
                CredentialSource::Tok => enabled.tok = true,
                CredentialSource::Basic => enabled.basic = true,
                CredentialSource::Header(name) if enabled.headers.contains(&name) => {}
                CredentialSource::Header(name) => enabled.headers.push(name),
            }
        }
        enabled
    }
}

impl Sources {
    pub(crate) const fn bearer(&self) -> bool {
        self.bearer
    }

    pub(crate) const fn tok(&self) -> bool {
        self.tok
    }

    pub(crate) const fn basic(&self) -> bool {
        self.basic
    }

    pub(crate) fn headers(&self) -> &[HeaderName] {
        &self.headers
    }

    pub(crate) const fn authorization(&self) -> bool {
        self.bearer || self.tok || self.basic
    }

    /// Reads the headers once.
    #[inline]
    pub(crate) fn read<'h>(&self, headers: &'h mut HeaderMap) -> Seen<'h> {
        let mut seen = Seen::default();
        for (name, value) in headers.iter_mut() {
            if *name == AUTHORIZATION {
                value.set_sensitive(true);
                if self.authorization() {
                    seen.authorization.add(value, Carrier::Authorization);
                }
            } else if let Some(place) = self.headers.iter().position(|own| own == name) {
                value.set_sensitive(true);
                seen.own_header.add(value, Carrier::Header(place));
            } else {
                seen.overrides.look_at(name, value);
            }
        }
        seen
    }
}

/// Which header carried a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    Authorization,
    /// The header at this place among the host's own.
    Header(usize),
}

/// What one pass over the headers found.
#[derive(Default)]
pub(crate) struct Seen<'h> {
    authorization: Field<'h>,
    own_header: Field<'h>,
    pub(crate) overrides: Overrides<'h>,
}

/// The lines of one kind of header.
#[derive(Clone, Copy, Default)]
enum Field<'h> {
    #[default]
    Absent,
    Once(&'h HeaderValue, Carrier),
    Repeated,
    /// In more than one of the host's own headers.
    Several,
}

impl<'h> Field<'h> {
    fn add(&mut self, value: &'h HeaderValue, carrier: Carrier) {
        *self = match self {
            Self::Absent => Self::Once(value, carrier),
            Self::Once(_, other) if *other != carrier => Self::Several,
            Self::Once(..) | Self::Repeated => Self::Repeated,
            Self::Several => Self::Several,
        };
    }
}

/// A credential of an enabled source, well-formed and not yet verified.
pub(crate) struct Credential<'h> {
    pub(crate) carrier: Carrier,
    pub(crate) secret: Secret<'h>,
}

/// The presented token, in place or decoded.
pub(crate) enum Secret<'h> {
    Plain(&'h [u8]),
    Basic(BasicCredential),
}

impl Secret<'_> {
    /// The presented token's bytes as sent.
    #[inline]
    pub(crate) fn token(&self) -> &[u8] {
        match self {
            Self::Plain(token) => token,
            Self::Basic(basic) => basic.token(),
        }
    }

    /// The user that the client claims to be, if its scheme names one.
    #[inline]
    pub(crate) fn user(&self) -> Option<CompactString> {
        match self {
            Self::Plain(_) => None,
            Self::Basic(basic) => Some(basic.user().into()),
        }
    }
}

impl<'h> Seen<'h> {
    /// The one credential, or `None` if no enabled source carries one.
    ///
    /// # Errors
    ///
    /// [`RequestFault`] if there are several or the one is malformed.
    #[inline]
    pub(crate) fn credential(
        &self,
        sources: &Sources,
    ) -> Result<Option<Credential<'h>>, RequestFault> {
        let in_authorization = match self.authorization {
            Field::Absent => None,
            Field::Once(value, _) => sources.in_authorization(value.as_bytes())?,
            Field::Repeated | Field::Several => return Err(RequestFault::RepeatedCredential),
        };
        match (in_authorization, self.own_header) {
            (secret, Field::Absent) => {
                Ok(secret.map(|secret| Credential { carrier: Carrier::Authorization, secret }))
            }
            (Some(_), _) | (None, Field::Several) => Err(RequestFault::SeveralCredentials),
            (None, Field::Repeated) => Err(RequestFault::RepeatedCredential),
            (None, Field::Once(value, carrier)) => {
                let secret = Secret::Plain(token(value.as_bytes())?);
                Ok(Some(Credential { carrier, secret }))
            }
        }
    }
}

impl Sources {
    /// The credential in an `Authorization` header. One of a scheme that is not
    /// enabled, or of none, counts as no authentication information (RFC 6750
    /// section 3.1).
    #[inline]
    fn in_authorization<'h>(&self, value: &'h [u8]) -> Result<Option<Secret<'h>>, RequestFault> {
        if self.bearer
            && let Some(rest) = after_scheme(value, b"bearer")
        {
            token(rest).map(|token| Some(Secret::Plain(token)))
        } else if self.basic
            && let Some(rest) = after_scheme(value, b"basic")
        {
            BasicCredential::decode(rest).map(|basic| Some(Secret::Basic(basic)))
        } else if self.tok
            && let Some(rest) = after(value, b"tok:")
        {
            token(rest.strip_prefix(b" ").unwrap_or(rest)).map(|token| Some(Secret::Plain(token)))
        } else {
            Ok(None)
        }
    }
}

/// What follows an authentication scheme and the spaces behind it (RFC 9110
/// section 11.4: `1*SP`); `None` if the value is not of that scheme.
#[inline]
fn after_scheme<'h>(value: &'h [u8], scheme: &[u8]) -> Option<&'h [u8]> {
    let rest = after(value, scheme)?;
    let spaces = rest.iter().take_while(|&&byte| byte == b' ').count();
    (spaces > 0 || rest.is_empty()).then(|| &rest[spaces..])
}

/// What follows `start`, which is in lower case and matches any case.
#[inline]
fn after<'h>(value: &'h [u8], start: &[u8]) -> Option<&'h [u8]> {
    let (head, rest) = value.split_at_checked(start.len())?;
    head.eq_ignore_ascii_case(start).then_some(rest)
}

/// Checks that `text` could be a token at all.
#[inline]
fn token(text: &[u8]) -> Result<&[u8], RequestFault> {
    if text.is_empty() {
        Err(RequestFault::EmptyCredential)
    } else if text.len() > MAX_TOKEN_LENGTH {
        Err(RequestFault::LongCredential)
    } else if !is_b64token(text) {
        Err(RequestFault::MalformedCredential)
    } else {
        Ok(text)
    }
}
