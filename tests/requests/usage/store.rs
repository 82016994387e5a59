//! A store whose writing of uses can be made to fail or to hang.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tower_api_token::account::{Account, LastUse, Revision};
use tower_api_token::audit::AuditEntry;
use tower_api_token::store::{
    AccountStore, ChangeFeed, Erasure, LastUses, Loaded, MemoryStore, Page, PageSize, Replacement,
    StoreError, StoreErrorKind, TokenStore,
};
use tower_api_token::token::{PepperCheck, PepperChecks, PepperVersion, TokenDigest, TokenPrefix};
use tower_api_token::user::UserId;

/// What becomes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Writing {
    Works,
    Fails,
    Hangs,
}

/// Accounts in memory; keeps every batch that was written.
#[derive(Default)]
pub(crate) struct Store {
    accounts: MemoryStore,
    writing: AtomicU8,
    batches: Mutex<Vec<Vec<(UserId, LastUse)>>>,
}

impl Store {
    pub(crate) fn of(account: Account) -> Arc<Self> {
        let store = Self::default();
        store.accounts.insert(account).expect("an empty store");
        Arc::new(store)
    }

    pub(crate) fn set(&self, writing: Writing) {
        self.writing.store(writing as u8, Ordering::SeqCst);
    }

    /// The batches written since it was last asked for them.
    pub(crate) fn take_batches(&self) -> Vec<Vec<(UserId, LastUse)>> {
        std::mem::take(&mut self.batches.lock().expect("no panic"))
    }

    /// The one batch written since.
    pub(crate) fn take_batch(&self) -> Vec<(UserId, LastUse)> {
        let mut batches = self.take_batches();
        assert_eq!(batches.len(), 1, "{batches:?}");
        batches.remove(0)
    }
}

#[async_trait]
impl TokenStore for Store {
    fn peek(&self, digest: &TokenDigest, visit: &mut dyn FnMut(Option<&Account>)) -> bool {
        self.accounts.peek(digest, visit)
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        self.accounts.find(digest).await
    }
}

#[async_trait]
impl AccountStore for Store {
    async fn load(&self, user: &UserId) -> Result<Loaded, StoreError> {
        self.accounts.load(user).await
    }

    async fn replace(&self, replacement: Replacement) -> Result<(), StoreError> {
        self.accounts.replace(replacement).await
    }

    async fn replace_many(
        &self,
        replacements: Vec<Replacement>,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        self.accounts.replace_many(replacements).await
    }

    async fn list(
        &self,
        after: Option<&UserId>,
        size: PageSize,
    ) -> Result<Page<Arc<Account>>, StoreError> {
        self.accounts.list(after, size).await
    }

    async fn history(
        &self,
        user: &UserId,
        before: Option<Revision>,
        size: PageSize,
    ) -> Result<Page<AuditEntry, Revision>, StoreError> {
        self.accounts.history(user, before, size).await
    }

    fn last_uses(&self) -> Option<&dyn LastUses> {
        Some(self)
    }

    fn feed(&self) -> Option<&dyn ChangeFeed> {
        self.accounts.feed()
    }

    async fn pepper_versions(&self) -> Result<Vec<(PepperVersion, u64)>, StoreError> {
        self.accounts.pepper_versions().await
    }

    async fn prefixes(&self) -> Result<Vec<(Option<TokenPrefix>, u64)>, StoreError> {
        self.accounts.prefixes().await
    }

    async fn pepper_checks(&self) -> Result<PepperChecks, StoreError> {
        self.accounts.pepper_checks().await
    }

    async fn keep_pepper_check(
        &self,
        version: PepperVersion,
        check: PepperCheck,
    ) -> Result<PepperCheck, StoreError> {
        self.accounts.keep_pepper_check(version, check).await
    }

    async fn erase(&self, erasure: Erasure) -> Result<(), StoreError> {
        self.accounts.erase(erasure).await
    }
}

#[async_trait]
impl LastUses for Store {
    async fn record_usage(&self, batch: &[(UserId, LastUse)]) -> Result<(), StoreError> {
        let writing = self.writing.load(Ordering::SeqCst);
        if writing == Writing::Fails as u8 {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "writing uses"));
        } else if writing == Writing::Hangs as u8 {
            std::future::pending::<()>().await;
        }
        self.batches.lock().expect("no panic").push(batch.to_vec());
        self.accounts.record_usage(batch).await
    }

    async fn usage(&self, user: &UserId) -> Result<Vec<LastUse>, StoreError> {
        self.accounts.usage(user).await
    }
}
