//! Accounts that an administrator looks for.

use std::time::Duration;

use super::{AccountSummary, ManageError, TokenManager};
use crate::account::Account;
use crate::store::{Page, PageSize, StoreError};
use crate::time::Timestamp;
use crate::token::PepperVersion;
use crate::user::UserId;

/// Which accounts an administrator looks for: those of which everything holds that is
/// set. Nothing is set by default, which is every account.
///
/// ```
/// use std::time::Duration;
///
/// use tower_api_token::manage::AccountFilter;
///
/// let mut ends_soon = AccountFilter::default();
/// ends_soon.expiring_within = Some(Duration::from_secs(7 * 86_400));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccountFilter {
    /// The first of the tokens in the slots ends within this time.
    pub expiring_within: Option<Duration>,
    /// There is a token in a slot, and none of them was used for so long. A token that
    /// was never used counts from when it became active.
    pub unused_for: Option<Duration>,
    /// There is a backup beside the primary: a rotation that its user has not ended yet.
    pub on_backup: bool,
    /// A token in use has a digest made under this version of the pepper.
    pub pepper: Option<PepperVersion>,
    /// Access is suspended.
    pub suspended: bool,
}

impl AccountFilter {
    /// Whether all holds of the account that is known without its last uses.
    fn selects(&self, account: &AccountSummary, now: Timestamp) -> bool {
        let ends_within = |time| account.expires_at.is_some_and(|end| end <= now + time);
        self.expiring_within.is_none_or(ends_within)
            && (!self.on_backup || account.backup.is_some())
            && self.pepper.is_none_or(|version| account.pepper_versions.contains(&version))
            && (!self.suspended || account.suspended_since.is_some())
    }
}

impl TokenManager {
    /// Of the accounts that [`list`](Self::list) would answer with, those that the
    /// filter selects.
    ///
    /// It looks through `size` accounts at most, so a page may be empty although a later
    /// one is not.
    ///
    /// # Errors
    ///
    /// [`ManageError::Store`] if they could not be read, of kind
    /// [`Unsupported`](crate::store::StoreErrorKind::Unsupported) if the filter is about
    /// last uses and the store keeps none.
    pub async fn list_where(
        &self,
        filter: &AccountFilter,
        after: Option<&UserId>,
        size: PageSize,
    ) -> Result<Page<AccountSummary>, ManageError> {
        let Page { items: accounts, next } = self.inner.store.list(after, size).await?;
        let Some(first) = accounts.first() else { return Ok(Page { items: Vec::new(), next }) };
        // A page does not say what time it is by the store's clock.
        let now = self.inner.store.load(first.user()).await?.now;
        if filter.unused_for.is_some() {
            self.inner.write_noted_uses().await?;
        }
        let mut items = Vec::new();
        for account in &accounts {
            let summary = self.inner.summarized(account, now).await?;
            if filter.selects(&summary, now) && self.is_unused(filter, account, now).await? {
                items.push(summary);
            }
        }
        Ok(Page { items, next })
    }

    /// Whether the account has a token in a slot, and was not used for as long as the
    /// filter says.
    async fn is_unused(
        &self,
        filter: &AccountFilter,
        account: &Account,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some(time) = filter.unused_for else { return Ok(true) };
        if self.inner.store.last_uses().is_none() {
            return Err(StoreError::unsupported("reading last uses"));
        }
        let uses = self.inner.uses(account.user()).await?;
        let live = || account.live_tokens().filter(|token| !token.is_expired(now));
        let is_unused = live().all(|token| {
            let used = uses.iter().find(|used| used.id == token.id).map(|used| used.at);
            used.unwrap_or(token.active_since) + time <= now
        });
        Ok(live().next().is_some() && is_unused)
    }
}
