//! Headers that ask a service behind us to perform another method than the
//! request's.

use http::{HeaderName, HeaderValue};

use crate::denial::RequestFault;
use crate::method::is_method;

/// The override headers that frameworks honour.
const NAMES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

/// The methods that a request asks to be performed in place of its own: each
/// must be granted, too.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Overrides<'h> {
    values: [Option<&'h HeaderValue>; NAMES.len()],
    repeated: bool,
}

impl<'h> Overrides<'h> {
    /// Looks at one header. A name with underscores or dots for hyphens counts
    /// as well: CGI, WSGI and PHP cannot tell them apart.
    #[inline]
    pub(super) fn look_at(&mut self, name: &HeaderName, value: &'h HeaderValue) {
        let name = name.as_str();
        if matches!(name.len(), 13 | 17 | 22) {
            self.look_closely_at(name, value);
        }
    }

    fn look_closely_at(&mut self, name: &str, value: &'h HeaderValue) {
        let fold = |byte: u8| if matches!(byte, b'_' | b'.') { b'-' } else { byte };
        let is = |known: &&str| name.bytes().map(fold).eq(known.bytes());
        if let Some(place) = NAMES.iter().position(is) {
            self.repeated |= self.values[place].replace(value).is_some();
        }
    }

    /// The methods asked for.
    ///
    /// # Errors
    ///
    /// [`RequestFault`] if a header is repeated, empty or holds no method.
    #[inline]
    pub(crate) fn methods(self) -> Result<impl Iterator<Item = &'h str>, RequestFault> {
        let well_formed = |value: &HeaderValue| is_method(value.as_bytes());
        if self.repeated {
            Err(RequestFault::RepeatedOverride)
        } else if !self.values.iter().flatten().all(|value| well_formed(value)) {
            Err(RequestFault::MalformedOverride)
        } else {
            Ok(self.values.into_iter().flatten().filter_map(|value| value.to_str().ok()))
        }
    }
}
