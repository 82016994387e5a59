//! A store that several share is a store.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    AccountStore, AuditLog, ChangeFeed, DueAccounts, Erasure, LastUses, Loaded, Page, PageSize,
    Replacement, StoreError, TokenStore,
};
use crate::account::{Account, Revision};
use crate::audit::AuditEntry;
use crate::token::{PepperCheck, PepperChecks, PepperVersion, TokenDigest, TokenPrefix};
use crate::user::UserId;

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: TokenStore + ?Sized> TokenStore for Arc<S> {
    fn peek(&self, digest: &TokenDigest, visit: &mut dyn FnMut(Option<&Account>)) -> bool {
        (**self).peek(digest, visit)
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        (**self).find(digest).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: AccountStore + ?Sized> AccountStore for Arc<S> {
    async fn load(&self, user: &UserId) -> Result<Loaded, StoreError> {
        (**self).load(user).await
    }

    async fn replace(&self, replacement: Replacement) -> Result<(), StoreError> {
        (**self).replace(replacement).await
    }

    async fn replace_many(
        &self,
        replacements: Vec<Replacement>,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        (**self).replace_many(replacements).await
    }

    async fn list(
        &self,
        after: Option<&UserId>,
        size: PageSize,
    ) -> Result<Page<Arc<Account>>, StoreError> {
        (**self).list(after, size).await
    }

    async fn history(
        &self,
        user: &UserId,
        before: Option<Revision>,
        size: PageSize,
    ) -> Result<Page<AuditEntry, Revision>, StoreError> {
        (**self).history(user, before, size).await
    }

    fn last_uses(&self) -> Option<&dyn LastUses> {
        (**self).last_uses()
    }

    fn feed(&self) -> Option<&dyn ChangeFeed> {
        (**self).feed()
    }

    fn audit_log(&self) -> Option<&dyn AuditLog> {
        (**self).audit_log()
    }

    fn due_accounts(&self) -> Option<&dyn DueAccounts> {
        (**self).due_accounts()
    }

    async fn pepper_versions(&self) -> Result<Vec<(PepperVersion, u64)>, StoreError> {
        (**self).pepper_versions().await
    }

    async fn prefixes(&self) -> Result<Vec<(Option<TokenPrefix>, u64)>, StoreError> {
        (**self).prefixes().await
    }

    async fn pepper_checks(&self) -> Result<PepperChecks, StoreError> {
        (**self).pepper_checks().await
    }

    async fn keep_pepper_check(
        &self,
        version: PepperVersion,
        check: PepperCheck,
    ) -> Result<PepperCheck, StoreError> {
        (**self).keep_pepper_check(version, check).await
    }

    async fn erase(&self, erasure: Erasure) -> Result<(), StoreError> {
        (**self).erase(erasure).await
    }
}
