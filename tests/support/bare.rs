//! A store of a host's own that has what it must have, and nothing more: no feed, no last
//! uses, no log.

use std::sync::Arc;

use async_trait::async_trait;
use tower_api_token::account::{Account, Revision};
use tower_api_token::audit::AuditEntry;
use tower_api_token::store::{
    AccountStore, Loaded, MemoryStore, Page, PageSize, Replacement, StoreError, TokenStore,
};
use tower_api_token::token::TokenDigest;
use tower_api_token::user::UserId;

pub(crate) struct Bare(pub(crate) Arc<MemoryStore>);

#[async_trait]
impl TokenStore for Bare {
    async fn find(&self, digest: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        self.0.find(digest).await
    }
}

#[async_trait]
impl AccountStore for Bare {
    async fn load(&self, user: &UserId) -> Result<Loaded, StoreError> {
        self.0.load(user).await
    }

    async fn replace(&self, replacement: Replacement) -> Result<(), StoreError> {
        self.0.replace(replacement).await
    }

    async fn list(
        &self,
        after: Option<&UserId>,
        size: PageSize,
    ) -> Result<Page<Arc<Account>>, StoreError> {
        self.0.list(after, size).await
    }

    async fn history(
        &self,
        user: &UserId,
        before: Option<Revision>,
        size: PageSize,
    ) -> Result<Page<AuditEntry, Revision>, StoreError> {
        self.0.history(user, before, size).await
    }
}
