//! Long answers, a page at a time.

use std::num::NonZeroU16;
use std::sync::Arc;

use super::Due;
use crate::account::{Account, Revision};
use crate::audit::AuditEntry;
use crate::user::UserId;

/// How many items a page holds at most: 1 to 1 000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize(NonZeroU16);

impl PageSize {
    /// The greatest page.
    pub const MAX: Self = Self(NonZeroU16::new(1_000).expect("1 000 is not 0"));

    /// A page of `size` items; less than 1 becomes 1, more than 1 000 becomes
    /// 1 000.
    #[must_use]
    pub fn clamped(size: usize) -> Self {
        let size = u16::try_from(size).unwrap_or(u16::MAX);
        let size = NonZeroU16::new(size).unwrap_or(NonZeroU16::MIN);
        Self(size.min(Self::MAX.0))
    }

    /// The number of items.
    #[must_use]
    pub fn get(self) -> usize {
        usize::from(self.0.get())
    }
}

/// 100 items.
impl Default for PageSize {
    fn default() -> Self {
        Self::clamped(100)
    }
}

/// Some items of a longer answer, and where to go on.
///
/// Accounts, and what is shown of them, are in the byte order of their user ids,
/// and the next page is asked for by a user; the entries of a history are the
/// latest first, and the next page is asked for by a revision; accounts that are due
/// are in the order of time, and the next page is asked for by the last of them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Page<T, Key = UserId> {
    /// The items.
    pub items: Vec<T>,
    /// Of which item the next page has to begin behind; `None` if these were the
    /// last.
    pub next: Option<Key>,
}

impl<T, Key> Page<T, Key> {
    /// The page of `items`, which was asked to be `size` long and read one item
    /// further to know whether more follow.
    fn of(mut items: Vec<T>, size: PageSize, key: impl Fn(&T) -> Key) -> Self {
        let more = items.len() > size.get();
        items.truncate(size.get());
        let next = items.last().filter(|_| more).map(key);
        Self { items, next }
    }
}

impl Page<Arc<Account>> {
    /// The page of `accounts`, which was asked to be `size` long and read one
    /// account further to know whether more follow.
    #[must_use]
    pub fn of_accounts(accounts: Vec<Arc<Account>>, size: PageSize) -> Self {
        Self::of(accounts, size, |account| account.user().clone())
    }
}

impl Page<Due, Due> {
    /// The page of `due`, which was asked to be `size` long and read one account
    /// further to know whether more follow.
    #[must_use]
    pub fn of_due(due: Vec<Due>, size: PageSize) -> Self {
        Self::of(due, size, Due::clone)
    }
}

impl Page<AuditEntry, Revision> {
    /// The page of `entries`, which was asked to be `size` long and read one
    /// entry further to know whether more follow.
    #[must_use]
    pub fn of_entries(entries: Vec<AuditEntry>, size: PageSize) -> Self {
        Self::of(entries, size, |entry| entry.revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_size_is_clamped() {
        let sizes = [0, 1, 1_000, 1_001, usize::MAX].map(|size| PageSize::clamped(size).get());
        assert_eq!(sizes, [1, 1, 1_000, 1_000, 1_000]);
    }
}
