//! What a request presents, before anyone asks whether it is true.
//!
//! One pass over the headers finds the credentials of the enabled sources and
//! the method overrides, and marks every credential as sensitive, so that no
//! later `Debug` of the headers shows it.

pub(crate) mod overrides;
mod source;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

pub(crate) use self::overrides::{KeptOverrides, Overrides};
pub use self::source::CredentialSource;
use self::source::{BasicCredential, token};
use crate::method::is_http_token;

/// What is wrong with a request that is answered 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestFault {
    /// A credential header stands there more than once.
    RepeatedCredential,
    /// Two enabled sources carry credentials (RFC 6750 section 2).
    SeveralCredentials,
    /// The credential is empty.
    EmptyCredential,
    /// The credential is longer than a token can be.
    LongCredential,
    /// The credential does not have the syntax of its scheme.
    MalformedCredential,
    /// A method override header stands there more than once.
    RepeatedOverride,
    /// A method override header holds no method.
    MalformedOverride,
    /// The description of a request that Envoy sends is too large, or cannot
    /// be read.
    UnreadableCheck,
}

impl RequestFault {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::RepeatedCredential => "a credential header must not be repeated",
            Self::SeveralCredentials => "only one credential must be sent",
            Self::EmptyCredential => "the credential must not be empty",
            Self::LongCredential => "the credential is too long",
            Self::MalformedCredential => "the credential is malformed",
            Self::RepeatedOverride => "a method override must not be repeated",
            Self::MalformedOverride => "a method override must be a method",
            Self::UnreadableCheck => "the request is too large, or cannot be read",
        }
    }
}

/// The enabled sources.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    /// By their rank, each once: first those that read `Authorization`.
    sources: Vec<CredentialSource>,
    /// The headers that the others read.
    headers: Vec<HeaderName>,
}

/// Bearer alone.
impl Default for Sources {
    fn default() -> Self {
        [CredentialSource::Bearer].into_iter().collect()
    }
}

impl FromIterator<CredentialSource> for Sources {
    fn from_iter<I: IntoIterator<Item = CredentialSource>>(enabled: I) -> Self {
        let mut sources = Vec::new();
        for source in enabled {
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
        sources.sort_by_key(CredentialSource::rank);
        let names = sources.iter().map(CredentialSource::header);
        let headers: Vec<_> = names.filter(|name| **name != AUTHORIZATION).cloned().collect();
        Self { sources, headers }
    }
}

impl Sources {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &CredentialSource> {
        self.sources.iter()
    }

    /// The header of that carrier, unless it is `Authorization`.
    pub(crate) fn host_header(&self, carrier: Carrier) -> Option<&HeaderName> {
        match carrier {
            Carrier::Authorization => None,
            Carrier::Header(place) => self.headers.get(place as usize),
        }
    }

    /// The headers that may carry a credential.
    pub(crate) fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.authorization().then_some(&AUTHORIZATION).into_iter().chain(&self.headers)
    }

    /// Whether any source reads `Authorization`.
    pub(crate) fn authorization(&self) -> bool {
        !self.in_authorization().is_empty()
    }

    /// The sources that read `Authorization`.
    #[inline]
    fn in_authorization(&self) -> &[CredentialSource] {
        &self.sources[..self.sources.len() - self.headers.len()]
    }

    /// Marks every credential as sensitive.
    pub(crate) fn mark(&self, headers: &mut HeaderMap) {
        self.read(headers);
    }

    /// Reads the headers once, and marks every credential as sensitive.
    #[inline]
    pub(crate) fn read<'h>(&self, headers: &'h mut HeaderMap) -> Presented<'h> {
        let mut presented = Presented::default();
        for (name, value) in headers.iter_mut() {
            if *name == AUTHORIZATION {
                value.set_sensitive(true);
                presented.repeated_authorization |=
                    presented.authorization.replace(value).is_some();
            } else if !self.headers.is_empty() || Overrides::may_be(name) {
                self.look_at(name, value, &mut presented);
            }
        }
        presented
    }

    #[cold]
    fn look_at<'h>(
        &self,
        name: &HeaderName,
        value: &'h mut HeaderValue,
        presented: &mut Presented<'h>,
    ) {
        if let Some((place, _)) = (0..).zip(&self.headers).find(|(_, own)| *own == name) {
            value.set_sensitive(true);
            presented.own_header.get_or_insert_default().add(value, place);
        } else if let Some(place) = Overrides::place_of(name) {
            presented.overrides.get_or_insert_default().add(value, place);
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

/// What a request presents: the lines that may carry a credential, and the
/// method overrides.
#[derive(Default)]
pub(crate) struct Presented<'h> {
    authorization: Option<&'h HeaderValue>,
    repeated_authorization: bool,
    own_header: Option<OwnHeader<'h>>,
    overrides: Option<Overrides<'h>>,
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

    #[cold]
    fn token(&self) -> Result<&'h [u8], RequestFault> {
        match self.value {
            Some(_) if self.several => Err(RequestFault::SeveralCredentials),
            Some(_) if self.repeated => Err(RequestFault::RepeatedCredential),
            value => token(value.map_or(&[], HeaderValue::as_bytes)),
        }
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

impl<'h> Presented<'h> {
    /// The one credential, or `None` if no enabled source carries one.
    ///
    /// # Errors
    ///
    /// [`RequestFault`] if there are several or the one is malformed.
    #[inline]
    pub(crate) fn credential(&self, sources: &Sources) -> Result<Option<Secret<'h>>, RequestFault> {
        let in_authorization = match self.authorization {
            Some(_) if self.repeated_authorization && sources.authorization() => {
                return Err(RequestFault::RepeatedCredential);
            }
            Some(value) => sources.read_authorization(value.as_bytes())?,
            None => None,
        };
        let Some(own_header) = &self.own_header else { return Ok(in_authorization) };
        if in_authorization.is_some() {
            return Err(RequestFault::SeveralCredentials);
        }
        own_header.token().map(|token| Some(Secret::Plain(token)))
    }

    /// The method overrides; `None` for none.
    ///
    /// # Errors
    ///
    /// [`RequestFault`] if one is repeated, empty or holds no method.
    #[inline]
    pub(crate) fn overrides(&self) -> Result<Option<&Overrides<'h>>, RequestFault> {
        self.overrides.as_ref().map(Overrides::check).transpose()
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
    #[inline]
    pub(crate) fn carrier(&self) -> Carrier {
        let own_header = self.own_header.as_ref();
        own_header.map_or(Carrier::Authorization, |own_header| Carrier::Header(own_header.place))
    }
}

impl Sources {
    /// The credential in an `Authorization` header. One of a scheme that is not
    /// enabled, or of none, counts as no authentication information (RFC 6750
    /// section 3.1).
    #[inline]
    fn read_authorization<'h>(&self, value: &'h [u8]) -> Result<Option<Secret<'h>>, RequestFault> {
        for source in self.in_authorization() {
            if let Some(credential) = source.find(value) {
                return source.read(credential).map(Some);
            }
        }
        Ok(None)
    }
}
