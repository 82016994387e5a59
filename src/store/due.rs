//! Accounts about which something is to be done that nobody asks for: a capability
//! of stores.

use async_trait::async_trait;

use super::{Page, PageSize, StoreError};
use crate::account::Revision;
use crate::time::Timestamp;
use crate::user::UserId;

/// An account about which something is to be done at some time, such as to tell its
/// user that a token is going to end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Due {
    /// When.
    pub at: Timestamp,
    /// Whose account it is.
    pub user: UserId,
}

impl Due {
    /// Something is to be done about the account of `user` at `at`.
    #[must_use]
    pub const fn new(at: Timestamp, user: UserId) -> Self {
        Self { at, user }
    }
}

/// Finds the accounts about which something is to be done, without reading the others:
/// a capability of an [`AccountStore`](super::AccountStore).
///
/// When that is each [`Replacement`](super::Replacement) says, and the store keeps it
/// beside the account, until the next replacement or until it is
/// [put off](Self::put_off).
#[async_trait]
pub trait DueAccounts: Send + Sync {
    /// The accounts that are due at `until` or before and come after `after`, at most
    /// `size` of them: the earliest first, and those of one time by user.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if they cannot be had.
    async fn due(
        &self,
        until: Timestamp,
        after: Option<&Due>,
        size: PageSize,
    ) -> Result<Page<Due, Due>, StoreError>;

    /// Lets accounts be due at another time, or not at all: each that still has this
    /// revision. The accounts are not changed by that.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it could not be written; a part of it may have been.
    async fn put_off_many(
        &self,
        accounts: &[(UserId, Revision, Option<Timestamp>)],
    ) -> Result<(), StoreError>;

    /// As [`put_off_many`](Self::put_off_many), of one account.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it could not be written.
    async fn put_off(
        &self,
        user: &UserId,
        revision: Revision,
        due: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        self.put_off_many(&[(user.clone(), revision, due)]).await
    }

    /// The number that was kept last by [`keep_schedule`](Self::keep_schedule); 0 if
    /// none was.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it cannot be had.
    async fn schedule(&self) -> Result<u64, StoreError>;

    /// Keeps a number, up to 2⁶³ − 1, that stands for the policy by which accounts are
    /// due: where it is another, all of them are looked at once.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it could not be written.
    async fn keep_schedule(&self, schedule: u64) -> Result<(), StoreError>;
}
