//! Why a store could not answer.

use std::error::Error;
use std::fmt;

/// What kind of failure it was: what a caller decides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The account has changed since it was read, or a digest is named
    /// elsewhere. Nothing was written; load again.
    Conflict,
    /// What the store holds cannot be read. Nobody but an operator can help.
    Corrupt,
    /// The store is down, slow, full or out of connections. A write may or may
    /// not have happened.
    Unavailable,
}

/// A store's failure: its kind, what was being done, and the driver's own error
/// as [`source`](Error::source).
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    doing: &'static str,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl StoreError {
    /// A failure of that kind while `doing` something, such as "reading an
    /// account".
    #[must_use]
    pub const fn new(kind: StoreErrorKind, doing: &'static str) -> Self {
        Self { kind, doing, source: None }
    }

    /// Adds the error that caused it. It must hold no token, code or digest.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The kind of failure.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            StoreErrorKind::Conflict => "conflicting change",
            StoreErrorKind::Corrupt => "unreadable record",
            StoreErrorKind::Unavailable => "store unavailable",
        };
        write!(f, "{kind} while {}", self.doing)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_its_kind_and_its_source() {
        let cause = std::io::Error::other("disk on fire");
        let error = StoreError::new(StoreErrorKind::Unavailable, "reading an account");
        let error = error.with_source(cause);
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert_eq!(error.to_string(), "store unavailable while reading an account");
        let source = error.source().unwrap().downcast_ref::<std::io::Error>().unwrap();
        assert_eq!(source.to_string(), "disk on fire");
    }
}
