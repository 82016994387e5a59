//! Headers that ask a service behind us to perform another method than the
//! request's.

use http::{HeaderName, HeaderValue};

use super::RequestFault;
use crate::method::is_http_token;

/// The override headers that frameworks honour.
const NAMES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

/// The methods that a request asks to be performed in place of its own: each
/// must be granted, too.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Overrides<'h> {
    values: [Option<&'h HeaderValue>; NAMES.len()],
    repeated: bool,
}

/// Overrides beyond the borrow of their request.
pub(crate) struct KeptOverrides(Vec<HeaderValue>);

impl<'h> Overrides<'h> {
    /// Whether a header may be one of them, by its length alone: a request has
    /// many headers, and few of these lengths.
    #[inline]
    pub(super) fn may_be(name: &HeaderName) -> bool {
        const LENGTHS: [usize; NAMES.len()] = [NAMES[0].len(), NAMES[1].len(), NAMES[2].len()];
        LENGTHS.contains(&name.as_str().len())
    }

    /// Which of them the header is, if any.
    pub(super) fn place_of(name: &HeaderName) -> Option<usize> {
        NAMES.iter().position(|known| reads_as(name.as_str(), known))
    }

    /// Adds the line of one of them.
    pub(super) fn add(&mut self, value: &'h HeaderValue, place: usize) {
        self.repeated |= self.values[place].replace(value).is_some();
    }

    /// Checks that each header holds one method.
    ///
    /// # Errors
    ///
    /// [`RequestFault`] if a header is repeated, empty or holds no method.
    #[cold]
    pub(super) fn check(&self) -> Result<&Self, RequestFault> {
        let mut values = self.values.iter().flatten();
        if self.repeated {
            Err(RequestFault::RepeatedOverride)
        } else if !values.all(|value| is_http_token(value.as_bytes())) {
            Err(RequestFault::MalformedOverride)
        } else {
            Ok(self)
        }
    }

    /// The methods asked for, once they are checked.
    pub(crate) fn methods(&self) -> impl Iterator<Item = &'h str> {
        self.values.into_iter().flatten().filter_map(|value| value.to_str().ok())
    }

    pub(crate) fn keep(&self) -> KeptOverrides {
        KeptOverrides(self.values.into_iter().flatten().cloned().collect())
    }
}

impl KeptOverrides {
    pub(crate) fn lend(&self) -> Overrides<'_> {
        let mut values = [None; NAMES.len()];
        for (place, value) in values.iter_mut().zip(&self.0) {
            *place = Some(value);
        }
        Overrides { values, repeated: false }
    }
}

/// Whether a header's name, which is in lower case, is `known` once underscores
/// and dots count as hyphens: CGI, WSGI and PHP cannot tell them apart.
pub(crate) fn reads_as(name: &str, known: &str) -> bool {
    let fold = |byte: u8| if matches!(byte, b'_' | b'.') { b'-' } else { byte };
    name.len() == known.len() && name.bytes().map(fold).eq(known.bytes())
}
