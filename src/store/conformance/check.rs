//! How a case says which rule a store breaks.

use std::fmt::{Debug, Display};

use crate::store::{StoreError, StoreErrorKind};

/// A rule of the contract, as a failure names it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule(pub(super) &'static str);

impl Rule {
    /// Panics unless it `holds`.
    #[track_caller]
    pub(super) fn holds(self, holds: bool, what: impl Display) {
        assert!(holds, "broken rule: {}: {what}", self.0);
    }

    /// Panics unless what was seen is what was expected.
    #[track_caller]
    pub(super) fn same<T: Debug + PartialEq>(self, seen: &T, expected: &T, what: impl Display) {
        assert!(
            seen == expected,
            "broken rule: {}: {what}\n    seen: {seen:?}\nexpected: {expected:?}",
            self.0
        );
    }

    /// What the store answered; panics if it failed.
    #[track_caller]
    pub(super) fn answered<T>(self, answer: Result<T, StoreError>, what: impl Display) -> T {
        answer.unwrap_or_else(|error| panic!("broken rule: {}: {what}: {error:?}", self.0))
    }

    /// Panics unless the store answered with a conflict.
    #[track_caller]
    pub(super) fn conflicts(self, answer: &Result<(), StoreError>, what: impl Display) {
        self.same(&outcome(answer), &Err(StoreErrorKind::Conflict), what);
    }
}

/// An answer as far as it can be compared.
pub(super) fn outcome<T>(answer: &Result<T, StoreError>) -> Result<(), StoreErrorKind> {
    answer.as_ref().map(drop).map_err(StoreError::kind)
}
