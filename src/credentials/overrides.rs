//! Headers that ask a service behind us to perform another method than the
//! request's.

use compact_str::CompactString;
use http::{HeaderName, HeaderValue};

use crate::denial::RequestFault;
use crate::method::is_method;

/// The override headers that frameworks honour.
const NAMES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

/// The override headers of a request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Overrides<'h> {
    values: [Option<&'h HeaderValue>; NAMES.len()],
    seen: bool,
    repeated: bool,
}

/// The methods that a request asks to be performed in place of its own: each
/// must be granted, too.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Methods<'h> {
    methods: [&'h str; NAMES.len()],
    count: usize,
}

/// The same beyond the borrow of the request.
pub(crate) struct KeptMethods(Vec<CompactString>);

impl<'h> Methods<'h> {
    #[inline]
    pub(crate) fn as_slice(&self) -> &[&'h str] {
        &self.methods[..self.count]
    }

    pub(crate) fn keep(&self) -> KeptMethods {
        KeptMethods(self.as_slice().iter().copied().map(Into::into).collect())
    }
}

impl<'h> FromIterator<&'h str> for Methods<'h> {
    fn from_iter<I: IntoIterator<Item = &'h str>>(methods: I) -> Self {
        let mut all = Self::default();
        for (place, method) in all.methods.iter_mut().zip(methods) {
            *place = method;
            all.count += 1;
        }
        all
    }
}

impl KeptMethods {
    pub(crate) fn lend(&self) -> Methods<'_> {
        self.0.iter().map(CompactString::as_str).collect()
    }
}

impl<'h> Overrides<'h> {
    /// Whether a header may be one of them, by its length alone: a request has
    /// many headers, and few of these lengths.
    #[inline]
    pub(super) fn may_be(name: &HeaderName) -> bool {
        const LENGTHS: [usize; NAMES.len()] = [NAMES[0].len(), NAMES[1].len(), NAMES[2].len()];
        LENGTHS.contains(&name.as_str().len())
    }

    /// Looks at one header. A name with underscores or dots for hyphens counts
    /// as well: CGI, WSGI and PHP cannot tell them apart.
    pub(super) fn look_at(&mut self, name: &HeaderName, value: &'h HeaderValue) {
        let fold = |byte: u8| if matches!(byte, b'_' | b'.') { b'-' } else { byte };
        let is = |known: &&str| name.as_str().bytes().map(fold).eq(known.bytes());
        if let Some(place) = NAMES.iter().position(|known| is(known)) {
            self.seen = true;
            self.repeated |= self.values[place].replace(value).is_some();
        }
    }

    /// The methods asked for.
    ///
    /// # Errors
    ///
    /// [`RequestFault`] if a header is repeated, empty or holds no method.
    #[inline]
    pub(crate) fn methods(&self) -> Result<Methods<'h>, RequestFault> {
        if self.seen { self.checked() } else { Ok(Methods::default()) }
    }

    fn checked(&self) -> Result<Methods<'h>, RequestFault> {
        if self.repeated {
            return Err(RequestFault::RepeatedOverride);
        }
        let methods = self.values.iter().flatten().map(|value| {
            let text = value.to_str().ok().filter(|text| is_method(text.as_bytes()));
            text.ok_or(RequestFault::MalformedOverride)
        });
        methods.collect()
    }
}
