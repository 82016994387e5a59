//! The end of an account.

use std::time::Duration;

use crate::account::{Account, Revision};
use crate::store::Change;
use crate::time::Timestamp;
use crate::user::UserId;

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
}

impl Erasure {
    /// Erases `account` at `at`.
    #[must_use]
    pub const fn new(account: Account, at: Timestamp) -> Self {
        Self { account, at }
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
