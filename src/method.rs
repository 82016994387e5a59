//! Which HTTP methods a user may perform.

use std::fmt;

use compact_str::CompactString;
use http::Method;

use crate::error::{ValueError, limit};

/// The greatest length of a method name in bytes. A longer one is never
/// granted, and never repeated in an answer, an event or a metric.
pub const MAX_METHOD_LENGTH: usize = limit::METHOD;

/// The greatest number of methods beyond the standard ones in one set.
pub const MAX_EXTENSION_METHODS: usize = limit::EXTENSION_METHODS;

/// The methods of RFC 9110 section 9 and RFC 5789 that can be granted; the
/// place in this list is the bit in [`MethodSet::standard`].
static STANDARD: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::PATCH,
    Method::OPTIONS,
];

/// The HTTP methods that an administrator lets a user perform.
///
/// Names are case-sensitive (RFC 9110 section 9.1). GET covers HEAD, which is
/// the same request without the body of its answer (section 9.3.2). Extension
/// methods such as PURGE or PROPFIND may be granted; TRACE and CONNECT never,
/// as the one reflects credentials and the other opens a tunnel. The empty set
/// allows nothing.
///
/// ```
/// use tower_api_token::method::MethodSet;
///
/// let methods = MethodSet::new(["GET", "PURGE"])?;
/// assert!(methods.allows("HEAD") && methods.allows("PURGE"));
/// assert!(!methods.allows("get") && !methods.allows("POST"));
/// # Ok::<(), tower_api_token::ValueError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct MethodSet {
    standard: u8,
    /// `None` for none, so that copying a set of standard methods, as every
    /// request does, allocates nothing.
    extensions: Option<Box<Extensions>>,
}

/// Methods beyond the standard ones, sorted, without repetition, at least one.
#[derive(Clone, PartialEq, Eq)]
struct Extensions(Vec<CompactString>);

impl MethodSet {
    /// The set that allows nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// The set of these methods; naming one twice makes no difference.
    ///
    /// # Errors
    ///
    /// [`ValueError`] names the rule that a method breaks; no set is made
    /// then.
    pub fn new<I>(methods: I) -> Result<Self, ValueError>
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        let mut standard = 0;
        let mut extensions = Vec::new();
        for method in methods {
            match standard_bit(method.as_ref()) {
                Some(bit) => standard |= bit,
                None => extensions.push(extension(method.as_ref())?),
            }
        }
        extensions.sort_unstable();
        extensions.dedup();
        if extensions.len() > MAX_EXTENSION_METHODS {
            return Err(ValueError::TooManyMethods);
        }
        let extensions = (!extensions.is_empty()).then(|| Box::new(Extensions(extensions)));
        Ok(Self { standard, extensions })
    }

    /// Whether the set allows nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.standard == 0 && self.extensions.is_none()
    }

    /// Whether the user may perform `method`.
    #[must_use]
    pub fn allows(&self, method: &str) -> bool {
        Method::from_bytes(method.as_bytes()).is_ok_and(|method| self.grants(&method))
    }

    /// Whether the user may perform `method`.
    #[inline]
    pub(crate) fn grants(&self, method: &Method) -> bool {
        match STANDARD.iter().position(|standard| standard == method) {
            // HEAD is covered by GET, whose bit is the first.
            Some(place) => self.standard & (1 << place | u8::from(*method == Method::HEAD)) != 0,
            None => self.extensions().iter().any(|extension| extension == method.as_str()),
        }
    }

    fn extensions(&self) -> &[CompactString] {
        self.extensions.as_ref().map_or(&[], |extensions| &extensions.0)
    }

    /// The methods as they were granted: the standard ones first, in the order
    /// GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS, then the others sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let standard = STANDARD.iter().enumerate();
        let standard = standard.filter(|(bit, _)| self.standard & (1 << bit) != 0);
        let extensions = self.extensions().iter().map(CompactString::as_str);
        standard.map(|(_, method)| method.as_str()).chain(extensions)
    }
}

impl fmt::Debug for MethodSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The methods separated by commas: `GET, POST`.
impl fmt::Display for MethodSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, method) in self.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{method}")?;
        }
        Ok(())
    }
}

fn standard_bit(method: &str) -> Option<u8> {
    let place = STANDARD.iter().position(|standard| standard == method)?;
    Some(1 << place)
}

fn extension(method: &str) -> Result<CompactString, ValueError> {
    let is = |name: &Method| method.eq_ignore_ascii_case(name.as_str());
    match method {
        "" => Err(ValueError::MethodEmpty),
        "*" => Err(ValueError::MethodWildcard),
        _ if method.len() > MAX_METHOD_LENGTH => Err(ValueError::MethodTooLong),
        _ if !is_http_token(method.as_bytes()) => Err(ValueError::MethodSyntax),
        _ if [Method::TRACE, Method::CONNECT].iter().any(is) => Err(ValueError::MethodNeverGranted),
        _ if STANDARD.iter().any(is) => Err(ValueError::MethodCase),
        _ => Ok(method.into()),
    }
}

/// Whether `text` is a method: a `token` of RFC 9110 section 5.6.2.
pub(crate) fn is_http_token(text: &[u8]) -> bool {
    let punctuation = b"!#$%&'*+-.^_`|~";
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || punctuation.contains(byte);
    !text.is_empty() && text.iter().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(methods: &[&str]) -> MethodSet {
        MethodSet::new(methods).unwrap()
    }

    #[test]
    fn only_what_was_granted_is_allowed() {
        let names = || STANDARD.iter().map(Method::as_str);
        for granted in names() {
            for asked in names() {
                let expected = granted == asked || (granted, asked) == ("GET", "HEAD");
                assert_eq!(set(&[granted]).allows(asked), expected, "{granted} {asked}");
            }
        }
    }

    #[test]
    fn names_are_exact() {
        let all = MethodSet::new(STANDARD.iter().map(Method::as_str)).unwrap();
        for asked in ["get", "GETX", "GE", "", "*", "ALL", "TRACE", "CONNECT", "QUERY"] {
            assert!(!all.allows(asked) && !MethodSet::empty().allows(asked), "{asked}");
        }
    }

    #[test]
    fn a_bad_name_is_refused_with_its_rule() {
        let cases = [
            ("", ValueError::MethodEmpty),
            ("*", ValueError::MethodWildcard),
            ("GE T", ValueError::MethodSyntax),
            ("GÉT", ValueError::MethodSyntax),
            ("get", ValueError::MethodCase),
            ("Trace", ValueError::MethodNeverGranted),
            ("CONNECT", ValueError::MethodNeverGranted),
        ];
        for (name, error) in cases {
            assert_eq!(MethodSet::new(["GET", name]).unwrap_err(), error, "{name}");
        }
        assert_eq!(MethodSet::new(["A".repeat(33)]).unwrap_err(), ValueError::MethodTooLong);
        let many = (0..=MAX_EXTENSION_METHODS).map(|number| format!("M{number}"));
        assert_eq!(MethodSet::new(many).unwrap_err(), ValueError::TooManyMethods);
    }

    #[test]
    fn listing_reads_back_to_the_same_set() {
        let methods = set(&["PURGE", "OPTIONS", "GET", "COPY", "GET", "PURGE"]);
        assert_eq!(methods.to_string(), "GET, OPTIONS, COPY, PURGE");
        assert_eq!(MethodSet::new(methods.iter()).unwrap(), methods);
        assert_eq!(format!("{methods:?}"), r#"{"GET", "OPTIONS", "COPY", "PURGE"}"#);
    }
}
