//! What a request presents, before anyone asks whether it is true.
//!
//! One pass over the headers finds the credentials of the enabled sources and
//! the method overrides, and marks every credential as sensitive, so that no
//! later `Debug` of the headers shows it.

mod basic;
pub(crate) mod overrides;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

pub(crate) use self::basic::BasicCredential;
pub(crate) use self::overrides::{KeptOverrides, Overrides};
use crate::denial::RequestFault;
use crate::method::is_http_token;
use crate::token::{MAX_TOKEN_LENGTH, TokenScheme, is_b64token};

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

/// The enabled sources.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    /// Whether any of the next four is.
    authorization: bool,
    bearer: bool,
    tok: bool,
    basic: bool,
    /// `Authorization` with the token alone.
    bare: bool,
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
        let mut enabled = Self::NONE;
        for source in sources {
            match source {
                CredentialSource::Bearer => enabled.bearer = true,
                CredentialSource::Tok => enabled.tok = true,
                CredentialSource::Basic => enabled.basic = true,
                CredentialSource::Header(AUTHORIZATION) => enabled.bare = true,
                CredentialSource::Header(name) if enabled.headers.contains(&name) => {}
                CredentialSource::Header(name) => enabled.headers.push(name),
            }
        }
        enabled.authorization = enabled.bearer || enabled.tok || enabled.basic || enabled.bare;
        enabled
    }
}

impl Sources {
    const NONE: Self = Self {
        authorization: false,
        bearer: false,
        tok: false,
        basic: false,
        bare: false,
        headers: Vec::new(),
    };

    pub(crate) const fn bearer(&self) -> bool {
        self.bearer
    }

    pub(crate) const fn tok(&self) -> bool {
        self.tok
    }

    pub(crate) const fn basic(&self) -> bool {
        self.basic
    }

    /// The headers that hold nothing but the token.
    pub(crate) fn bare_headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.bare.then_some(&AUTHORIZATION).into_iter().chain(&self.headers)
    }

    /// The header of that carrier, unless it is `Authorization`.
    pub(crate) fn own_header(&self, carrier: Carrier) -> Option<&HeaderName> {
        match carrier {
            Carrier::Authorization => None,
            Carrier::Header(place) => self.headers.get(place as usize),
        }
    }

    /// The headers that may carry a credential.
    pub(crate) fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.authorization().then_some(&AUTHORIZATION).into_iter().chain(&self.headers)
    }

    pub(crate) const fn authorization(&self) -> bool {
        self.authorization
    }

    /// Marks every credential as sensitive.
    pub(crate) fn mark(&self, headers: &mut HeaderMap) {
        self.read(headers, &mut Seen::default());
    }

    /// Reads the headers once.
    #[inline]
    pub(crate) fn read<'h>(&self, headers: &'h mut HeaderMap, seen: &mut Seen<'h>) {
        let own_headers = !self.headers.is_empty();
        for (name, value) in headers.iter_mut() {
            if *name == AUTHORIZATION {
                value.set_sensitive(true);
                if seen.authorization.replace(value).is_some() {
                    seen.rare().repeated_authorization = true;
                }
            } else if own_headers || Overrides::may_be(name) {
                self.look_at(name, value, seen);
            }
        }
    }

    #[cold]
    fn look_at<'h>(&self, name: &HeaderName, value: &'h mut HeaderValue, seen: &mut Seen<'h>) {
        if let Some((place, _)) = (0..).zip(&self.headers).find(|(_, own)| *own == name) {
            value.set_sensitive(true);
            seen.rare().own_header.add(value, place);
        } else if let Some(place) = Overrides::place_of(name) {
            seen.rare().overrides.add(value, place);
        }
    }
}

/// Which header carried a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    Authorization,
    /// The header at this place among the host's own.
    Header(u32),
}

/// What one pass over the headers found.
#[derive(Default)]
pub(crate) struct Seen<'h> {
    authorization: Option<&'h HeaderValue>,
    rare: Option<Rare<'h>>,
}

/// What most requests have nothing of.
#[derive(Clone, Copy, Default)]
struct Rare<'h> {
    repeated_authorization: bool,
    own_header: OwnHeader<'h>,
    overrides: Overrides<'h>,
}

/// The lines of the host's own headers.
#[derive(Clone, Copy, Default)]
struct OwnHeader<'h> {
    value: Option<&'h HeaderValue>,
    repeated: bool,
    /// Which of those headers it is.
    place: u32,
    /// Whether there is another one of them.
    several: bool,
}

impl<'h> OwnHeader<'h> {
    const fn add(&mut self, value: &'h HeaderValue, place: u32) {
        let first = self.value.is_none();
        self.several |= !first && !self.repeated && self.place != place;
        self.repeated |= !first;
        self.place = place;
        self.value = Some(value);
    }
}

/// A credential of an enabled source, well-formed and not yet verified: the
/// presented token, in place or decoded.
pub(crate) enum Secret<'h> {
    Plain(&'h [u8]),
    /// Boxed: the other way is the one to be short.
    Basic(Box<BasicCredential>),
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
    pub(crate) fn user(&self) -> Option<&str> {
        match self {
            Self::Plain(_) => None,
            Self::Basic(basic) => Some(basic.user()),
        }
    }
}

