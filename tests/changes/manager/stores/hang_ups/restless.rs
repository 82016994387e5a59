//! A store that takes its time, before and after each write.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tower_api_token::account::{Account, LastUse, Revision};
use tower_api_token::audit::AuditEntry;
use tower_api_token::store::{
    AccountStore, ChangeFeed, Erasure, LastUses, Loaded, Page, PageSize, Replacement, StoreError,
    TokenStore,
};
use tower_api_token::token::{PepperCheck, PepperChecks, PepperVersion, TokenDigest, TokenPrefix};
use tower_api_token::user::UserId;

/// A number that looks like any other (SplitMix64).
pub(super) fn random(seed: u64) -> u64 {
    let mut number = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

pub(super) struct Restless {
    inner: Arc<dyn AccountStore>,
    /// The longest pause.
    longest: Duration,
    calls: AtomicU64,
}

impl Restless {
    pub(super) const fn new(inner: Arc<dyn AccountStore>, longest: Duration) -> Self {
        Self { inner, longest, calls: AtomicU64::new(0) }
    }

    async fn pause(&self) {
        let longest = self.longest.as_micros() as u64;
        let random = random(self.calls.fetch_add(1, Ordering::Relaxed));
        tokio::task::yield_now().await;
        match random % 3 {
            0 => {}
            1 => tokio::task::yield_now().await,
            _ => tokio::time::sleep(Duration::from_micros((random >> 8) % longest)).await,
        }
    }

    async fn around<T>(&self, write: impl Future<Output = T> + Send) -> T {
        self.pause().await;
        let answer = write.await;
        self.pause().await;
        answer
    }
}

#[async_trait]
impl TokenStore for Restless {
    async fn find(&self, digest: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        tokio::task::yield_now().await;
        self.inner.find(digest).await
    }
}

#[async_trait]
impl AccountStore for Restless {
    async fn load(&self, user: &UserId) -> Result<Loaded, StoreError> {
        tokio::task::yield_now().await;
        self.inner.load(user).await
    }

    async fn replace(&self, replacement: Replacement) -> Result<(), StoreError> {
        self.around(self.inner.replace(replacement)).await
    }

    async fn replace_many(
        &self,
        replacements: Vec<Replacement>,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        self.around(self.inner.replace_many(replacements)).await
    }

    async fn list(
        &self,
        after: Option<&UserId>,
        size: PageSize,
    ) -> Result<Page<Arc<Account>>, StoreError> {
        self.inner.list(after, size).await
    }

    async fn history(
        &self,
        user: &UserId,
        before: Option<Revision>,
        size: PageSize,
    ) -> Result<Page<AuditEntry, Revision>, StoreError> {
        tokio::task::yield_now().await;
        self.inner.history(user, before, size).await
    }

    fn last_uses(&self) -> Option<&dyn LastUses> {
        Some(self)
    }

    fn feed(&self) -> Option<&dyn ChangeFeed> {
        self.inner.feed()
    }

    async fn pepper_versions(&self) -> Result<Vec<(PepperVersion, u64)>, StoreError> {
        self.inner.pepper_versions().await
    }

    async fn prefixes(&self) -> Result<Vec<(Option<TokenPrefix>, u64)>, StoreError> {
        self.inner.prefixes().await
    }

    async fn pepper_checks(&self) -> Result<PepperChecks, StoreError> {
        self.inner.pepper_checks().await
    }

    async fn keep_pepper_check(
        &self,
        version: PepperVersion,
        check: PepperCheck,
    ) -> Result<PepperCheck, StoreError> {
        self.around(self.inner.keep_pepper_check(version, check)).await
    }

    async fn erase(&self, erasure: Erasure) -> Result<(), StoreError> {
        self.around(self.inner.erase(erasure)).await
    }
}

#[async_trait]
impl LastUses for Restless {
    async fn record_usage(&self, batch: &[(UserId, LastUse)]) -> Result<(), StoreError> {
        self.inner.last_uses().unwrap().record_usage(batch).await
    }

    async fn usage(&self, user: &UserId) -> Result<Vec<LastUse>, StoreError> {
        tokio::task::yield_now().await;
        self.inner.last_uses().unwrap().usage(user).await
    }
}
