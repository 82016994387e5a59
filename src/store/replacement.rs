//! An account as it is read, and the changes that are made of it.

use std::sync::Arc;
use std::time::Duration;

use crate::account::{Account, Revision};
use crate::audit::{AccountErased, AuditEntry};
use crate::store::Change;
use crate::time::Timestamp;
use crate::user::{Actor, UserId};

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
    /// When something is to be done about it that nobody asks for, if ever; see
    /// [`DueAccounts`](super::DueAccounts).
    pub due: Option<Timestamp>,
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
        Self { account, expected, due: None, entry, earlier: Vec::new() }
    }

    /// The same, where something is to be done about the account at that time.
    #[must_use]
    pub const fn with_due(mut self, due: Option<Timestamp>) -> Self {
        self.due = due;
        self
    }

    /// Makes one change of this one and `next`, which was made of this one's
    /// account: both are written or neither is.
    pub(crate) fn append(&mut self, next: Self) {
        let Self { account, due, entry, earlier, .. } = next;
        self.account = account;
        self.due = due;
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

/// How long the digests of an erased account stay taken: as long as those of
/// retired tokens do.
const DIGESTS_STAY_TAKEN: Duration = Duration::from_secs(90 * 86_400);

/// An account to erase, as it was read: with its history and its uses.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Erasure {
    /// The account as it was read. It is erased only if its revision is still
    /// this one.
    pub account: Account,
    /// When it is erased, by the store's clock.
    pub at: Timestamp,
    /// Who asked for it.
    pub actor: Actor,
}

impl Erasure {
    /// Erases `account` at `at`, as `actor` has asked.
    #[must_use]
    pub const fn new(account: Account, at: Timestamp, actor: Actor) -> Self {
        Self { account, at, actor }
    }

    /// What an [`AuditLog`](super::AuditLog) says of it.
    #[must_use]
    pub fn erased(&self) -> AccountErased {
        AccountErased::new(self.user(), self.at, &self.actor)
    }

    /// Whose account it is.
    #[must_use]
    pub const fn user(&self) -> &UserId {
        self.account.user()
    }

    /// The greatest number that the account has given to a revision or a token:
    /// a new account must begin above it.
    #[must_use]
    pub fn reached(&self) -> u64 {
        // The change in the feed has a revision of its own.
        let revision = self.account.revision().as_u64().saturating_add(1);
        revision.max(self.account.next_token().saturating_sub(1))
    }

    /// The digests of accounts that were erased before this need not stay taken
    /// any longer.
    #[must_use]
    pub fn forgets_before(&self) -> Timestamp {
        let stay = u64::try_from(DIGESTS_STAY_TAKEN.as_millis()).unwrap_or(u64::MAX);
        Timestamp::from_unix_millis(self.at.unix_millis().saturating_sub(stay))
    }

    /// What the feed tells of it: the digests of the account, and the revision
    /// after its last.
    #[must_use]
    pub fn change(&self) -> Change {
        let gone = Change::between(Some(&self.account), &Account::absent(self.user().clone()));
        let revision = Revision::from_u64(self.account.revision().as_u64().saturating_add(1));
        Change { revision, ..gone }
    }
}