impl<'h> Seen<'h> {
    /// The token of a request with one Bearer credential, which is at first
    /// sight a token of this host's, and nothing else of interest: most are.
    #[inline]
    pub(crate) fn plain_token(&self, sources: &Sources, scheme: &TokenScheme) -> Option<&'h [u8]> {
        let value = self.authorization.filter(|_| sources.bearer && self.rare.is_none())?;
        let text = after_plain_bearer(value.as_bytes())?;
        scheme.is_plainly_own(text).then_some(text)
    }

    /// The one credential, or `None` if no enabled source carries one.
    ///
    /// # Errors
    ///
    /// [`RequestFault`] if there are several or the one is malformed.
    pub(crate) fn credential(&self, sources: &Sources) -> Result<Option<Secret<'h>>, RequestFault> {
        let Rare { repeated_authorization, own_header, .. } = self.rare.unwrap_or_default();
        let in_authorization = match self.authorization.filter(|_| sources.authorization()) {
            Some(_) if repeated_authorization => return Err(RequestFault::RepeatedCredential),
            Some(value) => sources.in_authorization(value.as_bytes())?,
            None => None,
        };
        match own_header.value {
            None => Ok(in_authorization),
            Some(_) if in_authorization.is_some() || own_header.several => {
                Err(RequestFault::SeveralCredentials)
            }
            Some(_) if own_header.repeated => Err(RequestFault::RepeatedCredential),
            Some(value) => token(value.as_bytes()).map(|token| Some(Secret::Plain(token))),
        }
    }

    /// The method overrides; `None` for none.
    ///
    /// # Errors
    ///
    /// [`RequestFault`] if one is repeated, empty or holds no method.
    pub(crate) fn overrides(&self) -> Result<Option<&Overrides<'h>>, RequestFault> {
        self.rare.as_ref().map_or(Ok(None), |rare| rare.overrides.check())
    }

    /// What is wrong with an `Authorization` header without a credential of
    /// ours, if it holds no other system's either, which would be a scheme and
    /// more after it (RFC 9110 section 11.4).
    #[cold]
    pub(crate) fn misplaced(&self, sources: &Sources) -> Option<RequestFault> {
        let value = self.authorization.filter(|_| sources.authorization())?.as_bytes();
        let scheme = value.split(|&byte| byte == b' ').next().unwrap_or_default();
        if value.is_empty() {
            Some(RequestFault::EmptyCredential)
        } else if scheme.len() == value.len() || !is_http_token(scheme) {
            Some(RequestFault::MalformedCredential)
        } else {
            None
        }
    }

    /// Which header carries the [`credential`](Self::credential), if there is
    /// one.
    pub(crate) fn carrier(&self) -> Carrier {
        let own_header = self.rare.map(|rare| rare.own_header);
        match own_header.filter(|own_header| own_header.value.is_some()) {
            Some(own_header) => Carrier::Header(own_header.place),
            None => Carrier::Authorization,
        }
    }

    #[cold]
    fn rare(&mut self) -> &mut Rare<'h> {
        self.rare.get_or_insert_default()
    }
}

impl Sources {
    /// The credential in an `Authorization` header. One of a scheme that is not
    /// enabled, or of none, counts as no authentication information (RFC 6750
    /// section 3.1).
    fn in_authorization<'h>(&self, value: &'h [u8]) -> Result<Option<Secret<'h>>, RequestFault> {
        if self.bearer
            && let Some(rest) = after_scheme(value, *b"bearer")
        {
            token(rest).map(|token| Some(Secret::Plain(token)))
        } else if self.basic
            && let Some(rest) = after_scheme(value, *b"basic")
        {
            BasicCredential::decode(rest).map(|basic| Some(Secret::Basic(Box::new(basic))))
        } else if self.tok
            && let Some(rest) = after_letters(value, *b"tok")
            && let Some(rest) = rest.strip_prefix(b":")
        {
            token(rest.strip_prefix(b" ").unwrap_or(rest)).map(|token| Some(Secret::Plain(token)))
        } else if self.bare {
            token(value).map(|token| Some(Secret::Plain(token)))
        } else {
            Ok(None)
        }
    }
}

/// What follows an authentication scheme and the spaces behind it (RFC 9110
/// section 11.4: `1*SP`); `None` if the value is not of that scheme.
fn after_scheme<const N: usize>(value: &[u8], scheme: [u8; N]) -> Option<&[u8]> {
    let rest = after_letters(value, scheme)?;
    let spaces = rest.iter().take_while(|&&byte| byte == b' ').count();
    (spaces > 0 || rest.is_empty()).then(|| &rest[spaces..])
}

/// What follows `Bearer` in any case and one space, if that is anything. All
/// eight bytes at once: most requests come this way.
#[inline]
fn after_plain_bearer(value: &[u8]) -> Option<&[u8]> {
    const CASES: u64 = u64::from_le_bytes([0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0, 0]);
    let start = u64::from_le_bytes(*value.first_chunk()?) | CASES;
    // The shift drops the first byte of what follows.
    (start << 8 == u64::from_le_bytes(*b"\0bearer ")).then(|| &value[7..])
}

/// What follows these lower-case letters, which match any case.
#[inline]
fn after_letters<const N: usize>(value: &[u8], letters: [u8; N]) -> Option<&[u8]> {
    let (start, rest) = value.split_first_chunk::<N>()?;
    // The bit that tells the cases of a letter apart. Only a letter becomes a
    // lower-case letter by setting it.
    let cases = number([0x20; N]);
    (number(*start) | cases == number(letters)).then_some(rest)
}

/// At most eight bytes as a number.
#[inline]
fn number<const N: usize>(bytes: [u8; N]) -> u64 {
    let mut number = [0; 8];
    number[..N].copy_from_slice(&bytes);
    u64::from_le_bytes(number)
}

/// Checks that `text` could be a token at all.
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
