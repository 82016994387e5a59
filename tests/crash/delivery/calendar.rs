//! Simulated days: the time that the nodes are to take for the store's.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tower_api_token::account::{Account, Revision};
use tower_api_token::audit::AuditEntry;
use tower_api_token::store::{
    AccountStore, AuditLog, ChangeFeed, DueAccounts, Erasure, LastUses, Loaded, Page, PageSize,
    Replacement, StoreError, TokenStore,
};
use tower_api_token::time::Timestamp;
use tower_api_token::token::{PepperCheck, PepperChecks, PepperVersion, TokenDigest, TokenPrefix};
use tower_api_token::user::UserId;

/// A file with the time in it, for several processes.
#[derive(Clone)]
pub(crate) struct Calendar {
    pub(crate) file: PathBuf,
}

impl Calendar {
    pub(crate) fn set(&self, now: Timestamp) {
        let next = self.file.with_extension("next");
        std::fs::write(&next, now.unix_millis().to_string()).unwrap();
        std::fs::rename(next, &self.file).unwrap();
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(std::fs::read_to_string(&self.file).unwrap().parse().unwrap())
    }
}

/// A store whose time, as far as the manager asks for it, is the calendar's.
pub(crate) struct Dated<S> {
    pub(crate) store: S,
    pub(crate) calendar: Calendar,
}

#[async_trait]
impl<S: AccountStore> TokenStore for Dated<S> {
    fn peek(&self, digest: &TokenDigest, visit: &mut dyn FnMut(Option<&Account>)) -> bool {
        self.store.peek(digest, visit)
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        self.store.find(digest).await
    }
}

#[async_trait]
impl<S: AccountStore> AccountStore for Dated<S> {
    async fn load(&self, user: &UserId) -> Result<Loaded, StoreError> {
        let mut loaded = self.store.load(user).await?;
        loaded.now = self.calendar.now();
        Ok(loaded)
    }

    async fn replace(&self, replacement: Replacement) -> Result<(), StoreError> {
        self.store.replace(replacement).await
    }

    async fn replace_many(
        &self,
        replacements: Vec<Replacement>,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        self.store.replace_many(replacements).await
    }

    async fn list(
        &self,
        after: Option<&UserId>,
        size: PageSize,
    ) -> Result<Page<Arc<Account>>, StoreError> {
        self.store.list(after, size).await
    }

    async fn history(
        &self,
        user: &UserId,
        before: Option<Revision>,
        size: PageSize,
    ) -> Result<Page<AuditEntry, Revision>, StoreError> {
        self.store.history(user, before, size).await
    }

    fn last_uses(&self) -> Option<&dyn LastUses> {
        self.store.last_uses()
    }

    fn feed(&self) -> Option<&dyn ChangeFeed> {
        self.store.feed()
    }

    fn audit_log(&self) -> Option<&dyn AuditLog> {
        self.store.audit_log()
    }

    fn due_accounts(&self) -> Option<&dyn DueAccounts> {
        self.store.due_accounts()
    }

    async fn pepper_versions(&self) -> Result<Vec<(PepperVersion, u64)>, StoreError> {
        self.store.pepper_versions().await
    }

    async fn prefixes(&self) -> Result<Vec<(Option<TokenPrefix>, u64)>, StoreError> {
        self.store.prefixes().await
    }

    async fn pepper_checks(&self) -> Result<PepperChecks, StoreError> {
        self.store.pepper_checks().await
    }

    async fn keep_pepper_check(
        &self,
        version: PepperVersion,
        check: PepperCheck,
    ) -> Result<PepperCheck, StoreError> {
        self.store.keep_pepper_check(version, check).await
    }

    async fn erase(&self, erasure: Erasure) -> Result<(), StoreError> {
        self.store.erase(erasure).await
    }
}
