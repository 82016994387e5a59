//! An account as it is read, and the change that is made of it.

use std::sync::Arc;

use crate::account::{Account, Revision};
use crate::audit::AuditEntry;
use crate::time::Timestamp;
use crate::user::UserId;

/// An account as a store has it, and the time by that store's clock.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Loaded {
    /// The account; `None` if the user has none.
    pub account: Option<Arc<Account>>,
    /// The store's time: what codes and pending tokens expire by.
    pub now: Timestamp,
    /// The greatest number that an account which was [erased](super::AccountStore::erase)
    /// had given to a revision or a token; 0 if none was erased.
    pub erased_up_to: u64,
}

impl Loaded {
    /// What a store has, at the store's time `now`.
    #[must_use]
    pub const fn new(account: Option<Arc<Account>>, now: Timestamp) -> Self {
        Self { account, now, erased_up_to: 0 }
    }

    /// The same, where erased accounts have reached this number.
    #[must_use]
    pub const fn with_erased_up_to(mut self, number: u64) -> Self {
        self.erased_up_to = number;
        self
    }

    /// The account of `user`, who is the one asked for, or the one to begin with
    /// if there is none.
    #[must_use]
    pub fn account_or_absent(&self, user: &UserId) -> Arc<Account> {
        let absent = || Account::absent_above(user.clone(), self.erased_up_to);
        self.account.clone().unwrap_or_else(|| Arc::new(absent()))
    }

    /// What a [`Replacement`] of it expects: the revision, or that there is no
    /// account.
    #[must_use]
    pub fn revision(&self) -> Option<Revision> {
        self.account.as_ref().map(|account| account.revision())
    }
}

/// A change to write: the account as it shall be, the revision that was read,
/// and what to keep in the history.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Replacement {
    /// The account as it shall be.
    pub account: Account,
    /// The revision that it replaces; `None`: the user must have no account.
    pub expected: Option<Revision>,
    /// What to keep in the history.
    pub entry: AuditEntry,
    /// What to keep before it, the earliest first: the entries of changes that
    /// this one was made one with.
    pub earlier: Vec<AuditEntry>,
}

impl Replacement {
    /// `account` in place of revision `expected`, with `entry` in the history.
    #[must_use]
    pub const fn new(account: Account, expected: Option<Revision>, entry: AuditEntry) -> Self {
        Self { account, expected, entry, earlier: Vec::new() }
    }

    /// Makes one change of this one and `next`, which was made of this one's
    /// account: both are written or neither is.
    pub(crate) fn append(&mut self, next: Self) {
        let Self { account, entry, earlier, .. } = next;
        self.account = account;
        // Growing by itself, a vector would make room for four, and batches are long.
        self.earlier.reserve_exact(1 + earlier.len());
        self.earlier.push(std::mem::replace(&mut self.entry, entry));
        self.earlier.extend(earlier);
    }

    /// Everything to keep in the history, the earliest first.
    pub fn entries(&self) -> impl Iterator<Item = &AuditEntry> {
        self.earlier.iter().chain([&self.entry])
    }
}
