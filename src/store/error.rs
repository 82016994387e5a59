//! Why a store could not answer.

use std::error::Error;
use std::fmt;

use crate::telemetry;

/// What kind of failure it was: one for each thing that a person would do about
/// it.
///
/// A request is answered 500 to [`Corrupt`](Self::Corrupt) and 503 with
/// `Retry-After` to any other, never 401: the client's token is not to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The account has changed since it was read, or a digest is named
    /// elsewhere. Nothing was written; load again.
    Conflict,
    /// What the store holds is damaged and cannot be read. An operator has to
    /// restore it from a backup. Nothing was written.
    Corrupt,
    /// The store is down, slow, full, out of connections or busy with others (a
    /// deadlock or a serialization failure that lasts). Ask again. A write may or
    /// may not have happened.
    Unavailable,
    /// The store has no tables or no deployment yet, those of an older version,
    /// or the file is another program's. An operator has to migrate it, or to
    /// name another. Nothing was written.
    NotSetUp,
    /// A later version of this crate has migrated the store. An operator has to
    /// bring this program up to date. Nothing was written.
    NewerSchema,
    /// The store's server, or the operating system, refuses by its rules: a
    /// wrong password, no such database, a right that is missing, an
    /// untrusted certificate, a setting or a pooler that the store cannot work
    /// with. Asking again does not help. A write may or may not have happened.
    Refused,
    /// The store does not offer what it was asked for, such as to erase an account:
    /// a host's own store need not. Asking again does not help. Nothing was written.
    Unsupported,
}

impl StoreErrorKind {
    /// The kind as a label of measurements has it.
    #[cfg(feature = "metrics")]
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Corrupt => "corrupt",
            Self::Unavailable => "unavailable",
            Self::NotSetUp => "not_set_up",
            Self::NewerSchema => "newer_schema",
            Self::Refused => "refused",
            Self::Unsupported => "unsupported",
        }
    }

    /// Whether a write that failed so may have happened all the same.
    pub(crate) const fn may_have_written(self) -> bool {
        matches!(self, Self::Unavailable | Self::Refused)
    }
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

    /// What a store answers that does not offer it.
    pub(crate) const fn unsupported(doing: &'static str) -> Self {
        Self::new(StoreErrorKind::Unsupported, doing)
    }

    /// Adds the error that caused it. It must hold no token, code or digest.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What was being done.
    pub(crate) const fn doing(&self) -> &'static str {
        self.doing
    }

    /// The kind of failure.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// Tells the log, where nobody else does: a request has waited for the store,
    /// last uses could not be written, or a feed broke.
    pub(crate) fn log(&self) {
        match self.kind {
            StoreErrorKind::Corrupt => telemetry::unreadable_record(self),
            StoreErrorKind::Conflict | StoreErrorKind::Unavailable => {
                telemetry::store_unavailable(self);
            }
            StoreErrorKind::NotSetUp
            | StoreErrorKind::NewerSchema
            | StoreErrorKind::Refused
            | StoreErrorKind::Unsupported => telemetry::store_unusable(self),
        }
    }
}

/// A capability of a store, or the error that it has none.
#[cfg(any(feature = "tokio", feature = "metrics"))]
pub(crate) fn supported<T>(capability: Option<T>, doing: &'static str) -> Result<T, StoreError> {
    capability.ok_or_else(|| StoreError::unsupported(doing))
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            StoreErrorKind::Conflict => "conflicting change",
            StoreErrorKind::Corrupt => "unreadable record",
            StoreErrorKind::Unavailable => "store unavailable",
            StoreErrorKind::NotSetUp => "store not set up",
            StoreErrorKind::NewerSchema => "store of a newer version",
            StoreErrorKind::Refused => "store refused",
            StoreErrorKind::Unsupported => "not supported by the store",
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
