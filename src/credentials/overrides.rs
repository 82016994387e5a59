//! Headers that ask a service behind us to perform another method than the
//! request's.

use http::{HeaderName, HeaderValue};

use crate::denial::RequestFault;
use crate::method::is_http_token;

/// The override headers that frameworks honour.
const NAMES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

/// The methods that a request asks to be performed in place of its own: each
/// must be granted, too.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Overrides<'h> {
    values: [Option<&'h HeaderValue>; NAMES.len()],
    seen: bool,
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

    /// Looks at one header.
    pub(super) fn look_at(&mut self, name: &HeaderName, value: &'h HeaderValue) {
        let is = |known: &&str| reads_as(name.as_str(), known);
        if let Some(place) = NAMES.iter().position(is) {
            self.seen = true;
            self.repeated |= self.values[place].replace(value).is_some();
        }
    }

    /// Checks that each header, if it is there, holds one method.
    ///
    /// # Errors
    ///
    /// [`RequestFault`] if a header is repeated, empty or holds no method.
    #[inline]
    pub(crate) fn check(&self) -> Result<(), RequestFault> {
        if self.seen { self.check_closely() } else { Ok(()) }
    }

    #[cold]
    fn check_closely(&self) -> Result<(), RequestFault> {
        let well_formed = |value: &HeaderValue| is_http_token(value.as_bytes());
        if self.repeated {
            Err(RequestFault::RepeatedOverride)
        } else if !self.values.iter().flatten().all(|value| well_formed(value)) {
            Err(RequestFault::MalformedOverride)
        } else {
            Ok(())
        }
    }

    /// Whether there is none.
    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        !self.seen
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
        Overrides { values, seen: !self.0.is_empty(), repeated: false }
    }
}

/// Whether a header's name, which is in lower case, is `known` once underscores
/// and dots count as hyphens: CGI, WSGI and PHP cannot tell them apart.
pub(crate) fn reads_as(name: &str, known: &str) -> bool {
    let fold = |byte: u8| if matches!(byte, b'_' | b'.') { b'-' } else { byte };
    name.len() == known.len() && name.bytes().map(fold).eq(known.bytes())
}
