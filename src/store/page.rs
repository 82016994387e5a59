//! Long answers, a page at a time.

use std::num::NonZeroU16;
use std::sync::Arc;

use crate::account::{Account, Revision};
use crate::audit::AuditEntry;
use crate::identity::UserId;

/// How many items a page holds at most: 1 to 1 000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize(NonZeroU16);

impl PageSize {
    /// The greatest page.
    pub const MAX: Self = Self(NonZeroU16::new(1_000).unwrap());

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

/// Some accounts in the byte order of their user ids.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AccountPage {
    /// The accounts.
    pub accounts: Vec<Arc<Account>>,
    /// The user to continue after; `None` if these were the last.
    pub next: Option<UserId>,
}

impl AccountPage {
    /// The page of `accounts`, which was asked to be `size` long and read one
    /// account further to know whether more follow.
    #[must_use]
    pub fn of(mut accounts: Vec<Arc<Account>>, size: PageSize) -> Self {
        let more = accounts.len() > size.get();
        accounts.truncate(size.get());
        let last = accounts.last().filter(|_| more);
        let next = last.map(|account| account.user().clone());
        Self { accounts, next }
    }
}

/// Some entries of a history, the latest first.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HistoryPage {
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// The revision to continue before; `None` if these were the first.
    pub next: Option<Revision>,
}

impl HistoryPage {
    /// The page of `entries`, which was asked to be `size` long and read one
    /// entry further to know whether more follow.
    #[must_use]
    pub fn of(mut entries: Vec<AuditEntry>, size: PageSize) -> Self {
        let more = entries.len() > size.get();
        entries.truncate(size.get());
        let next = entries.last().filter(|_| more).map(|entry| entry.revision);
        Self { entries, next }
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
